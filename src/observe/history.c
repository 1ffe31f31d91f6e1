#include "observe/history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

#define SLOTS FG_ARRAY_LEN(((struct fg_metric_table *)NULL)->cells)

/* What one sample added to a series. A second has fewer than 2^32 calls. */
struct step {
    uint32_t calls, failures, refused;
    uint32_t buckets[FG_DURATION_BUCKETS + 1];
};

/* Numbers of a series as they are read: since the start, over all workers. */
struct sum {
    uint64_t calls, failures, refused;
    struct fg_history_durations durations;
};

struct series {
    struct fg_history_series shown;
    struct series *next; /* of the kind */
    struct sum last, now;
    struct step *steps; /* FG_HISTORY_WINDOW of them; NULL: nothing happened in the window */
};

struct kind {
    struct series *all;
    size_t len;
    struct series **by_slot; /* of every worker: which series a cell belongs to; NULL: none yet */
};

struct fg_history {
    struct fg_history_source *sources;
    size_t sources_len;
    uint64_t begun_ns; /* when the sample to be taken next begins */
    struct kind kinds[FG_HISTORY_KINDS];
    struct series total;                /* of all methods */
    uint64_t counts[FG_HISTORY_COUNTS]; /* at the last sample */
    struct fg_history_sample samples[FG_HISTORY_SAMPLES];
    uint64_t taken; /* samples since the start; the next one's place is this modulo the ring's length */
};

/* ---- life ---- */

struct fg_history *fg_history_new(const struct fg_history_source *sources, size_t len, uint64_t now_ns)
{
    struct fg_history *history = fg_alloc_zero(sizeof *history);

    history->sources = fg_alloc(len * sizeof *sources);
    memcpy(history->sources, sources, len * sizeof *sources);
    history->sources_len = len;
    history->begun_ns = now_ns;
    for (int i = 0; i < FG_HISTORY_KINDS; i++)
        history->kinds[i].by_slot = fg_alloc_zero(len * SLOTS * sizeof(struct series *));
    return history;
}

void fg_history_free(struct fg_history *history)
{
    if (!history)
        return;
    for (int i = 0; i < FG_HISTORY_KINDS; i++) {
        for (struct series *s = history->kinds[i].all, *next; s; s = next) {
            next = s->next;
            free(s->steps);
            free(s);
        }
        free(history->kinds[i].by_slot);
    }
    free(history->total.steps);
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

/* The cells of several workers with the same names are one series; of waits the cause alone counts. Sought once per
 * cell. */
static struct series *find(struct kind *kind, int which, const struct fg_metric_cell *cell)
{
    const char *cluster = which == FG_HISTORY_WAITS ? "" : cell->cluster;
    struct series *series = kind->all;

    while (series && (strcmp(series->shown.name, cell->name) != 0 || strcmp(series->shown.cluster, cluster) != 0))
        series = series->next;
    if (series)
        return series;
    series = fg_alloc_zero(sizeof *series);
    series->shown.cluster = cluster;
    series->shown.name = cell->name;
    series->next = kind->all;
    kind->all = series;
    kind->len++;
    return series;
}

static bool is_refusal(const struct fg_metric_count *count)
{
    return count->code != FG_STATUS_OK &&
           (count->source == FG_SOURCE_BREAKER || count->source == FG_SOURCE_LIMIT || count->source == FG_SOURCE_QUEUE);
}

static void add_cell(struct sum *sum, const struct fg_metric_cell *cell)
{
    uint64_t observed = 0;
    bool counted = false;

    for (const struct fg_metric_count *count = __atomic_load_n(&cell->counts, __ATOMIC_ACQUIRE); count;
         count = count->next) {
        uint64_t calls = fg_stat_read(&count->count);
        sum->calls += calls;
        sum->failures += count->class == FG_CLASS_FAILURE || count->class == FG_CLASS_OVERLOAD ? calls : 0;
        sum->refused += is_refusal(count) ? calls : 0;
        counted = true;
    }
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++) {
        uint64_t n = fg_stat_read(&cell->buckets[i]);
        sum->durations.buckets[i] += n;
        observed += n;
    }
    if (!counted) /* waits have no outcomes */
        sum->calls += observed;
}

static void read_kind(struct fg_history *history, int which)
{
    struct kind *kind = &history->kinds[which];

    for (struct series *s = kind->all; s; s = s->next)
        s->now = (struct sum){0};
    for (size_t w = 0; w < history->sources_len; w++) {
        const struct fg_metric_table *table = table_of(history->sources[w].metrics, which);
        for (size_t i = 0; i < SLOTS; i++) {
            const struct fg_metric_cell *cell = __atomic_load_n(&table->cells[i], __ATOMIC_ACQUIRE);
            struct series **series = &kind->by_slot[w * SLOTS + i];
            if (!cell)
                continue;
            if (!*series)
                *series = find(kind, which, cell);
            add_cell(&(*series)->now, cell);
        }
    }
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

static void forget_step(struct fg_history_window *window, const struct step *step)
{
    window->calls -= step->calls;
    window->failures -= step->failures;
    window->refused -= step->refused;
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        window->durations.buckets[i] -= step->buckets[i];
}

static void add_step(struct fg_history_window *window, const struct step *step)
{
    window->calls += step->calls;
    window->failures += step->failures;
    window->refused += step->refused;
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        window->durations.buckets[i] += step->buckets[i];
}

static bool is_empty(const struct fg_history_window *window)
{
    uint64_t any = window->calls;

    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        any |= window->durations.buckets[i];
    return any == 0;
}

/* What was read becomes the newest step; the oldest leaves. */
static struct step move_on(struct series *series, uint64_t taken)
{
    const struct sum *now = &series->now, *last = &series->last;
    struct fg_history_window *window = &series->shown.window;
    struct step step = {.calls = (uint32_t)(now->calls - last->calls),
                        .failures = (uint32_t)(now->failures - last->failures),
                        .refused = (uint32_t)(now->refused - last->refused)};
    uint32_t any = step.calls;

    for (int i = 0; i <= FG_DURATION_BUCKETS; i++) {
        step.buckets[i] = (uint32_t)(now->durations.buckets[i] - last->durations.buckets[i]);
        any |= step.buckets[i];
    }
    series->last = *now;
    series->shown.calls = now->calls;
    series->shown.failures = now->failures;
    if (!series->steps && any == 0)
        return step;
    if (!series->steps)
        series->steps = fg_alloc_zero(FG_HISTORY_WINDOW * sizeof *series->steps);
    struct step *place = &series->steps[taken % FG_HISTORY_WINDOW];
    forget_step(window, place);
    *place = step;
    add_step(window, place);
    if (is_empty(window)) {
        free(series->steps);
        series->steps = NULL;
    }
    return step;
}

/* ---- a sample ---- */

static void add_sum(struct sum *to, const struct sum *sum)
{
    to->calls += sum->calls;
    to->failures += sum->failures;
    to->refused += sum->refused;
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        to->durations.buckets[i] += sum->durations.buckets[i];
}

static void set_percentiles(struct fg_history_sample *sample, const struct step *step)
{
    struct fg_history_durations durations;

    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        durations.buckets[i] = step->buckets[i];
    sample->p50_ms = fg_history_percentile_ms(&durations, 0.5);
    sample->p90_ms = fg_history_percentile_ms(&durations, 0.9);
    sample->p99_ms = fg_history_percentile_ms(&durations, 0.99);
}

static void count(struct fg_history *history, struct fg_history_sample *sample)
{
    const struct sum *total = &history->total.now;
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
    uint64_t begun_ns = history->begun_ns;

    *sample = (struct fg_history_sample){.wall_ns = wall_ns, .took_ns = now_ns > begun_ns ? now_ns - begun_ns : 1};
    history->begun_ns = now_ns;
    history->total.now = (struct sum){0};
    for (int i = 0; i < FG_HISTORY_KINDS; i++) {
        read_kind(history, i);
        for (struct series *s = history->kinds[i].all; s; s = s->next) {
            (void)move_on(s, history->taken);
            if (i == FG_HISTORY_METHODS)
                add_sum(&history->total.now, &s->now);
        }
    }
    struct step step = move_on(&history->total, history->taken);
    set_percentiles(sample, &step);
    count(history, sample);
    gauge(history, sample);
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

void fg_history_totals(const struct fg_history *history, uint64_t counts[FG_HISTORY_COUNTS],
                       struct fg_history_durations *durations)
{
    size_t len = FG_MIN(fg_history_len(history), (size_t)FG_HISTORY_WINDOW);

    memset(counts, 0, FG_HISTORY_COUNTS * sizeof *counts);
    for (size_t i = 0; i < len; i++)
        for (int k = 0; k < FG_HISTORY_COUNTS; k++)
            counts[k] += fg_history_at(history, i)->counts[k];
    *durations = history->total.shown.window.durations;
}

static int busiest_first(const void *a, const void *b)
{
    const struct fg_history_series *x = *(const struct fg_history_series *const *)a,
                                   *y = *(const struct fg_history_series *const *)b;

    if (x->window.calls != y->window.calls)
        return x->window.calls > y->window.calls ? -1 : 1;
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

double fg_history_percentile_ms(const struct fg_history_durations *durations, double share)
{
    uint64_t total = 0, before = 0;
    int i = 0;

    for (int k = 0; k <= FG_DURATION_BUCKETS; k++)
        total += durations->buckets[k];
    if (total == 0)
        return -1;
    double rank = share * (double)total;
    while (i < FG_DURATION_BUCKETS && (double)(before + durations->buckets[i]) < rank)
        before += durations->buckets[i++];
    double low_us = i > 0 ? (double)fg_duration_bounds_us[i - 1] : 0;
    if (i == FG_DURATION_BUCKETS || durations->buckets[i] == 0) /* the last bucket has no upper bound */
        return low_us / 1000;
    double high_us = (double)fg_duration_bounds_us[i];
    return (low_us + (high_us - low_us) * (rank - (double)before) / (double)durations->buckets[i]) / 1000;
}
