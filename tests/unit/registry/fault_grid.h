// SPDX-License-Identifier: Apache-2.0
//
// The fault grid: a copy of a small image from and to the scripted registry, with one fault at one point of
// the protocol, once or for ever. Whatever happens: it ends in time, with an error of a class that people can
// act on, no descriptor is left open, no tag lacks a blob, no secret goes astray.
#pragma once

#include <dirent.h>

#include "base/clock.h"
#include "registry/live.h"

enum { GRID_CHUNK = 1 << 20, GRID_LARGE = 3 << 20, GRID_LIMIT_MS = 15000, GRID_WAIT_MS = 150 };

static struct live live;
static int grid_attempts_max = 2;
static bool grid_for_ever_only; // where every cell costs a time-out

static const char *const grid_points[] = {"token",        "manifest-head", "manifest-get", "blob-get",
                                          "cdn",          "mount",         "upload-post",  "blob-head",
                                          "upload-put",   "upload-patch",  "upload-get",   "upload-delete",
                                          "manifest-put", "tags",          "referrers"};

static int grid_open_descriptors(void)
{
    int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

static void grid_begin(void)
{
    live.first_byte_ms = GRID_WAIT_MS;
    live.chunk_bytes = live.monolithic_max_bytes = GRID_CHUNK;
    live_do(
        &live, "reset",
        json_loads("{\"auth\": \"bearer\", \"redirect_blobs\": true, \"self_mount\": \"ignore\"}", 0, NULL));
    live_make_room(&live, NULL);
    live.scope.host = live.address;
    live.monitor = (struct monitor){0};
    live_sign_in(&live, json_pack("{s:s,s:s}", "username", "user", "password", "canary-passw0rd"));
}

static void grid_fault(const char *point, const char *kind, int times)
{
    live_do(&live, "fault",
            json_pack("{s:s,s:s,s:i,s:i}", "point", point, "kind", kind, "times", times, "seconds", 5));
    if (strcmp(point, "upload-get") == 0) // is asked after a chunk broke off only
        live_do(&live, "fault",
                json_pack("{s:s,s:s,s:i}", "point", "upload-patch", "kind", "reset", "after_bytes", 1000));
}

// --- the copy; each step returns 0 or -1 with err

static int grid_copy_blob(const struct registry_scope *from, const struct descriptor *d, struct error *err)
{
    struct blob_push_target target = {.scope = live.scope, .error = ERROR_INIT};
    struct blob_push push = {.digest = d->digest,
                             .size = d->size,
                             .from = from,
                             .targets = &target,
                             .n_targets = 1,
                             .monitor = &live.monitor};
    int rc = blob_push_run(&push, err);
    error_clear(&target.error);
    return rc;
}

static int grid_copy_blobs(const struct registry_scope *from, const struct manifest *manifest,
                           struct error *err)
{
    if (grid_copy_blob(from, &manifest->config, err) < 0)
        return -1;
    for (size_t i = 0; i < manifest->n_layers; i++)
        if (grid_copy_blob(from, &manifest->layers[i], err) < 0)
            return -1;
    return 0;
}

static int grid_read_lists(const struct registry_scope *from, const struct digest *digest, struct error *err)
{
    AUTO_JSON json_t *tags = registry_tags(from, err);
    if (!tags)
        return -1;
    AUTO_JSON json_t *referrers = registry_referrers(from, digest, NULL, err);
    return referrers ? 0 : -1;
}

static int grid_push_large(struct error *err)
{
    struct live_blob blob = live_blob_new(GRID_LARGE, 77);
    struct descriptor d = {.digest = blob.digest, .size = blob.size};
    struct reader_at *reader = reader_at_bytes(blob.bytes, (size_t)blob.size);
    struct blob_push_target target = {.scope = live.scope, .error = ERROR_INIT};
    struct blob_push push = {
        .digest = d.digest, .size = d.size, .reader = reader, .targets = &target, .n_targets = 1};
    int rc = blob_push_run(&push, err);
    error_clear(&target.error);
    reader_at_close(reader);
    free(blob.bytes);
    return rc;
}

static int grid_copy(struct error *err)
{
    struct registry_scope from = live.scope;
    struct manifest manifest = {0};
    from.repository = "team/source";
    if (registry_manifest_head(&from, "v1", NULL, NULL, NULL, err) < 0 ||
        registry_manifest_pull(&from, "v1", &manifest, err) < 0)
        return -1;
    int rc = grid_copy_blobs(&from, &manifest, err);
    if (rc == 0)
        rc = grid_push_large(err);
    if (rc == 0)
        rc = registry_manifest_push(&live.scope, "copy", manifest.media_type, manifest.bytes, manifest.len,
                                    &manifest.digest, err);
    if (rc == 0)
        rc = grid_read_lists(&from, &manifest.digest, err);
    manifest_clear(&manifest);
    return rc;
}

static bool grid_class_is_sound(enum error_code code)
{
    switch (code) {
    case ERR_REGISTRY_UNREACHABLE:
    case ERR_REGISTRY_PROTOCOL:
    case ERR_REGISTRY_RATE_LIMIT:
    case ERR_REGISTRY_ERROR:
    case ERR_REGISTRY_DENIED:
    case ERR_REGISTRY_AUTH:
    case ERR_IMAGE_NOT_FOUND:
    case ERR_BLOB_UNKNOWN:
    case ERR_TOO_LARGE:
    case ERR_DIGEST_MISMATCH:
    case ERR_MANIFEST_UNSUPPORTED:
    case ERR_TARGET_EXISTS:
        return true;
    default:
        return false;
    }
}

// As a job does: what may help is tried again, a few times.
static void grid_attempts(const char *cell)
{
    int64_t begin_ms = clock_ms();
    for (int i = 0; i < grid_attempts_max; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        if (grid_copy(&err) == 0)
            break;
        if (!grid_class_is_sound(err.code) || !err.detail || strstr(err.detail, "canary"))
            fail_msg("%s: %s: %s", cell, error_wire(err.code), err.detail);
        if (!err.retryable)
            break;
    }
    if (clock_ms() - begin_ms > GRID_LIMIT_MS)
        fail_msg("%s: took %lld ms", cell, (long long)(clock_ms() - begin_ms));
}

static void grid_cell(const char *point, const char *kind, int times)
{
    AUTO_FREE char *cell = mem_printf("%s at %s, %s", kind, point, times < 0 ? "for ever" : "once");
    int before = grid_open_descriptors();
    grid_begin();
    free(live_text(&live, "add-image", json_pack("{s:s,s:s}", "repository", "team/source", "tag", "v1")));
    grid_fault(point, kind, times);
    grid_attempts(cell);
    live_end_room(&live);
    if (grid_open_descriptors() != before)
        fail_msg("%s: %d descriptors more", cell, grid_open_descriptors() - before);
    AUTO_JSON json_t *wrong = live_command(&live, "check", json_pack("{s:b}", "sessions", 0));
    if (json_array_size(wrong))
        fail_msg("%s: %s", cell, json_string_value(json_array_get(wrong, 0)));
}

static void grid_row(const char *kind)
{
    for (size_t i = 0; i < sizeof grid_points / sizeof *grid_points; i++) {
        if (!grid_for_ever_only)
            grid_cell(grid_points[i], kind, 1);
        grid_cell(grid_points[i], kind, -1);
    }
}

static inline void grid_rows(const char *const *kinds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        grid_row(kinds[i]);
}

#define GRID_ROWS(...)                                                                                       \
    do {                                                                                                     \
        static const char *const kinds[] = {__VA_ARGS__};                                                    \
        grid_rows(kinds, sizeof kinds / sizeof *kinds);                                                      \
    } while (0)

static int grid_start(void **state)
{
    (void)state;
    const char *arguments[] = {"{}", NULL};
    live_start(&live, "scripted_registry.py", arguments);
    live_end_room(&live);
    return 0;
}

static int grid_stop(void **state)
{
    (void)state;
    live_make_room(&live, NULL);
    live_stop(&live);
    return 0;
}
