/* Output queue of a connection: slices in wire order, written with writev. Small pieces are copied into shared chunks,
 * large payloads go as references. An empty queue owns no memory. */
#ifndef FG_BASE_OUTQ_H
#define FG_BASE_OUTQ_H

#include <sys/uio.h>

#include "base/mem.h"

struct fg_seg {
    struct fg_seg *next;
    struct fg_chunk *chunk; /* one reference, or NULL for static bytes */
    const uint8_t *data;
    size_t len;
};

struct fg_outq {
    struct fg_mem *mem;
    struct fg_seg *head, *tail;
    struct fg_chunk *fill; /* the chunk that small pieces go to; one reference */
    uint32_t fill_at;
    size_t bytes;
};

void fg_outq_init(struct fg_outq *q, struct fg_mem *mem);
void fg_outq_cleanup(struct fg_outq *q);

/* Room for LEN (at most FG_CHUNK_OUT_BYTES) contiguous bytes at the end of the queue. fg_outq_commit says how many of
 * them were used; nothing else may touch the queue in between. */
uint8_t *fg_outq_reserve(struct fg_outq *q, size_t len);
void fg_outq_commit(struct fg_outq *q, size_t len);

void fg_outq_copy(struct fg_outq *q, const void *data, size_t len);
void fg_outq_push(struct fg_outq *q, struct fg_buf buf); /* takes the reference */

/* Fills at most MAX entries from the front; returns how many. */
int fg_outq_peek(const struct fg_outq *q, struct iovec *iov, int max);
void fg_outq_consume(struct fg_outq *q, size_t len);

/* Keeps BUF (borrowed) at the end of the queue: what is small is copied, so that it does not hold a whole chunk. */
void fg_outq_keep(struct fg_outq *q, struct fg_buf buf);
/* Moves the first LEN bytes, which must be there, to the end of TO. */
void fg_outq_move(struct fg_outq *q, size_t len, struct fg_outq *to);
/* Copies the first LEN bytes, which must be there. */
void fg_outq_read(const struct fg_outq *q, void *out, size_t len);
/* Takes the first slice out, with its reference. The queue must not be empty. */
struct fg_buf fg_outq_take(struct fg_outq *q);

#endif
