# SPDX-License-Identifier: Apache-2.0
"""Thousands of event streams: order, memory, how fast others are served, readers that never read, readers that vanish.

DRAY_FULL=1 makes it 10,000 streams.
"""

import datetime
import os
import re
import resource
import selectors
import socket
import struct
import threading
import time
import unittest

from daemon import Daemon
from images import Repository, put_image
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
ASAN = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("TSAN_OPTIONS"))
STREAMS = 10_000 if FULL else 500 if ASAN else 2_000
JOBS = 100 if not ASAN else 30
READERS = 200 if ASAN else 1000

resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)


def connect(daemon, path, accept="application/x-ndjson", receive_bytes=None):
    s = socket.socket(socket.AF_UNIX)
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    until = time.monotonic() + 30
    while True:
        try:
            s.connect(str(daemon.socket))
            break
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
    return s


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def wait_until(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


class Busy:
    """Registries, one per port, that ask everybody to come again in a second: a job gets one `retry` event a second."""

    ANSWER = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def __init__(self, count):
        self.selector, self.going = selectors.DefaultSelector(), True
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for listener in self.listeners:
            self.selector.register(listener, selectors.EVENT_READ)
        self.addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in self.listeners]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while self.going:
            for key, _ in self.selector.select(0.2):
                client, _ = key.fileobj.accept()
                with client:
                    client.recv(65536)
                    client.sendall(self.ANSWER)

    def stop(self):
        self.going = False
        for listener in self.listeners:
            listener.close()


class Reader:
    """Reads chunked NDJSON of many sockets in one thread and notes seq per stream, and how old `retry` events are."""

    def __init__(self):
        self.ages = []
        self.selector = selectors.DefaultSelector()
        self.buffers, self.seqs, self.bad, self.ended, self.lines = {}, {}, [], 0, 0
        self.going = True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def add(self, s):
        s.setblocking(False)
        self.buffers[s], self.seqs[s] = b"", 0
        self.selector.register(s, selectors.EVENT_READ)

    def run(self):
        while self.going:
            for key, _ in self.selector.select(0.2):
                self.take(key.fileobj)

    def take(self, s):
        try:
            data = s.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(s)
            self.ended += 1
            return
        *lines, rest = (self.buffers[s] + data).split(b"\n")
        self.buffers[s] = rest
        for line in lines:
            found = re.match(rb'{"seq":\s*(\d+)', line)
            if found:
                told = re.search(rb'"time":"([^"]+)","type":"retry"', line)
                if told:
                    at = datetime.datetime.fromisoformat(told[1].decode()).timestamp()
                    self.ages.append(time.time() - at)
                self.lines += 1
                if int(found[1]) != self.seqs[s] + 1:
                    self.bad.append((int(found[1]), self.seqs[s]))
                self.seqs[s] = int(found[1])


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.one, cls.two = Registry(), Registry()
        cls.addClassCleanup(cls.one.stop)
        cls.addClassCleanup(cls.two.stop)
        repository = Repository(cls.one, "source")
        for i in range(8):
            put_image(repository, str(i), [{"a": os.urandom(1_000_000 if ASAN else 10_000_000)}, {"b": os.urandom(100_000)}])

    def start(self, **settings):
        daemon = Daemon(settings={key.replace("__", "."): value for key, value in settings.items()})
        self.addCleanup(daemon.remove)
        self.addCleanup(daemon.kill)
        return daemon

    def copy(self, daemon, i, tag):
        return daemon.post_job({"kind": "copy", "source": f"{self.one.address}/source:{i % 8}", "force": True,
                                "targets": [f"{self.two.address}/streams{i}:{tag}"]})["id"]

    def test_many_streams_over_jobs_that_run(self):
        # max_running lets eight go at a time; the others wait.
        daemon = self.start(limits__max_running=8, limits__max_connections=20000, daemon__heartbeat_ms=1000)
        before = daemon.memory_kib()
        ids = [self.copy(daemon, i, "a") for i in range(JOBS)]
        reader = Reader()
        reader.thread.start()
        for i in range(STREAMS):
            reader.add(connect(daemon, f"/v1/jobs/{ids[i % JOBS]}/events"))
        peak, posts = 0, []
        while not all(daemon.job(i)["terminal"] for i in ids):
            peak = max(peak, daemon.memory_kib())
            begin = time.monotonic()
            daemon.refused_job({"kind": "copy"})
            posts.append(time.monotonic() - begin)
            time.sleep(0.1)
        wait_until(lambda: reader.ended == STREAMS, 60, f"only {reader.ended} streams ended")
        posts.sort()
        print(f"{STREAMS} streams: RssAnon {before} -> {peak} KiB, {reader.lines} kept events, "
              f"POST p50 {posts[len(posts) // 2] * 1000:.1f} max {posts[-1] * 1000:.1f} ms", flush=True)
        reader.going = False
        self.assertEqual(reader.bad, [])
        expected = {i: daemon.job(i)["state"] for i in ids}
        self.assertEqual(set(expected.values()), {"succeeded"})
        seqs = list(reader.seqs.values())
        for i, job_id in enumerate(ids):
            last = list(daemon.events(job_id, follow=False))[-1]
            self.assertEqual(last["type"], "job.finished")
            for k in range(i, STREAMS, JOBS):
                self.assertEqual(seqs[k], last["seq"], job_id)
        if not ASAN:
            self.assertLess(peak, 200_000)
        for s in reader.seqs:
            s.close()
        daemon.stop()

    def test_an_event_a_second(self):
        """While eight jobs copy, every other job has one kept event a second for all its readers."""
        seconds = 8 if FULL else 3
        busy = Busy(JOBS)
        self.addCleanup(busy.stop)
        daemon = self.start(limits__max_running=JOBS + 8, limits__max_connections=20000, network__retry_count=20,
                            network__retry_base_ms=1000, network__retry_max_ms=1000, daemon__heartbeat_ms=10000)
        ids = [daemon.post_job({"kind": "copy", "source": f"{address}/a/b:1", "targets": [f"{self.two.address}/none:1"]})["id"]
               for address in busy.addresses]
        reader = Reader()
        reader.thread.start()
        for i in range(STREAMS):
            reader.add(connect(daemon, f"/v1/jobs/{ids[i % JOBS]}/events"))
        time.sleep(2)
        reader.ages.clear()
        before, copies, until = reader.lines, 0, time.monotonic() + seconds
        while time.monotonic() < until:
            for job_id in [self.copy(daemon, i, f"second{copies}") for i in range(8)]:
                self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")
            copies += 8
        lines, ages = reader.lines - before, sorted(reader.ages)
        print(f"{STREAMS} streams, {lines / seconds:.0f} events a second, {copies} copies: age p50 {ages[len(ages) // 2] * 1000:.0f} "
              f"p99 {ages[len(ages) * 99 // 100] * 1000:.0f} ms, RssAnon {daemon.memory_kib()} KiB", flush=True)
        reader.going = False
        self.assertEqual(reader.bad, [])
        self.assertGreater(lines, STREAMS * seconds / 4)  # a round of copies may end late
        for s in reader.seqs:
            s.close()
        for job_id in ids:
            daemon.request("POST", f"/v1/jobs/{job_id}/cancel")
        for job_id in ids:
            self.assertIn(daemon.wait_job(job_id)["state"], ("cancelled", "failed"))
        daemon.stop()

    def test_readers_that_never_read(self):
        daemon = self.start(limits__max_connections=20000, daemon__heartbeat_ms=500, limits__write_timeout_ms=600000)
        first = self.copy(daemon, 0, "warm")
        daemon.wait_job(first)
        plain = self.timed(daemon, "plain")
        before = daemon.memory_kib()
        sleepers = [connect(daemon, "/v1/events", ["application/x-ndjson", "text/event-stream", "text/plain"][i % 3], 4096)
                    for i in range(READERS)]
        slow = self.timed(daemon, "slow")
        peak = daemon.memory_kib()
        each = (peak - before) / READERS
        print(f"{READERS} readers that never read: {each:.1f} KiB each; 24 jobs {plain:.2f} s without, {slow:.2f} s with", flush=True)
        if not ASAN:
            self.assertLess(each, 64)
        for s in sleepers:
            s.close()
        daemon.stop()

    def timed(self, daemon, tag):
        begin = time.monotonic()
        for job_id in [self.copy(daemon, i, tag) for i in range(24)]:
            self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")
        return time.monotonic() - begin

    def test_readers_that_vanish(self):
        heartbeat_ms = 500
        daemon = self.start(daemon__heartbeat_ms=heartbeat_ms, daemon__paused="true")
        job = self.copy(daemon, 0, "vanish")
        daemon.get("/v1/version")
        before = descriptors(daemon)
        for how in ("reset", "close", "half"):
            sockets = [connect(daemon, f"/v1/jobs/{job}/events" if i % 2 else "/v1/events") for i in range(200)]
            wait_until(lambda: descriptors(daemon) >= before + 195, 10, "the streams are not there")
            for s in sockets:
                if how == "reset":
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if how == "half":
                    s.recv(10)
                s.close()
            begin = time.monotonic()
            wait_until(lambda: descriptors(daemon) <= before + 2, heartbeat_ms / 1000 + 2, f"{how}: {descriptors(daemon)} descriptors, {before} before")
            print(f"200 readers vanish ({how}): {time.monotonic() - begin:.2f} s", flush=True)
        daemon.stop()

    def test_vanish_while_others_stay_and_daemon_stops(self):
        daemon = self.start(daemon__heartbeat_ms=200)
        ids = [self.copy(daemon, i, "mix") for i in range(8)]
        sockets = [connect(daemon, f"/v1/jobs/{ids[i % 8]}/events") for i in range(300)]
        for s in sockets[::2]:
            s.close()
        for job_id in ids:
            self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")
        daemon.stop()
        for s in sockets[1::2]:
            s.close()


if __name__ == "__main__":
    unittest.main()
