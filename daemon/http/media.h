// SPDX-License-Identifier: Apache-2.0
//
// Media types in request headers: Content-Type comparison and the choice by Accept (RFC 9110
// sections 8.3.1, 12.5.1).
#pragma once

#include <stdbool.h>

// Is a Content-Type value of this type, parameters apart?
bool media_is(const char *content_type, const char *media_type);
// The index among offered (NULL-terminated) that Accept prefers: highest q, then the more exact range, then
// the order offered. No Accept: 0. None acceptable: -1.
int media_choose(const char *accept, const char *const *offered);
