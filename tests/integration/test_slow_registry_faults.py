# SPDX-License-Identifier: Apache-2.0
"""The whole fault grid (tests/support/fault_grid.py): every fault at every point, once and for ever."""

import itertools
import time
import unittest

from daemon import Daemon
from fault_grid import KINDS, POINTS, SETTINGS, TIMES, Grid, descriptors, log_shows_secrets, threads

IDLE_S = 180  # connections are kept for 50 s after a job; once a minute somebody looks


class Faults(unittest.TestCase):
    def test_whole_grid(self):
        with Daemon(settings=SETTINGS) as daemon:
            grid = Grid(daemon)
            grid.run([("token", "close", 1)])
            before = descriptors(daemon), threads(daemon)
            cells = list(itertools.product(POINTS, KINDS, TIMES))
            begin = time.monotonic()
            grid.run(cells)
            print(len(cells), "cells in", round(time.monotonic() - begin), "s:", grid.ends)
            self.assertEqual(grid.wrong, [], "\n".join(grid.wrong))
            self.assertFalse(log_shows_secrets(daemon))
            self.assertEqual(threads(daemon), before[1])
            until = time.monotonic() + IDLE_S
            while descriptors(daemon) > before[0] and time.monotonic() < until:
                time.sleep(1)
            self.assertLessEqual(descriptors(daemon), before[0])


if __name__ == "__main__":
    unittest.main()
