// SPDX-License-Identifier: Apache-2.0
//
// The loop is woken only when the list goes from empty to not empty: later letters ride along.
#include "base/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"

struct mailbox {
    uv_async_t async; // first: its close callback frees the mailbox
    pthread_mutex_t lock;
    struct list letters;
};

static void woken(uv_async_t *async)
{
    mailbox_drain((struct mailbox *)async);
}

struct mailbox *mailbox_new(struct loop *loop, struct error *err)
{
    struct mailbox *mailbox = mem_new(struct mailbox);
    int status = uv_async_init(loop_uv(loop), &mailbox->async, woken);
    if (status) {
        free(mailbox);
        error_set(err, ERR_INTERNAL, "the mailbox cannot be made: %s", uv_strerror(status));
        return NULL;
    }
    pthread_mutex_init(&mailbox->lock, NULL);
    list_init(&mailbox->letters);
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = list_empty(&mailbox->letters);
    list_append(&mailbox->letters, &letter->link);
    // Under the lock, so that a sender is done with the mailbox once it released it.
    if (was_empty)
        uv_async_send(&mailbox->async);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_drain(struct mailbox *mailbox)
{
    struct list taken;
    list_init(&taken);
    pthread_mutex_lock(&mailbox->lock);
    list_splice(&taken, &mailbox->letters);
    pthread_mutex_unlock(&mailbox->lock);
    for (struct list *link; (link = list_take_first(&taken));) {
        struct letter *letter = container_of(link, struct letter, link);
        letter->deliver(letter);
    }
}

static void closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = (struct mailbox *)handle;
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    // Nobody else posts any more, so this is read without the lock; a letter may post another.
    while (!list_empty(&mailbox->letters))
        mailbox_drain(mailbox);
    uv_close((uv_handle_t *)&mailbox->async, closed);
}
