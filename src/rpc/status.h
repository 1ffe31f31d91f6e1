/* gRPC status codes and their translations. The one table that says what a failure is called where (semantics.md,
 * "Status mapping"; gRPC doc/http-grpc-status-mapping.md and doc/PROTOCOL-HTTP2.md). */
#ifndef FG_RPC_STATUS_H
#define FG_RPC_STATUS_H

#include "base/bytes.h"

/* X(NAME, code, http status towards HTTP clients) */
#define FG_STATUSES(X)                                                                                                 \
    X(OK, 0, 200)                                                                                                      \
    X(CANCELLED, 1, 499)                                                                                               \
    X(UNKNOWN, 2, 500)                                                                                                 \
    X(INVALID_ARGUMENT, 3, 400)                                                                                        \
    X(DEADLINE_EXCEEDED, 4, 504)                                                                                       \
    X(NOT_FOUND, 5, 404)                                                                                               \
    X(ALREADY_EXISTS, 6, 409)                                                                                          \
    X(PERMISSION_DENIED, 7, 403)                                                                                       \
    X(RESOURCE_EXHAUSTED, 8, 429)                                                                                      \
    X(FAILED_PRECONDITION, 9, 400)                                                                                     \
    X(ABORTED, 10, 409)                                                                                                \
    X(OUT_OF_RANGE, 11, 400)                                                                                           \
    X(UNIMPLEMENTED, 12, 501)                                                                                          \
    X(INTERNAL, 13, 500)                                                                                               \
    X(UNAVAILABLE, 14, 503)                                                                                            \
    X(DATA_LOSS, 15, 500)                                                                                              \
    X(UNAUTHENTICATED, 16, 401)

enum fg_status {
#define X(name, code, http) FG_STATUS_##name = code,
    FG_STATUSES(X)
#undef X
        FG_STATUS_LEN
};

const char *fg_status_name(enum fg_status status); /* "UNAVAILABLE"; never NULL */
unsigned fg_status_to_http(enum fg_status status);
enum fg_status fg_status_from_http(unsigned http_status); /* only for a response without grpc-status */
/* What the status of a service that speaks HTTP, and not gRPC, says; below 400 it is OK. What is the caller's fault is
 * no failure of the service. */
enum fg_status fg_status_from_service(unsigned http_status);
enum fg_status fg_status_from_h2_error(uint32_t error_code); /* RST_STREAM code */

/* grpc-status as on the wire: a decimal number. Values outside 0..16 are UNKNOWN; false: not a number (UNKNOWN too). */
bool fg_status_parse(struct fg_str value, enum fg_status *out);
struct fg_str fg_status_number(enum fg_status status); /* "14"; static */

#endif
