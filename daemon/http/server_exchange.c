// SPDX-License-Identifier: Apache-2.0
//
// Between libmicrohttpd's callbacks and struct request / struct reply: heads are judged (guard, then
// server_admission.c), bodies are collected or streamed on with back-pressure, replies are queued. What must
// hold: the handler of a route runs at most once per request and only after every check; a connection that
// waits is suspended, so the library never spins on it.
#include "http/server_exchange.h"

#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/server_admission.h"
#include "http/server_internal.h"

// The library's memory for one connection: the head, and what is being sent. It clears half of it with each
// request, so an open stream costs that much: small enough for ten thousand of them in 200 MB, large enough for
// the longest head (GUARD_HEAD_BYTES_MAX) and that of its answer.
enum { CONNECTION_MEMORY = 14 * 1024, SIZED_BLOCK = 64 * 1024, PIPE_BYTES = 256 * 1024, EVENTS_QUEUED = 16 * 1024 };

static struct server *server_of(const struct request *request)
{
    return request->conn->listener->server;
}

int64_t server_exchange_now_ms(const struct request *request)
{
    return request->conn ? server_now_ms(server_of(request)) : 0;
}

void server_exchange_suspend(struct request *request)
{
    if (!request->conn || request->conn->suspended)
        return;
    request->conn->suspended = true;
    MHD_suspend_connection(request->conn->mhd);
}

void server_exchange_resume(struct request *request)
{
    if (request->conn)
        server_conn_resume(request->conn);
}

void server_exchange_replied(struct request *request)
{
    server_exchange_resume(request);
}

static void pipe_has_room(void *arg)
{
    server_exchange_resume(arg);
}

struct pipe *server_exchange_pipe(struct request *request)
{
    struct server *server = server_of(request);
    server_exchange_resume(request);
    return pipe_new(PIPE_BYTES, server->options.body_timeout_ms, server->options.mailbox, pipe_has_room,
                    request);
}

// --- replies

static ssize_t pull(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;
    struct server *server = server_of(stream->request);
    (void)position;
    stream->request->conn->listener->calls++;
    ssize_t got = stream_pull(stream, buffer, max, server_now_ms(server), server->options.heartbeat_ms);
    if (got == STREAM_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return got < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : got;
}

static void stream_done(void *cls)
{
    struct stream *stream = cls;
    if (stream->request) {
        stream->request->conn->stream = NULL;
        server_of(stream->request)->stats.streams--;
    }
    stream_free(stream);
}

static struct MHD_Response *make_response(struct request *request)
{
    struct reply *reply = &request->reply;
    if (!reply->stream) {
        void *bytes = reply->bytes;
        reply->bytes = NULL;
        return MHD_create_response_from_buffer(reply->len, bytes, MHD_RESPMEM_MUST_FREE);
    }
    struct stream *stream = reply->stream;
    // A chunked reply is produced in the connection's own memory; the block is allocated all the same.
    bool chunked = reply->content_length < 0;
    uint64_t size = chunked ? MHD_SIZE_UNKNOWN : (uint64_t)reply->content_length;
    request->conn->stream = stream;
    reply->stream = NULL;
    return MHD_create_response_from_callback(size, chunked ? 1 : SIZED_BLOCK, pull, stream, stream_done);
}

// Of what an event stream has to say, little waits in the kernel: a reader that never reads would hold 200 KB there, and a
// slow one is told newer things for it.
static void shorten_queue(struct server_conn *conn)
{
    int bytes = EVENTS_QUEUED;
    if (conn->stream && conn->stream->ops->heartbeat)
        setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static enum MHD_Result send_reply(struct request *request)
{
    struct reply *reply = &request->reply;
    struct server *server = server_of(request);
    struct MHD_Response *response = make_response(request);
    for (size_t i = 0; i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    // The library reads chunks more freely than RFC 9112 section 7.1 (bare line feeds), so where a chunked body
    // ended is no ground to find a next request on.
    if (guard_content_length(request->fields, request->n_fields) < 0)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    request->replied = true;
    request->conn->deadline_ms = 0;
    server->stats.streams += request->conn->stream != NULL;
    shorten_queue(request->conn);
    if (reply->status >= 100 && reply->status < 600)
        server->stats.status_class[reply->status / 100]++;
    log_debug("%s %s %d request=%s", request->method, request->path, reply->status, request->id);
    enum MHD_Result result = MHD_queue_response(request->conn->mhd, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    request_shrink(request);
    return result;
}

// --- the head

struct head_fields {
    struct http_field *fields;
    size_t n;
    size_t blanks; // between colons and values
};

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head_fields *head = cls;
    (void)kind;
    if (head->n < GUARD_FIELDS_MAX)
        head->fields[head->n] = (struct http_field){name, value ? value : ""};
    head->n++;
    // Name and value lie in the line as it was received, with a NUL in place of the colon.
    if (value)
        head->blanks += (uintptr_t)value - (uintptr_t)(name + strlen(name) + 1);
    return MHD_YES;
}

static int judge_door(struct request *request, const char *method, const char *version, struct error *err)
{
    struct server_conn *conn = request->conn;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct head_fields taken = {.fields = request->fields};
    MHD_get_connection_values(conn->mhd, MHD_HEADER_KIND, take_field, &taken);
    struct guard_head head = {
        .method = method,
        .version = version,
        .target = request->target,
        .fields = request->fields,
        .n_fields = taken.n,
        .blanks = taken.blanks,
        .head_bytes = size ? size->header_size : 0,
        .unix_socket = conn->listener->unix_socket,
        .port = conn->listener->port,
    };
    request->n_fields = taken.n < GUARD_FIELDS_MAX ? taken.n : GUARD_FIELDS_MAX;
    if (strlen(method) >= sizeof(request->method))
        return error_set(err, ERR_INVALID_REQUEST, "The request's method is not known");
    memcpy(request->method, method, strlen(method) + 1);
    request_set_id(request, guard_field(request->fields, request->n_fields, "X-Request-Id"));
    return guard_check(&server_of(request)->guard, &head, err);
}

static void refuse(struct request *request, struct error *err)
{
    request->stage = REQUEST_DISCARD;
    reply_problem(request, err);
    error_clear(err);
}

static void handle(struct request *request)
{
    request->stage = REQUEST_HANDLED;
    request->conn->deadline_ms = 0;
    request->route->handle(request, server_of(request)->options.app);
}

// An answer before the body has come ends the connection: the client waits for it (Expect), or has too much
// to say.
static bool answer_early(const struct request *request)
{
    return request->reply.ready &&
           (request_header(request, "Expect") || request->content_length > REQUEST_DISCARD_MAX);
}

static enum MHD_Result take_head(struct request *request, const char *method, const char *version)
{
    struct server *server = server_of(request);
    struct error err = ERROR_INIT;
    bool no_right = false;
    server->stats.requests++;
    request->peer = request->conn->peer;
    request->stage = REQUEST_BODY;
    request->conn->deadline_ms = server_now_ms(server) + server->options.body_timeout_ms;
    if (judge_door(request, method, version, &err) != 0) {
        server->stats.refused++;
        log_debug("refused at the door: %s request=%s", err.detail, request->id);
        refuse(request, &err);
        return send_reply(request); // at once: its framing cannot be trusted; the library closes
    }
    if (server_admission_judge(request, &no_right, &err) != 0)
        refuse(request, &err);
    else if (request->route->body == BODY_STREAM)
        handle(request);
    server->stats.refused += no_right;
    return answer_early(request) ? send_reply(request) : MHD_YES;
}

// --- the body

static void collect(struct request *request, const char *bytes, size_t *len)
{
    if (strbuf_append(&request->body, bytes, *len) != 0) {
        struct error err = ERROR_INIT;
        error_set(&err, ERR_TOO_LARGE, "The body is larger than the limit of %s %s, %zu bytes",
                  request->method, request->route->path, request->body.max);
        strbuf_free(&request->body);
        refuse(request, &err);
    }
    *len = 0;
}

// The library offers the rest again after the connection was resumed.
static void stream_on(struct request *request, const char *bytes, size_t *len)
{
    struct server *server = server_of(request);
    if (request->pipe)
        *len -= pipe_offer(request->pipe, bytes, *len);
    if (*len > 0)
        server_exchange_suspend(request);
    request->conn->deadline_ms = server_now_ms(server) + server->options.body_timeout_ms;
}

static enum MHD_Result take_body(struct request *request, const char *bytes, size_t *len)
{
    if (request->stage == REQUEST_BODY) {
        collect(request, bytes, len);
    } else if (request->stage == REQUEST_HANDLED && !request->reply.ready) {
        stream_on(request, bytes, len);
    } else {
        request->discarded += (int64_t)*len;
        *len = 0;
    }
    return request->discarded > REQUEST_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_end(struct request *request)
{
    if (request->stage == REQUEST_BODY)
        handle(request);
    if (request->pipe && !request->pipe_ended) {
        request->pipe_ended = true;
        pipe_end(request->pipe);
    }
    if (request->reply.ready)
        return send_reply(request);
    request->conn->deadline_ms = 0;
    server_exchange_suspend(request);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *len, void **request_slot)
{
    struct request *request = *request_slot;
    struct listener *listener = cls;
    (void)mhd, (void)url;
    listener->calls++;
    if (!request || request->conn->doomed)
        return MHD_NO;
    request->conn->stuck = false;
    if (request->stage == REQUEST_HEAD)
        return take_head(request, method, version);
    if (*len > 0)
        return take_body(request, bytes, len);
    return take_end(request);
}

// --- beginnings and ends

static struct server_conn *conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

// The request line has arrived: the earliest moment, and the only one that shows the target as it was sent.
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct server_conn *conn = conn_of(mhd);
    struct listener *listener = cls;
    listener->calls++;
    if (!conn)
        return NULL;
    struct server *server = conn->listener->server;
    int64_t deadline_ms = server_now_ms(server) + server->options.header_timeout_ms;
    if (!conn->deadline_ms || deadline_ms < conn->deadline_ms)
        conn->deadline_ms = deadline_ms;
    conn->request = request_new(target);
    conn->request->conn = conn;
    return conn->request;
}

static void client_left(struct request *request)
{
    void (*gone)(void *) = request->gone;
    request->gone = NULL;
    if (gone)
        gone(request->gone_arg);
    if (request->pipe && !request->pipe_ended) {
        struct error err = ERROR_INIT;
        error_set(&err, ERR_CANCELLED, "The client left in the middle of the body");
        pipe_cut(request->pipe, &err);
        error_clear(&err);
    }
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **request_slot,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *request_slot;
    (void)cls, (void)mhd, (void)code;
    *request_slot = NULL;
    if (!request)
        return;
    struct server_conn *conn = request->conn;
    struct server *server = server_of(request);
    if (conn->stream) {
        conn->stream->request = NULL;
        conn->stream = NULL;
        server->stats.streams--;
    }
    client_left(request);
    request_free(request);
    conn->request = NULL;
    conn->deadline_ms = server_now_ms(server) + server->options.idle_ms;
}

static enum right right_of(const struct server *server, int64_t uid)
{
    if (uid == 0 || uid == (int64_t)geteuid())
        return RIGHT_ADMIN;
    for (size_t i = 0; i < server->options.n_admins; i++)
        if ((int64_t)server->options.admins[i] == uid)
            return RIGHT_ADMIN;
    return RIGHT_SUBMIT;
}

static void identify(struct server_conn *conn)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    conn->peer =
        (struct request_peer){.unix_socket = conn->listener->unix_socket, .uid = -1, .gid = -1, .pid = -1};
    if (!conn->listener->unix_socket || getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return;
    conn->peer.uid = who.uid;
    conn->peer.gid = who.gid;
    conn->peer.pid = who.pid;
    conn->peer.right = right_of(conn->listener->server, who.uid);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *listener = cls;
    struct server *server = listener->server;
    listener->calls++;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct server_conn *conn = mem_new(struct server_conn);
        conn->listener = listener;
        conn->mhd = mhd;
        conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        conn->deadline_ms = server_now_ms(server) + server->options.header_timeout_ms;
        identify(conn);
        server_conn_added(server, conn);
        *slot = conn;
    } else if (*slot) {
        struct server_conn *conn = *slot;
        list_remove(&conn->link);
        server->stats.connections--;
        // At its limit of connections or out of descriptors, the library takes its listening socket out of the epoll set and
        // puts it back at the beginning of a later run: without that run it would never accept again.
        listener->dirty = true;
        free(conn);
        *slot = NULL;
    }
}

static void on_log(void *cls, const char *format, va_list args)
{
    char text[256];
    (void)cls;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    AUTO_FREE char *quoted = str_quote(text, sizeof(text));
    log_debug("libmicrohttpd: %s", quoted);
}

// Percent-encoding is not the library's business: "%00" would cut the path, "%2e%2e" would climb it.
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls, (void)mhd;
    return strlen(text);
}

struct MHD_Daemon *server_exchange_start(struct listener *listener, int fd)
{
    const struct server_options *options = &listener->server->options;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        listener, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->max_connections, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, listener, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, listener, MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_END);
}
