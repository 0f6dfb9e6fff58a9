# SPDX-License-Identifier: Apache-2.0
"""base_tree: what a build knows of the directories and links of its base. Judged by GNU tar and by what umoci unpacks."""

import io
import pathlib
import stat
import subprocess
import tarfile
import tempfile
import unittest

from daemon import Daemon
from images import Repository, put_image, put_index, run
from registries import Registry


def base_tar(owner=1000):
    """/srv 0700 of someone, /tmp 01777, /var/run -> /run."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, mode, uid, target in (("run", 0o755, 0, None), ("srv", 0o700, owner, None), ("srv/old", 0o750, owner, None),
                                        ("tmp", 0o1777, 0, None), ("var", 0o755, 0, None), ("var/run", 0o777, 0, "/run")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.DIRTYPE, "")
            info.mode, info.uid, info.gid, info.mtime = mode, uid, uid, 77
            archive.addfile(info)
    return out.getvalue()


def file_at(path):
    return {"type": "file", "to": path, "text": "x\n"}


class BaseTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.base = Repository(cls.registry, "tree/base")
        put_image(cls.base, "1", [base_tar()])
        cls.target = Repository(cls.registry, "tree/target")

    def setUp(self):
        self.daemon = self.enterContext(Daemon())

    def build(self, *files, state="succeeded", base=None, **members):
        layers = members.pop("layers", None) or [{"files": list(files)}]
        return self.daemon.run_job({"kind": "build", "base": base or f"{self.base.ref}:1", "layers": layers,
                                    "platforms": ["linux/amd64"], "targets": [f"{self.target.ref}:1"], **members}, state=state)

    def warnings(self, job):
        return [e["code"] for e in self.daemon.events(job["id"]) if e["type"] == "warning"]

    def listing(self, reference="1", layer=-1):
        """Lines of GNU tar: "drwx------ 1000/1000 srv/"."""
        blob = self.target.blob(self.target.manifest(reference)["layers"][layer]["digest"])
        listed = subprocess.run(["tar", "--numeric-owner", "-tvzf", "-"], input=blob, capture_output=True, check=True)
        return [" ".join(f for i, f in enumerate(line.split()) if i in (0, 1, 5)) for line in listed.stdout.decode().splitlines()]

    def unpacked_mode(self, path):
        with tempfile.TemporaryDirectory() as directory:
            layout, bundle = pathlib.Path(directory) / "layout", pathlib.Path(directory) / "bundle"
            run("skopeo", "copy", "--src-tls-verify=false", f"docker://{self.target.ref}:1", f"oci:{layout}:x")
            run("umoci", "unpack", "--rootless", "--image", f"{layout}:x", bundle)
            return stat.S_IMODE((bundle / "rootfs" / path).stat().st_mode)

    def check_link_refused(self, job):
        error = job["error"]
        self.assertEqual(error["code"], "conflict", error)
        self.assertIn("/var/run is a symbolic link to /run", error["detail"])
        self.assertIn("delete", error["hint"])

    def test_nothing_is_known(self):
        job = self.build(file_at("/srv/x"))
        self.assertEqual(self.warnings(job), ["base-not-examined"])
        self.assertEqual(self.listing(), ["-rw-r--r-- 0/0 srv/x"])
        self.assertEqual(self.unpacked_mode("srv"), 0o700)

    def test_fetch_keeps_attributes_of_parents(self):
        job = self.build(file_at("/srv/x"), file_at("/new/y"), base_tree="fetch")
        self.assertEqual(self.warnings(job), [])
        self.assertEqual(self.listing(), ["drwxr-xr-x 0/0 new/", "-rw-r--r-- 0/0 new/y", "drwx------ 1000/1000 srv/",
                                          "-rw-r--r-- 0/0 srv/x"])
        self.assertEqual(self.unpacked_mode("srv"), 0o700)

    def test_a_copied_tree_keeps_attributes_of_what_it_meets(self):
        tree = self.daemon.build_root / "tree"
        for name in ("tmp", "srv/old", "srv/new"):
            (tree / name).mkdir(parents=True)
            (tree / name / "file").write_text("x")
        for _ in range(2):  # known is the same once it was fetched
            self.build({"from": str(tree), "to": "/"}, base_tree="fetch")
            directories = [line for line in self.listing() if line.startswith("d")]
            self.assertEqual(directories, ["drwx------ 1000/1000 srv/", "drwxr-xr-x 0/0 srv/new/", "drwxr-x--- 1000/1000 srv/old/",
                                           "drwxrwxrwt 0/0 tmp/"])
        digest = self.target.digest("1")
        self.build({"from": str(tree), "to": "/"})
        self.assertEqual(self.target.digest("1"), digest)
        self.build({"from": str(tree), "to": "/"}, {"type": "directory", "to": "/tmp", "mode": "0711"}, base_tree="fetch")
        self.assertIn("drwx--x--x 0/0 tmp/", self.listing())

    def test_a_link_is_never_replaced(self):
        self.check_link_refused(self.build(file_at("/var/run/x"), base_tree="fetch", state="failed"))
        self.check_link_refused(self.build({"type": "directory", "to": "/var/run"}, base_tree="fetch", state="failed"))
        tree = self.daemon.build_root / "tree"
        (tree / "var/run").mkdir(parents=True)
        (tree / "var/run/x").write_text("x")
        self.check_link_refused(self.build({"from": str(tree), "to": "/"}, base_tree="fetch", state="failed"))
        # in another layer, too, above one that copies a tree there
        self.check_link_refused(self.build(layers=[{"files": [{"from": str(tree / "var/run"), "to": "/"}]},
                                                   {"files": [file_at("/var/run/y")]}], base_tree="fetch", state="failed"))
        self.build({"type": "delete", "path": "/var/run"}, file_at("/var/run/x"), base_tree="fetch")
        self.assertEqual(self.unpacked_mode("var/run"), 0o755)
        self.build(file_at("/run/x"), base_tree="fetch")

    def test_what_was_fetched_is_known(self):
        unknown = self.build(file_at("/srv/x"))["result"]["digest"]
        self.build(file_at("/srv/x"), base_tree="fetch")
        self.daemon.restart()
        self.daemon.request("POST", "/v1/cache/prune", json={"keep_bytes": 0})
        job = self.build(file_at("/srv/x"))
        self.assertEqual(self.warnings(job), [])
        self.assertEqual(job["result"]["digest"], unknown)  # parents alone do not make the digest depend on the cache
        self.check_link_refused(self.build(file_at("/var/run/x"), state="failed"))
        self.damage_notes()
        self.assertEqual(self.warnings(self.build(file_at("/srv/x"))), ["base-not-examined"])

    def damage_notes(self):
        for note in self.daemon.state.glob("notes/*"):
            note.write_bytes(note.read_bytes()[:-1] + b"?")

    def test_a_base_of_our_own_is_known(self):
        self.daemon.run_job({"kind": "build", "base": "scratch", "platforms": ["linux/amd64"], "targets": [f"{self.base.ref}:own"],
                             "layers": [{"files": [{"type": "directory", "to": "/run"},
                                                   {"type": "symlink", "to": "/var/run", "target": "/run"}]}]})
        self.check_link_refused(self.build(file_at("/var/run/x"), base=f"{self.base.ref}:own", state="failed"))

    def test_ignore(self):
        self.build(file_at("/srv/x"), base_tree="fetch")
        job = self.build(file_at("/var/run/x"), base_tree="ignore")
        self.assertEqual(self.warnings(job), [])
        self.assertEqual(self.listing(), ["-rw-r--r-- 0/0 var/run/x"])

    def test_all_of_scratch_is_known(self):
        job = self.build(file_at("/a/b/c"), base="scratch")
        self.assertEqual(self.warnings(job), [])
        self.assertEqual(self.listing(), ["drwxr-xr-x 0/0 a/", "drwxr-xr-x 0/0 a/b/", "-rw-r--r-- 0/0 a/b/c"])

    def test_layers_of_the_same_job_lie_between(self):
        layers = [{"files": [{"type": "directory", "to": "/data", "mode": "0710", "owner": "5:5"},
                             {"type": "directory", "to": "/srv", "mode": "0711"}]},
                  {"files": [file_at("/data/x"), file_at("/srv/x")]}]
        for base in ("scratch", None):
            self.build(layers=layers, base=base, base_tree="fetch")
            self.assertEqual(self.listing(), ["-rw-r--r-- 0/0 data/x", "-rw-r--r-- 0/0 srv/x"])
            self.assertEqual(self.unpacked_mode("data"), 0o710)

    def test_each_platform_has_its_own(self):
        children = [put_image(self.base, name, [base_tar(owner)], platform=f"linux/{name}")
                    for name, owner in (("amd64", 1000), ("arm64", 2000))]
        put_index(self.base, "both", children)
        both = {"base": f"{self.base.ref}:both", "platforms": ["linux/amd64", "linux/arm64"]}
        self.build(file_at("/srv/x"), base_tree="fetch", **both)
        for child, owner in zip(self.target.manifest("1")["manifests"], (1000, 2000)):
            self.assertEqual(self.listing(child["digest"])[0], f"drwx------ {owner}/{owner} srv/")
        self.build(file_at("/srv/x"), base_tree="ignore", **both)
        layers = {self.target.manifest(child["digest"])["layers"][-1]["digest"] for child in self.target.manifest("1")["manifests"]}
        self.assertEqual(len(layers), 1)

    def test_a_layout_as_base(self):
        layout = self.daemon.build_root / "layout"
        run("skopeo", "copy", "--src-tls-verify=false", f"docker://{self.base.ref}:1", f"oci:{layout}:1")
        self.check_link_refused(self.build(file_at("/var/run/x"), base=f"oci:{layout}:1", base_tree="fetch", state="failed"))

    def test_layers_that_cannot_be_read(self):
        put_image(self.base, "damaged", [base_tar()], compress=lambda data: b"no gzip, no tar")
        base = f"{self.base.ref}:damaged"
        job = self.build(file_at("/srv/x"), base=base, base_tree="fetch", state="failed")
        self.assertEqual(job["error"]["code"], "unsupported-file", job["error"])
        job = self.build(file_at("/srv/x"), base=base)  # it is in the cache now, but cannot be read
        self.assertEqual(self.warnings(job), ["base-not-examined"])


if __name__ == "__main__":
    unittest.main()
