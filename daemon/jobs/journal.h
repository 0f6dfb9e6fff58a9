// SPDX-License-Identifier: Apache-2.0
//
// A job as a row of the store. What is asked for here is on the disk when `done` is called. Loop only.
#pragma once

#include "base/error.h"
#include "jobs/engine.h"
#include "store/store.h"

struct job;

// Seals the request's inline credentials into the job; they are never journalled otherwise.
int journal_seal(struct job *job, const json_t *auth, struct error *err);
// The credentials again; ERR_AUTH_REQUIRED if the key is not the one they were sealed with.
int journal_unseal(struct job *job, struct error *err);
void journal_insert(struct job *job, const char *key, const char *fingerprint, store_done_fn done, void *arg);
// State, attempt, times, checkpoint; for a job that is being cancelled why. done may be NULL: a failure is
// logged then.
void journal_update(struct job *job, store_done_fn done, void *arg);
// The outcome; wipes the sealed credentials.
void journal_finish(struct job *job, store_done_fn done, void *arg);
