/* The dialects that clients speak, and which one a request is in. */
#ifndef FG_DIALECT_DIALECT_H
#define FG_DIALECT_DIALECT_H

#include "call/call.h"

extern const struct fg_dialect fg_dialect_grpc;
extern const struct fg_dialect fg_dialect_none; /* answers 415: no dialect of ours */

const struct fg_dialect *fg_dialect_detect(const struct fg_conn *conn, const struct fg_headers *request);

#endif
