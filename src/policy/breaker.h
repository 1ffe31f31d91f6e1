/* Circuit breakers, shared by all workers, bounded, outliving configuration reloads: one per cluster x endpoint x
 * method, a roll-up per cluster x endpoint, and a roll-up per cluster x method that only watches. Fed by attempt
 * outcomes and nothing else. Thread-safe; time is a parameter. doc/policies.md says what they are for.
 *
 * closed --(a cause)--> open --(the pause is over and a refused class asks)--> half_open: exactly half_open_calls
 * permits, in a ramp --(as many successes)--> closed, --(one failure)--> open
 *
 * Causes: failures in a row; the share of failures; the share of slow calls. Each has a base in the configuration. What
 * was observed divided by the base is its severity, in thousandths; a share of 1 is of the greatest severity. Looked at
 * is after every success and failure; shares only with hits > 0 and calls >= minimum_calls.
 *
 * Classes of calls: a call's factor, in thousandths, multiplies every base. So a report finds its class's threshold
 * reached when the severity is at least its factor, and that is what trips: a circuit opens when it is too bad for the
 * call that has just ended, be it with a failure or not; what only calls of a lower class would mind, the next of these
 * finds. The worst of the causes gives its severity to the circuit, which refuses the classes whose factor is not
 * greater. The others go on, with tickets of the open (half-open) period, in whose own window and row they count; they
 * raise the severity by the same rule. That is no further trip. Closing forgets the severity.
 *
 * The window is ten buckets of window/10, aligned to the clock: a call leaves it between 9/10 and one window later.
 * Calls count by their weight, in quarters. Every change of state forgets windows and rows. Ignored outcomes count
 * nowhere.
 *
 * Slow calls have a window of their own. A slow success ends a row of failures; as a probe it counts as a failure, or
 * else a slow endpoint would be let in again.
 *
 * Overload trips nothing. While more than overload_share of the answers in the window are overload, and there are
 * minimum_calls of them, calls are shed so that what is sent is 1 / (1 - overload_share) times what is accepted, low
 * factors first: breaker_shed.c. Shares of 0 and 1 turn it off.
 *
 * Each call that is let through carries a ticket, which says in which period of the circuit it began. A report with a
 * ticket of an earlier period counts nowhere: neither does a call begun before the trip help or harm a half-open
 * circuit, nor does a late failure trip the circuit that has closed since.
 *
 * Pause: open_for times the trips without healthy time in between, at most max_open_for (gRFC A50). Each window that
 * the circuit spends closed takes one trip off.
 *
 * Ramp: a further permit goes out only while the permits out are not more than the successes so far. A permit given
 * back (ignored, overload) may go out again. A probe that is not answered for open_for after the last permit went out
 * is written off: one permit goes out in its place, again after each open_for. Its answer still counts when it comes in
 * the same half-open period. */
#ifndef FG_POLICY_BREAKER_H
#define FG_POLICY_BREAKER_H

#include "base/bytes.h"
#include "config/config.h"
#include "rpc/outcome.h"

enum fg_breaker_state { FG_BREAKER_CLOSED, FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN };

struct fg_breaker; /* one circuit; stays valid as long as the registry */
struct fg_breaker_registry;

/* At most MAX_BREAKERS circuits of methods are kept, as many of endpoints (roll-up and overflow), and as many roll-ups
 * of methods; each is less than 1 KiB and its names. When full, calls of further methods share the overflow circuit of
 * their endpoint, which fg_breaker_each shows as method "*"; so do methods of more than FG_BREAKER_METHOD_MAX bytes,
 * since peers choose them. When even the endpoints are too many, the circuit is one that lets everything pass. Freeing
 * ends the life of every circuit. */
#define FG_BREAKER_METHOD_MAX 256
struct fg_breaker_registry *fg_breaker_registry_new(size_t max_breakers);
void fg_breaker_registry_free(struct fg_breaker_registry *registry);

/* Finds or makes the circuit; the strings are copied. METHOD "" is the endpoint's roll-up. ENDPOINT "" is the method's
 * roll-up over all endpoints: reports count in it, and it stays closed and sheds nothing. Lock-free when it exists;
 * callers may keep the pointer. */
struct fg_breaker *fg_breaker_get(struct fg_breaker_registry *registry, struct fg_str cluster, struct fg_str endpoint,
                                  struct fg_str method);

/* ---- classes of calls ---- */

/* What a call is to the breaker. All zero: an average call of priority 0. */
struct fg_breaker_rank {
    uint16_t factor; /* thousandths */
    uint8_t units;   /* what it counts for in the window: 2..8 quarters */
};

/* (1 + 0.3 x priority) x clamp(weight / mean_weight, 0.5, 2) in thousandths: 500..3200. A MEAN_WEIGHT of 0 is taken for
 * 1, a priority over 2 for 2. */
uint32_t fg_breaker_factor(unsigned priority, unsigned weight, double mean_weight);
struct fg_breaker_rank fg_breaker_rank(unsigned priority, unsigned weight, double mean_weight);

/* The threshold of a class: base x factor; of a count rounded up, of a share at most 1. */
uint32_t fg_breaker_threshold_count(uint32_t base, uint32_t factor);
double fg_breaker_threshold_share(double base, uint32_t factor);

/* ---- asking and reporting ---- */

enum fg_breaker_verdict {
    FG_BREAKER_PASS,   /* closed, or open and not for this class: go on */
    FG_BREAKER_PERMIT, /* half-open: this call is a probe and holds one of the permits; it must be reported */
    FG_BREAKER_REFUSE, /* open, or half-open and no permit is to be had */
    FG_BREAKER_SHED,   /* would pass, but the endpoint is overloaded: not here, not now */
};

/* Of a call that was let through. All zero: of none; it counts, as an average call, in a closed circuit only. */
struct fg_breaker_ticket {
    uint32_t value; /* 0: none */
    uint16_t factor;
    uint8_t units;
    bool permit;
};

/* Would a call be let through? Takes no permit; for choosing among endpoints. Says nothing about shedding: that is
 * decided, and counted, by fg_breaker_ask alone. */
bool fg_breaker_admits(struct fg_breaker *breaker, const struct fg_config_breaker *config, struct fg_breaker_rank rank,
                       uint64_t now_ns);

/* Asks for one call. *TICKET is to be handed to fg_breaker_report with what came of it; its value is 0 when the call is
 * refused or shed, or when the breaker is disabled (then everything passes). */
enum fg_breaker_verdict fg_breaker_ask(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                       struct fg_breaker_rank rank, uint64_t now_ns, struct fg_breaker_ticket *ticket)
    __attribute__((warn_unused_result));

/* What came of a call. */
struct fg_breaker_result {
    enum fg_class class;
    bool slow;
    enum fg_status code; /* this and the rest are for explaining a trip */
    enum fg_source source;
    uint32_t duration_ms;
};

/* Was it slow? From sending to the end longer than slow_call, if at most one message came; or to the first message (to
 * the end, if none came) longer than slow_first_message. What was never sent is not slow. */
bool fg_breaker_is_slow(const struct fg_config_breaker *config, const struct fg_outcome *outcome);
struct fg_breaker_result fg_breaker_result_of(const struct fg_config_breaker *config, const struct fg_outcome *outcome);

/* Reports what came of a call that was let through, once. A call that holds a permit must be reported. */
void fg_breaker_report(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                       struct fg_breaker_ticket ticket, const struct fg_breaker_result *result, uint64_t now_ns);

/* The call was not made: gives back the permit, if it holds one. */
void fg_breaker_give_back(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                          struct fg_breaker_ticket ticket, uint64_t now_ns);

/* ---- saying why ---- */

#define FG_BREAKER_OUTCOMES     8
#define FG_BREAKER_SEVERITY_MAX 16383u /* above every factor: all classes are refused */

/* One of the outcomes that tripped a circuit. */
struct fg_breaker_outcome {
    enum fg_class class;
    bool slow;
    enum fg_status code;
    enum fg_source source;
    uint32_t duration_ms; /* 262143: that or more */
    uint64_t age_ns;      /* in whole milliseconds */
};

/* What to tell about a refusal or a state; a consistent copy. */
struct fg_breaker_info {
    enum fg_breaker_state state;
    /* What tripped it last, or raised its severity since: "consecutive_failures", "failure_ratio", "slow_ratio",
     * "probe_failed"; or "". Of that cause what was observed (failures in a row; share; successful probes), the
     * threshold of the call that found it (probes needed), and that call's factor. */
    const char *cause;
    double observed, threshold;
    uint32_t factor;
    uint32_t severity;    /* classes whose factor is not greater are refused; 0: closed */
    uint64_t since_ns;    /* of the state; 0: it never changed */
    uint64_t retry_in_ns; /* until the next probe may go, unless an answer comes before; 0: now */
    uint64_t pause_ns;    /* from the trip to the first probe; closed: of the next trip */
    uint32_t retrips;     /* trips without healthy time in between; closed: those not yet taken off */
    uint32_t permits_out;
    uint32_t consecutive_failures;
    double calls, failures;             /* in the window now, weighted */
    double slow_calls, slow;            /* the window of slow calls; 0 where they are not looked for */
    uint32_t overload_calls, overloads; /* answers, not weighted, since the first overload; of these overload */
    double shed_share;                  /* the part of the calls that is being shed now */
    uint64_t trips, refused, shed;      /* totals */
    /* The bases, for an average call of priority 0: fg_breaker_threshold_count and _share give those of a class. */
    uint32_t base_consecutive_failures;
    double base_failure_ratio, base_slow_ratio, base_overload_share;
    /* Failures, slow calls and overload of the period that ended with the trip (or raise), oldest first. One that comes
     * in at the same moment may be missing or show as an older one. */
    struct fg_breaker_outcome outcomes[FG_BREAKER_OUTCOMES];
    size_t outcomes_len;
};

/* A disabled breaker is described as closed. */
void fg_breaker_describe(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t now_ns,
                         struct fg_breaker_info *out);

/* Calls VISIT for every circuit, in no order, while others go on. */
void fg_breaker_each(struct fg_breaker_registry *registry,
                     void (*visit)(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                                   struct fg_breaker *breaker),
                     void *context);

const char *fg_breaker_state_name(enum fg_breaker_state state);

/* ---- events: the latest changes of state of all circuits ---- */

#define FG_BREAKER_EVENTS 1024

struct fg_breaker_event {
    uint64_t seq; /* from 0, one more each; a gap: the reader came too late */
    uint64_t at_ns;
    struct fg_breaker *breaker;
    struct fg_str cluster, endpoint, method; /* as long as the registry */
    enum fg_breaker_state from, to;          /* the same: its severity rose, more classes are refused */
    const char *cause;                       /* this and the rest as in fg_breaker_info; of the last trip or raise */
    double observed, threshold;
    uint32_t factor, severity;
};

/* Calls VISIT for the events from FROM_SEQ on that are still kept, in order, and returns where to go on. Any thread may
 * read, at any time. Changes made in the same moment may stand in either order. */
uint64_t fg_breaker_events_read(struct fg_breaker_registry *registry, uint64_t from_seq,
                                void (*visit)(void *context, const struct fg_breaker_event *event), void *context);

/* WAKE is called after each new event, by whichever thread made it, with no lock held. To be set, once, before circuits
 * are used. */
void fg_breaker_events_on_new(struct fg_breaker_registry *registry, void (*wake)(void *context), void *context);

#endif
