// SPDX-License-Identifier: Apache-2.0
//
// What the two files of the upload journal share: upload_journal.c (what is kept) and upload_abandon.c (what is ended).
#pragma once

#include <pthread.h>

#include "base/id.h"
#include "base/list.h"
#include "base/secret.h"
#include "images/upload_journal.h"

struct upload_entry {
    struct list link;
    struct letter letter;
    struct upload_journal *journal;
    char id[ID_LEN + 1], job[ID_LEN + 1];
    char *host, *repository;
    struct digest digest;
    int64_t size;
    struct credential_set *auth; // the job's own; not known after a restart until its next attempt claims the entry
    bool kept;                   // has a fact
    pthread_mutex_t mutex;       // what follows is shared with the worker
    struct secret *session;      // NULL: none
    struct hasher *hasher;       // of the first bytes that it was sent, or NULL
    int64_t hashed;
    bool posted;                 // a letter is on its way
};

struct upload_journal {
    struct upload_journal_options options;
    struct engine *engine; // NULL: not started
    bool stopped;
    struct list idle, claimed;
    struct list over; // their jobs have ended: one after the other is ended at its registry
    bool ending;
    struct loop_timer *timer;
    int64_t delay_ms;
};

// Drops the fact and the entry.
void upload_journal_forget(struct upload_entry *entry);
