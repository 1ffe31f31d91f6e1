/* A limit on attempts in progress that follows the latency: as many as the endpoints work on without queueing, and not
 * many more. Shared by all workers; time is a parameter. In the manner of Netflix' Gradient2 and Envoy's adaptive
 * concurrency, with a baseline of its own.
 *
 * Latencies are averaged as logarithms (the geometric mean), so that a few calls that take a thousand times longer than
 * the others do not look like a queue. A window ends when `window` and the latency itself have passed and `samples`
 * calls have ended. Then, with ratio = latency of the window / baseline:
 *
 *     calls that were dropped (overload, deadline) are 1 % or more      limit x (1 - their share, 10..50 %)
 *     ratio > tolerance                                                 half way to limit x tolerance / ratio,
 *                                                                       and at most a quarter off
 *     neither, and more than half of the limit was in use               limit + sqrt(limit), or a tenth if that is more
 *
 * A cut starts from twice what was in use at most: what nobody uses says nothing about what could be used. After a cut,
 * calls that end within one latency are not looked at: they began under the old limit.
 *
 * The baseline is the latency without a queue of our making. It is learned
 *   - from windows in which at most a quarter of the limit was in use and the ratio is within the tolerance,
 *   - slowly, from windows whose ratio is near 1 (within the root of the tolerance either way),
 *   - quickly, when the latency is lower than that: no baseline is above what calls take,
 *   - from probes.
 * A probe takes the limit down to a quarter until what was queued is gone and then for twice the baseline, and what
 * calls take then is the baseline, at most doubled at a time. There is one only when the ratio is not near 1: every 30
 * s or 50 latencies, whichever is longer, sooner while probes move the baseline, and at once when the limit has been
 * halved and that did not help. So it follows a real shift (a slower release) in seconds to a few minutes; and overload
 * that lasts cannot carry it away, because whatever queue our calls make is gone when it is measured. A queue that
 * others make on the same endpoints is not to be told from slowness: among several gateways the baseline can rise with
 * the others' share of the queue. Overload outcomes and deadlines still cut the limit then, and `maximum` holds. */
#ifndef FG_POLICY_ADAPTIVE_H
#define FG_POLICY_ADAPTIVE_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "config/config.h"

/* All zero at first. Only adaptive.c looks inside. */
struct fg_adaptive {
    /* Read by every call. */
    _Atomic uint32_t limit; /* 0: no window has ended yet */
    _Atomic bool closing;   /* somebody ends the window, and owns the last part of this */
    _Atomic uint64_t opens_ns, closes_ns;
    char pad[64];
    /* Written by every call that ends. */
    _Atomic uint64_t sums; /* calls << 40 | sum of log2(latency) in 1/1024 */
    _Atomic uint32_t drops, peak;
    char pad_sums[64];
    /* Of whoever ends the window. */
    double exact;     /* the limit, with its fraction */
    double kept;      /* the limit that comes back after the probe */
    double reference; /* the highest limit since the last probe */
    double base;      /* log2(ns); 0: unknown */
    uint64_t began_ns, probe_until_ns, next_probe_ns, early_probe_ns;
    /* For those who want to know. */
    _Atomic bool probing;
    _Atomic uint64_t base_ns, recent_ns;
    _Atomic uint64_t probes;
};

struct fg_adaptive_info {
    uint32_t limit;
    uint64_t base_ns, recent_ns; /* baseline; latency of the last window; 0: unknown */
    uint64_t probes;             /* total */
    bool probing;
};

/* What may be in progress now; UINT32_MAX when it is disabled. */
static inline uint32_t fg_adaptive_limit(const struct fg_adaptive *adaptive, const struct fg_config_adaptive *config)
{
    if (!config->enabled)
        return UINT32_MAX;
    uint32_t limit = atomic_load(&adaptive->limit); /* gate.c relies on the order */
    limit = limit == 0 ? config->initial : limit;
    return FG_MAX(1u, FG_MAX(config->minimum, FG_MIN(limit, config->maximum)));
}

/* An attempt has ended: a success that took LATENCY_NS from sending to its end (time in our queues is not part of it),
 * or DROPPED: an overload outcome, or a deadline that ran out in the endpoint's hands. IN_FLIGHT counts it, too.
 * Attempts that came to something else, and those that count as long, are not reported. True: the limit has changed. */
bool fg_adaptive_report(struct fg_adaptive *adaptive, const struct fg_config_adaptive *config, uint64_t latency_ns,
                        bool dropped, uint32_t in_flight, uint64_t now_ns);

void fg_adaptive_describe(struct fg_adaptive *adaptive, const struct fg_config_adaptive *config,
                          struct fg_adaptive_info *out);

#endif
