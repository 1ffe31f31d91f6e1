#include "policy/retries.h"

#include "base/time.h"

/* ---- throttle ---- */

#define TOKEN 1000 /* in the throttle's unit */

static int64_t full(const struct fg_config_retry_throttle *config)
{
    return (int64_t)config->max_tokens * TOKEN;
}

void fg_retry_throttle_report(struct fg_retry_throttle *throttle, const struct fg_config_retry_throttle *config,
                              bool failed)
{
    int64_t earned = (int64_t)(config->token_ratio * TOKEN + 0.5);
    int64_t missing = atomic_load_explicit(&throttle->missing, memory_order_relaxed), next;

    if (config->max_tokens == 0 || (!failed && missing == 0)) /* healthy: nothing is written */
        return;
    do
        next = failed ? FG_MIN(missing + TOKEN, full(config)) : FG_MAX(missing - earned, (int64_t)0);
    while (!atomic_compare_exchange_weak_explicit(&throttle->missing, &missing, next, memory_order_relaxed,
                                                  memory_order_relaxed));
}

bool fg_retry_throttle_allows(struct fg_retry_throttle *throttle, const struct fg_config_retry_throttle *config)
{
    int64_t missing = atomic_load_explicit(&throttle->missing, memory_order_relaxed);

    return config->max_tokens == 0 || (full(config) - missing) * 2 > full(config);
}

/* ---- pauses ---- */

int64_t fg_pushback_parse(struct fg_str value)
{
    int64_t ms = 0;

    if (value.len == 0 || value.len > 10)
        return FG_PUSHBACK_NEVER;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return FG_PUSHBACK_NEVER;
        ms = ms * 10 + (value.p[i] - '0');
    }
    return ms > INT32_MAX ? FG_PUSHBACK_NEVER : ms;
}

uint64_t fg_retry_backoff_ns(const struct fg_config_backoff *config, unsigned n, uint64_t random)
{
    double pause_ns = (double)config->initial_ns, max_ns = (double)config->max_ns;
    double share = (double)(random >> 11) / (double)(UINT64_C(1) << 53);

    for (unsigned i = 1; i < n && pause_ns < max_ns; i++)
        pause_ns *= config->multiplier;
    return (uint64_t)(FG_MIN(pause_ns, max_ns) * (1 + config->jitter * (2 * share - 1)));
}

/* ---- decisions ---- */

static struct fg_retry_decision no(const char *why, bool failed)
{
    return (struct fg_retry_decision){.verdict = FG_RETRY_NO, .why = why, .failed = failed};
}

/* The gateway's own refusals are answers, and not for want of trying. */
static bool is_refused_by_us(enum fg_source source)
{
    return fg_source_is_local(source) && source != FG_SOURCE_CONNECT && source != FG_SOURCE_DEADLINE;
}

/* What the endpoint refused is tried once more, what never left the gateway on every endpoint once: a caller whose
 * endpoints are all down is told so at once, and not when its deadline is over. */
static bool is_transparent(struct fg_retry_state *state, const struct fg_retry_question *q)
{
    if (q->outcome->safe_to_retry == FG_SAFE_REFUSED)
        return state->refused++ == 0;
    return q->outcome->safe_to_retry == FG_SAFE_NEVER_SENT && q->outcome->source == FG_SOURCE_CONNECT && q->elsewhere;
}

struct fg_retry_decision fg_retry_decide(struct fg_retry_state *state, const struct fg_retry_question *q)
{
    const struct fg_config_retry *config = q->config;
    const struct fg_outcome *outcome = q->outcome;
    int64_t pushback_ms = q->pushback ? fg_pushback_parse(*q->pushback) : 0;
    bool listed = config->on >> outcome->code & 1;
    bool failed = outcome->code != FG_STATUS_OK && (listed || pushback_ms < 0);
    uint64_t at_ns;

    if (outcome->code == FG_STATUS_OK)
        return no("success", false);
    if (is_refused_by_us(outcome->source))
        return no("refused_by_the_gateway", false);
    if (!q->replayable)
        return no("committed", failed);
    if (is_transparent(state, q))
        return (struct fg_retry_decision){.verdict = FG_RETRY_TRANSPARENT, .at_ns = q->now_ns};
    state->attempts++;
    if (!listed)
        return no("code", failed);
    if (state->attempts >= FG_MAX(config->attempts, 1u))
        return no("attempts", failed);
    if (outcome->safe_to_retry > FG_SAFE_REFUSED && !config->idempotent)
        return no("unsafe", failed);
    if (pushback_ms < 0)
        return no("pushback", failed);
    if (!q->allowed)
        return no("suppressed", failed);
    at_ns = q->now_ns + (q->pushback ? (uint64_t)pushback_ms * FG_MS
                                     : fg_retry_backoff_ns(&config->backoff, state->attempts, q->random));
    if (at_ns >= q->deadline_ns)
        return no("deadline", failed);
    return (struct fg_retry_decision){.verdict = FG_RETRY_AGAIN, .at_ns = at_ns, .failed = failed};
}
