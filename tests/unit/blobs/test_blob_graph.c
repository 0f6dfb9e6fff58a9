// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/mem.h"
#include "blobs/blob_graph.h"

enum { DAY_MS = 24 * 3600 * 1000 };

struct fixture {
    char directory[64];
    struct loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    struct blob_graph *graph;
};

static void open_graph(struct fixture *f, size_t max, int64_t max_age_ms)
{
    struct error err = ERROR_INIT;
    f->store = store_open(f->directory, f->mailbox, &err);
    assert_non_null(f->store);
    f->graph = blob_graph_new(f->store, max, max_age_ms, &err);
    assert_non_null(f->graph);
}

static void close_graph(struct fixture *f)
{
    blob_graph_free(f->graph);
    store_close(f->store);
}

static void reopen(struct fixture *f, size_t max, int64_t max_age_ms)
{
    close_graph(f);
    open_graph(f, max, max_age_ms);
}

static int setup(void **state)
{
    static const char template[] = "/tmp/dray-graph-XXXXXX";
    struct error err = ERROR_INIT;
    struct fixture *f = mem_new(struct fixture);
    memcpy(f->directory, template, sizeof template);
    assert_non_null(mkdtemp(f->directory));
    f->loop = loop_new(&err);
    f->mailbox = mailbox_new(f->loop, &err);
    open_graph(f, 100, DAY_MS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    close_graph(f);
    mailbox_free(f->mailbox);
    loop_free(f->loop);
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_remove_tree(parent, strrchr(f->directory, '/') + 1, &err);
    close(parent);
    error_clear(&err);
    free(f);
    return 0;
}

static struct digest blob(int n)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, &n, sizeof n);
    return digest;
}

static void test_add_has_drop(void **state)
{
    struct fixture *f = *state;
    struct digest a = blob(1), b = blob(2);
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    blob_graph_add(f->graph, "anonymous", "r/app", &a);
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app", &b));
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app2", &a));
    blob_graph_drop(f->graph, "anonymous", "r/app", &a);
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    blob_graph_drop(f->graph, "anonymous", "r/app", &a);
}

// zot CVE-2024-39897: what one may read must not be told to another.
static void test_identities_are_apart(void **state)
{
    struct fixture *f = *state;
    struct digest a = blob(1);
    blob_graph_add(f->graph, "0123456789abcdef", "r/secret", &a);
    assert_false(blob_graph_has(f->graph, "anonymous", "r/secret", &a));
    assert_null(blob_graph_find_mount(f->graph, "anonymous", "r", &a));
    assert_non_null(blob_graph_find_mount(f->graph, "0123456789abcdef", "r", &a));
}

static void test_mount_on_the_same_host_only(void **state)
{
    struct fixture *f = *state;
    struct digest a = blob(1);
    blob_graph_add(f->graph, "anonymous", "reg.local:5000/team/app", &a);
    assert_null(blob_graph_find_mount(f->graph, "anonymous", "reg.local", &a));
    assert_null(blob_graph_find_mount(f->graph, "anonymous", "other:5000", &a));
    assert_string_equal(blob_graph_find_mount(f->graph, "anonymous", "reg.local:5000", &a),
                        "reg.local:5000/team/app");
    blob_graph_add(f->graph, "anonymous", "reg.local:5000/new", &a);
    assert_string_equal(blob_graph_find_mount(f->graph, "anonymous", "reg.local:5000", &a),
                        "reg.local:5000/new");
    blob_graph_add(f->graph, "anonymous", "reg.local:5000/team/app", &a); // confirmed again
    assert_string_equal(blob_graph_find_mount(f->graph, "anonymous", "reg.local:5000", &a),
                        "reg.local:5000/team/app");
    blob_graph_drop(f->graph, "anonymous", "reg.local:5000/team/app", &a);
    assert_string_equal(blob_graph_find_mount(f->graph, "anonymous", "reg.local:5000", &a),
                        "reg.local:5000/new");
    blob_graph_drop(f->graph, "anonymous", "reg.local:5000/new", &a);
    assert_null(blob_graph_find_mount(f->graph, "anonymous", "reg.local:5000", &a));
}

static void test_survives_restart(void **state)
{
    struct fixture *f = *state;
    struct digest a = blob(1), b = blob(2);
    blob_graph_add(f->graph, "anonymous", "r/app", &a);
    blob_graph_add(f->graph, "anonymous", "r/app", &b);
    blob_graph_drop(f->graph, "anonymous", "r/app", &b);
    reopen(f, 100, DAY_MS);
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app", &b));
    assert_string_equal(blob_graph_find_mount(f->graph, "anonymous", "r", &a), "r/app");
}

static int count(struct fixture *f, int n)
{
    int known = 0;
    for (int i = 0; i < n; i++) {
        struct digest digest = blob(i);
        known += blob_graph_has(f->graph, "anonymous", "r/app", &digest);
    }
    return known;
}

static void test_bounded(void **state)
{
    struct fixture *f = *state;
    struct digest first = blob(0), last = blob(249);
    for (int i = 0; i < 250; i++) {
        struct digest digest = blob(i);
        blob_graph_add(f->graph, "anonymous", "r/app", &digest);
        blob_graph_add(f->graph, "anonymous", "r/app", &first); // stays the newest
    }
    assert_int_equal(count(f, 250), 100);
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &first));
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &last));
    reopen(f, 1000, DAY_MS); // the store was told, too
    assert_int_equal(count(f, 250), 100);
    reopen(f, 10, DAY_MS);
    assert_int_equal(count(f, 250), 10);
    reopen(f, 1000, DAY_MS);
    assert_int_equal(count(f, 250), 10);
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    struct digest a = blob(1), b = blob(2);
    blob_graph_add(f->graph, "anonymous", "r/app", &a);
    close_graph(f);
    // As if it had been added a day ago.
    struct error err = ERROR_INIT;
    f->store = store_open(f->directory, f->mailbox, &err);
    AUTO_FREE char *key = mem_printf("anonymous\nr/app\n%s", a.text);
    store_fact_put(f->store, "blob", key, "", clock_wall_ms() + 1000);
    store_close(f->store);
    open_graph(f, 100, 2 * DAY_MS); // age is measured against the limit of now
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    reopen(f, 100, 1000); // added "just now" by that measure
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &a));
    reopen(f, 100, 1);
    blob_graph_add(f->graph, "anonymous", "r/app", &b);
    usleep(5000); // longer than the age of a millisecond
    assert_false(blob_graph_has(f->graph, "anonymous", "r/app", &b));
    assert_null(blob_graph_find_mount(f->graph, "anonymous", "r", &b));
}

static void test_layers(void **state)
{
    struct fixture *f = *state;
    struct digest fingerprint = blob(7);
    AUTO_JSON json_t *record = json_pack("{s:s, s:i}", "digest", "sha256:x", "size", 5);
    assert_null(blob_graph_layer_find(f->graph, &fingerprint));
    blob_graph_layer_put(f->graph, &fingerprint, record);
    reopen(f, 100, DAY_MS);
    AUTO_JSON json_t *found = blob_graph_layer_find(f->graph, &fingerprint);
    assert_true(json_equal(found, record));
    json_object_set_new(record, "size", json_integer(6));
    blob_graph_layer_put(f->graph, &fingerprint, record);
    AUTO_JSON json_t *changed = blob_graph_layer_find(f->graph, &fingerprint);
    assert_int_equal(json_get_int(changed, "size", 0), 6);
}

// What was written by another version, or damaged, is not believed.
static void test_odd_facts_in_the_store(void **state)
{
    struct fixture *f = *state;
    struct digest fingerprint = blob(7);
    store_fact_put(f->store, "blob", "no line breaks", "", 0);
    store_fact_put(f->store, "blob", "one\nbreak", "", 0);
    store_fact_put(f->store, "layer", fingerprint.text, "no JSON", 0);
    reopen(f, 100, DAY_MS);
    assert_null(blob_graph_layer_find(f->graph, &fingerprint));
    struct digest a = blob(1);
    blob_graph_add(f->graph, "anonymous", "r/app", &a);
    assert_true(blob_graph_has(f->graph, "anonymous", "r/app", &a));
}

#define WITH_GRAPH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GRAPH(test_add_has_drop),
        WITH_GRAPH(test_identities_are_apart),
        WITH_GRAPH(test_mount_on_the_same_host_only),
        WITH_GRAPH(test_survives_restart),
        WITH_GRAPH(test_bounded),
        WITH_GRAPH(test_age),
        WITH_GRAPH(test_layers),
        WITH_GRAPH(test_odd_facts_in_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
