/* What the files of handlers share. */
#ifndef FG_ADMIN_HANDLERS_INT_H
#define FG_ADMIN_HANDLERS_INT_H

#include "admin/server.h"
#include "gateway/inspect.h"

/* Reads what /streams takes into QUERY, which begins with wait and phase -1. What is wrong with it; NULL: nothing. */
const char *fg_admin_read_streams_query(struct fg_str text, struct fg_inspect_streams_query *query);

/* An answer of one sentence. */
void fg_admin_say(struct fg_admin_response *response, FILE *body, unsigned status, const char *text);

/* /live: server-sent events (live.c). */
void fg_admin_live(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body);

#endif
