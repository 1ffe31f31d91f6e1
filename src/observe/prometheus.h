/* The Prometheus text exposition of a gateway (format 0.0.4). */
#ifndef FG_OBSERVE_PROMETHEUS_H
#define FG_OBSERVE_PROMETHEUS_H

#include <stdio.h>

#include "base/stats.h"
#include "observe/metrics.h"
#include "policy/breaker.h"

/* One worker's numbers; all are borrowed and may be written to while they are read. */
struct fg_prometheus_source {
    const struct fg_stats *stats;
    const struct fg_metrics *metrics;
};

struct fg_prometheus {
    const struct fg_prometheus_source *sources;
    size_t sources_len;
    const uint64_t *const *fault_counts;    /* arrays of FG_H2_FAULT_LEN */
    const uint64_t *const *h1_fault_counts; /* arrays of FG_H1_FAULT_LEN */
    size_t fault_counts_len;                /* of both */
    struct fg_breaker_registry *breakers;
    const struct fg_config_breaker *(*breaker_config)(void *context, struct fg_str cluster); /* NULL: cluster is gone */
    void *context;
    uint64_t now_ns;
};

void fg_prometheus_render(const struct fg_prometheus *what, FILE *out);

#endif
