/* The HTTP/1 engine as a client: an endpoint's bytes, whole and cut. Answers and faults do not depend on the cuts; an
 * answer that is passed on is read as the same answer again; what is kept is bounded, and nothing is left.
 *
 * Up to three requests are made, one after the other, on one connection; a zero byte ends what comes before the next
 * one. The second byte of the input: 1 small limits; 2, 4, 8: that request is HEAD; 16, 32, 64: it has not ended. */
#include "h1_wire.h"

#define REQUESTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
    bool relays;
    struct engine *relay;
    struct message said;
    bool is_head; /* the request in progress */
    uint32_t seed;
};

static const char *request_fields(bool is_head)
{
    return is_head ? ":method: HEAD\n:path: /\n:authority: a\n" : ":method: POST\n:path: /\n:authority: a\n";
}

static void finish_relay(struct run *run)
{
    if (!run->relay)
        return;
    struct engine *in = engine_new(FG_H1_CLIENT);
    in->options.limits = (struct fg_h1_limits){1 << 20, 1000};
    engine_request(in, request_fields(run->is_head), true);
    engine_pull(in);
    check_relayed(&run->said, run->relay, in, run->seed);
    end_engine(in);
    end_engine(run->relay);
    run->relay = NULL;
}

static void begin_relay(struct run *run)
{
    const char *request = run->is_head ? "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n" : "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    run->said = (struct message){0};
    run->relay = engine_new(FG_H1_SERVER);
    engine_feed(run->relay, request, strlen(request));
}

static void on_event(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    struct run *run = e->user;

    if (!run->relays)
        return;
    if (!run->relay)
        begin_relay(run);
    take_event(&run->said, headers, buf, flags);
    relay_event(run->relay, headers, buf, flags);
    if (flags & FG_H1_END_STREAM)
        finish_relay(run);
}

static void make_request(struct engine *e, struct run *run, uint8_t options, unsigned number)
{
    run->is_head = options >> (1 + number) & 1;
    engine_request(e, request_fields(run->is_head), !(options >> (4 + number) & 1));
    engine_pull(e);
}

static void ask(struct engine *e, struct run *run, const struct text *wire, uint8_t options, bool cut, uint32_t seed)
{
    e->on_event = on_event;
    e->user = run;
    if (options & 1)
        e->options.limits = (struct fg_h1_limits){100, 4};
    make_request(e, run, options, 0);
    unsigned made = 1;
    for (size_t at = 0, piece; at < wire->len && fg_h1_conn_wants_read(&e->conn); at += piece) {
        const char *end = memchr(wire->p + at, '\0', wire->len - at);
        size_t part = end ? (size_t)(end - wire->p) - at : wire->len - at;
        piece = cut && part > 0 ? next_cut(&seed, part) : part;
        if (piece > 0)
            engine_feed(e, wire->p + at, piece);
        check_bounds(e);
        engine_pull(e);
        if (piece < part || !end)
            continue;
        piece++; /* the zero */
        if (made < REQUESTS && fg_h1_conn_free_slots(&e->conn) > 0)
            make_request(e, run, options, made++);
    }
    fg_h1_conn_eof(&e->conn);
    fg_h1_conn_lost(&e->conn, "gone");
    finish_relay(run);
}

/* What follows an answer in the same read has no request; it is not looked at. In a read of its own it is a fault.
 * Either way the connection is not used again. */
static bool same_fault(enum fg_h1_fault whole, enum fg_h1_fault cut)
{
    return whole == cut || (whole == FG_H1_FAULT_NONE && cut == FG_H1_FAULT_UNEXPECTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text wire = {0};

    if (len < 2 || put_wire(&wire, data + 2, len - 2) == 0) {
        free(wire.p);
        return 0;
    }
    struct engine *whole = engine_new(FG_H1_CLIENT), *cut = engine_new(FG_H1_CLIENT);
    struct run first = {.relays = true, .seed = data[0]}, second = {0};
    ask(whole, &first, &wire, data[1], false, 0);
    ask(cut, &second, &wire, data[1], true, data[0]);
    if (strcmp(engine_events(whole), engine_events(cut)) != 0)
        give_up("events depend on the cuts", engine_events(whole), engine_events(cut));
    if (whole->out.len != cut->out.len || memcmp(whole->out.p, cut->out.p, cut->out.len) != 0)
        give_up("requests depend on the cuts", whole->out.p, cut->out.p);
    if (!same_fault(whole->conn.fault, cut->conn.fault))
        give_up("faults depend on the cuts", fg_h1_fault_info(whole->conn.fault)->name,
                fg_h1_fault_info(cut->conn.fault)->name);
    end_engine(whole);
    end_engine(cut);
    free(wire.p);
    return 0;
}
