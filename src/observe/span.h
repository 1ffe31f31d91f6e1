/* Spans: what a trace shows of a call that is kept (call/trace.h says which). One span for the call, one for each of
 * its attempts, and what they waited for as events in them. A worker writes them into its ring when the call has ended;
 * one thread reads them there, at any time. The worker never waits: spans that find no room are dropped and counted
 * (fg_stats.spans_dropped). */
#ifndef FG_OBSERVE_SPAN_H
#define FG_OBSERVE_SPAN_H

#include "base/ring.h"
#include "rpc/outcome.h"

#define FG_SPAN_ATTEMPTS_MAX 16 /* of a call that have a span: the last ones */
#define FG_SPAN_EVENTS_MAX   16 /* of a span: the first ones */

enum fg_span_kind {
    FG_SPAN_CALL,    /* SPAN_KIND_SERVER: from the client's request to the end of its answer */
    FG_SPAN_ATTEMPT, /* SPAN_KIND_CLIENT: one try on one endpoint, a child of the call's span */
};

/* Why an attempt was made. */
enum fg_span_try { FG_SPAN_TRY_FIRST, FG_SPAN_TRY_RETRY, FG_SPAN_TRY_TRANSPARENT, FG_SPAN_TRY_HEDGE };

/* A wait of FG_LONG_WAIT_NS or more. */
struct fg_span_event {
    uint64_t start_ns, end_ns; /* since 1970 */
    enum fg_wait_cause cause;
    uint32_t stream;     /* that could not go on, on `connection`; 0: none was open yet */
    uint64_t connection; /* its number, as /streams has it */
    /* Who held what it waited for, those that held most first; holders_len 0: not known, or there is no such thing. */
    struct {
        uint32_t stream, bytes;
    } holders[FG_WAIT_HOLDERS];
    uint32_t holders_len, holders_more; /* in `holders`; others */
};

struct fg_span {
    /* As W3C Trace Context has them. */
    uint8_t trace_id[16], span_id[8];
    uint8_t parent_id[8]; /* all zero: none, the span is the trace's first */
    uint8_t trace_flags;  /* bit 0: sampled at the call's start. 0: kept because it failed or was slow */
    enum fg_span_kind kind;

    uint64_t start_ns, end_ns;             /* since 1970 */
    uint64_t headers_ns, first_message_ns; /* the same, of the answer; 0: not reached */

    /* How it ended. */
    enum fg_status code;
    enum fg_source source;
    enum fg_class class;
    enum fg_phase phase;
    unsigned http_status; /* that the endpoint sent; 0: none */
    uint32_t rst_code;    /* HTTP/2 error code, see fg_outcome; 0: none */
    struct fg_str reason; /* of a code that the gateway made: "BREAKER_OPEN"; "": none */

    /* What it was. */
    struct fg_str method;     /* "/pkg.Service/Method", or the path of HTTP as it is */
    struct fg_str cluster;    /* "": no route */
    struct fg_str route;      /* the path of the route in the configuration, with "*" where more may follow; "": none */
    struct fg_str endpoint;   /* "host:port"; of a call: the last one; "": none was chosen */
    struct fg_str peer;       /* the client, "1.2.3.4:567" */
    struct fg_str dialect;    /* how the client spoke: "grpc", "connect", "rest" and so on */
    struct fg_str tracestate; /* the client's, as it came; "": none */

    uint32_t attempt;           /* of a call: how many were made; of an attempt: its number, from 1 */
    uint32_t attempts_left_out; /* of a call: attempts that have no span */
    enum fg_span_try why;       /* of an attempt */
    uint64_t bytes_up, bytes_down, messages_up, messages_down;
    uint64_t stall_ns[FG_WAIT_LEN]; /* how long it waited in all, by cause */

    uint32_t events_len;
    struct fg_span_event events[FG_SPAN_EVENTS_MAX]; /* by their ends */
};

/* Reading side, one thread: hands at most MAX spans to TAKE, in the order in which they were written; of a call its own
 * comes first and its attempts follow. Returns how many there were; 0: none has come. SPAN and its texts are valid
 * until TAKE returns. */
size_t fg_span_read(struct fg_ring *ring, size_t max, void (*take)(void *context, const struct fg_span *span),
                    void *context);

/* Writing side: the spans of one call, all or none (false: there is no room). */
bool fg_span_write(struct fg_ring *ring, const struct fg_span *spans, size_t spans_len)
    __attribute__((warn_unused_result));

#endif
