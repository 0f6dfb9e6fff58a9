// SPDX-License-Identifier: Apache-2.0
//
// A small TCP server inside the test: it reads a request head, records it and lets the test's handler say
// byte for byte what comes back. One thread accepts, one per connection serves; the handler may be called on
// several threads.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPTED_REQUESTS_MAX = 256, SCRIPTED_CONNECTIONS_MAX = 256, SCRIPTED_HEAD_MAX = 64 << 10 };

struct scripted_request {
    char *head; // all lines, NUL-terminated
    char method[16];
    char target[4096];
    char *body; // what scripted_take_body read
    size_t body_len;
    int number;     // 1 for the first of this server
    int connection; // 1 for the first
};

struct scripted_server;

struct scripted_connection {
    struct scripted_server *server;
    int fd;
    int number;
    bool closing;
    char pending[SCRIPTED_HEAD_MAX]; // read, not yet used
    size_t n_pending;
};

typedef void scripted_handler(struct scripted_connection *c, struct scripted_request *r, void *arg);

struct scripted_server {
    int listener;
    int port;
    scripted_handler *handler;
    void *arg;
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_t threads[SCRIPTED_CONNECTIONS_MAX];
    int fds[SCRIPTED_CONNECTIONS_MAX];
    int n_connections;
    struct scripted_request *requests[SCRIPTED_REQUESTS_MAX];
    int n_requests;
    atomic_bool stopping;
    bool raw; // no head is read: the handler sees the bytes of the connection as they come
};

static inline void scripted_send(struct scripted_connection *c, const void *bytes, size_t len)
{
    const char *from = bytes;
    while (len > 0) {
        ssize_t sent = send(c->fd, from, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            c->closing = true;
            return;
        }
        from += sent;
        len -= (size_t)sent;
    }
}

__attribute__((format(printf, 2, 3))) static inline void scripted_printf(struct scripted_connection *c,
                                                                         const char *format, ...)
{
    char text[32 << 10];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    scripted_send(c, text, (size_t)len);
}

// A whole answer: status line as given, further header lines (each with \r\n, or ""), body.
static inline void scripted_reply(struct scripted_connection *c, const char *status, const char *headers,
                                  const void *body, size_t len)
{
    scripted_printf(c, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, len, headers);
    scripted_send(c, body, len);
}

static inline void scripted_close(struct scripted_connection *c)
{
    c->closing = true;
}

// RST instead of FIN.
static inline void scripted_reset(struct scripted_connection *c)
{
    struct linger now = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    c->closing = true;
}

// Waits until the client closes (or the server stops).
static inline void scripted_hang(struct scripted_connection *c)
{
    char byte[512];
    while (recv(c->fd, byte, sizeof byte, 0) > 0)
        ;
    c->closing = true;
}

// Reads nothing more, until the client is gone (or the server stops).
static inline void scripted_ignore(struct scripted_connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    poll(&p, 1, 60000);
    c->closing = true;
}

static inline const char *scripted_header(const struct scripted_request *r, const char *name, char *buffer,
                                          size_t len)
{
    size_t n = strlen(name);
    for (const char *line = r->head; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        line += n + 1;
        line += strspn(line, " ");
        snprintf(buffer, len, "%.*s", (int)strcspn(line, "\r\n"), line);
        return buffer;
    }
    return NULL;
}

static inline size_t scripted_content_length(const struct scripted_request *r)
{
    char text[64];
    return scripted_header(r, "Content-Length", text, sizeof text) ? strtoul(text, NULL, 10) : 0;
}

// Reads up to len bytes of the body (what is left of the connection's buffer first); 0 at the end.
static inline size_t scripted_read(struct scripted_connection *c, void *buffer, size_t len)
{
    if (c->n_pending > 0) {
        size_t n = c->n_pending < len ? c->n_pending : len;
        memcpy(buffer, c->pending, n);
        memmove(c->pending, c->pending + n, c->n_pending - n);
        c->n_pending -= n;
        return n;
    }
    ssize_t got = recv(c->fd, buffer, len, 0);
    if (got <= 0)
        c->closing = true;
    return got > 0 ? (size_t)got : 0;
}

static inline void scripted_take_some(struct scripted_connection *c, struct scripted_request *r, size_t len)
{
    r->body = realloc(r->body, r->body_len + len + 1);
    for (size_t got; len > 0 && (got = scripted_read(c, r->body + r->body_len, len)) > 0; len -= got)
        r->body_len += got;
    r->body[r->body_len] = '\0';
}

static inline void scripted_take_body(struct scripted_connection *c, struct scripted_request *r)
{
    scripted_take_some(c, r, scripted_content_length(r) - r->body_len);
}

static inline char *scripted_read_head(struct scripted_connection *c)
{
    for (;;) {
        c->pending[c->n_pending] = '\0';
        char *end = strstr(c->pending, "\r\n\r\n");
        if (end) {
            size_t len = (size_t)(end - c->pending) + 4;
            char *head = strndup(c->pending, len);
            memmove(c->pending, c->pending + len, c->n_pending - len);
            c->n_pending -= len;
            return head;
        }
        ssize_t got = recv(c->fd, c->pending + c->n_pending, sizeof c->pending - 1 - c->n_pending, 0);
        if (got <= 0)
            return NULL;
        c->n_pending += (size_t)got;
    }
}

static inline struct scripted_request *scripted_record(struct scripted_connection *c, char *head)
{
    struct scripted_server *s = c->server;
    struct scripted_request *r = calloc(1, sizeof *r);
    r->head = head;
    sscanf(head, "%15s %4095s", r->method, r->target);
    r->connection = c->number;
    pthread_mutex_lock(&s->lock);
    r->number = s->n_requests + 1;
    if (s->n_requests < SCRIPTED_REQUESTS_MAX)
        s->requests[s->n_requests++] = r;
    else
        abort();
    pthread_mutex_unlock(&s->lock);
    return r;
}

static inline void *scripted_serve(void *arg)
{
    struct scripted_connection *c = arg;
    for (char *head; !c->closing && !c->server->stopping;) {
        head = c->server->raw ? strdup("") : scripted_read_head(c);
        if (!head)
            break;
        struct scripted_request *r = scripted_record(c, head);
        c->server->handler(c, r, c->server->arg);
    }
    pthread_mutex_lock(&c->server->lock);
    close(c->fd);
    c->server->fds[c->number - 1] = -1;
    pthread_mutex_unlock(&c->server->lock);
    free(c);
    return NULL;
}

static inline void *scripted_accept(void *arg)
{
    struct scripted_server *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct scripted_connection *c = calloc(1, sizeof *c);
        c->server = s;
        c->fd = fd;
        pthread_mutex_lock(&s->lock);
        if (s->n_connections == SCRIPTED_CONNECTIONS_MAX)
            abort();
        int slot = s->n_connections++;
        c->number = slot + 1;
        s->fds[slot] = fd;
        pthread_create(&s->threads[slot], NULL, scripted_serve, c);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static inline struct scripted_server *scripted_start_mode(scripted_handler *handler, void *arg, bool raw)
{
    struct scripted_server *s = calloc(1, sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    s->handler = handler;
    s->arg = arg;
    s->raw = raw;
    pthread_mutex_init(&s->lock, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&address, len) != 0 || listen(s->listener, 64) != 0)
        abort();
    getsockname(s->listener, (struct sockaddr *)&address, &len);
    s->port = ntohs(address.sin_port);
    pthread_create(&s->acceptor, NULL, scripted_accept, s);
    return s;
}

static inline struct scripted_server *scripted_start(scripted_handler *handler, void *arg)
{
    return scripted_start_mode(handler, arg, false);
}

static inline struct scripted_server *scripted_start_raw(scripted_handler *handler, void *arg)
{
    return scripted_start_mode(handler, arg, true);
}

// Ends all connections and threads; requests stay readable until scripted_free.
static inline void scripted_stop(struct scripted_server *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->listener);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_connections; i++)
        if (s->fds[i] >= 0)
            shutdown(s->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_connections; i++)
        pthread_join(s->threads[i], NULL);
}

static inline void scripted_free(struct scripted_server *s)
{
    scripted_stop(s);
    for (int i = 0; i < s->n_requests; i++) {
        free(s->requests[i]->head);
        free(s->requests[i]->body);
        free(s->requests[i]);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// Whether any request that this server got contains the text anywhere in its head.
static inline bool scripted_saw(struct scripted_server *s, const char *text)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_requests; i++)
        found |= strstr(s->requests[i]->head, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return found;
}

static inline int scripted_count(struct scripted_server *s)
{
    pthread_mutex_lock(&s->lock);
    int count = s->n_requests;
    pthread_mutex_unlock(&s->lock);
    return count;
}
