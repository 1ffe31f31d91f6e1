/* What the snapshot holds of the policies: the defaults, with every key set, and what is worked out from several. */
#include "expect.h"

#include "base/time.h"
#include "every_key.h"
#include "rpc/outcome.h"

#define MINIMAL  "listeners: [{address: 'a:1'}]\nclusters: {a: {endpoints: ['b:2']}}\n"
#define BIT(x)   (1u << FG_STATUS_##x)
#define A_DAY_NS (24 * 3600 * FG_S)

/* ---- defaults ---- */

static void expect_route_defaults(const struct fg_config_route *r)
{
    assert_int_equal(r->timeout_ns, 0);
    assert_int_equal(r->stream_idle_timeout_ns, 0);
    assert_int_equal(r->max_stream_duration_ns, 0);
    assert_int_equal(r->priority, 1);
    assert_null(r->priority_header);
    assert_int_equal(r->weight, 1);
    assert_null(r->tenant.header);
    assert_int_equal(r->tenant.weights_len, 0);
    assert_int_equal(r->outcomes.failure, fg_outcome_default_sets.failure);
    assert_int_equal(r->outcomes.overload, fg_outcome_default_sets.overload);
    assert_int_equal(r->outcomes.ignore, fg_outcome_default_sets.ignore);
    assert_int_equal(r->retry.attempts, 1);
    assert_int_equal(r->retry.on, BIT(UNAVAILABLE));
    assert_false(r->retry.idempotent);
    assert_int_equal(r->retry.attempt_timeout_ns, 0);
    assert_int_equal(r->retry.hedge_delay_ns, 0);
    assert_int_equal(r->retry.buffer, 64 << 10);
    assert_int_equal(r->retry.backoff.initial_ns, 500 * FG_MS);
    assert_true(r->retry.backoff.multiplier == 2.0);
    assert_true(r->retry.backoff.jitter == 0.2);
    assert_int_equal(r->retry.backoff.max_ns, 10 * FG_S);
    assert_int_equal(r->rate_limit.interval_ns, 0);
    assert_int_equal(r->rate_limit.key, FG_LIMIT_KEY_NONE);
    assert_null(r->rate_limit.header);
    assert_int_equal(r->message_limit.interval_ns, 0);
    assert_int_equal(r->max_message, 4 << 20);
    assert_int_equal(r->cors.origins_len, 0);
}

static void expect_cluster_defaults(const struct fg_config_cluster *c)
{
    assert_true(c->breaker.slow_ratio == 0.8);
    assert_int_equal(c->breaker.slow_call_ns, 0);
    assert_int_equal(c->breaker.slow_first_message_ns, 0);
    assert_true(c->breaker.overload_share == 0.5);
    assert_int_equal(c->breaker.max_open_for_ns, 300 * FG_S);
    assert_int_equal(c->limits.streams, 0);
    assert_int_equal(c->limits.long_streams, 0);
    assert_int_equal(c->limits.long_after_ns, 10 * FG_S);
    assert_int_equal(c->limits.retries, 0);
    assert_true(c->limits.refuse_doomed);
    assert_false(c->limits.adaptive.enabled);
    assert_int_equal(c->retry_throttle.max_tokens, 0);
    assert_true(c->retry_throttle.token_ratio == 0.1);
    assert_true(c->retry_budget.share == 0.2);
    assert_int_equal(c->retry_budget.minimum, 3);
    for (int i = 0; i < 3; i++)
        assert_true(c->mean_weight[i] == 1.0);
}

static void absent_policies_have_their_defaults(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("f", MINIMAL "routes: [{cluster: a}]\n");
    expect_route_defaults(&c->routes[0]);
    expect_cluster_defaults(&c->clusters[0]);
    fg_config_unref(c);

    c = must_parse("f", MINIMAL "routes: [{cluster: a, outcomes: {}, retry: {}}]\n");
    expect_route_defaults(&c->routes[0]);
    fg_config_unref(c);
}

static void so_has_a_route_that_nobody_wrote(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("f", MINIMAL);
    assert_int_equal(c->routes_len, 1);
    expect_route_defaults(&c->routes[0]);
    fg_config_unref(c);

    struct fg_config_errors errors;
    assert_int_equal(fg_config_from_flags("127.0.0.1:8080", "127.0.0.1:1", &c, &errors), 0);
    expect_route_defaults(&c->routes[0]);
    expect_cluster_defaults(&c->clusters[0]);
    fg_config_unref(c);
}

static void sections_that_switch_something_on_have_defaults(void **state)
{
    (void)state;
    struct fg_config *c =
        must_parse("f", "listeners: [{address: 'a:1'}]\n"
                        "clusters: {a: {endpoints: ['b:2'], limits: {adaptive: {}}}}\n"
                        "routes: [{cluster: a, rate_limit: {rate: 1/s}, message_limit: {rate: 1/s}}]\n");
    const struct fg_config_adaptive *adaptive = &c->clusters[0].limits.adaptive;
    assert_true(adaptive->enabled);
    assert_int_equal(adaptive->initial, 20);
    assert_int_equal(adaptive->minimum, 5);
    assert_int_equal(adaptive->maximum, 10000);
    assert_true(adaptive->tolerance == 1.5);
    assert_int_equal(adaptive->window_ns, FG_S);
    assert_int_equal(adaptive->samples, 50);
    assert_int_equal(c->routes[0].rate_limit.burst, 1);
    assert_int_equal(c->routes[0].rate_limit.key, FG_LIMIT_KEY_NONE);
    assert_int_equal(c->routes[0].message_limit.burst, 0);
    assert_int_equal(c->routes[0].message_limit.action, FG_MESSAGE_DELAY);
    fg_config_unref(c);
}

/* ---- every key ---- */

static void every_key_of_a_route_reaches_its_field(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("f", every_key);
    const struct fg_config_route *r = &c->routes[0];
    assert_int_equal(r->stream_idle_timeout_ns, FG_S);
    assert_int_equal(r->max_stream_duration_ns, 3 * FG_S);
    assert_string_equal(r->priority_header, "x-priority");
    assert_string_equal(r->tenant.header, "x-tenant");
    assert_int_equal(r->tenant.weights_len, 2);
    assert_string_equal(r->tenant.weights[0].name, "Gold");
    assert_int_equal(r->tenant.weights[0].weight, 3);
    assert_string_equal(r->tenant.weights[1].name, "team a");
    assert_int_equal(r->tenant.weights[1].weight, 100);
    assert_int_equal(r->outcomes.failure, BIT(UNAVAILABLE) | BIT(INTERNAL));
    assert_int_equal(r->outcomes.overload, BIT(ABORTED));
    assert_int_equal(r->outcomes.ignore, 0);
    assert_int_equal(r->retry.attempts, 4);
    assert_int_equal(r->retry.on, BIT(UNAVAILABLE) | BIT(ABORTED));
    assert_true(r->retry.idempotent);
    assert_int_equal(r->retry.attempt_timeout_ns, 500 * FG_MS);
    assert_int_equal(r->retry.hedge_delay_ns, 100 * FG_MS);
    assert_int_equal(r->retry.buffer, 1 << 20);
    assert_int_equal(r->retry.backoff.initial_ns, 10 * FG_MS);
    assert_true(r->retry.backoff.multiplier == 1.5);
    assert_true(r->retry.backoff.jitter == 0.0);
    assert_int_equal(r->retry.backoff.max_ns, FG_S);
    assert_int_equal(r->rate_limit.interval_ns, 100 * FG_MS);
    assert_int_equal(r->rate_limit.burst, 20);
    assert_int_equal(r->rate_limit.key, FG_LIMIT_KEY_HEADER);
    assert_string_equal(r->rate_limit.header, "x-api-key");
    assert_int_equal(r->message_limit.interval_ns, 142857143);
    assert_int_equal(r->message_limit.burst, 5);
    assert_int_equal(r->message_limit.action, FG_MESSAGE_REJECT);
    assert_int_equal(r->max_message, 3 << 20);
    assert_int_equal(r->unify, 503);
    assert_int_equal(r->unknown_fields, FG_UNKNOWN_IGNORE);
    assert_int_equal(r->fault.abort, FG_STATUS_ABORTED);
    assert_float_equal(r->fault.share, 0.05, 1e-9);
    assert_int_equal(r->cors.origins_len, 2);
    assert_string_equal(r->cors.origins[0].origin, "https://a.example");
    assert_string_equal(r->cors.origins[1].origin, "http://b:8080");
    assert_true(r->cors.credentials);
    assert_int_equal(r->cors.max_age_ns, 3 * FG_S);
    fg_config_unref(c);
}

static void every_key_of_a_cluster_reaches_its_field(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("f", every_key);
    const struct fg_config_cluster *b = &c->clusters[1];
    assert_true(b->breaker.slow_ratio == 0.7);
    assert_int_equal(b->breaker.slow_call_ns, 300 * FG_MS);
    assert_int_equal(b->breaker.slow_first_message_ns, 200 * FG_MS);
    assert_true(b->breaker.overload_share == 0.4);
    assert_int_equal(b->breaker.max_open_for_ns, 30 * FG_S);
    assert_int_equal(b->limits.streams, 50);
    assert_int_equal(b->limits.long_streams, 7);
    assert_int_equal(b->limits.long_after_ns, 3 * FG_S);
    assert_int_equal(b->limits.retries, 6);
    assert_false(b->limits.refuse_doomed);
    assert_true(b->limits.adaptive.enabled);
    assert_int_equal(b->limits.adaptive.initial, 30);
    assert_int_equal(b->limits.adaptive.minimum, 10);
    assert_int_equal(b->limits.adaptive.maximum, 200);
    assert_true(b->limits.adaptive.tolerance == 2.5);
    assert_int_equal(b->limits.adaptive.window_ns, 500 * FG_MS);
    assert_int_equal(b->limits.adaptive.samples, 25);
    assert_int_equal(b->retry_throttle.max_tokens, 100);
    assert_true(b->retry_throttle.token_ratio == 0.005);
    assert_true(b->retry_budget.share == 0.5);
    assert_int_equal(b->retry_budget.minimum, 9);
    fg_config_unref(c);
}

/* ---- outcomes ---- */

static void defaults_give_way_to_what_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t failure, overload, ignore;
    } cases[] = {
        {"", BIT(UNKNOWN) | BIT(DEADLINE_EXCEEDED) | BIT(INTERNAL) | BIT(UNAVAILABLE) | BIT(DATA_LOSS),
         BIT(RESOURCE_EXHAUSTED), BIT(CANCELLED)},
        /* Taken out of the default set that it is in; what ignore had is given up, since ignore is written. */
        {"ignore: UNAVAILABLE", BIT(UNKNOWN) | BIT(DEADLINE_EXCEEDED) | BIT(INTERNAL) | BIT(DATA_LOSS),
         BIT(RESOURCE_EXHAUSTED), BIT(UNAVAILABLE)},
        {"failure: [RESOURCE_EXHAUSTED, CANCELLED]", BIT(RESOURCE_EXHAUSTED) | BIT(CANCELLED), 0, 0},
        {"overload: [RESOURCE_EXHAUSTED, UNAVAILABLE]",
         BIT(UNKNOWN) | BIT(DEADLINE_EXCEEDED) | BIT(INTERNAL) | BIT(DATA_LOSS),
         BIT(RESOURCE_EXHAUSTED) | BIT(UNAVAILABLE), BIT(CANCELLED)},
        {"failure: [], overload: []", 0, 0, BIT(CANCELLED)},
        {"failure: INTERNAL, ignore: [CANCELLED, UNAUTHENTICATED]", BIT(INTERNAL), BIT(RESOURCE_EXHAUSTED),
         BIT(CANCELLED) | BIT(UNAUTHENTICATED)},
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        char text[300];
        snprintf(text, sizeof text, MINIMAL "routes: [{cluster: a, outcomes: {%s}}]\n", cases[i].text);
        struct fg_config *c = must_parse("f", text);
        const struct fg_config_outcomes *o = &c->routes[0].outcomes;
        if (o->failure != cases[i].failure || o->overload != cases[i].overload || o->ignore != cases[i].ignore)
            fail_msg("{%s}: found %x %x %x", cases[i].text, o->failure, o->overload, o->ignore);
        fg_config_unref(c);
    }
}

/* ---- limits ---- */

static void a_limit_knows_what_it_is_kept_by(void **state)
{
    (void)state;
    static const struct {
        const char *text, *header;
        enum fg_config_limit_key key;
    } cases[] = {{"none", NULL, FG_LIMIT_KEY_NONE},
                 {"peer", NULL, FG_LIMIT_KEY_PEER},
                 {"method", NULL, FG_LIMIT_KEY_METHOD},
                 {"tenant", NULL, FG_LIMIT_KEY_TENANT},
                 {"'header:X-Key'", "x-key", FG_LIMIT_KEY_HEADER},
                 {"header:tenant", "tenant", FG_LIMIT_KEY_HEADER}};
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        char text[300];
        snprintf(text, sizeof text,
                 MINIMAL "routes: [{cluster: a, tenant: {header: t}, rate_limit: {rate: 1/h, burst: 24, key: %s}}]\n",
                 cases[i].text);
        struct fg_config *c = must_parse("f", text);
        const struct fg_config_rate_limit *limit = &c->routes[0].rate_limit;
        assert_int_equal(limit->key, cases[i].key);
        assert_int_equal(limit->burst * limit->interval_ns, A_DAY_NS);
        if (cases[i].header)
            assert_string_equal(limit->header, cases[i].header);
        else
            assert_null(limit->header);
        fg_config_unref(c);
    }
}

static void a_pause_that_does_not_grow_is_as_long_as_the_first(void **state)
{
    (void)state;
    struct fg_config *c =
        must_parse("f", "listeners: [{address: 'a:1'}]\n"
                        "clusters: {a: {endpoints: ['b:2'], breaker: {open_for: 1h, max_open_for: 0}}}\n");
    assert_int_equal(c->clusters[0].breaker.max_open_for_ns, 3600 * FG_S);
    fg_config_unref(c);
}

/* ---- weights ---- */

static void clusters_know_the_mean_weight_of_their_routes(void **state)
{
    (void)state;
    struct fg_config *c =
        must_parse("f", "listeners: [{address: 'a:1'}]\n"
                        "clusters:\n"
                        "  a: {endpoints: ['b:2']}\n"
                        "  b: {endpoints: ['b:3']}\n"
                        "  c: {endpoints: ['b:4']}\n"
                        "  unused: {endpoints: ['b:5']}\n"
                        "routes:\n"
                        "- {match: {path: /1}, cluster: a, weight: 10}\n"
                        "- {match: {path: /2}, cluster: a, weight: 15}\n"
                        "- {match: {path: /3}, cluster: a, weight: 7, priority: 2}\n"
                        "- {match: {path: /4}, cluster: b, weight: 4, priority_header: p}\n"
                        "- {match: {path: /5}, cluster: b, weight: 8, priority: 0}\n"
                        "- {match: {path: /6}, cluster: c, tenant: {header: t, weights: {x: 6, y: 8}}}\n");
    static const double expected[4][3] = {{1, 12.5, 7}, {6, 4, 4}, {1, 5, 1}, {1, 1, 1}};
    for (int i = 0; i < 4; i++)
        for (int p = 0; p < 3; p++)
            if (c->clusters[i].mean_weight[p] != expected[i][p])
                fail_msg("cluster %d, priority %d: found %g", i, p, c->clusters[i].mean_weight[p]);
    fg_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_policies_have_their_defaults),
        cmocka_unit_test(so_has_a_route_that_nobody_wrote),
        cmocka_unit_test(sections_that_switch_something_on_have_defaults),
        cmocka_unit_test(every_key_of_a_route_reaches_its_field),
        cmocka_unit_test(every_key_of_a_cluster_reaches_its_field),
        cmocka_unit_test(defaults_give_way_to_what_is_written),
        cmocka_unit_test(a_limit_knows_what_it_is_kept_by),
        cmocka_unit_test(a_pause_that_does_not_grow_is_as_long_as_the_first),
        cmocka_unit_test(clusters_know_the_mean_weight_of_their_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
