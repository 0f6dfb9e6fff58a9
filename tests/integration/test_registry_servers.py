# SPDX-License-Identifier: Apache-2.0
"""docker-registry as people run it: with a token server, and behind nginx with TLS, client certificates, limits of the body and
both ways of buffering. What arrives is read back by skopeo, without our help."""

import json
import os
import subprocess
import unittest

from daemon import Daemon, login
from registries import TestCa, TlsRegistry, TokenRegistry

MIB = 1 << 20
LARGE_BYTES = 9 * MIB
TEXT_LAYER = {"files": [{"type": "file", "to": "/x", "text": "x"}]}


def inspect(ref, *options):
    command = ["skopeo", "--insecure-policy", "inspect", *options, f"docker://{ref}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Case(unittest.TestCase):
    def start(self, *sections, auths=None, **settings):
        """A daemon with these sections of configuration and these entries under auths of Docker's file."""
        daemon = Daemon(start=False, settings={"network.retry_base_ms": 10, **settings})
        self.addCleanup(daemon.remove)
        self.addCleanup(daemon.stop)
        conf = daemon.directory / "dray.conf"
        conf.write_text("\n".join(sections))
        daemon.arguments += ["--config", conf]
        daemon.docker_config(auths=auths or {})
        return daemon.start()

    def failed(self, daemon, spec, code):
        error = daemon.run_job(spec, state="failed")["error"]
        self.assertEqual(error["code"], code, error)
        return error


def build(ref, **members):
    return {"kind": "build", "base": "scratch", "targets": [ref], "layers": [TEXT_LAYER], **members}


class Tokens(Case):
    def rights(self, name, kind, resource, actions):
        """ci may do everything below team/, reader may read it; who is nobody may read public/."""
        allowed = {"ci": ("pull", "push", "delete"), "reader": ("pull",)}.get(name, ())
        if name is None or not resource.startswith("team/"):
            allowed = ("pull",) if resource.startswith("public/") else ()
        return [action for action in actions if action in allowed]

    def server(self, **settings):
        return self.enterContext(TokenRegistry(users={"ci": "s3cret", "reader": "r3ad"}, rights=self.rights, **settings))

    def test_who_may_what(self):
        registry = self.server()
        daemon = self.start(auths={registry.address: login("ci", "s3cret")})
        ref = f"{registry.address}/team/app:1"
        daemon.run_job(build(ref))
        self.assertEqual(len(inspect(ref, "--tls-verify=false", "--creds", "ci:s3cret")["Layers"]), 1)
        reader = {registry.address: {"username": "reader", "password": "r3ad"}}
        copy = {"kind": "copy", "source": ref, "targets": [f"oci:{daemon.output_root}/copy:1"], "auth": reader}
        daemon.run_job(copy)
        error = self.failed(daemon, build(f"{registry.address}/team/app:2", auth=reader), "registry-denied")
        self.assertIn("team/app", error["detail"])
        self.failed(daemon, {**copy, "auth": {registry.address: {"anonymous": True}}}, "registry-denied")
        wrong = {registry.address: {"username": "ci", "password": "wr0ng"}}
        error = self.failed(daemon, build(f"{registry.address}/team/app:3", auth=wrong), "registry-auth")
        self.assertNotIn("wr0ng", json.dumps(error))

    def test_identity_token(self):
        registry = self.server(refresh_tokens={"id3ntity": "ci"}, get=False)
        daemon = self.start(auths={registry.address: {"identitytoken": "id3ntity"}})
        daemon.run_job(build(f"{registry.address}/team/app:1"))
        self.assertEqual({r["method"] for r in registry.tokens.requests}, {"POST"})
        self.assertEqual({r["parameters"]["grant_type"][0] for r in registry.tokens.requests}, {"refresh_token"})

    def test_a_token_server_that_is_out_of_order_for_a_moment(self):
        registry = self.server()
        daemon = self.start(auths={registry.address: login("ci", "s3cret")}, **{"network.retry_count": 10})
        registry.tokens.fail = 503
        job = daemon.post_job(build(f"{registry.address}/team/app:1"))
        for event in daemon.events(job["id"]):
            if event["type"] == "retry":
                registry.tokens.fail = None
                break
        self.assertEqual(daemon.wait_job(job["id"])["state"], "succeeded")

    def test_many_jobs_ask_once(self):
        registry = self.server()
        daemon = self.start(auths={registry.address: login("ci", "s3cret")})
        daemon.run_job(build(f"{registry.address}/team/base:1"))
        registry.tokens.requests.clear()
        ids = [daemon.post_job({"kind": "build", "base": f"{registry.address}/team/base:1", "config": {"user": str(i)},
                                "targets": [f"{registry.address}/team/app{i % 2}:{i}"]})["id"] for i in range(100)]
        self.assertEqual({daemon.wait_job(i)["state"] for i in ids}, {"succeeded"})
        asked = [tuple(r["parameters"]["scope"]) for r in registry.tokens.requests]
        self.assertEqual(len(asked), len(set(asked)), asked)
        self.assertLessEqual(len(asked), 3)


class Proxy(Case):
    def front(self, **settings):
        return self.enterContext(TlsRegistry(signed_in=False, **settings))

    def section(self, front, *lines):
        return "\n".join([f"[host {front.address}]", f"ca_file = {front.ca_file}", *lines])

    def large(self, daemon, ref):
        (daemon.build_root / "large").write_bytes(os.urandom(LARGE_BYTES))
        return build(ref, layers=[{"files": [{"from": f"{daemon.build_root}/large", "to": "/large"}], "compression": "none"}])

    def layers(self, ref):
        return [layer["size"] for layer in inspect(ref, "--tls-verify=false", "--raw")["layers"]]

    def test_buffered_or_not(self):
        for buffering in (True, False):
            for proto in (True, False):  # without, the registry names its places with http:
                with self.subTest(buffering=buffering, proto=proto):
                    front = self.front(buffering=buffering, forwarded_proto=proto)
                    daemon = self.start(self.section(front), **{"network.chunk_bytes": 4 * MIB, "network.monolithic_max_bytes": 4 * MIB})
                    ref = f"{front.address}/team/app:1"
                    daemon.run_job(self.large(daemon, ref))
                    self.assertGreater(self.layers(ref)[0], LARGE_BYTES)
                    self.assertIn("PATCH", {line.split()[0] for line in front.nginx.requests()})
                    self.assertEqual(front.uploads(), [])

    def test_a_limit_that_chunks_pass(self):
        for buffering in (True, False):
            with self.subTest(buffering=buffering):
                front = self.front(body="5m", buffering=buffering)
                daemon = self.start(self.section(front))
                ref = f"{front.address}/team/app:1"
                daemon.run_job(self.large(daemon, ref))
                self.assertGreater(self.layers(ref)[0], LARGE_BYTES)
                self.assertEqual(front.uploads(), [])
                before = len(front.nginx.requests())
                daemon.run_job(self.large(daemon, f"{front.address}/team/app:2"))  # the limit is remembered
                methods = [line.split()[0] for line in front.nginx.requests()[before:]]
                self.assertGreaterEqual(methods.count("PATCH"), 1)
                self.assertEqual(methods.count("PUT"), 3)  # the end of the layer, the config, the manifest: no try in vain

    def test_a_limit_that_nothing_passes(self):
        for buffering in (True, False):
            with self.subTest(buffering=buffering):
                front = self.front(body="1m", buffering=buffering)
                daemon = self.start(self.section(front))
                daemon.run_job(build(f"{front.address}/team/small:1"))
                error = self.failed(daemon, self.large(daemon, f"{front.address}/team/app:1"), "too-large")
                self.assertEqual(error["upstream"]["status"], 413)
                self.assertIn("413 Request Entity Too Large", error["detail"])
                self.assertRegex(error["hint"], r"takes no request of \d+ bytes.*client_max_body_size")
                self.assertFalse(error["retryable"])
                self.assertEqual(front.uploads(), [])

    def test_client_certificates(self):
        front = self.front(client_certificate=True)
        ref = f"{front.address}/team/app:1"
        with_it = self.start(self.section(front, f"client_cert = {front.client_cert}", f"client_key = {front.client_key}"))
        with_it.run_job(build(ref))
        copied = with_it.run_job({"kind": "copy", "source": ref, "targets": [f"oci:{with_it.output_root}/copy:1"]})
        self.assertEqual(copied["result"]["refs"][0].rpartition("@")[2], copied["result"]["digest"])
        without = self.start(self.section(front))
        error = self.failed(without, build(ref), "registry-protocol")
        self.assertIn("No required SSL certificate was sent", error["detail"])

    def test_a_certificate_of_somebody_else(self):
        front = self.front()
        other = TestCa(front.directory / "other")
        daemon = self.start(f"[host {front.address}]\nca_file = {other.ca_file}\n", **{"network.retry_count": 0})
        error = self.failed(daemon, build(f"{front.address}/team/app:1"), "registry-unreachable")
        self.assertRegex(error["detail"], "certificate")
        self.assertEqual(front.nginx.requests(), [])


if __name__ == "__main__":
    unittest.main()
