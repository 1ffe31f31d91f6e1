#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc/status.h"

static void translates_to_http(void **state)
{
    static const unsigned expected[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                        400, 409, 400, 501, 500, 503, 500, 401};

    (void)state;
    assert_int_equal(FG_ARRAY_LEN(expected), FG_STATUS_LEN);
    for (unsigned i = 0; i < FG_STATUS_LEN; i++)
        assert_int_equal(fg_status_to_http((enum fg_status)i), expected[i]);
    assert_int_equal(fg_status_to_http((enum fg_status)99), 500);
}

static void translates_from_http(void **state)
{
    static const struct {
        unsigned http;
        enum fg_status status;
    } cases[] = {
        {400, FG_STATUS_INTERNAL},      {401, FG_STATUS_UNAUTHENTICATED}, {403, FG_STATUS_PERMISSION_DENIED},
        {404, FG_STATUS_UNIMPLEMENTED}, {429, FG_STATUS_UNAVAILABLE},     {502, FG_STATUS_UNAVAILABLE},
        {503, FG_STATUS_UNAVAILABLE},   {504, FG_STATUS_UNAVAILABLE},     {431, FG_STATUS_INTERNAL},
        {200, FG_STATUS_UNKNOWN},       {302, FG_STATUS_UNKNOWN},         {500, FG_STATUS_UNKNOWN},
        {409, FG_STATUS_UNKNOWN},       {0, FG_STATUS_UNKNOWN},           {99999, FG_STATUS_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++)
        assert_int_equal(fg_status_from_http(cases[i].http), cases[i].status);
}

static void translates_from_h2_error(void **state)
{
    static const enum fg_status expected[] = {
        [0x0] = FG_STATUS_INTERNAL,          [0x1] = FG_STATUS_INTERNAL,    [0x2] = FG_STATUS_INTERNAL,
        [0x3] = FG_STATUS_INTERNAL,          [0x4] = FG_STATUS_INTERNAL,    [0x5] = FG_STATUS_INTERNAL,
        [0x6] = FG_STATUS_INTERNAL,          [0x7] = FG_STATUS_UNAVAILABLE, [0x8] = FG_STATUS_CANCELLED,
        [0x9] = FG_STATUS_INTERNAL,          [0xa] = FG_STATUS_INTERNAL,    [0xb] = FG_STATUS_RESOURCE_EXHAUSTED,
        [0xc] = FG_STATUS_PERMISSION_DENIED, [0xd] = FG_STATUS_INTERNAL,    [0xe] = FG_STATUS_INTERNAL,
    };

    (void)state;
    for (uint32_t i = 0; i < FG_ARRAY_LEN(expected); i++)
        assert_int_equal(fg_status_from_h2_error(i), expected[i]);
    assert_int_equal(fg_status_from_h2_error(UINT32_MAX), FG_STATUS_INTERNAL);
}

static void names_and_numbers_go_together(void **state)
{
    (void)state;
    assert_string_equal(fg_status_name(FG_STATUS_OK), "OK");
    assert_string_equal(fg_status_name(FG_STATUS_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(fg_status_name((enum fg_status)17), "UNKNOWN");
    assert_string_equal(fg_status_name((enum fg_status) - 1), "UNKNOWN");
    for (unsigned i = 0; i < FG_STATUS_LEN; i++) {
        enum fg_status parsed;
        assert_true(fg_status_parse(fg_status_number((enum fg_status)i), &parsed));
        assert_int_equal(parsed, i);
    }
    assert_true(fg_str_eq(fg_status_number((enum fg_status)17), FG_STR("2")));
}

static void parses_what_peers_send(void **state)
{
    static const struct {
        const char *text;
        bool number;
        enum fg_status status;
    } cases[] = {
        {"0", true, FG_STATUS_OK},
        {"16", true, FG_STATUS_UNAUTHENTICATED},
        {"007", true, FG_STATUS_PERMISSION_DENIED},
        {"17", true, FG_STATUS_UNKNOWN},
        {"100", true, FG_STATUS_UNKNOWN},
        {"4294967296", true, FG_STATUS_UNKNOWN},
        {"18446744073709551616", true, FG_STATUS_UNKNOWN},
        {"99999999999999999999999999999999999999990", true, FG_STATUS_UNKNOWN},
        {"", false, FG_STATUS_UNKNOWN},
        {"-1", false, FG_STATUS_UNKNOWN},
        {"+1", false, FG_STATUS_UNKNOWN},
        {" 1", false, FG_STATUS_UNKNOWN},
        {"1 ", false, FG_STATUS_UNKNOWN},
        {"0x1", false, FG_STATUS_UNKNOWN},
        {"OK", false, FG_STATUS_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        enum fg_status status = FG_STATUS_OK;
        assert_int_equal(fg_status_parse(fg_str_from(cases[i].text), &status), cases[i].number);
        assert_int_equal(status, cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(translates_to_http),       cmocka_unit_test(translates_from_http),
        cmocka_unit_test(translates_from_h2_error), cmocka_unit_test(names_and_numbers_go_together),
        cmocka_unit_test(parses_what_peers_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
