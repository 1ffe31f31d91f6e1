#include "base/fair_queue.h"

#include <assert.h>

/* Virtual time of one item of weight 1. At a million items a second, all of weight 1, the clock goes round after nine
 * years, and instants are compared by their difference anyway; rounding makes shares wrong by less than 0.2 %. */
#define COST_UNIT (1u << 16)

#define TENANT_BITS 6

static bool is_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static inline struct fg_fair_item *oldest(const struct fg_fair_bucket *bucket)
{
    return bucket->newest->next;
}

void fg_fair_queue_push(struct fg_fair_queue *queue, struct fg_fair_item *item, unsigned priority, unsigned weight,
                        uint32_t tenant_hash)
{
    assert(!fg_fair_item_waits(item));
    item->priority = (uint8_t)FG_MIN(priority, FG_FAIR_PRIORITIES - 1u);
    item->bucket = (uint8_t)(tenant_hash * 0x9E3779B1u >> (32 - TENANT_BITS));
    item->cost = COST_UNIT / FG_MAX(1u, FG_MIN(weight, FG_FAIR_WEIGHT_MAX));
    item->arrival = queue->arrivals++;

    struct fg_fair_class *class = &queue->classes[item->priority];
    struct fg_fair_bucket *bucket = &class->buckets[item->bucket];
    /* When nobody waits, what anybody was served before is of no account any more. */
    if (class->len++ == 0)
        class->now = class->latest;
    if (!bucket->newest) {
        item->next = item->prev = item;
        class->used |= 1ull << item->bucket;
        if (is_before(bucket->start, class->now))
            bucket->start = class->now;
    } else {
        item->next = oldest(bucket);
        item->prev = bucket->newest;
        item->next->prev = item->prev->next = item;
    }
    bucket->newest = item;
    bucket->backlog += item->cost;
}

void fg_fair_queue_remove(struct fg_fair_queue *queue, struct fg_fair_item *item)
{
    if (!fg_fair_item_waits(item))
        return;
    struct fg_fair_class *class = &queue->classes[item->priority];
    struct fg_fair_bucket *bucket = &class->buckets[item->bucket];

    class->len--;
    bucket->backlog -= item->cost;
    if (item->next == item) {
        bucket->newest = NULL;
        class->used &= ~(1ull << item->bucket);
    } else {
        item->prev->next = item->next;
        item->next->prev = item->prev;
        if (bucket->newest == item)
            bucket->newest = item->prev;
    }
    item->next = item->prev = NULL;
}

/* The bucket with the earliest virtual start; of equals the one whose oldest item came first. CLASS is not empty. */
static const struct fg_fair_bucket *next_bucket(const struct fg_fair_class *class)
{
    const struct fg_fair_bucket *best = NULL;

    for (uint64_t left = class->used; left != 0; left &= left - 1) {
        const struct fg_fair_bucket *bucket = &class->buckets[__builtin_ctzll(left)];
        if (!best || is_before(bucket->start, best->start) ||
            (bucket->start == best->start && oldest(bucket)->arrival < oldest(best)->arrival))
            best = bucket;
    }
    return best;
}

struct fg_fair_item *fg_fair_queue_peek(const struct fg_fair_queue *queue)
{
    for (unsigned i = FG_FAIR_PRIORITIES; i-- > 0;)
        if (queue->classes[i].len > 0)
            return oldest(next_bucket(&queue->classes[i]));
    return NULL;
}

struct fg_fair_item *fg_fair_queue_pop(struct fg_fair_queue *queue)
{
    struct fg_fair_item *item = fg_fair_queue_peek(queue);

    if (!item)
        return NULL;
    struct fg_fair_class *class = &queue->classes[item->priority];
    struct fg_fair_bucket *bucket = &class->buckets[item->bucket];
    class->now = bucket->start;
    bucket->start += item->cost;
    if (is_before(class->latest, bucket->start))
        class->latest = bucket->start;
    fg_fair_queue_remove(queue, item);
    return item;
}

struct fg_fair_item *fg_fair_queue_shed_from(const struct fg_fair_queue *queue, unsigned priority)
{
    const struct fg_fair_bucket *most = NULL;

    if (priority >= FG_FAIR_PRIORITIES)
        return NULL;
    const struct fg_fair_class *class = &queue->classes[priority];
    for (uint64_t left = class->used; left != 0; left &= left - 1) {
        const struct fg_fair_bucket *bucket = &class->buckets[__builtin_ctzll(left)];
        if (!most || bucket->backlog > most->backlog ||
            (bucket->backlog == most->backlog && bucket->newest->arrival > most->newest->arrival))
            most = bucket;
    }
    return most ? most->newest : NULL;
}

struct fg_fair_item *fg_fair_queue_shed_candidate(const struct fg_fair_queue *queue, unsigned priority)
{
    for (unsigned i = 0; i < FG_MIN(priority, (unsigned)FG_FAIR_PRIORITIES); i++)
        if (queue->classes[i].len > 0)
            return fg_fair_queue_shed_from(queue, i);
    return NULL;
}

size_t fg_fair_queue_len(const struct fg_fair_queue *queue)
{
    size_t len = 0;
    for (unsigned i = 0; i < FG_FAIR_PRIORITIES; i++)
        len += queue->classes[i].len;
    return len;
}
