#include "gateway/overview.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gateway/overview_int.h"

#define SAMPLE_EVERY_NS FG_S

struct fg_overview {
    struct fg_history *history;
    pthread_t thread;
    pthread_mutex_t lock; /* of all but the thread */
    pthread_cond_t stop;
    bool stopping;
};

/* ---- sampling ---- */

static struct timespec moment(uint64_t at_ns)
{
    return (struct timespec){.tv_sec = (time_t)(at_ns / FG_S), .tv_nsec = (long)(at_ns % FG_S)};
}

static void *run(void *argument)
{
    struct fg_overview *overview = argument;
    uint64_t next_ns = fg_clock_now_ns() + SAMPLE_EVERY_NS;

    pthread_mutex_lock(&overview->lock);
    while (!overview->stopping) {
        struct timespec until = moment(next_ns);
        if (pthread_cond_timedwait(&overview->stop, &overview->lock, &until) != ETIMEDOUT)
            continue;
        uint64_t now_ns = fg_clock_now_ns();
        fg_history_take(overview->history, now_ns, fg_clock_wall_ns());
        next_ns += SAMPLE_EVERY_NS;
        if (next_ns <= now_ns) /* the machine slept, or has other things to do */
            next_ns = now_ns + SAMPLE_EVERY_NS;
    }
    pthread_mutex_unlock(&overview->lock);
    return NULL;
}

static struct fg_history *history_of(struct fg_gateway *gateway)
{
    struct fg_history_source *sources = fg_alloc((gateway->workers_len + 1) * sizeof *sources);

    for (unsigned i = 0; i < gateway->workers_len; i++)
        sources[i] = (struct fg_history_source){&gateway->workers[i].stats, &gateway->workers[i].metrics};
    struct fg_history *history = fg_history_new(sources, gateway->workers_len, fg_clock_now_ns());
    free(sources);
    return history;
}

static void cleanup(struct fg_overview *overview)
{
    pthread_mutex_destroy(&overview->lock);
    pthread_cond_destroy(&overview->stop);
    fg_history_free(overview->history);
    free(overview);
}

struct fg_overview *fg_overview_start(struct fg_gateway *gateway, char *error, size_t error_len)
{
    struct fg_overview *overview = fg_alloc_zero(sizeof *overview);
    pthread_condattr_t monotonic;

    overview->history = history_of(gateway);
    pthread_mutex_init(&overview->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&overview->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int result = pthread_create(&overview->thread, NULL, run, overview);
    if (result == 0)
        return overview;
    snprintf(error, error_len, "the thread of /overview cannot be started: %s", strerror(result));
    cleanup(overview);
    return NULL;
}

void fg_overview_stop(struct fg_overview *overview)
{
    if (!overview)
        return;
    pthread_mutex_lock(&overview->lock);
    overview->stopping = true;
    pthread_cond_signal(&overview->stop);
    pthread_mutex_unlock(&overview->lock);
    pthread_join(overview->thread, NULL);
    cleanup(overview);
}

/* ---- parts ---- */

void fg_overview_put_ms(FILE *out, const char *name, double ms)
{
    if (ms < 0)
        fprintf(out, ", \"%s\": null", name);
    else
        fprintf(out, ", \"%s\": %.4g", name, ms);
}

void fg_overview_put_rate(FILE *out, const char *name, uint64_t count, double seconds)
{
    fputs(", ", out);
    fg_inspect_put_number(out, name, seconds > 0 ? (double)count / seconds : 0);
}

static void put_percentiles(FILE *out, const struct fg_histogram_snapshot *durations)
{
    fg_overview_put_ms(out, "p50_ms", fg_history_percentile_ms(durations, 0.5));
    fg_overview_put_ms(out, "p90_ms", fg_history_percentile_ms(durations, 0.9));
    fg_overview_put_ms(out, "p99_ms", fg_history_percentile_ms(durations, 0.99));
}

static void put_time(FILE *out, const char *name, uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / FG_S);
    struct tm utc;
    char text[32];

    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, "\"%s\": \"%s.%03uZ\"", name, text, (unsigned)(wall_ns / FG_MS % 1000));
}

static const char *state_of(const struct fg_gateway *gateway)
{
    if (__atomic_load_n(&gateway->draining, __ATOMIC_ACQUIRE))
        return "draining";
    return __atomic_load_n(&gateway->ready, __ATOMIC_ACQUIRE) ? "ready" : "starting";
}

static void put_process(const struct fg_gateway *gateway, FILE *out)
{
    const char *file = gateway->config->source;
    bool ready = __atomic_load_n(&gateway->ready, __ATOMIC_ACQUIRE);
    uint64_t up_ns = ready ? fg_clock_now_ns() - gateway->started_ns : 0;

    put_time(out, "time", fg_clock_wall_ns());
    fprintf(out, ", \"uptime_s\": %.3f, \"version\": \"%s\", \"pid\": %ld, \"workers\": %u, \"state\": \"%s\",\n",
            (double)up_ns / (double)FG_S, FG_VERSION, (long)getpid(), gateway->workers_len, state_of(gateway));
    fputs("\"config\": {\"file\": ", out);
    if (file && strcmp(file, FG_CONFIG_FROM_FLAGS) != 0)
        fg_inspect_put_string(out, fg_str_from(file));
    else
        fputs("null", out);
    fprintf(out, ", \"generation\": %u, ", gateway->config_generation);
    put_time(out, "loaded", gateway->config_loaded_ns);
    fputs("},\n", out);
}

/* ---- totals ---- */

static void put_now(const struct fg_history *history, double window_s, FILE *out)
{
    static const struct fg_history_sample none;
    const struct fg_history_sample *last = fg_history_len(history) > 0 ? fg_history_at(history, 0) : &none;
    struct fg_histogram_snapshot durations;
    uint64_t counts[FG_HISTORY_COUNTS];

    fg_history_totals(history, counts, &durations);
    fprintf(out, "\"now\": {\"window_s\": %.6f", window_s);
    fg_overview_put_rate(out, "calls_per_s", counts[FG_HISTORY_CALLS], window_s);
    fg_overview_put_rate(out, "failures_per_s", counts[FG_HISTORY_FAILURES], window_s);
    fg_overview_put_rate(out, "refused_per_s", counts[FG_HISTORY_REFUSED], window_s);
    fg_overview_put_rate(out, "retries_per_s", counts[FG_HISTORY_RETRIES], window_s);
    fg_overview_put_rate(out, "read_bytes_per_s", counts[FG_HISTORY_READ_BYTES], window_s);
    fg_overview_put_rate(out, "written_bytes_per_s", counts[FG_HISTORY_WRITTEN_BYTES], window_s);
    put_percentiles(out, &durations);
    fprintf(out,
            ", \"in_progress\": %llu, \"queued\": %llu, \"downstream_connections\": %llu, \"upstream_connections\": "
            "%llu},\n",
            (unsigned long long)last->gauges[FG_HISTORY_IN_PROGRESS],
            (unsigned long long)last->gauges[FG_HISTORY_QUEUED],
            (unsigned long long)last->gauges[FG_HISTORY_DOWNSTREAM_CONNECTIONS],
            (unsigned long long)last->gauges[FG_HISTORY_UPSTREAM_CONNECTIONS]);
}

static void put_sample(const struct fg_history_sample *sample, FILE *out)
{
    fprintf(
        out,
        "{\"t\": %.3f, \"took_s\": %.3f, \"calls\": %llu, \"failures\": %llu, \"refused\": %llu, \"retries\": %llu, "
        "\"in_progress\": %llu, \"queued\": %llu, \"read_bytes\": %llu, \"written_bytes\": %llu",
        (double)sample->wall_ns / (double)FG_S, (double)sample->took_ns / (double)FG_S,
        (unsigned long long)sample->counts[FG_HISTORY_CALLS], (unsigned long long)sample->counts[FG_HISTORY_FAILURES],
        (unsigned long long)sample->counts[FG_HISTORY_REFUSED], (unsigned long long)sample->counts[FG_HISTORY_RETRIES],
        (unsigned long long)sample->gauges[FG_HISTORY_IN_PROGRESS],
        (unsigned long long)sample->gauges[FG_HISTORY_QUEUED],
        (unsigned long long)sample->counts[FG_HISTORY_READ_BYTES],
        (unsigned long long)sample->counts[FG_HISTORY_WRITTEN_BYTES]);
    fg_overview_put_ms(out, "p50_ms", sample->p50_ms);
    fg_overview_put_ms(out, "p90_ms", sample->p90_ms);
    fg_overview_put_ms(out, "p99_ms", sample->p99_ms);
    fputc('}', out);
}

static void put_history(const struct fg_history *history, size_t wanted, FILE *out)
{
    size_t len = FG_MIN(fg_history_len(history), wanted);

    fputs("\"history\": [", out);
    for (size_t i = len; i-- > 0;) {
        fputs(i + 1 == len ? "\n " : ",\n ", out);
        put_sample(fg_history_at(history, i), out);
    }
    fputs("\n],\n", out);
}

/* ---- by method, by cause ---- */

static void put_method(const struct fg_history_series *method, double window_s, FILE *out)
{
    struct fg_histogram_snapshot durations;

    fg_history_durations(method, &durations);
    fg_inspect_put_field(out, "cluster", fg_str_from(method->cluster));
    fputs(", ", out);
    fg_inspect_put_field(out, "method", fg_str_from(method->name));
    fg_overview_put_rate(out, "calls_per_s", method->window_calls, window_s);
    fg_overview_put_rate(out, "failures_per_s", method->window_failures, window_s);
    fg_overview_put_rate(out, "refused_per_s", method->window_refused, window_s);
    fputs(", ", out);
    fg_inspect_put_number(out, "failure_ratio",
                          method->window_calls > 0 ? (double)method->window_failures / (double)method->window_calls
                                                   : 0);
    put_percentiles(out, &durations);
    fprintf(out, ", \"calls\": %llu, \"failures\": %llu}", (unsigned long long)method->calls,
            (unsigned long long)method->failures);
}

static void put_methods(const struct fg_history *history, double window_s, size_t wanted, FILE *out)
{
    size_t len;
    const struct fg_history_series **all = fg_history_series(history, FG_HISTORY_METHODS, &len);

    fputs("\"methods\": [", out);
    for (size_t i = 0; i < len && i < wanted; i++) {
        fputs(i > 0 ? ",\n {" : "\n {", out);
        put_method(all[i], window_s, out);
    }
    fprintf(out, "\n], \"methods_left_out\": %zu,\n", len - FG_MIN(len, wanted));
    free(all);
}

/* NOW is not looked at where NULL. */
static void put_wait(const char *cause, const struct fg_history_series *ended, const uint32_t *now, double window_s,
                     FILE *out)
{
    struct fg_histogram_snapshot durations = {0};

    if (ended)
        fg_history_durations(ended, &durations);
    fg_inspect_put_field(out, "cause", fg_str_from(cause));
    if (now)
        fprintf(out, ", \"calls\": %u", *now);
    fg_overview_put_rate(out, "ended_per_s", ended ? ended->window_calls : 0, window_s);
    fg_overview_put_ms(out, "p50_ms", fg_history_percentile_ms(&durations, 0.5));
    fg_overview_put_ms(out, "p99_ms", fg_history_percentile_ms(&durations, 0.99));
    fprintf(out, ", \"ended\": %llu}", (unsigned long long)(ended ? ended->calls : 0));
}

/* Causes for which something waits or has waited. */
static void put_waits(const struct fg_history *history, const uint32_t *now, double window_s, FILE *out)
{
    const char *separator = "\n {";
    size_t len;
    const struct fg_history_series **all = fg_history_series(history, FG_HISTORY_WAITS, &len);

    fputs("\"waits\": [", out);
    for (int cause = FG_WAIT_NONE + 1; cause < FG_WAIT_LEN; cause++) {
        const char *name = fg_wait_name((enum fg_wait_cause)cause);
        size_t i = 0;
        while (i < len && strcmp(all[i]->name, name) != 0)
            i++;
        if (i == len && (!now || now[cause] == 0))
            continue;
        fputs(separator, out);
        put_wait(name, i < len ? all[i] : NULL, now ? &now[cause] : NULL, window_s, out);
        separator = ",\n {";
    }
    fputs("\n],\n", out);
    free(all);
}

/* ---- all of it ---- */

static uint64_t log_lines_dropped(const struct fg_gateway *gateway)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < gateway->workers_len; i++)
        total += fg_stat_read(&gateway->workers[i].stats.access_log_dropped);
    return total;
}

/* What was sampled; the lock is held. */
static void put_sampled(struct fg_gateway *gateway, const struct fg_history *history,
                        const struct fg_overview_query *query, const struct fg_overview_load *loads,
                        const uint32_t *waits, FILE *out)
{
    double window_s = fg_history_window_s(history);
    size_t len;

    put_now(history, window_s, out);
    put_history(history, query->history, out);
    put_methods(history, window_s, query->methods, out);
    put_waits(history, waits, window_s, out);
    const struct fg_history_series **attempts = fg_history_series(history, FG_HISTORY_ENDPOINTS, &len);
    fg_overview_put_endpoints(gateway, attempts, len, window_s, loads, out);
    fputs(",\n", out);
    free(attempts);
}

void fg_overview_print(struct fg_gateway *gateway, const struct fg_overview_query *query, FILE *out)
{
    struct fg_overview *overview = __atomic_load_n(&gateway->overview, __ATOMIC_ACQUIRE);
    uint32_t counts[FG_WAIT_LEN], *waits = query->waits_now ? counts : NULL;
    bool complete;
    struct fg_overview_load *loads = fg_overview_ask_load(gateway, &complete);

    if (waits)
        complete = fg_overview_ask_waits(gateway, counts) && complete;
    fputc('{', out);
    put_process(gateway, out);
    if (overview) {
        pthread_mutex_lock(&overview->lock);
        put_sampled(gateway, overview->history, query, loads, waits, out);
        pthread_mutex_unlock(&overview->lock);
    } else { /* it has not begun to serve */
        struct fg_history *none = history_of(gateway);
        put_sampled(gateway, none, query, loads, waits, out);
        fg_history_free(none);
    }
    fg_overview_put_breakers(gateway, out);
    fputs(",\n", out);
    fg_overview_put_limits(gateway, out);
    fprintf(out, ",\n\"log\": {\"dropped\": %llu}, ", (unsigned long long)log_lines_dropped(gateway));
    fg_inspect_put_bool(out, "complete", complete);
    fputs("}\n", out);
    free(loads);
}
