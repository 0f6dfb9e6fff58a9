# SPDX-License-Identifier: Apache-2.0
"""Flatten and recompress, judged by the file systems that umoci unpacks."""

import gzip
import unittest

from daemon import Daemon
from images import Repository, put_image, sha256
from registries import Registry


class Reshape(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.daemon = cls.enterClassContext(Daemon())
        cls.base = Repository(cls.registry, "re/base")
        put_image(cls.base, "1", [{"dir": None, "dir/a": b"1", "dir/b": b"1", "gone": b"1", "link": "dir/a"},
                                  {"dir/a": b"2", ".wh.gone": b"", "new": b"2"},
                                  {"dir/.wh.b": b"", "dir/c": b"3"}],
                  history=[{"created_by": "one"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "two"},
                           {"created_by": "three"}])
        cls.files = cls.base.files("1")

    def build(self, name, state="succeeded", **members):
        target = Repository(self.registry, name)
        job = self.daemon.run_job({"kind": "build", "base": f"{self.base.ref}:1", "targets": [f"{target.ref}:1"], **members},
                                  state=state)
        return target, job

    def check_history(self, config):
        filled = [h for h in config["history"] if not h.get("empty_layer")]
        self.assertEqual(len(filled), len(config["rootfs"]["diff_ids"]))

    def test_flatten_all(self):
        target, _ = self.build("re/all", flatten="all")
        manifest, config = target.manifest("1"), target.config("1")
        self.assertEqual(len(manifest["layers"]), 1)
        blob = target.blob(manifest["layers"][0]["digest"])
        self.assertEqual(sha256(gzip.decompress(blob)), config["rootfs"]["diff_ids"][0])
        self.assertEqual(target.files("1"), self.files)
        self.assertNotIn(b".wh.", gzip.decompress(blob))
        self.check_history(config)
        self.assertEqual([h["created_by"] for h in config["history"]], ["one", "ENV", "two", "three", "dray flatten"])

    def test_flatten_above_the_base(self):
        layers = [{"files": [{"type": "file", "to": "/x", "text": "1"}, {"type": "file", "to": "/y", "text": "1"}]},
                  {"files": [{"type": "delete", "path": "/x"}, {"type": "delete", "path": "/new"}]}]
        target, _ = self.build("re/above", flatten="above-base", layers=layers)
        manifest = target.manifest("1")
        self.assertEqual(manifest["layers"][:3], self.base.manifest("1")["layers"])
        self.assertEqual(len(manifest["layers"]), 4)
        expected = {k: v for k, v in self.files.items() if k != "new"}
        self.assertEqual(target.files("1"), {**expected, "y": b"1"})
        self.check_history(target.config("1"))

    def test_the_same_again_gives_the_same(self):
        first, _ = self.build("re/same1", flatten="all")
        second, _ = self.build("re/same2", flatten="all")
        self.assertEqual(first.digest("1"), second.digest("1"))

    def test_recompress(self):
        for algorithm, suffix in (("zstd", "zstd"), ("none", "tar")):
            with self.subTest(algorithm):
                target, _ = self.build(f"re/{algorithm}", recompress=algorithm)
                for layer in target.manifest("1")["layers"]:
                    self.assertTrue(layer["mediaType"].endswith(suffix), layer)
                self.assertEqual(target.config("1")["rootfs"], self.base.config("1")["rootfs"])
                self.daemon.run_job({"kind": "check", "source": f"{target.ref}:1", "deep": True})
                if algorithm == "none":  # umoci reads no zstd
                    self.assertEqual(target.files("1"), self.files)

    def test_recompress_to_what_it_is_moves_nothing(self):
        target, job = self.build("re/gzip", recompress={"algorithm": "gzip", "level": "small"})
        self.assertEqual(target.manifest("1")["layers"], self.base.manifest("1")["layers"])
        self.assertEqual(job["result"]["stats"]["bytes_received"], 0)

    def test_recompress_to_estargz(self):
        target, _ = self.build("re/estargz", recompress="estargz")
        for layer in target.manifest("1")["layers"]:
            self.assertIn("containerd.io/snapshot/stargz/toc.digest", layer["annotations"])
        found = {k: v for k, v in target.files("1").items() if not k.startswith((".no.prefetch", "stargz.index"))}
        self.assertEqual(found, self.files)

    def test_damaged_layer(self):
        bad = Repository(self.registry, "re/bad")
        put_image(bad, "1", [{"a": b"1"}, {"b": b"2"}], compress=lambda data: gzip.compress(data)[:-12])
        for members in ({"flatten": "all"}, {"recompress": "zstd"}):
            job = self.daemon.run_job({"kind": "build", "base": f"{bad.ref}:1", "targets": [f"{bad.ref}:2"], **members},
                                      state="failed")
            self.assertEqual(job["error"]["code"], "unsupported-file")
        self.assertFalse(bad.exists("2"))


if __name__ == "__main__":
    unittest.main()
