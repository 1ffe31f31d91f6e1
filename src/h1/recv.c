/* Bytes from the peer: heads, content, trailers. */
#include <stdlib.h>

#include "base/stats.h"
#include "h1/h1_int.h"

void fg_h1_fail(struct fg_h1_conn *conn, enum fg_h1_fault fault)
{
    static const struct fg_h1_close why_template = {.by = FG_H1_CLOSED_FAULT};
    struct fg_h1_close why = why_template;

    if (conn->failed)
        return;
    conn->failed = conn->closing = true;
    conn->fault = fault;
    fg_stat_add(&conn->options->fault_counts[fault], 1);
    if (fg_h1_is_server(conn))
        fg_h1_send_error(conn, fault);
    if (conn->stream) {
        why.reason = fg_h1_fault_info(fault)->reason;
        fg_h1_stream_close(conn->stream, &why);
    }
    fg_h1_tell_output(conn);
}

/* ---- what is kept between reads ---- */

static void keep(struct fg_h1_conn *conn, const char *data, size_t len)
{
    if (conn->partial_len + len > conn->partial_cap) {
        conn->partial_cap = FG_MAX(conn->partial_len + len, (size_t)512);
        conn->partial = fg_realloc(conn->partial, conn->partial_cap);
    }
    if (len > 0)
        memcpy(conn->partial + conn->partial_len, data, len);
    conn->partial_len += len;
}

static void forget(struct fg_h1_conn *conn)
{
    free(conn->partial);
    conn->partial = NULL;
    conn->partial_len = conn->partial_cap = 0;
}

/* ---- heads ---- */

/* How the content of a message that comes in ends (RFC 9112 section 6.3). */
static void begin_body(struct fg_h1_stream *stream, const struct fg_h1_head *head)
{
    bool server = fg_h1_is_server(stream->conn);
    bool none = !server && (stream->no_content || head->status == 204 || head->status == 304);

    if (none)
        fg_h1_body_init(&stream->body, FG_H1_BODY_NONE, 0);
    else if (head->chunked)
        fg_h1_body_init(&stream->body, FG_H1_BODY_CHUNKED, 0);
    else if (head->content_length >= 0)
        fg_h1_body_init(&stream->body, FG_H1_BODY_LENGTH, (uint64_t)head->content_length);
    else
        fg_h1_body_init(&stream->body, server ? FG_H1_BODY_NONE : FG_H1_BODY_UNTIL_CLOSE, 0);
    stream->head_received = true;
}

static void end_received(struct fg_h1_stream *stream)
{
    stream->recv_ended = true;
    fg_h1_stream_check_complete(stream);
}

static void on_request(struct fg_h1_conn *conn, struct fg_h1_stream *stream, const struct fg_h1_head *head)
{
    const struct fg_header *expect = fg_headers_get(&head->headers, FG_TOKEN_EXPECT);
    struct fg_headers headers;

    stream->minor_version = head->minor_version;
    stream->asked_to_stay = head->keep_alive;
    stream->no_content = fg_str_eq(head->method, FG_STR("HEAD"));
    enum fg_h1_fault fault = fg_h1_canonical_request(stream, head, &headers);
    if (!fault && expect && !fg_h1_list_has(expect->value, "100-continue"))
        fault = FG_H1_FAULT_EXPECTATION;
    if (fault) {
        fg_h1_fail(conn, fault);
        return;
    }
    begin_body(stream, head);
    stream->expects = expect && !stream->body.done && head->minor_version == 1;
    stream->recv_ended = stream->body.done;
    conn->options->handler->on_headers(stream, &headers, stream->body.done ? FG_H1_END_STREAM : 0);
    if (stream->expects && !stream->closed && !stream->head_sent)
        fg_h1_send_continue(stream);
    fg_h1_stream_check_complete(stream);
}

static void on_response(struct fg_h1_conn *conn, struct fg_h1_stream *stream, const struct fg_h1_head *head)
{
    struct fg_headers headers;

    if (head->status == 101) {
        fg_h1_fail(conn, FG_H1_FAULT_SWITCH);
        return;
    }
    fg_h1_canonical_response(stream, head, &headers);
    if (head->status < 200) {
        conn->options->handler->on_headers(stream, &headers, FG_H1_INFORMATIONAL);
        return;
    }
    stream->asked_to_stay &= head->keep_alive;
    begin_body(stream, head);
    if (stream->body.framing == FG_H1_BODY_UNTIL_CLOSE)
        stream->asked_to_stay = false;
    stream->recv_ended = stream->body.done;
    conn->options->handler->on_headers(stream, &headers, stream->body.done ? FG_H1_END_STREAM : 0);
    fg_h1_stream_check_complete(stream);
}

/* Empty lines before a request are skipped (RFC 9112 section 2.2). */
static size_t skip_empty_lines(struct fg_h1_conn *conn, const char *data, size_t len)
{
    size_t at = 0;

    while (fg_h1_is_server(conn) && conn->partial_len == 0 && at + 1 < len && data[at] == '\r' && data[at + 1] == '\n')
        at += 2;
    return at;
}

/* Takes a head from DATA; the number of bytes used. */
static size_t take_head(struct fg_h1_conn *conn, const char *data, size_t len)
{
    size_t before = conn->partial_len, skipped = skip_empty_lines(conn, data, len);
    enum fg_h1_kind kind = fg_h1_is_server(conn) ? FG_H1_REQUEST : FG_H1_RESPONSE;
    enum fg_h1_fault fault;
    struct fg_h1_head head;

    data += skipped;
    len -= skipped;
    if (len == 0)
        return skipped;
    if (!conn->stream && !fg_h1_is_server(conn)) { /* an endpoint that speaks without being asked */
        fg_h1_fail(conn, FG_H1_FAULT_UNEXPECTED);
        return skipped + len;
    }
    if (conn->head_since_ns == 0)
        conn->head_since_ns = fg_h1_now(conn);
    if (before > 0)
        keep(conn, data, len);
    struct fg_h1_stream *stream = conn->stream ? conn->stream : fg_h1_stream_new(conn);
    ssize_t used = fg_h1_head_parse(kind, before > 0 ? conn->partial : data, before + len, &conn->options->limits,
                                    &stream->arena, &head, &fault);
    if (used == FG_H1_MORE) {
        if (before == 0)
            keep(conn, data, len);
        if (fg_h1_is_server(conn)) { /* parsed again when there is more */
            conn->stream = NULL;
            fg_arena_cleanup(&stream->arena);
            fg_slab_put(conn->options->streams, stream);
        }
        return skipped + len;
    }
    forget(conn);
    conn->head_since_ns = 0;
    if (used == FG_H1_ERROR) {
        fg_h1_fail(conn, fault);
        return skipped + len;
    }
    if (fg_h1_is_server(conn))
        on_request(conn, stream, &head);
    else
        on_response(conn, stream, &head);
    return skipped + (size_t)used - before;
}

/* ---- content ---- */

static size_t take_body(struct fg_h1_stream *stream, struct fg_chunk *chunk, const char *data, size_t len)
{
    struct fg_h1_conn *conn = stream->conn;
    const struct fg_h1_handler *handler = conn->options->handler;
    enum fg_h1_fault fault;
    struct fg_str content;
    size_t at = 0;

    fg_h1_body_feed(&stream->body, data, len, &at, &content, &conn->options->limits, &stream->arena, &fault);
    stream->expects = false; /* it did not wait for us */
    if (fault) {
        fg_h1_fail(conn, fault);
        return len;
    }
    bool done = stream->body.done, trailers = done && stream->body.trailers.len > 0;
    struct fg_buf buf = {chunk, (const uint8_t *)content.p, content.len};
    if (done && !trailers)
        stream->recv_ended = true;
    if (content.len > 0 || (done && !trailers)) {
        stream->recv_pending += content.len;
        handler->on_data(stream, buf, done && !trailers);
    }
    if (trailers && !stream->closed) {
        stream->recv_ended = true;
        handler->on_headers(stream, &stream->body.trailers, FG_H1_TRAILERS | FG_H1_END_STREAM);
    }
    if (done && !stream->closed)
        end_received(stream);
    return at;
}

/* ---- all of it ---- */

static void feed(struct fg_h1_conn *conn, struct fg_chunk *chunk, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len && !conn->failed) {
        struct fg_h1_stream *stream = conn->stream;
        if (stream && stream->head_received && !stream->recv_ended) {
            at += take_body(stream, chunk, data + at, len - at);
        } else if (!stream || !stream->head_received) {
            if (conn->closing && !stream)
                return; /* nothing that follows is wanted */
            at += take_head(conn, data + at, len - at);
        } else if (fg_h1_is_server(conn)) {
            keep(conn, data + at, len - at); /* pipelined: later */
            return;
        } else {
            fg_h1_fail(conn, FG_H1_FAULT_UNEXPECTED);
        }
    }
}

void fg_h1_recv_next(struct fg_h1_conn *conn)
{
    char *data = conn->partial;
    size_t len = conn->partial_len;

    if (len == 0 || conn->stream || conn->head_since_ns != 0)
        return;
    conn->partial = NULL;
    conn->partial_len = conn->partial_cap = 0;
    /* Its slices must outlive the buffer. */
    struct fg_buf copy = fg_buf_copy(data, len);
    free(data);
    feed(conn, copy.chunk, (const char *)copy.data, len);
    fg_buf_unref(&copy);
}

void fg_h1_conn_recv(struct fg_h1_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    conn->last_recv_ns = fg_h1_now(conn);
    conn->in_engine = true;
    feed(conn, chunk, (const char *)data, len);
    conn->in_engine = false;
    fg_h1_reap(conn);
}

void fg_h1_conn_eof(struct fg_h1_conn *conn)
{
    struct fg_h1_stream *stream = conn->stream;

    conn->closing = true;
    if (!stream || conn->failed)
        return;
    conn->in_engine = true;
    if (stream->head_received && !stream->recv_ended && fg_h1_body_eof(&stream->body)) {
        stream->recv_ended = true;
        conn->options->handler->on_data(stream, (struct fg_buf){0}, true);
        if (!stream->closed)
            fg_h1_stream_check_complete(stream);
    }
    conn->in_engine = false;
    fg_h1_reap(conn);
}
