/* A connection to a client (downstream) or an endpoint (upstream): the pipe, the protocol engine over it, its timers,
 * its one state and the place where the state changes. */
#ifndef FG_HTTP_CONN_H
#define FG_HTTP_CONN_H

#include "base/stats.h"
#include "h1/h1.h"
#include "h2/h2_int.h"
#include "http/stream.h"
#include "io/pipe.h"
#include "io/tls.h"

enum fg_conn_state {
    FG_CONN_NEW,
    FG_CONN_CONNECTING, /* TCP, upstream only */
    FG_CONN_HANDSHAKE,  /* TLS */
    FG_CONN_DETECTING,  /* the first bytes will say which protocol it is; downstream only */
    FG_CONN_OPEN,
    FG_CONN_CLOSED,
};

struct fg_engine_ops;

struct fg_conn_events {
    /* A new request (server role). The user sets stream->events and stream->user before it returns. */
    void (*on_request)(struct fg_stream *stream, struct fg_headers *headers, unsigned flags);
    void (*on_open)(struct fg_conn *conn);  /* may be NULL */
    void (*on_slots)(struct fg_conn *conn); /* client role: fg_conn_free_slots may have changed; may be NULL */
    /* Closed, all its streams too. WHY is a sentence for logs and error messages. The memory goes back after it
     * returns. */
    void (*on_closed)(struct fg_conn *conn, const char *why);
};

/* What endpoints are spoken to in. */
enum fg_conn_speaks { FG_SPEAKS_H2, FG_SPEAKS_H1, FG_SPEAKS_ALPN /* HTTP/1.1 when that says nothing */ };

/* Everything that the connections of one listener or one cluster share in one worker. */
struct fg_conn_side {
    struct fg_loop *loop;
    struct fg_stats *stats;
    const struct fg_conn_events *events;
    void *owner;
    struct fg_h2_options h2;
    struct fg_h1_options h1;
    uint64_t fault_counts[FG_H2_FAULT_LEN], h1_fault_counts[FG_H1_FAULT_LEN];
    struct fg_slab conns, streams, h1_streams;
    struct fg_list open;        /* all connections, by fg_conn.node */
    struct fg_tls_context *tls; /* NULL: plain; swapped on reload */
    uint64_t handshake_timeout_ns, connect_timeout_ns;
    enum fg_conn_speaks speaks; /* client role */
};

/* How much goes on on a connection. */
struct fg_conn_load {
    bool is_ready;         /* requests may be made (the peer's SETTINGS are known) */
    uint32_t open;         /* streams */
    uint32_t limit;        /* streams at once that the peer allows */
    uint32_t free;         /* streams that may be opened now */
    uint64_t last_recv_ns; /* when bytes came last */
    bool takes_tunnels;    /* CONNECT with :protocol (RFC 8441) */
};

struct fg_conn {
    union { /* first: the engine's connection and fg_conn are one object */
        struct fg_h2_conn h2;
        struct fg_h1_conn h1;
    };
    const struct fg_engine_ops *engine; /* NULL before the connection is open */
    struct fg_outq *out;                /* the engine's */
    struct fg_conn_side *side;
    struct fg_list node;
    void *user;
    struct fg_watch watch;
    struct fg_pipe pipe;
    struct fg_timer timer;
    struct fg_turn_task flush;
    struct fg_address peer;
    uint64_t number;                  /* among the connections of its worker to clients, or to endpoints; from 1 */
    uint64_t begun_ns;                /* when it was made, or was begun to be */
    uint64_t connected_ns, opened_ns; /* since when there is TCP; since when it has its state */
    uint64_t ready_ns;                /* for the user: since when requests can be made on it; 0: they never could */
    uint64_t closing_ns;         /* since when it is over, but for the peer's end, or bytes that it does not take after
                                  * an error; 0: it is not */
    uint8_t state;               /* enum fg_conn_state; changed by set_state() in conn.c only */
    uint8_t first[4], first_len; /* bytes that came while DETECTING */
    uint8_t trouble;             /* streams in a row that broke without an answer */
    uint64_t silent_ns;          /* when it was found silent; it is until it brings bytes; 0: it was not */
    bool read_paused;
    bool unwatched;   /* until reading goes on: the loop would tell of nothing but its end */
    bool fin_sent;    /* our side of a tunnel is over */
    bool half_closed; /* we have said everything and wait for the peer to close */
    const char *why;  /* it is being closed; static or in pipe.error */
};

/* STATS and EVENTS are borrowed. LIMITS are copied; their pointers (handler, clock, memory, counters) are filled in
 * here. */
void fg_conn_side_init(struct fg_conn_side *side, struct fg_loop *loop, struct fg_stats *stats,
                       const struct fg_h2_options *limits, const struct fg_conn_events *events, void *owner);
void fg_conn_side_cleanup(struct fg_conn_side *side); /* closes all connections */
void fg_conn_side_drain(struct fg_conn_side *side);   /* GOAWAY on all of them */

/* Takes an accepted socket. False when the connection could not be set up (the fd is closed then, on_closed not
 * called). */
bool fg_conn_accept(struct fg_conn_side *side, int fd, const struct fg_address *peer);
/* Begins to connect. NULL and *ERROR (negative errno) when that fails at once. SERVER_NAME is for TLS. */
struct fg_conn *fg_conn_connect(struct fg_conn_side *side, const struct fg_address *address, const char *server_name,
                                int *error);

struct fg_conn_load fg_conn_load(const struct fg_conn *conn); /* all zero unless it is open */

static inline uint32_t fg_conn_free_slots(const struct fg_conn *conn)
{
    return fg_conn_load(conn).free;
}

/* Which streams hold the window that the connection waits for; NULL: it does not wait for that. Valid in this turn. */
const struct fg_wait_holders *fg_conn_holders(struct fg_conn *conn);

/* The oldest of the streams that are open on it. */
void fg_conn_slot_holders(const struct fg_conn *conn, struct fg_wait_holders *holders);

/* Output has not moved for a while (socket or connection window): a bad place for a new stream. */
bool fg_conn_is_stalled(const struct fg_conn *conn, uint64_t now_ns);

/* What the end of a stream says of the connection under it. */
enum fg_conn_sign {
    FG_CONN_ANSWERED, /* the peer gave a status */
    FG_CONN_BROKE,    /* the peer reset the stream */
    FG_CONN_SILENT,   /* the answer did not come in time */
};

/* Client role. SINCE_NS: when the stream was opened. A connection that brought nothing in the latter half of the time
 * since then is asked for a sign of life at once. */
void fg_conn_note(struct fg_conn *conn, enum fg_conn_sign sign, uint64_t since_ns);
bool fg_conn_is_broken(const struct fg_conn *conn); /* its last streams all broke */
/* Broken, or silent while an answer was due: a bad place for a new stream. */
bool fg_conn_is_suspect(const struct fg_conn *conn);

/* Client role; a slot must be free. */
struct fg_stream *fg_conn_request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                  const struct fg_stream_events *events, void *user);

void fg_conn_close(struct fg_conn *conn,
                   const char *why);            /* at the end of this turn, after what is queued was written */
bool fg_conn_is_h2(const struct fg_conn *conn); /* open, and HTTP/2 is spoken on it */
const char *fg_conn_state_name(enum fg_conn_state state);

#endif
