/* What a request to /tap asks for. */
#ifndef FG_ADMIN_TAP_QUERY_H
#define FG_ADMIN_TAP_QUERY_H

#include "gateway/tap.h"

/* What is wrong with it, static; NULL: nothing, and *QUERY is filled. */
const char *fg_admin_tap_query(const struct fg_gateway *gateway, struct fg_str text, struct fg_tap_query *query);

#endif
