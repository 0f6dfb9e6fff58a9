// SPDX-License-Identifier: Apache-2.0
//
// How each registry asks to be signed in to, remembered by origin, so that only its very first request is
// turned away. Bounded. Thread-safe, one leaf lock. A hint only: a fresh challenge always overrides it.
#pragma once

#include "credentials/challenge.h"

struct realm_memory;

struct realm {
    enum challenge_scheme scheme; // CHALLENGE_OTHER: nothing known
    char *realm;
    char *service;
    enum address_class origin_class; // where the origin was found: its realm may lie at such an address too
};
void realm_clear(struct realm *realm);

struct realm_memory *realm_memory_new(size_t max);
void realm_memory_free(struct realm_memory *memory);
void realm_memory_put(struct realm_memory *memory, const char *origin, const struct challenge *challenge,
                      enum address_class origin_class);
void realm_memory_find(struct realm_memory *memory, const char *origin, struct realm *ret); // a copy
void realm_memory_drop(struct realm_memory *memory, const char *origin);
size_t realm_memory_clear(struct realm_memory *memory);
