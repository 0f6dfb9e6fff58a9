# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with a blob: one of LARGE_GB gigabytes (20 unless said), made on the fly by the source and kept nowhere,
from registry to registry, beside one of a megabyte."""

import json
import os
import threading
import unittest

from daemon import Daemon
from scripted_registry import OCI_MANIFEST, ScriptedRegistry

SMALL_BYTES = 1_000_000
LARGE_BYTES = int(float(os.environ.get("LARGE_GB", "20")) * 1e9)
ROOM_KIB = 5_000_000 // 1024
PAUSE_S = 0.02
# Memory that a sanitizer keeps back for its own purpose is not what is measured here.
SANITIZER = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"


def add_image(registry, tag, size):
    config = json.dumps({"os": "linux", "architecture": "amd64",
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}})
    layer = registry.store.add_block_blob("team/app", size)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config),
                           "digest": registry.store.add_blob("team/app", config.encode())},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": size}]}
    registry.store.add_manifest("team/app", json.dumps(manifest).encode(), OCI_MANIFEST, tag)


class Peak:
    """The largest RssAnon of a daemon while the block runs, in KiB."""

    def __init__(self, daemon):
        self.daemon, self.kib, self.over = daemon, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(PAUSE_S):
            self.kib = max(self.kib, self.daemon.memory_kib())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.kib = max(self.kib, self.daemon.memory_kib())


class LargeBlob(unittest.TestCase):
    def copy(self, size):
        """Peak memory of a fresh daemon that copies an image with one layer of so many bytes."""
        with ScriptedRegistry() as source, ScriptedRegistry(store_uploads=False) as target, \
                Daemon(more={"ASAN_OPTIONS": SANITIZER}) as daemon:
            add_image(source, "1", size)
            with Peak(daemon) as peak:
                job = daemon.run_job({"kind": "copy", "source": f"{source.address}/team/app:1",
                                      "targets": [f"{target.address}/team/app:1"]}, timeout=1200)
            stats = job["result"]["stats"]
            self.assertGreaterEqual(stats["bytes_sent"], size)
            self.assertEqual(target.check(), [])
            print(f"{size} bytes: peak RssAnon {peak.kib} KiB, {stats['duration_ms']} ms, {stats['requests']} requests")
            return peak.kib

    def test_memory_does_not_grow(self):
        small, large = self.copy(SMALL_BYTES), self.copy(LARGE_BYTES)
        self.assertLess(large, small + ROOM_KIB)


if __name__ == "__main__":
    unittest.main()
