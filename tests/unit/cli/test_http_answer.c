#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cli/http_answer.h"

struct content {
    char text[256];
    size_t len;
};

static void keep(void *context, const char *data, size_t len)
{
    struct content *content = context;

    assert_true(content->len + len <= sizeof content->text);
    memcpy(content->text + content->len, data, len);
    content->len += len;
}

/* Reads TEXT in pieces of PIECE bytes; whether it was a whole answer. */
static bool reads(const char *text, size_t piece, bool closed, unsigned *status, struct content *content)
{
    struct fg_http_answer answer;
    size_t len = strlen(text);
    bool valid = true;

    content->len = 0;
    fg_http_answer_begin(&answer, keep, content);
    for (size_t at = 0; at < len && valid; at += piece)
        valid = fg_http_answer_feed(&answer, text + at, FG_MIN(piece, len - at));
    if (valid && closed)
        valid = fg_http_answer_end(&answer);
    *status = answer.status;
    assert_true(valid || answer.problem);
    bool whole = valid && answer.done;
    fg_http_answer_cleanup(&answer);
    return whole;
}

static void assert_answer(const char *text, bool closed, unsigned status, const char *expected)
{
    struct content content;
    unsigned got;

    for (size_t piece = 1; piece <= strlen(text); piece++) {
        if (!reads(text, piece, closed, &got, &content))
            fail_msg("not read in pieces of %zu: %s", piece, text);
        assert_int_equal(got, status);
        assert_int_equal(content.len, strlen(expected));
        assert_memory_equal(content.text, expected, content.len);
    }
}

static void answers_of_every_framing_are_read(void **state)
{
    (void)state;
    assert_answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello");
    assert_answer("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false, 404, "");
    assert_answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", false,
                  200, "hello!");
    assert_answer("HTTP/1.0 200 OK\r\n\r\nall of it", true, 200, "all of it");
}

static void assert_no_answer(const char *text, bool closed)
{
    struct content content;
    unsigned status;

    if (reads(text, 7, closed, &status, &content))
        fail_msg("taken for a whole answer: %s", text);
}

static void what_is_no_answer_is_said_to_be_none(void **state)
{
    (void)state;
    assert_no_answer("SSH-2.0-OpenSSH_9.2\r\n\r\n", false);
    assert_no_answer("HTTP/2 200\r\n\r\n", true);
    assert_no_answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", true);
    assert_no_answer("HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello", false);
    assert_no_answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", false);
    assert_no_answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n", false);
    assert_no_answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true);
    assert_no_answer("HTTP/1.1 200", true);
    assert_no_answer("", true);
}

static void an_endless_head_is_cut_off(void **state)
{
    static char text[3 * FG_HTTP_ANSWER_HEAD_BYTES];
    struct content content;
    unsigned status;
    (void)state;

    size_t at = (size_t)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n");
    while (at < sizeof text - 20)
        at += (size_t)snprintf(text + at, sizeof text - at, "x-a: 0123456\r\n");
    assert_false(reads(text, 1000, false, &status, &content));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_every_framing_are_read),
        cmocka_unit_test(what_is_no_answer_is_said_to_be_none),
        cmocka_unit_test(an_endless_head_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
