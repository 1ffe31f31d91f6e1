/* The upstream half of a call: one try on one endpoint. */
#include "call/tap.h"

#include <assert.h>

static void on_slot(struct fg_slot_wait *slot, struct fg_conn *conn);
static void on_failed(struct fg_slot_wait *slot, const char *why);

/* ---- the end of an attempt ---- */

static void count_waste(struct fg_attempt *attempt, uint64_t now_ns)
{
    struct fg_stats *stats = attempt->call->env->stats;

    if (attempt->outcome.phase < FG_PHASE_SENT || attempt->outcome.phase == FG_PHASE_DONE)
        return;
    FG_COUNT(stats, wasted_work);
    fg_stat_add(&stats->wasted_work_us, (now_ns - attempt->outcome.start_ns) / FG_US);
}

/* How long calls of the method take, for those that come. */
static void learn(const struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    const struct fg_outcome *outcome = &attempt->outcome;

    if (outcome->code != FG_STATUS_OK || outcome->phase != FG_PHASE_DONE || attempt->was_long)
        return;
    if (!call->learned)
        call->learned = fg_learned_get(call->env->learned, call->cluster->name, call->path);
    fg_learned_report(call->learned, outcome->end_ns - attempt->sent_ns, outcome->messages_down <= 1, outcome->end_ns);
}

static void end(struct fg_attempt *attempt, enum fg_status code, enum fg_source source)
{
    struct fg_call *call = attempt->call;
    struct fg_outcome *outcome = &attempt->outcome;
    uint64_t now_ns = call->env->loop->now_ns;

    assert(!attempt->ended);
    attempt->ended = true;
    fg_list_remove(&attempt->node);
    outcome->code = code;
    outcome->source = source;
    outcome->end_ns = now_ns;
    outcome->bytes_up = attempt->sent_bytes;
    outcome->messages_up = call->framing.messages;
    outcome->messages_down = attempt->framing.messages;
    outcome->class = fg_call_classify(call, outcome);
    fg_turn_leave(attempt);
    if (attempt->has_permit)
        fg_gate_retry_leave(call->cluster->gate);
    attempt->has_permit = false;
    if (!attempt->endpoint)
        return; /* it was refused before it had one: nothing was attempted */
    fg_attempt_report(attempt, now_ns);
    learn(attempt);
    attempt->endpoint->active--;
    FG_COUNT(call->env->stats, attempts_ended);
    fg_tap_attempt_end(attempt);
    call->env->sink.on_attempt(call->env->sink.context, call, outcome);
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
    fg_turn_stop(attempt, false, NULL);
    if (attempt->up && source == FG_SOURCE_DEADLINE)
        fg_conn_note(attempt->up->conn, FG_CONN_SILENT, attempt->outcome.start_ns);
    let_go(attempt, FG_H2_CANCEL);
    if (attempt->ended)
        return;
    count_waste(attempt, attempt->call->env->loop->now_ns);
    end(attempt, code, source);
}

void fg_attempt_fail(struct fg_attempt *attempt, struct fg_reply *reply)
{
    if (reply->source == FG_SOURCE_DEADLINE)
        count_waste(attempt, attempt->call->env->loop->now_ns);
    attempt->outcome.rst_code = reply->rst_code;
    attempt->outcome.reason = fg_reason_name(reply->reason);
    if (attempt->endpoint)
        fg_reply_add(reply, "endpoint", attempt->endpoint->name);
    fg_turn_stop(attempt, false, NULL);
    if (attempt->up && reply->source == FG_SOURCE_DEADLINE)
        fg_conn_note(attempt->up->conn, FG_CONN_SILENT, attempt->outcome.start_ns);
    let_go(attempt, FG_H2_CANCEL);
    end(attempt, reply->code, reply->source);
    struct fg_answer answer = {
        .reply = reply, .code = reply->code, .source = reply->source, .attempt = attempt->number};
    fg_call_attempt_ended(attempt, &answer);
}

void fg_attempt_expire(struct fg_attempt *attempt)
{
    const struct fg_call *call = attempt->call;
    struct fg_reply reply = fg_reply_make(
        FG_REASON_ATTEMPT_TIMEOUT,
        fg_arena_printf(call->down->arena, "the endpoint did not answer within retry.attempt_timeout (%llu ms)",
                        (unsigned long long)(call->route->retry.attempt_timeout_ns / FG_MS)));
    fg_attempt_fail(attempt, &reply);
}

/* ---- answers ---- */

/* The endpoint gave a status: FIELDS are trailers, or the headers of a trailers-only answer. */
static void answered(struct fg_attempt *attempt, struct fg_headers *fields, enum fg_source source)
{
    const struct fg_header *field = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    struct fg_answer answer = {.trailers = *fields, .code = FG_STATUS_UNKNOWN, .attempt = attempt->number};

    if (attempt->holds)
        answer.headers = attempt->held;
    if (field && !attempt->call->opaque)
        fg_status_parse(field->value, &answer.code);
    if (attempt->call->opaque)
        answer.code = fg_cluster_status(attempt->call->cluster, attempt->outcome.http_status);
    answer.source = field || attempt->call->opaque ? source : FG_SOURCE_MISSING_STATUS;
    if (answer.code != FG_STATUS_OK && fg_headers_get(fields, FG_TOKEN_GRPC_RETRY_PUSHBACK_MS))
        attempt->outcome.pushback = true;
    attempt->outcome.phase = FG_PHASE_DONE;
    attempt->outcome.safe_to_retry = FG_SAFE_PROCESSED;
    attempt->up->ops->add_stalls(attempt->up, attempt->outcome.stall_ns);
    fg_conn_note(attempt->up->conn, FG_CONN_ANSWERED, attempt->outcome.start_ns);
    end(attempt, answer.code, answer.source);
    fg_call_attempt_ended(attempt, &answer);
    /* An endpoint that has not read the whole request need not. */
    if (attempt->up && !attempt->up->ops->local_ended(attempt->up))
        let_go(attempt, FG_H2_NO_ERROR);
}

static void no_status(struct fg_attempt *attempt)
{
    struct fg_reply reply =
        fg_reply_make(FG_REASON_UPSTREAM_NO_STATUS, FG_STR("the endpoint ended the stream without grpc-status"));
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    fg_attempt_fail(attempt, &reply);
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
    fg_attempt_fail(attempt, &reply);
}

/* The answer of a service that speaks HTTP is passed on whatever it says. */
static void on_opaque(struct fg_attempt *attempt, struct fg_headers *headers, bool end_stream)
{
    struct fg_headers none;

    fg_headers_init(&none);
    attempt->outcome.http_status = parse_http_status(headers);
    attempt->outcome.headers_ns = attempt->last_data_ns;
    attempt->outcome.phase = FG_PHASE_HEADERS;
    attempt->held = *headers;
    attempt->holds = true;
    if (attempt->call->tunnel && attempt->outcome.http_status < 300) { /* they were for its opening */
        attempt->call->deadline_ns = attempt->expires_ns = FG_NEVER;
        fg_call_arm(attempt->call);
    }
    if (end_stream)
        answered(attempt, &none, FG_SOURCE_HTTP);
    else
        fg_call_commit(attempt->call, attempt);
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
    if (end_stream && !has_status) {
        no_status(attempt);
    } else if (end_stream) {
        answered(attempt, headers, FG_SOURCE_TRAILERS_ONLY);
    } else {
        attempt->held = *headers;
        attempt->holds = true;
        if (!fg_call_may_try_again(call))
            fg_call_commit(call, attempt);
    }
}

static void too_large(struct fg_attempt *attempt)
{
    struct fg_reply reply =
        fg_reply_make(FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                      FG_STR("the endpoint's header list is over http2.max_header_list or max_header_fields"));
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    fg_attempt_fail(attempt, &reply);
}

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_attempt *attempt = stream->user;

    fg_call_at_hand(attempt->call);
    fg_attempt_heard(attempt);
    if (flags & FG_H2_INFORMATIONAL)
        return; /* gRPC has no use for 1xx */
    if (flags & FG_H2_TOO_LARGE) {
        too_large(attempt);
        return;
    }
    if (!(flags & FG_H2_TRAILERS)) {
        (attempt->call->opaque ? on_opaque : on_response)(attempt, headers, flags & FG_H2_END_STREAM);
        return;
    }
    if (attempt->call->opaque) {
        answered(attempt, headers, FG_SOURCE_HTTP);
        return;
    }
    if (!fg_headers_get(headers, FG_TOKEN_GRPC_STATUS)) {
        no_status(attempt);
        return;
    }
    answered(attempt, headers, FG_SOURCE_TRAILERS);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end_stream)
{
    struct fg_attempt *attempt = stream->user;
    struct fg_call *call = attempt->call;

    fg_call_at_hand(call);
    fg_attempt_heard(attempt);
    call->last_message_ns = attempt->last_data_ns;
    attempt->outcome.bytes_down += buf.len;
    if (!call->opaque && fg_grpc_framing_feed(&attempt->framing, buf.data, buf.len) != 0) {
        struct fg_reply reply = fg_reply_make(FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                                              FG_STR("a message of the endpoint has a bad compression flag"));
        attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
        fg_attempt_fail(attempt, &reply);
        return;
    }
    if (attempt->outcome.phase == FG_PHASE_HEADERS && (call->opaque || attempt->framing.messages > 0)) {
        attempt->outcome.phase = FG_PHASE_MESSAGES;
        attempt->outcome.first_message_ns = attempt->last_data_ns;
    }
    if (buf.len > 0) {
        if (!call->committed)
            fg_call_commit(call, attempt);
        call->bytes_down += buf.len;
        fg_tap_answer(call, buf);
        fg_stream_send_data(call->down, fg_buf_ref(buf), false);
    }
    if (!end_stream || attempt->ended) /* what takes the data may have ended the call */
        return;
    struct fg_headers none;
    fg_headers_init(&none);
    if (call->opaque)
        answered(attempt, &none, FG_SOURCE_HTTP);
    else
        no_status(attempt);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct fg_attempt *attempt = stream->user;
    struct fg_call *call = attempt->call;

    fg_call_at_hand(call);
    attempt->sent_bytes += bytes;
    if (!call->down || attempt->sent_bytes <= call->credited_bytes)
        return; /* an attempt before this one has sent these bytes already */
    fg_stream_consume(call->down, attempt->sent_bytes - call->credited_bytes);
    call->credited_bytes = attempt->sent_bytes;
}

/* ---- the stream ends without an answer ---- */

/* Methods that may be processed twice (RFC 9110 section 9.2.2). */
static bool may_repeat(const struct fg_call *call)
{
    static const struct fg_str names[] = {{"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}, {"PUT", 3}, {"DELETE", 6}};
    const struct fg_header *method = fg_headers_get(&call->request, FG_TOKEN_METHOD);

    for (size_t i = 0; method && i < FG_ARRAY_LEN(names); i++)
        if (fg_str_eq(method->value, names[i]))
            return true;
    return false;
}

static struct fg_reply close_reply(struct fg_attempt *attempt, const struct fg_conn *conn,
                                   const struct fg_h2_close *why)
{
    struct fg_arena *arena = attempt->call->down->arena;
    const char *name = fg_h2_error_name(why->code);
    struct fg_reply reply;

    switch (why->by) {
    case FG_H2_CLOSED_PEER_RESET:
        if (why->code == FG_H2_CANCEL && fg_call_is_at_deadline(attempt->call)) {
            reply = fg_reply_make(FG_REASON_DEADLINE_EXCEEDED, FG_STR("the deadline ran out at the endpoint"));
            attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
            break;
        }
        reply = fg_reply_make(FG_REASON_UPSTREAM_RESET,
                              fg_arena_printf(arena, "the endpoint reset the stream with %s", name));
        reply.code = fg_status_from_h2_error(why->code);
        attempt->outcome.safe_to_retry = why->code == FG_H2_REFUSED_STREAM ? FG_SAFE_REFUSED : FG_SAFE_UNKNOWN;
        break;
    case FG_H2_CLOSED_GOAWAY:
        if (!fg_conn_is_h2(conn)) { /* a kept HTTP/1 connection ended just as the request was sent on it */
            reply = fg_reply_make(FG_REASON_UPSTREAM_CONNECTION_LOST,
                                  FG_STR("the endpoint closed the connection before it answered"));
            attempt->outcome.safe_to_retry = may_repeat(attempt->call) ? FG_SAFE_REFUSED : FG_SAFE_UNKNOWN;
            break;
        }
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
    if (why->by == FG_H2_CLOSED_PEER_RESET && why->code != FG_H2_REFUSED_STREAM)
        fg_conn_note(stream->conn, FG_CONN_BROKE, attempt->outcome.start_ns);
    struct fg_reply reply = close_reply(attempt, stream->conn, why);
    fg_attempt_fail(attempt, &reply);
}

static void on_waited(struct fg_stream *stream, const struct fg_waited *waited)
{
    struct fg_attempt *attempt = stream->user;
    fg_call_note_wait(attempt->call, attempt, waited, stream);
}

static const struct fg_stream_events up_events = {on_headers, on_data, on_sent, on_close, on_waited};

/* ---- sending ---- */

void fg_attempt_send_data(struct fg_attempt *attempt, struct fg_buf buf, bool end_stream)
{
    fg_stream_send_data(attempt->up, fg_buf_ref(buf), end_stream);
}

static bool is_hop_by_hop(const struct fg_call *call, const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_GRPC_TIMEOUT:
    case FG_TOKEN_GRPC_PREVIOUS_RPC_ATTEMPTS:
    case FG_TOKEN_TE: /* "trailers" is set anew */
        return !call->opaque;
    case FG_TOKEN_SCHEME:
    case FG_TOKEN_HOST: /* equal to :authority, which goes on */
    case FG_TOKEN_HTTP2_SETTINGS:
        return true;
    default:
        return false;
    }
}

/* The client's own attempts and ours (gRFC A6, exposed retry metadata). */
static void add_previous_attempts(const struct fg_call *call, struct fg_headers *out)
{
    const struct fg_header *field = fg_headers_get(&call->request, FG_TOKEN_GRPC_PREVIOUS_RPC_ATTEMPTS);
    unsigned previous = fg_retry_previous_attempts(call->previous_attempts, field ? field->value : FG_STR(""));

    if (previous > 0)
        fg_headers_add_token(out, call->down->arena, FG_TOKEN_GRPC_PREVIOUS_RPC_ATTEMPTS,
                             fg_arena_printf(call->down->arena, "%u", previous));
}

/* The request as the endpoint gets it: pseudo-headers first, then what the client sent, then our own. */
static void build_request(struct fg_attempt *attempt, struct fg_headers *out)
{
    struct fg_call *call = attempt->call;
    struct fg_arena *arena = call->down->arena;
    bool tls = call->cluster->side.tls != NULL;
    const struct fg_header *host = fg_headers_get(&call->request, FG_TOKEN_HOST);
    uint64_t until_ns = FG_MIN(call->deadline_ns, attempt->expires_ns);

    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_SCHEME, tls ? FG_STR("https") : FG_STR("http"));
    if (host && !fg_headers_get(&call->request, FG_TOKEN_AUTHORITY))
        fg_headers_add_token(out, arena, FG_TOKEN_AUTHORITY, host->value);
    for (uint32_t i = 0; i < call->request.len; i++)
        if (!is_hop_by_hop(call, &call->request.items[i]))
            *fg_headers_add_slot(out, arena) = call->request.items[i];
    if (call->opaque)
        return;
    fg_headers_add_token(out, arena, FG_TOKEN_TE, FG_STR("trailers"));
    if (until_ns != FG_NEVER) {
        char *text = fg_arena_alloc(arena, FG_GRPC_TIMEOUT_MAX);
        uint64_t now_ns = call->env->loop->now_ns;
        uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        fg_headers_add_token(out, arena, FG_TOKEN_GRPC_TIMEOUT,
                             (struct fg_str){text, fg_grpc_timeout_format(left_ns, text)});
    }
    add_previous_attempts(call, out);
}

static void send_body(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    for (struct fg_seg *seg = call->body.head; seg && attempt->up; seg = seg->next)
        fg_stream_send_data(attempt->up, fg_body_slice(seg), !seg->next && call->request_ended);
}

static void no_tunnels(struct fg_attempt *attempt)
{
    struct fg_reply reply = fg_reply_make(FG_REASON_NO_TUNNELS, FG_STR("the endpoint takes no WebSocket over HTTP/2 "
                                                                       "(SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441)"));
    fg_attempt_fail(attempt, &reply);
}

static void send_request(struct fg_attempt *attempt, struct fg_conn *conn)
{
    struct fg_call *call = attempt->call;
    struct fg_headers headers;
    bool no_body = call->request_ended && !call->body.head;

    if (call->tunnel && !fg_conn_load(conn).takes_tunnels) {
        no_tunnels(attempt);
        return;
    }

    build_request(attempt, &headers);
    struct fg_reply reply;
    attempt->up = call->service ? call->service->request(call, conn, &headers, &up_events, attempt, &reply)
                                : fg_conn_request(conn, &headers, no_body, &up_events, attempt);
    if (!attempt->up) {
        fg_attempt_fail(attempt, &reply);
        return;
    }
    attempt->sent_ns = call->env->loop->now_ns;
    attempt->outcome.phase = FG_PHASE_SENT;
    attempt->outcome.safe_to_retry = FG_SAFE_UNKNOWN;
    attempt->last_data_ns = call->env->loop->now_ns;
    if (call->priority != 1 || call->weight != 1)
        attempt->up->ops->set_priority(attempt->up, 2 * (1 - (int)call->priority), call->weight);
    if (!call->service)
        send_body(attempt);
    fg_call_body_sent(call);
}

/* ---- events of the pool ---- */

static void on_slot(struct fg_slot_wait *slot, struct fg_conn *conn)
{
    struct fg_attempt *attempt = FG_CONTAINER_OF(slot, struct fg_attempt, slot);
    fg_turn_stop(attempt, false, conn);
    send_request(attempt, conn);
}

static void on_failed(struct fg_slot_wait *slot, const char *why)
{
    struct fg_attempt *attempt = FG_CONTAINER_OF(slot, struct fg_attempt, slot);
    struct fg_reply reply = fg_reply_make(
        FG_REASON_CONNECT_FAILED, fg_arena_printf(attempt->call->down->arena, "no connection to endpoint %.*s: %s",
                                                  (int)attempt->endpoint->name.len, attempt->endpoint->name.p, why));
    fg_attempt_fail(attempt, &reply);
}

static void wait_for_slot(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    const char *why = "";

    if (!fg_turn_wait(attempt, FG_GATE_SLOT))
        return;
    fg_attempt_note_slots(attempt);
    if (fg_endpoint_wait(attempt->endpoint, &attempt->slot, call->priority, call->weight, call->tenant, &why) != 0)
        on_failed(&attempt->slot, why);
    else
        fg_call_arm(call);
}

void fg_attempt_queue_timeout(struct fg_attempt *attempt)
{
    struct fg_reply reply = fg_reply_make(FG_REASON_QUEUE_TIMEOUT,
                                          FG_STR("no room or stream slot became free within limits.pending_timeout"));
    fg_attempt_fail(attempt, &reply);
}

static struct fg_attempt *attempt_new(struct fg_call *call)
{
    struct fg_attempt *attempt = fg_arena_alloc(call->down->arena, sizeof *attempt);
    uint64_t timeout_ns = call->route->retry.attempt_timeout_ns;

    memset(attempt, 0, sizeof *attempt);
    attempt->call = call;
    attempt->previous = call->attempt;
    attempt->number = call->attempt ? call->attempt->number + 1 : 1;
    attempt->is_hedge = !fg_list_empty(&call->attempts);
    attempt->has_permit = call->has_permit;
    call->has_permit = false;
    attempt->expires_ns = timeout_ns ? call->env->loop->now_ns + timeout_ns : FG_NEVER;
    attempt->slot.on_slot = on_slot;
    attempt->slot.on_failed = on_failed;
    fg_list_init(&attempt->node);
    attempt->outcome.method = call->path;
    attempt->outcome.cluster = call->cluster->name;
    attempt->outcome.start_ns = call->env->loop->now_ns;
    attempt->outcome.attempt = attempt->number;
    return attempt;
}

void fg_attempt_begin(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    attempt->entered_ns = call->env->loop->now_ns;
    attempt->endpoint = fg_attempt_choose(attempt);
    if (!attempt->endpoint) {
        struct fg_reply reply = fg_attempt_refusal(attempt);
        fg_attempt_fail(attempt, &reply);
        return;
    }
    attempt->endpoint->active++;
    FG_COUNT(call->env->stats, attempts_started);
    FG_COUNT(&attempt->endpoint->stats, attempts_started);
    if (call->env->sink.on_attempt_start)
        call->env->sink.on_attempt_start(call->env->sink.context, call);
    attempt->outcome.endpoint = attempt->endpoint->name;
    fg_tap_attempt(attempt);
    struct fg_conn *conn = fg_endpoint_find_slot(attempt->endpoint);
    if (conn)
        send_request(attempt, conn);
    else
        wait_for_slot(attempt);
}

/* What cannot be done in the time that is left is not begun. */
static bool is_doomed(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    uint64_t now_ns = call->env->loop->now_ns, until_ns = FG_MIN(call->deadline_ns, attempt->expires_ns);

    if (until_ns == FG_NEVER || !call->cluster->config->limits.refuse_doomed)
        return false;
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (!fg_learned_is_doomed(call->learned, left_ns, now_ns))
        return false;
    struct fg_arena *arena = call->down->arena;
    double left_ms = (double)left_ns / FG_MS, quick_ms = (double)fg_learned_quick_ns(call->learned, now_ns) / FG_MS;
    struct fg_reply reply = fg_reply_make(
        FG_REASON_DOOMED, fg_arena_printf(arena,
                                          "%.3g ms are left, and nine of ten calls of the method take longer "
                                          "than %.3g ms (limits.refuse_doomed)",
                                          left_ms, quick_ms));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%.3gms", left_ms));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%.3gms", quick_ms));
    FG_COUNT(call->env->stats, doomed);
    fg_attempt_fail(attempt, &reply);
    return true;
}

void fg_attempt_start(struct fg_call *call)
{
    struct fg_attempt *attempt = attempt_new(call);

    call->attempt = attempt;
    fg_list_append(&call->attempts, &attempt->node);
    if (!is_doomed(attempt) && fg_turn_enter(attempt))
        fg_attempt_begin(attempt);
}
