#include "cli/replay_order.h"

#include <stdlib.h>

#include "base/mem.h"

void fg_replay_order_init(struct fg_replay_order *order, size_t max)
{
    *order = (struct fg_replay_order){.max = max};
}

void fg_replay_order_cleanup(struct fg_replay_order *order)
{
    free(order->items);
    *order = (struct fg_replay_order){.max = order->max};
}

static bool is_before(const struct fg_replay_item *a, const struct fg_replay_item *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->tie < b->tie);
}

bool fg_replay_order_add(struct fg_replay_order *order, uint64_t at_ns, uint64_t tie, void *what)
{
    struct fg_replay_item item = {FG_MAX(at_ns, order->now_ns), tie, what};
    size_t at = order->len++;

    if (order->len > order->cap) {
        order->cap = order->cap ? 2 * order->cap : 1024;
        order->items = fg_realloc(order->items, order->cap * sizeof *order->items);
    }
    for (; at > 0 && is_before(&item, &order->items[(at - 1) / 2]); at = (at - 1) / 2)
        order->items[at] = order->items[(at - 1) / 2];
    order->items[at] = item;
    return at_ns >= order->now_ns;
}

void *fg_replay_order_take(struct fg_replay_order *order, uint64_t until_ns)
{
    if (order->len == 0 || (order->items[0].at_ns > until_ns && order->len <= order->max))
        return NULL;
    struct fg_replay_item first = order->items[0], last = order->items[--order->len];
    size_t at = 0;

    for (size_t child = 1; child < order->len; child = 2 * at + 1) {
        child += child + 1 < order->len && is_before(&order->items[child + 1], &order->items[child]);
        if (!is_before(&order->items[child], &last))
            break;
        order->items[at] = order->items[child];
        at = child;
    }
    order->items[at] = last;
    order->now_ns = first.at_ns;
    return first.what;
}
