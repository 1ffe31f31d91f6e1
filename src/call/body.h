/* The data of a request, kept as long as an attempt may need it again: from its first byte on, up to a limit. */
#ifndef FG_CALL_BODY_H
#define FG_CALL_BODY_H

#include "base/outq.h"

struct fg_body {
    struct fg_seg *head, *tail;
    size_t bytes;  /* kept now */
    bool complete; /* nothing of what came so far is missing */
};

void fg_body_init(struct fg_body *body);

/* Keeps BUF (borrowed). What is small is copied to ARENA, which must live as long as the body, so that a few bytes do
 * not hold a whole read chunk. */
void fg_body_append(struct fg_body *body, struct fg_mem *mem, struct fg_arena *arena, struct fg_buf buf);

/* A slice that may be queued on a stream: one reference, the caller's. */
struct fg_buf fg_body_slice(const struct fg_seg *seg);

/* Forgets everything; the body is not complete any more. */
void fg_body_drop(struct fg_body *body, struct fg_mem *mem);

#endif
