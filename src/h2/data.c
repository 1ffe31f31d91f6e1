/* DATA in: passed on piece by piece as it arrives, counted against both windows as a whole (RFC 9113 section 6.9.1). */
#include "h2/h2_int.h"

void fg_h2_conn_credit(struct fg_h2_conn *conn, uint32_t bytes)
{
    conn->recv_uncredited += bytes;
    if (conn->failed || conn->recv_uncredited < conn->options->connection_window / 2)
        return;
    fg_h2_write_u32(conn, FG_H2_WINDOW_UPDATE, 0, conn->recv_uncredited);
    conn->recv_window += (int32_t)conn->recv_uncredited;
    conn->recv_uncredited = 0;
}

/* A frame without content that does not end the stream, padding or not, moves nothing but our attention
 * (CVE-2019-9518). */
static enum fg_h2_fault check_empty(struct fg_h2_conn *conn, uint32_t content)
{
    if (conn->frame.flags & FG_H2_FLAG_END_STREAM || content > 0) {
        conn->empty_data_run = 0;
        return FG_H2_FAULT_NONE;
    }
    return ++conn->empty_data_run > conn->options->empty_data_frames ? FG_H2_FAULT_EMPTY_DATA_FLOOD : FG_H2_FAULT_NONE;
}

/* Finds the stream that may receive this frame; NULL with FAULT_NONE: the content is to be discarded. */
static enum fg_h2_fault find_receiver(struct fg_h2_conn *conn, struct fg_h2_stream **out)
{
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, conn->frame.stream_id);
    bool by_us = false;

    *out = NULL;
    if (!stream) {
        if (fg_h2_is_idle(conn, conn->frame.stream_id))
            return FG_H2_FAULT_IDLE_STREAM;
        bool known = fg_h2_was_closed(conn, conn->frame.stream_id, &by_us);
        if (!fg_h2_is_server(conn) || (known ? by_us : conn->resets_by_us > FG_H2_CLOSED_RING))
            return FG_H2_FAULT_NONE; /* it crossed our RST_STREAM on the wire */
        return FG_H2_FAULT_CLOSED_STREAM;
    }
    if (stream->state != FG_H2_OPEN && stream->state != FG_H2_HALF_CLOSED_LOCAL)
        return FG_H2_FAULT_CLOSED_STREAM;
    if (!stream->headers_received)
        return FG_H2_FAULT_DATA_BEFORE_HEADERS;
    if (conn->frame.len > 0 && stream->recv_window < (int32_t)conn->frame.len)
        return FG_H2_FAULT_STREAM_WINDOW;
    stream->recv_window -= (int32_t)conn->frame.len;
    *out = stream;
    return FG_H2_FAULT_NONE;
}

enum fg_h2_fault fg_h2_data_begin(struct fg_h2_conn *conn)
{
    conn->data_left = conn->frame.len;
    conn->pad_left = 0;
    conn->data_stream = NULL;
    if (conn->frame.flags & FG_H2_FLAG_PADDED && conn->frame.len == 0)
        return FG_H2_FAULT_PAD_LENGTH;
    if (conn->frame.len > 0 && conn->recv_window < (int32_t)conn->frame.len)
        return FG_H2_FAULT_CONNECTION_WINDOW;
    conn->recv_window -= (int32_t)conn->frame.len;
    enum fg_h2_fault fault = FG_H2_FAULT_NONE;
    if (!(conn->frame.flags & FG_H2_FLAG_PADDED))
        fault = check_empty(conn, conn->frame.len);
    return fault ? fault : find_receiver(conn, &conn->data_stream);
}

/* Bytes that nobody will consume: padding, or content of a stream that is gone. */
static void discard(struct fg_h2_conn *conn, uint32_t bytes)
{
    if (!conn->data_stream) {
        fg_h2_conn_credit(conn, bytes);
        return;
    }
    conn->data_stream->recv_pending += bytes;
    fg_h2_stream_consume(conn->data_stream, bytes);
}

static enum fg_h2_fault deliver(struct fg_h2_conn *conn, struct fg_buf buf, bool end)
{
    struct fg_h2_stream *stream = conn->data_stream;

    stream->content_received += (int64_t)buf.len;
    bool wrong = stream->content_length >= 0 && (stream->content_received > stream->content_length ||
                                                 (end && stream->content_received != stream->content_length));
    stream->recv_pending += (uint32_t)buf.len;
    if (stream->no_content) /* HEAD, 204, 304: its content-length is of another response */
        wrong = stream->content_received > 0;
    if (wrong)
        return FG_H2_FAULT_CONTENT_LENGTH;
    if (end)
        fg_h2_stream_end_received(stream);
    if (buf.len > 0 || end)
        conn->options->handler->on_data(stream, buf, end);
    fg_h2_stream_delivered(stream);
    return FG_H2_FAULT_NONE;
}

static enum fg_h2_fault take_pad_length(struct fg_h2_conn *conn, uint8_t pad_length)
{
    conn->expect = FG_H2_EXPECT_DATA;
    conn->data_left--;
    if (pad_length > conn->data_left)
        return FG_H2_FAULT_PADDING;
    conn->pad_left = pad_length;
    conn->data_left -= pad_length;
    discard(conn, 1);
    return check_empty(conn, conn->data_left);
}

enum fg_h2_fault fg_h2_data_feed(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len,
                                 size_t *used)
{
    enum fg_h2_fault fault = FG_H2_FAULT_NONE;

    if (conn->expect == FG_H2_EXPECT_PAD_LENGTH) {
        *used = 1;
        return take_pad_length(conn, data[0]);
    }
    uint32_t content = (uint32_t)FG_MIN((size_t)conn->data_left, len);
    uint32_t pad = (uint32_t)FG_MIN((size_t)conn->pad_left, len - content);
    conn->data_left -= content;
    conn->pad_left -= pad;
    *used = content + pad;
    bool at_end = conn->data_left == 0 && conn->pad_left == 0;
    if (at_end)
        conn->expect = FG_H2_EXPECT_FRAME;
    if (pad > 0)
        discard(conn, pad);
    if (!conn->data_stream) {
        discard(conn, content);
        return fault;
    }
    bool end = at_end && conn->frame.flags & FG_H2_FLAG_END_STREAM;
    if (content > 0 || end)
        fault = deliver(conn, (struct fg_buf){chunk, data, content}, end);
    if (at_end)
        conn->data_stream = NULL;
    return fault;
}
