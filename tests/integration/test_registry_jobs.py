# SPDX-License-Identifier: Apache-2.0
"""Build and copy against real registries: what comes out is judged by skopeo, umoci and a chroot, not by our own reader."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from daemon import Daemon, login
from registries import Registry, TlsRegistry, TokenRegistry

SKOPEO = ["skopeo", "--insecure-policy"]


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inspect(ref, *options):
    return json.loads(run(*SKOPEO, "inspect", "--tls-verify=false", *options, f"docker://{ref}"))


def busybox_layer(directory):
    """A small real root: busybox with a few links."""
    root = pathlib.Path(directory)
    (root / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "cat", "echo"):
        if not (root / "bin" / name).is_symlink():
            (root / "bin" / name).symlink_to("busybox")
    return root


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry, cls.second = Registry(), Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.addClassCleanup(cls.second.stop)

    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)

    def base(self, name="base"):
        ref = f"{self.registry.address}/{name}:1"
        root = busybox_layer(self.daemon.build_root / "rootfs")
        self.daemon.run_job({"kind": "build", "base": "scratch", "targets": [ref], "config": {"env": {"PATH": "/bin", "OLD": "1"}},
                             "layers": [{"files": [{"from": str(root), "to": "/"}]}]})
        return ref

    def unpack(self, ref):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="dray-unpack."))
        self.addCleanup(shutil.rmtree, directory, True)
        run(*SKOPEO, "copy", "--src-tls-verify=false", f"docker://{ref}", f"oci:{directory}/layout:x")
        run("umoci", "unpack", *([] if os.geteuid() == 0 else ["--rootless"]), "--image", f"{directory}/layout:x",
            f"{directory}/bundle")
        return directory / "bundle/rootfs"

    def test_build_on_a_base_runs(self):
        target = f"{self.second.address}/app:1"
        job = self.daemon.run_job({
            "kind": "build", "base": self.base(), "targets": [target],
            "layers": [{"files": [{"type": "file", "to": "/etc/motd", "text": "hello\n", "mode": "0600"},
                                  {"type": "directory", "to": "/var/lib/app", "owner": "1000:1000", "mode": "0750"}]},
                       {"files": [{"type": "symlink", "to": "/greeting", "target": "/etc/motd"},
                                  {"type": "file", "to": "/bytes", "base64": base64.b64encode(b"\x00\x01").decode()}]}],
            "config": {"cmd": ["cat", "/etc/motd"], "env": {"MODE": "prod", "OLD": None}, "user": "0", "working_dir": "/etc",
                       "labels": {"team": "a"}}})
        about = inspect(target)
        self.assertEqual(about["Digest"], job["result"]["digest"])
        self.assertEqual(about["Env"], ["PATH=/bin", "MODE=prod"])
        self.assertEqual(about["Labels"], {"team": "a"})
        self.assertEqual(len(about["Layers"]), 3)
        self.assertEqual([layer["targets"] for layer in job["result"]["layers"] if "made" in layer], [["built"], ["built"]])
        root = self.unpack(target)
        self.assertEqual((root / "etc/motd").read_text(), "hello\n")
        self.assertEqual((root / "etc/motd").stat().st_mode & 0o7777, 0o600)
        self.assertEqual((root / "bytes").read_bytes(), b"\x00\x01")
        self.assertEqual(os.readlink(root / "greeting"), "/etc/motd")
        if os.geteuid() == 0:
            state = (root / "var/lib/app").stat()
            self.assertEqual((state.st_uid, state.st_gid, state.st_mode & 0o7777), (1000, 1000, 0o750))
            self.assertEqual(run("chroot", root, "/bin/cat", "/greeting"), "hello\n")

    def test_same_input_same_digest_and_nothing_sent_twice(self):
        base = self.base()
        spec = {"kind": "build", "base": base, "targets": [f"{self.second.address}/twice:1"],
                "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]}
        first = self.daemon.run_job(spec)["result"]
        spec["targets"] = [f"{self.second.address}/twice:2"]
        second = self.daemon.run_job(spec)["result"]
        self.assertEqual(first["digest"], second["digest"])
        self.assertGreater(first["stats"]["bytes_sent"], 0)
        self.assertEqual((second["stats"]["bytes_sent"], second["stats"]["bytes_received"] < 10000), (0, True))

    def test_base_layers_are_mounted_where_the_registry_has_them(self):
        base = self.base("mount-source")
        job = self.daemon.run_job({"kind": "build", "base": base, "targets": [f"{self.registry.address}/mount-target:1"],
                                   "config": {"user": "nobody"}})
        self.assertEqual(job["result"]["layers"][0]["targets"], ["mounted"])
        self.assertGreater(job["result"]["stats"]["bytes_mounted"], 100_000)
        self.assertEqual(inspect(f"{self.registry.address}/mount-target:1", "--config")["config"]["User"], "nobody")

    def test_several_targets_and_tags(self):
        targets = [f"{self.registry.address}/multi:a", f"{self.registry.address}/multi:b", f"{self.second.address}/multi:a",
                   f"oci:{self.daemon.output_root}/multi:a"]
        job = self.daemon.run_job({"kind": "build", "base": "scratch", "targets": targets,
                                   "layers": [{"files": [{"type": "file", "to": "/x", "text": os.urandom(8).hex()}]}]})
        self.assertEqual(job["result"]["refs"], [f"{t}@{job['result']['digest']}" for t in targets])
        for target in targets[:3]:
            self.assertEqual(inspect(target)["Digest"], job["result"]["digest"])
        index = json.loads((self.daemon.output_root / "multi/index.json").read_text())
        self.assertEqual(index["manifests"][0]["digest"], job["result"]["digest"])

    def test_docker_format(self):
        target = f"{self.second.address}/docker:1"
        self.daemon.run_job({"kind": "build", "base": self.base(), "targets": [{"ref": target, "format": "docker"}],
                             "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]})
        raw = json.loads(run(*SKOPEO, "inspect", "--raw", "--tls-verify=false", f"docker://{target}"))
        self.assertEqual(raw["mediaType"], "application/vnd.docker.distribution.manifest.v2+json")
        self.assertTrue(all(l["mediaType"].startswith("application/vnd.docker.") for l in raw["layers"]))
        self.unpack(target)

    def test_two_platforms_make_an_index_and_a_copy_is_byte_identical(self):
        source, target = f"{self.registry.address}/index:1", f"{self.second.address}/index:1"
        built = self.daemon.run_job({"kind": "build", "base": "scratch", "platforms": ["linux/amd64", "linux/arm64"], "targets": [source],
                                     "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]})
        copied = self.daemon.run_job({"kind": "copy", "source": source, "targets": [target, f"oci:{self.daemon.output_root}/index:1"]})
        self.assertEqual(built["result"]["digest"], copied["result"]["digest"])
        raw = [subprocess.run([*SKOPEO, "inspect", "--raw", *(["--tls-verify=false"] if r.startswith("docker") else []), r],
                              capture_output=True, check=True).stdout
               for r in (f"docker://{source}", f"docker://{target}")]
        self.assertEqual(raw[0], raw[1])
        self.assertEqual("sha256:" + hashlib.sha256(raw[1]).hexdigest(), built["result"]["digest"])
        run(*SKOPEO, "copy", "--all", f"oci:{self.daemon.output_root}/index:1", f"oci:{self.daemon.output_root}/again:1")
        arm = self.daemon.run_job({"kind": "copy", "source": source, "platforms": ["linux/arm64"], "targets": [f"{self.second.address}/index:arm"]})
        raw = json.loads(run(*SKOPEO, "inspect", "--raw", "--tls-verify=false", f"docker://{self.second.address}/index:arm"))
        self.assertEqual([m["platform"]["architecture"] for m in raw["manifests"]], ["arm64"])
        self.assertNotEqual(arm["result"]["digest"], built["result"]["digest"])

    def test_copy_skips_what_exists(self):
        source, target = self.base(), f"{self.second.address}/skip:1"
        first = self.daemon.run_job({"kind": "copy", "source": source, "targets": [target]})["result"]
        again = self.daemon.run_job({"kind": "copy", "source": source, "targets": [target]})["result"]
        self.assertEqual(first["layers"][0]["targets"], ["copied"])
        self.assertEqual(again["layers"][0]["targets"], ["exists"])
        self.assertEqual(again["stats"]["bytes_sent"], 0)
        self.assertLessEqual(again["stats"]["requests"], 4)

    def test_one_job_waits_for_another_that_moves_the_same_blob(self):
        (self.daemon.build_root / "large").write_bytes(os.urandom(30_000_000))
        source = f"{self.registry.address}/large:1"
        self.daemon.run_job({"kind": "build", "base": "scratch", "targets": [source],
                             "layers": [{"files": [{"from": f"{self.daemon.build_root}/large", "to": "/large"}]}]})
        ids = [self.daemon.post_job({"kind": "copy", "source": source, "targets": [f"{self.second.address}/joined:{i}"]})["id"]
               for i in range(4)]
        stats = [self.daemon.wait_job(i)["result"]["stats"] for i in ids]
        self.assertLess(sum(s["bytes_sent"] for s in stats), 2 * 30_100_000)
        for i in range(4):
            inspect(f"{self.second.address}/joined:{i}")

    def test_events_are_dense_and_end_with_the_job(self):
        job = self.daemon.run_job({"kind": "copy", "source": self.base(), "targets": [f"{self.second.address}/events:1"]})
        events = list(self.daemon.events(job["id"]))
        kept = [e["seq"] for e in events if "seq" in e]
        self.assertEqual(kept, list(range(1, len(kept) + 1)))
        self.assertEqual((events[0]["type"], events[-1]["type"]), ("job.queued", "job.finished"))
        first_state = next(i for i, e in enumerate(events) if e["type"] == "blob.state")
        self.assertIn("job.plan", [e["type"] for e in events[:first_state]])
        self.assertEqual(list(self.daemon.events(job["id"], since=3))[0]["seq"], 4)

    def test_every_plan_of_a_build_names_what_is_known_and_what_is_to_be_packed(self):
        (self.daemon.build_root / "file").write_text("new\n")
        job = self.daemon.run_job({"kind": "build", "base": self.base(), "targets": [f"{self.second.address}/planned:1"],
                                   "layers": [{"files": [{"from": f"{self.daemon.build_root}/file", "to": "/file"}]}]})
        events = list(self.daemon.events(job["id"], follow=False))
        plans = [e for e in events if e["type"] == "job.plan"]
        self.assertEqual([p["estimated"] for p in plans], [True] * (len(plans) - 1) + [False])
        for plan in plans[:-1]:
            self.assertIn("layers/0", [b["blob"] for b in plan["blobs"]])
        layers = [b["digest"] for b in plans[-1]["blobs"] if b["role"] == "layer"]
        self.assertEqual(layers, [layer["digest"] for layer in job["result"]["layers"]])
        self.assertEqual(plans[-1]["bytes_total"], sum(b["size"] for b in plans[-1]["blobs"]))

    def test_cancel_leaves_no_upload_and_no_tag(self):
        (self.daemon.build_root / "huge").write_bytes(os.urandom(200_000_000))
        job = self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{self.second.address}/cancelled:1"],
                                    "layers": [{"files": [{"from": f"{self.daemon.build_root}/huge", "to": "/huge"}], "compression": "none"}]})
        answer = None
        for event in self.daemon.events(job["id"]):
            if event["type"] == "blob.state" and event["state"] in ("packing", "uploading") and not answer:
                answer = self.daemon.request("POST", f"/v1/jobs/{job['id']}/cancel")
        self.assertEqual(answer.status, 202)
        done = self.daemon.wait_job(job["id"])
        self.assertEqual((done["state"], done["error"]["code"]), ("cancelled", "cancelled"))
        self.assertFalse((self.second.data / "docker/registry/v2/repositories/cancelled/_manifests/tags").exists())

    def test_if_exists(self):
        target = f"{self.second.address}/exists:1"
        spec = {"kind": "build", "base": "scratch", "targets": [{"ref": target, "if_exists": "fail"}],
                "layers": [{"files": [{"type": "file", "to": "/x", "text": "1"}]}]}
        digest = self.daemon.run_job(spec)["result"]["digest"]
        self.assertEqual(self.daemon.run_job(spec, state="failed")["error"]["code"], "target-exists")
        spec["targets"][0]["if_exists"] = "same"
        self.daemon.run_job(spec)
        spec["layers"][0]["files"][0]["text"] = "2"
        self.assertEqual(self.daemon.run_job(spec, state="failed")["error"]["code"], "target-exists")
        self.assertEqual(inspect(target)["Digest"], digest)

    def test_a_vanished_blob_heals(self):
        source, target = self.base(), f"{self.second.address}/healed"
        job = self.daemon.run_job({"kind": "copy", "source": source, "targets": [f"{target}:1"]})
        layer = job["result"]["layers"][0]["digest"]
        shutil.rmtree(self.second.data / "docker/registry/v2/repositories/healed")
        self.second.blob_path(layer).unlink()
        self.daemon.run_job({"kind": "copy", "source": source, "targets": [f"{target}:2"]})
        self.unpack(f"{target}:2")


class Kill(unittest.TestCase):
    def test_killed_again_and_again_every_job_ends_once(self):
        with Registry() as registry, Daemon() as daemon:
            (daemon.build_root / "data").write_bytes(os.urandom(5_000_000))
            ids = []
            for i in range(30):
                ids.append(daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{registry.address}/k{i % 3}:{i}"],
                                            "layers": [{"files": [{"from": f"{daemon.build_root}/data", "to": f"/d{i % 5}"}]}]})["id"])
                if i % 6 == 5:
                    time.sleep(0.03 * (i % 4))
                    daemon.kill()
                    daemon.start()
            for number, job_id in enumerate(ids):
                job = daemon.wait_job(job_id)
                self.assertEqual(job["state"], "succeeded", job["error"])
                self.assertEqual(inspect(f"{registry.address}/k{number % 3}:{number}")["Digest"], job["result"]["digest"])


class SignIn(unittest.TestCase):
    CANARY = "c4n4ry-pass:word"

    def test_tls_basic_and_inline_credentials_that_never_show(self):
        with TlsRegistry(user="ci", password=self.CANARY) as tls, Daemon(start=False) as daemon:
            conf = daemon.directory / "dray.conf"
            conf.write_text(f"[host {tls.address}]\nca_file = {tls.ca_file}\n")
            daemon.arguments += ["--config", conf]
            daemon.start()
            spec = {"kind": "build", "base": "scratch", "targets": [f"{tls.address}/private/app:1"],
                    "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]}
            refused = daemon.run_job(spec, state="failed")
            self.assertEqual(refused["error"]["code"], "registry-denied", refused)
            spec["auth"] = {tls.address: {"username": "ci", "password": self.CANARY}}
            job = daemon.run_job(spec)
            outputs = json.dumps(job) + json.dumps(list(daemon.events(job["id"]))) + daemon.log_text() + \
                daemon.request("GET", "/metrics").text + json.dumps(daemon.get("/v1/credentials"))
            self.assertNotIn(self.CANARY, outputs)
            self.assertNotIn("auth", job["spec"])
            retry = daemon.request("POST", f"/v1/jobs/{job['id']}/retry")
            self.assertEqual((retry.status, retry.json()["code"]), (422, "auth-required"))
            daemon.stop()
            for path in daemon.directory.rglob("*"):
                if path.is_file():
                    content = path.read_bytes()
                    self.assertNotIn(self.CANARY.encode(), content, path)
                    self.assertNotIn(base64.b64encode(f"ci:{self.CANARY}".encode()), content, path)

    def test_credentials_survive_a_crash_sealed(self):
        with TlsRegistry(user="ci", password=self.CANARY) as tls, Daemon("--set", "daemon.paused=true", start=False) as daemon:
            conf = daemon.directory / "dray.conf"
            conf.write_text(f"[host {tls.address}]\nca_file = {tls.ca_file}\n")
            daemon.arguments += ["--config", conf]
            daemon.start()
            job = daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{tls.address}/sealed:1"],
                                   "auth": {tls.address: {"username": "ci", "password": self.CANARY}}})
            daemon.kill()
            for path in daemon.directory.rglob("*"):
                if path.is_file():
                    self.assertNotIn(self.CANARY.encode(), path.read_bytes(), path)
            daemon.arguments.remove("daemon.paused=true")
            daemon.arguments.remove("--set")
            daemon.start()
            self.assertEqual(daemon.wait_job(job["id"])["state"], "succeeded")

    def test_docker_config_and_token_server(self):
        with TokenRegistry(users={"u": "p"}) as registry, Daemon(start=False) as daemon:
            daemon.docker_config(auths={registry.address: login("u", "p")})
            daemon.start()
            daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"{registry.address}/team/app:1", f"{registry.address}/team/app:2"],
                            "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]})

    def test_credential_helper(self):
        with TokenRegistry(users={"u": "p"}) as registry, Daemon(start=False) as daemon:
            daemon.credential_helper(registry.address, "u", "p")
            daemon.start()
            ids = [daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{registry.address}/team/app:{i}"]})["id"]
                   for i in range(20)]
            for job in ids:
                self.assertEqual(daemon.wait_job(job)["state"], "succeeded")
            self.assertEqual((daemon.directory / "runs").read_text(), "run\n")


if __name__ == "__main__":
    unittest.main()
