# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser: nothing from elsewhere, nothing on the console, texts stay texts."""

import base64
import unittest

from chromium import Page
from daemon import Daemon
from images import Repository, put_image
from registries import Registry


class StatusPage(unittest.TestCase):
    def setUp(self):
        self.registry = Registry()
        self.addCleanup(self.registry.stop)
        self.daemon = Daemon(tcp=True)
        self.addCleanup(self.daemon.remove)
        self.addCleanup(self.daemon.stop)
        token = base64.b64encode(f"dray:{self.daemon.token}".encode()).decode()
        self.page = Page({"Authorization": "Basic " + token})
        self.addCleanup(self.page.close)
        self.url = f"http://{self.daemon.address}/"
        self.page.open(self.url)
        self.page.wait("document.getElementById('link')?.textContent === 'live'")

    def check_quiet(self):
        self.assertEqual(self.page.errors, [])
        self.assertTrue(self.page.requests)
        self.assertEqual([url for url in self.page.requests if not url.startswith(self.url) and url != "about:blank"], [])

    def row(self, job):
        return f"[...document.querySelectorAll('#jobs tr')].find(row => row.textContent.includes({job['id']!r}))"

    def copy(self, tag):
        repository = Repository(self.registry, "page/source")
        put_image(repository, "1", [{"a": bytes(range(256)) * 2000}])
        return self.daemon.run_job({"kind": "copy", "source": repository.ref + ":1",
                                    "targets": [f"{self.registry.address}/page/target:{tag}"]})

    def test_a_copy_is_shown_to_its_end(self):
        job = self.copy("1")
        self.page.wait(f"{self.row(job)}?.querySelector('td.succeeded')")
        self.page.wait(f"(bar => bar && bar.value === bar.max && bar.max > 1)({self.row(job)}?.querySelector('progress'))")
        self.check_quiet()

    def test_markup_in_texts_stays_text(self):
        evil = "<img src=x onerror=document.title='owned'>"
        job = self.daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"{self.registry.address}/evil:1"],
                                   "labels": {"evil": evil},
                                   "layers": [{"files": [{"from": f"{self.daemon.build_root}/{evil}", "to": "/x"}]}]}, state="failed")
        self.page.wait(self.row(job))
        self.page.value(f"{self.row(job)}.querySelector('button').click()")
        self.page.wait("document.getElementById('problem-detail').textContent.includes('<img')")
        self.page.wait("document.getElementById('log').textContent.length > 0")
        self.assertEqual(self.page.value("document.querySelectorAll('img').length"), 0)
        self.assertEqual(self.page.value("document.title"), "dray")
        self.check_quiet()

    def test_lives_through_a_restart(self):
        self.daemon.stop()
        self.page.wait("document.getElementById('link').textContent !== 'live'")
        self.daemon.start()
        self.page.wait("document.getElementById('link').textContent === 'live'")
        job = self.copy("2")
        self.page.wait(f"{self.row(job)}?.querySelector('td.succeeded')")


if __name__ == "__main__":
    unittest.main()
