/* One stream: its state, its send queue, its credit, and its end. */
#include <assert.h>

#include "h2/h2_int.h"

size_t fg_h2_stream_bytes(size_t user_bytes)
{
    return sizeof(struct fg_h2_stream) + user_bytes;
}

void *fg_h2_stream_user(struct fg_h2_stream *stream)
{
    return stream + 1;
}

struct fg_arena *fg_h2_stream_arena(struct fg_h2_stream *stream)
{
    return &stream->arena;
}

struct fg_h2_conn *fg_h2_stream_conn(struct fg_h2_stream *stream)
{
    return stream->conn;
}

uint32_t fg_h2_stream_id(const struct fg_h2_stream *stream)
{
    return stream->id;
}

size_t fg_h2_stream_queued(const struct fg_h2_stream *stream)
{
    return stream->queued;
}

bool fg_h2_stream_peer_ended(const struct fg_h2_stream *stream)
{
    return stream->state == FG_H2_HALF_CLOSED_REMOTE || stream->state == FG_H2_CLOSED || stream->both_ended;
}

bool fg_h2_stream_local_ended(const struct fg_h2_stream *stream)
{
    return stream->state == FG_H2_HALF_CLOSED_LOCAL || stream->state == FG_H2_CLOSED;
}

bool fg_h2_is_idle(const struct fg_h2_conn *conn, uint32_t id)
{
    if (id % 2 == 0) /* nobody pushes */
        return true;
    return fg_h2_is_server(conn) ? id > conn->last_peer_id : id >= conn->next_id;
}

/* ---- state ---- */

struct fg_h2_stream *fg_h2_stream_new(struct fg_h2_conn *conn, uint32_t id)
{
    const struct fg_h2_options *o = conn->options;
    struct fg_h2_stream *stream = fg_slab_get(o->streams);
    uint32_t window = o->stream_window;

    /* Until our SETTINGS are acknowledged the peer may go by the RFC's initial window. */
    if (!conn->settings_acked)
        window = FG_MAX(window, (uint32_t)FG_H2_INITIAL_WINDOW);
    memset(stream, 0, sizeof *stream + o->stream_user_bytes);
    stream->conn = conn;
    stream->id = id;
    stream->send_window = (int32_t)conn->peer_initial_window;
    stream->recv_window = (int32_t)window;
    stream->content_length = -1;
    stream->client_urgency = stream->urgency = FG_H2_DEFAULT_URGENCY;
    stream->client_weight_less_1 = FG_H2_DEFAULT_WEIGHT - 1;
    stream->weight = FG_H2_DEFAULT_WEIGHT;
    stream->route_weight = 1;
    fg_list_init(&stream->ready);
    fg_arena_init(&stream->arena, o->mem);
    fg_list_append(&conn->streams, &stream->node);
    fg_idmap_put(&conn->by_id, id, stream);
    fg_h2_stream_set_state(stream, FG_H2_OPEN);
    return stream;
}

void fg_h2_stream_set_state(struct fg_h2_stream *stream, enum fg_h2_stream_state state)
{
    /* May STATE follow the current one? Rows: from; bits: to. */
    static const uint8_t follows[] = {
        [FG_H2_IDLE] = 1 << FG_H2_OPEN,
        [FG_H2_OPEN] = 1 << FG_H2_HALF_CLOSED_LOCAL | 1 << FG_H2_HALF_CLOSED_REMOTE | 1 << FG_H2_CLOSED,
        [FG_H2_HALF_CLOSED_LOCAL] = 1 << FG_H2_CLOSED,
        [FG_H2_HALF_CLOSED_REMOTE] = 1 << FG_H2_CLOSED,
        [FG_H2_CLOSED] = 0,
    };

    assert(follows[stream->state] >> state & 1);
    stream->state = (uint8_t)state;
    if (state == FG_H2_OPEN)
        stream->conn->open_streams++;
}

bool fg_h2_was_closed(const struct fg_h2_conn *conn, uint32_t id, bool *by_us)
{
    for (int i = 0; i < FG_H2_CLOSED_RING; i++) {
        if ((conn->closed_ring[i] & FG_H2_MAX_STREAM_ID) != id)
            continue;
        *by_us = conn->closed_ring[i] >> 31;
        return true;
    }
    return false;
}

/* ---- the end ---- */

static void drop_queue(struct fg_h2_stream *stream)
{
    while (stream->queue_head) {
        struct fg_seg *seg = stream->queue_head;
        stream->queue_head = seg->next;
        if (seg->chunk)
            fg_chunk_unref(seg->chunk);
        fg_slab_put(&stream->conn->options->mem->segments, seg);
    }
    stream->queue_tail = NULL;
    stream->queued = 0;
    fg_buf_unref(&stream->trailers);
}

/* Out of all tables; the memory, and the slot, stay until the engine call returns: a slot is free again only when what
 * the stream caused in this turn is done (rapid reset). */
static void detach(struct fg_h2_stream *stream, bool reset_by_us)
{
    struct fg_h2_conn *conn = stream->conn;

    fg_h2_stream_set_state(stream, FG_H2_CLOSED);
    fg_h2_stall_end(stream);
    fg_h2_sched_remove(stream);
    if (!conn->sched_bits) /* nobody waits for the connection's window any more */
        conn->window_blocked_since_ns = 0;
    drop_queue(stream);
    if (conn->data_stream == stream)
        conn->data_stream = NULL;
    fg_idmap_remove(&conn->by_id, stream->id);
    conn->closed_ring[conn->closed_at++ % FG_H2_CLOSED_RING] = stream->id | (reset_by_us ? 1u << 31 : 0);
    conn->resets_by_us += reset_by_us;
    if (stream->recv_pending > 0)
        fg_h2_conn_credit(conn, stream->recv_pending);
    stream->recv_pending = 0;
    fg_list_remove(&stream->node);
    fg_list_append(&conn->dead, &stream->node);
}

void fg_h2_stream_close(struct fg_h2_stream *stream, const struct fg_h2_close *why)
{
    struct fg_h2_close close = *why;
    bool told = !stream->refused;

    /* A client that has the whole response may stop its request by a reset, or go: nothing was cancelled. */
    if (fg_h2_is_server(stream->conn) && stream->state == FG_H2_HALF_CLOSED_LOCAL && why->by != FG_H2_CLOSED_FAULT)
        close.by = FG_H2_CLOSED_COMPLETE;
    detach(stream, stream->reset_by_us || why->by == FG_H2_CLOSED_FAULT);
    if (told)
        stream->conn->options->handler->on_close(stream, &close);
}

void fg_h2_reap(struct fg_h2_conn *conn)
{
    uint32_t open_before = conn->open_streams;

    if (conn->in_recv || fg_list_empty(&conn->dead))
        return;
    while (!fg_list_empty(&conn->dead)) {
        struct fg_h2_stream *stream = FG_LIST_FIRST(&conn->dead, struct fg_h2_stream, node);
        fg_list_remove(&stream->node);
        fg_arena_cleanup(&stream->arena);
        fg_slab_put(conn->options->streams, stream);
        conn->open_streams--;
    }
    if (conn->open_streams == 0)
        conn->idle_since_ns = fg_h2_now(conn);
    if (conn->open_streams < open_before && !conn->failed && conn->options->handler->on_slots)
        conn->options->handler->on_slots(conn);
    if (fg_h2_conn_is_done(conn))
        fg_h2_tell_output(conn);
}

static void write_rst(struct fg_h2_conn *conn, uint32_t id, uint32_t code)
{
    if (!conn->failed)
        fg_h2_write_u32(conn, FG_H2_RST_STREAM, id, code);
}

void fg_h2_stream_reset(struct fg_h2_stream *stream, uint32_t code)
{
    struct fg_h2_conn *conn = stream->conn;

    if (stream->state == FG_H2_CLOSED)
        return;
    write_rst(conn, stream->id, code);
    detach(stream, true);
}

static void complete(struct fg_h2_stream *stream)
{
    fg_h2_stream_close(stream, &(struct fg_h2_close){FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR, "complete"});
}

/* We have said everything; the peer need not go on (RFC 9113 section 8.1). */
void fg_h2_stream_stop_reading(struct fg_h2_stream *stream)
{
    stream->reset_by_us = true;
    write_rst(stream->conn, stream->id, stream->reset_code);
    complete(stream);
}

/* Most peers end, or reset, what they were sending as soon as they see the answer; those that do not are told to. */
static void linger(struct fg_h2_stream *stream)
{
    fg_h2_sched_remove(stream);
    stream->stalled_since_ns = fg_h2_now(stream->conn);
    fg_list_append(&stream->conn->lingering, &stream->ready);
    fg_h2_tell_output(stream->conn); /* the owner looks at the timers */
}

void fg_h2_stream_reset_after_end(struct fg_h2_stream *stream, uint32_t code)
{
    stream->reset_after_end = true;
    stream->reset_code = code;
    if (stream->state == FG_H2_HALF_CLOSED_LOCAL) /* our END_STREAM is in the output already */
        linger(stream);
}

void fg_h2_stream_fault(struct fg_h2_conn *conn, uint32_t stream_id, enum fg_h2_fault fault)
{
    const struct fg_h2_fault_info *info = fg_h2_fault_info(fault);
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, stream_id);
    enum fg_h2_fault flood = fg_h2_guard_error(conn, info->weight);

    fg_stat_add(&conn->options->fault_counts[fault], 1); /* the admin thread reads them */
    write_rst(conn, stream_id, info->code);
    if (stream)
        fg_h2_stream_close(stream, &(struct fg_h2_close){FG_H2_CLOSED_FAULT, info->code, info->reason});
    /* Refusals before the peer has seen our limit are nobody's fault. */
    if (!flood && conn->settings_acked)
        flood = fg_h2_guard_reset(conn);
    if (flood)
        fg_h2_conn_fail(conn, flood);
}

void fg_h2_stream_end_received(struct fg_h2_stream *stream)
{
    if (stream->state == FG_H2_OPEN)
        fg_h2_stream_set_state(stream, FG_H2_HALF_CLOSED_REMOTE);
    else
        stream->both_ended = true;
}

void fg_h2_stream_delivered(struct fg_h2_stream *stream)
{
    if (stream->both_ended && stream->state != FG_H2_CLOSED)
        complete(stream);
}

void fg_h2_stream_end_sent(struct fg_h2_stream *stream)
{
    stream->end_queued = false;
    if (stream->state == FG_H2_HALF_CLOSED_REMOTE) {
        complete(stream);
        return;
    }
    fg_h2_stream_set_state(stream, FG_H2_HALF_CLOSED_LOCAL);
    if (stream->reset_after_end)
        linger(stream);
}

/* ---- sending ---- */

struct fg_h2_stream *fg_h2_request(struct fg_h2_conn *conn, struct fg_headers *headers, bool end)
{
    assert(fg_h2_conn_free_slots(conn) > 0);
    struct fg_h2_stream *stream = fg_h2_stream_new(conn, conn->next_id);
    const struct fg_header *method = fg_headers_get(headers, FG_TOKEN_METHOD);

    conn->next_id += 2;
    conn->streams_seen++;
    stream->is_head = method && fg_str_eq(method->value, FG_STR("HEAD"));
    stream->headers_sent = true;
    fg_h2_write_headers(conn, stream->id, headers, end);
    if (end)
        fg_h2_stream_end_sent(stream);
    return stream;
}

void fg_h2_stream_send_headers(struct fg_h2_stream *stream, struct fg_headers *headers, bool end)
{
    if (stream->state == FG_H2_CLOSED)
        return;
    stream->headers_sent = true;
    fg_h2_write_headers(stream->conn, stream->id, headers, end);
    if (end)
        fg_h2_stream_end_sent(stream);
}

static void write_empty_end(struct fg_h2_stream *stream)
{
    fg_h2_write_control(stream->conn, FG_H2_DATA, FG_H2_FLAG_END_STREAM, stream->id, NULL, 0);
    fg_h2_stream_end_sent(stream);
}

/* A few bytes that have to wait must not hold a whole read chunk. */
static struct fg_buf compact(const struct fg_h2_stream *stream, struct fg_buf buf)
{
    const struct fg_h2_conn *conn = stream->conn;
    bool waits = conn->blocked || conn->window_blocked_since_ns || stream->stalled_since_ns || stream->send_window <= 0;

    if (!waits || !buf.chunk || buf.len * 4 >= buf.chunk->cap)
        return buf;
    struct fg_buf copy = fg_buf_copy(buf.data, buf.len);
    fg_buf_unref(&buf);
    return copy;
}

void fg_h2_stream_send_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end)
{
    if (stream->state == FG_H2_CLOSED || stream->end_queued) {
        fg_buf_unref(&buf);
        return;
    }
    if (buf.len == 0) {
        fg_buf_unref(&buf);
        if (end && stream->queued == 0)
            write_empty_end(stream);
        else
            stream->end_queued = end;
        return;
    }
    buf = compact(stream, buf);
    struct fg_seg *seg = fg_slab_get(&stream->conn->options->mem->segments);
    *seg = (struct fg_seg){.chunk = buf.chunk, .data = buf.data, .len = buf.len};
    if (stream->queue_tail)
        stream->queue_tail->next = seg;
    else
        stream->queue_head = seg;
    stream->queue_tail = seg;
    if (stream->queued == 0)
        stream->queued_since_ns = fg_h2_now(stream->conn);
    stream->queued += buf.len;
    stream->end_queued = end;
    fg_h2_sched_add(stream);
}

void fg_h2_stream_send_trailers(struct fg_h2_stream *stream, struct fg_headers *headers)
{
    struct fg_h2_conn *conn = stream->conn;

    if (stream->state == FG_H2_CLOSED || stream->end_queued)
        return;
    if (stream->queued == 0) {
        fg_h2_write_headers(conn, stream->id, headers, true);
        fg_h2_stream_end_sent(stream);
        return;
    }
    /* Encoded now, without the dynamic table, because other blocks may go out before it. */
    struct fg_chunk *chunk = fg_chunk_new(fg_hpack_encode_bound(headers));
    size_t len = fg_hpack_encode(&conn->encoder, headers, false, chunk->data);
    stream->trailers = (struct fg_buf){chunk, chunk->data, len};
    stream->end_queued = true;
}

/* ---- credit ---- */

void fg_h2_stream_consume(struct fg_h2_stream *stream, size_t bytes)
{
    struct fg_h2_conn *conn = stream->conn;
    uint32_t n = (uint32_t)FG_MIN(bytes, (size_t)stream->recv_pending);

    if (n == 0)
        return;
    stream->recv_pending -= n;
    stream->recv_uncredited += n;
    fg_h2_conn_credit(conn, n);
    if (stream->state != FG_H2_OPEN && stream->state != FG_H2_HALF_CLOSED_LOCAL)
        return;
    if (conn->failed || stream->recv_uncredited < conn->options->stream_window / 2)
        return;
    fg_h2_write_u32(conn, FG_H2_WINDOW_UPDATE, stream->id, stream->recv_uncredited);
    stream->recv_window += (int32_t)stream->recv_uncredited;
    stream->recv_uncredited = 0;
}

/* ---- priorities ---- */

void fg_h2_stream_set_route_priority(struct fg_h2_stream *stream, int urgency_offset, unsigned weight)
{
    stream->urgency_offset = (int8_t)urgency_offset;
    stream->route_weight = (uint8_t)FG_MIN(FG_MAX(weight, 1u), 100u);
    fg_h2_sched_update(stream);
}
