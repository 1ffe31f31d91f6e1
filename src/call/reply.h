/* Statuses that the gateway makes itself: the one error table. No other code invents a status. */
#ifndef FG_CALL_REPLY_H
#define FG_CALL_REPLY_H

#include "rpc/outcome.h"
#include "rpc/status_details.h"

/* X(REASON, gRPC code, source). REASON is ErrorInfo.reason. For failures of the upstream that carry no status of their
 * own the code depends on the case (RST_STREAM code, HTTP status) and the one here is the default. */
#define FG_REASONS(X)                                                                                                  \
    X(NONE, OK, TRAILERS)                                                                                              \
    X(NO_ROUTE, UNIMPLEMENTED, NO_ROUTE)                                                                               \
    X(BAD_REQUEST, INVALID_ARGUMENT, BAD_REQUEST)                                                                      \
    X(NOT_GRPC, UNKNOWN, BAD_REQUEST)                                                                                  \
    X(NO_CONNECT, UNIMPLEMENTED, BAD_REQUEST)                                                                          \
    X(GRPC_NEEDS_HTTP2, UNIMPLEMENTED, BAD_REQUEST)                                                                    \
    X(METHOD_NOT_ALLOWED, UNKNOWN, BAD_REQUEST)                                                                        \
    X(METHOD_NOT_POST, INTERNAL, BAD_REQUEST)                                                                          \
    X(MALFORMED_TIMEOUT, INVALID_ARGUMENT, BAD_REQUEST)                                                                \
    X(HEADERS_TOO_LARGE, RESOURCE_EXHAUSTED, LIMIT)                                                                    \
    X(MALFORMED_MESSAGE, INTERNAL, BAD_REQUEST)                                                                        \
    X(MESSAGE_TOO_LARGE, RESOURCE_EXHAUSTED, LIMIT)                                                                    \
    X(UNSUPPORTED_ENCODING, UNIMPLEMENTED, BAD_REQUEST)                                                                \
    X(NO_DESCRIPTORS, UNIMPLEMENTED, BAD_REQUEST)                                                                      \
    X(UNKNOWN_METHOD, UNIMPLEMENTED, NO_ROUTE)                                                                         \
    X(CARDINALITY, UNIMPLEMENTED, PROTOCOL)                                                                            \
    X(BREAKER_OPEN, UNAVAILABLE, BREAKER)                                                                              \
    X(QUEUE_FULL, UNAVAILABLE, QUEUE)                                                                                  \
    X(QUEUE_TIMEOUT, UNAVAILABLE, QUEUE)                                                                               \
    X(CONNECT_FAILED, UNAVAILABLE, CONNECT)                                                                            \
    X(DEADLINE_EXCEEDED, DEADLINE_EXCEEDED, DEADLINE)                                                                  \
    X(ATTEMPT_TIMEOUT, UNAVAILABLE, DEADLINE)                                                                          \
    X(MAX_STREAM_DURATION, DEADLINE_EXCEEDED, DEADLINE)                                                                \
    X(STREAM_IDLE, UNAVAILABLE, IDLE)                                                                                  \
    X(RATE_LIMITED, RESOURCE_EXHAUSTED, LIMIT)                                                                         \
    X(MESSAGE_RATE, RESOURCE_EXHAUSTED, LIMIT)                                                                         \
    X(DOOMED, DEADLINE_EXCEEDED, QUEUE)                                                                                \
    X(SHED, UNAVAILABLE, QUEUE)                                                                                        \
    X(OVERLOADED, RESOURCE_EXHAUSTED, BREAKER)                                                                         \
    X(FAULT_INJECTED, UNAVAILABLE, FAULT)                                                                              \
    X(KILLED, CANCELLED, ADMIN)                                                                                        \
    X(DRAINING, UNAVAILABLE, DRAIN)                                                                                    \
    X(UPSTREAM_RESET, UNAVAILABLE, RST)                                                                                \
    X(UPSTREAM_REFUSED, UNAVAILABLE, GOAWAY)                                                                           \
    X(UPSTREAM_CONNECTION_LOST, UNAVAILABLE, CONNECTION)                                                               \
    X(NO_TUNNELS, UNIMPLEMENTED, PROTOCOL)                                                                             \
    X(UPSTREAM_PROTOCOL_ERROR, INTERNAL, PROTOCOL)                                                                     \
    X(UPSTREAM_HTTP_STATUS, UNKNOWN, MISSING_STATUS)                                                                   \
    X(UPSTREAM_NO_STATUS, UNKNOWN, MISSING_STATUS)                                                                     \
    X(CLIENT_CANCEL, CANCELLED, CLIENT_CANCEL)                                                                         \
    X(CLIENT_GONE, CANCELLED, CLIENT_GONE)

enum fg_reason {
#define X(reason, code, source) FG_REASON_##reason,
    FG_REASONS(X)
#undef X
        FG_REASON_LEN
};

#define FG_REPLY_PAIRS 8

struct fg_reply {
    enum fg_reason reason;
    enum fg_status code;
    enum fg_source source;
    uint32_t rst_code;
    struct fg_str message; /* borrowed until the reply was sent */
    struct fg_metadata_pair pairs[FG_REPLY_PAIRS];
    size_t pairs_len;
    uint64_t retry_after_ns;
};

/* Code and source by the table. */
struct fg_reply fg_reply_make(enum fg_reason reason, struct fg_str message);
void fg_reply_add(struct fg_reply *reply, const char *key, struct fg_str value); /* beyond FG_REPLY_PAIRS: ignored */
const char *fg_reason_name(enum fg_reason reason);

#endif
