#include "policy/retry.h"

#include "base/time.h"

/* ---- pushback ---- */

bool fg_retry_parse_pushback(struct fg_str value, int64_t *ms)
{
    int64_t n = 0;
    bool valid = value.len > 0 && value.len <= 7 && (value.p[0] != '0' || value.len == 1);

    for (size_t i = 0; valid && i < value.len; i++) {
        valid = value.p[i] >= '0' && value.p[i] <= '9';
        n = n * 10 + (value.p[i] - '0');
    }
    valid = valid && n <= FG_RETRY_PUSHBACK_MAX_MS;
    *ms = valid ? n : -1;
    return valid;
}

/* ---- backoff ---- */

/* BASE^N, or any number from LIMIT on when it is not less than that; BASE > 1. At most 32 steps. */
static double power(double base, unsigned n, double limit)
{
    double product = 1;

    for (; n > 0 && product < limit; n >>= 1, base *= base)
        if (n & 1)
            product *= base;
    return product;
}

uint64_t fg_backoff(const struct fg_config_backoff *config, unsigned n, uint64_t random)
{
    double initial_ns = (double)config->initial_ns, max_ns = (double)config->max_ns, pause_ns = initial_ns;
    double jitter = config->jitter > 0 ? FG_MIN(config->jitter, 1.0) : 0;
    double share = (double)(random >> 11) / (double)(UINT64_C(1) << 53); /* 0 <= share < 1 */

    if (n > 1 && config->multiplier > 1 && initial_ns > 0)
        pause_ns = initial_ns * power(config->multiplier, n - 1, max_ns / initial_ns);
    pause_ns = FG_MIN(pause_ns, max_ns) * (1 + jitter * (2 * share - 1));
    return pause_ns < 0x1p63 ? (uint64_t)pause_ns : UINT64_C(1) << 63;
}

/* ---- throttle ---- */

#define TOKEN      1000u
#define MAX_TOKENS 1000000u

static uint32_t full_of(const struct fg_config_retry_throttle *config)
{
    return FG_MIN(config->max_tokens, MAX_TOKENS) * TOKEN;
}

static uint32_t earned_of(const struct fg_config_retry_throttle *config)
{
    double ratio = config->token_ratio > 0 ? FG_MIN(config->token_ratio, (double)MAX_TOKENS) : 0;
    return (uint32_t)(ratio * TOKEN + 1e-6); /* 0.57 is a little less than 0.57 */
}

/* How much of FULL is spent. Half of what was full is half of what is. */
static uint32_t spent_of(uint64_t word, uint32_t full)
{
    uint64_t was_full = word >> 32, spent = word & UINT32_MAX;

    return (uint32_t)(was_full == full || was_full == 0 ? spent : (spent * full + was_full / 2) / was_full);
}

void fg_retry_tokens_report(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config, bool ok)
{
    uint32_t full = full_of(config), earned = earned_of(config);
    uint64_t word = atomic_load_explicit(&tokens->word, memory_order_relaxed), next;

    if (full == 0)
        return;
    do {
        uint32_t spent = spent_of(word, full);
        if (ok && spent == 0)
            return;
        spent = ok ? spent - FG_MIN(spent, earned) : FG_MIN(spent + TOKEN, full);
        next = (uint64_t)full << 32 | spent;
    } while (
        !atomic_compare_exchange_weak_explicit(&tokens->word, &word, next, memory_order_relaxed, memory_order_relaxed));
}

uint32_t fg_retry_tokens_left(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config)
{
    uint32_t full = full_of(config);

    return full - spent_of(atomic_load_explicit(&tokens->word, memory_order_relaxed), full);
}

bool fg_retry_tokens_allow(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config)
{
    uint32_t full = full_of(config);

    return full == 0 || fg_retry_tokens_left(tokens, config) > full / 2; /* FULL is even */
}

/* ---- what has ended ---- */

/* What the outcome says, before anything is asked of the call. */
struct facts {
    bool local;        /* not the endpoint's doing, and not for want of trying */
    bool never_sent;   /* nothing of it left the gateway, because nobody took it */
    bool refused;      /* by the endpoint */
    bool listed;       /* its code is in `on` */
    bool has_pushback; /* the endpoint has seen it */
    int64_t pause_ms;  /* by pushback; -1: do not retry */
};

enum kind { LOCAL, TRANSPARENT, ORDINARY };

static const enum kind kinds[FG_SOURCE_LEN] = {
    [FG_SOURCE_TRAILERS] = TRANSPARENT,
    [FG_SOURCE_TRAILERS_ONLY] = TRANSPARENT,
    [FG_SOURCE_HTTP] = TRANSPARENT,
    [FG_SOURCE_RST] = TRANSPARENT,
    [FG_SOURCE_GOAWAY] = TRANSPARENT,
    [FG_SOURCE_CONNECTION] = TRANSPARENT,
    [FG_SOURCE_MISSING_STATUS] = TRANSPARENT,
    [FG_SOURCE_PROTOCOL] = TRANSPARENT,
    [FG_SOURCE_CONNECT] = TRANSPARENT,
    [FG_SOURCE_DEADLINE] = ORDINARY, /* of one attempt; when the call's own is over, there is no time for another */
};

static struct facts look_at(const struct fg_config_retry *config, const struct fg_outcome *outcome,
                            const struct fg_str *pushback)
{
    enum kind kind = (unsigned)outcome->source < FG_SOURCE_LEN ? kinds[outcome->source] : LOCAL;
    unsigned code = (unsigned)outcome->code < FG_STATUS_LEN ? (unsigned)outcome->code : FG_STATUS_UNKNOWN;
    struct facts facts = {.local = kind == LOCAL, .listed = config->on >> code & 1, .has_pushback = pushback != NULL};

    if (pushback)
        fg_retry_parse_pushback(*pushback, &facts.pause_ms);
    facts.never_sent = kind == TRANSPARENT && !pushback && outcome->safe_to_retry == FG_SAFE_NEVER_SENT;
    facts.refused = kind == TRANSPARENT && !pushback && outcome->safe_to_retry == FG_SAFE_REFUSED;
    return facts;
}

static bool fits(const struct fg_retry_view *view, uint64_t delay_ns)
{
    return view->now_ns < view->deadline_ns && delay_ns < view->deadline_ns - view->now_ns;
}

static unsigned attempts_of(const struct fg_config_retry *config)
{
    return FG_MAX(config->attempts, 1u);
}

static bool may_repeat(const struct fg_config_retry *config, const struct fg_outcome *outcome)
{
    return config->idempotent || outcome->safe_to_retry == FG_SAFE_NEVER_SENT ||
           outcome->safe_to_retry == FG_SAFE_REFUSED;
}

/* For every further attempt, whatever kind. */
static enum fg_retry_why bar_of(const struct fg_retry_view *view)
{
    return view->draining     ? FG_RETRY_WHY_DRAINING
           : view->committed  ? FG_RETRY_WHY_COMMITTED
           : view->overflowed ? FG_RETRY_WHY_BUFFER
                              : FG_RETRY_WHY_NONE;
}

/* Is this end repeated without being counted? After *DELAY_NS. */
static bool is_transparent(struct fg_retry_call *call, const struct fg_retry_view *view, const struct facts *facts,
                           uint64_t *delay_ns)
{
    static const struct fg_config_backoff waits = {.initial_ns = FG_MS, .multiplier = 2, .jitter = 0.2, .max_ns = FG_S};
    bool at_once = view->untried && call->connects < FG_RETRY_AT_ONCE_MAX;

    *delay_ns = 0;
    if (facts->refused) {
        call->refused++;
        return call->refused == 1;
    }
    if (!facts->never_sent)
        return false;
    if (!at_once && !view->untried && (!view->patient || view->deadline_ns == FG_NEVER))
        return false;
    call->connects++;
    if (!at_once)
        *delay_ns = fg_backoff(&waits, ++call->waits, view->random);
    return true;
}

static void report(const struct fg_retry_view *view, const struct facts *facts, bool ok)
{
    if (view->tokens && !facts->local && (ok || facts->listed || facts->pause_ms < 0))
        fg_retry_tokens_report(view->tokens, view->throttle, ok);
}

static bool is_throttled(const struct fg_retry_view *view)
{
    return view->tokens && !fg_retry_tokens_allow(view->tokens, view->throttle);
}

static bool is_over_budget(const struct fg_retry_view *view)
{
    return view->take_permit && !view->take_permit(view->context);
}

/* ---- one after the other ---- */

const char *fg_retry_why_name(enum fg_retry_why why)
{
    static const char *const names[FG_RETRY_WHY_LEN] = {
#define X(why, name) [FG_RETRY_WHY_##why] = name,
        FG_RETRY_WHYS(X)
#undef X
    };
    return (unsigned)why < FG_RETRY_WHY_LEN ? names[why] : "";
}

static struct fg_retry_plan no(enum fg_retry_why why)
{
    return (struct fg_retry_plan){.kind = FG_RETRY_PLAN_NO, .why = why};
}

/* The attempt counts already, in CALL and in the tokens. */
static struct fg_retry_plan ordinary(struct fg_retry_call *call, const struct fg_retry_view *view,
                                     const struct fg_outcome *outcome, const struct facts *facts)
{
    const struct fg_config_retry *config = view->config;
    uint64_t delay_ns;

    if (!facts->listed)
        return no(FG_RETRY_WHY_NOT_RETRYABLE);
    if (call->attempts >= attempts_of(config))
        return no(FG_RETRY_WHY_ATTEMPTS_USED);
    if (!may_repeat(config, outcome))
        return no(FG_RETRY_WHY_UNSAFE);
    if (facts->pause_ms < 0)
        return no(FG_RETRY_WHY_PUSHBACK);
    if (is_throttled(view))
        return no(FG_RETRY_WHY_THROTTLED);
    delay_ns = facts->has_pushback ? (uint64_t)facts->pause_ms * FG_MS
                                   : fg_backoff(&config->backoff, call->pauses + 1, view->random);
    if (!fits(view, delay_ns))
        return no(FG_RETRY_WHY_DEADLINE);
    if (is_over_budget(view))
        return no(FG_RETRY_WHY_BUDGET);
    call->pauses = facts->has_pushback ? 0 : call->pauses + 1;
    return (struct fg_retry_plan){.kind = FG_RETRY_PLAN_AGAIN, .delay_ns = delay_ns};
}

struct fg_retry_plan fg_retry_plan_after(struct fg_retry_call *call, const struct fg_retry_view *view,
                                         const struct fg_outcome *outcome, const struct fg_str *pushback)
{
    struct facts facts = look_at(view->config, outcome, pushback);
    enum fg_retry_why barred = bar_of(view);
    bool ok = outcome->code == FG_STATUS_OK;
    uint64_t delay_ns;

    if (facts.local)
        return no(FG_RETRY_WHY_LOCAL);
    if (!ok && barred == FG_RETRY_WHY_NONE && is_transparent(call, view, &facts, &delay_ns))
        return fits(view, delay_ns) ? (struct fg_retry_plan){.kind = FG_RETRY_PLAN_TRANSPARENT, .delay_ns = delay_ns}
                                    : no(FG_RETRY_WHY_DEADLINE);
    call->attempts++;
    report(view, &facts, ok);
    if (ok)
        return no(FG_RETRY_WHY_OK);
    return barred != FG_RETRY_WHY_NONE ? no(barred) : ordinary(call, view, outcome, &facts);
}

unsigned fg_retry_previous_attempts(unsigned ours, struct fg_str clients)
{
    unsigned theirs = 0;

    for (size_t i = 0; i < clients.len; i++) {
        if (clients.p[i] < '0' || clients.p[i] > '9') {
            theirs = 0;
            break;
        }
        theirs = FG_MIN(theirs * 10 + (unsigned)(clients.p[i] - '0'), 9999u);
    }
    return FG_MIN(ours, 9999u) + theirs;
}

/* ---- side by side ---- */

bool fg_hedge_applies(const struct fg_config_retry *config)
{
    return config->hedge_delay_ns > 0 && config->idempotent && attempts_of(config) > 1;
}

void fg_hedge_init(struct fg_hedge *hedge)
{
    *hedge = (struct fg_hedge){.next_ns = FG_NEVER};
}

void fg_hedge_begun(struct fg_hedge *hedge, const struct fg_config_retry *config, uint64_t now_ns)
{
    hedge->begun++;
    hedge->in_progress++;
    hedge->replaces = false;
    hedge->next_ns = now_ns + FG_MIN(config->hedge_delay_ns, FG_NEVER - now_ns);
}

uint64_t fg_hedge_next(const struct fg_hedge *hedge, const struct fg_retry_view *view)
{
    bool may = fg_hedge_applies(view->config) && !hedge->stopped && !view->committed && !view->overflowed &&
               hedge->begun < attempts_of(view->config) && hedge->next_ns < view->deadline_ns;
    return may ? hedge->next_ns : FG_NEVER;
}

bool fg_hedge_is_over(const struct fg_hedge *hedge, const struct fg_retry_view *view)
{
    return hedge->in_progress == 0 && fg_hedge_next(hedge, view) == FG_NEVER;
}

bool fg_hedge_ask(struct fg_hedge *hedge, const struct fg_retry_view *view)
{
    uint64_t next_ns = fg_hedge_next(hedge, view);

    if (next_ns == FG_NEVER || next_ns > view->now_ns || view->now_ns >= view->deadline_ns)
        return false;
    hedge->stopped = view->draining || (!hedge->replaces && (is_throttled(view) || is_over_budget(view)));
    return !hedge->stopped;
}

enum fg_hedge_verdict fg_hedge_ended(struct fg_hedge *hedge, const struct fg_retry_view *view,
                                     const struct fg_outcome *outcome, const struct fg_str *pushback)
{
    struct facts facts = look_at(view->config, outcome, pushback);
    bool ok = outcome->code == FG_STATUS_OK;
    uint64_t delay_ns = 0;

    hedge->in_progress -= hedge->in_progress > 0;
    if (!ok && bar_of(view) == FG_RETRY_WHY_NONE && is_transparent(&hedge->tried, view, &facts, &delay_ns)) {
        hedge->begun -= hedge->begun > 0;
        hedge->replaces = true;
    } else {
        hedge->tried.attempts++;
        report(view, &facts, ok);
        if (ok || view->committed || view->overflowed || (!facts.local && !facts.listed))
            return FG_HEDGE_OVER;
        hedge->stopped |= facts.local || facts.pause_ms < 0 || view->draining;
        if (facts.has_pushback && facts.pause_ms >= 0)
            hedge->not_before_ns = view->now_ns + (uint64_t)facts.pause_ms * FG_MS;
    }
    hedge->next_ns = FG_MAX(view->now_ns + delay_ns, hedge->not_before_ns);
    return fg_hedge_is_over(hedge, view) ? FG_HEDGE_OVER : FG_HEDGE_GO_ON;
}
