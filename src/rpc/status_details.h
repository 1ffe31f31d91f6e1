/* The details of a status that the gateway made itself (row C2): google.rpc.Status with ErrorInfo (domain "fusegate")
 * and RetryInfo, as grpc-status-details-bin; and the x-fusegate-origin header. */
#ifndef FG_RPC_STATUS_DETAILS_H
#define FG_RPC_STATUS_DETAILS_H

#include "base/mem.h"
#include "rpc/status.h"

struct fg_metadata_pair {
    struct fg_str key, value;
};

struct fg_status_details {
    enum fg_status code;
    struct fg_str message;
    struct fg_str reason;                 /* ErrorInfo.reason, UPPER_SNAKE_CASE; empty: no ErrorInfo */
    const struct fg_metadata_pair *pairs; /* ErrorInfo.metadata: cluster, endpoint, method, observed, threshold ... */
    size_t pairs_len;
    uint64_t retry_after_ns; /* RetryInfo.retry_delay; 0: no RetryInfo */
};

/* The serialized google.rpc.Status, base64 without padding: the value of grpc-status-details-bin. In ARENA. */
struct fg_str fg_status_details_encode(struct fg_arena *arena, const struct fg_status_details *details);

#endif
