/* Which stream's DATA goes next: strictly by urgency (RFC 9218 section 10), within one urgency deficit round robin by
 * weight. A stream that asked not to be incremental keeps its turn until it is done; streams without any priority
 * signal share, because a gateway's streams may be endless and must not starve their equals. */
#include "h2/h2_int.h"

#define COPY_BYTES 512 /* smaller payloads are cheaper to copy next to their frame header than to refer to */

void fg_h2_sched_remove(struct fg_h2_stream *stream)
{
    struct fg_h2_conn *conn = stream->conn;

    fg_list_remove(&stream->ready);
    if (stream->stalled_since_ns)
        fg_h2_stall_end(stream);
    stream->stalled_since_ns = 0;
    if (fg_list_empty(&conn->sched[stream->urgency]))
        conn->sched_bits &= (uint8_t) ~(1u << stream->urgency);
}

static void append(struct fg_h2_stream *stream)
{
    struct fg_h2_conn *conn = stream->conn;
    fg_list_append(&conn->sched[stream->urgency], &stream->ready);
    conn->sched_bits |= (uint8_t)(1u << stream->urgency);
}

static void stall(struct fg_h2_stream *stream)
{
    if (stream->stalled_since_ns)
        return;
    fg_h2_sched_remove(stream);
    stream->stalled_since_ns = fg_h2_now(stream->conn);
    fg_list_append(&stream->conn->stalled, &stream->ready);
}

void fg_h2_sched_add(struct fg_h2_stream *stream)
{
    if (stream->send_window <= 0) {
        stall(stream);
        return;
    }
    if (stream->stalled_since_ns)
        fg_h2_sched_remove(stream);
    if (fg_list_empty(&stream->ready))
        append(stream);
    fg_h2_tell_output(stream->conn);
}

void fg_h2_sched_update(struct fg_h2_stream *stream)
{
    bool waiting = !fg_list_empty(&stream->ready) && !stream->stalled_since_ns;
    int urgency = stream->client_urgency + stream->urgency_offset;

    if (waiting)
        fg_h2_sched_remove(stream);
    stream->urgency = (uint8_t)(urgency < 0 ? 0 : FG_MIN(urgency, FG_H2_URGENCIES - 1));
    stream->weight = (uint16_t)((stream->client_weight_less_1 + 1) * stream->route_weight);
    if (waiting)
        append(stream);
}

/* Moves LEN bytes of the stream's queue behind a frame header that is already in the output. */
static void move(struct fg_h2_stream *stream, size_t len)
{
    struct fg_h2_conn *conn = stream->conn;

    stream->queued -= len;
    while (len > 0) {
        struct fg_seg *seg = stream->queue_head;
        size_t part = FG_MIN(len, seg->len);
        if (part <= COPY_BYTES)
            fg_outq_copy(&conn->out, seg->data, part);
        else
            fg_outq_push(&conn->out, fg_buf_ref((struct fg_buf){seg->chunk, seg->data, part}));
        len -= part;
        seg->data += part;
        seg->len -= part;
        if (seg->len > 0)
            break;
        stream->queue_head = seg->next;
        if (!stream->queue_head)
            stream->queue_tail = NULL;
        if (seg->chunk)
            fg_chunk_unref(seg->chunk);
        fg_slab_put(&conn->options->mem->segments, seg);
    }
}

static size_t frame_room(const struct fg_h2_stream *stream)
{
    /* Larger frames than the RFC's smallest maximum would only make urgent ones wait longer. */
    size_t room = FG_MIN(stream->queued, (size_t)FG_H2_MIN_MAX_FRAME);

    room = FG_MIN(room, (size_t)stream->send_window);
    room = FG_MIN(room, (size_t)stream->conn->send_window);
    return room;
}

static size_t send_frame(struct fg_h2_stream *stream)
{
    struct fg_h2_conn *conn = stream->conn;
    uint8_t head[FG_H2_FRAME_HEADER_BYTES];
    size_t len = frame_room(stream);
    bool end = len == stream->queued && stream->end_queued && stream->trailers.len == 0;

    fg_h2_frame_write(head,
                      (struct fg_h2_frame){(uint32_t)len, stream->id, FG_H2_DATA, end ? FG_H2_FLAG_END_STREAM : 0});
    fg_outq_copy(&conn->out, head, sizeof head);
    move(stream, len);
    stream->send_window -= (int32_t)len;
    conn->send_window -= (int32_t)len;
    stream->deficit -= (int32_t)len;
    conn->sent_since_ping = true;
    return len;
}

/* The queue is empty: what was waiting behind it goes out. */
static void finish(struct fg_h2_stream *stream)
{
    fg_h2_sched_remove(stream);
    if (stream->trailers.len > 0) {
        fg_h2_write_block(stream->conn, stream->id, stream->trailers.data, stream->trailers.len, true);
        fg_buf_unref(&stream->trailers);
    }
    if (stream->end_queued)
        fg_h2_stream_end_sent(stream);
}

/* One turn of one stream: up to its deficit. Returns the bytes sent. */
static size_t serve(struct fg_h2_stream *stream, size_t budget)
{
    struct fg_h2_conn *conn = stream->conn;
    size_t sent = 0;

    if (stream->queued_since_ns != fg_h2_now(conn))
        fg_h2_stall_end(stream);
    if (stream->deficit <= 0)
        stream->deficit += stream->weight * 1024;
    while (stream->queued > 0 && stream->send_window > 0 && conn->send_window > 0 && stream->deficit > 0 &&
           sent < budget)
        sent += send_frame(stream);
    return sent;
}

static void after_turn(struct fg_h2_stream *stream)
{
    if (stream->queued == 0) {
        stream->deficit = 0;
        finish(stream);
    } else if (stream->send_window <= 0) {
        stream->deficit = 0;
        stall(stream);
    } else if (stream->deficit <= 0 && !stream->sequential) {
        fg_list_remove(&stream->ready);
        fg_list_append(&stream->conn->sched[stream->urgency], &stream->ready);
    }
}

void fg_h2_conn_pull(struct fg_h2_conn *conn, size_t max_bytes)
{
    size_t budget = max_bytes;

    conn->output_told = false;
    conn->streams_this_turn = 0;
    while (conn->sched_bits && budget > 0 && !conn->failed) {
        if (conn->send_window <= 0) {
            if (!conn->window_blocked_since_ns)
                conn->window_blocked_since_ns = fg_h2_now(conn);
            conn->window_was_last = true;
            break;
        }
        int urgency = __builtin_ctz(conn->sched_bits);
        struct fg_h2_stream *stream = FG_LIST_FIRST(&conn->sched[urgency], struct fg_h2_stream, ready);
        size_t sent = serve(stream, budget);
        budget -= FG_MIN(sent, budget);
        if (sent > 0)
            conn->options->handler->on_sent(stream, sent); /* may queue more, or reset it */
        if (stream->state != FG_H2_CLOSED)
            after_turn(stream);
    }
    fg_h2_reap(conn);
}

/* ---- the priority field value: a structured-fields dictionary of which u and i matter (RFC 9218 section 4) ---- */

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '*';
}

/* One "key[=value]" with parameters cut off. False: not a dictionary member. */
static bool parse_member(struct fg_str member, uint8_t *urgency, bool *incremental)
{
    size_t key = 0;

    while (key < member.len && is_key_char(member.p[key]))
        key++;
    if (key == 0)
        return false;
    struct fg_str value = {member.p + key, member.len - key};
    const char *semicolon = memchr(value.p, ';', value.len);
    if (semicolon)
        value.len = (size_t)(semicolon - value.p);
    if (key != 1)
        return true; /* somebody's extension */
    if (member.p[0] == 'u' && value.len == 2 && value.p[0] == '=' && value.p[1] >= '0' && value.p[1] <= '7')
        *urgency = (uint8_t)(value.p[1] - '0');
    if (member.p[0] == 'i')
        *incremental = value.len == 0 || fg_str_eq(value, FG_STR("=?1"));
    return true; /* values out of range are ignored (section 4) */
}

bool fg_h2_priority_parse(struct fg_str value, uint8_t *urgency, bool *incremental)
{
    const char *p = value.p, *end = value.p + value.len;
    uint8_t u = FG_H2_DEFAULT_URGENCY;
    bool i = false;

    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        size_t len = (size_t)(stop - p);
        while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
            len--;
        if (!parse_member((struct fg_str){p, len}, &u, &i))
            return false;
        p = comma ? comma + 1 : end;
    }
    *urgency = u;
    *incremental = i;
    return true;
}
