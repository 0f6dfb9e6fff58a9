// SPDX-License-Identifier: Apache-2.0
//
// How many durable calls a second the store answers. CLIENTS callers each have one job insert under way (as
// keep-alive connections do: the next follows the answer), with one kept event per job; then events alone;
// then queries beside inserts.
//
//   store_bench [DIRECTORY [CLIENTS [SECONDS]]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/store.h"

enum { LATENCIES_MAX = 1 << 20 };

struct bench {
    struct loop *loop;
    struct store *store;
    int64_t end_ms, cursor;
    int running;
    long inserts, updates, events, queries, failed;
    bool whole_life; // insert, running, finished, instead of insert alone
    double *latencies_ms;
};

struct client {
    struct bench *bench;
    char id[ID_LEN + 1];
    int64_t started_us;
    int stage;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void insert(struct client *client);

static struct store_job job_of(const struct client *client, const char *state)
{
    return (struct store_job){
        .id = client->id,
        .kind = "copy",
        .state = state,
        .attempt = 1,
        .created_ms = clock_wall_ms(),
        .finished_ms = str_equal(state, "succeeded") ? clock_wall_ms() : 0,
        .uid = 1000,
        .spec = "{\"kind\":\"copy\",\"source\":\"docker.io/library/"
                "alpine:3.20\",\"targets\":[\"reg.local:5000/alpine:3.20\"]}",
        .labels = "{\"ci\":\"42\"}",
        .extra = "{\"lifetime\":\"detached\"}",
        .result = str_equal(state, "succeeded") ? "{\"digest\":\"sha256:0000\"}" : NULL,
    };
}

static void append(struct client *client, int64_t seq)
{
    struct bench *bench = client->bench;
    char line[256];
    snprintf(line, sizeof line,
             "{\"seq\":%lld,\"cursor\":\"%lld\",\"job\":\"%s\",\"time\":\"2026-01-01T00:00:00.000Z\","
             "\"type\":\"job.queued\"}",
             (long long)seq, (long long)++bench->cursor, client->id);
    store_event_append(
        bench->store,
        &(struct store_event){.job = client->id, .seq = seq, .cursor = bench->cursor, .text = line});
    bench->events++;
}

static void stop_one(struct bench *bench)
{
    if (--bench->running == 0)
        loop_stop(bench->loop);
}

static void done(void *arg, const struct error *err)
{
    struct client *client = arg;
    struct bench *bench = client->bench;
    if (err && bench->failed++ == 0)
        fprintf(stderr, "%s\n", err->detail);
    if (client->stage == 0) {
        if (bench->inserts < LATENCIES_MAX)
            bench->latencies_ms[bench->inserts] = (double)(now_us() - client->started_us) / 1000;
        bench->inserts++;
    } else {
        bench->updates++;
    }
    if (bench->whole_life && client->stage < 2) {
        struct store_job job = job_of(client, ++client->stage == 1 ? "running" : "succeeded");
        append(client, client->stage + 1);
        store_job_update(bench->store, &job, client->stage == 2, done, client);
        return;
    }
    if (clock_ms() < bench->end_ms)
        insert(client);
    else
        stop_one(bench);
}

static void insert(struct client *client)
{
    id_new(client->id);
    client->stage = 0;
    client->started_us = now_us();
    struct store_job job = job_of(client, "queued");
    store_job_insert(client->bench->store, &job, NULL, NULL, done, client);
    append(client, 1);
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void report(const char *name, struct bench *bench, double seconds)
{
    size_t n = bench->inserts < LATENCIES_MAX ? (size_t)bench->inserts : LATENCIES_MAX;
    struct store_stats stats;
    qsort(bench->latencies_ms, n, sizeof *bench->latencies_ms, ascending);
    store_stats(bench->store, &stats);
    printf("%-24s %8.0f inserts/s %8.0f updates/s %8.0f events/s %8.0f queries/s  p50 %.2f ms  p99 %.2f ms  "
           "max %.2f ms"
           "  commits %lld  file %.1f MB  failed %ld\n",
           name, (double)bench->inserts / seconds, (double)bench->updates / seconds,
           (double)bench->events / seconds, (double)bench->queries / seconds,
           n ? bench->latencies_ms[n / 2] : 0, n ? bench->latencies_ms[n * 99 / 100] : 0,
           n ? bench->latencies_ms[n - 1] : 0, (long long)stats.commits, (double)stats.bytes / 1e6,
           bench->failed);
}

static void reset(struct bench *bench, int seconds)
{
    bench->inserts = bench->updates = bench->events = bench->queries = bench->failed = 0;
    bench->end_ms = clock_ms() + seconds * 1000;
}

static void run_clients(struct bench *bench, const char *name, int clients, int seconds)
{
    struct client *all = mem_calloc((size_t)clients, sizeof *all);
    int64_t start_us = now_us();
    reset(bench, seconds);
    bench->running += clients;
    for (int i = 0; i < clients; i++) {
        all[i].bench = bench;
        insert(&all[i]);
    }
    loop_run(bench->loop);
    report(name, bench, (double)(now_us() - start_us) / 1e6);
    free(all);
}

static void counted(void *arg, const struct store_job *row, const struct error *err)
{
    struct bench *bench = arg;
    (void)err;
    if (row)
        return;
    bench->queries++;
    if (clock_ms() < bench->end_ms)
        store_job_list(bench->store, &(struct store_job_filter){.uid = -1, .limit = 20}, counted, bench);
    else
        stop_one(bench);
}

static void run_with_queries(struct bench *bench, int clients, int seconds)
{
    bench->end_ms = clock_ms() + seconds * 1000;
    bench->running++;
    store_job_list(bench->store, &(struct store_job_filter){.uid = -1, .limit = 20}, counted, bench);
    run_clients(bench, "insert beside queries", clients, seconds);
}

static void ignore_fact(void *arg, const char *text, const struct error *err)
{
    (void)text;
    (void)err;
    stop_one(arg);
}

static void run_events(struct bench *bench, int n)
{
    struct client client = {.bench = bench};
    id_new(client.id);
    int64_t start_us = now_us();
    reset(bench, 0);
    for (int i = 1; i <= n; i++)
        append(&client, i);
    bench->running++;
    // Any query that looks at events comes after all of them; this one is answered when they are committed.
    store_fact_put(bench->store, "bench", "k", "v", 0);
    store_fact_find(bench->store, "bench", "k", ignore_fact, bench);
    loop_run(bench->loop);
    report("events at once", bench, (double)(now_us() - start_us) / 1e6);
}

static void reopen(struct bench *bench, const char *directory, struct mailbox *mailbox)
{
    struct error err = ERROR_INIT;
    int64_t start_us = now_us();
    store_close(bench->store);
    int64_t closed_us = now_us();
    bench->store = store_open(directory, mailbox, &err);
    printf("close %.1f ms, open %.1f ms\n", (double)(closed_us - start_us) / 1e3,
           (double)(now_us() - closed_us) / 1e3);
}

static void pruned(void *arg, const struct error *err)
{
    (void)err;
    stop_one(arg);
}

static void run_prune(struct bench *bench)
{
    struct store_retention limits = {.jobs_count = 1000};
    int64_t start_us = now_us();
    bench->running++;
    store_prune(bench->store, &limits, pruned, bench);
    loop_run(bench->loop);
    printf("prune to 1,000 jobs %.1f ms\n", (double)(now_us() - start_us) / 1e3);
}

int main(int argc, char **argv)
{
    char made[] = "/var/tmp/store-bench-XXXXXX";
    const char *directory = argc > 1 ? argv[1] : mkdtemp(made);
    int clients = argc > 2 ? atoi(argv[2]) : 8, seconds = argc > 3 ? atoi(argv[3]) : 3;
    struct error err = ERROR_INIT;
    struct bench bench = {.loop = loop_new(&err), .latencies_ms = mem_calloc(LATENCIES_MAX, sizeof(double))};
    struct mailbox *mailbox = mailbox_new(bench.loop, &err);
    bench.store = store_open(directory, mailbox, &err);
    if (!bench.store) {
        fprintf(stderr, "%s\n", err.detail);
        return 1;
    }
    run_clients(&bench, "insert", clients, seconds);
    run_clients(&bench, "insert, 64 clients", 64, seconds);
    bench.whole_life = true;
    run_clients(&bench, "whole life", clients, seconds);
    bench.whole_life = false;
    run_with_queries(&bench, clients, seconds);
    run_events(&bench, 100000);
    reopen(&bench, directory, mailbox);
    run_prune(&bench);
    reopen(&bench, directory, mailbox);
    store_close(bench.store);
    mailbox_free(mailbox);
    loop_free(bench.loop);
    free(bench.latencies_ms);
    if (argc <= 1)
        printf("the database is left in %s\n", directory);
    return 0;
}
