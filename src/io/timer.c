#include "io/timer.h"

#include <assert.h>

/* A timer whose tick differs from now first in its 6-bit digit L (counted from the lowest) hangs in level L, in the
 * slot of that digit. So all timers of a level lie behind the current slot of that level, all timers of a lower level
 * are due before all timers of a higher one, and nothing ever wraps around. */

enum { DIGIT_BITS = 6, DIGIT_MASK = FG_TIMER_SLOTS - 1 };

/* Rounded up: a timer may be late by a tick, never early. */
static uint64_t tick_of(uint64_t at_ns)
{
    return at_ns / FG_MS + (at_ns % FG_MS != 0);
}

static unsigned level_of(uint64_t now_ticks, uint64_t tick)
{
    uint64_t differing = (now_ticks ^ tick) | DIGIT_MASK;
    return (63u - (unsigned)__builtin_clzll(differing)) / DIGIT_BITS;
}

static void place(struct fg_timers *timers, struct fg_timer *timer)
{
    uint64_t tick = tick_of(timer->at_ns);
    if (tick <= timers->now_ticks) {
        fg_list_append(&timers->due, &timer->node);
        return;
    }
    unsigned level = level_of(timers->now_ticks, tick);
    assert(level < FG_TIMER_LEVELS);
    unsigned slot = tick >> (level * DIGIT_BITS) & DIGIT_MASK;
    fg_list_append(&timers->slots[level][slot], &timer->node);
    timers->occupied[level] |= 1ull << slot;
}

/* Takes the timer out of its list; the slot that thereby becomes empty is marked so, or the loop would wake for it. */
static void take_out(struct fg_timers *timers, struct fg_timer *timer)
{
    struct fg_list *neighbour = timer->node.next;
    fg_list_remove(&timer->node);
    if (!fg_list_empty(neighbour))
        return;
    uintptr_t first = (uintptr_t)&timers->slots[0][0], at = (uintptr_t)neighbour;
    if (at < first || at - first >= sizeof(timers->slots))
        return; /* the last one of the due list, or of a run in progress */
    size_t index = (at - first) / sizeof(struct fg_list);
    timers->occupied[index / FG_TIMER_SLOTS] &= ~(1ull << (index % FG_TIMER_SLOTS));
}

void fg_timers_init(struct fg_timers *timers, uint64_t now_ns)
{
    timers->now_ticks = now_ns / FG_MS;
    timers->armed = 0;
    fg_list_init(&timers->due);
    for (unsigned level = 0; level < FG_TIMER_LEVELS; level++) {
        timers->occupied[level] = 0;
        for (unsigned slot = 0; slot < FG_TIMER_SLOTS; slot++)
            fg_list_init(&timers->slots[level][slot]);
    }
}

void fg_timer_init(struct fg_timer *timer, void (*on_timer)(struct fg_timer *timer, uint64_t now_ns))
{
    fg_list_init(&timer->node);
    timer->at_ns = 0;
    timer->on_timer = on_timer;
}

void fg_timer_arm(struct fg_timers *timers, struct fg_timer *timer, uint64_t at_ns)
{
    if (at_ns == FG_NEVER) {
        fg_timer_cancel(timers, timer);
        return;
    }
    if (fg_timer_armed(timer))
        take_out(timers, timer);
    else
        timers->armed++;
    timer->at_ns = at_ns ? at_ns : 1; /* 0 means "not armed" */
    place(timers, timer);
}

void fg_timer_cancel(struct fg_timers *timers, struct fg_timer *timer)
{
    if (!fg_timer_armed(timer))
        return;
    take_out(timers, timer);
    timer->at_ns = 0;
    timers->armed--;
}

/* The slot that comes first: false if the wheel is empty. TICK is the first tick that it covers. */
static bool first_slot(const struct fg_timers *timers, unsigned *level, unsigned *slot, uint64_t *tick)
{
    for (unsigned l = 0; l < FG_TIMER_LEVELS; l++) {
        if (!timers->occupied[l])
            continue;
        *level = l;
        *slot = (unsigned)__builtin_ctzll(timers->occupied[l]);
        unsigned shift = l * DIGIT_BITS;
        uint64_t higher_digits = timers->now_ticks >> shift >> DIGIT_BITS << DIGIT_BITS << shift;
        *tick = higher_digits | (uint64_t)*slot << shift;
        return true;
    }
    return false;
}

static void move_all(struct fg_list *from, struct fg_list *to)
{
    if (fg_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    fg_list_init(from);
}

/* Turns the wheel to TARGET_TICK; what becomes due lands in timers->due in order. */
static void advance(struct fg_timers *timers, uint64_t target_tick)
{
    unsigned level = 0, slot = 0;
    uint64_t tick = 0;
    while (first_slot(timers, &level, &slot, &tick) && tick <= target_tick) {
        timers->now_ticks = tick;
        timers->occupied[level] &= ~(1ull << slot);
        if (level == 0) {
            move_all(&timers->slots[level][slot], &timers->due);
            continue;
        }
        struct fg_list cascading;
        fg_list_init(&cascading);
        move_all(&timers->slots[level][slot], &cascading);
        FG_LIST_EACH (node, &cascading) {
            fg_list_remove(node);
            place(timers, FG_LIST_ENTRY(node, struct fg_timer, node));
        }
    }
    timers->now_ticks = target_tick;
}

void fg_timers_run(struct fg_timers *timers, uint64_t now_ns)
{
    uint64_t target_tick = now_ns / FG_MS;
    if (target_tick > timers->now_ticks)
        advance(timers, target_tick);

    /* What callbacks arm for a past instant goes to timers->due and waits for the next run, so a run always ends. */
    struct fg_list firing;
    fg_list_init(&firing);
    move_all(&timers->due, &firing);
    while (!fg_list_empty(&firing)) {
        struct fg_timer *timer = FG_LIST_FIRST(&firing, struct fg_timer, node);
        fg_list_remove(&timer->node);
        timer->at_ns = 0;
        timers->armed--;
        timer->on_timer(timer, now_ns);
    }
}

uint64_t fg_timers_next_ns(const struct fg_timers *timers)
{
    if (!fg_list_empty(&timers->due))
        return timers->now_ticks * FG_MS;
    unsigned level = 0, slot = 0;
    uint64_t tick = 0;
    return first_slot(timers, &level, &slot, &tick) ? tick * FG_MS : FG_NEVER;
}
