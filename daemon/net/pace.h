// SPDX-License-Identifier: Apache-2.0
//
// Byte-rate pacing per host, for all transfers together: a worker books the bytes it moved and learns for how
// long it has to hold back. Leaf lock inside; any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pace;
struct pace_host;

struct pace *pace_new(void);
void pace_free(struct pace *pace);
// The book of one host, made at the first call; lives as long as the pace.
struct pace_host *pace_find_host(struct pace *pace, const char *host);
// Books bytes moved just now; returns how many milliseconds to move nothing more (0: go on). bytes_per_s > 0.
int64_t pace_book(struct pace_host *host, int64_t bytes_per_s, size_t bytes, int64_t now_ms);
