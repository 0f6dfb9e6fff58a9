// SPDX-License-Identifier: Apache-2.0
//
// ULIDs: 48 bits of milliseconds, 80 random bits, Crockford base 32. Sort by time; monotonic within a
// process.
#pragma once

#include <stdbool.h>

enum { ID_LEN = 26 };

void id_new(char ret[ID_LEN + 1]); // loop thread
bool id_valid(const char *text);
