// SPDX-License-Identifier: Apache-2.0
//
// Called by the lanes for every block. All arithmetic is on words as they lie in memory of a little-endian
// machine; on others the marks differ, which only means that nothing is found again.
#include "layers/mark.h"

#include <string.h>
#include <sys/random.h>

#include "base/digest.h"
#include "base/mem.h"

static const uint64_t PRIME = ((uint64_t)1 << 61) - 1;

static uint64_t reduce(unsigned __int128 value)
{
    uint64_t sum = (uint64_t)(value & PRIME) + (uint64_t)(value >> 61 & PRIME) + (uint64_t)(value >> 122);
    sum = (sum & PRIME) + (sum >> 61);
    return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t word_of_hex(const char *hex)
{
    uint64_t word = 0;
    for (int i = 0; i < 16; i++)
        word = word << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    return word;
}

// Words number 4n to 4n+3 are SHA-256(seed, n).
static void expand(const uint8_t seed[MARK_SEED], uint64_t *words, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i += 4) {
        uint8_t input[MARK_SEED + 8];
        uint64_t number = first + i / 4;
        memcpy(input, seed, MARK_SEED);
        memcpy(input + MARK_SEED, &number, sizeof(number));
        struct digest digest;
        digest_of(&digest, DIGEST_SHA256, input, sizeof(input));
        for (size_t j = i; j < i + 4 && j < count; j++)
            words[j] = word_of_hex(digest_hex(&digest) + 16 * (j - i));
    }
}

void mark_key_init(struct mark_key *ret, const uint8_t seed[MARK_SEED])
{
    memcpy(ret->seed, seed, MARK_SEED);
    expand(seed, ret->words[0], MARK_WORDS + 2, 0);
    expand(seed, ret->words[1], MARK_WORDS + 2, 1000);
    expand(seed, ret->points, 2, 2000);
    for (int i = 0; i < 2; i++)
        ret->points[i] = ret->points[i] % (PRIME - 2) + 2;
}

void mark_key_random(struct mark_key *ret)
{
    uint8_t seed[MARK_SEED] = {0};
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        abort(); // not before the system has randomness, and then never
    mark_key_init(ret, seed);
}

// NH of one piece under both keys.
static void hash_piece(const struct mark_key *key, const uint8_t *piece, unsigned __int128 ret[2])
{
    unsigned __int128 a = 0, b = 0;
    for (size_t i = 0; i < MARK_WORDS; i += 2) {
        uint64_t word[2];
        memcpy(word, piece + i * 8, sizeof(word));
        a += (unsigned __int128)(word[0] + key->words[0][i]) * (word[1] + key->words[0][i + 1]);
        b += (unsigned __int128)(word[0] + key->words[1][i]) * (word[1] + key->words[1][i + 1]);
    }
    ret[0] = a;
    ret[1] = b;
}

static uint64_t step(uint64_t sum, uint64_t point, uint64_t value)
{
    return reduce((unsigned __int128)sum * point + value % PRIME);
}

// The 128 bits of a piece enter the polynomial as two words.
static void take_piece(const struct mark_key *key, const uint8_t *piece, uint64_t sums[2])
{
    unsigned __int128 hashes[2];
    hash_piece(key, piece, hashes);
    for (int i = 0; i < 2; i++) {
        sums[i] = step(sums[i], key->points[i], (uint64_t)(hashes[i] >> 64));
        sums[i] = step(sums[i], key->points[i], (uint64_t)hashes[i]);
    }
}

void mark_of(const struct mark_key *key, const void *bytes, size_t len, struct mark *ret)
{
    uint64_t sums[2] = {len, len};
    const uint8_t *next = bytes;
    size_t left = len;
    for (; left >= MARK_PIECE; left -= MARK_PIECE, next += MARK_PIECE)
        take_piece(key, next, sums);
    if (left > 0) {
        uint8_t last[MARK_PIECE] = {0};
        memcpy(last, next, left);
        take_piece(key, last, sums);
    }
    ret->half[0] = sums[0];
    ret->half[1] = sums[1];
}

bool mark_equal(const struct mark *a, const struct mark *b)
{
    return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}
