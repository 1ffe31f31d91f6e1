/* More limits on abuse at their boundaries: frames that carry nothing, anomalies, streams at once, header blocks
 * without an end, priorities of streams that never come. */
#include "engine.h"

#include <stdio.h>

static const enum fg_h2_role both_roles[] = {FG_H2_SERVER, FG_H2_CLIENT};

/* ---- DATA without content ---- */

static void empty_data_passes_up_to_its_limit(void **state)
{
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine *e = engine_new(both_roles[i]);
        e->options.empty_data_frames = 2;
        engine_open(e);
        open_stream(e, 1);
        feed_data(e, 1, 0, false);
        feed_data(e, 1, 0, false);
        expect_out(e, "");
        feed_data(e, 1, 0, false);
        expect_failed(e, FG_H2_FAULT_EMPTY_DATA_FLOOD, i == 0 ? 1 : 0, FG_H2_ENHANCE_YOUR_CALM);
        engine_free(e);
    }
}

static void content_or_an_end_breaks_a_run_of_empty_data(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    open_stream(e, 1);
    open_stream(e, 3);
    feed_data(e, 1, 0, false);
    feed_data(e, 1, 1, false);
    feed_data(e, 1, 0, false);
    feed_data(e, 1, 0, true);
    assert_true(watched(e, 1)->ended);
    feed_data(e, 3, 0, false);
    expect_out(e, "");
    feed_data(e, 3, 0, false);
    expect_failed(e, FG_H2_FAULT_EMPTY_DATA_FLOOD, 3, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

static void padding_is_no_content_and_runs_go_over_all_streams(void **state)
{
    static const uint8_t only_padding[] = {4, 0, 0, 0, 0}, one_byte[] = {3, 'x', 0, 0, 0};
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    engine_open(e);
    open_stream(e, 1);
    open_stream(e, 3);
    feed_frame(e, FG_H2_DATA, FG_H2_FLAG_PADDED, 1, only_padding, sizeof only_padding);
    feed_frame(e, FG_H2_DATA, FG_H2_FLAG_PADDED, 3, one_byte, sizeof one_byte);
    feed_frame(e, FG_H2_DATA, FG_H2_FLAG_PADDED, 1, only_padding, sizeof only_padding);
    expect_out(e, "");
    feed_data(e, 3, 0, false);
    expect_failed(e, FG_H2_FAULT_EMPTY_DATA_FLOOD, 3, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* ---- anomalies ---- */

static void add_nothing_to_the_window(struct engine *e, uint32_t id)
{
    feed_window(e, id, 0);
}

static void overflow_the_window(struct engine *e, uint32_t id)
{
    feed_window(e, id, FG_H2_MAX_WINDOW);
}

static void depend_on_itself(struct engine *e, uint32_t id)
{
    uint8_t payload[5] = {0, 0, 0, (uint8_t)id, 15};
    feed_frame(e, FG_H2_PRIORITY, 0, id, payload, sizeof payload);
}

static void prioritize_in_4_bytes(struct engine *e, uint32_t id)
{
    feed_frame(e, FG_H2_PRIORITY, 0, id, "\0\0\0\0", 4);
}

static void send_more_trailers(struct engine *e, uint32_t id)
{
    feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_HEADERS, id, "", 0); /* a second block without END_STREAM */
}

static void send_after_the_end(struct engine *e, uint32_t id)
{
    feed_data(e, id, 0, true);
    feed_data(e, id, 0, true);
}

/* Twice what the budget holds: both are answered on their stream, and the third ends the connection. */
static void each_anomaly_has_its_weight(void **state)
{
    static const struct {
        void (*commit)(struct engine *e, uint32_t id);
        enum fg_h2_fault fault;
        const char *code;
        uint32_t weight;
    } rows[] = {
        {add_nothing_to_the_window, FG_H2_FAULT_STREAM_WINDOW_ZERO, "PROTOCOL_ERROR", 5},
        {overflow_the_window, FG_H2_FAULT_STREAM_WINDOW_OVERFLOW, "FLOW_CONTROL_ERROR", 5},
        {depend_on_itself, FG_H2_FAULT_SELF_DEPENDENCY, "PROTOCOL_ERROR", 5},
        {prioritize_in_4_bytes, FG_H2_FAULT_PRIORITY_LENGTH, "FRAME_SIZE_ERROR", 5},
        {send_more_trailers, FG_H2_FAULT_TRAILERS_OPEN, "PROTOCOL_ERROR", 2},
        {send_after_the_end, FG_H2_FAULT_CLOSED_STREAM, "STREAM_CLOSED", 1},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(rows); i++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        char frame[64];
        e->options.error_burst = 2 * rows[i].weight;
        e->options.error_rate = 1;
        engine_open(e);
        for (uint32_t id = 1; id <= 5; id += 2) {
            open_stream(e, id);
            rows[i].commit(e, id);
            expect_close(e, id, FG_H2_CLOSED_FAULT, fg_h2_fault_info(rows[i].fault)->code);
            snprintf(frame, sizeof frame, "RST_STREAM %u %s\n", id, rows[i].code);
            if (id < 5)
                expect_out(e, frame);
        }
        assert_int_equal(e->faults[rows[i].fault], 3);
        expect_failed_after(e, frame, FG_H2_FAULT_ANOMALY_FLOOD, 5, FG_H2_ENHANCE_YOUR_CALM);
        engine_free(e);
    }
}

static void the_budget_of_anomalies_comes_back(void **state)
{
    (void)state;

    for (int early = 0; early <= 1; early++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.error_burst = 5;
        e->options.error_rate = 10;
        engine_open(e);
        open_stream(e, 1);
        add_nothing_to_the_window(e, 1);
        pass(e, 500 * FG_MS - (uint64_t)early); /* five tokens */
        expect_out(e, "RST_STREAM 1 PROTOCOL_ERROR\n");
        open_stream(e, 3);
        add_nothing_to_the_window(e, 3);
        if (early)
            expect_failed_after(e, "RST_STREAM 3 PROTOCOL_ERROR\n", FG_H2_FAULT_ANOMALY_FLOOD, 3,
                                FG_H2_ENHANCE_YOUR_CALM);
        else
            expect_out(e, "RST_STREAM 3 PROTOCOL_ERROR\n");
        engine_free(e);
    }
}

static void an_endpoints_anomalies_count_too(void **state)
{
    struct engine *e = engine_new(FG_H2_CLIENT);
    (void)state;

    e->options.error_burst = 2;
    e->options.error_rate = 1;
    engine_open(e);
    for (int i = 0; i < 2; i++)
        send_request(e, true);
    skip_out(e);
    feed_data(e, 1, 10, true); /* before any HEADERS: 2 */
    expect_out(e, "RST_STREAM 1 PROTOCOL_ERROR\n");
    feed_data(e, 3, 10, true);
    expect_failed_after(e, "RST_STREAM 3 PROTOCOL_ERROR\n", FG_H2_FAULT_ANOMALY_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* ---- streams ---- */

static void streams_over_the_limit_are_refused_until_a_slot_is_free(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 2;
    engine_open(e);
    open_stream(e, 1);
    open_stream(e, 3);
    feed_request(e, 5, true);
    assert_int_equal(watched(e, 5)->headers, 0); /* nobody hears of it */
    assert_int_equal(watched(e, 5)->closed, 0);
    expect_out(e, "RST_STREAM 5 REFUSED_STREAM\n");
    feed_reset(e, 1, FG_H2_CANCEL);
    open_stream(e, 7);
    assert_int_equal(watched(e, 7)->headers, 1);
    assert_int_equal(e->faults[FG_H2_FAULT_TOO_MANY_STREAMS], 1);
    engine_free(e);
}

static void pull_at_once(struct engine *e, uint32_t id)
{
    (void)id;
    fg_h2_conn_pull(&e->conn, SIZE_MAX);
}

/* Rapid reset (CVE-2023-44487): what a stream caused in this turn is not done when it is reset. */
static void a_stream_holds_its_slot_until_the_bytes_of_a_turn_are_read(void **state)
{
    static const char turn[] = "\0\0\3\1\5\0\0\0\1\x82\x86\x84" /* HEADERS 1 */
                               "\0\0\4\3\0\0\0\0\1\0\0\0\x8"    /* RST_STREAM 1 CANCEL */
                               "\0\0\3\1\5\0\0\0\3\x82\x86\x84" /* HEADERS 3 */
                               "\0\0\4\3\0\0\0\0\3\0\0\0\x8" /* RST_STREAM 3 */;
    (void)state;

    for (int pulls = 0; pulls <= 1; pulls++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.max_concurrent_streams = 1;
        e->on_close = pulls ? pull_at_once : NULL;
        engine_open(e);
        feed(e, turn, sizeof turn - 1);
        expect_close(e, 1, FG_H2_CLOSED_PEER_RESET, FG_H2_CANCEL);
        assert_int_equal(watched(e, 3)->headers, 0);
        expect_out(e, "RST_STREAM 3 REFUSED_STREAM\n");
        open_stream(e, 5);
        assert_int_equal(watched(e, 5)->headers, 1);
        engine_free(e);
    }
}

static void new_streams_of_a_turn_are_at_most_twice_the_limit(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 2;
    engine_open(e);
    for (uint32_t id = 1; id <= 7; id += 2)
        feed_request(e, id, true);
    expect_out(e, "RST_STREAM 5 REFUSED_STREAM\nRST_STREAM 7 REFUSED_STREAM\n");
    for (uint32_t id = 9; id <= 15; id += 2)
        feed_request(e, id, true);
    expect_alive(e);
    feed_request(e, 17, true);
    expect_failed_after(e,
                        "RST_STREAM 9 REFUSED_STREAM\nRST_STREAM 11 REFUSED_STREAM\n"
                        "RST_STREAM 13 REFUSED_STREAM\nRST_STREAM 15 REFUSED_STREAM\n",
                        FG_H2_FAULT_STREAM_FLOOD, 17, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* A client that has not seen our limit goes by the RFC's advice of 100. */
static void before_our_settings_are_acknowledged_a_hundred_is_the_limit_of_a_turn(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 1;
    e->options.reset_burst = 1; /* and refusals are no offence yet */
    engine_greet(e);
    for (uint32_t id = 1; id < 400; id += 2)
        feed_request(e, id, true);
    expect_alive(e);
    assert_int_equal(e->faults[FG_H2_FAULT_TOO_MANY_STREAMS], 199);
    skip_out(e);
    for (uint32_t id = 401; id < 800; id += 2)
        feed_request(e, id, true);
    expect_alive(e);
    feed_request(e, 801, true);
    assert_int_equal(e->conn.fault, FG_H2_FAULT_STREAM_FLOOD);
    engine_free(e);
}

static void refusals_are_charged_once_the_limit_is_known(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 1;
    e->options.reset_burst = 1;
    e->options.reset_rate = 1;
    engine_open(e);
    open_stream(e, 1);
    feed_request(e, 3, true);
    expect_out(e, "RST_STREAM 3 REFUSED_STREAM\n");
    feed_request(e, 5, true);
    expect_failed_after(e, "RST_STREAM 5 REFUSED_STREAM\n", FG_H2_FAULT_RESET_FLOOD, 5, FG_H2_ENHANCE_YOUR_CALM);
    engine_free(e);
}

/* ---- header blocks ---- */

/* The first part of a block that is acceptable to the engine's role. */
static void begin_block(struct engine *e)
{
    bool server = e->options.role == FG_H2_SERVER;
    if (!server)
        send_request(e, true);
    skip_out(e);
    feed_frame(e, FG_H2_HEADERS, FG_H2_FLAG_END_STREAM, 1, server ? "\x82\x86\x84" : "\x88", server ? 3 : 1);
}

static void a_block_has_so_many_continuations_and_not_one_more(void **state)
{
    (void)state;

    for (int i = 0; i < 4; i++) {
        bool too_many = i / 2;
        struct engine *e = engine_new(both_roles[i % 2]);
        engine_open(e);
        begin_block(e);
        for (int n = 1; n < 8; n++)
            feed_frame(e, FG_H2_CONTINUATION, 0, 1, "", 0);
        feed_frame(e, FG_H2_CONTINUATION, too_many ? 0 : FG_H2_FLAG_END_HEADERS, 1, "", 0);
        expect_alive(e);
        assert_int_equal(watched(e, 1)->headers, too_many ? 0 : 1);
        if (too_many) {
            feed_frame(e, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, 1, "", 0);
            expect_failed(e, FG_H2_FAULT_HEADER_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
        }
        engine_free(e);
    }
}

/* Checked before anything is decoded. */
static void a_block_in_parts_has_the_bytes_of_the_list_limit_at_most(void **state)
{
    (void)state;

    for (int over = 0; over <= 1; over++) {
        uint8_t field[98] = {0x00, 1, 'x', (uint8_t)(93 + over)}; /* 97 bytes, or 98 */
        struct engine *e = engine_new(FG_H2_SERVER);
        memset(field + 4, 'v', sizeof field - 4);
        e->options.max_header_list = 100;
        engine_open(e);
        begin_block(e); /* 3 bytes */
        feed_frame(e, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, 1, field, 97 + (size_t)over);
        if (over) {
            expect_failed(e, FG_H2_FAULT_HEADER_FLOOD, 0, FG_H2_ENHANCE_YOUR_CALM);
        } else {
            assert_int_equal(watched(e, 1)->flags, FG_H2_END_STREAM | FG_H2_TOO_LARGE); /* as a list it is larger */
            expect_out(e, "");
        }
        engine_free(e);
    }
}

/* :method GET, :scheme http, :path / are 42 + 43 + 38 bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts. */
static void a_list_over_its_limits_is_told_and_costs_nobody_the_connection(void **state)
{
    static const struct {
        uint32_t list, fields;
        bool too_large;
    } rows[] = {{123, 3, false}, {122, 3, true}, {123, 2, true}};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(rows); i++) {
        struct engine *e = engine_new(FG_H2_SERVER);
        e->options.max_header_list = rows[i].list;
        e->options.max_header_fields = rows[i].fields;
        engine_open(e);
        feed_request(e, 1, false);
        assert_int_equal(watched(e, 1)->flags, rows[i].too_large ? FG_H2_TOO_LARGE : 0);
        expect_out(e, "");
        engine_free(e);
    }
}

/* ---- PRIORITY_UPDATE ---- */

static void feed_priority_update(struct engine *e, uint32_t id, const char *value)
{
    uint8_t payload[16];

    fg_store_u32(payload, id);
    memcpy(payload + 4, value, strlen(value));
    feed_frame(e, FG_H2_PRIORITY_UPDATE, 0, 0, payload, 4 + strlen(value));
}

static void priorities_of_streams_to_come_are_remembered_up_to_the_stream_limit(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 3;
    engine_open(e);
    for (uint32_t id = 1; id <= 5; id += 2)
        feed_priority_update(e, id, "u=1");
    expect_out(e, "");
    open_stream(e, 1); /* it has taken its own */
    assert_int_equal(stream_of(e, 1)->urgency, 1);
    for (int i = 0; i < 10; i++)
        feed_priority_update(e, 1, "u=2"); /* needs no memory */
    assert_int_equal(stream_of(e, 1)->urgency, 2);
    feed_priority_update(e, 7, "u=1");
    expect_out(e, "");
    feed_priority_update(e, 9, "u=1");
    expect_failed(e, FG_H2_FAULT_PRIORITY_UPDATE, 1, FG_H2_PROTOCOL_ERROR);
    engine_free(e);
}

static void priority_update_is_for_streams_of_the_client_only(void **state)
{
    static const uint32_t wrong_ids[] = {0, 2};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        struct engine *e = engine_new(i == 2 ? FG_H2_CLIENT : FG_H2_SERVER);
        engine_open(e);
        feed_priority_update(e, i == 2 ? 1 : wrong_ids[i], "u=1");
        expect_failed(e, FG_H2_FAULT_PRIORITY_UPDATE, 0, FG_H2_PROTOCOL_ERROR);
        engine_free(e);
    }
}

static void priorities_of_streams_that_were_refused_or_skipped_are_forgotten(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 1;
    engine_open(e);
    open_stream(e, 1);
    feed_priority_update(e, 3, "u=1");
    feed_request(e, 3, true);
    expect_out(e, "RST_STREAM 3 REFUSED_STREAM\n");
    feed_priority_update(e, 5, "u=1");
    expect_alive(e);
    feed_request(e, 7, true);
    feed_priority_update(e, 9, "u=1");
    expect_alive(e);
    engine_free(e);
}

static void a_stream_to_come_may_change_its_mind_at_the_limit(void **state)
{
    struct engine *e = engine_new(FG_H2_SERVER);
    (void)state;

    e->options.max_concurrent_streams = 1;
    engine_open(e);
    feed_priority_update(e, 1, "u=1");
    feed_priority_update(e, 1, "u=2");
    expect_alive(e);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_data_passes_up_to_its_limit),
        cmocka_unit_test(content_or_an_end_breaks_a_run_of_empty_data),
        cmocka_unit_test(padding_is_no_content_and_runs_go_over_all_streams),
        cmocka_unit_test(each_anomaly_has_its_weight),
        cmocka_unit_test(the_budget_of_anomalies_comes_back),
        cmocka_unit_test(an_endpoints_anomalies_count_too),
        cmocka_unit_test(streams_over_the_limit_are_refused_until_a_slot_is_free),
        cmocka_unit_test(a_stream_holds_its_slot_until_the_bytes_of_a_turn_are_read),
        cmocka_unit_test(new_streams_of_a_turn_are_at_most_twice_the_limit),
        cmocka_unit_test(before_our_settings_are_acknowledged_a_hundred_is_the_limit_of_a_turn),
        cmocka_unit_test(refusals_are_charged_once_the_limit_is_known),
        cmocka_unit_test(a_block_has_so_many_continuations_and_not_one_more),
        cmocka_unit_test(a_block_in_parts_has_the_bytes_of_the_list_limit_at_most),
        cmocka_unit_test(a_list_over_its_limits_is_told_and_costs_nobody_the_connection),
        cmocka_unit_test(priorities_of_streams_to_come_are_remembered_up_to_the_stream_limit),
        cmocka_unit_test(priority_update_is_for_streams_of_the_client_only),
        cmocka_unit_test(priorities_of_streams_that_were_refused_or_skipped_are_forgotten),
        cmocka_unit_test(a_stream_to_come_may_change_its_mind_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
