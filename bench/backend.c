/* The service behind the gateways in the benchmark: echoes every request's content, then trailers with grpc-status 0.
 * On fusegate's own server library, so that it costs little and the gateway is what is measured. One thread. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/server.h"

static void finish(struct fg_stream *stream)
{
    struct fg_headers trailers;

    fg_headers_init(&trailers);
    fg_headers_add_token(&trailers, stream->arena, FG_TOKEN_GRPC_STATUS, FG_STR("0"));
    fg_stream_send_trailers(stream, &trailers);
}

static void on_headers(struct fg_stream *stream, struct fg_headers *trailers, unsigned flags)
{
    (void)trailers;
    (void)flags;
    finish(stream);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    if (buf.len > 0)
        fg_stream_send_data(stream, fg_buf_ref(buf), false);
    if (end)
        finish(stream);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    fg_stream_consume(stream, bytes);
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    (void)stream;
    (void)why;
}

static const struct fg_stream_events stream_events = {on_headers, on_data, on_sent, on_close};

static void on_request(struct fg_stream *stream, struct fg_headers *request, unsigned flags)
{
    struct fg_headers response;
    (void)request;

    stream->events = &stream_events;
    fg_headers_init(&response);
    fg_headers_add_token(&response, stream->arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(&response, stream->arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    fg_stream_send_headers(stream, &response, false);
    if (flags & FG_H2_END_STREAM)
        finish(stream);
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    (void)why;
    fg_server_on_closed(FG_CONTAINER_OF(conn->side, struct fg_server, side));
}

static const struct fg_conn_events conn_events = {on_request, NULL, NULL, on_closed};

static int parse_port(int argc, char **argv, char host[64], uint16_t *port)
{
    if (argc != 3 || strcmp(argv[1], "--listen") != 0)
        return -1;
    const char *colon = strrchr(argv[2], ':');
    if (!colon || (size_t)(colon - argv[2]) >= 64)
        return -1;
    memcpy(host, argv[2], (size_t)(colon - argv[2]));
    host[colon - argv[2]] = '\0';
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return 0;
}

int main(int argc, char **argv)
{
    static struct fg_loop loop;
    static struct fg_stats stats;
    static struct fg_server server;
    struct fg_h2_options limits = fg_h2_server_defaults();
    struct fg_address address;
    uint32_t connections = 0;
    char host[64], error[256];
    uint16_t port;

    if (parse_port(argc, argv, host, &port) != 0) {
        fprintf(stderr, "usage: backend --listen HOST:PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    limits.max_concurrent_streams = 10000;
    limits.stream_window = 1u << 20;
    limits.connection_window = 1u << 30;
    limits.idle_timeout_ns = 0;
    if (fg_loop_init(&loop) != 0 || fg_address_resolve(&address, host, port, error, sizeof error) != 0) {
        fprintf(stderr, "backend: cannot start on %s\n", argv[2]);
        return 1;
    }
    fg_conn_side_init(&server.side, &loop, &stats, &limits, &conn_events, NULL);
    server.connections = &connections;
    int fd = fg_socket_listen(&address, error, sizeof error);
    if (fd < 0 || fg_server_start(&server, fd) != 0) {
        fprintf(stderr, "backend: %s\n", fd < 0 ? error : "cannot watch the socket");
        return 1;
    }
    fg_loop_run(&loop); /* until a signal ends the process */
    return 0;
}
