// SPDX-License-Identifier: Apache-2.0
//
// A note is its head, then the index.
#include "images/layer_memory.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "blobs/blob_store.h"
#include "blobs/notes.h"

struct head {
    char digest[DIGEST_TEXT_MAX]; // of the blob; padded with zeros
    int64_t files;
    int64_t began_ms;
};

static char *note_key(const struct digest *lineage)
{
    return mem_printf("blocks %s", lineage->text);
}

// The note of a lineage with its head, or NULL. Caller frees.
static void *read_note(const struct image_context *context, const struct digest *lineage, struct head *ret, size_t *ret_len)
{
    AUTO_FREE char *key = note_key(lineage);
    AUTO_FREE void *note = notes_get(context->notes, key, ret_len);
    if (!note || *ret_len <= sizeof(*ret))
        return NULL;
    memcpy(ret, note, sizeof(*ret));
    return ret->digest[DIGEST_TEXT_MAX - 1] ? NULL : mem_take(note);
}

int64_t layer_memory_time(const struct image_context *context, const struct layer_caller *caller, const struct layer_spec *spec)
{
    struct digest lineage;
    struct head head;
    size_t len;
    layer_lineage(spec, caller, &lineage);
    AUTO_FREE void *note = read_note(context, &lineage, &head, &len);
    return note ? head.began_ms : 0;
}

static bool is_edited(const struct head *head, const struct layer_edit *edit)
{
    return edit->files != head->files || (edit->changed > 0 && edit->changed <= edit->files / 2);
}

static void open_blob(struct layer_memory *memory, const struct image_context *context, const char *text)
{
    struct digest digest;
    struct error why = ERROR_INIT;
    if (!digest_parse(&digest, text, &why))
        memory->earlier.blob = blob_store_read(context->blobs, &digest, &why);
    error_clear(&why);
}

void layer_memory_open(struct layer_memory *memory, const struct image_context *context, const struct layer_caller *caller,
                       const struct layer_edit *edit, struct layer_spec *spec)
{
    struct head head;
    size_t len;
    *memory = (struct layer_memory){.files = edit->files, .began_ms = clock_wall_ms()};
    layer_lineage(spec, caller, &memory->lineage);
    memory->note = read_note(context, &memory->lineage, &head, &len);
    if (memory->note) {
        open_blob(memory, context, head.digest);
        memory->earlier.index = (const char *)memory->note + sizeof(head);
        memory->earlier.index_len = len - sizeof(head);
        memory->edited = is_edited(&head, edit);
    }
    spec->earlier = memory->earlier.blob ? &memory->earlier : NULL;
    spec->index_blocks = true;
}

void layer_memory_keep(const struct layer_memory *memory, const struct image_context *context,
                       const struct layer_result *made)
{
    if (!made->index)
        return;
    struct head head = {.files = memory->files, .began_ms = memory->began_ms};
    size_t len = sizeof(head) + made->index_len;
    AUTO_FREE char *note = mem_calloc(1, len);
    AUTO_FREE char *key = note_key(&memory->lineage);
    strcpy(head.digest, made->digest.text);
    memcpy(note, &head, sizeof(head));
    memcpy(note + sizeof(head), made->index, made->index_len);
    notes_put(context->notes, key, note, len);
}

void layer_memory_close(struct layer_memory *memory)
{
    reader_at_close(memory->earlier.blob);
    free(memory->note);
    *memory = (struct layer_memory){0};
}
