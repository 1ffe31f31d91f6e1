#include "http/engine.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PULL_BYTES     (128u << 10) /* DATA framed ahead of a write: what TCP_NOTSENT_LOWAT lets the kernel hold */
#define READ_BYTES     (256u << 10) /* from one connection in one turn, so that others have theirs */
#define BACKLOG_BYTES  (1u << 20)
#define IOV_MAX_LEN    64
#define CLOSE_GRACE_NS (500 * FG_MS) /* for our last words to arrive, or for a peer that does not read to start */
#define TROUBLE_MAX    3
#define STALL_NS       (10 * FG_MS) /* longer than a round trip in a data centre, shorter than anybody's patience */

static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";

void fg_conn_count_stream(struct fg_conn_side *side, int opened)
{
    struct fg_stats *stats = side->stats;

    if (side->h2.role == FG_H2_SERVER)
        fg_stat_add(opened ? &stats->downstream_streams_opened : &stats->downstream_streams_closed, 1);
    else
        fg_stat_add(opened ? &stats->upstream_streams_opened : &stats->upstream_streams_closed, 1);
}

/* ---- state ---- */

const char *fg_conn_state_name(enum fg_conn_state state)
{
    static const char *const names[] = {"new", "connecting", "handshake", "detecting", "open", "closed"};
    return names[state];
}

static uint64_t count_opened(uint64_t *counter)
{
    fg_stat_add(counter, 1);
    return *counter;
}

static void set_state(struct fg_conn *conn, enum fg_conn_state state)
{
    struct fg_stats *stats = conn->side->stats;
    bool server = conn->side->h2.role == FG_H2_SERVER;

    assert(state > conn->state); /* only forward; CLOSED is reached once */
    if (conn->state == FG_CONN_NEW)
        conn->number =
            count_opened(server ? &stats->downstream_connections_opened : &stats->upstream_connections_opened);
    if (state == FG_CONN_CLOSED) {
        fg_stat_add(server ? &stats->downstream_connections_closed : &stats->upstream_connections_closed, 1);
        if (!server && conn->state < FG_CONN_OPEN)
            FG_COUNT(stats, upstream_connections_failed);
        if (conn->state == FG_CONN_HANDSHAKE)
            FG_COUNT(stats, tls_handshakes_failed);
    }
    conn->state = (uint8_t)state;
}

static void destroy(struct fg_conn *conn, const char *why)
{
    struct fg_conn_side *side = conn->side;

    if (conn->state == FG_CONN_CLOSED)
        return;
    bool has_engine = conn->state == FG_CONN_OPEN;
    if (has_engine)
        conn->engine->lost(conn, why);
    set_state(conn, FG_CONN_CLOSED);
    fg_watch_remove(side->loop, &conn->watch);
    fg_timer_cancel(&side->loop->timers, &conn->timer);
    fg_list_remove(&conn->flush.node);
    fg_list_remove(&conn->node);
    if (!conn->half_closed && !conn->fin_sent)
        conn->pipe.ops->shutdown(&conn->pipe);
    side->events->on_closed(conn, why);
    if (has_engine)
        conn->engine->cleanup(conn);
    conn->pipe.ops->close(&conn->pipe);
    fg_slab_put(&side->conns, conn);
}

/* ---- time ---- */

static uint64_t next_time_ns(const struct fg_conn *conn)
{
    if (conn->closing_ns != 0)
        return conn->closing_ns + CLOSE_GRACE_NS;
    if (conn->state == FG_CONN_OPEN)
        return conn->engine->next_time_ns(conn);
    uint64_t limit_ns = conn->state == FG_CONN_CONNECTING  ? conn->side->connect_timeout_ns
                        : conn->state == FG_CONN_DETECTING ? conn->side->h2.preface_timeout_ns
                                                           : conn->side->handshake_timeout_ns;
    return limit_ns ? conn->opened_ns + limit_ns : FG_NEVER;
}

/* Only ever moves the timer earlier: when it fires too soon it is simply armed again. */
static void arm_timer(struct fg_conn *conn)
{
    uint64_t next_ns = next_time_ns(conn);
    if (next_ns != FG_NEVER && (!fg_timer_armed(&conn->timer) || next_ns < conn->timer.at_ns))
        fg_timer_arm(&conn->side->loop->timers, &conn->timer, next_ns);
}

static const char *closing_reason(const struct fg_conn *conn)
{
    const char *why = conn->why ? conn->why : conn->engine->fault(conn);
    return *why ? why : "the connection was shut down in order";
}

static void read_some(struct fg_conn *conn);

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_conn *conn = FG_CONTAINER_OF(timer, struct fg_conn, timer);

    if (conn->closing_ns != 0 && now_ns >= next_time_ns(conn)) {
        destroy(conn, closing_reason(conn));
        return;
    }
    if (conn->state == FG_CONN_OPEN) {
        conn->engine->on_time(conn);
        fg_loop_at_turn_end(conn->side->loop, &conn->flush);
        if (conn->pipe.tls_has_pending && !conn->half_closed) { /* it was kept waiting, and may go on */
            read_some(conn);
            return;
        }
    } else if (now_ns >= next_time_ns(conn)) {
        destroy(conn, conn->state == FG_CONN_CONNECTING  ? "the connection attempt timed out"
                      : conn->state == FG_CONN_DETECTING ? "no request came within preface_timeout"
                                                         : "the TLS handshake timed out");
        return;
    }
    arm_timer(conn);
}

/* ---- writing ---- */

static void watch_for(struct fg_conn *conn, unsigned wanted)
{
    unsigned interest = fg_pipe_interest(&conn->pipe, wanted);

    if (!conn->unwatched) {
        fg_watch_set_interest(conn->side->loop, &conn->watch, interest);
    } else if (interest != 0) {
        conn->watch.interest = interest;
        conn->unwatched = fg_watch_add(conn->side->loop, &conn->watch) != 0;
        if (conn->unwatched)
            fg_conn_close(conn, "the descriptor cannot be watched");
    }
}

static void update_interest(struct fg_conn *conn, bool blocked)
{
    conn->read_paused = conn->out->bytes > BACKLOG_BYTES || !conn->engine->wants_read(conn);
    watch_for(conn, (conn->read_paused ? 0u : FG_READABLE) | (blocked ? FG_WRITABLE : 0u));
    if (!conn->read_paused && conn->pipe.tls_has_pending) /* the descriptor will not tell of it: see on_timer() */
        fg_timer_arm(&conn->side->loop->timers, &conn->timer, conn->side->loop->now_ns);
}

/* Both directions are over, and the kernel says so again and again, but what the peer said before is not read yet and
 * must wait. False: the connection broke. */
static bool wait_unwatched(struct fg_conn *conn)
{
    if (!conn->fin_sent || conn->engine->has_failed(conn) || fg_socket_connect_result(conn->pipe.fd) != 0)
        return false;
    fg_watch_remove(conn->side->loop, &conn->watch);
    conn->unwatched = true;
    return true;
}

/* Writes what the queue holds. 1: all of it, 0: the socket is full, negative: broken. */
static int write_queue(struct fg_conn *conn, bool *progress)
{
    struct fg_stats *stats = conn->side->stats;
    uint64_t *written =
        conn->side->h2.role == FG_H2_SERVER ? &stats->downstream_written_bytes : &stats->upstream_written_bytes;
    struct iovec iov[IOV_MAX_LEN];

    while (conn->out->bytes > 0) {
        int len = fg_outq_peek(conn->out, iov, IOV_MAX_LEN);
        ssize_t n = conn->pipe.ops->writev(&conn->pipe, iov, len);
        if (n == FG_PIPE_AGAIN)
            return 0;
        if (n < 0)
            return -1;
        *progress |= n > 0;
        fg_stat_add(written, (uint64_t)n);
        fg_outq_consume(conn->out, (size_t)n);
    }
    return 1;
}

static const char *broken_reason(const struct fg_conn *conn)
{
    return conn->pipe.error[0] ? conn->pipe.error : "the connection broke";
}

/* Everything is said. To close now, with bytes of the peer unread, would send a TCP reset, which may overtake our last
 * words (RFC 9113 section 5.4.1): what still comes is read and thrown away until the peer closes, or for a moment. */
static void half_close(struct fg_conn *conn)
{
    conn->half_closed = true;
    if (!conn->fin_sent)
        conn->pipe.ops->shutdown(&conn->pipe);
    watch_for(conn, FG_READABLE);
    arm_timer(conn);
}

/* What is left to be written is the end of an answer: the peer has as much time for it as for the rest
 * (write_stall_timeout). */
static bool ends_in_order(const struct fg_conn *conn)
{
    return !conn->why && !conn->engine->has_failed(conn);
}

static void flush(struct fg_conn *conn)
{
    bool progress = false;
    int written = 1;

    /* A blocked socket gets no more than one pull's worth ahead, so that priorities decide late. */
    do {
        /* Also with nothing to pull: it makes the engine tell of output again. */
        conn->engine->pull(conn, PULL_BYTES - FG_MIN(conn->out->bytes, (size_t)PULL_BYTES));
        if (conn->out->bytes == 0)
            break;
        written = write_queue(conn, &progress);
    } while (written > 0 && conn->engine->has_more(conn));
    if (written < 0) {
        destroy(conn, broken_reason(conn));
        return;
    }
    bool over = conn->engine->is_done(conn) || conn->why;
    if (over && conn->closing_ns == 0 && (written > 0 || !ends_in_order(conn)))
        conn->closing_ns = conn->side->loop->now_ns;
    if (over && written > 0) {
        half_close(conn);
        return;
    }
    if (written > 0 && !conn->fin_sent && conn->engine->wants_fin && conn->engine->wants_fin(conn)) {
        conn->fin_sent = true;
        conn->pipe.ops->shutdown(&conn->pipe);
    }
    conn->engine->set_blocked(conn, written == 0, progress);
    update_interest(conn, written == 0);
    arm_timer(conn);
}

static void on_turn_end(struct fg_turn_task *task)
{
    struct fg_conn *conn = FG_CONTAINER_OF(task, struct fg_conn, flush);

    if (conn->state == FG_CONN_OPEN && !conn->half_closed)
        flush(conn);
    else if (conn->why && conn->state != FG_CONN_OPEN)
        destroy(conn, conn->why);
}

/* ---- reading ---- */

static void discard_some(struct fg_conn *conn)
{
    struct fg_chunk *chunk;
    size_t room;
    uint8_t *at = fg_mem_read_room(&conn->side->loop->mem, &chunk, &room);
    ssize_t n;

    do
        n = conn->pipe.ops->read(&conn->pipe, at, room);
    while (n > 0);
    if (n != FG_PIPE_AGAIN)
        destroy(conn, closing_reason(conn));
}

static void begin_open(struct fg_conn *conn, const struct fg_engine_ops *engine)
{
    set_state(conn, FG_CONN_OPEN);
    conn->engine = engine;
    conn->engine->init(conn);
    conn->opened_ns = conn->side->loop->now_ns;
    fg_loop_at_turn_end(conn->side->loop, &conn->flush);
    if (conn->side->events->on_open)
        conn->side->events->on_open(conn);
    if (conn->side->events->on_slots && conn->engine->load(conn).is_ready) /* HTTP/1 has no SETTINGS to wait for */
        conn->side->events->on_slots(conn);
}

void fg_conn_switch_to_h2(struct fg_conn *conn)
{
    struct fg_mem *mem = &conn->side->loop->mem;
    struct fg_outq preface;
    struct fg_h1_conn old;

    fg_h1_conn_move(&old, &conn->h1);
    conn->engine = &fg_h2_engine;
    conn->engine->init(conn);
    fg_outq_init(&preface, mem);
    fg_outq_move(conn->out, conn->out->bytes, &preface);
    fg_outq_move(&old.out, old.out.bytes, conn->out);
    fg_outq_copy(conn->out, switching, sizeof switching - 1);
    fg_outq_move(&preface, preface.bytes, conn->out);
    fg_outq_cleanup(&preface);
    fg_h2_conn_upgraded(&conn->h2, &old.switch_request, (const uint8_t *)old.switch_settings.p,
                        old.switch_settings.len);
    if (old.closing) /* a drain has begun since the request began to come */
        conn->engine->drain(conn);
    if (old.later.len > 0)
        conn->engine->recv(conn, old.later.chunk, old.later.data, old.later.len);
    fg_h1_conn_lost(&old, "the connection has switched to HTTP/2");
    fg_h1_conn_cleanup(&old);
    fg_loop_at_turn_end(conn->side->loop, &conn->flush);
}

static bool may_read(const struct fg_conn *conn)
{
    return conn->state != FG_CONN_OPEN || (!conn->engine->has_failed(conn) && conn->engine->wants_read(conn));
}

/* HTTP/2 begins with "PRI ", which is no method of HTTP/1 (RFC 9113 section 3.4). False: too few bytes to tell. */
static bool detect(struct fg_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    size_t wanted = FG_MIN(sizeof conn->first - conn->first_len, len);

    memcpy(conn->first + conn->first_len, data, wanted);
    conn->first_len = (uint8_t)(conn->first_len + wanted);
    bool is_h2 = memcmp(conn->first, FG_H2_PREFACE, conn->first_len) == 0;
    if (is_h2 && conn->first_len < sizeof conn->first)
        return false;
    begin_open(conn, is_h2 ? &fg_h2_engine : &fg_h1_engine);
    size_t earlier = conn->first_len - wanted;
    if (earlier > 0) {
        struct fg_buf copy = fg_buf_copy(conn->first, earlier);
        conn->engine->recv(conn, copy.chunk, copy.data, copy.len);
        fg_buf_unref(&copy);
    }
    conn->engine->recv(conn, chunk, data, len);
    return true;
}

static void take(struct fg_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len)
{
    if (conn->state == FG_CONN_DETECTING)
        (void)detect(conn, chunk, data, len);
    else
        conn->engine->recv(conn, chunk, data, len);
}

/* A response may end with the connection, and one direction of a tunnel. */
static void take_eof(struct fg_conn *conn)
{
    if (conn->state == FG_CONN_OPEN && conn->engine->eof && conn->engine->eof(conn))
        return;
    destroy(conn, "the peer closed the connection");
}

static void read_some(struct fg_conn *conn)
{
    struct fg_conn_side *side = conn->side;
    uint64_t *read =
        side->h2.role == FG_H2_SERVER ? &side->stats->downstream_read_bytes : &side->stats->upstream_read_bytes;
    size_t total = 0;

    /* What TLS has decrypted already must be taken now: the descriptor will not tell of it again. */
    while ((total < READ_BYTES || conn->pipe.tls_has_pending) && may_read(conn)) {
        struct fg_chunk *chunk;
        size_t room;
        uint8_t *at = fg_mem_read_room(&side->loop->mem, &chunk, &room);
        ssize_t n = conn->pipe.ops->read(&conn->pipe, at, room);
        if (n == FG_PIPE_AGAIN)
            break;
        if (n == FG_PIPE_EOF) {
            take_eof(conn);
            return;
        }
        if (n < 0) {
            destroy(conn, broken_reason(conn));
            return;
        }
        total += (size_t)n;
        fg_mem_read_used(&side->loop->mem, (size_t)n);
        fg_stat_add(read, (uint64_t)n);
        fg_chunk_ref(chunk); /* a callback may read for another connection and drop the worker's reference */
        take(conn, chunk, at, (size_t)n);
        fg_chunk_unref(chunk);
        if ((size_t)n < room && !conn->pipe.tls) /* a short read: the socket is empty */
            break;
    }
    arm_timer(conn);
}

/* ---- opening ---- */

static void begin_detecting(struct fg_conn *conn)
{
    set_state(conn, FG_CONN_DETECTING);
    conn->opened_ns = conn->side->loop->now_ns;
    fg_watch_set_interest(conn->side->loop, &conn->watch, fg_pipe_interest(&conn->pipe, FG_READABLE));
    arm_timer(conn);
}

/* ALPN: what was agreed on; "": nothing. */
static void begin(struct fg_conn *conn, struct fg_str alpn)
{
    bool client = conn->side->h2.role == FG_H2_CLIENT;

    if (fg_str_eq(alpn, FG_STR("h2")) || (client && conn->side->speaks == FG_SPEAKS_H2))
        begin_open(conn, &fg_h2_engine);
    else if (client || alpn.len > 0)
        begin_open(conn, &fg_h1_engine);
    else
        begin_detecting(conn);
}

static void go_on_with_handshake(struct fg_conn *conn)
{
    int result = conn->pipe.ops->handshake(&conn->pipe);

    if (result == FG_PIPE_AGAIN) {
        fg_watch_set_interest(conn->side->loop, &conn->watch, conn->pipe.tls_wants);
        arm_timer(conn);
        return;
    }
    if (result != 0) {
        destroy(conn, broken_reason(conn));
        return;
    }
    struct fg_str alpn = fg_pipe_alpn(&conn->pipe);
    if (conn->side->h2.role == FG_H2_CLIENT && conn->side->speaks == FG_SPEAKS_H2 && alpn.len > 0 &&
        !fg_str_eq(alpn, FG_STR("h2"))) {
        destroy(conn, "the endpoint does not speak HTTP/2 (ALPN)");
        return;
    }
    begin(conn, alpn);
    read_some(conn); /* the first bytes may have come with the last flight */
}

static void start(struct fg_conn *conn)
{
    conn->connected_ns = conn->side->loop->now_ns;
    if (conn->pipe.tls) {
        set_state(conn, FG_CONN_HANDSHAKE);
        go_on_with_handshake(conn);
    } else {
        begin(conn, FG_STR(""));
    }
}

static void finish_connect(struct fg_conn *conn)
{
    int error = fg_socket_connect_result(conn->pipe.fd);

    if (error != 0) {
        destroy(conn, strerror(-error));
        return;
    }
    fg_watch_set_interest(conn->side->loop, &conn->watch, FG_READABLE);
    start(conn);
}

static void on_ready(struct fg_watch *watch, unsigned ready)
{
    struct fg_conn *conn = FG_CONTAINER_OF(watch, struct fg_conn, watch);

    if (conn->state == FG_CONN_CONNECTING) {
        finish_connect(conn);
    } else if (conn->state == FG_CONN_HANDSHAKE) {
        go_on_with_handshake(conn);
    } else if (conn->state == FG_CONN_DETECTING) {
        read_some(conn);
    } else if (conn->state == FG_CONN_OPEN) {
        if (ready & FG_WRITABLE)
            fg_loop_at_turn_end(conn->side->loop, &conn->flush);
        /* TLS may have to read to write, so that any readiness may bring bytes. */
        bool may_bring = (ready & (FG_READABLE | FG_HANGUP)) || conn->pipe.tls;
        if (conn->half_closed)
            discard_some(conn);
        else if ((ready & FG_HANGUP) && !may_read(conn)) {
            if (!wait_unwatched(conn))
                destroy(conn, "the peer reset the connection"); /* nothing that waits in the socket outlives that */
        } else if (may_bring && (!conn->read_paused || (ready & FG_HANGUP)))
            read_some(conn);
    }
}

static struct fg_conn *conn_new(struct fg_conn_side *side, const struct fg_address *peer)
{
    struct fg_conn *conn = fg_slab_get(&side->conns);

    memset(conn, 0, sizeof *conn);
    conn->side = side;
    conn->peer = *peer;
    conn->begun_ns = conn->opened_ns = side->loop->now_ns;
    conn->watch.on_ready = on_ready;
    conn->flush.on_turn_end = on_turn_end;
    fg_list_init(&conn->flush.node);
    fg_timer_init(&conn->timer, on_timer);
    fg_list_append(&side->open, &conn->node);
    return conn;
}

/* The fd is the pipe's already. */
static bool watch_fd(struct fg_conn *conn, unsigned interest)
{
    conn->watch.fd = conn->pipe.fd;
    conn->watch.interest = interest;
    if (fg_watch_add(conn->side->loop, &conn->watch) == 0)
        return true;
    fg_list_remove(&conn->node);
    conn->pipe.ops->close(&conn->pipe);
    fg_slab_put(&conn->side->conns, conn);
    return false;
}

bool fg_conn_accept(struct fg_conn_side *side, int fd, const struct fg_address *peer)
{
    struct fg_conn *conn = conn_new(side, peer);

    if (!side->tls)
        fg_pipe_init_tcp(&conn->pipe, fd);
    else if (fg_pipe_init_tls_server(&conn->pipe, fd, side->tls) != 0) {
        fg_list_remove(&conn->node);
        conn->pipe.ops->close(&conn->pipe);
        fg_slab_put(&side->conns, conn);
        return false;
    }
    if (!watch_fd(conn, FG_READABLE))
        return false;
    start(conn);
    return true;
}

struct fg_conn *fg_conn_connect(struct fg_conn_side *side, const struct fg_address *address, const char *server_name,
                                int *error)
{
    int fd = fg_socket_connect(address);

    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    struct fg_conn *conn = conn_new(side, address);
    if (!side->tls)
        fg_pipe_init_tcp(&conn->pipe, fd);
    else if (fg_pipe_init_tls_client(&conn->pipe, fd, side->tls, server_name) != 0) {
        fg_list_remove(&conn->node);
        conn->pipe.ops->close(&conn->pipe);
        fg_slab_put(&side->conns, conn);
        *error = -EPROTO;
        return NULL;
    }
    if (!watch_fd(conn, FG_WRITABLE)) {
        *error = -EMFILE;
        return NULL;
    }
    set_state(conn, FG_CONN_CONNECTING);
    arm_timer(conn);
    return conn;
}

/* ---- for users ---- */

struct fg_conn_load fg_conn_load(const struct fg_conn *conn)
{
    if (conn->state != FG_CONN_OPEN)
        return (struct fg_conn_load){0};
    struct fg_conn_load load = conn->engine->load(conn);
    if (conn->why)
        load.free = 0;
    return load;
}

const struct fg_wait_holders *fg_conn_holders(struct fg_conn *conn)
{
    return conn->state == FG_CONN_OPEN && conn->engine->holders ? conn->engine->holders(conn) : NULL;
}

void fg_conn_slot_holders(const struct fg_conn *conn, struct fg_wait_holders *holders)
{
    *holders = (struct fg_wait_holders){.at_ns = conn->side->loop->now_ns};
    if (conn->state == FG_CONN_OPEN && conn->engine->slot_holders)
        conn->engine->slot_holders(conn, holders);
}

bool fg_conn_is_stalled(const struct fg_conn *conn, uint64_t now_ns)
{
    return conn->state == FG_CONN_OPEN && now_ns > STALL_NS && conn->engine->is_stalled(conn, now_ns - STALL_NS);
}

void fg_conn_note(struct fg_conn *conn, enum fg_conn_sign sign, uint64_t since_ns)
{
    uint64_t now_ns = conn->side->loop->now_ns;

    if (conn->state != FG_CONN_OPEN)
        return;
    switch (sign) {
    case FG_CONN_ANSWERED:
        conn->trouble = 0;
        break;
    case FG_CONN_BROKE:
        conn->trouble += conn->trouble < TROUBLE_MAX;
        break;
    case FG_CONN_SILENT:
        /* What came early may be no more than an acknowledgement of the request. */
        if (conn->engine->load(conn).last_recv_ns > since_ns + (now_ns - since_ns) / 2)
            break;
        conn->silent_ns = now_ns;
        if (conn->engine->ping)
            conn->engine->ping(conn);
        arm_timer(conn);
        break;
    }
}

bool fg_conn_is_broken(const struct fg_conn *conn)
{
    return conn->trouble >= TROUBLE_MAX;
}

bool fg_conn_is_suspect(const struct fg_conn *conn)
{
    return fg_conn_is_broken(conn) || (conn->silent_ns && fg_conn_load(conn).last_recv_ns < conn->silent_ns);
}

struct fg_stream *fg_conn_request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                  const struct fg_stream_events *events, void *user)
{
    fg_conn_count_stream(conn->side, 1);
    return conn->engine->request(conn, headers, end, events, user);
}

void fg_conn_close(struct fg_conn *conn, const char *why)
{
    if (conn->state == FG_CONN_CLOSED || conn->why)
        return;
    conn->why = why;
    fg_loop_at_turn_end(conn->side->loop, &conn->flush);
}

bool fg_conn_is_h2(const struct fg_conn *conn)
{
    return conn->engine == &fg_h2_engine;
}

/* ---- side ---- */

void fg_conn_side_init(struct fg_conn_side *side, struct fg_loop *loop, struct fg_stats *stats,
                       const struct fg_h2_options *limits, const struct fg_conn_events *events, void *owner)
{
    *side = (struct fg_conn_side){.loop = loop, .stats = stats, .events = events, .owner = owner, .h2 = *limits};
    fg_slab_init(&side->conns, sizeof(struct fg_conn), 256);
    fg_slab_init(&side->streams, fg_h2_stream_bytes(sizeof(struct fg_stream)), 4096);
    fg_slab_init(&side->h1_streams, fg_h1_stream_bytes(sizeof(struct fg_stream)), 1024);
    fg_list_init(&side->open);
    side->h2.handler = &fg_h2_conn_handler;
    side->h2.now_ns = &loop->now_ns;
    side->h2.mem = &loop->mem;
    side->h2.streams = &side->streams;
    side->h2.stream_user_bytes = sizeof(struct fg_stream);
    side->h2.fault_counts = side->fault_counts;
    side->h1 = (struct fg_h1_options){
        .role = limits->role == FG_H2_SERVER ? FG_H1_SERVER : FG_H1_CLIENT,
        .handler = &fg_h1_conn_handler,
        .now_ns = &loop->now_ns,
        .mem = &loop->mem,
        .streams = &side->h1_streams,
        .stream_user_bytes = sizeof(struct fg_stream),
        .fault_counts = side->h1_fault_counts,
        .limits = {.max_head_bytes = limits->max_header_list, .max_fields = limits->max_header_fields},
        .window = limits->stream_window,
        .header_timeout_ns = limits->header_timeout_ns,
        .idle_timeout_ns = limits->idle_timeout_ns,
        .write_stall_timeout_ns = limits->write_stall_timeout_ns,
        .websocket = limits->extended_connect,
    };
}

void fg_conn_side_cleanup(struct fg_conn_side *side)
{
    while (!fg_list_empty(&side->open))
        destroy(FG_LIST_FIRST(&side->open, struct fg_conn, node), "the gateway shuts down");
    fg_slab_cleanup(&side->conns);
    fg_slab_cleanup(&side->streams);
    fg_slab_cleanup(&side->h1_streams);
    if (side->tls)
        fg_tls_context_unref(side->tls);
    side->tls = NULL;
}

void fg_conn_side_drain(struct fg_conn_side *side)
{
    FG_LIST_EACH (node, &side->open) {
        struct fg_conn *conn = FG_LIST_ENTRY(node, struct fg_conn, node);
        if (conn->state == FG_CONN_OPEN)
            conn->engine->drain(conn);
        else
            fg_conn_close(conn, "the gateway shuts down");
    }
}
