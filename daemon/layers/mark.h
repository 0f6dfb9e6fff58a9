// SPDX-License-Identifier: Apache-2.0
//
// A keyed mark of a block's content: 128 bits by which a block of an earlier layer is found again. It is a
// universal hash (NH of RFC 4418 over pieces of a kilobyte, a polynomial over those), twice with independent
// keys, several times faster than SHA-256. Who does not know the key cannot make two blocks of one mark; the
// key never leaves the daemon's state.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MARK_SEED = 32, MARK_PIECE = 1024, MARK_WORDS = MARK_PIECE / 8 };

struct mark {
    uint64_t half[2];
};

struct mark_key {
    uint8_t seed[MARK_SEED];
    uint64_t words[2][MARK_WORDS + 2];
    uint64_t points[2];
};

void mark_key_init(struct mark_key *ret, const uint8_t seed[MARK_SEED]);
void mark_key_random(struct mark_key *ret); // a new seed
void mark_of(const struct mark_key *key, const void *bytes, size_t len, struct mark *ret);
bool mark_equal(const struct mark *a, const struct mark *b);
