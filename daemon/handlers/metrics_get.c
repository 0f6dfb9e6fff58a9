// SPDX-License-Identifier: Apache-2.0
//
// GET /metrics: Prometheus text format 0.0.4. Few series, no label whose values come from outside.
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/strbuf.h"
#include "blobs/blob_store.h"
#include "handlers/answer.h"
#include "handlers/operations.h"

enum { METRICS_BYTES_MAX = 1 << 20 };

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct strbuf *out, const char *name, const char *type, const char *help, int64_t value)
{
    head(out, name, type, help);
    strbuf_printf(out, "%s %lld\n", name, (long long)value);
}

static void labelled(struct strbuf *out, const char *name, const char *label, const char *label_value,
                     int64_t value)
{
    strbuf_printf(out, "%s{%s=\"%s\"} %lld\n", name, label, label_value, (long long)value);
}

static void put_engine(struct strbuf *out, const struct engine *engine)
{
    struct engine_stats stats;
    engine_stats(engine, &stats);
    head(out, "dray_jobs", "gauge", "Jobs that are not terminal.");
    labelled(out, "dray_jobs", "state", "queued", stats.queued);
    labelled(out, "dray_jobs", "state", "running", stats.running);
    single(out, "dray_workers", "gauge", "Size of the worker pool.", stats.workers);
    single(out, "dray_workers_busy", "gauge", "Workers that run a step.", stats.workers_busy);
    single(out, "dray_draining", "gauge", "1 while the daemon shuts down.", stats.draining);
}

static void put_cache(struct strbuf *out, struct blob_store *blobs)
{
    struct blob_store_stats stats;
    blob_store_stats(blobs, &stats);
    single(out, "dray_cache_bytes", "gauge", "Bytes in the blob store.", stats.bytes);
    single(out, "dray_cache_blobs", "gauge", "Blobs in the blob store.", stats.blobs);
    head(out, "dray_cache_requests_total", "counter", "Questions to the blob store.");
    labelled(out, "dray_cache_requests_total", "result", "hit", stats.hits);
    labelled(out, "dray_cache_requests_total", "result", "miss", stats.misses);
    single(out, "dray_cache_evictions_total", "counter", "Blobs evicted.", stats.evictions);
    single(out, "dray_cache_quarantined_total", "counter", "Blobs set aside as corrupt.", stats.quarantined);
}

static void put_server(struct strbuf *out, const struct server *server)
{
    static const char *const classes[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct server_stats stats;
    server_stats(server, &stats);
    single(out, "dray_http_connections", "gauge", "Open connections.", stats.connections);
    single(out, "dray_event_streams", "gauge", "Open streams.", stats.streams);
    single(out, "dray_http_refused_total", "counter", "Requests refused at the door.", stats.refused);
    single(out, "dray_http_cut_total", "counter", "Connections cut because the client was too slow or gone.",
           stats.cut);
    head(out, "dray_http_requests_total", "counter", "Answers by class of status.");
    for (int i = 2; i <= 5; i++)
        labelled(out, "dray_http_requests_total", "code", classes[i], stats.status_class[i]);
}

static int64_t open_files(void)
{
    int64_t count = -3; // ".", ".." and the descriptor of the listing
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void put_memory(struct strbuf *out)
{
    long long virtual_pages = 0, resident_pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%lld %lld", &virtual_pages, &resident_pages) != 2)
        virtual_pages = resident_pages = 0;
    if (file)
        fclose(file);
    single(out, "process_virtual_memory_bytes", "gauge", "Size of the address space.",
           virtual_pages * sysconf(_SC_PAGESIZE));
    single(out, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_pages * sysconf(_SC_PAGESIZE));
}

// The names that Prometheus' own client libraries use.
static void put_process(struct strbuf *out, const struct app *app)
{
    struct timespec used = {0};
    struct rlimit files = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    getrlimit(RLIMIT_NOFILE, &files);
    single(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time.",
           app->started_wall_ms / 1000);
    head(out, "process_cpu_seconds_total", "counter", "Processor time used.");
    strbuf_printf(out, "process_cpu_seconds_total %lld.%02d\n", (long long)used.tv_sec,
                  (int)(used.tv_nsec / 10000000));
    single(out, "process_open_fds", "gauge", "Open descriptors.", open_files());
    single(out, "process_max_fds", "gauge", "Descriptors that may be open.", (int64_t)files.rlim_cur);
    put_memory(out);
}

void metrics_get(struct request *request, void *arg)
{
    const struct app *app = arg;
    struct strbuf out = STRBUF_INIT(METRICS_BYTES_MAX);
    if (!answer_no_query(request))
        return;
    head(&out, "dray_build_info", "gauge", "Always 1.");
    labelled(&out, "dray_build_info", "version", DRAY_VERSION, 1);
    put_process(&out, app);
    metrics_print(&out);
    put_engine(&out, app->engine);
    if (app->blobs)
        put_cache(&out, app->blobs);
    if (app->server)
        put_server(&out, app->server);
    reply_bytes(request, 200, "text/plain; version=0.0.4; charset=utf-8", strbuf_text(&out), out.len);
    strbuf_free(&out);
}
