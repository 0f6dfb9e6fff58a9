# SPDX-License-Identifier: Apache-2.0
"""Upload sessions across resets, kills and restarts: what a registry has acknowledged is not sent again, never to another blob, and
what nobody will go on with is ended. Counted from the registries' own logs."""

import contextlib
import json
import random
import re
import socket
import sqlite3
import threading
import time
import unittest

from daemon import Daemon
from registries import Registry
from scripted_registry import MIB, OCI_MANIFEST, Gone, Request, ScriptedRegistry, Wire, serve_each

CHUNK = 2 * MIB
CANARY = "canary5tate"


def put_image(registry, repository, tag, sizes):
    """An image of large layers; returns their digests and how many bytes a push of it takes."""
    layers = [registry.store.add_block_blob(repository, size, random.random()) for size in sizes]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}}).encode()
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                           "digest": registry.store.add_blob(repository, config), "size": len(config)},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": size}
                           for layer, size in zip(layers, sizes)]}
    registry.store.add_manifest(repository, json.dumps(manifest).encode(), OCI_MANIFEST, tag)
    return layers, sum(sizes) + len(config)


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)


class Case(unittest.TestCase):
    """A daemon that sends in small chunks, and an image to copy."""

    settings = {"network.chunk_bytes": CHUNK, "network.monolithic_max_bytes": 4 * MIB, "network.retry_base_ms": 50,
                "network.retry_max_ms": 500, "daemon.drain_ms": 200}

    def setUp(self):
        self.source = ScriptedRegistry()
        self.addCleanup(self.source.stop)
        self.daemon = Daemon(settings=self.settings)
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.kill)

    def copy(self, target, *sizes, **more):
        self.source.reset()
        self.layers, self.bytes = put_image(self.source, "from/app", "1", sizes)
        return self.daemon.post_job({"kind": "copy", "source": f"{self.source.address}/from/app:1",
                                     "targets": [f"{target}/to/app:1"], **more})["id"]

    def succeed(self, job):
        done = self.daemon.wait_job(job)
        self.assertEqual(done["state"], "succeeded", done["error"])
        return done


class ScriptedCase(Case):
    def setUp(self):
        super().setUp()
        self.target = ScriptedRegistry(location_query=f"_state={CANARY}%2F%3d", read_bps=50 * MIB)
        self.addCleanup(self.target.stop)

    def sent(self):
        return self.target.received("upload-")

    def log(self):
        return "\n".join(f"{r['time']:.3f} {r['method']} {r['target'][-60:]} {r['status']} {r['taken']} " +
                         " ".join(re.findall("range: .*", r["head"], re.I)) for r in self.target.requests)

    def sent_again(self):
        return self.sent() - self.bytes

    def arrived(self):
        return sum(upload.size for upload in list(self.target.store.uploads.values()))

    def killed(self, size, at, **more):
        """A job whose daemon is killed when so many bytes have arrived; not yet started again."""
        job = self.copy(self.target.address, size, **more)
        wait_for(lambda: self.arrived() >= at)
        self.daemon.kill()
        self.assertEqual(len(self.target.store.uploads), 1, "too late")
        return job

    def whole(self, job):
        """The job ends well, and so does everything at the registry."""
        self.succeed(job)
        self.assertIn(self.layers[0], self.target.store.repositories["to/app"].blobs)
        self.all_ended()

    def all_ended(self):
        wait_for(lambda: not self.target.store.uploads, 20)
        self.assertEqual(self.target.check(), [])
        self.daemon.stop()
        with contextlib.closing(sqlite3.connect(self.daemon.state / "dray.db")) as database:
            self.assertEqual(database.execute("SELECT count(*) FROM facts WHERE kind = 'upload'").fetchall(), [(0,)])


class Scripted(ScriptedCase):
    def test_five_resets_and_a_kill_send_six_chunks_again_at_most(self):
        for _ in range(5):
            self.target.fault("upload-patch", "reset", after_bytes=random.randrange(CHUNK), skip=random.randrange(5))
        job = self.killed(64 * MIB, random.randrange(4 * MIB, 40 * MIB))
        for path in self.daemon.directory.rglob("*"):
            if path.is_file():
                self.assertNotIn(CANARY.encode(), path.read_bytes(), path)
        self.daemon.start()
        self.whole(job)
        self.assertEqual([f.hits for f in self.target.faults], [1] * 5)
        self.assertLessEqual(self.sent_again(), 6 * CHUNK, self.log())

    def test_killed_again_and_again(self):
        job = self.killed(32 * MIB, 3 * MIB)
        for at in range(7, 28, 5):
            self.daemon.start()
            wait_for(lambda: self.arrived() >= at * MIB)
            time.sleep(random.random() / 50)
            self.daemon.kill()
        self.daemon.start()
        self.whole(job)
        self.assertLessEqual(self.sent_again(), 6 * CHUNK, self.log())

    def test_killed_in_one_large_put(self):
        index = self.daemon.arguments.index(f"network.monolithic_max_bytes={4 * MIB}")
        self.daemon.arguments[index] = "network.monolithic_max_bytes=1000000000"
        self.daemon.restart()
        job = self.killed(32 * MIB, 12 * MIB)
        self.daemon.start()
        self.whole(job)
        self.assertLessEqual(self.sent_again(), CHUNK, self.log())

    def test_a_stop_in_order_keeps_the_session_too(self):
        job = self.copy(self.target.address, 48 * MIB)
        wait_for(lambda: self.arrived() >= 8 * MIB)
        self.daemon.restart()
        self.whole(job)
        self.assertLessEqual(self.sent_again(), CHUNK, self.log())

    def test_a_step_that_is_tried_again_goes_on(self):
        self.target.fault("upload-patch", "status-503", skip=4)
        self.whole(self.copy(self.target.address, 24 * MIB))
        self.assertLessEqual(self.sent_again(), CHUNK, self.log())

    def test_two_registries_at_once(self):
        with ScriptedRegistry(read_bps=50 * MIB) as other:
            layers, size = put_image(self.source, "from/app", "1", [24 * MIB])
            job = self.daemon.post_job({"kind": "copy", "source": f"{self.source.address}/from/app:1",
                                        "targets": [f"{r.address}/to/app:1" for r in (self.target, other)]})["id"]
            for registry in (self.target, other):  # one after the other takes its chunks
                wait_for(lambda: sum(u.size for u in list(registry.store.uploads.values())) >= 9 * MIB)
                self.daemon.kill()
                self.daemon.start()
            self.layers = layers
            self.succeed(job)
            wait_for(lambda: not other.store.uploads, 20)
            self.whole(job)
            self.assertEqual(other.check(), [])
            for registry in (self.target, other):
                self.assertLessEqual(registry.received("upload-") - size, 2 * CHUNK)

    def test_a_session_that_vanished_costs_that_blob_only(self):
        self.target.fault("upload-patch", "stall", skip=6, seconds=60)
        job = self.copy(self.target.address, 6 * MIB, 24 * MIB)
        wait_for(lambda: self.target.count("upload-patch") >= 7)
        self.daemon.kill()
        with self.target.lock:
            self.assertTrue(self.target.store.uploads)
            for name in list(self.target.store.uploads):
                self.target.store.uploads.pop(name).discard()
        self.daemon.start()
        self.whole(job)
        self.assertLessEqual(self.sent_again(), 24 * MIB)


class Holder:
    """A relay in front of a registry that holds the number-th request to a session: at once, or inside its body. Others it cuts."""

    def __init__(self, port, number, inside, cuts):
        self.port, self.number, self.inside, self.cuts = port, number, inside, cuts
        self.seen = 0
        self.held = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.sent = {}  # session -> bytes of bodies
        serve_each(self.listener, self.serve)

    def serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.port))
        threading.Thread(target=self.back, args=(server, client), daemon=True).start()
        wire = Wire(client)
        try:
            while True:
                head = wire.read_head()
                self.forward(Request(wire, head, None), head, server)
        except (Gone, OSError):
            pass
        finally:
            server.close()
            client.close()

    def forward(self, request, head, server):
        hold = False
        if request.method in ("PATCH", "PUT") and "/blobs/uploads/" in request.path and request.length > MIB:
            self.seen += 1
            hold = self.seen == self.number
            if self.seen in self.cuts:
                request.wire.reset()
        if hold and not self.inside:
            self.hold(request)
        server.sendall((head + "\r\n\r\n").encode("latin-1"))
        session = request.path.rsplit("/", 1)[1] if "/blobs/uploads/" in request.path else None
        for piece in request.body():
            server.sendall(piece)
            self.sent[session] = self.sent.get(session, 0) + len(piece)
            if hold and request.taken > MIB:
                self.hold(request)

    def hold(self, request):
        self.held.set()
        request.wire.hang(60)

    @staticmethod
    def back(server, client):
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def stop(self):
        self.listener.close()


class Real(Case):
    def killed_at(self, number, inside, cuts=()):
        """The job ends well after a kill at that request; returns the bytes that each session took, the largest first."""
        with Registry() as registry:
            holder = Holder(registry.port, number, inside, cuts)
            self.addCleanup(holder.stop)
            job = self.copy(holder.address, 6 * MIB, 20 * MIB)
            self.assertTrue(holder.held.wait(60))
            wait_for(lambda: "uploading" in str(list(self.daemon.events(job, follow=False))))
            time.sleep(0.3)  # what was acknowledged before is committed, which nobody waits for
            self.daemon.kill()
            self.daemon.start()
            self.succeed(job)
            if not inside:
                wait_for(lambda: not registry.uploads(), 20)
            self.daemon.stop()
            holder.sent.pop(None)
            return sorted(holder.sent.values(), reverse=True)

    def test_between_chunks_it_resumes(self):
        cuts = random.sample(range(1, 9), 3) + random.sample(range(10, 15), 2)
        sent = self.killed_at(9, False, cuts)
        self.assertEqual(sum(sent), self.bytes, cuts)

    def test_inside_a_chunk_that_blob_begins_again(self):
        sent = self.killed_at(9, True)
        self.assertLessEqual(sum(sent) - self.bytes, 20 * MIB)
        self.assertIn(20 * MIB, sent)


if __name__ == "__main__":
    unittest.main()
