# SPDX-License-Identifier: Apache-2.0
"""Documents that two readers may read in two ways: what dray takes and skopeo takes (Go's JSON: the last of equal keys wins, case
is folded), they read as the same. What one of them refuses is no matter."""

import json
import subprocess
import unittest

from daemon import Daemon
from images import CONFIG, DOCKER_LIST, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST
from scripted_registry import ScriptedRegistry

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def descriptor(digest=ONE, size="7", kind=LAYER, more=""):
    return f'{{"mediaType":"{kind}","digest":"{digest}","size":{size}{more}}}'


class Judges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = cls.enterClassContext(ScriptedRegistry())
        cls.daemon = cls.enterClassContext(Daemon())
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {
            "type": "layers", "diff_ids": [ONE]}}).encode()
        digest = cls.registry.store.add_blob("a/b", config)
        cls.config = descriptor(digest, len(config), CONFIG)

    def documents(self):
        """(text, Content-Type) of each."""
        c, a, b = self.config, descriptor(), descriptor(TWO)
        v2 = '"schemaVersion":2'
        for members in (
                f'{v2},"config":{c},"layers":[{a}]',
                f'{v2},"mediaType":"{MANIFEST}","config":{c},"layers":[{a},{b}]',
                f'{v2},"config":{c},"layers":[{a}],"layers":[{b}]', f'{v2},"layers":[{b}],"config":{c},"layers":[{a}]',
                f'{v2},"config":{c},"layers":[{a}],"Layers":[{b}]', f'{v2},"Layers":[{b}],"config":{c},"layers":[{a}]',
                f'{v2},"config":{c},"LAYERS":[{b}]', f'{v2},"Config":{c},"layers":[{a}]',
                f'{v2},"config":{c},"layer\\u017f":[{b}],"layers":[{a}]',  # folds to s
                f'{v2},"config":{c},"layers":[{a}],"manifests":[{b}]', f'{v2},"config":{c},"layers":[{a}],"fsLayers":[]',
                f'"schemaVersion":1,{v2},"config":{c},"layers":[{a}]', f'{v2},"schemaversion":1,"config":{c},"layers":[{a}]',
                f'{v2},"config":{c},"layers":[{descriptor(size="7.0")}]', f'{v2},"config":{c},"layers":[{descriptor(size="7e0")}]',
                f'{v2},"config":{c},"layers":[{descriptor(size="-7")}]', f'{v2},"config":{c},"layers":[{descriptor(size="9223372036854775808")}]',
                f'{v2},"config":{c},"layers":[{descriptor(more=",%sdigest%s:%s%s%s" % (chr(34), chr(34), chr(34), TWO, chr(34)))}]',
                f'{v2},"config":{c},"layers":[{descriptor(more=",%sDigest%s:%s%s%s" % (chr(34), chr(34), chr(34), TWO, chr(34)))}]',
                f'{v2},"config":{c},"layers":[{descriptor(more=",%sunknown%s:[1.5,null]" % (chr(34), chr(34)))}]',
                f'{v2},"config":{c},"layers":null', f'{v2},"config":{c}', f'{v2},"config":{c},"layers":[]',
                f'{v2},"config":{c},"layers":[{a}],"annotations":{{"a":"1","a":"2"}}',
                f'{v2},"config":{c},"layers":[{a}],"annotations":{{"a":"1","A":"2"}}',
                f'{v2},"config":{c},"layers":[{a}],"x":"\\ud800"', f'{v2},"config":{c},"layers":[{a}],"x":"\\u0000"',
                f'{v2},"mediaType":"{INDEX}","config":{c},"layers":[{a}]'):
            yield "{" + members + "}", MANIFEST
        plain = f'{{{v2},"config":{c},"layers":[{a}]}}'
        yield plain + "{}", MANIFEST
        yield plain + "\0", MANIFEST
        yield "\ufeff" + plain, MANIFEST
        yield " \n" + plain + "\n ", MANIFEST
        for kind in (DOCKER_MANIFEST, INDEX, DOCKER_LIST, "application/json", "text/plain"):
            yield plain, kind

    def dray(self, reference):
        """The digests of the layers, or None."""
        answer = self.daemon.image("inspect", reference)
        return [layer["digest"] for layer in answer.json()["layers"]] if answer.status == 200 else None

    @staticmethod
    def skopeo(reference):
        done = subprocess.run(["skopeo", "inspect", "--no-tags", "--tls-verify=false", f"docker://{reference}"], capture_output=True, text=True)
        return json.loads(done.stdout)["Layers"] if done.returncode == 0 else None

    def test_what_both_take_both_read_alike(self):
        taken = 0
        for number, (text, media_type) in enumerate(self.documents()):
            with self.subTest(text[:200], media_type=media_type):
                digest = self.registry.store.add_manifest("a/b", text.encode("utf-8", "surrogatepass"), media_type, f"t{number}")
                reference = f"{self.registry.address}/a/b@{digest}"
                ours = self.dray(reference)
                theirs = None if ours is None else self.skopeo(reference)
                if theirs is not None:
                    taken += 1
                    self.assertEqual(ours, theirs)
        self.assertGreaterEqual(taken, 6)  # those that are good all the same


if __name__ == "__main__":
    unittest.main()
