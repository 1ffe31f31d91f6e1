#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/time.h"
#include "policy/rate_limit.h"

#define NAME FG_STR("route")
#define TEN                                                                                                            \
    {                                                                                                                  \
        .interval_ns = FG_S / 10                                                                                       \
    }

static bool take(struct fg_rate_limiter *limiter, const struct fg_config_rate_limit *config, const char *key,
                 uint64_t now_ns)
{
    return fg_rate_limiter_take(limiter, config, NAME, fg_str_from(key), now_ns).allowed;
}

static void burst_and_one_pass_after_a_pause(void **state)
{
    (void)state;
    for (uint32_t burst = 0; burst < 5; burst++) {
        struct fg_rate_limiter *limiter = fg_rate_limiter_new(100);
        struct fg_config_rate_limit config = {.interval_ns = FG_S / 10, .burst = burst};
        unsigned passed = 0;
        for (int i = 0; i < 50; i++)
            passed += take(limiter, &config, "a", FG_S);
        assert_int_equal(passed, burst + 1);
        assert_true(take(limiter, &config, "a", FG_S + FG_S / 10));
        assert_false(take(limiter, &config, "a", FG_S + FG_S / 10));
        fg_rate_limiter_free(limiter);
    }
}

static void a_refusal_says_when(void **state)
{
    struct fg_rate_limiter *limiter = fg_rate_limiter_new(100);
    struct fg_config_rate_limit config = {.interval_ns = 60 * FG_S, .burst = 1};
    (void)state;

    assert_true(take(limiter, &config, "a", FG_S));
    assert_true(take(limiter, &config, "a", FG_S));
    struct fg_rate_limit_result result = fg_rate_limiter_take(limiter, &config, NAME, FG_STR("a"), 2 * FG_S);
    assert_false(result.allowed);
    assert_int_equal(result.wait_ns, 59 * FG_S);
    assert_false(take(limiter, &config, "a", 2 * FG_S + result.wait_ns - 1));
    assert_true(take(limiter, &config, "a", 2 * FG_S + result.wait_ns));
    fg_rate_limiter_free(limiter);
}

static void keys_and_limits_are_apart(void **state)
{
    struct fg_rate_limiter *limiter = fg_rate_limiter_new(100);
    struct fg_config_rate_limit config = TEN;
    (void)state;

    assert_true(take(limiter, &config, "a", FG_S));
    assert_true(take(limiter, &config, "b", FG_S));
    assert_true(take(limiter, &config, "", FG_S));
    assert_false(take(limiter, &config, "", FG_S));
    assert_true(fg_rate_limiter_take(limiter, &config, FG_STR("other"), FG_STR("a"), FG_S).allowed);
    assert_true(fg_rate_limiter_take(limiter, &config, FG_STR("rout"), FG_STR("ea"), FG_S).allowed);
    fg_rate_limiter_free(limiter);
}

/* A worker whose clock is a turn behind neither gains nor loses. */
static void an_older_clock_gains_nothing(void **state)
{
    struct fg_rate_limiter *limiter = fg_rate_limiter_new(100);
    struct fg_config_rate_limit config = TEN;
    (void)state;

    assert_true(take(limiter, &config, "a", FG_S));
    assert_false(take(limiter, &config, "a", FG_S + 99 * FG_MS));
    assert_true(take(limiter, &config, "a", FG_S + 105 * FG_MS));
    assert_false(take(limiter, &config, "a", FG_S + 90 * FG_MS));
    assert_false(take(limiter, &config, "a", FG_S + 204 * FG_MS));
    assert_true(take(limiter, &config, "a", FG_S + 205 * FG_MS));
    fg_rate_limiter_free(limiter);
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
    uint64_t z = *random += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

/* Against a list of all that were let through: no span holds more than its share, and nobody is refused who is due. */
static void random_schedules_keep_the_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed, now_ns = FG_S, passed[2000];
        struct fg_rate_limiter *limiter = fg_rate_limiter_new(10);
        struct fg_config_rate_limit config = {.interval_ns = 1 + draw(&random, 1000),
                                              .burst = (uint32_t)draw(&random, 6)};
        size_t len = 0;
        for (int i = 0; i < 2000; i++) {
            now_ns +=
                draw(&random, 8) == 0 ? draw(&random, 20 * config.interval_ns) : draw(&random, config.interval_ns);
            uint64_t tat = 0; /* the model */
            for (size_t p = len > 64 ? len - 64 : 0; p < len; p++)
                tat = FG_MAX(tat, passed[p]) + config.interval_ns;
            bool due = tat <= now_ns + config.interval_ns * config.burst;
            bool allowed = take(limiter, &config, "k", now_ns);
            if (len < 64)
                assert_int_equal(allowed, due);
            if (allowed)
                passed[len++] = now_ns;
        }
        for (size_t a = 0; a < len; a++) {
            for (size_t b = a; b < len && b < a + 50; b++) {
                uint64_t most = (passed[b] - passed[a]) / config.interval_ns + 1 + config.burst;
                assert_true(b - a + 1 <= most);
            }
        }
        fg_rate_limiter_free(limiter);
    }
}

/* A full table: keys that are in use never begin anew, those that are not make room, the others share. */
static void a_key_in_use_is_never_forgotten(void **state)
{
    struct fg_rate_limiter *limiter = fg_rate_limiter_new(64);
    struct fg_config_rate_limit config = {.interval_ns = FG_S};
    char key[32];
    unsigned shared = 0;
    (void)state;

    assert_true(take(limiter, &config, "hot", FG_S));
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        shared += fg_rate_limiter_take(limiter, &config, NAME, fg_str_from(key), FG_S).shared;
    }
    assert_true(shared > 9000);
    assert_false(take(limiter, &config, "hot", 2 * FG_S - 1));
    assert_true(take(limiter, &config, "hot", 2 * FG_S));
    /* Two seconds later nobody is in use any more, and new keys have places of their own. */
    assert_false(fg_rate_limiter_take(limiter, &config, NAME, FG_STR("new"), 5 * FG_S).shared);
    fg_rate_limiter_free(limiter);
}

/* ---- threads ---- */

#define THREADS 8

struct storm {
    struct fg_rate_limiter *limiter;
    struct fg_config_rate_limit config;
    _Atomic uint64_t now_ns;
    _Atomic unsigned allowed;
};

static void *hammer(void *argument)
{
    struct storm *storm = argument;

    for (int i = 0; i < 20000; i++) {
        uint64_t now_ns = atomic_fetch_add(&storm->now_ns, 100);
        if (take(storm->limiter, &storm->config, "k", now_ns))
            atomic_fetch_add(&storm->allowed, 1);
    }
    return NULL;
}

static void exact_over_all_threads(void **state)
{
    struct storm storm = {.limiter = fg_rate_limiter_new(10), .config = {.interval_ns = 10000, .burst = 3}};
    pthread_t threads[THREADS];
    (void)state;

    atomic_init(&storm.now_ns, FG_S);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &storm), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* The clock went on by 100 ns with each of 160,000 asks: 16 ms, in which 1600 come due. */
    unsigned due = THREADS * 20000 * 100 / 10000;
    assert_in_range(atomic_load(&storm.allowed), due, due + 4);
    fg_rate_limiter_free(storm.limiter);
}

/* ---- messages ---- */

static void messages_are_paced(void **state)
{
    struct fg_config_message_limit config = {.interval_ns = 100, .burst = 2};
    struct fg_message_pace pace = {0};
    (void)state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(fg_message_pace_delay(&pace, &config, 1, 1000), 0);
    assert_int_equal(fg_message_pace_delay(&pace, &config, 1, 1000), 100);
    assert_int_equal(fg_message_pace_delay(&pace, &config, 0, 1000), 0);
    assert_int_equal(fg_message_pace_delay(&pace, &config, 5, 1100), 0); /* together, and paid for later */
    assert_int_equal(fg_message_pace_delay(&pace, &config, 1, 1100), 500);
    config.interval_ns = 0;
    assert_int_equal(fg_message_pace_delay(&pace, &config, 1000, 1100), 0);
}

static void too_many_messages_are_not_counted(void **state)
{
    struct fg_config_message_limit config = {.interval_ns = 100, .burst = 2};
    struct fg_message_pace pace = {0};
    (void)state;

    assert_false(fg_message_pace_allows(&pace, &config, 4, 1000));
    assert_true(fg_message_pace_allows(&pace, &config, 3, 1000));
    assert_false(fg_message_pace_allows(&pace, &config, 1, 1099));
    assert_true(fg_message_pace_allows(&pace, &config, 1, 1100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_and_one_pass_after_a_pause),
        cmocka_unit_test(a_refusal_says_when),
        cmocka_unit_test(keys_and_limits_are_apart),
        cmocka_unit_test(an_older_clock_gains_nothing),
        cmocka_unit_test(random_schedules_keep_the_bound),
        cmocka_unit_test(a_key_in_use_is_never_forgotten),
        cmocka_unit_test(exact_over_all_threads),
        cmocka_unit_test(messages_are_paced),
        cmocka_unit_test(too_many_messages_are_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
