// SPDX-License-Identifier: Apache-2.0
//
// Holding an answer until a job is terminal, and letting go when the client leaves. Loop only.
#pragma once

#include "handlers/answer.h"

enum { JOB_WAIT_MAX_S = 60 };

// Calls done(answer, job, err) when the job is terminal or after wait_ms, unless the client left: then the
// answer is freed. The request is still there whenever done is called after a wait.
void job_wait(struct answer *answer, const char *id, int64_t wait_ms, engine_json_fn done);
// The seconds of `Prefer: wait=N` (RFC 7240 section 4.3), at most JOB_WAIT_MAX_S; 0 if absent.
int64_t job_wait_preferred_s(const struct request *request);
