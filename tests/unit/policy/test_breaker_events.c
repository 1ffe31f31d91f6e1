#include "test_breaker.h"

#include <pthread.h>
#include <stdatomic.h>

struct seen {
    struct fg_breaker_event events[FG_BREAKER_EVENTS];
    size_t len;
};

static void see(void *context, const struct fg_breaker_event *event)
{
    struct seen *seen = context;
    seen->events[seen->len++ % FG_BREAKER_EVENTS] = *event;
}

static void wake(void *context)
{
    atomic_fetch_add((_Atomic unsigned *)context, 1);
}

static void expect_event(const struct fg_breaker_event *event, uint64_t seq, uint64_t at_ns, enum fg_breaker_state from,
                         enum fg_breaker_state to)
{
    assert_int_equal(event->seq, seq);
    assert_int_equal(event->at_ns, at_ns);
    assert_int_equal(event->from, from);
    assert_int_equal(event->to, to);
}

static void a_cycle_is_recorded(void **state)
{
    struct fixture *f = *state;
    struct seen *seen = calloc(1, sizeof *seen);
    _Atomic unsigned woken = 0;

    fg_breaker_events_on_new(f->registry, wake, &woken);
    assert_int_equal(fg_breaker_events_read(f->registry, 0, see, seen), 0);
    f->config.half_open_calls = 1;
    trip(f);
    f->rank = fg_breaker_rank(2, 1, 1);
    calls(f, FG_CLASS_FAILURE, 8);
    f->rank = fg_breaker_rank(0, 1, 1);
    f->now_ns += 5 * FG_S;
    report(f, FG_CLASS_FAILURE, expect_permit(f));
    f->now_ns += 5 * FG_S;
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(fg_breaker_events_read(f->registry, 0, see, seen), 6);
    assert_int_equal(seen->len, 6);
    assert_int_equal(woken, 6);
    const struct fg_breaker_event *e = seen->events;
    expect_event(&e[0], 0, START, FG_BREAKER_CLOSED, FG_BREAKER_OPEN);
    assert_ptr_equal(e[0].breaker, f->breaker);
    assert_true(fg_str_eq(e[0].cluster, FG_STR("c")) && fg_str_eq(e[0].endpoint, FG_STR("h:1")) &&
                fg_str_eq(e[0].method, FG_STR("/s/m")));
    assert_string_equal(e[0].cause, "consecutive_failures");
    assert_true(e[0].observed == 5 && e[0].threshold == 5);
    assert_int_equal(e[0].severity, 1000);
    expect_event(&e[1], 1, START, FG_BREAKER_OPEN, FG_BREAKER_OPEN); /* it became worse */
    assert_true(e[1].observed == 8 && e[1].threshold == 8);
    assert_int_equal(e[1].severity, 1600);
    assert_int_equal(e[1].factor, 1600);
    expect_event(&e[2], 2, START + 5 * FG_S, FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN);
    expect_event(&e[3], 3, START + 5 * FG_S, FG_BREAKER_HALF_OPEN, FG_BREAKER_OPEN);
    assert_string_equal(e[3].cause, "probe_failed");
    expect_event(&e[4], 4, START + 10 * FG_S, FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN);
    expect_event(&e[5], 5, START + 10 * FG_S, FG_BREAKER_HALF_OPEN, FG_BREAKER_CLOSED);
    assert_int_equal(fg_breaker_events_read(f->registry, 4, see, seen), 6);
    assert_int_equal(seen->len, 8);
    assert_int_equal(fg_breaker_events_read(f->registry, 6, see, seen), 6);
    assert_int_equal(seen->len, 8);
    free(seen);
}

static void a_reader_that_is_late_misses_the_oldest(void **state)
{
    struct fixture *f = *state;
    struct seen *seen = calloc(1, sizeof *seen);

    f->config.half_open_calls = 1;
    for (unsigned i = 0; i < 1000; i++)
        report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    assert_int_equal(fg_breaker_events_read(f->registry, 10, see, seen), 3000);
    assert_int_equal(seen->len, FG_BREAKER_EVENTS);
    for (unsigned i = 0; i < FG_BREAKER_EVENTS; i++)
        assert_int_equal(seen->events[i].seq, 3000 - FG_BREAKER_EVENTS + i);
    /* One that knows of more than there is (of an earlier process) is told of nothing. */
    assert_int_equal(fg_breaker_events_read(f->registry, 5000, see, seen), 5000);
    free(seen);
}

/* ---- threads ---- */

#define THREADS 4
#define CYCLES  2000

struct shared {
    struct fg_breaker_registry *registry;
    _Atomic unsigned started, ended, woken;
};

struct reading {
    uint64_t next_seq, count;
    unsigned errors;
};

static const struct fg_config_breaker config = {.enabled = true,
                                                .window_ns = FG_S,
                                                .failure_ratio = 1,
                                                .minimum_calls = 1000,
                                                .consecutive_failures = 2,
                                                .open_for_ns = FG_MS,
                                                .half_open_calls = 1};

/* Each has a circuit of its own, so that what it did is known: time and state go together. */
static void *cycle(void *context)
{
    struct shared *shared = context;
    char name[] = {(char)('0' + atomic_fetch_add(&shared->started, 1)), 0};
    struct fg_breaker *breaker = fg_breaker_get(shared->registry, FG_STR("c"), fg_str_from(name), fg_str_from(name));
    struct fg_breaker_rank rank = {0};
    struct fg_breaker_result failure = {.class = FG_CLASS_FAILURE}, success = {.class = FG_CLASS_SUCCESS};
    struct fg_breaker_ticket ticket;

    for (uint64_t now_ns = 3 * FG_S; now_ns < (3 + 3 * CYCLES) * FG_S; now_ns += 3 * FG_S) {
        while (fg_breaker_ask(breaker, &config, rank, now_ns, &ticket) == FG_BREAKER_PASS)
            fg_breaker_report(breaker, &config, ticket, &failure, now_ns);
        if (fg_breaker_ask(breaker, &config, rank, now_ns + FG_S, &ticket) == FG_BREAKER_PERMIT)
            fg_breaker_report(breaker, &config, ticket, &success, now_ns + 2 * FG_S);
    }
    atomic_fetch_add(&shared->ended, 1);
    return NULL;
}

static void check_event(void *context, const struct fg_breaker_event *event)
{
    static const struct {
        enum fg_breaker_state from, to;
    } changes[] = {{FG_BREAKER_CLOSED, FG_BREAKER_OPEN},
                   {FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN},
                   {FG_BREAKER_HALF_OPEN, FG_BREAKER_CLOSED}};
    struct reading *reading = context;
    unsigned phase = (unsigned)(event->at_ns / FG_S % 3);

    reading->errors += event->seq < reading->next_seq || event->from != changes[phase].from ||
                       event->to != changes[phase].to || event->observed != 2 || event->severity != 1000 ||
                       !fg_str_eq(event->endpoint, event->method) || event->endpoint.len != 1;
    reading->next_seq = event->seq + 1;
    reading->count++;
}

static void events_are_read_whole_while_they_are_written(void **state)
{
    struct shared shared = {.registry = fg_breaker_registry_new(8)};
    struct reading reading = {0};
    pthread_t threads[THREADS];

    (void)state;
    fg_breaker_events_on_new(shared.registry, wake, &shared.woken);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, cycle, &shared), 0);
    uint64_t seq = 0;
    while (atomic_load(&shared.ended) < THREADS)
        seq = fg_breaker_events_read(shared.registry, seq, check_event, &reading);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    seq = fg_breaker_events_read(shared.registry, seq, check_event, &reading);
    assert_int_equal(seq, 3 * THREADS * CYCLES);
    /* A thread that sleeps while it writes may cost others an event. */
    assert_in_range(reading.next_seq, seq - THREADS, seq);
    assert_int_equal(reading.errors, 0);
    assert_in_range(reading.count, FG_BREAKER_EVENTS / 2, seq); /* the latest, whatever was missed before */
    assert_in_range(shared.woken, seq * 9 / 10, seq);
    fg_breaker_registry_free(shared.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cycle_is_recorded),
        TEST(a_reader_that_is_late_misses_the_oldest),
        cmocka_unit_test(events_are_read_whole_while_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
