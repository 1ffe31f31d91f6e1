/* Insides of the HTTP/2 engine, for src/h2 and for owners that embed a connection. */
#ifndef FG_H2_H2_INT_H
#define FG_H2_H2_INT_H

#include "base/idmap.h"
#include "base/list.h"
#include "base/stats.h"
#include "base/time.h"
#include "h2/h2.h"
#include "h2/hpack.h"

enum fg_h2_stream_state {
    FG_H2_IDLE,
    FG_H2_OPEN,
    FG_H2_HALF_CLOSED_LOCAL,  /* we sent END_STREAM */
    FG_H2_HALF_CLOSED_REMOTE, /* the peer sent END_STREAM */
    FG_H2_CLOSED,
};

#define FG_H2_URGENCIES       8
#define FG_H2_DEFAULT_URGENCY 3
#define FG_H2_DEFAULT_WEIGHT  16 /* RFC 7540's; a quantum of weight KiB, so 16 KiB: one full frame a turn */
#define FG_H2_CLOSED_RING     16

struct fg_h2_stream {
    struct fg_h2_conn *conn;
    struct fg_list node; /* in conn->streams, or conn->dead */
    uint32_t id;
    uint8_t state; /* enum fg_h2_stream_state; changed by fg_h2_stream_set_state only */
    bool headers_received : 1, headers_sent : 1, is_head : 1, no_content : 1;
    bool end_queued : 1; /* END_STREAM follows the queue */
    bool refused : 1;    /* over the limit: the block is decoded, then refused */
    bool reset_after_end : 1, reset_by_us : 1;
    bool both_ended : 1; /* the peer ended last: complete once the user has been told of the end */
    uint32_t reset_code;

    int32_t send_window; /* negative after the peer lowered its initial window */
    int32_t recv_window;
    uint32_t recv_pending;    /* delivered, not consumed yet */
    uint32_t recv_uncredited; /* consumed, not announced yet */
    int64_t content_length;   /* -1: not told */
    int64_t content_received;

    struct fg_seg *queue_head, *queue_tail;
    size_t queued;
    struct fg_buf trailers; /* an encoded block to send after the queue */

    struct fg_list ready; /* in conn->sched, conn->stalled or conn->lingering */
    int32_t deficit;
    uint16_t weight; /* RFC 7540 weight x route weight */
    uint8_t client_weight_less_1;
    uint8_t client_urgency;
    int8_t urgency_offset;
    uint8_t route_weight;
    uint8_t urgency; /* effective; the scheduler's list */
    bool sequential; /* the client asked for it: i=?0 */
    uint64_t queued_since_ns;
    uint64_t window_stall_ns, socket_stall_ns, connection_stall_ns; /* waited so far, by cause */
    uint64_t stalled_since_ns;                                      /* in conn->stalled or conn->lingering; 0: not */

    struct fg_arena arena;
};

/* Parser position. */
enum fg_h2_expect {
    FG_H2_EXPECT_PREFACE,
    FG_H2_EXPECT_FRAME,
    FG_H2_EXPECT_PAYLOAD,
    FG_H2_EXPECT_PAD_LENGTH,
    FG_H2_EXPECT_DATA
};

struct fg_h2_conn {
    const struct fg_h2_options *options;
    void *owner;
    struct fg_outq out;

    /* parser */
    uint8_t expect;          /* enum fg_h2_expect */
    uint64_t frame_since_ns; /* when its first byte came */
    uint8_t head_len;
    uint8_t head[FG_H2_FRAME_HEADER_BYTES];
    bool settings_received : 1, settings_acked : 1, preface_done : 1, output_told : 1, failed : 1, lost : 1;
    bool draining : 1, drain_final : 1, peer_goaway : 1, peer_extended_connect : 1, blocked : 1, ping_out : 1,
        in_recv : 1, drain_ping : 1;
    struct fg_h2_frame frame;         /* being read */
    uint32_t data_left, pad_left;     /* of a DATA frame */
    struct fg_h2_stream *data_stream; /* NULL: its content is discarded */
    uint8_t *partial;                 /* payload of a frame that came in pieces; NULL: none */
    uint32_t partial_len;
    uint8_t *block; /* HEADERS + CONTINUATION so far; NULL: none */
    uint32_t block_len;
    uint32_t block_stream;
    uint8_t block_flags, block_frames;
    uint64_t block_since_ns;

    /* streams */
    struct fg_idmap by_id;
    struct fg_list streams, dead;
    uint32_t open_streams;  /* peer's (server role) or ours (client role), the dead ones of this turn included */
    uint32_t last_peer_id;  /* highest stream id that the peer opened */
    uint32_t drain_last_id; /* of the final GOAWAY */
    uint32_t next_id;       /* client role */
    uint32_t closed_ring[FG_H2_CLOSED_RING]; /* ids; top bit: reset by us */
    uint8_t closed_at;
    struct fg_idmap early_priorities; /* PRIORITY_UPDATE for streams not opened yet */

    /* flow control */
    int32_t send_window, recv_window;
    uint32_t recv_uncredited;
    uint32_t peer_initial_window, peer_max_frame, peer_max_streams, peer_max_header_list;
    struct fg_list sched[FG_H2_URGENCIES]; /* streams with queued DATA and stream window */
    struct fg_list stalled;                /* streams with queued DATA and no stream window, longest first */
    struct fg_list lingering;              /* answered before their request ended, longest first */
    uint8_t sched_bits;                    /* urgencies whose list is not empty */
    uint64_t window_blocked_since_ns;      /* connection window; 0: not */
    uint64_t socket_blocked_since_ns;
    bool window_was_last;            /* what blocked output last: the connection window, or the socket */
    struct fg_wait_holders *holders; /* of the connection window, when last looked for; NULL: never */

    struct fg_hpack_decoder decoder;
    struct fg_hpack_encoder encoder;

    /* guard: GCRA states (theoretical arrival times) and counts */
    uint64_t resets_tat_ns, pings_tat_ns, settings_tat_ns, errors_tat_ns;
    uint32_t streams_seen, resets_seen, streams_this_turn, control_queued, resets_by_us;
    uint16_t empty_data_run;
    bool sent_since_ping; /* HEADERS or DATA went out after the peer's last PING */

    /* timers */
    uint64_t created_ns, last_recv_ns, settings_sent_ns, ping_sent_ns, idle_since_ns, drain_since_ns;
    uint32_t goaway_code;
    enum fg_h2_fault fault;
};

static inline uint64_t fg_h2_now(const struct fg_h2_conn *conn)
{
    return *conn->options->now_ns;
}

static inline bool fg_h2_is_server(const struct fg_h2_conn *conn)
{
    return conn->options->role == FG_H2_SERVER;
}

/* conn.c */
void fg_h2_tell_output(struct fg_h2_conn *conn);
void fg_h2_write_control(struct fg_h2_conn *conn, uint8_t type, uint8_t flags, uint32_t stream_id, const void *payload,
                         uint32_t len);
void fg_h2_write_u32(struct fg_h2_conn *conn, uint8_t type, uint32_t stream_id, uint32_t value);

/* control.c: handlers of SETTINGS, PING, GOAWAY, WINDOW_UPDATE, PRIORITY, PRIORITY_UPDATE, RST_STREAM */
/* The payload of a SETTINGS frame. */
enum fg_h2_fault fg_h2_apply_settings(struct fg_h2_conn *conn, const uint8_t *payload, size_t len);
enum fg_h2_fault fg_h2_on_settings(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_ping(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_goaway(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_window_update(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_priority(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_priority_update(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_rst_stream(struct fg_h2_conn *conn, const uint8_t *payload);
void fg_h2_send_settings(struct fg_h2_conn *conn);

/* block.c: header blocks in and out */
enum fg_h2_fault fg_h2_on_headers(struct fg_h2_conn *conn, const uint8_t *payload);
enum fg_h2_fault fg_h2_on_continuation(struct fg_h2_conn *conn, const uint8_t *payload);
void fg_h2_write_headers(struct fg_h2_conn *conn, uint32_t stream_id, struct fg_headers *headers, bool end);
/* A block that was encoded earlier, without indexing. */
void fg_h2_write_block(struct fg_h2_conn *conn, uint32_t stream_id, const uint8_t *block, size_t len, bool end);

/* message.c: RFC 9113 section 8 */
/* EXTENDED: CONNECT may have :protocol (RFC 8441). */
enum fg_h2_fault fg_h2_check_request(const struct fg_headers *headers, bool extended, int64_t *content_length);
enum fg_h2_fault fg_h2_check_response(const struct fg_headers *headers, unsigned *status, int64_t *content_length);
enum fg_h2_fault fg_h2_check_trailers(const struct fg_headers *headers, bool is_request);

/* stream.c (and below) */
bool fg_h2_is_idle(const struct fg_h2_conn *conn, uint32_t id); /* never opened */

/* data.c: DATA in */
enum fg_h2_fault fg_h2_data_begin(struct fg_h2_conn *conn);
/* Takes up to LEN bytes of the current DATA frame's payload; sets *USED. */
enum fg_h2_fault fg_h2_data_feed(struct fg_h2_conn *conn, struct fg_chunk *chunk, const uint8_t *data, size_t len,
                                 size_t *used);
void fg_h2_conn_credit(struct fg_h2_conn *conn, uint32_t bytes);

/* stream.c */
struct fg_h2_stream *fg_h2_stream_new(struct fg_h2_conn *conn, uint32_t id);
void fg_h2_stream_set_state(struct fg_h2_stream *stream, enum fg_h2_stream_state state);
void fg_h2_stream_end_received(struct fg_h2_stream *stream);
void fg_h2_stream_delivered(struct fg_h2_stream *stream); /* after every callback that may have told of the end */
void fg_h2_stream_end_sent(struct fg_h2_stream *stream);
void fg_h2_stream_close(struct fg_h2_stream *stream, const struct fg_h2_close *why); /* tells the user */
void fg_h2_stream_fault(struct fg_h2_conn *conn, uint32_t stream_id, enum fg_h2_fault fault);
void fg_h2_stream_stop_reading(struct fg_h2_stream *stream);
void fg_h2_reap(struct fg_h2_conn *conn);
bool fg_h2_was_closed(const struct fg_h2_conn *conn, uint32_t id, bool *by_us); /* recently */

/* sched.c */
void fg_h2_sched_add(struct fg_h2_stream *stream); /* it has queued DATA now, or window again */
void fg_h2_sched_remove(struct fg_h2_stream *stream);
void fg_h2_sched_update(struct fg_h2_stream *stream); /* priority inputs changed */

/* ---- stall.c ---- */

void fg_h2_stall_note_holders(struct fg_h2_conn *conn); /* before the peer gives some of its windows back */
bool fg_h2_priority_parse(struct fg_str value, uint8_t *urgency,
                          bool *incremental); /* RFC 9218 section 4; false: invalid */

/* guard.c */
enum fg_h2_fault fg_h2_guard_reset(struct fg_h2_conn *conn);
enum fg_h2_fault fg_h2_guard_ping(struct fg_h2_conn *conn);
enum fg_h2_fault fg_h2_guard_settings(struct fg_h2_conn *conn);
enum fg_h2_fault fg_h2_guard_error(struct fg_h2_conn *conn, unsigned weight);
enum fg_h2_fault fg_h2_guard_stream(struct fg_h2_conn *conn);

#endif
