/* What eight threads may do to one circuit at once. Under ThreadSanitizer this is also the test of its memory order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/breaker.h"

#define THREADS 8
#define ROUNDS  400
#define ASKS    60

static const struct fg_breaker_rank average;

/* What all threads share. Between two waits at the barrier only thread 0 changes the plain fields. */
struct shared {
    pthread_barrier_t barrier;
    struct fg_breaker *breaker;
    struct fg_config_breaker config;
    uint64_t now_ns;
    _Atomic unsigned held; /* permits out as the threads know them: never more than there are */
    _Atomic unsigned most; /* the most that held and succeeded came to */
    _Atomic unsigned granted, ignored, succeeded, failed;
    _Atomic unsigned surprises; /* broken expectations */
    unsigned errors;            /* broken expectations; written by thread 0 */
    unsigned closed;            /* rounds that ended so */
};

struct thread {
    pthread_t id;
    struct shared *shared;
    unsigned index;
    uint64_t random;
    struct fg_breaker_ticket stale; /* a ticket of an earlier period */
};

static unsigned draw(struct thread *t, unsigned below)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (unsigned)(t->random >> 33) % below;
}

static void run(struct shared *shared, void *(*body)(void *))
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(4);
    struct thread threads[THREADS];

    shared->breaker = fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), FG_STR("/m"));
    shared->now_ns = 100 * FG_S;
    pthread_barrier_init(&shared->barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.shared = shared, .index = i, .random = 88172645463325252ull + i * 7919};
        assert_int_equal(pthread_create(&threads[i].id, NULL, body, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    pthread_barrier_destroy(&shared->barrier);
    fg_breaker_registry_free(registry);
    assert_int_equal(shared->errors, 0);
    assert_int_equal(shared->surprises, 0);
}

static struct fg_breaker_info describe(struct shared *shared)
{
    struct fg_breaker_info info;
    fg_breaker_describe(shared->breaker, &shared->config, shared->now_ns, &info);
    return info;
}

static void expect(struct shared *shared, bool condition)
{
    shared->errors += !condition;
}

/* Of any thread. */
static void check(struct shared *shared, bool condition)
{
    if (!condition)
        atomic_fetch_add(&shared->surprises, 1);
}

static enum fg_breaker_verdict ask(struct shared *shared, struct fg_breaker_ticket *ticket)
{
    return fg_breaker_ask(shared->breaker, &shared->config, average, shared->now_ns, ticket);
}

static void report(struct shared *shared, enum fg_class class, struct fg_breaker_ticket ticket)
{
    struct fg_breaker_result result = {.class = class};
    fg_breaker_report(shared->breaker, &shared->config, ticket, &result, shared->now_ns);
}

static void trip(struct shared *shared)
{
    struct fg_breaker_ticket ticket;
    while (ask(shared, &ticket) == FG_BREAKER_PASS)
        report(shared, FG_CLASS_FAILURE, ticket);
}

/* ---- no answers: the ramp hands out exactly what it may ---- */

static void *ask_only(void *context)
{
    struct thread *t = context;
    struct shared *shared = t->shared;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct fg_breaker_ticket ticket, held = {0};
        if (t->index == 0) {
            shared->config.half_open_calls = 1 + round % 5;
            trip(shared);
            shared->now_ns += shared->config.open_for_ns;
            shared->granted = 0;
        }
        pthread_barrier_wait(&shared->barrier);
        for (unsigned i = 0; i < 20; i++) {
            if (ask(shared, &ticket) == FG_BREAKER_PERMIT) {
                shared->granted++;
                held = ticket;
            }
        }
        pthread_barrier_wait(&shared->barrier);
        if (t->index == 0)
            expect(shared, atomic_load(&shared->granted) == 1);
        pthread_barrier_wait(&shared->barrier);
        /* One answer allows two more at once, where there are as many. */
        if (held.value)
            report(shared, FG_CLASS_SUCCESS, held);
        pthread_barrier_wait(&shared->barrier);
        struct fg_breaker_ticket more[20];
        unsigned more_len = 0;
        for (unsigned i = 0; i < 20; i++) {
            if (ask(shared, &ticket) == FG_BREAKER_PERMIT) {
                shared->granted++;
                more[more_len++] = ticket;
            }
        }
        pthread_barrier_wait(&shared->barrier);
        if (t->index == 0)
            expect(shared, atomic_load(&shared->granted) == FG_MIN(3, shared->config.half_open_calls));
        pthread_barrier_wait(&shared->barrier);
        for (unsigned i = 0; i < more_len; i++)
            report(shared, FG_CLASS_FAILURE, more[i]); /* of several only the first one trips */
        pthread_barrier_wait(&shared->barrier);
    }
    return NULL;
}

static void permits_are_exact_while_all_ask(void **state)
{
    struct shared shared = {.config = {.enabled = true,
                                       .window_ns = 10 * FG_S,
                                       .failure_ratio = 1,
                                       .minimum_calls = 1000,
                                       .consecutive_failures = 3,
                                       .open_for_ns = FG_S}};
    (void)state;
    run(&shared, ask_only);
}

/* ---- asks and answers at the same time, with late reports of earlier periods among them ---- */

static void note_most(struct shared *shared)
{
    unsigned now = shared->held, most = shared->most;
    while (now > most && !atomic_compare_exchange_weak(&shared->most, &most, now)) {
    }
}

static void probe(struct thread *t, struct fg_breaker_ticket ticket, bool may_fail)
{
    struct shared *shared = t->shared;
    unsigned kind = draw(t, 10);

    /* Counted after it was granted and uncounted before it is given back: at most the truth. A success keeps its
     * place, so that `held` is the permits used up and out. */
    shared->granted++;
    shared->held++;
    note_most(shared);
    if (draw(t, 3) == 0)
        t->stale = ticket;
    if (kind < 3) {
        shared->ignored++;
        shared->held--;
        report(shared, kind == 0 ? FG_CLASS_OVERLOAD : FG_CLASS_IGNORED, ticket);
    } else if (kind == 9 && may_fail) {
        shared->failed++;
        report(shared, FG_CLASS_FAILURE, ticket);
    } else {
        shared->succeeded++;
        report(shared, FG_CLASS_SUCCESS, ticket);
    }
}

/* A call of a class that the circuit does not refuse: it changes nothing for the others. */
static void pass_by(struct thread *t)
{
    struct shared *shared = t->shared;
    struct fg_breaker_rank high = fg_breaker_rank(2, 1, 1);
    struct fg_breaker_ticket ticket;

    check(shared, fg_breaker_ask(shared->breaker, &shared->config, high, shared->now_ns, &ticket) == FG_BREAKER_PASS);
    report(shared, draw(t, 2) ? FG_CLASS_SUCCESS : FG_CLASS_FAILURE, ticket);
}

static void check_round(struct shared *shared, bool may_fail)
{
    struct fg_breaker_info info = describe(shared);

    expect(shared, shared->most <= shared->config.half_open_calls);
    expect(shared, info.permits_out == 0);
    shared->closed += info.state == FG_BREAKER_CLOSED;
    if (info.state == FG_BREAKER_CLOSED) /* exactly as many successes as it takes, and no stale one among them */
        expect(shared, shared->succeeded == shared->config.half_open_calls &&
                           shared->granted == shared->succeeded + shared->ignored);
    else if (may_fail)
        expect(shared, (info.state == FG_BREAKER_OPEN) == (shared->failed > 0));
    else
        expect(shared, shared->succeeded < shared->config.half_open_calls);
}

static void *ask_and_answer(void *context)
{
    struct thread *t = context;
    struct shared *shared = t->shared;

    for (unsigned round = 0; round < ROUNDS; round++) {
        bool may_fail = round % 2;
        if (t->index == 0) {
            shared->config.half_open_calls = 1 + round % 7;
            trip(shared);
            shared->now_ns += shared->config.open_for_ns;
            shared->granted = shared->ignored = shared->succeeded = shared->failed = shared->held = shared->most = 0;
        }
        pthread_barrier_wait(&shared->barrier);
        struct fg_breaker_ticket stale = t->stale; /* of the round before, all along this one */
        for (unsigned i = 0; i < ASKS; i++) {
            struct fg_breaker_ticket ticket;
            if (ask(shared, &ticket) == FG_BREAKER_PERMIT)
                probe(t, ticket, may_fail);
            report(shared, draw(t, 2) ? FG_CLASS_SUCCESS : FG_CLASS_FAILURE, stale);
            pass_by(t);
        }
        pthread_barrier_wait(&shared->barrier);
        if (t->index == 0)
            check_round(shared, may_fail);
        if (t->stale.value == stale.value)
            t->stale = (struct fg_breaker_ticket){0};
        pthread_barrier_wait(&shared->barrier);
    }
    return NULL;
}

static void permits_are_exact_while_all_ask_and_answer(void **state)
{
    struct shared shared = {.config = {.enabled = true,
                                       .window_ns = 10 * FG_S,
                                       .failure_ratio = 1,
                                       .minimum_calls = UINT32_MAX,
                                       /* In a closed circuit ticket 0 counts, and so do those that pass by: more than a
                                        * round has of them. */
                                       .consecutive_failures = THREADS * ASKS * 3,
                                       .open_for_ns = FG_S}};
    (void)state;
    run(&shared, ask_and_answer);
    assert_in_range(shared.closed, ROUNDS / 2, ROUNDS); /* those without failures at the least */
}

/* ---- a probe that is never answered ---- */

static void *ask_overdue(void *context)
{
    struct thread *t = context;
    struct shared *shared = t->shared;

    if (t->index == 0)
        trip(shared);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (t->index == 0) {
            shared->now_ns += shared->config.open_for_ns;
            shared->granted = 0;
        }
        pthread_barrier_wait(&shared->barrier);
        for (unsigned i = 0; i < 20; i++) {
            struct fg_breaker_ticket ticket;
            shared->granted += ask(shared, &ticket) == FG_BREAKER_PERMIT;
        }
        pthread_barrier_wait(&shared->barrier);
        if (t->index == 0)
            expect(shared, atomic_load(&shared->granted) == 1);
        pthread_barrier_wait(&shared->barrier);
    }
    return NULL;
}

static void one_permit_replaces_a_lost_one(void **state)
{
    struct shared shared = {.config = {.enabled = true,
                                       .window_ns = 10 * FG_S,
                                       .failure_ratio = 1,
                                       .consecutive_failures = 3,
                                       .open_for_ns = FG_S,
                                       .half_open_calls = 3}};
    (void)state;
    run(&shared, ask_overdue);
}

/* ---- closed: every report is counted once, one trip, nothing of one period shows in the next ---- */

static void *report_closed(void *context)
{
    struct thread *t = context;
    struct shared *shared = t->shared;
    const unsigned each = 20 * ASKS;
    struct fg_breaker_ticket ticket;

    for (unsigned i = 0; i < each; i++) {
        /* In step, but for the slices of the window, which move on while others still count. */
        uint64_t now_ns = shared->now_ns + i * (FG_S / 200);
        struct fg_breaker_result result = {.class = i % 4 ? FG_CLASS_SUCCESS : FG_CLASS_FAILURE};
        if (fg_breaker_ask(shared->breaker, &shared->config, average, now_ns, &ticket) == FG_BREAKER_PASS)
            fg_breaker_report(shared->breaker, &shared->config, ticket, &result, now_ns);
    }
    pthread_barrier_wait(&shared->barrier);
    if (t->index == 0) {
        shared->now_ns += each * (FG_S / 200);
        struct fg_breaker_info info = describe(shared);
        expect(shared, info.calls == each * THREADS && info.failures == each / 4 * THREADS && info.trips == 0);
        shared->config.consecutive_failures = 100;
    }
    pthread_barrier_wait(&shared->barrier);
    for (unsigned i = 0; i < 400; i++) {
        if (ask(shared, &ticket) == FG_BREAKER_PASS)
            report(shared, FG_CLASS_FAILURE, ticket);
    }
    pthread_barrier_wait(&shared->barrier);
    if (t->index == 0) {
        struct fg_breaker_info info = describe(shared);
        /* Each other thread may have counted one more before the swap that trips. */
        expect(shared, info.trips == 1 && info.state == FG_BREAKER_OPEN);
        expect(shared, info.observed >= 100 && info.observed < 100 + THREADS);
        shared->now_ns += shared->config.open_for_ns;
        expect(shared, ask(shared, &ticket) == FG_BREAKER_PERMIT);
        report(shared, FG_CLASS_SUCCESS, ticket);
        info = describe(shared);
        expect(shared, info.state == FG_BREAKER_CLOSED && info.calls == 0 && info.consecutive_failures == 0);
    }
    return NULL;
}

static void reports_are_counted_once_and_trip_once(void **state)
{
    struct shared shared = {.config = {.enabled = true,
                                       .window_ns = 10 * FG_S,
                                       .failure_ratio = 1,
                                       .minimum_calls = UINT32_MAX,
                                       .open_for_ns = FG_S,
                                       .half_open_calls = 1}};
    (void)state;
    run(&shared, report_closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_exact_while_all_ask),
        cmocka_unit_test(permits_are_exact_while_all_ask_and_answer),
        cmocka_unit_test(one_permit_replaces_a_lost_one),
        cmocka_unit_test(reports_are_counted_once_and_trip_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
