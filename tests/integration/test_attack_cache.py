# SPDX-License-Identifier: Apache-2.0
"""A cache whose files change behind our back, a store that is damaged, and a disk that is full: no wrong byte is pushed, no
accepted job is lost, and the daemon goes on when there is room again."""

import hashlib
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest

from daemon import Daemon, parse_problem
from images import Repository, put_image
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
FLIPS = 200 if FULL else 50


def wrong_blobs(registry):
    """Blobs of a registry whose bytes are not what their name says."""
    found = []
    for path in registry.data.glob("docker/registry/v2/blobs/sha256/*/*/data"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.parent.name:
            found.append(path.parent.name)
    return found


def blobs(directory):
    return [p for p in pathlib.Path(directory).rglob("*") if p.is_file() and p.stat().st_size > 0 and "quarantine" not in p.parts]


def damage(path, rng):
    how = rng.randrange(4)
    with open(path, "r+b") as file:
        length = path.stat().st_size
        at = rng.randrange(length)
        if how == 0:
            file.truncate(at)
        elif how == 1:
            file.seek(0, 2)
            file.write(b"x")
        else:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << rng.randrange(8))]))


def fill(path):
    try:
        with open(path, "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))
    except OSError:
        pass


class Cache(unittest.TestCase):
    def test_damaged_blobs(self):
        rng = random.Random(7)
        with Registry() as one, Registry() as two, Daemon() as daemon:
            (daemon.build_root / "data").write_bytes(rng.randbytes(300_000))
            repository = Repository(one, "source")
            for i in range(5):
                put_image(repository, str(i), [{"a": rng.randbytes(200_000)}, {f"b{i}": rng.randbytes(50_000)}])
            damaged, n, rounds = 0, 0, 0
            while damaged < FLIPS:
                rounds += 1
                specs = []
                for i in range(5):
                    n += 1
                    specs.append({"kind": "copy", "source": f"{one.address}/source:{i}", "targets": [f"{two.address}/copy{n}:1"], "force": True})
                    specs.append({"kind": "build", "base": f"{one.address}/source:{i}", "platforms": ["linux/amd64"],
                                  "targets": [f"{two.address}/build{n}:1", f"{one.address}/build{n}:1"],
                                  "layers": [{"files": [{"from": f"{daemon.build_root}/data", "to": f"/d{i}"}]}]})
                for job in [daemon.post_job(spec) for spec in specs]:
                    done = daemon.wait_job(job["id"])
                    self.assertEqual(done["state"], "succeeded", done["error"])
                there = blobs(daemon.cache)
                self.assertTrue(there)
                for path in rng.sample(there, min(len(there), 10)):
                    damage(path, rng)
                    damaged += 1
                if rounds % 3 == 0:
                    daemon.restart()
                self.assertLess(rounds, FLIPS)
            self.assertEqual(wrong_blobs(one) + wrong_blobs(two), [])
            print(f"{damaged} files damaged over {n} rounds of two jobs", flush=True)

    def test_damaged_store(self):
        """A daemon whose store was damaged starts, or says what is wrong; it never crashes and never hangs."""
        rng = random.Random(11)
        outcomes = []
        for _ in range(20 if FULL else 6):
            daemon = Daemon(settings={"daemon.paused": "true"})
            try:
                for i in range(30):
                    daemon.post_job({"kind": "copy", "source": "127.0.0.1:1/a:1", "targets": [f"127.0.0.1:1/b:{i}"]})
                daemon.kill()
                files = sorted(p for p in daemon.state.rglob("*") if p.is_file() and ("db" in p.name or "wal" in p.name))
                self.assertTrue(files)
                for path in files:
                    data = bytearray(path.read_bytes())
                    for _ in range(rng.choice([1, 40])):
                        if data:
                            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                    path.write_bytes(data)
                try:
                    daemon.start()
                    kept = len(daemon.get("/v1/jobs?limit=100")["items"])
                    daemon.post_job({"kind": "copy", "source": "127.0.0.1:1/a:1", "targets": ["127.0.0.1:1/b:new"]})
                    outcomes.append(kept)
                    daemon.stop()
                except AssertionError as error:
                    text = str(error)
                    self.assertNotIn("Sanitizer", text)
                    self.assertIn("(exit 1)", text)
                    outcomes.append("refused")
            finally:
                daemon.kill()
                daemon.remove()
        print("jobs of 30 kept after damage:", outcomes, flush=True)


class FullDisk(unittest.TestCase):
    """The state directory on a small tmpfs of a private mount namespace; needs root, or a user namespace."""

    def test_full_state(self):
        if os.environ.get("DRAY_IN_NAMESPACE") != "1":
            command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), sys.executable, __file__,
                       "FullDisk.test_full_state"]
            done = subprocess.run(command, env={**os.environ, "DRAY_IN_NAMESPACE": "1"}, timeout=200, check=False)
            self.assertEqual(done.returncode, 0)
            return
        self.full_disk("state", 24)

    def test_full_cache(self):
        if os.environ.get("DRAY_IN_NAMESPACE") != "1":
            command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), sys.executable, __file__,
                       "FullDisk.test_full_cache"]
            done = subprocess.run(command, env={**os.environ, "DRAY_IN_NAMESPACE": "1"}, timeout=200, check=False)
            self.assertEqual(done.returncode, 0)
            return
        self.full_disk("cache", 4)

    def full_disk(self, which, mib):
        with Registry() as registry, Daemon(start=False, settings={"limits.max_running": 2}) as daemon:
            put_image(Repository(registry, "source"), "1", [{"a": os.urandom(100_000)}])
            directory = getattr(daemon, which)
            directory.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", directory], check=True)
            try:
                daemon.start()
                (daemon.build_root / "data").write_bytes(os.urandom(1_000_000))
                ids = [self.post(daemon, registry, i) for i in range(20)]
                ballast = directory / "ballast"
                fill(ballast)
                refused = 0
                for i in range(40):
                    answer = daemon.request("POST", "/v1/jobs", json=self.spec(daemon, registry, f"full{i}"))
                    if answer.status == 202:
                        ids.append(answer.json()["id"])
                    else:
                        self.assertEqual((answer.status, answer.json()["code"]), (507, "no-space"), answer)
                        refused += 1
                if refused:
                    parse_problem(daemon.request("GET", "/readyz"), 507, "no-space")
                time.sleep(1)
                if which == "state":
                    self.assertGreater(refused, 0)
                    daemon.kill()  # and the start, too, finds no room
                    try:
                        daemon.start()
                    except AssertionError as error:
                        self.assertIn("(exit 1)", str(error))
                        daemon.process = None
                ballast.unlink(missing_ok=True)
                if daemon.process is None:
                    daemon.start()
                states = {}
                for job_id in ids:
                    job = daemon.wait_job(job_id)
                    code = job["error"]["code"] if job["error"] else job["state"]
                    states[code] = states.get(code, 0) + 1
                print(which, states, refused, "refused", flush=True)
                self.assertLessEqual(set(states), {"succeeded", "no-space"})
                until = time.monotonic() + 10
                while daemon.request("POST", "/v1/jobs", json=self.spec(daemon, registry, "after")).status != 202:
                    self.assertLess(time.monotonic(), until, "there is space again, and jobs are refused still")
                    time.sleep(0.2)
                self.assertEqual(daemon.request("GET", "/readyz").status, 200)
                self.assertEqual(daemon.run_job(self.spec(daemon, registry, "after2"))["state"], "succeeded")
                self.assertEqual(wrong_blobs(registry), [])
                daemon.stop()
            finally:
                daemon.kill()
                subprocess.run(["umount", "-l", directory], check=False)

    def spec(self, daemon, registry, i):
        if str(i).endswith(("1", "3", "5")):
            return {"kind": "copy", "source": f"{registry.address}/source:1", "targets": [f"{registry.address}/disk:{i}"]}
        return {"kind": "build", "base": "scratch", "targets": [f"{registry.address}/built:{i}"],
                "layers": [{"files": [{"from": f"{daemon.build_root}/data", "to": f"/d{i}"}]}]}

    def post(self, daemon, registry, i):
        return daemon.post_job(self.spec(daemon, registry, i))["id"]


if __name__ == "__main__":
    unittest.main()
