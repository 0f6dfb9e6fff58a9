# SPDX-License-Identifier: Apache-2.0
"""A registry that sends what no registry should: every answer ends in a clear problem, and costs the daemon at most two seconds
of processor time and 64 MiB of its own memory."""

import contextlib
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import re
import tarfile
import threading
import unittest

from daemon import Daemon
from images import CONFIG, INDEX, LAYER, MANIFEST, sha256

MIB = 1 << 20
SANITIZED = bool(os.environ.get("ASAN_OPTIONS"))
CPU_S = 10 if SANITIZED else 2  # a sanitizer's code is several times slower, and its memory is its own
ANON_KIB = 64 << 10
QUICK = {"network.retry_base_ms": 1, "network.retry_count": 1, "network.first_byte_ms": 5000}


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def text(**members):
    return json.dumps({"schemaVersion": 2, **members}, separators=(",", ":")).encode()


class Registry:
    """Answers each path with what `answers` has for the first expression that matches: bytes, (bytes, headers), (status, bytes,
    headers), or a function that is given the handler."""

    def __init__(self):
        self.answers, self.counts, self.lock = [], {}, threading.Lock()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def do_GET(self):
                try:
                    registry.answer(self)
                except (BrokenPipeError, ConnectionError):
                    self.close_connection = True

            do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who is cut off while it sends
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def on(self, pattern, answer):
        self.answers.insert(0, (re.compile(pattern), answer))

    def count(self, pattern):
        return sum(n for path, n in self.counts.items() if re.search(pattern, path))

    def answer(self, handler):
        if length := int(handler.headers.get("Content-Length") or 0):
            handler.rfile.read(length)
        with self.lock:
            self.counts[handler.path] = self.counts.get(handler.path, 0) + 1
        found = next((a for p, a in self.answers if p.search(handler.path)), (404, b"", {}))
        if callable(found):
            found = found(handler)
        if found is None:
            return
        if isinstance(found, bytes):
            found = (200, found, {})
        elif len(found) == 2:
            found = (200, *found)
        self.send(handler, *found)

    @staticmethod
    def send(handler, status, body, headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
            handler.wfile.flush()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def endless(first=b"", block=b" " * 65536, headers=()):
    """An answer without end."""
    def give(handler):
        handler.send_response(200)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(first)
        while True:
            handler.wfile.write(block)
    return give


class Hostile(unittest.TestCase):
    FRESH = False  # a daemon for each test: what is left of one large thing is not to count for the next

    @classmethod
    def setUpClass(cls):
        if not cls.FRESH:
            cls.daemon = cls.enterClassContext(Daemon(settings=QUICK))

    def setUp(self):
        self.registry = Registry()
        self.addCleanup(self.registry.stop)
        if self.FRESH:
            self.daemon = self.enterContext(Daemon(settings=QUICK))
        with contextlib.suppress(OSError):  # the peak begins anew, as proc(5) has it; without the right to that, it goes on
            pathlib.Path(f"/proc/{self.daemon.process.pid}/clear_refs").write_text("5")
        self.before_s = self.cpu_s()
        self.registry.on(r"/v2/$", b"{}")

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def judge(self):
        used_s = self.cpu_s() - self.before_s
        # VmHWM counts pages of files, too; those only grow.
        peak_kib = self.daemon.memory_kib("VmHWM") - self.daemon.memory_kib("RssFile")
        if os.environ.get("SHOW"):
            print(f"{self._testMethodName:60} {used_s:5.2f} s {peak_kib / 1024:7.1f} MiB", flush=True)
        self.assertLessEqual(used_s, CPU_S)
        if not SANITIZED:
            self.assertLessEqual(peak_kib, ANON_KIB)
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)

    def fails(self, spec, *codes):
        job = self.daemon.run_job(spec, state="failed")
        self.assertIn(job["error"]["code"], codes, job["error"])
        self.assertTrue(job["error"]["detail"])
        self.judge()
        return job["error"]

    def copy(self, *codes, **more):
        return self.fails({"kind": "copy", "source": f"{self.registry.address}/a/b:1",
                           "targets": [f"oci:{self.daemon.output_root}/copy:1"], **more}, *codes)

    def build(self, *codes, **more):
        return self.fails({"kind": "build", "base": f"{self.registry.address}/a/b:1",
                           "targets": [f"oci:{self.daemon.output_root}/built:1"], **more}, *codes)

    def manifest(self, body, media_type=MANIFEST, reference="1"):
        self.registry.on(rf"/manifests/{reference}$", (body, {"Content-Type": media_type}))

    def blob(self, data):
        self.registry.on(rf"/blobs/{sha256(data)}$", data)

    def image(self, layers=(), config=None):
        """Puts an image whose layers are (bytes as sent, diff_id); returns its manifest."""
        config = config or json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {
            "type": "layers", "diff_ids": [diff_id for _, diff_id in layers]}}).encode()
        body = text(mediaType=MANIFEST, config=descriptor(config, CONFIG), layers=[descriptor(b, LAYER) for b, _ in layers])
        for data in [config, *(b for b, _ in layers)]:
            self.blob(data)
        self.manifest(body)
        return body


EMPTY = '"config":' + json.dumps(descriptor(b"{}", CONFIG))


class Documents(Hostile):
    def refused(self, body, *codes, media_type=MANIFEST):
        self.manifest(body if isinstance(body, bytes) else body.encode(), media_type)
        return self.copy(*(codes or ("registry-protocol",)))

    def test_a_key_twice(self):
        self.assertIn("duplicate", self.refused('{"schemaVersion":2,%s,"layers":[],"layers":[]}' % EMPTY)["detail"])

    def test_a_key_in_another_case(self):
        self.assertIn("'Layers'", self.refused('{"schemaVersion":2,%s,"layers":[],"Layers":[]}' % EMPTY)["detail"])

    def test_more_behind_the_end(self):
        self.refused('{"schemaVersion":2,%s,"layers":[]}{}' % EMPTY)

    def test_depth(self):
        for depth in (65, 2048, 2049):
            with self.subTest(depth):
                self.assertIn("deeper", self.refused('{"x":' + "[" * depth + "]" * depth + "}")["detail"])

    def test_four_megabytes_of_brackets(self):
        self.refused(b"[" * (4 * MIB))

    def test_a_million_values(self):
        self.assertIn("values", self.refused(b'{"x":[' + b"[]," * MIB + b"[]]}")["detail"])

    def test_as_many_values_as_may_be(self):
        """In a document that then turns out to be nothing."""
        self.refused(b'{"schemaVersion":2,"x":[' + b"{}," * 49_000 + b"{}]}")

    def test_too_many_layers(self):
        layer = json.dumps(descriptor(b"", LAYER))
        self.refused('{"schemaVersion":2,%s,"layers":[%s]}' % (EMPTY, ",".join([layer] * 10_001)))

    def test_an_image_and_an_index(self):
        self.assertIn("index", self.refused('{"schemaVersion":2,%s,"layers":[],"manifests":[]}' % EMPTY)["detail"])

    def test_another_type_than_declared(self):
        self.refused('{"schemaVersion":2,"mediaType":"%s",%s,"layers":[]}' % (MANIFEST, EMPTY), media_type=INDEX)

    def test_sizes(self):
        for size in ("-1", "9223372036854775808", "1e3", "1.5", '"1"', "9007199254740993"):
            with self.subTest(size):
                self.refused('{"schemaVersion":2,"config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[]}' %
                             (CONFIG, sha256(b""), size))

    def test_digests(self):
        for digest in ("sha256:../../../etc/passwd", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "A" * 64,
                       "sha256:" + "a" * 63, "sha256:" + "a" * 10_000, "sha256:" + "a" * 63 + "\\u0000", "\\u00e4"):
            with self.subTest(digest[:40]):
                self.refused('{"schemaVersion":2,"config":{"mediaType":"%s","digest":"%s","size":1},"layers":[]}' % (CONFIG, digest))

    def test_without_end(self):
        self.registry.on("/manifests/1$", endless(headers=[("Content-Type", MANIFEST)]))
        self.copy("too-large", "registry-protocol")

    def test_longer_than_anything(self):
        self.registry.on("/manifests/1$", lambda h: (200, b"{}", {"Content-Type": MANIFEST, "Content-Length": str(10 ** 18)}))
        self.copy("too-large", "registry-protocol", "registry-unreachable")

    def test_compressed_a_thousandfold(self):
        bomb = gzip.compress(b" " * (64 * MIB), 9)
        self.registry.on("/manifests/1$", (bomb, {"Content-Type": MANIFEST, "Content-Encoding": "gzip"}))
        self.copy("too-large", "registry-protocol")

    def test_a_web_page(self):
        self.refused(b"<!DOCTYPE html><html>" + b"<p>hello</p>" * 1000, media_type="text/html")

    def test_headers_without_end(self):
        def give(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for i in range(100_000):
                handler.wfile.write(b"X-Header-%d: y\r\n" % i)
            handler.wfile.write(b"Content-Length: 0\r\n\r\n")
        self.registry.on("/manifests/1$", give)
        self.copy("registry-protocol")


class Configs(Hostile):
    def refused(self, config, *codes):
        self.image(config=config if isinstance(config, bytes) else config.encode())
        return self.build(*(codes or ("registry-protocol",)))

    def test_a_key_twice(self):
        self.refused('{"os":"linux","os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}')

    def test_a_key_in_another_case(self):
        self.refused('{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]},"RootFS":{}}')

    def test_depth_and_values(self):
        for config in ('{"x":' + "[" * 65 + "]" * 65 + "}", '{"x":[' + "[]," * 200_000 + "[]]}"):
            with self.subTest(config[:10]):
                self.refused(config)

    def test_too_large(self):
        self.refused(b" " * (8 * MIB + 1), "too-large", "registry-protocol")

    def test_as_large_as_may_be(self):
        self.refused(b'{"x":"' + b"a" * (8 * MIB - 10) + b'"}')

    def test_other_bytes_than_promised(self):
        config = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'
        self.image(config=config)
        for lie in (config + b" ", config[:-1], b"", config.replace(b"amd64", b"arm64")):
            with self.subTest(len(lie)):
                self.registry.on(f"/blobs/{sha256(config)}$", lie)
                self.build("digest-mismatch", "registry-protocol", "registry-unreachable")

    def test_without_end(self):
        config = b"{}" * 1000
        self.image(config=config)
        self.registry.on(f"/blobs/{sha256(config)}$", endless())
        self.build("digest-mismatch", "registry-protocol", "too-large")


class Graphs(Hostile):
    FRESH = True

    def index(self, children, reference=None):
        body = text(mediaType=INDEX, manifests=children)
        self.manifest(body, INDEX, reference or sha256(body))
        return descriptor(body, INDEX)

    def many_layers(self):
        """36,000 of them, in as few bytes as may be."""
        self.index([self.leaf(n, 0, [{"mediaType": "x", "digest": f"sha256:{n:032x}{i:032x}", "size": 1} for i in range(9_000)])
                    for n in range(4)], "1")

    def leaf(self, number=0, pad=0, layers=()):
        body = text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG), layers=list(layers), annotations={"n": f"{number}{'x' * pad}"})
        self.manifest(body, MANIFEST, sha256(body))
        return descriptor(body, MANIFEST)

    def test_ten_levels_of_shared_indexes(self):
        """A hundred documents, ten billion ways through them."""
        children = [self.leaf(i) for i in range(10)]
        for level in range(9):
            children = [self.index(children + [self.leaf(f"{level}-{i}")]) for i in range(10)]
        self.index(children, "1")
        self.assertIn("nested", self.copy("manifest-unsupported")["detail"])
        self.assertLessEqual(self.registry.count("/manifests/"), 100)

    def test_levels_that_may_be_are_read_once_each(self):
        self.blob(b"{}")
        children = [self.leaf(i) for i in range(10)]
        for level in range(2):
            children = [self.index(children + [self.leaf(f"{level}-{i}")]) for i in range(10)]
        self.index(children, "1")
        self.daemon.run_job({"kind": "copy", "source": f"{self.registry.address}/a/b:1",
                             "targets": [f"oci:{self.daemon.output_root}/copy:1"]})
        self.judge()
        self.assertEqual(self.registry.count("/manifests/"), 1 + 20 + 30)

    def test_an_index_that_claims_to_hold_itself(self):
        """Whatever it is asked for, the registry answers with this."""
        body = text(mediaType=INDEX, manifests=[descriptor(b"x" * 100, INDEX)])
        self.manifest(body, INDEX, ".*")
        self.copy("digest-mismatch", "registry-protocol")

    def test_one_child_ten_thousand_times(self):
        child = self.leaf()
        self.blob(b"{}")
        self.index([child] * 10_000, "1")
        self.daemon.run_job({"kind": "copy", "source": f"{self.registry.address}/a/b:1",
                             "targets": [f"oci:{self.daemon.output_root}/copy:1"]})
        self.judge()
        self.assertEqual(self.registry.count("/manifests/"), 2)

    def test_too_many_children(self):
        self.index([self.leaf()] * 10_001, "1")
        self.copy("registry-protocol", "too-large")

    def test_large_children(self):
        """Each as large as a manifest may be."""
        self.index([self.leaf(i, 4 * MIB - 1000) for i in range(10)], "1")
        self.copy("too-large")
        self.assertEqual(self.registry.count("/manifests/"), 1)  # what is too much is not even asked for

    def test_as_large_children_as_may_be(self):
        """… and as costly to read: of many values."""
        values = [{} for _ in range(48_000)]
        children = []
        for size in (4 * MIB, 2 * MIB - 100_000):
            body = text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG), layers=[], x=values,
                        annotations={"n": "x" * (size - 300_000)})
            self.manifest(body, MANIFEST, sha256(body))
            children.append(descriptor(body, MANIFEST))
        self.index(children, "1")
        self.copy("blob-unknown")

    def test_many_layers_in_many_children(self):
        self.many_layers()
        self.copy("too-large")

    def test_many_layers_of_many_children_are_not_checked(self):
        self.many_layers()
        self.fails({"kind": "check", "source": f"{self.registry.address}/a/b:1"}, "too-large")

    def test_many_layers_of_many_children_make_no_index(self):
        self.many_layers()
        self.fails({"kind": "index", "items": [f"{self.registry.address}/a/b:1"], "targets": [f"oci:{self.daemon.output_root}/x:1"]},
                   "too-large")

    def test_what_refers_to_what_refers_without_end(self):
        """Each answer names one more, which nobody has seen before."""
        self.blob(b"{}")
        root = self.leaf("root")
        self.manifest(next(a for p, a in self.registry.answers if root["digest"] in p.pattern)[0])

        def referrers(handler):
            subject = handler.path.rsplit("/", 1)[1].split("?")[0]
            body = text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG), layers=[],
                        subject={"mediaType": MANIFEST, "digest": subject, "size": 100})
            self.manifest(body, MANIFEST, sha256(body))
            return text(mediaType=INDEX, manifests=[descriptor(body, MANIFEST)]), {"Content-Type": INDEX}
        self.registry.on("/referrers/", referrers)
        self.registry.on("/tags/list", b'{"tags":[]}')
        self.copy("too-large", "manifest-unsupported", referrers=True)
        self.assertLessEqual(self.registry.count("/referrers/"), 20)

    def test_referrers_without_end(self):
        numbers = iter(range(10 ** 9))

        def referrers(handler):
            base = next(numbers)
            body = text(mediaType=INDEX, manifests=[{"mediaType": MANIFEST, "digest": f"sha256:{base:032x}{i:032x}", "size": 1,
                                                     "annotations": {"a": "x" * 300}} for i in range(2000)])
            return body, {"Content-Type": INDEX, "Link": f'<{handler.path.split("?")[0]}?n={base}>; rel="next"'}
        self.registry.on("/referrers/", referrers)
        answer = self.daemon.image("referrers", f"{self.registry.address}/a/b@{sha256(b'x')}")
        self.assertEqual(answer.json()["code"], "too-large", answer.text[:300])
        self.judge()

    def test_as_many_layers_as_may_be(self):
        """None of them is there."""
        layers = [{"mediaType": LAYER, "digest": f"sha256:{i:064x}", "size": 1} for i in range(9_000)]
        self.manifest(text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG), layers=layers))
        self.copy("blob-unknown", "image-not-found")


class Blobs(Hostile):
    def served(self, answer, promised=b"x" * 300_000):
        body = text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG), layers=[descriptor(promised, LAYER)])
        self.manifest(body)
        self.blob(b"{}")
        self.registry.on(f"/blobs/{sha256(promised)}$", answer)

    def test_longer_and_shorter(self):
        for lie in (b"x" * 300_001, b"x" * 299_999, b""):
            with self.subTest(len(lie)):
                self.served(lie)
                self.copy("digest-mismatch", "registry-protocol", "registry-unreachable")

    def test_without_end(self):
        self.served(endless(block=b"x" * 65536))
        self.copy("digest-mismatch", "registry-protocol", "too-large")

    def test_other_bytes(self):
        self.served(b"y" * 300_000)
        self.copy("digest-mismatch")

    def test_huge_by_its_descriptor(self):
        body = text(mediaType=MANIFEST, config=descriptor(b"{}", CONFIG),
                    layers=[{"mediaType": LAYER, "digest": sha256(b"x"), "size": (1 << 53) - 1}])
        self.manifest(body)
        self.blob(b"{}")
        self.registry.on(f"/blobs/{sha256(b'x')}$", b"x")
        self.copy("digest-mismatch", "registry-protocol", "registry-unreachable", "no-space", "too-large")

    def test_a_redirect_loop(self):
        self.served(lambda h: (307, b"", {"Location": h.path}))
        self.copy("registry-protocol")

    def test_a_chain_of_redirects(self):
        self.served(lambda h: (307, b"", {"Location": h.path + "x"}))
        self.registry.on(r"/blobs/sha256:.*x", lambda h: (307, b"", {"Location": h.path + "x"}))
        self.copy("registry-protocol")
        self.assertLessEqual(self.registry.count("/blobs/"), 2 * 12 + 2)


class Pages(Hostile):
    def tags(self, *codes):
        answer = self.daemon.image("tags", f"{self.registry.address}/a/b")
        self.assertGreaterEqual(answer.status, 400, answer.text[:200])
        self.assertIn(answer.json()["code"], codes)
        self.judge()

    def page(self, tags, next_page):
        return 200, json.dumps({"name": "a/b", "tags": tags}).encode(), {"Link": f'<{next_page}>; rel="next"'}

    def test_without_end(self):
        numbers = iter(range(10 ** 9))
        self.registry.on("/tags/list", lambda h: self.page(["t"], f"/v2/a/b/tags/list?last={next(numbers)}"))
        self.tags("registry-protocol", "too-large")
        self.assertLessEqual(self.registry.count("/tags/"), 1001)

    def test_to_itself(self):
        self.registry.on("/tags/list", lambda h: self.page(["t"], h.path))
        self.tags("registry-protocol")
        self.assertLessEqual(self.registry.count("/tags/"), 2)

    def test_large_pages_without_end(self):
        numbers = iter(range(10 ** 9))
        tags = [f"t{i:>0120}" for i in range(30_000)]
        self.registry.on("/tags/list", lambda h: self.page(tags, f"/v2/a/b/tags/list?last={next(numbers)}"))
        self.tags("too-large", "registry-protocol")

    def test_a_page_of_brackets(self):
        self.registry.on("/tags/list", b'{"tags":[' + b"[]," * MIB + b"[]]}")
        self.tags("too-large", "registry-protocol")

    def test_a_page_without_end(self):
        self.registry.on("/tags/list", endless(b'{"tags":['))
        self.tags("too-large", "registry-protocol")


class Failures(Hostile):
    PAGE = b"<p>something for people</p>" * (10 * MIB // 27)

    def test_ten_megabytes_of_error(self):
        for status, code in ((404, "image-not-found"), (403, "registry-denied"), (500, "registry-error"), (418, "registry-protocol")):
            with self.subTest(status):
                self.registry.on("/manifests/", (status, self.PAGE, {"Content-Type": "text/html"}))
                error = self.copy(code, "registry-error", "registry-protocol")
                self.assertLess(len(error["detail"]), 1000)

    def test_an_error_without_end(self):
        def give(handler):
            handler.send_response(500)
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.close_connection = True
            while True:
                handler.wfile.write(b"<p>oops</p>" * 6000)
        self.registry.on("/manifests/", give)
        self.copy("registry-error")

    def test_challenges(self):
        for header in ("Bearer " + "a=b," * 15_000, "x " * 30_000, 'Bearer realm="' + "x" * 60_000 + '"', "Bearer," * 8_000):
            with self.subTest(header[:20]):
                self.registry.on("/manifests/", (401, b"", {"WWW-Authenticate": header}))
                self.copy("registry-denied", "registry-protocol", "registry-auth")

    def test_tokens(self):
        for answer in (endless(b'{"token":"'), self.PAGE, b'{"token":"' + b"x" * 900_000 + b'"}', b"[" * MIB,
                       b'{"token":"a","token":"b"}', b'{"x":[' + b"[]," * 300_000 + b"[]]}"):
            with self.subTest(str(answer)[:20]):
                self.registry.on("/token", answer)
                self.registry.on("/manifests/", (401, b"", {"WWW-Authenticate": 'Bearer realm="/token",service="s"'}))
                self.copy("registry-auth", "registry-protocol", "registry-denied", "too-large")

    def test_401_for_ever(self):
        self.registry.on("/token", b'{"token":"a"}')
        self.registry.on("/manifests/", (401, b"", {"WWW-Authenticate": 'Bearer realm="/token",service="s"'}))
        self.copy("registry-denied")
        self.assertLessEqual(self.registry.count("."), 10)


def zeros(size):
    """A layer of one file of that many zeros: as gzip, and the digest of its tar."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    head, piece, block = info.tobuf(), gzip.compress(bytes(MIB), 9, mtime=0), bytes(MIB)
    whole = hashlib.sha256(head)
    for _ in range(size // MIB):
        whole.update(block)
    whole.update(bytes(1024))
    return gzip.compress(head) + piece * (size // MIB) + gzip.compress(bytes(1024)), "sha256:" + whole.hexdigest()


class Bombs(Hostile):
    """What is small and becomes large: a copy never unpacks; who has to, stops."""

    FRESH = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gigabytes = zeros(768 * MIB)

    def test_a_copy_unpacks_nothing(self):
        self.image([self.gigabytes])
        self.daemon.run_job({"kind": "copy", "source": f"{self.registry.address}/a/b:1",
                             "targets": [f"oci:{self.daemon.output_root}/copy:1"]})
        self.judge()

    def test_a_build_on_it_unpacks_nothing(self):
        self.image([self.gigabytes])
        self.daemon.run_job({"kind": "build", "base": f"{self.registry.address}/a/b:1", "config": {"user": "1"},
                             "targets": [f"oci:{self.daemon.output_root}/built:1"]})
        self.judge()

    def test_a_deep_check_stops(self):
        self.image([self.gigabytes])
        self.fails({"kind": "check", "source": f"{self.registry.address}/a/b:1", "deep": True}, "partial", "too-large")

    def test_a_look_into_the_base_stops(self):
        self.image([self.gigabytes])
        self.build("too-large", base_tree="fetch", layers=[{"files": [{"type": "file", "to": "/x", "text": "x"}]}])

    def test_flatten_stops(self):
        self.image([zeros(0), self.gigabytes])
        self.build("too-large", flatten="all")


if __name__ == "__main__":
    unittest.main()
