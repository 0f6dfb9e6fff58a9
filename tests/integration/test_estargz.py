# SPDX-License-Identifier: Apache-2.0
"""An eStargz layer in a registry, read as a lazy puller reads it (containerd/stargz-snapshotter, docs/estargz.md): footer, table and
then single chunks, each by a range request. What the table says is held against the tar as Python reads it, and against the tree."""

import hashlib
import io
import json
import os
import random
import stat
import tarfile
import unittest
import urllib.request
import zlib

from daemon import Daemon
from images import Repository, sha256
from registries import Registry

TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
TYPES = {"dir": tarfile.DIRTYPE, "reg": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}


def expand(data):
    """The gzip member at the beginning of data."""
    reader = zlib.decompressobj(31)
    out = reader.decompress(data)
    assert reader.eof
    return out


class LazyReader:
    """The files of a layer, by name, without reading the layer."""

    def __init__(self, repository, descriptor):
        self.url = f"{repository.url}/blobs/{descriptor['digest']}"
        self.size, self.fetched = descriptor["size"], 0
        footer = self.fetch(self.size - 51, 51)
        assert footer[:12] == bytes.fromhex("1f8b08040000000000ff1a00") and footer[12:16] == b"SG\x16\0" and footer[32:38] == b"STARGZ", footer
        assert expand(footer) == b""
        self.toc_offset = int(footer[16:32], 16)
        toc = expand(self.fetch(self.toc_offset, self.size - 51 - self.toc_offset))
        with tarfile.open(fileobj=io.BytesIO(toc)) as archive:
            (info,) = archive.getmembers()
            assert info.name == "stargz.index.json", info
            text = archive.extractfile(info).read()
        assert descriptor["annotations"][TOC_DIGEST] == sha256(text), descriptor
        table = json.loads(text)
        assert table["version"] == 1
        self.entries = table["entries"]
        # A chunk ends where the next thing of the table begins.
        self.ends = sorted({e["offset"] for e in self.entries if "offset" in e} | {self.toc_offset})

    def fetch(self, offset, length):
        self.fetched += length
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={offset}-{offset + length - 1}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 206, answer.status
            data = answer.read()
        assert len(data) == length
        return data

    def chunk(self, entry, size):
        end = next(e for e in self.ends if e > entry["offset"])
        data = zlib.decompressobj(31).decompress(self.fetch(entry["offset"], end - entry["offset"]), size)
        assert len(data) == size and sha256(data) == entry["chunkDigest"], entry
        return data

    def read(self, name):
        first, *more = [e for e in self.entries if e["name"] == name]
        assert first["type"] == "reg" and all(e["type"] == "chunk" for e in more), first
        content = b""
        for entry in (first, *more) if first.get("size") else ():
            assert entry.get("chunkOffset", 0) == len(content), entry
            content += self.chunk(entry, entry.get("chunkSize") or first["size"] - len(content))
        assert len(content) == first.get("size", 0)
        assert not content or first["digest"] == sha256(content), first
        return content


class EStargz(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = cls.enterClassContext(Registry())
        cls.daemon = cls.enterClassContext(Daemon())
        cls.root = cls.daemon.build_root / "tree"
        cls.files = {}
        dice = random.Random(1)
        names = ["empty", "one", "d/two", "d/ä ☺", "d/\"offset\":0", "d/a\nb\\c", "n" * 200, "exactly", "three-chunks", "random"]
        sizes = [0, 1, 5000, 17, 90, 600, 10, 512 << 10, 1_500_000, 700_000]
        for name, size in [*zip(names, sizes), *((f"many/f{i:03}", dice.randrange(3000)) for i in range(300))]:
            data = dice.randbytes(size) if name == "random" else (f"{name} value {size} " * (size // 9 + 1)).encode()[:size]
            (cls.root / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.root / name).write_bytes(data)
            cls.files[f"app/{name}"] = data
        os.setxattr(cls.root / "one", "user.k", b"\0v\xff")
        os.link(cls.root / "one", cls.root / "zz-hard")
        (cls.root / "link").symlink_to("d/two")
        cls.repository = Repository(cls.registry, "lazy")
        files = [{"from": str(cls.root), "to": "/app", "owner": "7:8", "xattrs": ["user.k"]},
                 {"type": "file", "to": "/inline", "text": "inline"}, {"type": "delete", "path": "/gone"}]
        cls.daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"{cls.repository.ref}:1"], "created": "2026-01-01T00:00:00Z",
                            "layers": [{"compression": "estargz", "files": files}]})
        cls.descriptor = cls.repository.manifest("1")["layers"][0]

    def setUp(self):
        self.reader = LazyReader(self.repository, self.descriptor)

    def test_each_file_is_found(self):
        self.assertEqual(self.reader.entries[0]["name"], ".no.prefetch.landmark")
        for name, content in {**self.files, "inline": b"inline", ".wh.gone": b"", ".no.prefetch.landmark": b"\x0f"}.items():
            self.assertEqual(self.reader.read(name), content, name)

    def test_one_file_costs_little(self):
        before = self.reader.fetched
        self.reader.read("app/many/f007")
        self.assertLess(self.reader.fetched - before, 8000)
        self.assertGreater(self.descriptor["size"], 700_000)

    def test_the_table_is_the_tar(self):
        blob = self.repository.blob(self.descriptor["digest"])
        with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
            members = archive.getmembers()
        self.assertEqual(members.pop().name, "stargz.index.json")
        entries = [e for e in self.reader.entries if e["type"] != "chunk"]
        self.assertEqual([e["name"].rstrip("/") for e in entries], [m.name for m in members])
        for entry, member in zip(entries, members):
            self.assertEqual(TYPES[entry["type"]], member.type, entry)
            self.assertEqual((stat.S_IMODE(entry["mode"]), entry["uid"], entry["gid"], entry.get("linkName", ""), entry.get("size", 0)),
                             (member.mode, member.uid, member.gid, member.linkname, member.size), entry)
            self.assertEqual(entry["modtime"], "2026-01-01T00:00:00Z" if member.mtime else "1970-01-01T00:00:00Z")
        (with_attributes,) = [e for e in entries if "xattrs" in e and e["type"] == "reg"]
        self.assertEqual((with_attributes["name"], with_attributes["xattrs"]), ("app/one", {"user.k": "AHb/"}))

    def test_each_chunk_is_a_member(self):
        blob = self.repository.blob(self.descriptor["digest"])
        offsets = [e["offset"] for e in self.reader.entries if "offset" in e]
        self.assertEqual(offsets, sorted(offsets))
        for offset in offsets:
            self.assertEqual(blob[offset:offset + 3], b"\x1f\x8b\x08")
        config = json.loads(self.repository.blob(self.repository.manifest("1")["config"]["digest"]))
        whole = zlib.decompressobj(31)
        digest, data = hashlib.sha256(), blob
        while data:
            digest.update(whole.decompress(data))
            data, whole = whole.unused_data, zlib.decompressobj(31)
        self.assertEqual(config["rootfs"]["diff_ids"], ["sha256:" + digest.hexdigest()])


if __name__ == "__main__":
    unittest.main()
