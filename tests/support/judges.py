# SPDX-License-Identifier: Apache-2.0
"""Three programs of others that read an image of a registry without sign-in, each in its own way:

    skopeo   inspects it and copies it, which checks every digest and diff_id
    umoci    unpacks the layout that skopeo made of it
    podman   pulls it into a store of its own (vfs) and shows the root file system

    verdict = judge("127.0.0.1:5000/team/app:1")     # a Verdict; AssertionError where they do not agree
"""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from images import sha256
from job_case import gunzip

INDEXES_OF_ESTARGZ = {"stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"}  # part of that format


class Verdict:
    """config: as skopeo gives it; files: path -> (kind and mode, owner, content or link target)."""

    def __init__(self, digest, config, files):
        self.digest, self.config, self.files = digest, config, files

    def contents(self):
        return {name: entry[2] for name, entry in self.files.items()}


def run(*arguments):
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def read_root(root):
    found = {}
    for path in sorted(root.rglob("*")):
        name, about = str(path.relative_to(root)), path.lstat()
        if name in INDEXES_OF_ESTARGZ:
            continue
        content = str(path.readlink()) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
        mode = stat.filemode(about.st_mode) if not path.is_symlink() else "l"
        found[name] = (mode, (about.st_uid, about.st_gid) if os.geteuid() == 0 else None, content)
    return found


def platform_options(platform):
    if not platform:
        return []
    os_name, _, architecture = platform.partition("/")
    return ["--override-os", os_name, "--override-arch", architecture]


def by_skopeo(directory, ref, platform):
    """The digest of the manifest and the config; leaves a layout, whose layers are what the config calls them."""
    skopeo = ["skopeo", "--insecure-policy", *platform_options(platform)]
    about = json.loads(run(*skopeo, "inspect", "--tls-verify=false", f"docker://{ref}"))
    config = json.loads(run(*skopeo, "inspect", "--tls-verify=false", "--config", f"docker://{ref}"))
    layout = directory / "layout"
    run(*skopeo, "copy", "--src-tls-verify=false", "--dest-compress-format", "gzip", f"docker://{ref}", f"oci:{layout}:x")
    blob = lambda digest: (layout / "blobs/sha256" / digest[7:]).read_bytes()  # noqa: E731
    manifest = json.loads(blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]))
    layers = [sha256(gunzip(blob(layer["digest"]))) for layer in manifest["layers"]]
    assert layers == config["rootfs"]["diff_ids"], (ref, layers, config)
    assert len(about["Layers"]) == len(layers), about
    return about["Digest"], config


def by_umoci(directory):
    run("umoci", "unpack", *([] if os.geteuid() == 0 else ["--rootless"]), "--image", f"{directory}/layout:x", directory / "bundle")
    return read_root(directory / "bundle/rootfs")


def by_podman(directory, ref, platform):
    """The digest, the environment and the files."""
    base = ["podman", "--root", directory / "podman", "--runroot", directory / "run", "--storage-driver", "vfs", "--cgroup-manager",
            "cgroupfs", "--events-backend", "none"]
    enter = base if os.geteuid() == 0 else ["podman", "unshare", *base]
    try:
        run(*base, "pull", "-q", "--tls-verify=false", *(["--platform", platform] if platform else []), ref)
        about = json.loads(run(*base, "image", "inspect", ref))[0]
        files = read_root(pathlib.Path(run(*enter, "image", "mount", ref).strip()))
        return about, files
    finally:
        subprocess.run([*map(str, enter), "image", "unmount", "-a"], capture_output=True, timeout=60, check=False)


def judge(ref, platform=None):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="judges."))
    try:
        digest, config = by_skopeo(directory, ref, platform)
        files = by_umoci(directory)
        about, mounted = by_podman(directory, ref, platform)
        assert mounted == files, (ref, mounted, files)
        assert about["RootFS"]["Layers"] == config["rootfs"]["diff_ids"], (ref, about, config)
        assert (about["Config"].get("Env") or []) == (config.get("config", {}).get("Env") or []), (ref, about, config)
        assert about["Architecture"] == config["architecture"], (ref, about, config)
        return Verdict(digest, config, files)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
