// SPDX-License-Identifier: Apache-2.0
//
// The mode of an entry by rule: "normal" (0755 for directories and what its owner may execute, else 0644),
// "keep", octal, or symbolic as chmod(1) without regard to the umask ("u=rwX,go=rX", "a+r,o-w").
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum mode_kind { MODE_NORMAL, MODE_KEEP, MODE_OCTAL, MODE_SYMBOLIC };
enum { MODE_CLAUSES_MAX = 32, MODE_TEXT_MAX = 256 };

struct mode_clause {
    uint32_t who;    // bits of 07777 that the clause may touch
    char operation;  // '+', '-' or '='
    uint32_t bits;   // permission bits named, before masking with who
    bool execute_if; // X: execute for directories and what is executable for anyone
    char copy;       // 'u', 'g' or 'o': bits are taken from there; 0
};

struct mode_rule {
    enum mode_kind kind;
    uint32_t octal;
    struct mode_clause clauses[MODE_CLAUSES_MAX];
    size_t n_clauses;
};

// NULL is "normal". ERR_INVALID_REQUEST.
int mode_parse(struct mode_rule *ret, const char *text, struct error *err);
// The permission bits (07777) that a file or directory of these bits gets.
uint32_t mode_apply(const struct mode_rule *rule, uint32_t bits, bool directory);
