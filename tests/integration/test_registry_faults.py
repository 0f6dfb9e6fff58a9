# SPDX-License-Identifier: Apache-2.0
"""A sample of the fault grid (tests/support/fault_grid.py): every fault at three points, so that each point meets many of them.
test_slow_registry_faults.py runs all of it."""

import unittest

from daemon import Daemon
from fault_grid import KINDS, POINTS, SETTINGS, Grid, descriptors, log_shows_secrets, threads

EACH = 3
WARM = 9 * (16 + 3)  # what the workers keep open for their next requests; one left behind by each job would be twice as much


def sample():
    """Each fault at three points, in turn once and for ever."""
    for i, kind in enumerate(KINDS):
        for k in range(EACH):
            number = i * EACH + k
            yield POINTS[(number + i // len(POINTS)) % len(POINTS)], kind, 1 if number % 2 else -1


class Faults(unittest.TestCase):
    def test_sample_of_the_grid(self):
        cells = list(sample())
        self.assertEqual({point for point, _, _ in cells}, set(POINTS))
        with Daemon(settings=SETTINGS) as daemon:
            grid = Grid(daemon)
            grid.run(cells[:1])
            before = descriptors(daemon), threads(daemon)
            grid.run(cells)
            print(len(cells), "cells:", grid.ends)
            self.assertEqual(grid.wrong, [], "\n".join(grid.wrong))
            self.assertFalse(log_shows_secrets(daemon))
            self.assertEqual(threads(daemon), before[1])
            self.assertLess(descriptors(daemon) - before[0], WARM)


if __name__ == "__main__":
    unittest.main()
