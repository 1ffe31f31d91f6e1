#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rpc/gzip.h"

static void fill(struct fg_outq *q, size_t len)
{
    uint32_t x = 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245 + 12345;
        uint8_t byte = (uint8_t)(i % 3 ? x >> 24 : 'a');
        fg_outq_copy(q, &byte, 1);
    }
}

static void whatever_is_packed_is_unpacked(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 300000};
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    for (size_t i = 0; i < FG_ARRAY_LEN(sizes); i++) {
        struct fg_outq plain, packed, again;
        fg_outq_init(&plain, &mem);
        fg_outq_init(&packed, &mem);
        fg_outq_init(&again, &mem);
        fill(&plain, sizes[i]);
        fg_gzip_deflate(&plain, &packed);
        assert_int_equal(fg_gzip_inflate(&packed, sizes[i], &again), FG_GZIP_OK);
        assert_int_equal(again.bytes, sizes[i]);
        uint8_t *a = fg_alloc(sizes[i] + 1), *b = fg_alloc(sizes[i] + 1);
        fg_outq_read(&plain, a, sizes[i]);
        fg_outq_read(&again, b, sizes[i]);
        assert_memory_equal(a, b, sizes[i]);
        free(a);
        free(b);
        fg_outq_cleanup(&again);
        if (sizes[i] > 0)
            assert_int_equal(fg_gzip_inflate(&packed, sizes[i] - 1, &again), FG_GZIP_TOO_LARGE);
        fg_outq_cleanup(&again);
        fg_outq_copy(&packed, "x", 1);
        assert_int_equal(fg_gzip_inflate(&packed, sizes[i], &again), FG_GZIP_MALFORMED);
        fg_outq_cleanup(&again);
        fg_outq_cleanup(&plain);
        fg_outq_cleanup(&packed);
    }
    fg_mem_cleanup(&mem);
}

static void what_is_cut_or_changed_is_malformed(void **state)
{
    struct fg_outq plain, packed;
    uint8_t bytes[4096];
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    fg_outq_init(&plain, &mem);
    fg_outq_init(&packed, &mem);
    fill(&plain, 1000);
    fg_gzip_deflate(&plain, &packed);
    size_t len = packed.bytes;
    fg_outq_read(&packed, bytes, len);
    for (size_t cut = 0; cut < len; cut++) {
        struct fg_outq q, out;
        fg_outq_init(&q, &mem);
        fg_outq_init(&out, &mem);
        fg_outq_copy(&q, bytes, cut);
        assert_int_equal(fg_gzip_inflate(&q, 10000, &out), FG_GZIP_MALFORMED);
        fg_outq_cleanup(&out);
        fg_outq_cleanup(&q);
    }
    fg_outq_cleanup(&plain);
    fg_outq_cleanup(&packed);
    fg_mem_cleanup(&mem);
}

/* Each part can be read when it has come, and at the end it is one gzip. */
static void a_stream_can_be_read_as_it_comes(void **state)
{
    struct fg_outq part, packed, again;
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    fg_outq_init(&part, &mem);
    fg_outq_init(&packed, &mem);
    fg_outq_init(&again, &mem);
    struct fg_gzip_stream *stream = fg_gzip_stream_new();
    for (size_t i = 1; i <= 3; i++) {
        fill(&part, 10000 * i);
        fg_gzip_stream_feed(stream, &part, false, &packed);
        assert_int_equal(fg_gzip_inflate(&packed, 1 << 20, &again), FG_GZIP_MALFORMED); /* not whole, but there */
        assert_int_equal(again.bytes, 10000 * i * (i + 1) / 2);
        fg_outq_cleanup(&again);
        fg_outq_cleanup(&part);
    }
    fg_gzip_stream_feed(stream, &part, true, &packed);
    assert_int_equal(fg_gzip_inflate(&packed, 1 << 20, &again), FG_GZIP_OK);
    assert_int_equal(again.bytes, 60000);
    fg_gzip_stream_free(stream);
    fg_gzip_stream_free(NULL);
    fg_outq_cleanup(&again);
    fg_outq_cleanup(&packed);
    fg_mem_cleanup(&mem);
}

static void lists_say_whether_gzip_is_wanted(void **state)
{
    static const char *const yes[] = {
        "gzip", "GZip", "br, gzip", "br,gzip;q=0.5", " gzip ; q=1 ,x", "identity,\tgzip", "gzip;q=0.001"};
    static const char *const no[] = {"",           "x-gzip", "gzipped", "br",      "gzip;q=0", "gzip;q=0.000",
                                     "gzip; Q=0.", ",,,",    "*",       "gzip;x=1"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(yes); i++)
        if (!fg_gzip_is_accepted(fg_str_from(yes[i])))
            fail_msg("not taken for gzip: %s", yes[i]);
    for (size_t i = 0; i < FG_ARRAY_LEN(no); i++)
        if (fg_gzip_is_accepted(fg_str_from(no[i])))
            fail_msg("taken for gzip: %s", no[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_packed_is_unpacked),
        cmocka_unit_test(a_stream_can_be_read_as_it_comes),
        cmocka_unit_test(lists_say_whether_gzip_is_wanted),
        cmocka_unit_test(what_is_cut_or_changed_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
