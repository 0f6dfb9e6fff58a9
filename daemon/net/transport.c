// SPDX-License-Identifier: Apache-2.0
//
// The transport: what all requests share (warm lanes, TLS sessions, pacing), and transport_perform, which
// carries out one call. Called by exchange on every worker.
#include "net/transport.h"

#include <dirent.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/transport_internal.h"

enum { DRIVE_MS = 500 }; // how long a wait lasts at most before the cancel flag is looked at

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
    (void)easy, (void)data, (void)access;
    pthread_mutex_lock(&((struct transport *)arg)->share_lock);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *arg)
{
    (void)easy, (void)data;
    pthread_mutex_unlock(&((struct transport *)arg)->share_lock);
}

// A directory of hashed certificates (openssl-rehash(1)) is read one certificate at a time as it is needed;
// the bundle would be parsed whole into each lane, some megabytes of memory each.
static char *find_ca_directory(void)
{
    const char *path = curl_version_info(CURLVERSION_NOW)->capath;
    DIR *directory = path ? opendir(path) : NULL;
    bool hashed = false;
    if (!directory)
        return NULL;
    for (struct dirent *entry; !hashed && (entry = readdir(directory));)
        hashed = strspn(entry->d_name, "0123456789abcdef") == 8 && strcmp(entry->d_name + 8, ".0") == 0;
    closedir(directory);
    return hashed ? mem_strdup(path) : NULL;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void set_options(struct transport *transport, const struct transport_options *options)
{
    transport->options = (struct transport_options){
        .hosts = options->hosts,
        .connect_ms = or_default(options->connect_ms, 10000),
        .first_byte_ms = or_default(options->first_byte_ms, 30000),
        .stall_bytes_per_s = or_default(options->stall_bytes_per_s, 1000),
        .stall_window_ms = or_default(options->stall_window_ms, 30000),
        .warm_handles = options->warm_handles ? options->warm_handles : 64,
        .idle_ms = or_default(options->idle_ms, 50000),
    };
    transport->user_agent = mem_strdup(options->user_agent ? options->user_agent : "dray/" DRAY_VERSION);
}

struct transport *transport_new(const struct transport_options *options, struct error *err)
{
    pthread_once(&global_once, global_init);
    CURLSH *share = global_code == CURLE_OK ? curl_share_init() : NULL;
    if (!share) {
        error_set(err, ERR_INTERNAL, "libcurl cannot be initialised: %s", curl_easy_strerror(global_code));
        return NULL;
    }
    struct transport *transport = mem_new(struct transport);
    set_options(transport, options);
    transport->ca_directory = find_ca_directory();
    transport->pace = pace_new();
    list_init(&transport->idle);
    pthread_mutex_init(&transport->lock, NULL);
    pthread_mutex_init(&transport->share_lock, NULL);
    transport->share = share;
    curl_share_setopt(share, CURLSHOPT_USERDATA, transport);
    curl_share_setopt(share, CURLSHOPT_LOCKFUNC, share_lock);
    curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return transport;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    for (struct list *link; (link = list_take_first(&transport->idle));)
        transport_lane_free(container_of(link, struct transport_lane, link));
    curl_share_cleanup(transport->share);
    pthread_mutex_destroy(&transport->lock);
    pthread_mutex_destroy(&transport->share_lock);
    pace_free(transport->pace);
    free(transport->user_agent);
    free(transport->ca_directory);
    free(transport);
}

static int sink_receive(void *arg, const void *bytes, size_t len, struct error *err)
{
    return sink_write(((const struct http_call *)arg)->sink, bytes, len, err);
}

static int attempt(struct transport_multi *multi, const struct http_call *call,
                   const struct secret *authorization, bool fresh, struct http_answer *ret, bool *ret_stale,
                   struct error *err)
{
    static const struct transport_stream_ops to_sink = {.receive = sink_receive}, buffered = {0};
    struct transport_stream *stream = transport_stream_new(
        multi, call, authorization, call->sink ? &to_sink : &buffered, (void *)call, err);
    int rc = stream ? 0 : -1;
    if (stream && fresh)
        transport_stream_fresh(stream);
    while (rc == 0 && !transport_stream_done(stream))
        rc = transport_multi_drive(multi, DRIVE_MS, err);
    if (rc == 0)
        rc = transport_stream_take(stream, ret, ret_stale, err);
    transport_stream_free(stream);
    return rc;
}

int transport_perform(struct transport *transport, const struct http_call *call,
                      const struct secret *authorization, struct http_answer *ret, struct error *err)
{
    bool stale = false;
    struct transport_multi *multi = transport_multi_new(transport, &call->url, call->monitor);
    int rc = attempt(multi, call, authorization, false, ret, &stale, err);
    if (rc != 0 && stale) {
        error_clear(err);
        rc = attempt(multi, call, authorization, true, ret, &stale, err);
    }
    transport_multi_free(multi);
    return rc;
}
