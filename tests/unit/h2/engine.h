/* The HTTP/2 engine by hand, for tests: frames in, frames out as text, and a clock that stands still.
 *
 *     struct engine *e = engine_new(FG_H2_SERVER);
 *     e->options.ping_rate = 1; // limits are those of the product, clocks are off
 *     engine_open(e);           // both sides' SETTINGS and acknowledgements are through
 *     feed_request(e, 1, true);
 *     expect_out(e, "");
 *     engine_free(e);           // nothing may be left of its memory
 */
#ifndef UNIT_H2_ENGINE_H
#define UNIT_H2_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "h2/h2_int.h"

#define ENGINE_STREAMS    1024 /* watched at a time */
#define ENGINE_TEXT_BYTES (64u << 10)

/* What the callbacks told of a stream. */
struct watched {
    struct fg_h2_stream *stream; /* NULL: not open */
    unsigned headers;            /* how many lists came */
    unsigned flags;              /* of the last one */
    size_t received;             /* bytes of DATA */
    bool ended;
    unsigned closed; /* calls of on_close */
    struct fg_h2_close close;
};

struct engine {
    struct fg_mem mem;
    struct fg_slab slab;
    struct fg_h2_options options;
    struct fg_h2_conn conn;
    uint64_t now_ns, faults[FG_H2_FAULT_LEN];
    bool keeps_data; /* on_data does not consume */
    unsigned slots_told, outputs_told;
    struct { /* what on_waited told last */
        unsigned told;
        uint32_t stream;
        struct fg_waited waited;
        struct fg_wait_holders holders; /* len 0: none */
    } waits;
    void (*on_close)(struct engine *e, uint32_t id); /* NULL, or called at the end of each stream */
    struct watched streams[ENGINE_STREAMS];
    char out[ENGINE_TEXT_BYTES]; /* the last turn's output */
    size_t out_len;
};

struct engine *engine_new(enum fg_h2_role role);
void engine_begin(struct engine *e); /* the connection is made; nothing came yet, our first frames wait */
void engine_greet(struct engine *e); /* the peer's preface and empty SETTINGS come; it has not acknowledged ours */
void engine_open(struct engine *e);  /* all of it */
void engine_free(struct engine *e);

struct watched *watched(struct engine *e, uint32_t id);
struct fg_h2_stream *stream_of(struct engine *e, uint32_t id); /* it must be open */

/* ---- what the peer sends ---- */
void feed(struct engine *e, const void *data, size_t len);
void feed_frame(struct engine *e, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len);
void feed_setting(struct engine *e, uint16_t id, uint32_t value);
void feed_settings_ack(struct engine *e);
void feed_ping(struct engine *e, uint8_t flags, const char payload[8]);
void feed_window(struct engine *e, uint32_t id, uint32_t increment);
void feed_reset(struct engine *e, uint32_t id, uint32_t code);
void feed_goaway(struct engine *e, uint32_t last_id, uint32_t code);
void feed_data(struct engine *e, uint32_t id, size_t len, bool end);
void feed_request(struct engine *e, uint32_t id, bool end);  /* GET / */
void feed_response(struct engine *e, uint32_t id, bool end); /* 200 */

/* A stream on which the peer may send DATA: a request (server role), or one with the response's HEADERS. */
void open_stream(struct engine *e, uint32_t id);

/* ---- what the user of the engine does ---- */
uint32_t send_request(struct engine *e, bool end); /* the id */
void send_response(struct engine *e, uint32_t id, bool end);
void send_data(struct engine *e, uint32_t id, size_t len, bool end);
void send_trailers(struct engine *e, uint32_t id); /* grpc-status: 0 */
void send_reset(struct engine *e, uint32_t id, uint32_t code);
void pass(struct engine *e, uint64_t ns); /* time; the timers are looked at */

/* ---- what must have happened ---- */

/* A turn ends: what the engine wants to send is taken and must be FRAMES, one a line, such as
 *     PING ack "abcdefgh"
 *     HEADERS 1 end 88
 *     DATA 1 1000
 * Numbers behind the type are the stream, then the value; payloads of HEADERS are in hexadecimal. */
void expect_out(struct engine *e, const char *frames);
void skip_out(struct engine *e);

/* The connection was ended for FAULT: that was counted once, GOAWAY with LAST_ID, CODE and the reason is all there is
 * to send, every stream is gone, and no timer runs. The other: FRAMES go out before it. */
void expect_failed(struct engine *e, enum fg_h2_fault fault, uint32_t last_id, enum fg_h2_error code);
void expect_failed_after(struct engine *e, const char *frames, enum fg_h2_fault fault, uint32_t last_id,
                         enum fg_h2_error code);
void expect_alive(struct engine *e); /* no fault that ends it */
/* The stream was closed, once. */
void expect_close(struct engine *e, uint32_t id, enum fg_h2_close_by by, uint32_t code);
/* The next timer is NS from now; FG_NEVER: there is none. */
void expect_timer(struct engine *e, uint64_t ns);

#endif
