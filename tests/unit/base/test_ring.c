#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/ring.h"

static void a_record_is_taken_whole_or_not_at_all(void **state)
{
    struct fg_ring ring;
    const char *at;
    char out[8];
    (void)state;

    fg_ring_init(&ring, 8);
    assert_int_equal(fg_ring_peek(&ring, &at), 0);
    assert_true(fg_ring_put(&ring, "abcde", 5));
    assert_false(fg_ring_put(&ring, "fghi", 4));
    assert_true(fg_ring_put(&ring, "fgh", 3));
    assert_false(fg_ring_put(&ring, "i", 1));
    assert_false(fg_ring_get(&ring, out, 9));
    assert_true(fg_ring_get(&ring, out, 6));
    assert_memory_equal(out, "abcdef", 6);
    assert_true(fg_ring_put(&ring, "ijkl", 4));
    assert_int_equal(fg_ring_peek(&ring, &at), 2);
    assert_memory_equal(at, "gh", 2);
    assert_true(fg_ring_get(&ring, out, 6));
    assert_memory_equal(out, "ghijkl", 6);
    assert_int_equal(fg_ring_peek(&ring, &at), 0);
    fg_ring_cleanup(&ring);
}

static void pieces_are_one_record_and_leave_room_for_others(void **state)
{
    const struct fg_str parts[] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
    struct fg_ring ring;
    char out[8];
    (void)state;

    fg_ring_init(&ring, 8);
    assert_true(fg_ring_put_parts(&ring, parts, 3, 3));
    assert_false(fg_ring_put_parts(&ring, parts, 1, 2));
    assert_true(fg_ring_get(&ring, out, 5));
    assert_memory_equal(out, "abcde", 5);
    assert_false(fg_ring_put_parts(&ring, parts, 3, 4));
    assert_true(fg_ring_put_parts(&ring, parts, 3, 0)); /* over the end of the memory */
    assert_true(fg_ring_get(&ring, out, 5));
    assert_memory_equal(out, "abcde", 5);
    fg_ring_cleanup(&ring);
}

static void a_copy_goes_over_the_end_and_takes_nothing(void **state)
{
    struct fg_ring ring;
    char out[8];
    (void)state;

    fg_ring_init(&ring, 8);
    assert_int_equal(fg_ring_copy(&ring, out, sizeof out), 0);
    assert_true(fg_ring_put(&ring, "abcdef", 6));
    fg_ring_take(&ring, 5);
    assert_true(fg_ring_put(&ring, "ghijk", 5));
    assert_int_equal(fg_ring_copy(&ring, out, 4), 4);
    assert_memory_equal(out, "fghi", 4);
    assert_int_equal(fg_ring_copy(&ring, out, sizeof out), 6);
    assert_memory_equal(out, "fghijk", 6);
    fg_ring_cleanup(&ring);
}

#define RECORDS 200000u

static void *write_records(void *context)
{
    struct fg_ring *ring = context;

    for (uint32_t i = 0; i < RECORDS;) {
        uint8_t record[4 + 16];
        size_t more = i % 16;
        memcpy(record, &i, 4);
        memset(record + 4, (int)(i & 0xFF), sizeof record - 4);
        if (fg_ring_put(ring, record, 4 + more))
            i++;
    }
    return NULL;
}

static void two_threads_agree_on_every_byte(void **state)
{
    struct fg_ring ring;
    pthread_t writer;
    (void)state;

    fg_ring_init(&ring, 1021);
    assert_int_equal(pthread_create(&writer, NULL, write_records, &ring), 0);
    for (uint32_t i = 0; i < RECORDS;) {
        uint32_t number;
        uint8_t more[16];
        if (!fg_ring_get(&ring, &number, 4))
            continue;
        assert_int_equal(number, i);
        assert_true(fg_ring_get(&ring, more, i % 16));
        for (size_t j = 0; j < i % 16; j++)
            assert_int_equal(more[j], i & 0xFF);
        i++;
    }
    pthread_join(writer, NULL);
    fg_ring_cleanup(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_taken_whole_or_not_at_all),
        cmocka_unit_test(pieces_are_one_record_and_leave_room_for_others),
        cmocka_unit_test(a_copy_goes_over_the_end_and_takes_nothing),
        cmocka_unit_test(two_threads_agree_on_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
