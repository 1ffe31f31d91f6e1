/* The rules one by one. How they play together with a server that queues is simulated in tests/sim/gate_sim.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/adaptive.h"

static const struct fg_config_adaptive config = {
    .enabled = true, .initial = 100, .minimum = 4, .maximum = 1000, .tolerance = 1.5, .window_ns = FG_S, .samples = 50};

struct world {
    struct fg_adaptive adaptive;
    uint64_t now_ns;
};

static void begin(struct world *world)
{
    *world = (struct world){.now_ns = 1000 * FG_S};
}

static uint32_t limit_of(struct world *world)
{
    return fg_adaptive_limit(&world->adaptive, &config);
}

static struct fg_adaptive_info info_of(struct world *world)
{
    struct fg_adaptive_info info;
    fg_adaptive_describe(&world->adaptive, &config, &info);
    return info;
}

/* 100 calls a second for so long; DROPPED of each hundred are. IN_FLIGHT 0: as many as the limit allows. */
static void run(struct world *world, unsigned seconds, uint64_t latency_ns, uint32_t in_flight, unsigned dropped)
{
    for (unsigned i = 0; i < 100 * seconds; i++) {
        world->now_ns += FG_S / 100;
        fg_adaptive_report(&world->adaptive, &config, latency_ns, i % 100 < dropped,
                           in_flight ? in_flight : limit_of(world), world->now_ns);
    }
}

/* Within the root of the tolerance there is no hurry. */
static bool is_near(uint64_t ns, uint64_t expected_ns)
{
    return ns > expected_ns * 8 / 10 && ns < expected_ns * 12 / 10;
}

static void without_it_there_is_no_limit(void **state)
{
    struct fg_config_adaptive off = config;
    struct world world;

    (void)state;
    begin(&world);
    off.enabled = false;
    assert_int_equal(fg_adaptive_limit(&world.adaptive, &off), UINT32_MAX);
    assert_false(fg_adaptive_report(&world.adaptive, &off, FG_MS, true, 1, world.now_ns));
    assert_int_equal(info_of(&world).recent_ns, 0);
}

static void it_starts_where_the_configuration_says(void **state)
{
    struct fg_config_adaptive other = config;
    struct world world;

    (void)state;
    begin(&world);
    assert_int_equal(limit_of(&world), 100);
    other.maximum = 50; /* a new configuration counts at once */
    assert_int_equal(fg_adaptive_limit(&world.adaptive, &other), 50);
    other.minimum = other.maximum = 0;
    assert_int_equal(fg_adaptive_limit(&world.adaptive, &other), 1);
}

static void it_grows_only_while_it_is_in_use(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 20, 10 * FG_MS, 50, 0);
    assert_int_equal(limit_of(&world), 100);
    run(&world, 3, 10 * FG_MS, 51, 0);
    assert_in_range(limit_of(&world), 101, 120);
    run(&world, 60, 10 * FG_MS, 0, 0);
    assert_int_equal(limit_of(&world), 1000); /* and not beyond the maximum */
    assert_true(is_near(info_of(&world).base_ns, 10 * FG_MS));
    assert_int_equal(info_of(&world).probes, 0);
}

static void latency_within_the_tolerance_is_no_queue(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 2, 10 * FG_MS, 60, 0);
    uint32_t before = limit_of(&world);
    run(&world, 1, 14 * FG_MS, 60, 0);
    assert_true(limit_of(&world) >= before);
    before = limit_of(&world);
    run(&world, 2, 40 * FG_MS, 0, 0);
    assert_in_range(limit_of(&world), before * 7 / 10, before - 1); /* a quarter at most in one window */
}

static void a_cut_starts_from_what_was_in_use(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 60, 10 * FG_MS, 0, 0);
    assert_int_equal(limit_of(&world), 1000);
    run(&world, 2, 40 * FG_MS, 20, 0);
    assert_true(limit_of(&world) <= 40);
}

static void it_never_leaves_its_bounds(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 60, 10 * FG_MS, 0, 100); /* nothing but drops */
    assert_int_equal(limit_of(&world), 4);
    run(&world, 1, 0, 0, 0); /* nonsense is no reason to fall over */
    run(&world, 1, UINT64_MAX, 0, 0);
    assert_true(limit_of(&world) >= 4 && limit_of(&world) <= 1000);
}

static void drops_cut_their_share_once_a_window(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 2, 10 * FG_MS, 40, 0);
    run(&world, 2, 10 * FG_MS, 40, 50); /* one window, or two: at most 30 % each, from twice what was in use */
    assert_in_range(limit_of(&world), 39, 56);

    begin(&world);
    run(&world, 60, 10 * FG_MS, 0, 1); /* 1 % that comes whatever the limit is: growth and cuts find a balance */
    assert_true(limit_of(&world) > 500);
    begin(&world);
    run(&world, 60, 10 * FG_MS, 0, 10);
    assert_in_range(limit_of(&world), 50, 150);
}

/* Twice: a slower release, then a faster one. */
static void the_baseline_follows_what_is_there_to_stay(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 20, 10 * FG_MS, 0, 0);
    uint32_t before = limit_of(&world);
    run(&world, 30, 50 * FG_MS, 0, 0); /* whatever the limit is: not our queue */
    assert_true(info_of(&world).probes > 0);
    assert_true(is_near(info_of(&world).base_ns, 50 * FG_MS));
    run(&world, 60, 50 * FG_MS, 0, 0);
    assert_true(limit_of(&world) > before);
    run(&world, 20, 10 * FG_MS, 0, 0);
    assert_in_range(info_of(&world).base_ns, 9 * FG_MS, 14 * FG_MS); /* the rest is slow: it may be chance */
}

/* Latency is in proportion to the limit, as where everything queues: 1 ms for each call in progress above 20 of them.
 */
static void a_queue_of_our_own_does_not_become_the_baseline(void **state)
{
    struct world world;
    uint32_t highest = 0;

    (void)state;
    begin(&world);
    for (unsigned i = 0; i < 100000; i++) { /* a quarter of an hour */
        uint32_t limit = limit_of(&world);
        world.now_ns += FG_S / 100;
        fg_adaptive_report(&world.adaptive, &config, (limit < 20 ? 20 : limit) * FG_MS, false, limit, world.now_ns);
        if (i > 10000 && limit > highest)
            highest = limit;
        if (i > 10000)
            assert_in_range(info_of(&world).base_ns, 18 * FG_MS, 24 * FG_MS);
    }
    assert_true(highest < 45);
    assert_true(info_of(&world).probes > 10);
}

static void a_probe_lowers_the_limit_for_a_moment(void **state)
{
    struct world world;
    uint32_t before = 0, lowest = 1000;
    bool probed = false;

    (void)state;
    begin(&world);
    run(&world, 10, 10 * FG_MS, 0, 0);
    for (unsigned i = 0; i < 100 * 40 && !(probed && !info_of(&world).probing); i++) {
        if (!probed)
            before = limit_of(&world);
        world.now_ns += FG_S / 100;
        fg_adaptive_report(&world.adaptive, &config, 13 * FG_MS, false, limit_of(&world), world.now_ns);
        probed |= info_of(&world).probing;
        if (info_of(&world).probing && limit_of(&world) < lowest)
            lowest = limit_of(&world);
    }
    assert_true(probed && !info_of(&world).probing);
    assert_in_range(lowest, before / 5, before / 3);
    assert_true(limit_of(&world) >= before);
}

/* ---- all workers at once ---- */

#define THREADS 4

static void *report_much(void *context)
{
    struct world *world = context;

    for (unsigned i = 0; i < 50000; i++)
        fg_adaptive_report(&world->adaptive, &config, 10 * FG_MS + i % 7, i % 1000 == 0, limit_of(world),
                           world->now_ns + i * FG_MS);
    return NULL;
}

static void workers_report_at_the_same_time(void **state)
{
    struct world world;
    pthread_t threads[THREADS];

    (void)state;
    begin(&world);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, report_much, &world), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(limit_of(&world) > 100);
    assert_true(is_near(info_of(&world).base_ns, 10 * FG_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_it_there_is_no_limit),
        cmocka_unit_test(it_starts_where_the_configuration_says),
        cmocka_unit_test(it_grows_only_while_it_is_in_use),
        cmocka_unit_test(latency_within_the_tolerance_is_no_queue),
        cmocka_unit_test(a_cut_starts_from_what_was_in_use),
        cmocka_unit_test(it_never_leaves_its_bounds),
        cmocka_unit_test(drops_cut_their_share_once_a_window),
        cmocka_unit_test(the_baseline_follows_what_is_there_to_stay),
        cmocka_unit_test(a_queue_of_our_own_does_not_become_the_baseline),
        cmocka_unit_test(a_probe_lowers_the_limit_for_a_moment),
        cmocka_unit_test(workers_report_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
