/* Slow calls and overload. */
#include "test_breaker.h"

/* ---- what is slow ---- */

static bool is_slow(uint64_t slow_call_ns, uint64_t slow_first_message_ns, uint64_t messages, uint64_t first_ns,
                    uint64_t end_ns)
{
    struct fg_config_breaker config = {.slow_call_ns = slow_call_ns, .slow_first_message_ns = slow_first_message_ns};
    struct fg_outcome outcome = {.phase = FG_PHASE_DONE,
                                 .start_ns = START,
                                 .first_message_ns = first_ns ? START + first_ns : 0,
                                 .end_ns = START + end_ns,
                                 .messages_down = messages};
    return fg_breaker_is_slow(&config, &outcome);
}

static void slow_is_longer_than_slow_call(void **state)
{
    (void)state;
    assert_false(is_slow(100, 0, 1, 100, 100));
    assert_true(is_slow(100, 0, 1, 100, 101));
    assert_true(is_slow(100, 0, 0, 0, 101));
    assert_false(is_slow(100, 0, 2, 50, 100000)); /* a stream may last */
    assert_false(is_slow(0, 0, 1, 100000, 100000));
}

static void slow_is_longer_than_slow_first_message(void **state)
{
    (void)state;
    assert_false(is_slow(0, 100, 5, 100, 100000));
    assert_true(is_slow(0, 100, 5, 101, 100000));
    assert_true(is_slow(0, 100, 0, 0, 101));
    assert_false(is_slow(0, 100, 0, 0, 100));
    assert_true(is_slow(100000, 100, 1, 101, 102));
}

static void waiting_for_a_slot_is_not_slow(void **state)
{
    struct fg_config_breaker config = {.slow_call_ns = 100, .slow_first_message_ns = 100};
    struct fg_outcome outcome = {.phase = FG_PHASE_DONE,
                                 .start_ns = START,
                                 .first_message_ns = START + 190,
                                 .end_ns = START + 190,
                                 .messages_down = 1};

    (void)state;
    assert_true(fg_breaker_is_slow(&config, &outcome));
    outcome.stall_ns[FG_WAIT_STREAM_SLOT] = 50;
    outcome.stall_ns[FG_WAIT_CONNECT] = 40;
    assert_false(fg_breaker_is_slow(&config, &outcome));
    outcome.stall_ns[FG_WAIT_SETTINGS] = 1000;
    assert_false(fg_breaker_is_slow(&config, &outcome));
    outcome = (struct fg_outcome){.phase = FG_PHASE_QUEUED, .start_ns = START, .end_ns = START + 1000};
    assert_false(fg_breaker_is_slow(&config, &outcome));
}

static void a_result_is_made_of_an_outcome(void **state)
{
    struct fg_config_breaker config = {.slow_call_ns = FG_S};
    struct fg_outcome outcome = {.phase = FG_PHASE_SENT,
                                 .class = FG_CLASS_FAILURE,
                                 .code = FG_STATUS_DEADLINE_EXCEEDED,
                                 .source = FG_SOURCE_DEADLINE,
                                 .start_ns = START,
                                 .end_ns = START + 1234567890};
    struct fg_breaker_result result = fg_breaker_result_of(&config, &outcome);

    (void)state;
    assert_int_equal(result.class, FG_CLASS_FAILURE);
    assert_true(result.slow);
    assert_int_equal(result.code, FG_STATUS_DEADLINE_EXCEEDED);
    assert_int_equal(result.source, FG_SOURCE_DEADLINE);
    assert_int_equal(result.duration_ms, 1234);
}

/* ---- slow calls ---- */

static void slow_calls(struct fixture *f, enum fg_class class, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        report_slow(f, class, expect_pass(f));
}

static void look_for_slow(struct fixture *f)
{
    f->config.slow_call_ns = FG_S;
    f->config.slow_ratio = 0.4;
}

static void slow_successes_trip(void **state)
{
    struct fixture *f = *state;

    look_for_slow(f);
    calls(f, FG_CLASS_SUCCESS, 15);
    slow_calls(f, FG_CLASS_SUCCESS, 9);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_true(info.calls == 24 && info.failures == 0 && info.slow_calls == 24 && info.slow == 9);
    slow_calls(f, FG_CLASS_SUCCESS, 1);
    info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_string_equal(info.cause, "slow_ratio");
    assert_true(info.observed == 0.4 && info.threshold == 0.4 && info.base_slow_ratio == 0.4);
    assert_int_equal(info.severity, 1000);
    assert_int_equal(info.outcomes_len, 8);
    assert_true(info.outcomes[7].slow);
}

static void failures_are_slow_only_if_they_were(void **state)
{
    struct fixture *f = *state;

    look_for_slow(f);
    f->config.consecutive_failures = 0;
    f->config.failure_ratio = 0.9;
    calls(f, FG_CLASS_SUCCESS, 20);
    calls(f, FG_CLASS_FAILURE, 20);
    slow_calls(f, FG_CLASS_FAILURE, 10);
    struct fg_breaker_info info = describe(f);
    assert_true(info.slow_calls == 50 && info.slow == 10 && info.failures == 30);
    slow_calls(f, FG_CLASS_FAILURE, 17); /* 27 of 67 */
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    assert_string_equal(describe(f).cause, "slow_ratio");
}

static void a_slow_success_ends_a_row(void **state)
{
    struct fixture *f = *state;

    look_for_slow(f);
    calls(f, FG_CLASS_FAILURE, 4);
    slow_calls(f, FG_CLASS_SUCCESS, 1);
    calls(f, FG_CLASS_FAILURE, 4);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void a_slow_probe_opens_again(void **state)
{
    struct fixture *f = *state;

    look_for_slow(f);
    report_slow(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_string_equal(info.cause, "probe_failed");
    assert_int_equal(info.outcomes_len, 1);
    assert_true(info.outcomes[0].slow && info.outcomes[0].class == FG_CLASS_SUCCESS);
}

static void nothing_is_slow_unless_it_is_looked_for(void **state)
{
    struct fixture *f = *state;

    f->config.slow_ratio = 0.1;
    calls(f, FG_CLASS_SUCCESS, 100);
    assert_true(describe(f).slow_calls == 0);
}

/* ---- overload ---- */

static void one_overload_in(struct fixture *f, unsigned calls_len)
{
    for (unsigned i = 0; i < calls_len; i++) {
        struct fg_breaker_ticket ticket;
        if (ask(f, &ticket) == FG_BREAKER_PASS)
            report(f, i == 0 ? FG_CLASS_OVERLOAD : FG_CLASS_SUCCESS, ticket);
    }
}

static void as_much_overload_as_is_allowed_sheds_nothing(void **state)
{
    struct fixture *f = *state;

    f->config.overload_share = 0.1;
    for (unsigned i = 0; i < 300; i++)
        one_overload_in(f, 10);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.overload_calls, 3000);
    assert_int_equal(info.overloads, 300);
    assert_int_equal(info.shed, 0);
    assert_true(info.shed_share == 0);
    assert_true(info.base_overload_share == 0.1);
}

static void overload_is_not_counted_before_it_is_seen(void **state)
{
    struct fixture *f = *state;

    f->config.overload_share = 0.1;
    calls(f, FG_CLASS_SUCCESS, 1000);
    assert_int_equal(describe(f).overload_calls, 0);
    calls(f, FG_CLASS_OVERLOAD, 1);
    calls(f, FG_CLASS_SUCCESS, 10);
    assert_int_equal(describe(f).overload_calls, 11);
    f->now_ns += 10 * FG_S;
    calls(f, FG_CLASS_SUCCESS, 10);
    assert_int_equal(describe(f).overload_calls, 0);
}

static void the_share_is_that_of_the_formula(void **state)
{
    struct fixture *f = *state;

    f->config.overload_share = 0.2;
    calls(f, FG_CLASS_OVERLOAD, 10);
    calls(f, FG_CLASS_SUCCESS, 9);
    assert_true(describe(f).shed_share == 0); /* not yet minimum_calls */
    calls(f, FG_CLASS_FAILURE, 1);            /* which the endpoint has accepted */
    assert_true(describe(f).shed_share == (20 - 10 / 0.8) / 21);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    f->config.overload_share = 1;
    assert_true(describe(f).shed_share == 0);
    f->config.overload_share = 0;
    assert_true(describe(f).shed_share == 0);
}

/* So many calls come, the endpoint accepts ROOM in 100 of them at most; returns how many of each priority are shed. */
static void overload(struct fixture *f, unsigned len, unsigned room, const unsigned char *priorities, unsigned shed[3])
{
    unsigned accepted = 0;

    shed[0] = shed[1] = shed[2] = 0;
    for (unsigned i = 0; i < len; i++) {
        struct fg_breaker_ticket ticket;
        unsigned priority = priorities[i % 10];
        f->now_ns += 5 * FG_MS;
        f->rank = fg_breaker_rank(priority, 1, 1);
        if (ask(f, &ticket) == FG_BREAKER_SHED) {
            assert_int_equal(ticket.value, 0);
            shed[priority]++;
            continue;
        }
        bool fits = accepted * 100 < (i + 1) * room;
        accepted += fits;
        report(f, fits ? FG_CLASS_SUCCESS : FG_CLASS_OVERLOAD, ticket);
    }
}

static void what_is_sent_is_a_little_more_than_what_is_accepted(void **state)
{
    struct fixture *f = *state;
    static const unsigned char all_low[10] = {0};
    unsigned shed[3];

    f->config.overload_share = 0.1;
    overload(f, 4000, 50, all_low, shed);
    overload(f, 10000, 50, all_low, shed);
    assert_in_range(10000 - shed[0], 5500, 5650); /* 5000 / 0.9 = 5556 */
    assert_int_equal(describe(f).refused, 0);
    assert_true(describe(f).shed >= shed[0]);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void low_factors_are_shed_first(void **state)
{
    struct fixture *f = *state;
    static const unsigned char half[10] = {0, 2, 0, 2, 1, 0, 2, 1, 0, 0};
    static const unsigned char rare[10] = {0, 2, 2, 2, 2, 1, 2, 2, 2, 2};
    unsigned shed[3];

    f->config.overload_share = 0.1;
    overload(f, 4000, 70, half, shed);
    overload(f, 10000, 70, half, shed);
    assert_in_range(10000 - shed[0], 7700, 7850); /* 7000 / 0.9 = 7778 */
    assert_int_equal(shed[1] + shed[2], 0);
    overload(f, 4000, 50, rare, shed);
    overload(f, 10000, 50, rare, shed);
    assert_in_range(10000 - shed[0] - shed[1] - shed[2], 5500, 5650);
    assert_in_range(shed[0], 990, 1000); /* of 1000 */
    assert_in_range(shed[1], 990, 1000);
    assert_in_range(shed[2], 2350, 2550);
}

static void shedding_ends_when_overload_does(void **state)
{
    struct fixture *f = *state;
    static const unsigned char all_low[10] = {0};
    unsigned shed[3];

    f->config.overload_share = 0.1;
    overload(f, 4000, 50, all_low, shed);
    assert_true(describe(f).shed_share > 0.4);
    overload(f, 400, 100, all_low, shed); /* two seconds, a fifth of the window */
    overload(f, 4000, 100, all_low, shed);
    assert_int_equal(shed[0], 0);
}

static void an_endpoint_that_accepts_nothing_is_tried_again(void **state)
{
    struct fixture *f = *state;
    static const unsigned char all_low[10] = {0};
    unsigned shed[3];

    f->config.overload_share = 0.1;
    overload(f, 6000, 0, all_low, shed);
    assert_in_range(6000 - shed[0], 60, 150); /* in three windows */
    overload(f, 2000, 100, all_low, shed);
    overload(f, 2000, 100, all_low, shed);
    assert_int_equal(shed[0], 0);
}

static void a_refused_call_is_not_shed_and_a_probe_neither(void **state)
{
    struct fixture *f = *state;

    f->config.overload_share = 0.1;
    trip(f);
    f->rank = fg_breaker_rank(2, 1, 1);
    struct fg_breaker_ticket ticket;
    for (unsigned i = 0; i < 200; i++) /* high calls pass the open circuit, and overload it */
        if (ask(f, &ticket) == FG_BREAKER_PASS)
            report(f, FG_CLASS_OVERLOAD, ticket);
    assert_true(describe(f).shed > 100);
    f->rank = fg_breaker_rank(0, 1, 1);
    expect_refusal(f);
    f->now_ns += 5 * FG_S;
    expect_permit(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slow_is_longer_than_slow_call),
        TEST(slow_is_longer_than_slow_first_message),
        TEST(waiting_for_a_slot_is_not_slow),
        TEST(a_result_is_made_of_an_outcome),
        TEST(slow_successes_trip),
        TEST(failures_are_slow_only_if_they_were),
        TEST(a_slow_success_ends_a_row),
        TEST(a_slow_probe_opens_again),
        TEST(nothing_is_slow_unless_it_is_looked_for),
        TEST(as_much_overload_as_is_allowed_sheds_nothing),
        TEST(overload_is_not_counted_before_it_is_seen),
        TEST(the_share_is_that_of_the_formula),
        TEST(what_is_sent_is_a_little_more_than_what_is_accepted),
        TEST(low_factors_are_shed_first),
        TEST(shedding_ends_when_overload_does),
        TEST(an_endpoint_that_accepts_nothing_is_tried_again),
        TEST(a_refused_call_is_not_shed_and_a_probe_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
