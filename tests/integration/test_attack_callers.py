# SPDX-License-Identifier: Apache-2.0
"""Callers without rights: another user at the socket of root's daemon, and web pages at the TCP door. Needs root for the first."""

import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import tarfile
import unittest

from daemon import Daemon, UnixConnection
from images import Repository, put_image
from registries import Registry

NOBODY = 65534


class NobodysConnection(UnixConnection):
    """SO_PEERCRED tells who connected: effective ids at that moment."""

    def connect(self):
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            super().connect()
        finally:
            os.seteuid(0)
            os.setegid(0)


@unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
class OtherUser(unittest.TestCase):
    def setUp(self):
        self.registry = Registry()
        self.addCleanup(self.registry.stop)
        self.daemon = Daemon()
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)
        self.daemon.directory.chmod(0o755)
        self.daemon.build_root.chmod(0o755)
        self.daemon.output_root.chmod(0o755)
        self.daemon.socket.chmod(0o666)

    def ask(self, *requests):
        """[(method, path, body, headers)] as nobody."""
        answers = []
        for method, path, *rest in requests:
            body, headers = (rest + [None, {}][len(rest):])[:2]
            connection = NobodysConnection(self.daemon.socket)
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {**({"Content-Type": "application/json"} if body is not None else {}), **headers})
            response = connection.getresponse()
            answers.append((response.status, response.read().decode(errors="replace")))
            connection.close()
        return answers

    def finish(self, spec):
        [(status, text)] = self.ask(("POST", "/v1/jobs", spec, {"Prefer": "wait=60"}))
        if status >= 400:
            return json.loads(text)
        job = json.loads(text)
        return self.daemon.wait_job(job["id"])

    def build(self, *files, target="x:1"):
        return {"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/{target}"], "layers": [{"files": list(files)}]}

    def test_reads_nothing_that_its_user_cannot(self):
        root = self.daemon.build_root
        (root / "private").mkdir(0o700)
        (root / "private/key").write_text("R00T-ONLY")
        (root / "open").mkdir()
        (root / "open/fine").write_text("fine")
        (root / "open/fine").chmod(0o644)
        (root / "open").chmod(0o755)
        (root / "secret").write_text("R00T-ONLY")
        (root / "secret").chmod(0o600)
        (root / "mixed").mkdir()
        (root / "mixed").chmod(0o755)
        os.link(root / "secret", root / "mixed/hard")
        os.symlink(root / "secret", root / "mixed/soft")
        fine = self.finish(self.build({"from": f"{root}/open", "to": "/"}, target="fine:1"))
        self.assertEqual(fine["state"], "succeeded", fine)
        for name, extra in (("secret", {}), ("private", {}), ("private/key", {}), ("mixed", {}), ("mixed/soft", {"symlinks": "follow"}),
                            ("mixed", {"symlinks": "follow"})):
            got = self.finish(self.build({"from": f"{root}/{name}", "to": "/x", **extra}))
            self.assertNotEqual(got.get("state"), "succeeded", (name, got))
            self.assertIn(got.get("code") or got["error"]["code"], ("forbidden", "path-not-allowed", "path-not-found"), got)
        tar = root / "private.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "secret"], check=True)
        tar.chmod(0o600)
        got = self.finish(self.build({"type": "tar", "from": str(tar), "to": "/x"}))
        self.assertNotEqual(got.get("state"), "succeeded", got)
        # What root packed is in the cache under its fingerprint: nobody must not get it out by naming the same input.
        self.daemon.run_job(self.build({"from": f"{root}/private", "to": "/x"}, target="root:1"))
        got = self.finish(self.build({"from": f"{root}/private", "to": "/x"}))
        self.assertNotEqual(got.get("state"), "succeeded", got)

    def test_reads_no_key_file(self):
        key = self.daemon.build_root / "key.json"
        key.write_text(json.dumps({"type": "service_account", "client_email": "r00t@x.iam.gserviceaccount.com"}))
        spec = {**self.build({"type": "file", "to": "/x", "text": "x"}), "auth": {self.registry.address: {"gcp_service_account": str(key)}}}
        got = self.finish(spec)
        self.assertEqual(got["error"]["code"], "path-not-allowed", got)

    def test_reads_no_layout_and_writes_nowhere(self):
        out = self.daemon.output_root
        put_image(Repository(self.registry, "source"), "1", [{"a": b"a" * 100}])
        source = f"{self.registry.address}/source:1"
        self.daemon.run_job({"kind": "copy", "source": source, "targets": [f"oci:{out}/layout:1", f"oci-archive:{out}/a.tar"]})
        (out / "layout").chmod(0o700)
        (out / "a.tar").chmod(0o600)
        for spec in ({"kind": "copy", "source": f"oci:{out}/layout:1", "targets": [f"{self.registry.address}/stolen:1"]},
                     {"kind": "copy", "source": f"oci-archive:{out}/a.tar", "targets": [f"{self.registry.address}/stolen:2"]},
                     {"kind": "copy", "source": source, "targets": [f"oci:{out}/layout:2"]},
                     {"kind": "copy", "source": source, "targets": [f"oci-archive:{out}/a.tar"]},
                     {"kind": "copy", "source": source, "targets": [f"oci-archive:{out}/new.tar"]},
                     {"kind": "copy", "source": source, "targets": [f"oci:{out}/new:1"]}):
            got = self.finish(spec)
            self.assertNotEqual(got.get("state"), "succeeded", (spec, got))
        self.assertFalse((out / "new.tar").exists() or (out / "new").exists())
        for route in (f"inspect?ref=oci:{out}/layout:1", f"manifest?ref=oci:{out}/layout:1", f"config?ref=oci-archive:{out}/a.tar",
                      f"archive?format=oci-archive&ref=oci:{out}/layout:1"):
            [(status, text)] = self.ask(("GET", f"/v1/images/{route}"))
            self.assertGreaterEqual(status, 400, (route, text))
        # What is his own he may read and write, and it is his: compressed archives go through the daemon's spool.
        own = out / "own"
        own.mkdir()
        os.chown(own, NOBODY, NOBODY)
        self.assertEqual(self.finish({"kind": "copy", "source": source, "targets": [f"oci:{own}/l:1", f"oci-archive:{own}/b.tar"]})["state"],
                         "succeeded")
        subprocess.run(["gzip", "-k", own / "b.tar"], check=True)
        (own / "b.tar.gz").chmod(0o644)
        got = self.finish({"kind": "copy", "source": f"oci-archive:{own}/b.tar.gz", "targets": [f"oci:{own}/l:2", f"{self.registry.address}/own:2"]})
        self.assertEqual(got["state"], "succeeded", got)
        self.assertEqual({p.lstat().st_uid for p in own.rglob("*") if p.name != "b.tar.gz"}, {NOBODY})

    def test_sees_and_touches_no_job_of_another(self):
        hidden = self.build({"type": "file", "to": "/x", "text": "x" * 100}, target="hidden:1")
        hidden["labels"] = {"who": "r00t-label"}
        job = self.daemon.run_job(hidden)
        silent = socket.create_server(("127.0.0.1", 0))  # takes the connection and never answers
        self.addCleanup(silent.close)
        waiting = self.daemon.post_job({"kind": "copy", "source": f"127.0.0.1:{silent.getsockname()[1]}/a:1",
                                        "targets": [f"{self.registry.address}/never:1"]})
        routes = []
        for job_id in (job["id"], waiting["id"]):
            routes += [("GET", f"/v1/jobs/{job_id}"), ("GET", f"/v1/jobs/{job_id}/events?follow=0"), ("POST", f"/v1/jobs/{job_id}/cancel"),
                       ("POST", f"/v1/jobs/{job_id}/retry"), ("DELETE", f"/v1/jobs/{job_id}")]
        for route, (status, text) in zip(routes, self.ask(*routes)):
            self.assertIn(status, (403, 404), (route, text))
            self.assertNotIn("r00t-label", text)
        for status, text in self.ask(("GET", "/v1/jobs"), ("GET", "/v1/jobs?label=who=r00t-label"), ("GET", f"/v1/jobs?cursor={job['id']}")):
            self.assertEqual(status, 200)
            self.assertEqual(json.loads(text)["items"], [])
        [(status, text)] = self.ask(("GET", "/v1/events?after=0", None, {"Accept": "application/json"}))
        self.assertEqual(status, 200)
        self.assertNotIn(job["id"], text)
        self.assertIn(job["id"], self.daemon.request("GET", "/v1/events?after=0", headers={"Accept": "application/json"}).text)
        for route, (status, text) in zip(("prune", "credentials", "blobs"), self.ask(
                ("POST", "/v1/cache/prune", {"keep_bytes": 0}), ("DELETE", "/v1/credentials"), ("GET", "/v1/cache/blobs"))):
            self.assertIn(status, (403, 404), (route, text))
        self.assertEqual(self.daemon.job(job["id"])["state"], "succeeded")
        self.assertFalse(self.daemon.job(waiting["id"])["terminal"])
        self.daemon.request("POST", f"/v1/jobs/{waiting['id']}/cancel")
        self.daemon.wait_job(waiting["id"])

    def test_contexts_are_each_callers_own(self):
        """A digest is no secret: it stands in specs, manifests and logs."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("secret")
            member.size = 9
            tar.addfile(member, io.BytesIO(b"R00T-ONLY"))
        data = archive.getvalue()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path, kind = f"/v1/contexts/{digest}", {"Content-Type": "application/x-tar"}
        self.assertEqual(self.daemon.request("PUT", path, body=data, headers=kind).status, 201)
        self.assertEqual([status for status, _ in self.ask(("HEAD", path))], [404])
        spec = self.build({"type": "context", "digest": digest, "to": "/"}, target="stolen:1")
        got = self.finish(spec)
        self.assertEqual((got["state"], got["error"]["code"]), ("failed", "not-found"), got)
        connection = NobodysConnection(self.daemon.socket)
        self.addCleanup(connection.close)
        connection.request("PUT", path, data, kind)
        self.assertEqual(connection.getresponse().status, 201)  # no word of the bytes being there
        self.assertEqual([status for status, _ in self.ask(("HEAD", path))], [200])
        self.assertEqual(self.finish(spec)["state"], "succeeded")
        self.daemon.run_job(self.build({"type": "context", "digest": digest, "to": "/"}, target="own:1"))

    def test_keys_are_each_callers_own(self):
        spec = self.build({"type": "file", "to": "/x", "text": "x"}, target="key:1")
        mine = self.daemon.post_job(spec, headers={"Idempotency-Key": "same"})
        [(status, text)] = self.ask(("POST", "/v1/jobs", spec, {"Idempotency-Key": "same"}))
        self.assertEqual(status, 202, text)
        self.assertNotEqual(json.loads(text)["id"], mine["id"])
        self.daemon.wait_job(mine["id"])


class WebPage(unittest.TestCase):
    """What a page in a browser can make it send: refused, without side effect."""

    def test_no_side_effect(self):
        with Daemon(tcp=True, settings={"daemon.paused": "true"}) as daemon:
            host = daemon.address
            port = host.split(":")[1]
            spec = json.dumps({"kind": "copy", "source": "127.0.0.1:1/a:1", "targets": ["127.0.0.1:1/b:1"]})
            token = {"Authorization": f"Bearer {daemon.token}"}
            kind = {"Content-Type": "application/json"}
            bad = [{"Host": f"evil.example:{port}"}, {"Host": f"127.0.0.1.evil.example:{port}"}, {"Host": "127.0.0.1:1"}, {"Host": f"0.0.0.0:{port}"},
                   {"Host": ""}, {"Host": f"[::ffff:127.0.0.1]:{port}"}, {"Host": f"localhost.:{port}"}, {"Host": f"evil@127.0.0.1:{port}"},
                   {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://evil.example:{port}"}, {"Origin": f"https://{host}"},
                   {"Origin": "http://localhost:3000"}, {"Referer": "http://evil.example/x"}, {"Sec-Fetch-Site": "cross-site"},
                   {"Sec-Fetch-Site": "same-site"}, {"Origin": "file://"}, {"Content-Type": "text/plain"},
                   {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "multipart/form-data; boundary=x"}]
            for headers in bad:
                merged = {**kind, **token, "Host": host, **headers}
                for tcp in (True, False):
                    if not tcp and "Host" in headers:
                        continue
                    connection = daemon.connection(tcp=tcp)
                    connection.putrequest("POST", "/v1/jobs", skip_host=True, skip_accept_encoding=True)
                    for name, value in {**merged, **({} if tcp else {"Host": "localhost"}), "Content-Length": str(len(spec))}.items():
                        connection.putheader(name, value)
                    try:
                        connection.endheaders(spec.encode())
                        answer = connection.getresponse()
                        self.assertIn(answer.status, (400, 401, 403, 415, 421), (headers, tcp))
                        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
                    except (http.client.HTTPException, OSError):
                        pass  # closed
                    connection.close()
            for method in ("OPTIONS", "TRACE", "CONNECT"):
                answer = daemon.request(method, "/v1/jobs", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}, tcp=True)
                self.assertGreaterEqual(answer.status, 400)
                self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp4"}, {"Cookie": f"token={daemon.token}"}):
                connection = daemon.connection(tcp=True)
                connection.request("POST", f"/v1/jobs?token={daemon.token}", spec, {**kind, **headers})
                self.assertIn(connection.getresponse().status, (401, 429))
                connection.close()
            self.assertEqual(daemon.get("/v1/jobs")["items"], [])


if __name__ == "__main__":
    unittest.main()
