#include "admin/handlers.h"

#include <stdlib.h>

#include "config/value.h"
#include "gateway/inspect.h"
#include "observe/prometheus.h"

#define STREAMS_DEFAULT 1000

/* ---- /metrics ---- */

static const struct fg_config_breaker *breaker_config(void *context, struct fg_str cluster)
{
    const struct fg_config *config = ((const struct fg_gateway *)context)->config;

    for (size_t i = 0; i < config->clusters_len; i++)
        if (fg_str_eq(cluster, fg_str_from(config->clusters[i].name)))
            return &config->clusters[i].breaker;
    return NULL;
}

static void metrics(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                    FILE *body)
{
    struct fg_gateway *gateway = context;
    size_t sides = gateway->config->listeners_len + gateway->config->clusters_len, at = 0;
    struct fg_prometheus_source *sources = fg_alloc_zero(gateway->workers_len * sizeof *sources);
    const uint64_t **faults = fg_alloc_zero(gateway->workers_len * sides * sizeof *faults);
    (void)request;

    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    for (unsigned i = 0; i < gateway->workers_len; i++) {
        struct fg_worker *worker = &gateway->workers[i];
        sources[i] = (struct fg_prometheus_source){&worker->stats, &worker->metrics};
        for (size_t s = 0; s < worker->servers_len; s++)
            faults[at++] = worker->servers[s].side.fault_counts;
        for (size_t c = 0; c < worker->clusters_len; c++)
            faults[at++] = worker->clusters[c].side.fault_counts;
    }
    struct fg_prometheus page = {
        .sources = sources,
        .sources_len = gateway->workers_len,
        .fault_counts = faults,
        .fault_counts_len = at,
        .breakers = gateway->breakers,
        .breaker_config = breaker_config,
        .context = gateway,
        .now_ns = fg_clock_now_ns(),
    };
    fg_prometheus_render(&page, body);
    free(sources);
    free(faults);
}

/* ---- the others ---- */

static unsigned limit_of(struct fg_str query)
{
    unsigned limit = 0;

    if (!fg_str_starts_with(query, FG_STR("limit=")) || query.len > 6 + 7)
        return STREAMS_DEFAULT;
    for (size_t i = 6; i < query.len && query.p[i] >= '0' && query.p[i] <= '9'; i++)
        limit = limit * 10 + (unsigned)(query.p[i] - '0');
    return limit;
}

static void streams(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                    FILE *body)
{
    (void)response;
    fg_inspect_streams(context, limit_of(request->query), body);
}

static void clusters(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                     FILE *body)
{
    (void)request;
    (void)response;
    fg_inspect_clusters(context, body);
}

static void say(struct fg_admin_response *response, FILE *body, unsigned status, const char *text)
{
    response->status = status;
    response->content_type = "text/plain; charset=utf-8";
    fprintf(body, "%s\n", text);
}

static void healthz(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                    FILE *body)
{
    (void)context;
    (void)request;
    say(response, body, 200, "alive");
}

static void readyz(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body)
{
    const struct fg_gateway *gateway = context;
    (void)request;

    if (__atomic_load_n(&gateway->draining, __ATOMIC_ACQUIRE))
        say(response, body, 503, "draining");
    else if (!__atomic_load_n(&gateway->ready, __ATOMIC_ACQUIRE))
        say(response, body, 503, "starting");
    else
        say(response, body, 200, "ready");
}

static const struct fg_admin_route routes[] = {
    {"/metrics", "counters, gauges and histograms for Prometheus", metrics},
    {"/streams", "calls in progress, what each waits for and since when; ?limit=N", streams},
    {"/clusters", "endpoints, their load and their breakers", clusters},
    {"/healthz", "200: the process is alive", healthz},
    {"/readyz", "200: it serves; 503: it starts or drains", readyz},
    {NULL, NULL, NULL},
};

struct fg_admin *fg_admin_start(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const struct fg_config_admin *config = &gateway->config->admin;
    struct fg_admin_options options = {.token = config->token, .routes = routes, .context = gateway};
    struct fg_value_address parts = {0};
    char host[256], why[256];

    error[0] = '\0';
    if (!config->address || strcmp(config->address, "off") == 0)
        return NULL;
    if (strncmp(config->address, "unix:", 5) == 0) {
        snprintf(host, sizeof host, "%s", config->address);
    } else {
        const char *problem = fg_value_address(fg_str_from(config->address), &parts);
        if (problem) {
            snprintf(error, error_len, "admin.address %s: %s", config->address, problem);
            return NULL;
        }
        snprintf(host, sizeof host, "%.*s", (int)parts.host.len, parts.host.p);
        options.loopback = fg_value_is_loopback(parts.host);
    }
    if (fg_address_resolve(&options.address, host, parts.port, why, sizeof why) != 0) {
        snprintf(error, error_len, "admin.address %s: %s", config->address, why);
        return NULL;
    }
    return fg_admin_new(&options, error, error_len);
}
