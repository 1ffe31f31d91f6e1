/* Writes protobuf front to back, although the length of a message stands before it.
 *
 * The length gets one byte, and when the message is whole the few bytes that its length takes are made by moving it; it
 * lies in one chunk, so that is at most 16 KiB. A message that does not end in the chunk in which it began gets four
 * bytes at the moment when that chunk is left (varints may be padded); nothing is moved after that. So each chunk is
 * handed on almost full, the work is in proportion to the size, and all that is kept is a mark for each message that is
 * open. The alternative, a first pass that only measures, would have to keep each length or measure each level again.
 */
#ifndef FG_RPC_PROTO_JSON_OUT_H
#define FG_RPC_PROTO_JSON_OUT_H

#include "base/mem.h"
#include "base/outq.h"

#define FG_PROTO_OUT_OPEN_MAX  320                /* messages, map entries and packed fields inside each other */
#define FG_PROTO_OUT_MAX_BYTES ((256u << 20) - 1) /* what four bytes of a length can say */

struct fg_proto_mark {
    uint64_t content; /* where the message begins */
    uint32_t chunk;   /* index */
    uint16_t at;      /* of the length, in the chunk */
    uint8_t width;    /* of the length: 1 or 4 */
    uint8_t tag_len;  /* before it */
};

struct fg_proto_out {
    struct fg_mem *mem;
    struct fg_chunk **chunks;
    uint32_t *lens; /* of the chunks before the last */
    uint32_t chunks_len, chunks_cap;
    uint8_t *at, *end; /* of the last chunk; behind `end` there is room for all lengths to grow */
    uint64_t before;   /* bytes in the chunks before the last */
    uint64_t max;
    bool failed; /* larger than `max`; further bytes are dropped */
    uint32_t open_len;
    struct fg_proto_mark open[FG_PROTO_OUT_OPEN_MAX];
};

void fg_proto_out_init(struct fg_proto_out *out, struct fg_mem *mem, uint64_t max_bytes);
void fg_proto_out_cleanup(struct fg_proto_out *out);

uint64_t fg_proto_out_len(const struct fg_proto_out *out);
/* Moves everything to the end of Q; OUT is empty afterwards and may be used again. */
void fg_proto_out_move(struct fg_proto_out *out, struct fg_outq *q);

void fg_proto_put_varint(struct fg_proto_out *out, uint64_t value);
void fg_proto_put_fixed(struct fg_proto_out *out, uint64_t value, unsigned bytes);
void fg_proto_put_text(struct fg_proto_out *out, uint32_t number, struct fg_str text); /* a whole field */
void fg_proto_put_bytes(struct fg_proto_out *out, const void *bytes, size_t len);

/* A length-delimited field: what is written in between is its content. NUMBER 0: without tag. false: too deep. */
bool fg_proto_begin(struct fg_proto_out *out, uint32_t number) __attribute__((warn_unused_result));
void fg_proto_end(struct fg_proto_out *out, bool keep_empty); /* else nothing is left of it when it is empty */
/* Instead of fg_proto_end: nothing of it is written. false: part of it is beyond reach. */
bool fg_proto_drop(struct fg_proto_out *out) __attribute__((warn_unused_result));

#endif
