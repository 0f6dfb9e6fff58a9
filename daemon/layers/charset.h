// SPDX-License-Identifier: Apache-2.0
//
// A UTF-8 locale for the calling thread, whatever the process was started with: in the C locale libarchive
// changes the bytes of names that are not ASCII, and only warns.
#pragma once

#include <locale.h>

#include "base/error.h"

struct charset {
    locale_t utf8;
    locale_t before;
};

int charset_enter(struct charset *charset, struct error *err); // ERR_INTERNAL if the system has no C.UTF-8
void charset_leave(struct charset *charset);                   // same thread; harmless after a failed enter
