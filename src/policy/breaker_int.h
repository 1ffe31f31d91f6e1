/* A circuit from inside: what its atomics mean. breaker.c asks and reports; breaker_window.c counts; breaker_trip.c
 * judges and trips; breaker_outcomes.c keeps what led to it; breaker_shed.c is about overload; breaker_describe.c
 * tells; breaker_events.c records changes; breaker_registry.c keeps the circuits. */
#ifndef FG_POLICY_BREAKER_INT_H
#define FG_POLICY_BREAKER_INT_H

#include <stdatomic.h>

#include "policy/breaker.h"

#define FG_BREAKER_BUCKETS    10
#define FG_BREAKER_LINE_BYTES 64
#define FG_BREAKER_FACTOR_ONE 1000u /* an average call of priority 0 */
#define FG_BREAKER_UNITS_ONE  4u

struct fg_breaker_events;

struct fg_breaker_window {
    _Atomic uint64_t buckets[FG_BREAKER_BUCKETS]; /* struct bucket, packed */
};

struct fg_breaker {
    /* Read by every call, written at changes of state. */
    _Atomic uint64_t word;
    _Atomic uint64_t since_ns; /* of the state */
    _Atomic uint64_t probe_ns; /* when the last permit went out */
    _Atomic uint64_t episode;  /* struct fg_breaker_episode, packed */
    _Atomic uint64_t cause;    /* struct fg_breaker_trip, packed */
    struct fg_breaker_events *events;
    struct fg_str cluster, endpoint, method;
    uint32_t hash;
    bool inert;    /* lets everything pass and counts nothing */
    bool observes; /* lets everything pass and counts */
    char pad[FG_BREAKER_LINE_BYTES];
    /* Written by every report. */
    struct fg_breaker_window failures, slow;
    char pad_failures[FG_BREAKER_LINE_BYTES];
    /* Written by failures, slow calls and overload. */
    _Atomic uint64_t consecutive;                     /* period << 32 | count */
    _Atomic uint64_t failed_ns, slow_ns, overload_ns; /* the last of each */
    _Atomic uint32_t debt;                            /* calls to be shed that were not yet: breaker_shed.c */
    _Atomic uint32_t frozen_version;                  /* odd while it is written */
    _Atomic uint64_t recent_len;                      /* period << 32 | outcomes of it so far */
    _Atomic uint64_t recent[FG_BREAKER_OUTCOMES];     /* the latest; a ring */
    _Atomic uint64_t frozen[FG_BREAKER_OUTCOMES];     /* as it was at the last trip or raise; oldest first, then 0 */
    /* Calls, not units; written while there is overload. */
    struct fg_breaker_window overload; /* those answered; of these with overload */
    struct fg_breaker_window wanted;   /* those that came; of these sent and answered, not shed */
    _Atomic uint64_t trips, refused, shed;
};

_Static_assert(sizeof(struct fg_breaker) < 1024, "breaker.h says so");

/* To a closed circuit. The memory is all zero but for what says which circuit it is. */
void fg_breaker_init(struct fg_breaker *breaker);

/* ---- the state word ----
 *
 * Everything that decides who may go is one 64-bit atomic, changed by compare-and-swap only, so that permits are exact
 * whatever the workers do at the same time:
 *
 *   63..42 period: grows with every change of state, never 0    41..32 round: write-offs in this half-open period
 *   31..17 out: permits out in this round     16..2 ok: successes in this half-open period     1..0 state
 *
 * The upper half is the ticket. What belongs to the word (the instants since and probe, the episode) is raised before
 * the swap that needs it: whoever sees the new word sees an instant at least as late. A swap that fails has raised them
 * for a change that somebody else made in the same moment, which does no harm. */
struct fg_breaker_word {
    enum fg_breaker_state state;
    uint32_t period, round, out, ok;
};

#define FG_BREAKER_PERIOD_MASK 0x3fffffu
#define FG_BREAKER_ROUND_BITS  10
#define FG_BREAKER_ROUND_MASK  0x3ffu
#define FG_BREAKER_COUNT_MASK  0x7fffu

static inline uint64_t fg_breaker_pack(struct fg_breaker_word w)
{
    return (uint64_t)w.period << 42 | (uint64_t)w.round << 32 | (uint64_t)w.out << 17 | (uint64_t)w.ok << 2 |
           (uint64_t)w.state;
}

static inline struct fg_breaker_word fg_breaker_unpack(uint64_t raw)
{
    return (struct fg_breaker_word){.state = (enum fg_breaker_state)(raw & 3),
                                    .period = (uint32_t)(raw >> 42),
                                    .round = (uint32_t)(raw >> 32) & FG_BREAKER_ROUND_MASK,
                                    .out = (uint32_t)(raw >> 17) & FG_BREAKER_COUNT_MASK,
                                    .ok = (uint32_t)(raw >> 2) & FG_BREAKER_COUNT_MASK};
}

static inline enum fg_breaker_state fg_breaker_state_of(uint64_t raw)
{
    return (enum fg_breaker_state)(raw & 3);
}

static inline uint32_t fg_breaker_period_of(uint64_t raw)
{
    return (uint32_t)(raw >> 42);
}

static inline uint32_t fg_breaker_ticket_of(uint64_t raw)
{
    return (uint32_t)(raw >> 32);
}

static inline uint32_t fg_breaker_period_of_ticket(uint32_t ticket)
{
    return ticket >> FG_BREAKER_ROUND_BITS;
}

static inline uint64_t fg_breaker_next_period(uint64_t raw, enum fg_breaker_state state, uint32_t out)
{
    uint32_t period = (fg_breaker_period_of(raw) + 1) & FG_BREAKER_PERIOD_MASK;
    return fg_breaker_pack((struct fg_breaker_word){.state = state, .period = period ? period : 1, .out = out});
}

/* Is RAW's period still the circuit's? */
static inline bool fg_breaker_is_current(const struct fg_breaker *breaker, uint64_t raw)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    return fg_breaker_period_of(word) == fg_breaker_period_of(raw);
}

static inline uint32_t fg_breaker_probes_needed(const struct fg_config_breaker *config)
{
    return config->half_open_calls == 0 ? 1 : FG_MIN(config->half_open_calls, FG_BREAKER_COUNT_MASK);
}

/* Raises an instant. */
static inline void fg_breaker_advance(_Atomic uint64_t *instant, uint64_t now_ns)
{
    uint64_t seen = atomic_load_explicit(instant, memory_order_relaxed);

    while (seen < now_ns &&
           !atomic_compare_exchange_weak_explicit(instant, &seen, now_ns, memory_order_release, memory_order_relaxed)) {
    }
}

/* Nothing is less than 0 ns ago: workers' clocks may differ by a loop turn. */
static inline uint64_t fg_breaker_elapsed(const _Atomic uint64_t *instant, uint64_t now_ns)
{
    uint64_t then = atomic_load_explicit(instant, memory_order_acquire);
    return now_ns > then ? now_ns - then : 0;
}

/* While an instant (0: never) is not in the window, what it stands for cannot be either: nothing to add up. The healthy
 * case. */
static inline bool fg_breaker_in_window(const _Atomic uint64_t *instant, const struct fg_config_breaker *config,
                                        uint64_t now_ns)
{
    uint64_t then = atomic_load_explicit(instant, memory_order_acquire);
    return then != 0 && (now_ns <= then || now_ns - then < FG_MAX(config->window_ns, FG_BREAKER_BUCKETS));
}

/* ---- breaker_window.c ---- */

struct fg_breaker_sum {
    uint32_t calls, hits; /* in units */
};

static inline uint64_t fg_breaker_epoch(const struct fg_config_breaker *config, uint64_t now_ns)
{
    uint64_t slice_ns = config->window_ns / FG_BREAKER_BUCKETS;
    return now_ns / FG_MAX(slice_ns, 1);
}

/* Counts UNITS in the slice of EPOCH. RAW is the state whose period they belong to. */
void fg_breaker_window_add(struct fg_breaker *breaker, struct fg_breaker_window *window, uint64_t raw, uint64_t epoch,
                           uint32_t units, bool hit);
struct fg_breaker_sum fg_breaker_window_sum(const struct fg_breaker_window *window, uint64_t raw, uint64_t epoch);

/* Counters of a period: period << 32 | count. */
static inline uint32_t fg_breaker_count_of(uint64_t counter, uint64_t raw)
{
    return counter >> 32 == fg_breaker_period_of(raw) ? (uint32_t)counter : 0;
}

/* Returns the new count; 0 when the period of RAW is over. */
uint32_t fg_breaker_count_up(struct fg_breaker *breaker, _Atomic uint64_t *counter, uint64_t raw);
void fg_breaker_count_clear(_Atomic uint64_t *counter, uint64_t raw);

/* ---- breaker_trip.c ---- */

enum fg_breaker_cause {
    FG_BREAKER_CAUSE_NONE,
    FG_BREAKER_CAUSE_CONSECUTIVE,
    FG_BREAKER_CAUSE_FAILURES,
    FG_BREAKER_CAUSE_SLOW,
    FG_BREAKER_CAUSE_PROBE,
};

#define FG_BREAKER_SHARE_UNIT 1e8 /* decimal, so that 0.3 comes back as 0.3; 1.0 fits in 27 bits */

struct fg_breaker_trip {
    enum fg_breaker_cause cause;
    uint32_t period;              /* of the open state; its lowest 7 bits */
    uint32_t observed, threshold; /* counts, or shares in FG_BREAKER_SHARE_UNIT */
};

struct fg_breaker_trip fg_breaker_unpack_trip(uint64_t raw);
/* Cause, observed and threshold as told to others. */
const char *fg_breaker_tell_trip(struct fg_breaker_trip trip, double *observed, double *threshold);

/* What goes with an open period and the half-open one after it. */
struct fg_breaker_episode {
    uint32_t period;   /* of the open state */
    uint32_t severity; /* 14 bits */
    uint32_t factor;   /* of the call that found it; 12 bits */
    uint32_t trips;    /* without healthy time in between; 16 bits */
};

struct fg_breaker_episode fg_breaker_unpack_episode(uint64_t packed);
/* Of RAW, which is open or half-open. When it is unknown, every class is refused. */
struct fg_breaker_episode fg_breaker_episode_of(const struct fg_breaker *breaker, uint64_t raw);
/* How many trips have not been made up for by healthy time. RAW is the state of now. */
uint32_t fg_breaker_trips_left(const struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                               struct fg_breaker_episode last, uint64_t now_ns);
uint64_t fg_breaker_pause_ns(const struct fg_config_breaker *config, uint32_t trips);

/* Looks at the causes after a success or failure with TICKET was counted for RAW, and trips or raises. CONSECUTIVE 0:
 * it was a success. */
void fg_breaker_judge(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                      struct fg_breaker_ticket ticket, uint32_t consecutive, uint64_t epoch, uint64_t now_ns);
/* From RAW, which is half-open, to open, unless somebody else changed it. */
bool fg_breaker_probe_failed(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                             uint64_t now_ns);

static inline bool fg_breaker_looks_for_slow(const struct fg_config_breaker *config)
{
    return config->slow_call_ns > 0 || config->slow_first_message_ns > 0;
}

/* ---- breaker_outcomes.c ---- */

/* Keeps the outcome of a failure, slow call or overload. */
void fg_breaker_keep_outcome(struct fg_breaker *breaker, uint64_t raw, const struct fg_breaker_result *result,
                             uint64_t now_ns);
/* Copies what led to a trip or raise from RAW. */
void fg_breaker_freeze_outcomes(struct fg_breaker *breaker, uint64_t raw);
/* Those of the last trip, and how many. */
size_t fg_breaker_kept_outcomes(const struct fg_breaker *breaker, uint64_t now_ns,
                                struct fg_breaker_outcome out[FG_BREAKER_OUTCOMES]);

/* ---- breaker_shed.c ---- */

/* The part of the calls that is to be shed. */
double fg_breaker_shed_share(const struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                             uint64_t now_ns);
/* Decides for a call of FACTOR and counts it when it is shed. To be asked only while overload is in the window. */
bool fg_breaker_sheds(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw, uint32_t factor,
                      uint64_t now_ns);
/* A success, failure or overload for RAW. */
void fg_breaker_count_overload(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                               enum fg_class class, uint64_t now_ns);

/* Neither 0, with which no endpoint would ever recover, nor 1. */
static inline bool fg_breaker_looks_for_overload(const struct fg_config_breaker *config)
{
    return config->overload_share > 0 && config->overload_share < 1;
}

/* ---- breaker.c ---- */

/* The word after one more permit went out of RAW, which is open or half-open. False: none is to be had. */
bool fg_breaker_next_permit(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                            uint64_t now_ns, uint64_t *next);

/* ---- breaker_events.c ---- */

struct fg_breaker_events *fg_breaker_events_new(void);
void fg_breaker_events_free(struct fg_breaker_events *events); /* NULL is allowed */
void fg_breaker_events_add(struct fg_breaker *breaker, enum fg_breaker_state from, enum fg_breaker_state to,
                           uint64_t at_ns);

/* ---- breaker_registry.c ---- */

struct fg_breaker_events *fg_breaker_registry_events(struct fg_breaker_registry *registry);

#endif
