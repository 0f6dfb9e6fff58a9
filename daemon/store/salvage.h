// SPDX-License-Identifier: Apache-2.0
//
// Last resort at start: saves the jobs that can still be read out of a damaged database into a new, empty
// one.
#pragma once

#include "store/database.h"

// Jobs with their specs, sealed texts, keys and events; whatever cannot be read, or is not what was written, is
// left behind. Returns how many jobs were saved; 0 too if the damaged file has another schema version. *ret_lost:
// how many were not, by what is left of the indexes; -1: nothing is left of them.
int64_t salvage_jobs(struct database *db, const char *damaged_path, int64_t *ret_lost);
