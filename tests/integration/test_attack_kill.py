# SPDX-License-Identifier: Apache-2.0
"""Killed at random moments of a mixed load: every accepted job ends once, every tag is whole and was set to one thing only.

DRAY_FULL=1 makes it 500 kills; DRAY_SEED repeats a run.
"""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import time
import unittest

from daemon import Daemon
from images import Repository, put_image, put_index
from load import offer
from registries import Registry

FULL = os.environ.get("DRAY_FULL") == "1"
KILLS = int(os.environ.get("DRAY_KILLS", 500 if FULL else 12))
JOBS_A_KILL = 4
READY_S = 1.0


def tag_history(registry, repository, tag):
    """What a tag has ever pointed at."""
    path = registry.data / f"docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/index/sha256"
    return ["sha256:" + p.name for p in path.iterdir()] if path.exists() else []


def size(directory):
    return sum(p.lstat().st_size for p in pathlib.Path(directory).rglob("*") if p.is_file())


class Load:
    """Makes jobs of all kinds, each with tags of its own."""

    def __init__(self, daemon, one, two, rng):
        self.daemon, self.one, self.two, self.rng = daemon, one, two, rng
        self.number = 0
        for name, length in (("small", 20_000), ("middle", 3_000_000), ("large", 12_000_000)):
            (daemon.build_root / name).write_bytes(rng.randbytes(length))
        repository = Repository(one, "source")
        put_image(repository, "plain", [{"a": rng.randbytes(1_000_000)}, {"b": rng.randbytes(5_000_000)}])
        children = [put_image(repository, f"p{i}", [{"x": rng.randbytes(700_000)}, {"y": b"y" * i}], platform=p)
                    for i, p in enumerate(("linux/amd64", "linux/arm64"))]
        put_index(repository, "index", children)

    def next(self):
        self.number += 1
        kind = self.rng.choice([self.build, self.build, self.copy, self.copy, self.archive, self.multi])
        return kind(f"t{self.number}")

    def build(self, tag):
        name = self.rng.choice(["small", "middle", "large"])
        target = self.rng.choice([self.one, self.two])
        return {"kind": "build", "base": self.rng.choice(["scratch", f"{self.one.address}/source:plain"]),
                "platforms": ["linux/amd64"],
                "targets": [f"{target.address}/built{self.number % 3}:{tag}"],
                "layers": [{"files": [{"from": str(self.daemon.build_root / name), "to": f"/d{self.number % 7}"},
                                      {"type": "file", "to": "/n", "text": tag}]}]}

    def copy(self, tag):
        source = self.rng.choice(["plain", "index"])
        return {"kind": "copy", "source": f"{self.one.address}/source:{source}",
                "targets": [f"{self.two.address}/copied{self.number % 5}:{tag}"]}

    def multi(self, tag):
        return {"kind": "build", "base": f"{self.one.address}/source:plain", "config": {"env": {"N": tag}},
                "platforms": ["linux/amd64"],
                "targets": [f"{self.one.address}/multi:{tag}", f"{self.two.address}/multi:{tag}a",
                            f"{self.two.address}/multi:{tag}b"],
                "layers": [{"files": [{"from": str(self.daemon.build_root / "middle"), "to": "/m"},
                                      {"type": "file", "to": "/n", "text": tag}]}]}

    def archive(self, tag):
        out = self.daemon.output_root
        return self.rng.choice([
            {"kind": "copy", "source": f"{self.one.address}/source:index", "targets": [f"oci:{out}/layout{self.number % 3}:{tag}"]},
            {"kind": "copy", "source": f"{self.one.address}/source:plain", "targets": [f"oci-archive:{out}/{tag}.tar"]},
            {"kind": "copy", "source": f"{self.one.address}/source:plain",
             "targets": [f"docker-archive:{out}/{tag}.docker.tar:app:{tag}", f"{self.two.address}/both:{tag}"]}])


class Storm(unittest.TestCase):
    def test_storm_of_kills(self):
        seed = int(os.environ.get("DRAY_SEED", random.randrange(1 << 30)))
        print("seed", seed, flush=True)
        rng = random.Random(seed)
        with Registry() as one, Registry() as two, Daemon(settings={"network.retry_base_ms": 50}) as daemon:
            load = Load(daemon, one, two, rng)
            jobs, slowest = {}, 0
            for _ in range(KILLS):
                for _ in range(rng.randrange(1, 2 * JOBS_A_KILL)):
                    spec = load.next()
                    jobs[daemon.post_job(spec)["id"]] = spec
                time.sleep(rng.random() ** 2 * 0.8)
                daemon.kill()
                begin = time.monotonic()
                daemon.start()
                slowest = max(slowest, time.monotonic() - begin)
            for job_id, spec in jobs.items():
                job = daemon.wait_job(job_id, 300)
                self.assertEqual(job["state"], "succeeded", json.dumps([spec, job["error"]]))
                self.check_events(daemon, job)
            print(f"{KILLS} kills, {len(jobs)} jobs, slowest start {slowest:.2f} s, state {size(daemon.state)} bytes", flush=True)
            if "asan" not in os.environ.get("DRAYD", "") and not os.environ.get("ASAN_OPTIONS"):
                self.assertLessEqual(slowest, READY_S)
            self.assertEqual(len(daemon.get("/v1/jobs?limit=1000")["items"]), min(1000, len(jobs)))
            self.check_images(daemon, jobs, one, two, FULL)
            for registry in (one, two):
                for path in registry.data.glob("docker/registry/v2/repositories/*/_manifests/tags/*"):
                    repository = path.parent.parent.parent.name
                    if repository != "source":
                        self.assertEqual(len(tag_history(registry, repository, path.name)), 1, path)
            left = [p.name for p in (daemon.cache).rglob("*") if p.is_file() and "tmp" in str(p.relative_to(daemon.cache))]
            self.assertEqual(left, [])
            stray = [p for p in daemon.output_root.rglob("*") if "tmp" in p.name or (p.name.startswith(".") and p.name != ".dray.lock")]
            self.assertEqual(stray, [])

    def check_events(self, daemon, job):
        events = list(daemon.events(job["id"], follow=False))
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)), job["id"])
        self.assertEqual([e["type"] for e in events].count("job.finished"), 1)
        self.assertEqual(events[-1]["type"], "job.finished")

    def check_images(self, daemon, jobs, one, two, everything):
        ids = list(jobs)
        for job_id in ids if everything else ids[::max(1, len(ids) // 25)]:
            job = daemon.job(job_id)
            for target in jobs[job_id]["targets"]:
                with tempfile.TemporaryDirectory() as directory:
                    form = target if ":/" in target else f"docker://{target}"
                    whole = [] if form.startswith("docker-archive") else ["--all"]
                    done = subprocess.run(["skopeo", "--insecure-policy", "copy", *whole, "--src-tls-verify=false", form, f"dir:{directory}"],
                                          capture_output=True, text=True, timeout=120, check=False)
                    self.assertEqual(done.returncode, 0, (target, done.stderr))
        for job_id in ids:
            digest = daemon.job(job_id)["result"]["digest"]
            for target in jobs[job_id]["targets"]:
                for registry in (one, two):
                    if target.startswith(registry.address):
                        repository, tag = target.split("/", 1)[1].split(":")
                        self.assertEqual(tag_history(registry, repository, tag), [digest], target)


class Many(unittest.TestCase):
    def test_ready_again_with_many_jobs(self):
        """None that was accepted is lost, and starting does not take long for many."""
        count = 10_000 if FULL else 400
        with Daemon(settings={"daemon.paused": "true"}) as daemon:
            def spec(client, number):
                return {"kind": "copy", "source": "127.0.0.1:1/a:1", "targets": [f"127.0.0.1:1/b:{client}-{number}"]}
            accepted = offer(daemon, spec, count=count).ids()
            self.assertEqual(len(set(accepted)), count)
            starts = []
            for _ in range(5):
                daemon.kill()
                begin = time.monotonic()
                daemon.start()
                starts.append(time.monotonic() - begin)
            print(f"ready with {count} jobs: {max(starts):.2f} s at most", flush=True)
            found, cursor = set(), ""
            while cursor is not None:
                page = daemon.get(f"/v1/jobs?limit=1000{cursor and '&cursor='}{cursor}")
                found.update(job["id"] for job in page["items"] if job["state"] == "queued")
                cursor = page["next"]
            self.assertEqual(found, set(accepted))


if __name__ == "__main__":
    unittest.main()
