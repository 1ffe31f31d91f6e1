/* The clocks of a connection, each to the nanosecond: one before it nothing happens, at it something does. */
#include "engine.h"

static const enum fg_h2_role both_roles[] = {FG_H2_SERVER, FG_H2_CLIENT};

/* ---- the beginning ---- */

static void without_limits_no_timer_runs(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        engine_open(e);
        expect_timer(e, FG_NEVER);
        pass(e, 1000000 * FG_S);
        expect_out(e, "");
        engine_free(e);
    }
}

static void the_preface_and_settings_must_be_there_in_time(void **state)
{
    static const char wire[] = FG_H2_PREFACE "\0\0\6\4\0\0\0\0\0" /* SETTINGS, its payload is missing */;
    static const size_t sent[] = {0, 1, FG_H2_PREFACE_BYTES, sizeof wire - 1};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(sent); i++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.preface_timeout_ns = 5 * FG_S;
        engine_begin(e);
        skip_out(e);
        expect_timer(e, 5 * FG_S);
        pass(e, 5 * FG_S - 1);
        feed(e, wire, sent[i]); /* what comes slowly moves nothing */
        expect_timer(e, 1);
        expect_out(e, "");
        pass(e, 1);
        expect_failed(e, FG_H2_FAULT_PREFACE_TIMEOUT, 0, FG_H2_PROTOCOL_ERROR);
        engine_free(e);
    }
}

static void an_endpoint_has_the_settings_timeout_for_its_settings(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.preface_timeout_ns = FG_S; /* a server's */
    e->options.settings_timeout_ns = 4 * FG_S;
    engine_begin(e);
    skip_out(e);
    pass(e, 4 * FG_S - 1);
    expect_out(e, "");
    pass(e, 1);
    expect_failed(e, FG_H2_FAULT_PREFACE_TIMEOUT, 0, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

static void our_settings_must_be_acknowledged_in_time(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        e->options.settings_timeout_ns = 4 * FG_S;
        engine_greet(e);
        expect_timer(e, 4 * FG_S);
        pass(e, 4 * FG_S - 1);
        feed_ping(e, 0, "abcdefgh"); /* being alive is not enough */
        expect_out(e, "PING ack \"abcdefgh\"\n");
        pass(e, 1);
        expect_failed(e, FG_H2_FAULT_SETTINGS_TIMEOUT, 0, FG_H2_SETTINGS_TIMEOUT);
        engine_free(e);
    }
}

static void acknowledged_settings_have_no_clock(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.preface_timeout_ns = e->options.settings_timeout_ns = FG_S;
    engine_open(e);
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

/* ---- header blocks and frames in pieces ---- */

static void a_header_block_has_one_clock_whatever_its_frames_do(void **state)
{
    (void)state;

    for (int i = 0; i < 4; i++) {
        bool finishes = i / 2;
        struct engine *e = engine_new(both_roles[i % 2]);
        bool server = e->options.role == FG_H2_SERVER;
        e->options.header_timeout_ns = 5 * FG_S;
        engine_open(e);
        if (!server)
            send_request(e, true);
        skip_out(e);
        expect_timer(e, FG_NEVER);
        feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_STREAM, 1, server ? "\x82\x86\x84" : "\x88", server ? 3 : 1);
        pass(e, 2 * FG_S);
        feed(e, "\0\0\5\x9\0\0\0\0\1\0\1", 11); /* CONTINUATION 1, of 5 bytes */
        pass(e, FG_S);
        feed(e, "x\1y", 3);
        expect_timer(e, 2 * FG_S);
        pass(e, 2 * FG_S - 1);
        if (finishes) {
            feed_frame(e, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, 1, "", 0);
            assert_int_equal(watched(e, 1)->headers, 1);
            expect_timer(e, FG_NEVER);
        } else {
            expect_out(e, "");
            pass(e, 1);
            expect_failed(e, FG_H2_FAULT_HEADER_TIMEOUT, 0, FG_H2_ENHANCE_YOUR_CALM);
        }
        engine_free(e);
    }
}

static void a_frame_that_comes_in_pieces_has_the_same_clock(void **state)
{
    static const char ping[] = "\0\0\x8\6\0\0\0\0\0abcdefgh";
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.header_timeout_ns = 5 * FG_S;
    engine_open(e);
    feed(e, ping, 10);
    expect_timer(e, 5 * FG_S);
    pass(e, 5 * FG_S - 1);
    feed(e, ping + 10, 7);
    expect_out(e, "PING ack \"abcdefgh\"\n");
    expect_timer(e, FG_NEVER);
    feed(e, ping, 10);
    pass(e, 3 * FG_S);
    feed(e, ping + 10, 6);
    pass(e, 2 * FG_S);
    expect_failed(e, FG_H2_FAULT_HEADER_TIMEOUT, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* ---- keepalive ---- */

static void a_silent_peer_is_asked_and_has_so_long_to_answer(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        e->options.keepalive_interval_ns = 10 * FG_S;
        e->options.keepalive_timeout_ns = 2 * FG_S;
        engine_open(e);
        expect_timer(e, 10 * FG_S);
        pass(e, 10 * FG_S - 1);
        expect_out(e, "");
        pass(e, 1);
        expect_out(e, "PING \"fuselive\"\n");
        expect_timer(e, 2 * FG_S);
        pass(e, FG_S);
        feed_ping(e, FG_H2_FLAG_ACK, "fuselive");
        expect_timer(e, 10 * FG_S);
        pass(e, 10 * FG_S);
        expect_out(e, "PING \"fuselive\"\n");
        pass(e, 2 * FG_S - 1);
        expect_out(e, "");
        pass(e, 1);
        expect_failed(e, FG_H2_FAULT_KEEPALIVE_TIMEOUT, 0, FG_H2_NO_ERROR);
        engine_free(e);
    }
}

static void any_byte_postpones_the_question(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.keepalive_interval_ns = 10 * FG_S;
    engine_open(e);
    pass(e, 9 * FG_S);
    feed(e, "", 1); /* of a frame's head */
    expect_timer(e, 10 * FG_S);
    pass(e, 10 * FG_S - 1);
    expect_out(e, "");
    engine_free(e);
}

static void the_owner_may_ask_at_once_and_only_one_question_is_out(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.keepalive_timeout_ns = 2 * FG_S;
    engine_open(e);
    fg_h2_conn_ping(&e->conn);
    pass(e, FG_S);
    fg_h2_conn_ping(&e->conn);
    expect_out(e, "PING \"fuselive\"\n");
    expect_timer(e, FG_S); /* of the first one */
    feed_ping(e, FG_H2_FLAG_ACK, "fuselive");
    expect_timer(e, FG_NEVER);
    fg_h2_conn_ping(&e->conn);
    expect_out(e, "PING \"fuselive\"\n");
    pass(e, 2 * FG_S);
    expect_failed(e, FG_H2_FAULT_KEEPALIVE_TIMEOUT, 0, FG_H2_NO_ERROR);
    fg_h2_conn_ping(&e->conn);
    expect_out(e, "");
    engine_free(e);
}

/* ---- idle ---- */

static void an_idle_connection_is_drained(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.idle_timeout_ns = 30 * FG_S;
    engine_open(e);
    pass(e, 30 * FG_S - 1);
    feed_ping(e, 0, "abcdefgh"); /* a connection that only lives is idle */
    expect_out(e, "PING ack \"abcdefgh\"\n");
    pass(e, 1);
    expect_out(e, "GOAWAY last=2147483647 NO_ERROR: shutting down\nPING \"fusedran\"\n");
    pass(e, FG_S);
    expect_out(e, "GOAWAY last=0 NO_ERROR: shutting down\n");
    assert_true(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

static void a_stream_keeps_a_connection_from_being_idle(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        e->options.idle_timeout_ns = 30 * FG_S;
        engine_open(e);
        pass(e, 29 * FG_S);
        open_stream(e, 1);
        expect_timer(e, FG_NEVER);
        pass(e, 100 * FG_S);
        expect_out(e, "");
        feed_reset(e, 1, FG_H2_CANCEL);
        expect_timer(e, 30 * FG_S);
        pass(e, 30 * FG_S);
        skip_out(e);
        assert_true(e->conn.draining);
        assert_int_equal(fg_h2_conn_is_done(&e->conn), both_roles[i] == FG_H2_CLIENT); /* in one step */
        engine_free(e);
    }
}

/* ---- a peer that takes nothing ---- */

static void a_socket_that_takes_nothing_ends_the_connection(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    engine_open(e);
    fg_h2_conn_set_blocked(&e->conn, true, false);
    expect_timer(e, 10 * FG_S);
    pass(e, 6 * FG_S);
    fg_h2_conn_set_blocked(&e->conn, true, true); /* a slow reader is not a dead one */
    expect_timer(e, 10 * FG_S);
    pass(e, 6 * FG_S);
    fg_h2_conn_set_blocked(&e->conn, true, false);
    expect_timer(e, 4 * FG_S);
    pass(e, 4 * FG_S - 1);
    expect_alive(e);
    pass(e, 1);
    expect_failed(e, FG_H2_FAULT_WRITE_STALL, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void a_socket_that_took_everything_has_no_clock(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    engine_open(e);
    fg_h2_conn_set_blocked(&e->conn, true, true);
    pass(e, 9 * FG_S);
    fg_h2_conn_set_blocked(&e->conn, false, true);
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

static void a_connection_window_that_stays_shut_ends_the_connection(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 1 << 20);
    open_stream(e, 1);
    send_data(e, 1, 70000, true);
    expect_out(e, "DATA 1 16384\nDATA 1 16384\nDATA 1 16384\nDATA 1 16383\n");
    expect_timer(e, 10 * FG_S);
    pass(e, 9 * FG_S);
    expect_out(e, ""); /* trying again does not wind the clock */
    expect_timer(e, FG_S);
    feed_window(e, 0, 1000);
    expect_out(e, "DATA 1 1000\n");
    expect_timer(e, 10 * FG_S);
    pass(e, 10 * FG_S - 1);
    expect_alive(e);
    pass(e, 1);
    expect_failed(e, FG_H2_FAULT_WRITE_STALL, 1, FG_H2_ENHANCE_YOUR_CALM);
    expect_close(e, 1, FG_H2_CLOSED_CONNECTION, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void a_stream_window_that_stays_shut_ends_its_stream_alone(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 10);
    for (uint32_t id = 1; id <= 5; id += 2)
        open_stream(e, id);
    send_data(e, 1, 11, true);
    expect_out(e, "DATA 1 10\n");
    pass(e, 4 * FG_S);
    send_data(e, 3, 20, true);
    send_data(e, 5, 10, true);
    expect_out(e, "DATA 3 10\nDATA 5 end 10\n");
    pass(e, 6 * FG_S - 1);
    expect_out(e, "");
    pass(e, 1);
    expect_out(e, "RST_STREAM 1 ENHANCE_YOUR_CALM\n");
    expect_close(e, 1, FG_H2_CLOSED_FAULT, FG_H2_ENHANCE_YOUR_CALM);
    expect_timer(e, 4 * FG_S);
    pass(e, 3 * FG_S);
    feed_window(e, 3, 5);
    expect_out(e, "DATA 3 5\n");
    expect_timer(e, 10 * FG_S);
    feed_window(e, 3, 5);
    expect_out(e, "DATA 3 end 5\n");
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

/* Several at once: the next one counts, whichever it is. */
static void the_earliest_timer_is_the_next(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.idle_timeout_ns = 30 * FG_S;
    e->options.keepalive_interval_ns = 20 * FG_S;
    e->options.header_timeout_ns = 5 * FG_S;
    e->options.write_stall_timeout_ns = 3 * FG_S;
    engine_open(e);
    expect_timer(e, 20 * FG_S);
    feed_frame(e, FG_H2_HEADERS, 0, 1, "\x82\x86\x84", 3);
    expect_timer(e, 5 * FG_S);
    fg_h2_conn_set_blocked(&e->conn, true, false);
    expect_timer(e, 3 * FG_S);
    fg_h2_conn_set_blocked(&e->conn, false, true);
    feed_frame(e, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, 1, "", 0);
    expect_timer(e, 20 * FG_S);
    engine_free(e);
}

static void a_shut_connection_window_that_nobody_waits_for_has_no_clock(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    engine_open(e);
    open_stream(e, 1);
    open_stream(e, 3);
    send_data(e, 1, 65535, false);
    skip_out(e);
    send_data(e, 3, 1, false);
    expect_out(e, "");
    feed_reset(e, 3, FG_H2_CANCEL);
    expect_out(e, "");
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

static void nothing_follows_the_last_word(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = e->options.keepalive_interval_ns = FG_S;
    e->options.reset_burst = e->options.reset_rate = 1;
    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0);
    for (uint32_t id = 1; id <= 3; id += 2) {
        open_stream(e, id);
        send_data(e, id, 1, false);
    }
    pass(e, FG_S); /* both streams stall: the second is a reset too many */
    expect_failed_after(e, "RST_STREAM 1 ENHANCE_YOUR_CALM\nRST_STREAM 3 ENHANCE_YOUR_CALM\n", FG_H2_FAULT_RESET_FLOOD,
                        3, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_no_timer_runs),
        cmocka_unit_test(the_preface_and_settings_must_be_there_in_time),
        cmocka_unit_test(an_endpoint_has_the_settings_timeout_for_its_settings),
        cmocka_unit_test(our_settings_must_be_acknowledged_in_time),
        cmocka_unit_test(acknowledged_settings_have_no_clock),
        cmocka_unit_test(a_header_block_has_one_clock_whatever_its_frames_do),
        cmocka_unit_test(a_frame_that_comes_in_pieces_has_the_same_clock),
        cmocka_unit_test(a_silent_peer_is_asked_and_has_so_long_to_answer),
        cmocka_unit_test(any_byte_postpones_the_question),
        cmocka_unit_test(the_owner_may_ask_at_once_and_only_one_question_is_out),
        cmocka_unit_test(an_idle_connection_is_drained),
        cmocka_unit_test(a_stream_keeps_a_connection_from_being_idle),
        cmocka_unit_test(a_socket_that_takes_nothing_ends_the_connection),
        cmocka_unit_test(a_socket_that_took_everything_has_no_clock),
        cmocka_unit_test(a_connection_window_that_stays_shut_ends_the_connection),
        cmocka_unit_test(a_stream_window_that_stays_shut_ends_its_stream_alone),
        cmocka_unit_test(the_earliest_timer_is_the_next),
        cmocka_unit_test(a_shut_connection_window_that_nobody_waits_for_has_no_clock),
        cmocka_unit_test(nothing_follows_the_last_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
