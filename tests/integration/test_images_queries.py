# SPDX-License-Identifier: Apache-2.0
"""The query routes of /v1/images, /v1/catalog, /v1/contexts and /v1/credentials/check against real registries."""

import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
import time
import unittest
import urllib.parse

from daemon import Daemon, parse_problem
from registries import Registry, TlsRegistry

MIB = 1 << 20
LARGE = 500 * MIB
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def large_body():
    """500 MiB that are never in memory at once."""
    block = bytes(range(256)) * (MIB // 256)
    for i in range(LARGE // MIB):
        yield i.to_bytes(8, "big") + block[8:]


class Queries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        # Memory that a sanitizer keeps back for its own purpose is not what is measured here.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8:thread_local_quarantine_size_kb=64"
        cls.daemon = Daemon(settings={"limits.context_bytes": 20 * MIB}, more={"ASAN_OPTIONS": options})
        cls.host = cls.registry.address
        cls.manifest, cls.layer = cls.push_image("team/app")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        cls.registry.stop()

    # -- helpers

    @classmethod
    def path(cls, route, **parameters):
        return f"/v1/images/{route}?{urllib.parse.urlencode(parameters)}"

    @classmethod
    def post_blob(cls, repository, data, digest=None, **keywords):
        ref = f"{cls.host}/{repository}" + (f"@{digest}" if digest else "")
        headers = {"Content-Type": "application/octet-stream", **keywords.pop("headers", {})}
        return cls.daemon.request("POST", cls.path("blob", ref=ref), headers=headers, body=data, **keywords)

    @classmethod
    def push_image(cls, repository, tag="1", **more):
        """An image pushed through the API alone: (manifest bytes, layer bytes)."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo("hello")
            info.size = 6
            tar.addfile(info, io.BytesIO(b"hello\n"))
        layer = gzip.compress(out.getvalue(), mtime=0)
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {
            "type": "layers", "diff_ids": [digest_of(out.getvalue())]}}).encode()
        for data in (layer, config):
            answer = cls.post_blob(repository, data, digest_of(data))
            assert answer.status == 201, answer
        # Blanks that no serializer would make: the bytes must survive.
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config),
                       "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest_of(layer),
                        "size": len(layer)}], **more}, indent=3).encode() + b"\n"
        answer = cls.daemon.request("PUT", cls.path("manifest", ref=f"{cls.host}/{repository}:{tag}"), body=manifest,
                                    headers={"Content-Type": MANIFEST})
        assert answer.status == 201, answer
        assert answer.json() == {"digest": digest_of(manifest)}, answer
        return manifest, layer

    def blob(self, data, method="GET", repository="team/app", headers=None):
        ref = f"{self.host}/{repository}@{data if isinstance(data, str) else digest_of(data)}"
        return self.daemon.request(method, self.path("blob", ref=ref), headers=headers)

    # -- manifests

    def test_manifest_bytes(self):
        answer = self.daemon.image("manifest", f"{self.host}/team/app:1")
        self.assertEqual(answer.body, self.manifest)
        self.assertEqual(answer.headers["Content-Type"], MANIFEST)
        self.assertEqual(answer.headers["Docker-Content-Digest"], digest_of(self.manifest))

    def test_manifest_head(self):
        answer = self.daemon.image("manifest", f"{self.host}/team/app:1", method="HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Type"], MANIFEST)
        self.assertEqual(answer.headers["Content-Length"], str(len(self.manifest)))
        self.assertEqual(answer.headers["Docker-Content-Digest"], digest_of(self.manifest))
        self.assertEqual(self.daemon.image("manifest", f"{self.host}/team/app:none", method="HEAD").status, 404)

    def test_manifest_put_by_digest_and_delete(self):
        manifest, _ = self.push_image("team/gone", annotations={"a": "b"})
        digest = digest_of(manifest)
        ref = f"{self.host}/team/gone@{digest}"
        put = self.daemon.request("PUT", self.path("manifest", ref=ref), body=manifest, headers={"Content-Type": MANIFEST})
        self.assertEqual(put.status, 201, put)
        other = self.daemon.request("PUT", self.path("manifest", ref=ref), body=manifest + b" ",
                                    headers={"Content-Type": MANIFEST})
        self.assertIn(digest, parse_problem(other, 400, "invalid-request")["detail"])
        answer = self.daemon.image("manifest", ref, method="DELETE")
        self.assertEqual((answer.status, answer.body), (202, b""))
        parse_problem(self.daemon.image("manifest", ref), 404, "image-not-found")
        parse_problem(self.daemon.image("manifest", ref, method="DELETE"), 404, "image-not-found")

    def test_a_registry_that_deletes_no_tags_is_told_as_a_refusal(self):
        self.push_image("team/kept", "1")
        problem = parse_problem(self.daemon.image("manifest", f"{self.host}/team/kept:1", method="DELETE"), 403, "registry-denied")
        self.assertIn("digest", problem["hint"])
        self.assertEqual(self.daemon.image("manifest", f"{self.host}/team/kept:1").status, 200)

    def test_manifest_put_refused(self):
        path = self.path("manifest", ref=f"{self.host}/team/app:bad")
        for body in (b"", b"{", b"[]", b'{"schemaVersion":2}'):
            answer = self.daemon.request("PUT", path, body=body, headers={"Content-Type": MANIFEST})
            parse_problem(answer, 400, "invalid-request")
        answer = self.daemon.request("PUT", path, body=b"x", headers={"Content-Type": "text/plain"})
        parse_problem(answer, 415, "unsupported-media-type")
        lacking = json.loads(self.manifest)
        lacking["layers"][0]["digest"] = "sha256:" + "0" * 64
        answer = self.daemon.request("PUT", path, body=json.dumps(lacking), headers={"Content-Type": MANIFEST})
        parse_problem(answer, 502, "blob-unknown")
        answer = self.daemon.request("PUT", self.path("manifest", ref="oci:/tmp/x:1"), body=self.manifest,
                                     headers={"Content-Type": MANIFEST})
        self.assertIn(answer.status, (400, 403))

    def test_referrers(self):
        subject = {"mediaType": MANIFEST, "digest": digest_of(self.manifest), "size": len(self.manifest)}
        signature, _ = self.push_image("team/app", "sig", subject=subject, artifactType="application/vnd.test.signature")
        for ref in (f"{self.host}/team/app:1", f"{self.host}/team/app@{digest_of(self.manifest)}"):
            answer = self.daemon.image("referrers", ref)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual([m["digest"] for m in answer.json()["manifests"]], [digest_of(signature)])
        wanted = self.daemon.image("referrers", f"{self.host}/team/app:1", artifact_type="application/vnd.test.signature")
        self.assertEqual(len(wanted.json()["manifests"]), 1)
        other = self.daemon.image("referrers", f"{self.host}/team/app:1", artifact_type="application/vnd.test.other")
        self.assertEqual(other.json()["manifests"], [])

    def test_catalog_and_tags(self):
        catalog = self.daemon.get(f"/v1/catalog?registry={self.host}")
        self.assertIn("team/app", catalog["repositories"])
        self.assertIn("1", self.daemon.image("tags", f"{self.host}/team/app").json()["tags"])
        for bad in ("team", "a/b", "http://x", ""):
            answer = self.daemon.request("GET", f"/v1/catalog?registry={urllib.parse.quote(bad, safe='')}")
            parse_problem(answer, 400, "reference-invalid")
        parse_problem(self.daemon.request("GET", "/v1/catalog"), 400, "invalid-request")

    # -- blobs

    def test_blob_get_and_head(self):
        answer = self.blob(self.layer)
        self.assertEqual((answer.status, answer.body), (200, self.layer))
        self.assertEqual(answer.headers["Content-Length"], str(len(self.layer)))
        self.assertEqual(answer.headers["Docker-Content-Digest"], digest_of(self.layer))
        head = self.blob(self.layer, "HEAD")
        self.assertEqual((head.status, head.headers["Content-Length"]), (200, str(len(self.layer))))
        missing = "sha256:" + "1" * 64
        self.assertEqual(self.blob(missing, "HEAD").status, 404)
        parse_problem(self.blob(missing), 404, "image-not-found")
        parse_problem(self.blob(missing, "DELETE"), 404, "image-not-found")

    def test_blob_range(self):
        size = len(self.layer)
        for text, part in (("bytes=0-0", self.layer[:1]), ("bytes=3-9", self.layer[3:10]), ("bytes=5-", self.layer[5:]),
                           ("bytes=-4", self.layer[-4:]), (f"bytes=2-{size * 9}", self.layer[2:])):
            answer = self.blob(self.layer, headers={"Range": text})
            self.assertEqual((answer.status, answer.body), (206, part), text)
            first = self.layer.index(part) if text != "bytes=0-0" else 0
            self.assertEqual(answer.headers["Content-Range"], f"bytes {first}-{first + len(part) - 1}/{size}")
        for text in ("bytes=0-1,4-5", "lines=1-2", "bytes=x-", "bytes=9-3"):  # RFC 9110: to be ignored
            answer = self.blob(self.layer, headers={"Range": text})
            self.assertEqual((answer.status, answer.body), (200, self.layer), text)
        answer = self.blob(self.layer, headers={"Range": f"bytes={size}-"})
        parse_problem(answer, 416, "range-not-satisfiable")
        self.assertEqual(answer.headers["Content-Range"], f"bytes */{size}")

    def test_blob_if_range(self):
        etag = self.blob(self.layer).headers["ETag"]
        self.assertEqual(self.blob(self.layer, headers={"Range": "bytes=0-1", "If-Range": etag}).status, 206)
        self.assertEqual(self.blob(self.layer, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status, 200)

    def test_blob_post(self):
        sessions = self.registry.uploads()  # an upload that another test had cut may stay
        data = os.urandom(3 * MIB)
        digest = digest_of(data)
        chunks = [data[i:i + 100_000] for i in range(0, len(data), 100_000)]
        kinds = {"known": (data, digest), "length only": (data[1:], None), "digest only": (iter(chunks), digest),
                 "nothing": (iter(chunks), None), "again": (data, digest), "empty": (b"", digest_of(b""))}
        for i, (name, (body, known)) in enumerate(kinds.items()):
            answer = self.post_blob(f"blobs/n{i // 2}", body, known)  # what is no bytes object goes in chunks
            self.assertEqual(answer.status, 201, (name, answer))
            sent = body if isinstance(body, bytes) else data
            self.assertEqual(answer.json(), {"digest": digest_of(sent), "size": len(sent)}, name)
            self.assertEqual(self.blob(sent, repository=f"blobs/n{i // 2}").body, sent)
        self.assertEqual(self.registry.uploads(), sessions)

    def test_blob_post_refused(self):
        wrong = "sha256:" + "2" * 64
        for body in (b"abc", iter([b"abc"])):
            answer = self.post_blob("team/app", body, wrong)
            self.assertIn(wrong, parse_problem(answer, 400, "invalid-request")["detail"])
        self.assertEqual(self.blob(wrong, "HEAD").status, 404)
        answer = self.daemon.request("POST", self.path("blob", ref=f"{self.host}/team/app:tag"), body=b"x",
                                     headers={"Content-Type": "application/octet-stream"})
        parse_problem(answer, 400, "reference-invalid")
        # One that exists is read and checked all the same.
        answer = self.post_blob("team/app", b"x" * len(self.layer), digest_of(self.layer))
        parse_problem(answer, 400, "invalid-request")

    def test_blob_delete(self):
        data = os.urandom(1000)
        self.assertEqual(self.post_blob("team/gone", data).status, 201)
        self.assertEqual(self.blob(data, "DELETE", "team/gone").status, 202)
        self.assertEqual(self.blob(data, "HEAD", "team/gone").status, 404)

    def test_mount(self):
        sessions = self.registry.uploads()  # an upload that another test had cut may stay
        ref = f"{self.host}/team/mounted@{digest_of(self.layer)}"
        for source in ("team/app", f"{self.host}/team/app"):
            answer = self.daemon.request("POST", self.path("mount", ref=ref, **{"from": source}))
            self.assertEqual((answer.status, answer.json()), (201, {"digest": digest_of(self.layer)}))
        absent = f"{self.host}/team/mounted@sha256:" + "3" * 64
        answer = self.daemon.request("POST", self.path("mount", ref=absent, **{"from": "team/app"}))
        parse_problem(answer, 409, "mount-refused")
        self.assertEqual(self.registry.uploads(), sessions)
        answer = self.daemon.request("POST", self.path("mount", ref=absent, **{"from": "No/Such"}))
        parse_problem(answer, 400, "reference-invalid")

    def test_large_blob_both_ways(self):
        hasher = hashlib.sha256()
        for block in large_body():
            hasher.update(block)
        digest = "sha256:" + hasher.hexdigest()
        before = self.daemon.memory_kib()
        highest = 0

        def watched():
            nonlocal highest
            for i, block in enumerate(large_body()):
                highest = max(highest, self.daemon.memory_kib()) if i % 8 == 0 else highest
                yield block

        headers = {"Content-Length": str(LARGE)}
        answer = self.post_blob("blobs/large", watched(), digest, headers=headers, timeout=200)
        self.assertEqual((answer.status, answer.json()["size"]), (201, LARGE))
        again = hashlib.sha256()
        with self.daemon.open("GET", self.path("blob", ref=f"{self.host}/blobs/large@{digest}"), timeout=200) as stream:
            self.assertEqual(stream.headers["Content-Length"], str(LARGE))
            while data := stream.response.read(4 * MIB):
                again.update(data)
                highest = max(highest, self.daemon.memory_kib())
        self.assertEqual(again.hexdigest(), hasher.hexdigest())
        self.assertLess(highest - before, 64 * 1024)

    def leave(self, request):
        """Sends the beginning of a request and resets the connection once the answer has begun or at once."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.daemon.socket))
            client.sendall(request)
            time.sleep(0.2)

    def test_clients_that_leave(self):
        sessions = self.registry.uploads()  # an upload that another test had cut may stay
        data = os.urandom(MIB) * 64
        self.assertEqual(self.post_blob("blobs/left", data).status, 201)
        path = self.path("blob", ref=f"{self.host}/blobs/left@{digest_of(data)}")
        for _ in range(12):  # more than there are workers for queries
            self.leave(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        path = self.path("blob", ref=f"{self.host}/blobs/left")
        for _ in range(12):
            self.leave(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                       "Content-Length: 1000000\r\n\r\nabc".encode())
        begun = time.monotonic()
        self.assertEqual(self.daemon.image("manifest", f"{self.host}/team/app:1").status, 200)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(self.registry.uploads(), sessions)

    def test_clients_that_do_not_read(self):
        data = os.urandom(MIB) * 48
        self.assertEqual(self.post_blob("blobs/slow", data).status, 201)
        path = self.path("blob", ref=f"{self.host}/blobs/slow@{digest_of(data)}")
        clients = []
        for _ in range(8):  # more than there are workers for queries
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(self.daemon.socket))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            clients.append(client)
        # Questions do not wait for them: they hold half of the workers, until the stall limit (30 s).
        begun = time.monotonic()
        self.assertEqual(self.daemon.image("manifest", f"{self.host}/team/app:1").status, 200)
        self.assertLess(time.monotonic() - begun, 15)
        for client in clients:
            client.close()
        self.assertEqual(self.blob(data, repository="blobs/slow").body, data)

    def test_clients_that_stall(self):
        with Daemon(settings={"limits.write_timeout_ms": 500, "daemon.query_workers": 1}) as daemon:
            data = os.urandom(MIB) * 48
            self.assertEqual(self.post_blob("blobs/stall", data).status, 201)
            path = self.path("blob", ref=f"{self.host}/blobs/stall@{digest_of(data)}")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(daemon.socket))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                self.assertEqual(daemon.image("manifest", f"{self.host}/team/app:1").status, 200)  # its worker is free

    # -- archives

    def test_archives(self):
        for form in ("oci-archive", "docker-archive"):
            answer = self.daemon.image("archive", f"{self.host}/team/app:1", format=form)
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/x-tar"), answer)
            target = self.daemon.output_root / f"{form}.tar"
            target.write_bytes(answer.body)
            suffix = ":1" if form == "oci-archive" else ""
            inspected = self.daemon.image("inspect", f"{form}:{target}{suffix}")
            self.assertEqual(inspected.status, 200, inspected)
            self.assertEqual([layer["digest"] for layer in inspected.json()["layers"]], [digest_of(self.layer)])
        with tarfile.open(self.daemon.output_root / "docker-archive.tar") as tar:
            listed = json.load(tar.extractfile("manifest.json"))
        self.assertEqual(listed[0]["RepoTags"], [f"{self.host}/team/app:1"])

    def test_archive_of_an_index(self):
        manifest, _ = self.push_image("team/multi", "amd64")
        child = {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {**child, "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
        answer = self.daemon.request("PUT", self.path("manifest", ref=f"{self.host}/team/multi:1"), body=index,
                                     headers={"Content-Type": INDEX})
        self.assertEqual(answer.status, 201, answer)
        whole = self.daemon.image("archive", f"{self.host}/team/multi:1", format="oci-archive")
        self.assertEqual(whole.headers["Docker-Content-Digest"], digest_of(index))
        one = self.daemon.image("archive", f"{self.host}/team/multi:1", format="docker-archive", platform="linux/amd64")
        self.assertEqual(one.headers["Docker-Content-Digest"], digest_of(manifest))
        missing = self.daemon.image("archive", f"{self.host}/team/multi:1", format="oci-archive", platform="linux/s390x")
        parse_problem(missing, 422, "platform-missing")

    def test_archive_refused(self):
        parse_problem(self.daemon.image("archive", f"{self.host}/team/app:1"), 400, "invalid-request")
        parse_problem(self.daemon.image("archive", f"{self.host}/team/app:1", format="zip"), 400, "invalid-request")
        parse_problem(self.daemon.image("archive", f"{self.host}/team/app:none", format="oci-archive"), 404,
                      "image-not-found")

    # -- contexts

    def put_context(self, data, digest=None, **headers):
        return self.daemon.request("PUT", f"/v1/contexts/{digest or digest_of(data)}", body=data,
                                   headers={"Content-Type": "application/x-tar", **headers})

    def test_contexts(self):
        data = os.urandom(2 * MIB)
        path = f"/v1/contexts/{digest_of(data)}"
        self.assertEqual(self.daemon.request("HEAD", path).status, 404)
        answer = self.put_context(data)
        self.assertEqual((answer.status, answer.json()), (201, {"digest": digest_of(data), "size": len(data)}))
        self.assertEqual(self.put_context(data).status, 200)
        head = self.daemon.request("HEAD", path)
        self.assertEqual((head.status, head.headers["Content-Length"]), (200, str(len(data))))
        stored = self.daemon.cache / "contexts/sha256" / digest_of(data).removeprefix("sha256:")
        self.assertEqual(stored.read_bytes(), data)

    def test_contexts_refused(self):
        wrong = "sha256:" + "4" * 64
        parse_problem(self.put_context(b"abc", wrong), 400, "invalid-request")
        self.assertEqual(self.daemon.request("HEAD", f"/v1/contexts/{wrong}").status, 404)
        parse_problem(self.put_context(b"abc", "sha256:abc"), 400, "invalid-request")
        parse_problem(self.put_context(bytes(21 * MIB)), 413, "too-large")
        parse_problem(self.put_context(b"abc", **{"Content-Type": "text/html"}), 415, "unsupported-media-type")
        self.assertEqual(list((self.daemon.cache / "contexts/uploads").iterdir()), [])

    def test_context_interrupted(self):
        self.leave(f"PUT /v1/contexts/sha256:{'5' * 64} HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Type: application/x-tar\r\nContent-Length: 100000\r\n\r\nabc".encode())
        until = time.monotonic() + 10
        while any((self.daemon.cache / "contexts/uploads").glob("*")) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(list((self.daemon.cache / "contexts/uploads").glob("*")), [])

    # -- parameters

    def test_parameters(self):
        for method, route in (("GET", "manifest"), ("HEAD", "manifest"), ("DELETE", "manifest"), ("GET", "blob"),
                              ("GET", "referrers"), ("GET", "archive"), ("POST", "mount")):
            answer = self.daemon.request(method, f"/v1/images/{route}?from=a&format=oci-archive")
            self.assertEqual(answer.status, 400, (method, route))
            answer = self.daemon.request(method, f"/v1/images/{route}?ref={self.host}/team/app&frm=1")
            self.assertEqual(answer.status, 400, (method, route))
        for ref in (f"{self.host}/team/app:1", f"{self.host}/team/app", "oci:/x:1"):
            answer = self.daemon.image("blob", ref)
            self.assertIn(answer.status, (400, 403), (ref, answer))


class Rights(unittest.TestCase):
    """A registry that wants a password."""

    @classmethod
    def setUpClass(cls):
        cls.registry = TlsRegistry(user="u", password="p")
        cls.daemon = Daemon(settings={"network.certs_dir": str(cls.certs())})

    @classmethod
    def certs(cls):
        directory = cls.registry.directory / "certs.d" / cls.registry.address
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(cls.registry.ca_file.read_bytes())
        return directory.parent

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        cls.registry.stop()

    def check(self, registry):
        answer = self.daemon.request("POST", "/v1/credentials/check", json={"registry": registry})
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def test_denied(self):
        host = self.registry.address
        blob = f"{host}/team/app@sha256:{'6' * 64}"
        for method, route, ref, more in (("GET", "manifest", f"{host}/team/app:1", {}), ("GET", "blob", blob, {}),
                                         ("DELETE", "blob", blob, {}), ("POST", "mount", blob, {"from": "a/b"})):
            answer = self.daemon.image(route, ref, method=method, **more)
            problem = parse_problem(answer, answer.status, answer.json()["code"])
            self.assertIn(problem["code"], ("registry-denied", "registry-auth", "mount-refused"), route)
        # The body is taken, however large, so that the answer arrives.
        path = "/v1/images/blob?" + urllib.parse.urlencode({"ref": f"{host}/team/app@{digest_of(bytes(40 * MIB))}"})
        answer = self.daemon.request("POST", path, body=bytes(40 * MIB),
                                     headers={"Content-Type": "application/octet-stream"})
        self.assertIn(answer.json()["code"], ("registry-denied", "registry-auth"), answer)

    def test_credentials_check(self):
        host = self.registry.address
        found = self.check(host)
        self.assertEqual((found["registry"], found["ok"], found["kind"]), (host, False, "anonymous"), found)
        self.assertTrue(found["detail"])
        docker = self.daemon.directory / ".docker"
        docker.mkdir(exist_ok=True)
        try:
            (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": "dTpw"}}}))
            found = self.check(host)
            self.assertEqual((found["ok"], found["kind"], found["username"]), (True, "password", "u"), found)
            self.assertIn("config.json", found["source"])
        finally:
            (docker / "config.json").unlink()
        self.assertFalse(self.check("127.0.0.1:1")["ok"])
        for body in ({}, {"registry": "a/b"}, {"registry": 1}, {"registry": host, "x": 1}):
            answer = self.daemon.request("POST", "/v1/credentials/check", json=body)
            self.assertEqual(answer.status, 400, answer)


if __name__ == "__main__":
    unittest.main()
