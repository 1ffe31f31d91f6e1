/* Between grpc_server.c, which takes requests, and grpc_call.c, which has the calls. */
#ifndef DEMO_GRPC_INT_H
#define DEMO_GRPC_INT_H

#include "grpc_service.h"

/* The response headers of every gRPC answer; and the two fields that end one. MESSAGE is static or NULL. */
void grpc_fill_headers(struct fg_headers *headers, struct fg_arena *arena);
void grpc_fill_status(struct fg_headers *headers, struct fg_arena *arena, enum fg_status status, const char *message);

/* A request for ENTRY came. DEADLINE_NS is FG_NEVER if it has none; END: its headers are all of it. */
void grpc_call_begin(struct grpc_server *server, struct grpc_entry *entry, struct fg_stream *stream,
                     uint64_t deadline_ns, bool end);
/* Like grpc_finish, but nothing that waits for its pace is sent before. */
void grpc_call_give_up(struct grpc_call *call, enum fg_status status, const char *message);

#endif
