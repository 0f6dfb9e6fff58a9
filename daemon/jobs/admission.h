// SPDX-License-Identifier: Apache-2.0
//
// Jobs that wait to be started: higher priority first, callers take turns, at most max_running at once. Loop
// only.
#pragma once

#include "jobs/engine.h"

struct job;

void admission_add(struct job *job);
// A job that was requeued after a crash: the sixth time and later it waits before it lines up.
void admission_add_requeued(struct job *job);
void admission_remove(struct job *job);            // harmless if it does not wait
int64_t admission_position(const struct job *job); // 0: not waiting
void admission_turn(struct engine *engine);        // starts what may start
