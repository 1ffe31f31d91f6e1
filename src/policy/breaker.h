/* Circuit breakers, one per cluster x endpoint x method and a roll-up per cluster x endpoint, shared by all workers,
 * bounded, outliving configuration reloads. Fed by attempt outcomes and nothing else. Thread-safe; time is a parameter.
 *
 * closed --(consecutive failures, or failure ratio of the window with enough calls)--> open
 * open --(open_for is over and a call asks)--> half_open: exactly half_open_calls permits, in a ramp
 * half_open --(as many successes)--> closed, --(one failure)--> open
 *
 * The window is ten buckets of window/10, aligned to the clock: a failure leaves it between 9/10 and one window later.
 * A ratio trips when failures > 0, calls >= minimum_calls and failures / calls >= failure_ratio; it is looked at after
 * every success and failure. Opening forgets the window and the consecutive failures. Overload (RESOURCE_EXHAUSTED) and
 * ignored outcomes count nowhere.
 *
 * Each call that is let through carries a ticket, which says in which period of the circuit it began. A report with a
 * ticket of an earlier period counts nowhere: neither does a call begun before the trip help or harm a half-open
 * circuit, nor does a late failure trip the circuit that has closed since.
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

/* At most MAX_BREAKERS circuits of methods are kept, and as many of endpoints (roll-up and overflow). When full, calls
 * of further methods share the overflow circuit of their endpoint, which fg_breaker_each shows as method "*"; so do
 * methods of more than FG_BREAKER_METHOD_MAX bytes, since peers choose them. When even the endpoints are too many, the
 * circuit is one that lets everything pass. Freeing ends the life of every circuit. */
#define FG_BREAKER_METHOD_MAX 256
struct fg_breaker_registry *fg_breaker_registry_new(size_t max_breakers);
void fg_breaker_registry_free(struct fg_breaker_registry *registry);

/* Finds or makes the circuit; the strings are copied. METHOD "" is the endpoint's roll-up. Lock-free when it exists;
 * callers may keep the pointer. */
struct fg_breaker *fg_breaker_get(struct fg_breaker_registry *registry, struct fg_str cluster, struct fg_str endpoint,
                                  struct fg_str method);

enum fg_breaker_verdict {
    FG_BREAKER_PASS,   /* closed: go on */
    FG_BREAKER_PERMIT, /* half-open: this call is a probe and holds one of the permits; it must be reported */
    FG_BREAKER_REFUSE, /* open, or half-open and no permit is to be had */
};

/* What to tell about a refusal or a state; a consistent copy. */
struct fg_breaker_info {
    enum fg_breaker_state state;
    const char *cause; /* what tripped it last: "consecutive_failures", "failure_ratio", "probe_failed"; or "" */
    double observed, threshold; /* of that cause: failures in a row; ratio; successful probes and those needed */
    uint64_t since_ns;          /* of the state; 0: it never changed */
    uint64_t retry_in_ns;       /* until the next probe may go, unless an answer comes before; 0: now */
    uint32_t calls, failures;   /* in the window now */
    uint32_t consecutive_failures;
    uint32_t permits_out;
    uint64_t trips, refused; /* totals */
};

/* Would a call be let through? Takes no permit; for choosing among endpoints. */
bool fg_breaker_admits(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t now_ns);

/* Asks for one call. *TICKET is to be handed to fg_breaker_report with what came of it; 0 when refused or when the
 * breaker is disabled (then everything passes). */
enum fg_breaker_verdict fg_breaker_ask(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                       uint64_t now_ns, uint32_t *ticket) __attribute__((warn_unused_result));

/* Reports what came of a call that was let through, once. A call that holds a permit must be reported, with IGNORED
 * when it was not made; that gives the permit back. Ticket 0 counts in a closed circuit only. */
void fg_breaker_report(struct fg_breaker *breaker, const struct fg_config_breaker *config, enum fg_class class,
                       uint32_t ticket, uint64_t now_ns);

/* A disabled breaker is described as closed. */
void fg_breaker_describe(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t now_ns,
                         struct fg_breaker_info *out);

/* Calls VISIT for every circuit, in no order, while others go on. */
void fg_breaker_each(struct fg_breaker_registry *registry,
                     void (*visit)(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                                   struct fg_breaker *breaker),
                     void *context);

const char *fg_breaker_state_name(enum fg_breaker_state state);

#endif
