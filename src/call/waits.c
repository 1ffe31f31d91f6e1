/* What held a call up: for how long in all, by cause, and the long waits one by one. What both sides of a call wait for
 * at the same time is counted on both. */
#include "call/tap.h"

/* ---- long waits ---- */

static const struct fg_wait_holders *keep_holders(struct fg_arena *arena, const struct fg_wait_holders *holders)
{
    struct fg_wait_holders *copy;

    if (!holders || (holders->len == 0 && holders->gone_bytes == 0))
        return NULL;
    copy = fg_arena_alloc(arena, sizeof *copy);
    *copy = *holders;
    return copy;
}

static void note(struct fg_call *call, const struct fg_attempt *attempt, const struct fg_waited *waited,
                 uint32_t stream, uint64_t connection)
{
    struct fg_call_wait wait = {
        .since_ns = waited->since_ns,
        .until_ns = waited->until_ns,
        .attempt = attempt ? attempt->number : 0,
        .cause = waited->cause,
        .stream = stream,
        .connection = connection,
        .holders = waited->holders,
    };

    if (waited->until_ns - waited->since_ns < FG_LONG_WAIT_NS)
        return;
    fg_tap_wait(call, waited->cause, waited->since_ns);
    if (call->env->sink.on_wait)
        call->env->sink.on_wait(call->env->sink.context, call, &wait);
    if (call->waits_len == FG_CALL_WAITS_MAX || !call->down)
        return;
    struct fg_call_wait *kept = fg_arena_alloc(call->down->arena, sizeof *kept);
    *kept = wait;
    kept->holders = keep_holders(call->down->arena, waited->holders);
    *(call->last_wait ? &call->last_wait->next : &call->waits) = kept;
    call->last_wait = kept;
    call->waits_len++;
}

void fg_call_note_wait(struct fg_call *call, const struct fg_attempt *attempt, const struct fg_waited *waited,
                       const struct fg_stream *stream)
{
    note(call, attempt, waited, stream->ops->id(stream), stream->conn->number);
}

void fg_call_waited(struct fg_call *call, struct fg_attempt *attempt, const struct fg_waited *waited)
{
    uint64_t *stall_ns = attempt ? attempt->outcome.stall_ns : call->outcome.stall_ns;

    stall_ns[waited->cause] += waited->until_ns - waited->since_ns;
    note(call, attempt, waited, 0, 0);
}

void fg_call_end_pause(struct fg_call *call)
{
    struct fg_waited waited = {FG_WAIT_RETRY, 0, call->env->loop->now_ns, NULL};

    if (!call->retry_ns || !call->attempt)
        return;
    waited.since_ns = call->attempt->outcome.end_ns;
    call->retry_ns = 0;
    fg_call_waited(call, NULL, &waited);
}

/* ---- a place on a connection ---- */

static uint64_t overlap(uint64_t since_ns, uint64_t until_ns, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t begin_ns = FG_MAX(since_ns, from_ns), end_ns = FG_MIN(until_ns, to_ns);
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

/* Who has the slots of the endpoint's fullest connection, whose number is returned; 0: nobody. */
static uint64_t find_slots(const struct fg_endpoint *endpoint, struct fg_wait_holders *holders)
{
    const struct fg_conn *fullest = NULL;
    uint32_t most = 0;

    for (uint32_t i = 0; i < endpoint->conns_len; i++) {
        uint32_t open = fg_conn_load(endpoint->conns[i]).open;
        if (open <= most)
            continue;
        most = open;
        fullest = endpoint->conns[i];
    }
    if (!fullest)
        return 0;
    fg_conn_slot_holders(fullest, holders);
    return fullest->number;
}

void fg_attempt_note_slots(struct fg_attempt *attempt)
{
    struct fg_wait_holders holders;

    attempt->slot_connection = find_slots(attempt->endpoint, &holders);
    if (attempt->slot_connection)
        attempt->slot_holders = keep_holders(attempt->call->down->arena, &holders);
}

void fg_attempt_slot_waited(struct fg_attempt *attempt, const struct fg_conn *conn)
{
    uint64_t since_ns = attempt->queued_ns, until_ns = attempt->call->env->loop->now_ns, longest_ns = 0;
    uint64_t *stall_ns = attempt->outcome.stall_ns;
    struct fg_waited waited = {FG_WAIT_STREAM_SLOT, since_ns, until_ns, attempt->slot_holders};
    struct fg_wait_holders holders;

    if (conn && conn->ready_ns > since_ns) { /* it waited for this very connection to be made */
        const struct {
            enum fg_wait_cause cause;
            uint64_t from_ns, to_ns;
        } steps[] = {{FG_WAIT_STREAM_SLOT, since_ns, conn->begun_ns},
                     {FG_WAIT_CONNECT, conn->begun_ns, conn->connected_ns},
                     {FG_WAIT_TLS, conn->connected_ns, conn->opened_ns},
                     {FG_WAIT_SETTINGS, conn->opened_ns, conn->ready_ns},
                     {FG_WAIT_STREAM_SLOT, conn->ready_ns, until_ns}};
        for (size_t i = 0; i < FG_ARRAY_LEN(steps); i++) {
            uint64_t ns = overlap(since_ns, until_ns, steps[i].from_ns, steps[i].to_ns);
            stall_ns[steps[i].cause] += ns;
            if (ns <= longest_ns)
                continue;
            longest_ns = ns;
            waited.cause = steps[i].cause;
        }
    } else {
        if (!conn)
            waited.cause = fg_endpoint_wait_cause(attempt->endpoint);
        stall_ns[waited.cause] += until_ns - since_ns;
    }
    if (waited.cause != FG_WAIT_STREAM_SLOT)
        waited.holders = NULL;
    else if (!waited.holders && (attempt->slot_connection = find_slots(attempt->endpoint, &holders)))
        waited.holders = &holders; /* those came after it, or together with it */
    note(attempt->call, attempt, &waited, 0, waited.holders ? attempt->slot_connection : 0);
}

/* ---- the peers themselves ---- */

static bool is_moving(const struct fg_stream *stream)
{
    return !stream || stream->ops->wait(stream).cause == FG_WAIT_NONE;
}

/* What the client does not take, the endpoint may not send: that is no wait for the endpoint. */
void fg_attempt_heard(struct fg_attempt *attempt)
{
    uint64_t now_ns = attempt->call->env->loop->now_ns, before_ns = attempt->last_data_ns;

    attempt->last_data_ns = now_ns;
    if (now_ns == before_ns)
        return;
    if (attempt->outcome.headers_ns == 0)
        attempt->outcome.stall_ns[FG_WAIT_PEER_HEADERS] += now_ns - before_ns;
    else if (is_moving(attempt->call->down))
        attempt->outcome.stall_ns[FG_WAIT_PEER_DATA] += now_ns - before_ns;
}

void fg_call_heard(struct fg_call *call)
{
    const struct fg_attempt *attempt = fg_call_answering(call);
    uint64_t now_ns = call->env->loop->now_ns, before_ns = call->last_client_ns;

    call->last_client_ns = now_ns;
    if (now_ns != before_ns && is_moving(attempt ? attempt->up : NULL))
        call->outcome.stall_ns[FG_WAIT_CLIENT_DATA] += now_ns - before_ns;
}

/* ---- what it waits for now ---- */

/* Nothing is left that the endpoint could answer. */
static bool is_clients_turn(const struct fg_call *call, const struct fg_attempt *attempt)
{
    if (call->request_ended || call->opaque)
        return false;
    return call->whole || call->framing.messages <= attempt->framing.messages;
}

struct fg_wait fg_call_wait(const struct fg_call *call)
{
    const struct fg_attempt *attempt = fg_call_answering(call);

    if (call->held_head)
        return (struct fg_wait){call->held_since_ns, FG_WAIT_MESSAGE_RATE};
    if (call->retry_ns)
        return (struct fg_wait){attempt->outcome.end_ns, FG_WAIT_RETRY};
    if (call->down) {
        struct fg_wait wait = call->down->ops->wait(call->down);
        if (wait.cause != FG_WAIT_NONE)
            return wait;
    }
    if (call->answered)
        return (struct fg_wait){call->start_ns, FG_WAIT_NONE};
    if (!attempt)
        return (struct fg_wait){call->last_client_ns, call->deferred ? FG_WAIT_CLIENT_DATA : FG_WAIT_NONE};
    if (attempt->queued_ns)
        return (struct fg_wait){attempt->queued_ns, attempt->waits_in == FG_GATE_SLOT
                                                        ? fg_endpoint_wait_cause(attempt->endpoint)
                                                        : FG_WAIT_GATE};
    if (attempt->up) {
        struct fg_wait wait = attempt->up->ops->wait(attempt->up);
        if (wait.cause != FG_WAIT_NONE)
            return wait;
    }
    if (is_clients_turn(call, attempt))
        return (struct fg_wait){FG_MAX(call->last_client_ns, attempt->last_data_ns), FG_WAIT_CLIENT_DATA};
    if (attempt->outcome.headers_ns == 0)
        return (struct fg_wait){FG_MAX(attempt->outcome.start_ns, call->last_client_ns), FG_WAIT_PEER_HEADERS};
    return (struct fg_wait){attempt->last_data_ns, FG_WAIT_PEER_DATA};
}

bool fg_call_current_wait(const struct fg_call *call, struct fg_call_wait *out, struct fg_wait_holders *room)
{
    struct fg_wait wait = fg_call_wait(call);
    const struct fg_attempt *attempt = fg_call_answering(call);
    bool is_down = call->down && call->down->ops->wait(call->down).cause != FG_WAIT_NONE;
    const struct fg_stream *stream = is_down ? call->down : attempt ? attempt->up : NULL;

    if (wait.cause == FG_WAIT_NONE)
        return false;
    bool is_clients = is_down || wait.cause == FG_WAIT_MESSAGE_RATE || wait.cause == FG_WAIT_CLIENT_DATA ||
                      wait.cause == FG_WAIT_RETRY;
    *out = (struct fg_call_wait){.since_ns = wait.since_ns,
                                 .until_ns = call->env->loop->now_ns,
                                 .attempt = attempt && !is_clients ? attempt->number : 0,
                                 .cause = wait.cause,
                                 .stream = stream ? stream->ops->id(stream) : 0,
                                 .connection = stream ? stream->conn->number : 0};
    if (wait.cause == FG_WAIT_CONNECTION_WINDOW)
        out->holders = fg_conn_holders(stream->conn);
    else if (wait.cause == FG_WAIT_STREAM_SLOT && (out->connection = find_slots(attempt->endpoint, room)))
        out->holders = room;
    return true;
}
