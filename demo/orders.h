/* The order book of one kitchen: orders, and what happened to them. In memory and bounded: of the newest orders and
 * events as many are kept as the book was made for. */
#ifndef DEMO_ORDERS_H
#define DEMO_ORDERS_H

#include "base/bytes.h"

enum { ORDER_ITEMS_MAX = 20, ORDER_TEXT_MAX = 63, ORDER_ID_MAX = 47, KITCHEN_NAME_MAX = 20 };

/* The same numbers as order.v1.OrderState. */
enum order_state { ORDER_RECEIVED = 1, ORDER_COOKING, ORDER_READY, ORDER_CANCELLED };

struct order_item {
    char dish[ORDER_TEXT_MAX + 1];
    uint32_t count, price_cents;
};

struct order {
    uint64_t number; /* from 1 */
    char id[ORDER_ID_MAX + 1];
    char ref[ORDER_TEXT_MAX + 1]; /* "": none */
    uint32_t table;
    struct order_item *items;
    uint32_t items_len;
    enum order_state state;
    uint64_t total_cents;
    uint64_t next_number; /* in its bucket of refs; 0: last */
};

struct order_event {
    uint64_t sequence; /* from 1 */
    uint64_t order_number;
    enum order_state state; /* that was reached */
};

struct order_book {
    char kitchen[KITCHEN_NAME_MAX + 1];
    size_t cap; /* orders, and events; a power of two */
    struct order *orders;
    struct order_event *events;
    uint64_t *buckets; /* cap of them: number of the newest order whose ref hashes to it */
    uint64_t created, sequence, repeated_refs;
    /* Told of each event, after it was recorded. May be NULL. */
    void (*on_event)(void *context, const struct order_event *event, const struct order *order);
    void *context;
};

/* Is it a fit name for a kitchen: 1 to KITCHEN_NAME_MAX of a-z, 0-9? */
bool kitchen_name_is_valid(const char *name);

/* KITCHEN is valid; CAP is rounded up to a power of two. */
void order_book_init(struct order_book *book, const char *kitchen, size_t cap);
void order_book_cleanup(struct order_book *book);

/* What is wrong with an order, as a static sentence; NULL: nothing. */
const char *order_problem(const struct order_item *items, size_t len);

/* A new order of valid items, which are copied, or the one that has the same REF already. Valid until CAP further
 * orders were made. */
struct order *order_book_create(struct order_book *book, uint32_t table, const struct order_item *items, size_t len,
                                const char *ref);
struct order *order_book_find(struct order_book *book, const char *id); /* NULL: unknown, or forgotten */

/* False when an order cannot go from its state to this one. To where it is already: true, and nothing happens. */
bool order_book_set_state(struct order_book *book, struct order *order, enum order_state state);

/* Calls VISIT for all events after AFTER that are still kept, with the order as it is now, or NULL if forgotten. */
void order_book_replay(struct order_book *book, uint64_t after,
                       void (*visit)(void *context, const struct order_event *event, const struct order *order),
                       void *context);

#endif
