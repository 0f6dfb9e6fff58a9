# SPDX-License-Identifier: Apache-2.0
"""Builds that change what is there: layers by digest, removal, rebase, contexts; judged by skopeo and umoci."""

import gzip
import hashlib
import json
import pathlib
import unittest

from daemon import Daemon
from images import Repository, put_image, put_index, sha256, tar
from registries import Registry

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


class Edit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.daemon = cls.enterClassContext(Daemon())
        cls.base = Repository(cls.registry, "team/base")
        put_image(cls.base, "1", [{"a": b"one"}, {"b": b"two"}, {"c": b"three"}],
                  history=[{"created_by": "ADD one"}, {"created_by": "ENV x", "empty_layer": True},
                           {"created_by": "RUN two"}, {"created_by": "RUN three"}])

    def build(self, target, state="succeeded", **members):
        spec = {"kind": "build", "base": f"{self.base.ref}:1", "targets": [target], **members}
        return self.daemon.run_job(spec, state=state)

    def check_consistent(self, repository, tag):
        manifest, config = repository.manifest(tag), repository.config(tag)
        diff_ids = config["rootfs"]["diff_ids"]
        self.assertEqual(len(manifest["layers"]), len(diff_ids))
        self.assertEqual(len([h for h in config["history"] if not h.get("empty_layer")]), len(diff_ids))
        for layer, diff_id in zip(manifest["layers"], diff_ids):
            if layer["mediaType"].endswith("gzip"):
                self.assertEqual(sha256(gzip.decompress(repository.blob(layer["digest"]))), diff_id)
        return manifest, config

    # -- blob layers

    def test_blob_layer_of_the_base_repository(self):
        data = tar({"extra": b"by digest"})
        digest = self.base.put_blob(gzip.compress(data))
        target = Repository(self.registry, "team/blob1")
        self.build(f"{target.ref}:1", layers=[{"blob": {"digest": digest, "diff_id": sha256(data)}, "comment": "mine"}])
        manifest, config = self.check_consistent(target, "1")
        self.assertEqual(manifest["layers"][3]["digest"], digest)
        self.assertEqual(config["history"][-1]["comment"], "mine")
        self.assertEqual(target.files("1")["extra"], b"by digest")

    def test_blob_layer_of_the_target_repository_moves_no_byte(self):
        data = tar({"late": b"x" * 1000})
        target = Repository(self.registry, "team/base")
        blob = gzip.compress(data)
        digest = target.put_blob(blob)
        job = self.build(f"{target.ref}:late",
                         layers=[{"blob": {"digest": digest, "diff_id": sha256(data), "size": len(blob)}}])
        self.check_consistent(target, "late")
        config_size = target.manifest("late")["config"]["size"]
        self.assertEqual(job["result"]["stats"]["bytes_sent"], config_size)

    def test_blob_layer_that_is_nowhere(self):
        digest = sha256(b"nowhere")
        job = self.build(f"{self.registry.address}/team/none:1", state="failed",
                         layers=[{"blob": {"digest": digest, "diff_id": digest}}])
        self.assertEqual(job["error"]["code"], "blob-unknown")
        self.assertIn(digest, job["error"]["detail"])
        self.assertFalse(Repository(self.registry, "team/none").exists("1"))

    def test_blob_layer_of_another_size(self):
        data = tar({"s": b"1"})
        digest = self.base.put_blob(gzip.compress(data))
        job = self.build(f"{self.registry.address}/team/none:2", state="failed",
                         layers=[{"blob": {"digest": digest, "diff_id": sha256(data), "size": 7}}])
        self.assertEqual(job["error"]["code"], "invalid-request")

    def test_foreign_layer_keeps_its_urls(self):
        digest = sha256(b"elsewhere")
        blob = {"digest": digest, "diff_id": sha256(b"e"), "size": 77, "urls": ["https://example.com/layer"],
                "media_type": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}
        job = self.build(f"oci:{self.daemon.output_root}/foreign:1", layers=[{"blob": blob}])
        blobs = self.daemon.output_root / "foreign/blobs/sha256"
        last = json.loads((blobs / job["result"]["digest"][7:]).read_text())["layers"][-1]
        self.assertEqual((last["digest"], last["urls"], last["size"]), (digest, blob["urls"], 77))
        self.assertFalse((blobs / digest[7:]).exists())

    # -- remove_layers

    def remaining(self, *picks):
        target = Repository(self.registry, "team/removed")
        self.build(f"{target.ref}:1", remove_layers=list(picks))
        self.check_consistent(target, "1")
        return target

    def test_remove_by_digest(self):
        digest = self.base.manifest("1")["layers"][1]["digest"]
        self.assertEqual(set(self.remaining(digest).files("1")), {"a", "c"})

    def test_remove_by_index_counts_before_any_removal(self):
        target = self.remaining({"index": 0}, {"index": 1})
        self.assertEqual(set(target.files("1")), {"c"})
        self.assertEqual([h["created_by"] for h in target.config("1")["history"]], ["ENV x", "RUN three"])

    def test_remove_by_history(self):
        self.assertEqual(set(self.remaining({"created_by": "^RUN (two|three)$"}).files("1")), {"a"})

    def test_remove_what_is_not_there_names_what_is(self):
        missing = sha256(b"missing")
        for pick in (missing, {"index": 3}, {"created_by": "nothing of the kind"}):
            with self.subTest(pick):
                job = self.build(f"{self.registry.address}/team/none:3", state="failed", remove_layers=[pick])
                self.assertEqual(job["error"]["errors"][0]["pointer"], "/remove_layers/0")
                self.assertIn(self.base.manifest("1")["layers"][0]["digest"][:19], job["error"]["hint"])

    def test_bad_picks_are_refused_at_once(self):
        for pick in ({"index": -1}, {"created_by": "("}, {"created_by": "(a)\\1"}, {"created_by": "a{1,9}"}, "abc", {},
                     {"index": 1, "created_by": "x"}, 7):
            with self.subTest(pick):
                status, problem = self.daemon.refused_job(
                    {"kind": "build", "base": "scratch", "targets": ["localhost:1/x"], "remove_layers": [pick]})
                self.assertEqual(status, 400)
                self.assertTrue(problem["errors"][0]["pointer"].startswith("/remove_layers/0"), problem)

    # -- rebase

    def make_bases(self, name):
        repository = Repository(self.registry, name)
        old = put_image(repository, "old", [{"etc/os": b"old"}, {"lib": b"old"}])
        put_image(repository, "new", [{"etc/os": b"new"}, {"lib": b"new"}, {"more": b"new"}],
                  history=[{"created_by": "new 0"}, {"created_by": "new 1"}, {"created_by": "new 2"},
                           {"created_by": "CMD", "empty_layer": True}])
        return repository, old

    def test_rebase_by_name(self):
        bases, _ = self.make_bases("team/os1")
        app = Repository(self.registry, "team/app1")
        put_image(app, "1", [{"etc/os": b"old"}, {"lib": b"old"}, {"app": b"mine"}], config={"Env": ["A=1"]})
        job = self.daemon.run_job({"kind": "build", "base": f"{app.ref}:1", "targets": [f"{app.ref}:2"],
                                   "rebase": {"from": f"{bases.ref}:old", "onto": f"{bases.ref}:new"}})
        manifest, config = self.check_consistent(app, "2")
        self.assertEqual(app.files("2"), {"etc": None, "etc/os": b"new", "lib": b"new", "more": b"new", "app": b"mine"})
        self.assertEqual(config["config"]["Env"], ["A=1"])
        self.assertEqual([h["created_by"] for h in config["history"]], ["new 0", "new 1", "new 2", "CMD", "step 2"])
        self.assertEqual(manifest["annotations"][BASE_NAME], f"{bases.ref}:new")
        self.assertEqual(manifest["annotations"][BASE_DIGEST], bases.digest("new"))
        self.assertEqual(job["result"]["stats"]["bytes_sent"], manifest["config"]["size"])  # layers are mounted

    def test_rebase_by_annotations(self):
        bases, old = self.make_bases("team/os2")
        app = Repository(self.registry, "team/app2")
        self.daemon.run_job({"kind": "build", "base": f"{bases.ref}:old", "targets": [f"{app.ref}:1"],
                             "layers": [{"files": [{"type": "file", "to": "/app", "text": "mine"}]}]})
        self.assertEqual(app.manifest("1")["annotations"][BASE_DIGEST], old["digest"])
        bases.put_manifest(bases.manifest_bytes("new"), "old")  # the tag moves on
        self.daemon.run_job({"kind": "build", "base": f"{app.ref}:1", "targets": [f"{app.ref}:2"], "rebase": {}})
        self.assertEqual(app.files("2"), {"etc": None, "etc/os": b"new", "lib": b"new", "more": b"new", "app": b"mine"})
        self.assertEqual(app.manifest("2")["annotations"][BASE_DIGEST], bases.digest("new"))

    def test_rebase_of_what_stands_elsewhere(self):
        bases, _ = self.make_bases("team/os3")
        spec = {"kind": "build", "base": f"{self.base.ref}:1", "targets": [f"{self.base.ref}:no"],
                "rebase": {"from": f"{bases.ref}:old", "onto": f"{bases.ref}:new"}}
        job = self.daemon.run_job(spec, state="failed")
        self.assertEqual(job["error"]["code"], "conflict")
        self.assertIn("does not stand on", job["error"]["detail"])
        spec["rebase"] = {"onto": f"{bases.ref}:new"}
        self.assertIn("annotations", self.daemon.run_job(spec, state="failed")["error"]["hint"])

    def test_rebase_of_several_platforms(self):
        os_images, app = Repository(self.registry, "team/os4"), Repository(self.registry, "team/app4")
        for tag in ("old", "new"):
            put_index(os_images, tag, [put_image(os_images, f"{tag}-{a}", [{"os": f"{tag} {a}".encode()}], f"linux/{a}")
                                       for a in ("amd64", "arm64")])
        put_index(app, "1", [put_image(app, f"1-{a}", [{"os": f"old {a}".encode()}, {"app": a.encode()}], f"linux/{a}")
                             for a in ("amd64", "arm64")])
        self.daemon.run_job({"kind": "build", "base": f"{app.ref}:1", "targets": [f"{app.ref}:2"],
                             "platforms": ["linux/amd64", "linux/arm64"],
                             "rebase": {"from": f"{os_images.ref}:old", "onto": f"{os_images.ref}:new"}})
        for child, name in zip(app.manifest("2")["manifests"], ("amd64", "arm64")):
            self.assertEqual(child["platform"]["architecture"], name)
            manifest = app.manifest(child["digest"])
            self.assertEqual(manifest["layers"][0], os_images.manifest(f"new-{name}")["layers"][0])
            self.assertEqual(manifest["layers"][1], app.manifest(f"1-{name}")["layers"][1])

    # -- config

    def test_config_of_some_platforms(self):
        base, app = Repository(self.registry, "team/multi"), Repository(self.registry, "team/bound")
        put_index(base, "1", [put_image(base, a, [{a: b""}], f"linux/{a}", config={"Env": ["A=base"]}) for a in ("amd64", "arm64")])
        spec = {"kind": "build", "base": f"{base.ref}:1", "targets": [f"{app.ref}:1"], "platforms": ["linux/amd64", "linux/arm64"]}
        self.daemon.run_job({**spec, "config": {"env": {"A": "all"}, "user": "1", "platforms": {
            "linux/arm64": {"env": {"A": "arm", "B": "1"}, "user": None}}}})
        configs = [app.config(m["digest"])["config"] for m in app.manifest("1")["manifests"]]
        self.assertEqual(configs, [{"Env": ["A=all"], "User": "1"}, {"Env": ["A=arm", "B=1"]}])
        for bound, pointer in (({"linux": {}}, "/linux"), ({"linux/arm64": {"usr": "1"}}, "/linux~1arm64/usr"),
                               ({"linux/arm64": {"platforms": {}}}, "/linux~1arm64/platforms"), ([], "")):
            status, problem = self.daemon.refused_job({**spec, "config": {"platforms": bound}})
            self.assertEqual((status, problem["errors"][0]["pointer"]), (400, "/config/platforms" + pointer))

    # -- contexts

    def put_context(self, data):
        digest = sha256(data)
        path = pathlib.Path(self.daemon.cache) / "contexts/sha256" / hashlib.sha256(data).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest

    def test_context(self):
        digest = self.put_context(gzip.compress(tar({"in/side": b"context"}), mtime=0))
        target = Repository(self.registry, "team/context")
        spec = {"kind": "build", "base": "scratch", "targets": [f"{target.ref}:1"],
                "layers": [{"files": [{"type": "context", "digest": digest, "to": "/srv"}]}]}
        self.daemon.run_job(spec)
        self.assertEqual(target.files("1")["srv/in/side"], b"context")

    def test_context_that_was_not_uploaded(self):
        digest = sha256(b"never")
        job = self.build(f"{self.registry.address}/team/none:4", state="failed",
                         layers=[{"files": [{"type": "context", "digest": digest, "to": "/"}]}])
        self.assertEqual(job["error"]["code"], "not-found")
        self.assertIn(digest, job["error"]["hint"])

    # -- split

    def test_dependencies_become_a_layer_of_their_own(self):
        tree = self.daemon.build_root / "split"
        (tree / "node_modules/left").mkdir(parents=True)
        (tree / "node_modules/left/index.js").write_text("left")
        (tree / "main.js").write_text("one")
        target = Repository(self.registry, "team/split")
        spec = {"kind": "build", "base": "scratch", "targets": [f"{target.ref}:1"],
                "layers": [{"files": [{"from": str(tree), "to": "/app"}], "split": "auto"}]}
        self.daemon.run_job(spec)
        first, _ = self.check_consistent(target, "1")
        self.assertEqual(len(first["layers"]), 2)
        files = {"app": None, "app/main.js": b"one", "app/node_modules": None, "app/node_modules/left": None,
                 "app/node_modules/left/index.js": b"left"}
        self.assertEqual(target.files("1"), files)
        (tree / "main.js").write_text("two, and longer")
        self.daemon.run_job(spec)
        second, _ = self.check_consistent(target, "1")
        self.assertEqual(second["layers"][0], first["layers"][0])
        self.assertNotEqual(second["layers"][1], first["layers"][1])
        (tree / "main.js").unlink()
        self.daemon.run_job(spec)
        self.assertEqual(len(target.manifest("1")["layers"]), 1)


if __name__ == "__main__":
    unittest.main()
