/* The load of `./dev bench ab`: calls at instants that do not depend on the answers (open loop, Poisson), of three
 * priorities and two tenants in equal parts, with a deadline that the caller keeps itself. The same seed gives the same
 * calls at the same instants, whatever is at the other end.
 *
 *     ab_load PORT SEED DEADLINE_MS OUT SECONDS:RATE...
 *
 * Says "begin NS" (CLOCK_MONOTONIC) when the connections are open and the first phase is about to begin, and at the end
 * one line of JSON on how well it kept its times. OUT gets a struct record for each call. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http/server.h"
#include "rpc/status.h"

enum { CONNECTIONS = 8, PHASES_MAX = 16, PRIORITIES = 3, TENANTS = 2, LATE_US = 2000, NO_ENDPOINT = 255 };

/* Besides the gRPC codes. */
enum { CODE_RESET = 20, CODE_LOST, CODE_NOT_SENT, CODE_NO_STATUS, CODE_GAVE_UP };

/* As bench/ab_calls.py reads it. */
struct record {
    uint64_t start_ns; /* when it was due, not when it was sent */
    uint32_t took_us;
    uint8_t phase;
    uint8_t class;    /* priority * TENANTS + tenant; tenant 0 is gold */
    uint8_t code;     /* of gRPC, or CODE_... */
    uint8_t endpoint; /* which gave the status, or NO_ENDPOINT */
};

struct call {
    struct fg_stream *stream;
    struct fg_timer deadline;
    struct record record;
};

struct phase {
    double rate;
    uint64_t end_ns; /* from the beginning of the first; later from the clock's */
};

static struct {
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_conn_side side;
    struct fg_address gateway;
    struct fg_conn *conns[CONNECTIONS];
    size_t conn_at, in_flight;
    struct phase phases[PHASES_MAX];
    size_t phases_len, phase;
    struct fg_watch clock; /* timerfd: the loop's own timers know milliseconds only */
    uint64_t due_ns, deadline_ns, random;
    struct fg_slab calls;
    char timeout[16];
    struct record *records; /* kept until the end: a disk that is busy must not hold calls up */
    size_t records_len, records_cap;
    uint64_t sent, late, late_most_us, lost;
    bool begun, over;
} load;

/* ---- chance ---- */

static uint64_t random_bits(void)
{
    uint64_t z = load.random += 0x9e3779b97f4a7c15ull; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t random_pause_ns(double rate)
{
    double uniform = ((double)(random_bits() >> 11) + 1) / 9007199254740993.0; /* (0, 1) */
    return (uint64_t)(-log(uniform) / rate * 1e9);
}

/* ---- the end of a call ---- */

static void stop_if_over(void)
{
    if (load.over && load.in_flight == 0)
        fg_loop_stop(&load.loop);
}

static void keep_record(const struct record *record, unsigned code)
{
    if (load.records_len == load.records_cap) {
        load.records_cap = FG_MAX(2 * load.records_cap, (size_t)1 << 16);
        load.records = fg_realloc(load.records, load.records_cap * sizeof *load.records);
    }
    struct record *kept = &load.records[load.records_len++];
    *kept = *record;
    kept->code = (uint8_t)code;
    kept->took_us = (uint32_t)((fg_clock_now_ns() - record->start_ns) / FG_US);
}

static void end(struct call *call, unsigned code)
{
    fg_timer_cancel(&load.loop.timers, &call->deadline);
    keep_record(&call->record, code);
    fg_slab_put(&load.calls, call);
    load.in_flight--;
    stop_if_over();
}

static void on_deadline(struct fg_timer *timer, uint64_t now_ns)
{
    struct call *call = FG_CONTAINER_OF(timer, struct call, deadline);
    (void)now_ns;
    fg_stream_reset(call->stream, FG_H2_CANCEL);
    end(call, CODE_GAVE_UP);
}

/* ---- events of the streams ---- */

static void note_endpoint(struct call *call, const struct fg_headers *fields)
{
    const struct fg_header *field = fg_headers_find(fields, FG_STR("x-endpoint"));

    if (field && field->value.len == 1)
        call->record.endpoint = (uint8_t)(field->value.p[0] - '0');
}

static void on_headers(struct fg_stream *stream, struct fg_headers *fields, unsigned flags)
{
    struct call *call = stream->user;
    const struct fg_header *field = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    enum fg_status status = FG_STATUS_UNKNOWN;

    note_endpoint(call, fields);
    if (field)
        fg_status_parse(field->value, &status);
    if (field)
        call->record.code = (uint8_t)status;
    else if (flags & FG_H2_END_STREAM)
        call->record.code = CODE_NO_STATUS;
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end_stream)
{
    (void)end_stream;
    fg_stream_consume(stream, buf.len);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct call *call = stream->user;

    if (why->by == FG_H2_CLOSED_COMPLETE)
        end(call, call->record.code);
    else
        end(call, why->by == FG_H2_CLOSED_CONNECTION ? CODE_LOST : CODE_RESET);
}

static const struct fg_stream_events stream_events = {on_headers, on_data, on_sent, on_close};

/* ---- sending ---- */

static struct fg_conn *find_conn(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct fg_conn *conn = load.conns[load.conn_at++ % CONNECTIONS];
        if (conn && fg_conn_free_slots(conn) > 0)
            return conn;
    }
    return NULL;
}

static void fill_request(struct fg_headers *headers, struct fg_arena *arena, unsigned class)
{
    static const char *const tenants[TENANTS] = {"gold", "silver"};
    static const char *const priorities[PRIORITIES] = {"0", "1", "2"};

    fg_headers_init(headers);
    fg_headers_add_token(headers, arena, FG_TOKEN_METHOD, FG_STR("POST"));
    fg_headers_add_token(headers, arena, FG_TOKEN_SCHEME, FG_STR("http"));
    fg_headers_add_token(headers, arena, FG_TOKEN_PATH, FG_STR("/shop.v1.ShopService/Buy"));
    fg_headers_add_token(headers, arena, FG_TOKEN_AUTHORITY, FG_STR("shop"));
    fg_headers_add_token(headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    fg_headers_add_token(headers, arena, FG_TOKEN_TE, FG_STR("trailers"));
    fg_headers_add_token(headers, arena, FG_TOKEN_GRPC_TIMEOUT, fg_str_from(load.timeout));
    fg_headers_add(headers, arena, FG_STR("x-priority"), fg_str_from(priorities[class / TENANTS]));
    fg_headers_add(headers, arena, FG_STR("x-tenant"), fg_str_from(tenants[class % TENANTS]));
}

static void send_call(struct fg_conn *conn, const struct record *record)
{
    static const uint8_t message[5 + 32] = {0, 0, 0, 0, 32};
    struct call *call = fg_slab_get(&load.calls);
    struct fg_arena arena;
    struct fg_headers headers;

    *call = (struct call){.record = *record};
    fg_timer_init(&call->deadline, on_deadline);
    fg_arena_init(&arena, &load.loop.mem);
    fill_request(&headers, &arena, record->class);
    call->stream = fg_conn_request(conn, &headers, false, &stream_events, call);
    fg_arena_cleanup(&arena);
    fg_stream_send_data(call->stream, (struct fg_buf){.data = message, .len = sizeof message}, true);
    fg_timer_arm(&load.loop.timers, &call->deadline, record->start_ns + load.deadline_ns);
    load.in_flight++;
}

static void send_due_call(uint64_t now_ns)
{
    struct record record = {
        .start_ns = load.due_ns,
        .phase = (uint8_t)load.phase,
        .class = (uint8_t)((random_bits() >> 32) * (PRIORITIES * TENANTS) >> 32),
        .code = CODE_NO_STATUS,
        .endpoint = NO_ENDPOINT,
    };
    uint64_t late_us = (now_ns - load.due_ns) / FG_US;
    struct fg_conn *conn = find_conn();

    load.sent++;
    load.late += late_us > LATE_US;
    load.late_most_us = FG_MAX(load.late_most_us, late_us);
    if (conn)
        send_call(conn, &record);
    else
        keep_record(&record, CODE_NOT_SENT);
}

/* ---- time ---- */

static void set_clock(uint64_t at_ns)
{
    struct itimerspec at = {.it_value = {(time_t)(at_ns / FG_S), (long)(at_ns % FG_S)}};
    timerfd_settime(load.clock.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The instant of the next call; false: there is none. A pause that crosses the end of a phase begins anew there, which
 * a Poisson process does not notice. */
static bool plan_next(void)
{
    uint64_t next_ns = load.due_ns + random_pause_ns(load.phases[load.phase].rate);

    while (next_ns >= load.phases[load.phase].end_ns) {
        uint64_t end_ns = load.phases[load.phase].end_ns;
        if (++load.phase == load.phases_len)
            return false;
        next_ns = end_ns + random_pause_ns(load.phases[load.phase].rate);
    }
    load.due_ns = next_ns;
    return true;
}

static void on_clock(struct fg_watch *watch, unsigned ready)
{
    uint64_t expirations, now_ns;
    (void)ready;

    if (read(watch->fd, &expirations, sizeof expirations) < 0)
        return;
    while (load.due_ns <= (now_ns = fg_clock_now_ns())) {
        send_due_call(now_ns);
        if (!plan_next()) {
            load.over = true;
            stop_if_over();
            return;
        }
    }
    set_clock(load.due_ns);
}

static void begin(void)
{
    uint64_t begin_ns = fg_clock_now_ns() + 50 * FG_MS;

    load.begun = true;
    for (size_t i = 0; i < load.phases_len; i++)
        load.phases[i].end_ns += begin_ns;
    load.due_ns = begin_ns;
    printf("begin %llu\n", (unsigned long long)begin_ns);
    fflush(stdout);
    (void)!plan_next();
    set_clock(load.due_ns);
}

/* ---- connections ---- */

static void connect_all(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        int error = 0;
        if (!load.conns[i])
            load.conns[i] = fg_conn_connect(&load.side, &load.gateway, "shop", &error);
    }
}

static void on_slots(struct fg_conn *conn)
{
    size_t usable = 0;
    (void)conn;

    for (size_t i = 0; i < CONNECTIONS; i++)
        usable += load.conns[i] && fg_conn_free_slots(load.conns[i]) > 0;
    if (!load.begun && usable == CONNECTIONS)
        begin();
}

/* Another one takes its place at once. */
static void on_closed(struct fg_conn *conn, const char *why)
{
    fprintf(stderr, "ab_load: a connection ended: %s\n", why);
    load.lost++;
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (load.conns[i] == conn)
            load.conns[i] = NULL;
    if (!load.over && load.lost < 1000)
        connect_all();
}

static void no_request(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    fg_stream_reset(stream, FG_H2_REFUSED_STREAM);
}

static const struct fg_conn_events conn_events = {no_request, NULL, on_slots, on_closed};

/* ---- start ---- */

static int parse_phases(int argc, char **argv)
{
    uint64_t end_ns = 0;

    for (int i = 0; i < argc; i++) {
        char *colon;
        double seconds = strtod(argv[i], &colon);
        double rate = *colon == ':' ? strtod(colon + 1, NULL) : 0;
        if (i == PHASES_MAX || !(seconds > 0) || !(rate > 0))
            return -1;
        end_ns += (uint64_t)(seconds * 1e9);
        load.phases[load.phases_len++] = (struct phase){rate, end_ns};
    }
    return load.phases_len > 0 ? 0 : -1;
}

static void init_side(void)
{
    struct fg_h2_options limits = fg_h2_server_defaults();

    limits.role = FG_H2_CLIENT;
    limits.max_concurrent_streams = 100000;
    limits.encoder_table_size = 4096;
    limits.idle_timeout_ns = 0;
    limits.reset_ratio = 1.0;
    limits.reset_burst = limits.reset_rate = limits.error_burst = limits.error_rate = 1000000;
    fg_conn_side_init(&load.side, &load.loop, &load.stats, &limits, &conn_events, NULL);
    load.side.connect_timeout_ns = 5 * FG_S;
    fg_slab_init(&load.calls, sizeof(struct call), 4096);
}

static int start(uint16_t port)
{
    char error[256];

    if (fg_loop_init(&load.loop) != 0 || fg_address_resolve(&load.gateway, "127.0.0.1", port, error, sizeof error) != 0)
        return -1;
    init_side();
    load.clock = (struct fg_watch){.interest = FG_READABLE, .on_ready = on_clock};
    load.clock.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load.clock.fd < 0 || fg_watch_add(&load.loop, &load.clock) != 0)
        return -1;
    connect_all();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 6 || parse_phases(argc - 5, argv + 5) != 0) {
        fprintf(stderr, "usage: ab_load PORT SEED DEADLINE_MS OUT SECONDS:RATE...\n");
        return 2;
    }
    load.random = strtoul(argv[2], NULL, 10);
    load.deadline_ns = strtoul(argv[3], NULL, 10) * FG_MS;
    snprintf(load.timeout, sizeof load.timeout, "%lum", strtoul(argv[3], NULL, 10));
    FILE *out = fopen(argv[4], "wb");
    signal(SIGPIPE, SIG_IGN);
    if (!out || start((uint16_t)strtoul(argv[1], NULL, 10)) != 0) {
        fprintf(stderr, "ab_load: cannot start\n");
        return 1;
    }
    fg_loop_run(&load.loop);
    printf("{\"sent\": %llu, \"late\": %llu, \"late_most_us\": %llu, \"connections_lost\": %llu}\n",
           (unsigned long long)load.sent, (unsigned long long)load.late, (unsigned long long)load.late_most_us,
           (unsigned long long)load.lost);
    bool written = fwrite(load.records, sizeof *load.records, load.records_len, out) == load.records_len;
    free(load.records);
    return fclose(out) == 0 && written ? 0 : 1;
}
