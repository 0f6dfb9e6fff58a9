// SPDX-License-Identifier: Apache-2.0
//
// Small allocations that cannot fail. When malloc returns NULL the reserve is given back and the call is
// repeated for a bounded time (a burst passes); if memory stays out, the process aborts and the next start
// recovers from the journal: every accepted job is durable, so an abort loses nothing, while half-handled
// exhaustion might. Sizes that come from outside are never passed here unchecked: they have a maximum at
// birth.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void mem_init(void); // reserve, jansson's hooks; once, before any thread
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *block, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull)); // text must be set
char *mem_strdup_null(const char *text);                             // NULL ▸ NULL
char *mem_strndup(const char *text, size_t len) __attribute__((returns_nonnull));
void *mem_dup(const void *block, size_t size) __attribute__((returns_nonnull));
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#define mem_new(type) ((type *)mem_calloc(1, sizeof(type)))

// Cleanup by scope: CLEANUP(mem_free_ptr) char *text = …;
#define CLEANUP(function) __attribute__((cleanup(function)))
static inline void mem_free_ptr(void *pointer)
{
    free(*(void **)pointer);
}
static inline void mem_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define AUTO_FREE CLEANUP(mem_free_ptr)
#define AUTO_CLOSE CLEANUP(mem_close_fd)

// Moves a pointer out of a scope-cleaned variable.
#define mem_take(pointer)                                                                                    \
    ({                                                                                                       \
        __typeof__(pointer) *mem_slot_ = &(pointer);                                                         \
        __typeof__(pointer) mem_taken_ = *mem_slot_;                                                         \
        *mem_slot_ = NULL;                                                                                   \
        mem_taken_;                                                                                          \
    })
