#include "h2/hpack_int.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_RING 8

/* ---- search index ----
 *
 * Open addressing with linear probing. A slot holds the upper half of a hash (which also gives the place where probing
 * begins) and below it 1 + the low 15 bits of an entry's number; 0 is a free slot. There is a slot for each field and
 * one for each different name, which leads to the newest entry with that name. Each half has twice the ring's slots, so
 * that there always is a free one. */

#define NUMBER_BITS 15
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)

struct index {
    uint32_t *slots;
    uint32_t mask;
};

static struct index field_index(const struct fg_hpack_table *table)
{
    return (struct index){table->slots, (table->mask << 1) | 1};
}

static struct index name_index(const struct fg_hpack_table *table)
{
    uint32_t mask = (table->mask << 1) | 1;
    return (struct index){table->slots + mask + 1, mask};
}

static uint32_t make_slot(uint32_t hash, uint32_t number)
{
    return (hash & 0xffff0000) | ((number & NUMBER_MASK) + 1);
}

static uint32_t slot_number(uint32_t slot)
{
    return (slot & 0xffff) - 1;
}

static struct fg_hpack_entry *slot_entry(const struct fg_hpack_table *table, uint32_t slot)
{
    return table->ring[slot_number(slot) & table->mask];
}

static void index_add(struct index index, uint32_t slot)
{
    uint32_t at = slot >> 16 & index.mask;
    while (index.slots[at] != 0)
        at = (at + 1) & index.mask;
    index.slots[at] = slot;
}

/* Frees a place and moves up what probing would no longer find. */
static void index_remove_at(struct index index, uint32_t hole)
{
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & index.mask;
        uint32_t slot = index.slots[at];
        if (slot == 0)
            break;
        uint32_t probed = (at - (slot >> 16)) & index.mask; /* steps from where its probing begins */
        if (probed >= ((at - hole) & index.mask)) {
            index.slots[hole] = slot;
            hole = at;
        }
    }
    index.slots[hole] = 0;
}

static void index_remove(struct index index, uint32_t slot)
{
    for (uint32_t at = slot >> 16 & index.mask; index.slots[at] != 0; at = (at + 1) & index.mask) {
        if (index.slots[at] == slot) {
            index_remove_at(index, at);
            return;
        }
    }
}

static uint32_t hash_name(struct fg_str name)
{
    return fg_hash(name.p, name.len, 0);
}

/* The place of a name's slot; false: it has none. */
static bool find_name(const struct fg_hpack_table *table, struct fg_str name, uint32_t hash, uint32_t *at)
{
    struct index index = name_index(table);

    for (*at = hash >> 16 & index.mask; index.slots[*at] != 0; *at = (*at + 1) & index.mask) {
        if ((index.slots[*at] ^ hash) >> 16 != 0)
            continue;
        const struct fg_hpack_entry *entry = slot_entry(table, index.slots[*at]);
        if (entry->name_len == name.len && fg_hpack_same(entry->name, name.p, name.len))
            return true;
    }
    return false;
}

static bool is_name_indexed(const struct fg_hpack_entry *entry)
{
    const struct fg_header field = {.name = {entry->name, entry->name_len}, .token = entry->token};
    return fg_hpack_static_find_name(&field) == 0;
}

static void index_entry(const struct fg_hpack_table *table, const struct fg_hpack_entry *entry, uint32_t number)
{
    index_add(field_index(table), make_slot(entry->hash, number));
    if (!is_name_indexed(entry))
        return;
    struct fg_str name = {entry->name, entry->name_len};
    uint32_t hash = hash_name(name), at;
    if (find_name(table, name, hash, &at))
        name_index(table).slots[at] = make_slot(hash, number);
    else
        index_add(name_index(table), make_slot(hash, number));
}

static void unindex_entry(const struct fg_hpack_table *table, const struct fg_hpack_entry *entry, uint32_t number)
{
    index_remove(field_index(table), make_slot(entry->hash, number));
    if (is_name_indexed(entry)) /* a slot that leads to a newer entry stays */
        index_remove(name_index(table), make_slot(hash_name((struct fg_str){entry->name, entry->name_len}), number));
}

static uint32_t number_to_hpack(const struct fg_hpack_table *table, uint32_t slot)
{
    return FG_HPACK_STATIC_LEN + 1 + ((table->inserted - 1 - slot_number(slot)) & NUMBER_MASK);
}

uint32_t fg_hpack_table_find(const struct fg_hpack_table *table, const struct fg_header *field)
{
    if (!table)
        return 0;
    struct index index = field_index(table);
    for (uint32_t at = field->hash >> 16 & index.mask; index.slots[at] != 0; at = (at + 1) & index.mask) {
        if ((index.slots[at] ^ field->hash) >> 16 != 0)
            continue;
        const struct fg_hpack_entry *entry = slot_entry(table, index.slots[at]);
        if (entry->hash != field->hash || entry->token != field->token || entry->value_len != field->value.len ||
            entry->name_len != field->name.len)
            continue;
        const char *value = entry->name == entry->data ? entry->data + entry->name_len : entry->data;
        if (!fg_hpack_same(value, field->value.p, field->value.len))
            continue;
        if (field->token != FG_TOKEN_NONE || fg_hpack_same(entry->name, field->name.p, field->name.len))
            return number_to_hpack(table, index.slots[at]);
    }
    return 0;
}

uint32_t fg_hpack_table_find_name(const struct fg_hpack_table *table, struct fg_str name)
{
    uint32_t at;
    if (!table || !find_name(table, name, hash_name(name), &at))
        return 0;
    return number_to_hpack(table, name_index(table).slots[at]);
}

/* ---- ring ---- */

static uint32_t size_of(const struct fg_hpack_entry *entry)
{
    return entry->name_len + entry->value_len + FG_HPACK_ENTRY_OVERHEAD;
}

static struct fg_hpack_table *new_table(uint32_t ring_len, bool searchable)
{
    struct fg_hpack_table *table = fg_alloc(sizeof *table + ring_len * sizeof table->ring[0]);
    *table = (struct fg_hpack_table){.mask = ring_len - 1};
    if (searchable)
        table->slots = fg_alloc_zero((size_t)4 * ring_len * sizeof table->slots[0]);
    return table;
}

static void free_table(struct fg_hpack_table **table)
{
    free((*table)->slots);
    free(*table);
    *table = NULL;
}

static void grow(struct fg_hpack_table **table, bool searchable)
{
    struct fg_hpack_table *old = *table;
    struct fg_hpack_table *bigger = new_table((old->mask + 1) * 2, searchable);

    bigger->bytes = old->bytes;
    bigger->len = old->len;
    bigger->inserted = old->inserted;
    for (uint32_t number = old->inserted - old->len; number != old->inserted; number++) {
        struct fg_hpack_entry *entry = old->ring[number & old->mask];
        bigger->ring[number & bigger->mask] = entry;
        if (searchable)
            index_entry(bigger, entry, number);
    }
    free_table(&old);
    *table = bigger;
}

static void evict_oldest(struct fg_hpack_table *table)
{
    uint32_t number = table->inserted - table->len;
    struct fg_hpack_entry *entry = table->ring[number & table->mask];

    assert(table->len > 0);
    if (table->slots)
        unindex_entry(table, entry, number);
    table->bytes -= size_of(entry);
    table->len--;
    free(entry);
}

void fg_hpack_table_shrink(struct fg_hpack_table **table, uint32_t capacity)
{
    if (!*table)
        return;
    while ((*table)->bytes > capacity)
        evict_oldest(*table);
    if ((*table)->len == 0)
        free_table(table);
}

static struct fg_hpack_entry *new_entry(const struct fg_header *field, bool static_name)
{
    size_t stored_name = static_name ? 0 : field->name.len;
    size_t bytes = fg_hpack_round(stored_name + field->value.len);
    size_t allocated = FG_MAX(offsetof(struct fg_hpack_entry, data) + bytes, sizeof(struct fg_hpack_entry));
    struct fg_hpack_entry *entry = fg_alloc(allocated);

    entry->name = static_name ? field->name.p : entry->data;
    entry->name_len = (uint32_t)field->name.len;
    entry->value_len = (uint32_t)field->value.len;
    entry->hash = field->hash;
    entry->token = field->token;
    if (stored_name > 0)
        memcpy(entry->data, field->name.p, stored_name);
    if (field->value.len > 0)
        memcpy(entry->data + stored_name, field->value.p, field->value.len);
    return entry;
}

void fg_hpack_table_insert(struct fg_hpack_table **table, uint32_t capacity, const struct fg_header *field,
                           bool static_name, bool searchable)
{
    uint64_t bytes = (uint64_t)field->name.len + field->value.len + FG_HPACK_ENTRY_OVERHEAD;

    if (bytes > capacity) { /* RFC 7541 section 4.4: not an error */
        fg_hpack_table_shrink(table, 0);
        return;
    }
    fg_hpack_table_shrink(table, capacity - (uint32_t)bytes);
    if (!*table)
        *table = new_table(FIRST_RING, searchable);
    else if ((*table)->len > (*table)->mask)
        grow(table, searchable);
    struct fg_hpack_entry *entry = new_entry(field, static_name);
    if (searchable)
        index_entry(*table, entry, (*table)->inserted);
    (*table)->ring[(*table)->inserted & (*table)->mask] = entry;
    (*table)->inserted++;
    (*table)->len++;
    (*table)->bytes += (uint32_t)bytes;
}
