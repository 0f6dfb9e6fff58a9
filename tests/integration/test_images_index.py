# SPDX-License-Identifier: Apache-2.0
"""Index jobs: compose, add, remove. Check jobs: what they find."""

import gzip
import io
import tarfile
import unittest

from daemon import Daemon
from images import DOCKER_LIST, INDEX, MANIFEST, Repository, put_image, put_index, tar
from registries import Registry


class Fixture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.daemon = cls.enterClassContext(Daemon())

    def repository(self, name):
        return Repository(self.registry, name)


class Index(Fixture):
    def setUp(self):
        self.app = self.repository("team/app")
        for name in ("amd64", "arm64", "s390x"):
            put_image(self.app, name, [{"f": name.encode()}], f"linux/{name}")

    def index(self, target, state="succeeded", **members):
        return self.daemon.run_job({"kind": "index", "targets": [target], **members}, state=state)

    def platforms(self, repository, tag):
        return [m["platform"]["architecture"] for m in repository.manifest(tag)["manifests"]]

    def test_compose(self):
        job = self.index(f"{self.app.ref}:1", items=[{"ref": f"{self.app.ref}:amd64"},
                                                      {"ref": f"{self.app.ref}:arm64", "platform": "linux/arm64/v8",
                                                       "annotations": {"which": "arm"}}],
                         annotations={"a": "b"})
        index = self.app.manifest("1")
        self.assertEqual((index["mediaType"], index["annotations"]), (INDEX, {"a": "b"}))
        self.assertEqual(index["manifests"][0], {"mediaType": MANIFEST, "digest": self.app.digest("amd64"),
                                                 "size": len(self.app.manifest_bytes("amd64")),
                                                 "platform": {"os": "linux", "architecture": "amd64"}})
        self.assertEqual(index["manifests"][1]["platform"]["variant"], "v8")
        self.assertEqual(index["manifests"][1]["annotations"], {"which": "arm"})
        self.assertEqual(job["result"]["stats"]["bytes_sent"], 0)  # all lies there already

    def test_into_another_repository(self):
        other = self.repository("team/other")
        self.index(f"{other.ref}:1", items=[f"{self.app.ref}:amd64", f"{self.app.ref}:arm64"])
        for child in other.manifest("1")["manifests"]:
            for layer in other.manifest(child["digest"])["layers"]:
                self.assertTrue(other.has_blob(layer["digest"]))

    def test_add_replace_remove(self):
        self.index(f"{self.app.ref}:b", items=[f"{self.app.ref}:amd64", f"{self.app.ref}:arm64"], annotations={"x": "1", "y": "2"})
        put_image(self.app, "newer", [{"f": b"newer"}], "linux/arm64")
        self.index(f"{self.app.ref}:c", base=f"{self.app.ref}:b", items=[f"{self.app.ref}:newer", f"{self.app.ref}:s390x"],
                   annotations={"y": None, "z": "3"})
        self.assertEqual(self.platforms(self.app, "c"), ["amd64", "arm64", "s390x"])
        self.assertEqual(self.app.manifest("c")["manifests"][1]["digest"], self.app.digest("newer"))
        self.assertEqual(self.app.manifest("c")["annotations"], {"x": "1", "z": "3"})
        self.index(f"{self.app.ref}:d", base=f"{self.app.ref}:c", remove=["linux/amd64", self.app.digest("s390x")])
        self.assertEqual(self.platforms(self.app, "d"), ["arm64"])

    def test_children_of_an_index(self):
        self.index(f"{self.app.ref}:i", items=[f"{self.app.ref}:amd64", f"{self.app.ref}:arm64"])
        self.index(f"{self.app.ref}:j", items=[{"ref": f"{self.app.ref}:i", "platform": "linux/arm64"}])
        self.assertEqual(self.platforms(self.app, "j"), ["arm64"])
        self.index(f"{self.app.ref}:k", items=[f"{self.app.ref}:i", f"{self.app.ref}:s390x"])
        self.assertEqual(self.platforms(self.app, "k"), ["amd64", "arm64", "s390x"])

    def test_docker_format_and_dry_run(self):
        job = self.daemon.run_job({"kind": "index", "items": [f"{self.app.ref}:amd64"], "dry_run": True,
                                   "targets": [{"ref": f"{self.app.ref}:list", "format": "docker"}]})
        self.assertEqual(job["result"]["plan"]["tags"][0]["action"], "create")
        self.assertFalse(self.app.exists("list"))
        self.daemon.run_job({"kind": "index", "items": [f"{self.app.ref}:amd64"],
                             "targets": [{"ref": f"{self.app.ref}:list", "format": "docker"}]})
        self.assertEqual(self.app.manifest("list")["mediaType"], DOCKER_LIST)

    def test_what_cannot_be(self):
        self.index(f"{self.app.ref}:b", items=[f"{self.app.ref}:amd64"])
        cases = (({"items": [f"{self.app.ref}:amd64", f"{self.app.ref}:amd64-2"]}, "/items", "two entries"),
                 ({"base": f"{self.app.ref}:amd64"}, "/base", "single image"),
                 ({"base": f"{self.app.ref}:b", "remove": ["linux/arm64"]}, "/remove/0", "no entry"),
                 ({"base": f"{self.app.ref}:b", "remove": ["linux/amd64"]}, "/remove", "nothing would be left"))
        put_image(self.app, "amd64-2", [{"f": b"again"}], "linux/amd64")
        for members, pointer, text in cases:
            with self.subTest(members):
                error = self.index(f"{self.app.ref}:never", state="failed", **members)["error"]
                self.assertEqual(error["errors"][0]["pointer"], pointer)
                self.assertIn(text, error["detail"])
        self.assertFalse(self.app.exists("never"))

    def test_what_is_refused_at_once(self):
        for members, pointer in (({}, "/items"), ({"items": [{}]}, "/items/0/ref"), ({"items": [7]}, "/items/0"),
                                 ({"items": ["a"], "remove": ["linux/arm64"]}, "/remove"),
                                 ({"base": "a", "remove": ["nonsense"]}, "/remove/0")):
            with self.subTest(members):
                status, problem = self.daemon.refused_job({"kind": "index", "targets": ["localhost:1/x:1"], **members})
                self.assertEqual((status, problem["errors"][0]["pointer"]), (400, pointer))


class Check(Fixture):
    def check(self, source, state, **members):
        return self.daemon.run_job({"kind": "check", "source": source, **members}, state=state)

    def bad(self, job):
        self.assertEqual(job["error"]["code"], "partial")
        return {item["digest"]: item["error"]["code"] for item in job["result"]["items"] if item["state"] == "failed"}

    def test_a_good_image(self):
        app = self.repository("check/good")
        put_index(app, "1", [put_image(app, f"1-{a}", [{"f": a.encode()}, {"g": b"shared"}], f"linux/{a}")
                             for a in ("amd64", "arm64")])
        for deep in (False, True):
            job = self.check(f"{app.ref}:1", "succeeded", deep=deep)
            self.assertEqual(job["result"]["digest"], app.digest("1"))
            roles = sorted(item["role"] for item in job["result"]["items"])
            self.assertEqual(roles, ["blob"] * 2 + ["index"] + ["layer"] * 3 + ["manifest"] * 2)
        job = self.check(f"{app.ref}:1", "succeeded", platforms=["linux/arm64"])
        self.assertEqual(len(job["result"]["items"]), 1 + 1 + 3)

    def test_lost_and_damaged_blobs(self):
        app = self.repository("check/bad")
        put_image(app, "1", [{"a": b"a"}, {"b": b"b"}, {"c": b"c"}])
        layers = app.manifest("1")["layers"]
        path = self.registry.blob_path(layers[1]["digest"])
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
        self.check(f"{app.ref}:1", "succeeded")  # sizes are as they should be
        self.assertEqual(self.bad(self.check(f"{app.ref}:1", "failed", deep=True)), {layers[1]["digest"]: "digest-mismatch"})
        app.call("DELETE", f"blobs/{layers[2]['digest']}")
        self.assertEqual(self.bad(self.check(f"{app.ref}:1", "failed")), {layers[2]["digest"]: "blob-unknown"})

    def test_diff_ids_and_tars(self):
        app = self.repository("check/deep")
        put_image(app, "1", [{"a": b"deep"}], compress=lambda data: gzip.compress(tar({"another": b"one"})))
        self.check(f"{app.ref}:1", "succeeded")
        digest = app.manifest("1")["layers"][0]["digest"]
        self.assertEqual(self.bad(self.check(f"{app.ref}:1", "failed", deep=True)), {digest: "digest-mismatch"})
        put_image(app, "2", [tar({"a": b"x" * 5000})[:3000]])
        digest = app.manifest("2")["layers"][0]["digest"]
        self.assertEqual(self.bad(self.check(f"{app.ref}:2", "failed", deep=True)), {digest: "unsupported-file"})

    def test_bomb(self):
        app = self.repository("check/bomb")
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as file:
            info = tarfile.TarInfo("zeros")
            info.size = 1200 << 20
            file.write(info.tobuf())
            for _ in range(1200):
                file.write(bytes(1 << 20))
            file.write(bytes(1024))
        blob = out.getvalue()
        put_image(app, "1", [b""], compress=lambda data: blob)
        digest = app.manifest("1")["layers"][0]["digest"]
        self.assertEqual(self.bad(self.check(f"{app.ref}:1", "failed", deep=True)), {digest: "too-large"})

    def test_layout(self):
        app = self.repository("check/layout")
        put_image(app, "1", [{"a": b"layout"}])
        layout = self.daemon.build_root / "checked"
        self.daemon.run_job({"kind": "copy", "source": f"{app.ref}:1", "targets": [f"oci:{self.daemon.output_root}/l:1"]})
        (self.daemon.output_root / "l").rename(layout)
        self.check(f"oci:{layout}:1", "succeeded", deep=True)
        digest = app.manifest("1")["layers"][0]["digest"]
        path = layout / "blobs/sha256" / digest[7:]
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1])
        self.assertEqual(self.bad(self.check(f"oci:{layout}:1", "failed", deep=True)), {digest: "digest-mismatch"})
        path.unlink()
        self.assertEqual(self.bad(self.check(f"oci:{layout}:1", "failed")), {digest: "blob-unknown"})

    def test_missing_child(self):
        app = self.repository("check/child")
        child = put_image(app, "1-a", [{"a": b"child"}])
        put_index(app, "1", [child])
        app.call("DELETE", f"manifests/{child['digest']}")
        self.assertEqual(list(self.bad(self.check(f"{app.ref}:1", "failed"))), [child["digest"]])

    def test_no_such_image(self):
        job = self.check(f"{self.registry.address}/check/none:1", "failed")
        self.assertEqual(job["error"]["code"], "image-not-found")


if __name__ == "__main__":
    unittest.main()
