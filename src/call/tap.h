/* Taps: calls shown as they happen. A session (gateway/tap.h) has a sink at each worker; a call that a sink chooses at
 * its beginning writes what happens to it, in the form that the call knows (gRPC), into the sink's ring. Who calls
 * never waits: what finds no room there is counted as missed.
 *
 * Without a session a call's beginning costs one branch, and each of its events another one. All of a chosen call is
 * written or, where room is short, all but some of it: its end has room from the beginning. */
#ifndef FG_CALL_TAP_H
#define FG_CALL_TAP_H

#include "base/ring.h"
#include "call/call.h"

#define FG_TAP_SESSIONS   4
#define FG_TAP_RING_BYTES (2u << 20)  /* of one sink */
#define FG_TAP_CALLS      1000        /* in progress at a time, of one sink: their ends have room in the ring */
#define FG_TAP_END_BYTES  768         /* of the record of an end, at most */
#define FG_TAP_MAX_BYTES  (64u << 10) /* of one message */

enum fg_tap_kind {
    FG_TAP_BEGIN,       /* struct fg_tap_begin, then fields */
    FG_TAP_CLIENT,      /* what the client sent instead: struct fg_tap_client, then method and path */
    FG_TAP_HEADERS,     /* of the answer: fields */
    FG_TAP_MESSAGE,     /* struct fg_tap_piece, then bytes */
    FG_TAP_BYTES,       /* of a call without messages: struct fg_tap_piece, then bytes */
    FG_TAP_REQUEST_END, /* nothing */
    FG_TAP_TRAILERS,    /* fields */
    FG_TAP_ATTEMPT,     /* struct fg_tap_attempt, then the endpoint's name */
    FG_TAP_ATTEMPT_END, /* the same */
    FG_TAP_WAIT,        /* struct fg_tap_wait */
    FG_TAP_REPLY,       /* struct fg_tap_reply, then its message */
    FG_TAP_END,         /* struct fg_tap_end, then endpoint and reason */
};

/* What stands before each record. */
struct fg_tap_record {
    uint64_t call; /* its number; see fg_call */
    uint64_t at_ns;
    uint32_t len; /* of what follows */
    uint8_t kind; /* enum fg_tap_kind */
    bool down;    /* from the endpoint to the client */
    bool end;     /* nothing follows in this direction */
    bool cut;     /* some fields are left out */
};

/* Fields are these, each followed by name and value. */
struct fg_tap_field {
    uint32_t name_len, value_len;
    bool sensitive;
};

struct fg_tap_begin {
    struct fg_address peer, local;
    const char *dialect; /* static */
    uint32_t cluster;    /* index in the configuration; FG_TAP_NO_CLUSTER */
    uint32_t stream;     /* the client's id of it */
};

#define FG_TAP_NO_CLUSTER UINT32_MAX

struct fg_tap_client {
    uint32_t method_len;
};

struct fg_tap_piece {
    uint64_t number;     /* of the message, from 1 */
    uint32_t len;        /* of the whole message; of bytes without messages: of this piece, AT being in the body */
    uint32_t at, copied; /* where in it these bytes are, and how many follow */
    bool compressed;
};

struct fg_tap_attempt {
    uint32_t number;
    bool is_hedge;
    /* Of its end. */
    enum fg_status code;
    enum fg_source source;
    uint64_t start_ns;
};

struct fg_tap_wait {
    enum fg_wait_cause cause;
    uint64_t since_ns;
};

struct fg_tap_reply {
    enum fg_status code;
    enum fg_source source;
    enum fg_reason reason;
};

struct fg_tap_end {
    enum fg_status code;
    enum fg_source source;
    enum fg_class class;
    uint32_t rst_code, attempts;
    unsigned http_status;
    uint64_t start_ns, headers_ns, first_message_ns; /* monotonic; 0: not reached */
    uint64_t bytes_up, bytes_down, messages_up, messages_down;
    uint64_t stall_ns[FG_WAIT_LEN];
    uint32_t endpoint_len, reason_len;
};

/* Which calls. Texts: "" is any, and a "*" at the end stands for the rest. Shared by all workers of a session; what
 * changes is atomic. */
struct fg_tap_filter {
    char method[512]; /* may lack the leading "/" */
    char cluster[256], peer[64], dialect[32];
    char header[128], value[512]; /* a field of the request; header "": any */
    uint64_t interval_ns;         /* between two calls, in the long run */
    uint64_t burst_ns;            /* how far they may be ahead of that */
    uint64_t count;               /* of calls in all; 0: no bound */
    uint32_t max_bytes;           /* of one message */
    uint64_t next_ns;             /* atomic: when the next call is due */
    uint64_t chosen;              /* atomic */
};

/* Of one session at one worker; changed by the worker alone, but for the ring's reading side. */
struct fg_tap_sink {
    struct fg_tap_filter *filter; /* outlives it */
    struct fg_ring ring;
    struct fg_list calls; /* that were chosen and have not ended: struct fg_tap_entry */
    uint32_t calls_len;
    uint64_t missed, skipped; /* records without room; calls that match and were not chosen. Read by others */
};

/* The sinks of one worker. */
struct fg_tap {
    struct fg_tap_sink *sinks[FG_TAP_SESSIONS];
    unsigned len;
};

/* On the worker's thread. The caller owns SINK. */
void fg_tap_attach(struct fg_call_env *env, struct fg_tap *tap, struct fg_tap_sink *sink);
void fg_tap_detach(struct fg_call_env *env, struct fg_tap *tap, struct fg_tap_sink *sink); /* no call knows it then */

/* TEXT is what WANTED asks for. */
bool fg_tap_is_wanted(const char *wanted, struct fg_str text);

/* ---- what happens to a call; where nobody taps, one branch before these ---- */

void fg_tap_on_begin(struct fg_call *call);
void fg_tap_on_client(struct fg_call *call, struct fg_str method, struct fg_str path);
void fg_tap_on_fields(struct fg_call *call, enum fg_tap_kind kind, const struct fg_headers *fields);
void fg_tap_on_data(struct fg_call *call, bool down, struct fg_buf buf, bool end);
void fg_tap_on_attempt(struct fg_call *call, enum fg_tap_kind kind, const struct fg_attempt *attempt);
void fg_tap_on_wait(struct fg_call *call, enum fg_wait_cause cause, uint64_t since_ns);
void fg_tap_on_reply(struct fg_call *call, const struct fg_reply *reply);
void fg_tap_on_end(struct fg_call *call); /* its outcome is complete */

static inline void fg_tap_begin(struct fg_call *call)
{
    if (call->env->tap)
        fg_tap_on_begin(call);
}

/* The client's own request line, for calls that became gRPC on their way. */
static inline void fg_tap_client(struct fg_call *call, struct fg_str method, struct fg_str path)
{
    if (call->tap)
        fg_tap_on_client(call, method, path);
}

static inline void fg_tap_headers(struct fg_call *call, const struct fg_headers *fields)
{
    if (call->tap)
        fg_tap_on_fields(call, FG_TAP_HEADERS, fields);
}

static inline void fg_tap_trailers(struct fg_call *call, const struct fg_headers *fields)
{
    if (call->tap)
        fg_tap_on_fields(call, FG_TAP_TRAILERS, fields);
}

static inline void fg_tap_request(struct fg_call *call, struct fg_buf buf, bool end)
{
    if (call->tap)
        fg_tap_on_data(call, false, buf, end);
}

static inline void fg_tap_answer(struct fg_call *call, struct fg_buf buf)
{
    if (call->tap)
        fg_tap_on_data(call, true, buf, false);
}

static inline void fg_tap_attempt(const struct fg_attempt *attempt)
{
    if (attempt->call->tap)
        fg_tap_on_attempt(attempt->call, FG_TAP_ATTEMPT, attempt);
}

static inline void fg_tap_attempt_end(const struct fg_attempt *attempt)
{
    if (attempt->call->tap)
        fg_tap_on_attempt(attempt->call, FG_TAP_ATTEMPT_END, attempt);
}

static inline void fg_tap_wait(struct fg_call *call, enum fg_wait_cause cause, uint64_t since_ns)
{
    if (call->tap)
        fg_tap_on_wait(call, cause, since_ns);
}

static inline void fg_tap_reply(struct fg_call *call, const struct fg_reply *reply)
{
    if (call->tap)
        fg_tap_on_reply(call, reply);
}

static inline void fg_tap_end(struct fg_call *call)
{
    if (call->tap)
        fg_tap_on_end(call);
}

#endif
