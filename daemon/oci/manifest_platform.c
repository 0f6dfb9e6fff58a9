// SPDX-License-Identifier: Apache-2.0
//
// Which child of an index serves for a platform. The rule, in order: equal in normal form; else the highest
// variant below the wanted one, which that processor also runs; else, where no variant was asked for, the
// lowest above. Among equals the first in the document wins. Children that describe others (unknown/unknown,
// as BuildKit writes for its attestations) and children without a platform are never chosen.
#include "oci/manifest.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { LISTED_MAX = 40 };

static bool is_attestation(const struct descriptor *child)
{
    const char *type = json_get_string(child->annotations, "vnd.docker.reference.type");
    return type && strcmp(type, "attestation-manifest") == 0;
}

static int rank_child(const struct descriptor *child, const struct platform *wanted)
{
    if (!child->has_platform || is_attestation(child))
        return PLATFORM_NO_MATCH;
    return platform_rank(wanted, &child->platform);
}

static bool is_better(const struct descriptor *child, int rank, const struct descriptor *best, int best_rank)
{
    if (!best || rank != best_rank)
        return rank < best_rank;
    int order = platform_compare_variant(&child->platform, &best->platform);
    return rank == PLATFORM_LOWER_VARIANT ? order > 0 : rank == PLATFORM_ANY_VARIANT && order < 0;
}

// "linux/amd64, linux/arm64/v8 and 3 without a platform"
static char *list_platforms(const struct manifest *index)
{
    struct strbuf text = STRBUF_INIT(4096);
    size_t unnamed = 0, listed = 0;
    for (size_t i = 0; i < index->n_children && listed < LISTED_MAX; i++) {
        const struct descriptor *child = &index->children[i];
        if (!child->has_platform || is_attestation(child)) {
            unnamed += !child->has_platform;
            continue;
        }
        AUTO_FREE char *name = platform_format(&child->platform);
        AUTO_FREE char *quoted = str_quote(name, 80);
        if (str_starts(quoted, "unknown/"))
            continue;
        strbuf_printf(&text, "%s%s", listed++ ? ", " : "", quoted);
    }
    if (listed == LISTED_MAX)
        strbuf_puts(&text, ", …");
    if (unnamed)
        strbuf_printf(&text, "%s%zu without a platform", listed ? " and " : "", unnamed);
    if (text.len == 0)
        strbuf_puts(&text, "none");
    return strbuf_take(&text);
}

const struct descriptor *manifest_find_platform(const struct manifest *index, const struct platform *wanted,
                                                struct error *err)
{
    const struct descriptor *best = NULL;
    int best_rank = PLATFORM_NO_MATCH;
    for (size_t i = 0; i < index->n_children; i++) {
        int rank = rank_child(&index->children[i], wanted);
        if (!is_better(&index->children[i], rank, best, best_rank))
            continue;
        best = &index->children[i];
        best_rank = rank;
    }
    if (best)
        return best;
    AUTO_FREE char *name = platform_format(wanted);
    AUTO_FREE char *there = list_platforms(index);
    error_set(err, ERR_PLATFORM_MISSING, "the image has no %s; it has %s", name, there);
    return NULL;
}
