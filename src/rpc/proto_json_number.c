#include "rpc/proto_json_number.h"

#include <math.h>
#include <stdlib.h>

#include "rpc/json_read.h"

#define EXPONENT_MAX 100000 /* beyond it nothing fits anyway */

/* digits x 10^exponent; digits may have zeros on both sides. */
struct decimal {
    const char *digits; /* with at most one point among them */
    size_t len;
    int exponent; /* of what stands before the point, or of all digits */
    size_t point; /* digits before the point */
    bool negative;
};

static struct decimal split(struct fg_str text)
{
    struct decimal d = {.negative = text.p[0] == '-'};
    const char *p = text.p + d.negative, *end = text.p + text.len;

    d.digits = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    d.point = (size_t)(p - d.digits);
    if (p < end && *p == '.')
        p++;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    d.len = (size_t)(p - d.digits);
    if (p == end)
        return d;
    p++; /* e */
    bool minus = *p == '-';
    p += *p == '-' || *p == '+';
    for (; p < end && d.exponent < EXPONENT_MAX; p++)
        d.exponent = d.exponent * 10 + (*p - '0');
    d.exponent = minus ? -d.exponent : d.exponent;
    return d;
}

static bool times_ten_plus(uint64_t *value, unsigned digit)
{
    return !__builtin_mul_overflow(*value, 10u, value) && !__builtin_add_overflow(*value, digit, value);
}

enum fg_decimal fg_decimal_to_u64(struct fg_str text, bool *negative, uint64_t *magnitude)
{
    struct decimal d = split(text);
    long place = (long)d.point + d.exponent; /* digits that are left of the point after all */
    bool nonzero = false;

    *negative = d.negative;
    *magnitude = 0;
    for (size_t i = 0; i < d.len; i++) {
        if (d.digits[i] == '.')
            continue;
        unsigned digit = (unsigned)(d.digits[i] - '0');
        nonzero |= digit > 0;
        if (place-- > 0) {
            if (!times_ten_plus(magnitude, digit))
                return FG_DECIMAL_RANGE;
        } else if (digit > 0) {
            return FG_DECIMAL_FRACTION;
        }
    }
    for (; nonzero && place > 0; place--) {
        if (!times_ten_plus(magnitude, 0))
            return FG_DECIMAL_RANGE;
    }
    return FG_DECIMAL_OK;
}

/* A product or quotient of two doubles that are exact is rounded once (W. D. Clinger, "How to read floating point
 * numbers accurately"): up to 2^53 and 10^22. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

double fg_decimal_small(uint64_t digits, unsigned places)
{
    return (double)digits / powers[places];
}

static bool convert_small(const struct decimal *d, double *value)
{
    uint64_t digits = 0;
    int exponent = d->exponent;

    if (d->len > 16 || exponent > 22 || exponent < -22)
        return false;
    for (size_t i = 0; i < d->len; i++) {
        if (d->digits[i] != '.')
            digits = digits * 10 + (unsigned)(d->digits[i] - '0');
    }
    if (d->len > d->point)
        exponent -= (int)(d->len - d->point - 1);
    if (digits > (uint64_t)1 << 53 || exponent > 22 || exponent < -22)
        return false;
    *value = exponent < 0 ? (double)digits / powers[-exponent] : (double)digits * powers[exponent];
    return true;
}

enum fg_decimal fg_decimal_to_double(struct fg_str text, double *value)
{
    struct decimal d = split(text);
    char copy[FG_JSON_NUMBER_MAX + 1];

    if (!convert_small(&d, value)) {
        size_t len = FG_MIN(text.len, sizeof copy - 1);
        memcpy(copy, text.p, len);
        copy[len] = '\0';
        *value = fabs(strtod(copy, NULL)); /* the process stays in the C locale */
    }
    if (d.negative)
        *value = -*value;
    return isinf(*value) ? FG_DECIMAL_RANGE : FG_DECIMAL_OK;
}
