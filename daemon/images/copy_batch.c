// SPDX-License-Identifier: Apache-2.0
//
// What must hold: an item that ended is turned into its row of the result and freed, so that a batch of thousands of tags
// needs memory for a few of them.
#include "images/copy_batch.h"

#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "images/prune.h"
#include "images/tag_list.h"

enum { ITEMS_AT_ONCE = 8, BATCH_TAGS_MAX = 10000 };

struct batch_item {
    char *tag;
    struct targets targets;
    struct location source;
    struct copy_item *copy;    // NULL: not begun, or ended
};

struct copy_batch {
    struct copy_item_options options;
    json_t *auth;
    json_t *source_tags;       // all of them; NULL until listed
    struct batch_item *items;
    size_t count, begun, running, failed;
    json_t *rows;
    struct prune *prune;
};

struct copy_batch *copy_batch_new(const struct copy_item_options *options)
{
    struct copy_batch *batch = mem_new(struct copy_batch);
    batch->options = *options;
    batch->options.in_batch = true;
    batch->auth = json_incref((json_t *)options->auth);
    batch->options.auth = batch->auth;
    batch->rows = json_array();
    return batch;
}

static void clear_item(struct batch_item *item)
{
    copy_item_free(item->copy);
    targets_clear(&item->targets);
    location_clear(&item->source);
    free(item->tag);
    *item = (struct batch_item){0};
}

void copy_batch_free(struct copy_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++)
        clear_item(&batch->items[i]);
    prune_free(batch->prune);
    json_decref(batch->source_tags);
    json_decref(batch->rows);
    json_decref(batch->auth);
    free(batch->items);
    free(batch);
}

// --- the tags ------------------------------------------------------------------------------------------------------------

static int tags_listed(void *arg, json_t *tags, struct error *err)
{
    struct copy_batch *batch = arg;
    AUTO_JSON json_t *taken = tag_filter_apply(&batch->options.spec->tags, tags);
    batch->source_tags = json_incref(tags);
    batch->count = json_array_size(taken);
    if (batch->count > BATCH_TAGS_MAX) {
        batch->count = 0;
        return error_set(err, ERR_TOO_LARGE, "a batch may have at most %d tags; narrow `tags`", BATCH_TAGS_MAX);
    }
    batch->items = mem_calloc(batch->count + 1, sizeof(*batch->items));
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].tag = mem_strdup(json_string_value(json_array_get(taken, i)));
    if (!batch->count)
        job_warning(batch->options.job, "no-tags", "no tag of the source is meant by `tags`: it has %zu",
                    json_array_size(tags));
    return 0;
}

void copy_batch_start(struct copy_batch *batch)
{
    tag_list_submit(batch->options.job, batch->options.context, batch->options.source, batch->options.auth_set,
                    tags_listed, batch);
}

// --- items ---------------------------------------------------------------------------------------------------------------

static void set_tag(struct location *where, const char *tag)
{
    char **slot = where->kind == LOCATION_REGISTRY ? &where->ref.tag : &where->name;
    free(*slot);
    *slot = mem_strdup(tag);
}

static void begin_item(struct copy_batch *batch, struct batch_item *item)
{
    const struct targets *targets = batch->options.targets;
    location_copy(&item->source, batch->options.source);
    set_tag(&item->source, item->tag);
    item->targets.items = mem_calloc(targets->count, sizeof(*item->targets.items));
    item->targets.count = targets->count;
    for (size_t t = 0; t < targets->count; t++) {
        item->targets.items[t] = targets->items[t];
        item->targets.items[t].where = (struct location){0};
        location_copy(&item->targets.items[t].where, &targets->items[t].where);
        set_tag(&item->targets.items[t].where, item->tag);
    }
    struct copy_item_options options = batch->options;
    options.source = &item->source;
    options.targets = &item->targets;
    item->copy = copy_item_new(&options);
    batch->running++;
    copy_item_start(item->copy);
}

static void end_item(struct copy_batch *batch, struct batch_item *item)
{
    AUTO_FREE char *source = location_format(&item->source);
    AUTO_JSON json_t *result = item->copy->failed ? NULL : publish_result(item->copy->publish);
    json_t *refs = json_object_get(result, "refs");
    json_t *row = json_pack("{s:s, s:O?, s:s, s:o}", "source", source, "refs", refs, "state",
                            item->copy->failed ? "failed" : "succeeded", "error",
                            item->copy->failed ? error_to_json(&item->copy->error, NULL, NULL) : json_null());
    if (!refs)
        json_object_set_new(row, "refs", json_array());
    if (json_object_get(result, "plan"))
        json_object_set(row, "plan", json_object_get(result, "plan"));
    if (result)
        json_object_set(row, "digest", json_object_get(result, "digest"));
    json_array_append_new(batch->rows, row);
    batch->failed += item->copy->failed;
    batch->running--;
    clear_item(item);
}

static int advance_items(struct copy_batch *batch, struct error *err)
{
    while (batch->begun < batch->count && batch->running < ITEMS_AT_ONCE)
        begin_item(batch, &batch->items[batch->begun++]);
    for (size_t i = 0; i < batch->begun; i++) {
        struct batch_item *item = &batch->items[i];
        if (!item->copy)
            continue;
        if (copy_item_advance(item->copy, err))
            return -1;
        if (!copy_item_done(item->copy))
            continue;
        end_item(batch, item);
        if (batch->begun < batch->count)
            begin_item(batch, &batch->items[batch->begun++]);
    }
    return 0;
}

static int conclude(const struct copy_batch *batch, struct error *err)
{
    size_t failed = batch->failed + (batch->prune ? prune_failures(batch->prune) : 0);
    if (!failed)
        return 0;
    error_set(err, ERR_PARTIAL, "%zu of %zu tags could not be copied%s", batch->failed, batch->count,
              failed > batch->failed ? ", and some could not be pruned" : "");
    error_hint(err, "`result.items` tells which, and why.");
    return -1;
}

int copy_batch_advance(struct copy_batch *batch, struct error *err)
{
    if (!batch->source_tags)
        return 0;
    if (advance_items(batch, err))
        return -1;
    if (batch->running || batch->begun < batch->count)
        return 0;
    if (batch->options.spec->prune && !batch->failed && !batch->prune) {
        batch->prune = prune_start(&batch->options, batch->source_tags);
        return 0;
    }
    if (batch->prune && !prune_complete(batch->prune))
        return 0;
    return conclude(batch, err);
}

bool copy_batch_done(const struct copy_batch *batch)
{
    bool pruned = !batch->options.spec->prune || batch->failed || (batch->prune && prune_complete(batch->prune));
    return batch->source_tags && !batch->running && batch->begun == batch->count && pruned;
}

json_t *copy_batch_result(struct copy_batch *batch)
{
    json_t *result = json_pack("{s:O}", "items", batch->rows);
    if (batch->prune)
        json_object_set_new(result, "pruned", prune_rows(batch->prune));
    if (batch->options.spec->dry_run)
        json_object_set_new(result, "dry_run", json_true());
    return result;
}
