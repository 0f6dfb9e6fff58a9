# SPDX-License-Identifier: Apache-2.0
"""Many jobs and one host: what it says is left of its quota is not overrun, and a host that is down is not stormed."""

import time
import unittest

from daemon import Daemon
from scripted_registry import ScriptedRegistry


class Limits(unittest.TestCase):
    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.daemon = Daemon(settings={"network.retry_base_ms": 100, "network.retry_max_ms": 5000})
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)

    def post(self, count):
        return [self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/app{i}:1"],
                                      "layers": [{"files": [{"type": "file", "to": "/x", "text": f"{i}"}]}]})["id"]
                for i in range(count)]

    def refused(self):
        return sum(r["status"] == 429 for r in self.registry.requests)

    def test_a_quota_is_not_overrun(self):
        for form in ("hub", "reset"):
            with self.subTest(form):
                self.registry.reset(rate_limit=40, rate_window=2, rate_form=form)
                jobs = self.post(10)
                states = {self.daemon.wait_job(job)["state"] for job in jobs}
                self.assertEqual((states, self.refused()), ({"succeeded"}, 0))
                self.assertGreater(len(self.registry.requests), 40)
                told = [e for job in jobs for e in self.daemon.events(job) if e["type"] == "warning"]
                self.assertIn("few requests are left", str(told))
        # It is the headers that do it.
        self.registry.reset(rate_limit=40, rate_window=2)
        for job in self.post(10):
            self.daemon.wait_job(job)
        self.assertGreater(self.refused(), 0)

    def test_a_host_that_is_down_is_not_stormed(self):
        self.registry.fault("*", "reset", times=-1)
        jobs = self.post(50)
        time.sleep(4)
        attempts = self.registry.origins["main"].connections
        self.registry.clear_faults()
        for job in jobs:
            done = self.daemon.wait_job(job)
            self.assertEqual(done["state"], "succeeded", done["error"])
        # Four attempts of each would be 200. What is under way when the first fail is at most 16 (max_connections), then
        # one probe after 1 s, 2 s, 4 s …
        self.assertLessEqual(attempts, 16 + 5 + 3)
        self.assertGreaterEqual(attempts, 5)
        self.assertEqual(self.registry.check(), [])


if __name__ == "__main__":
    unittest.main()
