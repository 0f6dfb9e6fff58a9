// SPDX-License-Identifier: Apache-2.0
//
// The input fingerprint: a hash over the rules and over what the walk sees of each file without reading it.
// Two packs of equal fingerprint make equal bytes, provided it is stable: no file's time stamp is so young
// that a later change could leave it the same ("racy git"). Directories count by their names and attributes
// only, not by their own time stamps.
#pragma once

#include <stdbool.h>
#include <time.h>

#include "base/digest.h"
#include "base/strbuf.h"
#include "layers/layer.h"
#include "layers/walk.h"

struct fingerprint;

// part: of the spec, of which the fingerprint will be. This is the moment from which changes count.
struct fingerprint *fingerprint_new(const struct layer_spec *spec, enum layer_part part);
void fingerprint_free(struct fingerprint *fingerprint); // NULL is fine
void fingerprint_add(struct fingerprint *fingerprint, const struct walk_item *item);
// The same in two steps, for what goes into several: what counts of an item, appended to buf …
void fingerprint_write(struct strbuf *buf, const struct walk_item *item);
// … and taken. item: of which the bytes are; NULL for a directory.
void fingerprint_take(struct fingerprint *fingerprint, const void *bytes, size_t len,
                      const struct walk_item *item);
// A tar source (entry number `index`): its rules, and the state of its file or the digest of the context.
void fingerprint_add_tar(struct fingerprint *fingerprint, size_t index, const struct layer_entry *entry,
                         const struct stat *st);
void fingerprint_finish(struct fingerprint *fingerprint, struct digest *ret, bool *ret_stable); // once

// Can a change after `since` leave this time stamp as it is? slow: the clock of the file system is another
// machine's.
bool fingerprint_racy(const struct timespec *stamp, const struct timespec *since, bool slow);
