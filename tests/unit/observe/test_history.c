#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "observe/history.h"

struct world {
    struct fg_metrics metrics[2];
    struct fg_stats stats[2];
    struct fg_history *history;
    uint64_t now_ns;
};

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);

    world->now_ns = 5 * FG_S;
    for (int i = 0; i < 2; i++)
        fg_metrics_init(&world->metrics[i]);
    const struct fg_history_source sources[] = {{&world->stats[0], &world->metrics[0]},
                                                {&world->stats[1], &world->metrics[1]}};
    world->history = fg_history_new(sources, 2, world->now_ns);
    return world;
}

static void world_free(struct world *world)
{
    fg_history_free(world->history);
    for (int i = 0; i < 2; i++)
        fg_metrics_cleanup(&world->metrics[i]);
    free(world);
}

static void pass(struct world *world, uint64_t ns)
{
    world->now_ns += ns;
    fg_history_take(world->history, world->now_ns, 1000 * FG_S + world->now_ns);
}

static void call(struct world *world, int worker, const char *method, enum fg_class class, enum fg_source source,
                 uint64_t duration_ns)
{
    struct fg_outcome outcome = {.method = fg_str_from(method),
                                 .cluster = FG_STR("c"),
                                 .endpoint = FG_STR("e"),
                                 .code = class == FG_CLASS_SUCCESS ? FG_STATUS_OK : FG_STATUS_UNAVAILABLE,
                                 .source = source,
                                 .class = class,
                                 .start_ns = FG_S,
                                 .end_ns = FG_S + duration_ns};
    fg_metrics_call(&world->metrics[worker], &outcome);
    FG_COUNT(&world->stats[worker], calls_started);
    FG_COUNT(&world->stats[worker], calls_ended);
}

static void succeed(struct world *world, int worker, const char *method, uint64_t duration_ns)
{
    call(world, worker, method, FG_CLASS_SUCCESS, FG_SOURCE_TRAILERS, duration_ns);
}

static void is_between(double value, double low, double high)
{
    if (value < low || value > high)
        fail_msg("%g is not between %g and %g", value, low, high);
}

static void workers_are_one_series(void **state)
{
    struct world *world = world_new();
    uint64_t counts[FG_HISTORY_COUNTS];
    struct fg_history_durations durations;
    size_t len;
    (void)state;

    for (int i = 0; i < 9; i++)
        succeed(world, i % 2, "/a/A", 10 * FG_MS);
    call(world, 1, "/a/A", FG_CLASS_FAILURE, FG_SOURCE_RST, 10 * FG_MS);
    call(world, 1, "/a/B", FG_CLASS_IGNORED, FG_SOURCE_BREAKER, 0);
    world->stats[0].calls_started += 3;
    pass(world, FG_S);
    const struct fg_history_series **all = fg_history_series(world->history, FG_HISTORY_METHODS, &len);
    assert_int_equal(len, 2);
    assert_string_equal(all[0]->name, "/a/A");
    assert_string_equal(all[0]->cluster, "c");
    assert_int_equal(all[0]->window_calls, 10);
    assert_int_equal(all[0]->window_failures, 1);
    assert_int_equal(all[1]->window_refused, 1);
    assert_int_equal(all[1]->window_failures, 0);
    free(all);
    fg_history_totals(world->history, counts, &durations);
    assert_int_equal(counts[FG_HISTORY_CALLS], 11);
    assert_int_equal(counts[FG_HISTORY_FAILURES], 1);
    assert_int_equal(counts[FG_HISTORY_REFUSED], 1);
    const struct fg_history_sample *sample = fg_history_at(world->history, 0);
    assert_int_equal(sample->gauges[FG_HISTORY_IN_PROGRESS], 3);
    assert_int_equal(sample->wall_ns, 1006 * FG_S);
    assert_true(fg_history_window_s(world->history) == 1);
    world_free(world);
}

static void the_window_moves_on(void **state)
{
    struct world *world = world_new();
    struct fg_history_durations durations;
    uint64_t counts[FG_HISTORY_COUNTS];
    size_t len;
    (void)state;

    for (int second = 1; second <= 25; second++) {
        for (int i = 0; i < second; i++)
            succeed(world, 0, "/a/A", (uint64_t)second * FG_MS);
        pass(world, second % 2 ? FG_S : 3 * FG_S);
        uint64_t wanted = 0;
        for (int k = second; k > 0 && k > second - FG_HISTORY_WINDOW; k--)
            wanted += (uint64_t)k;
        fg_history_totals(world->history, counts, &durations);
        assert_int_equal(counts[FG_HISTORY_CALLS], wanted);
        const struct fg_history_series **all = fg_history_series(world->history, FG_HISTORY_METHODS, &len);
        assert_int_equal(all[0]->window_calls, wanted);
        free(all);
        uint64_t observed = 0;
        for (size_t i = 0; i < FG_ARRAY_LEN(durations.buckets); i++)
            observed += durations.buckets[i];
        assert_int_equal(observed, wanted);
    }
    assert_true(fg_history_window_s(world->history) == 5 * 1 + 5 * 3);
    for (int i = 0; i < FG_HISTORY_WINDOW; i++)
        pass(world, FG_S);
    const struct fg_history_series **all = fg_history_series(world->history, FG_HISTORY_METHODS, &len);
    assert_int_equal(all[0]->window_calls, 0);
    assert_int_equal(all[0]->calls, 25 * 26 / 2);
    fg_history_durations(all[0], &durations);
    assert_true(fg_history_percentile_ms(&durations, 0.5) < 0);
    free(all);
    world_free(world);
}

static void old_samples_leave(void **state)
{
    struct world *world = world_new();
    (void)state;

    assert_int_equal(fg_history_len(world->history), 0);
    for (uint64_t i = 1; i <= 700; i++) {
        world->stats[0].downstream_read_bytes += i;
        pass(world, FG_S);
        assert_int_equal(fg_history_len(world->history), FG_MIN(i, (uint64_t)FG_HISTORY_SAMPLES));
    }
    for (size_t ago = 0; ago < FG_HISTORY_SAMPLES; ago++)
        assert_int_equal(fg_history_at(world->history, ago)->counts[FG_HISTORY_READ_BYTES], 700 - ago);
    world_free(world);
}

static void percentiles_are_of_what_ended(void **state)
{
    struct world *world = world_new();
    struct fg_history_durations durations;
    uint64_t counts[FG_HISTORY_COUNTS];
    (void)state;

    for (int i = 0; i < 98; i++)
        succeed(world, i % 2, "/a/A", 2 * FG_MS - 1);
    succeed(world, 0, "/a/B", 50 * FG_MS - 1);
    succeed(world, 0, "/a/B", 50 * FG_MS - 1);
    pass(world, FG_S);
    is_between(fg_history_at(world->history, 0)->p99_ms, 20, 50);
    fg_history_totals(world->history, counts, &durations);
    is_between(fg_history_percentile_ms(&durations, 0.99), 20, 50);
    is_between(fg_history_percentile_ms(&durations, 0.5), 1, 2.2);
    pass(world, FG_S);
    assert_true(fg_history_at(world->history, 0)->p99_ms < 0);
    world_free(world);
}

static void waits_are_by_cause(void **state)
{
    struct world *world = world_new();
    size_t len;
    (void)state;

    fg_metrics_wait(&world->metrics[0], FG_STR("/a/*"), FG_WAIT_GATE, 20 * FG_MS);
    fg_metrics_wait(&world->metrics[0], FG_STR("/b/*"), FG_WAIT_GATE, 20 * FG_MS);
    fg_metrics_wait(&world->metrics[1], FG_STR("/a/*"), FG_WAIT_SOCKET, FG_S);
    pass(world, FG_S);
    const struct fg_history_series **all = fg_history_series(world->history, FG_HISTORY_WAITS, &len);
    assert_int_equal(len, 2);
    assert_string_equal(all[0]->name, "gate");
    assert_int_equal(all[0]->window_calls, 2);
    assert_int_equal(all[0]->calls, 2);
    assert_string_equal(all[1]->name, "socket");
    assert_int_equal(all[1]->window_calls, 1);
    free(all);
    world_free(world);
}

static void many_methods_are_all_there(void **state)
{
    struct world *world = world_new();
    char name[32];
    size_t len;
    (void)state;

    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "/m/%d", i % 900);
        succeed(world, i % 2, name, FG_MS);
        if (i % 500 == 0)
            pass(world, FG_S);
    }
    pass(world, FG_S);
    const struct fg_history_series **all = fg_history_series(world->history, FG_HISTORY_METHODS, &len);
    uint64_t calls = 0;
    for (size_t i = 0; i < len; i++) {
        calls += all[i]->window_calls;
        assert_true(i == 0 || all[i]->window_calls <= all[i - 1]->window_calls);
    }
    assert_int_equal(len, 900);
    assert_int_equal(calls, 3000);
    free(all);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_one_series), cmocka_unit_test(the_window_moves_on),
        cmocka_unit_test(old_samples_leave),      cmocka_unit_test(percentiles_are_of_what_ended),
        cmocka_unit_test(waits_are_by_cause),     cmocka_unit_test(many_methods_are_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
