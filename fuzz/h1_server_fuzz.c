/* The HTTP/1 engine as a server: any bytes, whole and cut. Requests, content, trailers, faults and our answers do not
 * depend on the cuts; answers are well-formed; a request that is passed on is read as the same request again; what is
 * kept is bounded, and nothing is left.
 *
 * The last letter of the path says what the user does: e, w answer before the content; c chunks and trailers; l and s
 * announce less and more than they send; n 204; i an interim answer first; r resets; x never answers. An odd second
 * byte of the input: small limits. */
#include "h1_wire.h"

#define REQUESTS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
    char shape; /* of the answer to the request in progress */
    unsigned requests;
    bool is_head[REQUESTS]; /* methods */
    bool lied;              /* fewer bytes than announced were sent */
    struct engine *relay;   /* NULL: requests are not passed on */
    struct message said;
    uint32_t seed;
};

/* ---- the user ---- */

static void answer_before_content(struct engine *e, char shape)
{
    if (shape == 'i')
        engine_answer(e, ":status: 103\nlink: x\n", false);
    if (shape != 'e' && shape != 'w')
        return;
    engine_answer(e, ":status: 413\n", shape == 'e');
    if (shape == 'e')
        return;
    engine_content(e, "early", true);
    fg_h1_stream_reset_after_end(e->stream);
}

static void answer_whole(struct engine *e, struct run *run)
{
    switch (run->shape) {
    case 'e':
    case 'w':
    case 'x':
        return;
    case 'c':
        engine_answer(e, ":status: 200\n", false);
        engine_content(e, "hello", false);
        engine_content(e, " world", false);
        engine_trailers(e, "grpc-status: 0\nconnection: x\n");
        return;
    case 'l':
        engine_answer(e, ":status: 200\ncontent-length: 3\n", false);
        engine_content(e, "12345", true);
        return;
    case 's':
        run->lied = true;
        engine_answer(e, ":status: 200\ncontent-length: 9\n", false);
        engine_content(e, "12345", true);
        return;
    case 'n':
        engine_answer(e, ":status: 204\ncontent-length: 9\n", true);
        return;
    case 'r':
        fg_h1_stream_reset(e->stream);
        e->stream = NULL;
        return;
    default:
        engine_answer(e, ":status: 200\ncontent-length: 0\n", true);
    }
}

static void finish_relay(struct run *run)
{
    if (!run->relay)
        return;
    struct engine *in = engine_new(FG_H1_SERVER);
    in->options.limits = (struct fg_h1_limits){1 << 20, 1000};
    check_relayed(&run->said, run->relay, in, run->seed);
    end_engine(in);
    end_engine(run->relay);
    run->relay = NULL;
}

static void on_event(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    struct run *run = e->user;
    bool is_head = headers && !(flags & FG_H1_TRAILERS);

    if (is_head) {
        struct fg_str path = fg_headers_get(headers, FG_TOKEN_PATH)->value;
        run->shape = path.p[path.len - 1];
        if (run->requests < REQUESTS)
            run->is_head[run->requests] = fg_str_eq(fg_headers_get(headers, FG_TOKEN_METHOD)->value, FG_STR("HEAD"));
        run->requests++;
    }
    if (is_head && run->seed) {
        finish_relay(run);
        run->relay = engine_new(FG_H1_CLIENT);
        run->said = (struct message){0};
    }
    if (run->relay) {
        take_event(&run->said, headers, buf, flags);
        relay_event(run->relay, headers, buf, flags);
    }
    if (is_head)
        answer_before_content(e, run->shape);
    if (flags & FG_H1_END_STREAM)
        answer_whole(e, run);
}

/* ---- what we sent ---- */

/* One answer from AT on; the bytes behind it. *LAST: it was the last one. */
static const char *check_answer(const char *at, const char *end, bool to_head, bool *is_final, bool *last)
{
    static const struct fg_h1_limits limits = {1 << 20, 1000};
    enum fg_h1_fault fault;
    struct fg_h1_head head;
    struct fg_h1_body body;
    struct fg_arena arena;
    struct fg_str content;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    ssize_t n = fg_h1_head_parse(FG_H1_RESPONSE, at, (size_t)(end - at), &limits, &arena, &head, &fault);
    if (n <= 0)
        give_up("an answer has no proper head", at, "");
    *is_final = head.status >= 200;
    *last = *is_final && !head.keep_alive;
    bool none = to_head || !*is_final || head.status == 204 || head.status == 304;
    fg_h1_body_init(&body,
                    none                       ? FG_H1_BODY_NONE
                    : head.chunked             ? FG_H1_BODY_CHUNKED
                    : head.content_length >= 0 ? FG_H1_BODY_LENGTH
                                               : FG_H1_BODY_UNTIL_CLOSE,
                    head.content_length >= 0 ? (uint64_t)head.content_length : 0);
    size_t used = (size_t)n;
    while (used < (size_t)(end - at) && !body.done) {
        fg_h1_body_feed(&body, at, (size_t)(end - at), &used, &content, &limits, &arena, &fault);
        if (fault)
            give_up("an answer has no proper content", at, fg_h1_fault_info(fault)->reason);
    }
    *last |= !body.done;
    fg_h1_body_cleanup(&body);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return at + used;
}

static void check_answers(struct engine *e, const struct run *run)
{
    const char *at = e->out.p, *end = at + e->out.len;
    bool last = false, is_final;
    unsigned answers = 0;

    while (at < end) {
        if (last)
            give_up("something follows the last answer", e->out.p, at);
        at =
            check_answer(at, end, answers < FG_MIN(run->requests, REQUESTS) && run->is_head[answers], &is_final, &last);
        answers += is_final;
    }
    if (last && !fg_h1_conn_is_done(&e->conn) && !e->conn.closing && !(e->stream && e->stream->head_sent))
        give_up("the connection stays behind an answer that is its last", e->out.p, "");
    if (answers > run->requests + (e->conn.fault != FG_H1_FAULT_NONE))
        give_up("there are more answers than requests", e->out.p, engine_events(e));
}

/* ---- a run ---- */

static void serve(struct engine *e, struct run *run, const struct text *wire, uint8_t options, bool cut, uint32_t seed)
{
    e->on_event = on_event;
    e->user = run;
    if (options & 1)
        e->options.limits = (struct fg_h1_limits){100, 4};
    for (size_t at = 0, piece; at < wire->len && fg_h1_conn_wants_read(&e->conn); at += piece) {
        piece = cut ? next_cut(&seed, wire->len - at) : wire->len;
        engine_feed(e, wire->p + at, piece);
        check_bounds(e);
        engine_pull(e);
    }
    check_answers(e, run);
    fg_h1_conn_lost(&e->conn, "gone");
    finish_relay(run);
}

/* What of an early answer has not been pulled when the rest of the request turns out to be malformed is not sent. */
static bool same_answers(const struct engine *whole, const struct engine *cut, char shape)
{
    size_t len = FG_MIN(whole->out.len, cut->out.len);

    if (shape != 'w' || whole->conn.fault == FG_H1_FAULT_NONE)
        len = FG_MAX(whole->out.len, cut->out.len);
    return len <= whole->out.len && len <= cut->out.len && memcmp(whole->out.p, cut->out.p, len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text wire = {0};

    if (len < 2 || put_wire(&wire, data + 2, len - 2) == 0) {
        free(wire.p);
        return 0;
    }
    struct engine *whole = engine_new(FG_H1_SERVER), *cut = engine_new(FG_H1_SERVER);
    struct run first = {.seed = 1u + data[0]}, second = {0};
    serve(whole, &first, &wire, data[1], false, 0);
    serve(cut, &second, &wire, data[1], true, data[0]);
    if (strcmp(engine_events(whole), engine_events(cut)) != 0)
        give_up("events depend on the cuts", engine_events(whole), engine_events(cut));
    if (!same_answers(whole, cut, second.shape))
        give_up("answers depend on the cuts", whole->out.p, cut->out.p);
    if (whole->conn.fault != cut->conn.fault)
        give_up("faults depend on the cuts", fg_h1_fault_info(whole->conn.fault)->name,
                fg_h1_fault_info(cut->conn.fault)->name);
    end_engine(whole);
    end_engine(cut);
    free(wire.p);
    return 0;
}
