#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "faults.h"

static void a_kind_without_value_has_its_default(void **state)
{
    struct fault fault;
    (void)state;

    assert_int_equal(fault_parse("trailer_error", &fault), 0);
    assert_int_equal(fault.kind, FAULT_TRAILER_ERROR);
    assert_int_equal(fault.value, 14);
    assert_int_equal(fault_parse("trailer_error=0", &fault), 0);
    assert_int_equal(fault.value, 14);
    assert_int_equal(fault_parse("hang", &fault), 0);
    assert_int_equal(fault.kind, FAULT_HANG);
}

static void a_value_is_taken(void **state)
{
    struct fault fault;
    (void)state;

    assert_int_equal(fault_parse("reset=8", &fault), 0);
    assert_int_equal(fault.kind, FAULT_RESET);
    assert_int_equal(fault.value, 8);
    assert_int_equal(fault_make("slow", 250, &fault), 0);
    assert_int_equal(fault.value, 250);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
    static const char *const nonsense[] = {
        "",
        "=",
        "trailer",
        "trailer_error=",
        "trailer_error=x",
        "trailer_error=17",
        "trailer_error=-1",
        "reset=14",
        "hang=1",
        "slow=4294967297",
        "slow=1 ",
        "a_name_that_is_longer_than_any_kind_of_fault=1",
    };
    struct fault fault = {FAULT_DROP, 3};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(nonsense); i++)
        if (fault_parse(nonsense[i], &fault) == 0)
            fail_msg("\"%s\" was taken", nonsense[i]);
    assert_int_equal(fault.kind, FAULT_DROP);
    assert_int_equal(fault.value, 3);
}

static void every_kind_is_found_by_its_name(void **state)
{
    struct fault fault;
    (void)state;

    for (int kind = 0; kind < FAULT_LEN; kind++) {
        assert_int_equal(fault_make(fault_name((enum fault_kind)kind), 0, &fault), 0);
        assert_int_equal(fault.kind, kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_without_value_has_its_default),
        cmocka_unit_test(a_value_is_taken),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
        cmocka_unit_test(every_kind_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
