/* Row B2: which stream's DATA goes next. The engine in the server role, fed by hand, read frame by frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "h2/h2_int.h"

#define BULK_BYTES  200000
#define MANY_BYTES  (1u << 30)
#define MAX_STREAMS 32

struct fixture {
    struct fg_mem mem;
    struct fg_slab slab;
    struct fg_h2_options options;
    struct fg_h2_conn conn;
    uint64_t now_ns, faults[FG_H2_FAULT_LEN];
    struct fg_h2_stream *streams[MAX_STREAMS];
    size_t sent[MAX_STREAMS]; /* DATA bytes seen on the wire, by stream */
};

static struct fixture *current; /* the engine's callbacks have no other way to the test */

static unsigned slot(uint32_t id)
{
    return id / 2;
}

static void on_headers(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    current->streams[slot(fg_h2_stream_id(stream))] = stream;
}

static void on_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end)
{
    (void)end;
    fg_h2_stream_consume(stream, buf.len);
}

static void on_sent(struct fg_h2_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_h2_stream *stream, const struct fg_h2_close *why)
{
    (void)why;
    current->streams[slot(fg_h2_stream_id(stream))] = NULL;
}

static void on_output(struct fg_h2_conn *conn)
{
    (void)conn;
}

static const struct fg_h2_handler handler = {on_headers, on_data, on_sent, on_close, on_output, NULL};

static void feed(struct fixture *f, const void *data, size_t len)
{
    struct fg_buf buf = fg_buf_copy(data, len);
    fg_h2_conn_recv(&f->conn, buf.chunk, buf.data, buf.len);
    fg_buf_unref(&buf);
}

static void feed_frame(struct fixture *f, uint8_t type, uint8_t flags, uint32_t id, const void *payload, uint32_t len)
{
    uint8_t head[FG_H2_FRAME_HEADER_BYTES];
    fg_h2_frame_write(head, (struct fg_h2_frame){len, id, type, flags});
    feed(f, head, sizeof head);
    if (len > 0)
        feed(f, payload, len);
}

static void set_up(struct fixture *f)
{
    uint8_t settings[6], window[4];

    memset(f, 0, sizeof *f);
    current = f;
    f->now_ns = FG_S;
    fg_mem_init(&f->mem);
    fg_slab_init(&f->slab, fg_h2_stream_bytes(0), 0);
    f->options = (struct fg_h2_options){
        .role = FG_H2_SERVER,
        .handler = &handler,
        .now_ns = &f->now_ns,
        .mem = &f->mem,
        .streams = &f->slab,
        .fault_counts = f->faults,
        .max_concurrent_streams = 100,
        .stream_window = 65535,
        .connection_window = 65535,
        .max_frame_size = 16384,
        .header_table_size = 4096,
        .max_header_list = 65536,
        .max_header_fields = 100,
        .max_continuations = 8,
        .reset_burst = 100,
        .reset_rate = 10,
        .reset_ratio = 1,
        .reset_ratio_minimum = 500,
        .ping_rate = 10,
        .settings_rate = 10,
        .queued_control_frames = 100,
        .empty_data_frames = 1,
        .error_burst = 100,
        .error_rate = 10,
    };
    fg_h2_conn_init(&f->conn, &f->options);
    feed(f, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
    fg_store_u16(settings, FG_H2_SETTING_INITIAL_WINDOW_SIZE);
    fg_store_u32(settings + 2, MANY_BYTES);
    feed_frame(f, FG_H2_SETTINGS, 0, 0, settings, sizeof settings);
    feed_frame(f, FG_H2_SETTINGS, FG_H2_FLAG_ACK, 0, NULL, 0);
    fg_store_u32(window, MANY_BYTES);
    feed_frame(f, FG_H2_WINDOW_UPDATE, 0, 0, window, sizeof window);
}

static void tear_down(struct fixture *f)
{
    fg_h2_conn_cleanup(&f->conn);
    assert_int_equal(f->slab.live, 0);
    fg_slab_cleanup(&f->slab);
    fg_mem_cleanup(&f->mem);
}

/* A request, perhaps with a priority field; the answer's headers are sent. */
static struct fg_h2_stream *request(struct fixture *f, uint32_t id, const char *priority)
{
    uint8_t block[64] = {0x83, 0x86, 0x84};
    size_t len = 3;
    struct fg_headers headers;

    if (priority) {
        block[len++] = 0x00;
        block[len++] = 8;
        memcpy(block + len, "priority", 8);
        len += 8;
        block[len++] = (uint8_t)strlen(priority);
        memcpy(block + len, priority, strlen(priority));
        len += strlen(priority);
    }
    feed_frame(f, FG_H2_HEADERS, FG_H2_FLAG_END_HEADERS | FG_H2_FLAG_END_STREAM, id, block, (uint32_t)len);
    struct fg_h2_stream *stream = f->streams[slot(id)];
    assert_non_null(stream);
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, fg_h2_stream_arena(stream), FG_TOKEN_STATUS, FG_STR("200"));
    fg_h2_stream_send_headers(stream, &headers, false);
    return stream;
}

static void queue(struct fg_h2_stream *stream, size_t bytes)
{
    struct fg_chunk *chunk = fg_chunk_new(bytes);
    memset(chunk->data, 'x', bytes);
    fg_h2_stream_send_data(stream, (struct fg_buf){chunk, chunk->data, bytes}, true);
}

/* Pulls about BYTES and counts the DATA of each stream; the id of the first DATA frame, or 0. */
static uint32_t pull(struct fixture *f, size_t bytes)
{
    uint32_t first = 0;
    uint8_t *all;
    size_t len, at = 0;

    fg_h2_conn_pull(&f->conn, bytes);
    len = f->conn.out.bytes;
    all = fg_alloc(len);
    while (f->conn.out.bytes > 0) {
        struct iovec iov;
        assert_int_equal(fg_outq_peek(&f->conn.out, &iov, 1), 1);
        memcpy(all + at, iov.iov_base, iov.iov_len);
        at += iov.iov_len;
        fg_outq_consume(&f->conn.out, iov.iov_len);
    }
    for (at = 0; at < len;) {
        struct fg_h2_frame frame = fg_h2_frame_parse(all + at);
        if (frame.type == FG_H2_DATA) {
            f->sent[slot(frame.stream_id)] += frame.len;
            first = first ? first : frame.stream_id;
        }
        at += FG_H2_FRAME_HEADER_BYTES + frame.len;
    }
    assert_int_equal(at, len);
    free(all);
    return first;
}

static void an_urgent_reply_overtakes_ten_bulk_streams(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    for (uint32_t i = 0; i < 10; i++)
        queue(request(&f, 1 + 2 * i, NULL), BULK_BYTES);
    pull(&f, 50000); /* they are under way */
    queue(request(&f, 21, "u=0"), 1024);
    assert_int_equal(pull(&f, 1), 21);
    assert_int_equal(f.sent[slot(21)], 1024);
    tear_down(&f);
}

static void a_routes_priority_does_the_same(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    for (uint32_t i = 0; i < 10; i++)
        queue(request(&f, 1 + 2 * i, NULL), BULK_BYTES);
    struct fg_h2_stream *urgent = request(&f, 21, NULL);
    fg_h2_stream_set_route_priority(urgent, -2, 1);
    queue(urgent, 1024);
    assert_int_equal(pull(&f, 1), 21);
    tear_down(&f);
}

static void priority_update_works_before_and_during_the_stream(void **state)
{
    struct fixture f;
    uint8_t payload[4 + 3];
    (void)state;

    set_up(&f);
    queue(request(&f, 1, NULL), BULK_BYTES);
    fg_store_u32(payload, 3);
    memcpy(payload + 4, "u=1", 3);
    feed_frame(&f, FG_H2_PRIORITY_UPDATE, 0, 0, payload, sizeof payload);
    queue(request(&f, 3, "u=7"), BULK_BYTES); /* PRIORITY_UPDATE wins over the header */
    assert_int_equal(pull(&f, 1), 3);
    fg_store_u32(payload, 1);
    memcpy(payload + 4, "u=0", 3);
    feed_frame(&f, FG_H2_PRIORITY_UPDATE, 0, 0, payload, sizeof payload);
    assert_int_equal(pull(&f, 1), 1);
    tear_down(&f);
}

static void equals_share_by_weight(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    struct fg_h2_stream *heavy = request(&f, 1, NULL), *light = request(&f, 3, NULL);
    fg_h2_stream_set_route_priority(heavy, 0, 3);
    queue(heavy, 4 << 20);
    queue(light, 4 << 20);
    for (int i = 0; i < 100; i++)
        pull(&f, 20000);
    double ratio = (double)f.sent[slot(1)] / (double)f.sent[slot(3)];
    if (ratio < 2.7 || ratio > 3.3)
        fail_msg("the shares are 1 : %.2f, not 1 : 3", ratio);
    tear_down(&f);
}

/* RFC 7540's weights are hints: 16 is the default, 256 the most. */
static void the_old_weights_are_hints(void **state)
{
    static const uint8_t weight_64[] = {0, 0, 0, 0, 63};
    struct fixture f;
    (void)state;

    set_up(&f);
    queue(request(&f, 1, NULL), 4 << 20);
    queue(request(&f, 3, NULL), 4 << 20);
    feed_frame(&f, FG_H2_PRIORITY, 0, 1, weight_64, sizeof weight_64);
    for (int i = 0; i < 100; i++)
        pull(&f, 20000);
    double ratio = (double)f.sent[slot(1)] / (double)f.sent[slot(3)];
    if (ratio < 3.6 || ratio > 4.4)
        fail_msg("the shares are 1 : %.2f, not 1 : 4", ratio);
    tear_down(&f);
}

static void streams_without_a_signal_share_and_sequential_ones_do_not(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f);
    queue(request(&f, 1, NULL), BULK_BYTES);
    queue(request(&f, 3, NULL), BULK_BYTES);
    pull(&f, 100000);
    assert_true(f.sent[slot(1)] > 30000 && f.sent[slot(3)] > 30000);
    tear_down(&f);

    set_up(&f);
    queue(request(&f, 1, "u=3"), BULK_BYTES); /* a signal without i: one after the other (RFC 9218 section 4.2) */
    queue(request(&f, 3, "u=3"), BULK_BYTES);
    pull(&f, 100000);
    assert_int_equal(f.sent[slot(3)], 0);
    pull(&f, SIZE_MAX);
    assert_int_equal(f.sent[slot(1)], BULK_BYTES);
    assert_int_equal(f.sent[slot(3)], BULK_BYTES);
    tear_down(&f);
}

/* Row B4: the peer may lower the window of open streams below what is out already. */
static void a_late_setting_makes_a_window_negative_and_back(void **state)
{
    struct fixture f;
    uint8_t settings[6], window[4];
    (void)state;

    set_up(&f);
    struct fg_h2_stream *stream = request(&f, 1, NULL);
    queue(stream, BULK_BYTES);
    pull(&f, 50000);
    size_t out = f.sent[slot(1)];
    fg_store_u16(settings, FG_H2_SETTING_INITIAL_WINDOW_SIZE);
    fg_store_u32(settings + 2, 1000);
    feed_frame(&f, FG_H2_SETTINGS, 0, 0, settings, sizeof settings);
    assert_int_equal(stream->send_window, 1000 - (int32_t)out);
    pull(&f, SIZE_MAX);
    assert_int_equal(f.sent[slot(1)], out);
    assert_int_equal(fg_h2_stream_wait(stream).cause, FG_WAIT_STREAM_WINDOW);
    fg_store_u32(window, (uint32_t)out); /* 1000 bytes may go now */
    feed_frame(&f, FG_H2_WINDOW_UPDATE, 0, 1, window, sizeof window);
    pull(&f, SIZE_MAX);
    assert_int_equal(f.sent[slot(1)], out + 1000);
    tear_down(&f);
}

static void invalid_priority_values_change_nothing(void **state)
{
    static const char *const values[] = {"u=8", "u=-1", "u=a", "i=2", "U=1", "\"u\"=1", ",,", "=", "u"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(values); i++) {
        struct fixture f;
        set_up(&f);
        struct fg_h2_stream *stream = request(&f, 1, values[i]);
        if (stream->urgency != FG_H2_DEFAULT_URGENCY)
            fail_msg("%s gives urgency %u", values[i], stream->urgency);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_urgent_reply_overtakes_ten_bulk_streams),
        cmocka_unit_test(a_routes_priority_does_the_same),
        cmocka_unit_test(priority_update_works_before_and_during_the_stream),
        cmocka_unit_test(equals_share_by_weight),
        cmocka_unit_test(the_old_weights_are_hints),
        cmocka_unit_test(streams_without_a_signal_share_and_sequential_ones_do_not),
        cmocka_unit_test(a_late_setting_makes_a_window_negative_and_back),
        cmocka_unit_test(invalid_priority_values_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
