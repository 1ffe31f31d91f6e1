#include "policy/breaker_int.h"

#include <assert.h>

/* ---- the state word ----
 *
 * Everything that decides who may go is one 64-bit atomic, changed by compare-and-swap only, so that permits are exact
 * whatever the workers do at the same time:
 *
 *   63..42 period: grows with every change of state, never 0    41..32 round: write-offs in this half-open period
 *   31..17 out: permits out in this round     16..2 ok: successes in this half-open period     1..0 state
 *
 * The upper half is the ticket. Instants that belong to the word (since, probe) are raised before the swap that needs
 * them: whoever sees the new word sees an instant at least as late. A swap that fails has raised them for a change that
 * somebody else made in the same moment, which does no harm. */
struct word {
    enum fg_breaker_state state;
    uint32_t period, round, out, ok;
};

#define PERIOD_MASK 0x3fffffu
#define ROUND_BITS  10
#define ROUND_MASK  0x3ffu
#define COUNT_MASK  0x7fffu

static uint64_t pack(struct word w)
{
    return (uint64_t)w.period << 42 | (uint64_t)w.round << 32 | (uint64_t)w.out << 17 | (uint64_t)w.ok << 2 |
           (uint64_t)w.state;
}

static struct word unpack(uint64_t raw)
{
    return (struct word){.state = (enum fg_breaker_state)(raw & 3),
                         .period = (uint32_t)(raw >> 42),
                         .round = (uint32_t)(raw >> 32) & ROUND_MASK,
                         .out = (uint32_t)(raw >> 17) & COUNT_MASK,
                         .ok = (uint32_t)(raw >> 2) & COUNT_MASK};
}

static inline uint32_t ticket_of(uint64_t raw)
{
    return (uint32_t)(raw >> 32);
}

static inline uint32_t period_of_ticket(uint32_t ticket)
{
    return ticket >> ROUND_BITS;
}

static uint64_t pack_next_period(struct word w, enum fg_breaker_state state, uint32_t out)
{
    uint32_t period = (w.period + 1) & PERIOD_MASK;
    return pack((struct word){.state = state, .period = period ? period : 1, .out = out});
}

#define BUCKETS FG_BREAKER_BUCKETS

void fg_breaker_init(struct fg_breaker *breaker)
{
    atomic_init(&breaker->word, pack((struct word){.state = FG_BREAKER_CLOSED, .period = 1}));
}

/* ---- window: buckets that know their slice of time and the period they count for ---- */

struct bucket {
    uint32_t epoch, period, calls, failures;
};

#define EPOCH_MASK        0xfffffu /* 20 bits: come round after twelve days of 1 s slices */
#define PERIOD_TAG        0xffu
#define BUCKET_COUNT_MASK 0x3ffffu /* 18 bits; beyond that both counts are halved, which keeps their ratio */

static uint64_t pack_bucket(struct bucket b)
{
    return (uint64_t)b.epoch << 44 | (uint64_t)b.period << 36 | (uint64_t)b.calls << 18 | b.failures;
}

static struct bucket unpack_bucket(uint64_t raw)
{
    return (struct bucket){.epoch = (uint32_t)(raw >> 44),
                           .period = (uint32_t)(raw >> 36) & PERIOD_TAG,
                           .calls = (uint32_t)(raw >> 18) & BUCKET_COUNT_MASK,
                           .failures = (uint32_t)raw & BUCKET_COUNT_MASK};
}

static inline uint64_t epoch_at(const struct fg_config_breaker *config, uint64_t now_ns)
{
    uint64_t slice_ns = config->window_ns / BUCKETS;
    return now_ns / FG_MAX(slice_ns, 1);
}

static inline bool is_current(struct fg_breaker *breaker, uint64_t raw)
{
    return atomic_load_explicit(&breaker->word, memory_order_acquire) == raw;
}

/* Counts one call in the slice of EPOCH. RAW is the closed state that it belongs to. */
static void count_call(struct fg_breaker *breaker, uint64_t raw, uint64_t epoch, bool failed)
{
    _Atomic uint64_t *slot = &breaker->buckets[epoch % BUCKETS];
    uint64_t seen = atomic_load_explicit(slot, memory_order_acquire), next;
    uint32_t tag = (uint32_t)(epoch & EPOCH_MASK), period = unpack(raw).period & PERIOD_TAG;

    do {
        struct bucket b = unpack_bucket(seen);
        if (b.epoch != tag || b.period != period) {
            /* Another slice or period. It is older unless this thread slept: then the word has changed, or the slice
             * is a few turns of the ring ahead. */
            uint32_t ahead = (b.epoch - tag) & EPOCH_MASK;
            if (!is_current(breaker, raw) || (b.period == period && ahead > 0 && ahead <= 8 * BUCKETS))
                return;
            b = (struct bucket){.epoch = tag, .period = period};
        }
        if (b.calls == BUCKET_COUNT_MASK) {
            b.calls /= 2;
            b.failures /= 2;
        }
        b.calls++;
        b.failures += failed;
        next = pack_bucket(b);
    } while (!atomic_compare_exchange_weak_explicit(slot, &seen, next, memory_order_acq_rel, memory_order_acquire));
}

static void sum_window(struct fg_breaker *breaker, uint64_t raw, uint64_t epoch, uint32_t *calls, uint32_t *failures)
{
    /* Epoch and period of a bucket are compared in one piece and without branches: this runs for every call while there
     * are failures. A slice ahead of EPOCH was counted by a worker whose clock is a little ahead: it belongs here. */
    const uint32_t unit = PERIOD_TAG + 1, mask = (EPOCH_MASK << 8) | PERIOD_TAG;
    uint32_t latest = ((uint32_t)(epoch + 1) * unit + (unpack(raw).period & PERIOD_TAG)) & mask;

    *calls = *failures = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        uint64_t bucket = atomic_load_explicit(&breaker->buckets[i], memory_order_acquire);
        uint32_t behind = (latest - (uint32_t)(bucket >> 36)) & mask;
        uint32_t keep = 0 - (uint32_t)((behind & PERIOD_TAG) == 0 && behind <= BUCKETS * unit);
        *calls += (uint32_t)(bucket >> 18) & BUCKET_COUNT_MASK & keep;
        *failures += (uint32_t)bucket & BUCKET_COUNT_MASK & keep;
    }
}

/* ---- failures in a row ---- */

static inline uint64_t no_failures(uint64_t raw)
{
    return (uint64_t)unpack(raw).period << 32;
}

static uint32_t count_of(uint64_t consecutive, uint64_t raw)
{
    return consecutive >> 32 == unpack(raw).period ? (uint32_t)consecutive : 0;
}

/* Returns the new count; 0 when the closed state RAW is over. */
static uint32_t add_consecutive(struct fg_breaker *breaker, uint64_t raw)
{
    uint64_t seen = atomic_load_explicit(&breaker->consecutive, memory_order_acquire), next;

    do {
        next = seen;
        if (seen >> 32 != unpack(raw).period) {
            if (!is_current(breaker, raw))
                return 0;
            next = no_failures(raw);
        }
        if ((uint32_t)next < UINT32_MAX)
            next++;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->consecutive, &seen, next, memory_order_acq_rel,
                                                    memory_order_acquire));
    return (uint32_t)next;
}

static void clear_consecutive(struct fg_breaker *breaker, uint64_t raw)
{
    uint64_t seen = atomic_load_explicit(&breaker->consecutive, memory_order_acquire);

    while (count_of(seen, raw) > 0 &&
           !atomic_compare_exchange_weak_explicit(&breaker->consecutive, &seen, no_failures(raw), memory_order_acq_rel,
                                                  memory_order_acquire)) {
    }
}

/* ---- trips ---- */

enum cause { CAUSE_NONE, CAUSE_CONSECUTIVE, CAUSE_RATIO, CAUSE_PROBE };

struct trip {
    enum cause cause;
    uint32_t period;              /* of the open state; its lowest 8 bits */
    uint32_t observed, threshold; /* counts, or ratios in RATIO_UNIT */
};

#define NUMBER_MASK 0x7ffffffu
#define RATIO_UNIT  1e8 /* decimal, so that 0.3 comes back as 0.3; 1.0 fits in 27 bits */

static uint32_t number(double value)
{
    return value <= 0 ? 0 : value >= NUMBER_MASK ? NUMBER_MASK : (uint32_t)(value + 0.5);
}

static uint64_t pack_trip(struct trip t)
{
    return (uint64_t)t.cause << 62 | (uint64_t)(t.period & PERIOD_TAG) << 54 | (uint64_t)t.observed << 27 | t.threshold;
}

static struct trip unpack_trip(uint64_t raw)
{
    return (struct trip){.cause = (enum cause)(raw >> 62),
                         .period = (uint32_t)(raw >> 54) & PERIOD_TAG,
                         .observed = (uint32_t)(raw >> 27) & NUMBER_MASK,
                         .threshold = (uint32_t)raw & NUMBER_MASK};
}

static void advance(_Atomic uint64_t *instant, uint64_t now_ns)
{
    uint64_t seen = atomic_load_explicit(instant, memory_order_relaxed);

    while (seen < now_ns &&
           !atomic_compare_exchange_weak_explicit(instant, &seen, now_ns, memory_order_release, memory_order_relaxed)) {
    }
}

/* Nothing is less than 0 ns ago: workers' clocks may differ by a loop turn. */
static uint64_t elapsed(_Atomic uint64_t *instant, uint64_t now_ns)
{
    uint64_t then = atomic_load_explicit(instant, memory_order_acquire);
    return now_ns > then ? now_ns - then : 0;
}

/* From RAW to open, unless somebody else changed it. */
static bool trip(struct fg_breaker *breaker, uint64_t raw, struct trip why, uint64_t now_ns)
{
    uint64_t next = pack_next_period(unpack(raw), FG_BREAKER_OPEN, 0);

    advance(&breaker->since_ns, now_ns);
    if (!atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    why.period = unpack(next).period & PERIOD_TAG;
    atomic_fetch_add_explicit(&breaker->trips, 1, memory_order_relaxed);
    uint64_t seen = atomic_load_explicit(&breaker->cause, memory_order_relaxed);
    do {
        /* A thread that slept here must not overwrite the cause of a later trip. */
        uint32_t later = (unpack_trip(seen).period - why.period) & PERIOD_TAG;
        if (unpack_trip(seen).cause != CAUSE_NONE && later > 0 && later < PERIOD_TAG / 2)
            break;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->cause, &seen, pack_trip(why), memory_order_release,
                                                    memory_order_relaxed));
    return true;
}

/* ---- reports ---- */

static void check_ratio(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                        uint64_t epoch, uint64_t now_ns)
{
    uint32_t calls, failures;

    sum_window(breaker, raw, epoch, &calls, &failures);
    if (failures == 0 || calls < config->minimum_calls)
        return;
    double ratio = (double)failures / (double)calls; /* a division, so that 3 of 10 is what the file calls 30 % */
    if (ratio >= config->failure_ratio)
        (void)trip(breaker, raw,
                   (struct trip){.cause = CAUSE_RATIO,
                                 .observed = number(ratio * RATIO_UNIT),
                                 .threshold = number(config->failure_ratio * RATIO_UNIT)},
                   now_ns);
}

/* A success or failure in the closed state RAW. */
static void report_closed(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw, bool failed,
                          uint64_t now_ns)
{
    uint64_t epoch = epoch_at(config, now_ns);

    count_call(breaker, raw, epoch, failed);
    if (failed) {
        advance(&breaker->failed_ns, now_ns);
        uint32_t consecutive = add_consecutive(breaker, raw);
        if (config->consecutive_failures > 0 && consecutive >= config->consecutive_failures) {
            (void)trip(breaker, raw,
                       (struct trip){.cause = CAUSE_CONSECUTIVE,
                                     .observed = number(consecutive),
                                     .threshold = number(config->consecutive_failures)},
                       now_ns);
            return;
        }
    } else {
        clear_consecutive(breaker, raw);
    }
    /* While no failure can be in the window there is nothing to add up: the healthy case. */
    if (elapsed(&breaker->failed_ns, now_ns) < FG_MAX(config->window_ns, BUCKETS))
        check_ratio(breaker, config, raw, epoch, now_ns);
}

static uint32_t probes_needed(const struct fg_config_breaker *config)
{
    return config->half_open_calls == 0 ? 1 : FG_MIN(config->half_open_calls, COUNT_MASK);
}

/* What came of a probe. RAW is the half-open state; its period is that of the ticket. */
static void report_probe(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                         enum fg_class class, uint32_t ticket, uint64_t now_ns)
{
    for (;;) {
        struct word w = unpack(raw);
        if (w.state != FG_BREAKER_HALF_OPEN || w.period != period_of_ticket(ticket))
            return;
        if (class == FG_CLASS_FAILURE) {
            struct trip why = {.cause = CAUSE_PROBE, .observed = w.ok, .threshold = probes_needed(config)};
            if (trip(breaker, raw, why, now_ns))
                return;
            raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
            continue;
        }
        if (ticket == ticket_of(raw) && w.out > 0) /* else it was written off and is no longer among those out */
            w.out--;
        if (class == FG_CLASS_SUCCESS && w.ok < COUNT_MASK)
            w.ok++;
        uint64_t next = pack(w);
        if (class == FG_CLASS_SUCCESS && w.ok >= probes_needed(config)) {
            next = pack_next_period(w, FG_BREAKER_CLOSED, 0);
            advance(&breaker->since_ns, now_ns);
        }
        if (atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                    memory_order_acquire))
            return;
    }
}

void fg_breaker_report(struct fg_breaker *breaker, const struct fg_config_breaker *config, enum fg_class class,
                       uint32_t ticket, uint64_t now_ns)
{
    if (!config->enabled || breaker->inert)
        return;
    uint64_t raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
    if ((enum fg_breaker_state)(raw & 3) != FG_BREAKER_CLOSED)
        report_probe(breaker, config, raw, class, ticket, now_ns);
    else if ((ticket == 0 || ticket == ticket_of(raw)) && (class == FG_CLASS_SUCCESS || class == FG_CLASS_FAILURE))
        report_closed(breaker, config, raw, class == FG_CLASS_FAILURE, now_ns);
}

/* ---- asking ---- */

/* The word after one more permit went out of RAW, which is open or half-open. False: none is to be had. */
static bool next_permit(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                        uint64_t now_ns, uint64_t *next)
{
    struct word w = unpack(raw);

    if (w.state == FG_BREAKER_OPEN) {
        *next = pack_next_period(w, FG_BREAKER_HALF_OPEN, 1);
        return elapsed(&breaker->since_ns, now_ns) >= config->open_for_ns;
    }
    if (w.out <= w.ok && w.out + w.ok < probes_needed(config)) {
        w.out++;
    } else if (elapsed(&breaker->probe_ns, now_ns) >= FG_MAX(config->open_for_ns, 1)) {
        w.round = (w.round + 1) & ROUND_MASK;
        w.out = 1;
    } else {
        return false;
    }
    *next = pack(w);
    return true;
}

static enum fg_breaker_verdict ask_permit(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                          uint64_t raw, uint64_t now_ns, uint32_t *ticket)
{
    uint64_t next;

    do {
        if (unpack(raw).state == FG_BREAKER_CLOSED) {
            *ticket = ticket_of(raw);
            return FG_BREAKER_PASS;
        }
        if (!next_permit(breaker, config, raw, now_ns, &next)) {
            atomic_fetch_add_explicit(&breaker->refused, 1, memory_order_relaxed);
            return FG_BREAKER_REFUSE;
        }
        advance(&breaker->probe_ns, now_ns);
        if (unpack(raw).state == FG_BREAKER_OPEN)
            advance(&breaker->since_ns, now_ns);
    } while (!atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                      memory_order_acquire));
    *ticket = ticket_of(next);
    return FG_BREAKER_PERMIT;
}

enum fg_breaker_verdict fg_breaker_ask(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                       uint64_t now_ns, uint32_t *ticket)
{
    *ticket = 0;
    if (!config->enabled || breaker->inert)
        return FG_BREAKER_PASS;
    uint64_t raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
    if ((enum fg_breaker_state)(raw & 3) != FG_BREAKER_CLOSED)
        return ask_permit(breaker, config, raw, now_ns, ticket);
    *ticket = ticket_of(raw);
    return FG_BREAKER_PASS;
}

bool fg_breaker_admits(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t now_ns)
{
    uint64_t next, raw = atomic_load_explicit(&breaker->word, memory_order_acquire);

    return !config->enabled || unpack(raw).state == FG_BREAKER_CLOSED ||
           next_permit(breaker, config, raw, now_ns, &next);
}

/* ---- describing ---- */

static void describe_trip(struct fg_breaker *breaker, struct fg_breaker_info *out)
{
    static const char *const names[] = {"", "consecutive_failures", "failure_ratio", "probe_failed"};
    struct trip t = unpack_trip(atomic_load_explicit(&breaker->cause, memory_order_acquire));
    double unit = t.cause == CAUSE_RATIO ? RATIO_UNIT : 1;

    out->cause = names[t.cause];
    out->observed = t.observed / unit;
    out->threshold = t.threshold / unit;
}

static void describe_state(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                           uint64_t now_ns, struct fg_breaker_info *out)
{
    struct word w = unpack(raw);
    uint64_t next;

    out->state = w.state;
    out->since_ns = atomic_load_explicit(&breaker->since_ns, memory_order_acquire);
    out->permits_out = w.out;
    if (w.state == FG_BREAKER_CLOSED) {
        sum_window(breaker, raw, epoch_at(config, now_ns), &out->calls, &out->failures);
        out->consecutive_failures = count_of(atomic_load_explicit(&breaker->consecutive, memory_order_acquire), raw);
    } else if (!next_permit(breaker, config, raw, now_ns, &next)) {
        _Atomic uint64_t *from = w.state == FG_BREAKER_OPEN ? &breaker->since_ns : &breaker->probe_ns;
        uint64_t wait_ns = FG_MAX(config->open_for_ns, 1), passed_ns = elapsed(from, now_ns);
        out->retry_in_ns = wait_ns > passed_ns ? wait_ns - passed_ns : 0;
    }
}

void fg_breaker_describe(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t now_ns,
                         struct fg_breaker_info *out)
{
    uint64_t raw;
    int tries = 0;

    /* The word is the version of everything else; a circuit that changes all the time is described as well as may be.
     */
    do {
        *out = (struct fg_breaker_info){0};
        raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
        if (config->enabled)
            describe_state(breaker, config, raw, now_ns, out);
        describe_trip(breaker, out);
    } while (!is_current(breaker, raw) && ++tries < 16);
    out->trips = atomic_load_explicit(&breaker->trips, memory_order_relaxed);
    out->refused = atomic_load_explicit(&breaker->refused, memory_order_relaxed);
}

const char *fg_breaker_state_name(enum fg_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    assert((unsigned)state < FG_ARRAY_LEN(names));
    return names[state];
}
