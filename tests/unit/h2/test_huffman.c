#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "h2/hpack_int.h"

#define EOS_CODE 0x3fffffff
#define EOS_BITS 30

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Bit by bit, straight from the RFC: slow, and obviously right. */
static ssize_t decode_slowly(const uint8_t *in, size_t len, uint8_t *out)
{
    size_t at = 0, written = 0, left = 0;

    while (at < len * 8) {
        uint32_t code = 0;
        bool found = false;
        left = len * 8 - at;
        for (unsigned bits = 1; bits <= EOS_BITS && bits <= left && !found; bits++) {
            code = code << 1 | (in[(at + bits - 1) / 8] >> (7 - (at + bits - 1) % 8) & 1);
            if (bits == EOS_BITS && code == EOS_CODE)
                return -1;
            for (unsigned symbol = 0; symbol < 256 && !found; symbol++) {
                if (fg_huffman_bits[symbol] == bits && fg_huffman_codes[symbol] == code) {
                    out[written++] = (uint8_t)symbol;
                    at += bits;
                    found = true;
                }
            }
        }
        if (!found) /* padding: fewer than 8 bits, all ones */
            return left < 8 && code == (1u << left) - 1 ? (ssize_t)written : -1;
    }
    return (ssize_t)written;
}

/* Exactly the room that is promised to be enough, so that the sanitizer sees what goes beyond. */
static ssize_t decode_in_room(const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t *exact_in = malloc(len), *room = malloc(len * 2);
    assert_true((exact_in && room) || len == 0);
    if (len > 0)
        memcpy(exact_in, in, len);
    ssize_t decoded = fg_huffman_decode(exact_in, len, room);
    if (decoded > 0)
        memcpy(out, room, (size_t)decoded);
    free(exact_in);
    free(room);
    return decoded;
}

static void check_same(const uint8_t *in, size_t len)
{
    uint8_t got[512], want[512];
    ssize_t wanted = decode_slowly(in, len, want);

    assert_int_equal(decode_in_room(in, len, got), wanted);
    if (wanted > 0)
        assert_memory_equal(got, want, (size_t)wanted);
}

static void knows_the_strings_of_the_rfc(void **state)
{
    static const struct {
        const char *text;
        uint8_t code[40];
        size_t len;
    } cases[] = {
        {"www.example.com", {0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff}, 12},
        {"no-cache", {0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf}, 6},
        {"custom-key", {0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f}, 8},
        {"302", {0x64, 0x02}, 2},
        {"Mon, 21 Oct 2013 20:13:21 GMT",
         {0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05,
          0x95, 0x04, 0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff},
         22},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        const uint8_t *text = (const uint8_t *)cases[i].text;
        uint8_t out[80];
        assert_int_equal(fg_huffman_encoded_len(text, len), cases[i].len);
        assert_int_equal(fg_huffman_encode(text, len, out), cases[i].len);
        assert_memory_equal(out, cases[i].code, cases[i].len);
        assert_int_equal(decode_in_room(cases[i].code, cases[i].len, out), len);
        assert_memory_equal(out, text, len);
    }
}

static void every_string_comes_back(void **state)
{
    uint64_t random = 0x5eed;
    (void)state;

    for (unsigned i = 0; i < 20000; i++) {
        uint8_t text[200], code[800], back[200];
        size_t len = next_random(&random) % (i % 10 == 0 ? sizeof text : 20);
        bool printable = i % 3 > 0;
        for (size_t k = 0; k < len; k++)
            text[k] = (uint8_t)(printable ? ' ' + next_random(&random) % 95 : next_random(&random));
        size_t coded = fg_huffman_encode(text, len, code);
        assert_int_equal(coded, fg_huffman_encoded_len(text, len));
        assert_true(coded <= len * EOS_BITS / 8 + 1);
        assert_int_equal(decode_in_room(code, coded, back), len);
        assert_memory_equal(back, text, len);
    }
}

static void decodes_what_the_slow_way_decodes_and_refuses_the_same(void **state)
{
    uint64_t random = 0xfeed;
    (void)state;

    for (unsigned i = 0; i < 65536; i++)
        check_same((const uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2);
    for (unsigned i = 0; i < 256; i++)
        check_same((const uint8_t[]){(uint8_t)i}, 1);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t code[40];
        size_t len = next_random(&random) % sizeof code;
        for (size_t k = 0; k < len; k++) /* many ones lead to the long codes */
            code[k] = (uint8_t)(next_random(&random) | (i % 4 ? 0 : next_random(&random) | next_random(&random)));
        check_same(code, len);
    }
}

static void each_symbol_alone_comes_back(void **state)
{
    (void)state;
    for (unsigned symbol = 0; symbol < 256; symbol++) {
        uint8_t text = (uint8_t)symbol, code[4], back[8];
        size_t len = fg_huffman_encode(&text, 1, code);
        assert_int_equal(len, (fg_huffman_bits[symbol] + 7u) / 8);
        assert_int_equal(fg_huffman_decode(code, len, back), 1);
        assert_int_equal(back[0], symbol);
    }
}

static void refuses_eos_and_wrong_padding(void **state)
{
    static const struct {
        uint8_t code[16];
        size_t len;
        ssize_t decoded;
    } cases[] = {
        {{0}, 0, 0},
        {{0xff}, 1, -1},                                               /* 8 bits of padding, nothing else */
        {{0x1f}, 1, 1},                                                /* 'a' (00011) and 3 bits */
        {{0x1f, 0xff}, 2, -1},                                         /* 'a' and 11 bits */
        {{0x18}, 1, -1},                                               /* 'a' and zeros */
        {{0x1e}, 1, -1},                                               /* 'a', and 110 */
        {{0xff, 0xff, 0xff, 0xff}, 4, -1},                             /* EOS and 2 bits */
        {{0x1f, 0xff, 0xff, 0xff, 0xff}, 5, -1},                       /* 'a', EOS */
        {{0x1f, 0xff, 0xff, 0xff, 0xe3}, 5, -1},                       /* 'a', EOS, 'a' and more */
        {{0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 13, -1}, /* EOS, in the fast part */
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        uint8_t out[64];
        assert_int_equal(decode_in_room(cases[i].code, cases[i].len, out), cases[i].decoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_strings_of_the_rfc),
        cmocka_unit_test(every_string_comes_back),
        cmocka_unit_test(decodes_what_the_slow_way_decodes_and_refuses_the_same),
        cmocka_unit_test(each_symbol_alone_comes_back),
        cmocka_unit_test(refuses_eos_and_wrong_padding),
    };
    return cmocka_run_group_tests_name("huffman", tests, NULL, NULL);
}
