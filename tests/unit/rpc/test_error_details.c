#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc/error_details.h"

static void they_are_all_there(void **state)
{
    (void)state;
    static const char *const names[] = {"google.rpc.RetryInfo",    "google.rpc.DebugInfo",
                                        "google.rpc.QuotaFailure", "google.rpc.ErrorInfo",
                                        "google.rpc.BadRequest",   "google.rpc.RequestInfo",
                                        "google.rpc.ResourceInfo", "google.rpc.PreconditionFailure",
                                        "google.rpc.Help",         "google.rpc.LocalizedMessage"};

    for (size_t i = 0; i < FG_ARRAY_LEN(names); i++)
        assert_non_null(fg_descriptors_message(fg_error_details(), fg_str_from(names[i])));
    assert_null(fg_descriptors_message(fg_error_details(), FG_STR("google.rpc.Status")));
    const struct fg_message *info = fg_descriptors_message(fg_error_details(), FG_STR("google.rpc.ErrorInfo"));
    const struct fg_message *retry = fg_descriptors_message(fg_error_details(), FG_STR("google.rpc.RetryInfo"));
    assert_true(fg_message_field_named(info, FG_STR("metadata"))->map);
    assert_int_equal(fg_message_field_named(retry, FG_STR("retryDelay"))->message->well_known, FG_DURATION);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
