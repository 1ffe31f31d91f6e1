/* The upstream half of a call: one try on one endpoint. */
#include "call/call.h"

#include <assert.h>

static void on_slot(struct fg_slot_wait *slot, struct fg_conn *conn);
static void on_failed(struct fg_slot_wait *slot, const char *why);

/* ---- choosing an endpoint ---- */

struct choice {
    struct fg_call *call;
    uint64_t now_ns;
};

static const struct fg_config_breaker *breaker_config(const struct fg_call *call)
{
    return &call->cluster->config->breaker;
}

static struct fg_breaker *method_breaker(const struct fg_call *call, const struct fg_endpoint *endpoint)
{
    return fg_breaker_get(call->env->breakers, call->cluster->name, endpoint->name, call->path);
}

static bool admits(void *context, struct fg_endpoint *endpoint)
{
    const struct choice *choice = context;
    const struct fg_config_breaker *config = breaker_config(choice->call);

    return fg_breaker_admits(endpoint->breaker, config, choice->now_ns) &&
           fg_breaker_admits(method_breaker(choice->call, endpoint), config, choice->now_ns);
}

static bool admits_all(void *context, struct fg_endpoint *endpoint)
{
    (void)context;
    (void)endpoint;
    return true;
}

/* Takes the permits of both circuits, or none. */
static bool ask_breakers(struct fg_attempt *attempt, uint64_t now_ns)
{
    const struct fg_config_breaker *config = breaker_config(attempt->call);

    attempt->breaker = method_breaker(attempt->call, attempt->endpoint);
    if (fg_breaker_ask(attempt->endpoint->breaker, config, now_ns, &attempt->rollup_ticket) == FG_BREAKER_REFUSE)
        return false;
    if (fg_breaker_ask(attempt->breaker, config, now_ns, &attempt->ticket) != FG_BREAKER_REFUSE)
        return true;
    fg_breaker_report(attempt->endpoint->breaker, config, FG_CLASS_IGNORED, attempt->rollup_ticket, now_ns);
    return false;
}

/* Do breakers refuse more of the cluster than max_ejected allows (at least one endpoint)? Then the refused ones are
 * used as well: too many bad endpoints say more about the load, or the breaker, than about them (Envoy's panic
 * threshold). */
static bool too_many_refused(struct choice *choice)
{
    struct fg_cluster *cluster = choice->call->cluster;
    size_t allowed = (size_t)(cluster->config->breaker.max_ejected * (double)cluster->endpoints_len), refused = 0;

    for (size_t i = 0; i < cluster->endpoints_len; i++)
        refused += !admits(choice, &cluster->endpoints[i]);
    return refused > FG_MAX(allowed, (size_t)1);
}

/* The endpoint that would have been taken has refused the call: its circuits count that. */
static void count_refusal(struct fg_call *call, uint64_t now_ns)
{
    const struct fg_config_breaker *config = breaker_config(call);
    struct fg_endpoint *endpoint = fg_cluster_pick(call->cluster, admits_all, NULL);
    struct fg_breaker *both[] = {endpoint->breaker, method_breaker(call, endpoint)};

    for (size_t i = 0; i < FG_ARRAY_LEN(both); i++) {
        uint32_t ticket = 0;
        if (fg_breaker_admits(both[i], config, now_ns))
            continue;
        if (fg_breaker_ask(both[i], config, now_ns, &ticket) !=
            FG_BREAKER_REFUSE) /* it has changed its mind just now */
            fg_breaker_report(both[i], config, FG_CLASS_IGNORED, ticket, now_ns);
    }
    FG_COUNT(call->env->stats, breaker_refusals);
}

static struct fg_endpoint *choose(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    const struct fg_config_breaker *config = breaker_config(call);
    struct choice choice = {call, call->env->loop->now_ns};

    if (!config->enabled || (config->max_ejected < 1.0 && too_many_refused(&choice)))
        return fg_cluster_pick(call->cluster, admits_all, NULL);
    /* Another worker may take the last permit between the look and the asking: look again, a few times at most. */
    for (int tries = 0; tries < 4; tries++) {
        attempt->endpoint = fg_cluster_pick(call->cluster, admits, &choice);
        if (!attempt->endpoint)
            break;
        if (ask_breakers(attempt, choice.now_ns))
            return attempt->endpoint;
    }
    attempt->breaker = NULL;
    return NULL;
}

/* Why no endpoint takes the call: the circuit that lets a probe through first speaks for all. */
static struct fg_reply breaker_reply(struct fg_call *call)
{
    const struct fg_config_breaker *config = breaker_config(call);
    struct fg_arena *arena = call->down->arena;
    uint64_t now_ns = call->env->loop->now_ns;
    struct fg_breaker_info best = {.retry_in_ns = UINT64_MAX};
    struct fg_endpoint *guilty = &call->cluster->endpoints[0];

    for (size_t i = 0; i < call->cluster->endpoints_len; i++) {
        struct fg_endpoint *endpoint = &call->cluster->endpoints[i];
        struct fg_breaker *both[] = {endpoint->breaker, method_breaker(call, endpoint)};
        for (size_t b = 0; b < FG_ARRAY_LEN(both); b++) {
            struct fg_breaker_info info;
            fg_breaker_describe(both[b], config, now_ns, &info);
            if (info.state == FG_BREAKER_CLOSED || info.retry_in_ns >= best.retry_in_ns)
                continue;
            best = info;
            guilty = endpoint;
        }
    }
    if (best.retry_in_ns == UINT64_MAX) /* it closed in this moment */
        best = (struct fg_breaker_info){.cause = "", .retry_in_ns = 0};
    struct fg_reply reply = fg_reply_make(
        FG_REASON_BREAKER_OPEN,
        fg_arena_printf(
            arena, "every endpoint of cluster %s is refused by its breaker; %.*s: %s %g of %g, next probe in %llu ms",
            call->cluster->config->name, (int)guilty->name.len, guilty->name.p, best.cause, best.observed,
            best.threshold, (unsigned long long)(best.retry_in_ns / FG_MS)));
    fg_reply_add(&reply, "endpoint", guilty->name);
    fg_reply_add(&reply, "cause", fg_str_from(best.cause));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%g", best.observed));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%g", best.threshold));
    reply.retry_after_ns = FG_MAX(best.retry_in_ns, FG_MS);
    return reply;
}

/* ---- the end of an attempt ---- */

static void end(struct fg_attempt *attempt, enum fg_status code, enum fg_source source)
{
    struct fg_call *call = attempt->call;
    struct fg_outcome *outcome = &attempt->outcome;
    const struct fg_config_breaker *config = breaker_config(call);
    uint64_t now_ns = call->env->loop->now_ns;

    assert(!attempt->ended);
    attempt->ended = true;
    outcome->code = code;
    outcome->source = source;
    outcome->end_ns = now_ns;
    outcome->bytes_up = call->bytes_up;
    outcome->bytes_down = call->bytes_down;
    outcome->messages_up = call->up_framing.messages;
    outcome->messages_down = call->down_framing.messages;
    outcome->class = fg_outcome_classify(code, source, outcome->phase);
    if (attempt->breaker) {
        fg_breaker_report(attempt->breaker, config, outcome->class, attempt->ticket, now_ns);
        fg_breaker_report(attempt->endpoint->breaker, config, outcome->class, attempt->rollup_ticket, now_ns);
    }
    attempt->endpoint->active--;
    FG_COUNT(call->env->stats, attempts_ended);
    call->env->sink.on_attempt(call->env->sink.context, outcome);
}

static void leave_queue(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    if (!attempt->queued_ns)
        return;
    fg_endpoint_cancel(&attempt->slot);
    attempt->outcome.stall_ns[FG_WAIT_STREAM_SLOT] += call->env->loop->now_ns - attempt->queued_ns;
    attempt->queued_ns = 0;
    if (call->deadline_ns == FG_NEVER)
        fg_timer_cancel(&call->env->loop->timers, &call->timer);
    else
        fg_timer_arm(&call->env->loop->timers, &call->timer, call->deadline_ns);
}

static void let_go(struct fg_attempt *attempt, uint32_t code)
{
    struct fg_stream *up = attempt->up;

    attempt->up = NULL;
    if (!up)
        return;
    up->ops->add_stalls(up, attempt->outcome.stall_ns);
    fg_stream_reset(up, code);
}

void fg_attempt_cancel(struct fg_attempt *attempt, enum fg_status code, enum fg_source source)
{
    leave_queue(attempt);
    let_go(attempt, FG_H2_CANCEL);
    if (!attempt->ended)
        end(attempt, code, source);
}

/* The endpoint failed without a status of its own: ends the attempt, tells the caller. */
static void fail(struct fg_attempt *attempt, struct fg_reply *reply)
{
    struct fg_call *call = attempt->call;

    attempt->outcome.rst_code = reply->rst_code;
    attempt->outcome.reason = fg_reason_name(reply->reason);
    fg_reply_add(reply, "endpoint", attempt->endpoint->name);
    leave_queue(attempt);
    let_go(attempt, FG_H2_CANCEL);
    end(attempt, reply->code, reply->source);
    fg_call_fail(call, reply);
}

/* ---- answers ---- */

static void answer_ends(struct fg_attempt *attempt, const struct fg_headers *fields, enum fg_source source)
{
    struct fg_call *call = attempt->call;
    const struct fg_header *field = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    enum fg_status code = FG_STATUS_UNKNOWN;

    if (field)
        fg_status_parse(field->value, &code);
    attempt->outcome.phase = FG_PHASE_DONE;
    attempt->outcome.safe_to_retry = FG_SAFE_PROCESSED;
    attempt->up->ops->add_stalls(attempt->up, attempt->outcome.stall_ns);
    end(attempt, code, field ? source : FG_SOURCE_MISSING_STATUS);
    call->outcome.code = code;
    call->outcome.source = attempt->outcome.source;
    call->answered = true;
}

/* After the answer: an endpoint that has not read the whole request need not. */
static void settle(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    fg_timer_cancel(&call->env->loop->timers, &call->timer);
    if (attempt->up && !attempt->up->ops->local_ended(attempt->up))
        let_go(attempt, FG_H2_NO_ERROR);
    if (!call->request_ended && call->down)
        fg_stream_reset_after_end(call->down, FG_H2_NO_ERROR);
}

static void no_status(struct fg_attempt *attempt)
{
    struct fg_reply reply =
        fg_reply_make(FG_REASON_UPSTREAM_NO_STATUS, FG_STR("the endpoint ended the stream without grpc-status"));
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    fail(attempt, &reply);
}

static bool is_grpc(const struct fg_headers *headers)
{
    const struct fg_header *type = fg_headers_get(headers, FG_TOKEN_CONTENT_TYPE);
    return type && fg_grpc_is_content_type(type->value);
}

static unsigned parse_http_status(const struct fg_headers *headers)
{
    const struct fg_header *status = fg_headers_get(headers, FG_TOKEN_STATUS);
    unsigned n = 0;
    for (size_t i = 0; status && i < status->value.len; i++)
        n = n * 10 + (unsigned)(status->value.p[i] - '0'); /* the engine let only three digits through */
    return n;
}

/* Not an answer of a gRPC service: some proxy or web server between says no (http-grpc-status-mapping.md). */
static void http_answer(struct fg_attempt *attempt, unsigned http_status, const struct fg_headers *headers)
{
    struct fg_arena *arena = attempt->call->down->arena;
    const struct fg_header *type = fg_headers_get(headers, FG_TOKEN_CONTENT_TYPE);
    struct fg_reply reply = fg_reply_make(
        FG_REASON_UPSTREAM_HTTP_STATUS,
        fg_arena_printf(arena, "the endpoint answered with HTTP status %u and content-type \"%.*s\", not with gRPC",
                        http_status, type ? (int)FG_MIN(type->value.len, (size_t)100) : 0, type ? type->value.p : ""));
    reply.code = fg_status_from_http(http_status);
    fg_reply_add(&reply, "http_status", fg_arena_printf(arena, "%u", http_status));
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    fail(attempt, &reply);
}

static void on_response(struct fg_attempt *attempt, struct fg_headers *headers, bool end_stream)
{
    struct fg_call *call = attempt->call;
    unsigned http_status = parse_http_status(headers);
    bool has_status = fg_headers_get(headers, FG_TOKEN_GRPC_STATUS) != NULL;

    attempt->outcome.http_status = http_status;
    attempt->outcome.headers_ns = attempt->last_data_ns;
    attempt->outcome.phase = FG_PHASE_HEADERS;
    if (!has_status && (http_status != 200 || !is_grpc(headers))) {
        http_answer(attempt, http_status, headers);
        return;
    }
    if (!end_stream) {
        call->headers_sent = true;
        call->dialect->send_headers(call, headers);
        return;
    }
    if (!has_status) {
        no_status(attempt);
        return;
    }
    answer_ends(attempt, headers, FG_SOURCE_TRAILERS_ONLY);
    call->dialect->send_trailers_only(call, headers);
    settle(attempt);
}

static void too_large(struct fg_attempt *attempt)
{
    struct fg_reply reply =
        fg_reply_make(FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                      FG_STR("the endpoint's header list is over http2.max_header_list or max_header_fields"));
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    fail(attempt, &reply);
}

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_attempt *attempt = stream->user;
    struct fg_call *call = attempt->call;

    attempt->last_data_ns = call->env->loop->now_ns;
    if (flags & FG_H2_INFORMATIONAL)
        return; /* gRPC has no use for 1xx */
    if (flags & FG_H2_TOO_LARGE) {
        too_large(attempt);
        return;
    }
    if (!(flags & FG_H2_TRAILERS)) {
        on_response(attempt, headers, flags & FG_H2_END_STREAM);
        return;
    }
    if (!fg_headers_get(headers, FG_TOKEN_GRPC_STATUS)) {
        no_status(attempt);
        return;
    }
    answer_ends(attempt, headers, FG_SOURCE_TRAILERS);
    call->dialect->send_trailers(call, headers);
    settle(attempt);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end_stream)
{
    struct fg_attempt *attempt = stream->user;
    struct fg_call *call = attempt->call;

    attempt->last_data_ns = call->env->loop->now_ns;
    call->bytes_down += buf.len;
    if (fg_grpc_framing_feed(&call->down_framing, buf.data, buf.len) != 0) {
        struct fg_reply reply = fg_reply_make(FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                                              FG_STR("a message of the endpoint has a bad compression flag"));
        attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
        fail(attempt, &reply);
        return;
    }
    if (attempt->outcome.phase == FG_PHASE_HEADERS && call->down_framing.messages > 0) {
        attempt->outcome.phase = FG_PHASE_MESSAGES;
        attempt->outcome.first_message_ns = attempt->last_data_ns;
    }
    if (buf.len > 0)
        call->dialect->send_data(call, fg_buf_ref(buf));
    if (end_stream)
        no_status(attempt);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct fg_attempt *attempt = stream->user;
    if (attempt->call->down)
        fg_stream_consume(attempt->call->down, bytes);
}

/* ---- the stream ends without an answer ---- */

static struct fg_reply close_reply(struct fg_attempt *attempt, const struct fg_h2_close *why)
{
    struct fg_arena *arena = attempt->call->down->arena;
    const char *name = fg_h2_error_name(why->code);
    struct fg_reply reply;

    switch (why->by) {
    case FG_H2_CLOSED_PEER_RESET:
        reply = fg_reply_make(FG_REASON_UPSTREAM_RESET,
                              fg_arena_printf(arena, "the endpoint reset the stream with %s", name));
        reply.code = fg_status_from_h2_error(why->code);
        attempt->outcome.safe_to_retry = why->code == FG_H2_REFUSED_STREAM ? FG_SAFE_REFUSED : FG_SAFE_UNKNOWN;
        break;
    case FG_H2_CLOSED_GOAWAY:
        reply = fg_reply_make(FG_REASON_UPSTREAM_REFUSED,
                              fg_arena_printf(arena, "the endpoint did not process the call (GOAWAY %s)", name));
        attempt->outcome.safe_to_retry = FG_SAFE_REFUSED;
        break;
    case FG_H2_CLOSED_FAULT:
        reply = fg_reply_make(FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                              fg_arena_printf(arena, "the endpoint broke HTTP/2: %s", why->reason));
        attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
        break;
    default:
        reply = fg_reply_make(FG_REASON_UPSTREAM_CONNECTION_LOST,
                              fg_arena_printf(arena, "the connection to the endpoint was lost: %s", why->reason));
        attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
        break;
    }
    reply.rst_code = why->code;
    return reply;
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fg_attempt *attempt = stream->user;

    attempt->up = NULL;
    if (attempt->ended)
        return; /* the answer is complete; a reset after it takes nothing away (RFC 9113 section 8.1) */
    stream->ops->add_stalls(stream, attempt->outcome.stall_ns);
    struct fg_reply reply = close_reply(attempt, why);
    fail(attempt, &reply);
}

static const struct fg_stream_events up_events = {on_headers, on_data, on_sent, on_close};

/* ---- sending ---- */

void fg_attempt_send_data(struct fg_attempt *attempt, struct fg_buf buf, bool end_stream)
{
    fg_stream_send_data(attempt->up, fg_buf_ref(buf), end_stream);
}

static bool is_hop_by_hop(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_TE: /* "trailers" is set anew */
    case FG_TOKEN_GRPC_TIMEOUT:
    case FG_TOKEN_SCHEME:
    case FG_TOKEN_HOST: /* equal to :authority, which goes on */
    case FG_TOKEN_HTTP2_SETTINGS:
        return true;
    default:
        return false;
    }
}

/* The request as the endpoint gets it: pseudo-headers first, then what the client sent, then our own. */
static void build_request(struct fg_attempt *attempt, struct fg_headers *out)
{
    struct fg_call *call = attempt->call;
    struct fg_arena *arena = call->down->arena;
    bool tls = call->cluster->side.tls != NULL;
    const struct fg_header *host = fg_headers_get(&call->request, FG_TOKEN_HOST);

    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_SCHEME, tls ? FG_STR("https") : FG_STR("http"));
    if (host && !fg_headers_get(&call->request, FG_TOKEN_AUTHORITY))
        fg_headers_add_token(out, arena, FG_TOKEN_AUTHORITY, host->value);
    for (uint32_t i = 0; i < call->request.len; i++)
        if (!is_hop_by_hop(&call->request.items[i]))
            *fg_headers_add_slot(out, arena) = call->request.items[i];
    fg_headers_add_token(out, arena, FG_TOKEN_TE, FG_STR("trailers"));
    if (call->deadline_ns != FG_NEVER) {
        char *text = fg_arena_alloc(arena, FG_GRPC_TIMEOUT_MAX);
        uint64_t now_ns = call->env->loop->now_ns;
        uint64_t left_ns = call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0;
        fg_headers_add_token(out, arena, FG_TOKEN_GRPC_TIMEOUT,
                             (struct fg_str){text, fg_grpc_timeout_format(left_ns, text)});
    }
}

static void send_request(struct fg_attempt *attempt, struct fg_conn *conn)
{
    struct fg_call *call = attempt->call;
    struct fg_headers headers;
    bool no_body = call->request_ended && !call->early_head;

    build_request(attempt, &headers);
    attempt->up = fg_conn_request(conn, &headers, no_body, &up_events, attempt);
    attempt->outcome.phase = FG_PHASE_SENT;
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    attempt->last_data_ns = call->env->loop->now_ns;
    if (call->route->priority != 1 || call->route->weight != 1)
        attempt->up->ops->set_priority(attempt->up, 2 * (1 - (int)call->route->priority), call->route->weight);
    while (call->early_head && attempt->up) {
        struct fg_seg *seg = call->early_head;
        call->early_head = seg->next;
        bool last = call->early_head == NULL;
        fg_stream_send_data(attempt->up, (struct fg_buf){seg->chunk, seg->data, seg->len}, last && call->request_ended);
        fg_slab_put(&call->env->loop->mem.segments, seg);
    }
    call->early_tail = NULL;
}

/* ---- events of the pool ---- */

static void on_slot(struct fg_slot_wait *slot, struct fg_conn *conn)
{
    struct fg_attempt *attempt = FG_CONTAINER_OF(slot, struct fg_attempt, slot);
    leave_queue(attempt);
    send_request(attempt, conn);
}

static void on_failed(struct fg_slot_wait *slot, const char *why)
{
    struct fg_attempt *attempt = FG_CONTAINER_OF(slot, struct fg_attempt, slot);
    struct fg_reply reply = fg_reply_make(
        FG_REASON_CONNECT_FAILED, fg_arena_printf(attempt->call->down->arena, "no connection to endpoint %.*s: %s",
                                                  (int)attempt->endpoint->name.len, attempt->endpoint->name.p, why));
    fail(attempt, &reply);
}

static void queue_full(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    struct fg_reply reply =
        fg_reply_make(FG_REASON_QUEUE_FULL, FG_STR("too many calls wait for the cluster (limits.pending)"));
    struct fg_str count = fg_arena_printf(call->down->arena, "%u", call->cluster->pending);

    fg_reply_add(&reply, "observed", count);
    fg_reply_add(&reply, "threshold", fg_arena_printf(call->down->arena, "%u", call->cluster->config->limits.pending));
    fail(attempt, &reply);
}

static void wait_for_slot(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    uint64_t give_up_ns = call->env->loop->now_ns + call->cluster->config->limits.pending_timeout_ns;

    attempt->queued_ns = call->env->loop->now_ns;
    attempt->outcome.phase = FG_PHASE_QUEUED;
    if (give_up_ns < call->deadline_ns && call->cluster->config->limits.pending_timeout_ns > 0)
        fg_timer_arm(&call->env->loop->timers, &call->timer, give_up_ns);
}

void fg_attempt_start(struct fg_call *call)
{
    struct fg_attempt *attempt = fg_arena_alloc(call->down->arena, sizeof *attempt);
    struct fg_conn *conn;
    const char *why = "";

    memset(attempt, 0, sizeof *attempt);
    attempt->call = call;
    attempt->number = call->attempt ? call->attempt->number + 1 : 1;
    attempt->endpoint = choose(attempt);
    if (!attempt->endpoint) {
        struct fg_reply reply = breaker_reply(call);
        count_refusal(call, call->env->loop->now_ns);
        fg_call_fail(call, &reply);
        return;
    }
    call->attempt = attempt;
    attempt->endpoint->active++;
    FG_COUNT(call->env->stats, attempts_started);
    attempt->slot.on_slot = on_slot;
    attempt->slot.on_failed = on_failed;
    fg_list_init(&attempt->slot.node);
    attempt->outcome.method = call->path;
    attempt->outcome.cluster = call->cluster->name;
    attempt->outcome.endpoint = attempt->endpoint->name;
    attempt->outcome.start_ns = call->env->loop->now_ns;
    attempt->outcome.attempt = attempt->number;
    switch (fg_endpoint_acquire(attempt->endpoint, &attempt->slot, &conn, &why)) {
    case FG_SLOT_READY:
        send_request(attempt, conn);
        break;
    case FG_SLOT_WAITING:
        wait_for_slot(attempt);
        break;
    case FG_SLOT_FULL:
        queue_full(attempt);
        break;
    case FG_SLOT_FAILED:
        on_failed(&attempt->slot, why);
        break;
    }
}
