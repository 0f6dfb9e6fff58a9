// SPDX-License-Identifier: Apache-2.0
//
// Engine, store, handlers and server in one process, with a kind of job ("copy") that does as its label says:
// "hold" waits until the test lets everybody go or the job is cancelled, "fail" is refused by its registry,
// anything else succeeds. The loop runs in a thread of its own; the test is a client over raw sockets.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/seal.h"
#include "blobs/blob_store.h"
#include "handlers/app.h"
#include "images/images.h"
#include "store/store.h"

struct house {
    char directory[64];
    char *socket_path;
    struct loop *loop;
    struct mailbox *mailbox;
    struct seal *seal;
    struct store *store;
    struct engine *engine;
    struct server *server;
    struct app app;
    struct image_context images;
    struct roots *build_roots, *output_roots;
    pthread_t thread;
    struct letter stop;
};

static _Atomic bool house_released;

#define HOUSE_DIGEST "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// --- the kind of job

struct house_step {
    struct step step;
    char *label;
};

static inline int house_run(struct step *step, struct error *err)
{
    struct house_step *self = container_of(step, struct house_step, step);
    step_event(step, "blob.state",
               json_pack("{s:s, s:i, s:s, s:s}", "blob", HOUSE_DIGEST, "target", 0, "digest", HOUSE_DIGEST,
                         "state", "uploading"));
    atomic_store(&step->monitor.total, 1000);
    atomic_store(&step->monitor.current, 500);
    while (strcmp(self->label, "hold") == 0 && !house_released) {
        if (monitor_check(&step->monitor, err) != 0)
            return -1;
        usleep(2000);
    }
    if (strcmp(self->label, "fail") == 0) {
        error_set(err, ERR_REGISTRY_DENIED, "reg.example.com refused push to team/app");
        error_hint(err, "The credentials lack push.");
        return -1;
    }
    step_event(step, "blob.state",
               json_pack("{s:s, s:i, s:s, s:s}", "blob", HOUSE_DIGEST, "target", 0, "digest", HOUSE_DIGEST,
                         "state", "done"));
    return 0;
}

static inline void house_step_free(struct step *step)
{
    struct house_step *self = container_of(step, struct house_step, step);
    free(self->label);
    free(self);
}

static const struct step_ops house_step_ops = {.run = house_run, .free = house_step_free};

static inline int house_start(struct job *job, const json_t *spec, const json_t *auth,
                              const json_t *checkpoint, void **ret_plan, struct error *err)
{
    const char *label = json_get_string(json_object_get(spec, "labels"), "do");
    struct house_step *step = mem_new(struct house_step);
    (void)auth, (void)checkpoint, (void)err;
    *ret_plan = job;
    step->label = mem_strdup(label ? label : "succeed");
    step_init(&step->step, &house_step_ops, "push", HOUSE_DIGEST);
    struct job_progress *progress = job_progress_get(job);
    progress->bytes_total = 1000;
    progress->blobs_total = 1;
    job_event(job, "job.plan",
              json_pack("{s:[{s:s, s:s, s:s, s:i, s:s, s:i}], s:i, s:b}", "blobs", "blob", HOUSE_DIGEST,
                        "digest", HOUSE_DIGEST, "media_type", "application/octet-stream", "size", 1000,
                        "role", "layer", "target", 0, "bytes_total", 1000, "estimated", 0));
    job_submit_step(job, &step->step);
    return 0;
}

static inline int house_advance(struct job *job, void *plan, struct error *err)
{
    (void)plan, (void)err;
    job_progress_get(job)->bytes_done = 1000;
    job_progress_get(job)->blobs_done = 1;
    return 0;
}

static inline json_t *house_result(struct job *job, void *plan)
{
    (void)job, (void)plan;
    return json_pack("{s:s, s:[s]}", "digest", HOUSE_DIGEST, "refs", "127.0.0.1:5000/app:1@" HOUSE_DIGEST);
}

static inline void house_plan_free(void *plan)
{
    (void)plan;
}

static const struct job_ops house_copy_ops = {.kind = "copy",
                                              .start = house_start,
                                              .advance = house_advance,
                                              .result = house_result,
                                              .free = house_plan_free};
static const struct job_ops *const house_kinds[] = {&house_copy_ops, NULL};

// --- life

static inline bool house_retry(void *arg, int attempt, const struct error *err, int64_t *ret_delay_ms,
                               int *ret_max)
{
    (void)arg, (void)attempt, (void)err, (void)ret_delay_ms, (void)ret_max;
    return false;
}

static inline bool house_enter(void *arg, const char *host, int64_t now_ms, int64_t *ret_retry_at_ms)
{
    (void)arg, (void)host, (void)now_ms, (void)ret_retry_at_ms;
    return true;
}

static inline void house_leave(void *arg, const char *host, int64_t now_ms, const struct error *err)
{
    (void)arg, (void)host, (void)now_ms, (void)err;
}

static inline void *house_thread(void *arg)
{
    struct house *house = arg;
    loop_run(house->loop);
    return NULL;
}

static inline void house_drained(void *arg)
{
    struct house *house = arg;
    engine_stop(house->engine); // ends every stream
    server_free(house->server);
    loop_stop(house->loop);
}

static inline void house_stop(struct letter *letter)
{
    struct house *house = container_of(letter, struct house, stop);
    engine_drain(house->engine, 0, house_drained, house);
}

static inline void house_open_rooms(struct house *house, struct error *err)
{
    house->loop = loop_new(err);
    house->mailbox = mailbox_new(house->loop, err);
    house->seal = seal_open(house->directory, err);
    house->store = store_open(house->directory, house->mailbox, err);
    house->build_roots = roots_new("build root", "--build-root");
    house->output_roots = roots_new("output root", "--output-root");
    struct engine_options options = {
        .loop = house->loop,
        .mailbox = house->mailbox,
        .store = house->store,
        .seal = house->seal,
        .workers = 2,
        .query_workers = 1,
        .max_queued = 100,
        .max_queued_per_caller = 100,
        .max_running = 4,
        .max_steps_per_job = 4,
        .kept_jobs = 100,
        .progress_ms = 10,
        .heartbeat_ms = 100,
        .attached_grace_ms = 30000,
        .gate = {house, house_enter, house_leave},
        .retry = house_retry,
        .kinds = house_kinds,
    };
    house->engine = engine_new(&options, err);
    assert_non_null(house->engine);
    assert_int_equal(engine_start(house->engine, err), 0);
    house->images =
        (struct image_context){.build_roots = house->build_roots, .output_roots = house->output_roots};
    house->app =
        (struct app){.engine = house->engine, .images = &house->images, .started_wall_ms = clock_wall_ms()};
    house->app.blobs = blob_store_open(house->directory, 1 << 20, err);
}

static inline int house_setup(void **state)
{
    struct house *house = mem_new(struct house);
    struct error err = ERROR_INIT;
    house_released = false;
    strcpy(house->directory, "/tmp/dray-house-XXXXXX");
    assert_non_null(mkdtemp(house->directory));
    house_open_rooms(house, &err);
    struct server_options options = {
        .loop = house->loop,
        .mailbox = house->mailbox,
        .routes = app_routes,
        .app = &house->app,
        .page_paths = app_page_paths,
        .heartbeat_ms = 100,
    };
    house->server = server_new(&options, &err);
    house->app.server = house->server;
    AUTO_FREE char *address = mem_printf("unix:%s/dray.sock", house->directory);
    AUTO_FREE char *text = NULL;
    assert_int_equal(server_listen(house->server, address, &text, &err), 0);
    house->socket_path = mem_strdup(address + 5);
    pthread_create(&house->thread, NULL, house_thread, house);
    *state = house;
    return 0;
}

static inline int house_teardown(void **state)
{
    struct house *house = *state;
    house_released = true;
    house->stop.deliver = house_stop;
    mailbox_post(house->mailbox, &house->stop);
    pthread_join(house->thread, NULL);
    store_close(house->store);
    engine_free(house->engine);
    seal_free(house->seal);
    blob_store_free(house->app.blobs);
    roots_free(house->build_roots);
    roots_free(house->output_roots);
    mailbox_free(house->mailbox);
    loop_free(house->loop);
    AUTO_FREE char *command = mem_printf("rm -rf %s", house->directory);
    assert_int_equal(system(command), 0);
    free(house->socket_path);
    free(house);
    return 0;
}

// --- client

struct reply_seen {
    int status;
    char *head, *body; // body without chunk framing
    bool complete;     // the last chunk or the whole length came
};

static inline void reply_seen_free(struct reply_seen *seen)
{
    free(seen->head);
    free(seen->body);
}

static inline int house_connect(const struct house *house)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, house->socket_path, sizeof(address.sun_path) - 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void house_send(int fd, const char *method, const char *path, const char *headers,
                              const char *body)
{
    AUTO_FREE char *text =
        mem_printf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method, path, headers);
    AUTO_FREE char *whole =
        body ? mem_printf("%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", text,
                          strlen(body), body)
             : mem_printf("%s\r\n", text);
    assert_int_equal(send(fd, whole, strlen(whole), MSG_NOSIGNAL), (ssize_t)strlen(whole));
}

// Joins the chunks in place; true if the last one is there.
static inline bool house_unchunk(char *body)
{
    char *put = body, *at = body;
    for (;;) {
        char *end;
        unsigned long len = strtoul(at, &end, 16);
        if (end == at || strncmp(end, "\r\n", 2) != 0 || (len > 0 && strlen(end + 2) < len))
            return false;
        if (len == 0) {
            *put = '\0';
            return true;
        }
        memmove(put, end + 2, len);
        put += len;
        at = end + 2 + len + 2;
        if (strlen(end + 2) < len + 2) {
            *put = '\0';
            return false;
        }
    }
}

// Until the connection ends, or the text holds `until` (then the body may still be framed).
static inline struct reply_seen house_receive(int fd, const char *until)
{
    enum { MAX = 8 << 20 };
    char *text = mem_alloc(MAX + 1);
    size_t len = 0;
    struct reply_seen seen = {0};
    int64_t end_ms = clock_ms() + 20000;
    text[0] = '\0';
    while (len < MAX && clock_ms() < end_ms) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 100) == 0)
            continue;
        ssize_t got = recv(fd, text + len, MAX - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
        text[len] = '\0';
        if (until && strstr(text, until))
            break;
    }
    char *gap = strstr(text, "\r\n\r\n");
    seen.status = strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
    seen.head = mem_strndup(text, gap ? (size_t)(gap + 2 - text) : 0);
    seen.body = mem_strdup(gap ? gap + 4 : "");
    free(text);
    seen.complete = !strstr(seen.head, "chunked") || house_unchunk(seen.body);
    return seen;
}

static inline struct reply_seen house_ask(const struct house *house, const char *method, const char *path,
                                          const char *headers, const char *body)
{
    int fd = house_connect(house);
    house_send(fd, method, path, headers, body);
    struct reply_seen seen = house_receive(fd, NULL);
    close(fd);
    return seen;
}

static inline json_t *house_json(const struct reply_seen *seen)
{
    json_t *value = json_loads(seen->body, 0, NULL);
    if (!value)
        fail_msg("not JSON: %s", seen->body);
    return value;
}

#define HOUSE_COPY(what)                                                                                     \
    "{\"kind\":\"copy\",\"source\":\"127.0.0.1:5000/base:1\",\"targets\":[\"127.0.0.1:5000/"                 \
    "app:1\"],\"labels\":{\"do\":\"" what "\"}}"

#define HOUSE_TEST(function) cmocka_unit_test_setup_teardown(function, house_setup, house_teardown)
