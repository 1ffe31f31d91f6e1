/* SETTINGS, WINDOW_UPDATE, RST_STREAM, GOAWAY, PRIORITY and PRIORITY_UPDATE from the peer; our SETTINGS. */
#include <assert.h>

#include "h2/h2_int.h"

/* ---- SETTINGS (RFC 9113 section 6.5) ---- */

static uint8_t *put_setting(uint8_t *at, uint16_t id, uint32_t value)
{
    fg_store_u16(at, id);
    fg_store_u32(at + 2, value);
    return at + 6;
}

void fg_h2_send_settings(struct fg_h2_conn *conn)
{
    const struct fg_h2_options *o = conn->options;
    uint8_t payload[6 * 7], *at = payload;

    if (fg_h2_is_server(conn))
        at = put_setting(at, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, o->max_concurrent_streams);
    else
        at = put_setting(at, FG_H2_SETTING_ENABLE_PUSH, 0);
    if (o->extended_connect)
        at = put_setting(at, FG_H2_SETTING_ENABLE_CONNECT_PROTOCOL, 1);
    if (o->stream_window != FG_H2_INITIAL_WINDOW)
        at = put_setting(at, FG_H2_SETTING_INITIAL_WINDOW_SIZE, o->stream_window);
    if (o->max_frame_size != FG_H2_MIN_MAX_FRAME)
        at = put_setting(at, FG_H2_SETTING_MAX_FRAME_SIZE, o->max_frame_size);
    if (o->header_table_size != 4096)
        at = put_setting(at, FG_H2_SETTING_HEADER_TABLE_SIZE, o->header_table_size);
    at = put_setting(at, FG_H2_SETTING_MAX_HEADER_LIST_SIZE, o->max_header_list);
    fg_h2_write_control(conn, FG_H2_SETTINGS, 0, 0, payload, (uint32_t)(at - payload));
    conn->settings_sent_ns = fg_h2_now(conn);
    if (o->connection_window > FG_H2_INITIAL_WINDOW) {
        fg_h2_write_u32(conn, FG_H2_WINDOW_UPDATE, 0, o->connection_window - FG_H2_INITIAL_WINDOW);
        conn->recv_window = (int32_t)o->connection_window;
    }
}

/* The peer may open a window of all streams; each may become negative (section 6.9.2). */
static enum fg_h2_fault change_initial_window(struct fg_h2_conn *conn, uint32_t value)
{
    int64_t delta = (int64_t)value - conn->peer_initial_window;

    if (value > FG_H2_MAX_WINDOW)
        return FG_H2_FAULT_SETTINGS_WINDOW;
    conn->peer_initial_window = value;
    FG_LIST_EACH (node, &conn->streams) {
        struct fg_h2_stream *stream = FG_LIST_ENTRY(node, struct fg_h2_stream, node);
        int64_t window = stream->send_window + delta;
        if (window > FG_H2_MAX_WINDOW)
            return FG_H2_FAULT_SETTINGS_WINDOW;
        stream->send_window = (int32_t)window;
        if (stream->queued > 0)
            fg_h2_sched_add(stream);
    }
    return FG_H2_FAULT_NONE;
}

static enum fg_h2_fault apply_setting(struct fg_h2_conn *conn, uint16_t id, uint32_t value)
{
    switch (id) {
    case FG_H2_SETTING_HEADER_TABLE_SIZE:
        fg_hpack_encoder_set_peer_limit(&conn->encoder, value);
        return FG_H2_FAULT_NONE;
    case FG_H2_SETTING_ENABLE_PUSH:
        /* A server may only say 0; clients do not push at all (section 6.5.2). */
        return value > 1 || (value == 1 && !fg_h2_is_server(conn)) ? FG_H2_FAULT_SETTINGS_VALUE : FG_H2_FAULT_NONE;
    case FG_H2_SETTING_MAX_CONCURRENT_STREAMS:
        conn->peer_max_streams = value;
        return FG_H2_FAULT_NONE;
    case FG_H2_SETTING_INITIAL_WINDOW_SIZE:
        return change_initial_window(conn, value);
    case FG_H2_SETTING_MAX_FRAME_SIZE:
        if (value < FG_H2_MIN_MAX_FRAME || value > 0xffffff)
            return FG_H2_FAULT_SETTINGS_VALUE;
        conn->peer_max_frame = value;
        return FG_H2_FAULT_NONE;
    case FG_H2_SETTING_MAX_HEADER_LIST_SIZE:
        conn->peer_max_header_list = value;
        return FG_H2_FAULT_NONE;
    case FG_H2_SETTING_ENABLE_CONNECT_PROTOCOL: /* once given it is not taken back (RFC 8441 section 3) */
        if (value > 1 || (value == 0 && conn->peer_extended_connect))
            return FG_H2_FAULT_SETTINGS_VALUE;
        conn->peer_extended_connect = value == 1;
        return FG_H2_FAULT_NONE;
    case FG_H2_SETTING_NO_RFC7540_PRIORITIES: /* RFC 9218 section 2.1 */
        return value > 1 ? FG_H2_FAULT_SETTINGS_VALUE : FG_H2_FAULT_NONE;
    default:
        return FG_H2_FAULT_NONE; /* unknown settings are ignored */
    }
}

/* Our settings are in force now: what was tolerated until here was the RFC's initial values. */
static void own_settings_in_force(struct fg_h2_conn *conn)
{
    conn->settings_acked = true;
    fg_hpack_decoder_set_limit(&conn->decoder, conn->options->header_table_size);
    if (conn->options->stream_window >= FG_H2_INITIAL_WINDOW)
        return;
    FG_LIST_EACH (node, &conn->streams) {
        struct fg_h2_stream *stream = FG_LIST_ENTRY(node, struct fg_h2_stream, node);
        stream->recv_window -= (int32_t)(FG_H2_INITIAL_WINDOW - conn->options->stream_window);
    }
}

enum fg_h2_fault fg_h2_apply_settings(struct fg_h2_conn *conn, const uint8_t *payload, size_t len)
{
    enum fg_h2_fault fault = len % 6 == 0 ? FG_H2_FAULT_NONE : FG_H2_FAULT_FRAME_LENGTH;

    for (size_t at = 0; at < len && !fault; at += 6)
        fault = apply_setting(conn, fg_load_u16(payload + at), fg_load_u32(payload + at + 2));
    return fault;
}

enum fg_h2_fault fg_h2_on_settings(struct fg_h2_conn *conn, const uint8_t *payload)
{
    if (conn->frame.flags & FG_H2_FLAG_ACK) {
        if (conn->frame.len != 0)
            return FG_H2_FAULT_SETTINGS_ACK;
        if (!conn->settings_acked)
            own_settings_in_force(conn);
        return FG_H2_FAULT_NONE;
    }
    enum fg_h2_fault fault = fg_h2_guard_settings(conn);
    if (!fault)
        fault = fg_h2_apply_settings(conn, payload, conn->frame.len);
    if (fault)
        return fault;
    conn->settings_received = true;
    fg_h2_write_control(conn, FG_H2_SETTINGS, FG_H2_FLAG_ACK, 0, NULL, 0);
    if (conn->options->handler->on_slots)
        conn->options->handler->on_slots(conn);
    return FG_H2_FAULT_NONE;
}

/* ---- streams named by control frames ---- */

/* RFC 9113 section 6.9 */
enum fg_h2_fault fg_h2_on_window_update(struct fg_h2_conn *conn, const uint8_t *payload)
{
    uint32_t increment = fg_load_u32(payload) & FG_H2_MAX_WINDOW;

    if (conn->frame.stream_id == 0) {
        if (increment == 0)
            return FG_H2_FAULT_WINDOW_ZERO;
        if (conn->send_window + (int64_t)increment > FG_H2_MAX_WINDOW)
            return FG_H2_FAULT_WINDOW_OVERFLOW;
        fg_h2_stall_note_holders(conn);
        conn->send_window += (int32_t)increment;
        conn->window_blocked_since_ns = 0;
        if (conn->sched_bits)
            fg_h2_tell_output(conn);
        return FG_H2_FAULT_NONE;
    }
    if (fg_h2_is_idle(conn, conn->frame.stream_id))
        return FG_H2_FAULT_IDLE_STREAM;
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, conn->frame.stream_id);
    if (increment == 0)
        return FG_H2_FAULT_STREAM_WINDOW_ZERO;
    if (!stream)
        return FG_H2_FAULT_NONE; /* closed: these may still be on their way (section 5.1) */
    if (stream->send_window + (int64_t)increment > FG_H2_MAX_WINDOW)
        return FG_H2_FAULT_STREAM_WINDOW_OVERFLOW;
    fg_h2_stall_note_holders(conn);
    stream->send_window += (int32_t)increment;
    if (stream->queued > 0)
        fg_h2_sched_add(stream);
    return FG_H2_FAULT_NONE;
}

enum fg_h2_fault fg_h2_on_rst_stream(struct fg_h2_conn *conn, const uint8_t *payload)
{
    uint32_t code = fg_load_u32(payload);

    if (fg_h2_is_idle(conn, conn->frame.stream_id))
        return FG_H2_FAULT_IDLE_STREAM;
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, conn->frame.stream_id);
    enum fg_h2_stream_state over = fg_h2_is_server(conn) ? FG_H2_HALF_CLOSED_LOCAL : FG_H2_HALF_CLOSED_REMOTE;
    bool answered = stream && stream->state == over;
    if (stream)
        fg_h2_stream_close(stream, &(struct fg_h2_close){FG_H2_CLOSED_PEER_RESET, code, "reset by the peer"});
    if (answered) /* saves one side the rest of a request (RFC 9113 section 8.1): no offence */
        return FG_H2_FAULT_NONE;
    return fg_h2_guard_reset(conn);
}

/* on_close may end any other stream, too: those to be closed wait in a list that they leave by themselves. */
static void close_above(struct fg_h2_conn *conn, uint32_t last_id, const struct fg_h2_close *why)
{
    struct fg_list above;

    fg_list_init(&above);
    while (!fg_list_empty(&conn->streams)) { /* in the order of ids */
        struct fg_h2_stream *last = FG_LIST_ENTRY(conn->streams.prev, struct fg_h2_stream, node);
        if (last->id <= last_id)
            break;
        fg_list_remove(&last->node);
        fg_list_prepend(&above, &last->node);
    }
    while (!fg_list_empty(&above))
        fg_h2_stream_close(FG_LIST_FIRST(&above, struct fg_h2_stream, node), why);
}

enum fg_h2_fault fg_h2_on_goaway(struct fg_h2_conn *conn, const uint8_t *payload)
{
    uint32_t last_id = fg_load_u32(payload) & FG_H2_MAX_STREAM_ID;

    conn->goaway_code = fg_load_u32(payload + 4);
    conn->peer_goaway = true;
    if (!fg_h2_is_server(conn)) {
        struct fg_h2_close why = {FG_H2_CLOSED_GOAWAY, conn->goaway_code, "not processed by the peer (GOAWAY)"};
        close_above(conn, last_id, &why);
        conn->options->handler->on_slots(conn);
    }
    fg_h2_tell_output(conn); /* the owner looks whether the connection is done */
    return FG_H2_FAULT_NONE;
}

/* ---- priorities ---- */

/* RFC 7540 section 6.3: deprecated, so the dependency is ignored and the weight is a hint. */
static enum fg_h2_fault hint_weight(struct fg_h2_conn *conn, uint32_t id, const uint8_t *field)
{
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, id);

    if ((fg_load_u32(field) & FG_H2_MAX_STREAM_ID) == id) /* RST_STREAM must not be sent on an idle stream */
        return fg_h2_is_idle(conn, id) ? FG_H2_FAULT_IDLE_DEPENDENCY : FG_H2_FAULT_SELF_DEPENDENCY;
    if (stream) {
        stream->client_weight_less_1 = field[4];
        fg_h2_sched_update(stream);
    }
    return FG_H2_FAULT_NONE;
}

enum fg_h2_fault fg_h2_on_priority(struct fg_h2_conn *conn, const uint8_t *payload)
{
    return hint_weight(conn, conn->frame.stream_id, payload);
}

/* RFC 9218 section 7.1 */
enum fg_h2_fault fg_h2_on_priority_update(struct fg_h2_conn *conn, const uint8_t *payload)
{
    uint32_t id = fg_load_u32(payload) & FG_H2_MAX_STREAM_ID;
    struct fg_str value = {(const char *)payload + 4, conn->frame.len - 4};
    uint8_t urgency = FG_H2_DEFAULT_URGENCY;
    bool incremental = false;

    if (!fg_h2_is_server(conn) || id == 0 || id % 2 == 0)
        return FG_H2_FAULT_PRIORITY_UPDATE;
    if (!fg_h2_priority_parse(value, &urgency, &incremental))
        return FG_H2_FAULT_NONE; /* an invalid field value is ignored, like the header (section 5) */
    struct fg_h2_stream *stream = fg_idmap_get(&conn->by_id, id);
    if (stream) {
        stream->client_urgency = urgency;
        stream->sequential = !incremental;
        fg_h2_sched_update(stream);
        return FG_H2_FAULT_NONE;
    }
    if (id <= conn->last_peer_id)
        return FG_H2_FAULT_NONE;
    fg_idmap_remove(&conn->early_priorities, id);
    if (conn->early_priorities.len >= conn->options->max_concurrent_streams) /* some may be of streams skipped since */
        fg_idmap_remove_through(&conn->early_priorities, conn->last_peer_id);
    if (conn->early_priorities.len >= conn->options->max_concurrent_streams)
        return FG_H2_FAULT_PRIORITY_UPDATE;
    fg_idmap_put(&conn->early_priorities, id, (void *)(uintptr_t)(0x100u | urgency | (incremental ? 0x10u : 0)));
    return FG_H2_FAULT_NONE;
}
