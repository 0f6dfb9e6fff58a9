#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real registries for tests: Debian's docker-registry on random loopback ports with temporary directories.

As a module:

    with Registry() as plain: ...                     # plain.address == "127.0.0.1:41234"
    with TlsRegistry(user="u", password="p") as r: ... # htpasswd behind nginx TLS; r.ca_file is the test CA
    with TokenRegistry(users={"u": "p"}) as r: ...     # token auth; r.tokens.requests records what was asked

As a program, for tests in other languages: `registries.py plain|tls|token [--key=value …]` prints one line of JSON with
the address, files and passwords, and runs until its standard input ends.
"""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

READY_S = 15


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*arguments, **keywords):
    return subprocess.run(arguments, check=True, capture_output=True, **keywords)


class Program:
    """A server program of the test, ended by its process id."""

    def __init__(self, arguments, log, **keywords):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **keywords)

    def wait_port(self, port):
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise OSError("server ended: " + pathlib.Path(self.log).read_text(errors="replace")[-2000:])
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                if self.process.poll() is None:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"nothing listens on port {port}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class TestCa:
    """A certificate authority of the test and certificates made by it."""

    __test__ = False

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = self.directory / "ca.crt"
        self._key = self.directory / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=test CA", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.ca_file)

    def issue(self, name, hosts=("localhost", "127.0.0.1"), client=False, days=30):
        """Returns (certificate, key) files."""
        key, csr, cert, ext = (self.directory / f"{name}.{kind}" for kind in ("key", "csr", "crt", "ext"))
        names = ",".join(("IP:" if h.replace(".", "").isdigit() or ":" in h else "DNS:") + h for h in hosts)
        usage = "clientAuth" if client else "serverAuth"
        ext.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", csr)
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.ca_file, "-CAkey", self._key, "-CAcreateserial",
            "-days", str(days), "-extfile", ext, "-out", cert)
        return cert, key


class Registry:
    """docker-registry, plain http, no sign-in. `auth` is its configuration for the others."""

    def __init__(self, delete=True, auth=None, extra=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="registry."))
        self.data = self.directory / "data"
        self.username = self.password = self.ca_file = None
        self._start(delete, auth, extra or {})

    def _start(self, delete, auth, extra):
        for attempt in range(5):
            self.port = free_port()
            config = {
                "version": "0.1",
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(self.data)}, "delete": {"enabled": bool(delete)},
                            "maintenance": {"uploadpurging": {"enabled": False}}},
                "http": {"addr": f"127.0.0.1:{self.port}", "secret": secrets.token_hex(16)},
            }
            if auth:
                config["auth"] = auth
            config.update(extra)
            path = self.directory / "config.yml"
            path.write_text(json.dumps(config))  # JSON is YAML
            environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.directory)}
            self.program = Program(["docker-registry", "serve", path], self.directory / "log", env=environment)
            try:
                self.program.wait_port(self.port)
                break
            except OSError:
                self.program.stop()
                if attempt == 4:
                    raise
        self.address = f"127.0.0.1:{self.port}"

    def uploads(self):
        """Upload sessions that are still open. (A cancelled one leaves a directory with its hash state.)"""
        return sorted(str(p.parent.relative_to(self.data)) for p in self.data.glob("**/_uploads/*/startedat"))

    def blob_path(self, digest):
        hexa = digest.split(":", 1)[1]
        return self.data / "docker/registry/v2/blobs/sha256" / hexa[:2] / hexa / "data"

    def describe(self):
        return {"address": self.address, "data": str(self.data), "username": self.username, "password": self.password,
                "ca_file": str(self.ca_file) if self.ca_file else None}

    def stop(self):
        self.program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


NGINX = """
daemon off;
{user}
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log warn;
events {{ worker_connections 512; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/tmp_body;
    proxy_temp_path {dir}/tmp_proxy;
    fastcgi_temp_path {dir}/tmp_fastcgi;
    uwsgi_temp_path {dir}/tmp_uwsgi;
    scgi_temp_path {dir}/tmp_scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        {client}
        client_max_body_size {body};
        location / {{
            proxy_pass http://{backend};
            proxy_set_header Host $http_host;
            {proto}
            proxy_request_buffering {buffering};
            proxy_http_version 1.1;
            proxy_read_timeout 900;
        }}
    }}
}}
"""


class Nginx:
    """nginx with TLS in front of a backend address."""

    def __init__(self, backend, ca, client_ca=None, body="0", buffering=False, forwarded_proto=True,
                 hosts=("localhost", "127.0.0.1"), certificate=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx."))
        cert, key = certificate or ca.issue("server", hosts)
        for attempt in range(5):
            self.port = free_port()
            config = NGINX.format(
                user="user root;" if os.geteuid() == 0 else "", dir=self.directory, port=self.port, cert=cert, key=key,
                client=f"ssl_client_certificate {client_ca}; ssl_verify_client on;" if client_ca else "", body=body,
                backend=backend, buffering="on" if buffering else "off",
                proto="proxy_set_header X-Forwarded-Proto https;" if forwarded_proto else "")
            path = self.directory / "nginx.conf"
            path.write_text(config)
            nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
            self.program = Program([nginx, "-p", self.directory, "-e", self.directory / "nginx.log", "-c", path],
                                   self.directory / "out")
            try:
                self.program.wait_port(self.port)
                break
            except OSError:
                self.program.stop()
                if attempt == 4:
                    raise
        self.address = f"127.0.0.1:{self.port}"

    def requests(self):
        """Request lines seen so far."""
        log = self.directory / "access.log"
        return [line.split('"')[1] for line in log.read_text().splitlines()] if log.exists() else []

    def stop(self):
        self.program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class TlsRegistry(Registry):
    """docker-registry with htpasswd behind nginx with TLS by a CA of its own."""

    def __init__(self, user="dray", password="s3cret:with:colons", client_certificate=False, body="0", buffering=False,
                 forwarded_proto=True, signed_in=True, **keywords):
        tls = pathlib.Path(tempfile.mkdtemp(prefix="tls."))
        self._tls = tls
        htpasswd = tls / "htpasswd"
        htpasswd.write_bytes(run("htpasswd", "-Bbn", user, password).stdout)
        auth = {"htpasswd": {"realm": "test", "path": str(htpasswd)}} if signed_in else None
        super().__init__(auth=auth, **keywords)
        self.backend = self.address
        self.ca = TestCa(tls / "ca")
        self.ca_file = self.ca.ca_file
        self.client_cert = self.client_key = None
        if client_certificate:
            self.client_cert, self.client_key = self.ca.issue("client", client=True)
        self.nginx = Nginx(self.backend, self.ca, client_ca=self.ca_file if client_certificate else None, body=body,
                           buffering=buffering, forwarded_proto=forwarded_proto)
        self.address = self.nginx.address
        if signed_in:
            self.username, self.password = user, password

    def describe(self):
        answer = super().describe()
        answer.update(backend=self.backend, client_cert=str(self.client_cert) if self.client_cert else None,
                      client_key=str(self.client_key) if self.client_key else None)
        return answer

    def stop(self):
        self.nginx.stop()
        super().stop()
        shutil.rmtree(self._tls, ignore_errors=True)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """A small token server: GET with Basic and OAuth2 POST (password, refresh_token), tokens as RS256 JWT.

    users: name -> password. refresh_tokens: token -> name. rights(name, type, resource, actions) -> granted actions;
    name is None for an anonymous request. `requests` records (method, path, query or form, name).
    """

    def __init__(self, directory, users=None, refresh_tokens=None, rights=None, expires_in=300, post=True, get=True,
                 service="test-registry", issuer="test-issuer"):
        self.directory = pathlib.Path(directory)
        self.users, self.refresh_tokens = dict(users or {}), dict(refresh_tokens or {})
        self.rights = rights or self.default_rights
        self.expires_in, self.post, self.get = expires_in, post, get
        self.service, self.issuer = service, issuer
        self.requests, self.lock, self.fail = [], threading.Lock(), None
        self.key, self.cert = self.directory / "token.key", self.directory / "token.crt"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=tokens",
            "-keyout", self.key, "-out", self.cert)
        pem = self.cert.read_text().split("-----")[2]
        self._x5c = "".join(pem.split())
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner._get(self)

            def do_POST(self):
                owner._post(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def default_rights(self, name, kind, resource, actions):
        """Everything for who is signed in, pull of public/… for everybody."""
        if name is not None:
            return actions
        return [a for a in actions if a == "pull" and kind == "repository" and resource.startswith("public/")]

    def sign(self, claims):
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._x5c]}
        text = b64url(json.dumps(header).encode()) + "." + b64url(json.dumps(claims).encode())
        signature = run("openssl", "dgst", "-sha256", "-sign", self.key, input=text.encode()).stdout
        return text + "." + b64url(signature)

    def token(self, name, scopes):
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            resource, _, actions = rest.rpartition(":")
            granted = self.rights(name, kind, resource, actions.split(","))
            if granted:
                access.append({"type": kind, "name": resource, "actions": granted})
        now = int(time.time())
        return self.sign({"iss": self.issuer, "sub": name or "", "aud": self.service, "iat": now, "nbf": now - 5,
                          "exp": now + max(self.expires_in, 1), "jti": secrets.token_hex(8), "access": access})

    def _answer(self, handler, status, document):
        body = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _note(self, method, parameters, name):
        with self.lock:
            self.requests.append({"method": method, "parameters": parameters, "name": name})

    def _refuse(self, handler, status=401):
        self._answer(handler, status, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user name or password"}]})

    def _grant(self, handler, name, scopes):
        if self.fail:
            self._answer(handler, self.fail, {"details": "out of order"})
            return
        self._answer(handler, 200, {"token": self.token(name, scopes), "expires_in": self.expires_in})

    def _get(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        name, authorization = None, handler.headers.get("Authorization")
        if authorization and authorization.startswith("Basic "):
            name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            if self.users.get(name) != password:
                self._note("GET", query, name)
                self._refuse(handler)
                return
        self._note("GET", query, name)
        if not self.get:
            self._answer(handler, 405, {})
            return
        self._grant(handler, name, [s for value in query.get("scope", []) for s in value.split()])

    def _post(self, handler):
        form = urllib.parse.parse_qs(handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode())
        one = {k: v[0] for k, v in form.items()}
        name = None
        if one.get("grant_type") == "refresh_token":
            name = self.refresh_tokens.get(one.get("refresh_token"))
        elif one.get("grant_type") == "password" and self.users.get(one.get("username")) == one.get("password"):
            name = one.get("username")
        self._note("POST", form, name)
        if not self.post:
            self._answer(handler, 404, {})
        elif name is None:
            self._refuse(handler)
        else:
            self._grant(handler, name, one.get("scope", "").split())

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class TokenRegistry(Registry):
    """docker-registry in token mode with a TokenServer."""

    def __init__(self, users=None, **keywords):
        self._token_directory = pathlib.Path(tempfile.mkdtemp(prefix="tokens."))
        users = users or {"dray": "s3cret"}
        self.tokens = TokenServer(self._token_directory, users=users, **keywords)
        auth = {"token": {"realm": self.tokens.url, "service": self.tokens.service, "issuer": self.tokens.issuer,
                          "rootcertbundle": str(self.tokens.cert)}}
        super().__init__(auth=auth)
        self.username, self.password = next(iter(users.items()))

    def describe(self):
        answer = super().describe()
        answer.update(realm=self.tokens.url)
        return answer

    def stop(self):
        super().stop()
        self.tokens.stop()
        shutil.rmtree(self._token_directory, ignore_errors=True)


KINDS = {"plain": Registry, "tls": TlsRegistry, "token": TokenRegistry}


def parse_option(text):
    key, _, value = text.removeprefix("--").partition("=")
    try:
        return key.replace("-", "_"), json.loads(value) if value else True
    except ValueError:
        return key.replace("-", "_"), value


def main(arguments):
    with KINDS[arguments[0]](**dict(parse_option(a) for a in arguments[1:])) as registry:
        print(json.dumps(registry.describe()), flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main(sys.argv[1:])
