/* A limit on attempts in progress that follows the latency: as many as the endpoints work on without queueing, and not
 * many more. Shared by all workers; time is a parameter. In the manner of Netflix' Gradient2 and Envoy's adaptive
 * concurrency, with a baseline of its own.
 *
 * Latencies are averaged as logarithms (the geometric mean), so that a few calls that take a thousand times longer than
 * the others do not look like a queue. A window ends when `window` and the latency itself have passed and `samples`
 * calls have ended (fewer while the limit is small). Then, with ratio = latency of the window / baseline:
 *
 *     1 % of the calls or more were dropped        less their share, 30 % at most, once in a window
 *       (overload, deadline)
 *     ratio > tolerance                            half way to limit x tolerance / ratio, 25 % at most
 *     ratio <= tolerance, and more than half       more by the root of the limit, or by a tenth if that is more;
 *       of the limit was in use                    not where 30 % or more were dropped
 *
 * A cut starts from twice what was in use at most: what nobody uses says nothing about what could be used. After a cut,
 * calls that end within one latency are not looked at: they began under the old limit. Growth goes on where few calls
 * are dropped, so that a share s of failures that come whatever the limit is leaves about 1/s^2 and not the minimum.
 *
 * The baseline is the latency without a queue of our making. It is learned
 *   - from windows in which at most a quarter of the limit was in use and the ratio is within the tolerance,
 *   - slowly, from windows whose ratio is near 1 (up to the root of the tolerance),
 *   - quickly, when the latency is lower by more than chance: no baseline is above what calls take,
 *   - from probes.
 * A probe takes the limit down to a quarter. When what was queued is gone, what calls take then is the baseline; what
 * may be chance counts half, and it rises to four times what it was at most. Probes take 5 % of the time at most and
 * there are none while the ratio is near 1, or while nobody would use a higher limit. One comes every 30 s or more,
 * sooner while they move the baseline, and at once when the limit has been halved and that did not help: then cuts wait
 * for it, so that a slower release does not end at the minimum.
 *
 * So the baseline follows a real shift in seconds to a few minutes; and overload that lasts cannot carry it away,
 * because whatever queue our calls make is gone when it is measured. A queue that others make at the same endpoints is
 * not to be told from slowness: among several gateways the baseline can rise with the others' share of the queue.
 * Overload outcomes and deadlines still cut the limit then, and `maximum` holds. */
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
    double exact;                  /* the limit, with its fraction */
    double kept;                   /* the limit that comes back after the probe */
    double cut_limit, cut_latency; /* when a row of cuts began; 0: there is none */
    double base;                   /* log2(ns); 0: unknown */
    uint64_t began_ns, probe_began_ns, probe_until_ns, next_probe_ns, early_probe_ns;
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
