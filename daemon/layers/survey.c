// SPDX-License-Identifier: Apache-2.0
//
// A walk of one part visits a directory that is not its own only if something below it is. Here the walk is
// over the whole, so directories above the present path are kept as bytes until each part needs them or they
// are left.
#include "layers/survey.h"

#include <string.h>

#include "base/mem.h"

enum { ABOVE_MAX = 64 << 20 };

struct above {
    size_t path_len;
    size_t start, len; // of its bytes
    bool taken[LAYER_PARTS];
};

struct survey {
    struct fingerprint *fingerprints[LAYER_PARTS];
    struct layer_survey counts;
    int64_t since_ms;
    struct above *above; // directories on the way to the present path
    size_t n_above, capacity;
    struct strbuf bytes; // of them, one behind the other
    char path[WALK_PATH_MAX + 16];
};

struct survey *survey_new(const struct layer_spec *spec, int64_t since_ms)
{
    struct survey *survey = mem_new(struct survey);
    survey->since_ms = since_ms;
    for (enum layer_part part = 0; part < LAYER_PARTS; part++)
        survey->fingerprints[part] = fingerprint_new(spec, part);
    survey->bytes = STRBUF_INIT(ABOVE_MAX);
    return survey;
}

void survey_free(struct survey *survey)
{
    if (!survey)
        return;
    for (enum layer_part part = 0; part < LAYER_PARTS; part++)
        fingerprint_free(survey->fingerprints[part]);
    strbuf_free(&survey->bytes);
    free(survey->above);
    free(survey);
}

struct fingerprint *survey_fingerprint(struct survey *survey, enum layer_part part)
{
    return survey->fingerprints[part];
}

static bool is_above(const struct survey *survey, const struct above *above, const char *path)
{
    size_t len = above->path_len;
    return len == 0 || (strncmp(survey->path, path, len) == 0 && path[len] == '/');
}

static void leave_others(struct survey *survey, const char *path)
{
    while (survey->n_above > 0 && !is_above(survey, &survey->above[survey->n_above - 1], path))
        survey->bytes.len = survey->above[--survey->n_above].start;
}

static struct above *push(struct survey *survey, const struct walk_item *item, size_t start)
{
    if (survey->n_above == survey->capacity) {
        survey->capacity = survey->capacity ? survey->capacity * 2 : 32;
        survey->above = mem_realloc(survey->above, survey->capacity * sizeof(*survey->above));
    }
    struct above *above = &survey->above[survey->n_above++];
    *above = (struct above){.path_len = strlen(item->path), .start = start, .len = survey->bytes.len - start};
    memcpy(survey->path, item->path, above->path_len + 1);
    return above;
}

static void take_above(struct survey *survey, enum layer_part part)
{
    for (size_t i = 0; i < survey->n_above; i++) {
        struct above *above = &survey->above[i];
        if (!above->taken[part])
            fingerprint_take(survey->fingerprints[part], strbuf_text(&survey->bytes) + above->start,
                             above->len, NULL);
        above->taken[part] = true;
    }
}

static void visit_directory(struct survey *survey, const struct walk_item *item)
{
    size_t start = survey->bytes.len;
    fingerprint_write(&survey->bytes, item);
    push(survey, item, start);
    take_above(survey, LAYER_WHOLE);
    if (!item->lazy)
        take_above(survey, item->dependency ? LAYER_DEPENDENCIES : LAYER_APPLICATION);
}

static bool is_changed(const struct survey *survey, const struct walk_item *item)
{
    const struct stat *st = item->st;
    return survey->since_ms && st && st->st_ctim.tv_sec * INT64_C(1000) + st->st_ctim.tv_nsec / 1000000 >= survey->since_ms;
}

static void count(struct survey *survey, enum layer_part part, const struct walk_item *item)
{
    bool marker = item->kind == WALK_WHITEOUT || item->kind == WALK_OPAQUE;
    survey->counts.files[part] += !marker;
    survey->counts.changed[part] += is_changed(survey, item);
    survey->counts.bytes[part] += item->kind == WALK_FILE ? item->size : 0;
}

int survey_visit(void *context, const struct walk_item *item, struct error *err)
{
    (void)err;
    struct survey *survey = context;
    leave_others(survey, item->path);
    if (item->kind == WALK_DIRECTORY) {
        visit_directory(survey, item);
        return 0;
    }
    enum layer_part parts[] = {LAYER_WHOLE, item->dependency ? LAYER_DEPENDENCIES : LAYER_APPLICATION};
    size_t start = survey->bytes.len;
    fingerprint_write(&survey->bytes, item);
    for (size_t i = 0; i < 2; i++) {
        take_above(survey, parts[i]);
        fingerprint_take(survey->fingerprints[parts[i]], strbuf_text(&survey->bytes) + start,
                         survey->bytes.len - start, item);
        count(survey, parts[i], item);
    }
    survey->bytes.len = start;
    return 0;
}

void survey_finish(struct survey *survey, struct layer_survey *ret)
{
    *ret = survey->counts;
    for (enum layer_part part = 0; part < LAYER_PARTS; part++)
        fingerprint_finish(survey->fingerprints[part], &ret->fingerprint[part], &ret->stable[part]);
    ret->splits = ret->files[LAYER_DEPENDENCIES] > 0 && ret->files[LAYER_APPLICATION] > 0;
}
