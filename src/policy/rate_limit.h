/* How often: exact rate limits by key, over all workers (row C3), and the pace of messages in one stream. GCRA: each
 * key has one instant, the theoretical arrival time (TAT) of the next call if calls came evenly. Time is a parameter.
 *
 * What holds, with I = interval_ns and B = burst: in any half-open span of length T at most floor(T / I) + 1 + B calls
 * of a key are let through, and 1 + B of them at once after a pause. Exactly, whatever the number of threads: a key's
 * state is read and changed under its bucket's lock, a few nanoseconds long. Workers' clocks differ by a loop turn: a
 * bucket goes by the latest instant that it has seen, so that an older one gains nothing.
 *
 * Keys are remembered by a 64-bit keyed hash (SipHash-2-4 with a random key: peers cannot aim at each other), so that
 * memory does not depend on what they send. A key is forgotten only when its TAT has passed: then forgetting changes
 * nothing. If a key finds no place among its two buckets, because all that are there are in use, it shares one state
 * with the others of its limit that found none: they get less than their due, never more. */
#ifndef FG_POLICY_RATE_LIMIT_H
#define FG_POLICY_RATE_LIMIT_H

#include "base/bytes.h"
#include "config/config.h"

struct fg_rate_limiter;

/* Room for about MAX_KEYS keys, 18 bytes each. Outlives reloads; freeing ends it. */
struct fg_rate_limiter *fg_rate_limiter_new(size_t max_keys);
void fg_rate_limiter_free(struct fg_rate_limiter *limiter); /* NULL is allowed */

struct fg_rate_limit_result {
    bool allowed;
    bool shared;      /* by way of the state that keys without a place share */
    uint64_t wait_ns; /* not allowed: until the next one would be, if nobody else comes; never 0 */
};

/* One call of KEY under the limit NAME (its identity, the same after a reload). Not allowed calls cost nothing.
 * Thread-safe. */
struct fg_rate_limit_result fg_rate_limiter_take(struct fg_rate_limiter *limiter,
                                                 const struct fg_config_rate_limit *config, struct fg_str name,
                                                 struct fg_str key, uint64_t now_ns);

/* ---- messages of one stream; not thread-safe ---- */

/* All zero at first. */
struct fg_message_pace {
    uint64_t tat_ns;
};

/* Nanoseconds until MESSAGES further messages may go on; 0: now, and they are counted. They go together: as soon as one
 * may go. */
uint64_t fg_message_pace_delay(struct fg_message_pace *pace, const struct fg_config_message_limit *config,
                               uint64_t messages, uint64_t now_ns);

/* Are all of MESSAGES within the limit? Then they are counted. */
bool fg_message_pace_allows(struct fg_message_pace *pace, const struct fg_config_message_limit *config,
                            uint64_t messages, uint64_t now_ns);

#endif
