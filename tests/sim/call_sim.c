/* Calls from end to end under random schedules: routes, gate, breakers, balancer, pool and retries are the real ones,
 * several workers of them; clients, connections and endpoints are played here, and so is the clock. After each step
 * check_invariants() looks at everything that must hold at every moment. A seed is a schedule.
 *
 *     call_sim [SEEDS [FIRST_SEED]]        runs SEEDS schedules; prints the seed and the step that went wrong */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/dialect.h"
#include "http/engine.h"

#define WORKERS   3
#define ENDPOINTS 4
#define CALLS     120
#define STEPS_MAX 20000

struct sim;

/* ---- what is played ---- */

struct link {            /* a connection to an endpoint */
    struct fg_conn conn; /* first */
    struct fg_list node;
    struct sim *sim;
    unsigned endpoint;
    uint64_t ready_ns; /* when the attempt to connect ends; FG_NEVER: it has */
    bool fails, is_ready, goaway;
    uint32_t open, limit;
    uint64_t last_recv_ns;
};

enum deed { ANSWER, FAIL_TRAILERS, FAIL_AFTER_MESSAGE, RESET, REFUSE, KILL, GOAWAY, HANG };

struct up { /* a stream at an endpoint */
    struct fg_stream stream;
    struct fg_list node;
    struct fg_arena arena;
    struct link *link;
    unsigned call;
    bool ended, began, had_effect;
    uint64_t due_ns; /* when its deed is done */
    enum deed deed;
    size_t to_tell; /* bytes that went out */
};

struct down { /* a client's stream */
    struct fg_stream stream;
    struct fg_arena arena;
    unsigned worker;
    bool live, idempotent, finished, closing;
    unsigned pieces; /* of the body still to be sent */
    uint64_t cancel_ns;
    size_t to_tell;
    uint64_t started_step;
};

struct worker {
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_cluster cluster;
    struct fg_call_env env;
    struct fg_conn client; /* the connection of all its clients */
    struct sim *sim;
};

struct sim {
    uint64_t seed, random, now_ns, step;
    struct fg_config *config;
    struct fg_gate *gate;
    struct fg_retry_tokens tokens;
    struct fg_breaker_registry *breakers;
    struct fg_learned_table *learned;
    struct fg_rate_limiter *limiter;
    struct worker workers[WORKERS];
    struct fg_list links, ups;
    struct down downs[CALLS];
    unsigned effects[CALLS], begun;
    unsigned sick[ENDPOINTS]; /* percent of the deeds that are bad */
    uint64_t seen[FG_SOURCE_LEN], ok, retried, reports;
};

static struct sim *current;

static uint64_t draw(struct sim *s, uint64_t below)
{
    uint64_t z = s->random += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

static void expect(const struct sim *s, bool holds, const char *what, uint64_t got, uint64_t limit)
{
    if (holds)
        return;
    fprintf(stderr, "call_sim: seed %" PRIu64 " step %" PRIu64 ": %s: %" PRIu64 ", limit %" PRIu64 "\n", s->seed,
            s->step, what, got, limit);
    exit(1);
}

/* ---- streams at endpoints ---- */

static void up_free(struct up *up)
{
    fg_list_remove(&up->node);
    fg_arena_cleanup(&up->arena);
    free(up);
}

static void up_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct up *up = FG_CONTAINER_OF(stream, struct up, stream);
    up->to_tell += buf.len;
    up->ended |= end;
    fg_buf_unref(&buf);
}

static void up_reset(struct fg_stream *stream, uint32_t code)
{
    struct up *up = FG_CONTAINER_OF(stream, struct up, stream);
    (void)code;
    stream->events = NULL; /* freed in the next step */
    up->link->open--;
}

static void no_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    (void)stream;
    (void)headers;
    (void)end;
}

static void no_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    (void)stream;
    (void)headers;
}

static void no_consume(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void no_priority(struct fg_stream *stream, int offset, unsigned weight)
{
    (void)stream;
    (void)offset;
    (void)weight;
}

static struct fg_wait no_wait(const struct fg_stream *stream)
{
    (void)stream;
    return (struct fg_wait){0, FG_WAIT_NONE};
}

static void no_stalls(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    (void)stream;
    (void)stall_ns;
}

static uint32_t no_id(const struct fg_stream *stream)
{
    (void)stream;
    return 1;
}

static bool up_ended(const struct fg_stream *stream)
{
    return FG_CONTAINER_OF(stream, const struct up, stream)->ended;
}

static const struct fg_stream_ops up_ops = {no_headers,  up_data, no_trailers, no_consume, up_reset, up_reset,
                                            no_priority, no_wait, no_stalls,   no_id,      up_ended};

static struct fg_stream *link_request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                      const struct fg_stream_events *events, void *user)
{
    struct link *link = (struct link *)conn;
    struct up *up = fg_alloc_zero(sizeof *up);
    const struct fg_header *name = fg_headers_find(headers, FG_STR("x-call"));

    expect(link->sim, link->is_ready && !link->goaway && link->open < link->limit, "streams on a connection",
           link->open + 1, link->limit);
    fg_arena_init(&up->arena, &conn->side->loop->mem);
    up->stream = (struct fg_stream){.ops = &up_ops, .events = events, .user = user, .conn = conn, .arena = &up->arena};
    up->link = link;
    up->ended = end;
    up->due_ns = FG_NEVER;
    for (size_t i = 0; i < name->value.len; i++)
        up->call = up->call * 10 + (unsigned)(name->value.p[i] - '0');
    link->open++;
    fg_list_append(&link->sim->ups, &up->node);
    return &up->stream;
}

static struct fg_conn_load link_load(const struct fg_conn *conn)
{
    const struct link *link = (const struct link *)conn;
    return (struct fg_conn_load){.is_ready = link->is_ready,
                                 .open = link->open,
                                 .limit = link->limit,
                                 .free = link->is_ready && !link->goaway ? link->limit - link->open : 0,
                                 .last_recv_ns = link->last_recv_ns};
}

static bool link_stalled(const struct fg_conn *conn, uint64_t since_ns)
{
    (void)conn;
    (void)since_ns;
    return false;
}

static uint64_t link_next_time(const struct fg_conn *conn)
{
    (void)conn;
    return FG_NEVER;
}

static const struct fg_engine_ops link_engine = {.name = "sim",
                                                 .is_stalled = link_stalled,
                                                 .next_time_ns = link_next_time,
                                                 .request = link_request,
                                                 .load = link_load};

static void on_link_flush(struct fg_turn_task *task)
{
    (void)task; /* fg_conn_close: the sim looks at conn->why */
}

/* Linked in place of the one over sockets. */
struct fg_conn *__wrap_fg_conn_connect(struct fg_conn_side *side, const struct fg_address *address,
                                       const char *server_name, int *error);

struct fg_conn *__wrap_fg_conn_connect(struct fg_conn_side *side, const struct fg_address *address,
                                       const char *server_name, int *error)
{
    struct sim *s = current;
    const struct sockaddr_in *v4 = (const void *)&address->storage;
    (void)server_name;

    if (draw(s, 50) == 0) {
        *error = -111;
        return NULL;
    }
    struct link *link = fg_alloc_zero(sizeof *link);
    link->sim = s;
    link->conn.side = side;
    link->conn.state = FG_CONN_CONNECTING;
    link->conn.engine = &link_engine;
    link->conn.flush.on_turn_end = on_link_flush;
    fg_list_init(&link->conn.flush.node);
    link->endpoint = (unsigned)(ntohs(v4->sin_port) - 1);
    link->ready_ns = s->now_ns + draw(s, 20) * FG_MS;
    link->fails = draw(s, 10) == 0;
    link->limit = 1 + (uint32_t)draw(s, 6);
    fg_list_append(&s->links, &link->node);
    return &link->conn;
}

/* ---- streams of clients ---- */

static void down_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    struct down *down = FG_CONTAINER_OF(stream, struct down, stream);
    (void)headers;
    down->finished |= end;
}

static void down_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    down_headers(stream, headers, true);
}

static void down_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct down *down = FG_CONTAINER_OF(stream, struct down, stream);
    down->to_tell += buf.len;
    down->finished |= end;
    fg_buf_unref(&buf);
}

static void down_reset(struct fg_stream *stream, uint32_t code)
{
    (void)code;
    FG_CONTAINER_OF(stream, struct down, stream)->closing = true;
}

static bool down_ended(const struct fg_stream *stream)
{
    return FG_CONTAINER_OF(stream, const struct down, stream)->finished;
}

static const struct fg_stream_ops down_ops = {down_headers, down_data,  down_trailers, no_consume,
                                              down_reset,   down_reset, no_priority,   no_wait,
                                              no_stalls,    no_id,      down_ended};

static void begin_call(struct sim *s)
{
    unsigned number = s->begun++;
    struct down *down = &s->downs[number];
    struct worker *w = &s->workers[draw(s, WORKERS)];
    struct fg_headers headers;
    static const char *const timeouts[] = {"20m", "100m", "500m", "3S"};
    char priority[2] = {(char)('0' + draw(s, 4)), 0};

    *down = (struct down){.worker = (unsigned)(w - s->workers), .live = true, .started_step = s->step};
    down->idempotent = draw(s, 2);
    down->pieces = (unsigned)draw(s, 4);
    down->cancel_ns = draw(s, 8) == 0 ? s->now_ns + draw(s, 200) * FG_MS : FG_NEVER;
    fg_arena_init(&down->arena, &w->loop.mem);
    down->stream = (struct fg_stream){.ops = &down_ops, .conn = &w->client, .arena = &down->arena};
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, &down->arena, FG_TOKEN_METHOD, FG_STR("POST"));
    fg_headers_add_token(&headers, &down->arena, FG_TOKEN_SCHEME, FG_STR("http"));
    fg_headers_add_token(&headers, &down->arena, FG_TOKEN_PATH,
                         down->idempotent ? FG_STR("/s/Again") : FG_STR("/s/Once"));
    fg_headers_add_token(&headers, &down->arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    if (draw(s, 5) > 0)
        fg_headers_add_token(&headers, &down->arena, FG_TOKEN_GRPC_TIMEOUT, fg_str_from(timeouts[draw(s, 4)]));
    fg_headers_add(&headers, &down->arena, FG_STR("x-priority"), fg_arena_printf(&down->arena, "%s", priority));
    fg_headers_add(&headers, &down->arena, FG_STR("x-call"), fg_arena_printf(&down->arena, "%u", number));
    fg_call_start(&w->env, &fg_dialect_grpc, &down->stream, &headers, down->pieces == 0 ? FG_H2_END_STREAM : 0);
}

static void send_piece(struct sim *s, struct down *down)
{
    static const uint8_t message[] = {0, 0, 0, 0, 3, 'a', 'b', 'c'};
    struct fg_buf copy = fg_buf_copy(message, sizeof message);
    (void)s;

    down->pieces--;
    down->stream.events->on_data(&down->stream, copy, down->pieces == 0);
    fg_buf_unref(&copy);
}

static void close_down(struct sim *s, struct down *down, enum fg_h2_close_by by)
{
    struct fg_h2_close why = {.by = by, .code = FG_H2_CANCEL, .reason = "sim"};
    (void)s;

    down->live = false;
    down->stream.events->on_close(&down->stream, &why);
    fg_arena_cleanup(&down->arena);
}

/* ---- what endpoints do ---- */

static enum deed choose_deed(struct sim *s, unsigned endpoint)
{
    static const enum deed bad[] = {FAIL_TRAILERS, FAIL_TRAILERS, FAIL_AFTER_MESSAGE, RESET, REFUSE, KILL,
                                    GOAWAY,        HANG};
    return draw(s, 100) < s->sick[endpoint] ? bad[draw(s, FG_ARRAY_LEN(bad))] : ANSWER;
}

static void close_up(struct up *up, enum fg_h2_close_by by, uint32_t code)
{
    const struct fg_stream_events *events = up->stream.events;
    struct fg_h2_close why = {.by = by, .code = code, .reason = "sim"};

    up->stream.events = NULL;
    up->link->open--;
    events->on_close(&up->stream, &why);
}

static void lose(struct link *link, enum fg_h2_close_by by)
{
    struct sim *s = link->sim;

    link->is_ready = false;
    for (struct fg_list *node = s->ups.next; node != &s->ups;) {
        struct up *up = FG_LIST_ENTRY(node, struct up, node);
        node = node->next;
        if (up->link == link && up->stream.events) {
            close_up(up, by, FG_H2_NO_ERROR);
            node = s->ups.next; /* anything may have ended */
        }
    }
}

static void answer(struct up *up, const char *status, bool message)
{
    static const uint8_t content[] = {0, 0, 0, 0, 1, 'x'};
    struct fg_headers headers, trailers;
    const struct fg_stream_events *events = up->stream.events;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, &up->arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(&headers, &up->arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    events->on_headers(&up->stream, &headers, 0);
    if (up->stream.events && message) {
        struct fg_buf copy = fg_buf_copy(content, sizeof content);
        events->on_data(&up->stream, copy, false);
        fg_buf_unref(&copy);
    }
    if (!up->stream.events)
        return;
    fg_headers_init(&trailers);
    fg_headers_add_token(&trailers, &up->arena, FG_TOKEN_GRPC_STATUS, fg_str_from(status));
    events->on_headers(&up->stream, &trailers, FG_H2_TRAILERS | FG_H2_END_STREAM);
    if (up->stream.events)
        close_up(up, FG_H2_CLOSED_COMPLETE, FG_H2_NO_ERROR);
}

static void do_deed(struct sim *s, struct up *up)
{
    struct link *link = up->link;
    bool has_effect = up->deed == ANSWER || up->deed == FAIL_AFTER_MESSAGE || up->deed == HANG ||
                      (up->deed != REFUSE && up->deed != GOAWAY && draw(s, 2));

    up->due_ns = FG_NEVER;
    link->last_recv_ns = s->now_ns;
    s->effects[up->call] += has_effect && !up->had_effect;
    up->had_effect |= has_effect;
    switch (up->deed) {
    case ANSWER:
        answer(up, "0", true);
        break;
    case FAIL_TRAILERS:
        answer(up, "14", false);
        break;
    case FAIL_AFTER_MESSAGE:
        answer(up, "14", true);
        break;
    case RESET:
        close_up(up, FG_H2_CLOSED_PEER_RESET, FG_H2_INTERNAL_ERROR);
        break;
    case REFUSE:
        close_up(up, FG_H2_CLOSED_PEER_RESET, FG_H2_REFUSED_STREAM);
        break;
    case KILL:
        link->goaway = true;
        lose(link, FG_H2_CLOSED_CONNECTION);
        break;
    case GOAWAY:
        link->goaway = true;
        close_up(up, FG_H2_CLOSED_GOAWAY, FG_H2_NO_ERROR);
        break;
    case HANG: /* not for ever: a call may have no deadline */
        up->deed = KILL;
        up->due_ns = s->now_ns + 2 * FG_S;
        break;
    }
}

/* ---- a step ---- */

static void run_links(struct sim *s)
{
    for (struct fg_list *node = s->links.next, *next; node != &s->links; node = next) {
        struct link *link = FG_LIST_ENTRY(node, struct link, node);
        const struct fg_conn_events *events = link->conn.side->events;
        next = node->next;
        if (link->ready_ns <= s->now_ns && !link->fails) {
            link->ready_ns = FG_NEVER;
            link->conn.state = FG_CONN_OPEN;
            link->is_ready = true;
            events->on_slots(&link->conn);
        }
        bool over = (link->ready_ns <= s->now_ns && link->fails) ||
                    (link->ready_ns == FG_NEVER && link->open == 0 && (link->goaway || link->conn.why));
        if (over) {
            link->is_ready = false;
            link->conn.state = FG_CONN_CLOSED;
            fg_list_remove(&link->conn.flush.node);
            events->on_closed(&link->conn, "sim");
            fg_list_remove(&link->node);
            free(link);
            next = s->links.next; /* the list may have changed */
        } else if (link->is_ready && link->open < link->limit) {
            events->on_slots(&link->conn);
        }
    }
}

static void run_ups(struct sim *s)
{
    for (struct fg_list *node = s->ups.next; node != &s->ups;) {
        struct up *up = FG_LIST_ENTRY(node, struct up, node);
        node = node->next;
        if (!up->stream.events) {
            up_free(up);
            continue;
        }
        if (up->to_tell > 0) {
            size_t bytes = up->to_tell;
            up->to_tell = 0;
            up->stream.events->on_sent(&up->stream, bytes);
        }
        if (up->ended && !up->began) {
            up->began = true;
            up->deed = choose_deed(s, up->link->endpoint);
            up->due_ns = s->now_ns + (1 + draw(s, draw(s, 4) == 0 ? 400 : 20)) * FG_MS;
        }
        if (up->due_ns <= s->now_ns) {
            do_deed(s, up);
            node = s->ups.next; /* anything may have ended */
        }
    }
}

static void run_downs(struct sim *s)
{
    for (unsigned i = 0; i < s->begun; i++) {
        struct down *down = &s->downs[i];
        if (down->live && down->to_tell > 0) {
            size_t bytes = down->to_tell;
            down->to_tell = 0;
            down->stream.events->on_sent(&down->stream, bytes);
        }
        if (down->live && down->pieces > 0 && !down->finished && draw(s, 2))
            send_piece(s, down);
        if (down->live && (down->finished || down->closing))
            close_down(s, down, FG_H2_CLOSED_COMPLETE);
        if (down->live && down->cancel_ns <= s->now_ns)
            close_down(s, down, FG_H2_CLOSED_PEER_RESET);
    }
}

static void run_loops(struct sim *s)
{
    for (int i = 0; i < WORKERS; i++) {
        struct fg_loop *loop = &s->workers[i].loop;
        loop->now_ns = s->now_ns;
        fg_timers_run(&loop->timers, s->now_ns);
        for (struct fg_mail *mail; (mail = loop->mail_head);) {
            loop->mail_head = mail->next;
            if (!loop->mail_head)
                loop->mail_tail = NULL;
            mail->run(mail);
        }
        while (!fg_list_empty(&loop->turn_tasks)) {
            struct fg_turn_task *task = FG_LIST_FIRST(&loop->turn_tasks, struct fg_turn_task, node);
            fg_list_remove(&task->node);
            task->on_turn_end(task);
        }
    }
}

static bool is_somebody_awake(const struct sim *s)
{
    for (int i = 0; i < WORKERS; i++)
        if (s->workers[i].loop.mail_head || !fg_list_empty(&s->workers[i].loop.turn_tasks))
            return true;
    return false;
}

/* ---- what must hold ---- */

static void check_call(const struct sim *s, const struct fg_call *call)
{
    const uint64_t tick_ns = 2 * FG_MS;

    if (call->answered)
        return;
    expect(s, call->deadline_ns == FG_NEVER || s->now_ns <= call->deadline_ns + tick_ns, "a call past its deadline",
           s->now_ns, call->deadline_ns);
    FG_LIST_EACH (node, &call->attempts) {
        const struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        uint64_t limit_ns = call->cluster->config->limits.pending_timeout_ns;
        expect(s, !attempt->queued_ns || s->now_ns <= attempt->queued_ns + limit_ns + tick_ns,
               "a call that waits too long", s->now_ns - attempt->queued_ns, limit_ns);
    }
}

static void check_breaker(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                          struct fg_breaker *breaker)
{
    const struct sim *s = context;
    const struct fg_config_breaker *config = &s->config->clusters[0].breaker;
    struct fg_breaker_info info;
    (void)cluster;
    (void)endpoint;
    (void)method;

    fg_breaker_describe(breaker, config, s->now_ns, &info);
    expect(s, info.permits_out <= config->half_open_calls, "permits out", info.permits_out, config->half_open_calls);
}

static void check_invariants(struct sim *s)
{
    const struct fg_config_cluster *config = &s->config->clusters[0];
    struct fg_gate_info info;
    uint64_t inside = 0, waiting = 0, permits = 0;

    fg_gate_describe(s->gate, &config->limits, &info);
    for (int i = 0; i < WORKERS; i++) {
        FG_LIST_EACH (node, &s->workers[i].env.calls) {
            const struct fg_call *call = FG_LIST_ENTRY(node, struct fg_call, node);
            check_call(s, call);
            permits += call->has_permit;
            FG_LIST_EACH (a, &call->attempts) {
                const struct fg_attempt *attempt = FG_LIST_ENTRY(a, struct fg_attempt, node);
                inside += attempt->is_inside;
                waiting += attempt->queued_ns != 0;
                permits += attempt->has_permit;
            }
        }
    }
    expect(s, info.in_progress[FG_GATE_ACTIVE] + info.in_progress[FG_GATE_LONG] == inside, "attempts inside",
           info.in_progress[0] + info.in_progress[1], inside);
    expect(s, info.in_progress[FG_GATE_ACTIVE] <= config->limits.streams, "limits.streams",
           info.in_progress[FG_GATE_ACTIVE], config->limits.streams);
    expect(s, info.pending == waiting && waiting <= config->limits.pending, "limits.pending", info.pending, waiting);
    expect(s, info.retries == permits && (config->limits.retries == 0 || permits <= config->limits.retries),
           "limits.retries", info.retries, permits);
    for (unsigned i = 0; i < s->begun; i++)
        expect(s, s->downs[i].idempotent || s->effects[i] <= 1, "effects of a call that is not idempotent",
               s->effects[i], 1);
    fg_breaker_each(s->breakers, check_breaker, s);
}

/* ---- a schedule ---- */

static void on_attempt(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    (void)context;
    (void)call;
    (void)outcome;
}

/* At most max_ejected of the endpoints are refused: a call that all of them refuse would break that. */
static void on_call(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    struct worker *w = context;
    struct sim *s = w->sim;
    const struct fg_config_breaker *config = &s->config->clusters[0].breaker;
    (void)call;

    s->seen[outcome->source]++;
    s->ok += outcome->code == FG_STATUS_OK;
    s->retried += outcome->attempt > 1;
    if (outcome->reason && strcmp(outcome->reason, "BREAKER_OPEN") == 0)
        expect(s, config->max_ejected * ENDPOINTS >= ENDPOINTS, "all endpoints refuse", ENDPOINTS,
               (uint64_t)(config->max_ejected * ENDPOINTS));
}

#define REPORT_NS (7 * FG_MS)

static void on_report(void *context, const struct fg_call *call, const struct fg_outcome *outcome, struct fg_wait wait)
{
    struct worker *w = context;
    uint64_t age_ns = outcome->end_ns - outcome->start_ns;

    expect(w->sim, !call->ended && outcome->end_ns == w->loop.now_ns, "reports of calls that have ended", call->number,
           0);
    expect(w->sim, age_ns >= REPORT_NS, "age of a call that is reported", age_ns, REPORT_NS);
    expect(w->sim, wait.since_ns <= w->loop.now_ns, "since when a call waits", wait.since_ns, w->loop.now_ns);
    w->sim->reports++;
}

static void wake(void *context, unsigned to, unsigned from)
{
    struct sim *s = context;
    struct worker *w = &s->workers[to];

    if (to == from)
        fg_loop_at_turn_end(&w->loop, &w->cluster.turn_task);
    else
        fg_mailbox_post(&w->loop, &w->cluster.turn_mail);
}

static void on_turn_end(struct fg_turn_task *task)
{
    struct fg_cluster *cluster = FG_CONTAINER_OF(task, struct fg_cluster, turn_task);
    fg_turn_woken(&((struct worker *)cluster->owner)->env, cluster);
}

static void on_turn_mail(struct fg_mail *mail)
{
    struct fg_cluster *cluster = FG_CONTAINER_OF(mail, struct fg_cluster, turn_mail);
    fg_turn_woken(&((struct worker *)cluster->owner)->env, cluster);
}

static struct fg_config *make_config(struct sim *s)
{
    char text[2048];
    struct fg_config *config;
    struct fg_config_errors errors;

    snprintf(
        text, sizeof text,
        "workers: %d\nlisteners: [{address: 127.0.0.1:1}]\nroutes:\n"
        "- {match: {method: s/Again}, cluster: c, priority_header: x-priority,\n"
        "   retry: {attempts: %u, idempotent: true, backoff: {initial: 5ms, max: 50ms}%s}}\n"
        "- {match: {method: s/Once}, cluster: c, retry: {attempts: 3, backoff: {initial: 5ms, max: 50ms}}}\n"
        "clusters:\n  c:\n    endpoints: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4']\n"
        "    balance: %s\n"
        "    breaker: {consecutive_failures: %u, open_for: %ums, half_open_calls: %u, max_ejected: %u%%, window: 1s}\n"
        "    limits: {streams: %u, pending: %u, pending_timeout: %ums, retries: %u, connections: %u}\n"
        "    retry_throttle: {max_tokens: %u}\n",
        WORKERS, 2 + (unsigned)draw(s, 4), draw(s, 3) == 0 ? ", hedge_delay: 10ms" : "",
        draw(s, 2) ? "round_robin" : "least_request", 2 + (unsigned)draw(s, 5), 20 + (unsigned)draw(s, 200),
        1 + (unsigned)draw(s, 4), draw(s, 2) ? 100u : 50u, 2 + (unsigned)draw(s, 12), (unsigned)draw(s, 30),
        20 + (unsigned)draw(s, 500), (unsigned)draw(s, 5), 1 + (unsigned)draw(s, 3), (unsigned)draw(s, 30));
    if (fg_config_parse("sim", text, strlen(text), &config, &errors) != 0) {
        fg_config_errors_print(&errors, "sim", stderr);
        exit(1);
    }
    return config;
}

static void init_worker(struct sim *s, unsigned i)
{
    struct worker *w = &s->workers[i];
    char error[200];

    w->sim = s;
    if (fg_loop_init(&w->loop) != 0 || fg_cluster_init(&w->cluster, &s->config->clusters[0], &w->loop, &w->stats, NULL,
                                                       s->seed + i, error, sizeof error) != 0)
        abort();
    w->loop.now_ns = s->now_ns;
    fg_timers_init(&w->loop.timers, s->now_ns);
    w->cluster.owner = w;
    w->cluster.gate = s->gate;
    w->cluster.tokens = &s->tokens;
    w->cluster.is_gated = w->cluster.has_classes = true;
    w->cluster.turns = fg_alloc_zero(FG_GATE_ROOMS * sizeof *w->cluster.turns);
    w->cluster.turn_task.on_turn_end = on_turn_end;
    fg_list_init(&w->cluster.turn_task.node);
    w->cluster.turn_mail.run = on_turn_mail;
    for (size_t e = 0; e < w->cluster.endpoints_len; e++)
        w->cluster.endpoints[e].breaker =
            fg_breaker_get(s->breakers, w->cluster.name, w->cluster.endpoints[e].name, FG_STR(""));
    w->client.side = &w->cluster.side;
    w->client.engine = &fg_h2_engine;
    w->env = (struct fg_call_env){.loop = &w->loop,
                                  .stats = &w->stats,
                                  .config = s->config,
                                  .clusters = &w->cluster,
                                  .breakers = s->breakers,
                                  .learned = s->learned,
                                  .limiter = s->limiter,
                                  .sink = {on_attempt, on_call, w},
                                  .worker = i,
                                  .random = s->seed + i + 1};
    fg_list_init(&w->env.calls);
    fg_call_reports_init(&w->env.reports, &w->env, s->seed % 4 == 0 ? 0 : REPORT_NS);
    w->env.reports.on_report = on_report;
    w->env.reports.context = w;
}

static uint64_t next_event(struct sim *s)
{
    uint64_t next_ns = s->now_ns + (1 + draw(s, 10)) * FG_MS;

    for (int i = 0; i < WORKERS; i++)
        next_ns = FG_MIN(next_ns, FG_MAX(fg_timers_next_ns(&s->workers[i].loop.timers), s->now_ns + 1));
    return next_ns;
}

static bool is_over(const struct sim *s)
{
    for (int i = 0; i < WORKERS; i++)
        if (!fg_list_empty(&s->workers[i].env.calls))
            return false;
    return s->begun == CALLS && fg_list_empty(&s->ups);
}

static void finish(struct sim *s)
{
    struct fg_gate_info info;

    fg_gate_describe(s->gate, &s->config->clusters[0].limits, &info);
    expect(s, info.in_progress[0] + info.in_progress[1] + info.pending + info.retries == 0, "left at rest",
           info.in_progress[0] + info.in_progress[1] + info.pending + info.retries, 0);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *w = &s->workers[i];
        expect(s, w->stats.calls_started == w->stats.calls_ended, "calls", w->stats.calls_started,
               w->stats.calls_ended);
        expect(s, fg_list_empty(&w->env.reports.waiting), "calls to be reported", (uint64_t)i, 0);
        expect(s, w->stats.attempts_started == w->stats.attempts_ended, "attempts", w->stats.attempts_started,
               w->stats.attempts_ended);
        for (size_t e = 0; e < w->cluster.endpoints_len; e++)
            expect(s, w->cluster.endpoints[e].active == 0, "active at an endpoint", w->cluster.endpoints[e].active, 0);
        expect(s, fg_gate_waiting_of(s->gate, (unsigned)i, FG_GATE_SLOT, 1) == 0, "waiting", 1, 0);
    }
}

static void cleanup(struct sim *s)
{
    while (!fg_list_empty(&s->links)) {
        struct link *link = FG_LIST_FIRST(&s->links, struct link, node);
        fg_list_remove(&link->conn.flush.node);
        fg_list_remove(&link->node);
        free(link);
    }
    for (int i = 0; i < WORKERS; i++) {
        fg_cluster_cleanup(&s->workers[i].cluster);
        fg_loop_cleanup(&s->workers[i].loop);
    }
    fg_gate_free(s->gate);
    fg_breaker_registry_free(s->breakers);
    fg_learned_table_free(s->learned);
    fg_rate_limiter_free(s->limiter);
    fg_config_unref(s->config);
}

static void run_seed(struct sim *s, uint64_t seed)
{
    *s = (struct sim){.seed = seed, .random = seed, .now_ns = FG_S};
    current = s;
    fg_list_init(&s->links);
    fg_list_init(&s->ups);
    s->config = make_config(s);
    s->gate = fg_gate_new(WORKERS, wake, s);
    s->breakers = fg_breaker_registry_new(100);
    s->learned = fg_learned_table_new(10);
    s->limiter = fg_rate_limiter_new(10);
    for (unsigned i = 0; i < WORKERS; i++)
        init_worker(s, i);
    for (s->step = 0; !is_over(s); s->step++) {
        expect(s, s->step < STEPS_MAX, "steps without an end", s->step, STEPS_MAX);
        if (s->step % 40 == 0)
            for (int e = 0; e < ENDPOINTS; e++)
                s->sick[e] = s->begun < CALLS && draw(s, 3) == 0 ? (unsigned)draw(s, 101) : (unsigned)draw(s, 5);
        for (uint64_t n = draw(s, 8) == 0 ? draw(s, 12) : draw(s, 2); n > 0 && s->begun < CALLS; n--)
            begin_call(s);
        run_downs(s);
        run_ups(s);
        run_links(s);
        do { /* what one worker does may wake another one in the same moment */
            run_downs(s);
            run_loops(s);
        } while (is_somebody_awake(s));
        check_invariants(s);
        s->now_ns = next_event(s);
        for (int i = 0; i < WORKERS; i++)
            s->workers[i].loop.now_ns = s->now_ns;
    }
    finish(s);
    cleanup(s);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t ok = 0, retried = 0, reports = 0, steps = 0, seen[FG_SOURCE_LEN] = {0};
    static struct sim s;

    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run_seed(&s, seed);
        ok += s.ok;
        retried += s.retried;
        reports += s.reports;
        steps += s.step;
        for (int i = 0; i < FG_SOURCE_LEN; i++)
            seen[i] += s.seen[i];
    }
    printf("%" PRIu64 " schedules, %" PRIu64 " steps, %" PRIu64 " calls: %" PRIu64 " OK, %" PRIu64
           " with more than one attempt\n",
           seeds, steps, seeds * CALLS, ok, retried);
    for (int i = 0; i < FG_SOURCE_LEN; i++)
        if (seen[i] > 0)
            printf("  %s %" PRIu64 "\n", fg_source_name((enum fg_source)i), seen[i]);
    printf("  reports of calls in progress %" PRIu64 "\n", reports);
    return reports > 0 || seeds < 20 ? 0 : 1; /* many seeds, and none has a call that lasts */
}
