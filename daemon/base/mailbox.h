// SPDX-License-Identifier: Apache-2.0
//
// The one way from workers and the store writer to the loop: a mutex, a list and one uv_async. Wake-ups
// coalesce, so the callback drains the whole list; letters are delivered outside the lock, in the order
// posted (per sender).
#pragma once

#include "base/list.h"
#include "base/loop.h"

struct mailbox;

// Embedded in whatever is posted; must stay alive until delivered. deliver runs on the loop and owns the
// letter then.
struct letter {
    struct list link;
    void (*deliver)(struct letter *letter);
};

struct mailbox *mailbox_new(struct loop *loop, struct error *err);
void mailbox_post(struct mailbox *mailbox, struct letter *letter); // any thread
void mailbox_drain(struct mailbox *mailbox); // loop: delivers now what is there (stop order)
void mailbox_free(struct mailbox *mailbox);  // loop: delivers the rest; no sender may be left
