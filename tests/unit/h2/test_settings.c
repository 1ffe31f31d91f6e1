/* SETTINGS both ways (RFC 9113 section 6.5): what we say first, what is refused, and what a late change does. */
#include "engine.h"

/* ---- ours ---- */

static void the_first_frames_are_these_bytes(void **state)
{
    static const char server[] = "\0\0\x0c\4\0\0\0\0\0" /* SETTINGS, 12 bytes, on stream 0 */
                                 "\0\3\0\0\0\x64"       /* MAX_CONCURRENT_STREAMS 100 */
                                 "\0\6\0\1\0\0";        /* MAX_HEADER_LIST_SIZE 65536 */
    struct engine *e = engine_new(FG_H2_SERVER);
    struct iovec iov;
    (void)state;

    engine_begin(e);
    assert_int_equal(fg_outq_peek(&e->conn.out, &iov, 1), 1);
    assert_int_equal(iov.iov_len, sizeof server - 1);
    assert_memory_equal(iov.iov_base, server, sizeof server - 1);
    engine_free(e);
}

static void a_client_says_the_preface_first_and_wants_no_push(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_begin(e);
    expect_out(e, "preface\nSETTINGS ENABLE_PUSH=0 MAX_HEADER_LIST_SIZE=65536\n");
    engine_free(e);
}

static void what_differs_from_the_rfcs_values_is_said(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.stream_window = 1 << 20;
    e->options.connection_window = 4 << 20;
    e->options.max_frame_size = 32768;
    e->options.header_table_size = 0;
    e->options.max_concurrent_streams = 7;
    engine_begin(e);
    expect_out(e, "SETTINGS MAX_CONCURRENT_STREAMS=7 INITIAL_WINDOW_SIZE=1048576 MAX_FRAME_SIZE=32768 "
                  "HEADER_TABLE_SIZE=0 MAX_HEADER_LIST_SIZE=65536\n"
                  "WINDOW_UPDATE 0 4128769\n");
    engine_free(e);
}

static void a_frame_may_have_our_max_frame_size_and_not_a_byte_more(void **state)
{
    (void)state;

    for (int over = 0; over <= 1; over++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.max_frame_size = 20000;
        e->keeps_data = true;
        engine_open(e);
        open_stream(e, 1);
        feed_data(e, 1, 20000 + (size_t)over, false);
        if (over)
            expect_failed(e, FG_H2_FAULT_FRAME_TOO_LARGE, 1, FG_H2_FRAME_SIZE_ERROR);
        else
            assert_int_equal(watched(e, 1)->received, 20000);
        engine_free(e);
    }
}

static const uint8_t inserts_field[] = {0x82, 0x86, 0x84, 0x40, 1, 'x', 1, 'y'}; /* into the dynamic table */
static const uint8_t refers_to_field[] = {0x82, 0x86, 0x84, 0xbe};
static const uint8_t update_to_0[] = {0x20, 0x82, 0x86, 0x84};

static void feed_block(struct engine *e, uint32_t id, const uint8_t *block, size_t len)
{
    feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_HEADERS | FG_H2_FLAG_END_STREAM, id, block, len);
}

/* The peer's encoder may use 4096 bytes until it has acknowledged less; then its next block says so first
 * (RFC 7541 section 4.2). */
static void a_smaller_header_table_of_ours_is_in_force_once_it_is_acknowledged(void **state)
{
    (void)state;

    for (int obeys = 0; obeys <= 1; obeys++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.header_table_size = 0;
        engine_greet(e);
        feed_block(e, 1, inserts_field, sizeof inserts_field);
        feed_block(e, 3, refers_to_field, sizeof refers_to_field);
        assert_int_equal(watched(e, 3)->headers, 1);
        feed_settings_ack(e);
        if (obeys) {
            feed_block(e, 5, update_to_0, sizeof update_to_0);
            assert_int_equal(watched(e, 5)->headers, 1);
            expect_out(e, "");
            feed_block(e, 7, refers_to_field, sizeof refers_to_field); /* it is empty now */
        } else {
            feed_block(e, 5, refers_to_field, sizeof refers_to_field);
        }
        expect_failed(e, FG_H2_FAULT_HPACK, obeys ? 7 : 5, FG_H2_COMPRESSION_ERROR);
        engine_free(e);
    }
}

/* ---- the peer's: values and form ---- */

static void each_value_has_its_range(void **state)
{
    static const struct {
        enum fg_h2_role role;
        uint16_t id;
        uint32_t value;
        enum fg_h2_fault fault;
    } rows[] = {
        {FG_H2_SERVER, FG_H2_SETTING_ENABLE_PUSH, 0, FG_H2_FAULT_NONE},
        {FG_H2_SERVER, FG_H2_SETTING_ENABLE_PUSH, 1, FG_H2_FAULT_NONE},
        {FG_H2_SERVER, FG_H2_SETTING_ENABLE_PUSH, 2, FG_H2_FAULT_SETTINGS_VALUE},
        {FG_H2_CLIENT, FG_H2_SETTING_ENABLE_PUSH, 0, FG_H2_FAULT_NONE},
        {FG_H2_CLIENT, FG_H2_SETTING_ENABLE_PUSH, 1, FG_H2_FAULT_SETTINGS_VALUE},
        {FG_H2_SERVER, FG_H2_SETTING_MAX_FRAME_SIZE, 16383, FG_H2_FAULT_SETTINGS_VALUE},
        {FG_H2_SERVER, FG_H2_SETTING_MAX_FRAME_SIZE, 16384, FG_H2_FAULT_NONE},
        {FG_H2_CLIENT, FG_H2_SETTING_MAX_FRAME_SIZE, 0xffffff, FG_H2_FAULT_NONE},
        {FG_H2_CLIENT, FG_H2_SETTING_MAX_FRAME_SIZE, 0x1000000, FG_H2_FAULT_SETTINGS_VALUE},
        {FG_H2_SERVER, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0x7fffffff, FG_H2_FAULT_NONE},
        {FG_H2_SERVER, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0x80000000, FG_H2_FAULT_SETTINGS_WINDOW},
        {FG_H2_CLIENT, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0xffffffff, FG_H2_FAULT_SETTINGS_WINDOW},
        {FG_H2_SERVER, FG_H2_SETTING_NO_RFC7540_PRIORITIES, 1, FG_H2_FAULT_NONE},
        {FG_H2_SERVER, FG_H2_SETTING_NO_RFC7540_PRIORITIES, 2, FG_H2_FAULT_SETTINGS_VALUE},
        {FG_H2_SERVER, FG_H2_SETTING_HEADER_TABLE_SIZE, 0xffffffff, FG_H2_FAULT_NONE},
        {FG_H2_CLIENT, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 0xffffffff, FG_H2_FAULT_NONE},
        {FG_H2_CLIENT, FG_H2_SETTING_MAX_HEADER_LIST_SIZE, 0, FG_H2_FAULT_NONE},
        {FG_H2_SERVER, 0x1234, 5, FG_H2_FAULT_NONE}, /* unknown ones are ignored */
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(rows); i++) {
        struct engine *e = engine_new(rows[i].role);
        engine_open(e);
        feed_setting(e, rows[i].id, rows[i].value);
        if (e->conn.fault != rows[i].fault)
            fail_msg("setting %u = %u: %s", rows[i].id, rows[i].value, fg_h2_fault_info(e->conn.fault)->name);
        if (rows[i].fault == FG_H2_FAULT_NONE)
            expect_out(e, "SETTINGS ack\n");
        else if (rows[i].fault == FG_H2_FAULT_SETTINGS_WINDOW)
            expect_failed(e, rows[i].fault, 0, FG_H2_FLOW_CONTROL_ERROR);
        else
            expect_failed(e, rows[i].fault, 0, FG_H2_PROTOCOL_ERROR);
        engine_free(e);
    }
}

static void the_form_of_settings_is_checked(void **state)
{
    static const struct {
        uint8_t flags;
        uint32_t stream_id;
        size_t len;
        enum fg_h2_fault fault;
        enum fg_h2_error code;
    } rows[] = {
        {FG_H2_FLAG_ACK, 0, 6, FG_H2_FAULT_SETTINGS_ACK, FG_H2_FRAME_SIZE_ERROR},
        {0, 0, 5, FG_H2_FAULT_FRAME_LENGTH, FG_H2_FRAME_SIZE_ERROR},
        {0, 0, 7, FG_H2_FAULT_FRAME_LENGTH, FG_H2_FRAME_SIZE_ERROR},
        {0, 1, 6, FG_H2_FAULT_FRAME_STREAM_ID, FG_H2_PROTOCOL_ERROR},
        {FG_H2_FLAG_ACK, 1, 0, FG_H2_FAULT_FRAME_STREAM_ID, FG_H2_PROTOCOL_ERROR},
    };
    static const uint8_t unknown_settings[12] = {0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(rows); i++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        engine_open(e);
        feed_frame(e, FG_H2_SETTINGS, rows[i].flags, rows[i].stream_id, unknown_settings, rows[i].len);
        expect_failed(e, rows[i].fault, 0, rows[i].code);
        engine_free(e);
    }
}

static void the_first_frame_must_be_settings_that_acknowledge_nothing(void **state)
{
    static const enum fg_h2_role roles[] = {FG_H2_SERVER, FG_H2_CLIENT};
    (void)state;

    for (int i = 0; i < 4; i++) {
        struct engine *e = engine_new(roles[i % 2]);
        engine_begin(e);
        skip_out(e);
        if (roles[i % 2] == FG_H2_SERVER)
            feed(e, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
        if (i / 2)
            feed_settings_ack(e);
        else
            feed_ping(e, 0, "abcdefgh");
        expect_failed(e, FG_H2_FAULT_FIRST_FRAME, 0, FG_H2_PROTOCOL_ERROR);
        engine_free(e);
    }
}

static void a_frame_with_many_settings_is_applied_in_order_and_acknowledged_once(void **state)
{
    static const char settings[] = "\0\4\0\0\0\0"   /* INITIAL_WINDOW_SIZE 0 */
                                   "\0\4\0\0\0\x64" /* 100 */
                                   "\0\3\0\0\0\2";  /* MAX_CONCURRENT_STREAMS 2 */
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    feed_frame(e, FG_H2_SETTINGS, 0, 0, settings, sizeof settings - 1);
    expect_out(e, "SETTINGS ack\n");
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 2);
    send_request(e, false);
    send_data(e, 1, 101, false);
    expect_out(e, "HEADERS 1 828684\nDATA 1 100\n");
    engine_free(e);
}

/* ---- late changes ---- */

static void a_lower_stream_limit_lets_open_streams_finish_and_no_new_ones_in(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    for (int i = 0; i < 3; i++)
        send_request(e, true);
    skip_out(e);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 97);
    unsigned slots_told = e->slots_told;
    feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 2);
    expect_out(e, "SETTINGS ack\n");
    assert_int_equal(e->slots_told, slots_told + 1);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    feed_response(e, 1, true);
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    slots_told = e->slots_told;
    feed_response(e, 3, true);
    assert_int_equal(e->slots_told, slots_told + 1);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 1);
    feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 0);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 10);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 9);
    assert_int_equal(watched(e, 5)->closed, 0);
    engine_free(e);
}

/* An endpoint that names no limit has none. */
static void our_own_stream_limit_holds_whatever_the_endpoint_allows(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.max_concurrent_streams = 500;
    engine_open(e);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 500);
    feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 501);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 500);
    feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 499);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 499);
    engine_free(e);
}

/* :status 200 and x: y, as the encoder writes them now. */
static void expect_answer(struct engine *e, uint32_t id, const char *frames)
{
    struct fg_headers headers;

    feed_request(e, id, true);
    struct fg_h2_stream *stream = stream_of(e, id);
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, fg_h2_stream_arena(stream), FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add(&headers, fg_h2_stream_arena(stream), FG_STR("x"), FG_STR("y"));
    fg_h2_stream_send_headers(stream, &headers, true);
    expect_out(e, frames);
}

static void a_header_table_size_of_0_empties_our_table(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    expect_answer(e, 1, "HEADERS 1 end 880001780179\n");
    expect_answer(e, 3, "HEADERS 3 end 884001780179\n"); /* met twice: it enters the table */
    expect_answer(e, 5, "HEADERS 5 end 88be\n");
    feed_setting(e, FG_H2_SETTING_HEADER_TABLE_SIZE, 0);
    expect_out(e, "SETTINGS ack\n");
    expect_answer(e, 7, "HEADERS 7 end 20880001780179\n");
    expect_answer(e, 9, "HEADERS 9 end 880001780179\n");
    feed_setting(e, FG_H2_SETTING_HEADER_TABLE_SIZE, 4096);
    expect_out(e, "SETTINGS ack\n");
    expect_answer(e, 11, "HEADERS 11 end 3fe11f884001780179\n");
    expect_answer(e, 13, "HEADERS 13 end 88be\n");
    engine_free(e);
}

/* RFC 7541 section 4.2: the smallest size in between is said too. */
static void a_header_table_that_shrinks_and_grows_between_two_blocks_is_told_twice(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    expect_answer(e, 1, "HEADERS 1 end 880001780179\n");
    expect_answer(e, 3, "HEADERS 3 end 884001780179\n");
    feed_setting(e, FG_H2_SETTING_HEADER_TABLE_SIZE, 0);
    feed_setting(e, FG_H2_SETTING_HEADER_TABLE_SIZE, 1000000); /* more than we want to spend */
    expect_out(e, "SETTINGS ack\nSETTINGS ack\n");
    expect_answer(e, 5, "HEADERS 5 end 203fe11f884001780179\n");
    engine_free(e);
}

static void trailers_encoded_before_the_table_shrank_say_so_when_they_go(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0);
    feed_request(e, 1, true);
    send_response(e, 1, false);
    send_data(e, 1, 5, false);
    send_trailers(e, 1);
    expect_out(e, "SETTINGS ack\nHEADERS 1 88\n");
    feed_setting(e, FG_H2_SETTING_HEADER_TABLE_SIZE, 0);
    feed_window(e, 1, 5);
    expect_out(e, "SETTINGS ack\nDATA 1 5\nHEADERS 1 end 20000b677270632d7374617475730130\n");
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_frames_are_these_bytes),
        cmocka_unit_test(a_client_says_the_preface_first_and_wants_no_push),
        cmocka_unit_test(what_differs_from_the_rfcs_values_is_said),
        cmocka_unit_test(a_frame_may_have_our_max_frame_size_and_not_a_byte_more),
        cmocka_unit_test(a_smaller_header_table_of_ours_is_in_force_once_it_is_acknowledged),
        cmocka_unit_test(each_value_has_its_range),
        cmocka_unit_test(the_form_of_settings_is_checked),
        cmocka_unit_test(the_first_frame_must_be_settings_that_acknowledge_nothing),
        cmocka_unit_test(a_frame_with_many_settings_is_applied_in_order_and_acknowledged_once),
        cmocka_unit_test(a_lower_stream_limit_lets_open_streams_finish_and_no_new_ones_in),
        cmocka_unit_test(our_own_stream_limit_holds_whatever_the_endpoint_allows),
        cmocka_unit_test(a_header_table_size_of_0_empties_our_table),
        cmocka_unit_test(a_header_table_that_shrinks_and_grows_between_two_blocks_is_told_twice),
        cmocka_unit_test(trailers_encoded_before_the_table_shrank_say_so_when_they_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
