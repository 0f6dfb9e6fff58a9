// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <pthread.h>

#include "base/metrics.h"

static char *printed(void)
{
    struct strbuf out = STRBUF_INIT(1 << 20);
    metrics_print(&out);
    return strbuf_take(&out);
}

static void assert_prints(const char *line)
{
    AUTO_FREE char *text = printed();
    AUTO_FREE char *whole = mem_printf("\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("no line %s in\n%s", line, text);
}

static void test_counter(void **state)
{
    (void)state;
    metrics_add(METRIC_JOBS_FINISHED, 1, "copy", "failed", "no-space");
    metrics_add(METRIC_JOBS_FINISHED, 2, "copy", "failed", "no-space");
    metrics_add(METRIC_JOBS_FINISHED, 1, "copy", "succeeded", "");
    assert_prints("dray_jobs_finished_total{kind=\"copy\",result=\"failed\",code=\"no-space\"} 3");
    assert_prints("dray_jobs_finished_total{kind=\"copy\",result=\"succeeded\",code=\"\"} 1");
    assert_prints("# TYPE dray_jobs_finished_total counter");
}

static void test_histogram(void **state)
{
    (void)state;
    metrics_observe_ms(METRIC_JOB_QUEUE, 5, "build");
    metrics_observe_ms(METRIC_JOB_QUEUE, 6, "build");
    metrics_observe_ms(METRIC_JOB_QUEUE, INT64_C(3600001), "build");
    metrics_observe_ms(METRIC_JOB_QUEUE, -4, "build");
    assert_prints("dray_job_queue_seconds_bucket{kind=\"build\",le=\"0.005\"} 2");
    assert_prints("dray_job_queue_seconds_bucket{kind=\"build\",le=\"0.01\"} 3");
    assert_prints("dray_job_queue_seconds_bucket{kind=\"build\",le=\"3600\"} 3");
    assert_prints("dray_job_queue_seconds_bucket{kind=\"build\",le=\"+Inf\"} 4");
    assert_prints("dray_job_queue_seconds_sum{kind=\"build\"} 3600.012");
    assert_prints("dray_job_queue_seconds_count{kind=\"build\"} 4");
}

static void test_values_are_escaped(void **state)
{
    (void)state;
    metrics_add(METRIC_RETRIES, 1, "a\"b\\c\nd", NULL, NULL);
    assert_prints("dray_registry_retries_total{code=\"a\\\"b\\\\c?d\"} 1");
}

static void test_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        AUTO_FREE char *how = mem_printf("how%d", i);
        metrics_add(METRIC_BLOB_BYTES, 1, how, NULL, NULL);
    }
    assert_prints("dray_blob_bytes_total{how=\"how6\"} 1");
    assert_prints("dray_blob_bytes_total{how=\"other\"} 13");
    for (int i = 0; i < 60; i++) {
        AUTO_FREE char *name = mem_printf("registry%d", i);
        assert_string_equal(metrics_bounded_name(name), i < 50 ? name : "other");
        assert_string_equal(metrics_bounded_name(name), i < 50 ? name : "other");
    }
}

static void *add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i % 20);
        metrics_add(METRIC_REGISTRY_REQUESTS, 1, "threads", text, NULL);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, add_many, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 20; i++) {
        AUTO_FREE char *line = mem_printf("dray_registry_requests_total{registry=\"threads\",code=\"%d\"} 1000", i);
        assert_prints(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter), cmocka_unit_test(test_histogram), cmocka_unit_test(test_values_are_escaped),
        cmocka_unit_test(test_bounded), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
