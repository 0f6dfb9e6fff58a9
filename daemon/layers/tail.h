// SPDX-License-Identifier: Apache-2.0
//
// The last gzip member of an eStargz blob: a member of any size, because the table of contents must lie in
// one. Compressed as it comes, by zlib, on the worker.
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "layers/blocks.h"

struct tail;

struct tail *tail_new(struct blocks *blocks, struct error *err); // settled blocks, borrowed
void tail_free(struct tail *tail);                               // NULL is fine
int tail_append(struct tail *tail, const void *tar, size_t len, struct error *err);
int tail_finish(struct tail *tail, struct error *err);
