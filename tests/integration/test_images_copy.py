# SPDX-License-Identifier: Apache-2.0
"""Copies: dry runs, referrers, batches of tags, pruning, foreign layers, conversion, and how many requests they take."""

import gzip
import json
import unittest

from daemon import Daemon
from images import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Repository, put_image, put_index, sha256, tar
from registries import Registry


class Copies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source_registry, cls.target_registry = Registry(), Registry()
        cls.addClassCleanup(cls.source_registry.stop)
        cls.addClassCleanup(cls.target_registry.stop)
        cls.daemon = cls.enterClassContext(Daemon())

    def pair(self, name):
        return Repository(self.source_registry, name), Repository(self.target_registry, name)

    def copy(self, source, target, state="succeeded", **members):
        return self.daemon.run_job({"kind": "copy", "source": source, "targets": [target], **members}, state=state)


class Requests(Copies):
    def test_cold_push_and_warm_copy(self):
        source, target = self.pair("count/app")
        put_image(source, "1", [{f"f{i}": str(i).encode()} for i in range(5)])
        cold = self.copy(f"{source.ref}:1", f"{target.ref}:1")["result"]["stats"]
        blobs = 6  # with the config
        self.assertLessEqual(cold["requests"], (1 + blobs) + (2 * blobs + 3))  # source: manifest and blobs
        warm = self.copy(f"{source.ref}:1", f"{target.ref}:1")["result"]["stats"]
        self.assertLessEqual(warm["requests"], 4)
        self.assertEqual((warm["bytes_sent"], warm["bytes_received"]), (0, 0))


class SameRepository(Copies):
    def test_another_tag_of_the_same_repository(self):
        repository, _ = self.pair("same/app")
        put_index(repository, "index", [put_image(repository, a, [{a: a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")])
        for source in ("amd64", "index"):
            with self.subTest(source):
                job = self.copy(f"{repository.ref}:{source}", f"{repository.ref}:new-{source}")
                self.assertEqual(repository.digest(f"new-{source}"), repository.digest(source))
                self.assertEqual((job["result"]["stats"]["bytes_sent"], job["result"]["stats"]["bytes_received"]), (0, 0))
        self.copy(f"{repository.ref}:index", f"{repository.ref}:part", platforms=["linux/arm64"])
        self.assertEqual([m["digest"] for m in repository.manifest("part")["manifests"]], [repository.digest("arm64")])


class DryRun(Copies):
    def test_copy_tells_what_it_would_do_and_does_nothing(self):
        source, target = self.pair("dry/app")
        put_image(source, "1", [{"a": b"1"}, {"b": b"2"}])
        layers = source.manifest("1")["layers"]
        target.put_blob(source.blob(layers[0]["digest"]))
        job = self.copy(f"{source.ref}:1", f"{target.ref}:1", dry_run=True)
        plan = job["result"]["plan"]
        actions = {row["digest"]: row["action"] for row in plan["blobs"]}
        config = source.manifest("1")["config"]
        self.assertEqual(actions, {layers[0]["digest"]: "exists", layers[1]["digest"]: "upload", config["digest"]: "upload"})
        self.assertEqual(plan["bytes_to_send"], layers[1]["size"] + config["size"])
        self.assertEqual([row["action"] for row in plan["tags"]], ["create"])
        self.assertEqual(job["result"]["stats"]["bytes_sent"], 0)
        self.assertEqual((target.tags(), target.has_blob(layers[1]["digest"])), ([], False))
        self.copy(f"{source.ref}:1", f"{target.ref}:1")
        plan = self.copy(f"{source.ref}:1", f"{target.ref}:1", dry_run=True)["result"]["plan"]
        self.assertEqual({row["action"] for row in plan["blobs"] + plan["manifests"] + plan["tags"]}, {"exists"})
        self.assertEqual(plan["bytes_to_send"], 0)

    def test_mount_within_a_registry(self):
        source, _ = self.pair("dry/from")
        put_image(source, "1", [{"a": b"m"}])
        job = self.copy(f"{source.ref}:1", f"{self.source_registry.address}/dry/to:1", dry_run=True)
        self.assertEqual({(row["action"], row["from"]) for row in job["result"]["plan"]["blobs"]}, {("mount", "dry/from")})

    def test_build_and_layouts(self):
        layout = self.daemon.output_root / "dry"
        spec = {"kind": "build", "base": "scratch", "dry_run": True,
                "targets": [f"oci:{layout}:1", f"{self.target_registry.address}/dry/built:1"],
                "layers": [{"files": [{"type": "file", "to": "/x", "text": "x"}]}]}
        result = self.daemon.run_job(spec)["result"]
        self.assertEqual([row["action"] for row in result["plan"]["blobs"]], ["upload"] * 4)
        self.assertFalse(layout.exists())
        self.assertEqual(Repository(self.target_registry, "dry/built").tags(), [])
        spec["dry_run"] = False
        self.assertEqual(self.daemon.run_job(spec)["result"]["digest"], result["digest"])
        spec["dry_run"] = True
        rows = self.daemon.run_job(spec)["result"]["plan"]["blobs"]
        self.assertEqual({row["action"] for row in rows}, {"exists"})


class Referrers(Copies):
    def put_referrer(self, repository, subject, artifact_type, tag=None, payload=b"{}"):
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": repository.put_blob(b"{}"),
                               "size": 2},
                    "layers": [{"mediaType": "application/json", "digest": repository.put_blob(payload),
                                "size": len(payload)}],
                    "annotations": {"kind": artifact_type}}
        if subject:
            document["subject"] = {k: subject[k] for k in ("mediaType", "digest", "size")}
        return {**repository.put_manifest(document, tag), "artifactType": artifact_type}

    def note(self, repository, subject, *referrers):
        put_index(repository, subject["digest"].replace(":", "-"), list(referrers))

    def test_all_that_refers_to_an_image_goes_along(self):
        source, target = self.pair("signed/app")
        children = [put_image(source, f"c-{a}", [{"f": a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")]
        index = put_index(source, "1", children)
        sbom = self.put_referrer(source, children[1], "application/spdx+json", payload=b'{"sbom":1}')
        signature = self.put_referrer(source, sbom, "application/vnd.sign", payload=b'{"signs":"the sbom"}')
        self.note(source, children[1], sbom)
        self.note(source, sbom, signature)
        cosign = self.put_referrer(source, None, "cosign", tag=index["digest"].replace(":", "-") + ".sig")
        self.put_referrer(source, None, "cosign", tag="sha256-" + "0" * 64 + ".sig")  # of something else
        self.copy(f"{source.ref}:1", f"{target.ref}:1", referrers=True)
        self.assertEqual(target.digest("1"), index["digest"])
        for digest in (sbom["digest"], signature["digest"]):
            self.assertEqual(target.manifest_bytes(digest), source.manifest_bytes(digest))
        for subject, referrer in ((children[1], sbom), (sbom, signature)):
            listed = target.manifest(subject["digest"].replace(":", "-"))["manifests"]
            self.assertEqual([d["digest"] for d in listed], [referrer["digest"]])
            self.assertEqual(listed[0]["annotations"], {"kind": referrer["artifactType"]})
        self.assertEqual(target.digest(index["digest"].replace(":", "-") + ".sig"), cosign["digest"])
        self.assertEqual(len(target.tags()), 4)

    def test_without_asking_nothing_goes_along(self):
        source, target = self.pair("signed/plain")
        image = put_image(source, "1", [{"f": b"x"}])
        self.note(source, image, self.put_referrer(source, image, "application/spdx+json"))
        self.copy(f"{source.ref}:1", f"{target.ref}:1")
        self.assertEqual(target.tags(), ["1"])

    def test_converted_images_have_none(self):
        status, problem = self.daemon.refused_job({"kind": "copy", "source": "localhost:1/a", "referrers": True,
                                                   "targets": [{"ref": "localhost:1/b", "format": "docker"}]})
        self.assertEqual((status, problem["errors"][0]["pointer"]), (400, "/targets/0/format"))


class Batch(Copies):
    def test_filters(self):
        source, target = self.pair("batch/filters")
        for tag in ("v1.0", "v1.2", "v1.10", "v1.10-rc1", "v2.0", "nightly"):
            put_image(source, tag, [{"f": tag.encode()}])
        cases = (({"include": ["v1.*"]}, {"v1.0", "v1.2", "v1.10", "v1.10-rc1"}),
                 ({"include": ["/^v[0-9.]+$/"], "newest": 2}, {"v1.10", "v2.0"}),
                 ({"exclude": ["v*"]}, {"nightly"}),
                 ({"include": ["v1.*"], "newest": 2}, {"v1.10", "v1.10-rc1"}), ({}, set(source.tags())))
        for number, (tags, expected) in enumerate(cases):
            with self.subTest(tags):
                place = Repository(self.target_registry, f"batch/filters{number}")
                result = self.copy(source.ref, place.ref, tags=tags)["result"]
                self.assertEqual(set(place.tags()), expected)
                self.assertEqual({item["source"] for item in result["items"]}, {f"{source.ref}:{t}" for t in expected})
                for tag in expected:
                    self.assertEqual(place.digest(tag), source.digest(tag))

    def test_one_bad_tag_does_not_stop_the_others(self):
        source, target = self.pair("batch/bad")
        for tag in "abcdefghijkl":
            put_image(source, tag, [{"f": tag.encode()}])
        broken = source.manifest("e")["layers"][0]["digest"]
        self.source_registry.blob_path(broken).write_bytes(b"")
        job = self.copy(source.ref, target.ref, state="failed", tags={}, prune={})
        self.assertEqual(job["error"]["code"], "partial")
        self.assertEqual(set(target.tags()), set("abcdfghijkl"))
        items = {item["source"][-1]: item for item in job["result"]["items"]}
        self.assertEqual({t for t, item in items.items() if item["state"] == "failed"}, {"e"})
        self.assertTrue(items["e"]["error"]["code"] and items["e"]["error"]["detail"])
        self.assertIsNone(items["a"]["error"])
        self.assertEqual(items["a"]["refs"], [f"{target.ref}:a@{source.digest('a')}"])

    def test_prune(self):
        source, target = self.pair("batch/prune")
        put_image(source, "1", [{"f": b"1"}])
        put_image(target, "old", [{"f": b"old"}])
        put_image(target, "keep-me", [{"f": b"kept"}])
        put_image(target, "shared", [{"f": b"shared"}])
        target.put_manifest(target.manifest_bytes("shared"), "keep-shared")
        put_index(target, "sha256-" + "a" * 64, [])
        dry = self.copy(source.ref, target.ref, tags={}, prune={"protect": ["keep-*"]}, dry_run=True)["result"]
        self.assertEqual({row["ref"]: row["state"] for row in dry["pruned"]},
                         {f"{target.ref}:old": "would-remove", f"{target.ref}:shared": "would-remove"})
        self.assertEqual(len(target.tags()), 5)
        job = self.copy(source.ref, target.ref, state="failed", tags={}, prune={"protect": ["keep-*"]})
        rows = {row["ref"]: row for row in job["result"]["pruned"]}
        self.assertEqual(rows[f"{target.ref}:old"]["state"], "removed")
        self.assertIn("keep-shared", rows[f"{target.ref}:shared"]["error"]["detail"])
        self.assertFalse(target.exists("old"))
        self.assertTrue(target.exists("keep-me") and target.exists("keep-shared") and target.exists("1"))

    def test_to_a_layout(self):
        source, _ = self.pair("batch/layout")
        for tag in ("1", "2"):
            put_image(source, tag, [{"f": tag.encode()}])
        layout = self.daemon.output_root / "batch"
        self.copy(source.ref, f"oci:{layout}", tags={})
        names = {m["annotations"]["org.opencontainers.image.ref.name"]
                 for m in json.loads((layout / "index.json").read_text())["manifests"]}
        self.assertEqual(names, {"1", "2"})

    def test_what_is_refused_at_once(self):
        plain = {"kind": "copy", "source": "localhost:1/a", "targets": ["localhost:1/b"]}
        for members, pointer in (({"source": "localhost:1/a:1", "tags": {}}, "/source"), ({"prune": {}}, "/prune"),
                                 ({"targets": ["localhost:1/b:1"], "tags": {}}, "/targets/0"),
                                 ({"tags": {"include": ["/(/"]}}, "/tags/include"), ({"tags": {"newest": 0}}, "/tags/newest")):
            with self.subTest(members):
                status, problem = self.daemon.refused_job({**plain, **members})
                self.assertEqual((status, problem["errors"][0]["pointer"]), (400, pointer))


class Convert(Copies):
    def convert(self, source, target, form):
        return self.daemon.run_job({"kind": "copy", "source": f"{source.ref}:1",
                                    "targets": [{"ref": f"{target.ref}:1", "format": form}]})

    def test_there_and_back(self):
        source, target = self.pair("convert/app")
        put_index(source, "1", [put_image(source, f"1-{a}", [{"f": a.encode()}], f"linux/{a}") for a in ("amd64", "arm64")])
        self.convert(source, target, "docker")
        index = target.manifest("1")
        self.assertEqual(index["mediaType"], DOCKER_LIST)
        for child in index["manifests"]:
            self.assertEqual(child["mediaType"], DOCKER_MANIFEST)
            manifest = target.manifest(child["digest"])
            self.assertEqual(manifest["layers"][0]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip")
            self.assertEqual(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json")
        self.assertEqual(target.files("1")["f"], b"amd64")
        back = Repository(self.source_registry, "convert/back")
        self.convert(target, back, "oci")
        self.assertEqual(back.manifest("1")["mediaType"], INDEX)
        self.assertEqual([m["digest"] for m in back.manifest("1")["manifests"]],
                         [back.digest(m["digest"]) for m in back.manifest("1")["manifests"]])

    def test_each_target_gets_its_own_documents_only(self):
        source, docker = self.pair("convert/mixed")
        digest = put_image(source, "1", [{"f": b"x"}])["digest"]
        same = Repository(self.target_registry, "convert/same")
        self.daemon.run_job({"kind": "copy", "source": f"{source.ref}:1",
                             "targets": [{"ref": f"{docker.ref}:1", "format": "docker"}, f"{same.ref}:1"]})
        self.assertEqual(same.digest("1"), digest)
        self.assertFalse(docker.exists(digest))
        self.assertFalse(same.exists(docker.digest("1")))

    def test_zstd_has_no_name_in_docker(self):
        source, target = self.pair("convert/zstd")
        put_image(source, "1", [{"f": b"x"}], media_type="application/vnd.oci.image.layer.v1.tar+zstd")
        job = self.daemon.run_job({"kind": "copy", "source": f"{source.ref}:1",
                                   "targets": [{"ref": f"{target.ref}:1", "format": "docker"}]}, state="failed")
        self.assertEqual(job["error"]["code"], "manifest-unsupported")
        self.assertEqual(target.tags(), [])


class Foreign(Copies):
    def test_bytes_are_fetched_only_if_wanted(self):
        allow = {"validation": {"manifests": {"urls": {"allow": ["^http://127\\.0\\.0\\.1:"]}}}}
        here = self.source_registry.address
        with Registry(extra=allow) as registry, Daemon("--plain-http", here) as daemon:
            source, elsewhere = Repository(registry, "foreign/source"), self.pair("foreign/elsewhere")[0]
            tar_bytes = tar({"f": b"foreign"})
            blob = gzip.compress(tar_bytes)
            digest = elsewhere.put_blob(blob)
            data = json.dumps({"os": "linux", "architecture": "amd64", "config": {},
                               "rootfs": {"type": "layers", "diff_ids": [sha256(tar_bytes)]}}).encode()
            layer = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest,
                     "size": len(blob), "urls": [f"{elsewhere.url}/blobs/{digest}"]}
            config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": source.put_blob(data),
                      "size": len(data)}
            source.put_manifest({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [layer]},
                                "1")
            out = daemon.output_root
            spec = {"kind": "copy", "source": f"{source.ref}:1"}
            daemon.run_job({**spec, "targets": [f"oci:{out}/kept:1"]})
            self.assertFalse((out / "kept/blobs/sha256" / digest[7:]).exists())
            daemon.run_job({**spec, "targets": [f"oci:{out}/fetched:1"], "foreign_layers": "copy"})
            self.assertEqual((out / "fetched/blobs/sha256" / digest[7:]).read_bytes(), blob)


if __name__ == "__main__":
    unittest.main()
