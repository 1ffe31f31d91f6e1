#include "rpc/proto_json_out.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "rpc/descriptor.h"

#define PADDED 4 /* bytes of a length that was not known when its chunk was left */
#define SLACK  ((size_t)FG_PROTO_OUT_OPEN_MAX * (PADDED - 1))

_Static_assert(FG_CHUNK_OUT_BYTES > 4 * SLACK, "lengths leave room in a chunk");

void fg_proto_out_init(struct fg_proto_out *out, struct fg_mem *mem, uint64_t max_bytes)
{
    out->mem = mem;
    out->chunks = NULL;
    out->lens = NULL;
    out->chunks_len = out->chunks_cap = out->open_len = 0;
    out->at = out->end = NULL;
    out->before = 0;
    out->max = FG_MIN(max_bytes, (uint64_t)FG_PROTO_OUT_MAX_BYTES);
    out->failed = false;
}

void fg_proto_out_cleanup(struct fg_proto_out *out)
{
    for (uint32_t i = 0; i < out->chunks_len; i++)
        fg_chunk_unref(out->chunks[i]);
    free(out->chunks);
    free(out->lens);
    fg_proto_out_init(out, out->mem, out->max);
}

static uint8_t *data_of(const struct fg_proto_out *out, uint32_t chunk)
{
    return out->chunks[chunk]->data;
}

static uint32_t last_len(const struct fg_proto_out *out)
{
    return out->chunks_len > 0 ? (uint32_t)(out->at - data_of(out, out->chunks_len - 1)) : 0;
}

uint64_t fg_proto_out_len(const struct fg_proto_out *out)
{
    return out->before + last_len(out);
}

void fg_proto_out_move(struct fg_proto_out *out, struct fg_outq *q)
{
    assert(out->open_len == 0);
    if (out->chunks_len > 0)
        out->lens[out->chunks_len - 1] = last_len(out);
    for (uint32_t i = 0; i < out->chunks_len; i++)
        fg_outq_push(q, (struct fg_buf){out->chunks[i], data_of(out, i), out->lens[i]});
    out->chunks_len = 0;
    fg_proto_out_cleanup(out);
}

/* Messages that are open in the last chunk will not end in it: their lengths get all the room they may need. What
 * stands behind the length of the k-th of them moves by 3 k; from the last one on. */
static void widen(struct fg_proto_out *out)
{
    uint32_t last = out->chunks_len - 1, first = out->open_len;
    uint8_t *data = data_of(out, last);
    size_t end = last_len(out);

    while (first > 0 && out->open[first - 1].chunk == last)
        first--;
    size_t moved = (size_t)(out->open_len - first) * (PADDED - 1);
    out->at += moved;
    for (uint32_t i = out->open_len; i-- > first;) {
        struct fg_proto_mark *mark = &out->open[i];
        size_t behind = mark->at + (size_t)1;
        memmove(data + behind + moved, data + behind, end - behind);
        end = behind;
        mark->content += moved;
        moved -= PADDED - 1;
        mark->at = (uint16_t)(mark->at + moved);
        mark->width = PADDED;
    }
}

static void next_chunk(struct fg_proto_out *out)
{
    if (out->chunks_len > 0) {
        widen(out);
        out->lens[out->chunks_len - 1] = last_len(out);
        out->before += last_len(out);
    }
    if (out->chunks_len == out->chunks_cap) {
        out->chunks_cap = out->chunks_cap ? 2 * out->chunks_cap : 4;
        out->chunks = fg_realloc(out->chunks, out->chunks_cap * sizeof(struct fg_chunk *));
        out->lens = fg_realloc(out->lens, out->chunks_cap * sizeof *out->lens);
    }
    struct fg_chunk *chunk = fg_chunk_new_out(out->mem);
    out->chunks[out->chunks_len++] = chunk;
    out->at = chunk->data;
    out->end = chunk->data + FG_CHUNK_OUT_BYTES - SLACK;
    if (out->before > out->max)
        out->failed = true;
}

/* Room for LEN bytes in one piece. */
static void need(struct fg_proto_out *out, size_t len)
{
    if (out->at && out->at + len <= out->end)
        return;
    if (out->failed) /* the same chunk again and again: what it holds is of no use any more */
        out->at = data_of(out, out->chunks_len - 1);
    else
        next_chunk(out);
}

static size_t encode(uint8_t *p, uint64_t value)
{
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        p[len++] = (uint8_t)(value | 0x80);
    p[len++] = (uint8_t)value;
    return len;
}

void fg_proto_put_varint(struct fg_proto_out *out, uint64_t value)
{
    need(out, 10);
    out->at += encode(out->at, value);
}

void fg_proto_put_fixed(struct fg_proto_out *out, uint64_t value, unsigned bytes)
{
    uint64_t little = htole64(value);

    need(out, 8);
    memcpy(out->at, &little, 8);
    out->at += bytes;
}

void fg_proto_put_text(struct fg_proto_out *out, uint32_t number, struct fg_str text)
{
    need(out, 20);
    out->at += encode(out->at, (uint64_t)number << 3 | FG_WIRE_BYTES);
    out->at += encode(out->at, text.len);
    fg_proto_put_bytes(out, text.p, text.len);
}

void fg_proto_put_bytes(struct fg_proto_out *out, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len > 0 && !out->failed) {
        need(out, 1);
        size_t n = FG_MIN(len, (size_t)(out->end - out->at));
        memcpy(out->at, p, n);
        out->at += n;
        p += n;
        len -= n;
    }
}

bool fg_proto_begin(struct fg_proto_out *out, uint32_t number)
{
    if (out->open_len == FG_PROTO_OUT_OPEN_MAX)
        return false;
    need(out, 16);
    uint8_t *tag = out->at;
    if (number > 0)
        out->at += encode(out->at, (uint64_t)number << 3 | FG_WIRE_BYTES);
    struct fg_proto_mark *mark = &out->open[out->open_len++];
    mark->chunk = out->chunks_len - 1;
    mark->at = (uint16_t)(out->at - data_of(out, mark->chunk));
    mark->tag_len = (uint8_t)(out->at - tag);
    mark->width = 1;
    *out->at++ = 0;
    mark->content = fg_proto_out_len(out);
    return true;
}

void fg_proto_end(struct fg_proto_out *out, bool keep_empty)
{
    struct fg_proto_mark *mark = &out->open[--out->open_len];
    uint64_t len = fg_proto_out_len(out) - mark->content;
    uint8_t bytes[10];

    if (out->failed)
        return;
    uint8_t *at = data_of(out, mark->chunk) + mark->at;
    if (mark->width == PADDED) {
        for (int i = 0; i < PADDED; i++)
            at[i] = (uint8_t)((len >> 7 * i & 0x7f) | (i < PADDED - 1 ? 0x80 : 0));
        return;
    }
    if (len == 0 && !keep_empty) {
        out->at = at - mark->tag_len;
        return;
    }
    size_t width = encode(bytes, len);
    if (width > 1)
        memmove(at + width, at + 1, (size_t)len);
    memcpy(at, bytes, width);
    out->at += width - 1;
}

bool fg_proto_drop(struct fg_proto_out *out)
{
    struct fg_proto_mark *mark = &out->open[--out->open_len];

    if (mark->width == PADDED)
        return false;
    if (!out->failed)
        out->at = data_of(out, mark->chunk) + mark->at - mark->tag_len;
    return true;
}
