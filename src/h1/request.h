/* A strict parser of HTTP/1.1 request heads (RFC 9112), sans-io. What could be read in two ways is an error: that is
 * what request smuggling lives on. */
#ifndef FG_H1_REQUEST_H
#define FG_H1_REQUEST_H

#include <sys/types.h>

#include "base/header.h"

struct fg_h1_limits {
    size_t max_head_bytes;
    uint32_t max_fields;
};

struct fg_h1_request {
    struct fg_str method, target;
    int minor_version;         /* 0 or 1 */
    struct fg_headers headers; /* names in lower case */
    bool keep_alive;
    bool chunked;
    int64_t content_length; /* -1: none */
};

/* What is wrong: an answer for the peer, after which the connection is closed. */
struct fg_h1_error {
    unsigned status;
    const char *reason;
};

enum { FG_H1_MORE = 0, FG_H1_ERROR = -1 };

/* DATA holds what has come so far, from the first byte of the request on. The length of the head when it is complete,
 * FG_H1_MORE, or FG_H1_ERROR and *ERROR. Strings are copied to ARENA. */
ssize_t fg_h1_request_parse(const char *data, size_t len, const struct fg_h1_limits *limits, struct fg_arena *arena,
                            struct fg_h1_request *out, struct fg_h1_error *error) __attribute__((warn_unused_result));

#endif
