/* The gateway at a glance, for `fusegate top` and dashboards: GET /overview. A thread samples the workers' numbers once
 * a second (observe/history.h); workers notice nothing of it. */
#ifndef FG_GATEWAY_OVERVIEW_H
#define FG_GATEWAY_OVERVIEW_H

#include <stdio.h>

#include "observe/history.h"

#define FG_OVERVIEW_METHODS_MAX 10000

struct fg_gateway;
struct fg_overview;

/* Begins to sample. The workers must outlive it. NULL with a sentence in ERROR. */
struct fg_overview *fg_overview_start(struct fg_gateway *gateway, char *error, size_t error_len);
void fg_overview_stop(struct fg_overview *overview); /* ends and frees it; NULL is allowed */

/* What is to be shown besides what always is. */
struct fg_overview_query {
    size_t history; /* seconds of totals */
    size_t methods; /* the busiest ones */
    bool waits_now; /* how many calls wait for each cause now: workers look at their calls, a few at a time */
};

/* Writes a JSON object: the state now, seconds of totals (oldest first), methods, endpoints, waits and limits. Rates
 * and percentiles are of the last `window_s` seconds, which end with the latest sample; what has no value is null. The
 * connections and streams of endpoints are asked of the workers now. */
void fg_overview_print(struct fg_gateway *gateway, const struct fg_overview_query *query, FILE *out);

#endif
