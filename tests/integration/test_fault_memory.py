# SPDX-License-Identifier: Apache-2.0
"""drayd when its N-th allocation fails (tests/fault/fault_malloc.c). Not with a sanitizer, which has an allocator of its own."""

import signal
import unittest

from test_fault_points import Place, Run, build, spread


class Memory(unittest.TestCase):
    """An allocation fails: the call is repeated, fails its job, or ends drayd; at the next start everything goes on."""

    def test_allocation(self):
        place = Place()
        self.addCleanup(place.stop)
        counted = Run(place, malloc=True)
        try:
            counted.daemon.start()
            begun = counted.counter.value()
            for job in build(counted):
                counted.wait(job)
            total = counted.counter.value() - begun
        finally:
            counted.close()
        for point in spread(total, 12):
            with self.subTest(point=point, of=total):
                self.allocation_fails(place, begun + point)

    def allocation_fails(self, place, point):
        run = Run(place, at=point, malloc=True)
        try:
            if run.start():
                for job in filter(None, build(run)):
                    run.wait(job)
                # abort() is how our own code and libraries end a process that they cannot go on with.
                self.assertIn(run.daemon.process.poll(), (None, -signal.SIGABRT), run.daemon.log_text()[-4000:])
            run.restart_plain()
            for job_id in run.accepted:
                self.assertTrue(run.daemon.wait_job(job_id)["terminal"])
                run.check_ended_once(job_id)
        finally:
            run.close()


if __name__ == "__main__":
    unittest.main()
