/* gRPC messages, or Connect's envelopes, that are taken one by one out of bytes that come in pieces. */
#ifndef FG_RPC_MESSAGE_H
#define FG_RPC_MESSAGE_H

#include "base/outq.h"

#define FG_MESSAGE_PREFIX 5

enum { FG_MESSAGE_COMPRESSED = 1, FG_MESSAGE_END_STREAM = 2 /* Connect only */ };

enum fg_message_result { FG_MESSAGE_NONE, FG_MESSAGE_WHOLE, FG_MESSAGE_TOO_LARGE };

/* If the first message in Q is whole, moves its content to the end of CONTENT (without the prefix) and says its flags.
 * FG_MESSAGE_TOO_LARGE: it announces more than MAX bytes. */
enum fg_message_result fg_message_take(struct fg_outq *q, uint64_t max, uint8_t *flags, struct fg_outq *content)
    __attribute__((warn_unused_result));

/* Puts a prefix for LEN bytes of content at the end of Q. */
void fg_message_put_prefix(struct fg_outq *q, uint8_t flags, size_t len);

/* The slices of Q, for readers that want an array. To be freed. */
struct fg_str *fg_message_parts(const struct fg_outq *q, size_t *len);

#endif
