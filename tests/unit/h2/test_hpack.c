#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "h2/hpack_int.h"

static const struct fg_hpack_limits unlimited = {UINT32_MAX, UINT32_MAX};

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t len = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        unsigned high = (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
        hex++;
        unsigned low = (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
        out[len++] = (uint8_t)(high << 4 | low);
    }
    return len;
}

/* One connection's decoder, and the last list. */
struct fixture {
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_headers headers;
    struct fg_hpack_decoder decoder;
    char text[32768]; /* the list, as "name: value\n" */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    fg_mem_init(&f->mem);
    fg_arena_init(&f->arena, &f->mem);
    fg_hpack_decoder_init(&f->decoder, 4096);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fg_hpack_decoder_cleanup(&f->decoder);
    assert_null(f->decoder.table);
    fg_arena_cleanup(&f->arena);
    fg_mem_cleanup(&f->mem);
    free(f);
    return 0;
}

static void append(char *text, struct fg_str s, const char *end)
{
    size_t at = strlen(text);
    assert_true(at + s.len + strlen(end) < sizeof((struct fixture *)0)->text);
    memcpy(text + at, s.p, s.len);
    memcpy(text + at + s.len, end, strlen(end) + 1);
}

static enum fg_hpack_result decode_bytes(struct fixture *f, const uint8_t *block, size_t len,
                                         const struct fg_hpack_limits *limits)
{
    uint8_t *exact = malloc(len + 1); /* of its own, so that the sanitizer sees reads beyond it */
    assert_non_null(exact);
    memcpy(exact + 1, block, len);
    fg_headers_init(&f->headers);
    f->text[0] = '\0';
    enum fg_hpack_result result = fg_hpack_decode(&f->decoder, exact + 1, len, limits, &f->arena, &f->headers);
    free(exact);
    for (uint32_t i = 0; i < f->headers.len; i++) {
        const struct fg_header *field = &f->headers.items[i];
        assert_int_equal(field->token, fg_token_find(field->name));
        append(f->text, field->name, field->sensitive ? "! " : ": ");
        append(f->text, field->value, "\n");
    }
    return result;
}

static enum fg_hpack_result decode(struct fixture *f, const char *hex)
{
    uint8_t block[4096];
    return decode_bytes(f, block, from_hex(hex, block), &unlimited);
}

static uint32_t table_bytes(const struct fg_hpack_table *table)
{
    return table ? table->bytes : 0;
}

struct example {
    const char *block, *list;
    uint32_t table_bytes;
};

static void check_examples(struct fixture *f, const struct example *examples, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(decode(f, examples[i].block), FG_HPACK_OK);
        assert_string_equal(f->text, examples[i].list);
        assert_int_equal(table_bytes(f->decoder.table), examples[i].table_bytes);
    }
}

#define FIRST_REQUEST  ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n"
#define SECOND_REQUEST FIRST_REQUEST "cache-control: no-cache\n"
#define THIRD_REQUEST                                                                                                  \
    ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n"

static void decodes_the_field_examples_of_the_rfc(void **state)
{
    static const struct example single[] = {
        {"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header\n", 55},
        {"040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", 55},
        {"1008 7061 7373 776f 7264 0673 6563 7265 74", "password! secret\n", 55},
        {"82", ":method: GET\n", 55},
    };
    check_examples(*state, single, FG_ARRAY_LEN(single));
}

static void decodes_the_request_examples_of_the_rfc(void **state)
{
    static const struct example plain[] = {
        {"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST_REQUEST, 57},
        {"8286 84be 5808 6e6f 2d63 6163 6865", SECOND_REQUEST, 110},
        {"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD_REQUEST, 164},
    };
    static const struct example huffman[] = {
        {"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST_REQUEST, 57},
        {"8286 84be 5886 a8eb 1064 9cbf", SECOND_REQUEST, 110},
        {"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD_REQUEST, 164},
    };
    struct fixture *f = *state;

    check_examples(f, plain, FG_ARRAY_LEN(plain));
    fg_hpack_decoder_cleanup(&f->decoder);
    check_examples(f, huffman, FG_ARRAY_LEN(huffman));
}

#define FIRST_RESPONSE                                                                                                 \
    ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n"
#define SECOND_RESPONSE                                                                                                \
    ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n"
#define THIRD_RESPONSE                                                                                                 \
    ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\n"   \
    "content-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"

/* With a table of 256 bytes, so that entries are evicted. */
static void decodes_the_response_examples_of_the_rfc(void **state)
{
    static const struct example plain[] = {
        {"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133"
         "2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
         FIRST_RESPONSE, 222},
        {"4803 3330 37c1 c0bf", SECOND_RESPONSE, 222},
        {"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0"
         "5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745"
         "4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
         THIRD_RESPONSE, 215},
    };
    static const struct example huffman[] = {
        {"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e"
         "919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
         FIRST_RESPONSE, 222},
        {"4883 640e ffc1 c0bf", SECOND_RESPONSE, 222},
        {"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2"
         "e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
         THIRD_RESPONSE, 215},
    };
    struct fixture *f = *state;

    fg_hpack_decoder_init(&f->decoder, 256);
    check_examples(f, plain, FG_ARRAY_LEN(plain));
    fg_hpack_decoder_cleanup(&f->decoder);
    check_examples(f, huffman, FG_ARRAY_LEN(huffman));
}

static void refuses_malformed_blocks(void **state)
{
    static const char *const blocks[] = {
        "80",                          /* index 0 */
        "be",                          /* an empty dynamic table */
        "ff00",                        /* index 127 */
        "ff",                          /* an integer ends early */
        "ff80",                        /* the same, later */
        "ff ffff ffff 7f",             /* over 32 bits */
        "0f 8080 8080 8000 0161",      /* zeros beyond what 32 bits need */
        "0f ffff ffff 0f 00",          /* a name index near 2^32 */
        "7e 00",                       /* the name's index is out of range */
        "00",                          /* no name */
        "0001",                        /* the name ends early */
        "0001 61",                     /* no value */
        "0001 61 02 62",               /* the value ends early */
        "0001 61 7f ffff ffff 0f",     /* its length is near 2^32 */
        "0001 61 7f",                  /* its length ends early */
        "0081 ff 00",                  /* the name's padding is 8 bits */
        "0001 61 84 ffff ffff",        /* EOS */
        "0001 61 81 18",               /* padding of zeros */
        "1084 ffff fffc 00",           /* EOS in a name never indexed */
        "82 20",                       /* a size update after a field */
        "3f e2 1f",                    /* 4097, over the limit */
        "20 20 20",                    /* a third update */
        "3f ffff ffff ff00",           /* a size over 32 bits */
        "3f",                          /* a size that ends early */
        "00bf ffff ffff ffff ff00 61", /* a Huffman name's length over 32 bits */
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(blocks); i++) {
        void *fresh;
        assert_int_equal(setup(&fresh), 0);
        enum fg_hpack_result result = decode(fresh, blocks[i]);
        if (result != FG_HPACK_MALFORMED)
            fail_msg("%s: %d", blocks[i], result);
        teardown(&fresh);
    }
}

static void takes_unusual_but_legal_blocks(void **state)
{
    static const struct example cases[] = {
        {"", "", 0},
        {"20 3f e1 1f", "", 0},                             /* two updates, to 4096, and no field */
        {"0000 00", ": \n", 0},                             /* HPACK itself allows an empty name */
        {"0080 80", ": \n", 0},                             /* Huffman coded */
        {"0f 00 0161", "accept-charset: a\n", 0},           /* a name index of 15 */
        {"0f 8000 0161", "accept-charset: a\n", 0},         /* the same with a leading zero */
        {"0f 8080 8080 00 0161", "accept-charset: a\n", 0}, /* as many as 32 bits need */
        {"4001 61 00", "a: \n", 33},
        {"7e 00", "a: \n", 66},
        {"4000 00", ": \n", 98},
        {"be c0", ": \na: \n", 98},
    };
    check_examples(*state, cases, FG_ARRAY_LEN(cases));
}

static void size_updates_evict_and_grow(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "4001 6101 31 4001 6201 32"), FG_HPACK_OK);
    assert_int_equal(table_bytes(f->decoder.table), 68);
    assert_int_equal(decode(f, "3f 03 be"), FG_HPACK_OK); /* 34: room for one */
    assert_string_equal(f->text, "b: 2\n");
    assert_int_equal(decode(f, "bf"), FG_HPACK_MALFORMED);
    assert_int_equal(decode(f, "20"), FG_HPACK_OK);
    assert_null(f->decoder.table);
    assert_int_equal(decode(f, "4001 6101 31"), FG_HPACK_OK); /* does not fit, and is no error */
    assert_string_equal(f->text, "a: 1\n");
    assert_null(f->decoder.table);
    assert_int_equal(decode(f, "3f e1 1f 4001 6101 31 be"), FG_HPACK_OK);
    assert_string_equal(f->text, "a: 1\na: 1\n");
}

static void a_lowered_limit_calls_for_an_update(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, "4001 6101 31"), FG_HPACK_OK);
    fg_hpack_decoder_set_limit(&f->decoder, 4096);
    assert_int_equal(decode(f, "be"), FG_HPACK_OK); /* nothing changed */
    fg_hpack_decoder_set_limit(&f->decoder, 100);
    assert_int_equal(decode(f, "be"), FG_HPACK_MALFORMED);
    assert_int_equal(decode(f, ""), FG_HPACK_MALFORMED);
    assert_int_equal(decode(f, "3f 46 be"), FG_HPACK_MALFORMED); /* 101 */
    assert_int_equal(decode(f, "3f 45 be"), FG_HPACK_OK);        /* 100 */
    assert_int_equal(decode(f, "be"), FG_HPACK_OK);
    /* Lowered and raised between two blocks: the low point has to be signalled all the same. */
    fg_hpack_decoder_set_limit(&f->decoder, 0);
    fg_hpack_decoder_set_limit(&f->decoder, 4096);
    assert_int_equal(decode(f, "3f 45"), FG_HPACK_MALFORMED);
    assert_int_equal(decode(f, "20 3f e1 1f 82"), FG_HPACK_OK);
    assert_int_equal(f->decoder.capacity, 4096);
}

static void a_raised_limit_may_be_used(void **state)
{
    struct fixture *f = *state;

    fg_hpack_decoder_set_limit(&f->decoder, 8192);
    assert_int_equal(decode(f, "82"), FG_HPACK_OK);
    assert_int_equal(f->decoder.capacity, 4096);
    assert_int_equal(decode(f, "3f e1 3f 82"), FG_HPACK_OK); /* 8192 */
    assert_int_equal(f->decoder.capacity, 8192);
    assert_int_equal(decode(f, "3f e2 3f"), FG_HPACK_MALFORMED);
}

static void a_name_survives_the_eviction_of_its_entry(void **state)
{
    struct fixture *f = *state;

    fg_hpack_decoder_init(&f->decoder, 40);
    assert_int_equal(decode(f, "4003 6162 6302 3132"), FG_HPACK_OK);
    assert_int_equal(decode(f, "7e 03 333435 be"), FG_HPACK_OK); /* 38 bytes: the old entry has to go */
    assert_string_equal(f->text, "abc: 345\nabc: 345\n");
    assert_int_equal(f->decoder.table->len, 1);
    assert_int_equal(decode(f, "7e 06 333435363738"), FG_HPACK_OK); /* over the capacity: empties the table */
    assert_string_equal(f->text, "abc: 345678\n");
    assert_null(f->decoder.table);
}

/* The first field is inserted, then there are too many, and what is inserted after that must be in the table too. */
static void a_list_over_the_limits_keeps_the_table_in_step(void **state)
{
    static const struct fg_hpack_limits two_fields = {UINT32_MAX, 2}, few_bytes = {75, UINT32_MAX},
                                        just_enough = {76, 2};
    struct fixture *f = *state;
    uint8_t block[64];
    size_t len = from_hex("4001 6101 31 82 0001 7801 79 4001 6201 32 bf", block);

    assert_int_equal(decode_bytes(f, block, len, &two_fields), FG_HPACK_TOO_LARGE);
    assert_string_equal(f->text, "a: 1\n:method: GET\n");
    assert_int_equal(decode(f, "be bf"), FG_HPACK_OK);
    assert_string_equal(f->text, "b: 2\na: 1\n");
    assert_int_equal(decode_bytes(f, block, len, &few_bytes), FG_HPACK_TOO_LARGE); /* 34 + 42 > 75 */
    assert_string_equal(f->text, "a: 1\n");
    assert_int_equal(decode(f, "be bf c0 c1"), FG_HPACK_OK);
    assert_string_equal(f->text, "b: 2\na: 1\nb: 2\na: 1\n");
    assert_int_equal(decode_bytes(f, block, 4 + 2, &just_enough), FG_HPACK_OK); /* 34 + 42 */
    block[len++] = 0x80;                                                        /* malformed is worse than too large */
    assert_int_equal(decode_bytes(f, block, len, &two_fields), FG_HPACK_MALFORMED);
}

/* The HPACK bomb: one large entry, and a reference to it in each byte of the block. */
static void many_references_to_a_large_entry_take_bounded_memory(void **state)
{
    static const struct fg_hpack_limits limits = {16384, 100};
    struct fixture *f = *state;
    uint8_t block[16000] = {0x40, 1, 'a', 0x7f, 0x81, 0x1e}; /* a value of 127 + 1 + 30 * 128 = 3968 bytes */
    memset(block + 6, 'v', 3968);
    memset(block + 6 + 3968, 0xbe, sizeof block - 6 - 3968);

    size_t before = f->arena.bytes;
    assert_int_equal(decode_bytes(f, block, sizeof block, &limits), FG_HPACK_TOO_LARGE);
    assert_int_equal(f->headers.len, 4);
    assert_true(f->arena.bytes - before < 20000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(decodes_the_field_examples_of_the_rfc),
        TEST(decodes_the_request_examples_of_the_rfc),
        TEST(decodes_the_response_examples_of_the_rfc),
        TEST(refuses_malformed_blocks),
        TEST(takes_unusual_but_legal_blocks),
        TEST(size_updates_evict_and_grow),
        TEST(a_lowered_limit_calls_for_an_update),
        TEST(a_raised_limit_may_be_used),
        TEST(a_name_survives_the_eviction_of_its_entry),
        TEST(a_list_over_the_limits_keeps_the_table_in_step),
        TEST(many_references_to_a_large_entry_take_bounded_memory),
    };
    return cmocka_run_group_tests_name("hpack", tests, NULL, NULL);
}
