/* What operators and tests ask a kitchen: order.v1.FaultService and grpc.health.v1.Health. They work whatever fault is
 * in force; a kitchen on fire still calls itself healthy, as in the story. */
#ifndef DEMO_CONTROL_H
#define DEMO_CONTROL_H

#include "faults.h"
#include "orders.h"

struct control {
    struct fault fault; /* in force */
    struct order_book *book;
};

void control_add_to(struct control *control, struct grpc_server *server);

#endif
