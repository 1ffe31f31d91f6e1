/* Random schedules for one circuit with a virtual clock, step by step against a naive model that keeps every call and
 * every event in a list and computes from these what the circuit should say. A seed is a schedule.
 *
 *     breaker_sim [SEEDS [FIRST_SEED]]        runs SEEDS schedules; prints the seed and the step that went wrong */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "policy/breaker.h"

#define STEPS      600
#define CALLS_MAX  48
#define EVENTS_MAX STEPS

struct call { /* let through and not reported */
    uint32_t ticket;
    uint64_t period; /* of the model; 0: asked while the breaker was disabled */
    bool permit, written_off;
};

struct event { /* a success or failure in the closed state of now */
    uint64_t at_ns;
    bool failed;
};

struct model {
    enum fg_breaker_state state;
    uint64_t period, since_ns, probe_ns;
    struct event events[EVENTS_MAX];
    size_t events_len;
    uint32_t ok;        /* probes that succeeded in this half-open period */
    uint32_t forgotten; /* permits that were reported while the breaker was disabled */
    uint64_t trips, refused;
    const char *cause;
    double observed, threshold;
};

struct sim {
    uint64_t seed, random;
    unsigned step;
    uint64_t now_ns;
    struct fg_config_breaker config;
    struct fg_breaker *breaker;
    struct call calls[CALLS_MAX];
    size_t calls_len;
    unsigned sick; /* percent of the calls that fail at the moment */
    struct model model;
    uint64_t seen[3]; /* steps in each state, so that a run can show that it went everywhere */
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

/* ---- the model ---- */

static uint32_t permits_out(const struct sim *s)
{
    uint32_t out = s->model.forgotten;
    for (size_t i = 0; i < s->calls_len; i++)
        out += s->calls[i].permit && !s->calls[i].written_off && s->calls[i].period == s->model.period;
    return out;
}

static bool in_window(const struct sim *s, const struct event *event)
{
    uint64_t slice_ns = s->config.window_ns / 10;
    return event->at_ns / slice_ns + 10 > s->now_ns / slice_ns;
}

static void count_window(const struct sim *s, uint32_t *calls, uint32_t *failures)
{
    *calls = *failures = 0;
    for (size_t i = 0; i < s->model.events_len; i++) {
        if (in_window(s, &s->model.events[i])) {
            ++*calls;
            *failures += s->model.events[i].failed;
        }
    }
}

static uint32_t failures_in_a_row(const struct sim *s)
{
    size_t at = s->model.events_len;
    while (at > 0 && s->model.events[at - 1].failed)
        at--;
    return (uint32_t)(s->model.events_len - at);
}

static void enter(struct sim *s, enum fg_breaker_state state)
{
    struct model *m = &s->model;
    m->state = state;
    m->since_ns = s->now_ns;
    m->period++;
    m->events_len = 0;
    m->ok = 0;
    m->forgotten = 0;
}

static void model_trip(struct sim *s, const char *cause, double observed, double threshold)
{
    s->model.cause = cause;
    s->model.observed = observed;
    s->model.threshold = threshold;
    s->model.trips++;
    enter(s, FG_BREAKER_OPEN);
}

/* What an ask would be answered now, and whether it would replace a probe without an answer. */
static enum fg_breaker_verdict model_verdict(const struct sim *s, bool *overdue)
{
    const struct model *m = &s->model;
    uint32_t out = permits_out(s);

    *overdue = false;
    if (!s->config.enabled || m->state == FG_BREAKER_CLOSED)
        return FG_BREAKER_PASS;
    if (m->state == FG_BREAKER_OPEN)
        return s->now_ns >= m->since_ns + s->config.open_for_ns ? FG_BREAKER_PERMIT : FG_BREAKER_REFUSE;
    if (out <= m->ok && out + m->ok < s->config.half_open_calls)
        return FG_BREAKER_PERMIT;
    *overdue = s->now_ns >= m->probe_ns + s->config.open_for_ns;
    return *overdue ? FG_BREAKER_PERMIT : FG_BREAKER_REFUSE;
}

static enum fg_breaker_verdict model_ask(struct sim *s)
{
    struct model *m = &s->model;
    bool overdue;
    enum fg_breaker_verdict verdict = model_verdict(s, &overdue);

    m->refused += verdict == FG_BREAKER_REFUSE;
    if (verdict != FG_BREAKER_PERMIT)
        return verdict;
    if (m->state == FG_BREAKER_OPEN)
        enter(s, FG_BREAKER_HALF_OPEN);
    if (overdue) {
        m->forgotten = 0;
        for (size_t i = 0; i < s->calls_len; i++)
            s->calls[i].written_off = true;
    }
    m->probe_ns = s->now_ns;
    return verdict;
}

static void model_report_closed(struct sim *s, bool failed)
{
    struct model *m = &s->model;
    uint32_t calls, failures, row;

    m->events[m->events_len++] = (struct event){s->now_ns, failed};
    count_window(s, &calls, &failures);
    row = failures_in_a_row(s);
    if (s->config.consecutive_failures && failed && row >= s->config.consecutive_failures)
        model_trip(s, "consecutive_failures", row, s->config.consecutive_failures);
    else if (failures > 0 && calls >= s->config.minimum_calls && (double)failures / calls >= s->config.failure_ratio)
        model_trip(s, "failure_ratio", (double)failures / calls, s->config.failure_ratio);
}

/* CALL is no longer in the list. */
static void model_report(struct sim *s, const struct call *call, enum fg_class class)
{
    struct model *m = &s->model;

    if (!s->config.enabled) {
        m->forgotten += call->permit && !call->written_off && call->period == m->period;
        return;
    }
    if (m->state == FG_BREAKER_CLOSED) {
        if ((call->period == 0 || call->period == m->period) &&
            (class == FG_CLASS_SUCCESS || class == FG_CLASS_FAILURE))
            model_report_closed(s, class == FG_CLASS_FAILURE);
        return;
    }
    if (call->period != m->period)
        return;
    if (class == FG_CLASS_FAILURE) {
        model_trip(s, "probe_failed", m->ok, s->config.half_open_calls);
    } else if (class == FG_CLASS_SUCCESS) {
        m->ok++;
        if (m->ok >= s->config.half_open_calls)
            enter(s, FG_BREAKER_CLOSED);
    }
}

static uint64_t model_retry_in(const struct sim *s)
{
    bool overdue;
    if (model_verdict(s, &overdue) != FG_BREAKER_REFUSE)
        return 0;
    return (s->model.state == FG_BREAKER_OPEN ? s->model.since_ns : s->model.probe_ns) + s->config.open_for_ns -
           s->now_ns;
}

/* ---- the schedule ---- */

static void check_invariants(struct sim *s)
{
    const struct model *m = &s->model;
    struct fg_breaker_info info;
    uint32_t calls = 0, failures = 0;
    bool overdue, on = s->config.enabled;

    fg_breaker_describe(s->breaker, &s->config, s->now_ns, &info);
    if (on)
        count_window(s, &calls, &failures);
    EXPECT("state", info.state, on ? m->state : FG_BREAKER_CLOSED);
    EXPECT("calls", info.calls, calls);
    EXPECT("failures", info.failures, failures);
    EXPECT("consecutive_failures", info.consecutive_failures, on ? failures_in_a_row(s) : 0);
    EXPECT("permits_out", info.permits_out, on ? permits_out(s) : 0);
    EXPECT("since", info.since_ns, on ? m->since_ns : 0);
    EXPECT("retry_in", info.retry_in_ns, model_retry_in(s));
    EXPECT("trips", info.trips, m->trips);
    EXPECT("refused", info.refused, m->refused);
    EXPECT("cause", strcmp(info.cause, m->cause), 0);
    if (info.observed - m->observed > 1e-8 || m->observed - info.observed > 1e-8)
        fail(s, "observed", info.observed, m->observed);
    EXPECT("threshold", info.threshold, m->threshold);
    EXPECT("admits", fg_breaker_admits(s->breaker, &s->config, s->now_ns),
           model_verdict(s, &overdue) != FG_BREAKER_REFUSE);
    /* What must hold whatever the model says. */
    if (on && info.state == FG_BREAKER_HALF_OPEN && info.permits_out > m->ok + 1)
        fail(s, "ramp: permits out", info.permits_out, m->ok + 1);
    if (on && info.state != FG_BREAKER_HALF_OPEN && info.permits_out > 0)
        fail(s, "permits out while not half-open", info.permits_out, 0);
    if (info.failures > info.calls || info.consecutive_failures > m->events_len)
        fail(s, "failures of calls", info.failures, info.calls);
    s->seen[m->state]++;
}

static void step_ask(struct sim *s)
{
    uint32_t ticket;

    if (s->calls_len == CALLS_MAX)
        return;
    enum fg_breaker_verdict verdict = fg_breaker_ask(s->breaker, &s->config, s->now_ns, &ticket);
    EXPECT("verdict", verdict, model_ask(s));
    EXPECT("having a ticket", ticket != 0, verdict != FG_BREAKER_REFUSE && s->config.enabled);
    if (verdict != FG_BREAKER_REFUSE)
        s->calls[s->calls_len++] = (struct call){.ticket = ticket,
                                                 .period = s->config.enabled ? s->model.period : 0,
                                                 .permit = verdict == FG_BREAKER_PERMIT};
}

static enum fg_class draw_class(struct sim *s)
{
    uint64_t roll = draw(s, 100);
    if (roll < 8)
        return FG_CLASS_IGNORED;
    if (roll < 14)
        return FG_CLASS_OVERLOAD;
    return draw(s, 100) < s->sick ? FG_CLASS_FAILURE : FG_CLASS_SUCCESS;
}

static void step_report(struct sim *s)
{
    if (s->calls_len == 0)
        return;
    /* Mostly the latest call, now and then one that has been out for long. */
    size_t at = draw(s, 4) ? s->calls_len - 1 : (size_t)draw(s, s->calls_len);
    struct call call = s->calls[at];
    enum fg_class class = draw_class(s);
    for (; at + 1 < s->calls_len; at++)
        s->calls[at] = s->calls[at + 1];
    s->calls_len--;
    fg_breaker_report(s->breaker, &s->config, class, call.ticket, s->now_ns);
    model_report(s, &call, class);
}

static void step_time(struct sim *s)
{
    const struct model *m = &s->model;
    uint64_t boundary = (m->state == FG_BREAKER_HALF_OPEN ? m->probe_ns : m->since_ns) + s->config.open_for_ns;

    switch (draw(s, 8)) {
    case 0: /* to the instant at which the next permit is due, or to just before it */
        boundary -= draw(s, 2);
        if (m->state != FG_BREAKER_CLOSED && boundary > s->now_ns)
            s->now_ns = boundary;
        break;
    case 1: /* to the edge of a slice of the window */
        s->now_ns += s->config.window_ns / 10 - s->now_ns % (s->config.window_ns / 10) - draw(s, 2);
        break;
    case 2:
        s->now_ns += draw(s, 20) == 0 ? s->config.window_ns * (1 + draw(s, 1000)) : draw(s, s->config.window_ns);
        break;
    case 3:
        s->now_ns += draw(s, s->config.open_for_ns);
        break;
    default:
        s->now_ns += draw(s, s->config.window_ns / 50 + 2);
        break;
    }
}

static void draw_config(struct sim *s)
{
    static const double ratios[] = {0, 0.1, 0.25, 0.3, 0.5, 0.7, 1};

    s->config.enabled = draw(s, 12) > 0;
    s->config.failure_ratio = ratios[draw(s, FG_ARRAY_LEN(ratios))];
    s->config.minimum_calls = (uint32_t)draw(s, 30);
    s->config.consecutive_failures = (uint32_t)draw(s, 8);
    s->config.open_for_ns = 1 + draw(s, draw(s, 2) ? 10 * FG_S : 100);
    s->config.half_open_calls = 1 + (uint32_t)draw(s, 8);
}

static void step(struct sim *s)
{
    uint64_t roll = draw(s, 100);

    if (roll < 40)
        step_ask(s);
    else if (roll < 75)
        step_report(s);
    else if (roll < 97)
        step_time(s);
    else if (roll < 99)
        s->sick = draw(s, 2) ? 0 : (unsigned)draw(s, 101);
    else
        draw_config(s); /* a reload; the length of the window stays, since changing it starts the window afresh */
}

static void run(uint64_t seed, uint64_t seen[3])
{
    struct fg_breaker_registry *registry = fg_breaker_registry_new(2);
    struct sim *s = fg_alloc_zero(sizeof *s);

    s->seed = s->random = seed;
    s->now_ns = 1 + draw(s, 1000 * FG_S);
    s->breaker = fg_breaker_get(registry, FG_STR("cluster"), FG_STR("endpoint"), FG_STR("/method"));
    s->model = (struct model){.period = 1, .cause = ""};
    draw_config(s);
    s->config.window_ns = FG_S / 10 + draw(s, draw(s, 2) ? 20 * FG_S : 1000);
    for (s->step = 1; s->step <= STEPS; s->step++) {
        step(s);
        check_invariants(s);
    }
    for (int i = 0; i < 3; i++)
        seen[i] += s->seen[i];
    free(s);
    fg_breaker_registry_free(registry);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t seen[3] = {0};

    for (uint64_t i = 0; i < seeds; i++)
        run(first + i, seen);
    printf("%" PRIu64 " seeds x %d steps: closed %" PRIu64 ", open %" PRIu64 ", half_open %" PRIu64 "\n", seeds, STEPS,
           seen[FG_BREAKER_CLOSED], seen[FG_BREAKER_OPEN], seen[FG_BREAKER_HALF_OPEN]);
    return seeds >= 100 && (seen[0] == 0 || seen[1] == 0 || seen[2] == 0);
}
