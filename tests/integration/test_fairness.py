# SPDX-License-Identifier: Apache-2.0
"""Who comes first: small jobs beside one of very many blobs, priorities, callers in turn, limits for each caller."""

import socket
import unittest

from daemon import Daemon, parse_problem
from scripted_registry import ScriptedRegistry

BLOBS, SMALL = 500, 50


class Fairness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry, cls.other = (cls.enterClassContext(ScriptedRegistry()) for _ in range(2))
        cls.registry.store.add_image("many", "1", layers=BLOBS, size=100)
        for i in range(SMALL):
            cls.registry.store.add_image(f"few{i}", "1", layers=1, size=100, seed=i + 1)

    def copy(self, name, **members):
        return {"kind": "copy", "source": f"{self.registry.address}/{name}:1", "targets": [f"{self.other.address}/{name}:1"], **members}

    def test_one_large_job_does_not_starve_fifty_small_ones(self):
        self.other.set(read_bps=5000)  # a blob takes a while, whatever the machine
        self.addCleanup(self.other.set, read_bps=0)
        with Daemon() as daemon:
            large = daemon.post_job(self.copy("many"))["id"]
            next(e for e in daemon.events(large) if e["type"] == "blob.state")
            small = [daemon.post_job(self.copy(f"few{i}"))["id"] for i in range(SMALL)]
            jobs = [daemon.wait_job(job_id) for job_id in [large, *small]]
            self.assertEqual({job["state"] for job in jobs}, {"succeeded"}, [job["error"] for job in jobs])
            self.assertEqual(jobs[0]["progress"]["blobs_total"], BLOBS + 1)
            ended = [(job["finished_at"], job["id"]) for job in jobs]
            self.assertEqual(max(ended)[1], large)

    def held(self, **settings):
        """A daemon that runs one job at a time, and one that holds it: nobody answers it."""
        daemon = self.enterContext(Daemon(tcp=True, settings={"limits.max_running": 1, **settings}))
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        holder = daemon.post_job({"kind": "copy", "source": f"127.0.0.1:{silent.getsockname()[1]}/a:1",
                                  "targets": [f"{self.other.address}/never:1"]})["id"]
        next(e for e in daemon.events(holder) if e["type"] == "job.started")
        return daemon, holder

    def started(self, daemon, holder, ids):
        """The names of the jobs in the order in which they were started, once the holder is gone."""
        daemon.request("POST", f"/v1/jobs/{holder}/cancel")
        for job_id in ids:
            self.assertEqual(daemon.wait_job(job_id)["state"], "succeeded")
        order = []
        for event in daemon.all_events(after="0"):
            if event["type"] == "job.started" and event["job"] in ids:
                order.append(ids[event["job"]])
            if len(order) == len(ids):
                return order

    def test_higher_priority_first(self):
        daemon, holder = self.held()
        ids = {daemon.post_job(self.copy(f"few{i}", priority=p))["id"]: p for i, p in enumerate((0, -5, 7, 0, 3))}
        self.assertEqual(self.started(daemon, holder, ids), [7, 3, 0, 0, -5])

    def test_callers_take_turns(self):
        daemon, holder = self.held()
        ids = {daemon.post_job(self.copy(f"few{i}"))["id"]: "first" for i in range(4)}
        answer = daemon.request("POST", "/v1/jobs", json=self.copy("few9"), tcp=True)
        ids[answer.json()["id"]] = "other"
        self.assertIn("other", self.started(daemon, holder, ids)[:2])

    def test_limit_of_each_caller(self):
        daemon, holder = self.held(**{"limits.max_queued_per_caller": 3})
        ids = [daemon.post_job(self.copy(f"few{i}"))["id"] for i in range(2)]
        answer = daemon.request("POST", "/v1/jobs", json=self.copy("few2"))
        parse_problem(answer, 503, "overloaded")
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(len(daemon.get("/v1/jobs")["items"]), 3)
        self.assertEqual(daemon.request("POST", "/v1/jobs", json=self.copy("few3"), tcp=True).status, 202)
        self.started(daemon, holder, dict.fromkeys(ids))
        self.assertEqual(daemon.run_job(self.copy("few4"))["state"], "succeeded")

    def test_limit_of_all_callers(self):
        daemon, holder = self.held(**{"limits.max_queued": 3})
        ids = [daemon.post_job(self.copy(f"few{i}"))["id"] for i in range(2)]
        answer = daemon.request("POST", "/v1/jobs", json=self.copy("few2"), tcp=True)
        parse_problem(answer, 503, "overloaded")
        self.started(daemon, holder, dict.fromkeys(ids))


if __name__ == "__main__":
    unittest.main()
