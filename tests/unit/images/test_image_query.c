// SPDX-License-Identifier: Apache-2.0
//
// Queries: what is judged from the request alone, and the plugs between pipes and streams.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "images/image_query.h"
#include "images/images.h"
#include "images/query_pipe.h"

enum { STALL_MS = 60000 };

// --- judged at once

static enum error_code judge(const struct image_request *ask)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct roots *roots = roots_new("build root", "--build-root");
    struct image_context context = {.build_roots = roots, .output_roots = roots};
    struct step *step = image_query_new(&context, ask, &err);
    assert_true((step == NULL) == (err.code != ERR_NONE));
    if (step)
        step_free(step);
    roots_free(roots);
    return err.code;
}

#define BLOB                                                                                                 \
    "reg.example.com/team/app@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void test_references(void **state)
{
    static const struct {
        enum image_query_kind kind;
        const char *ref;
        enum error_code wanted;
    } cases[] = {
        {IMAGE_QUERY_INSPECT, "reg.example.com/app:1", ERR_NONE},
        {IMAGE_QUERY_INSPECT, "oci:/outside:1", ERR_PATH_NOT_ALLOWED},
        {IMAGE_QUERY_INSPECT, "scratch", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_BLOB, BLOB, ERR_NONE},
        {IMAGE_QUERY_BLOB, "reg.example.com/app:1", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_BLOB, "reg.example.com/app", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_BLOB_PUT, "reg.example.com/app", ERR_NONE},
        {IMAGE_QUERY_BLOB_PUT, BLOB, ERR_NONE},
        {IMAGE_QUERY_BLOB_PUT, "reg.example.com/app:1", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_CATALOG, "reg.example.com", ERR_NONE},
        {IMAGE_QUERY_CATALOG, "localhost:5000", ERR_NONE},
        {IMAGE_QUERY_CATALOG, "docker.io", ERR_NONE},
        {IMAGE_QUERY_CATALOG, "team", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_CATALOG, "reg.example.com/x", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_CATALOG, "https://reg.example.com", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_CREDENTIALS, "", ERR_REFERENCE_INVALID},
        {IMAGE_QUERY_CONTEXT_HEAD, "sha256:../../etc/passwd", ERR_INVALID_REQUEST},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        enum error_code code = judge(&(struct image_request){.kind = cases[i].kind, .ref = cases[i].ref});
        if (code != cases[i].wanted)
            fail_msg("%d %s: %d", cases[i].kind, cases[i].ref, code);
    }
}

static void test_other_members(void **state)
{
    (void)state;
    struct image_request mount = {.kind = IMAGE_QUERY_BLOB_MOUNT, .ref = BLOB, .from = "team/base"};
    assert_int_equal(judge(&mount), ERR_NONE);
    mount.from = "reg.example.com/team/base";
    assert_int_equal(judge(&mount), ERR_NONE);
    mount.from = "../base";
    assert_int_equal(judge(&mount), ERR_REFERENCE_INVALID);
    struct image_request archive = {
        .kind = IMAGE_QUERY_ARCHIVE, .ref = "reg.example.com/a:1", .format = "oci-archive"};
    assert_int_equal(judge(&archive), ERR_NONE);
    archive.platform = "linux";
    assert_int_not_equal(judge(&archive), ERR_NONE);
    archive.platform = NULL;
    archive.format = NULL;
    assert_int_equal(judge(&archive), ERR_INVALID_REQUEST);
}

// --- pipes

struct fixture {
    struct loop *loop;
    struct mailbox *mailbox;
    struct pipe *pipe;
};

static void ready(void *arg)
{
    (void)arg;
}

static int setup(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct fixture *f = mem_new(struct fixture);
    f->loop = loop_new(&err);
    f->mailbox = mailbox_new(f->loop, &err);
    f->pipe = pipe_new(1024, STALL_MS, f->mailbox, ready, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pipe_detach(f->pipe);
    mailbox_drain(f->mailbox);
    pipe_unref(f->pipe);
    mailbox_free(f->mailbox);
    loop_free(f->loop);
    free(f);
    return 0;
}

struct counter {
    struct sink base;
    size_t bytes;
};

static int count(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    (void)bytes, (void)err;
    container_of(sink, struct counter, base)->bytes += len;
    return 0;
}

static const struct sink_ops counter_ops = {.write = count};

static void test_copy(void **state)
{
    struct fixture *f = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct counter counter = {{&counter_ops}, 0};
    assert_int_equal(pipe_offer(f->pipe, "0123456789", 10), 10);
    pipe_end(f->pipe);
    assert_int_equal(query_pipe_copy(f->pipe, &counter.base, 10, NULL, &err), 0);
    assert_int_equal(counter.bytes, 10);
}

static void test_copy_has_a_limit(void **state)
{
    struct fixture *f = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct counter counter = {{&counter_ops}, 0};
    pipe_offer(f->pipe, "0123456789", 10);
    pipe_end(f->pipe);
    assert_int_equal(query_pipe_copy(f->pipe, &counter.base, 9, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void test_drain(void **state)
{
    struct fixture *f = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char byte;
    pipe_offer(f->pipe, "0123456789", 10);
    pipe_end(f->pipe);
    query_pipe_drain(f->pipe, NULL);
    assert_int_equal(pipe_read(f->pipe, &byte, 1, &err), 0);
}

// A registry that asks for the bytes once more cannot have them.
static void test_reader_goes_forward_only(void **state)
{
    struct fixture *f = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct query_pipe_reader reader;
    char buffer[16];
    query_pipe_reader_init(&reader, f->pipe, 10, NULL);
    pipe_offer(f->pipe, "0123456789", 10);
    pipe_end(f->pipe);
    assert_int_equal(reader_at_read(&reader.base, buffer, 4, 0, &err), 4);
    assert_int_equal(reader_at_read(&reader.base, buffer, sizeof(buffer), 4, &err), 6);
    assert_memory_equal(buffer, "456789", 6);
    assert_int_equal(reader_at_read(&reader.base, buffer, 4, 0, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_ERROR);
}

static void test_sink_hears_of_cancelling(void **state)
{
    struct fixture *f = *state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct monitor monitor = {0};
    struct query_pipe_sink sink;
    query_pipe_sink_init(&sink, f->pipe, &monitor);
    assert_int_equal(sink_write(&sink.base, "abc", 3, &err), 0);
    assert_int_equal(sink.written, 3);
    atomic_store(&monitor.cancelled, true);
    assert_int_equal(sink_write(&sink.base, "abc", 3, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
}

#define PIPE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_other_members),
        PIPE_TEST(test_copy),
        PIPE_TEST(test_copy_has_a_limit),
        PIPE_TEST(test_drain),
        PIPE_TEST(test_reader_goes_forward_only),
        PIPE_TEST(test_sink_hears_of_cancelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
