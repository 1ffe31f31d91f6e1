/* Plain HTTP for clusters whose service is http: requests and answers go through as they are. What the gateway says
 * itself is JSON: {"error": ..., "code": ..., "status": ..., "details": [...]} (row A3). */
#include "dialect/rest.h"
#include "rpc/json_write.h"

static bool begin(struct fg_call *call)
{
    const struct fg_header *path = fg_headers_get(&call->request, FG_TOKEN_PATH);
    const char *query = path ? memchr(path->value.p, '?', path->value.len) : NULL;

    call->opaque = true;
    call->tunnel = fg_headers_get(&call->request, FG_TOKEN_PROTOCOL) != NULL;
    if (path)
        call->path = (struct fg_str){path->value.p, query ? (size_t)(query - path->value.p) : path->value.len};
    return true;
}

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

static void put(struct fg_json_out *out, const char *raw, struct fg_str text)
{
    fg_json_put_raw(out, raw, strlen(raw));
    fg_json_put_text(out, text);
}

/* The same facts as in grpc-status-details-bin (row C2). */
static void put_details(struct fg_json_out *out, const struct fg_call *call, const struct fg_reply *reply)
{
    const char *comma = "";

    if (!call->env->config->error_details) {
        fg_json_put_raw(out, ",\"details\":[]", 13);
        return;
    }

    put(out, ",\"details\":[{\"@type\":", FG_STR("type.googleapis.com/google.rpc.ErrorInfo"));
    put(out, ",\"reason\":", fg_str_from(fg_reason_name(reply->reason)));
    put(out, ",\"domain\":", FG_STR("fusegate"));
    fg_json_put_raw(out, ",\"metadata\":{", 13);
    if (call->cluster) {
        put(out, "\"cluster\":", call->cluster->name);
        comma = ",";
    }
    for (size_t i = 0; i < reply->pairs_len; i++, comma = ",") {
        put(out, comma, reply->pairs[i].key);
        put(out, ":", reply->pairs[i].value);
    }
    fg_json_put_raw(out, "}}]", 3);
}

static void put_body(struct fg_outq *q, const struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_json_out out;
    char buffer[1024];

    fg_json_out_init(&out, buffer, sizeof buffer, keep, q);
    put(&out, "{\"error\":", reply->message);
    fg_json_put_raw(&out, ",\"code\":", 8);
    fg_json_put_u64(&out, reply->code);
    put(&out, ",\"status\":", fg_str_from(fg_status_name(reply->code)));
    put_details(&out, call, reply);
    fg_json_put(&out, '}');
    fg_json_flush(&out);
}

static void send_reply(struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_arena *arena = call->down->arena;
    const struct fg_header *method = fg_headers_get(&call->request, FG_TOKEN_METHOD);
    bool head = method && fg_str_eq(method->value, FG_STR("HEAD"));
    struct fg_headers headers;
    struct fg_outq body;

    if (call->headers_sent) { /* an answer that is cut must not look like a whole one */
        fg_call_abort(call, FG_H2_INTERNAL_ERROR);
        return;
    }
    fg_outq_init(&body, &call->env->loop->mem);
    put_body(&body, call, reply);
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, arena, FG_TOKEN_STATUS,
                         fg_arena_printf(arena, "%u", fg_rest_http_status(call, reply->code)));
    fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/json"));
    fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_LENGTH, fg_arena_printf(arena, "%zu", body.bytes));
    if (reply->retry_after_ns > 0)
        fg_headers_add(&headers, arena, FG_STR("retry-after"),
                       fg_arena_printf(arena, "%llu", (unsigned long long)((reply->retry_after_ns + FG_S - 1) / FG_S)));
    fg_headers_add_token(&headers, arena, FG_TOKEN_X_FUSEGATE_ORIGIN, fg_str_from(fg_source_name(reply->source)));
    fg_stream_send_headers(call->down, &headers, head);
    while (body.bytes > 0 && !head) {
        struct fg_buf buf = fg_outq_take(&body);
        fg_stream_send_data(call->down, buf, body.bytes == 0);
    }
    fg_outq_cleanup(&body);
}

const struct fg_dialect fg_dialect_http = {"http", begin, send_reply};
