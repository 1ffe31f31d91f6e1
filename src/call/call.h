/* A call: one request of a client and its answer. It has a deadline, a route, and attempts: tries on one endpoint each,
 * one after the other (retries) or side by side (hedging). The first whose answer is passed on has the call: from then
 * on it is committed, and the other attempts end.
 *
 * A call lives in the arena of its downstream stream and ends with it: whatever happens upstream, on_close of the
 * downstream stream is the last event. Its outcome is recorded exactly then, each attempt's when that attempt ends. */
#ifndef FG_CALL_CALL_H
#define FG_CALL_CALL_H

#include "base/crash.h"
#include "base/list.h"
#include "call/body.h"
#include "call/reply.h"
#include "call/report.h"
#include "config/config.h"
#include "http/stream.h"
#include "io/timer.h"
#include "policy/breaker.h"
#include "policy/gate.h"
#include "policy/learned.h"
#include "policy/rate_limit.h"
#include "policy/retry.h"
#include "rpc/grpc.h"
#include "rpc/outcome.h"
#include "upstream/cluster.h"

struct fg_call;
struct fg_dialect;
struct fg_service;
struct fg_tap;
struct fg_tap_call;

/* A wait of FG_LONG_WAIT_NS or more that is over. */
struct fg_call_wait {
    struct fg_call_wait *next;
    uint64_t since_ns, until_ns;
    uint32_t attempt; /* that waited; 0: the client's side of the call */
    enum fg_wait_cause cause;
    uint32_t stream;                       /* that could not go on, on `connection`; 0: none was open yet */
    uint64_t connection;                   /* fg_conn.number */
    const struct fg_wait_holders *holders; /* NULL: not known, or there is no such thing */
};

/* Those that a call keeps; later ones are told to the sink alone. */
#define FG_CALL_WAITS_MAX 16

/* What takes outcomes: metrics and logs. */
struct fg_outcome_sink {
    void (*on_attempt)(void *context, const struct fg_call *call, const struct fg_outcome *outcome);
    void (*on_call)(void *context, const struct fg_call *call, const struct fg_outcome *outcome);
    void *context;
    /* One of its long waits is over; NULL: of no interest. */
    void (*on_wait)(void *context, const struct fg_call *call, const struct fg_call_wait *wait);
    /* Once per call, when its route is known, or that it has none; what it returns is kept as call->sink_cell. Both may
     * be NULL. */
    void *(*on_start)(void *context, const struct fg_call *call);
    void (*on_attempt_start)(void *context, const struct fg_call *call);
};

/* What all calls of one worker share. */
struct fg_call_env {
    struct fg_loop *loop;
    struct fg_stats *stats;
    const struct fg_config *config;
    struct fg_cluster *clusters; /* by the configuration's index */
    struct fg_breaker_registry *breakers;
    struct fg_learned_table *learned;
    struct fg_rate_limiter *limiter;
    struct fg_outcome_sink sink;
    struct fg_tap *tap; /* NULL: nobody taps calls; see tap.h */
    struct fg_list calls;
    struct fg_call_reports reports;
    struct fg_list *scan;          /* whoever looks at all calls over several turns: the next one; NULL: nobody does */
    unsigned worker;               /* its index */
    uint32_t seed;                 /* of hashes of what clients choose */
    uint64_t random;               /* of backoff; never 0 */
    const struct fg_service *rest; /* of clusters whose service is rest */
    bool has_http;                 /* a cluster's service is http */
    const struct fg_log_format *notes; /* names fields of the answer that calls keep; NULL: it names none */
    bool draining;
};

struct fg_attempt {
    struct fg_call *call;
    struct fg_list node;          /* in call->attempts while it is in progress */
    struct fg_attempt *previous;  /* that the call made before; NULL: the first */
    struct fg_endpoint *endpoint; /* NULL: not chosen yet */
    struct fg_stream *up;         /* NULL: none yet, or ended */
    struct fg_slot_wait slot;
    struct fg_breaker *breaker; /* of method x endpoint */
    struct fg_breaker_ticket ticket, rollup_ticket;
    uint32_t number;
    struct fg_fair_item turn;                   /* in cluster->turns while it waits for room */
    uint8_t lane, waits_in;                     /* enum fg_gate_lane */
    uint64_t queued_ns;                         /* since when it waits for room or a slot; 0: it does not */
    const struct fg_wait_holders *slot_holders; /* who had the slots then; NULL: nobody */
    uint64_t slot_connection;                   /* fg_conn.number of theirs */
    uint64_t entered_ns;                        /* the gate, or when promotion was tried last */
    uint64_t sent_ns;                           /* the request's headers; 0: not yet */
    uint64_t expires_ns;                        /* retry.attempt_timeout; FG_NEVER: none */
    uint64_t last_data_ns;                      /* when the endpoint last sent something */
    uint64_t sent_bytes;                        /* of the request, framed on its stream */
    struct fg_headers held;         /* response headers that wait for the first message; in the stream's arena */
    struct fg_grpc_framing framing; /* of the answer */
    struct fg_outcome outcome;
    bool holds;      /* `held` has something */
    bool is_inside;  /* it has entered the gate and not left */
    bool was_long;   /* it has lasted for limits.long_after */
    bool has_permit; /* it is a retry or a hedge, and counts as one */
    bool is_hedge;   /* begun beside another one */
    bool was_shed;   /* by endpoints that are overloaded */
    bool ended;
};

/* What an attempt came to, before it is passed on or forgotten. */
struct fg_answer {
    const struct fg_reply *reply; /* a status of the gateway's own; NULL: the endpoint's, as follows */
    struct fg_headers headers;    /* empty: trailers-only, or passed on already */
    struct fg_headers trailers;
    enum fg_status code;
    enum fg_source source;
    uint32_t attempt; /* which one */
};

struct fg_call {
    struct fg_call_env *env;
    struct fg_list node; /* in env->calls */
    uint64_t number;     /* among the calls of its worker, from 1 */
    struct fg_stream *down;
    const struct fg_address *peer; /* the client's; valid until the call's outcome has been recorded */
    const struct fg_dialect *dialect;
    struct fg_headers request; /* lives as long as the call */
    struct fg_str path;        /* "/pkg.Service/Method": without query */
    const struct fg_config_route *route;
    struct fg_cluster *cluster;
    const struct fg_service *service; /* NULL: it is spoken to as it is */
    unsigned priority, weight;
    struct fg_breaker_rank rank;    /* what these are to the breakers */
    uint32_t tenant;                /* hash */
    struct fg_learned *learned;     /* of its method; NULL: nothing is known */
    bool is_long;                   /* calls of its method usually last longer than limits.long_after */
    uint64_t start_ns, deadline_ns; /* FG_NEVER: none */
    uint64_t last_message_ns;       /* data in either direction */
    uint64_t last_client_ns;        /* when the client last sent something */
    struct fg_list report_node;     /* in env->reports.waiting, if calls are reported */
    uint64_t report_ns;             /* when it is due */
    struct fg_timer timer;          /* armed for the first of everything that call.c's next_event() looks at */

    struct fg_list attempts;       /* in progress */
    struct fg_attempt *attempt;    /* the latest; NULL: none made */
    struct fg_attempt *committed;  /* whose answer is being passed on */
    struct fg_retry_call retries;  /* what was tried, one after the other */
    struct fg_hedge hedge;         /* the same, side by side */
    unsigned previous_attempts;    /* that count, before the one that begins */
    bool has_permit;               /* of the next attempt, if that is a retry or a hedge */
    struct fg_answer *last_answer; /* of an attempt that is being repeated; in the arena; NULL: none */
    uint64_t retry_ns;             /* when the next attempt is due; 0: none is */

    struct fg_call_wait *waits, *last_wait; /* the first long ones, in the order of their ends; in the arena */
    unsigned waits_len;

    struct fg_message_pace pace;
    struct held *held_head, *held_tail;    /* data that came faster than message_limit allows; see limit.c */
    uint64_t held_until_ns, held_since_ns; /* FG_NEVER: nothing is held */

    struct fg_str *notes; /* fields of the answer that the access log names, by its fg_log_part.note; NULL: none yet */
    struct fg_body body;
    struct fg_tap_call *tap;        /* NULL: nobody looks at this call */
    struct fg_grpc_framing framing; /* of the request */
    uint64_t bytes_up, bytes_down;
    uint64_t credited_bytes; /* given back to the client as window */
    bool request_ended : 1, headers_sent : 1, answered : 1 /* the end of the answer is queued */, ended : 1;
    bool one_message : 1; /* its method takes exactly one */
    bool opaque : 1;      /* HTTP as it is: there are no messages, and the status of the answer is the outcome */
    bool tunnel : 1;      /* CONNECT with :protocol: from 200 on bytes go both ways until one side ends (RFC 8441) */
    bool deferred : 1;    /* no attempt is made before data of the request has come; set by dialect->begin */
    bool whole : 1;       /* nor before all of it has */
    bool is_http1 : 1;    /* of the client */
    bool starting : 1, start_again : 1; /* fg_call_try is at work; and shall go round once more */

    struct fg_outcome outcome; /* what the caller was told; complete when the stream has closed */
    void *sink_cell;           /* of on_start */
};

/* The attempt that speaks for the call: the committed one, else the latest; NULL: none was made. */
static inline struct fg_attempt *fg_call_answering(const struct fg_call *call)
{
    return call->committed ? call->committed : call->attempt;
}

void fg_call_describe_crash(const void *call); /* crash.c */

/* The thread is at work for CALL from here on; of one that has ended the memory goes soon. */
static inline void fg_call_at_hand(const struct fg_call *call)
{
    if (!call->ended)
        fg_crash_at(call, fg_call_describe_crash);
}

/* A request has arrived on DOWN: takes it to its end. FLAGS are those of on_headers. */
void fg_call_start(struct fg_call_env *env, const struct fg_dialect *dialect, struct fg_stream *down,
                   struct fg_headers *request, unsigned flags);

/* Ends the call with a status that the gateway makes itself; attempts in progress end, too. */
void fg_call_fail(struct fg_call *call, const struct fg_reply *reply);

/* The call's deadline is over, or nearly: whose clock began earlier has seen it run out. */
bool fg_call_is_at_deadline(const struct fg_call *call);

/* Ends the call by a reset: nothing else tells the client that an answer which has begun is cut. For a dialect's
 * send_reply. */
void fg_call_abort(struct fg_call *call, uint32_t code);

/* Ends the call for an operator: with a status if the client can be told, else by a reset. */
void fg_call_kill(struct fg_call *call);

/* By the sets of codes of its route. */
enum fg_class fg_call_classify(const struct fg_call *call, const struct fg_outcome *outcome);

/* Ends all attempts in progress. CODE and SOURCE go into their outcomes. */
void fg_call_cancel_attempts(struct fg_call *call, enum fg_status code, enum fg_source source);

/* What the call has come to so far: everything but how it ends, and without the stalls of streams that are open. */
void fg_call_sum(const struct fg_call *call, struct fg_outcome *outcome);

/* Something has changed that the timer depends on. */
void fg_call_arm(struct fg_call *call);

/* The end of the answer is queued: nothing more is wanted from the client. */
void fg_call_finish(struct fg_call *call);

/* What has come of the request is queued on a stream: keeps it for another attempt, or forgets it. */
void fg_call_body_sent(struct fg_call *call);

/* ---- again.c: one attempt or several ---- */

uint64_t fg_call_random(struct fg_call_env *env);

void fg_call_try(struct fg_call *call); /* begins an attempt; never within another one's beginning */
/* May the answer of an attempt still be thrown away for another attempt? Then its headers are held. */
bool fg_call_may_try_again(const struct fg_call *call);
/* ATTEMPT answers: its headers go to the client, the others end, the request is kept no longer. */
void fg_call_commit(struct fg_call *call, struct fg_attempt *attempt);
/* ATTEMPT has ended (its outcome is complete) with ANSWER: passes it on, or tries again. ANSWER is borrowed. */
void fg_call_attempt_ended(struct fg_attempt *attempt, const struct fg_answer *answer);
void fg_call_cancel_others(struct fg_call *call, const struct fg_attempt *winner); /* hedges that are not needed */
uint64_t fg_call_next_try_ns(const struct fg_call *call); /* when the next attempt is due; FG_NEVER: none is */
void fg_call_drop_permit(struct fg_call *call);           /* it will not be tried again */
void fg_call_on_retry_timer(struct fg_call *call, uint64_t now_ns);

/* ---- note.c: what the access log names of the answer ---- */

void fg_call_note(struct fg_call *call, const struct fg_headers *fields, bool are_trailers);
void fg_call_note_reply(struct fg_call *call, const struct fg_reply *reply); /* a status of the gateway's own */

/* ---- limit.c: how often ---- */

bool fg_call_is_rate_limited(struct fg_call *call); /* then it has been answered */
bool fg_call_is_aborted(struct fg_call *call);      /* on purpose; the same */
/* MESSAGES have begun in what came from the client. False: too many, the call has been answered. */
bool fg_call_messages_allowed(struct fg_call *call, uint64_t messages);
/* Keeps BUF (borrowed) until its messages may go on. False: they may now. */
bool fg_call_hold(struct fg_call *call, struct fg_buf buf, uint64_t messages, bool end);
void fg_call_release_held(struct fg_call *call); /* what may go on now */
void fg_call_drop_held(struct fg_call *call);

/* Data of the request, and whether it ends it, to all attempts in progress; kept for those to come. Borrows BUF. */
void fg_call_send_on(struct fg_call *call, struct fg_buf buf, bool end);

/* ---- waits.c: what held it up ---- */

/* ATTEMPT (NULL: the client's side) has waited on STREAM, which adds its waits up itself. */
void fg_call_note_wait(struct fg_call *call, const struct fg_attempt *attempt, const struct fg_waited *waited,
                       const struct fg_stream *stream);
/* The same, of what no stream counts: it is added to the outcome. */
void fg_call_waited(struct fg_call *call, struct fg_attempt *attempt, const struct fg_waited *waited);
void fg_call_end_pause(struct fg_call *call);           /* before the next attempt, if there is one */
void fg_attempt_note_slots(struct fg_attempt *attempt); /* who has the slots that it begins to wait for */
/* It waited for a stream slot of its endpoint, until CONN gave it one (NULL: none did): a part of that may have been
 * for the making of CONN. */
void fg_attempt_slot_waited(struct fg_attempt *attempt, const struct fg_conn *conn);
/* Headers or data have come: what was waited for until then. */
void fg_attempt_heard(struct fg_attempt *attempt);
void fg_call_heard(struct fg_call *call); /* from the client */

/* What the call waits for, seen from the caller; `since_ns` 0: it does not. */
struct fg_wait fg_call_wait(const struct fg_call *call);
/* The same, with everything that is known of it; `until_ns` is now. ROOM is for the holders. False: it does not wait.
 */
bool fg_call_current_wait(const struct fg_call *call, struct fg_call_wait *wait, struct fg_wait_holders *room);

/* ---- attempt.c: one try ---- */

void fg_attempt_start(struct fg_call *call);
void fg_attempt_send_data(struct fg_attempt *attempt, struct fg_buf buf, bool end); /* borrows BUF */
/* Stops it because of something on our or the client's side: RST_STREAM(CANCEL). CODE, SOURCE go into its outcome. */
void fg_attempt_cancel(struct fg_attempt *attempt, enum fg_status code, enum fg_source source);
void fg_attempt_expire(struct fg_attempt *attempt);        /* retry.attempt_timeout is over */
void fg_attempt_queue_timeout(struct fg_attempt *attempt); /* limits.pending_timeout is over */

void fg_attempt_begin(struct fg_attempt *attempt);                        /* it has room */
void fg_attempt_fail(struct fg_attempt *attempt, struct fg_reply *reply); /* it came to a status of our own */

/* ---- turn.c: whose turn it is ---- */

/* Asks for room at the cluster's gate. False: it waits (fg_attempt_begin follows), or was refused and has ended. */
bool fg_turn_enter(struct fg_attempt *attempt);
void fg_turn_leave(struct fg_attempt *attempt); /* it has ended; harmless if it never entered */
/* Takes a place in the queue of LANE, which the caller puts it into. False: there was none, the attempt has ended. */
bool fg_turn_wait(struct fg_attempt *attempt, enum fg_gate_lane lane);
/* It waits no more, if it did. HAS_LEFT: the gate has counted it out already. CONN: the connection that it got; or
 * NULL.
 */
void fg_turn_stop(struct fg_attempt *attempt, bool has_left, const struct fg_conn *conn);
uint64_t fg_turn_promotion_ns(const struct fg_attempt *attempt); /* when it counts as long; FG_NEVER: not at all */
void fg_turn_promote(struct fg_attempt *attempt);
void fg_turn_woken(struct fg_call_env *env, struct fg_cluster *cluster); /* by the gate, on the worker's own thread */

/* ---- choose.c: on which endpoint ---- */

/* Chooses an endpoint and takes the permits of its breakers. NULL: all are refused. */
struct fg_endpoint *fg_attempt_choose(struct fg_attempt *attempt);
bool fg_call_is_untried_left(const struct fg_call *call); /* an endpoint that it was not tried on */
/* Why none takes the call; counts the refusal. */
struct fg_reply fg_attempt_refusal(struct fg_attempt *attempt);
/* Reports the outcome to the breakers. */
void fg_attempt_report(struct fg_attempt *attempt, uint64_t now_ns);

/* ---- how a service is spoken to that does not speak gRPC ---- */

struct fg_service {
    /* The call has a route and its request has begun. False: it has answered with fg_call_fail. */
    bool (*begin)(struct fg_call *call);
    /* Makes the request, which is whole in call->body, on CONN, which has a free slot. HEADERS are those of the gRPC
     * request. The stream gives a gRPC answer; what is sent on it is ignored. NULL: it cannot be made, REPLY says why.
     */
    struct fg_stream *(*request)(struct fg_call *call, struct fg_conn *conn, struct fg_headers *headers,
                                 const struct fg_stream_events *events, void *user, struct fg_reply *reply);
};

/* ---- what a dialect does ---- */

struct fg_dialect {
    const char *name;
    /* Looks at the request; sets call->path and call->deadline_ns. False: it has answered with fg_call_fail. */
    bool (*begin)(struct fg_call *call);
    /* A status of the gateway's own, before or after the headers were sent. */
    void (*send_reply)(struct fg_call *call, const struct fg_reply *reply);
};

#endif
