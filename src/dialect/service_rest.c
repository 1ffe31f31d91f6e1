/* Services that speak REST behind callers who speak anything: a call becomes a request with JSON by its method's
 * google.api.http rule, and the answer a gRPC answer, so that nothing above an attempt's stream knows the difference.
 *
 * The request is known when its message is whole: what makes its path stands anywhere in it. Answers of one message are
 * kept until they are whole; those of streams (NDJSON, or one array) go on value by value. */
#include "dialect/service_rest.h"

#include <stdlib.h>

#include "dialect/connect.h"
#include "rpc/gzip.h"
#include "rpc/http_request.h"
#include "rpc/json_split.h"
#include "rpc/message.h"
#include "rpc/status_details.h"

#define ERROR_MAX (64u << 10) /* bytes of an answer that is an error; what is behind them is not looked at */

struct service {
    struct fg_stream grpc;  /* what the attempt has */
    struct fg_stream *http; /* NULL: over */
    struct fg_call *call;
    struct fg_descriptors *descriptors; /* one reference, until it is closed */
    const struct fg_http_binding *binding;
    unsigned status;
    bool streams, raw, gzip;
    bool head_delivered;
    bool closed; /* the attempt has been told, or has let go */
    struct fg_headers head;
    struct fg_str content_type;
    uint64_t retry_after_ns;
    struct fg_outq body; /* of the answer, or of its value that is not whole yet */
    struct fg_json_split split;
    uint64_t held, delivered; /* bytes that are not given back to the endpoint; and those not used by the client */
};

static struct service *service_of(struct fg_stream *grpc)
{
    return FG_CONTAINER_OF(grpc, struct service, grpc);
}

static void cleanup(struct service *s)
{
    s->closed = true;
    fg_outq_cleanup(&s->body);
    fg_descriptors_unref(s->descriptors);
    s->descriptors = NULL;
}

static uint64_t max_message(const struct service *s)
{
    return s->call->route->max_message;
}

/* ---- the stream that the attempt has ---- */

static void no_headers(struct fg_stream *grpc, struct fg_headers *headers, bool end)
{
    (void)grpc; /* they went out with the request */
    (void)headers;
    (void)end;
}

static void no_trailers(struct fg_stream *grpc, struct fg_headers *headers)
{
    (void)grpc;
    (void)headers;
}

static void no_data(struct fg_stream *grpc, struct fg_buf buf, bool end)
{
    (void)grpc;
    (void)end;
    fg_buf_unref(&buf);
}

static void give_back(struct service *s)
{
    uint64_t bytes = s->held;

    s->held = 0;
    if (bytes > 0 && s->http)
        fg_stream_consume(s->http, bytes);
}

static void consume(struct fg_stream *grpc, size_t bytes)
{
    struct service *s = service_of(grpc);

    s->delivered -= FG_MIN(s->delivered, bytes);
    if (s->delivered == 0)
        give_back(s);
}

static void reset(struct fg_stream *grpc, uint32_t code)
{
    struct service *s = service_of(grpc);
    struct fg_stream *http = s->http;

    s->http = NULL;
    if (!s->closed)
        cleanup(s);
    if (http)
        fg_stream_reset(http, code);
}

static void set_priority(struct fg_stream *grpc, int urgency_offset, unsigned weight)
{
    struct service *s = service_of(grpc);
    if (s->http)
        s->http->ops->set_priority(s->http, urgency_offset, weight);
}

static struct fg_wait wait_of(const struct fg_stream *grpc)
{
    const struct service *s = FG_CONTAINER_OF((uintptr_t)grpc, struct service, grpc);
    return s->http ? s->http->ops->wait(s->http) : (struct fg_wait){0, FG_WAIT_NONE};
}

static void add_stalls(const struct fg_stream *grpc, uint64_t stall_ns[FG_WAIT_LEN])
{
    const struct service *s = FG_CONTAINER_OF((uintptr_t)grpc, struct service, grpc);
    if (s->http)
        s->http->ops->add_stalls(s->http, stall_ns);
}

static uint32_t id_of(const struct fg_stream *grpc)
{
    const struct service *s = FG_CONTAINER_OF((uintptr_t)grpc, struct service, grpc);
    return s->http ? s->http->ops->id(s->http) : 0;
}

static bool local_ended(const struct fg_stream *grpc)
{
    const struct service *s = FG_CONTAINER_OF((uintptr_t)grpc, struct service, grpc);
    return s->http ? s->http->ops->local_ended(s->http) : s->closed; /* what is not closed is to be let go */
}

static const struct fg_stream_ops grpc_ops = {
    no_headers, no_data, no_trailers, consume, reset, reset, set_priority, wait_of, add_stalls, id_of, local_ended,
};

/* ---- the answer, as gRPC ---- */

static void add_type(struct service *s, struct fg_headers *out)
{
    struct fg_arena *arena = s->grpc.arena;

    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc+proto"));
    for (uint32_t i = 0; i < s->head.len; i++)
        *fg_headers_add_slot(out, arena) = s->head.items[i];
}

static void deliver_head(struct service *s)
{
    struct fg_headers out;

    if (s->head_delivered)
        return;
    s->head_delivered = true;
    add_type(s, &out);
    s->grpc.events->on_headers(&s->grpc, &out, 0);
}

static void deliver_end(struct service *s, enum fg_status code, struct fg_str message)
{
    const struct fg_status_details details = {.code = code, .message = message, .retry_after_ns = s->retry_after_ns};
    struct fg_arena *arena = s->grpc.arena;
    struct fg_headers out;

    if (s->head_delivered)
        fg_headers_init(&out);
    else
        add_type(s, &out);
    fg_headers_add_token(&out, arena, FG_TOKEN_GRPC_STATUS, fg_arena_printf(arena, "%u", (unsigned)code));
    if (message.len > 0)
        fg_headers_add_token(&out, arena, FG_TOKEN_GRPC_MESSAGE, fg_grpc_message_encode(arena, message));
    if (code != FG_STATUS_OK && s->retry_after_ns > 0)
        fg_headers_add_token(&out, arena, FG_TOKEN_GRPC_STATUS_DETAILS_BIN, fg_status_details_encode(arena, &details));
    s->grpc.events->on_headers(&s->grpc, &out, FG_H2_END_STREAM | (s->head_delivered ? (unsigned)FG_H2_TRAILERS : 0u));
}

/* What the endpoint says cannot be a message. ENDED: it has said everything. */
static void fail(struct service *s, bool ended, enum fg_status code, struct fg_str message)
{
    struct fg_stream *http = s->http;

    if (!ended && http) {
        s->http = NULL;
        fg_stream_reset(http, FG_H2_CANCEL);
    }
    deliver_end(s, code, message);
}

static void too_large(struct service *s, bool ended)
{
    fail(s, ended, FG_STATUS_RESOURCE_EXHAUSTED,
         fg_arena_printf(s->grpc.arena, "the endpoint's answer is larger than the route's max_message, %llu bytes",
                         (unsigned long long)max_message(s)));
}

/* google.api.HttpBody: content_type (1) and data (2). */
static int put_raw(struct service *s, const struct fg_str *parts, size_t parts_len, struct fg_proto_out *out)
{
    if (s->content_type.len > 0) {
        if (!fg_proto_begin(out, 1))
            return -1;
        fg_proto_put_bytes(out, s->content_type.p, s->content_type.len);
        fg_proto_end(out, true);
    }
    if (!fg_proto_begin(out, 2))
        return -1;
    for (size_t i = 0; i < parts_len; i++)
        fg_proto_put_bytes(out, parts[i].p, parts[i].len);
    fg_proto_end(out, true);
    return 0;
}

static int convert(struct service *s, struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    const struct fg_json_to_proto how = {.descriptors = s->descriptors, .ignore_unknown = true};
    const struct fg_http_binding *binding = s->binding;
    size_t parts_len;
    int rc = 0;

    if (s->body.bytes == 0 && !s->raw) /* 204, or nothing to say: an empty message */
        return 0;
    struct fg_str *parts = fg_message_parts(&s->body, &parts_len);
    bool begun = s->raw && binding->response_field && fg_proto_begin(out, binding->response_field->number);
    if (s->raw)
        rc = put_raw(s, parts, parts_len, out);
    else if (binding->response_field)
        rc = fg_json_to_proto_field(&how, binding->response_field, parts, parts_len, out, error);
    else
        rc = fg_json_to_proto(&how, binding->method->output, parts, parts_len, out, error);
    if (begun)
        fg_proto_end(out, true);
    free(parts);
    return rc;
}

/* What is in `body` is one message. False: it is over. */
static bool deliver(struct service *s, bool ended)
{
    struct fg_proto_json_error error = {0};
    struct fg_mem *mem = s->body.mem;
    struct fg_proto_out proto;
    struct fg_outq message;

    fg_proto_out_init(&proto, mem, max_message(s));
    int rc = convert(s, &proto, &error);
    fg_outq_cleanup(&s->body);
    if (rc != 0 || proto.failed) {
        bool large = rc == 0 || error.code == FG_STATUS_RESOURCE_EXHAUSTED;
        fg_proto_out_cleanup(&proto);
        if (large)
            too_large(s, ended);
        else
            fail(s, ended, FG_STATUS_INTERNAL,
                 fg_arena_printf(s->grpc.arena, "the endpoint's answer is no %.*s: line %d, column %d%s%s: %s",
                                 (int)s->binding->method->output->full_name.len,
                                 s->binding->method->output->full_name.p, error.line, error.column,
                                 error.path[0] ? ", " : "", error.path, error.message));
        return false;
    }
    fg_outq_init(&message, mem);
    fg_message_put_prefix(&message, 0, (size_t)fg_proto_out_len(&proto));
    fg_proto_out_move(&proto, &message);
    fg_proto_out_cleanup(&proto);
    deliver_head(s);
    while (message.bytes > 0 && !s->closed) {
        struct fg_buf buf = fg_outq_take(&message);
        s->delivered += buf.len;
        s->grpc.events->on_data(&s->grpc, buf, false);
        fg_buf_unref(&buf);
    }
    fg_outq_cleanup(&message);
    return !s->closed;
}

static bool inflate(struct service *s)
{
    struct fg_outq plain;

    fg_outq_init(&plain, s->body.mem);
    enum fg_gzip_result result = fg_gzip_inflate(&s->body, max_message(s), &plain);
    fg_outq_cleanup(&s->body);
    if (result == FG_GZIP_OK)
        fg_outq_move(&plain, plain.bytes, &s->body);
    fg_outq_cleanup(&plain);
    if (result == FG_GZIP_TOO_LARGE)
        too_large(s, true);
    else if (result != FG_GZIP_OK)
        fail(s, true, FG_STATUS_INTERNAL, FG_STR("the endpoint's answer says that it is gzip, and is not"));
    return result == FG_GZIP_OK;
}

/* ---- the end of the answer ---- */

/* What cannot be read is thrown away: an error that says nothing is an error all the same. */
static void inflate_error(struct service *s)
{
    struct fg_outq plain;

    fg_outq_init(&plain, s->body.mem);
    bool good = fg_gzip_inflate(&s->body, ERROR_MAX, &plain) == FG_GZIP_OK;
    fg_outq_cleanup(&s->body);
    if (good)
        fg_outq_move(&plain, plain.bytes, &s->body);
    fg_outq_cleanup(&plain);
}

static void end_with_error(struct service *s)
{
    enum fg_status code = fg_cluster_status(s->call->cluster, s->status);
    struct fg_str message;

    if (code == FG_STATUS_OK && s->status >= 400) { /* http_statuses says so: there is nothing to say */
        fg_outq_cleanup(&s->body);
        s->raw = false;
        if (deliver(s, true))
            deliver_end(s, FG_STATUS_OK, FG_STR(""));
        return;
    }
    if (code == FG_STATUS_OK) /* a redirection, which is for browsers */
        code = FG_STATUS_UNKNOWN;
    if (s->gzip)
        inflate_error(s);
    fg_service_read_error(&s->body, s->status, s->grpc.arena, &code, &message);
    deliver_end(s, code, message);
}

static void end_stream(struct service *s)
{
    int open = fg_json_split_end(&s->split);

    if (open < 0) {
        fail(s, true, FG_STATUS_INTERNAL, FG_STR("the endpoint's answer ends inside of a JSON value or array"));
        return;
    }
    if (open > 0 && !deliver(s, true))
        return;
    deliver_head(s);
    if (!s->closed)
        deliver_end(s, FG_STATUS_OK, FG_STR(""));
}

static void end(struct service *s)
{
    if (s->status >= 300)
        end_with_error(s);
    else if (s->streams)
        end_stream(s);
    else if ((!s->gzip || s->body.bytes == 0 || inflate(s)) && deliver(s, true))
        deliver_end(s, FG_STATUS_OK, FG_STR(""));
}

/* ---- events of the endpoint's stream ---- */

static unsigned status_of(const struct fg_headers *headers)
{
    const struct fg_header *status = fg_headers_get(headers, FG_TOKEN_STATUS);
    unsigned n = 0;

    for (size_t i = 0; status && i < status->value.len && i < 3; i++)
        n = n * 10 + (unsigned)(status->value.p[i] - '0');
    return n;
}

/* Seconds, or a date, which is not read: no service of today sends one. */
static uint64_t retry_after_ns(struct fg_str value)
{
    uint64_t seconds = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9' || i > 5)
            return 0;
        seconds = seconds * 10 + (uint64_t)(value.p[i] - '0');
    }
    return seconds * FG_S;
}

static void take_head(struct service *s, const struct fg_headers *headers)
{
    struct fg_str encoding = fg_face_field(headers, FG_STR("content-encoding"));
    struct fg_arena *arena = s->grpc.arena;
    const struct fg_header *type = fg_headers_get(headers, FG_TOKEN_CONTENT_TYPE);

    s->status = status_of(headers);
    s->gzip = fg_str_eq(encoding, FG_STR("gzip"));
    s->content_type = type ? fg_arena_copy(arena, type->value) : FG_STR("");
    s->retry_after_ns = retry_after_ns(fg_face_field(headers, FG_STR("retry-after")));
    for (uint32_t i = 0; i < headers->len; i++)
        if (fg_connect_is_metadata(&headers->items[i]) &&
            !fg_str_eq(headers->items[i].name, FG_STR("content-encoding")))
            fg_headers_add_copy(&s->head, arena, &headers->items[i]);
    if (s->status < 300 && encoding.len > 0 && !fg_str_eq(encoding, FG_STR("identity")) && (!s->gzip || s->streams))
        fail(s, false, FG_STATUS_INTERNAL,
             fg_arena_printf(arena, "the endpoint's answer is compressed with %.*s, which was not asked for",
                             (int)FG_MIN(encoding.len, (size_t)50), encoding.p));
}

static void on_headers(struct fg_stream *http, struct fg_headers *headers, unsigned flags)
{
    struct service *s = http->user;

    if (flags & FG_H2_INFORMATIONAL)
        return;
    if (flags & FG_H2_TOO_LARGE)
        fail(s, false, FG_STATUS_INTERNAL,
             FG_STR("the endpoint's header list is over http2.max_header_list or max_header_fields"));
    else if (!(flags & FG_H2_TRAILERS))
        take_head(s, headers);
    if ((flags & FG_H2_END_STREAM) && !s->closed && s->http)
        end(s);
}

static void take_values(struct service *s, struct fg_buf buf)
{
    enum fg_json_split_result result = FG_JSON_SPLIT_VALUE;
    struct fg_str piece;
    size_t at = 0;

    while (result == FG_JSON_SPLIT_VALUE && !s->closed && s->http) {
        result = fg_json_split_feed(&s->split, (const char *)buf.data, buf.len, &at, &piece);
        if (s->body.bytes + piece.len > max_message(s)) {
            too_large(s, false);
            return;
        }
        fg_outq_copy(&s->body, piece.p, piece.len);
        if (result == FG_JSON_SPLIT_VALUE && !deliver(s, false))
            return;
    }
    if (result == FG_JSON_SPLIT_BAD)
        fail(s, false, FG_STATUS_INTERNAL,
             FG_STR("the endpoint's answer is neither JSON values one after the other nor an array of them"));
}

static void take_content(struct service *s, struct fg_buf buf)
{
    uint64_t max = s->status >= 300 ? ERROR_MAX : max_message(s);

    if (buf.len <= max - FG_MIN(max, s->body.bytes))
        fg_outq_keep(&s->body, buf);
    else if (s->status < 300)
        too_large(s, false);
}

static void on_data(struct fg_stream *http, struct fg_buf buf, bool end_stream)
{
    struct service *s = http->user;

    s->held += buf.len;
    if (s->streams && s->status < 300)
        take_values(s, buf);
    else
        take_content(s, buf);
    if (s->closed || !s->http)
        return;
    if (s->delivered == 0)
        give_back(s);
    if (end_stream)
        end(s);
}

static void on_sent(struct fg_stream *http, size_t bytes)
{
    (void)http; /* the client's bytes were given back when they were kept */
    (void)bytes;
}

static void on_close(struct fg_stream *http, const struct fg_h2_close *why)
{
    struct service *s = http->user;

    s->http = NULL;
    if (s->closed)
        return;
    s->grpc.events->on_close(&s->grpc, why);
    cleanup(s);
}

static void on_waited(struct fg_stream *http, const struct fg_waited *waited)
{
    struct service *s = http->user;

    if (s->grpc.events->on_waited)
        s->grpc.events->on_waited(&s->grpc, waited);
}

static const struct fg_stream_events http_events = {on_headers, on_data, on_sent, on_close, on_waited};

/* ---- the request ---- */

static struct fg_descriptors *descriptors_of(const struct fg_call *call)
{
    return fg_cluster_descriptors(call->cluster);
}

/* Why the method cannot be called this way; empty: it can. */
static struct fg_str unfit(const struct fg_call *call, struct fg_str path)
{
    struct fg_descriptors *set = descriptors_of(call);
    const struct fg_method *method = fg_descriptors_method_of(set, path);
    struct fg_arena *arena = call->down->arena;

    if (!method)
        return fg_arena_printf(arena, "the cluster's descriptors have no method %.*s",
                               (int)FG_MIN(path.len, (size_t)200), path.p);
    if (method->client_streaming)
        return FG_STR("a service that speaks REST takes no streams of messages");
    if (!fg_http_binding_of(fg_descriptors_http(set), method))
        return fg_arena_printf(arena, "the method %.*s has no google.api.http rule, and the service speaks REST",
                               (int)path.len, path.p);
    return FG_STR("");
}

static bool begin(struct fg_call *call)
{
    struct fg_str problem = unfit(call, call->path);

    if (problem.len == 0)
        return true;
    struct fg_reply reply = fg_reply_make(FG_REASON_UNKNOWN_METHOD, problem);
    fg_call_fail(call, &reply);
    return false;
}

/* The message that the call has sent, at the end of CONTENT. */
static struct fg_str take_message(const struct fg_call *call, struct fg_outq *content)
{
    struct fg_mem *mem = &call->env->loop->mem;
    enum fg_message_result result;
    struct fg_outq sent, plain;
    uint8_t flags = 0;

    fg_outq_init(&sent, mem);
    for (struct fg_seg *seg = call->body.head; seg; seg = seg->next)
        fg_outq_push(&sent, fg_body_slice(seg));
    result = fg_message_take(&sent, call->route->max_message, &flags, content);
    bool whole = result == FG_MESSAGE_WHOLE && sent.bytes == 0;
    fg_outq_cleanup(&sent);
    if (!whole)
        return FG_STR("the request is not one whole message");
    if (!(flags & FG_MESSAGE_COMPRESSED))
        return FG_STR("");
    const struct fg_header *encoding = fg_headers_get(&call->request, FG_TOKEN_GRPC_ENCODING);
    if (!encoding || !fg_str_eq(encoding->value, FG_STR("gzip")))
        return FG_STR("the request's message is compressed, and not with gzip");
    fg_outq_init(&plain, mem);
    bool good = fg_gzip_inflate(content, call->route->max_message, &plain) == FG_GZIP_OK;
    fg_outq_cleanup(content);
    fg_outq_move(&plain, plain.bytes, content);
    fg_outq_cleanup(&plain);
    return good ? FG_STR("") : FG_STR("the request's message is no gzip, or larger than the route's max_message");
}

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

/* The path and the content that the message means. */
static struct fg_str make_request(struct service *s, struct fg_outq *target, struct fg_outq *body)
{
    const struct fg_proto_to_json how = {.descriptors = s->descriptors};
    struct fg_mem *mem = s->body.mem;
    struct fg_proto_json_error error;
    struct fg_outq content, text;
    struct fg_json_out json;
    char buffer[4096];
    size_t parts_len;

    fg_outq_init(&content, mem);
    fg_outq_init(&text, mem);
    struct fg_str problem = take_message(s->call, &content);
    if (problem.len == 0) {
        struct fg_str *parts = fg_message_parts(&content, &parts_len);
        fg_json_out_init(&json, buffer, sizeof buffer, keep, &text);
        json.max = UINT64_MAX;
        if (fg_proto_to_json(&how, s->binding->method->input, parts, parts_len, &json, &error) != 0)
            problem = fg_arena_printf(
                s->grpc.arena, "the request is no %.*s%s%s: %s", (int)s->binding->method->input->full_name.len,
                s->binding->method->input->full_name.p, error.path[0] ? ", " : "", error.path, error.message);
        free(parts);
    }
    if (problem.len == 0) {
        char *whole = fg_alloc(text.bytes + 1);
        fg_outq_read(&text, whole, text.bytes);
        (void)!fg_http_make_request(s->binding, (struct fg_str){whole, text.bytes}, s->grpc.arena, target, body,
                                    &problem);
        free(whole);
    }
    fg_outq_cleanup(&content);
    fg_outq_cleanup(&text);
    return problem;
}

static bool goes_on(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_METHOD:
    case FG_TOKEN_PATH:
    case FG_TOKEN_CONTENT_TYPE:
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_TE:
    case FG_TOKEN_ACCEPT_ENCODING:
        return false;
    default:
        return !fg_str_starts_with(field->name, FG_STR("grpc-")) && !fg_str_eq(field->name, FG_STR("accept"));
    }
}

static void add_fields(struct service *s, const struct fg_headers *grpc, struct fg_outq *target, size_t body_len,
                       struct fg_headers *out)
{
    struct fg_arena *arena = s->grpc.arena;
    char *path = fg_arena_alloc(arena, target->bytes);
    bool has_body = s->binding->body != FG_HTTP_BODY_NONE;

    fg_outq_read(target, path, target->bytes);
    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_METHOD, s->binding->http_method);
    fg_headers_add_token(out, arena, FG_TOKEN_PATH, (struct fg_str){path, target->bytes});
    for (uint32_t i = 0; i < grpc->len; i++)
        if (goes_on(&grpc->items[i]))
            *fg_headers_add_slot(out, arena) = grpc->items[i];
    if (has_body) {
        fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/json"));
        fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_LENGTH, fg_arena_printf(arena, "%zu", body_len));
    }
    fg_headers_add_token(out, arena, FG_TOKEN_ACCEPT_ENCODING, s->streams ? FG_STR("identity") : FG_STR("gzip"));
    fg_headers_add(out, arena, FG_STR("accept"),
                   s->raw       ? FG_STR("*/*")
                   : s->streams ? FG_STR("application/x-ndjson, application/json")
                                : FG_STR("application/json"));
}

static bool is_raw(const struct fg_http_binding *binding)
{
    const struct fg_message *type =
        binding->response_field ? binding->response_field->message : binding->method->output;
    return type && fg_str_eq(type->full_name, FG_STR("google.api.HttpBody"));
}

static struct service *service_new(struct fg_call *call, struct fg_conn *conn)
{
    struct fg_arena *arena = call->down->arena;
    struct service *s = fg_arena_alloc(arena, sizeof *s);
    struct fg_descriptors *set = fg_descriptors_ref(descriptors_of(call));

    *s = (struct service){.grpc = {.ops = &grpc_ops, .conn = conn, .arena = arena}, .call = call, .descriptors = set};
    s->binding = fg_http_binding_of(fg_descriptors_http(set), fg_descriptors_method(set, call->path));
    s->raw = is_raw(s->binding);
    s->streams = s->binding->method->server_streaming && !s->raw;
    fg_headers_init(&s->head);
    fg_outq_init(&s->body, &call->env->loop->mem);
    return s;
}

static struct fg_stream *request(struct fg_call *call, struct fg_conn *conn, struct fg_headers *headers,
                                 const struct fg_stream_events *events, void *user, struct fg_reply *reply)
{
    struct fg_mem *mem = &call->env->loop->mem;
    struct fg_outq target, body;
    struct fg_headers out;

    struct fg_str problem = unfit(call, call->path); /* descriptors may have changed since the call began */
    if (problem.len > 0) {
        *reply = fg_reply_make(FG_REASON_UNKNOWN_METHOD, problem);
        return NULL;
    }
    struct service *s = service_new(call, conn);
    fg_outq_init(&target, mem);
    fg_outq_init(&body, mem);
    problem = make_request(s, &target, &body);
    if (problem.len == 0) {
        add_fields(s, headers, &target, body.bytes, &out);
        s->grpc.events = events;
        s->grpc.user = user;
        s->http = fg_conn_request(conn, &out, body.bytes == 0, &http_events, s);
        while (body.bytes > 0 && s->http) {
            struct fg_buf buf = fg_outq_take(&body);
            fg_stream_send_data(s->http, buf, body.bytes == 0);
        }
    } else {
        *reply = fg_reply_make(FG_REASON_BAD_REQUEST, problem);
        cleanup(s);
    }
    fg_outq_cleanup(&target);
    fg_outq_cleanup(&body);
    return problem.len == 0 ? &s->grpc : NULL;
}

const struct fg_service fg_service_rest = {begin, request};
