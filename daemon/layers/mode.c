// SPDX-License-Identifier: Apache-2.0
//
// Parsed once per entry of a spec, applied to every file. Pure.
#include "layers/mode.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static int parse_octal(struct mode_rule *rule, const char *text)
{
    uint32_t value = 0;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '7' || digit - text >= 5)
            return -1;
        value = value * 8 + (uint32_t)(*digit - '0');
    }
    if (value > 07777)
        return -1;
    rule->kind = MODE_OCTAL;
    rule->octal = value;
    return 0;
}

static const char *parse_who(const char *text, uint32_t *who)
{
    *who = 0;
    for (;; text++) {
        if (*text == 'u')
            *who |= 04700;
        else if (*text == 'g')
            *who |= 02070;
        else if (*text == 'o')
            *who |= 01007;
        else if (*text == 'a')
            *who |= 07777;
        else
            break;
    }
    if (*who == 0)
        *who = 07777;
    return text;
}

static const char *parse_bits(const char *text, struct mode_clause *clause)
{
    if (*text && strchr("ugo", *text)) {
        clause->copy = *text;
        return text + 1;
    }
    for (;; text++) {
        if (*text == 'r')
            clause->bits |= 0444;
        else if (*text == 'w')
            clause->bits |= 0222;
        else if (*text == 'x')
            clause->bits |= 0111;
        else if (*text == 's')
            clause->bits |= 06000;
        else if (*text == 't')
            clause->bits |= 01000;
        else if (*text == 'X')
            clause->execute_if = true;
        else
            return text;
    }
}

// One or more clauses for one `who`: "u+x-w". NULL at a fault.
static const char *parse_clauses(struct mode_rule *rule, const char *text)
{
    uint32_t who;
    text = parse_who(text, &who);
    if (!*text || !strchr("+-=", *text))
        return NULL;
    while (*text && strchr("+-=", *text)) {
        if (rule->n_clauses == MODE_CLAUSES_MAX)
            return NULL;
        struct mode_clause *clause = &rule->clauses[rule->n_clauses++];
        *clause = (struct mode_clause){.who = who, .operation = *text};
        text = parse_bits(text + 1, clause);
    }
    return text;
}

static int parse_symbolic(struct mode_rule *rule, const char *text)
{
    rule->kind = MODE_SYMBOLIC;
    for (;;) {
        text = parse_clauses(rule, text);
        if (!text)
            return -1;
        if (*text == '\0')
            return 0;
        if (*text++ != ',')
            return -1;
    }
}

int mode_parse(struct mode_rule *ret, const char *text, struct error *err)
{
    *ret = (struct mode_rule){.kind = MODE_NORMAL};
    if (!text || strcmp(text, "normal") == 0)
        return 0;
    if (strcmp(text, "keep") == 0) {
        ret->kind = MODE_KEEP;
        return 0;
    }
    bool octal = *text >= '0' && *text <= '9';
    if (strlen(text) < MODE_TEXT_MAX && (octal ? parse_octal(ret, text) : parse_symbolic(ret, text)) == 0)
        return 0;
    AUTO_FREE char *quoted = str_quote(text, 80);
    return error_set(
        err, ERR_INVALID_REQUEST,
        "\"%s\" is not a mode: use \"normal\", \"keep\", octal such as \"0644\", or symbolic such as "
        "\"u=rwX,go=rX\"",
        quoted);
}

static uint32_t copied_bits(char from, uint32_t bits)
{
    uint32_t three = from == 'u' ? bits >> 6 : from == 'g' ? bits >> 3 : bits;
    return (three & 7) * 0111;
}

static uint32_t apply_clause(const struct mode_clause *clause, uint32_t bits, bool directory)
{
    uint32_t change = clause->copy ? copied_bits(clause->copy, bits) : clause->bits;
    if (clause->execute_if && (directory || (bits & 0111)))
        change |= 0111;
    change &= clause->who;
    if (clause->operation == '+')
        return bits | change;
    if (clause->operation == '-')
        return bits & ~change;
    return (bits & ~clause->who) | change;
}

uint32_t mode_apply(const struct mode_rule *rule, uint32_t bits, bool directory)
{
    bits &= 07777;
    switch (rule->kind) {
    case MODE_KEEP:
        return bits;
    case MODE_OCTAL:
        return rule->octal;
    case MODE_SYMBOLIC:
        for (size_t i = 0; i < rule->n_clauses; i++)
            bits = apply_clause(&rule->clauses[i], bits, directory);
        return bits;
    default:
        return directory || (bits & 0100) ? 0755 : 0644;
    }
}
