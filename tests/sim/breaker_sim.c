/* Random schedules for one circuit with a virtual clock, step by step against a naive model (breaker_model.h). A seed
 * is a schedule.
 *
 *     breaker_sim [SEEDS [FIRST_SEED]]        runs SEEDS schedules; prints the seed and the step that went wrong */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "breaker_model.h"

#define STEPS 600
#define RANKS 3

/* Where a run came: each must have been reached. X(name) */
#define PLACES(X)                                                                                                      \
    X(closed)                                                                                                          \
    X(open)                                                                                                            \
    X(half_open)                                                                                                       \
    X(raises)                                                                                                          \
    X(by_row)                                                                                                          \
    X(by_failures)                                                                                                     \
    X(by_slow)                                                                                                         \
    X(by_probe)                                                                                                        \
    X(shed)                                                                                                            \
    X(long_pauses)                                                                                                     \
    X(passed_while_open)

struct places {
#define X(name) uint64_t name;
    PLACES(X)
#undef X
};

struct sim {
    uint64_t seed, random;
    unsigned step;
    struct fg_breaker_registry *registry;
    struct fg_breaker *breaker;
    struct fg_breaker_rank ranks[RANKS];
    unsigned sick, lame, crowded; /* percent of the calls that fail, are slow, are one too many at the moment */
    uint64_t next_event;
    size_t events_seen;
    struct places seen;
    struct model model;
};

static uint64_t draw(struct sim *s, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = s->random += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

static void fail(const struct sim *s, const char *what, double got, double expected)
{
    fprintf(stderr, "breaker_sim: seed %" PRIu64 " step %u: %s is %.10g, the model says %.10g\n", s->seed, s->step,
            what, got, expected);
    exit(1);
}

#define EXPECT(what, got, expected)                                                                                    \
    do {                                                                                                               \
        if ((got) != (expected))                                                                                       \
            fail(s, what, (double)(got), (double)(expected));                                                          \
    } while (0)

#define EXPECT_NEAR(what, got, expected, error)                                                                        \
    do {                                                                                                               \
        if ((got) - (expected) > (error) || (expected) - (got) > (error))                                              \
            fail(s, what, (double)(got), (double)(expected));                                                          \
    } while (0)

/* ---- what must be the same ---- */

static void check_windows(struct sim *s, const struct fg_breaker_info *info)
{
    const struct model *m = &s->model;
    struct model_sums sums = {0};
    bool on = m->config.enabled;

    if (on)
        sums = model_window(m);
    EXPECT("calls", info->calls, sums.units / 4.0);
    EXPECT("failures", info->failures, sums.failures / 4.0);
    EXPECT("slow_calls", info->slow_calls, sums.slow_units / 4.0);
    EXPECT("slow", info->slow, sums.slow / 4.0);
    EXPECT("overload_calls", info->overload_calls, sums.answers);
    EXPECT("overloads", info->overloads, sums.overloads);
    EXPECT("consecutive_failures", info->consecutive_failures, on ? model_failures_in_a_row(m) : 0);
    EXPECT_NEAR("shed_share", info->shed_share * 65536, on ? model_shed_share(m) + 0.5 : 0, 0.5001);
}

static void check_trip(struct sim *s, const struct fg_breaker_info *info)
{
    const struct model *m = &s->model;

    EXPECT("cause", strcmp(info->cause, m->cause), 0);
    EXPECT_NEAR("observed", info->observed, m->observed, 1e-8);
    EXPECT_NEAR("threshold", info->threshold, m->threshold, 1e-8);
    EXPECT("factor", info->factor, m->factor);
    EXPECT("outcomes", info->outcomes_len, m->kept_len);
    for (size_t i = 0; i < m->kept_len; i++) {
        const struct model_outcome *kept = &m->kept[i];
        EXPECT("outcome's class", info->outcomes[i].class, kept->result.class);
        EXPECT("outcome's slowness", info->outcomes[i].slow, kept->result.slow);
        EXPECT("outcome's code", info->outcomes[i].code, kept->result.code);
        EXPECT("outcome's source", info->outcomes[i].source, kept->result.source);
        EXPECT("outcome's duration", info->outcomes[i].duration_ms, kept->result.duration_ms);
        EXPECT("outcome's age", info->outcomes[i].age_ns / FG_MS, m->now_ns / FG_MS - kept->at_ns / FG_MS);
    }
}

static void check_event(void *context, const struct fg_breaker_event *event)
{
    struct sim *s = context;
    const struct model *m = &s->model;

    if (s->events_seen >= m->changes_len)
        fail(s, "events", (double)s->events_seen + 1, (double)m->changes_len);
    const struct model_change *change = &m->changes[s->events_seen++];
    EXPECT("event's from", event->from, change->from);
    EXPECT("event's to", event->to, change->to);
    EXPECT("event's time", event->at_ns, change->at_ns);
    EXPECT("event's cause", strcmp(event->cause, m->cause), 0);
    EXPECT("event's severity", event->severity, m->severity);
    EXPECT_NEAR("event's observed", event->observed, m->observed, 1e-8);
}

static void check_events(struct sim *s)
{
    s->events_seen = 0;
    s->next_event = fg_breaker_events_read(s->registry, s->next_event, check_event, s);
    EXPECT("events", s->events_seen, s->model.changes_len);
    s->model.changes_len = 0;
}

static void check_invariants(struct sim *s)
{
    const struct model *m = &s->model;
    struct fg_breaker_info info;
    bool overdue, on = m->config.enabled;

    fg_breaker_describe(s->breaker, &m->config, m->now_ns, &info);
    check_windows(s, &info);
    check_trip(s, &info);
    check_events(s);
    EXPECT("state", info.state, on ? m->state : FG_BREAKER_CLOSED);
    EXPECT("severity", info.severity, on && m->state != FG_BREAKER_CLOSED ? m->severity : 0);
    EXPECT("permits_out", info.permits_out, on ? model_permits_out(m) : 0);
    EXPECT("since", info.since_ns, on ? m->since_ns : 0);
    EXPECT("retrips", info.retrips, on ? model_retrips(m) : 0);
    EXPECT("pause", info.pause_ns, on ? model_pause_ns(m, model_retrips(m) + (m->state == FG_BREAKER_CLOSED)) : 0);
    EXPECT("retry_in", info.retry_in_ns, model_retry_in(m));
    EXPECT("trips", info.trips, m->trips);
    EXPECT("refused", info.refused, m->refused);
    EXPECT("shed", info.shed, m->shed);
    for (size_t i = 0; i < RANKS; i++)
        EXPECT("admits", fg_breaker_admits(s->breaker, &m->config, s->ranks[i], m->now_ns),
               model_verdict(m, s->ranks[i], &overdue) != FG_BREAKER_REFUSE);
    /* What must hold whatever the model says. */
    if (on && info.state == FG_BREAKER_HALF_OPEN && info.permits_out > m->ok + 1)
        fail(s, "ramp: permits out", info.permits_out, m->ok + 1);
    if (on && info.state != FG_BREAKER_HALF_OPEN && info.permits_out > 0)
        fail(s, "permits out while not half-open", info.permits_out, 0);
    if (info.failures > info.calls || info.slow > info.slow_calls || info.overloads > info.overload_calls)
        fail(s, "failures of calls", info.failures, info.calls);
    if (on && info.state != FG_BREAKER_CLOSED && info.severity < info.factor && strcmp(info.cause, "probe_failed") != 0)
        fail(s, "severity at a trip", info.severity, info.factor);
    s->seen.closed += m->state == FG_BREAKER_CLOSED;
    s->seen.open += m->state == FG_BREAKER_OPEN;
    s->seen.half_open += m->state == FG_BREAKER_HALF_OPEN;
    s->seen.long_pauses += m->state == FG_BREAKER_OPEN && info.pause_ns > m->config.open_for_ns;
}

/* ---- the schedule ---- */

static void step_ask(struct sim *s)
{
    struct model *m = &s->model;
    struct fg_breaker_rank rank = s->ranks[draw(s, RANKS)];
    struct fg_breaker_ticket ticket;

    if (m->calls_len == MODEL_CALLS_MAX)
        return;
    enum fg_breaker_verdict verdict = fg_breaker_ask(s->breaker, &m->config, rank, m->now_ns, &ticket);
    EXPECT("verdict", verdict, model_ask(m, rank));
    bool goes = verdict == FG_BREAKER_PASS || verdict == FG_BREAKER_PERMIT;
    EXPECT("having a ticket", ticket.value != 0, goes && m->config.enabled);
    EXPECT("being a probe", ticket.permit, verdict == FG_BREAKER_PERMIT);
    s->seen.shed += verdict == FG_BREAKER_SHED;
    s->seen.passed_while_open += verdict == FG_BREAKER_PASS && m->config.enabled && m->state != FG_BREAKER_CLOSED;
    if (goes)
        m->calls[m->calls_len++] = (struct model_call){
            .ticket = ticket, .rank = rank, .period = m->config.enabled ? m->period : 0, .permit = ticket.permit};
}

static struct fg_breaker_result draw_result(struct sim *s)
{
    struct fg_breaker_result result = {.class = FG_CLASS_SUCCESS,
                                       .slow = s->model.config.slow_call_ns > 0 && draw(s, 100) < s->lame,
                                       .code = (enum fg_status)draw(s, FG_STATUS_LEN),
                                       .source = (enum fg_source)draw(s, FG_SOURCE_LEN),
                                       .duration_ms = (uint32_t)draw(s, 200000)};

    if (draw(s, 100) < 8)
        result.class = FG_CLASS_IGNORED;
    else if (draw(s, 100) < s->crowded)
        result.class = FG_CLASS_OVERLOAD;
    else if (draw(s, 100) < s->sick)
        result.class = FG_CLASS_FAILURE;
    return result;
}

static void note_trip(struct sim *s)
{
    const char *cause = s->model.cause;

    s->seen.by_row += strcmp(cause, "consecutive_failures") == 0;
    s->seen.by_failures += strcmp(cause, "failure_ratio") == 0;
    s->seen.by_slow += strcmp(cause, "slow_ratio") == 0;
    s->seen.by_probe += strcmp(cause, "probe_failed") == 0;
}

static void step_report(struct sim *s)
{
    struct model *m = &s->model;
    uint64_t trips = m->trips;

    if (m->calls_len == 0)
        return;
    /* Mostly the latest call, now and then one that has been out for long. */
    size_t at = draw(s, 4) ? m->calls_len - 1 : (size_t)draw(s, m->calls_len);
    struct model_call call = m->calls[at];
    struct fg_breaker_result result = draw_result(s);
    for (; at + 1 < m->calls_len; at++)
        m->calls[at] = m->calls[at + 1];
    m->calls_len--;
    fg_breaker_report(s->breaker, &m->config, call.ticket, &result, m->now_ns);
    model_report(m, &call, &result);
    if (m->trips > trips)
        note_trip(s);
}

static void step_time(struct sim *s)
{
    struct model *m = &s->model;
    uint64_t window_ns = m->config.window_ns, boundary = m->now_ns + model_retry_in(m);

    switch (draw(s, 8)) {
    case 0: /* to the instant at which the next permit is due, or to just before it */
        boundary -= draw(s, 2);
        if (m->state != FG_BREAKER_CLOSED && boundary > m->now_ns)
            m->now_ns = boundary;
        break;
    case 1: /* to the edge of a slice of the window */
        m->now_ns += window_ns / 10 - m->now_ns % (window_ns / 10) - draw(s, 2);
        break;
    case 2:
        m->now_ns += draw(s, 20) == 0 ? window_ns * (1 + draw(s, 1000)) : draw(s, window_ns);
        break;
    case 3:
        m->now_ns += draw(s, m->config.open_for_ns);
        break;
    default:
        m->now_ns += draw(s, window_ns / 50 + 2);
        break;
    }
}

static void draw_config(struct sim *s)
{
    static const unsigned percents[] = {0, 10, 25, 29, 30, 50, 70, 100};
    struct model *m = &s->model;
    struct fg_config_breaker *config = &m->config;

    m->failure_percent = percents[draw(s, FG_ARRAY_LEN(percents))];
    m->slow_percent = percents[draw(s, FG_ARRAY_LEN(percents))];
    m->overload_percent = percents[draw(s, FG_ARRAY_LEN(percents))];
    config->enabled = draw(s, 12) > 0;
    config->failure_ratio = m->failure_percent / 100.0;
    config->slow_ratio = m->slow_percent / 100.0;
    config->overload_share = m->overload_percent / 100.0;
    config->slow_call_ns = draw(s, 2);
    config->minimum_calls = (uint32_t)draw(s, draw(s, 2) ? 30 : 5);
    config->consecutive_failures = (uint32_t)draw(s, 8);
    config->open_for_ns = 1 + draw(s, draw(s, 2) ? 10 * FG_S : 100);
    config->max_open_for_ns = draw(s, 6 * config->open_for_ns);
    config->half_open_calls = 1 + (uint32_t)draw(s, 8);
}

static void draw_health(struct sim *s)
{
    s->sick = draw(s, 2) ? 0 : (unsigned)draw(s, 101);
    s->lame = draw(s, 2) ? 0 : (unsigned)draw(s, 101);
    s->crowded = draw(s, 2) ? 5 : (unsigned)draw(s, 80);
}

static void step(struct sim *s)
{
    uint64_t roll = draw(s, 100);

    if (roll < 45)
        step_ask(s);
    else if (roll < 85)
        step_report(s);
    else if (roll < 97)
        step_time(s);
    else if (roll < 99)
        draw_health(s);
    else
        draw_config(s); /* a reload; the length of the window stays, since changing it starts the window afresh */
}

static void add_up(struct places *sum, const struct places *one)
{
#define X(name) sum->name += one->name;
    PLACES(X)
#undef X
}

static void run(uint64_t seed, struct places *seen)
{
    struct sim *s = fg_alloc_zero(sizeof *s);

    s->registry = fg_breaker_registry_new(2);
    s->seed = s->random = seed;
    s->breaker = fg_breaker_get(s->registry, FG_STR("cluster"), FG_STR("endpoint"), FG_STR("/method"));
    s->model.period = 1;
    s->model.cause = "";
    s->model.now_ns = 1 + draw(s, 1000 * FG_S);
    for (size_t i = 0; i < RANKS; i++)
        if (draw(s, 4))
            s->ranks[i] = fg_breaker_rank((unsigned)draw(s, 3), 1 + (unsigned)draw(s, 4), 2.5);
    draw_config(s);
    draw_health(s);
    s->model.config.window_ns = FG_S / 10 + draw(s, draw(s, 2) ? 20 * FG_S : 1000);
    for (s->step = 1; s->step <= STEPS; s->step++) {
        step(s);
        check_invariants(s);
    }
    s->seen.raises = s->model.raises;
    add_up(seen, &s->seen);
    fg_breaker_registry_free(s->registry);
    free(s);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct places seen = {0};
    bool everywhere = true;

    for (uint64_t i = 0; i < seeds; i++)
        run(first + i, &seen);
    printf("%" PRIu64 " seeds x %d steps:", seeds, STEPS);
#define X(name)                                                                                                        \
    printf(" %s %" PRIu64, #name, seen.name);                                                                          \
    everywhere &= seen.name > 0;
    PLACES(X)
#undef X
    printf("\n");
    return seeds >= 100 && !everywhere;
}
