#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rpc/base64_stream.h"

/* RFC 4648 section 10, and texts one after the other. */
static void decodes_in_pieces_of_any_size(void **state)
{
    static const struct {
        const char *text, *bytes;
    } cases[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"Zg==Zm8=Zm9v", "ffofoo"},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        for (size_t piece = 1; piece <= len + 1; piece++) {
            struct fg_base64_stream stream = {0};
            uint8_t out[64] = {0};
            int64_t at = 0;
            for (size_t from = 0; from < len; from += piece) {
                size_t n = FG_MIN(piece, len - from);
                uint8_t *exact = malloc(FG_BASE64_STREAM_ROOM(n));
                int64_t wrote = fg_base64_stream_feed(&stream, (const uint8_t *)cases[i].text + from, n, exact);
                assert_true(wrote >= 0);
                memcpy(out + at, exact, (size_t)wrote);
                at += wrote;
                free(exact);
            }
            assert_true(fg_base64_stream_is_whole(&stream));
            assert_int_equal(at, strlen(cases[i].bytes));
            assert_memory_equal(out, cases[i].bytes, (size_t)at);
        }
    }
}

static void refuses_what_is_none(void **state)
{
    static const char *const cases[] = {"Z", "Zg=", "Zg=v", "====", "Z===", "Zm9*", "Zh==", "Zm9=", "Zg==="};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct fg_base64_stream stream = {0};
        uint8_t out[64];
        int64_t n = fg_base64_stream_feed(&stream, (const uint8_t *)cases[i], strlen(cases[i]), out);
        if (n >= 0 && fg_base64_stream_is_whole(&stream))
            fail_msg("%s is taken", cases[i]);
    }
}

static void encodes_what_it_decodes(void **state)
{
    (void)state;

    for (size_t len = 0; len < 100; len++) {
        struct fg_base64_stream stream = {0};
        uint8_t bytes[100], out[256];
        char text[256];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 37 + len);
        fg_base64_padded(bytes, len, text);
        int64_t n = fg_base64_stream_feed(&stream, (const uint8_t *)text, fg_base64_padded_len(len), out);
        assert_int_equal(n, len);
        assert_memory_equal(out, bytes, len);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_in_pieces_of_any_size),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(encodes_what_it_decodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
