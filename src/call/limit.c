/* How often: the route's rate limit, and the pace of the client's messages. */
#include "call/call.h"

/* ---- calls ---- */

/* What has a limit of its own. */
static struct fg_str key_of(const struct fg_call *call, const struct fg_config_rate_limit *limit)
{
    const struct fg_header *field = NULL;

    switch (limit->key) {
    case FG_LIMIT_KEY_NONE:
        break;
    case FG_LIMIT_KEY_METHOD:
        return call->path;
    case FG_LIMIT_KEY_PEER:
        return fg_address_host_bytes(call->peer);
    case FG_LIMIT_KEY_TENANT:
        field = fg_headers_find(&call->request, fg_str_from(call->route->tenant.header));
        break;
    case FG_LIMIT_KEY_HEADER:
        field = strcmp(limit->header, ":authority") == 0 ? fg_headers_get(&call->request, FG_TOKEN_AUTHORITY)
                                                         : fg_headers_find(&call->request, fg_str_from(limit->header));
        break;
    }
    return field ? field->value : FG_STR("");
}

static const char *per(uint64_t interval_ns, double *rate)
{
    uint64_t second = FG_S, minute = 60 * FG_S;

    *rate = (double)(interval_ns <= second   ? second
                     : interval_ns <= minute ? minute
                                             : 60 * minute) /
            (double)interval_ns;
    return interval_ns <= second ? "s" : interval_ns <= minute ? "m" : "h";
}

static struct fg_str limit_text(struct fg_call *call, uint64_t interval_ns, uint32_t burst)
{
    double rate;
    const char *period = per(interval_ns, &rate);

    return fg_arena_printf(call->down->arena, "%.6g/%s, burst %u", rate, period, burst);
}

bool fg_call_is_rate_limited(struct fg_call *call)
{
    const struct fg_config_rate_limit *limit = &call->route->rate_limit;

    if (limit->interval_ns == 0)
        return false;
    struct fg_rate_limit_result result =
        fg_rate_limiter_take(call->env->limiter, limit, (struct fg_str){call->route->path, call->route->path_len},
                             key_of(call, limit), call->env->loop->now_ns);
    if (result.shared)
        FG_COUNT(call->env->stats, rate_limit_overflows);
    if (result.allowed)
        return false;
    FG_COUNT(call->env->stats, rate_limited);
    struct fg_str text = limit_text(call, limit->interval_ns, limit->burst);
    struct fg_reply reply = fg_reply_make(
        FG_REASON_RATE_LIMITED,
        fg_arena_printf(call->down->arena,
                        "more calls than rate_limit of the route allows (%.*s); the next one in %llu ms", (int)text.len,
                        text.p, (unsigned long long)((result.wait_ns + FG_MS - 1) / FG_MS)));
    fg_reply_add(&reply, "threshold", text);
    reply.retry_after_ns = result.wait_ns;
    fg_call_fail(call, &reply);
    return true;
}

/* ---- failures on purpose ---- */

bool fg_call_is_aborted(struct fg_call *call)
{
    const struct fg_config_fault *fault = &call->route->fault;

    if (fault->abort == FG_STATUS_OK || (double)(fg_call_random(call->env) >> 11) * 0x1p-53 >= fault->share)
        return false;
    FG_COUNT(call->env->stats, faults_injected);
    struct fg_reply reply =
        fg_reply_make(FG_REASON_FAULT_INJECTED, FG_STR("aborted on purpose by `fault` of the route"));
    reply.code = (enum fg_status)fault->abort;
    fg_call_fail(call, &reply);
    return true;
}

/* ---- messages ---- */

bool fg_call_messages_allowed(struct fg_call *call, uint64_t messages)
{
    const struct fg_config_message_limit *limit = &call->route->message_limit;

    if (limit->interval_ns == 0 || limit->action != FG_MESSAGE_REJECT ||
        fg_message_pace_allows(&call->pace, limit, messages, call->env->loop->now_ns))
        return true;
    FG_COUNT(call->env->stats, message_rate_limited);
    struct fg_str text = limit_text(call, limit->interval_ns, limit->burst);
    struct fg_reply reply = fg_reply_make(
        FG_REASON_MESSAGE_RATE, fg_arena_printf(call->down->arena,
                                                "more messages in the stream than message_limit of the route allows "
                                                "(%.*s)",
                                                (int)text.len, text.p));
    fg_reply_add(&reply, "threshold", text);
    reply.retry_after_ns = limit->interval_ns;
    fg_call_fail(call, &reply);
    return false;
}

/* What came too early waits here; its bytes are not given back as window, so that the client waits, too. */
struct held {
    struct held *next;
    struct fg_buf buf;
    uint64_t messages;
    bool end;
};

bool fg_call_hold(struct fg_call *call, struct fg_buf buf, uint64_t messages, bool end)
{
    const struct fg_config_message_limit *limit = &call->route->message_limit;
    uint64_t now_ns = call->env->loop->now_ns;

    if (limit->interval_ns == 0 || limit->action != FG_MESSAGE_DELAY)
        return false;
    uint64_t delay_ns = call->held_head ? 1 : fg_message_pace_delay(&call->pace, limit, messages, now_ns);
    if (delay_ns == 0)
        return false;
    struct held *held = fg_arena_alloc(call->down->arena, sizeof *held);
    *held = (struct held){
        .buf = buf.len > 0 ? fg_buf_copy(buf.data, buf.len) : (struct fg_buf){0}, .messages = messages, .end = end};
    if (call->held_tail) {
        call->held_tail->next = held;
    } else {
        call->held_head = held;
        call->held_until_ns = now_ns + delay_ns;
        call->held_since_ns = now_ns;
        FG_COUNT(call->env->stats, messages_delayed);
    }
    call->held_tail = held;
    fg_call_arm(call);
    return true;
}

static void end_hold(struct fg_call *call)
{
    struct fg_waited waited = {FG_WAIT_MESSAGE_RATE, call->held_since_ns, call->env->loop->now_ns, NULL};

    fg_call_waited(call, NULL, &waited);
    call->held_until_ns = FG_NEVER;
}

void fg_call_release_held(struct fg_call *call)
{
    const struct fg_config_message_limit *limit = &call->route->message_limit;
    uint64_t now_ns = call->env->loop->now_ns;

    while (call->held_head && !call->answered) {
        struct held *held = call->held_head;
        uint64_t delay_ns = fg_message_pace_delay(&call->pace, limit, held->messages, now_ns);
        if (delay_ns > 0) {
            call->held_until_ns = now_ns + delay_ns;
            return;
        }
        call->held_head = held->next;
        if (!call->held_head)
            call->held_tail = NULL;
        fg_call_send_on(call, held->buf, held->end);
        fg_buf_unref(&held->buf);
    }
    end_hold(call);
}

void fg_call_drop_held(struct fg_call *call)
{
    if (call->held_head)
        end_hold(call);
    for (struct held *held = call->held_head; held; held = held->next)
        fg_buf_unref(&held->buf);
    call->held_head = call->held_tail = NULL;
}
