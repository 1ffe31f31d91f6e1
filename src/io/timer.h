/* Hierarchical timer wheel: arm, re-arm and cancel are O(1) whatever the number of timers; resolution 1 ms, never
 * early. */
#ifndef FG_IO_TIMER_H
#define FG_IO_TIMER_H

#include "base/list.h"
#include "base/time.h"

struct fg_timer {
    struct fg_list node;
    uint64_t at_ns; /* 0: not armed */
    /* The timer is disarmed when called; it may arm, cancel or free itself and any other timer. */
    void (*on_timer)(struct fg_timer *timer, uint64_t now_ns);
};

#define FG_TIMER_LEVELS                                                                                                \
    8 /* 64^8 ms hold every 64-bit instant, 2^64 ns being 2^44.1 ms: no timer is ever too far off                      \
       */
#define FG_TIMER_SLOTS 64

struct fg_timers {
    uint64_t now_ticks; /* ms */
    size_t armed;
    struct fg_list due; /* armed for an instant that had passed */
    struct fg_list slots[FG_TIMER_LEVELS][FG_TIMER_SLOTS];
    uint64_t occupied[FG_TIMER_LEVELS]; /* bit per slot that holds timers */
};

void fg_timers_init(struct fg_timers *timers, uint64_t now_ns);
void fg_timer_init(struct fg_timer *timer, void (*on_timer)(struct fg_timer *timer, uint64_t now_ns));

/* Re-arms if armed. A past instant fires at the next run, also if it is armed from a timer's callback: never within the
 * run in progress. FG_NEVER cancels. */
void fg_timer_arm(struct fg_timers *timers, struct fg_timer *timer, uint64_t at_ns);
void fg_timer_cancel(struct fg_timers *timers, struct fg_timer *timer); /* harmless if not armed */

/* Calls what is due, by instant to the millisecond. The clock may jump as far as it likes; going back is ignored. */
void fg_timers_run(struct fg_timers *timers, uint64_t now_ns);

/* An instant not later than the first timer is due, so that a loop may sleep until then; FG_NEVER: none. */
uint64_t fg_timers_next_ns(const struct fg_timers *timers);

static inline bool fg_timer_armed(const struct fg_timer *timer)
{
    return timer->at_ns != 0;
}

#endif
