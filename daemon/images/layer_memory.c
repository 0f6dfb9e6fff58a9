// SPDX-License-Identifier: Apache-2.0
//
// A note is the digest of the blob, padded with zeros to DIGEST_TEXT_MAX bytes, then the index.
#include "images/layer_memory.h"

#include <string.h>

#include "base/mem.h"
#include "blobs/blob_store.h"
#include "blobs/notes.h"

static char *note_key(const struct digest *lineage)
{
    return mem_printf("blocks %s", lineage->text);
}

static void open_note(struct layer_memory *memory, const struct image_context *context, size_t len)
{
    struct digest digest;
    struct error why = ERROR_INIT;
    char *note = memory->note;
    if (len > DIGEST_TEXT_MAX && !note[DIGEST_TEXT_MAX - 1] && !digest_parse(&digest, note, &why)) {
        memory->earlier.blob = blob_store_read(context->blobs, &digest, &why);
        memory->earlier.index = note + DIGEST_TEXT_MAX;
        memory->earlier.index_len = len - DIGEST_TEXT_MAX;
    }
    error_clear(&why);
}

void layer_memory_open(struct layer_memory *memory, const struct image_context *context, const struct layer_caller *caller,
                       struct layer_spec *spec)
{
    *memory = (struct layer_memory){0};
    layer_lineage(spec, caller, &memory->lineage);
    size_t len = 0;
    AUTO_FREE char *key = note_key(&memory->lineage);
    memory->note = notes_get(context->notes, key, &len);
    if (memory->note)
        open_note(memory, context, len);
    spec->earlier = memory->earlier.blob ? &memory->earlier : NULL;
    spec->index_blocks = true;
}

void layer_memory_keep(const struct layer_memory *memory, const struct image_context *context,
                       const struct layer_result *made)
{
    if (!made->index)
        return;
    size_t len = DIGEST_TEXT_MAX + made->index_len;
    AUTO_FREE char *note = mem_calloc(1, len);
    AUTO_FREE char *key = note_key(&memory->lineage);
    strcpy(note, made->digest.text);
    memcpy(note + DIGEST_TEXT_MAX, made->index, made->index_len);
    notes_put(context->notes, key, note, len);
}

void layer_memory_close(struct layer_memory *memory)
{
    reader_at_close(memory->earlier.blob);
    free(memory->note);
    *memory = (struct layer_memory){0};
}
