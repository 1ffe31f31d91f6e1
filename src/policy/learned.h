/* What is known about a cluster's methods from the calls that ended: how quick they can be, and whether they usually
 * last long. Shared by all workers, bounded, outliving reloads; time is a parameter.
 *
 * quick: the 10th percentile of what successful attempts took in the last one to two minutes, rounded down by at most
 * 12 %. It is unknown until 100 of them have ended in that time, and again when none has ended for a minute. So
 * refusing calls for it ("doomed") cannot go on by itself: if all are refused, nothing is reported, what is known is
 * forgotten after a minute at most, and the calls that are then let through teach anew. While some calls get through,
 * those that are refused have less time than nine of ten of these took.
 *
 * long: more than half of the last calls (some 64 to 128, weighted alike) were still open after limits.long_after. At
 * least 4 calls must be known. This is a matter of how many calls, not of time: streams that last for hours are
 * few. */
#ifndef FG_POLICY_LEARNED_H
#define FG_POLICY_LEARNED_H

#include "base/bytes.h"

struct fg_learned; /* of one method of one cluster; stays valid as long as the table */
struct fg_learned_table;

/* Of at most MAX_METHODS methods, 2 KiB each. Peers choose names: of what comes when the table is full, and of names
 * longer than FG_LEARNED_METHOD_MAX, nothing is ever known. */
#define FG_LEARNED_METHOD_MAX 256
struct fg_learned_table *fg_learned_table_new(size_t max_methods);
void fg_learned_table_free(struct fg_learned_table *table); /* NULL is allowed */

/* NULL: nothing is known. All functions below accept NULL. Lock-free. */
struct fg_learned *fg_learned_find(struct fg_learned_table *table, struct fg_str cluster, struct fg_str method);

/* Finds or makes it; for reports. Only methods that an endpoint knows should get here (code OK), so that clients cannot
 * fill the table with names. The strings are copied. NULL: the table is full. Lock-free when it exists. */
struct fg_learned *fg_learned_get(struct fg_learned_table *table, struct fg_str cluster, struct fg_str method);

/* An attempt succeeded after DURATION_NS, from sending to the end, and was never reported as long. ONE_MESSAGE: the
 * answer had at most one message; of a stream the duration does not say what its caller had to wait for. */
void fg_learned_report(struct fg_learned *learned, uint64_t duration_ns, bool one_message, uint64_t now_ns);

/* An attempt is open for limits.long_after; to be told then, once. */
void fg_learned_report_long(struct fg_learned *learned);

/* The 10th percentile; 0: unknown, which it also is of methods that usually last long. */
uint64_t fg_learned_quick_ns(struct fg_learned *learned, uint64_t now_ns);

/* A call that has LEFT_NS until its deadline can hardly make it. */
static inline bool fg_learned_is_doomed(struct fg_learned *learned, uint64_t left_ns, uint64_t now_ns)
{
    return left_ns < fg_learned_quick_ns(learned, now_ns);
}

bool fg_learned_usually_long(struct fg_learned *learned);

/* For those who want to know. Calls VISIT for every method, in no order, while others go on. */
struct fg_learned_info {
    struct fg_str cluster, method; /* as long as the table */
    uint64_t quick_ns;             /* 0: unknown */
    uint32_t samples;              /* when that was worked out */
    uint32_t calls, long_calls;    /* of the last ones */
};
void fg_learned_each(struct fg_learned_table *table, uint64_t now_ns,
                     void (*visit)(void *context, const struct fg_learned_info *info), void *context);

#endif
