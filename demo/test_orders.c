#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "orders.h"

static const struct order_item noodles = {"beef noodles", 2, 1250};

static struct order *create(struct order_book *book, const char *ref)
{
    return order_book_create(book, 4, &noodles, 1, ref);
}

static int set_up(void **state)
{
    static struct order_book book;
    order_book_init(&book, "north", 16);
    *state = &book;
    return 0;
}

static int tear_down(void **state)
{
    order_book_cleanup(*state);
    return 0;
}

static void an_order_is_found_by_its_id(void **state)
{
    struct order_book *book = *state;
    struct order *order = create(book, "");

    assert_string_equal(order->id, "north-1");
    assert_int_equal(order->total_cents, 2500);
    assert_ptr_equal(order_book_find(book, "north-1"), order);
    assert_null(order_book_find(book, "north-2"));
    assert_null(order_book_find(book, "north-01"));
    assert_null(order_book_find(book, "north-"));
    assert_null(order_book_find(book, "south-1"));
    assert_null(order_book_find(book, ""));
}

static void the_same_ref_is_cooked_once(void **state)
{
    struct order_book *book = *state;
    struct order *order = create(book, "app-7");

    assert_ptr_equal(create(book, "app-7"), order);
    assert_ptr_not_equal(create(book, "app-8"), order);
    assert_ptr_not_equal(create(book, ""), create(book, ""));
    assert_int_equal(book->created, 4);
    assert_int_equal(book->repeated_refs, 1);
}

static void old_orders_and_their_refs_are_forgotten(void **state)
{
    struct order_book *book = *state;
    char ref[16];

    for (int i = 1; i <= 100; i++) {
        snprintf(ref, sizeof ref, "app-%d", i);
        create(book, ref);
    }
    assert_null(order_book_find(book, "north-84"));
    assert_non_null(order_book_find(book, "north-85"));
    for (int i = 85; i <= 100; i++) {
        snprintf(ref, sizeof ref, "app-%d", i);
        assert_int_equal(create(book, ref)->number, i);
    }
    assert_int_equal(create(book, "app-84")->number, 101);
}

static void states_go_forward_only(void **state)
{
    struct order_book *book = *state;
    struct order *order = create(book, "");
    struct order *other = create(book, "");

    assert_true(order_book_set_state(book, order, ORDER_COOKING));
    assert_false(order_book_set_state(book, order, ORDER_CANCELLED));
    assert_true(order_book_set_state(book, order, ORDER_READY));
    assert_false(order_book_set_state(book, order, ORDER_RECEIVED));
    assert_true(order_book_set_state(book, other, ORDER_CANCELLED));
    assert_true(order_book_set_state(book, other, ORDER_CANCELLED));
    assert_int_equal(book->sequence, 5); /* the second cancel was no event */
}

struct seen {
    uint64_t first, last, len, forgotten;
};

static void note(void *context, const struct order_event *event, const struct order *order)
{
    struct seen *seen = context;

    seen->first = seen->first ? seen->first : event->sequence;
    seen->last = event->sequence;
    seen->len++;
    seen->forgotten += order == NULL;
}

static void replay_starts_after_what_was_seen_or_at_the_oldest_kept(void **state)
{
    struct order_book *book = *state;
    struct seen seen = {0}, all = {0}, none = {0};

    for (int i = 0; i < 20; i++)
        create(book, "");
    order_book_replay(book, 17, note, &seen);
    assert_int_equal(seen.first, 18);
    assert_int_equal(seen.last, 20);
    assert_int_equal(seen.len, 3);
    order_book_replay(book, 0, note, &all);
    assert_int_equal(all.first, 5);
    assert_int_equal(all.len, 16);
    assert_int_equal(all.forgotten, 0);
    order_book_replay(book, 20, note, &none);
    assert_int_equal(none.len, 0);
}

static void events_are_told_in_order(void **state)
{
    struct order_book *book = *state;
    struct seen seen = {0};

    book->on_event = note;
    book->context = &seen;
    struct order *order = create(book, "");
    assert_int_equal(seen.last, 1);
    assert_true(order_book_set_state(book, order, ORDER_READY));
    assert_int_equal(seen.last, 2);
}

static void impossible_orders_have_a_problem(void **state)
{
    struct order_item items[ORDER_ITEMS_MAX + 1];
    struct order_item nameless = {"", 1, 1}, nothing = {"soup", 0, 1}, too_many = {"soup", 101, 1};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(items); i++)
        items[i] = noodles;
    assert_null(order_problem(items, ORDER_ITEMS_MAX));
    assert_non_null(order_problem(items, ORDER_ITEMS_MAX + 1));
    assert_non_null(order_problem(items, 0));
    assert_non_null(order_problem(&nameless, 1));
    assert_non_null(order_problem(&nothing, 1));
    assert_non_null(order_problem(&too_many, 1));
}

static void kitchen_names_are_plain(void **state)
{
    (void)state;
    assert_true(kitchen_name_is_valid("north2"));
    assert_false(kitchen_name_is_valid(""));
    assert_false(kitchen_name_is_valid("no-dash"));
    assert_true(kitchen_name_is_valid("aaaaaaaaaaaaaaaaaaaa"));
    assert_false(kitchen_name_is_valid("aaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_is_found_by_its_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_ref_is_cooked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_orders_and_their_refs_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(states_go_forward_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replay_starts_after_what_was_seen_or_at_the_oldest_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_told_in_order, set_up, tear_down),
        cmocka_unit_test(impossible_orders_have_a_problem),
        cmocka_unit_test(kitchen_names_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
