/* Connections to an endpoint and the calls that wait for one. Few connections are fast (doc/performance: calls of many
 * clients share writes), so another one is opened only for a reason: no free stream slot, or nothing but bad
 * connections. */
#include <stdlib.h>
#include <string.h>

#include "upstream/cluster.h"

/* ---- the list of connections ---- */

static void add(struct fg_endpoint *endpoint, struct fg_conn *conn)
{
    if (endpoint->conns_len == endpoint->conns_cap) {
        endpoint->conns_cap = endpoint->conns_cap ? endpoint->conns_cap * 2 : 4;
        endpoint->conns = fg_realloc(endpoint->conns, endpoint->conns_cap * sizeof(struct fg_conn *));
    }
    endpoint->conns[endpoint->conns_len++] = conn;
    conn->user = endpoint;
}

static void drop(struct fg_endpoint *endpoint, const struct fg_conn *conn)
{
    for (uint32_t i = 0; i < endpoint->conns_len; i++) {
        if (endpoint->conns[i] != conn)
            continue;
        endpoint->conns_len--;
        memmove(&endpoint->conns[i], &endpoint->conns[i + 1],
                (endpoint->conns_len - i) * sizeof(struct fg_conn *)); /* the order is the order of preference */
        return;
    }
}

static bool is_connecting(const struct fg_conn *conn)
{
    return conn->state <= FG_CONN_OPEN && !fg_conn_load(conn).is_ready;
}

/* A free slot, preferably where output flows and streams get answers. */
static struct fg_conn *find_slot(const struct fg_endpoint *endpoint, bool *only_bad)
{
    uint64_t now_ns = endpoint->cluster->side.loop->now_ns;
    struct fg_conn *bad = NULL;

    *only_bad = false;
    for (uint32_t i = 0; i < endpoint->conns_len; i++) {
        struct fg_conn *conn = endpoint->conns[i];
        if (fg_conn_load(conn).free == 0)
            continue;
        if (!fg_conn_is_stalled(conn, now_ns) && !fg_conn_is_suspect(conn))
            return conn;
        bad = bad ? bad : conn;
    }
    *only_bad = bad != NULL;
    return bad;
}

static uint32_t count_connecting(const struct fg_endpoint *endpoint)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < endpoint->conns_len; i++)
        n += is_connecting(endpoint->conns[i]);
    return n;
}

/* ---- opening ---- */

/* 0, or negative errno. */
static int connect_one(struct fg_endpoint *endpoint)
{
    const struct fg_config_tls_client *tls = &endpoint->cluster->config->tls;
    int error = 0;
    struct fg_conn *conn = fg_conn_connect(&endpoint->cluster->side, &endpoint->address,
                                           tls->server_name ? tls->server_name : endpoint->config->host, &error);
    if (!conn) {
        FG_COUNT(&endpoint->stats, connects_failed);
        return error;
    }
    add(endpoint, conn);
    return 0;
}

/* Opens a connection if those on their way will not do for the calls that wait. */
static int connect_if_needed(struct fg_endpoint *endpoint)
{
    uint32_t on_their_way = count_connecting(endpoint);
    uint32_t slots = FG_MAX(endpoint->slots_hint, 1u);

    if (endpoint->conns_len >= endpoint->cluster->config->limits.connections)
        return 0;
    if (fg_endpoint_waiting(endpoint) <= on_their_way * (uint64_t)slots)
        return 0;
    return connect_one(endpoint);
}

/* ---- waiting ---- */

uint32_t fg_endpoint_waiting(const struct fg_endpoint *endpoint)
{
    return endpoint->waiting ? (uint32_t)fg_fair_queue_len(endpoint->waiting) : 0;
}

void fg_endpoint_cancel(struct fg_slot_wait *wait)
{
    if (wait->endpoint && fg_fair_item_waits(&wait->item))
        fg_fair_queue_remove(wait->endpoint->waiting, &wait->item);
}

static struct fg_slot_wait *pop(struct fg_endpoint *endpoint)
{
    return FG_CONTAINER_OF(fg_fair_queue_pop(endpoint->waiting), struct fg_slot_wait, item);
}

static void serve_waiting(struct fg_endpoint *endpoint)
{
    while (fg_endpoint_waiting(endpoint) > 0) {
        bool only_bad;
        struct fg_conn *conn = find_slot(endpoint, &only_bad);
        if (!conn || (only_bad && count_connecting(endpoint) > 0))
            break;
        struct fg_slot_wait *wait = pop(endpoint);
        wait->on_slot(wait, conn);
    }
    if (fg_endpoint_waiting(endpoint) > 0)
        (void)!connect_if_needed(endpoint); /* a failure leaves them waiting for the other connections' slots */
}

static void fail_waiting(struct fg_endpoint *endpoint, const char *why)
{
    /* Those that come while the others are told wait for the next attempt to connect. */
    for (uint32_t n = fg_endpoint_waiting(endpoint); n > 0 && fg_endpoint_waiting(endpoint) > 0; n--) {
        struct fg_slot_wait *wait = pop(endpoint);
        wait->on_failed(wait, why);
    }
}

struct fg_conn *fg_endpoint_find_slot(struct fg_endpoint *endpoint)
{
    bool only_bad;
    struct fg_conn *conn = fg_endpoint_waiting(endpoint) == 0 ? find_slot(endpoint, &only_bad) : NULL;

    if (conn && only_bad && endpoint->conns_len < endpoint->cluster->config->limits.connections)
        return NULL;
    return conn;
}

int fg_endpoint_wait(struct fg_endpoint *endpoint, struct fg_slot_wait *wait, unsigned priority, unsigned weight,
                     uint32_t tenant, const char **why)
{
    if (!endpoint->waiting)
        endpoint->waiting = fg_alloc_zero(sizeof *endpoint->waiting);
    wait->endpoint = endpoint;
    fg_fair_queue_push(endpoint->waiting, &wait->item, priority, weight, tenant);
    int error = connect_if_needed(endpoint);
    if (error == 0 || endpoint->conns_len > 0)
        return 0;
    fg_fair_queue_remove(endpoint->waiting, &wait->item);
    *why = strerror(-error);
    return -1;
}

enum fg_wait_cause fg_endpoint_wait_cause(const struct fg_endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->conns_len; i++) {
        if (endpoint->conns[i]->state == FG_CONN_HANDSHAKE)
            return FG_WAIT_TLS;
        if (endpoint->conns[i]->state < FG_CONN_OPEN)
            return FG_WAIT_CONNECT;
        if (!fg_conn_load(endpoint->conns[i]).is_ready)
            return FG_WAIT_SETTINGS;
    }
    return endpoint->conns_len > 0 ? FG_WAIT_STREAM_SLOT : FG_WAIT_CONNECT; /* the one that was made has failed */
}

/* ---- events of the connections ---- */

static void on_slots(struct fg_conn *conn)
{
    struct fg_endpoint *endpoint = conn->user;

    struct fg_conn_load load = fg_conn_load(conn);

    if (load.is_ready && !conn->ready_ns) {
        FG_COUNT(&endpoint->stats, connects_succeeded);
        conn->ready_ns = conn->side->loop->now_ns;
    }
    if (load.is_ready)
        endpoint->slots_hint = FG_MIN(load.limit, endpoint->cluster->config->limits.streams_per_connection);
    if (load.open == 0 && fg_conn_is_broken(conn)) /* nobody is to use it any more */
        fg_conn_close(conn, "its last streams were all reset");
    if (fg_endpoint_waiting(endpoint) > 0)
        serve_waiting(endpoint);
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    struct fg_endpoint *endpoint = conn->user;
    bool was_usable = conn->ready_ns != 0;

    if (!endpoint)
        return;
    if (was_usable)
        FG_COUNT(&endpoint->stats, disconnections);
    else
        FG_COUNT(&endpoint->stats, connects_failed);
    drop(endpoint, conn);
    if (fg_endpoint_waiting(endpoint) == 0)
        return;
    /* A connection that never worked speaks for the endpoint, unless others do. */
    if (!was_usable && endpoint->conns_len == 0)
        fail_waiting(endpoint, why);
    else
        serve_waiting(endpoint);
    if (fg_endpoint_waiting(endpoint) > 0 && endpoint->conns_len == 0 && connect_one(endpoint) < 0)
        fail_waiting(endpoint, why);
}

static void no_request(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    fg_stream_reset(stream, FG_H2_REFUSED_STREAM); /* endpoints cannot open streams: the engine refuses push */
}

const struct fg_conn_events fg_pool_events = {no_request, NULL, on_slots, on_closed};
