// SPDX-License-Identifier: Apache-2.0
//
// The front door: the only user of libmicrohttpd, driven by base/loop. Listens on unix sockets (mode 0660, SO_PEERCRED
// identity) and loopback TCP (bearer token always), also on descriptors handed over by systemd. Loop only.
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "http/router.h"

struct server;

struct server_options {
    struct loop *loop;
    const struct route *routes;
    void *app;                   // given to handlers
    struct mailbox *mailbox;     // for bodies that stream to a worker; NULL if no route has BODY_STREAM
    const char *token_file;      // bearer token for TCP; trailing newline ignored
    const char *const *hosts;    // Host names that are ours beside localhost, 127.0.0.1, [::1]; or NULL
    const char *const *page_paths; // what the status page may GET, "/x" or "/x/*"; NULL-terminated, or NULL
    // Limits; 0 means the value given here.
    int64_t heartbeat_ms;        // 10,000
    int64_t header_timeout_ms;   // 10,000
    int64_t idle_ms;             // between requests on one connection; 30,000
    int64_t body_timeout_ms;     // a whole JSON body, or one stall of a streamed one; 30,000
    int64_t drain_write_ms;      // a reader that does not drain for so long is cut; 30,000
    size_t max_connections;      // 16,384
    const char *socket_group;    // or NULL
    // uids with RIGHT_ADMIN beside root and the daemon's own; others on the unix socket have RIGHT_SUBMIT
    const uint32_t *admins;
    size_t n_admins;
};

struct server *server_new(const struct server_options *options, struct error *err);
// "unix:/path" or "tcp:127.0.0.1:3729" (port 0: any). Anything but loopback is refused. *ret_text: the address as bound, for the
// ready line; caller frees. A stale socket file is replaced, one in use is an error.
int server_listen(struct server *server, const char *address, char **ret_text, struct error *err);
int server_listen_fd(struct server *server, int fd, char **ret_text, struct error *err); // takes the descriptor
// No new connections; open ones go on.
void server_quiesce(struct server *server);
// All streams must have ended (event logs closed). Ends what is left, removes socket files.
void server_free(struct server *server);

struct server_stats {
    int64_t connections, streams;  // open now
    int64_t requests;              // since the start
    int64_t refused;               // at the door: guard and rights
    int64_t cut;                   // connections ended because the client was too slow or gone
    int64_t status_class[6];       // [2]: answers 2xx, …
};
void server_stats(const struct server *server, struct server_stats *ret);
