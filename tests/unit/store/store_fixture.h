// SPDX-License-Identifier: Apache-2.0
//
// A store in a directory of its own with a loop that runs until the expected answers are in.
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "store/store.h"

struct fixture {
    char directory[64];
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    int expected; // answers
    enum error_code last;
    int n_ok, n_failed;
};

static inline void fixture_open(struct fixture *f)
{
    struct error err = ERROR_INIT;
    f->loop = loop_new(&err);
    f->mailbox = f->loop ? mailbox_new(f->loop, &err) : NULL;
    f->store = f->mailbox ? store_open(f->directory, f->mailbox, &err) : NULL;
    if (!f->store)
        fail_msg("store_open: %s", err.detail);
}

static inline void fixture_close(struct fixture *f)
{
    store_close(f->store);
    mailbox_free(f->mailbox);
    loop_free(f->loop);
    f->store = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline void fixture_directory(struct fixture *f)
{
    static const char template[] = "/tmp/dray-store-XXXXXX";
    *f = (struct fixture){0};
    memcpy(f->directory, template, sizeof template);
    assert_non_null(mkdtemp(f->directory));
}

static inline void fixture_remove(struct fixture *f)
{
    struct error err = ERROR_INIT;
    char *name = strrchr(f->directory, '/') + 1;
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_remove_tree(parent, name, &err);
    close(parent);
    error_clear(&err);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    fixture_directory(f);
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store)
        fixture_close(f);
    fixture_remove(f);
    free(f);
    return 0;
}

static inline void fixture_answered(struct fixture *f)
{
    if (--f->expected == 0)
        loop_stop(f->loop);
}

// store_done_fn
static inline void fixture_done(void *arg, const struct error *err)
{
    struct fixture *f = arg;
    f->last = err ? err->code : ERR_NONE;
    if (err)
        f->n_failed++;
    else
        f->n_ok++;
    fixture_answered(f);
}

// Runs the loop until n answers came through fixture_answered.
static inline void fixture_wait(struct fixture *f, int n)
{
    f->expected += n;
    if (f->expected > 0)
        loop_run(f->loop);
}

static inline struct store_job fixture_job(const char *id, const char *state)
{
    return (struct store_job){
        .id = id,
        .kind = "build",
        .state = state,
        .attempt = 1,
        .created_ms = 1000,
        .uid = 1000,
        .spec = "{\"kind\":\"build\"}",
        .labels = "{\"ci\":\"42\"}",
        .extra = "{}",
    };
}

static inline enum error_code fixture_insert(struct fixture *f, const char *id, const char *state)
{
    struct store_job job = fixture_job(id, state);
    store_job_insert(f->store, &job, NULL, NULL, fixture_done, f);
    fixture_wait(f, 1);
    return f->last;
}
