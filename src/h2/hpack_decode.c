#include "h2/hpack_int.h"

/* One block being decoded. */
struct block {
    struct fg_hpack_decoder *decoder;
    const uint8_t *at, *end;
    const struct fg_hpack_limits *limits;
    struct fg_arena *arena; /* for the fields of the list */
    struct fg_headers *headers;
    uint64_t list_bytes;
    uint32_t fields;
    bool over;               /* a limit is exceeded: no more fields are stored */
    struct fg_arena scratch; /* once over: for fields that only the table may want */
};

void fg_hpack_decoder_init(struct fg_hpack_decoder *decoder, uint32_t capacity_limit)
{
    *decoder = (struct fg_hpack_decoder){
        .capacity = FG_MIN(capacity_limit, (uint32_t)FG_HPACK_DEFAULT_CAPACITY),
        .capacity_limit = capacity_limit,
    };
}

void fg_hpack_decoder_cleanup(struct fg_hpack_decoder *decoder)
{
    fg_hpack_table_shrink(&decoder->table, 0);
}

void fg_hpack_decoder_set_limit(struct fg_hpack_decoder *decoder, uint32_t capacity_limit)
{
    decoder->capacity_limit = capacity_limit;
    if (capacity_limit >= decoder->capacity)
        return; /* a higher one changes nothing until the peer makes use of it */
    /* The next block must lower the capacity at least to this, even if the limit has been raised again by then (RFC
     * 7541 section 4.2). So nothing can refer any more to what is evicted here. */
    decoder->capacity = capacity_limit;
    decoder->update_due = true;
    fg_hpack_table_shrink(&decoder->table, capacity_limit);
}

/* ---- primitives (RFC 7541 section 5) ---- */

/* The rest of an integer that did not fit its prefix. Over 32 bits, or longer than these need: malformed. */
static bool read_long_int(struct block *block, uint32_t *value)
{
    uint64_t v = *value;

    for (unsigned shift = 0; shift <= 28 && block->at < block->end; shift += 7) {
        uint8_t byte = *block->at++;
        v += (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        *value = (uint32_t)v;
        return v <= UINT32_MAX;
    }
    return false;
}

/* An integer whose first byte is at hand (there is one at block->at). */
static inline bool read_int(struct block *block, unsigned prefix_bits, uint32_t *value)
{
    uint32_t mask = (1u << prefix_bits) - 1;

    *value = *block->at++ & mask;
    return *value < mask || read_long_int(block, value);
}

static struct fg_arena *place(struct block *block)
{
    return block->over ? &block->scratch : block->arena;
}

/* A string literal as it stands in the block. */
struct literal {
    const uint8_t *at;
    uint32_t len;
    bool huffman;
};

static bool read_literal(struct block *block, struct literal *literal)
{
    if (block->at == block->end)
        return false;
    literal->huffman = *block->at & 0x80;
    if (!read_int(block, 7, &literal->len) || literal->len > (size_t)(block->end - block->at))
        return false;
    literal->at = block->at;
    block->at += literal->len;
    return true;
}

static bool store(struct block *block, const struct literal *literal, struct fg_str *out)
{
    if (literal->len == 0) {
        *out = FG_STR("");
        return true;
    }
    if (!literal->huffman) {
        char *copy = fg_arena_alloc(place(block), literal->len);
        memcpy(copy, literal->at, literal->len);
        *out = (struct fg_str){copy, literal->len};
        return true;
    }
    uint8_t *decoded = fg_arena_alloc(place(block), FG_HUFFMAN_ROOM((size_t)literal->len));
    ssize_t len = fg_huffman_decode(literal->at, literal->len, decoded);
    *out = (struct fg_str){(const char *)decoded, (size_t)len};
    return len >= 0;
}

/* ---- fields (RFC 7541 section 6) ---- */

/* Counts a field; false: there is no room for it, nor for any after it. */
static inline bool fits(struct block *block, size_t name_len, size_t value_len)
{
    if (block->over)
        return false;
    block->list_bytes += name_len + value_len + FG_HPACK_ENTRY_OVERHEAD;
    block->fields++;
    if (block->list_bytes <= block->limits->max_list_bytes && block->fields <= block->limits->max_fields)
        return true;
    block->over = true;
    fg_arena_init(&block->scratch, block->arena->mem);
    return false;
}

static inline struct fg_header *add_slot(struct block *block)
{
    struct fg_headers *headers = block->headers;
    if (headers->len < headers->cap)
        return &headers->items[headers->len++];
    return fg_headers_add_slot(headers, block->arena);
}

/* An entry's strings may be gone before the call is, so they are copied: in one go when the entry stores the name. */
static void copy_entry(struct fg_header *field, const struct fg_hpack_entry *entry, struct fg_arena *arena)
{
    size_t stored_name = entry->name == entry->data ? entry->name_len : 0;
    size_t len = stored_name + entry->value_len;
    const char *copy = "";

    if (len > 0) {
        char *room = fg_arena_alloc(arena, fg_hpack_round(len));
        fg_hpack_copy(room, entry->data, len);
        copy = room;
    }
    field->name = (struct fg_str){stored_name > 0 ? copy : entry->name, entry->name_len};
    field->value = (struct fg_str){copy + stored_name, entry->value_len};
    field->hash = entry->hash;
    field->token = entry->token;
    field->sensitive = false;
}

static bool decode_indexed(struct block *block)
{
    uint32_t index;

    if (!read_int(block, 7, &index) || index == 0)
        return false;
    if (index <= FG_HPACK_STATIC_LEN) {
        const struct fg_header *field = &fg_hpack_static[index];
        if (fits(block, field->name.len, field->value.len))
            *add_slot(block) = *field;
        return true;
    }
    const struct fg_hpack_entry *entry = fg_hpack_table_get(block->decoder->table, index);
    if (!entry)
        return false;
    if (fits(block, entry->name_len, entry->value_len))
        copy_entry(add_slot(block), entry, block->arena);
    return true;
}

/* Sets name and token. *IS_STATIC: the name is static memory. */
static bool decode_new_name(struct block *block, struct fg_header *field, bool *is_static)
{
    struct literal literal;
    uint8_t short_name[64];
    struct fg_str name;

    if (!read_literal(block, &literal))
        return false;
    if (FG_HUFFMAN_ROOM((size_t)literal.len) > sizeof short_name) { /* longer than any name with a token */
        *is_static = false;
        field->token = FG_TOKEN_NONE;
        return store(block, &literal, &field->name);
    }
    name = (struct fg_str){(const char *)literal.at, literal.len};
    if (literal.huffman) {
        ssize_t len = fg_huffman_decode(literal.at, literal.len, short_name);
        if (len < 0)
            return false;
        name = (struct fg_str){(const char *)short_name, (size_t)len};
    }
    field->token = (uint8_t)fg_token_find(name);
    *is_static = field->token != FG_TOKEN_NONE || name.len == 0;
    if (field->token != FG_TOKEN_NONE)
        field->name = fg_token_name(field->token);
    else
        field->name = name.len > 0 ? fg_arena_copy(place(block), name) : FG_STR("");
    return true;
}

static bool decode_indexed_name(struct block *block, uint32_t index, struct fg_header *field, bool *is_static)
{
    *is_static = true;
    if (index <= FG_HPACK_STATIC_LEN) {
        field->name = fg_hpack_static[index].name;
        field->token = fg_hpack_static[index].token;
        return true;
    }
    const struct fg_hpack_entry *entry = fg_hpack_table_get(block->decoder->table, index);
    if (!entry)
        return false;
    *is_static = entry->name != entry->data;
    field->token = entry->token;
    field->name = (struct fg_str){entry->name, entry->name_len};
    if (!*is_static) /* the insertion may evict the entry (RFC 7541 section 4.4) */
        field->name = fg_arena_copy(place(block), field->name);
    return true;
}

static bool decode_literal(struct block *block, unsigned prefix_bits, bool insert, bool sensitive)
{
    struct fg_header field = {.sensitive = sensitive};
    struct literal value;
    uint32_t index;
    bool is_static;

    if (!read_int(block, prefix_bits, &index))
        return false;
    if (index > 0 ? !decode_indexed_name(block, index, &field, &is_static)
                  : !decode_new_name(block, &field, &is_static))
        return false;
    if (!read_literal(block, &value) || !store(block, &value, &field.value))
        return false;
    if (insert) {
        field.hash = fg_header_hash(field.name, field.value);
        fg_hpack_table_insert(&block->decoder->table, block->decoder->capacity, &field, is_static, false);
    }
    if (block->over)
        fg_arena_cleanup(&block->scratch);
    else if (fits(block, field.name.len, field.value.len))
        *add_slot(block) = field;
    return true;
}

/* Table size updates stand at the start of a block. After SETTINGS changed more than once an encoder sends the smallest
 * size and the last one, so there are two at most (RFC 7541 section 4.2). */
static bool decode_updates(struct block *block)
{
    struct fg_hpack_decoder *decoder = block->decoder;

    for (unsigned n = 0; block->at < block->end && (*block->at & 0xe0) == 0x20; n++) {
        uint32_t capacity, most = decoder->update_due ? decoder->capacity : decoder->capacity_limit;
        if (n == 2 || !read_int(block, 5, &capacity) || capacity > most)
            return false;
        decoder->capacity = capacity;
        decoder->update_due = false;
        fg_hpack_table_shrink(&decoder->table, capacity);
    }
    return !decoder->update_due;
}

enum fg_hpack_result fg_hpack_decode(struct fg_hpack_decoder *decoder, const uint8_t *data, size_t len,
                                     const struct fg_hpack_limits *limits, struct fg_arena *arena,
                                     struct fg_headers *headers)
{
    struct block block = {decoder, data, data + len, limits, arena, headers, 0, 0, false, {0}};
    bool ok = decode_updates(&block);

    while (ok && block.at < block.end) {
        uint8_t first = *block.at;
        if (first & 0x80)
            ok = decode_indexed(&block);
        else if (first & 0x40)
            ok = decode_literal(&block, 6, true, false);
        else if (first & 0x20)
            ok = false; /* a size update after a field */
        else
            ok = decode_literal(&block, 4, false, first & 0x10);
    }
    if (block.over)
        fg_arena_cleanup(&block.scratch);
    if (!ok)
        return FG_HPACK_MALFORMED;
    return block.over ? FG_HPACK_TOO_LARGE : FG_HPACK_OK;
}
