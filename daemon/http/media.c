// SPDX-License-Identifier: Apache-2.0
//
// Small parsers over header values that come from clients: nothing is copied, nothing can grow.
#include "http/media.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

// One element of Accept: the range without parameters, and its weight in thousandths.
struct range {
    const char *type;
    size_t len;
    int weight;
};

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

static size_t type_len(const char *text)
{
    return strcspn(text, " \t;,");
}

bool media_is(const char *content_type, const char *media_type)
{
    const char *at = skip_space(content_type);
    size_t len = type_len(at);
    const char *rest = skip_space(at + len);
    return len == strlen(media_type) && strncasecmp(at, media_type, len) == 0 &&
           (*rest == '\0' || *rest == ';');
}

// "0.75" ▸ 750; anything odd counts as 1.
static int parse_weight(const char *text)
{
    if (*text != '0')
        return 1000;
    int weight = 0, scale = 100;
    if (text[1] == '.')
        for (const char *at = text + 2; *at >= '0' && *at <= '9' && scale > 0; at++, scale /= 10)
            weight += (*at - '0') * scale;
    return weight;
}

// Reads one range and moves *at behind its comma; false at the end.
static bool next_range(const char **at, struct range *ret)
{
    const char *text = *at + strspn(*at, " \t,");
    if (*text == '\0')
        return false;
    ret->type = text;
    ret->len = type_len(text);
    ret->weight = 1000;
    const char *end = text + strcspn(text, ",");
    for (const char *param = memchr(text, ';', (size_t)(end - text)); param && param < end;) {
        param = skip_space(param + 1);
        if (strncasecmp(param, "q=", 2) == 0)
            ret->weight = parse_weight(param + 2);
        param = memchr(param, ';', (size_t)(end - param));
    }
    *at = end;
    return true;
}

// 3 the type itself, 2 "type/*", 1 "*/*", 0 no match.
static int exactness(const struct range *range, const char *type)
{
    if (range->len == strlen(type) && strncasecmp(range->type, type, range->len) == 0)
        return 3;
    size_t slash = strcspn(type, "/");
    if (range->len == slash + 2 && range->type[slash + 1] == '*' &&
        strncasecmp(range->type, type, slash + 1) == 0)
        return 2;
    return range->len == 3 && strncmp(range->type, "*/*", 3) == 0;
}

// The weight that the most exact matching range gives, times ten plus that exactness; 0: not acceptable.
static int score(const char *accept, const char *type)
{
    struct range range;
    int best = 0, weight = 0;
    while (next_range(&accept, &range)) {
        int exact = exactness(&range, type);
        if (exact > best) {
            best = exact;
            weight = range.weight;
        }
    }
    return weight == 0 ? 0 : weight * 10 + best;
}

int media_choose(const char *accept, const char *const *offered)
{
    int choice = -1, best = 0;
    if (!accept || *skip_space(accept) == '\0')
        return 0;
    for (int i = 0; offered[i]; i++) {
        int have = score(accept, offered[i]);
        if (have > best) {
            best = have;
            choice = i;
        }
    }
    return choice;
}
