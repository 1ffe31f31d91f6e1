/* What compiling rules and finding them share. */
#ifndef FG_RPC_HTTP_RULE_INT_H
#define FG_RPC_HTTP_RULE_INT_H

#include "rpc/http_rule.h"

enum fg_http_segment_kind { FG_HTTP_LITERAL, FG_HTTP_STAR, FG_HTTP_REST };

struct fg_http_segment {
    enum fg_http_segment_kind kind;
    struct fg_str text; /* of a literal */
};

struct fg_http_router *fg_http_router_empty(struct fg_descriptors *descriptors);
void fg_http_router_add(struct fg_http_router *router, const struct fg_http_segment *segments, size_t len,
                        struct fg_http_binding *binding);

#endif
