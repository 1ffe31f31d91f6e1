#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/replay_run.h"

#define WALL_MS 1700000000000u /* of the clock's 0; 22:13:20 */

/* ---- a replay and what it says ---- */

struct world {
    struct fg_config *config;
    struct fg_replay *replay;
    char changes[4096]; /* "closed>open e1 /s/M 1.500; ..." */
};

static void on_change(void *context, const struct fg_replay_change *change)
{
    const struct fg_breaker_event *event = change->event;
    struct world *world = context;
    size_t len = strlen(world->changes);

    if (event->method.len == 0) /* that of the endpoint as a whole does the same here */
        return;
    snprintf(world->changes + len, sizeof world->changes - len, "%s>%s %.*s %.*s %.3f; ",
             fg_breaker_state_name(event->from), fg_breaker_state_name(event->to), (int)event->endpoint.len,
             event->endpoint.p, (int)event->method.len, event->method.p, ((double)change->wall_ms - WALL_MS) / 1000);
}

static struct world *begin(const char *cluster)
{
    struct world *world = calloc(1, sizeof *world);
    struct fg_config_errors errors = {0};
    char text[1024];

    snprintf(text, sizeof text,
             "listeners: [{address: 127.0.0.1:8080}]\n"
             "routes:\n"
             "- {match: {method: s/High}, cluster: c, priority: 2}\n"
             "- {match: {method: s/*}, cluster: c, priority: 0}\n"
             "clusters:\n"
             "  c: %s\n",
             cluster);
    if (fg_config_parse("test", text, strlen(text), &world->config, &errors) != 0) {
        fg_config_errors_print(&errors, "test", stderr);
        fail();
    }
    world->replay = fg_replay_new(world->config, 10 * FG_S, 1000, on_change, world);
    return world;
}

static void end(struct world *world)
{
    fg_replay_free(world->replay);
    fg_config_unref(world->config);
    free(world);
}

#define ONE "{endpoints: [127.0.0.1:1], breaker: {consecutive_failures: 3, open_for: 5s, half_open_calls: 1}}"
#define TWO                                                                                                            \
    "{endpoints: [127.0.0.1:1, 127.0.0.1:2], breaker: {consecutive_failures: 3, open_for: 5s, half_open_calls: 1}}"

/* A call of METHOD with one attempt on port PORT that ended at END_MS of the log's clock, BOOT_MS after WALL_MS. */
static void call_at(struct world *world, const char *method, int port, const char *code, uint64_t end_ms,
                    uint64_t duration_ms, uint64_t boot_ms)
{
    char line[1024];
    uint64_t s = (boot_ms + end_ms) / 1000;

    snprintf(line, sizeof line,
             "{\"time\":\"2023-11-14T22:%02u:%02u.%03uZ\",\"end_us\":%llu,\"method\":\"%s\",\"cluster\":\"c\","
             "\"code\":\"%s\",\"source\":\"upstream_trailers\",\"duration_ms\":%llu,\"attempts\":[{\"endpoint\":"
             "\"127.0.0.1:%d\",\"code\":\"%s\",\"source\":\"upstream_trailers\",\"phase\":\"done\",\"start_us\":0,"
             "\"duration_us\":%llu,\"messages_down\":1}]}",
             (unsigned)(13 + (20 + s) / 60), (unsigned)((20 + s) % 60), (unsigned)((boot_ms + end_ms) % 1000),
             (unsigned long long)end_ms * 1000, method, code, (unsigned long long)duration_ms, port, code,
             (unsigned long long)duration_ms * 1000);
    fg_replay_feed(world->replay, line, strlen(line));
}

static void call(struct world *world, int port, const char *code, uint64_t end_ms)
{
    call_at(world, "/s/M", port, code, end_ms, 10, 0);
}

static void feed(struct world *world, const char *line)
{
    fg_replay_feed(world->replay, line, strlen(line));
}

/* ---- what would have happened ---- */

static void failures_open_a_circuit_and_what_follows_is_refused(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    for (uint64_t i = 1; i <= 6; i++)
        call(world, 1, "UNAVAILABLE", 100 * i);
    call(world, 1, "OK", 700);
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_string_equal(world->changes, "closed>open 127.0.0.1:1 /s/M 0.300; ");
    assert_int_equal(summary->calls, 7);
    assert_int_equal(summary->attempts, 7);
    assert_int_equal(summary->trips, 2);
    assert_int_equal(summary->by_class[FG_CLASS_FAILURE], 6);
    assert_int_equal(summary->refused_by_class[FG_CLASS_FAILURE], 3);
    assert_int_equal(summary->refused_by_class[FG_CLASS_SUCCESS], 1);
    assert_int_equal(summary->elsewhere, 0);
    assert_true(summary->first_wall_ms == WALL_MS + 100 && summary->last_wall_ms == WALL_MS + 700);
    end(world);
}

static void the_clock_of_the_log_lets_probes_through(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    for (uint64_t i = 1; i <= 3; i++)
        call(world, 1, "UNAVAILABLE", 100 * i);
    call(world, 1, "UNAVAILABLE", 5500); /* the probe */
    call(world, 1, "OK", 9000);
    call(world, 1, "OK", 16000); /* late enough, also if the pause is twice as long now */
    call(world, 1, "OK", 16500);
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_string_equal(world->changes, "closed>open 127.0.0.1:1 /s/M 0.300; open>half_open 127.0.0.1:1 /s/M 5.490; "
                                        "half_open>open 127.0.0.1:1 /s/M 5.500; "
                                        "open>half_open 127.0.0.1:1 /s/M 15.990; half_open>closed 127.0.0.1:1 /s/M "
                                        "16.000; ");
    assert_int_equal(summary->refused_by_class[FG_CLASS_SUCCESS], 1);
    assert_int_equal(summary->trips, 4);
    end(world);
}

static void a_refused_call_may_find_another_endpoint(void **state)
{
    struct world *world = begin(TWO);
    (void)state;

    for (uint64_t i = 1; i <= 5; i++)
        call(world, 1, "UNAVAILABLE", 100 * i);
    call(world, 2, "OK", 600);
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->refused_by_class[FG_CLASS_FAILURE], 2);
    assert_int_equal(summary->elsewhere, 2);
    end(world);
}

static void high_priority_goes_on_for_longer(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    for (uint64_t i = 1; i <= 8; i++)
        call_at(world, "/s/High", 1, "UNAVAILABLE", 100 * i, 10, 0);
    fg_replay_end(world->replay);
    assert_string_equal(world->changes, "closed>open 127.0.0.1:1 /s/High 0.500; "); /* 3 x 1.6, rounded up */
    end(world);
}

/* A retry begins at the instant at which the attempt before it ends: the circuit has heard of that one. */
static void ends_come_before_beginnings(void **state)
{
    struct world *world = begin(ONE);
    char line[2048] = "{\"end_us\":5000,\"method\":\"/s/M\",\"cluster\":\"c\",\"code\":\"OK\",\"duration_ms\":4,"
                      "\"attempts\":[";
    (void)state;

    for (int i = 0; i < 4; i++) {
        size_t len = strlen(line);
        snprintf(line + len, sizeof line - len,
                 "%s{\"endpoint\":\"127.0.0.1:1\",\"code\":\"UNAVAILABLE\",\"source\":\"upstream_trailers\","
                 "\"phase\":\"done\",\"start_us\":%d,\"duration_us\":1000}",
                 i ? "," : "", 1000 * i);
    }
    strncat(line, "]}", 3);
    feed(world, line);
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->attempts, 4);
    assert_int_equal(summary->refused_by_class[FG_CLASS_FAILURE], 1);
    end(world);
}

static void when_too_much_is_refused_nothing_is(void **state)
{
    struct world *world = begin("{endpoints: [127.0.0.1:1, 127.0.0.1:2], breaker: {consecutive_failures: 3, "
                                "open_for: 5s, max_ejected: 50%}}");
    (void)state;

    for (uint64_t i = 1; i <= 4; i++) {
        call(world, 1, "UNAVAILABLE", 100 * i);
        call(world, 2, "UNAVAILABLE", 100 * i + 50);
    }
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->trips, 4);
    assert_int_equal(summary->let_through, 2);
    assert_int_equal(summary->refused_by_class[FG_CLASS_FAILURE], 0);
    end(world);
}

/* ---- order and clocks ---- */

/* Lines of several workers are out of order; calls that last long begin before others that are written first. */
static void the_order_of_the_lines_changes_nothing(void **state)
{
    enum { CALLS = 400 };
    char expected[4096] = "";
    struct fg_replay_summary in_order = {0};
    (void)state;

    for (unsigned shuffle = 0; shuffle < 4; shuffle++) {
        struct world *world = begin(TWO);
        for (unsigned i = 0; i < CALLS; i++) {
            unsigned k = shuffle == 0 ? i : (i / 50) * 50 + (i % 50 * (2 * shuffle + 1) + 7) % 50; /* odd, not 5 */
            if (shuffle == 2)
                k = (i / 50) * 50 + 49 - i % 50;
            bool fails = k / 40 % 3 == 1 && k % 2;
            call_at(world, "/s/M", 1 + (int)(k % 2), fails ? "UNAVAILABLE" : "OK", 10000 + 100 * k, k % 7 * 300, 0);
        }
        const struct fg_replay_summary *summary = fg_replay_end(world->replay);
        assert_int_equal(summary->late, 0);
        assert_true(summary->trips > 0);
        if (shuffle == 0) {
            memcpy(expected, world->changes, sizeof expected);
            in_order = *summary;
        }
        assert_string_equal(world->changes, expected);
        assert_memory_equal(summary->refused_by_class, in_order.refused_by_class, sizeof in_order.refused_by_class);
        assert_int_equal(summary->elsewhere, in_order.elsewhere);
        end(world);
    }
}

static void what_began_before_the_window_is_taken_for_let_through(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    call(world, 1, "OK", 1000);
    call(world, 1, "OK", 60000);
    for (uint64_t i = 1; i <= 3; i++)
        call_at(world, "/s/M", 1, "UNAVAILABLE", 60000 + i, 59990, 0);
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->late, 3);
    assert_string_equal(world->changes, "closed>open 127.0.0.1:1 /s/M 60.003; ");
    end(world);
}

/* The clock begins anew with a boot; the time of the day goes on. */
static void a_boot_in_between_is_noticed(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    for (uint64_t i = 1; i <= 3; i++)
        call(world, 1, "UNAVAILABLE", 100000 + 100 * i);
    call_at(world, "/s/M", 1, "OK", 1000, 10, 102000); /* 103 s by the wall: 2.7 s later, and refused */
    call_at(world, "/s/M", 1, "OK", 8000, 10, 102000); /* the probe */
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->clocks, 1);
    assert_int_equal(summary->refused_by_class[FG_CLASS_SUCCESS], 1);
    assert_string_equal(world->changes, "closed>open 127.0.0.1:1 /s/M 100.300; open>half_open 127.0.0.1:1 /s/M "
                                        "109.990; half_open>closed 127.0.0.1:1 /s/M 110.000; ");
    end(world);
}

static void a_longer_uptime_is_another_clock_too(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    call(world, 1, "OK", 1000);
    call_at(world, "/s/M", 1, "OK", 500000000, 10, 0); /* the wall says the same: an idle night */
    assert_int_equal(fg_replay_end(world->replay)->clocks, 0);
    end(world);
    world = begin(ONE);
    call(world, 1, "OK", 1000);
    feed(world, "{\"time\":\"2023-11-14T22:13:23.000Z\",\"end_us\":500000000000,\"method\":\"/s/M\",\"cluster\":\"c\","
                "\"code\":\"OK\",\"duration_ms\":4,\"attempts\":[]}");
    assert_int_equal(fg_replay_end(world->replay)->clocks, 1);
    end(world);
}

/* ---- what cannot be replayed ---- */

static void what_is_left_out_is_counted(void **state)
{
    struct world *world = begin(ONE);
    (void)state;

    feed(world, "{\"method\":\"/s/M\",\"code\":\"OK\",\"duration_ms\":1}");
    feed(world, "{\"method\":\"/s/M\",\"co");
    feed(world, "{\"level\":\"info\"}");
    for (int i = 0; i < 3; i++)
        feed(world, "{\"end_us\":5000,\"method\":\"/s/M\",\"cluster\":\"gone\",\"code\":\"OK\",\"attempts_omitted\":2,"
                    "\"attempts\":[{\"endpoint\":\"127.0.0.1:1\",\"code\":\"OK\"}]}");
    feed(world, "{\"end_us\":5000,\"method\":\"/t/M\",\"cluster\":\"c\",\"code\":\"OK\",\"attempts\":[{\"endpoint\":"
                "\"127.0.0.1:1\",\"code\":\"OK\"}]}");
    feed(world, "{\"end_us\":5000,\"method\":\"/s/M\",\"cluster\":\"c\",\"code\":\"UNAVAILABLE\",\"source\":"
                "\"local_breaker\",\"attempts\":[{\"endpoint\":\"\",\"code\":\"UNAVAILABLE\",\"source\":"
                "\"local_breaker\"}]}");
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->lines, 8);
    assert_int_equal(summary->calls, 5);
    assert_int_equal(summary->old, 1);
    assert_int_equal(summary->broken, 1);
    assert_int_equal(summary->other, 1);
    assert_int_equal(summary->omitted, 6);
    assert_int_equal(summary->attempts, 0);
    assert_int_equal(summary->skipped, 4);
    assert_int_equal(summary->unasked, 1);
    assert_int_equal(summary->refused_then, 1);
    assert_int_equal(summary->notes_len, 2);
    assert_string_equal(summary->notes[0].text, "cluster gone is not in the configuration");
    assert_int_equal(summary->notes[0].attempts, 3);
    assert_string_equal(summary->notes[1].text, "no route of the configuration leads /t/M to cluster c");
    end(world);
}

static void notes_are_bounded(void **state)
{
    struct world *world = begin(ONE);
    char line[256];
    (void)state;

    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line,
                 "{\"end_us\":5000,\"method\":\"/s/M\",\"cluster\":\"c%d\",\"code\":\"OK\",\"attempts\":"
                 "[{\"endpoint\":\"127.0.0.1:1\",\"code\":\"OK\"}]}",
                 i);
        feed(world, line);
    }
    const struct fg_replay_summary *summary = fg_replay_end(world->replay);
    assert_int_equal(summary->notes_len, FG_REPLAY_NOTES_MAX);
    assert_int_equal(summary->skipped, 1000);
    end(world);
}

/* Whatever a file says, replay ends, and in bounded memory. */
static void nonsense_does_no_harm(void **state)
{
    static const char *const numbers[] = {"0", "-1", "1", "9007199254740992", "1e308", "\"x\"", "null", "9000000000"};
    struct world *world = begin(TWO);
    uint32_t seed = 5;
    char line[1024];
    (void)state;

    for (int i = 0; i < 20000; i++) {
        const char *n[6];
        for (size_t k = 0; k < FG_ARRAY_LEN(n); k++) {
            seed = seed * 1664525u + 1013904223u;
            n[k] = numbers[(seed >> 20) % FG_ARRAY_LEN(numbers)];
        }
        snprintf(
            line, sizeof line,
            "{\"time\":\"20%02d-01-01T00:00:00.000Z\",\"end_us\":%s,\"method\":\"/s/M\",\"cluster\":\"c\",\"code\":"
            "\"OK\",\"duration_ms\":%s,\"attempts\":[{\"endpoint\":\"127.0.0.1:%d\",\"code\":\"INTERNAL\","
            "\"source\":\"upstream_rst\",\"phase\":\"sent\",\"start_us\":%s,\"duration_us\":%s,"
            "\"first_message_us\":%s,\"waited_us\":%s}]}",
            (int)(seed >> 8) % 90 + 10, n[0], n[1], (int)(seed >> 9) % 3 + 1, n[2], n[3], n[4], n[5]);
        feed(world, line);
    }
    fg_replay_end(world->replay);
    end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_open_a_circuit_and_what_follows_is_refused),
        cmocka_unit_test(the_clock_of_the_log_lets_probes_through),
        cmocka_unit_test(a_refused_call_may_find_another_endpoint),
        cmocka_unit_test(high_priority_goes_on_for_longer),
        cmocka_unit_test(ends_come_before_beginnings),
        cmocka_unit_test(when_too_much_is_refused_nothing_is),
        cmocka_unit_test(the_order_of_the_lines_changes_nothing),
        cmocka_unit_test(what_began_before_the_window_is_taken_for_let_through),
        cmocka_unit_test(a_boot_in_between_is_noticed),
        cmocka_unit_test(a_longer_uptime_is_another_clock_too),
        cmocka_unit_test(what_is_left_out_is_counted),
        cmocka_unit_test(notes_are_bounded),
        cmocka_unit_test(nonsense_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
