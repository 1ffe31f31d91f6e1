#include "base/bytes.h"

#define MULTIPLIER 0x9E3779B97F4A7C15ull /* 2^64 / golden ratio, odd */

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * MULTIPLIER;
    return h ^ h >> 32;
}

uint32_t fg_hash(const void *data, size_t len, uint32_t seed)
{
    const uint8_t *p = data;
    uint64_t h = ((uint64_t)seed << 32 | (uint32_t)len) * MULTIPLIER;
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8)
        h = mix(h, load64(p));
    if (left > 0) {
        uint64_t tail = 0;
        memcpy(&tail, p, left);
        h = mix(h, tail);
    }
    return (uint32_t)(h ^ h >> 29);
}
