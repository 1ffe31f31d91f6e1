#include "admin/handlers.h"

#include <stdlib.h>

#include "admin/query.h"
#include "config/value.h"
#include "gateway/inspect.h"
#include "observe/prometheus.h"

#define STREAMS_DEFAULT  1000
#define BREAKERS_DEFAULT 1000
#define LIMIT_MAX        1000000
#define NAME_BYTES       512 /* of a cluster, an endpoint or a method in a request */

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
    const uint64_t **h1_faults = fg_alloc_zero(gateway->workers_len * sides * sizeof *h1_faults);
    (void)request;

    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    for (unsigned i = 0; i < gateway->workers_len; i++) {
        struct fg_worker *worker = &gateway->workers[i];
        sources[i] = (struct fg_prometheus_source){&worker->stats, &worker->metrics};
        for (size_t s = 0; s < worker->servers_len; s++, at++) {
            faults[at] = worker->servers[s].side.fault_counts;
            h1_faults[at] = worker->servers[s].side.h1_fault_counts;
        }
        for (size_t c = 0; c < worker->clusters_len; c++, at++) {
            faults[at] = worker->clusters[c].side.fault_counts;
            h1_faults[at] = worker->clusters[c].side.h1_fault_counts;
        }
    }
    struct fg_prometheus page = {
        .sources = sources,
        .sources_len = gateway->workers_len,
        .fault_counts = faults,
        .h1_fault_counts = h1_faults,
        .fault_counts_len = at,
        .breakers = gateway->breakers,
        .breaker_config = breaker_config,
        .context = gateway,
        .now_ns = fg_clock_now_ns(),
    };
    fg_prometheus_render(&page, body);
    free(sources);
    free(faults);
    free(h1_faults);
}

/* ---- /streams, /clusters ---- */

static void say(struct fg_admin_response *response, FILE *body, unsigned status, const char *text)
{
    response->status = status;
    response->content_type = "text/plain; charset=utf-8";
    fprintf(body, "%s\n", text);
}

static void streams(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                    FILE *body)
{
    uint64_t limit;

    if (fg_query_number(request->query, "limit", STREAMS_DEFAULT, LIMIT_MAX, &limit))
        fg_inspect_streams(context, (unsigned)limit, body);
    else
        say(response, body, 400, "limit is a number");
}

static void clusters(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                     FILE *body)
{
    (void)request;
    (void)response;
    fg_inspect_clusters(context, body);
}

/* ---- /breakers ---- */

struct name {
    char bytes[NAME_BYTES];
    struct fg_str text;
};

/* A part of the request, decoded; what it is *PLACE points to. False: it cannot be decoded. */
static bool take_name(struct fg_str encoded, struct name *name, const struct fg_str **place)
{
    size_t len;

    if (!fg_query_decode(encoded, name->bytes, sizeof name->bytes, &len))
        return false;
    name->text = (struct fg_str){name->bytes, len};
    *place = &name->text;
    return true;
}

/* Of the query; what is absent stays. */
static bool take_parameter(struct fg_str query, const char *key, struct name *name, const struct fg_str **place)
{
    struct fg_str value;
    return !fg_query_find(query, key, &value) || take_name(value, name, place);
}

static bool take_state(struct fg_str query, int *state)
{
    struct fg_str value;

    if (!fg_query_find(query, "state", &value))
        return true;
    for (int i = FG_BREAKER_CLOSED; i <= FG_BREAKER_HALF_OPEN; i++)
        if (fg_str_eq(value, fg_str_from(fg_breaker_state_name((enum fg_breaker_state)i))))
            *state = i;
    return *state >= 0;
}

static void breakers(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                     FILE *body)
{
    struct fg_inspect_filter filter = {.state = -1};
    struct name cluster, endpoint, method;
    struct fg_str query = request->query;
    uint64_t limit;

    if (take_parameter(query, "cluster", &cluster, &filter.cluster) &&
        take_parameter(query, "endpoint", &endpoint, &filter.endpoint) &&
        take_parameter(query, "method", &method, &filter.method) && take_state(query, &filter.state) &&
        fg_query_number(query, "limit", BREAKERS_DEFAULT, LIMIT_MAX, &limit))
        fg_inspect_breakers(context, &filter, (unsigned)limit, body);
    else
        say(response, body, 400,
            "?cluster=C&endpoint=E&method=M&state=closed|open|half_open&limit=N, percent-encoded; each may be absent");
}

/* /breakers/CLUSTER/ENDPOINT?method=METHOD */
static void one_breaker(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                        FILE *body)
{
    struct fg_inspect_filter filter = {.state = -1};
    struct name cluster, endpoint, method = {.text = FG_STR("")};
    const char *slash = memchr(request->rest.p, '/', request->rest.len);
    size_t len = slash ? (size_t)(slash - request->rest.p) : request->rest.len;
    struct fg_str rest = slash ? (struct fg_str){slash + 1, request->rest.len - len - 1} : FG_STR("");

    filter.method = &method.text;
    if (!slash || !take_name((struct fg_str){request->rest.p, len}, &cluster, &filter.cluster) ||
        !take_name(rest, &endpoint, &filter.endpoint) ||
        !take_parameter(request->query, "method", &method, &filter.method))
        say(response, body, 400,
            "/breakers/CLUSTER/ENDPOINT?method=METHOD, percent-encoded; without METHOD: the endpoint as a whole");
    else if (!fg_inspect_breaker(context, &filter, body))
        say(response, body, 404, "there is no such circuit: no call has come that would use it; see /breakers");
}

/* ---- /events ---- */

static void follow_events(void *context, uint64_t *cursor, FILE *out)
{
    fg_inspect_event_lines(context, cursor, out);
}

static void events(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body)
{
    uint64_t follow;

    if (!fg_query_number(request->query, "since", 0, UINT64_MAX, &response->cursor) ||
        !fg_query_number(request->query, "follow", 0, 1, &follow)) {
        say(response, body, 400, "?since=SEQ&follow=1; each may be absent");
    } else if (follow) {
        response->content_type = "application/x-ndjson";
        response->follow = follow_events;
        fg_inspect_event_lines(context, &response->cursor, body);
    } else {
        fg_inspect_events(context, response->cursor, body);
    }
}

/* ---- health ---- */

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
    {"/breakers", "all circuits; ?cluster=C&endpoint=E&method=M&state=open&limit=N", breakers},
    {"/breakers/", "CLUSTER/ENDPOINT?method=METHOD: everything about one", one_breaker},
    {"/events", "changes of state of breakers; ?since=SEQ; ?follow=1: lines as they come", events},
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
