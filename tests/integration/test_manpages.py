# SPDX-License-Identifier: Apache-2.0
"""The man pages list what there is: every key of the configuration with its built-in value, every option, every command."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from daemon import run_drayd

TOP = pathlib.Path(__file__).resolve().parents[2]
CONF, DAEMON, CLIENT = TOP / "daemon/dray.conf.5.scd", TOP / "daemon/drayd.8.scd", TOP / "client/dray.1.scd"
# Their built-in value depends on the machine and the user.
DEPENDS = {"listen", "state_dir", "cache_dir", "build_roots", "output_roots", "workers", "token_file", "source_date_epoch"}


def page_keys(page):
    """(section, key) -> value as written, or None where no value is written."""
    found, section = {}, None
    for line in page.read_text().splitlines():
        if heading := re.fullmatch(r"# (?:\[(\w+)[^]]*\]|.*)", line):
            section = heading[1]
        elif section and (entry := re.fullmatch(r"(\*\w+\*(?:, \*\w+\*)*)( =)?(.*)", line)):
            for key in re.findall(r"\*(\w+)\*", entry[1]):
                assert (section, key) not in found, key
                found[section, key] = entry[3].strip() if entry[2] else None
    return found


def printed_keys():
    done = run_drayd("--print-config")
    assert done.returncode == 0, done.stderr
    found, section = {}, None
    for line in done.stdout.splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif entry := re.fullmatch(r"(\w+) = (.*?) +; built in", line) or re.fullmatch(r"(\w+) =()  ; built in", line):
            found[section, entry[1]] = entry[2].strip()
    return found


def options_of(text):
    """Long options."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def help_of(*words):
    done = subprocess.run([os.environ.get("DRAY", TOP / "client/dray"), *words], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands():
    return set(re.findall(r"^  ([a-z]+) +[a-z]", help_of("--help"), re.MULTILINE))


class Pages(unittest.TestCase):
    def test_each_can_be_rendered(self):
        for page in (CONF, DAEMON, CLIENT):
            done = subprocess.run(["scdoc"], input=page.read_bytes(), capture_output=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""), page.name)
            self.assertIn(b".SH SYNOPSIS" if page != CONF else b".SH DESCRIPTION", done.stdout)

    def test_keys_are_those_of_the_daemon(self):
        page = {key: value for key, value in page_keys(CONF).items() if key[0] != "host"}
        printed = printed_keys()
        self.assertGreater(len(printed), 50)
        self.assertEqual(set(page), set(printed))
        for (section, key), value in page.items():
            with self.subTest(f"[{section}] {key}"):
                self.assertEqual(value, None if key in DEPENDS else printed[section, key])

    def test_host_keys_are_those_of_the_daemon(self):
        source = (TOP / "daemon/config_hosts.c").read_text()
        table = re.search(r"keys\[\] = \{(.*?)\};", source, re.DOTALL)[1]
        page = {key for section, key in page_keys(CONF) if section == "host"}
        self.assertEqual(page, set(re.findall(r'"(\w+)"', table)))
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("[host r.example.com]\n" + "".join(f"{key} = x\n" for key in sorted(page)) + "nonsense = x\n")
            file.flush()
            faults = run_drayd("--config", file.name, "--check-config").stderr
        self.assertEqual(re.findall(r"(\w+): there is no such key", faults), ["nonsense"])

    def test_options_of_the_daemon(self):
        shown = options_of(run_drayd("--help").stdout)
        self.assertEqual(options_of(re.search(r"# OPTIONS\n(.*?)\n# ", DAEMON.read_text(), re.DOTALL)[1]), shown)

    def test_commands_of_the_client(self):
        self.assertGreater(len(commands()), 10)
        listed = re.search(r"# JOBS\n(.*?)# OPTIONS BEFORE", CLIENT.read_text(), re.DOTALL)[1]
        self.assertEqual(commands(), set(re.findall(r"^\*([a-z]+)\*", listed, re.MULTILINE)))

    def test_options_of_the_client(self):
        shown = options_of(help_of("--help")).union(*(options_of(help_of(command, "--help")) for command in commands()))
        written = options_of(CLIENT.read_text())
        self.assertEqual(shown - written, set())
        client = (TOP / "client/dray").read_text()
        for option in written - shown:
            self.assertRegex(client, rf"(?m)^ .*{option}\b")

    def test_exit_statuses_of_the_client(self):
        page = CLIENT.read_text()
        for status in re.findall(r"\b(\d+) [a-z]", re.search(r"Exit status: (.*?)\n\n", help_of("--help") + "\n\n", re.DOTALL)[1]):
            self.assertIn(f"*{status}*", page)


if __name__ == "__main__":
    unittest.main()
