/* A circuit from inside: shared by breaker.c, which knows what the atomics mean, and breaker_registry.c, which keeps
 * the circuits. */
#ifndef FG_POLICY_BREAKER_INT_H
#define FG_POLICY_BREAKER_INT_H

#include <stdatomic.h>

#include "policy/breaker.h"

#define FG_BREAKER_BUCKETS    10
#define FG_BREAKER_LINE_BYTES 64

struct fg_breaker {
    /* Read by every call, written at changes of state. */
    _Atomic uint64_t word;
    _Atomic uint64_t since_ns; /* of the state */
    _Atomic uint64_t probe_ns; /* when the last permit went out */
    _Atomic uint64_t cause;    /* struct trip, packed */
    struct fg_str cluster, endpoint, method;
    uint32_t hash;
    bool inert; /* lets everything pass and counts nothing */
    char pad[FG_BREAKER_LINE_BYTES];
    /* Written by every report of a closed circuit. */
    _Atomic uint64_t buckets[FG_BREAKER_BUCKETS]; /* struct bucket, packed */
    char pad_failures[FG_BREAKER_LINE_BYTES];
    /* Written by failures and refusals. */
    _Atomic uint64_t consecutive; /* period << 32 | count */
    _Atomic uint64_t failed_ns;   /* the last failure */
    _Atomic uint64_t trips, refused;
};

/* To a closed circuit. The memory is all zero but for what says which circuit it is. */
void fg_breaker_init(struct fg_breaker *breaker);

#endif
