/* Exemplars: of each bucket of durations the last call that was traced, so that one can go from a slow bucket to the
 * trace of a call in it. The worker writes, other threads read at any time and never see halves (a seqlock). */
#ifndef FG_OBSERVE_EXEMPLAR_H
#define FG_OBSERVE_EXEMPLAR_H

#include <stdbool.h>
#include <stdint.h>

/* A call that has a sampled trace. */
struct fg_exemplar {
    uint8_t trace_id[16], span_id[8]; /* as W3C Trace Context has them */
    uint64_t wall_ns;                 /* when the call ended, since 1970 */
};

/* All zero: nothing yet. */
struct fg_exemplar_slot {
    uint64_t sequence; /* odd while it is being written */
    uint64_t words[5]; /* trace id, span id, wall_ns, value_ns */
};

void fg_exemplar_put(struct fg_exemplar_slot *slot, const struct fg_exemplar *exemplar, uint64_t value_ns);

/* False: there is none, or it is being written over and over. */
bool fg_exemplar_get(const struct fg_exemplar_slot *slot, struct fg_exemplar *exemplar, uint64_t *value_ns)
    __attribute__((warn_unused_result));

#endif
