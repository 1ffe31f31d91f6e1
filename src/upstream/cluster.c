#include "upstream/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor.h"

static struct fg_h2_options limits_of(const struct fg_config_cluster *config)
{
    const struct fg_config_http2 *h = &config->http2;
    const struct fg_config_guard *g = &config->guard;
    uint64_t window = (uint64_t)config->limits.streams_per_connection * h->stream_window;

    return (struct fg_h2_options){
        .role = FG_H2_CLIENT,
        .max_concurrent_streams = config->limits.streams_per_connection,
        .stream_window = h->stream_window,
        .connection_window = h->connection_window ? h->connection_window
                                                  : (uint32_t)FG_MIN(FG_MAX(window, (uint64_t)FG_H2_INITIAL_WINDOW),
                                                                     (uint64_t)FG_H2_MAX_WINDOW),
        .max_frame_size = h->max_frame_size,
        .header_table_size = h->header_table_size,
        .encoder_table_size = 4096,
        .max_header_list = h->max_header_list,
        .max_header_fields = h->max_header_fields,
        .max_continuations = h->max_continuations,
        .header_timeout_ns = h->header_timeout_ns,
        .settings_timeout_ns = h->settings_timeout_ns,
        .idle_timeout_ns = h->idle_timeout_ns,
        .keepalive_interval_ns = h->keepalive_interval_ns,
        .keepalive_timeout_ns = h->keepalive_timeout_ns,
        .write_stall_timeout_ns = h->write_stall_timeout_ns,
        .reset_burst = g->reset_burst,
        .reset_rate = g->reset_rate,
        .reset_ratio = g->reset_ratio,
        .reset_ratio_minimum = g->reset_ratio_minimum,
        .ping_rate = g->ping_rate,
        .settings_rate = g->settings_rate,
        .queued_control_frames = g->queued_control_frames,
        .empty_data_frames = g->empty_data_frames,
        .error_burst = g->error_burst,
        .error_rate = g->error_rate,
    };
}

static int init_endpoint(struct fg_cluster *cluster, size_t i, char *error, size_t error_len)
{
    const struct fg_config_endpoint *config = &cluster->config->endpoints[i];
    struct fg_endpoint *endpoint = &cluster->endpoints[i];
    char why[200];

    endpoint->cluster = cluster;
    endpoint->config = config;
    endpoint->name = fg_str_from(config->address);
    endpoint->slots_hint = cluster->config->limits.streams_per_connection;
    if (fg_address_resolve(&endpoint->address, config->host, config->port, why, sizeof why) == 0)
        return 0;
    snprintf(error, error_len, "cluster %s: endpoint %s: %s", cluster->config->name, config->address, why);
    return -1;
}

int fg_cluster_init(struct fg_cluster *cluster, const struct fg_config_cluster *config, struct fg_loop *loop,
                    struct fg_stats *stats, struct fg_tls_context *tls, uint64_t seed, char *error, size_t error_len)
{
    static const enum fg_conn_speaks speaks[] = {
        [FG_PROTOCOL_H2] = FG_SPEAKS_H2, [FG_PROTOCOL_H1] = FG_SPEAKS_H1, [FG_PROTOCOL_AUTO] = FG_SPEAKS_ALPN};
    struct fg_h2_options limits = limits_of(config);

    *cluster = (struct fg_cluster){.config = config, .name = fg_str_from(config->name), .random = seed | 1};
    fg_conn_side_init(&cluster->side, loop, stats, &limits, &fg_pool_events, cluster);
    cluster->side.speaks = speaks[config->protocol];
    cluster->side.connect_timeout_ns = config->connect_timeout_ns;
    cluster->side.handshake_timeout_ns = config->connect_timeout_ns;
    cluster->side.tls = tls ? fg_tls_context_ref(tls) : NULL;
    cluster->endpoints_len = config->endpoints_len;
    cluster->endpoints = fg_alloc_zero(config->endpoints_len * sizeof *cluster->endpoints);
    for (size_t i = 0; i < config->endpoints_len; i++)
        if (init_endpoint(cluster, i, error, error_len) != 0)
            return -1;
    return 0;
}

void fg_cluster_cleanup(struct fg_cluster *cluster)
{
    fg_conn_side_cleanup(&cluster->side);
    for (size_t i = 0; i < cluster->endpoints_len; i++) {
        free(cluster->endpoints[i].waiting);
        free(cluster->endpoints[i].conns);
    }
    fg_descriptors_unref(cluster->descriptors);
    free(cluster->turns);
    free(cluster->endpoints);
    cluster->endpoints = NULL;
    cluster->endpoints_len = 0;
}

enum fg_status fg_cluster_status(const struct fg_cluster *cluster, unsigned http_status)
{
    const struct fg_config_http_status *class = NULL;

    for (size_t i = 0; i < cluster->config->http_statuses_len; i++) {
        const struct fg_config_http_status *entry = &cluster->config->http_statuses[i];
        const char *digits = entry->http; /* three; the last two may be "xx" */
        if ((unsigned)(digits[0] - '0') != http_status / 100)
            continue;
        if (digits[1] == 'x')
            class = entry;
        else if ((unsigned)((digits[1] - '0') * 10 + digits[2] - '0') == http_status % 100)
            return (enum fg_status)entry->status;
    }
    return class ? (enum fg_status) class->status : fg_status_from_service(http_status);
}
