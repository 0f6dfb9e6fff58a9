// SPDX-License-Identifier: Apache-2.0
//
// ULIDs (https://github.com/ulid/spec). Within one millisecond the random part counts up, so ids of one
// process sort in the order they were made, also when the wall clock steps back.
#include "base/id.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int64_t last_ms;
static unsigned char tail[10];

static void next_tail(int64_t now_ms)
{
    if (now_ms > last_ms) {
        last_ms = now_ms;
        if (getrandom(tail, sizeof(tail), 0) != sizeof(tail))
            abort();     // the kernel has no randomness: nothing we do would be safe
        tail[0] &= 0x7f; // room to count
        return;
    }
    for (int i = 9; i >= 0 && ++tail[i] == 0; i--)
        ;
}

void id_new(char ret[ID_LEN + 1])
{
    next_tail(clock_wall_ms());
    for (int i = 0; i < 10; i++)
        ret[i] = alphabet[last_ms >> (45 - 5 * i) & 31];
    for (int i = 0; i < 16; i++) {
        int bit = i * 5, byte = bit / 8, shift = 11 - bit % 8;
        unsigned int pair = (unsigned int)tail[byte] << 8 | (byte + 1 < 10 ? tail[byte + 1] : 0);
        ret[10 + i] = alphabet[pair >> shift & 31];
    }
    ret[ID_LEN] = '\0';
}

bool id_valid(const char *text)
{
    return strlen(text) == ID_LEN && strspn(text, alphabet) == ID_LEN && text[0] <= '7';
}
