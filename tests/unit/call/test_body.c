/* The data of a request that an attempt may need again: what is copied, what is referred to, and that nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call/body.h"

struct fixture {
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_body body;
};

static void set_up(struct fixture *f)
{
    fg_mem_init(&f->mem);
    fg_arena_init(&f->arena, &f->mem);
    fg_body_init(&f->body);
}

static void tear_down(struct fixture *f)
{
    fg_body_drop(&f->body, &f->mem);
    fg_arena_cleanup(&f->arena);
    assert_int_equal(f->mem.segments.live, 0);
    assert_int_equal(f->mem.arena_blocks.live, 0);
    fg_mem_cleanup(&f->mem);
}

/* A chunk of CAP bytes: 0, 1, 2 ... */
static struct fg_chunk *make_chunk(size_t cap)
{
    struct fg_chunk *chunk = fg_chunk_new(cap);
    for (size_t i = 0; i < cap; i++)
        chunk->data[i] = (uint8_t)i;
    return chunk;
}

/* Appends LEN bytes of CHUNK from its beginning. */
static void append(struct fixture *f, struct fg_chunk *chunk, size_t len)
{
    fg_body_append(&f->body, &f->mem, &f->arena, (struct fg_buf){chunk, chunk->data, len});
}

static void expect_bytes(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != (uint8_t)i)
            fail_msg("byte %zu of %zu is %u", i, len, data[i]);
}

static void begins_empty_and_complete(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    assert_true(f.body.complete);
    assert_int_equal(f.body.bytes, 0);
    assert_null(f.body.head);
    tear_down(&f);
}

/* A few bytes must not hold a whole read chunk. */
static void up_to_1024_bytes_are_copied_to_the_arena(void **state)
{
    static const size_t lens[] = {1, 100, 1024};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(lens); i++) {
        struct fixture f;
        set_up(&f);
        struct fg_chunk *chunk = make_chunk(lens[i]); /* also when it is the whole chunk */
        append(&f, chunk, lens[i]);
        assert_int_equal(chunk->refs, 1);
        fg_chunk_unref(chunk);
        assert_null(f.body.head->chunk);
        assert_int_equal(f.body.head->len, lens[i]);
        expect_bytes(f.body.head->data, lens[i]);
        tear_down(&f);
    }
}

static void a_quarter_of_a_chunk_or_more_is_referred_to(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    struct fg_chunk *chunk = make_chunk(4100);
    append(&f, chunk, 1025);
    assert_int_equal(chunk->refs, 2);
    assert_ptr_equal(f.body.head->data, chunk->data);
    fg_body_drop(&f.body, &f.mem);
    assert_int_equal(chunk->refs, 1);
    fg_chunk_unref(chunk);
    tear_down(&f);
}

static void less_of_a_chunk_gets_one_of_its_own(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    struct fg_chunk *chunk = make_chunk(4101);
    append(&f, chunk, 1025);
    assert_int_equal(chunk->refs, 1);
    fg_chunk_unref(chunk);
    assert_non_null(f.body.head->chunk);
    assert_int_equal(f.body.head->chunk->cap, 1025);
    expect_bytes(f.body.head->data, 1025);
    assert_int_equal(f.arena.bytes, 0);
    tear_down(&f);
}

static void bytes_without_a_chunk_are_copied_whatever_their_size(void **state)
{
    static uint8_t bytes[5000];
    struct fixture f;
    (void)state;

    set_up(&f);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    fg_body_append(&f.body, &f.mem, &f.arena, (struct fg_buf){NULL, bytes, sizeof bytes});
    memset(bytes, 0, sizeof bytes);
    expect_bytes(f.body.head->data, sizeof bytes);
    tear_down(&f);
}

static void pieces_stay_in_order_and_are_counted(void **state)
{
    static const size_t lens[] = {10, 2000, 1, 1024, 1025, 64};
    struct fixture f;
    size_t at = 0, bytes = 0;
    (void)state;

    set_up(&f);
    for (size_t i = 0; i < FG_ARRAY_LEN(lens); i++) {
        struct fg_chunk *chunk = make_chunk(lens[i]);
        append(&f, chunk, lens[i]);
        fg_chunk_unref(chunk);
        bytes += lens[i];
        assert_int_equal(f.body.bytes, bytes);
        assert_int_equal(f.body.tail->len, lens[i]);
        assert_null(f.body.tail->next);
    }
    for (struct fg_seg *seg = f.body.head; seg; seg = seg->next) {
        assert_int_equal(seg->len, lens[at++]);
        expect_bytes(seg->data, seg->len);
    }
    assert_int_equal(at, FG_ARRAY_LEN(lens));
    assert_int_equal(f.mem.segments.live, FG_ARRAY_LEN(lens));
    assert_true(f.body.complete);
    tear_down(&f);
}

/* A connection may write what was queued long after the call, its arena and its body are gone. */
static void slices_outlive_body_and_arena(void **state)
{
    static const size_t lens[] = {100, 2000};
    struct fixture f;
    struct fg_buf slices[2];
    (void)state;

    set_up(&f);
    for (int i = 0; i < 2; i++) {
        struct fg_chunk *chunk = make_chunk(lens[i]);
        append(&f, chunk, lens[i]);
        fg_chunk_unref(chunk);
        slices[i] = fg_body_slice(f.body.tail);
    }
    assert_ptr_equal(slices[1].data, f.body.tail->data); /* the large one is no copy */
    tear_down(&f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(slices[i].len, lens[i]);
        assert_int_equal(slices[i].chunk->refs, 1);
        expect_bytes(slices[i].data, lens[i]);
        fg_buf_unref(&slices[i]);
    }
}

static void every_slice_has_its_own_reference(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    struct fg_chunk *chunk = make_chunk(2000);
    append(&f, chunk, 2000);
    struct fg_buf first = fg_body_slice(f.body.head), second = fg_body_slice(f.body.head);
    assert_int_equal(chunk->refs, 4);
    fg_buf_unref(&first);
    fg_buf_unref(&second);
    assert_int_equal(chunk->refs, 2);
    fg_chunk_unref(chunk);
    tear_down(&f);
}

static void a_dropped_body_is_empty_and_never_complete_again(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    struct fg_chunk *chunk = make_chunk(2000);
    for (int i = 0; i < 100; i++)
        append(&f, chunk, i % 2 ? 2000 : 10);
    assert_int_equal(chunk->refs, 51);
    assert_int_equal(f.body.bytes, 100500);
    for (int i = 0; i < 2; i++) { /* a second time is harmless */
        fg_body_drop(&f.body, &f.mem);
        assert_int_equal(chunk->refs, 1);
        assert_int_equal(f.mem.segments.live, 0);
        assert_int_equal(f.body.bytes, 0);
        assert_null(f.body.head);
        assert_null(f.body.tail);
        assert_false(f.body.complete);
    }
    fg_chunk_unref(chunk);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_empty_and_complete),
        cmocka_unit_test(up_to_1024_bytes_are_copied_to_the_arena),
        cmocka_unit_test(a_quarter_of_a_chunk_or_more_is_referred_to),
        cmocka_unit_test(less_of_a_chunk_gets_one_of_its_own),
        cmocka_unit_test(bytes_without_a_chunk_are_copied_whatever_their_size),
        cmocka_unit_test(pieces_stay_in_order_and_are_counted),
        cmocka_unit_test(slices_outlive_body_and_arena),
        cmocka_unit_test(every_slice_has_its_own_reference),
        cmocka_unit_test(a_dropped_body_is_empty_and_never_complete_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
