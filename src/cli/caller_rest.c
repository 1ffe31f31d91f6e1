/* REST/JSON: the URL and the message are sent as they are; what comes back is shown, and its status read where Google's
 * APIs, grpc-gateway, Envoy and fusegate have it. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/caller_dialect.h"

static void begin(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first)
{
    const char *verb = call->link->options->verb;
    bool has_message = first && first->bytes > 0;

    call->no_body = !has_message;
    call->verb = verb ? fg_str_from(verb) : has_message || call->client_streams ? FG_STR("POST") : FG_STR("GET");
    if (has_message || call->client_streams)
        fg_caller_add(call, headers, "content-type", FG_STR("application/json"));
    if (has_message && !call->client_streams)
        fg_caller_add(call, headers, "content-length", fg_arena_printf(&call->arena, "%zu", first->bytes));
    fg_caller_add(call, headers, "accept-encoding", FG_STR("identity")); /* a stream is shown as it comes */
    fg_caller_add(call, headers, "user-agent", FG_STR("fusegate-call/" FG_VERSION));
    fg_caller_add_grpc_timeout(call, headers);
}

static void put(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out)
{
    fg_outq_move(message, message->bytes, out);
    if (call->client_streams)
        fg_outq_copy(out, "\n", 1);
}

/* ---- errors ---- */

static bool code_named(const char *name, enum fg_status *code)
{
    for (int i = 0; name && i < FG_STATUS_LEN; i++)
        if (strcmp(fg_status_name((enum fg_status)i), name) == 0) {
            *code = (enum fg_status)i;
            return true;
        }
    return false;
}

static void add_details(struct fg_caller_call *call, const json_t *details)
{
    const json_t *one;
    size_t i;

    json_array_foreach(details, i, one)
    {
        char *text = json_dumps(one, JSON_COMPACT | JSON_ENCODE_ANY);
        struct fg_caller_detail detail = {.type = FG_STR("")};
        if (!text)
            continue;
        detail.json = fg_arena_copy(&call->arena, fg_str_from(text));
        fg_caller_call_add_detail(call, &detail);
        free(text);
    }
}

/* {"error": "text", "code": 5, "status": "NOT_FOUND", "details": []} or the same inside of "error", with "message". */
static bool take_error(struct fg_caller_call *call, const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    const json_t *body = json_is_object(error) ? error : root;
    const char *message = json_string_value(json_object_get(body, "message"));
    const json_t *number = json_object_get(body, "code");
    enum fg_status code = fg_status_from_service(call->http_status);

    if (!message)
        message = json_string_value(json_object_get(body, "error"));
    if (!message)
        return false;
    if (!code_named(json_string_value(json_object_get(body, "status")), &code) && json_is_integer(number) &&
        json_integer_value(number) > 0 && json_integer_value(number) < FG_STATUS_LEN)
        code = (enum fg_status)json_integer_value(number);
    if (code == FG_STATUS_OK)
        code = FG_STATUS_UNKNOWN;
    add_details(call, json_object_get(body, "details"));
    fg_caller_call_end(call, code, fg_str_from(message));
    return true;
}

static void end_with_error(struct fg_caller_call *call, struct fg_str text)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.len, 0, &why);

    if (!take_error(call, root))
        fg_caller_call_end(call, fg_status_from_service(call->http_status),
                           fg_arena_printf(&call->arena, "HTTP %u%s%.*s", call->http_status, text.len > 0 ? ": " : "",
                                           (int)FG_MIN(text.len, (size_t)300), text.p));
    json_decref(root);
}

/* The last record of a stream that failed: {"error": {...}}. */
static bool is_last_record(struct fg_caller_call *call, const struct fg_outq *record)
{
    char text[4096];
    json_error_t why;

    if (record->bytes >= sizeof text)
        return false;
    fg_outq_read(record, text, record->bytes);
    if (record->bytes < 9 || memcmp(text, "{\"error\":", 9) != 0)
        return false;
    json_t *root = json_loadb(text, record->bytes, 0, &why);
    bool found =
        json_is_object(json_object_get(root, "error")) && json_object_size(root) == 1 && take_error(call, root);
    json_decref(root);
    return found;
}

/* ---- answers ---- */

static void on_head(struct fg_caller_call *call, const struct fg_headers *headers)
{
    const struct fg_header *encoding = fg_headers_find(headers, FG_STR("content-encoding"));

    call->encoding = encoding ? fg_arena_copy(&call->arena, encoding->value) : FG_STR("");
    call->raw = !memmem(call->content_type.p, call->content_type.len, "json", 4) && call->http_status < 400;
    call->server_streams = fg_str_starts_with(call->content_type, FG_STR("application/x-ndjson"));
}

static bool is_compressed(const struct fg_caller_call *call)
{
    return call->encoding.len > 0 && !fg_str_eq(call->encoding, FG_STR("identity"));
}

/* *LEN bytes stand before the first new line. */
static bool find_line(const struct fg_outq *q, size_t *len)
{
    *len = 0;
    for (const struct fg_seg *seg = q->head; seg; seg = seg->next) {
        const uint8_t *end = memchr(seg->data, '\n', seg->len);
        if (end) {
            *len += (size_t)(end - seg->data);
            return true;
        }
        *len += seg->len;
    }
    return false;
}

/* Records that are whole: each is a line. */
static void take_records(struct fg_caller_call *call)
{
    struct fg_outq record;
    size_t len;

    fg_outq_init(&record, &call->link->loop.mem);
    while (call->result == FG_CALLER_OPEN && find_line(&call->in, &len)) {
        fg_outq_move(&call->in, len, &record);
        fg_outq_consume(&call->in, 1);
        if (record.bytes > 0 && !is_last_record(call, &record))
            fg_caller_call_deliver(call, &record, false);
        fg_outq_cleanup(&record);
    }
}

static void on_body(struct fg_caller_call *call)
{
    struct fg_outq piece;

    if (is_compressed(call) || call->http_status >= 400)
        return;
    if (call->server_streams) {
        take_records(call);
    } else if (call->raw) {
        fg_outq_init(&piece, &call->link->loop.mem);
        fg_outq_move(&call->in, call->in.bytes, &piece);
        fg_caller_call_deliver(call, &piece, false);
        fg_outq_cleanup(&piece);
    }
}

static void on_end(struct fg_caller_call *call, const struct fg_headers *trailers)
{
    struct fg_outq content;
    (void)trailers;

    if (is_compressed(call) && call->in.bytes > 0 && !fg_caller_call_inflate(call, &call->in))
        return;
    if (call->http_status >= 400) {
        end_with_error(call, fg_caller_call_text(call));
        return;
    }
    if (call->server_streams)
        take_records(call);
    fg_outq_init(&content, &call->link->loop.mem);
    fg_outq_move(&call->in, call->in.bytes, &content);
    if (content.bytes > 0)
        fg_caller_call_deliver(call, &content, false);
    fg_outq_cleanup(&content);
    if (call->http_status >= 300)
        fg_caller_call_broke(call, "the server answered HTTP %u: redirects are not followed", call->http_status);
    fg_caller_call_end(call, FG_STATUS_OK, FG_STR(""));
}

const struct fg_caller_dialect fg_caller_rest = {
    .name = "rest",
    .is_rest = true,
    .begin = begin,
    .put = put,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
};
