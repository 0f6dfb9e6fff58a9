# SPDX-License-Identifier: Apache-2.0
"""Layers are as small as gzip's: the fast level beside gzip -1, the small one beside gzip -6, each given the same tar of a generated
node_modules tree. Blocks that are compressed apart may cost 2 %.

DRAY_FULL=1 takes the whole tree of the benchmarks, 500 MB.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from daemon import Daemon

FULL = os.environ.get("DRAY_FULL") == "1"
MAKE_TREE = pathlib.Path(__file__).parents[1] / "bench/make_tree.py"


class LayerSizes(unittest.TestCase):
    def test_beside_gzip(self):
        with tempfile.TemporaryDirectory() as directory, Daemon(roots=[directory]) as daemon:
            subprocess.run([sys.executable, MAKE_TREE, f"{directory}/tree", "--scale", "1" if FULL else "0.05"], check=True,
                           stdout=subprocess.DEVNULL)
            layout = daemon.output_root / "image"

            def blob(compression):
                job = daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"oci:{layout}:1"], "layers": [
                    {"files": [{"from": f"{directory}/tree", "to": "/app"}], "compression": compression}]}, timeout=900)
                return layout / "blobs" / job["result"]["layers"][0]["digest"].replace(":", "/")

            tar = blob("none")
            for level, peer in (("fast", "-1"), ("small", "-6")):
                size = blob({"algorithm": "gzip", "level": level}).stat().st_size
                beside = len(subprocess.run(["gzip", peer, "-nc", tar], check=True, capture_output=True).stdout)
                print(json.dumps({"tar": tar.stat().st_size, level: size, f"gzip {peer}": beside, "ratio": round(size / beside, 4)}),
                      flush=True)
                self.assertLess(size, 1.02 * beside)


if __name__ == "__main__":
    unittest.main()
