#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
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
    const struct fg_history_source sources[] = {{&world->stats[0], &world->metrics[0]},
                                                {&world->stats[1], &world->metrics[1]}};
    world->history = fg_history_new(sources, 2, world->now_ns);
    return world;
}

static void free_cells(struct fg_metric_table *table)
{
    for (struct fg_metric_cell **at = table->cells; *at; at++) {
        for (struct fg_metric_count *count = (*at)->counts, *next; count; count = next) {
            next = count->next;
            free(count);
        }
        for (int code = 0; code < FG_STATUS_LEN; code++)
            free((*at)->statuses[code]);
        free((*at)->cluster);
        free((*at)->name);
        free(*at);
    }
}

static void world_free(struct world *world)
{
    fg_history_free(world->history);
    for (int i = 0; i < 2; i++) {
        free_cells(&world->metrics[i].calls);
        free_cells(&world->metrics[i].waits);
    }
    free(world);
}

static void pass(struct world *world, uint64_t ns)
{
    world->now_ns += ns;
    fg_history_take(world->history, world->now_ns, 1000 * FG_S + world->now_ns);
}

/* As a worker makes it: found, or new and published. */
static struct fg_metric_cell *cell_of(struct fg_metric_table *table, const char *cluster, const char *name)
{
    struct fg_metric_cell **at = table->cells;

    while (*at && (strcmp((*at)->name, name) != 0 || strcmp((*at)->cluster, cluster) != 0))
        at++;
    if (!*at) {
        *at = fg_alloc_zero(sizeof **at);
        (*at)->cluster = fg_strdup(cluster);
        (*at)->name = fg_strdup(name);
    }
    return *at;
}

static void count(struct fg_metric_cell *cell, enum fg_status code, enum fg_source source, enum fg_class class)
{
    struct fg_metric_count *at = cell->counts;

    while (at && (at->code != code || at->source != source || at->class != class))
        at = at->next;
    if (!at) {
        at = fg_alloc_zero(sizeof *at);
        *at = (struct fg_metric_count){
            .next = cell->counts, .code = (uint8_t)code, .source = (uint8_t)source, .class = (uint8_t) class};
        cell->counts = at;
    }
    at->count++;
}

static void call(struct world *world, int worker, const char *method, enum fg_class class, enum fg_source source,
                 uint64_t duration_ns)
{
    struct fg_metric_cell *cell = cell_of(&world->metrics[worker].calls, "c", method);

    enum fg_status code = class == FG_CLASS_SUCCESS ? FG_STATUS_OK : FG_STATUS_UNAVAILABLE;

    count(cell, code, source, class);
    if (!cell->statuses[code])
        cell->statuses[code] = fg_alloc_zero(sizeof *cell->statuses[code]);
    fg_histogram_observe(&cell->statuses[code]->exponential, duration_ns);
}

static void wait_for(struct world *world, int worker, const char *route, enum fg_wait_cause cause, uint64_t waited_ns)
{
    fg_histogram_observe(&cell_of(&world->metrics[worker].waits, route, fg_wait_name(cause))->durations.exponential,
                         waited_ns);
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
    struct fg_histogram_snapshot durations;
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
    struct fg_histogram_snapshot durations;
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
        assert_int_equal(durations.count, wanted);
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
    struct fg_histogram_snapshot durations;
    uint64_t counts[FG_HISTORY_COUNTS];
    (void)state;

    for (int i = 0; i < 98; i++)
        succeed(world, i % 2, "/a/A", 2 * FG_MS - 1);
    succeed(world, 0, "/a/B", 50 * FG_MS - 1);
    succeed(world, 0, "/a/B", 50 * FG_MS - 1);
    pass(world, FG_S);
    is_between(fg_history_at(world->history, 0)->p99_ms, 45, 55);
    fg_history_totals(world->history, counts, &durations);
    is_between(fg_history_percentile_ms(&durations, 0.99), 45, 55);
    is_between(fg_history_percentile_ms(&durations, 0.5), 1.8, 2.2);
    pass(world, FG_S);
    assert_true(fg_history_at(world->history, 0)->p99_ms < 0);
    world_free(world);
}

static void waits_are_by_cause(void **state)
{
    struct world *world = world_new();
    size_t len;
    (void)state;

    wait_for(world, 0, "/a/*", FG_WAIT_GATE, 20 * FG_MS);
    wait_for(world, 0, "/b/*", FG_WAIT_GATE, 20 * FG_MS);
    wait_for(world, 1, "/a/*", FG_WAIT_SOCKET, FG_S);
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
