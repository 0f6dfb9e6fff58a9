# SPDX-License-Identifier: Apache-2.0
"""The client as people and scripts see it: exit codes, what goes to stdout and what to stderr, signals, resumption, completion."""

import contextlib
import hashlib
import json
import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import Daemon
from registries import Registry, TlsRegistry

DRAY = os.environ.get("DRAY", str(pathlib.Path(__file__).parents[2] / "client/dray"))
COMPLETION = pathlib.Path(DRAY).parent / "completions/dray.bash"
SHELLS = (["sh"], ["bash", "--posix"], ["busybox", "sh"])
VERBS = ("build copy index check ps show logs wait cancel retry rm events inspect tags manifest blob mount referrers catalog "
         "archive cache credentials doctor api version").split()


class Client:
    """Runs dray against a daemon."""

    def __init__(self, address, home="/nonexistent"):
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DRAY_HOST": str(address), "TERM": "dumb"}

    def run(self, *arguments, shell=("sh",), stdin=None, **keywords):
        return subprocess.run([*shell, DRAY, *map(str, arguments)], env=self.environment, capture_output=True, timeout=120,
                              check=False, input=stdin, **keywords)

    def start(self, *arguments, shell=("sh",)):
        """In a process group of its own, as a terminal would do."""
        return subprocess.Popen([*shell, DRAY, *map(str, arguments)], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def is_gone(group, timeout=10):
    """No process of the group is left."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


class Case(unittest.TestCase):
    settings = {"network.retry_count": 0}
    roots = True

    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.daemon = Daemon(settings=cls.settings)
        cls.client = Client(f"unix://{cls.daemon.socket}")
        cls.host = cls.registry.address
        tree = cls.daemon.build_root / "app"
        tree.mkdir()
        (tree / "file").write_text("content\n")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        cls.registry.stop()

    def build(self, name, *more, **keywords):
        return self.client.run("build", "--add", f"{self.daemon.build_root}/app:/app", "-t", f"{self.host}/{name}", *more,
                               **keywords)

    def expect(self, code, result):
        self.assertEqual(result.returncode, code, result)
        return result


class Commands(Case):
    # -- exit codes

    def test_0_and_output(self):
        for shell in SHELLS:
            done = self.expect(0, self.build("team/app:1", shell=shell))
            self.assertRegex(done.stdout.decode(), rf"\A{self.host}/team/app@sha256:[0-9a-f]{{64}}\n\Z")
            self.assertIn(b"queued", done.stderr)
            self.assertNotIn(b"result:", done.stderr)

    def test_output_json(self):
        done = self.expect(0, self.build("team/app:json", "-o", "json", "--progress=json"))
        job = json.loads(done.stdout)
        self.assertEqual(job["state"], "succeeded")
        events = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertEqual(events[-1]["type"], "job.finished")
        quiet = self.expect(0, self.build("team/app:none", "--progress=none"))
        self.assertEqual(quiet.stderr, b"")

    def test_output_detached(self):
        job = self.expect(0, self.build("team/app:detached", "--detach")).stdout.decode().strip()
        for shell in SHELLS:
            done = self.expect(0, self.client.run("wait", job, shell=shell))
            self.assertTrue(done.stdout.startswith(f"{self.host}/team/app@".encode()), done)
            self.assertEqual(done.stderr, b"")
        self.assertIn(b"result: succeeded exit=0", self.expect(0, self.client.run("logs", "-f", job)).stdout)
        self.assertEqual(json.loads(self.expect(0, self.client.run("show", job, "-o", "json")).stdout)["id"], job)
        self.assertIn(job.encode(), self.expect(0, self.client.run("ps", "--state", "succeeded")).stdout)
        again = self.expect(0, self.client.run("retry", job, "--progress=none")).stdout
        self.assertTrue(again.startswith(f"{self.host}/team/app@".encode()))
        self.expect(0, self.client.run("rm", job))
        self.expect(2, self.client.run("show", job))
        self.expect(2, self.client.run("wait", job))

    def test_spec_from_standard_input(self):
        spec = {"kind": "build", "base": "scratch", "targets": [f"{self.host}/team/app:stdin"]}
        self.expect(0, self.client.run("build", "-f", "-", stdin=json.dumps(spec).encode()))

    def test_1_job_failed(self):
        failed = self.expect(1, self.client.run("build", "--base", "scratch", "-t", "127.0.0.1:1/x:1"))
        self.assertEqual(failed.stdout, b"")
        self.assertIn(b"127.0.0.1:1", failed.stderr)

    def test_a_fault_is_told_once(self):
        for progress in ("plain", "none", "json"):
            failed = self.client.run("build", "--base", "scratch", "-t", "127.0.0.1:1/x:1", f"--progress={progress}")
            told = [line for line in failed.stderr.decode().splitlines() if "refused" in line and not line.startswith((" ", "{"))]
            self.assertEqual((failed.returncode, len(told)), (1, 1), failed)

    def test_3_who_is_not_there_is_said_in_words(self):
        with tempfile.TemporaryDirectory() as directory:
            place = pathlib.Path(directory) / "dray.sock"
            missing = self.expect(3, Client(f"unix://{place}").run("ps"))
            self.assertIn(b"there is no such socket", missing.stderr)
            with socket.socket(socket.AF_UNIX) as left:  # of a daemon that is gone
                left.bind(str(place))
                self.assertIn(b"nobody listens there", self.expect(3, Client(f"unix://{place}").run("ps")).stderr)
            self.assertNotIn(b"port 80", missing.stderr)

    def test_2_usage(self):
        for words in (["nonsense"], ["build", "--nonsense"], ["build"], ["copy", "a"], ["tags"], ["tags", "--x", "a"],
                      ["build", "-t"], ["build", "-f", "/no/such/file"], ["build", "-t", "x", "--progress=loud"],
                      ["cache", "prune", "--keep", "x"], ["api", "GET"], ["blob", "get"], ["blob", "put", "a/b", "/no/such"],
                      ["copy", "UPPER/case:1", "a/b"], ["archive", "a", "b", "c"], ["show", "../x"], []):
            result = self.expect(2, self.client.run(*words))
            self.assertEqual(result.stdout, b"", words)
            self.assertTrue(result.stderr, words)

    def test_3_unreachable(self):
        nobody = Client("unix:///nonexistent/dray.sock")
        for words in (["ps"], ["build", "-t", "x"], ["version"], ["tags", "a/b"], ["logs", "01JDXQ4M0R5T6V7W8X9Y0Z1A2B"],
                      ["api", "GET", "/"], ["manifest", "get", "a/b"], ["manifest", "head", "a/b"], ["doctor"]):
            result = self.expect(3, nobody.run(*words))
            self.assertTrue(result.stderr + result.stdout, words)

    def test_5_not_found(self):
        self.expect(5, self.client.run("copy", f"{self.host}/no/such:1", f"{self.host}/team/x:1"))
        for words in (["inspect", f"{self.host}/no/such:1"], ["manifest", "get", f"{self.host}/no/such:1"],
                      ["manifest", "head", f"{self.host}/no/such:1"],
                      ["blob", "get", f"{self.host}/no/such@sha256:{'0' * 64}"],
                      ["blob", "head", f"{self.host}/no/such@sha256:{'0' * 64}"],
                      ["archive", f"{self.host}/no/such:1"]):
            for shell in SHELLS:
                result = self.expect(5, self.client.run(*words, shell=shell))
                self.assertEqual(result.stdout, b"", words)

    def test_help(self):
        self.assertIn(b"Usage", self.expect(0, self.client.run("--help")).stdout)
        for verb in VERBS:
            shown = self.expect(0, self.client.run(verb, "--help")).stdout
            self.assertIn(f"dray {verb}".encode(), shown)
            self.assertIn(b"Examples\n  dray", shown.replace(b"  tar c", b"  dray"), verb)
            self.assertIn(verb.encode(), self.client.run("--help").stdout)

    def test_index_and_check(self):
        image = self.build("team/index:amd64").stdout.decode().strip()
        target = f"{self.host}/team/index:1"
        made = self.expect(0, self.client.run("index", "-t", target, f"{self.host}/team/index:amd64"))
        self.assertTrue(made.stdout.startswith(f"{self.host}/team/index@sha256:".encode()), made)
        self.assertIn(image.split("@")[1].encode(), self.expect(0, self.client.run("inspect", target)).stdout)
        changed = self.client.run("index", "--base", target, "--annotation", "a=b c", "-t", f"{self.host}/team/index:2")
        self.expect(0, changed)
        shown = json.loads(self.client.run("inspect", f"{self.host}/team/index:2").stdout)
        self.assertEqual(shown["annotations"], {"a": "b c"})
        checked = self.expect(0, self.client.run("check", "--deep", target))
        self.assertEqual(checked.stdout.strip(), made.stdout.strip().split(b"@")[1])

    def test_terminal(self):
        for shell in SHELLS:
            pid, terminal = pty.fork()
            if pid == 0:
                os.execvpe(shell[0], [*shell, DRAY, "build", "--base", "scratch", "-t", f"{self.host}/team/tty:1"],
                           {**self.client.environment, "TERM": "xterm"})
            shown = b""
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while data := os.read(terminal, 65536):
                    shown += data
            os.close(terminal)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, shown)
            self.assertIn(b"\x1b[K", shown)  # bars that are drawn over
            self.assertRegex(shown.splitlines()[-1].decode(), rf"^{self.host}/team/tty@sha256:")

    # -- questions

    def test_manifests(self):
        digest = self.build("team/man:1").stdout.decode().strip().split("@")[1]
        for shell in SHELLS:
            data = self.expect(0, self.client.run("manifest", "get", f"{self.host}/team/man:1", shell=shell)).stdout
            self.assertEqual("sha256:" + hashlib.sha256(data).hexdigest(), digest)
            head = self.expect(0, self.client.run("manifest", "head", f"{self.host}/team/man:1", shell=shell))
            self.assertEqual(head.stdout.decode().strip(), digest)
            put = self.client.run("manifest", "put", f"{self.host}/team/man:2", "-", stdin=data, shell=shell)
            self.assertEqual(self.expect(0, put).stdout.decode().strip(), digest)
        self.assertEqual(self.expect(0, self.client.run("tags", f"{self.host}/team/man")).stdout, b"1\n2\n")
        self.assertIn(b"team/man\n", self.expect(0, self.client.run("catalog", self.host)).stdout)
        self.assertEqual(self.expect(0, self.client.run("referrers", f"{self.host}/team/man:1")).stdout, b"")
        self.expect(0, self.client.run("manifest", "rm", f"{self.host}/team/man@{digest}"))
        self.expect(5, self.client.run("manifest", "get", f"{self.host}/team/man:1"))

    def test_blobs(self):
        data = os.urandom(3_000_000)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "a blob"
            file.write_bytes(data)
            for shell in SHELLS:
                put = self.expect(0, self.client.run("blob", "put", f"{self.host}/team/blob", file, shell=shell))
                self.assertEqual(put.stdout.decode().strip(), digest)
                got = self.expect(0, self.client.run("blob", "get", f"{self.host}/team/blob@{digest}", shell=shell))
                self.assertEqual(got.stdout, data)
            put = self.client.run("blob", "put", f"{self.host}/team/blob@{digest}", "-", stdin=data)
            self.assertEqual(self.expect(0, put).stdout.decode().strip(), digest)
            target = pathlib.Path(directory) / "target"
            self.expect(0, self.client.run("blob", "get", f"{self.host}/team/blob@{digest}", target))
            self.assertEqual(target.read_bytes(), data)
            self.expect(5, self.client.run("blob", "get", f"{self.host}/team/blob@sha256:{'0' * 64}", f"{target}2"))
            self.assertEqual(sorted(p.name for p in target.parent.iterdir()), ["a blob", "target"])
        head = self.expect(0, self.client.run("blob", "head", f"{self.host}/team/blob@{digest}"))
        self.assertEqual(head.stdout.decode().strip(), str(len(data)))
        mounted = self.expect(0, self.client.run("mount", f"{self.host}/team/other@{digest}", "team/blob"))
        self.assertEqual(mounted.stdout.decode().strip(), digest)
        self.expect(1, self.client.run("mount", f"{self.host}/team/other@sha256:{'0' * 64}", "team/blob"))
        self.expect(0, self.client.run("blob", "rm", f"{self.host}/team/other@{digest}"))
        self.expect(5, self.client.run("blob", "head", f"{self.host}/team/other@{digest}"))

    def test_archive(self):
        self.build("team/arch:1")
        with tempfile.TemporaryDirectory() as directory:
            for form in ("oci-archive", "docker-archive"):
                file = pathlib.Path(directory) / form
                self.expect(0, self.client.run("archive", "--format", form, f"{self.host}/team/arch:1", file))
                subprocess.run(["skopeo", "inspect", "--raw", f"{form}:{file}"], check=True, capture_output=True)

    def test_cache_and_credentials(self):
        self.assertIn(b"max_bytes", self.expect(0, self.client.run("cache")).stdout)
        self.assertIn(b"freed_bytes", self.expect(0, self.client.run("cache", "prune")).stdout)
        self.assertIn("disk", json.loads(self.expect(0, self.client.run("cache", "-o", "json")).stdout))
        self.expect(0, self.client.run("credentials"))
        self.assertIn(b"anonymous", self.expect(0, self.client.run("credentials", "check", self.host)).stdout)
        self.assertIn(b"dropped", self.expect(0, self.client.run("credentials", "forget")).stdout)
        self.expect(1, self.client.run("credentials", "check", "127.0.0.1:1"))

    def test_doctor(self):
        for shell in SHELLS:
            report = self.expect(0, self.client.run("doctor", self.host, shell=shell)).stdout.decode()
            for word in ("socket", "drayd", "takes jobs", "state", "cache", "credentials", "clock", self.host):
                self.assertIn(word, report)
            self.assertNotIn("FAIL", report)
        report = self.expect(1, self.client.run("doctor", "127.0.0.1:1")).stdout.decode()
        self.assertIn("FAIL  127.0.0.1:1", report)
        self.assertIn("FAIL", self.expect(3, Client("unix:///nonexistent").run("doctor")).stdout.decode())

    def test_api(self):
        for shell in SHELLS:
            got = self.expect(0, self.client.run("api", "GET", "/v1/version", shell=shell))
            self.assertEqual(json.loads(got.stdout)["name"], "dray")
            refused = self.expect(2, self.client.run("api", "GET", "/v1/nothing", shell=shell))
            self.assertEqual(json.loads(refused.stdout)["code"], "not-found")

    def test_nothing_is_left_behind(self):
        with tempfile.TemporaryDirectory() as directory:
            self.client.environment["TMPDIR"] = directory
            try:
                self.build("team/tidy:1")
                self.client.run("wait", "01JDXQ4M0R5T6V7W8X9Y0Z1A2B", "01JDXQ4M0R5T6V7W8X9Y0Z1A2C")
                self.client.run("tags", f"{self.host}/team/tidy")
            finally:
                del self.client.environment["TMPDIR"]
            self.assertEqual(os.listdir(directory), [])

    # -- completion

    def complete(self, *words):
        script = ('complete() { :; }; . "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dray_entry; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", COMPLETION, DRAY, *words], env=self.client.environment,
                              capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.split()

    def test_completion(self):
        self.assertEqual(self.complete("ma"), ["manifest"])
        self.assertEqual(set(self.complete("")) - {"-H", "--help", "--version", "help"}, set(VERBS))
        self.assertEqual(self.complete("blob", ""), ["get", "head", "put", "rm"])
        self.assertIn("--base", self.complete("build", "--b"))
        self.assertEqual(self.complete("build", "--progress", "=", "pl"), ["plain"])
        job = self.build("team/complete:1", "--detach").stdout.decode().strip()
        self.client.run("wait", job)
        self.assertIn(job, self.complete("show", ""))
        self.assertIn(job, self.complete("rm", job[:12]))
        self.assertNotIn(job, self.complete("cancel", ""))


class Denied(unittest.TestCase):
    def test_4_denied(self):
        with contextlib.ExitStack() as stack:
            registry = stack.enter_context(TlsRegistry(user="u", password="p"))
            certs = registry.directory / "certs.d" / registry.address
            certs.mkdir(parents=True)
            shutil.copy(registry.ca_file, certs / "ca.crt")
            daemon = stack.enter_context(Daemon(settings={"network.certs_dir": certs.parent}))
            client = Client(f"unix://{daemon.socket}")
            for words in (["build", "--base", "scratch", "-t", f"{registry.address}/x:1"],
                          ["inspect", f"{registry.address}/x:1"], ["manifest", "get", f"{registry.address}/x:1"],
                          ["credentials", "check", registry.address]):
                result = client.run(*words)
                self.assertEqual(result.returncode, 4, (words, result))


class Paused(Case):
    """A daemon that starts no job: whatever is posted waits."""

    settings = {"daemon.paused": "true", "limits.max_queued": 3}

    def tearDown(self):
        for job in self.daemon.get("/v1/jobs?state=queued")["items"]:
            self.daemon.request("POST", f"/v1/jobs/{job['id']}/cancel")

    def start_build(self, shell=("sh",), *more):
        """A client that follows its job: (process, id of the job)."""
        process = self.client.start("build", "-t", f"{self.host}/team/held:1", *more, shell=shell)
        line = process.stderr.readline().decode()  # it comes while the job waits: the progress is live
        self.assertRegex(line, r"^job \w{26} queued")
        return process, line.split()[1]

    def finish(self, process, timeout=30):
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out.decode(), err.decode()

    def test_6_over_capacity(self):
        for _ in range(3):
            self.expect(0, self.build("team/held:6", "--detach"))
        refused = self.expect(6, self.build("team/held:6", "--detach"))
        self.assertEqual(refused.stdout, b"")

    def test_7_timeout(self):
        for shell in SHELLS:
            result = self.expect(7, self.build("team/held:7", "--timeout", "1", shell=shell))
            job = self.daemon.get("/v1/jobs?state=queued")["items"][0]["id"]
            self.assertIn(job.encode(), result.stderr)
            self.assertEqual(self.daemon.job(job)["state"], "queued")
            self.expect(7, self.client.run("wait", "--timeout", "1", job, shell=shell))
            self.tearDown()

    def test_130_interrupt_cancels(self):
        for shell in SHELLS:
            process, job = self.start_build(shell)
            os.killpg(process.pid, signal.SIGINT)
            code, out, _ = self.finish(process)
            self.assertEqual((code, out), (130, ""), shell)
            self.assertEqual(self.daemon.wait_job(job)["state"], "cancelled")
            self.assertTrue(is_gone(process.pid), shell)

    def test_130_second_interrupt_leaves(self):
        for shell in SHELLS:
            process, _ = self.start_build(shell)
            self.daemon.process.send_signal(signal.SIGSTOP)  # it will not answer
            try:
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(0.5)
                os.killpg(process.pid, signal.SIGINT)
                code, _, _ = self.finish(process, 8)
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)
            self.assertEqual(code, 130, shell)
            self.assertTrue(is_gone(process.pid), shell)
            self.tearDown()

    def test_130_of_a_watcher_cancels_nothing(self):
        job = self.build("team/held:w", "--detach").stdout.decode().strip()
        for shell in SHELLS:
            for words in (["wait", job], ["logs", "-f", job]):
                process = self.client.start(*words, shell=shell)
                time.sleep(0.7)
                os.killpg(process.pid, signal.SIGINT)
                code, _, _ = self.finish(process)
                self.assertEqual(code, 130, (shell, words))
                self.assertTrue(is_gone(process.pid), (shell, words))
        self.assertEqual(self.daemon.job(job)["state"], "queued")

    def test_143_terminate(self):
        for shell in SHELLS:
            process, job = self.start_build(shell)
            process.terminate()  # only the shell, as kill(1) does
            code, _, _ = self.finish(process)
            self.assertEqual(code, 143, shell)
            self.assertTrue(is_gone(process.pid), shell)
            self.assertEqual(self.daemon.wait_job(job)["state"], "cancelled")


class Resumed(Case):
    settings = {"daemon.paused": "true"}

    def test_daemon_restarts_while_a_job_is_followed(self):
        for i, shell in enumerate(SHELLS):
            paused = "daemon.paused=true" in self.daemon.arguments
            if not paused:
                self.daemon.stop()
                self.daemon.arguments += ["--set", "daemon.paused=true"]
                self.daemon.start()
            process = self.client.start("build", "-t", f"{self.host}/team/resumed:{i}", shell=shell)
            first = process.stderr.readline()
            self.daemon.stop()
            at = self.daemon.arguments.index("daemon.paused=true")
            del self.daemon.arguments[at - 1:at + 1]
            self.daemon.start()
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, (shell, err))
            self.assertTrue(out.decode().startswith(f"{self.host}/team/resumed@sha256:"))
            lines = err.splitlines()
            self.assertNotIn(first.rstrip(b"\n"), lines, "what was shown before is not shown again")


if __name__ == "__main__":
    unittest.main()
