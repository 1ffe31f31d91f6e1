/* Long connections against libnghttp2's HPACK, both ways: one step out of step and everything after is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hpack_oracle.h"

#define BLOCKS     100000
#define BLOCK_ROOM 65536

static const struct fg_hpack_limits unlimited = {UINT32_MAX, UINT32_MAX};

static uint32_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 16);
}

/* Small numbers are likelier. */
static uint32_t skewed(uint64_t *random, uint32_t end)
{
    uint32_t a = next_random(random) % end, b = next_random(random) % end, c = next_random(random) % end;
    return FG_MIN(FG_MIN(a, b), c);
}

static void add_random_field(uint64_t *random, struct fg_headers *headers, struct fg_arena *arena)
{
    static const char *const names[] = {"x-tenant", "accept", "via", "x-request-id", "blob-bin", "if-match", "z"};
    uint32_t kind = next_random(random) % (FG_TOKEN_LEN + 16);
    struct fg_str name, value;

    if (kind > 0 && kind < FG_TOKEN_LEN)
        name = fg_token_name(kind);
    else if (kind % 8 > 0)
        name = fg_str_from(names[kind % FG_ARRAY_LEN(names)]);
    else
        name = fg_arena_printf(arena, "x-%u", skewed(random, 300));
    switch (next_random(random) % 8) {
    case 0:
        value = fg_arena_printf(arena, "%08x%08x%08x", next_random(random), next_random(random), next_random(random));
        break;
    case 1:
        value = fg_arena_printf(arena, "%0*u", (int)skewed(random, 5000), 0);
        break;
    case 2:
        value = name.len % 2 ? FG_STR("") : FG_STR("\x01\xff\x80\n");
        break;
    default:
        value = fg_arena_printf(arena, "value-%u", skewed(random, 40));
    }
    fg_headers_add(headers, arena, name, value);
    headers->items[headers->len - 1].sensitive = next_random(random) % 16 == 0;
}

static void make_list(uint64_t *random, struct fg_headers *headers, struct fg_arena *arena)
{
    fg_headers_init(headers);
    for (uint32_t n = next_random(random) % 12; n > 0; n--)
        add_random_field(random, headers, arena);
}

static uint32_t random_limit(uint64_t *random)
{
    return next_random(random) % 4 == 0 ? next_random(random) % 200 : next_random(random) % 10000;
}

static void libnghttp2_decodes_what_we_encode(void **state)
{
    uint8_t *block = malloc(FG_HPACK_MAX_UPDATE_BYTES + BLOCK_ROOM);
    struct fg_hpack_encoder encoder;
    nghttp2_hd_inflater *inflater;
    uint64_t random = 0x5eed1;
    unsigned with_table = 0;
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    fg_hpack_encoder_init(&encoder, 8192);
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct fg_headers sent, received = {0};
        struct fg_arena arena;
        size_t prefix = 0;
        fg_arena_init(&arena, &mem);
        while (next_random(&random) % 50 == 0) { /* the peer's SETTINGS */
            uint32_t limit = random_limit(&random);
            fg_hpack_encoder_set_peer_limit(&encoder, limit);
            assert_int_equal(nghttp2_hd_inflate_change_table_size(inflater, limit), 0);
        }
        make_list(&random, &sent, &arena);
        bool indexing = next_random(&random) % 4 > 0;
        if (!indexing)
            prefix = fg_hpack_encode_updates(&encoder, block);
        assert_true(fg_hpack_encode_bound(&sent) <= BLOCK_ROOM);
        size_t len = fg_hpack_encode(&encoder, &sent, indexing, block + prefix);
        assert_true(len <= fg_hpack_encode_bound(&sent));
        assert_true(oracle_inflate(inflater, block, prefix + len, &arena, &received));
        assert_int_equal(received.len, sent.len);
        assert_true(same_fields(&sent, &received, sent.len));
        with_table += encoder.table != NULL;
        fg_arena_cleanup(&arena);
    }
    assert_true(with_table > BLOCKS / 2);
    nghttp2_hd_inflate_del(inflater);
    fg_hpack_encoder_cleanup(&encoder);
    fg_mem_cleanup(&mem);
    free(block);
}

static void we_decode_what_libnghttp2_encodes(void **state)
{
    uint8_t *block = malloc(BLOCK_ROOM);
    struct fg_hpack_decoder decoder;
    nghttp2_hd_deflater *deflater;
    uint64_t random = 0x5eed2;
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    fg_hpack_decoder_init(&decoder, 4096);
    assert_int_equal(nghttp2_hd_deflate_new(&deflater, 8192), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct fg_hpack_limits limits = {next_random(&random) % 1000, next_random(&random) % 8};
        struct fg_headers sent, received = {0};
        struct fg_arena arena;
        fg_arena_init(&arena, &mem);
        while (next_random(&random) % 50 == 0) { /* our SETTINGS */
            uint32_t limit = random_limit(&random);
            fg_hpack_decoder_set_limit(&decoder, limit);
            assert_int_equal(nghttp2_hd_deflate_change_table_size(deflater, limit), 0);
        }
        make_list(&random, &sent, &arena);
        ssize_t len = oracle_deflate(deflater, &sent, &arena, block, BLOCK_ROOM);
        assert_true(len >= 0);
        for (uint32_t k = 0; k < sent.len; k++) /* libnghttp2 protects these by itself */
            if (sent.items[k].token == FG_TOKEN_AUTHORIZATION ||
                (sent.items[k].token == FG_TOKEN_COOKIE && sent.items[k].value.len < 20))
                sent.items[k].sensitive = true;
        bool limited = next_random(&random) % 4 == 0;
        enum fg_hpack_result result =
            fg_hpack_decode(&decoder, block, (size_t)len, limited ? &limits : &unlimited, &arena, &received);
        assert_true(result == FG_HPACK_OK ? received.len == sent.len : limited && result == FG_HPACK_TOO_LARGE);
        assert_true(same_fields(&sent, &received, received.len));
        fg_arena_cleanup(&arena);
    }
    nghttp2_hd_deflate_del(deflater);
    fg_hpack_decoder_cleanup(&decoder);
    fg_mem_cleanup(&mem);
    free(block);
}

/* What a gateway does: hashes go from the decoder to the encoder with the list. */
static void lists_pass_through_a_gateway_unchanged(void **state)
{
    uint8_t *block = malloc(BLOCK_ROOM);
    struct fg_hpack_encoder client, upstream;
    struct fg_hpack_decoder decoder, service;
    uint64_t random = 0x5eed3;
    struct fg_mem mem;
    (void)state;

    fg_mem_init(&mem);
    fg_hpack_encoder_init(&client, 4096);
    fg_hpack_decoder_init(&decoder, 4096);
    fg_hpack_encoder_init(&upstream, 1000);
    fg_hpack_decoder_init(&service, 4096);
    for (unsigned i = 0; i < BLOCKS / 4; i++) {
        struct fg_headers sent, between = {0}, received = {0};
        struct fg_arena arena;
        fg_arena_init(&arena, &mem);
        make_list(&random, &sent, &arena);
        size_t len = fg_hpack_encode(&client, &sent, true, block);
        assert_int_equal(fg_hpack_decode(&decoder, block, len, &unlimited, &arena, &between), FG_HPACK_OK);
        for (uint32_t k = 0; k < between.len; k++) {
            const struct fg_header *field = &between.items[k];
            assert_true(field->hash == 0 || field->hash == fg_header_hash(field->name, field->value));
        }
        len = fg_hpack_encode(&upstream, &between, true, block);
        assert_int_equal(fg_hpack_decode(&service, block, len, &unlimited, &arena, &received), FG_HPACK_OK);
        assert_int_equal(received.len, sent.len);
        assert_true(same_fields(&sent, &received, sent.len));
        fg_arena_cleanup(&arena);
    }
    fg_hpack_encoder_cleanup(&client);
    fg_hpack_encoder_cleanup(&upstream);
    fg_hpack_decoder_cleanup(&decoder);
    fg_hpack_decoder_cleanup(&service);
    fg_mem_cleanup(&mem);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libnghttp2_decodes_what_we_encode),
        cmocka_unit_test(we_decode_what_libnghttp2_encodes),
        cmocka_unit_test(lists_pass_through_a_gateway_unchanged),
    };
    return cmocka_run_group_tests_name("hpack and libnghttp2", tests, NULL, NULL);
}
