#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "h1/fault.h"
#include "h2/fault.h"
#include "observe/prometheus.h"

static struct fg_outcome outcome_of(const char *method, enum fg_status code, uint64_t duration_ns)
{
    return (struct fg_outcome){.method = fg_str_from(method),
                               .cluster = FG_STR("c"),
                               .endpoint = FG_STR("127.0.0.1:1"),
                               .code = code,
                               .source = FG_SOURCE_TRAILERS,
                               .class = code == FG_STATUS_OK ? FG_CLASS_SUCCESS : FG_CLASS_FAILURE,
                               .start_ns = FG_S,
                               .end_ns = FG_S + duration_ns};
}

static const struct fg_config_breaker *no_breaker(void *context, struct fg_str cluster)
{
    (void)context;
    (void)cluster;
    return NULL;
}

static char *render_as(enum fg_prometheus_format format, const struct fg_metrics *first,
                       const struct fg_metrics *second)
{
    static const uint64_t faults[FG_H2_FAULT_LEN] = {[FG_H2_FAULT_PING_FLOOD] = 3};
    static const uint64_t h1_faults[FG_H1_FAULT_LEN] = {[FG_H1_FAULT_CHUNK_SIZE] = 2};
    const uint64_t *const fault_counts[] = {faults, faults};
    const uint64_t *const h1_fault_counts[] = {h1_faults, h1_faults};
    struct fg_stats stats[2] = {{.calls_started = 10, .calls_ended = 7, .wasted_work_us = 1500000, .retries = 4},
                                {.calls_started = 5, .calls_ended = 5, .downstream_read_bytes = 77}};
    struct fg_endpoint endpoints[2] = {
        {.name = FG_STR("127.0.0.1:1"), .stats = {.connects_succeeded = 5, .connects_failed = 2, .disconnections = 1}},
        {.name = FG_STR("127.0.0.1:1"), .stats = {.connects_succeeded = 3, .disconnections = 3}}};
    struct fg_cluster clusters[2] = {{.name = FG_STR("c"), .endpoints = &endpoints[0], .endpoints_len = 1},
                                     {.name = FG_STR("c"), .endpoints = &endpoints[1], .endpoints_len = 1}};
    struct fg_metric_source sources[] = {{&stats[0], first, &clusters[0], 1}, {&stats[1], second, &clusters[1], 1}};
    struct fg_breaker_registry *breakers = fg_breaker_registry_new(16);
    struct fg_metric_view view = {sources,    2,    fault_counts, h1_fault_counts,  2, breakers,
                                  no_breaker, NULL, FG_S,         1700000000 * FG_S};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    fg_prometheus_render(&view, format, out);
    fclose(out);
    fg_breaker_registry_free(breakers);
    return text;
}

static char *render(const struct fg_metrics *first, const struct fg_metrics *second)
{
    return render_as(FG_PROMETHEUS_TEXT, first, second);
}

static void count_call(struct fg_metrics *metrics, const struct fg_outcome *outcome)
{
    fg_metrics_call(fg_metrics_call_started(metrics, outcome->cluster, outcome->method), outcome, NULL);
}

static void count_attempt(struct fg_metrics *metrics, const struct fg_outcome *outcome)
{
    struct fg_metric_cell *call = fg_metrics_call_started(metrics, outcome->cluster, outcome->method);

    fg_metrics_attempt_started(call);
    fg_metrics_attempt(metrics, call, outcome);
}

static void has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no line %s in:\n%s", line, text);
}

static void workers_are_summed_up(void **state)
{
    static struct fg_metrics first, second;
    struct fg_outcome ok = outcome_of("/s/M", FG_STATUS_OK, 3 * FG_MS);
    struct fg_outcome bad = outcome_of("/s/M", FG_STATUS_UNAVAILABLE, 300 * FG_MS);
    (void)state;

    fg_metrics_init(&first, 2, 17);
    fg_metrics_init(&second, 2, 17);
    for (int i = 0; i < 5; i++)
        count_call(&first, &ok);
    count_call(&second, &ok);
    count_call(&second, &bad);
    bad.bytes_up = 2005, bad.messages_up = 1;
    count_attempt(&second, &bad);
    char *text = render(&first, &second);
    has(text, "fusegate_calls_total{cluster=\"c\",method=\"/s/"
              "M\",code=\"OK\",source=\"upstream_trailers\",class=\"success\"} 6\n");
    has(text, "code=\"UNAVAILABLE\",source=\"upstream_trailers\",class=\"failure\"} 1\n");
    has(text, "fusegate_attempts_total{cluster=\"c\",endpoint=\"127.0.0.1:1\",code=\"UNAVAILABLE\"");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"0.002\"} 0\n");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"0.005\"} 6\n");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"+Inf\"} 7\n");
    has(text, "fusegate_call_duration_seconds_count{cluster=\"c\",method=\"/s/M\"} 7\n");
    has(text, "grpc_client_attempt_started_total{grpc_target=\"c\",grpc_method=\"/s/M\"} 1\n");
    has(text, "grpc_client_attempt_duration_seconds_count{grpc_target=\"c\",grpc_method=\"/s/"
              "M\",grpc_status=\"UNAVAILABLE\"} 1\n");
    has(text, "grpc_client_call_duration_seconds_count{grpc_target=\"c\",grpc_method=\"/s/M\",grpc_status=\"OK\"} 6\n");
    has(text, "grpc_client_attempt_sent_total_compressed_message_size_bytes_sum{grpc_target=\"c\",grpc_method=\"/s/"
              "M\"} 2000\n");
    has(text, "grpc_client_attempt_rcvd_total_compressed_message_size_bytes_bucket{grpc_target=\"c\",grpc_method=\"/s/"
              "M\",le=\"1024\"} 1\n");
    has(text, "fusegate_calls_started_total 15\n");
    has(text, "fusegate_calls_active 3\n");
    has(text, "fusegate_protocol_faults_total{protocol=\"h2\",cause=\"ping_flood\"} 6\n");
    has(text, "fusegate_protocol_faults_total{protocol=\"h1\",cause=\"chunk_size\"} 4\n");
    free(text);
    fg_metrics_cleanup(&first);
    fg_metrics_cleanup(&second);
}

/* Clients choose method names: they can neither fill the memory nor break the format. */
static void names_are_bounded_and_escaped(void **state)
{
    static struct fg_metrics metrics, empty;
    (void)state;

    fg_metrics_init(&metrics, 2, 17);
    fg_metrics_init(&empty, 2, 17);
    struct fg_outcome hostile = outcome_of("/a\"b\\c\xff", FG_STATUS_OK, FG_MS);
    count_call(&metrics, &hostile);
    for (int i = 0; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof name, "/s/M%d", i);
        struct fg_outcome outcome = outcome_of(name, FG_STATUS_OK, FG_MS);
        count_call(&metrics, &outcome);
    }
    assert_int_equal(metrics.calls.len, FG_METRICS_CELLS_MAX);
    char *text = render(&metrics, &empty);
    has(text, "method=\"/a\\\"b\\\\c?\"");
    has(text, "fusegate_calls_total{cluster=\"\",method=\"other\",code=\"OK\"");
    has(text, "fusegate_metrics_others_total{what=\"calls\"} 3978\n"); /* of 5001, which find 1023 cells */
    has(text, "fusegate_metrics_others_total{what=\"waits\"} 0\n");
    free(text);
    fg_metrics_cleanup(&metrics);
    fg_metrics_cleanup(&empty);
}

/* Who does not know the seed cannot choose names that collide. */
static void names_are_hashed_with_the_seed(void **state)
{
    static struct fg_metrics first, second;
    (void)state;

    fg_metrics_init(&first, 2, 1);
    fg_metrics_init(&second, 2, 2);
    const struct fg_metric_cell *one = fg_metrics_call_started(&first, FG_STR("c"), FG_STR("/s/M"));
    const struct fg_metric_cell *other = fg_metrics_call_started(&second, FG_STR("c"), FG_STR("/s/M"));
    assert_int_not_equal(one->hash, other->hash);
    fg_metrics_cleanup(&first);
    fg_metrics_cleanup(&second);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("%s in:\n%s", part, text);
}

/* gRPC's metrics of a method: those of several clusters are one where gRPC knows no cluster. */
static void methods_are_summed_up_over_clusters(void **state)
{
    static struct fg_metrics first, second;
    struct fg_outcome one = outcome_of("/s/M", FG_STATUS_OK, FG_MS), other = one;
    (void)state;

    fg_metrics_init(&first, 2, 17);
    fg_metrics_init(&second, 2, 17);
    one.bytes_up = 15 + 20;
    one.messages_up = 3;
    one.bytes_down = 5 + 3000;
    one.messages_down = 1;
    other.cluster = FG_STR("d");
    other.bytes_up = 3; /* less than a prefix: it was cut */
    other.messages_up = 1;
    count_call(&first, &one);
    count_call(&second, &one);
    count_call(&second, &other);
    other.code = FG_STATUS_ABORTED;
    other.bytes_up = other.bytes_down = 0;
    other.messages_up = other.messages_down = 0;
    fg_metrics_call(fg_metrics_call_started(&first, other.cluster, other.method), &other, NULL);
    fg_metrics_attempt_started(fg_metrics_call_started(&first, one.cluster, one.method));
    (void)fg_metrics_call_started(&first, FG_STR(""), FG_STR("/what/ever"));
    char *text = render(&first, &second);
    has(text, "grpc_stream_open_total{method=\"/s/M\"} 5\n");
    has(text, "grpc_stream_active{method=\"/s/M\"} 1\n");
    has(text, "grpc_stream_active{method=\"other\"} 1\n");
    has(text, "grpc_server_call_started_total{grpc_method=\"/s/M\"} 5\n");
    has(text, "grpc_server_call_duration_seconds_bucket{grpc_method=\"/s/M\",grpc_status=\"OK\",le=\"0.0005\"} 0\n");
    has(text, "grpc_server_call_duration_seconds_bucket{grpc_method=\"/s/M\",grpc_status=\"OK\",le=\"0.001\"} 3\n");
    has(text, "grpc_server_call_duration_seconds_sum{grpc_method=\"/s/M\",grpc_status=\"OK\"} 0.003000000\n");
    has(text, "grpc_server_call_duration_seconds_count{grpc_method=\"/s/M\",grpc_status=\"ABORTED\"} 1\n");
    has(text, "fusegate_call_duration_seconds_count{cluster=\"c\",method=\"/s/M\"} 2\n");
    has(text, "fusegate_call_duration_seconds_count{cluster=\"d\",method=\"/s/M\"} 2\n");
    has(text, "grpc_server_call_rcvd_total_compressed_message_size_bytes_bucket{grpc_method=\"/s/M\",le=\"1024\"} 4\n");
    has(text, "grpc_server_call_rcvd_total_compressed_message_size_bytes_sum{grpc_method=\"/s/M\"} 40\n");
    has(text, "grpc_server_call_sent_total_compressed_message_size_bytes_bucket{grpc_method=\"/s/M\",le=\"2048\"} 2\n");
    has(text, "grpc_server_call_sent_total_compressed_message_size_bytes_bucket{grpc_method=\"/s/M\",le=\"4096\"} 4\n");
    has(text, "le=\"4294967296\"} 4\n");
    has(text, "grpc_server_call_sent_total_compressed_message_size_bytes_sum{grpc_method=\"/s/M\"} 6000\n");
    has(text, "grpc_client_attempt_started_total{grpc_target=\"c\",grpc_method=\"/s/M\"} 1\n");
    free(text);
    fg_metrics_cleanup(&first);
    fg_metrics_cleanup(&second);
}

static void retries_are_counted_by_the_calls_that_had_any(void **state)
{
    static struct fg_metrics metrics, empty;
    struct fg_outcome once = outcome_of("/s/M", FG_STATUS_OK, FG_MS), retried = once;
    (void)state;

    fg_metrics_init(&metrics, 2, 17);
    fg_metrics_init(&empty, 2, 17);
    retried.retries = 3;
    retried.transparent_retries = 1;
    retried.retry_delay_ns = 250 * FG_MS;
    count_call(&metrics, &once);
    count_call(&metrics, &retried);
    char *text = render(&metrics, &empty);
    has(text, "grpc_client_call_retries_bucket{grpc_target=\"c\",grpc_method=\"/s/M\",le=\"2\"} 0\n");
    has(text, "grpc_client_call_retries_bucket{grpc_target=\"c\",grpc_method=\"/s/M\",le=\"3\"} 1\n");
    has(text, "grpc_client_call_retries_sum{grpc_target=\"c\",grpc_method=\"/s/M\"} 3\n");
    has(text, "grpc_client_call_transparent_retries_count{grpc_target=\"c\",grpc_method=\"/s/M\"} 1\n");
    has(text, "grpc_client_call_retry_delay_seconds_sum{grpc_target=\"c\",grpc_method=\"/s/M\"} 0.250000000\n");
    has(text, "# TYPE grpc_client_call_hedges histogram\n");
    has_not(text, "grpc_client_call_hedges_count");
    free(text);
    fg_metrics_cleanup(&metrics);
    fg_metrics_cleanup(&empty);
}

static void waits_are_counted_by_route_and_cause(void **state)
{
    static struct fg_metrics metrics, empty;
    (void)state;

    fg_metrics_init(&metrics, 2, 17);
    fg_metrics_init(&empty, 2, 17);
    assert_null(fg_metrics_find_wait(&metrics, 1, FG_WAIT_GATE));
    struct fg_metric_cell *cell = fg_metrics_add_wait(&metrics, 1, FG_STR("/s/*"), FG_WAIT_GATE);
    assert_ptr_equal(fg_metrics_find_wait(&metrics, 1, FG_WAIT_GATE), cell);
    assert_null(fg_metrics_find_wait(&metrics, 0, FG_WAIT_GATE));
    fg_metrics_wait(cell, 3 * FG_MS);
    /* Routes may look the same: they are one series. */
    fg_metrics_wait(fg_metrics_add_wait(&metrics, 0, FG_STR("/s/*"), FG_WAIT_GATE), 3 * FG_MS);
    char *text = render(&metrics, &empty);
    has(text, "fusegate_call_wait_seconds_bucket{route=\"/s/*\",cause=\"gate\",le=\"0.002\"} 0\n");
    has(text, "fusegate_call_wait_seconds_bucket{route=\"/s/*\",cause=\"gate\",le=\"0.005\"} 2\n");
    has(text, "fusegate_call_wait_seconds_sum{route=\"/s/*\",cause=\"gate\"} 0.006000000\n");
    free(text);
    fg_metrics_cleanup(&metrics);
    fg_metrics_cleanup(&empty);
}

static void endpoints_of_workers_are_summed_up(void **state)
{
    static struct fg_metrics first, second;
    (void)state;

    fg_metrics_init(&first, 2, 17);
    fg_metrics_init(&second, 2, 17);
    char *text = render(&first, &second);
#define SUBCHANNEL(name, value)                                                                                        \
    has(text, "grpc_subchannel_" name "{grpc_target=\"c\",server_address=\"127.0.0.1:1\"} " value "\n")
    SUBCHANNEL("connection_attempts_succeeded_total", "8");
    SUBCHANNEL("connection_attempts_failed_total", "2");
    SUBCHANNEL("disconnections_total", "4");
    SUBCHANNEL("open_connections", "4");
#undef SUBCHANNEL
    has(text, "fusegate_wasted_work_seconds_total 1.500000\n");
    has(text, "fusegate_downstream_read_bytes_total 77\n");
    has(text, "process_start_time_seconds 1700000000.000000\n");
    has_not(text, "# EOF");
    has_not(text, "# UNIT");
    free(text);
    fg_metrics_cleanup(&first);
    fg_metrics_cleanup(&second);
}

static const struct fg_exemplar a_trace = {
    .trace_id = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
    .span_id = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
    .wall_ns = 1700000001500 * FG_MS,
};

static void openmetrics_has_exemplars(void **state)
{
    static struct fg_metrics first, second;
    struct fg_outcome slow = outcome_of("/s/M", FG_STATUS_OK, 3 * FG_MS), quick = slow;
    struct fg_exemplar older = a_trace;
    (void)state;

    fg_metrics_init(&first, 2, 17);
    fg_metrics_init(&second, 2, 17);
    quick.end_ns = quick.start_ns + FG_US;
    older.wall_ns -= FG_S;
    older.trace_id[0] = 1;
    fg_metrics_call(fg_metrics_call_started(&first, slow.cluster, slow.method), &slow, &a_trace);
    fg_metrics_call(fg_metrics_call_started(&second, slow.cluster, slow.method), &slow, &older); /* of another worker */
    count_call(&first, &quick);
    char *text = render_as(FG_PROMETHEUS_OPENMETRICS, &first, &second);
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"5e-05\"} 1\n");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"0.005\"} 3 "
              "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\"} 0.003000000 "
              "1700000001.500\n");
    has(text, "# TYPE fusegate_calls counter\n");
    has(text, "# TYPE fusegate_wasted_work_seconds counter\n# UNIT fusegate_wasted_work_seconds seconds\n");
    has(text, "fusegate_wasted_work_seconds_total 1.500000\n");
    has(text, "# HELP fusegate_breaker_state 0 closed, 1 open, 2 half-open; method \\\"\\\" is");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
    text = render(&first, &second);
    has_not(text, "trace_id");
    free(text);
    fg_metrics_cleanup(&first);
    fg_metrics_cleanup(&second);
}

static void openmetrics_is_for_those_who_ask_for_it(void **state)
{
    static const struct {
        const char *accept;
        enum fg_prometheus_format format;
    } cases[] = {
        {"", FG_PROMETHEUS_TEXT},
        {"*/*", FG_PROMETHEUS_TEXT},
        {"text/html,application/xhtml+xml,*/*;q=0.8", FG_PROMETHEUS_TEXT},
        {"application/openmetrics-text", FG_PROMETHEUS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         FG_PROMETHEUS_OPENMETRICS},
        {"text/plain;q=0.5 , Application/OpenMetrics-Text ; version=1.0.0 ; q=0.9", FG_PROMETHEUS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.2",
         FG_PROMETHEUS_OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", FG_PROMETHEUS_TEXT},
        {"application/openmetrics-text;q=0", FG_PROMETHEUS_TEXT},
        {"application/openmetrics-text;q=0.000, text/plain", FG_PROMETHEUS_TEXT},
        {"application/openmetrics-text;q=0.001", FG_PROMETHEUS_OPENMETRICS},
        {"application/openmetrics-textual, ;;,,;q", FG_PROMETHEUS_TEXT},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++)
        if (fg_prometheus_choose(fg_str_from(cases[i].accept)) != cases[i].format)
            fail_msg("Accept: %s", cases[i].accept);
}

/* ---- the walk ---- */

struct seen {
    const char *name;
    uint64_t observed, exponential;
};

static void look(void *context, const struct fg_metric_point *point)
{
    struct seen *seen = context;

    if (strcmp(point->info->name, seen->name) != 0)
        return;
    assert_string_equal(point->info->unit, "s");
    assert_int_equal(point->attributes_len, 2);
    seen->observed += point->histogram->count;
    assert_true(fg_histogram_quantile_ns(point->histogram->exponential, 1) == 3 * FG_MS);
    seen->exponential += point->histogram->exponential->count;
}

static void durations_have_exponential_histograms(void **state)
{
    static const char *const names[] = {"fusegate.call.duration", "fusegate.attempt.duration", "fusegate.call.wait"};
    static struct fg_metrics metrics;
    struct fg_outcome outcome = outcome_of("/s/M", FG_STATUS_OK, 3 * FG_MS);
    struct fg_stats stats = {0};
    struct fg_metric_source source = {&stats, &metrics, NULL, 0};
    struct fg_breaker_registry *breakers = fg_breaker_registry_new(16);
    struct fg_metric_view view = {
        .sources = &source, .sources_len = 1, .breakers = breakers, .breaker_config = no_breaker};
    (void)state;

    fg_metrics_init(&metrics, 2, 17);
    count_call(&metrics, &outcome);
    count_attempt(&metrics, &outcome);
    fg_metrics_wait(fg_metrics_add_wait(&metrics, 0, FG_STR("/"), FG_WAIT_GATE), 3 * FG_MS);
    for (size_t i = 0; i < FG_ARRAY_LEN(names); i++) {
        struct seen seen = {names[i], 0, 0};
        fg_metric_view_walk(&view, NULL, look, &seen);
        assert_int_equal(seen.observed, 1);
        assert_int_equal(seen.exponential, 1);
    }
    fg_metrics_cleanup(&metrics);
    fg_breaker_registry_free(breakers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_summed_up),
        cmocka_unit_test(names_are_bounded_and_escaped),
        cmocka_unit_test(names_are_hashed_with_the_seed),
        cmocka_unit_test(methods_are_summed_up_over_clusters),
        cmocka_unit_test(retries_are_counted_by_the_calls_that_had_any),
        cmocka_unit_test(waits_are_counted_by_route_and_cause),
        cmocka_unit_test(endpoints_of_workers_are_summed_up),
        cmocka_unit_test(openmetrics_has_exemplars),
        cmocka_unit_test(openmetrics_is_for_those_who_ask_for_it),
        cmocka_unit_test(durations_have_exponential_histograms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
