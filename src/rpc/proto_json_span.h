/* A range of bytes that lies in several parts, and protobuf read from it. A span is a value: a copy is a bookmark. */
#ifndef FG_RPC_PROTO_JSON_SPAN_H
#define FG_RPC_PROTO_JSON_SPAN_H

#include "base/bytes.h"
#include "rpc/descriptor.h"

struct fg_span {
    const uint8_t *at, *stop;  /* of the part that is being read */
    const struct fg_str *next; /* the part after it */
    uint64_t after;            /* bytes of the range that lie beyond `stop` */
};

static inline uint64_t fg_span_len(const struct fg_span *span)
{
    return (uint64_t)(span->stop - span->at) + span->after;
}

/* false: the end. Otherwise there is a byte at `at`. */
static inline bool fg_span_more(struct fg_span *span)
{
    while (span->at == span->stop) {
        if (span->after == 0)
            return false;
        size_t len = (size_t)FG_MIN(span->after, span->next->len);
        span->at = (const uint8_t *)span->next->p;
        span->stop = span->at + len;
        span->after -= len;
        span->next++;
    }
    return true;
}

static inline struct fg_span fg_span_of(const struct fg_str *parts, size_t parts_len)
{
    struct fg_span span = {(const uint8_t *)"", NULL, parts, 0};

    span.stop = span.at;
    for (size_t i = 0; i < parts_len; i++)
        span.after += parts[i].len;
    return span;
}

/* The bytes that follow in one piece, at most MAX; they are taken. */
static inline struct fg_str fg_span_piece(struct fg_span *span, size_t max)
{
    if (!fg_span_more(span))
        return (struct fg_str){"", 0};
    size_t len = FG_MIN(max, (size_t)(span->stop - span->at));
    struct fg_str piece = {(const char *)span->at, len};
    span->at += len;
    return piece;
}

/* Moves LEN bytes of SPAN into OUT; false: there are fewer. */
static inline bool fg_span_take(struct fg_span *span, uint64_t len, struct fg_span *out)
{
    *out = *span;
    if (len <= (size_t)(span->stop - span->at)) {
        span->at += len;
        out->stop = span->at;
        out->after = 0;
        return true;
    }
    if (len > fg_span_len(span))
        return false;
    out->after = len - (uint64_t)(span->stop - span->at);
    while (len > 0)
        len -= fg_span_piece(span, (size_t)len).len;
    return true;
}

bool fg_span_varint_slow(struct fg_span *span, uint64_t *value);
bool fg_span_fixed_slow(struct fg_span *span, unsigned bytes, uint64_t *value);

/* Little-endian. */
static inline bool fg_span_fixed(struct fg_span *span, unsigned bytes, uint64_t *value)
{
    if ((size_t)(span->stop - span->at) < bytes)
        return fg_span_fixed_slow(span, bytes, value);
    *value = 0;
    for (unsigned i = 0; i < bytes; i++)
        *value |= (uint64_t)span->at[i] << 8 * i;
    span->at += bytes;
    return true;
}

static inline bool fg_span_varint(struct fg_span *span, uint64_t *value)
{
    if (span->at < span->stop && *span->at < 0x80) {
        *value = *span->at++;
        return true;
    }
    return fg_span_varint_slow(span, value);
}

/* One field as it stands on the wire. */
struct fg_occurrence {
    const struct fg_field *field;
    uint8_t wire_type;   /* enum fg_wire_type; of a group FG_WIRE_GROUP */
    uint64_t value;      /* of a number: the bits */
    struct fg_span body; /* of bytes and of groups */
};

/* The next field that TYPE has, in a form that it may have; others are skipped. 1, 0: the end, -1: no protobuf. */
int fg_occurrence_next(struct fg_span *span, const struct fg_message *type, struct fg_occurrence *out);

#endif
