#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/time.h"
#include "observe/json_line.h"

static json_t *parse(char *text, size_t len)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root)
        fail_msg("not JSON at %d: %s: %.*s", error.position, error.text, (int)len, text);
    return root;
}

static void writes_an_object(void **state)
{
    char text[512];
    struct fg_json_line line;
    (void)state;

    fg_json_line_begin(&line, text, sizeof text);
    fg_json_line_text(&line, "method", FG_STR("/a.b/C"));
    fg_json_line_number(&line, "zero", 0);
    fg_json_line_number(&line, "large", UINT64_MAX);
    fg_json_line_ms(&line, "ms", 1234567 * FG_US);
    fg_json_line_object(&line, "inside");
    fg_json_line_ms(&line, "x", 5 * FG_US);
    fg_json_line_close(&line);
    fg_json_line_number(&line, "after", 7);
    size_t len = fg_json_line_end(&line);
    text[len] = '\0';
    assert_string_equal(text, "{\"method\":\"/a.b/C\",\"zero\":0,\"large\":18446744073709551615,\"ms\":1234.567,"
                              "\"inside\":{\"x\":0.005},\"after\":7}\n");
    assert_false(line.cut);
}

static void lists_hold_objects(void **state)
{
    char text[512];
    struct fg_json_line line;
    (void)state;

    fg_json_line_begin(&line, text, sizeof text);
    fg_json_line_list(&line, "empty");
    fg_json_line_close(&line);
    fg_json_line_list(&line, "all");
    for (uint64_t i = 0; i < 2; i++) {
        fg_json_line_object(&line, "");
        fg_json_line_number(&line, "i", i);
        fg_json_line_true(&line, "yes");
        fg_json_line_close(&line);
    }
    fg_json_line_close(&line);
    fg_json_line_name(&line, "after", "word");
    text[fg_json_line_end(&line)] = '\0';
    assert_string_equal(text, "{\"empty\":[],\"all\":[{\"i\":0,\"yes\":true},{\"i\":1,\"yes\":true}],"
                              "\"after\":\"word\"}\n");
}

/* Method names are what clients send: whatever the bytes are, the line is one line of valid JSON. */
static void any_bytes_stay_one_valid_line(void **state)
{
    char text[4096];
    uint8_t bytes[64];
    uint32_t seed = 7;
    (void)state;

    for (int round = 0; round < 20000; round++) {
        struct fg_json_line line;
        size_t value_len = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < value_len; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(seed >> 24);
        }
        fg_json_line_begin(&line, text, sizeof text);
        fg_json_line_text(&line, "m", (struct fg_str){(const char *)bytes, value_len});
        size_t len = fg_json_line_end(&line);
        assert_ptr_equal(memchr(text, '\n', len), text + len - 1);
        json_decref(parse(text, len));
    }
}

static void keeps_valid_utf8(void **state)
{
    char text[128];
    struct fg_json_line line;
    (void)state;

    fg_json_line_begin(&line, text, sizeof text);
    fg_json_line_text(&line, "m", FG_STR("\xe9\xa4\x90\xff"));
    json_t *root = parse(text, fg_json_line_end(&line));
    assert_string_equal(json_string_value(json_object_get(root, "m")), "\xe9\xa4\x90\xc3\xbf");
    json_decref(root);
}

/* A full buffer leaves fields out, or cuts a text; whatever is open is closed, and nothing lands outside of it. */
static void a_full_line_is_still_valid(void **state)
{
    char text[256];
    (void)state;

    for (size_t size = 16; size < sizeof text; size++) {
        struct fg_json_line line;
        fg_json_line_begin(&line, text, size);
        fg_json_line_number(&line, "a", 1);
        fg_json_line_text(&line, "b", FG_STR("some \"text\" of a peer \x01\x02\x03 that is rather long for its place"));
        fg_json_line_list(&line, "list");
        fg_json_line_object(&line, "");
        fg_json_line_ms(&line, "c", FG_S);
        fg_json_line_name(&line, "e", "a word");
        fg_json_line_close(&line);
        fg_json_line_close(&line);
        fg_json_line_number(&line, "d", 12345678);
        size_t len = fg_json_line_end(&line);
        assert_true(len <= size);
        json_t *root = parse(text, len);
        assert_null(json_object_get(root, "c"));
        assert_null(json_object_get(root, "e"));
        if (!line.cut) {
            json_t *item = json_array_get(json_object_get(root, "list"), 0);
            assert_non_null(json_object_get(item, "c"));
            assert_non_null(json_object_get(item, "e"));
            assert_int_equal(json_integer_value(json_object_get(root, "d")), 12345678);
        }
        json_decref(root);
    }
}

static void nothing_is_opened_deeper_than_it_can_be_closed(void **state)
{
    char text[256];
    struct fg_json_line line;
    (void)state;

    fg_json_line_begin(&line, text, sizeof text);
    for (int i = 0; i < 2 * FG_JSON_LINE_DEPTH; i++)
        fg_json_line_object(&line, "x");
    fg_json_line_number(&line, "lost", 1);
    for (int i = 0; i < 2 * FG_JSON_LINE_DEPTH; i++)
        fg_json_line_close(&line);
    fg_json_line_number(&line, "after", 7);
    text[fg_json_line_end(&line)] = '\0';
    assert_string_equal(text, "{\"x\":{\"x\":{\"x\":{\"x\":{}}}},\"after\":7}\n");
    assert_true(line.cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_an_object),
        cmocka_unit_test(lists_hold_objects),
        cmocka_unit_test(any_bytes_stay_one_valid_line),
        cmocka_unit_test(keeps_valid_utf8),
        cmocka_unit_test(a_full_line_is_still_valid),
        cmocka_unit_test(nothing_is_opened_deeper_than_it_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
