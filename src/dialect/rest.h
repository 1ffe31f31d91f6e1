/* REST: JSON over HTTP by the services' google.api.http rules. */
#ifndef FG_DIALECT_REST_H
#define FG_DIALECT_REST_H

#include "dialect/face.h"
#include "rpc/http_rule.h"

extern const struct fg_face_ops fg_face_rest;

/* Which method of which cluster the request means. *DESCRIPTORS (borrowed for this turn) are those of the cluster whose
 * rules have the path. FG_HTTP_NO_PATH also when no cluster has rules: *DESCRIPTORS is NULL then. */
enum fg_http_found fg_rest_find(const struct fg_call_env *env, const struct fg_headers *request,
                                struct fg_http_match *match, struct fg_descriptors **descriptors);

/* The status in TRAILERS as {"error":..,"code":..,"status":..,"details":[..]}, appended to Q (row A3). Details whose
 * type DESCRIPTORS (or the gateway) know are unpacked. */
void fg_rest_put_error(struct fg_face *face, const struct fg_descriptors *descriptors, struct fg_outq *q,
                       const struct fg_headers *trailers);
/* Seconds of RetryInfo, rounded up; 0: there is none. */
uint64_t fg_rest_retry_after_s(struct fg_arena *arena, const struct fg_headers *trailers);

/* CODE's HTTP status, as the route's `unify` has it. */
unsigned fg_rest_http_status(const struct fg_call *call, enum fg_status code);

#endif
