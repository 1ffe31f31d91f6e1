#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "cli/replay_line.h"
#include "observe/access_line.h"

static struct fg_replay_line *line_of(const char *text)
{
    struct fg_replay_line *line = fg_alloc_zero(sizeof *line);
    fg_replay_line_read(line, text, strlen(text));
    return line;
}

static void drop(struct fg_replay_line *line)
{
    fg_replay_line_cleanup(line);
    free(line);
}

static void assert_str(struct fg_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.p, expected, text.len);
}

/* What the log writes is what replay reads. */
static void lines_of_the_log_are_read_back(void **state)
{
    static char text[FG_ACCESS_LINE_BYTES];
    struct fg_access_second second = {0};
    struct fg_outcome first = {.method = FG_STR("/s/M"),
                               .cluster = FG_STR("c"),
                               .endpoint = FG_STR("10.0.0.1:1"),
                               .phase = FG_PHASE_DONE,
                               .code = FG_STATUS_UNAVAILABLE,
                               .source = FG_SOURCE_TRAILERS_ONLY,
                               .class = FG_CLASS_OVERLOAD,
                               .start_ns = 5 * FG_S + 1500,
                               .first_message_ns = 5 * FG_S + 7 * FG_MS,
                               .end_ns = 6 * FG_S + 999,
                               .messages_down = 3,
                               .pushback = true};
    (void)state;

    first.stall_ns[FG_WAIT_GATE] = 2 * FG_MS;
    struct fg_outcome last = first;
    last.start_ns = last.end_ns = 7 * FG_S;
    last.first_message_ns = 0;
    last.pushback = false;
    last.source = FG_SOURCE_CONNECT;
    last.phase = FG_PHASE_QUEUED;
    struct fg_attempt attempts[2] = {{.outcome = first}, {.outcome = last}};
    attempts[1].previous = &attempts[0];
    struct fg_call call = {.priority = 2, .weight = 30, .start_ns = 5 * FG_S, .attempt = &attempts[1], .outcome = last};
    call.outcome.start_ns = 5 * FG_S;
    call.outcome.end_ns = 8 * FG_S + 123456;
    fg_access_line(
        text,
        &(struct fg_access_record){
            .call = &call, .outcome = &call.outcome, .peer = "127.0.0.1:1", .wall_ns = 1700000000042 * FG_MS},
        &second);

    struct fg_replay_line *line = line_of(text);
    assert_int_equal(line->kind, FG_REPLAY_LINE_CALL);
    assert_true(line->wall_ms == 1700000000042);
    assert_int_equal(line->end_us, 8000123);
    assert_int_equal(line->priority, 2);
    assert_int_equal(line->weight, 30);
    assert_str(line->call.method, "/s/M");
    assert_str(line->call.cluster, "c");
    assert_int_equal(line->call.source, FG_SOURCE_CONNECT);
    assert_int_equal(line->attempts_len, 2);
    const struct fg_outcome *read = line->attempts;
    assert_str(read[0].endpoint, "10.0.0.1:1");
    assert_int_equal(read[0].code, FG_STATUS_UNAVAILABLE);
    assert_int_equal(read[0].source, FG_SOURCE_TRAILERS_ONLY);
    assert_int_equal(read[0].phase, FG_PHASE_DONE);
    assert_int_equal(read[0].class, FG_CLASS_OVERLOAD);
    assert_true(read[0].start_ns == 5 * FG_S + 1000);
    assert_true(read[0].end_ns == 6 * FG_S);
    assert_true(read[0].first_message_ns == 5 * FG_S + 7 * FG_MS);
    assert_int_equal(read[0].messages_down, 3);
    assert_true(read[0].stall_ns[FG_WAIT_STREAM_SLOT] == 2 * FG_MS);
    assert_true(read[0].pushback);
    assert_true(read[1].start_ns == 7 * FG_S && read[1].end_ns == 7 * FG_S);
    assert_true(read[1].first_message_ns == 0);
    assert_false(read[1].pushback);
    drop(line);
}

static void assert_kind(const char *text, enum fg_replay_line_kind kind)
{
    struct fg_replay_line *line = line_of(text);
    if (line->kind != kind)
        fail_msg("kind %d, not %d: %s", line->kind, kind, text);
    drop(line);
}

#define OLD "\"method\":\"/s/M\",\"code\":\"OK\",\"duration_ms\":1.5"

static void each_line_is_told_what_it_is(void **state)
{
    (void)state;
    assert_kind("{" OLD ",\"end_us\":5,\"attempts\":[]}", FG_REPLAY_LINE_CALL);
    assert_kind("{" OLD "}", FG_REPLAY_LINE_OLD);
    assert_kind("{" OLD ",\"end_us\":5}", FG_REPLAY_LINE_OLD);
    assert_kind("{" OLD ",\"end_us\":\"5\",\"attempts\":[]}", FG_REPLAY_LINE_OLD);
    assert_kind("{\"level\":\"info\"}", FG_REPLAY_LINE_OTHER);
    assert_kind("{}", FG_REPLAY_LINE_OTHER);
    assert_kind("{\"final\":false,\"method\":\"/s/M\",\"duration_ms\":1.5}", FG_REPLAY_LINE_SO_FAR);
    assert_kind("{" OLD ",\"end_us\":5,\"attempts\":[],\"final\":true}", FG_REPLAY_LINE_CALL);
    assert_kind("{" OLD ",\"end_us\":5,\"attempts\":[{\"code\":", FG_REPLAY_LINE_BROKEN);
    assert_kind("", FG_REPLAY_LINE_BROKEN);
    assert_kind("[]", FG_REPLAY_LINE_BROKEN);
    assert_kind("127.0.0.1 - - [GET /]", FG_REPLAY_LINE_BROKEN);
    assert_kind("\xff\xfe", FG_REPLAY_LINE_BROKEN);
}

/* Anybody may have written the file. */
static void fields_of_wrong_types_do_no_harm(void **state)
{
    struct fg_replay_line *line =
        line_of("{\"time\":7,\"end_us\":-5,\"method\":\"\",\"cluster\":[],\"code\":\"NOVEL\",\"source\":{},\"phase\":1,"
                "\"priority\":99,\"weight\":-3,\"duration_ms\":1e300,\"attempts\":[1,null,[],{},"
                "{\"endpoint\":\"e\",\"code\":\"OK\",\"source\":\"novel\",\"start_us\":1e308,\"duration_us\":1e30,"
                "\"waited_us\":\"x\",\"pushback\":\"yes\",\"surprise\":{\"a\":[1]}}]}");
    (void)state;

    assert_int_equal(line->kind, FG_REPLAY_LINE_CALL);
    assert_int_equal(line->end_us, 0);
    assert_int_equal(line->wall_ms, 0);
    assert_int_equal(line->priority, 2);
    assert_int_equal(line->call.code, FG_STATUS_UNKNOWN);
    assert_int_equal(line->attempts_len, 2);
    assert_int_equal(line->attempts_omitted, 3);
    assert_str(line->attempts[0].endpoint, "");
    assert_int_equal(line->attempts[1].source, FG_SOURCE_CLIENT_GONE);
    assert_false(line->attempts[1].pushback);
    drop(line);
}

static void more_attempts_than_any_log_has_are_counted(void **state)
{
    char text[4096] = "{" OLD ",\"end_us\":5,\"attempts_omitted\":7,\"attempts\":[{}";
    (void)state;

    for (int i = 1; i < 100; i++)
        strncat(text, ",{}", sizeof text - strlen(text) - 1);
    strncat(text, "]}", sizeof text - strlen(text) - 1);
    struct fg_replay_line *line = line_of(text);
    assert_int_equal(line->attempts_len, FG_REPLAY_ATTEMPTS_MAX);
    assert_int_equal(line->attempts_omitted, 7 + 100 - FG_REPLAY_ATTEMPTS_MAX);
    drop(line);
}

static void assert_wall(const char *time, uint64_t ms)
{
    char text[200];

    snprintf(text, sizeof text, "{" OLD ",\"end_us\":5,\"attempts\":[],\"time\":\"%s\"}", time);
    struct fg_replay_line *line = line_of(text);
    if (line->wall_ms != ms)
        fail_msg("%s is %llu", time, (unsigned long long)line->wall_ms);
    drop(line);
}

static void times_of_the_day_are_read(void **state)
{
    (void)state;
    assert_wall("1970-01-01T00:00:01.002Z", 1002);
    assert_wall("2024-02-29T23:59:59.999Z", 1709251199999);
    assert_wall("2024-02-29T23:59:59.999", 0);
    assert_wall("2024-02-29T23:59:59Z", 0);
    assert_wall("yesterday", 0);
    assert_wall("", 0);
    assert_wall("2024-02-29T23:59:59.999Z and a very long rest of it", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_log_are_read_back),
        cmocka_unit_test(each_line_is_told_what_it_is),
        cmocka_unit_test(fields_of_wrong_types_do_no_harm),
        cmocka_unit_test(more_attempts_than_any_log_has_are_counted),
        cmocka_unit_test(times_of_the_day_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
