/* The downstream half of a call. */
#include "call/call.h"

#include <assert.h>

#include "call/route.h"

/* ---- request data waiting for an endpoint ---- */

static void keep_early(struct fg_call *call, struct fg_buf buf)
{
    struct fg_seg *seg = fg_slab_get(&call->env->loop->mem.segments);
    struct fg_buf kept = buf.chunk && buf.len * 4 < buf.chunk->cap ? fg_buf_copy(buf.data, buf.len) : fg_buf_ref(buf);

    *seg = (struct fg_seg){.chunk = kept.chunk, .data = kept.data, .len = kept.len};
    if (call->early_tail)
        call->early_tail->next = seg;
    else
        call->early_head = seg;
    call->early_tail = seg;
}

static void drop_early(struct fg_call *call)
{
    while (call->early_head) {
        struct fg_seg *seg = call->early_head;
        call->early_head = seg->next;
        if (seg->chunk)
            fg_chunk_unref(seg->chunk);
        fg_slab_put(&call->env->loop->mem.segments, seg);
    }
    call->early_tail = NULL;
}

/* ---- the end ---- */

static void record(struct fg_call *call)
{
    struct fg_outcome *outcome = &call->outcome;
    const struct fg_attempt *attempt = call->attempt;

    outcome->method = call->path;
    outcome->cluster = call->cluster ? call->cluster->name : FG_STR("");
    outcome->start_ns = call->start_ns;
    outcome->end_ns = call->env->loop->now_ns;
    outcome->bytes_up = call->bytes_up;
    outcome->bytes_down = call->bytes_down;
    outcome->messages_up = call->up_framing.messages;
    outcome->messages_down = call->down_framing.messages;
    if (attempt) {
        outcome->endpoint = attempt->outcome.endpoint;
        outcome->phase = attempt->outcome.phase;
        outcome->http_status = attempt->outcome.http_status;
        outcome->headers_ns = attempt->outcome.headers_ns;
        outcome->first_message_ns = attempt->outcome.first_message_ns;
        outcome->attempt = attempt->number;
        outcome->safe_to_retry = attempt->outcome.safe_to_retry;
        for (int i = 0; i < FG_WAIT_LEN; i++)
            outcome->stall_ns[i] += attempt->outcome.stall_ns[i];
    }
    outcome->class = fg_outcome_classify(outcome->code, outcome->source, outcome->phase);
}

static void end(struct fg_call *call)
{
    assert(!call->ended);
    call->ended = true;
    call->down = NULL;
    fg_timer_cancel(&call->env->loop->timers, &call->timer);
    drop_early(call);
    fg_list_remove(&call->node);
    record(call);
    FG_COUNT(call->env->stats, calls_ended);
    call->env->sink.on_call(call->env->sink.context, call, &call->outcome);
}

/* The answer's end is queued: nothing more is wanted from the client. */
static void finish_answer(struct fg_call *call)
{
    fg_timer_cancel(&call->env->loop->timers, &call->timer);
    if (call->down && !call->request_ended)
        fg_stream_reset_after_end(call->down, FG_H2_NO_ERROR);
}

void fg_call_fail(struct fg_call *call, const struct fg_reply *reply)
{
    if (call->answered || !call->down)
        return;
    call->answered = true;
    call->outcome.code = reply->code;
    call->outcome.source = reply->source;
    call->outcome.rst_code = reply->rst_code;
    call->outcome.reason = fg_reason_name(reply->reason);
    call->dialect->send_reply(call, reply);
    finish_answer(call);
}

/* ---- the deadline ---- */

static struct fg_reply deadline_reply(struct fg_call *call)
{
    struct fg_arena *arena = call->down->arena;
    const struct fg_attempt *attempt = call->attempt;
    uint64_t waited_ms = (call->env->loop->now_ns - call->start_ns) / FG_MS;
    struct fg_reply reply =
        fg_reply_make(FG_REASON_DEADLINE_EXCEEDED,
                      fg_arena_printf(arena, "the deadline ran out after %llu ms%s%.*s", (unsigned long long)waited_ms,
                                      attempt ? " on endpoint " : "", attempt ? (int)attempt->endpoint->name.len : 0,
                                      attempt ? attempt->endpoint->name.p : ""));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%llums", (unsigned long long)waited_ms));
    fg_reply_add(&reply, "threshold",
                 fg_arena_printf(arena, "%llums", (unsigned long long)((call->deadline_ns - call->start_ns) / FG_MS)));
    return reply;
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_call *call = FG_CONTAINER_OF(timer, struct fg_call, timer);
    struct fg_attempt *attempt = call->attempt;

    if (now_ns >= call->deadline_ns) {
        struct fg_reply reply = deadline_reply(call);
        FG_COUNT(call->env->stats, deadlines_exceeded);
        if (attempt)
            fg_attempt_cancel(attempt, FG_STATUS_DEADLINE_EXCEEDED, FG_SOURCE_DEADLINE);
        fg_call_fail(call, &reply);
        return;
    }
    if (attempt && attempt->queued_ns) {
        struct fg_reply reply =
            fg_reply_make(FG_REASON_QUEUE_TIMEOUT, FG_STR("no stream slot became free within limits.pending_timeout"));
        fg_attempt_cancel(attempt, reply.code, reply.source);
        fg_call_fail(call, &reply);
    }
}

/* ---- events of the downstream stream ---- */

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_call *call = stream->user;
    (void)headers; /* gRPC has no request trailers: they end the request and say nothing */
    (void)flags;

    call->request_ended = true;
    if (!call->answered && call->attempt && call->attempt->up)
        fg_attempt_send_data(call->attempt, (struct fg_buf){0}, true);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end_stream)
{
    struct fg_call *call = stream->user;

    call->request_ended = end_stream;
    if (call->answered) {
        fg_stream_consume(stream, buf.len);
        return;
    }
    if (fg_grpc_framing_feed(&call->up_framing, buf.data, buf.len) != 0) {
        struct fg_reply reply =
            fg_reply_make(FG_REASON_MALFORMED_MESSAGE, FG_STR("a message of the request has a bad compression flag"));
        if (call->attempt)
            fg_attempt_cancel(call->attempt, reply.code, reply.source);
        fg_call_fail(call, &reply);
        return;
    }
    call->bytes_up += buf.len;
    if (call->attempt && call->attempt->up)
        fg_attempt_send_data(call->attempt, buf, end_stream);
    else if (buf.len > 0)
        keep_early(call, buf);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct fg_call *call = stream->user;

    if (call->attempt && call->attempt->up)
        fg_stream_consume(call->attempt->up, bytes);
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fg_call *call = stream->user;

    stream->ops->add_stalls(stream, call->outcome.stall_ns);
    if (why->by != FG_H2_CLOSED_COMPLETE) {
        enum fg_source source = why->by == FG_H2_CLOSED_PEER_RESET ? FG_SOURCE_CLIENT_CANCEL : FG_SOURCE_CLIENT_GONE;
        /* A reset after the whole answer was queued still means that the caller did not get it. */
        call->outcome.code = FG_STATUS_CANCELLED;
        call->outcome.source = source;
        call->outcome.rst_code = why->code;
        call->outcome.reason = why->reason;
        if (call->attempt)
            fg_attempt_cancel(call->attempt, FG_STATUS_CANCELLED, source);
    }
    end(call);
}

static const struct fg_stream_events down_events = {on_headers, on_data, on_sent, on_close};

/* ---- the beginning ---- */

static void fail_with(struct fg_call *call, enum fg_reason reason, struct fg_str message)
{
    struct fg_reply reply = fg_reply_make(reason, message);
    fg_call_fail(call, &reply);
}

static void route(struct fg_call *call)
{
    const struct fg_call_env *env = call->env;

    call->route = fg_route_find(env->config, call->path, &call->request);
    if (!call->route) {
        fail_with(call, FG_REASON_NO_ROUTE,
                  fg_arena_printf(call->down->arena, "no route matches %.*s", (int)call->path.len, call->path.p));
        return;
    }
    call->cluster = &env->clusters[call->route->cluster];
    if (call->route->timeout_ns && call->start_ns + call->route->timeout_ns < call->deadline_ns)
        call->deadline_ns = call->start_ns + call->route->timeout_ns;
    if (call->deadline_ns != FG_NEVER)
        fg_timer_arm(&env->loop->timers, &call->timer, call->deadline_ns);
    if (call->route->priority != 1 || call->route->weight != 1)
        call->down->ops->set_priority(call->down, 2 * (1 - (int)call->route->priority), call->route->weight);
    fg_attempt_start(call);
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
    call->start_ns = env->loop->now_ns;
    call->deadline_ns = FG_NEVER;
    fg_timer_init(&call->timer, on_timer);
    fg_list_append(&env->calls, &call->node);
    down->events = &down_events;
    down->user = call;
    FG_COUNT(env->stats, calls_started);
    if (flags & FG_H2_TOO_LARGE) /* the list is incomplete: nothing in it can be relied on */
        fail_with(call, FG_REASON_HEADERS_TOO_LARGE,
                  FG_STR("the request's header list is over http2.max_header_list or http2.max_header_fields"));
    else if (dialect->begin(call))
        route(call);
}

/* ---- waits ---- */

struct fg_wait fg_call_wait(const struct fg_call *call)
{
    const struct fg_attempt *attempt = call->attempt;

    if (call->down) {
        struct fg_wait wait = call->down->ops->wait(call->down);
        if (wait.cause != FG_WAIT_NONE)
            return wait;
    }
    if (!attempt || call->answered)
        return (struct fg_wait){call->start_ns, FG_WAIT_NONE};
    if (attempt->queued_ns)
        return (struct fg_wait){attempt->queued_ns, fg_endpoint_wait_cause(attempt->endpoint)};
    if (attempt->up) {
        struct fg_wait wait = attempt->up->ops->wait(attempt->up);
        if (wait.cause != FG_WAIT_NONE)
            return wait;
    }
    if (attempt->outcome.headers_ns == 0)
        return (struct fg_wait){attempt->outcome.start_ns, FG_WAIT_PEER_HEADERS};
    return (struct fg_wait){attempt->last_data_ns, FG_WAIT_PEER_DATA};
}
