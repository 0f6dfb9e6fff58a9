// SPDX-License-Identifier: Apache-2.0
//
// Packs a directory into a layer and says how long it took: the pipeline without any registry.
//
//     layer_bench DIRECTORY [--lanes N] [--runs N] [--algorithm gzip|zstd|none|estargz] [--small|--level N]
//     [--out FILE]
//                 [--fingerprint] [--reuse]
//
// --reuse (with --out): every run after the first takes unchanged blocks from the blob before it; change a
// file meanwhile.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "layers/lanes.h"
#include "layers/layer.h"

struct options {
    const char *directory;
    const char *out;
    size_t lanes;
    int runs;
    bool fingerprint, reuse;
    enum layer_algorithm algorithm;
    int level;
};

struct file_sink {
    struct sink sink;
    int fd;
};

static int write_to_file(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct file_sink *file = (struct file_sink *)sink;
    for (const char *next = bytes; len > 0;) {
        ssize_t done = write(file->fd, next, len);
        if (done < 0)
            return error_set_errno(err, errno, "writing the blob");
        next += done;
        len -= (size_t)done;
    }
    return 0;
}

static const struct sink_ops FILE_SINK = {.write = write_to_file};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static atomic_bool watching;
static atomic_long peak_kib;

static long rss_anon_kib(void)
{
    char line[256];
    long value = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof(line), status))
        if (sscanf(line, "RssAnon: %ld", &value) == 1)
            break;
    if (status)
        fclose(status);
    return value;
}

static void *watch(void *unused)
{
    while (atomic_load(&watching)) {
        long now = rss_anon_kib();
        if (now > atomic_load(&peak_kib))
            atomic_store(&peak_kib, now);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return unused;
}

static int parse(int argc, char **argv, struct options *options)
{
    static const char *const algorithms[] = {"gzip", "zstd", "none", "estargz"};
    static const struct option known[] = {
        {"lanes", 1, NULL, 'l'},       {"runs", 1, NULL, 'r'},  {"algorithm", 1, NULL, 'a'},
        {"small", 0, NULL, 's'},       {"level", 1, NULL, 'L'}, {"out", 1, NULL, 'o'},
        {"fingerprint", 0, NULL, 'f'}, {"reuse", 0, NULL, 'R'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        int64_t value = 0;
        if (strchr("lrL", c) && !str_to_int64(optarg, 0, 10000, &value))
            return -1;
        switch (c) {
        case 'l':
            options->lanes = (size_t)value;
            break;
        case 'r':
            options->runs = (int)value;
            break;
        case 'L':
            options->level = (int)value;
            break;
        case 's':
            options->level = LAYER_LEVEL_SMALL;
            break;
        case 'o':
            options->out = optarg;
            break;
        case 'f':
            options->fingerprint = true;
            break;
        case 'R':
            options->reuse = true;
            break;
        case 'a':
            for (int i = 0; i < 4; i++)
                if (strcmp(algorithms[i], optarg) == 0)
                    options->algorithm = (enum layer_algorithm)i;
            break;
        default:
            return -1;
        }
    }
    options->directory = argv[optind];
    return optind == argc - 1 ? 0 : -1;
}

// The blob and its index serve the next run.
static void keep(const struct options *options, struct layer_spec *spec, struct layer_result *result)
{
    static struct layer_earlier earlier;
    static char path[4096];
    snprintf(path, sizeof(path), "%s.earlier", options->out);
    reader_at_close(earlier.blob);
    free((void *)earlier.index);
    rename(options->out, path);
    earlier.blob = reader_at_fd(open(path, O_RDONLY | O_CLOEXEC), result->size);
    earlier.index = result->index;
    earlier.index_len = result->index_len;
    result->index = NULL;
    spec->earlier = &earlier;
}

static int run_once(const struct options *options, struct layer_spec *spec, const struct roots *roots,
                    struct lanes *lanes, struct error *err)
{
    struct file_sink file = {.sink.ops = &FILE_SINK};
    file.fd = open(options->out ? options->out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file.fd < 0)
        return error_set_errno(err, errno, "opening the output");
    struct layer_result result;
    pthread_t watcher;
    atomic_store(&peak_kib, 0);
    atomic_store(&watching, true);
    pthread_create(&watcher, NULL, watch, NULL);
    double wall = now_s(), cpu = cpu_s();
    int status = layer_pack(spec, roots, NULL, lanes, &file.sink, NULL, &result, err);
    wall = now_s() - wall;
    cpu = cpu_s() - cpu;
    atomic_store(&watching, false);
    pthread_join(watcher, NULL);
    close(file.fd);
    if (status == 0)
        printf("%.3f s wall, %.3f s cpu, wall/(cpu/lanes) %.2f, peak RssAnon %ld KiB, %lld entries, tar "
               "%lld, blob %lld, "
               "%lld of %lld blocks reused, %s\n",
               wall, cpu, wall * (double)lanes_count(lanes) / cpu, atomic_load(&peak_kib),
               (long long)result.files, (long long)result.tar_size, (long long)result.size,
               (long long)result.blocks_reused, (long long)result.blocks, result.digest.text);
    if (status == 0 && options->reuse)
        keep(options, spec, &result);
    layer_result_clear(&result);
    return status;
}

static int run_fingerprint(const struct layer_spec *spec, const struct roots *roots, struct error *err)
{
    struct digest digest;
    bool stable;
    double wall = now_s();
    if (layer_fingerprint(spec, roots, NULL, NULL, &digest, &stable, err) < 0)
        return -1;
    printf("%.3f s, %s, %s\n", now_s() - wall, digest.text, stable ? "stable" : "racy");
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.runs = 5, .level = LAYER_LEVEL_FAST};
    if (parse(argc, argv, &options) < 0) {
        fprintf(stderr, "usage: layer_bench DIRECTORY [--lanes N] [--runs N] [--algorithm A] "
                        "[--small|--level N] [--out FILE] "
                        "[--fingerprint]\n");
        return 2;
    }
    struct error err = ERROR_INIT;
    CLEANUP(mem_free_ptr) char *directory = realpath(options.directory, NULL);
    struct roots *roots = roots_new("build root", "--build-root");
    struct lanes *lanes = lanes_new(options.lanes, &err);
    struct layer_entry entry = {.type = LAYER_COPY, .from = directory, .to = (char *)"/app"};
    struct layer_spec spec = {.entries = &entry,
                              .n_entries = 1,
                              .algorithm = options.algorithm,
                              .level = options.level,
                              .index_blocks = options.reuse};
    int status = !directory || !lanes ? -1 : roots_add(roots, directory, &err);
    for (int run = 0; status == 0 && run < options.runs; run++)
        status = options.fingerprint ? run_fingerprint(&spec, roots, &err)
                                     : run_once(&options, &spec, roots, lanes, &err);
    if (status < 0)
        fprintf(stderr, "layer_bench: %s\n", err.detail ? err.detail : "no such directory");
    error_clear(&err);
    lanes_free(lanes);
    roots_free(roots);
    return status < 0;
}
