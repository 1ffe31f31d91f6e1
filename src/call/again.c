/* One attempt or several: when an answer is passed on, and when the call is tried again (gRFC A6). */
#include "call/tap.h"

#define COUNT_TRY(call, kind)                                                                                          \
    do {                                                                                                               \
        FG_COUNT((call)->env->stats, kind);                                                                            \
        (call)->outcome.kind++;                                                                                        \
    } while (0)

bool fg_call_may_try_again(const struct fg_call *call)
{
    return !call->committed && call->body.complete && call->route->retry.attempts > 1;
}

/* ---- keeping an answer until it is clear that there is no better one ---- */

static struct fg_headers copy_headers(struct fg_arena *arena, const struct fg_headers *from)
{
    struct fg_headers to;

    fg_headers_init(&to);
    for (uint32_t i = 0; i < from->len; i++) {
        struct fg_header *field = fg_headers_add_slot(&to, arena);
        *field = from->items[i];
        field->name = fg_arena_copy(arena, field->name);
        field->value = fg_arena_copy(arena, field->value);
    }
    return to;
}

static void keep(struct fg_call *call, const struct fg_answer *answer)
{
    struct fg_arena *arena = call->down->arena;
    struct fg_answer *kept = fg_arena_alloc(arena, sizeof *kept);

    *kept = *answer;
    kept->headers = copy_headers(arena, &answer->headers);
    kept->trailers = copy_headers(arena, &answer->trailers);
    if (answer->reply) {
        struct fg_reply *reply = fg_arena_alloc(arena, sizeof *reply);
        *reply = *answer->reply;
        kept->reply = reply;
    }
    call->last_answer = kept;
}

/* ---- passing on ---- */

void fg_call_cancel_others(struct fg_call *call, const struct fg_attempt *winner)
{
    struct fg_list *next;

    for (struct fg_list *node = call->attempts.next; node != &call->attempts; node = next) {
        struct fg_attempt *attempt = FG_LIST_ENTRY(node, struct fg_attempt, node);
        next = node->next;
        if (attempt != winner)
            fg_attempt_cancel(attempt, FG_STATUS_CANCELLED, FG_SOURCE_HEDGE);
    }
}

void fg_call_commit(struct fg_call *call, struct fg_attempt *attempt)
{
    call->committed = attempt;
    fg_call_end_pause(call);
    fg_call_cancel_others(call, attempt);
    fg_body_drop(&call->body, &call->env->loop->mem);
    if (!attempt->holds)
        return;
    attempt->holds = false;
    call->headers_sent = true;
    if (call->env->notes)
        fg_call_note(call, &attempt->held, false);
    fg_tap_headers(call, &attempt->held);
    fg_stream_send_headers(call->down, &attempt->held, false);
}

static void send_grpc_end(struct fg_call *call, struct fg_answer *parts)
{
    if (parts->headers.len > 0) {
        call->headers_sent = true;
        fg_stream_send_headers(call->down, &parts->headers, false);
    }
    if (call->headers_sent)
        fg_stream_send_trailers(call->down, &parts->trailers);
    else
        fg_stream_send_headers(call->down, &parts->trailers, true);
}

static void send_opaque_end(struct fg_call *call, struct fg_answer *parts)
{
    bool has_trailers = parts->trailers.len > 0;

    if (parts->headers.len > 0) {
        call->headers_sent = true;
        fg_stream_send_headers(call->down, &parts->headers, !has_trailers);
    }
    if (has_trailers)
        fg_stream_send_trailers(call->down, &parts->trailers);
    else if (parts->headers.len == 0)
        fg_stream_send_data(call->down, (struct fg_buf){0}, true);
}

static void pass_on(struct fg_call *call, const struct fg_answer *answer)
{
    struct fg_answer parts = *answer;

    if (answer->reply) {
        fg_call_fail(call, answer->reply);
        return;
    }
    call->outcome.code = answer->code;
    call->outcome.source = answer->source;
    if (call->env->notes) {
        fg_call_note(call, &parts.headers, false);
        fg_call_note(call, &parts.trailers, true);
    }
    if (parts.headers.len > 0)
        fg_tap_headers(call, &parts.headers);
    fg_tap_trailers(call, &parts.trailers);
    if (call->opaque)
        send_opaque_end(call, &parts);
    else
        send_grpc_end(call, &parts);
    fg_call_cancel_others(call, NULL);
    fg_call_finish(call);
}

/* ---- what the policy knows ---- */

static const struct fg_config_retry *config_of(const struct fg_call *call)
{
    return &call->route->retry;
}

uint64_t fg_call_random(struct fg_call_env *env)
{
    uint64_t x = env->random; /* xorshift64* */

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    env->random = x;
    return x * 0x2545F4914F6CDD1Dull;
}

/* The permit is the next attempt's. */
static bool take_permit(void *context)
{
    struct fg_call *call = context;
    const struct fg_config_cluster *cluster = call->cluster->config;

    if (!call->has_permit)
        call->has_permit = fg_gate_retry_enter(call->cluster->gate, &cluster->limits, &cluster->retry_budget);
    return call->has_permit;
}

void fg_call_drop_permit(struct fg_call *call)
{
    if (call->has_permit)
        fg_gate_retry_leave(call->cluster->gate);
    call->has_permit = false;
}

static struct fg_retry_view view_of(const struct fg_call *call)
{
    return (struct fg_retry_view){
        .config = config_of(call),
        .committed = call->committed != NULL,
        .overflowed = !call->body.complete,
        .draining = call->env->draining,
        .untried = fg_call_is_untried_left(call),
        .deadline_ns = call->deadline_ns,
        .now_ns = call->env->loop->now_ns,
        .random = fg_call_random(call->env),
        .tokens = call->cluster->tokens,
        .throttle = &call->cluster->config->retry_throttle,
        .take_permit = take_permit,
        .context = (struct fg_call *)(uintptr_t)call,
    };
}

/* ---- beginning ---- */

void fg_call_try(struct fg_call *call)
{
    bool hedges = fg_hedge_applies(config_of(call));

    call->start_again = true;
    if (call->starting)
        return; /* an attempt that fails as it begins asks for the next one: the loop below makes it */
    call->starting = true;
    while (call->start_again && !call->answered) {
        call->start_again = false;
        if (call->retry_ns) /* of retries: nothing was in progress */
            call->outcome.retry_delay_ns += call->env->loop->now_ns - call->attempt->outcome.end_ns;
        fg_call_end_pause(call);
        call->previous_attempts = hedges ? call->hedge.begun : call->retries.attempts;
        if (hedges)
            fg_hedge_begun(&call->hedge, config_of(call), call->env->loop->now_ns);
        fg_attempt_start(call);
    }
    call->starting = false;
    fg_call_arm(call);
}

/* ---- what an attempt came to ---- */

static void plan_next(struct fg_call *call, const struct fg_retry_plan *plan)
{
    if (plan->kind == FG_RETRY_PLAN_TRANSPARENT)
        COUNT_TRY(call, transparent_retries);
    else
        COUNT_TRY(call, retries);
    call->retry_ns = call->env->loop->now_ns + plan->delay_ns;
    if (plan->delay_ns == 0)
        fg_call_try(call);
    else
        fg_call_arm(call);
}

static bool is_suppressed(const struct fg_retry_plan *plan)
{
    return plan->why == FG_RETRY_WHY_THROTTLED || plan->why == FG_RETRY_WHY_BUDGET;
}

/* Neither a time nor a no; it means no (gRFC A6). */
static bool is_malformed(struct fg_str pushback)
{
    int64_t ms;
    return !fg_retry_parse_pushback(pushback, &ms) && (pushback.len < 2 || pushback.p[0] != '-');
}

void fg_call_attempt_ended(struct fg_attempt *attempt, const struct fg_answer *answer)
{
    struct fg_call *call = attempt->call;
    const struct fg_header *field = fg_headers_get(&answer->trailers, FG_TOKEN_GRPC_RETRY_PUSHBACK_MS);
    const struct fg_str *pushback = field ? &field->value : NULL;
    struct fg_retry_plan plan = {0};
    bool over;

    if (call->answered || !call->down)
        return;
    if (pushback && is_malformed(*pushback))
        FG_COUNT(call->env->stats, malformed_pushbacks);
    struct fg_retry_view view = view_of(call);
    bool hedges = fg_hedge_applies(view.config);
    if (hedges) {
        over = fg_hedge_ended(&call->hedge, &view, &attempt->outcome, pushback) == FG_HEDGE_OVER;
    } else {
        plan = fg_retry_plan_after(&call->retries, &view, &attempt->outcome, pushback);
        over = plan.kind == FG_RETRY_PLAN_NO;
        if (is_suppressed(&plan))
            FG_COUNT(call->env->stats, retries_suppressed);
    }
    if (over) {
        /* An attempt that could not begin has nothing better to say than the one before it. */
        pass_on(call, !attempt->endpoint && call->last_answer ? call->last_answer : answer);
        return;
    }
    keep(call, answer);
    if (hedges)
        fg_call_arm(call);
    else
        plan_next(call, &plan);
}

/* ---- time ---- */

uint64_t fg_call_next_try_ns(const struct fg_call *call)
{
    if (call->retry_ns)
        return call->retry_ns;
    if (!call->route || call->deferred || !fg_hedge_applies(config_of(call)))
        return FG_NEVER;
    struct fg_retry_view view = view_of(call);
    return fg_hedge_next(&call->hedge, &view);
}

static void hedge(struct fg_call *call)
{
    struct fg_retry_view view = view_of(call);

    if (!fg_hedge_ask(&call->hedge, &view)) {
        FG_COUNT(call->env->stats, retries_suppressed);
        if (fg_hedge_is_over(&call->hedge, &view) && call->last_answer)
            pass_on(call, call->last_answer);
        return;
    }
    if (call->hedge.replaces)
        COUNT_TRY(call, transparent_retries);
    else if (call->hedge.in_progress > 0)
        COUNT_TRY(call, hedges);
    else
        COUNT_TRY(call, retries);
    fg_call_try(call);
}

void fg_call_on_retry_timer(struct fg_call *call, uint64_t now_ns)
{
    if (now_ns < fg_call_next_try_ns(call))
        return;
    if (call->retry_ns)
        fg_call_try(call);
    else
        hedge(call);
}
