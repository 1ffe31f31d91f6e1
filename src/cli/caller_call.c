#include "cli/caller_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/caller_dialect.h"
#include "cli/caller_print.h"
#include "h2/frame.h"
#include "rpc/gzip.h"

void fg_caller_call_init(struct fg_caller_call *call, struct fg_caller_link *link,
                         const struct fg_caller_dialect *dialect)
{
    *call = (struct fg_caller_call){.link = link, .dialect = dialect, .verb = FG_STR("POST")};
    fg_arena_init(&call->arena, &link->loop.mem);
    fg_outq_init(&call->in, &link->loop.mem);
}

static void drop_stream(struct fg_caller_call *call)
{
    struct fg_stream *stream = call->stream;

    call->stream = NULL;
    if (stream)
        fg_stream_reset(stream, FG_H2_CANCEL);
}

void fg_caller_call_cleanup(struct fg_caller_call *call)
{
    drop_stream(call);
    fg_outq_cleanup(&call->in);
    fg_arena_cleanup(&call->arena);
    free(call->details);
    call->details = NULL;
}

/* ---- the end ---- */

void fg_caller_call_broke(struct fg_caller_call *call, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (call->result != FG_CALLER_OPEN)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call->result = FG_CALLER_BROKEN;
    call->message = fg_arena_copy(&call->arena, fg_str_from(text));
}

void fg_caller_call_end(struct fg_caller_call *call, enum fg_status code, struct fg_str message)
{
    if (call->result != FG_CALLER_OPEN)
        return;
    call->result = FG_CALLER_STATUS;
    call->code = code;
    call->message = fg_arena_copy(&call->arena, message);
}

void fg_caller_call_add_detail(struct fg_caller_call *call, const struct fg_caller_detail *detail)
{
    call->details = fg_realloc(call->details, (call->details_len + 1) * sizeof *call->details);
    call->details[call->details_len++] = *detail;
}

/* ---- answers ---- */

struct fg_str fg_caller_call_text(struct fg_caller_call *call)
{
    size_t len = call->in.bytes;
    char *text = fg_arena_alloc(&call->arena, len + 1);

    fg_outq_read(&call->in, text, len);
    fg_outq_consume(&call->in, len);
    text[len] = '\0';
    return (struct fg_str){text, len};
}

bool fg_caller_call_inflate(struct fg_caller_call *call, struct fg_outq *content)
{
    struct fg_outq plain;

    fg_outq_init(&plain, &call->link->loop.mem);
    if (!fg_str_eq(call->encoding, FG_STR("gzip")))
        fg_caller_call_broke(call, "an answer is compressed with \"%.*s\", which was not offered",
                             (int)FG_MIN(call->encoding.len, (size_t)60), call->encoding.p);
    else if (fg_gzip_inflate(content, FG_CALLER_MAX_MESSAGE, &plain) != FG_GZIP_OK)
        fg_caller_call_broke(call, "a compressed answer cannot be read: it is no gzip, or over 256 MiB");
    fg_outq_cleanup(content);
    fg_outq_move(&plain, plain.bytes, content);
    fg_outq_cleanup(&plain);
    return call->result == FG_CALLER_OPEN;
}

void fg_caller_call_deliver(struct fg_caller_call *call, struct fg_outq *content, bool compressed)
{
    if (call->result != FG_CALLER_OPEN || (compressed && !fg_caller_call_inflate(call, content)))
        return;
    call->messages++;
    call->on_message(call, content);
}

static void take_head(struct fg_caller_call *call, const struct fg_headers *headers)
{
    const struct fg_header *status = fg_headers_get(headers, FG_TOKEN_STATUS);
    const struct fg_header *type = fg_headers_get(headers, FG_TOKEN_CONTENT_TYPE);

    call->has_head = true;
    call->first_ns = fg_clock_now_ns();
    call->http_status = 0;
    for (size_t i = 0; status && i < status->value.len && i < 3; i++)
        call->http_status = call->http_status * 10 + (unsigned)(status->value.p[i] - '0');
    if (type)
        call->content_type = fg_arena_copy(&call->arena, type->value);
    call->dialect->on_head(call, headers);
}

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_caller_call *call = stream->user;
    bool is_end = flags & FG_H2_END_STREAM;
    const struct fg_header *origin = fg_headers_get(headers, FG_TOKEN_X_FUSEGATE_ORIGIN);

    if (!call->quiet)
        fg_caller_print_fields(call->link->options, flags & FG_H2_TRAILERS ? "<<" : "<", headers);
    if (flags & FG_H2_INFORMATIONAL || call->result != FG_CALLER_OPEN)
        return;
    if (origin)
        call->origin = fg_arena_copy(&call->arena, origin->value);
    if (flags & FG_H2_TOO_LARGE) {
        fg_caller_call_broke(call, "the fields of the answer are over 1 MiB, or more than 1000");
        return;
    }
    if (!(flags & FG_H2_TRAILERS))
        take_head(call, headers);
    if (is_end && call->result == FG_CALLER_OPEN)
        call->dialect->on_end(call, headers);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct fg_caller_call *call = stream->user;

    fg_outq_keep(&call->in, buf);
    if (call->result == FG_CALLER_OPEN)
        call->dialect->on_body(call);
    if (call->in.bytes > FG_CALLER_MAX_MESSAGE + FG_MESSAGE_PREFIX)
        fg_caller_call_broke(call, "an answer is over 256 MiB");
    if (end && call->result == FG_CALLER_OPEN)
        call->dialect->on_end(call, NULL);
    if (call->result != FG_CALLER_OPEN)
        fg_outq_cleanup(&call->in);
    if (call->stream) /* no callback has ended it */
        fg_stream_consume(stream, buf.len);
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct fg_caller_call *call = stream->user;

    call->unsent -= FG_MIN(bytes, call->unsent);
}

/* What the end of the stream says where the answer did not. A reset has a code that stands for a status
 * (PROTOCOL-HTTP2.md, "Errors"). */
static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fg_caller_call *call = stream->user;
    char text[160];

    call->stream = NULL;
    if (call->result != FG_CALLER_OPEN)
        return;
    if (why->by == FG_H2_CLOSED_PEER_RESET) {
        snprintf(text, sizeof text, "the server reset the stream: %s", fg_h2_error_name(why->code));
        fg_caller_call_end(call, fg_status_from_h2_error(why->code), fg_str_from(text));
        return;
    }
    fg_caller_call_broke(call, "%s",
                         why->by == FG_H2_CLOSED_COMPLETE        ? "the answer ended without a status"
                         : why->reason && why->reason[0] != '\0' ? why->reason
                                                                 : "the connection was lost");
}

static const struct fg_stream_events events = {on_headers, on_data, on_sent, on_close};

/* ---- requests ---- */

static bool is_own_field(struct fg_str name)
{
    return fg_str_eq(name, FG_STR("host")) || fg_str_eq(name, FG_STR("content-type"));
}

/* The field of -H that says NAME; empty: none does. */
static struct fg_str told(const struct fg_caller_call *call, struct fg_str name, struct fg_str otherwise)
{
    char buffer[FG_CALLER_NAME_BYTES];
    struct fg_str found, value;

    for (size_t i = 0; i < call->link->options->fields.len; i++)
        if (fg_caller_field_parse(call->link->options->fields.items[i], buffer, &found, &value) &&
            fg_str_eq(found, name))
            return value;
    return otherwise;
}

static void add_told(struct fg_caller_call *call, struct fg_headers *headers)
{
    const struct fg_arg_values *fields = &call->link->options->fields;
    struct fg_header *type = fg_headers_get(headers, FG_TOKEN_CONTENT_TYPE);
    char buffer[FG_CALLER_NAME_BYTES];
    struct fg_str name, value;

    if (type)
        type->value = told(call, type->name, type->value);
    for (size_t i = 0; i < fields->len; i++) {
        if (!fg_caller_field_parse(fields->items[i], buffer, &name, &value) || (type && is_own_field(name)) ||
            fg_str_eq(name, FG_STR("host")))
            continue;
        struct fg_header field = {.name = name, .value = value, .token = (uint8_t)fg_token_find(name)};
        fg_headers_add_copy(headers, &call->arena, &field);
    }
}

static void send_all(struct fg_caller_call *call, struct fg_outq *bytes, bool end)
{
    call->unsent += bytes->bytes;
    call->sent_end |= end;
    if (bytes->bytes == 0 && end)
        fg_stream_send_data(call->stream, (struct fg_buf){0}, true);
    while (call->stream && bytes->bytes > 0) {
        struct fg_buf buf = fg_outq_take(bytes);
        fg_stream_send_data(call->stream, buf, end && bytes->bytes == 0);
    }
}

void fg_caller_call_begin(struct fg_caller_call *call, struct fg_outq *first, bool end)
{
    const struct fg_caller_url *url = &call->link->options->url;
    struct fg_headers headers, *all = &headers;
    struct fg_outq body;

    fg_outq_init(&body, &call->link->loop.mem);
    fg_headers_init(all);
    fg_headers_add_token(all, &call->arena, FG_TOKEN_METHOD, call->verb);
    fg_headers_add_token(all, &call->arena, FG_TOKEN_SCHEME, url->tls ? FG_STR("https") : FG_STR("http"));
    fg_headers_add_token(all, &call->arena, FG_TOKEN_PATH, call->path);
    fg_headers_add_token(all, &call->arena, FG_TOKEN_AUTHORITY, told(call, FG_STR("host"), url->authority));
    call->dialect->begin(call, all, first);
    fg_headers_get(all, FG_TOKEN_METHOD)->value = call->verb;
    fg_headers_get(all, FG_TOKEN_PATH)->value = call->path;
    if (first && !call->no_body)
        call->dialect->put(call, first, &body);
    add_told(call, all);
    if (!call->quiet)
        fg_caller_print_fields(call->link->options, ">", all);
    call->began_ns = fg_clock_now_ns();
    call->sent_end = end && body.bytes == 0;
    call->stream = fg_conn_request(call->link->conn, all, call->sent_end, &events, call);
    if (body.bytes > 0)
        send_all(call, &body, end);
    fg_outq_cleanup(&body);
}

void fg_caller_call_send(struct fg_caller_call *call, struct fg_outq *message)
{
    struct fg_outq body;

    if (!call->stream || call->sent_end)
        return;
    fg_outq_init(&body, &call->link->loop.mem);
    if (message)
        call->dialect->put(call, message, &body);
    send_all(call, &body, message == NULL);
    fg_outq_cleanup(&body);
}
