#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rpc/grpc.h"

struct fixture {
    struct fg_mem mem;
    struct fg_arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = fg_alloc(sizeof *f);
    fg_mem_init(&f->mem);
    fg_arena_init(&f->arena, &f->mem);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fg_arena_cleanup(&f->arena);
    fg_mem_cleanup(&f->mem);
    free(f);
    return 0;
}

static void assert_str_equal(struct fg_str got, const char *expected, size_t len)
{
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.p, expected, len);
}

static void tells_grpc_content_types(void **state)
{
    static const char *const yes[] = {"application/grpc",       "application/grpc+proto",
                                      "application/grpc+json",  "application/grpc;charset=utf-8",
                                      "application/grpc ; x=y", "Application/GRPC"};
    static const char *const no[] = {"",
                                     "application",
                                     "application/grpc-web",
                                     "application/grpc-web+proto",
                                     "application/grpc-web-text",
                                     "application/grpcx",
                                     "application/json",
                                     "text/application/grpc"};

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(yes); i++)
        assert_true(fg_grpc_is_content_type(fg_str_from(yes[i])));
    for (size_t i = 0; i < FG_ARRAY_LEN(no); i++)
        assert_false(fg_grpc_is_content_type(fg_str_from(no[i])));
}

static void parses_timeouts(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"0n", 0},
        {"1n", 1},
        {"1u", FG_US},
        {"1m", FG_MS},
        {"1S", FG_S},
        {"1M", 60 * FG_S},
        {"1H", 3600 * FG_S},
        {"00000250m", 250 * FG_MS},
        {"99999999n", 99999999},
        {"99999999S", 99999999 * FG_S},
        {"99999999M", 99999999ull * 60 * FG_S},
        {"2562047H", 2562047ull * 3600 * FG_S},
        {"2562048H", FG_GRPC_TIMEOUT_CAP_NS},
        {"99999999H", FG_GRPC_TIMEOUT_CAP_NS},
    };

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        uint64_t ns = 77;
        assert_int_equal(fg_grpc_timeout_parse(fg_str_from(cases[i].text), &ns), 0);
        assert_true(ns == cases[i].ns);
    }
}

static void rejects_malformed_timeouts(void **state)
{
    static const char *const cases[] = {"",    "S",   "1",   "m1",  "123456789n", "000000001S", "1s",  "1h",
                                        "1 S", " 1S", "1S ", "-1S", "+1S",        "1.5S",       "1ms", "0x1S"};

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        uint64_t ns = 77;
        assert_int_equal(fg_grpc_timeout_parse(fg_str_from(cases[i]), &ns), -1);
        assert_int_equal(ns, 77);
    }
}

static void formats_timeouts_finely_and_rounds_down(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0n"},
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {100000999, "100000u"},
        {99999999 * FG_US + 999, "99999999u"},
        {100000 * FG_MS, "100000m"},
        {99999999 * FG_MS + FG_MS - 1, "99999999m"},
        {100000 * FG_S, "100000S"},
        {100000000 * FG_S, "1666666M"},
        {UINT64_MAX, "5124095H"},
    };
    char out[FG_GRPC_TIMEOUT_MAX];

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        size_t len = fg_grpc_timeout_format(cases[i].ns, out);
        assert_str_equal((struct fg_str){out, len}, cases[i].text, strlen(cases[i].text));
    }
    /* What is written is read back, never longer and at most one part in 100,000 shorter. */
    for (uint64_t ns = 1; ns < FG_GRPC_TIMEOUT_CAP_NS / 3; ns += ns / 2 + 1) {
        uint64_t back;
        size_t len = fg_grpc_timeout_format(ns, out);
        assert_int_equal(fg_grpc_timeout_parse((struct fg_str){out, len}, &back), 0);
        assert_true(back <= ns && ns - back <= ns / 100000);
    }
}

static void escapes_messages(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *wire;
    } cases[] = {
        {"", ""},
        {"plain text ~!", "plain text ~!"},
        {"100%", "100%25"},
        {"a\r\nb\t\x7f", "a%0D%0Ab%09%7F"},
        {"caf\xc3\xa9", "caf%C3%A9"},
    };

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct fg_str text = fg_str_from(cases[i].text);
        struct fg_str wire = fg_grpc_message_encode(&f->arena, text);
        assert_str_equal(wire, cases[i].wire, strlen(cases[i].wire));
        assert_str_equal(fg_grpc_message_decode(&f->arena, wire), text.p, text.len);
    }
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct fg_str wire = fg_grpc_message_encode(&f->arena, (struct fg_str){all, sizeof all});
    for (size_t i = 0; i < wire.len; i++)
        assert_in_range((unsigned char)wire.p[i], 0x20, 0x7e);
    assert_str_equal(fg_grpc_message_decode(&f->arena, wire), all, sizeof all);
}

static void decoding_a_message_never_fails(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *wire, *text;
    } cases[] = {
        {"%", "%"},   {"%4", "%4"},   {"%zz", "%zz"},   {"%4g!", "%4g!"}, {"%%41", "%A"}, {"%c3%a9", "\xc3\xa9"},
        {"a%", "a%"}, {"%41%", "A%"}, {"\xff", "\xff"},
    };

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++)
        assert_str_equal(fg_grpc_message_decode(&f->arena, fg_str_from(cases[i].wire)), cases[i].text,
                         strlen(cases[i].text));
}

static void base64_is_that_of_the_rfc(void **state)
{
    struct fixture *f = *state;
    static const struct { /* RFC 4648 section 10 */
        const char *text, *bare, *padded;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg", "Zg=="},
        {"fo", "Zm8", "Zm8="},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg", "Zm9vYg=="},
        {"fooba", "Zm9vYmE", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xff\xfe\xfd\xfb", "//79+w", "//79+w=="},
    };

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        struct fg_str out;
        assert_str_equal(fg_base64_encode(&f->arena, cases[i].text, len), cases[i].bare, strlen(cases[i].bare));
        assert_int_equal(fg_base64_decode(&f->arena, fg_str_from(cases[i].bare), &out), 0);
        assert_str_equal(out, cases[i].text, len);
        assert_int_equal(fg_base64_decode(&f->arena, fg_str_from(cases[i].padded), &out), 0);
        assert_str_equal(out, cases[i].text, len);
    }
}

static void base64_comes_back(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[300] = {0};

    for (size_t len = 0; len < sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 151 + len * 7);
        struct fg_str out;
        assert_int_equal(fg_base64_decode(&f->arena, fg_base64_encode(&f->arena, bytes, len), &out), 0);
        assert_str_equal(out, (const char *)bytes, len);
    }
}

static void rejects_what_is_not_base64(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[] = {"Z",    "Zm9vY", "=",    "==",    "====",  "Z===",    "Zg=",  "Zg==Zg",
                                        "Zm=v", "Zm9-",  "Zm9_", "Zm 9v", "Zg,Zg", "Zm9\xff", "Zm8=="};

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct fg_str out = FG_STR("untouched");
        assert_int_equal(fg_base64_decode(&f->arena, fg_str_from(cases[i]), &out), -1);
        assert_str_equal(out, "untouched", 9);
    }
}

/* Lengths of the messages that make up the stream below; the third is compressed. */
static const uint32_t lengths[] = {0, 1, 300, 0, 5, 4, 70000};

static size_t make_stream(uint8_t *out)
{
    size_t at = 0;
    for (size_t i = 0; i < FG_ARRAY_LEN(lengths); i++) {
        out[at] = i == 2;
        fg_store_u32(out + at + 1, lengths[i]);
        memset(out + at + 5, 0xee, lengths[i]); /* as a flag byte this would be an error */
        at += 5 + lengths[i];
    }
    return at;
}

static void follows_messages_whatever_the_cuts(void **state)
{
    uint8_t *stream = malloc(71000);
    size_t len;

    (void)state;
    assert_non_null(stream);
    len = make_stream(stream);
    for (size_t piece = 1; piece <= 1000; piece++) {
        struct fg_grpc_framing framing = {0};
        for (size_t at = 0; at < len; at += FG_MIN(piece, len - at)) {
            /* A copy of its own, so that reading beyond the payload is seen. */
            size_t take = FG_MIN(piece, len - at);
            uint8_t *payload = malloc(take);
            assert_non_null(payload);
            memcpy(payload, stream + at, take);
            assert_int_equal(fg_grpc_framing_feed(&framing, payload, take), 0);
            free(payload);
        }
        assert_int_equal(framing.messages, FG_ARRAY_LEN(lengths));
        assert_true(framing.compressed_seen);
        assert_true(fg_grpc_framing_at_boundary(&framing));
    }
    free(stream);
}

static void knows_boundaries(void **state)
{
    struct fg_grpc_framing framing = {0};
    static const uint8_t message[] = {0, 0, 0, 0, 2, 'h', 'i'};

    (void)state;
    assert_true(fg_grpc_framing_at_boundary(&framing));
    assert_int_equal(fg_grpc_framing_feed(&framing, NULL, 0), 0);
    assert_true(fg_grpc_framing_at_boundary(&framing));
    for (size_t i = 0; i < sizeof message; i++) {
        assert_int_equal(fg_grpc_framing_feed(&framing, message + i, 1), 0);
        assert_int_equal(framing.messages, i >= 4);
        assert_int_equal(fg_grpc_framing_at_boundary(&framing), i == 6);
    }
    assert_false(framing.compressed_seen);
}

static void rejects_unknown_flags_at_once(void **state)
{
    static const uint8_t bad[] = {2, 0, 0, 0, 0, 0}, trailers[] = {0x80, 0, 0, 0, 0};
    static const uint8_t second[] = {0, 0, 0, 0, 1, 'x', 3, 0, 0, 0, 0};

    (void)state;
    for (size_t len = 1; len <= sizeof bad; len++)
        assert_int_equal(fg_grpc_framing_feed(&(struct fg_grpc_framing){0}, bad, len), -1);
    assert_int_equal(fg_grpc_framing_feed(&(struct fg_grpc_framing){0}, trailers, sizeof trailers), -1);
    for (size_t len = 1; len <= sizeof second; len++)
        assert_int_equal(fg_grpc_framing_feed(&(struct fg_grpc_framing){0}, second, len), len <= 6 ? 0 : -1);
}

static void a_message_may_be_as_long_as_its_prefix_says(void **state)
{
    struct fg_grpc_framing framing = {0};
    static const uint8_t huge[] = {0, 0xff, 0xff, 0xff, 0xff, 9};

    (void)state;
    assert_int_equal(fg_grpc_framing_feed(&framing, huge, sizeof huge), 0);
    assert_int_equal(framing.left, UINT32_MAX - 1);
    assert_false(fg_grpc_framing_at_boundary(&framing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_grpc_content_types),
        cmocka_unit_test(parses_timeouts),
        cmocka_unit_test(rejects_malformed_timeouts),
        cmocka_unit_test(formats_timeouts_finely_and_rounds_down),
        cmocka_unit_test(escapes_messages),
        cmocka_unit_test(decoding_a_message_never_fails),
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(base64_comes_back),
        cmocka_unit_test(rejects_what_is_not_base64),
        cmocka_unit_test(follows_messages_whatever_the_cuts),
        cmocka_unit_test(knows_boundaries),
        cmocka_unit_test(rejects_unknown_flags_at_once),
        cmocka_unit_test(a_message_may_be_as_long_as_its_prefix_says),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
