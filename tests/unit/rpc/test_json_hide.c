#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rpc/json_hide.h"

#include "descriptor_build.h"

static int set_up(void **state)
{
    struct fg_descriptors_error error;
    struct fg_descriptors *set;
    struct built raw;

    build_set(&raw);
    if (fg_descriptors_new(raw.bytes, raw.len, &set, &error) < 0)
        return -1;
    *state = set;
    return 0;
}

static int tear_down(void **state)
{
    fg_descriptors_unref(*state);
    return 0;
}

/* NULL: it is refused. To be freed. */
static char *hide(const struct fg_descriptors *set, const char *path, const char *json)
{
    const struct fg_json_hide how = {.paths = &path, .paths_len = 1, .descriptors = set};
    const struct fg_message *all = fg_descriptors_message(set, FG_STR("t.All"));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc = fg_json_hide(&how, all, fg_str_from(json), out);

    fclose(out);
    if (rc == 0)
        return text;
    free(text);
    return NULL;
}

static void expect(void **state, const char *path, const char *json, const char *expected)
{
    char *text = hide(*state, path, json);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void a_name_is_hidden_wherever_it_is(void **state)
{
    expect(state, "pickText", "{\"pickText\":\"s\"}", "{\"pickText\":\"[redacted]\"}");
    expect(state, "pickText", "{\"pickAll\":{\"pickText\":\"a\\\"b\",\"maybe\":1}}",
           "{\"pickAll\":{\"pickText\":\"[redacted]\",\"maybe\":1}}");
    expect(state, "pickAll", "{\"maybe\":1,\"pickAll\":{\"a\":[{},[1]],\"b\":\"}\"}}",
           "{\"maybe\":1,\"pickAll\":\"[redacted]\"}");
}

static void both_names_of_a_field_count(void **state)
{
    expect(state, "pick_text", "{\"pickText\":\"s\"}", "{\"pickText\":\"[redacted]\"}");
    expect(state, "pick_all.pick_number", "{\"pickNumber\":1,\"pickAll\":{\"pickNumber\":2}}",
           "{\"pickNumber\":1,\"pickAll\":{\"pickNumber\":\"[redacted]\"}}");
}

static void a_star_is_any_one_name(void **state)
{
    expect(state, "*.maybe", "{\"maybe\":1,\"pickAll\":{\"maybe\":2}}",
           "{\"maybe\":1,\"pickAll\":{\"maybe\":\"[redacted]\"}}");
}

static void lists_are_no_names_and_keys_are(void **state)
{
    expect(state, "tree.token", "{\"tree\":{\"token\":[1,{\"x\":2}],\"y\":null}}",
           "{\"tree\":{\"token\":\"[redacted]\",\"y\":null}}");
    expect(state, "b.c", "{\"tree\":{\"b\":[{\"c\":1},{\"c\":2,\"d\":3}],\"c\":4}}",
           "{\"tree\":{\"b\":[{\"c\":\"[redacted]\"},{\"c\":\"[redacted]\",\"d\":3}],\"c\":4}}");
    expect(state, "x", "{\"unknown\":{\"x\":1,\"x\":2}}", "{\"unknown\":{\"x\":\"[redacted]\",\"x\":\"[redacted]\"}}");
}

static void values_of_maps_are_looked_into(void **state)
{
    expect(state, "pick_text", "{\"byNumber\":{\"1\":{\"pickText\":\"s\"}}}",
           "{\"byNumber\":{\"1\":{\"pickText\":\"[redacted]\"}}}");
    expect(state, "by_number.7", "{\"byNumber\":{\"1\":{},\"7\":{}}}",
           "{\"byNumber\":{\"1\":{},\"7\":\"[redacted]\"}}");
    expect(state, "labels.token", "{\"labels\":{\"token\":\"s\"}}", "{\"labels\":{\"token\":\"[redacted]\"}}");
}

static void what_an_any_holds_is_looked_into(void **state)
{
    expect(state, "pick_text", "{\"any\":{\"@type\":\"type.googleapis.com/t.All\",\"pickText\":\"s\"}}",
           "{\"any\":{\"@type\":\"type.googleapis.com/t.All\",\"pickText\":\"[redacted]\"}}");
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const wrong[] = {"",       "{",        "{\"a\"}", "{\"a\":1", "{\"a\":1}x", "[1,",
                                        "{\"a:1", "{\"a\":}", "{\"a\\",  "{,}",      "[",          "{\"a\":{\"b\":\"}"};

    for (size_t i = 0; i < FG_ARRAY_LEN(wrong); i++)
        assert_null(hide(*state, "a", wrong[i]));
    char deep[2000];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 999);
    deep[1999] = '\0';
    assert_null(hide(*state, "a", deep));
}

static void names_of_a_query_are_paths(void **state)
{
    const char *paths[] = {"password", "card.number"};
    const struct fg_json_hide how = {.paths = paths, .paths_len = 2};
    (void)state;

    assert_true(fg_json_hides_path(&how, FG_STR("password")));
    assert_true(fg_json_hides_path(&how, FG_STR("user.password")));
    assert_true(fg_json_hides_path(&how, FG_STR("password.hash")));
    assert_true(fg_json_hides_path(&how, FG_STR("card.number")));
    assert_false(fg_json_hides_path(&how, FG_STR("number")));
    assert_false(fg_json_hides_path(&how, FG_STR("card")));
    assert_false(fg_json_hides_path(&how, FG_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_hidden_wherever_it_is),  cmocka_unit_test(both_names_of_a_field_count),
        cmocka_unit_test(a_star_is_any_one_name),           cmocka_unit_test(lists_are_no_names_and_keys_are),
        cmocka_unit_test(what_an_any_holds_is_looked_into), cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(values_of_maps_are_looked_into),   cmocka_unit_test(names_of_a_query_are_paths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
