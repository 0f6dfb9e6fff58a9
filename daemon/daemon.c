// SPDX-License-Identifier: Apache-2.0
//
// Composes the house: every room is made here, with what it may know, and nowhere else. Start-up always is recovery. The stop
// order matters because libmicrohttpd aborts on suspended connections: drain ▸ stop the engine (ends every stream) ▸
// server ▸ crafts ▸ store ▸ loop.
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "blobs/blob_graph.h"
#include "blobs/blob_store.h"
#include "blobs/notes.h"
#include "credentials/credentials.h"
#include "handlers/app.h"
#include "http/server.h"
#include "images/config_memory.h"
#include "images/image_query.h"
#include "images/images.h"
#include "images/upload_journal.h"
#include "jobs/engine.h"
#include "layers/lanes.h"
#include "net/governor.h"
#include "net/quota.h"
#include "net/retry.h"
#include "net/transport.h"
#include "notify.h"
#include "registry/registry.h"
#include "store/store.h"
#include "token_file.h"

enum { HOUSEKEEPING_MS = 60000, CONFIGS_BYTES = 4 << 20 };

#define SPOOL_BYTES_MAX ((int64_t)64 << 30)

static const struct notes_limits NOTES_LIMITS = {.count = 512, .bytes = 128 << 20};

struct daemon {
    const struct config *config;
    int lock_fd;
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    struct seal *seal;
    struct transport *transport;
    struct credentials *credentials;
    struct registry *registry;
    struct blob_store *blobs;
    struct blob_graph *graph;
    struct notes *notes;
    struct config_memory *configs;
    struct upload_journal *uploads;
    struct lanes *lanes;
    struct roots *build_roots, *output_roots;
    struct quota *quota;
    struct governor *governor;
    struct retry_policy retry;
    struct engine *engine;
    struct server *server;
    struct image_context images;
    struct app app;
    int spool_dirfd;
    char *contexts_directory, *token_file;
    uint32_t *admins;
    struct loop_timer *housekeeping, *watchdog;
    struct loop_signal *signals[3];
    bool stopping;
};

static bool gate_enter(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    return governor_enter(arg, host, now_ms, ret_retry_at_ms);
}

static void gate_leave(void *arg, const char *host, int64_t now_ms, const struct error *err)
{
    governor_leave(arg, host, now_ms, err);
}

static bool next_retry(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms, int *ret_max)
{
    const struct retry_policy *policy = arg;
    uint64_t random = 0;
    ssize_t got = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)got; // without it the jitter is only less random
    *ret_max = policy->max_attempts;
    return retry_next(policy, attempt, err, random, ret_delay_ms);
}

// Two daemons on one store would run every job twice.
static int lock_state(struct daemon *d, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/drayd.lock", d->config->state_dir);
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    error_set(err, ERR_CONFLICT, "another drayd uses the state directory %s", d->config->state_dir);
    error_hint(err, "Stop it, or give this one a directory of its own with --state-dir.");
    return -1;
}

static int open_directories(struct daemon *d, struct error *err)
{
    d->contexts_directory = mem_printf("%s/contexts", d->config->cache_dir);
    AUTO_FREE char *spool = mem_printf("%s/spool", d->config->cache_dir);
    if (file_make_directory(d->config->state_dir, 0700, err) || file_make_directory(d->config->cache_dir, 0700, err) ||
        file_make_directory(d->contexts_directory, 0700, err) || file_make_directory(spool, 0700, err))
        return -1;
    AUTO_CLOSE int contexts = open(d->contexts_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (contexts < 0 || file_remove_tree(contexts, IMAGE_QUERY_CONTEXT_TEMP, err)) // what a former life left
        return contexts < 0 ? error_set_errno(err, errno, "cannot open %s", d->contexts_directory) : -1;
    d->spool_dirfd = open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->spool_dirfd < 0)
        return error_set_errno(err, errno, "cannot open %s", spool);
    return lock_state(d, err);
}

static struct roots *open_roots(const char *kind, const char *setting, const struct config_list *list,
                                struct error *err)
{
    struct roots *roots = roots_new(kind, setting);
    for (size_t i = 0; i < list->count; i++)
        if (roots_add(roots, list->items[i], err)) {
            roots_free(roots);
            return NULL;
        }
    return roots;
}

static int open_stores(struct daemon *d, struct error *err)
{
    const struct config *c = d->config;
    d->loop = loop_new(err);
    if (!d->loop || !(d->mailbox = mailbox_new(d->loop, err)))
        return -1;
    d->store = store_open(c->state_dir, d->mailbox, err);
    if (!d->store || !(d->seal = seal_open(c->state_dir, err)))
        return -1;
    d->blobs = blob_store_open(c->cache_dir, c->cache_bytes, err);
    if (!d->blobs || !(d->graph = blob_graph_new(d->store, (size_t)c->facts_count, c->facts_age_s * 1000, err)))
        return -1;
    AUTO_FREE char *notes = mem_printf("%s/notes", c->state_dir);
    if (!(d->notes = notes_open(notes, NOTES_LIMITS, err)))
        return -1;
    d->build_roots = open_roots("build root", "--build-root", &c->build_roots, err);
    d->output_roots = d->build_roots ? open_roots("output root", "--output-root", &c->output_roots, err) : NULL;
    return d->output_roots ? 0 : -1;
}

static int complete_hosts(const struct config *c, struct error *err)
{
    struct host_settings all = {.name = mem_strdup("*"), .max_connections = (int)c->host_connections,
                                .proxy = mem_strdup_null(c->proxy)};
    host_table_add(c->host_table, &all);
    for (size_t i = 0; i < c->plain_http.count; i++) {
        struct host_settings host = {.name = mem_strdup(c->plain_http.items[i]), .plain_http = true};
        host_table_add(c->host_table, &host);
    }
    return c->certs_dir ? host_table_load_certs(c->host_table, c->certs_dir, err) : 0;
}

static int open_network(struct daemon *d, struct error *err)
{
    const struct config *c = d->config;
    if (complete_hosts(c, err))
        return -1;
    d->transport = transport_new(&(struct transport_options){.hosts = c->host_table,
                                                             .connect_ms = c->connect_ms,
                                                             .first_byte_ms = c->first_byte_ms,
                                                             .stall_bytes_per_s = c->stall_bytes_per_s,
                                                             .stall_window_ms = c->stall_window_ms,
                                                             .user_agent = "dray/" DRAY_VERSION},
                                 err);
    if (!d->transport)
        return -1;
    d->credentials = credentials_new(&(struct credentials_options){.transport = d->transport,
                                                                   .hosts = c->host_table,
                                                                   .docker_config = c->docker_config,
                                                                   .auth_file = c->auth_file,
                                                                   .helper_path = c->helper_path,
                                                                   .helper_deadline_ms = c->helper_deadline_ms,
                                                                   .helper_ttl_ms = c->helper_ttl_ms,
                                                                   .google_credentials = c->google_credentials,
                                                                   .google_token_hosts = c->google_token_hosts,
                                                                   .google_metadata_url = c->google_metadata_url,
                                                                   .key_roots = d->build_roots},
                                     err);
    if (!d->credentials)
        return -1;
    d->quota = quota_new();
    d->registry = registry_new(&(struct registry_options){.transport = d->transport,
                                                          .hosts = c->host_table,
                                                          .credentials = d->credentials,
                                                          .chunk_bytes = c->chunk_bytes,
                                                          .monolithic_max_bytes = c->monolithic_max_bytes,
                                                          .quota = d->quota});
    d->governor = governor_new(c->host_table, d->quota);
    return 0;
}

static int open_crafts(struct daemon *d, struct error *err)
{
    d->lanes = lanes_new((size_t)d->config->lanes, err);
    if (!d->lanes)
        return -1;
    d->configs = config_memory_new(CONFIGS_BYTES);
    d->uploads = upload_journal_new(&(struct upload_journal_options){.loop = d->loop,
                                                                     .mailbox = d->mailbox,
                                                                     .store = d->store,
                                                                     .seal = d->seal,
                                                                     .registry = d->registry},
                                    err);
    if (!d->uploads)
        return -1;
    d->images = (struct image_context){.registry = d->registry,
                                       .credentials = d->credentials,
                                       .transport = d->transport,
                                       .hosts = d->config->host_table,
                                       .blobs = d->blobs,
                                       .graph = d->graph,
                                       .notes = d->notes,
                                       .configs = d->configs,
                                       .uploads = d->uploads,
                                       .lanes = d->lanes,
                                       .build_roots = d->build_roots,
                                       .output_roots = d->output_roots,
                                       .contexts_directory = d->contexts_directory,
                                       .spool_dirfd = d->spool_dirfd,
                                       .spool_bytes_max = SPOOL_BYTES_MAX,
                                       .default_created_s = d->config->source_date_epoch,
                                       .privileged = geteuid() == 0};
    image_context_set(&d->images);
    return 0;
}

static int open_engine(struct daemon *d, struct error *err)
{
    const struct config *c = d->config;
    d->retry = (struct retry_policy){(int)c->retry_count + 1, c->retry_base_ms, c->retry_max_ms};
    d->engine = engine_new(&(struct engine_options){.loop = d->loop,
                                                    .mailbox = d->mailbox,
                                                    .store = d->store,
                                                    .seal = d->seal,
                                                    .workers = (size_t)c->workers,
                                                    .query_workers = (size_t)c->query_workers,
                                                    .max_queued = (size_t)c->max_queued,
                                                    .max_queued_per_caller = (size_t)c->max_queued_per_caller,
                                                    .max_running = (size_t)c->max_running,
                                                    .max_steps_per_job = (size_t)c->max_steps_per_job,
                                                    .kept_jobs = (size_t)c->kept_jobs,
                                                    .progress_ms = c->progress_ms,
                                                    .heartbeat_ms = c->heartbeat_ms,
                                                    .attached_grace_ms = c->attached_grace_ms,
                                                    .paused = c->paused,
                                                    .gate = {d->governor, gate_enter, gate_leave},
                                                    .retry = next_retry,
                                                    .retry_arg = &d->retry,
                                                    .kinds = image_job_kinds},
                           err);
    return d->engine ? 0 : -1;
}

static bool is_ready(void *arg, struct error *err)
{
    struct daemon *d = arg;
    struct engine_stats stats;
    struct store_stats store;
    engine_stats(d->engine, &stats);
    store_stats(d->store, &store);
    if (stats.draining)
        error_set(err, ERR_DRAINING, "drayd is shutting down");
    else if (store.out_of_space)
        error_set(err, ERR_NO_SPACE, "There is no space left in the state directory %s; new jobs are refused",
                  d->config->state_dir);
    else if (store.failing)
        error_set(err, ERR_OVERLOADED, "Nothing can be written to the job store in %s; the log tells why",
                  d->config->state_dir);
    return err->code == ERR_NONE;
}

static int open_server(struct daemon *d, struct error *err)
{
    const struct config *c = d->config;
    if (token_file_prepare(c, &d->token_file, err))
        return -1;
    d->admins = mem_calloc(c->admins.count + 1, sizeof(*d->admins));
    for (size_t i = 0; i < c->admins.count; i++)
        d->admins[i] = (uint32_t)strtoul(c->admins.items[i], NULL, 10);
    d->app = (struct app){.engine = d->engine,
                          .images = &d->images,
                          .blobs = d->blobs,
                          .credentials = d->credentials,
                          .mailbox = d->mailbox,
                          .stall_ms = c->write_timeout_ms,
                          .state_directory = c->state_dir,
                          .cache_directory = c->cache_dir,
                          .context_bytes_max = c->context_bytes,
                          .started_wall_ms = clock_wall_ms(),
                          .ready = is_ready,
                          .ready_arg = d};
    stream_slots_init(&d->app.streams, d->engine, (size_t)c->query_workers);
    d->server = server_new(&(struct server_options){.loop = d->loop,
                                                    .routes = app_routes,
                                                    .app = &d->app,
                                                    .mailbox = d->mailbox,
                                                    .token_file = d->token_file,
                                                    .page_paths = app_page_paths,
                                                    .hosts = (const char *const *)c->hosts.items,
                                                    .heartbeat_ms = c->heartbeat_ms,
                                                    .header_timeout_ms = c->header_timeout_ms,
                                                    .body_timeout_ms = c->body_timeout_ms,
                                                    .idle_ms = c->idle_timeout_ms,
                                                    .drain_write_ms = c->write_timeout_ms,
                                                    .max_connections = (size_t)c->max_connections,
                                                    .socket_group = c->socket_group,
                                                    .admins = d->admins,
                                                    .n_admins = c->admins.count},
                           err);
    d->app.server = d->server;
    return d->server ? 0 : -1;
}

struct daemon *daemon_new(const struct config *config, struct error *err)
{
    struct daemon *d = mem_new(struct daemon);
    d->config = config;
    d->lock_fd = d->spool_dirfd = -1;
    if (open_directories(d, err) || open_stores(d, err) || open_network(d, err) || open_crafts(d, err) ||
        open_engine(d, err) || open_server(d, err)) {
        daemon_free(d);
        return NULL;
    }
    return d;
}

// The directory of a socket is made if it is missing: 0755, the socket itself decides who may connect.
static int make_socket_directory(const char *address, struct error *err)
{
    if (!str_starts(address, "unix:/"))
        return 0;
    const char *path = address + strlen("unix:"), *slash = strrchr(path, '/');
    AUTO_FREE char *directory = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    return file_make_directory(directory, 0755, err);
}

static int listen_all(struct daemon *d, struct strbuf *addresses, struct error *err)
{
    int handed = notify_listen_fds();
    for (int i = 0; i < handed; i++) {
        AUTO_FREE char *text = NULL;
        if (server_listen_fd(d->server, 3 + i, &text, err))
            return -1;
        strbuf_printf(addresses, " %s", text);
    }
    for (size_t i = 0; !handed && i < d->config->listen.count; i++) {
        AUTO_FREE char *text = NULL;
        if (make_socket_directory(d->config->listen.items[i], err) ||
            server_listen(d->server, d->config->listen.items[i], &text, err))
            return -1;
        strbuf_printf(addresses, " %s", text);
    }
    return 0;
}

// What housekeeping may take a moment for is done by a worker: unlinking a large file blocks.
struct chores {
    struct step base;
    struct daemon *daemon;
};

static int chores_run(struct step *step, struct error *err)
{
    (void)err;
    struct daemon *d = ((struct chores *)step)->daemon;
    blob_store_trim(d->blobs);
    transport_trim(d->transport);
    malloc_trim(0);
    return 0;
}

static void chores_free(struct step *step)
{
    free(step);
}

static void chores_done(void *arg, struct step *step, const struct error *err)
{
    (void)step;
    (void)err;
    struct daemon *d = arg;
    if (!d->stopping)
        loop_timer_start(d->housekeeping, HOUSEKEEPING_MS);
}

static void keep_house(void *arg)
{
    static const struct step_ops ops = {.run = chores_run, .free = chores_free};
    struct daemon *d = arg;
    const struct config *c = d->config;
    struct store_retention limits = {.jobs_age_ms = c->jobs_age_s * 1000,
                                     .jobs_count = c->jobs_count,
                                     .events_bytes = c->events_bytes,
                                     .keys_age_ms = INT64_C(24) * 3600 * 1000};
    store_prune(d->store, &limits, NULL, NULL);
    struct chores *chores = mem_new(struct chores);
    step_init(&chores->base, &ops, "housekeeping", NULL);
    chores->daemon = d;
    engine_query(d->engine, &chores->base, chores_done, d);
}

// Fed by the loop (this timer runs) and by the workers (no step hangs without progress).
static void feed_watchdog(void *arg)
{
    struct daemon *d = arg;
    struct engine_stats stats;
    engine_stats(d->engine, &stats);
    if (stats.oldest_step_ms < d->config->stuck_ms)
        notify_send("WATCHDOG=1\nSTATUS=%lld running, %lld queued", (long long)stats.running, (long long)stats.queued);
    loop_timer_start(d->watchdog, notify_watchdog_ms());
}

static void drained(void *arg)
{
    struct daemon *d = arg;
    engine_stop(d->engine);
    loop_stop(d->loop);
}

static void on_signal(void *arg, int signum)
{
    struct daemon *d = arg;
    if (signum == SIGHUP)
        return; // credential files are looked at anew whenever they are used
    if (d->stopping) {
        log_warning("second signal: ending at once; running jobs go on at the next start");
        _exit(0);
    }
    d->stopping = true;
    notify_send("STOPPING=1");
    log_info("stopping: running jobs have %lld ms", (long long)d->config->drain_ms);
    engine_drain(d->engine, d->config->drain_ms, drained, d);
}

static int watch_signals(struct daemon *d, struct error *err)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof(signums) / sizeof(*signums); i++)
        if (!(d->signals[i] = loop_signal_new(d->loop, signums[i], on_signal, d, err)))
            return -1;
    return 0;
}

int daemon_run(struct daemon *d, struct error *err)
{
    CLEANUP(strbuf_free) struct strbuf addresses = STRBUF_INIT(4096);
    if (watch_signals(d, err) || engine_start(d->engine, err) || listen_all(d, &addresses, err))
        return -1;
    upload_journal_start(d->uploads, d->engine);
    d->housekeeping = loop_timer_new(d->loop, keep_house, d);
    loop_timer_start(d->housekeeping, HOUSEKEEPING_MS);
    d->watchdog = loop_timer_new(d->loop, feed_watchdog, d);
    if (notify_watchdog_ms())
        loop_timer_start(d->watchdog, 0);
    fprintf(stderr, "drayd ready:%s\n", strbuf_text(&addresses));
    notify_send("READY=1\nSTATUS=ready");
    loop_run(d->loop);
    return 0;
}

void daemon_free(struct daemon *d)
{
    for (size_t i = 0; i < sizeof(d->signals) / sizeof(*d->signals); i++)
        loop_signal_free(d->signals[i]);
    loop_timer_free(d->housekeeping);
    loop_timer_free(d->watchdog);
    if (d->server)
        server_free(d->server);
    if (d->uploads)
        upload_journal_stop(d->uploads);
    if (d->store)
        store_close(d->store); // delivers its last answers, so whoever asked is still there
    if (d->engine)
        engine_free(d->engine);
    if (d->graph)
        blob_graph_free(d->graph);
    notes_free(d->notes);
    config_memory_free(d->configs);
    upload_journal_free(d->uploads);
    lanes_free(d->lanes);
    if (d->registry)
        registry_free(d->registry);
    if (d->credentials)
        credentials_free(d->credentials);
    if (d->transport)
        transport_free(d->transport);
    if (d->governor)
        governor_free(d->governor);
    quota_free(d->quota);
    if (d->blobs)
        blob_store_free(d->blobs);
    roots_free(d->build_roots);
    roots_free(d->output_roots);
    seal_free(d->seal);
    mailbox_free(d->mailbox);
    loop_free(d->loop);
    free(d->contexts_directory);
    if (d->spool_dirfd >= 0)
        close(d->spool_dirfd);
    free(d->token_file);
    free(d->admins);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d);
}
