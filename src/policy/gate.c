#include "policy/gate.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

/* Why no wake-up is lost. All of the below is sequentially consistent.
 *
 * A lane's `room` is one word, attempts in progress and grants, changed by compare-and-swap: their sum never passes the
 * limit. A grant is counted in the word before it is credited to a worker, and taken off the worker before it leaves
 * the word; a call that waits is counted at its worker before it is counted in the lane. Call *owed* a call that waits,
 * is covered by no credit of its worker, and could have a free room. give_out() looks for one and grants it a room
 * until it finds none. Then:
 *
 * 1. Whatever can make a call owed ends with give_out() on the same thread: a call begins to wait; an attempt leaves; a
 *    grant is given up without being used; the limit rises. (Of two that happen at once the later one in the total
 * order sees the effect of the other, so that room that is freed while a call begins to wait is seen by one of the two.
 * The adaptive limit is stored and loaded in the same order.) A call that stops waiting makes none owed.
 * 2. give_out() overlooks an owed call only where a grant is counted in the word and of no use any more: credited to a
 *    worker whose call was cancelled meanwhile, or being taken or given up right now. In the latter case 1. comes. In
 * the former the worker has been woken, because whoever credits it wakes it afterwards:
 * 3. `woken` is set by whoever posts a wake and cleared by the worker before it looks at its credit. If it was set
 *    already, the clearing is still to come, and so is the look at the credit. The worker asks until it has none left.
 *    What it cannot use it gives up (1.) or hands to a worker with a call of a higher priority, which it wakes (3.);
 * that cannot go round, since the priority rises each time.
 *
 * So when all mail has been delivered there is no credit, no grant, and no owed call. A credit too many does no harm:
 * it is given up. Evictions are counted at the worker before it is woken, and so are seen by the same argument. */

#define LINE_BYTES 64

/* ---- words ---- */

struct room {
    uint32_t active, granted;
};

static struct room room_of(uint64_t word)
{
    return (struct room){(uint32_t)word, (uint32_t)(word >> 32)};
}

static uint64_t word_of(uint32_t active, uint32_t granted)
{
    return (uint64_t)granted << 32 | active;
}

static bool is_free(struct room room, uint32_t limit)
{
    return (uint64_t)room.active + room.granted < limit;
}

/* Calls of one worker, lane and priority: those that have a place among the pending, and those that have lost it to a
 * call that came later and are still to be refused. */
struct queued {
    uint32_t waiting, evicted;
};

static struct queued queued_of(uint64_t word)
{
    return (struct queued){(uint32_t)word, (uint32_t)(word >> 32)};
}

struct lane {
    _Atomic uint64_t room; /* struct room; SLOT has none */
    _Atomic uint32_t waiting[FG_GATE_PRIORITIES];
    _Atomic uint32_t turn; /* the worker that is asked first */
    char pad[LINE_BYTES];
};

struct worker {
    _Atomic uint64_t queued[FG_GATE_LANES][FG_GATE_PRIORITIES]; /* struct queued */
    _Atomic uint32_t credit[FG_GATE_ROOMS];                     /* grants; others add, the worker takes */
    _Atomic bool woken;                                         /* a wake is under way */
    char pad[LINE_BYTES];
};

struct fg_gate {
    fg_gate_wake *wake;
    void *context;
    unsigned workers_len;
    char pad[LINE_BYTES];
    struct lane lanes[FG_GATE_LANES];
    _Atomic uint32_t pending;
    _Atomic uint64_t displaced;
    char pad_pending[LINE_BYTES];
    _Atomic uint32_t retries;
    char pad_retries[LINE_BYTES];
    struct fg_adaptive adaptive;
    struct worker workers[];
};

struct fg_gate *fg_gate_new(unsigned workers, fg_gate_wake *wake, void *context)
{
    struct fg_gate *gate = fg_alloc_zero(sizeof *gate + workers * sizeof gate->workers[0]);

    gate->wake = wake;
    gate->context = context;
    gate->workers_len = workers;
    return gate;
}

void fg_gate_free(struct fg_gate *gate)
{
    free(gate);
}

static uint32_t limit_of(const struct fg_gate *gate, const struct fg_config_limits *limits, enum fg_gate_lane lane)
{
    if (lane == FG_GATE_LONG)
        return limits->long_streams > 0 ? limits->long_streams : UINT32_MAX;
    uint32_t adaptive = fg_adaptive_limit(&gate->adaptive, &limits->adaptive);
    return limits->streams > 0 ? FG_MIN(limits->streams, adaptive) : adaptive;
}

static unsigned valid(unsigned priority)
{
    return FG_MIN(priority, FG_GATE_PRIORITIES - 1u);
}

static bool waits_from(struct fg_gate *gate, enum fg_gate_lane lane, unsigned priority)
{
    for (unsigned i = FG_GATE_PRIORITIES; i-- > priority;)
        if (atomic_load(&gate->lanes[lane].waiting[i]) > 0)
            return true;
    return false;
}

/* ---- giving out rooms ---- */

static void wake(struct fg_gate *gate, unsigned to, unsigned from)
{
    if (!atomic_exchange(&gate->workers[to].woken, true))
        gate->wake(gate->context, to, from);
}

/* The highest priority of the worker's calls that its credit does not cover. */
static int ungranted(struct worker *worker, enum fg_gate_lane lane)
{
    uint32_t credit = atomic_load(&worker->credit[lane]);

    for (int i = FG_GATE_PRIORITIES - 1; i >= 0; i--) {
        uint32_t waiting = queued_of(atomic_load(&worker->queued[lane][i])).waiting;
        if (credit < waiting)
            return i;
        credit -= waiting;
    }
    return FG_GATE_NOBODY;
}

/* Whose turn it is among the workers with an ungranted call of the highest priority; returns that. */
static int pick(struct fg_gate *gate, enum fg_gate_lane lane, unsigned *worker)
{
    int best = FG_GATE_NOBODY, highest = FG_GATE_PRIORITIES - 1;
    unsigned at = atomic_load_explicit(&gate->lanes[lane].turn, memory_order_relaxed);

    while (highest > 0 && atomic_load(&gate->lanes[lane].waiting[highest]) == 0)
        highest--;
    for (unsigned i = 0; i < gate->workers_len && best < highest; i++, at++) {
        at = at < gate->workers_len ? at : 0;
        int priority = ungranted(&gate->workers[at], lane);
        if (priority > best) {
            best = priority;
            *worker = at;
        }
    }
    return best;
}

/* Grants the free rooms of LANE to those that wait. */
static void give_out(struct fg_gate *gate, const struct fg_config_limits *limits, enum fg_gate_lane lane, unsigned from)
{
    struct lane *l = &gate->lanes[lane];
    uint64_t word = atomic_load(&l->room);

    for (;;) {
        struct room room = room_of(word);
        uint64_t waiting = 0;
        unsigned to;
        for (unsigned i = 0; i < FG_GATE_PRIORITIES; i++)
            waiting += atomic_load(&l->waiting[i]);
        if (waiting <= room.granted || !is_free(room, limit_of(gate, limits, lane)) ||
            pick(gate, lane, &to) == FG_GATE_NOBODY)
            return;
        if (!atomic_compare_exchange_weak(&l->room, &word, word_of(room.active, room.granted + 1)))
            continue;
        atomic_store_explicit(&l->turn, to + 1, memory_order_relaxed);
        atomic_fetch_add(&gate->workers[to].credit[lane], 1);
        wake(gate, to, from);
        word = atomic_load(&l->room);
    }
}

/* ---- going on ---- */

/* Takes a room that is neither used nor granted. */
static bool take(struct lane *lane, uint32_t limit)
{
    uint64_t word;

    if (limit == UINT32_MAX) {
        atomic_fetch_add(&lane->room, word_of(1, 0));
        return true;
    }
    word = atomic_load(&lane->room);
    do {
        if (!is_free(room_of(word), limit))
            return false;
    } while (!atomic_compare_exchange_weak(&lane->room, &word, word + word_of(1, 0)));
    return true;
}

bool fg_gate_try_enter(struct fg_gate *gate, const struct fg_config_limits *limits, enum fg_gate_lane lane,
                       unsigned priority)
{
    assert(lane < FG_GATE_ROOMS);
    return !waits_from(gate, lane, valid(priority)) && take(&gate->lanes[lane], limit_of(gate, limits, lane));
}

void fg_gate_leave(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker, enum fg_gate_lane lane)
{
    assert(lane < FG_GATE_ROOMS);
    uint64_t before = atomic_fetch_sub(&gate->lanes[lane].room, word_of(1, 0));
    assert(room_of(before).active > 0);
    (void)before;
    give_out(gate, limits, lane, worker);
}

enum fg_gate_lane fg_gate_promote(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker)
{
    if (limits->long_streams == 0 || !take(&gate->lanes[FG_GATE_LONG], limits->long_streams))
        return FG_GATE_ACTIVE;
    fg_gate_leave(gate, limits, worker, FG_GATE_ACTIVE);
    return FG_GATE_LONG;
}

void fg_gate_sample(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker, uint64_t latency_ns,
                    bool dropped, uint64_t now_ns)
{
    if (!limits->adaptive.enabled)
        return;
    uint32_t active = room_of(atomic_load(&gate->lanes[FG_GATE_ACTIVE].room)).active;
    if (fg_adaptive_report(&gate->adaptive, &limits->adaptive, latency_ns, dropped, active, now_ns))
        give_out(gate, limits, FG_GATE_ACTIVE, worker);
}

void fg_gate_limits_changed(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker)
{
    give_out(gate, limits, FG_GATE_ACTIVE, worker);
    give_out(gate, limits, FG_GATE_LONG, worker);
}

/* ---- waiting ---- */

/* Takes the place of one call of WORKER that waits with PRIORITY, in the lane where most do. */
static bool evict_from(struct fg_gate *gate, unsigned worker, unsigned priority)
{
    for (;;) {
        unsigned lane = 0;
        uint64_t word = 0;
        for (unsigned i = 0; i < FG_GATE_LANES; i++) {
            uint64_t seen = atomic_load(&gate->workers[worker].queued[i][priority]);
            if (queued_of(seen).waiting > queued_of(word).waiting) {
                word = seen;
                lane = i;
            }
        }
        struct queued queued = queued_of(word);
        if (queued.waiting == 0)
            return false;
        if (!atomic_compare_exchange_strong(&gate->workers[worker].queued[lane][priority], &word,
                                            word_of(queued.waiting - 1, queued.evicted + 1)))
            continue;
        atomic_fetch_sub(&gate->lanes[lane].waiting[priority], 1);
        return true;
    }
}

static uint64_t waiting_at(struct fg_gate *gate, unsigned worker, unsigned priority)
{
    uint64_t waiting = 0;
    for (unsigned i = 0; i < FG_GATE_LANES; i++)
        waiting += fg_gate_waiting_of(gate, worker, (enum fg_gate_lane)i, priority);
    return waiting;
}

/* Makes one call of PRIORITY give up its place, if any waits: of the own worker, or else where most do. */
static bool evict(struct fg_gate *gate, unsigned own, unsigned priority, unsigned *victim)
{
    for (*victim = own; !evict_from(gate, *victim, priority);) {
        uint64_t most = 0;
        for (unsigned i = 0; i < gate->workers_len; i++) {
            uint64_t waiting = waiting_at(gate, i, priority);
            if (waiting > most) {
                most = waiting;
                *victim = i;
            }
        }
        if (most == 0)
            return false;
    }
    return true;
}

static bool evict_lower(struct fg_gate *gate, unsigned own, unsigned priority, unsigned *victim)
{
    for (unsigned i = 0; i < priority; i++) {
        bool waits = false;
        for (unsigned lane = 0; lane < FG_GATE_LANES; lane++)
            waits |= atomic_load(&gate->lanes[lane].waiting[i]) > 0;
        if (waits && evict(gate, own, i, victim))
            return true;
    }
    return false;
}

static bool take_place(struct fg_gate *gate, uint32_t limit)
{
    uint32_t pending = atomic_load(&gate->pending);
    do {
        if (pending >= limit)
            return false;
    } while (!atomic_compare_exchange_weak(&gate->pending, &pending, pending + 1));
    return true;
}

enum fg_gate_queued fg_gate_queue_enter(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker,
                                        enum fg_gate_lane lane, unsigned priority)
{
    enum fg_gate_queued result = FG_GATE_QUEUED;

    assert(worker < gate->workers_len);
    priority = valid(priority);
    if (!take_place(gate, limits->pending)) {
        unsigned victim;
        if (!evict_lower(gate, worker, priority, &victim))
            return FG_GATE_FULL;
        result = FG_GATE_DISPLACED;
        atomic_fetch_add_explicit(&gate->displaced, 1, memory_order_relaxed);
        wake(gate, victim, worker);
    }
    atomic_fetch_add(&gate->workers[worker].queued[lane][priority], word_of(1, 0));
    atomic_fetch_add(&gate->lanes[lane].waiting[priority], 1);
    if (lane < FG_GATE_ROOMS)
        give_out(gate, limits, lane, worker);
    return result;
}

void fg_gate_queue_leave(struct fg_gate *gate, unsigned worker, enum fg_gate_lane lane, unsigned priority)
{
    assert(worker < gate->workers_len);
    priority = valid(priority);
    _Atomic uint64_t *slot = &gate->workers[worker].queued[lane][priority];
    uint64_t word = atomic_load(slot), next;
    struct queued queued;

    /* Whoever leaves makes up for one that lost its place: so none has to be refused for that. */
    do {
        queued = queued_of(word);
        assert(queued.waiting + queued.evicted > 0);
        next = queued.evicted > 0 ? word_of(queued.waiting, queued.evicted - 1) : word_of(queued.waiting - 1, 0);
    } while (!atomic_compare_exchange_weak(slot, &word, next));
    if (queued.evicted > 0)
        return;
    atomic_fetch_sub(&gate->lanes[lane].waiting[priority], 1);
    atomic_fetch_sub(&gate->pending, 1);
}

/* ---- being woken ---- */

void fg_gate_woken(struct fg_gate *gate, unsigned worker)
{
    atomic_store(&gate->workers[worker].woken, false);
}

bool fg_gate_evicted(struct fg_gate *gate, unsigned worker, enum fg_gate_lane *lane, unsigned *priority)
{
    for (unsigned i = 0; i < FG_GATE_LANES * FG_GATE_PRIORITIES; i++) {
        _Atomic uint64_t *slot = &gate->workers[worker].queued[i / FG_GATE_PRIORITIES][i % FG_GATE_PRIORITIES];
        if (queued_of(atomic_load(slot)).evicted == 0)
            continue;
        atomic_fetch_sub(slot, word_of(0, 1)); /* others only add to it */
        *lane = (enum fg_gate_lane)(i / FG_GATE_PRIORITIES);
        *priority = i % FG_GATE_PRIORITIES;
        return true;
    }
    return false;
}

/* Turns a grant, no longer credited to anybody, into an attempt in progress, or into nothing if the limit has fallen.
 */
static bool use(struct lane *lane, uint32_t limit)
{
    uint64_t word = atomic_load(&lane->room);
    bool fits;

    do {
        struct room room = room_of(word);
        assert(room.granted > 0);
        fits = (uint64_t)room.active + room.granted <= limit;
        if (atomic_compare_exchange_weak(&lane->room, &word, word_of(room.active + fits, room.granted - 1)))
            return fits;
    } while (true);
}

bool fg_gate_next(struct fg_gate *gate, const struct fg_config_limits *limits, unsigned worker, enum fg_gate_lane lane,
                  int priority)
{
    struct worker *own = &gate->workers[worker];
    struct lane *l = &gate->lanes[lane];
    bool given_up = false;
    unsigned to;

    assert(lane < FG_GATE_ROOMS && worker < gate->workers_len);
    while (atomic_load(&own->credit[lane]) > 0) {
        atomic_fetch_sub(&own->credit[lane], 1);
        if (priority == FG_GATE_NOBODY) {
            atomic_fetch_sub(&l->room, word_of(0, 1));
            given_up = true;
        } else if (waits_from(gate, lane, (unsigned)priority + 1) && pick(gate, lane, &to) > priority && to != worker) {
            atomic_fetch_add(&gate->workers[to].credit[lane], 1);
            wake(gate, to, worker);
        } else if (use(l, limit_of(gate, limits, lane))) {
            fg_gate_queue_leave(gate, worker, lane, (unsigned)priority);
            return true;
        } else {
            given_up = true;
        }
    }
    if (given_up)
        give_out(gate, limits, lane, worker);
    return false;
}

/* ---- retries ---- */

bool fg_gate_retry_enter(struct fg_gate *gate, const struct fg_config_limits *limits,
                         const struct fg_config_retry_budget *budget)
{
    uint32_t retries = atomic_load(&gate->retries);
    double allowed;

    do {
        double active = (double)room_of(atomic_load(&gate->lanes[FG_GATE_ACTIVE].room)).active +
                        room_of(atomic_load(&gate->lanes[FG_GATE_LONG].room)).active;
        allowed = budget->share * active + 1e-6; /* 29 % of 100 are 29, whatever binary fractions say */
        allowed = FG_MAX(allowed, (double)budget->minimum);
        if (limits->retries > 0)
            allowed = FG_MIN(allowed, (double)limits->retries);
        if (retries + 1.0 > allowed)
            return false;
    } while (!atomic_compare_exchange_weak(&gate->retries, &retries, retries + 1));
    return true;
}

void fg_gate_retry_leave(struct fg_gate *gate)
{
    uint32_t before = atomic_fetch_sub(&gate->retries, 1);
    assert(before > 0);
    (void)before;
}

/* ---- what is going on ---- */

uint32_t fg_gate_waiting_of(struct fg_gate *gate, unsigned worker, enum fg_gate_lane lane, unsigned priority)
{
    return queued_of(atomic_load(&gate->workers[worker].queued[lane][valid(priority)])).waiting;
}

void fg_gate_describe(struct fg_gate *gate, const struct fg_config_limits *limits, struct fg_gate_info *out)
{
    *out = (struct fg_gate_info){.pending = atomic_load(&gate->pending),
                                 .retries = atomic_load(&gate->retries),
                                 .displaced = atomic_load_explicit(&gate->displaced, memory_order_relaxed)};
    for (unsigned i = 0; i < FG_GATE_LANES; i++) {
        for (unsigned priority = 0; priority < FG_GATE_PRIORITIES; priority++)
            out->waiting[i][priority] = atomic_load(&gate->lanes[i].waiting[priority]);
        if (i >= FG_GATE_ROOMS)
            continue;
        struct room room = room_of(atomic_load(&gate->lanes[i].room));
        out->in_progress[i] = room.active;
        out->granted[i] = room.granted;
        out->limit[i] = limit_of(gate, limits, (enum fg_gate_lane)i);
    }
    fg_adaptive_describe(&gate->adaptive, &limits->adaptive, &out->adaptive);
}
