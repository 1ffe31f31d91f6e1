/* Messages in gzip (RFC 1952), through zlib. */
#ifndef FG_RPC_GZIP_H
#define FG_RPC_GZIP_H

#include "base/bytes.h"
#include "base/outq.h"

enum fg_gzip_result { FG_GZIP_OK, FG_GZIP_MALFORMED, FG_GZIP_TOO_LARGE };

/* Appends what Q (not changed) holds to OUT, at most MAX bytes. On failure OUT has some of it. */
enum fg_gzip_result fg_gzip_inflate(const struct fg_outq *q, uint64_t max, struct fg_outq *out)
    __attribute__((warn_unused_result));

/* Appends Q, compressed, to OUT. */
void fg_gzip_deflate(const struct fg_outq *q, struct fg_outq *out);

/* Content that goes on: what was fed can be read as soon as it arrives. It keeps 48 KiB. */
struct fg_gzip_stream;
struct fg_gzip_stream *fg_gzip_stream_new(void);
void fg_gzip_stream_free(struct fg_gzip_stream *stream); /* NULL is allowed */
/* Appends Q, compressed, to OUT; END: nothing follows. */
void fg_gzip_stream_feed(struct fg_gzip_stream *stream, const struct fg_outq *q, bool end, struct fg_outq *out);

/* Does LIST, an accept-encoding of HTTP, gRPC or Connect, have gzip, and not with q=0 (RFC 9110 section 12.5.3)? */
bool fg_gzip_is_accepted(struct fg_str list);

#endif
