// SPDX-License-Identifier: Apache-2.0
//
// What an eStargz table will say, kept in an unlinked file until the offsets of blocks are known: texts, each
// followed by the number of a block whose offset belongs behind it, or by none. One thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ESTARGZ_LOG_NO_BLOCK UINT64_MAX

struct estargz_log;

// Borrows the file, which is empty.
struct estargz_log *estargz_log_new(int fd);
void estargz_log_free(struct estargz_log *log); // NULL is fine
// ERR_NO_SPACE and what else writing may meet.
int estargz_log_add(struct estargz_log *log, const char *text, size_t len, uint64_t block, struct error *err);

typedef int estargz_log_visit(void *context, const char *text, size_t len, uint64_t block, struct error *err);
// From the beginning, in order; as often as wanted. −1 at once where visit fails.
int estargz_log_replay(struct estargz_log *log, estargz_log_visit *visit, void *context, struct error *err);
