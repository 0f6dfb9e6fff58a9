# SPDX-License-Identifier: Apache-2.0
"""One job, one image: daemons of other users, in other places, with other locales, time zones, masks and numbers of cores give the
same digest, from trees whose names were made in other orders and at other times."""

import os
import random
import shlex
import shutil
import unittest

from daemon import Daemon, drayd

NOBODY = 65534
FILES = 120
LAYERS = ("gzip", {"algorithm": "gzip", "level": "small"}, "zstd", "estargz", "none")
# umask, working directory, cores, user, variables
SURROUNDINGS = (
    ("022", "/", "0-1023", 0, {}),
    ("000", "/tmp", "0", 0, {"TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C"}),
    ("077", "/", "0", NOBODY, {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8"}),
    ("027", "/proc/self", "0-1023", NOBODY, {"TZ": ":/nowhere", "LC_ALL": "POSIX", "LANG": ""}),
    ("777", "/", "0-1023", 0, {"TZ": "XYZ-13:45", "LC_ALL": "C.UTF-8", "SHELL": "/bin/false", "USER": "someone", "TERM": "dumb"}),
)


def make_tree(root, seed):
    """The same tree for each seed, but for what must not matter."""
    numbers = list(range(FILES))
    dice = random.Random(seed)
    dice.shuffle(numbers)
    for i in numbers:
        name = root / f"d{i % 7}" / ("node_modules" if i % 3 else "src") / f"f{i}-ä.js"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(f"export const value = {i};\n" * (i * 7 % 400))
        name.chmod((0o755 if i % 5 == 0 else 0o644) ^ dice.choice((0, 0o020, 0o022)))
        os.utime(name, (dice.randrange(2 << 30),) * 2)
    for i in dice.sample(range(7), 7):
        (root / f"link{i}").symlink_to(f"d{i}")


class SameEverywhere(unittest.TestCase):
    def wrapper(self, directory, umask, place, cores, user):
        """A program that is drayd in these surroundings: a copy, since another user may not reach the directory of the build."""
        shutil.copy(drayd(), directory / "drayd")
        rights = f"setpriv --reuid={user} --regid={user} --clear-groups" if user and os.geteuid() == 0 else ""
        path = directory / "wrapper"
        program = shlex.quote(str(directory / "drayd"))
        path.write_text(f'#!/bin/sh\numask {umask}\ncd {place}\nexec taskset -c {cores} {rights} {program} "$@"\n')
        path.chmod(0o755)
        return path

    def build(self, number, umask, place, cores, user, variables):
        with Daemon(more=variables, start=False) as daemon:
            make_tree(daemon.build_root / f"tree{number}", number)
            if user and os.geteuid() == 0:
                for path in (daemon.directory, daemon.output_root):
                    os.chown(path, user, user)
            before = os.environ.get("DRAYD")
            os.environ["DRAYD"] = str(self.wrapper(daemon.build_root, umask, place, cores, user))
            try:
                daemon.start()
            finally:
                if before:
                    os.environ["DRAYD"] = before
                else:
                    del os.environ["DRAYD"]
            files = [{"from": f"{daemon.build_root}/tree{number}", "to": "/app"}, {"type": "file", "to": "/etc/x", "text": "x"}]
            spec = {"kind": "build", "base": "scratch", "platforms": ["linux/amd64"],
                    "targets": [f"oci:{daemon.output_root}/image:1"], "config": {"cmd": ["/app"], "env": {"B": "1", "A": "2"}},
                    "layers": [{"files": files, "compression": compression, "split": "auto"} for compression in LAYERS]}
            return daemon.run_job(spec)["result"]

    def test_one_digest(self):
        results = [self.build(number, *surroundings) for number, surroundings in enumerate(SURROUNDINGS)]
        self.assertEqual(len(results[0]["layers"]), 2 * len(LAYERS))
        for number, result in enumerate(results):
            with self.subTest(SURROUNDINGS[number]):
                self.assertEqual([layer["digest"] for layer in result["layers"]], [layer["digest"] for layer in results[0]["layers"]])
                self.assertEqual(result["digest"], results[0]["digest"])


if __name__ == "__main__":
    unittest.main()
