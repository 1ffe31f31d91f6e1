#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "observe/exemplar.h"

/* All parts say the same number. */
static struct fg_exemplar made_of(uint64_t number)
{
    struct fg_exemplar exemplar = {.wall_ns = number};

    for (size_t i = 0; i < sizeof exemplar.trace_id; i++)
        exemplar.trace_id[i] = (uint8_t)(number >> i % 8 * 8);
    for (size_t i = 0; i < sizeof exemplar.span_id; i++)
        exemplar.span_id[i] = (uint8_t)(number >> i % 8 * 8);
    return exemplar;
}

static void an_empty_slot_has_none(void **state)
{
    struct fg_exemplar_slot slot = {0};
    struct fg_exemplar exemplar;
    uint64_t value_ns;
    (void)state;

    assert_false(fg_exemplar_get(&slot, &exemplar, &value_ns));
}

static void the_last_one_is_kept(void **state)
{
    struct fg_exemplar_slot slot = {0};
    struct fg_exemplar found, first = made_of(1), second = made_of(0x123456789abcdef);
    uint64_t value_ns;
    (void)state;

    fg_exemplar_put(&slot, &first, 10);
    fg_exemplar_put(&slot, &second, 20);
    assert_true(fg_exemplar_get(&slot, &found, &value_ns));
    assert_memory_equal(&found, &second, sizeof found);
    assert_int_equal(value_ns, 20);
}

struct race {
    struct fg_exemplar_slot slot;
    uint64_t done;
};

static void *write_many(void *context)
{
    struct race *race = context;

    for (uint64_t i = 1; i <= 200000; i++) {
        struct fg_exemplar exemplar = made_of(i * 0x9E3779B97F4A7C15ull);
        fg_exemplar_put(&race->slot, &exemplar, i * 0x9E3779B97F4A7C15ull);
    }
    __atomic_store_n(&race->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void readers_never_see_halves(void **state)
{
    static struct race race;
    struct fg_exemplar found;
    uint64_t value_ns;
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, write_many, &race), 0);
    while (!__atomic_load_n(&race.done, __ATOMIC_ACQUIRE)) {
        if (!fg_exemplar_get(&race.slot, &found, &value_ns))
            continue;
        struct fg_exemplar whole = made_of(value_ns);
        assert_memory_equal(&found, &whole, sizeof found);
    }
    pthread_join(thread, NULL);
    assert_true(fg_exemplar_get(&race.slot, &found, &value_ns));
    assert_int_equal(value_ns, 200000 * 0x9E3779B97F4A7C15ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_slot_has_none),
        cmocka_unit_test(the_last_one_is_kept),
        cmocka_unit_test(readers_never_see_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
