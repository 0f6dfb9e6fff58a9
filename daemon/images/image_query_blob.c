// SPDX-License-Identifier: Apache-2.0
//
// Queries about one blob: is it there, and its bytes into a pipe. The size is asked for first, because the
// reply begins with it; a whole blob is verified on its way and its last bytes are held back until it was
// found right.
#include "images/image_query_room.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "images/query_pipe.h"

static int missing(const struct image_query *query, struct error *err)
{
    const struct reference *ref = &query->endpoint.where.ref;
    return error_set(err, ERR_IMAGE_NOT_FOUND, "%s/%s has no blob %s", ref->registry, ref->repository,
                     ref->digest.text);
}

int image_query_blob_head(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    query->answer.digest = query->endpoint.where.ref.digest;
    int found = registry_blob_head(&scope, &query->answer.digest, &query->answer.size, err);
    if (found < 0)
        return image_query_not_found(err);
    return found ? 0 : missing(query, err);
}

static bool parse_number(const char *text, size_t len, int64_t *ret)
{
    AUTO_FREE char *number = mem_strndup(text, len);
    return str_to_int64(number, 0, INT64_MAX, ret);
}

// RFC 9110 section 14.1.2: one range of bytes. 1: *first and *length are set; 0: to be ignored, as several
// ranges are; -1: it lies outside.
static int parse_range(const char *range, int64_t size, int64_t *first, int64_t *length)
{
    int64_t last = size - 1, begin = 0, tail;
    if (!str_starts(range, "bytes="))
        return 0;
    const char *spec = range + strlen("bytes="), *dash = strchr(spec, '-');
    if (!dash || strchr(spec, ','))
        return 0;
    if (dash == spec) { // the last N bytes
        if (!parse_number(dash + 1, strlen(dash + 1), &tail))
            return 0;
        begin = tail < size ? size - tail : 0;
        if (tail == 0)
            return -1;
    } else if (!parse_number(spec, (size_t)(dash - spec), &begin) ||
               (dash[1] && !parse_number(dash + 1, strlen(dash + 1), &last)) || (dash[1] && last < begin)) {
        return 0;
    }
    if (begin >= size)
        return -1;
    *first = begin;
    *length = (last < size ? last : size - 1) - begin + 1;
    return 1;
}

static int choose_part(struct image_query *query, struct error *err)
{
    struct image_answer *answer = &query->answer;
    answer->first = 0;
    answer->length = answer->size;
    if (!query->range || answer->size < 0)
        return 0;
    int result = parse_range(query->range, answer->size, &answer->first, &answer->length);
    answer->partial = result > 0;
    return result >= 0
               ? 0
               : error_set(err, ERR_RANGE, "the blob has %lld bytes; the range asked for lies outside",
                           (long long)answer->size);
}

static int pull(struct image_query *query, const struct registry_scope *scope, struct error *err)
{
    const struct image_answer *answer = &query->answer;
    struct query_pipe_sink sink;
    query_pipe_sink_init(&sink, query->out, &query->base.monitor);
    if (answer->partial)
        return registry_blob_pull_range(scope, &answer->digest, answer->first, answer->length, &sink.base,
                                        err);
    return registry_blob_pull(scope, &answer->digest, answer->size, &sink.base, err);
}

// A HEAD that finds nothing may only have been refused: the GET says why.
int image_query_blob_get(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    struct registry_scope scope = image_query_scope(query);
    query->answer.digest = query->endpoint.where.ref.digest;
    if (registry_blob_head(&scope, &query->answer.digest, &query->answer.size, err) < 0)
        return image_query_not_found(err);
    if (choose_part(query, err))
        return -1;
    if (pull(query, &scope, err))
        return image_query_not_found(err);
    pipe_end(query->out);
    return 0;
}
