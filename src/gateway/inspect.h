/* What the admin address tells about a running gateway, as JSON. Called from the admin thread; workers answer questions
 * about themselves by mail and go on. */
#ifndef FG_GATEWAY_INSPECT_H
#define FG_GATEWAY_INSPECT_H

#include "gateway/gateway.h"

/* {"streams": [...], "complete": true}: every call in progress with what it waits for and since when; the longest waits
 * of each worker first, at most LIMIT of them a worker. */
void fg_inspect_streams(struct fg_gateway *gateway, unsigned limit, FILE *out);

/* {"clusters": [...]}: endpoints with their load, connections and breakers. */
void fg_inspect_clusters(struct fg_gateway *gateway, FILE *out);

#endif
