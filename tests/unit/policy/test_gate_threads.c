/* What eight workers may do to one gate at once. Under ThreadSanitizer this is also the test of its memory order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "base/fair_queue.h"
#include "policy/gate.h"

#define WORKERS 8
#define ROUNDS  60
#define STEPS   2000
#define CALLS   40 /* of one worker, in progress or waiting */

/* What all threads share. Between two waits at the barrier only thread 0 changes the plain fields. */
struct shared {
    pthread_barrier_t barrier;
    struct fg_gate *gate;
    struct fg_config_limits limits;
    struct fg_config_retry_budget budget;
    _Atomic unsigned mail[WORKERS];
    _Atomic uint32_t inside[FG_GATE_ROOMS]; /* counted after entering, uncounted before leaving: at most the truth */
    _Atomic uint32_t retries, queued;
    _Atomic unsigned errors, entered, waited, cancelled, refused, evicted, promoted;
    bool quiet; /* no mail is under way */
};

enum state { FREE, WAITING, INSIDE };

struct call {
    struct fg_fair_item item;
    enum state state;
    enum fg_gate_lane lane;
};

struct worker {
    pthread_t id;
    struct shared *shared;
    unsigned index, retries;
    uint64_t random;
    struct fg_fair_queue queues[FG_GATE_LANES];
    struct call calls[CALLS];
};

static void expect(struct shared *shared, bool condition)
{
    shared->errors += !condition;
}

static void on_wake(void *context, unsigned to, unsigned from)
{
    struct shared *shared = context;
    expect(shared, from < WORKERS);
    shared->mail[to]++;
}

static unsigned draw(struct worker *w, unsigned below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)(w->random >> 33) % below;
}

static uint32_t limit_of(const struct shared *shared, enum fg_gate_lane lane)
{
    return lane == FG_GATE_ACTIVE ? shared->limits.streams : shared->limits.long_streams;
}

/* ---- what a worker does ---- */

static void go_in(struct worker *w, struct call *call)
{
    struct shared *shared = w->shared;

    call->state = INSIDE;
    expect(shared, ++shared->inside[call->lane] <= limit_of(shared, call->lane));
    shared->entered++;
}

static void go_out(struct worker *w, struct call *call)
{
    w->shared->inside[call->lane]--;
    call->state = FREE;
    fg_gate_leave(w->shared->gate, &w->shared->limits, w->index, call->lane);
}

static void arrive(struct worker *w, struct call *call)
{
    struct shared *shared = w->shared;
    unsigned priority = draw(w, 3);

    call->lane = fg_gate_lane_of(&shared->limits, draw(w, 4) == 0);
    if (fg_gate_try_enter(shared->gate, &shared->limits, call->lane, priority)) {
        go_in(w, call);
        return;
    }
    if (draw(w, 8) == 0)
        call->lane = FG_GATE_SLOT;
    if (fg_gate_queue_enter(shared->gate, &shared->limits, w->index, call->lane, priority) == FG_GATE_FULL) {
        shared->refused++;
        return;
    }
    call->state = WAITING;
    fg_fair_queue_push(&w->queues[call->lane], &call->item, priority, 1 + draw(w, 5), draw(w, 10));
    shared->waited++;
}

static void cancel(struct worker *w, struct call *call)
{
    fg_fair_queue_remove(&w->queues[call->lane], &call->item);
    fg_gate_queue_leave(w->shared->gate, w->index, call->lane, call->item.priority);
    call->state = FREE;
    w->shared->cancelled++;
}

static void promote(struct worker *w, struct call *call)
{
    struct shared *shared = w->shared;

    if (call->lane != FG_GATE_ACTIVE)
        return;
    shared->inside[FG_GATE_ACTIVE]--;
    call->lane = fg_gate_promote(shared->gate, &shared->limits, w->index);
    uint32_t inside = ++shared->inside[call->lane];
    if (call->lane == FG_GATE_LONG) {
        expect(shared, inside <= limit_of(shared, FG_GATE_LONG));
        shared->promoted++;
    }
}

static void serve(struct worker *w)
{
    struct shared *shared = w->shared;
    enum fg_gate_lane lane;
    unsigned priority;

    fg_gate_woken(shared->gate, w->index);
    while (fg_gate_evicted(shared->gate, w->index, &lane, &priority)) {
        struct fg_fair_item *item = fg_fair_queue_shed_from(&w->queues[lane], priority);
        expect(shared, item != NULL);
        fg_fair_queue_remove(&w->queues[lane], item);
        FG_CONTAINER_OF(item, struct call, item)->state = FREE;
        shared->evicted++;
    }
    for (lane = FG_GATE_ACTIVE; lane < FG_GATE_ROOMS; lane++) {
        for (;;) {
            struct fg_fair_item *item = fg_fair_queue_peek(&w->queues[lane]);
            int first = item ? item->priority : FG_GATE_NOBODY;
            if (!fg_gate_next(shared->gate, &shared->limits, w->index, lane, first))
                break;
            fg_fair_queue_pop(&w->queues[lane]);
            go_in(w, FG_CONTAINER_OF(item, struct call, item));
        }
    }
}

static bool read_mail(struct worker *w)
{
    if (w->shared->mail[w->index] == 0)
        return false;
    atomic_store(&w->shared->mail[w->index], 0);
    serve(w);
    return true;
}

static void try_again(struct worker *w)
{
    struct shared *shared = w->shared;

    if (w->retries > 0 && draw(w, 2)) {
        w->retries--;
        shared->retries--;
        fg_gate_retry_leave(shared->gate);
    } else if (fg_gate_retry_enter(shared->gate, &shared->limits, &shared->budget)) {
        w->retries++;
        expect(shared, ++shared->retries <= shared->limits.retries);
    }
}

static void step(struct worker *w)
{
    struct call *call = &w->calls[draw(w, CALLS)];

    if (draw(w, 3) == 0)
        read_mail(w);
    if (draw(w, 50) == 0)
        sched_yield();
    if (draw(w, 10) == 0)
        try_again(w);
    if (call->state == FREE)
        arrive(w, call);
    else if (call->state == WAITING && (call->lane == FG_GATE_SLOT || draw(w, 4) == 0))
        cancel(w, call);
    else if (call->state == INSIDE && draw(w, 4) == 0)
        promote(w, call);
    else if (call->state == INSIDE)
        go_out(w, call);
}

/* ---- rounds ---- */

/* All read their mail until there is none. */
static void calm_down(struct worker *w)
{
    struct shared *shared = w->shared;

    for (bool quiet = false; !quiet;) {
        pthread_barrier_wait(&shared->barrier);
        while (read_mail(w)) {
        }
        pthread_barrier_wait(&shared->barrier);
        if (w->index == 0) {
            shared->quiet = true;
            for (unsigned i = 0; i < WORKERS; i++)
                shared->quiet &= shared->mail[i] == 0;
        }
        pthread_barrier_wait(&shared->barrier);
        quiet = shared->quiet;
    }
}

static void check(struct shared *shared)
{
    struct fg_gate_info info;
    uint32_t pending = 0;

    fg_gate_describe(shared->gate, &shared->limits, &info);
    for (enum fg_gate_lane lane = FG_GATE_ACTIVE; lane < FG_GATE_LANES; lane++) {
        uint32_t waiting = 0;
        for (unsigned priority = 0; priority < FG_GATE_PRIORITIES; priority++)
            waiting += info.waiting[lane][priority];
        pending += waiting;
        if (lane == FG_GATE_SLOT)
            continue;
        expect(shared, info.granted[lane] == 0);
        expect(shared, info.in_progress[lane] == shared->inside[lane]);
        expect(shared, waiting == 0 || info.in_progress[lane] >= info.limit[lane]);
    }
    expect(shared, info.pending == pending && pending == shared->queued);
    expect(shared, info.retries == shared->retries);
}

static void change_limits(struct worker *w, unsigned round)
{
    static const uint32_t streams[] = {1, 5, 40, 3, 200}, pending[] = {0, 10, 100, 30};
    struct shared *shared = w->shared;

    if (w->index == 0) {
        shared->queued = 0;
        shared->limits.streams = streams[round % FG_ARRAY_LEN(streams)];
        shared->limits.long_streams = 1 + round % 7;
        shared->limits.pending = pending[round % FG_ARRAY_LEN(pending)];
        shared->limits.retries = 1 + round % 9;
    }
    pthread_barrier_wait(&shared->barrier);
    fg_gate_limits_changed(shared->gate, &shared->limits, w->index);
}

static void *work(void *context)
{
    struct worker *w = context;
    struct shared *shared = w->shared;

    for (unsigned round = 0; round < ROUNDS; round++) {
        change_limits(w, round);
        for (unsigned i = 0; i < STEPS; i++)
            step(w);
        calm_down(w);
        for (unsigned i = 0; i < FG_GATE_LANES; i++)
            shared->queued += (uint32_t)fg_fair_queue_len(&w->queues[i]);
        pthread_barrier_wait(&shared->barrier);
        if (w->index == 0)
            check(shared);
        pthread_barrier_wait(&shared->barrier);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        if (w->calls[i].state == WAITING)
            cancel(w, &w->calls[i]);
        else if (w->calls[i].state == INSIDE)
            go_out(w, &w->calls[i]);
    }
    for (; w->retries > 0; w->retries--)
        fg_gate_retry_leave(shared->gate);
    calm_down(w);
    for (unsigned i = 0; i < CALLS; i++) /* the last mail let some in */
        if (w->calls[i].state == INSIDE)
            go_out(w, &w->calls[i]);
    calm_down(w);
    return NULL;
}

static void no_call_waits_while_there_is_room(void **state)
{
    static struct worker workers[WORKERS];
    static struct shared shared = {.budget = {.share = 0.1, .minimum = 100}};
    struct fg_gate_info info;

    (void)state;
    shared.gate = fg_gate_new(WORKERS, on_wake, &shared);
    pthread_barrier_init(&shared.barrier, NULL, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].shared = &shared;
        workers[i].index = i;
        workers[i].random = 88172645463325252ull + i * 7919;
        assert_int_equal(pthread_create(&workers[i].id, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i].id, NULL);
    fg_gate_describe(shared.gate, &shared.limits, &info);
    assert_int_equal(shared.errors, 0);
    assert_int_equal(info.pending + info.retries, 0);
    for (unsigned i = 0; i < FG_GATE_ROOMS; i++)
        assert_int_equal(info.in_progress[i] + info.granted[i], 0);
    for (unsigned i = 0; i < FG_GATE_LANES; i++)
        for (unsigned priority = 0; priority < FG_GATE_PRIORITIES; priority++)
            assert_int_equal(info.waiting[i][priority], 0);
    print_message("entered %u, waited %u, cancelled %u, refused %u, evicted %u of %u, promoted %u\n", shared.entered,
                  shared.waited, shared.cancelled, shared.refused, shared.evicted, (unsigned)info.displaced,
                  shared.promoted);
    assert_true(shared.entered > 1000 && shared.waited > 1000 && shared.refused > 100 && shared.evicted > 10 &&
                shared.promoted > 10);
    pthread_barrier_destroy(&shared.barrier);
    fg_gate_free(shared.gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_call_waits_while_there_is_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
