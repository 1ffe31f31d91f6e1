/* A strict parser of HTTP/1 heads (RFC 9112), sans-io. What could be read in two ways is an error: that is what request
 * smuggling lives on. */
#ifndef FG_H1_HEAD_H
#define FG_H1_HEAD_H

#include <sys/types.h>

#include "base/header.h"
#include "h1/fault.h"

struct fg_h1_limits {
    size_t max_head_bytes;
    uint32_t max_fields;
};

struct fg_h1_head {
    struct fg_str method, target; /* of a request */
    unsigned status;              /* of a response */
    int minor_version;            /* 0 or 1 */
    struct fg_headers headers;    /* names in lower case */
    bool keep_alive;
    bool closes; /* `connection: close` */
    bool chunked;
    bool wants_upgrade;     /* `connection: upgrade` */
    int64_t content_length; /* -1: none */
};

enum fg_h1_kind { FG_H1_REQUEST, FG_H1_RESPONSE };

enum { FG_H1_MORE = 0, FG_H1_ERROR = -1 };

/* DATA holds what has come so far, from the first byte of the head on. The length of the head when it is complete,
 * FG_H1_MORE, or FG_H1_ERROR and *FAULT. Strings are copied to ARENA. */
ssize_t fg_h1_head_parse(enum fg_h1_kind kind, const char *data, size_t len, const struct fg_h1_limits *limits,
                         struct fg_arena *arena, struct fg_h1_head *out, enum fg_h1_fault *fault)
    __attribute__((warn_unused_result));

/* One line of a head or of trailers without its CRLF: name and value, copied to ARENA and appended to HEADERS. */
enum fg_h1_fault fg_h1_field_parse(struct fg_str line, struct fg_arena *arena, struct fg_headers *headers)
    __attribute__((warn_unused_result));

/* The line from AT on, without its CRLF; *NEXT is behind it. 1, 0: it is not complete, -1: it has a line feed alone, a
 * carriage return inside or a zero byte. */
int fg_h1_line(const char *at, const char *end, struct fg_str *line, const char **next);

/* Is OPTION one of the comma-separated elements of VALUE, whatever the case? */
bool fg_h1_list_has(struct fg_str value, struct fg_str option);

bool fg_h1_is_tchar(unsigned char c);       /* of a token: methods, names */
bool fg_h1_is_target_char(unsigned char c); /* may stand in a request target */

#endif
