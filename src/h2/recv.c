/* Bytes in: the preface, then frame by frame through a table of handlers. */
#include <stdlib.h>

#include "h2/h2_int.h"

enum { ON_STREAM = 1, ON_CONNECTION = 2 };

/* What a frame of each type must look like, and who takes its payload. DATA is fed piecewise instead. */
static const struct frame_rule {
    enum fg_h2_fault (*on_frame)(struct fg_h2_conn *conn, const uint8_t *payload);
    uint32_t min_len, max_len;
    uint8_t where;
    uint8_t length_fault;
} rules[FG_H2_FRAME_TYPES] = {
    [FG_H2_DATA] = {NULL, 0, UINT32_MAX, ON_STREAM, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_HEADERS] = {fg_h2_on_headers, 0, UINT32_MAX, ON_STREAM, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_PRIORITY] = {fg_h2_on_priority, 5, 5, ON_STREAM, FG_H2_FAULT_PRIORITY_LENGTH},
    [FG_H2_RST_STREAM] = {fg_h2_on_rst_stream, 4, 4, ON_STREAM, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_SETTINGS] = {fg_h2_on_settings, 0, UINT32_MAX, ON_CONNECTION, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_PING] = {fg_h2_on_ping, 8, 8, ON_CONNECTION, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_GOAWAY] = {fg_h2_on_goaway, 8, UINT32_MAX, ON_CONNECTION, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_WINDOW_UPDATE] = {fg_h2_on_window_update, 4, 4, ON_STREAM | ON_CONNECTION, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_CONTINUATION] = {fg_h2_on_continuation, 0, UINT32_MAX, ON_STREAM, FG_H2_FAULT_FRAME_LENGTH},
    [FG_H2_PRIORITY_UPDATE] = {fg_h2_on_priority_update, 4, UINT32_MAX, ON_CONNECTION, FG_H2_FAULT_FRAME_LENGTH},
};

static enum fg_h2_fault check_frame(struct fg_h2_conn *conn)
{
    const struct fg_h2_frame *frame = &conn->frame;

    if (!conn->preface_done && (frame->type != FG_H2_SETTINGS || (frame->flags & FG_H2_FLAG_ACK)))
        return FG_H2_FAULT_FIRST_FRAME;
    conn->preface_done = true;
    if (frame->len > conn->options->max_frame_size)
        return FG_H2_FAULT_FRAME_TOO_LARGE;
    /* RFC 9113 section 4.3: nothing may come between the frames of a header block. */
    if (conn->block && (frame->type != FG_H2_CONTINUATION || frame->stream_id != conn->block_stream))
        return FG_H2_FAULT_CONTINUATION;
    if (frame->type == FG_H2_PUSH_PROMISE)
        return FG_H2_FAULT_PUSH_PROMISE;
    if (frame->type >= FG_H2_FRAME_TYPES || rules[frame->type].where == 0)
        return FG_H2_FAULT_NONE; /* unknown types are ignored (section 4.1) */

    const struct frame_rule *rule = &rules[frame->type];
    if (!(rule->where & (frame->stream_id ? ON_STREAM : ON_CONNECTION)))
        return FG_H2_FAULT_FRAME_STREAM_ID;
    if (frame->len < rule->min_len || frame->len > rule->max_len)
        return (enum fg_h2_fault)rule->length_fault;
    return FG_H2_FAULT_NONE;
}

/* Answers a fault on its scope. True: the connection goes on. */
static bool answer(struct fg_h2_conn *conn, enum fg_h2_fault fault)
{
    if (fault == FG_H2_FAULT_NONE)
        return !conn->failed;
    if (fg_h2_fault_info(fault)->scope == FG_H2_SCOPE_STREAM)
        fg_h2_stream_fault(conn, conn->frame.stream_id, fault);
    else
        fg_h2_conn_fail(conn, fault);
    return !conn->failed;
}

static bool begin_frame(struct fg_h2_conn *conn, const uint8_t head[FG_H2_FRAME_HEADER_BYTES])
{
    conn->frame = fg_h2_frame_parse(head);
    conn->expect = FG_H2_EXPECT_PAYLOAD;
    enum fg_h2_fault fault = check_frame(conn);
    if (fault == FG_H2_FAULT_PRIORITY_LENGTH) { /* the payload is skipped, the rest of the connection goes on */
        conn->frame.type = 0xff;
        return answer(conn, conn->frame.stream_id > conn->last_peer_id ? FG_H2_FAULT_FRAME_LENGTH : fault);
    }
    if (fault)
        return answer(conn, fault);
    if (conn->frame.type == FG_H2_DATA) {
        conn->expect = conn->frame.flags & FG_H2_FLAG_PADDED ? FG_H2_EXPECT_PAD_LENGTH : FG_H2_EXPECT_DATA;
        return answer(conn, fg_h2_data_begin(conn));
    }
    return true;
}

static bool dispatch(struct fg_h2_conn *conn, const uint8_t *payload)
{
    conn->expect = FG_H2_EXPECT_FRAME;
    if (conn->frame.type >= FG_H2_FRAME_TYPES || !rules[conn->frame.type].on_frame)
        return true;
    return answer(conn, rules[conn->frame.type].on_frame(conn, payload));
}

/* ---- one step per parser position; each returns the bytes taken ---- */

static size_t take_preface(struct fg_h2_conn *conn, const uint8_t *data, size_t len)
{
    size_t n = FG_MIN(len, (size_t)(FG_H2_PREFACE_BYTES - conn->head_len));

    if (memcmp(data, &FG_H2_PREFACE[conn->head_len], n) != 0) {
        fg_h2_conn_fail(conn, FG_H2_FAULT_BAD_PREFACE);
        return len;
    }
    conn->head_len = (uint8_t)(conn->head_len + n);
    if (conn->head_len == FG_H2_PREFACE_BYTES) {
        conn->head_len = 0;
        conn->expect = FG_H2_EXPECT_FRAME;
    }
    return n;
}

static size_t take_head(struct fg_h2_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->head_len == 0)
        conn->frame_since_ns = fg_h2_now(conn);
    if (conn->head_len == 0 && len >= FG_H2_FRAME_HEADER_BYTES) {
        begin_frame(conn, data);
        return FG_H2_FRAME_HEADER_BYTES;
    }
    size_t n = FG_MIN(len, (size_t)(FG_H2_FRAME_HEADER_BYTES - conn->head_len));
    if (conn->head_len == 0 && !conn->block)
        conn->block_since_ns = conn->frame_since_ns;
    memcpy(conn->head + conn->head_len, data, n);
    conn->head_len = (uint8_t)(conn->head_len + n);
    if (conn->head_len == FG_H2_FRAME_HEADER_BYTES) {
        conn->head_len = 0;
        begin_frame(conn, conn->head);
    }
    return n;
}

static size_t take_payload(struct fg_h2_conn *conn, const uint8_t *data, size_t len)
{
    if (!conn->partial && len >= conn->frame.len) {
        size_t whole = conn->frame.len;
        dispatch(conn, data);
        return whole;
    }
    if (!conn->partial) {
        conn->partial = fg_alloc(conn->frame.len);
        conn->partial_len = 0;
        if (!conn->block)
            conn->block_since_ns = conn->frame_since_ns;
    }
    size_t n = FG_MIN(len, (size_t)(conn->frame.len - conn->partial_len));
    memcpy(conn->partial + conn->partial_len, data, n);
    conn->partial_len += (uint32_t)n;
    if (conn->partial_len == conn->frame.len) {
        uint8_t *payload = conn->partial;
        conn->partial = NULL;
        dispatch(conn, payload);
        free(payload);
    }
    return n;
}

static size_t take_data(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    size_t used = 0;
    answer(conn, fg_h2_data_feed(conn, chunk, data, len, &used));
    return used;
}

static size_t step(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    switch ((enum fg_h2_expect)conn->expect) {
    case FG_H2_EXPECT_PREFACE:
        return take_preface(conn, data, len);
    case FG_H2_EXPECT_FRAME:
        return take_head(conn, data, len);
    case FG_H2_EXPECT_PAYLOAD:
        return take_payload(conn, data, len);
    case FG_H2_EXPECT_PAD_LENGTH:
    case FG_H2_EXPECT_DATA:
        return take_data(conn, chunk, data, len);
    }
    return len;
}

void fg_h2_conn_recv(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    conn->last_recv_ns = fg_h2_now(conn);
    conn->in_recv = true;
    while (!conn->failed) {
        /* A payload of length 0 is complete without another byte. */
        bool empty_payload = conn->expect == FG_H2_EXPECT_PAYLOAD && conn->frame.len == 0;
        bool empty_data = conn->expect == FG_H2_EXPECT_DATA && conn->data_left == 0 && conn->pad_left == 0;
        if (len == 0 && !empty_payload && !empty_data)
            break;
        size_t used = step(conn, chunk, data, len);
        data += used;
        len -= used;
    }
    conn->in_recv = false;
    fg_h2_reap(conn);
}
