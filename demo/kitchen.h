/* order.v1.OrderService and order.v1.OrderStreamService over one order book: all four types of calls. */
#ifndef DEMO_KITCHEN_H
#define DEMO_KITCHEN_H

#include "grpc_service.h"
#include "orders.h"

struct kitchen {
    struct order_book book;
    struct fg_list watches; /* open WatchOrders */
    struct fg_list screens; /* open KitchenScreen */
};

void kitchen_init(struct kitchen *kitchen, const char *name);
void kitchen_cleanup(struct kitchen *kitchen);
void kitchen_add_to(struct kitchen *kitchen, struct grpc_server *server);

#endif
