/* Endpoints, limits and breakers of /overview. */
#include <stdlib.h>

#include "gateway/overview_int.h"

/* ---- what workers alone know ---- */

static bool fill_load(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    (void)context;
    (void)state;

    for (size_t i = 0; i < worker->clusters_len; i++) {
        for (size_t e = 0; e < worker->clusters[i].endpoints_len; e++) {
            const struct fg_endpoint *endpoint = &worker->clusters[i].endpoints[e];
            struct fg_overview_load load = {.connections = endpoint->conns_len};
            for (uint32_t c = 0; c < endpoint->conns_len; c++)
                load.streams += fg_conn_load(endpoint->conns[c]).open;
            fwrite(&load, sizeof load, 1, out);
        }
    }
    return true;
}

struct fg_overview_load *fg_overview_ask_load(struct fg_gateway *gateway, bool *complete)
{
    struct fg_overview_load *loads, part;
    char *text = NULL;
    size_t bytes = 0, len = 0;

    for (size_t i = 0; i < gateway->config->clusters_len; i++)
        len += gateway->config->clusters[i].endpoints_len;
    loads = fg_alloc_zero((len + 1) * sizeof *loads);
    *complete = false;
    FILE *parts = open_memstream(&text, &bytes);
    if (!parts)
        return loads;
    *complete = fg_gateway_ask(gateway, fill_load, NULL, 0, "", parts);
    fclose(parts);
    for (size_t at = 0; len > 0 && at + sizeof part <= bytes; at += sizeof part) {
        struct fg_overview_load *load = &loads[at / sizeof part % len];
        memcpy(&part, text + at, sizeof part);
        load->connections += part.connections;
        load->streams += part.streams;
    }
    free(text);
    return loads;
}

/* ---- endpoints ---- */

static const struct fg_history_series *find(const struct fg_history_series *const *all, size_t len, const char *cluster,
                                            const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(all[i]->name, name) == 0 && strcmp(all[i]->cluster, cluster) == 0)
            return all[i];
    return NULL;
}

static enum fg_breaker_state state_of(struct fg_gateway *gateway, const struct fg_config_cluster *cluster,
                                      struct fg_str endpoint)
{
    struct fg_breaker *breaker = fg_breaker_get(gateway->breakers, fg_str_from(cluster->name), endpoint, FG_STR(""));
    struct fg_breaker_info info;

    fg_breaker_describe(breaker, &cluster->breaker, fg_clock_now_ns(), &info);
    return info.state;
}

static void put_endpoint(struct fg_gateway *gateway, const struct fg_config_cluster *cluster,
                         const struct fg_config_endpoint *endpoint, const struct fg_history_series *series,
                         double window_s, const struct fg_overview_load *load, FILE *out)
{
    struct fg_str name = fg_str_from(endpoint->address);
    struct fg_histogram_snapshot durations = {0};
    uint64_t attempts = series ? series->window_calls : 0, failures = series ? series->window_failures : 0;

    if (series)
        fg_history_durations(series, &durations);
    fg_inspect_put_field(out, "cluster", fg_str_from(cluster->name));
    fputs(", ", out);
    fg_inspect_put_field(out, "endpoint", name);
    fg_overview_put_rate(out, "attempts_per_s", attempts, window_s);
    fg_overview_put_rate(out, "failures_per_s", failures, window_s);
    fg_overview_put_ms(out, "p50_ms", fg_history_percentile_ms(&durations, 0.5));
    fg_overview_put_ms(out, "p99_ms", fg_history_percentile_ms(&durations, 0.99));
    fprintf(out, ", \"attempts\": %llu, \"failures\": %llu, \"connections\": %u, \"streams\": %u, \"breaker\": \"%s\"}",
            (unsigned long long)(series ? series->calls : 0), (unsigned long long)(series ? series->failures : 0),
            load->connections, load->streams, fg_breaker_state_name(state_of(gateway, cluster, name)));
}

void fg_overview_put_endpoints(struct fg_gateway *gateway, const struct fg_history_series *const *all, size_t len,
                               double window_s, const struct fg_overview_load *loads, FILE *out)
{
    const struct fg_config *config = gateway->config;
    const char *separator = "\n {";

    fputs("\"endpoints\": [", out);
    for (size_t i = 0; i < config->clusters_len; i++) {
        const struct fg_config_cluster *cluster = &config->clusters[i];
        for (size_t e = 0; e < cluster->endpoints_len; e++, loads++) {
            const struct fg_config_endpoint *endpoint = &cluster->endpoints[e];
            fputs(separator, out);
            put_endpoint(gateway, cluster, endpoint, find(all, len, cluster->name, endpoint->address), window_s, loads,
                         out);
            separator = ",\n {";
        }
    }
    fputs("\n]", out);
}

/* ---- limits ---- */

static void put_limit(FILE *out, const char *name, uint32_t limit)
{
    if (limit == UINT32_MAX)
        fprintf(out, ", \"%s\": null", name);
    else
        fprintf(out, ", \"%s\": %u", name, limit);
}

void fg_overview_put_limits(struct fg_gateway *gateway, FILE *out)
{
    const struct fg_config *config = gateway->config;

    fputs("\"limits\": [", out);
    for (size_t i = 0; i < config->clusters_len; i++) {
        const struct fg_config_limits *limits = &config->clusters[i].limits;
        struct fg_gate_info info;
        fg_gate_describe(gateway->gates[i].gate, limits, &info);
        fputs(i > 0 ? ",\n {" : "\n {", out);
        fg_inspect_put_field(out, "cluster", fg_str_from(config->clusters[i].name));
        fprintf(out, ", \"streams\": %u", info.in_progress[FG_GATE_ACTIVE]);
        put_limit(out, "limit", info.limit[FG_GATE_ACTIVE]);
        fprintf(out, ", \"long\": %u", info.in_progress[FG_GATE_LONG]);
        put_limit(out, "long_limit", limits->long_streams ? info.limit[FG_GATE_LONG] : UINT32_MAX);
        fprintf(out, ", \"queued\": %u, \"queue_limit\": %u, \"retries\": %u}", info.pending, limits->pending,
                info.retries);
    }
    fputs("\n]", out);
}

/* ---- breakers ---- */

struct states {
    struct fg_gateway *gateway;
    uint64_t now_ns;
    unsigned counts[FG_BREAKER_HALF_OPEN + 1];
};

static void count_state(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                        struct fg_breaker *breaker)
{
    struct states *states = context;
    const struct fg_config_cluster *config = fg_inspect_cluster(states->gateway, cluster);
    struct fg_breaker_info info;
    (void)endpoint;
    (void)method;

    if (!config)
        return;
    fg_breaker_describe(breaker, &config->breaker, states->now_ns, &info);
    states->counts[info.state]++;
}

void fg_overview_put_breakers(struct fg_gateway *gateway, FILE *out)
{
    struct states states = {.gateway = gateway, .now_ns = fg_clock_now_ns()};

    fg_breaker_each(gateway->breakers, count_state, &states);
    fprintf(out, "\"breakers\": {\"open\": %u, \"half_open\": %u, \"closed\": %u}", states.counts[FG_BREAKER_OPEN],
            states.counts[FG_BREAKER_HALF_OPEN], states.counts[FG_BREAKER_CLOSED]);
}
