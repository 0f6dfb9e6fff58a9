// SPDX-License-Identifier: Apache-2.0
//
// Counters and histograms of the whole process, for GET /metrics. Each is one line of the table; a room adds where the thing
// happens. Any thread, no locks: a series is found or claimed with atomics and lives as long as the process. Bounded: the
// series that would be one too many counts under "other" in every label.
#pragma once

#include <stdint.h>

#include "base/strbuf.h"

// clang-format off
//   identifier        name                           label names             series  kind, help
#define METRICS(X)                                                                                                     \
    X(JOBS_FINISHED,   "dray_jobs_finished_total",     "kind", "result", "code", 160, COUNTER, "Jobs that became terminal since the start.") \
    X(JOB_DURATION,    "dray_job_duration_seconds",    "kind", NULL, NULL,         8, HISTOGRAM, "From the first attempt to the end of a job.") \
    X(JOB_QUEUE,       "dray_job_queue_seconds",       "kind", NULL, NULL,         8, HISTOGRAM, "From the acceptance of a job to its first attempt.") \
    X(BLOB_BYTES,      "dray_blob_bytes_total",        "how", NULL, NULL,          8, COUNTER, "Bytes of blobs brought to their targets: copied, mounted, exists already, or cache (copied, made by an earlier job).") \
    X(REGISTRY_REQUESTS, "dray_registry_requests_total", "registry", "code", NULL, 308, COUNTER, "Requests sent to registries, redirects and token servers, by class of the answer.") \
    X(LAYER_BLOCKS,    "dray_layer_blocks_total",      "how", NULL, NULL,          4, COUNTER, "Blocks of packed layers: compressed, or reused (taken from the layer that an earlier build of the same sources made).") \
    X(RETRIES,         "dray_registry_retries_total",  "code", NULL, NULL,        64, COUNTER, "Steps tried again by problem, and transfers resumed.")
// clang-format on

enum metric {
#define X(id, name, label1, label2, label3, series, kind, help) METRIC_##id,
    METRICS(X)
#undef X
    METRIC_COUNT
};

// Values of the labels, NULL where the metric has no such label. Texts from outside are escaped here.
void metrics_add(enum metric metric, int64_t amount, const char *value1, const char *value2, const char *value3);
// One observation of a histogram.
void metrics_observe_ms(enum metric metric, int64_t value_ms, const char *value1);
// name, or "other" when 50 other names came before it: for labels whose values come from outside.
const char *metrics_bounded_name(const char *name);
// Prometheus text format 0.0.4, all of the table.
void metrics_print(struct strbuf *out);
