/* A stream of any HTTP version and either role: one request and its response. The vtable hides which engine it is on.
 *
 * Lifetime: valid until on_close returns, or until fg_stream_reset by the user (no on_close follows). Its arena lives a
 * little longer: until the connection's current turn is over. */
#ifndef FG_HTTP_STREAM_H
#define FG_HTTP_STREAM_H

#include "base/header.h"
#include "base/wait.h"
#include "h2/h2.h" /* flags of on_headers, close reasons and error codes are HTTP/2's */

struct fg_stream;
struct fg_conn;

/* What happens on a stream; set by its user. */
struct fg_stream_events {
    /* Response headers, trailers (FG_H2_TRAILERS), 1xx (FG_H2_INFORMATIONAL). Requests come by
     * fg_conn_events.on_request. */
    void (*on_headers)(struct fg_stream *stream, struct fg_headers *headers, unsigned flags);
    /* BUF is borrowed. Give its bytes back with fg_stream_consume when they have been used. */
    void (*on_data)(struct fg_stream *stream, struct fg_buf buf, bool end);
    void (*on_sent)(struct fg_stream *stream, size_t bytes); /* BYTES of what was queued are on their way */
    void (*on_close)(struct fg_stream *stream, const struct fg_h2_close *why);
    /* What was queued could not be sent for FG_LONG_WAIT_NS at least, and now can, or never will. Nothing may be done
     * to any stream in this callback. NULL: of no interest. */
    void (*on_waited)(struct fg_stream *stream, const struct fg_waited *waited);
};

struct fg_stream_ops {
    void (*send_headers)(struct fg_stream *stream, struct fg_headers *headers, bool end);
    void (*send_data)(struct fg_stream *stream, struct fg_buf buf, bool end);
    void (*send_trailers)(struct fg_stream *stream, struct fg_headers *headers);
    void (*consume)(struct fg_stream *stream, size_t bytes);
    void (*reset)(struct fg_stream *stream, uint32_t code);
    void (*reset_after_end)(struct fg_stream *stream, uint32_t code);
    void (*set_priority)(struct fg_stream *stream, int urgency_offset, unsigned weight);
    struct fg_wait (*wait)(const struct fg_stream *stream);
    void (*add_stalls)(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN]);
    uint32_t (*id)(const struct fg_stream *stream);
    bool (*local_ended)(const struct fg_stream *stream); /* our END_STREAM is out */
};

struct fg_stream {
    const struct fg_stream_ops *ops;
    const struct fg_stream_events *events;
    void *user; /* of whoever set the events */
    struct fg_conn *conn;
    struct fg_arena *arena;
};

/* Response headers (or 1xx). */
static inline void fg_stream_send_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    stream->ops->send_headers(stream, headers, end);
}

/* Takes the reference. */
static inline void fg_stream_send_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    stream->ops->send_data(stream, buf, end);
}

static inline void fg_stream_send_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    stream->ops->send_trailers(stream, headers);
}

static inline void fg_stream_consume(struct fg_stream *stream, size_t bytes)
{
    stream->ops->consume(stream, bytes);
}

static inline void fg_stream_reset(struct fg_stream *stream, uint32_t code)
{
    stream->ops->reset(stream, code);
}

/* After answering before the request has ended: reset once the answer is out; on_close(COMPLETE) follows. */
static inline void fg_stream_reset_after_end(struct fg_stream *stream, uint32_t code)
{
    stream->ops->reset_after_end(stream, code);
}

#endif
