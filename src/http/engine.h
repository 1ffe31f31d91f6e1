/* What a connection asks of the protocol that is spoken on it: the HTTP/2 or the HTTP/1 engine. */
#ifndef FG_HTTP_ENGINE_H
#define FG_HTTP_ENGINE_H

#include "http/conn.h"

struct fg_engine_ops {
    const char *name;                   /* "h2", "h1" */
    void (*init)(struct fg_conn *conn); /* sets conn->out, too */
    void (*recv)(struct fg_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len);
    /* The peer sends nothing more. True: the connection goes on. NULL: that is the end. */
    bool (*eof)(struct fg_conn *conn);
    bool (*wants_fin)(const struct fg_conn *conn);  /* once the queue was written: a FIN; NULL: never */
    bool (*has_failed)(const struct fg_conn *conn); /* what else comes is of no use */
    bool (*wants_read)(const struct fg_conn *conn);
    void (*pull)(struct fg_conn *conn, size_t max_bytes);
    bool (*has_more)(const struct fg_conn *conn); /* to pull, once the queue was written */
    void (*set_blocked)(struct fg_conn *conn, bool blocked, bool progress);
    bool (*is_stalled)(const struct fg_conn *conn, uint64_t since_ns); /* output has not moved since then */
    const struct fg_wait_holders *(*holders)(struct fg_conn *conn);    /* of its window; NULL: there is none */
    void (*slot_holders)(const struct fg_conn *conn,
                         struct fg_wait_holders *holders); /* the oldest streams; may be NULL */
    bool (*is_done)(const struct fg_conn *conn);
    const char *(*fault)(const struct fg_conn *conn); /* the reason why it is; "": in order */
    void (*on_time)(struct fg_conn *conn);
    uint64_t (*next_time_ns)(const struct fg_conn *conn);
    void (*drain)(struct fg_conn *conn);
    void (*ping)(struct fg_conn *conn); /* asks for a sign of life; NULL: there is no such thing */
    void (*lost)(struct fg_conn *conn, const char *why);
    void (*cleanup)(struct fg_conn *conn);
    struct fg_stream *(*request)(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                 const struct fg_stream_events *events, void *user);
    struct fg_conn_load (*load)(const struct fg_conn *conn);
};

extern const struct fg_engine_ops fg_h2_engine;
extern const struct fg_engine_ops fg_h1_engine;
extern const struct fg_h2_handler fg_h2_conn_handler; /* their events */
extern const struct fg_h1_handler fg_h1_conn_handler;

/* Goes on in HTTP/2 what began in HTTP/1.1: its request is stream 1 (RFC 7540 section 3.2). */
void fg_conn_switch_to_h2(struct fg_conn *conn);

/* Counts a stream that begins (1) or ends (0), on the side that it belongs to. */
void fg_conn_count_stream(struct fg_conn_side *side, int opened);

#endif
