/* The outcome: what came of one attempt or one whole call. An immutable record, made exactly once; breakers, retries,
 * outlier detection, metrics, logs and replay take outcomes and nothing else. */
#ifndef FG_RPC_OUTCOME_H
#define FG_RPC_OUTCOME_H

#include "base/bytes.h"
#include "base/wait.h"
#include "rpc/status.h"

/* Who made the code. X(source, name, local): LOCAL ones were made by the gateway itself and carry its origin. */
#define FG_SOURCES(X)                                                                                                  \
    X(TRAILERS, "upstream_trailers", 0)                                                                                \
    X(TRAILERS_ONLY, "upstream_trailers_only", 0)                                                                      \
    X(HTTP, "upstream_http", 0)                                                                                        \
    X(RST, "upstream_rst", 0)                                                                                          \
    X(GOAWAY, "upstream_goaway", 0)                                                                                    \
    X(CONNECTION, "upstream_connection", 0)                                                                            \
    X(MISSING_STATUS, "upstream_missing_status", 0)                                                                    \
    X(PROTOCOL, "upstream_protocol", 0)                                                                                \
    X(CONNECT, "local_connect", 1)                                                                                     \
    X(BREAKER, "local_breaker", 1)                                                                                     \
    X(LIMIT, "local_limit", 1)                                                                                         \
    X(QUEUE, "local_queue", 1)                                                                                         \
    X(DEADLINE, "local_deadline", 1)                                                                                   \
    X(IDLE, "local_idle", 1)                                                                                           \
    X(NO_ENDPOINT, "local_no_endpoint", 1)                                                                             \
    X(NO_ROUTE, "local_no_route", 1)                                                                                   \
    X(BAD_REQUEST, "local_bad_request", 1)                                                                             \
    X(AUTH, "local_auth", 1)                                                                                           \
    X(DRAIN, "local_drain", 1)                                                                                         \
    X(ADMIN, "local_admin", 1)                                                                                         \
    X(FAULT, "local_fault", 1)                                                                                         \
    X(HEDGE, "local_hedge", 1)                                                                                         \
    X(CLIENT_CANCEL, "client_cancel", 0)                                                                               \
    X(CLIENT_GONE, "client_gone", 0)

enum fg_source {
#define X(source, name, local) FG_SOURCE_##source,
    FG_SOURCES(X)
#undef X
        FG_SOURCE_LEN
};

/* How far an attempt came. */
#define FG_PHASES(X)                                                                                                   \
    X(NEW, "new")           /* nothing was done yet */                                                                 \
    X(QUEUED, "queued")     /* waits for a connection or stream slot */                                                \
    X(SENT, "sent")         /* request headers went to a connection */                                                 \
    X(HEADERS, "headers")   /* response headers arrived */                                                             \
    X(MESSAGES, "messages") /* a response message arrived */                                                           \
    X(DONE, "done")         /* ended by trailers */

enum fg_phase {
#define X(phase, name) FG_PHASE_##phase,
    FG_PHASES(X)
#undef X
        FG_PHASE_LEN
};

enum fg_class { FG_CLASS_SUCCESS, FG_CLASS_FAILURE, FG_CLASS_OVERLOAD, FG_CLASS_IGNORED };

/* May the request be sent again without doing its work twice? */
enum fg_retry_safety {
    FG_SAFE_NEVER_SENT, /* no byte of it left the gateway */
    FG_SAFE_REFUSED,    /* the peer says that it did nothing (REFUSED_STREAM, GOAWAY) */
    FG_SAFE_UNKNOWN,    /* it may have been processed */
    FG_SAFE_PROCESSED,  /* it was */
};

struct fg_outcome {
    struct fg_str method;   /* "/pkg.Service/Method"; borrowed from the call */
    struct fg_str cluster;  /* "" when no route was found; borrowed from the configuration */
    struct fg_str endpoint; /* "host:port", or ""; borrowed from the configuration */
    enum fg_phase phase;
    unsigned http_status; /* of the response headers; 0: none came */
    enum fg_status code;
    enum fg_source source;
    uint32_t rst_code; /* HTTP/2 error code where the source is RST, GOAWAY or CONNECTION; else 0 */
    enum fg_class class;
    enum fg_retry_safety safe_to_retry;
    const char *reason;            /* of a local code: ErrorInfo.reason such as "BREAKER_OPEN"; static; NULL: none */
    uint64_t bytes_up, bytes_down; /* DATA payload to the upstream, to the downstream */
    uint64_t messages_up, messages_down;                     /* gRPC messages */
    uint64_t start_ns, headers_ns, first_message_ns, end_ns; /* monotonic; 0: not reached */
    uint64_t stall_ns[FG_WAIT_LEN];                /* time spent in each wait while the call could have gone on */
    unsigned attempt;                              /* from 1; 0: no attempt was made */
    unsigned retries, transparent_retries, hedges; /* of a call: attempts made again, or beside another one */
    uint64_t retry_delay_ns;                       /* of a call: pauses between attempts */
    bool pushback; /* the answer carried grpc-retry-pushback-ms: the endpoint has too much to do */
};

/* What codes of an endpoint's answer mean: bit n is code n. What is in no set is a success. */
struct fg_outcome_sets {
    uint32_t failure, overload, ignore;
};

/* UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS; RESOURCE_EXHAUSTED; CANCELLED. */
extern const struct fg_outcome_sets fg_outcome_default_sets;

const char *fg_source_name(enum fg_source source);
bool fg_source_is_local(enum fg_source source);
const char *fg_phase_name(enum fg_phase phase);
const char *fg_class_name(enum fg_class class);
const char *fg_retry_safety_name(enum fg_retry_safety safety);

/* The class of an outcome whose other fields are set. What the gateway or the client caused is ignored, except that a
 * deadline that ran out in the upstream's hands (phase SENT or later) and a failed connect are failures. Where the
 * transport broke there is no success. A failure with pushback is an overload. */
enum fg_class fg_outcome_classify(const struct fg_outcome *outcome, const struct fg_outcome_sets *sets);

#endif
