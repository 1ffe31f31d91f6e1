/* One attempt or several: when an answer is passed on, and when the call is tried again (gRFC A6). */
#include "call/call.h"

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
    call->hedge_ns = FG_NEVER;
}

void fg_call_commit(struct fg_call *call, struct fg_attempt *attempt)
{
    call->committed = attempt;
    call->retry_ns = 0;
    fg_call_cancel_others(call, attempt);
    fg_body_drop(&call->body, &call->env->loop->mem);
    if (!attempt->holds)
        return;
    attempt->holds = false;
    call->headers_sent = true;
    call->dialect->send_headers(call, &attempt->held);
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
    if (parts.headers.len > 0) {
        call->headers_sent = true;
        call->dialect->send_headers(call, &parts.headers);
    }
    if (call->headers_sent)
        call->dialect->send_trailers(call, &parts.trailers);
    else
        call->dialect->send_trailers_only(call, &parts.trailers);
    fg_call_cancel_others(call, NULL);
    fg_call_finish(call);
}

/* ---- again ---- */

static void plan_hedge(struct fg_call *call);

void fg_call_try(struct fg_call *call)
{
    call->start_again = true;
    if (call->starting)
        return; /* an attempt that fails as it begins asks for the next one: the loop below makes it */
    call->starting = true;
    while (call->start_again && !call->answered) {
        call->start_again = false;
        call->retry_ns = 0;
        fg_attempt_start(call);
        if (!call->answered && !call->start_again)
            plan_hedge(call);
    }
    call->starting = false;
    fg_call_arm(call);
}

/* ---- what an attempt came to ---- */

static const struct fg_config_retry *config_of(const struct fg_call *call)
{
    return &call->route->retry;
}

static bool is_hedged(const struct fg_call *call)
{
    return config_of(call)->hedge_delay_ns > 0;
}

static uint64_t next_random(struct fg_call_env *env)
{
    uint64_t x = env->random; /* xorshift64* */

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    env->random = x;
    return x * 0x2545F4914F6CDD1Dull;
}

static unsigned in_progress(const struct fg_call *call)
{
    unsigned n = 0;

    FG_LIST_EACH (node, &call->attempts)
        n++;
    return n;
}

/* A further attempt beside or after those that were made: does the cluster's load allow it? The permit is the next
 * attempt's. */
static bool take_permit(struct fg_call *call)
{
    const struct fg_config_cluster *cluster = call->cluster->config;

    if (call->has_permit)
        return true;
    call->has_permit = fg_gate_retry_enter(call->cluster->gate, &cluster->limits, &cluster->retry_budget);
    if (!call->has_permit)
        FG_COUNT(call->env->stats, retries_suppressed);
    return call->has_permit;
}

void fg_call_drop_permit(struct fg_call *call)
{
    if (call->has_permit)
        fg_gate_retry_leave(call->cluster->gate);
    call->has_permit = false;
}

static struct fg_retry_decision decide(struct fg_attempt *attempt, const struct fg_answer *answer)
{
    struct fg_call *call = attempt->call;
    const struct fg_config_cluster *cluster = call->cluster->config;
    const struct fg_header *field = fg_headers_get(&answer->trailers, FG_TOKEN_GRPC_RETRY_PUSHBACK_MS);
    struct fg_retry_question question = {
        .config = config_of(call),
        .outcome = &attempt->outcome,
        .pushback = field ? &field->value : NULL,
        .replayable = call->body.complete && !call->env->draining,
        .elsewhere = fg_call_is_untried_left(call),
        .allowed = fg_retry_throttle_allows(call->cluster->throttle, &cluster->retry_throttle),
        .deadline_ns = call->deadline_ns,
        .now_ns = call->env->loop->now_ns,
        .random = next_random(call->env),
    };
    struct fg_retry_decision decision = fg_retry_decide(&call->retries, &question);
    bool ok = attempt->outcome.code == FG_STATUS_OK;

    if (decision.verdict == FG_RETRY_NO && strcmp(decision.why, "suppressed") == 0)
        FG_COUNT(call->env->stats, retries_suppressed);
    if (ok || decision.failed)
        fg_retry_throttle_report(call->cluster->throttle, &cluster->retry_throttle, !ok);
    return decision;
}

/* Is this the end of a hedged call, or can another attempt still succeed? True: it goes on. */
static bool go_on_hedging(struct fg_call *call, const struct fg_retry_decision *decision)
{
    if (decision->verdict == FG_RETRY_AGAIN) { /* not later than the next hedge would be */
        call->hedge_ns = FG_MIN(call->hedge_ns, decision->at_ns);
        return true;
    }
    bool fatal = strcmp(decision->why, "code") == 0 || strcmp(decision->why, "success") == 0 ||
                 strcmp(decision->why, "committed") == 0;
    if (!fatal)
        call->hedge_ns = FG_NEVER;
    return !fatal && in_progress(call) > 0;
}

void fg_call_attempt_ended(struct fg_attempt *attempt, const struct fg_answer *answer)
{
    struct fg_call *call = attempt->call;

    if (call->answered || !call->down)
        return;
    if (call->committed) {
        pass_on(call, answer);
        return;
    }
    struct fg_retry_decision decision = decide(attempt, answer);
    bool hedged = is_hedged(call) && decision.verdict != FG_RETRY_TRANSPARENT;
    if (decision.verdict == FG_RETRY_AGAIN && !take_permit(call))
        decision = (struct fg_retry_decision){.verdict = FG_RETRY_NO, .why = "suppressed"};
    if (hedged ? !go_on_hedging(call, &decision) : decision.verdict == FG_RETRY_NO) {
        /* An attempt that could not begin has nothing better to say than the one before it. */
        pass_on(call, !attempt->endpoint && call->last_answer ? call->last_answer : answer);
        return;
    }
    keep(call, answer);
    if (hedged) {
        fg_call_arm(call);
        return;
    }
    if (decision.verdict == FG_RETRY_TRANSPARENT)
        FG_COUNT(call->env->stats, transparent_retries);
    else
        FG_COUNT(call->env->stats, retries);
    call->retry_ns = decision.at_ns;
    if (decision.at_ns <= call->env->loop->now_ns)
        fg_call_try(call);
    else
        fg_call_arm(call);
}

/* ---- time ---- */

/* An attempt has begun: when does the next one begin beside it? */
static void plan_hedge(struct fg_call *call)
{
    unsigned made = call->retries.attempts + in_progress(call);

    call->hedge_ns = FG_NEVER;
    if (is_hedged(call) && fg_call_may_try_again(call) && made < config_of(call)->attempts)
        call->hedge_ns = call->env->loop->now_ns + config_of(call)->hedge_delay_ns;
}

static void hedge(struct fg_call *call)
{
    const struct fg_config_cluster *cluster = call->cluster->config;

    call->hedge_ns = FG_NEVER;
    if (!fg_call_may_try_again(call))
        return;
    if (!fg_retry_throttle_allows(call->cluster->throttle, &cluster->retry_throttle)) {
        FG_COUNT(call->env->stats, retries_suppressed);
        return;
    }
    if (!take_permit(call))
        return;
    if (in_progress(call) > 0)
        FG_COUNT(call->env->stats, hedges);
    else
        FG_COUNT(call->env->stats, retries);
    fg_call_try(call);
}

void fg_call_on_retry_timer(struct fg_call *call, uint64_t now_ns)
{
    if (call->retry_ns && now_ns >= call->retry_ns)
        fg_call_try(call);
    else if (now_ns >= call->hedge_ns)
        hedge(call);
}
