// SPDX-License-Identifier: Apache-2.0
//
// A live server for tests: its loop runs in a thread of its own, the test talks to it over blocking raw
// sockets. Small limits, so that nothing takes long; the routes do one odd thing each.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/reply.h"
#include "http/server.h"

struct live {
    struct loop *loop;
    struct mailbox *mailbox;
    struct server *server;
    pthread_t thread;
    char directory[64];
    char *unix_path;
    uint16_t port;
    _Atomic int executed; // handlers that ran
    _Atomic int closed_streams;
    _Atomic int gone; // requests whose client left
    _Atomic int64_t uploaded;
    struct letter stop;
    struct letter ask; // for live_stats
    struct server_stats stats;
    _Atomic bool answered;
    bool with_groups;
};

#define LIVE_TOKEN "a-token-of-this-test"

// --- routes

struct late {
    struct live *live;
    struct request *request;
    struct loop_timer *timer;
};

static inline void late_fired(void *arg)
{
    struct late *late = arg;
    reply_bytes(late->request, 200, "text/plain", "late\n", 5);
    loop_timer_free(late->timer);
    free(late);
}

static inline void late_gone(void *arg)
{
    struct late *late = arg;
    late->live->gone++;
    loop_timer_free(late->timer);
    free(late);
}

static inline void wait_then_reply(struct request *request, void *app, int64_t delay_ms)
{
    struct late *late = mem_new(struct late);
    *late = (struct late){app, request, NULL};
    late->live->executed++;
    late->timer = loop_timer_new(late->live->loop, late_fired, late);
    loop_timer_start(late->timer, delay_ms);
    request_on_gone(request, late_gone, late);
}

static inline void handle_late(struct request *request, void *app)
{
    wait_then_reply(request, app, 20);
}

static inline void handle_never(struct request *request, void *app)
{
    wait_then_reply(request, app, 60000);
}

static inline void handle_echo(struct request *request, void *app)
{
    struct live *live = app;
    const char *query = request_query(request, "q");
    live->executed++;
    AUTO_FREE char *text = mem_printf("%s|%s|%lld|%d", request_param(request, "name"), query ? query : "-",
                                      (long long)request_peer(request)->uid, request_peer(request)->right);
    reply_bytes(request, 200, "text/plain", text, strlen(text));
}

static inline void handle_json(struct request *request, void *app)
{
    struct live *live = app;
    struct error err = ERROR_INIT;
    const json_t *body = request_json(request, &err);
    if (body) {
        live->executed++;
        reply_json(request, 200, json_deep_copy(body));
    } else {
        reply_problem(request, &err);
    }
    error_clear(&err);
}

static inline void handle_plain(struct request *request, void *app)
{
    struct live *live = app;
    live->executed++;
    reply_bytes(request, 200, "text/plain", "ok\n", 3);
}

enum live_stream_kind { LIVE_TICKS, LIVE_IDLE, LIVE_FLOOD, LIVE_CUT };

struct live_stream {
    struct live *live;
    struct stream *stream;
    struct loop_timer *timer;
    enum live_stream_kind kind;
    int ready, sent;
};

static inline void tick(void *arg)
{
    struct live_stream *s = arg;
    s->ready++;
    if (s->ready < 10)
        loop_timer_start(s->timer, 2);
    stream_wake(s->stream);
}

static inline ssize_t live_read(void *arg, char *buffer, size_t max)
{
    struct live_stream *s = arg;
    if (s->kind == LIVE_FLOOD) {
        memset(buffer, 'x', max);
        return (ssize_t)max;
    }
    if (s->kind == LIVE_IDLE)
        return 0;
    if (s->sent == 10)
        return s->kind == LIVE_CUT ? -2 : -1;
    if (s->sent == s->ready)
        return 0;
    return snprintf(buffer, max, "tick %d\n", ++s->sent);
}

static inline size_t live_heartbeat(void *arg, char *buffer, size_t max)
{
    (void)arg, (void)max;
    memcpy(buffer, "beat\n", 5);
    return 5;
}

static inline void live_close(void *arg)
{
    struct live_stream *s = arg;
    s->live->closed_streams++;
    loop_timer_free(s->timer);
    free(s);
}

static inline void start_stream(struct request *request, struct live *live, enum live_stream_kind kind)
{
    static const struct stream_ops ops = {live_read, live_heartbeat, live_close};
    struct live_stream *s = mem_new(struct live_stream);
    live->executed++;
    s->live = live;
    s->kind = kind;
    s->timer = loop_timer_new(live->loop, tick, s);
    s->stream = reply_stream(request, 200, "text/plain", -1, &ops, s);
    if (kind == LIVE_TICKS || kind == LIVE_CUT)
        loop_timer_start(s->timer, 2);
}

static inline void handle_ticks(struct request *request, void *app)
{
    start_stream(request, app, LIVE_TICKS);
}

static inline void handle_idle(struct request *request, void *app)
{
    start_stream(request, app, LIVE_IDLE);
}

static inline void handle_flood(struct request *request, void *app)
{
    start_stream(request, app, LIVE_FLOOD);
}

static inline void handle_cut(struct request *request, void *app)
{
    start_stream(request, app, LIVE_CUT);
}

// A worker that reads a streamed body slowly enough for the ring to fill, and answers through the mailbox.
struct upload {
    struct letter letter;
    struct live *live;
    struct request *request;
    struct pipe *pipe;
    int64_t total;
    bool failed, gone;
};

static inline void upload_finished(struct letter *letter)
{
    struct upload *upload = container_of(letter, struct upload, letter);
    AUTO_FREE char *text = mem_printf("%lld", (long long)upload->total);
    upload->live->uploaded = upload->failed ? -1 : upload->total;
    if (!upload->gone)
        reply_bytes(upload->request, 201, "text/plain", text, strlen(text));
    pipe_unref(upload->pipe);
    free(upload);
}

static inline void *upload_work(void *arg)
{
    struct upload *upload = arg;
    struct error err = ERROR_INIT;
    static __thread char buffer[65536];
    ssize_t got;
    usleep(30000);
    while ((got = pipe_read(upload->pipe, buffer, sizeof(buffer), &err)) > 0)
        upload->total += got;
    upload->failed = got < 0;
    error_clear(&err);
    mailbox_post(upload->live->mailbox, &upload->letter);
    return NULL;
}

static inline void upload_gone(void *arg)
{
    struct upload *upload = arg;
    upload->gone = true;
    upload->live->gone++;
}

static inline void handle_upload(struct request *request, void *app)
{
    struct upload *upload = mem_new(struct upload);
    pthread_t thread;
    upload->live = app;
    upload->live->executed++;
    upload->request = request;
    upload->pipe = request_body_pipe(request);
    upload->letter.deliver = upload_finished;
    request_on_gone(request, upload_gone, upload);
    pthread_create(&thread, NULL, upload_work, upload);
    pthread_detach(thread);
}

static const char *const live_octets[] = {"application/octet-stream", NULL};
static const struct route live_routes[] = {
    {"GET", "/free", "free", RIGHT_NONE, BODY_NONE, NULL, 0, handle_plain},
    {"GET", "/", "root", RIGHT_READ, BODY_NONE, NULL, 0, handle_plain},
    {"GET", "/echo/{name}", "echo", RIGHT_READ, BODY_NONE, NULL, 0, handle_echo},
    {"POST", "/json", "json", RIGHT_SUBMIT, BODY_JSON, NULL, 0, handle_json},
    {"POST", "/admin", "admin", RIGHT_ADMIN, BODY_NONE, NULL, 0, handle_plain},
    {"GET", "/late", "late", RIGHT_READ, BODY_NONE, NULL, 0, handle_late},
    {"GET", "/never", "never", RIGHT_READ, BODY_NONE, NULL, 0, handle_never},
    {"GET", "/ticks", "ticks", RIGHT_READ, BODY_NONE, NULL, 0, handle_ticks},
    {"GET", "/idle", "idle", RIGHT_READ, BODY_NONE, NULL, 0, handle_idle},
    {"GET", "/flood", "flood", RIGHT_READ, BODY_NONE, NULL, 0, handle_flood},
    {"GET", "/cut", "cut", RIGHT_READ, BODY_NONE, NULL, 0, handle_cut},
    {"PUT", "/upload", "upload", RIGHT_SUBMIT, BODY_STREAM, live_octets, 0, handle_upload},
    {0},
};
static const char *const live_page_paths[] = {"/", "/echo/*", NULL};

// --- life

static inline void live_stop_now(struct letter *letter)
{
    struct live *live = container_of(letter, struct live, stop);
    server_free(live->server);
    loop_stop(live->loop);
}

static inline void *live_run(void *arg)
{
    struct live *live = arg;
    loop_run(live->loop);
    return NULL;
}

static inline int live_setup(void **state)
{
    struct live *live = mem_new(struct live);
    struct error err = ERROR_INIT;
    strcpy(live->directory, "/tmp/dray-http-XXXXXX");
    assert_non_null(mkdtemp(live->directory));
    AUTO_FREE char *token_file = mem_printf("%s/token", live->directory);
    FILE *file = fopen(token_file, "w");
    fputs(LIVE_TOKEN "\n", file);
    fclose(file);
    chmod(token_file, 0600);
    live->loop = loop_new(&err);
    live->mailbox = mailbox_new(live->loop, &err);
    struct server_options options = {
        .loop = live->loop,
        .mailbox = live->mailbox,
        .routes = live_routes,
        .app = live,
        .token_file = token_file,
        .page_paths = live_page_paths,
        .heartbeat_ms = 60,
        .header_timeout_ms = 300,
        .idle_ms = 2000,
        .body_timeout_ms = 500,
        .drain_write_ms = 300,
    };
    live->server = server_new(&options, &err);
    assert_non_null(live->server);
    AUTO_FREE char *address = mem_printf("unix:%s/dray.sock", live->directory);
    AUTO_FREE char *text = NULL, *tcp = NULL;
    assert_int_equal(server_listen(live->server, address, &text, &err), 0);
    assert_string_equal(text, address);
    live->unix_path = mem_strdup(address + 5);
    assert_int_equal(server_listen(live->server, "tcp:127.0.0.1:0", &tcp, &err), 0);
    live->port = (uint16_t)atoi(strrchr(tcp, ':') + 1);
    pthread_create(&live->thread, NULL, live_run, live);
    *state = live;
    return 0;
}

static inline int live_teardown(void **state)
{
    struct live *live = *state;
    live->stop.deliver = live_stop_now;
    mailbox_post(live->mailbox, &live->stop);
    pthread_join(live->thread, NULL);
    assert_int_equal(access(live->unix_path, F_OK), -1);
    mailbox_free(live->mailbox);
    loop_free(live->loop);
    AUTO_FREE char *command = mem_printf("rm -rf %s", live->directory);
    assert_int_equal(system(command), 0);
    free(live->unix_path);
    free(live);
    return 0;
}

static inline void live_take_stats(struct letter *letter)
{
    struct live *live = container_of(letter, struct live, ask);
    server_stats(live->server, &live->stats);
    live->answered = true;
}

static inline struct server_stats live_stats(struct live *live)
{
    live->answered = false;
    live->ask.deliver = live_take_stats;
    mailbox_post(live->mailbox, &live->ask);
    while (!live->answered)
        usleep(500);
    return live->stats;
}

// --- client

static inline int live_connect_unix(const struct live *live)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, live->unix_path, sizeof(address.sun_path) - 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline int live_connect_tcp(const struct live *live)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(live->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void live_send(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return; // the other side has hung up: what it said can still be read
        text += sent;
        len -= (size_t)sent;
    }
}

// Reads until the text contains `until` (NULL: until the end of the connection) or 5 s passed; *ret_closed:
// it ended.
static inline char *live_read_until(int fd, const char *until, bool *ret_closed)
{
    size_t len = 0, capacity = 4 << 20;
    char *text = mem_alloc(capacity + 1);
    int64_t end_ms = clock_ms() + 5000;
    *ret_closed = false;
    text[0] = '\0';
    while (len < capacity && clock_ms() < end_ms) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 100) == 0)
            continue;
        ssize_t got = recv(fd, text + len, capacity - len, 0);
        if (got <= 0) {
            *ret_closed = true;
            break;
        }
        len += (size_t)got;
        text[len] = '\0';
        if (until && strstr(text, until))
            break;
    }
    return text;
}

static inline int live_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

// One request on a connection of its own, closed by the server ("Connection: close" is for the caller to
// send).
static inline char *live_ask(int fd, const char *head, bool *ret_closed)
{
    live_send(fd, head, strlen(head));
    char *answer = live_read_until(fd, NULL, ret_closed);
    close(fd);
    return answer;
}

// Waits up to 5 s for a condition.
#define LIVE_WAIT_FOR(condition)                                                                             \
    do {                                                                                                     \
        for (int64_t end_ms_ = clock_ms() + 5000; !(condition) && clock_ms() < end_ms_;)                     \
            usleep(2000);                                                                                    \
        assert_true(condition);                                                                              \
    } while (0)
