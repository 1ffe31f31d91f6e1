#include "h2/h2_int.h"

#include <assert.h>
#include <stdlib.h>

#define LINGER_NS      FG_S
#define DRAIN_GRACE_NS FG_S /* how long the first GOAWAY may take to reach a peer that answers no PING */

/* ---- output ---- */

void fg_h2_tell_output(struct fg_h2_conn *conn)
{
    if (conn->output_told || conn->lost)
        return;
    conn->output_told = true;
    conn->options->handler->on_output(conn);
}

void fg_h2_write_control(struct fg_h2_conn *conn, uint8_t type, uint8_t flags, uint32_t stream_id, const void *payload,
                         uint32_t len)
{
    uint8_t *at = fg_outq_reserve(&conn->out, FG_H2_FRAME_HEADER_BYTES + len);

    fg_h2_frame_write(at, (struct fg_h2_frame){.len = len, .type = type, .flags = flags, .stream_id = stream_id});
    if (len > 0)
        memcpy(at + FG_H2_FRAME_HEADER_BYTES, payload, len);
    fg_outq_commit(&conn->out, FG_H2_FRAME_HEADER_BYTES + len);
    fg_h2_tell_output(conn);
}

void fg_h2_write_u32(struct fg_h2_conn *conn, uint8_t type, uint32_t stream_id, uint32_t value)
{
    uint8_t payload[4];
    fg_store_u32(payload, value);
    fg_h2_write_control(conn, type, 0, stream_id, payload, sizeof payload);
}

static void write_goaway(struct fg_h2_conn *conn, uint32_t last_id, uint32_t code, const char *reason)
{
    uint8_t payload[8 + 128];
    size_t len = FG_MIN(strlen(reason), (size_t)128);

    fg_store_u32(payload, last_id);
    fg_store_u32(payload + 4, code);
    memcpy(payload + 8, reason, len);
    fg_h2_write_control(conn, FG_H2_GOAWAY, 0, 0, payload, (uint32_t)(8 + len));
}

/* ---- life ---- */

void fg_h2_conn_init(struct fg_h2_conn *conn, const struct fg_h2_options *options)
{
    void *owner = conn->owner;

    *conn = (struct fg_h2_conn){
        .options = options,
        .owner = owner,
        .expect = options->role == FG_H2_SERVER ? FG_H2_EXPECT_PREFACE : FG_H2_EXPECT_FRAME,
        .next_id = 1,
        .send_window = FG_H2_INITIAL_WINDOW,
        .recv_window = FG_H2_INITIAL_WINDOW,
        .peer_initial_window = FG_H2_INITIAL_WINDOW,
        .peer_max_frame = FG_H2_MIN_MAX_FRAME,
        .peer_max_streams = UINT32_MAX,
        .peer_max_header_list = UINT32_MAX,
    };
    fg_outq_init(&conn->out, options->mem);
    fg_list_init(&conn->streams);
    fg_list_init(&conn->dead);
    fg_list_init(&conn->stalled);
    fg_list_init(&conn->lingering);
    for (int i = 0; i < FG_H2_URGENCIES; i++)
        fg_list_init(&conn->sched[i]);
    /* The peer may use the RFC's 4096 bytes until it has acknowledged less. */
    fg_hpack_decoder_init(&conn->decoder, FG_MAX(options->header_table_size, 4096u));
    fg_hpack_encoder_init(&conn->encoder, options->encoder_table_size);
    conn->created_ns = conn->last_recv_ns = conn->idle_since_ns = fg_h2_now(conn);
    if (options->role == FG_H2_CLIENT)
        fg_outq_copy(&conn->out, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
    fg_h2_send_settings(conn);
}

void fg_h2_conn_cleanup(struct fg_h2_conn *conn)
{
    if (!conn->lost)
        fg_h2_conn_lost(conn, "closed");
    fg_h2_reap(conn);
    assert(fg_list_empty(&conn->streams) && conn->open_streams == 0);
    fg_outq_cleanup(&conn->out);
    fg_idmap_cleanup(&conn->by_id);
    fg_idmap_cleanup(&conn->early_priorities);
    fg_hpack_decoder_cleanup(&conn->decoder);
    fg_hpack_encoder_cleanup(&conn->encoder);
    free(conn->partial);
    free(conn->block);
    free(conn->holders);
    conn->partial = conn->block = NULL;
    conn->holders = NULL;
}

static void close_all(struct fg_h2_conn *conn, const struct fg_h2_close *why)
{
    while (!fg_list_empty(&conn->streams))
        fg_h2_stream_close(FG_LIST_FIRST(&conn->streams, struct fg_h2_stream, node), why);
}

void fg_h2_conn_lost(struct fg_h2_conn *conn, const char *reason)
{
    if (conn->lost)
        return;
    conn->lost = conn->failed = true;
    close_all(conn, &(struct fg_h2_close){FG_H2_CLOSED_CONNECTION, conn->goaway_code, reason});
}

void fg_h2_conn_fail(struct fg_h2_conn *conn, enum fg_h2_fault fault)
{
    const struct fg_h2_fault_info *info = fg_h2_fault_info(fault);

    if (conn->failed)
        return;
    conn->failed = true;
    conn->fault = fault;
    fg_stat_add(&conn->options->fault_counts[fault], 1); /* the admin thread reads them */
    /* The last id must not grow (RFC 9113 section 6.8). */
    write_goaway(conn, conn->drain_final ? conn->drain_last_id : conn->last_peer_id, info->code, info->reason);
    close_all(conn, &(struct fg_h2_close){FG_H2_CLOSED_CONNECTION, info->code, info->reason});
}

bool fg_h2_conn_is_done(const struct fg_h2_conn *conn)
{
    bool no_streams = fg_list_empty(&conn->streams);
    return conn->failed || (no_streams && (conn->drain_final || conn->peer_goaway));
}

/* ---- graceful shutdown ---- */

static const uint8_t drain_ping[8] = {'f', 'u', 's', 'e', 'd', 'r', 'a', 'n'};

static void finish_drain(struct fg_h2_conn *conn)
{
    conn->drain_final = true;
    conn->drain_ping = false;
    conn->drain_last_id = conn->last_peer_id;
    write_goaway(conn, conn->drain_last_id, FG_H2_NO_ERROR, "shutting down");
}

void fg_h2_conn_drain(struct fg_h2_conn *conn)
{
    if (conn->draining || conn->failed)
        return;
    conn->draining = true;
    conn->drain_since_ns = fg_h2_now(conn);
    if (!fg_h2_is_server(conn)) { /* the peer opens no streams: nothing can cross the GOAWAY */
        finish_drain(conn);
        return;
    }
    write_goaway(conn, FG_H2_MAX_STREAM_ID, FG_H2_NO_ERROR, "shutting down");
    conn->drain_ping = true;
    fg_h2_write_control(conn, FG_H2_PING, 0, 0, drain_ping, sizeof drain_ping);
}

enum fg_h2_fault fg_h2_on_ping(struct fg_h2_conn *conn, const uint8_t *payload)
{
    if (conn->frame.flags & FG_H2_FLAG_ACK) {
        if (conn->drain_ping && memcmp(payload, drain_ping, sizeof drain_ping) == 0)
            finish_drain(conn);
        else
            conn->ping_out = false;
        return FG_H2_FAULT_NONE;
    }
    enum fg_h2_fault fault = fg_h2_guard_ping(conn);
    if (fault)
        return fault;
    fg_h2_write_control(conn, FG_H2_PING, FG_H2_FLAG_ACK, 0, payload, 8);
    return FG_H2_FAULT_NONE;
}

/* ---- timers ---- */

static uint64_t stall_start_ns(const struct fg_h2_conn *conn)
{
    uint64_t since = conn->socket_blocked_since_ns;
    if (conn->window_blocked_since_ns && (since == 0 || conn->window_blocked_since_ns < since))
        since = conn->window_blocked_since_ns;
    return since;
}

/* Since when the longest one of conn->stalled or conn->lingering is there; 0: none is. */
static uint64_t first_since_ns(const struct fg_list *streams)
{
    return fg_list_empty(streams) ? 0 : FG_LIST_FIRST(streams, struct fg_h2_stream, ready)->stalled_since_ns;
}

static void earlier(uint64_t *next, bool relevant, uint64_t since_ns, uint64_t after_ns)
{
    if (relevant && after_ns != 0 && since_ns + after_ns < *next)
        *next = since_ns + after_ns;
}

/* A peer whose bytes keep coming lives, although its answer is still behind them. */
static uint64_t alive_ns(const struct fg_h2_conn *conn)
{
    return FG_MAX(conn->ping_sent_ns, conn->last_recv_ns);
}

/* Something has begun that must be whole within header_timeout: a frame's head, its payload, a header block. */
static bool is_in_pieces(const struct fg_h2_conn *conn)
{
    return conn->block || conn->partial || (conn->head_len > 0 && conn->expect == FG_H2_EXPECT_FRAME);
}

uint64_t fg_h2_conn_next_time_ns(const struct fg_h2_conn *conn)
{
    const struct fg_h2_options *o = conn->options;
    uint64_t next = FG_NEVER;

    if (conn->failed)
        return next;
    earlier(&next, !conn->settings_received, conn->created_ns,
            fg_h2_is_server(conn) ? o->preface_timeout_ns : o->settings_timeout_ns);
    earlier(&next, !conn->settings_acked, conn->settings_sent_ns, o->settings_timeout_ns);
    earlier(&next, is_in_pieces(conn), conn->block_since_ns, o->header_timeout_ns);
    earlier(&next, conn->ping_out, alive_ns(conn), o->keepalive_timeout_ns);
    earlier(&next, !conn->ping_out, conn->last_recv_ns, o->keepalive_interval_ns);
    earlier(&next, conn->open_streams == 0 && !conn->draining, conn->idle_since_ns, o->idle_timeout_ns);
    earlier(&next, stall_start_ns(conn) != 0, stall_start_ns(conn), o->write_stall_timeout_ns);
    earlier(&next, first_since_ns(&conn->stalled) != 0, first_since_ns(&conn->stalled), o->write_stall_timeout_ns);
    earlier(&next, first_since_ns(&conn->lingering) != 0, first_since_ns(&conn->lingering), LINGER_NS);
    earlier(&next, conn->drain_ping, conn->drain_since_ns, DRAIN_GRACE_NS);
    return next;
}

static bool over(const struct fg_h2_conn *conn, bool relevant, uint64_t since_ns, uint64_t after_ns)
{
    return relevant && after_ns != 0 && fg_h2_now(conn) >= since_ns + after_ns;
}

static void keepalive(struct fg_h2_conn *conn)
{
    static const uint8_t alive_ping[8] = {'f', 'u', 's', 'e', 'l', 'i', 'v', 'e'};

    conn->ping_out = true;
    conn->ping_sent_ns = fg_h2_now(conn);
    fg_h2_write_control(conn, FG_H2_PING, 0, 0, alive_ping, sizeof alive_ping);
}

void fg_h2_conn_ping(struct fg_h2_conn *conn)
{
    if (!conn->failed && !conn->ping_out)
        keepalive(conn);
}

void fg_h2_conn_on_time(struct fg_h2_conn *conn)
{
    const struct fg_h2_options *o = conn->options;
    uint64_t preface_ns = fg_h2_is_server(conn) ? o->preface_timeout_ns : o->settings_timeout_ns;

    if (conn->failed)
        return;
    if (over(conn, !conn->settings_received, conn->created_ns, preface_ns)) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_PREFACE_TIMEOUT);
        return;
    }
    if (over(conn, !conn->settings_acked, conn->settings_sent_ns, o->settings_timeout_ns)) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_SETTINGS_TIMEOUT);
        return;
    }
    if (over(conn, is_in_pieces(conn), conn->block_since_ns, o->header_timeout_ns)) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_HEADER_TIMEOUT);
        return;
    }
    if (over(conn, conn->ping_out, alive_ns(conn), o->keepalive_timeout_ns)) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_KEEPALIVE_TIMEOUT);
        return;
    }
    if (over(conn, stall_start_ns(conn) != 0, stall_start_ns(conn), o->write_stall_timeout_ns)) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_WRITE_STALL);
        return;
    }
    while (over(conn, first_since_ns(&conn->stalled) != 0, first_since_ns(&conn->stalled), o->write_stall_timeout_ns))
        fg_h2_stream_fault(conn, FG_LIST_FIRST(&conn->stalled, struct fg_h2_stream, ready)->id,
                           FG_H2_FAULT_STREAM_STALL);
    while (over(conn, first_since_ns(&conn->lingering) != 0, first_since_ns(&conn->lingering), LINGER_NS))
        fg_h2_stream_stop_reading(FG_LIST_FIRST(&conn->lingering, struct fg_h2_stream, ready));
    if (conn->failed)
        return;
    if (over(conn, conn->drain_ping, conn->drain_since_ns, DRAIN_GRACE_NS))
        finish_drain(conn);
    if (over(conn, conn->open_streams == 0 && !conn->draining, conn->idle_since_ns, o->idle_timeout_ns))
        fg_h2_conn_drain(conn);
    if (over(conn, !conn->ping_out, conn->last_recv_ns, o->keepalive_interval_ns))
        keepalive(conn);
}

void fg_h2_conn_set_blocked(struct fg_h2_conn *conn, bool blocked, bool progress)
{
    conn->blocked = blocked;
    if (!blocked) {
        conn->control_queued = 0;
        conn->socket_blocked_since_ns = 0;
        return;
    }
    conn->window_was_last = false;
    if (progress || conn->socket_blocked_since_ns == 0) /* a slow reader is not a dead one */
        conn->socket_blocked_since_ns = fg_h2_now(conn);
}

uint32_t fg_h2_conn_free_slots(const struct fg_h2_conn *conn)
{
    uint32_t limit = FG_MIN(conn->peer_max_streams, conn->options->max_concurrent_streams);

    if (!conn->settings_received || conn->failed || conn->draining || conn->peer_goaway)
        return 0;
    if (conn->next_id > FG_H2_MAX_STREAM_ID)
        return 0;
    return conn->open_streams < limit ? limit - conn->open_streams : 0;
}
