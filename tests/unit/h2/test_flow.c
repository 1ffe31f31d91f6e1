/* Flow control (RFC 9113 sections 5.2 and 6.9): what the peer may send us and when it may send more, what we send and
 * what we wait for. Windows are 65535 and credit goes back when half of one is consumed, unless a test says otherwise.
 */
#include "engine.h"

static const enum fg_h2_role both_roles[] = {FG_H2_SERVER, FG_H2_CLIENT};

static struct engine *new_that_keeps_data(enum fg_h2_role role)
{
    struct engine *e = engine_new(role);
    e->keeps_data = true;
    return e;
}

/* BYTES of DATA in frames as large as they may be. */
static void feed_much_data(struct engine *e, uint32_t id, size_t bytes)
{
    for (; bytes > 16384; bytes -= 16384)
        feed_data(e, id, 16384, false);
    feed_data(e, id, bytes, false);
}

static void credit_goes_back_as_data_is_consumed_not_as_it_comes(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = new_that_keeps_data(both_roles[i]);
        engine_open(e);
        open_stream(e, 1);
        feed_much_data(e, 1, 32768);
        assert_int_equal(watched(e, 1)->received, 32768);
        expect_out(e, "");
        fg_h2_stream_consume(stream_of(e, 1), 32766);
        expect_out(e, "");
        fg_h2_stream_consume(stream_of(e, 1), 1); /* half of both windows */
        expect_out(e, "WINDOW_UPDATE 0 32767\nWINDOW_UPDATE 1 32767\n");
        assert_int_equal(e->conn.recv_window, 65534);
        assert_int_equal(stream_of(e, 1)->recv_window, 65534);
        engine_free(e);
    }
}

static void consuming_more_than_came_gives_no_credit_for_it(void **state)
{
    struct engine *e = new_that_keeps_data(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    open_stream(e, 1);
    feed_data(e, 1, 100, false);
    fg_h2_stream_consume(stream_of(e, 1), 1000000);
    fg_h2_stream_consume(stream_of(e, 1), 1000000);
    expect_out(e, "");
    feed_much_data(e, 1, 32667);
    fg_h2_stream_consume(stream_of(e, 1), 32667);
    expect_out(e, "WINDOW_UPDATE 0 32767\nWINDOW_UPDATE 1 32767\n");
    engine_free(e);
}

static void the_connections_credit_is_the_sum_of_its_streams(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    for (uint32_t id = 1; id <= 5; id += 2)
        open_stream(e, id);
    feed_data(e, 1, 16000, false);
    feed_data(e, 3, 16000, false);
    expect_out(e, "");
    feed_data(e, 5, 767, false);
    expect_out(e, "WINDOW_UPDATE 0 32767\n");
    engine_free(e);
}

static void a_request_that_has_ended_gets_no_credit_but_the_connection_does(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.stream_window = 20000;
    engine_open(e);
    open_stream(e, 1);
    feed_data(e, 1, 10000, false);
    expect_out(e, "WINDOW_UPDATE 1 10000\n");
    feed_data(e, 1, 16384, false);
    expect_out(e, "WINDOW_UPDATE 1 16384\n");
    feed_data(e, 1, 16384, true);
    expect_out(e, "WINDOW_UPDATE 0 42768\n");
    engine_free(e);
}

static void padding_counts_and_is_given_back_at_once(void **state)
{
    uint8_t payload[100] = {98, 'x'}; /* 1 byte of content */
    struct engine *e = new_that_keeps_data(FG_H2_SERVER);
    (void)state;

    e->options.stream_window = 100;
    engine_open(e);
    open_stream(e, 1);
    feed_frame(e, FG_H2_DATA, FG_H2_FLAG_PADDED, 1, payload, sizeof payload);
    assert_int_equal(watched(e, 1)->received, 1);
    expect_out(e, "WINDOW_UPDATE 1 99\n");
    fg_h2_stream_consume(stream_of(e, 1), 1);
    assert_int_equal(e->conn.recv_uncredited, 100);
    engine_free(e);
}

static void data_beyond_the_streams_window_resets_the_stream_alone(void **state)
{
    (void)state;

    for (int i = 0; i < 4; i++) {
        bool in_one_frame = i / 2;
        struct engine *e = new_that_keeps_data(both_roles[i % 2]);
        e->options.stream_window = 1000;
        engine_open(e);
        open_stream(e, 1);
        open_stream(e, 3);
        feed_data(e, 3, 1000, false); /* all of it is allowed */
        if (!in_one_frame)
            feed_data(e, 1, 1000, false);
        expect_out(e, "");
        feed_data(e, 1, in_one_frame ? 1001 : 1, false);
        expect_out(e, "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
        expect_close(e, 1, FG_H2_CLOSED_FAULT, FG_H2_FLOW_CONTROL_ERROR);
        assert_int_equal(watched(e, 1)->received, in_one_frame ? 0 : 1000);
        assert_int_equal(e->conn.recv_uncredited, 1001); /* nobody will consume it */
        assert_int_equal(e->faults[FG_H2_FAULT_STREAM_WINDOW], 1);
        assert_int_equal(watched(e, 3)->closed, 0);
        engine_free(e);
    }
}

static void data_beyond_the_connections_window_ends_the_connection(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = new_that_keeps_data(both_roles[i]);
        e->options.stream_window = 1 << 20;
        engine_open(e);
        open_stream(e, 1);
        open_stream(e, 3);
        feed_much_data(e, 1, 60000);
        feed_much_data(e, 3, 5535);
        expect_out(e, "");
        feed_data(e, 3, 1, false);
        expect_failed(e, FG_H2_FAULT_CONNECTION_WINDOW, i == 0 ? 3 : 0, FG_H2_FLOW_CONTROL_ERROR);
        assert_int_equal(watched(e, 3)->received, 5535);
        engine_free(e);
    }
}

/* Until it has acknowledged less, the peer may go by the RFC's 65535 (section 6.9.2). */
static void a_smaller_window_of_ours_is_in_force_once_it_is_acknowledged(void **state)
{
    struct engine *e = new_that_keeps_data(FG_H2_SERVER);
    (void)state;

    e->options.stream_window = 1000;
    e->options.connection_window = 1 << 20;
    engine_greet(e);
    open_stream(e, 1);
    open_stream(e, 3);
    feed_much_data(e, 1, 65535);
    feed_data(e, 3, 10000, false);
    expect_out(e, "");
    feed_data(e, 1, 1, false);
    expect_out(e, "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
    feed_settings_ack(e);
    feed_settings_ack(e); /* a second one lowers nothing again */
    assert_int_equal(stream_of(e, 3)->recv_window, -9000);
    fg_h2_stream_consume(stream_of(e, 3), 10000);
    expect_out(e, "WINDOW_UPDATE 3 10000\n");
    feed_data(e, 3, 1000, false);
    expect_out(e, "");
    feed_data(e, 3, 1, false);
    expect_out(e, "RST_STREAM 3 FLOW_CONTROL_ERROR\n");
    engine_free(e);
}

static void data_for_a_stream_that_we_reset_is_given_back(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        engine_open(e);
        open_stream(e, 1);
        send_reset(e, 1, FG_H2_CANCEL);
        expect_out(e, "RST_STREAM 1 CANCEL\n");
        feed_much_data(e, 1, 32766);
        expect_out(e, "");
        feed_data(e, 1, 1, true);
        expect_out(e, "WINDOW_UPDATE 0 32767\n");
        assert_int_equal(watched(e, 1)->received, 0);
        engine_free(e);
    }
}

static void what_a_closed_stream_did_not_consume_is_given_back(void **state)
{
    (void)state;

    for (int by_us = 0; by_us <= 1; by_us++) {
        struct engine *e = new_that_keeps_data(FG_H2_SERVER);
        engine_open(e);
        open_stream(e, 1);
        feed_much_data(e, 1, 40000);
        fg_h2_stream_consume(stream_of(e, 1), 10000);
        expect_out(e, "");
        if (by_us)
            send_reset(e, 1, FG_H2_CANCEL);
        else
            feed_reset(e, 1, FG_H2_CANCEL);
        expect_out(e, by_us ? "RST_STREAM 1 CANCEL\nWINDOW_UPDATE 0 40000\n" : "WINDOW_UPDATE 0 40000\n");
        engine_free(e);
    }
}

/* Frames that crossed our RST_STREAM are no offence (RFC 9113 section 5.1), however many streams were reset at once. */
static void data_that_crossed_our_resets_is_dropped_however_many_they_are(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    for (uint32_t id = 1; id <= 2 * (FG_H2_CLOSED_RING + 1); id += 2)
        open_stream(e, id);
    for (uint32_t id = 1; id <= 2 * (FG_H2_CLOSED_RING + 1); id += 2)
        send_reset(e, id, FG_H2_CANCEL);
    skip_out(e);
    feed_data(e, 1, 10, false);
    expect_out(e, "");
    engine_free(e);
}

/* RFC 9113 section 6.9: an empty frame with END_STREAM needs no window. */
static void an_end_may_come_while_the_window_is_negative(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->keeps_data = true;
    e->options.stream_window = 1000;
    engine_greet(e);
    open_stream(e, 1);
    feed_data(e, 1, 2000, false);
    feed_settings_ack(e);
    feed_data(e, 1, 0, true);
    expect_out(e, "");
    assert_true(watched(e, 1)->ended);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credit_goes_back_as_data_is_consumed_not_as_it_comes),
        cmocka_unit_test(consuming_more_than_came_gives_no_credit_for_it),
        cmocka_unit_test(the_connections_credit_is_the_sum_of_its_streams),
        cmocka_unit_test(a_request_that_has_ended_gets_no_credit_but_the_connection_does),
        cmocka_unit_test(padding_counts_and_is_given_back_at_once),
        cmocka_unit_test(data_beyond_the_streams_window_resets_the_stream_alone),
        cmocka_unit_test(data_beyond_the_connections_window_ends_the_connection),
        cmocka_unit_test(a_smaller_window_of_ours_is_in_force_once_it_is_acknowledged),
        cmocka_unit_test(data_for_a_stream_that_we_reset_is_given_back),
        cmocka_unit_test(what_a_closed_stream_did_not_consume_is_given_back),
        cmocka_unit_test(data_that_crossed_our_resets_is_dropped_however_many_they_are),
        cmocka_unit_test(an_end_may_come_while_the_window_is_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
