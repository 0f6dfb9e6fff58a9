# SPDX-License-Identifier: Apache-2.0
"""A test case with a daemon and a scripted registry that starts afresh for each test, and short words for jobs."""

import io
import tarfile
import unittest
import zlib

from daemon import Daemon
from images import Repository, put_image
from scripted_registry import ScriptedRegistry

QUICK = {"network.retry_base_ms": 5, "network.connect_ms": 2000, "network.first_byte_ms": 5000, "network.stall_window_ms": 1000}


class JobCase(unittest.TestCase):
    settings = QUICK

    @classmethod
    def setUpClass(cls):
        cls.registry = cls.enterClassContext(ScriptedRegistry())
        cls.daemon = cls.enterClassContext(Daemon(settings=cls.settings))

    def setUp(self):
        self.registry.reset()
        self.daemon.request("DELETE", "/v1/credentials")  # what it knows of how this registry was
        self.address = self.registry.address

    def repository(self, name="team/app"):
        return Repository(self.registry, name)

    def put_base(self, name="team/base", files=None, **more):
        """An image of two layers with the tag 1; returns its repository."""
        repository = self.repository(name)
        put_image(repository, "1", [{"etc/os": b"base\n"}, files or {"lib": b"library\n"}], **more)
        return repository

    def build(self, *targets, base="scratch", state="succeeded", **members):
        targets = [t if isinstance(t, dict) else self.ref(t) for t in targets]
        return self.daemon.run_job({"kind": "build", "base": base, "targets": targets, **members}, state=state)

    def build_files(self, target, *files, **members):
        """Builds one layer of these entries and returns its members by name."""
        self.build(target, layers=[{"files": list(files)}], **members)
        name, _, tag = self.ref(target).partition("/")[2].rpartition(":")
        return tar_members(self.repository(name), tag)

    def copy(self, source, *targets, state="succeeded", **members):
        spec = {"kind": "copy", "source": self.ref(source), "targets": [self.ref(t) for t in targets], **members}
        return self.daemon.run_job(spec, state=state)

    def failed(self, job, code):
        """The error of a job that must have failed so; the daemon is well."""
        self.assertEqual((job["state"], (job["error"] or {}).get("code")), ("failed", code), job["error"] or job)
        self.assertTrue(job["error"]["detail"])
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)
        return job["error"]

    def ref(self, text):
        """`name:tag` of this registry, unless it names a place of its own."""
        known = text.startswith(("oci:", "oci-archive:", "docker-archive:")) or "." in text.split("/")[0] or \
            text.startswith("localhost:")
        return text if known else f"{self.address}/{text}"

    def tree(self, name, files):
        """A directory below the build root; files: path -> content (bytes), link target (str) or None for a directory."""
        root = self.daemon.build_root / name
        root.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            path = root / path
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
        return str(root)


def gunzip(data):
    """All members of a gzip file."""
    out = b""
    while data:
        member = zlib.decompressobj(31)
        out += member.decompress(data) + member.flush()
        data = member.unused_data
    return out


class Member(tarfile.TarInfo):
    """With room for `data`; TarInfo has slots."""


def tar_members(repository, tag, layer=-1):
    """The members of a gzip layer: name -> Member, with `data` for files."""
    blob = repository.blob(repository.manifest(tag)["layers"][layer]["digest"])
    found = {}
    with tarfile.open(fileobj=io.BytesIO(gunzip(blob)), tarinfo=Member) as archive:
        for info in archive:
            info.data = archive.extractfile(info).read() if info.isreg() else None
            found[info.name.rstrip("/")] = info
    return found
