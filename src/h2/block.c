/* Header blocks: assembled from HEADERS and CONTINUATION, decoded, checked and handed out; and written. */
#include <stdlib.h>

#include "h2/h2_int.h"

/* Splits padding and the deprecated priority fields off a HEADERS payload. */
struct fragment {
    const uint8_t *at;
    uint32_t len;
    const uint8_t *priority; /* 5 bytes, or NULL */
};

static enum fg_h2_fault unwrap(const struct fg_h2_conn *conn, const uint8_t *payload, struct fragment *out)
{
    uint32_t len = conn->frame.len, pad = 0;

    if (conn->frame.flags & FG_H2_FLAG_PADDED) {
        if (len < 1)
            return FG_H2_FAULT_PAD_LENGTH;
        pad = *payload++;
        len--;
    }
    out->priority = NULL;
    if (conn->frame.flags & FG_H2_FLAG_PRIORITY) {
        if (len < 5)
            return FG_H2_FAULT_FRAME_LENGTH;
        out->priority = payload;
        payload += 5;
        len -= 5;
    }
    if (pad > len)
        return FG_H2_FAULT_PADDING;
    out->at = payload;
    out->len = len - pad;
    return FG_H2_FAULT_NONE;
}

/* ---- the stream that a block belongs to ---- */

/* A new request (server role). NULL with FAULT_NONE: decode and drop. */
static enum fg_h2_fault open_by_peer(struct fg_h2_conn *conn, uint32_t id, struct fg_h2_stream **out)
{
    bool by_us = false;

    if (id % 2 == 0)
        return FG_H2_FAULT_STREAM_ID_PARITY;
    if (id <= conn->last_peer_id) {
        if (!fg_h2_was_closed(conn, id, &by_us))
            return conn->resets_by_us > FG_H2_CLOSED_RING ? FG_H2_FAULT_NONE : FG_H2_FAULT_STREAM_ID_ORDER;
        return by_us ? FG_H2_FAULT_NONE : FG_H2_FAULT_CLOSED_CONNECTION; /* trailers that crossed our RST_STREAM */
    }
    conn->last_peer_id = id;
    enum fg_h2_fault fault = fg_h2_guard_stream(conn);
    if (fault)
        return fault;
    *out = fg_h2_stream_new(conn, id);
    (*out)->refused = conn->drain_final || conn->open_streams > conn->options->max_concurrent_streams;
    if ((*out)->refused)
        fg_idmap_remove(&conn->early_priorities, id);
    return FG_H2_FAULT_NONE;
}

static enum fg_h2_fault find(struct fg_h2_conn *conn, uint32_t id, struct fg_h2_stream **out)
{
    *out = fg_idmap_get(&conn->by_id, id);
    if (*out)
        return FG_H2_FAULT_NONE;
    if (fg_h2_is_server(conn))
        return open_by_peer(conn, id, out);
    if (id % 2 == 0 || id >= conn->next_id)
        return FG_H2_FAULT_IDLE_STREAM;
    return FG_H2_FAULT_NONE; /* it crossed our RST_STREAM */
}

/* ---- a decoded block ---- */

static void take_request_hints(struct fg_h2_stream *stream, const struct fg_headers *headers)
{
    const struct fg_header *method = fg_headers_get(headers, FG_TOKEN_METHOD);
    const struct fg_header *priority = fg_headers_get(headers, FG_TOKEN_PRIORITY);
    uintptr_t early = (uintptr_t)fg_idmap_get(&stream->conn->early_priorities, stream->id);

    stream->is_head = method && fg_str_eq(method->value, FG_STR("HEAD"));
    bool incremental;
    if (priority && fg_h2_priority_parse(priority->value, &stream->client_urgency, &incremental))
        stream->sequential = !incremental;
    if (early) { /* PRIORITY_UPDATE wins over the header (RFC 9218 section 7) */
        stream->client_urgency = early & 0xf;
        stream->sequential = !(early & 0x10);
        fg_idmap_remove(&stream->conn->early_priorities, stream->id);
    }
    fg_h2_sched_update(stream);
}

static enum fg_h2_fault check_end(struct fg_h2_stream *stream, bool end)
{
    if (!end || stream->content_length < 0 || stream->no_content)
        return FG_H2_FAULT_NONE;
    return stream->content_received == stream->content_length ? FG_H2_FAULT_NONE : FG_H2_FAULT_CONTENT_LENGTH;
}

static enum fg_h2_fault check_message(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned *flags)
{
    enum fg_h2_fault fault;
    unsigned status = 0;

    if (*flags & FG_H2_TOO_LARGE) { /* incomplete: nothing can be said about it, the user refuses it */
        stream->headers_received = true;
        return FG_H2_FAULT_NONE;
    }
    if (stream->headers_received) {
        *flags |= FG_H2_TRAILERS;
        if (!(*flags & FG_H2_END_STREAM))
            return FG_H2_FAULT_TRAILERS_OPEN;
        fault = fg_h2_check_trailers(headers, fg_h2_is_server(stream->conn));
        return fault ? fault : check_end(stream, true);
    }
    if (fg_h2_is_server(stream->conn)) {
        fault = fg_h2_check_request(headers, stream->conn->options->extended_connect, &stream->content_length);
    } else {
        fault = fg_h2_check_response(headers, &status, &stream->content_length);
        stream->no_content = stream->is_head || status == 204 || status == 304;
        /* RFC 9110 section 8.6: not in 1xx; in 204 only the useless 0 is let pass. */
        if (!fault && ((status < 200 && stream->content_length >= 0) || (status == 204 && stream->content_length > 0)))
            fault = FG_H2_FAULT_CONTENT_LENGTH;
        if (!fault && status < 200) {
            *flags |= FG_H2_INFORMATIONAL;
            stream->content_length = -1;
            return *flags & FG_H2_END_STREAM ? FG_H2_FAULT_MALFORMED : FG_H2_FAULT_NONE;
        }
    }
    stream->headers_received = true;
    return fault ? fault : check_end(stream, *flags & FG_H2_END_STREAM);
}

static enum fg_h2_fault deliver(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_h2_conn *conn = stream->conn;

    if (stream->refused)
        return conn->drain_final ? FG_H2_FAULT_DRAINING : FG_H2_FAULT_TOO_MANY_STREAMS;
    if (stream->state != FG_H2_OPEN && stream->state != FG_H2_HALF_CLOSED_LOCAL)
        return FG_H2_FAULT_CLOSED_STREAM;
    bool first = !stream->headers_received;
    enum fg_h2_fault fault = check_message(stream, headers, &flags);
    if (fault)
        return fault;
    if (first && fg_h2_is_server(conn))
        take_request_hints(stream, headers);
    if (flags & FG_H2_END_STREAM)
        fg_h2_stream_end_received(stream);
    conn->options->handler->on_headers(stream, headers, flags);
    fg_h2_stream_delivered(stream);
    return FG_H2_FAULT_NONE;
}

void fg_h2_conn_upgraded(struct fg_h2_conn *conn, const struct fg_headers *headers, const uint8_t *settings, size_t len)
{
    struct fg_headers copy;

    enum fg_h2_fault fault = fg_h2_apply_settings(conn, settings, len);
    if (fault) {
        fg_h2_conn_fail(conn, fault);
        return;
    }
    conn->last_peer_id = 1;
    struct fg_h2_stream *stream = fg_h2_stream_new(conn, 1);
    fg_headers_init(&copy);
    for (uint32_t i = 0; i < headers->len; i++) {
        struct fg_header *field = fg_headers_add_slot(&copy, &stream->arena);
        *field = headers->items[i];
        field->name = fg_arena_copy(&stream->arena, field->name);
        field->value = fg_arena_copy(&stream->arena, field->value);
    }
    conn->in_recv = true;
    fault = deliver(stream, &copy, FG_H2_END_STREAM);
    conn->in_recv = false;
    if (fault)
        fg_h2_conn_fail(conn, fault);
    fg_h2_reap(conn);
}

static enum fg_h2_fault complete(struct fg_h2_conn *conn, uint32_t id, const uint8_t *block, size_t len, unsigned flags)
{
    const struct fg_hpack_limits limits = {conn->options->max_header_list, conn->options->max_header_fields};
    struct fg_h2_stream *stream = NULL;
    struct fg_headers headers;
    struct fg_arena scratch;

    enum fg_h2_fault fault = find(conn, id, &stream);
    if (fault && fg_h2_fault_info(fault)->scope == FG_H2_SCOPE_CONNECTION)
        return fault;
    /* Even a refused block is decoded: the table must stay in step (RFC 9113 section 4.3). */
    fg_arena_init(&scratch, conn->options->mem);
    fg_headers_init(&headers);
    enum fg_hpack_result result =
        fg_hpack_decode(&conn->decoder, block, len, &limits, stream ? &stream->arena : &scratch, &headers);
    if (result == FG_HPACK_MALFORMED)
        fault = FG_H2_FAULT_HPACK;
    else if (result == FG_HPACK_TOO_LARGE)
        flags |= FG_H2_TOO_LARGE;
    if (!fault && stream)
        fault = deliver(stream, &headers, flags);
    fg_arena_cleanup(&scratch);
    return fault;
}

/* ---- frames ---- */

static enum fg_h2_fault append(struct fg_h2_conn *conn, const uint8_t *data, uint32_t len)
{
    /* An encoded block is hardly longer than its list; the CONTINUATION flood (CVE-2024-27316 and its kin) sends blocks
     * without end, so that memory or time runs out before any list limit is looked at. */
    if (conn->block_len + (uint64_t)len > conn->options->max_header_list ||
        conn->block_frames > conn->options->max_continuations)
        return FG_H2_FAULT_HEADER_FLOOD;
    if (!conn->block) {
        conn->block_since_ns = conn->frame_since_ns;
        conn->block = fg_alloc(FG_MAX(len, 1u));
    } else {
        conn->block = fg_realloc(conn->block, conn->block_len + len + 1);
    }
    if (len > 0)
        memcpy(conn->block + conn->block_len, data, len);
    conn->block_len += len;
    return FG_H2_FAULT_NONE;
}

enum fg_h2_fault fg_h2_on_headers(struct fg_h2_conn *conn, const uint8_t *payload)
{
    unsigned flags = conn->frame.flags & FG_H2_FLAG_END_STREAM ? FG_H2_END_STREAM : 0;
    uint32_t id = conn->frame.stream_id;
    struct fragment fragment;

    enum fg_h2_fault fault = unwrap(conn, payload, &fragment);
    if (fault)
        return fault;
    if (!(conn->frame.flags & FG_H2_FLAG_END_HEADERS)) {
        conn->block_stream = id;
        conn->block_flags = (uint8_t)flags;
        conn->block_len = 0;
        conn->block_frames = 0;
        return append(conn, fragment.at, fragment.len);
    }
    fault = complete(conn, id, fragment.at, fragment.len, flags);
    if (!fault && fragment.priority)
        fault = fg_h2_on_priority(conn, fragment.priority);
    return fault;
}

enum fg_h2_fault fg_h2_on_continuation(struct fg_h2_conn *conn, const uint8_t *payload)
{
    if (!conn->block)
        return FG_H2_FAULT_CONTINUATION;
    conn->block_frames++;
    enum fg_h2_fault fault = append(conn, payload, conn->frame.len);
    if (fault || !(conn->frame.flags & FG_H2_FLAG_END_HEADERS))
        return fault;
    uint8_t *block = conn->block;
    conn->block = NULL;
    fault = complete(conn, conn->block_stream, block, conn->block_len, conn->block_flags);
    free(block);
    return fault;
}

/* ---- writing ---- */

/* One block over as many frames as it needs. */
static void write_frames(struct fg_h2_conn *conn, uint32_t stream_id, const uint8_t *block, size_t len, bool end)
{
    uint8_t type = FG_H2_HEADERS;
    uint8_t flags = end ? FG_H2_FLAG_END_STREAM : 0;

    do {
        size_t part = FG_MIN(len, (size_t)FG_H2_MIN_MAX_FRAME);
        uint8_t head[FG_H2_FRAME_HEADER_BYTES];
        if (part == len)
            flags |= FG_H2_FLAG_END_HEADERS;
        fg_h2_frame_write(head, (struct fg_h2_frame){(uint32_t)part, stream_id, type, flags});
        fg_outq_copy(&conn->out, head, sizeof head);
        fg_outq_copy(&conn->out, block, part);
        type = FG_H2_CONTINUATION;
        flags = 0;
        block += part;
        len -= part;
    } while (len > 0);
    fg_h2_tell_output(conn);
}

void fg_h2_write_block(struct fg_h2_conn *conn, uint32_t stream_id, const uint8_t *block, size_t len, bool end)
{
    uint8_t updates[FG_HPACK_MAX_UPDATE_BYTES];
    size_t updates_len = fg_hpack_encode_updates(&conn->encoder, updates);

    if (updates_len == 0) {
        write_frames(conn, stream_id, block, len, end);
        return;
    }
    uint8_t *joined = fg_alloc(updates_len + len);
    memcpy(joined, updates, updates_len);
    memcpy(joined + updates_len, block, len);
    write_frames(conn, stream_id, joined, updates_len + len, end);
    free(joined);
}

void fg_h2_write_headers(struct fg_h2_conn *conn, uint32_t stream_id, struct fg_headers *headers, bool end)
{
    size_t bound = fg_hpack_encode_bound(headers);

    if (FG_H2_FRAME_HEADER_BYTES + bound > FG_CHUNK_OUT_BYTES) {
        uint8_t *block = fg_alloc(bound);
        size_t len = fg_hpack_encode(&conn->encoder, headers, true, block);
        write_frames(conn, stream_id, block, len, end);
        free(block);
        return;
    }
    uint8_t *at = fg_outq_reserve(&conn->out, FG_H2_FRAME_HEADER_BYTES + bound);
    size_t len = fg_hpack_encode(&conn->encoder, headers, true, at + FG_H2_FRAME_HEADER_BYTES);
    uint8_t flags = (uint8_t)(FG_H2_FLAG_END_HEADERS | (end ? FG_H2_FLAG_END_STREAM : 0));
    fg_h2_frame_write(at, (struct fg_h2_frame){(uint32_t)len, stream_id, FG_H2_HEADERS, flags});
    fg_outq_commit(&conn->out, FG_H2_FRAME_HEADER_BYTES + len);
    conn->sent_since_ping = true;
    fg_h2_tell_output(conn);
}
