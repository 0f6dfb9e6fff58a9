# SPDX-License-Identifier: Apache-2.0
"""drayd killed, or let down by the system, at its N-th change to a file: what was accepted ends, once, with whole images.

A preloaded library (tests/fault/fault_shim.c) counts what drayd does to files of the state, the cache and the output root.
Each workload runs once to count, then once for each point chosen. Everywhere the points lie as far apart as the time allows;
DRAY_FULL=1 takes every point.
"""

import hashlib
import json
import mmap
import os
import pathlib
import signal
import struct
import subprocess
import time
import unittest

from daemon import REPORT, Daemon
from images import Repository, put_image
from registries import Registry, TlsRegistry

FULL = os.environ.get("DRAY_FULL") == "1"
KILL_POINTS, KILL_S = 12, 6.0  # per workload, short form
FAULT_POINTS, FAULT_S = 4, 1.2  # per workload and fault
SETTINGS = {"network.retry_base_ms": 10, "network.retry_count": 3, "daemon.drain_ms": 5000}


def spread(total, count):
    """Points from 1 to total: all of them, or count that are spread evenly – also when only the first few are used."""
    if FULL or total <= count:
        return list(range(1, total + 1))
    points = []
    for i in range(4 * count):
        point = 1 + int((i * 0.6180339887498949 + 0.31) % 1.0 * total)
        if point not in points:
            points.append(point)
    return points[:count]


class Counter:
    """The 8 bytes that the library counts in."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def value(self):
        return struct.unpack("=Q", self.map[:8])[0]


class Place:
    """Registries and an image to copy, shared by all runs; every run has names of its own in them."""

    def __init__(self):
        self.registry, self.source = Registry(), Registry()
        self.tls = TlsRegistry(user="ci", password="s3cret")
        self.repository = Repository(self.source, "src/app")
        put_image(self.repository, "1", [{"a": os.urandom(200_000)}, {"b": os.urandom(50_000), "c": None}])
        self.image = self.repository.ref + ":1"
        self.runs = 0

    def stop(self):
        for registry in (self.registry, self.source, self.tls):
            registry.stop()


class Run:
    """A drayd with the library, and what it was told to do."""

    def __init__(self, place, action=None, at=0, times=1, malloc=False):
        place.runs += 1
        self.place, self.number, self.action, self.at = place, place.runs, action, at
        self.daemon = Daemon(settings=SETTINGS, start=False)
        config = self.daemon.directory / "dray.conf"
        config.write_text(f"[host {place.tls.address}]\nca_file = {place.tls.ca_file}\n")
        self.daemon.arguments += ["--config", config]
        (self.daemon.build_root / "data").write_bytes(os.urandom(300_000))
        self.output = self.daemon.output_root
        self.counter = Counter(self.daemon.directory / "counter")
        self.plain = dict(self.daemon.environment)
        more = {"MALLOC_COUNTER": self.counter.path, "MALLOC_FAILS_AT": at} if malloc else {
            "FAULT_DIRS": f"{self.daemon.state}:{self.daemon.cache}:{self.output}", "FAULT_COUNTER": self.counter.path,
            "FAULT_ACTION": action or "", "FAULT_AT": at, "FAULT_TIMES": times}
        # The library comes before a sanitizer's runtime, which would refuse that.
        options = self.plain.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.daemon.environment = {**self.plain, "LD_PRELOAD": os.environ["FAULT_MALLOC" if malloc else "FAULT_SHIM"], "ASAN_OPTIONS": options.strip(":"),
                                   **{k: str(v) for k, v in more.items()}}
        self.accepted, self.refused = [], []

    def start(self):
        """False: it ended instead of becoming ready."""
        try:
            self.daemon.start()
            return True
        except AssertionError:
            assert self.daemon.process.poll() is not None, "drayd neither ready nor gone"
            return False

    def post(self, spec):
        """Posts a job; an answer that does not come is none, an answer that refuses must say why."""
        try:
            answer = self.daemon.request("POST", "/v1/jobs", json=spec)
        except OSError:
            return None
        except Exception as error:  # http.client: the connection went in the middle of the answer
            if type(error).__module__ != "http.client":
                raise
            return None
        if answer.status == 202:
            self.accepted.append(answer.json()["id"])
            return self.accepted[-1]
        assert answer.status >= 500 and answer.json()["detail"], answer
        self.refused.append(answer)
        return None

    def wait(self, job_id, timeout=60):
        """The job, or None if drayd is gone before it ends."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                answer = self.daemon.request("GET", f"/v1/jobs/{job_id}?wait=20", timeout=30)
            except Exception:
                self.gone(5)
                return None
            if answer.status == 200 and answer.json()["terminal"]:
                return answer.json()
            assert answer.status in (200, 500, 503, 507), answer
            if answer.status != 200:
                time.sleep(0.1)
        raise AssertionError(f"job {job_id} hangs: {answer}\n{self.daemon.log_text()[-4000:]}")

    def gone(self, seconds):
        try:
            return self.daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"drayd lives but does not answer:\n{self.daemon.log_text()[-4000:]}") from None

    def restart_plain(self):
        self.daemon.kill()
        self.daemon.environment = self.plain
        self.daemon.start()

    # -- what has to hold

    def registry_ref(self, name):
        return f"{self.place.registry.address}/r{self.number}/{name}"

    def check_ended_once(self, job_id):
        events = list(self.daemon.events(job_id, follow=False))
        kinds = [event["type"] for event in events]
        assert kinds.count("job.finished") == 1 and kinds[-1] == "job.finished", kinds
        numbers = [event["seq"] for event in events if "seq" in event]
        assert numbers == list(range(1, len(numbers) + 1)), numbers

    def check_image(self, ref):
        """All of it can be read, and is what its digests say: skopeo checks while it copies."""
        copy = self.daemon.directory / "copy"
        at = ref if ref.startswith("oci:") else f"docker://{ref}"
        done = subprocess.run(["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--all", at, f"dir:{copy}"],
                              capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "HOME": str(self.daemon.directory)})
        assert done.returncode == 0, f"{ref}: {done.stderr}"
        for path in copy.iterdir():
            if len(path.name) == 64:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path
            path.unlink()

    def check_succeeded(self, job):
        for ref in job["result"]["refs"]:
            name = ref.rpartition("@")[0]
            if not name.startswith(self.place.tls.address):
                self.check_image(name)

    def check_leftovers(self):
        """After the stop: nothing that was only meant for a while."""
        left = list((self.daemon.cache / "tmp").glob("*"))
        for top in (self.daemon.state, self.daemon.cache, self.output):
            left += [p for p in top.rglob(".*") if p.is_file() and p.name != ".dray.lock"]
        assert not left, left

    def close(self):
        self.daemon.kill()
        self.daemon.remove()


# --- workloads: post the jobs and wait; every call bears that drayd is gone

def build(run):
    spec = {"kind": "build", "base": "scratch", "targets": [run.registry_ref("build:1")],
            "layers": [{"files": [{"from": f"{run.daemon.build_root}/data", "to": "/data"}]},
                       {"files": [{"type": "file", "to": "/x", "text": str(run.number)}]}]}
    return [run.post(spec)]


def copy(run):
    return [run.post({"kind": "copy", "source": run.place.image, "targets": [run.registry_ref("copy:1")]})]


def copy_to_layout(run):
    return [run.post({"kind": "copy", "source": run.place.image,
                      "targets": [f"oci:{run.output}/layout:a", f"oci:{run.output}/layout:b"]})]


def cancel(run):
    (run.daemon.build_root / "large").write_bytes(os.urandom(20_000_000))
    job = run.post({"kind": "build", "base": "scratch", "targets": [run.registry_ref("cancel:1")],
                    "layers": [{"files": [{"from": f"{run.daemon.build_root}/large", "to": "/large"}]}]})
    if job:
        try:
            run.daemon.request("POST", f"/v1/jobs/{job}/cancel")
        except Exception:
            run.gone(5)
    return [job]


def queued_with_credentials(run):
    address = run.place.tls.address
    return [run.post({"kind": "build", "base": "scratch", "targets": [f"{address}/r{run.number}/q:{i}"],
                      "config": {"labels": {"n": str(i)}},
                      "auth": {address: {"username": "ci", "password": "s3cret"}}}) for i in range(5)]


WORKLOADS = (build, copy, copy_to_layout, cancel, queued_with_credentials)


class FaultPoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.addClassCleanup(cls.place.stop)

    def count(self, workload, action=None):
        run = Run(self.place, action)
        try:
            run.daemon.start()
            for job in workload(run):
                run.wait(job)
            run.daemon.stop()
            run.check_leftovers()
            return run.counter.value()
        finally:
            run.close()

    def each(self, workload, total, count, seconds, one):
        """one(point) for the points chosen, until the time is over; never fewer than two."""
        done, until = 0, time.monotonic() + seconds
        for point in spread(total, count):
            if not FULL and done >= min(2, total) and time.monotonic() > until:
                break
            with self.subTest(workload=workload.__name__, point=point, of=total):
                one(point)
            done += 1

    # -- killed

    def kill_at(self, workload, point):
        run = Run(self.place, "kill", point)
        try:
            if run.start():
                for job in filter(None, workload(run)):
                    run.wait(job)
                if run.daemon.process.poll() is None:
                    run.daemon.process.send_signal(signal.SIGTERM)
                run.gone(30)
            run.restart_plain()
            listed = [job["id"] for job in run.daemon.get("/v1/jobs")["items"]]
            self.assertLessEqual(set(run.accepted), set(listed))
            self.assertEqual(len(listed), len(set(listed)))
            for job_id in listed:
                job = run.daemon.wait_job(job_id, 60)
                states = ("succeeded", "cancelled") if workload is cancel else ("succeeded",)
                self.assertIn(job["state"], states, json.dumps(job["error"]))
                run.check_ended_once(job_id)
                if job["state"] == "succeeded":
                    run.check_succeeded(job)
            run.daemon.stop()
            run.check_leftovers()
        finally:
            run.close()

    def kill_everywhere(self, workload):
        self.each(workload, self.count(workload), KILL_POINTS, KILL_S, lambda point: self.kill_at(workload, point))

    def test_kill_build(self):
        self.kill_everywhere(build)

    def test_kill_copy(self):
        self.kill_everywhere(copy)

    def test_kill_copy_to_layout(self):
        self.kill_everywhere(copy_to_layout)

    def test_kill_cancel(self):
        self.kill_everywhere(cancel)

    def test_kill_queued_with_credentials(self):
        self.kill_everywhere(queued_with_credentials)

    # -- let down

    def fault_at(self, workload, action, point, times):
        run = Run(self.place, action, point, times)
        try:
            if not run.start():
                code = run.daemon.process.returncode
                self.assertGreater(code, 0, f"crashed in start-up:\n{run.daemon.log_text()[-4000:]}")
                self.assertRegex(run.daemon.log_text(), r"drayd: .*\S")
                self.assertIsNone(REPORT.search(run.daemon.log_text()))
                run.restart_plain()
            jobs = [run.wait(job) for job in filter(None, workload(run))]
            self.assertIsNone(run.daemon.process.poll(), run.daemon.log_text()[-4000:])
            for job in jobs:
                self.assertIsNotNone(job)
                if job["state"] == "failed":
                    self.assertTrue(job["error"]["detail"] and job["error"]["code"], job)
                elif job["state"] == "succeeded":
                    run.check_succeeded(job)
            run.daemon.stop()
            run.restart_plain()
            for job_id in run.accepted:
                self.assertTrue(run.daemon.wait_job(job_id)["terminal"])
                run.check_ended_once(job_id)
            run.daemon.run_job({"kind": "copy", "source": self.place.image, "targets": [run.registry_ref("after:1")]})
            run.daemon.stop()
            run.check_leftovers()
        finally:
            run.close()

    def fault_everywhere(self, action, times=1):
        for workload in WORKLOADS:
            total = self.count(workload, action if action == "emfile" else None)
            self.each(workload, total, FAULT_POINTS, FAULT_S, lambda point, w=workload: self.fault_at(w, action, point, times))

    def test_no_space(self):
        self.fault_everywhere("enospc")

    def test_no_space_for_a_while(self):
        self.fault_everywhere("enospc", 10)

    def test_input_output_error(self):
        self.fault_everywhere("eio")

    def test_short_write(self):
        self.fault_everywhere("short")

    def test_no_descriptor(self):
        self.fault_everywhere("emfile", 2)


if __name__ == "__main__":
    unittest.main()
