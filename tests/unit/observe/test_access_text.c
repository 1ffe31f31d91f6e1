/* Lines of templates, each as it stands in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "observe/access_text.h"

#define WALL_NS (1700000000ull * FG_S + 42 * FG_MS)

static const struct fg_dialect dialect = {.name = "grpc"};

struct fixture {
    struct fg_header fields[4];
    struct fg_str notes[FG_LOG_NOTES_MAX];
    struct fg_call call;
    struct fg_access_record record;
};

static void init(struct fixture *f)
{
    *f = (struct fixture){
        .fields = {{.name = FG_STR(":method"), .value = FG_STR("POST"), .token = FG_TOKEN_METHOD},
                   {.name = FG_STR(":path"), .value = FG_STR("/p.S/M?x=1"), .token = FG_TOKEN_PATH},
                   {.name = FG_STR(":authority"), .value = FG_STR("shop:80"), .token = FG_TOKEN_AUTHORITY},
                   {.name = FG_STR("user-agent"), .value = FG_STR("grpc-c/1"), .token = FG_TOKEN_USER_AGENT}},
        .notes = {FG_STR("first"), FG_STR("second")},
        .call = {.dialect = &dialect, .number = 77, .priority = 2, .weight = 7},
        .record = {.peer = "10.1.2.3:4567", .wall_ns = WALL_NS, .worker = 3},
    };
    f->call.request = (struct fg_headers){f->fields, 4, 4};
    f->call.notes = f->notes;
    f->call.outcome = (struct fg_outcome){
        .method = FG_STR("/p.S/M"),
        .cluster = FG_STR("c"),
        .endpoint = FG_STR("10.0.0.1:1"),
        .phase = FG_PHASE_DONE,
        .http_status = 200,
        .code = FG_STATUS_UNAVAILABLE,
        .source = FG_SOURCE_BREAKER,
        .class = FG_CLASS_FAILURE,
        .safe_to_retry = FG_SAFE_UNKNOWN,
        .reason = "BREAKER_OPEN",
        .bytes_up = 11,
        .bytes_down = 22,
        .messages_up = 3,
        .messages_down = 4,
        .start_ns = 5 * FG_S,
        .headers_ns = 5 * FG_S + 1500 * FG_US,
        .end_ns = 7 * FG_S + 5 * FG_US,
        .stall_ns = {[FG_WAIT_GATE] = 2 * FG_MS, [FG_WAIT_CONNECT] = 3 * FG_MS},
        .attempt = 2,
    };
    f->record.call = &f->call;
    f->record.outcome = &f->call.outcome;
}

static void expect_line(const struct fixture *f, const char *template, const char *expected)
{
    struct fg_access_second second = {0};
    struct fg_log_format format;
    char line[FG_ACCESS_LINE_BYTES], why[FG_LOG_WHY_BYTES];

    if (fg_log_format_compile(&format, template, why) != 0)
        fail_msg("%s: %s", template, why);
    size_t len = fg_access_text(line, &format, &f->record, &second);
    assert_int_equal(line[len - 1], '\n');
    line[len - 1] = '\0';
    assert_string_equal(line, expected);
    fg_log_format_cleanup(&format);
}

static void every_name_shows_its_value(void **state)
{
    struct fixture f;
    (void)state;

    init(&f);
    expect_line(&f, "%{time} %{time_clf} %{time_ms}",
                "2023-11-14T22:13:20.042Z 14/Nov/2023:22:13:20 +0000 1700000000042");
    expect_line(&f, "%{id} %{peer} %{peer_host} %{dialect} %{protocol}", "3-77 10.1.2.3:4567 10.1.2.3 grpc HTTP/2.0");
    expect_line(&f, "%{method}|%{http_method}|%{path}|%{authority}", "/p.S/M|POST|/p.S/M?x=1|shop:80");
    expect_line(&f, "%{cluster} %{endpoint} %{priority} %{weight} %{attempt}", "c 10.0.0.1:1 2 7 2");
    expect_line(&f, "%{code}=%{code_number} %{source} %{class} %{phase} %{safe_to_retry} %{reason}",
                "UNAVAILABLE=14 local_breaker failure done unknown BREAKER_OPEN");
    expect_line(&f, "%{http_status} %{bytes_up}/%{bytes_down} %{messages_up}/%{messages_down}", "200 11/22 3/4");
    expect_line(&f, "%{duration_ms} %{headers_ms} %{stall_ms} %{stall_ms:gate} %{stall_ms:socket}",
                "2000.005 1.500 5.000 2.000 0.000");
    expect_line(&f, "%{request:User-Agent} %{response:x-a} %{trailer:grpc-message}", "grpc-c/1 first second");
    expect_line(&f, "100%% of %{final}", "100% of true");
    f.call.is_http1 = true;
    expect_line(&f, "combined",
                "10.1.2.3 - - [14/Nov/2023:22:13:20 +0000] \"POST /p.S/M?x=1 HTTP/1.1\" 200 22 \"-\" \"grpc-c/1\" "
                "UNAVAILABLE 2000.005");
}

static void what_is_absent_is_a_dash(void **state)
{
    struct fixture f;
    (void)state;

    init(&f);
    f.call.request.len = 0;
    f.call.notes = NULL;
    f.call.outcome.endpoint = f.call.outcome.cluster = FG_STR("");
    f.call.outcome.reason = NULL;
    f.call.outcome.http_status = 0;
    f.call.outcome.headers_ns = 0;
    expect_line(&f,
                "%{cluster} %{endpoint} %{reason} %{http_status} %{rst_code} %{headers_ms} %{first_message_ms} %{path} "
                "%{request:x} %{response:x} %{trailer:x} %{wait} %{wait_ms}",
                "- - - - - - - - - - - - -");
}

static void a_call_in_progress_has_no_end(void **state)
{
    struct fixture f;
    (void)state;

    init(&f);
    f.record.kind = FG_ACCESS_SO_FAR;
    f.record.wait = (struct fg_wait){6 * FG_S, FG_WAIT_STREAM_WINDOW};
    expect_line(&f, "%{final} %{code} %{code_number} %{source} %{class} %{safe_to_retry} %{reason} %{phase}",
                "false - - - - - - done");
    expect_line(&f, "%{wait} %{wait_ms} %{bytes_down}", "stream_window 1000.005 22");
}

static void addresses_lose_their_port_alone(void **state)
{
    struct fixture f;
    (void)state;

    init(&f);
    f.record.peer = "[2001:db8::1]:443";
    expect_line(&f, "%{peer_host}", "2001:db8::1");
    f.record.peer = "unix:/run/a:b";
    expect_line(&f, "%{peer_host}", "unix:/run/a:b");
}

/* Whatever a client sends, a line stays one line, and what stands in quotes stays in them. */
static void clients_cannot_forge_lines(void **state)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"a\"b", "a\\\"b"},
        {"a\\", "a\\\\"},
        {"a\nb\rc\td", "a\\u000ab\\u000dc\\u0009d"},
        {"\x1b[31m\x7f", "\\u001b[31m\\u007f"},
        {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
        {"\xff\xc3", "\\u00ff\\u00c3"},
        {"\xc0\x8a\xed\xa0\x80", "\\u00c0\\u008a\\u00ed\\u00a0\\u0080"},
        {"x\xc2\x85y\xe2\x80\xa8z\xe2\x80\xa9", "x\\u0085y\\u2028z\\u2029"},
    };
    struct fixture f;
    char expected[128];
    (void)state;

    init(&f);
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        f.fields[3].value = fg_str_from(cases[i].value);
        snprintf(expected, sizeof expected, "\"%s\" OK?", cases[i].shown);
        expect_line(&f, "\"%{request:user-agent}\" OK?", expected);
        f.call.outcome.method = f.fields[3].value;
        snprintf(expected, sizeof expected, "[%s]", cases[i].shown);
        expect_line(&f, "[%{method}]", expected);
    }
}

static void the_longest_line_is_cut_and_still_ends(void **state)
{
    static char huge[60000], template[FG_LOG_FORMAT_MAX];
    struct fg_access_second second = {0};
    struct fg_log_format format;
    struct fixture f;
    char *line = malloc(FG_ACCESS_LINE_BYTES), why[FG_LOG_WHY_BYTES]; /* its end is watched */
    (void)state;

    init(&f);
    for (int byte = 0; byte < 3; byte++) {
        memset(huge, "\x01\xf0z"[byte], sizeof huge);
        f.fields[3].value = (struct fg_str){huge, sizeof huge};
        for (size_t pad = 0; pad < 8; pad++) {
            template[0] = '\0';
            for (size_t i = 0; i < pad; i++)
                strncat(template, ".", 2);
            for (int i = 0; i < 90; i++)
                strncat(template, "%{request:user-agent}%{duration_ms}%{time}", 64);
            assert_int_equal(fg_log_format_compile(&format, template, why), 0);
            size_t len = fg_access_text(line, &format, &f.record, &second);
            assert_in_range(len, FG_ACCESS_LINE_BYTES - 200, FG_ACCESS_LINE_BYTES);
            assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
            fg_log_format_cleanup(&format);
        }
    }
    free(line);
}

static void wrong_templates_are_refused(void **state)
{
    static const struct {
        const char *template, *why;
    } cases[] = {
        {"%{methd}", "there is no %{methd}; did you mean %{method}?"},
        {"%{zzzzzz}", "there is no %{zzzzzz}; a header of the request is %{request:NAME}"},
        {"%{code} %", "after % expected {NAME}, or %% for the sign itself"},
        {"%{code", "after % expected {NAME}, or %% for the sign itself"},
        {"%d", "after % expected {NAME}, or %% for the sign itself"},
        {"%{code:x}", "%{code} stands alone, without a colon"},
        {"%{request}", "%{request:NAME} needs the name of a header"},
        {"%{trailer:a b}", "%{trailer:NAME} needs the name of a header"},
        {"%{stall_ms:gat}", "there is no wait gat; did you mean gate?"},
        {"jsn", "expected json, combined, or a template such as %{method} %{code}"},
        {"", "expected json, combined, or a template such as %{method} %{code}"},
        {"%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}"
         "%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}%{trailer:a}",
         "expected at most 16 headers and trailers of the answer"},
    };
    struct fg_log_format format;
    char why[FG_LOG_WHY_BYTES];
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        assert_int_equal(fg_log_format_compile(&format, cases[i].template, why), -1);
        assert_string_equal(why, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_shows_its_value),    cmocka_unit_test(what_is_absent_is_a_dash),
        cmocka_unit_test(a_call_in_progress_has_no_end), cmocka_unit_test(addresses_lose_their_port_alone),
        cmocka_unit_test(clients_cannot_forge_lines),    cmocka_unit_test(the_longest_line_is_cut_and_still_ends),
        cmocka_unit_test(wrong_templates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
