/* Puts what a log says in the order of its calls' ends back into the order of time: a heap with a bound. What lies so
 * far back that it has passed already is taken for now. */
#ifndef FG_CLI_REPLAY_ORDER_H
#define FG_CLI_REPLAY_ORDER_H

#include "base/bytes.h"

struct fg_replay_item {
    uint64_t at_ns;
    uint64_t tie; /* at the same instant the smaller one comes first */
    void *what;
};

struct fg_replay_order {
    struct fg_replay_item *items; /* a heap: the first one is the earliest */
    size_t len, cap, max;
    uint64_t now_ns; /* of the latest item taken */
};

void fg_replay_order_init(struct fg_replay_order *order, size_t max);
void fg_replay_order_cleanup(struct fg_replay_order *order); /* what the items are stays with the caller */

/* False: AT_NS has passed, the item stands at now. */
bool fg_replay_order_add(struct fg_replay_order *order, uint64_t at_ns, uint64_t tie, void *what);

/* The earliest item, if it is not later than UNTIL_NS or there are more than `max`; NULL: none. Moves `now_ns` on. */
void *fg_replay_order_take(struct fg_replay_order *order, uint64_t until_ns);

#endif
