// SPDX-License-Identifier: Apache-2.0
//
// Questions about text. No allocation except in the quoting functions.
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

bool str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text), tail = strlen(suffix);
    return len >= tail && memcmp(text + len - tail, suffix, tail) == 0;
}

bool str_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_equal_case(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

void str_lower(char *text)
{
    for (; *text; text++)
        *text = lower(*text);
}

// Length of the valid UTF-8 sequence at text (RFC 3629), 0 if there is none.
static size_t utf8_sequence(const unsigned char *text, size_t len)
{
    unsigned char c = text[0];
    if (c < 0x80)
        return 1;
    size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    unsigned char second = text[1];
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
        (c == 0xf4 && second > 0x8f))
        return 0;
    return need;
}

bool str_utf8_valid(const char *text, size_t len)
{
    while (len) {
        size_t step = utf8_sequence((const unsigned char *)text, len);
        if (!step)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

bool str_to_int64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    if (!text)
        return false;
    bool negative = min < 0 && *text == '-';
    const char *p = text + negative;
    if (!*p)
        return false;
    int64_t value = 0;
    for (; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *p - '0', &value))
            return false;
    }
    // Counted down, because the negative range is the larger one.
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    if (value < min || value > max)
        return false;
    *ret = value;
    return true;
}

// Not to be shown as it is: C0 and C1 controls, and the characters that are invisible, break lines or turn
// the direction of writing (U+200B–U+200F, U+2028–U+202E, U+2060–U+206F, U+FEFF), which can make a text look
// like another.
static bool unprintable(const unsigned char *c, size_t step)
{
    switch (step) {
    case 1:
        return c[0] < 0x20 || c[0] == 0x7f;
    case 2:
        return c[0] == 0xc2 && c[1] < 0xa0;
    case 3:
        if (c[0] == 0xe2 && c[1] == 0x80)
            return (c[2] >= 0x8b && c[2] <= 0x8f) || (c[2] >= 0xa8 && c[2] <= 0xae);
        return (c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa0 && c[2] <= 0xaf) ||
               (c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf);
    default:
        return false;
    }
}

char *str_quote(const char *text, size_t max)
{
    size_t len = strlen(text);
    char *quoted = mem_alloc((len < max ? len : max) + sizeof("…"));
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        const unsigned char *at = (const unsigned char *)text + i;
        size_t step = utf8_sequence(at, len - i);
        bool hide = !step || unprintable(at, step);
        size_t out = hide ? 1 : step;
        if (out > max - used) {
            memcpy(quoted + used, "…", sizeof("…"));
            return quoted;
        }
        memcpy(quoted + used, hide ? "?" : text + i, out);
        used += out;
        i += step ? step : 1;
    }
    quoted[used] = '\0';
    return quoted;
}

char *str_url_for_log(const char *url)
{
    AUTO_FREE char *copy = mem_strndup(url, strcspn(url, "?#"));
    char *authority = strstr(copy, "//");
    authority = authority ? authority + 2 : copy;
    char *path = authority + strcspn(authority, "/");
    for (char *at = path; at > authority; at--)
        if (at[-1] == '@') {
            memmove(authority, at, strlen(at) + 1);
            break;
        }
    return str_quote(copy, 1024);
}

bool str_equal_secret(const char *a, const char *b, size_t len)
{
    unsigned char differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static size_t character_len(const char *text)
{
    size_t step = utf8_sequence((const unsigned char *)text, strnlen(text, 4));
    return step ? step : 1;
}

// Linear in the product at worst: one star is remembered, the newest.
bool str_glob(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == '?') {
            pattern++;
            name += character_len(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            retry += character_len(retry);
            name = retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}
