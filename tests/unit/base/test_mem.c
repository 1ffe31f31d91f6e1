#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

static void arenas_align_and_end_together(void **state)
{
    struct fg_mem mem;
    struct fg_arena arena;
    (void)state;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    assert_int_equal(mem.arena_blocks.live, 0);
    for (size_t n = 1; n < 3000; n += 7) {
        char *p = fg_arena_alloc(&arena, n);
        assert_int_equal((uintptr_t)p % 8, 0);
        memset(p, 0xa5, n); /* the sanitizer looks whether it is ours */
    }
    assert_true(mem.arena_blocks.live > 0);
    fg_arena_cleanup(&arena);
    assert_int_equal(mem.arena_blocks.live, 0);
    fg_mem_cleanup(&mem);
}

static void a_large_piece_leaves_the_current_block_in_use(void **state)
{
    struct fg_mem mem;
    struct fg_arena arena;
    (void)state;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    char *first = fg_arena_alloc(&arena, 8);
    fg_arena_alloc(&arena, 100000);
    char *second = fg_arena_alloc(&arena, 8);
    assert_ptr_equal(second, first + 8);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void prints_and_copies_with_an_end(void **state)
{
    struct fg_mem mem;
    struct fg_arena arena;
    (void)state;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_str text = fg_arena_printf(&arena, "%d-%s", 42, "x");
    assert_int_equal(text.len, 4);
    assert_string_equal(text.p, "42-x");
    struct fg_str copy = fg_arena_copy(&arena, (struct fg_str){"abcdef", 3});
    assert_string_equal(copy.p, "abc");
    assert_int_equal(fg_arena_copy(&arena, FG_STR("")).len, 0);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

/* Reads share a chunk until it is full or nobody keeps anything of it. */
static void the_read_chunk_is_shared_and_reused(void **state)
{
    struct fg_mem mem;
    struct fg_chunk *chunk, *next;
    size_t room;
    (void)state;

    fg_mem_init(&mem);
    uint8_t *at = fg_mem_read_room(&mem, &chunk, &room);
    assert_int_equal(room, FG_CHUNK_READ_BYTES);
    fg_mem_read_used(&mem, 1000);
    assert_ptr_equal(fg_mem_read_room(&mem, &next, &room), at); /* nothing was kept */
    fg_mem_read_used(&mem, 1000);
    struct fg_buf kept = fg_buf_ref((struct fg_buf){chunk, at, 10});
    assert_ptr_equal(fg_mem_read_room(&mem, &next, &room), at + 1000);
    assert_ptr_equal(next, chunk);
    fg_mem_read_used(&mem, room - 100); /* too little is left for another read */
    fg_mem_read_room(&mem, &next, &room);
    assert_ptr_not_equal(next, chunk);
    assert_int_equal(room, FG_CHUNK_READ_BYTES);
    fg_buf_unref(&kept);
    fg_mem_cleanup(&mem);
}

static void a_slab_counts_what_is_out(void **state)
{
    struct fg_slab slab;
    void *objects[10];
    (void)state;

    fg_slab_init(&slab, 100, 4);
    for (int i = 0; i < 10; i++)
        objects[i] = fg_slab_get(&slab);
    assert_int_equal(slab.live, 10);
    for (int i = 0; i < 10; i++)
        fg_slab_put(&slab, objects[i]);
    assert_int_equal(slab.live, 0);
    assert_true(slab.free_len <= 4);
    fg_slab_cleanup(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_align_and_end_together),
        cmocka_unit_test(a_large_piece_leaves_the_current_block_in_use),
        cmocka_unit_test(prints_and_copies_with_an_end),
        cmocka_unit_test(the_read_chunk_is_shared_and_reused),
        cmocka_unit_test(a_slab_counts_what_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
