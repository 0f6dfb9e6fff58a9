# SPDX-License-Identifier: Apache-2.0
"""A blob of one gigabyte, five connections that break and a kill, with the chunks that are configured when nothing is."""

import random
import unittest

from scripted_registry import MIB
from test_upload_sessions import ScriptedCase

CHUNK = 64 * MIB  # network.chunk_bytes
SIZE = 1000 * MIB


class Large(ScriptedCase):
    settings = {"network.retry_base_ms": 50}

    def break_and_kill(self, breaks):
        self.target.set(store_uploads=False, read_bps=0)
        for _ in range(breaks):
            self.target.fault("upload-patch", "reset", after_bytes=random.randrange(CHUNK), skip=random.randrange(2))
        job = self.killed(SIZE, random.randrange(500 * MIB, 800 * MIB))
        self.daemon.start()
        self.whole(job)
        self.assertEqual([f.hits for f in self.target.faults], [1] * 5)
        self.assertLessEqual(self.sent_again(), 6 * CHUNK, self.log())

    def test_one_put_at_first(self):
        # The first PUT is that of the config, which is smaller.
        self.target.fault("upload-put", "reset", after_bytes=random.randrange(400 * MIB), skip=1)
        self.break_and_kill(4)

    def test_chunks(self):
        self.daemon.arguments += ["--set", f"network.monolithic_max_bytes={CHUNK}"]
        self.daemon.restart()
        self.break_and_kill(5)


if __name__ == "__main__":
    unittest.main()
