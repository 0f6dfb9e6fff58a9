// SPDX-License-Identifier: Apache-2.0
//
// Small formatters shared by the event lines, the bars and the tables.
#include "handlers/text.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void text_bytes(struct strbuf *out, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = bytes > 0 ? (double)bytes : 0;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(*units)) {
        value /= 1000;
        unit++;
    }
    strbuf_printf(out, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
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
