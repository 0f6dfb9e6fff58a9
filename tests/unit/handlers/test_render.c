// SPDX-License-Identifier: Apache-2.0
//
// Every encoding of one recorded job against the files in tests/golden/render. To see what changed, compare
// with tests/golden/render/NAME.actual, written beside the expectation when they differ and GOLDEN_KEEP is
// set.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "handlers/job_text.h"
#include "handlers/render.h"

#define GOLDEN TESTS_DIR "/golden/render/"

static const char spec_text[] =
    "{\"kind\":\"copy\",\"source\":\"docker.io/library/alpine:3.20\","
    "\"targets\":[\"reg.local/alpine:3.20\",{\"ref\":\"reg.local/alpine:latest\"}]}";

static char *read_file(const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s%s", GOLDEN, name);
    size_t len;
    char *text = file_read(path, 1 << 20, &len, &err);
    return text ? text : mem_strdup("");
}

static void expect(const char *name, const char *text)
{
    AUTO_FREE char *wanted = read_file(name);
    if (strcmp(wanted, text) == 0)
        return;
    if (getenv("GOLDEN_KEEP")) {
        AUTO_FREE char *path = mem_printf("%s%s.actual", GOLDEN, name);
        FILE *file = fopen(path, "w");
        fputs(text, file);
        fclose(file);
    }
    fail_msg("%s differs; now it is:\n%s", name, text);
}

static int64_t number(const json_t *event, const char *key)
{
    const char *text = json_get_string(event, key);
    return text ? atoll(text) : json_get_int(event, key, 0);
}

// Feeds the recorded events; pauses after each one where bars would be drawn.
static void play(struct render *render, struct strbuf *out, const char *recording, bool end)
{
    AUTO_FREE char *text = read_file(recording);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        AUTO_JSON json_t *members = json_loads(line, 0, NULL);
        assert_non_null(members);
        struct event *event = event_from_line(number(members, "seq"), number(members, "cursor"), line);
        render_event(render, event, out);
        render_pause(render, out);
        event_unref(event);
    }
    if (end)
        render_end(render, out);
}

static void check(enum render_kind kind, int cols, bool all_jobs, const char *golden)
{
    struct strbuf out = STRBUF_INIT(1 << 20);
    AUTO_JSON json_t *spec = json_loads(spec_text, 0, NULL);
    struct render *render = render_new(kind, cols, all_jobs, all_jobs ? NULL : spec);
    play(render, &out, "copy.ndjson", true);
    expect(golden, strbuf_text(&out));
    render_free(render);
    strbuf_free(&out);
}

static void test_ndjson(void **state)
{
    (void)state;
    check(RENDER_NDJSON, 80, false, "copy.ndjson");
}

static void test_sse(void **state)
{
    (void)state;
    check(RENDER_SSE, 80, false, "copy.sse");
}

static void test_sse_of_all_jobs_counts_cursors(void **state)
{
    (void)state;
    check(RENDER_SSE, 80, true, "copy-all.sse");
}

static void test_array(void **state)
{
    (void)state;
    check(RENDER_ARRAY, 80, false, "copy.json");
}

static void test_text(void **state)
{
    (void)state;
    check(RENDER_TEXT, 80, false, "copy.txt");
}

static void test_text_of_all_jobs(void **state)
{
    (void)state;
    check(RENDER_TEXT, 80, true, "copy-all.txt");
}

static void test_bars(void **state)
{
    (void)state;
    check(RENDER_BARS, 100, false, "copy.bars");
}

static void test_narrow_bars(void **state)
{
    (void)state;
    check(RENDER_BARS, 60, false, "copy-60.bars");
}

static void test_empty(void **state)
{
    static const struct {
        enum render_kind kind;
        const char *text;
    } table[] = {
        {RENDER_NDJSON, ""}, {RENDER_SSE, ""}, {RENDER_ARRAY, "[]\n"}, {RENDER_TEXT, ""}, {RENDER_BARS, ""}};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct strbuf out = STRBUF_INIT(1024);
        struct render *render = render_new(table[i].kind, 80, false, NULL);
        render_pause(render, &out);
        render_end(render, &out);
        assert_string_equal(strbuf_text(&out), table[i].text);
        render_free(render);
        strbuf_free(&out);
    }
}

static void one(struct render *render, const char *line, struct strbuf *out)
{
    struct event *event = event_from_line(1, 1, line);
    render_event(render, event, out);
    event_unref(event);
}

// A scripting client reads the last line only.
static void test_result_lines(void **state)
{
    static const struct {
        const char *line, *last;
    } table[] = {
        {"{\"type\":\"job.finished\",\"state\":\"cancelled\",\"error\":{\"code\":\"cancelled\",\"detail\":"
         "\"x\"}}",
         "error: x\nresult: cancelled exit=1\n"},
        {"{\"type\":\"job.finished\",\"state\":\"failed\",\"error\":{\"code\":\"image-not-found\",\"detail\":"
         "\"no\\nline\"}}",
         "error: no?line\nresult: failed exit=5\n"},
        {"{\"type\":\"job.finished\",\"state\":\"failed\",\"error\":{\"code\":\"never-heard-of\",\"detail\":"
         "\"d\"}}",
         "error: d\nresult: failed exit=1\n"},
        {"{\"type\":\"job.finished\",\"state\":\"failed\",\"error\":null}", "result: failed exit=1\n"},
        {"{\"type\":\"job.finished\",\"state\":\"succeeded\",\"result\":{\"digest\":\"sha256:0a\",\"refs\":["
         "\"a b\",7]}}",
         "result: succeeded exit=0 digest=sha256:0a\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct strbuf out = STRBUF_INIT(4096);
        struct render *render = render_new(RENDER_TEXT, 80, false, NULL);
        one(render, table[i].line, &out);
        assert_string_equal(strbuf_text(&out), table[i].last);
        render_free(render);
        strbuf_free(&out);
    }
}

// What a silence sounds like in each encoding: JSON readers get the event, people something they can read.
static void test_heartbeats(void **state)
{
    static const char progress[] =
        "{\"type\":\"progress\",\"bytes_total\":2000,\"bytes_done\":500,\"blobs_total\":2}";
    static const struct {
        enum render_kind kind;
        const char *idle, *busy;
    } table[] = {
        {RENDER_NDJSON, "{\"type\":\"heartbeat\"}\n", "{\"type\":\"heartbeat\"}\n"},
        {RENDER_SSE, "retry: 2000\n\ndata: {\"type\":\"heartbeat\"}\n\n",
         "data: {\"type\":\"heartbeat\"}\n\n"},
        {RENDER_TEXT, "waiting\n", " total 0.5/2.0 kB  0/2 blobs\n"},
        {RENDER_BARS, "\r", "\r"},
        {RENDER_ARRAY, "\n", "\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct strbuf out = STRBUF_INIT(4096);
        struct render *render = render_new(table[i].kind, 80, false, NULL);
        struct event *beat = event_from_line(0, 0, "{\"type\":\"heartbeat\"}");
        render_heartbeat(render, beat, &out);
        assert_string_equal(strbuf_text(&out), table[i].idle);
        one(render, progress, &out);
        strbuf_reset(&out);
        render_heartbeat(render, beat, &out);
        assert_string_equal(strbuf_text(&out), table[i].busy);
        event_unref(beat);
        render_free(render);
        strbuf_free(&out);
    }
}

// Thousands of blobs draw a screenful.
static void test_many_blobs(void **state)
{
    struct strbuf out = STRBUF_INIT(1 << 22);
    struct render *render = render_new(RENDER_BARS, 80, false, NULL);
    (void)state;
    one(render, "{\"type\":\"job.started\",\"attempt\":1}", &out);
    for (int i = 0; i < 6000; i++) {
        AUTO_FREE char *line =
            mem_printf("{\"type\":\"blob.state\",\"blob\":\"b%d\",\"target\":0,\"state\":\"%s\"}", i,
                       i % 100 == 7 ? "uploading" : "done");
        one(render, line, &out);
    }
    strbuf_reset(&out);
    render_pause(render, &out);
    int lines = 0;
    for (const char *at = strbuf_text(&out); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 14);
    assert_non_null(strstr(strbuf_text(&out), " b7 "));
    assert_non_null(strstr(strbuf_text(&out), "and 4084 more"));
    render_free(render);
    strbuf_free(&out);
}

static void test_tables(void **state)
{
    AUTO_JSON json_t *list =
        json_pack("{s:[o, {s:s, s:s, s:s, s:{s:i, s:i, s:i, s:i}}], s:s}", "items",
                  json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:[s]}, s:{s:s, s:s, s:s}}", "id",
                            "01JDXQ4M0R5T6V7W8X9Y0Z1A2B", "state", "failed", "created_at",
                            "2026-11-23T22:00:00.000Z", "spec", json_loads(spec_text, 0, NULL), "result",
                            "digest", "sha256:0a", "refs", "reg.local/a@sha256:0a", "error", "code",
                            "registry-denied", "detail", "no\x1b[0m", "hint", "ask"),
                  "id", "01JDXQ4M0R5T6V7W8X9Y0Z1A2C", "state", "running", "created_at",
                  "2026-11-23T22:00:01.000Z", "progress", "bytes_total", 200, "bytes_done", 50,
                  "bytes_skipped", 25, "bytes_mounted", 25, "next", "01JDXQ4M0R5T6V7W8X9Y0Z1A2C");
    (void)state;
    assert_non_null(list);
    AUTO_FREE char *table = job_text_table(list);
    expect("jobs.txt", table);
    AUTO_FREE char *one_job = job_text_one(json_array_get(json_object_get(list, "items"), 0));
    expect("job.txt", one_job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson),
        cmocka_unit_test(test_sse),
        cmocka_unit_test(test_sse_of_all_jobs_counts_cursors),
        cmocka_unit_test(test_array),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_of_all_jobs),
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_narrow_bars),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_result_lines),
        cmocka_unit_test(test_many_blobs),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_heartbeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
