/* A request in no dialect that the gateway speaks. gRPC says 415 to it (PROTOCOL-HTTP2.md, "Requests"). */
#include "dialect/dialect.h"

static bool begin(struct fg_call *call)
{
    const struct fg_header *path = fg_headers_get(&call->request, FG_TOKEN_PATH);
    const struct fg_header *type = fg_headers_get(&call->request, FG_TOKEN_CONTENT_TYPE);

    if (path)
        call->path = path->value;
    if (fg_is_connect(&call->request)) {
        struct fg_reply reply = fg_reply_make(
            FG_REASON_NO_CONNECT,
            fg_headers_get(&call->request, FG_TOKEN_PROTOCOL)
                ? FG_STR("only WebSocket is tunnelled, and only to clusters whose service is http")
                : FG_STR("this gateway is no forward proxy: CONNECT without :protocol has no meaning here"));
        fg_call_fail(call, &reply);
        return false;
    }
    if (type && fg_grpc_is_content_type(type->value)) {
        struct fg_reply reply = fg_reply_make(FG_REASON_GRPC_NEEDS_HTTP2,
                                              FG_STR("gRPC needs HTTP/2: with TLS by ALPN, else with prior knowledge"));
        fg_call_fail(call, &reply);
        return false;
    }
    struct fg_reply reply = fg_reply_make(
        FG_REASON_NOT_GRPC,
        fg_arena_printf(call->down->arena, "unsupported content-type \"%.*s\": this listener serves application/grpc",
                        type ? (int)FG_MIN(type->value.len, (size_t)100) : 0, type ? type->value.p : ""));
    fg_call_fail(call, &reply);
    return false;
}

static void send_reply(struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_arena *arena = call->down->arena;
    struct fg_str body = fg_arena_printf(arena, "%.*s\n", (int)reply->message.len, reply->message.p);
    const struct fg_header *method = fg_headers_get(&call->request, FG_TOKEN_METHOD);
    bool head = method && fg_str_eq(method->value, FG_STR("HEAD"));
    struct fg_headers headers;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, arena, FG_TOKEN_STATUS,
                         reply->reason == FG_REASON_HEADERS_TOO_LARGE  ? FG_STR("431")
                         : reply->reason == FG_REASON_NO_CONNECT       ? FG_STR("501")
                         : reply->reason == FG_REASON_GRPC_NEEDS_HTTP2 ? FG_STR("505")
                                                                       : FG_STR("415"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("text/plain; charset=utf-8"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_LENGTH, fg_arena_printf(arena, "%zu", body.len));
    fg_headers_add_token(&headers, arena, FG_TOKEN_X_FUSEGATE_ORIGIN, fg_str_from(fg_source_name(reply->source)));
    fg_stream_send_headers(call->down, &headers, head);
    if (!head)
        fg_stream_send_data(call->down, fg_buf_copy(body.p, body.len), true);
}

const struct fg_dialect fg_dialect_none = {"none", begin, send_reply};
