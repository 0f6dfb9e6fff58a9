# SPDX-License-Identifier: Apache-2.0
"""How many requests a small change of an image takes, and that no byte of a layer moves. Times are in tests/bench."""

import unittest

from daemon import Daemon
from images import Repository, put_image
from scripted_registry import ScriptedRegistry

LAYERS = 10


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = cls.enterClassContext(ScriptedRegistry())

    def setUp(self):
        self.registry.reset()
        self.daemon = self.enterContext(Daemon())
        self.app = Repository(self.registry, "team/app")

    def build(self, base, target, **members):
        """The points of the registry that a build touched, and the job's own figures."""
        self.registry.requests.clear()
        job = self.daemon.run_job({"kind": "build", "base": base, "targets": [target], **members})
        self.assertEqual(self.registry.check(), [])
        stats = job["result"]["stats"]
        points = [r["point"] for r in self.registry.requests]
        self.assertEqual(len(points), stats["requests"])
        return points, stats

    def edit(self, number, **members):
        return self.build(f"{self.app.ref}:1", f"{self.app.ref}:edit{number}", config={"env": {"N": str(number)}}, **members)

    def test_edit_of_ten_layers(self):
        put_image(self.app, "1", [{f"f{i}": bytes([i]) * 5000} for i in range(LAYERS)])
        points, stats = self.edit(1)
        self.assertLessEqual(len(points), 6)
        self.assertEqual(points.count("upload-put"), 1)  # the config
        self.assertEqual((stats["bytes_sent"], stats["bytes_mounted"]), (self.app.manifest("edit1")["config"]["size"], 0))
        points, _ = self.edit(2)  # the config of the base was read before
        self.assertEqual(points, ["manifest-get", "mount", "upload-put", "manifest-put"])

    def test_configs_are_kept_for_their_own_repository_and_the_daemons_own_sign_in(self):
        put_image(self.app, "1", [{"a": b"a"}])
        self.edit(1)
        other = Repository(self.registry, "team/other")
        put_image(other, "1", [{"a": b"a"}])  # the same config
        points, _ = self.build(f"{other.ref}:1", f"{other.ref}:2", config={"user": "1"})
        self.assertIn("blob-get", points)
        points, _ = self.edit(2, auth={self.registry.address: {"anonymous": True}})
        self.assertIn("blob-get", points)

    def test_rebase(self):
        base = Repository(self.registry, "team/base")
        put_image(base, "1", [{"b": b"1"}, {"c": b"1"}])
        put_image(base, "2", [{"b": b"2"}, {"c": b"2"}])
        self.build(f"{base.ref}:1", f"{self.app.ref}:1", layers=[{"files": [{"type": "file", "to": "/x", "text": "y"}]}])
        points, stats = self.build(f"{self.app.ref}:1", f"{self.app.ref}:2", rebase={"onto": f"{base.ref}:2"})
        self.assertEqual(stats["bytes_sent"], self.app.manifest("2")["config"]["size"])
        self.assertLessEqual(len(points), 8 + 2)  # two layers of the new base are mounted
        points, stats = self.build(f"{self.app.ref}:1", f"{self.app.ref}:3", rebase={"onto": f"{base.ref}:2"},
                                      config={"env": {"A": "1"}})
        self.assertLessEqual(len(points), 6)
        self.assertEqual((stats["bytes_sent"], stats["bytes_mounted"]), (self.app.manifest("3")["config"]["size"], 0))


if __name__ == "__main__":
    unittest.main()
