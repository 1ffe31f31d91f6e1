#include "control.h"

#include "health.pb-c.h"
#include "order.pb-c.h"

static bool intercept(struct grpc_call *call, void *context)
{
    const struct control *control = context;
    return fault_apply(control->fault, call);
}

static void set_fault(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct control *control = call->entry->service;
    const Order__V1__SetFaultRequest *request = (const Order__V1__SetFaultRequest *)message;
    Order__V1__SetFaultResponse response = ORDER__V1__SET_FAULT_RESPONSE__INIT;

    if (fault_make(request->kind, request->value, &control->fault) != 0) {
        grpc_finish(call, FG_STATUS_INVALID_ARGUMENT, "no such fault, or its value is too large");
        return;
    }
    response.kind = (char *)(uintptr_t)fault_name(control->fault.kind);
    response.value = control->fault.value;
    grpc_reply(call, &response.base);
}

static size_t count_calls(const struct grpc_server *server)
{
    size_t calls = 0;

    FG_LIST_EACH (node, &server->calls) {
        calls++;
    }
    return calls;
}

static void get_stats(struct grpc_call *call, const ProtobufCMessage *message)
{
    const struct control *control = call->entry->service;
    const struct grpc_server *server = call->server;
    Order__V1__Stats stats = ORDER__V1__STATS__INIT;
    Order__V1__MethodStats methods[GRPC_ENTRIES_MAX];
    Order__V1__MethodStats *list[GRPC_ENTRIES_MAX];
    (void)message;

    for (size_t i = 0; i < server->entries_len; i++) {
        order__v1__method_stats__init(&methods[i]);
        methods[i].method = (char *)(uintptr_t)server->entries[i].method->path;
        methods[i].arrived = server->entries[i].counts.arrived;
        methods[i].handled = server->entries[i].counts.handled;
        methods[i].ended = server->entries[i].counts.ended;
        list[i] = &methods[i];
    }
    stats.kitchen = control->book->kitchen;
    stats.methods = list;
    stats.n_methods = server->entries_len;
    stats.orders_created = control->book->created;
    stats.repeated_refs = control->book->repeated_refs;
    stats.open_calls = count_calls(server);
    stats.connections = server->connections;
    grpc_reply(call, &stats.base);
}

static void check_health(struct grpc_call *call, const ProtobufCMessage *message)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    (void)message;

    response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc_reply(call, &response.base);
}

static const struct grpc_method methods[] = {
    {
        .path = "/order.v1.FaultService/SetFault",
        .request = &order__v1__set_fault_request__descriptor,
        .never_faulty = true,
        .on_message = set_fault,
    },
    {
        .path = "/order.v1.FaultService/GetStats",
        .request = &order__v1__get_stats_request__descriptor,
        .never_faulty = true,
        .on_message = get_stats,
    },
    {
        .path = "/grpc.health.v1.Health/Check",
        .request = &grpc__health__v1__health_check_request__descriptor,
        .never_faulty = true,
        .on_message = check_health,
    },
};

void control_add_to(struct control *control, struct grpc_server *server)
{
    grpc_server_add(server, methods, FG_ARRAY_LEN(methods), control);
    server->intercept = intercept;
    server->intercept_context = control;
}
