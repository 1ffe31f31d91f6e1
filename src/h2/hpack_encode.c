#include "h2/hpack_int.h"

/* Where the names that the static table knows begin in it. */
static uint8_t static_index(uint8_t token)
{
    static const uint8_t first[FG_TOKEN_LEN] = {
        [FG_TOKEN_AUTHORITY] = 1,      [FG_TOKEN_METHOD] = 2,
        [FG_TOKEN_PATH] = 4,           [FG_TOKEN_SCHEME] = 6,
        [FG_TOKEN_STATUS] = 8,         [FG_TOKEN_ACCEPT_ENCODING] = 16,
        [FG_TOKEN_AUTHORIZATION] = 23, [FG_TOKEN_CONTENT_LENGTH] = 28,
        [FG_TOKEN_CONTENT_TYPE] = 31,  [FG_TOKEN_COOKIE] = 32,
        [FG_TOKEN_DATE] = 33,          [FG_TOKEN_EXPECT] = 35,
        [FG_TOKEN_HOST] = 38,          [FG_TOKEN_SERVER] = 54,
        [FG_TOKEN_SET_COOKIE] = 55,    [FG_TOKEN_TRANSFER_ENCODING] = 57,
        [FG_TOKEN_USER_AGENT] = 58,
    };
    return first[token];
}

/* Values that differ from call to call: an entry would only push others out. */
static bool varies(uint8_t token)
{
    switch (token) {
    case FG_TOKEN_GRPC_TIMEOUT:
    case FG_TOKEN_TRACEPARENT:
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_DATE:
    case FG_TOKEN_GRPC_MESSAGE:
    case FG_TOKEN_GRPC_STATUS_DETAILS_BIN:
        return true;
    default:
        return false;
    }
}

static uint8_t *put_int(uint8_t *at, uint8_t pattern, unsigned prefix_bits, size_t n)
{
    size_t max = ((size_t)1 << prefix_bits) - 1;

    if (n < max) {
        *at++ = (uint8_t)(pattern | n);
        return at;
    }
    *at++ = (uint8_t)(pattern | max);
    for (n -= max; n >= 0x80; n >>= 7)
        *at++ = (uint8_t)(n | 0x80);
    *at++ = (uint8_t)n;
    return at;
}

static uint8_t *put_raw(uint8_t *at, struct fg_str s)
{
    at = put_int(at, 0, 7, s.len);
    if (s.len > 0)
        memcpy(at, s.p, s.len);
    return at + s.len;
}

/* Huffman costs time for each byte, so it is used where it is paid once: for what enters the table. */
static uint8_t *put_huffman(uint8_t *at, struct fg_str s)
{
    size_t len = fg_huffman_encoded_len((const uint8_t *)s.p, s.len);

    if (len >= s.len)
        return put_raw(at, s);
    at = put_int(at, 0x80, 7, len);
    return at + fg_huffman_encode((const uint8_t *)s.p, s.len, at);
}

/* The index of the name for a literal: static, else dynamic; 0: spelled out. */
static size_t name_index(const struct fg_hpack_encoder *encoder, const struct fg_header *field, bool indexing)
{
    size_t index = static_index(field->token);

    if (index == 0 && indexing) {
        int64_t dynamic = fg_hpack_table_find_token(encoder->table, field->token);
        if (dynamic >= 0)
            index = (size_t)dynamic + FG_HPACK_STATIC_LEN + 1;
    }
    return index;
}

static uint8_t *put_literal(const struct fg_hpack_encoder *encoder, const struct fg_header *field, bool indexing,
                            uint8_t pattern, unsigned prefix_bits, uint8_t *at)
{
    size_t index = name_index(encoder, field, indexing);
    bool enters = pattern == 0x40;

    at = put_int(at, pattern, prefix_bits, index);
    if (index == 0)
        at = enters ? put_huffman(at, field->name) : put_raw(at, field->name);
    return enters ? put_huffman(at, field->value) : put_raw(at, field->value);
}

/* Has the field been met before? Remembers it if not. */
static bool second_sight(struct fg_hpack_encoder *encoder, uint32_t hash)
{
    uint16_t *slot = &encoder->seen[hash % FG_ARRAY_LEN(encoder->seen)];
    uint16_t tag = (uint16_t)(hash >> 16 | 1);

    if (*slot == tag)
        return true;
    *slot = tag;
    return false;
}

static size_t find_static(const struct fg_header *field)
{
    size_t index = static_index(field->token);

    if (index == 0 || field->token > FG_TOKEN_STATUS)
        return 0; /* the others' values are empty, but for one */
    for (; fg_hpack_static_table[index].token == field->token; index++)
        if (fg_str_eq(fg_hpack_static_table[index].value, field->value))
            return index;
    return 0;
}

static uint8_t *put_field(struct fg_hpack_encoder *encoder, struct fg_header *field, bool indexing, uint8_t *at)
{
    if (field->sensitive)
        return put_literal(encoder, field, indexing, 0x10, 4, at);
    size_t index = find_static(field);
    if (index != 0)
        return put_int(at, 0x80, 7, index);
    if (!indexing || varies(field->token))
        return put_literal(encoder, field, indexing, 0x00, 4, at);
    if (field->hash == 0)
        field->hash = fg_header_hash(field->name, field->value);
    int64_t dynamic = fg_hpack_table_find(encoder->table, field->hash, field->name, field->value);
    if (dynamic >= 0)
        return put_int(at, 0x80, 7, (size_t)dynamic + FG_HPACK_STATIC_LEN + 1);
    /* One field must not sweep half of the table out. */
    if (field->name.len + field->value.len + FG_HPACK_ENTRY_OVERHEAD > encoder->capacity / 2 ||
        !second_sight(encoder, field->hash))
        return put_literal(encoder, field, indexing, 0x00, 4, at);
    at = put_literal(encoder, field, indexing, 0x40, 6, at);
    fg_hpack_table_insert(&encoder->table, encoder->capacity, true, field->name, field->value, field->token,
                          field->hash);
    return at;
}

/* RFC 7541 section 4.2: the smallest size in between has to be told as well. */
static uint8_t *put_size_updates(struct fg_hpack_encoder *encoder, uint8_t *at)
{
    if (encoder->smallest_since < encoder->capacity)
        at = put_int(at, 0x20, 5, encoder->smallest_since);
    at = put_int(at, 0x20, 5, encoder->capacity);
    encoder->wire_capacity = encoder->capacity;
    encoder->smallest_since = UINT32_MAX;
    encoder->update_due = false;
    return at;
}

size_t fg_hpack_encode_bound(const struct fg_headers *headers)
{
    size_t bound = 16; /* two size updates */

    for (uint32_t i = 0; i < headers->len; i++)
        bound += headers->items[i].name.len + headers->items[i].value.len + 3 * 8; /* three integers */
    return bound;
}

size_t fg_hpack_encode(struct fg_hpack_encoder *encoder, struct fg_headers *headers, bool indexing, uint8_t *out)
{
    uint8_t *at = out;

    indexing = indexing && encoder->capacity > 0;
    if (encoder->update_due)
        at = put_size_updates(encoder, at);
    for (uint32_t i = 0; i < headers->len; i++)
        at = put_field(encoder, &headers->items[i], indexing, at);
    return (size_t)(at - out);
}

void fg_hpack_encoder_init(struct fg_hpack_encoder *encoder, uint32_t own_capacity)
{
    /* The peer's table has 4096 bytes until told otherwise; to use less of it needs no words. */
    *encoder = (struct fg_hpack_encoder){.capacity = FG_MIN(own_capacity, 4096u),
                                         .own_capacity = own_capacity,
                                         .wire_capacity = 4096,
                                         .smallest_since = UINT32_MAX};
}

void fg_hpack_encoder_cleanup(struct fg_hpack_encoder *encoder)
{
    fg_hpack_table_free(&encoder->table);
}

void fg_hpack_encoder_set_peer_limit(struct fg_hpack_encoder *encoder, uint32_t peer_capacity)
{
    encoder->capacity = FG_MIN(encoder->own_capacity, peer_capacity);
    encoder->smallest_since = FG_MIN(encoder->smallest_since, peer_capacity);
    if (peer_capacity < encoder->wire_capacity || encoder->capacity > encoder->wire_capacity)
        encoder->update_due = true;
    fg_hpack_table_shrink(encoder->table, encoder->capacity);
}
