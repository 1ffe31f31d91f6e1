#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/query.h"

static void assert_decodes(const char *text, const char *expected, size_t expected_len)
{
    char out[64];
    size_t len;

    if (!fg_query_decode(fg_str_from(text), out, sizeof out, &len))
        fail_msg("%s cannot be decoded", text);
    assert_int_equal(len, expected_len);
    assert_memory_equal(out, expected, len);
}

static void percent_encoding_is_undone(void **state)
{
    (void)state;
    assert_decodes("", "", 0);
    assert_decodes("t.Echo/Unary", "t.Echo/Unary", 12);
    assert_decodes("%2ft.Echo%2FUnary", "/t.Echo/Unary", 13);
    assert_decodes("127.0.0.1:50051", "127.0.0.1:50051", 15);
    assert_decodes("%5B%3a%3A1%5d", "[::1]", 5);
    assert_decodes("a+b%00%ff", "a+b\0\xff", 5);
}

static void what_is_no_encoding_is_refused(void **state)
{
    static const char *const bad[] = {"%", "%2", "a%", "%g0", "%0g", "%%41", "% 1"};
    char out[4];
    size_t len;
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        if (fg_query_decode(fg_str_from(bad[i]), out, sizeof out, &len))
            fail_msg("%s was decoded", bad[i]);
    assert_true(fg_query_decode(FG_STR("%61234"), out, sizeof out, &len));
    assert_false(fg_query_decode(FG_STR("%612345"), out, sizeof out, &len));
}

static void assert_finds(const char *query, const char *key, const char *expected)
{
    struct fg_str value;
    bool found = fg_query_find(fg_str_from(query), key, &value);

    if (found != (expected != NULL))
        fail_msg("%s in %s: found: %d", key, query, found);
    if (found && !fg_str_eq(value, fg_str_from(expected)))
        fail_msg("%s in %s is %.*s", key, query, (int)value.len, value.p);
}

static void parameters_are_found(void **state)
{
    (void)state;
    assert_finds("a=1&b=2", "a", "1");
    assert_finds("a=1&b=2", "b", "2");
    assert_finds("aa=1&a=2&a=3", "a", "2");
    assert_finds("a=&b=", "b", "");
    assert_finds("&&a=x=y&", "a", "x=y");
    assert_finds("", "a", NULL);
    assert_finds("a", "a", NULL);
    assert_finds("ab=1", "a", NULL);
    assert_finds("b=a=1", "a", NULL);
}

static void numbers_are_bounded(void **state)
{
    uint64_t number;
    (void)state;

    assert_true(fg_query_number(FG_STR("b=1"), "a", 7, 9, &number));
    assert_int_equal(number, 7);
    assert_true(fg_query_number(FG_STR("a=9"), "a", 7, 9, &number));
    assert_int_equal(number, 9);
    assert_true(fg_query_number(FG_STR("a=18446744073709551615"), "a", 7, UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
    assert_false(fg_query_number(FG_STR("a=10"), "a", 7, 9, &number));
    assert_false(fg_query_number(FG_STR("a=18446744073709551616"), "a", 7, UINT64_MAX, &number));
    assert_false(fg_query_number(FG_STR("a=99999999999999999999"), "a", 7, UINT64_MAX, &number));
    assert_false(fg_query_number(FG_STR("a="), "a", 7, 9, &number));
    assert_false(fg_query_number(FG_STR("a=-1"), "a", 7, 9, &number));
    assert_false(fg_query_number(FG_STR("a=1x"), "a", 7, 9, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_encoding_is_undone),
        cmocka_unit_test(what_is_no_encoding_is_refused),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(numbers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
