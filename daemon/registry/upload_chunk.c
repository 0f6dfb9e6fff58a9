// SPDX-License-Identifier: Apache-2.0
//
// Uploads in chunks (distribution-spec "Pushing a blob in chunks"). Content-Range is "first-last" without a
// unit, as the specification has it and some registries insist. A 2xx means that the chunk is there, whatever
// Range says: some registries leave it stuck at the first chunk.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "registry/upload.h"

void upload_begin_chunk(const struct upload *upload, int64_t end, const struct digest *digest,
                        struct http_call *ret)
{
    bool whole = digest && upload->offset == 0;
    bool empty = end == upload->offset; // all was there, only the end of the session is missing
    upload_begin(upload, ret, digest ? "PUT" : "PATCH");
    if (digest)
        url_add_query(&ret->url, "digest", digest->text);
    http_headers_add(&ret->headers, "content-type", "application/octet-stream");
    if (whole || empty) // a Content-Range would make a chunk of it
        return;
    AUTO_FREE char *range = mem_printf("%lld-%lld", (long long)upload->offset, (long long)end - 1);
    http_headers_add(&ret->headers, "content-range", range);
}

int upload_judge_chunk(struct upload *upload, int64_t end, const struct http_answer *answer,
                       struct error *err)
{
    switch (answer->status) {
    case 200:
    case 201:
    case 202:
    case 204:
        upload->offset = end;
        return upload_adopt(upload, answer, err);
    }
    return registry_call_fail(upload->call, "PATCH", REGISTRY_BLOB_WRITE, "a chunk of a blob upload", answer,
                              err);
}

// "0-N", with or without "bytes=": N + 1 bytes are there. "0-0" is what an empty session says, too: asking
// for one byte again is cheaper than losing one.
int64_t upload_acknowledged(const struct http_answer *answer)
{
    int64_t last;
    const char *range = http_headers_find(&answer->headers, "range");
    if (!range)
        return 0;
    if (str_starts(range, "bytes=") || str_starts(range, "bytes "))
        range += 6;
    if (!str_starts(range, "0-") || !str_to_int64(range + 2, 0, INT64_MAX - 1, &last))
        return 0;
    return last ? last + 1 : 0;
}

static int judge_offset(struct upload *upload, const struct http_answer *answer, struct error *err)
{
    switch (answer->status) {
    case 200:
    case 202:
    case 204:
        if (http_headers_find(&answer->headers, "range"))
            upload->offset = upload_acknowledged(answer);
        return upload->offset > upload->reach ? 1 : upload_adopt(upload, answer, err);
    case 401:
    case 403:
    case 408:
    case 429:
        break;
    default:
        if (answer->status < 500)
            return 1;
    }
    return registry_call_fail(upload->call, "GET", REGISTRY_BLOB_WRITE, "the state of a blob upload", answer,
                              err);
}

int upload_ask_offset(struct upload *upload, struct error *err)
{
    struct http_call http;
    struct http_answer answer = {0};
    upload_begin(upload, &http, "GET");
    int result = upload_perform(upload, &http, &answer, err);
    if (!result)
        result = judge_offset(upload, &answer, err);
    http_call_clear(&http);
    http_answer_clear(&answer);
    return result;
}
