/* One role of the engine beside libnghttp2's: the same bytes in; the same messages, content and verdict out. CLIENT
 * says which: 0, the bytes are a client's, with preface and requests; 1, they are a server's, answers to four requests.
 *
 * The input is a program: each step makes a frame, mostly valid, sometimes not, or gives raw bytes, so that the fuzzer
 * gets past the preface and deep into the states. Both sides get the same settings; guard limits are out of the way,
 * they are no part of the RFC.
 *
 * Compared: whether any error was answered at all (connection error, stream error); if neither answered one, every
 * stream's header lists, content and end; if both answered a connection error, its code. Where the RFC leaves a choice,
 * or libnghttp2 takes one of its own, same_verdict() lists it with the reason. */
#ifndef FUZZ_H2_DIFFERENTIAL_H
#define FUZZ_H2_DIFFERENTIAL_H

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "h2/h2_int.h"

#define STREAMS  64 /* ids 1, 3 ... 127 */
#define REQUESTS 4  /* of the client: 1 and 3 have ended, 5 and 7 are still being sent */

struct seen {
    uint64_t headers[STREAMS], content[STREAMS]; /* hashes */
    size_t content_len[STREAMS];
    bool ended[STREAMS], reset[STREAMS];
    bool connection_error, stream_error;
    uint32_t code;
    uint64_t faults[FG_H2_FAULT_LEN]; /* ours */
};

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3ull;
    return hash * 0x100000001b3ull;
}

static unsigned slot(uint32_t id)
{
    return id / 2 % STREAMS;
}

/* ---- what was answered: frames out ---- */

static void look_at_output(struct seen *seen, const uint8_t *data, size_t len)
{
    if (len >= FG_H2_PREFACE_BYTES && memcmp(data, FG_H2_PREFACE, FG_H2_PREFACE_BYTES) == 0) {
        data += FG_H2_PREFACE_BYTES;
        len -= FG_H2_PREFACE_BYTES;
    }
    while (len >= FG_H2_FRAME_HEADER_BYTES) {
        struct fg_h2_frame frame = fg_h2_frame_parse(data);
        const uint8_t *payload = data + FG_H2_FRAME_HEADER_BYTES;
        if (frame.len > len - FG_H2_FRAME_HEADER_BYTES)
            abort(); /* an answer is made of whole frames */
        if (frame.type == FG_H2_GOAWAY && fg_load_u32(payload + 4) != 0 && !seen->connection_error) {
            seen->connection_error = true;
            seen->code = fg_load_u32(payload + 4);
        }
        if (frame.type == FG_H2_RST_STREAM) {
            seen->stream_error = true;
            seen->reset[slot(frame.stream_id)] = true;
        }
        data += FG_H2_FRAME_HEADER_BYTES + frame.len;
        len -= FG_H2_FRAME_HEADER_BYTES + frame.len;
    }
}

/* ---- ours ---- */

static struct seen *ours_seen;

static void on_headers(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags)
{
    unsigned at = slot(fg_h2_stream_id(stream));

    for (uint32_t i = 0; i < headers->len; i++) {
        uint64_t *hash = &ours_seen->headers[at];
        *hash = mix(*hash, headers->items[i].name.p, headers->items[i].name.len);
        *hash = mix(*hash, headers->items[i].value.p, headers->items[i].value.len);
    }
    ours_seen->ended[at] |= flags & FG_H2_END_STREAM;
}

static void on_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end)
{
    unsigned at = slot(fg_h2_stream_id(stream));

    for (size_t i = 0; i < buf.len; i++)
        ours_seen->content[at] = (ours_seen->content[at] ^ buf.data[i]) * 0x100000001b3ull;
    ours_seen->content_len[at] += buf.len;
    ours_seen->ended[at] |= end;
    fg_h2_stream_consume(stream, buf.len);
}

static void on_sent(struct fg_h2_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_h2_stream *stream, const struct fg_h2_close *why)
{
    (void)stream;
    (void)why;
}

static void on_output(struct fg_h2_conn *conn)
{
    (void)conn;
}

static void no_slots(struct fg_h2_conn *conn)
{
    (void)conn;
}

static const struct fg_h2_handler handler = {on_headers, on_data, on_sent, on_close, on_output, no_slots};

#define WINDOW (1u << 20)

static void drain_ours(struct fg_h2_conn *conn, struct seen *seen)
{
    fg_h2_conn_pull(conn, SIZE_MAX);
    uint8_t *all = malloc(conn->out.bytes + 1);
    size_t len = conn->out.bytes, at = 0;
    while (conn->out.bytes > 0) {
        struct iovec iov[16];
        int n = fg_outq_peek(&conn->out, iov, 16);
        size_t part = 0;
        for (int i = 0; i < n; i++) {
            memcpy(all + at + part, iov[i].iov_base, iov[i].iov_len);
            part += iov[i].iov_len;
        }
        fg_outq_consume(&conn->out, part);
        at += part;
    }
    look_at_output(seen, all, len);
    free(all);
}

static void make_our_requests(struct fg_h2_conn *conn, struct fg_mem *mem)
{
    struct fg_arena arena;

    fg_arena_init(&arena, mem);
    for (int i = 0; i < REQUESTS; i++) {
        struct fg_headers headers;
        fg_headers_init(&headers);
        fg_headers_add_token(&headers, &arena, FG_TOKEN_METHOD, FG_STR("POST"));
        fg_headers_add_token(&headers, &arena, FG_TOKEN_SCHEME, FG_STR("http"));
        fg_headers_add_token(&headers, &arena, FG_TOKEN_PATH, FG_STR("/a"));
        fg_headers_add_token(&headers, &arena, FG_TOKEN_AUTHORITY, FG_STR("test"));
        fg_h2_request(conn, &headers, i < 2);
    }
    fg_arena_cleanup(&arena);
}

static void run_ours(const uint8_t *wire, size_t len, struct seen *seen)
{
    static uint64_t now_ns = 1;
    struct fg_mem mem;
    struct fg_slab streams;
    struct fg_h2_conn conn = {0};

    fg_mem_init(&mem);
    fg_slab_init(&streams, fg_h2_stream_bytes(0), 0);
    struct fg_h2_options options = {
        .role = CLIENT ? FG_H2_CLIENT : FG_H2_SERVER,
        .handler = &handler,
        .now_ns = &now_ns,
        .mem = &mem,
        .streams = &streams,
        .fault_counts = seen->faults,
        .max_concurrent_streams = 1000,
        .stream_window = WINDOW,
        .connection_window = WINDOW,
        .max_frame_size = 16384,
        .header_table_size = 4096,
        .encoder_table_size = 0,
        .max_header_list = 1 << 20,
        .max_header_fields = 100000,
        .max_continuations = 100000,
        .reset_burst = 1000000,
        .reset_rate = 1,
        .reset_ratio = 1e9,
        .reset_ratio_minimum = 1,
        .ping_rate = 1000000,
        .settings_rate = 1000000,
        .queued_control_frames = 1000000,
        .empty_data_frames = 60000,
        .error_burst = 1000000,
        .error_rate = 1,
    };
    ours_seen = seen;
    fg_h2_conn_init(&conn, &options);
    /* In pieces of changing size: every split must give the same. */
    struct fg_chunk *chunk = fg_chunk_new(len + 1);
    memcpy(chunk->data, wire, len);
    size_t begin = 0;
    if (CLIENT) { /* the server's SETTINGS let the requests go */
        fg_h2_conn_recv(&conn, chunk, chunk->data, FG_H2_FRAME_HEADER_BYTES);
        begin = FG_H2_FRAME_HEADER_BYTES;
        make_our_requests(&conn, &mem);
    }
    for (size_t at = begin, step = 1; at < len; step = step * 7 % 251 + 1) {
        size_t part = FG_MIN(step, len - at);
        fg_h2_conn_recv(&conn, chunk, chunk->data + at, part);
        at += part;
    }
    drain_ours(&conn, seen);
    fg_chunk_unref(chunk);
    fg_h2_conn_cleanup(&conn);
    if (streams.live != 0)
        abort();
    fg_slab_cleanup(&streams);
    fg_mem_cleanup(&mem); /* asserts that everything came back */
}

/* ---- theirs ---- */

struct theirs {
    struct seen *seen;
    uint64_t pending[STREAMS]; /* a list counts when its block was accepted as a whole */
};

static int their_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct theirs *t = user;
    (void)session;
    t->pending[slot((uint32_t)frame->hd.stream_id)] = t->seen->headers[slot((uint32_t)frame->hd.stream_id)];
    return 0;
}

static int their_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                        const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    struct theirs *t = user;
    uint64_t *hash = &t->pending[slot((uint32_t)frame->hd.stream_id)];
    (void)session;
    (void)flags;
    *hash = mix(*hash, name, name_len);
    *hash = mix(*hash, value, value_len);
    return 0;
}

static int their_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct theirs *t = user;
    unsigned at = slot((uint32_t)frame->hd.stream_id);
    (void)session;

    if (frame->hd.type == NGHTTP2_HEADERS)
        t->seen->headers[at] = t->pending[at];
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        t->seen->ended[at] = true;
    return 0;
}

static int their_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
    struct theirs *t = user;
    unsigned at = slot((uint32_t)id);
    (void)session;
    (void)flags;

    for (size_t i = 0; i < len; i++)
        t->seen->content[at] = (t->seen->content[at] ^ data[i]) * 0x100000001b3ull;
    t->seen->content_len[at] += len;
    return 0;
}

static void drain_theirs(nghttp2_session *session, struct seen *seen)
{
    const uint8_t *data;
    ssize_t len;
    uint8_t *all = NULL;
    size_t all_len = 0;

    while ((len = nghttp2_session_mem_send(session, &data)) > 0) {
        all = realloc(all, all_len + (size_t)len);
        memcpy(all + all_len, data, (size_t)len);
        all_len += (size_t)len;
    }
    look_at_output(seen, all, all_len);
    free(all);
}

static ssize_t later(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t len, uint32_t *flags,
                     nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)buffer;
    (void)len;
    (void)flags;
    (void)source;
    (void)user;
    return NGHTTP2_ERR_DEFERRED;
}

static void make_their_requests(nghttp2_session *session)
{
#define NV(name, value)                                                                                                \
    {                                                                                                                  \
        (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, sizeof(name) - 1, sizeof(value) - 1, 0                \
    }
    static const nghttp2_nv fields[] = {NV(":method", "POST"), NV(":scheme", "http"), NV(":path", "/a"),
                                        NV(":authority", "test")};
#undef NV
    nghttp2_data_provider unfinished = {.read_callback = later};

    for (int i = 0; i < REQUESTS; i++)
        nghttp2_submit_request(session, NULL, fields, FG_ARRAY_LEN(fields), i < 2 ? NULL : &unfinished, NULL);
}

static void run_theirs(const uint8_t *wire, size_t len, struct seen *seen)
{
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    struct theirs user = {.seen = seen};
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, their_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, their_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, their_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, their_data);
    nghttp2_option_new(&option);
    nghttp2_option_set_max_settings(option, 100000);
    nghttp2_option_set_max_outbound_ack(option, 1000000);
    if (CLIENT)
        nghttp2_session_client_new2(&session, callbacks, &user, option);
    else
        nghttp2_session_server_new2(&session, callbacks, &user, option);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW);
    if (CLIENT) {
        nghttp2_session_mem_recv(session, wire, FG_H2_FRAME_HEADER_BYTES);
        make_their_requests(session);
        drain_theirs(session, seen);
        wire += FG_H2_FRAME_HEADER_BYTES;
        len -= FG_H2_FRAME_HEADER_BYTES;
    }
    nghttp2_session_mem_recv(session, wire, len);
    drain_theirs(session, seen);
    nghttp2_session_del(session);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

/* ---- the program ---- */

struct program {
    const uint8_t *at, *end;
    uint8_t wire[1 << 16];
    size_t len;
    uint32_t next_id;
};

static uint8_t next(struct program *p)
{
    return p->at < p->end ? *p->at++ : 0;
}

static void put(struct program *p, const void *data, size_t len)
{
    if (len > sizeof p->wire - p->len)
        return;
    if (len > 0)
        memcpy(p->wire + p->len, data, len);
    p->len += len;
}

static void put_frame(struct program *p, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t head[FG_H2_FRAME_HEADER_BYTES];

    if (len + sizeof head > sizeof p->wire - p->len)
        return;
    fg_h2_frame_write(head, (struct fg_h2_frame){(uint32_t)len, id, type, flags});
    put(p, head, sizeof head);
    put(p, payload, len);
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t len = strlen(text);
    *at++ = (uint8_t)len;
    memcpy(at, text, len);
    return at + len;
}

static size_t make_block(struct program *p, uint8_t *block, bool trailers)
{
    static const char *const fields[][2] = {
        {"te", "trailers"},      {"te", "gzip"},         {"content-length", "5"}, {"content-length", "x"},
        {"connection", "close"}, {"Upper", "a"},         {"x", " padded"},        {"x-a", "b"},
        {"cookie", "a=b"},       {"host", "test"},       {":path", "/again"},     {":odd", "x"},
        {"x", "a\rb"},           {"priority", "u=1, i"}, {"", "nameless"},        {"transfer-encoding", "chunked"},
        {"upgrade", "h2c"},      {"grpc-timeout", "1S"}, {"x-empty", ""},         {"x y", "space"},
    };
    uint8_t *at = block, choice = next(p);

    if (CLIENT && (!trailers || choice & 0x80)) {
        static const uint8_t statuses[] = {0x88, 0x88, 0x88, 0x89, 0x8b, 0x8d};
        if (choice & 0x40) { /* 1xx and nonsense */
            static const char *const odd[] = {"100", "103", "101", "99", "2000", "abc"};
            *at++ = 0x08;
            at = put_text(at, odd[next(p) % FG_ARRAY_LEN(odd)]);
        } else {
            *at++ = statuses[next(p) % sizeof statuses];
        }
    } else if (!trailers || choice & 0x80) {
        static const uint8_t post_http[] = {0x83, 0x86, 0x44, 2, '/', 'a', 0x41, 4, 't', 'e', 's', 't'};
        size_t leave_out = choice & 0x40 ? 2 : 0;
        memcpy(at, post_http + leave_out, sizeof post_http - leave_out);
        at += sizeof post_http - leave_out;
    }
    for (unsigned i = choice & 3; i > 0; i--) {
        const char *const *field = fields[next(p) % FG_ARRAY_LEN(fields)];
        *at++ = i == 1 ? 0x40 : 0x00; /* with and without indexing */
        at = put_text(at, field[0]);
        at = put_text(at, field[1]);
    }
    return (size_t)(at - block);
}

static void put_headers(struct program *p, uint32_t id, bool trailers)
{
    uint8_t block[512], flags = next(p);
    size_t len = make_block(p, block, trailers);
    uint8_t end = flags & 1 ? FG_H2_FLAG_END_STREAM : 0;

    if (flags & 2 && len > 4) { /* in two frames */
        put_frame(p, FG_H2_HEADERS, end, id, block, 4);
        put_frame(p, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, id, block + 4, len - 4);
        return;
    }
    put_frame(p, FG_H2_HEADERS, end | FG_H2_FLAG_END_HEADERS, id, block, len);
}

static uint32_t some_id(struct program *p)
{
    uint8_t choice = next(p);
    return choice & 0x80 ? choice & 7 : p->next_id > 1 ? (choice % (p->next_id / 2)) * 2 + 1 : 1;
}

static void put_step(struct program *p)
{
    uint8_t payload[300] = {0}, flags;
    uint32_t id;
    size_t len;

    switch (next(p) % 12) {
    case 0:
    case 1:
        if (CLIENT) {
            put_headers(p, next(p) % (REQUESTS + 1) * 2 + 1, false);
        } else if (p->next_id < 2 * STREAMS - 1) {
            put_headers(p, p->next_id, false);
            p->next_id += 2;
        }
        break;
    case 2:
        put_headers(p, some_id(p), true);
        break;
    case 3:
    case 4:
        id = some_id(p);
        flags = next(p);
        len = next(p);
        memset(payload, 'd', sizeof payload);
        payload[0] = flags & 0x10 ? 3 : flags & 0x20 ? 255 : 0;
        put_frame(p, FG_H2_DATA, flags & (FG_H2_FLAG_END_STREAM | FG_H2_FLAG_PADDED), id, payload, len);
        break;
    case 5:
        fg_store_u32(payload, next(p) % 14);
        put_frame(p, FG_H2_RST_STREAM, 0, some_id(p), payload, 4);
        break;
    case 6:
        fg_store_u32(payload, next(p) & 1 ? 0x7fffffffu : next(p));
        put_frame(p, FG_H2_WINDOW_UPDATE, 0, next(p) & 1 ? 0 : some_id(p), payload, 4);
        break;
    case 7:
        fg_store_u16(payload, next(p) % 8);
        fg_store_u32(payload + 2, next(p) & 1 ? 0xffffffffu >> next(p) % 32 : next(p));
        put_frame(p, FG_H2_SETTINGS, 0, 0, payload, 6);
        break;
    case 8:
        put_frame(p, FG_H2_PING, next(p) & 1, next(p) & 0x10 ? 1 : 0, payload, next(p) & 0x20 ? 7 : 8);
        break;
    case 9:
        fg_store_u32(payload, some_id(p));
        payload[4] = next(p);
        put_frame(p, FG_H2_PRIORITY, 0, some_id(p), payload, next(p) & 0x10 ? 4 : 5);
        break;
    case 10: /* a frame of an unknown type, or with a wrong length */
        put_frame(p, (uint8_t)(next(p) % 32 + 17), next(p), some_id(p), payload, next(p) % 20);
        break;
    case 11:
        len = next(p) % 16;
        for (size_t i = 0; i < len; i++)
            payload[i] = next(p);
        put(p, payload, len);
        break;
    default:
        break;
    }
}

/* Settings that libnghttp2 judges in its own way: changes of those of RFC 8441 and RFC 9218, which it refuses and we do
 * not look for (a receiver MAY, RFC 9218 section 2.1); and one that stands twice in a frame, of which it sees only the
 * last. */
static bool is_special(const uint8_t *payload, uint32_t len)
{
    uint32_t seen = 0;

    for (uint32_t at = 0; at + 6 <= len; at += 6) {
        unsigned id = fg_load_u16(payload + at);
        if (id >= 32)
            continue;
        if (id == 8 || id == FG_H2_SETTING_NO_RFC7540_PRIORITIES || seen >> id & 1)
            return true;
        seen |= 1u << id;
    }
    return false;
}

/* The last frame and the last header block must be whole: in the middle of one, each looks at what has come in its own
 * order. False: there is a PRIORITY_UPDATE, which libnghttp2 takes only from peers
 * without RFC 7540 priorities, a second acknowledgement of SETTINGS, which it refuses and the RFC does not, or a
 * GOAWAY, whose last stream id (of pushed streams, which do not exist) it checks and we ignore. */
static bool complete_last_frame(struct program *p)
{
    size_t at = CLIENT ? 0 : FG_H2_PREFACE_BYTES;
    uint32_t open_block = 0;
    unsigned acks = 0;

    while (p->len - at >= FG_H2_FRAME_HEADER_BYTES) {
        struct fg_h2_frame frame = fg_h2_frame_parse(p->wire + at);
        size_t whole = at + FG_H2_FRAME_HEADER_BYTES + frame.len;
        if (frame.len > FG_H2_MIN_MAX_FRAME || whole > sizeof p->wire)
            return true; /* refused at its head */
        while (p->len < whole)
            p->wire[p->len++] = 0;
        acks += frame.type == FG_H2_SETTINGS && frame.flags & FG_H2_FLAG_ACK;
        if (frame.type == FG_H2_SETTINGS && is_special(p->wire + at + FG_H2_FRAME_HEADER_BYTES, frame.len))
            return false;
        if (frame.type == FG_H2_PRIORITY_UPDATE || frame.type == FG_H2_GOAWAY || acks > 1)
            return false;
        if (frame.type == FG_H2_HEADERS || frame.type == FG_H2_CONTINUATION)
            open_block = frame.flags & FG_H2_FLAG_END_HEADERS ? 0 : frame.stream_id;
        at = whole;
    }
    p->len = at;
    if (open_block)
        put_frame(p, FG_H2_CONTINUATION, FG_H2_FLAG_END_HEADERS, open_block, NULL, 0);
    return true;
}

/* ---- the verdicts ---- */

/* Where we answer an error and libnghttp2 may not, and why. */
static const enum fg_h2_fault excused[] = {
    /* RFC 9113 section 5.1 wants STREAM_CLOSED; libnghttp2 ignores DATA and HEADERS on streams that it has forgotten.
     */
    FG_H2_FAULT_CLOSED_STREAM,
    FG_H2_FAULT_CLOSED_CONNECTION,
    FG_H2_FAULT_STREAM_ID_ORDER,
    FG_H2_FAULT_PAD_LENGTH,
    FG_H2_FAULT_PADDING,
    /* An increment of 0 is an error whatever the stream's state (section 6.9); libnghttp2 looks for the stream first.
     */
    FG_H2_FAULT_STREAM_WINDOW_ZERO,
    /* Content before the response (section 8.1); libnghttp2 lets an empty DATA frame pass. */
    FG_H2_FAULT_DATA_BEFORE_HEADERS,
    /* content-length and host in trailers are refused; libnghttp2 compares the first with the content and lets the
     * second pass once. */
    FG_H2_FAULT_TRAILER_FIELD,
};

static bool is_excused(const struct seen *ours)
{
    uint64_t others = 0;

    for (int fault = 0; fault < FG_H2_FAULT_LEN; fault++)
        others += ours->faults[fault];
    for (size_t i = 0; i < FG_ARRAY_LEN(excused); i++)
        others -= ours->faults[excused[i]];
    return others == 0;
}

/* An error of one kind may be an error of the other: RFC 9113 section 5.4.2 lets an endpoint treat any stream error as
 * a connection error, and libnghttp2 often does. Codes of connection errors are not compared: section 5.4.1 leaves the
 * choice where several fit; ours are those that h2spec asks for. */
static bool same_verdict(const struct seen *ours, const struct seen *theirs)
{
    bool our_error = ours->connection_error || ours->stream_error;
    bool their_error = theirs->connection_error || theirs->stream_error;

    if (our_error && !their_error && is_excused(ours))
        return true;
    return our_error == their_error;
}

static void differ(const char *what, const struct seen *ours, const struct seen *theirs, const struct program *p)
{
    fprintf(stderr, "they differ: %s\nours: connection error %d (%s), stream error %d\n", what, ours->connection_error,
            fg_h2_error_name(ours->code), ours->stream_error);
    fprintf(stderr, "nghttp2: connection error %d (%s), stream error %d\nwire:", theirs->connection_error,
            fg_h2_error_name(theirs->code), theirs->stream_error);
    for (size_t i = FG_H2_PREFACE_BYTES; i < p->len && i < 600; i++)
        fprintf(stderr, " %02x", p->wire[i]);
    fprintf(stderr, "\n");
    for (int fault = 0; fault < FG_H2_FAULT_LEN; fault++)
        if (ours->faults[fault] > 0)
            fprintf(stderr, "our fault: %s\n", fg_h2_fault_info((enum fg_h2_fault)fault)->reason);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct program program;
    struct program *p = &program;
    struct seen ours = {0}, theirs = {0};

    *p = (struct program){.at = data, .end = data + len, .next_id = CLIENT ? 2 * REQUESTS + 1 : 1};
    if (!CLIENT)
        put(p, FG_H2_PREFACE, FG_H2_PREFACE_BYTES);
    put_frame(p, FG_H2_SETTINGS, 0, 0, NULL, 0);
    put_frame(p, FG_H2_SETTINGS, FG_H2_FLAG_ACK, 0, NULL, 0);
    while (p->at < p->end && p->len < sizeof p->wire / 2)
        put_step(p);
    if (!complete_last_frame(p))
        return 0;
    run_ours(p->wire, p->len, &ours);
    run_theirs(p->wire, p->len, &theirs);
    if (!same_verdict(&ours, &theirs))
        differ("the verdict", &ours, &theirs, p);
    if (ours.connection_error || ours.stream_error)
        return 0;
    for (int i = 0; i < STREAMS; i++) {
        if (ours.headers[i] != theirs.headers[i])
            differ("a header list", &ours, &theirs, p);
        if (ours.content[i] != theirs.content[i] || ours.content_len[i] != theirs.content_len[i])
            differ("content", &ours, &theirs, p);
        if (ours.ended[i] != theirs.ended[i])
            differ("the end of a stream", &ours, &theirs, p);
    }
    return 0;
}

#endif
