/* What we say: heads, framing, 100-continue, and never more than was announced. */
#include "expect.h"

#define GET  "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n"

static struct engine *served(const char *request)
{
    struct engine *e = engine_new(FG_H1_SERVER);

    engine_feed(e, request, strlen(request));
    return e;
}

/* ---- the length of an answer ---- */

static void the_length_that_is_said_is_that_of_the_framing(void **state)
{
    static const struct {
        const char *request, *fields, *content, *wire;
    } cases[] = {
        {GET, ":status: 200\n", NULL, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
        {GET, ":status: 200\ncontent-length: 2\n", "ok", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
        {GET, ":status: 200\n", "ok", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
        {GET, ":status: 200\ncontent-length: x\n", "ok",
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
        {GET, ":status: 200\ntransfer-encoding: gzip\nconnection: x\nupgrade: y\nkeep-alive: z\nte: trailers\n", NULL,
         "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
        {GET, ":status: 204\n", NULL, "HTTP/1.1 204 No Content\r\n\r\n"},
        {GET, ":status: 204\ncontent-length: 0\n", NULL, "HTTP/1.1 204 No Content\r\n\r\n"},
        {GET, ":status: 204\n", "odd", "HTTP/1.1 204 No Content\r\n\r\n"},
        {GET, ":status: 304\ncontent-length: 7\n", NULL, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"},
        {GET, ":status: 304\n", "odd", "HTTP/1.1 304 Not Modified\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", ":status: 200\ncontent-length: 7\n", NULL,
         "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", ":status: 200\n", "content", "HTTP/1.1 200 OK\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", ":status: 200\ncontent-length: 7\n", "content",
         "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = served(cases[i].request);
        engine_answer(e, cases[i].fields, !cases[i].content);
        if (cases[i].content)
            engine_content(e, cases[i].content, true);
        expect_out(e, cases[i].wire);
        assert_non_null(strstr(engine_events(e), "CLOSE complete\n"));
        assert_false(fg_h1_conn_is_done(&e->conn)); /* the next request is welcome */
        finish(e);
    }
}

static void more_content_than_announced_is_not_sent(void **state)
{
    struct engine *e = served(GET GET);
    (void)state;

    engine_answer(e, ":status: 200\ncontent-length: 3\n", false);
    engine_content(e, "ab", false);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab");
    engine_content(e, "cHTTP/1.1 200 OK\r\n\r\n", false); /* would be the answer to the second request */
    expect_out(e, "c");
    engine_content(e, "more", true);
    expect_out(e, "");
    assert_true(fg_h1_conn_is_done(&e->conn)); /* whoever cannot count is not asked again */
    expect_events(e, "HEAD end :method=GET :scheme=http :authority=a :path=/\nCLOSE complete\n");
    finish(e);
}

static void less_content_than_announced_ends_the_connection(void **state)
{
    struct engine *e = served(GET GET);
    (void)state;

    engine_answer(e, ":status: 200\ncontent-length: 3\n", false);
    engine_content(e, "ab", true);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab");
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

static void a_request_never_has_more_content_than_announced(void **state)
{
    struct engine *e = engine_new(FG_H1_CLIENT);
    (void)state;

    engine_request(e, ":method: POST\n:path: /\n:authority: a\ncontent-length: 1\n", false);
    engine_content(e, "xGET /admin HTTP/1.1\r\n\r\n", true);
    expect_out(e, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
    FEED(e, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_int_equal(fg_h1_conn_free_slots(&e->conn), 0);
    finish(e);
}

static void an_answer_to_http_1_0_ends_with_the_connection(void **state)
{
    struct engine *e = served("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    (void)state;

    engine_answer(e, ":status: 100\n", false); /* it knows no interim answers */
    engine_answer(e, ":status: 200\n", false);
    engine_content(e, "ok", true);
    expect_out(e, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok");
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
    e = served("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    engine_answer(e, ":status: 200\ncontent-length: 2\n", false);
    engine_content(e, "ok", true);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
    assert_false(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

static void trailers_follow_chunks_alone(void **state)
{
    struct engine *e = served(GET GET);
    (void)state;

    engine_answer(e, ":status: 200\n", false);
    engine_content(e, "ok", false);
    engine_trailers(e, "grpc-status: 0\ncontent-length: 5\ntransfer-encoding: x\n");
    expect_out(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n");
    engine_answer(e, ":status: 200\ncontent-length: 2\n", false);
    engine_content(e, "ok", false);
    engine_trailers(e, "grpc-status: 0\n");
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    finish(e);
}

/* ---- requests ---- */

static void a_request_cannot_be_made_two_by_what_it_names(void **state)
{
    struct engine *e = engine_new(FG_H1_CLIENT);
    (void)state;

    engine_request(e, ":method: GET /x HTTP/1.1\r\n:path: /a b\r\t#\x7f\xc3\xa9%20\n:authority: a\n", true);
    expect_out(e, "GET%20%2Fx%20HTTP%2F1.1%0D /a%20b%0D%09%23%7F%C3%A9%20 HTTP/1.1\r\nhost: a\r\n\r\n");
    finish(e);
}

static void requests_say_what_their_framing_is(void **state)
{
    static const struct {
        const char *fields, *wire;
        bool end;
    } cases[] = {
        {":method: GET\n:path: /\n:authority: a\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", true},
        {":method: POST\n:path: /\n:authority: a\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", true},
        {":method: POST\n:path: /\n:authority: a\n", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
         false},
        {":method: PUT\n:path: /\n:authority: a\ncontent-length: 4\nhost: b\n",
         "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n", false},
        {":method: GET\n:path: /\n:authority: a\ncookie: a=b\nx: y\ncookie: c=d\n",
         "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n", true},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct engine *e = engine_new(FG_H1_CLIENT);
        engine_request(e, cases[i].fields, cases[i].end);
        expect_out(e, cases[i].wire);
        finish(e);
    }
}

/* ---- 100-continue ---- */

static void content_is_asked_for_when_the_request_was_not_refused_at_once(void **state)
{
    struct engine *e = served(POST "expect: 100-Continue\r\n\r\n");
    (void)state;

    expect_out(e, "HTTP/1.1 100 Continue\r\n\r\n");
    FEED(e, "ok");
    expect_events(e, "HEAD :method=POST :scheme=http :authority=a :path=/ content-length=2\nDATA \"ok\" end\n");
    engine_answer(e, ":status: 200\n", true);
    expect_out(e, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_false(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

static void refuse(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    (void)buf;
    (void)flags;
    if (headers)
        engine_answer(e, ":status: 403\n", true);
}

static void a_request_that_is_refused_at_once_is_not_asked_for_its_content(void **state)
{
    struct engine *e = engine_new(FG_H1_SERVER);
    (void)state;

    e->on_event = refuse;
    FEED(e, POST "expect: 100-continue\r\n\r\n");
    expect_out(e, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_false(fg_h1_conn_is_done(&e->conn)); /* the content may be on its way */
    FEED(e, "ok" GET);
    assert_true(fg_h1_conn_is_done(&e->conn));
    expect_events(e, "HEAD :method=POST :scheme=http :authority=a :path=/ content-length=2\nDATA \"ok\" end\n"
                     "CLOSE complete\n");
    finish(e);
}

static void nobody_is_asked_for_content_that_comes_anyway_or_is_none(void **state)
{
    static const char *const requests[] = {
        "POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n", /* RFC 9110 section 10.1.1 */
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nexpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(requests); i++) {
        struct engine *e = served(requests[i]);
        expect_out(e, "");
        finish(e);
    }
}

static void another_expectation_is_refused(void **state)
{
    struct engine *e = served(POST "expect: tea\r\n\r\n");
    (void)state;

    expect_refused(e, FG_H1_FAULT_EXPECTATION, "417 Expectation Failed");
    finish(e);
}

static void an_endpoint_is_never_asked_what_it_expects(void **state)
{
    struct engine *e = served("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
    (void)state;

    expect_events(e,
                  "HEAD :method=POST :scheme=http :authority=a :path=/ content-length=2\n"); /* it is not passed on */
    finish(e);
}

/* ---- faults in the middle of an answer ---- */

static void a_fault_behind_the_beginning_of_an_answer_is_not_answered(void **state)
{
    struct engine *e = served("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    (void)state;

    engine_answer(e, ":status: 200\n", false);
    engine_content(e, "begun", false);
    engine_pull(e);
    text_clear(&e->out);
    FEED(e, "x");
    assert_int_equal(e->conn.fault, FG_H1_FAULT_CHUNK_SIZE);
    expect_out(e, ""); /* in particular no last chunk: the client must see that it is cut */
    assert_true(fg_h1_conn_is_done(&e->conn));
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_length_that_is_said_is_that_of_the_framing),
        cmocka_unit_test(more_content_than_announced_is_not_sent),
        cmocka_unit_test(less_content_than_announced_ends_the_connection),
        cmocka_unit_test(a_request_never_has_more_content_than_announced),
        cmocka_unit_test(an_answer_to_http_1_0_ends_with_the_connection),
        cmocka_unit_test(trailers_follow_chunks_alone),
        cmocka_unit_test(a_request_cannot_be_made_two_by_what_it_names),
        cmocka_unit_test(requests_say_what_their_framing_is),
        cmocka_unit_test(content_is_asked_for_when_the_request_was_not_refused_at_once),
        cmocka_unit_test(a_request_that_is_refused_at_once_is_not_asked_for_its_content),
        cmocka_unit_test(nobody_is_asked_for_content_that_comes_anyway_or_is_none),
        cmocka_unit_test(another_expectation_is_refused),
        cmocka_unit_test(an_endpoint_is_never_asked_what_it_expects),
        cmocka_unit_test(a_fault_behind_the_beginning_of_an_answer_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
