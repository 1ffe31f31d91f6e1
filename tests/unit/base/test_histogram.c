#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/histogram.h"
#include "base/stats.h"
#include "base/time.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* From 0 to 1. */
static double next_share(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

/* ---- buckets ---- */

/* The bounds by exact arithmetic: base^i seconds, rounded down to nanoseconds. */
static void bounds_are_powers_of_the_base(void **state)
{
    (void)state;

    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        long double upper = powl(2.0L, (FG_HISTOGRAM_OFFSET + (int)i + 1) / 8.0L) * 1e9L;
        assert_int_equal(fg_histogram_bound_ns(i), (uint64_t)floorl(upper));
    }
    assert_int_equal(FG_HISTOGRAM_ZERO_NS, (uint64_t)floorl(powl(2.0L, FG_HISTOGRAM_OFFSET / 8.0L) * 1e9L));
}

static void assert_in_bucket(uint64_t value_ns, unsigned bucket)
{
    uint64_t low = bucket > 0 ? fg_histogram_bound_ns(bucket - 1) : FG_HISTOGRAM_ZERO_NS;

    assert_true(bucket < FG_HISTOGRAM_BUCKETS);
    if (value_ns <= low || (value_ns > fg_histogram_bound_ns(bucket) && bucket < FG_HISTOGRAM_BUCKETS - 1))
        fail_msg("%llu ns is not in bucket %u", (unsigned long long)value_ns, bucket);
}

/* Lower bounds are out, upper bounds are in. */
static void a_bound_belongs_to_the_bucket_that_it_ends(void **state)
{
    (void)state;

    assert_int_equal(fg_histogram_bucket_of(FG_HISTOGRAM_ZERO_NS + 1), 0);
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = fg_histogram_bound_ns(i);
        assert_int_equal(fg_histogram_bucket_of(bound), i);
        assert_int_equal(fg_histogram_bucket_of(bound + 1), FG_MIN(i + 1, FG_HISTOGRAM_BUCKETS - 1u));
    }
}

static void every_value_is_in_its_bucket(void **state)
{
    uint64_t seed = 7;
    (void)state;

    for (uint64_t value = FG_HISTOGRAM_ZERO_NS + 1; value < 100000; value++)
        assert_in_bucket(value, fg_histogram_bucket_of(value));
    for (int i = 0; i < 1000000; i++) {
        uint64_t value = next_random(&seed) >> (next_random(&seed) % 54);
        if (value > FG_HISTOGRAM_ZERO_NS)
            assert_in_bucket(value, fg_histogram_bucket_of(value));
    }
    assert_int_equal(fg_histogram_bucket_of(UINT64_MAX), FG_HISTOGRAM_BUCKETS - 1);
}

/* ---- counts ---- */

static void what_is_too_small_or_too_large_is_counted_at_the_ends(void **state)
{
    struct fg_histogram histogram = {0};
    struct fg_histogram_snapshot snapshot = {0};
    (void)state;

    fg_histogram_observe(&histogram, 0);
    fg_histogram_observe(&histogram, FG_HISTOGRAM_ZERO_NS);
    fg_histogram_observe(&histogram, 3600 * FG_S);
    fg_histogram_add_to(&snapshot, &histogram);
    assert_int_equal(snapshot.count, 3);
    assert_int_equal(snapshot.zero_count, 2);
    assert_int_equal(snapshot.buckets[FG_HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(snapshot.sum_ns, FG_HISTOGRAM_ZERO_NS + 3600 * FG_S);
    assert_true(snapshot.has_range);
    assert_int_equal(snapshot.min_ns, 0);
    assert_int_equal(snapshot.max_ns, 3600 * FG_S);
    assert_int_equal(fg_histogram_quantile_ns(&snapshot, 0.01), FG_HISTOGRAM_ZERO_NS / 4);
    assert_true(fg_histogram_quantile_ns(&snapshot, 1) > 280 * FG_S);
}

static void an_empty_histogram_says_nothing(void **state)
{
    struct fg_histogram histogram = {0};
    struct fg_histogram_snapshot snapshot = {0};
    unsigned len = 1;
    (void)state;

    fg_histogram_add_to(&snapshot, &histogram);
    assert_int_equal(snapshot.count, 0);
    assert_false(snapshot.has_range);
    assert_int_equal(fg_histogram_quantile_ns(&snapshot, 0.5), 0);
    fg_histogram_used(&snapshot, &len);
    assert_int_equal(len, 0);
}

static void assert_same(const struct fg_histogram_snapshot *a, const struct fg_histogram_snapshot *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->sum_ns, b->sum_ns);
    assert_int_equal(a->zero_count, b->zero_count);
    assert_memory_equal(a->buckets, b->buckets, sizeof a->buckets);
}

/* Any split of values over writers and intervals adds up to the whole. */
static void writers_and_intervals_add_up(void **state)
{
    static struct fg_histogram writers[3], all, late;
    struct fg_histogram_snapshot sum = {0}, whole = {0}, earlier = {0}, interval = {0};
    uint64_t seed = 99, least = UINT64_MAX, most = 0;
    (void)state;

    for (int i = 0; i < 30000; i++) {
        uint64_t value = next_random(&seed) >> (20 + next_random(&seed) % 44);
        fg_histogram_observe(&writers[next_random(&seed) % 3], value);
        fg_histogram_observe(&all, value);
        if (i >= 10000)
            fg_histogram_observe(&late, value);
        if (i == 9999)
            fg_histogram_add_to(&earlier, &all);
        least = FG_MIN(least, value);
        most = FG_MAX(most, value);
    }
    for (int i = 0; i < 3; i++)
        fg_histogram_add_to(&sum, &writers[i]);
    fg_histogram_add_to(&whole, &all);
    assert_int_equal(whole.count, 30000);
    assert_same(&sum, &whole);
    assert_true(sum.has_range);
    assert_int_equal(sum.min_ns, least);
    assert_int_equal(sum.max_ns, most);
    fg_histogram_subtract(&whole, &earlier);
    fg_histogram_add_to(&interval, &late);
    assert_same(&whole, &interval);
    assert_false(whole.has_range);
    fg_histogram_add(&whole, &earlier);
    assert_same(&whole, &sum);
    assert_false(whole.has_range);
}

static void used_buckets_are_found(void **state)
{
    struct fg_histogram histogram = {0};
    struct fg_histogram_snapshot snapshot = {0};
    unsigned len = 0;
    (void)state;

    fg_histogram_observe(&histogram, FG_S); /* 2^0 s ends the bucket of index -1 */
    fg_histogram_observe(&histogram, FG_S + 1);
    fg_histogram_observe(&histogram, 2 * FG_S + 1);
    fg_histogram_add_to(&snapshot, &histogram);
    assert_int_equal((int)fg_histogram_used(&snapshot, &len) + FG_HISTOGRAM_OFFSET, -1);
    assert_int_equal(len, 10);
}

/* ---- quantiles ---- */

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Between one microsecond and some seconds, in the shape that KIND says. */
static uint64_t draw(int kind, uint64_t *seed)
{
    double share = next_share(seed);

    switch (kind) {
    case 0: /* evenly */
        return 1000 + (uint64_t)(share * 1e9);
    case 1: /* evenly over the orders of magnitude */
        return (uint64_t)pow(10, 3.1 + share * 7);
    case 2: /* as services answer */
        return 2 * FG_MS + (uint64_t)(-log(1 - share) * 5e6);
    case 3: /* two of them */
        return (share < 0.7 ? 300 * FG_US : 40 * FG_MS) + (uint64_t)(next_share(seed) * 1e5);
    default: /* all the same */
        return 123456789;
    }
}

static double error_of(uint64_t estimate_ns, uint64_t value_ns)
{
    return fabs((double)estimate_ns - (double)value_ns) / (double)value_ns;
}

static void quantiles_are_close(void **state)
{
    static const double shares[] = {0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};
    static uint64_t values[VALUES];
    uint64_t seed = 4711;
    (void)state;

    for (int round = 0; round < 25; round++) {
        struct fg_histogram histogram = {0};
        struct fg_histogram_snapshot snapshot = {0};
        for (int i = 0; i < VALUES; i++)
            fg_histogram_observe(&histogram, values[i] = draw(round % 5, &seed));
        qsort(values, VALUES, sizeof values[0], compare);
        fg_histogram_add_to(&snapshot, &histogram);
        for (size_t i = 0; i < FG_ARRAY_LEN(shares); i++) {
            uint64_t value = values[(size_t)FG_MAX(ceil(shares[i] * VALUES), 1) - 1];
            uint64_t estimate = fg_histogram_quantile_ns(&snapshot, shares[i]);
            if (error_of(estimate, value) > 0.05)
                fail_msg("kind %d, quantile %g: %llu, not %llu", round % 5, shares[i], (unsigned long long)estimate,
                         (unsigned long long)value);
        }
    }
}

/* However few the values are and wherever in their buckets. */
static void quantiles_of_few_are_close(void **state)
{
    uint64_t seed = 5;
    (void)state;

    for (int round = 0; round < 3000; round++) {
        struct fg_histogram histogram = {0};
        struct fg_histogram_snapshot snapshot = {0}, empty = {0};
        uint64_t values[7];
        size_t len = 1 + next_random(&seed) % FG_ARRAY_LEN(values);
        for (size_t i = 0; i < len; i++)
            fg_histogram_observe(&histogram, values[i] = 2000 + (next_random(&seed) >> (28 + next_random(&seed) % 30)));
        qsort(values, len, sizeof values[0], compare);
        fg_histogram_add_to(&snapshot, &histogram);
        fg_histogram_subtract(&snapshot, &empty);
        snapshot.has_range = round % 2;
        for (size_t i = 0; i < len; i++)
            assert_true(error_of(fg_histogram_quantile_ns(&snapshot, (double)(i + 1) / (double)len), values[i]) <
                        0.0501);
    }
}

/* ---- threads ---- */

struct race {
    struct fg_histogram histogram;
    uint64_t done;
};

static void *write_many(void *context)
{
    struct race *race = context;

    for (uint64_t i = 0; i < 300000; i++)
        fg_histogram_observe(&race->histogram, 1000 + i * 1000);
    __atomic_store_n(&race->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* What a reader sees never goes back, and ends exact. */
static void readers_see_counts_grow(void **state)
{
    static struct race race;
    struct fg_histogram_snapshot last = {0}, now;
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, write_many, &race), 0);
    for (bool done = false; !done;) {
        done = __atomic_load_n(&race.done, __ATOMIC_ACQUIRE);
        memset(&now, 0, sizeof now);
        fg_histogram_add_to(&now, &race.histogram);
        assert_true(now.count >= last.count);
        for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++)
            assert_true(now.buckets[i] >= last.buckets[i]);
        last = now;
    }
    pthread_join(thread, NULL);
    assert_int_equal(last.count, 300000);
    assert_int_equal(last.sum_ns, 300000 * 1000ull + 1000ull * (299999ull * 300000ull / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_powers_of_the_base),
        cmocka_unit_test(a_bound_belongs_to_the_bucket_that_it_ends),
        cmocka_unit_test(every_value_is_in_its_bucket),
        cmocka_unit_test(what_is_too_small_or_too_large_is_counted_at_the_ends),
        cmocka_unit_test(an_empty_histogram_says_nothing),
        cmocka_unit_test(writers_and_intervals_add_up),
        cmocka_unit_test(used_buckets_are_found),
        cmocka_unit_test(quantiles_are_close),
        cmocka_unit_test(quantiles_of_few_are_close),
        cmocka_unit_test(readers_see_counts_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
