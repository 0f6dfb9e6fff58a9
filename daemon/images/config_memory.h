// SPDX-License-Identifier: Apache-2.0
//
// Image configs read before, in memory: bounded, least recently used out first. Content-addressed, so an entry never grows
// wrong; but who may read it is the registry's to say. So the place is part of the key, only what the daemon's own
// credentials read is kept, and whoever asks has been given the manifest that names the config just now. Any thread.
#pragma once

#include <stddef.h>

#include "base/digest.h"

struct config_memory;

struct config_memory *config_memory_new(size_t max_bytes);
void config_memory_free(struct config_memory *memory); // NULL is fine
// place: "host/repository". A NUL-terminated copy that the caller frees, or NULL.
char *config_memory_find(struct config_memory *memory, const char *place, const struct digest *digest, size_t *ret_len);
// Copies bytes, which end in a NUL beyond len and which the caller has verified.
void config_memory_put(struct config_memory *memory, const char *place, const struct digest *digest, const char *bytes,
                       size_t len);
