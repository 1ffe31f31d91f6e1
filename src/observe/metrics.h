/* Call metrics of one worker, fed by outcomes: counts per cluster x method (x code, source, class), durations as a
 * histogram, and counts of attempts per cluster x endpoint. The worker writes; other threads read at any time: cells
 * are published with release stores and live until cleanup, numbers are relaxed atomics. */
#ifndef FG_OBSERVE_METRICS_H
#define FG_OBSERVE_METRICS_H

#include "base/histogram.h"
#include "rpc/outcome.h"

/* Upper bounds of the buckets in microseconds; a last one without bound follows. */
#define FG_DURATION_BUCKETS 20
extern const uint64_t fg_duration_bounds_us[FG_DURATION_BUCKETS];

/* Methods are what clients send: more than this many of a worker are counted as "other" (gRFC A66). */
#define FG_METRICS_CELLS_MAX 1024

struct fg_metric_count {
    struct fg_metric_count *next; /* published */
    uint64_t count;
    uint8_t code, source, class;
};

struct fg_metric_cell {
    char *cluster, *name; /* a method or an endpoint */
    uint32_t hash;
    struct fg_metric_count *counts;
    struct fg_histogram durations;
    uint64_t buckets[FG_DURATION_BUCKETS + 1]; /* the same durations, by the bounds above */
};

struct fg_metric_table {
    struct fg_metric_cell *cells[2 * FG_METRICS_CELLS_MAX]; /* open addressing */
    uint32_t len;
};

struct fg_metrics {
    struct fg_metric_table calls;    /* by cluster and method */
    struct fg_metric_table attempts; /* by cluster and endpoint */
    struct fg_metric_table waits;    /* by route, which stands for the cluster, and cause */
};

void fg_metrics_init(struct fg_metrics *metrics);
void fg_metrics_cleanup(struct fg_metrics *metrics);
void fg_metrics_call(struct fg_metrics *metrics, const struct fg_outcome *outcome);
/* A call of ROUTE (its path, as the configuration has it) has waited for so long in all. */
void fg_metrics_wait(struct fg_metrics *metrics, struct fg_str route, enum fg_wait_cause cause, uint64_t waited_ns);
void fg_metrics_attempt(struct fg_metrics *metrics, const struct fg_outcome *outcome);

#endif
