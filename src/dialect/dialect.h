/* The dialects that clients speak, and which one a request is in. */
#ifndef FG_DIALECT_DIALECT_H
#define FG_DIALECT_DIALECT_H

#include "call/call.h"

extern const struct fg_dialect fg_dialect_grpc;
extern const struct fg_dialect fg_dialect_http;
extern const struct fg_dialect fg_dialect_none; /* answers 415: no dialect of ours */

bool fg_is_connect(const struct fg_headers *request);

/* What gRPC does, for all that look like it to the call. */
bool fg_grpc_begin(struct fg_call *call);
void fg_grpc_send_reply(struct fg_call *call, const struct fg_reply *reply);

/* A request has arrived: finds its language and begins its call. */
void fg_dialect_start(struct fg_call_env *env, struct fg_stream *client, struct fg_headers *request, unsigned flags);

#endif
