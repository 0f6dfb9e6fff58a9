# SPDX-License-Identifier: Apache-2.0
"""The whole daemon against every family of registries (the profiles of tests/support/scripted_registry.py): build, copy in and
out, an upload that breaks, lists, referrers, delete. The registry checks its own store and where secrets went afterwards."""

import hashlib
import json
import ssl
import tempfile
import unittest

from daemon import Daemon, login
from registries import TestCa
from scripted_registry import OCI_INDEX, OCI_MANIFEST, PROFILES, ScriptedRegistry, digest_of

MIB = 1 << 20
CHUNK_BYTES, LARGE_BYTES = 6 * MIB, 13 * MIB  # uploads in chunks begin at 8 MiB

# People meet these without TLS.
PLAIN = ("spec-strict", "distribution-2.8", "zot")
TOO_LARGE = ("nginx-front",)  # its limit is below the smallest chunk
KEEPS = ("quay", "quay-old", "ecr-public")  # what is pushed is deleted by other means than the registry's API


def test_ca():
    directory = tempfile.TemporaryDirectory(prefix="ca.")
    ca = TestCa(directory.name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("registry"))
    return directory, ca, context


class Profiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory, cls.ca, cls.context = test_ca()
        cls.addClassCleanup(directory.cleanup)
        cls.home = cls.enterClassContext(ScriptedRegistry())  # where images come from and go to

    # --- a daemon that may talk to it

    def start(self, profile):
        self.home.reset()
        self.profile = profile
        self.registry = self.enterContext(ScriptedRegistry(profile, context=None if profile in PLAIN else self.context))
        self.host = self.registry.address
        settings = {"network.chunk_bytes": CHUNK_BYTES, "network.monolithic_max_bytes": 8 * MIB, "network.retry_base_ms": 10}
        if self.registry.token_uses:  # so few that workers side by side would use up each other's
            settings["limits.max_steps_per_job"] = 1
        self.daemon = Daemon(start=False, settings=settings)
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)
        if profile not in PLAIN:
            conf = self.daemon.directory / "dray.conf"
            conf.write_text("".join(f"[host {origin.url.split('//')[1]}]\nca_file = {self.ca.ca_file}\n"
                                    for origin in self.registry.origins.values()))
            self.daemon.arguments += ["--config", conf]
        self.sign_in()
        self.daemon.start()

    def sign_in(self):
        registry, entry = self.registry, {}
        if registry.auth != "none":
            entry = login(registry.username, registry.password)
        if self.profile == "acr":
            entry = {**login("00000000-0000-0000-0000-000000000000", ""), "identitytoken": registry.refresh_token}
        self.daemon.docker_config(auths={self.host: entry})

    # --- what is looked at

    def repository(self, name):
        return self.registry.store.repository(name)

    def tagged(self, name, tag):
        """The digest and the document behind a tag, as the registry keeps them."""
        repository = self.repository(name)
        return repository.tags[tag], json.loads(repository.manifests[repository.tags[tag]][0])

    def run_job(self, **spec):
        return self.daemon.run_job(spec)["result"]

    # --- the walk

    def build(self):
        self.home.store.add_image("library/base", "1", layers=2)
        spec = {"base": f"{self.home.address}/library/base:1", "config": {"user": "app"},
                "targets": [f"{self.host}/team/app:1", f"{self.host}/team/app:latest"],
                "layers": [{"files": [{"type": "file", "to": "/etc/motd", "text": "hello\n"}]}]}
        result = self.run_job(kind="build", **spec)
        for tag in ("1", "latest"):
            digest, document = self.tagged("team/app", tag)
            self.assertEqual((digest, len(document["layers"])), (result["digest"], 3))
        again = self.run_job(kind="build", **spec)
        self.assertEqual((again["digest"], again["stats"]["bytes_sent"]), (result["digest"], 0))
        return result["digest"]

    def build_on_it(self):
        """Its own image as base: read from there, mounted or sent to another repository."""
        result = self.run_job(kind="build", base=f"{self.host}/team/app:1", targets=[f"{self.host}/team/child:1"],
                              config={"env": {"A": "b"}})
        _, document = self.tagged("team/child", "1")
        self.assertEqual([layer["digest"] for layer in document["layers"]], self.registry.store.image_layers("team/app", "1"))
        self.assertEqual(len(result["layers"]), 3)

    def copy_in(self):
        digests = [self.home.store.add_image("library/multi", None, seed=seed) for seed in (1, 2)]
        children = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": len(self.home_manifest(digest)),
                     "platform": {"os": "linux", "architecture": architecture}}
                    for digest, architecture in zip(digests, ("amd64", "arm64"))]
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
        self.home.store.add_manifest("library/multi", index, OCI_INDEX, "1")
        result = self.run_job(kind="copy", source=f"{self.home.address}/library/multi:1", targets=[f"{self.host}/team/multi:1"])
        self.assertEqual(self.tagged("team/multi", "1")[0], result["digest"])
        self.assertEqual(self.repository("team/multi").manifests[result["digest"]][0], index)

    def home_manifest(self, digest):
        return self.home.store.repository("library/multi").manifests[digest][0]

    def copy_a_large_blob_in(self):
        """Larger than a chunk; the connection breaks in the middle of it once."""
        self.home.store.add_image("library/large", "1", layers=1, size=LARGE_BYTES)
        spec = {"kind": "copy", "source": f"{self.home.address}/library/large:1", "targets": [f"{self.host}/team/large:1"]}
        if self.profile in TOO_LARGE:
            error = self.daemon.run_job(spec, state="failed")["error"]
            self.assertEqual(error["code"], "too-large", error)
            self.assertIn("takes no request of", error["hint"])
            self.assertNotIn("1", self.repository("team/large").tags)
            return
        faults = [self.registry.fault(point, "reset", after_bytes=2 * MIB) for point in ("upload-patch", "upload-put")]
        self.daemon.run_job(spec)
        self.assertGreater(sum(fault.hits for fault in faults), 0)
        self.registry.clear_faults()
        self.assertEqual(self.registry.store.image_layers("team/large", "1"),
                         self.home.store.image_layers("library/large", "1"))

    def copy_out(self, digest):
        layout = self.daemon.output_root / "layout"
        result = self.run_job(kind="copy", source=f"{self.host}/team/app:1", targets=[f"oci:{layout}:1"])
        self.assertEqual(result["digest"], digest)
        for blob in (layout / "blobs/sha256").iterdir():
            self.assertEqual(hashlib.sha256(blob.read_bytes()).hexdigest(), blob.name)
        names = {blob.name for blob in (layout / "blobs/sha256").iterdir()}
        manifest = json.loads(self.repository("team/app").manifests[digest][0])
        wanted = [digest] + [part["digest"] for part in [manifest["config"], *manifest["layers"]]]
        self.assertLessEqual({text.removeprefix("sha256:") for text in wanted}, names)
        back = self.run_job(kind="copy", source=f"{self.host}/team/multi:1", targets=[f"{self.home.address}/back/multi:1"])
        self.assertEqual(self.home.store.repository("back/multi").tags, {"1": back["digest"]})

    def read(self, digest):
        ref = f"{self.host}/team/app"
        self.assertEqual(self.daemon.image("tags", ref).json()["tags"], ["1", "latest"])
        self.assertEqual(self.daemon.image("config", f"{ref}:1").json()["config"]["User"], "app")
        head = self.daemon.image("manifest", f"{ref}:1", method="HEAD")
        self.assertEqual((head.status, head.headers["Docker-Content-Digest"]), (200, digest))
        missing = self.daemon.image("manifest", f"{ref}:missing")
        self.assertIn((missing.status, missing.json()["code"]), ((404, "image-not-found"), (403, "registry-denied")))

    def refer(self, digest):
        """A signature of the image, by the API or by the fallback tag."""
        config, layer = b"{}", b"signed"
        for data in (config, layer):
            answer = self.daemon.image("blob", f"{self.host}/team/app@{digest_of(data)}", method="HEAD")
            self.assertIn(answer.status, (404, 403))
            answer = self.daemon.request("POST", f"/v1/images/blob?ref={self.host}/team/app", body=data,
                                         headers={"Content-Type": "application/octet-stream"})
            self.assertEqual((answer.status, answer.json()["digest"]), (201, digest_of(data)))
        subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(self.repository("team/app").manifests[digest][0])}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.test.signature",
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(config), "size": 2},
                    "layers": [{"mediaType": "text/plain", "digest": digest_of(layer), "size": len(layer)}],
                    "subject": subject}
        body = json.dumps(document)
        answer = self.daemon.request("PUT", f"/v1/images/manifest?ref={self.host}/team/app@{digest_of(body.encode())}",
                                     body=body, headers={"Content-Type": OCI_MANIFEST})
        self.assertEqual(answer.status, 201, answer)
        found = self.daemon.image("referrers", f"{self.host}/team/app:1")
        self.assertEqual([m["digest"] for m in found.json()["manifests"]], [digest_of(body.encode())])
        out = self.run_job(kind="copy", source=f"{self.host}/team/app:1", targets=[f"{self.home.address}/back/app:1"],
                           referrers=True)
        self.assertIn(digest_of(body.encode()), self.home.store.repository("back/app").manifests, out)

    def delete(self):
        digest, _ = self.tagged("team/child", "1")
        answer = self.daemon.image("manifest", f"{self.host}/team/child@{digest}", method="DELETE")
        if self.profile in KEEPS:
            self.assertIn(answer.json()["code"], ("registry-denied", "registry-auth", "registry-protocol"), answer)
            self.assertIn(digest, self.repository("team/child").manifests)
            return
        self.assertEqual(answer.status, 202, answer)
        self.assertNotIn(digest, self.repository("team/child").manifests)

    def meet_limits(self):
        """A repository that nobody has made (R-77), a tag that stays (R-77, R-78), a quota (R-78): said once, not tried again."""
        new = {"kind": "build", "base": "scratch", "layers": [], "config": {"user": "new"}}
        if self.profile == "ecr":
            self.registry.set(repositories=["team/app"])
            self.refused({**new, "targets": [f"{self.host}/team/new:1"]}, "image-not-found")
            self.registry.set(repositories=None)
        if self.registry.immutable:
            self.refused({**new, "targets": [f"{self.host}/team/app:1"]}, "target-exists")
        if self.profile == "harbor":
            self.registry.set(quota=1)
            self.refused({**new, "targets": [f"{self.host}/team/new:1"], "config": {"user": "newer"}}, "registry-denied")
            self.registry.set(quota=0)

    def refused(self, spec, code):
        job = self.daemon.run_job(spec, state="failed")
        self.assertEqual((job["error"]["code"], job["error"]["retryable"]), (code, False), job["error"])
        self.assertNotIn("retry", [event["type"] for event in self.daemon.events(job["id"])])

    def walk(self, profile):
        self.start(profile)
        digest = self.build()
        self.build_on_it()
        self.copy_in()
        self.copy_a_large_blob_in()
        self.copy_out(digest)
        self.read(digest)
        self.refer(digest)
        self.delete()
        self.meet_limits()
        # Quay grants nobody the right to end a session.
        self.assertEqual(self.registry.check(sessions=not self.registry.delete_needs_delete), [])
        self.assertEqual(self.home.check(), [])
        self.assertNotIn("canary", json.dumps(self.daemon.get("/v1/jobs")) + self.daemon.log_text() +
                         self.daemon.request("GET", "/metrics").text + json.dumps(self.daemon.get("/v1/credentials")))


def add_walk(profile):
    setattr(Profiles, f"test_{profile.replace('-', '_').replace('.', '_')}", lambda self: self.walk(profile))


for name in PROFILES:
    add_walk(name)


if __name__ == "__main__":
    unittest.main()
