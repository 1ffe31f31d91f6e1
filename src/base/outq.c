#include "base/outq.h"

#include <assert.h>

void fg_outq_init(struct fg_outq *q, struct fg_mem *mem)
{
    *q = (struct fg_outq){.mem = mem};
}

static void drop_fill(struct fg_outq *q)
{
    if (q->fill)
        fg_chunk_unref(q->fill);
    q->fill = NULL;
}

static void pop(struct fg_outq *q)
{
    struct fg_seg *seg = q->head;
    q->head = seg->next;
    if (!q->head)
        q->tail = NULL;
    if (seg->chunk)
        fg_chunk_unref(seg->chunk);
    fg_slab_put(&q->mem->segments, seg);
}

void fg_outq_cleanup(struct fg_outq *q)
{
    while (q->head)
        pop(q);
    drop_fill(q);
    q->bytes = 0;
}

static void append(struct fg_outq *q, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    struct fg_seg *seg = fg_slab_get(&q->mem->segments);
    *seg = (struct fg_seg){.chunk = chunk, .data = data, .len = len};
    if (q->tail)
        q->tail->next = seg;
    else
        q->head = seg;
    q->tail = seg;
}

uint8_t *fg_outq_reserve(struct fg_outq *q, size_t len)
{
    assert(len <= FG_CHUNK_OUT_BYTES);
    if (!q->fill || q->fill->cap - q->fill_at < len) {
        drop_fill(q);
        q->fill = fg_chunk_new_out(q->mem);
        q->fill_at = 0;
    }
    return q->fill->data + q->fill_at;
}

void fg_outq_commit(struct fg_outq *q, size_t len)
{
    uint8_t *at = q->fill->data + q->fill_at;

    if (len == 0)
        return;
    if (q->tail && q->tail->chunk == q->fill && q->tail->data + q->tail->len == at)
        q->tail->len += len;
    else
        append(q, fg_chunk_ref(q->fill), at, len);
    q->fill_at += (uint32_t)len;
    q->bytes += len;
}

void fg_outq_copy(struct fg_outq *q, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        size_t part = FG_MIN(len, (size_t)FG_CHUNK_OUT_BYTES);
        if (q->fill && q->fill->cap > q->fill_at)
            part = FG_MIN(len, (size_t)(q->fill->cap - q->fill_at));
        memcpy(fg_outq_reserve(q, part), p, part);
        fg_outq_commit(q, part);
        p += part;
        len -= part;
    }
}

void fg_outq_push(struct fg_outq *q, struct fg_buf buf)
{
    if (buf.len == 0) {
        fg_buf_unref(&buf);
        return;
    }
    append(q, buf.chunk, buf.data, buf.len);
    q->bytes += buf.len;
}

int fg_outq_peek(const struct fg_outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct fg_seg *seg = q->head; seg && n < max; seg = seg->next)
        iov[n++] = (struct iovec){(void *)(uintptr_t)seg->data, seg->len};
    return n;
}

void fg_outq_consume(struct fg_outq *q, size_t len)
{
    assert(len <= q->bytes);
    q->bytes -= len;
    while (len > 0) {
        struct fg_seg *seg = q->head;
        if (len < seg->len) {
            seg->data += len;
            seg->len -= len;
            return;
        }
        len -= seg->len;
        pop(q);
    }
    if (!q->head)
        drop_fill(q);
}

void fg_outq_keep(struct fg_outq *q, struct fg_buf buf)
{
    if (buf.len <= FG_CHUNK_OUT_BYTES / 16 || !buf.chunk || buf.len * 16 < buf.chunk->cap)
        fg_outq_copy(q, buf.data, buf.len);
    else
        fg_outq_push(q, fg_buf_ref(buf));
}

struct fg_buf fg_outq_take(struct fg_outq *q)
{
    struct fg_seg *seg = q->head;
    struct fg_buf buf = {seg->chunk, seg->data, seg->len};

    q->bytes -= seg->len;
    seg->chunk = NULL;
    pop(q);
    if (!q->head)
        drop_fill(q);
    return buf;
}

void fg_outq_move(struct fg_outq *q, size_t len, struct fg_outq *to)
{
    assert(len <= q->bytes);
    while (len > 0) {
        struct fg_seg *seg = q->head;
        if (seg->len > len) {
            fg_outq_push(to, fg_buf_ref((struct fg_buf){seg->chunk, seg->data, len}));
            fg_outq_consume(q, len);
            return;
        }
        len -= seg->len;
        fg_outq_push(to, fg_outq_take(q));
    }
}

void fg_outq_read(const struct fg_outq *q, void *out, size_t len)
{
    uint8_t *at = out;

    for (const struct fg_seg *seg = q->head; len > 0; seg = seg->next) {
        size_t n = FG_MIN(len, seg->len);
        memcpy(at, seg->data, n);
        at += n;
        len -= n;
    }
}
