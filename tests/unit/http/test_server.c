// SPDX-License-Identifier: Apache-2.0
//
// The live server over a unix socket and TCP: framing, keep-alive, late replies, streams, back-pressure,
// limits.
#include "http/live.h"

#include <sys/wait.h>

static char *ask_unix(struct live *live, const char *request)
{
    bool closed;
    char *answer = live_ask(live_connect_unix(live), request, &closed);
    assert_true(closed);
    return answer;
}

static void test_small_get(void **state)
{
    struct live *live = *state;
    AUTO_FREE char *answer = ask_unix(live, "GET /echo/abc?q=a%20b HTTP/1.1\r\nHost: "
                                            "localhost\r\nX-Request-Id: my-id\r\nConnection: close\r\n\r\n");
    assert_int_equal(live_status(answer), 200);
    AUTO_FREE char *body = mem_printf("\r\n\r\nabc|a b|%d|3", (int)getuid());
    assert_non_null(strstr(answer, body));
    assert_non_null(strstr(answer, "X-Request-Id: my-id\r\n"));
    assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none'"));
    assert_null(strstr(answer, "Access-Control"));
}

static void test_socket_mode(void **state)
{
    struct live *live = *state;
    struct stat info;
    assert_int_equal(stat(live->unix_path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0660);
}

static void test_keep_alive_after_problems(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    static const struct {
        const char *request;
        int status;
        const char *text;
    } table[] = {
        {"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "\"code\":\"not-found\""},
        {"DELETE /json HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "Allow: POST\r\n"},
        {"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
         415, "application/json"},
        {"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415, "Content-Type"},
        {"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
         "2\r\n\r\n{]",
         400, "\"code\":\"invalid-request\""},
        {"GET /free HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nxx", 415, "takes no body"},
        {"GET /free?a=%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "percent-encoding"},
        {"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-8\r\n"
         "Content-Length: 8\r\n\r\n{\"a\":17}",
         200, "{\"a\":17}"},
        {"GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "late\n"},
        {"GET /free HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "ok\n"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        live_send(fd, table[i].request, strlen(table[i].request));
        AUTO_FREE char *answer = live_read_until(fd, table[i].text, &closed);
        assert_int_equal(live_status(answer), table[i].status);
        assert_non_null(strstr(answer, table[i].text));
        while (recv(fd, answer, 100, MSG_DONTWAIT) > 0) // the rest of it
            ;
        assert_false(closed);
        usleep(2000);
        while (recv(fd, answer, 100, MSG_DONTWAIT) > 0)
            ;
    }
    close(fd);
}

// Where a chunked body ends is told by the library, which is lenient: nothing behind it is taken for a
// request.
static void test_chunked_body_is_the_last_of_its_connection(void **state)
{
    struct live *live = *state;
    bool closed;
    AUTO_FREE char *answer =
        live_ask(live_connect_unix(live),
                 "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n5\r\n\":17}\r\n0\r\n\r\n"
                 "GET /free HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 &closed);
    assert_int_equal(live_status(answer), 200);
    assert_non_null(strstr(answer, "{\"a\":17}"));
    assert_non_null(strstr(answer, "Connection: close"));
    assert_null(strstr(answer, "ok\n"));
    assert_true(closed);
    assert_int_equal(live->executed, 1);
}

static void test_pipelined(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    const char *text =
        "GET /echo/1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /echo/2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    live_send(fd, text, strlen(text));
    AUTO_FREE char *answer = live_read_until(fd, NULL, &closed);
    const char *first = strstr(answer, "1|-|"), *late = strstr(answer, "late\n"),
               *second = strstr(answer, "2|-|");
    assert_true(first && late && second && first < late && late < second);
    close(fd);
}

static void test_body_limit(void **state)
{
    struct live *live = *state;
    bool closed;
    size_t len = 2 << 20;
    AUTO_FREE char *body = mem_alloc(len);
    memset(body, ' ', len);
    static const char *const heads[] = {
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        "2097152\r\n\r\n",
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
        "chunked\r\n\r\n200000\r\n",
    };
    for (int i = 0; i < 2; i++) {
        int fd = live_connect_unix(live);
        live_send(fd, heads[i], strlen(heads[i]));
        live_send(fd, body, len);
        if (i == 1)
            live_send(fd, "\r\n0\r\n\r\n", 7);
        AUTO_FREE char *answer = live_read_until(fd, "too-large", &closed);
        assert_int_equal(live_status(answer), 413);
        close(fd);
    }
    // announced with Expect: refused before anything is sent
    int fd = live_connect_unix(live);
    const char *head =
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        "2097152\r\nExpect: 100-continue\r\n\r\n";
    AUTO_FREE char *answer = live_ask(fd, head, &closed);
    assert_int_equal(live_status(answer), 413);
    assert_int_equal(live->executed, 0);
}

static void test_expect_continue(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    const char *head =
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        "Expect: 100-continue\r\n\r\n";
    live_send(fd, head, strlen(head));
    AUTO_FREE char *first = live_read_until(fd, "\r\n\r\n", &closed);
    assert_int_equal(live_status(first), 100);
    live_send(fd, "{}", 2);
    AUTO_FREE char *answer = live_read_until(fd, "{}", &closed);
    assert_int_equal(live_status(answer), 200);
    close(fd);
}

static void test_slow_head_is_cut(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    live_send(fd, "GET /free HTTP/1.1\r\nHost: loc", 29);
    AUTO_FREE char *answer = live_read_until(fd, NULL, &closed);
    assert_true(closed);
    assert_string_equal(answer, "");
    close(fd);
}

// A byte now and then keeps no connection.
static void test_dripping_head_is_cut(void **state)
{
    struct live *live = *state;
    int fd = live_connect_unix(live);
    int64_t end_ms = clock_ms() + 5000;
    ssize_t sent = 1;
    while (sent == 1 && clock_ms() < end_ms) {
        sent = send(fd, "G", 1, MSG_NOSIGNAL);
        usleep(20000);
    }
    assert_int_equal(sent, -1);
    close(fd);
    assert_true(live_stats(live).cut >= 1);
}

static void test_slow_body_is_cut(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    const char *head = "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                       "application/json\r\nContent-Length: 9\r\n\r\n{";
    AUTO_FREE char *answer = live_ask(fd, head, &closed);
    assert_true(closed);
    assert_int_equal(live->executed, 0);
}

static void test_stream(void **state)
{
    struct live *live = *state;
    AUTO_FREE char *answer =
        ask_unix(live, "GET /ticks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_int_equal(live_status(answer), 200);
    for (int i = 1; i <= 10; i++) {
        AUTO_FREE char *line = mem_printf("tick %d\n", i);
        assert_non_null(strstr(answer, line));
    }
    assert_non_null(strstr(answer, "\r\n0\r\n\r\n"));
    LIVE_WAIT_FOR(live->closed_streams == 1);
    assert_int_equal(live_stats(live).streams, 0);
}

static void test_cut_stream_has_no_final_chunk(void **state)
{
    struct live *live = *state;
    AUTO_FREE char *answer = ask_unix(live, "GET /cut HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(answer, "tick 10\n"));
    assert_null(strstr(answer, "\r\n0\r\n\r\n"));
}

static void test_heartbeats_and_headers_at_once(void **state)
{
    struct live *live = *state;
    bool closed;
    int fd = live_connect_unix(live);
    const char *head = "GET /idle HTTP/1.1\r\nHost: localhost\r\n\r\n";
    live_send(fd, head, strlen(head));
    AUTO_FREE char *answer = live_read_until(fd, "\r\n\r\n", &closed);
    assert_int_equal(live_status(answer), 200);
    for (int i = 0; i < 3; i++) {
        AUTO_FREE char *beat = live_read_until(fd, "beat\n", &closed);
        assert_false(closed);
    }
    assert_int_equal(live_stats(live).streams, 1);
    close(fd);
    LIVE_WAIT_FOR(live->closed_streams == 1);
    assert_int_equal(live_stats(live).streams, 0);
}

static void test_dead_readers_are_found(void **state)
{
    struct live *live = *state;
    enum { READERS = 50 };
    int fds[READERS];
    bool closed;
    for (int i = 0; i < READERS; i++) {
        const char *head =
            "GET /idle HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " LIVE_TOKEN "\r\n\r\n";
        fds[i] = live_connect_tcp(live);
        AUTO_FREE char *text = mem_printf("GET /idle HTTP/1.1\r\nHost: localhost:%u\r\n%s", live->port,
                                          strstr(head, "Authorization"));
        live_send(fds[i], text, strlen(text));
        AUTO_FREE char *answer = live_read_until(fds[i], "\r\n\r\n", &closed);
        assert_int_equal(live_status(answer), 200);
    }
    assert_int_equal(live_stats(live).streams, READERS);
    for (int i = 0; i < READERS; i++) {
        struct linger reset = {.l_onoff = 1};
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fds[i]);
    }
    LIVE_WAIT_FOR(live->closed_streams == READERS);
    LIVE_WAIT_FOR(live_stats(live).connections == 0);
}

static void test_slow_reader_is_cut(void **state)
{
    struct live *live = *state;
    int fd = live_connect_unix(live);
    const char *head = "GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n";
    live_send(fd, head, strlen(head)); // and never reads
    LIVE_WAIT_FOR(live->closed_streams == 1);
    close(fd);
}

static void test_client_of_a_late_reply_leaves(void **state)
{
    struct live *live = *state;
    int fd = live_connect_unix(live);
    const char *head = "GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n";
    live_send(fd, head, strlen(head));
    LIVE_WAIT_FOR(live->executed == 1);
    close(fd);
    LIVE_WAIT_FOR(live->gone == 1);
}

static void test_stop_with_a_waiting_request(void **state)
{
    struct live *live = *state;
    int fd = live_connect_unix(live);
    const char *head = "GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n";
    live_send(fd, head, strlen(head));
    LIVE_WAIT_FOR(live->executed == 1);
    int idle = live_connect_unix(live);
    (void)idle, (void)fd; // teardown stops the server while both are open; the process must survive
}

static void upload(struct live *live, const char *framing, const char *end)
{
    bool closed;
    size_t len = 3 << 20;
    AUTO_FREE char *body = mem_calloc(1, len);
    AUTO_FREE char *head = mem_printf(
        "PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n%s", framing);
    int fd = live_connect_unix(live);
    live_send(fd, head, strlen(head));
    live_send(fd, body, len);
    live_send(fd, end, strlen(end));
    AUTO_FREE char *answer = live_read_until(fd, "3145728", &closed);
    assert_int_equal(live_status(answer), 201);
    close(fd);
}

static void test_streamed_body(void **state)
{
    upload(*state, "Content-Length: 3145728\r\n\r\n", "");
    upload(*state, "Transfer-Encoding: chunked\r\n\r\n300000\r\n", "\r\n0\r\n\r\n");
}

static void test_client_leaves_in_mid_body(void **state)
{
    struct live *live = *state;
    const char *head = "PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                       "Content-Length: 1000\r\n\r\nabc";
    int fd = live_connect_unix(live);
    live_send(fd, head, strlen(head));
    LIVE_WAIT_FOR(live->executed == 1);
    close(fd);
    LIVE_WAIT_FOR(live->uploaded == -1);
    assert_int_equal(live->gone, 1);
}

static void test_stale_and_used_sockets(void **state)
{
    struct live *live = *state;
    struct error err = ERROR_INIT;
    struct loop *loop = loop_new(&err);
    struct server_options options = {.loop = loop, .routes = live_routes};
    struct server *other = server_new(&options, &err);
    AUTO_FREE char *used = mem_printf("unix:%s", live->unix_path);
    AUTO_FREE char *stale = mem_printf("unix:%s/stale.sock", live->directory);
    AUTO_FREE char *file = mem_printf("unix:%s/token", live->directory);
    AUTO_FREE char *text = NULL;
    // one that another process serves, and one that is not a socket
    assert_int_equal(server_listen(other, used, &text, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    error_clear(&err);
    assert_int_equal(server_listen(other, file, &text, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    error_clear(&err);
    // one left behind
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, stale + 5, sizeof(address.sun_path) - 1);
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(left, (struct sockaddr *)&address, sizeof(address)), 0);
    close(left);
    assert_int_equal(server_listen(other, stale, &text, &err), 0);
    // TCP without a token, and beyond loopback
    static const char *const refused[] = {
        "tcp:127.0.0.1:0",    "tcp:0.0.0.0:0", "tcp:192.168.0.1:80",  "tcp:[::]:80",
        "tcp:example.org:80", "tcp:127.0.0.1", "tcp:127.0.0.1:99999", "http:x",
        "unix:relative"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        AUTO_FREE char *unused = NULL;
        assert_int_equal(server_listen(other, refused[i], &unused, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        error_clear(&err);
    }
    server_free(other);
    loop_free(loop);
}

static void test_descriptor_handed_over(void **state)
{
    struct live *live = *state;
    struct error err = ERROR_INIT;
    struct loop *loop = loop_new(&err);
    struct server_options options = {.loop = loop, .routes = live_routes};
    struct server *other = server_new(&options, &err);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/handed.sock", live->directory);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    AUTO_FREE char *text = NULL;
    assert_int_equal(server_listen_fd(other, dup(fd), &text, &err), -1); // does not listen yet
    error_clear(&err);
    listen(fd, 5);
    assert_int_equal(server_listen_fd(other, fd, &text, &err), 0);
    assert_non_null(strstr(text, "handed.sock"));
    server_free(other);
    loop_free(loop);
    assert_int_equal(access(address.sun_path, F_OK), 0); // not ours to remove
}

static void test_token(void **state)
{
    struct live *live = *state;
    bool closed;
    static const struct {
        const char *path, *authorization;
        int status;
    } table[] = {
        {"/free", "X: y", 200},
        {"/echo/a", "X: y", 401},
        {"/echo/a", "Authorization: Bearer wrong", 401},
        {"/echo/a", "Authorization: Bearer " LIVE_TOKEN "x", 401},
        {"/echo/a", "Authorization: Bearer ", 401},
        {"/echo/a", "Authorization: Bearer " LIVE_TOKEN, 200},
        {"/echo/a",
         "Authorization: Basic eDphLXRva2VuLW9mLXRoaXMtdGVzdA==", 200}, // the page's way in, page paths only
        {"/late", "Authorization: Basic eDphLXRva2VuLW9mLXRoaXMtdGVzdA==", 401},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        AUTO_FREE char *head =
            mem_printf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\nConnection: close\r\n\r\n",
                       table[i].path, live->port, table[i].authorization);
        AUTO_FREE char *answer = live_ask(live_connect_tcp(live), head, &closed);
        assert_int_equal(live_status(answer), table[i].status);
        if (table[i].status == 401)
            assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
    }
}

static void test_token_guessing_is_limited(void **state)
{
    struct live *live = *state;
    bool closed;
    int limited = 0;
    AUTO_FREE char *right =
        mem_printf("GET /echo/a HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\n\r\n",
                   live->port, LIVE_TOKEN);
    int trusted = live_connect_tcp(live);
    live_send(trusted, right, strlen(right));
    free(live_read_until(trusted, "a|-|", &closed));
    for (int i = 0; i < 110; i++) {
        AUTO_FREE char *head = mem_printf(
            "GET /echo/a HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer guess%d\r\nConnection: "
            "close\r\n\r\n",
            live->port, i);
        AUTO_FREE char *answer = live_ask(live_connect_tcp(live), head, &closed);
        limited += live_status(answer) == 429 && strstr(answer, "Retry-After: 1\r\n");
    }
    assert_true(limited >= 1);
    // who has shown the token already goes on
    live_send(trusted, right, strlen(right));
    AUTO_FREE char *answer = live_read_until(trusted, "a|-|", &closed);
    assert_int_equal(live_status(answer), 200);
    close(trusted);
}

// Runs in a child: asks as another user and returns the status.
static int ask_as_nobody(struct live *live, const char *head)
{
    bool closed;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    AUTO_FREE char *answer = live_ask(live_connect_unix(live), head, &closed);
    return live_status(answer) / 100 * 10 + live_status(answer) % 10;
}

static int in_child(struct live *live, const char *head)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask_as_nobody(live, head));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Who asks is what the kernel says: the daemon's own user is admin, another one may submit.
static void test_rights_of_peers(void **state)
{
    struct live *live = *state;
    const char *admin = "POST /admin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const char *submit =
        "POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        "2\r\nConnection: close\r\n\r\n{}";
    AUTO_FREE char *answer = ask_unix(live, admin);
    assert_int_equal(live_status(answer), 200);
    if (geteuid() != 0)
        return; // only root can become somebody else
    assert_int_equal(chmod(live->directory, 0755), 0);
    assert_int_equal(chmod(live->unix_path, 0666), 0);
    assert_int_equal(in_child(live, admin), 43);  // 403
    assert_int_equal(in_child(live, submit), 20); // 200
}

static void test_quiesced(void **state)
{
    struct live *live = *state;
    struct error err = ERROR_INIT;
    struct loop *loop = loop_new(&err);
    struct server_options options = {.loop = loop, .routes = live_routes};
    struct server *other = server_new(&options, &err);
    AUTO_FREE char *address = mem_printf("unix:%s/quiet.sock", live->directory);
    AUTO_FREE char *text = NULL;
    assert_int_equal(server_listen(other, address, &text, &err), 0);
    server_quiesce(other);
    assert_int_equal(access(address + 5, F_OK), -1);
    server_quiesce(other);
    server_free(other);
    loop_free(loop);
}

#define LIVE_TEST(function) cmocka_unit_test_setup_teardown(function, live_setup, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVE_TEST(test_small_get),
        LIVE_TEST(test_socket_mode),
        LIVE_TEST(test_keep_alive_after_problems),
        LIVE_TEST(test_chunked_body_is_the_last_of_its_connection),
        LIVE_TEST(test_pipelined),
        LIVE_TEST(test_body_limit),
        LIVE_TEST(test_expect_continue),
        LIVE_TEST(test_slow_head_is_cut),
        LIVE_TEST(test_dripping_head_is_cut),
        LIVE_TEST(test_slow_body_is_cut),
        LIVE_TEST(test_stream),
        LIVE_TEST(test_cut_stream_has_no_final_chunk),
        LIVE_TEST(test_heartbeats_and_headers_at_once),
        LIVE_TEST(test_dead_readers_are_found),
        LIVE_TEST(test_slow_reader_is_cut),
        LIVE_TEST(test_client_of_a_late_reply_leaves),
        LIVE_TEST(test_stop_with_a_waiting_request),
        LIVE_TEST(test_streamed_body),
        LIVE_TEST(test_client_leaves_in_mid_body),
        LIVE_TEST(test_stale_and_used_sockets),
        LIVE_TEST(test_descriptor_handed_over),
        LIVE_TEST(test_token),
        LIVE_TEST(test_token_guessing_is_limited),
        LIVE_TEST(test_rights_of_peers),
        LIVE_TEST(test_quiesced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
