# SPDX-License-Identifier: Apache-2.0
"""The door of a whole drayd under raw bytes: foreign names and pages, requests that have two readings, limits, guesses at the token.
Every one is refused or its connection closed, and leaves nothing behind. tests/door.md names the rule behind each test."""

import os
import random
import re
import socket
import time
import unittest

from daemon import Daemon

PATIENCE_S = 6  # below the time-outs of the daemon, so that a refusal is one and not a connection that was given up
SPEC = b'{"kind":"copy","source":"127.0.0.1:1/a:1","targets":["127.0.0.1:1/b:1"]}'
JSON = b"Content-Type: application/json\r\n"
POST_JOB = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(SPEC) + SPEC


class Answer:
    """All that came back on a connection. statuses: of each answer on it; closed: the daemon ended it, seconds after the request."""

    def __init__(self, raw, closed, seconds):
        self.raw, self.closed, self.seconds = raw, closed, seconds
        # The library answers some framing faults with its head twice; there is one body, and it counts as one answer.
        self.statuses = [int(s) for s in re.findall(rb"(?:HTTP/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+", raw)]

    def __repr__(self):
        return f"<{self.statuses} closed={self.closed} {self.raw[:600]!r}>"


class Door(unittest.TestCase):
    settings = {"daemon.paused": "true"}  # a job that was made stays to be seen

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(tcp=True, settings=cls.settings)
        cls.addClassCleanup(cls.daemon.remove)
        cls.addClassCleanup(cls.daemon.stop)

    def connect(self, tcp=False):
        if tcp:
            host, port = self.daemon.address.split(":")
            client = socket.create_connection((host, int(port)))
        else:
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(self.daemon.socket))
        client.settimeout(PATIENCE_S)
        return client

    def send(self, data, tcp=False, until=None):
        """Sends it and reads until the daemon closes, or `until` (a pattern) is there, or patience ends."""
        with self.connect(tcp) as client:
            started, raw, closed = time.monotonic(), b"", False
            try:
                client.sendall(data)
            except OSError:
                pass  # hung up on; what it said can still be read
            try:
                while not (until and re.search(until, raw)):
                    part = client.recv(65536)
                    if not part:
                        closed = True
                        break
                    raw += part
            except TimeoutError:
                pass
            except OSError:
                closed = True
            return Answer(raw, closed, time.monotonic() - started)

    def head(self, method, target, *fields, tcp=False, host=None):
        """A request's head, right in every respect but for the fields."""
        host = host or (self.daemon.address if tcp else "localhost")
        token = [f"Authorization: Bearer {self.daemon.token}"] if tcp else []
        lines = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host != "-" else []), *token, *fields, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def job(self, *fields, **keywords):
        return self.head("POST", "/v1/jobs", "Content-Type: application/json", f"Content-Length: {len(SPEC)}", *fields, **keywords) + SPEC

    def traces(self):
        """What a request that was executed would have changed. A worker takes away what was begun of an upload."""
        uploads, until = self.daemon.cache / "contexts/uploads", time.monotonic() + PATIENCE_S
        while uploads.exists() and any(uploads.iterdir()) and time.monotonic() < until:
            time.sleep(0.02)
        metrics = self.daemon.request("GET", "/metrics").text
        files = sorted(str(p) for d in (self.daemon.build_root, self.daemon.output_root, self.daemon.cache) for p in d.rglob("*") if p.is_file())
        return {"jobs": self.daemon.get("/v1/jobs")["items"], "cache": self.daemon.get("/v1/cache/blobs")["items"], "files": files,
                "credentials": self.daemon.get("/v1/credentials"), "queued": re.search(r'dray_jobs\{state="queued"\} (\d+)', metrics)[1],
                "done": int(re.search(r'dray_http_requests_total\{code="2xx"\} (\d+)', metrics)[1])}

    def setUp(self):
        self.before = self.traces()

    def tearDown(self):
        """Nothing is new, and no request was answered with success but those of traces() itself and those counted as `allowed`."""
        after = self.traces()
        self.assertEqual(after.pop("done") - self.before.pop("done"), 4 + getattr(self, "allowed", 0))
        self.assertEqual(after, self.before)

    def refused(self, answer, about, *statuses):
        """One answer, of these statuses (default: any refusal), or none; then the end of the connection."""
        self.assertTrue(answer.closed, (about, answer))
        self.assertLessEqual(len(answer.statuses), 1, (about, answer))
        for status in answer.statuses:
            self.assertIn(status, statuses or range(400, 600), (about, answer))
        self.assertNotIn(b"access-control-", answer.raw.lower(), about)
        if statuses:
            self.assertEqual(len(answer.statuses), 1, (about, answer))


class ForeignPages(Door):
    """20 and more hostile values × methods × transports."""

    ASKED = [("GET", "/v1/jobs"), ("GET", "/v1/events"), ("POST", "/v1/jobs"), ("PUT", f"/v1/contexts/sha256:{'0' * 64}"),
             ("DELETE", "/v1/credentials"), ("HEAD", "/v1/images/blob?ref=a/b:1"), ("POST", "/v1/cache/prune"), ("OPTIONS", "/v1/jobs")]

    def ask(self, fields, statuses, host=None):
        for tcp in (False, True):
            for method, target in self.ASKED:
                body = SPEC if method == "POST" else b""
                framing = ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
                answer = self.send(self.head(method, target, *fields, *framing, tcp=tcp, host=host) + body, tcp)
                self.refused(answer, (host, fields, method, target, "tcp" if tcp else "unix"), *statuses)

    def test_names_that_are_not_ours(self):
        port = self.daemon.address.split(":")[1]
        for host in ("evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"localhost.:{port}",
                     "LOCALHOST", f"127.0.0.1:{int(port) ^ 1}", f"user@localhost:{port}", f"[::1%lo]:{port}", f"[::ffff:127.0.0.1]:{port}",
                     f"2130706433:{port}", f"0.0.0.0:{port}", "localhost, evil.example", "localhost/"):
            self.ask([], (421,), host=host)
        for fields in (["Host:"], ["Host: localhost", "Host: localhost"], ["Host: localhost", "Host: evil.example"], ["X-Forwarded-Host: localhost"]):
            self.ask(fields, (400, 421), host="-")

    def test_pages_of_others(self):
        own = self.daemon.address
        for field in ("Origin: http://evil.example", "Origin: null", f"Origin: https://{own}", "Origin: http://localhost:1", "Origin: file://",
                      f"Origin: http://{own}.evil.example", "Origin: chrome-extension://abcdef", "Referer: http://evil.example/x",
                      f"Referer: http://{own}.evil.example/", f"Referer: http://evil.example/http://{own}/", "Sec-Fetch-Site: cross-site",
                      "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: odd"):
            self.ask([field], (403,))

    def test_our_page_reads_and_changes_nothing(self):
        self.allowed = 0
        for tcp, host in ((False, "localhost"), (True, self.daemon.address)):
            for field in (f"Origin: http://{host}", f"Referer: http://{host}/", "Sec-Fetch-Site: same-origin"):
                got = self.send(self.head("GET", "/v1/jobs", field, tcp=tcp), tcp, until=rb"\r\n\r\n")
                self.assertEqual(got.statuses, [200], (field, got))
                self.allowed += 1
                self.refused(self.send(self.job(field, tcp=tcp), tcp), field, 403)
                self.refused(self.send(self.head("DELETE", "/v1/credentials", field, tcp=tcp), tcp), field, 403)
                self.refused(self.send(self.head("GET", "/v1/credentials", field, tcp=tcp), tcp), field, 403)

    def test_preflights(self):
        for tcp in (False, True):
            for wanted in ("POST", "DELETE", "PUT"):
                ask = self.head("OPTIONS", "/v1/jobs", "Origin: http://evil.example", f"Access-Control-Request-Method: {wanted}",
                                "Access-Control-Request-Headers: content-type,authorization", tcp=tcp)
                self.refused(self.send(ask, tcp), wanted, 403)

    def test_forms_without_a_sign_of_a_browser(self):
        """What the field that tells of a page is stripped from still has a form's body type."""
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "application/jsonx",
                     "text/plain; application/json", "text/plain, application/json", ""):
            for target in ("/v1/jobs", "/v1/cache/prune", "/v1/jobs/x/cancel", "/v1/credentials/check"):
                field = [f"Content-Type: {kind}"] if kind else []
                ask = self.head("POST", target, *field, f"Content-Length: {len(SPEC)}", "Connection: close") + SPEC
                self.refused(self.send(ask), (kind, target), 415)

    def test_what_a_browser_shows_is_fenced_in(self):
        self.allowed = 4
        for tcp in (False, True):
            for kind, target, status in (("text/html", "/", 200), ("application/json", "/", 200), ("*/*", "/nothing", 404)):
                got = self.send(self.head("GET", target, f"Accept: {kind}", "Connection: close", tcp=tcp), tcp)
                head = got.raw.split(b"\r\n\r\n")[0]
                self.assertEqual(got.statuses, [status])
                self.assertRegex(head, rb"\r\nX-Content-Type-Options: nosniff\r\n")
                [policy] = re.findall(rb"\r\nContent-Security-Policy: ([^\r]*)", head)
                self.assertIn(b"default-src 'none'", policy)
                self.assertIn(b"frame-ancestors 'none'", policy)
                self.assertNotIn(b"unsafe", policy)


class TwoReadings(Door):
    """Requests that another program could read otherwise. Behind each stands a job that nobody may find."""

    def lines(self, *lines):
        return b"\r\n".join(lines) + b"\r\n"

    def test_heads(self):
        post, host, length = b"POST /v1/jobs HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(SPEC)
        good = [host, JSON[:-2], length]
        for name, head in {
            "two lengths": [post, *good, b"Content-Length: 0"], "equal lengths": [post, *good, length],
            "list of lengths": [post, host, JSON[:-2], length + b", " + length[16:]], "signed length": [post, host, JSON[:-2], b"Content-Length: +72"],
            "hexadecimal length": [post, host, JSON[:-2], b"Content-Length: 0x48"], "negative length": [post, host, JSON[:-2], b"Content-Length: -1"],
            "length and chunks": [post, *good, b"Transfer-Encoding: chunked"], "chunks and length": [post, host, b"Transfer-Encoding: chunked", *good[1:]],
            "two codings": [post, host, JSON[:-2], b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
            "other coding": [post, host, JSON[:-2], b"Transfer-Encoding: gzip, chunked"], "odd coding": [post, host, JSON[:-2], b"Transfer-Encoding: xchunked"],
            "hidden coding": [post, host, JSON[:-2], b"Transfer-Encoding: \x0bchunked"], "blank before colon": [post, *good, b"Transfer-Encoding : chunked"],
            "folded coding": [post, *good, b"Transfer-Encoding:", b" chunked"], "folded line": [post, *good, b"X: a", b" b"],
            "folded by a tab": [post, *good, b"X: a", b"\tb"], "folded first line": [post, b" X: a", *good],
            "bare line feed": [post + b"\n" + host, *good[1:]], "one bare line feed": [post, host + b"\n" + JSON[:-2], length],
            "hidden field": [post, *good, b"X: a\nTransfer-Encoding:chunked"], "bare carriage return": [post, *good, b"X: a\rY: b"],
            "doubled carriage return": [post, host + b"\r", *good[1:]], "NUL in a value": [post, host + b"\0.evil.example", *good[1:]],
            "NUL in the target": [b"POST /v1/jobs\0x HTTP/1.1", *good], "NUL in a name": [post, *good, b"X\0Y: a"], "no colon": [post, *good, b"X"],
            "empty name": [post, *good, b": a"], "blank in a name": [post, *good, b"X Y: a"], "two blanks": [b"POST  /v1/jobs HTTP/1.1", *good],
            "tab for a blank": [b"POST\t/v1/jobs\tHTTP/1.1", *good], "HTTP/1.0": [b"POST /v1/jobs HTTP/1.0", *good],
            "HTTP/2.0": [b"POST /v1/jobs HTTP/2.0", *good], "HTTP/0.9": [b"POST /v1/jobs", *good], "small letters": [b"POST /v1/jobs http/1.1", *good],
            "absolute": [b"POST http://localhost/v1/jobs HTTP/1.1", *good], "absolute of another": [b"POST http://evil.example/v1/jobs HTTP/1.1", *good],
            "two slashes": [b"POST //localhost/v1/jobs HTTP/1.1", *good], "authority": [b"CONNECT localhost:80 HTTP/1.1", *good],
            "asterisk": [b"OPTIONS * HTTP/1.1", *good], "authority for POST": [b"POST localhost:80 HTTP/1.1", *good], "encoded": [b"POST /v1/job%73 HTTP/1.1", *good],
            "encoded NUL": [b"POST /v1/jobs%00 HTTP/1.1", *good], "climbing": [b"POST /v1/x/%2e%2e/jobs HTTP/1.1", *good],
            "fragment": [b"POST /v1/jobs#x HTTP/1.1", *good], "8 bits": [b"POST /v1/jobs?\xc3\xa9 HTTP/1.1", *good],
            "two types": [post, *good, JSON[:-2]], "two keys": [post, *good, b"Idempotency-Key: a", b"Idempotency-Key: b"],
            "HTTP/2 preface": [b"PRI * HTTP/2.0", b"", b"SM", b""],
        }.items():
            with self.subTest(name):
                for tcp in (False, True):
                    token = [b"Authorization: Bearer " + self.daemon.token.encode()] if tcp else []
                    head = [line.replace(b"localhost", self.daemon.address.encode()) if tcp and line.startswith(b"Host") else line for line in head]
                    self.refused(self.send(self.lines(*head, *token, b"") + SPEC + POST_JOB, tcp), name)

    def test_bodies(self):
        """The first request is refused whatever its body is (there is no such job); what its framing hides is none."""
        head = b"POST /v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
        for name, body in {
            "well formed": b"2\r\n{}\r\n0\r\n\r\n", "line feed behind the size": b"2\n{}\r\n0\r\n\r\n", "line feed behind the data": b"2\r\n{}\n0\r\n\r\n",
            "line feeds at the end": b"2\r\n{}\r\n0\n\n", "extension": b"2;a=b\r\n{}\r\n0\r\n\r\n", "extension with a line feed": b"2;a\n{}\r\n0\r\n\r\n",
            "zeros before the size": b"0002\r\n{}\r\n0\r\n\r\n", "trailer": b"2\r\n{}\r\n0\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n",
            "prefix 0x": b"0x2\r\n{}\r\n0\r\n\r\n", "sign": b"+2\r\n{}\r\n0\r\n\r\n", "minus": b"-1\r\n{}\r\n0\r\n\r\n", "blank": b" 2\r\n{}\r\n0\r\n\r\n",
            "blank behind": b"2 \r\n{}\r\n0\r\n\r\n", "no size": b"\r\n{}\r\n0\r\n\r\n", "more than its size": b"2\r\n{}{}\r\n0\r\n\r\n",
            "less than its size": b"9\r\n{}\r\n0\r\n\r\n", "a size of 2^64": b"10000000000000000\r\n{}\r\n0\r\n\r\n", "letters": b"g\r\n{}\r\n0\r\n\r\n",
            "long trailer": b"2\r\n{}\r\n0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "many trailers": b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        }.items():
            with self.subTest(name):
                self.refused(self.send(head + body + POST_JOB), name)

    def test_a_body_is_no_request(self):
        length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(POST_JOB)
        for start in (b"GET /v1/jobs", b"DELETE /v1/jobs/x", b"HEAD /v1/images/manifest", b"POST /v1/images/mount", b"POST /nowhere", b"PATCH /v1/jobs"):
            got = self.send(start + b" HTTP/1.1\r\nHost: localhost\r\n" + length + POST_JOB)
            self.refused(got, start)


class Grammar(Door):
    """500 requests to make a job, each with at least one fault."""

    LINES = ["POST /v1/jobs HTTP/1.0", "POST /v1/jobs HTTP/3.7", "POST /v1/jobs", "POST  /v1/jobs HTTP/1.1", "POST /v1/jobs  HTTP/1.1", "post /v1/jobs HTTP/1.1",
             "POST http://127.0.0.1/v1/jobs HTTP/1.1", "POST //v1/jobs HTTP/1.1", "POST /v1/jobs%20 HTTP/1.1", "POST /v1/jobs/ HTTP/1.1", "POST /v1/jobs;x HTTP/1.1",
             "POST /v1/../v1/jobs HTTP/1.1", "POST /v1/jobs\\ HTTP/1.1", "POST * HTTP/1.1", "PUT /v1/jobs HTTP/1.1", "BREW /v1/jobs HTTP/1.1", "POST /v1/jobs?x=%zz HTTP/1.1",
             "POST /v1/jobs?wait=1&wait=1 HTTP/1.1", "POST /v1/jobs?x=1 HTTP/1.1", "\x16\x03\x01 /v1/jobs HTTP/1.1", "POST /v1/jobs HTTP/1.1\nX:y", "P\0ST /v1/jobs HTTP/1.1"]
    HOSTS = ["", "Host: evil.example", "Host: localhost\r\nHost: localhost", "Host : localhost", "Host: localhost:1", "Host: \tlocalhost", "Host: localhost evil"]
    TYPES = ["", "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=b",
             "Content-Type: application/json\r\nContent-Type: text/plain"]
    FIELDS = ["Origin: http://evil.example", "Origin: null", "Referer: https://evil.example/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "X: a\0b",
              "X: a\x01b", "X y: a", "X: a\r\n b", "X: a\nY: b", ": a", "nothing", "X:  a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, chunked",
              "Authorization: Bearer a\r\nAuthorization: Bearer b", "Prefer: wait=1\r\nPrefer: wait=2", *[f"X-{'y' * 9000}: {'z' * 9000}"], "\r\n".join(["X: y"] * 70)]
    LENGTHS = ["Content-Length: 5\r\nContent-Length: {n}", "Content-Length: {n}\r\nTransfer-Encoding: chunked", "Content-Length: {n}x", "Content-Length: -{n}",
               "Content-Length: 99999999999999999999", "Content-Length: 9999999999", "Content-Length: {n}, {n}", "Content-Length:"]
    BODIES = ["{", "[]", "null", '{"kind":"copy"} x', '{"kind":"copy","kind":"copy"}', '{"kind":"brew"}', "\xff\xfe", "[" * 100 + "]" * 100,
              '{"kind":"copy","source":"a/b:1","targets":["UPPER:1"]}', '{"kind":"copy","source":"a:1","targets":["b:1"],"sauce":1}']

    def make(self, rng, number):
        faults = [self.LINES, self.HOSTS, self.TYPES, self.FIELDS, self.LENGTHS, self.BODIES]
        wrong = {number % len(faults)} | ({rng.randrange(len(faults))} if rng.random() < 0.4 else set())
        # The first rounds go through the tables, so that each entry is there.
        pick = [(faults[i][number // len(faults)] if number // len(faults) < len(faults[i]) else rng.choice(faults[i])) if i in wrong else None for i in range(6)]
        line, host, kind, field, length, body = pick
        body = SPEC.decode() if body is None else body
        lines = ["POST /v1/jobs HTTP/1.1" if line is None else line, "Host: localhost" if host is None else host,
                 "Content-Type: application/json" if kind is None else kind, *([field] if field else []), *(["Accept: */*"] if rng.random() < 0.5 else []),
                 (f"Content-Length: {len(body)}" if length is None else length.format(n=len(body))), "Connection: close"]
        return "\r\n".join([line for line in lines if line] + ["", body]).encode("latin-1")

    def test_requests(self):
        rng = random.Random(20240229)
        slowest, statuses = 0, {}
        for number in range(500):
            request = self.make(rng, number)
            got = self.send(request)
            self.refused(got, (number, request[:400]))
            slowest = max(slowest, got.seconds)
            status = got.statuses[0] if got.statuses else "closed"
            statuses[status] = statuses.get(status, 0) + 1
        print(f"500 requests: {statuses}, the slowest after {slowest * 1000:.0f} ms", flush=True)


class Limits(Door):
    """Time-outs are left at their large values here: what ends does so by itself."""

    def cpu_s(self):
        fields = open(f"/proc/{self.daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_heads(self):
        for name, got in {
            "long target": self.send(self.head("GET", "/v1/jobs?label=" + "x" * 9000)), "long field": self.send(self.head("GET", "/v1/jobs", "X: " + "y" * 17_000)),
            "fields": self.send(self.head("GET", "/v1/jobs", *["X: y"] * 64)), "megabyte": self.send(self.head("GET", "/v1/jobs", *[f"X-{i}: {'y' * 1000}" for i in range(1000)])),
            "line without end": self.send(b"GET /" + b"x" * 100_000), "empty lines without end": self.send(b"\r\n" * 100_000),
        }.items():
            self.refused(got, name)
            self.assertLessEqual(set(got.statuses), {413, 414, 431}, (name, got))

    def test_bodies(self):
        chunked = self.head("POST", "/v1/jobs", "Content-Type: application/json", "Transfer-Encoding: chunked")
        self.refused(self.send(chunked + b"180000\r\n" + b" " * 0x180000 + b"\r\n0\r\n\r\n"), "chunks", 413)
        for length in ((1 << 20) + 1, (1 << 63) - 1):
            head = self.head("POST", "/v1/jobs", "Content-Type: application/json", f"Content-Length: {length}", "Expect: 100-continue", "Connection: close")
            self.refused(self.send(head), length, 413)

    def test_framing_without_end(self):
        """An extension, or zeros, longer than the memory of a connection: the library would ask to be run for ever."""
        for tcp in (False, True):
            for target, extra in (("/v1/jobs", ""), ("/nowhere", ""), (f"/v1/contexts/sha256:{'0' * 64}", "")):
                kind = "application/json" if target == "/v1/jobs" else "application/x-tar"
                method = "PUT" if "contexts" in target else "POST"
                head = self.head(method, target, f"Content-Type: {kind}", "Transfer-Encoding: chunked", tcp=tcp)
                for framing in (b"5;a=" + b"x" * 40_000, b"0" * 40_000):
                    self.refused(self.send(head + framing, tcp), (target, framing[:4], tcp))

    def test_framing_that_just_fills_the_memory(self):
        """No byte is left outside to tell by; it costs a connection until its time is up, and no processor."""
        head = self.head("POST", "/v1/jobs", "Content-Type: application/json", "Transfer-Encoding: chunked") + b"5;a="
        clients = []
        for size in range(16 * 1024 - 200 - len(head), 16 * 1024 - len(head), 2):
            clients.append(self.connect())
            clients[-1].sendall(head + b"x" * size)
        self.daemon.request("GET", "/healthz")
        self.allowed = 1
        before = self.cpu_s()
        time.sleep(1)
        used = self.cpu_s() - before
        for client in clients:
            client.close()
        self.assertLess(used, 0.4)


class Times(Door):
    settings = {**Door.settings, "limits.header_timeout_ms": "500", "limits.body_timeout_ms": "500", "limits.idle_timeout_ms": "500"}

    def dribble(self, data, tcp=False):
        """A byte now and then, as long as the other side takes it. How many it took."""
        with self.connect(tcp) as client:
            for sent, byte in enumerate(data):
                try:
                    client.send(bytes([byte]), socket.MSG_NOSIGNAL)
                except OSError:
                    return sent
                client.settimeout(0.05)
                try:
                    if not client.recv(65536):
                        return sent
                except TimeoutError:
                    pass
                except OSError:
                    return sent
        return len(data)

    def test_heads_and_bodies_that_never_end(self):
        dripping = b"X: " + b"y" * 100
        for tcp in (False, True):
            self.assertLess(self.dribble(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + dripping, tcp), 150)
            self.assertLess(self.dribble(b"\r\n" * 60, tcp), 120)
        started = self.head("POST", "/v1/jobs", "Content-Type: application/json", "Content-Length: 1000")
        with self.connect() as client:
            client.sendall(started)
            for _ in range(400):
                try:
                    client.send(b" ", socket.MSG_NOSIGNAL)
                except OSError:
                    break
                time.sleep(0.05)
            else:
                self.fail("a body that dribbles was waited for")

    def test_what_stands_still(self):
        context = f"/v1/contexts/sha256:{'0' * 64}"
        for about, data in {
            "nothing": b"", "half a head": b"GET / HTTP/1.1\r\nHo", "half a body": self.head("POST", "/v1/jobs", "Content-Type: application/json", "Content-Length: 9") + b"{",
            "a large chunk that does not come": self.head("POST", "/v1/jobs", "Content-Type: application/json", "Transfer-Encoding: chunked") + b"7fffffffffffffff\r\n{",
            "half an upload": self.head("PUT", context, "Content-Type: application/x-tar", "Content-Length: 5000") + b"x" * 1000,
            "a client hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32,
        }.items():
            self.refused(self.send(data), about)

    def test_connection_without_a_request(self):
        got = self.send(self.head("GET", "/healthz"))
        self.allowed = 1
        self.assertEqual((got.statuses, got.closed), ([200], True), got)


class Token(Door):
    def ask(self, *fields, client=None, target="/v1/jobs", method="GET"):
        """One request over TCP without a token of its own."""
        head = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {self.daemon.address}", *fields, "", ""]).encode()
        if client is None:
            with self.connect(tcp=True) as client:
                return self.ask(*fields, client=client, target=target, method=method)
        client.sendall(head)
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += client.recv(65536)
        return int(raw[9:12]), raw

    def test_guesses(self):
        token = self.daemon.token
        self.allowed = 5
        with self.connect(tcp=True) as trusted:
            self.assertEqual(self.ask(f"Authorization: Bearer {token}", client=trusted)[0], 200)
            for fields in ([], [f"Cookie: token={token}"], [f"X-Token: {token}"], [f"Proxy-Authorization: Bearer {token}"]):
                self.assertEqual(self.ask(*fields)[0], 401, fields)
                self.assertEqual(self.ask(*fields, target=f"/v1/jobs?token={token}")[0], 401, fields)
            self.assertEqual(self.ask(f"Authorization: Bearer {token}", f"Authorization: Bearer {token}")[0], 400)
            seen = set()
            for number in range(140):
                guess = [token[:-1], token + "x", token.swapcase() + ".", "", "x" * 5000, token[:16]][number % 6]
                status, raw = self.ask(f"Authorization: Bearer {guess}")
                seen.add(status)
                self.assertIn(status, (401, 429))
            self.assertEqual(seen, {401, 429})
            self.assertRegex(raw, rb"\r\nRetry-After: \d+\r\n")
            # Now a right token tells nothing either, but to who had shown it before; the other transport and the probes go on.
            self.assertEqual(self.ask(f"Authorization: Bearer {token}")[0], 429)
            self.assertEqual(self.ask(f"Authorization: Bearer {token}", client=trusted)[0], 200)
            for target in ("/healthz", "/readyz"):
                self.assertEqual(self.ask(target=target)[0], 200)
            self.daemon.get("/v1/version")


if __name__ == "__main__":
    unittest.main()
