// SPDX-License-Identifier: Apache-2.0
//
// Requests made by a grammar, each wrong in at least one place: every one is answered with 4xx/5xx or its
// connection closed within a second, and no handler runs. The seed is fixed, so a failure repeats.
#include "base/strbuf.h"
#include "http/live.h"

enum { REQUESTS = 800, PATIENCE_MS = 1000 };

static uint32_t seed = 20240229;

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

// A piece of text that may hold NUL.
struct piece {
    const char *text;
    size_t len;
};
#define PIECE(literal)                                                                                       \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

// Each of these alone makes the request wrong.
static const struct piece bad_lines[] = {
    PIECE("GET /free HTTP/1.0\r\nHost: localhost\r\n"),
    PIECE("GET /free HTTP/1.1\nHost: localhost\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost: localhost\n"),
    PIECE("GET /free HTTP/2.0\r\nHost: localhost\r\n"),
    PIECE("GET /free HTTP/9\r\nHost: localhost\r\n"),
    PIECE("GET /free\r\nHost: localhost\r\n"),
    PIECE("GET  /free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free  HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /fr ee HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET * HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET http://localhost/free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET http://evil.example/free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET //free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /fre%65 HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free%00 HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /x/%2e%2e/free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free\0x HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("G\0ET /free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free#x HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free\x80 HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("OPTIONS /free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("TRACE /free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("AVERYLONGMETHODINDEEDTHATNOBODYKNOWS /free HTTP/1.1\r\nHost: localhost\r\n"),
    PIECE("GET /free HTTP/1.1\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost: evil.example\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost: localhost.evil.example\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost:\r\n"),
    PIECE("GET /free HTTP/1.1\r\nHost : localhost\r\n"),
    PIECE("GET /free HTTP/1.1\r\n Host: localhost\r\n"),
    PIECE("PRI * HTTP/2.0\r\n\r\nSM\r\n"),
    PIECE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"),
};
static const struct piece bad_fields[] = {
    PIECE("Content-Length: 5\r\nContent-Length: 6\r\n"),
    PIECE("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    PIECE("Content-Length: -1\r\n"),
    PIECE("Content-Length: 1x\r\n"),
    PIECE("Content-Length: 99999999999999999999999\r\n"),
    PIECE("Transfer-Encoding: gzip\r\n"),
    PIECE("Transfer-Encoding: xchunked\r\n"),
    PIECE("Transfer-Encoding: chunked, identity\r\n"),
    PIECE("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    PIECE("Origin: http://evil.example\r\n"),
    PIECE("Origin: null\r\n"),
    PIECE("Referer: http://evil.example/\r\n"),
    PIECE("Sec-Fetch-Site: cross-site\r\n"),
    PIECE("X: a\0b\r\n"),
    PIECE("X: a\x01"
          "b\r\n"),
    PIECE("X y: a\r\n"),
    PIECE("X: folded\r\n line\r\n"),
    PIECE("X: a\nY:b\r\n"),
    PIECE("X:  two blanks\r\n"),
    PIECE(": no name\r\n"),
    PIECE("no colon\r\n"),
};
static const struct piece good_fields[] = {
    PIECE(""),
    PIECE("Accept: */*\r\n"),
    PIECE("User-Agent: x/1\r\nAccept: */*\r\n"),
    PIECE("Cookie: a=b\r\n"),
    PIECE("Connection: keep-alive\r\n"),
};
static const struct piece good_line = PIECE("GET /free HTTP/1.1\r\nHost: localhost\r\n");
static const struct piece good_post =
    PIECE("POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");

static void put(struct strbuf *out, const struct piece *piece)
{
    strbuf_append(out, piece->text, piece->len);
}

#define ANY(table) (&(table)[pick(sizeof(table) / sizeof(*(table)))])

static void make(struct strbuf *out, uint32_t number)
{
    // the first rounds go through the tables, so that each entry is there
    uint32_t lines = sizeof(bad_lines) / sizeof(*bad_lines),
             fields = sizeof(bad_fields) / sizeof(*bad_fields);
    strbuf_reset(out);
    if (number < lines) {
        put(out, &bad_lines[number]);
    } else if (number < lines + 2 * fields) {
        put(out, (number - lines) % 2 ? &good_line : &good_post);
        put(out, ANY(good_fields));
        put(out, &bad_fields[(number - lines) / 2]);
    } else if (pick(2)) {
        put(out, ANY(bad_lines));
        put(out, ANY(good_fields));
        if (pick(2))
            put(out, ANY(bad_fields));
    } else {
        put(out, pick(2) ? &good_line : &good_post);
        for (uint32_t i = pick(3); i > 0; i--)
            put(out, ANY(good_fields));
        put(out, ANY(bad_fields));
        if (pick(2))
            put(out, ANY(bad_fields));
    }
    strbuf_puts(out, "\r\n");
    if (pick(3) == 0)
        strbuf_puts(out, "5\r\n{\"a\":");
}

static void expect_refusal(struct live *live, const struct strbuf *request, uint32_t number)
{
    bool closed;
    int fd = live_connect_unix(live);
    int64_t begin_ms = clock_ms();
    live_send(fd, request->data, request->len);
    shutdown(fd, SHUT_WR);
    AUTO_FREE char *answer = live_read_until(fd, NULL, &closed);
    int status = live_status(answer);
    if (!closed ||
        clock_ms() - begin_ms > PATIENCE_MS * 4) // wide for a loaded machine; a hang takes the whole patience
        fail_msg("request %u was neither refused nor closed: %s", number, request->data);
    if (answer[0] && (status < 400 || status > 599))
        fail_msg("request %u was answered %d: %s", number, status, request->data);
    close(fd);
}

static void test_grammar(void **state)
{
    struct live *live = *state;
    struct strbuf request = STRBUF_INIT(65536);
    for (uint32_t number = 0; number < REQUESTS; number++) {
        make(&request, number);
        expect_refusal(live, &request, number);
        if (live->executed != 0)
            fail_msg("request %u was executed: %s", number, request.data);
    }
    strbuf_free(&request);
    // and the server is well
    bool closed;
    AUTO_FREE char *answer =
        live_ask(live_connect_unix(live),
                 "GET /free HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &closed);
    assert_int_equal(live_status(answer), 200);
}

// An unknown framing is answered at once, although the client keeps its side open.
static void test_unknown_coding_is_answered_at_once(void **state)
{
    struct live *live = *state;
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    for (int i = 0; i < 3; i++) {
        bool closed;
        AUTO_FREE char *head = mem_printf(
            "%s /free HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: rot13\r\n\r\n", methods[i]);
        AUTO_FREE char *answer = live_ask(live_connect_unix(live), head, &closed);
        assert_int_equal(live_status(answer), 400);
        assert_non_null(strstr(answer, "\"code\":\"invalid-request\""));
        assert_true(closed);
    }
}

// What a page in a browser can send without asking: forms, images, a preflight.
static void test_cross_site(void **state)
{
    struct live *live = *state;
    static const char *const table[] = {
        "POST /json HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Type: "
        "text/plain\r\n"
        "Content-Length: 2\r\n\r\n{}",
        "POST /json HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Type: "
        "application/x-www-form-urlencoded\r\n"
        "Content-Length: 2\r\n\r\n{}",
        "POST /json HTTP/1.1\r\nHost: localhost\r\nReferer: http://evil.example/\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 2\r\n\r\n{}",
        "POST /json HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: "
        "2\r\n\r\n{}",
        "OPTIONS /json HTTP/1.1\r\nHost: localhost\r\nOrigin: "
        "http://evil.example\r\nAccess-Control-Request-Method: "
        "POST\r\n\r\n",
        "GET /free HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: "
        "no-cors\r\n\r\n",
        // without any sign of a browser, the body type alone stands in the way
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: "
        "2\r\nConnection: "
        "close\r\n\r\n{}",
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        bool closed;
        AUTO_FREE char *answer = live_ask(live_connect_unix(live), table[i], &closed);
        int status = live_status(answer);
        if (status != 403 && status != 421 && status != 415)
            fail_msg("%zu: %d", i, status);
        assert_null(strstr(answer, "Access-Control-Allow"));
    }
    assert_int_equal(live->executed, 0);
}

static void test_large_head(void **state)
{
    struct live *live = *state;
    static const int sizes[] = {17 * 1024, 31 * 1024, 64 * 1024, 1024 * 1024};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        bool closed;
        struct strbuf head = STRBUF_INIT(2 << 20);
        strbuf_puts(&head, "GET /free HTTP/1.1\r\nHost: localhost\r\n");
        while (head.len < (size_t)sizes[i])
            strbuf_printf(&head, "X-%zu: %0900d\r\n", head.len, 1);
        strbuf_puts(&head, "\r\n");
        AUTO_FREE char *answer = live_ask(live_connect_unix(live), head.data, &closed);
        int status = live_status(answer);
        if (answer[0] && status != 413 && status != 431)
            fail_msg("%d bytes: %d", sizes[i], status);
        strbuf_free(&head);
    }
    assert_int_equal(live->executed, 0);
}

#define LIVE_TEST(function) cmocka_unit_test_setup_teardown(function, live_setup, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVE_TEST(test_grammar),
        LIVE_TEST(test_unknown_coding_is_answered_at_once),
        LIVE_TEST(test_cross_site),
        LIVE_TEST(test_large_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
