#include "orders.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

bool kitchen_name_is_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    return len > 0 && len <= KITCHEN_NAME_MAX && name[len] == '\0';
}

void order_book_init(struct order_book *book, const char *kitchen, size_t cap)
{
    *book = (struct order_book){.cap = 16};
    while (book->cap < cap)
        book->cap *= 2;
    snprintf(book->kitchen, sizeof book->kitchen, "%s", kitchen);
    book->orders = fg_alloc_zero(book->cap * sizeof *book->orders);
    book->events = fg_alloc_zero(book->cap * sizeof *book->events);
    book->buckets = fg_alloc_zero(book->cap * sizeof *book->buckets);
}

void order_book_cleanup(struct order_book *book)
{
    for (size_t i = 0; i < book->cap; i++)
        free(book->orders[i].items);
    free(book->orders);
    free(book->events);
    free(book->buckets);
    *book = (struct order_book){0};
}

static struct order *find_number(struct order_book *book, uint64_t number)
{
    struct order *order = &book->orders[number & (book->cap - 1)];
    return number > 0 && order->number == number ? order : NULL;
}

/* ---- refs ---- */

static uint64_t *bucket_of(struct order_book *book, const char *ref)
{
    return &book->buckets[fg_hash(ref, strlen(ref), 0) & (book->cap - 1)];
}

static struct order *find_ref(struct order_book *book, const char *ref)
{
    struct order *order = find_number(book, *bucket_of(book, ref));

    while (order && strcmp(order->ref, ref) != 0)
        order = find_number(book, order->next_number);
    return order;
}

/* Orders are forgotten oldest first, and a bucket has its newest first: chains simply end at a number that is gone. */
static void add_ref(struct order_book *book, struct order *order)
{
    uint64_t *bucket = bucket_of(book, order->ref);

    order->next_number = *bucket;
    *bucket = order->number;
}

/* ---- orders ---- */

const char *order_problem(const struct order_item *items, size_t len)
{
    if (len == 0 || len > ORDER_ITEMS_MAX)
        return "an order has 1 to 20 items";
    for (size_t i = 0; i < len; i++) {
        if (items[i].dish[0] == '\0')
            return "a dish has no name";
        if (items[i].count == 0 || items[i].count > 100)
            return "a dish can be ordered 1 to 100 times";
    }
    return NULL;
}

static void record(struct order_book *book, const struct order *order)
{
    uint64_t sequence = ++book->sequence;
    struct order_event *event = &book->events[sequence & (book->cap - 1)];

    *event = (struct order_event){sequence, order->number, order->state};
    if (book->on_event)
        book->on_event(book->context, event, order);
}

struct order *order_book_create(struct order_book *book, uint32_t table, const struct order_item *items, size_t len,
                                const char *ref)
{
    struct order *known = ref[0] ? find_ref(book, ref) : NULL;

    if (known) {
        book->repeated_refs++;
        return known;
    }
    uint64_t number = ++book->created;
    struct order *order = &book->orders[number & (book->cap - 1)];
    free(order->items);
    *order = (struct order){.number = number, .table = table, .items_len = (uint32_t)len, .state = ORDER_RECEIVED};
    order->items = fg_alloc(len * sizeof *items);
    memcpy(order->items, items, len * sizeof *items);
    for (size_t i = 0; i < len; i++)
        order->total_cents += (uint64_t)items[i].count * items[i].price_cents;
    snprintf(order->id, sizeof order->id, "%s-%llu", book->kitchen, (unsigned long long)number);
    snprintf(order->ref, sizeof order->ref, "%s", ref);
    if (ref[0])
        add_ref(book, order);
    record(book, order);
    return order;
}

struct order *order_book_find(struct order_book *book, const char *id)
{
    size_t name_len = strlen(book->kitchen);

    if (strncmp(id, book->kitchen, name_len) != 0 || id[name_len] != '-')
        return NULL;
    struct order *order = find_number(book, strtoull(id + name_len + 1, NULL, 10));
    return order && strcmp(order->id, id) == 0 ? order : NULL;
}

bool order_book_set_state(struct order_book *book, struct order *order, enum order_state state)
{
    /* Rows: from; bits: to. */
    static const unsigned char follows[] = {
        [ORDER_RECEIVED] = 1 << ORDER_COOKING | 1 << ORDER_READY | 1 << ORDER_CANCELLED,
        [ORDER_COOKING] = 1 << ORDER_READY,
        [ORDER_READY] = 0,
        [ORDER_CANCELLED] = 0,
    };

    if (order->state == state)
        return true;
    if (!(follows[order->state] >> state & 1))
        return false;
    order->state = state;
    record(book, order);
    return true;
}

void order_book_replay(struct order_book *book, uint64_t after,
                       void (*visit)(void *context, const struct order_event *event, const struct order *order),
                       void *context)
{
    uint64_t oldest = book->sequence > book->cap ? book->sequence - book->cap + 1 : 1;

    for (uint64_t sequence = FG_MAX(after + 1, oldest); sequence <= book->sequence; sequence++) {
        const struct order_event *event = &book->events[sequence & (book->cap - 1)];
        visit(context, event, find_number(book, event->order_number));
    }
}
