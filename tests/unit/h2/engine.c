/* The connection, the peer and the user. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

static struct engine *engine_of(struct fg_h2_conn *conn)
{
    return FG_CONTAINER_OF(conn, struct engine, conn);
}

/* ---- callbacks ---- */

static void on_headers(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct watched *w = watched(engine_of(fg_h2_stream_conn(stream)), fg_h2_stream_id(stream));

    (void)headers;
    w->stream = stream;
    w->headers++;
    w->flags = flags;
    w->ended |= (flags & FG_H2_END_STREAM) != 0;
}

static void on_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end)
{
    struct engine *e = engine_of(fg_h2_stream_conn(stream));
    struct watched *w = watched(e, fg_h2_stream_id(stream));

    w->received += buf.len;
    w->ended |= end;
    if (!e->keeps_data)
        fg_h2_stream_consume(stream, buf.len);
}

static void on_sent(struct fg_h2_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_h2_stream *stream, const struct fg_h2_close *why)
{
    struct engine *e = engine_of(fg_h2_stream_conn(stream));
    uint32_t id = fg_h2_stream_id(stream);
    struct watched *w = watched(e, id);

    w->stream = NULL;
    w->closed++;
    w->close = *why;
    if (e->on_close)
        e->on_close(e, id);
}

static void on_output(struct fg_h2_conn *conn)
{
    engine_of(conn)->outputs_told++;
}

static void on_slots(struct fg_h2_conn *conn)
{
    engine_of(conn)->slots_told++;
}

static void on_waited(struct fg_h2_stream *stream, const struct fg_waited *waited)
{
    struct engine *e = engine_of(fg_h2_stream_conn(stream));

    e->waits.told++;
    e->waits.stream = fg_h2_stream_id(stream);
    e->waits.waited = *waited;
    e->waits.holders = waited->holders ? *waited->holders : (struct fg_wait_holders){0};
}

static const struct fg_h2_handler handler = {on_headers, on_data, on_sent, on_close, on_output, on_slots, on_waited};

/* ---- life ---- */

struct engine *engine_new(enum fg_h2_role role)
{
    struct engine *e = calloc(1, sizeof *e);

    assert_non_null(e);
    e->now_ns = 1000 * FG_S;
    fg_mem_init(&e->mem);
    fg_slab_init(&e->slab, fg_h2_stream_bytes(0), 0);
    e->options = (struct fg_h2_options){
        .role = role,
        .handler = &handler,
        .now_ns = &e->now_ns,
        .mem = &e->mem,
        .streams = &e->slab,
        .fault_counts = e->faults,
        .max_concurrent_streams = 100,
        .stream_window = 65535,
        .connection_window = 65535,
        .max_frame_size = 16384,
        .header_table_size = 4096,
        .encoder_table_size = 4096,
        .max_header_list = 65536,
        .max_header_fields = 100,
        .max_continuations = 8,
        .reset_burst = 1000,
        .reset_rate = 33,
        .reset_ratio = 0.5,
        .reset_ratio_minimum = 500,
        .ping_rate = 10,
        .settings_rate = 10,
        .queued_control_frames = 1000,
        .empty_data_frames = 1,
        .error_burst = 100,
        .error_rate = 10,
    };
    return e;
}

void engine_begin(struct engine *e)
{
    fg_h2_conn_init(&e->conn, &e->options);
}

void engine_greet(struct engine *e)
{
    engine_begin(e);
    if (e->options.role == FG_H2_SERVER)
        feed(e, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
    feed_frame(e, FG_H2_SETTINGS, 0, 0, NULL, 0);
    skip_out(e);
}

void engine_open(struct engine *e)
{
    engine_greet(e);
    feed_settings_ack(e);
    expect_out(e, "");
}

void engine_free(struct engine *e)
{
    fg_h2_conn_cleanup(&e->conn);
    assert_int_equal(e->slab.live, 0);
    assert_int_equal(e->mem.segments.live, 0);
    assert_int_equal(e->mem.arena_blocks.live, 0);
    fg_slab_cleanup(&e->slab);
    fg_mem_cleanup(&e->mem);
    free(e);
}

struct watched *watched(struct engine *e, uint32_t id)
{
    return &e->streams[id / 2 % ENGINE_STREAMS];
}

struct fg_h2_stream *stream_of(struct engine *e, uint32_t id)
{
    struct fg_h2_stream *stream = watched(e, id)->stream;
    assert_non_null(stream);
    return stream;
}

/* ---- the peer ---- */

void feed(struct engine *e, const void *data, size_t len)
{
    struct fg_buf buf = fg_buf_copy(data, len);

    fg_h2_conn_recv(&e->conn, buf.chunk, buf.data, buf.len);
    fg_buf_unref(&buf);
}

void feed_frame(struct engine *e, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t *frame = fg_alloc(FG_H2_FRAME_HEADER_BYTES + len);

    fg_h2_frame_write(frame, (struct fg_h2_frame){(uint32_t)len, id, type, flags});
    if (len > 0)
        memcpy(frame + FG_H2_FRAME_HEADER_BYTES, payload, len);
    feed(e, frame, FG_H2_FRAME_HEADER_BYTES + len);
    free(frame);
}

static void feed_u32(struct engine *e, uint8_t type, uint32_t id, uint32_t value)
{
    uint8_t payload[4];

    fg_store_u32(payload, value);
    feed_frame(e, type, 0, id, payload, sizeof payload);
}

void feed_setting(struct engine *e, uint16_t id, uint32_t value)
{
    uint8_t payload[6];

    fg_store_u16(payload, id);
    fg_store_u32(payload + 2, value);
    feed_frame(e, FG_H2_SETTINGS, 0, 0, payload, sizeof payload);
}

void feed_settings_ack(struct engine *e)
{
    feed_frame(e, FG_H2_SETTINGS, FG_H2_FLAG_ACK, 0, NULL, 0);
}

void feed_ping(struct engine *e, uint8_t flags, const char payload[8])
{
    feed_frame(e, FG_H2_PING, flags, 0, payload, 8);
}

void feed_window(struct engine *e, uint32_t id, uint32_t increment)
{
    feed_u32(e, FG_H2_WINDOW_UPDATE, id, increment);
}

void feed_reset(struct engine *e, uint32_t id, uint32_t code)
{
    feed_u32(e, FG_H2_RST_STREAM, id, code);
}

void feed_goaway(struct engine *e, uint32_t last_id, uint32_t code)
{
    uint8_t payload[8];

    fg_store_u32(payload, last_id);
    fg_store_u32(payload + 4, code);
    feed_frame(e, FG_H2_GOAWAY, 0, 0, payload, sizeof payload);
}

void feed_data(struct engine *e, uint32_t id, size_t len, bool end)
{
    uint8_t *payload = fg_alloc_zero(len);

    feed_frame(e, FG_H2_DATA, end ? FG_H2_FLAG_END_STREAM : 0, id, payload, len);
    free(payload);
}

static void feed_block(struct engine *e, uint32_t id, bool end, const void *block, size_t len)
{
    uint8_t flags = (uint8_t)(FG_H2_FLAG_END_HEADERS | (end ? FG_H2_FLAG_END_STREAM : 0));
    feed_frame(e, FG_H2_HEADERS, flags, id, block, len);
}

void feed_request(struct engine *e, uint32_t id, bool end)
{
    feed_block(e, id, end, "\x82\x86\x84", 3);
}

void feed_response(struct engine *e, uint32_t id, bool end)
{
    feed_block(e, id, end, "\x88", 1);
}

void open_stream(struct engine *e, uint32_t id)
{
    if (e->options.role == FG_H2_SERVER) {
        feed_request(e, id, false);
    } else {
        assert_int_equal(send_request(e, true), id);
        feed_response(e, id, false);
    }
    skip_out(e);
}

/* ---- the user ---- */

uint32_t send_request(struct engine *e, bool end)
{
    struct fg_headers headers;
    struct fg_arena arena;

    fg_arena_init(&arena, &e->mem);
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, &arena, FG_TOKEN_METHOD, FG_STR("GET"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_SCHEME, FG_STR("http"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_PATH, FG_STR("/"));
    struct fg_h2_stream *stream = fg_h2_request(&e->conn, &headers, end);
    uint32_t id = fg_h2_stream_id(stream);
    watched(e, id)->stream = stream;
    fg_arena_cleanup(&arena);
    return id;
}

void send_response(struct engine *e, uint32_t id, bool end)
{
    struct fg_h2_stream *stream = stream_of(e, id);
    struct fg_headers headers;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, fg_h2_stream_arena(stream), FG_TOKEN_STATUS, FG_STR("200"));
    fg_h2_stream_send_headers(stream, &headers, end);
}

void send_data(struct engine *e, uint32_t id, size_t len, bool end)
{
    struct fg_chunk *chunk = fg_chunk_new(len);

    memset(chunk->data, 'x', len);
    fg_h2_stream_send_data(stream_of(e, id), (struct fg_buf){chunk, chunk->data, len}, end);
}

void send_trailers(struct engine *e, uint32_t id)
{
    struct fg_h2_stream *stream = stream_of(e, id);
    struct fg_headers headers;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, fg_h2_stream_arena(stream), FG_TOKEN_GRPC_STATUS, FG_STR("0"));
    fg_h2_stream_send_trailers(stream, &headers);
}

void send_reset(struct engine *e, uint32_t id, uint32_t code)
{
    fg_h2_stream_reset(stream_of(e, id), code);
    watched(e, id)->stream = NULL; /* no on_close follows */
}

void pass(struct engine *e, uint64_t ns)
{
    e->now_ns += ns;
    fg_h2_conn_on_time(&e->conn);
}

/* ---- verdicts ---- */

void expect_failed(struct engine *e, enum fg_h2_fault fault, uint32_t last_id, enum fg_h2_error code)
{
    expect_failed_after(e, "", fault, last_id, code);
}

void expect_failed_after(struct engine *e, const char *frames, enum fg_h2_fault fault, uint32_t last_id,
                         enum fg_h2_error code)
{
    const struct fg_h2_fault_info *info = fg_h2_fault_info(fault);
    char all[1024];

    if (e->conn.fault != fault)
        fail_msg("ended for %s, not %s", fg_h2_fault_info(e->conn.fault)->name, info->name);
    assert_int_equal(e->faults[fault], 1);
    snprintf(all, sizeof all, "%sGOAWAY last=%u %s: %s\n", frames, last_id, fg_h2_error_name(code), info->reason);
    expect_out(e, all);
    assert_true(fg_h2_conn_is_done(&e->conn));
    assert_true(fg_list_empty(&e->conn.streams));
    expect_timer(e, FG_NEVER);
    for (int i = 0; i < ENGINE_STREAMS; i++)
        assert_null(e->streams[i].stream);
}

void expect_alive(struct engine *e)
{
    if (e->conn.failed)
        fail_msg("ended: %s", fg_h2_fault_info(e->conn.fault)->reason);
}

void expect_close(struct engine *e, uint32_t id, enum fg_h2_close_by by, uint32_t code)
{
    const struct watched *w = watched(e, id);

    if (w->closed != 1)
        fail_msg("stream %u was closed %u times", id, w->closed);
    assert_int_equal(w->close.by, by);
    assert_int_equal(w->close.code, code);
    assert_non_null(w->close.reason);
}

void expect_timer(struct engine *e, uint64_t ns)
{
    uint64_t next_ns = fg_h2_conn_next_time_ns(&e->conn);
    assert_int_equal(next_ns == FG_NEVER ? FG_NEVER : next_ns - e->now_ns, ns);
}
