// SPDX-License-Identifier: Apache-2.0
//
// The query that pushes a blob from the body of a request. With digest and length known the bytes go straight
// on to the registry; else they are spooled into the blob store, which finds both out, and pushed from there.
#include "images/image_query_room.h"

#include "base/mem.h"
#include "blobs/blob_store.h"
#include "images/query_pipe.h"
#include "registry/blob_push.h"

// Where the body is the source, a wrong digest is the caller's fault.
static int blame_body(struct error *err)
{
    if (err->code != ERR_DIGEST_MISMATCH)
        return -1;
    err->code = ERR_INVALID_REQUEST;
    return error_wrap(err, "The body is not the blob that the reference names");
}

static int push(struct image_query *query, struct reader_at *reader, struct error *err)
{
    struct blob_push_target target = {.scope = image_query_scope(query), .error = ERROR_INIT};
    struct blob_push work = {
        .digest = query->answer.digest,
        .size = query->answer.size,
        .reader = reader,
        .targets = &target,
        .n_targets = 1,
        .monitor = &query->base.monitor,
    };
    int result = blob_push_run(&work, err);
    query->answer.created = target.how == BLOB_PUSH_COPIED;
    free(target.session);
    error_clear(&target.error);
    return result;
}

// The body was not needed: is it at all what it says?
static int check_rest(struct image_query *query, struct query_pipe_reader *reader, struct error *err)
{
    AUTO_FREE char *buffer = mem_alloc(128 << 10);
    struct hasher *hasher = hasher_new(query->answer.digest.algorithm);
    struct digest digest;
    ssize_t got;
    while ((got = reader_at_read(&reader->base, buffer, 128 << 10, reader->position, err)) > 0)
        hasher_update(hasher, buffer, (size_t)got);
    hasher_finish(hasher, &digest);
    hasher_free(hasher);
    if (got < 0)
        return -1;
    return digest_equal(&digest, &query->answer.digest)
               ? 0
               : error_set(err, ERR_DIGEST_MISMATCH, "it has the digest %s, not %s", digest.text,
                           query->answer.digest.text);
}

static int push_straight(struct image_query *query, struct error *err)
{
    struct query_pipe_reader reader;
    query->answer.size = query->in_bytes;
    query_pipe_reader_init(&reader, query->in, query->in_bytes, &query->base.monitor);
    int result = push(query, &reader.base, err);
    if (!result && reader.position == 0)
        result = check_rest(query, &reader, err);
    return result ? blame_body(err) : 0;
}

static int push_stored(struct image_query *query, struct error *err)
{
    struct reader_at *reader = blob_store_read(query->context->blobs, &query->answer.digest, err);
    int result = reader ? push(query, reader, err) : -1;
    reader_at_close(reader);
    return result;
}

static int push_spooled(struct image_query *query, struct error *err)
{
    struct image_answer *answer = &query->answer;
    struct blob_store *blobs = query->context->blobs;
    struct blob_writer *writer =
        blob_store_write(blobs, digest_known(&answer->digest) ? &answer->digest : NULL, query->in_bytes, err);
    if (!writer)
        return -1;
    struct sink *sink = blob_writer_sink(writer);
    int result = query_pipe_copy(query->in, sink, query->in_bytes_max, &query->base.monitor, err) ||
                         sink_finish(sink, err)
                     ? blame_body(err)
                     : 0;
    if (!result) {
        answer->digest = *blob_writer_digest(writer);
        answer->size = blob_writer_size(writer);
    }
    blob_writer_free(writer);
    if (result)
        return -1;
    result = push_stored(query, err);
    blob_store_release(blobs, &answer->digest);
    return result;
}

int image_query_blob_put(struct step *step, struct error *err)
{
    struct image_query *query = image_query_of(step);
    query->answer.digest = query->endpoint.where.ref.digest;
    bool known = digest_known(&query->answer.digest) && query->in_bytes >= 0;
    int result = known ? push_straight(query, err) : push_spooled(query, err);
    if (result)
        query_pipe_drain(query->in, &step->monitor);
    return result;
}
