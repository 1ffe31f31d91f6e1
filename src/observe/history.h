/* The workers' numbers, second by second: totals of the last five minutes, and rates and durations over the last ten
 * seconds by method, endpoint and cause of waiting. Whoever samples reads the workers' counters with relaxed loads:
 * nobody is stopped or asked. Not thread-safe itself; time is a parameter.
 *
 * Counters only grow, and each is read once per sample, so no difference is ever negative. A call is counted in the
 * sample that comes after its end. */
#ifndef FG_OBSERVE_HISTORY_H
#define FG_OBSERVE_HISTORY_H

#include "base/stats.h"
#include "observe/metrics.h"

#define FG_HISTORY_SAMPLES 300 /* totals that are kept */
#define FG_HISTORY_WINDOW  10  /* samples that rates and percentiles are made of */

/* One worker's numbers; borrowed, and written to while they are read. */
struct fg_history_source {
    const struct fg_stats *stats;
    const struct fg_metrics *metrics;
};

/* What the totals count. FAILURES are of class failure or overload; REFUSED were made by the gateway itself: breakers,
 * limits, queues. Bytes are those of clients. */
enum fg_history_count {
    FG_HISTORY_CALLS,
    FG_HISTORY_FAILURES,
    FG_HISTORY_REFUSED,
    FG_HISTORY_RETRIES,
    FG_HISTORY_READ_BYTES,
    FG_HISTORY_WRITTEN_BYTES,
    FG_HISTORY_COUNTS
};

/* What there is of at a moment. */
enum fg_history_gauge {
    FG_HISTORY_IN_PROGRESS,
    FG_HISTORY_QUEUED,
    FG_HISTORY_DOWNSTREAM_CONNECTIONS,
    FG_HISTORY_UPSTREAM_CONNECTIONS,
    FG_HISTORY_GAUGES
};

struct fg_history_sample {
    uint64_t wall_ns;                   /* when it was taken */
    uint64_t took_ns;                   /* since the sample before */
    uint64_t counts[FG_HISTORY_COUNTS]; /* in that time */
    uint64_t gauges[FG_HISTORY_GAUGES];
    double p50_ms, p90_ms, p99_ms; /* of the calls that ended in that time; negative: there was none */
};

/* One method, endpoint or cause, over all workers. */
struct fg_history_series {
    const char *cluster, *name;                             /* as the metrics have them; of a cause "" and its name */
    uint64_t calls, failures;                               /* since the start */
    uint64_t window_calls, window_failures, window_refused; /* in the window */
};

enum fg_history_kind { FG_HISTORY_METHODS, FG_HISTORY_ENDPOINTS, FG_HISTORY_WAITS, FG_HISTORY_KINDS };

struct fg_history;

/* SOURCES is copied; what it points to must outlive the history. NOW_NS begins the first sample. */
struct fg_history *fg_history_new(const struct fg_history_source *sources, size_t len, uint64_t now_ns);
void fg_history_free(struct fg_history *history); /* NULL is allowed */

void fg_history_take(struct fg_history *history, uint64_t now_ns, uint64_t wall_ns);

size_t fg_history_len(const struct fg_history *history);
/* The latest is 0, the oldest len - 1. */
const struct fg_history_sample *fg_history_at(const struct fg_history *history, size_t ago);

/* Seconds that the window has; 0 before the first sample. */
double fg_history_window_s(const struct fg_history *history);
/* All that was counted in the window, and the durations of all calls that ended in it. */
void fg_history_totals(const struct fg_history *history, uint64_t counts[FG_HISTORY_COUNTS],
                       struct fg_histogram_snapshot *durations);

/* All series of a kind, those with most calls in the window first, then those with most since the start. Valid until
 * the next sample. To be freed; its entries are borrowed. */
const struct fg_history_series **fg_history_series(const struct fg_history *history, enum fg_history_kind kind,
                                                   size_t *len);

/* Of the calls (or waits) of a series that ended in the window. */
void fg_history_durations(const struct fg_history_series *series, struct fg_histogram_snapshot *out);

/* The duration that SHARE (0 to 1) of those observed did not exceed, within a few percent; negative: there is none. */
double fg_history_percentile_ms(const struct fg_histogram_snapshot *durations, double share);

#endif
