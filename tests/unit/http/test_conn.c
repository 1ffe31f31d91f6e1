/* A server and a client connection on one loop, over real loopback sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "http/server.h"

#define GIVE_UP_NS (20 * FG_S)

struct fixture {
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_server server;
    struct fg_conn_side client;
    struct fg_conn *conn;
    struct fg_address address;
    uint32_t connections;
    unsigned answered, failed, requests;
    size_t received;
    const char *closed_why;
    bool opened;
};

/* ---- the server echoes ---- */

static void end_answer(struct fg_stream *stream)
{
    struct fg_headers trailers;

    fg_headers_init(&trailers);
    fg_headers_add_token(&trailers, stream->arena, FG_TOKEN_GRPC_STATUS, FG_STR("0"));
    fg_stream_send_trailers(stream, &trailers);
}

static void server_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    fg_stream_send_data(stream, fg_buf_ref(buf), false);
    if (end)
        end_answer(stream);
}

static void server_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    end_answer(stream);
}

static void server_sent(struct fg_stream *stream, size_t bytes)
{
    fg_stream_consume(stream, bytes);
}

static void server_closed(struct fg_stream *stream, const struct fg_h2_close *why)
{
    (void)stream;
    (void)why;
}

static const struct fg_stream_events server_stream = {server_headers, server_data, server_sent, server_closed};

static void on_request(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_headers response;
    (void)headers;

    stream->events = &server_stream;
    fg_headers_init(&response);
    fg_headers_add_token(&response, stream->arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_stream_send_headers(stream, &response, false);
    if (flags & FG_H2_END_STREAM)
        end_answer(stream);
}

static void on_server_conn_closed(struct fg_conn *conn, const char *why)
{
    (void)why;
    fg_server_on_closed(FG_CONTAINER_OF(conn->side, struct fg_server, side));
}

static const struct fg_conn_events server_events = {on_request, NULL, NULL, on_server_conn_closed};

/* ---- the client counts ---- */

static void client_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fixture *f = stream->user;

    if (flags & FG_H2_TRAILERS) {
        assert_true(fg_str_eq(fg_headers_get(headers, FG_TOKEN_GRPC_STATUS)->value, FG_STR("0")));
        f->answered++;
    }
}

static void client_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct fixture *f = stream->user;
    (void)end;

    f->received += buf.len;
    fg_stream_consume(stream, buf.len);
}

static void client_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void client_closed(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fixture *f = stream->user;
    f->failed += why->by != FG_H2_CLOSED_COMPLETE;
}

static const struct fg_stream_events client_stream = {client_headers, client_data, client_sent, client_closed};

static void on_client_conn_closed(struct fg_conn *conn, const char *why)
{
    struct fixture *f = conn->side->owner;
    f->closed_why = why;
    f->conn = NULL;
}

static void on_open(struct fg_conn *conn)
{
    struct fixture *f = conn->side->owner;
    f->opened = true;
}

static const struct fg_conn_events client_events = {on_request, on_open, NULL, on_client_conn_closed};

/* ---- fixture ---- */

static uint16_t port_of(int fd)
{
    struct sockaddr_in bound;
    socklen_t len = sizeof bound;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
    return ntohs(bound.sin_port);
}

static struct fg_h2_options client_limits(void)
{
    struct fg_h2_options limits = fg_h2_server_defaults();
    limits.role = FG_H2_CLIENT;
    limits.encoder_table_size = 4096;
    return limits;
}

static void set_up(struct fixture *f)
{
    struct fg_h2_options limits = fg_h2_server_defaults(), client = client_limits();
    char error[256] = "";
    int connect_error;

    memset(f, 0, sizeof *f);
    assert_int_equal(fg_loop_init(&f->loop), 0);
    fg_conn_side_init(&f->server.side, &f->loop, &f->stats, &limits, &server_events, f);
    f->server.connections = &f->connections;
    assert_int_equal(fg_address_resolve(&f->address, "127.0.0.1", 0, error, sizeof error), 0);
    int fd = fg_socket_listen(&f->address, error, sizeof error);
    assert_true(fd >= 0);
    assert_int_equal(fg_address_resolve(&f->address, "127.0.0.1", port_of(fd), error, sizeof error), 0);
    assert_int_equal(fg_server_start(&f->server, fd), 0);
    fg_conn_side_init(&f->client, &f->loop, &f->stats, &client, &client_events, f);
    f->client.connect_timeout_ns = 5 * FG_S;
    f->conn = fg_conn_connect(&f->client, &f->address, NULL, &connect_error);
    assert_non_null(f->conn);
}

static void tear_down(struct fixture *f)
{
    fg_server_stop_accepting(&f->server);
    fg_conn_side_cleanup(&f->client);
    fg_conn_side_cleanup(&f->server.side);
    assert_int_equal(f->connections, 0);
    assert_int_equal(f->stats.downstream_connections_opened, f->stats.downstream_connections_closed);
    assert_int_equal(f->stats.upstream_connections_opened, f->stats.upstream_connections_closed);
    assert_int_equal(f->stats.downstream_streams_opened, f->stats.downstream_streams_closed);
    assert_int_equal(f->stats.upstream_streams_opened, f->stats.upstream_streams_closed);
    fg_loop_cleanup(&f->loop);
}

static bool turn_until(struct fixture *f, bool (*reached)(const struct fixture *f))
{
    uint64_t give_up_ns = fg_clock_now_ns() + GIVE_UP_NS;

    while (!reached(f) && fg_clock_now_ns() < give_up_ns)
        fg_loop_turn(&f->loop, 100);
    return reached(f);
}

static bool has_slots(const struct fixture *f)
{
    return f->conn && fg_conn_free_slots(f->conn) > 0;
}

static bool all_answered(const struct fixture *f)
{
    return f->answered + f->failed >= f->requests;
}

static bool closed(const struct fixture *f)
{
    return f->conn == NULL;
}

static struct fg_stream *request(struct fixture *f, struct fg_arena *arena, bool end)
{
    struct fg_headers headers;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, arena, FG_TOKEN_METHOD, FG_STR("POST"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_SCHEME, FG_STR("http"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_PATH, FG_STR("/echo"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_AUTHORITY, FG_STR("test"));
    f->requests++;
    return fg_conn_request(f->conn, &headers, end, &client_stream, f);
}

/* ---- tests ---- */

static void calls_come_back(void **state)
{
    struct fixture f;
    struct fg_arena arena;
    (void)state;

    set_up(&f);
    fg_arena_init(&arena, &f.loop.mem);
    assert_true(turn_until(&f, has_slots));
    assert_true(f.opened);
    for (int i = 0; i < 50; i++)
        fg_stream_send_data(request(&f, &arena, false), fg_buf_copy("hello", 5), true);
    request(&f, &arena, true);
    assert_true(turn_until(&f, all_answered));
    assert_int_equal(f.answered, 51);
    assert_int_equal(f.received, 250);
    fg_arena_cleanup(&arena);
    tear_down(&f);
}

/* More than the sockets hold at once, in both directions: whatever blocks must go on by itself. Once a backlog larger
 * than one pull silenced the engine for good. */
static void bulk_in_both_directions_never_stalls(void **state)
{
    enum { STREAMS = 64, BYTES = 200000 };
    struct fixture f;
    struct fg_arena arena;
    (void)state;

    set_up(&f);
    fg_arena_init(&arena, &f.loop.mem);
    assert_true(turn_until(&f, has_slots));
    struct fg_chunk *chunk = fg_chunk_new(BYTES);
    memset(chunk->data, 'x', BYTES);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < STREAMS; i++)
            fg_stream_send_data(request(&f, &arena, false), fg_buf_ref((struct fg_buf){chunk, chunk->data, BYTES}),
                                true);
        assert_true(turn_until(&f, all_answered));
    }
    assert_int_equal(f.answered, 5 * STREAMS);
    assert_int_equal(f.received, 5 * (size_t)STREAMS * BYTES);
    fg_chunk_unref(chunk);
    fg_arena_cleanup(&arena);
    tear_down(&f);
}

static void draining_ends_in_order(void **state)
{
    struct fixture f;
    struct fg_arena arena;
    (void)state;

    set_up(&f);
    fg_arena_init(&arena, &f.loop.mem);
    assert_true(turn_until(&f, has_slots));
    struct fg_stream *open = request(&f, &arena, false);
    fg_loop_turn(&f.loop, 100);
    fg_conn_side_drain(&f.server.side);
    for (int i = 0; i < 20; i++) /* GOAWAY, PING and its answer go back and forth */
        fg_loop_turn(&f.loop, 10);
    assert_non_null(f.conn);
    assert_int_equal(fg_conn_free_slots(f.conn), 0);
    fg_stream_send_data(open, fg_buf_copy("end", 3), true);
    assert_true(turn_until(&f, closed));
    assert_int_equal(f.answered, 1);
    assert_int_equal(f.failed, 0);
    fg_arena_cleanup(&arena);
    tear_down(&f);
}

static void a_refused_connection_says_why(void **state)
{
    struct fixture f;
    int error;
    (void)state;

    set_up(&f);
    fg_server_stop_accepting(&f.server);
    assert_true(turn_until(&f, closed) || f.conn); /* the first one may have been in the backlog */
    fg_conn_side_cleanup(&f.client);
    struct fg_h2_options client = client_limits();
    fg_conn_side_init(&f.client, &f.loop, &f.stats, &client, &client_events, &f);
    f.closed_why = NULL;
    f.conn = fg_conn_connect(&f.client, &f.address, NULL, &error);
    if (f.conn) {
        assert_true(turn_until(&f, closed));
        assert_string_equal(f.closed_why, "Connection refused");
    } else {
        assert_int_equal(error, -ECONNREFUSED);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_come_back),
        cmocka_unit_test(bulk_in_both_directions_never_stalls),
        cmocka_unit_test(draining_ends_in_order),
        cmocka_unit_test(a_refused_connection_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
