# SPDX-License-Identifier: Apache-2.0
"""What real registries do, where it takes a whole job to show it (R-57 … R-79): the daemon against the scripted registry. The
rows of the registry client alone are tested in tests/unit/registry/test_behaviours.c; all of them stand in behaviours.md."""

import json
import unittest

from daemon import Daemon
from scripted_registry import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, ScriptedRegistry

QUICK = {"network.retry_base_ms": 10, "network.retry_count": 1}
DOCKER = "application/vnd.docker."


def add_index(registry, repository, tag):
    """An index of two images that share nothing; returns its digest and those of its children."""
    store = registry.store
    children = [store.add_image(repository, None, seed=seed) for seed in (1, 2)]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(store.repository(repository).manifests[digest][0]),
         "platform": {"os": "linux", "architecture": architecture}}
        for digest, architecture in zip(children, ("amd64", "arm64"))]}
    return store.add_manifest(repository, json.dumps(document).encode(), OCI_INDEX, tag), children


class Behaviours(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source, cls.target = (cls.enterClassContext(ScriptedRegistry()) for _ in range(2))
        cls.daemon = cls.enterClassContext(Daemon(settings=QUICK))

    def setUp(self):
        """Each test has repositories of its own: the daemon remembers what it put where."""
        self.source.reset()
        self.target.reset()

    def copy(self, source, target, state="succeeded", **more):
        return self.daemon.run_job({"kind": "copy", "source": source, "targets": [target], **more}, state=state)

    def checked(self, *registries):
        for registry in registries:
            self.assertEqual(registry.check(), [])

    def puts(self, registry):
        """The references under which manifests were put, in order."""
        return [r["target"].rsplit("/", 1)[1] for r in registry.requests if r["point"] == "manifest-put"]

    def test_r_57_mounts_stay_within_one_registry(self):
        """`from` names a repository of the same registry, never one of another."""
        self.source.store.add_image("team/origin", "1")
        self.copy(f"{self.source.address}/team/origin:1", f"{self.target.address}/there/one:1")
        self.copy(f"{self.target.address}/there/one:1", f"{self.target.address}/there/two:1")
        self.copy(f"{self.source.address}/team/origin:1", f"{self.target.address}/there/three:1")
        mounts = [r["target"] for r in self.target.requests if "from=" in r["target"]]
        self.assertTrue(any("from=there%2Fone" in m or "from=there/one" in m for m in mounts), mounts)
        self.assertFalse([m for m in mounts if "origin" in m])
        self.assertFalse([r["target"] for r in self.source.requests if "from=" in r["target"]])
        self.checked(self.source, self.target)

    def test_r_62_children_that_lost_their_blobs_are_pushed_again(self):
        """The manifests of an interrupted copy are there, blobs of theirs are not."""
        index, children = add_index(self.source, "team/r62", "1")
        there = self.target.store.repository("team/r62")
        there.manifests.update({d: self.source.store.repository("team/r62").manifests[d] for d in children})
        self.copy(f"{self.source.address}/team/r62:1", f"{self.target.address}/team/r62:1")
        self.assertEqual(there.tags, {"1": index})
        self.checked(self.target)
        # … and when the daemon itself put them there, and remembers: the registry's word counts, once more is enough.
        there.blobs.clear()
        there.tags.clear()
        del there.manifests[children[1]]
        job = self.copy(f"{self.source.address}/team/r62:1", f"{self.target.address}/team/r62:1")
        self.assertEqual(there.tags, {"1": index})
        self.checked(self.target)
        warnings = [e["code"] for e in self.daemon.events(job["id"]) if e["type"] == "warning"]
        self.assertEqual(warnings, ["blob-unknown"])
        self.assertEqual(self.puts(self.target).count("1"), 2)

    def test_r_72_one_family_for_the_whole_image(self):
        """R-71 too: a registry that refuses one family is told of, nothing is converted but on demand, and then all of it."""
        self.target.set(refuse_types=[OCI_INDEX, OCI_MANIFEST])
        add_index(self.source, "team/r72", "1")
        target = f"{self.target.address}/team/r72:1"
        job = self.copy(f"{self.source.address}/team/r72:1", target, state="failed")
        self.assertEqual(job["error"]["code"], "manifest-unsupported")
        self.assertIn(self.target.address, job["error"]["detail"])
        self.assertEqual(self.target.store.repository("team/r72").tags, {})
        self.copy(f"{self.source.address}/team/r72:1", {"ref": target, "format": "docker"})
        documents = {d: json.loads(m[0]) for d, m in self.target.store.repository("team/r72").manifests.items()}
        self.assertEqual(sorted(d["mediaType"] for d in documents.values()), [DOCKER_LIST] + [DOCKER_MANIFEST] * 2)
        for document in documents.values():
            for part in document.get("layers", []) + document.get("manifests", []) + [document.get("config", {})]:
                self.assertTrue(part.get("mediaType", DOCKER).startswith(DOCKER), part)
        self.checked(self.target)

    def test_r_79_children_by_digest_the_tag_last_and_once(self):
        """Under tags that may be set but once, each thing is put once, and the tag at the end."""
        self.target.reset("ecr", auth="none", chunk_min=None)
        index, children = add_index(self.source, "team/r79", "1")
        job = self.copy(f"{self.source.address}/team/r79:1", f"{self.target.address}/team/r79:1")
        self.assertEqual(job["result"]["digest"], index)
        puts = self.puts(self.target)
        self.assertEqual((sorted(puts[:-1]), puts[-1]), (sorted(children), "1"))
        self.checked(self.target)


if __name__ == "__main__":
    unittest.main()
