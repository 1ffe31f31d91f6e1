/* An exchange over a face is played twice, with the bytes of both sides whole and cut. What comes of it does not depend
 * on that; what reaches the endpoint is whole messages; what is kept is bounded; a call ends exactly once. */
#ifndef FUZZ_FACE_EXCHANGE_H
#define FUZZ_FACE_EXCHANGE_H

#include "face_world.h"

/* ---- an exchange ---- */

/* The size of the next piece, mostly small. */
static size_t next_cut(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    uint32_t bits = *seed >> 8;
    return FG_MIN(1 + (bits & 0x30 ? bits % 4 : bits % 67), left);
}

static void begin_request(const struct exchange *x)
{
    static const struct fg_stream_ops ops = {down_headers,         down_data,   down_trailers, no_consume, down_reset,
                                             down_reset_after_end, no_priority, no_wait,       no_stalls,  no_id,
                                             down_local_ended};
    struct fg_headers headers, more;

    fg_arena_init(&world.down_arena, &world.loop.mem);
    world.down = (struct fg_stream){.ops = &ops, .conn = &world.client, .arena = &world.down_arena};
    world.down_lives = true;
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, &world.down_arena, FG_TOKEN_METHOD, fg_str_from(x->method));
    fg_headers_add_token(&headers, &world.down_arena, FG_TOKEN_PATH, fg_str_from(x->path));
    if (x->content_type)
        fg_headers_add_token(&headers, &world.down_arena, FG_TOKEN_CONTENT_TYPE, fg_str_from(x->content_type));
    engine_fields(&world.down_arena, &more, x->fields);
    for (uint32_t i = 0; i < more.len; i++)
        *fg_headers_add_slot(&headers, &world.down_arena) = more.items[i];
    fg_dialect_start(&world.env, &world.down, &headers, 0);
}

static void close_up(enum fg_h2_close_by by)
{
    struct fg_h2_close why = {.by = by, .code = FG_H2_INTERNAL_ERROR, .reason = "fuzz"};

    world.up_lives = false;
    world.up.events->on_close(&world.up, &why);
}

static void send_trailers(const struct exchange *x)
{
    struct fg_headers trailers;

    engine_fields(&world.up_arena, &trailers,
                  x->options & FAILS ? "grpc-status: 5\ngrpc-message: a%20\"b\"\nx-trailer: t\n"
                                     : "grpc-status: 0\nx-trailer: t\nx-trailer: \"u\"\n");
    if (x->options & DETAILS)
        fg_headers_add_token(&trailers, &world.up_arena, FG_TOKEN_GRPC_STATUS_DETAILS_BIN,
                             fg_base64_encode(&world.up_arena, x->answer.p, FG_MIN(x->answer.len, (size_t)200)));
    world.up.events->on_headers(&world.up, &trailers, FG_H2_TRAILERS | FG_H2_END_STREAM);
    turn(x);
    if (world.up_lives)
        close_up(FG_H2_CLOSED_COMPLETE);
}

static void send_answer(const struct exchange *x, uint32_t *seed)
{
    struct fg_headers headers;

    if (!world.up_lives)
        return;
    engine_fields(&world.up_arena, &headers, ":status: 200\ncontent-type: application/grpc\nx-meta: 1\n");
    if (x->options & GZIP)
        fg_headers_add_token(&headers, &world.up_arena, FG_TOKEN_GRPC_ENCODING, FG_STR("gzip"));
    world.up.events->on_headers(&world.up, &headers, 0);
    for (size_t at = 0, piece; at < x->answer.len && world.up_lives; at += piece) {
        piece = seed ? next_cut(seed, x->answer.len - at) : x->answer.len;
        struct fg_buf buf = fg_buf_copy(x->answer.p + at, piece);
        world.up.events->on_data(&world.up, buf, false);
        fg_buf_unref(&buf);
        turn(x);
    }
    if (world.up_lives && x->options & LOST)
        close_up(FG_H2_CLOSED_PEER_RESET);
    else if (world.up_lives)
        send_trailers(x);
    turn(x);
}

static void end_exchange(void)
{
    struct fg_h2_close why = {.by = world.down_closes || world.result->finished ? FG_H2_CLOSED_COMPLETE
                                                                                : FG_H2_CLOSED_PEER_RESET,
                              .code = FG_H2_CANCEL,
                              .reason = "fuzz"};

    if (world.down_lives)
        world.down.events->on_close(&world.down, &why);
    check(world.result->calls == 1 && fg_list_empty(&world.env.calls), "a call did not end exactly once");
    check(!world.up_lives, "the endpoint's stream outlives the call");
    fg_arena_cleanup(&world.down_arena);
    if (world.up_seen)
        fg_arena_cleanup(&world.up_arena);
    world.down_lives = world.down_closes = world.up_seen = false;
    world.down_sent = world.up_sent = 0;
}

/* SEED NULL: whole. */
static void play(const struct exchange *x, struct result *result, uint32_t *seed)
{
    world.result = result;
    text_clear(&result->up);
    text_clear(&result->head);
    text_clear(&result->out);
    world.begin_bytes = __sanitizer_get_current_allocated_bytes();
    begin_request(x);
    if (x->options & EARLY)
        send_answer(x, seed);
    size_t stop = x->options & LEAVES ? x->request.len / 2 : x->request.len;
    for (size_t at = 0, piece; (at < stop || at == 0) && world.down_lives; at += FG_MAX(piece, (size_t)1)) {
        piece = seed ? next_cut(seed, stop - at) : stop;
        struct fg_buf buf = fg_buf_copy(x->request.p + at, piece);
        world.down.events->on_data(&world.down, buf, at + piece == stop && !(x->options & LEAVES));
        fg_buf_unref(&buf);
        turn(x);
    }
    if (!(x->options & LEAVES)) {
        send_answer(x, seed);
        check(result->finished || result->reset, "a request without an answer");
    }
    end_exchange();
}

/* Messages of the call's, each flag 0 or 1: all of them whole? */
static bool is_whole(const struct text *text)
{
    size_t at = 0;

    while (text->len - at >= FG_MESSAGE_PREFIX) {
        const uint8_t *prefix = (const uint8_t *)text->p + at;
        size_t len = fg_load_u32(prefix + 1);
        if (prefix[0] > 1 || text->len - at - FG_MESSAGE_PREFIX < len)
            return false;
        at += FG_MESSAGE_PREFIX + len;
    }
    return at == text->len;
}

/* The answer is cut only if the endpoint's is, and then the call has failed. */
static void check_reset(const struct exchange *x, const struct result *result)
{
    check(!result->reset || (result->code != FG_STATUS_OK && !is_whole(&x->answer)), "the answer was cut");
}

static void check_same(const struct text *whole, const struct text *cut, const char *what)
{
    check(whole->len == cut->len && memcmp(whole->p, cut->p, whole->len) == 0, what);
}

/* What is passed on before something malformed comes depends on the cuts, and so does which of two errors is seen
 * first; whether the call fails does not. */
static void compare(const struct result *whole, const struct result *cut)
{
    if ((whole->code == FG_STATUS_OK) != (cut->code == FG_STATUS_OK))
        fprintf(stderr, "whole: %d %s, cut: %d %s\n", whole->code, whole->reason, cut->code, cut->reason);
    check((whole->code == FG_STATUS_OK) == (cut->code == FG_STATUS_OK), "the outcome depends on the cuts");
    if (whole->code != FG_STATUS_OK)
        return;
    check(whole->up_ended == cut->up_ended && whole->reset == cut->reset, "ends depend on the cuts");
    check_same(&whole->up, &cut->up, "the request depends on the cuts");
    check_same(&whole->head, &cut->head, "fields of the answer depend on the cuts");
}

static void free_result(struct result *result)
{
    free(result->up.p);
    free(result->head.p);
    free(result->out.p);
}

/* Messages made of the input: a byte says how long one is, and with GZIP if it is compressed. Without FRAMED the bytes
 * are taken as they are. */
static void put_messages(struct text *to, const uint8_t *data, size_t len, unsigned options)
{
    text_put(to, data, options & FRAMED ? 0 : len);
    if (!(options & FRAMED))
        return;
    for (size_t at = 0; at < len;) {
        bool compressed = data[at] & 0x80 && options & GZIP;
        size_t part = FG_MIN((size_t)data[at] & 0x7f, len - at - 1);
        struct fg_outq plain, packed;
        fg_outq_init(&plain, &world.loop.mem);
        fg_outq_init(&packed, &world.loop.mem);
        fg_outq_copy(&plain, data + at + 1, part);
        if (compressed)
            fg_gzip_deflate(&plain, &packed);
        struct fg_outq *content = compressed ? &packed : &plain;
        uint8_t prefix[FG_MESSAGE_PREFIX] = {compressed};
        fg_store_u32(prefix + 1, (uint32_t)content->bytes);
        text_put(to, prefix, sizeof prefix);
        size_t before = to->len, bytes = content->bytes;
        uint8_t *copy = fg_alloc(bytes + 1);
        fg_outq_read(content, copy, bytes);
        text_put(to, copy, bytes);
        check(to->len == before + bytes, "text");
        free(copy);
        fg_outq_cleanup(&plain);
        fg_outq_cleanup(&packed);
        at += 1 + part;
    }
}

#endif
