# SPDX-License-Identifier: Apache-2.0
"""Somebody swaps files and directories of a build root for links while they are packed: no byte from outside gets into an image.

DRAY_FULL=1 makes it 100,000 swaps.
"""

import ctypes
import os
import random
import threading
import time
import unittest

from daemon import Daemon

FULL = os.environ.get("DRAY_FULL") == "1"
SWAPS = 100_000 if FULL else 2_000
SECRET = b"S3CR3T-0f-s0mebody-else"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
libc = ctypes.CDLL(None, use_errno=True)


def exchange(a, b):
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


class Race(unittest.TestCase):
    def test_swapped_while_packed(self):
        with Daemon() as daemon:
            outside = daemon.directory / "outside"
            outside.mkdir()
            (outside / "f").write_bytes(SECRET * 400)
            (outside / "passwd").write_bytes(SECRET * 400)
            root, away = daemon.build_root / "tree", daemon.build_root / "away"
            pairs = []
            for d in range(10):
                (root / f"d{d}").mkdir(parents=True)
                (root / f"d{d}" / "f").write_bytes(b"fine" * 2000)
                (root / f"f{d}").write_bytes(b"fine" * 2000)
            away.mkdir()
            for d in range(10):  # links out of the root, absolute and relative, to files, directories and our own store
                (away / f"d{d}").symlink_to(outside if d % 2 else "../../outside")
                (away / f"f{d}").symlink_to([outside / "f", "../../outside/f", f"/proc/self/root{outside}/f"][d % 3])
                pairs += [(root / f"d{d}", away / f"d{d}"), (root / f"f{d}", away / f"f{d}")]
            # … and the directory that the job names itself
            (daemon.build_root / "top").mkdir()
            (daemon.build_root / "top/f").write_bytes(b"fine")
            (away / "top").symlink_to(outside)
            pairs.append((daemon.build_root / "top", away / "top"))
            done = threading.Event()
            count = [0]

            def swap():
                while not done.is_set():
                    exchange(*random.choice(pairs))
                    count[0] += 1
                    if count[0] % 50 == 0:  # a while with everything in its place: some jobs succeed
                        time.sleep(0.001)

            thread = threading.Thread(target=swap)
            thread.start()
            states, n = {}, 0
            try:
                while count[0] < SWAPS:
                    for links in ("keep", "follow"):
                        n += 1
                        out = f"oci:{daemon.output_root}/image:{n}"
                        spec = {"kind": "build", "base": "scratch", "targets": [out], "layers": [{"compression": "none", "files": [
                            {"from": str(root), "to": "/t", "symlinks": links},
                            *([{"from": f"{daemon.build_root}/top", "to": "/top", "symlinks": links}] if n % 5 == 0 else []),
                            *([{"from": f"{root}/f3", "to": "/f3"}] if n % 3 == 0 else [])]}]}
                        job = daemon.run_job(spec, state=None)
                        what = job["error"]["code"] if job["error"] else job["state"]
                        states[what] = states.get(what, 0) + 1
            finally:
                done.set()
                thread.join()
            leaked = [p for d in (daemon.output_root, daemon.cache, daemon.state) for p in d.rglob("*")
                      if p.is_file() and SECRET in p.read_bytes()]
            print(f"{count[0]} swaps, {n} jobs: {states}", flush=True)
            self.assertEqual(leaked, [])
            self.assertLessEqual(set(states), {"succeeded", "source-changed", "path-not-allowed", "path-not-found", "unsupported-file"})


if __name__ == "__main__":
    unittest.main()
