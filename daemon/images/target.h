// SPDX-License-Identifier: Apache-2.0
//
// The `targets` of a job, decoded: where each goes, in which format, and what to do if the tag exists. Pure; any thread.
#pragma once

#include "base/file.h"
#include "base/json.h"
#include "oci/location.h"

enum target_format { TARGET_KEEP, TARGET_OCI, TARGET_DOCKER };
enum target_if_exists { TARGET_REPLACE, TARGET_SAME, TARGET_FAIL };

struct target {
    struct location where;
    enum target_format format;
    enum target_if_exists if_exists;
};

struct targets {
    struct target *items;
    size_t count;
};

enum { TARGETS_MAX = 64 };

// array: the member `targets` at `pointer`; at least one, each a text or {ref, format, if_exists}. A tag may be named once.
// Local forms must lie under an output root (lexical; the worker opens them beneath it).
int targets_decode(struct targets *ret, const json_t *array, const char *pointer, const struct roots *output_roots,
                   struct error *err);
void targets_clear(struct targets *targets);
// A location of a request: parsed, judged; `roots` for local forms. scratch is allowed only where said.
int target_decode_location(struct location *ret, const char *text, const char *pointer, const struct roots *roots,
                           bool allow_scratch, struct error *err);
