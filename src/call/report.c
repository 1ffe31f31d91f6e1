#include "call/report.h"

#include "call/call.h"

#define STEP_CALLS 64 /* in one turn: some 200 us */

static void report(struct fg_call_reports *reports, struct fg_call *call)
{
    const struct fg_attempt *attempt = fg_call_answering(call);
    struct fg_outcome outcome;

    fg_call_sum(call, &outcome);
    if (call->down)
        call->down->ops->add_stalls(call->down, outcome.stall_ns);
    if (attempt && attempt->up)
        attempt->up->ops->add_stalls(attempt->up, outcome.stall_ns);
    reports->on_report(reports->context, call, &outcome, fg_call_wait(call));
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_call_reports *reports = FG_CONTAINER_OF(timer, struct fg_call_reports, timer);

    for (int i = 0; i < STEP_CALLS; i++) {
        struct fg_call *call = FG_LIST_FIRST(&reports->waiting, struct fg_call, report_node);
        if (fg_list_empty(&reports->waiting) || call->report_ns > now_ns)
            break;
        fg_list_remove(&call->report_node);
        fg_call_report_later(call);
        report(reports, call);
    }
    if (!fg_list_empty(&reports->waiting))
        fg_timer_arm(&reports->env->loop->timers, timer,
                     FG_LIST_FIRST(&reports->waiting, struct fg_call, report_node)->report_ns);
}

void fg_call_reports_init(struct fg_call_reports *reports, struct fg_call_env *env, uint64_t interval_ns)
{
    fg_list_init(&reports->waiting);
    fg_timer_init(&reports->timer, on_timer);
    reports->env = env;
    reports->interval_ns = interval_ns;
}

void fg_call_report_later(struct fg_call *call)
{
    struct fg_call_reports *reports = &call->env->reports;

    call->report_ns = call->env->loop->now_ns + reports->interval_ns;
    fg_list_append(&reports->waiting, &call->report_node);
    if (!fg_timer_armed(&reports->timer))
        fg_timer_arm(&call->env->loop->timers, &reports->timer, call->report_ns);
}
