#include "test_breaker.h"

static void starts_closed(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_info info = describe(f);

    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_string_equal(info.cause, "");
    assert_true(info.observed == 0 && info.threshold == 0);
    assert_int_equal(info.since_ns, 0);
    assert_int_equal(info.retry_in_ns, 0);
    assert_int_equal(info.calls, 0);
    assert_int_equal(info.trips, 0);
    assert_int_not_equal(expect_pass(f).value, 0);
}

static void trips_at_exactly_so_many_failures_in_a_row(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_info info;

    calls(f, FG_CLASS_FAILURE, 4);
    info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_int_equal(info.consecutive_failures, 4);
    assert_int_equal(info.failures, 4);
    calls(f, FG_CLASS_FAILURE, 1);
    info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_string_equal(info.cause, "consecutive_failures");
    assert_true(info.observed == 5 && info.threshold == 5);
    assert_int_equal(info.since_ns, START);
    assert_int_equal(info.retry_in_ns, 5 * FG_S);
    assert_int_equal(info.trips, 1);
    /* Opening forgets what was counted. */
    assert_int_equal(info.calls, 0);
    assert_int_equal(info.failures, 0);
    assert_int_equal(info.consecutive_failures, 0);
}

static void a_success_ends_a_row_and_overload_does_not(void **state)
{
    struct fixture *f = *state;

    calls(f, FG_CLASS_FAILURE, 4);
    calls(f, FG_CLASS_SUCCESS, 1);
    assert_int_equal(describe(f).consecutive_failures, 0);
    calls(f, FG_CLASS_FAILURE, 4);
    calls(f, FG_CLASS_OVERLOAD, 3);
    calls(f, FG_CLASS_IGNORED, 3);
    assert_int_equal(describe(f).consecutive_failures, 4);
    assert_int_equal(describe(f).calls, 9);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

static void the_ratio_counts_from_minimum_calls_on(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_info info;

    f->config.consecutive_failures = 0;
    calls(f, FG_CLASS_FAILURE, 19);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    /* It is the number of calls that was missing, so that a success may be what trips it. */
    calls(f, FG_CLASS_SUCCESS, 1);
    info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_string_equal(info.cause, "failure_ratio");
    assert_true(info.observed == 0.95 && info.threshold == 0.5);
}

static void the_ratio_trips_when_reached_and_not_before(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.failure_ratio = 0.3;
    calls(f, FG_CLASS_SUCCESS, 17);
    calls(f, FG_CLASS_FAILURE, 7); /* 7 of 24 are 29 % */
    assert_int_equal(describe(f).calls, 24);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1); /* 8 of 25 are 32 % */
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

static void thirty_percent_is_three_of_ten(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.minimum_calls = 10;
    f->config.failure_ratio = 0.3;
    calls(f, FG_CLASS_SUCCESS, 7);
    calls(f, FG_CLASS_FAILURE, 2);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    assert_true(describe(f).observed == 0.3 && describe(f).threshold == 0.3);
}

static void a_ratio_of_one_needs_failures_only(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.failure_ratio = 1;
    calls(f, FG_CLASS_SUCCESS, 1);
    calls(f, FG_CLASS_FAILURE, 500);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    f->now_ns += f->config.window_ns;
    calls(f, FG_CLASS_FAILURE, 19);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

static void a_ratio_of_zero_needs_a_failure(void **state)
{
    struct fixture *f = *state;

    f->config.failure_ratio = 0;
    calls(f, FG_CLASS_SUCCESS, 50);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

static void old_calls_fall_out_of_the_window(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    for (unsigned second = 0; second < 10; second++) {
        calls(f, FG_CLASS_FAILURE, 1);
        calls(f, FG_CLASS_SUCCESS, 2);
        f->now_ns += FG_S;
    }
    f->now_ns -= 1; /* the last instant in which the first second is in the window */
    assert_int_equal(describe(f).calls, 30);
    assert_int_equal(describe(f).failures, 10);
    f->now_ns += 1;
    assert_int_equal(describe(f).calls, 27);
    assert_int_equal(describe(f).failures, 9);
    f->now_ns += 8 * FG_S;
    assert_int_equal(describe(f).calls, 3);
    f->now_ns += FG_S;
    assert_int_equal(describe(f).calls, 0);
    /* Failures alone, but not enough calls at any time. */
    calls(f, FG_CLASS_FAILURE, 19);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    f->now_ns += 10 * FG_S;
    calls(f, FG_CLASS_FAILURE, 19);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void a_long_pause_forgets_the_window(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    calls(f, FG_CLASS_FAILURE, 19);
    f->now_ns += 365ull * 86400 * FG_S;
    assert_int_equal(describe(f).calls, 0);
    calls(f, FG_CLASS_SUCCESS, 1);
    assert_int_equal(describe(f).calls, 1);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void more_calls_than_a_bucket_holds_keep_their_ratio(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.failure_ratio = 0.26;
    for (unsigned i = 0; i < 300000; i++)
        calls(f, i % 4 == 3 ? FG_CLASS_FAILURE : FG_CLASS_SUCCESS, 1);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_in_range(info.calls, 32767, 65535);
    assert_true(info.failures >= info.calls / 4 - 1 && info.failures <= info.calls / 4 + 1);
}

static void stays_open_for_exactly_open_for(void **state)
{
    struct fixture *f = *state;

    trip(f);
    expect_refusal(f);
    f->now_ns += 5 * FG_S - 1;
    assert_int_equal(describe(f).retry_in_ns, 1);
    expect_refusal(f);
    assert_int_equal(describe(f).refused, 2);
    f->now_ns += 1;
    assert_int_equal(describe(f).retry_in_ns, 0);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    expect_permit(f);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_HALF_OPEN);
    assert_int_equal(info.since_ns, START + 5 * FG_S);
    assert_int_equal(info.permits_out, 1);
}

static void probes_go_out_in_a_ramp_and_close(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_ticket first = trip_and_probe(f);

    expect_refusal(f);
    assert_int_equal(describe(f).retry_in_ns, 5 * FG_S);
    report(f, FG_CLASS_SUCCESS, first);
    assert_int_equal(describe(f).retry_in_ns, 0);
    struct fg_breaker_ticket second = expect_permit(f), third = expect_permit(f);
    expect_refusal(f); /* three in all */
    assert_int_equal(describe(f).permits_out, 2);
    report(f, FG_CLASS_SUCCESS, third);
    expect_refusal(f);
    assert_int_equal(describe(f).state, FG_BREAKER_HALF_OPEN);
    f->now_ns += 7;
    report(f, FG_CLASS_SUCCESS, second);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_int_equal(info.since_ns, f->now_ns);
    assert_int_equal(info.calls, 0);
    assert_int_equal(info.permits_out, 0);
    assert_string_equal(info.cause, "consecutive_failures"); /* what tripped it last */
    expect_pass(f);
}

static void a_long_ramp_doubles(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_ticket tickets[10];

    f->config.half_open_calls = 10;
    tickets[0] = trip_and_probe(f);
    unsigned ok = 0, out = 1;
    for (unsigned total = 1; total < 10;) {
        for (; out > 0; out--, ok++)
            report(f, FG_CLASS_SUCCESS, tickets[out - 1]);
        while (out < ok + 1 && total < 10) {
            tickets[out++] = expect_permit(f);
            total++;
        }
        expect_refusal(f);
    }
    for (; out > 0; out--)
        report(f, FG_CLASS_SUCCESS, tickets[out - 1]);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void one_failed_probe_opens_again(void **state)
{
    struct fixture *f = *state;

    report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    struct fg_breaker_ticket second = expect_permit(f), third = expect_permit(f);
    f->now_ns += 100;
    report(f, FG_CLASS_FAILURE, second);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_string_equal(info.cause, "probe_failed");
    assert_true(info.observed == 1 && info.threshold == 3);
    assert_int_equal(info.since_ns, f->now_ns);
    assert_int_equal(info.retry_in_ns, 5 * FG_S);
    assert_int_equal(info.trips, 2);
    report(f, FG_CLASS_FAILURE, third); /* another one of the same period trips nothing twice */
    assert_int_equal(describe(f).trips, 2);
    expect_refusal(f);
}

static void permits_given_back_go_out_again(void **state)
{
    struct fixture *f = *state;
    static const enum fg_class given_back[] = {FG_CLASS_IGNORED, FG_CLASS_OVERLOAD};
    struct fg_breaker_ticket ticket = trip_and_probe(f);

    for (unsigned i = 0; i < 20; i++) {
        report(f, given_back[i % 2], ticket);
        assert_int_equal(describe(f).permits_out, 0);
        ticket = expect_permit(f);
        expect_refusal(f);
    }
    report(f, FG_CLASS_SUCCESS, ticket);
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(describe(f).state, FG_BREAKER_HALF_OPEN);
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void calls_begun_before_the_trip_do_not_count_after_it(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_ticket before = expect_pass(f);
    struct fg_breaker_ticket probe = trip_and_probe(f);

    for (unsigned i = 0; i < 5; i++) {
        report(f, FG_CLASS_SUCCESS, before);
        report(f, FG_CLASS_FAILURE, before);
        report(f, FG_CLASS_SUCCESS, no_ticket);
        report(f, FG_CLASS_FAILURE, no_ticket);
    }
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_HALF_OPEN);
    assert_int_equal(info.permits_out, 1);
    report(f, FG_CLASS_SUCCESS, probe);
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    for (unsigned i = 0; i < 50; i++) /* nor do they trip the circuit that has recovered */
        report(f, FG_CLASS_FAILURE, before);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    assert_int_equal(describe(f).calls, 0);
    report(f, FG_CLASS_FAILURE, no_ticket); /* without a ticket it does count here */
    assert_int_equal(describe(f).failures, 1);
}

static void a_late_probe_of_an_earlier_episode_does_not_count(void **state)
{
    struct fixture *f = *state;

    report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    struct fg_breaker_ticket late = expect_permit(f);
    report(f, FG_CLASS_FAILURE, expect_permit(f));
    f->now_ns += f->config.open_for_ns;
    struct fg_breaker_ticket probe = expect_permit(f);
    report(f, FG_CLASS_SUCCESS, late);
    report(f, FG_CLASS_IGNORED, late);
    assert_int_equal(describe(f).permits_out, 1);
    expect_refusal(f);
    report(f, FG_CLASS_FAILURE, late);
    assert_int_equal(describe(f).state, FG_BREAKER_HALF_OPEN);
    report(f, FG_CLASS_SUCCESS, probe);
    assert_int_equal(describe(f).permits_out, 0);
}

static void a_probe_without_an_answer_is_replaced_after_open_for(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_ticket lost = trip_and_probe(f);

    f->now_ns += f->config.open_for_ns - 1;
    assert_int_equal(describe(f).retry_in_ns, 1);
    expect_refusal(f);
    f->now_ns += 1;
    struct fg_breaker_ticket second = expect_permit(f);
    assert_int_not_equal(second.value, lost.value);
    expect_refusal(f); /* a single one */
    assert_int_equal(describe(f).permits_out, 1);
    f->now_ns += f->config.open_for_ns;
    struct fg_breaker_ticket third = expect_permit(f);
    expect_refusal(f);
    /* The late answers count, and take no permit out of the round they do not belong to. */
    report(f, FG_CLASS_IGNORED, second);
    assert_int_equal(describe(f).permits_out, 1);
    expect_refusal(f);
    report(f, FG_CLASS_SUCCESS, lost);
    assert_int_equal(describe(f).permits_out, 1);
    struct fg_breaker_ticket fourth = expect_permit(f);
    expect_refusal(f);
    report(f, FG_CLASS_SUCCESS, third);
    report(f, FG_CLASS_SUCCESS, fourth);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void a_late_failure_of_a_replaced_probe_opens(void **state)
{
    struct fixture *f = *state;
    struct fg_breaker_ticket slow = trip_and_probe(f);

    f->now_ns += f->config.open_for_ns;
    expect_permit(f);
    report(f, FG_CLASS_FAILURE, slow);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

static void fewer_probes_after_a_reload_still_close(void **state)
{
    struct fixture *f = *state;

    f->config.half_open_calls = 5;
    report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    f->config.half_open_calls = 2;
    expect_refusal(f);
    f->now_ns += f->config.open_for_ns;
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void zero_probes_are_taken_for_one(void **state)
{
    struct fixture *f = *state;

    f->config.half_open_calls = 0;
    report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
}

static void a_disabled_breaker_passes_and_counts_nothing(void **state)
{
    struct fixture *f = *state;

    trip(f);
    f->config.enabled = false;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(expect_pass(f).value, 0);
        report(f, FG_CLASS_FAILURE, no_ticket);
    }
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    assert_int_equal(describe(f).retry_in_ns, 0);
    assert_int_equal(describe(f).refused, 0);
    f->config.enabled = true;
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    assert_int_equal(describe(f).trips, 1);
    expect_refusal(f);
}

static void a_clock_that_lags_behind_does_no_harm(void **state)
{
    struct fixture *f = *state;

    calls(f, FG_CLASS_SUCCESS, 3);
    f->now_ns -= 2 * FG_S; /* another worker's loop turn began earlier */
    calls(f, FG_CLASS_SUCCESS, 3);
    f->now_ns += 2 * FG_S;
    assert_int_equal(describe(f).calls, 6);
    f->now_ns -= 12 * FG_S; /* this one slept for longer than the window: the newer slice stays */
    calls(f, FG_CLASS_SUCCESS, 1);
    f->now_ns += 12 * FG_S;
    assert_int_equal(describe(f).calls, 6);
    trip(f);
    f->now_ns -= FG_S;
    assert_int_equal(describe(f).retry_in_ns, 5 * FG_S);
    expect_refusal(f);
}

static void cycles_for_longer_than_its_counters(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 1;
    f->config.half_open_calls = 1;
    for (unsigned i = 0; i < 3000; i++) {
        report(f, FG_CLASS_SUCCESS, trip_and_probe(f));
        assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
        assert_int_equal(describe(f).calls, 0);
    }
    /* Write-offs wrap too. */
    expect_permit((trip(f), f->now_ns += f->config.open_for_ns, f));
    for (unsigned i = 0; i < 3000; i++) {
        f->now_ns += f->config.open_for_ns;
        expect_permit(f);
        assert_int_equal(describe(f).permits_out, 1);
    }
    assert_int_equal(describe(f).trips, 3001);
    assert_string_equal(fg_breaker_state_name(describe(f).state), "half_open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_closed),
        TEST(trips_at_exactly_so_many_failures_in_a_row),
        TEST(a_success_ends_a_row_and_overload_does_not),
        TEST(the_ratio_counts_from_minimum_calls_on),
        TEST(the_ratio_trips_when_reached_and_not_before),
        TEST(thirty_percent_is_three_of_ten),
        TEST(a_ratio_of_one_needs_failures_only),
        TEST(a_ratio_of_zero_needs_a_failure),
        TEST(old_calls_fall_out_of_the_window),
        TEST(a_long_pause_forgets_the_window),
        TEST(more_calls_than_a_bucket_holds_keep_their_ratio),
        TEST(stays_open_for_exactly_open_for),
        TEST(probes_go_out_in_a_ramp_and_close),
        TEST(a_long_ramp_doubles),
        TEST(one_failed_probe_opens_again),
        TEST(permits_given_back_go_out_again),
        TEST(calls_begun_before_the_trip_do_not_count_after_it),
        TEST(a_late_probe_of_an_earlier_episode_does_not_count),
        TEST(a_probe_without_an_answer_is_replaced_after_open_for),
        TEST(a_late_failure_of_a_replaced_probe_opens),
        TEST(fewer_probes_after_a_reload_still_close),
        TEST(zero_probes_are_taken_for_one),
        TEST(a_disabled_breaker_passes_and_counts_nothing),
        TEST(a_clock_that_lags_behind_does_no_harm),
        TEST(cycles_for_longer_than_its_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
