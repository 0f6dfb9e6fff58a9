# SPDX-License-Identifier: Apache-2.0
"""Somebody swaps files and directories of a build root for links while they are packed: no byte from outside gets into an image,
and none of a directory that the job leaves out.

DRAY_FULL=1 makes it 100,000 swaps.
"""

import contextlib
import ctypes
import mmap
import os
import random
import time
import unittest

from daemon import Daemon

FULL = os.environ.get("DRAY_FULL") == "1"
SWAPS, JOBS = (100_000, 3000) if FULL else (5_000, 250)
SECRET = b"S3CR3T-0f-s0mebody-else"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
DEEP = "/".join(["d"] * 60)  # deeper than directories are kept open: what lies there is opened by a path of several names
ALLOWED = {"succeeded", "source-changed", "path-not-allowed", "path-not-found", "unsupported-file"}
libc = ctypes.CDLL(None, use_errno=True)


def exchange(a, b):
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


class Attacker:
    """A process that swaps a pair and swaps it back, over and over, but for truces, in which everything is in its place."""

    def __init__(self, pairs):
        self.shared = memoryview(mmap.mmap(-1, 4096)).cast("q")  # swaps, truce wanted, truce, end
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.run(pairs)
            finally:
                os._exit(1)

    def run(self, pairs):
        while not self.shared[3]:
            self.shared[2] = self.shared[1]
            if self.shared[2]:
                time.sleep(0.001)
                continue
            pair = random.choice(pairs)
            for _ in range(2):
                exchange(*pair)
                self.shared[0] += 1
                for _ in range(random.choice((0, 10, 300))):
                    pass
            if random.random() < 0.02:
                time.sleep(random.random() * 0.002)
        os._exit(0)

    @property
    def swaps(self):
        return self.shared[0]

    @contextlib.contextmanager
    def truce(self):
        self.shared[1] = 1
        while not self.shared[2]:
            time.sleep(0.001)
        yield
        self.shared[1] = 0

    def end(self):
        self.shared[3] = 1
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Race(unittest.TestCase):
    def put(self, path, content=b"fine" * 2000):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def make(self, daemon):
        """The tree, and the pairs of what is in it and what a swap puts there."""
        outside = daemon.directory / "outside"
        root, away = daemon.build_root / "tree", daemon.build_root / "away"
        away.mkdir()
        for name in ("f", "passwd", *(f"{i:02}" for i in range(60))):
            self.put(outside / name, SECRET * 400)
        pairs = []

        def pair(inside, link, target):
            (away / link).symlink_to(target)
            pairs.append((inside, away / link))

        for d in range(10):  # links out of the root, absolute and relative, to files and directories
            self.put(root / f"d{d}/f")
            self.put(root / f"f{d}")
            pair(root / f"d{d}", f"d{d}", outside if d % 2 else "../../outside")
            pair(root / f"f{d}", f"f{d}", [outside / "f", "../../outside/f", f"/proc/self/root{outside}/f"][d % 3])
        self.put(daemon.build_root / "top/f", b"fine")  # the directory that the job names itself
        pair(daemon.build_root / "top", "top", outside)
        for i in range(60):
            self.put(root / DEEP / f"x/{i:02}", b"fine")
            self.put(root / DEEP / f"hidden/{i:02}", SECRET)
        pair(root / DEEP / "x", "out", outside)
        pair(root / DEEP / "x", "hidden", "hidden")
        return pairs + pairs[-2:] * 10

    def spec(self, daemon, number, links):
        root = daemon.build_root / "tree"
        hidden = ["**/hidden"] if links == "keep" else ["**/hidden", "**/x"]  # followed, a link inside the root is not an attack
        files = [{"from": str(root), "to": "/t", "symlinks": links, "exclude": hidden}]
        if number % 5 == 0:
            files.append({"from": f"{daemon.build_root}/top", "to": "/top", "symlinks": links})
        if number % 3 == 0:
            files.append({"from": f"{root}/f3", "to": "/f3"})
        return {"kind": "build", "base": "scratch", "targets": [f"oci:{daemon.output_root}/image:{number}"],
                "layers": [{"compression": "none", "files": files}]}

    def attack(self, daemon, attacker):
        states, number = {}, 0
        while attacker.swaps < SWAPS or number < JOBS:
            for links in ("keep", "keep", "follow"):
                number += 1
                with attacker.truce() if number % 9 == 0 else contextlib.nullcontext():
                    job = daemon.run_job(self.spec(daemon, number, links), state="succeeded" if number % 9 == 0 else None)
                what = job["error"]["code"] if job["error"] else job["state"]
                states[what] = states.get(what, 0) + 1
        print(f"{attacker.swaps} swaps, {number} jobs: {states}", flush=True)
        return states

    def test_swapped_while_packed(self):
        with Daemon() as daemon:
            attacker = Attacker(self.make(daemon))
            try:
                states = self.attack(daemon, attacker)
            finally:
                code = attacker.end()
            self.assertEqual(code, 0)
            leaked = [p for d in (daemon.output_root, daemon.cache, daemon.state) for p in d.rglob("*")
                      if p.is_file() and SECRET in p.read_bytes()]
            self.assertEqual(leaked, [])
            self.assertLessEqual(set(states), ALLOWED)


if __name__ == "__main__":
    unittest.main()
