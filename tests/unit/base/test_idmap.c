#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/idmap.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void an_empty_map_owns_nothing(void **state)
{
    struct fg_idmap map = {0};
    (void)state;

    assert_null(fg_idmap_get(&map, 1));
    fg_idmap_remove(&map, 1);
    assert_null(map.slots);
}

/* Stream ids come and go in any order; the map must agree with a plain array. */
static void agrees_with_a_model(void **state)
{
    enum { IDS = 4096 };
    static char values[IDS];
    static void *model[IDS];
    struct fg_idmap map = {0};
    uint64_t seed = 42;
    uint32_t len = 0;
    (void)state;

    for (int step = 0; step < 200000; step++) {
        uint32_t id = (uint32_t)(next_random(&seed) % (step % 2000 < 1000 ? IDS : 64));
        if (id == 0)
            continue;
        if (model[id]) {
            fg_idmap_remove(&map, id);
            model[id] = NULL;
            len--;
        } else {
            model[id] = &values[id];
            fg_idmap_put(&map, id, model[id]);
            len++;
        }
        assert_int_equal(map.len, len);
        uint32_t other = (uint32_t)(next_random(&seed) % IDS);
        if (other != 0)
            assert_ptr_equal(fg_idmap_get(&map, other), model[other]);
    }
    for (uint32_t id = 1; id < IDS; id++)
        assert_ptr_equal(fg_idmap_get(&map, id), model[id]);
    fg_idmap_cleanup(&map);
}

static void gives_a_burst_back(void **state)
{
    struct fg_idmap map = {0};
    int value;
    (void)state;

    for (uint32_t id = 1; id < 2000; id += 2)
        fg_idmap_put(&map, id, &value);
    assert_true(map.mask >= 1000);
    for (uint32_t id = 1; id < 2000; id += 2)
        fg_idmap_remove(&map, id);
    assert_int_equal(map.len, 0);
    assert_null(map.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_owns_nothing),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(gives_a_burst_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
