#include "observe/metric_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "observe/metric_series.h"
#include "observe/metric_walk.h"

/* ---- counters of the workers ---- */

static const struct {
    const char *name, *help;
    size_t offset;
} counters[] = {
#define X(field, help) {#field, help, offsetof(struct fg_stats, field)},
    FG_STATS(X)
#undef X
};

static uint64_t sum(const struct fg_metric_view *view, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < view->sources_len; i++)
        total += fg_stat_read((const uint64_t *)(const void *)((const char *)view->sources[i].stats + offset));
    return total;
}

/* "x_bytes" is x in bytes, and "x_us" is x in seconds. */
static void walk_counters(struct fg_metric_walk *walk)
{
    char name[96];

    for (size_t i = 0; i < FG_ARRAY_LEN(counters); i++) {
        struct fg_metric_info info = {name, "1", FG_METRIC_COUNTER, counters[i].help};
        size_t len = strlen(counters[i].name);
        double value = (double)sum(walk->view, counters[i].offset);
        if (len > 6 && strcmp(counters[i].name + len - 6, "_bytes") == 0) {
            info.unit = "By";
            len -= 6;
        } else if (len > 3 && strcmp(counters[i].name + len - 3, "_us") == 0) {
            info.unit = "s";
            value /= 1e6;
            len -= 3;
        }
        snprintf(name, sizeof name, "fusegate.%.*s", (int)len, counters[i].name);
        fg_metric_walk_begin(walk, &info);
        fg_metric_walk_value(walk, value);
    }
}

static void walk_up_downs(struct fg_metric_walk *walk)
{
#define UP_DOWN(name, unit, up, down, help)                                                                            \
    {                                                                                                                  \
        {"fusegate." name, unit, FG_METRIC_UP_DOWN, help}, offsetof(struct fg_stats, up),                              \
            offsetof(struct fg_stats, down)                                                                            \
    }
    static const struct {
        struct fg_metric_info info;
        size_t up, down;
    } all[] = {
        UP_DOWN("downstream_connections", "{connection}", downstream_connections_opened, downstream_connections_closed,
                "Connections of clients that are open"),
        UP_DOWN("downstream_streams", "{stream}", downstream_streams_opened, downstream_streams_closed,
                "Streams of clients that are open"),
        UP_DOWN("upstream_connections", "{connection}", upstream_connections_opened, upstream_connections_closed,
                "Connections to endpoints that are open or being made"),
        UP_DOWN("upstream_streams", "{stream}", upstream_streams_opened, upstream_streams_closed,
                "Streams to endpoints that are open"),
        UP_DOWN("calls_active", "{call}", calls_started, calls_ended, "Calls in progress"),
        UP_DOWN("attempts_active", "{attempt}", attempts_started, attempts_ended, "Attempts in progress"),
        UP_DOWN("taps_active", "{session}", taps_opened, taps_closed, "Sessions of /tap in progress"),
        UP_DOWN("calls_pending", "{call}", calls_queued, calls_dequeued,
                "Calls that wait for a connection or stream slot"),
    };
#undef UP_DOWN

    for (size_t i = 0; i < FG_ARRAY_LEN(all); i++) {
        /* What went down is read first: a gauge may be a moment old, but never below zero. */
        uint64_t down = sum(walk->view, all[i].down), up = sum(walk->view, all[i].up);
        fg_metric_walk_begin(walk, &all[i].info);
        fg_metric_walk_value(walk, (double)(int64_t)(up - down));
    }
}

/* ---- endpoints: connections (gRFC A94) ---- */

static const struct {
    struct fg_metric_info info;
    size_t up, down; /* of struct fg_endpoint_stats; the same: nothing is taken off */
    const char *cluster_key, *endpoint_key;
} endpoint_metrics[] = {
#define ENDPOINT(name, unit, kind, up, down, help, cluster_key, endpoint_key)                                          \
    {                                                                                                                  \
        {name, unit, kind, help}, offsetof(struct fg_endpoint_stats, up), offsetof(struct fg_endpoint_stats, down),    \
            cluster_key, endpoint_key                                                                                  \
    }
#define SUBCHANNEL(name, unit, kind, up, down, help)                                                                   \
    ENDPOINT("grpc.subchannel." name, unit, kind, up, down, help, "grpc.target", "server.address")
    SUBCHANNEL("connection_attempts_succeeded", "{attempt}", FG_METRIC_COUNTER, connects_succeeded, connects_succeeded,
               "Connections to the endpoint that were made"),
    SUBCHANNEL("connection_attempts_failed", "{attempt}", FG_METRIC_COUNTER, connects_failed, connects_failed,
               "Connections to the endpoint that could not be made"),
    SUBCHANNEL("open_connections", "{connection}", FG_METRIC_UP_DOWN, connects_succeeded, disconnections,
               "Connections to the endpoint that calls can use"),
    SUBCHANNEL("disconnections", "{disconnection}", FG_METRIC_COUNTER, disconnections, disconnections,
               "Connections to the endpoint that ended after they were made"),
    ENDPOINT("fusegate.endpoint.attempts_started", "{attempt}", FG_METRIC_COUNTER, attempts_started, attempts_started,
             "Attempts begun on the endpoint", "cluster", "endpoint"),
#undef SUBCHANNEL
#undef ENDPOINT
};

/* Of all workers, which have the same clusters. */
static uint64_t sum_endpoint(const struct fg_metric_view *view, size_t cluster, size_t endpoint, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < view->sources_len; i++) {
        const struct fg_endpoint_stats *stats = &view->sources[i].clusters[cluster].endpoints[endpoint].stats;
        total += fg_stat_read((const uint64_t *)(const void *)((const char *)stats + offset));
    }
    return total;
}

static void walk_endpoints(struct fg_metric_walk *walk)
{
    size_t clusters_len = walk->view->sources_len ? walk->view->sources[0].clusters_len : 0;

    for (size_t m = 0; m < FG_ARRAY_LEN(endpoint_metrics); m++) {
        size_t up = endpoint_metrics[m].up, down = endpoint_metrics[m].down;
        fg_metric_walk_begin(walk, &endpoint_metrics[m].info);
        for (size_t c = 0; c < clusters_len; c++) {
            const struct fg_cluster *cluster = &walk->view->sources[0].clusters[c];
            for (size_t e = 0; e < cluster->endpoints_len; e++) {
                uint64_t off = up == down ? 0 : sum_endpoint(walk->view, c, e, down);
                fg_metric_walk_label(walk, endpoint_metrics[m].cluster_key, cluster->name);
                fg_metric_walk_label(walk, endpoint_metrics[m].endpoint_key, cluster->endpoints[e].name);
                fg_metric_walk_value(walk, (double)(int64_t)(sum_endpoint(walk->view, c, e, up) - off));
            }
        }
    }
}

/* ---- the gateway itself ---- */

static void walk_others(struct fg_metric_walk *walk)
{
    static const struct fg_metric_info info = {
        "fusegate.metrics_others", "1", FG_METRIC_COUNTER,
        "What was counted as method or endpoint \"other\" because there are too many to tell apart"};
    static const struct {
        const char *what;
        size_t offset;
    } tables[] = {
        {"calls", offsetof(struct fg_metrics, calls.others)},
        {"attempts", offsetof(struct fg_metrics, attempts.others)},
        {"waits", offsetof(struct fg_metrics, waits.others)},
    };

    fg_metric_walk_begin(walk, &info);
    for (size_t i = 0; i < FG_ARRAY_LEN(tables); i++) {
        uint64_t total = 0;
        for (size_t w = 0; w < walk->view->sources_len; w++)
            total += fg_stat_read(
                (const uint64_t *)(const void *)((const char *)walk->view->sources[w].metrics + tables[i].offset));
        fg_metric_walk_label(walk, "what", fg_str_from(tables[i].what));
        fg_metric_walk_value(walk, (double)total);
    }
}

static void walk_process(struct fg_metric_walk *walk)
{
    static const struct fg_metric_info start = {"process.start_time", "s", FG_METRIC_GAUGE,
                                                "When the gateway was started, since 1970"};
    static const struct fg_metric_info dropped = {"fusegate.log_dropped", "{message}", FG_METRIC_COUNTER,
                                                  "Messages dropped because standard error could not take them"};

    fg_metric_walk_begin(walk, &start);
    fg_metric_walk_value(walk, (double)walk->view->began_wall_ns / 1e9);
    fg_metric_walk_begin(walk, &dropped);
    fg_metric_walk_value(walk, (double)fg_log_dropped());
}

void fg_metric_view_walk(const struct fg_metric_view *view, fg_metric_begin *begin, fg_metric_visit *visit,
                         void *context)
{
    struct fg_metric_walk walk = {.view = view, .begin = begin, .visit = visit, .context = context};

    walk_counters(&walk);
    walk_up_downs(&walk);
    fg_metric_walk_faults(&walk);
    fg_metric_walk_calls(&walk);
    walk_endpoints(&walk);
    fg_metric_walk_breakers(&walk);
    walk_others(&walk);
    walk_process(&walk);
}

/* ---- what the parts of a walk share ---- */

void fg_metric_walk_begin(struct fg_metric_walk *walk, const struct fg_metric_info *info)
{
    walk->point = (struct fg_metric_point){.info = info, .attributes = walk->attributes};
    if (walk->begin)
        walk->begin(walk->context, info);
}

void fg_metric_walk_label(struct fg_metric_walk *walk, const char *key, struct fg_str value)
{
    walk->attributes[walk->point.attributes_len++] = (struct fg_metric_attribute){key, value};
}

void fg_metric_walk_value(struct fg_metric_walk *walk, double value)
{
    walk->point.value = value;
    walk->visit(walk->context, &walk->point);
    walk->point.attributes_len = 0;
}

void fg_metric_walk_histogram(struct fg_metric_walk *walk, struct fg_metric_histogram *histogram)
{
    histogram->count = 0;
    for (size_t i = 0; i <= histogram->bounds_len; i++)
        histogram->count += histogram->buckets[i];
    walk->point.histogram = histogram;
    walk->visit(walk->context, &walk->point);
    walk->point.histogram = NULL;
    walk->point.attributes_len = 0;
}
