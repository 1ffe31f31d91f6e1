/* Services that speak REST behind callers who speak anything. */
#ifndef FG_DIALECT_SERVICE_REST_H
#define FG_DIALECT_SERVICE_REST_H

#include "base/outq.h"
#include "call/call.h"

extern const struct fg_service fg_service_rest;

/* BODY, the content of an error, may name a code, which replaces *CODE, and a message. Both are read where Google's
 * APIs, grpc-gateway, this gateway and RFC 9457 put them; else the message says the status. */
void fg_service_read_error(const struct fg_outq *body, unsigned http_status, struct fg_arena *arena,
                           enum fg_status *code, struct fg_str *message);

#endif
