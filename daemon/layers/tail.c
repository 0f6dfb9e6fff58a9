// SPDX-License-Identifier: Apache-2.0
#include "layers/tail.h"

#include <string.h>
#include <zlib.h>

#include "base/mem.h"

enum { TAIL_BUFFER = 64 << 10, TAIL_LEVEL = 6, GZIP_WINDOW = 15 + 16 };

struct tail {
    struct blocks *blocks;
    z_stream stream;
    uint8_t buffer[TAIL_BUFFER];
};

// The header is that of every other member: no name, no time, unknown operating system.
static int begin(struct tail *tail, struct error *err)
{
    static gz_header header = {.os = 255};
    int status = deflateInit2(&tail->stream, TAIL_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    if (status == Z_OK)
        status = deflateSetHeader(&tail->stream, &header);
    return status == Z_OK ? 0 : error_set(err, ERR_INTERNAL, "zlib could not start (status %d)", status);
}

struct tail *tail_new(struct blocks *blocks, struct error *err)
{
    struct tail *tail = mem_new(struct tail);
    tail->blocks = blocks;
    if (begin(tail, err) == 0)
        return tail;
    tail_free(tail);
    return NULL;
}

void tail_free(struct tail *tail)
{
    if (!tail)
        return;
    deflateEnd(&tail->stream);
    free(tail);
}

static int deflate_on(struct tail *tail, int flush, struct error *err)
{
    for (;;) {
        tail->stream.next_out = tail->buffer;
        tail->stream.avail_out = TAIL_BUFFER;
        int status = deflate(&tail->stream, flush);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return error_set(err, ERR_INTERNAL, "zlib failed (status %d)", status);
        size_t made = TAIL_BUFFER - tail->stream.avail_out;
        if (blocks_put(tail->blocks, NULL, 0, tail->buffer, made, err) < 0)
            return -1;
        if (status == Z_STREAM_END || (flush == Z_NO_FLUSH && tail->stream.avail_out > 0))
            return 0;
    }
}

int tail_append(struct tail *tail, const void *tar, size_t len, struct error *err)
{
    if (blocks_put(tail->blocks, tar, len, NULL, 0, err) < 0)
        return -1;
    tail->stream.next_in = (Bytef *)tar;
    tail->stream.avail_in = (uInt)len;
    return deflate_on(tail, Z_NO_FLUSH, err);
}

int tail_finish(struct tail *tail, struct error *err)
{
    tail->stream.avail_in = 0;
    return deflate_on(tail, Z_FINISH, err);
}
