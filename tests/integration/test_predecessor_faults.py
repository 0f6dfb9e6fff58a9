# SPDX-License-Identifier: Apache-2.0
"""What the library container-image-builder does wrong, dray does right: a test for each of its 56 known faults, through the
running daemon. A fault that no daemon can have is in EXEMPT, and its reason in api/from-container-image-builder.md."""

import base64
import contextlib
import gzip
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from daemon import Daemon, parse_problem
from images import INDEX, MANIFEST, Repository, put_image, put_index, sha256, tar
from job_case import QUICK, JobCase
from named_hosts import HUB, NamedHosts
from registries import Registry, TlsRegistry
from scripted_registry import ScriptedRegistry

ROOT = pathlib.Path(__file__).parents[2]
DRAY = os.environ.get("DRAY", str(ROOT / "client/dray"))
PAGE = ROOT / "api/from-container-image-builder.md"
SUFFIXES = {12: "bcde", 16: "bcde"}
FAULTS = [f"b{i:02}" for i in range(1, 49)] + [f"b{i}{s}" for i, suffixes in SUFFIXES.items() for s in suffixes]
EXEMPT = {"b12b": "cross-spawn"}  # what the page says about it

FILE = {"type": "file", "to": "/x", "text": "x"}


def quote(text):
    return urllib.parse.quote(text, safe="")


class NamedCase(unittest.TestCase):
    def start(self, *names, plain=(), settings=None, **overrides):
        self.hosts = self.enterContext(NamedHosts(*names, plain=plain, **overrides))
        self.daemon = self.enterContext(Daemon(settings={**self.hosts.settings, **(settings or {})}))
        self.store = self.hosts.registry.store
        return self.daemon

    def inspect(self, ref):
        return self.daemon.request("GET", f"/v1/images/inspect?ref={quote(ref)}")

    def check(self, ref, state="succeeded", **members):
        return self.daemon.run_job({"kind": "check", "source": ref, **members}, state=state)


class References(NamedCase):
    def test_b01_user_and_image_are_of_docker_hub(self):
        self.start(HUB)
        digest = self.store.add_image("grafana/grafana", "1")
        self.assertEqual(self.inspect("grafana/grafana:1").json()["digest"], digest)
        self.assertEqual(set(self.hosts.asked), {f"{HUB}:443"})

    def test_b02_names_tags_and_digests_are_validated(self):
        self.start(HUB)
        for bad in ("a/b@sha256:" + "0" * 64 + "@sha256:" + "1" * 64, "a/b:", "a/b:t:u", "a/b@sha256:12", "a/b@md5:" + "0" * 32, "A/b:1",
                    "a/../b:1", "a/b%2fc:1", "a/b:" + "t" * 129, "a//b", "reg.test:99999/a:1", "a/b c:1"):
            with self.subTest(bad):
                parse_problem(self.inspect(bad), 400, "reference-invalid")
                status, problem = self.daemon.refused_job({"kind": "check", "source": bad})
                self.assertEqual((status, problem["errors"][0]["pointer"]), (400, "/source"))
        self.assertEqual(self.hosts.asked, [])

    def test_b03_http_or_https_as_configured_never_guessed(self):
        plain = {"network.plain_http": "plain.local"}
        self.start("reg.local", plain=["plain.local", "reg.local"], settings=plain)
        for registry in (self.hosts.registry, self.hosts.plain_registry):
            registry.store.add_image("a", "1")
        self.assertEqual((self.inspect("plain.local/a:1").status, self.inspect("reg.local/a:1").status), (200, 200))
        self.assertTrue(self.hosts.asked[0].startswith("http://plain.local"), self.hosts.asked)
        self.assertEqual(self.hosts.asked[-1], "reg.local:443")

    def test_b05_public_images_need_no_sign_in_anywhere(self):
        self.start("reg.test", auth="bearer", public=["open/"])
        digest = self.store.add_image("open/app", "1")
        self.assertEqual(self.inspect("reg.test/open/app:1").json()["digest"], digest)
        self.store.add_image("closed/app", "1")
        parse_problem(self.inspect("reg.test/closed/app:1"), 403, "registry-denied")

    def test_b06_public_images_of_google_need_no_account_and_artifact_registry_is_known(self):
        self.start("gcr.io", "europe-docker.pkg.dev", auth="bearer", public=["open/"])
        self.store.add_image("open/app", "1")
        self.store.add_image("p/r/app", "1")
        self.assertEqual(self.inspect("gcr.io/open/app:1").status, 200)
        self.hosts.registry.accounts.add("oauth2accesstoken:token-x")
        self.check("europe-docker.pkg.dev/p/r/app:1", auth={"europe-docker.pkg.dev": {"gcp_access_token": "token-x"}})
        self.assertEqual(self.hosts.sign_ins("europe-docker.pkg.dev"), ["oauth2accesstoken:token-x"])

    def test_b07_sign_in_is_found_for_each_host_of_google(self):
        self.start("us.gcr.io", auth="bearer")
        self.store.add_image("p/app", "1")
        self.hosts.registry.accounts.add("oauth2accesstoken:token-us")
        for key in ("us.gcr.io", "us.gcr.io/p"):
            self.hosts.registry.requests.clear()
            self.daemon.request("DELETE", "/v1/credentials")
            self.check("us.gcr.io/p/app:1", auth={key: {"gcp_access_token": "token-us"}})
            self.assertEqual(self.hosts.sign_ins("us.gcr.io"), ["oauth2accesstoken:token-us"])

    def test_b08_hosts_match_whole(self):
        self.start("gcr.io.evil.test", "notgcr.io", "reg.io", HUB, "docker.io.evil.test", auth="bearer")
        self.store.add_image("p/app", "1")
        auth = {"gcr.io": {"username": "google", "password": "secret-g"}, "io": {"username": "io", "password": "secret-i"},
                "docker.io": {"username": "hub", "password": "secret-h"}}
        for host in ("gcr.io.evil.test", "notgcr.io", "reg.io", "docker.io.evil.test"):
            with self.subTest(host):
                self.check(f"{host}/p/app:1", state="failed", auth=auth)
                self.assertEqual(set(self.hosts.sign_ins(host)), {None})
        heads = "".join(r["head"] for r in self.hosts.registry.requests)
        self.assertNotIn("Basic", heads)

    def test_b12d_a_key_counts_for_its_own_host_only(self):
        self.start("gcr.io", "reg.test", auth="bearer")
        self.store.add_image("p/app", "1")
        self.hosts.registry.accounts |= {"g:secret-g", "r:secret-r"}
        auth = {"gcr.io": {"username": "g", "password": "secret-g"}, "reg.test": {"username": "r", "password": "secret-r"}}
        for host, who in (("gcr.io", "g:secret-g"), ("reg.test", "r:secret-r")):
            self.check(f"{host}/p/app:1", auth=auth)
            self.assertEqual(set(self.hosts.sign_ins(host)), {who})

    def test_b12e_sign_in_is_never_dropped_unseen(self):
        daemon = self.start("reg.test", auth="basic")
        spec = {"kind": "check", "source": "reg.test/a:1"}
        for wrong, pointer in (({"auht": {}}, "/auht"), ({"auth": {"reg.test": {"user": "x"}}}, "/auth/reg.test"),
                               ({"auth": {"reg.test": {"username": "x"}}}, "/auth/reg.test"), ({"auth": []}, "/auth")):
            status, problem = daemon.refused_job({**spec, **wrong})
            self.assertEqual(status, 400)
            self.assertTrue(problem["errors"][0]["pointer"].startswith(pointer), problem)


class SignIn(JobCase):
    def signed_in(self):
        return {self.address: {"username": self.registry.username, "password": self.registry.password}}

    def with_config(self, config, helpers=None, **settings):
        """A daemon with this config.json and these helpers (name -> shell script)."""
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (directory / "config.json").write_text(json.dumps(config))
        for name, script in (helpers or {}).items():
            (directory / f"docker-credential-{name}").write_text("#!/bin/sh\n" + script)
            (directory / f"docker-credential-{name}").chmod(0o755)
        daemon = Daemon(settings={**QUICK, "credentials.docker_config": directory / "config.json",
                                  "credentials.helper_path": directory, **settings})
        self.directory = directory
        return self.enterContext(daemon)

    def test_b04_registries_say_themselves_how_to_sign_in(self):
        for profile in ("hub", "ghcr", "gar", "gcr", "ecr", "acr", "quay", "harbor", "gitlab", "artifactory", "openshift"):
            with self.subTest(profile):
                self.registry.reset(profile, public=[])
                self.daemon.request("DELETE", "/v1/credentials")
                self.registry.store.add_image("team/base", "1")
                self.copy("team/base:1", f"{profile}/app:1", auth=self.signed_in())
                self.assertIn("1", self.registry.store.repository(f"{profile}/app").tags)
                self.assertEqual(self.registry.check(), [])

    def test_b10_tokens_are_renewed(self):
        self.registry.reset(auth="bearer", token_uses=2)
        self.registry.store.add_image("team/base", "1", layers=6)
        other = self.enterContext(Registry())
        daemon = self.enterContext(Daemon(settings={**QUICK, "limits.max_steps_per_job": 1}))  # for a token of two requests
        daemon.run_job({"kind": "copy", "source": self.ref("team/base:1"), "targets": [f"{other.address}/x:1"], "auth": self.signed_in()})
        self.assertGreaterEqual(self.registry.tokens_given, 3)
        self.assertEqual(self.registry.check(), [])

    def test_b11_every_form_of_a_config_file(self):
        self.registry.reset(auth="bearer")
        self.registry.store.add_image("team/app", "1")
        self.registry.tokens["ready-made"] = {"access": {("repository", "team/app", "pull")}, "expires": float("inf"), "uses": None}
        login = f"{self.registry.username}:{self.registry.password}"
        store = f'read -r server; echo \'{{"Username": "{self.registry.username}", "Secret": "{self.registry.password}"}}\'\n'
        forms = {"auth": {"auths": {self.address: {"auth": base64.b64encode(login.encode()).decode()}}},
                 "identitytoken": {"auths": {self.address: {"identitytoken": self.registry.refresh_token}}},
                 "registrytoken": {"auths": {self.address: {"registrytoken": "ready-made"}}},
                 "credsStore": {"credsStore": "store"}, "credHelpers": {"credHelpers": {self.address: "store"}}}
        for name, config in forms.items():
            with self.subTest(name):
                daemon = self.with_config(config, {"store": store})
                daemon.run_job({"kind": "check", "source": self.ref("team/app:1")})

    def test_b12_helpers_that_lack_hang_or_fail_are_named(self):
        self.registry.reset(auth="basic")
        cases = {"none": (None, "was not found"), "fails": ("echo no such login; exit 1\n", "fails get` as the daemon's user"), "hangs": ("sleep 60\n", "hangs"),
                 "babbles": ("echo hello\n", "babbles")}
        for name, (script, words) in cases.items():
            with self.subTest(name):
                daemon = self.with_config({"credHelpers": {self.address: name}}, {name: script} if script else {},
                                          **{"credentials.helper_deadline_ms": 300})
                job = daemon.run_job({"kind": "check", "source": self.ref("a:1")}, state="failed")
                self.assertEqual(job["error"]["code"], "registry-auth", job["error"])
                self.assertIn(words, json.dumps(job["error"]))
                self.assertEqual(daemon.request("GET", "/readyz").status, 200)
        self.with_config({"credHelpers": {}})  # none at all: nobody is asked
        hosts = self.enterContext(NamedHosts(HUB, auth="bearer"))
        hosts.registry.accounts.add("hub:secret-of-hub")
        hosts.registry.store.add_image("team/app", "1")
        helper = 'cat >"$0.asked"; echo \'{"Username": "hub", "Secret": "secret-of-hub"}\'\n'
        daemon = self.with_config({"credHelpers": {"docker.io": "hub"}}, {"hub": helper}, **hosts.settings)
        daemon.run_job({"kind": "check", "source": "team/app:1"})
        self.assertEqual((self.directory / "docker-credential-hub.asked").read_text().strip(), "https://index.docker.io/v1/")

    def test_b12c_reading_asks_for_reading_and_refusals_are_told(self):
        self.registry.reset(auth="bearer", public=["team/"])
        self.registry.store.add_image("team/app", "1")
        self.assertEqual(self.daemon.image("inspect", self.ref("team/app:1")).status, 200)
        scopes = [urllib.parse.unquote(r["target"]) for r in self.registry.requests if r["point"] == "token"]
        self.assertTrue(scopes)
        self.assertTrue(all("team/app:pull" in s and "push" not in s for s in scopes), scopes)
        self.registry.reset(auth="bearer")
        self.registry.store.add_image("team/app", "1")
        job = self.daemon.run_job({"kind": "check", "source": self.ref("team/app:1"),
                                   "auth": {self.address: {"username": "nobody", "password": "wrong-one"}}}, state="failed")
        error = self.failed(job, "registry-auth")
        self.assertIn("wrong user name or password", json.dumps(error))
        self.assertNotIn("wrong-one", json.dumps(error) + self.daemon.log_text())


class Manifests(JobCase):
    def test_b09_a_digest_decides(self):
        base = self.put_base()
        old = base.digest("1")
        put_image(base, "latest", [{"new": b"new"}])
        put_image(base, "1", [{"new": b"new"}])
        self.build("team/app:1", base=f"{base.ref}@{old}", config={"user": "1"})
        self.assertEqual(self.repository().manifest("1")["layers"], base.manifest(old)["layers"])
        job = self.copy(f"team/base:1@{old}", "team/copy:1")
        warnings = [e for e in self.daemon.events(job["id"]) if e["type"] == "warning"]
        self.assertEqual([w["code"] for w in warnings], ["tag-moved"])
        self.assertIn(base.digest("1"), warnings[0]["message"])
        self.assertEqual(self.repository("team/copy").digest("1"), old)
        job = self.copy(f"team/base@{old}", "team/copy:1")
        self.assertFalse([e for e in self.daemon.events(job["id"]) if e["type"] == "warning"])
        self.assertEqual(self.repository("team/copy").digest("1"), old)

    def test_b13_a_copy_keeps_every_byte(self):
        source = self.put_base()
        odd = json.dumps(source.manifest("1"), indent=5).replace('"size"', '"x-unknown": "\\u00e9", "size"', 1).encode() + b"\n\n"
        source.put_manifest(odd, "odd")
        self.copy("team/base:odd", "other/app:1")
        self.assertEqual(self.repository("other/app").manifest_bytes("1"), odd)

    def test_b14_oci_images_and_indexes(self):
        repository = self.repository("team/multi")
        put_index(repository, "1", [put_image(repository, a, [{a: a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")])
        self.copy("team/multi:1", "other/multi:1")
        self.assertEqual(self.repository("other/multi").digest("1"), repository.digest("1"))
        self.build("team/arm:1", base=f"{repository.ref}:1", platforms=["linux/arm64"], config={"user": "1"})
        self.assertEqual(self.repository("team/arm").config("1")["architecture"], "arm64")

    def test_b15_each_manifest_goes_as_what_it_is(self):
        source = self.put_base()
        manifest = source.manifest("1")
        del manifest["mediaType"]  # legal
        for layer in manifest["layers"]:
            layer["annotations"] = {"a": "b"}
        self.registry.store.add_manifest("team/base", json.dumps(manifest).encode(), MANIFEST, "bare")
        self.copy("team/base:bare", "other/app:1")
        data, kind = list(self.registry.store.repository("other/app").manifests.values())[0]
        self.assertEqual((json.loads(data), kind), (manifest, MANIFEST))
        self.build("other/app:2", base=self.ref("team/base:bare"), layers=[{"files": [FILE]}])
        self.assertEqual(len(self.repository("other/app").manifest("2")["layers"]), 3)

    def test_b16_environment_by_name(self):
        base = self.put_base(config={"Env": ["PATH=/bin", "A=1", "OLD=1"]})
        self.build("team/app:1", base=f"{base.ref}:1", config={"env": {"A": "2", "OLD": None, "NEW": "="}})
        self.assertEqual(self.repository().config("1")["config"]["Env"], ["PATH=/bin", "A=2", "NEW=="])
        for config in ({"Env": None}, {}):
            put_image(base, "null", [{"a": b""}], config=config)
            self.build("team/app:2", base=f"{base.ref}:null", config={"env": {"A": "1"}})
            self.assertEqual(self.repository().config("2")["config"]["Env"], ["A=1"])

    def test_b16b_every_field_of_the_config(self):
        edit = {"entrypoint": ["/e"], "cmd": ["c"], "user": "u:g", "working_dir": "/w", "labels": {"l": "1"}, "stop_signal": "SIGINT",
                "exposed_ports": {"80/tcp": True}, "volumes": {"/v": True}, "healthcheck": {"test": ["CMD", "true"], "interval_ms": 30000},
                "shell": ["/bin/sh"], "on_build": ["RUN x"], "env": {"E": "1"}, "author": "me"}
        base = self.repository("team/bare")
        data = tar({"a": b"a"})
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [sha256(data)]}}).encode()
        blob = gzip.compress(data)
        base.put_manifest({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": base.put_blob(blob), "size": len(blob)}], "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": base.put_blob(config), "size": len(config)}}, "1")
        self.build("team/app:1", base=f"{base.ref}:1", config=edit)  # a base without a `config` at all
        made = self.repository().config("1")
        self.assertEqual(made["author"], "me")
        self.assertEqual(made["config"], {
            "Entrypoint": ["/e"], "Cmd": ["c"], "User": "u:g", "WorkingDir": "/w", "Labels": {"l": "1"}, "StopSignal": "SIGINT",
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30_000_000_000},
            "Shell": ["/bin/sh"], "OnBuild": ["RUN x"], "Env": ["E=1"]})
        self.build("team/app:2", base=self.ref("team/app:1"), config={k: None for k in edit})
        self.assertFalse(self.repository().config("2").get("config"))

    def test_b16c_history_and_dates_follow_the_layers(self):
        base = self.put_base(history=[{"created_by": "one"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "two"}])
        self.build("team/app:1", base=f"{base.ref}:1", remove_layers=[{"index": 0}], created="2026-01-02T03:04:05Z",
                   layers=[{"files": [FILE], "comment": "mine"}], config={"author": "me"})
        config = self.repository().config("1")
        self.assertEqual([h["created_by"] for h in config["history"]][:2], ["ENV", "two"])
        self.assertEqual((config["history"][2]["comment"], len(config["history"])), ("mine", 3))
        self.assertEqual((config["created"], config["author"]), ("2026-01-02T03:04:05Z", "me"))
        self.assertEqual(len(self.repository().manifest("1")["layers"]), len(config["rootfs"]["diff_ids"]))

    def test_b16d_layers_by_digest_and_place_rebase_scratch_index_annotations(self):
        twice = self.repository("team/twice")
        put_image(twice, "1", [{"same": b"s"}, {"other": b"o"}, {"same": b"s"}])
        same, other = (twice.manifest("1")["layers"][i]["digest"] for i in (0, 1))
        digests = lambda tag: [layer["digest"] for layer in self.repository().manifest(tag)["layers"]]  # noqa: E731
        self.build("team/app:1", base=f"{twice.ref}:1", remove_layers=[same])
        self.assertEqual(digests("1"), [other])
        self.build("team/app:2", base=f"{twice.ref}:1", remove_layers=[{"index": 0}])
        self.assertEqual(digests("2"), [other, same])
        onto = self.repository("team/onto")
        put_image(onto, "1", [{"new": b"n"}])
        under = self.repository("team/under")
        put_image(under, "1", [{"same": b"s"}])
        self.build("team/app:3", base=f"{twice.ref}:1", rebase={"from": f"{under.ref}:1", "onto": f"{onto.ref}:1"})
        self.assertEqual(digests("3"), [onto.manifest("1")["layers"][0]["digest"], other, same])
        self.build("team/app:4", layers=[{"files": [FILE]}], annotations={"a": "b"}, platforms=["linux/amd64", "linux/arm64"])
        index = self.repository().manifest("4")
        self.assertEqual((index["mediaType"], len(index["manifests"]), index["annotations"]), (INDEX, 2, {"a": "b"}))

    def test_b16e_all_tags_are_told_and_none_moves_before_all_is_there(self):
        base = self.put_base()
        job = self.copy("team/base:1", "team/app:1", "team/app:2", "team/other:1")
        self.assertEqual(job["result"]["refs"],
                         [self.ref(t) + "@" + base.digest("1") for t in ("team/app:1", "team/app:2", "team/other:1")])
        self.registry.fault("upload-put", "status-403", times=-1)
        job = self.build("team/app:3", "team/third:1", state="failed", base=f"{base.ref}:1", layers=[{"files": [FILE]}])
        self.failed(job, "registry-denied")
        self.assertEqual(self.registry.store.repository("team/third").tags, {})
        self.assertNotIn("3", self.registry.store.repository("team/app").tags)
        self.registry.clear_faults()
        job = self.daemon.run_job({"kind": "copy", "source": f"{base.ref}:1", "targets": [
            self.ref("team/app:4"), {"ref": self.ref("team/app:1"), "if_exists": "fail"}]}, state="failed")
        self.failed(job, "target-exists")
        self.assertNotIn("4", self.registry.store.repository("team/app").tags)


class Blobs(JobCase):
    def test_b17_digests_are_checked_and_bytes_stay_bytes(self):
        data = bytes(range(256)) * 1000
        digest = self.repository().put_blob(data)
        self.assertEqual(self.daemon.image("blob", self.ref(f"team/app@{digest}")).body, data)
        self.put_base()
        other = self.enterContext(Registry())
        self.registry.fault("blob-get", "body-wrong", times=-1)
        self.failed(self.copy("team/base:1", f"{other.address}/x:1", state="failed"), "digest-mismatch")

    def test_b18_layers_are_fetched_from_the_first_url_that_answers(self):
        elsewhere = Repository(self.enterContext(ScriptedRegistry()), "elsewhere")
        data = gzip.compress(tar({"foreign": b"f"}))
        good = f"{elsewhere.url}/blobs/{elsewhere.put_blob(data)}"
        layer = {"digest": sha256(data), "diff_id": sha256(tar({"foreign": b"f"})), "size": len(data),
                 "urls": ["https://127.0.0.1:1/none", f"{elsewhere.url}/blobs/{sha256(b'none')}", good],
                 "media_type": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}
        self.build("team/foreign:1", layers=[{"blob": layer}])
        daemon = self.enterContext(Daemon("--plain-http", elsewhere.ref.split("/")[0], settings=QUICK))
        daemon.run_job({"kind": "copy", "source": self.ref("team/foreign:1"), "targets": [self.ref("team/app:1")], "foreign_layers": "copy"})
        self.assertEqual(self.repository().blob(sha256(data)), data)
        spec = {"kind": "copy", "source": self.ref("team/foreign:1"), "targets": [self.ref("team/no:1")], "foreign_layers": "copy"}
        error = self.daemon.run_job(spec, state="failed")["error"]  # this daemon may not go to that address
        self.assertIn("URLs", error["hint"])

    def test_b19_between_repositories_of_one_registry_layers_are_mounted(self):
        base = self.put_base("team/a")
        self.copy("team/a:1", "team/b:1")
        self.assertEqual(self.registry.check(), [])
        self.assertEqual([self.repository("team/b").has_blob(layer["digest"]) for layer in base.manifest("1")["layers"]], [True, True])
        self.assertEqual(self.registry.count("blob-get"), 0)

    def test_b20_a_mount_that_is_not_granted_is_an_upload(self):
        self.registry.reset("quay-old", public=[])
        self.registry.store.add_image("team/a", "1")
        auth = {self.address: {"username": self.registry.username, "password": self.registry.password}}
        self.copy("team/a:1", "team/b:1", auth=auth)
        self.assertEqual(self.registry.check(), [])
        scopes = [urllib.parse.unquote(r["target"]) for r in self.registry.requests if r["point"] == "token"]
        self.assertTrue(any("team/b:pull,push" in s and "team/a:pull" in s for s in scopes), scopes)

    def test_b21_only_404_means_absent(self):
        digest = self.repository().put_blob(b"blob")
        ask = lambda: self.daemon.image("blob", self.ref(f"team/app@{digest}"), "HEAD").status  # noqa: E731
        self.assertEqual(ask(), 200)
        for kind, status in (("status-500", 502), ("status-401", 403), ("status-429", 503), ("close", 502), ("garbage", 502)):
            with self.subTest(kind):
                self.registry.clear_faults()
                self.registry.fault("blob-head", kind, times=-1, headers={"Retry-After": "0"})
                self.assertEqual(ask(), status)
        self.registry.clear_faults()
        self.assertEqual(self.daemon.image("blob", self.ref("team/app@" + sha256(b"absent")), "HEAD").status, 404)

    def test_b22_relative_locations_and_the_status_of_a_post(self):
        for location in ("relative", "path", "absolute"):
            self.registry.set(location=location)
            self.build(f"team/{location}:1", layers=[{"files": [{**FILE, "text": location}]}])
        self.assertEqual(self.registry.check(), [])
        for status, code in ((403, "registry-denied"), (404, "registry-denied"), (507, "registry-error")):
            with self.subTest(status):
                for point in ("mount", "upload-post"):
                    self.registry.fault(point, f"status-{status}", times=-1)
                job = self.build("team/no:1", state="failed", layers=[{"files": [{**FILE, "text": str(status)}]}])
                self.registry.clear_faults()
                self.assertEqual((job["error"]["upstream"]["status"], job["error"]["upstream"]["method"]), (status, "POST"), job["error"])

    def test_b23_a_missing_digest_header_means_nothing(self):
        self.registry.set(digest_header="none")
        job = self.build("team/app:1", layers=[{"files": [FILE]}])
        self.assertEqual(job["result"]["digest"], self.repository().digest("1"))
        self.assertRegex(self.repository().manifest("1")["layers"][0]["digest"], r"^sha256:[0-9a-f]{64}$")
        self.assertEqual(self.registry.check(), [])

    def test_b24_chunks_with_any_good_status_and_blobs_of_no_byte(self):
        daemon = self.enterContext(Daemon(settings={**QUICK, "network.monolithic_max_bytes": 100_000, "network.chunk_bytes": 65536}))
        (daemon.build_root / "big").write_bytes(os.urandom(300_000))
        for status in (201, 202, 204):
            self.registry.reset(patch_status=status)
            daemon.run_job({"kind": "build", "base": "scratch", "targets": [self.ref("team/app:1")], "layers": [
                {"files": [{"from": f"{daemon.build_root}/big", "to": "/big"}], "compression": "none"}]})
            patches = [r for r in self.registry.requests if r["point"] == "upload-patch"]
            self.assertGreater(len(patches), 3)
            self.assertTrue(all("content-range: " in r["head"].lower() for r in patches))
            self.assertEqual(self.registry.check(), [])
        self.registry.reset()
        answer = self.daemon.request("POST", f"/v1/images/blob?ref={quote(self.ref('team/app'))}", body=b"",
                                     headers={"Content-Type": "application/octet-stream"})
        self.assertEqual((answer.status, answer.json()), (201, {"digest": sha256(b""), "size": 0}))

    def test_b25_an_upload_goes_on_where_it_was_cut(self):
        settings = {**QUICK, "network.monolithic_max_bytes": 1_000_000, "network.chunk_bytes": 1_000_000,
                    "host *.early_uploads": "no"}  # the cut is to hit the upload itself
        daemon = self.enterContext(Daemon(settings=settings))
        size = 5_000_000
        (daemon.build_root / "big").write_bytes(os.urandom(size))
        self.registry.fault("upload-patch", "reset", skip=3, after_bytes=500_000)
        job = daemon.run_job({"kind": "build", "base": "scratch", "targets": [self.ref("team/app:1")], "layers": [
            {"files": [{"from": f"{daemon.build_root}/big", "to": "/big"}], "compression": "none"}]})
        self.assertGreaterEqual(job["result"]["stats"]["retries"], 1)
        self.assertLess(self.registry.received("upload-patch"), size * 1.5)
        self.assertEqual(self.registry.check(), [])
        self.put_base("team/base", {"lib": os.urandom(300_000)})
        self.registry.fault("blob-get", "body-cut", times=-1, after_bytes=1000)
        other = self.enterContext(ScriptedRegistry())
        self.failed(self.copy("team/base:1", f"{other.address}/x:1", state="failed"), "registry-unreachable")  # and no hang

    def test_b26_sign_in_stays_with_its_origin(self):
        self.registry.reset(auth="bearer", redirect_blobs=True)
        self.registry.store.add_image("team/base", "1")
        other = self.enterContext(Registry())
        auth = {self.address: {"username": self.registry.username, "password": self.registry.password}}
        self.copy("team/base:1", f"{other.address}/x:1", auth=auth)
        self.assertGreater(self.registry.count(origin="cdn"), 0)
        self.assertFalse([r for r in self.registry.requests if r["origin"] == "cdn" and "authorization" in r["head"].lower()])
        self.assertEqual(self.registry.check(), [])

    def test_b27_layers_that_exist_are_not_sent_again(self):
        tree = self.tree("b27", {"file": os.urandom(200_000)})
        spec = {"layers": [{"files": [{"from": tree, "to": "/"}]}]}
        first = self.build("team/app:1", **spec)
        sent = self.registry.received()
        again = self.build("team/app:2", config={"user": "1"}, **spec)
        self.assertLess(self.registry.received() - sent, 10_000)  # a config
        self.assertEqual(again["result"]["layers"][0]["digest"], first["result"]["layers"][0]["digest"])

    def test_b29_every_call_is_tried_again(self):
        points = ("token", "manifest-get", "blob-get", "mount", "upload-post", "upload-put", "manifest-put")
        self.registry.reset(auth="bearer", self_mount=405)
        self.registry.store.add_image("team/base", "1")
        auth = {self.address: {"username": self.registry.username, "password": self.registry.password}}
        for point in points:
            for status in (429, 503):
                with self.subTest(point, status=status):
                    self.daemon.request("DELETE", "/v1/credentials")
                    self.registry.tokens.clear()
                    fault = self.registry.fault(point, f"status-{status}", headers={"Retry-After": "0"})
                    name = f"{point}/app{status}"
                    self.build(f"{name}:1", base=self.ref("team/base:1"), auth=auth, layers=[{"files": [{**FILE, "text": name}]}])
                    self.registry.clear_faults()
                    self.assertEqual(fault.hits, 1)
        self.registry.reset()
        self.daemon.request("DELETE", "/v1/credentials")
        self.registry.store.add_image("team/base", "1")
        fault = self.registry.fault("tags", "status-503")
        other = self.enterContext(ScriptedRegistry())
        self.daemon.run_job({"kind": "copy", "source": self.ref("team/base"), "targets": [f"{other.address}/x"], "tags": {}})
        self.assertEqual((fault.hits, other.store.repository("x").tags.keys()), (1, {"1"}))
        self.assertEqual(self.registry.check(), [])

    def test_b30_lists_in_pages_errors_as_errors_and_the_calls_that_lacked(self):
        self.registry.reset(page_max=2)
        for i in range(5):
            self.registry.store.add_image("team/app", f"t{i}")
            self.registry.store.add_image(f"more/{i}", "1")
        self.assertEqual(self.daemon.image("tags", self.ref("team/app")).json()["tags"], [f"t{i}" for i in range(5)])
        self.assertEqual(len(self.daemon.get(f"/v1/catalog?registry={self.address}")["repositories"]), 6)
        parse_problem(self.daemon.image("tags", self.ref("team/none")), 404, "image-not-found")
        self.registry.fault("tags", "status-500", times=-1)
        self.assertEqual(self.daemon.image("tags", self.ref("team/app")).status, 502)
        self.registry.clear_faults()
        digest = self.repository().digest("t0")
        head = self.daemon.image("manifest", self.ref("team/app:t0"), "HEAD")
        self.assertEqual((head.status, head.headers["Docker-Content-Digest"]), (200, digest))
        self.assertEqual(self.daemon.image("referrers", self.ref("team/app:t0")).json()["manifests"], [])
        self.assertEqual(self.daemon.image("manifest", self.ref(f"team/app@{digest}"), "DELETE").status, 202)
        self.assertEqual(self.daemon.image("manifest", self.ref("team/app:t0"), "HEAD").status, 404)


class Connections(unittest.TestCase):
    def test_b28_limits_timeouts_kept_connections_proxy_and_certificates(self):
        with self.subTest("a limit for each host, connections kept"), ScriptedRegistry() as registry, \
                Daemon(settings={**QUICK, "network.host_connections": 2}) as daemon:
            registry.store.add_image("team/base", "1", layers=20)
            other = self.enterContext(Registry())
            daemon.run_job({"kind": "copy", "source": f"{registry.address}/team/base:1", "targets": [f"{other.address}/x:1"]})
            self.assertLess(registry.origins["main"].connections, registry.count() / 2)
            self.assertLessEqual(registry.origins["main"].connections, 2)  # idle ones are kept, so it never used more
        with self.subTest("a silent registry"), ScriptedRegistry() as registry, \
                Daemon(settings={**QUICK, "network.first_byte_ms": 200, "network.retry_count": 0}) as daemon:
            registry.fault("*", "stall", times=-1)
            error = daemon.run_job({"kind": "check", "source": f"{registry.address}/a:1"}, state="failed")["error"]
            self.assertEqual(error["code"], "registry-unreachable")
        with self.subTest("a CA and a client certificate of its own"), TlsRegistry(client_certificate=True, signed_in=False) as registry:
            certs = registry.directory / "certs.d" / registry.address
            certs.mkdir(parents=True)
            for source, name in ((registry.ca_file, "ca.crt"), (registry.client_cert, "client.cert"), (registry.client_key, "client.key")):
                shutil.copy(source, certs / name)
            spec = {"kind": "build", "base": "scratch", "targets": [f"{registry.address}/x:1"]}
            with Daemon(settings={**QUICK, "network.certs_dir": certs.parent}) as daemon:
                daemon.run_job(spec)
            with Daemon(settings={**QUICK, "network.retry_count": 0}) as daemon:
                self.assertEqual(daemon.run_job(spec, state="failed")["error"]["upstream"]["status"], 400)
        with self.subTest("a proxy"), NamedHosts("reg.test") as hosts, Daemon(settings=hosts.settings) as daemon:
            hosts.registry.store.add_image("a", "1")
            daemon.run_job({"kind": "check", "source": "reg.test/a:1"})
            error = daemon.run_job({"kind": "check", "source": "other.test/a:1"}, state="failed")["error"]
            self.assertEqual(error["code"], "registry-unreachable")
            self.assertIn("proxy refused to connect to it (502)", error["detail"])
            self.assertIn("network.proxy", error["hint"])


def is_open(pid, path):
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed since
            if str(link.readlink()) == path:
                return True
    return False


class Packing(JobCase):
    def test_b31_owner_and_time_are_what_was_asked_for(self):
        found = self.build_files("team/app:1", {**FILE, "owner": "1000:2000", "mtime": "2001-09-09T01:46:40Z"},
                                 {"type": "directory", "to": "/d", "owner": "3:4"})
        self.assertEqual((found["x"].uid, found["x"].gid, found["x"].mtime), (1000, 2000, 1_000_000_000))
        self.assertEqual((found["d"].uid, found["d"].gid), (3, 4))

    def test_b32_same_input_same_digest(self):
        digests = set()
        for i in range(2):
            names = [f"f{n}" for n in range(50)]
            tree = self.tree(f"b32/{i}/t", {n: n.encode() for n in (names if i else reversed(names))})
            for n in names:
                os.utime(f"{tree}/{n}", (i * 1000 + 5, i * 1000 + 5))
            with Daemon(settings=QUICK, roots=[tree]) as daemon:
                job = daemon.run_job({"kind": "build", "base": "scratch", "targets": [self.ref(f"team/app:{i}")],
                                      "layers": [{"files": [{"from": tree, "to": "/"}]}]})
            digests.add(job["result"]["digest"])
        self.assertEqual(len(digests), 1)

    def test_b33_links_attributes_and_special_files(self):
        tree = self.tree("b33", {"a": b"data", "link": "a"})
        os.link(f"{tree}/a", f"{tree}/hard")
        with open(f"{tree}/sparse", "wb") as out:
            out.write(b"begin")
            out.truncate(1_000_000)
        os.setxattr(f"{tree}/a", "user.mark", b"\x00x")
        found = self.build_files("team/app:1", {"from": tree, "to": "/", "xattrs": ["user.mark"]})
        self.assertEqual((found["link"].linkname, found["link"].issym()), ("a", True))
        self.assertEqual({found["a"].islnk(), found["hard"].islnk()}, {False, True})
        self.assertEqual(found["sparse"].data, b"begin" + bytes(999_995))
        marked = found["a"] if found["a"].isreg() else found["hard"]
        self.assertTrue([k for k in marked.pax_headers if "user.mark" in k], marked.pax_headers)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{tree}/sock")
            job = self.build("team/no:1", state="failed", layers=[{"files": [{"from": tree, "to": "/"}]}])
        self.assertIn("sock", self.failed(job, "unsupported-file")["detail"])

    def test_b34_types_are_the_documented_ones_and_others_are_named(self):
        found = self.build_files("team/app:1", {"type": "symlink", "to": "/l", "target": "x"})
        self.assertTrue(found["l"].issym())
        for wrong in ("Symlink", "SymbolicLink", "File", "hardlink"):
            status, problem = self.daemon.refused_job({"kind": "build", "base": "scratch", "targets": [self.ref("a:1")],
                                                       "layers": [{"files": [{"type": wrong, "to": "/l", "target": "x"}]}]})
            self.assertEqual((status, problem["errors"][0]["pointer"]), (400, "/layers/0/files/0/type"))
            self.assertIn("symlink", json.dumps(problem))

    def test_b35_streams_need_no_size_and_short_ones_are_refused(self):
        data = os.urandom(500_000)
        path = f"/v1/images/blob?ref={quote(self.ref('team/app'))}"
        kind = {"Content-Type": "application/octet-stream"}
        answer = self.daemon.request("POST", path, body=iter([data[:1000], data[1000:]]), headers=kind)
        self.assertEqual(answer.json(), {"digest": sha256(data), "size": len(data)})
        connection = self.daemon.connection()
        connection.putrequest("POST", path)
        for name, value in (*kind.items(), ("Content-Length", "1000")):
            connection.putheader(name, value)
        connection.endheaders(b"only a little")
        connection.close()
        self.assertFalse(self.repository().has_blob(sha256(b"only a little")))
        archive = tar({"in": data})
        digest = sha256(archive)
        self.assertEqual(self.daemon.request("PUT", f"/v1/contexts/{digest}", body=archive[:-512],
                                             headers={"Content-Type": "application/x-tar"}).status, 400)
        self.assertEqual(self.daemon.request("PUT", f"/v1/contexts/{digest}", body=iter([archive]),
                                             headers={"Content-Type": "application/x-tar"}).status, 201)
        found = self.build_files("team/app:1", {"type": "context", "digest": digest, "to": "/srv"})
        self.assertEqual(found["srv/in"].data, data)

    def test_b36_every_mode_can_be_said(self):
        modes = ("0000", "0600", "0400", "4755", "0777")
        found = self.build_files("team/app:1", *({**FILE, "to": f"/{m}", "mode": m} for m in modes))
        self.assertEqual([found[m].mode for m in modes], [int(m, 8) for m in modes])

    def test_b37_files_that_change_or_go_end_the_job_in_words(self):
        tree = self.tree("b37", {"shrinks": b"", "dangling": "nowhere"})
        with open(f"{tree}/shrinks", "wb") as out:
            out.truncate(3_000_000_000)
        job = self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [self.ref("team/app:1")],
                                    "layers": [{"files": [{"from": f"{tree}/shrinks", "to": "/x"}]}]})
        while not is_open(self.daemon.process.pid, f"{tree}/shrinks"):
            time.sleep(0.01)
        time.sleep(0.05)  # it is being read, for seconds
        os.truncate(f"{tree}/shrinks", 1000)
        self.assertIn("shrinks", self.failed(self.daemon.wait_job(job["id"]), "source-changed")["detail"])
        job = self.build("team/app:1", state="failed",
                         layers=[{"files": [{"from": tree, "to": "/", "symlinks": "follow", "exclude": ["shrinks"]}]}])
        self.assertIn("dangling", job["error"]["detail"])
        self.assertEqual(self.repository().tags(), [])

    def test_b38_ignore_rules_of_docker(self):
        tree = self.tree("b38", {".dockerignore": b"# a comment\n  # none\n*.log\n!keep.log\nsub/*\n!sub/in\n", "a.log": b"", "keep.log": b"",
                                 "sub/in": b"", "sub/out": b"", "b.txt": b"", "c.tmp": b""})
        found = self.build_files("team/app:1", {"from": tree, "to": "/", "ignore_files": [".dockerignore"], "exclude": ["*.tmp"]})
        self.assertEqual({n for n, i in found.items() if i.isreg()}, {"keep.log", "sub/in", "b.txt"})

    def test_b39_parents_owners_and_one_entry_for_each_path(self):
        tree = self.tree("b39", {"deep/er/file": b"1"})
        found = self.build_files("team/app:1", {"type": "directory", "to": "/app", "owner": "5:6", "mode": "0700"},
                                 {"from": tree, "to": "/app", "owner": "7:8"}, {"type": "file", "to": "/app/deep/er/file", "text": "2"})
        self.assertEqual((found["app/deep/er/file"].data, found["app/deep"].uid), (b"2", 7))
        blob = self.repository().blob(self.repository().manifest("1")["layers"][0]["digest"])
        names = subprocess.run(["tar", "tz"], input=blob, capture_output=True, check=True).stdout.decode().split()
        self.assertEqual(len(names), len(set(names)))

    def test_b40_a_failed_upload_ends_the_job(self):
        self.registry.fault("upload-put", "status-500", times=-1)
        error = self.failed(self.build("team/app:1", state="failed", layers=[{"files": [FILE]}]), "registry-error")
        self.assertEqual(error["upstream"]["status"], 500)


class Service(JobCase):
    def test_b41_progress_is_told(self):
        base = self.put_base(files={"lib": os.urandom(500_000)})
        other = self.enterContext(Registry())
        job = self.daemon.run_job({"kind": "build", "base": f"{base.ref}:1", "targets": [f"{other.address}/x:1"],
                                   "layers": [{"files": [FILE]}]})
        events = list(self.daemon.events(job["id"]))
        types = [e["type"] for e in events]
        self.assertEqual((types[0], types[-1]), ("job.queued", "job.finished"))
        self.assertLess(types.index("job.plan"), types.index("blob.state"))
        states = {e["state"] for e in events if e["type"] == "blob.state"}
        self.assertLessEqual({"packing", "uploading", "downloading", "done"}, states)
        self.assertEqual(job["progress"]["bytes_done"] + job["progress"]["bytes_skipped"], job["progress"]["bytes_total"])
        self.assertEqual(self.daemon.log_text().count("paused"), 0)

    def test_b42_nothing_stays_pending(self):
        self.put_base()
        for i in range(5):
            self.copy("team/base:1", f"team/app:{i}")
        self.registry.fault("manifest-put", "status-403", times=-1)
        self.copy("team/base:1", "team/no:1", state="failed")
        text = self.daemon.request("GET", "/metrics").text
        for name in ('dray_jobs{state="running"}', 'dray_jobs{state="queued"}', "dray_workers_busy"):
            self.assertIn(f"\n{name} 0\n", text)
        self.assertEqual(self.registry.check(), [])  # no upload session either

    def test_b43_a_copy_without_a_tag_copies_latest_or_fails(self):
        base = self.put_base()
        client = lambda *words: subprocess.run([DRAY, *words], capture_output=True, text=True, timeout=120,  # noqa: E731
                                               env={**os.environ, "DRAY_HOST": f"unix://{self.daemon.socket}"})
        missing = client("copy", base.ref, self.ref("other/app"))
        self.assertEqual((missing.returncode, missing.stdout), (5, ""))  # there is no tag `latest`
        put_image(base, "latest", [{"l": b"l"}])
        done = client("copy", base.ref, self.ref("other/app"))
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.repository("other/app").digest("latest"), base.digest("latest"))
        self.assertEqual(client("copy", f"{base.ref}:1").returncode, 2)

    def test_b44_cancel_deadlines_many_jobs_restarts_and_dry_runs(self):
        daemon = self.enterContext(Daemon(settings={**QUICK, "network.first_byte_ms": 600_000}))
        base = self.put_base()
        copy = lambda tag, **more: {"kind": "copy", "source": f"{base.ref}:1", "targets": [self.ref(f"team/app:{tag}")], **more}  # noqa: E731
        self.registry.fault("manifest-get", "stall", times=3)
        stuck = [daemon.post_job(copy(i, **({"deadline_ms": 300} if i == 0 else {})))["id"] for i in range(3)]
        while self.registry.count("manifest-get") < 3:
            time.sleep(0.01)
        self.assertEqual(daemon.run_job(copy("beside"))["state"], "succeeded")
        self.assertEqual(daemon.wait_job(stuck[0])["error"]["code"], "deadline")
        daemon.request("POST", f"/v1/jobs/{stuck[1]}/cancel")
        self.assertEqual(daemon.wait_job(stuck[1])["state"], "cancelled")
        daemon.kill()
        daemon.start()
        after = daemon.wait_job(stuck[2])
        self.assertEqual((after["state"], after["attempt"]), ("succeeded", 2))
        plan = daemon.run_job(copy("dry", dry_run=True))["result"]["plan"]
        self.assertEqual([row["action"] for row in plan["tags"]], ["create"])
        self.assertEqual(self.repository().tags(), ["2", "beside"])
        self.assertNotIn("debug", daemon.log_text())  # the level is info unless said

    def test_b45_copies_of_parts_batches_referrers_and_files(self):
        repository = self.repository("team/multi")
        children = [put_image(repository, a, [{a: a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")]
        put_index(repository, "1", children)
        signature = repository.put_manifest({**repository.manifest("amd64"), "subject": {k: children[0][k] for k in ("mediaType", "digest", "size")},
                                             "artifactType": "application/vnd.test.signature"})
        self.copy("team/multi:1", "part/app:1", platforms=["linux/arm64"])
        self.assertEqual([m["digest"] for m in self.repository("part/app").manifest("1")["manifests"]], [children[1]["digest"]])
        self.copy("team/multi", "all/app", tags={"exclude": ["arm64"]}, referrers=True)
        self.assertEqual(self.repository("all/app").tags(), ["1", "amd64"])
        self.assertTrue(self.repository("all/app").exists(signature["digest"]))
        out = self.daemon.output_root
        for form in ("oci:{}/layout:1", "oci-archive:{}/oci.tar:1", "docker-archive:{}/docker.tar:x:1"):
            with self.subTest(form):
                place = form.format(out)
                self.copy("team/multi:amd64", place)
                self.copy(place, "back/app:1")
                self.assertEqual(self.repository("back/app").config("1")["rootfs"], repository.config("amd64")["rootfs"])
        self.assertEqual(self.daemon.image("manifest", self.ref("all/app@" + signature["digest"]), "DELETE").status, 202)


class Project(unittest.TestCase):
    def test_b46_the_readme_shows_each_task_and_is_run(self):
        text = (ROOT / "README.md").read_text()
        sections = {m[1].lower(): m[2] for m in re.finditer(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)}
        for words in ("env", "layer", "registry", "node", "python", "google"):
            found = [body for title, body in sections.items() if words in title]
            self.assertTrue(found and all("```" in body for body in found), words)
        self.assertEqual([title for title, body in sections.items() if not body.strip()], ["by task"])  # the head of these
        self.assertIn("<!-- test:", text)

    def test_b47_tests_need_neither_docker_nor_the_internet(self):
        packages = (ROOT / ".ci/packages").read_text().split()
        self.assertFalse({"docker.io", "docker-ce", "docker-engine"} & set(packages))
        programs = [p for p in (ROOT / "tests").rglob("*.py") if p != pathlib.Path(__file__).resolve()]
        calls = re.compile(r"""(\brun\(|Popen\(|\[)\s*["']docker["']|/var/run/docker\.sock""")
        self.assertEqual([p.name for p in programs if calls.search(p.read_text())], [])

    def test_b48_nothing_is_bundled_that_could_grow_old(self):
        libraries = subprocess.run(["ldd", os.environ.get("DRAYD", "drayd")], capture_output=True, text=True, check=True).stdout
        paths = [line.split("=>")[1].split("(")[0].strip() for line in libraries.splitlines() if "=>" in line]
        self.assertGreater(len(paths), 8)
        self.assertEqual([p for p in paths if not p.startswith(("/lib", "/usr/lib"))], [])  # the distribution keeps them up to date
        tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
        bundled = re.compile(r"(^|/)(vendor|third_party|node_modules|bower_components)/")
        self.assertEqual([f for f in tracked if bundled.search(f) and not f.startswith("tests/golden/")], [])
        client = pathlib.Path(DRAY).read_text()
        self.assertTrue(client.startswith("#!/bin/sh"))


class Count(unittest.TestCase):
    def test_all_faults_are_here(self):
        found = re.findall(r"^    def test_(b\d\d[a-e]?)_", pathlib.Path(__file__).read_text(), re.MULTILINE)
        self.assertEqual(len(FAULTS), 56)
        self.assertEqual(sorted(found + list(EXEMPT)), sorted(FAULTS))
        for words in EXEMPT.values():
            self.assertIn(words, PAGE.read_text())


if __name__ == "__main__":
    unittest.main()
