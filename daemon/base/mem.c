// SPDX-License-Identifier: Apache-2.0
//
// Allocations that cannot fail, for everyone. When the system has no memory the reserve is handed back once
// and the call is repeated while the burst passes; after RETRY_MS the process gives up, and recovery at the
// next start loses nothing.
#include "base/mem.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RESERVE_BYTES = 256 << 10, RETRY_STEP_MS = 10, RETRY_MS = 2000 };

static _Atomic(void *) reserve;

static void *json_alloc(size_t size)
{
    return mem_alloc(size ? size : 1);
}

void mem_init(void)
{
    void *block = malloc(RESERVE_BYTES);
    if (block)
        memset(block, 1, RESERVE_BYTES);
    free(atomic_exchange(&reserve, block));
    json_set_alloc_funcs(json_alloc, free);
}

static void wait_a_moment(void)
{
    struct timespec step = {.tv_nsec = RETRY_STEP_MS * 1000000L};
    nanosleep(&step, NULL);
}

static void out_of_memory(void)
{
    static const char text[] = "drayd: out of memory; ending, accepted jobs go on at the next start\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    abort();
}

void *mem_realloc(void *block, size_t size)
{
    if (size == 0)
        size = 1;
    for (int waited_ms = 0; waited_ms <= RETRY_MS; waited_ms += RETRY_STEP_MS) {
        void *result = realloc(block, size);
        if (result)
            return result;
        free(atomic_exchange(&reserve, NULL));
        wait_a_moment();
    }
    out_of_memory();
    __builtin_unreachable();
}

void *mem_alloc(size_t size)
{
    return mem_realloc(NULL, size);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        out_of_memory();
    void *first = calloc(1, total ? total : 1);
    if (first)
        return first;
    return memset(mem_alloc(total), 0, total);
}

void *mem_dup(const void *block, size_t size)
{
    void *copy = mem_alloc(size);
    if (size)
        memcpy(copy, block, size);
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

char *mem_strdup_null(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

char *mem_strndup(const char *text, size_t len)
{
    size_t used = strnlen(text, len);
    char *copy = mem_alloc(used + 1);
    memcpy(copy, text, used);
    copy[used] = '\0';
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    for (int waited_ms = 0; !text && waited_ms <= RETRY_MS; waited_ms += RETRY_STEP_MS) {
        va_list args;
        va_start(args, format);
        if (vasprintf(&text, format, args) < 0) {
            text = NULL;
            wait_a_moment();
        }
        va_end(args);
    }
    if (!text)
        out_of_memory();
    return text;
}
