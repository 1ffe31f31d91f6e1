/* Calls from pages in browsers (fetch.spec.whatwg.org, "CORS protocol"), as a route's `cors` allows them. */
#ifndef FG_DIALECT_CORS_H
#define FG_DIALECT_CORS_H

#include "call/call.h"

/* Is REQUEST a preflight for a route that has `cors`? Then it has been answered: it is no call. */
bool fg_cors_preflight(struct fg_call_env *env, struct fg_stream *client, const struct fg_headers *request,
                       unsigned flags);

/* The rules of the request's route and the origin that asks (empty: no page); NULL: the route has none. */
const struct fg_config_cors *fg_cors_of(const struct fg_call_env *env, struct fg_str path,
                                        const struct fg_headers *request, struct fg_str *origin);

/* Lets the page read the answer if its origin is allowed, and says what the answer depends on: HEADERS are those that
 * it will have. */
void fg_cors_add(const struct fg_config_cors *cors, struct fg_str origin, struct fg_arena *arena,
                 struct fg_headers *headers);

#endif
