// SPDX-License-Identifier: Apache-2.0
//
// What the decoders of all kinds of job share: the members that belong to the engine, and the list of platforms. Pure.
#pragma once

#include "base/json.h"
#include "oci/platform.h"

enum { PLATFORMS_MAX = 32 };

// Ticks off kind, labels, priority, deadline_ms and lifetime, and judges them.
void spec_read_common(struct json_reader *r);
// ["linux/amd64", …]; *ret is malloc'd, NULL if absent or empty.
void spec_read_platforms(struct json_reader *r, const char *key, struct platform **ret, size_t *ret_count);
void spec_platforms_free(struct platform *platforms, size_t count);
// Refuses a member that this version cannot serve unless it is absent, null or equals `neutral` (a JSON text such as "false").
void spec_refuse(struct json_reader *r, const char *key, const char *neutral);
