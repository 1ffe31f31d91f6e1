#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/learned.h"

#define BEGIN_NS (1000 * FG_S)

static struct fg_learned *get(struct fg_learned_table *table, const char *method)
{
    return fg_learned_get(table, FG_STR("orders"), fg_str_from(method));
}

/* N calls in so many seconds, of which every tenth takes QUICK_NS and the others ten times as long. */
static uint64_t report(struct fg_learned *learned, unsigned n, uint64_t seconds, uint64_t quick_ns, uint64_t now_ns)
{
    for (unsigned i = 0; i < n; i++) {
        now_ns += seconds * FG_S / n;
        fg_learned_report(learned, i % 10 == 0 ? quick_ns : 10 * quick_ns, true, now_ns);
    }
    return now_ns;
}

static void assert_about(uint64_t ns, uint64_t expected_ns)
{
    if (ns > expected_ns || ns < expected_ns * 88 / 100)
        fail_msg("%llu ns, expected %llu or up to 12 %% less", (unsigned long long)ns, (unsigned long long)expected_ns);
}

static void of_nothing_nothing_is_known(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);

    (void)state;
    assert_null(fg_learned_find(table, FG_STR("orders"), FG_STR("/a")));
    fg_learned_report(NULL, 1, true, BEGIN_NS);
    fg_learned_report_long(NULL);
    assert_int_equal(fg_learned_quick_ns(NULL, BEGIN_NS), 0);
    assert_false(fg_learned_usually_long(NULL));
    assert_false(fg_learned_is_doomed(NULL, 0, BEGIN_NS));
    assert_int_equal(fg_learned_quick_ns(get(table, "/a"), BEGIN_NS), 0);
    assert_false(fg_learned_usually_long(get(table, "/a")));
    fg_learned_table_free(table);
    fg_learned_table_free(NULL);
}

static void methods_have_their_own_knowledge(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *a = get(table, "/a");
    char name[] = "/a";

    (void)state;
    assert_ptr_equal(fg_learned_find(table, FG_STR("orders"), fg_str_from(name)), a);
    name[1] = 'b';
    assert_ptr_not_equal(get(table, name), a);
    assert_ptr_not_equal(fg_learned_get(table, FG_STR("users"), FG_STR("/a")), a);
    assert_ptr_equal(get(table, "/a"), a);
    fg_learned_table_free(table);
}

static void the_table_is_bounded(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(8);
    char name[FG_LEARNED_METHOD_MAX + 2];
    unsigned known = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/m%u", i);
        known += get(table, name) != NULL;
    }
    assert_int_equal(known, 8);
    assert_non_null(get(table, "/m0"));
    fg_learned_table_free(table);

    table = fg_learned_table_new(8);
    memset(name, 'x', sizeof name);
    assert_null(fg_learned_get(table, FG_STR("orders"), (struct fg_str){name, FG_LEARNED_METHOD_MAX + 1}));
    assert_null(fg_learned_find(table, FG_STR("orders"), (struct fg_str){name, FG_LEARNED_METHOD_MAX + 1}));
    assert_non_null(fg_learned_get(table, FG_STR("orders"), (struct fg_str){name, FG_LEARNED_METHOD_MAX}));
    assert_null(get(table, ""));
    fg_learned_table_free(table);
}

static void a_hundred_calls_tell_the_tenth_percentile(void **state)
{
    static const uint64_t quick[] = {20 * FG_US, 333 * FG_US, FG_MS, 7 * FG_MS, 123 * FG_MS, 9 * FG_S, 600 * FG_S};
    struct fg_learned_table *table = fg_learned_table_new(100);
    char name[16];

    (void)state;
    for (unsigned i = 0; i < sizeof quick / sizeof quick[0]; i++) {
        snprintf(name, sizeof name, "/m%u", i);
        struct fg_learned *learned = get(table, name);
        uint64_t now_ns = report(learned, 80, 30, quick[i], BEGIN_NS);
        assert_int_equal(fg_learned_quick_ns(learned, now_ns), 0);
        now_ns = report(learned, 80, 30, quick[i], now_ns);
        assert_about(fg_learned_quick_ns(learned, now_ns), quick[i]);
        assert_true(fg_learned_is_doomed(learned, quick[i] / 2, now_ns));
        assert_false(fg_learned_is_doomed(learned, quick[i], now_ns));
    }
    fg_learned_table_free(table);
}

static void extremes_are_counted_at_the_ends(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *a = get(table, "/a"), *b = get(table, "/b");

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        fg_learned_report(a, 0, true, BEGIN_NS + i * FG_S / 10);
        fg_learned_report(b, UINT64_MAX, true, BEGIN_NS + i * FG_S / 10);
    }
    assert_true(fg_learned_quick_ns(a, BEGIN_NS + 30 * FG_S) <= 10 * FG_US);
    assert_true(fg_learned_quick_ns(b, BEGIN_NS + 30 * FG_S) > 3600 * FG_S);
    fg_learned_table_free(table);
}

static void what_is_older_than_two_minutes_does_not_count(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *learned = get(table, "/a");
    uint64_t now_ns = report(learned, 6000, 60, FG_MS, BEGIN_NS);

    (void)state;
    assert_about(fg_learned_quick_ns(learned, now_ns), FG_MS);
    now_ns = report(learned, 1200, 125, 50 * FG_MS, now_ns); /* a slower release */
    assert_about(fg_learned_quick_ns(learned, now_ns), 50 * FG_MS);
    fg_learned_table_free(table);
}

/* All calls are refused as doomed: after a minute they are tried again, and what they teach counts alone. */
static void without_reports_it_is_forgotten(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *learned = get(table, "/a");
    uint64_t now_ns = report(learned, 6000, 60, 100 * FG_MS, BEGIN_NS);

    (void)state;
    assert_true(fg_learned_is_doomed(learned, 20 * FG_MS, now_ns + 50 * FG_S));
    now_ns += 61 * FG_S;
    assert_false(fg_learned_is_doomed(learned, 20 * FG_MS, now_ns));
    for (unsigned i = 0; i < 50; i++) { /* too few to know again */
        now_ns += FG_S;
        fg_learned_report(learned, 10 * FG_MS, true, now_ns);
        assert_false(fg_learned_is_doomed(learned, 20 * FG_MS, now_ns));
    }
    now_ns = report(learned, 200, 20, 10 * FG_MS, now_ns);
    assert_about(fg_learned_quick_ns(learned, now_ns), 10 * FG_MS);
    fg_learned_table_free(table);
}

static void streams_say_nothing_about_how_quick_a_method_is(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *learned = get(table, "/a");

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        fg_learned_report(learned, FG_S, false, BEGIN_NS + i * FG_S / 10);
    assert_int_equal(fg_learned_quick_ns(learned, BEGIN_NS + 100 * FG_S), 0);
    fg_learned_table_free(table);
}

static void a_method_is_long_when_most_of_its_calls_are(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned *learned = get(table, "/watch");
    uint64_t now_ns = BEGIN_NS;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        fg_learned_report_long(learned);
    assert_false(fg_learned_usually_long(learned)); /* three calls are not enough */
    fg_learned_report_long(learned);
    assert_true(fg_learned_usually_long(learned));
    for (unsigned i = 0; i < 4; i++)
        fg_learned_report(learned, FG_MS, true, now_ns++);
    assert_false(fg_learned_usually_long(learned)); /* half of them are not most */
    for (unsigned i = 0; i < 100000; i++)
        fg_learned_report_long(learned);
    assert_true(fg_learned_usually_long(learned));
    now_ns = report(learned, 130, 20, FG_MS, now_ns); /* it is the last ones that count */
    assert_false(fg_learned_usually_long(learned));
    now_ns = report(learned, 200, 20, FG_MS, now_ns);
    assert_about(fg_learned_quick_ns(learned, now_ns), FG_MS);
    for (unsigned i = 0; i < 200; i++)
        fg_learned_report_long(learned);
    assert_int_equal(fg_learned_quick_ns(learned, now_ns), 0); /* their deadlines mean something else */
    fg_learned_table_free(table);
}

static void visit(void *context, const struct fg_learned_info *info)
{
    struct fg_learned_info *found = context;
    if (fg_str_eq(info->method, FG_STR("/b")))
        *found = *info;
}

static void what_is_known_can_be_listed(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    struct fg_learned_info found = {0};
    uint64_t now_ns = report(get(table, "/b"), 120, 30, FG_MS, BEGIN_NS);

    (void)state;
    assert_non_null(get(table, "/a"));
    fg_learned_report_long(get(table, "/b"));
    fg_learned_each(table, now_ns, visit, &found);
    assert_true(fg_str_eq(found.cluster, FG_STR("orders")));
    assert_about(found.quick_ns, FG_MS);
    assert_in_range(found.samples, 100, 120);
    assert_in_range(found.calls, 64, 128);
    assert_int_equal(found.long_calls, 1);
    fg_learned_table_free(table);
}

/* ---- all workers at once ---- */

#define THREADS 4

static void *learn(void *context)
{
    struct fg_learned_table *table = context;
    char name[16];

    for (unsigned i = 0; i < 40000; i++) {
        uint64_t now_ns = BEGIN_NS + i * 10 * FG_MS;
        snprintf(name, sizeof name, "/m%u", i % 20);
        struct fg_learned *learned = get(table, name);
        fg_learned_report(learned, 5 * FG_MS, true, now_ns);
        if (i % 1000 == 0)
            fg_learned_report_long(learned);
        uint64_t quick_ns = fg_learned_quick_ns(learned, now_ns);
        if (quick_ns > 5 * FG_MS)
            return table;
    }
    return NULL;
}

static void workers_learn_together(void **state)
{
    struct fg_learned_table *table = fg_learned_table_new(10);
    pthread_t threads[THREADS];
    unsigned known = 0;
    char name[16];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, learn, table), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "/m%u", i);
        struct fg_learned *learned = fg_learned_find(table, FG_STR("orders"), fg_str_from(name));
        known += learned != NULL;
        if (learned)
            assert_about(fg_learned_quick_ns(learned, BEGIN_NS + 400 * FG_S), 5 * FG_MS);
    }
    assert_int_equal(known, 10);
    fg_learned_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_nothing_nothing_is_known),
        cmocka_unit_test(methods_have_their_own_knowledge),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(a_hundred_calls_tell_the_tenth_percentile),
        cmocka_unit_test(extremes_are_counted_at_the_ends),
        cmocka_unit_test(what_is_older_than_two_minutes_does_not_count),
        cmocka_unit_test(without_reports_it_is_forgotten),
        cmocka_unit_test(streams_say_nothing_about_how_quick_a_method_is),
        cmocka_unit_test(a_method_is_long_when_most_of_its_calls_are),
        cmocka_unit_test(what_is_known_can_be_listed),
        cmocka_unit_test(workers_learn_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
