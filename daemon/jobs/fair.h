// SPDX-License-Identifier: Apache-2.0
//
// A queue that is fair: highest priority first; among equals the callers take turns; of one caller first in,
// first out. An entry that is taken and added again goes to the end of its caller's line, so entries take
// turns too. Adding, taking and removing cost the number of distinct priorities and callers that wait, not
// the number of entries. Pure; loop only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct fair_share;

struct fair {
    struct list levels; // one per priority that waits, highest first
    size_t count;
};

// Embedded in what waits; zero-initialised means "not queued".
struct fair_entry {
    struct list link;
    struct fair_share *share; // NULL: not queued
    uint64_t ticket;
};

void fair_init(struct fair *fair);
void fair_add(struct fair *fair, struct fair_entry *entry, int priority, int64_t caller);
struct fair_entry *fair_take(struct fair *fair);               // the next one, out of the queue, or NULL
void fair_remove(struct fair *fair, struct fair_entry *entry); // harmless if it is not queued
bool fair_queued(const struct fair_entry *entry);
// 1 for the entry that is taken next; where entries were removed from the middle it may be too high, never
// too low by more than the turns of callers that come later. 0 if it is not queued.
int64_t fair_position(const struct fair *fair, const struct fair_entry *entry);
