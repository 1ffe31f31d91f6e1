#include "observe/metrics.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "base/time.h"

const uint64_t fg_duration_bounds_us[FG_DURATION_BUCKETS] = {
    50,     100,    200,    500,     1000,    2000,    5000,     10000,    20000,    50000,
    100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000,
};

static bool is_cell(const struct fg_metric_cell *cell, uint32_t hash, struct fg_str cluster, struct fg_str name)
{
    return cell->hash == hash && strlen(cell->name) == name.len && memcmp(cell->name, name.p, name.len) == 0 &&
           strlen(cell->cluster) == cluster.len && memcmp(cell->cluster, cluster.p, cluster.len) == 0;
}

static char *copy(struct fg_str s)
{
    char *p = fg_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

static struct fg_metric_cell *find(struct fg_metric_table *table, struct fg_str cluster, struct fg_str name)
{
    uint32_t hash = fg_hash(name.p, name.len, fg_hash(cluster.p, cluster.len, 0));
    uint32_t i = hash % FG_ARRAY_LEN(table->cells);

    for (; table->cells[i]; i = (i + 1) % FG_ARRAY_LEN(table->cells))
        if (is_cell(table->cells[i], hash, cluster, name))
            return table->cells[i];
    if (table->len >= FG_METRICS_CELLS_MAX - 1 && !fg_str_eq(name, FG_STR("other")))
        return find(table, FG_STR(""), FG_STR("other"));
    struct fg_metric_cell *cell = fg_alloc_zero(sizeof *cell);
    cell->cluster = copy(cluster);
    cell->name = copy(name);
    cell->hash = hash;
    table->len++;
    __atomic_store_n(&table->cells[i], cell, __ATOMIC_RELEASE);
    return cell;
}

static void count(struct fg_metric_cell *cell, const struct fg_outcome *outcome)
{
    struct fg_metric_count *at = cell->counts;

    while (at && (at->code != outcome->code || at->source != outcome->source || at->class != outcome->class))
        at = at->next;
    if (!at) {
        at = fg_alloc_zero(sizeof *at);
        *at = (struct fg_metric_count){.next = cell->counts,
                                       .code = (uint8_t)outcome->code,
                                       .source = (uint8_t)outcome->source,
                                       .class = (uint8_t)outcome->class};
        __atomic_store_n(&cell->counts, at, __ATOMIC_RELEASE);
    }
    fg_stat_add(&at->count, 1);
}

static void observe(struct fg_metric_cell *cell, uint64_t duration_ns)
{
    unsigned low = 0, high = FG_DURATION_BUCKETS;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (duration_ns <= fg_duration_bounds_us[middle] * FG_US)
            high = middle;
        else
            low = middle + 1;
    }
    fg_stat_add(&cell->buckets[low], 1);
    fg_histogram_observe(&cell->durations, duration_ns);
}

void fg_metrics_call(struct fg_metrics *metrics, const struct fg_outcome *outcome)
{
    /* A call without a route has whatever path the client liked: not worth a cell of its own. */
    struct fg_str method = outcome->cluster.len > 0 ? outcome->method : FG_STR("other");
    struct fg_metric_cell *cell = find(&metrics->calls, outcome->cluster, method);

    count(cell, outcome);
    observe(cell, outcome->end_ns - outcome->start_ns);
}

void fg_metrics_attempt(struct fg_metrics *metrics, const struct fg_outcome *outcome)
{
    struct fg_metric_cell *cell = find(&metrics->attempts, outcome->cluster, outcome->endpoint);

    count(cell, outcome);
    observe(cell, outcome->end_ns - outcome->start_ns);
}

void fg_metrics_wait(struct fg_metrics *metrics, struct fg_str route, enum fg_wait_cause cause, uint64_t waited_ns)
{
    observe(find(&metrics->waits, route, fg_str_from(fg_wait_name(cause))), waited_ns);
}

void fg_metrics_init(struct fg_metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
}

static void cleanup_table(struct fg_metric_table *table)
{
    for (size_t i = 0; i < FG_ARRAY_LEN(table->cells); i++) {
        struct fg_metric_cell *cell = table->cells[i];
        if (!cell)
            continue;
        while (cell->counts) {
            struct fg_metric_count *next = cell->counts->next;
            free(cell->counts);
            cell->counts = next;
        }
        free(cell->cluster);
        free(cell->name);
        free(cell);
        table->cells[i] = NULL;
    }
}

void fg_metrics_cleanup(struct fg_metrics *metrics)
{
    cleanup_table(&metrics->calls);
    cleanup_table(&metrics->attempts);
    cleanup_table(&metrics->waits);
}
