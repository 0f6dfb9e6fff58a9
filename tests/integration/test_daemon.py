# SPDX-License-Identifier: Apache-2.0
"""drayd starts, answers, refuses what it must, and stops in order."""

import os
import pathlib
import signal
import socket
import time
import unittest
import unittest.mock

from daemon import Daemon, drayd, parse_problem, run_drayd


class StartAndStop(unittest.TestCase):
    def test_ready_line_names_the_listeners(self):
        with Daemon(tcp=True) as daemon:
            self.assertIn(str(daemon.socket), daemon.ready)
            self.assertIn(daemon.address, daemon.ready)
            self.assertEqual(daemon.request("GET", "/healthz").status, 200)
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)
            self.assertIn("version", daemon.get("/v1/version"))

    def test_stop_leaves_no_socket_and_starts_again(self):
        with Daemon() as daemon:
            started = time.monotonic()
            daemon.stop()
            self.assertLess(time.monotonic() - started, 25)  # at once when idle, not after drain_ms
            self.assertFalse(daemon.socket.exists())
            daemon.start()
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)

    def test_stop_with_an_open_stream(self):
        with Daemon() as daemon:
            with daemon.open("GET", "/v1/events") as stream:
                self.assertEqual(stream.status, 200)
                daemon.stop()

    def test_starts_over_what_a_crash_left(self):
        with Daemon() as daemon:
            daemon.kill()
            self.assertTrue(daemon.socket.exists())
            daemon.start()
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)

    def test_second_daemon_on_the_same_state_is_refused(self):
        with Daemon() as daemon:
            second = run_drayd("--listen", f"unix:{daemon.directory}/second.sock", "--state-dir", daemon.state,
                               "--cache-dir", daemon.cache)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(daemon.state), second.stderr)
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)

    def test_files_are_private(self):
        with Daemon() as daemon:
            self.assertEqual(pathlib.Path(daemon.state).stat().st_mode & 0o077, 0)


class Memory(unittest.TestCase):
    """The process holds credentials: it leaves no core and is nobody else's to look into, not even its own user's."""

    def test_no_core(self):
        with Daemon() as daemon:
            limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 +0 ")

    @unittest.skipIf(os.geteuid() != 0, "only root can start it as somebody else")
    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "the leak checker looks into its own process")
    def test_not_dumpable(self):
        with Daemon(start=False) as daemon:
            wrapper = daemon.directory / "as-nobody"
            wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {drayd()} "$@"\n')
            wrapper.chmod(0o755)
            for path in (daemon.directory, *daemon.directory.iterdir()):
                os.chown(path, 65534, 65534)
            with unittest.mock.patch.dict(os.environ, DRAYD=str(wrapper)):
                daemon.start()
            process = pathlib.Path(f"/proc/{daemon.process.pid}")
            self.assertIn("\nUid:\t65534\t65534\t65534\t65534\n", (process / "status").read_text())
            self.assertEqual((process / "environ").stat().st_uid, 0)  # as proc(5) has it of what is not dumpable


class CommandLine(unittest.TestCase):
    def test_version(self):
        done = run_drayd("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^drayd \d+\.\d+\.\d+")

    def test_faults_are_usage_errors(self):
        faults = {
            "--no-such-option": "no-such-option", "--listen=nonsense": "listen", "--workers=many": "workers",
            "--set=daemon.no_such_key=1": "no_such_key", "--set=host r.example.com:5000.no_such_key=1": "no_such_key",
            "--set=host r.example.com.plain_http=perhaps": "plain_http", "--set=workers=1": "SECTION.KEY", "--build-root=relative": "build_roots",
            "--config=/no/such/file": "/no/such/file",
        }
        for argument, named in faults.items():
            with self.subTest(argument):
                done = run_drayd(*argument.split("=", 1), "--check-config")
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(named, done.stderr)

    def test_only_loopback_is_offered(self):
        with Daemon(start=False) as daemon:
            done = run_drayd("--listen", "tcp:0.0.0.0:0", "--state-dir", daemon.state, "--cache-dir", daemon.cache)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("0.0.0.0", done.stderr)


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(tcp=True)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def test_unknown_route_and_method(self):
        parse_problem(self.daemon.request("GET", "/no/such"), 404, "not-found")
        refused = self.daemon.request("PATCH", "/v1/jobs")
        parse_problem(refused, 405, "method-not-allowed")
        self.assertIn("POST", refused.headers["Allow"])

    def test_bodies(self):
        def post(**keywords):
            return self.daemon.request("POST", "/v1/jobs", **keywords)

        json_type = {"Content-Type": "application/json"}
        parse_problem(post(body="{", headers=json_type), 400, "invalid-request")
        parse_problem(post(body="[]", headers=json_type), 400, "invalid-request")
        parse_problem(post(body="{}", headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type")
        parse_problem(post(body=b" " * ((1 << 20) + 1), headers=json_type), 413, "too-large")
        parse_problem(post(body="[" * 65 + "]" * 65, headers=json_type), 413, "too-large")
        problem = parse_problem(post(json={"kind": "copy", "nonsense": 1}), 400, "invalid-request")
        self.assertTrue(problem["errors"][0]["pointer"].startswith("/"))

    def test_host_and_origin(self):
        def get(headers):
            return self.daemon.request("GET", "/v1/jobs", headers=headers, tcp=True)

        self.assertEqual(get({}).status, 200)
        parse_problem(get({"Host": "evil.example"}), 421, "misdirected")
        parse_problem(get({"Origin": "http://evil.example"}), 403, "forbidden-origin")

    def test_tcp_wants_the_token(self):
        parse_problem(self.daemon.request("GET", "/v1/jobs", headers={"Authorization": "Bearer wrong"}, tcp=True), 401,
                      "unauthorized")
        self.assertEqual(self.daemon.request("GET", "/healthz", headers={"Authorization": ""}, tcp=True).status, 200)


class Drain(unittest.TestCase):
    def test_draining_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as silent, Daemon() as daemon:
            spec = {"kind": "copy", "source": f"127.0.0.1:{silent.getsockname()[1]}/a:1", "targets": ["127.0.0.1:1/b:1"]}
            job = daemon.post_job(spec)
            while daemon.job(job["id"])["state"] == "queued":
                time.sleep(0.02)
            os.kill(daemon.process.pid, signal.SIGTERM)
            until = time.monotonic() + 20
            while daemon.request("GET", "/readyz").status == 200:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.02)
            parse_problem(daemon.request("GET", "/readyz"), 503, "draining")
            parse_problem(daemon.request("POST", "/v1/jobs", json=spec), 503, "draining")
            self.assertRegex(daemon.request("GET", "/metrics").text, r"(?m)^dray_draining 1$")
            self.assertEqual(daemon.request("GET", "/healthz").status, 200)
            daemon.request("POST", f"/v1/jobs/{job['id']}/cancel")

    def test_sigterm_twice_ends_at_once(self):
        with Daemon() as daemon:
            process = daemon.process
            os.kill(process.pid, signal.SIGTERM)
            os.kill(process.pid, signal.SIGTERM)
            self.assertIsNotNone(process.wait(30))
            daemon.process = None


if __name__ == "__main__":
    unittest.main()
