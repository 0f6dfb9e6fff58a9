// SPDX-License-Identifier: Apache-2.0
//
// Platforms and when one serves for another. Everything is compared in normal form (the spellings of uname(2)
// and of Debian folded into those of Go, which the specification uses); what a document says is kept as it
// was written.
#include "oci/platform.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/str.h"

enum { PLATFORM_PART_MAX = 64, PLATFORM_MEMBER_MAX = 128, PLATFORM_TEXT_MAX = 256 };

struct alias {
    const char *spelling;
    const char *architecture;
    const char *variant; // implied, or NULL
};

static const struct alias aliases[] = {
    {"x86_64", "amd64", NULL}, {"x86-64", "amd64", NULL}, {"i386", "386", NULL},      {"i486", "386", NULL},
    {"i586", "386", NULL},     {"i686", "386", NULL},     {"aarch64", "arm64", NULL}, {"armhf", "arm", "v7"},
    {"armel", "arm", "v6"},    {"armv7l", "arm", "v7"},   {"armv6l", "arm", "v6"},    {"armv8l", "arm", "v7"},
};

// The variant that is meant when none is named.
static const struct {
    const char *architecture;
    const char *variant;
} default_variants[] = {{"arm", "v7"}, {"arm64", "v8"}, {"amd64", "v1"}};

struct normal {
    const char *os;
    const char *architecture;
    char variant[PLATFORM_PART_MAX + 1]; // "" where the architecture has none
};

static void normal_set_variant(struct normal *n, const char *variant)
{
    size_t len = strlen(variant);
    bool bare = len > 0 && variant[0] >= '0' && variant[0] <= '9'; // "8" is written for "v8"
    if (len + bare > PLATFORM_PART_MAX)
        len = PLATFORM_PART_MAX - bare;
    n->variant[0] = 'v';
    memcpy(n->variant + bare, variant, len);
    n->variant[len + bare] = '\0';
}

static void normal_init(struct normal *n, const struct platform *p)
{
    const char *variant = p->variant && *p->variant ? p->variant : NULL;
    n->os = str_equal(p->os, "macos") ? "darwin" : p->os ? p->os : "";
    n->architecture = p->architecture ? p->architecture : "";
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(n->architecture, aliases[i].spelling) != 0)
            continue;
        n->architecture = aliases[i].architecture;
        variant = variant ? variant : aliases[i].variant;
        break;
    }
    for (size_t i = 0; !variant && i < sizeof default_variants / sizeof default_variants[0]; i++)
        if (strcmp(n->architecture, default_variants[i].architecture) == 0)
            variant = default_variants[i].variant;
    normal_set_variant(n, variant ? variant : "");
}

static bool is_named(const struct platform *p)
{
    return p->os && p->architecture && *p->os && *p->architecture && strcmp(p->os, "unknown") != 0 &&
           strcmp(p->architecture, "unknown") != 0;
}

static bool names_variant(const struct platform *p)
{
    if (p->variant && *p->variant)
        return true;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (aliases[i].variant && str_equal(p->architecture, aliases[i].spelling))
            return true;
    return false;
}

// "10.0.17763" asks for any revision of that build.
static bool os_version_matches(const char *wanted, const char *have)
{
    if (!wanted || !*wanted)
        return true;
    if (!have || !str_starts(have, wanted))
        return false;
    char next = have[strlen(wanted)];
    return next == '\0' || next == '.';
}

int platform_rank(const struct platform *wanted, const struct platform *have)
{
    struct normal w, h;
    if (!is_named(wanted) || !is_named(have) || !os_version_matches(wanted->os_version, have->os_version))
        return PLATFORM_NO_MATCH;
    normal_init(&w, wanted);
    normal_init(&h, have);
    if (strcmp(w.os, h.os) != 0 || strcmp(w.architecture, h.architecture) != 0)
        return PLATFORM_NO_MATCH;
    if (strcmp(w.variant, h.variant) == 0)
        return PLATFORM_EXACT;
    // Variants are ordered and a processor runs those below its own; all are short ("v5" … "v9.6").
    bool below = strcmp(h.variant, w.variant) < 0;
    if (below)
        return PLATFORM_LOWER_VARIANT;
    return names_variant(wanted) ? PLATFORM_NO_MATCH : PLATFORM_ANY_VARIANT;
}

int platform_compare_variant(const struct platform *a, const struct platform *b)
{
    struct normal na, nb;
    normal_init(&na, a);
    normal_init(&nb, b);
    return strcmp(na.variant, nb.variant);
}

bool platform_matches(const struct platform *wanted, const struct platform *have)
{
    int rank = platform_rank(wanted, have);
    return rank == PLATFORM_EXACT || (rank != PLATFORM_NO_MATCH && !names_variant(wanted));
}

static bool part_valid(const char *text, size_t len)
{
    if (len == 0 || len > PLATFORM_PART_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!fine)
            return false;
    }
    return true;
}

static int platform_refuse(const char *text, struct error *err)
{
    AUTO_FREE char *quoted = str_quote(text, 80);
    error_set(err, ERR_INVALID_REQUEST, "'%s' is not a platform", quoted);
    error_hint(err, "A platform is written os/architecture or os/architecture/variant, as in linux/amd64 or "
                    "linux/arm/v7.");
    return -1;
}

// "windows(10.0.17763)" names an os and its version.
static bool take_os(struct platform *ret, const char *text, size_t len)
{
    const char *open = memchr(text, '(', len);
    if (!open) {
        ret->os = mem_strndup(text, len);
        return part_valid(text, len);
    }
    size_t os_len = (size_t)(open - text);
    size_t version_len = len - os_len - 1;
    if (version_len < 2 || text[len - 1] != ')')
        return false;
    ret->os = mem_strndup(text, os_len);
    ret->os_version = mem_strndup(open + 1, version_len - 1);
    return part_valid(text, os_len) && part_valid(open + 1, version_len - 1);
}

static bool take_parts(struct platform *ret, const char *text)
{
    size_t os_len = strcspn(text, "/");
    if (text[os_len] != '/' || !take_os(ret, text, os_len))
        return false;
    const char *architecture = text + os_len + 1;
    size_t architecture_len = strcspn(architecture, "/");
    if (!part_valid(architecture, architecture_len))
        return false;
    ret->architecture = mem_strndup(architecture, architecture_len);
    if (architecture[architecture_len] == '\0')
        return true;
    const char *variant = architecture + architecture_len + 1;
    ret->variant = mem_strdup(variant);
    return part_valid(variant, strlen(variant));
}

int platform_parse(struct platform *ret, const char *text, struct error *err)
{
    *ret = (struct platform){0};
    if (strlen(text) > PLATFORM_TEXT_MAX || !take_parts(ret, text)) {
        platform_clear(ret);
        return platform_refuse(text, err);
    }
    str_lower(ret->os);
    str_lower(ret->architecture);
    if (ret->variant)
        str_lower(ret->variant);
    return 0;
}

// A member of a platform object: a string of sane length, or absent. Windows versions and unknown/unknown are
// fine.
static int take_member(char **ret, const json_t *value, const char *key, bool required, struct error *err)
{
    const json_t *member = json_object_get(value, key);
    if (json_is_null(member))
        member = NULL;
    if (!member && !required)
        return 0;
    if (!json_is_string(member))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "platform.%s is %s", key,
                         member ? "not a string" : "missing");
    if (json_string_length(member) > PLATFORM_MEMBER_MAX)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "platform.%s is too long", key);
    if (json_string_length(member) > 0 || required)
        *ret = mem_strdup(json_string_value(member));
    return 0;
}

int platform_from_json(struct platform *ret, const json_t *value, struct error *err)
{
    *ret = (struct platform){0};
    if (!json_is_object(value))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "the platform is not an object");
    if (take_member(&ret->os, value, "os", true, err) < 0 ||
        take_member(&ret->architecture, value, "architecture", true, err) < 0 ||
        take_member(&ret->variant, value, "variant", false, err) < 0 ||
        take_member(&ret->os_version, value, "os.version", false, err) < 0) {
        platform_clear(ret);
        return -1;
    }
    return 0;
}

json_t *platform_to_json(const struct platform *p)
{
    json_t *value = json_object();
    json_object_set_new(value, "architecture", json_string(p->architecture));
    json_object_set_new(value, "os", json_string(p->os));
    if (p->os_version)
        json_object_set_new(value, "os.version", json_string(p->os_version));
    if (p->variant)
        json_object_set_new(value, "variant", json_string(p->variant));
    return value;
}

char *platform_format(const struct platform *p)
{
    const char *os = p->os ? p->os : "unknown";
    const char *architecture = p->architecture ? p->architecture : "unknown";
    const char *version = p->os_version ? p->os_version : "";
    return mem_printf("%s%s%s%s/%s%s%s", os, *version ? "(" : "", version, *version ? ")" : "", architecture,
                      p->variant ? "/" : "", p->variant ? p->variant : "");
}

void platform_default(struct platform *ret)
{
    struct utsname name;
    struct normal n;
    struct platform machine = {0};
    if (uname(&name) == 0)
        machine.architecture = name.machine;
    normal_init(&n, &machine);
    *ret = (struct platform){
        .os = mem_strdup("linux"),
        .architecture = mem_strdup(*n.architecture ? n.architecture : "amd64"),
        .variant = strcmp(n.architecture, "arm") == 0 ? mem_strdup(n.variant) : NULL,
    };
}

void platform_copy(struct platform *dst, const struct platform *src)
{
    *dst = (struct platform){
        .os = mem_strdup_null(src->os),
        .architecture = mem_strdup_null(src->architecture),
        .variant = mem_strdup_null(src->variant),
        .os_version = mem_strdup_null(src->os_version),
    };
}

void platform_clear(struct platform *p)
{
    free(p->os);
    free(p->architecture);
    free(p->variant);
    free(p->os_version);
    *p = (struct platform){0};
}
