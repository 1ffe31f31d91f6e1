#include "observe/prometheus.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "h1/fault.h"
#include "h2/fault.h"

/* ---- parts of the format ---- */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP fusegate_%s %s\n# TYPE fusegate_%s %s\n", name, help, name, type);
}

/* Method names are what clients like to send: quotes and line feeds are escaped, and what is not ASCII is replaced,
 * since the format wants valid UTF-8. */
static void label(FILE *out, const char *name, struct fg_str value, char before)
{
    fprintf(out, "%c%s=\"", before, name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else
            fputc(c < 0x20 || c >= 0x7f ? '?' : c, out);
    }
    fputc('"', out);
}

static void label_text(FILE *out, const char *name, const char *value, char before)
{
    label(out, name, fg_str_from(value), before);
}

/* ---- counters and gauges of the workers ---- */

static const struct {
    const char *name, *help;
    size_t offset;
} counters[] = {
#define X(field, help) {#field, help, offsetof(struct fg_stats, field)},
    FG_STATS(X)
#undef X
};

static uint64_t sum(const struct fg_prometheus *what, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < what->sources_len; i++)
        total += fg_stat_read((const uint64_t *)(const void *)((const char *)what->sources[i].stats + offset));
    return total;
}

static void put_counters(const struct fg_prometheus *what, FILE *out)
{
    char name[80];

    for (size_t i = 0; i < FG_ARRAY_LEN(counters); i++) {
        uint64_t value = sum(what, counters[i].offset);
        size_t len = strlen(counters[i].name);
        bool is_time = len > 3 && strcmp(counters[i].name + len - 3, "_us") == 0; /* Prometheus counts in seconds */
        snprintf(name, sizeof name, "%.*s_total", (int)(is_time ? len - 3 : len), counters[i].name);
        if (is_time)
            snprintf(name + len - 3, sizeof name - len, "_seconds_total");
        head(out, name, "counter", counters[i].help);
        if (is_time)
            fprintf(out, "fusegate_%s %.6f\n", name, (double)value / 1e6);
        else
            fprintf(out, "fusegate_%s %llu\n", name, (unsigned long long)value);
    }
    head(out, "log_dropped_total", "counter", "Messages dropped because standard error could not take them");
    fprintf(out, "fusegate_log_dropped_total %llu\n", (unsigned long long)fg_log_dropped());
}

static void put_gauges(const struct fg_prometheus *what, FILE *out)
{
#define GAUGE(name, up, down, help)                                                                                    \
    {                                                                                                                  \
        name, help, offsetof(struct fg_stats, up), offsetof(struct fg_stats, down)                                     \
    }
    static const struct {
        const char *name, *help;
        size_t up, down;
    } gauges[] = {
        GAUGE("downstream_connections", downstream_connections_opened, downstream_connections_closed,
              "Connections of clients that are open"),
        GAUGE("downstream_streams", downstream_streams_opened, downstream_streams_closed,
              "Streams of clients that are open"),
        GAUGE("upstream_connections", upstream_connections_opened, upstream_connections_closed,
              "Connections to endpoints that are open or being made"),
        GAUGE("upstream_streams", upstream_streams_opened, upstream_streams_closed,
              "Streams to endpoints that are open"),
        GAUGE("calls_active", calls_started, calls_ended, "Calls in progress"),
        GAUGE("attempts_active", attempts_started, attempts_ended, "Attempts in progress"),
        GAUGE("taps_active", taps_opened, taps_closed, "Sessions of /tap in progress"),
        GAUGE("calls_pending", calls_queued, calls_dequeued, "Calls that wait for a connection or stream slot"),
    };
#undef GAUGE

    for (size_t i = 0; i < FG_ARRAY_LEN(gauges); i++) {
        /* What went down is read first: a gauge may be a moment old, but never below zero. */
        uint64_t down = sum(what, gauges[i].down), up = sum(what, gauges[i].up);
        head(out, gauges[i].name, "gauge", gauges[i].help);
        fprintf(out, "fusegate_%s %lld\n", gauges[i].name, (long long)(up - down));
    }
}

static void put_fault(const struct fg_prometheus *what, const uint64_t *const *counts, int fault, const char *protocol,
                      const char *name, FILE *out)
{
    uint64_t total = 0;

    for (size_t i = 0; i < what->fault_counts_len; i++)
        total += fg_stat_read(&counts[i][fault]);
    fprintf(out, "fusegate_protocol_faults_total{protocol=\"%s\",cause=\"", protocol);
    for (const char *p = name; *p; p++)
        fputc(tolower((unsigned char)*p), out);
    fprintf(out, "\"} %llu\n", (unsigned long long)total);
}

static void put_faults(const struct fg_prometheus *what, FILE *out)
{
    head(out, "protocol_faults_total", "counter", "What peers did wrong, by cause");
    for (int fault = FG_H2_FAULT_NONE + 1; fault < FG_H2_FAULT_LEN; fault++)
        put_fault(what, what->fault_counts, fault, "h2", fg_h2_fault_info((enum fg_h2_fault)fault)->name, out);
    for (int fault = FG_H1_FAULT_NONE + 1; fault < FG_H1_FAULT_LEN; fault++)
        put_fault(what, what->h1_fault_counts, fault, "h1", fg_h1_fault_info((enum fg_h1_fault)fault)->name, out);
}

/* ---- calls and attempts: the same cluster and name of several workers are one series ---- */

struct series {
    const char *cluster, *name;
    uint64_t classes[FG_STATUS_LEN][FG_SOURCE_LEN][4];
    uint64_t buckets[FG_DURATION_BUCKETS + 1];
    uint64_t duration_ns;
    struct series *next;
};

static struct series *find_series(struct series **all, const struct fg_metric_cell *cell)
{
    struct series **at = all;

    while (*at && (strcmp((*at)->cluster, cell->cluster) != 0 || strcmp((*at)->name, cell->name) != 0))
        at = &(*at)->next;
    if (!*at) {
        *at = fg_alloc_zero(sizeof **at);
        (*at)->cluster = cell->cluster;
        (*at)->name = cell->name;
    }
    return *at;
}

static void add_cell(struct series *series, const struct fg_metric_cell *cell)
{
    for (const struct fg_metric_count *count = __atomic_load_n(&cell->counts, __ATOMIC_ACQUIRE); count;
         count = count->next)
        series->classes[count->code][count->source][count->class] += fg_stat_read(&count->count);
    for (int i = 0; i <= FG_DURATION_BUCKETS; i++)
        series->buckets[i] += fg_stat_read(&cell->buckets[i]);
    series->duration_ns += fg_stat_read(&cell->durations.sum_ns);
}

static struct series *collect(const struct fg_prometheus *what, size_t table_offset)
{
    struct series *all = NULL;

    for (size_t w = 0; w < what->sources_len; w++) {
        const struct fg_metric_table *table =
            (const struct fg_metric_table *)(const void *)((const char *)what->sources[w].metrics + table_offset);
        for (size_t i = 0; i < FG_ARRAY_LEN(table->cells); i++) {
            const struct fg_metric_cell *cell = __atomic_load_n(&table->cells[i], __ATOMIC_ACQUIRE);
            if (cell)
                add_cell(find_series(&all, cell), cell);
        }
    }
    return all;
}

static void put_counts(const struct series *all, const char *metric, const char *name_label, FILE *out)
{
    for (const struct series *s = all; s; s = s->next)
        for (int code = 0; code < FG_STATUS_LEN; code++)
            for (int source = 0; source < FG_SOURCE_LEN; source++)
                for (int class = 0; class < 4; class ++) {
                    if (s->classes[code][source][class] == 0)
                        continue;
                    fprintf(out, "fusegate_%s", metric);
                    label_text(out, "cluster", s->cluster, '{');
                    label_text(out, name_label, s->name, ',');
                    label_text(out, "code", fg_status_name((enum fg_status)code), ',');
                    label_text(out, "source", fg_source_name((enum fg_source)source), ',');
                    label_text(out, "class", fg_class_name((enum fg_class) class), ',');
                    fprintf(out, "} %llu\n", (unsigned long long)s->classes[code][source][class]);
                }
}

/* METRIC has the names of the two labels that tell its series apart. */
struct histogram {
    const char *name, *first, *second;
};

static void put_series(const struct histogram *metric, const char *suffix, const struct series *s, FILE *out)
{
    fprintf(out, "fusegate_%s_%s", metric->name, suffix);
    label_text(out, metric->first, s->cluster, '{');
    label_text(out, metric->second, s->name, ',');
}

static void put_histogram(const struct histogram *metric, const struct series *all, FILE *out)
{
    for (const struct series *s = all; s; s = s->next) {
        uint64_t total = 0;
        for (int i = 0; i <= FG_DURATION_BUCKETS; i++) {
            total += s->buckets[i];
            put_series(metric, "bucket", s, out);
            if (i < FG_DURATION_BUCKETS)
                fprintf(out, ",le=\"%g\"} %llu\n", (double)fg_duration_bounds_us[i] / 1e6, (unsigned long long)total);
            else
                fprintf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)total);
        }
        put_series(metric, "sum", s, out);
        fprintf(out, "} %.9f\n", (double)s->duration_ns / 1e9);
        put_series(metric, "count", s, out);
        fprintf(out, "} %llu\n", (unsigned long long)total);
    }
}

static void free_series(struct series *all)
{
    while (all) {
        struct series *next = all->next;
        free(all);
        all = next;
    }
}

static void put_calls(const struct fg_prometheus *what, FILE *out)
{
    struct series *calls = collect(what, offsetof(struct fg_metrics, calls));
    struct series *attempts = collect(what, offsetof(struct fg_metrics, attempts));
    struct series *waits = collect(what, offsetof(struct fg_metrics, waits));

    head(out, "calls_total", "counter", "Calls by their outcome");
    put_counts(calls, "calls_total", "method", out);
    head(out, "attempts_total", "counter", "Attempts on endpoints by their outcome");
    put_counts(attempts, "attempts_total", "endpoint", out);
    head(out, "call_duration_seconds", "histogram", "From the request's headers to the end of the answer");
    put_histogram(&(struct histogram){"call_duration_seconds", "cluster", "method"}, calls, out);
    head(out, "call_wait_seconds", "histogram",
         "How long calls made no progress although there was something to do, by cause");
    put_histogram(&(struct histogram){"call_wait_seconds", "route", "cause"}, waits, out);
    free_series(waits);
    free_series(calls);
    free_series(attempts);
}

/* ---- breakers ---- */

enum breaker_metric { STATE, TRIPS, REFUSED };

struct breaker_page {
    const struct fg_prometheus *what;
    FILE *out;
    enum breaker_metric metric;
};

static void put_breaker(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                        struct fg_breaker *breaker)
{
    static const char *const names[] = {"breaker_state", "breaker_trips_total", "breaker_refused_total"};
    const struct breaker_page *page = context;
    const struct fg_config_breaker *config = page->what->breaker_config(page->what->context, cluster);
    struct fg_breaker_info info;

    if (!config)
        return;
    fg_breaker_describe(breaker, config, page->what->now_ns, &info);
    uint64_t values[] = {info.state, info.trips, info.refused};
    fprintf(page->out, "fusegate_%s", names[page->metric]);
    label(page->out, "cluster", cluster, '{');
    label(page->out, "endpoint", endpoint, ',');
    label(page->out, "method", method, ',');
    fprintf(page->out, "} %llu\n", (unsigned long long)values[page->metric]);
}

static void put_breakers(const struct fg_prometheus *what, FILE *out)
{
    struct breaker_page page = {what, out, STATE};

    head(out, "breaker_state", "gauge", "0 closed, 1 open, 2 half-open; method \"\" is the endpoint as a whole");
    fg_breaker_each(what->breakers, put_breaker, &page);
    page.metric = TRIPS;
    head(out, "breaker_trips_total", "counter", "Times that the breaker opened");
    fg_breaker_each(what->breakers, put_breaker, &page);
    page.metric = REFUSED;
    head(out, "breaker_refused_total", "counter", "Calls that the breaker refused");
    fg_breaker_each(what->breakers, put_breaker, &page);
}

void fg_prometheus_render(const struct fg_prometheus *what, FILE *out)
{
    put_counters(what, out);
    put_gauges(what, out);
    put_faults(what, out);
    put_calls(what, out);
    put_breakers(what, out);
}
