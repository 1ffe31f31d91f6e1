/* The tables of HPACK (RFC 7541 section 2.3), for the encoder and the decoder. */
#ifndef FG_H2_HPACK_INT_H
#define FG_H2_HPACK_INT_H

#include "h2/hpack.h"

#define FG_HPACK_STATIC_LEN 61

struct fg_hpack_static {
    struct fg_str name, value;
    uint8_t token;
};

extern const struct fg_hpack_static fg_hpack_static_table[FG_HPACK_STATIC_LEN + 1]; /* from index 1 */

struct fg_hpack_entry {
    uint32_t hash; /* fg_header_hash */
    uint32_t name_len, value_len;
    uint8_t token;
    char bytes[]; /* name, value */
};

static inline struct fg_str fg_hpack_entry_name(const struct fg_hpack_entry *entry)
{
    return (struct fg_str){entry->bytes, entry->name_len};
}

static inline struct fg_str fg_hpack_entry_value(const struct fg_hpack_entry *entry)
{
    return (struct fg_str){entry->bytes + entry->name_len, entry->value_len};
}

/* Entries are numbered from 1 in the order of their insertion; those from `total - len + 1` to `total` are there. The
 * newest has the dynamic index 62. */
struct fg_hpack_table {
    struct fg_hpack_entry **ring; /* by number & mask */
    uint32_t mask, len;
    uint32_t total;  /* number of the newest */
    uint32_t bytes;  /* as RFC 7541 section 4.1 counts */
    uint32_t *index; /* encoder: numbers by hash, 2 x ring slots, linear probing; 0: free. NULL in a decoder */
    uint32_t by_token[FG_TOKEN_LEN]; /* encoder: the latest number that was given to a name; may be gone */
};

/* *TABLE may be NULL: an empty table. Evicts what does not fit in CAPACITY; an entry over the capacity empties the
 * table. */
void fg_hpack_table_insert(struct fg_hpack_table **table, uint32_t capacity, bool indexed, struct fg_str name,
                           struct fg_str value, uint8_t token, uint32_t hash);
void fg_hpack_table_shrink(struct fg_hpack_table *table, uint32_t capacity);
void fg_hpack_table_free(struct fg_hpack_table **table);

/* By the wire's dynamic index from 0 (= 62); NULL: not there. */
const struct fg_hpack_entry *fg_hpack_table_at(const struct fg_hpack_table *table, uint64_t index);

/* The dynamic index from 0 of an equal field, or -1. Only in an indexed table. */
int64_t fg_hpack_table_find(const struct fg_hpack_table *table, uint32_t hash, struct fg_str name, struct fg_str value);
int64_t fg_hpack_table_find_token(const struct fg_hpack_table *table, uint8_t token);

#endif
