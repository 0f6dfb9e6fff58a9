# SPDX-License-Identifier: Apache-2.0
"""An image of 500 MB is flattened and compressed anew in a stream: private memory grows by 64 MiB at most."""

import gzip
import os
import unittest

from daemon import Daemon
from images import Repository, put_image
from registries import Registry

LAYERS, FILES, FILE_BYTES = 5, 100, 1_000_000  # half of each file is noise
LIMIT_KIB = 64 << 10


class ReshapeMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.app = Repository(cls.registry, "team/app")
        half = FILE_BYTES // 2
        put_image(cls.app, "1", [{f"l{i}/f{k}": os.urandom(half) + bytes(half) for k in range(FILES)} for i in range(LAYERS)],
                  compress=lambda data: gzip.compress(data, 1, mtime=0))
        # Memory that a sanitizer keeps back for its own purpose is not what is measured here.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8:thread_local_quarantine_size_kb=64"
        cls.daemon = cls.enterClassContext(Daemon(more={"ASAN_OPTIONS": options}))

    def check(self, name, layers, **members):
        before = highest = self.daemon.memory_kib()
        job = self.daemon.post_job({"kind": "build", "base": f"{self.app.ref}:1", "targets": [f"{self.app.ref}:{name}"], **members})
        while not self.daemon.get(f"/v1/jobs/{job['id']}")["terminal"]:
            highest = max(highest, self.daemon.memory_kib())
        self.assertEqual(self.daemon.job(job["id"])["state"], "succeeded")
        self.assertEqual(len(self.app.manifest(name)["layers"]), layers)
        print(f"{name}: {(highest - before) / 1024:.0f} MiB")
        self.assertLess(highest - before, LIMIT_KIB, name)

    def test_flatten(self):
        self.check("flat", 1, flatten="all")

    def test_recompress(self):
        for how in ("zstd", "estargz", "none"):
            with self.subTest(how):
                self.check(how, LAYERS, recompress=how)


if __name__ == "__main__":
    unittest.main()
