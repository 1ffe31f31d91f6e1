/* A call: one request of a client and its answer. It has a deadline, a route, and attempts: tries on one endpoint each.
 *
 * A call lives in the arena of its downstream stream and ends with it: whatever happens upstream, on_close of the
 * downstream stream is the last event. Its outcome is recorded exactly then, each attempt's when that attempt ends. */
#ifndef FG_CALL_CALL_H
#define FG_CALL_CALL_H

#include "base/list.h"
#include "call/reply.h"
#include "config/config.h"
#include "http/stream.h"
#include "io/timer.h"
#include "policy/breaker.h"
#include "rpc/grpc.h"
#include "rpc/outcome.h"
#include "upstream/cluster.h"

struct fg_call;
struct fg_dialect;

/* What takes outcomes: metrics and logs. */
struct fg_outcome_sink {
    void (*on_attempt)(void *context, const struct fg_outcome *outcome);
    void (*on_call)(void *context, const struct fg_call *call, const struct fg_outcome *outcome);
    void *context;
};

/* What all calls of one worker share. */
struct fg_call_env {
    struct fg_loop *loop;
    struct fg_stats *stats;
    const struct fg_config *config;
    struct fg_cluster *clusters; /* by the configuration's index */
    struct fg_breaker_registry *breakers;
    struct fg_outcome_sink sink;
    struct fg_list calls;
    bool draining;
};

struct fg_attempt {
    struct fg_call *call;
    struct fg_endpoint *endpoint;
    struct fg_stream *up; /* NULL: none yet, or ended */
    struct fg_slot_wait slot;
    struct fg_breaker *breaker; /* of method x endpoint */
    uint32_t ticket, rollup_ticket;
    uint32_t number;
    uint64_t queued_ns;    /* since when it waits for a slot; 0: it does not */
    uint64_t last_data_ns; /* when the endpoint last sent something */
    struct fg_outcome outcome;
    bool ended;
};

struct fg_call {
    struct fg_call_env *env;
    struct fg_list node; /* in env->calls */
    struct fg_stream *down;
    const struct fg_address *peer; /* the client's; valid until the call's outcome has been recorded */
    const struct fg_dialect *dialect;
    struct fg_headers request; /* lives as long as the call */
    struct fg_str path;        /* "/pkg.Service/Method": without query */
    const struct fg_config_route *route;
    struct fg_cluster *cluster;
    uint64_t start_ns, deadline_ns; /* FG_NEVER: none */
    struct fg_timer timer;          /* deadline, or pending timeout while it waits for a slot */
    struct fg_attempt *attempt;     /* the latest; NULL: none made */

    struct fg_seg *early_head, *early_tail; /* request data that came before a stream to the endpoint was there */
    struct fg_grpc_framing up_framing, down_framing;
    uint64_t bytes_up, bytes_down;
    bool request_ended : 1, headers_sent : 1, answered : 1 /* the end of the answer is queued */, ended : 1;

    struct fg_outcome outcome; /* what the caller was told; complete when the stream has closed */
};

/* A request has arrived on DOWN: takes it to its end. FLAGS are those of on_headers. */
void fg_call_start(struct fg_call_env *env, const struct fg_dialect *dialect, struct fg_stream *down,
                   struct fg_headers *request, unsigned flags);

/* Ends the call with a status that the gateway makes itself. Attempts in progress are cancelled by the caller. */
void fg_call_fail(struct fg_call *call, const struct fg_reply *reply);

/* What the call waits for, seen from the caller; `since_ns` 0: it does not. */
struct fg_wait fg_call_wait(const struct fg_call *call);

/* ---- attempt.c ---- */

void fg_attempt_start(struct fg_call *call);
void fg_attempt_send_data(struct fg_attempt *attempt, struct fg_buf buf, bool end); /* borrows BUF */
/* Stops it because of something on our or the client's side: RST_STREAM(CANCEL). CODE, SOURCE go into its outcome. */
void fg_attempt_cancel(struct fg_attempt *attempt, enum fg_status code, enum fg_source source);

/* ---- what a dialect does ---- */

struct fg_dialect {
    const char *name;
    /* Looks at the request; sets call->path and call->deadline_ns. False: it has answered with fg_call_fail. */
    bool (*begin)(struct fg_call *call);
    /* The canonical (gRPC) answer, in the client's form. */
    void (*send_headers)(struct fg_call *call, struct fg_headers *headers);
    void (*send_data)(struct fg_call *call, struct fg_buf buf); /* takes the reference */
    void (*send_trailers)(struct fg_call *call, struct fg_headers *trailers);
    /* HEADERS that are trailers at once. */
    void (*send_trailers_only)(struct fg_call *call, struct fg_headers *headers);
    /* A status of the gateway's own, before or after the headers were sent. */
    void (*send_reply)(struct fg_call *call, const struct fg_reply *reply);
};

#endif
