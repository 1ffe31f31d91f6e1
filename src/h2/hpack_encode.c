#include "h2/hpack_int.h"

#define NO_SMALLEST UINT32_MAX

/* First byte of the representations (RFC 7541 section 6) */
enum {
    INDEXED = 0x80,
    LITERAL_INSERTED = 0x40,
    LITERAL = 0x00,
    LITERAL_NEVER_INDEXED = 0x10,
    SIZE_UPDATE = 0x20,
};

#define MAX_INT_BYTES    6                         /* of 32 bits, with a prefix */
#define MAX_UPDATE_BYTES FG_HPACK_MAX_UPDATE_BYTES /* two of them */

void fg_hpack_encoder_init(struct fg_hpack_encoder *encoder, uint32_t own_capacity)
{
    own_capacity = FG_MIN(own_capacity, (uint32_t)FG_HPACK_MAX_SEARCHABLE);
    *encoder = (struct fg_hpack_encoder){
        .own_capacity = own_capacity,
        .capacity = FG_MIN(own_capacity, (uint32_t)FG_HPACK_DEFAULT_CAPACITY),
        .smallest_since = NO_SMALLEST,
        .update_due = own_capacity < FG_HPACK_DEFAULT_CAPACITY,
    };
}

void fg_hpack_encoder_cleanup(struct fg_hpack_encoder *encoder)
{
    fg_hpack_table_shrink(&encoder->table, 0);
}

void fg_hpack_encoder_set_peer_limit(struct fg_hpack_encoder *encoder, uint32_t peer_capacity)
{
    uint32_t capacity = FG_MIN(encoder->own_capacity, peer_capacity);

    if (capacity == encoder->capacity)
        return;
    encoder->capacity = capacity;
    encoder->smallest_since = FG_MIN(encoder->smallest_since, capacity);
    encoder->update_due = true;
    fg_hpack_table_shrink(&encoder->table, capacity);
}

/* ---- primitives (RFC 7541 section 5) ---- */

static inline uint8_t *put_int(uint8_t *out, uint8_t first, unsigned prefix_bits, uint32_t value)
{
    uint32_t mask = (1u << prefix_bits) - 1;

    if (value < mask) {
        *out++ = (uint8_t)(first | value);
        return out;
    }
    *out++ = (uint8_t)(first | mask);
    for (value -= mask; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static inline uint8_t *put_raw(uint8_t *out, struct fg_str s)
{
    out = put_int(out, 0, 7, (uint32_t)s.len);
    if (s.len > 0)
        memcpy(out, s.p, s.len);
    return out + s.len;
}

static uint8_t *put_shorter(uint8_t *out, struct fg_str s)
{
    const uint8_t *bytes = (const uint8_t *)s.p;
    size_t coded = fg_huffman_encoded_len(bytes, s.len);

    if (coded >= s.len)
        return put_raw(out, s);
    out = put_int(out, 0x80, 7, (uint32_t)coded);
    return out + fg_huffman_encode(bytes, s.len, out);
}

/* ---- policy ---- */

/* Values that differ from call to call by nature. A short cookie is easily guessed byte by byte by someone who can
 * watch lengths, if it is in the table (RFC 7541 section 7.1). */
static bool never_repeats(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_GRPC_TIMEOUT:
    case FG_TOKEN_TRACEPARENT:
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_DATE:
        return true;
    case FG_TOKEN_COOKIE:
        return field->value.len < 20;
    default:
        return false;
    }
}

/* Whether the field was met before, as far as can be told: each place keeps one of the fields that fall on it. */
static bool is_second_sight(struct fg_hpack_encoder *encoder, const struct fg_header *field)
{
    uint16_t *seen = &encoder->seen[field->hash % FG_ARRAY_LEN(encoder->seen)];
    uint16_t tag = (uint16_t)(field->hash >> 16);

    if (*seen == tag)
        return true;
    *seen = tag;
    return false;
}

static bool is_worth_inserting(struct fg_hpack_encoder *encoder, const struct fg_header *field)
{
    size_t bytes = field->name.len + field->value.len + FG_HPACK_ENTRY_OVERHEAD;
    return bytes <= encoder->capacity / 2 && is_second_sight(encoder, field); /* a larger one evicts too much */
}

/* ---- fields ---- */

/* Huffman coding pays where it is done once, for what enters the table. Coding a unique traceparent costs 60 ns here
 * and 70 at the peer to save 16 bytes (bench/micro_hpack.c). */
static uint8_t *put_literal(uint8_t *out, uint8_t kind, const struct fg_header *field, uint32_t name_index)
{
    out = put_int(out, kind, kind == LITERAL_INSERTED ? 6 : 4, name_index);
    if (kind == LITERAL_INSERTED) {
        if (name_index == 0)
            out = put_shorter(out, field->name);
        return put_shorter(out, field->value);
    }
    if (name_index == 0)
        out = put_raw(out, field->name);
    return put_raw(out, field->value);
}

/* A field that is not in the static table. */
static uint8_t *encode_dynamic(struct fg_hpack_encoder *encoder, struct fg_header *field, uint8_t *out)
{
    if (field->hash == 0)
        field->hash = fg_header_hash(field->name, field->value);
    uint32_t index = fg_hpack_table_find(encoder->table, field);
    if (index > 0)
        return put_int(out, INDEXED, 7, index);

    uint32_t static_name = fg_hpack_static_find_name(field), name = static_name;
    if (name == 0)
        name = fg_hpack_table_find_name(encoder->table, field->name);
    if (!is_worth_inserting(encoder, field))
        return put_literal(out, LITERAL, field, name);
    out = put_literal(out, LITERAL_INSERTED, field, name);
    bool is_static = static_name > 0 || field->token != FG_TOKEN_NONE;
    struct fg_header kept = *field;
    if (static_name > 0)
        kept.name = fg_hpack_static[static_name].name;
    else if (field->token != FG_TOKEN_NONE)
        kept.name = fg_token_name(field->token);
    fg_hpack_table_insert(&encoder->table, encoder->capacity, &kept, is_static, true);
    return out;
}

size_t fg_hpack_encode_updates(struct fg_hpack_encoder *encoder, uint8_t *out)
{
    uint8_t *to = out;

    if (!encoder->update_due)
        return 0;
    if (encoder->smallest_since < encoder->capacity)
        to = put_int(to, SIZE_UPDATE, 5, encoder->smallest_since);
    to = put_int(to, SIZE_UPDATE, 5, encoder->capacity);
    encoder->smallest_since = NO_SMALLEST;
    encoder->update_due = false;
    return (size_t)(to - out);
}

size_t fg_hpack_encode_bound(const struct fg_headers *headers)
{
    size_t bytes = MAX_UPDATE_BYTES;
    for (uint32_t i = 0; i < headers->len; i++)
        bytes += headers->items[i].name.len + headers->items[i].value.len + 3 * MAX_INT_BYTES;
    return bytes;
}

size_t fg_hpack_encode(struct fg_hpack_encoder *encoder, struct fg_headers *headers, bool indexing, uint8_t *out)
{
    uint8_t *to = out;
    uint32_t index;

    if (indexing)
        to += fg_hpack_encode_updates(encoder, to);
    for (uint32_t i = 0; i < headers->len; i++) {
        struct fg_header *field = &headers->items[i];
        if (field->sensitive)
            to = put_literal(to, LITERAL_NEVER_INDEXED, field, fg_hpack_static_find_name(field));
        else if ((index = fg_hpack_static_find(field)) > 0)
            *to++ = (uint8_t)(INDEXED | index);
        else if (!indexing || encoder->capacity == 0 || never_repeats(field))
            to = put_literal(to, LITERAL, field, fg_hpack_static_find_name(field));
        else
            to = encode_dynamic(encoder, field, to);
    }
    return (size_t)(to - out);
}
