/* Saying what a circuit does, and why. */
#include "policy/breaker_int.h"

#include <assert.h>

static double calls_of(uint32_t units)
{
    return (double)units / FG_BREAKER_UNITS_ONE;
}

static void describe_windows(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                             uint64_t now_ns, struct fg_breaker_info *out)
{
    uint64_t epoch = fg_breaker_epoch(config, now_ns);
    struct fg_breaker_sum sum = fg_breaker_window_sum(&breaker->failures, raw, epoch);

    out->calls = calls_of(sum.calls);
    out->failures = calls_of(sum.hits);
    sum = fg_breaker_window_sum(&breaker->slow, raw, epoch);
    out->slow_calls = calls_of(sum.calls);
    out->slow = calls_of(sum.hits);
    sum = fg_breaker_window_sum(&breaker->overload, raw, epoch);
    out->overload_calls = sum.calls;
    out->overloads = sum.hits;
    if (!breaker->observes)
        out->shed_share = fg_breaker_shed_share(breaker, config, raw, now_ns);
    out->consecutive_failures =
        fg_breaker_count_of(atomic_load_explicit(&breaker->consecutive, memory_order_acquire), raw);
}

static void describe_state(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                           uint64_t now_ns, struct fg_breaker_info *out)
{
    struct fg_breaker_word w = fg_breaker_unpack(raw);
    bool closed = w.state == FG_BREAKER_CLOSED;
    struct fg_breaker_episode episode =
        closed ? fg_breaker_unpack_episode(atomic_load_explicit(&breaker->episode, memory_order_acquire))
               : fg_breaker_episode_of(breaker, raw);
    uint64_t next;

    out->state = w.state;
    out->permits_out = w.out;
    out->severity = closed ? 0 : episode.severity;
    out->retrips = fg_breaker_trips_left(breaker, config, raw, episode, now_ns);
    out->pause_ns = fg_breaker_pause_ns(config, out->retrips + closed);
    if (!closed && !fg_breaker_next_permit(breaker, config, raw, now_ns, &next)) {
        bool open = w.state == FG_BREAKER_OPEN;
        uint64_t wait_ns = open ? out->pause_ns : FG_MAX(config->open_for_ns, 1);
        uint64_t passed_ns = fg_breaker_elapsed(open ? &breaker->since_ns : &breaker->probe_ns, now_ns);
        out->retry_in_ns = wait_ns > passed_ns ? wait_ns - passed_ns : 0;
    }
}

static void describe_trip(struct fg_breaker *breaker, uint64_t now_ns, struct fg_breaker_info *out)
{
    uint64_t episode = atomic_load_explicit(&breaker->episode, memory_order_acquire);
    struct fg_breaker_trip trip = fg_breaker_unpack_trip(atomic_load_explicit(&breaker->cause, memory_order_acquire));

    out->cause = fg_breaker_tell_trip(trip, &out->observed, &out->threshold);
    out->factor = fg_breaker_unpack_episode(episode).factor;
    out->outcomes_len = fg_breaker_kept_outcomes(breaker, now_ns, out->outcomes);
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
        if (config->enabled) {
            out->since_ns = atomic_load_explicit(&breaker->since_ns, memory_order_acquire);
            describe_state(breaker, config, raw, now_ns, out);
            describe_windows(breaker, config, raw, now_ns, out);
        }
        describe_trip(breaker, now_ns, out);
    } while (atomic_load_explicit(&breaker->word, memory_order_acquire) != raw && ++tries < 16);
    out->trips = atomic_load_explicit(&breaker->trips, memory_order_relaxed);
    out->refused = atomic_load_explicit(&breaker->refused, memory_order_relaxed);
    out->shed = atomic_load_explicit(&breaker->shed, memory_order_relaxed);
    out->base_consecutive_failures = config->consecutive_failures;
    out->base_failure_ratio = config->failure_ratio;
    out->base_slow_ratio = config->slow_ratio;
    out->base_overload_share = config->overload_share;
}

const char *fg_breaker_state_name(enum fg_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    assert((unsigned)state < FG_ARRAY_LEN(names));
    return names[state];
}
