// SPDX-License-Identifier: Apache-2.0
//
// The compression lanes: one thread per core, shared by all packs. A lane takes one block, compresses it, and
// touches nothing else. Blocks of one pack come back in order through its own bounded window
// (layers/blocks.h), so memory is window × block size per pack, whatever the layer's size.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/list.h"

struct lanes;
struct compressor; // layers/compress.h: the scratch of one lane

struct lanes *lanes_new(size_t count, struct error *err); // 0: one per core; at most LANES_MAX
void lanes_free(struct lanes *lanes);                     // no pack may be left; NULL is fine
size_t lanes_count(const struct lanes *lanes);

enum { LANES_MAX = 64 };

// The rest is for layers/blocks only.
//
// One piece of work. Owned by the submitter, which must not touch it between lanes_submit and the return of
// lanes_wait; `run` is called once on one lane with that lane's compressor.
struct lanes_job {
    struct list link;
    void (*run)(struct lanes_job *job, struct compressor *compressor);
    struct lanes_chain *chain; // NULL unless submitted by lanes_submit_next
    bool done;                 // guarded by the lock of the lanes
};

// Jobs that must run one after the other, in the order of their submission, each on any lane: a hash over
// blocks.
struct lanes_chain {
    struct list waiting;
    bool running;
};
void lanes_chain_init(struct lanes_chain *chain);

// A pack registers for as long as it submits. When the last one leaves, the lanes give their scratch memory
// back.
void lanes_enter(struct lanes *lanes);
void lanes_leave(struct lanes *lanes);
void lanes_submit(struct lanes *lanes, struct lanes_job *job);
void lanes_submit_next(struct lanes *lanes, struct lanes_chain *chain, struct lanes_job *job);
bool lanes_done(struct lanes *lanes, struct lanes_job *job); // does not block; true hands the job back
void lanes_wait(struct lanes *lanes, struct lanes_job *job); // blocks until the job was run
