/* Streams that have DATA to send and cannot: what each waits for, for how long it has, and who holds the connection's
 * window meanwhile. */
#include <stdlib.h>

#include "h2/h2_int.h"

#define HOLDERS_FRESH_NS (100 * FG_MS)

/* ---- who holds the connection's window ---- */

static void put_holder(struct fg_wait_holders *holders, uint32_t stream, uint32_t bytes)
{
    uint32_t at = holders->len;

    while (at > 0 && holders->top[at - 1].bytes < bytes)
        at--;
    holders->more += holders->len == FG_WAIT_HOLDERS;
    if (at == FG_WAIT_HOLDERS)
        return;
    holders->len += holders->len < FG_WAIT_HOLDERS;
    for (uint32_t i = holders->len - 1; i > at; i--)
        holders->top[i] = holders->top[i - 1];
    holders->top[at].stream = stream;
    holders->top[at].bytes = bytes;
}

/* What a stream has sent and its peer has not given back is missing from its window, as it is from the connection's. A
 * peer that gives more than it was sent is not found out. */
static void find_holders(struct fg_h2_conn *conn)
{
    int64_t missing = (int64_t)FG_H2_INITIAL_WINDOW - conn->send_window;

    if (!conn->holders)
        conn->holders = fg_alloc(sizeof *conn->holders);
    *conn->holders = (struct fg_wait_holders){.at_ns = fg_h2_now(conn)};
    FG_LIST_EACH (node, &conn->streams) {
        const struct fg_h2_stream *stream = FG_LIST_ENTRY(node, struct fg_h2_stream, node);
        int64_t held = (int64_t)conn->peer_initial_window - stream->send_window;
        if (held <= 0)
            continue;
        put_holder(conn->holders, stream->id, (uint32_t)held);
        missing -= held;
    }
    conn->holders->gone_bytes = missing > 0 ? (uint64_t)missing : 0;
}

const struct fg_wait_holders *fg_h2_conn_holders(struct fg_h2_conn *conn)
{
    if (!conn->window_blocked_since_ns)
        return NULL;
    if (!conn->holders || fg_h2_now(conn) - conn->holders->at_ns > HOLDERS_FRESH_NS)
        find_holders(conn);
    return conn->holders;
}

void fg_h2_stall_note_holders(struct fg_h2_conn *conn)
{
    uint64_t since_ns = conn->window_blocked_since_ns;

    if (since_ns && fg_h2_now(conn) - since_ns >= FG_LONG_WAIT_NS &&
        (!conn->holders || conn->holders->at_ns < since_ns + FG_LONG_WAIT_NS))
        find_holders(conn);
}

void fg_h2_conn_oldest(const struct fg_h2_conn *conn, struct fg_wait_holders *holders)
{
    FG_LIST_EACH (node, &conn->streams) {
        if (holders->len == FG_WAIT_HOLDERS)
            break;
        holders->top[holders->len++].stream = FG_LIST_ENTRY(node, struct fg_h2_stream, node)->id;
    }
    holders->more = conn->open_streams - FG_MIN(conn->open_streams, holders->len);
}

/* ---- waits ---- */

struct fg_wait fg_h2_stream_wait(const struct fg_h2_stream *stream)
{
    const struct fg_h2_conn *conn = stream->conn;

    if (stream->queued == 0)
        return (struct fg_wait){0, FG_WAIT_NONE};
    if (stream->stalled_since_ns)
        return (struct fg_wait){stream->stalled_since_ns, FG_WAIT_STREAM_WINDOW};
    if (conn->window_blocked_since_ns)
        return (struct fg_wait){FG_MAX(conn->window_blocked_since_ns, stream->queued_since_ns),
                                FG_WAIT_CONNECTION_WINDOW};
    return (struct fg_wait){stream->queued_since_ns, FG_WAIT_SOCKET};
}

/* Once it can go on the connection is not blocked any more: what blocked it last is known all the same. */
static struct fg_waited wait_until_now(const struct fg_h2_stream *stream)
{
    const struct fg_h2_conn *conn = stream->conn;
    uint64_t now_ns = fg_h2_now(conn);

    if (stream->queued == 0)
        return (struct fg_waited){FG_WAIT_NONE, now_ns, now_ns, NULL};
    if (stream->stalled_since_ns)
        return (struct fg_waited){FG_WAIT_STREAM_WINDOW, stream->stalled_since_ns, now_ns, NULL};
    if (!conn->window_was_last)
        return (struct fg_waited){FG_WAIT_SOCKET, stream->queued_since_ns, now_ns, NULL};
    return (struct fg_waited){FG_WAIT_CONNECTION_WINDOW, stream->queued_since_ns, now_ns,
                              conn->holders && conn->holders->at_ns >= stream->queued_since_ns ? conn->holders : NULL};
}

static void add(const struct fg_h2_stream *stream, const struct fg_waited *waited, uint64_t stall_ns[FG_WAIT_LEN])
{
    stall_ns[FG_WAIT_STREAM_WINDOW] += stream->window_stall_ns;
    stall_ns[FG_WAIT_CONNECTION_WINDOW] += stream->connection_stall_ns;
    stall_ns[FG_WAIT_SOCKET] += stream->socket_stall_ns;
    if (waited->cause != FG_WAIT_NONE)
        stall_ns[waited->cause] += waited->until_ns - waited->since_ns;
}

void fg_h2_stream_add_stalls(const struct fg_h2_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    struct fg_waited waited = wait_until_now(stream);
    add(stream, &waited, stall_ns);
}

void fg_h2_stall_end(struct fg_h2_stream *stream)
{
    struct fg_h2_conn *conn = stream->conn;
    struct fg_waited waited = wait_until_now(stream);
    uint64_t waited_ns = waited.until_ns - waited.since_ns;

    stream->queued_since_ns = waited.until_ns;
    if (stream->stalled_since_ns && stream->queued > 0)
        stream->stalled_since_ns = waited.until_ns; /* counted so far */
    if (waited_ns == 0)
        return;
    if (waited.cause == FG_WAIT_STREAM_WINDOW)
        stream->window_stall_ns += waited_ns;
    else
        *(waited.cause == FG_WAIT_SOCKET ? &stream->socket_stall_ns : &stream->connection_stall_ns) += waited_ns;
    if (waited_ns < FG_LONG_WAIT_NS || !conn->options->handler->on_waited)
        return;
    if (waited.cause == FG_WAIT_CONNECTION_WINDOW && conn->window_blocked_since_ns) { /* it ends while it waits */
        fg_h2_stall_note_holders(conn);
        waited.holders = conn->holders;
    }
    conn->options->handler->on_waited(stream, &waited);
}
