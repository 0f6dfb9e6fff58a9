// SPDX-License-Identifier: Apache-2.0
//
// A growing array; nothing here knows where layers come from.
#include "images/layer_stack.h"

#include <string.h>

#include "base/mem.h"
#include "blobs/blob_store.h"

struct stack_layer *layer_stack_append(struct layer_stack *stack, const struct descriptor *descriptor,
                                       const struct digest *diff_id, struct endpoint *from)
{
    stack->items = mem_realloc(stack->items, (stack->count + 1) * sizeof(*stack->items));
    struct stack_layer *layer = &stack->items[stack->count++];
    *layer = (struct stack_layer){.diff_id = *diff_id, .from = from};
    descriptor_copy(&layer->descriptor, descriptor);
    layer->label = mem_strdup(descriptor->digest.text);
    return layer;
}

int layer_stack_append_image(struct layer_stack *stack, const struct manifest *manifest,
                             const struct image_config *config, struct endpoint *from, struct error *err)
{
    if (stack->count + manifest->n_layers > STACK_LAYERS_MAX)
        return error_set(err, ERR_TOO_LARGE, "the image has more than %d layers", STACK_LAYERS_MAX);
    for (size_t i = 0; i < manifest->n_layers; i++) {
        struct digest diff_id;
        if (image_config_diff_id(config, i, &diff_id, err))
            return -1;
        layer_stack_append(stack, &manifest->layers[i], &diff_id, from)->of_base = true;
    }
    return 0;
}

static void clear_layer(struct stack_layer *layer)
{
    if (layer->leased_in)
        blob_store_release(layer->leased_in, &layer->descriptor.digest);
    descriptor_clear(&layer->descriptor);
    free(layer->label);
}

void layer_stack_remove(struct layer_stack *stack, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        clear_layer(&stack->items[i]);
    memmove(&stack->items[first], &stack->items[first + count],
            (stack->count - first - count) * sizeof(*stack->items));
    stack->count -= count;
}

void layer_stack_clear(struct layer_stack *stack)
{
    for (size_t i = 0; i < stack->count; i++)
        clear_layer(&stack->items[i]);
    free(stack->items);
    *stack = (struct layer_stack){0};
}
