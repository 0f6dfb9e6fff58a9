# SPDX-License-Identifier: Apache-2.0
"""The memory of packing a layer has one limit, whatever the size: of one file, or of the
number of files, of members of a tar and of hard links.

DRAY_FULL=1 makes the file 20 GB and the files 200,000.
"""

import io
import os
import pathlib
import tarfile
import threading
import unittest

from daemon import Daemon

FULL = os.environ.get("DRAY_FULL") == "1"
FILE_BYTES = (20 << 30) if FULL else (256 << 20)
FILES = 200_000 if FULL else 8_000
LIMIT_KIB = 64 << 10
TICK = os.sysconf("SC_CLK_TCK")
COMPRESSIONS = ("gzip", {"algorithm": "gzip", "level": "small"}, "zstd", "estargz", "none")


class Watch:
    """The peak of RssAnon and the CPU time of a daemon over a with block."""

    def __init__(self, daemon):
        self.daemon, self.done, self.peak_kib = daemon, threading.Event(), 0

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def sample(self):
        while not self.done.wait(0.005):
            self.peak_kib = max(self.peak_kib, self.daemon.memory_kib())

    def __enter__(self):
        self.cpu_s = self.cpu()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.cpu_s = self.cpu() - self.cpu_s


class LayerMemory(unittest.TestCase):
    def setUp(self):
        self.daemon = self.enterContext(Daemon())

    def pack(self, source, compression, name, **entry):
        with Watch(self.daemon) as watch:
            job = self.daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"oci:{self.daemon.output_root}/{name}:1"],
                                       "layers": [{"files": [{"from": str(source), "to": "/t", **entry}], "compression": compression}]},
                                      timeout=3000)
        layer = job["result"]["layers"][0]
        print(f"{name}, {compression}: {layer['size'] / 1e6:.1f} MB, {watch.cpu_s:.2f} s of CPU, peak RssAnon "
              f"{watch.peak_kib / 1024:.1f} MiB", flush=True)
        self.assertLess(watch.peak_kib, LIMIT_KIB)
        return watch

    def test_one_large_sparse_file(self):
        path = self.daemon.build_root / "sparse"
        with open(path, "wb") as out:
            out.write(b"begin")
            out.seek(FILE_BYTES // 2)
            out.write(os.urandom(1 << 20))
            out.truncate(FILE_BYTES)
        # An uncompressed layer of that size needs as much disk; the others say the same of memory.
        for compression in COMPRESSIONS[:-1] if FULL else ("gzip", "zstd", "estargz"):
            self.pack(path, compression, "sparse")

    def make_files(self, name, count):
        root = self.daemon.build_root / name
        for directory in range(count // 100):
            (root / f"d{directory % 50}/s{directory}").mkdir(parents=True)
            for i in range(100):
                (root / f"d{directory % 50}/s{directory}/file-{i:03}.js").write_bytes(b"module.exports = %d;\n" % (directory * 100 + i) * 4)
        return root

    def test_many_files(self):
        few, many = self.make_files("few", FILES // 4), self.make_files("many", FILES)
        for compression in COMPRESSIONS:
            small, large = (self.pack(root, compression, root.name).cpu_s for root in (few, many))
            if FULL:  # CPU time of four times as many files: linear is 4, quadratic 16
                self.assertLess(large, 8 * small)
        split = self.daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"oci:{self.daemon.output_root}/split:1"],
                                     "layers": [{"files": [{"from": str(many), "to": "/t"}], "split": "auto"}]})
        self.assertEqual(len(split["result"]["layers"]), 1)

    def test_many_members_of_a_tar(self):
        path = self.daemon.build_root / "many.tar"
        with tarfile.open(path, "w") as out:
            for i in range(FILES):
                info = tarfile.TarInfo(f"d{i // 1000}/s{i // 100 % 10}/file-{i:06}.js")
                info.size = 20
                out.addfile(info, io.BytesIO(b"x" * 20))
        self.pack(path, "gzip", "members", type="tar")

    def test_many_hard_links(self):
        root = self.make_files("linked", FILES)
        store = self.daemon.build_root / "store"
        store.mkdir()
        for number, path in enumerate(root.rglob("*.js")):
            os.link(path, store / f"{number:06}")
        self.pack(root, "gzip", "linked")


if __name__ == "__main__":
    unittest.main()
