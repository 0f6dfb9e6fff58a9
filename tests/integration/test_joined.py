# SPDX-License-Identifier: Apache-2.0
"""Identical jobs at the same time: the work is done once, the others join it – every blob travels to each place once."""

import os
import unittest

from daemon import Daemon
from images import Repository, put_image
from scripted_registry import ScriptedRegistry

SIZE = 300_000
JOBS = 3


class Joined(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source, cls.one, cls.two = (cls.enterClassContext(ScriptedRegistry()) for _ in range(3))
        put_image(Repository(cls.source, "team/app"), "1", [{"a": os.urandom(SIZE)}, {"b": os.urandom(SIZE)}])

    def setUp(self):
        for registry in (self.one, self.two):
            registry.reset(read_bps=200_000)  # the first is at it long enough for the others to come
        self.source.requests.clear()
        self.daemon = self.enterContext(Daemon())
        (self.daemon.build_root / "data").write_bytes(os.urandom(SIZE))

    def wait_uploading(self, job_id):
        layers = []
        for event in self.daemon.events(job_id):
            if event["type"] == "job.plan":
                layers = [blob["blob"] for blob in event["blobs"] if blob["role"] == "layer"]
            elif event.get("state") == "uploading" and event["blob"] in layers:
                return

    def run_together(self, spec):
        """The jobs; the others come while the first one sends."""
        ids = [self.daemon.post_job(spec)["id"]]
        self.wait_uploading(ids[0])
        ids += [self.daemon.post_job(spec)["id"] for _ in range(JOBS - 1)]
        jobs = [self.daemon.wait_job(i) for i in ids]
        self.assertEqual({j["state"] for j in jobs}, {"succeeded"}, [j["error"] for j in jobs])
        self.assertEqual(len({j["result"]["digest"] for j in jobs}), 1)
        return jobs

    def check(self, jobs, *targets):
        """The first sent each blob once to each target; the others sent nothing, and tell that they joined."""
        for registry in targets:
            self.assertEqual(registry.check(), [])
            blobs = sum(layer["size"] for layer in jobs[0]["result"]["layers"])
            self.assertLess(registry.received(), blobs + 5_000)  # and one config
        self.assertGreater(jobs[0]["result"]["stats"]["bytes_sent"], SIZE * len(targets))
        for job in jobs[1:]:
            self.assertEqual(job["result"]["stats"]["bytes_sent"], 0)
            self.assertEqual(job["result"]["layers"][0]["targets"], ["joined"] * len(targets))
            joined = [e for e in self.daemon.events(job["id"]) if e["type"] == "blob.state" and e["state"] == "joined"]
            largest = jobs[0]["result"]["layers"][0]["digest"]
            self.assertEqual(len([e for e in joined if e["digest"] == largest]), len(targets))

    def test_copies(self):
        jobs = self.run_together({"kind": "copy", "source": f"{self.source.address}/team/app:1",
                                  "targets": [f"{self.one.address}/team/app:1"]})
        self.check(jobs, self.one)
        self.assertEqual(self.source.count("blob-get"), 3)

    def test_copies_to_two_registries(self):
        jobs = self.run_together({"kind": "copy", "source": f"{self.source.address}/team/app:1",
                                  "targets": [f"{self.one.address}/team/app:1", f"{self.two.address}/team/app:1"]})
        self.check(jobs, self.one, self.two)
        self.assertEqual(self.source.count("blob-get"), 3)

    def test_builds(self):
        jobs = self.run_together({"kind": "build", "base": "scratch",
                                  "targets": [f"{self.one.address}/team/app:1", f"{self.two.address}/team/app:2"],
                                  "layers": [{"files": [{"from": f"{self.daemon.build_root}/data", "to": "/data"}]}]})
        self.check(jobs, self.one, self.two)

    def test_another_identity_does_not_join(self):
        spec = {"kind": "copy", "source": f"{self.source.address}/team/app:1", "targets": [f"{self.one.address}/team/app:1"]}
        own = self.daemon.post_job(spec)["id"]
        other = self.daemon.post_job({**spec, "auth": {self.one.address: {"username": "u", "password": "p"}}})["id"]
        for job_id in (own, other):
            job = self.daemon.wait_job(job_id)
            self.assertEqual(job["state"], "succeeded", job["error"])
            self.assertNotIn("joined", [e.get("state") for e in self.daemon.events(job_id)])


if __name__ == "__main__":
    unittest.main()
