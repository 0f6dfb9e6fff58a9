#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads tars with GNU tar, bsdtar and Python and exits 1 if they do not all see the same.

    tar_listings.py FILE…
"""
import calendar
import re
import stat
import subprocess
import sys
import tarfile

TYPES = {"-": "file", "d": "dir", "l": "link", "h": "hard"}


def escape(name):
    return "".join({"\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(c, c if c >= " " and c != "\x7f" else f"\\{ord(c):03o}")
                   for c in name)


def clean(name):
    return name.rstrip("/")


def from_python(path):
    rows = []
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        for m in tar:
            kind = "dir" if m.isdir() else "link" if m.issym() else "hard" if m.islnk() else "file"
            rows.append((clean(m.name), kind, m.mode, m.uid, m.gid, m.size if kind == "file" else 0, int(m.mtime),
                         m.linkname if kind in ("link", "hard") else ""))
    return rows


def mode_of(text):
    bits = 0
    for i, c in enumerate(text[1:10]):
        if c not in "-ST":
            bits |= 1 << (8 - i)
        if c in "sStT":
            bits |= {2: stat.S_ISUID, 5: stat.S_ISGID, 8: stat.S_ISVTX}[i]
    return bits


def from_gnu(path):
    text = subprocess.run(["tar", "--numeric-owner", "--full-time", "--quoting-style=escape", "-tvf", path], check=True,
                          capture_output=True, env={"TZ": "UTC0", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}).stdout
    rows = []
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        mode, owner, size, date, time, name = re.match(r"(\S+) (\S+) +(\d+) (\S+) (\S+) (.*)", line, re.S).groups()
        kind, target = TYPES[mode[0]], ""
        if kind == "link":
            name, target = name.split(" -> ", 1)
        elif kind == "hard":
            name, target = name.split(" link to ", 1)
        uid, gid = map(int, owner.split("/"))
        seconds = seconds_of(date, time)
        rows.append((clean(name), kind, mode_of(mode), uid, gid, int(size) if kind == "file" else 0, seconds, target))
    return rows


def seconds_of(date, time):
    parts = [int(x) for x in date.split("-")] + [int(x) for x in time.split(":")]
    return calendar.timegm(tuple(parts))


def unvis(name):
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m.group(1), 8)]), name.encode())
    return raw.decode("utf-8", "surrogateescape")


def from_bsd(path):
    options = "!all,type,mode,uid,gid,size,time,link"
    text = subprocess.run(["bsdtar", "-cf", "-", "--format=mtree", f"--options={options}", "@" + path], check=True,
                          capture_output=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}).stdout.decode()
    rows = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.startswith("./"):
            continue
        name, *words = line.split()
        value = dict(word.split("=", 1) for word in words)
        kind = value["type"]
        rows[unvis(name[2:])] = (kind, int(value["mode"], 8), int(value["uid"]), int(value["gid"]),
                                 int(value.get("size", 0)) if kind == "file" else 0, int(float(value["time"])),
                                 unvis(value.get("link", "")))
    return rows


def compare(path):
    python, gnu, bsd = from_python(path), from_gnu(path), from_bsd(path)
    faults = []
    mine = [(escape(r[0]), *r[1:7], escape(r[7])) for r in python]
    if mine != gnu:
        faults += [f"GNU tar: {a} != {b}" for a, b in zip(gnu, mine) if a != b] or ["GNU tar: other number of entries"]
    if sorted(r[0] for r in python) != sorted(bsd):
        faults.append("bsdtar: other names")
    for row in python:
        if row[1] != "hard" and bsd.get(row[0]) != row[1:]:
            faults.append(f"bsdtar: {row[0]}: {bsd.get(row[0])} != {row[1:]}")
    return faults


def main():
    status = 0
    for path in sys.argv[1:]:
        for fault in compare(path)[:10]:
            print(f"{path}: {fault}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
