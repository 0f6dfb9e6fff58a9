# SPDX-License-Identifier: Apache-2.0
"""Load on a drayd: many jobs posted over keep-alive connections, each by a process of its own, so that no client waits for another.

    answers = offer(daemon, lambda client, number: {"kind": "copy", ...}, seconds=10)
    answers.rate(202), answers.p99(503)
"""

import json
import os
import select
import socket
import sys
import time
import traceback


class Answers:
    """seconds: how long it took; list: [status, seconds, job id or None, Retry-After or None], one per request."""

    def __init__(self, clients):
        self.list = [answer for c in clients for answer in c["answers"]]
        self.seconds = max(c["end"] for c in clients) - min(c["begin"] for c in clients)

    def count(self, status):
        return sum(a[0] == status for a in self.list)

    def rate(self, status):
        return self.count(status) / self.seconds

    def times(self, status):
        return sorted(a[1] for a in self.list if a[0] == status)

    def percentile(self, status, per_cent):
        times = self.times(status)
        return times[min(len(times) - 1, len(times) * per_cent // 100)] if times else 0.0

    def p99(self, status):
        return self.percentile(status, 99)

    def ids(self):
        return [a[2] for a in self.list if a[2]]


def read_answer(sock):
    """(status, header lines in lower case, body) of an answer with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    while len(body) < length:
        body += receive(sock)
    return int(lines[0].split()[1]), lines[1:], body


def receive(sock):
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("drayd closed the connection")
    return data


def post(sock, body):
    sock.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    status, head, answer = read_answer(sock)
    again = next((line.split(":")[1].strip() for line in head if line.startswith("retry-after:")), None)
    return status, json.loads(answer)["id"] if status == 202 else None, again


def client(path, make, number, seconds, count, pause_s):
    answers, n = [], 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        begin = time.monotonic()
        while n < count if count else time.monotonic() < begin + seconds:
            wait = begin + n * pause_s - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            body = json.dumps(make(number, n)).encode()
            started = time.monotonic()
            status, job, again = post(sock, body)
            answers.append([status, time.monotonic() - started, job, again])
            n += 1
        return {"begin": begin, "end": time.monotonic(), "answers": answers}


def offer(daemon, make, seconds=None, count=None, connections=8, rate=None, meanwhile=lambda: None):
    """Posts make(client, number) over so many connections, each as fast as it is answered or all together at most `rate` a
    second: for some seconds, or `count` jobs. meanwhile() is called about ten times a second."""
    readers = {}
    for number in range(connections):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(read)
                seen = client(str(daemon.socket), make, number, seconds, count and count // connections,
                              connections / rate if rate else 0)
                with open(write, "w") as out:
                    json.dump(seen, out)
                code = 0
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc(file=sys.stderr)
            os._exit(code)
        os.close(write)
        readers[pid] = read
    while not select.select(list(readers.values()), [], [], 0.1)[0]:
        meanwhile()
    return Answers([result_of(pid, read) for pid, read in readers.items()])


def result_of(pid, read):
    with open(read) as text:
        seen = text.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "a client of the load failed"
    return json.loads(seen)
