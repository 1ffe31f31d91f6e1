/* Messages in gzip (RFC 1952), through zlib. */
#ifndef FG_RPC_GZIP_H
#define FG_RPC_GZIP_H

#include "base/outq.h"

enum fg_gzip_result { FG_GZIP_OK, FG_GZIP_MALFORMED, FG_GZIP_TOO_LARGE };

/* Appends what Q (not changed) holds to OUT, at most MAX bytes. On failure OUT has some of it. */
enum fg_gzip_result fg_gzip_inflate(const struct fg_outq *q, uint64_t max, struct fg_outq *out)
    __attribute__((warn_unused_result));

/* Appends Q, compressed, to OUT. */
void fg_gzip_deflate(const struct fg_outq *q, struct fg_outq *out);

#endif
