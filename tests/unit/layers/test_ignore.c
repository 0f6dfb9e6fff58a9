// SPDX-License-Identifier: Apache-2.0
//
// The ignore matcher against cases of what Docker does with a .dockerignore: single patterns, order, parents,
// "!", the reading of files, and what that means for a copied tree. Each pair that moby's patternmatcher
// 0.5.0 and 0.6.0 publish for Linux is here, or one of the same shape; those marked "surprising" were tried
// with it. In three places it is not followed, as they are faults of the turn to a regular expression: "|"
// and "^" are plain characters here, "\\a" is an a, and a file that a "!" pattern takes in by its parent is
// in however deep it lies.
#include "layers/layers_fixture.h"

#include "layers/glob.h"
#include "layers/ignore.h"

enum verdict { NO, EXACT, BY_PARENT }; // BY_PARENT: only because a directory above matches

static const struct {
    const char *pattern, *path;
    enum verdict verdict;
} CASES[] = {
    // anything
    {"**", "file", EXACT},
    {"**", "dir/file", EXACT},
    {"**/", "file", EXACT},
    {"**/", "dir/file", EXACT},
    {"**/**", "dir/file", EXACT},
    {"**/**", "file", EXACT},
    {"*", "file", EXACT},
    {"*", "dir/file", BY_PARENT},
    // ** at the end
    {"dir/**", "dir/file", EXACT},
    {"dir/**", "dir/dir2/file", EXACT},
    {"dir/**", "dir", NO},
    {"abc/**", "abc", NO},
    {"abc/**", "abcd", NO},
    {"abc/**", "abc/def", EXACT},
    {"abc/**", "abc/def/ghi", EXACT},
    {"a/*.txt**", "a/file.txt", EXACT},
    {"foo**", "foobar", EXACT},
    {"foo**", "foo/bar/baz", EXACT},
    // ** at the beginning
    {"**/dir", "dir", EXACT},
    {"**/dir", "dir/file", BY_PARENT},
    {"**/dir", "a/b/dir", EXACT},
    {"**/dir", "xdir", NO},
    {"**/.foo", ".foo", EXACT},
    {"**/.foo", "bar.foo", NO},
    {"**file", "file", EXACT},
    {"**file", "dir/file", EXACT},
    {"**file", "dir/dir/file", EXACT},
    {"**file", "dir/afile", EXACT},
    {"**/file", "dir/file", EXACT},
    {"**/file", "dir/dir/file", EXACT},
    {"**/file", "dir/afile", NO},
    {"**/file*", "dir/dir/file", EXACT},
    {"**/file*", "dir/dir/file.txt", EXACT},
    {"**/file*txt", "d/d/file.txt", EXACT},
    {"**/file*.txt", "d/d/file.txt", EXACT},
    {"**/file*.txt*", "dir/dir/file.txt", EXACT},
    {"**/foo/bar", "foo/bar", EXACT},
    {"**/foo/bar", "dir/foo/bar", EXACT},
    {"**/foo/bar", "dir/dir2/foo/bar", EXACT},
    {"**/foo/bar", "dir/foo/x/bar", NO},
    {"**/*.txt", "file.txt", EXACT},
    {"**/**/*.txt", "file.txt", EXACT},
    {"**/**/*.txt", "dir/dir/file.txt", EXACT},
    {"**/**/*.txt2", "d/d/file.txt", NO},
    // ** in the middle
    {"**/dir2/*", "dir/dir2/file", EXACT},
    {"**/dir2/*", "dir/dir2/dir3/file", BY_PARENT},
    {"**/dir2/**", "dir/dir2/dir3/file", EXACT},
    {"a**/*.txt", "a/file.txt", EXACT},
    {"a**/*.txt", "a/d/file.txt", EXACT},
    {"a**/*.txt", "a/d/d/file.txt", EXACT},
    {"a**/*.txt", "file.txt", NO},
    {"a/**/b", "a/b", EXACT},
    {"a/**/b", "a/x/y/b", EXACT},
    {"a/**/b", "a/xb", NO},
    // one name
    {"abc", "abc", EXACT},
    {"abc", "abcd", NO},
    {"*", "abc", EXACT},
    {"a*", "abc", EXACT},
    {"a/*.txt", "a/file.txt", EXACT},
    {"*/temp*", "somedir/temporary.txt", EXACT},
    {"*/temp*", "temporary.txt", NO},
    {"*/*/temp*", "somedir/subdir/temporary.txt", EXACT},
    {"temp?", "tempa", EXACT},
    {"temp?", "temp", NO},
    {"a*", "ab/c", BY_PARENT},
    {"a*/b", "abc/b", EXACT},
    {"a*/b", "a/c/b", NO},
    {"*c", "abc", EXACT},
    {"a*", "a", EXACT},
    {"a*b*c*d*e*/f", "axbxcxdxe/f", EXACT},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/f", EXACT},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", NO},
    {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", NO},
    {"a*b?c*x", "abxbbxdbxebxczzx", EXACT},
    {"a*b?c*x", "abxbbxdbxebxczzy", NO},
    {"a/*.txt", "a/dir/file.txt", NO},
    {"a?b", "a/b", NO},
    {"a*b", "a/b", NO},
    {"abc?def", "abcZdef", EXACT},
    {"abc?def", "abcdef", NO},
    {"*x", "xxx", EXACT},
    {".*", ".foo", EXACT},
    {".*", "foo", NO},
    // what regular expressions would take for special is not
    {"abc.def", "abcdef", NO},
    {"abc.def", "abcZdef", NO},
    {"abc.def", "abc.def", EXACT},
    {"a(b)c/def", "a(b)c/def", EXACT},
    {"a.|)$(}+{bc", "a.|)$(}+{bc", EXACT},
    {"a(b)c/def", "a(b)c/xyz", NO},
    {"dist/*.whl", "dist/p-2+g0-none.whl", EXACT},
    {"dist/p.py-2.4.0rc3.dev36+g0-py3.whl", "dist/p.py-2.4.0rc3.dev36+g0-py3.whl", EXACT},
    {"dist/p.py-2.4.0rc3.dev36+g0-py3.whl", "dist/p.py-2.4.0rc3.dev366g0-py3.whl", NO},
    {"a^b|c", "a^b|c", EXACT},
    {"a|b", "a", NO},
    // classes
    {"a[b-d]e", "ae", NO},
    {"a[b-d]e", "ace", EXACT},
    {"a[b-d]e", "aae", NO},
    {"a[^b-d]e", "aze", EXACT},
    {"ab[c]", "abc", EXACT},
    {"ab[b-d]", "abc", EXACT},
    {"ab[e-g]", "abc", NO},
    {"ab[^c]", "abc", NO},
    {"ab[^b-d]", "abc", NO},
    {"ab[^e-g]", "abc", EXACT},
    {"[a-ζ]*", "α", EXACT},
    {"*[a-ζ]", "A", NO},
    {"[\\]a]", "]", EXACT},
    {"[\\-]", "-", EXACT},
    {"[x\\-]", "x", EXACT},
    {"[x\\-]", "-", EXACT},
    {"[x\\-]", "z", NO},
    {"[\\-x]", "x", EXACT},
    {"[\\-x]", "-", EXACT},
    {"[\\-x]", "a", NO},
    // surprising: a class may match a slash, unlike "?" and "*"
    {"a[^x]b", "a/b", EXACT},
    {"a[^x]b*", "a/bc", EXACT},
    {"a[b]c", "a/c", NO},
    // surprising: "**" before a plain rest is any beginning, before a rest with anything special whole
    // directories
    {"**file]", "afile]", NO},
    {"**file]", "dir/file]", EXACT},
    {"**file?", "afiles", NO},
    // escapes, and characters of several bytes
    {"a\\*b", "a*b", EXACT},
    {"a\\*b", "ab", NO},
    {"a\\\\", "a\\", EXACT},
    {"a?b", "a☺b", EXACT},
    {"a???b", "a☺b", NO},
    {"a[^a]b", "a☺b", EXACT},
    {"a[^a][^a][^a]b", "a☺b", NO},
    // cleaning
    {"dir/", "dir", EXACT},
    {"/dir", "dir", EXACT},
    {"./dir/./x", "dir/x", EXACT},
    {"dir//x", "dir/x", EXACT},
    {"a/../b", "b", EXACT},
    {"../b", "b", NO},
    {"/../b", "b", EXACT},
    {"a/../../b", "b", NO},
    {" dir / ", "dir", EXACT},
    {"  dir  ", "dir", EXACT},
    {".", "dir", NO},
    {"/", "dir", NO},
};

static struct ignore *rules_of(const char *const *patterns, struct layer_entry *entry)
{
    struct ignore *ignore = NULL;
    struct error err = ERROR_INIT;
    *entry = (struct layer_entry){0};
    while (patterns[entry->n_exclude])
        entry->n_exclude++;
    entry->exclude = (char **)patterns;
    if (ignore_new(&ignore, entry, &err) < 0)
        ignore = NULL;
    error_clear(&err);
    return ignore;
}

// As the walk does it: directory by directory. Stops, excluded, where nothing below could come back.
static bool excluded(struct ignore *top, const char *path)
{
    struct ignore *level = top;
    AUTO_FREE char *copy = mem_strdup(path);
    bool result = false;
    for (char *slash = strchr(copy, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        result = ignore_excludes(level, copy, slash != NULL);
        if (!slash || (result && !ignore_reaches_below(level, copy)))
            break;
        struct ignore *next = ignore_enter(level, copy);
        if (level != top)
            ignore_free(level);
        level = next;
        *slash = '/';
    }
    if (level != top)
        ignore_free(level);
    return result;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const char *patterns[] = {CASES[i].pattern, NULL};
        struct layer_entry entry;
        struct ignore *ignore = rules_of(patterns, &entry);
        if (!ignore)
            fail_msg("%s is refused", CASES[i].pattern);
        if (excluded(ignore, CASES[i].path) != (CASES[i].verdict != NO))
            fail_msg("%s %s", CASES[i].pattern, CASES[i].path);
        if (ignore_excludes(ignore, CASES[i].path, false) != (CASES[i].verdict == EXACT))
            fail_msg("%s %s alone", CASES[i].pattern, CASES[i].path);
        ignore_free(ignore);
    }
}

static void test_bad_patterns(void **state)
{
    (void)state;
    static const char *const bad[] = {"[",    "[^",      "[^bc", "a[",  "[]a]", "[-]", "[x-]",
                                      "[-x]", "[a-b-c]", "\\",   "a\\", "!",    "! "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *patterns[] = {bad[i], NULL};
        struct layer_entry entry;
        if (rules_of(patterns, &entry))
            fail_msg("%s is taken", bad[i]);
    }
}

static void test_order_decides(void **state)
{
    (void)state;
    static const struct {
        const char *patterns[5];
        const char *path;
        bool excluded;
    } cases[] = {
        {{"!fileutils.go", "*.go"}, "fileutils.go", true},
        {{"*.go", "!fileutils.go"}, "fileutils.go", false},
        {{"docs", "!docs/README.md"}, "docs/README.md", false},
        {{"docs/", "!docs/README.md"}, "docs/README.md", false},
        {{"docs/*", "!docs/README.md"}, "docs/README.md", false},
        {{"docs", "!docs/README.md"}, "docs/other", true},
        {{"docs", "  !docs/README.md  "}, "docs/README.md", false},
        {{"docs", "! /docs/README.md"}, "docs/README.md", false},
        {{"docs", "config", ""}, "config", true},
        {{"*.md", "!README.md"}, "README.md", false},
        {{"*.md", "!README.md"}, "CHANGES.md", true},
        {{"*.md", "!README*.md", "README-secret.md"}, "README-secret.md", true},
        {{"*.md", "README-secret.md", "!README*.md"}, "README-secret.md", false},
        {{"!fileutils.go"}, "fileutils.go", false},
        {{"**/x", "!a"}, "a/b/c/x", false},
        {{"**", "!util/docker/web"}, "util/docker/web/foo", false},
        {{"**", "!util/docker/web"}, "util/docker/other", true},
        {{"**", "!util/docker/web", "util/docker/web/foo"}, "util/docker/web/foo", true},
        {{"**", "!dist/*.whl"}, "dist/p+g0.whl", false},
        {{"a", "!**/keep"}, "a/b/keep", false},
        {{"a", "!**/keep"}, "a/b/lose", true},
        {{"*", "!a", "a/b", "!a/b/c"}, "a/b/c/d", false},
        {{"*", "!a", "a/b", "!a/b/c"}, "a/b/d", true},
        {{"*", "!a", "a/b", "!a/b/c"}, "a/x", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct layer_entry entry;
        struct ignore *ignore = rules_of(cases[i].patterns, &entry);
        assert_non_null(ignore);
        if (excluded(ignore, cases[i].path) != cases[i].excluded)
            fail_msg("case %zu: %s", i, cases[i].path);
        ignore_free(ignore);
    }
}

// A pattern that makes backtracking matchers go through 2^n ways ends at once.
static void test_hostile_pattern_is_linear(void **state)
{
    (void)state;
    char pattern[3001] = "", path[4001];
    for (int i = 0; i < 1000; i++)
        strcat(pattern, i % 2 ? "**/" : "a*/");
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    for (size_t i = 1; i < sizeof(path) - 1; i += 2)
        path[i] = '/';
    pattern[strlen(pattern) - 1] = 'b';
    struct glob *glob = glob_new(pattern);
    assert_non_null(glob);
    assert_false(glob_match(glob, path));
    glob_free(glob);
}

static void test_walk_is_not_wider_than_needed(void **state)
{
    (void)state;
    const char *patterns[] = {"node_modules", "!keep/me", "!**/*.md", NULL};
    struct layer_entry entry;
    struct ignore *ignore = rules_of(patterns, &entry);
    assert_true(ignore_reaches_below(ignore, "node_modules"));
    ignore_free(ignore);
    const char *literal[] = {"node_modules", "!keep/me", NULL};
    ignore = rules_of(literal, &entry);
    assert_false(ignore_reaches_below(ignore, "node_modules"));
    assert_true(ignore_reaches_below(ignore, "keep"));
    ignore_free(ignore);
}

// --- in a layer
// ----------------------------------------------------------------------------------------------------

static void test_excluded_directory_leaves_no_entry(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/a/test/x", "x");
    fixture_file(fx, "src/a/y", "y");
    fixture_file(fx, "src/b/deep/keep.md", "k");
    fixture_file(fx, "src/b/deep/lose", "l");
    fixture_file(fx, "src/c/only", "o");
    const char *const exclude[] = {"**/test", "b", "!b/deep/keep.md", "c/*", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "d 0755 0:0 0 app/a/\n"
                       "f 0644 0:0 0 app/a/y 1 y\n"
                       "d 0755 0:0 0 app/b/\n"
                       "d 0755 0:0 0 app/b/deep/\n"
                       "f 0644 0:0 0 app/b/deep/keep.md 1 k\n"
                       "d 0755 0:0 0 app/c/\n");
}

static void test_ignore_files_of_every_directory(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/.dockerignore",
                 "\xef\xbb\xbf# comment\n\n*.log\r\n!b/keep.log\n  sub/here  \n#sub\n");
    fixture_file(fx, "src/a.log", "1");
    fixture_file(fx, "src/b/keep.log", "2");
    fixture_file(fx, "src/b/.dockerignore", "keep*\n!keep.md\n");
    fixture_file(fx, "src/b/keep.md", "3");
    fixture_file(fx, "src/b/keep.txt", "4");
    fixture_file(fx, "src/keep.txt", "5");
    fixture_file(fx, "src/sub/here/x", "6");
    fixture_file(fx, "src/sub/there", "7");
    const char *const files[] = {".dockerignore", NULL}, *const exclude[] = {"!b/keep.txt", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->ignore_files, &entry->n_ignore_files, files);
    fixture_texts(&entry->exclude, &entry->n_exclude, exclude);
    fixture_expect(fx, "d 0755 0:0 0 app/\n"
                       "d 0755 0:0 0 app/b/\n"
                       "f 0644 0:0 0 app/b/keep.md 1 3\n"
                       "f 0644 0:0 0 app/b/keep.txt 1 4\n"
                       "f 0644 0:0 0 app/keep.txt 1 5\n"
                       "d 0755 0:0 0 app/sub/\n"
                       "f 0644 0:0 0 app/sub/there 1 7\n");
}

static void test_ignore_file_faults(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/sub/.dockerignore", "ok\na[\n");
    const char *const files[] = {".dockerignore", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->ignore_files, &entry->n_ignore_files, files);
    fixture_refuse(fx, ERR_INVALID_REQUEST, "src/sub/.dockerignore: line 2: \"a[\" is not a pattern");
    fixture_bytes(fx, "src/sub/.dockerignore", "a\0b", 3, 0644);
    fixture_refuse(fx, ERR_INVALID_REQUEST, "NUL");
}

// The ignore file itself may be taken back in.
static void test_ignore_file_itself(void **state)
{
    struct fixture *fx = *state;
    fixture_file(fx, "src/.dockerignore", "!.dockerignore\n");
    const char *const files[] = {".dockerignore", NULL};
    struct layer_entry *entry = fixture_copy(fx, "src", "/app");
    fixture_texts(&entry->ignore_files, &entry->n_ignore_files, files);
    fixture_expect(fx, "d 0755 0:0 0 app/\nf 0644 0:0 0 app/.dockerignore 15 !.dockerignore\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_bad_patterns),
        cmocka_unit_test(test_order_decides),
        cmocka_unit_test(test_hostile_pattern_is_linear),
        cmocka_unit_test(test_walk_is_not_wider_than_needed),
        fixture_test(test_excluded_directory_leaves_no_entry),
        fixture_test(test_ignore_files_of_every_directory),
        fixture_test(test_ignore_file_faults),
        fixture_test(test_ignore_file_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
