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

/* Writes a JSON object. Rates and percentiles are of the last `now.window_s` seconds, which end with the latest sample;
 * what has no value is null. Counts without "_per_s" are since the start, but those of `history`, which are of their
 * second (`took_s`, exactly). Names that peers chose are shown as Latin-1.
 *
 *   time, uptime_s, version, pid, workers, state (starting, ready, draining), config {file, generation, loaded}
 *   now {window_s, calls_per_s, failures_per_s, refused_per_s, retries_per_s, read_bytes_per_s, written_bytes_per_s,
 *       p50_ms, p90_ms, p99_ms, in_progress, queued, downstream_connections, upstream_connections}
 *   history [{t (Unix), took_s, calls, failures, refused, retries, in_progress, queued, read_bytes, written_bytes,
 *       p50_ms, p90_ms, p99_ms}], oldest first
 *   methods [{cluster, method, calls_per_s, failures_per_s, refused_per_s, failure_ratio, p50_ms, p90_ms, p99_ms,
 * calls, failures}], busiest first; methods_left_out waits [{cause, calls (if asked: waiting now), ended_per_s, p50_ms,
 * p99_ms, ended}] endpoints [{cluster, endpoint, attempts_per_s, failures_per_s, p50_ms, p99_ms, attempts, failures,
 * connections, streams, breaker}]: the workers are asked for connections and streams breakers {open, half_open, closed}
 *   limits [{cluster, streams, limit, long, long_limit, queued, queue_limit, retries}]; a limit of null is none
 *   log {dropped}; complete: every worker has answered
 *
 * Failures are calls (or attempts) of class failure or overload; what breakers, limits and queues of the gateway
 * refused is no failure. */
void fg_overview_print(struct fg_gateway *gateway, const struct fg_overview_query *query, FILE *out);

#endif
