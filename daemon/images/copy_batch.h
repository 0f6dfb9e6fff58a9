// SPDX-License-Identifier: Apache-2.0
//
// Many tags of one repository copied by one job: the source's tags are listed, each that is wanted is a copy_item of its own, a
// few at a time; one that fails does not stop the others. Then, if wanted, target tags that the source lacks are removed.
#pragma once

#include "images/copy_item.h"

struct copy_batch;

struct copy_batch *copy_batch_new(const struct copy_item_options *options);
void copy_batch_free(struct copy_batch *batch); // NULL is fine
void copy_batch_start(struct copy_batch *batch);
// ERR_PARTIAL once all is done and something failed.
int copy_batch_advance(struct copy_batch *batch, struct error *err);
bool copy_batch_done(const struct copy_batch *batch); // nothing is left to do
json_t *copy_batch_result(struct copy_batch *batch); // {items: [{source, refs, state, error}], pruned: [{ref, …}]}
