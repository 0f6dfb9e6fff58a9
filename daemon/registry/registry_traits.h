// SPDX-License-Identifier: Apache-2.0
//
// What was learned about each registry while working with it, so that a detour is made once and not for every
// blob. Hints of this process only; bounded; thread-safe, one leaf lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct registry_traits;

struct registry_traits *registry_traits_new(void);
void registry_traits_free(struct registry_traits *traits);

// Does a host take a blob in pieces, before its size is known? (registry/blob_ahead.h)
enum registry_early { REGISTRY_EARLY_UNKNOWN, REGISTRY_EARLY_GOOD, REGISTRY_EARLY_BAD };

struct registry_trait {
    bool no_self_mount; // refuses a mount from the repository itself, or says 202 although it has the blob
    bool no_multi_tag;  // does not know ?tag= on a manifest PUT
    bool no_chunks;     // refuses chunked uploads
    enum registry_early early;
    int64_t body_max_bytes; // largest request body that passed after a larger one was refused; 0: unknown
};

struct registry_trait registry_traits_get(struct registry_traits *traits, const char *host);
void registry_traits_set(struct registry_traits *traits, const char *host,
                         const struct registry_trait *trait);
// True the first time a host says this text.
bool registry_traits_warn_once(struct registry_traits *traits, const char *host, const char *text);
