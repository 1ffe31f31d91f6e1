/* The Connect protocol (connectrpc.com/docs/protocol): what its unary and its streaming form share. */
#ifndef FG_DIALECT_CONNECT_H
#define FG_DIALECT_CONNECT_H

#include "dialect/face.h"

/* "not_found" */
struct fg_str fg_connect_code(enum fg_status code);

/* The status that FIELDS (trailers) have as an error object, appended to Q: {"code":..,"message":..,"details":[..]}. */
void fg_connect_put_error(struct fg_face *face, struct fg_outq *q, const struct fg_headers *fields);
/* Reads grpc-status; UNKNOWN when there is none. */
enum fg_status fg_connect_status(const struct fg_headers *fields);

/* Trailers that are metadata, and not the status itself or HTTP's own. */
bool fg_connect_is_metadata(const struct fg_header *field);

/* Trailers as header fields: "trailer-" stands before their names. */
void fg_connect_add_trailers(struct fg_arena *arena, struct fg_headers *out, const struct fg_headers *trailers);

/* Is it a request by GET (connectrpc.com/docs/protocol, "Unary-Get-Request")? */
bool fg_connect_is_get(const struct fg_headers *request);

/* connect-timeout-ms as grpc-timeout, the version; may refuse. */
void fg_connect_begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out);
bool fg_connect_drops(struct fg_str name);

#endif
