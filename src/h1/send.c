/* Bytes to the peer: heads, content in chunks or as it is, trailers. */
#include <stdio.h>

#include "h1/h1_int.h"

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < FG_ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

/* ---- pieces ---- */

static void put(struct fg_h1_conn *conn, struct fg_str s)
{
    fg_outq_copy(&conn->out, s.p, s.len);
}

static void put_text(struct fg_h1_conn *conn, const char *text)
{
    fg_outq_copy(&conn->out, text, strlen(text));
}

static void put_field(struct fg_h1_conn *conn, struct fg_str name, struct fg_str value)
{
    put(conn, name);
    put_text(conn, ": ");
    put(conn, value);
    put_text(conn, "\r\n");
}

/* HTTP/2 splits cookies (RFC 9113 section 8.2.3); in HTTP/1 they are one field. */
static void put_cookies(struct fg_h1_conn *conn, const struct fg_headers *headers)
{
    bool any = false;

    for (uint32_t i = 0; i < headers->len; i++) {
        if (headers->items[i].token != FG_TOKEN_COOKIE)
            continue;
        put_text(conn, any ? "; " : "cookie: ");
        put(conn, headers->items[i].value);
        any = true;
    }
    if (any)
        put_text(conn, "\r\n");
}

static bool is_special(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_COOKIE: /* joined */
    case FG_TOKEN_CONNECTION:
    case FG_TOKEN_KEEP_ALIVE:
    case FG_TOKEN_PROXY_CONNECTION:
    case FG_TOKEN_TE: /* trailers are not asked for: they are read all the same */
    case FG_TOKEN_TRANSFER_ENCODING:
    case FG_TOKEN_UPGRADE:
    case FG_TOKEN_HOST: /* :authority */
        return true;
    default:
        return field->token != FG_TOKEN_NONE && field->token <= FG_TOKEN_LAST_PSEUDO;
    }
}

static void put_fields(struct fg_h1_conn *conn, const struct fg_headers *headers)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (!is_special(&headers->items[i]))
            put_field(conn, headers->items[i].name, headers->items[i].value);
    put_cookies(conn, headers);
}

static int64_t told_length(const struct fg_headers *headers)
{
    const struct fg_header *field = fg_headers_get(headers, FG_TOKEN_CONTENT_LENGTH);
    int64_t n = 0;

    if (!field || field->value.len == 0 || field->value.len > 18)
        return -1;
    for (size_t i = 0; i < field->value.len; i++) {
        if (field->value.p[i] < '0' || field->value.p[i] > '9')
            return -1;
        n = n * 10 + (field->value.p[i] - '0');
    }
    return n;
}

/* ---- heads ---- */

static void put_framing(struct fg_h1_stream *stream, const struct fg_headers *headers, bool end, bool may_chunk)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->out_left = told_length(headers);
    if (stream->out_left >= 0) {
        stream->out_framing = FG_H1_BODY_LENGTH;
    } else if (end) {
        stream->out_framing = FG_H1_BODY_LENGTH;
        stream->out_left = 0;
    } else if (may_chunk) {
        stream->out_framing = FG_H1_BODY_CHUNKED;
        put_text(conn, "transfer-encoding: chunked\r\n");
    } else {
        stream->out_framing = FG_H1_BODY_UNTIL_CLOSE;
        stream->asked_to_stay = false;
    }
}

static void put_connection(struct fg_h1_stream *stream)
{
    bool stays = stream->asked_to_stay && !stream->conn->closing;

    if (!stays)
        put_text(stream->conn, "connection: close\r\n");
    else if (stream->minor_version == 0)
        put_text(stream->conn, "connection: keep-alive\r\n");
}

static unsigned status_of(const struct fg_headers *headers)
{
    const struct fg_header *field = fg_headers_get(headers, FG_TOKEN_STATUS);
    unsigned n = 0;

    for (size_t i = 0; field && i < field->value.len && i < 3; i++)
        n = n * 10 + (unsigned)(field->value.p[i] - '0');
    return n;
}

static void put_status_line(struct fg_h1_conn *conn, unsigned status)
{
    char line[80];
    int len = snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\n", status, reason_phrase(status));

    fg_outq_copy(&conn->out, line, (size_t)len);
}

static void send_response(struct fg_h1_stream *stream, struct fg_headers *headers, bool end)
{
    struct fg_h1_conn *conn = stream->conn;
    unsigned status = status_of(headers);

    if (status < 200) {
        if (stream->minor_version == 0)
            return; /* HTTP/1.0 knows no interim responses */
        if (status == 100)
            stream->expects = false;
        put_status_line(conn, status);
        put_fields(conn, headers);
        put_text(conn, "\r\n");
        return;
    }
    stream->head_sent = true;
    if (!stream->recv_ended) /* what is left of the request would have to be read to the end */
        stream->asked_to_stay &= !stream->expects;
    put_status_line(conn, status);
    put_fields(conn, headers);
    if (stream->no_content || status == 204 || status == 304) {
        stream->out_framing = FG_H1_BODY_NONE;
    } else {
        put_framing(stream, headers, end, stream->minor_version == 1);
        if (end && told_length(headers) < 0)
            put_text(conn, "content-length: 0\r\n");
    }
    put_connection(stream);
    put_text(conn, "\r\n");
}

static bool has_content_semantics(const struct fg_headers *headers)
{
    const struct fg_header *method = fg_headers_get(headers, FG_TOKEN_METHOD);
    return method && (fg_str_eq(method->value, FG_STR("POST")) || fg_str_eq(method->value, FG_STR("PUT")) ||
                      fg_str_eq(method->value, FG_STR("PATCH")));
}

static void send_request(struct fg_h1_stream *stream, struct fg_headers *headers, bool end)
{
    struct fg_h1_conn *conn = stream->conn;
    const struct fg_header *method = fg_headers_get(headers, FG_TOKEN_METHOD);
    const struct fg_header *path = fg_headers_get(headers, FG_TOKEN_PATH);
    const struct fg_header *authority = fg_headers_get(headers, FG_TOKEN_AUTHORITY);

    stream->head_sent = true;
    stream->no_content = method && fg_str_eq(method->value, FG_STR("HEAD"));
    put(conn, method ? method->value : FG_STR("GET"));
    put_text(conn, " ");
    put(conn, path ? path->value : FG_STR("/"));
    put_text(conn, " HTTP/1.1\r\n");
    put_field(conn, FG_STR("host"), authority ? authority->value : FG_STR(""));
    put_fields(conn, headers);
    put_framing(stream, headers, end, true);
    if (end && told_length(headers) < 0 && has_content_semantics(headers))
        put_text(conn, "content-length: 0\r\n");
    put_connection(stream);
    put_text(conn, "\r\n");
}

static void end_sent(struct fg_h1_stream *stream)
{
    stream->sent_ended = true;
    /* Fewer bytes than were announced: the peer must not take the next message for the rest of this one. */
    if (stream->out_framing == FG_H1_BODY_LENGTH && stream->out_left > 0)
        stream->asked_to_stay = false;
}

void fg_h1_stream_send_headers(struct fg_h1_stream *stream, struct fg_headers *headers, bool end)
{
    if (stream->closed || stream->head_sent)
        return;
    if (fg_h1_is_server(stream->conn))
        send_response(stream, headers, end);
    else
        send_request(stream, headers, end);
    fg_h1_tell_output(stream->conn);
    if (!end || !stream->head_sent)
        return;
    end_sent(stream);
    fg_h1_stream_check_complete(stream);
}

void fg_h1_send_continue(struct fg_h1_stream *stream)
{
    stream->expects = false;
    put_status_line(stream->conn, 100);
    put_text(stream->conn, "\r\n");
    fg_h1_tell_output(stream->conn);
}

void fg_h1_send_error(struct fg_h1_conn *conn, enum fg_h1_fault fault)
{
    const struct fg_h1_fault_info *info = fg_h1_fault_info(fault);
    char head[160];

    if (info->status == 0 || (conn->stream && conn->stream->head_sent))
        return; /* or the answer is on its way already: it ends where it is */
    put_status_line(conn, info->status);
    int len = snprintf(head, sizeof head,
                       "content-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n",
                       strlen(info->reason) + 1);
    fg_outq_copy(&conn->out, head, (size_t)len);
    put_text(conn, info->reason);
    put_text(conn, "\n");
}

/* ---- content ---- */

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

/* Bytes that the announced length leaves no room for are dropped: they would be read as the next message. */
static void drop_excess(struct fg_h1_stream *stream)
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
    stream->asked_to_stay = false;
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
        put_text(conn, "\r\n");
    if (stream->out_framing == FG_H1_BODY_LENGTH)
        stream->out_left -= (int64_t)bytes;
    if (dropped > 0) {
        bool harmless = stream->out_framing == FG_H1_BODY_NONE;
        bool stays = stream->asked_to_stay;
        drop_excess(stream);
        stream->asked_to_stay = stays && harmless;
    }
    return bytes + dropped;
}

static void frame_end(struct fg_h1_stream *stream)
{
    struct fg_h1_conn *conn = stream->conn;

    if (stream->out_framing == FG_H1_BODY_CHUNKED) {
        put_text(conn, "0\r\n");
        for (uint32_t i = 0; i < stream->trailers.len; i++)
            if (!is_special(&stream->trailers.items[i]) && stream->trailers.items[i].token != FG_TOKEN_CONTENT_LENGTH)
                put_field(conn, stream->trailers.items[i].name, stream->trailers.items[i].value);
        put_text(conn, "\r\n");
    }
    end_sent(stream);
}

void fg_h1_conn_pull(struct fg_h1_conn *conn, size_t max_bytes)
{
    struct fg_h1_stream *stream = conn->stream;

    conn->output_told = false;
    if (!stream || !stream->head_sent || stream->sent_ended) {
        fg_h1_reap(conn);
        return;
    }
    conn->in_engine = true;
    if (stream->queued > 0 && max_bytes > 0) {
        size_t bytes = frame_content(stream, max_bytes);
        stream->queued_since_ns = stream->queued > 0 ? fg_h1_now(conn) : 0;
        conn->options->handler->on_sent(stream, bytes);
    }
    if (!stream->closed && stream->end_queued && stream->queued == 0) {
        frame_end(stream);
        fg_h1_stream_check_complete(stream);
    }
    conn->in_engine = false;
    fg_h1_reap(conn);
}
