/* gRPC and gRPC-Web: messages behind prefixes, and a status in trailers or in what looks like them. */
#include "cli/caller_dialect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/caller_print.h"
#include "rpc/descriptor_wire.h"
#include "rpc/grpc.h"

#define WEB_TRAILERS 0x80 /* the flag of the last frame of gRPC-Web (PROTOCOL-WEB.md) */
#define SAMPLE_BYTES 200  /* shown of what is no answer */

const struct fg_caller_dialect *fg_caller_dialect_named(const char *name)
{
    static const struct fg_caller_dialect *const all[] = {
        &fg_caller_grpc, &fg_caller_grpc_web, &fg_caller_grpc_web_text, &fg_caller_connect, &fg_caller_rest};

    for (size_t i = 0; i < FG_ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

/* ---- what several share ---- */

void fg_caller_add(struct fg_caller_call *call, struct fg_headers *headers, const char *name, struct fg_str value)
{
    struct fg_str text = fg_str_from(name);
    struct fg_header field = {.name = text, .value = value, .token = (uint8_t)fg_token_find(text)};

    fg_headers_add_copy(headers, &call->arena, &field);
}

void fg_caller_add_grpc_timeout(struct fg_caller_call *call, struct fg_headers *headers)
{
    char text[FG_GRPC_TIMEOUT_MAX];
    uint64_t now_ns = fg_clock_now_ns(), until_ns = call->link->deadline_ns;

    if (until_ns == FG_NEVER)
        return;
    size_t len = fg_grpc_timeout_format(until_ns > now_ns ? until_ns - now_ns : 0, text);
    fg_caller_add(call, headers, "grpc-timeout", (struct fg_str){text, len});
}

void fg_caller_put_prefixed(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out)
{
    (void)call;
    fg_message_put_prefix(out, 0, message->bytes);
    fg_outq_move(message, message->bytes, out);
}

void fg_caller_take_prefixed(struct fg_caller_call *call,
                             void (*on_other)(struct fg_caller_call *call, uint8_t flags, struct fg_str content))
{
    enum fg_message_result result = FG_MESSAGE_NONE;
    struct fg_outq content;
    uint8_t flags;

    fg_outq_init(&content, &call->link->loop.mem);
    while (call->result == FG_CALLER_OPEN &&
           (result = fg_message_take(&call->in, FG_CALLER_MAX_MESSAGE, &flags, &content)) == FG_MESSAGE_WHOLE) {
        if ((flags & ~FG_MESSAGE_COMPRESSED) == 0) {
            fg_caller_call_deliver(call, &content, flags & FG_MESSAGE_COMPRESSED);
        } else {
            size_t len = content.bytes;
            char *text = fg_arena_alloc(&call->arena, len + 1);
            fg_outq_read(&content, text, len);
            on_other(call, flags, (struct fg_str){text, len});
        }
        fg_outq_cleanup(&content);
    }
    if (result == FG_MESSAGE_TOO_LARGE)
        fg_caller_call_broke(call, "an answer announces more than 256 MiB");
}

/* The details of a google.rpc.Status: field 3 is google.protobuf.Any (type_url 1, value 2). */
static void take_details(struct fg_caller_call *call, struct fg_str text)
{
    struct fg_wire_field field, part;
    struct fg_str bytes;

    if (fg_base64_decode(&call->arena, text, &bytes) != 0)
        return;
    struct fg_wire status = fg_wire_of(bytes);
    while (fg_wire_next(&status, &field)) {
        struct fg_caller_detail detail = {.type = FG_STR(""), .value = FG_STR("")};
        if (field.number != 3 || field.type != FG_WIRE_BYTES)
            continue;
        struct fg_wire any = fg_wire_of(field.bytes);
        while (fg_wire_next(&any, &part))
            if (part.type == FG_WIRE_BYTES && part.number <= 2)
                *(part.number == 1 ? &detail.type : &detail.value) = part.bytes;
        fg_caller_call_add_detail(call, &detail);
    }
}

bool fg_caller_end_by(struct fg_caller_call *call, const struct fg_headers *fields)
{
    const struct fg_header *status = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    const struct fg_header *message = fg_headers_get(fields, FG_TOKEN_GRPC_MESSAGE);
    const struct fg_header *details = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS_DETAILS_BIN);
    enum fg_status code;

    if (!status)
        return false;
    if (!fg_status_parse(status->value, &code)) {
        fg_caller_call_broke(call, "grpc-status is no number: %.*s", (int)FG_MIN(status->value.len, (size_t)40),
                             status->value.p);
        return true;
    }
    if (details)
        take_details(call, details->value);
    fg_caller_call_end(call, code, message ? fg_grpc_message_decode(&call->arena, message->value) : FG_STR(""));
    return true;
}

void fg_caller_not_spoken(struct fg_caller_call *call, const char *dialect)
{
    struct fg_str type = call->content_type.len > 0 ? call->content_type : FG_STR("no content-type");
    struct fg_str text = fg_caller_call_text(call);
    bool is_text = fg_str_starts_with(type, FG_STR("text/")) || fg_str_starts_with(type, FG_STR("application/json"));
    size_t len = is_text ? FG_MIN(text.len, (size_t)SAMPLE_BYTES) : 0;

    bool is_cut = is_text && len < text.len;
    while (len > 0 && isspace((unsigned char)text.p[len - 1]))
        len--;
    fg_caller_call_broke(call, "the server answered HTTP %u with %.*s, which is no %s answer%s%.*s%s",
                         call->http_status, (int)FG_MIN(type.len, (size_t)100), type.p, dialect, len > 0 ? ": " : "",
                         (int)len, text.p, is_cut ? "..." : "");
}

static bool is_type(struct fg_str type, struct fg_str wanted)
{
    return fg_str_starts_with(type, wanted) &&
           (type.len == wanted.len || type.p[wanted.len] == '+' || type.p[wanted.len] == ';');
}

static void add_content_type(struct fg_caller_call *call, struct fg_headers *headers, const char *type)
{
    fg_caller_add(call, headers, "content-type",
                  fg_arena_printf(&call->arena, "%s%s", type, call->json ? "+json" : "+proto"));
    fg_caller_add(call, headers, "grpc-accept-encoding", FG_STR("gzip, identity"));
    fg_caller_add(call, headers, "user-agent", FG_STR("fusegate-call/" FG_VERSION));
    fg_caller_add_grpc_timeout(call, headers);
}

/* ---- gRPC (PROTOCOL-HTTP2.md) ---- */

static void grpc_begin(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first)
{
    (void)first;
    add_content_type(call, headers, "application/grpc");
    fg_caller_add(call, headers, "te", FG_STR("trailers"));
}

static void on_head(struct fg_caller_call *call, const struct fg_headers *headers)
{
    const struct fg_header *encoding = fg_headers_get(headers, FG_TOKEN_GRPC_ENCODING);

    call->encoding = encoding ? fg_arena_copy(&call->arena, encoding->value) : FG_STR("");
}

static void unknown_flags(struct fg_caller_call *call, uint8_t flags, struct fg_str content)
{
    (void)content;
    fg_caller_call_broke(call, "an answer has the unknown flags 0x%02x", flags);
}

static bool speaks_grpc(const struct fg_caller_call *call)
{
    return is_type(call->content_type, FG_STR("application/grpc"));
}

static void grpc_on_body(struct fg_caller_call *call)
{
    if (speaks_grpc(call))
        fg_caller_take_prefixed(call, unknown_flags);
}

static void grpc_on_end(struct fg_caller_call *call, const struct fg_headers *trailers)
{
    if (trailers && fg_caller_end_by(call, trailers))
        return;
    if (!speaks_grpc(call))
        fg_caller_not_spoken(call, "gRPC");
    else
        fg_caller_call_broke(call, "the answer ended without a grpc-status");
}

const struct fg_caller_dialect fg_caller_grpc = {
    .name = "grpc",
    .needs_h2 = true,
    .begin = grpc_begin,
    .put = fg_caller_put_prefixed,
    .on_head = on_head,
    .on_body = grpc_on_body,
    .on_end = grpc_on_end,
};

/* ---- gRPC-Web (PROTOCOL-WEB.md) ---- */

static void web_begin(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first)
{
    (void)first;
    add_content_type(call, headers, "application/grpc-web");
    fg_caller_add(call, headers, "x-grpc-web", FG_STR("1"));
}

/* The last frame: fields as HTTP/1 has them, which are shown and searched like trailers. */
static void web_trailers(struct fg_caller_call *call, uint8_t flags, struct fg_str content)
{
    struct fg_headers fields;
    const struct fg_header *origin;

    if (!(flags & WEB_TRAILERS)) {
        unknown_flags(call, flags, content);
        return;
    }
    fg_headers_init(&fields);
    while (content.len > 0) {
        const char *line_end = memchr(content.p, '\n', content.len);
        size_t len = line_end ? (size_t)(line_end - content.p) + 1 : content.len;
        const char *colon = memchr(content.p, ':', len);
        struct fg_str name = {content.p, colon ? (size_t)(colon - content.p) : 0}, value = {colon ? colon + 1 : "", 0};
        if (colon)
            value.len = len - name.len - 1;
        while (value.len > 0 && isspace((unsigned char)value.p[value.len - 1]))
            value.len--;
        while (value.len > 0 && isspace((unsigned char)*value.p))
            value = (struct fg_str){value.p + 1, value.len - 1};
        char *lower = fg_arena_alloc(&call->arena, name.len + 1);
        for (size_t i = 0; i < name.len; i++)
            lower[i] = (char)tolower((unsigned char)name.p[i]);
        lower[name.len] = '\0';
        if (name.len > 0)
            fg_caller_add(call, &fields, lower, value);
        content = (struct fg_str){content.p + len, content.len - len};
    }
    fg_caller_print_fields(call->link->options, "<<", &fields);
    origin = fg_headers_get(&fields, FG_TOKEN_X_FUSEGATE_ORIGIN);
    if (origin)
        call->origin = origin->value;
    if (!fg_caller_end_by(call, &fields))
        fg_caller_call_broke(call, "the last frame of the answer has no grpc-status");
}

static bool speaks_web(const struct fg_caller_call *call)
{
    return is_type(call->content_type, FG_STR("application/grpc-web"));
}

static void web_on_body(struct fg_caller_call *call)
{
    if (speaks_web(call))
        fg_caller_take_prefixed(call, web_trailers);
}

static void web_on_end(struct fg_caller_call *call, const struct fg_headers *trailers)
{
    if (trailers && fg_caller_end_by(call, trailers))
        return;
    if (!speaks_web(call) && !is_type(call->content_type, FG_STR("application/grpc-web-text")))
        fg_caller_not_spoken(call, "gRPC-Web");
    else
        fg_caller_call_broke(call, "the answer ended without a grpc-status");
}

const struct fg_caller_dialect fg_caller_grpc_web = {
    .name = "grpc-web",
    .begin = web_begin,
    .put = fg_caller_put_prefixed,
    .on_head = on_head,
    .on_body = web_on_body,
    .on_end = web_on_end,
};

/* ---- gRPC-Web as text ---- */

static void text_begin(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first)
{
    (void)first;
    add_content_type(call, headers, "application/grpc-web-text");
    fg_caller_add(call, headers, "accept", FG_STR("application/grpc-web-text"));
    fg_caller_add(call, headers, "x-grpc-web", FG_STR("1"));
}

/* Each message is a padded text of its own. */
static void text_put(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out)
{
    struct fg_outq framed;

    fg_outq_init(&framed, &call->link->loop.mem);
    fg_caller_put_prefixed(call, message, &framed);
    size_t len = framed.bytes, text_len = fg_base64_padded_len(len);
    uint8_t *bytes = fg_alloc(len + 1);
    char *text = fg_alloc(text_len + 1);
    fg_outq_read(&framed, bytes, len);
    fg_base64_padded(bytes, len, text);
    fg_outq_copy(out, text, text_len);
    fg_outq_cleanup(&framed);
    free(bytes);
    free(text);
}

/* What has come is decoded in place, so that call->in holds frames and at most what a base64 group lacks is outside. */
static void text_on_body(struct fg_caller_call *call)
{
    size_t len = call->in.bytes - call->decoded;
    uint8_t *text, *bytes;

    if (!is_type(call->content_type, FG_STR("application/grpc-web-text")) || len == 0) {
        web_on_body(call);
        return;
    }
    struct fg_outq frames;
    fg_outq_init(&frames, &call->link->loop.mem);
    fg_outq_move(&call->in, call->decoded, &frames);
    text = fg_alloc(len + 1);
    bytes = fg_alloc(FG_BASE64_STREAM_ROOM(len));
    fg_outq_read(&call->in, text, len);
    fg_outq_consume(&call->in, len);
    int64_t n = fg_base64_stream_feed(&call->base64, text, len, bytes);
    fg_outq_move(&frames, frames.bytes, &call->in);
    if (n < 0)
        fg_caller_call_broke(call, "the answer is no base64");
    else
        fg_outq_copy(&call->in, bytes, (size_t)n);
    free(text);
    free(bytes);
    fg_caller_take_prefixed(call, web_trailers);
    call->decoded = call->in.bytes;
}

const struct fg_caller_dialect fg_caller_grpc_web_text = {
    .name = "grpc-web-text",
    .begin = text_begin,
    .put = text_put,
    .on_head = on_head,
    .on_body = text_on_body,
    .on_end = web_on_end,
};
