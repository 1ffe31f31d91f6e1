/* A header field and a list of them: what HTTP/1, HTTP/2 and every dialect pass around.
 *
 * Names are lower case. Well-known names have a token, so that comparing one is comparing an integer. Strings are
 * borrowed from an arena, a decoder's table (only during the callback that hands them out) or static memory; the
 * function that takes or gives a list says which. */
#ifndef FG_BASE_HEADER_H
#define FG_BASE_HEADER_H

#include "base/mem.h"

/* X(token, name). Pseudo-headers come first. */
#define FG_TOKENS(X)                                                                                                   \
    X(AUTHORITY, ":authority")                                                                                         \
    X(METHOD, ":method")                                                                                               \
    X(PATH, ":path")                                                                                                   \
    X(SCHEME, ":scheme")                                                                                               \
    X(STATUS, ":status")                                                                                               \
    X(PROTOCOL, ":protocol")                                                                                           \
    X(ACCEPT_ENCODING, "accept-encoding")                                                                              \
    X(AUTHORIZATION, "authorization")                                                                                  \
    X(CONNECTION, "connection")                                                                                        \
    X(CONTENT_LENGTH, "content-length")                                                                                \
    X(CONTENT_TYPE, "content-type")                                                                                    \
    X(COOKIE, "cookie")                                                                                                \
    X(DATE, "date")                                                                                                    \
    X(EXPECT, "expect")                                                                                                \
    X(GRPC_ACCEPT_ENCODING, "grpc-accept-encoding")                                                                    \
    X(GRPC_ENCODING, "grpc-encoding")                                                                                  \
    X(GRPC_MESSAGE, "grpc-message")                                                                                    \
    X(GRPC_PREVIOUS_RPC_ATTEMPTS, "grpc-previous-rpc-attempts")                                                        \
    X(GRPC_RETRY_PUSHBACK_MS, "grpc-retry-pushback-ms")                                                                \
    X(GRPC_STATUS, "grpc-status")                                                                                      \
    X(GRPC_STATUS_DETAILS_BIN, "grpc-status-details-bin")                                                              \
    X(GRPC_TIMEOUT, "grpc-timeout")                                                                                    \
    X(HOST, "host")                                                                                                    \
    X(HTTP2_SETTINGS, "http2-settings")                                                                                \
    X(KEEP_ALIVE, "keep-alive")                                                                                        \
    X(PRIORITY, "priority")                                                                                            \
    X(PROXY_CONNECTION, "proxy-connection")                                                                            \
    X(SERVER, "server")                                                                                                \
    X(SET_COOKIE, "set-cookie")                                                                                        \
    X(TE, "te")                                                                                                        \
    X(TRACEPARENT, "traceparent")                                                                                      \
    X(TRAILER, "trailer")                                                                                              \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                                          \
    X(UPGRADE, "upgrade")                                                                                              \
    X(USER_AGENT, "user-agent")                                                                                        \
    X(X_FUSEGATE_ORIGIN, "x-fusegate-origin")

enum fg_token {
    FG_TOKEN_NONE, /* a name that is not in the table */
#define X(token, name) FG_TOKEN_##token,
    FG_TOKENS(X)
#undef X
        FG_TOKEN_LEN
};

#define FG_TOKEN_LAST_PSEUDO FG_TOKEN_PROTOCOL

struct fg_str fg_token_name(enum fg_token token);
enum fg_token fg_token_find(struct fg_str name); /* exact, lower case */

struct fg_header {
    struct fg_str name, value;
    uint32_t hash;  /* of name and value, see fg_header_hash; 0: not computed */
    uint8_t token;  /* enum fg_token */
    bool sensitive; /* never indexed (RFC 7541 section 7.1.3); passed on as such */
};

uint32_t fg_header_hash(struct fg_str name, struct fg_str value); /* never 0 */

struct fg_headers {
    struct fg_header *items;
    uint32_t len, cap;
};

static inline void fg_headers_init(struct fg_headers *headers)
{
    *headers = (struct fg_headers){0};
}

/* Appends an uninitialised field. The array grows in the arena; older arrays are left to it. */
struct fg_header *fg_headers_add_slot(struct fg_headers *headers, struct fg_arena *arena);

/* Appends a field; the strings are borrowed, not copied. */
void fg_headers_add(struct fg_headers *headers, struct fg_arena *arena, struct fg_str name, struct fg_str value);
void fg_headers_add_token(struct fg_headers *headers, struct fg_arena *arena, enum fg_token token, struct fg_str value);

/* The first field with this token (not NONE) or name; NULL: none. */
struct fg_header *fg_headers_get(const struct fg_headers *headers, enum fg_token token);
struct fg_header *fg_headers_find(const struct fg_headers *headers, struct fg_str name);

/* Appends a field whose strings are copied to ARENA. */
void fg_headers_add_copy(struct fg_headers *headers, struct fg_arena *arena, const struct fg_header *field);

#endif
