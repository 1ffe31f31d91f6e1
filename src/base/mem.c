#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/outq.h"

/* Under AddressSanitizer nothing is recycled, so that a use after free is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define RECYCLE 0
#else
#define RECYCLE 1
#endif

struct fg_arena_block {
    struct fg_arena_block *next;
    size_t bytes; /* of the whole block; a block of FG_ARENA_BLOCK_BYTES goes back to the slab */
};

static void *check(void *p, size_t bytes)
{
    if (p)
        return p;
    fprintf(stderr, "fusegate: out of memory (%zu bytes); lower the limits or raise the memory of this process\n",
            bytes);
    abort();
}

void *fg_alloc(size_t bytes)
{
    return check(malloc(bytes ? bytes : 1), bytes);
}

void *fg_alloc_zero(size_t bytes)
{
    return check(calloc(1, bytes ? bytes : 1), bytes);
}

void *fg_realloc(void *p, size_t bytes)
{
    return check(realloc(p, bytes ? bytes : 1), bytes);
}

char *fg_strdup(const char *s)
{
    size_t len = strlen(s) + 1;
    return memcpy(fg_alloc(len), s, len);
}

void fg_slab_init(struct fg_slab *slab, size_t object_bytes, size_t free_max)
{
    *slab = (struct fg_slab){.object_bytes = FG_MAX(object_bytes, sizeof(void *)), .free_max = RECYCLE ? free_max : 0};
}

void fg_slab_cleanup(struct fg_slab *slab)
{
    while (slab->free_list) {
        void *object = slab->free_list;
        memcpy(&slab->free_list, object, sizeof slab->free_list);
        free(object);
    }
    slab->free_len = 0;
}

void *fg_slab_get(struct fg_slab *slab)
{
    slab->live++;
    if (slab->free_list) {
        void *object = slab->free_list;
        memcpy(&slab->free_list, object, sizeof slab->free_list);
        slab->free_len--;
        return object;
    }
    return fg_alloc(slab->object_bytes);
}

void fg_slab_put(struct fg_slab *slab, void *object)
{
    assert(slab->live > 0);
    slab->live--;
    if (slab->free_len < slab->free_max) {
        memcpy(object, &slab->free_list, sizeof slab->free_list);
        slab->free_list = object;
        slab->free_len++;
        return;
    }
    free(object);
}

void fg_mem_init(struct fg_mem *mem)
{
    *mem = (struct fg_mem){0};
    fg_slab_init(&mem->read_chunks, sizeof(struct fg_chunk) + FG_CHUNK_READ_BYTES, 8);
    fg_slab_init(&mem->out_chunks, sizeof(struct fg_chunk) + FG_CHUNK_OUT_BYTES, 256);
    fg_slab_init(&mem->segments, sizeof(struct fg_seg), 4096);
    fg_slab_init(&mem->arena_blocks, FG_ARENA_BLOCK_BYTES, 2048);
}

void fg_mem_cleanup(struct fg_mem *mem)
{
    if (mem->read_chunk)
        fg_chunk_unref(mem->read_chunk);
    mem->read_chunk = NULL;
    assert(mem->read_chunks.live == 0 && mem->out_chunks.live == 0);
    assert(mem->segments.live == 0 && mem->arena_blocks.live == 0);
    fg_slab_cleanup(&mem->read_chunks);
    fg_slab_cleanup(&mem->out_chunks);
    fg_slab_cleanup(&mem->segments);
    fg_slab_cleanup(&mem->arena_blocks);
}

static struct fg_chunk *chunk_from(struct fg_slab *slab)
{
    struct fg_chunk *chunk = fg_slab_get(slab);
    chunk->refs = 1;
    chunk->cap = (uint32_t)(slab->object_bytes - sizeof *chunk);
    chunk->home = slab;
    return chunk;
}

uint8_t *fg_mem_read_room(struct fg_mem *mem, struct fg_chunk **chunk, size_t *room)
{
    if (mem->read_chunk && mem->read_chunk->refs == 1)
        mem->read_at = 0; /* nobody kept anything of the earlier reads */
    if (mem->read_chunk && mem->read_chunk->cap - mem->read_at < FG_CHUNK_READ_BYTES / 4) {
        fg_chunk_unref(mem->read_chunk);
        mem->read_chunk = NULL;
    }
    if (!mem->read_chunk) {
        mem->read_chunk = chunk_from(&mem->read_chunks);
        mem->read_at = 0;
    }
    *chunk = mem->read_chunk;
    *room = mem->read_chunk->cap - mem->read_at;
    return mem->read_chunk->data + mem->read_at;
}

void fg_mem_read_used(struct fg_mem *mem, size_t bytes)
{
    mem->read_at += (uint32_t)bytes;
}

struct fg_chunk *fg_chunk_new_out(struct fg_mem *mem)
{
    return chunk_from(&mem->out_chunks);
}

struct fg_chunk *fg_chunk_new(size_t bytes)
{
    struct fg_chunk *chunk = fg_alloc(sizeof *chunk + bytes);
    chunk->refs = 1;
    chunk->cap = (uint32_t)bytes;
    chunk->home = NULL;
    return chunk;
}

void fg_chunk_free(struct fg_chunk *chunk)
{
    if (chunk->home)
        fg_slab_put(chunk->home, chunk);
    else
        free(chunk);
}

struct fg_buf fg_buf_copy(const void *data, size_t len)
{
    struct fg_chunk *chunk = fg_chunk_new(len);
    if (len > 0)
        memcpy(chunk->data, data, len);
    return (struct fg_buf){chunk, chunk->data, len};
}

void fg_arena_init(struct fg_arena *arena, struct fg_mem *mem)
{
    *arena = (struct fg_arena){.mem = mem};
}

void fg_arena_cleanup(struct fg_arena *arena)
{
    struct fg_arena_block *block = arena->blocks;
    while (block) {
        struct fg_arena_block *next = block->next;
        if (block->bytes == FG_ARENA_BLOCK_BYTES)
            fg_slab_put(&arena->mem->arena_blocks, block);
        else
            free(block);
        block = next;
    }
    fg_arena_init(arena, arena->mem);
}

void *fg_arena_grow(struct fg_arena *arena, size_t bytes)
{
    size_t room = FG_ARENA_BLOCK_BYTES - sizeof(struct fg_arena_block);
    struct fg_arena_block *block;

    arena->bytes += bytes;
    if (bytes > room / 2) { /* a block of its own; the current one stays in use */
        block = fg_alloc(sizeof *block + bytes);
        block->bytes = 0;
        block->next = arena->blocks;
        arena->blocks = block;
        return block + 1;
    }
    block = fg_slab_get(&arena->mem->arena_blocks);
    block->bytes = FG_ARENA_BLOCK_BYTES;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->at = (char *)(block + 1) + bytes;
    arena->end = (char *)block + FG_ARENA_BLOCK_BYTES;
    return block + 1;
}

struct fg_str fg_arena_copy(struct fg_arena *arena, struct fg_str s)
{
    char *p = fg_arena_alloc(arena, s.len + 1);
    if (s.len > 0)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return (struct fg_str){p, s.len};
}

struct fg_str fg_arena_printf(struct fg_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *p = fg_arena_alloc(arena, (size_t)len + 1);
    vsnprintf(p, (size_t)len + 1, format, again);
    va_end(again);
    return (struct fg_str){p, (size_t)len};
}
