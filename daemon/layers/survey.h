// SPDX-License-Identifier: Apache-2.0
//
// The fingerprints of a whole layer and of its two parts, from one walk over the whole.
#pragma once

#include "base/error.h"
#include "layers/fingerprint.h"
#include "layers/layer.h"
#include "layers/walk.h"

struct survey;

struct survey *survey_new(const struct layer_spec *spec, int64_t since_ms); // as layer_survey
void survey_free(struct survey *survey); // NULL is fine
struct fingerprint *survey_fingerprint(struct survey *survey, enum layer_part part);
int survey_visit(void *context, const struct walk_item *item, struct error *err); // a walk_visit
void survey_finish(struct survey *survey, struct layer_survey *ret);              // once
