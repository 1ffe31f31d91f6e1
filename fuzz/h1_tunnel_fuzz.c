/* Connections of HTTP/1 that become something else: any bytes behind a request for WebSocket or h2c, whole and cut.
 * What comes out of a tunnel is what went in, however it was cut and whenever the tunnel was opened; nothing is left.
 *
 * The second byte of the input: 1 h2c, not WebSocket; 2 refused; 4 accepted late; 8 the end of the connection follows.
 * Of the rest, what stands before a zero byte are further fields of the request. */
#include "h1_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { H2C = 1, REFUSED = 2, LATE = 4, ENDS = 8 };

struct run {
    uint8_t options;
    bool due; /* a tunnel waits for its answer */
    bool open;
    struct text content;
};

static void answer(struct engine *e, struct run *run)
{
    run->due = false;
    run->open = !(run->options & REFUSED);
    engine_answer(e, run->open ? ":status: 200\nx: y\n" : ":status: 403\ncontent-length: 0\n", !run->open);
}

static void on_event(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags)
{
    struct run *run = e->user;

    if (headers && fg_headers_get(headers, FG_TOKEN_PROTOCOL)) {
        run->due = true;
        if (!(run->options & LATE))
            answer(e, run);
        return;
    }
    if (buf.len > 0 && run->open)
        text_put(&run->content, buf.data, buf.len);
    if (flags & FG_H1_END_STREAM && run->open)
        engine_content(e, "bye", true);
    else if (flags & FG_H1_END_STREAM)
        engine_answer(e, ":status: 200\ncontent-length: 0\n", true);
}

static void serve(struct engine *e, struct run *run, const struct text *wire, bool cut, uint32_t seed)
{
    e->on_event = on_event;
    e->user = run;
    e->options.websocket = !(run->options & H2C);
    e->options.h2c = true;
    for (size_t at = 0, piece; at < wire->len && !e->conn.failed && !e->conn.switched; at += piece) {
        piece = cut ? next_cut(&seed, wire->len - at) : wire->len;
        engine_feed(e, wire->p + at, piece);
        if (!run->due)
            engine_pull(e);
    }
    if (run->due && e->stream)
        answer(e, run);
    engine_pull(e);
    if (run->options & ENDS && !e->conn.switched)
        (void)fg_h1_conn_eof(&e->conn);
    engine_pull(e);
}

static void finish(struct engine *e, struct run *run)
{
    if (e->conn.switched) { /* as the connection does it that goes on in HTTP/2 */
        struct fg_h1_conn old;
        fg_h1_conn_move(&old, &e->conn);
        fg_h1_conn_lost(&old, "switched");
        fg_h1_conn_cleanup(&old);
        fg_h1_conn_init(&e->conn, &e->options);
        e->stream = NULL;
    }
    fg_h1_conn_lost(&e->conn, "gone");
    end_engine(e);
    free(run->content.p);
}

/* What a server has said of a tunnel, to the client that has asked for it. */
static void echo(const uint8_t *data, size_t len, uint8_t options, uint32_t seed)
{
    struct engine *client = engine_new(FG_H1_CLIENT), *server = engine_new(FG_H1_SERVER);
    struct run at_client = {.open = true}, at_server = {.options = options & REFUSED};

    client->on_event = on_event;
    client->user = &at_client;
    engine_request(client, ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: a\n:path: /\n", false);
    engine_pull(client);
    server->on_event = on_event;
    server->user = &at_server;
    server->options.websocket = true;
    engine_feed(server, client->out.p, client->out.len);
    if (server->stream && at_server.open)
        fg_h1_stream_send_data(server->stream, fg_buf_copy(data, len), false);
    engine_pull(server);
    text_clear(&client->out);
    for (size_t at = 0, piece; at < server->out.len && client->stream; at += piece) {
        piece = next_cut(&seed, server->out.len - at);
        engine_feed(client, server->out.p + at, piece);
        engine_pull(client);
    }
    if (client->conn.fault)
        give_up(fg_h1_fault_info(client->conn.fault)->reason, server->out.p, engine_events(client));
    if (at_server.open && (at_client.content.len != len || (len > 0 && memcmp(at_client.content.p, data, len) != 0)))
        give_up("a tunnel changed what went through it", server->out.p, engine_events(client));
    finish(client, &at_client);
    finish(server, &at_server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text wire = {0};

    if (len < 2)
        return 0;
    echo(data + 2, len - 2, data[1], data[0]);
    const uint8_t *zero = memchr(data + 2, 0, len - 2);
    size_t fields = zero ? (size_t)(zero - data - 2) : 0, rest = zero ? fields + 3 : 2;
    text_print(&wire, "GET / HTTP/1.1\r\nhost: a\r\n%s",
               data[1] & H2C
                   ? "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
                   : "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    put_wire(&wire, data + 2, fields);
    text_print(&wire, "\r\n");
    text_put(&wire, data + rest, len - rest);
    struct engine *whole = engine_new(FG_H1_SERVER), *cut = engine_new(FG_H1_SERVER);
    struct run first = {.options = data[1]}, second = {.options = data[1]};
    serve(whole, &first, &wire, false, 0);
    serve(cut, &second, &wire, true, data[0]);
    if (whole->conn.switched != cut->conn.switched || first.open != second.open)
        give_up("what becomes of it depends on the cuts", engine_events(whole), engine_events(cut));
    if (first.open && (first.content.len != second.content.len ||
                       (first.content.len > 0 && memcmp(first.content.p, second.content.p, first.content.len) != 0)))
        give_up("what comes out of a tunnel depends on the cuts", engine_events(whole), engine_events(cut));
    finish(whole, &first);
    finish(cut, &second);
    free(wire.p);
    return 0;
}
