// SPDX-License-Identifier: Apache-2.0
//
// The bearer token of TCP listeners when the operator gave none: made once, 0600, in the runtime directory.
#pragma once

#include "base/error.h"
#include "config.h"

// The token file to use; caller frees. *ret NULL: no listener needs one.
int token_file_prepare(const struct config *config, char **ret, struct error *err);
// The runtime directory: $RUNTIME_DIRECTORY, /run/dray for root, $XDG_RUNTIME_DIR/dray, else the state directory. Caller frees.
char *token_file_directory(const struct config *config);
