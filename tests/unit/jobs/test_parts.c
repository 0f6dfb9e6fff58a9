// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "jobs/event_window.h"
#include "jobs/meter.h"
#include "jobs/task.h"

static void test_window(void **state)
{
    struct event_window window = {0};
    (void)state;
    for (int64_t seq = 5; seq < 105; seq++) {
        struct event *event = event_new("J", seq, seq * 10, "log", NULL);
        event_window_add(&window, event);
        event_unref(event);
    }
    assert_null(event_window_find(&window, 4));
    assert_null(event_window_find(&window, 105));
    assert_int_equal(event_window_find(&window, 5)->seq, 5);
    event_window_trim(&window, 10, 50); // 50 is the newest that may go
    assert_null(event_window_find(&window, 50));
    assert_int_equal(event_window_find(&window, 51)->cursor, 510);
    event_window_trim(&window, 10, 1000);
    assert_int_equal(window.count, 10);
    assert_null(event_window_find(&window, 94));
    assert_int_equal(event_window_find(&window, 95)->seq, 95);
    event_window_trim(&window, 0, 1000);
    struct event *event = event_new("J", 105, 1050, "log", NULL);
    event_window_add(&window, event);
    event_unref(event);
    assert_int_equal(event_window_find(&window, 105)->seq, 105);
    event_window_fini(&window);
}

static void test_event_line(void **state)
{
    (void)state;
    struct event *event =
        event_new("01JD", 3, 17, "warning", json_pack("{s:s}", "message", "\"type\":\"job.finished\""));
    AUTO_JSON json_t *json = json_loads(event->line, 0, NULL);
    assert_int_equal(json_get_int(json, "seq", 0), 3);
    assert_string_equal(json_get_string(json, "cursor"), "17");
    assert_string_equal(json_get_string(json, "job"), "01JD");
    assert_string_equal(json_get_string(json, "type"), "warning");
    assert_string_equal(event->type, "warning");
    struct event *again = event_from_line(3, 17, event->line);
    assert_string_equal(again->type, "warning");
    assert_string_equal(again->line, event->line);
    event_unref(again);
    event_unref(event);
    event = event_new(NULL, 0, 0, "heartbeat", NULL);
    AUTO_JSON json_t *beat = json_loads(event->line, 0, NULL);
    assert_null(json_object_get(beat, "seq"));
    assert_null(json_object_get(beat, "cursor"));
    event_unref(event);
}

// Readers share what was parsed; what is parsed long ago, or large, makes room; an event may end while it is remembered.
static void test_event_members(void **state)
{
    enum { COUNT = 100, LARGE = 200 * 1024 };
    struct event *events[COUNT];
    (void)state;
    AUTO_FREE char *large = mem_alloc(LARGE + 1);
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    for (int i = 0; i < COUNT; i++)
        events[i] = event_new("01JD", i + 1, i + 1, "log", json_pack("{s:i}", "n", i));
    const json_t *first = event_members(events[0]);
    assert_int_equal(json_get_int(first, "n", -1), 0);
    assert_ptr_equal(event_members(events[0]), first);
    assert_ptr_equal(events[0]->members, first);
    for (int i = 1; i < COUNT; i++)
        assert_int_equal(json_get_int(event_members(events[i]), "n", -1), i);
    assert_null(events[0]->members);
    assert_int_equal(json_get_int(event_members(events[0]), "n", -1), 0);
    struct event *wide[2];
    for (int i = 0; i < 2; i++) {
        wide[i] = event_new("01JD", COUNT + i, COUNT + i, "log", json_pack("{s:s}", "message", large));
        assert_string_equal(json_get_string(event_members(wide[i]), "message"), large);
    }
    assert_null(wide[0]->members);
    event_unref(wide[1]); // while it is remembered
    assert_int_equal(json_get_int(event_members(events[COUNT - 1]), "n", -1), COUNT - 1);
    event_unref(wide[0]);
    for (int i = 0; i < COUNT; i++)
        event_unref(events[i]);
}

static void test_meter(void **state)
{
    struct meter meter = {0};
    (void)state;
    assert_int_equal(meter_rate(&meter), 0);
    for (int i = 0; i <= 100; i++)
        meter_sample(&meter, 1000 + i * 100, i * 500);
    assert_in_range(meter_rate(&meter), 4990, 5010);
    meter_sample(&meter, 11001, 1000000); // too close to the one before
    assert_in_range(meter_rate(&meter), 4990, 5010);
    for (int i = 0; i < 200; i++)
        meter_sample(&meter, 12000 + i * 100, 50000);
    assert_in_range(meter_rate(&meter), 0, 10); // it stands still
    meter_sample(&meter, 40000, 10);            // a new phase begins at nothing
    assert_true(meter_rate(&meter) >= 0);
}

static void nothing(struct step *step)
{
    free(step);
}

static const struct step_ops ops = {.free = nothing};

static struct task *make(int64_t size, uint64_t order)
{
    struct step *step = mem_new(struct step);
    step_init(step, &ops, "s", NULL);
    step->size_hint = size;
    struct task *task = task_new(step, NULL);
    task->order = order;
    return task;
}

static void test_heap(void **state)
{
    struct task_heap heap = {0};
    struct task *tasks[200];
    (void)state;
    for (int i = 0; i < 200; i++) {
        tasks[i] = make(i * 7919 % 50, (uint64_t)i);
        task_heap_add(&heap, tasks[i]);
    }
    for (int i = 0; i < 200; i += 3) { // from anywhere
        task_heap_remove(&heap, tasks[i]);
        task_free(tasks[i]);
    }
    int64_t size = -1;
    uint64_t order = 0;
    int count = 0;
    for (struct task *task; (task = task_heap_first(&heap)) != NULL; count++) {
        assert_true(task->step->size_hint > size || (task->step->size_hint == size && task->order > order));
        size = task->step->size_hint;
        order = task->order;
        task_heap_remove(&heap, task);
        task_free(task);
    }
    assert_int_equal(count, 133);
    task_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_event_line),
        cmocka_unit_test(test_event_members),
        cmocka_unit_test(test_meter),
        cmocka_unit_test(test_heap),
    };
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
