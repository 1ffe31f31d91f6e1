/* Metrics of breakers, and of what peers did wrong. */
#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "h1/fault.h"
#include "h2/fault.h"
#include "observe/metric_walk.h"

/* ---- faults of peers ---- */

static void put_fault(struct fg_metric_walk *walk, const uint64_t *const *counts, int fault, const char *protocol,
                      const char *name)
{
    char cause[64];
    size_t len = 0;
    uint64_t total = 0;

    for (size_t i = 0; i < walk->view->fault_counts_len; i++)
        total += fg_stat_read(&counts[i][fault]);
    for (; name[len] && len < sizeof cause; len++)
        cause[len] = (char)tolower((unsigned char)name[len]);
    fg_metric_walk_label(walk, "protocol", fg_str_from(protocol));
    fg_metric_walk_label(walk, "cause", (struct fg_str){cause, len});
    fg_metric_walk_value(walk, (double)total);
}

void fg_metric_walk_faults(struct fg_metric_walk *walk)
{
    static const struct fg_metric_info info = {"fusegate.protocol_faults", "1", FG_METRIC_COUNTER,
                                               "What peers did wrong, by cause"};

    fg_metric_walk_begin(walk, &info);
    for (int fault = FG_H2_FAULT_NONE + 1; fault < FG_H2_FAULT_LEN; fault++)
        put_fault(walk, walk->view->fault_counts, fault, "h2", fg_h2_fault_info((enum fg_h2_fault)fault)->name);
    for (int fault = FG_H1_FAULT_NONE + 1; fault < FG_H1_FAULT_LEN; fault++)
        put_fault(walk, walk->view->h1_fault_counts, fault, "h1", fg_h1_fault_info((enum fg_h1_fault)fault)->name);
}

/* ---- breakers ---- */

/* What is shown of a circuit, taken in one go: the metrics are one after the other. */
struct circuit {
    struct fg_str cluster, endpoint, method;
    uint64_t values[3]; /* by metric */
};

struct circuits {
    const struct fg_metric_view *view;
    struct circuit *items;
    size_t len, cap;
};

static const struct fg_metric_info breaker_metrics[] = {
    {"fusegate.breaker_state", "1", FG_METRIC_GAUGE,
     "0 closed, 1 open, 2 half-open; method \"\" is the endpoint as a whole"},
    {"fusegate.breaker_trips", "1", FG_METRIC_COUNTER, "Times that the breaker opened"},
    {"fusegate.breaker_refused", "{call}", FG_METRIC_COUNTER, "Calls that the breaker refused"},
};

static void keep(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                 struct fg_breaker *breaker)
{
    struct circuits *circuits = context;
    const struct fg_config_breaker *config = circuits->view->breaker_config(circuits->view->context, cluster);
    struct fg_breaker_info info;

    if (!config)
        return;
    fg_breaker_describe(breaker, config, circuits->view->now_ns, &info);
    if (circuits->len == circuits->cap) {
        circuits->cap = circuits->cap ? 2 * circuits->cap : 64;
        circuits->items = fg_realloc(circuits->items, circuits->cap * sizeof *circuits->items);
    }
    circuits->items[circuits->len++] =
        (struct circuit){cluster, endpoint, method, {info.state, info.trips, info.refused}};
}

static int compare_clusters(const void *a, const void *b)
{
    const struct circuit *x = a, *y = b;
    int order = memcmp(x->cluster.p, y->cluster.p, FG_MIN(x->cluster.len, y->cluster.len));
    return order ? order : (x->cluster.len > y->cluster.len) - (x->cluster.len < y->cluster.len);
}

/* A breaker of an endpoint as a whole that opens takes the endpoint out of the balancer's choice: what gRPC calls an
 * ejection (gRFC A91). */
static void walk_ejections(struct fg_metric_walk *walk, const struct circuits *circuits)
{
    static const struct fg_metric_info info = {"grpc.lb.outlier_detection.ejections_enforced", "{ejection}",
                                               FG_METRIC_COUNTER,
                                               "Times that an endpoint was no longer chosen, by its breaker"};
    uint64_t total = 0;

    fg_metric_walk_begin(walk, &info);
    for (size_t i = 0; i < circuits->len; i++) {
        const struct circuit *circuit = &circuits->items[i];
        if (circuit->method.len == 0 && circuit->endpoint.len > 0)
            total += circuit->values[1];
        if (i + 1 < circuits->len && compare_clusters(circuit, circuit + 1) == 0)
            continue;
        fg_metric_walk_label(walk, "grpc.target", circuit->cluster);
        fg_metric_walk_value(walk, (double)total);
        total = 0;
    }
}

void fg_metric_walk_breakers(struct fg_metric_walk *walk)
{
    struct circuits circuits = {.view = walk->view};

    fg_breaker_each(walk->view->breakers, keep, &circuits);
    if (circuits.len > 0)
        qsort(circuits.items, circuits.len, sizeof *circuits.items, compare_clusters);
    for (size_t m = 0; m < FG_ARRAY_LEN(breaker_metrics); m++) {
        fg_metric_walk_begin(walk, &breaker_metrics[m]);
        for (size_t i = 0; i < circuits.len; i++) {
            const struct circuit *circuit = &circuits.items[i];
            fg_metric_walk_label(walk, "cluster", circuit->cluster);
            fg_metric_walk_label(walk, "endpoint", circuit->endpoint);
            fg_metric_walk_label(walk, "method", circuit->method);
            fg_metric_walk_value(walk, (double)circuit->values[m]);
        }
    }
    walk_ejections(walk, &circuits);
    free(circuits.items);
}
