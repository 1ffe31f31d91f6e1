/* Which route a request takes: the first that matches. */
#ifndef FG_CALL_ROUTE_H
#define FG_CALL_ROUTE_H

#include "base/header.h"
#include "config/config.h"

/* NULL: none. PATH is without query. */
const struct fg_config_route *fg_route_find(const struct fg_config *config, struct fg_str path,
                                            const struct fg_headers *request);

#endif
