#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc/json_split.h"

/* The values of TEXT, fed in pieces of PIECE bytes, with "|" between them; "!" where it is bad or cut. */
static void split(const char *text, size_t piece, char *out)
{
    struct fg_json_split state = {0};
    size_t len = strlen(text), n = 0;

    for (size_t from = 0; from < len; from += piece) {
        size_t part = FG_MIN(piece, len - from), at = 0;
        for (;;) {
            struct fg_str got;
            enum fg_json_split_result result = fg_json_split_feed(&state, text + from, part, &at, &got);
            if (result == FG_JSON_SPLIT_BAD) {
                memcpy(out + n, "!", 2);
                return;
            }
            memcpy(out + n, got.p, got.len);
            n += got.len;
            if (result == FG_JSON_SPLIT_MORE)
                break;
            out[n++] = '|';
        }
    }
    int end = fg_json_split_end(&state);
    memcpy(out + n, end < 0 ? "!" : end > 0 ? "|" : "", 2 - (end == 0));
}

static void values_are_cut_wherever_the_bytes_are(void **state)
{
    static const struct {
        const char *text, *values;
    } cases[] = {
        {"", ""},
        {" \n", ""},
        {"{}", "{}|"},
        {"{}{}", "{}|{}|"},
        {"{\"a\":{\"b\":[1,\"}\"]}}\n{\"c\":\"\\\"{\"}\n", "{\"a\":{\"b\":[1,\"}\"]}}|{\"c\":\"\\\"{\"}|"},
        {"[]", ""},
        {"[{},{\"a\":[]} , {}]", "{}|{\"a\":[]}|{}|"},
        {"[1,\"x\",null]", "1|\"x\"|null|"},
        {"1\n2", "1|2|"},
        {"\"a\"\"b\"", "\"a\"|\"b\"|"},
        {"{", "{!"},
        {"[{}", "{}|!"},
        {"[{},]", "{}|!"},
        {"[,{}]", "!"},
        {"[{}{}]", "{}|!"},
        {"[{}] {}", "{}|!"},
        {"}", "!"},
        {"\"a", "\"a!"},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece <= strlen(cases[i].text) + 1; piece++) {
            char out[256] = "";
            split(cases[i].text, piece, out);
            if (strcmp(out, cases[i].values) != 0)
                fail_msg("%s in pieces of %zu: %s, not %s", cases[i].text, piece, out, cases[i].values);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_cut_wherever_the_bytes_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
