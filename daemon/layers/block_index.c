// SPDX-License-Identifier: Apache-2.0
//
// The bytes: a head with the name of the engine and the key, the records, and a SHA-256 over all that. Read
// on the machine that wrote them, so numbers are as in memory.
#include "layers/block_index.h"

#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

enum { ENGINE_MAX = 64 };

struct head {
    char magic[8];
    char engine[ENGINE_MAX];
    uint8_t seed[MARK_SEED];
    uint64_t count;
};

struct stored {
    uint64_t mark[2];
    uint64_t check;
    uint32_t tar_len, blob_len;
};

static const char MAGIC[8] = "DRAYBLK1";

void block_index_init(struct block_index *index)
{
    *index = (struct block_index){0};
    mark_key_random(&index->key);
}

void block_index_fini(struct block_index *index)
{
    free(index->records);
    free(index->slots);
    *index = (struct block_index){0};
}

void block_index_add(struct block_index *index, const struct block_record *record)
{
    if (index->n > BLOCK_INDEX_MAX)
        return;
    if (index->n == index->capacity) {
        index->capacity = index->capacity ? index->capacity * 2 : 64;
        index->records = mem_realloc(index->records, index->capacity * sizeof(*index->records));
    }
    index->records[index->n++] = *record;
}

static void check_of(const void *bytes, size_t len, char ret[DIGEST_TEXT_MAX])
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, bytes, len);
    memcpy(ret, digest.text, sizeof(digest.text));
}

void *block_index_format(const struct block_index *index, const char *engine, size_t *ret_len)
{
    if (index->n > BLOCK_INDEX_MAX)
        return NULL;
    size_t len = sizeof(struct head) + index->n * sizeof(struct stored);
    char *bytes = mem_calloc(1, len + DIGEST_TEXT_MAX);
    struct head *head = (struct head *)bytes;
    struct stored *stored = (struct stored *)(bytes + sizeof(*head));
    memcpy(head->magic, MAGIC, sizeof(MAGIC));
    strncpy(head->engine, engine, ENGINE_MAX - 1);
    memcpy(head->seed, index->key.seed, MARK_SEED);
    head->count = index->n;
    for (size_t i = 0; i < index->n; i++) {
        const struct block_record *record = &index->records[i];
        stored[i] = (struct stored){
            {record->mark.half[0], record->mark.half[1]}, record->check, record->tar_len, record->blob_len};
    }
    check_of(bytes, len, bytes + len);
    *ret_len = len + DIGEST_TEXT_MAX;
    return bytes;
}

static bool is_whole(const char *engine, const void *bytes, size_t len)
{
    struct head head;
    char check[DIGEST_TEXT_MAX], wanted[ENGINE_MAX] = "";
    if (len < sizeof(head) + DIGEST_TEXT_MAX)
        return false;
    memcpy(&head, bytes, sizeof(head));
    strncpy(wanted, engine, ENGINE_MAX - 1);
    size_t body = len - DIGEST_TEXT_MAX;
    if (memcmp(head.magic, MAGIC, sizeof(MAGIC)) != 0 || memcmp(head.engine, wanted, ENGINE_MAX) != 0 ||
        head.count > BLOCK_INDEX_MAX || body != sizeof(head) + head.count * sizeof(struct stored))
        return false;
    check_of(bytes, body, check);
    return memcmp(check, (const char *)bytes + body, DIGEST_TEXT_MAX) == 0;
}

static void build_slots(struct block_index *index)
{
    index->n_slots = 64;
    while (index->n_slots < index->n * 2)
        index->n_slots *= 2;
    index->slots = mem_calloc(index->n_slots, sizeof(*index->slots));
    for (size_t i = 0; i < index->n; i++) {
        size_t at = index->records[i].mark.half[0] & (index->n_slots - 1);
        while (index->slots[at])
            at = (at + 1) & (index->n_slots - 1);
        index->slots[at] = (uint32_t)i + 1;
    }
}

bool block_index_parse(struct block_index *ret, const char *engine, const void *bytes, size_t len)
{
    if (!is_whole(engine, bytes, len))
        return false;
    struct head head;
    memcpy(&head, bytes, sizeof(head));
    *ret = (struct block_index){0};
    mark_key_init(&ret->key, head.seed);
    uint64_t offset = 0;
    for (size_t i = 0; i < head.count; i++) {
        struct stored stored;
        memcpy(&stored, (const char *)bytes + sizeof(head) + i * sizeof(stored), sizeof(stored));
        struct block_record record = {.mark = {{stored.mark[0], stored.mark[1]}},
                                      .check = stored.check,
                                      .tar_len = stored.tar_len,
                                      .blob_len = stored.blob_len,
                                      .offset = offset};
        offset += stored.blob_len;
        block_index_add(ret, &record);
    }
    build_slots(ret);
    return true;
}

const struct block_record *block_index_find(const struct block_index *index, const struct mark *mark,
                                            size_t tar_len)
{
    for (size_t at = mark->half[0] & (index->n_slots - 1); index->slots[at];
         at = (at + 1) & (index->n_slots - 1)) {
        const struct block_record *record = &index->records[index->slots[at] - 1];
        if (record->tar_len == tar_len && mark_equal(&record->mark, mark))
            return record;
    }
    return NULL;
}
