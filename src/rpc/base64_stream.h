/* Base64 (RFC 4648 section 4) that comes in pieces, as application/grpc-web-text has it: any number of padded texts one
 * after the other. */
#ifndef FG_RPC_BASE64_STREAM_H
#define FG_RPC_BASE64_STREAM_H

#include "base/bytes.h"

struct fg_base64_stream {
    uint8_t held[4]; /* values of the characters of a group that is not whole */
    uint8_t len;     /* of them, with padding */
    uint8_t padding;
};

/* Room that OUT must have for LEN characters. */
#define FG_BASE64_STREAM_ROOM(len) (((len) / 4 + 2) * 3)

/* Decodes LEN characters to OUT. The number of bytes, or -1: not base64; the stream is of no use then. */
int64_t fg_base64_stream_feed(struct fg_base64_stream *stream, const uint8_t *text, size_t len, uint8_t *out)
    __attribute__((warn_unused_result));
static inline bool fg_base64_stream_is_whole(const struct fg_base64_stream *stream) /* no group is cut */
{
    return stream->len == 0;
}

/* One padded text of LEN bytes: writes fg_base64_padded_len(LEN) characters. */
static inline size_t fg_base64_padded_len(size_t len)
{
    return (len + 2) / 3 * 4;
}
void fg_base64_padded(const uint8_t *data, size_t len, char *out);

#endif
