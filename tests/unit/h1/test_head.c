#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "h1/head.h"

static const struct fg_h1_limits limits = {.max_head_bytes = 1024, .max_fields = 8};

struct parsed {
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_h1_head request;
    enum fg_h1_fault fault;
    ssize_t result;
};

static void parse(struct parsed *p, const char *text, size_t len)
{
    fg_mem_init(&p->mem);
    fg_arena_init(&p->arena, &p->mem);
    p->fault = FG_H1_FAULT_NONE;
    p->result = fg_h1_head_parse(FG_H1_REQUEST, text, len, &limits, &p->arena, &p->request, &p->fault);
}

static void done(struct parsed *p)
{
    fg_arena_cleanup(&p->arena);
    fg_mem_cleanup(&p->mem);
}

static void reads_a_request(void **state)
{
    static const char text[] = "GET /streams?limit=5 HTTP/1.1\r\nHost: localhost:9901\r\nX-Long:  a b \t\r\n\r\nrest";
    struct parsed p;
    (void)state;

    parse(&p, text, sizeof text - 1);
    assert_int_equal(p.result, sizeof text - 1 - 4);
    assert_string_equal(p.request.method.p, "GET");
    assert_string_equal(p.request.target.p, "/streams?limit=5");
    assert_int_equal(p.request.minor_version, 1);
    assert_true(p.request.keep_alive);
    assert_int_equal(p.request.content_length, -1);
    assert_string_equal(fg_headers_get(&p.request.headers, FG_TOKEN_HOST)->value.p, "localhost:9901");
    assert_string_equal(fg_headers_find(&p.request.headers, FG_STR("x-long"))->value.p, "a b");
    done(&p);
}

static void wants_more_until_the_empty_line(void **state)
{
    static const char text[] = "POST / HTTP/1.0\r\ncontent-length: 3\r\nconnection: Keep-Alive\r\n\r\n";
    (void)state;

    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct parsed p;
        parse(&p, text, len);
        assert_int_equal(p.result, FG_H1_MORE);
        done(&p);
    }
    struct parsed p;
    parse(&p, text, sizeof text - 1);
    assert_int_equal(p.result, sizeof text - 1);
    assert_int_equal(p.request.content_length, 3);
    assert_true(p.request.keep_alive);
    done(&p);
}

/* What two parsers could read in two ways. */
static void refuses_what_smuggling_lives_on(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", 505},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i].text, strlen(cases[i].text));
        if (p.result != FG_H1_ERROR || fg_h1_fault_info(p.fault)->status != cases[i].status)
            fail_msg("case %zu: result %zd, status %u, not %u", i, p.result, fg_h1_fault_info(p.fault)->status,
                     cases[i].status);
        done(&p);
    }
}

static void caps_the_head(void **state)
{
    char text[2048] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    struct parsed p;
    (void)state;

    size_t at = strlen(text);
    memset(text + at, 'x', sizeof text - at);
    parse(&p, text, sizeof text);
    assert_int_equal(p.result, FG_H1_ERROR);
    assert_int_equal(fg_h1_fault_info(p.fault)->status, 431);
    done(&p);
    static const char many[] =
        "GET / HTTP/1.1\r\nHost: a\r\na:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\n\r\n";
    parse(&p, many, sizeof many - 1);
    assert_int_equal(p.result, FG_H1_ERROR);
    assert_int_equal(fg_h1_fault_info(p.fault)->status, 431);
    done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request),
        cmocka_unit_test(wants_more_until_the_empty_line),
        cmocka_unit_test(refuses_what_smuggling_lives_on),
        cmocka_unit_test(caps_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
