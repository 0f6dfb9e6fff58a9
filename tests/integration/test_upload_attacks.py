# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with an upload session that is to be gone on with: a registry that lies about its offset or leads elsewhere, tokens
that expire, jobs that end without it, other bytes, another key."""

import os
import unittest

from scripted_registry import MIB
from test_upload_sessions import CANARY, CHUNK, ScriptedCase, wait_for


class Attacks(ScriptedCase):
    def test_a_token_that_expires_several_times(self):
        self.target.set(auth="bearer", expires_in=0.5, read_bps=8 * MIB)
        login = {"auth": {self.target.address: {"username": "user", "password": "canary-passw0rd"}}}
        self.whole(self.copy(self.target.address, 16 * MIB, **login))
        refused = [r for r in self.target.requests if r["status"] == 401]
        self.assertGreaterEqual(len(refused), 4)
        self.assertEqual(self.target.tokens_given, len(refused))  # one new token each
        self.assertLessEqual(self.sent_again(), len(refused) * CHUNK)

    def test_lies_about_the_offset(self):
        for says in ("none", -3 * MIB, -CHUNK, CHUNK // 2, 3 * CHUNK, 1 << 40):
            with self.subTest(says):
                self.target.reset(read_bps=50 * MIB, status_says=says)
                job = self.killed(12 * MIB, 5 * MIB)
                self.daemon.start()
                self.succeed(job)
                wait_for(lambda: not self.target.store.uploads, 20)
                self.assertEqual(self.target.check(), [])
                self.assertLessEqual(self.sent_again(), 12 * MIB)

    def test_a_location_that_leads_elsewhere(self):
        login = {"auth": {self.target.address: {"username": "user", "password": "canary-passw0rd"}}}
        elsewhere = self.target.origins["cdn"].url + "/v2/to/app/blobs/uploads/x?_state=" + CANARY
        for location, reached in ((elsewhere, True), ("http://192.0.2.1/x", False), ("gopher://x/", False)):
            with self.subTest(location):
                self.target.reset(read_bps=50 * MIB, auth="basic")
                job = self.killed(12 * MIB, 5 * MIB, **login)
                self.target.fault("upload-get", "location-evil", location=location)
                self.daemon.start()
                self.succeed(job)
                self.assertEqual(self.target.check(sessions=False), [])  # no secret went there
                self.assertEqual(self.target.count(origin="cdn") > 0, reached)

    def test_cancelled_while_it_waits(self):
        self.target.fault("upload-patch", "status-503", skip=3, times=-1, headers={"Retry-After": "50"})
        index = self.daemon.arguments.index("network.retry_max_ms=500")
        self.daemon.arguments[index] = "network.retry_max_ms=60000"
        self.daemon.restart()
        job = self.copy(self.target.address, 24 * MIB)
        wait_for(lambda: any(e["type"] == "retry" for e in self.daemon.events(job, follow=False)))
        self.assertEqual(len(self.target.store.uploads), 1)
        self.daemon.request("POST", f"/v1/jobs/{job}/cancel")
        self.assertEqual(self.daemon.wait_job(job)["state"], "cancelled")
        # Its host has asked for a pause; what is left is done when that is over, or at the next start.
        self.daemon.kill()
        self.target.clear_faults()
        self.daemon.start()
        self.all_ended()

    def test_cancelled_while_it_sends(self):
        job = self.copy(self.target.address, 48 * MIB)
        wait_for(lambda: self.arrived() >= 8 * MIB)
        self.daemon.request("POST", f"/v1/jobs/{job}/cancel")
        self.assertEqual(self.daemon.wait_job(job)["state"], "cancelled")
        self.all_ended()

    def test_failed_for_good(self):
        self.target.fault("upload-patch", "status-500", skip=3, times=-1)
        job = self.copy(self.target.address, 24 * MIB)
        self.assertEqual(self.daemon.wait_job(job)["state"], "failed")
        self.all_ended()

    def test_other_bytes_never_follow_in_the_same_session(self):
        data = self.daemon.build_root / "data"
        first = os.urandom(24 * MIB)
        data.write_bytes(first)
        job = self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{self.target.address}/to/app:1"],
                                    "layers": [{"files": [{"from": str(data), "to": "/data"}], "compression": "none"}]})["id"]
        wait_for(lambda: self.arrived() >= 9 * MIB)
        self.daemon.kill()
        session = next(iter(self.target.store.uploads))
        since = len(self.target.requests)
        data.write_bytes(os.urandom(24 * MIB))
        self.daemon.start()
        self.succeed(job)
        self.all_ended()
        used = [r["method"] for r in self.target.requests[since:] if session in r["target"]]
        self.assertEqual(used, ["GET", "DELETE"])

    def test_killed_while_lost_blobs_are_pushed_again(self):
        self.succeed(self.copy(self.target.address, 24 * MIB))
        self.target.store.repositories["to/app"].blobs.clear()  # which the daemon remembers to be there
        self.target.store.repositories["to/app"].tags.clear()
        job = self.daemon.post_job({"kind": "copy", "source": f"{self.source.address}/from/app:1",
                                    "targets": [f"{self.target.address}/to/app:1"]})["id"]
        wait_for(lambda: self.arrived() >= 9 * MIB)
        self.daemon.kill()
        self.daemon.start()
        self.whole(job)

    def test_a_lost_key_costs_the_blob_only(self):
        job = self.killed(24 * MIB, 9 * MIB)
        (self.daemon.state / "seal.key").unlink()
        self.daemon.start()
        self.succeed(job)
        self.assertIn("session is dropped", self.daemon.log_text())
        self.assertLessEqual(self.sent_again(), 24 * MIB)
        self.daemon.stop()


if __name__ == "__main__":
    unittest.main()
