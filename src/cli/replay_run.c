#include "cli/replay_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/replay_route.h"

#define MAX_BREAKERS 16384 /* as many as a gateway has */

/* An attempt of the log, from when it is read until it has been reported. */
struct replayed {
    struct fg_breaker *of_method, *of_endpoint;
    const struct fg_config_cluster *cluster;
    struct fg_breaker_rank rank;
    struct fg_breaker_ticket method_ticket, endpoint_ticket;
    struct fg_breaker_result result;
    struct fg_str method; /* behind the struct */
    uint64_t end_ns, number;
    bool is_asked;
};

/* How the clock of the log, which begins anew with each boot, is made one that goes on. */
struct clock {
    bool begun;
    int64_t ahead_us;      /* of replay's clock */
    uint64_t newest_us;    /* in the log's clock */
    uint64_t newest_ms;    /* by the wall, of the same line; 0: unknown */
    int64_t wall_ahead_ms; /* of replay's clock; of no meaning while newest_ms is 0 */
};

struct fg_replay {
    const struct fg_config *config;
    uint64_t window_ns;
    struct fg_breaker_registry *breakers;
    struct fg_replay_routes *routes;
    struct fg_replay_order order;
    struct clock clock;
    struct fg_replay_line line;
    uint64_t number, next_seq;
    fg_replay_on_change *on_change;
    void *context;
    struct fg_replay_summary summary;
};

/* ---- notes ---- */

__attribute__((format(printf, 2, 3))) static void skip(struct fg_replay *replay, const char *format, ...)
{
    struct fg_replay_summary *summary = &replay->summary;
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    summary->skipped++;
    for (size_t i = 0; i < summary->notes_len; i++)
        if (strcmp(summary->notes[i].text, text) == 0) {
            summary->notes[i].attempts++;
            return;
        }
    if (summary->notes_len < FG_REPLAY_NOTES_MAX)
        summary->notes[summary->notes_len++] = (struct fg_replay_note){fg_strdup(text), 1};
}

/* ---- the breakers ---- */

static void on_event(void *context, const struct fg_breaker_event *event)
{
    struct fg_replay *replay = context;
    int64_t wall_ms = (int64_t)(event->at_ns / FG_MS) + replay->clock.wall_ahead_ms;

    if (event->to == FG_BREAKER_OPEN && event->from == FG_BREAKER_OPEN)
        replay->summary.raises++;
    else if (event->to == FG_BREAKER_OPEN)
        replay->summary.trips++;
    const struct fg_config_cluster *cluster = fg_replay_cluster(replay->config, event->cluster);
    bool classes = fg_replay_has_classes(replay->config, cluster);
    const struct fg_replay_change change = {
        .event = event,
        .wall_ms = replay->clock.newest_ms && wall_ms > 0 ? (uint64_t)wall_ms : 0,
        .refuses_all = event->to == FG_BREAKER_OPEN && event->severity >= (classes ? fg_breaker_factor(2, 2, 1) : 1000),
    };
    replay->on_change(replay->context, &change);
}

static void tell_changes(struct fg_replay *replay)
{
    replay->next_seq = fg_breaker_events_read(replay->breakers, replay->next_seq, on_event, replay);
}

static bool endpoint_admits(struct fg_replay *replay, const struct replayed *attempt, size_t i, uint64_t now_ns)
{
    const struct fg_config_breaker *config = &attempt->cluster->breaker;
    struct fg_str cluster = fg_str_from(attempt->cluster->name);
    struct fg_str endpoint = fg_str_from(attempt->cluster->endpoints[i].address);

    return fg_breaker_admits(fg_breaker_get(replay->breakers, cluster, endpoint, FG_STR("")), config, attempt->rank,
                             now_ns) &&
           fg_breaker_admits(fg_breaker_get(replay->breakers, cluster, endpoint, attempt->method), config,
                             attempt->rank, now_ns);
}

static size_t count_admitting(struct fg_replay *replay, const struct replayed *attempt, uint64_t now_ns)
{
    size_t admitting = 0;

    for (size_t i = 0; i < attempt->cluster->endpoints_len; i++)
        admitting += endpoint_admits(replay, attempt, i, now_ns);
    return admitting;
}

/* More of the cluster than max_ejected allows is refused: then nothing is, and nothing counts (call/choose.c). */
static bool too_many_refused(struct fg_replay *replay, const struct replayed *attempt, uint64_t now_ns)
{
    double max = attempt->cluster->breaker.max_ejected;
    size_t endpoints = attempt->cluster->endpoints_len;

    return max < 1.0 &&
           endpoints - count_admitting(replay, attempt, now_ns) > FG_MAX((size_t)(max * (double)endpoints), (size_t)1);
}

/* Asks both circuits, or none: as a call does. */
static enum fg_breaker_verdict ask(struct replayed *attempt, uint64_t now_ns)
{
    const struct fg_config_breaker *config = &attempt->cluster->breaker;

    if (!fg_breaker_admits(attempt->of_endpoint, config, attempt->rank, now_ns) ||
        !fg_breaker_admits(attempt->of_method, config, attempt->rank, now_ns))
        return FG_BREAKER_REFUSE;
    enum fg_breaker_verdict verdict =
        fg_breaker_ask(attempt->of_endpoint, config, attempt->rank, now_ns, &attempt->endpoint_ticket);
    if (verdict >= FG_BREAKER_REFUSE)
        return verdict;
    verdict = fg_breaker_ask(attempt->of_method, config, attempt->rank, now_ns, &attempt->method_ticket);
    if (verdict >= FG_BREAKER_REFUSE)
        fg_breaker_give_back(attempt->of_endpoint, config, attempt->endpoint_ticket, now_ns);
    return verdict;
}

/* False: it would not have been made there, or does not count. */
static bool begin(struct fg_replay *replay, struct replayed *attempt, uint64_t now_ns)
{
    struct fg_replay_summary *summary = &replay->summary;

    if (too_many_refused(replay, attempt, now_ns)) {
        summary->let_through++;
        return false;
    }
    enum fg_breaker_verdict verdict = ask(attempt, now_ns);
    if (verdict < FG_BREAKER_REFUSE)
        return true;
    summary->refused_by_class[attempt->result.class]++;
    summary->shed += verdict == FG_BREAKER_SHED;
    summary->elsewhere += count_admitting(replay, attempt, now_ns) > (verdict == FG_BREAKER_SHED);
    return false;
}

static void report(struct replayed *attempt, uint64_t now_ns)
{
    const struct fg_config_breaker *config = &attempt->cluster->breaker;

    fg_breaker_report(attempt->of_method, config, attempt->method_ticket, &attempt->result, now_ns);
    fg_breaker_report(attempt->of_endpoint, config, attempt->endpoint_ticket, &attempt->result, now_ns);
}

/* Everything up to UNTIL_NS. At one instant ends come before beginnings: a retry begins when the attempt before it
 * ends. */
static void go_on(struct fg_replay *replay, uint64_t until_ns)
{
    struct replayed *attempt;

    while ((attempt = fg_replay_order_take(&replay->order, until_ns))) {
        uint64_t now_ns = replay->order.now_ns;
        bool goes_on = false;
        if (attempt->is_asked)
            report(attempt, now_ns);
        else
            goes_on = begin(replay, attempt, now_ns);
        tell_changes(replay);
        if (goes_on) {
            attempt->is_asked = true;
            (void)fg_replay_order_add(&replay->order, attempt->end_ns, attempt->number, attempt);
        } else {
            free(attempt);
        }
    }
}

/* ---- time ---- */

#define FAR_US   (3600 * UINT64_C(1000000)) /* an idle gateway logs nothing for so long */
#define DRIFT_MS 60000                      /* the wall's clock is set by no more */
#define LAST_US  (INT64_C(1) << 53)         /* of replay's clock: in nanoseconds just short of 2^63 */

static bool is_other_clock(const struct fg_replay *replay, const struct fg_replay_line *line)
{
    const struct clock *clock = &replay->clock;
    uint64_t window_us = replay->window_ns / FG_US;

    if (line->end_us + window_us < clock->newest_us)
        return true;
    if (line->end_us < clock->newest_us + FAR_US || clock->newest_ms == 0 || line->wall_ms == 0)
        return false;
    int64_t by_wall_ms = (int64_t)(line->wall_ms - clock->newest_ms);
    int64_t by_clock_ms = (int64_t)((line->end_us - clock->newest_us) / 1000);
    return llabs(by_wall_ms - by_clock_ms) > DRIFT_MS;
}

static void set_wall(struct clock *clock, const struct fg_replay_line *line)
{
    if (line->wall_ms)
        clock->wall_ahead_ms = (int64_t)line->wall_ms - ((int64_t)line->end_us + clock->ahead_us) / 1000;
}

/* Moves the clock to LINE, which ends when it was written. After a boot, or in the log of another machine, the clock of
 * the log begins elsewhere: then the time of the day says how much later it is. */
static void move_clock(struct fg_replay *replay, const struct fg_replay_line *line)
{
    struct clock *clock = &replay->clock;

    if (!clock->begun) {
        clock->begun = true;
        set_wall(clock, line);
    } else if (is_other_clock(replay, line)) {
        int64_t later_ms =
            clock->newest_ms && line->wall_ms > clock->newest_ms ? (int64_t)(line->wall_ms - clock->newest_ms) : 0;
        int64_t now_us = (int64_t)clock->newest_us + clock->ahead_us;
        go_on(replay, FG_NEVER);
        clock->ahead_us = FG_MIN(now_us + later_ms * 1000, LAST_US) - (int64_t)line->end_us;
        clock->newest_us = 0;
        set_wall(clock, line);
        replay->summary.clocks++;
    }
    if (line->end_us >= clock->newest_us) {
        clock->newest_us = line->end_us;
        clock->newest_ms = line->wall_ms;
    }
}

/* An instant of the log's clock, in replay's; never 0. */
static uint64_t instant(const struct fg_replay *replay, uint64_t log_ns)
{
    int64_t us = (int64_t)(log_ns / FG_US) + replay->clock.ahead_us;
    return us > 0 ? (uint64_t)FG_MIN(us, LAST_US) * FG_US : 1;
}

/* ---- lines ---- */

static enum fg_class classify(const struct fg_config_route *route, const struct fg_outcome *outcome)
{
    const struct fg_config_outcomes *sets = &route->outcomes;

    if (!sets->failure) /* as call/call.c does */
        return fg_outcome_classify(outcome, &fg_outcome_default_sets);
    return fg_outcome_classify(outcome, &(struct fg_outcome_sets){sets->failure, sets->overload, sets->ignore});
}

/* What the call is to the breakers. What a header or the tenant decided is as it was recorded. */
static struct fg_breaker_rank rank_of(const struct fg_replay *replay, const struct fg_config_route *route,
                                      const struct fg_config_cluster *cluster)
{
    unsigned priority = route->priority_header ? replay->line.priority : route->priority;
    unsigned weight = route->tenant.weights_len > 0 ? replay->line.weight : route->weight;

    if (!fg_replay_has_classes(replay->config, cluster))
        return (struct fg_breaker_rank){0};
    return fg_breaker_rank(priority, FG_MAX(weight, 1u), cluster->mean_weight[FG_MIN(priority, 2u)]);
}

/* Adds an attempt of the line, which begins later or in the window, or else has begun. */
static void add(struct fg_replay *replay, const struct fg_config_route *route, const struct fg_config_cluster *cluster,
                struct fg_outcome *outcome)
{
    struct replayed *attempt = fg_alloc_zero(sizeof *attempt + outcome->method.len);

    outcome->class = classify(route, outcome);
    memcpy(attempt + 1, outcome->method.p, outcome->method.len);
    attempt->method = (struct fg_str){(const char *)(attempt + 1), outcome->method.len};
    attempt->cluster = cluster;
    attempt->of_method = fg_breaker_get(replay->breakers, outcome->cluster, outcome->endpoint, outcome->method);
    attempt->of_endpoint = fg_breaker_get(replay->breakers, outcome->cluster, outcome->endpoint, FG_STR(""));
    attempt->rank = rank_of(replay, route, cluster);
    attempt->result = fg_breaker_result_of(&cluster->breaker, outcome);
    attempt->end_ns = instant(replay, outcome->end_ns);
    attempt->number = replay->number++;
    replay->summary.attempts++;
    replay->summary.by_class[outcome->class]++;
    uint64_t start_ns = instant(replay, outcome->start_ns);
    if (start_ns < replay->order.now_ns) {
        /* Nobody knows any more what the circuits said then: it counts as one of an earlier time. */
        attempt->is_asked = true;
        replay->summary.late++;
        (void)fg_replay_order_add(&replay->order, attempt->end_ns, attempt->number, attempt);
    } else {
        (void)fg_replay_order_add(&replay->order, start_ns, UINT64_C(1) << 63 | attempt->number, attempt);
    }
}

static void add_attempts(struct fg_replay *replay, struct fg_replay_line *line)
{
    const struct fg_config_cluster *cluster = fg_replay_cluster(replay->config, line->call.cluster);
    const struct fg_config_route *route =
        cluster ? fg_replay_route(replay->routes, cluster, line->call.method, line->priority, line->weight) : NULL;

    for (size_t i = 0; i < line->attempts_len; i++) {
        if (line->attempts[i].endpoint.len == 0)
            replay->summary.unasked++;
        else if (!cluster)
            skip(replay, "cluster %.200s is not in the configuration", line->call.cluster.p);
        else if (!route)
            skip(replay, "no route of the configuration leads %.200s to cluster %.200s", line->call.method.p,
                 line->call.cluster.p);
        else
            add(replay, route, cluster, &line->attempts[i]);
    }
}

static void take_call(struct fg_replay *replay, struct fg_replay_line *line)
{
    struct fg_replay_summary *summary = &replay->summary;

    summary->calls++;
    summary->omitted += line->attempts_omitted;
    summary->refused_then += line->call.source == FG_SOURCE_BREAKER;
    if (line->wall_ms) {
        summary->first_wall_ms = summary->first_wall_ms ? FG_MIN(summary->first_wall_ms, line->wall_ms) : line->wall_ms;
        summary->last_wall_ms = FG_MAX(summary->last_wall_ms, line->wall_ms);
    }
    move_clock(replay, line);
    add_attempts(replay, line);
    uint64_t newest_ns = instant(replay, replay->clock.newest_us * FG_US);
    go_on(replay, newest_ns > replay->window_ns ? newest_ns - replay->window_ns : 0);
}

void fg_replay_feed(struct fg_replay *replay, const char *text, size_t len)
{
    struct fg_replay_line *line = &replay->line;

    fg_replay_line_read(line, text, len);
    replay->summary.lines++;
    replay->summary.broken += line->kind == FG_REPLAY_LINE_BROKEN;
    replay->summary.old += line->kind == FG_REPLAY_LINE_OLD;
    replay->summary.other += line->kind == FG_REPLAY_LINE_OTHER;
    if (line->kind == FG_REPLAY_LINE_CALL)
        take_call(replay, line);
    fg_replay_line_cleanup(line);
}

/* ---- life ---- */

struct fg_replay *fg_replay_new(const struct fg_config *config, uint64_t window_ns, size_t pending_max,
                                fg_replay_on_change *on_change, void *context)
{
    struct fg_replay *replay = fg_alloc_zero(sizeof *replay);

    replay->config = config;
    replay->window_ns = window_ns;
    replay->breakers = fg_breaker_registry_new(MAX_BREAKERS);
    replay->routes = fg_replay_routes_new(config);
    replay->on_change = on_change;
    replay->context = context;
    fg_replay_order_init(&replay->order, pending_max);
    return replay;
}

const struct fg_replay_summary *fg_replay_end(struct fg_replay *replay)
{
    go_on(replay, FG_NEVER);
    return &replay->summary;
}

void fg_replay_free(struct fg_replay *replay)
{
    for (size_t i = 0; i < replay->order.len; i++)
        free(replay->order.items[i].what);
    fg_replay_order_cleanup(&replay->order);
    for (size_t i = 0; i < replay->summary.notes_len; i++)
        free(replay->summary.notes[i].text);
    fg_replay_routes_free(replay->routes);
    fg_breaker_registry_free(replay->breakers);
    free(replay);
}
