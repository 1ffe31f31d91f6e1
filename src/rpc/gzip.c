#include "rpc/gzip.h"

#include <stdlib.h>
#include <strings.h>
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

/* FLUSH is for the last of Q. */
static void deflate_all(z_stream *z, const struct fg_outq *q, int flush, struct fg_outq *out)
{
    const struct fg_seg *seg = q->head;

    do {
        z->next_in = seg ? (Bytef *)(uintptr_t)seg->data : NULL;
        z->avail_in = seg ? (uInt)seg->len : 0;
        do {
            z->next_out = fg_outq_reserve(out, FG_CHUNK_OUT_BYTES / 4);
            z->avail_out = FG_CHUNK_OUT_BYTES / 4;
            (void)deflate(z, seg && seg->next ? Z_NO_FLUSH : flush);
            fg_outq_commit(out, FG_CHUNK_OUT_BYTES / 4 - z->avail_out);
        } while (z->avail_out == 0);
        seg = seg ? seg->next : NULL;
    } while (seg);
}

void fg_gzip_deflate(const struct fg_outq *q, struct fg_outq *out)
{
    z_stream z = {.zalloc = take, .zfree = give};

    deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    deflate_all(&z, q, Z_FINISH, out);
    deflateEnd(&z);
}

struct fg_gzip_stream {
    z_stream z;
};

struct fg_gzip_stream *fg_gzip_stream_new(void)
{
    struct fg_gzip_stream *stream = fg_alloc_zero(sizeof *stream);

    stream->z = (z_stream){.zalloc = take, .zfree = give};
    deflateInit2(&stream->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 12 + 16, 6,
                 Z_DEFAULT_STRATEGY); /* small: there are many */
    return stream;
}

void fg_gzip_stream_free(struct fg_gzip_stream *stream)
{
    if (!stream)
        return;
    deflateEnd(&stream->z);
    free(stream);
}

void fg_gzip_stream_feed(struct fg_gzip_stream *stream, const struct fg_outq *q, bool end, struct fg_outq *out)
{
    deflate_all(&stream->z, q, end ? Z_FINISH : Z_SYNC_FLUSH, out);
}

/* "gzip" or "gzip;q=0.5", but not "gzip;q=0" or "gzip;q=0.000". */
static bool is_wanted(struct fg_str item)
{
    struct fg_str name = FG_STR("gzip");

    if (item.len < name.len || strncasecmp(item.p, name.p, name.len) != 0)
        return false;
    const char *at = item.p + name.len, *end = item.p + item.len;
    while (at < end && (*at == ' ' || *at == '\t' || *at == ';'))
        at++;
    if (at == end)
        return true;
    if (at == item.p + name.len || end - at < 3 || (at[0] != 'q' && at[0] != 'Q') || at[1] != '=')
        return false;
    for (at += 2; at < end; at++)
        if (*at >= '1' && *at <= '9')
            return true;
    return false;
}

bool fg_gzip_is_accepted(struct fg_str list)
{
    const char *at = list.p, *end = list.p + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (is_wanted((struct fg_str){at, (size_t)(stop - at)}))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}
