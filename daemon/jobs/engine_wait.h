// SPDX-License-Identifier: Apache-2.0
//
// Those who wait for a job to become terminal (engine_wait_start), for this room only.
#pragma once

struct job;

void engine_wait_answer(struct job *job);  // it is terminal
void engine_wait_end_all(struct job *job); // the engine stops: answers with the job as it is
