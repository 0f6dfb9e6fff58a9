// SPDX-License-Identifier: Apache-2.0
//
// The start of the engine: every job that is not terminal in the store goes on. There is no clean stop to
// rely on.
#pragma once

#include "base/error.h"

struct engine;

// Before the loop runs. Jobs that were running are decided as soon as the store has answered how far they
// came.
int recovery_run(struct engine *engine, struct error *err);
