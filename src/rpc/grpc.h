/* gRPC's wire details: content types, timeouts, percent-encoding, base64 of -bin metadata, and message framing. */
#ifndef FG_RPC_GRPC_H
#define FG_RPC_GRPC_H

#include "base/mem.h"
#include "base/time.h"

/* "application/grpc", "application/grpc+proto", "application/grpc;..." (but not application/grpc-web). */
bool fg_grpc_is_content_type(struct fg_str content_type);

/* grpc-timeout: 1-8 digits and one of H M S m u n (PROTOCOL-HTTP2.md). 0 and *OUT_NS, or -1 when malformed. Longer than
 * 292 years is cut to that, so that adding an instant of the monotonic clock does not overflow. */
#define FG_GRPC_TIMEOUT_CAP_NS ((uint64_t)INT64_MAX)
int fg_grpc_timeout_parse(struct fg_str value, uint64_t *out_ns) __attribute__((warn_unused_result));

#define FG_GRPC_TIMEOUT_MAX 10 /* bytes that fg_grpc_timeout_format may write, without a terminator */
/* The finest unit that fits in 8 digits, rounded down; less than 1 ns is written as "0n". Returns the length. */
size_t fg_grpc_timeout_format(uint64_t timeout_ns, char out[FG_GRPC_TIMEOUT_MAX]);

/* grpc-message: everything outside 0x20..0x7E and % is %XX. Decoding never fails: bad escapes stay as they are, and the
 * result may hold any bytes. Both results are copies in ARENA. */
struct fg_str fg_grpc_message_encode(struct fg_arena *arena, struct fg_str text);
struct fg_str fg_grpc_message_decode(struct fg_arena *arena, struct fg_str value);

/* -bin metadata: emits unpadded; accepts padded and unpadded. -1: not base64. A field with several values has to be
 * split at its commas first. Results are in ARENA. */
struct fg_str fg_base64_encode(struct fg_arena *arena, const void *data, size_t len);
int fg_base64_decode(struct fg_arena *arena, struct fg_str text, struct fg_str *out)
    __attribute__((warn_unused_result));

/* Follows the 5-byte message prefixes through a stream of DATA payloads, without copying or keeping any. */
struct fg_grpc_framing {
    uint32_t left; /* bytes of the current message still to come */
    uint8_t prefix[5];
    uint8_t prefix_len;   /* bytes of the next prefix seen so far */
    uint64_t messages;    /* messages begun (prefix complete) */
    bool compressed_seen; /* a message had the compressed flag */
};

/* 0, or -1 at a flag byte that is neither 0 nor 1; the framing is of no use after that. */
int fg_grpc_framing_feed(struct fg_grpc_framing *framing, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
bool fg_grpc_framing_at_boundary(const struct fg_grpc_framing *framing); /* no message is cut */

#endif
