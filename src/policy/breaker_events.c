/* The latest changes of state of all circuits: a ring that any thread writes and reads. */
#include "policy/breaker_int.h"

#include <stdlib.h>

#include "base/mem.h"

/* Each slot is a sequence lock: its version says which event it holds, or that one is being written. Fields are stored
 * with release and loaded with acquire: who sees a field of the next event sees the version of the next, too. */
struct slot {
    _Atomic uint64_t version; /* 2 x (seq + 1), less 1 while that event is being written; 0: none yet */
    _Atomic uint64_t at_ns;
    _Atomic(struct fg_breaker *) breaker;
    _Atomic uint64_t change;        /* from << 2 | to */
    _Atomic uint64_t trip, episode; /* as the circuit has them */
};

struct fg_breaker_events {
    struct slot slots[FG_BREAKER_EVENTS];
    _Atomic uint64_t len;  /* events so far */
    _Atomic uint64_t lost; /* 1 + the latest event that found no room; 0: none */
    void (*wake)(void *context);
    void *context;
};

struct fg_breaker_events *fg_breaker_events_new(void)
{
    return fg_alloc_zero(sizeof(struct fg_breaker_events));
}

void fg_breaker_events_free(struct fg_breaker_events *events)
{
    free(events);
}

void fg_breaker_events_on_new(struct fg_breaker_registry *registry, void (*wake)(void *context), void *context)
{
    struct fg_breaker_events *events = fg_breaker_registry_events(registry);

    events->wake = wake;
    events->context = context;
}

static uint64_t version_of(uint64_t seq)
{
    return 2 * (seq + 1);
}

void fg_breaker_events_add(struct fg_breaker *breaker, enum fg_breaker_state from, enum fg_breaker_state to,
                           uint64_t at_ns)
{
    struct fg_breaker_events *events = breaker->events;
    uint64_t seq = atomic_fetch_add_explicit(&events->len, 1, memory_order_relaxed);
    struct slot *slot = &events->slots[seq % FG_BREAKER_EVENTS];
    uint64_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);

    /* A thread that slept for a whole turn of the ring leaves the slot to whom it belongs now; one that finds such a
     * thread at work loses its event. */
    if (version % 2 == 1 || version > version_of(seq) ||
        !atomic_compare_exchange_strong_explicit(&slot->version, &version, version_of(seq) - 1, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        fg_breaker_advance(&events->lost, seq + 1);
        return;
    }
    atomic_store_explicit(&slot->at_ns, at_ns, memory_order_release);
    atomic_store_explicit(&slot->breaker, breaker, memory_order_release);
    atomic_store_explicit(&slot->change, (uint64_t)from << 2 | (uint64_t)to, memory_order_release);
    atomic_store_explicit(&slot->trip, atomic_load_explicit(&breaker->cause, memory_order_acquire),
                          memory_order_release);
    atomic_store_explicit(&slot->episode, atomic_load_explicit(&breaker->episode, memory_order_acquire),
                          memory_order_release);
    atomic_store_explicit(&slot->version, version_of(seq), memory_order_release);
    if (events->wake)
        events->wake(events->context);
}

/* The version that the slot has: that of SEQ when *OUT was filled in. */
static uint64_t read_slot(const struct slot *slot, uint64_t seq, struct fg_breaker_event *out)
{
    uint64_t version = atomic_load_explicit(&slot->version, memory_order_acquire);

    if (version != version_of(seq))
        return version;
    struct fg_breaker *breaker = atomic_load_explicit(&slot->breaker, memory_order_acquire);
    uint64_t at_ns = atomic_load_explicit(&slot->at_ns, memory_order_acquire);
    uint64_t change = atomic_load_explicit(&slot->change, memory_order_acquire);
    uint64_t trip = atomic_load_explicit(&slot->trip, memory_order_acquire);
    struct fg_breaker_episode episode =
        fg_breaker_unpack_episode(atomic_load_explicit(&slot->episode, memory_order_acquire));
    version = atomic_load_explicit(&slot->version, memory_order_relaxed);
    if (version != version_of(seq))
        return version; /* overwritten meanwhile */
    *out = (struct fg_breaker_event){.seq = seq,
                                     .at_ns = at_ns,
                                     .breaker = breaker,
                                     .cluster = breaker->cluster,
                                     .endpoint = breaker->endpoint,
                                     .method = breaker->method,
                                     .from = (enum fg_breaker_state)(change >> 2),
                                     .to = (enum fg_breaker_state)(change & 3),
                                     .factor = episode.factor,
                                     .severity = episode.severity};
    out->cause = fg_breaker_tell_trip(fg_breaker_unpack_trip(trip), &out->observed, &out->threshold);
    return version;
}

uint64_t fg_breaker_events_read(struct fg_breaker_registry *registry, uint64_t from_seq,
                                void (*visit)(void *context, const struct fg_breaker_event *event), void *context)
{
    const struct fg_breaker_events *events = fg_breaker_registry_events(registry);
    uint64_t len = atomic_load_explicit(&events->len, memory_order_acquire), seq = from_seq;

    if (len > FG_BREAKER_EVENTS)
        seq = FG_MAX(seq, len - FG_BREAKER_EVENTS);
    for (; seq < len; seq++) {
        struct fg_breaker_event event;
        uint64_t version = read_slot(&events->slots[seq % FG_BREAKER_EVENTS], seq, &event);
        if (version == version_of(seq))
            visit(context, &event);
        else if (version < version_of(seq) && seq >= atomic_load_explicit(&events->lost, memory_order_acquire))
            break; /* it is being written: its thread will wake the reader again */
    }
    return seq;
}
