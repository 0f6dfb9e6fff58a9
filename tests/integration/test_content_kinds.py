# SPDX-License-Identifier: Apache-2.0
"""The kinds of content that the distribution-spec's conformance suite pushes, each copied byte for byte: from a layout that
was written by hand into another layout, and through a real registry where that takes the kind."""

import hashlib
import json
import pathlib
import tempfile
import unittest

from daemon import Daemon
from images import CONFIG, DOCKER_LIST, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST, Repository, gzip_same, sha256, tar
from registries import Registry

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Layout:
    """An OCI layout, one blob after the other."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(self, data, media_type, algorithm="sha256", **members):
        digest = hashlib.new(algorithm, data).hexdigest()
        path = self.directory / "blobs" / algorithm / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": media_type, "digest": f"{algorithm}:{digest}", "size": len(data), **members}

    def document(self, media_type, algorithm="sha256", **members):
        # Odd blanks: bytes that nobody would write again in the same way.
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **members}, indent=3).encode() + b"\n"
        return self.put(data, media_type, algorithm)

    def image(self, files=None, kind=MANIFEST, algorithm="sha256", **members):
        data = tar(files or {"hello": b"hello\n"})
        layer = self.put(gzip_same(data), LAYER, algorithm)
        config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": [sha256(data)]}}
        members = {"config": self.put(json.dumps(config).encode(), CONFIG, algorithm), "layers": [layer], **members}
        return self.document(kind, algorithm, **members)

    def tag(self, root):
        root = {**root, "annotations": {"org.opencontainers.image.ref.name": "1"}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]}))

    def blobs(self):
        return {str(path.relative_to(self.directory)): path.read_bytes()
                for path in (self.directory / "blobs").rglob("*") if path.is_file()}


def platform(descriptor, architecture):
    return {**descriptor, "platform": {"os": "linux", "architecture": architecture}}


def empty(layout):
    return layout.put(EMPTY, EMPTY_TYPE)


def image(layout):
    return layout.image()


def image_uncompressed(layout):
    data = tar({"plain": b"x" * 3000})
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [sha256(data)]}}
    return layout.document(MANIFEST, config=layout.put(json.dumps(config).encode(), CONFIG),
                           layers=[layout.put(data, LAYER.removesuffix("+gzip"))])


def index(layout):
    return layout.document(INDEX, manifests=[platform(layout.image({"a": b"1"}), "amd64"),
                                             platform(layout.image({"a": b"2"}), "arm64")])


def nested_index(layout):
    return layout.document(INDEX, manifests=[index(layout), platform(layout.image({"n": b"n"}), "s390x")])


def sparse_index(layout):
    root = index(layout)
    gone = json.loads((layout.directory / "blobs" / root["digest"].replace(":", "/")).read_bytes())["manifests"][1]
    (layout.directory / "blobs" / gone["digest"].replace(":", "/")).unlink()
    return root


def artifact(layout):
    return layout.document(MANIFEST, artifactType="application/vnd.example.sbom.v1", config=empty(layout),
                           layers=[layout.put(b"sbom", "application/vnd.example.sbom.text")])


def artifact_index(layout):
    return layout.document(INDEX, artifactType="application/vnd.example.set.v1", manifests=[artifact(layout)])


def subject(layout):
    return layout.document(MANIFEST, artifactType="application/vnd.example.signature.v1", config=empty(layout),
                           layers=[layout.put(b"signature", "application/octet-stream")], subject=layout.image())


def subject_missing(layout):
    nowhere = {"mediaType": MANIFEST, "digest": sha256(b"nowhere"), "size": 7}
    return layout.document(MANIFEST, artifactType="application/vnd.example.signature.v1", config=empty(layout),
                           layers=[empty(layout)], subject=nowhere)


def data_field(layout):
    config = {**empty(layout), "data": "e30="}
    return layout.document(MANIFEST, artifactType="application/vnd.example.data.v1", config=config, layers=[config])


def non_distributable(layout):
    data = gzip_same(tar({"foreign": b"f"}))
    layer = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": sha256(data),
             "size": len(data), "urls": ["https://layers.example.com/foreign"]}
    return layout.image(layers=[layer])


def custom_fields(layout):
    return layout.image(**{"org.example.custom": {"deep": [1, 2.5, None]}, "annotations": {"a": "ä\u2028"}})


def no_layers(layout):
    return layout.document(MANIFEST, config=empty(layout), layers=[])


def empty_blob(layout):
    return layout.document(MANIFEST, artifactType="application/vnd.example.nothing.v1", config=empty(layout),
                           layers=[layout.put(b"", "application/octet-stream")])


def sha512(layout):
    return layout.image(algorithm="sha512")


def docker_list(layout):
    return layout.document(DOCKER_LIST, manifests=[platform(layout.image(kind=DOCKER_MANIFEST), "amd64")])


KINDS = (image, image_uncompressed, index, nested_index, sparse_index, artifact, artifact_index, subject, subject_missing,
         data_field, non_distributable, custom_fields, no_layers, empty_blob, sha512, docker_list)
# docker-registry 2.8.2 knows sha256 manifests only, wants the children of an index to be there, and no URLs of layers.
NOT_IN_REGISTRY = {sha512, sparse_index, non_distributable}
# What a copy does not bring along: the subject, an image of its own, and whatever else lies in the layout.
NOT_REACHED = {subject, non_distributable, sparse_index}


class ContentKinds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.registry = cls.enterClassContext(Registry())
        cls.daemon = cls.enterClassContext(Daemon(roots=[cls.root]))
        cls.out = cls.daemon.output_root

    def copy(self, source, target):
        return self.daemon.run_job({"kind": "copy", "source": source, "targets": [target]})

    def check(self, kind):
        name = kind.__name__
        source = Layout(self.root / name)
        root = kind(source)
        source.tag(root)
        wanted = source.blobs()
        copied = self.out / name
        job = self.copy(f"oci:{source.directory}:1", f"oci:{copied}:1")
        self.assertEqual(job["result"]["digest"], root["digest"])
        got = {str(path.relative_to(copied)): path.read_bytes() for path in (copied / "blobs").rglob("*") if path.is_file()}
        if kind in NOT_REACHED:
            wanted = {path: data for path, data in wanted.items() if path in got}
            self.assertIn("blobs/" + root["digest"].replace(":", "/"), wanted)
        self.assertEqual(got, wanted)
        codes = [e["code"] for e in self.daemon.events(job["id"]) if e["type"] == "warning"]
        self.assertEqual("child-missing" in codes, kind is sparse_index, codes)
        if kind not in NOT_IN_REGISTRY:
            self.through_the_registry(name, source, root, got)

    def through_the_registry(self, name, source, root, blobs):
        repository = Repository(self.registry, f"kinds/{name}")
        self.copy(f"oci:{source.directory}:1", f"{repository.ref}:1")
        self.assertEqual(repository.manifest_bytes("1"), blobs["blobs/" + root["digest"].replace(":", "/")])
        back = self.out / f"{name}.back"
        self.copy(f"{repository.ref}:1", f"oci:{back}:1")
        got = {str(path.relative_to(back)): path.read_bytes() for path in (back / "blobs").rglob("*") if path.is_file()}
        self.assertEqual(got, blobs)

    def test_a_selected_platform_has_to_be_there(self):
        source = Layout(self.root / "selected")
        source.tag(sparse_index(source))
        spec = {"kind": "copy", "source": f"oci:{source.directory}:1", "targets": [f"oci:{self.out}/selected:1"],
                "platforms": ["linux/arm64"]}
        job = self.daemon.run_job(spec, state="failed")
        self.assertEqual(job["error"]["code"], "image-not-found")
        spec["platforms"] = ["linux/amd64"]
        self.daemon.run_job(spec)


for _kind in KINDS:
    setattr(ContentKinds, f"test_{_kind.__name__}", lambda self, kind=_kind: self.check(kind))

if __name__ == "__main__":
    unittest.main()
