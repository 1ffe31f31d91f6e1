#include "admin/handlers.h"

#include <stdlib.h>

#include "admin/dashboard.h"
#include "admin/handlers_int.h"
#include "admin/query.h"
#include "admin/tap_query.h"
#include "config/value.h"
#include "gateway/inspect.h"
#include "observe/prometheus.h"

#define STREAMS_DEFAULT  1000
#define TRACE_LAST_MS    30000
#define BREAKERS_DEFAULT 1000
#define METHODS_DEFAULT  50
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
    struct fg_metric_source *sources = fg_alloc_zero(gateway->workers_len * sizeof *sources);
    const uint64_t **faults = fg_alloc_zero(gateway->workers_len * sides * sizeof *faults);
    const uint64_t **h1_faults = fg_alloc_zero(gateway->workers_len * sides * sizeof *h1_faults);
    const struct fg_header *accept = fg_headers_find(request->headers, FG_STR("accept"));
    enum fg_prometheus_format format = fg_prometheus_choose(accept ? accept->value : FG_STR(""));

    response->content_type = fg_prometheus_content_type(format);
    for (unsigned i = 0; i < gateway->workers_len; i++) {
        struct fg_worker *worker = &gateway->workers[i];
        sources[i] =
            (struct fg_metric_source){&worker->stats, &worker->metrics, worker->clusters, worker->clusters_len};
        for (size_t s = 0; s < worker->servers_len; s++, at++) {
            faults[at] = worker->servers[s].side.fault_counts;
            h1_faults[at] = worker->servers[s].side.h1_fault_counts;
        }
        for (size_t c = 0; c < worker->clusters_len; c++, at++) {
            faults[at] = worker->clusters[c].side.fault_counts;
            h1_faults[at] = worker->clusters[c].side.h1_fault_counts;
        }
    }
    struct fg_metric_view view = {
        .sources = sources,
        .sources_len = gateway->workers_len,
        .fault_counts = faults,
        .h1_fault_counts = h1_faults,
        .fault_counts_len = at,
        .breakers = gateway->breakers,
        .breaker_config = breaker_config,
        .context = gateway,
        .now_ns = fg_clock_now_ns(),
        .began_wall_ns = gateway->started_wall_ns,
    };
    fg_prometheus_render(&view, format, body);
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

void fg_admin_say(struct fg_admin_response *response, FILE *body, unsigned status, const char *text)
{
    say(response, body, status, text);
}

static const char *name_of_wait(int i)
{
    return fg_wait_name((enum fg_wait_cause)i);
}

static const char *name_of_phase(int i)
{
    return fg_phase_name((enum fg_phase)i);
}

static const char *name_of_order(int i)
{
    static const char *const names[] = {"wait", "age", "bytes", "messages"};
    return names[i];
}

/* One of LEN names; *OUT stays what it is when the key is not there. */
static bool read_word(struct fg_str query, const char *key, int len, const char *(*name)(int i), int *out)
{
    char word[32];

    if (!fg_query_text(query, key, word, sizeof word))
        return false;
    for (int i = 0; i < len; i++) {
        if (strcmp(word, name(i)) != 0)
            continue;
        *out = i;
        return true;
    }
    return word[0] == '\0';
}

const char *fg_admin_read_streams_query(struct fg_str text, struct fg_inspect_streams_query *query)
{
    uint64_t age_ms, wait_ms;
    int sort = FG_INSPECT_BY_WAIT;

    if (!fg_query_number(text, "limit", STREAMS_DEFAULT, FG_INSPECT_STREAMS_MAX, &query->limit) ||
        !fg_query_number(text, "offset", 0, FG_INSPECT_STREAMS_MAX, &query->offset) ||
        query->limit + query->offset > FG_INSPECT_STREAMS_MAX)
        return "limit and offset are numbers, and together at most 10000";
    if (!fg_query_number(text, "min_age_ms", 0, UINT32_MAX, &age_ms) ||
        !fg_query_number(text, "min_wait_ms", 0, UINT32_MAX, &wait_ms))
        return "min_age_ms and min_wait_ms are numbers";
    if (!fg_query_text(text, "method", query->method, sizeof query->method) ||
        !fg_query_text(text, "cluster", query->cluster, sizeof query->cluster) ||
        !fg_query_text(text, "endpoint", query->endpoint, sizeof query->endpoint) ||
        !fg_query_text(text, "peer", query->peer, sizeof query->peer) ||
        !fg_query_text(text, "dialect", query->dialect, sizeof query->dialect))
        return "a name is too long, or has a malformed escape";
    if (!read_word(text, "wait", FG_WAIT_LEN, name_of_wait, &query->wait))
        return "wait is the name of a cause, such as stream_window";
    if (!read_word(text, "phase", FG_PHASE_LEN, name_of_phase, &query->phase))
        return "phase is new, queued, sent, headers, messages or done";
    if (!read_word(text, "sort", 4, name_of_order, &sort))
        return "sort is wait, age, bytes or messages";
    query->sort = (enum fg_inspect_order)sort;
    query->min_age_ns = age_ms * FG_MS;
    query->min_wait_ns = wait_ms * FG_MS;
    return NULL;
}

static void streams(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                    FILE *body)
{
    struct fg_inspect_streams_query query = {.wait = -1, .phase = -1};
    const char *problem = fg_admin_read_streams_query(request->query, &query);

    if (problem)
        say(response, body, 400, problem);
    else
        fg_inspect_streams(context, &query, body);
}

/* "WORKER-NUMBER" */
static void kill_stream(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                        FILE *body)
{
    char id[64], *rest;

    if (!fg_query_text(request->query, "id", id, sizeof id) || id[0] < '0' || id[0] > '9') {
        say(response, body, 400, "id is what /streams shows, such as 0-17");
        return;
    }
    unsigned long worker = strtoul(id, &rest, 10);
    unsigned long long number = rest[0] == '-' ? strtoull(rest + 1, &rest, 10) : 0;
    if (rest[0] != '\0' || number == 0)
        say(response, body, 400, "id is what /streams shows, such as 0-17");
    else if (!fg_inspect_kill(context, (unsigned)FG_MIN(worker, (unsigned long)UINT32_MAX), number, body))
        say(response, body, 404, "no such call is in progress");
}

static void clusters(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                     FILE *body)
{
    (void)request;
    (void)response;
    fg_inspect_clusters(context, true, body);
}

/* ---- /trace ---- */

static void trace(void *context, const struct fg_admin_request *request, struct fg_admin_response *response, FILE *body)
{
    struct fg_inspect_waits_query query = {.cause = -1};
    uint64_t last_ms, min_ms, peers;

    if (fg_query_number(request->query, "last_ms", TRACE_LAST_MS, UINT32_MAX, &last_ms) &&
        fg_query_number(request->query, "min_ms", FG_LONG_WAIT_NS / FG_MS, UINT32_MAX, &min_ms) &&
        fg_query_number(request->query, "peers", 0, 1, &peers) &&
        read_word(request->query, "cause", FG_WAIT_LEN, name_of_wait, &query.cause)) {
        query.last_ns = last_ms * FG_MS;
        query.min_ns = min_ms * FG_MS;
        query.peers = peers;
        fg_inspect_waits(context, &query, body);
    } else {
        say(response, body, 400, "?last_ms=N&min_ms=N&cause=CAUSE&peers=1; causes are those of /streams");
    }
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

static bool follow_events(void *context, void *state, FILE *out)
{
    fg_inspect_event_lines(context, state, out);
    return true;
}

static void events(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body)
{
    uint64_t since, follow;

    if (!fg_query_number(request->query, "since", 0, UINT64_MAX, &since) ||
        !fg_query_number(request->query, "follow", 0, 1, &follow)) {
        say(response, body, 400, "?since=SEQ&follow=1; each may be absent");
    } else if (follow) {
        uint64_t *cursor = fg_alloc(sizeof *cursor);
        *cursor = since;
        response->content_type = "application/x-ndjson";
        response->follow = follow_events;
        response->state = cursor;
        fg_inspect_event_lines(context, cursor, body);
    } else {
        fg_inspect_events(context, since, body);
    }
}

/* ---- /overview ---- */

static void overview(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                     FILE *body)
{
    uint64_t history, methods, waits;

    if (fg_query_number(request->query, "history", 0, FG_HISTORY_SAMPLES, &history) &&
        fg_query_number(request->query, "methods", METHODS_DEFAULT, FG_OVERVIEW_METHODS_MAX, &methods) &&
        fg_query_number(request->query, "waits", 0, 1, &waits))
        fg_overview_print(context, &(struct fg_overview_query){(size_t)history, (size_t)methods, waits == 1}, body);
    else
        say(response, body, 400, "?history=SECONDS&methods=N&waits=1: at most 300 and 10000; each may be absent");
}

/* ---- /tap ---- */

static bool follow_tap(void *context, void *session, FILE *out)
{
    return fg_tap_read(context, *(const uint64_t *)session, out);
}

static void end_tap(void *context, void *session)
{
    fg_tap_close(context, *(const uint64_t *)session);
    free(session);
}

static void tap(void *context, const struct fg_admin_request *request, struct fg_admin_response *response, FILE *body)
{
    const struct fg_gateway *gateway = context;
    struct fg_tap_query query;
    char why[128];

    if (!gateway->config->tap.enabled) {
        say(response, body, 403, "tap.enabled is false in the configuration");
        return;
    }
    const char *problem = fg_admin_tap_query(gateway, request->query, &query);
    if (problem) {
        say(response, body, 400, problem);
        return;
    }
    uint64_t session = fg_tap_open(context, &query, why, sizeof why);
    if (session == 0) {
        say(response, body, 503, why);
        return;
    }
    uint64_t *state = fg_alloc(sizeof *state);
    *state = session;
    response->state = state;
    response->content_type = "application/x-ndjson";
    response->follow = follow_tap;
    response->ended = end_tap;
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
    {"/streams",
     "calls in progress, what each waits for and since when; "
     "?method=&cluster=&endpoint=&peer=&dialect=&wait=&phase=&min_age_ms=&min_wait_ms=&sort=&limit=&offset=",
     streams},
    {"/streams/kill", "POST ?id=ID, as /streams shows it: ends a call", kill_stream, true},
    {"/trace", "long waits of the last 30 s, and who held what was waited for; ?last_ms=N&min_ms=N&cause=C&peers=1",
     trace},
    {"/clusters", "endpoints, their load and their breakers", clusters},
    {"/breakers", "all circuits; ?cluster=C&endpoint=E&method=M&state=open&limit=N", breakers},
    {"/breakers/", "CLUSTER/ENDPOINT?method=METHOD: everything about one", one_breaker},
    {"/events", "changes of state of breakers; ?since=SEQ; ?follow=1: lines as they come", events},
    {"/overview", "rates, percentiles, busiest methods, endpoints, limits; ?history=SECONDS&methods=N&waits=1",
     overview},
    {"/live", "server-sent events: pictures of all that; ?streams=1 and what /streams takes", fg_admin_live},
    {"/dashboard", "all of it in a browser", fg_dashboard},
    {"/dashboard/", "its parts", fg_dashboard},
    {"/tap",
     "calls as they happen, in lines; ?method=&cluster=&endpoint=&peer=&dialect=&header=NAME:VALUE&code=&failed=1&rate="
     "&max_bytes=&seconds=&count=&bytes=1",
     tap, .shows = true},
    {"/healthz", "200: the process is alive", healthz},
    {"/readyz", "200: it serves; 503: it starts or drains", readyz},
    {NULL, NULL, NULL},
};

struct fg_admin *fg_admin_start(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const struct fg_config_admin *config = &gateway->config->admin;
    struct fg_admin_options options = {
        .token = config->token, .page = "/dashboard", .routes = routes, .context = gateway};
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
    options.audit = fg_admin_audit_new(config->audit_log, error, error_len);
    return options.audit ? fg_admin_new(&options, error, error_len) : NULL;
}
