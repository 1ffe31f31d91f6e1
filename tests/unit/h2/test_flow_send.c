/* Flow control (RFC 9113 sections 5.2 and 6.9), what we may send: windows used up, opened, made negative and overrun.
 */
#include "engine.h"

static const enum fg_h2_role both_roles[] = {FG_H2_SERVER, FG_H2_CLIENT};

/* Stream 1 with an answer's headers out, and the peer's initial window. */
static struct engine *new_with_window(uint32_t window)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, window);
    feed_request(e, 1, true);
    send_response(e, 1, false);
    skip_out(e);
    return e;
}

static void a_stream_sends_what_its_window_allows(void **state)
{
    struct engine *e = new_with_window(1000);
    (void)state;

    send_data(e, 1, 2500, true);
    expect_out(e, "DATA 1 1000\n");
    assert_int_equal(fg_h2_stream_queued(stream_of(e, 1)), 1500);
    feed_window(e, 1, 0x80000001); /* the first bit means nothing */
    expect_out(e, "DATA 1 1\n");
    feed_window(e, 1, 5000);
    expect_out(e, "DATA 1 end 1499\n");
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    engine_free(e);
}

static void the_connections_window_is_shared(void **state)
{
    struct engine *e = new_with_window(1 << 20);
    (void)state;

    open_stream(e, 3);
    send_data(e, 1, 40000, true);
    send_data(e, 3, 40000, false);
    expect_out(e, "DATA 1 16384\nDATA 3 16384\nDATA 1 16384\nDATA 3 16383\n");
    assert_int_equal(e->conn.send_window, 0);
    feed_window(e, 3, 1000); /* not what it waits for */
    expect_out(e, "");
    feed_window(e, 0, 14465);
    expect_out(e, "DATA 3 7233\nDATA 1 end 7232\n");
    engine_free(e);
}

/* Larger ones would only make urgent frames wait longer. */
static void frames_stay_at_16384_whatever_the_peer_takes(void **state)
{
    struct engine *e = new_with_window(1 << 20);
    (void)state;

    feed_setting(e, FG_H2_SETTING_MAX_FRAME_SIZE, 1 << 20);
    expect_out(e, "SETTINGS ack\n");
    send_data(e, 1, 16385, true);
    expect_out(e, "DATA 1 16384\nDATA 1 end 1\n");
    engine_free(e);
}

static void an_end_needs_no_window(void **state)
{
    struct engine *e = new_with_window(0);
    (void)state;

    send_data(e, 1, 0, true);
    expect_out(e, "DATA 1 end 0\n");
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    engine_free(e);
}

static void trailers_wait_behind_data_and_then_need_no_window(void **state)
{
    struct engine *e = new_with_window(10);
    (void)state;

    send_data(e, 1, 20, false);
    send_trailers(e, 1);
    expect_out(e, "DATA 1 10\n");
    feed_window(e, 1, 10);
    expect_out(e, "DATA 1 10\nHEADERS 1 end 000b677270632d7374617475730130\n");
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    engine_free(e);
}

/* ---- the peer changes its mind ---- */

static void a_higher_initial_window_lets_all_streams_go_on(void **state)
{
    struct engine *e = new_with_window(0);
    (void)state;

    open_stream(e, 3);
    send_data(e, 1, 100, true);
    send_data(e, 3, 30, true);
    expect_out(e, "");
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 50);
    expect_out(e, "SETTINGS ack\nDATA 1 50\nDATA 3 end 30\n");
    engine_free(e);
}

static void a_window_made_negative_must_be_paid_back_first(void **state)
{
    struct engine *e = new_with_window(50);
    (void)state;

    send_data(e, 1, 100, true);
    expect_out(e, "DATA 1 50\n");
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 10);
    assert_int_equal(stream_of(e, 1)->send_window, -40);
    feed_window(e, 1, 40);
    expect_out(e, "SETTINGS ack\n");
    feed_window(e, 1, 1);
    expect_out(e, "DATA 1 1\n");
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0);
    assert_int_equal(stream_of(e, 1)->send_window, -10);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 30);
    expect_out(e, "SETTINGS ack\nSETTINGS ack\nDATA 1 20\n");
    engine_free(e);
}

static void a_stream_that_may_send_is_stopped_by_a_lower_window(void **state)
{
    struct engine *e = new_with_window(50);
    (void)state;

    send_data(e, 1, 100, true); /* queued, not pulled yet */
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 0);
    expect_out(e, "SETTINGS ack\n");
    assert_int_equal(fg_h2_stream_wait(stream_of(e, 1)).cause, FG_WAIT_STREAM_WINDOW);
    engine_free(e);
}

/* ---- windows over 2^31-1, and increments of 0 ---- */

static void the_connections_window_ends_at_2_to_the_31_less_1(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_window(e, 0, FG_H2_MAX_WINDOW - 65535);
    expect_out(e, "");
    feed_window(e, 0, 1);
    expect_failed(e, FG_H2_FAULT_WINDOW_OVERFLOW, 0, FG_H2_FLOW_CONTROL_ERROR);
    engine_free(e);
}

static void a_streams_window_ends_there_too_and_it_alone(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        engine_open(e);
        open_stream(e, 1);
        feed_window(e, 1, FG_H2_MAX_WINDOW - 65535);
        expect_out(e, "");
        feed_window(e, 1, 1);
        expect_out(e, "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
        expect_close(e, 1, FG_H2_CLOSED_FAULT, FG_H2_FLOW_CONTROL_ERROR);
        engine_free(e);
    }
}

static void settings_that_would_overflow_a_streams_window_end_the_connection(void **state)
{
    struct engine *e = new_with_window(100);
    (void)state;

    feed_window(e, 1, 1);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, FG_H2_MAX_WINDOW - 1);
    expect_out(e, "SETTINGS ack\n");
    assert_int_equal(stream_of(e, 1)->send_window, FG_H2_MAX_WINDOW);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, FG_H2_MAX_WINDOW);
    expect_failed(e, FG_H2_FAULT_SETTINGS_WINDOW, 1, FG_H2_FLOW_CONTROL_ERROR);
    engine_free(e);
}

static void an_increment_of_nothing_is_an_error_where_it_is(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    open_stream(e, 1);
    feed_window(e, 1, 0);
    expect_out(e, "RST_STREAM 1 PROTOCOL_ERROR\n");
    expect_close(e, 1, FG_H2_CLOSED_FAULT, FG_H2_PROTOCOL_ERROR);
    feed_window(e, 0, 0);
    expect_failed(e, FG_H2_FAULT_WINDOW_ZERO, 1, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

static void window_for_a_stream_that_is_gone_is_ignored_and_for_an_idle_one_is_not(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    open_stream(e, 1);
    feed_reset(e, 1, FG_H2_CANCEL);
    feed_window(e, 1, 100);
    expect_out(e, "");
    feed_window(e, 3, 100);
    expect_failed(e, FG_H2_FAULT_IDLE_STREAM, 1, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

/* ---- what sending waits for, and for how long ---- */

static void expect_stalls(struct engine *e, uint64_t stream_ns, uint64_t connection_ns, uint64_t socket_ns)
{
    uint64_t stall_ns[FG_WAIT_LEN] = {0};

    fg_h2_stream_add_stalls(stream_of(e, 1), stall_ns);
    assert_int_equal(stall_ns[FG_WAIT_STREAM_WINDOW], stream_ns);
    assert_int_equal(stall_ns[FG_WAIT_CONNECTION_WINDOW], connection_ns);
    assert_int_equal(stall_ns[FG_WAIT_SOCKET], socket_ns);
}

static void expect_wait(struct engine *e, enum fg_wait_cause cause, uint64_t since_ns)
{
    struct fg_wait wait = fg_h2_stream_wait(stream_of(e, 1));
    assert_int_equal(wait.cause, cause);
    assert_int_equal(wait.since_ns, since_ns);
}

static void waiting_is_told_by_cause(void **state)
{
    struct engine *e = new_with_window(65530);
    uint64_t start_ns = e->now_ns;
    (void)state;

    expect_wait(e, FG_WAIT_NONE, 0);
    send_data(e, 1, 65530 + 10, false);
    expect_wait(e, FG_WAIT_SOCKET, start_ns);
    pass(e, FG_S);
    skip_out(e);
    expect_wait(e, FG_WAIT_STREAM_WINDOW, start_ns + FG_S);
    expect_stalls(e, 0, 0, FG_S);
    pass(e, 2 * FG_S);
    feed_window(e, 1, 1000);
    expect_out(e, "DATA 1 5\n"); /* the connection's window is at its end */
    expect_stalls(e, 2 * FG_S, 0, FG_S);
    expect_wait(e, FG_WAIT_CONNECTION_WINDOW, start_ns + 3 * FG_S);
    pass(e, 4 * FG_S);
    feed_window(e, 0, 1000);
    expect_out(e, "DATA 1 5\n");
    expect_stalls(e, 2 * FG_S, 4 * FG_S, FG_S);
    expect_wait(e, FG_WAIT_NONE, 0);
    engine_free(e);
}

static void a_long_wait_for_the_connections_window_names_who_holds_it(void **state)
{
    struct engine *e = new_with_window(1 << 20);
    (void)state;

    open_stream(e, 3);
    open_stream(e, 5);
    send_data(e, 1, 20000, false);
    send_data(e, 3, 50000, false);
    skip_out(e); /* 65535 bytes of both; 3 has more */
    send_data(e, 5, 100, true);
    expect_out(e, "");
    pass(e, FG_LONG_WAIT_NS - 1);
    const struct fg_wait_holders *now = fg_h2_conn_holders(&e->conn);
    assert_int_equal(now->len, 2);
    assert_int_equal(now->top[0].stream, 3);
    assert_int_equal(now->top[0].bytes, 45535);
    assert_int_equal(now->top[1].stream, 1);
    assert_int_equal(now->top[1].bytes, 20000);
    assert_int_equal(e->waits.told, 0);
    pass(e, 1);
    feed_window(e, 3, 45535); /* at last it reads */
    feed_window(e, 0, 45535);
    expect_out(e, "DATA 3 4465\nDATA 5 end 100\n");
    assert_int_equal(e->waits.told, 2);
    assert_int_equal(e->waits.waited.cause, FG_WAIT_CONNECTION_WINDOW);
    assert_int_equal(e->waits.waited.until_ns - e->waits.waited.since_ns, FG_LONG_WAIT_NS);
    assert_int_equal(e->waits.holders.len, 2);
    assert_int_equal(e->waits.holders.top[0].stream, 3);
    assert_int_equal(e->waits.holders.top[0].bytes, 45535);
    assert_null(fg_h2_conn_holders(&e->conn));
    engine_free(e);
}

static void window_of_streams_that_are_gone_is_held_by_nobody(void **state)
{
    struct engine *e = new_with_window(1 << 20);
    (void)state;

    open_stream(e, 3);
    send_data(e, 1, 65535, false);
    skip_out(e);
    feed_reset(e, 1, FG_H2_CANCEL);
    send_data(e, 3, 10, false);
    expect_out(e, "");
    const struct fg_wait_holders *now = fg_h2_conn_holders(&e->conn);
    assert_int_equal(now->len, 0);
    assert_int_equal(now->gone_bytes, 65535);
    engine_free(e);
}

static void what_a_stream_waits_for_when_it_ends_counts(void **state)
{
    struct engine *e = new_with_window(1000);
    (void)state;

    send_data(e, 1, 1001, false);
    skip_out(e);
    pass(e, FG_S);
    feed_reset(e, 1, FG_H2_CANCEL);
    expect_close(e, 1, FG_H2_CLOSED_PEER_RESET, FG_H2_CANCEL);
    assert_int_equal(e->waits.told, 1);
    assert_int_equal(e->waits.stream, 1);
    assert_int_equal(e->waits.waited.cause, FG_WAIT_STREAM_WINDOW);
    assert_int_equal(e->waits.waited.until_ns - e->waits.waited.since_ns, FG_S);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_wait_for_the_connections_window_names_who_holds_it),
        cmocka_unit_test(window_of_streams_that_are_gone_is_held_by_nobody),
        cmocka_unit_test(what_a_stream_waits_for_when_it_ends_counts),
        cmocka_unit_test(a_stream_sends_what_its_window_allows),
        cmocka_unit_test(the_connections_window_is_shared),
        cmocka_unit_test(frames_stay_at_16384_whatever_the_peer_takes),
        cmocka_unit_test(an_end_needs_no_window),
        cmocka_unit_test(trailers_wait_behind_data_and_then_need_no_window),
        cmocka_unit_test(a_higher_initial_window_lets_all_streams_go_on),
        cmocka_unit_test(a_window_made_negative_must_be_paid_back_first),
        cmocka_unit_test(a_stream_that_may_send_is_stopped_by_a_lower_window),
        cmocka_unit_test(the_connections_window_ends_at_2_to_the_31_less_1),
        cmocka_unit_test(a_streams_window_ends_there_too_and_it_alone),
        cmocka_unit_test(settings_that_would_overflow_a_streams_window_end_the_connection),
        cmocka_unit_test(an_increment_of_nothing_is_an_error_where_it_is),
        cmocka_unit_test(window_for_a_stream_that_is_gone_is_ignored_and_for_an_idle_one_is_not),
        cmocka_unit_test(waiting_is_told_by_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
