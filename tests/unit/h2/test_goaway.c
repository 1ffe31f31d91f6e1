/* GOAWAY both ways: the graceful shutdown in two steps, what the peer's GOAWAY does, and the ends that are not
 * graceful. */
#include "engine.h"

#define FIRST_GOAWAY "GOAWAY last=2147483647 NO_ERROR: shutting down\nPING \"fusedran\"\n"

/* ---- we drain ---- */

static void drain_is_two_goaways_with_a_round_trip_between(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    feed_request(e, 3, true); /* it was on its way */
    assert_int_equal(watched(e, 3)->headers, 1);
    expect_out(e, "");
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran");
    expect_out(e, "GOAWAY last=3 NO_ERROR: shutting down\n");
    feed_request(e, 5, true);
    assert_int_equal(watched(e, 5)->headers, 0);
    expect_out(e, "RST_STREAM 5 REFUSED_STREAM\n");
    assert_int_equal(e->faults[FG_H2_FAULT_DRAINING], 1);
    assert_false(fg_h2_conn_is_done(&e->conn));
    send_response(e, 1, true);
    expect_out(e, "HEADERS 1 end 88\n");
    assert_false(fg_h2_conn_is_done(&e->conn));
    send_response(e, 3, true);
    expect_out(e, "HEADERS 3 end 88\n");
    assert_true(fg_h2_conn_is_done(&e->conn));
    expect_close(e, 3, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    engine_free(e);
}

static void a_peer_that_answers_no_ping_gets_the_second_goaway_after_a_second(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    expect_timer(e, FG_S);
    pass(e, FG_S - 1);
    expect_out(e, "");
    pass(e, 1);
    expect_out(e, "GOAWAY last=1 NO_ERROR: shutting down\n");
    expect_timer(e, FG_NEVER);
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran"); /* too late to matter */
    expect_out(e, "");
    assert_false(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

static void a_drain_without_streams_is_done_after_the_second_goaway(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    assert_false(fg_h2_conn_is_done(&e->conn));
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran");
    expect_out(e, "GOAWAY last=0 NO_ERROR: shutting down\n");
    assert_true(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

static void draining_twice_is_draining_once(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    fg_h2_conn_drain(&e->conn);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran");
    fg_h2_conn_drain(&e->conn);
    expect_out(e, "GOAWAY last=0 NO_ERROR: shutting down\n");
    engine_free(e);
}

static void the_answer_to_another_ping_does_not_finish_a_drain(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    feed_ping(e, FG_H2_FLAG_ACK, "abcdefgh");
    feed_ping(e, 0, "fusedran");
    expect_out(e, "PING ack \"fusedran\"\n");
    engine_free(e);
}

/* A block of a refused stream is decoded, or the tables are out of step (RFC 9113 section 4.3). */
static void blocks_of_streams_refused_by_a_drain_are_decoded(void **state)
{
    static const uint8_t inserts[] = {0x82, 0x86, 0x84, 0x40, 1, 'x', 1, 'y'}, refers[] = {0xbe};
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, false);
    fg_h2_conn_drain(&e->conn);
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran");
    skip_out(e);
    feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_HEADERS | FG_H2_FLAG_END_STREAM, 3, inserts, sizeof inserts);
    expect_out(e, "RST_STREAM 3 REFUSED_STREAM\n");
    feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_HEADERS | FG_H2_FLAG_END_STREAM, 1, refers, sizeof refers);
    assert_int_equal(watched(e, 1)->flags, FG_H2_TRAILERS | FG_H2_END_STREAM);
    expect_alive(e);
    engine_free(e);
}

/* Nothing of the peer can cross our GOAWAY: it opens no streams. */
static void a_client_drains_in_one_step(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    send_request(e, true);
    skip_out(e);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 99);
    fg_h2_conn_drain(&e->conn);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    expect_out(e, "GOAWAY last=0 NO_ERROR: shutting down\n");
    assert_false(fg_h2_conn_is_done(&e->conn));
    feed_response(e, 1, true);
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    assert_true(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

/* ---- the peer's GOAWAY ---- */

static void streams_above_the_last_id_were_never_processed_and_the_others_go_on(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    for (int i = 0; i < 4; i++)
        send_request(e, true);
    skip_out(e);
    unsigned slots_told = e->slots_told;
    feed_goaway(e, 3, FG_H2_ENHANCE_YOUR_CALM);
    expect_close(e, 5, FG_H2_CLOSED_GOAWAY, FG_H2_ENHANCE_YOUR_CALM);
    expect_close(e, 7, FG_H2_CLOSED_GOAWAY, FG_H2_ENHANCE_YOUR_CALM);
    assert_true(e->slots_told > slots_told);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    assert_false(fg_h2_conn_is_done(&e->conn));
    feed_response(e, 3, true);
    expect_close(e, 3, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    assert_false(fg_h2_conn_is_done(&e->conn));
    feed_response(e, 1, false);
    feed_data(e, 1, 10, true);
    assert_int_equal(watched(e, 1)->received, 10);
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    assert_true(fg_h2_conn_is_done(&e->conn));
    expect_out(e, "");
    engine_free(e);
}

static void two_goaways_close_what_each_names(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    for (int i = 0; i < 3; i++)
        send_request(e, true);
    skip_out(e);
    feed_goaway(e, FG_H2_MAX_STREAM_ID, FG_H2_NO_ERROR); /* RFC 9113 section 6.8: a warning */
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    for (uint32_t id = 1; id <= 5; id += 2)
        assert_int_equal(watched(e, id)->closed, 0);
    feed_goaway(e, 1, FG_H2_NO_ERROR);
    assert_int_equal(watched(e, 1)->closed, 0);
    expect_close(e, 3, FG_H2_CLOSED_GOAWAY, FG_H2_NO_ERROR);
    expect_close(e, 5, FG_H2_CLOSED_GOAWAY, FG_H2_NO_ERROR);
    feed_goaway(e, 0, FG_H2_INTERNAL_ERROR);
    expect_close(e, 1, FG_H2_CLOSED_GOAWAY, FG_H2_INTERNAL_ERROR);
    assert_true(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

/* The last id of a client's GOAWAY is about pushed streams, which do not exist. */
static void a_clients_goaway_lets_its_streams_finish(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    unsigned told = e->outputs_told;
    feed_goaway(e, 0, FG_H2_NO_ERROR);
    assert_true(e->outputs_told > told); /* the owner looks whether it is done */
    assert_int_equal(watched(e, 1)->closed, 0);
    assert_false(fg_h2_conn_is_done(&e->conn));
    send_response(e, 1, true);
    expect_out(e, "HEADERS 1 end 88\n");
    assert_true(fg_h2_conn_is_done(&e->conn));
    engine_free(e);
}

static void a_connection_lost_after_goaway_names_its_code(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    send_request(e, true);
    skip_out(e);
    feed_goaway(e, 1, FG_H2_INTERNAL_ERROR);
    fg_h2_conn_lost(&e->conn, "gone");
    expect_close(e, 1, FG_H2_CLOSED_CONNECTION, FG_H2_INTERNAL_ERROR);
    assert_string_equal(watched(e, 1)->close.reason, "gone");
    fg_h2_conn_lost(&e->conn, "gone again");
    assert_int_equal(watched(e, 1)->closed, 1);
    expect_out(e, "");
    engine_free(e);
}

static void a_client_has_no_slot_before_the_settings_of_the_endpoint(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_begin(e);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    feed_frame(e, FG_H2_SETTINGS, 0, 0, NULL, 0);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 100);
    assert_true(e->slots_told > 0);
    engine_free(e);
}

static void stream_ids_run_out(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    e->conn.next_id = FG_H2_MAX_STREAM_ID;
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 100);
    assert_int_equal(send_request(e, true), FG_H2_MAX_STREAM_ID);
    assert_int_equal(fg_h2_conn_free_slots(&e->conn), 0);
    expect_out(e, "HEADERS 2147483647 end 828684\n");
    engine_free(e);
}

/* ---- the end at once ---- */

static void a_fault_ends_all_streams_and_says_goaway_once(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    feed_request(e, 3, false);
    fg_h2_conn_fail(&e->conn, FG_H2_FAULT_WRITE_STALL);
    fg_h2_conn_fail(&e->conn, FG_H2_FAULT_PING_FLOOD);
    expect_close(e, 1, FG_H2_CLOSED_CONNECTION, FG_H2_ENHANCE_YOUR_CALM);
    expect_close(e, 3, FG_H2_CLOSED_CONNECTION, FG_H2_ENHANCE_YOUR_CALM);
    expect_failed(e, FG_H2_FAULT_WRITE_STALL, 3, FG_H2_ENHANCE_YOUR_CALM);
    assert_int_equal(e->faults[FG_H2_FAULT_PING_FLOOD], 0);
    feed_request(e, 5, true); /* what still comes is thrown away */
    feed_ping(e, 0, "abcdefgh");
    assert_int_equal(watched(e, 5)->headers, 0);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, "");
    engine_free(e);
}

static void a_fault_during_a_drain_is_the_last_word(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    fg_h2_conn_drain(&e->conn);
    expect_out(e, FIRST_GOAWAY);
    feed_window(e, 0, 0);
    expect_failed(e, FG_H2_FAULT_WINDOW_ZERO, 1, FG_H2_PROTOCOL_ERROR);
    pass(e, FG_S); /* no second GOAWAY of the drain */
    expect_out(e, "");
    engine_free(e);
}

static void reset_its_neighbour(struct engine *e, uint32_t id)
{
    if (id == 1)
        send_reset(e, 3, FG_H2_CANCEL);
}

static void on_close_may_reset_other_streams_of_a_goaway(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    engine_open(e);
    for (int i = 0; i < 3; i++)
        send_request(e, true);
    skip_out(e);
    e->on_close = reset_its_neighbour;
    feed_goaway(e, 0, FG_H2_NO_ERROR);
    expect_close(e, 1, FG_H2_CLOSED_GOAWAY, FG_H2_NO_ERROR);
    assert_int_equal(watched(e, 3)->closed, 0);
    expect_close(e, 5, FG_H2_CLOSED_GOAWAY, FG_H2_NO_ERROR);
    engine_free(e);
}

/* RFC 9113 section 6.8: the last id must not grow. */
static void a_goaway_after_a_drain_names_no_higher_stream(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    fg_h2_conn_drain(&e->conn);
    feed_ping(e, FG_H2_FLAG_ACK, "fusedran");
    feed_request(e, 3, true); /* refused */
    skip_out(e);
    feed_window(e, 0, 0);
    expect_failed(e, FG_H2_FAULT_WINDOW_ZERO, 1, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_is_two_goaways_with_a_round_trip_between),
        cmocka_unit_test(a_peer_that_answers_no_ping_gets_the_second_goaway_after_a_second),
        cmocka_unit_test(a_drain_without_streams_is_done_after_the_second_goaway),
        cmocka_unit_test(draining_twice_is_draining_once),
        cmocka_unit_test(the_answer_to_another_ping_does_not_finish_a_drain),
        cmocka_unit_test(blocks_of_streams_refused_by_a_drain_are_decoded),
        cmocka_unit_test(a_client_drains_in_one_step),
        cmocka_unit_test(streams_above_the_last_id_were_never_processed_and_the_others_go_on),
        cmocka_unit_test(two_goaways_close_what_each_names),
        cmocka_unit_test(a_clients_goaway_lets_its_streams_finish),
        cmocka_unit_test(a_connection_lost_after_goaway_names_its_code),
        cmocka_unit_test(a_client_has_no_slot_before_the_settings_of_the_endpoint),
        cmocka_unit_test(stream_ids_run_out),
        cmocka_unit_test(a_fault_ends_all_streams_and_says_goaway_once),
        cmocka_unit_test(a_fault_during_a_drain_is_the_last_word),
        cmocka_unit_test(on_close_may_reset_other_streams_of_a_goaway),
        cmocka_unit_test(a_goaway_after_a_drain_names_no_higher_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
