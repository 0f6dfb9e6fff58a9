#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes C arrays of files that are part of the program (see embedded.h).

usage: embed.py openapi OPENAPI.yaml OUT.c | embed.py page INDEX.html OUT.c
"""
import base64
import hashlib
import json
import re
import sys


def array(name, data):
    rows = [", ".join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
    return "const unsigned char %s[] = {\n%s,\n};\nconst size_t %s_len = %d;\n" % (name, ",\n".join(rows), name, len(data))


def source_hash(html, tag):
    """The CSP source expression of the page's one inline element of that kind."""
    bodies = re.findall(r"<%s>(.*?)</%s>" % (tag, tag), html, re.S)
    if len(bodies) != 1:
        sys.exit("the page must have exactly one <%s> without attributes" % tag)
    digest = hashlib.sha256(bodies[0].encode()).digest()
    return "'sha256-%s'" % base64.b64encode(digest).decode()


def page(html):
    if len(html.encode()) > 40000:
        sys.exit("the status page is larger than 40,000 bytes")
    csp = ("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'" % (source_hash(html, "script"), source_hash(html, "style")))
    return array("embedded_page", html.encode()) + 'const char embedded_page_csp[] = "%s";\n' % csp


def openapi(text):
    import yaml
    document = yaml.safe_load(text)
    return array("embedded_openapi", json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def main():
    kind, source, target = sys.argv[1:4]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    body = page(text) if kind == "page" else openapi(text)
    with open(target, "w", encoding="utf-8") as file:
        file.write('// Made by embed.py.\n#include "handlers/embedded.h"\n\n' + body)


main()
