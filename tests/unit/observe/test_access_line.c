#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "observe/access_line.h"

#define WALL_NS (1700000000ull * FG_S + 42 * FG_MS)

static json_t *line_of(const struct fg_call *call)
{
    static struct fg_access_second second;
    static char text[FG_ACCESS_LINE_BYTES];
    size_t len = fg_access_line(
        text,
        &(struct fg_access_record){.call = call, .outcome = &call->outcome, .peer = "127.0.0.1:1", .wall_ns = WALL_NS},
        &second);
    json_error_t error;

    assert_true(len <= sizeof text);
    assert_ptr_equal(memchr(text, '\n', len), text + len - 1);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root)
        fail_msg("not JSON at %d: %s: %.*s", error.position, error.text, (int)len, text);
    return root;
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        fail_msg("no text %s", key);
    return text;
}

static long long number_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        fail_msg("no number %s", key);
    return json_integer_value(value);
}

static struct fg_outcome outcome_of(enum fg_status code, uint64_t start_ns, uint64_t end_ns)
{
    return (struct fg_outcome){.method = FG_STR("/s/M"),
                               .cluster = FG_STR("c"),
                               .endpoint = FG_STR("10.0.0.1:1"),
                               .phase = FG_PHASE_DONE,
                               .code = code,
                               .source = FG_SOURCE_TRAILERS,
                               .class = code == FG_STATUS_OK ? FG_CLASS_SUCCESS : FG_CLASS_FAILURE,
                               .safe_to_retry = FG_SAFE_PROCESSED,
                               .messages_down = 1,
                               .start_ns = start_ns,
                               .end_ns = end_ns};
}

static void a_line_has_the_call_and_its_attempts_in_order(void **state)
{
    struct fg_attempt attempts[2] = {{.outcome = outcome_of(FG_STATUS_UNAVAILABLE, 5 * FG_S + 300, 6 * FG_S)},
                                     {.outcome = outcome_of(FG_STATUS_OK, 7 * FG_S, 8 * FG_S + 999)}};
    struct fg_call call = {.priority = 2, .weight = 7, .start_ns = 5 * FG_S, .attempt = &attempts[1]};
    (void)state;

    attempts[1].previous = &attempts[0];
    attempts[1].is_hedge = true;
    attempts[0].outcome.pushback = true;
    attempts[1].outcome.stall_ns[FG_WAIT_CONNECT] = 3 * FG_MS;
    attempts[1].outcome.stall_ns[FG_WAIT_STREAM_SLOT] = 4 * FG_MS;
    attempts[1].outcome.stall_ns[FG_WAIT_SOCKET] = 8 * FG_MS;
    attempts[0].outcome.reason = "UPSTREAM_REFUSED";
    attempts[1].outcome.first_message_ns = 7 * FG_S + 2 * FG_MS;
    call.outcome = outcome_of(FG_STATUS_OK, 5 * FG_S, 9 * FG_S);
    json_t *line = line_of(&call);
    assert_string_equal(text_at(line, "time"), "2023-11-14T22:13:20.042Z");
    assert_int_equal(number_at(line, "end_us"), 9000000);
    assert_int_equal(number_at(line, "priority"), 2);
    assert_int_equal(number_at(line, "weight"), 7);
    const json_t *list = json_object_get(line, "attempts"), *first = json_array_get(list, 0);
    const json_t *second = json_array_get(list, 1);
    assert_int_equal(json_array_size(list), 2);
    assert_null(json_object_get(line, "attempts_omitted"));
    assert_string_equal(text_at(first, "endpoint"), "10.0.0.1:1");
    assert_string_equal(text_at(first, "code"), "UNAVAILABLE");
    assert_string_equal(text_at(first, "source"), "upstream_trailers");
    assert_string_equal(text_at(first, "class"), "failure");
    assert_string_equal(text_at(first, "phase"), "done");
    assert_string_equal(text_at(first, "safe_to_retry"), "processed");
    assert_string_equal(text_at(first, "reason"), "UPSTREAM_REFUSED");
    assert_int_equal(number_at(first, "start_us"), 0);
    assert_int_equal(number_at(first, "duration_us"), 1000000);
    assert_null(json_object_get(first, "first_message_us"));
    assert_null(json_object_get(first, "hedge"));
    assert_true(json_is_true(json_object_get(first, "pushback")));
    assert_null(json_object_get(second, "pushback"));
    assert_int_equal(number_at(second, "start_us"), 2000000);
    assert_int_equal(number_at(second, "duration_us"), 1000000);
    assert_int_equal(number_at(second, "first_message_us"), 2000);
    assert_int_equal(number_at(second, "messages_down"), 1);
    assert_int_equal(number_at(second, "waited_us"), 7000);
    assert_null(json_object_get(first, "waited_us"));
    assert_true(json_is_true(json_object_get(second, "hedge")));
    json_decref(line);
}

/* What replay adds up is the instant itself, whatever the nanoseconds were. */
static void offsets_add_up_to_exact_instants(void **state)
{
    uint32_t seed = 3;
    (void)state;

    for (int round = 0; round < 2000; round++) {
        uint64_t at_ns[4] = {FG_S};
        for (int i = 1; i < 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            at_ns[i] = at_ns[i - 1] + seed % 100000;
        }
        struct fg_attempt attempt = {.outcome = outcome_of(FG_STATUS_OK, at_ns[1], at_ns[2])};
        struct fg_call call = {.start_ns = at_ns[0], .attempt = &attempt};
        call.outcome = outcome_of(FG_STATUS_OK, at_ns[0], at_ns[3]);
        json_t *line = line_of(&call);
        const json_t *item = json_array_get(json_object_get(line, "attempts"), 0);
        double duration_us = json_real_value(json_object_get(line, "duration_ms")) * 1000;
        long long start_us = number_at(line, "end_us") - (long long)(duration_us + 0.5);
        long long begin_us = start_us + number_at(item, "start_us");
        assert_int_equal(begin_us, at_ns[1] / FG_US);
        assert_int_equal(begin_us + number_at(item, "duration_us"), at_ns[2] / FG_US);
        json_decref(line);
    }
}

/* The first ones and the last ones, in their order. */
static void many_attempts_are_bounded(void **state)
{
    static struct fg_attempt attempts[100];
    struct fg_call call = {.start_ns = FG_S};
    (void)state;

    for (size_t len = 0; len <= FG_ARRAY_LEN(attempts); len++) {
        call.outcome = outcome_of(FG_STATUS_OK, FG_S, 2 * FG_S);
        call.attempt = NULL;
        for (size_t i = 0; i < len; i++) {
            attempts[i] = (struct fg_attempt){.previous = call.attempt,
                                              .outcome = outcome_of(FG_STATUS_OK, FG_S + i * FG_US, 2 * FG_S)};
            call.attempt = &attempts[i];
        }
        json_t *line = line_of(&call);
        const json_t *list = json_object_get(line, "attempts");
        size_t shown = json_array_size(list);
        assert_int_equal(shown, FG_MIN(len, 2 * (size_t)FG_ACCESS_LINE_ENDS));
        for (size_t i = 0; i < shown; i++) {
            size_t number = i < FG_ACCESS_LINE_ENDS || len == shown ? i : len - (shown - i);
            assert_int_equal(number_at(json_array_get(list, i), "start_us"), number);
        }
        if (shown < len)
            assert_int_equal(number_at(line, "attempts_omitted"), len - shown);
        json_decref(line);
    }
}

/* Clients choose methods: one all of bytes that need escapes takes the most room, and still all attempts are there. */
static void the_longest_line_fits(void **state)
{
    static char method[4096];
    static struct fg_attempt attempts[2 * FG_ACCESS_LINE_ENDS];
    struct fg_call call = {.start_ns = FG_S};
    (void)state;

    memset(method, 0xff, sizeof method);
    call.outcome = outcome_of(FG_STATUS_OK, FG_S, UINT64_MAX);
    call.outcome.method = (struct fg_str){method, sizeof method};
    call.outcome.endpoint = FG_STR("a-host-name-of-two-hundred-and-fifty-three-bytes-"
                                   "-----------------------------------------------------------------------------------"
                                   "-----------------------------------------------------------------------------------"
                                   "------------------------------------:50051");
    for (int i = 0; i < FG_WAIT_LEN; i++)
        call.outcome.stall_ns[i] = UINT64_MAX;
    for (size_t i = 0; i < FG_ARRAY_LEN(attempts); i++) {
        attempts[i].outcome = call.outcome;
        attempts[i].outcome.source = FG_SOURCE_MISSING_STATUS;
        attempts[i].outcome.code = FG_STATUS_RESOURCE_EXHAUSTED;
        attempts[i].outcome.reason = "UPSTREAM_CONNECTION_LOST";
        attempts[i].outcome.messages_down = INT64_MAX;
        attempts[i].previous = call.attempt;
        call.attempt = &attempts[i];
    }
    json_t *line = line_of(&call);
    assert_int_equal(json_array_size(json_object_get(line, "attempts")), FG_ARRAY_LEN(attempts));
    assert_int_equal(json_object_size(json_object_get(line, "stalls_ms")), FG_WAIT_LEN - 3); /* not those for peers */
    json_decref(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_call_and_its_attempts_in_order),
        cmocka_unit_test(offsets_add_up_to_exact_instants),
        cmocka_unit_test(many_attempts_are_bounded),
        cmocka_unit_test(the_longest_line_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
