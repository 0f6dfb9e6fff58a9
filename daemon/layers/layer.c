// SPDX-License-Identifier: Apache-2.0
//
// One layer from end to end: the spec becomes a tree, the walk visits it, the pack writes it, the blocks
// carry it to the sink. Called by the steps of `images` on a worker.
#include "layers/layer.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "layers/blocks.h"
#include "layers/caller.h"
#include "layers/compress.h"
#include "layers/fingerprint.h"
#include "layers/pack.h"
#include "layers/spec.h"
#include "layers/survey.h"
#include "layers/unpack.h"
#include "layers/unpack_stream.h"
#include "layers/walk.h"

enum { LAYER_FORMAT = 1 }; // of the tar and the cuts; to be raised with every change of the bytes

// Unlinked files, opened with the daemon's own rights; −1 where none is needed.
struct spools {
    int tars;  // for members of tar sources
    int table; // for the table of contents of an eStargz
};

struct packing {
    struct pack *pack;
    struct fingerprint *fingerprint;
};

static int write_item(void *context, const struct walk_item *item, struct error *err)
{
    struct packing *packing = context;
    fingerprint_add(packing->fingerprint, item);
    return pack_write(packing->pack, item, err);
}

static int pack_tree(const struct layer_spec *spec, struct tree *tree, const struct roots *roots,
                     struct blocks *blocks, int table, struct monitor *monitor, struct layer_result *ret,
                     struct error *err)
{
    struct packing packing = {.pack = pack_new(blocks, table, err)};
    struct digest toc = {0};
    if (!packing.pack)
        return -1;
    packing.fingerprint = fingerprint_new(spec, spec->part);
    int status = walk_run(spec, tree, roots, WALK_READ, monitor, write_item, &packing, err);
    if (status == 0)
        status = pack_finish(packing.pack, &toc, err);
    ret->files = pack_entries(packing.pack);
    ret->toc_digest = status == 0 && digest_known(&toc) ? mem_strdup(toc.text) : NULL;
    fingerprint_finish(packing.fingerprint, &ret->fingerprint, &ret->stable);
    fingerprint_free(packing.fingerprint);
    pack_free(packing.pack);
    return status;
}

static int pack_blocks(const struct layer_spec *spec, struct tree *tree, const struct roots *roots, int table,
                       struct lanes *lanes, struct sink *out, struct monitor *monitor,
                       struct layer_result *ret, struct error *err)
{
    struct blocks *blocks = blocks_new(spec, lanes, out, monitor, err);
    if (!blocks)
        return -1;
    int status = pack_tree(spec, tree, roots, blocks, table, monitor, ret, err);
    if (status == 0)
        status = blocks_finish(blocks, ret, err);
    blocks_free(blocks);
    return status;
}

// --- the caller's rights
// -------------------------------------------------------------------------------------------

// Files are opened with the rights of the caller, but the sink is the daemon's own.
struct own_sink {
    struct sink sink;
    struct sink *inner;
    struct caller *caller;
};

static int own_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct own_sink *own = container_of(sink, struct own_sink, sink);
    caller_leave(own->caller);
    int status = sink_write(own->inner, bytes, len, err);
    return status < 0 ? -1 : caller_enter(own->caller, err);
}

static const struct sink_ops OWN_SINK = {.write = own_write};

// --- tars
// ----------------------------------------------------------------------------------------------------------

// What a tar holds is read at another time than the state of its file: the layer is remembered only if that
// state was the same before and after.
static int fingerprint_around(const struct layer_spec *spec, const struct roots *roots,
                              struct monitor *monitor, const struct digest *before, bool stable_before,
                              struct layer_result *ret, struct error *err)
{
    if (layer_fingerprint(spec, roots, NULL, monitor, &ret->fingerprint, &ret->stable, err) < 0)
        return -1;
    if (!stable_before || !digest_equal(before, &ret->fingerprint))
        ret->stable = false;
    return 0;
}

static int pack_as_caller(const struct layer_spec *spec, const struct roots *roots,
                          const struct spools *spools, struct lanes *lanes, struct sink *out,
                          struct monitor *monitor, struct layer_result *ret, struct error *err)
{
    struct digest before;
    bool stable_before = false, tars = spools->tars >= 0;
    if (tars && layer_fingerprint(spec, roots, NULL, monitor, &before, &stable_before, err) < 0)
        return -1;
    struct tree *tree =
        spec_to_tree(spec, roots, tars ? SPEC_TARS_ALL : SPEC_TARS_SKIP, spools->tars, monitor, err);
    if (!tree)
        return -1;
    int status = pack_blocks(spec, tree, roots, spools->table, lanes, out, monitor, ret, err);
    tree_free(tree);
    if (status == 0 && tars)
        status = fingerprint_around(spec, roots, monitor, &before, stable_before, ret, err);
    return status;
}

int layer_pack(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *who,
               struct lanes *lanes, struct sink *out, struct monitor *monitor, struct layer_result *ret,
               struct error *err)
{
    *ret = (struct layer_result){0};
    AUTO_CLOSE int tars = -1;
    AUTO_CLOSE int table = -1;
    if (spec_has_tars(spec) && (tars = unpack_open_spool(spec->spool_dirfd, err)) < 0)
        return -1;
    if (spec->algorithm == LAYER_ESTARGZ && (table = unpack_open_spool(spec->spool_dirfd, err)) < 0)
        return -1;
    const struct spools spools = {.tars = tars, .table = table};
    struct caller caller;
    struct own_sink own = {.sink.ops = &OWN_SINK, .inner = out, .caller = &caller};
    int status = caller_init(&caller, who, err);
    if (status == 0)
        status = caller_enter(&caller, err);
    if (status == 0)
        status =
            pack_as_caller(spec, roots, &spools, lanes, caller.apply ? &own.sink : out, monitor, ret, err);
    caller_fini(&caller);
    return status;
}

// --- fingerprint
// ---------------------------------------------------------------------------------------------------

static int fingerprint_item(void *context, const struct walk_item *item, struct error *err)
{
    (void)err;
    fingerprint_add(context, item);
    return 0;
}

static int fingerprint_tars(const struct layer_spec *spec, const struct roots *roots,
                            struct fingerprint *fingerprint, struct error *err)
{
    for (size_t i = 0; i < spec->n_entries; i++) {
        const struct layer_entry *entry = &spec->entries[i];
        struct stat st;
        if (!spec_entry_is_tar(entry))
            continue;
        if (spec_tar_state(entry, roots, &st, err) < 0)
            return -1;
        fingerprint_add_tar(fingerprint, i, entry, &st);
    }
    return 0;
}

static int fingerprint_as_caller(const struct layer_spec *spec, const struct roots *roots,
                                 struct monitor *monitor, struct digest *ret, bool *ret_stable,
                                 struct error *err)
{
    struct tree *tree = spec_to_tree(spec, roots, SPEC_TARS_SKIP, -1, monitor, err);
    if (!tree)
        return -1;
    struct fingerprint *fingerprint = fingerprint_new(spec, spec->part);
    int status = fingerprint_tars(spec, roots, fingerprint, err);
    if (status == 0)
        status = walk_run(spec, tree, roots, 0, monitor, fingerprint_item, fingerprint, err);
    if (status == 0)
        fingerprint_finish(fingerprint, ret, ret_stable);
    fingerprint_free(fingerprint);
    tree_free(tree);
    return status;
}

int layer_fingerprint(const struct layer_spec *spec, const struct roots *roots,
                      const struct layer_caller *who, struct monitor *monitor, struct digest *ret,
                      bool *ret_stable, struct error *err)
{
    struct caller caller;
    int status = caller_init(&caller, who, err);
    if (status == 0)
        status = caller_enter(&caller, err);
    if (status == 0)
        status = fingerprint_as_caller(spec, roots, monitor, ret, ret_stable, err);
    caller_fini(&caller);
    return status;
}

// --- survey
// --------------------------------------------------------------------------------------------------------

static int survey_as_caller(const struct layer_spec *spec, const struct roots *roots, int64_t since_ms,
                            struct monitor *monitor, struct layer_survey *ret, struct error *err)
{
    struct tree *tree = spec_to_tree(spec, roots, SPEC_TARS_SKIP, -1, monitor, err);
    if (!tree)
        return -1;
    struct survey *survey = survey_new(spec, since_ms);
    int status = 0;
    for (enum layer_part part = 0; part < LAYER_PARTS && status == 0; part++)
        status = fingerprint_tars(spec, roots, survey_fingerprint(survey, part), err);
    if (status == 0)
        status = walk_run(spec, tree, roots, 0, monitor, survey_visit, survey, err);
    if (status == 0)
        survey_finish(survey, ret);
    ret->splits = ret->splits && !spec_has_tars(spec);
    survey_free(survey);
    tree_free(tree);
    return status;
}

int layer_survey(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *who,
                 int64_t since_ms, struct monitor *monitor, struct layer_survey *ret, struct error *err)
{
    *ret = (struct layer_survey){0};
    struct layer_spec whole = *spec;
    whole.part = LAYER_WHOLE;
    struct caller caller;
    int status = caller_init(&caller, who, err);
    if (status == 0)
        status = caller_enter(&caller, err);
    if (status == 0)
        status = survey_as_caller(&whole, roots, since_ms, monitor, ret, err);
    caller_fini(&caller);
    return status;
}

// --- recompress
// ----------------------------------------------------------------------------------------------------

static int take_bytes(void *context, const void *bytes, size_t len, struct error *err)
{
    return blocks_append(context, bytes, len, err);
}

int layer_recompress(struct reader_at *blob, enum layer_algorithm algorithm, int level, const char *shown,
                     struct lanes *lanes, struct sink *out, struct monitor *monitor, struct layer_result *ret,
                     struct error *err)
{
    *ret = (struct layer_result){0};
    struct layer_spec spec = {.algorithm = algorithm, .level = level};
    if (algorithm == LAYER_ESTARGZ)
        return error_set(err, ERR_INTERNAL, "a tar cannot become eStargz without being packed anew");
    if (compress_level_check(algorithm, level, err) < 0)
        return -1;
    struct blocks *blocks = blocks_new(&spec, lanes, out, NULL, err);
    if (!blocks)
        return -1;
    int status = unpack_stream(blob, take_bytes, blocks, shown, monitor, err);
    if (status == 0)
        status = blocks_finish(blocks, ret, err);
    blocks_free(blocks);
    return status;
}

void layer_result_clear(struct layer_result *result)
{
    free(result->toc_digest);
    free(result->index);
    *result = (struct layer_result){0};
}

const char *layer_engine(const struct layer_spec *spec)
{
    static _Thread_local char text[96];
    snprintf(text, sizeof(text), "%s/b%d", compress_engine(spec->algorithm, spec->level), LAYER_FORMAT);
    return text;
}
