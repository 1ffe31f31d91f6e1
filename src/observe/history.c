#include "observe/history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

#define SLOTS   FG_ARRAY_LEN(((struct fg_metric_table *)NULL)->cells)
#define BUCKETS (1 + FG_HISTOGRAM_BUCKETS) /* the first is the zero bucket */
#define HEADS   1024

/* How many a bucket got. */
struct gain {
    uint16_t bucket;
    uint32_t count;
};

/* What one sample added to a series. A second has fewer than 2^32 calls. */
struct step {
    uint32_t calls, failures, refused;
    size_t gains_len;
    struct gain *gains;
};

/* A worker's share of a series. */
struct part {
    const struct fg_metric_cell *cell;
    struct part *next;
};

/* Numbers of a series as they are read: since the start, over all workers. */
struct sum {
    uint64_t calls, failures, refused, duration_ns;
};

struct series {
    struct fg_history_series shown;
    struct series *next, *next_same; /* of the kind; of those with the same hash */
    uint32_t hash;
    struct part *parts;
    struct sum last;
    uint32_t buckets[BUCKETS]; /* at the last sample, modulo 2^32 */
    bool quiet;                /* nothing has changed for a whole sample */
    struct step steps[FG_HISTORY_WINDOW];
};

struct kind {
    struct series *all;
    size_t len;
    struct series *by_hash[HEADS];
    bool *known; /* by worker and slot: the cell is part of a series */
};

struct fg_history {
    struct fg_history_source *sources;
    size_t sources_len;
    uint64_t begun_ns; /* when the sample to be taken next begins */
    struct kind kinds[FG_HISTORY_KINDS];
    uint64_t counts[FG_HISTORY_COUNTS]; /* at the last sample */
    struct fg_history_sample samples[FG_HISTORY_SAMPLES];
    uint64_t taken; /* samples since the start; the next one's place is this modulo the ring's length */
};

/* ---- life ---- */

struct fg_history *fg_history_new(const struct fg_history_source *sources, size_t len, uint64_t now_ns)
{
    struct fg_history *history = fg_alloc_zero(sizeof *history);

    history->sources = fg_alloc((len + 1) * sizeof *sources);
    if (len > 0)
        memcpy(history->sources, sources, len * sizeof *sources);
    history->sources_len = len;
    history->begun_ns = now_ns;
    for (int i = 0; i < FG_HISTORY_KINDS; i++)
        history->kinds[i].known = fg_alloc_zero((len * SLOTS + 1) * sizeof(bool));
    return history;
}

static void free_series(struct series *series)
{
    for (int i = 0; i < FG_HISTORY_WINDOW; i++)
        free(series->steps[i].gains);
    for (struct part *part = series->parts, *next; part; part = next) {
        next = part->next;
        free(part);
    }
    free(series);
}

void fg_history_free(struct fg_history *history)
{
    if (!history)
        return;
    for (int i = 0; i < FG_HISTORY_KINDS; i++) {
        for (struct series *s = history->kinds[i].all, *next; s; s = next) {
            next = s->next;
            free_series(s);
        }
        free(history->kinds[i].known);
    }
    free(history->sources);
    free(history);
}

/* ---- reading ---- */

static const struct fg_metric_table *table_of(const struct fg_metrics *metrics, int kind)
{
    return kind == FG_HISTORY_METHODS     ? &metrics->calls
           : kind == FG_HISTORY_ENDPOINTS ? &metrics->attempts
                                          : &metrics->waits;
}

/* The cells of several workers with the same names are one series; of waits the cause alone counts. */
static struct series *find(struct kind *kind, int which, const struct fg_metric_cell *cell)
{
    const char *cluster = which == FG_HISTORY_WAITS ? "" : cell->cluster;
    uint32_t hash = fg_hash(cell->name, strlen(cell->name), fg_hash(cluster, strlen(cluster), 0));
    struct series **head = &kind->by_hash[hash % HEADS], *series = *head;

    while (series && (series->hash != hash || strcmp(series->shown.name, cell->name) != 0 ||
                      strcmp(series->shown.cluster, cluster) != 0))
        series = series->next_same;
    if (series)
        return series;
    series = fg_alloc_zero(sizeof *series);
    series->shown.cluster = cluster;
    series->shown.name = cell->name;
    series->hash = hash;
    series->next = kind->all;
    series->next_same = *head;
    kind->all = *head = series;
    kind->len++;
    return series;
}

/* Cells that are new since the last sample. */
static void look_for_cells(struct fg_history *history, int which)
{
    struct kind *kind = &history->kinds[which];

    for (size_t w = 0; w < history->sources_len; w++) {
        const struct fg_metric_table *table = table_of(history->sources[w].metrics, which);
        for (size_t i = 0; i < SLOTS; i++) {
            bool *known = &kind->known[w * SLOTS + i];
            const struct fg_metric_cell *cell = *known ? NULL : __atomic_load_n(&table->cells[i], __ATOMIC_ACQUIRE);
            if (!cell)
                continue;
            struct series *series = find(kind, which, cell);
            struct part *part = fg_alloc(sizeof *part);
            *part = (struct part){cell, series->parts};
            series->parts = part;
            *known = true;
        }
    }
}

static bool is_refusal(const struct fg_metric_count *count)
{
    return count->code != FG_STATUS_OK &&
           (count->source == FG_SOURCE_BREAKER || count->source == FG_SOURCE_LIMIT || count->source == FG_SOURCE_QUEUE);
}

static struct sum read_sum(const struct series *series)
{
    struct sum sum = {0};

    for (const struct part *part = series->parts; part; part = part->next) {
        const struct fg_metric_count *count = __atomic_load_n(&part->cell->counts, __ATOMIC_ACQUIRE);
        for (; count; count = count->next) {
            uint64_t calls = fg_stat_read(&count->count);
            sum.calls += calls;
            sum.failures += count->class == FG_CLASS_FAILURE || count->class == FG_CLASS_OVERLOAD ? calls : 0;
            sum.refused += is_refusal(count) ? calls : 0;
        }
        sum.duration_ns += fg_metrics_duration_ns(part->cell);
    }
    return sum;
}

static struct fg_histogram_snapshot read_durations(const struct series *series)
{
    struct fg_histogram_snapshot durations = {0};

    for (const struct part *part = series->parts; part; part = part->next)
        fg_metrics_add_durations(part->cell, &durations);
    return durations;
}

static uint64_t read_stat(const struct fg_history *history, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < history->sources_len; i++)
        total += fg_stat_read((const uint64_t *)(const void *)((const char *)history->sources[i].stats + offset));
    return total;
}

/* What went down is read first: a gauge may be a moment old, but never below zero. */
static uint64_t read_gauge(const struct fg_history *history, size_t up, size_t down)
{
    uint64_t closed = read_stat(history, down), opened = read_stat(history, up);
    return opened > closed ? opened - closed : 0;
}

/* ---- the window ---- */

static void forget_step(struct series *series, struct step *step)
{
    series->shown.window_calls -= step->calls;
    series->shown.window_failures -= step->failures;
    series->shown.window_refused -= step->refused;
    free(step->gains);
    *step = (struct step){0};
}

static void add_gain(struct fg_histogram_snapshot *to, struct gain gain)
{
    to->count += gain.count;
    *(gain.bucket == 0 ? &to->zero_count : &to->buckets[gain.bucket - 1]) += gain.count;
}

/* Also adds them to ALL. */
static void take_gains(struct series *series, struct step *step, struct fg_histogram_snapshot *all)
{
    struct fg_histogram_snapshot durations = read_durations(series);
    struct gain gains[BUCKETS];
    size_t len = 0;

    for (int i = 0; i < BUCKETS; i++) {
        uint32_t now = (uint32_t)(i == 0 ? durations.zero_count : durations.buckets[i - 1]);
        uint32_t gain = now - series->buckets[i];
        series->buckets[i] = now;
        if (gain == 0)
            continue;
        gains[len++] = (struct gain){(uint16_t)i, gain};
        add_gain(all, gains[len - 1]);
    }
    if (len == 0)
        return;
    step->gains = fg_alloc(len * sizeof *gains);
    memcpy(step->gains, gains, len * sizeof *gains);
    step->gains_len = len;
}

/* What is read becomes the newest step; the oldest leaves. Buckets are looked at while something changes, and once
 * more: they may be a moment behind the counts. */
static void move_on(struct series *series, uint64_t taken, bool has_outcomes, struct fg_histogram_snapshot *all)
{
    struct step *step = &series->steps[taken % FG_HISTORY_WINDOW];
    struct sum now = read_sum(series), last = series->last;
    bool same = now.calls == last.calls && now.duration_ns == last.duration_ns;

    forget_step(series, step);
    step->calls = (uint32_t)(now.calls - last.calls);
    step->failures = (uint32_t)(now.failures - last.failures);
    step->refused = (uint32_t)(now.refused - last.refused);
    if (!same || !series->quiet)
        take_gains(series, step, all);
    for (size_t i = 0; i < step->gains_len && !has_outcomes; i++)
        step->calls += step->gains[i].count;
    series->quiet = same;
    series->last = now;
    series->shown.calls += step->calls;
    series->shown.failures += step->failures;
    series->shown.window_calls += step->calls;
    series->shown.window_failures += step->failures;
    series->shown.window_refused += step->refused;
}

/* ---- a sample ---- */

static void count(struct fg_history *history, const struct sum *total, struct fg_history_sample *sample)
{
    const uint64_t now[FG_HISTORY_COUNTS] = {
        [FG_HISTORY_CALLS] = total->calls,
        [FG_HISTORY_FAILURES] = total->failures,
        [FG_HISTORY_REFUSED] = total->refused,
        [FG_HISTORY_RETRIES] = read_stat(history, offsetof(struct fg_stats, retries)) +
                               read_stat(history, offsetof(struct fg_stats, transparent_retries)) +
                               read_stat(history, offsetof(struct fg_stats, hedges)),
        [FG_HISTORY_READ_BYTES] = read_stat(history, offsetof(struct fg_stats, downstream_read_bytes)),
        [FG_HISTORY_WRITTEN_BYTES] = read_stat(history, offsetof(struct fg_stats, downstream_written_bytes)),
    };

    for (int i = 0; i < FG_HISTORY_COUNTS; i++) {
        sample->counts[i] = now[i] - history->counts[i];
        history->counts[i] = now[i];
    }
}

static void gauge(const struct fg_history *history, struct fg_history_sample *sample)
{
#define GAUGE(up, down) read_gauge(history, offsetof(struct fg_stats, up), offsetof(struct fg_stats, down))
    sample->gauges[FG_HISTORY_IN_PROGRESS] = GAUGE(calls_started, calls_ended);
    sample->gauges[FG_HISTORY_QUEUED] = GAUGE(calls_queued, calls_dequeued);
    sample->gauges[FG_HISTORY_DOWNSTREAM_CONNECTIONS] =
        GAUGE(downstream_connections_opened, downstream_connections_closed);
    sample->gauges[FG_HISTORY_UPSTREAM_CONNECTIONS] = GAUGE(upstream_connections_opened, upstream_connections_closed);
#undef GAUGE
}

void fg_history_take(struct fg_history *history, uint64_t now_ns, uint64_t wall_ns)
{
    struct fg_history_sample *sample = &history->samples[history->taken % FG_HISTORY_SAMPLES];
    struct fg_histogram_snapshot durations[FG_HISTORY_KINDS] = {0};
    struct sum totals[FG_HISTORY_KINDS] = {0};
    uint64_t begun_ns = history->begun_ns;

    *sample = (struct fg_history_sample){.wall_ns = wall_ns, .took_ns = now_ns > begun_ns ? now_ns - begun_ns : 1};
    history->begun_ns = now_ns;
    for (int i = 0; i < FG_HISTORY_KINDS; i++) {
        look_for_cells(history, i);
        for (struct series *s = history->kinds[i].all; s; s = s->next) {
            move_on(s, history->taken, i != FG_HISTORY_WAITS, &durations[i]);
            totals[i].calls += s->last.calls;
            totals[i].failures += s->last.failures;
            totals[i].refused += s->last.refused;
        }
    }
    count(history, &totals[FG_HISTORY_METHODS], sample);
    gauge(history, sample);
    sample->p50_ms = fg_history_percentile_ms(&durations[FG_HISTORY_METHODS], 0.5);
    sample->p90_ms = fg_history_percentile_ms(&durations[FG_HISTORY_METHODS], 0.9);
    sample->p99_ms = fg_history_percentile_ms(&durations[FG_HISTORY_METHODS], 0.99);
    history->taken++;
}

/* ---- what it has ---- */

size_t fg_history_len(const struct fg_history *history)
{
    return (size_t)FG_MIN(history->taken, (uint64_t)FG_HISTORY_SAMPLES);
}

const struct fg_history_sample *fg_history_at(const struct fg_history *history, size_t ago)
{
    return &history->samples[(history->taken - 1 - ago) % FG_HISTORY_SAMPLES];
}

double fg_history_window_s(const struct fg_history *history)
{
    size_t len = FG_MIN(fg_history_len(history), (size_t)FG_HISTORY_WINDOW);
    uint64_t ns = 0;

    for (size_t i = 0; i < len; i++)
        ns += fg_history_at(history, i)->took_ns;
    return (double)ns / (double)FG_S;
}

static void add_durations(const struct series *series, struct fg_histogram_snapshot *to)
{
    for (int i = 0; i < FG_HISTORY_WINDOW; i++)
        for (size_t k = 0; k < series->steps[i].gains_len; k++)
            add_gain(to, series->steps[i].gains[k]);
}

void fg_history_durations(const struct fg_history_series *series, struct fg_histogram_snapshot *out)
{
    *out = (struct fg_histogram_snapshot){0};
    add_durations(FG_CONTAINER_OF(series, struct series, shown), out);
}

void fg_history_totals(const struct fg_history *history, uint64_t counts[FG_HISTORY_COUNTS],
                       struct fg_histogram_snapshot *durations)
{
    size_t len = FG_MIN(fg_history_len(history), (size_t)FG_HISTORY_WINDOW);

    memset(counts, 0, FG_HISTORY_COUNTS * sizeof *counts);
    for (size_t i = 0; i < len; i++)
        for (int k = 0; k < FG_HISTORY_COUNTS; k++)
            counts[k] += fg_history_at(history, i)->counts[k];
    *durations = (struct fg_histogram_snapshot){0};
    for (const struct series *s = history->kinds[FG_HISTORY_METHODS].all; s; s = s->next)
        add_durations(s, durations);
}

static int busiest_first(const void *a, const void *b)
{
    const struct fg_history_series *x = *(const struct fg_history_series *const *)a,
                                   *y = *(const struct fg_history_series *const *)b;

    if (x->window_calls != y->window_calls)
        return x->window_calls > y->window_calls ? -1 : 1;
    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    int order = strcmp(x->cluster, y->cluster);
    return order ? order : strcmp(x->name, y->name);
}

const struct fg_history_series **fg_history_series(const struct fg_history *history, enum fg_history_kind kind,
                                                   size_t *len)
{
    const struct fg_history_series **all = fg_alloc((history->kinds[kind].len + 1) * sizeof *all);

    *len = 0;
    for (const struct series *s = history->kinds[kind].all; s; s = s->next)
        all[(*len)++] = &s->shown;
    if (*len > 0)
        qsort(all, *len, sizeof *all, busiest_first);
    return all;
}

double fg_history_percentile_ms(const struct fg_histogram_snapshot *durations, double share)
{
    return durations->count > 0 ? (double)fg_histogram_quantile_ns(durations, share) / (double)FG_MS : -1;
}
