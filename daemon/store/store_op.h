// SPDX-License-Identifier: Apache-2.0
//
// One call on its way through the store: made on the loop, run by the writer or the reader thread, answered
// on the loop. It belongs to one of them at a time. Embed struct store_op as first member of the concrete
// operation.
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "store/database.h"
#include "store/store.h"

enum { STORE_JOBS = 1, STORE_EVENTS = 2, STORE_FACTS = 4, STORE_ALL = 7, STORE_TABLES = 3 };

struct store_op;

struct store_op_kind {
    const char *what; // for texts: "adding an event"
    unsigned tables;  // STORE_*: what it changes or looks at
    bool grows;       // refused while the disk is full, so that what is under way can still be finished
    bool barrier;     // fails while anything that is kept is still held back
    bool kept;        // tried again until it succeeds: nobody would hear of the failure
    // Writer or reader thread. May run again after a failed commit: must not depend on having run once only.
    int (*run)(struct store_op *op, struct database *db, struct error *err);
    void (*answer)(struct store_op *op); // loop; op->err.code tells; NULL: nobody waits
    void (*free)(struct store_op *op);   // all but op->err
};

struct store_op {
    struct letter letter; // its link also queues the operation before it is posted
    const struct store_op_kind *kind;
    struct store *store;
    uint64_t ticket; // a write's own number, or the number of the write that a read must see
    bool durable;    // answered only when it is on the disk
    bool atomic;     // several statements of which a later one may be refused
    bool wipes;      // removes something that should not stay readable in the log
    bool again;      // set by run: not done yet, give way to the others and run again
    struct error err;
};

static inline struct store_op *store_op_of(struct list *link)
{
    return container_of(link, struct store_op, letter.link);
}

// Loop. Both take the operation, which is zero but for its kind's own members and the flags.
void store_write(struct store *store, struct store_op *op, const struct store_op_kind *kind);
void store_read(struct store *store, struct store_op *op, const struct store_op_kind *kind);
// A connection of its own for the blocking calls before the loop runs; the caller closes it.
struct database *store_connect(struct store *store, struct error *err);
// NULL if the operation went well: what a callback gets.
static inline const struct error *store_op_error(const struct store_op *op)
{
    return op->err.code == ERR_NONE ? NULL : &op->err;
}
