#include "rpc/proto_json_span.h"

#include <endian.h>

#define GROUPS_MAX 100 /* unknown groups inside each other */

bool fg_span_varint_slow(struct fg_span *span, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (!fg_span_more(span))
            return false;
        uint8_t byte = *span->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

bool fg_span_fixed_slow(struct fg_span *span, unsigned bytes, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        if (!fg_span_more(span))
            return false;
        *value |= (uint64_t)*span->at++ << 8 * i;
    }
    return true;
}

static bool read_tag(struct fg_span *span, uint32_t *number, uint8_t *wire_type)
{
    uint64_t tag;

    if (!fg_span_varint(span, &tag) || tag >> 32 != 0 || tag >> 3 == 0)
        return false;
    *number = (uint32_t)tag >> 3;
    *wire_type = tag & 7;
    return true;
}

static bool skip_group(struct fg_span *span, uint32_t number, struct fg_span *body);

/* What follows a tag. */
static bool read_payload(struct fg_span *span, uint32_t number, uint8_t wire_type, struct fg_occurrence *out)
{
    switch (wire_type) {
    case FG_WIRE_VARINT:
        return fg_span_varint(span, &out->value);
    case FG_WIRE_64:
        return fg_span_fixed(span, 8, &out->value);
    case FG_WIRE_BYTES:
        return fg_span_varint(span, &out->value) && fg_span_take(span, out->value, &out->body);
    case FG_WIRE_GROUP:
        return skip_group(span, number, &out->body);
    case FG_WIRE_32:
        return fg_span_fixed(span, 4, &out->value);
    default:
        return false;
    }
}

/* BODY is what lies before the end tag of the group NUMBER, whose begin tag has been read. */
static bool skip_group(struct fg_span *span, uint32_t number, struct fg_span *body)
{
    uint32_t open[GROUPS_MAX] = {number};
    struct fg_span begin = *span;
    struct fg_occurrence ignored;
    size_t depth = 1;
    uint8_t wire_type;

    for (;;) {
        uint64_t left = fg_span_len(span);
        if (!read_tag(span, &number, &wire_type))
            return false;
        if (wire_type == FG_WIRE_GROUP) {
            if (depth == GROUPS_MAX)
                return false;
            open[depth++] = number;
        } else if (wire_type != FG_WIRE_GROUP_END) {
            if (!read_payload(span, number, wire_type, &ignored))
                return false;
        } else if (open[--depth] != number) {
            return false;
        } else if (depth == 0) {
            return fg_span_take(&begin, fg_span_len(&begin) - left, body);
        }
    }
}

/* Does the field take this wire type? Of a repeated number both the packed form and the single one (encoding,
 * "packed repeated fields"). */
static bool fits(const struct fg_field *field, uint8_t wire_type)
{
    if (field->wire_type == wire_type)
        return true;
    return wire_type == FG_WIRE_BYTES && field->repeated && field->wire_type != FG_WIRE_GROUP;
}

/* *AT is moved behind the number; false: it does not end before STOP. */
static inline bool plain_varint(const uint8_t **at, const uint8_t *stop, uint64_t *value)
{
    const uint8_t *p = *at;
    uint64_t sum = 0;

    for (unsigned shift = 0; shift < 64 && p < stop; shift += 7) {
        uint8_t byte = *p++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            *at = p;
            return true;
        }
    }
    return false;
}

/* What most fields are: known, with a tag of one byte, in one part, of a common type. false: something else, and
 * nothing is taken. */
static inline bool next_plain(struct fg_span *span, const struct fg_message *type, struct fg_occurrence *out)
{
    const uint8_t *at = span->at, *stop = span->stop;

    if (at == stop || *at >= 0x80 || (*at >> 3) - 1u >= type->dense_len)
        return false;
    const struct fg_field *field = &type->fields[(*at >> 3) - 1];
    uint8_t wire_type = *at++ & 7;
    if (field->wire_type != wire_type)
        return false;
    if (wire_type == FG_WIRE_BYTES) {
        if (!plain_varint(&at, stop, &out->value) || out->value > (size_t)(stop - at))
            return false;
        out->body = (struct fg_span){at, at + out->value, span->next, 0};
        at += out->value;
    } else if (wire_type == FG_WIRE_VARINT) {
        if (!plain_varint(&at, stop, &out->value))
            return false;
    } else if (wire_type == FG_WIRE_64 && stop - at >= 8) {
        uint64_t little;
        memcpy(&little, at, 8);
        out->value = le64toh(little);
        at += 8;
    } else {
        return false;
    }
    out->field = field;
    out->wire_type = wire_type;
    span->at = at;
    return true;
}

int fg_occurrence_next(struct fg_span *span, const struct fg_message *type, struct fg_occurrence *out)
{
    uint32_t number;

    if (next_plain(span, type, out))
        return 1;
    while (fg_span_more(span)) {
        if (!read_tag(span, &number, &out->wire_type) || !read_payload(span, number, out->wire_type, out))
            return -1;
        out->field = fg_message_field(type, number);
        if (out->field && fits(out->field, out->wire_type))
            return 1;
    }
    return 0;
}
