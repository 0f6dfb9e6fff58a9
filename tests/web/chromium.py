# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium driven over its debugging pipe (Chrome DevTools Protocol): no more than the tests of the page need."""

import json
import os
import select
import subprocess
import tempfile
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
START_S = 60


class Page:
    """One page. `requests` are the URLs it asked for, `errors` what it complained about."""

    def __init__(self, headers=None):
        self.profile = tempfile.TemporaryDirectory(prefix="chromium.", ignore_cleanup_errors=True)
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()

        def place():  # it reads from descriptor 3 and writes to 4
            read, write = os.dup(theirs_read), os.dup(theirs_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            ["/usr/bin/chromium", *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"], preexec_fn=place, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": self.profile.name})
        os.close(theirs_read)
        os.close(theirs_write)
        self.read, self.write, self.buffer, self.last = ours_read, ours_write, b"", 0
        self.session, self.requests, self.errors = None, [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(domain + ".enable")
        self.call("Network.setExtraHTTPHeaders", headers=headers or {})

    def message(self, until):
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.read], [], [], left)[0], "Chromium says nothing"
            data = os.read(self.read, 1 << 16)
            assert data, "Chromium has gone"
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, **parameters):
        self.last += 1
        document = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            document["sessionId"] = self.session
        os.write(self.write, json.dumps(document).encode() + b"\0")
        until = time.monotonic() + START_S
        while True:
            message = self.message(until)
            if message.get("id") == self.last:
                assert "error" not in message, message
                return message["result"]
            self.note(message)

    def note(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and parameters["type"] == "error"):
            self.errors.append(json.dumps(parameters)[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(json.dumps(parameters["entry"])[:500])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression, seconds=30):
        until = time.monotonic() + seconds
        while not self.value(f"!!({expression})"):
            assert time.monotonic() < until, f"not true in {seconds} s: {expression}\n{self.value('document.body.innerText')}"
            time.sleep(0.05)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
        self.profile.cleanup()
