/* The connection, the peer and the user. */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- text ---- */

void text_put(struct text *text, const void *data, size_t len)
{
    if (text->len + len + 1 > text->cap) {
        text->cap = 2 * (text->len + len + 1);
        text->p = fg_realloc(text->p, text->cap);
    }
    if (len > 0)
        memcpy(text->p + text->len, data, len);
    text->len += len;
    text->p[text->len] = '\0';
}

void text_print(struct text *text, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_put(text, line, FG_MIN((size_t)len, sizeof line - 1));
}

void text_clear(struct text *text)
{
    text->len = 0;
    text_put(text, "", 0);
}

static void put_encoded(struct text *text, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c > 0x20 && c < 0x7f && c != '%' && c != '"')
            text_put(text, &p[i], 1);
        else
            text_print(text, "%%%02X", c);
    }
}

/* ---- callbacks ---- */

static struct engine *engine_of(struct fg_h1_conn *conn)
{
    return FG_CONTAINER_OF(conn, struct engine, conn);
}

/* Content is a line when it is known that no more of it follows at once. */
static void flush_content(struct engine *e)
{
    if (!e->content_open)
        return;
    text_print(&e->events, "DATA \"");
    put_encoded(&e->events, e->content.p, e->content.len);
    text_print(&e->events, e->content_end ? "\" end\n" : "\"\n");
    text_clear(&e->content);
    e->content_open = e->content_end = false;
}

static const char *kind(unsigned flags)
{
    if (flags & FG_H1_TRAILERS)
        return "TRAILERS";
    return flags & FG_H1_INFORMATIONAL ? "INTERIM" : "HEAD";
}

static void on_headers(struct fg_h1_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct engine *e = engine_of(fg_h1_stream_conn(stream));

    e->stream = stream;
    flush_content(e);
    text_print(&e->events, "%s%s", kind(flags), flags & FG_H1_END_STREAM ? " end" : "");
    for (uint32_t i = 0; i < headers->len; i++) {
        text_print(&e->events, " ");
        put_encoded(&e->events, headers->items[i].name.p, headers->items[i].name.len);
        text_print(&e->events, "=");
        put_encoded(&e->events, headers->items[i].value.p, headers->items[i].value.len);
    }
    text_print(&e->events, "\n");
    if (e->on_event)
        e->on_event(e, headers, (struct fg_buf){0}, flags);
}

static void on_data(struct fg_h1_stream *stream, struct fg_buf buf, bool end)
{
    struct engine *e = engine_of(fg_h1_stream_conn(stream));

    text_put(&e->content, buf.data, buf.len);
    e->content_open = true;
    e->content_end = end;
    if (!e->keeps_data)
        fg_h1_stream_consume(stream, buf.len);
    if (e->on_event)
        e->on_event(e, NULL, buf, end ? FG_H1_END_STREAM : 0);
}

static void on_sent(struct fg_h1_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_h1_stream *stream, const struct fg_h1_close *why)
{
    static const char *const names[] = {"complete", "fault", "connection"};
    struct engine *e = engine_of(fg_h1_stream_conn(stream));

    e->stream = NULL;
    flush_content(e);
    text_print(&e->events, "CLOSE %s%s%s%s\n", names[why->by], why->reason ? ": " : "", why->reason ? why->reason : "",
               why->untouched ? " (untouched)" : "");
}

static void on_output(struct fg_h1_conn *conn)
{
    engine_of(conn)->outputs_told++;
}

static void on_slots(struct fg_h1_conn *conn)
{
    engine_of(conn)->slots_told++;
}

/* ---- life ---- */

struct engine *engine_new(enum fg_h1_role role)
{
    static const struct fg_h1_handler handler = {on_headers, on_data, on_sent, on_close, on_output, on_slots};
    struct engine *e = fg_alloc_zero(sizeof *e);

    e->now_ns = 1000 * FG_S;
    fg_mem_init(&e->mem);
    fg_slab_init(&e->slab, fg_h1_stream_bytes(0), 0);
    e->options = (struct fg_h1_options){
        .role = role,
        .handler = &handler,
        .now_ns = &e->now_ns,
        .mem = &e->mem,
        .streams = &e->slab,
        .fault_counts = e->faults,
        .limits = {.max_head_bytes = 8192, .max_fields = 100},
        .window = 65536,
    };
    text_clear(&e->events);
    text_clear(&e->content);
    text_clear(&e->out);
    engine_begin(e);
    return e;
}

void engine_begin(struct engine *e)
{
    fg_h1_conn_init(&e->conn, &e->options);
}

bool engine_is_clean(const struct engine *e)
{
    return e->slab.live == 0 && e->mem.segments.live == 0 && e->mem.arena_blocks.live == 0 &&
           e->mem.out_chunks.live == 0;
}

void engine_free(struct engine *e)
{
    fg_slab_cleanup(&e->slab);
    fg_mem_cleanup(&e->mem);
    free(e->events.p);
    free(e->content.p);
    free(e->out.p);
    free(e);
}

/* ---- the peer ---- */

void engine_feed(struct engine *e, const void *data, size_t len)
{
    struct fg_buf buf = fg_buf_copy(data, len); /* of this size: reading beyond it is seen */

    fg_h1_conn_recv(&e->conn, buf.chunk, buf.data, buf.len);
    fg_buf_unref(&buf);
}

const char *engine_events(struct engine *e)
{
    flush_content(e);
    return e->events.p;
}

void engine_pull(struct engine *e)
{
    do {
        fg_h1_conn_pull(&e->conn, SIZE_MAX);
        while (e->conn.out.bytes > 0) {
            struct iovec iov;
            fg_outq_peek(&e->conn.out, &iov, 1);
            text_put(&e->out, iov.iov_base, iov.iov_len);
            fg_outq_consume(&e->conn.out, iov.iov_len);
        }
    } while (fg_h1_conn_has_more(&e->conn) || e->conn.output_told);
}

/* ---- the user ---- */

void engine_fields(struct fg_arena *arena, struct fg_headers *headers, const char *fields)
{
    fg_headers_init(headers);
    while (*fields) {
        const char *end = strchr(fields, '\n'), *colon = strchr(fields + 1, ':');
        struct fg_str name = {fields, (size_t)(colon - fields)}, value = {colon + 2, (size_t)(end - colon - 2)};
        fg_headers_add(headers, arena, fg_arena_copy(arena, name), fg_arena_copy(arena, value));
        fields = end + 1;
    }
}

void engine_answer(struct engine *e, const char *fields, bool end)
{
    struct fg_headers headers;

    engine_fields(fg_h1_stream_arena(e->stream), &headers, fields);
    fg_h1_stream_send_headers(e->stream, &headers, end);
}

void engine_request(struct engine *e, const char *fields, bool end)
{
    struct fg_headers headers;
    struct fg_arena arena;

    fg_arena_init(&arena, &e->mem);
    engine_fields(&arena, &headers, fields);
    e->stream = fg_h1_request(&e->conn, &headers, end);
    fg_arena_cleanup(&arena);
}

void engine_content(struct engine *e, const char *content, bool end)
{
    fg_h1_stream_send_data(e->stream, fg_buf_copy(content, strlen(content)), end);
}

void engine_trailers(struct engine *e, const char *fields)
{
    struct fg_headers headers;

    engine_fields(fg_h1_stream_arena(e->stream), &headers, fields);
    fg_h1_stream_send_trailers(e->stream, &headers);
}
