#include "base/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

void fg_ring_init(struct fg_ring *ring, size_t size)
{
    *ring = (struct fg_ring){.bytes = fg_alloc(size), .size = size};
}

void fg_ring_cleanup(struct fg_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

bool fg_ring_put(struct fg_ring *ring, const void *data, size_t len)
{
    uint64_t read = __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE);

    if (ring->size - (ring->written - read) < len)
        return false;
    size_t at = ring->written % ring->size, first = FG_MIN(len, ring->size - at);
    memcpy(ring->bytes + at, data, first);
    memcpy(ring->bytes, (const char *)data + first, len - first);
    __atomic_store_n(&ring->written, ring->written + len, __ATOMIC_RELEASE);
    return true;
}

bool fg_ring_put_parts(struct fg_ring *ring, const struct fg_str *parts, size_t parts_len, size_t keep)
{
    uint64_t read = __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE), at = ring->written;
    size_t len = 0;

    for (size_t i = 0; i < parts_len; i++)
        len += parts[i].len;
    if (ring->size - (ring->written - read) < len + keep)
        return false;
    for (size_t i = 0; i < parts_len; i++) {
        if (parts[i].len == 0)
            continue;
        size_t place = at % ring->size, first = FG_MIN(parts[i].len, ring->size - place);
        memcpy(ring->bytes + place, parts[i].p, first);
        memcpy(ring->bytes, parts[i].p + first, parts[i].len - first);
        at += parts[i].len;
    }
    __atomic_store_n(&ring->written, at, __ATOMIC_RELEASE);
    return true;
}

size_t fg_ring_peek(const struct fg_ring *ring, const char **at)
{
    uint64_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
    size_t place = ring->read % ring->size;

    *at = ring->bytes + place;
    return FG_MIN((size_t)(written - ring->read), ring->size - place);
}

size_t fg_ring_copy(const struct fg_ring *ring, void *out, size_t max)
{
    uint64_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
    size_t len = FG_MIN((size_t)(written - ring->read), max);
    size_t place = ring->read % ring->size, first = FG_MIN(len, ring->size - place);

    memcpy(out, ring->bytes + place, first);
    memcpy((char *)out + first, ring->bytes, len - first);
    return len;
}

void fg_ring_take(struct fg_ring *ring, size_t len)
{
    __atomic_store_n(&ring->read, ring->read + len, __ATOMIC_RELEASE);
}

bool fg_ring_get(struct fg_ring *ring, void *out, size_t len)
{
    uint64_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);

    if (written - ring->read < len)
        return false;
    size_t place = ring->read % ring->size, first = FG_MIN(len, ring->size - place);
    memcpy(out, ring->bytes + place, first);
    memcpy((char *)out + first, ring->bytes, len - first);
    fg_ring_take(ring, len);
    return true;
}
