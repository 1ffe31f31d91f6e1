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
        conn->partial_cap = FG_MAX(conn->partial_len + len, FG_MAX(2 * conn->partial_cap, (size_t)512));
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
    conn->partial_len = conn->partial_cap = conn->searched = 0;
    conn->first_line_looked = false;
    conn->head_since_ns = 0;
}

static void keep_for_later(struct fg_h1_conn *conn, struct fg_chunk *chunk, bool own, const char *data, size_t len)
{
    struct fg_buf before = conn->later, buf = {chunk, (const uint8_t *)data, len};

    if (own) { /* a slice of what was kept before: nothing is copied again for each request in it */
        conn->later = fg_buf_ref(buf);
        return;
    }
    struct fg_chunk *copy = fg_chunk_new(before.len + len);
    if (before.len > 0)
        memcpy(copy->data, before.data, before.len);
    memcpy(copy->data + before.len, data, len);
    conn->later = (struct fg_buf){copy, copy->data, before.len + len};
    fg_buf_unref(&before);
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
    bool tunnel = fg_h1_asks_for_websocket(stream, head);
    enum fg_h1_fault fault = fg_h1_canonical_request(stream, head, &headers);
    if (!fault && expect && !fg_h1_list_has(expect->value, FG_STR("100-continue")))
        fault = FG_H1_FAULT_EXPECTATION;
    if (fault) {
        fg_h1_fail(conn, fault);
        return;
    }
    if (!expect && !tunnel && fg_h1_asks_for_h2c(stream, head, &conn->switch_settings)) {
        conn->switch_request = headers;
        conn->switched = true;
        return;
    }
    begin_body(stream, head);
    if (tunnel)
        fg_h1_body_init(&stream->body, FG_H1_BODY_UNTIL_CLOSE, 0);
    stream->expects = expect && !stream->body.done && head->minor_version == 1;
    stream->recv_ended = stream->body.done;
    stream->told = true;
    conn->options->handler->on_headers(stream, &headers, stream->body.done ? FG_H1_END_STREAM : 0);
    if (stream->expects && !stream->closed && !stream->head_sent)
        fg_h1_send_continue(stream);
    fg_h1_stream_check_complete(stream);
}

static void open_tunnel(struct fg_h1_stream *stream, struct fg_headers *headers)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->tunnel = FG_H1_TUNNEL_OPEN;
    stream->asked_to_stay = false;
    stream->head_received = true;
    fg_h1_body_init(&stream->body, FG_H1_BODY_UNTIL_CLOSE, 0);
    conn->options->handler->on_headers(stream, headers, 0);
    fg_h1_tell_output(conn); /* what waited for it */
}

/* BYTES is the size of the head; MORE: something follows it. */
static void on_response(struct fg_h1_conn *conn, struct fg_h1_stream *stream, const struct fg_h1_head *head,
                        size_t bytes, bool more)
{
    struct fg_headers headers;

    if (head->status == 101 && !fg_h1_is_tunnel_accepted(stream, head)) {
        fg_h1_fail(conn, FG_H1_FAULT_SWITCH);
        return;
    }
    fg_h1_canonical_response(stream, head, &headers);
    if (head->status == 101) {
        open_tunnel(stream, &headers);
        return;
    }
    if (head->status < 200) {
        stream->interim_bytes += bytes;
        if (stream->interim_bytes > conn->options->limits.max_head_bytes) {
            fg_h1_fail(conn, FG_H1_FAULT_HEAD_TOO_LARGE);
            return;
        }
        conn->options->handler->on_headers(stream, &headers, FG_H1_INFORMATIONAL);
        return;
    }
    if (stream->tunnel && head->status < 300) { /* it would be taken for the tunnel's opening */
        fg_h1_fail(conn, FG_H1_FAULT_NO_SWITCH);
        return;
    }
    if (stream->tunnel)
        fg_h1_refuse_tunnel(stream);
    stream->asked_to_stay &= head->keep_alive;
    begin_body(stream, head);
    if (stream->body.framing == FG_H1_BODY_UNTIL_CLOSE || (stream->body.done && more))
        stream->asked_to_stay = false; /* what follows an answer must not become the next one */
    stream->recv_ended = stream->body.done;
    conn->options->handler->on_headers(stream, &headers, stream->body.done ? FG_H1_END_STREAM : 0);
    fg_h1_stream_check_complete(stream);
}

/* Empty lines before a request are skipped (RFC 9112 section 2.2), also when one comes in two pieces. */
static size_t skip_empty_lines(struct fg_h1_conn *conn, const char *data, size_t len)
{
    size_t at = 0;

    if (!fg_h1_is_server(conn))
        return 0;
    if (conn->partial_len == 1 && conn->partial[0] == '\r' && data[0] == '\n') {
        forget(conn);
        at = 1;
    }
    while (conn->partial_len == 0 && at + 1 < len && data[at] == '\r' && data[at + 1] == '\n')
        at += 2;
    return at;
}

/* Is there something to parse? The head has ended, has a line that ends wrongly, or is too large already. Each byte is
 * looked at once, so that a head that comes byte by byte costs no more than another one. */
static bool is_whole(struct fg_h1_conn *conn, const char *data, size_t len)
{
    const char *lf;

    while (conn->searched < len && (lf = memchr(data + conn->searched, '\n', len - conn->searched))) {
        conn->searched = (size_t)(lf + 1 - data);
        if (lf - data < 2 || lf[-1] != '\r' || lf[-2] == '\n')
            return true;
    }
    conn->searched = len;
    return len >= conn->options->limits.max_head_bytes;
}

/* Whoever speaks another protocol is told by its first line: it need not wait for the rest of a head. */
static enum fg_h1_fault look_at_first_line(struct fg_h1_conn *conn, enum fg_h1_kind kind, const char *data, size_t len)
{
    const char *lf = conn->first_line_looked ? NULL : memchr(data, '\n', len);
    enum fg_h1_fault fault = FG_H1_FAULT_NONE;
    struct fg_h1_head head;
    struct fg_arena arena;

    if (!lf)
        return FG_H1_FAULT_NONE;
    conn->first_line_looked = true;
    fg_arena_init(&arena, conn->options->mem);
    if (fg_h1_head_parse(kind, data, (size_t)(lf + 1 - data), &conn->options->limits, &arena, &head, &fault) ==
        FG_H1_MORE)
        fault = FG_H1_FAULT_NONE;
    fg_arena_cleanup(&arena);
    return fault;
}

/* The LEN bytes at DATA are a whole head, or none at all; the number of bytes used. */
static size_t take_whole_head(struct fg_h1_conn *conn, enum fg_h1_kind kind, const char *data, size_t len)
{
    struct fg_h1_stream *stream = conn->stream ? conn->stream : fg_h1_stream_new(conn);
    enum fg_h1_fault fault;
    struct fg_h1_head head;
    ssize_t used = fg_h1_head_parse(kind, data, len, &conn->options->limits, &stream->arena, &head, &fault);

    forget(conn); /* DATA may be gone */
    if (used <= 0) {
        fg_h1_fail(conn, fault);
        return len;
    }
    if (kind == FG_H1_REQUEST)
        on_request(conn, stream, &head);
    else
        on_response(conn, stream, &head, (size_t)used, (size_t)used < len);
    return (size_t)used;
}

/* Takes a head from DATA; the number of bytes used. */
static size_t take_head(struct fg_h1_conn *conn, const char *data, size_t len)
{
    size_t skipped = skip_empty_lines(conn, data, len), before = conn->partial_len;
    enum fg_h1_kind kind = fg_h1_is_server(conn) ? FG_H1_REQUEST : FG_H1_RESPONSE;

    data += skipped;
    len -= skipped;
    if (len == 0)
        return skipped;
    if (!conn->stream && kind == FG_H1_RESPONSE) { /* an endpoint that speaks without being asked */
        fg_h1_fail(conn, FG_H1_FAULT_UNEXPECTED);
        return skipped + len;
    }
    if (conn->stream)
        conn->stream->answered = true;
    if (conn->head_since_ns == 0)
        conn->head_since_ns = fg_h1_now(conn);
    if (before > 0)
        keep(conn, data, len);
    const char *all = before > 0 ? conn->partial : data;
    if (is_whole(conn, all, before + len))
        return skipped + take_whole_head(conn, kind, all, before + len) - before;
    enum fg_h1_fault fault = look_at_first_line(conn, kind, all, before + len);
    if (fault) {
        forget(conn);
        fg_h1_fail(conn, fault);
    } else if (before == 0) {
        keep(conn, data, len);
    }
    return skipped + len;
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
    if (done && at < len && !fg_h1_is_server(conn))
        stream->asked_to_stay = false; /* what follows an answer must not become the next one */
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

/* OWN: CHUNK is a copy of ours, of what was pipelined. */
static void feed(struct fg_h1_conn *conn, struct fg_chunk *chunk, bool own, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len && !conn->failed) {
        struct fg_h1_stream *stream = conn->stream;
        if (conn->switched) {
            keep_for_later(conn, chunk, own, data + at, len - at);
            return;
        }
        bool waits = stream && stream->tunnel == FG_H1_TUNNEL_ASKED; /* for the answer: what else comes depends on it */
        if (stream && stream->head_received && !stream->recv_ended && !waits) {
            at += take_body(stream, chunk, data + at, len - at);
        } else if (!stream || !stream->head_received) {
            if (fg_h1_conn_is_done(conn) && fg_h1_is_server(conn))
                return; /* nothing that follows is wanted */
            at += take_head(conn, data + at, len - at);
        } else if (fg_h1_is_server(conn)) {
            at += conn->later.len == 0 && !waits ? skip_empty_lines(conn, data + at, len - at) : 0;
            if (at < len)
                keep_for_later(conn, chunk, own, data + at, len - at);
            return;
        } else {
            fg_h1_fail(conn, FG_H1_FAULT_UNEXPECTED);
        }
    }
}

void fg_h1_recv_next(struct fg_h1_conn *conn)
{
    struct fg_buf buf = conn->later;

    if (buf.len == 0 || (conn->stream && conn->stream->tunnel != FG_H1_TUNNEL_OPEN))
        return;
    conn->later = (struct fg_buf){0};
    feed(conn, buf.chunk, true, (const char *)buf.data, buf.len);
    fg_buf_unref(&buf);
}

void fg_h1_conn_recv(struct fg_h1_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    conn->last_recv_ns = fg_h1_now(conn);
    conn->in_engine = true;
    feed(conn, chunk, false, (const char *)data, len);
    conn->in_engine = false;
    fg_h1_reap(conn);
}

bool fg_h1_conn_eof(struct fg_h1_conn *conn)
{
    struct fg_h1_stream *stream = conn->stream;

    conn->closing = conn->peer_ended = true;
    if (!stream)
        forget(conn);
    if (!stream || conn->failed)
        return false;
    bool tunnel = stream->tunnel == FG_H1_TUNNEL_OPEN;
    if (fg_h1_is_server(conn) && !tunnel) /* a client that closes is gone */
        return false;
    conn->in_engine = true;
    if (stream->head_received && !stream->recv_ended && fg_h1_body_eof(&stream->body)) {
        stream->recv_ended = true;
        conn->options->handler->on_data(stream, (struct fg_buf){0}, true);
        if (!stream->closed)
            fg_h1_stream_check_complete(stream);
    }
    conn->in_engine = false;
    fg_h1_tell_output(conn); /* reading is over */
    fg_h1_reap(conn);
    return tunnel && !conn->failed;
}
