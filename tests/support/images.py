# SPDX-License-Identifier: Apache-2.0
"""Images for tests: made byte by byte, put into registries without the daemon's help, read back by skopeo and umoci."""

import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request

OCI = "application/vnd.oci.image."
MANIFEST, INDEX = OCI + "manifest.v1+json", OCI + "index.v1+json"
CONFIG, LAYER = OCI + "config.v1+json", OCI + "layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST))


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(files):
    """files: name -> content (bytes), or None for a directory, or a str for a symbolic link's target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


class Repository:
    """One repository of a registry without sign-in, over urllib."""

    def __init__(self, registry, name):
        self.ref = f"{registry.address}/{name}"
        self.name = name
        self.url = f"http://{registry.address}/v2/{name}"

    def call(self, method, path, body=None, headers=None):
        url = path if path.startswith("http") else f"{self.url}/{path}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers, answer.read()

    def put_blob(self, data):
        digest = sha256(data)
        headers, _ = self.call("POST", "blobs/uploads/", b"")
        location = headers["Location"]
        self.call("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", data,
                  {"Content-Type": "application/octet-stream"})
        return digest

    def has_blob(self, digest):
        try:
            self.call("HEAD", f"blobs/{digest}")
            return True
        except urllib.error.HTTPError:
            return False

    def blob(self, digest):
        return self.call("GET", f"blobs/{digest}")[1]

    def put_manifest(self, document, reference=None):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = json.loads(data)["mediaType"]
        self.call("PUT", f"manifests/{reference or sha256(data)}", data, {"Content-Type": kind})
        return {"mediaType": kind, "digest": sha256(data), "size": len(data)}

    def manifest_bytes(self, reference):
        return self.call("GET", f"manifests/{reference}", headers={"Accept": ACCEPT})[1]

    def manifest(self, reference):
        return json.loads(self.manifest_bytes(reference))

    def digest(self, reference):
        return sha256(self.manifest_bytes(reference))

    def exists(self, reference):
        try:
            self.manifest_bytes(reference)
            return True
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            return False

    def config(self, reference):
        return json.loads(self.blob(self.manifest(reference)["config"]["digest"]))

    def tags(self):
        try:
            return sorted(json.loads(self.call("GET", "tags/list")[1])["tags"] or [])
        except urllib.error.HTTPError:
            return []

    def files(self, reference):
        """The file system of an image as umoci unpacks it: path -> content, link target or None."""
        with tempfile.TemporaryDirectory() as directory:
            layout = pathlib.Path(directory) / "layout"
            run("skopeo", "copy", "--src-tls-verify=false", f"docker://{self.ref}:{reference}", f"oci:{layout}:x")
            bundle = pathlib.Path(directory) / "bundle"
            run("umoci", "unpack", "--rootless", "--image", f"{layout}:x", bundle)
            return read_tree(bundle / "rootfs")


def read_tree(root):
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def run(*arguments):
    return subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True).stdout


def gzip_same(data):
    """The same bytes in, the same bytes out, whatever the time."""
    return gzip.compress(data, mtime=0)


def put_image(repository, tag, layers, platform="linux/amd64", annotations=None, config=None, compress=gzip_same,
              history=None, media_type=LAYER):
    """layers: dicts for tar() or bytes of tars. Returns the descriptor of the manifest, with platform."""
    tars = [tar(layer) if isinstance(layer, dict) else layer for layer in layers]
    blobs = [compress(data) for data in tars]
    os_name, _, architecture = platform.partition("/")
    document = {"os": os_name, "architecture": architecture, "config": config or {},
                "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in tars]},
                "history": history or [{"created_by": f"step {i}"} for i in range(len(tars))]}
    data = json.dumps(document).encode()
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": repository.put_blob(data), "size": len(data)},
                "layers": [{"mediaType": media_type, "digest": repository.put_blob(blob), "size": len(blob)}
                           for blob in blobs]}
    if annotations:
        manifest["annotations"] = annotations
    descriptor = repository.put_manifest(manifest, tag)
    return {**descriptor, "platform": {"os": os_name, "architecture": architecture}}


def put_index(repository, tag, children, annotations=None):
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    if annotations:
        document["annotations"] = annotations
    return repository.put_manifest(document, tag)
