/* Insides of HPACK: the static table, the dynamic table and the Huffman tables. */
#ifndef FG_H2_HPACK_INT_H
#define FG_H2_HPACK_INT_H

#include "h2/hpack.h"

/* ---- static table (RFC 7541 appendix A) ---- */

#define FG_HPACK_STATIC_LEN 61

extern const struct fg_header fg_hpack_static[FG_HPACK_STATIC_LEN + 1]; /* from 1 */

/* The first index with this field's name (its token must be right); 0: none. */
uint32_t fg_hpack_static_find_name(const struct fg_header *field);

/* The index of the whole field; 0: none. */
uint32_t fg_hpack_static_find(const struct fg_header *field);

/* ---- dynamic table ---- */

#define FG_HPACK_DEFAULT_CAPACITY 4096      /* RFC 9113 section 6.5.2 */
#define FG_HPACK_MAX_SEARCHABLE   (1 << 20) /* bytes: 32768 entries, whose numbers fit the search index */

/* The name is static memory, or the beginning of `data`; the value follows it there. Names that have a token or come
 * from the static table are not stored. */
struct fg_hpack_entry {
    const char *name;
    uint32_t name_len, value_len;
    uint32_t hash; /* fg_header_hash */
    uint8_t token;
    char data[]; /* rounded up, see fg_hpack_copy */
};

struct fg_hpack_table {
    uint32_t bytes;    /* as RFC 7541 section 4.1 counts */
    uint32_t len;      /* entries */
    uint32_t inserted; /* ever, modulo 2^32: the number of the next entry. Entry n is at ring[n & mask] */
    uint32_t mask;
    uint32_t *slots; /* encoder: search index, two halves of (mask + 1) * 2: fields, names. NULL: none */
    struct fg_hpack_entry *ring[];
};

/* Adds a field as the newest entry, evicting the oldest ones as needed; a field larger than CAPACITY empties the table.
 * The strings are copied; the name is not if STATIC_NAME says that it is static memory. SEARCHABLE, the same for every
 * call on one table, keeps the search index. FIELD's hash and token must be filled in. Allocates *TABLE, or frees it
 * when it becomes empty. */
void fg_hpack_table_insert(struct fg_hpack_table **table, uint32_t capacity, const struct fg_header *field,
                           bool static_name, bool searchable);
void fg_hpack_table_shrink(struct fg_hpack_table **table, uint32_t capacity);

/* Index in HPACK's numbering (62: the newest entry); 0: none. Only of a searchable table; NULL has nothing.
 * fg_hpack_table_find_name knows only names that are not in the static table. */
uint32_t fg_hpack_table_find(const struct fg_hpack_table *table, const struct fg_header *field);
uint32_t fg_hpack_table_find_name(const struct fg_hpack_table *table, struct fg_str name);

/* INDEX in HPACK's numbering, over FG_HPACK_STATIC_LEN; NULL: out of range. */
static inline const struct fg_hpack_entry *fg_hpack_table_get(const struct fg_hpack_table *table, uint32_t index)
{
    uint32_t age = index - FG_HPACK_STATIC_LEN - 1;
    if (!table || age >= table->len)
        return NULL;
    return table->ring[(table->inserted - 1 - age) & table->mask];
}

/* memcmp, but N may be 0 with pointers that are NULL. */
static inline bool fg_hpack_same(const char *a, const char *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0;
}

#define FG_HPACK_WORD 8

static inline size_t fg_hpack_round(size_t len)
{
    return (len + FG_HPACK_WORD - 1) & ~(size_t)(FG_HPACK_WORD - 1);
}

/* Copies LEN bytes by whole words, so FROM and TO have room for fg_hpack_round(LEN). Fields are mostly so short that a
 * call of memcpy costs more than the copying. */
static inline void fg_hpack_copy(char *to, const char *from, size_t len)
{
    for (size_t at = 0; at < len; at += FG_HPACK_WORD)
        memcpy(to + at, from + at, FG_HPACK_WORD);
}

/* ---- Huffman code (RFC 7541 appendix B); huffman_table.c is written by tools/gen_huffman.py ---- */

#define FG_HUFFMAN_WINDOW       12
#define FG_HUFFMAN_ROWS         14
#define FG_HUFFMAN_LONGEST      30
#define FG_HUFFMAN_MAX_LEN(len) ((len)*8 / 5)                 /* the shortest code has 5 bits */
#define FG_HUFFMAN_ROOM(len)    (FG_HUFFMAN_MAX_LEN(len) + 1) /* bytes that the decoder may touch */

/* The codes of one length over the window's. Both bounds are left-aligned in 32 bits. */
struct fg_huffman_row {
    uint32_t end, first;
    uint8_t bits;
    uint8_t symbols_at; /* in fg_huffman_long_symbols */
};

extern const uint8_t fg_huffman_bits[256];
extern const uint32_t fg_huffman_codes[256];
/* By the next FG_HUFFMAN_WINDOW bits: bits 0-7 bits of all symbols, 8-15 first symbol, 16-23 second symbol, 24-27 bits
 * of the first, 28-29 number of symbols. All 0: the code is longer than the window. */
extern const uint32_t fg_huffman_pairs[1 << FG_HUFFMAN_WINDOW];
extern const struct fg_huffman_row fg_huffman_rows[FG_HUFFMAN_ROWS];
extern const uint8_t fg_huffman_long_symbols[];

#endif
