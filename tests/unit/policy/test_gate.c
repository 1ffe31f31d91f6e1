#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/time.h"
#include "policy/gate.h"

#define WORKERS 3

struct world {
    struct fg_gate *gate;
    struct fg_config_limits limits;
    unsigned wakes[WORKERS]; /* under way */
    unsigned last_from;
};

static void on_wake(void *context, unsigned to, unsigned from)
{
    struct world *world = context;
    world->wakes[to]++;
    world->last_from = from;
}

static void begin(struct world *world, uint32_t streams, uint32_t long_streams, uint32_t pending)
{
    *world = (struct world){.limits = {.streams = streams, .long_streams = long_streams, .pending = pending}};
    world->gate = fg_gate_new(WORKERS, on_wake, world);
}

static struct fg_gate_info info_of(struct world *world)
{
    struct fg_gate_info info;
    fg_gate_describe(world->gate, &world->limits, &info);
    return info;
}

/* Everything has ended and nothing is left. */
static void end(struct world *world)
{
    struct fg_gate_info info = info_of(world);

    for (unsigned i = 0; i < FG_GATE_ROOMS; i++) {
        assert_int_equal(info.in_progress[i], 0);
        assert_int_equal(info.granted[i], 0);
    }
    for (unsigned i = 0; i < FG_GATE_LANES; i++)
        for (unsigned priority = 0; priority < FG_GATE_PRIORITIES; priority++)
            assert_int_equal(info.waiting[i][priority], 0);
    assert_int_equal(info.pending, 0);
    assert_int_equal(info.retries, 0);
    fg_gate_free(world->gate);
}

static bool enter(struct world *world, unsigned priority)
{
    return fg_gate_try_enter(world->gate, &world->limits, FG_GATE_ACTIVE, priority);
}

static void leave(struct world *world, unsigned worker)
{
    fg_gate_leave(world->gate, &world->limits, worker, FG_GATE_ACTIVE);
}

static enum fg_gate_queued queue(struct world *world, unsigned worker, unsigned priority)
{
    return fg_gate_queue_enter(world->gate, &world->limits, worker, FG_GATE_ACTIVE, priority);
}

static bool next(struct world *world, unsigned worker, int priority)
{
    return fg_gate_next(world->gate, &world->limits, worker, FG_GATE_ACTIVE, priority);
}

/* The one worker that has been woken since; it looks. */
static unsigned woken(struct world *world)
{
    unsigned found = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        if (world->wakes[i] == 0)
            continue;
        assert_int_equal(world->wakes[i], 1);
        assert_int_equal(found, WORKERS);
        found = i;
        world->wakes[i] = 0;
        fg_gate_woken(world->gate, i);
    }
    return found;
}

static void as_many_enter_as_the_limit_allows(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 3, 0, 10);
    for (unsigned i = 0; i < 3; i++)
        assert_true(enter(&world, 0));
    assert_false(enter(&world, 2));
    leave(&world, 0);
    assert_true(enter(&world, 9));
    assert_int_equal(info_of(&world).limit[FG_GATE_ACTIVE], 3);
    world.limits.streams = 0; /* no limit */
    for (unsigned i = 0; i < 1000; i++)
        assert_true(enter(&world, 0));
    world.limits.streams = 3; /* a lower limit ends nobody */
    assert_false(enter(&world, 0));
    assert_int_equal(info_of(&world).in_progress[FG_GATE_ACTIVE], 1003);
    for (unsigned i = 0; i < 1003; i++)
        leave(&world, i % WORKERS);
    assert_int_equal(woken(&world), WORKERS);
    end(&world);
    fg_gate_free(NULL);
}

static void the_lower_of_fixed_and_adaptive_limit_counts(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 3, 0, 10);
    world.limits.adaptive = (struct fg_config_adaptive){.enabled = true, .initial = 2, .minimum = 1, .maximum = 100};
    assert_true(enter(&world, 0));
    assert_true(enter(&world, 0));
    assert_false(enter(&world, 0));
    world.limits.adaptive.initial = 50;
    assert_true(enter(&world, 0));
    assert_false(enter(&world, 0));
    for (unsigned i = 0; i < 3; i++)
        leave(&world, 0);
    end(&world);
}

static void newcomers_overtake_only_lower_priorities(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 1, 0, 10);
    assert_true(enter(&world, 0));
    assert_int_equal(queue(&world, 1, 1), FG_GATE_QUEUED);
    world.limits.streams = 2;
    assert_false(enter(&world, 0)); /* there is room, but not for them */
    assert_false(enter(&world, 1));
    assert_true(enter(&world, 2));
    leave(&world, 0);
    assert_int_equal(woken(&world), 1);
    assert_int_equal(world.last_from, 0);
    assert_false(enter(&world, 2)); /* the room is kept for the one that was woken */
    assert_true(next(&world, 1, 1));
    assert_false(next(&world, 1, FG_GATE_NOBODY));
    leave(&world, 1);
    leave(&world, 1);
    end(&world);
}

static void the_highest_priority_that_waits_anywhere_is_next(void **state)
{
    static const struct {
        unsigned worker, priority;
    } waiting[] = {{0, 0}, {1, 1}, {2, 1}, {0, 1}, {2, 2}}, order[] = {{2, 2}, {0, 1}, {1, 1}, {2, 1}, {0, 0}};
    struct world world;

    (void)state;
    begin(&world, 1, 0, 10);
    assert_true(enter(&world, 0));
    for (unsigned i = 0; i < FG_ARRAY_LEN(waiting); i++)
        assert_int_equal(queue(&world, waiting[i].worker, waiting[i].priority), FG_GATE_QUEUED);
    for (unsigned i = 0; i < FG_ARRAY_LEN(order); i++) {
        leave(&world, 1);
        assert_int_equal(woken(&world), order[i].worker);
        assert_true(next(&world, order[i].worker, (int)order[i].priority));
        assert_false(next(&world, order[i].worker, FG_GATE_NOBODY));
    }
    leave(&world, 1);
    end(&world);
}

static void workers_with_waiting_calls_take_turns(void **state)
{
    struct world world;
    unsigned served[WORKERS] = {0};

    (void)state;
    begin(&world, 1, 0, 1000);
    assert_true(enter(&world, 0));
    for (unsigned i = 0; i < 90; i++) {
        assert_int_equal(queue(&world, 0, 1), FG_GATE_QUEUED);
        assert_int_equal(queue(&world, 2, 1), FG_GATE_QUEUED);
    }
    for (unsigned i = 0; i < 180; i++) {
        leave(&world, 0); /* the worker that frees the room has no advantage */
        unsigned worker = woken(&world);
        assert_true(next(&world, worker, 1));
        assert_false(next(&world, worker, 1));
        served[worker]++;
        assert_in_range(served[0] + 1, served[2], served[2] + 2);
    }
    leave(&world, 0);
    end(&world);
}

static void only_one_wake_is_under_way_to_a_worker(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 4, 0, 10);
    for (unsigned i = 0; i < 4; i++)
        assert_true(enter(&world, 0));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(queue(&world, 1, 0), FG_GATE_QUEUED);
    for (unsigned i = 0; i < 3; i++)
        leave(&world, 0);
    assert_int_equal(world.wakes[1], 1);
    assert_int_equal(woken(&world), 1);
    assert_true(next(&world, 1, 0));
    leave(&world, 0); /* comes after the worker has begun to look: told again */
    assert_int_equal(world.wakes[1], 1);
    for (unsigned i = 0; i < 3; i++)
        assert_true(next(&world, 1, 0));
    assert_false(next(&world, 1, FG_GATE_NOBODY));
    assert_int_equal(woken(&world), 1); /* for nothing, which does no harm */
    assert_false(next(&world, 1, FG_GATE_NOBODY));
    for (unsigned i = 0; i < 4; i++)
        leave(&world, 0);
    end(&world);
}

static void a_grant_goes_on_to_a_higher_priority_that_came_later(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 1, 0, 10);
    assert_true(enter(&world, 0));
    assert_int_equal(queue(&world, 0, 0), FG_GATE_QUEUED);
    leave(&world, 0);
    assert_false(enter(&world, 2));
    assert_int_equal(queue(&world, 1, 2), FG_GATE_QUEUED); /* the room is granted to worker 0 */
    assert_int_equal(woken(&world), 0);
    assert_false(next(&world, 0, 0));
    assert_int_equal(woken(&world), 1);
    assert_true(next(&world, 1, 2));
    leave(&world, 1);
    assert_int_equal(woken(&world), 0);
    assert_true(next(&world, 0, 0));
    leave(&world, 0);
    end(&world);
}

static void what_a_cancelled_call_was_granted_goes_on(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 1, 0, 10);
    assert_true(enter(&world, 0));
    assert_int_equal(queue(&world, 0, 1), FG_GATE_QUEUED);
    assert_int_equal(queue(&world, 2, 1), FG_GATE_QUEUED);
    leave(&world, 1);
    fg_gate_queue_leave(world.gate, 0, FG_GATE_ACTIVE, 1);
    assert_int_equal(woken(&world), 0);
    assert_false(next(&world, 0, FG_GATE_NOBODY));
    assert_int_equal(woken(&world), 2);
    fg_gate_queue_leave(world.gate, 2, FG_GATE_ACTIVE, 1); /* this one, too */
    assert_false(next(&world, 2, FG_GATE_NOBODY));
    assert_true(enter(&world, 0));
    leave(&world, 0);
    end(&world);
}

static void limits_may_change_while_calls_wait(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 2, 0, 10);
    assert_true(enter(&world, 0));
    assert_true(enter(&world, 0));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(queue(&world, i, 1), FG_GATE_QUEUED);
    leave(&world, 0);
    world.limits.streams = 1; /* the grant is void */
    assert_int_equal(woken(&world), 0);
    assert_false(next(&world, 0, 1));
    assert_int_equal(info_of(&world).granted[FG_GATE_ACTIVE], 0);
    assert_int_equal(woken(&world), WORKERS);
    world.limits.streams = 4;
    fg_gate_limits_changed(world.gate, &world.limits, FG_GATE_OUTSIDE);
    assert_int_equal(info_of(&world).granted[FG_GATE_ACTIVE], 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world.wakes[i], 1);
        assert_true(next(&world, i, 1));
    }
    assert_false(enter(&world, 2));
    for (unsigned i = 0; i < 4; i++)
        leave(&world, 0);
    end(&world);
}

static void pending_calls_are_bounded_over_all_workers_and_lanes(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 1, 1, 3);
    assert_true(enter(&world, 0));
    assert_true(fg_gate_try_enter(world.gate, &world.limits, FG_GATE_LONG, 0));
    assert_int_equal(queue(&world, 0, 1), FG_GATE_QUEUED);
    assert_int_equal(fg_gate_queue_enter(world.gate, &world.limits, 1, FG_GATE_LONG, 1), FG_GATE_QUEUED);
    assert_int_equal(fg_gate_queue_enter(world.gate, &world.limits, 2, FG_GATE_SLOT, 1), FG_GATE_QUEUED);
    assert_int_equal(queue(&world, 0, 1), FG_GATE_FULL);
    assert_int_equal(queue(&world, 0, 0), FG_GATE_FULL);
    assert_int_equal(fg_gate_waiting_of(world.gate, 2, FG_GATE_SLOT, 1), 1);
    fg_gate_queue_leave(world.gate, 2, FG_GATE_SLOT, 1);
    assert_int_equal(queue(&world, 0, 0), FG_GATE_QUEUED);
    fg_gate_queue_leave(world.gate, 0, FG_GATE_ACTIVE, 0);
    fg_gate_queue_leave(world.gate, 0, FG_GATE_ACTIVE, 1);
    fg_gate_queue_leave(world.gate, 1, FG_GATE_LONG, 1);
    leave(&world, 0);
    fg_gate_leave(world.gate, &world.limits, 0, FG_GATE_LONG);
    assert_int_equal(woken(&world), WORKERS);
    end(&world);
}

static void a_full_queue_gives_up_the_lowest_priority(void **state)
{
    struct world world;
    enum fg_gate_lane lane;
    unsigned priority;

    (void)state;
    begin(&world, 1, 0, 4);
    assert_true(enter(&world, 0));
    assert_int_equal(queue(&world, 0, 1), FG_GATE_QUEUED);
    assert_int_equal(queue(&world, 1, 0), FG_GATE_QUEUED);
    assert_int_equal(queue(&world, 2, 0), FG_GATE_QUEUED);
    assert_int_equal(queue(&world, 2, 0), FG_GATE_QUEUED);

    assert_int_equal(queue(&world, 0, 2), FG_GATE_DISPLACED); /* the lowest, of the worker that has most of it */
    assert_int_equal(woken(&world), 2);
    assert_true(fg_gate_evicted(world.gate, 2, &lane, &priority));
    assert_int_equal(lane, FG_GATE_ACTIVE);
    assert_int_equal(priority, 0);
    assert_false(fg_gate_evicted(world.gate, 2, &lane, &priority));

    assert_int_equal(queue(&world, 1, 1), FG_GATE_DISPLACED); /* the own worker's first */
    assert_int_equal(woken(&world), 1);
    fg_gate_queue_leave(world.gate, 1, FG_GATE_ACTIVE, 0); /* it was cancelled: nobody has to be refused any more */
    assert_false(fg_gate_evicted(world.gate, 1, &lane, &priority));

    assert_int_equal(queue(&world, 1, 0), FG_GATE_FULL); /* none is strictly lower */
    assert_int_equal(info_of(&world).pending, 4);
    assert_int_equal(info_of(&world).displaced, 2);
    assert_int_equal(info_of(&world).waiting[FG_GATE_ACTIVE][0], 1);
    assert_int_equal(info_of(&world).waiting[FG_GATE_ACTIVE][1], 2);
    fg_gate_queue_leave(world.gate, 0, FG_GATE_ACTIVE, 1);
    fg_gate_queue_leave(world.gate, 0, FG_GATE_ACTIVE, 2);
    fg_gate_queue_leave(world.gate, 1, FG_GATE_ACTIVE, 1);
    fg_gate_queue_leave(world.gate, 2, FG_GATE_ACTIVE, 0);
    leave(&world, 0);
    end(&world);
}

static void a_long_attempt_changes_lanes_while_there_is_room(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 2, 1, 10);
    assert_int_equal(fg_gate_lane_of(&world.limits, true), FG_GATE_LONG);
    assert_int_equal(fg_gate_lane_of(&world.limits, false), FG_GATE_ACTIVE);
    assert_true(enter(&world, 0));
    assert_true(enter(&world, 0));
    assert_int_equal(queue(&world, 1, 0), FG_GATE_QUEUED);
    assert_int_equal(fg_gate_promote(world.gate, &world.limits, 0), FG_GATE_LONG);
    assert_int_equal(woken(&world), 1); /* the room that it had */
    assert_true(next(&world, 1, 0));
    assert_false(fg_gate_try_enter(world.gate, &world.limits, FG_GATE_LONG, 2));
    assert_int_equal(fg_gate_queue_enter(world.gate, &world.limits, 2, FG_GATE_LONG, 2), FG_GATE_QUEUED);
    assert_int_equal(fg_gate_promote(world.gate, &world.limits, 0), FG_GATE_ACTIVE); /* full: it stays */
    assert_false(enter(&world, 2));
    fg_gate_leave(world.gate, &world.limits, 0, FG_GATE_LONG);
    assert_int_equal(woken(&world), 2);
    assert_true(fg_gate_next(world.gate, &world.limits, 2, FG_GATE_LONG, 2));
    fg_gate_leave(world.gate, &world.limits, 2, FG_GATE_LONG);
    leave(&world, 0);
    leave(&world, 0);

    world.limits.long_streams = 0; /* no lane of their own */
    assert_int_equal(fg_gate_lane_of(&world.limits, true), FG_GATE_ACTIVE);
    assert_true(enter(&world, 0));
    assert_int_equal(fg_gate_promote(world.gate, &world.limits, 0), FG_GATE_ACTIVE);
    leave(&world, 0);
    end(&world);
}

static void retries_keep_to_limit_and_budget(void **state)
{
    struct fg_config_retry_budget budget = {.share = 0.29, .minimum = 3};
    struct world world;
    unsigned got = 0;

    (void)state;
    begin(&world, 0, 10, 10);
    while (fg_gate_retry_enter(world.gate, &world.limits, &budget))
        got++;
    assert_int_equal(got, 3); /* the minimum, with nothing in progress */
    for (unsigned i = 0; i < 90; i++)
        assert_true(enter(&world, 0));
    for (unsigned i = 0; i < 10; i++)
        assert_true(fg_gate_try_enter(world.gate, &world.limits, FG_GATE_LONG, 0));
    while (fg_gate_retry_enter(world.gate, &world.limits, &budget))
        got++;
    assert_int_equal(got, 29);
    world.limits.retries = 20;
    fg_gate_retry_leave(world.gate);
    assert_false(fg_gate_retry_enter(world.gate, &world.limits, &budget));
    world.limits.retries = 29;
    assert_true(fg_gate_retry_enter(world.gate, &world.limits, &budget));
    assert_false(fg_gate_retry_enter(world.gate, &world.limits, &budget));
    for (unsigned i = 0; i < 29; i++)
        fg_gate_retry_leave(world.gate);
    budget = (struct fg_config_retry_budget){0};
    assert_false(fg_gate_retry_enter(world.gate, &world.limits, &budget));
    for (unsigned i = 0; i < 90; i++)
        leave(&world, 0);
    for (unsigned i = 0; i < 10; i++)
        fg_gate_leave(world.gate, &world.limits, 0, FG_GATE_LONG);
    end(&world);
}

/* When the adaptive limit rises, those that wait hear of it although nobody leaves. */
static void a_rising_adaptive_limit_lets_waiting_calls_in(void **state)
{
    struct world world;
    uint64_t now_ns = FG_S;

    (void)state;
    begin(&world, 0, 0, 10);
    world.limits.adaptive = (struct fg_config_adaptive){.enabled = true,
                                                        .initial = 1,
                                                        .minimum = 1,
                                                        .maximum = 100,
                                                        .tolerance = 1.5,
                                                        .window_ns = FG_S,
                                                        .samples = 10};
    assert_true(enter(&world, 0));
    assert_false(enter(&world, 0));
    assert_int_equal(queue(&world, 1, 0), FG_GATE_QUEUED);
    for (unsigned i = 0; i < 100 && world.wakes[1] == 0; i++)
        fg_gate_sample(world.gate, &world.limits, 0, 10 * FG_MS, false, now_ns += 100 * FG_MS);
    assert_int_equal(woken(&world), 1);
    assert_true(next(&world, 1, 0));
    assert_true(info_of(&world).adaptive.limit >= 2);
    leave(&world, 0);
    leave(&world, 0);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_enter_as_the_limit_allows),
        cmocka_unit_test(the_lower_of_fixed_and_adaptive_limit_counts),
        cmocka_unit_test(newcomers_overtake_only_lower_priorities),
        cmocka_unit_test(the_highest_priority_that_waits_anywhere_is_next),
        cmocka_unit_test(workers_with_waiting_calls_take_turns),
        cmocka_unit_test(only_one_wake_is_under_way_to_a_worker),
        cmocka_unit_test(a_grant_goes_on_to_a_higher_priority_that_came_later),
        cmocka_unit_test(what_a_cancelled_call_was_granted_goes_on),
        cmocka_unit_test(limits_may_change_while_calls_wait),
        cmocka_unit_test(pending_calls_are_bounded_over_all_workers_and_lanes),
        cmocka_unit_test(a_full_queue_gives_up_the_lowest_priority),
        cmocka_unit_test(a_long_attempt_changes_lanes_while_there_is_room),
        cmocka_unit_test(retries_keep_to_limit_and_budget),
        cmocka_unit_test(a_rising_adaptive_limit_lets_waiting_calls_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
