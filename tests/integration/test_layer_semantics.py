# SPDX-License-Identifier: Apache-2.0
"""What the entries of a layer mean, seen from outside: what the text alone shows to be wrong is refused at the POST with its pointer,
and the rest comes out as the API says. Python's tarfile reads the layers."""

import io
import json
import os
import tarfile
import unittest

from daemon import Daemon, parse_problem, run_drayd
from images import sha256, tar


class LayerSemantics(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.root = cls.daemon.build_root
        for name, mode in (("a/x", 0o644), ("a/run", 0o755), ("a/d/y", 0o600), ("b/x", 0o644), ("b/d", 0o644)):
            (cls.root / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.root / name).write_text(name)
            (cls.root / name).chmod(mode)
        (cls.root / "to-d").symlink_to("a/d")
        (cls.root / "to-x").symlink_to(cls.root / "a/x")

    def spec(self, files, **more):
        return {"kind": "build", "base": "scratch", "targets": [f"oci:{self.daemon.output_root}/{self.id()}:1"],
                "layers": [{"compression": "none", "files": files}], **more}

    def copy(self, name, to, **more):
        return {"from": f"{self.root}/{name}", "to": to, **more}

    def build(self, *files, **more):
        """Lines as "TYPE MODE OWNER MTIME NAME REST" of the layer's members."""
        self.daemon.run_job(self.spec(files, **more))
        layout = self.daemon.output_root / self.id()
        manifest = json.loads(self.blob(layout, json.loads((layout / "index.json").read_bytes())["manifests"][0]))
        lines = []
        with tarfile.open(fileobj=io.BytesIO(self.blob(layout, manifest["layers"][0]))) as layer:
            for m in layer:
                kind = "d" if m.isdir() else "l" if m.issym() else "h" if m.islnk() else "f"
                rest = m.linkname if kind in "lh" else layer.extractfile(m).read().decode() if kind == "f" else ""
                attributes = "".join(f" {k[13:]}={v}" for k, v in m.pax_headers.items() if k.startswith("SCHILY.xattr."))
                lines.append(f"{kind} {m.mode:04o} {m.uid}:{m.gid} {int(m.mtime)} {m.name} {rest}{attributes}".rstrip())
        return lines

    @staticmethod
    def blob(layout, descriptor):
        return (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

    # -- what the text shows

    def refused(self, entry, member, detail):
        problem = parse_problem(self.daemon.request("POST", "/v1/jobs", json=self.spec([{"type": "directory", "to": "/"}, entry])),
                                400, "invalid-request")
        self.assertEqual(problem["errors"][0]["pointer"], f"/layers/0/files/1/{member}", problem)
        self.assertIn(detail, problem["detail"])

    def test_judged_at_the_post(self):
        a = self.copy("a", "/t")
        self.refused({**a, "exclude": ["ok", "a["]}, "exclude", '"a[" is not a pattern')
        self.refused({**a, "exclude": ["!"]}, "exclude", '"!" is not a pattern')
        self.refused({**a, "xattrs": ["user"]}, "xattrs", "user.x")
        self.refused({**a, "xattrs": ["trusted.overlay.opaque"]}, "xattrs", "none of trusted.*")
        self.refused({**a, "ignore_files": ["../.dockerignore"]}, "ignore_files", "plain names")
        self.refused({**a, "ignore_files": [""]}, "ignore_files", "plain names")
        self.refused({**a, "mode": "rwx"}, "mode", '"rwx" is not a mode')
        self.refused({**a, "owner": "node"}, "owner", "must be numbers")
        self.refused({**a, "mtime": "yesterday"}, "mtime", "RFC 3339")
        self.refused({**a, "symlinks": "maybe"}, "symlinks", "follow")
        for path in ("/", "//", "/./."):
            self.refused({"type": "file", "to": path, "text": ""}, "to", "can only be a directory")
            self.refused({"type": "symlink", "to": path, "target": "x"}, "to", "can only be a directory")
            self.refused({"type": "delete", "path": path}, "path", "cannot be deleted")
        self.refused({"type": "context", "digest": "sha256:5", "to": "/"}, "digest", "is not a digest")
        self.refused({"type": "file", "to": "/x", "base64": "?"}, "base64", "RFC 4648")

    # -- what comes out

    def test_later_entries_win(self):
        self.assertEqual(self.build(self.copy("a", "/t"), self.copy("b", "/t")),
                         ["d 0755 0:0 0 t", "f 0644 0:0 0 t/d b/d", "f 0755 0:0 0 t/run a/run", "f 0644 0:0 0 t/x b/x"])

    def test_a_directory_in_place_of_a_file_is_new(self):
        self.assertEqual(self.build(self.copy("b", "/t"), self.copy("a", "/t")),
                         ["d 0755 0:0 0 t", "d 0755 0:0 0 t/d", "f 0644 0:0 0 t/d/.wh..wh..opq", "f 0644 0:0 0 t/d/y a/d/y",
                          "f 0755 0:0 0 t/run a/run", "f 0644 0:0 0 t/x a/x"])

    def test_where_a_source_lands(self):
        self.assertEqual(self.build(self.copy("a/x", "/one/exactly"), self.copy("a/x", "/two/"), self.copy("a/d", "/three/"),
                                    self.copy("a/d", "/four"), self.copy("a/x", "/")),
                         ["d 0755 0:0 0 four", "f 0644 0:0 0 four/y a/d/y", "d 0755 0:0 0 one", "f 0644 0:0 0 one/exactly a/x",
                          "d 0755 0:0 0 three", "d 0755 0:0 0 three/d", "f 0644 0:0 0 three/d/y a/d/y",
                          "d 0755 0:0 0 two", "f 0644 0:0 0 two/x a/x", "f 0644 0:0 0 x a/x"])

    def test_from_may_be_a_link(self):
        self.assertEqual(self.build(self.copy("to-d", "/l/"), self.copy("to-x", "/l/"), self.copy("to-d/y", "/y")),
                         ["d 0755 0:0 0 l", "d 0755 0:0 0 l/to-d", "f 0644 0:0 0 l/to-d/y a/d/y", "f 0644 0:0 0 l/to-x a/x",
                          "f 0644 0:0 0 y a/d/y"])

    def test_removals(self):
        self.assertEqual(self.build(self.copy("a", "/t"), {"type": "delete", "path": "/t/d"}, {"type": "opaque", "path": "/v"}),
                         ["d 0755 0:0 0 t", "f 0644 0:0 0 t/.wh.d", "f 0755 0:0 0 t/run a/run", "f 0644 0:0 0 t/x a/x",
                          "d 0755 0:0 0 v", "f 0644 0:0 0 v/.wh..wh..opq"])

    def test_rules_of_owner_mode_and_time(self):
        self.assertEqual(
            self.build(self.copy("a/d", "/keep", mode="keep", owner="5:6"), self.copy("a/d", "/octal", mode="0640"),
                       self.copy("a/d/y", "/symbolic", mode="go=r,u+x"), self.copy("a/run", "/time", mtime="2026-01-01T02:00:00+02:00"),
                       {"type": "directory", "to": "/keep", "owner": "7:8", "mode": "01777"}, created="2001-02-03T04:05:06Z"),
            ["d 1777 7:8 981173106 keep", "f 0600 5:6 981173106 keep/y a/d/y", "d 0640 0:0 981173106 octal",
             "f 0640 0:0 981173106 octal/y a/d/y", "f 0744 0:0 981173106 symbolic a/d/y", "f 0755 0:0 1767225600 time a/run"])

    def test_rules_for_tars(self):
        (self.root / "x.tar").write_bytes(tar({"d": None, "d/f": b"1", "l": "d/f"}))
        source = self.copy("x.tar", "/t", type="tar")
        self.assertEqual(self.build(source), ["d 0755 0:0 0 t", "d 0755 0:0 0 t/d", "f 0644 0:0 0 t/d/f 1", "l 0777 0:0 0 t/l d/f"])
        self.assertEqual(self.build({**source, "owner": "5:6", "mode": "go-rwx,u=rwX", "mtime": "2026-01-01T00:00:00Z"}),
                         ["d 0755 0:0 0 t", "d 0700 5:6 1767225600 t/d", "f 0600 5:6 1767225600 t/d/f 1",
                          "l 0777 5:6 1767225600 t/l d/f"])
        data = tar({"f": b"2"})
        digest = sha256(data)
        self.daemon.request("PUT", f"/v1/contexts/{digest}", body=data, headers={"Content-Type": "application/x-tar"})
        self.assertEqual(self.build({"type": "context", "digest": digest, "to": "/", "owner": "9:9"}), ["f 0644 9:9 0 f 2"])

    def test_extended_attributes(self):
        (self.root / "x").mkdir()
        (self.root / "x/f").write_text("f")
        os.setxattr(self.root / "x/f", "user.one", b"1")
        os.setxattr(self.root / "x/f", "user.two", b"2")
        self.assertEqual(self.build(self.copy("x", "/x", xattrs=["user.one", "user.none"]), self.copy("x", "/y")),
                         ["d 0755 0:0 0 x", "f 0644 0:0 0 x/f f user.one=1", "d 0755 0:0 0 y", "f 0644 0:0 0 y/f f"])


class SourceDateEpoch(unittest.TestCase):
    def times(self, daemon, name, **more):
        layout = daemon.output_root / name
        daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"oci:{layout}:1"], **more, "layers": [
            {"compression": "none", "files": [{"type": "file", "to": "/x", "text": "x"}]}]})
        manifest = json.loads(LayerSemantics.blob(layout, json.loads((layout / "index.json").read_bytes())["manifests"][0]))
        config = json.loads(LayerSemantics.blob(layout, manifest["config"]))
        with tarfile.open(fileobj=io.BytesIO(LayerSemantics.blob(layout, manifest["layers"][0]))) as layer:
            return config["created"], config["history"][-1]["created"], layer.next().mtime

    def test_the_time_of_everything(self):
        with Daemon(more={"SOURCE_DATE_EPOCH": "1700000000"}) as daemon:
            self.assertEqual(self.times(daemon, "by-daemon"), ("2023-11-14T22:13:20Z",) * 2 + (1700000000,))
            self.assertEqual(self.times(daemon, "by-job", created="2001-02-03T04:05:06Z"), ("2001-02-03T04:05:06Z",) * 2 + (981173106,))
        with Daemon() as daemon:
            self.assertEqual(self.times(daemon, "by-nobody"), ("1970-01-01T00:00:00Z",) * 2 + (0,))

    def test_no_number(self):
        done = run_drayd("--check-config", more={"SOURCE_DATE_EPOCH": "yesterday"})
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("SOURCE_DATE_EPOCH", done.stderr)


if __name__ == "__main__":
    unittest.main()
