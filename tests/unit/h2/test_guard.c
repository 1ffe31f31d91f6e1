/* The limits on abuse, each at its boundary: the last one that passes, the first that does not, and how the budget
 * comes back. */
#include "engine.h"

#define PING "abcdefgh"

static void open_and_reset(struct engine *e, uint32_t id)
{
    feed_request(e, id, false);
    feed_reset(e, id, FG_H2_CANCEL);
}

/* A call that goes well. */
static void complete(struct engine *e, uint32_t id)
{
    feed_request(e, id, true);
    send_response(e, id, true);
    expect_close(e, id, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
    skip_out(e);
}

static struct engine *new_with_resets(enum fg_h2_role role, uint32_t burst, uint32_t rate)
{
    struct engine *e = engine_new(role);
    e->options.reset_burst = burst;
    e->options.reset_rate = rate;
    return e;
}

/* ---- resets ---- */

static void a_burst_of_resets_passes_and_one_more_ends_the_connection(void **state)
{
    struct engine *e = new_with_resets(FG_H2_SERVER, 3, 10);
    (void)state;

    engine_open(e);
    for (uint32_t id = 1; id <= 5; id += 2)
        open_and_reset(e, id);
    expect_close(e, 5, FG_H2_CLOSED_PEER_RESET, FG_H2_CANCEL);
    expect_out(e, "");
    open_and_reset(e, 7);
    expect_failed(e, FG_H2_FAULT_RESET_FLOOD, 7, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void a_reset_is_allowed_again_when_its_interval_is_over(void **state)
{
    (void)state;

    for (int early = 0; early <= 1; early++) {
        struct engine *e = new_with_resets(FG_H2_SERVER, 3, 10);
        engine_open(e);
        for (uint32_t id = 1; id <= 5; id += 2)
            open_and_reset(e, id);
        pass(e, 100 * FG_MS - (uint64_t)early);
        open_and_reset(e, 7);
        if (!early) {
            expect_alive(e);
            open_and_reset(e, 9); /* it was one token, not more */
        }
        expect_failed(e, FG_H2_FAULT_RESET_FLOOD, early ? 7 : 9, FG_H2_ENHANCE_YOUR_CALM);
        engine_free(e);
    }
}

static void the_burst_is_whole_again_after_all_intervals_and_does_not_grow(void **state)
{
    struct engine *e = new_with_resets(FG_H2_SERVER, 3, 10);
    uint32_t id = 1;
    (void)state;

    engine_open(e);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++, id += 2)
            open_and_reset(e, id);
        expect_out(e, "");
        pass(e, round == 1 ? 3600 * FG_S : 300 * FG_MS);
    }
    for (int i = 0; i < 3; i++, id += 2)
        open_and_reset(e, id);
    expect_alive(e);
    open_and_reset(e, id);
    expect_failed(e, FG_H2_FAULT_RESET_FLOOD, id, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void the_products_burst_is_1000_and_then_33_a_second(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    uint32_t id = 1;
    (void)state;

    e->options.reset_ratio = 1;
    engine_open(e);
    for (int i = 0; i < 1000; i++, id += 2) {
        open_and_reset(e, id);
        if (i % 100 == 0)
            skip_out(e);
    }
    expect_alive(e);
    pass(e, FG_S / 33);
    open_and_reset(e, id);
    expect_alive(e);
    open_and_reset(e, id + 2);
    expect_failed(e, FG_H2_FAULT_RESET_FLOOD, id + 2, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void an_endpoints_resets_are_counted_too(void **state)
{
    struct engine *e = new_with_resets(FG_H2_CLIENT, 2, 10);
    (void)state;

    engine_open(e);
    for (int i = 0; i < 3; i++)
        send_request(e, true);
    skip_out(e);
    feed_reset(e, 1, FG_H2_REFUSED_STREAM);
    feed_reset(e, 3, FG_H2_REFUSED_STREAM);
    expect_close(e, 3, FG_H2_CLOSED_PEER_RESET, FG_H2_REFUSED_STREAM);
    expect_out(e, "");
    feed_reset(e, 5, FG_H2_REFUSED_STREAM);
    expect_failed(e, FG_H2_FAULT_RESET_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* MadeYouReset (CVE-2025-8671). */
static void resets_that_the_peer_makes_us_send_share_the_budget(void **state)
{
    struct engine *e = new_with_resets(FG_H2_SERVER, 3, 10);
    (void)state;

    engine_open(e);
    open_and_reset(e, 1);
    for (uint32_t id = 3; id <= 5; id += 2) {
        feed_request(e, id, false);
        feed_window(e, id, 0);
    }
    expect_out(e, "RST_STREAM 3 PROTOCOL_ERROR\nRST_STREAM 5 PROTOCOL_ERROR\n");
    feed_request(e, 7, false);
    feed_window(e, 7, 0);
    expect_failed_after(e, "RST_STREAM 7 PROTOCOL_ERROR\n", FG_H2_FAULT_RESET_FLOOD, 7, FG_H2_ENHANCE_YOUR_CALM);
    expect_close(e, 7, FG_H2_CLOSED_FAULT, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

static void a_reset_after_the_whole_answer_is_no_offence(void **state)
{
    struct engine *e = new_with_resets(FG_H2_SERVER, 1, 1);
    (void)state;

    engine_open(e);
    for (uint32_t id = 1; id <= 9; id += 2) {
        feed_request(e, id, false);
        send_response(e, id, true);
        skip_out(e);
        feed_reset(e, id, FG_H2_CANCEL);
        expect_close(e, id, FG_H2_CLOSED_COMPLETE, FG_H2_CANCEL);
    }
    expect_out(e, "");
    engine_free(e);
}

static void a_reset_of_a_request_that_has_ended_is_one(void **state)
{
    struct engine *e = new_with_resets(FG_H2_SERVER, 1, 1);
    (void)state;

    engine_open(e);
    feed_request(e, 1, true);
    send_response(e, 1, false);
    skip_out(e);
    feed_reset(e, 1, FG_H2_CANCEL);
    expect_close(e, 1, FG_H2_CLOSED_PEER_RESET, FG_H2_CANCEL);
    expect_out(e, "");
    complete(e, 3);
    feed_reset(e, 3, FG_H2_CANCEL); /* as is one of a stream that is gone */
    expect_failed(e, FG_H2_FAULT_RESET_FLOOD, 3, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* ---- the share of streams that are reset ---- */

static void half_of_the_streams_may_be_reset_and_not_one_more(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.reset_ratio_minimum = 10;
    engine_open(e);
    for (uint32_t id = 1; id <= 9; id += 2)
        complete(e, id);
    for (uint32_t id = 11; id <= 19; id += 2)
        open_and_reset(e, id);
    expect_out(e, ""); /* 5 of 10 */
    complete(e, 21);
    open_and_reset(e, 23);
    expect_out(e, ""); /* 6 of 12 */
    open_and_reset(e, 25);
    expect_failed(e, FG_H2_FAULT_RESET_RATIO, 25, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void below_the_minimum_of_streams_any_share_passes(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.reset_ratio_minimum = 10;
    engine_open(e);
    for (uint32_t id = 1; id <= 17; id += 2)
        open_and_reset(e, id); /* 9 of 9 */
    expect_out(e, "");
    open_and_reset(e, 19);
    expect_failed(e, FG_H2_FAULT_RESET_RATIO, 19, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void a_share_of_one_lets_every_stream_be_reset(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.reset_ratio_minimum = 1;
    e->options.reset_ratio = 1;
    engine_open(e);
    for (uint32_t id = 1; id <= 99; id += 2)
        open_and_reset(e, id);
    expect_out(e, "");
    engine_free(e);
}

/* ---- PING and SETTINGS ---- */

static void ten_seconds_worth_of_pings_pass_at_once(void **state)
{
    static const enum fg_h2_role roles[] = {FG_H2_SERVER, FG_H2_CLIENT};
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(roles[i]);
        e->options.ping_rate = 2;
        engine_open(e);
        for (int ping = 0; ping < 20; ping++) {
            feed_ping(e, 0, PING);
            expect_out(e, "PING ack \"" PING "\"\n");
        }
        pass(e, FG_S / 2);
        feed_ping(e, 0, PING);
        expect_out(e, "PING ack \"" PING "\"\n");
        feed_ping(e, 0, PING);
        expect_failed(e, FG_H2_FAULT_PING_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
        engine_free(e);
    }
}

/* gRFC A8: what measures the bandwidth follows what we send. */
static void a_ping_that_follows_headers_or_data_of_ours_is_free(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.ping_rate = 1;
    engine_open(e);
    feed_request(e, 1, true);
    for (int ping = 0; ping < 10; ping++)
        feed_ping(e, 0, PING);
    skip_out(e);
    send_response(e, 1, false);
    feed_ping(e, 0, PING);
    expect_out(e, "HEADERS 1 88\nPING ack \"" PING "\"\n");
    send_data(e, 1, 1, false);
    expect_out(e, "DATA 1 1\n");
    feed_ping(e, 0, PING);
    expect_out(e, "PING ack \"" PING "\"\n");
    feed_ping(e, 0, PING); /* one for all that was sent, not one for each frame */
    expect_failed(e, FG_H2_FAULT_PING_FLOOD, 1, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void answers_to_pings_are_not_rated(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.ping_rate = 1;
    engine_open(e);
    for (int ping = 0; ping < 100; ping++)
        feed_ping(e, FG_H2_FLAG_ACK, PING);
    expect_out(e, "");
    engine_free(e);
}

static void ten_seconds_worth_of_settings_pass_at_once(void **state)
{
    static const enum fg_h2_role roles[] = {FG_H2_SERVER, FG_H2_CLIENT};
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(roles[i]);
        e->options.settings_rate = 1;
        engine_open(e); /* the first one */
        for (int settings = 1; settings < 10; settings++) {
            feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 7);
            expect_out(e, "SETTINGS ack\n");
        }
        pass(e, FG_S);
        feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 7);
        expect_out(e, "SETTINGS ack\n");
        pass(e, FG_S - 1);
        feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 7);
        expect_failed(e, FG_H2_FAULT_SETTINGS_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
        engine_free(e);
    }
}

static void answers_for_a_peer_that_does_not_read_are_capped(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.queued_control_frames = 3;
    engine_open(e);
    for (int round = 0; round < 2; round++) { /* what was read no longer counts */
        fg_h2_conn_set_blocked(&e->conn, true, false);
        feed_ping(e, 0, PING);
        feed_setting(e, FG_H2_SETTING_MAX_CONCURRENT_STREAMS, 7);
        feed_ping(e, 0, PING);
        expect_out(e, "PING ack \"" PING "\"\nSETTINGS ack\nPING ack \"" PING "\"\n");
    }
    fg_h2_conn_set_blocked(&e->conn, true, false);
    for (int ping = 0; ping < 3; ping++)
        feed_ping(e, 0, PING);
    expect_alive(e);
    feed_ping(e, 0, PING);
    expect_failed_after(e, "PING ack \"" PING "\"\nPING ack \"" PING "\"\nPING ack \"" PING "\"\n",
                        FG_H2_FAULT_CONTROL_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void the_share_of_resets_holds_for_endpoints_too(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.reset_ratio_minimum = 4;
    engine_open(e);
    for (uint32_t id = 1; id <= 7; id += 2) {
        send_request(e, true);
        skip_out(e);
        feed_reset(e, id, FG_H2_REFUSED_STREAM);
    }
    expect_failed(e, FG_H2_FAULT_RESET_RATIO, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* RFC 9113 section 8.1: a server that has answered may stop the rest of the request. */
static void an_endpoints_reset_after_the_whole_answer_is_no_offence(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.reset_burst = e->options.reset_rate = 1;
    engine_open(e);
    for (uint32_t id = 1; id <= 3; id += 2) {
        send_request(e, false);
        feed_response(e, id, true);
        feed_reset(e, id, FG_H2_NO_ERROR);
        expect_alive(e);
    }
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_of_resets_passes_and_one_more_ends_the_connection),
        cmocka_unit_test(a_reset_is_allowed_again_when_its_interval_is_over),
        cmocka_unit_test(the_burst_is_whole_again_after_all_intervals_and_does_not_grow),
        cmocka_unit_test(the_products_burst_is_1000_and_then_33_a_second),
        cmocka_unit_test(an_endpoints_resets_are_counted_too),
        cmocka_unit_test(resets_that_the_peer_makes_us_send_share_the_budget),
        cmocka_unit_test(a_reset_after_the_whole_answer_is_no_offence),
        cmocka_unit_test(a_reset_of_a_request_that_has_ended_is_one),
        cmocka_unit_test(half_of_the_streams_may_be_reset_and_not_one_more),
        cmocka_unit_test(below_the_minimum_of_streams_any_share_passes),
        cmocka_unit_test(a_share_of_one_lets_every_stream_be_reset),
        cmocka_unit_test(ten_seconds_worth_of_pings_pass_at_once),
        cmocka_unit_test(a_ping_that_follows_headers_or_data_of_ours_is_free),
        cmocka_unit_test(answers_to_pings_are_not_rated),
        cmocka_unit_test(ten_seconds_worth_of_settings_pass_at_once),
        cmocka_unit_test(answers_for_a_peer_that_does_not_read_are_capped),
        cmocka_unit_test(the_share_of_resets_holds_for_endpoints_too),
        cmocka_unit_test(an_endpoints_reset_after_the_whole_answer_is_no_offence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
