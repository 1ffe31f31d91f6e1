/* Byte ranges and the small helpers everyone needs. A fg_str borrows; whoever hands it out says until when. */
#ifndef FG_BASE_BYTES_H
#define FG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fg_str {
    const char *p;
    size_t len;
};

#define FG_STR(literal)                    ((struct fg_str){(literal), sizeof(literal) - 1})
#define FG_ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define FG_MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define FG_MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define FG_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline struct fg_str fg_str_from(const char *zero_terminated)
{
    return (struct fg_str){zero_terminated, strlen(zero_terminated)};
}

static inline bool fg_str_eq(struct fg_str a, struct fg_str b)
{
    return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

static inline bool fg_str_starts_with(struct fg_str s, struct fg_str prefix)
{
    return s.len >= prefix.len && memcmp(s.p, prefix.p, prefix.len) == 0;
}

static inline uint16_t fg_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t fg_load_u24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t fg_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void fg_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void fg_store_u24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

static inline void fg_store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* Hash of a byte range for tables inside the process (not stable between builds, not secret). */
uint32_t fg_hash(const void *data, size_t len, uint32_t seed);

#endif
