// SPDX-License-Identifier: Apache-2.0
//
// The next start after a crash: a child process runs an engine and ends without any stop; the test goes on
// with what is on the disk.
#include <sys/wait.h>

#include "jobs/hall.h"

struct left { // what the child wrote down before it ended
    char ids[8][32];
};

// A child's life: what it does with an engine before it ends without a stop.
struct life {
    const char *name;
    void (*live)(struct hall *h, struct left *left);
    void (*prepare)(struct hall *h); // its options; may be NULL
};

enum { LEFT_FD = 3 };

// The program itself, again: a fork alone would inherit locks and threads.
static int run_life(const struct life *life)
{
    struct hall h;
    struct left left = {0};
    hall_defaults(&h);
    snprintf(h.directory, sizeof h.directory, "%s", getenv("HALL_DIRECTORY"));
    if (life->prepare)
        life->prepare(&h);
    hall_open(&h);
    life->live(&h, &left);
    _exit(write(LEFT_FD, &left, sizeof left) == sizeof left ? 0 : 1);
}

static void become(const char *name, const char *directory, int channel)
{
    if (channel != LEFT_FD)
        dup2(channel, LEFT_FD);
    setenv("HALL_LIFE", name, 1);
    setenv("HALL_DIRECTORY", directory, 1);
    execl("/proc/self/exe", "test_recovery", (char *)NULL);
    _exit(2);
}

static void crash(struct hall *h, const char *name, struct left *ret)
{
    int channel[2], status;
    assert_int_equal(pipe(channel), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become(name, h->directory, channel[1]);
    close(channel[1]);
    assert_int_equal(read(channel[0], ret, sizeof *ret), sizeof *ret);
    close(channel[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool is_flushed(void *arg)
{
    return *(bool *)arg;
}

static void on_flush(void *arg, const struct error *err)
{
    assert_null(err);
    *(bool *)arg = true;
}

static void flush(struct hall *h)
{
    bool flushed = false;
    store_flush(h->store, on_flush, &flushed);
    hall_until(h, is_flushed, &flushed);
}

static void live_mixed(struct hall *h, struct left *left)
{
    AUTO_JSON json_t *auth = json_pack("{s:{s:s}}", "r.example", "token", "hush-hush");
    AUTO_JSON json_t *labels = json_pack("{s:s}", "ci", "42");
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"done\"}]}");
    AUTO_JSON json_t *job = hall_finish(h, left->ids[0]);
    SUBMIT(h, left->ids[1], "{\"steps\":[{\"name\":\"a\",\"hold\":true}],\"checkpoint\":{\"tags\":[\"x\"]}}",
           .auth = auth, .labels = labels, .priority = 7, .deadline_ms = 3600000);
    SUBMIT(h, left->ids[2], "{\"steps\":[{\"name\":\"b\",\"hold\":true,\"deaf\":true}]}");
    hall_until_ran(h, "a", 1);
    hall_until_ran(h, "b", 1);
    SUBMIT(h, left->ids[3], "{\"steps\":[{\"name\":\"c\"}]}"); // max_running is 2: stays queued
    hall_cancel(h, left->ids[2]);
    flush(h);
}

static void check_mixed(struct hall *h, const struct left *left)
{
    hall_expect(h, left->ids[0], "succeeded", NULL);
    AUTO_JSON json_t *job = hall_finish(h, left->ids[1]);
    assert_string_equal(json_get_string(job, "state"), "succeeded");
    assert_int_equal(json_get_int(job, "attempt", 0), 2);
    assert_int_equal(json_get_int(job, "priority", 0), 7);
    assert_int_equal(json_get_int(job, "deadline_ms", 0), 3600000);
    assert_string_equal(json_get_string(json_object_get(job, "labels"), "ci"), "42");
    AUTO_JSON json_t *events = hall_events(h, left->ids[1]);
    events_check(events, 1, true);
    assert_int_equal(events_count(events, "job.started"), 2);
    const json_t *requeued = events_find(events, "job.requeued");
    assert_int_equal(json_get_int(requeued, "attempt", 0), 2);
    assert_string_equal(json_get_string(requeued, "reason"), "restart");
    hall_expect(h, left->ids[2], "cancelled", "cancelled");
    AUTO_JSON json_t *cancelled = hall_events(h, left->ids[2]);
    events_check(cancelled, 1, true);
    AUTO_JSON json_t *queued = hall_finish(h, left->ids[3]);
    assert_int_equal(json_get_int(queued, "attempt", 0), 1);
    AUTO_JSON json_t *plain = hall_events(h, left->ids[3]);
    events_check(plain, 1, true);
    assert_int_equal(events_count(plain, "job.requeued"), 0);
}

static void on_sealed_row(void *arg, const struct store_job *row, const struct error *err)
{
    assert_null(err);
    if (row && row->sealed_len > 0)
        ++*(int *)arg;
}

static int count_sealed(struct hall *h)
{
    int count = 0;
    int64_t cursor;
    struct error err = ERROR_INIT;
    assert_int_equal(store_recover(h->store, on_sealed_row, &count, &cursor, &err), 0);
    return count;
}

static void test_crash(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    crash(&h, "mixed", &left);
    board_release(NULL);
    h.options.paused = true;
    hall_open(&h);
    assert_int_equal(count_sealed(&h), 1);
    AUTO_JSON json_t *job = hall_get(&h, left.ids[1]);
    assert_int_equal(json_get_int(job, "attempt", 0), 1 + str_equal(json_get_string(job, "state"), "queued"));
    hall_close(&h);
    h.options.paused = false;
    h.options.max_running = 1;
    hall_open(&h);
    hall_expect(&h, left.ids[1], "succeeded", NULL);
    assert_string_equal(fake_auth_seen ? fake_auth_seen : "", "{\"r.example\":{\"token\":\"hush-hush\"}}");
    assert_string_equal(fake_checkpoint_seen ? fake_checkpoint_seen : "", "{\"tags\":[\"x\"]}");
    hall_end(&h);
}

static void test_crash_and_all_goes_on(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    crash(&h, "mixed", &left);
    board_release(NULL);
    hall_open(&h);
    check_mixed(&h, &left);
    assert_int_equal(count_sealed(&h), 0); // wiped when the job ended
    hall_reopen(&h);
    check_mixed(&h, &left); // from the store
    hall_end(&h);
}

// A reader resumes with the last seq it saw and misses nothing, although the daemon died in between.
static void live_seen(struct hall *h, struct left *left)
{
    struct hall_reader r;
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"a\",\"events\":500,\"hold\":true}]}");
    reader_open(h, &r, (struct event_reader_options){.job = left->ids[0], .follow = true});
    while (events_count(r.events, "log") < 50) {
        hall_until(h, hall_flag, &r.awake);
        reader_drain(&r);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/seen", h->directory);
    assert_int_equal(json_dump_file(r.events, path, 0), 0);
}

static void test_nothing_is_taken_back(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    char path[128];
    snprintf(path, sizeof path, "%s/seen", h.directory);
    crash(&h, "seen", &left);
    board_release(NULL);
    hall_open(&h);
    hall_expect(&h, left.ids[0], "succeeded", NULL);
    AUTO_JSON json_t *seen = json_load_file(path, 0, NULL);
    AUTO_JSON json_t *events = hall_events(&h, left.ids[0]);
    events_check(events, 1, true);
    size_t i, kept = 0;
    json_t *event;
    json_array_foreach(seen, i, event) {
        int64_t seq = json_get_int(event, "seq", 0);
        if (seq > 0)
            assert_true(json_equal(event, json_array_get(events, (size_t)seq - 1)));
        kept += seq > 0;
    }
    assert_true(kept > 0);
    hall_end(&h);
}

// The event job.finished is on the disk, the row is not: the job has ended, nothing runs again.
static void live_to_the_event(struct hall *h, struct left *left)
{
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}");
    hall_until_ran(h, "a", 1);
    flush(h);
    static const char text[] = "{\"seq\":4,\"cursor\":\"999\",\"job\":\"%s\",\"time\":\"2026-01-02T03:04:05."
                               "678Z\",\"type\":\"job.finished\","
                               "\"state\":\"failed\",\"result\":{\"stats\":{\"requests\":3}},\"error\":{"
                               "\"code\":\"partial\",\"detail\":\"half\"}}";
    char line[512];
    snprintf(line, sizeof line, text, left->ids[0]);
    store_event_append(h->store,
                       &(struct store_event){.job = left->ids[0], .seq = 4, .cursor = 999, .text = line});
    flush(h);
}

static void test_only_the_row_is_missing(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    crash(&h, "to_the_event", &left);
    hall_open(&h);
    AUTO_JSON json_t *job = hall_finish(&h, left.ids[0]);
    assert_string_equal(json_get_string(job, "state"), "failed");
    assert_int_equal(json_get_int(job, "attempt", 0), 1);
    assert_string_equal(json_get_string(job, "finished_at"), "2026-01-02T03:04:05.678Z");
    assert_string_equal(json_get_string(json_object_get(job, "error"), "code"), "partial");
    const json_t *stats = json_object_get(json_object_get(job, "result"), "stats");
    assert_int_equal(json_get_int(stats, "requests", 0), 3);
    assert_int_equal(board_ran("a"), 0);
    AUTO_JSON json_t *events = hall_events(&h, left.ids[0]);
    events_check(events, 1, true);
    assert_int_equal(json_array_size(events), 4);
    char id[32];
    SUBMIT(&h, id, "{}"); // its cursors go on above 999
    AUTO_JSON json_t *next = hall_finish(&h, id);
    AUTO_JSON json_t *after = hall_events(&h, id);
    int64_t cursor = 0;
    assert_true(str_to_int64(json_get_string(json_array_get(after, 0), "cursor"), 0, INT64_MAX, &cursor));
    assert_true(cursor > 999);
    hall_end(&h);
}

// A job that takes the daemon down with it again and again is held back, but not for ever.
static void live_once(struct hall *h, struct left *left)
{
    struct hall_answer a = {0};
    struct engine_list filter = {.limit = 1, .caller = hall_admin};
    engine_list(h->engine, &filter, on_value, &a);
    answer_wait(h, &a);
    const json_t *first = json_array_get(json_object_get(a.value, "items"), 0);
    if (first)
        snprintf(left->ids[0], sizeof left->ids[0], "%s", json_get_string(first, "id"));
    else
        SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"poison\",\"hold\":true}]}");
    hall_until_ran(h, "poison", 1);
    flush(h);
}

static void test_backs_off_after_five_crashes(void **state)
{
    struct hall h;
    struct left left;
    struct engine_stats stats;
    (void)state;
    hall_init(&h);
    for (int i = 0; i < 6; i++)
        crash(&h, "once", &left);
    int64_t began = clock_ms();
    hall_open(&h);
    board_release(NULL);
    while (hall_state_is(&h, left.ids[0], "running")) // until it is decided what becomes of it
        ;
    engine_stats(h.engine, &stats);
    assert_int_equal(stats.queued, 0); // it does not stand in line yet
    assert_true(hall_state_is(&h, left.ids[0], "queued"));
    AUTO_JSON json_t *job = hall_finish(&h, left.ids[0]);
    assert_true(clock_ms() - began >= 1000);
    assert_string_equal(json_get_string(job, "state"), "succeeded");
    assert_int_equal(json_get_int(job, "attempt", 0), 7);
    hall_end(&h);
}

// A deadline goes on while the daemon is away; a cancelled one stays cancelled.
static void live_with_deadline(struct hall *h, struct left *left)
{
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .deadline_ms = 400);
    SUBMIT(h, left->ids[1], "{\"steps\":[{\"name\":\"b\",\"hold\":true}]}", .attached = true);
    hall_until_ran(h, NULL, 2);
    flush(h);
}

static void test_clocks_go_on(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    crash(&h, "with_deadline", &left);
    h.options.attached_grace_ms = 20;
    hall_open(&h);
    while (!hall_state_is(&h, left.ids[1], "cancelled"))
        hall_until(&h, hall_flag, &(bool){true});
    hall_expect(&h, left.ids[0], "failed", "deadline");
    hall_end(&h);
}

// A kind of job that a later version has and this one has not.
static const struct job_ops other_ops = {
    .kind = "other", .start = fake_start, .advance = fake_advance, .result = fake_result, .free = fake_free};
static const struct job_ops *const other_kinds[] = {&fake_ops, &other_ops, NULL};

static void live_other(struct hall *h, struct left *left)
{
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .kind = "other");
}

static void test_unknown_kind(void **state)
{
    struct hall h;
    struct left left;
    (void)state;
    hall_init(&h);
    crash(&h, "other", &left);
    hall_open(&h);
    hall_expect(&h, left.ids[0], "failed", "internal");
    hall_end(&h);
}

// The seal key was lost: the job says what to do.
static void live_sealed(struct hall *h, struct left *left)
{
    AUTO_JSON json_t *auth = json_pack("{s:{s:s}}", "r.example", "token", "hush-hush");
    SUBMIT(h, left->ids[0], "{\"steps\":[{\"name\":\"a\",\"hold\":true}]}", .auth = auth);
}

static void test_seal_key_lost(void **state)
{
    struct hall h;
    struct left left;
    char command[200];
    (void)state;
    hall_init(&h);
    crash(&h, "sealed", &left);
    snprintf(command, sizeof command, "find %s -maxdepth 1 -type f -name '*seal*' -delete", h.directory);
    assert_int_equal(system(command), 0);
    hall_open(&h);
    hall_expect(&h, left.ids[0], "failed", "auth-required");
    hall_end(&h);
}

static void two_at_once(struct hall *h)
{
    h->options.max_running = 2;
}

static void with_other_kinds(struct hall *h)
{
    h->options.kinds = other_kinds;
}

static const struct life lives[] = {
    {"mixed", live_mixed, two_at_once},
    {"seen", live_seen, NULL},
    {"to_the_event", live_to_the_event, NULL},
    {"once", live_once, NULL},
    {"with_deadline", live_with_deadline, NULL},
    {"other", live_other, with_other_kinds},
    {"sealed", live_sealed, NULL},
};

static const struct life *find_life(const char *name)
{
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        if (strcmp(lives[i].name, name) == 0)
            return &lives[i];
    return NULL;
}

static void live_instead(void **state)
{
    (void)state;
    run_life(find_life(getenv("HALL_LIFE")));
}

int main(void)
{
    static const struct CMUnitTest child[] = {cmocka_unit_test(live_instead)};
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_crash_and_all_goes_on),
        cmocka_unit_test(test_nothing_is_taken_back),
        cmocka_unit_test(test_only_the_row_is_missing),
        cmocka_unit_test(test_backs_off_after_five_crashes),
        cmocka_unit_test(test_clocks_go_on),
        cmocka_unit_test(test_unknown_kind),
        cmocka_unit_test(test_seal_key_lost),
    };
    return getenv("HALL_LIFE") ? hall_main(child, 1) : hall_main(tests, sizeof tests / sizeof *tests);
}
