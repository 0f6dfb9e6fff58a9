# SPDX-License-Identifier: Apache-2.0
"""GET /metrics, read by a parser of its own; and the lines of the log."""

import re
import unittest

from daemon import Daemon
from registries import Registry, free_port

SAMPLE = re.compile(r'^([a-z_:]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)$')


def parse(text):
    """{(name, ((label, value), …)): number} of a text that must be right in every line."""
    samples, kinds, helped, current = {}, {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
            assert current not in helped, line
            helped.add(current)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == current and name not in kinds and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name = match[1]
            family = re.sub(r"_(bucket|sum|count)$", "", name) if kinds.get(current) == "histogram" else name
            assert family == current, line
            assert (kinds[family] == "counter") == family.endswith("_total"), line
            labels = tuple(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            assert (name, labels) not in samples, line
            samples[name, labels] = float(match[3])
    assert set(kinds) == helped
    check_histograms(samples, kinds)
    return samples


def check_histograms(samples, kinds):
    for (name, labels), value in samples.items():
        family = name.removesuffix("_count")
        if kinds.get(family) != "histogram":
            continue
        buckets = [(float(dict(found)["le"]), number) for (other, found), number in samples.items()
                   if other == family + "_bucket" and found[:-1] == labels]
        assert buckets == sorted(buckets) and [n for _, n in buckets] == sorted(n for _, n in buckets), buckets
        assert buckets[-1] == (float("inf"), value), (name, labels)
        assert (family + "_sum", labels) in samples


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)

    def setUp(self):
        self.daemon = Daemon(settings={"network.retry_base_ms": 10, "network.retry_count": 2})
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)

    def samples(self):
        return parse(self.daemon.request("GET", "/metrics").text)

    def spec(self, target, text="x"):
        return {"kind": "build", "base": "scratch", "targets": [target],
                "layers": [{"files": [{"type": "file", "to": "/x", "text": text}]}]}

    def test_before_the_first_job(self):
        samples = self.samples()
        self.assertEqual(samples["dray_jobs", (("state", "queued"),)], 0)
        self.assertEqual(samples["dray_jobs", (("state", "running"),)], 0)
        self.assertGreater(samples["dray_workers", ()], 0)
        self.assertEqual(samples["dray_workers_busy", ()], 0)
        self.assertEqual(samples["dray_event_streams", ()], 0)
        for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"):
            self.assertGreater(samples[name, ()], 0)

    def test_jobs_are_counted(self):
        refs = [f"{self.registry.address}/metrics:{i}" for i in range(3)]
        self.daemon.run_job(self.spec(refs[0]))
        self.daemon.run_job(self.spec(refs[1]))
        self.daemon.run_job({"kind": "copy", "source": refs[0], "targets": [f"{self.registry.address}/metrics-copy:1"]})
        self.daemon.run_job({"kind": "copy", "source": refs[2], "targets": [f"{self.registry.address}/none:1"]}, state="failed")
        self.daemon.run_job({"kind": "copy", "source": f"127.0.0.1:{free_port()}/a/b:1", "targets": [refs[2]]}, state="failed")
        samples = self.samples()

        def finished(kind, result, code):
            return samples["dray_jobs_finished_total", (("kind", kind), ("result", result), ("code", code))]

        self.assertEqual(finished("build", "succeeded", ""), 2)
        self.assertEqual(finished("copy", "succeeded", ""), 1)
        self.assertEqual(finished("copy", "failed", "image-not-found"), 1)
        self.assertEqual(finished("copy", "failed", "registry-unreachable"), 1)
        for name in ("dray_job_duration_seconds_count", "dray_job_queue_seconds_count"):
            self.assertEqual((samples[name, (("kind", "build"),)], samples[name, (("kind", "copy"),)]), (2, 3))
        for how in ("copied", "mounted", "exists"):
            self.assertGreater(samples["dray_blob_bytes_total", (("how", how),)], 0, how)
        registry = ("registry", self.registry.address)
        self.assertGreater(samples["dray_registry_requests_total", (registry, ("code", "2xx"))], 0)
        self.assertGreater(samples["dray_registry_requests_total", (registry, ("code", "4xx"))], 0)
        self.assertGreater(samples["dray_registry_retries_total", (("code", "registry-unreachable"),)], 0)
        self.assertGreater(samples["dray_cache_requests_total", (("result", "hit"),)]
                           + samples["dray_cache_requests_total", (("result", "miss"),)], 0)
        self.assertEqual(samples["dray_cache_evictions_total", ()], 0)

    def test_labels_are_bounded(self):
        for i in range(60):
            self.daemon.run_job({"kind": "copy", "source": f"127.0.0.1:{free_port()}/a/b:1",
                                 "targets": [f"{self.registry.address}/none:1"]}, state="failed")
        names = {dict(labels)["registry"] for name, labels in self.samples() if name == "dray_registry_requests_total"}
        self.assertIn("other", names)
        self.assertLessEqual(len(names), 51)

    def test_streams_are_counted(self):
        with self.daemon.open("GET", "/v1/events"):
            self.assertEqual(self.samples()["dray_event_streams", ()], 1)

    def test_log_lines_carry_ids(self):
        answer = self.daemon.request("POST", "/v1/jobs", json=self.spec(f"{self.registry.address}/log:1"),
                                     headers={"X-Request-Id": "my-request"})
        job = answer.json()["id"]
        self.daemon.wait_job(job)
        lines = [line for line in self.daemon.log_text().splitlines() if f"job={job}" in line]
        self.assertTrue(any("job accepted" in line and "request=my-request" in line for line in lines), lines)
        self.assertTrue(any("job succeeded" in line for line in lines), lines)
        for line in self.daemon.log_text().splitlines():
            self.assertRegex(line, r"^drayd(: (debug|info|warning|error): | ready: )")


if __name__ == "__main__":
    unittest.main()
