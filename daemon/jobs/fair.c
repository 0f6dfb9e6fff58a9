// SPDX-License-Identifier: Apache-2.0
//
// Levels (one per priority) hold shares (one per caller), shares hold entries. Levels and shares exist only
// while something waits in them.
#include "jobs/fair.h"

#include <stdlib.h>

#include "base/mem.h"

struct fair_level {
    struct list link;
    struct list shares; // the first is served next
    int priority;
    size_t count;
};

struct fair_share {
    struct list link;
    struct list entries;
    struct fair_level *level;
    int64_t caller;
    uint64_t tickets;
    size_t count;
};

#define level_of(position) container_of(position, struct fair_level, link)
#define share_of(position) container_of(position, struct fair_share, link)
#define entry_of(position) container_of(position, struct fair_entry, link)

void fair_init(struct fair *fair)
{
    list_init(&fair->levels);
    fair->count = 0;
}

static struct fair_level *level_get(struct fair *fair, int priority)
{
    struct list *before = &fair->levels;
    list_for_each(link, &fair->levels) {
        if (level_of(link)->priority == priority)
            return level_of(link);
        if (level_of(link)->priority < priority) {
            before = link;
            break;
        }
    }
    struct fair_level *level = mem_new(struct fair_level);
    level->priority = priority;
    list_init(&level->shares);
    list_append(before, &level->link);
    return level;
}

static struct fair_share *share_get(struct fair_level *level, int64_t caller)
{
    list_for_each(link, &level->shares)
        if (share_of(link)->caller == caller)
            return share_of(link);
    struct fair_share *share = mem_new(struct fair_share);
    share->level = level;
    share->caller = caller;
    list_init(&share->entries);
    list_append(&level->shares, &share->link);
    return share;
}

void fair_add(struct fair *fair, struct fair_entry *entry, int priority, int64_t caller)
{
    struct fair_share *share = share_get(level_get(fair, priority), caller);
    entry->share = share;
    entry->ticket = share->tickets++;
    list_append(&share->entries, &entry->link);
    share->count++;
    share->level->count++;
    fair->count++;
}

void fair_remove(struct fair *fair, struct fair_entry *entry)
{
    struct fair_share *share = entry->share;
    if (!share)
        return;
    struct fair_level *level = share->level;
    list_remove(&entry->link);
    entry->share = NULL;
    fair->count--;
    level->count--;
    if (--share->count == 0) {
        list_remove(&share->link);
        free(share);
    }
    if (level->count == 0) {
        list_remove(&level->link);
        free(level);
    }
}

struct fair_entry *fair_take(struct fair *fair)
{
    if (list_empty(&fair->levels))
        return NULL;
    struct fair_level *level = level_of(fair->levels.next);
    struct fair_share *share = share_of(level->shares.next);
    struct fair_entry *entry = entry_of(share->entries.next);
    list_remove(&share->link);
    list_append(&level->shares, &share->link);
    fair_remove(fair, entry);
    return entry;
}

bool fair_queued(const struct fair_entry *entry)
{
    return entry->share != NULL;
}

int64_t fair_position(const struct fair *fair, const struct fair_entry *entry)
{
    const struct fair_share *mine = entry->share;
    if (!mine)
        return 0;
    size_t rank = (size_t)(entry->ticket - entry_of(mine->entries.next)->ticket);
    if (rank >= mine->count)
        rank = mine->count - 1;
    size_t ahead = rank;
    list_for_each(link, &fair->levels) {
        if (level_of(link) == mine->level)
            break;
        ahead += level_of(link)->count;
    }
    size_t turn = rank + 1; // callers before mine are served once more
    list_for_each(link, &mine->level->shares) {
        if (share_of(link) == mine)
            turn = rank;
        else
            ahead += share_of(link)->count < turn ? share_of(link)->count : turn;
    }
    return (int64_t)ahead + 1;
}
