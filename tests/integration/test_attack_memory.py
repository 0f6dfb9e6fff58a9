# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with what is moved, and what many jobs share moves once.

DRAY_FULL=1 makes the large blob 20 GB.
"""

import hashlib
import http.server
import json
import os
import re
import socketserver
import tempfile
import threading
import time
import unittest

from daemon import Daemon
from images import CONFIG, LAYER, MANIFEST, Repository, put_image, sha256
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
ASAN = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("TSAN_OPTIONS"))
MIB = 1 << 20
BLOCK = bytes(range(256)) * (MIB // 256)


def pattern_digest(size):
    whole = hashlib.sha256()
    for _ in range(size // MIB):
        whole.update(BLOCK)
    return "sha256:" + whole.hexdigest()


class Stub(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves one image with a layer that is made while it is sent, and takes any upload without keeping it."""

    daemon_threads = True

    def __init__(self, size):
        self.size, self.layer, self.taken = size, pattern_digest(size), {}
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [self.layer]}}).encode()
        self.config = config
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
                                    "layers": [{"mediaType": LAYER, "digest": self.layer, "size": size}]}).encode()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        stub, name = self.server, self.path.rsplit("/", 1)[-1]
        if self.path == "/v2/":
            return self.answer(200, b"{}")
        if "/target/" in self.path:
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        if "/manifests/" in self.path:
            return self.answer(200, stub.manifest, [("Content-Type", MANIFEST), ("Docker-Content-Digest", sha256(stub.manifest))])
        if name == sha256(stub.config):
            return self.answer(200, stub.config)
        self.send_response(200)
        self.send_header("Content-Length", str(stub.size))
        self.end_headers()
        if self.command != "HEAD":
            for _ in range(stub.size // MIB):
                self.wfile.write(BLOCK)

    do_HEAD = do_GET

    def do_POST(self):
        self.answer(202, b"", [("Location", "/v2/target/blobs/uploads/1"), ("Range", "0-0")])

    def take(self):
        left = int(self.headers.get("Content-Length", 0))
        got = 0
        while left:
            piece = self.rfile.read(min(left, MIB))
            if not piece:
                return got
            left -= len(piece)
            got += len(piece)
        return got

    def do_PUT(self):
        self.take()
        found = re.search(r"digest=(sha256(?::|%3A)[0-9a-f]+)", self.path)
        digest = found[1].replace("%3A", ":") if found else sha256(self.server.manifest)
        self.answer(201, b"", [("Docker-Content-Digest", digest), ("Location", self.path)])

    def do_PATCH(self):
        got = self.take()
        self.answer(202, b"", [("Location", "/v2/target/blobs/uploads/1"), ("Range", f"0-{got - 1}")])


class Memory(unittest.TestCase):
    def peak_of(self, size):
        stub = Stub(size)
        with Daemon() as daemon:
            job = daemon.post_job({"kind": "copy", "source": f"{stub.address}/source:1", "targets": [f"{stub.address}/target:1"]})
            peak, begin = 0, time.monotonic()
            while not (done := daemon.job(job["id"]))["terminal"]:
                peak = max(peak, daemon.memory_kib())
                time.sleep(0.02)
            peak = max(peak, daemon.memory_kib())
            self.assertEqual(done["state"], "succeeded", done["error"])
            self.assertEqual(done["result"]["stats"]["bytes_sent"] >= size, True, done["result"]["stats"])
            took = time.monotonic() - begin
        stub.shutdown()
        stub.server_close()
        print(f"{size // MIB} MiB: peak RssAnon {peak} KiB, {took:.1f} s", flush=True)
        return peak

    def test_memory_does_not_grow_with_a_blob(self):
        small = self.peak_of(MIB)
        large = self.peak_of((20 << 30) if FULL else (256 << 20) if ASAN else (2 << 30))
        if not ASAN:
            self.assertLess(large - small, 5 * 1024)


class Shared(unittest.TestCase):
    def test_many_jobs_one_base(self):
        jobs, size = 100, 100 << 20
        if ASAN:
            jobs, size = 40, 20 << 20
        with Registry() as one, Registry() as two, Daemon() as daemon:
            put_image(Repository(one, "base"), "1", [{"a": os.urandom(size)}], compress=bytes, media_type="application/vnd.oci.image.layer.v1.tar")
            begin = time.monotonic()
            ids = [daemon.post_job({"kind": "build", "base": f"{one.address}/base:1", "platforms": ["linux/amd64"], "targets": [f"{two.address}/app:{i}"],
                                    "layers": [{"files": [{"type": "file", "to": "/n", "text": str(i)}]}]})["id"] for i in range(jobs)]
            stats = []
            for job_id in ids:
                job = daemon.wait_job(job_id)
                self.assertEqual(job["state"], "succeeded", job["error"])
                stats.append(job["result"]["stats"])
            sent, received = (sum(s[k] for s in stats) for k in ("bytes_sent", "bytes_received"))
            print(f"{jobs} jobs with one base of {size >> 20} MiB: sent {sent / MIB:.1f}, received {received / MIB:.1f} MiB, "
                  f"{time.monotonic() - begin:.1f} s, RssAnon {daemon.memory_kib()} KiB", flush=True)
            self.assertLess(sent, size + (8 << 20))
            self.assertLess(received, size + (8 << 20))


if __name__ == "__main__":
    unittest.main()
