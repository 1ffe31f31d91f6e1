/* Overload: the part of the calls that an endpoint cannot take is shed before it is sent.
 *
 * While more than overload_share of the answers in the window are overload, and there are at least minimum_calls of
 * them, the endpoint is sent K = 1 / (1 - overload_share) times what it accepts: that many more, so that it is noticed
 * when it can take more. The rest is shed (client-side throttling of the SRE book, ch. 21):
 *
 *   p = max(0, (wanted - K x accepted) / (wanted + 1))
 *
 * WANTED are all calls that came, those shed among them. Without these, shedding would remove its own reason: what is
 * sent would settle at the geometric mean of K x accepted and the demand. With them p is steady while demand and room
 * are: sent = (1 - p) x demand = K x accepted, and the share of overload in the answers stays at overload_share. What
 * was shed does not count for that share: so shedding ends when an endpoint has recovered and overload becomes rare in
 * the window, in about a tenth of it, and when overload has left the window at the latest.
 *
 * An endpoint that accepts nothing gets 1 call of wanted + 1, and minimum_calls once in a window.
 *
 * Every call counts as one here, whatever its weight: an endpoint has room for so many calls. Nothing is counted before
 * the first overload and when there was none for a window.
 *
 * Which calls? Each adds p to a debt, each that is shed takes 1 off: the share is exact, and chance has no part in it.
 * A call is shed when the debt has reached what its factor bears. The lowest factor that calls often enough keeps the
 * debt at its own limit, below those of the others: higher factors are shed only when shedding every call of the lower
 * ones is not enough. The limits are far enough apart to wait for a rare low call, and near enough for a cluster
 * without low calls to start shedding after some tens of calls. */
#include "policy/breaker_int.h"

#define DEBT_ONE     65536u
#define FACTOR_LEAST 500u /* bears a debt of one call */
#define FACTOR_STEP  100u /* and of one more for so much more of a factor */

#define LOSS 1e-6 /* more than rounding loses, less than makes a difference */

/* 1 to 28 calls; what is owed is never more than one above. */
static uint32_t bearable_debt(uint32_t factor)
{
    return DEBT_ONE + DEBT_ONE * (FG_MAX(factor, FACTOR_LEAST) - FACTOR_LEAST) / FACTOR_STEP;
}

double fg_breaker_shed_share(const struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                             uint64_t now_ns)
{
    if (!fg_breaker_looks_for_overload(config) || !fg_breaker_in_window(&breaker->overload_ns, config, now_ns))
        return 0;
    uint64_t epoch = fg_breaker_epoch(config, now_ns);
    struct fg_breaker_sum answers = fg_breaker_window_sum(&breaker->overload, raw, epoch);
    double allowed = config->overload_share * answers.calls + LOSS;
    if (answers.calls < FG_MAX(config->minimum_calls, 1) || answers.hits <= allowed)
        return 0;
    /* A product of two shares: either window may have been halved. */
    struct fg_breaker_sum wanted = fg_breaker_window_sum(&breaker->wanted, raw, epoch);
    double accepted = (double)(answers.calls - answers.hits) / answers.calls * wanted.hits;
    return FG_MAX(0, (wanted.calls - accepted / (1 - config->overload_share)) / (wanted.calls + 1.0));
}

bool fg_breaker_sheds(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw, uint32_t factor,
                      uint64_t now_ns)
{
    uint32_t share = (uint32_t)(fg_breaker_shed_share(breaker, config, raw, now_ns) * DEBT_ONE + LOSS);
    uint32_t seen = atomic_load_explicit(&breaker->debt, memory_order_relaxed), next;
    bool shed;

    if (share == 0)
        return false;
    do {
        next = seen + share;
        shed = next >= bearable_debt(factor);
        next -= shed ? DEBT_ONE : 0;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->debt, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (!shed)
        return false;
    fg_breaker_window_add(breaker, &breaker->wanted, raw, fg_breaker_epoch(config, now_ns), 1, false);
    atomic_fetch_add_explicit(&breaker->shed, 1, memory_order_relaxed);
    return true;
}

void fg_breaker_count_overload(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                               enum fg_class class, uint64_t now_ns)
{
    bool overload = class == FG_CLASS_OVERLOAD;

    if (!fg_breaker_looks_for_overload(config))
        return;
    if (overload)
        fg_breaker_advance(&breaker->overload_ns, now_ns);
    else if (!fg_breaker_in_window(&breaker->overload_ns, config, now_ns))
        return;
    uint64_t epoch = fg_breaker_epoch(config, now_ns);
    fg_breaker_window_add(breaker, &breaker->overload, raw, epoch, 1, overload);
    fg_breaker_window_add(breaker, &breaker->wanted, raw, epoch, 1, true);
}
