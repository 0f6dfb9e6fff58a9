#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a deterministic tree of the shape of a real Node.js application: node_modules, and beside it a few files of its own.

20,705 files and about 507 MB in node_modules at scale 1, compressible as source code is (gzip -1 leaves about 30 %), and
84 files of the application. The same arguments give the same names, bytes, modes and links on every machine: one seeded
generator, no clock, no readdir.

    make_tree.py DIRECTORY [--scale N] [--seed N]
"""
import argparse
import os
import random
import sys

FILES = 20705
BYTES = 507_000_000
POOL_BYTES = 24 << 20
SCALE_MAX = 64

WORDS = """return const function value index module exports require this null undefined length options callback error
result string number object array prototype string type name path file data state props context node element handler
event target config default parse format token stream buffer encode decode async await promise resolve reject import
export class extends static get set delete typeof instanceof switch case break continue throw catch finally""".split()
SYLLABLES = "ab ac ad al am an ar as at be ca ce co de di do el em en er es et fi ge ha he id il im in io is it ke la le".split()
DIRECTORIES = ["lib", "dist", "src", "test", "esm", "cjs", "types", "build", "lib/internal", "dist/umd", "src/utils"]
SUFFIXES = [(".js", 56), (".d.ts", 16), (".js.map", 8), (".json", 6), (".md", 6), (".mjs", 5), (".ts", 3)]


def vocabulary(rng):
    names = ["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 5))) for _ in range(6000)]
    return WORDS * 30 + names[:600] * 3 + names


def make_line(rng, words, depth):
    a, b, c, d = (words[int(len(words) * rng.random() ** 2.2)] for _ in range(4))
    shape = rng.randrange(8)
    body = (f"var {a} = require('./{b}');", f"if ({a} && {b}.{c} === '{d}') {{", f"return {a}.{b}({c}, {d});",
            f"{a}.prototype.{b} = function {b}({c}, {d}) {{", f"}} else if (typeof {a} !== 'undefined') {{",
            f" * @param {{{a}}} {b} {c} {d}", f"'{a}': {rng.getrandbits(40):x}, {b}: {c},",
            f"this.{a} = {b}[{rng.randrange(4096)}] || {c}.{d};")[shape]
    return "  " * depth + body + "\n"


def make_pool(rng):
    words = vocabulary(rng)
    lines, size, local = [], 0, []
    while size < POOL_BYTES:
        if len(lines) % 400 == 0:  # one author, one subject: a file uses few names of its own
            local = [rng.choice(words) for _ in range(56)]
        line = make_line(rng, local, rng.randrange(5))
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()


def content(rng, pool, size):
    parts = []
    while size > 0:
        part = min(size, rng.randint(2000, 24000))
        start = rng.randrange(len(pool) - part)
        parts.append(pool[start:start + part])
        size -= part
    return b"".join(parts)


def file_sizes(rng, count, total):
    sizes = [rng.lognormvariate(8.4, 1.75) for _ in range(count)]
    factor = total / sum(sizes)
    return [max(16, int(size * factor)) for size in sizes]


def package_names(rng, count):
    names = set()
    while len(names) < count:
        name = "-".join("".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4))) for _ in range(rng.randint(1, 3)))
        names.add(("@" + rng.choice(SYLLABLES) + rng.choice(SYLLABLES) + "/" if rng.random() < 0.2 else "") + name)
    return sorted(names)


def file_names(rng, count):
    suffixes, weights = zip(*SUFFIXES)
    names = ["package.json", "README.md", "LICENSE", "index.js"][:count]
    taken = set(names)
    folders = rng.sample(DIRECTORIES, rng.randint(1, 5))  # about one directory for six files, as npm leaves it
    while len(names) < count:
        folder = rng.choice(folders) if rng.random() < 0.85 else ""
        stem = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 6)))
        name = os.path.join(folder, stem + rng.choices(suffixes, weights)[0])
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


def write_file(path, data, executable):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o755 if executable else 0o644)


def make_tree(root, scale, seed):
    rng = random.Random(seed)
    pool = make_pool(rng)
    total_files = round(FILES * scale)
    packages = package_names(rng, round(620 * scale))
    sizes = file_sizes(rng, total_files, round(BYTES * scale))
    os.makedirs(root)
    os.makedirs(os.path.join(root, ".bin"))
    done = 0
    for number, package in enumerate(packages):
        left = len(packages) - number
        count = total_files - done if left == 1 else max(4, int((total_files - done) / left * rng.uniform(0.2, 1.8)))
        for name in file_names(rng, count):
            write_file(os.path.join(root, package, name), content(rng, pool, sizes[done]), name.endswith("cli.js"))
            done += 1
        if number % 9 == 0:
            os.symlink(f"../{package}/index.js", os.path.join(root, ".bin", package.replace("/", "-")))
            os.chmod(os.path.join(root, package, "index.js"), 0o755)
    return done, sum(sizes)


def make_application(root, seed):
    """What `split: "auto"` parts from the dependencies: of a size that people write themselves."""
    rng = random.Random(f"application {seed}")
    words = vocabulary(rng)[-200:]
    pool = "".join(make_line(rng, words, rng.randrange(5)) for _ in range(20000)).encode()
    names = ["package.json", "server.js", "README.md", "public/index.html"]
    names += [f"src/{rng.choice(SYLLABLES)}{rng.choice(SYLLABLES)}/{number}.js" for number in range(80)]
    for name in names:
        write_file(os.path.join(root, name), content(rng, pool, int(min(40000, 200 + rng.lognormvariate(8, 1)))), False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--scale", type=float, default=1, help="how many times 20,705 files, from 0.01")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not 0.01 <= args.scale <= SCALE_MAX:
        parser.error(f"--scale must be between 0.01 and {SCALE_MAX}")
    os.umask(0o022)
    files, size = make_tree(os.path.join(args.directory, "node_modules"), args.scale, args.seed)
    make_application(args.directory, args.seed)
    print(f"{files} files, {size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
