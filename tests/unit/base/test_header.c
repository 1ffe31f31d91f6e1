#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/header.h"

static void every_token_is_found_by_its_name(void **state)
{
    (void)state;
    for (int token = 1; token < FG_TOKEN_LEN; token++)
        assert_int_equal(fg_token_find(fg_token_name((enum fg_token)token)), token);
    assert_int_equal(fg_token_find(FG_STR("")), FG_TOKEN_NONE);
    assert_int_equal(fg_token_find(FG_STR("Te")), FG_TOKEN_NONE);
    assert_int_equal(fg_token_find(FG_STR("x-user")), FG_TOKEN_NONE);
    assert_int_equal(fg_token_find(FG_STR("a-name-that-is-longer-than-all-of-them")), FG_TOKEN_NONE);
}

static void lists_grow_and_find_the_first(void **state)
{
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_headers headers;
    (void)state;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    fg_headers_init(&headers);
    for (int i = 0; i < 40; i++)
        fg_headers_add(&headers, &arena, FG_STR("x-n"), fg_arena_printf(&arena, "%d", i));
    fg_headers_add(&headers, &arena, FG_STR("te"), FG_STR("trailers"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_TE, FG_STR("second"));
    assert_int_equal(headers.len, 42);
    assert_string_equal(fg_headers_find(&headers, FG_STR("x-n"))->value.p, "0");
    assert_string_equal(fg_headers_get(&headers, FG_TOKEN_TE)->value.p, "trailers");
    assert_null(fg_headers_get(&headers, FG_TOKEN_HOST));
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void hashes_tell_fields_apart_and_are_never_zero(void **state)
{
    (void)state;
    uint32_t a = fg_header_hash(FG_STR("ab"), FG_STR("c"));
    assert_int_not_equal(a, 0);
    assert_int_equal(a, fg_header_hash(FG_STR("ab"), FG_STR("c")));
    assert_int_not_equal(a, fg_header_hash(FG_STR("a"), FG_STR("bc")));
    assert_int_not_equal(a, fg_header_hash(FG_STR("ab"), FG_STR("d")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_found_by_its_name),
        cmocka_unit_test(lists_grow_and_find_the_first),
        cmocka_unit_test(hashes_tell_fields_apart_and_are_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
