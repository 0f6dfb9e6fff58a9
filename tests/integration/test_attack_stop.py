# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of everything: running jobs, open streams, waiting requests, uploads. It ends with 0 and in time,
and the next start goes on. DRAY_FULL=1 tries more moments."""

import os
import signal
import threading
import time
import unittest

from daemon import Daemon
from images import Repository, put_image
from registries import Registry


FULL = os.environ.get("DRAY_FULL") == "1"


class Busy:
    """A daemon with running jobs, streams of each kind and waiting requests."""

    def __init__(self, registry, drain_ms, jobs=8, streams=60):
        self.daemon = Daemon(settings={"daemon.drain_ms": drain_ms, "network.retry_base_ms": 50})
        (self.daemon.build_root / "data").write_bytes(os.urandom(8_000_000))
        self.registry, self.threads, self.lines, self.streams = registry, [], 0, []
        self.jobs = {}
        for i in range(jobs):
            spec = {"kind": "build", "base": f"{registry.address}/base:1", "targets": [f"{registry.address}/stop:{os.urandom(4).hex()}"],
                    "platforms": ["linux/amd64"],
                    "layers": [{"files": [{"from": f"{self.daemon.build_root}/data", "to": f"/d{i}"},
                                          {"type": "file", "to": "/r", "text": os.urandom(8).hex()}]}]}
            self.jobs[self.daemon.post_job(spec)["id"]] = spec
        ids = list(self.jobs)
        kinds = ["application/x-ndjson", "text/event-stream", "text/plain"]
        for i in range(streams):
            path = "/v1/events" if i % 5 == 4 else f"/v1/jobs/{ids[i % len(ids)]}/events"
            if i % 7 == 3:
                path = f"/v1/jobs/{ids[-1]}?wait=60"
            self.threads.append(threading.Thread(target=self.read, args=(path, kinds[i % 3], i % 4), daemon=True))
            self.threads[-1].start()

    def read(self, path, kind, how):
        try:
            stream = self.daemon.open("GET", path, headers={"Accept": kind if "wait" not in path else "application/json"}, timeout=90)
            self.streams.append(stream)
            if how == 0:
                return  # never reads
            for _ in stream:
                self.lines += 1
        except OSError:
            pass
        except Exception:  # http.client: cut in the middle
            pass

    def finish(self, test):
        """After a start: all jobs reach their end."""
        for job_id in self.jobs:
            job = self.daemon.wait_job(job_id)
            test.assertEqual(job["state"], "succeeded", job["error"])
        self.daemon.stop()

    def clear(self):
        for stream in self.streams:
            stream.close()
        self.daemon.kill()
        self.daemon.remove()


class Stop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        put_image(Repository(cls.registry, "base"), "1", [{"a": os.urandom(2_000_000)}])

    def stop_busy(self, drain_ms, delay_s, again_s=None):
        busy = Busy(self.registry, drain_ms)
        self.addCleanup(busy.clear)
        time.sleep(delay_s)
        process = busy.daemon.process
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if again_s is not None:
            time.sleep(again_s)
            process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        took = time.monotonic() - begin
        self.assertEqual(code, 0, busy.daemon.log_text()[-4000:])
        busy.daemon.process = None
        for thread in busy.threads:
            thread.join(10)
            self.assertFalse(thread.is_alive(), "a reader hangs after the end")
        busy.daemon.start()
        busy.finish(self)
        return took

    def test_at_once(self):
        for delay in (0, 0.02, 0.1, 0.3) if FULL else (0.02, 0.1):
            self.assertLess(self.stop_busy(0, delay), 10)

    def test_with_time_to_drain(self):
        for delay in (0, 0.1) if FULL else (0.1,):
            self.assertLess(self.stop_busy(2000, delay), 15)

    def test_second_signal(self):
        for again in (0, 0.1, 0.5) if FULL else (0, 0.1):
            # Two signals close together may arrive as one.
            self.assertLess(self.stop_busy(20_000, 0.05, again), 3 if again >= 0.1 else 30)

    def test_draining_refuses_new_jobs_and_says_so(self):
        busy = Busy(self.registry, 3000, jobs=30, streams=4)
        self.addCleanup(busy.clear)
        busy.daemon.process.send_signal(signal.SIGTERM)
        seen = None
        while busy.daemon.process.poll() is None and not seen:
            try:
                answer = busy.daemon.request("POST", "/v1/jobs", json=next(iter(busy.jobs.values())), timeout=5)
            except Exception:
                break
            if answer.status == 503:
                seen = answer
        if seen:
            self.assertEqual(seen.json()["code"], "draining")
            self.assertIn("Retry-After", seen.headers)
        self.assertEqual(busy.daemon.process.wait(60), 0)
        busy.daemon.process = None


if __name__ == "__main__":
    unittest.main()
