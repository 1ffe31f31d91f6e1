/* The life of a connection and of its exchanges. */
#include "h1/h1_int.h"

#include <assert.h>
#include <stdlib.h>

#define LINGER_NS FG_S

#define USER_AT ((sizeof(struct fg_h1_stream) + 15) & ~(size_t)15)

size_t fg_h1_stream_bytes(size_t user_bytes)
{
    return USER_AT + user_bytes;
}

void *fg_h1_stream_user(struct fg_h1_stream *stream)
{
    return (char *)stream + USER_AT;
}

struct fg_arena *fg_h1_stream_arena(struct fg_h1_stream *stream)
{
    return &stream->arena;
}

struct fg_h1_conn *fg_h1_stream_conn(struct fg_h1_stream *stream)
{
    return stream->conn;
}

int fg_h1_stream_minor_version(const struct fg_h1_stream *stream)
{
    return stream->minor_version;
}

void fg_h1_tell_output(struct fg_h1_conn *conn)
{
    if (conn->output_told)
        return;
    conn->output_told = true;
    conn->options->handler->on_output(conn);
}

/* ---- streams ---- */

struct fg_h1_stream *fg_h1_stream_new(struct fg_h1_conn *conn)
{
    struct fg_h1_stream *stream = fg_slab_get(conn->options->streams);

    assert(!conn->stream);
    memset(stream, 0, USER_AT + conn->options->stream_user_bytes);
    stream->conn = conn;
    stream->minor_version = 1;
    stream->asked_to_stay = true;
    fg_arena_init(&stream->arena, conn->options->mem);
    conn->stream = stream;
    return stream;
}

void fg_h1_stream_drop_queue(struct fg_h1_stream *stream)
{
    while (stream->queue_head) {
        struct fg_seg *seg = stream->queue_head;
        stream->queue_head = seg->next;
        if (seg->chunk)
            fg_chunk_unref(seg->chunk);
        fg_slab_put(&stream->conn->options->mem->segments, seg);
    }
    stream->queue_tail = NULL;
    stream->queued = 0;
}

/* Off the connection; its memory goes back when the engine has returned. */
static void detach(struct fg_h1_stream *stream)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->closed = true;
    fg_h1_stream_end_stall(stream);
    fg_h1_stream_drop_queue(stream);
    conn->stream = NULL;
    conn->idle_since_ns = fg_h1_now(conn);
    conn->lingering_since_ns = 0;
    stream->next_dead = conn->dead;
    conn->dead = stream;
}

void fg_h1_reap(struct fg_h1_conn *conn)
{
    if (conn->in_engine)
        return;
    while (conn->dead) {
        struct fg_h1_stream *stream = conn->dead;
        conn->dead = stream->next_dead;
        fg_h1_body_cleanup(&stream->body);
        fg_arena_cleanup(&stream->arena);
        fg_slab_put(conn->options->streams, stream);
    }
}

void fg_h1_stream_close(struct fg_h1_stream *stream, const struct fg_h1_close *why)
{
    struct fg_h1_conn *conn = stream->conn;

    if (stream->closed)
        return;
    detach(stream);
    if (stream->told)
        conn->options->handler->on_close(stream, why);
}

void fg_h1_stream_check_complete(struct fg_h1_stream *stream)
{
    static const struct fg_h1_close complete = {.by = FG_H1_CLOSED_COMPLETE};
    struct fg_h1_conn *conn = stream->conn;

    if (stream->closed || !stream->recv_ended || !stream->sent_ended)
        return;
    conn->exchanges++;
    if (!stream->asked_to_stay)
        conn->closing = true;
    fg_h1_stream_close(stream, &complete);
    fg_h1_tell_output(conn); /* to close, or to read on */
    if (conn->closing)
        return;
    if (fg_h1_is_server(conn))
        fg_h1_recv_next(conn);
    else
        conn->options->handler->on_slots(conn);
}

void fg_h1_stream_reset(struct fg_h1_stream *stream)
{
    struct fg_h1_conn *conn = stream->conn;

    if (stream->closed)
        return;
    detach(stream);
    conn->failed = conn->closing = true;
    fg_h1_tell_output(conn); /* its memory goes back then: whoever resets may still read it in this turn */
}

void fg_h1_stream_reset_after_end(struct fg_h1_stream *stream)
{
    if (stream->closed || stream->recv_ended)
        return;
    stream->conn->lingering_since_ns = fg_h1_now(stream->conn);
    fg_h1_tell_output(stream->conn);
}

void fg_h1_stream_consume(struct fg_h1_stream *stream, size_t bytes)
{
    bool paused = !fg_h1_conn_wants_read(stream->conn);

    stream->recv_pending -= FG_MIN(bytes, stream->recv_pending);
    if (paused && fg_h1_conn_wants_read(stream->conn))
        fg_h1_tell_output(stream->conn);
}

bool fg_h1_stream_local_ended(const struct fg_h1_stream *stream)
{
    return stream->sent_ended;
}

struct fg_wait fg_h1_stream_wait(const struct fg_h1_stream *stream)
{
    if (stream->queued == 0 || !stream->conn->blocked)
        return (struct fg_wait){0, FG_WAIT_NONE};
    return (struct fg_wait){FG_MAX(stream->queued_since_ns, stream->conn->blocked_since_ns), FG_WAIT_SOCKET};
}

void fg_h1_stream_add_stalls(const struct fg_h1_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    struct fg_wait wait = fg_h1_stream_wait(stream);

    stall_ns[FG_WAIT_SOCKET] += stream->socket_stall_ns;
    if (wait.cause != FG_WAIT_NONE)
        stall_ns[FG_WAIT_SOCKET] += fg_h1_now(stream->conn) - wait.since_ns;
}

struct fg_h1_stream *fg_h1_request(struct fg_h1_conn *conn, struct fg_headers *headers, bool end)
{
    assert(fg_h1_conn_free_slots(conn) > 0);
    struct fg_h1_stream *stream = fg_h1_stream_new(conn);

    stream->told = true;
    fg_h1_stream_send_headers(stream, headers, end);
    return stream;
}

/* ---- the connection ---- */

void fg_h1_conn_init(struct fg_h1_conn *conn, const struct fg_h1_options *options)
{
    *conn = (struct fg_h1_conn){.options = options};
    fg_outq_init(&conn->out, options->mem);
    conn->idle_since_ns = conn->last_recv_ns = fg_h1_now(conn);
}

void fg_h1_conn_lost(struct fg_h1_conn *conn, const char *reason)
{
    struct fg_h1_close why = {.by = FG_H1_CLOSED_CONNECTION, .reason = reason};

    conn->failed = conn->closing = true;
    if (!conn->stream)
        return;
    /* A kept connection may end just as a request is sent on it (RFC 9112 section 9.3.1): nothing of an answer came. */
    why.untouched = !fg_h1_is_server(conn) && conn->exchanges > 0 && !conn->stream->answered;
    fg_h1_stream_close(conn->stream, &why);
    fg_h1_reap(conn);
}

void fg_h1_conn_cleanup(struct fg_h1_conn *conn)
{
    if (conn->stream)
        fg_h1_conn_lost(conn, "closed");
    conn->in_engine = false;
    fg_h1_reap(conn);
    fg_outq_cleanup(&conn->out);
    free(conn->partial);
    conn->partial = NULL;
    fg_buf_unref(&conn->later);
}

bool fg_h1_conn_wants_read(const struct fg_h1_conn *conn)
{
    const struct fg_h1_stream *stream = conn->stream;

    if (conn->failed || conn->peer_ended)
        return false;
    if (!stream)
        return true;
    if (stream->recv_pending > conn->options->window)
        return false;
    if (stream->tunnel && stream->recv_ended)
        return false;
    return conn->later.len == 0; /* what is pipelined has to wait in the socket */
}

bool fg_h1_conn_has_more(const struct fg_h1_conn *conn)
{
    const struct fg_h1_stream *stream = conn->stream;
    return stream && stream->head_sent && !stream->sent_ended && stream->tunnel != FG_H1_TUNNEL_ASKED &&
           (stream->queued > 0 || stream->end_queued);
}

void fg_h1_stream_end_stall(struct fg_h1_stream *stream)
{
    struct fg_wait wait = fg_h1_stream_wait(stream);
    struct fg_waited waited = {wait.cause, wait.since_ns, fg_h1_now(stream->conn), NULL};

    stream->queued_since_ns = waited.until_ns;
    if (wait.cause == FG_WAIT_NONE)
        return;
    stream->socket_stall_ns += waited.until_ns - waited.since_ns;
    if (waited.until_ns - waited.since_ns >= FG_LONG_WAIT_NS && stream->conn->options->handler->on_waited)
        stream->conn->options->handler->on_waited(stream, &waited);
}

void fg_h1_conn_set_blocked(struct fg_h1_conn *conn, bool blocked, bool progress)
{
    if (conn->blocked && (!blocked || progress) && conn->stream)
        fg_h1_stream_end_stall(conn->stream);
    if (conn->blocked && !blocked) /* while the peer reads an answer the connection is not idle */
        conn->idle_since_ns = fg_h1_now(conn);
    if (blocked && (!conn->blocked || progress))
        conn->blocked_since_ns = fg_h1_now(conn);
    conn->blocked = blocked;
}

void fg_h1_conn_drain(struct fg_h1_conn *conn)
{
    conn->closing = true;
    fg_h1_tell_output(conn);
}

bool fg_h1_conn_wants_fin(const struct fg_h1_conn *conn)
{
    return conn->stream && conn->stream->tunnel == FG_H1_TUNNEL_OPEN && conn->stream->sent_ended;
}

void fg_h1_refuse_tunnel(struct fg_h1_stream *stream)
{
    stream->tunnel = FG_H1_TUNNEL_NONE;
    if (fg_h1_is_server(stream->conn)) {
        stream->body.done = stream->recv_ended = true;
        return;
    }
    fg_h1_stream_drop_queue(stream);
    stream->end_queued = stream->sent_ended = true;
}

void fg_h1_conn_move(struct fg_h1_conn *to, struct fg_h1_conn *from)
{
    *to = *from;
    if (to->stream)
        to->stream->conn = to;
    for (struct fg_h1_stream *dead = to->dead; dead; dead = dead->next_dead)
        dead->conn = to;
}

bool fg_h1_conn_is_done(const struct fg_h1_conn *conn)
{
    return conn->failed || (conn->closing && !conn->stream && conn->head_since_ns == 0);
}

static bool is_idle(const struct fg_h1_conn *conn)
{
    return !conn->stream && conn->head_since_ns == 0 && !conn->blocked;
}

static void earlier(uint64_t *next, bool relevant, uint64_t since_ns, uint64_t after_ns)
{
    if (relevant && after_ns != 0)
        *next = FG_MIN(*next, since_ns + after_ns);
}

uint64_t fg_h1_conn_next_time_ns(const struct fg_h1_conn *conn)
{
    const struct fg_h1_options *o = conn->options;
    uint64_t next = FG_NEVER;

    if (conn->failed)
        return next;
    earlier(&next, conn->head_since_ns != 0, conn->head_since_ns, o->header_timeout_ns);
    earlier(&next, is_idle(conn), conn->idle_since_ns, o->idle_timeout_ns);
    earlier(&next, conn->blocked, conn->blocked_since_ns, o->write_stall_timeout_ns);
    earlier(&next, conn->lingering_since_ns != 0, conn->lingering_since_ns, LINGER_NS);
    return next;
}

static bool over(const struct fg_h1_conn *conn, bool relevant, uint64_t since_ns, uint64_t after_ns)
{
    return relevant && after_ns != 0 && fg_h1_now(conn) >= since_ns + after_ns;
}

void fg_h1_conn_on_time(struct fg_h1_conn *conn)
{
    const struct fg_h1_options *o = conn->options;

    if (conn->failed)
        return;
    if (over(conn, conn->head_since_ns != 0, conn->head_since_ns, o->header_timeout_ns)) {
        fg_h1_fail(conn, FG_H1_FAULT_HEADER_TIMEOUT);
    } else if (over(conn, conn->blocked, conn->blocked_since_ns, o->write_stall_timeout_ns)) {
        fg_h1_conn_lost(conn, "the peer does not read (write_stall_timeout)");
        fg_h1_tell_output(conn);
    } else if (over(conn, conn->lingering_since_ns != 0, conn->lingering_since_ns, LINGER_NS)) {
        struct fg_h1_stream *stream = conn->stream;
        conn->lingering_since_ns = 0;
        if (stream) {
            stream->asked_to_stay = false; /* what still comes of this request must not be taken for the next one */
            stream->recv_ended = true;
            fg_h1_stream_check_complete(stream);
        }
    } else if (over(conn, is_idle(conn), conn->idle_since_ns, o->idle_timeout_ns)) {
        fg_h1_conn_drain(conn);
    }
    fg_h1_reap(conn);
}

uint32_t fg_h1_conn_free_slots(const struct fg_h1_conn *conn)
{
    return !conn->stream && !conn->closing && !conn->failed;
}
