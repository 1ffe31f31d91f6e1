#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/breaker.h"

static const struct fg_config_breaker config = {.enabled = true,
                                                .window_ns = FG_S,
                                                .failure_ratio = 0.5,
                                                .minimum_calls = 1,
                                                .consecutive_failures = 1,
                                                .open_for_ns = FG_S,
                                                .half_open_calls = 1};

static struct fg_breaker *get(struct fg_breaker_registry *registry, const char *cluster, const char *endpoint,
                              const char *method)
{
    return fg_breaker_get(registry, fg_str_from(cluster), fg_str_from(endpoint), fg_str_from(method));
}

static void count(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                  struct fg_breaker *breaker)
{
    size_t *counts = context; /* circuits of methods, of endpoints */
    assert_non_null(breaker);
    assert_true(cluster.len > 0 && endpoint.len > 0);
    counts[method.len == 0 || fg_str_eq(method, FG_STR("*"))]++;
}

static void a_key_has_one_circuit(void **state)
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(100);
    struct fg_breaker *a = get(registry, "c", "e", "/m");
    char text[] = "/m";

    (void)state;
    assert_ptr_equal(get(registry, "c", "e", text), a);
    text[1] = 'x'; /* the registry has a copy */
    assert_ptr_equal(get(registry, "c", "e", "/m"), a);
    assert_ptr_not_equal(get(registry, "c", "e", text), a);
    assert_ptr_not_equal(get(registry, "c", "e/", "m"), a);
    assert_ptr_not_equal(get(registry, "ce", "", "/m"), a);
    assert_ptr_not_equal(get(registry, "c", "e", ""), a);
    assert_ptr_equal(fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), (struct fg_str){NULL, 0}),
                     get(registry, "c", "e", ""));
    fg_breaker_registry_free(registry);
    fg_breaker_registry_free(NULL);
}

static void a_full_registry_shares_a_circuit_per_endpoint(void **state)
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(8);
    struct fg_breaker *own[8];
    char method[16];
    size_t counts[2] = {0};

    (void)state;
    for (int i = 0; i < 8; i++) {
        snprintf(method, sizeof method, "/m%d", i);
        own[i] = get(registry, "c", "e1", method);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(own[i], own[j]);
    }
    struct fg_breaker *overflow = get(registry, "c", "e1", "/more");
    assert_ptr_equal(get(registry, "c", "e1", "/still more"), overflow);
    assert_ptr_equal(get(registry, "c", "e1", "/m3"), own[3]);
    assert_ptr_not_equal(get(registry, "c", "e2", "/more"), overflow);
    assert_ptr_not_equal(get(registry, "c", "e1", ""), overflow); /* the roll-up is not crowded out */
    fg_breaker_each(registry, count, counts);
    assert_int_equal(counts[0], 8);
    assert_int_equal(counts[1], 3);
    fg_breaker_registry_free(registry);
}

static void long_methods_share_a_circuit(void **state)
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(8);
    char method[FG_BREAKER_METHOD_MAX + 2];

    (void)state;
    memset(method, 'm', sizeof method);
    struct fg_str fits = {method, FG_BREAKER_METHOD_MAX}, longer = {method, FG_BREAKER_METHOD_MAX + 1};
    struct fg_breaker *own = fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), fits);
    struct fg_breaker *overflow = fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), longer);
    assert_ptr_not_equal(own, overflow);
    method[0] = 'n';
    assert_ptr_equal(fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), longer), overflow);
    assert_ptr_not_equal(fg_breaker_get(registry, FG_STR("c"), FG_STR("e"), fits), own);
    fg_breaker_registry_free(registry);
}

static void with_too_many_endpoints_everything_passes(void **state)
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(1);
    struct fg_breaker_info info;
    struct fg_breaker_ticket ticket;
    static const struct fg_breaker_rank average;
    static const struct fg_breaker_result failure = {.class = FG_CLASS_FAILURE};

    (void)state;
    struct fg_breaker *rollup = get(registry, "c", "e1", ""), *method = get(registry, "c", "e1", "/m");
    struct fg_breaker *inert = get(registry, "c", "e2", "/m");
    assert_ptr_equal(get(registry, "c", "e3", ""), inert);
    assert_ptr_equal(get(registry, "c", "e1", "/n"), inert);
    assert_true(rollup != method && method != inert && rollup != inert);
    for (int i = 0; i < 10; i++) {
        assert_true(fg_breaker_admits(inert, &config, average, FG_S));
        assert_int_equal(fg_breaker_ask(inert, &config, average, FG_S, &ticket), FG_BREAKER_PASS);
        fg_breaker_report(inert, &config, ticket, &failure, FG_S);
    }
    fg_breaker_describe(inert, &config, FG_S, &info);
    assert_int_equal(info.state, FG_BREAKER_CLOSED);
    assert_int_equal(info.calls, 0);
    fg_breaker_registry_free(registry);
}

static void roll_ups_of_methods_crowd_nobody_out(void **state)
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(2);
    struct fg_breaker *rollups[2] = {get(registry, "c", "", "/m"), get(registry, "c", "", "/n")};

    (void)state;
    struct fg_breaker *overflow = get(registry, "c", "", "/o"); /* counted among the endpoints, one per cluster */
    assert_true(rollups[0] != rollups[1] && overflow != rollups[0] && overflow != rollups[1]);
    assert_ptr_equal(get(registry, "c", "", "/p"), overflow);
    struct fg_breaker *m = get(registry, "c", "e", "/m"), *n = get(registry, "c", "e", "/n");
    assert_true(m != n && m != rollups[0] && n != rollups[1]);
    assert_ptr_not_equal(get(registry, "c", "e", ""), overflow);
    assert_ptr_equal(get(registry, "c", "", "/m"), rollups[0]);
    fg_breaker_registry_free(registry);
}

/* ---- threads ---- */

#define THREADS 8
#define KEYS    300

struct thread {
    pthread_t id;
    struct fg_breaker_registry *registry;
    pthread_barrier_t *start;
    unsigned first;
    struct fg_breaker *found[KEYS];
};

static void *get_all(void *context)
{
    struct thread *t = context;
    char method[16];

    pthread_barrier_wait(t->start);
    for (unsigned i = 0; i < KEYS; i++) {
        unsigned key = (t->first + i) % KEYS;
        snprintf(method, sizeof method, "/m%u", key);
        t->found[key] = get(t->registry, "c", "e", method);
    }
    return NULL;
}

static void threads_find_the_same_circuits(void **state)
{
    static struct thread threads[THREADS];
    struct fg_breaker_registry *registry = fg_breaker_registry_new(KEYS);
    pthread_barrier_t start;
    size_t counts[2] = {0};

    (void)state;
    pthread_barrier_init(&start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.registry = registry, .start = &start, .first = i % 2 * 100};
        assert_int_equal(pthread_create(&threads[i].id, NULL, get_all, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    for (unsigned i = 1; i < THREADS; i++)
        assert_memory_equal(threads[i].found, threads[0].found, sizeof threads[0].found);
    fg_breaker_each(registry, count, counts);
    assert_int_equal(counts[0], KEYS);
    assert_int_equal(counts[1], 0); /* nobody was sent to the overflow circuit */
    pthread_barrier_destroy(&start);
    fg_breaker_registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_one_circuit),
        cmocka_unit_test(a_full_registry_shares_a_circuit_per_endpoint),
        cmocka_unit_test(long_methods_share_a_circuit),
        cmocka_unit_test(with_too_many_endpoints_everything_passes),
        cmocka_unit_test(roll_ups_of_methods_crowd_nobody_out),
        cmocka_unit_test(threads_find_the_same_circuits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
