#include "echo.h"

#include <stdlib.h>

#include "order.pb-c.h"

#define PAYLOAD_MAX  (4u << 20) /* less a little: the client accepts messages of 4 MiB */
#define QUEUED_BYTES (256u << 10)

/* The answers to one request. */
struct answers {
    uint8_t *payload;
    size_t payload_len;
    uint32_t sent, wanted, delay_ms, fail_code;
};

static void produce(struct grpc_call *call);

static void send_one(struct grpc_call *call, struct answers *answers)
{
    const struct echo *echo = call->entry->service;
    Order__V1__EchoResponse response = ORDER__V1__ECHO_RESPONSE__INIT;

    response.payload.data = answers->payload;
    response.payload.len = answers->payload_len;
    response.index = answers->sent++;
    response.kitchen = echo->kitchen;
    grpc_send(call, &response.base);
}

/* All answers to this request were given. */
static void end_answers(struct grpc_call *call, struct answers *answers)
{
    if (answers->fail_code)
        grpc_finish(call, (enum fg_status)answers->fail_code, "as the request said");
    else if (call->entry->method->request_stream)
        grpc_resume(call);
    else
        grpc_finish(call, FG_STATUS_OK, NULL);
}

static void on_delay_over(struct grpc_call *call)
{
    struct answers *answers = call->state_of_method;

    if (answers->sent < answers->wanted)
        send_one(call, answers);
    if (answers->sent < answers->wanted)
        grpc_after(call, answers->delay_ms, on_delay_over);
    else
        end_answers(call, answers);
}

/* As many as the client takes now: an endless stream must not fill our memory. */
static void produce(struct grpc_call *call)
{
    struct answers *answers = call->state_of_method;

    while (answers->sent < answers->wanted && grpc_queued(call) < QUEUED_BYTES)
        send_one(call, answers);
    if (answers->sent == answers->wanted)
        end_answers(call, answers);
}

static void on_room(struct grpc_call *call)
{
    const struct answers *answers = call->state_of_method;

    if (answers && answers->delay_ms == 0 && answers->sent < answers->wanted)
        produce(call);
}

static void free_answers(struct grpc_call *call)
{
    struct answers *answers = call->state_of_method;

    if (answers)
        free(answers->payload);
    free(answers);
    call->state_of_method = NULL;
}

static void begin_answers(struct grpc_call *call, const Order__V1__EchoRequest *request, uint32_t wanted)
{
    struct answers *answers = fg_alloc_zero(sizeof *answers);

    answers->payload_len = request->response_bytes ? request->response_bytes : request->payload.len;
    answers->payload = fg_alloc_zero(FG_MAX(answers->payload_len, (size_t)1));
    if (request->response_bytes == 0 && request->payload.len > 0)
        memcpy(answers->payload, request->payload.data, request->payload.len);
    answers->wanted = wanted;
    answers->delay_ms = request->delay_ms;
    answers->fail_code = request->fail_code;
    free_answers(call); /* those to the request before */
    call->state_of_method = answers;
    if (answers->delay_ms)
        grpc_after(call, answers->delay_ms, on_delay_over);
    else
        produce(call);
}

static bool is_possible(struct grpc_call *call, const Order__V1__EchoRequest *request)
{
    if (request->fail_code < FG_STATUS_LEN && request->response_bytes <= PAYLOAD_MAX)
        return true;
    grpc_finish(call, FG_STATUS_INVALID_ARGUMENT, "fail_code is 0..16, response_bytes at most 4 MiB");
    return false;
}

static void echo_one(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Order__V1__EchoRequest *request = (const Order__V1__EchoRequest *)message;

    if (is_possible(call, request))
        begin_answers(call, request, request->fail_code ? 0 : 1);
}

static void echo_stream(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Order__V1__EchoRequest *request = (const Order__V1__EchoRequest *)message;

    if (!is_possible(call, request))
        return;
    grpc_pause(call); /* one request after the other; end_answers goes on */
    begin_answers(call, request, request->messages || request->fail_code ? request->messages : 1);
}

static void end_stream(struct grpc_call *call)
{
    grpc_finish(call, FG_STATUS_OK, NULL);
}

static const struct grpc_method methods[] = {
    {
        .path = "/order.v1.EchoService/Echo",
        .request = &order__v1__echo_request__descriptor,
        .on_message = echo_one,
        .on_end = free_answers,
    },
    {
        .path = "/order.v1.EchoService/EchoStream",
        .request = &order__v1__echo_request__descriptor,
        .request_stream = true,
        .response_stream = true,
        .on_start = grpc_send_headers,
        .on_message = echo_stream,
        .on_half_close = end_stream,
        .on_room = on_room,
        .on_end = free_answers,
    },
};

void echo_add_to(struct echo *echo, struct grpc_server *server)
{
    grpc_server_add(server, methods, FG_ARRAY_LEN(methods), echo);
}
