/* When a call is tried again (gRFC A6; doc/policies.md): what the outcome of an attempt allows, how long to wait, when
 * to stop because most attempts fail, and when a further attempt begins beside the others (hedging). Pure logic: time
 * and randomness are parameters. Only the throttle's tokens are shared by workers. Everything else belongs to one call.
 *
 * What an end leads to, by its source and by what is known of the request:
 *
 *   source                                             never sent          refused          may be processed
 *   TRAILERS .. PROTOCOL (the endpoint, the transport)  connect rule        once, at once    ordinary
 *   CONNECT                                             connect rule        once, at once    ordinary
 *   DEADLINE (attempt_timeout)                          ordinary            ordinary         ordinary
 *   all others (the gateway's refusals, the client)     no                  no               no
 *
 * A refusal of the gateway's own is no want of trying: breaker, limit and queue say no on purpose, as a load balancer's
 * DROP in A6.
 *
 * Connect rule: at once while there is an endpoint that the call was not tried on. Then, if the caller is patient and
 * the call has a deadline, again until the deadline with a pause of 1 ms that doubles up to 1 s, +-20 %; otherwise it
 * is ordinary. A caller that names ever more endpoints gets FG_RETRY_AT_ONCE_MAX retries at once, and then the pauses.
 *
 * Transparent retries (once, at once; connect rule) are no attempts, take no tokens and no permit. An outcome with
 * pushback is never transparent: somebody has seen the request. */
#ifndef FG_POLICY_RETRY_H
#define FG_POLICY_RETRY_H

#include <stdatomic.h>

#include "config/config.h"
#include "rpc/outcome.h"

/* ---- pushback ---- */

/* An hour, the longest backoff that can be configured: a peer does not say how long a call is kept. */
#define FG_RETRY_PUSHBACK_MAX_MS 3600000

/* grpc-retry-pushback-ms. True: the next attempt begins after exactly *MS. False: there is to be none, *MS is -1; the
 * value is negative, over the maximum, or no decimal number (which has no needless leading zeros, A6). */
bool fg_retry_parse_pushback(struct fg_str value, int64_t *ms);

/* ---- backoff ---- */

/* The pause before retry N (from 1; 0 is taken for 1): min(initial x multiplier^(N-1), max) x random(1 - jitter,
 * 1 + jitter), the last bound excluded. RANDOM is any 64 bits. A multiplier below 1 counts as 1, jitter as 0..1; at
 * most 2^63 ns. */
uint64_t fg_backoff(const struct fg_config_backoff *config, unsigned n, uint64_t random);

/* ---- throttle: one per cluster; shared by all workers, outlives reloads ---- */

/* All zero at first, which is full. High half: the thousandths of tokens that were full when it was last written; low
 * half: how many of these are spent. With another max_tokens the share that is spent stays: what was stopped before a
 * reload is stopped after it. */
struct fg_retry_tokens {
    _Atomic uint64_t word;
};

/* An attempt has ended: +token_ratio if OK, else -1, between 0 and max_tokens. Exact under threads. Which ends are to
 * be reported is known to fg_retry_plan_after and fg_hedge_ended, which do it. A success while all tokens are there
 * writes nothing. Digits of token_ratio beyond the third are ignored (A6); max_tokens is at most a million. */
void fg_retry_tokens_report(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config, bool ok);
/* Are more than half of the tokens left? Always, when max_tokens is 0. */
bool fg_retry_tokens_allow(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config);
/* Thousandths, to show; 0 when max_tokens is 0. */
uint32_t fg_retry_tokens_left(struct fg_retry_tokens *tokens, const struct fg_config_retry_throttle *config);

/* ---- what is known of the call ---- */

#define FG_RETRY_AT_ONCE_MAX 64 /* see the connect rule */

struct fg_retry_view {
    const struct fg_config_retry *config; /* attempts 0 is 1 */
    bool committed;                       /* something of an answer was passed on */
    bool overflowed;                      /* a part of the request is not kept any more */
    bool draining;                        /* the gateway ends: nothing is begun any more */
    bool untried;                         /* an endpoint is left that the call was not tried on */
    bool patient;                         /* see the connect rule */
    uint64_t deadline_ns;                 /* FG_NEVER: none */
    uint64_t now_ns, random;
    struct fg_retry_tokens *tokens; /* NULL: no throttle */
    const struct fg_config_retry_throttle *throttle;
    /* Takes a permit of limits.retries and retry_budget for the next attempt. It is asked last, when nothing else
     * speaks against the attempt: what it gives is used. NULL: no budget. */
    bool (*take_permit)(void *context);
    void *context;
};

/* ---- one after the other ---- */

/* What a call has tried; all zero at first. */
struct fg_retry_call {
    unsigned attempts; /* that have ended and count */
    unsigned refused;  /* refusals; only the first is retried transparently */
    unsigned connects; /* transparent retries of what was never sent */
    unsigned waits;    /* those of them with a pause */
    unsigned pauses;   /* retries since the last pushback, which begins the backoff anew (A6) */
};

/* Why a call is not tried again, in the order in which it is asked. X(WHY, name) */
#define FG_RETRY_WHYS(X)                                                                                               \
    X(NONE, "")                                                                                                        \
    X(LOCAL, "local") /* the gateway refused it, or the client has gone */                                             \
    X(OK, "ok")                                                                                                        \
    X(DRAINING, "draining")           /* view.draining */                                                              \
    X(COMMITTED, "committed")         /* view.committed */                                                             \
    X(BUFFER, "buffer")               /* view.overflowed */                                                            \
    X(NOT_RETRYABLE, "not_retryable") /* its code is not in `on` */                                                    \
    X(ATTEMPTS_USED, "attempts_used")                                                                                  \
    X(UNSAFE, "unsafe") /* it may have been processed, and is not idempotent */                                        \
    X(PUSHBACK, "pushback")                                                                                            \
    X(THROTTLED, "throttled")                                                                                          \
    X(DEADLINE, "deadline") /* is over, or would be before the next attempt begins */                                  \
    X(BUDGET, "budget")     /* take_permit said no */

enum fg_retry_why {
#define X(why, name) FG_RETRY_WHY_##why,
    FG_RETRY_WHYS(X)
#undef X
        FG_RETRY_WHY_LEN
};

const char *fg_retry_why_name(enum fg_retry_why why); /* static */

enum fg_retry_plan_kind {
    FG_RETRY_PLAN_NO,
    FG_RETRY_PLAN_TRANSPARENT, /* after delay_ns, mostly 0 */
    FG_RETRY_PLAN_AGAIN,       /* after delay_ns; it has its permit */
};

struct fg_retry_plan {
    enum fg_retry_plan_kind kind;
    enum fg_retry_why why; /* of FG_RETRY_PLAN_NO */
    uint64_t delay_ns;     /* now_ns + delay_ns is before the deadline */
};

/* An attempt has ended with OUTCOME; PUSHBACK is the value of that field, NULL: none. Counts it in CALL, and in the
 * tokens: an OK, or else a code in `on` or a pushback that forbids retries, unless the retry is transparent or the end
 * is a refusal of the gateway's own. The tokens are asked after that, so that the failure counts already. */
struct fg_retry_plan fg_retry_plan_after(struct fg_retry_call *call, const struct fg_retry_view *view,
                                         const struct fg_outcome *outcome, const struct fg_str *pushback);

/* The value of grpc-previous-rpc-attempts: OURS are the attempts before this one that count (fg_retry_call.attempts,
 * fg_hedge.begun), CLIENTS the client's own field, empty if it sent none; what is no number is none, and more than 9999
 * are 9999. 0: the field is left out. */
unsigned fg_retry_previous_attempts(unsigned ours, struct fg_str clients);

/* ---- side by side: hedging ----
 *
 * For routes with hedge_delay that are idempotent. The caller begins an attempt and says so; arms a timer for
 * fg_hedge_next; asks fg_hedge_ask when it is due; says when an attempt has ended. The first OK or fatal code ends the
 * call, and so does the last end when nothing is to come. Transparent retries are as above: the next attempt takes the
 * place of one that does not count. */

struct fg_hedge {
    struct fg_retry_call tried;
    unsigned begun, in_progress; /* BEGUN counts those that count */
    uint64_t next_ns;            /* the next one is due; FG_NEVER: none is */
    uint64_t not_before_ns;      /* by pushback; 0: at any time */
    bool replaces;               /* the next one is a transparent retry */
    bool stopped;                /* no further attempt begins */
};

enum fg_hedge_verdict {
    FG_HEDGE_GO_ON, /* others are in progress or to come */
    FG_HEDGE_OVER,  /* this end is the call's; those in progress are to be cancelled */
};

bool fg_hedge_applies(const struct fg_config_retry *config);
void fg_hedge_init(struct fg_hedge *hedge);

/* An attempt has begun, the first one included. The next is due hedge_delay later. */
void fg_hedge_begun(struct fg_hedge *hedge, const struct fg_config_retry *config, uint64_t now_ns);

/* When the next attempt is due, if nothing changes; FG_NEVER: none. Before the deadline. That the gateway ends is for
 * fg_hedge_ask to find: a call that waits with nothing in progress needs an event to end with. */
uint64_t fg_hedge_next(const struct fg_hedge *hedge, const struct fg_retry_view *view);

/* The time has come. True: begin it; it has its permit, unless it is a transparent retry (hedge.replaces), which takes
 * none. False: it is not due yet; or tokens or permit are wanting or the gateway ends, and then none begins any
 * more: if fg_hedge_is_over now, the last end is the call's. */
bool fg_hedge_ask(struct fg_hedge *hedge, const struct fg_retry_view *view) __attribute__((warn_unused_result));

/* An attempt has ended: as fg_retry_plan_after. A code in `on` makes the next one due at once, a pushback when it says
 * or never; what the gateway refused stops further ones and leaves those in progress alone. Of a call that is
 * committed, or whose request is not kept, one attempt is left, and its end is the call's. Attempts that the caller
 * cancels at the end of the call need not be told. */
enum fg_hedge_verdict fg_hedge_ended(struct fg_hedge *hedge, const struct fg_retry_view *view,
                                     const struct fg_outcome *outcome, const struct fg_str *pushback);

/* Is nothing in progress and nothing to come? */
bool fg_hedge_is_over(const struct fg_hedge *hedge, const struct fg_retry_view *view);

#endif
