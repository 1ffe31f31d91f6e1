#include "kitchen.h"

#include <stdio.h>

#include "order.pb-c.h"

#define ORDERS_KEPT       16384
#define SLOW_READER_BYTES (1u << 20) /* that wait for a watcher before it is told to come again */

static struct kitchen *kitchen_of(const struct grpc_call *call)
{
    return call->entry->service;
}

/* ---- messages from and to the order book ---- */

/* An Order with room for what it points to. The strings are the order's own. */
struct order_message {
    Order__V1__Order order;
    Order__V1__Item items[ORDER_ITEMS_MAX];
    Order__V1__Item *item_list[ORDER_ITEMS_MAX];
};

static Order__V1__Order *fill_order(struct order_message *message, struct kitchen *kitchen, const struct order *order)
{
    order__v1__order__init(&message->order);
    message->order.id = (char *)(uintptr_t)order->id; /* the generated structs know no const */
    message->order.table = order->table;
    message->order.state = (Order__V1__OrderState)order->state;
    message->order.total_cents = order->total_cents;
    message->order.kitchen = kitchen->book.kitchen;
    for (uint32_t i = 0; i < order->items_len; i++) {
        order__v1__item__init(&message->items[i]);
        message->items[i].dish = order->items[i].dish;
        message->items[i].count = order->items[i].count;
        message->items[i].price_cents = order->items[i].price_cents;
        message->item_list[i] = &message->items[i];
    }
    message->order.n_items = order->items_len;
    message->order.items = message->item_list;
    return &message->order;
}

static void reply_order(struct grpc_call *call, const struct order *order)
{
    struct order_message message;
    grpc_reply(call, &fill_order(&message, kitchen_of(call), order)->base);
}

/* The order that the request asks for. NULL: it cannot be, *PROBLEM says why (static). */
static struct order *take_order(struct kitchen *kitchen, const Order__V1__CreateOrderRequest *request,
                                const char **problem)
{
    struct order_item items[ORDER_ITEMS_MAX];
    size_t len = request->n_items;

    *problem = "a name is longer than 63 bytes";
    if (strlen(request->client_ref) > ORDER_TEXT_MAX)
        return NULL;
    for (size_t i = 0; i < len && i < ORDER_ITEMS_MAX; i++) {
        const Order__V1__Item *item = request->items[i];
        if (strlen(item->dish) > ORDER_TEXT_MAX)
            return NULL;
        items[i] = (struct order_item){.count = item->count, .price_cents = item->price_cents};
        snprintf(items[i].dish, sizeof items[i].dish, "%s", item->dish);
    }
    *problem = order_problem(items, len);
    if (*problem)
        return NULL;
    return order_book_create(&kitchen->book, request->table, items, len, request->client_ref);
}

/* ---- unary ---- */

static void create_order(struct grpc_call *call, const ProtobufCMessage *message)
{
    const char *problem;
    const struct order *order = take_order(kitchen_of(call), (const Order__V1__CreateOrderRequest *)message, &problem);

    if (order)
        reply_order(call, order);
    else
        grpc_finish(call, FG_STATUS_INVALID_ARGUMENT, problem);
}

static void get_order(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Order__V1__GetOrderRequest *request = (const Order__V1__GetOrderRequest *)message;
    const struct order *order = order_book_find(&kitchen_of(call)->book, request->id);

    if (order)
        reply_order(call, order);
    else
        grpc_finish(call, FG_STATUS_NOT_FOUND, "this kitchen has no such order");
}

static void cancel_order(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Order__V1__CancelOrderRequest *request = (const Order__V1__CancelOrderRequest *)message;
    struct order_book *book = &kitchen_of(call)->book;
    struct order *order = order_book_find(book, request->id);

    if (!order)
        grpc_finish(call, FG_STATUS_NOT_FOUND, "this kitchen has no such order");
    else if (!order_book_set_state(book, order, ORDER_CANCELLED))
        grpc_finish(call, FG_STATUS_FAILED_PRECONDITION, "the kitchen has begun to cook it");
    else
        reply_order(call, order);
}

/* ---- client stream: a table's orders ---- */

enum { TABLE_ORDERS_MAX = 1000 };

/* In the call's arena: it goes with the call. */
struct table_bill {
    char *ids[TABLE_ORDERS_MAX];
    size_t len;
    uint64_t total_cents;
};

static void begin_table(struct grpc_call *call)
{
    struct table_bill *bill = fg_arena_alloc(call->stream->arena, sizeof *bill);

    bill->len = 0;
    bill->total_cents = 0;
    call->state_of_method = bill;
}

static void place_order(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct table_bill *bill = call->state_of_method;
    const char *problem;

    if (bill->len == TABLE_ORDERS_MAX) {
        grpc_finish(call, FG_STATUS_RESOURCE_EXHAUSTED, "a table orders at most 1000 times");
        return;
    }
    const struct order *order = take_order(kitchen_of(call), (const Order__V1__CreateOrderRequest *)message, &problem);
    if (!order) {
        grpc_finish(call, FG_STATUS_INVALID_ARGUMENT, problem);
        return;
    }
    bill->ids[bill->len++] = (char *)(uintptr_t)fg_arena_copy(call->stream->arena, fg_str_from(order->id)).p;
    bill->total_cents += order->total_cents;
}

static void bring_receipt(struct grpc_call *call)
{
    struct table_bill *bill = call->state_of_method;
    Order__V1__Receipt receipt = ORDER__V1__RECEIPT__INIT;

    receipt.order_ids = bill->ids;
    receipt.n_order_ids = bill->len;
    receipt.total_cents = bill->total_cents;
    receipt.kitchen = kitchen_of(call)->book.kitchen;
    grpc_reply(call, &receipt.base);
}

/* ---- server stream: what happens to orders ---- */

struct watch {
    struct fg_list node;
    struct grpc_call *call;
    uint32_t table;       /* 0: all */
    uint32_t events_left; /* UINT32_MAX: no end */
};

static void send_event(struct watch *watch, const struct order_event *event, const struct order *order)
{
    struct kitchen *kitchen = kitchen_of(watch->call);
    Order__V1__OrderEvent message = ORDER__V1__ORDER_EVENT__INIT;
    struct order_message order_message;

    if (!order || (watch->table && watch->table != order->table) || watch->events_left == 0)
        return;
    /* Someone who does not read would have us keep every event for him: he can resume after the last one he saw. */
    if (grpc_queued(watch->call) > SLOW_READER_BYTES) {
        grpc_finish(watch->call, FG_STATUS_RESOURCE_EXHAUSTED, "too slow: resume after the last event you have seen");
        return;
    }
    message.sequence = event->sequence;
    message.order = fill_order(&order_message, kitchen, order);
    message.order->state = (Order__V1__OrderState)event->state;
    grpc_send(watch->call, &message.base);
    if (watch->events_left != UINT32_MAX && --watch->events_left == 0)
        grpc_finish(watch->call, FG_STATUS_OK, NULL);
}

static void replay_event(void *context, const struct order_event *event, const struct order *order)
{
    send_event(context, event, order);
}

static void watch_orders(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Order__V1__WatchOrdersRequest *request = (const Order__V1__WatchOrdersRequest *)message;
    struct kitchen *kitchen = kitchen_of(call);
    struct watch *watch = fg_arena_alloc(call->stream->arena, sizeof *watch);
    Order__V1__OrderEvent begins = ORDER__V1__ORDER_EVENT__INIT;

    *watch = (struct watch){.call = call, .table = request->table};
    watch->events_left = request->max_events ? request->max_events : UINT32_MAX;
    call->state_of_method = watch;
    fg_list_append(&kitchen->watches, &watch->node);
    begins.sequence = request->after ? request->after : kitchen->book.sequence;
    grpc_send(call, &begins.base);
    if (request->after)
        order_book_replay(&kitchen->book, request->after, replay_event, watch);
}

static void end_watch(struct grpc_call *call)
{
    struct watch *watch = call->state_of_method;
    if (watch)
        fg_list_remove(&watch->node);
}

/* ---- bidirectional: the screen in the kitchen ---- */

struct screen {
    struct fg_list node;
    struct grpc_call *call;
};

static void send_ticket(struct screen *screen, const struct order *order, char *problem)
{
    Order__V1__Ticket ticket = ORDER__V1__TICKET__INIT;
    struct order_message message;

    if (grpc_queued(screen->call) > SLOW_READER_BYTES) {
        grpc_finish(screen->call, FG_STATUS_RESOURCE_EXHAUSTED, "the screen does not keep up");
        return;
    }
    if (order)
        ticket.order = fill_order(&message, kitchen_of(screen->call), order);
    if (problem)
        ticket.problem = problem;
    grpc_send(screen->call, &ticket.base);
}

static void turn_screen_on(struct grpc_call *call)
{
    struct screen *screen = fg_arena_alloc(call->stream->arena, sizeof *screen);

    screen->call = call;
    call->state_of_method = screen;
    fg_list_append(&kitchen_of(call)->screens, &screen->node);
    send_ticket(screen, NULL, NULL);
}

static void hear_cook(struct grpc_call *call, const ProtobufCMessage *message)
{
    static char unknown[] = "this kitchen has no such order", impossible[] = "the order cannot become that";
    const Order__V1__CookUpdate *update = (const Order__V1__CookUpdate *)message;
    struct order_book *book = &kitchen_of(call)->book;
    struct order *order = order_book_find(book, update->order_id);
    enum order_state state = update->state == ORDER__V1__ORDER_STATE__ORDER_STATE_COOKING ? ORDER_COOKING : ORDER_READY;
    bool is_cooks = update->state == ORDER__V1__ORDER_STATE__ORDER_STATE_COOKING ||
                    update->state == ORDER__V1__ORDER_STATE__ORDER_STATE_READY;

    if (!order)
        send_ticket(call->state_of_method, NULL, unknown);
    else if (!is_cooks || !order_book_set_state(book, order, state))
        send_ticket(call->state_of_method, order, impossible);
}

static void turn_screen_off(struct grpc_call *call)
{
    grpc_finish(call, FG_STATUS_OK, NULL);
}

static void end_screen(struct grpc_call *call)
{
    struct screen *screen = call->state_of_method;
    fg_list_remove(&screen->node);
}

/* ---- the kitchen ---- */

/* Called in the middle of the call that changed the order; each listener is a call of its own, on any connection. */
static void on_event(void *context, const struct order_event *event, const struct order *order)
{
    struct kitchen *kitchen = context;

    FG_LIST_EACH (node, &kitchen->watches) {
        send_event(FG_LIST_ENTRY(node, struct watch, node), event, order);
    }
    if (event->state != ORDER_RECEIVED)
        return;
    FG_LIST_EACH (node, &kitchen->screens) {
        send_ticket(FG_LIST_ENTRY(node, struct screen, node), order, NULL);
    }
}

static const struct grpc_method methods[] = {
    {
        .path = "/order.v1.OrderService/CreateOrder",
        .request = &order__v1__create_order_request__descriptor,
        .on_message = create_order,
    },
    {
        .path = "/order.v1.OrderService/GetOrder",
        .request = &order__v1__get_order_request__descriptor,
        .on_message = get_order,
    },
    {
        .path = "/order.v1.OrderService/CancelOrder",
        .request = &order__v1__cancel_order_request__descriptor,
        .on_message = cancel_order,
    },
    {
        .path = "/order.v1.OrderService/PlaceOrders",
        .request = &order__v1__create_order_request__descriptor,
        .request_stream = true,
        .on_start = begin_table,
        .on_message = place_order,
        .on_half_close = bring_receipt,
    },
    {
        .path = "/order.v1.OrderStreamService/WatchOrders",
        .request = &order__v1__watch_orders_request__descriptor,
        .response_stream = true,
        .on_message = watch_orders,
        .on_end = end_watch,
    },
    {
        .path = "/order.v1.OrderStreamService/KitchenScreen",
        .request = &order__v1__cook_update__descriptor,
        .request_stream = true,
        .response_stream = true,
        .on_start = turn_screen_on,
        .on_message = hear_cook,
        .on_half_close = turn_screen_off,
        .on_end = end_screen,
    },
};

void kitchen_init(struct kitchen *kitchen, const char *name)
{
    order_book_init(&kitchen->book, name, ORDERS_KEPT);
    kitchen->book.on_event = on_event;
    kitchen->book.context = kitchen;
    fg_list_init(&kitchen->watches);
    fg_list_init(&kitchen->screens);
}

void kitchen_cleanup(struct kitchen *kitchen)
{
    order_book_cleanup(&kitchen->book);
}

void kitchen_add_to(struct kitchen *kitchen, struct grpc_server *server)
{
    grpc_server_add(server, methods, FG_ARRAY_LEN(methods), kitchen);
}
