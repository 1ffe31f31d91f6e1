#include "dialect/face.h"

#include <strings.h>

#include "call/route.h"
#include "call/tap.h"
#include "dialect/cors.h"

static struct fg_face *face_of(const struct fg_stream *stream)
{
    return FG_CONTAINER_OF((uintptr_t)stream, struct fg_face, grpc);
}

/* ---- the stream that the call sees ---- */

static void grpc_send_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    struct fg_face *face = face_of(stream);

    if (end)
        face->ops->send_end(face, headers, true);
    else
        face->ops->send_headers(face, headers);
}

static void tell_sent(struct fg_face *face, uint64_t bytes)
{
    face->out_grpc -= bytes;
    if (bytes > 0 && face->call && !face->closed)
        face->grpc.events->on_sent(&face->grpc, (size_t)bytes);
}

static void grpc_send_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct fg_face *face = face_of(stream);
    (void)end; /* a gRPC answer ends with trailers */

    face->out_grpc += buf.len;
    face->ops->send_data(face, buf);
    if (face->out_client == 0)
        tell_sent(face, face->out_grpc);
}

static void grpc_send_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    struct fg_face *face = face_of(stream);
    face->ops->send_end(face, headers, false);
}

static void give_back(struct fg_face *face, uint64_t bytes)
{
    face->in_client -= bytes;
    if (bytes > 0 && !face->closed)
        fg_stream_consume(face->client, (size_t)bytes);
}

static void grpc_consume(struct fg_stream *stream, size_t bytes)
{
    struct fg_face *face = face_of(stream);

    face->in_grpc -= FG_MIN(bytes, face->in_grpc);
    give_back(face, face->in_grpc == 0 ? face->in_client : FG_MIN(bytes, face->in_client));
}

static void clean(struct fg_face *face)
{
    face->closed = true;
    if (face->ops->cleanup)
        face->ops->cleanup(face);
}

static void grpc_reset(struct fg_stream *stream, uint32_t code)
{
    struct fg_face *face = face_of(stream);

    clean(face);
    fg_stream_reset(face->client, code);
}

static void grpc_reset_after_end(struct fg_stream *stream, uint32_t code)
{
    struct fg_face *face = face_of(stream);

    if (!face->request_ended && !face->closed && !face->aborting)
        fg_stream_reset_after_end(face->client, code);
}

static void grpc_set_priority(struct fg_stream *stream, int urgency_offset, unsigned weight)
{
    struct fg_face *face = face_of(stream);
    face->client->ops->set_priority(face->client, urgency_offset, weight);
}

static struct fg_wait grpc_wait(const struct fg_stream *stream)
{
    const struct fg_face *face = face_of(stream);
    return face->client->ops->wait(face->client);
}

static void grpc_add_stalls(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    const struct fg_face *face = face_of(stream);
    face->client->ops->add_stalls(face->client, stall_ns);
}

static uint32_t grpc_id(const struct fg_stream *stream)
{
    const struct fg_face *face = face_of(stream);
    return face->client->ops->id(face->client);
}

static bool grpc_local_ended(const struct fg_stream *stream)
{
    const struct fg_face *face = face_of(stream);
    return face->client->ops->local_ended(face->client);
}

static const struct fg_stream_ops grpc_ops = {
    grpc_send_headers, grpc_send_data, grpc_send_trailers, grpc_consume, grpc_reset,       grpc_reset_after_end,
    grpc_set_priority, grpc_wait,      grpc_add_stalls,    grpc_id,      grpc_local_ended,
};

/* ---- events of the client's stream ---- */

static void take(struct fg_face *face, struct fg_buf buf, bool end)
{
    face->request_ended |= end;
    face->in_client += buf.len;
    if (fg_face_is_over(face)) {
        give_back(face, face->in_client);
        fg_face_deliver(face, (struct fg_buf){0}, end);
        return;
    }
    face->ops->on_data(face, buf, end);
    if (face->in_grpc == 0 && !face->closed)
        give_back(face, face->in_client);
}

/* Trailers: no dialect has any in requests; they end it. */
static void on_headers(struct fg_stream *client, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    take(client->user, (struct fg_buf){0}, true);
}

static void on_data(struct fg_stream *client, struct fg_buf buf, bool end)
{
    take(client->user, buf, end);
}

static void abort_now(struct fg_face *face)
{
    static const struct fg_h2_close complete = {.by = FG_H2_CLOSED_COMPLETE};

    if (face->closed)
        return;
    clean(face);
    fg_stream_reset(face->client, FG_H2_INTERNAL_ERROR);
    face->grpc.events->on_close(&face->grpc, &complete);
}

static void on_sent(struct fg_stream *client, size_t bytes)
{
    struct fg_face *face = client->user;

    face->out_client -= FG_MIN(bytes, face->out_client);
    tell_sent(face, face->out_client == 0 ? face->out_grpc : FG_MIN(bytes, face->out_grpc));
    if (face->aborting && face->out_client == 0)
        abort_now(face);
}

static void on_close(struct fg_stream *client, const struct fg_h2_close *why)
{
    struct fg_face *face = client->user;

    clean(face);
    face->grpc.events->on_close(&face->grpc, why);
}

static void on_waited(struct fg_stream *client, const struct fg_waited *waited)
{
    struct fg_face *face = client->user;

    if (face->grpc.events && face->grpc.events->on_waited)
        face->grpc.events->on_waited(&face->grpc, waited);
}

static const struct fg_stream_events client_events = {on_headers, on_data, on_sent, on_close, on_waited};

/* ---- the beginning ---- */

bool fg_face_begin(struct fg_call *call)
{
    struct fg_face *face = face_of(call->down);

    face->call = call;
    fg_tap_client(call, face->method, face->target);
    call->deferred = face->ops->whole;
    if (!face->refusal.message.p)
        return fg_grpc_begin(call);
    call->path = face->path;
    fg_call_fail(call, &face->refusal);
    return false;
}

/* What every request has, whatever language it is in; ops->begin adds the rest. */
static bool goes_on(const struct fg_face *face, const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_METHOD:
    case FG_TOKEN_PATH:
    case FG_TOKEN_CONTENT_TYPE:
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_ACCEPT_ENCODING:
    case FG_TOKEN_EXPECT:
        return false;
    default:
        return !fg_str_eq(field->name, FG_STR("accept")) && !face->ops->drops(field->name);
    }
}

void fg_face_start(struct fg_call_env *env, const struct fg_face_ops *ops, struct fg_stream *client,
                   struct fg_headers *request, unsigned flags)
{
    struct fg_face *face = fg_arena_alloc(client->arena, ops->bytes);
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    struct fg_headers canonical;

    memset(face, 0, ops->bytes);
    face->ops = ops;
    face->env = env;
    face->client = client;
    face->arena = client->arena;
    face->mem = &env->loop->mem;
    face->grpc = (struct fg_stream){.ops = &grpc_ops, .conn = client->conn, .arena = client->arena};
    face->request_ended = flags & FG_H2_END_STREAM;
    client->events = &client_events;
    client->user = face;
    face->method = method ? method->value : FG_STR("");
    face->target = path ? path->value : FG_STR("");
    const char *query = path ? memchr(path->value.p, '?', path->value.len) : NULL;
    face->path = !path   ? FG_STR("")
                 : query ? (struct fg_str){path->value.p, (size_t)(query - path->value.p)}
                         : path->value;

    if (!(flags & FG_H2_TOO_LARGE))
        face->cors = fg_cors_of(env, face->path, request, &face->origin);
    fg_headers_init(&canonical);
    fg_headers_add_token(&canonical, face->arena, FG_TOKEN_METHOD, FG_STR("POST"));
    fg_headers_add_token(&canonical, face->arena, FG_TOKEN_PATH, face->path); /* ops->begin may know better */
    for (uint32_t i = 0; i < request->len; i++)
        if (goes_on(face, &request->items[i]))
            *fg_headers_add_slot(&canonical, face->arena) = request->items[i];
    if (!(flags & FG_H2_TOO_LARGE))
        ops->begin(face, request, &canonical);
    canonical.items[1].value = face->path;
    fg_call_start(env, ops->dialect, &face->grpc, &canonical, flags & ~(unsigned)FG_H2_END_STREAM);
    if (face->request_ended && !face->closed)
        take(face, (struct fg_buf){0}, true);
}

/* ---- for the faces ---- */

void fg_face_refuse(struct fg_face *face, enum fg_reason reason, unsigned http_status, struct fg_str message)
{
    if (face->refusal.message.p)
        return;
    face->refusal = fg_reply_make(reason, message);
    face->http_status = http_status;
}

void fg_face_fail(struct fg_face *face, enum fg_reason reason, enum fg_status code, struct fg_str message)
{
    struct fg_reply reply = fg_reply_make(reason, message);

    reply.code = code;
    if (face->call && !face->closed)
        fg_call_fail(face->call, &reply);
}

void fg_face_own_status(struct fg_face *face, enum fg_reason reason, struct fg_str message, struct fg_headers *trailers)
{
    struct fg_reply reply = fg_reply_make(reason, message);

    face->call->outcome.code = reply.code;
    face->call->outcome.source = reply.source;
    face->call->outcome.reason = fg_reason_name(reply.reason);
    fg_headers_init(trailers);
    fg_headers_add_token(trailers, face->arena, FG_TOKEN_GRPC_STATUS, fg_status_number(reply.code));
    fg_headers_add_token(trailers, face->arena, FG_TOKEN_GRPC_MESSAGE,
                         fg_grpc_message_encode(face->arena, reply.message));
    fg_headers_add_token(trailers, face->arena, FG_TOKEN_X_FUSEGATE_ORIGIN, fg_str_from(fg_source_name(reply.source)));
}

void fg_face_half_message(struct fg_face *face, struct fg_headers *trailers)
{
    const struct fg_header *field = fg_headers_get(trailers, FG_TOKEN_GRPC_STATUS);
    enum fg_status code = FG_STATUS_UNKNOWN;

    if (field)
        fg_status_parse(field->value, &code);
    if (code == FG_STATUS_OK)
        fg_face_own_status(face, FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                           FG_STR("the endpoint's answer ends inside of a message"), trailers);
}

void fg_face_abort(struct fg_face *face)
{
    face->aborting = true;
    face->client_ended = true;
    if (face->out_client == 0)
        abort_now(face);
}

bool fg_face_is_over(const struct fg_face *face)
{
    return face->closed || !face->call || face->call->answered || face->delivered_end;
}

void fg_face_deliver(struct fg_face *face, struct fg_buf buf, bool end)
{
    if (face->closed || face->delivered_end || (buf.len == 0 && !end))
        return;
    face->in_grpc += buf.len;
    face->delivered_end = end;
    face->grpc.events->on_data(&face->grpc, buf, end);
}

void fg_face_deliver_all(struct fg_face *face, struct fg_outq *q, bool end)
{
    if (q->bytes == 0)
        fg_face_deliver(face, (struct fg_buf){0}, end);
    while (q->bytes > 0 && !face->closed) {
        struct fg_buf buf = fg_outq_take(q);
        fg_face_deliver(face, buf, end && q->bytes == 0);
        fg_buf_unref(&buf);
    }
}

void fg_face_send(struct fg_face *face, struct fg_buf buf, bool end)
{
    if (face->client_ended || face->closed) {
        fg_buf_unref(&buf);
        return;
    }
    face->out_client += buf.len;
    face->client_ended = end;
    fg_stream_send_data(face->client, buf, end);
}

void fg_face_send_all(struct fg_face *face, struct fg_outq *q, bool end)
{
    if (q->bytes == 0 && end)
        fg_face_send(face, (struct fg_buf){0}, true);
    while (q->bytes > 0) {
        struct fg_buf buf = fg_outq_take(q);
        fg_face_send(face, buf, end && q->bytes == 0);
    }
}

void fg_face_send_text(struct fg_face *face, struct fg_str text, bool end)
{
    fg_face_send(face, fg_buf_copy(text.p, text.len), end);
}

void fg_face_send_headers(struct fg_face *face, struct fg_headers *headers, bool end)
{
    if (face->client_ended || face->closed)
        return;
    if (face->cors)
        fg_cors_add(face->cors, face->origin, face->arena, headers);
    face->client_ended = end;
    fg_stream_send_headers(face->client, headers, end);
}

uint64_t fg_face_max_message(const struct fg_face *face)
{
    return face->call && face->call->route ? face->call->route->max_message : 0;
}

struct fg_descriptors *fg_face_descriptors(struct fg_face *face, const struct fg_headers *request)
{
    const struct fg_config_route *route = fg_route_find(face->env->config, face->path, request);
    struct fg_descriptors *descriptors = route ? fg_cluster_descriptors(&face->env->clusters[route->cluster]) : NULL;
    return descriptors ? fg_descriptors_ref(descriptors) : NULL;
}

struct fg_str fg_face_field(const struct fg_headers *headers, struct fg_str name)
{
    const struct fg_header *field = fg_headers_find(headers, name);
    return field ? field->value : FG_STR("");
}

bool fg_face_is_type(struct fg_str content_type, struct fg_str type)
{
    if (content_type.len < type.len || strncasecmp(content_type.p, type.p, type.len) != 0)
        return false;
    for (size_t i = type.len; i < content_type.len && content_type.p[i] != ';'; i++)
        if (content_type.p[i] != ' ' && content_type.p[i] != '\t')
            return false;
    return true;
}
