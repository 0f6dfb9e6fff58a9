// SPDX-License-Identifier: Apache-2.0
//
// Small formatters shared by the event lines, the bars and the tables.
#include "handlers/text.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { UNITS = 6 };

static const char *const units[UNITS] = {"B", "kB", "MB", "GB", "TB", "PB"};

static size_t unit_of(int64_t bytes, double *ret_divisor)
{
    double value = bytes > 0 ? (double)bytes : 0;
    size_t unit = 0;
    for (*ret_divisor = 1; value >= 999.95 && unit < UNITS - 1; unit++) {
        value /= 1000;
        *ret_divisor *= 1000;
    }
    return unit;
}

void text_bytes(struct strbuf *out, int64_t bytes)
{
    double divisor;
    size_t unit = unit_of(bytes, &divisor);
    strbuf_printf(out, "%.*f %s", unit > 0, bytes > 0 ? (double)bytes / divisor : 0, units[unit]);
}

void text_ratio(struct strbuf *out, int64_t done, int64_t total)
{
    double divisor;
    size_t unit = unit_of(total > done ? total : done, &divisor);
    strbuf_printf(out, "%.*f/%.*f %s", unit > 0, (double)done / divisor, unit > 0, (double)total / divisor,
                  units[unit]);
}

void text_duration(struct strbuf *out, int64_t ms)
{
    int64_t seconds = ms / 1000;
    if (ms < 10000)
        strbuf_printf(out, "%lld.%lld s", (long long)seconds, (long long)(ms % 1000 / 100));
    else if (seconds < 60)
        strbuf_printf(out, "%lld s", (long long)seconds);
    else if (seconds < 3600)
        strbuf_printf(out, "%lld min %lld s", (long long)(seconds / 60), (long long)(seconds % 60));
    else
        strbuf_printf(out, "%lld h %lld min", (long long)(seconds / 3600), (long long)(seconds / 60 % 60));
}

void text_put(struct strbuf *out, const char *text, size_t max)
{
    AUTO_FREE char *quoted = text ? str_quote(text, max) : NULL;
    if (quoted)
        strbuf_puts(out, quoted);
}

void text_line(struct strbuf *out, const char *line, int cols, const char *end)
{
    const char *at = line;
    for (int used = 0; *at && used < cols; used++) {
        at++;
        while (((unsigned char)*at & 0xc0) == 0x80)
            at++;
    }
    strbuf_append(out, line, (size_t)(at - line));
    strbuf_puts(out, end);
}
