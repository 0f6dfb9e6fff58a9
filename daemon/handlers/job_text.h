// SPDX-License-Identifier: Apache-2.0
//
// Jobs as text for people, where Accept prefers text/plain: a client needs no JSON parser to show them.
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "http/request.h"

bool job_text_wanted(const struct request *request);
char *job_text_table(const json_t *list); // of GET /v1/jobs; caller frees
char *job_text_one(const json_t *job);    // of GET /v1/jobs/{id}; caller frees
