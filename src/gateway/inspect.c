#include "gateway/inspect.h"

#include <stdlib.h>

#include "config/config.h"

/* ---- JSON strings: peers choose method names, so every byte is suspect ---- */

static void put_string(FILE *out, struct fg_str s)
{
    fputc('"', out);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* a byte that is no ASCII may be invalid UTF-8: shown as Latin-1 */
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_field(FILE *out, const char *name, struct fg_str value)
{
    fprintf(out, "\"%s\": ", name);
    put_string(out, value);
}

static double ms(uint64_t ns)
{
    return (double)ns / (double)FG_MS;
}

/* ---- streams ---- */

struct seen {
    const struct fg_call *call;
    struct fg_wait wait;
    uint64_t age_ns;
};

static int longest_first(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return x->age_ns < y->age_ns ? 1 : x->age_ns > y->age_ns ? -1 : 0;
}

static void put_side(FILE *out, const char *name, const struct fg_stream *stream)
{
    fprintf(out, ", \"%s\": ", name);
    if (!stream) {
        fputs("null", out);
        return;
    }
    char peer[FG_ADDRESS_TEXT_BYTES];
    fg_address_format(&stream->conn->peer, peer, sizeof peer);
    fprintf(out, "{\"stream\": %u, ", stream->ops->id(stream));
    put_field(out, "peer", fg_str_from(peer));
    fputc('}', out);
}

static void put_call(const struct fg_worker *worker, const struct seen *seen, FILE *out)
{
    const struct fg_call *call = seen->call;
    const struct fg_attempt *attempt = fg_call_answering(call);
    uint64_t now_ns = worker->loop.now_ns;

    fprintf(out, "{\"worker\": %u, ", worker->index);
    put_field(out, "method", call->path);
    fputs(", ", out);
    put_field(out, "cluster", call->cluster ? call->cluster->name : FG_STR(""));
    fputs(", ", out);
    put_field(out, "endpoint", attempt && attempt->endpoint ? attempt->endpoint->name : FG_STR(""));
    fprintf(out, ", \"dialect\": \"%s\", \"phase\": \"%s\", \"attempt\": %u, \"age_ms\": %.3f", call->dialect->name,
            fg_phase_name(attempt ? attempt->outcome.phase : FG_PHASE_NEW), attempt ? attempt->number : 0,
            ms(now_ns - call->start_ns));
    if (call->deadline_ns != FG_NEVER)
        fprintf(out, ", \"deadline_in_ms\": %.3f", ms(call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0));
    fprintf(out, ", \"wait\": {\"cause\": \"%s\", \"age_ms\": %.3f}", fg_wait_name(seen->wait.cause), ms(seen->age_ns));
    fprintf(out, ", \"bytes_up\": %llu, \"bytes_down\": %llu, \"messages_up\": %llu, \"messages_down\": %llu",
            (unsigned long long)call->bytes_up, (unsigned long long)call->bytes_down,
            (unsigned long long)call->framing.messages, (unsigned long long)(attempt ? attempt->framing.messages : 0));
    put_side(out, "downstream", call->down);
    put_side(out, "upstream", attempt ? attempt->up : NULL);
    fputc('}', out);
}

static void fill_streams(struct fg_worker *worker, const void *context, FILE *out)
{
    unsigned limit;
    size_t len = 0, cap = 64;
    struct seen *seen = fg_alloc(cap * sizeof *seen);

    memcpy(&limit, context, sizeof limit);
    FG_LIST_EACH (node, &worker->env.calls) {
        const struct fg_call *call = FG_LIST_ENTRY(node, struct fg_call, node);
        struct fg_wait wait = fg_call_wait(call);
        if (len == cap) {
            cap *= 2;
            seen = fg_realloc(seen, cap * sizeof *seen);
        }
        seen[len++] = (struct seen){call, wait, wait.cause == FG_WAIT_NONE ? 0 : worker->loop.now_ns - wait.since_ns};
    }
    qsort(seen, len, sizeof *seen, longest_first);
    for (size_t i = 0; i < len && i < limit; i++) {
        if (i > 0)
            fputs(",\n", out);
        put_call(worker, &seen[i], out);
    }
    free(seen);
}

void fg_inspect_streams(struct fg_gateway *gateway, unsigned limit, FILE *out)
{
    fputs("{\"streams\": [\n", out);
    bool complete = fg_gateway_ask(gateway, fill_streams, &limit, sizeof limit, ",\n", out);
    fprintf(out, "\n], \"complete\": %s}\n", complete ? "true" : "false");
}

/* ---- clusters ---- */

struct endpoint_totals {
    unsigned connections, connecting, stalled, streams, active, waiting;
};

struct cluster_index {
    size_t cluster;
};

/* A worker's part: one line of numbers per endpoint, summed up by the asker. */
static void fill_cluster(struct fg_worker *worker, const void *context, FILE *out)
{
    struct cluster_index index;

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
}

static void put_breaker(struct fg_breaker *breaker, const struct fg_config_breaker *config, FILE *out)
{
    struct fg_breaker_info info;

    fg_breaker_describe(breaker, config, fg_clock_now_ns(), &info);
    fprintf(out,
            "{\"state\": \"%s\", \"cause\": \"%s\", \"observed\": %g, \"threshold\": %g, \"retry_in_ms\": %.3f, "
            "\"calls\": %g, \"failures\": %g, \"consecutive_failures\": %u, \"permits_out\": %u, \"trips\": %llu, "
            "\"refused\": %llu}",
            fg_breaker_state_name(info.state), info.cause, info.observed, info.threshold, ms(info.retry_in_ns),
            info.calls, info.failures, info.consecutive_failures, info.permits_out, (unsigned long long)info.trips,
            (unsigned long long)info.refused);
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
    put_string(list->out, method);
    fputs(": ", list->out);
    put_breaker(breaker, list->config, list->out);
    list->any = true;
}

static void put_endpoint(struct fg_gateway *gateway, const struct fg_config_cluster *cluster, size_t i,
                         const struct endpoint_totals *totals, FILE *out)
{
    struct fg_str name = fg_str_from(cluster->endpoints[i].address);
    struct method_list list = {out, fg_str_from(cluster->name), name, &cluster->breaker, false};

    fputs(i > 0 ? ",\n   {" : "\n   {", out);
    put_field(out, "address", name);
    fprintf(
        out,
        ", \"weight\": %u, \"connections\": %u, \"connecting\": %u, \"stalled\": %u, \"streams\": %u, \"active\": %u, "
        "\"waiting\": %u,\n    \"breaker\": ",
        cluster->endpoints[i].weight, totals->connections, totals->connecting, totals->stalled, totals->streams,
        totals->active, totals->waiting);
    put_breaker(fg_breaker_get(gateway->breakers, list.cluster, name, FG_STR("")), &cluster->breaker, out);
    fputs(",\n    \"methods\": {", out);
    fg_breaker_each(gateway->breakers, put_method, &list);
    fputs("}}", out);
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

void fg_inspect_clusters(struct fg_gateway *gateway, FILE *out)
{
    const struct fg_config *config = gateway->config;
    bool complete = true;

    fputs("{\"clusters\": [", out);
    for (size_t i = 0; i < config->clusters_len; i++) {
        const struct fg_config_cluster *cluster = &config->clusters[i];
        struct endpoint_totals *sums = fg_alloc_zero(cluster->endpoints_len * sizeof *sums);
        complete = sum_endpoints(gateway, i, sums, cluster->endpoints_len) && complete;
        fputs(i > 0 ? ",\n {" : "\n {", out);
        put_field(out, "name", fg_str_from(cluster->name));
        fputs(", \"endpoints\": [", out);
        for (size_t e = 0; e < cluster->endpoints_len; e++)
            put_endpoint(gateway, cluster, e, &sums[e], out);
        fputs("]}", out);
        free(sums);
    }
    fprintf(out, "\n], \"complete\": %s}\n", complete ? "true" : "false");
}
