/* An endpoint's answers: what is taken, what a kept connection may be used for. */
#include "expect.h"

#define EMPTY_200 "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
#define REQUEST   ":method: GET\n:path: /\n:authority: a\n"

/* A request was made. */
static struct engine *asked_with(const char *method)
{
    struct engine *e = engine_new(FG_H1_CLIENT);
    char fields[128];

    snprintf(fields, sizeof fields, ":method: %s\n:path: /\n:authority: a\n", method);
    engine_request(e, fields, true);
    engine_pull(e);
    text_clear(&e->out);
    return e;
}

static struct engine *asked(void)
{
    return asked_with("GET");
}

/* ---- interim answers ---- */

static void interim_answers_come_before_the_final_one(void **state)
{
    static const char wire[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
                               "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    (void)state;

    for (size_t piece = 1; piece <= sizeof wire; piece++) {
        struct engine *e = asked();
        for (size_t at = 0; at < sizeof wire - 1; at += piece)
            engine_feed(e, wire + at, FG_MIN(piece, sizeof wire - 1 - at));
        expect_events(e, "INTERIM :status=100\nINTERIM :status=103 link=x\nHEAD :status=200 content-length=2\n"
                         "DATA \"ok\" end\nCLOSE complete\n");
        expect_stays(e);
        finish(e);
    }
}

static void interim_answers_have_an_end(void **state)
{
    static const char hint[] = "HTTP/1.1 103 Early Hints\r\nx: 56789012345678\r\n\r\n"; /* 48 bytes */
    struct engine *e = asked();
    unsigned taken = 0;
    (void)state;

    e->options.limits.max_head_bytes = 10 * (sizeof hint - 1);
    while (!fg_h1_conn_is_done(&e->conn) && taken < 100) {
        FEED(e, hint);
        taken++;
    }
    assert_int_equal(taken, 11);
    assert_int_equal(e->conn.fault, FG_H1_FAULT_HEAD_TOO_LARGE);
    expect_out(e, ""); /* an endpoint is told nothing */
    finish(e);
}

static void an_endpoint_does_not_switch_protocols(void **state)
{
    struct engine *e = asked();
    (void)state;

    FEED(e, "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n");
    expect_events(
        e,
        "CLOSE fault: the endpoint switched protocols although it was not asked to, or without sec-websocket-accept\n");
    assert_int_equal(e->faults[FG_H1_FAULT_SWITCH], 1);
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

/* ---- where answers end ---- */

static void some_answers_have_no_content_whatever_they_say(void **state)
{
    static const struct {
        const char *method, *answer, *events;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "HEAD end :status=200 content-length=5\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HEAD end :status=200\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "HEAD end :status=200\n"},
        {"GET", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", "HEAD end :status=204 content-length=5\n"},
        {"GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", "HEAD end :status=304 content-length=5\n"},
        {"GET", "HTTP/1.1 204\r\ntransfer-encoding: chunked\r\n\r\n", "HEAD end :status=204\n"},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = asked_with(cases[i].method);
        engine_feed(e, cases[i].answer, strlen(cases[i].answer));
        assert_memory_equal(engine_events(e), cases[i].events, strlen(cases[i].events));
        assert_string_equal(e->events.p + strlen(cases[i].events), "CLOSE complete\n");
        expect_stays(e);
        finish(e);
    }
}

static void an_answer_without_a_length_ends_with_the_connection(void **state)
{
    struct engine *e = asked();
    (void)state;

    FEED(e, "HTTP/1.1 200 OK\r\n\r\npart");
    FEED(e, "HTTP/1.1 200 OK\r\n\r\n");
    fg_h1_conn_eof(&e->conn);
    expect_events(e, "HEAD :status=200\nDATA \"partHTTP/1.1%20200%20OK%0D%0A%0D%0A\" end\nCLOSE complete\n");
    assert_true(fg_h1_conn_is_done(&e->conn));
    assert_int_equal(fg_h1_conn_free_slots(&e->conn), 0);
    finish(e);
}

static void an_answer_in_two_framings_is_refused(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", /* empty lines are skipped before requests alone */
        "ICY 200 OK\r\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++) {
        struct engine *e = asked();
        engine_feed(e, bad[i], strlen(bad[i]));
        assert_int_equal(memcmp(engine_events(e), "CLOSE fault: ", 13), 0);
        assert_true(fg_h1_conn_is_done(&e->conn));
        expect_out(e, "");
        finish(e);
    }
}

/* ---- what follows an answer ---- */

/* The next request would get it for its answer. */
static void bytes_behind_an_answer_end_the_connection(void **state)
{
    static const char *const answers[] = {
        EMPTY_200 "H",
        EMPTY_200 EMPTY_200,
        "HTTP/1.1 204 No Content\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokH",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nH",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: 1\r\n\r\nH",
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(answers); i++) {
        struct engine *e = asked();
        engine_feed(e, answers[i], strlen(answers[i]));
        assert_non_null(strstr(engine_events(e), "CLOSE complete\n"));
        assert_int_equal(fg_h1_conn_free_slots(&e->conn), 0);
        assert_true(fg_h1_conn_is_done(&e->conn));
        assert_int_equal(e->slots_told, 0);
        finish(e);
    }
}

static void an_endpoint_that_speaks_without_being_asked_is_not_heard(void **state)
{
    struct engine *e = asked();
    (void)state;

    FEED(e, EMPTY_200);
    expect_stays(e);
    FEED(e, "H");
    assert_int_equal(e->faults[FG_H1_FAULT_UNEXPECTED], 1);
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

/* The end of an answer that came before the end of the request is no place for a second answer either. */
static void an_early_answer_is_the_only_one(void **state)
{
    struct engine *e = engine_new(FG_H1_CLIENT);
    (void)state;

    engine_request(e, ":method: POST\n:path: /\n:authority: a\n", false);
    FEED(e, EMPTY_200);
    FEED(e, EMPTY_200);
    expect_events(e, "HEAD end :status=200 content-length=0\n"
                     "CLOSE fault: bytes came that no request asked for\n");
    assert_int_equal(e->faults[FG_H1_FAULT_UNEXPECTED], 1);
    finish(e);
}

static void a_connection_is_kept_unless_one_side_says_close(void **state)
{
    static const struct {
        const char *answer;
        bool stays;
    } cases[] = {
        {EMPTY_200, true},
        {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x\r\nconnection: y, Close\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: close, keep-alive\r\n\r\n", false},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = asked();
        engine_feed(e, cases[i].answer, strlen(cases[i].answer));
        assert_int_equal(fg_h1_conn_free_slots(&e->conn), cases[i].stays);
        assert_int_equal(e->slots_told, cases[i].stays);
        finish(e);
    }
}

/* ---- ends ---- */

static void an_answer_that_is_cut_is_no_answer(void **state)
{
    static const char *const cut[] = {
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cut); i++) {
        struct engine *e = asked();
        engine_feed(e, cut[i], strlen(cut[i]));
        fg_h1_conn_eof(&e->conn);
        fg_h1_conn_lost(&e->conn, "gone");
        const char *close = strstr(engine_events(e), "CLOSE");
        assert_string_equal(close, "CLOSE connection: gone\n"); /* first use of the connection: never untouched */
        assert_null(strstr(e->events.p, " end"));
        finish(e);
    }
}

static void a_kept_connection_that_ends_without_a_word_was_untouched(void **state)
{
    static const struct {
        const char *answer;
        bool untouched;
    } cases[] = {
        {"", true}, {"H", false}, {"HTTP/1.1 100 Continue\r\n\r\n", false}, {"HTTP/1.1 200 OK\r\n\r\n", false}};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = asked();
        FEED(e, EMPTY_200);
        engine_request(e, REQUEST, true);
        text_clear(&e->events);
        engine_feed(e, cases[i].answer, strlen(cases[i].answer));
        fg_h1_conn_lost(&e->conn, "gone");
        assert_string_equal(strstr(engine_events(e), "CLOSE"),
                            cases[i].untouched ? "CLOSE connection: gone (untouched)\n" : "CLOSE connection: gone\n");
        finish(e);
    }
}

static void eof_without_a_request_closes(void **state)
{
    struct engine *e = asked();
    (void)state;

    FEED(e, EMPTY_200);
    text_clear(&e->events);
    fg_h1_conn_eof(&e->conn);
    expect_events(e, "");
    assert_true(fg_h1_conn_is_done(&e->conn));
    assert_int_equal(fg_h1_conn_free_slots(&e->conn), 0);
    finish(e);
}

static void a_head_that_is_slow_is_waited_for_as_long_as_a_request_may_take(void **state)
{
    struct engine *e = asked();
    (void)state;

    e->options.header_timeout_ns = FG_S;
    expect_timer(e, FG_NEVER);
    FEED(e, "HTTP/1.1 200 OK\r\n"); /* once it has begun, it has to come */
    expect_timer(e, FG_S);
    pass(e, FG_S - 1);
    FEED(e, "x: 1\r\n");
    expect_timer(e, 1);
    pass(e, 1);
    expect_events(e, "CLOSE fault: the head did not arrive within header_timeout\n");
    assert_true(fg_h1_conn_is_done(&e->conn));
    expect_out(e, "");
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interim_answers_come_before_the_final_one),
        cmocka_unit_test(interim_answers_have_an_end),
        cmocka_unit_test(an_endpoint_does_not_switch_protocols),
        cmocka_unit_test(some_answers_have_no_content_whatever_they_say),
        cmocka_unit_test(an_answer_without_a_length_ends_with_the_connection),
        cmocka_unit_test(an_answer_in_two_framings_is_refused),
        cmocka_unit_test(bytes_behind_an_answer_end_the_connection),
        cmocka_unit_test(an_endpoint_that_speaks_without_being_asked_is_not_heard),
        cmocka_unit_test(an_early_answer_is_the_only_one),
        cmocka_unit_test(a_connection_is_kept_unless_one_side_says_close),
        cmocka_unit_test(an_answer_that_is_cut_is_no_answer),
        cmocka_unit_test(a_kept_connection_that_ends_without_a_word_was_untouched),
        cmocka_unit_test(eof_without_a_request_closes),
        cmocka_unit_test(a_head_that_is_slow_is_waited_for_as_long_as_a_request_may_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
