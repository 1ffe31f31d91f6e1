/* A client's requests: what is taken, what is refused, what follows what. */
#include "expect.h"

#define GET         "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
#define HEAD_OF_GET "HEAD end :method=GET :scheme=http :authority=a :path=/\n"
#define EMPTY_200   "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

static struct engine *served(void)
{
    return engine_new(FG_H1_SERVER);
}

/* Answers each request when it is whole. */
static void answer_at_end(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    (void)headers;
    (void)buf;
    if (flags & FG_H1_END_STREAM)
        engine_answer(e, ":status: 200\n", true);
}

/* ---- heads ---- */

static void a_request_in_single_bytes_is_that_in_one_piece(void **state)
{
    static const char wire[] =
        "\r\nPOST /a?b=c HTTP/1.1\r\nHost: x:80\r\nTransfer-Encoding: chunked\r\nX-A:  b c \r\n\r\n"
        "3\r\nabc\r\n2;ext\r\n\r\n\r\n0\r\nx-t: 1\r\n\r\n";
    (void)state;

    for (size_t piece = 1; piece <= sizeof wire; piece++) {
        struct engine *e = served();
        for (size_t at = 0; at < sizeof wire - 1; at += piece)
            engine_feed(e, wire + at, FG_MIN(piece, sizeof wire - 1 - at));
        expect_events(e, "HEAD :method=POST :scheme=http :authority=x:80 :path=/a?b=c x-a=b%20c\n"
                         "DATA \"abc%0D%0A\"\nTRAILERS end x-t=1\n");
        engine_answer(e, ":status: 200\n", true);
        expect_out(e, EMPTY_200);
        expect_events(e, "CLOSE complete\n");
        expect_stays(e);
        finish(e);
    }
}

static void a_target_that_can_be_read_in_two_ways_is_refused(void **state)
{
    static const struct {
        const char *request;
        enum fg_h1_fault fault;
    } cases[] = {
        {"GET /public#/../private HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET}, /* CVE-2023-45539 */
        {"GET # HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET},
        {"GET http://a/# HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET},
        {"GET public HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
        {"GET * HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
        {"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
        {"GET http:///x HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
        {"GET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_HOST},
        {"GET http://u@a/x HTTP/1.1\r\nhost: u@a\r\n\r\n", FG_H1_FAULT_HOST},
        {"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", FG_H1_FAULT_HOST},
        {"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", FG_H1_FAULT_HOST},
        {"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", FG_H1_FAULT_TARGET_FORM}, /* we are no tunnel */
        {"CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
        {"CONNECT http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", FG_H1_FAULT_TARGET_FORM},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = served();
        engine_feed(e, cases[i].request, strlen(cases[i].request));
        expect_events(e, "");
        expect_refused(e, cases[i].fault, "400 Bad Request");
        finish(e);
    }
}

static void an_absolute_target_is_host_and_path(void **state)
{
    struct engine *e = served();
    (void)state;

    e->on_event = answer_at_end;
    FEED(e, "GET http://A/x?y HTTP/1.1\r\nhost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"
            "GET HTTPS://a HTTP/1.1\r\nhost: a\r\n\r\n");
    expect_events(e, "HEAD end :method=GET :scheme=http :authority=A :path=/x?y\nCLOSE complete\n"
                     "HEAD end :method=OPTIONS :scheme=http :authority=a :path=*\nCLOSE complete\n"
                     "HEAD end :method=GET :scheme=http :authority=a :path=/\nCLOSE complete\n");
    finish(e);
}

static void connection_options_are_those_of_all_their_fields(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n"
            "connection: x-A ,, close\r\nConnection:x-c\r\nkeep-alive: timeout=5\r\nupgrade: h2c\r\n\r\n");
    expect_events(e, "HEAD end :method=GET :scheme=http :authority=a :path=/ x-b=2\n");
    engine_answer(e, ":status: 200\n", true);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"); /* wherever it was said */
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

/* Every field is compared with every option. */
static void connection_options_are_few(void **state)
{
    char request[2048];
    (void)state;

    for (int more = 0; more < 2; more++) {
        struct engine *e = served();
        int len =
            snprintf(request, sizeof request,
                     "GET / HTTP/1.1\r\nhost: a\r\nconnection: %0512d\r\nconnection: %0*d\r\n\r\n", 1, 512 + more, 1);
        engine_feed(e, request, (size_t)len);
        if (more)
            expect_refused(e, FG_H1_FAULT_HEAD_TOO_LARGE, "431 Request Header Fields Too Large");
        else
            expect_events(e, HEAD_OF_GET);
        finish(e);
    }
}

static void another_protocol_is_not_answered(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02\n";
    struct engine *e = served();
    (void)state;

    FEED(e, "OPTIONS sip:a SIP/2.0\r\n"); /* the first line tells */
    assert_int_equal(e->conn.fault, FG_H1_FAULT_PROTOCOL);
    expect_out(e, "");
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
    e = served();
    engine_feed(e, hello, sizeof hello - 1);
    expect_refused(e, FG_H1_FAULT_LINE, "400 Bad Request");
    finish(e);
}

/* ---- empty lines ---- */

static void an_empty_line_before_a_request_may_come_in_two_pieces(void **state)
{
    struct engine *e = served();
    (void)state;

    e->options.header_timeout_ns = FG_S;
    FEED(e, "\r");
    expect_timer(e, FG_S); /* it may be anything */
    FEED(e, "\n");
    expect_timer(e, FG_NEVER);
    FEED(e, "\r\n\r");
    FEED(e, "\n\r\n" GET);
    expect_events(e, HEAD_OF_GET);
    engine_answer(e, ":status: 200\n", true);
    FEED(e, "\r");
    FEED(e, "\n" GET);
    expect_events(e, "CLOSE complete\n" HEAD_OF_GET);
    finish(e);
    e = served();
    FEED(e, "\r");
    FEED(e, "\r\n");
    expect_refused(e, FG_H1_FAULT_LINE, "400 Bad Request");
    finish(e);
}

static void empty_lines_behind_a_request_are_not_a_pipelined_one(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx\r\n\r\n");
    expect_events(e, "HEAD :method=POST :scheme=http :authority=a :path=/ content-length=1\nDATA \"x\" end\n");
    assert_true(fg_h1_conn_wants_read(&e->conn));
    engine_answer(e, ":status: 200\n", true);
    expect_out(e, EMPTY_200);
    expect_timer(e, FG_NEVER); /* no head is being waited for */
    expect_stays(e);
    finish(e);
}

/* ---- pipelining ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    static const char wire[] = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n"
                               "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"
                               "\r\nGET /3 HTTP/1.1\r\nhost: a\r\n\r\n";
    (void)state;

    for (size_t cut = 0; cut < sizeof wire; cut++) {
        struct engine *e = served();
        engine_feed(e, wire, cut);
        engine_feed(e, wire + cut, sizeof wire - 1 - cut);
        expect_events(e, "HEAD end :method=GET :scheme=http :authority=a :path=/1\n");
        assert_false(fg_h1_conn_wants_read(&e->conn)); /* what follows waits in the socket */
        engine_answer(e, ":status: 200\n", false);
        engine_content(e, "first", true);
        expect_out(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n");
        expect_events(e, "CLOSE complete\nHEAD :method=POST :scheme=http :authority=a :path=/2 content-length=3\nDATA "
                         "\"abc\" end\n");
        engine_answer(e, ":status: 204\n", true);
        expect_events(e, "CLOSE complete\nHEAD end :method=GET :scheme=http :authority=a :path=/3\n");
        assert_true(fg_h1_conn_wants_read(&e->conn));
        engine_answer(e, ":status: 200\n", true);
        expect_out(e, "HTTP/1.1 204 No Content\r\n\r\n" EMPTY_200);
        expect_events(e, "CLOSE complete\n");
        expect_stays(e);
        finish(e);
    }
}

static void a_pipelined_head_may_be_cut(void **state)
{
    struct engine *e = served();
    (void)state;

    e->options.header_timeout_ns = FG_S;
    FEED(e, GET "GET / HT");
    pass(e, 10 * FG_S); /* it waits for us, and not the other way round */
    expect_events(e, HEAD_OF_GET);
    engine_answer(e, ":status: 200\n", true);
    expect_out(e, EMPTY_200);
    expect_timer(e, FG_S);
    FEED(e, "TP/1.1\r\nhost: a\r\n\r\n");
    expect_events(e, "CLOSE complete\n" HEAD_OF_GET);
    expect_timer(e, FG_NEVER);
    finish(e);
}

static void a_malformed_pipelined_request_does_not_harm_the_one_before(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, GET "BAD\r\n\r\n");
    expect_events(e, HEAD_OF_GET);
    assert_int_equal(e->conn.fault, FG_H1_FAULT_NONE);
    engine_answer(e, ":status: 200\n", false);
    engine_content(e, "ok", true);
    engine_pull(e);
    expect_events(e, "CLOSE complete\n");
    assert_int_equal(e->conn.fault, FG_H1_FAULT_REQUEST_LINE);
    assert_non_null(strstr(e->out.p, "2\r\nok\r\n0\r\n\r\nHTTP/1.1 400 Bad Request\r\n"));
    finish(e);
}

static void nothing_is_read_behind_an_answer_that_closes(void **state)
{
    static const char *const requests[] = {"GET / HTTP/1.0\r\n\r\n" GET,
                                           "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" GET "junk"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(requests); i++) {
        struct engine *e = served();
        e->on_event = answer_at_end;
        engine_feed(e, requests[i], strlen(requests[i]));
        FEED(e, GET);
        engine_pull(e);
        assert_string_equal(e->out.p, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        assert_string_equal(strchr(engine_events(e), '\n'), "\nCLOSE complete\n");
        assert_int_equal(e->conn.fault, FG_H1_FAULT_NONE);
        assert_true(fg_h1_conn_is_done(&e->conn));
        finish(e);
    }
}

/* ---- content ---- */

static void a_bad_chunk_ends_the_request_and_is_answered(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n5 5\r\nhello" GET);
    expect_events(e, "HEAD :method=POST :scheme=http :authority=a :path=/\nDATA \"ok\"\n"
                     "CLOSE fault: a chunk size is not a hexadecimal number\n");
    expect_refused(e, FG_H1_FAULT_CHUNK_SIZE, "400 Bad Request");
    finish(e);
}

static void a_forbidden_trailer_ends_the_request(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: 1\r\nupgrade: h2c\r\n\r\n");
    expect_events(e, "HEAD :method=POST :scheme=http :authority=a :path=/\n"
                     "CLOSE fault: a trailer field is malformed or not allowed\n");
    expect_refused(e, FG_H1_FAULT_TRAILER, "400 Bad Request");
    finish(e);
}

static void content_that_is_not_consumed_holds_back_reading(void **state)
{
    struct engine *e = served();
    (void)state;

    e->options.window = 4;
    e->keeps_data = true;
    FEED(e, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1234");
    assert_true(fg_h1_conn_wants_read(&e->conn));
    FEED(e, "5");
    assert_false(fg_h1_conn_wants_read(&e->conn));
    unsigned told = e->outputs_told;
    fg_h1_stream_consume(e->stream, 1);
    assert_int_equal(e->outputs_told, told + 1);
    assert_true(fg_h1_conn_wants_read(&e->conn));
    finish(e);
}

/* ---- ends ---- */

static void a_client_that_ends_in_the_middle_is_heard_of_when_the_connection_is_lost(void **state)
{
    static const struct {
        const char *sent, *events;
        bool done;
    } cases[] = {
        {"", "", true},
        {"\r", "", true},
        {"GET / HT", "", true},
        {"GET / HTTP/1.1\r\nhost: a\r\n", "", true},
        {GET, "HEAD end :method=GET :scheme=http :authority=a :path=/\nCLOSE connection: gone\n", false},
        {GET "GET", "HEAD end :method=GET :scheme=http :authority=a :path=/\nCLOSE connection: gone\n", false},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx",
         "HEAD :method=POST :scheme=http :authority=a :path=/ content-length=2\nDATA \"x\"\nCLOSE connection: gone\n",
         false},
        {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
         "HEAD :method=POST :scheme=http :authority=a :path=/\nDATA \"x\"\nCLOSE connection: gone\n", false},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = served();
        engine_feed(e, cases[i].sent, strlen(cases[i].sent));
        fg_h1_conn_eof(&e->conn);
        assert_int_equal(fg_h1_conn_is_done(&e->conn), cases[i].done);
        fg_h1_conn_lost(&e->conn, "gone");
        expect_events(e, cases[i].events);
        assert_true(fg_h1_conn_is_done(&e->conn));
        expect_out(e, "");
        finish(e);
    }
}

static void a_request_of_which_something_came_is_served_before_a_drain(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "GET / HTTP/1.1\r\n");
    fg_h1_conn_drain(&e->conn);
    assert_false(fg_h1_conn_is_done(&e->conn));
    FEED(e, "host: a\r\n\r\n" GET);
    expect_events(e, HEAD_OF_GET);
    engine_answer(e, ":status: 200\n", true);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    expect_events(e, "CLOSE complete\n");
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

static void a_drain_without_a_request_closes(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, "\r\n");
    fg_h1_conn_drain(&e->conn);
    assert_true(fg_h1_conn_is_done(&e->conn));
    FEED(e, GET);
    expect_events(e, "");
    expect_out(e, "");
    finish(e);
}

static void a_reset_cuts_the_connection(void **state)
{
    struct engine *e = served();
    (void)state;

    FEED(e, GET GET);
    fg_h1_stream_reset(e->stream);
    expect_out(e, "");
    assert_true(fg_h1_conn_is_done(&e->conn));
    FEED(e, GET);
    expect_events(e, HEAD_OF_GET); /* no on_close, and no further request */
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_in_single_bytes_is_that_in_one_piece),
        cmocka_unit_test(a_target_that_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(an_absolute_target_is_host_and_path),
        cmocka_unit_test(connection_options_are_those_of_all_their_fields),
        cmocka_unit_test(connection_options_are_few),
        cmocka_unit_test(another_protocol_is_not_answered),
        cmocka_unit_test(an_empty_line_before_a_request_may_come_in_two_pieces),
        cmocka_unit_test(empty_lines_behind_a_request_are_not_a_pipelined_one),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_pipelined_head_may_be_cut),
        cmocka_unit_test(a_malformed_pipelined_request_does_not_harm_the_one_before),
        cmocka_unit_test(nothing_is_read_behind_an_answer_that_closes),
        cmocka_unit_test(a_bad_chunk_ends_the_request_and_is_answered),
        cmocka_unit_test(a_forbidden_trailer_ends_the_request),
        cmocka_unit_test(content_that_is_not_consumed_holds_back_reading),
        cmocka_unit_test(a_client_that_ends_in_the_middle_is_heard_of_when_the_connection_is_lost),
        cmocka_unit_test(a_request_of_which_something_came_is_served_before_a_drain),
        cmocka_unit_test(a_drain_without_a_request_closes),
        cmocka_unit_test(a_reset_cuts_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
