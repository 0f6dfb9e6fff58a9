// SPDX-License-Identifier: Apache-2.0
//
// What the layers of an image make of the directories and links in it: the answer to layer_spec.below when
// they were read
// (`base_tree: "fetch"`), and its form for keeping (`"known"`). Files are not in it; where nothing is in it,
// nothing is a directory or link.
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/monitor.h"
#include "base/stream.h"
#include "layers/layer.h"

enum { BELOW_TEXT_MAX = 64 << 20 };

struct below;

// Reads the names of the layers, lowest first; blobs of any compression, verified by the caller. Blocks.
// Errors as of a LAYER_LAYER entry.
struct below *below_from_layers(struct reader_at *const *blobs, size_t count, struct monitor *monitor,
                                struct error *err);
struct below *below_empty(void);                                 // of "scratch"
void below_free(struct below *below);                            // NULL is fine
const struct layer_below *below_view(const struct below *below); // borrowed; any thread
void below_silence_parents(struct below *below); // sets silent_parents of its view
size_t below_count(const struct below *below);
// Bytes to keep; caller frees. NULL if they would be more than BELOW_TEXT_MAX.
char *below_format(const struct below *below, size_t *ret_len);
struct below *below_parse(const char *bytes, size_t len); // NULL if they are not of this form
