/* The downstream half of a call. */
#include "call/call.h"

#include <assert.h>

#include "call/route.h"
#include "call/tap.h"
#include "rpc/descriptor.h"
#include "rpc/message.h"

/* ---- the request's data ---- */

void fg_call_body_sent(struct fg_call *call)
{
    struct fg_attempt *sent = NULL;

    if (!call->body.complete || (!call->committed && call->body.bytes <= call->route->retry.buffer))
        return;
    FG_LIST_EACH (node, &call->attempts) {
        struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        if (attempt->up && !sent)
            sent = attempt;
    }
    if (!sent)
        return;
    /* Too much to be kept: the attempt that has it is the last (gRFC A6, memory management). */
    fg_call_cancel_others(call, sent);
    fg_body_drop(&call->body, &call->env->loop->mem);
}

void fg_call_send_on(struct fg_call *call, struct fg_buf buf, bool end_stream)
{
    if (end_stream)
        call->request_ended = true;
    bool sent = false;

    if (buf.len > 0 && call->body.complete)
        fg_body_append(&call->body, &call->env->loop->mem, call->down->arena, buf);
    FG_LIST_EACH (node, &call->attempts) {
        struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        if (!attempt->up)
            continue;
        fg_attempt_send_data(attempt, buf, end_stream);
        sent = true;
    }
    if (sent)
        fg_call_body_sent(call);
    if (call->deferred && (!call->whole || call->request_ended)) {
        call->deferred = false;
        fg_call_try(call);
    }
}

/* ---- the end ---- */

enum fg_class fg_call_classify(const struct fg_call *call, const struct fg_outcome *outcome)
{
    if (!call->route)
        return fg_outcome_classify(outcome, &fg_outcome_default_sets);
    const struct fg_config_outcomes *sets = &call->route->outcomes;
    return fg_outcome_classify(outcome, &(struct fg_outcome_sets){sets->failure, sets->overload, sets->ignore});
}

/* Its route is known, or that it has none. */
static void tell_start(struct fg_call *call)
{
    if (call->env->sink.on_start)
        call->sink_cell = call->env->sink.on_start(call->env->sink.context, call);
}

/* Of the attempt that answers and of those before it; not of those beside it, which nobody waited for. */
static void add_stalls(struct fg_outcome *outcome, const struct fg_attempt *answering)
{
    for (const struct fg_attempt *at = answering; at; at = at->previous)
        if (at == answering || (at->ended && at->outcome.end_ns <= answering->outcome.start_ns))
            for (int i = 0; i < FG_WAIT_LEN; i++)
                outcome->stall_ns[i] += at->outcome.stall_ns[i];
}

void fg_call_sum(const struct fg_call *call, struct fg_outcome *outcome)
{
    const struct fg_attempt *attempt = fg_call_answering(call);

    if (outcome != &call->outcome)
        *outcome = call->outcome;
    outcome->method = call->path;
    outcome->cluster = call->cluster ? call->cluster->name : FG_STR("");
    outcome->start_ns = call->start_ns;
    outcome->end_ns = call->env->loop->now_ns;
    outcome->bytes_up = call->bytes_up;
    outcome->bytes_down = call->bytes_down;
    outcome->messages_up = call->framing.messages;
    if (attempt) {
        outcome->messages_down = attempt->framing.messages;
        outcome->endpoint = attempt->outcome.endpoint;
        outcome->phase = attempt->outcome.phase;
        outcome->http_status = attempt->outcome.http_status;
        outcome->headers_ns = attempt->outcome.headers_ns;
        outcome->first_message_ns = attempt->outcome.first_message_ns;
        outcome->attempt = attempt->number - (attempt->endpoint == NULL);
        outcome->safe_to_retry = attempt->outcome.safe_to_retry;
        add_stalls(outcome, attempt);
    }
}

static void record(struct fg_call *call)
{
    fg_call_sum(call, &call->outcome);
    call->outcome.class = fg_call_classify(call, &call->outcome);
}

static void end(struct fg_call *call)
{
    assert(!call->ended);
    call->ended = true;
    call->down = NULL;
    fg_timer_cancel(&call->env->loop->timers, &call->timer);
    fg_body_drop(&call->body, &call->env->loop->mem);
    fg_call_drop_permit(call);
    fg_call_drop_held(call);
    if (call->env->scan == &call->node)
        call->env->scan = call->node.next;
    fg_list_remove(&call->node);
    if (call->env->reports.interval_ns)
        fg_list_remove(&call->report_node);
    record(call);
    fg_tap_end(call);
    if (!call->sink_cell) /* it did not come so far as to be routed */
        tell_start(call);
    FG_COUNT(call->env->stats, calls_ended);
    call->env->sink.on_call(call->env->sink.context, call, &call->outcome);
    fg_crash_gone(call);
}

void fg_call_finish(struct fg_call *call)
{
    call->answered = true;
    fg_call_drop_permit(call);
    fg_call_end_pause(call);
    fg_timer_cancel(&call->env->loop->timers, &call->timer);
    if (call->down && !call->request_ended)
        fg_stream_reset_after_end(call->down, FG_H2_NO_ERROR);
}

void fg_call_abort(struct fg_call *call, uint32_t code)
{
    struct fg_stream *down = call->down;

    call->answered = true;
    down->ops->add_stalls(down, call->outcome.stall_ns);
    fg_stream_reset(down, code);
    end(call);
}

void fg_call_cancel_attempts(struct fg_call *call, enum fg_status code, enum fg_source source)
{
    while (!fg_list_empty(&call->attempts))
        fg_attempt_cancel(FG_LIST_FIRST(&call->attempts, struct fg_attempt, node), code, source);
}

void fg_call_fail(struct fg_call *call, const struct fg_reply *reply)
{
    if (call->answered || !call->down)
        return;
    call->outcome.code = reply->code;
    call->outcome.source = reply->source;
    call->outcome.rst_code = reply->rst_code;
    call->outcome.reason = fg_reason_name(reply->reason);
    fg_call_cancel_attempts(call, reply->code, reply->source);
    if (call->env->notes)
        fg_call_note_reply(call, reply);
    fg_tap_reply(call, reply);
    call->dialect->send_reply(call, reply);
    fg_call_finish(call);
}

static bool is_stalled(const struct fg_call *call)
{
    enum fg_wait_cause cause = call->down->ops->wait(call->down).cause;
    return cause == FG_WAIT_STREAM_WINDOW || cause == FG_WAIT_CONNECTION_WINDOW || cause == FG_WAIT_SOCKET;
}

void fg_call_kill(struct fg_call *call)
{
    struct fg_reply reply = fg_reply_make(FG_REASON_KILLED, FG_STR("the call was ended by an operator of the gateway"));

    FG_COUNT(call->env->stats, calls_killed);
    if (!call->answered && !is_stalled(call)) {
        fg_call_fail(call, &reply);
        return;
    }
    call->outcome.code = reply.code;
    call->outcome.source = reply.source;
    call->outcome.reason = fg_reason_name(reply.reason);
    fg_call_cancel_attempts(call, reply.code, reply.source);
    fg_call_abort(call, FG_H2_CANCEL);
}

/* ---- time ---- */

static struct fg_reply time_reply(struct fg_call *call, enum fg_reason reason, const char *what, uint64_t limit_ns,
                                  uint64_t since_ns)
{
    struct fg_arena *arena = call->down->arena;
    const struct fg_attempt *attempt = fg_call_answering(call);
    struct fg_str endpoint = attempt ? attempt->outcome.endpoint : FG_STR("");
    uint64_t observed_ms = (call->env->loop->now_ns - since_ns) / FG_MS;
    struct fg_reply reply =
        fg_reply_make(reason, fg_arena_printf(arena, "%s after %llu ms%s%.*s", what, (unsigned long long)observed_ms,
                                              endpoint.len > 0 ? " on endpoint " : "", (int)endpoint.len, endpoint.p));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%llums", (unsigned long long)observed_ms));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%llums", (unsigned long long)(limit_ns / FG_MS)));
    return reply;
}

static uint64_t after(uint64_t begin_ns, uint64_t limit_ns)
{
    return limit_ns ? begin_ns + limit_ns : FG_NEVER;
}

static uint64_t give_up_ns(const struct fg_attempt *attempt)
{
    return attempt->queued_ns ? after(attempt->queued_ns, attempt->call->cluster->config->limits.pending_timeout_ns)
                              : FG_NEVER;
}

/* When something is to be done for the call although nothing arrives. */
static uint64_t next_event(const struct fg_call *call)
{
    uint64_t at_ns = FG_MIN(FG_MIN(call->deadline_ns, call->held_until_ns), fg_call_next_try_ns(call));

    if (call->route) {
        at_ns = FG_MIN(at_ns, after(call->start_ns, call->route->max_stream_duration_ns));
        at_ns = FG_MIN(at_ns, after(call->last_message_ns, call->route->stream_idle_timeout_ns));
    }
    FG_LIST_EACH (node, &call->attempts) {
        const struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        at_ns = FG_MIN(at_ns, FG_MIN(attempt->expires_ns, give_up_ns(attempt)));
        at_ns = FG_MIN(at_ns, fg_turn_promotion_ns(attempt));
    }
    return at_ns;
}

void fg_call_arm(struct fg_call *call)
{
    if (call->answered || call->ended)
        return;
    uint64_t at_ns = next_event(call);
    if (at_ns != call->timer.at_ns)
        fg_timer_arm(&call->env->loop->timers, &call->timer, at_ns);
}

/* Is the call's own time up? Then it has ended. */
static bool time_is_up(struct fg_call *call, uint64_t now_ns)
{
    const struct fg_config_route *route = call->route;
    struct fg_reply reply;

    if (now_ns >= call->deadline_ns) {
        FG_COUNT(call->env->stats, deadlines_exceeded);
        reply = time_reply(call, FG_REASON_DEADLINE_EXCEEDED, "the deadline ran out",
                           call->deadline_ns - call->start_ns, call->start_ns);
    } else if (now_ns >= after(call->start_ns, route->max_stream_duration_ns)) {
        FG_COUNT(call->env->stats, streams_over_duration);
        reply = time_reply(call, FG_REASON_MAX_STREAM_DURATION, "the stream reached max_stream_duration",
                           route->max_stream_duration_ns, call->start_ns);
    } else if (now_ns >= after(call->last_message_ns, route->stream_idle_timeout_ns)) {
        FG_COUNT(call->env->stats, streams_idle);
        reply = time_reply(call, FG_REASON_STREAM_IDLE, "no message in either direction: stream_idle_timeout",
                           route->stream_idle_timeout_ns, call->last_message_ns);
    } else {
        return false;
    }
    fg_call_fail(call, &reply);
    return true;
}

/* The first attempt whose time is up, or NULL. */
static struct fg_attempt *find_late(const struct fg_call *call, uint64_t now_ns)
{
    FG_LIST_EACH (node, &call->attempts) {
        struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        if (now_ns >= FG_MIN(attempt->expires_ns, give_up_ns(attempt)))
            return attempt;
    }
    return NULL;
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_call *call = FG_CONTAINER_OF(timer, struct fg_call, timer);
    struct fg_attempt *late;

    fg_call_at_hand(call);
    if (time_is_up(call, now_ns))
        return;
    FG_LIST_EACH (node, &call->attempts) {
        struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        if (now_ns >= fg_turn_promotion_ns(attempt))
            fg_turn_promote(attempt);
    }
    while (!call->answered && (late = find_late(call, now_ns))) {
        if (now_ns >= late->expires_ns)
            fg_attempt_expire(late);
        else
            fg_attempt_queue_timeout(late);
    }
    if (!call->answered && now_ns >= call->held_until_ns)
        fg_call_release_held(call);
    if (!call->answered)
        fg_call_on_retry_timer(call, now_ns);
    fg_call_arm(call);
}

/* ---- events of the downstream stream ---- */

/* A request that goes on when it is whole is bounded, and its bytes are given back as window at once. */
static bool is_kept(struct fg_call *call, struct fg_stream *stream, size_t bytes)
{
    if (call->bytes_up > call->route->max_message + FG_MESSAGE_PREFIX) {
        struct fg_reply reply = fg_reply_make(
            FG_REASON_MESSAGE_TOO_LARGE,
            fg_arena_printf(call->down->arena, "the request is larger than the route's max_message, %llu bytes",
                            (unsigned long long)call->route->max_message));
        fg_call_fail(call, &reply);
        return false;
    }
    call->credited_bytes += bytes;
    fg_stream_consume(stream, bytes);
    return true;
}

/* Is the request one message, as the method has it? Else the call has been ended (gRPC status-codes: UNIMPLEMENTED). */
static bool is_cardinality_kept(struct fg_call *call, bool end_stream)
{
    uint64_t messages = call->framing.messages;

    if (!call->one_message || (messages <= 1 && !(end_stream && messages == 0)))
        return true;
    struct fg_reply reply = fg_reply_make(FG_REASON_CARDINALITY,
                                          messages == 0 ? FG_STR("the request has no message, and the method takes one")
                                                        : FG_STR("the request has more than one message"));
    reply.source = FG_SOURCE_BAD_REQUEST;
    fg_call_fail(call, &reply);
    return false;
}

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_call *call = stream->user;
    (void)headers; /* gRPC has no request trailers: they end the request and say nothing */
    (void)flags;

    fg_call_heard(call);
    fg_call_at_hand(call);
    fg_tap_request(call, (struct fg_buf){0}, true);
    if (call->answered)
        call->request_ended = true;
    else if (is_cardinality_kept(call, true) && !fg_call_hold(call, (struct fg_buf){0}, 0, true))
        fg_call_send_on(call, (struct fg_buf){0}, true);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end_stream)
{
    struct fg_call *call = stream->user;

    fg_call_at_hand(call);
    uint64_t messages = call->framing.messages;

    fg_call_heard(call);
    if (call->answered) {
        call->request_ended = end_stream;
        fg_stream_consume(stream, buf.len);
        return;
    }
    if (!call->opaque && fg_grpc_framing_feed(&call->framing, buf.data, buf.len) != 0) {
        struct fg_reply reply =
            fg_reply_make(FG_REASON_MALFORMED_MESSAGE, FG_STR("a message of the request has a bad compression flag"));
        fg_call_fail(call, &reply);
        return;
    }
    fg_tap_request(call, buf, end_stream);
    call->bytes_up += buf.len;
    if (call->whole && !is_kept(call, stream, buf.len))
        return;
    call->last_message_ns = call->env->loop->now_ns;
    messages = call->framing.messages - messages;
    if (!is_cardinality_kept(call, end_stream))
        return;
    if (fg_call_messages_allowed(call, messages) && !fg_call_hold(call, buf, messages, end_stream))
        fg_call_send_on(call, buf, end_stream);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct fg_call *call = stream->user;

    fg_call_at_hand(call);
    if (call->committed && call->committed->up)
        fg_stream_consume(call->committed->up, bytes);
}

/* A caller whose deadline runs out cancels, and its clock began before ours: its RST_STREAM comes first. It is the
 * deadline all the same, and an endpoint that lets deadlines pass must not look healthy. */
bool fg_call_is_at_deadline(const struct fg_call *call)
{
    if (call->deadline_ns == FG_NEVER)
        return false;
    uint64_t early_ns = FG_MAX(FG_MIN((call->deadline_ns - call->start_ns) / 20, 50 * FG_MS), FG_MS);
    return call->env->loop->now_ns + early_ns >= call->deadline_ns;
}

static void gone(struct fg_call *call, const struct fg_h2_close *why)
{
    enum fg_source source = why->by == FG_H2_CLOSED_PEER_RESET ? FG_SOURCE_CLIENT_CANCEL : FG_SOURCE_CLIENT_GONE;
    enum fg_status code = FG_STATUS_CANCELLED;

    if (!call->answered && source == FG_SOURCE_CLIENT_CANCEL && fg_call_is_at_deadline(call)) {
        source = FG_SOURCE_DEADLINE;
        code = FG_STATUS_DEADLINE_EXCEEDED;
        FG_COUNT(call->env->stats, deadlines_exceeded);
    }
    /* A reset after the whole answer was queued still means that the caller did not get it. */
    call->outcome.code = code;
    call->outcome.source = source;
    call->outcome.rst_code = why->code;
    call->outcome.reason = why->reason;
    fg_call_cancel_attempts(call, code, source);
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fg_call *call = stream->user;

    fg_call_at_hand(call);
    stream->ops->add_stalls(stream, call->outcome.stall_ns);
    if (why->by != FG_H2_CLOSED_COMPLETE)
        gone(call, why);
    end(call);
}

static void on_waited(struct fg_stream *stream, const struct fg_waited *waited)
{
    fg_call_note_wait(stream->user, NULL, waited, stream);
}

static const struct fg_stream_events down_events = {on_headers, on_data, on_sent, on_close, on_waited};

/* ---- the beginning ---- */

static void fail_with(struct fg_call *call, enum fg_reason reason, struct fg_str message)
{
    struct fg_reply reply = fg_reply_make(reason, message);
    fg_call_fail(call, &reply);
}

/* Who shares with whom: the route, or a tenant of it that a header names. */
static void set_tenant(struct fg_call *call)
{
    const struct fg_config_tenant *tenant = &call->route->tenant;
    const struct fg_header *field =
        tenant->header ? fg_headers_find(&call->request, fg_str_from(tenant->header)) : NULL;
    struct fg_str name = field ? field->value : FG_STR("");

    call->weight = FG_MAX(call->route->weight, 1u);
    call->tenant = fg_hash(name.p, name.len, call->env->seed + (uint32_t)(call->route - call->env->config->routes));
    for (size_t i = 0; field && i < tenant->weights_len; i++)
        if (fg_str_eq(name, fg_str_from(tenant->weights[i].name)))
            call->weight = tenant->weights[i].weight;
}

/* The route's, unless the client may say it: "0", "1" or "2"; anything else is counted and changes nothing. */
static void set_priority(struct fg_call *call)
{
    const struct fg_config_route *route = call->route;
    const struct fg_header *field =
        route->priority_header ? fg_headers_find(&call->request, fg_str_from(route->priority_header)) : NULL;

    call->priority = route->priority;
    set_tenant(call);
    if (field && field->value.len == 1 && field->value.p[0] >= '0' && field->value.p[0] <= '2')
        call->priority = (unsigned)(field->value.p[0] - '0');
    else if (field)
        FG_COUNT(call->env->stats, malformed_priorities);
    if (call->cluster->has_classes)
        call->rank = fg_breaker_rank(call->priority, call->weight, call->cluster->config->mean_weight[call->priority]);
    if (call->priority != 1 || call->weight != 1)
        call->down->ops->set_priority(call->down, 2 * (1 - (int)call->priority), call->weight);
}

static void route(struct fg_call *call)
{
    const struct fg_call_env *env = call->env;

    call->route = fg_route_find(env->config, call->path, &call->request);
    if (call->route)
        call->cluster = &env->clusters[call->route->cluster];
    tell_start(call);
    if (!call->route) {
        fail_with(call, FG_REASON_NO_ROUTE,
                  fg_arena_printf(call->down->arena, "no route matches %.*s", (int)call->path.len, call->path.p));
        return;
    }
    if (call->route->timeout_ns && call->start_ns + call->route->timeout_ns < call->deadline_ns)
        call->deadline_ns = call->start_ns + call->route->timeout_ns;
    set_priority(call);
    if (fg_call_is_rate_limited(call) || fg_call_is_aborted(call))
        return;
    const struct fg_method *method = fg_descriptors_method_of(fg_cluster_descriptors(call->cluster), call->path);
    call->one_message = method && !call->opaque && !method->client_streaming;
    if (call->request_ended && !is_cardinality_kept(call, true))
        return;
    if (call->cluster->config->service == FG_SERVICE_REST && !call->opaque) {
        call->service = env->rest;
        call->whole = true;
        call->deferred |= !call->request_ended;
    }
    if (call->service && !call->service->begin(call))
        return;
    call->learned = fg_learned_find(env->learned, call->cluster->name, call->path);
    call->is_long = call->cluster->config->limits.long_streams > 0 && fg_learned_usually_long(call->learned);
    if (!call->deferred)
        fg_call_try(call);
    fg_call_arm(call);
}

void fg_call_start(struct fg_call_env *env, const struct fg_dialect *dialect, struct fg_stream *down,
                   struct fg_headers *request, unsigned flags)
{
    struct fg_call *call = fg_arena_alloc(down->arena, sizeof *call);

    memset(call, 0, sizeof *call);
    call->env = env;
    call->dialect = dialect;
    call->down = down;
    call->peer = &down->conn->peer;
    call->request = *request;
    call->request_ended = flags & FG_H2_END_STREAM;
    call->start_ns = call->last_message_ns = call->last_client_ns = env->loop->now_ns;
    call->is_http1 = !fg_conn_is_h2(down->conn);
    call->deadline_ns = call->held_until_ns = FG_NEVER;
    fg_hedge_init(&call->hedge);
    fg_list_init(&call->attempts);
    fg_body_init(&call->body);
    fg_timer_init(&call->timer, on_timer);
    fg_call_at_hand(call);
    fg_list_append(&env->calls, &call->node);
    if (env->reports.interval_ns)
        fg_call_report_later(call);
    down->events = &down_events;
    down->user = call;
    FG_COUNT(env->stats, calls_started);
    call->number = env->stats->calls_started;
    fg_tap_begin(call);
    if (flags & FG_H2_TOO_LARGE) /* the list is incomplete: nothing in it can be relied on */
        fail_with(call, FG_REASON_HEADERS_TOO_LARGE,
                  FG_STR("the request's header list is over http2.max_header_list or http2.max_header_fields"));
    else if (dialect->begin(call))
        route(call);
}
