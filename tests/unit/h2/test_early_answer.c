/* A whole answer to a request that is still being sent (RFC 9113 section 8.1): the peer has a second to stop by itself.
 */
#include "engine.h"

/* Stream 1 is answered; its request goes on. */
static struct engine *answer_early(void)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    engine_open(e);
    open_stream(e, 1);
    send_response(e, 1, true);
    fg_h2_stream_reset_after_end(stream_of(e, 1), FG_H2_NO_ERROR);
    expect_out(e, "HEADERS 1 end 88\n");
    expect_timer(e, FG_S);
    return e;
}

static void a_second_after_an_early_answer_the_request_is_reset(void **state)
{
    struct engine *e = answer_early();
    (void)state;

    pass(e, FG_S - 1);
    feed_data(e, 1, 100, false); /* still checked, and the user's to throw away */
    assert_int_equal(watched(e, 1)->received, 100);
    expect_out(e, "");
    pass(e, 1);
    expect_out(e, "RST_STREAM 1 NO_ERROR\n");
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    expect_timer(e, FG_NEVER);
    feed_data(e, 1, 16384, false); /* crossed our reset; the connection gets its window back */
    feed_data(e, 1, 16384, true);
    assert_int_equal(watched(e, 1)->received, 100);
    expect_out(e, "WINDOW_UPDATE 0 32868\n");
    assert_int_equal(e->conn.resets_seen, 0);
    engine_free(e);
}

static void a_request_that_ends_within_the_second_is_not_reset(void **state)
{
    struct engine *e = answer_early();
    (void)state;

    pass(e, FG_S - 1);
    feed_data(e, 1, 100, true);
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    expect_timer(e, FG_NEVER);
    pass(e, FG_S);
    expect_out(e, "");
    engine_free(e);
}

static void a_client_that_resets_after_an_early_answer_was_served(void **state)
{
    struct engine *e = answer_early();
    (void)state;

    feed_reset(e, 1, FG_H2_CANCEL);
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_CANCEL);
    assert_int_equal(e->conn.resets_seen, 0);
    expect_timer(e, FG_NEVER);
    expect_out(e, "");
    engine_free(e);
}

static void what_breaks_a_rule_after_an_early_answer_is_a_fault(void **state)
{
    struct engine *e = answer_early();
    (void)state;

    feed_window(e, 1, 0);
    expect_out(e, "RST_STREAM 1 PROTOCOL_ERROR\n");
    expect_close(e, 1, FG_H2_CLOSED_FAULT, FG_H2_PROTOCOL_ERROR);
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

static void the_second_begins_when_all_of_the_answer_was_sent(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_setting(e, FG_H2_SETTING_INITIAL_WINDOW_SIZE, 10);
    open_stream(e, 1);
    send_response(e, 1, false);
    send_data(e, 1, 20, true);
    fg_h2_stream_reset_after_end(stream_of(e, 1), FG_H2_CANCEL);
    expect_out(e, "HEADERS 1 88\nDATA 1 10\n");
    expect_timer(e, FG_NEVER);
    pass(e, 60 * FG_S);
    feed_window(e, 1, 10);
    expect_out(e, "DATA 1 end 10\n");
    expect_timer(e, FG_S);
    pass(e, FG_S);
    expect_out(e, "RST_STREAM 1 CANCEL\n");
    engine_free(e);
}

static void an_answer_to_a_request_that_has_ended_needs_no_reset(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    fg_h2_stream_reset_after_end(stream_of(e, 1), FG_H2_NO_ERROR);
    send_response(e, 1, true);
    expect_out(e, "HEADERS 1 end 88\n");
    expect_close(e, 1, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    expect_timer(e, FG_NEVER);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_after_an_early_answer_the_request_is_reset),
        cmocka_unit_test(a_request_that_ends_within_the_second_is_not_reset),
        cmocka_unit_test(a_client_that_resets_after_an_early_answer_was_served),
        cmocka_unit_test(what_breaks_a_rule_after_an_early_answer_is_a_fault),
        cmocka_unit_test(the_second_begins_when_all_of_the_answer_was_sent),
        cmocka_unit_test(an_answer_to_a_request_that_has_ended_needs_no_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
