#include "policy/adaptive.h"

#include <math.h>

#include "base/time.h"

/* ---- what is learned from probes and windows; adaptive.h says why ---- */

#define PROBE_DEPTH       4.0 /* a probe leaves a quarter of the limit */
#define PROBE_RISE        2.0 /* log2: a probe raises the baseline to four times what it was at most */
#define PROBE_GAP_NS      (30 * FG_S)
#define PROBE_COST        20   /* and at least so many times what the last probe took: 5 % of the time */
#define PROBE_PATIENCE_NS FG_S /* or five latencies: then few calls have to do */
#define PROBE_SOON_STEPS  5    /* windows, or latencies where these are longer */
#define NOISE             4.0 /* log2: by that / sqrt(calls) a mean may be off; two sigma where times are exponential */
#define PROBE_DOUBT       5.0 /* calls; as many in the probe count as much as the old baseline */
#define FEW_SAMPLES       16u /* where `samples` would take too long: a small limit in use, a probe */
#define SAMPLES_OF_LIMIT  5
#define CUT_HELPS         0.75 /* log2: by 40 %; a queue that is halved goes by 50 % */
#define HOLD_MAX_NS       (30 * FG_S)
#define UNLOADED_TAU_NS   (20 * FG_S) /* time constants of the baseline */
#define NEAR_TAU_NS       (60 * FG_S)
#define LOWER_TAU_NS      (5 * FG_S)
#define DROP_SHARE        0.01
#define DROP_CUT_MAX      0.3
#define CUT_MAX           0.5 /* of what is cut by; half of it is done at a time */
#define CUT_SMOOTHING     0.5

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

static uint64_t bounded_ns(double log)
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

/* ---- baseline ---- */

static void move_base(struct fg_adaptive *a, const struct window *w, uint64_t tau_ns)
{
    a->base += (w->latency - a->base) * (1 - exp(-(double)w->elapsed_ns / (double)tau_ns));
}

/* From a window that is not a probe's. */
static void learn(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w, double ratio,
                  double limit)
{
    double tolerance = tolerance_of(config), near = sqrt(tolerance), noise = exp2(NOISE / sqrt(w->calls));

    if (ratio * noise < 0.5)
        a->base = (a->base + w->latency) / 2;
    else if (ratio * FG_MAX(near, noise) < 1)
        move_base(a, w, LOWER_TAU_NS);
    else if (ratio <= tolerance && w->peak <= FG_MAX(limit / PROBE_DEPTH, 1))
        move_base(a, w, UNLOADED_TAU_NS);
    else if (ratio <= near)
        move_base(a, w, NEAR_TAU_NS);
}

/* ---- cuts ---- */

/* What is to be cut off because calls were dropped: a share of the limit. */
static double drop_cut(const struct window *w)
{
    double share = (double)w->drops / (w->calls + w->drops);
    return share < DROP_SHARE ? 0 : FG_MIN(share, DROP_CUT_MAX);
}

/* The limit has been halved and the latency has not become much lower: it may be no queue of ours. */
static bool cuts_are_in_vain(const struct fg_adaptive *a, const struct window *w, double limit)
{
    return a->cut_limit > 0 && limit <= a->cut_limit / 2 && w->latency > a->cut_latency - CUT_HELPS;
}

/* What is to be cut off for the latency. LIMIT is as much of it as is worth cutting. */
static double latency_cut(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                          double ratio, double limit)
{
    double tolerance = tolerance_of(config);

    if (ratio <= tolerance || cuts_are_in_vain(a, w, limit))
        return 0;
    if (a->cut_limit == 0 || limit >= a->cut_limit || limit <= a->cut_limit / 2) {
        a->cut_limit = limit;
        a->cut_latency = w->latency;
    }
    return CUT_SMOOTHING * FG_MIN(1 - tolerance / ratio, CUT_MAX);
}

/* ---- probes ---- */

static bool probe_is_due(const struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                         double ratio, double limit, uint64_t now_ns)
{
    double tolerance = tolerance_of(config);

    /* Only where the limit is about to grow or to be cut. */
    if (ratio <= sqrt(tolerance) || (ratio <= tolerance && w->peak <= limit / 2))
        return false;
    return now_ns >= a->next_probe_ns || (cuts_are_in_vain(a, w, limit) && now_ns >= a->early_probe_ns);
}

static double begin_probe(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                          double limit, uint64_t now_ns)
{
    uint64_t latency_ns = bounded_ns(w->latency);

    atomic_store_explicit(&a->probing, true, memory_order_relaxed);
    a->kept = limit;
    a->probe_began_ns = now_ns;
    atomic_fetch_add_explicit(&a->probes, 1, memory_order_relaxed);
    /* What is queued is gone after one latency. Then there are new calls only, and the first of them to end are the
     * short ones: not looked at, either. */
    open_window(a, now_ns, latency_ns * 5 / 2, latency_ns * 3 / 2);
    a->probe_until_ns = a->began_ns + FG_MAX(5 * latency_ns, PROBE_PATIENCE_NS);
    return bounded(config, limit / PROBE_DEPTH);
}

static double end_probe(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                        uint64_t now_ns)
{
    double near = log2(tolerance_of(config)) / 2;
    bool moved = false;

    if (w->calls > 0) {
        /* What may be chance counts half, which averages over probes; else the more the more calls there were. */
        double weight = w->calls / (w->calls + PROBE_DOUBT), step = w->latency - a->base;
        moved = fabs(step) > FG_MAX(near, NOISE / sqrt(w->calls));
        a->base += FG_MIN(step * (moved ? weight : weight / 2), PROBE_RISE);
    }
    atomic_store_explicit(&a->probing, false, memory_order_relaxed);
    a->kept = bounded(config, a->kept * (1 - drop_cut(w)));
    a->cut_limit = 0;
    uint64_t took_ns = now_ns - FG_MIN(a->probe_began_ns, now_ns), latency_ns = bounded_ns(a->base);
    uint64_t soon_ns = PROBE_SOON_STEPS * FG_MAX(config->window_ns, latency_ns) + took_ns;
    uint64_t gap_ns = FG_MAX(PROBE_GAP_NS, PROBE_COST * took_ns);
    gap_ns += now_ns / FG_US % (gap_ns / 4); /* so that gateways do not go on probing at the same time */
    a->early_probe_ns = now_ns + soon_ns;
    a->next_probe_ns = now_ns + (moved ? soon_ns : gap_ns);
    open_window(a, now_ns, latency_ns, FG_MAX(config->window_ns, latency_ns));
    return a->kept;
}

/* ---- windows ---- */

static void first_base(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                       uint64_t now_ns)
{
    a->base = w->latency;
    a->early_probe_ns = a->next_probe_ns = now_ns + PROBE_SOON_STEPS * FG_MAX(config->window_ns, bounded_ns(a->base));
}

/* Returns the limit for the next window and opens that. */
static double end_window(struct fg_adaptive *a, const struct fg_config_adaptive *config, const struct window *w,
                         double limit, uint64_t now_ns)
{
    double tolerance = tolerance_of(config), ratio = 1, before = limit, used = FG_MIN(limit, 2.0 * w->peak);

    if (w->calls > 0) {
        if (a->base <= 0)
            first_base(a, config, w, now_ns);
        ratio = exp2(w->latency - a->base);
        learn(a, config, w, ratio, limit);
    }
    double cut = drop_cut(w), grown = FG_MAX(sqrt(limit), limit / 10);
    if (w->calls > 0)
        cut = FG_MAX(cut, latency_cut(a, config, w, ratio, used));
    if (cut > 0)
        limit = used * (1 - cut);
    if (ratio <= tolerance && cut < DROP_CUT_MAX && w->peak > before / 2)
        limit += grown;
    limit = bounded(config, limit);
    if (w->calls > 0 && probe_is_due(a, config, w, ratio, limit, now_ns))
        return begin_probe(a, config, w, limit, now_ns);
    uint64_t latency_ns = w->calls > 0 ? bounded_ns(w->latency) : 0;
    open_window(a, now_ns, limit < before ? latency_ns : 0, FG_MAX(config->window_ns, latency_ns));
    return limit;
}

/* The caller owns the last part of A. True: the limit has changed. */
static bool close_window(struct fg_adaptive *a, const struct fg_config_adaptive *config, uint64_t now_ns)
{
    uint64_t sums = atomic_load_explicit(&a->sums, memory_order_relaxed), began_ns = a->began_ns;
    uint32_t drops = atomic_load_explicit(&a->drops, memory_order_relaxed);
    uint32_t before = atomic_load_explicit(&a->limit, memory_order_relaxed);
    uint64_t needed = FG_MAX(config->samples, 1u);

    if (began_ns == 0) { /* the very first call */
        open_window(a, now_ns, 0, config->window_ns);
        return false;
    }
    bool probing = atomic_load_explicit(&a->probing, memory_order_relaxed);
    double limit = bounded(config, before == 0 ? config->initial : a->exact);
    if (!probing)
        needed = FG_MIN(needed, FG_MAX(FEW_SAMPLES, (uint64_t)limit * SAMPLES_OF_LIMIT));
    else if (now_ns > a->probe_until_ns)
        needed = FG_MIN(needed, FEW_SAMPLES);
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
    a->exact = probing ? end_probe(a, config, &w, now_ns) : end_window(a, config, &w, limit, now_ns);
    if (a->base > 0)
        atomic_store_explicit(&a->base_ns, ns_of(a->base), memory_order_relaxed);
    atomic_store(&a->limit, (uint32_t)a->exact); /* gate.c relies on the order */
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
