/* Ways in which a kitchen can go wrong, switched while it works: by --fault and by order.v1.FaultService. They show a
 * gateway each way in which a call can fail. */
#ifndef DEMO_FAULTS_H
#define DEMO_FAULTS_H

#include "grpc_service.h"

/* X(KIND, name, default value, greatest value, what every call gets) */
#define FAULTS(X)                                                                                                      \
    X(NONE, "none", 0, 0, "what it asked for")                                                                         \
    X(TRAILER_ERROR, "trailer_error", 14, 16, ":status 200, and grpc-status VALUE in the trailers")                    \
    X(TRAILERS_ONLY, "trailers_only", 14, 16, "grpc-status VALUE in a trailers-only response")                         \
    X(NO_TRAILERS, "no_trailers", 0, 0, ":status 200, then the end of the stream without grpc-status")                 \
    X(HTTP_STATUS, "http_status", 503, 599, ":status VALUE without anything of gRPC")                                  \
    X(RESET, "reset", 2, 13, "RST_STREAM with error code VALUE")                                                       \
    X(DROP, "drop", 0, 0, "half a message, then the end of the TCP connection")                                        \
    X(GOAWAY, "goaway", 0, 0, "what it asked for, but no other call on its connection will: GOAWAY")                   \
    X(HANG, "hang", 0, 0, "nothing, ever")                                                                             \
    X(SLOW, "slow", 1000, 3600000, "what it asked for, VALUE milliseconds later")                                      \
    X(SLOW_STREAM, "slow_stream", 500, 3600000, "streams: one message each VALUE milliseconds")

enum fault_kind {
#define X(kind, name, value, most, text) FAULT_##kind,
    FAULTS(X)
#undef X
        FAULT_LEN
};

struct fault {
    enum fault_kind kind;
    uint32_t value;
};

const char *fault_name(enum fault_kind kind);
const char *fault_text(enum fault_kind kind);

/* By name; VALUE 0 is the kind's default. -1: there is no such kind, or the value is too large for it. */
int fault_make(const char *name, uint32_t value, struct fault *out) __attribute__((warn_unused_result));
/* "KIND" or "KIND=VALUE". */
int fault_parse(const char *text, struct fault *out) __attribute__((warn_unused_result));

/* Does to the call what the fault says. False: it may go on. */
bool fault_apply(struct fault fault, struct grpc_call *call);

#endif
