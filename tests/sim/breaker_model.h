/* A naive circuit breaker: it keeps every call and every event in a list and computes from these what the circuit
 * should say, in whole numbers. */
#ifndef SIM_BREAKER_MODEL_H
#define SIM_BREAKER_MODEL_H

#include "policy/breaker.h"

#define MODEL_EVENTS_MAX 2000
#define MODEL_CALLS_MAX  48

struct model_call { /* let through and not reported */
    struct fg_breaker_ticket ticket;
    struct fg_breaker_rank rank;
    uint64_t period; /* of the model; 0: asked while the breaker was disabled */
    bool permit, written_off;
};

struct model_event { /* a success or failure of a call that is no probe, in this period */
    uint64_t at_ns;
    uint32_t units;
    bool failed, looked_for_slow, slow;
};

enum model_load { MODEL_ACCEPTED, MODEL_OVERLOAD, MODEL_SHED };

struct model_load_event {
    uint64_t at_ns;
    enum model_load what;
};

struct model_outcome {
    uint64_t at_ns;
    struct fg_breaker_result result;
};

struct model_change {
    enum fg_breaker_state from, to;
    uint64_t at_ns;
};

struct model_sums {
    uint32_t units, failures, slow_units, slow;
    uint32_t answers, overloads, shed;
};

struct model {
    struct fg_config_breaker config;
    unsigned failure_percent, slow_percent, overload_percent; /* of config */
    uint64_t now_ns;
    struct model_call calls[MODEL_CALLS_MAX];
    size_t calls_len;

    enum fg_breaker_state state;
    uint64_t period, since_ns, probe_ns;
    struct model_event events[MODEL_EVENTS_MAX];
    size_t events_len;
    struct model_load_event loads[MODEL_EVENTS_MAX];
    size_t loads_len;
    uint64_t overload_ns; /* the last one */
    uint32_t debt;
    uint32_t ok;        /* probes that succeeded in this half-open period */
    uint32_t forgotten; /* permits that were reported while the breaker was disabled */
    uint64_t trips, refused, shed, raises;
    const char *cause;
    double observed, threshold;
    uint32_t severity, factor, retrips;
    struct model_outcome bad[MODEL_EVENTS_MAX]; /* of this period */
    size_t bad_len;
    struct model_outcome kept[FG_BREAKER_OUTCOMES];
    size_t kept_len;
    struct model_change changes[4]; /* since the last look */
    size_t changes_len;
};

/* What an ask would be answered now, but for shedding. *OVERDUE: it would replace a probe without an answer. */
enum fg_breaker_verdict model_verdict(const struct model *m, struct fg_breaker_rank rank, bool *overdue);
enum fg_breaker_verdict model_ask(struct model *m, struct fg_breaker_rank rank);
/* CALL is no longer in the list. */
void model_report(struct model *m, const struct model_call *call, const struct fg_breaker_result *result);

uint32_t model_permits_out(const struct model *m);
uint32_t model_failures_in_a_row(const struct model *m);
struct model_sums model_window(const struct model *m);
uint32_t model_retrips(const struct model *m);
uint64_t model_pause_ns(const struct model *m, uint32_t retrips);
uint64_t model_retry_in(const struct model *m);
uint32_t model_shed_share(const struct model *m); /* in 1/65536, rounded down */

#endif
