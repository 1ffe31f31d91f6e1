#include "wire.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES  (1u << 16)
#define SHOWN_BYTES 64 /* longer DATA is told of by its length */

static const struct {
    const char *name, *fields;
} lists[] = {
    {"@get", ":method: GET; :scheme: http; :path: /; :authority: test"},
    {"@post", ":method: POST; :scheme: http; :path: /s/m; :authority: test"},
    {"@ok", ":status: 200"},
};

static void fail(const char *what, const char *line)
{
    fprintf(stderr, "not understood: %s in: %s\n", what, line);
    abort();
}

/* ---- the log ---- */

static void say(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct wire *w, const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        abort();
    w->log = fg_realloc(w->log, w->log_len + (size_t)len + 1);
    memcpy(w->log + w->log_len, text, (size_t)len + 1);
    w->log_len += (size_t)len;
    free(text);
}

static void say_bytes(struct wire *w, const uint8_t *data, size_t len)
{
    bool printable = len <= SHOWN_BYTES;

    for (size_t i = 0; i < len && printable; i++)
        printable = isprint(data[i]) && data[i] != '"';
    if (printable && len > 0)
        say(w, " \"%.*s\"", (int)len, (const char *)data);
    else
        say(w, " %zu", len);
}

/* DATA comes in pieces of any size; it is told of when something else happens. */
static void say_pending_data(struct wire *w)
{
    if (w->data_stream == 0)
        return;
    say(w, "* data %u", w->data_stream);
    if (w->data_end)
        say(w, " end");
    say_bytes(w, w->data.data, w->data.len);
    say(w, "\n");
    fg_buf_unref(&w->data);
    w->data_stream = 0;
}

static void say_list(struct wire *w, const struct fg_headers *headers)
{
    size_t cap = 16, len = 0;

    for (uint32_t i = 0; i < headers->len; i++)
        cap += headers->items[i].name.len + headers->items[i].value.len + 8;
    char *text = fg_alloc(cap);
    for (uint32_t i = 0; i < headers->len; i++)
        len += (size_t)snprintf(text + len, cap - len, "%s%.*s: %.*s", i > 0 ? "; " : "",
                                (int)headers->items[i].name.len, headers->items[i].name.p,
                                (int)headers->items[i].value.len, headers->items[i].value.p);
    text[len] = '\0';
    const char *rest = text;
    say(w, " {");
    for (size_t i = 0; i < FG_ARRAY_LEN(lists); i++) {
        size_t known = strlen(lists[i].fields);
        if (strncmp(text, lists[i].fields, known) == 0 && (text[known] == '\0' || text[known] == ';')) {
            say(w, "%s", lists[i].name);
            rest = text + known;
        }
    }
    say(w, "%s}", rest);
    free(text);
}

/* ---- events ---- */

static struct wire *wire_of(struct fg_h2_stream *stream)
{
    return fg_h2_stream_conn(stream)->owner;
}

/* An event was told of: is it the one that the test waits for? */
static void run_hook(struct wire *w, const char *event)
{
    if (!w->hook_event || strncmp(event, w->hook_event, strlen(w->hook_event)) != 0)
        return;
    const char *line = w->hook_line;
    w->hook_event = NULL;
    wire_do(w, line);
}

static void on_headers(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct wire *w = wire_of(stream);
    char event[64];

    say_pending_data(w);
    snprintf(event, sizeof event, "headers %u", stream->id);
    say(w, "* %s%s%s%s%s", event, flags & FG_H2_END_STREAM ? " end" : "",
        flags & FG_H2_INFORMATIONAL ? " informational" : "", flags & FG_H2_TRAILERS ? " trailers" : "",
        flags & FG_H2_TOO_LARGE ? " too_large" : "");
    if (!(flags & FG_H2_TOO_LARGE))
        say_list(w, headers);
    say(w, "\n");
    run_hook(w, event);
}

static void on_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end)
{
    struct wire *w = wire_of(stream);
    char event[64];

    if (w->data_stream != stream->id) {
        say_pending_data(w);
        w->data = fg_buf_copy("", 0);
        w->data_stream = stream->id;
    }
    struct fg_chunk *joined = fg_chunk_new(w->data.len + buf.len);
    memcpy(joined->data, w->data.data, w->data.len);
    if (buf.len > 0)
        memcpy(joined->data + w->data.len, buf.data, buf.len);
    size_t len = w->data.len + buf.len;
    fg_buf_unref(&w->data);
    w->data = (struct fg_buf){joined, joined->data, len};
    w->data_end = end;
    w->got_data[stream->id / 2 % 64] += buf.len;
    snprintf(event, sizeof event, "data %u", stream->id);
    if (end)
        say_pending_data(w);
    if (w->consume)
        fg_h2_stream_consume(stream, buf.len);
    run_hook(w, event);
}

static void on_sent(struct fg_h2_stream *stream, size_t bytes)
{
    struct wire *w = wire_of(stream);
    char event[64];

    snprintf(event, sizeof event, "sent %u", stream->id);
    if (w->log_sent) {
        say_pending_data(w);
        say(w, "* %s %zu\n", event, bytes);
    }
    run_hook(w, event);
}

static void on_close(struct fg_h2_stream *stream, const struct fg_h2_close *why)
{
    static const char *const names[] = {"complete", "peer_reset", "fault", "goaway", "connection"};
    struct wire *w = wire_of(stream);
    char event[64];

    say_pending_data(w);
    snprintf(event, sizeof event, "close %u", stream->id);
    say(w, "* %s %s", event, names[why->by]);
    if (why->by != FG_H2_CLOSED_COMPLETE)
        say(w, " %s", fg_h2_error_name(why->code));
    say(w, "\n");
    run_hook(w, event);
}

static void on_output(struct fg_h2_conn *conn)
{
    struct wire *w = conn->owner;

    if (w->told) { /* once until the next pull */
        fprintf(stderr, "on_output was called twice\n");
        abort();
    }
    w->told = true;
    run_hook(w, "output");
}

static void on_slots(struct fg_h2_conn *conn)
{
    struct wire *w = conn->owner;

    if (w->log_slots) {
        say_pending_data(w);
        say(w, "* slots %u\n", fg_h2_conn_free_slots(conn));
    }
    run_hook(w, "slots");
}

static const struct fg_h2_handler handler = {on_headers, on_data, on_sent, on_close, on_output, on_slots};

/* ---- output ---- */

static void say_settings(struct wire *w, const uint8_t *payload, size_t len)
{
    static const char *const names[] = {"?",
                                        "HEADER_TABLE_SIZE",
                                        "ENABLE_PUSH",
                                        "MAX_CONCURRENT_STREAMS",
                                        "INITIAL_WINDOW_SIZE",
                                        "MAX_FRAME_SIZE",
                                        "MAX_HEADER_LIST_SIZE"};
    for (; len >= 6; payload += 6, len -= 6) {
        unsigned id = fg_load_u16(payload);
        say(w, " %s=%u", names[id < FG_ARRAY_LEN(names) ? id : 0], fg_load_u32(payload + 2));
    }
}

static void say_block(struct wire *w, const struct fg_h2_frame *frame, const uint8_t *payload)
{
    const struct fg_hpack_limits limits = {1u << 24, 1u << 16};
    struct fg_headers headers;
    struct fg_arena arena;

    w->block = fg_realloc(w->block, w->block_len + frame->len);
    memcpy(w->block + w->block_len, payload, frame->len);
    w->block_len += frame->len;
    if (!(frame->flags & FG_H2_FLAG_END_HEADERS)) {
        say(w, " more");
        return;
    }
    fg_arena_init(&arena, &w->mem);
    fg_headers_init(&headers);
    if (fg_hpack_decode(&w->decoder, w->block, w->block_len, &limits, &arena, &headers) != FG_HPACK_OK) {
        fprintf(stderr, "the engine's header block cannot be decoded\n");
        abort();
    }
    w->block_len = 0;
    say_list(w, &headers);
    fg_arena_cleanup(&arena);
}

static void say_frame(struct wire *w, const struct fg_h2_frame *frame, const uint8_t *payload)
{
    static const char *const names[FG_H2_FRAME_TYPES] = {"DATA",    "HEADERS",      "PRIORITY",     "RST_STREAM",
                                                         "SETTINGS", "PUSH_PROMISE", "PING",         "GOAWAY",
                                                         "WINDOW_UPDATE", "CONTINUATION"};
    bool ends = frame->type == FG_H2_DATA || frame->type == FG_H2_HEADERS;

    say(w, "< %s", names[frame->type]);
    if (frame->stream_id != 0 || frame->type == FG_H2_WINDOW_UPDATE)
        say(w, " %u", frame->stream_id);
    if (frame->flags & FG_H2_FLAG_END_STREAM)
        say(w, ends ? " end" : " ack");
    switch (frame->type) {
    case FG_H2_DATA:
        w->sent_data[frame->stream_id / 2 % 64] += frame->len;
        say_bytes(w, payload, frame->len);
        break;
    case FG_H2_HEADERS:
    case FG_H2_CONTINUATION:
        say_block(w, frame, payload);
        break;
    case FG_H2_RST_STREAM:
        say(w, " %s", fg_h2_error_name(fg_load_u32(payload)));
        break;
    case FG_H2_SETTINGS:
        say_settings(w, payload, frame->len);
        break;
    case FG_H2_PING:
        say_bytes(w, payload, frame->len);
        break;
    case FG_H2_GOAWAY:
        say(w, " %u %s", fg_load_u32(payload), fg_h2_error_name(fg_load_u32(payload + 4)));
        say_bytes(w, payload + 8, frame->len - 8);
        break;
    case FG_H2_WINDOW_UPDATE:
        *(frame->stream_id ? &w->credit[frame->stream_id / 2 % 64] : &w->connection_credit) += fg_load_u32(payload);
        say(w, " %u", fg_load_u32(payload));
        break;
    default:
        break;
    }
    say(w, "\n");
}

static void read_frames(struct wire *w)
{
    size_t at = 0;

    while (w->unread_len - at >= FG_H2_FRAME_HEADER_BYTES) {
        struct fg_h2_frame frame = fg_h2_frame_parse(w->unread + at);
        if (w->unread_len - at < FG_H2_FRAME_HEADER_BYTES + frame.len)
            break;
        say_frame(w, &frame, w->unread + at + FG_H2_FRAME_HEADER_BYTES);
        at += FG_H2_FRAME_HEADER_BYTES + frame.len;
    }
    if (at > 0)
        memmove(w->unread, w->unread + at, w->unread_len - at);
    w->unread_len -= at;
}

static void take_output(struct wire *w)
{
    while (w->conn.out.bytes > 0) {
        struct iovec iov[16];
        int len = fg_outq_peek(&w->conn.out, iov, 16);
        size_t sum = 0;
        for (int i = 0; i < len; i++) {
            w->unread = fg_realloc(w->unread, w->unread_len + iov[i].iov_len);
            memcpy(w->unread + w->unread_len, iov[i].iov_base, iov[i].iov_len);
            w->unread_len += iov[i].iov_len;
            sum += iov[i].iov_len;
        }
        fg_outq_consume(&w->conn.out, sum);
    }
}

static void pull(struct wire *w, size_t bytes)
{
    w->told = false;
    fg_h2_conn_pull(&w->conn, bytes);
    take_output(w);
    say_pending_data(w);
    read_frames(w);
}

const char *wire_take(struct wire *w)
{
    pull(w, w->pull_bytes);
    char *text = w->log;
    static char *last; /* the caller looks at it before it asks again */
    free(last);
    last = text;
    w->log = fg_strdup("");
    w->log_len = 0;
    return text;
}

/* ---- lines ---- */

struct line {
    const char *text, *at;
    uint8_t *payload;
    size_t len;
    uint32_t stream;
    bool end, ack, more;
    int pad;
    uint32_t dependency;
    int weight;
    bool has_priority;
    uint32_t numbers[4];
    unsigned numbers_len;
    struct fg_headers headers;
    bool has_headers;
    struct fg_arena arena;
};

static void put(struct line *l, const void *bytes, size_t len)
{
    l->payload = fg_realloc(l->payload, l->len + len + 1);
    if (len > 0)
        memcpy(l->payload + l->len, bytes, len);
    l->len += len;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_hex(struct line *l)
{
    for (; hex(l->at[0]) >= 0 && hex(l->at[1]) >= 0; l->at += 2) {
        uint8_t byte = (uint8_t)(hex(l->at[0]) << 4 | hex(l->at[1]));
        put(l, &byte, 1);
    }
}

/* With \xNN in it. */
static struct fg_str unescape(struct fg_arena *arena, struct fg_str s)
{
    char *out = fg_arena_alloc(arena, s.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (i + 3 < s.len && s.p[i] == '\\' && s.p[i + 1] == 'x') {
            out[len++] = (char)(hex(s.p[i + 2]) << 4 | hex(s.p[i + 3]));
            i += 3;
        } else {
            out[len++] = s.p[i];
        }
    }
    return (struct fg_str){out, len};
}

static void add_fields(struct line *l, struct fg_str text)
{
    while (text.len > 0) {
        const char *stop = memmem(text.p, text.len, "; ", 2);
        size_t len = stop ? (size_t)(stop - text.p) : text.len;
        struct fg_str field = {text.p, len}, value = FG_STR("");
        bool known = false;
        for (size_t i = 0; i < FG_ARRAY_LEN(lists); i++)
            if (fg_str_eq(field, fg_str_from(lists[i].name))) {
                add_fields(l, fg_str_from(lists[i].fields));
                known = true;
            }
        const char *colon = memmem(field.p, field.len, ": ", 2);
        if (colon) {
            value = (struct fg_str){colon + 2, field.len - 2 - (size_t)(colon - field.p)};
            field.len = (size_t)(colon - field.p);
        } else if (!known && field.len > 0 && field.p[field.len - 1] == ':') {
            field.len--;
        }
        if (!known)
            fg_headers_add(&l->headers, &l->arena, unescape(&l->arena, field), unescape(&l->arena, value));
        text.p += len + (stop ? 2 : 0);
        text.len -= len + (stop ? 2 : 0);
    }
}

static void read_list(struct line *l)
{
    const char *stop = strchr(l->at, '}');

    if (!stop)
        fail("a list without an end", l->text);
    add_fields(l, (struct fg_str){l->at, (size_t)(stop - l->at)});
    l->has_headers = true;
    l->at = stop + 1;
}

static bool read_error_name(const char *word, uint32_t *code)
{
    for (*code = 0; *code <= 0xd; ++*code)
        if (strcmp(word, fg_h2_error_name(*code)) == 0)
            return true;
    return false;
}

static bool read_setting(struct line *l, const char *word)
{
    static const char *const names[] = {"HEADER_TABLE_SIZE", "ENABLE_PUSH",    "MAX_CONCURRENT_STREAMS",
                                        "INITIAL_WINDOW_SIZE", "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE"};
    const char *equals = strchr(word, '=');
    uint8_t setting[6];

    for (unsigned i = 0; equals && i < FG_ARRAY_LEN(names); i++) {
        if (strlen(names[i]) != (size_t)(equals - word) || strncmp(names[i], word, (size_t)(equals - word)) != 0)
            continue;
        fg_store_u16(setting, (uint16_t)(i + 1));
        fg_store_u32(setting + 2, (uint32_t)strtoul(equals + 1, NULL, 0));
        put(l, setting, sizeof setting);
        return true;
    }
    return false;
}

static void read_word(struct line *l)
{
    char word[128], *stop;
    size_t len = strcspn(l->at, " ");
    uint32_t code;

    snprintf(word, sizeof word, "%.*s", (int)FG_MIN(len, sizeof word - 1), l->at);
    l->at += len;
    unsigned long number = strtoul(word, &stop, 0);
    if (*stop == '\0') {
        if (l->numbers_len == FG_ARRAY_LEN(l->numbers))
            fail("too many numbers", l->text);
        l->numbers[l->numbers_len++] = (uint32_t)number;
    } else if (strcmp(word, "end") == 0) {
        l->end = true;
    } else if (strcmp(word, "ack") == 0 || strcmp(word, "yes") == 0) {
        l->ack = true;
    } else if (strcmp(word, "more") == 0) {
        l->more = true;
    } else if (strncmp(word, "pad=", 4) == 0) {
        l->pad = (int)strtol(word + 4, NULL, 0);
    } else if (strncmp(word, "dep=", 4) == 0) {
        l->dependency = (uint32_t)strtoul(word + 4, NULL, 0);
        l->has_priority = true;
    } else if (strncmp(word, "weight=", 7) == 0) {
        l->weight = (int)strtol(word + 7, NULL, 0);
        l->has_priority = true;
    } else if (read_error_name(word, &code)) {
        l->numbers[l->numbers_len++] = code;
    } else if (!read_setting(l, word) && strcmp(word, "no") != 0) {
        fail(word, l->text);
    }
}

static void read_arguments(struct wire *w, struct line *l)
{
    fg_arena_init(&l->arena, &w->mem);
    while (*l->at != '\0') {
        if (*l->at == ' ') {
            l->at++;
        } else if (*l->at == '"') {
            const char *stop = strchr(l->at + 1, '"');
            if (!stop)
                fail("a string without an end", l->text);
            put(l, l->at + 1, (size_t)(stop - l->at - 1));
            l->at = stop + 1;
        } else if (*l->at == 'x') {
            l->at++;
            read_hex(l);
        } else if (*l->at == '{') {
            l->at++;
            read_list(l);
        } else {
            read_word(l);
        }
    }
}

static void put_number(struct line *l, uint32_t number)
{
    uint8_t bytes[4];
    fg_store_u32(bytes, number);
    put(l, bytes, sizeof bytes);
}

/* NUMBER bytes of content. */
static void put_bytes(struct line *l, uint32_t number)
{
    uint8_t *bytes = fg_alloc(number + 1);
    memset(bytes, 'd', number);
    put(l, bytes, number);
    free(bytes);
}

static void put_list(struct wire *w, struct line *l)
{
    if (!l->has_headers)
        return;
    uint8_t *block = fg_alloc(fg_hpack_encode_bound(&l->headers));
    size_t len = fg_hpack_encode(&w->encoder, &l->headers, true, block);
    put(l, block, len);
    free(block);
}

/* Padding and priority fields around the payload; sets the flags. */
static uint8_t wrap(struct line *l, bool headers)
{
    uint8_t flags = 0;
    uint8_t *content = l->payload;
    size_t len = l->len;

    l->payload = NULL;
    l->len = 0;
    if (l->pad >= 0) {
        uint8_t pad = (uint8_t)l->pad;
        flags |= FG_H2_FLAG_PADDED;
        put(l, &pad, 1);
    }
    if (l->has_priority && headers) {
        uint8_t weight = (uint8_t)(l->weight - 1);
        flags |= FG_H2_FLAG_PRIORITY;
        put_number(l, l->dependency);
        put(l, &weight, 1);
    }
    put(l, content, len);
    free(content);
    for (int i = 0; i < l->pad && l->len < 16000; i++)
        put(l, "", 1);
    return flags;
}

static void do_peer(struct wire *w, const char *name, struct line *l)
{
    static const char *const names[FG_H2_FRAME_TYPES] = {
        "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",      "PUSH_PROMISE",
        "PING", "GOAWAY",  "WINDOW_UPDATE", "CONTINUATION", "", "", "", "", "", "", "PRIORITY_UPDATE"};
    uint8_t type = 0, flags = (l->end ? FG_H2_FLAG_END_STREAM : 0) | (l->ack ? FG_H2_FLAG_ACK : 0);
    unsigned next = 0;
    uint32_t stream = 0;

    if (strcmp(name, "preface") == 0) {
        wire_feed(w, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
        return;
    }
    if (strcmp(name, "bytes") == 0) {
        wire_feed(w, l->payload, l->len);
        return;
    }
    if (strcmp(name, "FRAME") == 0) {
        if (l->numbers_len == 4)
            put_bytes(l, l->numbers[3]);
        wire_feed_frame(w, (uint8_t)l->numbers[0], (uint8_t)l->numbers[1], l->numbers[2], l->payload, l->len);
        return;
    }
    while (type < FG_H2_FRAME_TYPES && strcmp(name, names[type]) != 0)
        type++;
    if (type == FG_H2_FRAME_TYPES)
        fail(name, l->text);
    if (type != FG_H2_SETTINGS && type != FG_H2_PING && type != FG_H2_GOAWAY && type != FG_H2_PRIORITY_UPDATE)
        stream = l->numbers[next++];
    switch (type) {
    case FG_H2_DATA:
        if (next < l->numbers_len)
            put_bytes(l, l->numbers[next]);
        flags |= wrap(l, false);
        break;
    case FG_H2_HEADERS:
    case FG_H2_CONTINUATION:
    case FG_H2_PUSH_PROMISE:
        put_list(w, l);
        flags |= wrap(l, true);
        flags |= l->more ? 0 : FG_H2_FLAG_END_HEADERS;
        break;
    case FG_H2_PRIORITY: {
        uint8_t weight = (uint8_t)(l->weight - 1);
        put_number(l, l->dependency);
        put(l, &weight, 1);
        break;
    }
    case FG_H2_PRIORITY_UPDATE: {
        uint8_t *value = l->payload;
        size_t len = l->len;
        l->payload = NULL;
        l->len = 0;
        put_number(l, l->numbers[0]);
        put(l, value, len);
        free(value);
        break;
    }
    case FG_H2_PING:
        if (l->len == 0)
            put(l, "pingpong", 8);
        break;
    default:
        for (; next < l->numbers_len; next++)
            put_number(l, l->numbers[next]);
        break;
    }
    wire_feed_frame(w, type, flags, stream, l->payload, l->len);
}

static struct fg_h2_stream *need_stream(struct wire *w, const struct line *l)
{
    struct fg_h2_stream *stream = wire_stream(w, l->numbers[0]);
    if (!stream)
        fail("there is no such stream", l->text);
    return stream;
}

static bool do_stream(struct wire *w, const char *name, struct line *l)
{
    if (strcmp(name, "headers") == 0) {
        fg_h2_stream_send_headers(need_stream(w, l), &l->headers, l->end);
    } else if (strcmp(name, "data") == 0) {
        if (l->numbers_len > 1)
            put_bytes(l, l->numbers[1]);
        fg_h2_stream_send_data(need_stream(w, l), fg_buf_copy(l->payload ? (void *)l->payload : "", l->len), l->end);
    } else if (strcmp(name, "trailers") == 0) {
        fg_h2_stream_send_trailers(need_stream(w, l), &l->headers);
    } else if (strcmp(name, "consume") == 0) {
        fg_h2_stream_consume(need_stream(w, l), l->numbers[1]);
    } else if (strcmp(name, "reset") == 0) {
        fg_h2_stream_reset(need_stream(w, l), l->numbers[1]);
    } else if (strcmp(name, "reset_after_end") == 0) {
        fg_h2_stream_reset_after_end(need_stream(w, l), l->numbers[1]);
    } else if (strcmp(name, "priority") == 0) {
        fg_h2_stream_set_route_priority(need_stream(w, l), (int32_t)l->numbers[1], l->numbers[2]);
    } else {
        return false;
    }
    return true;
}

static void do_user(struct wire *w, const char *name, struct line *l)
{
    if (do_stream(w, name, l))
        return;
    if (strcmp(name, "request") == 0) {
        fg_h2_request(&w->conn, &l->headers, l->end);
    } else if (strcmp(name, "pull") == 0) {
        pull(w, l->numbers[0]);
    } else if (strcmp(name, "wait") == 0) {
        w->now_ns += l->numbers[0] * FG_MS;
        fg_h2_conn_on_time(&w->conn);
    } else if (strcmp(name, "blocked") == 0) {
        fg_h2_conn_set_blocked(&w->conn, l->ack, l->end);
    } else if (strcmp(name, "drain") == 0) {
        fg_h2_conn_drain(&w->conn);
    } else if (strcmp(name, "lost") == 0) {
        fg_h2_conn_lost(&w->conn, "lost");
    } else if (strcmp(name, "fail") == 0) {
        fg_h2_conn_fail(&w->conn, FG_H2_FAULT_ANOMALY_FLOOD);
    } else {
        fail(name, l->text);
    }
}

static void do_line(struct wire *w, const char *text)
{
    struct line l = {.text = text, .at = text + 1, .pad = -1, .weight = 16};
    char name[32];
    int used = 0;

    if (sscanf(text + 1, " %31s%n", name, &used) != 1)
        fail("no name", text);
    l.at += used;
    read_arguments(w, &l);
    if (text[0] == '>')
        do_peer(w, name, &l);
    else if (text[0] == '!')
        do_user(w, name, &l);
    else
        fail("the first character", text);
    free(l.payload);
    fg_arena_cleanup(&l.arena);
}

void wire_do(struct wire *w, const char *lines)
{
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        char *line = fg_alloc(len + 1);
        memcpy(line, lines, len);
        line[len] = '\0';
        if (len > 0)
            do_line(w, line);
        free(line);
        lines += len + (lines[len] == '\n');
    }
}

void wire_dof(struct wire *w, const char *format, ...)
{
    char lines[4096];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(lines, sizeof lines, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof lines)
        abort();
    wire_do(w, lines);
}

/* ---- bytes in ---- */

static size_t next_part(struct wire *w, size_t len)
{
    switch (w->split) {
    case WIRE_BYTES:
        return 1;
    case WIRE_RANDOM:
        w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
        return FG_MIN(len, (size_t)(w->seed >> 33) % ((w->seed >> 60) < 8 ? 16 : 4096) + 1);
    case WIRE_WHOLE:
        break;
    }
    return len;
}

void wire_feed(struct wire *w, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t part = next_part(w, len - at);
        struct fg_chunk *chunk = fg_chunk_new(part); /* of its own: reading past a piece is seen */
        memcpy(chunk->data, (const uint8_t *)bytes + at, part);
        fg_h2_conn_recv(&w->conn, chunk, chunk->data, part);
        fg_chunk_unref(chunk);
        at += part;
    }
}

void wire_feed_frame(struct wire *w, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t *frame = fg_alloc(FG_H2_FRAME_HEADER_BYTES + len);

    fg_h2_frame_write(frame, (struct fg_h2_frame){(uint32_t)len, id, type, flags});
    if (len > 0)
        memcpy(frame + FG_H2_FRAME_HEADER_BYTES, payload, len);
    wire_feed(w, frame, FG_H2_FRAME_HEADER_BYTES + len);
    free(frame);
}

struct fg_h2_stream *wire_stream(struct wire *w, uint32_t id)
{
    return fg_idmap_get(&w->conn.by_id, id);
}

/* ---- life ---- */

void wire_init(struct wire *w, enum fg_h2_role role)
{
    *w = (struct wire){.now_ns = FG_S, .seed = 1, .pull_bytes = SIZE_MAX, .log = fg_strdup("")};
    fg_mem_init(&w->mem);
    fg_slab_init(&w->streams, fg_h2_stream_bytes(0), 0);
    fg_hpack_encoder_init(&w->encoder, 4096);
    fg_hpack_decoder_init(&w->decoder, 4096);
    w->options = (struct fg_h2_options){
        .role = role,
        .handler = &handler,
        .now_ns = &w->now_ns,
        .mem = &w->mem,
        .streams = &w->streams,
        .fault_counts = w->faults,
        .max_concurrent_streams = 100,
        .stream_window = FG_H2_INITIAL_WINDOW,
        .connection_window = FG_H2_INITIAL_WINDOW,
        .max_frame_size = FG_H2_MIN_MAX_FRAME,
        .header_table_size = 4096,
        .encoder_table_size = 4096,
        .max_header_list = 65536,
        .max_header_fields = 100,
        .max_continuations = 8,
        .reset_burst = 100000,
        .reset_rate = 1,
        .reset_ratio_minimum = 100000,
        .reset_ratio = 1,
        .ping_rate = 10000,
        .settings_rate = 10000,
        .queued_control_frames = 100000,
        .empty_data_frames = 10000,
        .error_burst = 100000,
        .error_rate = 1,
    };
}

void wire_begin(struct wire *w)
{
    w->conn.owner = w;
    fg_h2_conn_init(&w->conn, &w->options);
    if (w->options.role == FG_H2_CLIENT) { /* the preface is no frame */
        take_output(w);
        w->unread_len -= FG_H2_PREFACE_BYTES;
        memmove(w->unread, w->unread + FG_H2_PREFACE_BYTES, w->unread_len);
    }
}

void wire_open(struct wire *w)
{
    wire_begin(w);
    if (w->options.role == FG_H2_SERVER)
        wire_do(w, "> preface");
    wire_do(w, "> SETTINGS\n> SETTINGS ack");
    wire_take(w);
    w->connection_credit = 0;
}

void wire_end(struct wire *w)
{
    fg_h2_conn_lost(&w->conn, "the test is over");
    fg_h2_conn_cleanup(&w->conn);
    fg_buf_unref(&w->data);
    if (w->streams.live != 0 || w->conn.out.head || w->conn.by_id.slots) {
        fprintf(stderr, "%zu streams are left\n", w->streams.live);
        abort();
    }
    fg_hpack_encoder_cleanup(&w->encoder);
    fg_hpack_decoder_cleanup(&w->decoder);
    fg_slab_cleanup(&w->streams);
    fg_mem_cleanup(&w->mem); /* asserts that everything came back */
    free(w->unread);
    free(w->block);
    free(w->log);
    wire_take_free();
}
