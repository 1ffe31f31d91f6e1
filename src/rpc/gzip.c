#include "rpc/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* the largest window, and gzip's header instead of zlib's */

static void *take(void *context, unsigned items, unsigned bytes)
{
    (void)context;
    return fg_alloc((size_t)items * bytes);
}

static void give(void *context, void *p)
{
    (void)context;
    free(p);
}

enum fg_gzip_result fg_gzip_inflate(const struct fg_outq *q, uint64_t max, struct fg_outq *out)
{
    enum fg_gzip_result result = FG_GZIP_OK;
    uint64_t begin = out->bytes;
    z_stream z = {.zalloc = take, .zfree = give};
    int rc = inflateInit2(&z, GZIP_WINDOW);

    for (const struct fg_seg *seg = q->head; seg && result == FG_GZIP_OK && rc != Z_STREAM_END; seg = seg->next) {
        z.next_in = (Bytef *)(uintptr_t)seg->data;
        z.avail_in = (uInt)seg->len;
        do {
            z.next_out = fg_outq_reserve(out, FG_CHUNK_OUT_BYTES / 4);
            z.avail_out = FG_CHUNK_OUT_BYTES / 4;
            rc = inflate(&z, Z_NO_FLUSH);
            fg_outq_commit(out, FG_CHUNK_OUT_BYTES / 4 - z.avail_out);
            if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
                result = FG_GZIP_MALFORMED;
            else if (out->bytes - begin > max)
                result = FG_GZIP_TOO_LARGE;
        } while (result == FG_GZIP_OK && rc == Z_OK && (z.avail_in > 0 || z.avail_out == 0));
        if (rc == Z_STREAM_END && (z.avail_in > 0 || seg->next))
            result = FG_GZIP_MALFORMED; /* something follows */
    }
    if (result == FG_GZIP_OK && rc != Z_STREAM_END)
        result = FG_GZIP_MALFORMED;
    inflateEnd(&z);
    return result;
}

void fg_gzip_deflate(const struct fg_outq *q, struct fg_outq *out)
{
    z_stream z = {.zalloc = take, .zfree = give};
    int rc = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);

    for (const struct fg_seg *seg = q->head; rc != Z_STREAM_END; seg = seg ? seg->next : NULL) {
        z.next_in = seg ? (Bytef *)(uintptr_t)seg->data : NULL;
        z.avail_in = seg ? (uInt)seg->len : 0;
        do {
            z.next_out = fg_outq_reserve(out, FG_CHUNK_OUT_BYTES / 4);
            z.avail_out = FG_CHUNK_OUT_BYTES / 4;
            rc = deflate(&z, seg && seg->next ? Z_NO_FLUSH : Z_FINISH);
            fg_outq_commit(out, FG_CHUNK_OUT_BYTES / 4 - z.avail_out);
        } while (z.avail_out == 0 && rc != Z_STREAM_END);
    }
    deflateEnd(&z);
}
