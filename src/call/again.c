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
    }
    call->starting = false;
    fg_call_arm(call);
}

/* ---- what an attempt came to ---- */

/* The endpoint has not begun the call: nobody needs to know (gRFC A6, transparent retries). */
static bool is_transparent(const struct fg_call *call, const struct fg_attempt *attempt)
{
    if (!call->body.complete || call->env->draining)
        return false;
    if (attempt->outcome.safe_to_retry == FG_SAFE_REFUSED)
        return call->retries.refused == 0;
    return false;
}

void fg_call_attempt_ended(struct fg_attempt *attempt, const struct fg_answer *answer)
{
    struct fg_call *call = attempt->call;

    if (call->answered || !call->down)
        return;
    if (call->committed || !is_transparent(call, attempt)) {
        /* An attempt that could not begin has nothing better to say than the one before it. */
        pass_on(call, !attempt->endpoint && call->last_answer ? call->last_answer : answer);
        return;
    }
    call->retries.refused++;
    FG_COUNT(call->env->stats, transparent_retries);
    keep(call, answer);
    fg_call_try(call);
}

void fg_call_on_retry_timer(struct fg_call *call, uint64_t now_ns)
{
    if (call->retry_ns && now_ns >= call->retry_ns)
        fg_call_try(call);
}
