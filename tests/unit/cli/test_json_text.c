#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_text.h"

static void expect(const char *json, int indent, const char *expected)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(value);
    fg_json_print(value, indent, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void what_a_gateway_wrote_is_what_is_printed(void **state)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "null",
                                        "true",
                                        "false",
                                        "0.1",
                                        "-7",
                                        "4294967295",
                                        "1e+300",
                                        "0.00000025",
                                        "\"a\\\"\\\\\\u001b\xc3\xa4\"",
                                        "{\"id\":\"7\",\"items\":[{\"price\":0.1},{}],\"none\":null}"};
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect(texts[i], -1, texts[i]);
}

static void members_stand_on_lines_of_their_own(void **state)
{
    (void)state;
    expect("{\"a\":[1,{}],\"b\":{\"c\":[]}}", 0,
           "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
}

static void text_of_a_tree_is_one_line(void **state)
{
    json_t *value = json_pack("[I, f, s]", (json_int_t)9007199254740993, 0.5, "x");
    char *text = fg_json_print_text(value);
    (void)state;

    assert_string_equal(text, "[9007199254740993,0.5,\"x\"]");
    free(text);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_gateway_wrote_is_what_is_printed),
        cmocka_unit_test(members_stand_on_lines_of_their_own),
        cmocka_unit_test(text_of_a_tree_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
