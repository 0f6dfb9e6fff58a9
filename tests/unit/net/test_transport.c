// SPDX-License-Identifier: Apache-2.0
//
// transport_perform against a server that says byte for byte what a test wants it to say.
#include <dlfcn.h>
#include <netdb.h>

#include "net_test.h"

#include "base/clock.h"
#include "base/str.h"

static void hello(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    scripted_take_body(c, r);
    scripted_reply(c, "200 OK", "Content-Type: Text/Plain; charset=utf-8\r\nX-A: 1\r\nX-A: 2\r\n", "hello",
                   5);
}

static void test_plain_request(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    (void)state;
    assert_int_equal(net_perform(f, s, "GET", "/v2/a%2Fb/?x=%7e&y=a+b"), 0);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.body, "hello");
    assert_int_equal(f->answer.body_len, 5);
    assert_int_equal(f->answer.address_class, ADDRESS_LOOPBACK);
    char *type = http_answer_media_type(&f->answer);
    assert_string_equal(type, "text/plain");
    free(type);
    size_t index = 0;
    assert_string_equal(http_headers_next(&f->answer.headers, "x-a", &index), "1");
    index++;
    assert_string_equal(http_headers_next(&f->answer.headers, "X-A", &index), "2");
    index++;
    assert_null(http_headers_next(&f->answer.headers, "x-a", &index));
    assert_string_equal(s->requests[0]->target, "/v2/a%2Fb/?x=%7e&y=a+b");
    assert_true(scripted_saw(s, "Accept-Encoding: identity\r\n"));
    assert_true(scripted_saw(s, "User-Agent: dray/"));
    assert_false(scripted_saw(s, "Expect"));
    assert_false(scripted_saw(s, "Authorization"));
    assert_int_equal(f->monitor.requests, 1);
    scripted_free(s);
    net_fixture_free(f);
}

// The bytes of path and query arrive as given: signed URLs break otherwise.
static void test_target_bytes_kept(void **state)
{
    static const char *const targets[] = {
        "/a/../b/./c",
        "//double//slash",
        "/%2e%2e/x",
        "/a?b=c?d=/../e",
        "/\xc3\xa9?\xff=1",
        "/a%zz'\"<>{}|\\^`",
        "/blob?X-Amz-Signature=ab%2Fcd+ef%20==&X-Amz-Date=20260101T000000Z",
        "/;p=1/!$&'()*+,;=:@",
    };
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        assert_int_equal(net_perform(f, s, "GET", targets[i]), 0);
        assert_string_equal(s->requests[i]->target, targets[i]);
    }
    scripted_free(s);
    net_fixture_free(f);
}

static void test_methods_and_bodies(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET"};
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    char text[64];
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(net_perform(f, s, methods[i], "/"), 0);
        assert_string_equal(s->requests[i]->method, methods[i]);
        const char *length = scripted_header(s->requests[i], "Content-Length", text, sizeof text);
        if (i < 3)
            assert_string_equal(length, "0");
        else
            assert_null(length);
        assert_null(scripted_header(s->requests[i], "Content-Type", text, sizeof text));
    }
    struct http_call call = net_call(s, "PUT", "/blob");
    char *bytes = net_bytes(300000, 1);
    call.body = bytes;
    call.body_len = 300000;
    http_headers_add(&call.headers, "Content-Type", "application/octet-stream");
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(s->requests[5]->body_len, 300000);
    assert_memory_equal(s->requests[5]->body, bytes, 300000);
    assert_string_equal(scripted_header(s->requests[5], "Content-Type", text, sizeof text),
                        "application/octet-stream");
    // a part of a reader
    struct reader_at *reader = reader_at_bytes(bytes, 300000);
    call.body = NULL;
    call.body_reader = reader;
    call.body_offset = 100;
    call.body_len = 200;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(s->requests[6]->body_len, 200);
    assert_memory_equal(s->requests[6]->body, bytes + 100, 200);
    reader_at_close(reader);
    http_call_clear(&call);
    free(bytes);
    scripted_free(s);
    net_fixture_free(f);
}

static void test_keep_alive(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(net_perform(f, s, i % 2 ? "GET" : "POST", "/"), 0);
        assert_int_equal(s->requests[i]->connection, 1);
    }
    assert_int_equal(transport_warm_count(f->transport), 1);
    transport_trim(f->transport); // nothing is old yet
    assert_int_equal(transport_warm_count(f->transport), 1);
    scripted_free(s);
    net_fixture_free(f);
}

static void close_after_first(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    scripted_take_body(c, r);
    if (r->number == 1) {
        scripted_reply(c, "200 OK", "", "one", 3);
        return;
    }
    if (r->connection == 1)
        scripted_close(c); // took the request on the old connection and died
    else
        scripted_reply(c, "201 Created", "", "two", 3);
}

static void test_r95_stale_connection_is_tried_once_more(void **state)
{
    static const char *const methods[] = {"GET", "POST", "PUT"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct net_fixture *f = net_fixture_new(NULL);
        struct scripted_server *s = scripted_start(close_after_first, NULL);
        assert_int_equal(net_perform(f, s, "GET", "/"), 0);
        struct http_call call = net_call(s, methods[i], "/again");
        call.body = i ? "body" : NULL;
        call.body_len = i ? 4 : 0;
        net_fixture_clear(f);
        assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
        assert_int_equal(f->answer.status, 201);
        assert_int_equal(scripted_count(s), 3);
        if (i)
            assert_memory_equal(s->requests[2]->body, "body", 4);
        http_call_clear(&call);
        scripted_free(s);
        net_fixture_free(f);
    }
}

static void reset_old_connections(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    if (r->connection % 2 == 1 && strcmp(r->method, "PUT") == 0) {
        scripted_reset(c); // while the client is sending
        return;
    }
    scripted_take_body(c, r);
    scripted_reply(c, "200 OK", "", "x", 1);
    if (r->connection % 2 == 0)
        scripted_close(c);
}

// As above, when it is the sending that notices.
static void test_r95_stale_connection_in_mid_body(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(reset_old_connections, NULL);
    char *bytes = net_bytes(4 << 20, 6);
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(net_perform(f, s, "GET", "/"), 0); // on a new connection, odd
        struct http_call call = net_call(s, "PUT", "/");
        call.body = bytes;
        call.body_len = 4 << 20;
        net_fixture_clear(f);
        if (transport_perform(f->transport, &call, NULL, &f->answer, &f->err) != 0)
            fail_msg("%s", f->err.detail);
        http_call_clear(&call);
    }
    free(bytes);
    scripted_free(s);
    net_fixture_free(f);
}

static void raw(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    scripted_take_body(c, r);
    scripted_send(c, arg, strlen(arg));
    scripted_close(c);
}

static int perform_raw(struct net_fixture *f, const char *answer)
{
    struct scripted_server *s = scripted_start(raw, (void *)answer);
    int rc = net_perform(f, s, "GET", "/");
    scripted_free(s);
    return rc;
}

// R-87, R-99: bare line feeds, interim answers, HTTP/1.0, folded and odd headers, chunked with trailers
static void test_r87_r99_tolerated_answers(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    (void)state;
    assert_int_equal(perform_raw(f, "HTTP/1.1 429 Too Many\nRetry-After: 60\nContent-Length: 4\n\nslow"), 0);
    assert_int_equal(f->answer.status, 429);
    assert_int_equal(f->answer.retry_after_ms, 60000);
    assert_string_equal(f->answer.body, "slow");
    assert_int_equal(perform_raw(f, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n"
                                    "Content-Length: 2\r\n\r\nok"),
                     0);
    assert_int_equal(f->answer.status, 200);
    assert_null(http_headers_find(&f->answer.headers, "link"));
    assert_string_equal(f->answer.body, "ok");
    assert_int_equal(perform_raw(f, "HTTP/1.0 200 OK\r\nX-Folded: a\r\n  b\r\n: no name\r\n\r\nto the end"),
                     0);
    assert_string_equal(f->answer.body, "to the end");
    assert_string_equal(http_headers_find(&f->answer.headers, "x-folded"), "a b");
    assert_int_equal(perform_raw(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
                                    "X-Trailer: t\r\n\r\n"),
                     0);
    assert_string_equal(f->answer.body, "abc");
    assert_null(http_headers_find(&f->answer.headers, "x-trailer"));
    net_fixture_free(f);
}

static void test_broken_answers(void **state)
{
    static const struct {
        const char *answer;
        enum error_code code;
    } cases[] = {
        {"", ERR_REGISTRY_UNREACHABLE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ERR_REGISTRY_UNREACHABLE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ERR_REGISTRY_UNREACHABLE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n", ERR_REGISTRY_UNREACHABLE},
        {"SSH-2.0-OpenSSH_9.2\r\n", ERR_REGISTRY_PROTOCOL},
        {"<html>not http</html>", ERR_REGISTRY_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ERR_REGISTRY_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", ERR_REGISTRY_PROTOCOL},
    };
    struct net_fixture *f = net_fixture_new(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = perform_raw(f, cases[i].answer);
        if (rc == 0 || f->err.code != cases[i].code)
            print_message("case %zu: rc %d code %d: %s\n", i, rc, f->err.code, f->err.detail);
        assert_int_equal(rc, -1);
        assert_int_equal(f->err.code, cases[i].code);
        assert_non_null(strstr(f->err.detail, "127.0.0.1"));
    }
    net_fixture_free(f);
}

static void endless_headers(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    (void)r;
    scripted_printf(c, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; !c->closing; i++)
        scripted_printf(c, "X-Header-%d: %0100d\r\n", i, 0);
}

static void one_long_header(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    char block[4096];
    (void)arg;
    (void)r;
    memset(block, 'a', sizeof block);
    scripted_printf(c, "HTTP/1.1 200 OK\r\nX: ");
    while (!c->closing)
        scripted_send(c, block, sizeof block);
}

static void test_header_limits(void **state)
{
    scripted_handler *const handlers[] = {endless_headers, one_long_header};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct net_fixture *f = net_fixture_new(NULL);
        struct scripted_server *s = scripted_start(handlers[i], NULL);
        assert_int_equal(net_perform(f, s, "GET", "/"), -1);
        assert_int_equal(f->err.code, ERR_REGISTRY_PROTOCOL);
        scripted_free(s);
        net_fixture_free(f);
    }
}

static void endless_body(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    char block[4096];
    (void)r;
    memset(block, 'b', sizeof block);
    scripted_printf(c, "HTTP/1.1 %s\r\n\r\n", (const char *)arg);
    while (!c->closing)
        scripted_send(c, block, sizeof block);
}

static void test_body_limits(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    (void)state;
    struct scripted_server *s = scripted_start(endless_body, (void *)"200 OK");
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_TOO_LARGE);
    scripted_free(s);
    // an endless error page still is an answer (R-76)
    s = scripted_start(endless_body, (void *)"500 Oops");
    assert_int_equal(net_perform(f, s, "GET", "/"), 0);
    assert_int_equal(f->answer.status, 500);
    assert_int_equal(f->answer.body_len, HTTP_ERROR_BODY_MAX);
    scripted_free(s);
    // a body that nobody asked for
    s = scripted_start(endless_body, (void *)"201 Created");
    struct http_call call = net_call(s, "POST", "/");
    call.max_body = 0;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(f->answer.status, 201);
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

struct memory_sink {
    struct sink sink;
    char bytes[1 << 16];
    size_t len;
    size_t fail_at;
};

static int memory_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    if (m->fail_at && m->len + len >= m->fail_at)
        return error_set(err, ERR_NO_SPACE, "the disk is full");
    assert_true(m->len + len <= sizeof m->bytes);
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
    return 0;
}

static const struct sink_ops memory_ops = {.write = memory_write};

static void silent(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)r;
    if (arg)
        scripted_send(c, arg, strlen(arg));
    scripted_hang(c);
}

// Who announces more than is wanted need not be heard to the end; HEAD may announce what it likes.
static void test_announced_body_limits(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    (void)state;
    struct scripted_server *s =
        scripted_start(silent, (void *)"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\nx");
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_TOO_LARGE);
    assert_int_equal(net_perform(f, s, "HEAD", "/"), 0);
    scripted_free(s);
    net_fixture_free(f);
}

static void test_sink(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct memory_sink sink = {.sink.ops = &memory_ops};
    struct scripted_server *s = scripted_start(hello, NULL);
    struct http_call call = net_call(s, "GET", "/");
    (void)state;
    call.sink = &sink.sink;
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(f->answer.sink_bytes, 5);
    assert_int_equal(f->answer.body_len, 0);
    assert_memory_equal(sink.bytes, "hello", 5);
    sink.fail_at = 1;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NO_SPACE);
    http_call_clear(&call);
    scripted_free(s);
    // other statuses are buffered
    s = scripted_start(raw, (void *)"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope");
    call = net_call(s, "GET", "/");
    call.sink = &sink.sink;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_string_equal(f->answer.body, "nope");
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

static void deaf(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)r;
    (void)arg;
    scripted_ignore(c);
}

static void test_r94_stalls(void **state)
{
    struct transport_options limits = {.first_byte_ms = 60, .stall_window_ms = 20000};
    struct net_fixture *f = net_fixture_new(&limits);
    (void)state;
    struct scripted_server *s = scripted_start(silent, NULL);
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_true(f->err.retryable);
    assert_non_null(strstr(f->err.detail, "no answer within"));
    scripted_free(s);
    net_fixture_free(f);

    limits = (struct transport_options){.first_byte_ms = 20000, .stall_window_ms = 60};
    f = net_fixture_new(&limits);
    s = scripted_start(silent, (void *)"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_non_null(strstr(f->err.detail, "stalled"));
    scripted_free(s);
    // a server that does not take the body
    s = scripted_start(deaf, NULL);
    struct http_call call = net_call(s, "PUT", "/");
    char *bytes = net_bytes(16 << 20, 3);
    call.body = bytes;
    call.body_len = 16 << 20;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_non_null(strstr(f->err.detail, "stalled"));
    http_call_clear(&call);
    free(bytes);
    scripted_free(s);
    net_fixture_free(f);
}

enum { DRIPS = 12, DRIP_MS = 250, DRIP_BYTES = 2000, DRIP_WINDOW_MS = 1500 };

static void drip(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    bool upload = strcmp(r->method, "PUT") == 0;
    char bytes[DRIP_BYTES] = {0};
    (void)arg;
    if (!upload)
        scripted_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", DRIPS * DRIP_BYTES);
    for (int i = 0; i < DRIPS; i++) {
        usleep(DRIP_MS * 1000);
        if (upload)
            scripted_take_some(c, r, scripted_content_length(r) / DRIPS);
        else
            scripted_send(c, bytes, sizeof bytes);
    }
    if (upload)
        scripted_reply(c, "201 Created", "", "", 0);
}

// R-94: no limit on the whole – what moves may take as long as it takes, many times the window in which too
// little may move.
static void test_r94_slow_is_not_stalled(void **state)
{
    struct transport_options limits = {.first_byte_ms = 20000, .stall_window_ms = DRIP_WINDOW_MS};
    struct net_fixture *f = net_fixture_new(&limits);
    struct scripted_server *s = scripted_start(drip, NULL);
    (void)state;
    if (net_perform(f, s, "GET", "/") < 0)
        fail_msg("%s", f->err.detail);
    assert_int_equal(f->answer.body_len, DRIPS * DRIP_BYTES);
    enum { UPLOAD_BYTES = 24 << 20 }; // more than lies in the buffers between
    struct http_call call = net_call(s, "PUT", "/");
    AUTO_FREE char *bytes = net_bytes(UPLOAD_BYTES, 7);
    call.body = bytes;
    call.body_len = UPLOAD_BYTES;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(f->answer.status, 201);
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

static void *cancel_soon(void *arg)
{
    usleep(20000);
    atomic_store(&((struct monitor *)arg)->cancelled, true);
    return NULL;
}

static void test_cancel(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(silent, NULL);
    pthread_t thread;
    (void)state;
    pthread_create(&thread, NULL, cancel_soon, &f->monitor);
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_CANCELLED);
    pthread_join(thread, NULL);
    scripted_free(s);
    net_fixture_free(f);
}

static void early_refusal(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    scripted_take_some(c, r, 1000);
    scripted_reply(c, "413 Too Large", "", "<html>no</html>", 15);
    scripted_close(c); // with unread bytes: the client gets a reset after the answer
}

// R-50, R-53: the answer that was there counts, not the broken pipe
static void test_r53_answer_before_the_body_was_sent(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    char *bytes = net_bytes(8 << 20, 4);
    int answered = 0;
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct scripted_server *s = scripted_start(early_refusal, NULL);
        struct http_call call = net_call(s, "PUT", "/");
        call.body = bytes;
        call.body_len = 8 << 20;
        net_fixture_clear(f);
        if (transport_perform(f->transport, &call, NULL, &f->answer, &f->err) == 0)
            answered += f->answer.status == 413;
        else
            assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
        http_call_clear(&call);
        scripted_free(s);
    }
    assert_true(answered >= 1);
    free(bytes);
    net_fixture_free(f);
}

static void resetter(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)r;
    if (arg)
        scripted_send(c, arg, strlen(arg));
    scripted_reset(c);
}

static void test_resets_and_refusals(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(resetter, NULL);
    (void)state;
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_true(f->err.retryable);
    int port = s->port;
    scripted_free(s);
    s = scripted_start(resetter, (void *)"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc");
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    // nobody listens there any more
    int kept = s->port;
    s->port = port;
    assert_int_equal(net_perform(f, s, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_non_null(strstr(f->err.detail, "refused"));
    assert_non_null(f->err.hint);
    s->port = kept;
    scripted_free(s);
    net_fixture_free(f);
}

// A listener whose queue is full does not answer a SYN any more.
static void test_connect_limit(void **state)
{
    struct transport_options limits = {.connect_ms = 100, .first_byte_ms = 20000};
    struct net_fixture *f = net_fixture_new(&limits);
    struct scripted_server full = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fillers[4];
    (void)state;
    assert_int_equal(bind(full.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(full.listener, 0), 0);
    assert_int_equal(getsockname(full.listener, (struct sockaddr *)&address, &len), 0);
    full.port = ntohs(address.sin_port);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&address, len);
    }
    assert_int_equal(net_perform(f, &full, "GET", "/"), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_true(f->err.retryable);
    assert_non_null(strstr(f->err.detail, "within 100 ms"));
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(full.listener);
    net_fixture_free(f);
}

static void test_address_policy(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    struct http_call call = net_call(s, "GET", "/");
    (void)state;
    call.private_allowed = false;
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_non_null(strstr(f->err.detail, "loopback"));
    // a name that leads to a forbidden address
    free(call.url.host);
    call.url.host = mem_strdup("localhost");
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_PROTOCOL);
    // an open connection of a trusted purpose does not serve another
    call.private_allowed = true;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_int_equal(s->requests[0]->connection, 1); // the others were never made
    call.private_allowed = false;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_int_equal(scripted_count(s), 1);
    // the class in which the origin itself was found
    call.origin_class = ADDRESS_LOOPBACK;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    call.origin_class = ADDRESS_PRIVATE;
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

static const char *inside_address; // where the name inside.test leads

// In place of the C library's, for libcurl too.
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    bool inside = node && strcmp(node, "inside.test") == 0;
    return real(inside ? inside_address : node, service, hints, ret);
}

// A name says nothing about where it leads, and today's answer nothing about tomorrow's: the address of the
// connection is what counts, whatever the name resolved to before.
static void test_names_that_lead_inside(void **state)
{
    static const char *const addresses[] = {"127.0.0.1",
                                            "127.255.0.3",
                                            "10.1.2.3",
                                            "172.16.0.1",
                                            "192.168.1.1",
                                            "169.254.169.254",
                                            "100.64.0.1",
                                            "0.0.0.0",
                                            "224.0.0.1",
                                            "255.255.255.255",
                                            "::1",
                                            "::",
                                            "fe80::1",
                                            "fc00::1",
                                            "fd12::1",
                                            "ff02::1",
                                            "::ffff:10.0.0.1",
                                            "::ffff:127.0.0.1",
                                            "64:ff9b::a00:1",
                                            "2002:a00:1::1"};
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    struct http_call call = net_call(s, "GET", "/");
    (void)state;
    free(call.url.host);
    call.url.host = mem_strdup("inside.test");
    inside_address = "127.0.0.1"; // first for somebody who may …
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        net_fixture_clear(f);
        call.private_allowed = false;
        inside_address = addresses[i]; // … then for somebody who may not
        assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
        if (f->err.code != ERR_REGISTRY_PROTOCOL)
            fail_msg("%s: %s", addresses[i], f->err.detail);
    }
    assert_int_equal(scripted_count(s), 1);
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

static void test_proxies_only_from_settings(void **state)
{
    struct scripted_server *evil = scripted_start(hello, NULL), *s = scripted_start(hello, NULL);
    char proxy[64];
    (void)state;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", evil->port);
    setenv("http_proxy", proxy, 1);
    setenv("ALL_PROXY", proxy, 1);
    struct net_fixture *f = net_fixture_new(NULL);
    assert_int_equal(net_perform(f, s, "GET", "/direct"), 0);
    assert_int_equal(scripted_count(evil), 0);
    assert_int_equal(scripted_count(s), 1);
    setenv("no_proxy", "*", 1);
    host_table_add(f->hosts,
                   &(struct host_settings){.name = mem_strdup("registry.test"), .proxy = mem_strdup(proxy)});
    struct http_call call = {.method = "GET", .max_body = 100};
    assert_int_equal(url_parse(&call.url, "http://registry.test/v2/", &f->err), 0);
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), 0);
    assert_string_equal(evil->requests[0]->target, "http://registry.test/v2/");
    http_call_clear(&call);
    // behind a proxy the name itself is judged
    host_table_add(
        f->hosts, &(struct host_settings){.name = mem_strdup("169.254.169.254"), .proxy = mem_strdup(proxy)});
    assert_int_equal(url_parse(&call.url, "http://169.254.169.254/", &f->err), 0);
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_PROTOCOL);
    assert_int_equal(scripted_count(evil), 1);
    http_call_clear(&call);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    unsetenv("no_proxy");
    net_fixture_free(f);
    scripted_free(evil);
    scripted_free(s);
}

static void test_netrc_is_ignored(void **state)
{
    char home[] = "/tmp/dray-netrc-XXXXXX", path[64];
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/.netrc", home);
    FILE *netrc = fopen(path, "w");
    fputs("default login canary password canary\n", netrc);
    fclose(netrc);
    setenv("HOME", home, 1);
    assert_int_equal(net_perform(f, s, "GET", "/"), 0);
    assert_false(scripted_saw(s, "Authorization"));
    remove(path);
    remove(home);
    scripted_free(s);
    net_fixture_free(f);
}

static void test_authorization_and_bad_headers(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    struct http_call call = net_call(s, "GET", "/");
    struct secret *secret = secret_new("Bearer canary");
    (void)state;
    assert_int_equal(transport_perform(f->transport, &call, secret, &f->answer, &f->err), 0);
    assert_true(scripted_saw(s, "\r\nAuthorization: Bearer canary\r\n"));
    secret_free(secret);
    secret = secret_new("Bearer a\r\nX-Evil: 1");
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, secret, &f->answer, &f->err), -1);
    assert_null(strstr(f->err.detail, "Evil"));
    http_headers_add(&call.headers, "X-A", "b\nX-Evil: 1");
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, &call, NULL, &f->answer, &f->err), -1);
    assert_int_equal(scripted_count(s), 1);
    secret_free(secret);
    http_call_clear(&call);
    scripted_free(s);
    net_fixture_free(f);
}

// R-89
static void test_r89_retry_after(void **state)
{
    static const struct {
        const char *value;
        int64_t min_ms, max_ms;
    } cases[] = {
        {"0", 0, 0},
        {"7", 7000, 7000},
        {"1000000000", 86400000, 86400000},
        {"99999999999999999999", 86400000, 86400000},
        {"-5", -1, -1},
        {"soon", -1, -1},
        {"", -1, -1},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 0, 0},
        {"Fri, 31 Dec 2100 23:59:59 GMT", 86400000, 86400000},
        {"1.5", -1, -1},
    };
    struct net_fixture *f = net_fixture_new(NULL);
    char answer[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(answer, sizeof answer, "HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: %s\r\n\r\n",
                 cases[i].value);
        assert_int_equal(perform_raw(f, answer), 0);
        if (f->answer.retry_after_ms < cases[i].min_ms || f->answer.retry_after_ms > cases[i].max_ms)
            fail_msg("%s gives %lld", cases[i].value, (long long)f->answer.retry_after_ms);
    }
    net_fixture_free(f);
}

static void many_bytes(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    scripted_take_body(c, r);
    scripted_reply(c, "200 OK", "", arg, strcmp(r->method, "GET") == 0 ? 600000 : 0);
}

static int discard(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)sink;
    (void)bytes;
    (void)len;
    (void)err;
    return 0;
}

static int64_t timed(struct net_fixture *f, const struct http_call *call)
{
    int64_t before_ms = clock_ms();
    net_fixture_clear(f);
    assert_int_equal(transport_perform(f->transport, call, NULL, &f->answer, &f->err), 0);
    return clock_ms() - before_ms;
}

// 600,000 bytes at 1,000,000 a second: what is left over after the 250 ms saved up and the 256 KiB that
// libcurl has in its hands takes time. A lower bound only: holding back cannot take less.
static void test_byte_rate(void **state)
{
    static const struct sink_ops discard_ops = {.write = discard};
    struct sink sink = {.ops = &discard_ops};
    struct net_fixture *f = net_fixture_new(NULL);
    char *bytes = net_bytes(600000, 5);
    struct scripted_server *s = scripted_start(many_bytes, bytes);
    (void)state;
    host_table_add(f->hosts,
                   &(struct host_settings){.name = mem_strdup("127.0.0.1"), .bytes_per_s = 1000000});
    struct http_call call = net_call(s, "PUT", "/");
    call.body = bytes;
    call.body_len = 600000;
    assert_true(timed(f, &call) >= 50);
    assert_int_equal(s->requests[0]->body_len, 600000);
    call.method = "GET";
    call.body_len = 0;
    call.sink = &sink;
    assert_true(timed(f, &call) >= 50);
    assert_int_equal(f->answer.sink_bytes, 600000);
    http_call_clear(&call);
    scripted_free(s);
    free(bytes);
    net_fixture_free(f);
}

struct parallel {
    struct net_fixture *f;
    struct scripted_server *s;
    int failures;
};

static void *many_calls(void *arg)
{
    struct parallel *p = arg;
    for (int i = 0; i < 20; i++) {
        struct http_call call = net_call(p->s, i % 3 ? "GET" : "POST", "/");
        struct http_answer answer = {.retry_after_ms = -1};
        struct error err = ERROR_INIT;
        if (transport_perform(p->f->transport, &call, NULL, &answer, &err) != 0 || answer.status != 200)
            p->failures++;
        http_answer_clear(&answer);
        http_call_clear(&call);
        error_clear(&err);
    }
    return NULL;
}

static void test_threads_share_a_transport(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start(hello, NULL);
    struct parallel p[8];
    pthread_t threads[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        p[i] = (struct parallel){f, s, 0};
        pthread_create(&threads[i], NULL, many_calls, &p[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(p[i].failures, 0);
    }
    assert_true(s->n_connections <= 8);
    scripted_free(s);
    net_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_request),
        cmocka_unit_test(test_target_bytes_kept),
        cmocka_unit_test(test_methods_and_bodies),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_r95_stale_connection_is_tried_once_more),
        cmocka_unit_test(test_r95_stale_connection_in_mid_body),
        cmocka_unit_test(test_r87_r99_tolerated_answers),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_body_limits),
        cmocka_unit_test(test_announced_body_limits),
        cmocka_unit_test(test_sink),
        cmocka_unit_test(test_r94_stalls),
        cmocka_unit_test(test_r94_slow_is_not_stalled),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_r53_answer_before_the_body_was_sent),
        cmocka_unit_test(test_resets_and_refusals),
        cmocka_unit_test(test_connect_limit),
        cmocka_unit_test(test_address_policy),
        cmocka_unit_test(test_names_that_lead_inside),
        cmocka_unit_test(test_proxies_only_from_settings),
        cmocka_unit_test(test_netrc_is_ignored),
        cmocka_unit_test(test_authorization_and_bad_headers),
        cmocka_unit_test(test_r89_retry_after),
        cmocka_unit_test(test_byte_rate),
        cmocka_unit_test(test_threads_share_a_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
