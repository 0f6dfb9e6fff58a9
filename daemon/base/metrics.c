// SPDX-License-Identifier: Apache-2.0
//
// What must hold: nothing here blocks, fails or is ever removed; the bound of each metric holds also when threads claim the
// last places at once.
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LABELS = 3, SERIES_MAX = 308, NAMES_MAX = 50, LABEL_BYTES_MAX = 256, BOUNDS = 14 };

enum kind { COUNTER, HISTOGRAM };

static const int64_t bounds_ms[BOUNDS] = {5,    10,   50,    100,   250,    500,    1000,
                                          2500, 5000, 15000, 60000, 300000, 900000, 3600000};

struct series {
    char *labels; // as printed
    _Atomic int64_t value; // of a histogram: the sum in ms
    _Atomic int64_t buckets[BOUNDS + 1]; // not cumulative; the last is beyond all bounds
};

static const struct {
    const char *name, *labels[LABELS];
    int series_max;
    enum kind kind;
    const char *help;
} table[METRIC_COUNT] = {
#define X(id, name, label1, label2, label3, series, kind, help) {name, {label1, label2, label3}, series, kind, help},
    METRICS(X)
#undef X
};

static _Atomic(struct series *) all[METRIC_COUNT][SERIES_MAX];
static _Atomic(char *) names[NAMES_MAX];

static void put_value(struct strbuf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            strbuf_putc(out, '\\');
        strbuf_putc(out, (unsigned char)*value < ' ' ? '?' : *value);
    }
}

static char *labels_text(enum metric metric, const char *const values[LABELS])
{
    struct strbuf out = STRBUF_INIT(LABELS * 2 * LABEL_BYTES_MAX);
    for (int i = 0; i < LABELS && table[metric].labels[i]; i++) {
        strbuf_printf(&out, "%s%s=\"", i ? "," : "", table[metric].labels[i]);
        put_value(&out, values[i] && strlen(values[i]) < LABEL_BYTES_MAX ? values[i] : "other");
        strbuf_putc(&out, '"');
    }
    return strbuf_take(&out);
}

static struct series *series_new(const char *labels)
{
    struct series *series = mem_new(struct series);
    series->labels = mem_strdup(labels);
    return series;
}

static void series_free(struct series *series)
{
    free(series->labels);
    free(series);
}

// From `from` on: the series with these labels, made in the first empty place; NULL: there is none.
static struct series *find(enum metric metric, int from, int to, const char *labels)
{
    struct series *made = NULL, *found = NULL;
    for (int i = from; i < to && !found; i++) {
        struct series *present = atomic_load_explicit(&all[metric][i], memory_order_acquire);
        if (!present && !made)
            made = series_new(labels);
        if (!present && atomic_compare_exchange_strong(&all[metric][i], &present, made))
            return made;
        if (strcmp(present->labels, labels) == 0)
            found = present;
    }
    if (made)
        series_free(made);
    return found;
}

static struct series *series_of(enum metric metric, const char *const values[LABELS])
{
    static const char *const other[LABELS] = {"other", "other", "other"};
    int last = table[metric].series_max - 1;
    AUTO_FREE char *labels = labels_text(metric, values);
    struct series *series = find(metric, 0, last, labels);
    if (series)
        return series;
    AUTO_FREE char *rest = labels_text(metric, other);
    return find(metric, last, last + 1, rest);
}

void metrics_add(enum metric metric, int64_t amount, const char *value1, const char *value2, const char *value3)
{
    const char *const values[LABELS] = {value1, value2, value3};
    atomic_fetch_add_explicit(&series_of(metric, values)->value, amount, memory_order_relaxed);
}

void metrics_observe_ms(enum metric metric, int64_t value_ms, const char *value1)
{
    const char *const values[LABELS] = {value1};
    struct series *series = series_of(metric, values);
    int i = 0;
    if (value_ms < 0) // the wall clock was set back
        value_ms = 0;
    while (i < BOUNDS && value_ms > bounds_ms[i])
        i++;
    atomic_fetch_add_explicit(&series->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, value_ms, memory_order_relaxed);
}

const char *metrics_bounded_name(const char *name)
{
    for (int i = 0; i < NAMES_MAX; i++) {
        char *present = atomic_load_explicit(&names[i], memory_order_acquire);
        if (!present) {
            char *made = mem_strdup(name);
            if (atomic_compare_exchange_strong(&names[i], &present, made))
                return made;
            free(made);
        }
        if (strcmp(present, name) == 0)
            return present;
    }
    return "other";
}

static void print_histogram(struct strbuf *out, const char *name, const struct series *series)
{
    int64_t count = 0;
    for (int i = 0; i <= BOUNDS; i++) {
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
        strbuf_printf(out, "%s_bucket{%s,le=\"", name, series->labels);
        if (i < BOUNDS)
            strbuf_printf(out, "%g\"} %lld\n", (double)bounds_ms[i] / 1000.0, (long long)count);
        else
            strbuf_printf(out, "+Inf\"} %lld\n", (long long)count);
    }
    int64_t sum_ms = atomic_load_explicit(&series->value, memory_order_relaxed);
    strbuf_printf(out, "%s_sum{%s} %lld.%03d\n", name, series->labels, (long long)(sum_ms / 1000),
                  (int)(sum_ms % 1000));
    strbuf_printf(out, "%s_count{%s} %lld\n", name, series->labels, (long long)count);
}

static void print_metric(struct strbuf *out, enum metric metric)
{
    const char *name = table[metric].name;
    bool histogram = table[metric].kind == HISTOGRAM;
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, table[metric].help, name,
                  histogram ? "histogram" : "counter");
    for (int i = 0; i < table[metric].series_max; i++) {
        const struct series *series = atomic_load_explicit(&all[metric][i], memory_order_acquire);
        if (series && histogram)
            print_histogram(out, name, series);
        else if (series)
            strbuf_printf(out, "%s{%s} %lld\n", name, series->labels,
                          (long long)atomic_load_explicit(&series->value, memory_order_relaxed));
    }
}

void metrics_print(struct strbuf *out)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        print_metric(out, (enum metric)i);
}
