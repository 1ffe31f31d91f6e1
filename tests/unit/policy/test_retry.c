/* The rules of retrying one by one. How calls fare under them is simulated in tests/sim/retry_sim.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/retry.h"

#define BIT(code) (1u << FG_STATUS_##code)
#define BEGIN_NS  (1000 * FG_S)
#define MIDDLE    (UINT64_C(1) << 63) /* the random number without jitter */

static const struct fg_config_backoff backoff = {
    .initial_ns = 500 * FG_MS, .multiplier = 2, .jitter = 0.2, .max_ns = 10 * FG_S};
static const struct fg_config_retry_throttle throttle = {.max_tokens = 10, .token_ratio = 0.1};

/* One call, and what is known of it. */
struct world {
    struct fg_config_retry config;
    struct fg_retry_tokens tokens;
    struct fg_retry_call call;
    struct fg_hedge hedge;
    struct fg_retry_view view;
    struct fg_outcome outcome;
    struct fg_str pushback;
    bool has_pushback, no_permit;
    unsigned permits_asked;
};

static bool take_permit(void *context)
{
    struct world *world = context;
    world->permits_asked++;
    return !world->no_permit;
}

static void begin(struct world *world)
{
    *world = (struct world){
        .config = {.attempts = 5, .on = BIT(UNAVAILABLE), .idempotent = true, .backoff = backoff},
        .view = {.deadline_ns = FG_NEVER, .now_ns = BEGIN_NS, .random = MIDDLE, .throttle = &throttle},
        .outcome = {.code = FG_STATUS_UNAVAILABLE,
                    .source = FG_SOURCE_TRAILERS_ONLY,
                    .safe_to_retry = FG_SAFE_PROCESSED},
    };
    world->view.config = &world->config;
    world->view.tokens = &world->tokens;
    world->view.take_permit = take_permit;
    world->view.context = world;
    fg_hedge_init(&world->hedge);
}

static void ends_with(struct world *world, enum fg_status code, enum fg_source source, enum fg_retry_safety safety)
{
    world->outcome = (struct fg_outcome){.code = code, .source = source, .safe_to_retry = safety};
}

static void pushes_back(struct world *world, const char *value)
{
    world->has_pushback = value != NULL;
    world->pushback = fg_str_from(value ? value : "");
}

static struct fg_retry_plan plan(struct world *world)
{
    return fg_retry_plan_after(&world->call, &world->view, &world->outcome,
                               world->has_pushback ? &world->pushback : NULL);
}

static void assert_no(struct world *world, enum fg_retry_why why)
{
    struct fg_retry_plan got = plan(world);
    assert_int_equal(got.kind, FG_RETRY_PLAN_NO);
    assert_string_equal(fg_retry_why_name(got.why), fg_retry_why_name(why));
}

static void assert_yes(struct world *world, enum fg_retry_plan_kind kind, uint64_t delay_ns)
{
    struct fg_retry_plan got = plan(world);
    assert_int_equal(got.kind, kind);
    assert_int_equal(got.why, FG_RETRY_WHY_NONE);
    assert_int_equal(got.delay_ns, delay_ns);
}

static uint32_t left(struct world *world)
{
    return fg_retry_tokens_left(&world->tokens, &throttle);
}

/* ---- pushback and backoff ---- */

static void pushback_is_a_plain_number_of_milliseconds(void **state)
{
    static const char *const waits[] = {"0", "1", "300", "86400", "3600000"};
    static const char *const refusals[] = {
        "",   "-1",  "-0", "+1", "soon", "1s",      "1.5",        " 1",
        "1 ", "007", "00", "0x", "\xff", "3600001", "2147483647", "99999999999999999999"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(waits); i++) {
        assert_true(fg_retry_parse_pushback(fg_str_from(waits[i]), &ms));
        assert_int_equal(ms, strtoll(waits[i], NULL, 10));
    }
    for (size_t i = 0; i < FG_ARRAY_LEN(refusals); i++) {
        assert_false(fg_retry_parse_pushback(fg_str_from(refusals[i]), &ms));
        assert_int_equal(ms, -1);
    }
    assert_false(fg_retry_parse_pushback((struct fg_str){"1", 2}, &ms)); /* with the zero */
    assert_false(fg_retry_parse_pushback((struct fg_str){NULL, 0}, &ms));
}

static void assert_about(uint64_t ns, uint64_t expected_ns)
{
    if (ns + 1 < expected_ns || ns > expected_ns + 1)
        fail_msg("%llu ns, expected %llu", (unsigned long long)ns, (unsigned long long)expected_ns);
}

/* Row D4: 500 ms +-100, doubled, at most 10 s (+-2 s). */
static void pauses_grow_to_the_longest_one(void **state)
{
    static const uint64_t expected_ms[] = {500, 1000, 2000, 4000, 8000, 10000, 10000, 10000};

    (void)state;
    for (unsigned n = 1; n <= FG_ARRAY_LEN(expected_ms); n++) {
        uint64_t ns = expected_ms[n - 1] * FG_MS;
        assert_int_equal(fg_backoff(&backoff, n, MIDDLE), ns);
        assert_about(fg_backoff(&backoff, n, 0), ns * 8 / 10);
        assert_about(fg_backoff(&backoff, n, UINT64_MAX), ns * 12 / 10);
    }
    assert_int_equal(fg_backoff(&backoff, 0, MIDDLE), 500 * FG_MS);
    assert_int_equal(fg_backoff(&backoff, UINT32_MAX, MIDDLE), 10 * FG_S);
}

static void jitter_is_even(void **state)
{
    uint64_t random = 1, sum_ns = 0, low_ns = UINT64_MAX, high_ns = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t ns = fg_backoff(&backoff, 1, random);
        sum_ns += ns;
        low_ns = FG_MIN(low_ns, ns);
        high_ns = FG_MAX(high_ns, ns);
    }
    assert_in_range(low_ns, 400 * FG_MS, 401 * FG_MS);
    assert_in_range(high_ns, 599 * FG_MS, 600 * FG_MS);
    assert_in_range(sum_ns / 10000, 497 * FG_MS, 503 * FG_MS);
}

static void no_configuration_makes_a_pause_that_is_none(void **state)
{
    static const double numbers[] = {-1, 0, 0.5, 1, 1.0000000001, 2, 1e300, DBL_MAX, INFINITY, NAN};
    static const uint64_t times_ns[] = {0, 1, FG_MS, 3600 * FG_S, UINT64_MAX / 2, UINT64_MAX};
    static const unsigned ns[] = {0, 1, 2, 5, 1000000, UINT32_MAX};
    struct fg_config_backoff odd;
    size_t lens[] = {FG_ARRAY_LEN(times_ns), FG_ARRAY_LEN(times_ns), FG_ARRAY_LEN(numbers), FG_ARRAY_LEN(numbers),
                     FG_ARRAY_LEN(ns)};

    (void)state;
    for (size_t i = 0; i < lens[0] * lens[1] * lens[2] * lens[3] * lens[4]; i++) {
        size_t rest = i;
        odd.initial_ns = times_ns[rest % lens[0]], rest /= lens[0];
        odd.max_ns = times_ns[rest % lens[1]], rest /= lens[1];
        odd.multiplier = numbers[rest % lens[2]], rest /= lens[2];
        odd.jitter = numbers[rest % lens[3]], rest /= lens[3];
        for (uint64_t random = 0;; random = UINT64_MAX) {
            uint64_t pause_ns = fg_backoff(&odd, ns[rest], random);
            assert_true((double)pause_ns <= 2 * (double)odd.max_ns && pause_ns <= UINT64_C(1) << 63);
            if (random > 0)
                break;
        }
    }
}

/* ---- the throttle ---- */

static void retries_need_more_than_half_of_the_tokens(void **state)
{
    struct fg_retry_tokens tokens = {0};

    (void)state;
    assert_int_equal(fg_retry_tokens_left(&tokens, &throttle), 10000);
    fg_retry_tokens_report(&tokens, &throttle, true);
    assert_int_equal(tokens.word, 0); /* nothing is written while all is well */
    for (unsigned i = 0; i < 4; i++)
        fg_retry_tokens_report(&tokens, &throttle, false);
    assert_true(fg_retry_tokens_allow(&tokens, &throttle));
    fg_retry_tokens_report(&tokens, &throttle, false);
    assert_int_equal(fg_retry_tokens_left(&tokens, &throttle), 5000);
    assert_false(fg_retry_tokens_allow(&tokens, &throttle)); /* half is not more than half */
    fg_retry_tokens_report(&tokens, &throttle, true);
    assert_int_equal(fg_retry_tokens_left(&tokens, &throttle), 5100);
    assert_true(fg_retry_tokens_allow(&tokens, &throttle));
    for (unsigned i = 0; i < 100; i++)
        fg_retry_tokens_report(&tokens, &throttle, false);
    assert_int_equal(fg_retry_tokens_left(&tokens, &throttle), 0);
    for (unsigned i = 0; i < 1000; i++)
        fg_retry_tokens_report(&tokens, &throttle, true);
    assert_int_equal(fg_retry_tokens_left(&tokens, &throttle), 10000);
}

static void a_reload_keeps_the_share_that_is_spent(void **state)
{
    static const struct fg_config_retry_throttle off = {0}, large = {.max_tokens = 1000, .token_ratio = 0.5466},
                                                 odd = {.max_tokens = UINT32_MAX, .token_ratio = INFINITY},
                                                 wrong = {.max_tokens = 1, .token_ratio = NAN};
    struct fg_retry_tokens tokens = {0};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        fg_retry_tokens_report(&tokens, &throttle, false);
    assert_int_equal(fg_retry_tokens_left(&tokens, &large), 500000);
    assert_false(fg_retry_tokens_allow(&tokens, &large));
    for (unsigned i = 0; i < 1000; i++) { /* calls of the old and of the new configuration side by side */
        fg_retry_tokens_report(&tokens, i % 2 ? &large : &throttle, false);
        fg_retry_tokens_report(&tokens, i % 2 ? &large : &throttle, true);
    }
    assert_true(fg_retry_tokens_left(&tokens, &large) < 10000);
    uint32_t before = fg_retry_tokens_left(&tokens, &large);
    fg_retry_tokens_report(&tokens, &large, true);
    assert_int_equal(fg_retry_tokens_left(&tokens, &large) - before, 546); /* A6: 0.5466 is 0.546 */
    assert_true(fg_retry_tokens_allow(&tokens, &off));
    fg_retry_tokens_report(&tokens, &off, false);
    assert_int_equal(fg_retry_tokens_left(&tokens, &off), 0);
    assert_int_equal(fg_retry_tokens_left(&tokens, &large), before + 546);
    fg_retry_tokens_report(&tokens, &wrong, true);
    fg_retry_tokens_report(&tokens, &odd, true);
    assert_int_equal(fg_retry_tokens_left(&tokens, &odd), 1000000000);
}

#define THREADS 8
#define REPORTS 50000

static void *report_many(void *context)
{
    static const struct fg_config_retry_throttle wide = {.max_tokens = 1000000, .token_ratio = 0.001};

    for (unsigned i = 0; i < REPORTS; i++)
        fg_retry_tokens_report(context, &wide, i % 5 == 0);
    return NULL;
}

static void tokens_are_exact_under_threads(void **state)
{
    static const struct fg_config_retry_throttle wide = {.max_tokens = 1000000, .token_ratio = 0.001};
    struct fg_retry_tokens tokens = {0};
    pthread_t threads[THREADS];

    (void)state;
    fg_retry_tokens_report(&tokens, &wide, false); /* so that no success finds all tokens there */
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, report_many, &tokens), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(fg_retry_tokens_left(&tokens, &wide),
                     1000000000 - 1000 - THREADS * (REPORTS / 5 * 4 * 1000 - REPORTS / 5));
}

/* ---- decisions ---- */

static void a_call_has_so_many_attempts(void **state)
{
    static const uint64_t pauses_ms[] = {500, 1000, 2000, 4000};
    struct world world;

    (void)state;
    begin(&world);
    for (unsigned i = 0; i < FG_ARRAY_LEN(pauses_ms); i++) {
        assert_yes(&world, FG_RETRY_PLAN_AGAIN, pauses_ms[i] * FG_MS);
        assert_int_equal(fg_retry_previous_attempts(world.call.attempts, FG_STR("")), i + 1);
    }
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED);
    for (unsigned attempts = 0; attempts < 2; attempts++) { /* 0 is 1 */
        begin(&world);
        world.config.attempts = attempts;
        assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED);
    }
}

/* Everything that speaks against a retry, all at once, taken away in the order in which it is asked. */
static void the_first_reason_is_told(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    ends_with(&world, FG_STATUS_NOT_FOUND, FG_SOURCE_BREAKER, FG_SAFE_PROCESSED);
    pushes_back(&world, "-1");
    world.config.attempts = 1;
    world.config.idempotent = false;
    world.view.committed = world.view.overflowed = world.view.draining = world.no_permit = true;
    world.view.deadline_ns = BEGIN_NS + 500 * FG_MS;
    for (unsigned i = 0; i < 10; i++)
        fg_retry_tokens_report(&world.tokens, &throttle, false);
    assert_no(&world, FG_RETRY_WHY_LOCAL);
    world.outcome.source = FG_SOURCE_TRAILERS;
    assert_no(&world, FG_RETRY_WHY_DRAINING);
    world.view.draining = false;
    assert_no(&world, FG_RETRY_WHY_COMMITTED);
    world.view.committed = false;
    assert_no(&world, FG_RETRY_WHY_BUFFER);
    world.view.overflowed = false;
    assert_no(&world, FG_RETRY_WHY_NOT_RETRYABLE);
    world.outcome.code = FG_STATUS_UNAVAILABLE;
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED);
    world.config.attempts = 100;
    assert_no(&world, FG_RETRY_WHY_UNSAFE);
    world.config.idempotent = true;
    assert_no(&world, FG_RETRY_WHY_PUSHBACK);
    pushes_back(&world, NULL);
    assert_no(&world, FG_RETRY_WHY_THROTTLED);
    world.tokens.word = 0;
    assert_no(&world, FG_RETRY_WHY_DEADLINE);
    assert_int_equal(world.permits_asked, 0); /* a permit that was given is used */
    world.view.deadline_ns++;
    assert_no(&world, FG_RETRY_WHY_BUDGET);
    world.no_permit = false;
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 500 * FG_MS);
    assert_int_equal(world.permits_asked, 2);
    world.outcome.code = FG_STATUS_OK;
    assert_no(&world, FG_RETRY_WHY_OK);
    assert_string_equal(fg_retry_why_name(FG_RETRY_WHY_NOT_RETRYABLE), "not_retryable");
    assert_string_equal(fg_retry_why_name(FG_RETRY_WHY_LEN), "");
}

/* What each end of an attempt leads to: transparent, ordinary, unsafe (ordinary if idempotent), never. */
static void every_end_has_its_rule(void **state)
{
    /* By safety: never sent, refused, unknown, processed. The rest is "nnnn". */
    static const char *const rules[FG_SOURCE_LEN] = {
        [FG_SOURCE_TRAILERS] = "ttuu",       [FG_SOURCE_TRAILERS_ONLY] = "ttuu", [FG_SOURCE_RST] = "ttuu",
        [FG_SOURCE_HTTP] = "ttuu",           [FG_SOURCE_GOAWAY] = "ttuu",        [FG_SOURCE_CONNECTION] = "ttuu",
        [FG_SOURCE_MISSING_STATUS] = "ttuu", [FG_SOURCE_PROTOCOL] = "ttuu",      [FG_SOURCE_CONNECT] = "ttuu",
        [FG_SOURCE_DEADLINE] = "oouu",
    };

    (void)state;
    for (unsigned i = 0; i < FG_SOURCE_LEN * 4 * 2; i++) {
        enum fg_source source = (enum fg_source)(i / 8);
        enum fg_retry_safety safety = (enum fg_retry_safety)(i / 2 % 4);
        bool idempotent = i % 2;
        char rule = rules[source] ? rules[source][safety] : 'n';
        struct world world;

        begin(&world);
        world.view.untried = true;
        world.config.idempotent = idempotent;
        ends_with(&world, FG_STATUS_UNAVAILABLE, source, safety);
        if (rule == 't')
            assert_yes(&world, FG_RETRY_PLAN_TRANSPARENT, 0);
        else if (rule == 'n')
            assert_no(&world, FG_RETRY_WHY_LOCAL);
        else if (rule == 'u' && !idempotent)
            assert_no(&world, FG_RETRY_WHY_UNSAFE);
        else
            assert_yes(&world, FG_RETRY_PLAN_AGAIN, 500 * FG_MS);
        assert_int_equal(world.call.attempts, rule == 'o' || rule == 'u');
        assert_int_equal(left(&world), 10000 - 1000 * (rule == 'o' || rule == 'u'));
        assert_int_equal(world.permits_asked, rule == 'o' || (rule == 'u' && idempotent));
    }
}

static void what_was_refused_is_tried_again_once(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    world.config.on = 0;
    world.config.attempts = 1;
    world.config.idempotent = false;
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_RST, FG_SAFE_REFUSED);
    assert_yes(&world, FG_RETRY_PLAN_TRANSPARENT, 0); /* without being asked for */
    world.config.on = BIT(UNAVAILABLE);
    world.config.attempts = 3;
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 500 * FG_MS); /* it is safe, and counts */
    assert_int_equal(world.call.attempts, 1);
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, FG_S);
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED);
}

static void what_was_never_sent_is_tried_on_every_endpoint(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    world.config.attempts = 1;
    world.view.untried = true;
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_CONNECT, FG_SAFE_NEVER_SENT);
    for (unsigned i = 0; i < 10; i++)
        assert_yes(&world, FG_RETRY_PLAN_TRANSPARENT, 0);
    world.view.untried = false;
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED); /* the caller is told at once */
    world.view.patient = true;
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED); /* without a deadline there is no end to wait for */
    world.view.untried = true;
    world.view.now_ns = world.view.deadline_ns = BEGIN_NS;
    assert_no(&world, FG_RETRY_WHY_DEADLINE);
}

static void patience_ends_at_the_deadline_and_is_no_hot_loop(void **state)
{
    static const uint64_t expected_ms[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000};
    struct world world;
    unsigned n = 0;

    (void)state;
    begin(&world);
    world.config.attempts = 1;
    world.view.patient = true;
    world.view.deadline_ns = BEGIN_NS + 60 * FG_S;
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_CONNECT, FG_SAFE_NEVER_SENT);
    for (;; n++) {
        struct fg_retry_plan got = plan(&world);
        if (got.kind == FG_RETRY_PLAN_NO)
            break;
        assert_int_equal(got.kind, FG_RETRY_PLAN_TRANSPARENT);
        assert_int_equal(got.delay_ns, expected_ms[FG_MIN(n, FG_ARRAY_LEN(expected_ms) - 1)] * FG_MS);
        world.view.now_ns += got.delay_ns;
        assert_true(world.view.now_ns < world.view.deadline_ns);
    }
    assert_in_range(n, 68, 69);
    assert_int_equal(world.call.attempts, 0);
    begin(&world);
    world.view.untried = true; /* for ever: the world is not as promised */
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_CONNECT, FG_SAFE_NEVER_SENT);
    for (n = 0; n < FG_RETRY_AT_ONCE_MAX; n++)
        assert_yes(&world, FG_RETRY_PLAN_TRANSPARENT, 0);
    assert_yes(&world, FG_RETRY_PLAN_TRANSPARENT, FG_MS);
}

static void pushback_is_obeyed_to_the_millisecond(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    world.view.random = 12345;
    plan(&world);
    pushes_back(&world, "3000");
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 3 * FG_S);
    pushes_back(&world, NULL);
    world.view.random = MIDDLE;
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 500 * FG_MS); /* the backoff begins anew */
    pushes_back(&world, "0");
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 0);
    assert_no(&world, FG_RETRY_WHY_ATTEMPTS_USED);
    begin(&world);
    pushes_back(&world, "300");
    world.view.deadline_ns = BEGIN_NS + 300 * FG_MS;
    assert_no(&world, FG_RETRY_WHY_DEADLINE);
    pushes_back(&world, "soon");
    assert_no(&world, FG_RETRY_WHY_PUSHBACK);
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_RST, FG_SAFE_REFUSED);
    assert_no(&world, FG_RETRY_WHY_PUSHBACK); /* whoever could say so has seen it */
}

static void the_throttle_counts_what_could_be_retried(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    plan(&world);
    assert_int_equal(left(&world), 9000);
    ends_with(&world, FG_STATUS_NOT_FOUND, FG_SOURCE_TRAILERS, FG_SAFE_PROCESSED);
    plan(&world);
    assert_int_equal(left(&world), 9000);
    pushes_back(&world, "100");
    plan(&world);
    assert_int_equal(left(&world), 9000);
    pushes_back(&world, "-1"); /* whatever the code */
    plan(&world);
    assert_int_equal(left(&world), 8000);
    ends_with(&world, FG_STATUS_OK, FG_SOURCE_TRAILERS, FG_SAFE_PROCESSED);
    plan(&world);
    assert_int_equal(left(&world), 8100);
    pushes_back(&world, NULL);
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_TRAILERS, FG_SAFE_PROCESSED);
    world.view.committed = true; /* counts, although it could not be retried here */
    plan(&world);
    assert_int_equal(left(&world), 7100);
    world.view.committed = false;
    world.call = (struct fg_retry_call){0};
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 500 * FG_MS);
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, FG_S);
    assert_int_equal(left(&world), 5100);
    assert_no(&world, FG_RETRY_WHY_THROTTLED); /* the failure that takes the tokens below half is not retried */
    world.view.tokens = NULL;
    assert_yes(&world, FG_RETRY_PLAN_AGAIN, 2 * FG_S);
}

static void the_clients_attempts_are_added(void **state)
{
    (void)state;
    assert_int_equal(fg_retry_previous_attempts(0, FG_STR("")), 0);
    assert_int_equal(fg_retry_previous_attempts(2, (struct fg_str){NULL, 0}), 2);
    assert_int_equal(fg_retry_previous_attempts(2, FG_STR("3")), 5);
    assert_int_equal(fg_retry_previous_attempts(0, FG_STR("0012")), 12);
    assert_int_equal(fg_retry_previous_attempts(1, FG_STR("12x")), 1);
    assert_int_equal(fg_retry_previous_attempts(1, FG_STR("-3")), 1);
    assert_int_equal(fg_retry_previous_attempts(1, FG_STR("99999999999999999999999999")), 10000);
    assert_int_equal(fg_retry_previous_attempts(UINT32_MAX, FG_STR("9999")), 19998);
}

/* ---- hedging ---- */

#define DELAY_NS (50 * FG_MS)

static void begin_hedged(struct world *world, unsigned attempts)
{
    begin(world);
    world->config.attempts = attempts;
    world->config.hedge_delay_ns = DELAY_NS;
    assert_true(fg_hedge_applies(&world->config));
    fg_hedge_begun(&world->hedge, &world->config, BEGIN_NS);
}

static void assert_next(struct world *world, uint64_t expected_ns)
{
    assert_int_equal(fg_hedge_next(&world->hedge, &world->view), expected_ns);
}

/* The next one is due now, and begins. */
static void hedge(struct world *world)
{
    world->view.now_ns = fg_hedge_next(&world->hedge, &world->view);
    assert_true(world->view.now_ns != FG_NEVER);
    assert_true(fg_hedge_ask(&world->hedge, &world->view));
    fg_hedge_begun(&world->hedge, &world->config, world->view.now_ns);
}

static void assert_ended(struct world *world, enum fg_hedge_verdict expected)
{
    assert_int_equal(
        fg_hedge_ended(&world->hedge, &world->view, &world->outcome, world->has_pushback ? &world->pushback : NULL),
        expected);
}

static void hedges_begin_one_after_the_other(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 3);
    assert_next(&world, BEGIN_NS + DELAY_NS);
    world.view.now_ns = BEGIN_NS + DELAY_NS - 1;
    assert_false(fg_hedge_ask(&world.hedge, &world.view)); /* too early is no no */
    hedge(&world);
    assert_int_equal(world.hedge.begun, 2); /* of which one came before it: grpc-previous-rpc-attempts 1 */
    hedge(&world);
    assert_int_equal(world.view.now_ns, BEGIN_NS + 2 * DELAY_NS);
    assert_next(&world, FG_NEVER);
    assert_int_equal(world.permits_asked, 2);
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_ended(&world, FG_HEDGE_OVER); /* there are no further retries after hedges (A6) */
    assert_int_equal(left(&world), 7000);
    begin_hedged(&world, 5);
    world.view.deadline_ns = BEGIN_NS + 2 * DELAY_NS;
    hedge(&world);
    assert_next(&world, FG_NEVER); /* it would begin when all is over */
}

static void only_idempotent_routes_are_hedged(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 5);
    world.config.idempotent = false;
    assert_false(fg_hedge_applies(&world.config));
    assert_next(&world, FG_NEVER);
    begin_hedged(&world, 5);
    world.config.hedge_delay_ns = 0;
    assert_false(fg_hedge_applies(&world.config));
    begin_hedged(&world, 5);
    world.config.attempts = 0;
    assert_false(fg_hedge_applies(&world.config));
    world.config.attempts = 5;
    world.config.hedge_delay_ns = UINT64_MAX;
    fg_hedge_begun(&world.hedge, &world.config, BEGIN_NS);
    assert_next(&world, FG_NEVER);
}

static void a_failure_hastens_the_next_hedge(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 5);
    world.view.now_ns += FG_MS;
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_next(&world, BEGIN_NS + FG_MS);
    hedge(&world);
    assert_next(&world, BEGIN_NS + FG_MS + DELAY_NS); /* the others keep their distance */
}

static void the_first_answer_or_fatal_code_ends_it(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 5);
    hedge(&world);
    ends_with(&world, FG_STATUS_OK, FG_SOURCE_TRAILERS, FG_SAFE_PROCESSED);
    assert_ended(&world, FG_HEDGE_OVER);
    ends_with(&world, FG_STATUS_INVALID_ARGUMENT, FG_SOURCE_TRAILERS, FG_SAFE_PROCESSED);
    assert_ended(&world, FG_HEDGE_OVER);
    assert_int_equal(left(&world), 10000);
    for (unsigned i = 0; i < 2; i++) { /* what is left alone, is the last */
        begin_hedged(&world, 5);
        hedge(&world);
        world.view.committed = i == 0;
        world.view.overflowed = i == 1;
        assert_next(&world, FG_NEVER);
        assert_ended(&world, FG_HEDGE_OVER);
    }
    begin_hedged(&world, 5);
    hedge(&world);
    world.view.draining = true;
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_ended(&world, FG_HEDGE_OVER);
}

static void pushback_delays_hedges_or_stops_them(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 5);
    hedge(&world);
    pushes_back(&world, "200");
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_next(&world, BEGIN_NS + DELAY_NS + 200 * FG_MS);
    pushes_back(&world, NULL);
    assert_ended(&world, FG_HEDGE_GO_ON); /* not at once: the pushback holds, also when nothing else is in progress */
    assert_next(&world, BEGIN_NS + DELAY_NS + 200 * FG_MS);
    hedge(&world);
    assert_next(&world, BEGIN_NS + 2 * DELAY_NS + 200 * FG_MS);
    hedge(&world);
    pushes_back(&world, "-1");
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_next(&world, FG_NEVER);
    pushes_back(&world, NULL);
    assert_ended(&world, FG_HEDGE_OVER);
}

static void without_tokens_or_permit_there_are_no_more_hedges(void **state)
{
    struct world world;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin_hedged(&world, 5);
        hedge(&world);
        world.view.now_ns += DELAY_NS;
        world.no_permit = i == 0;
        for (unsigned k = 0; i == 1 && k < 5; k++)
            fg_retry_tokens_report(&world.tokens, &throttle, false);
        assert_next(&world, BEGIN_NS + 2 * DELAY_NS);
        assert_false(fg_hedge_ask(&world.hedge, &world.view));
        assert_int_equal(world.permits_asked, 2 - i);
        assert_next(&world, FG_NEVER);
        assert_false(fg_hedge_is_over(&world.hedge, &world.view));
        assert_ended(&world, FG_HEDGE_GO_ON);
        assert_ended(&world, FG_HEDGE_OVER);
    }
    begin_hedged(&world, 5);
    world.no_permit = true;
    assert_ended(&world, FG_HEDGE_GO_ON); /* the next one is due... */
    assert_false(fg_hedge_ask(&world.hedge, &world.view));
    assert_true(fg_hedge_is_over(&world.hedge, &world.view)); /* ... and nothing would end the call but this */
    begin_hedged(&world, 5);
    pushes_back(&world, "200");
    assert_ended(&world, FG_HEDGE_GO_ON);
    world.view.draining = true; /* during the pause: the timer stays, so that the call does not hang */
    assert_next(&world, BEGIN_NS + 200 * FG_MS);
    world.view.now_ns = BEGIN_NS + 200 * FG_MS;
    assert_false(fg_hedge_ask(&world.hedge, &world.view));
    assert_int_equal(world.permits_asked, 0);
    assert_true(fg_hedge_is_over(&world.hedge, &world.view));
}

static void hedges_are_retried_transparently(void **state)
{
    struct world world;

    (void)state;
    begin_hedged(&world, 2);
    world.no_permit = true;
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_GOAWAY, FG_SAFE_REFUSED);
    assert_ended(&world, FG_HEDGE_GO_ON);
    assert_int_equal(world.hedge.begun, 0);
    hedge(&world); /* it takes its place: no permit */
    assert_int_equal(world.permits_asked, 0);
    assert_int_equal(world.hedge.begun, 1);
    world.no_permit = false;
    hedge(&world);
    assert_int_equal(world.permits_asked, 1);
    assert_ended(&world, FG_HEDGE_GO_ON); /* refused again: it counts */
    assert_next(&world, FG_NEVER);
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_BREAKER, FG_SAFE_NEVER_SENT);
    assert_ended(&world, FG_HEDGE_OVER);
    begin_hedged(&world, 5);
    hedge(&world);
    assert_ended(&world, FG_HEDGE_GO_ON);
    ends_with(&world, FG_STATUS_UNAVAILABLE, FG_SOURCE_BREAKER, FG_SAFE_NEVER_SENT);
    hedge(&world);
    assert_ended(&world, FG_HEDGE_GO_ON); /* the gateway's refusal leaves the other one alone */
    assert_next(&world, FG_NEVER);
}

/* ---- whatever comes ---- */

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    uint64_t z = (*random ^ *random >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

static void draw_end(struct world *world, uint64_t *random)
{
    static const char *const pushbacks[] = {"0", "10", "70000", "-1", "x"};

    ends_with(world, (enum fg_status)(draw(random, 4) ? 14 : draw(random, 40)),
              (enum fg_source)draw(random, FG_SOURCE_LEN + 2), (enum fg_retry_safety)draw(random, 6));
    pushes_back(world, draw(random, 6) ? NULL : pushbacks[draw(random, FG_ARRAY_LEN(pushbacks))]);
    world->view.committed = draw(random, 30) == 0;
    world->view.overflowed = draw(random, 30) == 0;
    world->view.draining = draw(random, 30) == 0;
    world->view.untried = draw(random, 2);
    world->view.patient = draw(random, 2);
    world->view.random = random[0] * 31;
    world->no_permit = draw(random, 20) == 0;
}

static void check_plan(const struct world *world, struct fg_retry_plan got)
{
    const struct fg_outcome *outcome = &world->outcome;
    const struct fg_retry_view *view = &world->view;
    bool safe = outcome->safe_to_retry == FG_SAFE_NEVER_SENT || outcome->safe_to_retry == FG_SAFE_REFUSED;

    assert_int_equal(got.kind == FG_RETRY_PLAN_NO, got.why != FG_RETRY_WHY_NONE);
    if (got.kind == FG_RETRY_PLAN_NO)
        return;
    assert_int_not_equal(outcome->code, FG_STATUS_OK);
    assert_true(safe || world->config.idempotent);
    assert_true(!view->committed && !view->overflowed && !view->draining);
    assert_true(got.delay_ns < view->deadline_ns - view->now_ns);
    assert_true(!fg_source_is_local(outcome->source) || outcome->source == FG_SOURCE_CONNECT ||
                outcome->source == FG_SOURCE_DEADLINE);
    if (got.kind == FG_RETRY_PLAN_TRANSPARENT) {
        assert_true(safe && !world->has_pushback);
        return;
    }
    assert_true(world->call.attempts < FG_MAX(world->config.attempts, 1u));
    assert_true(outcome->code >= FG_STATUS_LEN || world->config.on >> outcome->code & 1);
    assert_false(world->no_permit);
    if (world->has_pushback)
        assert_true(got.delay_ns == 0 || got.delay_ns == 10 * FG_MS || got.delay_ns == 70 * FG_S);
}

static void whatever_comes_the_rules_hold(void **state)
{
    uint64_t random = 1, kinds[3] = {0}, whys[FG_RETRY_WHY_LEN] = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        struct world world;
        struct fg_retry_plan got;

        begin(&world);
        for (uint64_t spent = draw(&random, 6); spent > 0; spent--)
            fg_retry_tokens_report(&world.tokens, &throttle, false);
        world.config.attempts = (uint32_t)draw(&random, 6);
        world.config.on = draw(&random, 3) ? BIT(UNAVAILABLE) | BIT(UNKNOWN) : (uint32_t)draw(&random, 1 << 17);
        world.config.idempotent = draw(&random, 2);
        world.view.deadline_ns = draw(&random, 3) ? BEGIN_NS + draw(&random, 20 * FG_S) : FG_NEVER;
        for (unsigned ends = 0; ends < 50; ends++) {
            draw_end(&world, &random);
            got = plan(&world);
            kinds[got.kind]++;
            whys[got.why]++;
            if (world.view.now_ns < world.view.deadline_ns)
                check_plan(&world, got);
            else
                assert_int_equal(got.kind, FG_RETRY_PLAN_NO);
            if (got.kind == FG_RETRY_PLAN_NO)
                break;
            world.view.now_ns += got.delay_ns + draw(&random, FG_S);
        }
        assert_true(world.call.attempts <= FG_MAX(world.config.attempts, 1u));
    }
    for (unsigned i = 0; i < FG_ARRAY_LEN(kinds); i++)
        assert_true(kinds[i] > 100);
    for (unsigned i = 0; i < FG_RETRY_WHY_LEN; i++)
        assert_true(whys[i] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushback_is_a_plain_number_of_milliseconds),
        cmocka_unit_test(pauses_grow_to_the_longest_one),
        cmocka_unit_test(jitter_is_even),
        cmocka_unit_test(no_configuration_makes_a_pause_that_is_none),
        cmocka_unit_test(retries_need_more_than_half_of_the_tokens),
        cmocka_unit_test(a_reload_keeps_the_share_that_is_spent),
        cmocka_unit_test(tokens_are_exact_under_threads),
        cmocka_unit_test(a_call_has_so_many_attempts),
        cmocka_unit_test(the_first_reason_is_told),
        cmocka_unit_test(every_end_has_its_rule),
        cmocka_unit_test(what_was_refused_is_tried_again_once),
        cmocka_unit_test(what_was_never_sent_is_tried_on_every_endpoint),
        cmocka_unit_test(patience_ends_at_the_deadline_and_is_no_hot_loop),
        cmocka_unit_test(pushback_is_obeyed_to_the_millisecond),
        cmocka_unit_test(the_throttle_counts_what_could_be_retried),
        cmocka_unit_test(the_clients_attempts_are_added),
        cmocka_unit_test(hedges_begin_one_after_the_other),
        cmocka_unit_test(only_idempotent_routes_are_hedged),
        cmocka_unit_test(a_failure_hastens_the_next_hedge),
        cmocka_unit_test(the_first_answer_or_fatal_code_ends_it),
        cmocka_unit_test(pushback_delays_hedges_or_stops_them),
        cmocka_unit_test(without_tokens_or_permit_there_are_no_more_hedges),
        cmocka_unit_test(hedges_are_retried_transparently),
        cmocka_unit_test(whatever_comes_the_rules_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
