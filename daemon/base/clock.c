// SPDX-License-Identifier: Apache-2.0
//
// Clocks and their texts. Parsing is strict and independent of locale and time zone.
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

// RFC 3339 knows the years 0000 to 9999; what lies outside is shown as the nearest of them.
static const int64_t first_s = -62167219200, last_s = 253402300799;

static void format(int64_t wall_s, int ms, char *ret)
{
    time_t seconds = (time_t)(wall_s < first_s ? first_s : wall_s > last_s ? last_s : wall_s);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int used = snprintf(ret, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (ms >= 0)
        snprintf(ret + used, CLOCK_TEXT_MAX - (size_t)used, ".%03dZ", ms);
    else
        snprintf(ret + used, CLOCK_TEXT_MAX - (size_t)used, "Z");
}

void clock_format(int64_t wall_ms, char ret[CLOCK_TEXT_MAX])
{
    int64_t seconds = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    format(seconds, (int)ms, ret);
}

void clock_format_s(int64_t wall_s, char ret[CLOCK_TEXT_MAX])
{
    format(wall_s, -1, ret);
}

static bool digits(const char **text, int count, int *ret)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (**text - '0');
    }
    *ret = value;
    return true;
}

static bool literal(const char **text, char c)
{
    return *(*text)++ == c;
}

static bool fraction_ms(const char **text, int *ret)
{
    *ret = 0;
    if (**text != '.')
        return true;
    int scale = 100, count = 0;
    for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, count++) {
        *ret += (**text - '0') * scale;
        scale /= 10;
    }
    return count > 0;
}

static bool zone_s(const char **text, int *ret)
{
    *ret = 0;
    char sign = *(*text)++;
    if (sign == 'Z' || sign == 'z')
        return true;
    int hours, minutes;
    if ((sign != '+' && sign != '-') || !digits(text, 2, &hours) || !literal(text, ':') ||
        !digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

static bool in_range(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (tm->tm_mon < 0 || tm->tm_mon > 11)
        return false;
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int last = days[tm->tm_mon] + (tm->tm_mon == 1 && leap);
    return tm->tm_mday >= 1 && tm->tm_mday <= last && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
           tm->tm_sec <= 60;
}

bool clock_parse(const char *text, int64_t *ret_wall_ms)
{
    struct tm tm = {0};
    int year, month, ms, zone;
    if (!digits(&text, 4, &year) || !literal(&text, '-') || !digits(&text, 2, &month) ||
        !literal(&text, '-') || !digits(&text, 2, &tm.tm_mday))
        return false;
    if (*text != 'T' && *text != 't' && *text != ' ')
        return false;
    text++;
    if (!digits(&text, 2, &tm.tm_hour) || !literal(&text, ':') || !digits(&text, 2, &tm.tm_min) ||
        !literal(&text, ':') || !digits(&text, 2, &tm.tm_sec) || !fraction_ms(&text, &ms) ||
        !zone_s(&text, &zone) || *text)
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    if (!in_range(&tm))
        return false;
    *ret_wall_ms = ((int64_t)timegm(&tm) - zone) * 1000 + ms;
    return true;
}

bool clock_parse_http_date(const char *text, int64_t *ret_wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *comma = strchr(text, ',');
    if (!comma || comma - text != 3 || comma[1] != ' ')
        return false;
    const char *p = comma + 2;
    struct tm tm = {0};
    int year;
    if (!digits(&p, 2, &tm.tm_mday) || !literal(&p, ' ') || strlen(p) < 3)
        return false;
    tm.tm_mon = -1;
    for (int i = 0; i < 12; i++)
        if (strncmp(p, months + (size_t)i * 3, 3) == 0)
            tm.tm_mon = i;
    p += 3;
    if (!literal(&p, ' ') || !digits(&p, 4, &year) || !literal(&p, ' ') || !digits(&p, 2, &tm.tm_hour) ||
        !literal(&p, ':') || !digits(&p, 2, &tm.tm_min) || !literal(&p, ':') || !digits(&p, 2, &tm.tm_sec) ||
        strcmp(p, " GMT") != 0)
        return false;
    tm.tm_year = year - 1900;
    if (!in_range(&tm))
        return false;
    *ret_wall_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}
