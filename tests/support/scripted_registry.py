#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that behaves as real ones do, and misbehaves where a test says so.

    with ScriptedRegistry(profile="ecr", chunk_min=5 << 20) as r:
        r.fault("upload-put", "reset", after_bytes=100_000, times=2)
        ...
        assert r.check() == []

It keeps manifests, tags, blobs and upload sessions, records every request with the origin that it came to, and checks
its own store afterwards: all tags complete, all digests right, no session left open, no secret at an origin where it does
not belong. Three origins, each with a port of its own: `main` (the registry), `auth` (a token server; used when
`realm` is "other") and `cdn` (where blobs are redirected to).

As a program it takes the same as JSON (`scripted_registry.py '{"profile": "ecr"}'`), prints one line about itself and
then answers one command per line of standard input, until that ends: see Commands.
"""

import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import urllib.parse

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
INDEXES = (OCI_INDEX, DOCKER_LIST)

HTML = b"<!DOCTYPE html><html><body><h1>Something for people</h1></body></html>\n"
MIB = 1 << 20

# What a registry does unless its profile says otherwise: the specification, to the letter.
DEFAULTS = {
    # --- who may do what
    "auth": "none",               # none, basic, bearer
    "username": "user", "password": "canary-passw0rd", "refresh_token": "canary-refre5h",
    "public": [],                 # repositories that everybody may pull (bearer)
    "challenge": None,            # list of header values; {realm} {service} {scope} are filled in
    "challenge_where": "all",     # all; ping: only /v2/ says how; request: /v2/ is open; never
    "realm": "same",              # same, other (the auth origin), relative, or a text
    "realm_query": "",            # already in the realm
    "service": "scripted",
    "token_post": 200, "token_get": 200,
    "token_field": "token", "expires_in": 300, "issued_at": None,
    "token_uses": 0,              # a token is good for so many requests; 0: for ever
    "first_scope_only": False,
    "refuse_delete_scope": False,
    "forbidden": [],              # repositories (by how they begin) that nobody may touch (bearer) …
    "refuse_forbidden": False,    # … and for which a token request is refused as a whole
    "grant_pull_first": False,    # the first token of a scope grants pull only
    "accept_nothing": False,
    "denied_status": 401,         # for what a valid token does not cover
    "missing_is": 404,            # 403: what is not there is said to be forbidden; 401
    "not_found_code": None,
    "delete_needs_delete": False,
    "delete_is": "delete",        # the action that deletes a manifest or a blob; None: nobody may
    # --- locations and redirects
    "location": "absolute",       # absolute, path, relative, schemeless, http, noport, foreign, or a text with {url}
    "location_query": "_state=ab%2Fc%3D%3D",
    "redirect_blobs": False,      # GET and HEAD of a blob: 307 to the cdn
    "redirect_status": 307,
    "cdn_head": 200,              # 403: signed for GET only
    "cdn_uses": 0,                # a signed URL is good for so many requests; 0: for ever
    "cdn_challenge": False,       # the cdn wants a token of its own
    "cdn_path": "/signed/a%2Fb+c;d=e/",  # must come back byte for byte
    "redirect_upload": 0,         # 307 or 308: PUT and PATCH are sent to another path of the same origin
    # --- uploads
    "mount": "ok",                # ok, ignore (202), or a status
    "self_mount": "ok",           # the same, for from = the repository itself
    "patch": True, "patch_status": 202, "put_status": 201,
    "range_says": "right",        # right, stuck, less, none; a number: that in upload states, whatever there is
    "empty_range": "0-0",         # of a session without bytes
    "status_says": "right",       # of a session that is asked for: right, none, or how many bytes more (or less) it claims
    "chunk_min": None,            # OCI-Chunk-Min-Length, any text or number
    "chunk_min_enforced": False,
    "chunk_max": 0,               # larger chunks: 416 "request body is too large"
    "body_max": 0,                # larger bodies: 413 with a page
    "session_after_reset": "keep",  # lost: a connection that breaks ends the session
    "empty_put": True,            # False: a closing PUT without bytes after PATCHes is a 500
    "length_required": False,
    "zero_patch": 400,
    # --- reading
    "head": True,                 # False: 405
    "head_says": "all",           # bare: neither length nor digest
    "ranges": True,
    "blob_length": True,          # False: no Content-Length on blobs
    "manifest_type": None,        # Content-Type of manifests; "" for none
    "manifest_gzip": False,       # Content-Encoding: gzip whatever was asked
    "digest_header": "right",     # right, wrong, none, odd
    "accept_needed": False,       # 404 unless one Accept header lists the type
    # --- manifests in
    "immutable": 0,               # status for a tag that stands for something else: 400 TAG_INVALID, 412
    "immutable_same": False,      # … even for the same digest
    "refuse_types": [],           # manifest types that are refused with 415
    "media_type_needed": False,
    "check_blobs": True,
    "multi_tag": False,           # ?tag= and OCI-Tag
    "subject": True, "referrers": True,
    "repositories": None,         # a list: only these exist for a push
    "quota": 0,                   # bytes; then 403 DENIED
    "manifest_max": 4 * MIB,
    # --- lists
    "page_max": 1000, "page_error": False,  # more than page_max is an error
    "link": "relative",           # relative, absolute, foreign, loop, endless, bad, none
    "odd_tags": [],               # put among the tags
    # --- all
    "rate_limit": 0,              # so many requests in rate_window seconds, then 429
    "rate_window": 1,
    "rate_form": None,            # what answers say about it: hub, reset, draft, structured; None: nothing
    "error_body": "json",         # json, html, empty, huge, truncated, noarray, odd
    "headers": [],                # further header lines of every answer
    "warning": None,              # text of a Warning: 299
    "store_uploads": True,        # False: bytes are hashed and counted only
    "read_bps": 0,                # bodies are read at most so fast
    "web_site": False,            # everything is 200 and a page for people
}

_BEARER = {"auth": "bearer"}
PROFILES = {
    "spec-strict": {},
    "distribution-2.8": {"session_after_reset": "lost", "referrers": False},
    "distribution-3": {"referrers": False},
    "hub": {**_BEARER, "realm": "other", "missing_is": 401, "redirect_blobs": True, "cdn_head": 403, "public": ["library/"],
            "headers": ["RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 76;w=21600"]},
    "ghcr": {**_BEARER, "chunk_max": 4 * MIB, "referrers": False},
    "gar": {**_BEARER, "patch": False, "token_post": 404},
    "gcr": {**_BEARER, "challenge_where": "ping", "token_post": 404, "referrers": False,
            "delete_is": "push"},
    "ecr": {"auth": "basic", "patch_status": 201, "empty_put": False, "range_says": "stuck", "chunk_min": 5 * MIB,
            "chunk_min_enforced": True, "immutable": 400, "immutable_same": True, "page_error": True,
            "media_type_needed": True, "referrers": False},
    "ecr-public": {**_BEARER, "challenge": ['Bearer realm="{realm}",service="{service}",scope="aws"'],
                   "delete_is": None},
    "acr": {**_BEARER, "token_post": 200, "session_after_reset": "lost", "location": "path"},
    "quay": {**_BEARER, "refuse_delete_scope": True, "delete_needs_delete": True, "redirect_blobs": True},
    "quay-old": {**_BEARER, "mount": "ignore", "self_mount": "ignore", "refuse_delete_scope": True, "referrers": False,
                 "delete_needs_delete": True},
    "harbor": {**_BEARER, "location": "http", "self_mount": 400, "immutable": 412, "not_found_code": "UNKNOWN"},
    "harbor-proxy": {**_BEARER, "manifest_gzip": True},
    "gitlab": {**_BEARER, "realm": "other", "token_uses": 3},
    "artifactory": {**_BEARER, "challenge_where": "request", "token_post": 401, "odd_tags": ["sha256:" + "0" * 64]},
    "artifactory-virtual": {"auth": "basic", "missing_is": 403, "head": False},
    "nexus": {"auth": "basic", "odd_tags": [None], "referrers": False},
    "zot": {"range_says": "less", "link": "absolute"},
    "pulp": {**_BEARER, "patch_status": 204, "put_status": 201},
    "openshift": {**_BEARER, "challenge_where": "request", "service": "", "referrers": False},
    "cloudflare-front": {"body_max": 8 * MIB, "error_body": "html"},
    "nginx-front": {"body_max": 1 * MIB, "error_body": "html"},
    "length-needed": {"length_required": True},
    "pullthrough": {"mount": 405, "self_mount": 405, "head_says": "bare"},
}


# --------------------------------------------------------------------------------------------------------- the wire

class Gone(Exception):
    """The peer has gone, or a fault ended the connection."""


class Wire:
    """One connection: reads with a buffer, writes, counts."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def fill(self):
        try:
            data = self.sock.recv(256 << 10)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.buffer += data

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > 1 << 20 or self.buffer.startswith(b"\x16\x03"):  # TLS where none is spoken
                raise Gone
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def read(self, n):
        if not self.buffer:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def write(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def hang(self, seconds):
        """Says nothing until the peer goes or the time is up."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(1 << 16):
                pass
        except OSError:
            pass
        raise Gone


class Request:
    def __init__(self, wire, head, origin):
        lines = head.split("\r\n")
        self.method, self.target, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
        split = urllib.parse.urlsplit(self.target)
        self.path, self.query_text = split.path, split.query
        self.query = urllib.parse.parse_qs(split.query, keep_blank_values=True)
        self.wire, self.origin, self.head = wire, origin, head
        self.taken = 0
        self.point = None
        self.ended = False
        self.limit, self.at_limit = None, None  # a fault: what happens after so many bytes of the body

    def header(self, name, default=None):
        return next((v for n, v in self.headers if n == name), default)

    @property
    def length(self):
        text = self.header("content-length")
        return int(text) if text and text.isdigit() else None

    @property
    def chunked(self):
        return self.header("transfer-encoding", "").lower() == "chunked"

    def body(self):
        """Yields the body in pieces."""
        if self.ended:
            return
        if not self.chunked:
            yield from self.take(self.length or 0)
        else:
            while size := int(self.wire.read_line(), 16):
                yield from self.take(size)
                self.wire.read_line()
            while self.wire.read_line():
                pass
        self.ended = True

    def take(self, left):
        while left > 0:
            room = min(left, 256 << 10)
            if self.limit is not None:
                room = min(room, self.limit - self.taken)
                if room <= 0:
                    self.at_limit()
                    return
            piece = self.wire.read(room)
            self.taken += len(piece)
            left -= len(piece)
            yield piece

    def drain(self):
        for _ in self.body():
            pass

    def read_all(self, limit=16 * MIB):
        data = b"".join(self.body())
        return data if len(data) <= limit else data[:limit]


class Answer(Exception):
    """Also raised, to leave from anywhere."""

    def __init__(self, status, body=b"", headers=(), reason="Whatever"):
        super().__init__(status)
        self.status, self.body, self.headers, self.reason = status, body, list(headers), reason
        self.length = len(body) if isinstance(body, (bytes, bytearray)) else None
        self.no_length = False

    def header(self, name, value):
        self.headers = [(n, v) for n, v in self.headers if n.lower() != name.lower()] + [(name, value)]
        return self

    def head(self, version="HTTP/1.1", end="\r\n"):
        lines = [f"{version} {self.status} {self.reason}"]
        lines += [f"{n}: {v}" for n, v in self.headers]
        if self.length is not None and not self.no_length and not any(n.lower() == "content-length" for n, _ in self.headers):
            if self.status >= 200 and self.status not in (204, 304):
                lines.append(f"Content-Length: {self.length}")
        return (end.join(lines) + end + end).encode("latin-1")

    def pieces(self):
        if isinstance(self.body, (bytes, bytearray)):
            yield bytes(self.body)
        else:
            yield from self.body


# --------------------------------------------------------------------------------------------------------- the store

def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Blob:
    """Bytes in memory, in a file, or made of one block repeated (for sizes that nobody wants to keep)."""

    def __init__(self, size, data=None, path=None, block=None):
        self.size, self.data, self.path, self.block = size, data, path, block

    def read(self, first, end, step=256 << 10):
        if self.data is not None:
            for at in range(first, end, step):
                yield self.data[at:min(at + step, end)]
        elif self.block is not None:
            while first < end:
                at = first % len(self.block)
                piece = self.block[at:at + min(end - first, len(self.block) - at)]
                yield piece
                first += len(piece)
        elif self.path:
            with open(self.path, "rb") as file:
                file.seek(first)
                while first < end:
                    piece = file.read(min(step, end - first))
                    yield piece
                    first += len(piece)

    def bytes(self):
        return b"".join(self.read(0, self.size))


class Upload:
    def __init__(self, repository, path):
        self.repository, self.path = repository, path
        self.size, self.hash = 0, hashlib.sha256()
        self.file = open(path, "wb") if path else None
        self.patches = 0
        self.turn = threading.Lock()  # one request at a time: what a broken connection still brings comes before the next

    def append(self, piece):
        self.hash.update(piece)
        self.size += len(piece)
        if self.file:
            self.file.write(piece)

    def close(self):
        if self.file:
            self.file.close()

    def discard(self):
        self.close()
        if self.path:
            pathlib.Path(self.path).unlink(missing_ok=True)


class Repository:
    def __init__(self):
        self.blobs, self.manifests, self.tags = set(), {}, {}


class Store:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="scripted."))
        self.blobs, self.repositories, self.uploads = {}, {}, {}
        self.numbers = itertools.count()

    def repository(self, name):
        return self.repositories.setdefault(name, Repository())

    def add_blob(self, repository, data):
        digest = digest_of(data)
        self.blobs[digest] = Blob(len(data), data=data)
        self.repository(repository).blobs.add(digest)
        return digest

    def add_block_blob(self, repository, size, seed=1):
        block = hashlib.sha256(str(seed).encode()).digest() * (MIB // 32)
        hash_ = hashlib.sha256()
        for _ in range(size // MIB):
            hash_.update(block)
        hash_.update(block[:size % MIB])
        digest = "sha256:" + hash_.hexdigest()
        self.blobs[digest] = Blob(size, block=block)
        self.repository(repository).blobs.add(digest)
        return digest

    def add_manifest(self, repository, data, media_type, tag=None):
        digest = digest_of(data)
        target = self.repository(repository)
        target.manifests[digest] = (data, media_type)
        if tag:
            target.tags[tag] = digest
        return digest

    def add_image(self, repository, tag, layers=2, size=1000, family="oci", seed=0):
        """A small image; returns its manifest's digest."""
        oci = family == "oci"
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [
            digest_of(f"{seed}-{i}".encode()) for i in range(layers)]}}).encode()
        descriptors = []
        for i in range(layers):
            data = hashlib.sha256(f"{repository}-{seed}-{i}".encode()).digest() * (size // 32 + 1)
            descriptors.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip" if oci
                                else "application/vnd.docker.image.rootfs.diff.tar.gzip",
                                "digest": self.add_blob(repository, data[:size]), "size": size})
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST if oci else DOCKER_MANIFEST,
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json" if oci
                               else "application/vnd.docker.container.image.v1+json",
                               "digest": self.add_blob(repository, config), "size": len(config)}, "layers": descriptors}
        return self.add_manifest(repository, json.dumps(manifest).encode(), manifest["mediaType"], tag)

    def image_layers(self, repository, tag):
        """The digests of an image's layers."""
        repository = self.repository(repository)
        return [part["digest"] for part in json.loads(repository.manifests[repository.tags[tag]][0])["layers"]]

    def new_upload(self, repository, keep):
        name = secrets.token_hex(8)
        path = self.directory / f"upload-{name}" if keep else None
        self.uploads[name] = Upload(repository, path)
        return name

    def finish_upload(self, name):
        upload = self.uploads.pop(name)
        upload.close()
        digest = "sha256:" + upload.hash.hexdigest()
        self.blobs[digest] = Blob(upload.size, path=upload.path)
        self.repository(upload.repository).blobs.add(digest)
        return digest

    def remove(self):
        for upload in self.uploads.values():
            upload.close()
        shutil.rmtree(self.directory, ignore_errors=True)


# --------------------------------------------------------------------------------------------------------- origins

def serve_each(listener, serve):
    """Until the listener is closed: a thread of its own calls serve(socket) for each connection."""
    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Origin:
    """A listening port; each connection is served by a thread."""

    def __init__(self, name, serve, context=None):
        self.name, self.serve, self.context = name, serve, context
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.wires, self.lock = set(), threading.Lock()
        self.connections = 0
        serve_each(self.listener, self.run)

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def run(self, sock):
        with self.lock:
            self.connections += 1
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            with self.lock:
                self.wires.add(sock)
            wire = Wire(sock)
            while self.serve(Request(wire, wire.read_head(), self)):
                pass
        except (Gone, OSError, ssl.SSLError, ValueError):
            pass
        finally:
            with self.lock:
                self.wires.discard(sock)
            try:
                sock.close()
            except OSError:
                pass

    def stop(self):
        self.listener.close()
        with self.lock:
            for sock in list(self.wires):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Fault:
    def __init__(self, point, kind, times=1, skip=0, **details):
        self.point, self.kind, self.times, self.skip, self.details = point, kind, times, skip, details
        self.hits = 0

    def take(self, point):
        if self.point not in (point, "*"):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0:
            return False
        self.times -= self.times > 0
        self.hits += 1
        return True

    def get(self, name, default=None):
        return self.details.get(name, default)


# --------------------------------------------------------------------------------------------------------- faults

# Statuses that can be asked for as a fault: kind "status-503", with the details status headers and body.
FAULT_STATUSES = (400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416, 418, 422, 425, 429, 431, 451,
                  499, 500, 501, 502, 503, 504, 505, 507, 508, 520, 522, 524, 599)
FAULT_KINDS = ("close", "reset", "stall", "head-cut", "head-stall", "body-cut", "body-reset", "body-stall", "body-short",
               "body-long", "body-wrong", "body-empty", "garbage", "bad-status-line", "http09", "http10", "header-huge",
               "headers-many", "length-twice", "length-negative", "length-huge", "chunk-bad", "chunk-cut", "chunk-trailer",
               "continue-flood", "early-hints", "html-200", "page-10mb", "redirect-loop", "redirect-chain",
               "redirect-nowhere", "redirect-file", "redirect-private", "redirect-no-location", "digest-wrong", "type-wrong",
               "gzip-body", "bare-newlines", "done-then-reset", "drip", "upgrade", "location-evil")


def chunked(pieces, end=b"0\r\n\r\n"):
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield end


class Faults:
    """How an answer goes wrong on the wire."""

    def __init__(self, registry):
        self.registry = registry

    def before(self, request, fault):
        """Instead of an answer. Returns one, or leaves the connection."""
        wire, kind = request.wire, fault.kind
        if kind in ("close", "reset", "stall"):
            return self.break_off(request, fault)
        if kind == "garbage":
            wire.write(os.urandom(64) + b"\r\n\r\n")
            raise Gone
        if kind == "bad-status-line":
            wire.write(b"HTTP/1.1 abc\r\n\r\n")
            raise Gone
        if kind == "continue-flood":
            for _ in range(10000):
                wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            wire.hang(fault.get("seconds", 600))
        if kind == "upgrade":
            wire.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            wire.hang(fault.get("seconds", 600))
        if kind.startswith("status-"):
            return self.status(request, fault)
        if kind.startswith("redirect-"):
            return self.redirect(request, kind)
        if kind == "html-200":
            return Answer(200, HTML, [("Content-Type", "text/html")])
        if kind == "page-10mb":
            return Answer(500, b"<p>oops</p>" * (10 * MIB // 11), [("Content-Type", "text/html")])
        return None

    @staticmethod
    def break_off(request, fault):
        """At once, or with after_bytes when so many bytes of the body have been taken in as usual."""
        def now():
            if fault.kind == "close":
                raise Gone
            if fault.kind == "reset":
                request.wire.reset()
            request.wire.hang(fault.get("seconds", 600))
        if fault.get("after_bytes") is None:
            now()
        request.limit, request.at_limit = fault.get("after_bytes"), now
        return None

    def status(self, request, fault):
        answer = self.registry.error(int(fault.kind[7:]), fault.get("code", "UNKNOWN"), fault.get("message", "a fault"))
        if fault.get("body") is not None:
            answer.body = fault.get("body").encode()
            answer.length = len(answer.body)
        for name, value in fault.get("headers", {}).items():
            answer.header(name, value)
        if not fault.get("early"):
            request.drain()
        return answer

    def redirect(self, request, kind):
        number = int(request.query.get("hop", ["0"])[0]) + 1
        locations = {
            "redirect-loop": request.target,
            "redirect-chain": f"{request.path}?hop={number}",
            "redirect-nowhere": "http://127.0.0.1:1/nothing",
            "redirect-file": "file:///etc/passwd",
            "redirect-private": "http://169.254.169.254/latest/meta-data/",
            "redirect-no-location": None,
        }
        request.drain()
        answer = Answer(307)
        if locations[kind]:
            answer.header("Location", locations[kind])
        return answer

    def after(self, answer, fault):
        """Changes an answer that the registry gave."""
        kind = fault.kind
        if kind == "digest-wrong":
            answer.header("Docker-Content-Digest", "sha256:" + "5" * 64)
        elif kind == "type-wrong":
            answer.header("Content-Type", fault.get("type", "application/octet-stream"))
        elif kind == "body-wrong" and answer.status < 300:
            answer.body = self.wrong(Answer(200, answer.body).pieces())
        elif kind == "gzip-body" and answer.status < 300:
            answer.body = gzip.compress(b"".join(answer.pieces()))
            answer.length = len(answer.body)
            answer.header("Content-Encoding", "gzip")
        elif kind == "location-evil" and any(n == "Location" for n, _ in answer.headers):
            answer.header("Location", fault.get("location", "http://169.254.169.254/v2/x"))
        return answer

    @staticmethod
    def wrong(pieces):
        first = True
        for piece in pieces:
            yield bytes([piece[0] ^ 1]) + piece[1:] if first and piece else piece
            first = False

    def send(self, request, answer, fault):
        """Writes the answer; False: the connection is over."""
        kind, wire = fault.kind if fault else None, request.wire
        head = answer.head(end="\n" if kind == "bare-newlines" else "\r\n",
                           version="HTTP/1.0" if kind == "http10" else "HTTP/1.1")
        if kind == "done-then-reset":
            wire.reset()
        if kind == "http09":
            head = b""
        if kind == "early-hints":
            wire.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
        if kind in ("header-huge", "headers-many", "length-twice", "length-negative", "length-huge"):
            head = self.bad_head(kind, head)
        if kind == "head-cut":
            wire.write(head[:len(head) // 2])
            raise Gone
        if kind == "head-stall":
            wire.write(head[:len(head) // 2])
            wire.hang(fault.get("seconds", 600))
        no_body = request.method == "HEAD" or answer.status in (204, 304)
        if kind and (kind.startswith("chunk") or kind.startswith("body") or kind == "drip"):
            return self.send_odd(wire, head, answer, fault, no_body)
        wire.write(head)
        if not no_body:
            for piece in answer.pieces():
                wire.write(piece)
        if kind in ("http09", "http10", "bare-newlines", "length-twice", "length-negative", "length-huge") or answer.no_length:
            raise Gone
        return True

    @staticmethod
    def bad_head(kind, head):
        extra = {
            "header-huge": b"X-Huge: " + b"x" * (2 * MIB) + b"\r\n",
            "headers-many": b"".join(b"X-%d: y\r\n" % i for i in range(100000)),
            "length-twice": b"Content-Length: 1\r\nContent-Length: 2\r\n",
            "length-negative": b"Content-Length: -5\r\n",
            "length-huge": b"Content-Length: 99999999999999999999\r\n",
        }[kind]
        if kind.startswith("length"):
            head = re.sub(rb"Content-Length: \d+\r\n", b"", head)
        return head[:-2] + extra + b"\r\n"

    def send_odd(self, wire, head, answer, fault, no_body):
        kind = fault.kind
        if no_body:
            wire.write(head)
            return True
        data = b"" if answer.length and answer.length > 64 * MIB else b"".join(answer.pieces())
        cut = min(fault.get("after_bytes", len(data) // 2), len(data))
        if kind.startswith("chunk"):
            head = re.sub(rb"Content-Length: \d+\r\n", b"", head)[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
            wire.write(head)
            wire.write({"chunk-bad": b"zz\r\n" + data, "chunk-cut": b"%x\r\n" % (len(data) + 1) + data,
                        "chunk-trailer": b"".join(chunked([data], b"0\r\nX-Trailer: 1\r\n\r\n"))}[kind])
            if kind == "chunk-trailer":
                return True
            raise Gone
        if kind in ("body-long", "body-short"):
            size = len(data) + (10 if kind == "body-short" else 0)
            head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % size, head)
            wire.write(head + data + (b"0123456789" if kind == "body-long" else b""))
            raise Gone
        wire.write(head)
        if kind == "drip":
            for i in range(0, len(data), max(1, len(data) // 20)):
                wire.write(data[i:i + max(1, len(data) // 20)])
                time.sleep(fault.get("pause", 0.02))
            return True
        if kind == "body-wrong":
            wire.write(data)
            return True
        if kind != "body-empty":
            wire.write(data[:cut])
        if kind == "body-reset":
            wire.reset()
        if kind == "body-stall":
            wire.hang(fault.get("seconds", 600))
        raise Gone


# --------------------------------------------------------------------------------------------------------- the registry

class ScriptedRegistry:
    def __init__(self, profile="spec-strict", context=None, **overrides):
        self.context = context
        self.lock = threading.RLock()
        self.origins = {name: Origin(name, self.serve, context) for name in ("main", "auth", "cdn")}
        self.address = f"127.0.0.1:{self.origins['main'].port}"
        self.store = Store()
        self.faults_writer = Faults(self)
        self.reset(profile, **overrides)

    # --- life

    def reset(self, profile="spec-strict", **overrides):
        """Forgets everything and behaves like `profile` from now on."""
        unknown = set(overrides) - set(DEFAULTS)
        if unknown:
            raise KeyError(f"no such setting: {sorted(unknown)}")
        with self.lock:
            self.store.remove()
            self.store = Store()
            self.profile = {**DEFAULTS, **PROFILES[profile], **overrides}
            self.requests, self.faults, self.tokens, self.granted, self.signed = [], [], {}, set(), {}
            self.tokens_given = 0
            self.rate_used, self.rate_end = 0, 0

    def __getattr__(self, name):
        if name in DEFAULTS:
            return self.__dict__["profile"][name]
        raise AttributeError(name)

    def set(self, **overrides):
        self.profile.update(overrides)

    def fault(self, point, kind, times=1, skip=0, **details):
        """times -1: for ever. Points: see point_of. Kinds: FAULT_KINDS and status-NNN."""
        if kind not in FAULT_KINDS and not kind.startswith("status-"):
            raise KeyError(kind)
        fault = Fault(point, kind, times, skip, **details)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self):
        with self.lock:
            self.faults = []

    def stop(self):
        for origin in self.origins.values():
            origin.stop()
        self.store.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # --- what was seen

    def count(self, point=None, method=None, origin=None):
        with self.lock:
            return sum((point is None or r["point"] == point) and (method is None or r["method"] == method)
                       and (origin is None or r["origin"] == origin) for r in self.requests)

    def received(self, point="upload-"):
        """Body bytes that came in at points that begin so."""
        with self.lock:
            return sum(r["taken"] for r in self.requests if r["point"] and r["point"].startswith(point))

    def check(self, sessions=True):
        """What is wrong with the store or with where secrets went; [] if nothing is."""
        with self.lock:
            wrong = list(self.check_secrets())
            for name, repository in self.store.repositories.items():
                for tag, digest in repository.tags.items():
                    wrong += [f"{name}:{tag}: {what}" for what in self.missing(repository, digest, set())]
            if sessions:
                wrong += [f"session left open: {u.repository}" for u in self.store.uploads.values()]
        return wrong

    def missing(self, repository, digest, seen):
        if digest in seen:
            return
        seen.add(digest)
        if digest not in repository.manifests:
            yield f"no manifest {digest}"
            return
        data, _ = repository.manifests[digest]
        if digest_of(data) != digest:
            yield f"wrong manifest {digest}"
        document = json.loads(data)
        for child in document.get("manifests", []):
            yield from self.missing(repository, child["digest"], seen)
        for part in document.get("layers", []) + [document[k] for k in ("config",) if k in document]:
            if not part.get("urls") and part["digest"] not in repository.blobs:
                yield f"no blob {part['digest']}"

    def check_secrets(self):
        allowed = {"main": set(), "auth": set(), "cdn": set()}
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        refresh = base64.b64encode(f"00000000-0000-0000-0000-000000000000:{self.refresh_token}".encode()).decode()
        home = "main" if self.realm != "other" else "auth"
        if self.auth == "basic":
            allowed["main"].add(login)
        if self.auth == "bearer":
            allowed[home] |= {login, self.password, self.refresh_token, refresh}
            allowed["main"] |= set(self.tokens)
        everything = {login, refresh, self.password, self.refresh_token} | set(self.tokens)
        for r in self.requests:
            for secret in everything - allowed[r["origin"]]:
                if secret in r["head"] or secret in urllib.parse.unquote_plus(r["form"] or ""):
                    yield f"a secret went to {r['origin']}: {r['method']} {r['target'][:80]}"

    # --- serving

    @staticmethod
    def point_of(request):
        path, method = request.path, request.method
        if path.startswith("/token"):
            return "token"
        if request.origin.name == "cdn":
            return "cdn"
        if path == "/v2/":
            return "ping"
        if "/manifests/" in path:
            return "manifest-" + method.lower()
        if "/blobs/uploads/" in path:
            if method == "POST":
                return "mount" if "mount" in request.query else "upload-post"
            return "upload-" + method.lower()
        if "/blobs/" in path:
            return "blob-" + method.lower()
        if path.endswith("/tags/list"):
            return "tags"
        if "/referrers/" in path:
            return "referrers"
        return "catalog" if path == "/v2/_catalog" else "other"

    def record(self, request):
        entry = {"origin": request.origin.name, "method": request.method, "target": request.target, "point": request.point,
                 "head": request.head, "status": None, "taken": 0, "form": None, "time": time.monotonic()}
        with self.lock:
            self.requests.append(entry)
        return entry

    def take_fault(self, point):
        with self.lock:
            return next((f for f in self.faults if f.take(point)), None)

    def serve(self, request):
        request.point = self.point_of(request)
        entry = request.entry = self.record(request)
        fault = self.take_fault(request.point)
        try:
            answer = self.answer(request, fault)
            entry["status"] = answer.status
            entry["taken"] = request.taken  # before the answer: who gets it may ask at once
            if request.header("expect"):  # nobody answers to that here
                request.wire.hang(600)
            keep = self.faults_writer.send(request, answer, fault)
            early = request.taken < (request.length or 0) or (request.chunked and not request.ended)
            return keep and not early and request.version == "HTTP/1.1" and request.header("connection") != "close"
        except Gone:
            self.lose_session(request)
            raise
        finally:
            entry["taken"] = request.taken

    def answer(self, request, fault):
        if fault:
            answer = self.faults_writer.before(request, fault)
            if answer:
                return answer
        try:
            self.take_rate(request)
            answer = self.route(request)
        except Answer as early:
            answer = early
        if self.rate_limit and self.rate_form:
            answer.headers += self.rate_headers()
        for line in self.profile["headers"]:
            name, _, value = line.partition(": ")
            answer.headers.append((name, value))
        if self.warning:
            answer.headers.append(("Warning", f'299 - "{self.warning}"'))
        return self.faults_writer.after(answer, fault) if fault else answer

    def take_rate(self, request):
        if not self.rate_limit or request.origin.name != "main":
            return
        with self.lock:
            if time.monotonic() >= self.rate_end:
                self.rate_used, self.rate_end = 0, time.monotonic() + self.rate_window
            self.rate_used += 1
            over = self.rate_used > self.rate_limit
        if over:
            request.drain()
            raise self.error(429, "TOOMANYREQUESTS", "too many requests")

    def rate_headers(self):
        left, limit = max(0, self.rate_limit - self.rate_used), self.rate_limit
        reset = math.ceil(max(0, self.rate_end - time.monotonic()))
        return {
            "hub": [("ratelimit-limit", f"{limit};w={self.rate_window}"), ("ratelimit-remaining", f"{left};w={self.rate_window}")],
            "reset": [("RateLimit-Limit", str(limit)), ("RateLimit-Remaining", str(left)), ("RateLimit-Reset", str(reset))],
            "draft": [("RateLimit", f"limit={limit}, remaining={left}, reset={reset}")],
            "structured": [("RateLimit", f'"default";r={left};t={reset}'), ("RateLimit-Policy", f'"default";q={limit}')],
        }[self.rate_form]

    def lose_session(self, request):
        if self.session_after_reset != "lost" or not request.taken or request.point not in ("upload-patch", "upload-put"):
            return
        with self.lock:
            upload = self.store.uploads.pop(request.path.rsplit("/", 1)[1], None)
        if upload:
            upload.discard()

    ROUTES = (
        (r"/v2/", "ping"),
        (r"/v2/_catalog", "catalog"),
        (r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)", "manifest"),
        (r"/v2/(?P<name>.+)/blobs/uploads/", "upload_start"),
        (r"/v2/(?P<name>.+)/blobs/uploads/(?P<session>[^/]+)", "upload"),
        (r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)", "blob"),
        (r"/v2/(?P<name>.+)/tags/list", "tags"),
        (r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)", "list_referrers"),
    )

    def route(self, request):
        if request.path.startswith("/token"):
            return self.token(request)
        if request.origin.name == "cdn" or request.path.startswith("/signed"):
            return self.serve_cdn(request)
        if self.web_site:
            request.drain()
            return Answer(200, HTML, [("Content-Type", "text/html")])
        path = request.path.removeprefix("/moved") if request.path.startswith("/moved/") else request.path
        for pattern, handler in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                return getattr(self, handler)(request, **match.groupdict())
        request.drain()
        raise self.error(404, "NAME_UNKNOWN", "no such route")

    def error(self, status, code, message="", headers=()):
        shapes = {
            "json": json.dumps({"errors": [{"code": code, "message": message, "detail": {"x": 1}}]}).encode(),
            "html": HTML, "empty": b"", "huge": b"<p>oops</p>" * (10 * MIB // 11),
            "truncated": b'{"errors": [{"code": "' + code.encode(), "noarray": json.dumps({"errors": {"code": code}}).encode(),
            "odd": json.dumps({"errors": [None, 7, {"code": 3, "message": ["x"], "detail": "\u001b[31m"}]}).encode(),
        }
        kind = "application/json" if self.error_body in ("json", "truncated", "noarray", "odd") else "text/html"
        return Answer(status, shapes[self.error_body], [("Content-Type", kind), *headers])

    def not_there(self, code, message):
        if self.missing_is == 401:
            return self.challenge_answer(None)
        if self.missing_is != 404:
            return self.error(self.missing_is, "DENIED", "requested access to the resource is denied")
        return self.error(404, self.not_found_code or code, message)

    # --- who may

    def need(self, request, kind, name, *actions):
        if self.auth == "none":
            return
        if self.auth == "basic":
            wanted = "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            if request.header("authorization") != wanted or self.accept_nothing:
                request.drain()
                raise self.challenge_answer(request)
            return
        self.need_bearer(request, kind, name, actions)

    def need_bearer(self, request, kind, name, actions):
        scope = f"{kind}:{name}:{','.join(actions)}" if name else ""
        value = request.header("authorization", "")
        with self.lock:
            token = self.tokens.get(value.removeprefix("Bearer ")) if value.startswith("Bearer ") else None
            if token and token["uses"] is not None:
                token["uses"] -= 1
                token = token if token["uses"] >= 0 else None
        if not token or token["expires"] < time.monotonic() or self.accept_nothing:
            request.drain()
            raise self.challenge_answer(request, scope)
        lacking = [a for a in actions if (kind, name, a) not in token["access"]]
        if lacking:
            request.drain()
            raise self.challenge_answer(request, scope, "insufficient_scope", self.denied_status)

    def need_delete(self, request, name):
        if not self.delete_is:
            request.drain()
            raise self.error(405, "UNSUPPORTED", "The operation is unsupported.")
        self.need(request, "repository", name, self.delete_is)

    def realm_text(self):
        query = f"?{self.realm_query}" if self.realm_query else ""
        known = {"same": self.origins["main"].url + "/token", "other": self.origins["auth"].url + "/token",
                 "relative": "/token"}
        return known.get(self.realm, self.realm) + query

    def challenge_answer(self, request, scope="", error=None, status=401):
        answer = self.error(status, "UNAUTHORIZED" if status == 401 else "DENIED", "authentication required")
        where = self.challenge_where
        silent = where == "never" or (where == "ping" and request is not None and request.point != "ping")
        if silent:
            return answer
        if self.challenge:
            values = self.challenge
        elif self.auth == "basic":
            values = ['Basic realm="scripted"']
        else:
            values = ['Bearer realm="{realm}"' + (',service="{service}"' if self.service else "") +
                      (',scope="{scope}"' if scope else "") + (f',error="{error}"' if error else "")]
        for value in values:
            answer.headers.append(("WWW-Authenticate", value.format(realm=self.realm_text(), service=self.service, scope=scope)))
        return answer

    def token(self, request):
        form = request.read_all().decode(errors="replace")
        request.entry["form"] = form
        if request.origin.name == "cdn":  # its own, for everybody
            return Answer(200, b'{"token": "of-the-cdn"}')
        fields = {k: v for k, v in urllib.parse.parse_qs(form).items()} if request.method == "POST" else request.query
        status = self.token_post if request.method == "POST" else self.token_get
        if status != 200:
            return self.error(status, "UNSUPPORTED", "not this way")
        who = self.token_identity(request, fields)
        if who is None:
            return self.error(401, "UNAUTHORIZED", "wrong user name or password")
        scopes = [s for value in fields.get("scope", []) for s in value.split()]
        if self.refuse_delete_scope and any("delete" in s for s in scopes):
            return self.error(400, "UNSUPPORTED", "delete is no action")
        if self.refuse_forbidden and any(self.is_forbidden(s) for s in scopes):
            return self.error(403, "DENIED", "access forbidden")
        return self.give_token(who, scopes[:1] if self.first_scope_only else scopes)

    def is_forbidden(self, scope):
        return any(scope.startswith(f"repository:{name}") for name in self.forbidden)

    def token_identity(self, request, fields):
        """True: signed in, False: anonymous, None: refused."""
        one = {k: v[0] for k, v in fields.items()}
        if request.method == "POST":
            refresh = one.get("grant_type") == "refresh_token" and one.get("refresh_token") == self.refresh_token
            login = one.get("username") == self.username and one.get("password") == self.password
            return True if refresh or login else None
        value = request.header("authorization")
        if not value:
            return False
        login = base64.b64decode(value.removeprefix("Basic ")).decode()
        good = (f"{self.username}:{self.password}", f"00000000-0000-0000-0000-000000000000:{self.refresh_token}")
        return True if login in good else None

    def give_token(self, who, scopes):
        access = set()
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            for action in actions.split(","):
                public = action == "pull" and any(name.startswith(p) for p in self.public)
                less = self.grant_pull_first and scope not in self.granted and action != "pull"
                if (who or public) and not less and not self.is_forbidden(scope):
                    access.add((kind, name, action))
            self.granted.add(scope)
        token = "canary-" + secrets.token_hex(16)
        life = self.expires_in if isinstance(self.expires_in, (int, float)) and self.expires_in > 0 else 300
        with self.lock:
            self.tokens_given += 1
            self.tokens[token] = {"access": access, "expires": time.monotonic() + min(life, 1e6),
                                  "uses": self.token_uses or None}
        document = {self.token_field: token}
        if self.expires_in is not None:
            document["expires_in"] = self.expires_in
        if self.issued_at:
            document["issued_at"] = self.issued_at
        return Answer(200, json.dumps(document).encode(), [("Content-Type", "application/json")])

    # --- small routes

    def ping(self, request):
        if self.challenge_where != "request":
            self.need(request, "", "", *[])
        return Answer(200, b"{}", [("Content-Type", "application/json"), ("Docker-Distribution-API-Version", "registry/2.0")])

    def catalog(self, request):
        self.need(request, "registry", "catalog", "*")
        return self.page(request, "repositories", {}, sorted(self.store.repositories))

    def tags(self, request, name):
        self.need(request, "repository", name, "pull")
        if name not in self.store.repositories:
            raise self.not_there("NAME_UNKNOWN", "repository name not known to registry")
        return self.page(request, "tags", {"name": name}, sorted(self.store.repositories[name].tags) + list(self.odd_tags))

    def page(self, request, member, document, items):
        n = int(request.query.get("n", [str(self.page_max)])[0])
        if n > self.page_max and self.page_error:
            raise self.error(400, "PAGINATION_NUMBER_INVALID", "n is too large")
        n = min(n, self.page_max)
        first = int(request.query.get("first", ["0"])[0])
        part = items[first:first + n]
        answer = Answer(200, json.dumps({**document, member: part or None}).encode(), [("Content-Type", "application/json")])
        if first + n < len(items) or self.link in ("endless", "loop"):
            target = f"{request.path}?first={first + n}&n={n}"
            links = {"relative": target, "absolute": self.origins["main"].url + target,
                     "foreign": self.origins["cdn"].url + target, "loop": request.target, "endless": target,
                     "bad": "<<" + target, "none": None}
            if links[self.link]:
                answer.header("Link", f'<{links[self.link]}>; rel="next"')
        return answer

    def list_referrers(self, request, name, digest):
        self.need(request, "repository", name, "pull")
        if not self.referrers:
            raise self.error(404, "NAME_UNKNOWN", "404 page not found")
        wanted = request.query.get("artifactType", [None])[0]
        found = []
        for own, (data, media_type) in self.store.repository(name).manifests.items():
            document = json.loads(data)
            kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
            if document.get("subject", {}).get("digest") == digest and wanted in (None, kind):
                found.append({"mediaType": media_type, "digest": own, "size": len(data), "artifactType": kind,
                              "annotations": document.get("annotations", {})})
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}).encode()
        answer = Answer(200, body, [("Content-Type", OCI_INDEX)])
        return answer.header("OCI-Filters-Applied", "artifactType") if wanted else answer

    # --- manifests

    def manifest(self, request, name, reference):
        handler = {"GET": self.get_manifest, "HEAD": self.get_manifest, "PUT": self.put_manifest,
                   "DELETE": self.delete_manifest}.get(request.method)
        if not handler:
            raise self.error(405, "UNSUPPORTED")
        return handler(request, name, reference)

    def get_manifest(self, request, name, reference):
        self.need(request, "repository", name, "pull")
        if request.method == "HEAD" and not self.head:
            raise self.error(405, "UNSUPPORTED")
        repository = self.store.repositories.get(name)
        digest = repository.tags.get(reference, reference) if repository else None
        if not repository or digest not in repository.manifests:
            raise self.not_there("MANIFEST_UNKNOWN", "manifest unknown")
        data, media_type = repository.manifests[digest]
        accepts = [v for n, v in request.headers if n == "accept"]
        if self.accept_needed and (len(accepts) != 1 or media_type not in accepts[0]):
            raise self.error(404, "MANIFEST_UNKNOWN", "no acceptable type")
        answer = Answer(200, data)
        kind = self.manifest_type if self.manifest_type is not None else media_type
        if kind:
            answer.header("Content-Type", kind)
        self.add_digest(answer, digest)
        if self.manifest_gzip and request.method == "GET":
            answer.body = gzip.compress(data)
            answer.length = len(answer.body)
            answer.header("Content-Encoding", "gzip")
        if request.method == "HEAD" and self.head_says == "bare":
            answer.headers, answer.length = [("Content-Type", media_type)], None
        return answer

    def add_digest(self, answer, digest):
        shown = {"right": digest, "wrong": "sha256:" + "7" * 64, "odd": "sha256:XYZ", "none": None}[self.digest_header]
        if shown:
            answer.header("Docker-Content-Digest", shown)

    def put_manifest(self, request, name, reference):
        self.need(request, "repository", name, "pull", "push")
        if self.manifest_max and (request.length or 0) > self.manifest_max:
            raise self.error(413, "SIZE_INVALID", "manifest too large")
        data, media_type = request.read_all(), request.header("content-type", "")
        document = self.judge_manifest(name, data, media_type)
        digest = digest_of(data)
        by_digest = reference.startswith("sha256:")
        if by_digest and reference != digest:
            raise self.error(400, "DIGEST_INVALID", "digest does not match")
        tags = [] if by_digest else [reference]
        if by_digest and self.multi_tag:
            tags = request.query.get("tag", [])
        with self.lock:
            for tag in tags:
                self.judge_tag(name, tag, digest)
            repository = self.store.repository(name)
            repository.manifests[digest] = (data, media_type)
            for tag in tags:
                repository.tags[tag] = digest
        answer = Answer(201, b"", [("Location", f"/v2/{name}/manifests/{digest}")])
        self.add_digest(answer, digest)
        if self.subject and document.get("subject") and self.referrers:
            answer.header("OCI-Subject", document["subject"]["digest"])
        if by_digest:
            answer.headers += [("OCI-Tag", tag) for tag in tags]
        return answer

    def judge_manifest(self, name, data, media_type):
        try:
            document = json.loads(data)
        except ValueError:
            raise self.error(400, "MANIFEST_INVALID", "not JSON") from None
        if media_type in self.refuse_types or ";" in media_type:
            raise self.error(415, "UNSUPPORTED", "this type is not taken")
        if document.get("mediaType", media_type) != media_type or (self.media_type_needed and "mediaType" not in document):
            raise self.error(400, "MANIFEST_INVALID", "Invalid JSON syntax")
        repository = self.store.repository(name)
        if self.check_blobs:
            parts = document.get("layers", []) + [document[k] for k in ("config",) if k in document]
            for part in parts:
                if part["digest"] not in repository.blobs and not part.get("urls"):
                    raise self.error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
            for child in document.get("manifests", []):
                if child["digest"] not in repository.manifests:
                    raise self.error(400, "MANIFEST_BLOB_UNKNOWN", "manifest unknown to registry")
        return document

    def judge_tag(self, name, tag, digest):
        old = self.store.repository(name).tags.get(tag)
        if self.immutable and old and (old != digest or self.immutable_same):
            code = "TAG_INVALID" if self.immutable == 400 else "PRECONDITION"
            raise self.error(self.immutable, code, "the tag is immutable")

    def delete_manifest(self, request, name, reference):
        self.need_delete(request, name)
        repository = self.store.repository(name)
        if reference in repository.tags:
            del repository.tags[reference]
        elif reference in repository.manifests:
            del repository.manifests[reference]
            repository.tags = {t: d for t, d in repository.tags.items() if d != reference}
        else:
            raise self.not_there("MANIFEST_UNKNOWN", "manifest unknown")
        return Answer(202)

    # --- blobs

    def blob(self, request, name, digest):
        if request.method == "DELETE":
            self.need_delete(request, name)
            self.store.repository(name).blobs.discard(digest)
            return Answer(202)
        self.need(request, "repository", name, "pull")
        if request.method == "HEAD" and not self.head:
            raise self.error(405, "UNSUPPORTED")
        repository = self.store.repositories.get(name)
        if not repository or digest not in repository.blobs:
            raise self.not_there("BLOB_UNKNOWN", "blob unknown to registry")
        if self.redirect_blobs:
            return self.redirect_to_cdn(digest)
        return self.send_blob(request, digest)

    def redirect_to_cdn(self, digest):
        signature = secrets.token_hex(8)
        self.signed[signature] = {"digest": digest, "uses": self.cdn_uses or None}
        location = f"{self.origins['cdn'].url}{self.cdn_path}{signature}?X-Sig={signature}%2F%3d"
        return Answer(self.redirect_status, b"", [("Location", location)])

    def serve_cdn(self, request):
        if self.cdn_challenge and request.header("authorization") != "Bearer of-the-cdn":
            return Answer(401, b"", [("WWW-Authenticate", 'Bearer realm="/token",scope="cdn"')])
        if request.header("authorization") and not self.cdn_challenge:
            return Answer(400, b"<Error>Only one auth mechanism allowed</Error>")
        signature = request.path.rsplit("/", 1)[1]
        entry = self.signed.get(signature)
        exact = f"{self.cdn_path}{signature}?X-Sig={signature}%2F%3d"
        if not entry or request.target != exact:
            return Answer(403, b"<Error>SignatureDoesNotMatch</Error>")
        if entry["uses"] is not None:
            entry["uses"] -= 1
            if entry["uses"] < 0:
                return Answer(403, b"<Error>Request has expired</Error>")
        if request.method == "HEAD" and self.cdn_head != 200:
            return Answer(self.cdn_head)
        return self.send_blob(request, entry["digest"])

    def send_blob(self, request, digest):
        blob = self.store.blobs[digest]
        first, end, status = 0, blob.size, 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.header("range", ""))
        if match and self.ranges:
            first, status = int(match[1]), 206
            end = min(int(match[2]) + 1 if match[2] else blob.size, blob.size)
            if first >= blob.size:
                return self.error(416, "RANGE_INVALID")
        answer = Answer(status, blob.read(first, end), [("Content-Type", "application/octet-stream")])
        answer.length = end - first
        answer.no_length = not self.blob_length
        if status == 206:
            answer.header("Content-Range", f"bytes {first}-{end - 1}/{blob.size}")
        self.add_digest(answer, digest)
        if request.method == "HEAD" and self.head_says == "bare":
            answer.headers, answer.length = [], None
        return answer

    # --- uploads

    def upload_start(self, request, name):
        if request.method != "POST":
            raise self.error(405, "UNSUPPORTED")
        self.need(request, "repository", name, "pull", "push")
        request.drain()
        if self.repositories is not None and name not in self.repositories:
            raise self.error(404, "NAME_UNKNOWN", "The repository does not exist")
        if "mount" in request.query:
            self.try_mount(request, name)
        elif "from" in request.query:
            raise self.error(400, "UNSUPPORTED", "from without mount")
        session = self.store.new_upload(name, self.store_uploads)
        return self.session_answer(202, name, session, self.empty_range)

    def try_mount(self, request, name):
        digest, source = request.query["mount"][0], request.query.get("from", [None])[0]
        if not source:
            raise self.error(400, "UNSUPPORTED", "mount without from")
        how = self.self_mount if source == name else self.mount
        if isinstance(how, int):
            raise self.error(how, "DENIED" if how in (401, 403) else "UNSUPPORTED", "no mount")
        if source != name and self.auth == "bearer" and how == "ok":
            self.need(request, "repository", source, "pull")
        there = digest in self.store.repositories.get(source, Repository()).blobs
        if how == "ok" and there:
            self.store.repository(name).blobs.add(digest)
            raise Answer(201, b"", [("Location", f"/v2/{name}/blobs/{digest}"), ("Docker-Content-Digest", digest)])

    def session_url(self, name, session):
        path = f"/v2/{name}/blobs/uploads/{session}"
        moved = "?" + self.location_query if self.location_query else ""
        main = self.origins["main"]
        forms = {
            "absolute": main.url + path + moved, "path": path + moved, "relative": session + moved,
            "schemeless": f"//127.0.0.1:{main.port}{path}{moved}", "http": f"http://127.0.0.1:{main.port}{path}{moved}",
            "noport": f"{'https' if self.context else 'http'}://127.0.0.1{path}{moved}",
            "foreign": self.origins["cdn"].url + path + moved,
        }
        return forms.get(self.location, self.location.replace("{url}", main.url + path + moved))

    def session_answer(self, status, name, session, range_):
        answer = Answer(status, b"", [("Docker-Upload-UUID", session)])
        if session in self.store.uploads:
            answer.header("Location", self.session_url(name, session))
        if range_ and self.range_says != "none":
            answer.header("Range", range_)
        if self.chunk_min is not None:
            answer.header("OCI-Chunk-Min-Length", str(self.chunk_min))
        return answer

    def upload(self, request, name, session):
        if request.path.startswith("/moved/"):
            pass
        elif self.redirect_upload and request.method in ("PUT", "PATCH"):
            raise Answer(self.redirect_upload, b"", [("Location", "/moved" + request.target)])
        action = "delete" if request.method == "DELETE" and self.delete_needs_delete else "push"
        self.need(request, "repository", name, action)
        upload = self.store.uploads.get(session)
        with upload.turn if upload else contextlib.nullcontext():
            return self.upload_turn(request, name, session)

    def upload_turn(self, request, name, session):
        if session not in self.store.uploads:
            request.drain()
            raise self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        handler = {"GET": self.upload_status, "PATCH": self.upload_patch, "PUT": self.upload_put,
                   "DELETE": self.upload_delete}.get(request.method)
        if not handler:
            raise self.error(405, "UNSUPPORTED")
        return handler(request, name, session)

    def range_of(self, upload):
        size = upload.size
        if self.range_says == "stuck":
            size = min(size, 1000)
        elif self.range_says == "less":
            size = size * 3 // 4
        return f"0-{size - 1}" if size else self.empty_range

    def upload_status(self, request, name, session):
        if isinstance(self.range_says, int):
            return self.session_answer(204, name, session, f"0-{self.range_says}")
        size = self.store.uploads[session].size
        if self.status_says == "none":
            return self.session_answer(204, name, session, None)
        if self.status_says != "right":
            size = max(0, size + self.status_says)
        return self.session_answer(204, name, session, f"0-{size - 1}" if size else self.empty_range)

    def upload_delete(self, request, name, session):
        self.store.uploads.pop(session).discard()
        return Answer(204)

    def take_body(self, request, upload):
        if self.length_required and request.length is None:
            raise self.error(411, "UNSUPPORTED", "Length Required")
        if self.body_max and (request.length or 0) > self.body_max:
            raise Answer(413, HTML, [("Content-Type", "text/html"), ("Connection", "close")])
        begin = time.monotonic()
        for piece in request.body():
            upload.append(piece)
            if self.read_bps:
                ahead = request.taken / self.read_bps - (time.monotonic() - begin)
                if ahead > 0:
                    time.sleep(ahead)

    def judge_range(self, request, upload):
        value = request.header("content-range")
        if value is None:
            return
        match = re.fullmatch(r"(\d+)-(\d+)", value)
        if not match:
            raise self.error(400, "BLOB_UPLOAD_INVALID", "bad Content-Range")
        if int(match[1]) != upload.size or int(match[2]) - int(match[1]) + 1 != request.length:
            request.drain()
            raise self.session_refusal(upload)

    def session_refusal(self, upload):
        return self.error(416, "RANGE_INVALID", f"first byte is not {upload.size}",
                          [("Range", self.range_of(upload))])

    def upload_patch(self, request, name, session):
        upload = self.store.uploads[session]
        if not self.patch:
            request.drain()
            raise self.error(405, "UNSUPPORTED", "no chunked uploads")
        if request.length == 0 and self.zero_patch:
            raise self.error(self.zero_patch, "SIZE_INVALID", "an empty chunk")
        if self.chunk_max and (request.length or 0) > self.chunk_max:
            request.drain()
            raise self.error(416, "UNKNOWN", "request body is too large")
        self.judge_range(request, upload)
        if self.chunk_min_enforced and (request.length or 0) < int(self.chunk_min):
            request.drain()
            raise self.error(400, "SIZE_INVALID", "chunk too small")
        self.take_body(request, upload)
        upload.patches += 1
        return self.session_answer(self.patch_status, name, session, self.range_of(upload))

    def upload_put(self, request, name, session):
        upload = self.store.uploads[session]
        if not self.empty_put and upload.patches and not request.length:
            raise self.error(500, "UNKNOWN", "no bytes in the last request")
        if request.header("content-range") and not upload.size:
            request.drain()
            raise self.error(400, "BLOB_UPLOAD_INVALID", "a part where the whole is expected")
        self.judge_range(request, upload)
        self.take_body(request, upload)
        return self.close_upload(request, name, session)

    def close_upload(self, request, name, session):
        wanted = request.query.get("digest", [None])[0]
        with self.lock:
            upload = self.store.uploads[session]
            if self.quota and upload.size + sum(b.size for b in self.store.blobs.values()) > self.quota:
                self.store.uploads.pop(session).discard()
                raise self.error(403, "DENIED", "adding the blob will exceed the quota")
            got = "sha256:" + upload.hash.hexdigest()
            if got != wanted:
                self.store.uploads.pop(session).discard()
                raise self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            self.store.finish_upload(session)
        answer = Answer(self.put_status, b"", [("Location", f"/v2/{name}/blobs/{wanted}")])
        self.add_digest(answer, wanted)
        return answer


# --------------------------------------------------------------------------------------------------------- as a program

class Commands:
    """One JSON object a line: {"do": NAME, …arguments}; the answer is one line of JSON."""

    def __init__(self, registry):
        self.registry = registry

    def run(self, line):
        arguments = json.loads(line)
        return getattr(self, "do_" + arguments.pop("do").replace("-", "_"))(**arguments)

    def do_reset(self, **settings):
        self.registry.reset(**settings)

    def do_set(self, **settings):
        self.registry.set(**settings)

    def do_fault(self, **fault):
        self.registry.fault(**fault)

    def do_clear_faults(self):
        self.registry.clear_faults()

    def do_check(self, sessions=True):
        return self.registry.check(sessions)

    def do_count(self, **which):
        return self.registry.count(**which)

    def do_heads_with(self, text):
        """Requests that have such a line in their head, told in lower case."""
        return sum(f"\r\n{text}" in r["head"].lower() for r in self.registry.requests)

    def do_received(self, point="upload-"):
        return self.registry.received(point)

    def do_tokens(self):
        return self.registry.tokens_given

    def do_requests(self):
        return [f"{r['origin']} {r['method']} {r['target']} {r['status']} {r['taken']}" for r in self.registry.requests]

    def do_add_image(self, repository, tag, **what):
        return self.registry.store.add_image(repository, tag, **what)

    def do_add_manifest(self, repository, text, media_type, tag=None):
        return self.registry.store.add_manifest(repository, text.encode(), media_type, tag)

    def do_add_blob(self, repository, text):
        return self.registry.store.add_blob(repository, text.encode())

    def do_add_block_blob(self, repository, size, seed=1):
        return self.registry.store.add_block_blob(repository, size, seed)

    def do_drop_blob(self, repository, digest):
        self.registry.store.repository(repository).blobs.discard(digest)

    def do_move_tag(self, repository, tag, digest):
        self.registry.store.repository(repository).tags[tag] = digest

    def do_tags(self, repository):
        return self.registry.store.repository(repository).tags


def main(arguments):
    settings = json.loads(arguments[0]) if arguments else {}
    with ScriptedRegistry(**settings) as registry:
        print(json.dumps({"address": registry.address, "auth": registry.origins["auth"].url,
                          "cdn": registry.origins["cdn"].url}), flush=True)
        commands = Commands(registry)
        for line in sys.stdin:
            try:
                answer = {"ok": commands.run(line)}
            except Exception as error:  # noqa: BLE001 – the test hears of it
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
