/* Random calls against random endpoints, with a virtual clock: what is tried again, when, and how often the work of a
 * call is done. Endpoints refuse, reset, fail, hang, are dead or lose connections, before or after the work (an
 * effect). A seed is a world with a configuration of its own; in every fourth it is the one that is measured: 30 %
 * faults, five attempts, idempotent, no throttle, no budget, a minute of time.
 *
 *     retry_sim [SEEDS [FIRST_SEED]]        runs SEEDS worlds; prints the seed and the step that went wrong */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "policy/retry.h"

#define CALLS     100
#define ENDPOINTS 3
#define TRIES     8 /* of one call, in progress at once */
#define BIT(code) (1u << FG_STATUS_##code)

/* What becomes of an attempt. X(FATE, code, source, safety, its effect in percent) */
#define FATES(X)                                                                                                       \
    X(ANSWER, OK, TRAILERS, PROCESSED, 100)                                                                            \
    X(REFUSE, UNAVAILABLE, RST, REFUSED, 0)                                                                            \
    X(GOAWAY, UNAVAILABLE, GOAWAY, REFUSED, 0)                                                                         \
    X(RESET, INTERNAL, RST, UNKNOWN, 70)                                                                               \
    X(ERROR, UNAVAILABLE, TRAILERS, PROCESSED, 50)                                                                     \
    X(SLOW, UNAVAILABLE, DEADLINE, UNKNOWN, 90)                                                                        \
    X(LOST, UNAVAILABLE, CONNECTION, UNKNOWN, 60)                                                                      \
    X(DEAD, UNAVAILABLE, CONNECT, NEVER_SENT, 0)                                                                       \
    X(FATAL, NOT_FOUND, TRAILERS_ONLY, PROCESSED, 30)                                                                  \
    X(CUT, UNAVAILABLE, TRAILERS, PROCESSED, 100) /* after a message: the call is committed */                         \
    X(BREAKER, UNAVAILABLE, BREAKER, NEVER_SENT, 0)

enum fate {
#define X(fate, code, source, safety, effect) FATE_##fate,
    FATES(X)
#undef X
        FATE_LEN
};

static const struct {
    struct fg_outcome outcome;
    unsigned effect;
} fates[FATE_LEN] = {
#define X(fate, status, from, safety, effect_percent)                                                                  \
    [FATE_##fate] = {{.code = FG_STATUS_##status, .source = FG_SOURCE_##from, .safe_to_retry = FG_SAFE_##safety},      \
                     effect_percent},
    FATES(X)
#undef X
};

struct
try {
    bool in_progress, has_permit;
    enum fate fate;
    const char *pushback; /* NULL: none */
    uint64_t end_ns;
};

struct call {
    struct fg_retry_call retries;
    struct fg_hedge hedge;
    struct try tries[TRIES];
    bool has_permit, is_large, committed, ended, ok;
    unsigned tried;   /* endpoints: bits */
    unsigned effects; /* how often its work was done */
    /* What the invariants need. */
    unsigned begun, transparent, refused_again, retries_since_pushback, begun_at_once;
    uint64_t begun_ns;
    uint64_t due_ns, deadline_ns, ended_ns; /* DUE: the next attempt; FG_NEVER: none */
};

struct seen {
    uint64_t whys[FG_RETRY_WHY_LEN], transparent, again, hedges, hedge_wins, hedge_denied, repeated_effects;
    uint64_t measured[2], measured_ok[2]; /* one after the other, side by side */
};

struct sim {
    uint64_t seed, random, now_ns, drain_ns;
    unsigned step;
    bool measured, hedged, patient;
    unsigned fault_percent;
    int64_t tokens; /* the model's, in thousandths */
    uint32_t permits, max_permits;
    struct fg_config_retry config;
    struct fg_config_retry_throttle throttle;
    struct fg_retry_tokens shared;
    struct call calls[CALLS];
    struct seen *seen;
};

static uint64_t draw(struct sim *s, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = s->random += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

static void expect(const struct sim *s, bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "retry_sim: seed %" PRIu64 " step %u at %" PRIu64 " ns: %s\n", s->seed, s->step, s->now_ns, what);
    exit(1);
}

/* ---- what the policy is told ---- */

static bool take_permit(void *context)
{
    struct sim *s = context;

    if (s->permits >= s->max_permits)
        return false;
    s->permits++;
    return true;
}

static struct fg_retry_view view_of(struct sim *s, const struct call *call)
{
    return (struct fg_retry_view){.config = &s->config,
                                  .committed = call->committed,
                                  .overflowed = call->is_large,
                                  .draining = s->now_ns >= s->drain_ns,
                                  .untried = call->tried != (1u << ENDPOINTS) - 1,
                                  .patient = s->patient,
                                  .deadline_ns = call->deadline_ns,
                                  .now_ns = s->now_ns,
                                  .random = s->random * 0x9E3779B97F4A7C15ull,
                                  .tokens = &s->shared,
                                  .throttle = &s->throttle,
                                  .take_permit = take_permit,
                                  .context = s};
}

/* The timer is set anew at every turn: what has changed meanwhile must not leave the call without an event. */
static void arm(struct sim *s, struct call *call)
{
    if (!s->hedged || call->ended || call->begun == 0)
        return;
    struct fg_retry_view view = view_of(s, call);
    call->due_ns = fg_hedge_next(&call->hedge, &view);
}

/* ---- what must hold ---- */

static void check_call(const struct sim *s, const struct call *call)
{
    unsigned in_progress = 0, attempts = FG_MAX(s->config.attempts, 1u);

    for (unsigned i = 0; i < TRIES; i++)
        in_progress += call->tries[i].in_progress;
    expect(s, s->config.idempotent || call->effects <= 1, "a call that is not idempotent was processed twice");
    expect(s, call->begun - call->transparent <= attempts, "more attempts than configured");
    expect(s, s->config.idempotent || in_progress <= 1, "a call that is not idempotent is hedged");
    expect(s, call->refused_again <= 1, "a second refusal was retried transparently");
    expect(s, call->begun_at_once <= ENDPOINTS + 2 + attempts, "a hot loop");
    expect(s, !call->ended || (in_progress == 0 && !call->has_permit), "a call has ended, its attempts have not");
    expect(s, !call->ended || call->ended_ns <= call->deadline_ns, "a call lasts longer than its deadline");
    expect(s, call->ended || in_progress > 0 || call->due_ns < call->deadline_ns, "a call hangs");
}

static void check_invariants(struct sim *s)
{
    uint32_t permits = 0;

    for (unsigned i = 0; i < CALLS; i++) {
        arm(s, &s->calls[i]);
        check_call(s, &s->calls[i]);
        permits += s->calls[i].has_permit;
        for (unsigned k = 0; k < TRIES; k++)
            permits += s->calls[i].tries[k].has_permit;
    }
    expect(s, permits == s->permits, "a permit is lost");
    expect(s, permits <= s->max_permits, "more permits than the budget has");
    expect(s, fg_retry_tokens_left(&s->shared, &s->throttle) == (uint64_t)s->tokens, "tokens differ from the model's");
    expect(s,
           fg_retry_tokens_allow(&s->shared, &s->throttle) ==
               (s->throttle.max_tokens == 0 || s->tokens * 2 > (int64_t)s->throttle.max_tokens * 1000),
           "the throttle differs from the model's");
}

/* An ordinary pause: doubled so many times, give or take the jitter. */
static void check_pause(const struct sim *s, const struct call *call, uint64_t pause_ns)
{
    double expected_ns = (double)s->config.backoff.initial_ns;

    for (unsigned i = 0; i < call->retries_since_pushback; i++)
        expected_ns *= s->config.backoff.multiplier;
    expected_ns = FG_MIN(expected_ns, (double)s->config.backoff.max_ns);
    expect(s, (double)pause_ns >= expected_ns * (1 - s->config.backoff.jitter) - 2, "a pause is too short");
    expect(s, (double)pause_ns <= expected_ns * (1 + s->config.backoff.jitter) + 2, "a pause is too long");
}

static void check_begin(const struct sim *s, const struct call *call)
{
    unsigned previous = s->hedged ? call->hedge.begun : call->retries.attempts;

    expect(s, !call->ended && !call->committed, "an attempt after the end or the commitment");
    expect(s, call->begun == 0 || !call->is_large, "an attempt without the whole request");
    expect(s, s->now_ns < call->deadline_ns, "an attempt after the deadline");
    expect(s, fg_retry_previous_attempts(previous, FG_STR("")) == call->begun - call->transparent,
           "grpc-previous-rpc-attempts is wrong");
}

/* ---- the caller of the policy ---- */

static enum fate draw_fate(struct sim *s)
{
    static const enum fate faults[] = {FATE_REFUSE, FATE_RESET, FATE_ERROR, FATE_SLOW, FATE_DEAD,
                                       FATE_GOAWAY, FATE_RESET, FATE_ERROR, FATE_SLOW, FATE_LOST};

    if (draw(s, 100) < s->fault_percent)
        return faults[draw(s, FG_ARRAY_LEN(faults))];
    return s->measured || draw(s, 8) ? FATE_ANSWER : (enum fate)(FATE_FATAL + draw(s, 3));
}

static void begin(struct sim *s, struct call *call)
{
    static const char *const pushbacks[] = {"0", "20", "1000", "3600000", "-1", "never"};
    struct try *try = call->tries;
    unsigned endpoint = (unsigned)draw(s, ENDPOINTS);

    check_begin(s, call);
    while (try->in_progress)
        try++;
    while (call->tried != (1u << ENDPOINTS) - 1 && call->tried >> endpoint & 1)
        endpoint = (endpoint + 1) % ENDPOINTS;
    call->tried |= 1u << endpoint;
    call->begun_at_once = call->begun_ns == s->now_ns ? call->begun_at_once + 1 : 1;
    call->begun_ns = s->now_ns;
    call->begun++;
    call->due_ns = FG_NEVER;
    *try = (struct try){.in_progress = true, .has_permit = call->has_permit, .fate = draw_fate(s)};
    call->has_permit = false;
    if (try->fate == FATE_ERROR && !s->measured && draw(s, 3) == 0)
        try->pushback = pushbacks[draw(s, FG_ARRAY_LEN(pushbacks))];
    call->effects += draw(s, 100) < fates[try->fate].effect;
    try->end_ns = s->now_ns + (try->fate == FATE_SLOW ? 2 * FG_S : draw(s, 2) ? draw(s, 100 * FG_MS) : 0);
    if (s->hedged)
        fg_hedge_begun(&call->hedge, &s->config, s->now_ns);
}

static void give_back(struct sim *s, bool *permit)
{
    s->permits -= *permit;
    *permit = false;
}

static void end_call(struct sim *s, struct call *call, bool ok)
{
    call->ended = true;
    call->ok = ok;
    call->ended_ns = s->now_ns;
    call->due_ns = FG_NEVER;
    give_back(s, &call->has_permit);
    for (unsigned i = 0; i < TRIES; i++) {
        call->tries[i].in_progress = false;
        give_back(s, &call->tries[i].has_permit);
    }
    s->seen->repeated_effects += call->effects > 1;
}

/* The model's tokens: an attempt has ended that was not repeated transparently. */
static void count_tokens(struct sim *s, const struct try *try)
{
    const struct fg_outcome *outcome = &fates[try->fate].outcome;
    int64_t full = (int64_t)s->throttle.max_tokens * 1000;
    bool forbids = try->pushback && (try->pushback[0] == '-' || try->pushback[0] == 'n');

    if (outcome->code == FG_STATUS_OK)
        s->tokens = FG_MIN(s->tokens + 100, full);
    else if (try->fate != FATE_BREAKER && (s->config.on >> outcome->code & 1 || forbids))
        s->tokens = FG_MAX(s->tokens - 1000, (int64_t)0);
}

static void retry(struct sim *s, struct call *call, const struct try *try, const struct fg_str *pushback)
{
    const struct fg_outcome *outcome = &fates[try->fate].outcome;
    struct fg_retry_view view = view_of(s, call);
    uint32_t permits = s->permits;
    struct fg_retry_plan plan = fg_retry_plan_after(&call->retries, &view, outcome, pushback);
    bool transparent = plan.kind == FG_RETRY_PLAN_TRANSPARENT;

    /* What would have been transparent, had there been time for it, is not counted either. */
    if (!transparent && call->retries.attempts == call->begun - call->transparent)
        count_tokens(s, try);
    call->has_permit = s->permits > permits;
    call->transparent += transparent;
    call->refused_again += transparent && outcome->safe_to_retry == FG_SAFE_REFUSED;
    s->seen->transparent += transparent;
    s->seen->again += plan.kind == FG_RETRY_PLAN_AGAIN;
    s->seen->whys[plan.why]++;
    if (plan.kind == FG_RETRY_PLAN_NO) {
        end_call(s, call, outcome->code == FG_STATUS_OK);
        return;
    }
    if (plan.kind == FG_RETRY_PLAN_AGAIN) {
        if (pushback)
            expect(s, plan.delay_ns == strtoull(try->pushback, NULL, 10) * FG_MS, "pushback is not obeyed");
        else
            check_pause(s, call, plan.delay_ns);
        call->retries_since_pushback = pushback ? 0 : call->retries_since_pushback + 1;
        expect(s, s->throttle.max_tokens == 0 || s->tokens * 2 > (int64_t)s->throttle.max_tokens * 1000,
               "a retry without tokens");
    }
    call->due_ns = s->now_ns + plan.delay_ns;
}

static void hedge_ended(struct sim *s, struct call *call, const struct try *try, const struct fg_str *pushback)
{
    const struct fg_outcome *outcome = &fates[try->fate].outcome;
    struct fg_retry_view view = view_of(s, call);
    unsigned begun = call->hedge.begun;
    enum fg_hedge_verdict verdict = fg_hedge_ended(&call->hedge, &view, outcome, pushback);
    bool transparent = call->hedge.begun < begun;

    if (!transparent)
        count_tokens(s, try);
    call->transparent += transparent;
    call->refused_again += transparent && outcome->safe_to_retry == FG_SAFE_REFUSED;
    s->seen->transparent += transparent;
    if (verdict == FG_HEDGE_OVER) {
        s->seen->hedge_wins += outcome->code == FG_STATUS_OK && call->begun > 1;
        end_call(s, call, outcome->code == FG_STATUS_OK);
        return;
    }
    expect(s, outcome->code != FG_STATUS_OK && try->fate != FATE_FATAL, "hedging goes on after the answer");
    if (call->hedge.next_ns == s->now_ns && !call->hedge.stopped)
        expect(s, !pushback || strcmp(try->pushback, "0") == 0, "pushback is not obeyed by a hedge");
}

static void try_ended(struct sim *s, struct call *call, struct try *try)
{
    struct fg_str pushback = fg_str_from(try->pushback ? try->pushback : "");
    struct try ended = *try;

    try->in_progress = false;
    give_back(s, &try->has_permit);
    call->committed |= ended.fate == FATE_CUT;
    (s->hedged ? hedge_ended : retry)(s, call, &ended, ended.pushback ? &pushback : NULL);
}

static void due(struct sim *s, struct call *call)
{
    struct fg_retry_view view = view_of(s, call);
    uint32_t permits = s->permits;

    if (call->begun == 0 || !s->hedged) {
        begin(s, call);
        return;
    }
    if (fg_hedge_ask(&call->hedge, &view)) {
        s->seen->hedges++;
        call->has_permit = s->permits > permits;
        begin(s, call);
        return;
    }
    s->seen->hedge_denied++;
    if (fg_hedge_is_over(&call->hedge, &view))
        end_call(s, call, false);
}

/* ---- worlds ---- */

static void draw_world(struct sim *s)
{
    struct fg_config_retry *config = &s->config;

    s->measured = draw(s, 4) == 0;
    s->hedged = draw(s, 3) == 0;
    s->patient = draw(s, 2);
    s->drain_ns = s->measured || draw(s, 8) ? FG_NEVER : s->now_ns + draw(s, 2 * FG_S);
    s->fault_percent = s->measured ? 30 : (unsigned)draw(s, 101);
    s->max_permits = s->measured || draw(s, 2) ? UINT32_MAX : (uint32_t)draw(s, 6);
    s->throttle = (struct fg_config_retry_throttle){.token_ratio = 0.1};
    if (!s->measured && draw(s, 2))
        s->throttle.max_tokens = 1 + (uint32_t)draw(s, 30);
    s->tokens = (int64_t)s->throttle.max_tokens * 1000;
    *config = (struct fg_config_retry){
        .attempts = s->measured ? 5 : (uint32_t)draw(s, 6),
        .on = BIT(UNAVAILABLE) | (s->measured || draw(s, 2) ? BIT(INTERNAL) : 0),
        .idempotent = s->measured || draw(s, 2),
        .backoff = {.initial_ns = 500 * FG_MS, .multiplier = 2, .jitter = 0.2, .max_ns = 10 * FG_S},
    };
    if (!s->measured && draw(s, 2))
        config->backoff = (struct fg_config_backoff){.initial_ns = FG_MS + draw(s, FG_S),
                                                     .multiplier = 1 + (double)draw(s, 90) / 10,
                                                     .jitter = (double)draw(s, 11) / 10,
                                                     .max_ns = FG_MS + draw(s, 10 * FG_S)};
    if (s->hedged)
        config->hedge_delay_ns = FG_MS * (1 + draw(s, 100));
    s->hedged = fg_hedge_applies(config);
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &s->calls[i];
        fg_hedge_init(&call->hedge);
        call->due_ns = s->now_ns + draw(s, FG_S);
        call->deadline_ns = call->due_ns + (s->measured ? 60 * FG_S : 1 + draw(s, draw(s, 2) ? FG_S : 30 * FG_S));
        if (!s->measured && draw(s, 10) == 0)
            call->deadline_ns = FG_NEVER;
        call->is_large = !s->measured && draw(s, 20) == 0;
    }
}

/* The next thing that happens; false: nothing does any more. */
static bool step(struct sim *s)
{
    struct call *next = NULL;
    struct try *ends = NULL;
    uint64_t at_ns = FG_NEVER;

    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &s->calls[i];
        uint64_t until_ns = call->ended ? FG_NEVER : FG_MIN(call->due_ns, call->deadline_ns);
        if (until_ns < at_ns)
            at_ns = until_ns, next = call, ends = NULL;
        for (unsigned k = 0; k < TRIES; k++)
            if (call->tries[k].in_progress && call->tries[k].end_ns < at_ns)
                at_ns = call->tries[k].end_ns, next = call, ends = &call->tries[k];
    }
    if (!next)
        return false;
    s->now_ns = at_ns;
    if (at_ns >= next->deadline_ns)
        end_call(s, next, false);
    else if (ends)
        try_ended(s, next, ends);
    else
        due(s, next);
    return true;
}

static void run(uint64_t seed, struct seen *seen)
{
    struct sim *s = fg_alloc_zero(sizeof *s);

    s->seed = s->random = seed;
    s->seen = seen;
    s->now_ns = 1 + draw(s, 1000 * FG_S);
    draw_world(s);
    for (s->step = 1; step(s); s->step++)
        check_invariants(s);
    for (unsigned i = 0; i < CALLS; i++) {
        expect(s, s->calls[i].ended, "a call has not ended");
        seen->measured[s->hedged] += s->measured;
        seen->measured_ok[s->hedged] += s->measured && s->calls[i].ok;
    }
    free(s);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct seen seen = {0};
    bool good = true;

    for (uint64_t i = 0; i < seeds; i++)
        run(first + i, &seen);
    printf("%" PRIu64 " seeds x %d calls: transparent %" PRIu64 ", again %" PRIu64 ", hedges %" PRIu64 " (won %" PRIu64
           ", denied %" PRIu64 "), effects repeated %" PRIu64 "; not again:",
           seeds, CALLS, seen.transparent, seen.again, seen.hedges, seen.hedge_wins, seen.hedge_denied,
           seen.repeated_effects);
    for (enum fg_retry_why why = FG_RETRY_WHY_NONE + 1; why < FG_RETRY_WHY_LEN; why++) {
        printf(" %s %" PRIu64, fg_retry_why_name(why), seen.whys[why]);
        good &= seen.whys[why] > 0;
    }
    good &= seen.transparent > 0 && seen.again > 0 && seen.hedge_wins > 0 && seen.hedge_denied > 0 &&
            seen.repeated_effects > 0;
    printf("; measured %" PRIu64 " of %" PRIu64 " succeed, hedged %" PRIu64 " of %" PRIu64 "\n", seen.measured_ok[0],
           seen.measured[0], seen.measured_ok[1], seen.measured[1]);
    good &= (seen.measured_ok[0] + seen.measured_ok[1]) * 1000 >= (seen.measured[0] + seen.measured[1]) * 999;
    return seeds >= 1000 && !good; /* fewer say little */
}
