# SPDX-License-Identifier: Apache-2.0
"""The fault grid through the whole daemon: a copy within a scripted registry, with one fault at one point of the protocol, once
or for ever. Whatever happens, the job ends in time, in a class that people can act on; no tag lacks a blob, no secret goes
astray, no descriptor and no thread is left.

    grid = Grid(daemon)
    grid.run(cells)      # [(point, kind, times), …], several at a time
    grid.wrong           # what was not as it should be
"""

import concurrent.futures
import json
import os
import pathlib

from scripted_registry import FAULT_KINDS, ScriptedRegistry

LIMIT_S = 60          # of one job; most take a few time-outs, and the machine may be busy
SIDE_BY_SIDE = 10
CHUNK_BYTES, LARGE_BYTES = 400_000, 1_200_000  # one layer is large enough for chunks, and for a question before them

POINTS = ("token", "manifest-head", "manifest-get", "blob-get", "cdn", "mount", "upload-post", "blob-head", "upload-put",
          "upload-patch", "upload-get", "upload-delete", "manifest-put", "referrers")
KINDS = FAULT_KINDS + tuple(f"status-{n}" for n in (400, 401, 403, 404, 408, 413, 416, 429, 500, 502, 503, 504))
TIMES = {1: "once", -1: "for ever"}

SETTINGS = {"network.first_byte_ms": 250, "network.connect_ms": 2000, "network.stall_window_ms": 1000,
            "network.retry_count": 1, "network.retry_base_ms": 1, "network.retry_max_ms": 20,
            "network.chunk_bytes": CHUNK_BYTES, "network.monolithic_max_bytes": CHUNK_BYTES, "limits.max_running": SIDE_BY_SIDE,
            "daemon.workers": 8, "daemon.query_workers": 1}

# How a job may end that a registry stood in the way of.
CODES = {"registry-unreachable", "registry-protocol", "registry-rate-limit", "registry-error", "registry-denied", "registry-auth",
         "image-not-found", "blob-unknown", "too-large", "digest-mismatch", "manifest-unsupported"}
# What only one class describes, wherever it happens for ever and the job fails of it.
EXACT = {"close": {"registry-unreachable"}, "reset": {"registry-unreachable"}, "stall": {"registry-unreachable"},
         "head-stall": {"registry-unreachable"}, "status-429": {"registry-rate-limit"}, "status-403": {"registry-denied", "registry-auth"},
         "status-500": {"registry-error"}, "status-503": {"registry-error"}}


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def settings_for(point):
    """The profile in which a copy comes past the point."""
    common = {"auth": "bearer", "redirect_blobs": True, "self_mount": "ignore", "mount": "ignore"}
    return {**common, "mount": 405, "self_mount": 405} if point == "upload-post" else common


def prepare(registry, point, kind, times):
    """Places the fault, and what leads to a point that is not on the straight way."""
    registry.store.add_image("team/source", "1", layers=2, seed=1)
    registry.store.add_image("team/source", "large", layers=1, size=LARGE_BYTES, seed=2)
    if point == "upload-get":
        registry.fault("upload-patch", "reset", after_bytes=1000)
    if point == "upload-delete":
        registry.fault("upload-put", "status-400", times=-1)
    return registry.fault(point, kind, times, seconds=5)


class Grid:
    def __init__(self, daemon):
        self.daemon, self.wrong, self.ends = daemon, [], {}

    def run(self, cells):
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for cell, wrong in zip(cells, pool.map(lambda cell: list(self.cell(*cell)), cells)):
                self.wrong += [f"{cell[1]} at {cell[0]}, {TIMES[cell[2]]}: {what}" for what in wrong]

    def cell(self, point, kind, times):
        """Yields what is wrong."""
        with ScriptedRegistry(**settings_for(point)) as registry:
            fault = prepare(registry, point, kind, times)
            secrets = {"username": registry.username, "password": registry.password}
            for tag in ("1", "large"):
                target = {"ref": f"{registry.address}/team/copy:{tag}",
                          "if_exists": "same" if point == "manifest-head" else "replace"}
                job = self.daemon.post_job({
                    "kind": "copy", "source": f"{registry.address}/team/source:{tag}", "referrers": point == "referrers",
                    "targets": [target], "auth": {registry.address: secrets}})
                try:
                    job = self.daemon.wait_job(job["id"], LIMIT_S)
                except AssertionError as error:
                    yield f"has not ended: {error}"
                    return
                yield from self.judge(registry, job, kind if times < 0 and point not in ("upload-get", "upload-delete") else None)
            if not fault.hits:
                yield "the fault was never met"
            yield from registry.check(sessions=False)

    def judge(self, registry, job, kind):
        code = job["error"]["code"] if job["error"] else None
        tag = job["spec"]["source"].rpartition(":")[2]
        self.ends[code or job["state"]] = self.ends.get(code or job["state"], 0) + 1
        if job["state"] == "succeeded":
            tags = registry.store.repository("team/copy").tags
            if tags.get(tag) != registry.store.repository("team/source").tags[tag]:
                yield "succeeded without its tag"
        elif code not in CODES:
            yield f"ended {job['state']} with {job['error']}"
        elif kind in EXACT and code not in EXACT[kind]:
            yield f"ended with {code}: {job['error']['detail']}"
        if "canary" in json.dumps([job, list(self.daemon.events(job["id"], follow=False))]):
            yield "a secret is shown"
        if not self.daemon.process.poll() is None:
            yield "the daemon has gone"


def log_shows_secrets(daemon):
    return "canary" in pathlib.Path(daemon.log).read_text(errors="replace")
