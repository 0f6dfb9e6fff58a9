# SPDX-License-Identifier: Apache-2.0
"""Build and copy jobs between layouts: no registry is needed. skopeo judges what was made."""

import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import unittest

from daemon import Daemon


def blobs(layout):
    return {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}


class LocalJobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        tree = cls.daemon.build_root / "app"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub/file").write_text("content\n")
        (tree / "run").write_text("#!/bin/sh\n")
        (tree / "run").chmod(0o755)
        (tree / "link").symlink_to("sub/file")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def spec(self, layout, **more):
        return {
            "kind": "build", "base": "scratch", "targets": [f"oci:{self.daemon.output_root}/{layout}:1"],
            "layers": [{"files": [
                {"from": f"{self.daemon.build_root}/app", "to": "/app"},
                {"type": "file", "to": "/etc/hello", "text": "hello\n", "mode": "0600"},
                {"type": "directory", "to": "/var/lib/app", "owner": "1000:1000", "mode": "0750"},
                {"type": "symlink", "to": "/current", "target": "/app/run"}]}],
            "config": {"cmd": ["/app/run"], "env": {"MODE": "prod"}, "labels": {"team": "a"}}, **more,
        }

    def test_build(self):
        job = self.daemon.run_job(self.spec("built"))
        layout = self.daemon.output_root / "built"
        digest = job["result"]["digest"].removeprefix("sha256:")
        content = blobs(layout)
        for name, data in content.items():
            self.assertEqual(hashlib.sha256(data).hexdigest(), name)
        manifest = json.loads(content[digest])
        layer = content[manifest["layers"][0]["digest"].removeprefix("sha256:")]
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            names = {m.name.rstrip("/"): m for m in tar.getmembers()}
        self.assertEqual(names["app/run"].mode, 0o755)
        self.assertEqual(names["app/sub/file"].mode, 0o644)
        self.assertEqual(names["app/link"].linkname, "sub/file")
        self.assertEqual(names["etc/hello"].mode, 0o600)
        self.assertEqual((names["var/lib/app"].uid, names["var/lib/app"].mode), (1000, 0o750))
        self.assertEqual({(m.uid, m.mtime) for m in names.values() if m.name.startswith("app")}, {(0, 0)})
        read = subprocess.run(["skopeo", "inspect", "--config", f"oci:{layout}:1"], check=True, capture_output=True)
        config = json.loads(read.stdout)["config"]
        self.assertEqual((config["Cmd"], config["Env"], config["Labels"]), (["/app/run"], ["MODE=prod"], {"team": "a"}))

    def test_same_input_same_digest(self):
        first = self.daemon.run_job(self.spec("one"))
        os.utime(self.daemon.build_root / "app/run")
        second = self.daemon.run_job(self.spec("two"))
        self.assertEqual(first["result"]["digest"], second["result"]["digest"])

    def test_copy_is_byte_identical(self):
        out = self.daemon.output_root
        self.daemon.run_job(self.spec("source"))
        job = self.daemon.run_job({"kind": "copy", "source": f"oci:{out}/source:1", "targets": [f"oci:{out}/copied:v2"]})
        self.assertEqual(blobs(out / "source"), blobs(out / "copied"))
        self.assertTrue(job["result"]["refs"][0].endswith("@" + job["result"]["digest"]))
        subprocess.run(["skopeo", "inspect", f"oci:{out}/copied:v2"], check=True, capture_output=True)

    def test_a_failed_job_leaves_no_layout_and_no_archive(self):
        out = self.daemon.output_root
        before = sorted(out.iterdir())
        targets = [f"oci:{out}/none:1", f"oci-archive:{out}/none.tar:1", f"docker-archive:{out}/none-docker.tar:a:1"]
        for spec in ({"kind": "copy", "source": f"oci:{out}/absent:1"},
                     {**self.spec("none"), "layers": [{"files": [{"from": f"{self.daemon.build_root}/missing", "to": "/"}]}]}):
            self.daemon.run_job({**spec, "targets": targets}, state="failed")
            self.assertEqual(sorted(out.iterdir()), before)
        (out / "empty").mkdir()
        self.daemon.run_job({"kind": "copy", "source": f"oci:{out}/absent:1", "targets": [f"oci:{out}/empty:1"]}, state="failed")
        self.assertEqual(list((out / "empty").iterdir()), [])

    def test_what_one_place_has_the_next_may_lack(self):
        out = self.daemon.output_root
        self.daemon.run_job({**self.spec("has"), "targets": [f"oci:{out}/has:1", f"oci:{out}/origin:1"]})
        targets = [f"oci:{out}/has:2", f"oci:{out}/lacks:1", f"oci-archive:{out}/lacks.tar:1"]
        self.daemon.run_job({"kind": "copy", "source": f"oci:{out}/origin:1", "targets": targets})
        for place in targets:
            self.daemon.run_job({"kind": "check", "source": place, "deep": True})

    def test_if_exists_of_layouts_and_archives(self):
        out = self.daemon.output_root
        self.daemon.run_job(self.spec("source"))
        self.daemon.run_job({**self.spec("other"), "config": {"user": "7"}})
        for form in ("oci:{}/exists:1", "oci-archive:{}/exists.tar:1", "docker-archive:{}/exists-docker.tar:a:1"):
            with self.subTest(form):
                place = form.format(out)
                copy = lambda source, how, state: self.daemon.run_job(  # noqa: E731
                    {"kind": "copy", "source": f"oci:{out}/{source}:1", "targets": [{"ref": place, "if_exists": how}]}, state=state)
                copy("source", "fail", "succeeded")  # nothing was there
                file = out / "exists/index.json" if form.startswith("oci:") else pathlib.Path(place.split(":")[1])
                first = file.read_bytes()
                for source, how in (("source", "fail"), ("other", "fail"), ("other", "same")):
                    error = copy(source, how, "failed")["error"]
                    self.assertEqual(error["code"], "target-exists", (source, how, error))
                    self.assertEqual(file.read_bytes(), first)
                copy("source", "same", "succeeded")
                copy("other", "replace", "succeeded")
                self.assertNotEqual(file.read_bytes(), first)

    def test_events_are_dense_and_end(self):
        job = self.daemon.post_job(self.spec("events"))
        live = [e for e in self.daemon.events(job["id"]) if "seq" in e]
        replayed = list(self.daemon.events(job["id"]))
        self.assertEqual([e["seq"] for e in replayed], list(range(1, len(replayed) + 1)))
        self.assertEqual(live, replayed)
        self.assertEqual(replayed[0]["type"], "job.queued")
        self.assertEqual((replayed[-1]["type"], replayed[-1]["state"]), ("job.finished", "succeeded"))
        later = list(self.daemon.events(job["id"], since=2))
        self.assertEqual(later, replayed[2:])

    def test_faults_of_the_request(self):
        out = self.daemon.output_root
        rows = [
            ({"targets": []}, 400, "invalid-request", "/targets"),
            ({"targets": ["oci:/etc/dray:1"]}, 403, "path-not-allowed", "/targets/0"),
            ({"nonsense": 1}, 400, "invalid-request", "/nonsense"),
            ({"base": "UPPER/CASE"}, 400, "reference-invalid", "/base"),
            ({"layers": [{"files": [{"from": "/etc", "to": "/x"}]}]}, 403, "path-not-allowed", "/layers/0/files/0/from"),
            ({"config": {"cmd": "x"}}, 400, "invalid-request", "/config/cmd"),
        ]
        for change, status, code, pointer in rows:
            with self.subTest(change):
                got, problem = self.daemon.refused_job({**self.spec("refused"), **change})
                self.assertEqual((got, problem["code"]), (status, code), problem)
                self.assertEqual(problem["errors"][0]["pointer"], pointer)
        self.assertFalse((out / "refused").exists())

    def test_faults_of_the_job_publish_nothing(self):
        root = self.daemon.build_root
        os.mkfifo(root / "fifo")
        rows = [({"from": f"{root}/missing", "to": "/x"}, "path-not-found"),
                ({"from": f"{root}/fifo", "to": "/x"}, "unsupported-file")]
        (root / "out-link").symlink_to("/etc/passwd")
        rows.append(({"from": f"{root}/out-link", "to": "/x"}, "path-not-allowed"))
        for entry, code in rows:
            with self.subTest(code):
                job = self.daemon.run_job(self.spec("failed", layers=[{"files": [entry]}]), state="failed")
                self.assertEqual(job["error"]["code"], code)
                index = self.daemon.output_root / "failed/index.json"
                self.assertTrue(not index.exists() or json.loads(index.read_text())["manifests"] == [])

    def test_source_may_be_a_link_inside_its_root(self):
        root = self.daemon.build_root
        (root / "by-name").symlink_to(root / "app")  # absolute, and back inside
        job = self.daemon.run_job(self.spec("linked", layers=[{"files": [{"from": f"{root}/by-name", "to": "/app"}]}]))
        self.assertEqual(len(job["result"]["layers"]), 1)


if __name__ == "__main__":
    unittest.main()
