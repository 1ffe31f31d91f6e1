/* The format of the access log: a template with names in it, such as `%{method} %{code} %{duration_ms}`. It is compiled
 * once; what a name shows is observe/access_text.c's. */
#ifndef FG_CONFIG_LOG_FORMAT_H
#define FG_CONFIG_LOG_FORMAT_H

#include <stdio.h>

#include "base/bytes.h"

/* What stands behind a name and a colon. */
enum fg_log_argument {
    FG_LOG_TAKES_ALONE,  /* nothing */
    FG_LOG_TAKES_HEADER, /* the name of a header */
    FG_LOG_TAKES_WAIT    /* the name of a wait, or nothing: all of them */
};

/* X(field, name, argument, help) */
#define FG_LOG_FIELDS(X)                                                                                               \
    X(TIME, "time", ALONE, "When the line was written: 2026-01-02T03:04:05.678Z")                                      \
    X(TIME_CLF, "time_clf", ALONE, "The same as web servers write it: 02/Jan/2026:03:04:05 +0000")                     \
    X(TIME_MS, "time_ms", ALONE, "The same in milliseconds since 1970")                                                \
    X(ID, "id", ALONE, "The call as `fusegate streams` names it: worker and number")                                   \
    X(PEER, "peer", ALONE, "The client's address, with its port")                                                      \
    X(PEER_HOST, "peer_host", ALONE, "The same without the port")                                                      \
    X(DIALECT, "dialect", ALONE, "What the client speaks: grpc, grpc-web, connect, rest ...")                          \
    X(PROTOCOL, "protocol", ALONE, "HTTP/1.1 or HTTP/2.0, of the client")                                              \
    X(METHOD, "method", ALONE, "/package.Service/Method; of HTTP the path without its query")                          \
    X(HTTP_METHOD, "http_method", ALONE, "`:method` of the request, as the service sees it")                           \
    X(PATH, "path", ALONE, "`:path` of the request, as the service sees it")                                           \
    X(AUTHORITY, "authority", ALONE, "`:authority` of the request")                                                    \
    X(CLUSTER, "cluster", ALONE, "Where the route led")                                                                \
    X(ENDPOINT, "endpoint", ALONE, "Of the attempt that answered, or of the last one")                                 \
    X(PRIORITY, "priority", ALONE, "0, 1 or 2")                                                                        \
    X(WEIGHT, "weight", ALONE, "Of the route or the tenant")                                                           \
    X(CODE, "code", ALONE, "The gRPC status: OK, UNAVAILABLE ...")                                                     \
    X(CODE_NUMBER, "code_number", ALONE, "The same as a number")                                                       \
    X(SOURCE, "source", ALONE, "Who made the status: upstream_trailers, local_breaker, client_cancel ...")             \
    X(CLASS, "class", ALONE, "success, failure, overload or ignored")                                                  \
    X(PHASE, "phase", ALONE, "How far the call came: new, queued, sent, headers, messages or done")                    \
    X(SAFE_TO_RETRY, "safe_to_retry", ALONE, "never_sent, refused, unknown or processed")                              \
    X(REASON, "reason", ALONE, "Of a status of the gateway's own: BREAKER_OPEN, QUEUE_FULL ...")                       \
    X(HTTP_STATUS, "http_status", ALONE, "Of the service's answer")                                                    \
    X(RST_CODE, "rst_code", ALONE, "Of the reset that ended the call")                                                 \
    X(ATTEMPT, "attempt", ALONE, "Attempts that were made")                                                            \
    X(BYTES_UP, "bytes_up", ALONE, "Bytes of DATA to the service")                                                     \
    X(BYTES_DOWN, "bytes_down", ALONE, "Bytes of DATA to the client")                                                  \
    X(MESSAGES_UP, "messages_up", ALONE, "Messages to the service")                                                    \
    X(MESSAGES_DOWN, "messages_down", ALONE, "Messages to the client")                                                 \
    X(DURATION_MS, "duration_ms", ALONE, "From the request to the end of the answer")                                  \
    X(HEADERS_MS, "headers_ms", ALONE, "From the request to the answer's headers")                                     \
    X(FIRST_MESSAGE_MS, "first_message_ms", ALONE, "From the request to the answer's first message")                   \
    X(STALL_MS, "stall_ms", WAIT, "How long the call waited; `%{stall_ms:gate}`: for one cause alone")                 \
    X(FINAL, "final", ALONE, "true, or false in the lines of `access_log.interval`")                                   \
    X(WAIT, "wait", ALONE, "What a call of such a line waits for")                                                     \
    X(WAIT_MS, "wait_ms", ALONE, "And for how long already")                                                           \
    X(REQUEST, "request", HEADER, "A header of the request, such as `%{request:user-agent}`")                          \
    X(RESPONSE, "response", HEADER, "A header of the service's answer")                                                \
    X(TRAILER, "trailer", HEADER, "One that ended the answer, such as `%{trailer:grpc-message}`")

enum fg_log_field {
    FG_LOG_TEXT, /* what stands between the names */
#define X(field, name, argument, help) FG_LOG_##field,
    FG_LOG_FIELDS(X)
#undef X
};

struct fg_log_part {
    enum fg_log_field field;
    struct fg_str text; /* of TEXT; of a header its name in lower case */
    unsigned wait;      /* of STALL_MS: enum fg_wait_cause; 0: all */
    unsigned note;      /* of RESPONSE and TRAILER: the how manieth of these it is, from 0 */
};

#define FG_LOG_FORMAT_MAX 4096 /* bytes of a template */
#define FG_LOG_NOTES_MAX  16   /* headers and trailers of the answer in one template: they are copied while it passes */

/* All zero: the lines are JSON. */
struct fg_log_format {
    struct fg_log_part *parts;
    size_t len;
    unsigned notes; /* parts that are RESPONSE or TRAILER */
    char *text;     /* what the parts point into */
};

#define FG_LOG_WHY_BYTES 512

/* TEXT is "json", "combined", or a template. -1 with the rest of the sentence `found "x", ...` in WHY; *OUT needs no
 * cleanup then. */
int fg_log_format_compile(struct fg_log_format *out, const char *text, char why[FG_LOG_WHY_BYTES])
    __attribute__((warn_unused_result));
void fg_log_format_cleanup(struct fg_log_format *format);

void fg_log_format_print_fields(FILE *to); /* rows of a table: name, help */

#endif
