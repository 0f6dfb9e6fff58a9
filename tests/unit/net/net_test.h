// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this room share: cmocka, a transport with short limits, calls to a scripted server.
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/exchange.h"
#include "net/host.h"
#include "net/transfer.h"
#include "net/transport.h"
#include "scripted_server.h"

struct net_fixture {
    struct host_table *hosts;
    struct transport *transport;
    struct monitor monitor;
    struct error err;
    struct http_answer answer;
};

static inline struct net_fixture *net_fixture_new(const struct transport_options *limits)
{
    struct net_fixture *f = calloc(1, sizeof *f);
    struct transport_options options = {.connect_ms = 3000, .first_byte_ms = 20000, .stall_window_ms = 20000};
    if (limits)
        options = *limits;
    signal(SIGPIPE, SIG_IGN);
    f->err = ERROR_INIT;
    f->answer.retry_after_ms = -1;
    f->hosts = host_table_new();
    options.hosts = f->hosts;
    f->transport = transport_new(&options, &f->err);
    assert_non_null(f->transport);
    return f;
}

static inline void net_fixture_clear(struct net_fixture *f)
{
    error_clear(&f->err);
    http_answer_clear(&f->answer);
    f->err = ERROR_INIT;
}

static inline void net_fixture_free(struct net_fixture *f)
{
    net_fixture_clear(f);
    transport_free(f->transport);
    host_table_free(f->hosts);
    free(f);
}

static inline void net_url(struct url *url, struct scripted_server *s, const char *path)
{
    struct error err = ERROR_INIT;
    char text[8192];
    snprintf(text, sizeof text, "http://127.0.0.1:%d%s", s->port, path);
    assert_int_equal(url_parse(url, text, &err), 0);
}

static inline struct http_call net_call(struct scripted_server *s, const char *method, const char *path)
{
    struct http_call call = {.method = method, .max_body = 1 << 20, .private_allowed = true};
    net_url(&call.url, s, path);
    return call;
}

// One call by transport alone; the answer is in the fixture.
static inline int net_perform(struct net_fixture *f, struct scripted_server *s, const char *method,
                              const char *path)
{
    struct http_call call = net_call(s, method, path);
    net_fixture_clear(f);
    call.monitor = &f->monitor;
    int rc = transport_perform(f->transport, &call, NULL, &f->answer, &f->err);
    http_call_clear(&call);
    return rc;
}

static inline void *net_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
    return bytes;
}
