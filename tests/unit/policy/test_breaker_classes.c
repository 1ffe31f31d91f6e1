#include "test_breaker.h"

static struct fg_breaker_rank rank(unsigned priority)
{
    return fg_breaker_rank(priority, 1, 1);
}

/* COUNT calls of PRIORITY that pass. */
static void calls_of(struct fixture *f, unsigned priority, enum fg_class class, unsigned count)
{
    f->rank = rank(priority);
    calls(f, class, count);
}

static void refuses(struct fixture *f, bool low, bool normal, bool high)
{
    bool expected[] = {low, normal, high};
    for (unsigned p = 0; p < 3; p++)
        assert_int_equal(!fg_breaker_admits(f->breaker, &f->config, rank(p), f->now_ns), expected[p]);
}

static void the_factor_is_of_priority_and_weight(void **state)
{
    (void)state;
    assert_int_equal(fg_breaker_factor(0, 1, 1), 1000);
    assert_int_equal(fg_breaker_factor(1, 1, 1), 1300);
    assert_int_equal(fg_breaker_factor(2, 1, 1), 1600);
    assert_int_equal(fg_breaker_factor(2, 100, 1), 3200);
    assert_int_equal(fg_breaker_factor(0, 1, 100), 500);
    assert_int_equal(fg_breaker_factor(0, 3, 2.5), 1200);
    assert_int_equal(fg_breaker_factor(1, 2, 3), 867); /* 866.67 */
    assert_int_equal(fg_breaker_factor(9, 1, 1), 1600);
    assert_int_equal(fg_breaker_factor(0, 0, 1), 500);
    assert_int_equal(fg_breaker_factor(0, 2, 0), 2000);
    assert_int_equal(fg_breaker_factor(0, 1, -3), 1000);
    assert_int_equal(fg_breaker_rank(2, 3, 2).factor, 2400);
    assert_int_equal(fg_breaker_rank(2, 3, 2).units, 6);
    assert_int_equal(fg_breaker_rank(0, 1, 9).units, 2);
    assert_int_equal(fg_breaker_rank(0, 9, 1).units, 8);
    assert_int_equal(fg_breaker_rank(0, 1, 1).units, 4);
}

static void thresholds_are_multiplied(void **state)
{
    (void)state;
    assert_int_equal(fg_breaker_threshold_count(5, 1000), 5);
    assert_int_equal(fg_breaker_threshold_count(5, 1300), 7); /* 6.5 */
    assert_int_equal(fg_breaker_threshold_count(5, 500), 3);
    assert_int_equal(fg_breaker_threshold_count(UINT32_MAX, 3200), UINT32_MAX);
    assert_true(fg_breaker_threshold_share(0.5, 1600) == 0.8);
    assert_true(fg_breaker_threshold_share(0.5, 3200) == 1);
}

static void a_row_trips_at_the_threshold_of_its_class(void **state)
{
    struct fixture *f = *state;

    calls_of(f, 2, FG_CLASS_FAILURE, 7);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls_of(f, 2, FG_CLASS_FAILURE, 1);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_true(info.observed == 8 && info.threshold == 8);
    assert_int_equal(info.factor, 1600);
    assert_int_equal(info.severity, 1600);
    refuses(f, true, true, true);
}

static void a_low_class_is_refused_first(void **state)
{
    struct fixture *f = *state;

    calls_of(f, 2, FG_CLASS_FAILURE, 4);
    calls_of(f, 0, FG_CLASS_FAILURE, 1); /* the fifth in a row is too much for this one */
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_int_equal(info.severity, 1000);
    assert_int_equal(info.factor, 1000);
    refuses(f, true, false, false);
    calls_of(f, 2, FG_CLASS_FAILURE, 4);
    calls_of(f, 2, FG_CLASS_SUCCESS, 1); /* they have their own row */
    calls_of(f, 2, FG_CLASS_FAILURE, 6);
    refuses(f, true, false, false);
    calls_of(f, 1, FG_CLASS_FAILURE, 1); /* seven are 1.4 x 5 */
    refuses(f, true, true, false);
    info = describe(f);
    assert_int_equal(info.severity, 1400);
    assert_true(info.observed == 7 && info.threshold == 7);
    assert_int_equal(info.factor, 1300);
    assert_int_equal(info.trips, 1);
    assert_int_equal(info.since_ns, START);
    calls_of(f, 2, FG_CLASS_FAILURE, 1);
    refuses(f, true, true, true);
    assert_int_equal(describe(f).severity, 1600);
    assert_int_equal(describe(f).trips, 1);
}

static void a_row_below_the_base_trips_for_light_calls(void **state)
{
    struct fixture *f = *state;

    f->rank = fg_breaker_rank(0, 1, 2); /* factor 500 */
    calls(f, FG_CLASS_FAILURE, 3);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    assert_int_equal(describe(f).severity, 600);
    expect_refusal(f);
    f->rank = rank(0);
    expect_pass(f);
}

static void a_share_of_one_is_for_all(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    calls_of(f, 0, FG_CLASS_FAILURE, 20);
    assert_int_equal(describe(f).severity, FG_BREAKER_SEVERITY_MAX);
    f->rank = fg_breaker_rank(2, 2, 1);
    expect_refusal(f);
}

static void the_worst_cause_is_told(void **state)
{
    struct fixture *f = *state;

    /* The row alone would be 1.0, the share is 20/21 of 0.5. */
    f->config.consecutive_failures = 20;
    f->config.minimum_calls = 21;
    calls(f, FG_CLASS_SUCCESS, 1);
    calls(f, FG_CLASS_FAILURE, 20);
    struct fg_breaker_info info = describe(f);
    assert_string_equal(info.cause, "failure_ratio");
    assert_int_equal(info.severity, 1904);
}

static void a_share_times_the_factor(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.failure_ratio = 0.3;
    f->config.minimum_calls = 100;
    calls_of(f, 1, FG_CLASS_SUCCESS, 61);
    calls_of(f, 1, FG_CLASS_FAILURE, 38);
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls_of(f, 1, FG_CLASS_FAILURE, 1); /* 39 of 100 are 1.3 x 0.3 */
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_true(info.observed == 0.39 && info.threshold == 0.39);
    assert_int_equal(info.severity, 1300);
    refuses(f, true, true, false);
    /* Those that pass: their own window, 48 % is their threshold. */
    calls_of(f, 2, FG_CLASS_SUCCESS, 52);
    calls_of(f, 2, FG_CLASS_FAILURE, 47);
    assert_true(describe(f).calls == 99 && describe(f).failures == 47);
    refuses(f, true, true, false);
    calls_of(f, 2, FG_CLASS_FAILURE, 1);
    refuses(f, true, true, true);
    assert_true(describe(f).threshold == 0.48 && describe(f).base_failure_ratio == 0.3);
    assert_int_equal(describe(f).severity, 1600);
}

static void calls_count_by_their_weight(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 0;
    f->config.minimum_calls = 9;
    f->config.failure_ratio = 0.25;
    f->rank = (struct fg_breaker_rank){1000, 8};
    calls(f, FG_CLASS_SUCCESS, 3);
    f->rank = (struct fg_breaker_rank){1000, 3};
    calls(f, FG_CLASS_FAILURE, 3);
    struct fg_breaker_info info = describe(f);
    assert_true(info.calls == 8.25 && info.failures == 2.25);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    f->rank = (struct fg_breaker_rank){1000, 2};
    calls(f, FG_CLASS_SUCCESS, 1); /* 8.75 calls */
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_SUCCESS, 1); /* 9.25, of which 2.25 are 24 % */
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    calls(f, FG_CLASS_FAILURE, 1); /* 2.75 of 9.75 */
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    assert_int_equal(describe(f).severity, 1128);
}

static void in_half_open_the_high_classes_pass_without_a_permit(void **state)
{
    struct fixture *f = *state;

    trip(f);
    f->rank = rank(2);
    struct fg_breaker_ticket early = expect_pass(f);
    f->now_ns += f->config.open_for_ns;
    expect_pass(f); /* it does not ask for a probe */
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
    f->rank = rank(0);
    struct fg_breaker_ticket probe = expect_permit(f);
    expect_refusal(f);
    f->rank = rank(2);
    calls(f, FG_CLASS_FAILURE, 7); /* neither do their failures open it again */
    report(f, FG_CLASS_FAILURE, early);
    assert_int_equal(describe(f).state, FG_BREAKER_HALF_OPEN);
    assert_int_equal(describe(f).permits_out, 1);
    assert_int_equal(describe(f).severity, 1000);
    calls(f, FG_CLASS_FAILURE, 1); /* but they raise the severity */
    assert_int_equal(describe(f).severity, 1600);
    assert_int_equal(describe(f).trips, 1);
    expect_refusal(f);
    f->rank = rank(0);
    report(f, FG_CLASS_SUCCESS, probe);
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    f->rank = rank(2);
    report(f, FG_CLASS_SUCCESS, expect_permit(f)); /* of those refused, all classes probe */
    assert_int_equal(describe(f).state, FG_BREAKER_CLOSED);
    assert_int_equal(describe(f).severity, 0);
    refuses(f, false, false, false);
}

static void a_failed_probe_leaves_the_severity(void **state)
{
    struct fixture *f = *state;

    report(f, FG_CLASS_FAILURE, trip_and_probe(f));
    struct fg_breaker_info info = describe(f);
    assert_string_equal(info.cause, "probe_failed");
    assert_int_equal(info.severity, 1000);
    refuses(f, true, false, false);
    assert_int_equal(info.trips, 2);
}

/* ---- pause ---- */

static void the_pause_grows_and_shrinks(void **state)
{
    struct fixture *f = *state;

    f->config.max_open_for_ns = 18 * FG_S;
    f->config.half_open_calls = 1;
    assert_int_equal(describe(f).pause_ns, 5 * FG_S);
    trip(f);
    static const unsigned pauses[] = {5, 10, 15, 18, 18, 18};
    for (unsigned i = 0; i < FG_ARRAY_LEN(pauses); i++) {
        assert_int_equal(describe(f).pause_ns, pauses[i] * FG_S);
        assert_int_equal(describe(f).retrips, FG_MIN(i + 1, 4));
        f->now_ns += pauses[i] * FG_S - 1;
        expect_refusal(f);
        f->now_ns += 1;
        report(f, FG_CLASS_FAILURE, expect_permit(f));
    }
    f->now_ns += 18 * FG_S;
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    assert_int_equal(describe(f).retrips, 4); /* more than four count for nothing */
    assert_int_equal(describe(f).pause_ns, 18 * FG_S);
    f->now_ns += 20 * FG_S - 1; /* one window, and almost another one */
    assert_int_equal(describe(f).retrips, 3);
    f->now_ns += 1;
    assert_int_equal(describe(f).retrips, 2);
    trip(f);
    assert_int_equal(describe(f).pause_ns, 15 * FG_S);
    f->now_ns += 15 * FG_S;
    report(f, FG_CLASS_SUCCESS, expect_permit(f));
    f->now_ns += 1000 * FG_S;
    trip(f);
    assert_int_equal(describe(f).retrips, 1);
    assert_int_equal(describe(f).pause_ns, 5 * FG_S);
}

static void a_reload_changes_the_pause(void **state)
{
    struct fixture *f = *state;

    f->config.max_open_for_ns = 60 * FG_S;
    report(f, FG_CLASS_FAILURE, trip_and_probe(f));
    assert_int_equal(describe(f).pause_ns, 10 * FG_S);
    f->config.open_for_ns = FG_S;
    assert_int_equal(describe(f).pause_ns, 2 * FG_S);
    f->config.max_open_for_ns = 0;
    assert_int_equal(describe(f).pause_ns, FG_S);
}

/* ---- what only watches ---- */

static void a_roll_up_of_a_method_counts_and_refuses_nothing(void **state)
{
    struct fixture *f = *state;

    f->breaker = fg_breaker_get(f->registry, FG_STR("c"), FG_STR(""), FG_STR("/s/m"));
    f->config.overload_share = 0.1;
    calls(f, FG_CLASS_FAILURE, 50);
    calls(f, FG_CLASS_OVERLOAD, 50);
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_true(info.calls == 50 && info.failures == 50);
    assert_int_equal(info.consecutive_failures, 50);
    assert_int_equal(info.overload_calls, 50);
    assert_int_equal(info.overloads, 50);
    assert_true(info.shed_share == 0);
    assert_int_equal(info.trips, 0);
    assert_int_equal(info.severity, 0);
}

/* ---- what led to it ---- */

static void the_outcomes_before_a_trip_are_kept(void **state)
{
    struct fixture *f = *state;

    f->config.consecutive_failures = 10;
    for (unsigned i = 0; i < 10; i++) {
        report_result(f,
                      (struct fg_breaker_result){.class = FG_CLASS_FAILURE,
                                                 .code = i == 9 ? FG_STATUS_UNAUTHENTICATED : FG_STATUS_UNAVAILABLE,
                                                 .source = i == 9 ? FG_SOURCE_CLIENT_GONE : FG_SOURCE_TRAILERS,
                                                 .slow = i == 8,
                                                 .duration_ms = i == 7 ? UINT32_MAX : i},
                      expect_pass(f));
        f->now_ns += FG_S;
    }
    f->now_ns += FG_S;
    struct fg_breaker_info info = describe(f);
    assert_int_equal(info.state, FG_BREAKER_OPEN);
    assert_int_equal(info.outcomes_len, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct fg_breaker_outcome *outcome = &info.outcomes[i];
        assert_int_equal(outcome->class, FG_CLASS_FAILURE);
        assert_int_equal(outcome->code, i == 7 ? FG_STATUS_UNAUTHENTICATED : FG_STATUS_UNAVAILABLE);
        assert_int_equal(outcome->source, i == 7 ? FG_SOURCE_CLIENT_GONE : FG_SOURCE_TRAILERS);
        assert_int_equal(outcome->slow, i == 6);
        assert_int_equal(outcome->duration_ms, i == 5 ? 262143 : i + 2);
        assert_int_equal(outcome->age_ns, (9 - i) * FG_S);
    }
    /* Those of the open period do not push them out. */
    f->rank = rank(2);
    calls(f, FG_CLASS_FAILURE, 3);
    assert_int_equal(describe(f).outcomes_len, 8);
    f->now_ns -= 30 * FG_S; /* another clock */
    assert_int_equal(describe(f).outcomes[7].age_ns, 0);
}

static void outcomes_of_an_earlier_period_are_not_told(void **state)
{
    struct fixture *f = *state;

    trip(f);
    assert_int_equal(describe(f).outcomes_len, 5);
    f->now_ns += f->config.open_for_ns;
    report(f, FG_CLASS_FAILURE, expect_permit(f));
    assert_int_equal(describe(f).outcomes_len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_factor_is_of_priority_and_weight),
        TEST(thresholds_are_multiplied),
        TEST(a_row_trips_at_the_threshold_of_its_class),
        TEST(a_low_class_is_refused_first),
        TEST(a_row_below_the_base_trips_for_light_calls),
        TEST(a_share_of_one_is_for_all),
        TEST(the_worst_cause_is_told),
        TEST(a_share_times_the_factor),
        TEST(calls_count_by_their_weight),
        TEST(in_half_open_the_high_classes_pass_without_a_permit),
        TEST(a_failed_probe_leaves_the_severity),
        TEST(the_pause_grows_and_shrinks),
        TEST(a_reload_changes_the_pause),
        TEST(a_roll_up_of_a_method_counts_and_refuses_nothing),
        TEST(the_outcomes_before_a_trip_are_kept),
        TEST(outcomes_of_an_earlier_period_are_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
