/* The dynamic table: a ring of entries, and for the encoder an index by hash. */
#include <stdlib.h>

#include "h2/hpack_int.h"

#define FIRST_RING 8u

static uint32_t entry_bytes(const struct fg_hpack_entry *entry)
{
    return entry->name_len + entry->value_len + FG_HPACK_ENTRY_OVERHEAD;
}

/* ---- the encoder's index ---- */

static uint32_t index_mask(const struct fg_hpack_table *table)
{
    return 2 * (table->mask + 1) - 1;
}

static struct fg_hpack_entry *by_number(const struct fg_hpack_table *table, uint32_t number)
{
    return table->ring[number & table->mask];
}

static void index_add(struct fg_hpack_table *table, uint32_t number)
{
    uint32_t mask = index_mask(table), i = by_number(table, number)->hash & mask;

    while (table->index[i] != 0)
        i = (i + 1) & mask;
    table->index[i] = number;
}

static void index_remove(struct fg_hpack_table *table, uint32_t number)
{
    uint32_t mask = index_mask(table), hole = by_number(table, number)->hash & mask;

    while (table->index[hole] != number)
        hole = (hole + 1) & mask;
    for (uint32_t i = (hole + 1) & mask; table->index[i] != 0; i = (i + 1) & mask) {
        uint32_t want = by_number(table, table->index[i])->hash & mask;
        if (((i - want) & mask) >= ((i - hole) & mask)) {
            table->index[hole] = table->index[i];
            hole = i;
        }
    }
    table->index[hole] = 0;
}

/* ---- the ring ---- */

static void evict_oldest(struct fg_hpack_table *table)
{
    uint32_t number = table->total - table->len + 1;
    struct fg_hpack_entry *entry = by_number(table, number);

    if (table->index)
        index_remove(table, number);
    table->bytes -= entry_bytes(entry);
    table->len--;
    free(entry);
}

void fg_hpack_table_shrink(struct fg_hpack_table *table, uint32_t capacity)
{
    while (table && table->len > 0 && table->bytes > capacity)
        evict_oldest(table);
}

void fg_hpack_table_free(struct fg_hpack_table **table)
{
    if (!*table)
        return;
    fg_hpack_table_shrink(*table, 0);
    free((*table)->ring);
    free((*table)->index);
    free(*table);
    *table = NULL;
}

static void grow(struct fg_hpack_table *table, bool indexed)
{
    struct fg_hpack_entry **old = table->ring;
    uint32_t old_mask = table->mask;
    uint32_t slots = old ? 2 * (old_mask + 1) : FIRST_RING;

    table->ring = fg_alloc_zero(slots * sizeof(struct fg_hpack_entry *));
    table->mask = slots - 1;
    for (uint32_t n = table->total - table->len + 1; n != table->total + 1; n++)
        table->ring[n & table->mask] = old[n & old_mask];
    free(old);
    if (!indexed)
        return;
    free(table->index);
    table->index = fg_alloc_zero(2 * slots * sizeof *table->index);
    for (uint32_t n = table->total - table->len + 1; n != table->total + 1; n++)
        index_add(table, n);
}

static void renumber(struct fg_hpack_table *table)
{
    struct fg_hpack_entry **old = table->ring;
    uint32_t first = table->total - table->len + 1;

    table->ring = fg_alloc_zero((table->mask + 1) * sizeof(struct fg_hpack_entry *));
    for (uint32_t i = 0; i < table->len; i++)
        table->ring[(1 + i) & table->mask] = old[(first + i) & table->mask];
    free(old);
    table->total = table->len;
    memset(table->by_token, 0, sizeof table->by_token);
    if (!table->index)
        return;
    memset(table->index, 0, 2 * (table->mask + 1) * sizeof *table->index);
    for (uint32_t n = 1; n <= table->len; n++)
        index_add(table, n);
}

static struct fg_hpack_entry *entry_new(struct fg_str name, struct fg_str value, uint8_t token, uint32_t hash)
{
    struct fg_hpack_entry *entry = fg_alloc(sizeof *entry + name.len + value.len);

    *entry = (struct fg_hpack_entry){hash, (uint32_t)name.len, (uint32_t)value.len, token};
    memcpy(entry->bytes, name.p, name.len);
    if (value.len > 0)
        memcpy(entry->bytes + name.len, value.p, value.len);
    return entry;
}

void fg_hpack_table_insert(struct fg_hpack_table **where, uint32_t capacity, bool indexed, struct fg_str name,
                           struct fg_str value, uint8_t token, uint32_t hash)
{
    uint64_t bytes = (uint64_t)name.len + value.len + FG_HPACK_ENTRY_OVERHEAD;

    if (bytes > capacity) { /* not an error: it empties the table (section 4.4) */
        fg_hpack_table_shrink(*where, 0);
        return;
    }
    if (!*where)
        *where = fg_alloc_zero(sizeof **where);
    struct fg_hpack_table *table = *where;
    struct fg_hpack_entry *entry = entry_new(name, value, token, hash); /* before eviction: NAME may be an entry's */
    fg_hpack_table_shrink(table, capacity - (uint32_t)bytes);
    if (!table->ring || table->len > table->mask)
        grow(table, indexed);
    if (table->total == UINT32_MAX) /* numbers end: after 4 billion insertions the index is built anew */
        renumber(table);
    table->total++;
    table->ring[table->total & table->mask] = entry;
    table->len++;
    table->bytes += (uint32_t)bytes;
    if (!indexed)
        return;
    index_add(table, table->total);
    if (token != FG_TOKEN_NONE)
        table->by_token[token] = table->total;
}

const struct fg_hpack_entry *fg_hpack_table_at(const struct fg_hpack_table *table, uint64_t index)
{
    if (!table || index >= table->len)
        return NULL;
    return by_number(table, table->total - (uint32_t)index);
}

int64_t fg_hpack_table_find(const struct fg_hpack_table *table, uint32_t hash, struct fg_str name, struct fg_str value)
{
    if (!table || table->len == 0)
        return -1;
    uint32_t mask = index_mask(table);
    for (uint32_t i = hash & mask; table->index[i] != 0; i = (i + 1) & mask) {
        const struct fg_hpack_entry *entry = by_number(table, table->index[i]);
        if (entry->hash == hash && fg_str_eq(fg_hpack_entry_name(entry), name) &&
            fg_str_eq(fg_hpack_entry_value(entry), value))
            return table->total - table->index[i];
    }
    return -1;
}

int64_t fg_hpack_table_find_token(const struct fg_hpack_table *table, uint8_t token)
{
    if (!table || token == FG_TOKEN_NONE || table->by_token[token] == 0)
        return -1;
    uint32_t index = table->total - table->by_token[token];
    return index < table->len ? (int64_t)index : -1;
}
