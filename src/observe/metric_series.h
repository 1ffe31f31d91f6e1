/* The cells of all workers as series: same cluster and name are one. For metric_view.c. */
#ifndef FG_OBSERVE_METRIC_SERIES_H
#define FG_OBSERVE_METRIC_SERIES_H

#include "observe/metric_view.h"

/* Classes of outcomes of a code and source. */
#define FG_METRIC_CLASSES (FG_CLASS_IGNORED + 1)

struct fg_metric_series {
    const char *cluster, *name;          /* the first cell's */
    const struct fg_metric_cell **cells; /* of it, one per worker that has any */
    size_t cells_len;
    uint64_t classes[FG_STATUS_LEN][FG_SOURCE_LEN][FG_METRIC_CLASSES];
    uint64_t buckets[FG_DURATION_BUCKETS + 1];
    struct fg_histogram_snapshot durations;
    struct fg_metric_exemplar exemplars[FG_DURATION_BUCKETS + 1]; /* the latest of all workers */
    bool has_exemplars;
    uint64_t started, ended, attempts;
    struct fg_metric_sizes sent, received, attempt_sent, attempt_received;
    struct fg_metric_tries retries, transparent_retries, hedges;
    uint64_t retry_delay_ns, retry_delay_buckets[FG_DURATION_BUCKETS + 1];
};

struct fg_metric_all {
    struct fg_metric_series *series; /* by name, then cluster */
    size_t len;
    const struct fg_metric_cell **cells; /* in the same order */
};

/* Adds what took of one status what is at OFFSET in the cells: `statuses` or `attempt_statuses`. BUCKETS has
 * FG_DURATION_BUCKETS + 1. */
void fg_metric_add_status(const struct fg_metric_series *series, size_t offset, enum fg_status code, uint64_t *buckets,
                          struct fg_histogram_snapshot *durations);

/* TABLE_OFFSET of a fg_metric_table in struct fg_metrics. */
void fg_metric_collect(struct fg_metric_all *all, const struct fg_metric_view *view, size_t table_offset);
void fg_metric_collect_free(struct fg_metric_all *all);

#endif
