// SPDX-License-Identifier: Apache-2.0
//
// Notes are found by the digests of the layers, which were verified; diff_ids are only what the image says of itself.
#include "images/base_tree.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "blobs/blob_store.h"
#include "blobs/notes.h"
#include "images/layer_open.h"

static char *note_key(const struct layer_stack *stack)
{
    struct strbuf key = STRBUF_INIT(STACK_LAYERS_MAX * DIGEST_TEXT_MAX * 2);
    strbuf_puts(&key, "below");
    for (size_t i = 0; i < stack->count; i++)
        strbuf_printf(&key, " %s", stack->items[i].descriptor.digest.text);
    return strbuf_take(&key);
}

static struct below *find_note(struct notes *notes, const char *key)
{
    size_t len = 0;
    AUTO_FREE char *note = notes_get(notes, key, &len);
    return note ? below_parse(note, len) : NULL;
}

static void keep_note(struct notes *notes, const char *key, const struct below *below)
{
    size_t len = 0;
    AUTO_FREE char *note = below_format(below, &len);
    if (note)
        notes_put(notes, key, note, len);
}

static struct reader_at *open_layer(struct base_tree_step *self, const struct stack_layer *layer, struct error *err)
{
    if (self->how == BASE_TREE_KNOWN)
        return blob_store_read(self->context->blobs, &layer->descriptor.digest, err);
    return layer_open(layer, self->context->blobs, &self->base, err);
}

static struct below *read_layers(struct base_tree_step *self, struct error *err)
{
    const struct layer_stack *stack = self->stack;
    AUTO_FREE struct reader_at **blobs = mem_calloc(stack->count + 1, sizeof(struct reader_at *));
    struct below *below = NULL;
    size_t n = 0;
    while (n < stack->count && (blobs[n] = open_layer(self, &stack->items[n], err)) != NULL)
        n++;
    if (n == stack->count)
        below = below_from_layers(blobs, n, &self->base.monitor, err);
    while (n > 0)
        reader_at_close(blobs[--n]);
    return below;
}

static bool all_cached(const struct base_tree_step *self)
{
    for (size_t i = 0; i < self->stack->count; i++)
        if (blob_store_size(self->context->blobs, &self->stack->items[i].descriptor.digest) < 0)
            return false;
    return true;
}

// What cannot be read of the cache is not known; the job goes on without.
static int read_and_note(struct base_tree_step *self, const char *key, struct error *err)
{
    bool known = self->how == BASE_TREE_KNOWN;
    if (known && !all_cached(self))
        return 0;
    self->below = read_layers(self, err);
    if (self->below)
        keep_note(self->context->notes, key, self->below);
    else if (known && err->code != ERR_CANCELLED)
        error_clear(err);
    return err->code == ERR_NONE ? 0 : -1;
}

static int base_tree_run(struct step *step, struct error *err)
{
    struct base_tree_step *self = (struct base_tree_step *)step;
    AUTO_FREE char *key = note_key(self->stack);
    self->below = find_note(self->context->notes, key);
    step->cached = self->below != NULL;
    return self->below ? 0 : read_and_note(self, key, err);
}

static int base_tree_done(struct step *step, struct job *job, struct error *err)
{
    struct base_tree_step *self = (struct base_tree_step *)step;
    return self->done(self, job, err);
}

static void base_tree_free(struct step *step)
{
    struct base_tree_step *self = (struct base_tree_step *)step;
    below_free(self->below);
    free(self);
}

struct base_tree_step *base_tree_step_new(struct image_context *context, const struct layer_stack *stack,
                                          enum base_tree how,
                                          int (*done)(struct base_tree_step *, struct job *, struct error *), void *plan)
{
    static const struct step_ops ops = {.run = base_tree_run, .done = base_tree_done, .free = base_tree_free};
    struct base_tree_step *self = mem_new(struct base_tree_step);
    step_init(&self->base, &ops, "examine the base", NULL);
    self->context = context;
    self->stack = stack;
    self->how = how;
    self->done = done;
    self->plan = plan;
    for (size_t i = 0; how == BASE_TREE_FETCH && i < stack->count; i++)
        if (stack->items[i].from)
            endpoint_gate(stack->items[i].from, &self->base);
    return self;
}
