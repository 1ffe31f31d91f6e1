#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/timer.h"

enum { TIMERS = 100000, RUNS = 600 };

/* splitmix64: a seeded sequence, so that a failure can be repeated. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* The naive model: what each timer should do. */
struct entry {
    struct fg_timer timer;
    struct model *model;
    uint64_t at_ns;     /* 0: not armed */
    unsigned armed_run; /* the run in whose callbacks it was armed; 0: outside */
};

struct model {
    struct fg_timers timers;
    uint64_t random, now_ns;
    unsigned run; /* 0: between runs */
    unsigned runs;
    size_t armed, fired;
    struct entry entries[TIMERS];
};

static uint64_t tick_of(uint64_t at_ns)
{
    return (at_ns + FG_MS - 1) / FG_MS;
}

/* Instants of every distance, the past included. */
static uint64_t random_instant(struct model *m)
{
    static const uint64_t spans_ns[] = {FG_MS, 64 * FG_MS, 5 * FG_S, 300 * FG_S, 86400 * FG_S, 400 * 86400 * FG_S};
    uint64_t r = next_random(&m->random);
    if (r % 16 == 0)
        return m->now_ns - r / 16 % FG_S;
    if (r % 16 == 1) /* many on the same tick */
        return (m->now_ns / FG_S + 1) * FG_S;
    return m->now_ns + next_random(&m->random) % spans_ns[r / 16 % 6];
}

static void arm(struct model *m, struct entry *e, uint64_t at_ns)
{
    m->armed += e->at_ns == 0;
    e->at_ns = at_ns;
    e->armed_run = m->run;
    fg_timer_arm(&m->timers, &e->timer, at_ns);
}

static void cancel(struct model *m, struct entry *e)
{
    m->armed -= e->at_ns != 0;
    e->at_ns = 0;
    fg_timer_cancel(&m->timers, &e->timer);
}

static void do_something(struct model *m, struct entry *e)
{
    if (next_random(&m->random) % 4 == 0)
        cancel(m, e);
    else
        arm(m, e, random_instant(m));
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct entry *e = FG_CONTAINER_OF(timer, struct entry, timer);
    struct model *m = e->model;
    assert_int_equal(now_ns, m->now_ns);
    assert_true(e->at_ns != 0);                 /* armed, and not fired before */
    assert_in_range(e->at_ns, 1, now_ns);       /* never early */
    assert_int_not_equal(e->armed_run, m->run); /* what callbacks arm waits for the next run */
    assert_false(fg_timer_armed(timer));
    m->fired++;
    m->armed--;
    e->at_ns = 0;
    uint64_t r = next_random(&m->random);
    if (r % 4 == 0)
        arm(m, e, random_instant(m));
    if (r % 8 < 2) /* another one, which may be due in this same run */
        do_something(m, &m->entries[r / 8 % TIMERS]);
}

static void check_all(struct model *m)
{
    uint64_t first_ns = FG_NEVER;
    size_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        const struct entry *e = &m->entries[i];
        assert_int_equal(fg_timer_armed(&e->timer), e->at_ns != 0);
        if (e->at_ns == 0)
            continue;
        armed++;
        first_ns = FG_MIN(first_ns, e->at_ns);
        if (tick_of(e->at_ns) <= m->now_ns / FG_MS) /* due and not called: only if it was armed meanwhile */
            assert_int_equal(e->armed_run, m->runs);
    }
    assert_int_equal(armed, m->armed);
    assert_int_equal(m->timers.armed, m->armed);
    uint64_t next_ns = fg_timers_next_ns(&m->timers);
    if (armed == 0)
        assert_true(next_ns == FG_NEVER);
    else
        assert_true(next_ns <= tick_of(first_ns) * FG_MS || next_ns <= m->now_ns);
}

static void random_operations_agree_with_a_naive_model(void **state)
{
    (void)state;
    static const uint64_t steps_ns[] = {0, 300 * FG_US, FG_MS, 20 * FG_MS, FG_S, 100 * FG_S, 86400 * FG_S};
    struct model *m = calloc(1, sizeof(*m));
    m->random = 42;
    m->now_ns = 123456789 * FG_S + 1;
    fg_timers_init(&m->timers, m->now_ns);
    for (size_t i = 0; i < TIMERS; i++) {
        m->entries[i].model = m;
        fg_timer_init(&m->entries[i].timer, on_timer);
        arm(m, &m->entries[i], random_instant(m));
    }
    while (m->runs < RUNS) {
        for (unsigned i = 0; i < 1000; i++)
            do_something(m, &m->entries[next_random(&m->random) % TIMERS]);
        uint64_t r = next_random(&m->random);
        uint64_t step_ns = steps_ns[r % FG_ARRAY_LEN(steps_ns)];
        m->now_ns += step_ns ? next_random(&m->random) % step_ns : 0;
        m->run = ++m->runs;
        fg_timers_run(&m->timers, m->now_ns);
        m->run = 0;
        check_all(m);
    }
    assert_true(m->fired > TIMERS);
    free(m);
}

struct recorder {
    struct fg_timer timer;
    struct fg_timers *timers;
    struct recorder *victim;
    unsigned *sequence;
    unsigned calls, place;
    uint64_t fired_ns, again_ns;
};

static void record(struct fg_timer *timer, uint64_t now_ns)
{
    struct recorder *r = FG_CONTAINER_OF(timer, struct recorder, timer);
    r->calls++;
    r->fired_ns = now_ns;
    if (r->sequence)
        r->place = ++*r->sequence;
    if (r->victim)
        fg_timer_cancel(r->timers, &r->victim->timer);
    if (r->again_ns)
        fg_timer_arm(r->timers, timer, r->again_ns);
}

static void a_far_timer_costs_few_wakeups(void **state)
{
    (void)state;
    struct fg_timers timers;
    uint64_t now_ns = 77 * FG_S + 123;
    fg_timers_init(&timers, now_ns);
    struct recorder r = {.timers = &timers};
    fg_timer_init(&r.timer, record);
    uint64_t at_ns = now_ns + 365ull * 86400 * FG_S + 1;
    fg_timer_arm(&timers, &r.timer, at_ns);
    unsigned wakeups = 0;
    while (r.calls == 0) {
        uint64_t next_ns = fg_timers_next_ns(&timers);
        assert_true(next_ns > now_ns && next_ns != FG_NEVER); /* each sleep is a sleep */
        now_ns = next_ns;
        fg_timers_run(&timers, now_ns);
        wakeups++;
    }
    assert_in_range(wakeups, 1, FG_TIMER_LEVELS);
    assert_in_range(r.fired_ns, at_ns, at_ns + FG_MS);
    assert_true(fg_timers_next_ns(&timers) == FG_NEVER);
}

static void timers_of_one_run_fire_in_order_of_time(void **state)
{
    (void)state;
    struct fg_timers timers;
    fg_timers_init(&timers, FG_S);
    struct recorder r[5] = {0};
    static const uint64_t after_ms[5] = {90000, 5, 70, 4096, 65};
    static const unsigned places[5] = {5, 1, 3, 4, 2};
    unsigned sequence = 0;
    for (size_t i = 0; i < 5; i++) {
        r[i] = (struct recorder){.timers = &timers, .sequence = &sequence};
        fg_timer_init(&r[i].timer, record);
        fg_timer_arm(&timers, &r[i].timer, FG_S + after_ms[i] * FG_MS);
    }
    fg_timers_run(&timers, 1000 * FG_S);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(r[i].place, places[i]);
}

static void a_callback_may_cancel_what_is_due_in_the_same_slot(void **state)
{
    (void)state;
    struct fg_timers timers;
    fg_timers_init(&timers, FG_S);
    struct recorder a = {.timers = &timers}, b = {.timers = &timers};
    a.victim = &b;
    b.victim = &a;
    fg_timer_init(&a.timer, record);
    fg_timer_init(&b.timer, record);
    fg_timer_arm(&timers, &a.timer, 2 * FG_S);
    fg_timer_arm(&timers, &b.timer, 2 * FG_S);
    fg_timers_run(&timers, 2 * FG_S - 1);
    assert_int_equal(a.calls + b.calls, 0);
    fg_timers_run(&timers, 2 * FG_S);
    assert_int_equal(a.calls + b.calls, 1);
    assert_int_equal(timers.armed, 0);
}

static void a_callback_that_arms_the_past_does_not_keep_the_run_going(void **state)
{
    (void)state;
    struct fg_timers timers;
    fg_timers_init(&timers, FG_S);
    struct recorder r = {.timers = &timers, .again_ns = 1};
    fg_timer_init(&r.timer, record);
    fg_timer_arm(&timers, &r.timer, 0); /* the past as well */
    assert_true(fg_timers_next_ns(&timers) <= FG_S);
    for (unsigned i = 1; i <= 3; i++) {
        fg_timers_run(&timers, FG_S);
        assert_int_equal(r.calls, i);
    }
    fg_timer_cancel(&timers, &r.timer);
    fg_timer_cancel(&timers, &r.timer);
    fg_timers_run(&timers, 9 * FG_S);
    assert_int_equal(r.calls, 3);
}

static void a_cancelled_timer_causes_no_wakeup(void **state)
{
    (void)state;
    struct fg_timers timers;
    fg_timers_init(&timers, FG_S);
    struct recorder a = {.timers = &timers}, b = {.timers = &timers};
    fg_timer_init(&a.timer, record);
    fg_timer_init(&b.timer, record);
    fg_timer_arm(&timers, &a.timer, 2 * FG_S);
    fg_timer_arm(&timers, &b.timer, 3 * FG_S);
    fg_timer_arm(&timers, &b.timer, 900 * FG_S); /* leaves its first place as well */
    fg_timer_cancel(&timers, &a.timer);
    assert_true(fg_timers_next_ns(&timers) > 3 * FG_S);
    fg_timer_cancel(&timers, &b.timer);
    assert_true(fg_timers_next_ns(&timers) == FG_NEVER);
}

static void the_ends_of_time_are_in_reach(void **state)
{
    (void)state;
    struct fg_timers timers;
    fg_timers_init(&timers, 0);
    struct recorder r = {.timers = &timers}, never = {.timers = &timers};
    fg_timer_init(&r.timer, record);
    fg_timer_init(&never.timer, record);
    fg_timer_arm(&timers, &never.timer, 5 * FG_S);
    fg_timer_arm(&timers, &never.timer, FG_NEVER);
    assert_false(fg_timer_armed(&never.timer));
    fg_timer_arm(&timers, &r.timer, FG_NEVER - FG_S);
    fg_timers_run(&timers, FG_NEVER - 2 * FG_S);
    assert_int_equal(r.calls, 0);
    fg_timers_run(&timers, 5); /* a clock that goes back is ignored */
    fg_timers_run(&timers, FG_NEVER - 1);
    assert_int_equal(r.calls, 1);
    assert_int_equal(never.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_naive_model),
        cmocka_unit_test(a_far_timer_costs_few_wakeups),
        cmocka_unit_test(timers_of_one_run_fire_in_order_of_time),
        cmocka_unit_test(a_callback_may_cancel_what_is_due_in_the_same_slot),
        cmocka_unit_test(a_callback_that_arms_the_past_does_not_keep_the_run_going),
        cmocka_unit_test(a_cancelled_timer_causes_no_wakeup),
        cmocka_unit_test(the_ends_of_time_are_in_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
