/* What calls in progress have come to, each as often as `access_log.interval` says. Calls wait in the order in which
 * they are due, which is that in which they were begun or reported last: one timer for all, however many there are. */
#ifndef FG_CALL_REPORT_H
#define FG_CALL_REPORT_H

#include "io/timer.h"
#include "rpc/outcome.h"

struct fg_call;
struct fg_call_env;

struct fg_call_reports {
    uint64_t interval_ns; /* 0: none are made, and nothing else here is used */
    struct fg_list waiting;
    struct fg_timer timer;
    struct fg_call_env *env;
    /* OUTCOME: what it would be if the call ended now, but for its code. */
    void (*on_report)(void *context, const struct fg_call *call, const struct fg_outcome *outcome, struct fg_wait wait);
    void *context;
};

void fg_call_reports_init(struct fg_call_reports *reports, struct fg_call_env *env, uint64_t interval_ns);

/* CALL has begun, or has been reported; the interval is not 0. */
void fg_call_report_later(struct fg_call *call);

#endif
