/* The long waits of a worker's calls that are over: the latest of them, so that what held calls up can be asked for
 * afterwards. Belongs to the worker's own thread. */
#ifndef FG_GATEWAY_LONG_WAITS_H
#define FG_GATEWAY_LONG_WAITS_H

#include "call/call.h"

#define FG_LONG_WAITS_KEPT   1024
#define FG_LONG_WAITS_METHOD 160 /* bytes of it that are kept */

struct fg_long_wait {
    uint64_t call; /* fg_call.number */
    char method[FG_LONG_WAITS_METHOD], cluster[64], endpoint[96], peer[FG_ADDRESS_TEXT_BYTES];
    struct fg_call_wait wait; /* without `next`; `holders` points to the next field, or is NULL */
    struct fg_wait_holders holders;
    uint64_t holding_calls[FG_WAIT_HOLDERS]; /* those of `holders.top`; 0: not of this worker, or gone */
};

struct fg_long_waits {
    struct fg_long_wait *ring; /* NULL: there was none yet */
    uint64_t count;            /* ever; the latest stands at (count - 1) % FG_LONG_WAITS_KEPT */
};

void fg_long_waits_cleanup(struct fg_long_waits *waits);
void fg_long_waits_add(struct fg_long_waits *waits, const struct fg_call *call, const struct fg_call_wait *wait);

/* Makes a record, for a wait that is not over, too. CALL may be any of its worker's. */
void fg_long_wait_fill(struct fg_long_wait *record, const struct fg_call *call, const struct fg_call_wait *wait);

#endif
