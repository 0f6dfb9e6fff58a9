// SPDX-License-Identifier: Apache-2.0
//
// From a judged spec to an accepted job and the answer the caller wants: what job_create and job_retry share.
// Loop only.
#pragma once

#include "handlers/answer.h"

// Members of a job's body that the engine wants beside the spec. Borrowed from the body.
struct job_envelope {
    const json_t *labels; // or NULL
    int priority;
    int64_t deadline_ms; // 0: none
    bool attached;
};
// From a spec that image_job_check has judged.
void job_envelope_read(const json_t *spec, struct job_envelope *ret);

// Submits and replies: 202 with the job, after `Prefer: wait` maybe 200, or its event stream, as Accept says.
// The query of the request may hold tty and cols. spec and auth are borrowed; fingerprint is of the body
// without auth.
void job_submit(struct request *request, struct app *app, struct engine_submit *submit);
