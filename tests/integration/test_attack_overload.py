# SPDX-License-Identifier: Apache-2.0
"""More than there is room for: jobs, connections, descriptors. Refusals are quick, memory stays flat, what was accepted ends."""

import os
import socket
import subprocess
import time
import unittest
import unittest.mock

from daemon import Daemon
from images import Repository, put_image
from load import offer
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
ASAN = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("TSAN_OPTIONS"))
QUEUE = 104  # a multiple of the connections
POPEN = subprocess.Popen


class Overload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        put_image(Repository(cls.registry, "source"), "1", [{"a": os.urandom(100_000)}])

    def spec(self, i):
        return {"kind": "copy", "source": f"{self.registry.address}/source:1", "targets": [f"{self.registry.address}/over:{i}"]}

    def finish(self, daemon, ids):
        for job_id in ids:
            self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")

    def peak(self, daemon):
        """Jobs a second when never too many are offered."""
        begin, rounds = time.monotonic(), 5 if FULL else 2
        for k in range(rounds):
            answers = offer(daemon, lambda client, n: self.spec(f"p{k}-{client}-{n}"), count=QUEUE)  # pylint: disable=W0640
            self.assertEqual(answers.count(202), QUEUE)
            self.finish(daemon, answers.ids())
        return rounds * QUEUE / (time.monotonic() - begin)

    def test_ten_times_more_than_can_be_done(self):
        with Daemon(settings={"limits.max_queued": QUEUE, "limits.kept_jobs": 20}) as daemon:
            peak, figures = self.peak(daemon), []
            begin = time.monotonic()
            answers = offer(daemon, lambda client, n: self.spec(f"{client}-{n}"), seconds=60 if FULL else 4, rate=10 * peak,
                            meanwhile=lambda: figures.append(daemon.memory_kib()))
            self.finish(daemon, answers.ids())
            rate = answers.count(202) / (time.monotonic() - begin)
            print(f"{peak:.0f} jobs/s; offered {len(answers.list) / answers.seconds:.0f}/s: {rate:.0f} done/s, {answers.count(503)} refused "
                  f"(p99 {answers.p99(503) * 1000:.1f} ms), RssAnon {figures[len(figures) // 3]} -> {figures[-1]} KiB", flush=True)
            self.assertEqual(answers.count(202) + answers.count(503), len(answers.list))
            self.assertGreater(answers.count(503), answers.count(202))
            self.assertTrue(all(int(again) >= 1 for status, _, _, again in answers.list if status == 503))
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
