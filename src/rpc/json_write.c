#include "rpc/json_write.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void fg_json_out_init(struct fg_json_out *out, char *buffer, size_t len, fg_json_write *write, void *context)
{
    *out = (struct fg_json_out){
        .begin = buffer, .at = buffer, .end = buffer + len, .write = write, .context = context, .max = UINT64_MAX};
}

void fg_json_flush(struct fg_json_out *out)
{
    size_t len = (size_t)(out->at - out->begin);

    out->at = out->begin;
    if (out->failed || len == 0)
        return;
    out->written += len;
    if (out->written > out->max || out->write(out->context, out->begin, len) < 0)
        out->failed = true;
}

void fg_json_put_many(struct fg_json_out *out, const void *bytes, size_t len)
{
    const char *p = bytes;

    while (len > 0 && !out->failed) {
        if (out->at == out->end)
            fg_json_flush(out);
        size_t n = FG_MIN(len, (size_t)(out->end - out->at));
        memcpy(out->at, p, n);
        out->at += n;
        p += n;
        len -= n;
    }
}

/* ---- numbers ---- */

/* At most 20 digits, before END; where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

void fg_json_put_u64(struct fg_json_out *out, uint64_t value)
{
    char text[20], *end = text + sizeof text;
    char *begin = digits_before(end, value);

    fg_json_put_raw(out, begin, (size_t)(end - begin));
}

void fg_json_put_i64(struct fg_json_out *out, int64_t value)
{
    if (value < 0)
        fg_json_put(out, '-');
    fg_json_put_u64(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

#define PLACES_MAX 9

static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

_Static_assert(FG_ARRAY_LEN(powers) == PLACES_MAX + 1, "a power for each number of places");

/* DIGITS / 10^PLACES, DIGITS below 10^15. */
static void put_decimal(struct fg_json_out *out, bool negative, uint64_t digits, unsigned places)
{
    char text[28], *end = text + sizeof text, *begin = end;

    if (places > 0) {
        uint64_t unit = (uint64_t)powers[places];
        begin = digits_before(end, digits % unit + unit); /* the unit keeps leading zeros */
        *begin = '.';
        digits /= unit;
    }
    begin = digits_before(begin, digits);
    if (negative)
        *--begin = '-';
    fg_json_put_raw(out, begin, (size_t)(end - begin));
}

/* Prices, quantities, coordinates: a decimal with few places. N / 10^k with N up to 2^53 is rounded once, as a reader
 * of that decimal would round it: when it gives VALUE back, the decimal does too. While N has at most 15 digits no
 * other decimal of that length does, and so none that is shorter: one trial with as many places as fit is enough, and
 * zeros at its end are taken off. false: it is another number. */
static bool put_short_double(struct fg_json_out *out, double value)
{
    double magnitude = fabs(value);
    unsigned places = PLACES_MAX;

    while (places > 0 && magnitude * powers[places] >= 1e15 - 1)
        places--;
    if (!(magnitude * powers[places] < 1e15 - 1))
        return false;
    uint64_t digits = (uint64_t)(magnitude * powers[places] + 0.5);
    if ((double)digits / powers[places] != magnitude)
        return false;
    for (; places > 0 && digits % 10 == 0; places--)
        digits /= 10;
    put_decimal(out, signbit(value), digits, places);
    return true;
}

/* The same for floats, whose decimals are unambiguous up to 6 digits only: the fewest places of at most 7 digits. */
static bool put_short_float(struct fg_json_out *out, double value)
{
    double magnitude = fabs(value);

    for (unsigned places = 0; places <= PLACES_MAX; places++) {
        double scaled = magnitude * powers[places] + 0.5;
        if (!(scaled < 1e7))
            return false;
        uint64_t digits = (uint64_t)scaled;
        if ((float)((double)digits / powers[places]) == (float)magnitude) {
            put_decimal(out, signbit(value), digits, places);
            return true;
        }
    }
    return false;
}

static void put_general(struct fg_json_out *out, double value, bool is_float)
{
    char text[40];
    int len = 0;
    bool subnormal = fabs(value) < (is_float ? (double)FLT_MIN : DBL_MIN); /* these have fewer digits */

    for (int precision = subnormal ? 1 : is_float ? 6 : 15; precision <= 17; precision++) {
        len = snprintf(text, sizeof text, "%.*g", precision, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    fg_json_put_raw(out, text, (size_t)len);
}

static void put_number(struct fg_json_out *out, double value, bool is_float)
{
    if (isnan(value))
        fg_json_put_raw(out, "\"NaN\"", 5);
    else if (isinf(value))
        fg_json_put_raw(out, value < 0 ? "\"-Infinity\"" : "\"Infinity\"", value < 0 ? 11 : 10);
    else if (value == 0)
        fg_json_put_raw(out, signbit(value) ? "-0.0" : "0", signbit(value) ? 4 : 1);
    else if (!(is_float ? put_short_float(out, value) : put_short_double(out, value)))
        put_general(out, value, is_float);
}

void fg_json_put_double(struct fg_json_out *out, double value)
{
    put_number(out, value, false);
}

void fg_json_put_float(struct fg_json_out *out, float value)
{
    put_number(out, (double)value, true);
}

/* ---- strings ---- */

static void put_escape(struct fg_json_out *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_of[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4 & 15], hex[byte & 15]};

    if (byte >= 0x20)
        text[1] = (char)byte;
    else if (short_of[byte])
        text[1] = short_of[byte];
    fg_json_put_raw(out, text, text[1] == 'u' ? 6 : 2);
}

int fg_json_put_part(struct fg_json_out *out, struct fg_utf8 *state, const void *bytes, size_t len)
{
    const uint8_t *p = bytes, *end = p + len, *from = p;

    while (p < end) {
        if (state->need == 0)
            p += fg_json_plain_len(p, (size_t)(end - p));
        if (p == end)
            break;
        if (*p >= 0x80 || state->need > 0) {
            if (!fg_utf8_step(state, *p++))
                return -1;
            continue;
        }
        fg_json_put_raw(out, from, (size_t)(p - from));
        put_escape(out, *p++);
        from = p;
    }
    fg_json_put_raw(out, from, (size_t)(end - from));
    return 0;
}

void fg_json_put_text(struct fg_json_out *out, struct fg_str text)
{
    struct fg_utf8 state = {0};

    fg_json_put(out, '"');
    (void)fg_json_put_part(out, &state, text.p, text.len);
    fg_json_put(out, '"');
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_group(struct fg_json_out *out, const uint8_t *p)
{
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63], alphabet[bits & 63]};

    fg_json_put_raw(out, text, sizeof text);
}

void fg_json_put_base64(struct fg_json_out *out, struct fg_json_base64 *state, const void *bytes, size_t len)
{
    const uint8_t *p = bytes, *end = p + len;

    while (state->len > 0 && p < end) {
        state->held[state->len++] = *p++;
        if (state->len == 3) {
            put_group(out, state->held);
            state->len = 0;
        }
    }
    for (; end - p >= 3; p += 3)
        put_group(out, p);
    while (p < end)
        state->held[state->len++] = *p++;
}

void fg_json_end_base64(struct fg_json_out *out, struct fg_json_base64 *state)
{
    uint8_t last[3] = {0};
    char text[4];

    if (state->len == 0)
        return;
    memcpy(last, state->held, state->len);
    text[0] = alphabet[last[0] >> 2];
    text[1] = alphabet[(last[0] & 3) << 4 | last[1] >> 4];
    text[2] = state->len == 2 ? alphabet[(last[1] & 15) << 2] : '=';
    text[3] = '=';
    fg_json_put_raw(out, text, sizeof text);
    state->len = 0;
}
