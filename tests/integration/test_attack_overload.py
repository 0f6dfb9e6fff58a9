# SPDX-License-Identifier: Apache-2.0
"""More than there is room for: jobs, connections, descriptors. Refusals are quick, memory stays flat, what was accepted ends."""

import json
import os
import socket
import subprocess
import threading
import time
import unittest
import unittest.mock

from daemon import Daemon
from images import Repository, put_image
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
ASAN = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("TSAN_OPTIONS"))

POPEN = subprocess.Popen


class Overload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        put_image(Repository(cls.registry, "source"), "1", [{"a": os.urandom(100_000)}])

    def spec(self, i):
        return {"kind": "copy", "source": f"{self.registry.address}/source:1", "targets": [f"{self.registry.address}/over:{i}"]}

    def test_more_jobs_than_the_queue_holds(self):
        with Daemon(settings={"limits.max_queued": 50, "limits.kept_jobs": 20}) as daemon:
            accepted, refused, times, figures = [], 0, [], []
            begin = time.monotonic()
            seconds = 40 if FULL else 4

            def offer(k):
                nonlocal refused
                n = 0
                connection = daemon.connection()
                while time.monotonic() < begin + seconds:
                    n += 1
                    started = time.monotonic()
                    connection.request("POST", "/v1/jobs", json.dumps(self.spec(f"{k}-{n}")), {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    body = json.loads(answer.read())
                    took = time.monotonic() - started
                    if answer.status == 202:
                        accepted.append(body["id"])
                    else:
                        self.assertEqual((answer.status, body["code"]), (503, "overloaded"))
                        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
                        times.append(took)
                        refused += 1
                        time.sleep(0.002)

            threads = [threading.Thread(target=offer, args=(k,)) for k in range(8)]
            for thread in threads:
                thread.start()
            while any(t.is_alive() for t in threads):
                figures.append(daemon.memory_kib())
                time.sleep(0.5)
            times.sort()
            for job_id in accepted:
                self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")
            self.assertGreater(refused, 0)
            p99 = times[len(times) * 99 // 100]
            print(f"{len(accepted)} accepted, {refused} refused, p99 {p99 * 1000:.1f} ms, RssAnon {figures} KiB", flush=True)
            if not ASAN:
                self.assertLess(figures[-1] - figures[len(figures) // 3], 12_000)

    def test_few_descriptors(self):
        """With 80 descriptors and many clients: it stays, answers again afterwards, and jobs end."""
        with Daemon(start=False, settings={"network.retry_base_ms": 50, "network.retry_count": 10}) as daemon:
            with unittest.mock.patch("daemon.subprocess.Popen", limited):
                daemon.start()
            ids = [daemon.post_job(self.spec(f"fd{i}"))["id"] for i in range(20)]
            sockets = [socket.socket(socket.AF_UNIX) for _ in range(150)]
            for s in sockets:
                s.connect(str(daemon.socket))
            time.sleep(1)
            spent = cpu(daemon)
            time.sleep(1)
            spent = cpu(daemon) - spent
            for s in sockets:
                s.close()
            states = {}
            for job_id in ids:
                job = daemon.wait_job(job_id)
                states[job["state"]] = states.get(job["state"], 0) + 1
                if job["error"]:
                    print(job["error"]["detail"], flush=True)
            print(states, f"processor while full {spent:.2f} s/s", flush=True)
            self.assertEqual(daemon.run_job(self.spec("after"))["state"], "succeeded")
            self.assertEqual(states, {"succeeded": 20})
            self.assertLess(spent, 0.6)
            spent = cpu(daemon)
            time.sleep(1)
            self.assertLess(cpu(daemon) - spent, 0.2, "it spins")


def limited(arguments, **keywords):
    return POPEN(["prlimit", "--nofile=80:80", *arguments], **keywords)


def cpu(daemon):
    fields = open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    unittest.main()
