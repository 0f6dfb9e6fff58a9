// SPDX-License-Identifier: Apache-2.0
//
// Life and time of the front door. The library runs without a thread of its own: its epoll descriptor is
// watched by the loop, its next time-out becomes a timer before each wait, and after a resumption it is run
// once more in the same turn, because resuming does not make the descriptor readable. A periodic sweep finds
// slow heads and bodies, readers that do not drain and streams that must say something; it rests when nobody
// is connected.
//
// A piece of framing in a chunked body that is longer than the library's memory for a connection (a chunk
// extension, zeros in front of a size) makes the library want to be run at once for ever, with nothing to
// show for it. Such runs are spaced out, and the connection that causes them, the one whose bytes are not
// read any more, is cut.
//
// Stop order: the event logs are closed first (every stream ends by itself), then server_free cuts what is
// left: the library aborts the process when it is stopped with a suspended connection.
#include "http/server.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum { FLUSH_ROUNDS = 16, STOP_ROUNDS = 64, SWEEP_MIN_MS = 5, SWEEP_MAX_MS = 1000, DESCRIPTORS_KEPT = 1024 };
enum { FRUITLESS_MAX = 64, FRUITLESS_MS = 5 };

int64_t server_now_ms(const struct server *server)
{
    return loop_now_ms(server->options.loop);
}

// In the middle of a body, not held up by us, and the library leaves its bytes in the kernel.
static bool is_not_read(const struct server_conn *conn)
{
    int waiting = 0;
    const struct request *request = conn->request;
    return request && request->stage != REQUEST_HEAD && !request->replied && !conn->suspended &&
           ioctl(conn->fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

// What arrived between a run and a look is read by the next run, so it takes two looks.
static void cut_stuck(struct listener *listener)
{
    list_for_each_safe(link, &listener->server->conns) {
        struct server_conn *conn = container_of(link, struct server_conn, link);
        if (conn->listener != listener)
            continue;
        bool before = conn->stuck;
        conn->stuck = is_not_read(conn);
        if (before && conn->stuck)
            server_conn_cut(conn);
    }
}

static void run(struct listener *listener)
{
    uint64_t calls = listener->calls;
    listener->dirty = false;
    listener->running = true;
    MHD_run(listener->mhd);
    listener->running = false;
    listener->fruitless = listener->calls == calls ? listener->fruitless + 1 : 0;
    if (listener->fruitless < FRUITLESS_MAX)
        return;
    listener->rest_until_ms = server_now_ms(listener->server) + FRUITLESS_MS;
    cut_stuck(listener);
}

static void run_ready(void *arg)
{
    run(arg);
}

static int64_t next_run_ms(const struct listener *listener, int64_t wanted_ms)
{
    if (listener->dirty)
        return 0;
    int64_t rest_ms = listener->rest_until_ms - server_now_ms(listener->server);
    return wanted_ms == 0 && listener->fruitless >= FRUITLESS_MAX && rest_ms > 0 ? rest_ms : wanted_ms;
}

static void before_wait(void *arg)
{
    struct server *server = arg;
    list_for_each(link, &server->listeners) {
        struct listener *listener = container_of(link, struct listener, link);
        MHD_UNSIGNED_LONG_LONG delay_ms;
        if (listener->dirty)
            run(listener);
        if (MHD_get_timeout(listener->mhd, &delay_ms) == MHD_YES)
            loop_timer_start(listener->timer, next_run_ms(listener, (int64_t)delay_ms));
        else if (listener->dirty)
            loop_timer_start(listener->timer, 0);
        else
            loop_timer_stop(listener->timer);
    }
}

void server_conn_resume(struct server_conn *conn)
{
    if (!conn->suspended)
        return;
    conn->suspended = false;
    conn->listener->dirty = true;
    MHD_resume_connection(conn->mhd);
}

void server_conn_cut(struct server_conn *conn)
{
    if (conn->doomed)
        return;
    conn->doomed = true;
    conn->listener->server->stats.cut++;
    if (conn->stream)
        conn->stream->cut = true;
    shutdown(conn->fd, SHUT_RDWR);
    server_conn_resume(conn);
}

// A suspended connection is not watched by the library, and without a heartbeat nothing is written that could
// fail.
static bool client_is_gone(const struct server_conn *conn)
{
    struct pollfd look = {.fd = conn->fd};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR));
}

static void sweep_conn(struct server_conn *conn, int64_t now_ms)
{
    const struct server_options *options = &conn->listener->server->options;
    struct stream *stream = conn->stream;
    if (conn->deadline_ms && now_ms >= conn->deadline_ms && !conn->suspended)
        server_conn_cut(conn);
    else if (stream && stream_stalled(stream, now_ms, options->drain_write_ms))
        server_conn_cut(conn);
    else if (stream && stream->ops->heartbeat) {
        if (stream_heartbeat_due(stream, now_ms, options->heartbeat_ms))
            stream_wake(stream);
    } else if (conn->suspended && client_is_gone(conn))
        server_conn_cut(conn);
}

static void sweep(void *arg)
{
    struct server *server = arg;
    int64_t now_ms = server_now_ms(server);
    list_for_each_safe(link, &server->conns)
        sweep_conn(container_of(link, struct server_conn, link), now_ms);
    server->sweeping = !list_empty(&server->conns);
    if (server->sweeping)
        loop_timer_start(server->sweep, server->sweep_ms);
}

void server_conn_added(struct server *server, struct server_conn *conn)
{
    list_append(&server->conns, &conn->link);
    server->stats.connections++;
    if (!server->sweeping)
        loop_timer_start(server->sweep, server->sweep_ms);
    server->sweeping = true;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Jobs need descriptors too, and the library stops accepting, as long as no connection ends, once it got none.
static size_t connections_within(size_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    rlim_t kept = limit.rlim_cur / 2 < DESCRIPTORS_KEPT ? limit.rlim_cur / 2 : DESCRIPTORS_KEPT;
    return wanted < limit.rlim_cur - kept ? wanted : (size_t)(limit.rlim_cur - kept);
}

static void set_limits(struct server *server)
{
    struct server_options *options = &server->options;
    options->heartbeat_ms = or_default(options->heartbeat_ms, 10000);
    options->header_timeout_ms = or_default(options->header_timeout_ms, 10000);
    options->idle_ms = or_default(options->idle_ms, 30000);
    options->body_timeout_ms = or_default(options->body_timeout_ms, 30000);
    options->drain_write_ms = or_default(options->drain_write_ms, 30000);
    if (options->max_connections == 0)
        options->max_connections = 16384;
    options->max_connections = connections_within(options->max_connections);
    int64_t least = smaller(options->heartbeat_ms, smaller(options->header_timeout_ms, options->idle_ms));
    least = smaller(least, smaller(options->body_timeout_ms, options->drain_write_ms)) / 4;
    server->sweep_ms = least < SWEEP_MIN_MS ? SWEEP_MIN_MS : smaller(least, SWEEP_MAX_MS);
}

struct server *server_new(const struct server_options *options, struct error *err)
{
    struct server *server = mem_new(struct server);
    server->options = *options;
    list_init(&server->listeners);
    list_init(&server->conns);
    server->guard = (struct guard){.hosts = options->hosts, .page_paths = options->page_paths};
    set_limits(server);
    if (options->token_file) {
        server->bearer = bearer_open(options->token_file, err);
        if (!server->bearer) {
            free(server);
            return NULL;
        }
    }
    server->prepare = loop_prepare_new(options->loop, before_wait, server);
    server->sweep = loop_timer_new(options->loop, sweep, server);
    return server;
}

static void listener_free(struct listener *listener)
{
    server_socket_remove(listener);
    loop_watch_free(listener->watch);
    loop_timer_free(listener->timer);
    if (listener->mhd)
        MHD_stop_daemon(listener->mhd);
    list_remove(&listener->link);
    free(listener->path);
    free(listener);
}

static struct listener *listener_new(struct server *server)
{
    struct listener *listener = mem_new(struct listener);
    list_init(&listener->link);
    listener->server = server;
    return listener;
}

// Takes the listener and its descriptor, also when it fails.
static int listener_start(struct listener *listener, int fd, char **ret_text, struct error *err)
{
    struct server *server = listener->server;
    AUTO_FREE char *text = NULL;
    if (server_socket_describe(fd, listener, &text, err) != 0)
        goto failed;
    listener->mhd = server_exchange_start(listener, fd);
    if (!listener->mhd) {
        error_set(err, ERR_INTERNAL, "The HTTP server on %s cannot be started", text);
        goto failed;
    }
    fd = -1; // the library's from now on
    int epoll_fd = MHD_get_daemon_info(listener->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    listener->timer = loop_timer_new(server->options.loop, run_ready, listener);
    listener->watch = loop_watch_new(server->options.loop, epoll_fd, run_ready, listener, err);
    if (!listener->watch)
        goto failed;
    list_append(&server->listeners, &listener->link);
    *ret_text = mem_take(text);
    return 0;
failed:
    if (fd >= 0)
        close(fd);
    listener_free(listener);
    return -1;
}

int server_listen(struct server *server, const char *address, char **ret_text, struct error *err)
{
    struct listener *listener = listener_new(server);
    int fd = -1;
    if (strncmp(address, "unix:", 5) == 0)
        fd = server_socket_unix(server, address + 5, listener, err);
    else if (strncmp(address, "tcp:", 4) == 0)
        fd = server_socket_tcp(address + 4, err);
    else
        error_set(err, ERR_INVALID_REQUEST,
                  "Listening address \"%s\" begins with neither unix: nor tcp:", address);
    if (fd >= 0)
        return listener_start(listener, fd, ret_text, err);
    listener_free(listener);
    return -1;
}

int server_listen_fd(struct server *server, int fd, char **ret_text, struct error *err)
{
    return listener_start(listener_new(server), fd, ret_text, err);
}

void server_quiesce(struct server *server)
{
    list_for_each(link, &server->listeners) {
        struct listener *listener = container_of(link, struct listener, link);
        if (listener->quiesced)
            continue;
        listener->quiesced = true;
        server_socket_remove(listener);
        int fd = MHD_quiesce_daemon(listener->mhd);
        if (fd >= 0)
            close(fd);
    }
}

static void run_all(struct server *server)
{
    list_for_each(link, &server->listeners)
        run(container_of(link, struct listener, link));
}

// What has ended by itself is written out; the rest is cut, and resumed, or else the library would abort.
static void end_connections(struct server *server)
{
    for (int round = 0; round < FLUSH_ROUNDS && !list_empty(&server->conns); round++)
        run_all(server);
    for (int round = 0; round < STOP_ROUNDS && !list_empty(&server->conns); round++) {
        list_for_each_safe(link, &server->conns)
            server_conn_cut(container_of(link, struct server_conn, link));
        run_all(server);
    }
}

void server_free(struct server *server)
{
    if (!server)
        return;
    server_quiesce(server);
    end_connections(server);
    list_for_each_safe(link, &server->listeners)
        listener_free(container_of(link, struct listener, link));
    loop_prepare_free(server->prepare);
    loop_timer_free(server->sweep);
    bearer_free(server->bearer);
    free(server);
}

void server_stats(const struct server *server, struct server_stats *ret)
{
    *ret = server->stats;
}
