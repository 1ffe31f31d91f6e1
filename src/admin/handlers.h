/* The routes of the admin address: /metrics, /overview, /streams, /clusters, /breakers, /events, /healthz, /readyz. */
#ifndef FG_ADMIN_HANDLERS_H
#define FG_ADMIN_HANDLERS_H

#include "admin/server.h"
#include "gateway/gateway.h"

/* Starts the server that the configuration asks for. NULL with an empty ERROR: none is configured; NULL with a sentence
 * in ERROR: it cannot be started. The gateway must outlive it. */
struct fg_admin *fg_admin_start(struct fg_gateway *gateway, char *error, size_t error_len);

#endif
