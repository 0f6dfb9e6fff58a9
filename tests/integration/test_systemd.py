# SPDX-License-Identifier: Apache-2.0
"""The service manager's protocols – sd_notify(3), sd_listen_fds(3), the journal's native fields – played by the test; and what
systemd itself says of the unit files."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import READY_S, Daemon, UnixConnection, drayd

# Becomes drayd in the same process, with descriptor 3 and LISTEN_PID as systemd sets them.
HAND_OVER = """
import os, sys
fd = int(sys.argv[1])
if fd != 3:
    os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid() + int(sys.argv[2])), LISTEN_FDS="1", LISTEN_FDNAMES="dray.socket")
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """The socket that a service tells its state."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(READY_S)

    def wait_for(self, line, count=1):
        """All messages until this line was in one, so many times."""
        seen = []
        while sum(line in message for message in seen) < count:
            seen.append(self.socket.recv(4096).decode().splitlines())
        return seen


class Notify(unittest.TestCase):
    def told(self, address, name):
        with Daemon(start=False) as daemon:
            manager = Manager(address(daemon))
            self.addCleanup(manager.socket.close)
            daemon.environment.update(NOTIFY_SOCKET=name(daemon), WATCHDOG_USEC="200000")
            daemon.start()
            first = manager.wait_for("READY=1")
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)
            self.assertTrue(all("STOPPING=1" not in message for message in first))
            manager.wait_for("WATCHDOG=1", 3)
            daemon.stop()
            manager.wait_for("STOPPING=1")

    def test_socket_with_a_path(self):
        self.told(lambda daemon: str(daemon.directory / "notify"), lambda daemon: str(daemon.directory / "notify"))

    def test_abstract_socket(self):
        name = f"dray-test-{os.getpid()}-{time.monotonic_ns()}"
        self.told(lambda daemon: "\0" + name, lambda daemon: "@" + name)

    def test_no_watchdog_for_another_process(self):
        with Daemon(start=False) as daemon:
            manager = Manager(str(daemon.directory / "notify"))
            self.addCleanup(manager.socket.close)
            daemon.environment.update(NOTIFY_SOCKET=str(daemon.directory / "notify"), WATCHDOG_USEC="100000", WATCHDOG_PID="1")
            daemon.start()
            manager.wait_for("READY=1")
            time.sleep(0.3)
            daemon.stop()
            self.assertTrue(all("WATCHDOG=1" not in message for message in manager.wait_for("STOPPING=1")))


    def test_stuck_worker_stops_the_watchdog(self):
        with socket.create_server(("127.0.0.1", 0)) as silent, Daemon(settings={"daemon.stuck_ms": "300"}, start=False) as daemon:
            manager = Manager(str(daemon.directory / "notify"))
            self.addCleanup(manager.socket.close)
            daemon.environment.update(NOTIFY_SOCKET=str(daemon.directory / "notify"), WATCHDOG_USEC="200000")
            daemon.start()
            manager.wait_for("WATCHDOG=1", 3)
            job = daemon.post_job({"kind": "copy", "source": f"127.0.0.1:{silent.getsockname()[1]}/a:1", "targets": ["127.0.0.1:1/b:1"]})
            manager.socket.settimeout(3)
            with self.assertRaises(TimeoutError):  # the loop turns, and says nothing
                manager.wait_for("WATCHDOG=1", 200)
            self.assertEqual(daemon.request("GET", "/healthz").status, 200)
            daemon.request("POST", f"/v1/jobs/{job['id']}/cancel")
            daemon.wait_job(job["id"])
            manager.socket.settimeout(30)
            manager.wait_for("WATCHDOG=1", 3)


class SocketActivation(unittest.TestCase):
    def start(self, daemon, pid_offset):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = daemon.directory / "handed.sock"
        listener.bind(str(path))
        listener.listen(8)
        # A client that was there before the service: its request waits in the socket.
        early = UnixConnection(path, 30)
        self.addCleanup(early.close)
        early.request("GET", "/v1/version", headers={"Host": "localhost"})
        with open(daemon.log, "ab") as log:
            daemon.process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(listener.fileno()), str(pid_offset), drayd(), *map(str, daemon.arguments)],
                env=daemon.environment, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + READY_S
        while "drayd ready:" not in daemon.log_text():
            self.assertIsNone(daemon.process.poll(), daemon.log_text())
            self.assertLess(time.monotonic(), until)
            time.sleep(0.02)
        return path, early

    def test_handed_over(self):
        with Daemon(start=False) as daemon:
            path, early = self.start(daemon, 0)
            self.assertIn(f"unix:{path}", daemon.log_text())
            answer = early.getresponse()
            self.assertEqual(answer.status, 200)
            self.assertIn("version", json.loads(answer.read()))
            self.assertFalse(daemon.socket.exists())  # instead of the configured one
            daemon.stop()
            self.assertTrue(path.exists())  # it is systemd's and stays

    def test_meant_for_another_process(self):
        with Daemon(start=False) as daemon:
            path, _ = self.start(daemon, 1)
            self.assertNotIn(f"unix:{path}", daemon.log_text())
            self.assertEqual(daemon.request("GET", "/readyz").status, 200)


class Units(unittest.TestCase):
    """systemd judges the units as installed."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.root = pathlib.Path(directory.name)
        done = subprocess.run(["cmake", "--install", os.environ["DRAY_BUILD"], "--component", "units"], capture_output=True,
                              text=True, timeout=120, check=False, env={**os.environ, "DESTDIR": str(cls.root)})
        assert done.returncode == 0, done.stderr
        cls.installed = {kind: sorted(cls.root.rglob(f"systemd/{kind}/dray.*")) for kind in ("system", "user")}

    def run_analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "XDG_RUNTIME_DIR": str(self.root)})

    def test_security(self):
        service = next(path for path in self.installed["system"] if path.suffix == ".service")
        done = self.run_analyze("security", "--offline=true", "--threshold=12", "--no-pager", service)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def verify(self, kind):
        self.assertEqual([path.suffix for path in self.installed[kind]], [".service", ".socket"])
        units = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        for path in self.installed[kind]:  # the program is not yet where it will be
            text = path.read_text()
            self.assertEqual("ExecStart=/" in text, path.suffix == ".service")
            (units / path.name).write_text(re.sub("^ExecStart=.*/drayd", f"ExecStart={drayd()}", text, flags=re.MULTILINE))
        done = self.run_analyze("verify", f"--{kind}", "--man=no", *sorted(units.iterdir()))
        own = [line for line in done.stderr.splitlines() if "dray" in line]
        self.assertEqual((done.returncode, own), (0, []), done.stderr)

    def test_system_units(self):
        self.verify("system")

    def test_user_units(self):
        self.verify("user")


if __name__ == "__main__":
    unittest.main()
