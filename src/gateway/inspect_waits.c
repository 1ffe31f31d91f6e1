/* What held calls up lately, and what holds them up now. */
#include <stdlib.h>
#include <time.h>

#include "gateway/inspect_int.h"

#define STEP_RECORDS 64  /* written in one turn: some 100 us */
#define STEP_CALLS   256 /* looked at */

/* ---- one wait, as JSON ---- */

static void put_time(FILE *out, const char *name, uint64_t at_ns)
{
    uint64_t wall_ns = fg_clock_wall_ns() - (fg_clock_now_ns() - at_ns);
    time_t s = (time_t)(wall_ns / FG_S);
    struct tm parts;

    gmtime_r(&s, &parts);
    fprintf(out, "\"%s\": \"%04d-%02d-%02dT%02d:%02d:%02d.%03uZ\"", name, parts.tm_year + 1900, parts.tm_mon + 1,
            parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (unsigned)(wall_ns % FG_S / FG_MS));
}

void fg_inspect_put_holders(FILE *out, unsigned worker, const struct fg_long_wait *record)
{
    const struct fg_wait_holders *holders = &record->holders;

    fputs("\"holders\": [", out);
    for (uint32_t i = 0; i < holders->len; i++) {
        fprintf(out, "%s{\"stream\": %u, \"bytes\": %u", i > 0 ? ", " : "", holders->top[i].stream,
                holders->top[i].bytes);
        if (record->holding_calls[i])
            fprintf(out, ", \"id\": \"%u-%llu\"", worker, (unsigned long long)record->holding_calls[i]);
        fputc('}', out);
    }
    fprintf(out, "], \"more_holders\": %u, \"gone_bytes\": %llu", holders->more,
            (unsigned long long)holders->gone_bytes);
}

static void put_wait(FILE *out, unsigned worker, const struct fg_long_wait *record, bool is_over)
{
    const struct fg_call_wait *wait = &record->wait;

    fprintf(out, "{\"id\": \"%u-%llu\", ", worker, (unsigned long long)record->call);
    fg_inspect_put_field(out, "method", fg_str_from(record->method));
    fputs(", ", out);
    fg_inspect_put_field(out, "cluster", fg_str_from(record->cluster));
    fputs(", ", out);
    fg_inspect_put_field(out, "endpoint", fg_str_from(record->endpoint));
    fputs(", ", out);
    fg_inspect_put_field(out, "peer", fg_str_from(record->peer));
    fprintf(out, ", \"cause\": \"%s\", \"side\": \"%s\", \"attempt\": %u, ", fg_wait_name(wait->cause),
            wait->attempt > 0 ? "upstream" : "downstream", wait->attempt);
    put_time(out, "began", wait->since_ns);
    fprintf(out, ", \"lasted_ms\": %.3f, \"over\": %s", (double)(wait->until_ns - wait->since_ns) / (double)FG_MS,
            is_over ? "true" : "false");
    if (wait->connection)
        fprintf(out, ", \"connection\": %llu", (unsigned long long)wait->connection);
    if (wait->stream)
        fprintf(out, ", \"stream\": %u", wait->stream);
    if (wait->holders) {
        fputs(", ", out);
        fg_inspect_put_holders(out, worker, record);
    }
    fputc('}', out);
}

/* ---- a worker's part ---- */

struct scan {
    uint64_t record;   /* of the ring, next */
    uint64_t calls;    /* to look at; those that begin meanwhile are not waited for */
    uint64_t now_ns;   /* when it began */
    bool first, begun; /* nothing was written yet; the calls' turn has come */
};

static bool is_asked_for(const struct fg_inspect_waits_query *query, const struct fg_call_wait *wait)
{
    return wait->until_ns - wait->since_ns >= query->min_ns && (query->cause < 0 || (int)wait->cause == query->cause) &&
           (query->peers || query->cause >= 0 || !fg_wait_is_for_peer(wait->cause));
}

static void put_one(struct fg_worker *worker, struct scan *scan, const struct fg_long_wait *record, bool is_over,
                    FILE *out)
{
    if (!scan->first)
        fputs(",\n", out);
    scan->first = false;
    put_wait(out, worker->index, record, is_over);
}

/* Those that are over. False: there are more. */
static bool put_records(struct fg_worker *worker, const struct fg_inspect_waits_query *query, struct scan *scan,
                        FILE *out)
{
    const struct fg_long_waits *waits = &worker->long_waits;
    uint64_t oldest = waits->count > FG_LONG_WAITS_KEPT ? waits->count - FG_LONG_WAITS_KEPT : 0;
    uint64_t since_ns = scan->now_ns > query->last_ns ? scan->now_ns - query->last_ns : 0;

    if (scan->record < oldest)
        scan->record = oldest;
    for (int i = 0; i < STEP_RECORDS && scan->record < waits->count; i++, scan->record++) {
        const struct fg_long_wait *record = &waits->ring[scan->record % FG_LONG_WAITS_KEPT];
        if (record->wait.until_ns >= since_ns && is_asked_for(query, &record->wait))
            put_one(worker, scan, record, true, out);
    }
    return scan->record == waits->count;
}

static bool put_calls(struct fg_worker *worker, const struct fg_inspect_waits_query *query, struct scan *scan,
                      FILE *out)
{
    struct fg_call_env *env = &worker->env;

    if (!scan->begun && env->scan) /* somebody else looks at them */
        return false;
    if (!scan->begun) {
        scan->begun = true;
        scan->calls = worker->stats.calls_started - worker->stats.calls_ended;
        env->scan = env->calls.next;
    }
    for (int i = 0; i < STEP_CALLS && scan->calls > 0 && env->scan != &env->calls; i++, scan->calls--) {
        const struct fg_call *call = FG_LIST_ENTRY(env->scan, struct fg_call, node);
        struct fg_wait_holders room;
        struct fg_call_wait wait;
        env->scan = env->scan->next;
        if (!fg_call_current_wait(call, &wait, &room) || !is_asked_for(query, &wait))
            continue;
        struct fg_long_wait record = {0};
        fg_long_wait_fill(&record, call, &wait);
        put_one(worker, scan, &record, false, out);
    }
    if (scan->calls > 0 && env->scan != &env->calls)
        return false;
    env->scan = NULL;
    return true;
}

static bool step(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    const struct fg_inspect_waits_query *query = context;
    struct scan *scan = *state;

    if (!scan) {
        *state = scan = fg_alloc_zero(sizeof *scan);
        scan->first = true;
        scan->now_ns = worker->loop.now_ns;
    }
    if (!scan->begun && !put_records(worker, query, scan, out))
        return false;
    if (!put_calls(worker, query, scan, out))
        return false;
    free(scan);
    *state = NULL;
    return true;
}

void fg_inspect_waits(struct fg_gateway *gateway, const struct fg_inspect_waits_query *query, FILE *out)
{
    fputs("{\"waits\": [\n", out);
    bool complete = fg_gateway_ask(gateway, step, query, sizeof *query, ",\n", out);
    fprintf(out, "\n], \"complete\": %s}\n", complete ? "true" : "false");
}
