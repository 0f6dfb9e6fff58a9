// SPDX-License-Identifier: Apache-2.0
//
// Queries (engine_query), for this room only.
#pragma once

struct engine;
struct task;

void query_starting(struct task *task);
void query_finished(struct task *task);
void query_cancel_all(struct engine *engine); // those that wait end now, those that run are told to
