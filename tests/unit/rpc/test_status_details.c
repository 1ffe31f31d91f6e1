/* The bytes themselves; that others understand them is checked by status_details_decoded.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/time.h"
#include "rpc/grpc.h"
#include "rpc/status_details.h"

static void assert_encodes(const struct fg_status_details *details, const char *expected, size_t expected_len)
{
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_str bytes;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_str text = fg_status_details_encode(&arena, details);
    assert_int_equal(fg_base64_decode(&arena, text, &bytes), 0);
    assert_int_equal(bytes.len, expected_len);
    if (expected_len > 0)
        assert_memory_equal(bytes.p, expected, expected_len);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void an_ok_without_anything_is_empty(void **state)
{
    (void)state;
    assert_encodes(&(struct fg_status_details){0}, "", 0);
}

static void code_and_message_come_first(void **state)
{
    static const char expected[] = "\x08\x0e\x12\x02hi";

    (void)state;
    assert_encodes(&(struct fg_status_details){.code = FG_STATUS_UNAVAILABLE, .message = FG_STR("hi")}, expected,
                   sizeof expected - 1);
}

static void error_info_and_retry_info_are_any_messages(void **state)
{
    const struct fg_metadata_pair pairs[] = {{FG_STR("k"), FG_STR("v")}, {FG_STR("l"), FG_STR("")}};
    static const char expected[] = "\x08\x0e"
                                   "\x1a\x49"
                                   "\x0a\x28type.googleapis.com/google.rpc.ErrorInfo"
                                   "\x12\x1d"
                                   "\x0a\x04OPEN"
                                   "\x12\x08"
                                   "fusegate"
                                   "\x1a\x06\x0a\x01k\x12\x01v"
                                   "\x1a\x03\x0a\x01l"
                                   "\x1a\x33"
                                   "\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
                                   "\x12\x07\x0a\x05\x08\x01\x10\xac\x02";

    (void)state;
    assert_encodes(&(struct fg_status_details){.code = FG_STATUS_UNAVAILABLE,
                                               .reason = FG_STR("OPEN"),
                                               .pairs = pairs,
                                               .pairs_len = 2,
                                               .retry_after_ns = FG_S + 300},
                   expected, sizeof expected - 1);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    static const char message[] =
        "\xc3\xa9|\xff|\xc3|\xe2\x82|\xc0\x80|\xed\xa0\x80|\xf0\x9f\x8d\x95|\xf4\x90\x80\x80|\xe0\x80\x80";
    static const char expected[] = "\x12\x1e\xc3\xa9|?|?|??|??|???|\xf0\x9f\x8d\x95|????|???";

    (void)state;
    assert_encodes(&(struct fg_status_details){.message = {message, sizeof message - 1}}, expected,
                   sizeof expected - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ok_without_anything_is_empty),
        cmocka_unit_test(code_and_message_come_first),
        cmocka_unit_test(error_info_and_retry_info_are_any_messages),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
