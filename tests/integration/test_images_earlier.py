# SPDX-License-Identifier: Apache-2.0
"""Little changed, little work: a build takes unchanged blocks from the layer that an earlier one made, with the same result."""

import random
import shutil
import unittest

from daemon import Daemon
from images import Repository
from registries import Registry

FILES = 400


def fill(root):
    """About 12 MB, the same each time; of it some dependencies."""
    noise = random.Random(7)
    words = [bytes(noise.choices(b"abcdefghijklmnopqrstuvwxyz", k=noise.randint(2, 9))) for _ in range(4000)]
    for i in range(FILES):
        folder = root / ("node_modules" if i % 2 else "src") / f"d{i % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{i}.js").write_bytes(b" ".join(noise.choices(words, k=5000)))


class Earlier(unittest.TestCase):
    def setUp(self):
        self.registry = Registry()
        self.addCleanup(self.registry.stop)
        self.daemon = self.enterContext(Daemon())
        self.tree = self.daemon.build_root / "app"
        fill(self.tree)

    def spec(self, **layer):
        return {"kind": "build", "base": "scratch", "targets": [f"{Repository(self.registry, 'early').ref}:1"],
                "layers": [{"files": [{"from": str(self.tree), "to": "/app"}], **layer}]}

    def build(self, **layer):
        """The job, the blocks of its layers and how many of them were taken from earlier ones."""
        job = self.daemon.run_job(self.spec(**layer))
        told = [e for e in self.daemon.events(job["id"]) if e["type"] == "log" and e["code"] == "blocks-reused"]
        return job, sum(e["blocks"] for e in told), sum(e["blocks_reused"] for e in told)

    def change(self, text):
        (self.tree / "src/d4/file4.js").write_text(text)

    def check_same_as_fresh(self, job, **layer):
        with Daemon(roots=[self.tree]) as other:
            fresh = other.run_job(self.spec(**layer))
        self.assertEqual(job["result"]["digest"], fresh["result"]["digest"])

    def check_mostly_reused(self, job, blocks, reused, **layer):
        self.assertGreater(blocks, 8)
        self.assertGreaterEqual(reused, blocks - 3)
        self.assertLess(reused, blocks)
        self.check_same_as_fresh(job, **layer)

    def test_one_file_changed(self):
        self.assertEqual(self.build()[2], 0)
        for algorithm in (None, "zstd", "estargz"):
            layer = {"compression": algorithm} if algorithm else {}
            with self.subTest(algorithm):
                self.build(**layer)
                self.change(f"one line for {algorithm}\n")
                self.check_mostly_reused(*self.build(**layer), **layer)
        metrics = self.daemon.request("GET", "/metrics").text
        self.assertRegex(metrics, r'dray_layer_blocks_total\{how="reused"\} [1-9]')

    def test_after_a_restart(self):
        self.build()
        self.change("after the restart\n")
        self.daemon.restart()
        self.check_mostly_reused(*self.build())

    def damage(self, paths, change):
        paths = list(paths)
        self.assertTrue(paths)
        for path in paths:
            data = bytearray(path.read_bytes())
            path.chmod(0o600)
            path.write_bytes(change(data))

    def blobs(self):
        return [p for p in self.daemon.cache.glob("blobs/sha256/*") if p.stat().st_size > 100000]

    def test_damaged_blob(self):
        self.build()
        self.damage(self.blobs(), lambda data: bytes(b ^ 1 for b in data))
        self.change("another line\n")
        job, _, reused = self.build()
        self.assertEqual(reused, 0)
        self.check_same_as_fresh(job)

    def test_short_or_lost_blob(self):
        self.build()
        self.damage(self.blobs(), lambda data: data[:len(data) // 2])
        self.change("another line\n")
        self.check_same_as_fresh(self.build()[0])
        self.daemon.request("POST", "/v1/cache/prune", json={"keep_bytes": 0})
        self.change("a third line\n")
        job, _, reused = self.build()
        self.assertEqual(reused, 0)
        self.check_same_as_fresh(job)

    def test_damaged_note(self):
        for change in (lambda data: data[:-40], lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], lambda data: b""):
            self.build()
            self.damage(self.daemon.state.glob("notes/*"), change)
            self.change(f"{random.random()}\n")
            job, _, reused = self.build()
            self.assertEqual(reused, 0)
        self.check_same_as_fresh(job)

    def test_split_sends_little(self):
        for folder in set(self.tree.glob("src/*")) - {self.tree / "src/d4"}:
            shutil.rmtree(folder)
        first, _, _ = self.build(split="auto")
        self.assertGreater(first["result"]["stats"]["bytes_sent"], 3 << 20)
        self.change("one line\n")
        job, _, _ = self.build(split="auto")
        self.assertEqual([layer["made"] for layer in job["result"]["layers"]], ["cached", "built"])
        self.assertLessEqual(job["result"]["stats"]["bytes_sent"], 1 << 20)
        self.check_same_as_fresh(job, split="auto")


if __name__ == "__main__":
    unittest.main()
