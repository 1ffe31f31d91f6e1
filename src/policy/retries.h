/* When a call is tried again (gRFC A6): what an attempt's outcome allows, how long to wait, and when to stop because
 * most attempts fail. Pure; time and randomness are parameters. The throttle alone is shared by all workers. */
#ifndef FG_POLICY_RETRIES_H
#define FG_POLICY_RETRIES_H

#include <stdatomic.h>

#include "config/config.h"
#include "rpc/outcome.h"

/* ---- throttle: one per cluster; outlives reloads ---- */

/* All zero at first, which is full. */
struct fg_retry_throttle {
    _Atomic int64_t missing; /* tokens that were spent, in thousandths: 0 is full */
};

/* An attempt has ended: FAILED with a code that the route would retry, or with pushback that forbids it; otherwise with
 * OK. Other ends are not reported. */
void fg_retry_throttle_report(struct fg_retry_throttle *throttle, const struct fg_config_retry_throttle *config,
                              bool failed);
/* Are more than half of the tokens left? Always, when max_tokens is 0. */
bool fg_retry_throttle_allows(struct fg_retry_throttle *throttle, const struct fg_config_retry_throttle *config);

/* ---- pushback ---- */

#define FG_PUSHBACK_NEVER (-1)
/* grpc-retry-pushback-ms: milliseconds, or FG_PUSHBACK_NEVER for whatever is no non-negative 32-bit number. */
int64_t fg_pushback_parse(struct fg_str value);

/* ---- decisions ---- */

/* What one call has tried; all zero at first. */
struct fg_retry_state {
    unsigned attempts; /* that have ended and count */
    unsigned refused;  /* times that an endpoint refused it; only the first is retried transparently */
};

enum fg_retry_verdict {
    FG_RETRY_NO,
    FG_RETRY_TRANSPARENT, /* it does not count as an attempt */
    FG_RETRY_AGAIN,
};

struct fg_retry_decision {
    enum fg_retry_verdict verdict;
    uint64_t at_ns;  /* when to begin; not after the deadline */
    const char *why; /* of FG_RETRY_NO; static */
    bool failed;     /* the throttle counts the attempt as a failure */
};

/* What is known when an attempt has ended. */
struct fg_retry_question {
    const struct fg_config_retry *config;
    const struct fg_outcome *outcome;
    const struct fg_str *pushback; /* the field's value; NULL: none */
    bool replayable;               /* nothing was passed on, and the whole request is still there */
    bool elsewhere;                /* there is an endpoint that it was not tried on */
    bool allowed;                  /* by throttle, budget and limits.retries */
    uint64_t deadline_ns;          /* FG_NEVER: none */
    uint64_t now_ns, random;
};

/* Also counts the attempt in STATE. */
struct fg_retry_decision fg_retry_decide(struct fg_retry_state *state, const struct fg_retry_question *question);

/* The pause before retry N (from 1): min(initial x multiplier^(N-1), max) x random(1 - jitter, 1 + jitter). */
uint64_t fg_retry_backoff_ns(const struct fg_config_backoff *config, unsigned n, uint64_t random);

#endif
