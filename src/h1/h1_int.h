/* The HTTP/1 engine from inside. */
#ifndef FG_H1_H1_INT_H
#define FG_H1_H1_INT_H

#include "h1/h1.h"

/* An exchange that becomes a tunnel of bytes when the answer agrees (RFC 8441, RFC 6455). */
enum fg_h1_tunnel { FG_H1_TUNNEL_NONE, FG_H1_TUNNEL_ASKED, FG_H1_TUNNEL_OPEN };

struct fg_h1_stream {
    struct fg_h1_conn *conn;
    struct fg_h1_stream *next_dead;
    struct fg_arena arena;
    int minor_version; /* of the request, whoever made it */

    /* ---- received ---- */
    struct fg_h1_body body;
    bool told;            /* the user knows of it: by on_headers, or from fg_h1_request */
    bool answered;        /* client: something came */
    size_t interim_bytes; /* client: heads of interim responses; they stay in the arena */
    bool head_received;
    bool recv_ended;
    size_t recv_pending; /* content that was delivered and not consumed */

    /* ---- sent ---- */
    enum fg_h1_framing out_framing;
    int64_t out_left; /* of a content-length */
    bool head_sent, end_queued, sent_ended;
    bool no_content;    /* the answer to this one has none, whatever its head says: HEAD */
    bool expects;       /* server: the client waits for 100 before it sends content */
    bool asked_to_stay; /* keep the connection after this exchange */
    struct fg_seg *queue_head, *queue_tail;
    size_t queued;
    struct fg_headers trailers; /* to be sent; copied to the arena */
    uint64_t queued_since_ns, socket_stall_ns;

    enum fg_h1_tunnel tunnel;
    struct fg_str websocket_key; /* of whoever asked for the tunnel */
    bool closed;
};

static inline uint64_t fg_h1_now(const struct fg_h1_conn *conn)
{
    return *conn->options->now_ns;
}

static inline bool fg_h1_is_server(const struct fg_h1_conn *conn)
{
    return conn->options->role == FG_H1_SERVER;
}

/* ---- conn.c ---- */

struct fg_h1_stream *fg_h1_stream_new(struct fg_h1_conn *conn);
void fg_h1_stream_close(struct fg_h1_stream *stream, const struct fg_h1_close *why);
/* Both sides have ended: the exchange is over, the connection stays or closes. */
void fg_h1_stream_check_complete(struct fg_h1_stream *stream);
void fg_h1_stream_drop_queue(struct fg_h1_stream *stream);
void fg_h1_refuse_tunnel(struct fg_h1_stream *stream); /* the answer is like any other */
void fg_h1_tell_output(struct fg_h1_conn *conn);
void fg_h1_reap(struct fg_h1_conn *conn); /* gives back streams that have closed, unless the engine is at work */

/* ---- recv.c ---- */

void fg_h1_recv_next(struct fg_h1_conn *conn); /* what was pipelined */
void fg_h1_fail(struct fg_h1_conn *conn, enum fg_h1_fault fault);

/* ---- canonical.c: between HTTP/1 heads and lists with pseudo-headers ---- */

/* The request that HEAD means, in the stream's arena. */
enum fg_h1_fault fg_h1_canonical_request(struct fg_h1_stream *stream, const struct fg_h1_head *head,
                                         struct fg_headers *out);
void fg_h1_canonical_response(struct fg_h1_stream *stream, const struct fg_h1_head *head, struct fg_headers *out);

/* ---- send.c ---- */

void fg_h1_put_text(struct fg_h1_conn *conn, const char *text);
void fg_h1_put_field(struct fg_h1_conn *conn, struct fg_str name, struct fg_str value);
void fg_h1_put_fields(struct fg_h1_conn *conn, const struct fg_headers *headers); /* those that say no framing */
/* Trailers, as far as they may be said in HTTP/1. */
void fg_h1_put_trailers(struct fg_h1_conn *conn, const struct fg_headers *trailers);
void fg_h1_end_sent(struct fg_h1_stream *stream);

/* The request was not refused at once: its content may come (RFC 9110 section 10.1.1). */
void fg_h1_send_continue(struct fg_h1_stream *stream);

/* An answer of the engine's own to what it cannot understand. */
void fg_h1_send_error(struct fg_h1_conn *conn, enum fg_h1_fault fault);

/* ---- upgrade.c ---- */

bool fg_h1_asks_for_websocket(struct fg_h1_stream *stream, const struct fg_h1_head *head); /* then it is noted */
bool fg_h1_is_websocket_field(struct fg_str name); /* of the handshake on one connection */
/* Server: 101. HEADERS are those of the canonical answer. */
void fg_h1_accept_tunnel(struct fg_h1_stream *stream, struct fg_headers *headers);
/* Client: the fields that ask, behind HEADERS. */
void fg_h1_ask_for_tunnel(struct fg_h1_stream *stream, const struct fg_headers *headers);
bool fg_h1_is_tunnel_accepted(struct fg_h1_stream *stream, const struct fg_h1_head *head);
/* SETTINGS is the payload that it gives, in the stream's arena. */
bool fg_h1_asks_for_h2c(struct fg_h1_stream *stream, const struct fg_h1_head *head, struct fg_str *settings);

#endif
