// SPDX-License-Identifier: Apache-2.0
//
// Notes come back as they were put, or not at all; their number and bytes stay within the limits, and what was used last stays.
#include "blobs/notes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static char directory[] = "/tmp/dray-notes-XXXXXX";

static struct notes *open_notes(size_t count, int64_t bytes)
{
    struct error err = ERROR_INIT;
    struct notes *notes = notes_open(directory, (struct notes_limits){count, bytes}, &err);
    assert_non_null(notes);
    return notes;
}

static bool has(struct notes *notes, const char *key, const char *text)
{
    size_t len = 0;
    AUTO_FREE char *found = notes_get(notes, key, &len);
    if (found)
        assert_int_equal(found[len], 0);
    return found && len == strlen(text) && memcmp(found, text, len) == 0;
}

static void test_kept_across_a_restart(void **state)
{
    (void)state;
    struct notes *notes = open_notes(10, 1 << 20);
    notes_put(notes, "key", "first", 5);
    notes_put(notes, "key", "second", 6);
    notes_put(notes, "empty", "", 0);
    notes_free(notes);
    notes = open_notes(10, 1 << 20);
    assert_true(has(notes, "key", "second"));
    assert_true(has(notes, "empty", ""));
    size_t len;
    assert_null(notes_get(notes, "other", &len));
    notes_free(notes);
}

static void put_numbered(struct notes *notes, int number)
{
    char key[16];
    snprintf(key, sizeof(key), "n%d", number);
    notes_put(notes, key, key, strlen(key));
    usleep(5000); // the clock of files is coarse
}

static void test_bounded(void **state)
{
    (void)state;
    struct notes *notes = open_notes(3, 1 << 20);
    for (int i = 0; i < 3; i++)
        put_numbered(notes, i);
    assert_true(has(notes, "n0", "n0")); // used: now n1 is the oldest
    usleep(5000);
    put_numbered(notes, 3);
    assert_true(has(notes, "n0", "n0"));
    assert_false(has(notes, "n1", "n1"));
    assert_true(has(notes, "n3", "n3"));
    notes_free(notes);
    notes = open_notes(10, 200); // each has 73 bytes
    usleep(5000);
    put_numbered(notes, 4);
    assert_true(has(notes, "n4", "n4"));
    assert_false(has(notes, "n2", "n2"));
    AUTO_FREE char *large = mem_calloc(1, NOTE_BYTES_MAX + 1);
    notes_put(notes, "large", large, NOTE_BYTES_MAX + 1);
    size_t len;
    assert_null(notes_get(notes, "large", &len));
    assert_true(has(notes, "n4", "n4"));
    notes_free(notes);
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    return file_remove_tree(AT_FDCWD, directory, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_across_a_restart, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_bounded, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
