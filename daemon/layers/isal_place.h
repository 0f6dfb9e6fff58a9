// SPDX-License-Identifier: Apache-2.0
//
// Where an ISA-L stream must lie so that its level 1 gives equal bytes for equal input.
//
// The assembly of ISA-L's level 1 and 2 (igzip_icf_body_h1_gr_bt.asm, label .write_first_byte, in 2.30 up
// to 2.32 at least) makes the hash of the third byte's position from a register that does not hold the data
// but still the address of the stream: the hash table gets an entry at CRC-32C(address >> 16), and if the
// first bytes of a block happen to have just that hash, a match is missed. Valid, but other bytes, about once
// in 10,000 blocks, depending on where the allocator and the kernel put the stream. A stream at an address
// whose hash is 0 makes that entry the same for every process, thread and machine; nothing else in the result
// depends on addresses.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Zeroed memory of this size at such an address, or NULL if the address space has no room. isal_place_free.
void *isal_place_new(size_t size);
void isal_place_free(void *place, size_t size); // NULL is fine
bool isal_place_good(const void *place);
