/* HTTP/2 (RFC 9113): one sans-io engine for the server and the client role. Bytes come in by fg_h2_conn_recv, events go
 * out through struct fg_h2_handler, bytes to send are appended to the connection's output queue by the calls below and
 * by fg_h2_conn_pull. No sockets and no clock: the time is read through options->now_ns.
 *
 * Lifetimes: a stream pointer is valid until its on_close returns, or until fg_h2_stream_reset by the user (no on_close
 * follows that). Memory is reused only after the current engine call has returned. All callbacks may call any function
 * on any stream or connection except fg_h2_conn_cleanup. */
#ifndef FG_H2_H2_H
#define FG_H2_H2_H

#include "base/header.h"
#include "base/wait.h"
#include "h2/fault.h"

struct fg_h2_conn;
struct fg_h2_stream;

enum fg_h2_role { FG_H2_SERVER, FG_H2_CLIENT };

/* Flags of on_headers. */
enum {
    FG_H2_END_STREAM = 1,
    FG_H2_INFORMATIONAL = 2, /* a 1xx response; the final one is still to come */
    FG_H2_TRAILERS = 4,
    FG_H2_TOO_LARGE = 8, /* over the header list limits: incomplete; answer it (431) or reset the stream */
};

enum fg_h2_close_by {
    FG_H2_CLOSED_COMPLETE,   /* both sides ended it */
    FG_H2_CLOSED_PEER_RESET, /* RST_STREAM with `code` came */
    FG_H2_CLOSED_FAULT,      /* the peer broke a rule; it was reset with `code` */
    FG_H2_CLOSED_GOAWAY,     /* the peer says that it never processed it */
    FG_H2_CLOSED_CONNECTION, /* the connection failed or was lost; `code` is of the GOAWAY, if any */
};

struct fg_h2_close {
    enum fg_h2_close_by by;
    uint32_t code;
    const char *reason; /* static */
};

struct fg_h2_handler {
    /* Server role: the first call for a stream is a new request. The list lives in the stream's arena. */
    void (*on_headers)(struct fg_h2_stream *stream, struct fg_headers *headers, unsigned flags);
    /* BUF is borrowed: fg_buf_ref to keep it. Its bytes count against the peer's windows until fg_h2_stream_consume. An
     * empty BUF comes only with END. */
    void (*on_data)(struct fg_h2_stream *stream, struct fg_buf buf, bool end);
    /* BYTES of the stream's queue went to the output: as many may be queued again. */
    void (*on_sent)(struct fg_h2_stream *stream, size_t bytes);
    void (*on_close)(struct fg_h2_stream *stream, const struct fg_h2_close *why);
    /* There is output: call fg_h2_conn_pull and write before waiting for events. Called once until the next pull. */
    void (*on_output)(struct fg_h2_conn *conn);
    /* The number of streams that can be opened may have changed: SETTINGS or GOAWAY came, a stream ended. Client role.
     */
    void (*on_slots)(struct fg_h2_conn *conn);
    /* The stream had queued DATA and could not send it for FG_LONG_WAIT_NS at least. Nothing may be done to any stream
     * in this callback. May be NULL. */
    void (*on_waited)(struct fg_h2_stream *stream, const struct fg_waited *waited);
};

/* Settings and limits of many connections; outlives them. See config.h for the meaning of each. */
struct fg_h2_options {
    enum fg_h2_role role;
    const struct fg_h2_handler *handler;
    const uint64_t *now_ns;
    struct fg_mem *mem;
    struct fg_slab *streams;  /* of fg_h2_stream_bytes(user bytes) */
    size_t stream_user_bytes; /* zeroed room for the user in each stream */
    uint64_t *fault_counts;   /* FG_H2_FAULT_LEN counters of this worker */
    uint32_t max_concurrent_streams;
    uint32_t stream_window, connection_window;
    uint32_t max_frame_size;
    uint32_t header_table_size;  /* what the peer's encoder may use */
    uint32_t encoder_table_size; /* what our encoder may use */
    uint32_t max_header_list, max_header_fields, max_continuations;
    bool extended_connect; /* server role: CONNECT with :protocol is taken (RFC 8441) */
    uint64_t header_timeout_ns, preface_timeout_ns, settings_timeout_ns, idle_timeout_ns;
    uint64_t keepalive_interval_ns, keepalive_timeout_ns, write_stall_timeout_ns;
    uint32_t reset_burst, reset_rate, reset_ratio_minimum;
    double reset_ratio;
    uint32_t ping_rate, settings_rate, queued_control_frames, empty_data_frames, error_burst, error_rate;
};

size_t fg_h2_stream_bytes(size_t user_bytes);

/* ---- connection ---- */

/* Queues the preface (client) and SETTINGS. CONN is embedded in its owner; it is declared in h2_int.h. */
void fg_h2_conn_init(struct fg_h2_conn *conn, const struct fg_h2_options *options);

/* Bytes from the peer: DATA[0..LEN) inside CHUNK, which payloads keep references to. After a connection fault the rest
 * is ignored. */
void fg_h2_conn_recv(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len);

/* Appends up to about MAX_BYTES of DATA frames to the output queue, by priority. */
void fg_h2_conn_pull(struct fg_h2_conn *conn, size_t max_bytes);

/* Tells that output could not be written (true) or was written completely (false): for waits, stall timers and the
 * control frame limit. PROGRESS: at least some of it was written. */
void fg_h2_conn_set_blocked(struct fg_h2_conn *conn, bool blocked, bool progress);

/* Client role: asks the peer for a sign of life now instead of after keepalive_interval; no answer within
 * keepalive_timeout ends the connection. Nothing happens while such a question is out. */
void fg_h2_conn_ping(struct fg_h2_conn *conn);

/* The transport is gone, or is to be: every stream gets on_close. The connection can be cleaned up after that. */
void fg_h2_conn_lost(struct fg_h2_conn *conn, const char *reason);
void fg_h2_conn_cleanup(struct fg_h2_conn *conn);

/* Graceful shutdown: GOAWAY with 2^31-1 and a PING; once that is answered, or after a second, GOAWAY with the real last
 * id and new streams refused (RFC 9113 section 6.8). Open streams go on. Client role: no new streams. */
void fg_h2_conn_drain(struct fg_h2_conn *conn);

/* Ends the connection for a reason of ours: GOAWAY, all streams closed. */
void fg_h2_conn_fail(struct fg_h2_conn *conn, enum fg_h2_fault fault);

/* Nothing more will happen: write what is queued, then close the transport. */
bool fg_h2_conn_is_done(const struct fg_h2_conn *conn);

/* Checks timers; call it at the instant that fg_h2_conn_next_time_ns gave (FG_NEVER: none), early calls are harmless.
 */
void fg_h2_conn_on_time(struct fg_h2_conn *conn);
uint64_t fg_h2_conn_next_time_ns(const struct fg_h2_conn *conn);

/* Client role: streams that may be opened now: 0 before the peer's SETTINGS, after GOAWAY, or when all slots are used.
 */
uint32_t fg_h2_conn_free_slots(const struct fg_h2_conn *conn);

/* Server role, before any byte came: the connection was HTTP/1.1 and has switched (RFC 7540 section 3.2). What it was
 * asked in HTTP/1 is stream 1, and the client's side of it is over. HEADERS may lie anywhere, SETTINGS is the payload
 * of a SETTINGS frame. */
void fg_h2_conn_upgraded(struct fg_h2_conn *conn, const struct fg_headers *headers, const uint8_t *settings,
                         size_t len);

/* ---- stream ---- */

/* Client role; a slot must be free. The list is encoded at once. */
struct fg_h2_stream *fg_h2_request(struct fg_h2_conn *conn, struct fg_headers *headers, bool end);

void *fg_h2_stream_user(struct fg_h2_stream *stream);
struct fg_arena *fg_h2_stream_arena(struct fg_h2_stream *stream);
struct fg_h2_conn *fg_h2_stream_conn(struct fg_h2_stream *stream);
uint32_t fg_h2_stream_id(const struct fg_h2_stream *stream);

/* Response headers (server role; informational when :status is 1xx). */
void fg_h2_stream_send_headers(struct fg_h2_stream *stream, struct fg_headers *headers, bool end);
/* Takes the reference. The queue is not limited here: the caller passes on only what the other side's window let in. */
void fg_h2_stream_send_data(struct fg_h2_stream *stream, struct fg_buf buf, bool end);
void fg_h2_stream_send_trailers(struct fg_h2_stream *stream, struct fg_headers *headers);

/* Gives BYTES of received DATA back to the peer's windows. */
void fg_h2_stream_consume(struct fg_h2_stream *stream, size_t bytes);

/* RST_STREAM; drops what is queued. The stream pointer is dead afterwards, no on_close follows. */
void fg_h2_stream_reset(struct fg_h2_stream *stream, uint32_t code);
/* Answering early: a second after everything queued was sent, RST_STREAM if the peer has not ended its side by then.
 * What it sends until then is checked and thrown away by the user. on_close (COMPLETE) follows. */
void fg_h2_stream_reset_after_end(struct fg_h2_stream *stream, uint32_t code);

/* Route priority: URGENCY_OFFSET is added to the client's RFC 9218 urgency (3 unless told), the result clamped to 0..7;
 * WEIGHT is its share among equals, 1 is normal. */
void fg_h2_stream_set_route_priority(struct fg_h2_stream *stream, int urgency_offset, unsigned weight);

size_t fg_h2_stream_queued(const struct fg_h2_stream *stream);
bool fg_h2_stream_peer_ended(const struct fg_h2_stream *stream);
bool fg_h2_stream_local_ended(const struct fg_h2_stream *stream); /* our END_STREAM is in the output */
/* What sending waits for (stream window, connection window, socket), or FG_WAIT_NONE when nothing is queued. */
struct fg_wait fg_h2_stream_wait(const struct fg_h2_stream *stream);
/* Adds the time that what it had to send waited so far, by cause. */
void fg_h2_stream_add_stalls(const struct fg_h2_stream *stream, uint64_t stall_ns[FG_WAIT_LEN]);
/* Ends the wait that the stream is in, before it is reset: on_waited tells of it. */
void fg_h2_stall_end(struct fg_h2_stream *stream);
/* Who holds the window that the connection waits for; NULL: it does not wait. Looks again after 100 ms. */
const struct fg_wait_holders *fg_h2_conn_holders(struct fg_h2_conn *conn);
/* Puts the streams that have been open for longest into HOLDERS, which is empty. */
void fg_h2_conn_oldest(const struct fg_h2_conn *conn, struct fg_wait_holders *holders);

#endif
