/* A ring of bytes between one thread that writes and one that reads, without locks: how workers hand records to the
 * threads that write or send them. Who writes never waits: what finds no room is refused as a whole. */
#ifndef FG_BASE_RING_H
#define FG_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct fg_ring {
    char *bytes;
    size_t size;
    uint64_t written, read; /* only grow; the place is position % size. Each is changed by its own side alone */
};

void fg_ring_init(struct fg_ring *ring, size_t size); /* SIZE bytes of memory, which nobody has touched yet */
void fg_ring_cleanup(struct fg_ring *ring);

/* Writing side: all LEN bytes, or none (false). */
bool fg_ring_put(struct fg_ring *ring, const void *data, size_t len) __attribute__((warn_unused_result));

/* Writing side: bytes that have not been taken. */
static inline size_t fg_ring_used(const struct fg_ring *ring)
{
    return (size_t)(ring->written - __atomic_load_n(&ring->read, __ATOMIC_RELAXED));
}
/* Writing side: the same of several pieces, one after the other, such that KEEP bytes of room are left for other
 * records. The reader sees all of them at once. */
bool fg_ring_put_parts(struct fg_ring *ring, const struct fg_str *parts, size_t parts_len, size_t keep)
    __attribute__((warn_unused_result));

/* Reading side: what stands together at the front, *AT to its first byte; 0: nothing has come. At the end of the memory
 * there may be more behind it after fg_ring_take. */
size_t fg_ring_peek(const struct fg_ring *ring, const char **at);
/* At most MAX bytes of the front to OUT, over the end of the memory, too; how many. They stay until fg_ring_take. */
size_t fg_ring_copy(const struct fg_ring *ring, void *out, size_t max);
void fg_ring_take(struct fg_ring *ring, size_t len); /* LEN bytes were read and their room is free */

/* Reading side: LEN bytes to OUT, over the end of the memory, too. False: fewer have come, and none was taken. */
bool fg_ring_get(struct fg_ring *ring, void *out, size_t len) __attribute__((warn_unused_result));

#endif
