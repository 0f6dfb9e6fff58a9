// SPDX-License-Identifier: Apache-2.0
//
// One layer from end to end: the spec becomes a tree, the walk visits it, the pack writes it, the blocks carry it to the
// sink. Called by the steps of `images` on a worker.
#include "layers/layer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "layers/blocks.h"
#include "layers/compress.h"
#include "layers/fingerprint.h"
#include "layers/pack.h"
#include "layers/spec.h"
#include "layers/walk.h"

enum { LAYER_FORMAT = 1 }; // of the tar and the cuts; to be raised with every change of the bytes

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

static int pack_tree(const struct layer_spec *spec, struct tree *tree, const struct roots *roots, struct blocks *blocks,
                     struct monitor *monitor, struct layer_result *ret, struct error *err)
{
    struct packing packing = {.pack = pack_new(blocks, err)};
    if (!packing.pack)
        return -1;
    packing.fingerprint = fingerprint_new(spec);
    int status = walk_run(spec, tree, roots, WALK_READ, monitor, write_item, &packing, err);
    if (status == 0)
        status = pack_finish(packing.pack, err);
    ret->files = pack_entries(packing.pack);
    fingerprint_finish(packing.fingerprint, &ret->fingerprint, &ret->stable);
    fingerprint_free(packing.fingerprint);
    pack_free(packing.pack);
    return status;
}

static int pack_blocks(const struct layer_spec *spec, struct tree *tree, const struct roots *roots, struct lanes *lanes,
                       struct sink *out, struct monitor *monitor, struct layer_result *ret, struct error *err)
{
    struct blocks *blocks = blocks_new(spec->algorithm, spec->level, lanes, out, monitor, err);
    if (!blocks)
        return -1;
    int status = pack_tree(spec, tree, roots, blocks, monitor, ret, err);
    if (status == 0)
        status = blocks_finish(blocks, ret, err);
    blocks_free(blocks);
    return status;
}

int layer_pack(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *caller,
               struct lanes *lanes, struct sink *out, struct monitor *monitor, struct layer_result *ret,
               struct error *err)
{
    (void)caller;
    *ret = (struct layer_result){0};
    struct tree *tree = spec_to_tree(spec, roots, err);
    if (!tree)
        return -1;
    int status = pack_blocks(spec, tree, roots, lanes, out, monitor, ret, err);
    tree_free(tree);
    return status;
}

static int fingerprint_item(void *context, const struct walk_item *item, struct error *err)
{
    (void)err;
    fingerprint_add(context, item);
    return 0;
}

int layer_fingerprint(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *caller,
                      struct monitor *monitor, struct digest *ret, bool *ret_stable, struct error *err)
{
    (void)caller;
    struct tree *tree = spec_to_tree(spec, roots, err);
    if (!tree)
        return -1;
    struct fingerprint *fingerprint = fingerprint_new(spec);
    int status = walk_run(spec, tree, roots, 0, monitor, fingerprint_item, fingerprint, err);
    if (status == 0)
        fingerprint_finish(fingerprint, ret, ret_stable);
    fingerprint_free(fingerprint);
    tree_free(tree);
    return status;
}

const char *layer_engine(const struct layer_spec *spec)
{
    static _Thread_local char text[96];
    snprintf(text, sizeof(text), "%s/b%d", compress_engine(spec->algorithm, spec->level), LAYER_FORMAT);
    return text;
}
