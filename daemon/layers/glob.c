// SPDX-License-Identifier: Apache-2.0
//
// A pattern becomes a row of tokens; a match walks the path once and keeps the set of tokens that it may
// stand before, so no pattern can make it go back and forth. The two frequent shapes, a plain path and
// "**/name", take a short way.
#include "layers/glob.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum token_kind {
    TOKEN_CHAR,  // this character
    TOKEN_ONE,   // ?: any but a slash
    TOKEN_NAME,  // *: any number of any but a slash
    TOKEN_DEEP,  // **/: nothing, or anything that ends in a slash
    TOKEN_ALL,   // **: anything at all
    TOKEN_CLASS, // [...], a slash too: Docker lets "[^x]" match one
};

struct range {
    uint32_t from, to;
};

struct token {
    enum token_kind kind;
    bool inverted; // of a class
    uint32_t character;
    size_t first, count; // of a class, in ranges
};

struct glob {
    char *literal;      // the whole pattern has no wildcard: compare
    bool any_directory; // … behind a leading "**/"
    size_t n_tokens;
    struct token *tokens;
    size_t n_ranges;
    struct range *ranges;
};

// One UTF-8 character; a stray byte counts as itself, beyond Unicode.
static const char *next_character(const char *text, uint32_t *ret)
{
    unsigned char lead = (unsigned char)*text++;
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
    static const unsigned char bits[] = {0xff, 31, 15, 7};
    uint32_t value = lead & bits[more];
    const char *next = text;
    for (int i = 0; i < more; i++, next++) {
        if (((unsigned char)*next & 0xc0) != 0x80) {
            *ret = 0x110000 + lead;
            return text;
        }
        value = value << 6 | ((unsigned char)*next & 63);
    }
    *ret = more == 0 && lead >= 0x80 ? 0x110000u + lead : value;
    return next;
}

// --- parsing
// -------------------------------------------------------------------------------------------------------

static struct token *add_token(struct glob *glob, enum token_kind kind)
{
    struct token *token = &glob->tokens[glob->n_tokens++];
    *token = (struct token){.kind = kind};
    return token;
}

// A character of a class, with its escape. NULL at a fault.
static const char *class_character(const char *text, uint32_t *ret)
{
    if (*text == '\0' || *text == '-' || *text == ']')
        return NULL;
    if (*text == '\\' && *++text == '\0')
        return NULL;
    return next_character(text, ret);
}

static const char *parse_class(struct glob *glob, const char *text)
{
    struct token *token = add_token(glob, TOKEN_CLASS);
    token->first = glob->n_ranges;
    if (*text == '^') {
        token->inverted = true;
        text++;
    }
    for (;;) {
        if (*text == ']' && token->count > 0)
            return text + 1;
        struct range range;
        text = class_character(text, &range.from);
        if (!text)
            return NULL;
        range.to = range.from;
        if (*text == '-') {
            text = class_character(text + 1, &range.to);
            if (!text || range.to < range.from)
                return NULL;
        }
        glob->ranges[glob->n_ranges++] = range;
        token->count++;
    }
}

// Docker's matcher takes a lone "]" for special, too, which decides what a leading "**" means.
static bool has_wildcard(const char *text)
{
    return text[strcspn(text, "*?[]\\")] != '\0';
}

// Behind two asterisks. At the end they take everything; as the very first thing and not followed by a slash
// they take any beginning, if nothing special follows; else they stand for directories.
static const char *parse_deep(struct glob *glob, const char *text)
{
    bool first = glob->n_tokens == 0;
    bool slash = *text == '/';
    text += slash;
    bool all = *text == '\0' || (first && !slash && !has_wildcard(text));
    add_token(glob, all ? TOKEN_ALL : TOKEN_DEEP);
    return text;
}

static const char *parse_token(struct glob *glob, const char *text)
{
    switch (*text) {
    case '*':
        if (text[1] == '*')
            return parse_deep(glob, text + 2);
        add_token(glob, TOKEN_NAME);
        return text + 1;
    case '?':
        add_token(glob, TOKEN_ONE);
        return text + 1;
    case '[':
        return parse_class(glob, text + 1);
    case '\\':
        if (*++text == '\0')
            return NULL;
        break;
    default:
        break;
    }
    uint32_t character;
    const char *next = next_character(text, &character);
    add_token(glob, TOKEN_CHAR)->character = character;
    return next;
}

static void find_short_way(struct glob *glob, const char *pattern)
{
    if (strncmp(pattern, "**/", 3) == 0 && pattern[3] && !has_wildcard(pattern + 3)) {
        glob->any_directory = true;
        pattern += 3;
    }
    if (!has_wildcard(pattern))
        glob->literal = mem_strdup(pattern);
}

struct glob *glob_new(const char *pattern)
{
    size_t len = strlen(pattern);
    if (len == 0 || len > GLOB_MAX)
        return NULL;
    struct glob *glob = mem_new(struct glob);
    glob->tokens = mem_calloc(len + 1, sizeof(*glob->tokens));
    glob->ranges = mem_calloc(len + 1, sizeof(*glob->ranges));
    for (const char *next = pattern; *next;) {
        next = parse_token(glob, next);
        if (!next) {
            glob_free(glob);
            return NULL;
        }
    }
    find_short_way(glob, pattern);
    return glob;
}

void glob_free(struct glob *glob)
{
    if (!glob)
        return;
    free(glob->literal);
    free(glob->tokens);
    free(glob->ranges);
    free(glob);
}

// --- matching
// ------------------------------------------------------------------------------------------------------

static bool class_has(const struct glob *glob, const struct token *token, uint32_t character)
{
    bool found = false;
    for (size_t i = 0; i < token->count && !found; i++) {
        const struct range *range = &glob->ranges[token->first + i];
        found = character >= range->from && character <= range->to;
    }
    return found != token->inverted;
}

// The set: two bits per token, BEFORE it (nothing of it matched yet, or it may go on) and INSIDE a "**/".
enum { BEFORE = 1, INSIDE = 2 };

// Stands before token i, and before all that follow as long as they may match nothing.
static void stand_before(const struct glob *glob, uint8_t *set, size_t i)
{
    for (; !(set[i] & BEFORE); i++) {
        set[i] |= BEFORE;
        if (i == glob->n_tokens)
            return;
        enum token_kind kind = glob->tokens[i].kind;
        if (kind != TOKEN_NAME && kind != TOKEN_DEEP && kind != TOKEN_ALL)
            return;
    }
}

static void feed_token(const struct glob *glob, size_t i, uint32_t character, uint8_t *next)
{
    const struct token *token = &glob->tokens[i];
    bool slash = character == '/';
    switch (token->kind) {
    case TOKEN_CHAR:
        if (character == token->character)
            stand_before(glob, next, i + 1);
        break;
    case TOKEN_ONE:
        if (!slash)
            stand_before(glob, next, i + 1);
        break;
    case TOKEN_CLASS:
        if (class_has(glob, token, character))
            stand_before(glob, next, i + 1);
        break;
    case TOKEN_NAME:
        if (!slash)
            stand_before(glob, next, i);
        break;
    case TOKEN_ALL:
        stand_before(glob, next, i);
        break;
    case TOKEN_DEEP:
        next[i] |= INSIDE;
        if (slash)
            stand_before(glob, next, i + 1);
        break;
    }
}

// Feeds the path; false if nothing can match any more. *ret: the set at its end, to be freed.
static bool run(const struct glob *glob, const char *path, uint8_t **ret)
{
    size_t size = glob->n_tokens + 1;
    uint8_t *set = mem_calloc(2, size), *next = set + size;
    uint8_t *memory = set;
    stand_before(glob, set, 0);
    bool alive = true;
    while (*path && alive) {
        uint32_t character;
        path = next_character(path, &character);
        memset(next, 0, size);
        alive = false;
        for (size_t i = 0; i < glob->n_tokens; i++)
            if (set[i])
                feed_token(glob, i, character, next);
        for (size_t i = 0; i < size && !alive; i++)
            alive = next[i] != 0;
        uint8_t *swap = set;
        set = next;
        next = swap;
    }
    if (set != memory)
        memmove(memory, set, size);
    *ret = memory;
    return alive;
}

static bool match_literal(const struct glob *glob, const char *path)
{
    size_t len = strlen(path), want = strlen(glob->literal);
    if (len == want)
        return memcmp(path, glob->literal, len) == 0;
    return glob->any_directory && len > want && path[len - want - 1] == '/' &&
           memcmp(path + len - want, glob->literal, want) == 0;
}

bool glob_match(const struct glob *glob, const char *path)
{
    if (glob->literal)
        return match_literal(glob, path);
    AUTO_FREE uint8_t *set = NULL;
    return run(glob, path, &set) && (set[glob->n_tokens] & BEFORE);
}

bool glob_reaches_below(const struct glob *glob, const char *directory)
{
    size_t len = strlen(directory);
    if (glob->literal && !glob->any_directory)
        return strncmp(glob->literal, directory, len) == 0 && glob->literal[len] == '/';
    AUTO_FREE char *path = mem_printf("%s/", directory);
    AUTO_FREE uint8_t *set = NULL;
    return run(glob, path, &set);
}
