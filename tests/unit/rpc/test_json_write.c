#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/json_write.h"

static int keep(void *context, const char *bytes, size_t len)
{
    strncat(context, bytes, len);
    return 0;
}

static void print(double value, bool is_float, char text[64])
{
    struct fg_json_out out;
    char buffer[64];

    text[0] = '\0';
    fg_json_out_init(&out, buffer, sizeof buffer, keep, text);
    if (is_float)
        fg_json_put_float(&out, (float)value);
    else
        fg_json_put_double(&out, value);
    fg_json_flush(&out);
}

static bool reads_back(const char *text, double value, bool is_float)
{
    return is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

/* Without zeros on either side. */
static int significant_digits(const char *text)
{
    int digits = 0, zeros = 0;

    for (; *text && *text != 'e'; text++) {
        if (*text == '0' && digits > 0)
            zeros++;
        if (*text >= '1' && *text <= '9') {
            digits += 1 + zeros;
            zeros = 0;
        }
    }
    return digits;
}

static int fewest_digits(double value, bool is_float)
{
    char text[64];
    int precision = 0;

    do
        snprintf(text, sizeof text, "%.*g", ++precision, value);
    while (!reads_back(text, value, is_float));
    return precision;
}

static void check(double value, bool is_float)
{
    char text[64];

    print(value, is_float, text);
    if (!reads_back(text, value, is_float) || significant_digits(text) != fewest_digits(value, is_float))
        fail_msg("%a (%.17g)%s became %s", value, value, is_float ? " as float" : "", text);
}

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void decimals_with_few_places_come_back_as_they_were_written(void **unused)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {1, "1"},
        {-12.5, "-12.5"},
        {0.1, "0.1"},
        {100, "100"},
        {48.8721418, "48.8721418"},
        {-0.000000001, "-0.000000001"},
        {123456.789012345, "123456.789012345"},
        {999999999999999, "999999999999999"},
        {99999999999999.9, "99999999999999.9"},
        {999999.999999999, "999999.999999999"},
        {0.30000000000000004, "0.30000000000000004"},
    };
    char text[64];
    (void)unused;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        print(cases[i].value, false, text);
        assert_string_equal(text, cases[i].text);
    }
    print((double)0.1f, true, text);
    assert_string_equal(text, "0.1");
}

static void no_shorter_decimal_reads_back_as_the_same_number(void **unused)
{
    (void)unused;
    for (int i = 0; i < 20000; i++) {
        uint64_t bound = 10;
        for (uint64_t more = draw(17); more > 0; more--)
            bound *= 10;
        double value = (double)(draw(bound) + 1) / pow(10, (double)draw(15)) * (draw(2) ? 1 : -1);
        check(value, false);
        check((double)(float)value, true);
        check(nextafter(value, INFINITY), false);
        check((double)nextafterf((float)value, INFINITY), true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_with_few_places_come_back_as_they_were_written),
        cmocka_unit_test(no_shorter_decimal_reads_back_as_the_same_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
