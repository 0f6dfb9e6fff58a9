// SPDX-License-Identifier: Apache-2.0
//
// The job and event routes over a real engine and store.
#include "handlers/house.h"

#define AUTO_SEEN CLEANUP(reply_seen_free)

// Posts a job and returns its id; caller frees.
static char *post(struct house *house, const char *body)
{
    AUTO_SEEN struct reply_seen seen = house_ask(house, "POST", "/v1/jobs", "", body);
    assert_int_equal(seen.status, 202);
    AUTO_JSON json_t *job = house_json(&seen);
    AUTO_FREE char *location = mem_printf("Location: /v1/jobs/%s\r\n", json_get_string(job, "id"));
    assert_non_null(strstr(seen.head, location));
    return mem_strdup(json_get_string(job, "id"));
}

static json_t *get_job(struct house *house, const char *id, const char *query)
{
    AUTO_FREE char *path = mem_printf("/v1/jobs/%s%s", id, query);
    AUTO_SEEN struct reply_seen seen = house_ask(house, "GET", path, "", NULL);
    assert_int_equal(seen.status, 200);
    return house_json(&seen);
}

static void expect_problem(const struct reply_seen *seen, int status, const char *code)
{
    if (seen->status != status)
        fail_msg("status %d, not %d: %s", seen->status, status, seen->body);
    assert_non_null(strstr(seen->head, "Content-Type: application/problem+json\r\n"));
    AUTO_JSON json_t *problem = house_json(seen);
    assert_string_equal(json_get_string(problem, "code"), code);
    assert_non_null(json_get_string(problem, "detail"));
    assert_non_null(json_get_string(problem, "request_id"));
}

static void test_post_and_wait(void **state)
{
    AUTO_FREE char *id = post(*state, HOUSE_COPY("succeed"));
    AUTO_JSON json_t *job = get_job(*state, id, "?wait=30");
    assert_string_equal(json_get_string(job, "state"), "succeeded");
    assert_string_equal(json_get_string(json_object_get(job, "result"), "digest"), HOUSE_DIGEST);
}

static void test_prefer_wait(void **state)
{
    AUTO_SEEN struct reply_seen done =
        house_ask(*state, "POST", "/v1/jobs", "Prefer: respond-async, wait=20\r\n", HOUSE_COPY("succeed"));
    assert_int_equal(done.status, 200);
    assert_non_null(strstr(done.head, "Preference-Applied: wait=20\r\n"));
    assert_non_null(strstr(done.body, "\"state\":\"succeeded\""));
    AUTO_SEEN struct reply_seen busy =
        house_ask(*state, "POST", "/v1/jobs", "Prefer: wait=1\r\n", HOUSE_COPY("hold"));
    assert_int_equal(busy.status, 202);
    assert_non_null(strstr(busy.body, "\"terminal\":false"));
}

static void test_waiting_client_leaves(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("hold"));
    AUTO_FREE char *path = mem_printf("/v1/jobs/%s?wait=60", id);
    int fd = house_connect(house);
    house_send(fd, "GET", path, "", NULL);
    usleep(20000);
    close(fd);
    AUTO_JSON json_t *job = get_job(house, id, "");
    assert_string_equal(json_get_string(job, "state"), "running");
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code, *text;
    } table[] = {
        {"", 400, "invalid-request", "no body"},
        {"{", 400, "invalid-request", ""},
        {"[]", 400, "invalid-request", "object"},
        {"{\"kind\":\"copy\",\"kind\":\"copy\"}", 400, "invalid-request", ""},
        {"{\"kind\":\"fly\"}", 400, "invalid-request", "copy"},
        {"{\"kind\":\"copy\",\"source\":\"a/b:1\"}", 400, "invalid-request", "targets"},
        {"{\"kind\":\"copy\",\"source\":\"a/b:1\",\"targets\":[\"c/d:1\"],\"colour\":1}", 400,
         "invalid-request", "/colour"},
        {"{\"kind\":\"copy\",\"source\":\"A B\",\"targets\":[\"c/d:1\"]}", 400, "reference-invalid",
         "/source"},
        {"{\"kind\":\"copy\",\"source\":\"oci:/etc/x\",\"targets\":[\"c/d:1\"]}", 403, "path-not-allowed",
         "root"},
        {"{\"kind\":\"copy\",\"source\":\"a/b:1\",\"targets\":[\"c/"
         "d:1\"],\"auth\":{\"a\":{\"pass\":\"SECRET\"}}}",
         400, "invalid-request", "/auth"},
        {"{\"kind\":\"copy\",\"source\":\"a/b:1\",\"targets\":[\"c/d:1\"],\"priority\":\"high\"}", 400,
         "invalid-request", "/priority"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        AUTO_SEEN struct reply_seen seen = house_ask(*state, "POST", "/v1/jobs", "", table[i].body);
        expect_problem(&seen, table[i].status, table[i].code);
        if (!strstr(seen.body, table[i].text))
            fail_msg("no \"%s\" in %s", table[i].text, seen.body);
        assert_null(strstr(seen.body, "SECRET"));
    }
}

static void test_idempotency(void **state)
{
    struct house *house = *state;
    const char *key = "Idempotency-Key: one\r\n";
    AUTO_SEEN struct reply_seen first = house_ask(house, "POST", "/v1/jobs", key, HOUSE_COPY("hold"));
    AUTO_SEEN struct reply_seen second = house_ask(house, "POST", "/v1/jobs", key, HOUSE_COPY("hold"));
    AUTO_SEEN struct reply_seen other = house_ask(house, "POST", "/v1/jobs", key, HOUSE_COPY("succeed"));
    AUTO_SEEN struct reply_seen bad =
        house_ask(house, "POST", "/v1/jobs", "Idempotency-Key: a b\r\n", HOUSE_COPY("hold"));
    AUTO_JSON json_t *a = house_json(&first), *b = house_json(&second);
    assert_int_equal(second.status, 202);
    assert_string_equal(json_get_string(a, "id"), json_get_string(b, "id"));
    assert_null(strstr(first.head, "Idempotency-Replayed"));
    assert_non_null(strstr(second.head, "Idempotency-Replayed: true\r\n"));
    expect_problem(&other, 422, "idempotency-mismatch");
    expect_problem(&bad, 400, "invalid-request");
}

static void test_post_answers_with_stream(void **state)
{
    static const struct {
        const char *accept, *type, *text, *last;
    } table[] = {
        {"application/x-ndjson", "application/x-ndjson", "{\"seq\":1,", "\"type\":\"job.finished\""},
        {"text/event-stream", "text/event-stream", "retry: 2000\n\nid: 1\ndata: {\"seq\":1,",
         "\"type\":\"job.finished\""},
        {"text/plain", "text/plain; charset=utf-8", "copy 127.0.0.1:5000/base:1 -> 127.0.0.1:5000/app:1\n",
         "result: succeeded exit=0 digest=" HOUSE_DIGEST " ref=127.0.0.1:5000/app@" HOUSE_DIGEST "\n"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        AUTO_FREE char *accept = mem_printf("Accept: %s\r\n", table[i].accept);
        AUTO_FREE char *type = mem_printf("Content-Type: %s\r\n", table[i].type);
        AUTO_SEEN struct reply_seen seen =
            house_ask(*state, "POST", "/v1/jobs", accept, HOUSE_COPY("succeed"));
        assert_int_equal(seen.status, 202);
        assert_non_null(strstr(seen.head, "Location: /v1/jobs/"));
        assert_non_null(strstr(seen.head, type));
        assert_non_null(strstr(seen.body, table[i].text));
        assert_non_null(strstr(seen.body, table[i].last));
        assert_true(seen.complete);
    }
}

static void test_failed_job_as_text(void **state)
{
    AUTO_SEEN struct reply_seen seen =
        house_ask(*state, "POST", "/v1/jobs", "Accept: text/plain\r\n", HOUSE_COPY("fail"));
    assert_non_null(strstr(seen.body, "error: reg.example.com refused push to team/app"));
    assert_non_null(strstr(seen.body, "\nhint: The credentials lack push.\nresult: failed exit=4\n"));
}

static void test_events_of_finished_job(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("succeed"));
    json_decref(get_job(house, id, "?wait=30"));
    AUTO_FREE char *path = mem_printf("/v1/jobs/%s/events?follow=0", id);
    AUTO_SEEN struct reply_seen array = house_ask(house, "GET", path, "Accept: application/json\r\n", NULL);
    AUTO_JSON json_t *events = house_json(&array);
    size_t i, count = json_array_size(events);
    json_t *event;
    json_array_foreach(events, i, event)
        assert_int_equal(json_get_int(event, "seq", 0), (int)i + 1);
    assert_string_equal(json_get_string(json_array_get(events, count - 1), "type"), "job.finished");
    // since
    AUTO_FREE char *since = mem_printf("/v1/jobs/%s/events?since=%zu", id, count - 1);
    AUTO_SEEN struct reply_seen rest = house_ask(house, "GET", since, "", NULL);
    assert_non_null(strstr(rest.head, "Content-Type: application/x-ndjson\r\n"));
    assert_true(rest.complete);
    assert_ptr_equal(strchr(rest.body, '\n'), rest.body + strlen(rest.body) - 1);
    // Last-Event-ID wins over since; a log read to its end is 204 for a browser
    AUTO_FREE char *last = mem_printf("Accept: text/event-stream\r\nLast-Event-ID: %zu\r\n", count);
    AUTO_SEEN struct reply_seen nothing = house_ask(house, "GET", path, last, NULL);
    assert_int_equal(nothing.status, 204);
}

static void test_event_parameters(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("succeed"));
    static const char *const bad[] = {"?since=x", "?since=-1", "?follow=2", "?after=1", "?tty=5", "?cols=0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        AUTO_FREE char *path = mem_printf("/v1/jobs/%s/events%s", id, bad[i]);
        AUTO_SEEN struct reply_seen seen = house_ask(house, "GET", path, "", NULL);
        expect_problem(&seen, 400, "invalid-request");
    }
    AUTO_SEEN struct reply_seen unknown =
        house_ask(house, "GET", "/v1/jobs/01JDXQ4M0R5T6V7W8X9Y0Z1A2B/events", "", NULL);
    expect_problem(&unknown, 404, "not-found");
    AUTO_SEEN struct reply_seen never = house_ask(house, "GET", "/v1/events?after=99999999999999", "", NULL);
    expect_problem(&never, 410, "events-expired");
    assert_non_null(strstr(never.body, "\"oldest_seq\""));
}

static void test_live_stream_with_heartbeat(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("hold"));
    AUTO_FREE char *path = mem_printf("/v1/jobs/%s/events", id);
    int fd = house_connect(house);
    house_send(fd, "GET", path, "", NULL);
    AUTO_SEEN struct reply_seen beat = house_receive(fd, "\"type\":\"heartbeat\"");
    assert_non_null(strstr(beat.body, "\"type\":\"heartbeat\""));
    assert_non_null(strstr(beat.body, "\"type\":\"blob.state\""));
    house_released = true;
    AUTO_SEEN struct reply_seen rest = house_receive(fd, NULL);
    assert_int_equal(rest.status, 0);
    close(fd);
    AUTO_JSON json_t *job = get_job(house, id, "?wait=30");
    assert_string_equal(json_get_string(job, "state"), "succeeded");
}

static void test_stream_of_all_jobs(void **state)
{
    struct house *house = *state;
    int fd = house_connect(house);
    house_send(fd, "GET", "/v1/events", "Accept: text/event-stream\r\n", NULL);
    AUTO_SEEN struct reply_seen head = house_receive(fd, "\r\n\r\n");
    assert_int_equal(head.status, 200); // open although nothing happens
    AUTO_FREE char *id = post(house, HOUSE_COPY("succeed"));
    AUTO_SEEN struct reply_seen seen = house_receive(fd, "job.finished");
    AUTO_SEEN struct reply_seen again =
        house_ask(house, "GET", "/v1/events?after=0", "Accept: application/json\r\n", NULL);
    assert_non_null(strstr(again.body, id));
    close(fd);
}

static void test_stop_cuts_followers(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("hold"));
    AUTO_FREE char *path = mem_printf("/v1/jobs/%s/events", id);
    int fd = house_connect(house);
    house_send(fd, "GET", path, "", NULL);
    AUTO_SEEN struct reply_seen begin = house_receive(fd, "blob.state");
    void *shared = house;
    house_released = false;
    int copy = dup(fd);
    house_teardown(&shared);
    house_setup(state); // for the group's teardown
    AUTO_SEEN struct reply_seen rest = house_receive(copy, NULL);
    assert_null(strstr(rest.head, "\r\n0\r\n"));
    close(fd);
    close(copy);
}

static void test_cancel_and_delete(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("hold"));
    AUTO_FREE char *job = mem_printf("/v1/jobs/%s", id), *cancel = mem_printf("/v1/jobs/%s/cancel", id);
    AUTO_SEEN struct reply_seen busy = house_ask(house, "DELETE", job, "", NULL);
    expect_problem(&busy, 409, "conflict");
    AUTO_SEEN struct reply_seen first = house_ask(house, "POST", cancel, "", NULL);
    assert_int_equal(first.status, 202);
    json_decref(get_job(house, id, "?wait=30"));
    AUTO_SEEN struct reply_seen second = house_ask(house, "POST", cancel, "", "{}");
    assert_int_equal(second.status, 200);
    assert_non_null(strstr(second.body, "\"state\":\"cancelled\""));
    AUTO_SEEN struct reply_seen gone = house_ask(house, "DELETE", job, "", NULL);
    assert_int_equal(gone.status, 204);
    AUTO_SEEN struct reply_seen none = house_ask(house, "GET", job, "", NULL);
    expect_problem(&none, 404, "not-found");
}

static void test_retry(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *id = post(house, HOUSE_COPY("fail"));
    AUTO_FREE char *retry = mem_printf("/v1/jobs/%s/retry", id);
    json_decref(get_job(house, id, "?wait=30"));
    AUTO_SEEN struct reply_seen seen = house_ask(house, "POST", retry, "", NULL);
    assert_int_equal(seen.status, 202);
    AUTO_JSON json_t *job = house_json(&seen);
    assert_string_equal(json_get_string(job, "retry_of"), id);
    AUTO_SEEN struct reply_seen unknown = house_ask(house, "POST", retry, "", "{\"x\":1}");
    expect_problem(&unknown, 400, "invalid-request");
    // one that had credentials needs them again
    AUTO_FREE char *with_auth = post(
        house, "{\"kind\":\"copy\",\"source\":\"127.0.0.1:5000/b:1\",\"targets\":[\"127.0.0.1:5000/a:1\"],"
               "\"auth\":{\"127.0.0.1:5000\":{\"username\":\"u\",\"password\":\"CANARY\"}}}");
    AUTO_FREE char *again = mem_printf("/v1/jobs/%s/retry", with_auth);
    AUTO_JSON json_t *shown = get_job(house, with_auth, "?wait=30");
    AUTO_FREE char *text = json_text(shown);
    assert_null(strstr(text, "CANARY"));
    assert_null(json_object_get(json_object_get(shown, "spec"), "auth"));
    AUTO_SEEN struct reply_seen needed = house_ask(house, "POST", again, "", "{}");
    expect_problem(&needed, 422, "auth-required");
    AUTO_SEEN struct reply_seen given =
        house_ask(house, "POST", again, "",
                  "{\"auth\":{\"127.0.0.1:5000\":{\"username\":\"u\",\"password\":\"CANARY\"}}}");
    assert_int_equal(given.status, 202);
    assert_null(strstr(given.body, "CANARY"));
}

static void test_list(void **state)
{
    struct house *house = *state;
    AUTO_FREE char *a = post(house, HOUSE_COPY("succeed")), *b = post(house, HOUSE_COPY("hold"));
    json_decref(get_job(house, a, "?wait=30"));
    AUTO_SEEN struct reply_seen all = house_ask(house, "GET", "/v1/jobs?limit=1", "", NULL);
    AUTO_JSON json_t *page = house_json(&all);
    assert_string_equal(json_get_string(json_array_get(json_object_get(page, "items"), 0), "id"), b);
    assert_non_null(json_get_string(page, "cursor"));
    AUTO_FREE char *next = mem_printf("/v1/jobs?cursor=%s", json_get_string(page, "next"));
    AUTO_SEEN struct reply_seen second = house_ask(house, "GET", next, "", NULL);
    assert_non_null(strstr(second.body, a));
    assert_null(strstr(second.body, b));
    AUTO_SEEN struct reply_seen label = house_ask(house, "GET", "/v1/jobs?label=do=hold", "", NULL);
    assert_non_null(strstr(label.body, b));
    assert_null(strstr(label.body, a));
    AUTO_SEEN struct reply_seen table = house_ask(house, "GET", "/v1/jobs", "Accept: text/plain\r\n", NULL);
    assert_non_null(strstr(table.body, "copy 127.0.0.1:5000/base:1 -> 127.0.0.1:5000/app:1\n"));
    static const char *const bad[] = {"?state=odd",  "?label=x",  "?limit=0",
                                      "?limit=1001", "?cursor=x", "?page=2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        AUTO_FREE char *path = mem_printf("/v1/jobs%s", bad[i]);
        AUTO_SEEN struct reply_seen seen = house_ask(house, "GET", path, "", NULL);
        expect_problem(&seen, 400, "invalid-request");
    }
}

static void test_unknown_job(void **state)
{
    static const struct {
        const char *method, *path;
    } table[] = {
        {"GET", "/v1/jobs/x"},
        {"GET", "/v1/jobs/01JDXQ4M0R5T6V7W8X9Y0Z1A2B"},
        {"GET", "/v1/jobs/01JDXQ4M0R5T6V7W8X9Y0Z1A2B?wait=5"},
        {"DELETE", "/v1/jobs/x"},
        {"POST", "/v1/jobs/x/cancel"},
        {"POST", "/v1/jobs/01JDXQ4M0R5T6V7W8X9Y0Z1A2B/cancel"},
        {"POST", "/v1/jobs/01JDXQ4M0R5T6V7W8X9Y0Z1A2B/retry"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        AUTO_SEEN struct reply_seen seen = house_ask(*state, table[i].method, table[i].path, "", NULL);
        expect_problem(&seen, 404, "not-found");
    }
}

static void test_small_routes(void **state)
{
    static const struct {
        const char *path, *headers, *type, *text;
    } table[] = {
        {"/", "", "application/json", "\"links\":"},
        {"/", "Accept: text/html,*/*;q=0.8\r\n", "text/html; charset=utf-8", "<!DOCTYPE html>"},
        {"/healthz", "", "application/json", "ok"},
        {"/readyz", "", "application/json", "ready"},
        {"/v1/version", "", "application/json", "\"features\":[\"job-build\",\"job-copy\""},
        {"/openapi.json", "", "application/json", "\"openapi\":\"3.1.0\""},
        {"/metrics", "", "text/plain; version=0.0.4; charset=utf-8", "# TYPE dray_jobs gauge\n"},
        {"/problems/registry-denied", "", "application/json", "\"exit_code\":4"},
        {"/v1/cache", "", "application/json", "\"max_bytes\":1048576"},
        {"/v1/cache/blobs", "", "application/json", "{\"items\":[]}"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        AUTO_FREE char *type = mem_printf("Content-Type: %s\r\n", table[i].type);
        AUTO_SEEN struct reply_seen seen = house_ask(*state, "GET", table[i].path, table[i].headers, NULL);
        assert_int_equal(seen.status, 200);
        assert_non_null(strstr(seen.head, type));
        if (!strstr(seen.body, table[i].text))
            fail_msg("no \"%s\" in %s", table[i].text, seen.body);
    }
    AUTO_SEEN struct reply_seen page = house_ask(*state, "GET", "/", "Accept: text/html\r\n", NULL);
    assert_non_null(strstr(page.head, "Content-Security-Policy: default-src 'none'; script-src 'sha256-"));
    AUTO_SEEN struct reply_seen unknown = house_ask(*state, "GET", "/problems/none", "", NULL);
    expect_problem(&unknown, 404, "not-found");
    AUTO_SEEN struct reply_seen prune =
        house_ask(*state, "POST", "/v1/cache/prune", "", "{\"keep_bytes\":0}");
    assert_int_equal(prune.status, 200);
    AUTO_SEEN struct reply_seen wrong = house_ask(*state, "POST", "/v1/cache/prune", "", "{\"keep\":0}");
    expect_problem(&wrong, 400, "invalid-request");
}

static void test_every_problem_has_a_page(void **state)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        AUTO_FREE char *path = mem_printf("/problems/%s", error_wire((enum error_code)code));
        AUTO_SEEN struct reply_seen seen = house_ask(*state, "GET", path, "", NULL);
        AUTO_JSON json_t *page = house_json(&seen);
        assert_int_equal(json_get_int(page, "status", 0), error_http_status((enum error_code)code));
        if (strlen(json_get_string(page, "description")) < 20)
            fail_msg("%s has no description", path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(test_post_and_wait),
        HOUSE_TEST(test_prefer_wait),
        HOUSE_TEST(test_waiting_client_leaves),
        HOUSE_TEST(test_bad_bodies),
        HOUSE_TEST(test_idempotency),
        HOUSE_TEST(test_post_answers_with_stream),
        HOUSE_TEST(test_failed_job_as_text),
        HOUSE_TEST(test_events_of_finished_job),
        HOUSE_TEST(test_event_parameters),
        HOUSE_TEST(test_live_stream_with_heartbeat),
        HOUSE_TEST(test_stream_of_all_jobs),
        HOUSE_TEST(test_stop_cuts_followers),
        HOUSE_TEST(test_cancel_and_delete),
        HOUSE_TEST(test_retry),
        HOUSE_TEST(test_list),
        HOUSE_TEST(test_unknown_job),
        HOUSE_TEST(test_small_routes),
        HOUSE_TEST(test_every_problem_has_a_page),
    };
    setenv("UV_THREADPOOL_SIZE", "3", 1);
    mem_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
