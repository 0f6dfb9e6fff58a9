// SPDX-License-Identifier: Apache-2.0
//
// A state directory without any space left: new jobs are refused and nothing of them is kept; what runs ends,
// and is told to have ended only when that could be written.
#include "base/strbuf.h"
#include "jobs/hall.h"
#include "small_disk.h"

static void begin(struct hall *h)
{
    hall_init(h);
    if (!small_disk_mount(h->directory, 24))
        fail_msg("cannot mount a tmpfs: %s", strerror(errno));
    hall_open(h);
}

static void end(struct hall *h)
{
    board_release(NULL);
    hall_close(h);
    umount2(h->directory, MNT_DETACH);
    rmdir(h->directory);
    board_clear();
    assert_int_equal(fake_plans, 0);
    assert_int_equal(fake_steps, 0);
}

// The store gives up its reserve, then that is taken, too.
static void fill_up(struct hall *h)
{
    AUTO_FREE char *big = mem_alloc(600001);
    char id[32];
    memset(big, 'x', 600000);
    big[600000] = '\0';
    AUTO_FREE char *spec = mem_printf("{\"holds\":true,\"steps\":[{\"name\":\"%s\"}]}", big);
    for (int refused = 0; refused < 3; refused++) {
        small_disk_fill(h->directory, 0);
        enum error_code code =
            hall_submit(h, spec, (struct engine_submit){.idempotency_key = "k", .fingerprint = "f"}, id);
        assert_int_equal(code, ERR_NO_SPACE);
    }
}

static bool all_succeeded(void *arg)
{
    struct hall_reader *r = arg;
    if (r->awake)
        reader_drain(r);
    return events_count(r->events, "job.finished") == 1;
}

static int count_jobs(struct hall *h)
{
    struct hall_answer a = {0};
    struct engine_list filter = {.limit = 1000, .caller = hall_admin};
    engine_list(h->engine, &filter, on_value, &a);
    answer_wait(h, &a);
    int count = (int)json_array_size(json_object_get(a.value, "items"));
    answer_clear(&a);
    return count;
}

static void test_full(void **state)
{
    struct hall h;
    struct hall_reader r;
    char id[32], next[32];
    (void)state;
    begin(&h);
    SUBMIT(&h, id, "{\"steps\":[{\"name\":\"a\",\"hold\":true,\"events\":200}]}");
    reader_open(&h, &r, (struct event_reader_options){.job = id, .follow = true});
    hall_until_ran(&h, "a", 1);
    fill_up(&h);
    assert_int_equal(count_jobs(&h), 1); // nothing was kept of those
    board_release(NULL);
    while (fake_plans > 0) // it has ended, as far as work goes
        hall_until(&h, hall_flag, &(bool){true});
    small_disk_fill(h.directory, 0);
    small_disk_empty(h.directory);
    hall_until(&h, all_succeeded, &r);
    hall_expect(&h, id, "succeeded", NULL);
    reader_finish(&h, &r);
    events_check(r.events, 1, true);
    assert_int_equal(events_count(r.events, "log"), 200);
    reader_close(&r);
    enum error_code code;
    while ((code = hall_submit(&h, "{}", (struct engine_submit){.idempotency_key = "k", .fingerprint = "g"},
                               next)))
        assert_int_equal(code, ERR_NO_SPACE); // until the store has taken its reserve again
    hall_expect(&h, next, "succeeded", NULL);
    assert_int_equal(count_jobs(&h), 2);
    end(&h);
}

// A checkpoint that cannot be written fails the job: what relies on it must not go on.
static void test_checkpoint(void **state)
{
    struct hall h;
    char id[32];
    struct strbuf spec = STRBUF_INIT(4 << 20);
    (void)state;
    begin(&h);
    strbuf_puts(&spec,
                "{\"holds\":true,\"steps\":[{\"name\":\"first\",\"hold\":true}],\"late_checkpoint\":\"");
    for (int i = 0; i < 100000; i++)
        strbuf_puts(&spec, "0123456789");
    strbuf_puts(&spec, "\"}");
    SUBMIT(&h, id, strbuf_text(&spec));
    strbuf_free(&spec);
    hall_until_ran(&h, "first", 1);
    struct fake_plan *plan = fake_last_plan;
    fill_up(&h);
    job_checkpoint(plan->job, json_incref(json_object_get(plan->spec, "late_checkpoint")));
    job_release(plan->job);
    while (fake_plans > 0)
        hall_until(&h, hall_flag, &(bool){true});
    small_disk_empty(h.directory);
    hall_expect(&h, id, "failed", "no-space");
    end(&h);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_full), cmocka_unit_test(test_checkpoint)};
    if (!small_disk_enter()) {
        fprintf(stderr, "mount namespaces are not permitted here\n");
        return 0;
    }
    return hall_main(tests, sizeof tests / sizeof *tests);
}
