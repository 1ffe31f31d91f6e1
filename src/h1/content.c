/* Content to the peer, in chunks or as it is, and trailers. */
#include <stdio.h>

#include "h1/h1_int.h"

void fg_h1_stream_send_data(struct fg_h1_stream *stream, struct fg_buf buf, bool end)
{
    struct fg_h1_conn *conn = stream->conn;

    if (stream->closed || stream->end_queued || stream->sent_ended) {
        fg_buf_unref(&buf);
        return;
    }
    stream->end_queued = end;
    if (buf.len > 0) {
        struct fg_seg *seg = fg_slab_get(&conn->options->mem->segments);
        *seg = (struct fg_seg){.chunk = buf.chunk, .data = buf.data, .len = buf.len};
        if (stream->queue_tail)
            stream->queue_tail->next = seg;
        else
            stream->queue_head = seg;
        stream->queue_tail = seg;
        if (stream->queued == 0)
            stream->queued_since_ns = fg_h1_now(conn);
        stream->queued += buf.len;
    } else {
        fg_buf_unref(&buf);
    }
    fg_h1_tell_output(conn);
}

void fg_h1_stream_send_trailers(struct fg_h1_stream *stream, struct fg_headers *headers)
{
    if (stream->closed || stream->end_queued)
        return;
    for (uint32_t i = 0; i < headers->len; i++) {
        struct fg_header *field = fg_headers_add_slot(&stream->trailers, &stream->arena);
        *field = headers->items[i];
        field->name = fg_arena_copy(&stream->arena, field->name);
        field->value = fg_arena_copy(&stream->arena, field->value);
    }
    stream->end_queued = true;
    fg_h1_tell_output(stream->conn);
}

static size_t move_queue(struct fg_h1_stream *stream, size_t bytes)
{
    struct fg_h1_conn *conn = stream->conn;
    size_t left = bytes;

    while (left > 0) {
        struct fg_seg *seg = stream->queue_head;
        size_t part = FG_MIN(seg->len, left);
        struct fg_buf buf = {seg->chunk, seg->data, part};
        if (part < seg->len) {
            fg_outq_push(&conn->out, fg_buf_ref(buf));
            seg->data += part;
            seg->len -= part;
        } else {
            stream->queue_head = seg->next;
            if (!stream->queue_head)
                stream->queue_tail = NULL;
            fg_slab_put(&conn->options->mem->segments, seg);
            fg_outq_push(&conn->out, buf);
        }
        left -= part;
    }
    stream->queued -= bytes;
    return bytes;
}

static size_t frame_content(struct fg_h1_stream *stream, size_t max_bytes)
{
    struct fg_h1_conn *conn = stream->conn;
    size_t bytes = FG_MIN(stream->queued, max_bytes), dropped = 0;
    char size[24];

    if (stream->out_framing == FG_H1_BODY_NONE) {
        dropped = stream->queued;
        bytes = 0;
    } else if (stream->out_framing == FG_H1_BODY_LENGTH && bytes > (uint64_t)stream->out_left) {
        bytes = (size_t)stream->out_left;
        dropped = stream->queued - bytes;
    }
    if (bytes > 0 && stream->out_framing == FG_H1_BODY_CHUNKED)
        fg_outq_copy(&conn->out, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", bytes));
    if (bytes > 0)
        move_queue(stream, bytes);
    if (bytes > 0 && stream->out_framing == FG_H1_BODY_CHUNKED)
        fg_h1_put_text(conn, "\r\n");
    if (stream->out_framing == FG_H1_BODY_LENGTH)
        stream->out_left -= (int64_t)bytes;
    if (dropped > 0) { /* what the announced length leaves no room for would be read as the next message */
        fg_h1_stream_drop_queue(stream);
        stream->asked_to_stay &= stream->out_framing == FG_H1_BODY_NONE;
    }
    return bytes + dropped;
}

static void frame_end(struct fg_h1_stream *stream)
{
    struct fg_h1_conn *conn = stream->conn;

    if (stream->out_framing == FG_H1_BODY_CHUNKED) {
        fg_h1_put_text(conn, "0\r\n");
        fg_h1_put_trailers(conn, &stream->trailers);
        fg_h1_put_text(conn, "\r\n");
    }
    fg_h1_end_sent(stream);
}

void fg_h1_conn_pull(struct fg_h1_conn *conn, size_t max_bytes)
{
    struct fg_h1_stream *stream = conn->stream;

    conn->output_told = false;
    if (!stream || !stream->head_sent || stream->sent_ended || stream->tunnel == FG_H1_TUNNEL_ASKED) {
        fg_h1_reap(conn);
        return;
    }
    conn->in_engine = true;
    if (stream->tunnel)
        fg_h1_recv_next(conn); /* what came before it was open */
    if (!stream->closed && stream->queued > 0 && max_bytes > 0) {
        fg_h1_stream_end_stall(stream);
        size_t bytes = frame_content(stream, max_bytes);
        conn->options->handler->on_sent(stream, bytes);
    }
    if (!stream->closed && stream->end_queued && stream->queued == 0) {
        frame_end(stream);
        fg_h1_stream_check_complete(stream);
    }
    conn->in_engine = false;
    fg_h1_reap(conn);
}
