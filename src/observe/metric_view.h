/* All metrics of a gateway as typed points: the workers summed up, names and units as OpenTelemetry has them. What
 * exports them (Prometheus' page, OTLP) is a visitor, so that each metric is named and described once. */
#ifndef FG_OBSERVE_METRIC_VIEW_H
#define FG_OBSERVE_METRIC_VIEW_H

#include "base/histogram.h"
#include "base/stats.h"
#include "observe/metrics.h"
#include "policy/breaker.h"
#include "upstream/cluster.h"

enum fg_metric_kind {
    FG_METRIC_COUNTER,   /* a sum that only grows, since the gateway began (cumulative) */
    FG_METRIC_UP_DOWN,   /* a sum that goes up and down */
    FG_METRIC_GAUGE,     /* a state */
    FG_METRIC_HISTOGRAM, /* cumulative */
};

/* What all points of a metric share. */
struct fg_metric_info {
    const char *name; /* "grpc.stream.open" */
    const char *unit; /* UCUM: "s", "By", "{call}" */
    enum fg_metric_kind kind;
    const char *help;
};

struct fg_metric_attribute {
    const char *key;     /* "grpc.method" */
    struct fg_str value; /* any bytes: clients choose methods */
};

struct fg_metric_exemplar {
    struct fg_exemplar trace; /* wall_ns 0: there is none */
    double value;
};

struct fg_metric_histogram {
    const double *bounds; /* upper ones, in the unit of the metric; a last bucket without bound follows */
    size_t bounds_len;
    const uint64_t *buckets; /* bounds_len + 1; not cumulative */
    uint64_t count;          /* of all buckets */
    double sum;
    const struct fg_histogram_snapshot *exponential; /* the same values (of durations: in seconds); NULL: not kept */
    const struct fg_metric_exemplar *exemplars;      /* by bucket; NULL: not kept */
};

#define FG_METRIC_ATTRIBUTES_MAX 5

struct fg_metric_point {
    const struct fg_metric_info *info;
    const struct fg_metric_attribute *attributes;
    size_t attributes_len;
    double value;                                /* all but histograms; an integer unless the unit is "s" */
    const struct fg_metric_histogram *histogram; /* NULL: it is none */
};

/* Everything that a point refers to, its info too, is valid until the visitor returns. */
typedef void fg_metric_visit(void *context, const struct fg_metric_point *point);
/* Before the points of each metric, also if there are none. */
typedef void fg_metric_begin(void *context, const struct fg_metric_info *info);

/* One worker's numbers; all are borrowed and may be written to while they are read. */
struct fg_metric_source {
    const struct fg_stats *stats;
    const struct fg_metrics *metrics;
    const struct fg_cluster *clusters;
    size_t clusters_len;
};

struct fg_metric_view {
    const struct fg_metric_source *sources;
    size_t sources_len;
    const uint64_t *const *fault_counts;    /* arrays of FG_H2_FAULT_LEN */
    const uint64_t *const *h1_fault_counts; /* arrays of FG_H1_FAULT_LEN */
    size_t fault_counts_len;                /* of both */
    struct fg_breaker_registry *breakers;
    const struct fg_config_breaker *(*breaker_config)(void *context, struct fg_str cluster); /* NULL: cluster is gone */
    void *context;
    uint64_t now_ns;
    uint64_t began_wall_ns; /* when the gateway was started, since 1970 */
};

/* Metric by metric: all points of one follow each other. BEGIN may be NULL. Any thread. */
void fg_metric_view_walk(const struct fg_metric_view *view, fg_metric_begin *begin, fg_metric_visit *visit,
                         void *context);

#endif
