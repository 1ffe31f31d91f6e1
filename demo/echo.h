/* order.v1.EchoService: does as each request says. For tests of whatever stands before it. */
#ifndef DEMO_ECHO_H
#define DEMO_ECHO_H

#include "grpc_service.h"

struct echo {
    char *kitchen; /* in every response; borrowed */
};

void echo_add_to(struct echo *echo, struct grpc_server *server);

#endif
