// SPDX-License-Identifier: Apache-2.0
//
// Called by images around the packing of a layer. What must hold: the registry is known to take pieces before
// many are sent – it has to acknowledge the first one exactly –; a piece is no longer than what can be waited
// for when the maker is done; some bytes are always left for the closing PUT, which some registries refuse
// without any; a session that is not handed over is cancelled.
#include "registry/blob_ahead.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/transfer.h"
#include "net/url.h"
#include "registry/blob_chunks.h"
#include "registry/blob_session.h"

enum {
    FIRST_BYTES = 1 << 20,
    PIECE_BYTES_MAX = 16 << 20,
    REST_BYTES = 64 << 10, // left for the closing PUT
    QUICK_MS = 150,        // a piece that takes less may be followed by a larger one
    SLOW_MS = 600,
    END_WAIT_MS = 2000,
};

// The part of the blob that is there, as a source of a transfer.
struct view {
    struct reader_at base;
    struct reader_at *made;
};

struct blob_ahead {
    struct registry_scope scope;
    struct monitor monitor;
    struct reader_at *made;
    void (*opened)(void *arg, const char *session);
    void *arg;
    pthread_t thread;
    // what follows is shared
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t size;
    bool ending;
    bool over; // the thread will do no more
    // of the thread, and after it of whoever ends it
    struct registry_call call;
    bool call_open;
    struct upload upload;
    struct hasher *hasher; // of the bytes before the upload's offset
    int64_t piece_bytes;
    bool useless; // the session
};

static bool is_here(const char *host)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    AUTO_FREE char *text = mem_printf("https://%s/", host);
    struct url url = {0};
    bool here = url_parse(&url, text, &ignored) == 0 && url_host_class(url.host) == ADDRESS_LOOPBACK;
    url_clear(&url);
    return here;
}

bool blob_ahead_allowed(const struct registry_scope *scope, bool is_new)
{
    struct registry_trait trait = registry_traits_get(scope->registry->traits, scope->host);
    int set = registry_call_host(scope)->early_uploads;
    if (set || trait.no_chunks || trait.early == REGISTRY_EARLY_BAD)
        return set > 0;
    return is_new || is_here(scope->host);
}

// --- one piece

static ssize_t view_read_at(struct reader_at *base, void *buffer, size_t len, int64_t offset,
                            struct error *err)
{
    return reader_at_read(container_of(base, struct view, base)->made, buffer, len, offset, err);
}

static int open_session(struct blob_ahead *ahead, struct error *err)
{
    if (ahead->upload.open)
        return 0;
    if (registry_call_open(&ahead->call, &ahead->scope, CREDENTIAL_PULL | CREDENTIAL_PUSH, NULL, err) < 0)
        return -1;
    ahead->call_open = true;
    if (upload_start(&ahead->upload, &ahead->call, NULL, NULL, err) < 0)
        return -1;
    AUTO_FREE char *session = blob_session_format(&ahead->upload);
    ahead->opened(ahead->arg, session);
    return 0;
}

static int send_through(struct blob_ahead *ahead, struct transfer *transfer, int64_t end, struct error *err)
{
    struct upload *upload = &ahead->upload;
    struct http_call http;
    const struct http_answer *answer = NULL;
    upload->reach = end;
    upload_begin_chunk(upload, end, NULL, &http);
    int number =
        transfer_add_put_from(transfer, &http, ahead->call.authorizer, upload->credentials, upload->offset);
    http_call_clear(&http);
    if (transfer_run(transfer, err) < 0 || transfer_result(transfer, number, &answer, err) < 0)
        return -1;
    registry_call_heed(&ahead->call, answer);
    return upload_judge_chunk(upload, end, answer, err);
}

static int send_to(struct blob_ahead *ahead, int64_t end, struct error *err)
{
    static const struct reader_at_ops ops = {.read_at = view_read_at};
    const struct registry *registry = ahead->scope.registry;
    struct view view = {{&ops, INT64_MAX}, ahead->made};
    struct transfer *transfer =
        transfer_new(registry->transport, registry->hosts, NULL, INT64_MAX, &ahead->monitor);
    transfer_set_part(transfer, ahead->upload.offset, end, ahead->hasher);
    int failed = transfer_open_reader(transfer, &view.base, err);
    if (!failed)
        failed = send_through(ahead, transfer, end, err);
    if (!failed) {
        hasher_free(ahead->hasher);
        ahead->hasher = transfer_take_hasher(transfer);
    }
    transfer_free(transfer);
    return failed;
}

// Does the registry say that it has what it was sent, no more and no less? Asked once per host.
static int make_sure(struct blob_ahead *ahead, struct error *err)
{
    struct registry_traits *traits = ahead->scope.registry->traits;
    struct registry_trait trait = registry_traits_get(traits, ahead->scope.host);
    int64_t sent = ahead->upload.offset;
    if (trait.early == REGISTRY_EARLY_GOOD)
        return 0;
    ahead->upload.offset = 0;
    int gone = upload_ask_offset(&ahead->upload, err);
    if (gone < 0)
        return -1;
    if (gone || ahead->upload.offset != sent)
        return error_set(err, ERR_REGISTRY_PROTOCOL, "it does not acknowledge what it was sent");
    trait.early = REGISTRY_EARLY_GOOD;
    registry_traits_set(traits, ahead->scope.host, &trait);
    return 0;
}

static bool may_go_on(const struct error *why)
{
    return why->retryable || why->code == ERR_CANCELLED;
}

// A piece that was too large says only what is too large.
static void learn_from(struct blob_ahead *ahead, int64_t piece_bytes, struct error *why)
{
    struct registry_traits *traits = ahead->scope.registry->traits;
    log_debug("a layer is not sent to %s while it is made: %s", ahead->scope.host, why->detail);
    if (may_go_on(why))
        return;
    ahead->useless = true;
    if (upload_too_large(why) && blob_chunks_shrink(&ahead->upload, piece_bytes, why))
        return;
    struct registry_trait trait = registry_traits_get(traits, ahead->scope.host);
    trait.early = REGISTRY_EARLY_BAD;
    registry_traits_set(traits, ahead->scope.host, &trait);
}

static void choose_next(struct blob_ahead *ahead, int64_t took_ms)
{
    if (took_ms < QUICK_MS && ahead->piece_bytes < PIECE_BYTES_MAX)
        ahead->piece_bytes *= 2;
    else if (took_ms > SLOW_MS && ahead->piece_bytes > FIRST_BYTES)
        ahead->piece_bytes /= 2;
}

static int send_piece(struct blob_ahead *ahead, int64_t end)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    int64_t began_ms = clock_ms(), piece_bytes = end - ahead->upload.offset;
    if (open_session(ahead, &why) == 0 && send_to(ahead, end, &why) == 0 && make_sure(ahead, &why) == 0) {
        choose_next(ahead, clock_ms() - began_ms);
        return 0;
    }
    learn_from(ahead, piece_bytes, &why);
    return -1;
}

// --- the thread

static int64_t next_bytes(const struct blob_ahead *ahead)
{
    const struct registry_scope *scope = &ahead->scope;
    int64_t bytes = ahead->piece_bytes;
    int64_t max = registry_traits_get(scope->registry->traits, scope->host).body_max_bytes;
    if (max && bytes > max)
        bytes = max;
    return bytes < ahead->upload.chunk_min ? ahead->upload.chunk_min : bytes;
}

// Waits until there is enough for a piece; 0: there will be no more.
static int64_t wait_for_piece(struct blob_ahead *ahead)
{
    int64_t end = ahead->upload.offset + next_bytes(ahead);
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->ending && ahead->size < end + REST_BYTES)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    bool ending = ahead->ending;
    pthread_mutex_unlock(&ahead->lock);
    return ending ? 0 : end;
}

static void *follow(void *arg)
{
    struct blob_ahead *ahead = arg;
    int64_t end;
    int failed = 0;
    while (!failed && (end = wait_for_piece(ahead)) > 0)
        failed = send_piece(ahead, end);
    pthread_mutex_lock(&ahead->lock);
    ahead->over = true;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

static int start(struct blob_ahead *ahead)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&ahead->thread, NULL, follow, ahead);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0)
        pthread_setname_np(ahead->thread, "dray-ahead");
    return status;
}

static void clear(struct blob_ahead *ahead)
{
    upload_clear(&ahead->upload);
    if (ahead->call_open)
        registry_call_close(&ahead->call);
    hasher_free(ahead->hasher);
    reader_at_close(ahead->made);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

struct blob_ahead *blob_ahead_start(const struct registry_scope *scope, struct reader_at *made,
                                    void (*opened)(void *arg, const char *session), void *arg)
{
    struct blob_ahead *ahead = mem_new(struct blob_ahead);
    pthread_condattr_t attributes;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ahead->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    ahead->scope = *scope;
    ahead->scope.monitor = &ahead->monitor;
    ahead->scope.warning = NULL;
    ahead->made = made;
    ahead->opened = opened;
    ahead->arg = arg;
    ahead->hasher = hasher_new(DIGEST_SHA256);
    ahead->piece_bytes = FIRST_BYTES;
    if (start(ahead) == 0)
        return ahead;
    clear(ahead);
    return NULL;
}

void blob_ahead_offer(struct blob_ahead *ahead, int64_t size)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->size = size;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

// --- the end

static void wait_for_thread(struct blob_ahead *ahead, bool drop)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_WAIT_MS / 1000;
    pthread_mutex_lock(&ahead->lock);
    ahead->ending = true;
    pthread_cond_signal(&ahead->changed);
    int status = drop ? ETIMEDOUT : 0;
    while (!ahead->over && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&ahead->changed, &ahead->lock, &until);
    pthread_mutex_unlock(&ahead->lock);
    atomic_store_explicit(&ahead->monitor.cancelled, true, memory_order_relaxed); // cuts what still goes on
    pthread_join(ahead->thread, NULL);
}

static void count(const struct blob_ahead *ahead, struct monitor *monitor)
{
    atomic_fetch_add_explicit(&monitor->bytes_sent, ahead->monitor.bytes_sent, memory_order_relaxed);
    atomic_fetch_add_explicit(&monitor->requests, ahead->monitor.requests, memory_order_relaxed);
    atomic_fetch_add_explicit(&monitor->retries, ahead->monitor.retries, memory_order_relaxed);
    atomic_fetch_add_explicit(&monitor->tokens, ahead->monitor.tokens, memory_order_relaxed);
}

char *blob_ahead_end(struct blob_ahead *ahead, bool drop, struct monitor *monitor, struct hasher **ret_hasher,
                     int64_t *ret_hashed)
{
    char *session = NULL;
    *ret_hasher = NULL;
    wait_for_thread(ahead, drop);
    count(ahead, monitor);
    if (drop || ahead->useless || ahead->upload.offset == 0)
        upload_cancel(&ahead->upload);
    else if (ahead->upload.open) {
        session = blob_session_format(&ahead->upload);
        *ret_hasher = mem_take(ahead->hasher);
        *ret_hashed = ahead->upload.offset;
    }
    clear(ahead);
    return session;
}
