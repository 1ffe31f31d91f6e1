/* What waits in one worker: three priorities, tenants that share by weight, first come first served for each tenant.
 *
 * Between priorities the order is strict. Within one, tenants are served by start-time fair queueing (Goyal, Vin,
 * Cheng, 1996): an item costs 1/weight of virtual time; the tenant whose next item has the earliest virtual start is
 * next, and a tenant that comes back after a pause starts at the present, so that nobody saves up. While two tenants
 * wait, what they are served is in proportion to their weights, to within one item of each.
 *
 * Tenants are told apart by 64 buckets of their hash, so that memory does not depend on what peers send.
 * Two tenants that meet in a bucket share one turn, in order of arrival: each gets less than its share for as long as
 * both wait. The hash must be seeded, or peers choose whom they meet.
 *
 * Intrusive: an item is embedded in what waits, and nothing is allocated. A queue that is all zero is empty and valid.
 * Every operation takes time that does not depend on how many wait. Not thread-safe. */
#ifndef FG_BASE_FAIR_QUEUE_H
#define FG_BASE_FAIR_QUEUE_H

#include "base/bytes.h"

#define FG_FAIR_PRIORITIES     3 /* 0 low, 1 normal, 2 high */
#define FG_FAIR_TENANT_BUCKETS 64
#define FG_FAIR_WEIGHT_MAX     100

/* All zero while it is in no queue. */
struct fg_fair_item {
    struct fg_fair_item *next, *prev; /* ring of its bucket, by arrival; NULL: it is in no queue */
    uint64_t arrival;
    uint32_t cost; /* virtual time: that of one item of weight 1 / weight */
    uint8_t priority, bucket;
};

struct fg_fair_bucket {
    struct fg_fair_item *newest; /* its `next` is the oldest; NULL: empty */
    uint64_t start;              /* virtual start of the oldest, or of the next one to come */
    uint64_t backlog;            /* costs of all that wait here: how many relative to their weight */
};

struct fg_fair_class {
    uint64_t used;   /* bit n: bucket n is not empty */
    uint64_t now;    /* virtual start of the item served last */
    uint64_t latest; /* virtual end of whatever was served so far */
    size_t len;
    struct fg_fair_bucket buckets[FG_FAIR_TENANT_BUCKETS];
};

struct fg_fair_queue {
    uint64_t arrivals;
    struct fg_fair_class classes[FG_FAIR_PRIORITIES];
};

/* ITEM must be in no queue, and stays where it is until it is popped or removed. A priority above 2 counts as 2; a
 * weight outside 1..100 as the nearest of these. */
void fg_fair_queue_push(struct fg_fair_queue *queue, struct fg_fair_item *item, unsigned priority, unsigned weight,
                        uint32_t tenant_hash);

struct fg_fair_item *fg_fair_queue_peek(const struct fg_fair_queue *queue); /* the next one to serve; NULL: empty */
struct fg_fair_item *fg_fair_queue_pop(struct fg_fair_queue *queue);        /* it is charged to its tenant */

/* Takes it out without charging its tenant; harmless if it is in no queue. */
void fg_fair_queue_remove(struct fg_fair_queue *queue, struct fg_fair_item *item);

/* Whom to give up of exactly this priority: of the tenant that has most waiting relative to its weight the one that
 * came last. NULL: none of it waits. */
struct fg_fair_item *fg_fair_queue_shed_from(const struct fg_fair_queue *queue, unsigned priority);

/* Whom to give up for a newcomer of PRIORITY: the same of the lowest priority that waits and is strictly lower. NULL:
 * there is none. */
struct fg_fair_item *fg_fair_queue_shed_candidate(const struct fg_fair_queue *queue, unsigned priority);

size_t fg_fair_queue_len(const struct fg_fair_queue *queue);

static inline size_t fg_fair_queue_len_of(const struct fg_fair_queue *queue, unsigned priority)
{
    return priority < FG_FAIR_PRIORITIES ? queue->classes[priority].len : 0;
}

static inline bool fg_fair_item_waits(const struct fg_fair_item *item)
{
    return item->next != NULL;
}

#endif
