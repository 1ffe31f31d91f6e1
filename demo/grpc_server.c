#include "grpc_int.h"

#include <assert.h>

#include "rpc/grpc.h"

/* ---- requests that are no calls ---- */

static void ignore_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)stream;
    (void)headers;
    (void)flags;
}

static void ignore_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    (void)end;
    fg_stream_consume(stream, buf.len);
}

static void ignore_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void ignore_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    (void)stream;
    (void)why;
}

static const struct fg_stream_events rejected_events = {ignore_headers, ignore_data, ignore_sent, ignore_close};

static void reject(struct fg_stream *stream, struct fg_headers *response, unsigned flags)
{
    stream->events = &rejected_events;
    fg_stream_send_headers(stream, response, true);
    if (!(flags & FG_H2_END_STREAM))
        fg_stream_reset_after_end(stream, FG_H2_NO_ERROR);
}

static void reject_http(struct fg_stream *stream, struct fg_str status, unsigned flags)
{
    struct fg_headers response;

    fg_headers_init(&response);
    fg_headers_add_token(&response, stream->arena, FG_TOKEN_STATUS, status);
    reject(stream, &response, flags);
}

static void reject_grpc(struct fg_stream *stream, enum fg_status status, const char *message, unsigned flags)
{
    struct fg_headers response;

    grpc_fill_headers(&response, stream->arena);
    grpc_fill_status(&response, stream->arena, status, message);
    reject(stream, &response, flags);
}

/* ---- new calls ---- */

static struct grpc_entry *find_entry(struct grpc_server *server, const struct fg_headers *request)
{
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);

    for (size_t i = 0; path && i < server->entries_len; i++)
        if (fg_str_eq(path->value, fg_str_from(server->entries[i].method->path)))
            return &server->entries[i];
    return NULL;
}

/* 0 and the instant in *DEADLINE_NS (FG_NEVER: none), or -1 when the header makes no sense. */
static int find_deadline(const struct fg_headers *request, uint64_t now_ns, uint64_t *deadline_ns)
{
    const struct fg_header *timeout = fg_headers_get(request, FG_TOKEN_GRPC_TIMEOUT);
    uint64_t timeout_ns;

    *deadline_ns = FG_NEVER;
    if (!timeout)
        return 0;
    if (fg_grpc_timeout_parse(timeout->value, &timeout_ns) != 0)
        return -1;
    *deadline_ns = now_ns + timeout_ns;
    return 0;
}

static void on_request(struct fg_stream *stream, struct fg_headers *request, unsigned flags)
{
    struct grpc_server *server = stream->conn->side->owner;
    const struct fg_header *content_type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct grpc_entry *entry = find_entry(server, request);
    uint64_t deadline_ns;

    if (flags & FG_H2_TOO_LARGE) {
        reject_http(stream, FG_STR("431"), flags);
    } else if (!content_type || !fg_grpc_is_content_type(content_type->value)) {
        reject_http(stream, FG_STR("415"), flags);
    } else if (!entry) {
        reject_grpc(stream, FG_STATUS_UNIMPLEMENTED, "there is no such method", flags);
    } else if (find_deadline(request, server->http.side.loop->now_ns, &deadline_ns) != 0) {
        reject_grpc(stream, FG_STATUS_INTERNAL, "grpc-timeout is malformed", flags);
    } else {
        grpc_call_begin(server, entry, stream, deadline_ns, flags & FG_H2_END_STREAM);
    }
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    struct grpc_server *server = conn->side->owner;
    (void)why;

    fg_server_on_closed(&server->http);
    if (server->draining && server->connections == 0)
        fg_loop_stop(server->http.side.loop);
}

static const struct fg_conn_events conn_events = {.on_request = on_request, .on_closed = on_closed};

/* ---- server ---- */

void grpc_server_init(struct grpc_server *server, struct fg_loop *loop, const struct fg_h2_options *limits)
{
    *server = (struct grpc_server){0};
    fg_list_init(&server->calls);
    fg_conn_side_init(&server->http.side, loop, &server->stats, limits, &conn_events, server);
    server->http.connections = &server->connections;
}

void grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t len, void *service)
{
    assert(server->entries_len + len <= GRPC_ENTRIES_MAX);
    for (size_t i = 0; i < len; i++)
        server->entries[server->entries_len++] = (struct grpc_entry){.method = &methods[i], .service = service};
}

void grpc_server_drain(struct grpc_server *server)
{
    server->draining = true;
    fg_server_stop_accepting(&server->http);
    fg_conn_side_drain(&server->http.side);
    FG_LIST_EACH (node, &server->calls) {
        struct grpc_call *call = FG_LIST_ENTRY(node, struct grpc_call, node);
        if (call->entry->method->response_stream || call->state == GRPC_ARRIVED)
            grpc_call_give_up(call, FG_STATUS_UNAVAILABLE, "the kitchen closes");
    }
    if (server->connections == 0)
        fg_loop_stop(server->http.side.loop);
}

void grpc_server_cleanup(struct grpc_server *server)
{
    fg_server_stop_accepting(&server->http);
    fg_conn_side_cleanup(&server->http.side);
}
