// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/cache, GET /v1/cache/blobs, POST /v1/cache/prune: the local blob store as seen from outside.
// Listing and pruning touch the disk for a moment only (the index is in memory, evicting unlinks files).
#include <sys/statvfs.h>

#include "base/mem.h"
#include "blobs/blob_store.h"
#include "handlers/answer.h"
#include "handlers/operations.h"

enum { LIST_MAX = 1000 };

static json_t *stats_json(struct blob_store *store)
{
    struct blob_store_stats stats;
    blob_store_stats(store, &stats);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "blobs", (json_int_t)stats.blobs, "bytes",
                     (json_int_t)stats.bytes, "max_bytes", (json_int_t)stats.max_bytes, "hits",
                     (json_int_t)stats.hits, "misses", (json_int_t)stats.misses, "evictions",
                     (json_int_t)stats.evictions, "quarantined", (json_int_t)stats.quarantined);
}

static json_t *disk_json(const char *directory)
{
    struct statvfs disk;
    if (!directory || statvfs(directory, &disk))
        return json_null();
    return json_pack("{s:s, s:I, s:I}", "path", directory, "free_bytes",
                     (json_int_t)(disk.f_bavail * disk.f_frsize), "total_bytes",
                     (json_int_t)(disk.f_blocks * disk.f_frsize));
}

void cache_get(struct request *request, void *arg)
{
    const struct app *app = arg;
    if (!answer_no_query(request))
        return;
    json_t *value = stats_json(app->blobs);
    json_object_set_new(value, "disk",
                        json_pack("{s:o, s:o}", "state", disk_json(app->state_directory), "cache",
                                  disk_json(app->cache_directory)));
    reply_json(request, 200, value);
}

void cache_blobs(struct request *request, void *arg)
{
    static const char *const allowed[] = {"limit", NULL};
    const struct app *app = arg;
    struct error err = ERROR_INIT;
    int64_t limit;
    if (request_check_query(request, allowed, &err) != 0 ||
        request_query_int(request, "limit", 1, LIST_MAX, LIST_MAX, &limit, &err) != 0)
        answer_refuse(request, &err);
    else
        reply_json(request, 200, json_pack("{s:o}", "items", blob_store_list(app->blobs, (size_t)limit)));
}

static int read_prune(struct request *request, int64_t *ret_keep, int64_t *ret_older, struct error *err)
{
    struct json_reader reader;
    const json_t *body = request_json(request, err);
    if (!body)
        return -1;
    json_reader_init(&reader, body, "", err);
    *ret_keep = json_read_int(&reader, "keep_bytes", 0, INT64_MAX, 0);
    *ret_older = json_read_int(&reader, "older_than_s", 0, INT32_MAX, 0);
    return json_reader_end(&reader);
}

void cache_prune(struct request *request, void *arg)
{
    const struct app *app = arg;
    struct error err = ERROR_INIT;
    struct blob_store_stats before, after;
    int64_t keep_bytes, older_than_s;
    if (!answer_no_query(request))
        return;
    if (read_prune(request, &keep_bytes, &older_than_s, &err) != 0) {
        answer_refuse(request, &err);
        return;
    }
    blob_store_stats(app->blobs, &before);
    int64_t freed = blob_store_prune(app->blobs, keep_bytes, older_than_s);
    blob_store_stats(app->blobs, &after);
    reply_json(request, 200,
               json_pack("{s:I, s:I, s:o}", "freed_bytes", (json_int_t)freed, "freed_blobs",
                         (json_int_t)(before.blobs - after.blobs), "cache", stats_json(app->blobs)));
}
