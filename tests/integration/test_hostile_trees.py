# SPDX-License-Identifier: Apache-2.0
"""Trees, tars and paths that are made to be difficult. Each has its result, the one that tests/hostile-trees.md tells: what cannot
be put into an image is refused with its path in the problem and before the tag moves, what only looks odd comes out as it is.

DRAY_GOLDEN_UPDATE=1 writes that page again.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import socket
import subprocess
import tarfile
import tempfile
import unittest

from daemon import Daemon, run_drayd

PAGE = pathlib.Path(__file__).parents[1] / "hostile-trees.md"
HEAD = """# Hostile trees

What dray does with each of them. `integration/hostile_trees` makes them one by one, posts a job, and holds this page against what
comes: the code of the problem, or what the layer holds. The tag that the job was to move still has its old image after every refusal.

| tree | result |
|---|---|
"""
TREES = {}
NOBODY = 65534


def tree(result):
    """Adds a tree. The function makes it and returns what the problem has to name, or a check of the layer's members; its
    docstring is the line of the page."""
    def add(function):
        TREES[function.__name__] = (function, result)
        return function
    return add


class Case:
    """One tree: root is where it may be made, files what the job puts into its layer."""

    def __init__(self, daemon, name):
        self.daemon, self.name = daemon, name
        self.root = daemon.build_root / name
        self.root.mkdir()
        self.files = [{"from": str(self.root), "to": "/t"}]
        self.job, self.as_nobody = None, False

    def put(self, name, content=b"x"):
        path = self.root / name if isinstance(name, str) else os.path.join(os.fsencode(self.root), name)
        pathlib.Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        return str(path)

    def source(self, **entry):
        self.files = [entry]

    def tar(self, *members, data=None, **entry):
        """A tar as source; members are TarInfo, with their content in .content."""
        self.put("x.tar", pack(*members) if data is None else data)
        self.source(type="tar", **{"from": f"{self.root}/x.tar", "to": "/t", **entry})

    def context(self, data, digest=None):
        name = digest or "sha256:" + hashlib.sha256(data).hexdigest()
        answer = self.daemon.request("PUT", f"/v1/contexts/{name}", body=data, headers={"Content-Type": "application/x-tar"})
        self.source(type="context", digest=name, to="/t")
        return answer


class Member(tarfile.TarInfo):
    content = b""


def member(name, kind=tarfile.REGTYPE, content=b"", link="", **pax):
    info = Member(name)
    info.type, info.linkname, info.size, info.content = kind, link, len(content), content
    info.pax_headers = pax
    return info


def pack(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(info.content))
    return out.getvalue()


# -- paths in the request -------------------------------------------------------------------------------------------------------


def target(name, path, what, named=None):
    def make(case):
        case.source(type="file", to=path, text="x")
        return path if named is None else named
    make.__name__, make.__doc__ = name, what
    tree("invalid-request")(make)


target("to_empty", "", "`to` is empty")
target("to_relative", "app/x", "`to` is not absolute")
target("to_dotdot", "/app/../etc/x", "`to` has `..`")
target("to_ends_in_dotdot", "/app/..", "`to` ends in `..`")
target("to_nul", "/app/a\0b", "`to` has a NUL", "\\u0000 is not allowed (line 1")
target("to_long", "/" + "x/" * 2100 + "x", "`to` is longer than 4096 bytes", "4096")
target("to_whiteout", "/app/.wh.passwd", "`to` begins with `.wh.`")
target("to_whiteout_directory", "/.wh.app/x", "a directory of `to` begins with `.wh.`")
target("to_root", "/", "an inline file would replace `/`", "root directory")


@tree("invalid-request")
def to_not_utf8(case):
    """`to` is not UTF-8"""
    case.job = b'{"kind":"build","base":"scratch","targets":["oci:/x:1"],"layers":[{"files":[{"type":"file","to":"/\xff","text":""}]}]}'
    return ""


@tree("invalid-request")
def delete_root(case):
    """`/` is to be deleted"""
    case.source(type="delete", path="/")
    return "/"


@tree("invalid-request")
def delete_dotdot(case):
    """a path with `..` is to be deleted"""
    case.source(type="delete", path="/app/../etc")
    return "/app/../etc"


@tree("invalid-request")
def symlink_without_text(case):
    """a symbolic link without a text"""
    case.source(type="symlink", to="/x", target="")
    return ""


@tree("invalid-request")
def symlink_nul(case):
    """a symbolic link whose text has a NUL"""
    case.source(type="symlink", to="/x", target="a\0b")
    return ""


@tree("path-not-allowed")
def from_relative(case):
    """`from` is not absolute"""
    case.source(**{"from": "app", "to": "/t"})
    return "app"


@tree("path-not-allowed")
def from_dotdot(case):
    """`from` leaves the build root by `..`"""
    path = f"{case.root}/../../../etc/passwd"
    case.source(**{"from": path, "to": "/t"})
    return path


# -- the source itself ----------------------------------------------------------------------------------------------------------


@tree("path-not-found")
def source_gone(case):
    """the source is not there"""
    case.root.rmdir()
    return str(case.root)


@tree("path-not-found")
def source_below_a_file(case):
    """a directory of the source's path is a file"""
    path = f"{case.put('file')}/x"
    case.source(**{"from": path, "to": "/t"})
    return path


@tree("path-not-allowed")
def source_link_out(case):
    """the source is a link out of the build root"""
    path = case.root / "link"
    path.symlink_to("/etc/passwd")
    case.source(**{"from": str(path), "to": "/t"})
    return str(path)


@tree("path-not-found")
def source_link_dangling(case):
    """the source is a link to nothing"""
    path = case.root / "link"
    path.symlink_to("nothing")
    case.source(**{"from": str(path), "to": "/t"})
    return str(path)


@tree("path-not-found")
def source_link_loop(case):
    """the source is a link to itself"""
    path = case.root / "link"
    path.symlink_to("link")
    case.source(**{"from": str(path), "to": "/t"})
    return str(path)


@tree("unsupported-file")
def source_fifo(case):
    """the source is a FIFO; nobody waits for a writer"""
    os.mkfifo(case.root / "fifo")
    case.source(**{"from": f"{case.root}/fifo", "to": "/t"})
    return f"{case.root}/fifo"


# -- trees ----------------------------------------------------------------------------------------------------------------------


@tree("unsupported-file")
def fifo(case):
    """a FIFO in the tree"""
    (case.root / "d").mkdir()
    os.mkfifo(case.root / "d/fifo")
    return f"{case.root}/d/fifo"


@tree("unsupported-file")
def unix_socket(case):
    """a socket in the tree"""
    case.socket = socket.socket(socket.AF_UNIX)
    case.socket.bind(f"{case.root}/sock")
    return f"{case.root}/sock"


@tree("unsupported-file")
def whiteout(case):
    """a file that begins with `.wh.` would delete one of the image below"""
    return case.put(".wh.passwd")


@tree("unsupported-file")
def opaque(case):
    """a file `.wh..wh..opq` would hide a directory of the image below"""
    return case.put("d/.wh..wh..opq")


@tree("unsupported-file")
def whiteout_directory(case):
    """a directory that begins with `.wh.`"""
    (case.root / ".wh.d").mkdir()
    return f"{case.root}/.wh.d"


@tree("unsupported-file")
def whiteout_link(case):
    """a link that begins with `.wh.`"""
    (case.root / ".wh.l").symlink_to("x")
    return f"{case.root}/.wh.l"


@tree("unsupported-file")
def name_not_utf8(case):
    """a name that is not UTF-8"""
    case.put(b"bad\xff")
    return f"{case.root}/bad"


@tree("unsupported-file")
def name_surrogate(case):
    """a name with half a surrogate pair"""
    case.put(b"\xed\xa0\x80")
    return str(case.root)


@tree("unsupported-file")
def link_not_utf8(case):
    """a link whose text is not UTF-8"""
    os.symlink(b"\xff", os.fsencode(case.root) + b"/link")
    return f"{case.root}/link"


@tree("unsupported-file")
def path_too_long(case):
    """a path of more than 4096 bytes"""
    at = os.open(case.root, os.O_PATH)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=at)
        at, above = os.open("d" * 250, os.O_PATH, dir_fd=at), at
        os.close(above)
    os.close(at)
    return "d" * 200


@tree("forbidden")
def unreadable_file(case):
    """a file that the caller may not read"""
    os.chmod(case.put("secret"), 0o600)
    case.as_nobody = True
    return f"{case.root}/secret"


@tree("forbidden")
def unreadable_directory(case):
    """a directory that the caller may not read"""
    case.put("secret/x")
    (case.root / "secret").chmod(0o700)
    case.as_nobody = True
    return f"{case.root}/secret"


@tree("forbidden")
def unreadable_source(case):
    """a source that the caller may not reach"""
    path = case.put("secret/x")
    (case.root / "secret").chmod(0o700)
    case.source(**{"from": path, "to": "/t"})
    case.as_nobody = True
    return path


@tree("path-not-allowed")
def followed_link_out(case):
    """a link out of the build root, to be followed"""
    (case.root / "link").symlink_to("/etc/passwd")
    case.files[0]["symlinks"] = "follow"
    return f"{case.root}/link"


@tree("path-not-allowed")
def followed_proc(case):
    """a link by way of /proc/self/root, to be followed"""
    (case.root / "link").symlink_to("/proc/self/root/etc")
    case.files[0]["symlinks"] = "follow"
    return f"{case.root}/link"


@tree("path-not-found")
def followed_link_dangling(case):
    """a link to nothing, to be followed"""
    (case.root / "link").symlink_to("nothing")
    case.files[0]["symlinks"] = "follow"
    return f"{case.root}/link"


@tree("unsupported-file")
def followed_parent(case):
    """a link to the directory that it is in, to be followed"""
    (case.root / "link").symlink_to(".")
    case.files[0]["symlinks"] = "follow"
    return f"{case.root}/link"


@tree("unsupported-file")
def followed_fifo(case):
    """a link to a FIFO, to be followed"""
    os.mkfifo(case.root / "fifo")
    (case.root / "link").symlink_to("fifo")
    case.files[0].update(symlinks="follow", exclude=["fifo"])
    return f"{case.root}/link"


@tree("invalid-request")
def ignore_file_bad(case):
    """an ignore file with something that is no pattern"""
    case.files[0]["ignore_files"] = [".dockerignore"]
    return case.put("d/.dockerignore", b"ok\na[\n")


@tree("unsupported-file")
def ignore_file_link(case):
    """an ignore file that is a link, wherever it leads"""
    (case.root / ".dockerignore").symlink_to("/etc/passwd")
    case.files[0]["ignore_files"] = [".dockerignore"]
    return f"{case.root}/.dockerignore"


# -- tars and contexts ----------------------------------------------------------------------------------------------------------


@tree("unsupported-file")
def tar_is_text(case):
    """a tar that is none"""
    case.tar(data=b"this is not a tar\n" * 100)
    return f"{case.root}/x.tar"


@tree("unsupported-file")
def tar_is_zip(case):
    """a zip file where a tar is wanted"""
    case.tar(data=bytes.fromhex("504b0304") + bytes(1000))
    return f"{case.root}/x.tar"


@tree("unsupported-file")
def tar_is_empty_file(case):
    """a tar of no bytes"""
    case.tar(data=b"")
    return f"{case.root}/x.tar"


@tree("unsupported-file")
def tar_cut(case):
    """a tar that is cut off within a file"""
    case.tar(data=pack(member("f", content=os.urandom(5000)))[:3000])
    return f"{case.root}/x.tar"


@tree("unsupported-file")
def tar_gzip_cut(case):
    """a gzip that is cut off"""
    case.tar(data=gzip.compress(pack(member("f", content=os.urandom(50000))))[:-9000])
    return f"{case.root}/x.tar"


@tree("unsupported-file")
def tar_is_directory(case):
    """a directory where a tar is wanted"""
    (case.root / "x.tar").mkdir()
    case.source(type="tar", **{"from": f"{case.root}/x.tar", "to": "/t"})
    return f"{case.root}/x.tar"


def bad_tar(name, what, *members, named=None):
    def make(case):
        case.tar(*members)
        return named if named is not None else members[-1].name
    make.__name__, make.__doc__ = name, what
    tree("unsupported-file")(make)


bad_tar("tar_dotdot", "a member with `..`", member("a/../../x"))
bad_tar("tar_dot_dotdot", "a member `./..`", member("./..", tarfile.DIRTYPE))
bad_tar("tar_absolute", "a member with an absolute name", member("/etc/passwd"))
bad_tar("tar_whiteout", "a member that begins with `.wh.`", member("a/.wh.passwd"))
bad_tar("tar_device", "a device", member("null", tarfile.CHRTYPE))
bad_tar("tar_fifo", "a FIFO", member("fifo", tarfile.FIFOTYPE))
bad_tar("tar_hard_link_out", "a hard link out of the tar", member("l", tarfile.LNKTYPE, link="../../etc/passwd"))
bad_tar("tar_hard_link_absolute", "a hard link to an absolute name", member("l", tarfile.LNKTYPE, link="/etc/passwd"))
bad_tar("tar_hard_link_forward", "a hard link to a later member", member("l", tarfile.LNKTYPE, link="f"), member("f"), named="l")
bad_tar("tar_hard_link_to_itself", "a hard link to itself", member("l", tarfile.LNKTYPE, link="l"))
bad_tar("tar_below_a_link", "a link, and a file below it", member("l", tarfile.SYMTYPE, link="/etc"), member("l/passwd"))
bad_tar("tar_link_over_directory", "a directory with a file, and a link in its place", member("d/f"),
        member("d", tarfile.SYMTYPE, link="/etc"), named="t/d\" of")
bad_tar("tar_not_utf8", "a member that is not UTF-8", member("bad\udcff"), named="bad")
bad_tar("tar_long_name", "a member of more than 4096 bytes", member("x/" * 2100 + "x"), named="x/x/x/x")
bad_tar("tar_link_without_text", "a symbolic link without a text", member("l", tarfile.SYMTYPE))


@tree("too-large")
def tar_bomb(case):
    """2 GB of zeros in 2 MB of gzip"""
    zeros = tarfile.TarInfo("zeros")
    zeros.size = 2 << 30
    data = gzip.compress(zeros.tobuf(tarfile.USTAR_FORMAT)) + gzip.compress(bytes(1 << 20)) * 2048 + gzip.compress(bytes(1024))
    (case.root / "x.tar.gz").write_bytes(data)
    case.source(type="tar", **{"from": f"{case.root}/x.tar.gz", "to": "/t"})
    return f"{case.root}/x.tar.gz"


@tree("unsupported-file")
def context_is_text(case):
    """a context that is no tar"""
    assert case.context(b"no tar\n" * 1000).status == 201
    return case.files[0]["digest"]


@tree("unsupported-file")
def context_dotdot(case):
    """a context with `..`"""
    assert case.context(pack(member("../x"))).status == 201
    return "../x"


@tree("unsupported-file")
def context_hard_link_out(case):
    """a context with a hard link out of it"""
    assert case.context(pack(member("l", tarfile.LNKTYPE, link="/etc/passwd"))).status == 201
    return "/t/l"


@tree("not-found")
def context_other_digest(case):
    """a context under another digest: refused when it is sent, and not there afterwards"""
    wrong = "sha256:" + "5" * 64
    answer = case.context(pack(member("f")), wrong)
    assert (answer.status, answer.json()["code"]) == (400, "invalid-request"), answer
    assert wrong in answer.json()["detail"], answer
    return wrong


# -- odd, but fine --------------------------------------------------------------------------------------------------------------


@tree("as it is")
def odd_names(case):
    """names with a line break, a backslash, a quote, a control character, blanks, a leading dash, three dots, an emoji"""
    names = ["a\nb", "a\\b", "a\"b", "\x01", " ", " a ", "-rf", "...", "\U0001f433", "*", "wh.x", "~", "n" * 255]
    for name in names:
        case.put(name, name.encode())
    return lambda members: {n: m.content for n, m in members.items()} == {f"t/{n}": n.encode() for n in names} | {"t": None}


@tree("as it is")
def links(case):
    """links to nowhere, to themselves, out of the root and by way of /proc, kept"""
    texts = {"loop": "loop", "out": "../../../../etc/shadow", "gone": "nothing", "proc": "/proc/self/fd/3", "long": "x/" * 2000 + "x"}
    for name, text in texts.items():
        (case.root / name).symlink_to(text)
    return lambda members: {n: m.linkname for n, m in members.items() if n != "t"} == {f"t/{n}": t for n, t in texts.items()}


@tree("as it is")
def deep(case):
    """1,500 directories, one in the other"""
    at = os.open(case.root, os.O_PATH)
    for _ in range(1500):
        os.mkdir("d", dir_fd=at)
        at, above = os.open("d", os.O_PATH, dir_fd=at), at
        os.close(above)
    os.close(at)
    return lambda members: "t" + "/d" * 1500 in members and len(members) == 1501


@tree("as it is")
def wide(case):
    """3,000 files in one directory"""
    for i in range(3000):
        case.put(f"file-with-a-long-name-{i:06}")
    return lambda members: len(members) == 3001


@tree("as it is")
def hard_links(case):
    """a file of three names, one of them left out: hard links among the others"""
    path = case.put("a")
    os.link(path, case.root / "b")
    os.link(path, case.root / "c")
    case.files[0]["exclude"] = ["a"]
    return lambda members: (members["t/b"].content, members["t/c"].linkname) == (b"x", "t/b")


@tree("as it is")
def set_ids(case):
    """set-user-ID files lose the bit by the rule `normal`, and keep it by `keep`"""
    os.chmod(case.put("su"), 0o4755)
    case.files.append({"from": str(case.root), "to": "/k", "mode": "keep"})
    return lambda members: (members["t/su"].mode, members["k/su"].mode) == (0o755, 0o4755)


@tree("as it is")
def whiteout_left_out(case):
    """a FIFO and a `.wh.` file, named in `exclude`"""
    case.put(".wh.x")
    os.mkfifo(case.root / "fifo")
    case.files[0]["exclude"] = [".wh.*", "fifo"]
    return lambda members: set(members) == {"t"}


@tree("as it is")
def empty(case):
    """a tree without anything"""
    return lambda members: set(members) == {"t"} and members["t"].isdir()


@tree("as it is")
def tar_of_nothing(case):
    """a tar without members"""
    case.tar()
    return lambda members: members == {}


@tree("as it is")
def tar_twice(case):
    """a member that comes twice: the last one counts"""
    case.tar(member("f", content=b"1"), member("f", content=b"22"))
    return lambda members: {n: m.content for n, m in members.items()}["t/f"] == b"22"


def page():
    lines = [f"| {function.__doc__} | {'`' + result + '`' if result != 'as it is' else result} |"
             for function, result in TREES.values()]
    return HEAD + "\n".join(lines) + "\n"


def as_nobody(daemon, spec):
    code = "import sys; from daemon import UnixConnection; c = UnixConnection(sys.argv[1]); " \
           "c.request('POST', '/v1/jobs', sys.stdin.read(), {'Content-Type': 'application/json'}); print(c.getresponse().read().decode())"
    done = subprocess.run(["python3", "-c", code, daemon.socket], input=json.dumps(spec), capture_output=True, text=True, check=True,
                          user=NOBODY, group=NOBODY, extra_groups=[])
    return json.loads(done.stdout)["id"]


class HostileTrees(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.daemon.directory.chmod(0o755)
        cls.daemon.socket.chmod(0o666)
        cls.daemon.output_root.chmod(0o777)
        cls.layouts = {False: cls.daemon.output_root / "image", True: cls.daemon.output_root / "of-nobody"}
        old = [{"type": "file", "to": "/old", "text": "old"}]
        cls.daemon.run_job(cls.spec(False, old))
        assert cls.daemon.wait_job(as_nobody(cls.daemon, cls.spec(True, old)))["state"] == "succeeded"

    @classmethod
    def spec(cls, nobody, files):
        return {"kind": "build", "base": "scratch", "targets": [f"oci:{cls.layouts[nobody]}:1"], "layers": [{"files": files}]}

    def post(self, case):
        """(problem or None) of the job, or of its refusal."""
        spec = case.job or self.spec(case.as_nobody, case.files)
        if case.as_nobody:
            return self.daemon.wait_job(as_nobody(self.daemon, spec))["error"]
        body = spec if isinstance(spec, bytes) else json.dumps(spec)
        answer = self.daemon.request("POST", "/v1/jobs", body=body, headers={"Content-Type": "application/json"})
        return answer.json() if answer.status >= 400 else self.daemon.wait_job(answer.json()["id"])["error"]

    def tags(self):
        return [(layout / "index.json").read_bytes() for layout in self.layouts.values()]

    def members(self):
        def blob(descriptor):
            return (self.layouts[False] / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

        manifest = json.loads(blob(json.loads(self.tags()[0])["manifests"][0]))
        with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0])), tarinfo=Member) as layer:
            members = {}
            for info in layer:
                info.content = layer.extractfile(info).read() if info.isreg() else None
                members[info.name] = info
            return members

    def check(self, name):
        function, result = TREES[name]
        case = Case(self.daemon, name)
        self.addCleanup(subprocess.run, ["rm", "-rf", case.root], check=True)  # Python's rmtree does not reach that deep
        expected = function(case)
        before = self.tags()
        problem = self.post(case)
        if result == "as it is":
            self.assertIsNone(problem)
            self.assertTrue(expected(self.members()), self.members())
            return
        self.assertIsNotNone(problem, "it was taken")
        self.assertEqual(problem["code"], result, problem)
        self.assertIn(expected, problem["detail"])
        self.assertTrue(problem["detail"].isprintable(), problem)
        self.assertEqual(self.tags(), before)

    def test_page(self):
        if os.environ.get("DRAY_GOLDEN_UPDATE"):
            PAGE.write_text(page())
        self.assertEqual(PAGE.read_text(), page())
        self.assertGreaterEqual(len(TREES), 40)


class BuildRoots(unittest.TestCase):
    """The roots themselves: judged at the start, and held open from then on."""

    def test_refused_at_the_start(self):
        with tempfile.TemporaryDirectory() as directory:
            top = pathlib.Path(directory)
            (top / "file").write_text("x")
            (top / "program").write_text("x")
            (top / "program").chmod(0o755)
            (top / "dangling").symlink_to("nothing")
            for name in ("file", "program", "gone", "dangling"):
                done = run_drayd("--listen", f"unix:{top}/s", "--state-dir", top / "state", "--cache-dir", top / "cache",
                                 "--build-root", top / name)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(f'[daemon] build_roots: "{top}/{name}" is not', done.stderr)

    def test_a_link_is_followed_once(self):
        with Daemon(start=False) as daemon:
            for name in ("meant", "other"):
                (daemon.directory / name).mkdir()
                (daemon.directory / name / "f").write_text(name)
            root = daemon.directory / "root"
            root.symlink_to("meant")
            daemon.arguments += ["--build-root", root]
            daemon.start()
            root.unlink()
            root.symlink_to("other")
            layout = daemon.output_root / "image"
            daemon.run_job({"kind": "build", "base": "scratch", "targets": [f"oci:{layout}:1"],
                            "layers": [{"compression": "none", "files": [{"from": f"{root}/f", "to": "/f"}]}]})
            blobs = [path.read_bytes() for path in (layout / "blobs/sha256").iterdir()]
            self.assertTrue(any(b"meant" in blob for blob in blobs))
            self.assertFalse(any(b"other" in blob for blob in blobs))


for _name in TREES:
    setattr(HostileTrees, f"test_{_name}", lambda self, name=_name: self.check(name))

if __name__ == "__main__":
    unittest.main()
