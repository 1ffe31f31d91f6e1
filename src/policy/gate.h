/* The gate of a cluster: how many attempts are in progress, and who goes next when there is no room. Shared by all
 * workers; lives from the first sight of the cluster to the end of the process, while limits come and go with the
 * configuration and are handed to each call. Lock-free; time is a parameter.
 *
 * An attempt goes on in one of two lanes with room of their own:
 *   ACTIVE  limits.streams and the adaptive limit, whichever is less
 *   LONG    limits.long_streams: what has lasted longer than limits.long_after, and what usually does from the start.
 *           Without long_streams there is no such lane, and everything counts as ACTIVE.
 * A call that finds no room waits in its worker's fair queue (base/fair_queue.h) for that lane. A third lane, SLOT, is
 * for calls that wait for a stream slot of an endpoint: it has no room here, but its calls count against
 * limits.pending.
 *
 * What holds, over all workers and at every moment:
 *   - Nobody enters a lane in which as many are as its limit allows. (A limit that is lowered ends nobody.)
 *   - A newcomer does not enter while a call of the same or a higher priority waits for that lane, on whatever worker.
 *   - At most limits.pending calls wait, counted over all lanes.
 *   - No call waits while there is room, but for the moment until its worker has been woken.
 *
 * How room finds its caller. Whoever makes room, or begins to wait, gives out the free rooms: each goes as a grant to a
 * worker that has an ungranted call of the highest priority, round robin among those, the own worker in its turn. A
 * grant keeps its room free. The worker is woken through a callback, at most one wake being under way to it, and takes
 * what it was granted call by call with fg_gate_next, which passes the grant on when a call of a higher priority has
 * come to wait elsewhere, when the worker has nobody left, or when the limit has been lowered. Round robin gives
 * workers equal shares, so tenants share by weight within a worker. gate.c argues why no wake-up is lost.
 *
 * What a worker does when it is woken, on its own thread and not from within another function of the gate:
 *
 *     fg_gate_woken(gate, worker);
 *     while (fg_gate_evicted(gate, worker, &lane, &priority))
 *         take fg_fair_queue_shed_from(queue[lane], priority) out of its queue and refuse it (no fg_gate_queue_leave)
 *     for each lane of ACTIVE and LONG:
 *         for (;;) {
 *             item = fg_fair_queue_peek(queue[lane]);
 *             if (!fg_gate_next(gate, limits, worker, lane, item ? item->priority : FG_GATE_NOBODY))
 *                 break;
 *             pop the item and start its call
 *         } */
#ifndef FG_POLICY_GATE_H
#define FG_POLICY_GATE_H

#include "config/config.h"
#include "policy/adaptive.h"

#define FG_GATE_PRIORITIES 3
#define FG_GATE_NOBODY     (-1)
#define FG_GATE_OUTSIDE    UINT32_MAX /* a thread that is no worker */

enum fg_gate_lane { FG_GATE_ACTIVE, FG_GATE_LONG, FG_GATE_SLOT, FG_GATE_LANES };
#define FG_GATE_ROOMS 2 /* lanes that have room: ACTIVE and LONG */

struct fg_gate;

/* WAKE has worker TO do the above soon. It may be called on any thread: that of worker FROM, or FG_GATE_OUTSIDE. TO may
 * be FROM: then the end of the loop's turn is soon enough. It must not call the gate. */
typedef void fg_gate_wake(void *context, unsigned to, unsigned from);

struct fg_gate *fg_gate_new(unsigned workers, fg_gate_wake *wake, void *context);
void fg_gate_free(struct fg_gate *gate); /* nobody uses it any more; NULL is allowed */

/* ---- going on ----
 *
 * LIMITS are those that the caller's configuration has now. WORKER is the caller's index, or FG_GATE_OUTSIDE. A
 * priority above 2 counts as 2. */

/* The lane for a call that is expected to last longer than limits.long_after, or not. */
static inline enum fg_gate_lane fg_gate_lane_of(const struct fg_config_limits *limits, bool is_long)
{
    return is_long && limits->long_streams > 0 ? FG_GATE_LONG : FG_GATE_ACTIVE;
}

/* A newcomer asks for room in LANE. True: it is counted, and fg_gate_leave must follow. False: it has to wait. */
bool fg_gate_try_enter(struct fg_gate *gate, const struct fg_config_limits *limits, enum fg_gate_lane lane,
                       unsigned priority) __attribute__((warn_unused_result));

/* What had entered LANE (or was promoted to it) has ended. */
void fg_gate_leave(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker,
                   enum fg_gate_lane lane);

/* An attempt in ACTIVE has lasted for limits.long_after: returns the lane in which it is from now on. It goes to LONG
 * before any call that waits for that, since it is in progress already; if LONG is full it stays in ACTIVE, so that
 * what is in progress is bounded by both limits together whatever the endpoints do. It may be tried again after another
 * long_after. A call in progress is never ended for this. */
enum fg_gate_lane fg_gate_promote(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker)
    __attribute__((warn_unused_result));

/* An attempt has ended that belongs to ACTIVE, and has not left yet: the adaptive limit hears of it (adaptive.h says of
 * which ones). If more may go on now, those that wait are told. */
void fg_gate_sample(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker, uint64_t latency_ns,
                    bool dropped, uint64_t now_ns);

/* The limits may allow more than before (a new configuration). */
void fg_gate_limits_changed(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker);

/* ---- waiting ---- */

enum fg_gate_queued {
    FG_GATE_QUEUED,
    FG_GATE_DISPLACED, /* queued in the place of a call of a lower priority, whose worker has been woken to refuse it */
    FG_GATE_FULL,      /* limits.pending calls wait, none of them of a lower priority */
};

/* Takes a place in the queue of WORKER (the caller's) for a call that is put into its fair queue at once, before the
 * worker does anything else with the gate. If there is room, the worker that is to use it has been woken on return. A
 * full queue gives up a call of the lowest priority that is strictly lower: one of the own worker if it has one, else
 * of the worker with the most. */
enum fg_gate_queued fg_gate_queue_enter(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker,
                                        enum fg_gate_lane lane, unsigned priority) __attribute__((warn_unused_result));

/* A call of WORKER waits no more: cancelled, out of time, or (SLOT) it has what it waited for. Those that fg_gate_next
 * took or fg_gate_evicted named do not leave by this. */
void fg_gate_queue_leave(struct fg_gate *gate, unsigned worker, enum fg_gate_lane lane, unsigned priority);

void fg_gate_woken(struct fg_gate *gate, unsigned worker); /* first thing; later wakes will come again */

/* One call of WORKER had to give up its place: which queue to take it from. False: none. */
bool fg_gate_evicted(struct fg_gate *gate, unsigned worker, enum fg_gate_lane *lane, unsigned *priority);

/* May the call of PRIORITY that is first in WORKER's queue for LANE go on? True: it has entered and waits no more. Ask
 * until the answer is false, with FG_GATE_NOBODY when the queue is empty. */
bool fg_gate_next(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker, enum fg_gate_lane lane,
                  int priority) __attribute__((warn_unused_result));

/* ---- retries ---- */

/* A permit for one retry: fewer than limits.retries (0: no limit) are in progress, and with it they are at most
 * budget.share of all attempts in progress in both lanes at this moment, or at most budget.minimum if that is more. */
bool fg_gate_retry_enter(struct fg_gate *gate, const struct fg_config_limits *limits,
                         const struct fg_config_retry_budget *budget) __attribute__((warn_unused_result));
void fg_gate_retry_leave(struct fg_gate *gate);

/* ---- what is going on ---- */

struct fg_gate_info {
    uint32_t in_progress[FG_GATE_ROOMS]; /* attempts */
    uint32_t granted[FG_GATE_ROOMS];     /* rooms that are on their way to a worker */
    uint32_t limit[FG_GATE_ROOMS];       /* UINT32_MAX: none */
    uint32_t waiting[FG_GATE_LANES][FG_GATE_PRIORITIES];
    uint32_t pending; /* all that wait */
    uint32_t retries;
    uint64_t displaced; /* total */
    struct fg_adaptive_info adaptive;
};

/* Each number is exact; together they are of one moment only while nothing happens. */
void fg_gate_describe(struct fg_gate *gate, const struct fg_config_limits *limits, struct fg_gate_info *out);

/* Calls of WORKER that wait. */
uint32_t fg_gate_waiting_of(struct fg_gate *gate, unsigned worker, enum fg_gate_lane lane, unsigned priority);

#endif
