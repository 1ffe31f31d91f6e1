/* An engine under test and the peer at the other end of its wire. What the peer sends and what the user does is written
 * as lines of text, what happened is read as lines of text, so that a test reads like a conversation:
 *
 *   > HEADERS 1 end {@get}             the peer sends a frame
 *   * headers 1 end {@get}             the engine calls the user
 *   ! headers 1 end {@ok}              the user calls the engine
 *   < HEADERS 1 end {@ok}              the engine sends a frame
 *
 * Lines in, from the peer: "preface"; "NAME [STREAM] [end] [ack] [more] [pad=N] [dep=N] [weight=N] PAYLOAD" with NAME of
 * RFC 9113 and `more` for "END_HEADERS is not set"; "FRAME type flags STREAM PAYLOAD" for any other; "bytes PAYLOAD".
 * PAYLOAD: "text", xHEX, a number (as many bytes; of WINDOW_UPDATE the increment, of GOAWAY the last id), an error's
 * name, SETTING=value, or a header list {name: value; name: value} with \xNN for odd bytes. A payload may have several.
 * Lines in, of the user: "headers|data|trailers STREAM [end] PAYLOAD", "request [end] {...}", "consume STREAM N",
 * "reset STREAM ERROR", "reset_after_end STREAM ERROR", "priority STREAM OFFSET WEIGHT", "pull N", "wait MILLISECONDS",
 * "blocked yes|no", "drain", "lost", "fail" (with a reason of the guard's).
 * @get, @post and @ok stand for the usual first fields. Consecutive pieces of DATA are told of as one. */
#ifndef UNIT_H2_WIRE_H
#define UNIT_H2_WIRE_H

#include "h2/h2_int.h"

enum wire_split { WIRE_WHOLE, WIRE_BYTES, WIRE_RANDOM };

struct wire {
    struct fg_mem mem;
    struct fg_slab streams;
    struct fg_h2_options options; /* change them between wire_init and wire_open */
    uint64_t now_ns;
    uint64_t faults[FG_H2_FAULT_LEN];
    struct fg_h2_conn conn;
    struct fg_hpack_encoder encoder; /* the peer's */
    struct fg_hpack_decoder decoder;

    enum wire_split split;
    uint64_t seed;
    bool consume;            /* DATA is given back inside on_data */
    bool log_sent, log_slots; /* tell of on_sent and on_slots, too */
    size_t pull_bytes;       /* of wire_take; all by default */
    const char *hook_event;  /* when an event's line begins so ... */
    const char *hook_line;   /* ... this is done inside the callback, once */

    bool told;               /* on_output was called since the last pull */
    size_t sent_data[64], got_data[64]; /* by stream id / 2: DATA of the engine's; of the peer's, as told */
    int64_t credit[64], connection_credit; /* sum of the engine's WINDOW_UPDATEs */
    uint8_t *unread;         /* output that is not a whole frame yet */
    size_t unread_len;
    uint8_t *block;          /* of HEADERS without END_HEADERS */
    size_t block_len;
    struct fg_buf data;      /* an event that may go on */
    uint32_t data_stream;
    bool data_end;
    char *log;
    size_t log_len;
};

/* Options that no test runs into by chance: windows of 65535, guard limits far away, no timers. */
void wire_init(struct wire *w, enum fg_h2_role role);
/* Starts the connection and exchanges SETTINGS; the log is empty afterwards. */
void wire_open(struct wire *w);
/* Starts the connection only. */
void wire_begin(struct wire *w);
/* Does one line or several. A line that cannot be understood fails the test. */
void wire_do(struct wire *w, const char *lines);
/* printf to wire_do. */
void wire_dof(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What happened since the last time. Pulls output before. Valid until the next call. */
const char *wire_take(struct wire *w);
/* The connection goes; everything must have come back. */
void wire_end(struct wire *w);

void wire_feed(struct wire *w, const void *bytes, size_t len);
void wire_feed_frame(struct wire *w, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len);
struct fg_h2_stream *wire_stream(struct wire *w, uint32_t id); /* NULL: there is none */

/* Does LINES; then exactly EXPECTED must have happened. */
#define wire_expect(w, lines, expected)                                                                                \
    do {                                                                                                               \
        wire_do(w, lines);                                                                                             \
        assert_string_equal(wire_take(w), expected);                                                                   \
    } while (0)

#endif
