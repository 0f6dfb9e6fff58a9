// SPDX-License-Identifier: Apache-2.0
//
// A job's `auth`: an object from "registry" or "registry/namespace" to one credential each.
#include "credentials/credential_set.h"

#include "base/error.h"
#include "base/mem.h"
#include "credentials/credential_key.h"

enum { SET_MAX = 256 };

struct set_entry {
    struct credential_key key;
    struct credential *credential;
};

struct credential_set {
    atomic_int refs;
    size_t n;
    struct set_entry *entries;
};

static int add(struct credential_set *set, const char *key, const json_t *value, const char *pointer,
               struct error *err)
{
    AUTO_FREE char *member = json_pointer_join(pointer, key);
    struct set_entry *entry = &set->entries[set->n];
    if (!credential_key_parse(&entry->key, key))
        return error_set_pointer(
            err, ERR_INVALID_REQUEST, member,
            "The key does not name a registry: \"host\", \"host:port\" or \"host/namespace\" "
            "is expected");
    entry->credential = credential_decode(value, member, err);
    if (!entry->credential) {
        credential_key_clear(&entry->key);
        return -1;
    }
    set->n++;
    return 0;
}

static struct credential_set *build(const json_t *auth, const char *pointer, struct error *err)
{
    if (auth && !json_is_object(auth)) {
        error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "auth is an object from registry to credential");
        return NULL;
    }
    size_t count = json_object_size(auth);
    if (count > SET_MAX) {
        error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "At most %d registries may have credentials",
                          SET_MAX);
        return NULL;
    }
    struct credential_set *set = mem_new(struct credential_set);
    atomic_init(&set->refs, 1);
    set->entries = mem_calloc(count + 1, sizeof *set->entries);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)auth, key, value)
    {
        if (add(set, key, value, pointer, err) < 0) {
            credential_set_unref(set);
            return NULL;
        }
    }
    return set;
}

struct credential_set *credential_set_new(const json_t *auth, struct error *err)
{
    return build(json_is_null(auth) ? NULL : auth, "/auth", err);
}

int credential_set_check(const json_t *auth, const char *pointer, struct error *err)
{
    struct credential_set *set = build(json_is_null(auth) ? NULL : auth, pointer, err);
    credential_set_unref(set);
    return set ? 0 : -1;
}

struct credential_set *credential_set_ref(struct credential_set *set)
{
    if (set)
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void credential_set_unref(struct credential_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->n; i++) {
        credential_key_clear(&set->entries[i].key);
        credential_unref(set->entries[i].credential);
    }
    free(set->entries);
    free(set);
}

bool credential_set_names_file(const struct credential_set *set)
{
    for (size_t i = 0; set && i < set->n; i++)
        if (set->entries[i].credential->path)
            return true;
    return false;
}

struct credential *credential_set_find(const struct credential_set *set, const char *registry,
                                       const char *repository)
{
    struct credential *best = NULL;
    size_t best_rank = 0;
    for (size_t i = 0; set && i < set->n; i++) {
        size_t rank = credential_key_match(&set->entries[i].key, registry, repository);
        if (rank > best_rank) {
            best_rank = rank;
            best = set->entries[i].credential;
        }
    }
    return best;
}
