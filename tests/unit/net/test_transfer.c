// SPDX-License-Identifier: Apache-2.0
//
// transfer between scripted servers: one source, n targets, and everything that can go wrong on the way.
#include "net_test.h"

enum { BLOB_BYTES = 3 << 20 };

// One scripted registry for both sides: GET /blob serves `bytes` with the faults below, PUT /up takes a body.
struct registry {
    char *bytes;
    size_t len;
    size_t cut_at; // GET: reset after so many bytes, `cuts` times
    int cuts;
    int lie_from;           // GET: and so on from this one (the last byte is wrong)
    size_t pause_at;        // GET: a moment of silence after so many bytes
    bool lie_at_end;        // GET: the last byte is wrong
    const char *range_mode; // "ok", "ignore" (200 from 0), "shift" (wrong start), "total", "silent" (no
                            // Content-Range), "two"
    size_t extra;           // GET: more bytes than there are
    bool chunked;
    int put_status;       // 0: 201
    size_t put_answer_at; // answers after so many bytes (0: all)
    bool put_reset;       // … or resets there
    bool put_ignore;      // … or reads nothing any more
    int puts_done;        // whole bodies received
    atomic_int gets;
    atomic_size_t put_bytes;
    atomic_int put_matches;
    int unauthorized; // PUT: the first n answers are 401
    bool redirect;    // GET: 307 to /cdn
    bool early;       // PUT: 201 before the body
};

static void serve_bytes(struct scripted_connection *c, struct registry *reg, size_t from)
{
    size_t end = reg->len;
    int get = atomic_fetch_add(&reg->gets, 1);
    if (get < reg->cuts) {
        end = from + reg->cut_at < end ? from + reg->cut_at : end;
        scripted_send(c, reg->bytes + from, end - from);
        scripted_reset(c);
        usleep(1000); // lets the bytes arrive before the reset overtakes them
        return;
    }
    if (reg->pause_at) {
        scripted_send(c, reg->bytes + from, reg->pause_at);
        usleep(30000);
        from += reg->pause_at;
    }
    scripted_send(c, reg->bytes + from, end - from - 1);
    bool lie = reg->lie_at_end || (reg->lie_from && get >= reg->lie_from);
    char last = (char)(reg->bytes[end - 1] ^ (lie ? 1 : 0));
    scripted_send(c, &last, 1);
    for (size_t i = 0; i < reg->extra; i++)
        scripted_send(c, "+", 1);
}

static void send_head(struct scripted_connection *c, struct registry *reg, size_t from, bool partial)
{
    size_t total = reg->len, start = from;
    if (!partial) {
        scripted_printf(c, "HTTP/1.1 200 OK\r\n");
    } else {
        if (strcmp(reg->range_mode, "shift") == 0)
            start++;
        if (strcmp(reg->range_mode, "total") == 0)
            total++;
        scripted_printf(c, "HTTP/1.1 206 Partial Content\r\n");
        if (strcmp(reg->range_mode, "silent") != 0)
            scripted_printf(c, "Content-Range: bytes %zu-%zu/%zu\r\n", start, total - 1, total);
        if (strcmp(reg->range_mode, "two") == 0)
            scripted_printf(c, "Content-Range: bytes %zu-%zu/%zu\r\n", start, total - 1, total);
    }
    scripted_printf(c, "Content-Length: %zu\r\n\r\n", reg->len - from);
}

static void get_blob(struct scripted_connection *c, struct scripted_request *r, struct registry *reg)
{
    char text[64];
    size_t from = 0;
    if (reg->redirect && strcmp(r->target, "/cdn") != 0) {
        scripted_reply(c, "307 Elsewhere", "Location: /cdn\r\n", "", 0);
        return;
    }
    bool ranged = scripted_header(r, "Range", text, sizeof text) != NULL;
    if (ranged && strcmp(reg->range_mode, "ignore") != 0)
        from = strtoul(text + strlen("bytes="), NULL, 10);
    bool partial = ranged && strcmp(reg->range_mode, "ignore") != 0;
    if (reg->chunked)
        scripted_printf(c, "HTTP/1.1 200 OK\r\n\r\n");
    else
        send_head(c, reg, from, partial);
    serve_bytes(c, reg, from);
    if (reg->chunked || reg->extra)
        scripted_close(c);
}

static void take_put(struct scripted_connection *c, struct scripted_request *r, struct registry *reg)
{
    size_t want = scripted_content_length(r);
    if (reg->early) {
        scripted_reply(c, "201 Created", "", "", 0);
        scripted_take_body(c, r);
        return;
    }
    if (reg->put_answer_at) {
        scripted_take_some(c, r, reg->put_answer_at < want ? reg->put_answer_at : want);
        reg->put_bytes += r->body_len;
        if (reg->put_ignore)
            scripted_ignore(c);
        else if (reg->put_reset)
            scripted_reset(c);
        else
            scripted_reply(c, "507 Full", "", "full", 4);
        scripted_close(c);
        return;
    }
    scripted_take_body(c, r);
    reg->put_bytes += r->body_len;
    if (r->body_len < want)
        return;
    if (reg->unauthorized-- > 0) {
        scripted_reply(c, "401 No", "WWW-Authenticate: Bearer realm=\"x\"\r\n", "", 0);
        return;
    }
    __atomic_fetch_add(&reg->puts_done, 1, __ATOMIC_SEQ_CST);
    if (reg->bytes && r->body_len == reg->len && memcmp(r->body, reg->bytes, reg->len) == 0)
        reg->put_matches++;
    scripted_reply(c, reg->put_status ? "503 Busy" : "201 Created", "X-Made: 1\r\n", "", 0);
}

static void registry(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct registry *reg = arg;
    if (strcmp(r->method, "GET") == 0)
        get_blob(c, r, reg);
    else
        take_put(c, r, reg);
}

struct memory_sink {
    struct sink sink;
    char *bytes;
    size_t len, capacity, fail_at;
};

static int memory_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    if (m->fail_at && m->len + len >= m->fail_at)
        return error_set(err, ERR_NO_SPACE, "the disk is full");
    assert_true(m->len + len <= m->capacity);
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
    return 0;
}

static const struct sink_ops memory_ops = {.write = memory_write};

struct set_up {
    struct net_fixture *f;
    struct registry source, target[3];
    struct scripted_server *from, *to[3];
    struct memory_sink sink;
    struct transfer *transfer;
    struct digest digest;
};

static struct set_up *set_up_limits(size_t len, const struct transport_options *limits)
{
    struct set_up *t = calloc(1, sizeof *t);
    t->f = net_fixture_new(limits);
    t->source.bytes = net_bytes(len, 77);
    t->source.len = len;
    t->source.range_mode = "ok";
    digest_of(&t->digest, DIGEST_SHA256, t->source.bytes, len);
    t->from = scripted_start(registry, &t->source);
    for (int i = 0; i < 3; i++) {
        t->target[i].bytes = t->source.bytes;
        t->target[i].len = len;
        t->to[i] = scripted_start(registry, &t->target[i]);
    }
    t->sink = (struct memory_sink){.sink.ops = &memory_ops, .bytes = malloc(len + 1), .capacity = len};
    return t;
}

static struct set_up *set_up_new(size_t len)
{
    return set_up_limits(len, NULL);
}

static void set_up_free(struct set_up *t)
{
    transfer_free(t->transfer);
    scripted_free(t->from);
    for (int i = 0; i < 3; i++)
        scripted_free(t->to[i]);
    net_fixture_free(t->f);
    free(t->source.bytes);
    free(t->sink.bytes);
    free(t);
}

static int open_source(struct set_up *t, int64_t size)
{
    struct http_call get = net_call(t->from, "GET", "/blob");
    net_fixture_clear(t->f);
    t->transfer = transfer_new(t->f->transport, t->f->hosts, &t->digest, size, &t->f->monitor);
    int rc = transfer_open_get(t->transfer, &get, NULL, &t->f->answer, &t->f->err);
    http_call_clear(&get);
    return rc;
}

static void add_put(struct set_up *t, int i, struct authorizer *authorizer)
{
    struct http_call put = net_call(t->to[i], "PUT", "/up?digest=x");
    transfer_add_put(t->transfer, &put, authorizer, authorizer != NULL);
    http_call_clear(&put);
}

static int run(struct set_up *t)
{
    net_fixture_clear(t->f);
    return transfer_run(t->transfer, &t->f->err);
}

// 0 and the status, or -1 with the error in the fixture.
static int result(struct set_up *t, int target, int *ret_status)
{
    const struct http_answer *answer;
    net_fixture_clear(t->f);
    int rc = transfer_result(t->transfer, target, &answer, &t->f->err);
    *ret_status = rc == 0 && answer ? answer->status : 0;
    return rc;
}

static void assert_created(struct set_up *t, int target, int server)
{
    int status;
    int rc = result(t, target, &status);
    if (rc != 0)
        fail_msg("target %d: %s", target, t->f->err.detail);
    assert_int_equal(status, 201);
    assert_int_equal(t->target[server].put_matches, 1);
}

static void test_one_to_three_and_a_sink(void **state)
{
    static const size_t sizes[] = {1, 2, 1000, 16384, 262144, 1 << 20, (1 << 20) + 1, BLOB_BYTES, 10000001};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct set_up *t = set_up_new(sizes[i]);
        int status;
        assert_int_equal(open_source(t, (int64_t)sizes[i]), 0);
        assert_int_equal(t->f->answer.status, 200);
        for (int k = 0; k < 3; k++)
            add_put(t, k, NULL);
        assert_int_equal(transfer_add_sink(t->transfer, &t->sink.sink), 3);
        assert_int_equal(run(t), 0);
        for (int k = 0; k < 3; k++)
            assert_created(t, k, k);
        assert_int_equal(result(t, 3, &status), 0);
        assert_int_equal(t->sink.len, sizes[i]);
        assert_memory_equal(t->sink.bytes, t->source.bytes, sizes[i]);
        assert_int_equal(t->source.gets, 1);
        assert_int_equal(t->f->monitor.bytes_received, sizes[i]);
        assert_int_equal(t->f->monitor.bytes_sent, 3 * sizes[i]);
        assert_int_equal(t->f->monitor.current, sizes[i]);
        set_up_free(t);
    }
}

// An empty body whose end comes late.
static void nothing(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct set_up *t = arg;
    (void)r;
    scripted_printf(c, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 20 && scripted_count(t->to[0]) == 0; i++)
        usleep(5000);
    scripted_close(c);
}

static void test_empty_blob(void **state)
{
    struct set_up *t = set_up_new(0);
    (void)state;
    scripted_free(t->from);
    t->source.len = 0;
    struct reader_at *reader = reader_at_bytes("", 0);
    t->from = scripted_start(registry, &t->source);
    t->transfer = transfer_new(t->f->transport, t->f->hosts, &t->digest, 0, NULL);
    assert_int_equal(transfer_open_reader(t->transfer, reader, &t->f->err), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), 0);
    assert_created(t, 0, 0);
    transfer_free(t->transfer);
    // content that is not the empty blob never gets as far as a request
    digest_of(&t->digest, DIGEST_SHA256, "x", 1);
    t->transfer = transfer_new(t->f->transport, t->f->hosts, &t->digest, 0, NULL);
    assert_int_equal(transfer_open_reader(t->transfer, reader, &t->f->err), 0);
    add_put(t, 1, NULL);
    assert_int_equal(run(t), -1);
    assert_int_equal(t->f->err.code, ERR_DIGEST_MISMATCH);
    assert_int_equal(scripted_count(t->to[1]), 0);
    reader_at_close(reader);
    set_up_free(t);
    // nor from another registry
    t = set_up_new(0);
    digest_of(&t->digest, DIGEST_SHA256, "x", 1);
    scripted_free(t->from);
    t->from = scripted_start(nothing, t);
    assert_int_equal(open_source(t, 0), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), -1);
    assert_int_equal(t->f->err.code, ERR_DIGEST_MISMATCH);
    assert_int_equal(scripted_count(t->to[0]), 0);
    set_up_free(t);
}

// A local copy needs no network at all.
static void test_reader_to_sinks(void **state)
{
    struct memory_sink sinks[2];
    struct error err = ERROR_INIT;
    struct digest digest;
    const struct http_answer *answer;
    char *bytes = net_bytes(BLOB_BYTES, 9);
    struct reader_at *reader = reader_at_bytes(bytes, BLOB_BYTES);
    (void)state;
    digest_of(&digest, DIGEST_SHA512, bytes, BLOB_BYTES);
    struct transfer *transfer = transfer_new(NULL, NULL, &digest, BLOB_BYTES, NULL);
    assert_int_equal(transfer_open_reader(transfer, reader, &err), 0);
    for (int i = 0; i < 2; i++) {
        sinks[i] = (struct memory_sink){
            .sink.ops = &memory_ops, .bytes = malloc(BLOB_BYTES), .capacity = BLOB_BYTES};
        transfer_add_sink(transfer, &sinks[i].sink);
    }
    assert_int_equal(transfer_run(transfer, &err), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(transfer_result(transfer, i, &answer, &err), 0);
        assert_int_equal(sinks[i].len, BLOB_BYTES);
        assert_memory_equal(sinks[i].bytes, bytes, BLOB_BYTES);
        free(sinks[i].bytes);
    }
    transfer_free(transfer);
    reader_at_close(reader);
    free(bytes);
}

static void test_reader_source(void **state)
{
    struct set_up *t = set_up_new(BLOB_BYTES);
    struct reader_at *reader = reader_at_bytes(t->source.bytes, BLOB_BYTES);
    (void)state;
    t->transfer = transfer_new(t->f->transport, t->f->hosts, &t->digest, -1, &t->f->monitor);
    assert_int_equal(transfer_open_reader(t->transfer, reader, &t->f->err), 0);
    for (int k = 0; k < 3; k++)
        add_put(t, k, NULL);
    assert_int_equal(run(t), 0);
    for (int k = 0; k < 3; k++)
        assert_created(t, k, k);
    assert_int_equal(t->f->monitor.bytes_received, 0);
    reader_at_close(reader);
    set_up_free(t);
}

// The rule that matters most: what is not verified is complete nowhere.
static void test_lying_source_publishes_nothing(void **state)
{
    (void)state;
    for (int local = 0; local < 2; local++) {
        struct set_up *t = set_up_new(BLOB_BYTES);
        struct reader_at *reader = NULL;
        int status;
        t->source.lie_at_end = true;
        if (local) {
            t->source.bytes[BLOB_BYTES / 2] ^= 1;
            reader = reader_at_bytes(t->source.bytes, BLOB_BYTES);
            t->transfer = transfer_new(t->f->transport, t->f->hosts, &t->digest, BLOB_BYTES, NULL);
            assert_int_equal(transfer_open_reader(t->transfer, reader, &t->f->err), 0);
        } else {
            assert_int_equal(open_source(t, BLOB_BYTES), 0);
        }
        for (int k = 0; k < 3; k++)
            add_put(t, k, NULL);
        transfer_add_sink(t->transfer, &t->sink.sink);
        assert_int_equal(run(t), -1);
        assert_int_equal(t->f->err.code, ERR_DIGEST_MISMATCH);
        assert_non_null(strstr(t->f->err.detail, t->digest.text));
        for (int k = 0; k < 4; k++) {
            assert_int_equal(result(t, k, &status), -1);
            assert_int_equal(t->f->err.code, ERR_DIGEST_MISMATCH);
        }
        for (int k = 0; k < 3; k++) {
            scripted_stop(t->to[k]);
            assert_int_equal(t->target[k].puts_done, 0);
        }
        assert_true(t->sink.len < BLOB_BYTES);
        reader_at_close(reader);
        set_up_free(t);
    }
}

static void test_wrong_lengths(void **state)
{
    (void)state;
    // Content-Length tells at once
    struct set_up *t = set_up_new(1000);
    assert_int_equal(open_source(t, 999), -1);
    assert_int_equal(t->f->err.code, ERR_REGISTRY_PROTOCOL);
    set_up_free(t);
    // no Content-Length, more bytes than the size
    t = set_up_new(BLOB_BYTES);
    t->source.chunked = true;
    t->source.extra = 5;
    assert_int_equal(open_source(t, BLOB_BYTES), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), -1);
    assert_int_equal(t->f->err.code, ERR_REGISTRY_PROTOCOL);
    scripted_stop(t->to[0]);
    assert_int_equal(t->target[0].puts_done, 0);
    set_up_free(t);
    // size not known to us: digest decides
    t = set_up_new(BLOB_BYTES);
    t->source.chunked = true;
    int status;
    assert_int_equal(open_source(t, -1), 0);
    transfer_add_sink(t->transfer, &t->sink.sink);
    assert_int_equal(run(t), 0);
    assert_int_equal(result(t, 0, &status), 0);
    assert_int_equal(t->sink.len, BLOB_BYTES);
    set_up_free(t);
    // an upload of unknown length is refused, not sent
    t = set_up_new(1000);
    assert_int_equal(open_source(t, -1), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), 0);
    assert_int_equal(result(t, 0, &status), -1);
    assert_int_equal(scripted_count(t->to[0]), 0);
    set_up_free(t);
}

//
static void test_r92_broken_download_is_resumed(void **state)
{
    static const char *const modes[] = {"ok", "ignore"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct set_up *t = set_up_new(BLOB_BYTES);
        t->source.cuts = 2;
        t->source.cut_at = 1200000;
        t->source.range_mode = modes[i];
        t->source.redirect = true; // the registry is asked again, not the place it led to
        assert_int_equal(open_source(t, BLOB_BYTES), 0);
        for (int k = 0; k < 3; k++)
            add_put(t, k, NULL);
        if (run(t) != 0)
            fail_msg("%s", t->f->err.detail);
        for (int k = 0; k < 3; k++)
            assert_created(t, k, k);
        assert_int_equal(t->source.gets, 3);
        assert_int_equal(scripted_count(t->from), 6);
        assert_int_equal(t->f->monitor.retries, 2);
        set_up_free(t);
    }
}

static void test_a_source_that_keeps_breaking(void **state)
{
    struct set_up *t = set_up_new(BLOB_BYTES);
    int status;
    (void)state;
    t->source.cuts = 1000;
    t->source.cut_at = 1000;
    assert_int_equal(open_source(t, BLOB_BYTES), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), -1);
    assert_int_equal(t->f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_true(t->f->err.retryable);
    assert_true(t->source.gets <= 6);
    assert_int_equal(result(t, 0, &status), -1);
    scripted_stop(t->to[0]);
    assert_int_equal(t->target[0].puts_done, 0);
    set_up_free(t);
}

static void test_r93_wrong_ranges_are_refused(void **state)
{
    static const char *const modes[] = {"shift", "total", "silent", "two"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct set_up *t = set_up_new(BLOB_BYTES);
        t->source.cuts = 1;
        t->source.cut_at = 100000;
        t->source.range_mode = modes[i];
        assert_int_equal(open_source(t, BLOB_BYTES), 0);
        add_put(t, 0, NULL);
        assert_int_equal(run(t), -1);
        assert_int_equal(t->f->err.code, ERR_REGISTRY_PROTOCOL);
        set_up_free(t);
    }
}

static void test_one_target_fails(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct set_up *t = set_up_new(BLOB_BYTES);
        int status;
        if (how == 0)
            t->target[1].put_status = 503;
        t->target[1].put_answer_at = how ? 200000 : 0;
        t->target[1].put_reset = how == 2;
        assert_int_equal(open_source(t, BLOB_BYTES), 0);
        for (int k = 0; k < 3; k++)
            add_put(t, k, NULL);
        if (how == 3) { // nobody listens there
            scripted_stop(t->to[1]);
        }
        assert_int_equal(run(t), 0);
        assert_created(t, 0, 0);
        assert_created(t, 2, 2);
        int rc = result(t, 1, &status);
        if (how == 0)
            assert_int_equal(status, 503);
        else if (how == 1 && rc == 0)
            assert_int_equal(status, 507);
        else
            assert_int_equal(t->f->err.code, ERR_REGISTRY_UNREACHABLE);
        assert_int_equal(t->source.gets, 1);
        set_up_free(t);
    }
}

static void test_a_sink_that_fails(void **state)
{
    struct set_up *t = set_up_new(BLOB_BYTES);
    int status;
    (void)state;
    t->sink.fail_at = 1000000;
    assert_int_equal(open_source(t, BLOB_BYTES), 0);
    transfer_add_sink(t->transfer, &t->sink.sink);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), 0);
    assert_int_equal(result(t, 0, &status), -1);
    assert_int_equal(t->f->err.code, ERR_NO_SPACE);
    assert_int_equal(result(t, 1, &status), 0);
    set_up_free(t);
    // the only one: the source is not read to its end
    t = set_up_new(64 << 20);
    t->sink.fail_at = 1000000;
    assert_int_equal(open_source(t, 64 << 20), 0);
    transfer_add_sink(t->transfer, &t->sink.sink);
    assert_int_equal(run(t), 0);
    assert_int_equal(result(t, 0, &status), -1);
    assert_true(t->f->monitor.bytes_received < 32 << 20);
    set_up_free(t);
}

static void test_a_success_that_comes_too_early(void **state)
{
    struct set_up *t = set_up_new(8 << 20);
    int status;
    (void)state;
    t->target[0].early = true;
    assert_int_equal(open_source(t, 8 << 20), 0);
    add_put(t, 0, NULL);
    run(t);
    assert_int_equal(result(t, 0, &status), -1);
    assert_int_equal(t->f->err.code, ERR_REGISTRY_PROTOCOL);
    set_up_free(t);
}

// A target that takes nothing any more gets a connection of its own; the others are done long before it is
// given up.
static void test_laggard_is_parted(void **state)
{
    struct transport_options limits = {.stall_window_ms = 700, .first_byte_ms = 20000};
    struct set_up *t = set_up_limits(24 << 20, &limits);
    int status;
    (void)state;
    t->target[1].put_answer_at = 1;
    t->target[1].put_ignore = true;
    assert_int_equal(open_source(t, 24 << 20), 0);
    transfer_set_lag(t->transfer, 1);
    for (int k = 0; k < 3; k++)
        add_put(t, k, NULL);
    assert_int_equal(run(t), 0);
    assert_created(t, 0, 0);
    assert_created(t, 2, 2);
    assert_int_equal(result(t, 1, &status), -1);
    assert_non_null(strstr(t->f->err.detail, "stalled"));
    assert_true(t->source.gets >= 2);
    set_up_free(t);
}

static void slow_put(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct registry *reg = arg;
    for (size_t want = scripted_content_length(r); r->body_len < want && !c->closing;) {
        scripted_take_some(c, r, want - r->body_len < 1 << 20 ? want - r->body_len : 1 << 20);
        usleep(10000);
    }
    if (r->body_len == reg->len && memcmp(r->body, reg->bytes, reg->len) == 0)
        reg->put_matches++;
    scripted_reply(c, "201 Created", "", "", 0);
}

static void test_slow_target_gets_it_all(void **state)
{
    struct set_up *t = set_up_new(24 << 20);
    (void)state;
    scripted_free(t->to[1]);
    t->to[1] = scripted_start(slow_put, &t->target[1]);
    assert_int_equal(open_source(t, 24 << 20), 0);
    transfer_set_lag(t->transfer, 1);
    for (int k = 0; k < 3; k++)
        add_put(t, k, NULL);
    assert_int_equal(run(t), 0);
    for (int k = 0; k < 3; k++)
        assert_created(t, k, k);
    assert_true(t->source.gets <= 3);
    set_up_free(t);
}

// Takes its time until the others are done, which they cannot be unless it is parted from them.
static void waiting_put(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct set_up *t = arg;
    scripted_take_some(c, r, 100000);
    while (!c->server->stopping && (!t->target[0].put_matches || !t->target[2].put_matches))
        usleep(5000);
    scripted_take_body(c, r);
    t->target[1].put_matches +=
        r->body_len == t->source.len && memcmp(r->body, t->source.bytes, r->body_len) == 0;
    if (r->body_len == t->source.len)
        scripted_reply(c, "201 Created", "", "", 0);
}

// What a parted target gets is verified, too – all of it, not only its own part.
static void test_second_download_is_verified(void **state)
{
    (void)state;
    for (int lies = 0; lies < 2; lies++) {
        struct set_up *t = set_up_new(24 << 20);
        int status;
        t->source.lie_from = lies;
        scripted_free(t->to[1]);
        t->to[1] = scripted_start(waiting_put, t);
        assert_int_equal(open_source(t, 24 << 20), 0);
        transfer_set_lag(t->transfer, 50);
        for (int k = 0; k < 3; k++)
            add_put(t, k, NULL);
        assert_int_equal(run(t), 0);
        assert_created(t, 0, 0);
        assert_created(t, 2, 2);
        if (!lies) {
            assert_created(t, 1, 1);
        } else {
            assert_int_equal(result(t, 1, &status), -1);
            assert_int_equal(t->f->err.code, ERR_DIGEST_MISMATCH);
            scripted_stop(t->to[1]);
            assert_int_equal(t->target[1].put_matches, 0);
            assert_true(t->to[1]->requests[0]->body_len < 24 << 20);
        }
        set_up_free(t);
    }
}

struct token_authorizer {
    struct authorizer authorizer;
    int authorized, challenged;
};

static int give_token(struct authorizer *a, const struct url *url, struct monitor *monitor,
                      struct secret **ret, struct error *err)
{
    char text[32];
    (void)url;
    (void)monitor;
    (void)err;
    snprintf(text, sizeof text, "Bearer t%d", ((struct token_authorizer *)a)->challenged);
    ((struct token_authorizer *)a)->authorized++;
    *ret = secret_new(text);
    return 0;
}

static int take_challenge(struct authorizer *a, const struct url *url, const struct http_answer *answer,
                          struct monitor *monitor, struct error *err)
{
    (void)url;
    (void)monitor;
    (void)err;
    assert_int_equal(answer->status, 401);
    ((struct token_authorizer *)a)->challenged++;
    return 1;
}

static const struct authorizer_ops token_ops = {.authorize = give_token, .challenge = take_challenge};

// a token dies in the middle of an upload. The upload begins again, from the ring or with its own
// download.
static void test_challenge_of_an_upload(void **state)
{
    static const size_t sizes[] = {100000, 700000, BLOB_BYTES};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct set_up *t = set_up_new(sizes[i]);
        struct token_authorizer a = {.authorizer.ops = &token_ops};
        t->target[0].unauthorized = 1;
        t->source.pause_at = sizes[i] / 2;
        assert_int_equal(open_source(t, (int64_t)sizes[i]), 0);
        add_put(t, 0, &a.authorizer);
        add_put(t, 1, NULL);
        assert_int_equal(run(t), 0);
        assert_created(t, 0, 0);
        assert_created(t, 1, 1);
        assert_int_equal(a.challenged, 1);
        assert_int_equal(t->source.gets, i < 2 ? 1 : 2);
        assert_true(scripted_saw(t->to[0], "Authorization: Bearer t0\r\n"));
        assert_true(scripted_saw(t->to[0], "Authorization: Bearer t1\r\n"));
        assert_false(scripted_saw(t->to[1], "Authorization"));
        set_up_free(t);
    }
    // 401 for ever
    struct set_up *t = set_up_new(100000);
    struct token_authorizer a = {.authorizer.ops = &token_ops};
    int status;
    t->target[0].unauthorized = 100;
    assert_int_equal(open_source(t, 100000), 0);
    add_put(t, 0, &a.authorizer);
    assert_int_equal(run(t), 0);
    assert_int_equal(result(t, 0, &status), 0);
    assert_int_equal(status, 401);
    assert_int_equal(scripted_count(t->to[0]), 3);
    set_up_free(t);
}

static void redirect_put(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    char location[128];
    struct set_up *t = arg;
    if (strncmp(r->target, "/up", 3) != 0) {
        take_put(c, r, &t->target[0]);
        return;
    }
    if (t->source.redirect)
        snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/other\r\n", t->to[1]->port);
    else
        snprintf(location, sizeof location, "Location: /other\r\n");
    scripted_reply(c, "307 Elsewhere", location, "", 0);
    scripted_take_body(c, r);
}

//
static void test_redirected_upload(void **state)
{
    (void)state;
    for (int away = 0; away < 2; away++) {
        struct set_up *t = set_up_new(200000);
        int status;
        t->source.redirect = away;
        scripted_free(t->to[0]);
        t->to[0] = scripted_start(redirect_put, t);
        assert_int_equal(open_source(t, 200000), 0);
        add_put(t, 0, NULL);
        assert_int_equal(run(t), 0);
        if (!away) {
            assert_created(t, 0, 0);
        } else {
            assert_int_equal(result(t, 0, &status), -1);
            assert_int_equal(t->f->err.code, ERR_REGISTRY_PROTOCOL);
            assert_int_equal(scripted_count(t->to[1]), 0);
        }
        set_up_free(t);
    }
}

static void missing(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)r;
    (void)arg;
    scripted_reply(c, "404 Not Found", "", "{}", 2);
}

static void test_source_that_has_it_not(void **state)
{
    struct set_up *t = set_up_new(1000);
    (void)state;
    scripted_free(t->from);
    t->from = scripted_start(missing, NULL);
    assert_int_equal(open_source(t, 1000), 0);
    assert_int_equal(t->f->answer.status, 404);
    assert_string_equal(t->f->answer.body, "{}");
    set_up_free(t);
}

static void hang_half(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct set_up *t = arg;
    (void)r;
    scripted_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", t->source.len);
    scripted_send(c, t->source.bytes, t->source.len / 2);
    atomic_store(&t->f->monitor.cancelled, true);
    scripted_hang(c);
}

static void test_cancel(void **state)
{
    struct set_up *t = set_up_new(BLOB_BYTES);
    int status;
    (void)state;
    scripted_free(t->from);
    t->from = scripted_start(hang_half, t);
    int rc = open_source(t, BLOB_BYTES);
    if (rc == 0) {
        add_put(t, 0, NULL);
        assert_int_equal(run(t), -1);
        assert_int_equal(t->f->err.code, ERR_CANCELLED);
        assert_int_equal(result(t, 0, &status), -1);
        assert_int_equal(t->f->err.code, ERR_CANCELLED);
    } else {
        assert_int_equal(t->f->err.code, ERR_CANCELLED);
    }
    scripted_stop(t->to[0]);
    assert_int_equal(t->target[0].puts_done, 0);
    set_up_free(t);
}

// A stalled source is cut and resumed.
static void stall_once(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    struct set_up *t = arg;
    char text[64];
    if (scripted_header(r, "Range", text, sizeof text)) {
        get_blob(c, r, &t->source);
        return;
    }
    scripted_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", t->source.len);
    scripted_send(c, t->source.bytes, t->source.len / 2);
    scripted_hang(c);
}

static void test_stalled_source_is_resumed(void **state)
{
    struct transport_options limits = {.stall_window_ms = 300, .first_byte_ms = 20000};
    struct set_up *t = set_up_limits(BLOB_BYTES, &limits);
    (void)state;
    scripted_free(t->from);
    t->from = scripted_start(stall_once, t);
    assert_int_equal(open_source(t, BLOB_BYTES), 0);
    add_put(t, 0, NULL);
    assert_int_equal(run(t), 0);
    assert_created(t, 0, 0);
    assert_int_equal(scripted_count(t->from), 2);
    set_up_free(t);
}

static void test_connections_are_kept_between_transfers(void **state)
{
    struct set_up *t = set_up_new(100000);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(open_source(t, 100000), 0);
        add_put(t, 0, NULL);
        add_put(t, 1, NULL);
        assert_int_equal(run(t), 0);
        transfer_free(t->transfer);
        t->transfer = NULL;
        assert_int_equal(net_perform(t->f, t->to[0], "POST", "/x"), 0);
    }
    assert_int_equal(t->from->n_connections, 1);
    assert_int_equal(t->to[0]->n_connections, 1);
    assert_int_equal(t->to[1]->n_connections, 1);
    set_up_free(t);
}

// Lanes remember who they are connected to, also when they come back in another order.
static void test_lanes_know_their_origins(void **state)
{
    struct set_up *t = set_up_new(100000);
    (void)state;
    assert_int_equal(open_source(t, 100000), 0); // holds one lane, while another one serves the target
    assert_int_equal(net_perform(t->f, t->to[0], "POST", "/x"), 0);
    transfer_free(t->transfer);
    t->transfer = NULL;
    assert_int_equal(transport_warm_count(t->f->transport), 2);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(net_perform(t->f, t->to[0], "POST", "/x"), 0);
        assert_int_equal(net_perform(t->f, t->from, "POST", "/x"), 0);
    }
    assert_int_equal(t->to[0]->n_connections, 1);
    assert_int_equal(t->from->n_connections, 2); // the first was cut with its body
    set_up_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_to_three_and_a_sink),
        cmocka_unit_test(test_empty_blob),
        cmocka_unit_test(test_reader_to_sinks),
        cmocka_unit_test(test_reader_source),
        cmocka_unit_test(test_lying_source_publishes_nothing),
        cmocka_unit_test(test_wrong_lengths),
        cmocka_unit_test(test_r92_broken_download_is_resumed),
        cmocka_unit_test(test_a_source_that_keeps_breaking),
        cmocka_unit_test(test_r93_wrong_ranges_are_refused),
        cmocka_unit_test(test_one_target_fails),
        cmocka_unit_test(test_a_sink_that_fails),
        cmocka_unit_test(test_a_success_that_comes_too_early),
        cmocka_unit_test(test_laggard_is_parted),
        cmocka_unit_test(test_slow_target_gets_it_all),
        cmocka_unit_test(test_second_download_is_verified),
        cmocka_unit_test(test_challenge_of_an_upload),
        cmocka_unit_test(test_redirected_upload),
        cmocka_unit_test(test_source_that_has_it_not),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_stalled_source_is_resumed),
        cmocka_unit_test(test_connections_are_kept_between_transfers),
        cmocka_unit_test(test_lanes_know_their_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
