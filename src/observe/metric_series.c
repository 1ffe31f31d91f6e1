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

static void add_cell(struct fg_metric_series *series, const struct fg_metric_cell *cell)
{
    for (const struct fg_metric_count *count = __atomic_load_n(&cell->counts, __ATOMIC_ACQUIRE); count;
         count = count->next)
        series->classes[count->code][count->source][count->class] += fg_stat_read(&count->count);
    /* What went down is read first: what is open may be a moment old, but never below zero. */
    series->ended += fg_stat_read(&cell->ended);
    series->started += fg_stat_read(&cell->started);
    series->attempts += fg_stat_read(&cell->attempts);
    fg_histogram_add_to(&series->durations, &cell->durations);
    add(series->buckets, cell->buckets, FG_ARRAY_LEN(series->buckets));
    add_sizes(&series->sent, &cell->sent);
    add_sizes(&series->received, &cell->received);
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
    *all = (struct fg_metric_all){.series = fg_alloc_zero(FG_MAX(series_len, (size_t)1) * sizeof *all->series)};
    for (size_t i = 0; i < cells_len; i++) {
        all->len += begins_series(cells, i);
        struct fg_metric_series *series = &all->series[all->len - 1];
        series->cluster = cells[i]->cluster;
        series->name = cells[i]->name;
        add_cell(series, cells[i]);
    }
    free(cells);
}

void fg_metric_collect_free(struct fg_metric_all *all)
{
    free(all->series);
    all->series = NULL;
    all->len = 0;
}
