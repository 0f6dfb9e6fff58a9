# SPDX-License-Identifier: Apache-2.0
"""A layer goes to its registry while it is packed: with the same result, only where that may be, and with nothing left behind
when it was for nothing. Counted from the registry's own log."""

import contextlib
import os
import random
import time
import unittest

from daemon import Daemon
from images import Repository
from registries import Registry
from scripted_registry import MIB, ScriptedRegistry

SIZE = 16 * MIB

UNHURRIED = ("--set", "host *.early_uploads=no")


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.002)


def fill(tree, seed=1):
    """Files that cannot be compressed."""
    noise = random.Random(seed)
    for number in range(16):
        folder = tree / f"d{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(noise.randbytes(SIZE // 16))


class Case(unittest.TestCase):
    arguments = ()

    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.daemon = self.enterContext(Daemon(*self.arguments, settings={"network.retry_base_ms": 20,
                                                                                   "network.retry_max_ms": 100}))
        self.tree = self.daemon.build_root / "app"
        fill(self.tree)

    def spec(self, tree=None, tag="1", host=None, **more):
        return {"kind": "build", "base": "scratch", "targets": [f"{host or self.registry.address}/team/app:{tag}"],
                "layers": [{"files": [{"from": str(tree or self.tree), "to": "/app"}]}], **more}

    def build(self, **spec):
        return self.daemon.run_job(self.spec(**spec))

    def requests(self, since=0):
        return [(r["point"], r["status"], r["taken"]) for r in self.registry.requests[since:]]

    def pieces(self, since=0):
        return [taken for point, status, taken in self.requests(since) if point == "upload-patch"]

    def count(self, point):
        return self.registry.count(point)

    def sessions_end(self):
        wait_for(lambda: not self.registry.store.uploads, 20)
        self.assertEqual(self.registry.check(), [])

    def check_same_as_unhurried(self, job, tree=None):
        """The same layer by a daemon that does nothing early."""
        with Daemon(*UNHURRIED, roots=[tree or self.tree]) as other, ScriptedRegistry() as r:
            plain = other.run_job(self.spec(tree=tree, host=r.address))
            self.assertEqual(r.count("upload-patch"), 0)
        self.assertEqual(job["result"]["digest"], plain["result"]["digest"])


class Early(Case):
    def test_most_of_the_layer_is_there_when_it_is_packed(self):
        job = self.build()
        layer = job["result"]["layers"][0]
        self.assertGreater(sum(self.pieces()), SIZE / 4)
        sent = [taken for point, _, taken in self.requests() if point in ("upload-patch", "upload-put")]
        self.assertEqual(sum(sent), job["result"]["stats"]["bytes_sent"])
        self.assertGreater(sum(sent), layer["size"])  # and the config
        self.assertLess(sum(sent), layer["size"] + 1000)
        self.sessions_end()
        self.check_same_as_unhurried(job)

    def test_the_host_has_to_acknowledge_the_first_piece(self):
        self.build()
        asked = [point for point, _, _ in self.requests() if point in ("upload-patch", "upload-get")]
        self.assertEqual(asked[:2], ["upload-patch", "upload-get"])
        since = len(self.registry.requests)
        fill(self.daemon.build_root / "other", 2)
        self.build(tree=self.daemon.build_root / "other", tag="2")
        asked = [point for point, _, _ in self.requests(since) if point in ("upload-patch", "upload-get")]
        self.assertEqual(asked[:2], ["upload-patch", "upload-patch"])  # known by now

    def test_no_piece_to_hosts_that_refuse_them(self):
        for settings in ({"patch": False}, {"range_says": "none"}, {"patch_status": 500}):
            with self.subTest(settings):
                self.registry.reset(**settings)
                self.daemon.restart()  # forgets what it has learned of the host
                fill(self.tree, str(settings))
                job = self.build()
                self.assertEqual(len(self.pieces()), 1)
                self.sessions_end()
                self.assertGreaterEqual(job["result"]["stats"]["bytes_sent"], SIZE)
                since = len(self.registry.requests)
                fill(self.tree, random.random())
                self.build()
                if settings.get("patch_status") != 500:  # … for good
                    self.assertEqual(self.pieces(since), [])
                self.sessions_end()

    def test_families_of_registries(self):
        for profile in ("ecr", "ghcr", "gar", "acr", "zot", "gitlab", "cloudflare-front"):
            with self.subTest(profile):
                self.registry.reset(profile)
                self.daemon.restart()
                fill(self.tree, profile)
                auth = {self.registry.address: {"username": self.registry.username, "password": self.registry.password}}
                self.build(**({"auth": auth} if self.registry.auth != "none" else {}))
                self.sessions_end()

    def test_failures_of_a_piece(self):
        for kind, details in (("reset", {"after_bytes": 700_000}), ("status-503", {}), ("status-404", {}), ("status-401", {})):
            for skip in (0, 2):
                with self.subTest(kind, skip=skip):
                    self.registry.reset()
                    self.registry.fault("upload-patch", kind, skip=skip, **details)
                    self.daemon.restart()
                    fill(self.tree, f"{kind} {skip}")
                    self.build()
                    self.sessions_end()

    def test_a_registry_that_hangs_costs_two_seconds(self):
        self.registry.fault("upload-patch", "stall", seconds=60)
        began = time.monotonic()
        self.build()
        self.assertLess(time.monotonic() - began, 30)
        self.registry.clear_faults()

    def test_not_for_what_is_small(self):
        small = self.daemon.build_root / "small"
        small.mkdir()
        (small / "file").write_bytes(os.urandom(2 * MIB))
        self.build(tree=small)
        self.assertEqual(self.pieces(), [])

    def test_not_to_several_places(self):
        spec = self.spec()
        spec["targets"].append(f"{self.registry.address}/other/app:1")
        self.daemon.run_job(spec)
        self.assertEqual(self.pieces(), [])

    def test_not_if_the_layer_is_made_anew_afterwards(self):
        self.build(recompress={"algorithm": "zstd"})
        self.assertEqual(self.pieces(), [])
        self.sessions_end()


class Known(Case):
    def touch(self):
        for path in self.tree.rglob("*"):
            os.utime(path)

    def test_what_turns_out_to_be_as_before_is_not_sent(self):
        first = self.build()
        since = len(self.registry.requests)
        self.touch()
        again = self.build()
        self.assertEqual(again["result"]["digest"], first["result"]["digest"])
        self.assertEqual(self.pieces(since), [])
        self.assertEqual(again["result"]["stats"]["bytes_sent"], 0)

    def test_at_once_where_a_few_files_have_changed(self):
        """The last file of the layer has other bytes of the same length: all blocks before it are as they were."""
        self.build()
        since = len(self.registry.requests)
        (self.tree / "d4/file9").write_bytes(os.urandom(SIZE // 16))
        self.build()
        self.assertGreater(sum(self.pieces(since)), SIZE / 4)
        self.sessions_end()

    def test_from_the_first_block_that_differs(self):
        self.build()
        since = len(self.registry.requests)
        (self.tree / "d0/file0").write_bytes(os.urandom(MIB))
        job = self.build()
        self.assertGreater(sum(self.pieces(since)), SIZE / 4)
        self.sessions_end()
        self.check_same_as_unhurried(job)

    def test_known_to_be_there_after_all(self):
        """Nothing is remembered of the layer, so it is sent; its digest is known at the place, so that was for nothing."""
        first = self.build()
        self.daemon.stop()
        for path in self.daemon.state.glob("notes/*"):
            path.unlink()
        self.daemon.start()
        self.touch()
        since = len(self.registry.requests)
        again = self.build()
        self.assertEqual(again["result"]["digest"], first["result"]["digest"])
        self.assertGreater(sum(self.pieces(since)), 0)
        self.assertEqual([p for p, _, _ in self.requests(since) if p == "upload-put"], [])
        self.sessions_end()
        self.assertIn("upload-delete", [p for p, _, _ in self.requests(since)])


class Unready(Case):
    """Layers that take long to pack: what happens meanwhile."""

    def setUp(self):
        super().setUp()
        with open(self.tree / "zeros", "wb") as file:  # packed last, in seconds
            file.truncate(4 << 30)

    def reads_zeros(self):
        descriptors = f"/proc/{self.daemon.process.pid}/fd"
        for name in os.listdir(descriptors):
            with contextlib.suppress(OSError):
                if os.readlink(f"{descriptors}/{name}").endswith("/zeros"):
                    return True
        return False

    def begin(self):
        job = self.daemon.post_job(self.spec())["id"]
        wait_for(lambda: len(self.pieces()) >= 2 and self.reads_zeros())
        return job

    def test_a_packing_that_ends_badly(self):
        job = self.begin()
        os.truncate(self.tree / "zeros", 1 << 20)
        done = self.daemon.wait_job(job)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "source-changed"))
        self.sessions_end()
        self.assertEqual(self.count("upload-delete"), 1)
        self.assertEqual(self.count("manifest-put"), 0)

    def test_a_job_that_is_cancelled(self):
        job = self.begin()
        self.daemon.request("POST", f"/v1/jobs/{job}/cancel")
        self.assertEqual(self.daemon.wait_job(job)["state"], "cancelled")
        self.sessions_end()
        self.assertEqual(self.count("upload-delete"), 1)

    def test_killed(self):
        job = self.begin()
        self.daemon.kill()
        os.truncate(self.tree / "zeros", 1 << 20)
        self.assertEqual(len(self.registry.store.uploads), 1)
        self.daemon.start()
        done = self.daemon.wait_job(job)
        self.assertEqual(done["state"], "succeeded", done["error"])
        self.sessions_end()
        self.check_same_as_unhurried(done)


class Settings(Case):
    arguments = UNHURRIED

    def test_not_wanted(self):
        self.build()
        self.assertEqual(self.pieces(), [])


class Real(unittest.TestCase):
    def test_docker_registry(self):
        with Registry() as registry, Daemon() as daemon:
            tree = daemon.build_root / "app"
            fill(tree)
            job = daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"{registry.address}/app:1"],
                                  "layers": [{"files": [{"from": str(tree), "to": "/app"}]}]})
            layer = job["result"]["layers"][0]
            self.assertEqual(len(Repository(registry, "app").blob(layer["digest"])), layer["size"])
            self.assertEqual(registry.uploads(), [])
            self.assertGreater(job["result"]["stats"]["requests"], 6)  # pieces among them


if __name__ == "__main__":
    unittest.main()
