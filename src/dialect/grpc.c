/* gRPC over HTTP/2 (PROTOCOL-HTTP2.md): the canonical call as it is. Only the gateway's own statuses are made here. */
#include "dialect/dialect.h"

static struct fg_str without_query(struct fg_str path)
{
    const char *query = memchr(path.p, '?', path.len);
    return query ? (struct fg_str){path.p, (size_t)(query - path.p)} : path;
}

static bool reject(struct fg_call *call, enum fg_reason reason, const char *message)
{
    struct fg_reply reply = fg_reply_make(reason, fg_str_from(message));
    fg_call_fail(call, &reply);
    return false;
}

bool fg_grpc_begin(struct fg_call *call)
{
    const struct fg_header *path = fg_headers_get(&call->request, FG_TOKEN_PATH);
    const struct fg_header *method = fg_headers_get(&call->request, FG_TOKEN_METHOD);
    const struct fg_header *timeout = fg_headers_get(&call->request, FG_TOKEN_GRPC_TIMEOUT);
    uint64_t timeout_ns;

    if (path)
        call->path = without_query(path->value);
    if (!path || !method || !fg_str_eq(method->value, FG_STR("POST")))
        return reject(call, FG_REASON_METHOD_NOT_POST, "a gRPC request must use POST");
    if (!timeout)
        return true;
    if (fg_grpc_timeout_parse(timeout->value, &timeout_ns) != 0) {
        FG_COUNT(call->env->stats, malformed_timeouts);
        return reject(call, FG_REASON_MALFORMED_TIMEOUT, "grpc-timeout is not 1-8 digits and one of H M S m u n");
    }
    call->deadline_ns = timeout_ns < FG_NEVER - call->start_ns ? call->start_ns + timeout_ns : FG_NEVER;
    return true;
}

/* Row C2: whose status this is, what was observed, what the limit is. */
static struct fg_str details(struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_metadata_pair pairs[FG_REPLY_PAIRS + 2];
    size_t len = 0;

    if (call->cluster)
        pairs[len++] = (struct fg_metadata_pair){FG_STR("cluster"), call->cluster->name};
    if (call->path.len > 0)
        pairs[len++] = (struct fg_metadata_pair){FG_STR("method"), call->path};
    for (size_t i = 0; i < reply->pairs_len; i++)
        pairs[len++] = reply->pairs[i];
    struct fg_status_details status = {
        .code = reply->code,
        .message = reply->message,
        .reason = call->env->config->error_details ? fg_str_from(fg_reason_name(reply->reason)) : FG_STR(""),
        .pairs = pairs,
        .pairs_len = len,
        .retry_after_ns = reply->retry_after_ns,
    };
    return fg_status_details_encode(call->down->arena, &status);
}

void fg_grpc_send_reply(struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_arena *arena = call->down->arena;
    struct fg_headers headers;

    fg_headers_init(&headers);
    if (!call->headers_sent) { /* Trailers-Only */
        fg_headers_add_token(&headers, arena, FG_TOKEN_STATUS, FG_STR("200"));
        fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    }
    fg_headers_add_token(&headers, arena, FG_TOKEN_GRPC_STATUS, fg_status_number(reply->code));
    fg_headers_add_token(&headers, arena, FG_TOKEN_GRPC_MESSAGE, fg_grpc_message_encode(arena, reply->message));
    if (call->env->config->error_details || reply->retry_after_ns > 0)
        fg_headers_add_token(&headers, arena, FG_TOKEN_GRPC_STATUS_DETAILS_BIN, details(call, reply));
    if (reply->code == FG_STATUS_RESOURCE_EXHAUSTED && reply->retry_after_ns > 0) /* gRFC A6: not before */
        fg_headers_add_token(
            &headers, arena, FG_TOKEN_GRPC_RETRY_PUSHBACK_MS,
            fg_arena_printf(arena, "%llu", (unsigned long long)((reply->retry_after_ns + FG_MS - 1) / FG_MS)));
    fg_headers_add_token(&headers, arena, FG_TOKEN_X_FUSEGATE_ORIGIN, fg_str_from(fg_source_name(reply->source)));
    if (call->headers_sent)
        fg_stream_send_trailers(call->down, &headers);
    else
        fg_stream_send_headers(call->down, &headers, true);
}

const struct fg_dialect fg_dialect_grpc = {"grpc", fg_grpc_begin, fg_grpc_send_reply};
