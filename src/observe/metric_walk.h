/* A walk over all metrics, and its parts. For metric_view.c. */
#ifndef FG_OBSERVE_METRIC_WALK_H
#define FG_OBSERVE_METRIC_WALK_H

#include "observe/metric_view.h"

struct fg_metric_walk {
    const struct fg_metric_view *view;
    fg_metric_begin *begin;
    fg_metric_visit *visit;
    void *context;
    struct fg_metric_point point;
    struct fg_metric_attribute attributes[FG_METRIC_ATTRIBUTES_MAX];
};

/* Begins a metric; for each of its points come the labels, then the value. */
void fg_metric_walk_begin(struct fg_metric_walk *walk, const struct fg_metric_info *info);
void fg_metric_walk_label(struct fg_metric_walk *walk, const char *key, struct fg_str value);
void fg_metric_walk_value(struct fg_metric_walk *walk, double value);
void fg_metric_walk_histogram(struct fg_metric_walk *walk, struct fg_metric_histogram *histogram); /* sets the count */

void fg_metric_walk_calls(struct fg_metric_walk *walk);    /* metric_calls.c: calls, attempts, waits */
void fg_metric_walk_breakers(struct fg_metric_walk *walk); /* metric_breakers.c, and the faults of peers */
void fg_metric_walk_faults(struct fg_metric_walk *walk);

#endif
