# SPDX-License-Identifier: Apache-2.0
"""A drayd of the test: temporary directories, a unix socket, HTTP helpers, and a stop that looks for faults.

    with Daemon() as daemon:
        job = daemon.run_job({"kind": "copy", "source": "...", "targets": ["..."]})
        assert job["state"] == "succeeded"

DRAYD names the program. Leaving the block stops it with SIGTERM and fails unless it exits 0 without a sanitizer's report.
"""

import base64
import contextlib
import http.client
import json as jsonlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

READY_S = 60
STOP_S = 60
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:")


def drayd():
    return os.environ.get("DRAYD", str(pathlib.Path(__file__).parents[2] / "build/dev/daemon/drayd"))


def environment(home, more=None):
    """Variables for a drayd that sees nothing of who runs the test. Proxies are not handed on."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR") or k.endswith("SAN_OPTIONS")}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **(more or {})}


def run_drayd(*arguments, more=None):
    """Runs drayd to its end, with an empty home."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([drayd(), *map(str, arguments)], env=environment(home, more), capture_output=True,
                              text=True, timeout=60, check=False)


def login(username, password):
    """An entry of `auths` in Docker's file."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Response:
    """A whole answer. headers is case-insensitive (http.client's)."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return jsonlib.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:2000]!r}>"


class Stream:
    """An answer that is read while it comes. Iterating gives lines as bytes; close() leaves early."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status, self.headers = response.status, response.headers

    def __iter__(self):
        while line := self.response.readline():
            yield line.rstrip(b"\n")

    def read(self):
        return self.response.read()

    def close(self):
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Daemon:
    """arguments go to drayd as they are; settings are --set SECTION.KEY=VALUE.

    directory   holds everything: state/ cache/ build/ (a build root) out/ (the output root, readable too) log dray.sock
    tcp=True    listens on a loopback port too: address and token are set
    roots       more build roots
    more        more variables of the environment; HOME is the directory
    """

    def __init__(self, *arguments, tcp=False, roots=(), settings=None, more=None, start=True):
        # Short: the path of a unix socket has at most 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dray.", dir="/tmp")).resolve()
        self.socket = self.directory / "dray.sock"
        self.state, self.cache = self.directory / "state", self.directory / "cache"
        self.build_root, self.output_root = self.directory / "build", self.directory / "out"
        self.log = self.directory / "log"
        self.build_root.mkdir()
        self.output_root.mkdir()
        self.address = self.token = self.process = None
        self.ready = ""
        self.arguments = [
            "--listen", f"unix:{self.socket}", "--state-dir", self.state, "--cache-dir", self.cache,
            "--build-root", self.build_root, "--build-root", self.output_root, "--output-root", self.output_root,
        ]
        if tcp:
            self._listen_tcp()
        for root in roots:
            self.arguments += ["--build-root", root]
        for key, value in (settings or {}).items():
            self.arguments += ["--set", f"{key}={value}"]
        self.arguments += arguments
        self.environment = environment(self.directory, more)
        if start:
            try:
                self.start()
            except BaseException:
                self.kill()
                self.remove()
                raise

    def _listen_tcp(self):
        self.address = f"127.0.0.1:{free_port()}"
        self.token = os.urandom(16).hex()
        token_file = self.directory / "token"
        with open(os.open(token_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write(self.token + "\n")
        self.arguments += ["--listen", f"tcp:{self.address}", "--token-file", token_file]

    def docker_config(self, **members):
        """Writes ~/.docker/config.json."""
        (self.directory / ".docker").mkdir(exist_ok=True)
        (self.directory / ".docker/config.json").write_text(jsonlib.dumps(members))

    def credential_helper(self, registry, username, password):
        """A helper for one registry, to be called before the start. Each run leaves a line in the file `runs`."""
        helpers = self.directory / "helpers"
        helpers.mkdir()
        helper = helpers / "docker-credential-test"
        answer = jsonlib.dumps({"ServerURL": registry, "Username": username, "Secret": password})
        helper.write_text(f"#!/bin/sh\necho run >> {self.directory}/runs\ncat >/dev/null\nprintf %s '{answer}'\n")
        helper.chmod(0o755)
        self.docker_config(credHelpers={registry: "test"})
        self.arguments += ["--set", f"credentials.helper_path={helpers}"]

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self):
        """Starts it and waits for its ready line. After a stop or kill: starts it again on the same directories."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([drayd(), *map(str, self.arguments)], env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            found = re.search(rb"^drayd ready: (.*)$", self.log.read_bytes()[offset:], re.MULTILINE)
            if found:
                self.ready = found[1].decode()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"drayd did not become ready (exit {self.process.poll()}):\n{self.log_text()}")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self, expected=0):
        """SIGTERM; fails unless drayd ends in time, with this exit code and no sanitizer's report."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"drayd did not stop within {STOP_S} s:\n{self.log_text()[-8000:]}") from None
        self.process = None
        text = self.log_text()
        if code != expected or REPORT.search(text):
            raise AssertionError(f"drayd ended with {code}:\n{text[-8000:]}")

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
            else:  # the test has failed already; its own error is the one to see
                with contextlib.suppress(AssertionError):
                    self.stop()
                print(f"-- log of drayd\n{self.log_text()[-8000:]}")
        finally:
            self.kill()
            self.remove()

    def memory_kib(self, field="RssAnon"):
        """A figure of /proc/PID/status."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)[1])

    # -- HTTP ---------------------------------------------------------------------------------------------------

    def connection(self, timeout=60, tcp=False):
        if tcp:
            return http.client.HTTPConnection(self.address, timeout=timeout)
        return UnixConnection(self.socket, timeout)

    def open(self, method, path, json=None, headers=None, body=None, timeout=60, tcp=False):
        """Sends a request and returns the Stream of its answer."""
        headers = dict(headers or {})
        if json is not None:
            body = jsonlib.dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if tcp and self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        connection = self.connection(timeout, tcp)
        try:
            connection.request(method, path, body=body, headers=headers)
            return Stream(connection, connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def request(self, method, path, json=None, headers=None, body=None, timeout=60, tcp=False):
        with self.open(method, path, json, headers, body, timeout, tcp) as stream:
            return Response(stream.status, stream.headers, stream.read())

    def get(self, path, **keywords):
        """The JSON of a GET that must answer 200."""
        response = self.request("GET", path, **keywords)
        assert response.status == 200, response
        return response.json()

    def image(self, route, ref, method="GET", **parameters):
        """A request to /v1/images/ROUTE?ref=REF."""
        query = urllib.parse.urlencode({"ref": ref, **parameters})
        return self.request(method, f"/v1/images/{route}?{query}")

    # -- jobs ---------------------------------------------------------------------------------------------------

    def post_job(self, spec, headers=None):
        """Posts a job that must be accepted, and returns it."""
        response = self.request("POST", "/v1/jobs", json=spec, headers=headers)
        assert response.status == 202, response
        job = response.json()
        assert response.headers["Location"] == f"/v1/jobs/{job['id']}", response.headers
        return job

    def refused_job(self, spec, headers=None):
        """Posts a job that must be refused, and returns (status, problem)."""
        response = self.request("POST", "/v1/jobs", json=spec, headers=headers)
        assert response.status >= 400, response
        assert response.headers["Content-Type"].startswith("application/problem+json"), response.headers
        return response.status, response.json()

    def job(self, job_id):
        return self.get(f"/v1/jobs/{job_id}")

    def wait_job(self, job_id, timeout=120):
        """The job once it is terminal."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            assert left > 0, f"job {job_id} did not end within {timeout} s: {self.job(job_id)}"
            job = self.get(f"/v1/jobs/{job_id}?wait={max(1, min(30, int(left)))}")
            if job["terminal"]:
                return job

    def run_job(self, spec, timeout=120, state="succeeded"):
        """Posts a job, waits for it and checks its state (None: any)."""
        job = self.wait_job(self.post_job(spec)["id"], timeout)
        assert state is None or job["state"] == state, jsonlib.dumps(job, indent=1)
        return job

    def events(self, job_id, since=0, follow=True, timeout=120):
        """Iterates over a job's events as dicts; ends with job.finished, or where the stream does."""
        path = f"/v1/jobs/{job_id}/events?since={since}&follow={int(follow)}"
        yield from self.event_stream(path, timeout=timeout)

    def all_events(self, after=None, timeout=120):
        """Iterates over the events of all jobs; without end."""
        query = f"?after={urllib.parse.quote(after)}" if after else ""
        yield from self.event_stream(f"/v1/events{query}", timeout=timeout)

    def event_stream(self, path, timeout=120):
        with self.open("GET", path, headers={"Accept": "application/x-ndjson"}, timeout=timeout) as stream:
            assert stream.status == 200, Response(stream.status, stream.headers, stream.read())
            for line in stream:
                if line:
                    yield jsonlib.loads(line)


def parse_problem(response, status, code):
    """The problem of an answer that must be one, with this status and code."""
    assert response.status == status, response
    assert response.headers["Content-Type"].startswith("application/problem+json"), response.headers
    problem = response.json()
    assert problem["code"] == code and problem["detail"], problem
    return problem
