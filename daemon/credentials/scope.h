// SPDX-License-Identifier: Apache-2.0
//
// Token scopes ("repository:library/node:pull,push"; distribution's docs/spec/auth/scope). A list of them is
// one text with blanks between. Pure.
#pragma once

#include <stdbool.h>

// The scopes of a purpose (enum credential_action bits), `extra` first (servers that look at one scope only
// look at the first); caller frees; "" if there is nothing to ask for.
char *scope_build(const char *repository, unsigned actions, const char *mount_from, const char *extra);
// Does `have` grant all that `wanted` names? An empty or NULL `wanted` is granted.
bool scope_covers(const char *have, const char *wanted);
