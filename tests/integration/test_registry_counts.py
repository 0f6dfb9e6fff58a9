# SPDX-License-Identifier: Apache-2.0
"""How often a registry is asked, counted at the registry: warm and cold copies, many jobs with one sign-in, one base in many jobs."""

import unittest

from daemon import Daemon, login
from scripted_registry import ScriptedRegistry

JOBS = 100
BASE_BYTES = 8_000_000
SMALL = {"type": "file", "to": "/x", "text": ""}


def text_layer(number):
    return {"files": [{**SMALL, "text": str(number)}]}


def use_config(daemon, *registries):
    daemon.docker_config(auths={r.address: login(r.username, r.password) for r in registries})


class Counts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source, cls.target = (cls.enterClassContext(ScriptedRegistry()) for _ in range(2))

    def setUp(self):
        self.reset()
        self.daemon = Daemon(start=False)
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)

    def reset(self, **settings):
        for registry in (self.source, self.target):
            registry.reset(**settings)

    def counted(self, spec, **keywords):
        """The result of a job and the points that were touched at the source and at the target meanwhile."""
        for registry in (self.source, self.target):
            registry.requests.clear()
        job = self.daemon.run_job(spec, **keywords)
        self.assertEqual(self.source.check() + self.target.check(), [])
        points = [[r["point"] for r in registry.requests] for registry in (self.source, self.target)]
        self.assertEqual(job["result"]["stats"]["requests"], sum(map(len, points)))
        return job["result"], *points

    def run_all(self, specs):
        jobs = [self.daemon.wait_job(i) for i in [self.daemon.post_job(spec)["id"] for spec in specs]]
        self.assertEqual({job["state"] for job in jobs}, {"succeeded"}, [job["error"] for job in jobs if job["error"]][:3])
        self.assertEqual(self.source.check() + self.target.check(), [])
        return [job["result"] for job in jobs]

    def test_a_copy_that_has_nothing_to_do(self):
        for settings in ({}, {"auth": "bearer"}, {"auth": "basic"}):
            with self.subTest(**settings):
                self.reset(**settings)
                if settings:
                    use_config(self.daemon, self.source, self.target)
                self.daemon.start()
                self.source.store.add_image("team/app", "1", layers=10)
                spec = {"kind": "copy", "source": f"{self.source.address}/team/app:1",
                        "targets": [f"{self.target.address}/mirror/app:1"]}
                self.counted(spec)
                result, at_source, at_target = self.counted(spec)
                self.assertLessEqual(len(at_source), 2, at_source)
                self.assertLessEqual(len(at_target), 2, at_target)
                self.assertEqual({tuple(layer["targets"]) for layer in result["layers"]}, {("exists",)})
                self.daemon.restart()  # tokens are gone, facts are not
                _, at_source, at_target = self.counted(spec)
                self.assertLessEqual(len([p for p in at_source if p != "token"]), 3, at_source)
                self.assertLessEqual(len([p for p in at_target if p != "token"]), 3, at_target)
                self.daemon.stop()

    def test_a_cold_push_of_small_layers(self):
        self.daemon.start()
        for profile in ("spec-strict", "distribution-2.8", "distribution-3"):
            for n in (1, 8, 40):
                self.target.reset(profile)
                spec = {"kind": "build", "base": "scratch", "targets": [f"{self.target.address}/{profile}/{n}:1"],
                        "layers": [text_layer(i) for i in range(n)]}
                _, _, points = self.counted(spec)
                self.assertLessEqual(len(points), 2 * n + 3, (profile, n))

    def test_a_cold_copy_of_small_layers(self):
        self.daemon.start()
        self.source.store.add_image("team/app", "1", layers=10)
        _, at_source, at_target = self.counted({"kind": "copy", "source": f"{self.source.address}/team/app:1",
                                                "targets": [f"{self.target.address}/mirror/app:1"]})
        self.assertEqual(sorted(at_source), ["blob-get"] * 11 + ["manifest-get"])
        self.assertLessEqual(len(at_target), 2 * 10 + 3, at_target)

    def test_many_jobs_at_a_private_registry_sign_in_once(self):
        self.target.reset(auth="bearer")
        self.daemon.credential_helper(self.target.address, self.target.username, self.target.password)
        self.daemon.start()
        self.target.store.add_image("team/base", "1", layers=3)
        self.run_all({"kind": "build", "base": f"{self.target.address}/team/base:1", "config": {"env": {"N": str(i)}},
                      "targets": [f"{self.target.address}/team/app{i % 4}:{i}"]} for i in range(JOBS))
        self.assertEqual((self.daemon.directory / "runs").read_text(), "run\n")
        # team/base: pull, and team/app0 … app3: push (where the same token lets mount from team/base)
        self.assertEqual(self.target.tokens_given, 5)
        self.assertEqual(self.target.count("token"), 5)

    def test_many_jobs_with_one_base_move_it_once(self):
        for auth in ("none", "bearer"):
            with self.subTest(auth=auth):
                self.reset(auth=auth)
                if auth == "bearer":
                    use_config(self.daemon, self.source, self.target)
                self.daemon.start()
                self.source.store.add_image("team/base", "1", layers=1, size=BASE_BYTES)
                layer = self.source.store.image_layers("team/base", "1")[0]
                results = self.run_all({"kind": "build", "base": f"{self.source.address}/team/base:1", "layers": [text_layer(i)],
                                        "targets": [f"{self.target.address}/{auth}/app{i}:1"]} for i in range(JOBS))
                fetched = [r for r in self.source.requests if r["point"] == "blob-get" and r["target"].endswith(layer)]
                uploads = [r["taken"] for r in self.target.requests if r["point"].startswith("upload-") and r["taken"] >= BASE_BYTES]
                self.assertEqual((len(fetched), uploads), (1, [BASE_BYTES]))
                self.assertLess(self.target.received(), BASE_BYTES + JOBS * 10_000)
                hows = [result["layers"][0]["targets"][0] for result in results]
                self.assertEqual((hows.count("copied"), hows.count("mounted")), (1, JOBS - 1))
                self.assertEqual(sum(result["stats"]["bytes_mounted"] for result in results), (JOBS - 1) * BASE_BYTES)
                self.daemon.stop()

    def test_one_base_where_nothing_can_be_mounted(self):
        self.target.reset(mount="ignore", self_mount="ignore")
        self.daemon.start()
        self.source.store.add_image("team/base", "1", layers=1, size=200_000)
        results = self.run_all({"kind": "build", "base": f"{self.source.address}/team/base:1", "layers": [text_layer(i)],
                                "targets": [f"{self.target.address}/app{i}/x:1"]} for i in range(12))
        self.assertEqual([result["layers"][0]["targets"] for result in results], [["copied"]] * 12)

    def test_several_repositories_of_one_registry_get_it_once(self):
        self.daemon.start()
        self.source.store.add_image("team/base", "1", layers=2, size=200_000)
        targets = [f"{self.target.address}/{name}/app:1" for name in ("a", "b", "c")] + [f"{self.source.address}/d/app:1"]
        result, at_source, at_target = self.counted({"kind": "build", "base": f"{self.source.address}/team/base:1",
                                                     "layers": [text_layer(1)], "targets": targets})
        self.assertEqual([layer["targets"] for layer in result["layers"]],
                         [["copied", "mounted", "mounted", "mounted"]] * 2 + [["built", "mounted", "mounted", "built"]])
        self.assertEqual(at_source.count("blob-get"), 3)
        self.assertLess(self.target.received(), 2 * 200_000 + 10_000)
        self.assertEqual(at_target.count("upload-put"), 4)

    def test_a_repository_that_gives_trouble_holds_up_nobody(self):
        self.daemon.arguments += ["--set", "network.retry_base_ms=600000", "--set", "network.retry_max_ms=600000"]
        self.daemon.start()
        self.source.store.add_image("team/base", "1", layers=1, size=200_000)
        self.target.fault("upload-put", "status-500")
        specs = [{"kind": "copy", "source": f"{self.source.address}/team/base:1",
                  "targets": [f"{self.target.address}/{name}/app:1"]} for name in "abc"]
        first = self.daemon.post_job(specs[0])["id"]
        next(event for event in self.daemon.events(first) if event["type"] == "retry")  # it waits for ten minutes now
        self.run_all(specs[1:])
        self.assertEqual(self.daemon.job(first)["state"], "running")
        self.daemon.request("POST", f"/v1/jobs/{first}/cancel")
        self.daemon.wait_job(first)

    def test_a_mount_from_a_neighbour_that_fails(self):
        self.target.reset(mount=403)
        self.daemon.start()
        self.source.store.add_image("team/base", "1", layers=1, size=200_000)
        targets = [f"{self.target.address}/{name}/app:1" for name in ("a", "b")]
        result, _, _ = self.counted({"kind": "copy", "source": f"{self.source.address}/team/base:1", "targets": targets})
        self.assertEqual(result["layers"][0]["targets"], ["copied", "copied"])


if __name__ == "__main__":
    unittest.main()
