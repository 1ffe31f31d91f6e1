/* libnghttp2's HPACK as the oracle of ours; for the unit tests and the fuzzer. */
#ifndef FG_TESTS_H2_HPACK_ORACLE_H
#define FG_TESTS_H2_HPACK_ORACLE_H

#include <nghttp2/nghttp2.h>

#include "h2/hpack.h"

static inline struct fg_str oracle_copy(struct fg_arena *arena, const void *p, size_t len)
{
    return len > 0 ? fg_arena_copy(arena, (struct fg_str){p, len}) : FG_STR("");
}

/* Decodes a whole block; false: libnghttp2 calls it malformed. */
static inline bool oracle_inflate(nghttp2_hd_inflater *inflater, const uint8_t *block, size_t len,
                                  struct fg_arena *arena, struct fg_headers *headers)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block, len, 1);
        if (used < 0)
            return false;
        block += used;
        len -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            fg_headers_add(headers, arena, oracle_copy(arena, nv.name, nv.namelen),
                           oracle_copy(arena, nv.value, nv.valuelen));
            headers->items[headers->len - 1].sensitive = nv.flags & NGHTTP2_NV_FLAG_NO_INDEX;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(inflater);
            return true;
        }
        if (used == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT))
            return false;
    }
}

/* Encodes to OUT; the length, or a negative error. */
static inline ssize_t oracle_deflate(nghttp2_hd_deflater *deflater, const struct fg_headers *headers,
                                     struct fg_arena *arena, uint8_t *out, size_t room)
{
    nghttp2_nv *list = fg_arena_alloc(arena, (headers->len + 1) * sizeof *list);

    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        struct fg_str name = oracle_copy(arena, field->name.p, field->name.len);
        struct fg_str value = oracle_copy(arena, field->value.p, field->value.len);
        list[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)name.p,
            .namelen = name.len,
            .value = (uint8_t *)(uintptr_t)value.p,
            .valuelen = value.len,
            .flags = field->sensitive ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
        };
    }
    return nghttp2_hd_deflate_hd(deflater, out, room, list, headers->len);
}

static inline bool same_field(const struct fg_header *a, const struct fg_header *b)
{
    return a->name.len == b->name.len && a->value.len == b->value.len && a->sensitive == b->sensitive &&
           a->token == b->token && (a->name.len == 0 || memcmp(a->name.p, b->name.p, a->name.len) == 0) &&
           (a->value.len == 0 || memcmp(a->value.p, b->value.p, a->value.len) == 0);
}

/* The first LEN fields. */
static inline bool same_fields(const struct fg_headers *a, const struct fg_headers *b, uint32_t len)
{
    if (a->len < len || b->len < len)
        return false;
    for (uint32_t i = 0; i < len; i++)
        if (!same_field(&a->items[i], &b->items[i]))
            return false;
    return true;
}

#endif
