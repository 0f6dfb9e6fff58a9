// SPDX-License-Identifier: Apache-2.0
//
// The credentials that one job brought in its `auth` member. Immutable, reference counted, any thread.
#pragma once

#include "credentials/credential.h"

struct error;
struct credential_set;

// auth: the job's member or NULL. Keys are "registry" or "registry/namespace". ERR_INVALID_REQUEST with the
// pointer.
struct credential_set *credential_set_new(const json_t *auth, struct error *err);
struct credential_set *credential_set_ref(struct credential_set *set);
void credential_set_unref(struct credential_set *set); // NULL is fine
// The same judgement without keeping anything, for a request under `pointer`.
int credential_set_check(const json_t *auth, const char *pointer, struct error *err);
// Does one of them name a file of its own, which the daemon would read?
bool credential_set_names_file(const struct credential_set *set);
// The longest match, borrowed; NULL if none. set may be NULL.
struct credential *credential_set_find(const struct credential_set *set, const char *registry,
                                       const char *repository);
