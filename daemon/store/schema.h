// SPDX-License-Identifier: Apache-2.0
//
// The tables and how they came to be. PRAGMA user_version counts the migrations that a file has seen.
#pragma once

#include "base/error.h"
#include "store/database.h"

// Brings the file to the newest form, one transaction per step, so a crash in between loses nothing. Refused
// with ERR_CONFLICT: a file of a newer program, or one of another program.
int schema_migrate(struct database *db, struct error *err);
int schema_version(void); // newest
