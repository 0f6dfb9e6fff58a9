// SPDX-License-Identifier: Apache-2.0
//
// The headers of tar archives that are written piece by piece (POSIX.1-2017 pax, "ustar Interchange Format"):
// entries of an archive are written at places that were computed beforehand, so the headers are needed as
// bytes of their own.
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

enum { TAR_BLOCK = 512, TAR_TRAILER_BYTES = 2 * TAR_BLOCK };

// Appends the header of a regular file (0644, 0:0, 1970), with a pax header in front where name or size need
// one.
int tar_header_file(struct strbuf *ret, const char *name, int64_t size, struct error *err);
// How many zero bytes follow a content of that size.
int64_t tar_header_padding(int64_t size);
