// SPDX-License-Identifier: Apache-2.0
//
// Time. Deadlines, expiry and back-off use clock_ms (monotonic, counts suspend); the wall clock is for
// display only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TEXT_MAX = 32 };

int64_t clock_ms(void);                                             // CLOCK_BOOTTIME, milliseconds
int64_t clock_wall_ms(void);                                        // Unix time, milliseconds
void clock_format(int64_t wall_ms, char ret[CLOCK_TEXT_MAX]);       // RFC 3339, UTC, with milliseconds
void clock_format_s(int64_t wall_s, char ret[CLOCK_TEXT_MAX]);      // RFC 3339, UTC, whole seconds
bool clock_parse(const char *text, int64_t *ret_wall_ms);           // RFC 3339
bool clock_parse_http_date(const char *text, int64_t *ret_wall_ms); // RFC 9110 section 5.6.7, IMF-fixdate
