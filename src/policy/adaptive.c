#include "policy/adaptive.h"

#include <math.h>

#include "base/time.h"

/* ---- what is learned from probes and windows; adaptive.h says why ---- */

#define PROBE_DEPTH      4.0         /* a probe leaves a quarter of the limit */
#define PROBE_RISE       2.0         /* log2: a probe raises the baseline to four times what it was at most */
#define PROBE_GAP_NS     (30 * FG_S) /* and at least so many latencies: a probe costs up to five */
#define PROBE_GAP_STEPS  100
#define PROBE_SOON_STEPS 5 /* windows, or latencies where these are longer */
#define HOLD_MAX_NS      (30 * FG_S)
#define UNLOADED_TAU_NS  (20 * FG_S) /* time constants of the baseline */
#define NEAR_TAU_NS      (60 * FG_S)
#define LOWER_TAU_NS     (5 * FG_S)
#define DROP_SHARE       0.01
#define DROP_CUT_MAX     0.3
#define CUT_MAX          0.5 /* of what is cut by; half of it is done at a time */
#define CUT_SMOOTHING    0.5

/* ---- logarithms in fixed point ----
 *
 * Ten bits of fraction, linear within an octave: at most 6 % off, in the same direction for the same latency, so that
 * ratios near 1 are right. */
#define LOG_BITS  10
#define COUNT_BIT 40 /* 63 << LOG_BITS times 2^23 calls is less than 2^40 */
#define CALLS_MAX (1u << 23)

static uint64_t log_of(uint64_t ns)
{
    uint64_t v = FG_MAX(ns, 2); /* so that no logarithm is 0 */
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    uint64_t fraction = (v << (63 - octave) << 1) >> (64 - LOG_BITS);
    return (uint64_t)octave << LOG_BITS | fraction;
}

/* The inverse, for those who want nanoseconds. */
static uint64_t ns_of(double log)
{
    double octave = floor(log);
    return (uint64_t)(ldexp(1 + (log - octave), (int)octave) + 0.5);
}

struct window {
    uint32_t calls, drops, peak;
    double latency; /* log2(ns); meaningless without calls */
    uint64_t elapsed_ns;
};

static uint64_t saturating_hold(double log)
{
    return FG_MIN(ns_of(log), HOLD_MAX_NS);
}

/* The next window begins HOLD_NS from now. */
static void open_window(struct fg_adaptive *a, uint64_t now_ns, uint64_t hold_ns, uint64_t length_ns)
{
    a->began_ns = now_ns + hold_ns;
    atomic_store_explicit(&a->opens_ns, now_ns + hold_ns, memory_order_relaxed);
    atomic_store_explicit(&a->closes_ns, now_ns + hold_ns + length_ns, memory_order_relaxed);
}

static double bounded(const struct fg_config_adaptive *config, double limit)
{
    double minimum = FG_MAX(config->minimum, 1u);
    return FG_MAX(minimum, FG_MIN(limit, (double)config->maximum));
}

static double tolerance_of(const struct fg_config_adaptive *config)
{
    return config->tolerance > 1 ? config->tolerance : 1;
}

/* What is to be cut off because calls were dropped: a share of the limit. */
static double drop_cut(const struct window *w)
{
    double share = (double)w->drops / (w->calls + w->drops);
    return share < DROP_SHARE ? 0 : FG_MIN(share, DROP_CUT_MAX);
}

/* ---- baseline ---- */

static void move_base(struct fg_adaptive *a, const struct window *w, uint64_t tau_ns)
{
    a->base += (w->latency - a->base) * (1 - exp(-(double)w->elapsed_ns / (double)tau_ns));
}

/* From a window that is not a probe's. */
static void learn(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w, double ratio,
                  double limit)
{
    double tolerance = tolerance_of(config), near = sqrt(tolerance);

    if (ratio < 0.5)
        a->base = (a->base + w->latency) / 2;
    else if (ratio < 1 / near)
        move_base(a, w, LOWER_TAU_NS);
    else if (ratio <= tolerance && w->peak <= FG_MAX(limit / PROBE_DEPTH, 1))
        move_base(a, w, UNLOADED_TAU_NS);
    else if (ratio <= near)
        move_base(a, w, NEAR_TAU_NS);
}

/* ---- probes ---- */

static bool probe_is_due(const struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                         double ratio, double limit, uint64_t now_ns)
{
    double tolerance = tolerance_of(config);

    /* Only where the limit is about to grow or to be cut. */
    if (ratio <= sqrt(tolerance) || (ratio <= tolerance && w->peak <= limit / 2))
        return false;
    return now_ns >= a->next_probe_ns || (limit <= a->reference / 2 && now_ns >= a->early_probe_ns);
}

static double begin_probe(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                          double limit, uint64_t now_ns)
{
    uint64_t base_ns = saturating_hold(a->base);

    atomic_store_explicit(&a->probing, true, memory_order_relaxed);
    a->kept = limit;
    atomic_fetch_add_explicit(&a->probes, 1, memory_order_relaxed);
    /* The queue is gone after one latency of now, those that had waited in it after two more of the baseline. */
    open_window(a, now_ns, saturating_hold(w->latency) + 2 * base_ns, 2 * base_ns);
    a->probe_until_ns = a->began_ns + FG_MAX(3 * base_ns, PROBE_GAP_NS / PROBE_GAP_STEPS);
    return bounded(config, limit / PROBE_DEPTH);
}

static double end_probe(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                        uint64_t now_ns)
{
    double near = log2(tolerance_of(config)) / 2, step = 0;

    if (w->calls > 0) {
        /* The fewer calls there were, the less they say; within the noise the old baseline is worth as much. */
        double weight = w->calls / (w->calls + FG_MAX(config->samples, 1u) / 4.0);
        step = w->latency - a->base;
        step *= fabs(step) <= near ? weight / 2 : weight;
        step = FG_MIN(step, PROBE_RISE);
        a->base += step;
    }
    atomic_store_explicit(&a->probing, false, memory_order_relaxed);
    a->reference = a->kept = bounded(config, a->kept * (1 - drop_cut(w)));
    uint64_t latency_ns = ns_of(a->base), soon_ns = PROBE_SOON_STEPS * FG_MAX(config->window_ns, latency_ns);
    uint64_t gap_ns = FG_MAX(PROBE_GAP_NS, PROBE_GAP_STEPS * latency_ns);
    gap_ns += now_ns / FG_US % (gap_ns / 4); /* so that gateways do not go on probing at the same time */
    a->early_probe_ns = now_ns + soon_ns;
    a->next_probe_ns = now_ns + (fabs(step) <= near ? gap_ns : soon_ns);
    open_window(a, now_ns, saturating_hold(a->base), FG_MAX(config->window_ns, FG_MIN(latency_ns, HOLD_MAX_NS)));
    return a->kept;
}

/* ---- windows ---- */

static void first_base(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                       double limit, uint64_t now_ns)
{
    a->base = w->latency;
    a->reference = limit;
    a->early_probe_ns = a->next_probe_ns = now_ns + PROBE_SOON_STEPS * FG_MAX(config->window_ns, ns_of(a->base));
}

/* Returns the limit for the next window and opens that. */
static double end_window(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                         double limit, uint64_t now_ns)
{
    double tolerance = tolerance_of(config), ratio = 1, before = limit, used = FG_MIN(limit, 2.0 * w->peak);

    if (w->calls > 0) {
        if (a->base <= 0)
            first_base(a, config, w, limit, now_ns);
        ratio = exp2(w->latency - a->base);
        learn(a, config, w, ratio, limit);
    }
    double cut = drop_cut(w), grown = FG_MAX(sqrt(limit), limit / 10);
    if (ratio > tolerance)
        cut = FG_MAX(cut, CUT_SMOOTHING * FG_MIN(1 - tolerance / ratio, CUT_MAX));
    if (cut > 0)
        limit = used * (1 - cut);
    if (ratio <= tolerance && cut < DROP_CUT_MAX && w->peak > before / 2)
        limit += grown;
    limit = bounded(config, limit);
    a->reference = FG_MAX(a->reference, limit);
    if (w->calls > 0 && probe_is_due(a, config, w, ratio, limit, now_ns))
        return begin_probe(a, config, w, limit, now_ns);
    uint64_t latency_ns = w->calls > 0 ? saturating_hold(w->latency) : 0;
    open_window(a, now_ns, limit < before ? latency_ns : 0, FG_MAX(config->window_ns, latency_ns));
    return limit;
}

/* The caller owns the last part of A. True: the limit has changed. */
static bool close_window(struct fg_adaptive *a, const struct fg_config_adaptive *config, uint64_t now_ns)
{
    uint64_t sums = atomic_load_explicit(&a->sums, memory_order_relaxed), began_ns = a->began_ns;
    uint32_t drops = atomic_load_explicit(&a->drops, memory_order_relaxed);
    uint32_t before = atomic_load_explicit(&a->limit, memory_order_relaxed);
    uint32_t needed = FG_MAX(config->samples, 1u);

    if (began_ns == 0) { /* the very first call */
        open_window(a, now_ns, 0, config->window_ns);
        return false;
    }
    bool probing = atomic_load_explicit(&a->probing, memory_order_relaxed);
    /* What a probe leaves in progress is less, and it has to end soon. */
    if (probing)
        needed = now_ns > a->probe_until_ns ? 1 : (needed + 1) / 2;
    if ((sums >> COUNT_BIT) + drops < needed)
        return false;
    sums = atomic_exchange_explicit(&a->sums, 0, memory_order_relaxed);
    struct window w = {.calls = (uint32_t)(sums >> COUNT_BIT),
                       .drops = atomic_exchange_explicit(&a->drops, 0, memory_order_relaxed),
                       .peak = atomic_exchange_explicit(&a->peak, 0, memory_order_relaxed),
                       .elapsed_ns = now_ns > began_ns ? now_ns - began_ns : 0};
    if (w.calls > 0) {
        w.latency = (double)(sums & ((1ull << COUNT_BIT) - 1)) / w.calls / (1 << LOG_BITS);
        atomic_store_explicit(&a->recent_ns, ns_of(w.latency), memory_order_relaxed);
    }
    double limit = bounded(config, before == 0 ? config->initial : a->exact);
    a->exact = probing ? end_probe(a, config, &w, now_ns) : end_window(a, config, &w, limit, now_ns);
    if (a->base > 0)
        atomic_store_explicit(&a->base_ns, ns_of(a->base), memory_order_relaxed);
    atomic_store_explicit(&a->limit, (uint32_t)a->exact, memory_order_relaxed);
    return (uint32_t)a->exact != before;
}

static void note_peak(struct fg_adaptive *a, uint32_t in_flight)
{
    uint32_t peak = atomic_load_explicit(&a->peak, memory_order_relaxed);
    while (in_flight > peak && !atomic_compare_exchange_weak_explicit(&a->peak, &peak, in_flight, memory_order_relaxed,
                                                                      memory_order_relaxed)) {
    }
}

bool fg_adaptive_report(struct fg_adaptive *a, const struct fg_config_adaptive *config, uint64_t latency_ns,
                        bool dropped, uint32_t in_flight, uint64_t now_ns)
{
    if (!config->enabled || now_ns < atomic_load_explicit(&a->opens_ns, memory_order_relaxed))
        return false;
    if (dropped)
        atomic_fetch_add_explicit(&a->drops, 1, memory_order_relaxed);
    else if (atomic_load_explicit(&a->sums, memory_order_relaxed) >> COUNT_BIT < CALLS_MAX)
        atomic_fetch_add_explicit(&a->sums, 1ull << COUNT_BIT | log_of(latency_ns), memory_order_relaxed);
    note_peak(a, in_flight);

    bool changed = false, closing = false;
    if (now_ns >= atomic_load_explicit(&a->closes_ns, memory_order_relaxed) &&
        atomic_compare_exchange_strong_explicit(&a->closing, &closing, true, memory_order_acquire,
                                                memory_order_relaxed)) {
        /* Somebody else may have ended the window since we looked. */
        if (now_ns >= atomic_load_explicit(&a->closes_ns, memory_order_relaxed))
            changed = close_window(a, config, now_ns);
        atomic_store_explicit(&a->closing, false, memory_order_release);
    }
    return changed;
}

void fg_adaptive_describe(struct fg_adaptive *a, const struct fg_config_adaptive *config, struct fg_adaptive_info *out)
{
    *out = (struct fg_adaptive_info){.limit = fg_adaptive_limit(a, config),
                                     .base_ns = atomic_load_explicit(&a->base_ns, memory_order_relaxed),
                                     .recent_ns = atomic_load_explicit(&a->recent_ns, memory_order_relaxed),
                                     .probes = atomic_load_explicit(&a->probes, memory_order_relaxed),
                                     .probing = atomic_load_explicit(&a->probing, memory_order_relaxed)};
}
