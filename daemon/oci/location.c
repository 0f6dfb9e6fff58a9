// SPDX-License-Identifier: Apache-2.0
//
// Tells a local image from one in a registry, and brings local paths into one form, so that two texts for one
// place are equal texts. Whether a path lies under a root is judged elsewhere.
#include "oci/location.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { LOCATION_PATH_MAX = 4095, LOCATION_NAME_MAX = 512 };

static const struct {
    const char *prefix;
    enum location_kind kind;
} local_kinds[] = {
    {"oci:", LOCATION_OCI_LAYOUT},
    {"oci-archive:", LOCATION_OCI_ARCHIVE},
    {"docker-archive:", LOCATION_DOCKER_ARCHIVE},
};

static const char *kind_prefix(enum location_kind kind)
{
    for (size_t i = 0; i < sizeof local_kinds / sizeof local_kinds[0]; i++)
        if (local_kinds[i].kind == kind)
            return local_kinds[i].prefix;
    return "";
}

static int refuse(struct error *err, const char *text, const char *why)
{
    AUTO_FREE char *quoted = str_quote(text, 200);
    return error_set(err, ERR_REFERENCE_INVALID, "'%s' does not name an image: %s", quoted, why);
}

// Drops empty and "." parts; NULL where a part is "..".
static char *normal_path(const char *path)
{
    struct strbuf normal = STRBUF_INIT(LOCATION_PATH_MAX + 1);
    while (*path) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            strbuf_free(&normal);
            return NULL;
        }
        if (len > 0 && !(len == 1 && *path == '.')) {
            strbuf_putc(&normal, '/');
            strbuf_append(&normal, path, len);
        }
        path += len;
    }
    return strbuf_take(&normal);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            return true;
    return false;
}

// OCI image-spec annotations.md, org.opencontainers.image.ref.name, and a digest.
static bool layout_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= LOCATION_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:@/+") == len;
}

static int check_name(enum location_kind kind, const char *text, const char *name, struct error *err)
{
    if (kind != LOCATION_DOCKER_ARCHIVE) {
        if (!layout_name_valid(name))
            return refuse(err, text,
                          "the tag behind the path is empty or has characters that a tag cannot have");
        return 0;
    }
    struct reference ref;
    if (reference_parse(&ref, name, err) < 0)
        return error_wrap(err, "the name in the archive");
    bool pinned = digest_known(&ref.digest);
    reference_clear(&ref);
    return pinned ? refuse(err, text, "a docker-archive names images by tag, not by digest") : 0;
}

static int parse_local(struct location *ret, enum location_kind kind, const char *text, const char *rest,
                       struct error *err)
{
    // A path with a colon could not be told from a path and a tag.
    size_t path_len = strcspn(rest, ":");
    AUTO_FREE char *raw = mem_strndup(rest, path_len);
    const char *name = rest[path_len] == ':' ? rest + path_len + 1 : NULL;
    if (raw[0] != '/')
        return refuse(err, text, "the path must be absolute, as in oci:/srv/images/app:v1");
    if (path_len > LOCATION_PATH_MAX || has_control(raw) || !str_utf8_valid(raw, path_len))
        return refuse(err, text, "the path is too long or has control characters");
    AUTO_FREE char *path = normal_path(raw);
    if (!path)
        return refuse(err, text, "the path has a '..'");
    if (*path == '\0')
        return refuse(err, text, "the path is the root directory");
    if (name && check_name(kind, text, name, err) < 0)
        return -1;
    ret->kind = kind;
    ret->path = mem_take(path);
    ret->name = mem_strdup_null(name);
    return 0;
}

static int refuse_foreign_transport(const char *text, struct error *err)
{
    static const char *const transports[] = {"docker://",
                                             "docker-daemon:", "containers-storage:", "dir:", "ostree:"};
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        if (!str_starts(text, transports[i]))
            continue;
        refuse(err, text, "this transport is not known here");
        error_hint(
            err,
            "Write a registry reference without prefix, or oci:/path[:tag], oci-archive:/file.tar[:tag], "
            "docker-archive:/file.tar[:name].");
        return -1;
    }
    return 0;
}

// "oci:v1" is the tag v1 of docker.io/library/oci; only what cannot be a tag makes it a layout.
static bool is_tag(const char *rest)
{
    AUTO_FREE char *tag = mem_strndup(rest, strcspn(rest, "@"));
    return reference_tag_valid(tag);
}

int location_parse(struct location *ret, const char *text, struct error *err)
{
    *ret = (struct location){0};
    if (strlen(text) > LOCATION_PATH_MAX + LOCATION_NAME_MAX + 32)
        return refuse(err, text, "it is too long");
    if (strcmp(text, "scratch") == 0) {
        ret->kind = LOCATION_SCRATCH;
        return 0;
    }
    for (size_t i = 0; i < sizeof local_kinds / sizeof local_kinds[0]; i++) {
        size_t prefix_len = strlen(local_kinds[i].prefix);
        if (strncasecmp(text, local_kinds[i].prefix, prefix_len) != 0 || is_tag(text + prefix_len))
            continue;
        if (!str_starts(text,
                        local_kinds[i].prefix)) // a registry of that name would be written like a local path
            return refuse(err, text, "the kind in front of a path is written in lower case");
        return parse_local(ret, local_kinds[i].kind, text, text + prefix_len, err);
    }
    if (refuse_foreign_transport(text, err) < 0)
        return -1;
    ret->kind = LOCATION_REGISTRY;
    return reference_parse(&ret->ref, text, err);
}

void location_clear(struct location *location)
{
    reference_clear(&location->ref);
    free(location->path);
    free(location->name);
    *location = (struct location){0};
}

void location_copy(struct location *dst, const struct location *src)
{
    *dst = (struct location){
        .kind = src->kind,
        .path = mem_strdup_null(src->path),
        .name = mem_strdup_null(src->name),
    };
    reference_copy(&dst->ref, &src->ref);
}

char *location_format(const struct location *location)
{
    if (location->kind == LOCATION_REGISTRY)
        return reference_format(&location->ref);
    if (location->kind == LOCATION_SCRATCH)
        return mem_strdup("scratch");
    return mem_printf("%s%s%s%s", kind_prefix(location->kind), location->path, location->name ? ":" : "",
                      location->name ? location->name : "");
}
