/* Call metrics of one worker, fed by outcomes: counts per cluster x method (x code, source, class), durations and sizes
 * as histograms, and counts of attempts per cluster x endpoint. The worker writes; other threads read at any time:
 * cells are published with release stores and live until cleanup, numbers are relaxed atomics. */
#ifndef FG_OBSERVE_METRICS_H
#define FG_OBSERVE_METRICS_H

#include "base/histogram.h"
#include "observe/exemplar.h"
#include "rpc/outcome.h"

/* Upper bounds of buckets; a last one without bound follows. */
#define FG_DURATION_BUCKETS 20
#define FG_SIZE_BUCKETS     13
#define FG_TRY_BUCKETS      5
extern const uint64_t fg_duration_bounds_us[FG_DURATION_BUCKETS];
extern const uint64_t fg_size_bounds[FG_SIZE_BUCKETS]; /* bytes (gRFC A66) */
extern const uint64_t fg_try_bounds[FG_TRY_BUCKETS];   /* retries of a call (gRFC A96) */

/* Methods are what clients send: more than this many of a worker are counted as "other" (gRFC A66). */
#define FG_METRICS_CELLS_MAX 1024

struct fg_metric_count {
    struct fg_metric_count *next; /* published */
    uint64_t count;
    uint8_t code, source, class;
};

struct fg_metric_sizes {
    uint64_t sum, buckets[FG_SIZE_BUCKETS + 1];
};

/* Of calls that were tried again at all. */
struct fg_metric_tries {
    uint64_t sum, buckets[FG_TRY_BUCKETS + 1];
};

struct fg_metric_durations {
    uint64_t buckets[FG_DURATION_BUCKETS + 1]; /* by the bounds above */
    struct fg_histogram exponential;           /* the same durations */
};

struct fg_metric_cell {
    char *cluster, *name; /* a method, an endpoint, or a cause */
    uint32_t hash;
    struct fg_metric_count *counts;
    struct fg_metric_durations durations; /* of endpoints and causes */
    /* Of methods alone: */
    struct fg_metric_durations *statuses[FG_STATUS_LEN]; /* durations by code; published; NULL: there was none */
    uint64_t started, ended;                             /* calls; both, so that what is open is their difference */
    struct fg_metric_sizes sent, received;               /* what calls sent to the client, and received from it */
    uint64_t attempts;                                   /* that were begun */
    struct fg_metric_durations *attempt_statuses[FG_STATUS_LEN]; /* of those that have ended; like `statuses` */
    struct fg_metric_sizes attempt_sent, attempt_received;       /* to the endpoint, and from it */
    struct fg_metric_tries retries, transparent_retries, hedges;
    uint64_t retry_delay_ns, retry_delay_buckets[FG_DURATION_BUCKETS + 1];
    struct fg_exemplar_slot *exemplars; /* by bucket; published; NULL: no call was traced */
};

struct fg_metric_table {
    struct fg_metric_cell *cells[2 * FG_METRICS_CELLS_MAX]; /* open addressing */
    uint32_t len;
    uint32_t seed;   /* of the hashes */
    uint64_t others; /* times that something was counted as "other" because the table is full */
};

struct fg_metrics {
    struct fg_metric_table calls;    /* by cluster and method */
    struct fg_metric_table attempts; /* by cluster and endpoint */
    struct fg_metric_table waits;    /* by route, which stands for the cluster, and cause */
    struct fg_metric_cell **routes;  /* by the route's index and cause: cells of `waits`; NULL: none yet */
};

/* SEED is a number that clients, who choose methods, do not know: else they could choose such that all collide. */
void fg_metrics_init(struct fg_metrics *metrics, size_t routes, uint32_t seed);
void fg_metrics_cleanup(struct fg_metrics *metrics);

/* A call has begun; the cell is for the rest of its life. CLUSTER "": it has no route, and is counted as "other". */
struct fg_metric_cell *fg_metrics_call_started(struct fg_metrics *metrics, struct fg_str cluster, struct fg_str method);
void fg_metrics_attempt_started(struct fg_metric_cell *call);
/* It has ended. EXEMPLAR: NULL when it has no sampled trace. */
void fg_metrics_call(struct fg_metric_cell *cell, const struct fg_outcome *outcome, const struct fg_exemplar *exemplar);
/* An attempt of CALL has ended. */
void fg_metrics_attempt(struct fg_metrics *metrics, struct fg_metric_cell *call, const struct fg_outcome *outcome);

/* Where the waits of route number ROUTE are counted; NULL: fg_metrics_add_wait makes it, with the route's NAME. */
static inline struct fg_metric_cell *fg_metrics_find_wait(const struct fg_metrics *metrics, size_t route,
                                                          enum fg_wait_cause cause)
{
    return metrics->routes[route * FG_WAIT_LEN + cause];
}

struct fg_metric_cell *fg_metrics_add_wait(struct fg_metrics *metrics, size_t route, struct fg_str name,
                                           enum fg_wait_cause cause);
/* A cell's durations, whatever its kind, for any thread: all of them, added to SUM; and what they add up to, which is
 * read without looking at the buckets. */
void fg_metrics_add_durations(const struct fg_metric_cell *cell, struct fg_histogram_snapshot *sum);
uint64_t fg_metrics_duration_ns(const struct fg_metric_cell *cell);

/* A call has waited for so long in all. */
void fg_metrics_wait(struct fg_metric_cell *cell, uint64_t waited_ns);

#endif
