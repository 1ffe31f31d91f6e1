#include "observe/metrics.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "base/time.h"

const uint64_t fg_duration_bounds_us[FG_DURATION_BUCKETS] = {
    50,     100,    200,    500,     1000,    2000,    5000,     10000,    20000,    50000,
    100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000,
};

const uint64_t fg_size_bounds[FG_SIZE_BUCKETS] = {
    1024, 2048, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, 268435456, 1073741824, 4294967296,
};

const uint64_t fg_try_bounds[FG_TRY_BUCKETS] = {1, 2, 3, 4, 5};

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
    uint32_t hash = fg_hash(name.p, name.len, fg_hash(cluster.p, cluster.len, table->seed));
    uint32_t i = hash % FG_ARRAY_LEN(table->cells);

    for (; table->cells[i]; i = (i + 1) % FG_ARRAY_LEN(table->cells))
        if (is_cell(table->cells[i], hash, cluster, name))
            return table->cells[i];
    if (table->len >= FG_METRICS_CELLS_MAX - 1 && !fg_str_eq(name, FG_STR("other"))) {
        fg_stat_add(&table->others, 1);
        return find(table, FG_STR(""), FG_STR("other"));
    }
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

/* The first of LEN bounds, each SCALE times as large, that VALUE is not over; LEN: none. */
static unsigned find_bucket(const uint64_t *bounds, unsigned len, uint64_t scale, uint64_t value)
{
    unsigned low = 0, high = len;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (value <= bounds[middle] * scale)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static unsigned observe(struct fg_metric_durations *durations, uint64_t duration_ns)
{
    unsigned bucket = find_bucket(fg_duration_bounds_us, FG_DURATION_BUCKETS, FG_US, duration_ns);

    fg_histogram_observe(&durations->exponential, duration_ns);
    fg_stat_add(&durations->buckets[bucket], 1);
    return bucket;
}

static struct fg_metric_durations *of_status(struct fg_metric_durations **statuses, enum fg_status code)
{
    struct fg_metric_durations *durations = statuses[code];

    if (!durations) {
        durations = fg_alloc_zero(sizeof *durations);
        __atomic_store_n(&statuses[code], durations, __ATOMIC_RELEASE);
    }
    return durations;
}

static void observe_size(struct fg_metric_sizes *sizes, uint64_t bytes, uint64_t messages)
{
    /* What the messages take without their prefixes (gRFC A66); a last one may be cut. */
    uint64_t size = bytes > 5 * messages ? bytes - 5 * messages : 0;

    fg_stat_add(&sizes->buckets[find_bucket(fg_size_bounds, FG_SIZE_BUCKETS, 1, size)], 1);
    fg_stat_add(&sizes->sum, size);
}

static void observe_tries(struct fg_metric_tries *tries, unsigned count)
{
    if (count == 0)
        return; /* gRFC A96: not reported */
    fg_stat_add(&tries->buckets[find_bucket(fg_try_bounds, FG_TRY_BUCKETS, 1, count)], 1);
    fg_stat_add(&tries->sum, count);
}

static void count_tries(struct fg_metric_cell *cell, const struct fg_outcome *outcome)
{
    uint64_t delay_ns = outcome->retry_delay_ns;

    observe_tries(&cell->retries, outcome->retries);
    observe_tries(&cell->transparent_retries, outcome->transparent_retries);
    observe_tries(&cell->hedges, outcome->hedges);
    if (delay_ns == 0)
        return;
    fg_stat_add(&cell->retry_delay_buckets[find_bucket(fg_duration_bounds_us, FG_DURATION_BUCKETS, FG_US, delay_ns)],
                1);
    fg_stat_add(&cell->retry_delay_ns, delay_ns);
}

static void keep_exemplar(struct fg_metric_cell *cell, unsigned bucket, const struct fg_exemplar *exemplar,
                          uint64_t duration_ns)
{
    struct fg_exemplar_slot *exemplars = cell->exemplars;

    if (!exemplars) {
        exemplars = fg_alloc_zero((FG_DURATION_BUCKETS + 1) * sizeof *exemplars);
        __atomic_store_n(&cell->exemplars, exemplars, __ATOMIC_RELEASE);
    }
    fg_exemplar_put(&exemplars[bucket], exemplar, duration_ns);
}

struct fg_metric_cell *fg_metrics_call_started(struct fg_metrics *metrics, struct fg_str cluster, struct fg_str method)
{
    /* A call without a route has whatever path the client liked: not worth a cell of its own. */
    struct fg_metric_cell *cell = find(&metrics->calls, cluster, cluster.len > 0 ? method : FG_STR("other"));

    fg_stat_add(&cell->started, 1);
    return cell;
}

void fg_metrics_attempt_started(struct fg_metric_cell *call)
{
    fg_stat_add(&call->attempts, 1);
}

void fg_metrics_call(struct fg_metric_cell *cell, const struct fg_outcome *outcome, const struct fg_exemplar *exemplar)
{
    uint64_t duration_ns = outcome->end_ns - outcome->start_ns;

    fg_stat_add(&cell->ended, 1);
    count(cell, outcome);
    unsigned bucket = observe(of_status(cell->statuses, outcome->code), duration_ns);
    observe_size(&cell->sent, outcome->bytes_down, outcome->messages_down);
    observe_size(&cell->received, outcome->bytes_up, outcome->messages_up);
    if (outcome->retries | outcome->transparent_retries | outcome->hedges)
        count_tries(cell, outcome);
    if (exemplar)
        keep_exemplar(cell, bucket, exemplar, duration_ns);
}

void fg_metrics_attempt(struct fg_metrics *metrics, struct fg_metric_cell *call, const struct fg_outcome *outcome)
{
    struct fg_metric_cell *cell = find(&metrics->attempts, outcome->cluster, outcome->endpoint);

    count(cell, outcome);
    observe(&cell->durations, outcome->end_ns - outcome->start_ns);
    observe(of_status(call->attempt_statuses, outcome->code), outcome->end_ns - outcome->start_ns);
    observe_size(&call->attempt_sent, outcome->bytes_up, outcome->messages_up);
    observe_size(&call->attempt_received, outcome->bytes_down, outcome->messages_down);
}

struct fg_metric_cell *fg_metrics_add_wait(struct fg_metrics *metrics, size_t route, struct fg_str name,
                                           enum fg_wait_cause cause)
{
    struct fg_metric_cell *cell = find(&metrics->waits, name, fg_str_from(fg_wait_name(cause)));

    metrics->routes[route * FG_WAIT_LEN + cause] = cell;
    return cell;
}

void fg_metrics_wait(struct fg_metric_cell *cell, uint64_t waited_ns)
{
    observe(&cell->durations, waited_ns);
}

void fg_metrics_add_durations(const struct fg_metric_cell *cell, struct fg_histogram_snapshot *sum)
{
    fg_histogram_add_to(sum, &cell->durations.exponential);
    for (int code = 0; code < FG_STATUS_LEN; code++) {
        const struct fg_metric_durations *durations = __atomic_load_n(&cell->statuses[code], __ATOMIC_ACQUIRE);
        if (durations)
            fg_histogram_add_to(sum, &durations->exponential);
    }
}

uint64_t fg_metrics_duration_ns(const struct fg_metric_cell *cell)
{
    uint64_t sum_ns = fg_stat_read(&cell->durations.exponential.sum_ns);

    for (int code = 0; code < FG_STATUS_LEN; code++) {
        const struct fg_metric_durations *durations = __atomic_load_n(&cell->statuses[code], __ATOMIC_ACQUIRE);
        if (durations)
            sum_ns += fg_stat_read(&durations->exponential.sum_ns);
    }
    return sum_ns;
}

void fg_metrics_init(struct fg_metrics *metrics, size_t routes, uint32_t seed)
{
    memset(metrics, 0, sizeof *metrics);
    metrics->calls.seed = metrics->attempts.seed = metrics->waits.seed = seed;
    metrics->routes = fg_alloc_zero(FG_MAX(routes, (size_t)1) * FG_WAIT_LEN * sizeof(struct fg_metric_cell *));
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
        for (int code = 0; code < FG_STATUS_LEN; code++) {
            free(cell->statuses[code]);
            free(cell->attempt_statuses[code]);
        }
        free(cell->exemplars);
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
    free(metrics->routes);
    metrics->routes = NULL;
}
