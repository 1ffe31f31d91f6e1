/* Everything at once: threads ask for calls of all classes, report all kinds of results, describe and read events. What
 * they were told must add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/breaker.h"

#define THREADS 6
#define CALLS   20000

static const struct fg_config_breaker config = {.enabled = true,
                                                .window_ns = 100 * FG_MS,
                                                .failure_ratio = 0.3,
                                                .minimum_calls = 10,
                                                .consecutive_failures = 6,
                                                .slow_call_ns = FG_S,
                                                .slow_ratio = 0.4,
                                                .overload_share = 0.1,
                                                .open_for_ns = 20 * FG_MS,
                                                .max_open_for_ns = 50 * FG_MS,
                                                .half_open_calls = 4};

struct shared {
    struct fg_breaker_registry *registry;
    struct fg_breaker *breaker;
    _Atomic uint64_t now_ns;
    _Atomic unsigned ended, refused, shed, permits, passed, surprises;
};

struct thread {
    pthread_t id;
    struct shared *shared;
    uint64_t random;
};

struct events {
    uint64_t next_seq, read;
    uint64_t changes[3][3]; /* from, to */
};

static unsigned draw(struct thread *t, unsigned below)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (unsigned)(t->random >> 33) % below;
}

static void report(struct thread *t, struct fg_breaker_ticket ticket, uint64_t now_ns)
{
    unsigned health = (unsigned)(now_ns / (200 * FG_MS)) % 4; /* bad times come and go */
    struct fg_breaker_result result = {.class = FG_CLASS_SUCCESS, .duration_ms = draw(t, 1000)};

    if (health == 1 && draw(t, 3))
        result.class = FG_CLASS_FAILURE;
    else if (health == 2 && draw(t, 3))
        result.class = FG_CLASS_OVERLOAD;
    else if (health == 3)
        result.slow = draw(t, 2);
    if (draw(t, 20) == 0)
        result.class = FG_CLASS_IGNORED;
    fg_breaker_report(t->shared->breaker, &config, ticket, &result, now_ns);
}

static void *storm(void *context)
{
    struct thread *t = context;
    struct shared *shared = t->shared;

    for (unsigned i = 0; i < CALLS; i++) {
        uint64_t now_ns = atomic_fetch_add(&shared->now_ns, 50 * FG_US);
        struct fg_breaker_rank rank = fg_breaker_rank(draw(t, 3), 1 + draw(t, 4), 2);
        struct fg_breaker_ticket ticket;
        switch (fg_breaker_ask(shared->breaker, &config, rank, now_ns, &ticket)) {
        case FG_BREAKER_REFUSE:
            shared->refused++;
            break;
        case FG_BREAKER_SHED:
            shared->shed++;
            break;
        case FG_BREAKER_PERMIT:
            shared->permits++;
            report(t, ticket, now_ns);
            break;
        case FG_BREAKER_PASS:
            shared->passed++;
            report(t, ticket, now_ns);
            break;
        }
    }
    shared->ended++;
    return NULL;
}

static void count_event(void *context, const struct fg_breaker_event *event)
{
    struct events *events = context;
    events->changes[event->from][event->to]++;
    events->read++;
}

static bool makes_sense(const struct fg_breaker_info *info)
{
    return info->failures <= info->calls && info->slow <= info->slow_calls && info->overloads <= info->overload_calls &&
           info->outcomes_len <= FG_BREAKER_OUTCOMES && info->retrips <= 3 && info->shed_share >= 0 &&
           info->shed_share < 1 && info->pause_ns >= config.open_for_ns && info->pause_ns <= config.max_open_for_ns;
}

static void what_the_threads_were_told_adds_up(void **state)
{
    struct shared shared = {.registry = fg_breaker_registry_new(4), .now_ns = 100 * FG_S};
    struct thread threads[THREADS];
    struct events events = {0};
    struct fg_breaker_info info;

    (void)state;
    shared.breaker = fg_breaker_get(shared.registry, FG_STR("c"), FG_STR("e"), FG_STR("/m"));
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.shared = &shared, .random = 88172645463325252ull + i * 7919};
        assert_int_equal(pthread_create(&threads[i].id, NULL, storm, &threads[i]), 0);
    }
    while (shared.ended < THREADS) {
        fg_breaker_describe(shared.breaker, &config, shared.now_ns, &info);
        shared.surprises += !makes_sense(&info);
        events.next_seq = fg_breaker_events_read(shared.registry, events.next_seq, count_event, &events);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    events.next_seq = fg_breaker_events_read(shared.registry, events.next_seq, count_event, &events);
    fg_breaker_describe(shared.breaker, &config, shared.now_ns, &info);
    assert_int_equal(shared.surprises, 0);
    assert_int_equal(shared.refused + shared.shed + shared.permits + shared.passed, THREADS * CALLS);
    assert_int_equal(info.refused, shared.refused);
    assert_int_equal(info.shed, shared.shed);
    assert_int_equal(info.permits_out, 0);
    assert_int_equal(events.read, events.next_seq); /* none was missed */
    uint64_t opened = events.changes[FG_BREAKER_CLOSED][FG_BREAKER_OPEN],
             again = events.changes[FG_BREAKER_HALF_OPEN][FG_BREAKER_OPEN],
             tried = events.changes[FG_BREAKER_OPEN][FG_BREAKER_HALF_OPEN],
             closed = events.changes[FG_BREAKER_HALF_OPEN][FG_BREAKER_CLOSED];
    assert_int_equal(info.trips, opened + again);
    assert_int_equal(opened - closed, info.state != FG_BREAKER_CLOSED);
    assert_int_equal(tried - again - closed, info.state == FG_BREAKER_HALF_OPEN);
    assert_true(opened > 0 && again > 0 && closed > 0 && shared.shed > 0 && shared.refused > 0);
    fg_breaker_registry_free(shared.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_threads_were_told_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
