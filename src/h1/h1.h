/* HTTP/1.1 (RFC 9112): one sans-io engine for the server and the client role, with the same shape as the HTTP/2 engine
 * (h2/h2.h): bytes come in by fg_h1_conn_recv, events go out through struct fg_h1_handler, bytes to send are moved to
 * the connection's output queue by fg_h1_conn_pull. Header lists look like HTTP/2's: pseudo-headers first, no
 * connection-specific fields.
 *
 * A connection has one stream (exchange) at a time. What a client pipelines behind a request waits until that one has
 * been answered.
 *
 * Lifetimes: a stream pointer is valid until its on_close returns, or until fg_h1_stream_reset by the user (no on_close
 * follows). Memory is reused only after the engine call in progress has returned. */
#ifndef FG_H1_H1_H
#define FG_H1_H1_H

#include "base/outq.h"
#include "base/wait.h"
#include "base/time.h"
#include "h1/body.h"

struct fg_h1_conn;
struct fg_h1_stream;

enum fg_h1_role { FG_H1_SERVER, FG_H1_CLIENT };

/* Flags of on_headers: the same values as HTTP/2's. */
enum { FG_H1_END_STREAM = 1, FG_H1_INFORMATIONAL = 2, FG_H1_TRAILERS = 4 };

enum fg_h1_close_by {
    FG_H1_CLOSED_COMPLETE,
    FG_H1_CLOSED_FAULT,      /* the peer broke a rule */
    FG_H1_CLOSED_CONNECTION, /* the connection was lost, or ended in the middle */
};

struct fg_h1_close {
    enum fg_h1_close_by by;
    bool untouched;     /* client role: the connection ended before a byte of the answer came on a reused connection;
                         * interim responses are part of an answer */
    const char *reason; /* static */
};

struct fg_h1_handler {
    void (*on_headers)(struct fg_h1_stream *stream, struct fg_headers *headers, unsigned flags);
    /* BUF is borrowed. Its bytes hold back reading until fg_h1_stream_consume. */
    void (*on_data)(struct fg_h1_stream *stream, struct fg_buf buf, bool end);
    void (*on_sent)(struct fg_h1_stream *stream, size_t bytes);
    void (*on_close)(struct fg_h1_stream *stream, const struct fg_h1_close *why); /* of streams that were told */
    void (*on_output)(struct fg_h1_conn *conn); /* pull and write; also when reading may go on */
    void (*on_slots)(struct fg_h1_conn *conn);  /* client role: a further request may be made, or none any more */
    /* As fg_h2_handler.on_waited; may be NULL. */
    void (*on_waited)(struct fg_h1_stream *stream, const struct fg_waited *waited);
};

struct fg_h1_options {
    enum fg_h1_role role;
    const struct fg_h1_handler *handler;
    const uint64_t *now_ns;
    struct fg_mem *mem;
    struct fg_slab *streams; /* of fg_h1_stream_bytes(user bytes) */
    size_t stream_user_bytes;
    uint64_t *fault_counts; /* FG_H1_FAULT_LEN counters of this worker */
    struct fg_h1_limits limits;
    uint32_t window; /* bytes of content that may be delivered and not consumed before reading pauses */
    uint64_t header_timeout_ns, idle_timeout_ns, write_stall_timeout_ns;
    bool tls;       /* :scheme of requests that do not say */
    bool websocket; /* server: taken, as CONNECT with :protocol; else such a request is like any other */
    bool h2c;       /* server: Upgrade to HTTP/2 is taken; the user sees to it when `switched` is set */
};

/* Declared here because it is embedded in the connection over the pipe; its fields are the engine's. */
struct fg_h1_conn {
    const struct fg_h1_options *options;
    struct fg_outq out;
    struct fg_h1_stream *stream; /* the exchange in progress; NULL: none */
    struct fg_h1_stream *dead;
    char *partial; /* a head that is not complete */
    size_t partial_len, partial_cap;
    size_t searched;        /* of it, for its end */
    bool first_line_looked; /* at, before the rest is there */
    struct fg_buf later;    /* what was pipelined behind the exchange in progress; one reference */
    uint64_t head_since_ns, idle_since_ns, last_recv_ns, blocked_since_ns, lingering_since_ns;
    uint64_t exchanges;
    struct fg_headers switch_request; /* when it has switched: what was asked, and the client's HTTP/2 settings; */
    struct fg_str switch_settings;    /* in the stream's arena. `later` is what came behind it. */
    enum fg_h1_fault fault;
    bool failed;      /* nothing more is read */
    bool closing;     /* no exchange after this one */
    bool peer_ended;  /* there is nothing more to read */
    bool output_told; /* on_output was called since the last pull */
    bool blocked;
    bool in_engine;
    bool switched; /* to HTTP/2: nothing more is parsed */
};

size_t fg_h1_stream_bytes(size_t user_bytes);

void fg_h1_conn_init(struct fg_h1_conn *conn, const struct fg_h1_options *options);
void fg_h1_conn_recv(struct fg_h1_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len);
/* The peer will send nothing more. What is complete by that is told. True: its tunnel goes on in the other direction,
 * or what it said has yet to be written; false: the rest ends, and the connection. */
bool fg_h1_conn_eof(struct fg_h1_conn *conn);
bool fg_h1_conn_wants_read(const struct fg_h1_conn *conn);
void fg_h1_conn_pull(struct fg_h1_conn *conn, size_t max_bytes);
bool fg_h1_conn_has_more(const struct fg_h1_conn *conn); /* to pull */
void fg_h1_conn_set_blocked(struct fg_h1_conn *conn, bool blocked, bool progress);
void fg_h1_conn_lost(struct fg_h1_conn *conn, const char *reason);
void fg_h1_conn_cleanup(struct fg_h1_conn *conn);
/* Closes after the exchange in progress; a request that has begun to come is one. */
void fg_h1_conn_drain(struct fg_h1_conn *conn);
bool fg_h1_conn_is_done(const struct fg_h1_conn *conn);
/* A tunnel's side of ours is over and everything is in the output: the peer is to be told by a FIN. */
bool fg_h1_conn_wants_fin(const struct fg_h1_conn *conn);
/* The connection speaks HTTP/2 from now on: FROM's place is needed. TO has only to be cleaned up. */
void fg_h1_conn_move(struct fg_h1_conn *to, struct fg_h1_conn *from);
void fg_h1_conn_on_time(struct fg_h1_conn *conn);
uint64_t fg_h1_conn_next_time_ns(const struct fg_h1_conn *conn);
uint32_t fg_h1_conn_free_slots(const struct fg_h1_conn *conn); /* client role: 0 or 1 */

/* Client role; a slot must be free. */
struct fg_h1_stream *fg_h1_request(struct fg_h1_conn *conn, struct fg_headers *headers, bool end);

void *fg_h1_stream_user(struct fg_h1_stream *stream);
struct fg_arena *fg_h1_stream_arena(struct fg_h1_stream *stream);
struct fg_h1_conn *fg_h1_stream_conn(struct fg_h1_stream *stream);
int fg_h1_stream_minor_version(const struct fg_h1_stream *stream); /* of the peer */

void fg_h1_stream_send_headers(struct fg_h1_stream *stream, struct fg_headers *headers, bool end);
void fg_h1_stream_send_data(struct fg_h1_stream *stream, struct fg_buf buf, bool end); /* takes the reference */
void fg_h1_stream_send_trailers(struct fg_h1_stream *stream, struct fg_headers *headers);
void fg_h1_stream_consume(struct fg_h1_stream *stream, size_t bytes);
/* Ends the connection: the peer sees a message that is cut. The stream pointer is dead afterwards. */
void fg_h1_stream_reset(struct fg_h1_stream *stream);
/* After an answer before the request has ended: reads on for a second; if the request is not whole by then the
 * connection closes. on_close (COMPLETE) follows. */
void fg_h1_stream_reset_after_end(struct fg_h1_stream *stream);
bool fg_h1_stream_local_ended(const struct fg_h1_stream *stream);
struct fg_wait fg_h1_stream_wait(const struct fg_h1_stream *stream);
void fg_h1_stream_add_stalls(const struct fg_h1_stream *stream, uint64_t stall_ns[FG_WAIT_LEN]);
/* What it waits for is over, or the stream is to be reset: counts it, and tells on_waited of a long one. */
void fg_h1_stream_end_stall(struct fg_h1_stream *stream);

#endif
