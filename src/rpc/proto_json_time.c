#include "rpc/proto_json_time.h"

#include <stdio.h>

#define NANOS_PER_S    1000000000
#define SECONDS_A_DAY  86400
#define TIMESTAMP_MIN  (-62135596800) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX  253402300799   /* 9999-12-31T23:59:59Z */
#define DURATION_MAX_S 315576000000   /* 10000 years of 365.25 days (google/protobuf/duration.proto) */

/* Days since 1970-01-01 of a date, and back; the calendar begins in March, so that leap days come last (Howard
 * Hinnant, "chrono-compatible low-level date algorithms"). Years 0 to 9999. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? (int64_t)month - 3 : (int64_t)month + 9) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = days / 146097; /* never negative: years from 1 on */
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

/* Each returns where it ended. printf would take longer than all else that a small message needs. */
static char *put(char *text, char c)
{
    *text = c;
    return text + 1;
}

static char *put_digits(char *text, unsigned value, int digits)
{
    for (int i = digits; i-- > 0; value /= 10)
        text[i] = (char)('0' + value % 10);
    return text + digits;
}

/* ".5" as 3, 6 or 9 digits, nothing for 0. */
static char *put_fraction(char *text, unsigned nanos)
{
    if (nanos == 0)
        return text;
    if (nanos % 1000000 == 0)
        return put_digits(put(text, '.'), nanos / 1000000, 3);
    if (nanos % 1000 == 0)
        return put_digits(put(text, '.'), nanos / 1000, 6);
    return put_digits(put(text, '.'), nanos, 9);
}

size_t fg_timestamp_print(int64_t seconds, int32_t nanos, char *text)
{
    unsigned month, day;
    int year;

    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX || nanos < 0 || nanos >= NANOS_PER_S)
        return 0;
    int64_t days = seconds / SECONDS_A_DAY, second = seconds % SECONDS_A_DAY;
    if (second < 0) {
        second += SECONDS_A_DAY;
        days--;
    }
    date_of(days, &year, &month, &day);
    char *at = put_digits(text, (unsigned)year, 4);
    at = put_digits(put(at, '-'), month, 2);
    at = put_digits(put(at, '-'), day, 2);
    at = put_digits(put(at, 'T'), (unsigned)(second / 3600), 2);
    at = put_digits(put(at, ':'), (unsigned)(second / 60 % 60), 2);
    at = put_digits(put(at, ':'), (unsigned)(second % 60), 2);
    at = put(put_fraction(at, (unsigned)nanos), 'Z');
    return (size_t)(at - text);
}

size_t fg_duration_print(int64_t seconds, int32_t nanos, char *text)
{
    if (seconds < -DURATION_MAX_S || seconds > DURATION_MAX_S || nanos <= -NANOS_PER_S || nanos >= NANOS_PER_S ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return 0;
    bool negative = seconds < 0 || nanos < 0;
    size_t len = (size_t)snprintf(text, FG_TIME_TEXT, "%s%lld", negative ? "-" : "",
                                  (long long)(seconds < 0 ? -seconds : seconds));
    char *at = put_fraction(text + len, (unsigned)(nanos < 0 ? -nanos : nanos));
    return (size_t)(put(at, 's') - text);
}

/* ---- parsing ---- */

struct cursor {
    const char *at, *end;
};

/* Exactly DIGITS digits. */
static bool take_number(struct cursor *c, int digits, unsigned *value)
{
    *value = 0;
    if (c->end - c->at < digits)
        return false;
    for (int i = 0; i < digits; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9')
            return false;
        *value = *value * 10 + (unsigned)(*c->at - '0');
    }
    return true;
}

static bool take_one(struct cursor *c, const char *any_of)
{
    if (c->at == c->end || *c->at == '\0' || !strchr(any_of, *c->at))
        return false;
    c->at++;
    return true;
}

/* Nothing, or a point and one to nine digits. */
static bool take_fraction(struct cursor *c, int32_t *nanos)
{
    int32_t unit = NANOS_PER_S;

    *nanos = 0;
    if (!take_one(c, "."))
        return true;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (unit == 1)
            return false;
        unit /= 10;
        *nanos += (*c->at - '0') * unit;
    }
    return unit < NANOS_PER_S;
}

/* "Z" or "+01:30"; seconds to take off. */
static bool take_offset(struct cursor *c, int64_t *offset)
{
    unsigned hours, minutes;

    *offset = 0;
    if (take_one(c, "Zz"))
        return true;
    bool minus = c->at < c->end && *c->at == '-';
    if (!take_one(c, "+-") || !take_number(c, 2, &hours) || !take_one(c, ":") || !take_number(c, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *offset = (int64_t)(hours * 60 + minutes) * (minus ? -60 : 60);
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

int fg_timestamp_parse(struct fg_str text, int64_t *seconds, int32_t *nanos)
{
    struct cursor c = {text.p, text.p + text.len};
    unsigned year, month, day, hour, minute, second;
    int64_t offset;

    if (!take_number(&c, 4, &year) || !take_one(&c, "-") || !take_number(&c, 2, &month) || !take_one(&c, "-") ||
        !take_number(&c, 2, &day) || !take_one(&c, "Tt") || !take_number(&c, 2, &hour) || !take_one(&c, ":") ||
        !take_number(&c, 2, &minute) || !take_one(&c, ":") || !take_number(&c, 2, &second) ||
        !take_fraction(&c, nanos) || !take_offset(&c, &offset) || c.at != c.end)
        return -1;
    if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59)
        return -1;
    *seconds = days_of(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - offset;
    return *seconds < TIMESTAMP_MIN || *seconds > TIMESTAMP_MAX ? -1 : 0;
}

int fg_duration_parse(struct fg_str text, int64_t *seconds, int32_t *nanos)
{
    struct cursor c = {text.p, text.p + text.len};
    bool minus = take_one(&c, "-");
    const char *begin = c.at;

    *seconds = 0;
    for (; c.at < c.end && *c.at >= '0' && *c.at <= '9'; c.at++) {
        *seconds = *seconds * 10 + (*c.at - '0');
        if (*seconds > DURATION_MAX_S)
            return -1;
    }
    if (c.at == begin || !take_fraction(&c, nanos) || !take_one(&c, "s") || c.at != c.end)
        return -1;
    if (minus) {
        *seconds = -*seconds;
        *nanos = -*nanos;
    }
    return 0;
}
