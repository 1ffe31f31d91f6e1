#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/outq.h"

static size_t drain(struct fg_outq *q, uint8_t *out, size_t step)
{
    size_t at = 0;
    while (q->bytes > 0) {
        struct iovec iov[3];
        int n = fg_outq_peek(q, iov, 3);
        size_t part = 0;
        for (int i = 0; i < n && part < step; i++) {
            size_t take = FG_MIN(iov[i].iov_len, step - part);
            memcpy(out + at + part, iov[i].iov_base, take);
            part += take;
        }
        fg_outq_consume(q, part);
        at += part;
    }
    return at;
}

/* Whatever goes in as copies and references comes out in order, in writes of any size; nothing is left. */
static void keeps_the_order_of_copies_and_references(void **state)
{
    static uint8_t want[200000], got[200000];
    static const size_t steps[] = {1, 7, 100, 4096, 100000};
    (void)state;

    for (size_t s = 0; s < FG_ARRAY_LEN(steps); s++) {
        struct fg_mem mem;
        struct fg_outq q;
        size_t len = 0;
        fg_mem_init(&mem);
        fg_outq_init(&q, &mem);
        for (unsigned i = 0; i < 60; i++) {
            uint8_t piece[3000];
            size_t n = i * 37 % sizeof piece;
            for (size_t k = 0; k < n; k++)
                piece[k] = (uint8_t)(i * 131 + k);
            memcpy(want + len, piece, n);
            len += n;
            if (i % 3 == 0)
                fg_outq_push(&q, fg_buf_copy(piece, n));
            else
                fg_outq_copy(&q, piece, n);
        }
        assert_int_equal(q.bytes, len);
        assert_int_equal(drain(&q, got, steps[s]), len);
        assert_memory_equal(got, want, len);
        assert_null(q.head);
        assert_null(q.fill);
        assert_int_equal(mem.segments.live, 0);
        assert_int_equal(mem.out_chunks.live, 0);
        fg_outq_cleanup(&q);
        fg_mem_cleanup(&mem);
    }
}

static void neighbouring_copies_make_one_segment(void **state)
{
    struct fg_mem mem;
    struct fg_outq q;
    struct iovec iov[4];
    (void)state;

    fg_mem_init(&mem);
    fg_outq_init(&q, &mem);
    for (int i = 0; i < 100; i++)
        fg_outq_copy(&q, "abc", 3);
    assert_int_equal(fg_outq_peek(&q, iov, 4), 1);
    assert_int_equal(iov[0].iov_len, 300);
    fg_outq_cleanup(&q);
    fg_mem_cleanup(&mem);
}

static void a_copy_may_be_larger_than_a_chunk(void **state)
{
    static uint8_t large[3 * FG_CHUNK_OUT_BYTES + 17], got[sizeof large];
    struct fg_mem mem;
    struct fg_outq q;
    (void)state;

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7);
    fg_mem_init(&mem);
    fg_outq_init(&q, &mem);
    fg_outq_copy(&q, large, 5);
    fg_outq_copy(&q, large + 5, sizeof large - 5);
    assert_int_equal(drain(&q, got, 1000), sizeof large);
    assert_memory_equal(got, large, sizeof large);
    fg_mem_cleanup(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_copies_and_references),
        cmocka_unit_test(neighbouring_copies_make_one_segment),
        cmocka_unit_test(a_copy_may_be_larger_than_a_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
