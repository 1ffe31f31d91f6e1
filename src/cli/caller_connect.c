/* The Connect protocol (connectrpc.com/docs/protocol): unary calls are plain HTTP with a body that is the message,
 * streams have envelopes and end with a JSON object. */
#include <jansson.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/caller_dialect.h"
#include "dialect/connect.h"
#include "rpc/grpc.h"

static bool streams(const struct fg_caller_call *call)
{
    return call->client_streams || call->server_streams;
}

/* ---- requests ---- */

static void add_timeout(struct fg_caller_call *call, struct fg_headers *headers)
{
    uint64_t now_ns = fg_clock_now_ns(), until_ns = call->link->deadline_ns;

    if (until_ns != FG_NEVER)
        fg_caller_add(call, headers, "connect-timeout-ms",
                      fg_arena_printf(&call->arena, "%llu", until_ns > now_ns ? (until_ns - now_ns) / FG_MS : 0ull));
}

static struct fg_str percent_encode(struct fg_arena *arena, struct fg_str text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = fg_arena_alloc(arena, 3 * text.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c);
        if (plain && c != '\0') {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return (struct fg_str){out, n};
}

/* The message goes into the query: as it is when it is JSON, else as base64url without padding. */
static void begin_get(struct fg_caller_call *call, struct fg_outq *first)
{
    size_t len = first->bytes;
    char *bytes = fg_arena_alloc(&call->arena, len + 1);
    struct fg_str message = {bytes, len};

    fg_outq_read(first, bytes, len);
    fg_outq_consume(first, len);
    if (call->json) {
        message = percent_encode(&call->arena, message);
    } else {
        message = fg_base64_encode(&call->arena, bytes, len);
        char *text = fg_arena_alloc(&call->arena, message.len + 1);
        for (size_t i = 0; i < message.len; i++)
            text[i] = message.p[i] == '+' ? '-' : message.p[i] == '/' ? '_' : message.p[i];
        message = (struct fg_str){text, message.len};
    }
    call->verb = FG_STR("GET");
    call->no_body = true;
    call->path =
        fg_arena_printf(&call->arena, "%.*s?connect=v1&encoding=%s%s&message=%.*s", (int)call->path.len, call->path.p,
                        call->json ? "json" : "proto", call->json ? "" : "&base64=1", (int)message.len, message.p);
}

static void begin(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first)
{
    const char *encoding = call->json ? "json" : "proto";
    bool is_get = call->link->options->get && first;

    if (is_get)
        begin_get(call, first);
    else if (streams(call))
        fg_caller_add(call, headers, "content-type", fg_arena_printf(&call->arena, "application/connect+%s", encoding));
    else
        fg_caller_add(call, headers, "content-type", fg_arena_printf(&call->arena, "application/%s", encoding));
    fg_caller_add(call, headers, streams(call) ? "connect-accept-encoding" : "accept-encoding", FG_STR("gzip"));
    if (!is_get)
        fg_caller_add(call, headers, "connect-protocol-version", FG_STR("1"));
    fg_caller_add(call, headers, "user-agent", FG_STR("fusegate-call/" FG_VERSION));
    add_timeout(call, headers);
    if (!is_get && !streams(call))
        fg_caller_add(call, headers, "content-length",
                      fg_arena_printf(&call->arena, "%zu", first ? first->bytes : (size_t)0));
}

static void put(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out)
{
    if (streams(call))
        fg_caller_put_prefixed(call, message, out);
    else
        fg_outq_move(message, message->bytes, out);
}

/* ---- errors ---- */

static enum fg_status code_of(const char *name)
{
    for (int code = 0; name && code < FG_STATUS_LEN; code++)
        if (fg_str_eq(fg_connect_code((enum fg_status)code), fg_str_from(name)))
            return (enum fg_status)code;
    return FG_STATUS_UNKNOWN;
}

static struct fg_str text_of(struct fg_caller_call *call, const json_t *value)
{
    struct fg_str text = {json_string_value(value), json_string_length(value)};
    return text.p ? fg_arena_copy(&call->arena, text) : FG_STR("");
}

static void take_error(struct fg_caller_call *call, const json_t *error)
{
    const json_t *details = json_object_get(error, "details"), *one;
    size_t i;

    json_array_foreach(details, i, one)
    {
        struct fg_caller_detail detail = {.type = text_of(call, json_object_get(one, "type"))};
        if (fg_base64_decode(&call->arena, text_of(call, json_object_get(one, "value")), &detail.value) == 0)
            fg_caller_call_add_detail(call, &detail);
    }
    fg_caller_call_end(call, code_of(json_string_value(json_object_get(error, "code"))),
                       text_of(call, json_object_get(error, "message")));
}

/* ---- answers ---- */

static void on_head(struct fg_caller_call *call, const struct fg_headers *headers)
{
    const char *name = streams(call) ? "connect-content-encoding" : "content-encoding";
    const struct fg_header *encoding = fg_headers_find(headers, fg_str_from(name));

    call->encoding = encoding ? fg_arena_copy(&call->arena, encoding->value) : FG_STR("");
}

static bool speaks(const struct fg_caller_call *call)
{
    const char *encoding = call->json ? "json" : "proto";
    char wanted[64];

    snprintf(wanted, sizeof wanted, streams(call) ? "application/connect+%s" : "application/%s", encoding);
    return call->http_status == 200 && fg_str_starts_with(call->content_type, fg_str_from(wanted));
}

/* The end of a stream: {"error": {...}, "metadata": {"name": ["value"]}}. */
static void on_end_frame(struct fg_caller_call *call, uint8_t flags, struct fg_str content)
{
    json_error_t why;

    if (!(flags & FG_MESSAGE_END_STREAM)) {
        fg_caller_call_broke(call, "an answer has the unknown flags 0x%02x", flags);
        return;
    }
    json_t *end = json_loadb(content.p, content.len, 0, &why);
    const json_t *error = json_object_get(end, "error");
    const json_t *origin = json_array_get(json_object_get(json_object_get(end, "metadata"), "x-fusegate-origin"), 0);
    if (origin)
        call->origin = text_of(call, origin);
    if (!json_is_object(end))
        fg_caller_call_broke(call, "the end of the stream is no JSON object: %s", why.text);
    else if (error)
        take_error(call, error);
    else
        fg_caller_call_end(call, FG_STATUS_OK, FG_STR(""));
    json_decref(end);
}

static void on_body(struct fg_caller_call *call)
{
    if (streams(call) && speaks(call))
        fg_caller_take_prefixed(call, on_end_frame);
}

static bool is_compressed(const struct fg_caller_call *call)
{
    return call->encoding.len > 0 && !fg_str_eq(call->encoding, FG_STR("identity"));
}

/* A unary error is JSON whatever the messages are in. */
static void end_with_error(struct fg_caller_call *call)
{
    json_error_t why;
    json_t *error = NULL;

    if (fg_str_starts_with(call->content_type, FG_STR("application/json")) && call->http_status != 200) {
        if (is_compressed(call) && !fg_caller_call_inflate(call, &call->in))
            return;
        struct fg_str text = fg_caller_call_text(call);
        error = json_loadb(text.p, text.len, 0, &why);
        fg_outq_copy(&call->in, text.p, text.len); /* for whoever shows it */
    }
    if (json_is_string(json_object_get(error, "code")))
        take_error(call, error);
    else
        fg_caller_not_spoken(call, "Connect");
    json_decref(error);
}

static void on_end(struct fg_caller_call *call, const struct fg_headers *trailers)
{
    struct fg_outq content;
    (void)trailers;

    if (!speaks(call)) {
        end_with_error(call);
    } else if (streams(call)) {
        fg_caller_call_broke(call, "the answer ended without its last frame");
    } else {
        fg_outq_init(&content, &call->link->loop.mem);
        fg_outq_move(&call->in, call->in.bytes, &content);
        fg_caller_call_deliver(call, &content, is_compressed(call));
        fg_outq_cleanup(&content);
        fg_caller_call_end(call, FG_STATUS_OK, FG_STR(""));
    }
}

const struct fg_caller_dialect fg_caller_connect = {
    .name = "connect",
    .knows_get = true,
    .begin = begin,
    .put = put,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
};
