/* Streams and connections over the HTTP/2 engine. */
#include "http/engine.h"

/* ---- streams ---- */

static struct fg_h2_stream *engine_stream(const struct fg_stream *stream)
{
    /* struct fg_stream lies in the engine stream's user bytes. */
    return (struct fg_h2_stream *)(void *)((char *)(uintptr_t)stream - fg_h2_stream_bytes(0));
}

static void send_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    fg_h2_stream_send_headers(engine_stream(stream), headers, end);
}

static void send_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    fg_h2_stream_send_data(engine_stream(stream), buf, end);
}

static void send_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    fg_h2_stream_send_trailers(engine_stream(stream), headers);
}

static void consume(struct fg_stream *stream, size_t bytes)
{
    fg_h2_stream_consume(engine_stream(stream), bytes);
}

static void reset(struct fg_stream *stream, uint32_t code)
{
    if (!stream->events)
        return;
    fg_h2_stall_end(engine_stream(stream));
    stream->events = NULL;
    fg_conn_count_stream(stream->conn->side, 0);
    fg_h2_stream_reset(engine_stream(stream), code);
}

static void reset_after_end(struct fg_stream *stream, uint32_t code)
{
    fg_h2_stream_reset_after_end(engine_stream(stream), code);
}

static void set_priority(struct fg_stream *stream, int urgency_offset, unsigned weight)
{
    fg_h2_stream_set_route_priority(engine_stream(stream), urgency_offset, weight);
}

static struct fg_wait wait_of(const struct fg_stream *stream)
{
    return fg_h2_stream_wait(engine_stream(stream));
}

static void add_stalls(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    fg_h2_stream_add_stalls(engine_stream(stream), stall_ns);
}

static uint32_t id_of(const struct fg_stream *stream)
{
    return fg_h2_stream_id(engine_stream(stream));
}

static bool local_ended(const struct fg_stream *stream)
{
    return fg_h2_stream_local_ended(engine_stream(stream));
}

static const struct fg_stream_ops h2_stream_ops = {
    send_headers, send_data, send_trailers, consume, reset,       reset_after_end,
    set_priority, wait_of,   add_stalls,    id_of,   local_ended,
};

static void bind_stream(struct fg_stream *stream, struct fg_conn *conn, struct fg_h2_stream *engine)
{
    *stream = (struct fg_stream){.ops = &h2_stream_ops, .conn = conn, .arena = fg_h2_stream_arena(engine)};
}

/* ---- events of the engine ---- */

static void on_headers(struct fg_h2_stream *engine, struct fg_headers *headers, unsigned flags)
{
    struct fg_stream *stream = fg_h2_stream_user(engine);
    struct fg_conn *conn = (struct fg_conn *)fg_h2_stream_conn(engine);

    if (stream->events) {
        stream->events->on_headers(stream, headers, flags);
        return;
    }
    bind_stream(stream, conn, engine);
    fg_conn_count_stream(conn->side, 1);
    conn->side->events->on_request(stream, headers, flags);
}

static void on_data(struct fg_h2_stream *engine, struct fg_buf buf, bool end)
{
    struct fg_stream *stream = fg_h2_stream_user(engine);
    stream->events->on_data(stream, buf, end);
}

static void on_sent(struct fg_h2_stream *engine, size_t bytes)
{
    struct fg_stream *stream = fg_h2_stream_user(engine);
    stream->events->on_sent(stream, bytes);
}

static void on_close(struct fg_h2_stream *engine, const struct fg_h2_close *why)
{
    struct fg_stream *stream = fg_h2_stream_user(engine);
    const struct fg_stream_events *events = stream->events;

    if (!events) /* its request was malformed: nobody has heard of it */
        return;
    stream->events = NULL;
    fg_conn_count_stream(stream->conn->side, 0);
    events->on_close(stream, why);
}

static void on_output(struct fg_h2_conn *h2)
{
    struct fg_conn *conn = (struct fg_conn *)h2;
    fg_loop_at_turn_end(conn->side->loop, &conn->flush);
}

static void on_slots(struct fg_h2_conn *h2)
{
    struct fg_conn *conn = (struct fg_conn *)h2;
    if (conn->side->events->on_slots && conn->state == FG_CONN_OPEN)
        conn->side->events->on_slots(conn);
}

static void on_waited(struct fg_h2_stream *engine, const struct fg_waited *waited)
{
    struct fg_stream *stream = fg_h2_stream_user(engine);
    if (stream->events && stream->events->on_waited)
        stream->events->on_waited(stream, waited);
}

const struct fg_h2_handler fg_h2_conn_handler = {
    on_headers, on_data, on_sent, on_close, on_output, on_slots, on_waited,
};

/* ---- the connection ---- */

static void init(struct fg_conn *conn)
{
    fg_h2_conn_init(&conn->h2, &conn->side->h2);
    conn->out = &conn->h2.out;
}

static void recv_bytes(struct fg_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    fg_h2_conn_recv(&conn->h2, chunk, data, len);
}

static bool has_failed(const struct fg_conn *conn)
{
    return conn->h2.failed;
}

static bool wants_read(const struct fg_conn *conn)
{
    (void)conn;
    return true; /* windows bound what comes */
}

static void pull(struct fg_conn *conn, size_t max_bytes)
{
    fg_h2_conn_pull(&conn->h2, max_bytes);
}

static bool has_more(const struct fg_conn *conn)
{
    return conn->h2.sched_bits && !conn->h2.window_blocked_since_ns;
}

static void set_blocked(struct fg_conn *conn, bool blocked, bool progress)
{
    fg_h2_conn_set_blocked(&conn->h2, blocked, progress);
}

static bool is_stalled(const struct fg_conn *conn, uint64_t since_ns)
{
    uint64_t socket_ns = conn->h2.socket_blocked_since_ns, window_ns = conn->h2.window_blocked_since_ns;
    return (socket_ns && socket_ns < since_ns) || (window_ns && window_ns < since_ns);
}

static const struct fg_wait_holders *holders(struct fg_conn *conn)
{
    return fg_h2_conn_holders(&conn->h2);
}

static void slot_holders(const struct fg_conn *conn, struct fg_wait_holders *holders)
{
    fg_h2_conn_oldest(&conn->h2, holders);
}

static bool is_done(const struct fg_conn *conn)
{
    return fg_h2_conn_is_done(&conn->h2);
}

static const char *fault(const struct fg_conn *conn)
{
    return fg_h2_fault_info(conn->h2.fault)->reason;
}

static void on_time(struct fg_conn *conn)
{
    fg_h2_conn_on_time(&conn->h2);
}

static uint64_t next_time_ns(const struct fg_conn *conn)
{
    return fg_h2_conn_next_time_ns(&conn->h2);
}

static void drain(struct fg_conn *conn)
{
    fg_h2_conn_drain(&conn->h2);
}

static void ping(struct fg_conn *conn)
{
    fg_h2_conn_ping(&conn->h2);
}

static void lost(struct fg_conn *conn, const char *why)
{
    fg_h2_conn_lost(&conn->h2, why);
}

static void cleanup(struct fg_conn *conn)
{
    fg_h2_conn_cleanup(&conn->h2);
}

static struct fg_stream *request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                 const struct fg_stream_events *events, void *user)
{
    struct fg_h2_stream *engine = fg_h2_request(&conn->h2, headers, end);
    struct fg_stream *stream = fg_h2_stream_user(engine);

    bind_stream(stream, conn, engine);
    stream->events = events;
    stream->user = user;
    return stream;
}

static struct fg_conn_load load(const struct fg_conn *conn)
{
    return (struct fg_conn_load){
        .is_ready = conn->h2.settings_received,
        .open = conn->h2.open_streams,
        .limit = conn->h2.peer_max_streams,
        .free = fg_h2_conn_free_slots(&conn->h2),
        .last_recv_ns = conn->h2.last_recv_ns,
        .takes_tunnels = conn->h2.peer_extended_connect,
    };
}

const struct fg_engine_ops fg_h2_engine = {
    .name = "h2",
    .init = init,
    .recv = recv_bytes,
    .has_failed = has_failed,
    .wants_read = wants_read,
    .pull = pull,
    .has_more = has_more,
    .set_blocked = set_blocked,
    .is_stalled = is_stalled,
    .holders = holders,
    .slot_holders = slot_holders,
    .is_done = is_done,
    .fault = fault,
    .on_time = on_time,
    .next_time_ns = next_time_ns,
    .drain = drain,
    .ping = ping,
    .lost = lost,
    .cleanup = cleanup,
    .request = request,
    .load = load,
};
