/* The clocks of a connection, each to the nanosecond: one before it nothing happens, at it something does. */
#include "expect.h"

#define GET "GET / HTTP/1.1\r\nhost: a\r\n\r\n"

static void without_limits_no_timer_runs(void **state)
{
    static const char *const states[] = {"", "\r", "GET", GET,
                                         "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(states); i++) {
        struct engine *e = engine_new(FG_H1_SERVER);
        engine_feed(e, states[i], strlen(states[i]));
        expect_timer(e, FG_NEVER);
        pass(e, 1000000 * FG_S);
        assert_false(fg_h1_conn_is_done(&e->conn));
        finish(e);
    }
}

static void a_head_has_the_header_timeout_from_its_first_byte_on(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    static const char head[] = "GET / HTTP/1.1\r\nhost: a\r\n";
    (void)state;

    e->options.header_timeout_ns = FG_S;
    pass(e, 5 * FG_S);
    expect_timer(e, FG_NEVER);
    for (size_t i = 0; i < sizeof head - 1; i++) { /* slowly: that moves nothing */
        engine_feed(e, head + i, 1);
        expect_timer(e, FG_S - i);
        pass(e, 1);
    }
    pass(e, FG_S - (sizeof head - 1) - 1);
    expect_out(e, "");
    pass(e, 1);
    expect_refused(e, FG_H1_FAULT_HEADER_TIMEOUT, "408 Request Timeout");
    expect_events(e, "");
    expect_timer(e, FG_NEVER);
    finish(e);
}

static void content_has_no_header_timeout(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    (void)state;

    e->options.header_timeout_ns = FG_S;
    FEED(e, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n");
    expect_timer(e, FG_NEVER);
    finish(e);
}

static void a_head_that_is_not_complete_in_time_is_an_error_also_when_the_gateway_drains(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    (void)state;

    e->options.header_timeout_ns = FG_S;
    FEED(e, "GET");
    fg_h1_conn_drain(&e->conn);
    expect_timer(e, FG_S);
    pass(e, FG_S);
    expect_refused(e, FG_H1_FAULT_HEADER_TIMEOUT, "408 Request Timeout");
    finish(e);
}

static void an_idle_connection_closes(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    (void)state;

    e->options.idle_timeout_ns = 10 * FG_S;
    FEED(e, GET);
    expect_timer(e, FG_NEVER); /* a request is in progress */
    pass(e, 60 * FG_S);
    engine_answer(e, ":status: 200\n", true);
    engine_pull(e);
    expect_timer(e, 10 * FG_S);
    pass(e, 10 * FG_S - 1);
    assert_false(fg_h1_conn_is_done(&e->conn));
    FEED(e, "G");
    expect_timer(e, FG_NEVER); /* nor is one idle that sends a head */
    FEED(e, "ET / HTTP/1.1\r\nhost: a\r\n\r\n");
    engine_answer(e, ":status: 200\n", true);
    fg_h1_conn_set_blocked(&e->conn, true, false);
    pass(e, 60 * FG_S);
    expect_timer(e, FG_NEVER); /* nor one that still reads the answer */
    fg_h1_conn_set_blocked(&e->conn, false, true);
    expect_timer(e, 10 * FG_S);
    pass(e, 10 * FG_S);
    assert_true(fg_h1_conn_is_done(&e->conn));
    assert_int_equal(e->conn.fault, FG_H1_FAULT_NONE);
    finish(e);
}

static void a_peer_that_does_not_read_is_left(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    (void)state;

    e->options.write_stall_timeout_ns = 10 * FG_S;
    FEED(e, GET);
    text_clear(&e->events);
    engine_answer(e, ":status: 200\n", false);
    fg_h1_conn_set_blocked(&e->conn, true, false);
    expect_timer(e, 10 * FG_S);
    pass(e, 9 * FG_S);
    fg_h1_conn_set_blocked(&e->conn, true, true); /* it took a little */
    expect_timer(e, 10 * FG_S);
    pass(e, 10 * FG_S - 1);
    assert_false(fg_h1_conn_is_done(&e->conn));
    pass(e, 1);
    expect_events(e, "CLOSE connection: the peer does not read (write_stall_timeout)\n");
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

/* RFC 9112 section 9.6: the client is to see the answer before the connection goes. */
static void an_early_answer_waits_a_second_for_the_rest_of_the_request(void **state)
{
    static const char request[] = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx";
    (void)state;

    for (int comes = 0; comes < 2; comes++) {
        struct engine *e = engine_new(FG_H1_SERVER);
        FEED(e, request);
        engine_answer(e, ":status: 413\n", true);
        fg_h1_stream_reset_after_end(e->stream);
        expect_out(e, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
        expect_timer(e, FG_S);
        pass(e, FG_S - 1);
        assert_null(strstr(engine_events(e), "CLOSE"));
        if (comes)
            FEED(e, "y");
        else
            pass(e, 1);
        assert_non_null(strstr(engine_events(e), "CLOSE complete\n"));
        assert_int_equal(fg_h1_conn_is_done(&e->conn), !comes);
        expect_timer(e, FG_NEVER);
        finish(e);
    }
}

static void time_at_a_full_socket_is_that_of_the_content_that_waits(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    uint64_t stall_ns[FG_WAIT_LEN] = {0};
    (void)state;

    FEED(e, GET);
    engine_answer(e, ":status: 200\n", false);
    engine_pull(e);
    fg_h1_conn_set_blocked(&e->conn, true, false);
    pass(e, 3 * FG_S); /* nothing to send: nobody waits */
    assert_int_equal(fg_h1_stream_wait(e->stream).cause, FG_WAIT_NONE);
    engine_content(e, "x", false);
    pass(e, 2 * FG_S);
    assert_int_equal(fg_h1_stream_wait(e->stream).cause, FG_WAIT_SOCKET);
    fg_h1_conn_set_blocked(&e->conn, false, true);
    pass(e, 5 * FG_S);
    fg_h1_stream_add_stalls(e->stream, stall_ns);
    assert_int_equal(stall_ns[FG_WAIT_SOCKET], 2 * FG_S);
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_no_timer_runs),
        cmocka_unit_test(a_head_has_the_header_timeout_from_its_first_byte_on),
        cmocka_unit_test(content_has_no_header_timeout),
        cmocka_unit_test(a_head_that_is_not_complete_in_time_is_an_error_also_when_the_gateway_drains),
        cmocka_unit_test(an_idle_connection_closes),
        cmocka_unit_test(a_peer_that_does_not_read_is_left),
        cmocka_unit_test(an_early_answer_waits_a_second_for_the_rest_of_the_request),
        cmocka_unit_test(time_at_a_full_socket_is_that_of_the_content_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
