// SPDX-License-Identifier: Apache-2.0
//
// The entry point that libFuzzer calls (LLVM documentation, "libFuzzer"), and how targets take their input
// apart.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What must hold of whatever was taken. Also in builds without assertions.
#define FUZZ_ASSERT(condition) ((condition) ? (void)0 : abort())

// The input up to the first `end` and without it, NUL-terminated; *data and *size move behind. Caller frees.
// Bytes behind a NUL are part of it, but of no text.
static inline char *fuzz_take(const uint8_t **data, size_t *size, char end)
{
    const uint8_t *found = *size ? memchr(*data, end, *size) : NULL;
    size_t len = found ? (size_t)(found - *data) : *size;
    char *text = mem_alloc(len + 1);
    if (len)
        memcpy(text, *data, len);
    text[len] = '\0';
    *data += len + (found != NULL);
    *size -= len + (found != NULL);
    return text;
}

// All of it as a text.
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = mem_alloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

// A failure says something, and nothing that a terminal would obey.
static inline void fuzz_check_error(struct error *err)
{
    FUZZ_ASSERT(err->code != ERR_NONE && err->detail && *err->detail);
    for (const char *c = err->detail; *c; c++)
        FUZZ_ASSERT((unsigned char)*c >= ' ' && *c != 0x7f);
    error_clear(err);
    *err = ERROR_INIT;
}
