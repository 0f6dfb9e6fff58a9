# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what happens: their examples are run, in order, against a real daemon and a real registry.

A fenced block is an example if the line before it is <!-- test: NAME --> or <!-- test: NAME WORD -->:

    sh, python, js          run, in a directory that is a root of the daemon, and must end well
    json                    posted as a job to a daemon that starts none, and must be accepted
    json … file ~/PATH      written there, for the blocks behind it

localhost:5000 and reg.example.com stand for registries of the test, the second one wants sign-in. A block of these languages
without a comment is a fault, but for the sections of UNTESTED.
"""

import json
import os
import pathlib
import re
import subprocess
import unittest

from daemon import Daemon
from registries import Registry, TokenRegistry

TOP = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [TOP / "README.md", *sorted((TOP / "api").glob("*.md"))]
PROGRAMS = {"sh": ["sh", "-eu"], "python": ["python3", "-"], "js": ["node", "-"]}
# They change the machine; client/quickstart and the installation are tried elsewhere. An event is no job.
UNTESTED = {"Try it", "Install", "Events"}
# Calls of another library, shown for comparison.
COMPARED = "from-container-image-builder.md"
SECRET = "canary-h3lper"

# Tags that must be there after a block of README.md, beside its good end.
MADE = {
    "first-job": ["app:1"], "curl": ["app:curl"], "edit": ["app:2"], "add-layer": ["app:3"], "spec": ["app:4"],
    "copy": ["mirror/app:1", "mirror/app:latest"], "ci": ["app:ci-4711"], "mirror": ["backup/app:1", "backup/app:2"],
    "python": ["app:py"], "node": ["app:js"],
}


class Block:
    def __init__(self, document, section, comment, language, text):
        self.document, self.section, self.language, self.text = document, section, language, text
        self.name, _, self.word = (comment or "").partition(" ")

    def __repr__(self):
        return f"{self.document.name}, {self.section}: {self.name or self.text.splitlines()[0]}"


def blocks_of(document):
    section, comment, fence, found = "", None, None, []
    for line in document.read_text().splitlines():
        if fence is not None:
            if line == "```":
                found.append(Block(document, section, comment, fence[0], "\n".join(fence[1:]) + "\n"))
                fence = comment = None
            else:
                fence.append(line)
        elif line.startswith("```"):
            fence = [line[3:]]
        elif heading := re.match(r"#+ (.*)", line):
            section, comment = heading[1], None
        else:
            marked = re.fullmatch(r"<!-- test: (.*\S) -->", line)
            comment = marked[1] if marked else None
    assert fence is None, f"{document}: the last fence is not closed"
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def secrets_of(auth):
    """What must never come back of a job's auth: everything but names."""
    for key, value in auth.items():
        if isinstance(value, dict):
            yield from secrets_of(value)
        elif isinstance(value, str) and key in ("password", "token", "identity_token", "gcp_access_token", "private_key",
                                                "gcp_service_account"):
            yield value


class Blocks(unittest.TestCase):
    def test_each_is_tested_or_has_a_reason_not_to_be(self):
        unmarked = [b for b in BLOCKS
                    if b.language in (*PROGRAMS, "json", "") and not b.name and b.section not in UNTESTED
                    and (b.document.name, b.language) != (COMPARED, "js")]
        self.assertEqual(unmarked, [])

    def test_names_are_unique(self):
        names = [(b.document, b.name) for b in BLOCKS if b.name]
        self.assertEqual(len(names), len(set(names)))

    def test_every_expectation_belongs_to_a_block(self):
        self.assertEqual(set(MADE) - {b.name for b in BLOCKS if b.document.name == "README.md"}, set())

    def test_links_to_files_lead_somewhere(self):
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
                self.assertTrue((document.parent / target).exists(), f"{document.name}: {target}")


class Programs(unittest.TestCase):
    """The blocks that run something, in the order of the file, each going on where the one before ended."""

    def setUp(self):
        self.registry, self.signed = Registry(), TokenRegistry(users={"ci": SECRET})
        self.addCleanup(self.registry.stop)
        self.addCleanup(self.signed.stop)
        self.address = f"localhost:{self.registry.port}"
        self.daemon = Daemon(start=False)
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)
        self.put_helper()
        self.daemon.start()
        # A root for reading and for writing. The program of the examples is in it.
        self.directory = self.daemon.output_root
        (self.directory / "app").mkdir()
        (self.directory / "app/run").write_text("#!/bin/sh\necho hello\n")
        (self.directory / "app/run").chmod(0o755)
        (self.directory / "app/debug.log").write_text("not for an image\n")

    def put_helper(self):
        helpers = self.daemon.directory / "helpers"
        helpers.mkdir()
        helper = helpers / "docker-credential-pass"
        helper.write_text(f'#!/bin/sh\necho "$1" >>{self.daemon.directory}/asked\ncat >/dev/null\n'
                          f'printf \'{{"ServerURL":"","Username":"ci","Secret":"{SECRET}"}}\'\n')
        helper.chmod(0o755)
        self.daemon.arguments += ["--set", f"credentials.helper_path={helpers}"]

    def local(self, text):
        return text.replace("localhost:5000", self.address).replace("reg.example.com", self.signed.address)

    def run_block(self, block):
        environment = {
            "PATH": f"{TOP / 'client'}:{os.environ['PATH']}", "HOME": str(self.daemon.directory), "LC_ALL": "C.UTF-8",
            "DRAY_SOCKET": str(self.daemon.socket), "DRAY_HOST": f"unix://{self.daemon.socket}", "TERM": "dumb",
            "TMPDIR": str(self.daemon.directory), "CI_PIPELINE_ID": "4711",
        }
        return subprocess.run(PROGRAMS[block.language], input=self.local(block.text), cwd=self.directory, text=True,
                              env=environment, capture_output=True, timeout=120, check=False)

    def inspect(self, tag, *options):
        done = subprocess.run(["skopeo", "--insecure-policy", "inspect", "--tls-verify=false", *options,
                               f"docker://{self.address}/{tag}"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def write_file(self, block):
        path = self.daemon.directory / block.word.removeprefix("file ~/")
        path.parent.mkdir(parents=True, exist_ok=True)
        json.loads(block.text)
        path.write_text(self.local(block.text))

    def test_in_order(self):
        outputs = {}
        for block in BLOCKS:
            with self.subTest(repr(block)):
                if block.name and block.word.startswith("file "):
                    self.write_file(block)
                if not block.name or block.language not in PROGRAMS:
                    continue
                done = self.run_block(block)
                self.assertEqual(done.returncode, 0, f"{block.text}\n{done.stdout}\n{done.stderr}")
                outputs[block.name] = done.stdout
                for tag in MADE.get(block.name, []):
                    self.inspect(tag)
        self.judge_first_jobs(outputs)
        self.judge_tasks(outputs)

    def judge_first_jobs(self, outputs):
        about = self.inspect("app:1")
        self.assertIn(f"{self.address}/app@{about['Digest']}", outputs["first-job"])
        layout = json.loads((self.directory / "image/index.json").read_text())
        self.assertEqual(layout["manifests"][0]["digest"], about["Digest"])
        self.assertEqual(self.inspect("app:curl", "--config")["config"]["Env"], ["MODE=test"])
        edited = self.inspect("app:2", "--config")["config"]
        self.assertEqual((edited["Env"], edited["Entrypoint"]), (["MODE=prod"], ["/app/run", "--quiet"]))
        self.assertEqual(self.inspect("app:2")["Layers"], about["Layers"])
        self.assertEqual([len(self.inspect(f"app:{n}")["Layers"]) for n in (3, 4)], [2, 2])
        self.assertEqual(self.inspect("mirror/app:latest")["Digest"], about["Digest"])

    def judge_tasks(self, outputs):
        asked = (self.daemon.directory / "asked").read_text().split()
        self.assertEqual(set(asked), {"get"})
        self.assertNotIn(SECRET, self.daemon.log_text() + "".join(outputs.values()))
        self.assertEqual(self.inspect("backup/app:2")["Digest"], self.inspect("app:2")["Digest"])
        for name, tag in (("python", "app:py"), ("node", "app:js")):
            self.assertIn("succeeded", outputs[name])
            self.assertIn(self.inspect(tag)["Digest"], outputs[name])


class Posted(unittest.TestCase):
    """JSON blocks are jobs that the daemon accepts, and nothing of their auth comes back."""

    def test_accepted(self):
        with Daemon(settings={"daemon.paused": "true"}) as daemon:
            for block in BLOCKS:
                if block.language != "json" or not block.name or block.word.startswith("file "):
                    continue
                with self.subTest(repr(block)):
                    self.post(daemon, json.loads(block.text.replace("/srv", str(daemon.output_root))))

    def test_requests_that_are_named_are_in_the_contract(self):
        with Daemon() as daemon:
            paths = daemon.get("/openapi.json")["paths"]
        for document in DOCUMENTS:
            for method, path in re.findall(r"\b(GET|HEAD|PUT|POST|DELETE) (/v1/[\w/{}.-]+)", document.read_text()):
                with self.subTest(f"{document.name}: {method} {path}"):
                    self.assertIn(method.lower(), paths.get(path.rstrip("."), {}))

    def post(self, daemon, spec):
        job = daemon.post_job(spec)
        shown = json.dumps([job, list(daemon.events(job["id"], follow=False))], ensure_ascii=False)
        self.assertNotIn("auth", job["spec"])
        for secret in secrets_of(spec.get("auth", {})):
            self.assertNotIn(secret, shown)
            self.assertNotIn(secret, daemon.log_text())


if __name__ == "__main__":
    unittest.main()
