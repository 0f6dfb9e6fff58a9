// SPDX-License-Identifier: Apache-2.0
//
// A tolerant reader of authentication challenges. A word that is followed by '=' is a parameter of the
// challenge before it, any other word begins a new challenge; that is unambiguous but for token68 values
// ("Negotiate abc=="), which are recognised by what follows the '='.
#include "credentials/challenge.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { VALUE_MAX = 8 << 10 };

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *at)
{
    while (blank(*at))
        at++;
    return at;
}

// A value in double quotes; an unterminated one ends with the header.
static const char *read_quoted(const char *at, struct strbuf *ret)
{
    for (; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        strbuf_putc(ret, *at);
    }
    return *at == '"' ? at + 1 : at;
}

static const char *read_value(const char *at, struct strbuf *ret)
{
    if (*at == '"')
        return read_quoted(at + 1, ret);
    size_t len = strcspn(at, ", \t");
    strbuf_append(ret, at, len);
    return at + len;
}

static void keep(char **slot, struct strbuf *value)
{
    if (!*slot && !value->overflow)
        *slot = strbuf_take(value);
    strbuf_free(value);
}

static void add_parameter(struct challenge *challenge, const char *name, struct strbuf *value)
{
    if (challenge && str_equal_case(name, "realm"))
        keep(&challenge->realm, value);
    else if (challenge && str_equal_case(name, "service"))
        keep(&challenge->service, value);
    else if (challenge && str_equal_case(name, "scope"))
        keep(&challenge->scope, value);
    else if (challenge && str_equal_case(name, "error"))
        keep(&challenge->error, value);
    strbuf_free(value);
}

static struct challenge *begin_challenge(struct challenges *list, const char *scheme)
{
    if (list->count == CHALLENGES_MAX)
        return NULL;
    struct challenge *challenge = &list->items[list->count++];
    if (str_equal_case(scheme, "basic"))
        challenge->scheme = CHALLENGE_BASIC;
    else if (str_equal_case(scheme, "bearer"))
        challenge->scheme = CHALLENGE_BEARER;
    return challenge;
}

// '=' that belongs to base64 padding: nothing, another '=' or a comma comes behind it.
static bool padding(const char *equals)
{
    const char *behind = skip_blanks(equals + 1);
    return *behind == '=' || *behind == '\0' || *behind == ',';
}

static void parse_value(struct challenges *list, const char *at)
{
    struct challenge *current = NULL;
    while (*(at += strspn(at, ", \t"))) {
        size_t len = strcspn(at, ",= \t\"");
        if (!len) { // a stray quote or '='
            at++;
            continue;
        }
        AUTO_FREE char *word = mem_strndup(at, len);
        const char *behind = skip_blanks(at + len);
        if (*behind != '=') {
            current = begin_challenge(list, word);
            at += len;
        } else if (padding(behind)) {
            at = behind + strspn(behind, "= \t");
        } else {
            struct strbuf value = STRBUF_INIT(VALUE_MAX);
            at = read_value(skip_blanks(behind + 1), &value);
            add_parameter(current, word, &value);
        }
    }
}

void challenges_parse(struct challenges *ret, const struct http_headers *headers)
{
    *ret = (struct challenges){0};
    const char *value;
    for (size_t i = 0; (value = http_headers_next(headers, "www-authenticate", &i)); i++)
        parse_value(ret, value);
}

void challenges_clear(struct challenges *challenges)
{
    for (size_t i = 0; i < challenges->count; i++) {
        free(challenges->items[i].realm);
        free(challenges->items[i].service);
        free(challenges->items[i].scope);
        free(challenges->items[i].error);
    }
    *challenges = (struct challenges){0};
}
