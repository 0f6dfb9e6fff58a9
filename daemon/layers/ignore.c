// SPDX-License-Identifier: Apache-2.0
//
// Each directory of the walk has its own struct ignore: the sets of patterns that hold there (shared,
// counted) and, for each pattern, whether it matched a directory above – which is all that is needed to know
// whether a parent matched.
#include "layers/ignore.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "layers/glob.h"

struct pattern {
    struct glob *glob;
    bool takes_in; // "!"
};

struct set {
    size_t refs;  // one thread
    size_t depth; // bytes of a path before which the patterns do not count
    size_t n;
    struct pattern *patterns;
};

struct rules {
    struct set *set;
    uint8_t *matched_above; // per pattern
};

struct ignore {
    const struct layer_entry *entry;
    size_t n_rules; // the job's own are the last
    struct rules *rules;
};

// --- reading patterns
// ----------------------------------------------------------------------------------------------

// As Go's path.Clean, in place: no empty, "." or resolvable ".." components, no trailing slash, no leading
// slash, above which there is nothing.
static void clean(char *path)
{
    char *out = path;
    bool rooted = *path == '/';
    for (const char *next = path; *next;) {
        size_t len = strcspn(next, "/");
        bool dots = len == 2 && next[0] == '.' && next[1] == '.';
        char *last = out;
        while (last > path && last[-1] != '/')
            last--;
        bool after_dots = out - last == 2 && last[0] == '.' && last[1] == '.';
        if (dots && out > path && !after_dots) {
            out = last > path ? last - 1 : path;
        } else if (len > 0 && !(len == 1 && *next == '.') && !(dots && rooted)) {
            if (out > path)
                *out++ = '/';
            memmove(out, next, len);
            out += len;
        }
        next += len + (next[len] == '/');
    }
    *out = '\0';
}

static char *trim(char *text)
{
    static const char spaces[] = " \t\r\n\v\f";
    text += strspn(text, spaces);
    size_t len = strlen(text);
    while (len > 0 && strchr(spaces, text[len - 1]))
        text[--len] = '\0';
    return text;
}

static int add_pattern(struct set *set, char *text, struct error *err)
{
    text = trim(text);
    AUTO_FREE char *quoted = str_quote(text, 200);
    bool takes_in = *text == '!';
    if (takes_in)
        text = trim(text + 1);
    else if (*text == '\0')
        return 0;
    bool empty = *text == '\0';
    clean(text);
    text = trim(text); // again, as Docker does: what stood before a trailing slash
    if (*text == '\0' && !empty)
        return 0; // "." and "/": the source itself, which patterns cannot leave out
    struct glob *glob = glob_new(text);
    if (!glob)
        return error_set(err, ERR_INVALID_REQUEST, "\"%s\" is not a pattern", quoted);
    if (set->n >= IGNORE_PATTERNS_MAX) {
        glob_free(glob);
        return error_set(err, ERR_TOO_LARGE, "there are more than %d patterns", IGNORE_PATTERNS_MAX);
    }
    if ((set->n & (set->n - 1)) == 0)
        set->patterns = mem_realloc(set->patterns, (set->n ? set->n * 2 : 1) * sizeof(*set->patterns));
    set->patterns[set->n++] = (struct pattern){.glob = glob, .takes_in = takes_in};
    return 0;
}

static void set_unref(struct set *set)
{
    if (--set->refs > 0)
        return;
    for (size_t i = 0; i < set->n; i++)
        glob_free(set->patterns[i].glob);
    free(set->patterns);
    free(set);
}

static int add_lines(struct set *set, char *text, struct error *err)
{
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (int number = 1; text; number++) {
        char *end = strchr(text, '\n');
        if (end)
            *end = '\0';
        if (*text != '#' && add_pattern(set, text, err) < 0)
            return error_wrap(err, "line %d", number);
        text = end ? end + 1 : NULL;
    }
    return 0;
}

// --- rules of a directory
// ------------------------------------------------------------------------------------------

// Makes room for one more set, before the job's own.
static void insert_set(struct ignore *ignore, size_t at, struct set *set)
{
    ignore->rules = mem_realloc(ignore->rules, (ignore->n_rules + 1) * sizeof(*ignore->rules));
    memmove(&ignore->rules[at + 1], &ignore->rules[at], (ignore->n_rules - at) * sizeof(*ignore->rules));
    ignore->rules[at] = (struct rules){.set = set, .matched_above = mem_calloc(set->n + 1, 1)};
    ignore->n_rules++;
}

int ignore_new(struct ignore **ret, const struct layer_entry *entry, struct error *err)
{
    *ret = NULL;
    if (entry->n_exclude == 0 && entry->n_ignore_files == 0)
        return 0;
    struct set *set = mem_new(struct set);
    set->refs = 1;
    for (size_t i = 0; i < entry->n_exclude; i++) {
        AUTO_FREE char *text = mem_strdup(entry->exclude[i]);
        if (add_pattern(set, text, err) == 0)
            continue;
        set_unref(set);
        return -1;
    }
    struct ignore *ignore = mem_new(struct ignore);
    ignore->entry = entry;
    insert_set(ignore, 0, set);
    *ret = ignore;
    return 0;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->n_rules; i++) {
        set_unref(ignore->rules[i].set);
        free(ignore->rules[i].matched_above);
    }
    free(ignore->rules);
    free(ignore);
}

static bool matches(const struct rules *rules, size_t index, const char *path)
{
    return rules->matched_above[index] ||
           glob_match(rules->set->patterns[index].glob, path + rules->set->depth);
}

struct ignore *ignore_enter(const struct ignore *parent, const char *path)
{
    if (!parent)
        return NULL;
    struct ignore *ignore = mem_new(struct ignore);
    ignore->entry = parent->entry;
    for (size_t i = 0; i < parent->n_rules; i++) {
        const struct rules *above = &parent->rules[i];
        insert_set(ignore, i, above->set);
        above->set->refs++;
        for (size_t j = 0; j < above->set->n; j++)
            ignore->rules[i].matched_above[j] = matches(above, j, path);
    }
    return ignore;
}

int ignore_add_file(struct ignore *ignore, const char *path, const char *text, size_t len, const char *shown,
                    struct error *err)
{
    AUTO_FREE char *quoted = str_quote(shown, 512);
    if (strnlen(text, len) < len)
        return error_set(err, ERR_INVALID_REQUEST, "the ignore file %s contains a NUL byte", quoted);
    AUTO_FREE char *copy = mem_strndup(text, len);
    struct set *set = mem_new(struct set);
    set->refs = 1;
    set->depth = *path ? strlen(path) + 1 : 0;
    if (add_lines(set, copy, err) < 0) {
        set_unref(set);
        return error_wrap(err, "the ignore file %s", quoted);
    }
    insert_set(ignore, ignore->n_rules - 1, set);
    return 0;
}

static bool is_ignore_file(const struct layer_entry *entry, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < entry->n_ignore_files; i++)
        if (strcmp(name, entry->ignore_files[i]) == 0)
            return true;
    return false;
}

bool ignore_excludes(const struct ignore *ignore, const char *path, bool directory)
{
    if (!ignore)
        return false;
    bool excluded = !directory && is_ignore_file(ignore->entry, path);
    for (size_t i = 0; i < ignore->n_rules; i++) {
        const struct rules *rules = &ignore->rules[i];
        for (size_t j = 0; j < rules->set->n; j++)
            if (excluded == rules->set->patterns[j].takes_in && matches(rules, j, path))
                excluded = !excluded;
    }
    return excluded;
}

bool ignore_reaches_below(const struct ignore *ignore, const char *path)
{
    for (size_t i = 0; ignore && i < ignore->n_rules; i++) {
        const struct set *set = ignore->rules[i].set;
        for (size_t j = 0; j < set->n; j++)
            if (set->patterns[j].takes_in && glob_reaches_below(set->patterns[j].glob, path + set->depth))
                return true;
    }
    return false;
}
