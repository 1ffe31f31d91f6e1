#include "call/body.h"

#define SMALL_BYTES 1024

void fg_body_init(struct fg_body *body)
{
    *body = (struct fg_body){.complete = true};
}

void fg_body_append(struct fg_body *body, struct fg_mem *mem, struct fg_arena *arena, struct fg_buf buf)
{
    struct fg_seg *seg = fg_slab_get(&mem->segments);

    *seg = (struct fg_seg){.data = buf.data, .len = buf.len};
    if (buf.len <= SMALL_BYTES) {
        seg->data = memcpy(fg_arena_alloc(arena, buf.len), buf.data, buf.len);
    } else if (buf.chunk && buf.len * 4 >= buf.chunk->cap) {
        seg->chunk = fg_chunk_ref(buf.chunk);
    } else {
        struct fg_buf copy = fg_buf_copy(buf.data, buf.len);
        seg->chunk = copy.chunk;
        seg->data = copy.data;
    }
    if (body->tail)
        body->tail->next = seg;
    else
        body->head = seg;
    body->tail = seg;
    body->bytes += buf.len;
}

struct fg_buf fg_body_slice(const struct fg_seg *seg)
{
    /* The arena may end before the connection has written what was queued. */
    return seg->chunk ? fg_buf_ref((struct fg_buf){seg->chunk, seg->data, seg->len}) : fg_buf_copy(seg->data, seg->len);
}

void fg_body_drop(struct fg_body *body, struct fg_mem *mem)
{
    while (body->head) {
        struct fg_seg *seg = body->head;
        body->head = seg->next;
        if (seg->chunk)
            fg_chunk_unref(seg->chunk);
        fg_slab_put(&mem->segments, seg);
    }
    *body = (struct fg_body){0};
}
