// SPDX-License-Identifier: Apache-2.0
//
// Called by estargz.c. A layer may have a million entries: in memory stands only the one buffer through which
// records are written and read.
#include "layers/estargz_log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { LOG_BUFFER = 64 << 10 };

struct record {
    uint64_t block;
    uint64_t len; // of the text that follows
};

struct estargz_log {
    int fd;
    size_t used;     // of the buffer, while written
    size_t at, have; // of the buffer, while read
    int64_t read;    // of the file
    char buffer[LOG_BUFFER];
};

struct estargz_log *estargz_log_new(int fd)
{
    struct estargz_log *log = mem_new(struct estargz_log);
    log->fd = fd;
    return log;
}

void estargz_log_free(struct estargz_log *log)
{
    free(log);
}

static int flush(struct estargz_log *log, struct error *err)
{
    size_t len = log->used;
    log->used = 0;
    return file_write_all(log->fd, log->buffer, len, err);
}

static int append(struct estargz_log *log, const void *bytes, size_t len, struct error *err)
{
    for (const char *next = bytes; len > 0;) {
        size_t room = LOG_BUFFER - log->used, part = len < room ? len : room;
        memcpy(log->buffer + log->used, next, part);
        log->used += part;
        next += part;
        len -= part;
        if (log->used == LOG_BUFFER && flush(log, err) < 0)
            return -1;
    }
    return 0;
}

int estargz_log_add(struct estargz_log *log, const char *text, size_t len, uint64_t block, struct error *err)
{
    struct record record = {.block = block, .len = len};
    return append(log, &record, sizeof(record), err) < 0 ? -1 : append(log, text, len, err);
}

// 0 at the end of the file, which may come between two records only.
static int take(struct estargz_log *log, void *to, size_t len, struct error *err)
{
    for (char *next = to; len > 0;) {
        if (log->at == log->have) {
            ssize_t got = pread(log->fd, log->buffer, LOG_BUFFER, log->read);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return error_set_errno(err, errno, "reading the spool of an eStargz table");
            if (got == 0)
                return 0;
            log->read += got;
            log->have = (size_t)got;
            log->at = 0;
        }
        size_t part = len < log->have - log->at ? len : log->have - log->at;
        memcpy(next, log->buffer + log->at, part);
        log->at += part;
        next += part;
        len -= part;
    }
    return 1;
}

static int replay_one(struct estargz_log *log, const struct record *record, estargz_log_visit *visit,
                      void *context, struct error *err)
{
    AUTO_FREE char *text = mem_alloc((size_t)record->len + 1);
    int status = record->len > 0 ? take(log, text, (size_t)record->len, err) : 1;
    if (status == 0)
        return error_set(err, ERR_INTERNAL, "the spool of an eStargz table was cut off");
    return status < 0 ? -1 : visit(context, text, (size_t)record->len, record->block, err);
}

int estargz_log_replay(struct estargz_log *log, estargz_log_visit *visit, void *context, struct error *err)
{
    if (flush(log, err) < 0)
        return -1;
    log->at = log->have = 0;
    log->read = 0;
    struct record record;
    int status;
    while ((status = take(log, &record, sizeof(record), err)) > 0)
        if (replay_one(log, &record, visit, context, err) < 0)
            return -1;
    return status;
}
