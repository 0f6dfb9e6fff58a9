// SPDX-License-Identifier: Apache-2.0
//
// Some space held back in the state directory: when the disk is full it is given up, so that jobs that were
// accepted can still be finished and journalled; new ones are refused until it could be taken again. Writer
// thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct reserve {
    char *path;
    bool held;
    int64_t tried_ms;
};

void reserve_init(struct reserve *reserve, const char *directory); // takes the space if it is there
void reserve_fini(struct reserve *reserve);    // leaves the space taken for the next start
bool reserve_release(struct reserve *reserve); // true if that freed something
void reserve_retake(struct reserve *reserve);  // tries once a second at most
