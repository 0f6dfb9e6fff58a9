// SPDX-License-Identifier: Apache-2.0
//
// Inside the door of libmicrohttpd: the server, its listeners (one library daemon each) and their
// connections, shared by server.c (life and time), server_listen.c (sockets) and server_exchange.c (requests
// and replies). Loop only.
#pragma once

#include <microhttpd.h>
#include <sys/types.h>

#include "base/list.h"
#include "http/bearer.h"
#include "http/request_state.h"
#include "http/server.h"

struct server {
    struct server_options options;
    struct guard guard;
    struct bearer *bearer; // NULL without TCP
    struct list listeners, conns;
    struct loop_prepare *prepare;
    struct loop_timer *sweep;
    bool sweeping;
    int64_t sweep_ms;
    struct server_stats stats;
};

struct listener {
    struct list link;
    struct server *server;
    struct MHD_Daemon *mhd;
    struct loop_watch *watch; // of the library's epoll descriptor
    struct loop_timer *timer; // when the library wants to be run without an event
    bool dirty;               // a connection was resumed: run the library once more this turn
    bool running;             // inside MHD_run
    uint64_t calls;           // made by the library
    int fruitless;            // runs in a row without one
    int64_t rest_until_ms;    // after too many of them
    bool quiesced;
    bool unix_socket;
    uint16_t port;
    char *path;   // unix socket made here, to be removed at the end; or NULL
    dev_t device; // … if it is still this file
    ino_t inode;
};

struct server_conn {
    struct list link;
    struct listener *listener;
    struct MHD_Connection *mhd;
    int fd;
    struct request_peer peer;
    bool trusted; // has shown the right token
    bool suspended;
    bool doomed;             // cut: whatever the library asks next is answered with the end
    bool stuck;              // at the last look, bytes of its body waited that the library did not read
    int64_t deadline_ms;     // for what the client has to send next; 0 none
    struct request *request; // the current one or NULL
    struct stream *stream;   // being sent, or NULL
};

// server_listen.c
int server_socket_unix(struct server *server, const char *path, struct listener *listener, struct error *err);
int server_socket_tcp(const char *address, struct error *err);
// Fills kind and port from a listening descriptor; refuses what is not ours to offer. *ret_text: "unix:/…",
// "tcp:…".
int server_socket_describe(int fd, struct listener *listener, char **ret_text, struct error *err);
void server_socket_remove(struct listener *listener);

// server_exchange.c
struct MHD_Daemon *server_exchange_start(struct listener *listener, int fd);

// server.c
void server_conn_added(struct server *server, struct server_conn *conn);
void server_conn_cut(struct server_conn *conn);
void server_conn_resume(struct server_conn *conn);
int64_t server_now_ms(const struct server *server);
