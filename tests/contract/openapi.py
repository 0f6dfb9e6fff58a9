# SPDX-License-Identifier: Apache-2.0
"""Installs the packages of package-lock.json into the build directory, starts two daemons and a registry that holds what
the contract's examples name, and hands over to openapi.mjs."""

import fcntl
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

from daemon import Daemon
from registries import Registry

HERE = pathlib.Path(__file__).resolve().parent
API = HERE.parents[1] / "api"


def install(directory):
    """npm ci, unless that was done for these very files."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [(HERE / name).read_bytes() for name in ("package.json", "package-lock.json")]
    stamp, digest = directory / "installed", hashlib.sha256(b"".join(wanted)).hexdigest()
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return
        for name, text in zip(("package.json", "package-lock.json"), wanted):
            (directory / name).write_bytes(text)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory,
                       check=True, timeout=240)
        stamp.write_text(digest)


def seed(daemon, registry):
    """The images of the examples."""
    layer = {"files": [{"type": "file", "to": "/etc/motd", "text": "hello\n"}]}
    for ref, platforms in (("library/alpine:3.20", ["linux/amd64", "linux/arm64"]), ("team/app:1", ["linux/amd64"])):
        daemon.run_job({"kind": "build", "base": "scratch", "platforms": platforms, "layers": [layer],
                        "targets": [f"{registry.address}/{ref}"], "config": {"cmd": ["/bin/true"]}})


def context():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("app/run")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    return out.getvalue()


def main():
    modules = pathlib.Path(os.environ["MODULES"])
    install(modules)
    with Registry() as registry, Daemon() as live, Daemon(settings={"daemon.paused": "true"}) as paused:
        seed(live, registry)
        tar = live.directory / "context.tar"
        tar.write_bytes(context())
        given = {"live": str(live.socket), "paused": str(paused.socket), "registry": registry.address,
                 "srv": str(paused.output_root), "api": str(API)}
        environment = {**os.environ, "CONTRACT": json.dumps(given), "CONTEXT": str(tar),
                       "CONTEXT_DIGEST": "sha256:" + hashlib.sha256(tar.read_bytes()).hexdigest()}
        node = shutil.which("node")
        assert node, "node is missing: tests/support/setup installs it"
        done = subprocess.run([node, "--test-reporter=spec", HERE / "openapi.mjs"], env=environment, timeout=240, check=False)
        assert done.returncode == 0, f"openapi.mjs ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
