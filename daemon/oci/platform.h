// SPDX-License-Identifier: Apache-2.0
//
// Platforms: os/architecture[/variant] (OCI image-spec image-index.md). Pure.
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

struct platform {
    char *os;
    char *architecture;
    char *variant;    // or NULL
    char *os_version; // or NULL
};

int platform_parse(struct platform *ret, const char *text,
                   struct error *err); // "linux/arm64/v8"; ERR_INVALID_REQUEST
int platform_from_json(struct platform *ret, const json_t *value, struct error *err);
json_t *platform_to_json(const struct platform *p);
char *platform_format(const struct platform *p);
void platform_default(struct platform *ret); // the daemon's own: linux and this CPU
// Normalised equality: x86_64 = amd64, aarch64 = arm64, arm64/v8 = arm64, arm = arm/v7; a wanted platform
// without variant accepts any variant.
bool platform_matches(const struct platform *wanted, const struct platform *have);
// How well `have` serves for `wanted`, best first; with PLATFORM_LOWER_VARIANT an older variant that the
// wanted processor runs too, with PLATFORM_ANY_VARIANT a newer one where no variant was named.
// unknown/unknown matches nothing.
enum { PLATFORM_EXACT, PLATFORM_LOWER_VARIANT, PLATFORM_ANY_VARIANT, PLATFORM_NO_MATCH };
int platform_rank(const struct platform *wanted, const struct platform *have);
int platform_compare_variant(const struct platform *a, const struct platform *b); // as strcmp, normalised
void platform_copy(struct platform *dst, const struct platform *src);
void platform_clear(struct platform *p);
