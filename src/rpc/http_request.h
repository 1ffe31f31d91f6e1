/* google.api.http the other way: a message as the HTTP request that its method's rule describes. */
#ifndef FG_RPC_HTTP_REQUEST_H
#define FG_RPC_HTTP_REQUEST_H

#include "base/outq.h"
#include "rpc/http_rule.h"

/* The rule by which METHOD is called: its first one; NULL: it has none. ROUTER may be NULL. */
const struct fg_http_binding *fg_http_binding_of(const struct fg_http_router *router, const struct fg_method *method);

/* JSON is the message, as fg_proto_to_json writes it without defaults and white space. The target (path and query) goes
 * to TARGET, the content, if the rule has one, to BODY. 0, or -1 and *PROBLEM, a sentence in ARENA: a field that the
 * path needs is empty, or one that would be in the query has no such form. */
int fg_http_make_request(const struct fg_http_binding *binding, struct fg_str json, struct fg_arena *arena,
                         struct fg_outq *target, struct fg_outq *body, struct fg_str *problem)
    __attribute__((warn_unused_result));

#endif
