// SPDX-License-Identifier: Apache-2.0
//
// String-keyed hash table. Keys are borrowed: they must stay as they are while their entry is in the table,
// so a key usually lives inside its value. Keys may come from outside: the hash is keyed with random bytes of
// this process, so nobody can choose names that collide. Not locked; one owner at a time.
#pragma once

#include <stddef.h>

struct table;

struct table *table_new(void);
void table_free(struct table *table); // NULL is fine; keys and values stay with their owner
size_t table_count(const struct table *table);
void *table_find(const struct table *table, const char *key); // borrowed value or NULL
// Sets key to value (not NULL) and returns the value that stood there before, or NULL. The new key replaces
// the old one, so the old value and its key may be freed at once.
void *table_put(struct table *table, const char *key, void *value);
void *table_take(struct table *table, const char *key); // removes; the value or NULL
// Visits every value in no particular order: start with *position 0, ends with NULL. The table must not
// change meanwhile. Values may be freed while walking if table_free follows without another lookup.
void *table_next(const struct table *table, size_t *position);
