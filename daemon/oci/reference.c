// SPDX-License-Identifier: Apache-2.0
//
// Reads what people type as an image name (https://github.com/distribution/reference, with Docker Hub's short
// forms) into the four parts that every request is made of. Nothing here guesses: what the grammar does not
// allow is refused with the rule, and with the probable meaning where there is one.
#include "oci/reference.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    NAME_MAX_BYTES = 255,
    TAG_MAX_BYTES = 128,
    TEXT_MAX_BYTES = NAME_MAX_BYTES + 1 + TAG_MAX_BYTES + 1 + DIGEST_TEXT_MAX,
    PORT_MAX = 65535,
};

#define HUB "docker.io"
#define HUB_HOST "registry-1.docker.io"

// Other names of Docker Hub: the one of its index in config.json, and the hosts that serve its API.
static const char *const hub_aliases[] = {"index.docker.io", HUB_HOST, "registry.hub.docker.com"};

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool has_upper(const char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            return true;
    return false;
}

static int refuse(struct error *err, const char *text, const char *why)
{
    AUTO_FREE char *quoted = str_quote(text, 120);
    return error_set(err, ERR_REFERENCE_INVALID, "'%s' is not an image reference: %s", quoted, why);
}

bool reference_tag_valid(const char *tag)
{
    size_t len = strlen(tag);
    if (len == 0 || len > TAG_MAX_BYTES || tag[0] == '.' || tag[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(tag[i]) && tag[i] != '_' && tag[i] != '.' && tag[i] != '-')
            return false;
    return true;
}

// Between two runs of letters and digits: one '.', one or two '_', or any number of '-'.
static size_t separator_len(const char *text)
{
    if (*text == '.')
        return 1;
    if (*text == '_')
        return text[1] == '_' ? 2 : 1;
    return strspn(text, "-");
}

bool reference_repository_valid(const char *repository)
{
    const char *p = repository;
    if (strlen(repository) > NAME_MAX_BYTES)
        return false;
    for (;;) {
        if (!is_lower_alnum(*p))
            return false;
        while (is_lower_alnum(*p))
            p++;
        if (*p == '\0')
            return true;
        size_t separator = *p == '/' ? 1 : separator_len(p);
        if (separator == 0)
            return false;
        p += separator;
    }
}

static bool port_valid(const char *text)
{
    int64_t port;
    return str_to_int64(text, 1, PORT_MAX, &port);
}

// One DNS label: letters, digits and inner dashes.
static bool label_valid(const char *text, size_t len)
{
    if (len == 0 || text[0] == '-' || text[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text[i]) && text[i] != '-')
            return false;
    return true;
}

static bool registry_valid(const char *registry)
{
    const char *rest;
    if (registry[0] == '[') {
        size_t len = strspn(registry + 1, "0123456789abcdefABCDEF:");
        if (len < 2 || registry[1 + len] != ']')
            return false;
        rest = registry + 1 + len + 1;
        return *rest == '\0' || (*rest == ':' && port_valid(rest + 1));
    }
    for (rest = registry;; rest++) {
        size_t len = strcspn(rest, ".:");
        if (!label_valid(rest, len))
            return false;
        rest += len;
        if (*rest != '.')
            break;
    }
    return *rest == '\0' || port_valid(rest + 1);
}

static bool looks_like_registry(const char *first_part)
{
    return strpbrk(first_part, ".:") || first_part[0] == '[' || str_equal_case(first_part, "localhost");
}

static void set_registry(struct reference *ret, char *registry)
{
    str_lower(registry);
    for (size_t i = 0; i < sizeof hub_aliases / sizeof hub_aliases[0]; i++) {
        if (strcmp(registry, hub_aliases[i]) != 0)
            continue;
        free(registry);
        registry = mem_strdup(HUB);
        break;
    }
    ret->registry = registry;
}

static bool is_bare_digest(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

static int refuse_tag_slash(const char *text, struct error *err)
{
    refuse(err, text, "a tag cannot have a '/'");
    error_hint(err, "Write '-' instead of '/' in the tag.");
    return -1;
}

static int refuse_registry(const char *text, const char *registry, struct error *err)
{
    const char *colon = strrchr(registry, ':');
    if (colon && registry[0] != '[' && !str_to_int64(colon + 1, 0, INT64_MAX, &(int64_t){0}))
        return refuse_tag_slash(text, err);
    return refuse(err, text, "the part before the first '/' is not a host name with an optional port");
}

static int refuse_repository(const char *text, const char *repository, struct error *err)
{
    if (has_upper(repository)) {
        AUTO_FREE char *lower = str_quote(repository, 120);
        str_lower(lower);
        refuse(err, text, "the repository must be lower case");
        error_hint(err, "Did you mean '%s'?", lower);
        return -1;
    }
    if (*repository == '\0')
        return refuse(err, text, "the repository is missing");
    if (strchr(repository, ':'))
        return refuse_tag_slash(text, err);
    if (str_ends(repository, "/"))
        return refuse(err, text, "it ends in '/'");
    if (strstr(repository, "//"))
        return refuse(err, text, "it has an empty part ('//')");
    return refuse(err, text,
                  "a repository is made of lower-case letters and digits, parted by '/', '.', '_', '__' or "
                  "dashes");
}

// "name" is the text without tag and digest.
static int parse_name(struct reference *ret, const char *text, const char *name, struct error *err)
{
    const char *slash = strchr(name, '/');
    const char *repository = name;
    if (is_bare_digest(name))
        return refuse(err, text, "64 hex digits alone name no repository");
    if (slash) {
        AUTO_FREE char *first = mem_strndup(name, (size_t)(slash - name));
        if (looks_like_registry(first)) {
            if (!registry_valid(first))
                return refuse_registry(text, first, err);
            set_registry(ret, mem_take(first));
            repository = slash + 1;
        }
    }
    if (!ret->registry)
        ret->registry = mem_strdup(HUB);
    if (!reference_repository_valid(repository))
        return refuse_repository(text, repository, err);
    bool official = strcmp(ret->registry, HUB) == 0 && !strchr(repository, '/');
    ret->repository = mem_printf("%s%s", official ? "library/" : "", repository);
    if (strlen(ret->registry) + 1 + strlen(ret->repository) > NAME_MAX_BYTES)
        return refuse(err, text, "registry and repository together are longer than 255 characters");
    return 0;
}

static int refuse_tag(const char *text, const char *tag, struct error *err)
{
    if (strlen(tag) > TAG_MAX_BYTES)
        return refuse(err, text, "the tag is longer than 128 characters");
    if (*tag == '\0')
        return refuse(err, text, "the tag behind ':' is empty");
    return refuse(err, text,
                  "a tag is made of letters, digits, '_', '.' and '-', and does not begin with '.' or '-'");
}

static int refuse_digest(const char *text, const char *digest, struct error *err)
{
    if (strchr(digest, '@'))
        return refuse(err, text, "it has more than one '@'");
    refuse(err, text, "the part behind '@' is not a digest");
    error_hint(err, "A digest is written sha256: and 64 lower-case hex digits.");
    return -1;
}

static int refuse_shape(const char *text, struct error *err)
{
    if (*text == '\0')
        return refuse(err, text, "it is empty");
    if (strlen(text) > TEXT_MAX_BYTES)
        return refuse(err, text, "it is too long");
    const char *scheme = strstr(text, "://");
    if (scheme) {
        AUTO_FREE char *rest = str_quote(scheme + 3, 120);
        refuse(err, text, "a scheme is not part of a reference");
        error_hint(err, "Did you mean '%s'? Plain http is a setting of the registry.", rest);
        return -1;
    }
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
            return refuse(err, text, "it has white space or characters outside ASCII");
    return 0;
}

// Cuts name into name, tag and digest in place.
static int cut_parts(struct reference *ret, const char *text, char *name, struct error *err)
{
    char *at = strchr(name, '@');
    if (at) {
        *at = '\0';
        if (!digest_valid(at + 1))
            return refuse_digest(text, at + 1, err);
        if (digest_parse(&ret->digest, at + 1, err) < 0)
            return -1;
    }
    // A tag stands behind the last '/': before it a colon begins a port, and in brackets it belongs to an
    // address.
    char *slash = strrchr(name, '/');
    char *colon = !slash && name[0] == '[' ? NULL : strrchr(slash ? slash : name, ':');
    if (!colon)
        return 0;
    *colon = '\0';
    if (!reference_tag_valid(colon + 1))
        return refuse_tag(text, colon + 1, err);
    ret->tag = mem_strdup(colon + 1);
    return 0;
}

int reference_parse(struct reference *ret, const char *text, struct error *err)
{
    *ret = (struct reference){0};
    if (refuse_shape(text, err) < 0)
        return -1;
    AUTO_FREE char *name = mem_strdup(text);
    if (cut_parts(ret, text, name, err) < 0 || parse_name(ret, text, name, err) < 0) {
        reference_clear(ret);
        return -1;
    }
    return 0;
}

int reference_parse_repository(struct reference *ret, const char *text, struct error *err)
{
    if (reference_parse(ret, text, err) < 0)
        return -1;
    if (!ret->tag && !digest_known(&ret->digest))
        return 0;
    reference_clear(ret);
    return refuse(err, text, "here a repository is asked for, without tag and digest");
}

void reference_clear(struct reference *ref)
{
    free(ref->registry);
    free(ref->repository);
    free(ref->tag);
    *ref = (struct reference){0};
}

void reference_copy(struct reference *dst, const struct reference *src)
{
    *dst = (struct reference){
        .registry = mem_strdup_null(src->registry),
        .repository = mem_strdup_null(src->repository),
        .tag = mem_strdup_null(src->tag),
        .digest = src->digest,
    };
}

const char *reference_tag(const struct reference *ref)
{
    if (ref->tag || digest_known(&ref->digest))
        return ref->tag;
    return "latest";
}

const char *reference_target(const struct reference *ref)
{
    return digest_known(&ref->digest) ? ref->digest.text : reference_tag(ref);
}

char *reference_format(const struct reference *ref)
{
    bool pinned = digest_known(&ref->digest);
    return mem_printf("%s/%s%s%s%s%s", ref->registry, ref->repository, ref->tag ? ":" : "",
                      ref->tag ? ref->tag : "", pinned ? "@" : "", pinned ? ref->digest.text : "");
}

char *reference_format_digest(const struct reference *ref, const struct digest *digest)
{
    return mem_printf("%s/%s@%s", ref->registry, ref->repository, digest->text);
}

const char *reference_host(const char *registry)
{
    return strcmp(registry, HUB) == 0 ? HUB_HOST : registry;
}
