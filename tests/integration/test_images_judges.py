# SPDX-License-Identifier: Apache-2.0
"""What every verb makes, read by skopeo, umoci and podman: they agree on digest, config and each file, and it is what was meant."""

import json
import unittest

from daemon import Daemon
from images import DOCKER_MANIFEST, INDEX, Repository, put_image, put_index
from judges import judge
from registries import Registry

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
BASE = {"etc": None, "etc/os": b"base\n", "etc/motd": b"hello\n", "lib": None, "lib/a": b"library\n", "link": "lib/a"}


class Judges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.daemon = cls.enterClassContext(Daemon())
        cls.base = Repository(cls.registry, "team/base")
        cls.app = Repository(cls.registry, "team/app")
        put_image(cls.base, "1", [{"etc": None, "etc/os": b"base\n", "etc/motd": b"hello\n"},
                                  {"lib": None, "lib/a": b"library\n", "link": "lib/a"}], config={"Env": ["PATH=/bin"]})

    def build(self, tag, base=None, **members):
        spec = {"kind": "build", "base": base or f"{self.base.ref}:1", "targets": [f"{self.app.ref}:{tag}"], **members}
        self.result = self.daemon.run_job(spec)["result"]
        return self.result["digest"]

    def judged(self, tag, digest=None, files=None, repository=None, platform=None):
        verdict = judge(f"{(repository or self.app).ref}:{tag}", platform)
        self.assertEqual(verdict.contents(), BASE if files is None else files)
        if digest:
            self.assertEqual(verdict.digest, digest)
        return verdict

    def layer_types(self, tag):
        return {layer["mediaType"] for layer in self.app.manifest(tag)["layers"]}

    def test_build_and_append(self):
        tree = self.daemon.build_root / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub/run").write_bytes(b"#!/bin/sh\n")
        (tree / "sub/run").chmod(0o700)
        (tree / "hard").hardlink_to(tree / "sub/run")
        (tree / "ümlaut").symlink_to("sub/run")
        digest = self.build("build", layers=[
            {"files": [{"from": str(tree), "to": "/app", "owner": "3:4"}, {"type": "delete", "path": "/etc/motd"},
                       {"type": "opaque", "path": "/lib"}, {"type": "file", "to": "/lib/new", "text": "new"}]},
            {"files": [{"type": "file", "to": "/secret", "text": "s", "mode": "0600"}], "compression": "zstd"}])
        files = self.judged("build", digest, {
            "etc": None, "etc/os": b"base\n", "lib": None, "lib/new": b"new", "link": "lib/a", "app": None, "app/hard": b"#!/bin/sh\n",
            "app/sub": None, "app/sub/run": b"#!/bin/sh\n", "app/ümlaut": "sub/run", "secret": b"s"}).files
        self.assertEqual((files["app/sub/run"][0], files["secret"][0]), ("-rwxr-xr-x", "-rw-------"))
        self.assertIn(files["app/sub/run"][1], ((3, 4), None))

    def test_copy_and_back_through_files(self):
        self.daemon.run_job({"kind": "copy", "source": f"{self.base.ref}:1", "targets": [f"{self.app.ref}:copy"]})
        self.judged("copy", self.base.digest("1"))
        for form in ("oci:{}/layout:1", "oci-archive:{}/oci.tar:1", "docker-archive:{}/docker.tar:x:1"):
            place = form.format(self.daemon.output_root)
            with self.subTest(form):
                self.daemon.run_job({"kind": "copy", "source": f"{self.base.ref}:1", "targets": [place]})
                self.daemon.run_job({"kind": "copy", "source": place, "targets": [f"{self.app.ref}:back"]})
                self.judged("back")

    def test_edit(self):
        digest = self.build("edit", config={"env": {"A": "1", "PATH": None}, "cmd": ["/app"], "user": "7", "labels": {"l": "x"}})
        config = self.judged("edit", digest).config["config"]
        self.assertEqual((config["Env"], config["Cmd"], config["User"], config["Labels"]), (["A=1"], ["/app"], "7", {"l": "x"}))

    def test_remove_and_add_by_digest(self):
        layers = self.base.manifest("1")["layers"]
        diff_ids = self.base.config("1")["rootfs"]["diff_ids"]
        digest = self.build("swap", remove_layers=[layers[0]["digest"]],
                            layers=[{"blob": {"digest": layers[0]["digest"], "diff_id": diff_ids[0], "size": layers[0]["size"]}}])
        self.assertEqual(self.judged("swap", digest).config["rootfs"]["diff_ids"], diff_ids[::-1])

    def test_rebase(self):
        bases = Repository(self.registry, "team/os")
        put_image(bases, "old", [{"etc": None, "etc/os": b"old"}])
        put_image(bases, "new", [{"etc": None, "etc/os": b"new"}, {"more": b"more"}])
        self.build("onold", f"{bases.ref}:old", layers=[{"files": [{"type": "file", "to": "/app", "text": "mine"}]}])
        digest = self.build("onnew", f"{self.app.ref}:onold", rebase={"onto": f"{bases.ref}:new"})
        self.judged("onnew", digest, {"etc": None, "etc/os": b"new", "more": b"more", "app": b"mine"})

    def test_flatten(self):
        digest = self.build("flat", flatten="all", layers=[{"files": [{"type": "delete", "path": "/etc/motd"}]}])
        verdict = self.judged("flat", digest, {k: v for k, v in BASE.items() if k != "etc/motd"})
        self.assertEqual(len(verdict.config["rootfs"]["diff_ids"]), 1)

    def test_recompress(self):
        for how, kinds in (("gzip", {"application/vnd.oci.image.layer.v1.tar+gzip"}), ("zstd", {ZSTD}),
                           ("estargz", {"application/vnd.oci.image.layer.v1.tar+gzip"}), ("none", {"application/vnd.oci.image.layer.v1.tar"})):
            with self.subTest(how):
                self.judged(how, self.build(how, recompress=how))
                self.assertEqual(self.layer_types(how), kinds)
                if how == "estargz":
                    self.assertTrue(all("containerd.io/snapshot/stargz/toc.digest" in layer["annotations"]
                                        for layer in self.app.manifest(how)["layers"]))

    def test_index_and_a_part_of_it(self):
        for name in ("amd64", "arm64"):
            put_image(self.app, name, [{"arch": name.encode()}], f"linux/{name}")
        self.daemon.run_job({"kind": "index", "items": [f"{self.app.ref}:amd64", f"{self.app.ref}:arm64"], "targets": [f"{self.app.ref}:index"]})
        self.daemon.run_job({"kind": "copy", "source": f"{self.app.ref}:index", "targets": [f"{self.app.ref}:part"], "platforms": ["linux/arm64"]})
        for tag, platform in (("index", "linux/amd64"), ("index", "linux/arm64"), ("part", "linux/arm64")):
            with self.subTest(tag, platform=platform):
                verdict = self.judged(tag, files={"arch": platform[6:].encode()}, platform=platform)
                self.assertEqual(verdict.config["architecture"], platform[6:])
        self.assertEqual((self.app.manifest("part")["mediaType"], len(self.app.manifest("part")["manifests"])), (INDEX, 1))

    def test_several_platforms_in_one_build(self):
        base = Repository(self.registry, "team/multi")
        put_index(base, "1", [put_image(base, a, [{"arch": a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")])
        self.build("multi", f"{base.ref}:1", platforms=["linux/amd64", "linux/arm64"],
                   layers=[{"files": [{"type": "file", "to": "/x", "text": "x"}]}])
        self.assertEqual([(m["platform"], m["digest"], m["size"]) for m in self.result["manifests"]], [
            (f"linux/{m['platform']['architecture']}", m["digest"], m["size"]) for m in self.app.manifest("multi")["manifests"]])
        for platform in ("linux/amd64", "linux/arm64"):
            self.judged("multi", files={"arch": platform[6:].encode(), "x": b"x"}, platform=platform)

    def test_docker_and_oci(self):
        self.build("docker", layers=[])
        for source, form in ((f"{self.base.ref}:1", "docker"), (f"{self.app.ref}:as-docker", "oci")):
            with self.subTest(form):
                self.daemon.run_job({"kind": "copy", "source": source, "targets": [{"ref": f"{self.app.ref}:as-{form}", "format": form}]})
                self.judged(f"as-{form}")
        self.assertEqual(self.app.manifest("as-docker")["mediaType"], DOCKER_MANIFEST)
        self.assertEqual(self.app.manifest("as-oci")["config"]["mediaType"], "application/vnd.oci.image.config.v1+json")
        self.assertEqual(json.loads(self.app.manifest_bytes("as-oci"))["layers"], self.base.manifest("1")["layers"])


if __name__ == "__main__":
    unittest.main()
