// SPDX-License-Identifier: Apache-2.0
//
// The only user of libcurl: carries out one call, or drives several at once for `transfer`
// (transport_multi.h). Warm handles – curl multi handles with their open connections – are kept, and one step
// at a time gets the one that knows its origin. HTTP/1.1 only: every step waits for one answer at a time, and
// bulk data over HTTP/2 costs more per byte. No redirects, no .netrc, no environment proxies, no Expect; the
// connected address is checked (CURLOPT_OPENSOCKETFUNCTION, and CURLOPT_PREREQFUNCTION for connections used
// again) before a byte is sent. Stalls (low speed) are failures. Any thread. SIGPIPE must be ignored by the
// process.
#pragma once

#include "base/secret.h"
#include "net/host.h"
#include "net/http.h"

struct transport;

struct transport_options {
    const struct host_table *hosts; // borrowed
    int64_t connect_ms;             // default 10,000
    int64_t first_byte_ms;     // default 30,000: from the end of the request to the first byte of the answer
    int64_t stall_bytes_per_s; // default 1,000
    int64_t stall_window_ms;   // default 30,000
    size_t warm_handles;       // kept at most; default 64
    int64_t idle_ms;           // connections unused for longer are not used again; default 50,000
    const char *user_agent;    // "dray/0.1.0"
};

struct transport *transport_new(const struct transport_options *options, struct error *err);
void transport_free(struct transport *transport); // no call may be under way
// Closes the connections of handles that nobody used for idle_ms. Any thread; now and then, e.g. by a timer
// of the loop.
void transport_trim(struct transport *transport);
size_t transport_warm_count(struct transport *transport); // handles kept at present
// Blocks. authorization: value of the Authorization header or NULL. 0 whatever the status; -1 with
// ERR_REGISTRY_UNREACHABLE (DNS, connect, TLS, reset, stall: retryable, says which host and why),
// ERR_REGISTRY_PROTOCOL (framing, header limits), ERR_TOO_LARGE (body over max_body), ERR_CANCELLED, or the
// sink's error. A request that died on a reused connection before any answer is sent once more on a fresh one
// if its body can be sent again.
int transport_perform(struct transport *transport, const struct http_call *call,
                      const struct secret *authorization, struct http_answer *ret, struct error *err);
