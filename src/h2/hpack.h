/* HPACK (RFC 7541): encoder and decoder with Huffman coding, dynamic tables and table size updates.
 *
 * Both own no memory until their dynamic table holds an entry. Neither ever fails on memory that a peer could size: the
 * table is bounded by its capacity, the decoded list by the caller's limits. */
#ifndef FG_H2_HPACK_H
#define FG_H2_HPACK_H

#include "base/header.h"
#include "base/outq.h"

#define FG_HPACK_ENTRY_OVERHEAD 32 /* RFC 7541 section 4.1 */

struct fg_hpack_table; /* hpack_int.h: ring of entries, newest first */

struct fg_hpack_decoder {
    struct fg_hpack_table *table; /* NULL while empty */
    uint32_t capacity;            /* in force; changed by the peer's size updates */
    uint32_t capacity_limit;      /* what our SETTINGS_HEADER_TABLE_SIZE allows (after the peer acknowledged it) */
    bool update_due;              /* the limit fell below the capacity: the next block must begin with an update */
};

enum fg_hpack_result {
    FG_HPACK_OK = 0,
    FG_HPACK_MALFORMED = -1, /* COMPRESSION_ERROR for the connection (RFC 9113 section 4.3) */
    FG_HPACK_TOO_LARGE = -2, /* the list is over max_list_bytes or max_fields: the block was decoded to its end, so that
                                the table is in step and the stream alone can be refused; the list holds what fitted */
};

struct fg_hpack_limits {
    uint32_t max_list_bytes; /* sum of name + value + 32, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    uint32_t max_fields;
};

void fg_hpack_decoder_init(struct fg_hpack_decoder *decoder, uint32_t capacity_limit);
void fg_hpack_decoder_cleanup(struct fg_hpack_decoder *decoder);
void fg_hpack_decoder_set_limit(struct fg_hpack_decoder *decoder, uint32_t capacity_limit);

/* Decodes one whole header block (HEADERS + CONTINUATION payloads joined) and appends its fields to HEADERS. Names and
 * values are copied to ARENA or static, so that they live as long as it. Tokens are filled in; hashes where the
 * table knows them, else 0. Only HPACK rules are checked here, not HTTP's. */
enum fg_hpack_result fg_hpack_decode(struct fg_hpack_decoder *decoder, const uint8_t *block, size_t block_len,
                                     const struct fg_hpack_limits *limits, struct fg_arena *arena,
                                     struct fg_headers *headers) __attribute__((warn_unused_result));

struct fg_hpack_encoder {
    struct fg_hpack_table *table;
    uint32_t capacity;       /* in force: min(own choice, peer's SETTINGS_HEADER_TABLE_SIZE); 0: no dynamic table */
    uint32_t own_capacity;   /* the most we want to spend */
    uint32_t wire_capacity;  /* what the peer's decoder was told last */
    uint32_t smallest_since; /* lowest limit since the last block, for the size updates at its start */
    bool update_due;
    uint16_t seen[64]; /* hashes of fields met once: a field enters the table at its second sight, so that unique
                          values (trace ids, deadlines) never evict repeated ones */
};

void fg_hpack_encoder_init(struct fg_hpack_encoder *encoder, uint32_t own_capacity);
void fg_hpack_encoder_cleanup(struct fg_hpack_encoder *encoder);
void fg_hpack_encoder_set_peer_limit(struct fg_hpack_encoder *encoder, uint32_t peer_capacity);

/* An upper bound of what fg_hpack_encode will write for this list. */
size_t fg_hpack_encode_bound(const struct fg_headers *headers);

/* Writes the block to OUT (room for the bound) and returns its length. INDEXING false: the dynamic table is neither
 * used nor changed, so that the block may be sent at any later time. Computes missing hashes in HEADERS. Sensitive
 * fields are literals never indexed. */
size_t fg_hpack_encode(struct fg_hpack_encoder *encoder, struct fg_headers *headers, bool indexing, uint8_t *out);

/* A block encoded with INDEXING false carries no table size updates. Whoever sends one writes these in front of it at
 * that moment, or the peer misses the update that its SETTINGS called for. At most FG_HPACK_MAX_UPDATE_BYTES; mostly 0.
 */
#define FG_HPACK_MAX_UPDATE_BYTES 12
size_t fg_hpack_encode_updates(struct fg_hpack_encoder *encoder, uint8_t *out);

/* Huffman (RFC 7541 section 5.2). Decoding returns the number of bytes written to OUT (room for 2 x len), or -1 when
 * the string holds EOS or its padding is wrong. */
ssize_t fg_huffman_decode(const uint8_t *in, size_t len, uint8_t *out);
size_t fg_huffman_encoded_len(const uint8_t *in, size_t len);
size_t fg_huffman_encode(const uint8_t *in, size_t len, uint8_t *out);

#endif
