/* Heads to the peer. */
#include <inttypes.h>
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

void fg_h1_put_text(struct fg_h1_conn *conn, const char *text)
{
    fg_outq_copy(&conn->out, text, strlen(text));
}

void fg_h1_put_field(struct fg_h1_conn *conn, struct fg_str name, struct fg_str value)
{
    put(conn, name);
    fg_h1_put_text(conn, ": ");
    put(conn, value);
    fg_h1_put_text(conn, "\r\n");
}

/* HTTP/2 splits cookies (RFC 9113 section 8.2.3); in HTTP/1 they are one field. */
static void put_cookies(struct fg_h1_conn *conn, const struct fg_headers *headers)
{
    bool any = false;

    for (uint32_t i = 0; i < headers->len; i++) {
        if (headers->items[i].token != FG_TOKEN_COOKIE)
            continue;
        fg_h1_put_text(conn, any ? "; " : "cookie: ");
        put(conn, headers->items[i].value);
        any = true;
    }
    if (any)
        fg_h1_put_text(conn, "\r\n");
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
    case FG_TOKEN_HTTP2_SETTINGS:
    case FG_TOKEN_HOST:           /* :authority */
    case FG_TOKEN_CONTENT_LENGTH: /* with the framing, which has to be what it says */
        return true;
    default:
        return field->token != FG_TOKEN_NONE && field->token <= FG_TOKEN_LAST_PSEUDO;
    }
}

void fg_h1_put_fields(struct fg_h1_conn *conn, const struct fg_headers *headers)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (!is_special(&headers->items[i]) &&
            !(conn->stream->tunnel && fg_h1_is_websocket_field(headers->items[i].name)))
            fg_h1_put_field(conn, headers->items[i].name, headers->items[i].value);
    put_cookies(conn, headers);
}

/* A byte that would end a method or a target in the request line is percent-encoded: no value may make two words of
 * one. HTTP/2 peers are kept from saying such things, but not only they make requests. */
static void put_word(struct fg_h1_conn *conn, struct fg_str s, bool (*is_allowed)(unsigned char))
{
    char encoded[4];
    size_t from = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (is_allowed((unsigned char)s.p[i]))
            continue;
        put(conn, (struct fg_str){s.p + from, i - from});
        snprintf(encoded, sizeof encoded, "%%%02X", (unsigned)(unsigned char)s.p[i]);
        fg_h1_put_text(conn, encoded);
        from = i + 1;
    }
    put(conn, (struct fg_str){s.p + from, s.len - from});
}

void fg_h1_put_trailers(struct fg_h1_conn *conn, const struct fg_headers *trailers)
{
    for (uint32_t i = 0; i < trailers->len; i++)
        if (!is_special(&trailers->items[i]))
            fg_h1_put_field(conn, trailers->items[i].name, trailers->items[i].value);
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

static void put_length(struct fg_h1_conn *conn, int64_t length)
{
    char line[48];
    int len = snprintf(line, sizeof line, "content-length: %" PRId64 "\r\n", length);

    fg_outq_copy(&conn->out, line, (size_t)len);
}

static void put_framing(struct fg_h1_stream *stream, const struct fg_headers *headers, bool end, bool may_chunk)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->out_left = told_length(headers);
    if (stream->out_left >= 0) {
        stream->out_framing = FG_H1_BODY_LENGTH;
        put_length(conn, stream->out_left);
    } else if (end) {
        stream->out_framing = FG_H1_BODY_LENGTH;
        stream->out_left = 0;
    } else if (may_chunk) {
        stream->out_framing = FG_H1_BODY_CHUNKED;
        fg_h1_put_text(conn, "transfer-encoding: chunked\r\n");
    } else {
        stream->out_framing = FG_H1_BODY_UNTIL_CLOSE;
        stream->asked_to_stay = false;
    }
}

static void put_connection(struct fg_h1_stream *stream)
{
    bool stays = stream->asked_to_stay && !stream->conn->closing;

    if (!stays)
        fg_h1_put_text(stream->conn, "connection: close\r\n");
    else if (stream->minor_version == 0)
        fg_h1_put_text(stream->conn, "connection: keep-alive\r\n");
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
        fg_h1_put_fields(conn, headers);
        fg_h1_put_text(conn, "\r\n");
        return;
    }
    stream->head_sent = true;
    if (stream->tunnel && status < 300) {
        fg_h1_accept_tunnel(stream, headers);
        return;
    }
    if (stream->tunnel)
        fg_h1_refuse_tunnel(stream);
    if (!stream->recv_ended) /* what is left of the request would have to be read to the end */
        stream->asked_to_stay &= !stream->expects;
    put_status_line(conn, status);
    fg_h1_put_fields(conn, headers);
    if (stream->no_content || status == 204 || status == 304) {
        stream->out_framing = FG_H1_BODY_NONE;
        if (status != 204 && told_length(headers) >= 0) /* RFC 9110 section 8.6 */
            put_length(conn, told_length(headers));
    } else {
        put_framing(stream, headers, end, stream->minor_version == 1);
        if (end && told_length(headers) < 0)
            put_length(conn, 0);
    }
    put_connection(stream);
    fg_h1_put_text(conn, "\r\n");
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

    bool tunnel = fg_headers_get(headers, FG_TOKEN_PROTOCOL) != NULL;

    stream->head_sent = true;
    if (tunnel)
        stream->tunnel = FG_H1_TUNNEL_ASKED;
    stream->no_content = method && fg_str_eq(method->value, FG_STR("HEAD"));
    put_word(conn, method && !tunnel ? method->value : FG_STR("GET"), fg_h1_is_tchar);
    fg_h1_put_text(conn, " ");
    put_word(conn, path ? path->value : FG_STR("/"), fg_h1_is_target_char);
    fg_h1_put_text(conn, " HTTP/1.1\r\n");
    fg_h1_put_field(conn, FG_STR("host"), authority ? authority->value : FG_STR(""));
    fg_h1_put_fields(conn, headers);
    if (tunnel) {
        fg_h1_ask_for_tunnel(stream, headers);
        fg_h1_put_text(conn, "\r\n");
        return;
    }
    put_framing(stream, headers, end, true);
    if (end && told_length(headers) < 0 && has_content_semantics(headers))
        put_length(conn, 0);
    put_connection(stream);
    fg_h1_put_text(conn, "\r\n");
}

void fg_h1_end_sent(struct fg_h1_stream *stream)
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
    if (stream->tunnel) { /* its end is a FIN, once it is open */
        stream->end_queued = true;
        return;
    }
    fg_h1_end_sent(stream);
    fg_h1_stream_check_complete(stream);
}

void fg_h1_send_continue(struct fg_h1_stream *stream)
{
    stream->expects = false;
    put_status_line(stream->conn, 100);
    fg_h1_put_text(stream->conn, "\r\n");
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
    if (conn->stream && conn->stream->no_content)
        return;
    fg_h1_put_text(conn, info->reason);
    fg_h1_put_text(conn, "\n");
}
