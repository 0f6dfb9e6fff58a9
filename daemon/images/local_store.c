// SPDX-License-Identifier: Apache-2.0
//
// A store around a store: each call that opens, makes or renames files does so as the caller. What must hold: the thread has the
// daemon's own rights again when a call returns, and a descriptor that was opened here is all that sinks and readers use.
#include "images/local_store.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "layers/caller.h"

struct local_store {
    struct image_store base;
    struct image_store *inner;
    struct layer_caller who;
};

static struct local_store *self_of(struct image_store *store)
{
    return container_of(store, struct local_store, base);
}

// The caller's primary group; without an entry in the user database, one that owns nothing.
struct layer_caller local_store_caller(const struct image_context *context, int64_t uid)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    struct layer_caller who = {.uid = (uint32_t)uid, .gid = 65534};
    who.apply = context->privileged && uid >= 0 && uid != (int64_t)geteuid();
    if (who.apply && getpwuid_r(who.uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        who.gid = found->pw_gid;
    return who;
}

static int enter(struct caller *caller, const struct layer_caller *who, struct error *err)
{
    if (caller_init(caller, who, err) == 0 && caller_enter(caller, err) == 0)
        return 0;
    caller_fini(caller);
    return -1;
}

static int as_resolve(struct image_store *store, const char *name, const struct monitor *monitor, struct descriptor *ret,
                      struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return -1;
    int result = image_store_resolve(self_of(store)->inner, name, monitor, ret, err);
    caller_fini(&caller);
    return result;
}

static int as_manifest(struct image_store *store, const struct descriptor *descriptor, struct manifest *ret,
                       struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return -1;
    int result = image_store_manifest(self_of(store)->inner, descriptor, ret, err);
    caller_fini(&caller);
    return result;
}

static int64_t as_blob_size(struct image_store *store, const struct digest *digest)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, &ignored))
        return -1;
    int64_t size = image_store_blob_size(self_of(store)->inner, digest);
    caller_fini(&caller);
    return size;
}

static struct reader_at *as_blob_open(struct image_store *store, const struct digest *digest, struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return NULL;
    struct reader_at *reader = image_store_blob_open(self_of(store)->inner, digest, err);
    caller_fini(&caller);
    return reader;
}

// --- writing

struct as_sink {
    struct sink base;
    struct sink *inner;
    struct layer_caller who;
};

static int as_sink_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    return sink_write(container_of(sink, struct as_sink, base)->inner, bytes, len, err);
}

static int as_sink_finish(struct sink *sink, struct error *err)
{
    struct as_sink *self = container_of(sink, struct as_sink, base);
    struct caller caller;
    if (enter(&caller, &self->who, err))
        return -1;
    int result = sink_finish(self->inner, err);
    caller_fini(&caller);
    return result;
}

static void as_sink_close(struct sink *sink)
{
    struct as_sink *self = container_of(sink, struct as_sink, base);
    sink_close(self->inner);
    free(self);
}

static struct sink *as_blob_sink(struct image_store *store, const struct digest *digest, int64_t size, struct error *err)
{
    static const struct sink_ops ops = {.write = as_sink_write, .finish = as_sink_finish, .close = as_sink_close};
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return NULL;
    struct sink *inner = image_store_blob_sink(self_of(store)->inner, digest, size, err);
    caller_fini(&caller);
    if (!inner)
        return NULL;
    struct as_sink *self = mem_new(struct as_sink);
    *self = (struct as_sink){.base = {.ops = &ops}, .inner = inner, .who = self_of(store)->who};
    return &self->base;
}

static int as_put_manifest(struct image_store *store, const struct manifest *manifest, struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return -1;
    int result = image_store_put_manifest(self_of(store)->inner, manifest, err);
    caller_fini(&caller);
    return result;
}

static int as_tag(struct image_store *store, const struct descriptor *manifest, const char *name, struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return -1;
    int result = image_store_tag(self_of(store)->inner, manifest, name, err);
    caller_fini(&caller);
    return result;
}

static int as_finish(struct image_store *store, struct error *err)
{
    struct caller caller;
    if (enter(&caller, &self_of(store)->who, err))
        return -1;
    int result = image_store_finish(self_of(store)->inner, err);
    caller_fini(&caller);
    return result;
}

static void as_close(struct image_store *store)
{
    image_store_close(self_of(store)->inner);
    free(self_of(store));
}

// --- opening

static struct image_store *wrap(struct image_store *inner, const struct layer_caller *who)
{
    static const struct image_store_ops ops = {
        .resolve = as_resolve,
        .manifest = as_manifest,
        .blob_size = as_blob_size,
        .blob_open = as_blob_open,
        .blob_sink = as_blob_sink,
        .put_manifest = as_put_manifest,
        .tag = as_tag,
        .finish = as_finish,
        .close = as_close,
    };
    if (!inner || !who->apply)
        return inner;
    struct local_store *store = mem_new(struct local_store);
    *store = (struct local_store){.base = {.ops = &ops}, .inner = inner, .who = *who};
    return &store->base;
}

// The spool is the daemon's: its file has to be there before the thread becomes the caller.
static int open_spool(const struct image_context *context, const struct location *where, const struct layer_caller *who)
{
    if (!who->apply || where->kind == LOCATION_OCI_LAYOUT)
        return -1;
    return openat(context->spool_dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

struct image_store *local_store_open(const struct image_context *context, const struct location *where, bool for_writing,
                                     int64_t uid, const struct monitor *monitor, struct error *err)
{
    struct layer_caller who = local_store_caller(context, uid);
    AUTO_CLOSE int spool_fd = for_writing ? -1 : open_spool(context, where, &who);
    struct archive_spool spool = {.dirfd = context->spool_dirfd, .bytes_max = context->spool_bytes_max,
                                  .file = spool_fd >= 0 ? spool_fd : 0};
    struct caller caller;
    if (enter(&caller, &who, err))
        return NULL;
    struct image_store *inner = for_writing ? image_store_create(context->output_roots, where, err)
                                            : image_store_open(context->build_roots, where, &spool, monitor, err);
    caller_fini(&caller);
    return wrap(inner, &who);
}

struct image_store *local_store_open_output(const struct image_context *context, const struct location *where, int64_t uid,
                                            const struct monitor *monitor, struct error *err)
{
    struct layer_caller who = local_store_caller(context, uid);
    struct caller caller;
    if (enter(&caller, &who, err))
        return NULL;
    struct image_store *inner = image_store_open(context->output_roots, where, NULL, monitor, err);
    caller_fini(&caller);
    return wrap(inner, &who);
}
