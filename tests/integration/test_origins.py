# SPDX-License-Identifier: Apache-2.0
"""Credentials stay where they belong: places that a registry names – URLs of foreign layers, token servers, stores of blobs – are
asked without them, and trusted no more than a registry would be."""

import base64
import http.server
import json
import pathlib
import ssl
import tempfile
import threading
import unittest

from daemon import Daemon
from images import CONFIG, DOCKER_MANIFEST, MANIFEST, sha256
from registries import TestCa

CANARY = "canary-5ecret"
LOGIN = base64.b64encode(f"user:{CANARY}".encode()).decode()
QUICK = {"network.retry_base_ms": 10, "network.retry_count": 1, "network.connect_ms": 2000}


class Place:
    """Answers everything with what `answer(path)` gives – (status, headers, body) – and remembers what it was sent. With a context:
    over TLS."""

    def __init__(self, answer, context=None):
        self.answer, self.seen = answer, []
        place = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                place.seen.append(f"{self.requestline}\n{self.headers}\n{body.decode(errors='replace')}")
                status, headers, body = place.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http{'s' if context else ''}://{self.address}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Origins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--plain-http", "127.0.0.1", settings=QUICK))
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def place(self, answer, context=None):
        place = Place(answer, context)
        self.addCleanup(place.stop)
        return place

    def registry(self, layer, blob=None, challenge=None):
        """One that wants a password, with one image of one layer. blob(path): its answer for that layer."""
        config = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["%s"]}}' % sha256(b"tar").encode()
        body = json.dumps({"schemaVersion": 2, "mediaType": layer.pop("family", MANIFEST),
                           "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
                           "layers": [layer]}).encode()

        def answer(path):
            if path == "/v2/":
                return 401 if challenge else 200, {"WWW-Authenticate": challenge or "Basic realm=x"}, b""
            if challenge and not any("Bearer" in s for s in registry.seen[-1:]):
                return 401, {"WWW-Authenticate": challenge}, b""
            if "/manifests/" in path:
                return 200, {"Content-Type": json.loads(body)["mediaType"]}, body
            if path.endswith(sha256(config)):
                return 200, {}, config
            return blob(path) if blob else (404, {}, b"")
        registry = self.place(answer)
        return registry

    def copy(self, registry, state, **more):
        out = f"oci:{self.daemon.output_root}/{self._testMethodName}-{registry.address.rpartition(':')[2]}:1"
        return self.daemon.run_job({"kind": "copy", "source": f"{registry.address}/a/b:1", "targets": [out],
                                    "auth": {registry.address: {"username": "user", "password": CANARY}}, **more}, state=state)

    def unharmed(self, *places):
        for place in places:
            for seen in place.seen:
                self.assertNotIn(CANARY, seen)
                self.assertNotIn(LOGIN, seen)
                self.assertNotIn("Authorization", seen)

    def test_a_foreign_layer_that_asks_for_a_password(self):
        data = b"x" * 1000
        for challenge in ("Basic realm=\"x\"", "Bearer realm=\"{url}/token\",service=\"s\"", "Bearer realm=\"/token\""):
            with self.subTest(challenge):
                evil = self.place(lambda path: (401, {"WWW-Authenticate": challenge.replace("{url}", evil.url)},
                                                b'{"token":"x"}'))
                registry = self.registry({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                                          "digest": sha256(data), "size": len(data), "urls": [f"{evil.url}/layer"],
                                          "family": DOCKER_MANIFEST})
                job = self.copy(registry, "failed", foreign_layers="copy")
                self.assertIn(job["error"]["code"], ("blob-unknown", "registry-denied"), job["error"])
                self.assertTrue(evil.seen)
                self.unharmed(evil)

    def untrusted(self):
        """Certificates that do not hold: of nobody we know, of another name."""
        ca = TestCa(self.directory / f"ca-{self._testMethodName}")
        good = ca.issue("server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*good)
        return context

    def test_a_token_server_that_is_not_trusted(self):
        realm = self.place(lambda path: (200, {}, b'{"token":"x"}'), self.untrusted())
        registry = self.registry({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(b""), "size": 0},
                                 challenge=f'Bearer realm="{realm.url}/token",service="s"')
        job = self.copy(registry, "failed")
        self.assertIn(job["error"]["code"], ("registry-unreachable", "registry-auth"), job["error"])
        self.assertEqual(realm.seen, [])

    def test_a_token_server_that_speaks_plain_http_where_tls_is_meant(self):
        realm = self.place(lambda path: (200, {}, b'{"token":"x"}'))
        registry = self.registry({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(b""), "size": 0},
                                 challenge=f'Bearer realm="https://{realm.address}/token",service="s"')
        job = self.copy(registry, "failed")
        self.assertIn(job["error"]["code"], ("registry-unreachable", "registry-auth"), job["error"])
        self.unharmed(realm)

    def test_a_store_of_blobs_that_is_not_trusted(self):
        data = b"x" * 1000
        store = self.place(lambda path: (200, {}, data), self.untrusted())
        registry = self.registry({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(data), "size": len(data)},
                                 blob=lambda path: (307, {"Location": f"{store.url}/signed?X=y"}, b""))
        job = self.copy(registry, "failed")
        self.assertEqual(job["error"]["code"], "registry-unreachable", job["error"])
        self.assertNotIn("X=y", json.dumps(job["error"]))
        self.assertEqual(store.seen, [])


if __name__ == "__main__":
    unittest.main()
