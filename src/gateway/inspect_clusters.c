#include <stdlib.h>

#include "gateway/inspect_int.h"

struct endpoint_totals {
    unsigned connections, connecting, stalled, streams, active, waiting;
};

struct cluster_index {
    size_t cluster;
};

/* A worker's part: one line of numbers per endpoint, summed up by the asker. */
static bool fill_cluster(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    struct cluster_index index;
    (void)state;

    memcpy(&index, context, sizeof index);
    const struct fg_cluster *cluster = &worker->clusters[index.cluster];
    for (size_t i = 0; i < cluster->endpoints_len; i++) {
        const struct fg_endpoint *endpoint = &cluster->endpoints[i];
        struct endpoint_totals totals = {.active = endpoint->active, .waiting = fg_endpoint_waiting(endpoint)};
        for (uint32_t c = 0; c < endpoint->conns_len; c++) {
            const struct fg_conn *conn = endpoint->conns[c];
            totals.connections += conn->state == FG_CONN_OPEN;
            totals.connecting += conn->state != FG_CONN_OPEN;
            totals.stalled += fg_conn_is_stalled(conn, worker->loop.now_ns);
            totals.streams += fg_conn_load(conn).open;
        }
        fwrite(&totals, sizeof totals, 1, out);
    }
    return true;
}

struct method_list {
    FILE *out;
    struct fg_str cluster, endpoint;
    const struct fg_config_breaker *config;
    bool any;
};

static void put_method(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                       struct fg_breaker *breaker)
{
    struct method_list *list = context;

    if (method.len == 0 || !fg_str_eq(cluster, list->cluster) || !fg_str_eq(endpoint, list->endpoint))
        return;
    fputs(list->any ? ",\n     " : "\n     ", list->out);
    fg_inspect_put_string(list->out, method);
    fputs(": {", list->out);
    fg_inspect_put_breaker(breaker, list->config, list->out);
    fputc('}', list->out);
    list->any = true;
}

static void put_endpoint(struct fg_gateway *gateway, const struct fg_config_cluster *cluster, size_t i,
                         const struct endpoint_totals *totals, bool methods, FILE *out)
{
    struct fg_str name = fg_str_from(cluster->endpoints[i].address);
    struct method_list list = {out, fg_str_from(cluster->name), name, &cluster->breaker, false};

    fputs(i > 0 ? ",\n   {" : "\n   {", out);
    fg_inspect_put_field(out, "address", name);
    fprintf(
        out,
        ", \"weight\": %u, \"connections\": %u, \"connecting\": %u, \"stalled\": %u, \"streams\": %u, \"active\": %u, "
        "\"waiting\": %u,\n    \"breaker\": {",
        cluster->endpoints[i].weight, totals->connections, totals->connecting, totals->stalled, totals->streams,
        totals->active, totals->waiting);
    fg_inspect_put_breaker(fg_breaker_get(gateway->breakers, list.cluster, name, FG_STR("")), &cluster->breaker, out);
    fputc('}', out);
    if (methods) {
        fputs(",\n    \"methods\": {", out);
        fg_breaker_each(gateway->breakers, put_method, &list);
        fputc('}', out);
    }
    fputc('}', out);
}

static bool sum_endpoints(struct fg_gateway *gateway, size_t cluster, struct endpoint_totals *sums, size_t len)
{
    struct cluster_index index = {cluster};
    char *text = NULL;
    size_t bytes = 0;
    FILE *parts = open_memstream(&text, &bytes);

    if (!parts)
        return false;
    bool complete = fg_gateway_ask(gateway, fill_cluster, &index, sizeof index, "", parts);
    fclose(parts);
    for (size_t at = 0; at + sizeof *sums <= bytes; at += sizeof *sums) {
        struct endpoint_totals part;
        struct endpoint_totals *sum = &sums[at / sizeof *sums % len];
        memcpy(&part, text + at, sizeof part);
        sum->connections += part.connections;
        sum->connecting += part.connecting;
        sum->stalled += part.stalled;
        sum->streams += part.streams;
        sum->active += part.active;
        sum->waiting += part.waiting;
    }
    free(text);
    return complete;
}

static void put_limit(FILE *out, const char *name, uint32_t limit)
{
    if (limit == UINT32_MAX)
        fprintf(out, ", \"%s\": null", name);
    else
        fprintf(out, ", \"%s\": %u", name, limit);
}

/* How much goes on at once, and how much may. */
static void put_gate(const struct fg_gateway *gateway, size_t i, FILE *out)
{
    const struct fg_config_limits *limits = &gateway->config->clusters[i].limits;
    struct fg_gate_info info;

    fg_gate_describe(gateway->gates[i].gate, limits, &info);
    fprintf(out, ", \"gate\": {\"in_progress\": %u", info.in_progress[FG_GATE_ACTIVE]);
    put_limit(out, "limit", info.limit[FG_GATE_ACTIVE]);
    fprintf(out, ", \"long_in_progress\": %u", info.in_progress[FG_GATE_LONG]);
    put_limit(out, "long_limit", info.limit[FG_GATE_LONG]);
    fprintf(out, ", \"pending\": %u, \"pending_limit\": %u, \"retries\": %u", info.pending, limits->pending,
            info.retries);
    if (limits->adaptive.enabled)
        fprintf(out, ", \"adaptive\": {\"limit\": %u, \"baseline_ms\": %.3f, \"latency_ms\": %.3f, \"probing\": %s}",
                info.adaptive.limit, (double)info.adaptive.base_ns / FG_MS, (double)info.adaptive.recent_ns / FG_MS,
                info.adaptive.probing ? "true" : "false");
    fputc('}', out);
}

void fg_inspect_clusters(struct fg_gateway *gateway, bool methods, FILE *out)
{
    const struct fg_config *config = gateway->config;
    bool complete = true;

    fputs("{\"clusters\": [", out);
    for (size_t i = 0; i < config->clusters_len; i++) {
        const struct fg_config_cluster *cluster = &config->clusters[i];
        struct endpoint_totals *sums = fg_alloc_zero(cluster->endpoints_len * sizeof *sums);
        complete = sum_endpoints(gateway, i, sums, cluster->endpoints_len) && complete;
        fputs(i > 0 ? ",\n {" : "\n {", out);
        fg_inspect_put_field(out, "name", fg_str_from(cluster->name));
        put_gate(gateway, i, out);
        fputs(", \"descriptors\": ", out);
        fg_descriptor_source_print(gateway, i, out);
        fputs(", \"endpoints\": [", out);
        for (size_t e = 0; e < cluster->endpoints_len; e++)
            put_endpoint(gateway, cluster, e, &sums[e], methods, out);
        fputs("]}", out);
        free(sums);
    }
    fprintf(out, "\n], \"complete\": %s}\n", complete ? "true" : "false");
}
