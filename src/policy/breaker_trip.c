/* Thresholds, severity and trips. */
#include "policy/breaker_int.h"

/* ---- classes ---- */

static double weight_factor(unsigned weight, double mean_weight)
{
    double share = weight / (mean_weight > 0 ? mean_weight : 1);
    return FG_MAX(0.5, FG_MIN(share, 2));
}

uint32_t fg_breaker_factor(unsigned priority, unsigned weight, double mean_weight)
{
    return (uint32_t)((1000 + 300 * FG_MIN(priority, 2)) * weight_factor(weight, mean_weight) + 0.5);
}

struct fg_breaker_rank fg_breaker_rank(unsigned priority, unsigned weight, double mean_weight)
{
    return (struct fg_breaker_rank){.factor = (uint16_t)fg_breaker_factor(priority, weight, mean_weight),
                                    .units =
                                        (uint8_t)(FG_BREAKER_UNITS_ONE * weight_factor(weight, mean_weight) + 0.5)};
}

uint32_t fg_breaker_threshold_count(uint32_t base, uint32_t factor)
{
    return (uint32_t)FG_MIN(((uint64_t)base * factor + FG_BREAKER_FACTOR_ONE - 1) / FG_BREAKER_FACTOR_ONE, UINT32_MAX);
}

double fg_breaker_threshold_share(double base, uint32_t factor)
{
    return FG_MIN(base * factor / FG_BREAKER_FACTOR_ONE, 1);
}

/* ---- the last trip, packed:  63..61 cause  60..54 period  53..27 observed  26..0 threshold ---- */

#define TRIP_TAG    0x7fu
#define NUMBER_MASK 0x7ffffffu

static uint64_t pack_trip(struct fg_breaker_trip t)
{
    return (uint64_t)t.cause << 61 | (uint64_t)(t.period & TRIP_TAG) << 54 | (uint64_t)t.observed << 27 | t.threshold;
}

struct fg_breaker_trip fg_breaker_unpack_trip(uint64_t raw)
{
    return (struct fg_breaker_trip){.cause = (enum fg_breaker_cause)(raw >> 61),
                                    .period = (uint32_t)(raw >> 54) & TRIP_TAG,
                                    .observed = (uint32_t)(raw >> 27) & NUMBER_MASK,
                                    .threshold = (uint32_t)raw & NUMBER_MASK};
}

static void keep_trip(struct fg_breaker *breaker, struct fg_breaker_trip why)
{
    uint64_t seen = atomic_load_explicit(&breaker->cause, memory_order_relaxed);

    do {
        /* A thread that slept here must not overwrite the cause of a later trip. */
        struct fg_breaker_trip kept = fg_breaker_unpack_trip(seen);
        uint32_t later = (kept.period - why.period) & TRIP_TAG;
        if (kept.cause != FG_BREAKER_CAUSE_NONE && later > 0 && later < TRIP_TAG / 2)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->cause, &seen, pack_trip(why), memory_order_release,
                                                    memory_order_relaxed));
}

/* ---- the episode, packed:  63..42 period  41..28 severity  27..16 factor  15..0 trips ---- */

#define EPISODE_FACTOR_MASK 0xfffu
#define TRIPS_MAX           0xffffu

static uint64_t pack_episode(struct fg_breaker_episode e)
{
    return (uint64_t)e.period << 42 | (uint64_t)e.severity << 28 | (uint64_t)e.factor << 16 | e.trips;
}

struct fg_breaker_episode fg_breaker_unpack_episode(uint64_t packed)
{
    return (struct fg_breaker_episode){.period = (uint32_t)(packed >> 42),
                                       .severity = (uint32_t)(packed >> 28) & FG_BREAKER_SEVERITY_MAX,
                                       .factor = (uint32_t)(packed >> 16) & EPISODE_FACTOR_MASK,
                                       .trips = (uint32_t)packed & TRIPS_MAX};
}

/* The period in which the circuit opened: RAW is open or half-open. */
static uint32_t open_period(uint64_t raw)
{
    uint32_t period = fg_breaker_period_of(raw);

    if (fg_breaker_state_of(raw) == FG_BREAKER_HALF_OPEN)
        period = period == 1 ? FG_BREAKER_PERIOD_MASK : period - 1;
    return period;
}

/* How far PERIOD is ahead of OTHER; 0 when it is behind. */
static uint32_t ahead_of(uint32_t period, uint32_t other)
{
    uint32_t ahead = (period - other) & FG_BREAKER_PERIOD_MASK;
    return ahead < FG_BREAKER_PERIOD_MASK / 2 ? ahead : 0;
}

struct fg_breaker_episode fg_breaker_episode_of(const struct fg_breaker *breaker, uint64_t raw)
{
    struct fg_breaker_episode e =
        fg_breaker_unpack_episode(atomic_load_explicit(&breaker->episode, memory_order_acquire));
    uint32_t period = open_period(raw);

    /* One ahead is that of a trip which is just being made, or was since RAW was read: it holds already. */
    if (e.period != period && ahead_of(e.period, period) == 0)
        e = (struct fg_breaker_episode){period, FG_BREAKER_SEVERITY_MAX, 0, 1};
    return e;
}

uint32_t fg_breaker_trips_left(const struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                               struct fg_breaker_episode last, uint64_t now_ns)
{
    if (fg_breaker_state_of(raw) != FG_BREAKER_CLOSED)
        return last.trips;
    uint64_t healthy = fg_breaker_elapsed(&breaker->since_ns, now_ns) / FG_MAX(config->window_ns, 1);
    return healthy < last.trips ? last.trips - (uint32_t)healthy : 0;
}

/* More trips than these make no longer pause. */
static uint32_t trips_that_count(const struct fg_config_breaker *config)
{
    uint64_t open_for_ns = FG_MAX(config->open_for_ns, 1);
    uint64_t most = config->max_open_for_ns / open_for_ns + (config->max_open_for_ns % open_for_ns > 0);
    return (uint32_t)FG_MAX(FG_MIN(most, TRIPS_MAX), 1);
}

uint64_t fg_breaker_pause_ns(const struct fg_config_breaker *config, uint32_t trips)
{
    uint64_t most_ns = FG_MAX(config->max_open_for_ns, config->open_for_ns);
    return FG_MIN(config->open_for_ns * FG_MAX(trips, 1), most_ns);
}

/* Makes the episode of the trip from RAW, or raises the severity of the one that another thread is making. */
static void begin_episode(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                          struct fg_breaker_episode next, uint64_t now_ns)
{
    uint64_t seen = atomic_load_explicit(&breaker->episode, memory_order_acquire);

    do {
        struct fg_breaker_episode e = fg_breaker_unpack_episode(seen);
        if (ahead_of(e.period, next.period) > 0)
            return; /* this thread slept */
        if (e.period == next.period) {
            if (e.severity >= next.severity)
                return;
            next.trips = e.trips;
        } else {
            uint32_t trips = fg_breaker_trips_left(breaker, config, raw, e, now_ns) + 1;
            next.trips = FG_MIN(trips, trips_that_count(config));
        }
    } while (!atomic_compare_exchange_weak_explicit(&breaker->episode, &seen, pack_episode(next), memory_order_acq_rel,
                                                    memory_order_acquire));
}

/* ---- trips ---- */

/* How bad one cause is. */
struct finding {
    enum fg_breaker_cause cause;
    uint32_t severity;
    double observed, base;
};

static uint32_t number(double value)
{
    return value <= 0 ? 0 : value >= NUMBER_MASK ? NUMBER_MASK : (uint32_t)(value + 0.5);
}

static uint32_t severity(double observed, double base)
{
    /* The summand takes back what divisions lose, so that 39 % are 1.3 x 30 %. */
    double in_thousandths = base > 0 ? observed / base * FG_BREAKER_FACTOR_ONE + 1e-6 : FG_BREAKER_SEVERITY_MAX;
    return (uint32_t)FG_MIN(in_thousandths, FG_BREAKER_SEVERITY_MAX);
}

static void find_row(struct finding *worst, uint32_t consecutive, uint32_t base)
{
    if (base == 0 || consecutive == 0)
        return;
    *worst = (struct finding){FG_BREAKER_CAUSE_CONSECUTIVE, severity(consecutive, base), consecutive, base};
}

static void find_share(struct finding *worst, enum fg_breaker_cause cause, struct fg_breaker_sum sum, double base,
                       uint32_t minimum_calls)
{
    if (sum.hits == 0 || sum.calls / FG_BREAKER_UNITS_ONE < minimum_calls)
        return;
    double share = (double)sum.hits / (double)sum.calls;
    uint32_t found = sum.hits == sum.calls ? FG_BREAKER_SEVERITY_MAX : severity(share, base);
    if (found > worst->severity)
        *worst = (struct finding){cause, found, share, base};
}

static struct fg_breaker_trip told(struct finding f, uint32_t factor)
{
    bool share = f.cause != FG_BREAKER_CAUSE_CONSECUTIVE;
    double threshold =
        share ? fg_breaker_threshold_share(f.base, factor) : fg_breaker_threshold_count((uint32_t)f.base, factor);
    double unit = share ? FG_BREAKER_SHARE_UNIT : 1;

    return (struct fg_breaker_trip){
        .cause = f.cause, .observed = number(f.observed * unit), .threshold = number(threshold * unit)};
}

const char *fg_breaker_tell_trip(struct fg_breaker_trip trip, double *observed, double *threshold)
{
    static const char *const names[8] = {"", "consecutive_failures", "failure_ratio", "slow_ratio", "probe_failed"};
    bool share = trip.cause == FG_BREAKER_CAUSE_FAILURES || trip.cause == FG_BREAKER_CAUSE_SLOW;
    double unit = share ? FG_BREAKER_SHARE_UNIT : 1;

    *observed = trip.observed / unit;
    *threshold = trip.threshold / unit;
    return names[trip.cause];
}

/* From RAW to open, unless somebody else changed it. */
static bool trip(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                 struct fg_breaker_trip why, struct fg_breaker_episode episode, uint64_t now_ns)
{
    uint64_t next = fg_breaker_next_period(raw, FG_BREAKER_OPEN, 0);

    /* The episode goes first: it looks at the instant since which the circuit was closed. */
    episode.period = fg_breaker_period_of(next);
    begin_episode(breaker, config, raw, episode, now_ns);
    fg_breaker_freeze_outcomes(breaker, raw);
    fg_breaker_advance(&breaker->since_ns, now_ns);
    if (!atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    atomic_fetch_add_explicit(&breaker->trips, 1, memory_order_relaxed);
    why.period = episode.period & TRIP_TAG;
    keep_trip(breaker, why);
    fg_breaker_events_add(breaker, fg_breaker_state_of(raw), FG_BREAKER_OPEN, now_ns);
    return true;
}

/* RAW is open or half-open, and a class that passes found it worse. */
static void worsen(struct fg_breaker *breaker, uint64_t raw, struct fg_breaker_trip why, uint32_t found,
                   uint32_t factor, uint64_t now_ns)
{
    enum fg_breaker_state state = fg_breaker_state_of(raw);
    uint64_t seen = atomic_load_explicit(&breaker->episode, memory_order_acquire);
    struct fg_breaker_episode e;

    do {
        e = fg_breaker_unpack_episode(seen);
        if (e.period != open_period(raw) || e.severity >= found)
            return;
        e.severity = found;
        e.factor = factor;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->episode, &seen, pack_episode(e), memory_order_acq_rel,
                                                    memory_order_acquire));
    fg_breaker_freeze_outcomes(breaker, raw);
    why.period = e.period & TRIP_TAG;
    keep_trip(breaker, why);
    fg_breaker_events_add(breaker, state, state, now_ns);
}

void fg_breaker_judge(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                      struct fg_breaker_ticket ticket, uint32_t consecutive, uint64_t epoch, uint64_t now_ns)
{
    struct finding worst = {0};
    uint32_t factor = ticket.factor ? ticket.factor : FG_BREAKER_FACTOR_ONE;

    find_row(&worst, consecutive, config->consecutive_failures);
    if (fg_breaker_in_window(&breaker->failed_ns, config, now_ns))
        find_share(&worst, FG_BREAKER_CAUSE_FAILURES, fg_breaker_window_sum(&breaker->failures, raw, epoch),
                   config->failure_ratio, config->minimum_calls);
    if (fg_breaker_looks_for_slow(config) && fg_breaker_in_window(&breaker->slow_ns, config, now_ns))
        find_share(&worst, FG_BREAKER_CAUSE_SLOW, fg_breaker_window_sum(&breaker->slow, raw, epoch), config->slow_ratio,
                   config->minimum_calls);
    if (worst.cause == FG_BREAKER_CAUSE_NONE || worst.severity < factor)
        return;
    if (fg_breaker_state_of(raw) != FG_BREAKER_CLOSED)
        worsen(breaker, raw, told(worst, factor), worst.severity, factor, now_ns);
    else
        (void)trip(breaker, config, raw, told(worst, factor),
                   (struct fg_breaker_episode){.severity = worst.severity, .factor = factor}, now_ns);
}

bool fg_breaker_probe_failed(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                             uint64_t now_ns)
{
    struct fg_breaker_episode episode = fg_breaker_episode_of(breaker, raw); /* it is as bad as it was */
    struct fg_breaker_trip why = {.cause = FG_BREAKER_CAUSE_PROBE,
                                  .observed = fg_breaker_unpack(raw).ok,
                                  .threshold = fg_breaker_probes_needed(config)};

    return trip(breaker, config, raw, why, episode, now_ns);
}
