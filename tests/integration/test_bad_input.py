# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with a job or on its way: each ends in a problem that names the fault, the job failed, nothing
half-published, the daemon unharmed."""

import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading
import time
import unittest

from daemon import Daemon
from images import put_image, put_index
from job_case import JobCase
from registries import Registry, free_port

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class HostileRegistry:
    """Serves one image; `fault` says what goes wrong with it."""

    def __init__(self):
        self.layer = os.urandom(300_000)
        self.config = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["' + \
            digest(b"tar").encode() + b'"]}}'
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(self.config),
                       "size": len(self.config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(self.layer),
                        "size": len(self.layer)}]}).encode()
        self.fault = None
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def answer(self, handler):
        if isinstance(self.fault, int):
            return self.send(handler, self.fault, b'{"errors":[{"code":"NOPE","message":"the stub says so"}]}',
                             "application/json")
        if "/manifests/" in handler.path:
            body = b"{" if self.fault == "bad manifest" else self.manifest
            return self.send(handler, 200, body, MANIFEST)
        body = self.config if handler.path.endswith(digest(self.config)) else self.layer
        if self.fault == "wrong digest" and body is self.layer:
            body = bytes(len(body))
        if self.fault == "truncated" and body is self.layer:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[:1000])
            handler.close_connection = True
            return None
        return self.send(handler, 200, body, "application/octet-stream")

    @staticmethod
    def send(handler, status, body, media_type):
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


QUICK = {"network.retry_base_ms": 10, "network.retry_count": 1, "network.connect_ms": 2000, "network.first_byte_ms": 3000}


class Posted(unittest.TestCase):
    """What the text of a request shows is refused at the POST, with the JSON pointer."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(settings=QUICK)
        cls.addClassCleanup(cls.daemon.remove)
        cls.addClassCleanup(cls.daemon.stop)

    def refused(self, spec, status, code, pointer=None):
        got, problem = self.daemon.refused_job(spec)
        self.assertEqual((got, problem["code"]), (status, code), problem)
        if pointer is not None:
            self.assertEqual(problem["errors"][0]["pointer"], pointer, problem)
        self.assertEqual(self.daemon.get("/v1/jobs")["items"], [])
        return problem

    def test_unknown_field(self):
        spec = {"kind": "copy", "source": "a/b:1", "targets": ["c/d:1"], "sauce": 1}
        self.assertIn("sauce", self.refused(spec, 400, "invalid-request", "/sauce")["detail"])

    def test_unknown_field_deep_inside(self):
        spec = {"kind": "build", "base": "scratch", "targets": ["a/b:1"], "layers": [{"files": [{"form": "/x", "to": "/"}]}]}
        self.refused(spec, 400, "invalid-request")

    def test_wrong_type(self):
        self.refused({"kind": "copy", "source": 1, "targets": ["c/d:1"]}, 400, "invalid-request", "/source")

    def test_missing_member(self):
        self.refused({"kind": "copy", "targets": ["c/d:1"]}, 400, "invalid-request", "/source")

    def test_no_target(self):
        self.refused({"kind": "copy", "source": "a/b:1", "targets": []}, 400, "invalid-request", "/targets")

    def test_a_platform_that_is_named_twice(self):
        self.refused({"kind": "build", "base": "scratch", "targets": ["c/d:1"], "platforms": ["linux/arm64", "linux/amd64", "linux/arm64"]},
                     400, "invalid-request", "/platforms")

    def test_unknown_kind(self):
        self.refused({"kind": "brew"}, 400, "invalid-request", "/kind")

    def test_bad_reference(self):
        for bad in ("UPPER/case:1", "a/b:", "https://x/y", "a//b", "a/b@sha256:12", "x" * 300):
            with self.subTest(bad):
                self.refused({"kind": "copy", "source": bad, "targets": ["c/d:1"]}, 400, "reference-invalid", "/source")

    def test_path_outside_the_roots(self):
        for path in ("/etc/passwd", f"{self.daemon.build_root}/../../etc/passwd"):
            with self.subTest(path):
                spec = {"kind": "build", "base": "scratch", "targets": ["a/b:1"], "layers": [{"files": [{"from": path, "to": "/x"}]}]}
                self.refused(spec, 403, "path-not-allowed", "/layers/0/files/0/from")

    def test_a_compression_that_the_format_cannot_name(self):
        spec = {"kind": "build", "base": "scratch", "targets": [f"oci:{self.daemon.output_root}/x:1", {"ref": "localhost:1/a/b:1", "format": "docker"}],
                "layers": [{"files": [], "compression": "gzip"}, {"files": [], "compression": "zstd"}]}
        status, problem = self.daemon.refused_job(spec)
        self.assertEqual((status, problem["code"]), (422, "manifest-unsupported"))
        self.assertEqual(problem["errors"][0]["pointer"], "/layers/1/compression")

    def test_output_outside_the_roots(self):
        self.refused({"kind": "copy", "source": "a/b:1", "targets": ["oci:/etc/x:1"]}, 403, "path-not-allowed", "/targets/0")

    def test_bad_json(self):
        for body in (b"{", b"[]", b'{"kind":"copy","kind":"build"}', b'{"kind":"copy"} x', b"\xff"):
            with self.subTest(body):
                answer = self.daemon.request("POST", "/v1/jobs", body=body, headers={"Content-Type": "application/json"})
                self.assertEqual(answer.status, 400)
                self.assertEqual(answer.json()["code"], "invalid-request")

    def test_body_over_its_limit(self):
        answer = self.daemon.request("POST", "/v1/jobs", body=b" " * ((1 << 20) + 1), headers={"Content-Type": "application/json"})
        self.assertEqual(answer.status, 413)

    def test_deep_and_many(self):
        for body in (b"[" * 70 + b"]" * 70, b"[" + b"0," * 100_001 + b"0]"):
            answer = self.daemon.request("POST", "/v1/jobs", body=body, headers={"Content-Type": "application/json"})
            self.assertIn(answer.status, (400, 413))

    def test_wrong_media_type(self):
        answer = self.daemon.request("POST", "/v1/jobs", body=b"{}", headers={"Content-Type": "text/plain"})
        self.assertEqual(answer.status, 415)


class Running(unittest.TestCase):
    """What only the work shows fails the job."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(settings=QUICK)
        cls.addClassCleanup(cls.daemon.remove)
        cls.addClassCleanup(cls.daemon.stop)
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.hostile = HostileRegistry()
        cls.addClassCleanup(cls.hostile.__exit__)

    def failed(self, spec, code):
        before = self.registry.uploads()
        job = self.daemon.run_job(spec, state="failed")
        self.assertEqual(job["error"]["code"], code, job["error"])
        self.assertTrue(job["error"]["detail"])
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)
        target = spec["targets"][0]
        if target.startswith(self.registry.address):
            name, tag = target.split("/", 1)[1].rsplit(":", 1)
            self.assertFalse((self.registry.data / f"docker/registry/v2/repositories/{name}/_manifests/tags/{tag}").exists())
            # docker-registry 2.8.2 keeps a session whose PUT was cut in mid-body: it answers 404 to the DELETE.
            if code not in ("digest-mismatch", "registry-unreachable"):
                self.assertEqual(self.registry.uploads(), before)
        return job["error"]

    def copy(self, code, source=None):
        return self.failed({"kind": "copy", "source": source or f"{self.hostile.address}/a/b:1",
                            "targets": [f"{self.registry.address}/x:{code}"]}, code)

    def build(self, code, **entry):
        return self.failed({"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/y:{code}"],
                            "layers": [{"files": [{"to": "/x", **entry}]}]}, code)

    def test_statuses(self):
        for status, code in ((403, "registry-denied"), (404, "image-not-found"), (401, "registry-denied"), (500, "registry-error")):
            with self.subTest(status):
                self.hostile.fault = status
                error = self.copy(code)
                self.assertEqual(error["upstream"]["status"], status)
                self.assertIn(self.hostile.address, error["detail"])

    def test_wrong_digest(self):
        self.hostile.fault = "wrong digest"
        error = self.copy("digest-mismatch")
        self.assertIn(digest(self.hostile.layer)[:19], error["detail"])

    def test_truncated_blob(self):
        self.hostile.fault = "truncated"
        self.copy("registry-unreachable")

    def test_bad_manifest(self):
        self.hostile.fault = "bad manifest"
        self.copy("registry-protocol")

    def test_refused_connection(self):
        address = f"127.0.0.1:{free_port()}"
        error = self.copy("registry-unreachable", f"{address}/a/b:1")
        self.assertIn(address, error["detail"])

    def test_unknown_host(self):
        error = self.copy("registry-unreachable", "no-such-host.invalid/a/b:1")
        self.assertIn("no-such-host.invalid", error["detail"])

    def test_missing_path(self):
        path = f"{self.daemon.build_root}/nothing-here"
        self.assertIn("nothing-here", self.build("path-not-found", **{"from": path})["detail"])

    def test_special_files(self):
        directory = self.daemon.build_root / "special"
        directory.mkdir()
        os.mkfifo(directory / "fifo")
        self.assertIn("fifo", self.build("unsupported-file", **{"from": str(directory)})["detail"])

    def test_link_out_of_the_root(self):
        link = self.daemon.build_root / "way-out"
        link.symlink_to("/etc")
        self.assertIn("way-out", self.build("path-not-allowed", **{"from": f"{link}/passwd"})["detail"])

    def test_whiteout_name(self):
        directory = self.daemon.build_root / "white"
        directory.mkdir()
        (directory / ".wh.secret").write_text("")
        self.assertIn(".wh.secret", self.build("unsupported-file", **{"from": str(directory)})["detail"])

    @unittest.skipIf(os.geteuid() != 0, "only root has callers with fewer rights")
    def test_unreadable_for_the_caller(self):
        path = self.daemon.build_root / "secret"
        path.write_text("s")
        path.chmod(0o600)
        self.daemon.directory.chmod(0o755)
        self.daemon.socket.chmod(0o666)
        job = as_nobody(self.daemon, {"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/y:no"],
                                      "layers": [{"files": [{"from": str(path), "to": "/x"}]}]})
        done = self.daemon.wait_job(job)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "forbidden"), done)
        self.assertIn(str(path), done["error"]["detail"])

    def test_file_that_shrinks_while_read(self):
        path = self.daemon.build_root / "shrinking"
        with open(path, "wb") as out:
            out.truncate(3_000_000_000)
        job = self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/y:shrink"],
                                    "layers": [{"files": [{"from": str(path), "to": "/x"}]}]})
        for event in self.daemon.events(job["id"]):
            if event["type"] == "blob.state" and event["state"] == "packing":
                time.sleep(0.05)
                os.truncate(path, 1000)
        done = self.daemon.wait_job(job["id"])
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "source-changed"), done)
        self.assertIn("shrinking", done["error"]["detail"])

    def test_client_that_leaves_in_mid_stream(self):
        self.hostile.fault = None
        job = self.daemon.post_job({"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/left:1"],
                                    "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]})
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(self.daemon.socket))
        raw.sendall(f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        raw.recv(10)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        self.assertEqual(self.daemon.wait_job(job["id"])["state"], "succeeded")


class Images(JobCase):
    """Images that are not what the job takes them for: the problem names it, and no tag of the target appears."""

    settings = QUICK

    def refused(self, code, *words, target="out/app:1", **spec):
        spec = {"kind": "build", "targets": [self.ref(target)], **spec}
        error = self.failed(self.daemon.run_job(spec, state="failed"), code)
        for word in words:
            self.assertIn(word, json.dumps(error))
        name, _, tag = target.partition(":")
        self.assertNotIn(tag, self.registry.store.repository(name).tags)
        self.assertEqual(self.registry.check(), [])  # no session, no half of an image
        return error

    def test_layer_digest_that_is_not_there(self):
        base, absent = self.put_base(), digest(b"absent")
        self.refused("blob-unknown", absent, base=f"{base.ref}:1", layers=[{"blob": {"digest": absent, "diff_id": absent}}])
        self.refused("invalid-request", absent[:19], "/remove_layers/0", base=f"{base.ref}:1", remove_layers=[absent])

    def test_diff_ids_that_are_not_as_many_as_layers(self):
        base = self.put_base()
        config = base.config("1")
        config["rootfs"]["diff_ids"].pop()
        data = json.dumps(config).encode()
        manifest = base.manifest("1")
        manifest["config"].update(digest=base.put_blob(data), size=len(data))
        base.put_manifest(manifest, "odd")
        self.refused("registry-protocol", "2 layers", "1 diff_ids", base=f"{base.ref}:odd", config={"user": "1"})

    def test_base_without_the_platform_tells_what_it_has(self):
        base = self.repository("team/multi")
        put_index(base, "1", [put_image(base, a, [{a: b""}], f"linux/{a}") for a in ("amd64", "arm64")])
        self.refused("platform-missing", "linux/amd64", "linux/arm64", "linux/s390x", base=f"{base.ref}:1", platforms=["linux/s390x"])
        put_image(base, "one", [{"a": b""}], "linux/arm64")
        self.refused("platform-missing", "linux/arm64", base=f"{base.ref}:one", platforms=["linux/amd64"])

    def test_targets_that_contradict(self):
        for second in (self.ref("out/app:1"), {"ref": self.ref("out/app:1"), "format": "docker"}):
            status, problem = self.daemon.refused_job({"kind": "build", "base": "scratch", "targets": [self.ref("out/app:1"), second]})
            self.assertEqual((status, problem["code"], problem["errors"][0]["pointer"].split("/")[:3]),
                             (400, "invalid-request", ["", "targets", "1"]))

    def test_index_where_an_image_is_asked(self):
        base = self.repository("team/multi")
        put_index(base, "1", [put_image(base, a, [{a: b""}], f"linux/{a}") for a in ("amd64", "arm64")])
        archive = f"docker-archive:{self.daemon.output_root}/index.tar:a:1"
        self.failed(self.copy("team/multi:1", archive, state="failed"), "manifest-unsupported")
        self.assertFalse((self.daemon.output_root / "index.tar").exists())
        answer = self.daemon.image("config", f"{base.ref}:1", platform="linux/s390x")
        self.assertEqual((answer.status, answer.json()["code"]), (422, "platform-missing"))

    def test_artifact_where_an_image_is_asked(self):
        repository = self.repository("team/sbom")
        empty = repository.put_blob(b"{}")
        blob = repository.put_blob(b"an sbom")
        repository.put_manifest({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
            "layers": [{"mediaType": "application/spdx+json", "digest": blob, "size": 7}]}, "1")
        self.refused("manifest-unsupported", "is an artifact", base=f"{repository.ref}:1", config={"user": "1"})
        self.copy("team/sbom:1", "copied/sbom:1")  # which is no reason not to copy it
        self.failed(self.copy("team/sbom:1", f"docker-archive:{self.daemon.output_root}/sbom.tar:a:1", state="failed"),
                    "manifest-unsupported")

    def test_immutable_tag(self):
        self.registry.reset("harbor", auth="none")
        base = self.put_base()
        before = base.digest("1")
        job = self.build("team/base:1", base=f"{base.ref}:1", config={"user": "1"}, state="failed")
        error = self.failed(job, "registry-denied") if job["error"]["code"] == "registry-denied" else self.failed(job, "target-exists")
        self.assertIn("immutable", json.dumps(error))
        self.assertEqual(base.digest("1"), before)

    def test_target_that_holds_something_else_and_answers_late(self):
        self.put_base()
        base = f"oci:{self.daemon.output_root}/late:1"  # another place, which does not wait for this registry
        self.copy("team/base:1", base)
        put_image(self.repository("out/app"), "1", [{"theirs": b""}])
        before = self.repository("out/app").digest("1")
        for kind in ("build", "copy"):
            self.registry.fault("manifest-head", "status-503")  # asked again when the image is made already
            spec = {"base": base} if kind == "build" else {"source": base}
            job = self.daemon.run_job({"kind": kind, **spec, "targets": [{"ref": self.ref("out/app:1"), "if_exists": "same"}]}, state="failed")
            self.assertIn(before, self.failed(job, "target-exists")["detail"])
            self.assertEqual(self.repository("out/app").digest("1"), before)

    def test_repository_that_does_not_exist(self):
        self.registry.reset("ecr", auth="none", repositories=["team/base"])
        base = self.put_base()
        error = self.refused("image-not-found", "out/app", "does not exist", base=f"{base.ref}:1", config={"user": "1"})
        self.assertEqual((error["upstream"]["status"], error["upstream"]["oci_code"]), (404, "NAME_UNKNOWN"))
        self.assertIn("before the first push", error["hint"])

    def test_archive_cut_short(self):
        base = self.put_base(files={"lib": os.urandom(300_000)})
        for form in ("oci-archive", "docker-archive"):
            whole = self.daemon.output_root / f"{form}.tar"
            self.copy("team/base:1", f"{form}:{whole}:a:1" if form == "docker-archive" else f"{form}:{whole}:1")
            cut = self.daemon.build_root / f"{form}-cut.tar"
            for size in (whole.stat().st_size // 2, 700, 100, 0):
                cut.write_bytes(whole.read_bytes()[:size])
                with self.subTest(form, size=size):
                    job = self.copy(f"{form}:{cut}", "out/cut:1", state="failed")
                    self.assertIn(job["error"]["code"], ("registry-protocol", "blob-unknown", "digest-mismatch", "image-not-found",
                                                         "manifest-unsupported"), job["error"])
                    self.assertIn(cut.name, job["error"]["detail"])
                    self.assertNotIn("1", self.registry.store.repository("out/cut").tags)
        self.assertTrue(base.exists("1"))

    def test_layout_that_others_write_at_the_same_time(self):
        self.put_base()
        layout = self.daemon.output_root / "shared"
        self.copy("team/base:1", f"oci:{layout}:first")
        jobs = [self.daemon.post_job({"kind": "copy", "source": self.ref("team/base:1"), "targets": [f"oci:{layout}:t{i}"]})["id"]
                for i in range(5)]
        for job in jobs:
            self.assertEqual(self.daemon.wait_job(job)["state"], "succeeded")
        subprocess.run(["umoci", "tag", "--image", f"{layout}:first", "theirs"], check=True, capture_output=True)
        self.copy("team/base:1", f"oci:{layout}:last")
        names = {m["annotations"]["org.opencontainers.image.ref.name"] for m in json.loads((layout / "index.json").read_text())["manifests"]}
        self.assertEqual(names, {"first", "theirs", "last", *(f"t{i}" for i in range(5))})
        with open(layout / ".dray.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another writer of ours, in another process
            job = self.daemon.post_job({"kind": "copy", "source": self.ref("team/base:1"), "targets": [f"oci:{layout}:held"]})["id"]
            time.sleep(0.3)
            self.assertEqual(self.daemon.job(job)["state"], "running")
        self.assertEqual(self.daemon.wait_job(job)["state"], "succeeded")


def as_nobody(daemon, spec):
    """Posts a job over a connection that another user opened; returns its id."""
    import http.client
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(daemon.socket))
            connection.request("POST", "/v1/jobs", json.dumps(spec), {"Content-Type": "application/json"})
            os.write(write, connection.getresponse().read())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        body = answer.read()
    os.waitpid(pid, 0)
    return json.loads(body)["id"]


class FullDisk(unittest.TestCase):
    @unittest.skipIf(os.geteuid() != 0, "only root may mount")
    def test_a_full_cache_fails_the_job_and_nothing_else(self):
        with Registry() as registry, Daemon(settings=QUICK, start=False) as daemon:
            pathlib.Path(daemon.cache).mkdir()
            os.system(f"mount -t tmpfs -o size=40m none {daemon.cache}")
            try:
                daemon.start()
                with open(daemon.build_root / "big", "wb") as out:
                    out.write(os.urandom(80_000_000))
                spec = {"kind": "build", "base": "scratch", "targets": [f"{registry.address}/full:1"],
                        "layers": [{"files": [{"from": f"{daemon.build_root}/big", "to": "/big"}]}]}
                job = daemon.run_job(spec, state="failed")
                self.assertEqual(job["error"]["code"], "no-space", job["error"])
                spec["layers"][0]["files"] = [{"type": "file", "to": "/small", "text": "x"}]
                daemon.run_job(spec)
                daemon.stop()
            finally:
                daemon.kill()
                os.system(f"umount {daemon.cache}")


if __name__ == "__main__":
    unittest.main()
