/* What `fusegate call` does before it connects and after it has been answered: URLs, fields, input, indentation, the
 * known details of errors, and dialects against bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cli/caller_dialect.h"
#include "cli/caller_input.h"
#include "cli/caller_print.h"
#include "cli/caller_types.h"

/* ---- the command line ---- */

static void urls_have_a_host_a_port_and_a_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        uint16_t port;
        bool tls;
    } cases[] = {
        {"http://127.0.0.1:8080/t.Echo/Unary", "127.0.0.1", "/t.Echo/Unary", 8080, false},
        {"HTTPS://a.example/p?q#f", "a.example", "/p?q", 443, true},
        {"localhost", "localhost", "/", 80, false},
        {"[::1]:5/x", "::1", "/x", 5, false},
        {"http://[::1]/x", "::1", "/x", 80, false},
    };
    struct fg_caller_url url;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        assert_null(fg_caller_url_parse(cases[i].text, &url));
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.tls, cases[i].tls);
        assert_int_equal(url.path.len, strlen(cases[i].path));
        assert_memory_equal(url.path.p, cases[i].path, url.path.len);
    }
    static const char *const wrong[] = {
        "",           "http://",        "ftp://x/", "http:///x", "http://u@h/x", "http://h:0x/x", "http://h/a b",
        "http://h?x", "http://h:99999/"};
    for (size_t i = 0; i < FG_ARRAY_LEN(wrong); i++)
        assert_non_null(fg_caller_url_parse(wrong[i], &url));
}

static void fields_are_a_name_and_a_value(void **state)
{
    (void)state;
    char buffer[FG_CALLER_NAME_BYTES], long_name[FG_CALLER_NAME_BYTES + 8];
    struct fg_str name, value;

    assert_true(fg_caller_field_parse("X-Mine:\t a: b ", buffer, &name, &value));
    assert_true(fg_str_eq(name, FG_STR("x-mine")));
    assert_true(fg_str_eq(value, FG_STR("a: b")));
    assert_true(fg_caller_field_parse("empty:", buffer, &name, &value));
    assert_int_equal(value.len, 0);
    assert_false(fg_caller_field_parse("none", buffer, &name, &value));
    assert_false(fg_caller_field_parse(": x", buffer, &name, &value));
    assert_false(fg_caller_field_parse("a b: x", buffer, &name, &value));
    assert_false(fg_caller_field_parse(":path: x", buffer, &name, &value));
    assert_false(fg_caller_field_parse("a: x\r\nb: y", buffer, &name, &value));
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name + FG_CALLER_NAME_BYTES, ":", 2);
    assert_false(fg_caller_field_parse(long_name, buffer, &name, &value));
}

/* ---- input ---- */

static void set_text(const struct fg_outq *q, char *out, size_t cap)
{
    assert_in_range(q->bytes, 0, cap - 1);
    fg_outq_read(q, out, q->bytes);
    out[q->bytes] = '\0';
}

static void input_is_cut_into_messages(void **state)
{
    (void)state;
    static const char *const expected[] = {"{\"a\":\"}\"}", "{\n}", "5", "[1]"};
    struct fg_caller_input input;
    struct fg_outq message;
    struct fg_loop loop;
    char text[64];

    assert_int_equal(fg_loop_init(&loop), 0);
    fg_outq_init(&message, &loop.mem);
    assert_int_equal(fg_caller_input_init(&input, &loop, " {\"a\":\"}\"}{\n} 5 [1]\n", true), -1);
    for (size_t i = 0; i < FG_ARRAY_LEN(expected); i++) {
        assert_int_equal(fg_caller_input_next(&input, &message), FG_CALLER_READ_MESSAGE);
        set_text(&message, text, sizeof text);
        assert_string_equal(text, expected[i]);
        fg_outq_cleanup(&message);
    }
    assert_int_equal(input.value_line, 2);
    assert_int_equal(input.value_column, 5);
    assert_int_equal(fg_caller_input_next(&input, &message), FG_CALLER_READ_END);
    fg_caller_input_cleanup(&input);
    fg_loop_cleanup(&loop);
}

static void no_input_is_one_message_unless_there_may_be_many(void **state)
{
    (void)state;
    struct fg_caller_input input;
    struct fg_outq message;
    struct fg_loop loop;

    assert_int_equal(fg_loop_init(&loop), 0);
    fg_outq_init(&message, &loop.mem);
    assert_int_equal(fg_caller_input_init(&input, &loop, " \n", false), -1);
    assert_int_equal(fg_caller_input_next(&input, &message), FG_CALLER_READ_MESSAGE);
    assert_int_equal(message.bytes, 0);
    assert_int_equal(fg_caller_input_next(&input, &message), FG_CALLER_READ_END);
    fg_caller_input_cleanup(&input);
    assert_int_equal(fg_caller_input_init(&input, &loop, " \n", true), -1);
    assert_int_equal(fg_caller_input_next(&input, &message), FG_CALLER_READ_END);
    fg_caller_input_cleanup(&input);
    fg_loop_cleanup(&loop);
}

/* ---- output ---- */

static void indentation_leaves_strings_alone(void **state)
{
    (void)state;
    struct fg_outq json, out;
    struct fg_mem mem;
    char text[256];
    static const char compact[] = "{\"a\":[1,{\"b\":\"{\\\"[,:\"}],\"c\":{},\"d\":[ ]}";

    fg_mem_init(&mem);
    fg_outq_init(&json, &mem);
    fg_outq_init(&out, &mem);
    fg_outq_copy(&json, compact, sizeof compact - 1);
    fg_caller_indent(&json, &out);
    set_text(&out, text, sizeof text);
    assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"{\\\"[,:\"\n    }\n  ],\n  \"c\": {},\n"
                              "  \"d\": []\n}");
    fg_outq_cleanup(&json);
    fg_outq_cleanup(&out);
    fg_mem_cleanup(&mem);
}

/* ---- dialects ---- */

/* As in an initializer of static data. */
#define LITERAL(text)                                                                                                  \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }

struct heard {
    struct fg_caller_options options;
    struct fg_caller_link link;
    struct fg_caller_call call;
    char messages[256]; /* each and a bar */
};

static void on_message(struct fg_caller_call *call, struct fg_outq *message)
{
    struct heard *heard = call->user;
    size_t at = strlen(heard->messages);

    assert_in_range(at + message->bytes, 0, sizeof heard->messages - 2);
    fg_outq_read(message, heard->messages + at, message->bytes);
    memcpy(heard->messages + at + message->bytes, "|", 2);
}

/* The answer BODY in pieces of STEP bytes. */
static void hear(struct heard *heard, const struct fg_caller_dialect *dialect, bool streams, unsigned status,
                 const char *type, struct fg_str body, size_t step)
{
    struct fg_caller_call *call = &heard->call;
    struct fg_headers none;

    *heard = (struct heard){.messages = ""};
    heard->link.options = &heard->options;
    heard->link.deadline_ns = FG_NEVER;
    assert_int_equal(fg_loop_init(&heard->link.loop), 0);
    fg_caller_call_init(call, &heard->link, dialect);
    call->on_message = on_message;
    call->user = heard;
    call->server_streams = streams;
    call->http_status = status;
    call->content_type = fg_str_from(type);
    fg_headers_init(&none);
    dialect->on_head(call, &none);
    for (size_t at = 0; at < body.len && call->result == FG_CALLER_OPEN; at += step) {
        fg_outq_copy(&call->in, body.p + at, FG_MIN(step, body.len - at));
        dialect->on_body(call);
    }
    if (call->result == FG_CALLER_OPEN)
        dialect->on_end(call, NULL);
}

static void forget(struct heard *heard)
{
    fg_caller_call_cleanup(&heard->call);
    fg_loop_cleanup(&heard->link.loop);
}

static void answers_may_come_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const struct {
        const struct fg_caller_dialect *dialect;
        bool streams;
        const char *type;
        struct fg_str body;
    } cases[] = {
        {&fg_caller_grpc_web, true, "application/grpc-web+proto",
         LITERAL("\0\0\0\0\1a\0\0\0\0\2bc\x80\0\0\0\x20"
                 "Grpc-Status: 5\r\ngrpc-message:x\r\n")},
        {&fg_caller_grpc_web_text, true, "application/grpc-web-text",
         LITERAL("AAAAAAFhAAAAAAJiYw==gAAAACBHcnBjLVN0YXR1czogNQ0KZ3JwYy1tZXNzYWdlOngNCg==")},
        {&fg_caller_connect, true, "application/connect+proto",
         LITERAL("\0\0\0\0\1a\0\0\0\0\2bc\2\0\0\0\x2c"
                 "{\"error\":{\"code\":\"not_found\",\"message\":\"x\"}}")},
        {&fg_caller_rest, true, "application/x-ndjson",
         LITERAL("a\nbc\n{\"error\":{\"error\":\"x\",\"code\":5,\"status\":\"NOT_FOUND\"}}\n")},
    };
    struct heard heard;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= cases[i].body.len; step++) {
            hear(&heard, cases[i].dialect, cases[i].streams, 200, cases[i].type, cases[i].body, step);
            assert_string_equal(heard.messages, "a|bc|");
            assert_int_equal(heard.call.result, FG_CALLER_STATUS);
            assert_int_equal(heard.call.code, FG_STATUS_NOT_FOUND);
            assert_true(fg_str_eq(heard.call.message, FG_STR("x")));
            forget(&heard);
        }
}

static void rest_finds_the_status_where_others_have_it(void **state)
{
    (void)state;
    static const struct {
        unsigned http;
        enum fg_status code;
        const char *body, *message;
    } cases[] = {
        {404, FG_STATUS_NOT_FOUND, "{\"error\":{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOUND\"}}", "m"},
        {400, FG_STATUS_OUT_OF_RANGE, "{\"code\":11,\"message\":\"m\",\"details\":[]}", "m"},
        {503, FG_STATUS_UNAVAILABLE, "upstream gone", "HTTP 503: upstream gone"},
        {429, FG_STATUS_RESOURCE_EXHAUSTED, "", "HTTP 429"},
    };
    struct heard heard;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        hear(&heard, &fg_caller_rest, false, cases[i].http, "application/json", fg_str_from(cases[i].body), 7);
        assert_int_equal(heard.call.result, FG_CALLER_STATUS);
        assert_int_equal(heard.call.code, cases[i].code);
        assert_int_equal(heard.call.message.len, strlen(cases[i].message));
        assert_memory_equal(heard.call.message.p, cases[i].message, heard.call.message.len);
        forget(&heard);
    }
}

static void what_is_cut_or_malformed_is_no_status(void **state)
{
    (void)state;
    static const struct {
        const struct fg_caller_dialect *dialect;
        const char *type;
        struct fg_str body;
    } cases[] = {
        {&fg_caller_grpc, "application/grpc", {"\0\0\0\0\5a", 6}},
        {&fg_caller_grpc_web, "application/grpc-web", {"\x80\0\0\0\3a:b", 8}},
        {&fg_caller_grpc_web, "application/grpc-web", {"", 0}},
        {&fg_caller_grpc_web_text, "application/grpc-web-text", {"!!!!", 4}},
        {&fg_caller_connect, "application/connect+proto", {"\2\0\0\0\1[", 6}},
        {&fg_caller_connect, "application/connect+proto", {"\0\0\0\0\1a", 6}},
        {&fg_caller_connect, "text/html", {"<p>", 3}},
    };
    struct heard heard;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        hear(&heard, cases[i].dialect, true, 200, cases[i].type, cases[i].body, 1);
        assert_int_equal(heard.call.result, FG_CALLER_BROKEN);
        assert_true(heard.call.message.len > 0);
        forget(&heard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_have_a_host_a_port_and_a_path),
        cmocka_unit_test(fields_are_a_name_and_a_value),
        cmocka_unit_test(input_is_cut_into_messages),
        cmocka_unit_test(no_input_is_one_message_unless_there_may_be_many),
        cmocka_unit_test(indentation_leaves_strings_alone),
        cmocka_unit_test(answers_may_come_in_pieces_of_any_size),
        cmocka_unit_test(rest_finds_the_status_where_others_have_it),
        cmocka_unit_test(what_is_cut_or_malformed_is_no_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
