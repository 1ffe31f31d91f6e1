#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/replay_order.h"

#define NEVER UINT64_MAX

static void items_come_out_by_time_and_tie(void **state)
{
    struct fg_replay_order order;
    uint64_t marks[2000], seed = 9;
    (void)state;

    fg_replay_order_init(&order, 100000);
    for (size_t i = 0; i < FG_ARRAY_LEN(marks); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        marks[i] = (seed >> 33) % 100 << 32 | (seed >> 40) % 1000;
        assert_true(fg_replay_order_add(&order, marks[i] >> 32, marks[i] & 0xffffffff, &marks[i]));
    }
    uint64_t before = 0, *mark;
    size_t count = 0;
    while ((mark = fg_replay_order_take(&order, NEVER))) {
        assert_true(*mark >= before);
        before = *mark;
        count++;
    }
    assert_int_equal(count, FG_ARRAY_LEN(marks));
    fg_replay_order_cleanup(&order);
}

static void only_what_is_due_comes_out(void **state)
{
    struct fg_replay_order order;
    int early, late;
    (void)state;

    fg_replay_order_init(&order, 10);
    fg_replay_order_add(&order, 20, 0, &late);
    fg_replay_order_add(&order, 10, 1, &early);
    assert_null(fg_replay_order_take(&order, 9));
    assert_ptr_equal(fg_replay_order_take(&order, 10), &early);
    assert_null(fg_replay_order_take(&order, 19));
    assert_ptr_equal(fg_replay_order_take(&order, 20), &late);
    assert_null(fg_replay_order_take(&order, NEVER));
    fg_replay_order_cleanup(&order);
}

static void what_has_passed_is_taken_for_now(void **state)
{
    struct fg_replay_order order;
    int first, second;
    (void)state;

    fg_replay_order_init(&order, 10);
    fg_replay_order_add(&order, 10, 0, &first);
    assert_ptr_equal(fg_replay_order_take(&order, NEVER), &first);
    assert_false(fg_replay_order_add(&order, 9, 0, &second));
    assert_ptr_equal(fg_replay_order_take(&order, NEVER), &second);
    assert_int_equal(order.now_ns, 10);
    assert_true(fg_replay_order_add(&order, 10, 0, &second));
    fg_replay_order_cleanup(&order);
}

static void memory_is_bounded(void **state)
{
    struct fg_replay_order order;
    int what;
    (void)state;

    fg_replay_order_init(&order, 100);
    for (uint64_t i = 0; i < 100000; i++) {
        fg_replay_order_add(&order, 1000 + i, i, &what);
        while (fg_replay_order_take(&order, 0)) {
        }
        assert_true(order.len <= 100);
    }
    assert_true(order.cap <= 1024);
    fg_replay_order_cleanup(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_by_time_and_tie),
        cmocka_unit_test(only_what_is_due_comes_out),
        cmocka_unit_test(what_has_passed_is_taken_for_now),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
