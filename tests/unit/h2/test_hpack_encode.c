#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "h2/hpack_int.h"

struct fixture {
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_hpack_encoder encoder;
    uint8_t block[8192];
    size_t len;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    fg_mem_init(&f->mem);
    fg_arena_init(&f->arena, &f->mem);
    fg_hpack_encoder_init(&f->encoder, 4096);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fg_hpack_encoder_cleanup(&f->encoder);
    assert_null(f->encoder.table);
    fg_arena_cleanup(&f->arena);
    fg_mem_cleanup(&f->mem);
    free(f);
    return 0;
}

static void encode_fields(struct fixture *f, struct fg_headers *headers, bool indexing)
{
    f->len = fg_hpack_encode(&f->encoder, headers, indexing, f->block);
    assert_true(f->len <= fg_hpack_encode_bound(headers));
}

static void encode_one(struct fixture *f, const char *name, const char *value, bool sensitive)
{
    struct fg_headers headers = {0};
    fg_headers_add(&headers, &f->arena, fg_str_from(name), fg_str_from(value));
    headers.items[0].sensitive = sensitive;
    encode_fields(f, &headers, true);
}

static void expect_block(const struct fixture *f, const char *bytes, size_t len)
{
    assert_int_equal(f->len, len);
    assert_memory_equal(f->block, bytes, len);
}

#define EXPECT(f, literal) expect_block(f, literal, sizeof(literal) - 1)

static void whole_fields_of_the_static_table_take_one_byte(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 1; i <= FG_HPACK_STATIC_LEN; i++) {
        struct fg_headers headers = {0};
        fg_headers_add(&headers, &f->arena, fg_hpack_static[i].name, fg_hpack_static[i].value);
        assert_int_equal(headers.items[0].token, fg_hpack_static[i].token);
        encode_fields(f, &headers, i % 2);
        assert_int_equal(f->len, 1);
        assert_int_equal(f->block[0], 0x80 | i);
    }
    assert_null(f->encoder.table);
}

static void names_of_the_static_table_are_used(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 1; i <= FG_HPACK_STATIC_LEN; i++) {
        const struct fg_header field = {.name = fg_hpack_static[i].name, .token = fg_hpack_static[i].token};
        uint32_t found = fg_hpack_static_find_name(&field);
        assert_true(found > 0 && found <= i);
        assert_true(fg_str_eq(fg_hpack_static[found].name, field.name));
    }
    encode_one(f, "age", "1", false);
    EXPECT(f, "\x0f\x06\x01"
              "1");
    encode_one(f, "ages", "1", false);
    EXPECT(f, "\x00\x04"
              "ages\x01"
              "1");
}

static void a_field_enters_the_table_at_its_second_sight(void **state)
{
    struct fixture *f = *state;

    encode_one(f, "x-a", "1", false);
    EXPECT(f, "\x00\x03x-a\x01"
              "1");
    assert_null(f->encoder.table);
    encode_one(f, "x-a", "1", false);
    assert_int_equal(f->block[0], 0x40);
    assert_int_equal(f->encoder.table->bytes, 36);
    encode_one(f, "x-a", "1", false);
    EXPECT(f, "\xbe");
    encode_one(f, "x-a", "2", false); /* another value: the name's entry serves */
    EXPECT(f, "\x0f\x2f\x01"
              "2");
}

static void values_that_never_repeat_stay_out_of_the_table(void **state)
{
    static const char *const names[] = {"grpc-timeout", "traceparent", "content-length", "date", "cookie"};
    struct fixture *f = *state;

    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < FG_ARRAY_LEN(names); k++)
            encode_one(f, names[k], "100", false);
    assert_null(f->encoder.table);
    for (int i = 0; i < 2; i++)
        encode_one(f, "cookie", "a-cookie-of-some-length", false);
    assert_int_equal(f->encoder.table->len, 1);
}

static void sensitive_fields_are_never_indexed(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        encode_one(f, "authorization", "secret", true);
        EXPECT(f, "\x1f\x08\x06secret");
        encode_one(f, ":method", "GET", true); /* even a field of the static table */
        EXPECT(f, "\x12\x03GET");
    }
    assert_null(f->encoder.table);
    encode_one(f, "authorization", "secret", false);
    encode_one(f, "authorization", "secret", false);
    encode_one(f, "authorization", "secret", false);
    EXPECT(f, "\xbe");
    encode_one(f, "authorization", "secret", true); /* nor by the entry of a field that was not */
    EXPECT(f, "\x1f\x08\x06secret");
}

static void without_indexing_the_table_is_left_alone(void **state)
{
    struct fg_headers headers = {0};
    struct fixture *f = *state;

    fg_hpack_encoder_set_peer_limit(&f->encoder, 100);
    fg_headers_add(&headers, &f->arena, FG_STR("x-a"), FG_STR("1"));
    for (int i = 0; i < 4; i++) {
        encode_fields(f, &headers, false);
        EXPECT(f, "\x00\x03x-a\x01"
                  "1");
    }
    assert_null(f->encoder.table);
    for (int i = 0; i < 3; i++)
        encode_fields(f, &headers, true);
    EXPECT(f, "\xbe");
    encode_fields(f, &headers, false);
    EXPECT(f, "\x00\x03x-a\x01"
              "1");
}

static void a_capacity_of_zero_means_no_table(void **state)
{
    struct fixture *f = *state;

    fg_hpack_encoder_init(&f->encoder, 0);
    encode_one(f, "x-a", "1", false);
    EXPECT(f, "\x20\x00\x03x-a\x01"
              "1");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 65536);
    for (int i = 0; i < 3; i++) {
        encode_one(f, "x-a", "1", false);
        EXPECT(f, "\x00\x03x-a\x01"
                  "1");
    }
    assert_null(f->encoder.table);
}

/* RFC 7541 section 4.2: the smallest size since the last block, and the last one. */
static void size_updates_tell_the_smallest_and_the_last(void **state)
{
    struct fixture *f = *state;
    uint8_t update[FG_HPACK_MAX_UPDATE_BYTES];

    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x82");                                   /* 4096 is what both sides begin with */
    fg_hpack_encoder_set_peer_limit(&f->encoder, 65536); /* more than we want */
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x82");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 10);
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x2a\x82");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 20); /* larger only: one update */
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x34\x82");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 7);
    fg_hpack_encoder_set_peer_limit(&f->encoder, 3);
    fg_hpack_encoder_set_peer_limit(&f->encoder, 65536);
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x23\x3f\xe1\x1f\x82");
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x82");

    fg_hpack_encoder_set_peer_limit(&f->encoder, 0);
    assert_int_equal(fg_hpack_encode_updates(&f->encoder, update), 1); /* for a block encoded earlier */
    assert_int_equal(update[0], 0x20);
    assert_int_equal(fg_hpack_encode_updates(&f->encoder, update), 0);
}

static void an_own_capacity_below_the_default_is_told(void **state)
{
    struct fixture *f = *state;

    fg_hpack_encoder_init(&f->encoder, 256);
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x3f\xe1\x01\x82");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 4096);
    encode_one(f, ":method", "GET", false);
    EXPECT(f, "\x82");
}

static void a_limit_that_shrinks_evicts_the_oldest(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        encode_one(f, "x-a", "1", false);
        encode_one(f, "x-b", "2", false);
    }
    assert_int_equal(f->encoder.table->len, 2);
    fg_hpack_encoder_set_peer_limit(&f->encoder, 36);
    assert_int_equal(f->encoder.table->len, 1);
    encode_one(f, "x-b", "2", false);
    EXPECT(f, "\x3f\x05\xbe");
    fg_hpack_encoder_set_peer_limit(&f->encoder, 35);
    assert_null(f->encoder.table);
}

/* Many more fields than fit, some in use all the time: what the encoder says is in the table is there. */
static void the_search_index_follows_evictions(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 3000; i++) {
        char value[16];
        snprintf(value, sizeof value, "%u", i);
        const struct fg_header field = {
            .name = i % 3 ? FG_STR("x-many") : FG_STR("x-other"),
            .value = fg_arena_copy(&f->arena, fg_str_from(value)),
            .hash = fg_header_hash(i % 3 ? FG_STR("x-many") : FG_STR("x-other"), fg_str_from(value)),
        };
        assert_int_equal(fg_hpack_table_find(f->encoder.table, &field), 0);
        fg_hpack_table_insert(&f->encoder.table, 4096, &field, false, true);
        assert_int_equal(fg_hpack_table_find(f->encoder.table, &field), 62);
        assert_int_equal(fg_hpack_table_find_name(f->encoder.table, field.name), 62);
        assert_true(f->encoder.table->bytes <= 4096);
        assert_true(f->encoder.table->len <= f->encoder.table->mask + 1);
        const struct fg_hpack_entry *oldest = fg_hpack_table_get(f->encoder.table, 61 + f->encoder.table->len);
        const struct fg_header old = {
            .name = {oldest->name, oldest->name_len},
            .value = {oldest->data + oldest->name_len, oldest->value_len},
            .hash = oldest->hash,
        };
        assert_int_equal(fg_hpack_table_find(f->encoder.table, &old), 61 + f->encoder.table->len);
        assert_null(fg_hpack_table_get(f->encoder.table, 62 + f->encoder.table->len));
    }
    assert_true(f->encoder.table->mask + 1 <= 128);
}

/* An attacker can choose fields with equal hashes: slower, but right. */
static void equal_hashes_are_told_apart(void **state)
{
    struct fg_hpack_table *table = NULL;
    (void)state;

    for (unsigned i = 0; i < 60; i++) {
        char value[4] = {(char)('0' + i / 10), (char)('0' + i % 10), '\0'};
        const struct fg_header field = {.name = FG_STR("x"), .value = fg_str_from(value), .hash = 0xabcd1234};
        fg_hpack_table_insert(&table, 1000, &field, false, true); /* 28 fit */
        for (unsigned k = 0; k <= i; k++) {
            char other[4] = {(char)('0' + k / 10), (char)('0' + k % 10), '\0'};
            const struct fg_header old = {.name = FG_STR("x"), .value = fg_str_from(other), .hash = 0xabcd1234};
            assert_int_equal(fg_hpack_table_find(table, &old), i - k < table->len ? 62 + i - k : 0);
        }
    }
    fg_hpack_table_shrink(&table, 0);
    assert_null(table);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(whole_fields_of_the_static_table_take_one_byte),
        TEST(names_of_the_static_table_are_used),
        TEST(a_field_enters_the_table_at_its_second_sight),
        TEST(values_that_never_repeat_stay_out_of_the_table),
        TEST(sensitive_fields_are_never_indexed),
        TEST(without_indexing_the_table_is_left_alone),
        TEST(a_capacity_of_zero_means_no_table),
        TEST(size_updates_tell_the_smallest_and_the_last),
        TEST(an_own_capacity_below_the_default_is_told),
        TEST(a_limit_that_shrinks_evicts_the_oldest),
        TEST(the_search_index_follows_evictions),
        TEST(equal_hashes_are_told_apart),
    };
    return cmocka_run_group_tests_name("hpack encoder", tests, NULL, NULL);
}
