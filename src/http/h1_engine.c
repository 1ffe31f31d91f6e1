/* Streams and connections over the HTTP/1 engine. */
#include "http/engine.h"

/* ---- streams ---- */

static struct fg_h1_stream *engine_stream(const struct fg_stream *stream)
{
    /* struct fg_stream lies in the engine stream's user bytes. */
    return (struct fg_h1_stream *)(void *)((char *)(uintptr_t)stream - fg_h1_stream_bytes(0));
}

static void send_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    fg_h1_stream_send_headers(engine_stream(stream), headers, end);
}

static void send_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    fg_h1_stream_send_data(engine_stream(stream), buf, end);
}

static void send_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    fg_h1_stream_send_trailers(engine_stream(stream), headers);
}

static void consume(struct fg_stream *stream, size_t bytes)
{
    fg_h1_stream_consume(engine_stream(stream), bytes);
}

/* HTTP/1 has no codes: the message is cut and the connection ends. */
static void reset(struct fg_stream *stream, uint32_t code)
{
    (void)code;
    if (!stream->events)
        return;
    fg_h1_stream_end_stall(engine_stream(stream));
    stream->events = NULL;
    fg_conn_count_stream(stream->conn->side, 0);
    fg_h1_stream_reset(engine_stream(stream));
}

static void reset_after_end(struct fg_stream *stream, uint32_t code)
{
    (void)code;
    fg_h1_stream_reset_after_end(engine_stream(stream));
}

/* One exchange at a time: there is nobody to go before. */
static void set_priority(struct fg_stream *stream, int urgency_offset, unsigned weight)
{
    (void)stream;
    (void)urgency_offset;
    (void)weight;
}

static struct fg_wait wait_of(const struct fg_stream *stream)
{
    return fg_h1_stream_wait(engine_stream(stream));
}

static void add_stalls(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    fg_h1_stream_add_stalls(engine_stream(stream), stall_ns);
}

/* Which exchange of its connection, from 1. */
static uint32_t id_of(const struct fg_stream *stream)
{
    return (uint32_t)stream->conn->h1.exchanges + 1;
}

static bool local_ended(const struct fg_stream *stream)
{
    return fg_h1_stream_local_ended(engine_stream(stream));
}

static const struct fg_stream_ops h1_stream_ops = {
    send_headers, send_data, send_trailers, consume, reset,       reset_after_end,
    set_priority, wait_of,   add_stalls,    id_of,   local_ended,
};

static void bind_stream(struct fg_stream *stream, struct fg_conn *conn, struct fg_h1_stream *engine)
{
    *stream = (struct fg_stream){.ops = &h1_stream_ops, .conn = conn, .arena = fg_h1_stream_arena(engine)};
}

/* ---- events of the engine ---- */

static void on_headers(struct fg_h1_stream *engine, struct fg_headers *headers, unsigned flags)
{
    struct fg_stream *stream = fg_h1_stream_user(engine);
    struct fg_conn *conn = (struct fg_conn *)fg_h1_stream_conn(engine);

    if (stream->events) {
        stream->events->on_headers(stream, headers, flags); /* the flags have HTTP/2's values */
        return;
    }
    bind_stream(stream, conn, engine);
    fg_conn_count_stream(conn->side, 1);
    conn->side->events->on_request(stream, headers, flags);
}

static void on_data(struct fg_h1_stream *engine, struct fg_buf buf, bool end)
{
    struct fg_stream *stream = fg_h1_stream_user(engine);
    stream->events->on_data(stream, buf, end);
}

static void on_sent(struct fg_h1_stream *engine, size_t bytes)
{
    struct fg_stream *stream = fg_h1_stream_user(engine);
    stream->events->on_sent(stream, bytes);
}

static void on_close(struct fg_h1_stream *engine, const struct fg_h1_close *why)
{
    struct fg_stream *stream = fg_h1_stream_user(engine);
    const struct fg_stream_events *events = stream->events;
    struct fg_h2_close close = {.by = FG_H2_CLOSED_COMPLETE, .reason = why->reason};

    if (!events)
        return;
    if (why->by == FG_H1_CLOSED_FAULT)
        close = (struct fg_h2_close){FG_H2_CLOSED_FAULT, FG_H2_PROTOCOL_ERROR, why->reason};
    else if (why->by == FG_H1_CLOSED_CONNECTION)
        close.by = why->untouched ? FG_H2_CLOSED_GOAWAY : FG_H2_CLOSED_CONNECTION;
    stream->events = NULL;
    fg_conn_count_stream(stream->conn->side, 0);
    events->on_close(stream, &close);
}

static void on_output(struct fg_h1_conn *h1)
{
    struct fg_conn *conn = (struct fg_conn *)h1;
    fg_loop_at_turn_end(conn->side->loop, &conn->flush);
}

static void on_slots(struct fg_h1_conn *h1)
{
    struct fg_conn *conn = (struct fg_conn *)h1;
    if (conn->side->events->on_slots && conn->state == FG_CONN_OPEN)
        conn->side->events->on_slots(conn);
}

static void on_waited(struct fg_h1_stream *engine, const struct fg_waited *waited)
{
    struct fg_stream *stream = fg_h1_stream_user(engine);
    if (stream->events && stream->events->on_waited)
        stream->events->on_waited(stream, waited);
}

const struct fg_h1_handler fg_h1_conn_handler = {
    on_headers, on_data, on_sent, on_close, on_output, on_slots, on_waited,
};

/* ---- the connection ---- */

static void init(struct fg_conn *conn)
{
    fg_h1_conn_init(&conn->h1, &conn->side->h1);
    conn->out = &conn->h1.out;
}

static void recv_bytes(struct fg_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    fg_h1_conn_recv(&conn->h1, chunk, data, len);
    if (conn->h1.switched)
        fg_conn_switch_to_h2(conn);
}

static bool eof(struct fg_conn *conn)
{
    return fg_h1_conn_eof(&conn->h1);
}

static bool wants_fin(const struct fg_conn *conn)
{
    return fg_h1_conn_wants_fin(&conn->h1);
}

static bool has_failed(const struct fg_conn *conn)
{
    return conn->h1.failed;
}

static bool wants_read(const struct fg_conn *conn)
{
    return fg_h1_conn_wants_read(&conn->h1);
}

static void pull(struct fg_conn *conn, size_t max_bytes)
{
    fg_h1_conn_pull(&conn->h1, max_bytes);
}

static bool has_more(const struct fg_conn *conn)
{
    return fg_h1_conn_has_more(&conn->h1);
}

static void set_blocked(struct fg_conn *conn, bool blocked, bool progress)
{
    fg_h1_conn_set_blocked(&conn->h1, blocked, progress);
}

static bool is_stalled(const struct fg_conn *conn, uint64_t since_ns)
{
    return conn->h1.blocked && conn->h1.blocked_since_ns < since_ns;
}

static void slot_holders(const struct fg_conn *conn, struct fg_wait_holders *holders)
{
    if (conn->h1.stream)
        holders->top[holders->len++].stream = (uint32_t)conn->h1.exchanges + 1;
}

static bool is_done(const struct fg_conn *conn)
{
    return fg_h1_conn_is_done(&conn->h1);
}

static const char *fault(const struct fg_conn *conn)
{
    return fg_h1_fault_info(conn->h1.fault)->reason;
}

static void on_time(struct fg_conn *conn)
{
    fg_h1_conn_on_time(&conn->h1);
}

static uint64_t next_time_ns(const struct fg_conn *conn)
{
    return fg_h1_conn_next_time_ns(&conn->h1);
}

static void drain(struct fg_conn *conn)
{
    fg_h1_conn_drain(&conn->h1);
}

static void lost(struct fg_conn *conn, const char *why)
{
    fg_h1_conn_lost(&conn->h1, why);
}

static void cleanup(struct fg_conn *conn)
{
    fg_h1_conn_cleanup(&conn->h1);
}

static struct fg_stream *request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                 const struct fg_stream_events *events, void *user)
{
    struct fg_h1_stream *engine = fg_h1_request(&conn->h1, headers, end);
    struct fg_stream *stream = fg_h1_stream_user(engine);

    bind_stream(stream, conn, engine);
    stream->events = events;
    stream->user = user;
    return stream;
}

static struct fg_conn_load load(const struct fg_conn *conn)
{
    return (struct fg_conn_load){
        .is_ready = true,
        .open = conn->h1.stream != NULL,
        .limit = 1,
        .free = fg_h1_conn_free_slots(&conn->h1),
        .last_recv_ns = conn->h1.last_recv_ns,
        .takes_tunnels = true,
    };
}

const struct fg_engine_ops fg_h1_engine = {
    .name = "h1",
    .init = init,
    .recv = recv_bytes,
    .eof = eof,
    .wants_fin = wants_fin,
    .has_failed = has_failed,
    .wants_read = wants_read,
    .pull = pull,
    .has_more = has_more,
    .set_blocked = set_blocked,
    .is_stalled = is_stalled,
    .slot_holders = slot_holders,
    .is_done = is_done,
    .fault = fault,
    .on_time = on_time,
    .next_time_ns = next_time_ns,
    .drain = drain,
    .lost = lost,
    .cleanup = cleanup,
    .request = request,
    .load = load,
};
