#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads tars with GNU tar, bsdtar and Python and exits 1 if they do not all see the same: entries with their attributes,
extended ones too, and contents.

    tar_listings.py FILE[=TREE=NAME=MODE]…

TREE is the directory that lies in FILE under NAME ("" is the root), its modes by the rule MODE ("keep" or "normal"): what
else is in FILE must be a parent of NAME or a whiteout.
"""
import calendar
import hashlib
import os
import re
import stat
import subprocess
import sys
import tarfile

ENVIRONMENT = {"TZ": "UTC0", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
TYPES = {"-": "file", "d": "dir", "l": "link", "h": "hard"}


def escape(name):
    return "".join({"\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(c, c if c >= " " and c != "\x7f" else f"\\{ord(c):03o}")
                   for c in name)


def clean(name):
    return name.rstrip("/")


XATTR = "SCHILY.xattr."


class Row(tuple):
    """(name, kind, mode, uid, gid, size, mtime, target), and extended attributes and content on the side."""

    xattrs, content = {}, None


def raw(text):
    return text.encode("utf-8", "surrogateescape")


def from_python(path):
    rows, contents = [], hashlib.sha256()
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        for m in tar:
            kind = "dir" if m.isdir() else "link" if m.issym() else "hard" if m.islnk() else "file"
            row = Row((clean(m.name), kind, m.mode, m.uid, m.gid, m.size if kind == "file" else 0, int(m.mtime),
                       m.linkname if kind in ("link", "hard") else ""))
            row.xattrs = {key.removeprefix(XATTR): raw(value) for key, value in m.pax_headers.items() if key.startswith(XATTR)}
            if kind == "file":
                data = tar.extractfile(m).read()
                contents.update(data)
                row.content = hashlib.sha256(data).digest()
            rows.append(row)
    return rows, contents.hexdigest()


def contents_by(program, path):
    """The digest of the contents of all files, one behind the other."""
    with subprocess.Popen([program, "-xOf", path], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        digest = hashlib.file_digest(process.stdout, "sha256").hexdigest()
    return digest if process.returncode == 0 else f"{program} ended with {process.returncode}"


def mode_of(text):
    bits = 0
    for i, c in enumerate(text[1:10]):
        if c not in "-ST":
            bits |= 1 << (8 - i)
        if c in "sStT":
            bits |= {2: stat.S_ISUID, 5: stat.S_ISGID, 8: stat.S_ISVTX}[i]
    return bits


def from_gnu(path):
    """Rows, and per row the names and lengths of extended attributes."""
    text = subprocess.run(["tar", "--numeric-owner", "--full-time", "--quoting-style=escape", "--xattrs", "--xattrs-include=*",
                           "-tvvf", path], check=True, capture_output=True, env=ENVIRONMENT).stdout
    rows, xattrs = [], []
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if found := re.match(r"  x: +(\d+) (.*)", line):
            xattrs[-1][found[2]] = int(found[1])
            continue
        mode, owner, size, date, time, name = re.match(r"(\S+) +(\S+) +(\d+) (\S+) (\S+) (.*)", line, re.S).groups()
        kind, target = TYPES[mode[0]], ""
        if kind == "link":
            name, target = name.split(" -> ", 1)
        elif kind == "hard":
            name, target = name.split(" link to ", 1)
        uid, gid = map(int, owner.split("/"))
        seconds = seconds_of(date, time)
        rows.append((clean(name), kind, mode_of(mode), uid, gid, int(size) if kind == "file" else 0, seconds, target))
        xattrs.append({})
    return rows, xattrs


def seconds_of(date, time):
    parts = [int(x) for x in date.split("-")] + [int(x) for x in time.split(":")]
    return calendar.timegm(tuple(parts))


def unvis(name):
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m.group(1), 8)]), name.encode())
    return raw.decode("utf-8", "surrogateescape")


def from_bsd(path):
    options = "!all,type,mode,uid,gid,size,time,link"
    text = subprocess.run(["bsdtar", "-cf", "-", "--format=mtree", f"--options={options}", "@" + path], check=True,
                          capture_output=True, env=ENVIRONMENT).stdout.decode()
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
    """Python's rows, and where the others see something else."""
    (python, contents), (gnu, xattrs), bsd = from_python(path), from_gnu(path), from_bsd(path)
    faults = []
    mine = [(escape(r[0]), *r[1:7], escape(r[7])) for r in python]
    if mine != gnu:
        faults += [f"GNU tar: {a} != {b}" for a, b in zip(gnu, mine) if a != b] or ["GNU tar: other number of entries"]
    if xattrs != [{escape(name): len(value) for name, value in r.xattrs.items()} for r in python]:
        faults.append("GNU tar: other extended attributes")
    if sorted(r[0] for r in python) != sorted(bsd):
        faults.append("bsdtar: other names")
    for row in python:
        if row[1] != "hard" and bsd.get(row[0]) != row[1:]:
            faults.append(f"bsdtar: {row[0]}: {bsd.get(row[0])} != {row[1:]}")
    faults += [f"{program}: other contents" for program in ("tar", "bsdtar") if contents_by(program, path) != contents]
    return python, faults


def names_below(tree):
    yield ""
    for directory, directories, files in os.walk(os.fsencode(tree)):
        for name in directories + files:
            yield os.fsdecode(os.path.relpath(os.path.join(directory, name), os.fsencode(tree)))


def content_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_entry(path, row, rule, first_names):
    """One thing on disk beside its row, as text of what is different, or None."""
    st = os.lstat(path)
    mode = stat.S_IMODE(st.st_mode)
    if stat.S_ISLNK(st.st_mode):
        expected = ("link", 0o777, os.readlink(path))
        return None if (row[1], row[2], row[7]) == expected else f"{row} is not {expected}"
    if rule == "normal":
        mode = 0o755 if stat.S_ISDIR(st.st_mode) or mode & 0o100 else 0o644
    if row[2] != mode:
        return f"{row} has not mode {mode:o}"
    if stat.S_ISDIR(st.st_mode):
        return None if row[1] == "dir" else f"{row} is a directory"
    first = first_names.setdefault(st.st_ino, row[0]) if st.st_nlink > 1 else row[0]
    if first != row[0]:
        return None if (row[1], row[7]) == ("hard", first) else f"{row} is a hard link to {first}"
    if (row[1], row[5], row.content) != ("file", st.st_size, content_of(path)):
        return f"{row} has other contents on disk"
    return None


def compare_to_disk(rows, tree, name, rule):
    faults, first_names = [], {}
    left = {row[0]: row for row in rows}
    paths = {"/".join(p for p in (name, below) if p): below for below in names_below(tree)}
    for path in [row[0] for row in rows if row[0] in paths]:
        row, source = left.pop(path), os.path.join(tree, paths.pop(path))
        if fault := check_entry(source, row, rule, first_names):
            faults.append(f"disk: {fault}")
        elif row[1] in ("file", "dir") and row.xattrs != {key: os.getxattr(source, key) for key in os.listxattr(source)}:
            faults.append(f"disk: {row} has other extended attributes: {row.xattrs}")
    faults += [f"disk: {path} is missing" for path in paths if path]
    return faults + [f"disk: {path} is too much" for path in left if not os.path.basename(path).startswith(".wh.")]


def main():
    status = 0
    for argument in sys.argv[1:]:
        path, *of_disk = argument.split("=")
        rows, faults = compare(path)
        if of_disk:
            faults += compare_to_disk(rows, *of_disk)
        for fault in faults[:10]:
            print(ascii(f"{path}: {fault}"))
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
