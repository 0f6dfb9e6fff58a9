# SPDX-License-Identifier: Apache-2.0
"""Everything that the library container-image-builder can do is done here by requests: a test for each of its 23 features.
How its calls map to requests stands in api/from-container-image-builder.md, and what cannot apply to a daemon."""

import base64
import gzip
import json
import os
import pathlib
import re
import subprocess
import unittest
import urllib.parse

from daemon import Daemon
from images import MANIFEST, Repository, put_image, sha256, tar
from job_case import QUICK, JobCase
from named_hosts import GOOGLE, HUB, NamedHosts
from registries import Registry
from scripted_registry import ScriptedRegistry

ROOT = pathlib.Path(__file__).parents[2]
DRAY = os.environ.get("DRAY", str(ROOT / "client/dray"))
FEATURES = 23


class Sources(JobCase):
    """From files to layers."""

    def test_f01_base_target_and_sign_in(self):
        self.registry.reset(auth="basic")
        auth = {self.address: {"username": self.registry.username, "password": self.registry.password}}
        self.registry.store.add_image("team/base", "1")
        self.build("team/app:1", base=f"{self.address}/team/base:1", auth=auth,
                   layers=[{"files": [{"type": "file", "to": "/x", "text": "x"}]}])
        self.assertEqual(self.registry.check(), [])
        self.assertIn("1", self.registry.store.repository("team/app").tags)
        status, problem = self.daemon.refused_job({"kind": "build", "base": f"{self.address}/team/base:1", "targets": []})
        self.assertEqual((status, problem["errors"][0]["pointer"]), (400, "/targets"))  # never written over by default

    def test_f02_several_roots_in_one_layer(self):
        one, two = self.tree("f02/one", {"a": b"a"}), self.tree("f02/two", {"b": b"b"})
        found = self.build_files("team/app:1", {"from": one, "to": "/app"}, {"from": two, "to": "/etc/more"},
                                 {"from": f"{two}/b", "to": "/srv/"})
        self.assertEqual({n for n, i in found.items() if i.isreg()}, {"app/a", "etc/more/b", "srv/b"})
        self.assertEqual(len(self.repository().manifest("1")["layers"]), 1)

    def test_f03_a_file_as_source(self):
        source = self.tree("f03", {"config.json": b"{}"})
        found = self.build_files("team/app:1", {"from": f"{source}/config.json", "to": "/etc/app.json"})
        self.assertEqual(found["etc/app.json"].data, b"{}")

    def test_f04_ignore_patterns_and_ignore_files_of_every_directory(self):
        source = self.tree("f04", {"a.log": b"", "keep.txt": b"", ".gitignore": b"**/*.tmp\n", "x.tmp": b"", "sub/.gitignore": b"only\n",
                                   "sub/only": b"", "sub/y.tmp": b"", "sub/stays": b"", "only": b""})
        found = self.build_files("team/app:1", {"from": source, "to": "/", "exclude": ["**/*.log"], "ignore_files": [".gitignore"]})
        self.assertEqual({n for n, i in found.items() if i.isreg()}, {"keep.txt", "sub/stays", "only"})

    def test_f05_links_replaced_by_content(self):
        source = self.tree("f05", {"real": b"content", "link": "real"})
        found = self.build_files("team/app:1", {"from": source, "to": "/", "symlinks": "follow"})
        self.assertEqual((found["link"].isreg(), found["link"].data), (True, b"content"))

    def test_f06_owner_mode_and_time_of_entries(self):
        source = self.tree("f06", {"file": b"x"})
        entry = {"from": f"{source}/file", "to": "/file", "mode": "0640", "owner": "7:8", "mtime": "2001-09-09T01:46:40Z"}
        info = self.build_files("team/app:1", entry)["file"]
        self.assertEqual((info.mode, info.uid, info.gid, info.mtime), (0o640, 7, 8, 1_000_000_000))

    def test_f07_files_directories_links_and_whiteouts_from_the_request(self):
        data = bytes(range(256))
        found = self.build_files(
            "team/app:1", {"type": "file", "to": "/text", "text": "hällo\n", "mode": "0600"},
            {"type": "file", "to": "/binary", "base64": base64.b64encode(data).decode()}, {"type": "directory", "to": "/d", "mode": "0750"},
            {"type": "symlink", "to": "/l", "target": "/d"}, {"type": "delete", "path": "/etc/motd"},
            {"type": "opaque", "path": "/var/cache"})
        self.assertEqual((found["text"].data.decode(), found["text"].mode, found["binary"].data), ("hällo\n", 0o600, data))
        self.assertEqual((found["d"].isdir(), found["d"].mode, found["l"].linkname), (True, 0o750, "/d"))
        self.assertEqual({n for n in found if ".wh." in n}, {"etc/.wh.motd", "var/cache/.wh..wh..opq"})

    def test_f22_memory_stays_bounded_while_packing(self):
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8:thread_local_quarantine_size_kb=64"
        registry = self.enterContext(ScriptedRegistry(store_uploads=False, check_blobs=False, read_bps=400_000_000))
        daemon = self.enterContext(Daemon(settings=QUICK, more={"ASAN_OPTIONS": options}))
        size = 300_000_000
        with open(daemon.build_root / "large", "wb") as out:
            out.truncate(size)
        before = daemon.memory_kib()
        job = daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{registry.address}/team/app:1"], "layers": [
            {"files": [{"from": f"{daemon.build_root}/large", "to": "/large"}], "compression": "none"}]})
        highest = 0
        for event in daemon.events(job["id"]):
            highest = max(highest, daemon.memory_kib())
        self.assertEqual(event["state"], "succeeded", event)
        self.assertGreater(registry.received(), size)
        self.assertLess(highest - before, 64 << 10)

    def test_f23_a_source_that_is_not_there_is_found_before_anything_is_sent(self):
        base = self.put_base()
        self.registry.requests.clear()
        good = self.tree("f23", {"file": b"x" * 100_000})
        job = self.build("team/app:1", base=f"{base.ref}:1", state="failed",
                         layers=[{"files": [{"from": good, "to": "/a"}]}, {"files": [{"from": f"{good}/missing", "to": "/b"}]}])
        self.assertIn("f23/missing", self.failed(job, "path-not-found")["detail"])
        self.assertEqual(self.registry.received(), 0)
        self.assertEqual(self.repository().tags(), [])


class Images(JobCase):
    """Config, layers, tags."""

    def test_f08_working_directory_command_environment(self):
        base = self.put_base(config={"Env": ["PATH=/bin"], "WorkingDir": "/"})
        self.build("team/app:1", base=f"{base.ref}:1",
                   config={"working_dir": "/app", "cmd": ["node", "index.js"], "env": {"MODE": "prod"}})
        config = self.repository().config("1")["config"]
        self.assertEqual((config["WorkingDir"], config["Cmd"], config["Env"]),
                         ("/app", ["node", "index.js"], ["PATH=/bin", "MODE=prod"]))

    def test_f09_config_and_manifest_are_read_and_changed(self):
        base = self.put_base(config={"User": "1"})
        config = self.daemon.image("config", f"{base.ref}:1").json()
        manifest = self.daemon.image("manifest", f"{base.ref}:1")
        self.assertEqual((config, manifest.body), (base.config("1"), base.manifest_bytes("1")))
        self.build("team/app:1", base=f"{base.ref}:1", annotations={"a": "b"},
                   config_patch={"config": {"User": None, "ArgsEscaped": True}, "variant": "v2"})
        changed = self.repository().config("1")
        self.assertEqual((changed["config"], changed["variant"]), ({"ArgsEscaped": True}, "v2"))
        self.assertEqual(self.repository().manifest("1")["annotations"]["a"], "b")

    def test_f10_a_layer_is_added_and_removed_by_digest(self):
        base = self.put_base()
        data = tar({"extra": b"extra"})
        blob = gzip.compress(data)
        posted = self.daemon.request("POST", f"/v1/images/blob?ref={urllib.parse.quote(self.ref('team/app'))}", body=blob,
                                     headers={"Content-Type": "application/octet-stream"})
        self.assertEqual((posted.status, posted.json()["digest"]), (201, sha256(blob)))
        first = base.manifest("1")["layers"][0]["digest"]
        self.build("team/app:1", base=f"{base.ref}:1", remove_layers=[first],
                   layers=[{"blob": {"digest": sha256(blob), "diff_id": sha256(data), "size": len(blob)}}])
        app = self.repository()
        self.assertEqual([layer["digest"] for layer in app.manifest("1")["layers"]],
                         [base.manifest("1")["layers"][1]["digest"], sha256(blob)])
        self.assertEqual(app.config("1")["rootfs"]["diff_ids"][1], sha256(data))
        foreign = {"digest": sha256(b"f"), "diff_id": sha256(b"g"), "size": 9, "urls": ["https://example.com/f"],
                   "media_type": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}
        self.build("team/app:2", base=f"{base.ref}:1", layers=[{"blob": foreign}])
        self.assertEqual(app.manifest("2")["layers"][2]["urls"], foreign["urls"])

    def test_f11_several_tags_are_saved(self):
        job = self.build("team/app:latest", "team/app:v7", layers=[{"files": [{"type": "file", "to": "/x", "text": ""}]}])
        self.assertEqual(self.repository().tags(), ["latest", "v7"])
        self.assertEqual(job["result"]["refs"], [self.ref(f"team/app:{t}") + "@" + job["result"]["digest"] for t in ("latest", "v7")])

    def test_f12_the_base_is_copied_while_files_are_packed(self):
        source = self.enterContext(ScriptedRegistry())
        put_image(Repository(source, "base"), "1", [{"lib": os.urandom(300_000)}])
        source.fault("blob-get", "body-stall", times=-1, skip=1, after_bytes=100_000)  # the config comes whole
        settings = {**QUICK, "network.stall_window_ms": 3_600_000, "network.first_byte_ms": 3_600_000}
        daemon = self.enterContext(Daemon(settings=settings))
        job = daemon.post_job({"kind": "build", "base": f"{source.address}/base:1", "targets": [self.ref("team/app:1")],
                               "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]})
        states = {}
        for event in daemon.events(job["id"]):
            if event["type"] == "blob.state":
                states.setdefault(event["blob"], []).append(event["state"])
            moving = [s for s in states.values() if s[-1] in ("downloading", "uploading")]
            packed = [s for s in states.values() if "packing" in s and s[-1] == "done"]
            if moving and packed:  # the layer was packed and sent while the base is on its way
                break
        self.assertEqual(daemon.job(job["id"])["state"], "running")
        self.assertEqual(daemon.request("POST", f"/v1/jobs/{job['id']}/cancel").status, 202)
        self.assertEqual(daemon.wait_job(job["id"])["state"], "cancelled")

    def test_f13_a_layer_is_tried_again(self):
        base, other = self.put_base(), self.enterContext(Registry())
        self.registry.fault("blob-get", "body-reset", times=2)
        self.registry.fault("blob-get", "status-503", times=2)
        job = self.copy("team/base:1", f"{other.address}/base:1")
        self.assertEqual(job["result"]["stats"]["retries"], 4)
        self.assertEqual(Repository(other, "base").manifest_bytes("1"), base.manifest_bytes("1"))

    def test_f14_what_moves_is_checked(self):
        self.put_base()
        other = self.enterContext(Registry())
        for kind, code in (("body-wrong", "digest-mismatch"), ("body-cut", "registry-unreachable"), ("body-short", "registry-protocol")):
            with self.subTest(kind):
                self.registry.clear_faults()
                self.registry.fault("blob-get", kind, times=-1)
                job = self.copy("team/base:1", f"{other.address}/{kind}:1", state="failed")
                self.failed(job, code)
                self.assertFalse(Repository(other, kind).exists("1"))

    def test_f15_layers_that_lie_elsewhere_are_left_there_or_fetched(self):
        data = gzip.compress(tar({"foreign": b"f"}))
        elsewhere = Repository(self.enterContext(ScriptedRegistry()), "elsewhere")
        elsewhere.put_blob(data)
        source = self.repository("team/foreign")
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [sha256(b"d")]}}).encode()
        layer = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": sha256(data),
                 "size": len(data), "urls": [f"{elsewhere.url}/blobs/{sha256(b'no')}", f"{elsewhere.url}/blobs/{sha256(data)}"]}
        source.put_manifest({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer], "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": source.put_blob(config), "size": len(config)}}, "1")
        daemon = self.enterContext(Daemon("--plain-http", elsewhere.ref.split("/")[0]))  # or else its address is a private one
        for name, how in (("kept", "keep"), ("fetched", "copy")):
            daemon.run_job({"kind": "copy", "source": f"{source.ref}:1", "targets": [self.ref(f"{name}/app:1")], "foreign_layers": how})
            self.assertEqual(self.repository(f"{name}/app").has_blob(sha256(data)), how == "copy")


class Registries(JobCase):
    """Sign-in, names, the registry's own calls."""

    def test_f16_tokens_are_shared_between_jobs(self):
        self.registry.reset("quay", public=[])
        self.registry.store.add_image("team/base", "1")
        auth = {self.address: {"username": self.registry.username, "password": self.registry.password}}
        for i in range(2):  # to push what is new, to look at what is there
            self.copy("team/base:1", f"team/app:{i}", auth=auth)
        tokens = self.registry.tokens_given
        for i in range(2, 5):
            self.copy("team/base:1", f"team/app:{i}", auth=auth)
        self.assertEqual(self.registry.tokens_given, tokens)
        self.assertEqual(self.registry.check(), [])

    def test_f17_the_calls_of_a_registry_client(self):
        app = self.put_base("team/app")
        manifest, digest = app.manifest_bytes("1"), app.digest("1")
        put = lambda ref: self.daemon.request("PUT", f"/v1/images/manifest?ref={urllib.parse.quote(ref)}", body=manifest,  # noqa: E731
                                              headers={"Content-Type": MANIFEST})
        self.assertEqual(self.daemon.image("manifest", f"{app.ref}:1").body, manifest)
        self.assertEqual((put(f"{app.ref}:2").json(), put(f"{app.ref}@{digest}").json()), ({"digest": digest},) * 2)
        self.assertEqual(self.daemon.image("tags", app.ref).json(), {"name": "team/app", "tags": ["1", "2"]})
        data = os.urandom(200_000)
        post = lambda ref, body: self.daemon.request("POST", f"/v1/images/blob?ref={urllib.parse.quote(ref)}", body=body,  # noqa: E731
                                                     headers={"Content-Type": "application/octet-stream"})
        halves = lambda: iter([data[:70_000], data[70_000:]])  # noqa: E731 – a body without a length
        known = f"@{sha256(data)}"
        for i, answer in enumerate((post(self.ref("b/1") + known, data), post(self.ref("b/2"), data),
                                    post(self.ref("b/3") + known, halves()), post(self.ref("b/4"), halves())), 1):
            self.assertEqual((answer.status, answer.json()), (201, {"digest": sha256(data), "size": len(data)}), i)
            self.assertEqual(self.daemon.image("blob", self.ref(f"b/{i}") + known, "HEAD").status, 200)
            self.assertEqual(self.daemon.image("blob", self.ref(f"b/{i}") + known).body, data)
        self.assertEqual(self.daemon.image("blob", app.ref + known, "HEAD").status, 404)
        mounted = self.daemon.image("mount", self.ref("team/other") + known, "POST", **{"from": "b/1"})
        self.assertEqual((mounted.status, self.repository("team/other").has_blob(sha256(data))), (201, True))
        self.assertEqual(self.registry.check(), [])

    def test_f19_http_on_loopback(self):
        self.put_base("team/app")
        for name in ("127.0.0.1", "localhost"):
            answer = self.daemon.image("inspect", f"{name}:{self.address.split(':')[1]}/team/app:1")
            self.assertEqual(answer.status, 200, answer)

    def test_f21_copy_and_show_on_the_command_line(self):
        app = self.put_base("team/app")
        run = lambda *words: subprocess.run([DRAY, *words], env={**os.environ, "DRAY_HOST": f"unix://{self.daemon.socket}"},  # noqa: E731
                                            capture_output=True, text=True, check=True, timeout=120).stdout
        run("copy", f"{app.ref}:1", self.ref("team/new:1"), self.ref("team/new:latest"))
        self.assertEqual(self.repository("team/new").tags(), ["1", "latest"])
        self.assertIn(app.digest("1"), run("inspect", self.ref("team/new:latest")))


class Names(unittest.TestCase):
    """Registries by their names on the internet."""

    def daemon_of(self, hosts, **keywords):
        return self.enterContext(Daemon(settings=hosts.settings, **keywords))

    def test_f18_every_way_to_sign_in(self):
        names = ("gcr.io", "us.gcr.io", HUB, "reg.test", "helped.test", GOOGLE)
        hosts = self.enterContext(NamedHosts(*names, auth="bearer"))
        hosts.registry.accounts |= {"hub:secret-of-hub", "any:secret-of-any", "from-helper:secret-of-helper", "conf:secret-of-conf"}
        for name in ("one/app", "two/app", "three/app", "team/app"):
            hosts.registry.store.add_image(name, "1")
        hosts.registry.tokens["ready-made"] = {"access": {("repository", "team/app", "pull")}, "expires": float("inf"), "uses": None}
        key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
        account = lambda name: {"type": "service_account", "client_email": name, "private_key": key}  # noqa: E731

        daemon = Daemon(settings=hosts.settings, start=False)
        directory = daemon.directory
        helper = directory / "bin/docker-credential-test"
        helper.parent.mkdir()
        helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username": "from-helper", "Secret": "secret-of-helper"}\'\n')
        helper.chmod(0o755)
        (directory / "docker").mkdir()
        (directory / "docker/config.json").write_text(json.dumps({
            "credHelpers": {"helped.test": "test"}, "auths": {"reg.test": {"auth": base64.b64encode(b"conf:secret-of-conf").decode()}}}))
        (directory / "google.json").write_text(json.dumps(account("default@p")))
        (daemon.build_root / "key.json").write_text(json.dumps(account("file@p")))
        daemon.environment.update(DOCKER_CONFIG=str(directory / "docker"), GOOGLE_APPLICATION_CREDENTIALS=str(directory / "google.json"))
        daemon.arguments += ["--set", f"credentials.helper_path={helper.parent}"]
        self.enterContext(daemon.start())

        def check(ref, who, auth=None):
            with self.subTest(ref, who=who):
                hosts.registry.requests.clear()
                daemon.run_job({"kind": "check", "source": ref, **({"auth": auth} if auth else {})})
                host = HUB if ref.startswith("docker.io") else ref.split("/")[0]
                self.assertEqual(set(hosts.sign_ins(host)), {who})

        check("docker.io/team/app:1", "hub:secret-of-hub", {"docker.io": {"username": "hub", "password": "secret-of-hub"}})
        check("gcr.io/one/app:1", "oauth2accesstoken:token-of-one@p", projects := {
            "gcr.io/one": {"gcp_service_account": account("one@p")}, "gcr.io/two": {"gcp_service_account": account("two@p")}})
        check("gcr.io/two/app:1", "oauth2accesstoken:token-of-two@p", projects)  # several projects at once
        check("gcr.io/one/app:1", "oauth2accesstoken:token-of-file@p",
              {"gcr.io": {"gcp_service_account": f"{daemon.build_root}/key.json"}})
        check("us.gcr.io/three/app:1", "oauth2accesstoken:token-of-default@p")  # GOOGLE_APPLICATION_CREDENTIALS
        check("gcr.io/three/app:1", "oauth2accesstoken:token-of-one@p", {"gcr.io": {"gcp_access_token": "token-of-one@p"}})
        check("reg.test/team/app:1", "any:secret-of-any", {"reg.test": {"username": "any", "password": "secret-of-any"}})
        check("reg.test/team/app:1", "conf:secret-of-conf")  # DOCKER_CONFIG
        check("helped.test/team/app:1", "from-helper:secret-of-helper")
        hosts.registry.requests.clear()
        daemon.run_job({"kind": "check", "source": "reg.test/team/app:1", "auth": {"reg.test": {"token": "ready-made"}}})
        self.assertEqual(hosts.sign_ins("reg.test"), [])

    def test_f20_names_of_many_parts(self):
        hosts = self.enterContext(NamedHosts(HUB, "gcr.io", "reg.test"))
        daemon = self.daemon_of(hosts)
        refs = {"gcr.io/project/deep/er/app:1": "project/deep/er/app", "docker.io/user/x:1": "user/x", "docker.io/x:1": "library/x",
                "node:1": "library/node", "reg.test/a:1": "a"}
        for ref, name in refs.items():
            with self.subTest(ref):
                digest = hosts.registry.store.add_image(name, "1")
                self.assertEqual(daemon.get(f"/v1/images/inspect?ref={urllib.parse.quote(ref)}")["digest"], digest)


class Count(unittest.TestCase):
    def test_all_features_are_here(self):
        found = re.findall(r"^    def test_f(\d\d)_", pathlib.Path(__file__).read_text(), re.MULTILINE)
        self.assertEqual(sorted(found), [f"{i:02}" for i in range(1, FEATURES + 1)])


if __name__ == "__main__":
    unittest.main()
