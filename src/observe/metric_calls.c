/* Metrics of calls, attempts and waits: all that is counted in cells. */
#include "base/mem.h"
#include "observe/metric_series.h"
#include "observe/metric_walk.h"

/* How series are labelled: by cluster and name, or, where `cluster` is NULL, by the name alone. */
struct labels {
    const char *cluster, *name;
};

static void label(struct fg_metric_walk *walk, const struct labels *labels, const struct fg_metric_series *series)
{
    if (labels->cluster)
        fg_metric_walk_label(walk, labels->cluster, fg_str_from(series->cluster));
    fg_metric_walk_label(walk, labels->name, fg_str_from(series->name));
}

/* ---- outcomes and durations ---- */

static void walk_outcomes(struct fg_metric_walk *walk, const struct fg_metric_info *info, const struct labels *labels,
                          const struct fg_metric_all *all)
{
    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < all->len; i++)
        for (int at = 0; at < FG_STATUS_LEN * FG_SOURCE_LEN * FG_METRIC_CLASSES; at++) {
            int code = at / (FG_SOURCE_LEN * FG_METRIC_CLASSES), source = at / FG_METRIC_CLASSES % FG_SOURCE_LEN;
            uint64_t count = all->series[i].classes[code][source][at % FG_METRIC_CLASSES];
            if (count == 0)
                continue;
            label(walk, labels, &all->series[i]);
            fg_metric_walk_label(walk, "code", fg_str_from(fg_status_name((enum fg_status)code)));
            fg_metric_walk_label(walk, "source", fg_str_from(fg_source_name((enum fg_source)source)));
            fg_metric_walk_label(walk, "class", fg_str_from(fg_class_name((enum fg_class)(at % FG_METRIC_CLASSES))));
            fg_metric_walk_value(walk, (double)count);
        }
}

static void fill_bounds(double bounds[FG_DURATION_BUCKETS])
{
    for (int i = 0; i < FG_DURATION_BUCKETS; i++)
        bounds[i] = (double)fg_duration_bounds_us[i] / 1e6;
}

static bool is_empty(const uint64_t buckets[FG_DURATION_BUCKETS + 1])
{
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        if (buckets[i] > 0)
            return false;
    return true;
}

static void walk_durations(struct fg_metric_walk *walk, const struct fg_metric_info *info, const struct labels *labels,
                           const struct fg_metric_all *all)
{
    double bounds[FG_DURATION_BUCKETS];

    fill_bounds(bounds);
    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < all->len; i++) {
        const struct fg_metric_series *series = &all->series[i];
        struct fg_metric_histogram histogram = {
            .bounds = bounds,
            .bounds_len = FG_DURATION_BUCKETS,
            .buckets = series->buckets,
            .sum = (double)series->durations.sum_ns / 1e9,
            .exponential = &series->durations,
            .exemplars = series->has_exemplars ? series->exemplars : NULL,
        };
        if (is_empty(series->buckets))
            continue; /* its first call is in progress */
        label(walk, labels, series);
        fg_metric_walk_histogram(walk, &histogram);
    }
}

/* ---- by method alone: clusters are summed up ---- */

/* The same name follows: it is another cluster's. */
static bool goes_on(const struct fg_metric_all *all, size_t i)
{
    return i + 1 < all->len && strcmp(all->series[i].name, all->series[i + 1].name) == 0;
}

static void walk_streams(struct fg_metric_walk *walk, const struct fg_metric_all *calls,
                         const struct fg_metric_info *info, const char *key)
{
    uint64_t total = 0;

    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < calls->len; i++) {
        const struct fg_metric_series *series = &calls->series[i];
        total += series->started - (info->kind == FG_METRIC_UP_DOWN ? series->ended : 0);
        if (goes_on(calls, i))
            continue;
        fg_metric_walk_label(walk, key, fg_str_from(series->name));
        fg_metric_walk_value(walk, (double)total);
        total = 0;
    }
}

/* What took how long, by status: calls of a method (TARGETS: of a method and cluster), or attempts. */
struct statuses {
    struct fg_metric_info info;
    size_t offset; /* in struct fg_metric_cell */
    bool targets;
};

/* Of one status, series BEGIN to END. */
static void put_status(struct fg_metric_walk *walk, const struct fg_metric_all *calls, const struct statuses *statuses,
                       size_t begin, size_t end, enum fg_status code)
{
    uint64_t buckets[FG_DURATION_BUCKETS + 1] = {0};
    struct fg_histogram_snapshot durations = {0};
    double bounds[FG_DURATION_BUCKETS];

    for (size_t i = begin; i <= end; i++)
        fg_metric_add_status(&calls->series[i], statuses->offset, code, buckets, &durations);
    if (is_empty(buckets))
        return;
    fill_bounds(bounds);
    struct fg_metric_histogram histogram = {.bounds = bounds,
                                            .bounds_len = FG_DURATION_BUCKETS,
                                            .buckets = buckets,
                                            .sum = (double)durations.sum_ns / 1e9,
                                            .exponential = &durations};
    if (statuses->targets)
        fg_metric_walk_label(walk, "grpc.target", fg_str_from(calls->series[end].cluster));
    fg_metric_walk_label(walk, "grpc.method", fg_str_from(calls->series[end].name));
    fg_metric_walk_label(walk, "grpc.status", fg_str_from(fg_status_name(code)));
    fg_metric_walk_histogram(walk, &histogram);
}

static void walk_statuses(struct fg_metric_walk *walk, const struct fg_metric_all *calls,
                          const struct statuses *statuses)
{
    size_t begin = 0;

    fg_metric_walk_begin(walk, &statuses->info);
    for (size_t i = 0; i < calls->len; i++) {
        if (!statuses->targets && goes_on(calls, i))
            continue;
        /* "other" without a target has calls without a route, and those that found the table full. */
        bool has_target = calls->series[i].cluster[0] != '\0' || calls->series[i].attempts > 0;
        for (int code = 0; code < FG_STATUS_LEN && (has_target || !statuses->targets); code++)
            put_status(walk, calls, statuses, begin, i, (enum fg_status)code);
        begin = i + 1;
    }
}

static void put_sizes(struct fg_metric_walk *walk, const struct fg_metric_series *labels, bool targets,
                      const struct fg_metric_sizes *sizes)
{
    double bounds[FG_SIZE_BUCKETS];

    for (int i = 0; i < FG_SIZE_BUCKETS; i++)
        bounds[i] = (double)fg_size_bounds[i];
    struct fg_metric_histogram histogram = {
        .bounds = bounds, .bounds_len = FG_SIZE_BUCKETS, .buckets = sizes->buckets, .sum = (double)sizes->sum};
    if (targets)
        fg_metric_walk_label(walk, "grpc.target", fg_str_from(labels->cluster));
    fg_metric_walk_label(walk, "grpc.method", fg_str_from(labels->name));
    fg_metric_walk_histogram(walk, &histogram);
}

static const struct fg_metric_sizes *sizes_at(const struct fg_metric_series *series, size_t offset)
{
    return (const void *)((const char *)series + offset);
}

static void walk_sizes(struct fg_metric_walk *walk, const struct fg_metric_all *calls,
                       const struct fg_metric_info *info, size_t offset)
{
    struct fg_metric_sizes total = {0};

    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < calls->len; i++) {
        const struct fg_metric_sizes *sizes = sizes_at(&calls->series[i], offset);
        total.sum += sizes->sum;
        for (int b = 0; b <= FG_SIZE_BUCKETS; b++)
            total.buckets[b] += sizes->buckets[b];
        if (goes_on(calls, i))
            continue;
        put_sizes(walk, &calls->series[i], false, &total);
        total = (struct fg_metric_sizes){0};
    }
}

/* ---- attempts of calls (gRFC A66, A96) ---- */

static const struct labels client_labels = {"grpc.target", "grpc.method"};

static void walk_attempts_started(struct fg_metric_walk *walk, const struct fg_metric_all *calls)
{
    static const struct fg_metric_info info = {"grpc.client.attempt.started", "{attempt}", FG_METRIC_COUNTER,
                                               "Attempts begun on endpoints, by method"};

    fg_metric_walk_begin(walk, &info);
    for (size_t i = 0; i < calls->len; i++) {
        label(walk, &client_labels, &calls->series[i]);
        fg_metric_walk_value(walk, (double)calls->series[i].attempts);
    }
}

static void walk_attempt_sizes(struct fg_metric_walk *walk, const struct fg_metric_all *calls,
                               const struct fg_metric_info *info, size_t offset)
{
    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < calls->len; i++)
        if (calls->series[i].attempts > 0)
            put_sizes(walk, &calls->series[i], true, sizes_at(&calls->series[i], offset));
}

/* Only of calls that had any (gRFC A96). */
static void walk_tries(struct fg_metric_walk *walk, const struct fg_metric_all *calls,
                       const struct fg_metric_info *info, size_t offset)
{
    double bounds[FG_TRY_BUCKETS];

    for (int i = 0; i < FG_TRY_BUCKETS; i++)
        bounds[i] = (double)fg_try_bounds[i];
    fg_metric_walk_begin(walk, info);
    for (size_t i = 0; i < calls->len; i++) {
        const struct fg_metric_tries *tries = (const void *)((const char *)&calls->series[i] + offset);
        struct fg_metric_histogram histogram = {
            .bounds = bounds, .bounds_len = FG_TRY_BUCKETS, .buckets = tries->buckets, .sum = (double)tries->sum};
        if (tries->sum == 0)
            continue;
        label(walk, &client_labels, &calls->series[i]);
        fg_metric_walk_histogram(walk, &histogram);
    }
}

static void walk_retry_delays(struct fg_metric_walk *walk, const struct fg_metric_all *calls)
{
    static const struct fg_metric_info info = {"grpc.client.call.retry_delay", "s", FG_METRIC_HISTOGRAM,
                                               "How long calls paused between attempts, of those that did"};
    double bounds[FG_DURATION_BUCKETS];

    fill_bounds(bounds);
    fg_metric_walk_begin(walk, &info);
    for (size_t i = 0; i < calls->len; i++) {
        const struct fg_metric_series *series = &calls->series[i];
        struct fg_metric_histogram histogram = {.bounds = bounds,
                                                .bounds_len = FG_DURATION_BUCKETS,
                                                .buckets = series->retry_delay_buckets,
                                                .sum = (double)series->retry_delay_ns / 1e9};
        if (series->retry_delay_ns == 0)
            continue;
        label(walk, &client_labels, series);
        fg_metric_walk_histogram(walk, &histogram);
    }
}

/* ---- all of them ---- */

static const struct {
    struct fg_metric_info info;
    const char *key;
} streams[] = {
    {{"grpc.stream.open", "{stream}", FG_METRIC_COUNTER, "Calls that clients began, by method"}, "method"},
    {{"grpc.stream.active", "{stream}", FG_METRIC_UP_DOWN, "Calls in progress, by method"}, "method"},
    {{"grpc.server.call.started", "{call}", FG_METRIC_COUNTER, "Calls that clients began, by method"}, "grpc.method"},
};

static const struct statuses server_statuses = {
    {"grpc.server.call.duration", "s", FG_METRIC_HISTOGRAM,
     "From the request's headers to the end of the answer, by the status that the client was given"},
    offsetof(struct fg_metric_cell, statuses),
    false,
};

static const struct statuses client_statuses[] = {
    {{"grpc.client.attempt.duration", "s", FG_METRIC_HISTOGRAM,
      "From the beginning of an attempt to its end, by the status that it ended with"},
     offsetof(struct fg_metric_cell, attempt_statuses),
     true},
    {{"grpc.client.call.duration", "s", FG_METRIC_HISTOGRAM,
      "How long calls to clusters took with all of their attempts, by the status in the end"},
     offsetof(struct fg_metric_cell, statuses),
     true},
};

static const struct {
    struct fg_metric_info info;
    size_t offset;
} attempt_sizes[] = {
    {{"grpc.client.attempt.sent_total_compressed_message_size", "By", FG_METRIC_HISTOGRAM,
      "Bytes of all messages of an attempt that were sent to the endpoint, as they were compressed"},
     offsetof(struct fg_metric_series, attempt_sent)},
    {{"grpc.client.attempt.rcvd_total_compressed_message_size", "By", FG_METRIC_HISTOGRAM,
      "Bytes of all messages of an attempt that came from the endpoint, as they were compressed"},
     offsetof(struct fg_metric_series, attempt_received)},
};

static const struct {
    struct fg_metric_info info;
    size_t offset;
} sizes[] = {
    {{"grpc.server.call.sent_total_compressed_message_size", "By", FG_METRIC_HISTOGRAM,
      "Bytes of all messages of a call that were sent to the client, as they were compressed"},
     offsetof(struct fg_metric_series, sent)},
    {{"grpc.server.call.rcvd_total_compressed_message_size", "By", FG_METRIC_HISTOGRAM,
      "Bytes of all messages of a call that came from the client, as they were compressed"},
     offsetof(struct fg_metric_series, received)},
};

static const struct {
    struct fg_metric_info info;
    size_t offset;
} tries[] = {
    {{"grpc.client.call.retries", "{retry}", FG_METRIC_HISTOGRAM,
      "How often calls were tried again by the retry policy, of those that were"},
     offsetof(struct fg_metric_series, retries)},
    {{"grpc.client.call.transparent_retries", "{transparent_retry}", FG_METRIC_HISTOGRAM,
      "How often calls were tried again because the endpoint had not begun them, of those that were"},
     offsetof(struct fg_metric_series, transparent_retries)},
    {{"grpc.client.call.hedges", "{hedge}", FG_METRIC_HISTOGRAM,
      "Further attempts that calls made beside one in progress, of those that did"},
     offsetof(struct fg_metric_series, hedges)},
};

void fg_metric_walk_calls(struct fg_metric_walk *walk)
{
    static const struct fg_metric_info calls_info = {"fusegate.calls", "{call}", FG_METRIC_COUNTER,
                                                     "Calls by their outcome"};
    static const struct fg_metric_info attempts_info = {"fusegate.attempts", "{attempt}", FG_METRIC_COUNTER,
                                                        "Attempts on endpoints by their outcome"};
    static const struct fg_metric_info call_duration = {"fusegate.call.duration", "s", FG_METRIC_HISTOGRAM,
                                                        "From the request's headers to the end of the answer"};
    static const struct fg_metric_info attempt_duration = {"fusegate.attempt.duration", "s", FG_METRIC_HISTOGRAM,
                                                           "From the beginning of an attempt to its end"};
    static const struct fg_metric_info wait_info = {
        "fusegate.call.wait", "s", FG_METRIC_HISTOGRAM,
        "How long calls made no progress although there was something to do, by cause"};
    const struct labels by_method = {"cluster", "method"}, by_endpoint = {"cluster", "endpoint"},
                        by_cause = {"route", "cause"};
    struct fg_metric_all calls, attempts, waits;

    fg_metric_collect(&calls, walk->view, offsetof(struct fg_metrics, calls));
    fg_metric_collect(&attempts, walk->view, offsetof(struct fg_metrics, attempts));
    fg_metric_collect(&waits, walk->view, offsetof(struct fg_metrics, waits));
    walk_outcomes(walk, &calls_info, &by_method, &calls);
    walk_outcomes(walk, &attempts_info, &by_endpoint, &attempts);
    walk_durations(walk, &call_duration, &by_method, &calls);
    walk_durations(walk, &attempt_duration, &by_endpoint, &attempts);
    walk_durations(walk, &wait_info, &by_cause, &waits);
    for (size_t i = 0; i < FG_ARRAY_LEN(streams); i++)
        walk_streams(walk, &calls, &streams[i].info, streams[i].key);
    walk_statuses(walk, &calls, &server_statuses);
    for (size_t i = 0; i < FG_ARRAY_LEN(sizes); i++)
        walk_sizes(walk, &calls, &sizes[i].info, sizes[i].offset);
    walk_attempts_started(walk, &calls);
    for (size_t i = 0; i < FG_ARRAY_LEN(attempt_sizes); i++)
        walk_attempt_sizes(walk, &calls, &attempt_sizes[i].info, attempt_sizes[i].offset);
    for (size_t i = 0; i < FG_ARRAY_LEN(client_statuses); i++)
        walk_statuses(walk, &calls, &client_statuses[i]);
    for (size_t i = 0; i < FG_ARRAY_LEN(tries); i++)
        walk_tries(walk, &calls, &tries[i].info, tries[i].offset);
    walk_retry_delays(walk, &calls);
    fg_metric_collect_free(&waits);
    fg_metric_collect_free(&attempts);
    fg_metric_collect_free(&calls);
}
