/* Whose turn it is: attempts that wait for room at the cluster's gate, or for a stream slot of their endpoint. */
#include "call/tap.h"

#include "policy/gate.h"

static const struct fg_config_limits *limits_of(const struct fg_attempt *attempt)
{
    return &attempt->call->cluster->config->limits;
}

static struct fg_gate *gate_of(const struct fg_attempt *attempt)
{
    return attempt->call->cluster->gate;
}

/* ---- refusals ---- */

static struct fg_reply queue_reply(const struct fg_attempt *attempt, enum fg_reason reason, const char *message)
{
    struct fg_arena *arena = attempt->call->down->arena;
    struct fg_reply reply = fg_reply_make(reason, fg_str_from(message));
    struct fg_gate_info info;

    fg_gate_describe(gate_of(attempt), limits_of(attempt), &info);
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%u", info.pending));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%u", limits_of(attempt)->pending));
    return reply;
}

static void refuse_full(struct fg_attempt *attempt)
{
    struct fg_reply reply =
        queue_reply(attempt, FG_REASON_QUEUE_FULL, "too many calls wait for the cluster (limits.pending)");

    FG_COUNT(attempt->call->env->stats, queue_overflows);
    fg_attempt_fail(attempt, &reply);
}

static void shed(struct fg_attempt *attempt)
{
    struct fg_reply reply = queue_reply(attempt, FG_REASON_SHED,
                                        "the queue of the cluster is full (limits.pending) and a call of a higher "
                                        "priority came");

    FG_COUNT(attempt->call->env->stats, calls_shed);
    fg_attempt_fail(attempt, &reply);
}

/* ---- places in the queue ---- */

bool fg_turn_wait(struct fg_attempt *attempt, enum fg_gate_lane lane)
{
    struct fg_call *call = attempt->call;

    if (fg_gate_queue_enter(gate_of(attempt), limits_of(attempt), call->env->worker, lane, call->priority) ==
        FG_GATE_FULL) {
        refuse_full(attempt);
        return false;
    }
    attempt->waits_in = (uint8_t)lane;
    attempt->queued_ns = call->env->loop->now_ns;
    attempt->outcome.phase = FG_PHASE_QUEUED;
    FG_COUNT(call->env->stats, calls_queued);
    return true;
}

void fg_turn_stop(struct fg_attempt *attempt, bool has_left, const struct fg_conn *conn)
{
    struct fg_call *call = attempt->call;
    enum fg_gate_lane lane = (enum fg_gate_lane)attempt->waits_in;
    struct fg_waited waited = {FG_WAIT_GATE, attempt->queued_ns, call->env->loop->now_ns, NULL};

    if (!attempt->queued_ns)
        return;
    if (lane == FG_GATE_SLOT)
        fg_attempt_slot_waited(attempt, conn);
    else
        fg_call_waited(call, attempt, &waited);
    if (lane == FG_GATE_SLOT)
        fg_endpoint_cancel(&attempt->slot);
    else
        fg_fair_queue_remove(&call->cluster->turns[lane], &attempt->turn);
    if (!has_left)
        fg_gate_queue_leave(gate_of(attempt), call->env->worker, lane, call->priority);
    attempt->queued_ns = 0;
    FG_COUNT(call->env->stats, calls_dequeued);
    fg_call_arm(call);
}

/* ---- going in and out ---- */

bool fg_turn_enter(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    if (!call->cluster->is_gated)
        return true;
    attempt->lane = (uint8_t)fg_gate_lane_of(limits_of(attempt), call->is_long);
    if (fg_gate_try_enter(gate_of(attempt), limits_of(attempt), (enum fg_gate_lane)attempt->lane, call->priority)) {
        attempt->is_inside = true;
        return true;
    }
    if (!fg_turn_wait(attempt, (enum fg_gate_lane)attempt->lane))
        return false;
    fg_fair_queue_push(&call->cluster->turns[attempt->lane], &attempt->turn, call->priority, call->weight,
                       call->tenant);
    fg_call_arm(call);
    return false;
}

/* Does the adaptive limit learn from this outcome? */
static void sample(const struct fg_attempt *attempt)
{
    const struct fg_outcome *outcome = &attempt->outcome;
    bool dropped = outcome->class == FG_CLASS_OVERLOAD ||
                   (outcome->class == FG_CLASS_FAILURE && outcome->source == FG_SOURCE_DEADLINE);

    if (attempt->lane == FG_GATE_ACTIVE && limits_of(attempt)->adaptive.enabled &&
        (dropped || outcome->class == FG_CLASS_SUCCESS))
        fg_gate_sample(gate_of(attempt), limits_of(attempt), attempt->call->env->worker,
                       outcome->end_ns - attempt->sent_ns, dropped, outcome->end_ns);
}

void fg_turn_leave(struct fg_attempt *attempt)
{
    if (!attempt->is_inside)
        return;
    attempt->is_inside = false;
    if (attempt->sent_ns)
        sample(attempt);
    fg_gate_leave(gate_of(attempt), limits_of(attempt), attempt->call->env->worker, (enum fg_gate_lane)attempt->lane);
}

uint64_t fg_turn_promotion_ns(const struct fg_attempt *attempt)
{
    const struct fg_config_limits *limits = limits_of(attempt);

    if (!attempt->is_inside || attempt->lane != FG_GATE_ACTIVE || limits->long_streams == 0)
        return FG_NEVER;
    return attempt->entered_ns + limits->long_after_ns;
}

void fg_turn_promote(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    if (!attempt->was_long)
        fg_learned_report_long(fg_learned_get(call->env->learned, call->cluster->name, call->path));
    attempt->was_long = true;
    attempt->lane = (uint8_t)fg_gate_promote(gate_of(attempt), limits_of(attempt), attempt->call->env->worker);
    attempt->entered_ns = attempt->call->env->loop->now_ns; /* again after as long a time, if there was no room */
}

/* ---- the gate has something for this worker ---- */

static void evict(struct fg_cluster *cluster, enum fg_gate_lane lane, unsigned priority)
{
    struct fg_fair_item *item = NULL;

    if (lane != FG_GATE_SLOT) {
        item = fg_fair_queue_shed_from(&cluster->turns[lane], priority);
    } else {
        for (size_t i = 0; i < cluster->endpoints_len && !item; i++)
            if (cluster->endpoints[i].waiting)
                item = fg_fair_queue_shed_from(cluster->endpoints[i].waiting, priority);
    }
    if (!item)
        return;
    struct fg_attempt *attempt =
        lane == FG_GATE_SLOT
            ? FG_CONTAINER_OF(FG_CONTAINER_OF(item, struct fg_slot_wait, item), struct fg_attempt, slot)
            : FG_CONTAINER_OF(item, struct fg_attempt, turn);
    fg_turn_stop(attempt, true, NULL);
    shed(attempt);
}

static void serve(struct fg_call_env *env, struct fg_cluster *cluster, enum fg_gate_lane lane)
{
    struct fg_fair_queue *queue = &cluster->turns[lane];

    for (;;) {
        struct fg_fair_item *item = fg_fair_queue_peek(queue);
        if (!fg_gate_next(cluster->gate, &cluster->config->limits, env->worker, lane,
                          item ? item->priority : FG_GATE_NOBODY))
            return;
        struct fg_attempt *attempt = FG_CONTAINER_OF(fg_fair_queue_pop(queue), struct fg_attempt, turn);
        attempt->is_inside = true;
        fg_turn_stop(attempt, true, NULL);
        fg_attempt_begin(attempt);
    }
}

void fg_turn_woken(struct fg_call_env *env, struct fg_cluster *cluster)
{
    enum fg_gate_lane lane;
    unsigned priority;

    fg_gate_woken(cluster->gate, env->worker);
    while (fg_gate_evicted(cluster->gate, env->worker, &lane, &priority))
        evict(cluster, lane, priority);
    serve(env, cluster, FG_GATE_ACTIVE);
    serve(env, cluster, FG_GATE_LONG);
}
