// SPDX-License-Identifier: Apache-2.0
//
// Lists of names: the tags of a repository, the repositories of a registry. Entries that could not be used
// anyway (null, digests among tags) are left out.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "registry/registry_pages.h"

struct names {
    const char *member;
    bool (*valid)(const char *name);
    char **items;
    size_t n;
    size_t capacity;
};

static void add_name(struct names *names, const char *name)
{
    if (names->n == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 64;
        names->items = mem_realloc(names->items, names->capacity * sizeof *names->items);
    }
    names->items[names->n++] = mem_strdup(name);
}

static int read_names(void *arg, const json_t *root, struct error *err)
{
    struct names *names = arg;
    const json_t *list = json_object_get(root, names->member);
    if (!json_is_object(root) || (list && !json_is_array(list) && !json_is_null(list)))
        return error_set(err, ERR_REGISTRY_PROTOCOL, "A page of \"%s\" is not what it should be",
                         names->member);
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value) {
        const char *name = json_string_value(value);
        if (name && names->valid(name))
            add_name(names, name);
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static json_t *sorted(struct names *names)
{
    json_t *list = json_array();
    if (names->n)
        qsort(names->items, names->n, sizeof *names->items, compare);
    for (size_t i = 0; i < names->n; i++)
        if (i == 0 || !str_equal(names->items[i], names->items[i - 1]))
            json_array_append_new(list, json_string(names->items[i]));
    return list;
}

static json_t *list_names(struct registry_call *call, const char *path, const char *what, struct names *names,
                          struct error *err)
{
    struct registry_pages pages = {.what = what, .page = read_names, .arg = names};
    struct http_call http;
    struct http_answer answer = {0};
    json_t *list = NULL;
    registry_call_begin(call, &http, "GET", "%s", path);
    url_add_query(&http.url, "n", "1000");
    int failed = registry_pages_read(call, &http, &pages, &answer, err);
    if (!failed && answer.status != 200)
        failed = registry_call_fail(call, "GET", REGISTRY_LISTING, what, &answer, err);
    if (!failed)
        list = sorted(names);
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i]);
    free(names->items);
    http_answer_clear(&answer);
    return list;
}

json_t *registry_tags(const struct registry_scope *scope, struct error *err)
{
    struct names names = {.member = "tags", .valid = reference_tag_valid};
    struct registry_call call;
    if (registry_call_open(&call, scope, CREDENTIAL_PULL, NULL, err) < 0)
        return NULL;
    json_t *list = list_names(&call, "tags/list", "the tags", &names, err);
    registry_call_close(&call);
    return list;
}

json_t *registry_catalog(const struct registry_scope *scope, struct error *err)
{
    struct names names = {.member = "repositories", .valid = reference_repository_valid};
    struct registry_scope root = *scope;
    root.repository = NULL;
    struct registry_call call;
    if (registry_call_open(&call, &root, CREDENTIAL_CATALOG, NULL, err) < 0)
        return NULL;
    json_t *list = list_names(&call, "_catalog", "the catalog", &names, err);
    registry_call_close(&call);
    return list;
}
