/* Counting: windows of calls, and counters of one period. */
#include "policy/breaker_int.h"

/* A bucket knows its slice of time and the period that it counts for. */
struct bucket {
    uint32_t epoch, period, calls, hits;
};

#define EPOCH_MASK        0xfffffu /* 20 bits: come round after twelve days of 1 s slices */
#define PERIOD_TAG        0xffu
#define BUCKET_COUNT_MASK 0x3ffffu /* 18 bits; beyond that both counts are halved, which keeps their ratio */

static uint64_t pack_bucket(struct bucket b)
{
    return (uint64_t)b.epoch << 44 | (uint64_t)b.period << 36 | (uint64_t)b.calls << 18 | b.hits;
}

static struct bucket unpack_bucket(uint64_t raw)
{
    return (struct bucket){.epoch = (uint32_t)(raw >> 44),
                           .period = (uint32_t)(raw >> 36) & PERIOD_TAG,
                           .calls = (uint32_t)(raw >> 18) & BUCKET_COUNT_MASK,
                           .hits = (uint32_t)raw & BUCKET_COUNT_MASK};
}

void fg_breaker_window_add(struct fg_breaker *breaker, struct fg_breaker_window *window, uint64_t raw, uint64_t epoch,
                           uint32_t units, bool hit)
{
    _Atomic uint64_t *slot = &window->buckets[epoch % FG_BREAKER_BUCKETS];
    uint64_t seen = atomic_load_explicit(slot, memory_order_acquire), next;
    uint32_t tag = (uint32_t)(epoch & EPOCH_MASK), period = fg_breaker_period_of(raw) & PERIOD_TAG;

    do {
        struct bucket b = unpack_bucket(seen);
        if (b.epoch != tag || b.period != period) {
            /* Another slice or period. It is older unless this thread slept: then the word has changed, or the slice
             * is a few turns of the ring ahead. */
            uint32_t ahead = (b.epoch - tag) & EPOCH_MASK;
            if (!fg_breaker_is_current(breaker, raw) ||
                (b.period == period && ahead > 0 && ahead <= 8 * FG_BREAKER_BUCKETS))
                return;
            b = (struct bucket){.epoch = tag, .period = period};
        }
        if (b.calls + units > BUCKET_COUNT_MASK) {
            b.calls /= 2;
            b.hits /= 2;
        }
        b.calls += units;
        b.hits += hit ? units : 0;
        next = pack_bucket(b);
    } while (!atomic_compare_exchange_weak_explicit(slot, &seen, next, memory_order_acq_rel, memory_order_acquire));
}

struct fg_breaker_sum fg_breaker_window_sum(const struct fg_breaker_window *window, uint64_t raw, uint64_t epoch)
{
    /* Epoch and period of a bucket are compared in one piece and without branches: this runs for every call while there
     * are failures. A slice ahead of EPOCH was counted by a worker whose clock is a little ahead: it belongs here. */
    const uint32_t unit = PERIOD_TAG + 1, mask = (EPOCH_MASK << 8) | PERIOD_TAG;
    uint32_t latest = ((uint32_t)(epoch + 1) * unit + (fg_breaker_period_of(raw) & PERIOD_TAG)) & mask;
    struct fg_breaker_sum sum = {0};

    for (size_t i = 0; i < FG_BREAKER_BUCKETS; i++) {
        uint64_t bucket = atomic_load_explicit(&window->buckets[i], memory_order_acquire);
        uint32_t behind = (latest - (uint32_t)(bucket >> 36)) & mask;
        uint32_t keep = 0 - (uint32_t)((behind & PERIOD_TAG) == 0 && behind <= FG_BREAKER_BUCKETS * unit);
        sum.calls += (uint32_t)(bucket >> 18) & BUCKET_COUNT_MASK & keep;
        sum.hits += (uint32_t)bucket & BUCKET_COUNT_MASK & keep;
    }
    return sum;
}

static inline uint64_t zero(uint64_t raw)
{
    return (uint64_t)fg_breaker_period_of(raw) << 32;
}

uint32_t fg_breaker_count_up(struct fg_breaker *breaker, _Atomic uint64_t *counter, uint64_t raw)
{
    uint64_t seen = atomic_load_explicit(counter, memory_order_acquire), next;

    do {
        next = seen;
        if (seen >> 32 != fg_breaker_period_of(raw)) {
            if (!fg_breaker_is_current(breaker, raw))
                return 0;
            next = zero(raw);
        }
        if ((uint32_t)next < UINT32_MAX)
            next++;
    } while (!atomic_compare_exchange_weak_explicit(counter, &seen, next, memory_order_acq_rel, memory_order_acquire));
    return (uint32_t)next;
}

void fg_breaker_count_clear(_Atomic uint64_t *counter, uint64_t raw)
{
    uint64_t seen = atomic_load_explicit(counter, memory_order_acquire);

    while (
        fg_breaker_count_of(seen, raw) > 0 &&
        !atomic_compare_exchange_weak_explicit(counter, &seen, zero(raw), memory_order_acq_rel, memory_order_acquire)) {
    }
}
