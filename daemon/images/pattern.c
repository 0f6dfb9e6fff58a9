// SPDX-License-Identifier: Apache-2.0
//
// The C library's matcher (regcomp(3)) is linear only as long as an expression has no back-references, and compiles counts such
// as a{1,255} by copying: neither is needed to name tags or history entries.
#include "images/pattern.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const char *costly(const char *text)
{
    int depth = 0, deepest = 0;
    for (const char *c = text; *c; c++) {
        if (*c == '\\' && c[1] >= '1' && c[1] <= '9')
            return "back-references are not accepted";
        if (*c == '\\' && c[1]) {
            c++;
            continue;
        }
        if (*c == '{')
            return "repetition counts in braces are not accepted; write \\{ for the character";
        depth += *c == '(' ? 1 : *c == ')' ? -1 : 0;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest > 32 ? "parentheses are nested too deeply" : NULL;
}

int pattern_parse_regex(struct pattern *ret, const char *text, struct error *err)
{
    *ret = (struct pattern){0};
    if (!*text || strlen(text) > PATTERN_BYTES_MAX)
        return error_set(err, ERR_INVALID_REQUEST, "a regular expression has 1 to %d bytes", PATTERN_BYTES_MAX);
    const char *why = costly(text);
    if (why)
        return error_set(err, ERR_INVALID_REQUEST, "%s", why);
    regex_t *regex = mem_new(regex_t);
    int failed = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
    if (!failed) {
        ret->regex = regex;
        return 0;
    }
    char reason[128];
    regerror(failed, regex, reason, sizeof(reason));
    free(regex);
    return error_set(err, ERR_INVALID_REQUEST, "is not a regular expression: %s", reason);
}

int pattern_parse(struct pattern *ret, const char *text, struct error *err)
{
    size_t len = strlen(text);
    *ret = (struct pattern){0};
    if (len > 2 && text[0] == '/' && text[len - 1] == '/') {
        AUTO_FREE char *inner = mem_strndup(text + 1, len - 2);
        return pattern_parse_regex(ret, inner, err);
    }
    if (!len || len > PATTERN_BYTES_MAX)
        return error_set(err, ERR_INVALID_REQUEST, "a pattern has 1 to %d bytes", PATTERN_BYTES_MAX);
    ret->glob = mem_strdup(text);
    return 0;
}

bool pattern_matches(const struct pattern *pattern, const char *text)
{
    if (pattern->glob)
        return str_glob(pattern->glob, text);
    return pattern->regex && regexec(pattern->regex, text, 0, NULL, 0) == 0;
}

void pattern_clear(struct pattern *pattern)
{
    if (pattern->regex)
        regfree(pattern->regex);
    free(pattern->regex);
    free(pattern->glob);
    *pattern = (struct pattern){0};
}
