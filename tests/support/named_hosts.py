# SPDX-License-Identifier: Apache-2.0
"""Registries of the internet, played on loopback: what is asked of gcr.io or docker.io comes to a scripted registry.

    with NamedHosts("gcr.io", "registry-1.docker.io", auth="bearer") as hosts:
        daemon = Daemon(settings=hosts.settings)
        ...
        hosts.seen("gcr.io")     # the requests that came to that name

`settings` sends the daemon through a proxy that knows these names only, and lets it trust their certificates. A name in
`plain` is served without TLS. oauth2.googleapis.com, if named, gives access tokens for service accounts.
"""

import base64
import json
import pathlib
import shutil
import socket
import ssl
import tempfile
import threading
import urllib.parse

from registries import TestCa
from scripted_registry import Answer, ScriptedRegistry, Wire, serve_each

GOOGLE = "oauth2.googleapis.com"
HUB = "registry-1.docker.io"


class Accounts(ScriptedRegistry):
    """Takes any of `accounts` ("user:password") at its token server, which stands on the registry's own name."""

    def __init__(self, context=None, **overrides):
        self.accounts = set()
        super().__init__(context=context, **{"realm": "relative", **overrides})

    def token_identity(self, request, fields):
        value = request.header("authorization")
        if not value:
            return super().token_identity(request, fields)
        return True if base64.b64decode(value.removeprefix("Basic ")).decode() in self.accounts else None

    def token(self, request):
        return self.google_token(request) if request.header("host") == GOOGLE else super().token(request)

    def google_token(self, request):
        """RFC 7523: the assertion of an account for an access token, which is good as a password."""
        form = urllib.parse.parse_qs(request.read_all().decode())
        claims = form["assertion"][0].split(".")[1]
        account = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
        request.entry["form"] = account
        self.accounts.add(f"oauth2accesstoken:token-of-{account}")
        body = json.dumps({"access_token": f"token-of-{account}", "expires_in": 3600}).encode()
        return Answer(200, body, [("Content-Type", "application/json")])


class NamedHosts:
    def __init__(self, *names, plain=(), **overrides):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="hosts."))
        self.names, self.asked = set(names), []
        ca = TestCa(self.directory / "ca")
        for name in names:
            (self.directory / "certs.d" / name).mkdir(parents=True)
            shutil.copy(ca.ca_file, self.directory / "certs.d" / name / "ca.crt")
        if HUB in names:
            shutil.copytree(self.directory / "certs.d" / HUB, self.directory / "certs.d/docker.io")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*ca.issue("server", names or ("none.test",)))
        self.registry, self.plain_registry = Accounts(context, **overrides), Accounts()
        self.plain = set(plain)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        serve_each(self.listener, self.serve)
        self.settings = {"network.proxy": f"http://127.0.0.1:{self.listener.getsockname()[1]}",
                         "network.certs_dir": self.directory / "certs.d", "network.retry_count": 0}

    def seen(self, name):
        """The requests to a name, as the registry recorded them."""
        return [r for r in self.registry.requests + self.plain_registry.requests
                if f"\r\nhost: {name}\r\n" in r["head"].lower()]

    def sign_ins(self, name):
        """Who asked for tokens at a name: "user:password", or None for nobody."""
        return [self.login_of(r["head"]) for r in self.seen(name) if r["point"] == "token"]

    @staticmethod
    def login_of(head):
        line = next((h for h in head.split("\r\n") if h.lower().startswith("authorization: basic ")), None)
        return base64.b64decode(line.split(" ")[2]).decode() if line else None

    # -- the proxy

    def serve(self, client):
        with client:
            try:
                wire = Wire(client)
                head = wire.read_head()
                method, target = head.split(" ")[:2]
                self.asked.append(target)
                tunnel = method == "CONNECT"
                name = target.rpartition(":")[0] if tunnel else urllib.parse.urlsplit(target).hostname
                if name not in (self.names if tunnel else self.plain):
                    client.sendall(b"HTTP/1.1 502 No such name\r\nContent-Length: 0\r\n\r\n")
                    return
                registry = self.registry if tunnel else self.plain_registry
                with socket.create_connection(("127.0.0.1", registry.origins["main"].port)) as server:
                    if tunnel:
                        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    else:
                        server.sendall(head.encode("latin-1") + b"\r\n\r\n")
                    server.sendall(wire.buffer)
                    back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
                    back.start()
                    self.pump(client, server)
                    back.join()
            except Exception:  # noqa: BLE001 – either side has gone
                pass

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.registry.stop()
        self.plain_registry.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
