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

    fg_metrics_init(&first, 2);
    fg_metrics_init(&second, 2);
    for (int i = 0; i < 5; i++)
        count_call(&first, &ok);
    count_call(&second, &ok);
    count_call(&second, &bad);
    fg_metrics_attempt(&second, &bad);
    char *text = render(&first, &second);
    has(text, "fusegate_calls_total{cluster=\"c\",method=\"/s/"
              "M\",code=\"OK\",source=\"upstream_trailers\",class=\"success\"} 6\n");
    has(text, "code=\"UNAVAILABLE\",source=\"upstream_trailers\",class=\"failure\"} 1\n");
    has(text, "fusegate_attempts_total{cluster=\"c\",endpoint=\"127.0.0.1:1\",code=\"UNAVAILABLE\"");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"0.002\"} 0\n");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"0.005\"} 6\n");
    has(text, "fusegate_call_duration_seconds_bucket{cluster=\"c\",method=\"/s/M\",le=\"+Inf\"} 7\n");
    has(text, "fusegate_call_duration_seconds_count{cluster=\"c\",method=\"/s/M\"} 7\n");
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

    fg_metrics_init(&metrics, 2);
    fg_metrics_init(&empty, 2);
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
    free(text);
    fg_metrics_cleanup(&metrics);
    fg_metrics_cleanup(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_summed_up),
        cmocka_unit_test(names_are_bounded_and_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
