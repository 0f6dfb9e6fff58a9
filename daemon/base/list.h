// SPDX-License-Identifier: Apache-2.0
//
// Intrusive doubly linked ring. A head and a link are the same type; an unlinked link points at itself.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

// clang-format off
#define LIST_INIT(name) {&(name), &(name)}
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
// clang-format on
#define list_for_each(position, head)                                                                        \
    for (struct list *position = (head)->next; position != (head); position = position->next)
// The body may unlink and free the current element.
#define list_for_each_safe(position, head)                                                                   \
    for (struct list *position = (head)->next, *position##_next = position->next; position != (head);        \
         position = position##_next, position##_next = position->next)

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}
static inline void list_prepend(struct list *head, struct list *link)
{
    list_append(head->next, link);
}
// Unlinks and leaves the link pointing at itself; harmless on an unlinked one.
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
// First element or NULL, unlinked.
static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}
// Moves all of src to the end of dst; src is empty afterwards.
static inline void list_splice(struct list *dst, struct list *src)
{
    if (list_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    list_init(src);
}
