/* The service behind the gateways in `./dev bench ab`: a few endpoints in one process, each a port with a capacity, and
 * faults that are switched while it works.
 *
 * An endpoint works on SLOTS calls at once, each for a random time around SERVICE_US (half to one and a half times of
 * it); what comes beyond that waits in order of arrival, as long as its caller does. Work that has begun is done to its
 * end even if the caller has gone. So an endpoint serves SLOTS / SERVICE_US calls, whatever is offered.
 *
 * The control port takes one command in a UDP datagram and answers with the instant (CLOCK_MONOTONIC, ns) from which it
 * holds:
 *     fault ENDPOINT SHAPE MS    from now on every call of the endpoint is MS slower and ends in UNAVAILABLE; SHAPE
 *                                "none": in nothing of the kind
 *     errors PPM                 so many of a million calls of every endpoint end in UNAVAILABLE, at the usual speed
 *     stats                      the instant, then for each endpoint: calls taken, served well, failed, gone */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

enum { ENDPOINTS_MAX = 16, SLOTS_MAX = 64, COMMAND_BYTES = 200 };

/* How an endpoint fails. All but the first answer with :status 200. */
enum shape {
    SHAPE_NONE,
    SHAPE_EARLY,         /* response headers at once, the status in trailers when it is over */
    SHAPE_LATE,          /* headers and trailers, both when it is over */
    SHAPE_TRAILERS_ONLY, /* the status in the only headers, when it is over */
    SHAPE_LEN
};

static const char *const shape_names[SHAPE_LEN] = {"none", "early", "late", "trailers_only"};

struct call {
    struct endpoint *endpoint;
    struct fg_stream *stream; /* NULL: its caller has gone */
    struct fg_list node;      /* in the endpoint's queue */
    struct fg_timer delay;    /* what the fault adds to the work */
    uint64_t arrived_ns;
    enum shape shape; /* of the fault at its arrival */
    uint32_t delay_ms;
    bool begun, working;
};

/* One call at work. FREE_NS is the instant at which its work is over by the plan: the next one begins then, although
 * the timer is up to a millisecond late. */
struct slot {
    struct fg_timer timer;
    struct endpoint *endpoint;
    struct call *call; /* NULL: idle */
    uint64_t free_ns;
};

struct endpoint {
    struct fg_server server;
    struct fg_stats stats;
    struct fg_list queue;
    struct slot slots[SLOTS_MAX];
    uint32_t connections, slots_len, fault_ms;
    enum shape fault;
    char number[4];
    uint64_t taken, served, failed, gone;
};

static struct {
    struct fg_loop loop;
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoints_len;
    uint64_t service_ns, random;
    uint32_t errors_ppm;
    struct fg_watch control;
} backend = {.random = 1};

static uint64_t random_below(uint64_t n)
{
    uint64_t x = backend.random; /* xorshift64* */

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    backend.random = x;
    return (x * 0x2545F4914F6CDD1Dull >> 32) * n >> 32;
}

/* ---- answers ---- */

static void send_headers(struct call *call)
{
    struct fg_headers headers;
    struct fg_arena *arena = call->stream->arena;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    fg_headers_add(&headers, arena, FG_STR("x-endpoint"), fg_str_from(call->endpoint->number));
    fg_stream_send_headers(call->stream, &headers, false);
}

static void add_failure(struct fg_headers *headers, struct fg_arena *arena)
{
    fg_headers_add_token(headers, arena, FG_TOKEN_GRPC_STATUS, FG_STR("14"));
    fg_headers_add_token(headers, arena, FG_TOKEN_GRPC_MESSAGE, FG_STR("the store does not answer"));
}

static void answer_well(struct call *call)
{
    static const uint8_t message[5 + 64] = {0, 0, 0, 0, 64};
    struct fg_headers trailers;

    send_headers(call);
    fg_stream_send_data(call->stream, (struct fg_buf){.data = message, .len = sizeof message}, false);
    fg_headers_init(&trailers);
    fg_headers_add_token(&trailers, call->stream->arena, FG_TOKEN_GRPC_STATUS, FG_STR("0"));
    fg_stream_send_trailers(call->stream, &trailers);
}

static void answer_failure(struct call *call)
{
    struct fg_arena *arena = call->stream->arena;
    struct fg_headers fields;

    fg_headers_init(&fields);
    if (call->shape == SHAPE_TRAILERS_ONLY) {
        fg_headers_add_token(&fields, arena, FG_TOKEN_STATUS, FG_STR("200"));
        fg_headers_add_token(&fields, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
        fg_headers_add(&fields, arena, FG_STR("x-endpoint"), fg_str_from(call->endpoint->number));
        add_failure(&fields, arena);
        fg_stream_send_headers(call->stream, &fields, true);
        return;
    }
    if (call->shape != SHAPE_EARLY) /* else they are out already */
        send_headers(call);
    add_failure(&fields, arena);
    fg_stream_send_trailers(call->stream, &fields);
}

/* The call is over for us; its stream closes by itself. */
static void answer(struct call *call, bool well)
{
    *(well ? &call->endpoint->served : &call->endpoint->failed) += 1;
    if (well)
        answer_well(call);
    else
        answer_failure(call);
}

static void on_delay(struct fg_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    answer(FG_CONTAINER_OF(timer, struct call, delay), false);
}

static void work_done(struct call *call)
{
    call->working = false;
    if (!call->stream) {
        free(call);
        return;
    }
    if (call->shape == SHAPE_NONE)
        answer(call, random_below(1000000) >= backend.errors_ppm);
    else
        fg_timer_arm(&backend.loop.timers, &call->delay, backend.loop.now_ns + call->delay_ms * FG_MS);
}

/* ---- slots ---- */

static void begin_work(struct slot *slot, struct call *call)
{
    uint64_t service_ns = backend.service_ns / 2 + random_below(backend.service_ns);

    call->working = true;
    slot->call = call;
    slot->free_ns = FG_MAX(slot->free_ns, call->arrived_ns) + service_ns;
    fg_timer_arm(&backend.loop.timers, &slot->timer, slot->free_ns);
}

static void on_work_done(struct fg_timer *timer, uint64_t now_ns)
{
    struct slot *slot = FG_CONTAINER_OF(timer, struct slot, timer);
    struct call *done = slot->call;
    struct fg_list *queue = &slot->endpoint->queue;
    (void)now_ns;

    slot->call = NULL;
    if (!fg_list_empty(queue)) {
        struct call *next = FG_LIST_FIRST(queue, struct call, node);
        fg_list_remove(&next->node);
        begin_work(slot, next);
    }
    work_done(done);
}

static void take(struct call *call)
{
    struct endpoint *endpoint = call->endpoint;

    call->begun = true;
    call->arrived_ns = backend.loop.now_ns;
    call->shape = endpoint->fault;
    call->delay_ms = endpoint->fault_ms;
    endpoint->taken++;
    if (call->shape == SHAPE_EARLY)
        send_headers(call);
    for (uint32_t i = 0; i < endpoint->slots_len; i++) {
        if (!endpoint->slots[i].call) {
            begin_work(&endpoint->slots[i], call);
            return;
        }
    }
    fg_list_append(&endpoint->queue, &call->node);
}

/* ---- events of the streams ---- */

static void on_headers(struct fg_stream *stream, struct fg_headers *trailers, unsigned flags)
{
    struct call *call = stream->user;
    (void)trailers;
    (void)flags;
    if (!call->begun)
        take(call);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct call *call = stream->user;

    fg_stream_consume(stream, buf.len);
    if (end && !call->begun)
        take(call);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct call *call = stream->user;

    call->endpoint->gone += why->by != FG_H2_CLOSED_COMPLETE;
    call->stream = NULL;
    fg_list_remove(&call->node);
    fg_timer_cancel(&backend.loop.timers, &call->delay);
    if (!call->working)
        free(call);
}

static const struct fg_stream_events stream_events = {on_headers, on_data, on_sent, on_close};

static void on_request(struct fg_stream *stream, struct fg_headers *request, unsigned flags)
{
    struct call *call = fg_alloc_zero(sizeof *call);
    (void)request;

    call->endpoint = FG_CONTAINER_OF(stream->conn->side, struct endpoint, server.side);
    call->stream = stream;
    fg_list_init(&call->node);
    fg_timer_init(&call->delay, on_delay);
    stream->events = &stream_events;
    stream->user = call;
    if (flags & FG_H2_END_STREAM)
        take(call);
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    (void)why;
    fg_server_on_closed(FG_CONTAINER_OF(conn->side, struct fg_server, side));
}

static const struct fg_conn_events conn_events = {on_request, NULL, NULL, on_closed};

/* ---- control ---- */

static bool set_fault(size_t endpoint, const char *shape, uint32_t ms)
{
    for (int i = 0; i < SHAPE_LEN; i++) {
        if (endpoint >= backend.endpoints_len || strcmp(shape, shape_names[i]) != 0)
            continue;
        backend.endpoints[endpoint].fault = (enum shape)i;
        backend.endpoints[endpoint].fault_ms = ms;
        return true;
    }
    return false;
}

static void put_stats(FILE *out)
{
    for (size_t i = 0; i < backend.endpoints_len; i++) {
        const struct endpoint *e = &backend.endpoints[i];
        fprintf(out, " %llu %llu %llu %llu", (unsigned long long)e->taken, (unsigned long long)e->served,
                (unsigned long long)e->failed, (unsigned long long)e->gone);
    }
}

static void obey(const char *command, FILE *out)
{
    char shape[20];
    size_t endpoint;
    uint32_t number;

    if (sscanf(command, "fault %zu %19s %u", &endpoint, shape, &number) == 3 && set_fault(endpoint, shape, number))
        fprintf(out, "%llu", (unsigned long long)fg_clock_now_ns());
    else if (sscanf(command, "errors %u", &number) == 1) {
        backend.errors_ppm = number;
        fprintf(out, "%llu", (unsigned long long)fg_clock_now_ns());
    } else if (strcmp(command, "stats") == 0) {
        fprintf(out, "%llu", (unsigned long long)fg_clock_now_ns());
        put_stats(out);
    } else {
        fprintf(out, "no such command");
    }
}

static void on_control(struct fg_watch *watch, unsigned ready)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    char command[COMMAND_BYTES], reply[ENDPOINTS_MAX * 90];
    (void)ready;

    ssize_t len = recvfrom(watch->fd, command, sizeof command - 1, 0, (struct sockaddr *)&from, &from_len);
    if (len < 0)
        return;
    command[len] = '\0';
    FILE *out = fmemopen(reply, sizeof reply, "w");
    if (!out)
        return;
    obey(command, out);
    long reply_len = ftell(out);
    fclose(out);
    (void)!sendto(watch->fd, reply, (size_t)reply_len, 0, (struct sockaddr *)&from, from_len);
}

/* ---- start ---- */

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "ab_backend: %s: %s\n", what, why);
    return -1;
}

static int start_endpoint(size_t number, uint16_t port, uint32_t slots)
{
    struct endpoint *endpoint = &backend.endpoints[number];
    struct fg_h2_options limits = fg_h2_server_defaults();
    struct fg_address address;
    char error[256];

    limits.max_concurrent_streams = 100000;
    limits.idle_timeout_ns = 0;
    limits.reset_ratio = 1.0; /* gateways cancel as they like: that is not what is measured */
    limits.reset_burst = limits.reset_rate = limits.error_burst = limits.error_rate = 1000000;
    limits.ping_rate = 1000;
    snprintf(endpoint->number, sizeof endpoint->number, "%zu", number);
    fg_list_init(&endpoint->queue);
    endpoint->slots_len = slots;
    for (uint32_t i = 0; i < slots; i++) {
        endpoint->slots[i].endpoint = endpoint;
        fg_timer_init(&endpoint->slots[i].timer, on_work_done);
    }
    fg_conn_side_init(&endpoint->server.side, &backend.loop, &endpoint->stats, &limits, &conn_events, NULL);
    endpoint->server.connections = &endpoint->connections;
    if (fg_address_resolve(&address, "127.0.0.1", port, error, sizeof error) != 0)
        return fail("address", error);
    int fd = fg_socket_listen(&address, error, sizeof error);
    if (fd < 0 || fg_server_start(&endpoint->server, fd) != 0)
        return fail("endpoint", fd < 0 ? error : "cannot watch the socket");
    return 0;
}

static int start_control(uint16_t port)
{
    struct fg_address address;
    char error[256];

    if (fg_address_resolve(&address, "127.0.0.1", port, error, sizeof error) != 0)
        return fail("address", error);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address.storage, address.len) != 0)
        return fail("control port", strerror(errno));
    backend.control = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_control};
    return fg_watch_add(&backend.loop, &backend.control) == 0 ? 0 : fail("control port", "cannot watch the socket");
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc - 5 > ENDPOINTS_MAX) {
        fprintf(stderr, "usage: ab_backend CONTROL_PORT SLOTS SERVICE_US SEED PORT...\n");
        return 2;
    }
    unsigned long slots = strtoul(argv[2], NULL, 10);
    if (slots < 1 || slots > SLOTS_MAX)
        return fail("SLOTS", "not 1..64") != 0;
    backend.service_ns = strtoul(argv[3], NULL, 10) * FG_US;
    backend.random = strtoul(argv[4], NULL, 10) * 2 + 1;
    backend.endpoints_len = (size_t)argc - 5;
    signal(SIGPIPE, SIG_IGN);
    if (fg_loop_init(&backend.loop) != 0 || start_control((uint16_t)strtoul(argv[1], NULL, 10)) != 0)
        return 1;
    for (size_t i = 0; i < backend.endpoints_len; i++)
        if (start_endpoint(i, (uint16_t)strtoul(argv[5 + i], NULL, 10), (uint32_t)slots) != 0)
            return 1;
    fg_loop_run(&backend.loop); /* until a signal ends the process */
    return 0;
}
