#include "h2/hpack_int.h"

/* The list is over its limits: fields are decoded for the table's sake only. */
struct sink {
    const struct fg_hpack_limits *limits;
    struct fg_arena *arena;
    struct fg_headers *headers;
    size_t bytes;
    bool full;
};

struct input {
    const uint8_t *at, *end;
};

struct field {
    struct fg_str name, value;
    uint32_t hash;
    uint8_t token;
    bool sensitive;
};

/* RFC 7541 section 5.1. Larger than 2^31 is nobody's honest number. */
static bool read_int(struct input *in, unsigned prefix_bits, uint64_t *out)
{
    uint64_t max = (1u << prefix_bits) - 1;
    unsigned shift = 0;

    if (in->at == in->end)
        return false;
    uint64_t n = *in->at++ & max;
    if (n == max) {
        uint8_t byte;
        do {
            if (in->at == in->end || shift > 28)
                return false;
            byte = *in->at++;
            n += (uint64_t)(byte & 0x7f) << shift;
            shift += 7;
        } while (byte & 0x80);
    }
    *out = n;
    return n <= INT32_MAX;
}

static bool read_string(struct input *in, struct fg_arena *arena, struct fg_str *out)
{
    uint64_t len;

    if (in->at == in->end)
        return false;
    bool huffman = *in->at & 0x80;
    if (!read_int(in, 7, &len) || len > (uint64_t)(in->end - in->at))
        return false;
    const uint8_t *data = in->at;
    in->at += len;
    if (!huffman) {
        *out = fg_arena_copy(arena, (struct fg_str){(const char *)data, len});
        return true;
    }
    char *text = fg_arena_alloc(arena, len * 8 / 5 + 1); /* the shortest code has 5 bits */
    ssize_t decoded = fg_huffman_decode(data, len, (uint8_t *)text);
    *out = (struct fg_str){text, decoded > 0 ? (size_t)decoded : 0};
    return decoded >= 0;
}

static void add(struct sink *sink, const struct field *field)
{
    size_t bytes = field->name.len + field->value.len + FG_HPACK_ENTRY_OVERHEAD;

    if (sink->full || sink->bytes + bytes > sink->limits->max_list_bytes ||
        sink->headers->len >= sink->limits->max_fields) {
        sink->full = true;
        return;
    }
    sink->bytes += bytes;
    *fg_headers_add_slot(sink->headers, sink->arena) =
        (struct fg_header){field->name, field->value, field->hash, field->token, field->sensitive};
}

/* A field of the dynamic table may be evicted while the call lives, so its strings are copied. */
static void add_entry(struct sink *sink, const struct fg_hpack_entry *entry)
{
    struct field field = {.hash = entry->hash, .token = entry->token};
    bool known = entry->token != FG_TOKEN_NONE;
    size_t skip = known ? entry->name_len : 0;

    if (sink->full) /* a bomb repeats one large field: not even copied */
        return;
    struct fg_str copy =
        fg_arena_copy(sink->arena, (struct fg_str){entry->bytes + skip, entry->name_len + entry->value_len - skip});
    field.name = known ? fg_token_name((enum fg_token)entry->token) : (struct fg_str){copy.p, entry->name_len};
    field.value = (struct fg_str){known ? copy.p : copy.p + entry->name_len, entry->value_len};
    add(sink, &field);
}

static bool indexed(struct fg_hpack_decoder *decoder, struct input *in, struct sink *sink)
{
    uint64_t index;

    if (!read_int(in, 7, &index) || index == 0)
        return false;
    if (index <= FG_HPACK_STATIC_LEN) {
        const struct fg_hpack_static *entry = &fg_hpack_static_table[index];
        add(sink, &(struct field){.name = entry->name, .value = entry->value, .token = entry->token});
        return true;
    }
    const struct fg_hpack_entry *entry = fg_hpack_table_at(decoder->table, index - FG_HPACK_STATIC_LEN - 1);
    if (entry)
        add_entry(sink, entry);
    return entry != NULL;
}

static bool read_name(struct fg_hpack_decoder *decoder, struct input *in, unsigned prefix_bits, struct sink *sink,
                      struct field *field)
{
    uint64_t index;

    if (!read_int(in, prefix_bits, &index))
        return false;
    if (index == 0) {
        if (!read_string(in, sink->arena, &field->name))
            return false;
        field->token = (uint8_t)fg_token_find(field->name);
        return true;
    }
    if (index <= FG_HPACK_STATIC_LEN) {
        field->name = fg_hpack_static_table[index].name;
        field->token = fg_hpack_static_table[index].token;
        return true;
    }
    const struct fg_hpack_entry *entry = fg_hpack_table_at(decoder->table, index - FG_HPACK_STATIC_LEN - 1);
    if (!entry)
        return false;
    field->token = entry->token;
    field->name = entry->token != FG_TOKEN_NONE ? fg_token_name((enum fg_token)entry->token)
                                                : fg_arena_copy(sink->arena, fg_hpack_entry_name(entry));
    return true;
}

static bool literal(struct fg_hpack_decoder *decoder, struct input *in, struct sink *sink, unsigned prefix_bits,
                    bool insert, bool sensitive)
{
    struct field field = {.sensitive = sensitive};

    if (!read_name(decoder, in, prefix_bits, sink, &field) || !read_string(in, sink->arena, &field.value))
        return false;
    if (insert) {
        field.hash = fg_header_hash(field.name, field.value);
        fg_hpack_table_insert(&decoder->table, decoder->capacity, false, field.name, field.value, field.token,
                              field.hash);
    }
    add(sink, &field);
    return true;
}

static bool size_update(struct fg_hpack_decoder *decoder, struct input *in)
{
    uint64_t capacity;

    if (!read_int(in, 5, &capacity) || capacity > decoder->capacity_limit)
        return false;
    decoder->capacity = (uint32_t)capacity;
    decoder->update_due = false;
    fg_hpack_table_shrink(decoder->table, decoder->capacity);
    return true;
}

enum fg_hpack_result fg_hpack_decode(struct fg_hpack_decoder *decoder, const uint8_t *block, size_t block_len,
                                     const struct fg_hpack_limits *limits, struct fg_arena *arena,
                                     struct fg_headers *headers)
{
    struct input in = {block, block + block_len};
    struct sink sink = {.limits = limits, .arena = arena, .headers = headers};
    bool fields_seen = false;

    while (in.at < in.end) {
        uint8_t first = *in.at;
        bool ok;
        if ((first & 0xe0) == 0x20) { /* only before the first field (section 4.2) */
            ok = !fields_seen && size_update(decoder, &in);
        } else {
            fields_seen = true;
            if (decoder->update_due)
                ok = false;
            else if (first & 0x80)
                ok = indexed(decoder, &in, &sink);
            else if (first & 0x40)
                ok = literal(decoder, &in, &sink, 6, true, false);
            else
                ok = literal(decoder, &in, &sink, 4, false, first & 0x10);
        }
        if (!ok)
            return FG_HPACK_MALFORMED;
    }
    return sink.full ? FG_HPACK_TOO_LARGE : FG_HPACK_OK;
}

void fg_hpack_decoder_init(struct fg_hpack_decoder *decoder, uint32_t capacity_limit)
{
    *decoder = (struct fg_hpack_decoder){.capacity = 4096, .capacity_limit = capacity_limit};
}

void fg_hpack_decoder_cleanup(struct fg_hpack_decoder *decoder)
{
    fg_hpack_table_free(&decoder->table);
}

void fg_hpack_decoder_set_limit(struct fg_hpack_decoder *decoder, uint32_t capacity_limit)
{
    decoder->capacity_limit = capacity_limit;
    decoder->update_due = decoder->capacity > capacity_limit;
}
