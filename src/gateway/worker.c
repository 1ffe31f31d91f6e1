#include "gateway/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "dialect/dialect.h"
#include "dialect/service_rest.h"
#include "gateway/gateway.h"

/* ---- events of the listeners' connections ---- */

static struct fg_server *server_of(struct fg_conn_side *side)
{
    return FG_CONTAINER_OF(side, struct fg_server, side);
}

static void on_request(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_worker *worker = stream->conn->side->owner;
    fg_dialect_start(&worker->env, stream, headers, flags);
}

static bool has_connections(const struct fg_worker *worker)
{
    for (size_t i = 0; i < worker->servers_len; i++)
        if (!fg_list_empty(&worker->servers[i].side.open))
            return true;
    return false;
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    struct fg_worker *worker = conn->side->owner;
    (void)why;

    fg_server_on_closed(server_of(conn->side));
    if (worker->draining && !has_connections(worker))
        fg_loop_stop(&worker->loop);
}

static const struct fg_conn_events server_events = {on_request, NULL, NULL, on_closed};

/* ---- outcomes ---- */

static void on_attempt(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    struct fg_worker *worker = context;
    fg_metrics_attempt(&worker->metrics, call->sink_cell, outcome);
}

static void on_attempt_start(void *context, const struct fg_call *call)
{
    (void)context;
    fg_metrics_attempt_started(call->sink_cell);
}

static void *on_start(void *context, const struct fg_call *call)
{
    struct fg_worker *worker = context;
    return fg_metrics_call_started(&worker->metrics, call->cluster ? call->cluster->name : FG_STR(""), call->path);
}

/* The route's path, as the configuration has it. */
static struct fg_metric_cell *add_wait(struct fg_worker *worker, const struct fg_config_route *route, size_t index,
                                       enum fg_wait_cause cause)
{
    char text[256];
    int len = snprintf(text, sizeof text, "%s%s", route->path ? route->path : "",
                       route->path_match == FG_MATCH_EXACT ? "" : "*");
    struct fg_str name = {text, FG_MIN((size_t)len, sizeof text - 1)};
    return fg_metrics_add_wait(&worker->metrics, index, name, cause);
}

static void count_waits(struct fg_worker *worker, const struct fg_config_route *route, const uint64_t *stall_ns)
{
    size_t index = (size_t)(route - worker->env.config->routes);

    for (int i = FG_WAIT_NONE + 1; i < FG_WAIT_LEN; i++) {
        enum fg_wait_cause cause = (enum fg_wait_cause)i;
        if (stall_ns[i] == 0)
            continue;
        struct fg_metric_cell *cell = fg_metrics_find_wait(&worker->metrics, index, cause);
        fg_metrics_wait(cell ? cell : add_wait(worker, route, index, cause), stall_ns[i]);
    }
}

static void on_call(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    struct fg_worker *worker = context;
    struct fg_access_log *log = worker->gateway->access_log;

    fg_metrics_call(call->sink_cell, outcome, NULL);
    if (call->route)
        count_waits(worker, call->route, outcome->stall_ns);
    if (log)
        fg_access_log_write(log, worker->index, call, fg_clock_wall_ns());
}

static void on_report(void *context, const struct fg_call *call, const struct fg_outcome *outcome, struct fg_wait wait)
{
    struct fg_worker *worker = context;
    fg_access_log_report(worker->gateway->access_log, worker->index, call, outcome, wait, fg_clock_wall_ns());
}

static void init_log(struct fg_worker *worker)
{
    const struct fg_access_log *log = worker->gateway->access_log;
    struct fg_call_reports *reports = &worker->env.reports;

    fg_call_reports_init(reports, &worker->env, log ? worker->gateway->config->access_log.interval_ns : 0);
    reports->on_report = on_report;
    reports->context = worker;
    worker->env.notes = log ? fg_access_log_notes(log) : NULL;
}

static void on_wait(void *context, const struct fg_call *call, const struct fg_call_wait *wait)
{
    struct fg_worker *worker = context;
    fg_long_waits_add(&worker->long_waits, call, wait);
}

/* ---- life ---- */

static struct fg_h2_options limits_of(const struct fg_config_listener *config)
{
    const struct fg_config_http2 *h = &config->http2;
    const struct fg_config_guard *g = &config->guard;
    struct fg_h2_options limits = fg_h2_server_defaults();
    uint64_t window = (uint64_t)h->max_concurrent_streams * h->stream_window;

    limits.max_concurrent_streams = h->max_concurrent_streams;
    limits.stream_window = h->stream_window;
    limits.connection_window = h->connection_window ? h->connection_window
                                                    : (uint32_t)FG_MIN(FG_MAX(window, (uint64_t)FG_H2_INITIAL_WINDOW),
                                                                       (uint64_t)FG_H2_MAX_WINDOW);
    limits.max_frame_size = h->max_frame_size;
    limits.header_table_size = h->header_table_size;
    limits.max_header_list = h->max_header_list;
    limits.max_header_fields = h->max_header_fields;
    limits.max_continuations = h->max_continuations;
    limits.header_timeout_ns = h->header_timeout_ns;
    limits.preface_timeout_ns = h->preface_timeout_ns;
    limits.settings_timeout_ns = h->settings_timeout_ns;
    limits.idle_timeout_ns = h->idle_timeout_ns;
    limits.keepalive_interval_ns = h->keepalive_interval_ns;
    limits.keepalive_timeout_ns = h->keepalive_timeout_ns;
    limits.write_stall_timeout_ns = h->write_stall_timeout_ns;
    limits.reset_burst = g->reset_burst;
    limits.reset_rate = g->reset_rate;
    limits.reset_ratio = g->reset_ratio;
    limits.reset_ratio_minimum = g->reset_ratio_minimum;
    limits.ping_rate = g->ping_rate;
    limits.settings_rate = g->settings_rate;
    limits.queued_control_frames = g->queued_control_frames;
    limits.empty_data_frames = g->empty_data_frames;
    limits.error_burst = g->error_burst;
    limits.error_rate = g->error_rate;
    return limits;
}

/* ---- gates ---- */

static void on_turn_end(struct fg_turn_task *task)
{
    struct fg_cluster *cluster = FG_CONTAINER_OF(task, struct fg_cluster, turn_task);
    struct fg_worker *worker = cluster->owner;
    fg_turn_woken(&worker->env, cluster);
}

static void on_turn_mail(struct fg_mail *mail)
{
    struct fg_cluster *cluster = FG_CONTAINER_OF(mail, struct fg_cluster, turn_mail);
    struct fg_worker *worker = cluster->owner;
    fg_turn_woken(&worker->env, cluster);
}

void fg_worker_wake_gate(struct fg_worker *worker, size_t cluster, bool from_itself)
{
    struct fg_cluster *to = &worker->clusters[cluster];

    if (from_itself)
        fg_loop_at_turn_end(&worker->loop, &to->turn_task);
    else
        fg_mailbox_post(&worker->loop, &to->turn_mail);
}

/* Is there anything to be counted for the cluster? */
static bool is_gated(const struct fg_config *config, size_t cluster)
{
    const struct fg_config_limits *limits = &config->clusters[cluster].limits;

    if (limits->streams || limits->long_streams || limits->adaptive.enabled)
        return true;
    for (size_t i = 0; i < config->routes_len; i++)
        if (config->routes[i].cluster == cluster && config->routes[i].retry.attempts > 1)
            return true; /* the budget of retries is a share of the attempts */
    return false;
}

/* Where no route says anything about priority or weight, the breaker's bases hold as they are written. */
static bool has_classes(const struct fg_config *config, size_t cluster)
{
    for (size_t i = 0; i < config->routes_len; i++) {
        const struct fg_config_route *route = &config->routes[i];
        if (route->cluster == cluster &&
            (route->priority != 1 || route->weight != 1 || route->priority_header || route->tenant.weights_len > 0))
            return true;
    }
    return false;
}

static void init_gate(struct fg_worker *worker, struct fg_cluster *cluster, size_t i)
{
    cluster->owner = worker;
    cluster->gate = worker->gateway->gates[i].gate;
    cluster->tokens = &worker->gateway->gates[i].tokens;
    cluster->is_gated = is_gated(worker->gateway->config, i);
    cluster->has_classes = has_classes(worker->gateway->config, i);
    cluster->turns = fg_alloc_zero(FG_GATE_ROOMS * sizeof *cluster->turns);
    cluster->turn_task.on_turn_end = on_turn_end;
    fg_list_init(&cluster->turn_task.node);
    cluster->turn_mail.run = on_turn_mail;
}

static int init_clusters(struct fg_worker *worker, char *error, size_t error_len)
{
    struct fg_gateway *gateway = worker->gateway;
    const struct fg_config *config = gateway->config;

    worker->clusters = fg_alloc_zero(config->clusters_len * sizeof *worker->clusters);
    for (size_t i = 0; i < config->clusters_len; i++) {
        struct fg_cluster *cluster = &worker->clusters[i];
        worker->clusters_len = i + 1;
        if (fg_cluster_init(cluster, &config->clusters[i], &worker->loop, &worker->stats, gateway->cluster_tls[i],
                            0x9E3779B97F4A7C15ull * (worker->index + 1) + i, error, error_len) != 0)
            return -1;
        worker->env.has_http |= config->clusters[i].service == FG_SERVICE_HTTP;
        init_gate(worker, cluster, i);
        for (size_t e = 0; e < cluster->endpoints_len; e++)
            cluster->endpoints[e].breaker =
                fg_breaker_get(gateway->breakers, cluster->name, cluster->endpoints[e].name, FG_STR(""));
    }
    return 0;
}

static int init_server(struct fg_worker *worker, size_t i, char *error, size_t error_len)
{
    struct fg_gateway *gateway = worker->gateway;
    const struct fg_config_listener *config = &gateway->config->listeners[i];
    struct fg_server *server = &worker->servers[i];
    struct fg_h2_options limits = limits_of(config);
    struct fg_address address;

    limits.extended_connect = worker->env.has_http;
    server->max_connections = config->max_connections;
    server->connections = &gateway->connections[i];
    fg_conn_side_init(&server->side, &worker->loop, &worker->stats, &limits, &server_events, worker);
    server->side.tls = gateway->listener_tls[i] ? fg_tls_context_ref(gateway->listener_tls[i]) : NULL;
    server->side.h1.tls = server->side.tls != NULL;
    server->side.h1.h2c = !server->side.tls;
    server->side.handshake_timeout_ns = config->tls.handshake_timeout_ns;
    server->watch.fd = -1;
    if (fg_address_resolve(&address, config->host, config->port, error, error_len) != 0)
        return -1;
    if (worker->index == 0 && fg_socket_probe_free(&address, error, error_len) != 0)
        return -1;
    int fd = fg_socket_listen(&address, error, error_len);
    if (fd < 0)
        return -1;
    int result = fg_server_start(server, fd);
    if (result == 0)
        return 0;
    snprintf(error, error_len, "listener %s cannot be watched: %s", config->address, strerror(-result));
    return -1;
}

static int init_servers(struct fg_worker *worker, char *error, size_t error_len)
{
    const struct fg_config *config = worker->gateway->config;

    worker->servers = fg_alloc_zero(config->listeners_len * sizeof *worker->servers);
    for (size_t i = 0; i < config->listeners_len; i++) {
        worker->servers_len = i + 1;
        if (init_server(worker, i, error, error_len) != 0)
            return -1;
    }
    return 0;
}

int fg_worker_init(struct fg_worker *worker, struct fg_gateway *gateway, unsigned index, char *error, size_t error_len)
{
    *worker = (struct fg_worker){.gateway = gateway, .index = index};
    int result = fg_loop_init(&worker->loop);
    if (result != 0) {
        snprintf(error, error_len, "worker %u cannot make its event loop: %s", index, strerror(-result));
        return -1;
    }
    worker->env = (struct fg_call_env){
        .loop = &worker->loop,
        .stats = &worker->stats,
        .config = gateway->config,
        .breakers = gateway->breakers,
        .learned = gateway->learned,
        .limiter = gateway->limiter,
        .rest = &fg_service_rest,
        .worker = index,
        .seed = (uint32_t)(fg_clock_wall_ns() >> 10) ^ (uint32_t)getpid(),
        .random = 0x9E3779B97F4A7C15ull * (index + 1) ^ fg_clock_now_ns(),
        .sink = {on_attempt, on_call, worker, on_wait, on_start, on_attempt_start},
    };
    fg_metrics_init(&worker->metrics, gateway->config->routes_len, worker->env.seed);
    fg_list_init(&worker->env.calls);
    init_log(worker);
    if (init_clusters(worker, error, error_len) != 0 || init_servers(worker, error, error_len) != 0) {
        fg_worker_cleanup(worker);
        return -1;
    }
    worker->env.clusters = worker->clusters;
    return 0;
}

void fg_worker_cleanup(struct fg_worker *worker)
{
    worker->draining = false; /* nobody runs the loop any more */
    for (size_t i = 0; i < worker->servers_len; i++) {
        fg_server_stop_accepting(&worker->servers[i]);
        fg_conn_side_cleanup(&worker->servers[i].side);
    }
    for (size_t i = 0; i < worker->clusters_len; i++)
        fg_cluster_cleanup(&worker->clusters[i]);
    free(worker->servers);
    free(worker->clusters);
    worker->clusters = NULL;
    worker->clusters_len = 0; /* mail that is still queued asks */
    fg_metrics_cleanup(&worker->metrics);
    fg_long_waits_cleanup(&worker->long_waits);
    fg_timer_cancel(&worker->loop.timers, &worker->drain_timer);
    fg_timer_cancel(&worker->loop.timers, &worker->env.reports.timer);
    fg_loop_cleanup(&worker->loop);
}

/* ---- drain ---- */

/* Time is up: those that still wait are told so, in a way that lets them try elsewhere. */
static void on_drain_timeout(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_worker *worker = FG_CONTAINER_OF(timer, struct fg_worker, drain_timer);
    (void)now_ns;

    FG_LIST_EACH (node, &worker->env.calls) {
        struct fg_call *call = FG_LIST_ENTRY(node, struct fg_call, node);
        struct fg_reply reply =
            fg_reply_make(FG_REASON_DRAINING, FG_STR("the gateway shuts down and drain_timeout is over"));
        if (call->answered)
            continue;
        fg_call_fail(call, &reply);
    }
    for (size_t i = 0; i < worker->servers_len; i++)
        FG_LIST_EACH (node, &worker->servers[i].side.open)
            fg_conn_close(FG_LIST_ENTRY(node, struct fg_conn, node), "drain_timeout is over");
}

void fg_worker_drain(struct fg_worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    fg_timer_init(&worker->drain_timer, on_drain_timeout);
    fg_timer_arm(&worker->loop.timers, &worker->drain_timer,
                 worker->loop.now_ns + worker->gateway->config->drain_timeout_ns);
    for (size_t i = 0; i < worker->servers_len; i++) {
        fg_server_stop_accepting(&worker->servers[i]);
        fg_conn_side_drain(&worker->servers[i].side);
    }
    if (!has_connections(worker))
        fg_loop_stop(&worker->loop);
}
