#include "observe/metric_series.h"

#include <stdlib.h>

#include "base/mem.h"

static void add(uint64_t *to, const uint64_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] += fg_stat_read(&from[i]);
}

static void add_sizes(struct fg_metric_sizes *to, const struct fg_metric_sizes *from)
{
    to->sum += fg_stat_read(&from->sum);
    add(to->buckets, from->buckets, FG_ARRAY_LEN(to->buckets));
}

static void add_tries(struct fg_metric_tries *to, const struct fg_metric_tries *from)
{
    to->sum += fg_stat_read(&from->sum);
    add(to->buckets, from->buckets, FG_ARRAY_LEN(to->buckets));
}

static void add_exemplars(struct fg_metric_series *series, const struct fg_metric_cell *cell)
{
    const struct fg_exemplar_slot *slots = __atomic_load_n(&cell->exemplars, __ATOMIC_ACQUIRE);

    for (int i = 0; slots && i <= FG_DURATION_BUCKETS; i++) {
        struct fg_exemplar found;
        uint64_t value_ns;
        if (!fg_exemplar_get(&slots[i], &found, &value_ns) || found.wall_ns < series->exemplars[i].trace.wall_ns)
            continue;
        series->exemplars[i] = (struct fg_metric_exemplar){found, (double)value_ns / 1e9};
        series->has_exemplars = true;
    }
}

static void add_durations(const struct fg_metric_durations *from, uint64_t *buckets,
                          struct fg_histogram_snapshot *durations)
{
    if (!from)
        return;
    add(buckets, from->buckets, FG_ARRAY_LEN(from->buckets));
    fg_histogram_add_to(durations, &from->exponential);
}

void fg_metric_add_status(const struct fg_metric_series *series, size_t offset, enum fg_status code, uint64_t *buckets,
                          struct fg_histogram_snapshot *durations)
{
    for (size_t i = 0; i < series->cells_len; i++) {
        struct fg_metric_durations *const *statuses = (const void *)((const char *)series->cells[i] + offset);
        add_durations(__atomic_load_n(&statuses[code], __ATOMIC_ACQUIRE), buckets, durations);
    }
}

static void add_cell(struct fg_metric_series *series, const struct fg_metric_cell *cell)
{
    for (const struct fg_metric_count *count = __atomic_load_n(&cell->counts, __ATOMIC_ACQUIRE); count;
         count = count->next)
        series->classes[count->code][count->source][count->class] += fg_stat_read(&count->count);
    /* What went down is read first: what is open may be a moment old, but never below zero. */
    series->ended += fg_stat_read(&cell->ended);
    series->started += fg_stat_read(&cell->started);
    series->attempts += fg_stat_read(&cell->attempts);
    add_durations(&cell->durations, series->buckets, &series->durations);
    for (int code = 0; code < FG_STATUS_LEN; code++)
        add_durations(__atomic_load_n(&cell->statuses[code], __ATOMIC_ACQUIRE), series->buckets, &series->durations);
    add_sizes(&series->sent, &cell->sent);
    add_sizes(&series->received, &cell->received);
    add_sizes(&series->attempt_sent, &cell->attempt_sent);
    add_sizes(&series->attempt_received, &cell->attempt_received);
    add_tries(&series->retries, &cell->retries);
    add_tries(&series->transparent_retries, &cell->transparent_retries);
    add_tries(&series->hedges, &cell->hedges);
    series->retry_delay_ns += fg_stat_read(&cell->retry_delay_ns);
    add(series->retry_delay_buckets, cell->retry_delay_buckets, FG_ARRAY_LEN(series->retry_delay_buckets));
    add_exemplars(series, cell);
}

static int compare(const void *a, const void *b)
{
    const struct fg_metric_cell *x = *(const struct fg_metric_cell *const *)a;
    const struct fg_metric_cell *y = *(const struct fg_metric_cell *const *)b;
    int names = strcmp(x->name, y->name);
    return names ? names : strcmp(x->cluster, y->cluster);
}

/* All cells, sorted; *LEN of them. */
static const struct fg_metric_cell **list_cells(const struct fg_metric_view *view, size_t table_offset, size_t *len)
{
    size_t most = FG_MAX(view->sources_len, (size_t)1) * 2 * FG_METRICS_CELLS_MAX;
    const struct fg_metric_cell **cells = fg_alloc_zero(most * sizeof *cells);

    *len = 0;
    for (size_t w = 0; w < view->sources_len; w++) {
        const struct fg_metric_table *table =
            (const struct fg_metric_table *)(const void *)((const char *)view->sources[w].metrics + table_offset);
        for (size_t i = 0; i < FG_ARRAY_LEN(table->cells); i++) {
            const struct fg_metric_cell *cell = __atomic_load_n(&table->cells[i], __ATOMIC_ACQUIRE);
            if (cell)
                cells[(*len)++] = cell;
        }
    }
    qsort(cells, *len, sizeof *cells, compare);
    return cells;
}

static bool begins_series(const struct fg_metric_cell *const *cells, size_t i)
{
    return i == 0 || compare(&cells[i - 1], &cells[i]) != 0;
}

void fg_metric_collect(struct fg_metric_all *all, const struct fg_metric_view *view, size_t table_offset)
{
    size_t cells_len, series_len = 0;
    const struct fg_metric_cell **cells = list_cells(view, table_offset, &cells_len);

    for (size_t i = 0; i < cells_len; i++)
        series_len += begins_series(cells, i);
    *all = (struct fg_metric_all){.series = fg_alloc_zero(FG_MAX(series_len, (size_t)1) * sizeof *all->series),
                                  .cells = cells};
    for (size_t i = 0; i < cells_len; i++) {
        if (begins_series(cells, i)) {
            struct fg_metric_series *next = &all->series[all->len++];
            next->cluster = cells[i]->cluster;
            next->name = cells[i]->name;
            next->cells = &cells[i];
        }
        struct fg_metric_series *series = &all->series[all->len - 1];
        series->cells_len++;
        add_cell(series, cells[i]);
    }
}

void fg_metric_collect_free(struct fg_metric_all *all)
{
    free(all->series);
    free(all->cells);
    *all = (struct fg_metric_all){0};
}
