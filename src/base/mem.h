/* Memory of one worker: recycled blocks of a few sizes, refcounted chunks, and arenas made of blocks.
 *
 * Not thread-safe: a fg_mem belongs to one worker and so does everything taken from it. Running out of memory ends the
 * process with a message (fg_alloc); whatever a peer can size is capped before it comes here. */
#ifndef FG_BASE_MEM_H
#define FG_BASE_MEM_H

#include "base/bytes.h"

/* malloc/calloc/realloc that never return NULL. Free with free(). */
void *fg_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *fg_alloc_zero(size_t bytes) __attribute__((malloc, returns_nonnull));
void *fg_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
char *fg_strdup(const char *s) __attribute__((malloc, returns_nonnull));

/* ---- slab: objects of one size, recycled through a bounded free list ---- */
struct fg_slab {
    size_t object_bytes;
    size_t free_len, free_max;
    void *free_list;
    size_t live; /* objects handed out and not returned */
};

void fg_slab_init(struct fg_slab *slab, size_t object_bytes, size_t free_max);
void fg_slab_cleanup(struct fg_slab *slab);
void *fg_slab_get(struct fg_slab *slab) __attribute__((returns_nonnull)); /* contents are undefined */
void fg_slab_put(struct fg_slab *slab, void *object);

/* ---- chunk: refcounted bytes ---- */
#define FG_CHUNK_READ_BYTES (256u << 10) /* data-path.md: at least 64 KB a read; several reads share a chunk */
#define FG_CHUNK_OUT_BYTES  (16u << 10)  /* frame headers, header blocks, tiny payloads */

struct fg_chunk {
    uint32_t refs;
    uint32_t cap;
    struct fg_slab *home; /* NULL: malloc */
    uint8_t data[];
};

struct fg_mem {
    struct fg_slab read_chunks;
    struct fg_slab out_chunks;
    struct fg_slab segments;     /* struct fg_seg, see outq.h */
    struct fg_slab arena_blocks; /* FG_ARENA_BLOCK_BYTES */
    struct fg_chunk *read_chunk; /* that all connections of the worker read into, one after the other */
    uint32_t read_at;
};

void fg_mem_init(struct fg_mem *mem);
void fg_mem_cleanup(struct fg_mem *mem); /* everything taken from it must have been returned */

/* Room to read into: *CHUNK (borrowed) and at least FG_CHUNK_READ_BYTES / 4 bytes at the returned place. Slices that
 * must outlast the turn take references to the chunk; fg_mem_read_used says how many bytes there are in use now. */
uint8_t *fg_mem_read_room(struct fg_mem *mem, struct fg_chunk **chunk, size_t *room);
void fg_mem_read_used(struct fg_mem *mem, size_t bytes);

struct fg_chunk *fg_chunk_new_out(struct fg_mem *mem);
struct fg_chunk *fg_chunk_new(size_t bytes); /* of exactly this size */

static inline struct fg_chunk *fg_chunk_ref(struct fg_chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

void fg_chunk_free(struct fg_chunk *chunk);

static inline void fg_chunk_unref(struct fg_chunk *chunk)
{
    if (--chunk->refs == 0)
        fg_chunk_free(chunk);
}

/* A slice of a chunk. `chunk` may be NULL for static bytes. Passing a fg_buf by value does not pass the reference
 * unless the callee says that it takes it. */
struct fg_buf {
    struct fg_chunk *chunk;
    const uint8_t *data;
    size_t len;
};

static inline struct fg_buf fg_buf_ref(struct fg_buf buf)
{
    if (buf.chunk)
        buf.chunk->refs++;
    return buf;
}

static inline void fg_buf_unref(struct fg_buf *buf)
{
    if (buf->chunk)
        fg_chunk_unref(buf->chunk);
    buf->chunk = NULL;
    buf->len = 0;
}

struct fg_buf fg_buf_copy(const void *data, size_t len); /* one reference, in a chunk of its own */

/* ---- arena: many small allocations that end together ---- */
#define FG_ARENA_BLOCK_BYTES 2048

struct fg_arena_block;

struct fg_arena {
    struct fg_mem *mem;
    struct fg_arena_block *blocks;
    char *at, *end;
    size_t bytes; /* handed out so far */
};

void fg_arena_init(struct fg_arena *arena, struct fg_mem *mem); /* takes no memory yet */
void fg_arena_cleanup(struct fg_arena *arena);
void *fg_arena_grow(struct fg_arena *arena, size_t bytes) __attribute__((returns_nonnull));

/* Aligned to 8; contents undefined. */
static inline void *fg_arena_alloc(struct fg_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + 7) & ~(size_t)7;
    if ((size_t)(arena->end - arena->at) >= rounded && rounded > 0) {
        void *p = arena->at;
        arena->at += rounded;
        arena->bytes += rounded;
        return p;
    }
    return fg_arena_grow(arena, rounded);
}

struct fg_str fg_arena_copy(struct fg_arena *arena, struct fg_str s); /* zero-terminated */
struct fg_str fg_arena_printf(struct fg_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
