/* What both fuzzers of the HTTP/1 engine share: input that becomes bytes of a peer, cuts, and the relay, which says a
 * message again as a proxy does and has it read a second time.
 *
 * The input's first byte seeds the cuts, the second one is left to the fuzzer. Of the rest ASCII is taken as it is, so
 * that seeds can be read; bytes from 0x80 on are words of a vocabulary that is full of traps; 0xff is an escape: the
 * next byte is taken as it is. */
#ifndef FUZZ_H1_WIRE_H
#define FUZZ_H1_WIRE_H

#include <stdio.h>
#include <stdlib.h>

#include "../tests/unit/h1/engine.h"

static const char *const vocabulary[] = {
    "\r\n",
    "\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n",
    "POST /c HTTP/1.1\r\nhost: a\r\n",
    "HEAD /c HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "transfer-encoding: chunked\r\n",
    "content-length: 5\r\n",
    "content-length: 0\r\n",
    "connection: close\r\n",
    "connection: keep-alive, x\r\n",
    "expect: 100-continue\r\n",
    "host: a\r\n",
    "x: y\r\n",
    "cookie: a=b\r\n",
    "te: trailers\r\n",
    "upgrade: h2c\r\n",
    "trailer: x\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "5\r\nhello\r\n",
    "1;e=\"f\"\r\n \r\n",
    "hello",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "http://a",
    "/e",
    "/l",
    "/s",
    "/r",
    "/n",
    "/i",
    "/w",
    "/x",
    "/t",
    "OPTIONS * HTTP/1.1\r\nhost: a\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "chunked",
    "gzip, ",
    "0000000000000000",
    "ffffffff",
    "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "\r",
    "\n",
    "\t",
    ": ",
    ", ",
    "connection: close, keep-alive\r\nkeep-alive: 1\r\n",
    "x-a: 0123456789012345678901234567890123456789\r\n",
};

static size_t put_wire(struct text *wire, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len && wire->len < 1 << 16; i++) {
        const char *word = vocabulary[data[i] % FG_ARRAY_LEN(vocabulary)];
        if (data[i] == 0xff && i + 1 < len)
            text_put(wire, &data[++i], 1);
        else if (data[i] < 0x80)
            text_put(wire, &data[i], 1);
        else
            text_put(wire, word, strlen(word));
    }
    return wire->len;
}

/* The size of the next piece, mostly small. */
static size_t next_cut(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    uint32_t bits = *seed >> 8;
    size_t piece = 1 + (bits & 0x30 ? bits % 4 : bits % 67);
    return FG_MIN(piece, left);
}

static void give_up(const char *what, const char *first, const char *second)
{
    fprintf(stderr, "%s\n--- first:\n%s\n--- second:\n%s\n", what, first, second);
    abort();
}

/* What may be kept of a peer's bytes does not grow with them. */
static inline void check_bounds(const struct engine *e)
{
    const struct fg_h1_limits *limits = &e->options.limits;
    const struct fg_h1_stream *stream = e->conn.stream;

    if (e->conn.partial_len >= limits->max_head_bytes)
        give_up("more of a head is kept than a head may have", "", "");
    if (!stream)
        return;
    if (stream->body.line_len > limits->max_head_bytes)
        give_up("more of a trailer is kept than a head may have", "", "");
    /* Interim answers may be of 16 bytes; a list of fields begins with room for 16 of 40 bytes, and each head has two.
     */
    if (stream->arena.bytes > 96 * limits->max_head_bytes + 16 * sizeof(struct fg_header) * limits->max_fields)
        give_up("a head takes much more memory than it has bytes", "", "");
}

static void end_engine(struct engine *e)
{
    fg_h1_conn_cleanup(&e->conn);
    if (!engine_is_clean(e))
        give_up("memory is left behind", engine_events(e), e->out.p);
    engine_free(e);
}

/* ---- the relay ---- */

/* A message, whatever the order of its fields. content-length, cookie and what the framing says are said anew. */
struct message {
    unsigned heads;
    uint64_t pseudo, fields, trailers, content;
    size_t content_len;
    bool ended;
};

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3ull;
    return hash * 0x100000001b3ull;
}

static void take_fields(struct message *message, const struct fg_headers *headers, unsigned flags)
{
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        uint64_t hash = mix(mix(7, field->name.p, field->name.len), field->value.p, field->value.len);
        if (field->token == FG_TOKEN_CONTENT_LENGTH || field->token == FG_TOKEN_COOKIE)
            continue;
        if (flags & FG_H1_TRAILERS)
            message->trailers += hash;
        else if (field->name.len > 0 && field->name.p[0] == ':')
            message->pseudo += hash;
        else
            message->fields += hash;
    }
}

static void take_event(struct message *message, const struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    if (headers)
        take_fields(message, headers, flags);
    if (headers && !(flags & FG_H1_TRAILERS))
        message->heads++;
    for (size_t i = 0; i < buf.len; i++)
        message->content = (message->content ^ buf.data[i]) * 0x100000001b3ull;
    message->content_len += buf.len;
    message->ended |= (flags & FG_H1_END_STREAM) != 0;
}

static void on_reread(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    take_event(e->user, headers, buf, flags);
}

/* One event of the message that is said again by OUT. */
static inline void relay_event(struct engine *out, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    bool end = flags & FG_H1_END_STREAM;

    if (headers && flags & FG_H1_TRAILERS)
        fg_h1_stream_send_trailers(out->stream, headers);
    else if (headers && out->options.role == FG_H1_CLIENT)
        out->stream = fg_h1_request(&out->conn, headers, end);
    else if (headers)
        fg_h1_stream_send_headers(out->stream, headers, end);
    else
        fg_h1_stream_send_data(out->stream, fg_buf_ref(buf), end);
    engine_pull(out);
}

/* What OUT has said, read by IN, a recipient of the other role, in pieces. It must be SAID again, and nothing else. */
static inline void check_relayed(const struct message *said, struct engine *out, struct engine *in, uint32_t seed)
{
    struct message read = {0};

    in->on_event = on_reread;
    in->user = &read;
    for (size_t at = 0, piece; at < out->out.len; at += piece) {
        piece = next_cut(&seed, out->out.len - at);
        engine_feed(in, out->out.p + at, piece);
    }
    if (in->conn.fault)
        give_up(fg_h1_fault_info(in->conn.fault)->reason, out->out.p, engine_events(in));
    if (read.heads != said->heads || read.pseudo != said->pseudo || read.fields != said->fields)
        give_up("the head changed on its way", out->out.p, engine_events(in));
    if (read.content_len != said->content_len || read.content != said->content || read.ended != said->ended)
        give_up("the content changed on its way", out->out.p, engine_events(in));
    if (read.trailers != said->trailers)
        give_up("the trailers changed on their way", out->out.p, engine_events(in));
}

#endif
