/* The outcomes that led to a trip: the latest bad ones in a ring, and a copy as it was at the last trip. */
#include "policy/breaker_int.h"

/* Packed:  63 used  62..61 class  60 slow  59..55 code  54..50 source  49..32 duration in ms  31..0 instant in ms */

#define DURATION_MASK  0x3ffffu
#define CLOCKS_DIFFER  60000u /* ms: so far ahead an instant may be */
#define OUTCOME_IS_SET (1ull << 63)

_Static_assert(FG_SOURCE_LEN <= 32 && FG_STATUS_LEN <= 32, "five bits");

void fg_breaker_keep_outcome(struct fg_breaker *breaker, uint64_t raw, const struct fg_breaker_result *result,
                             uint64_t now_ns)
{
    uint32_t count = fg_breaker_count_up(breaker, &breaker->recent_len, raw);

    if (count == 0)
        return;
    atomic_store_explicit(&breaker->recent[(count - 1) % FG_BREAKER_OUTCOMES],
                          OUTCOME_IS_SET | (uint64_t)result->class << 61 | (uint64_t)result->slow << 60 |
                              ((uint64_t)result->code & 31) << 55 | ((uint64_t)result->source & 31) << 50 |
                              (uint64_t)FG_MIN(result->duration_ms, DURATION_MASK) << 32 | (uint32_t)(now_ns / 1000000),
                          memory_order_release);
}

static struct fg_breaker_outcome unpack_outcome(uint64_t raw, uint64_t now_ns)
{
    uint32_t age_ms = (uint32_t)(now_ns / 1000000) - (uint32_t)raw;

    return (struct fg_breaker_outcome){.class = (enum fg_class)(raw >> 61 & 3),
                                       .slow = raw >> 60 & 1,
                                       .code = (enum fg_status)(raw >> 55 & 31),
                                       .source = (enum fg_source)(raw >> 50 & 31),
                                       .duration_ms = (uint32_t)(raw >> 32) & DURATION_MASK,
                                       .age_ns = age_ms > 0u - CLOCKS_DIFFER ? 0 : age_ms * 1000000ull};
}

/* Whoever finds another thread at it leaves it to that one: it copies the same. One that slept finds that RAW's period
 * has no outcomes any more. */
void fg_breaker_freeze_outcomes(struct fg_breaker *breaker, uint64_t raw)
{
    uint32_t count = fg_breaker_count_of(atomic_load_explicit(&breaker->recent_len, memory_order_acquire), raw);
    uint32_t version = atomic_load_explicit(&breaker->frozen_version, memory_order_relaxed);

    if (count == 0 || version & 1 ||
        !atomic_compare_exchange_strong_explicit(&breaker->frozen_version, &version, version + 1, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    uint32_t len = FG_MIN(count, FG_BREAKER_OUTCOMES);
    for (uint32_t i = 0; i < FG_BREAKER_OUTCOMES; i++) {
        uint64_t outcome = 0;
        if (i < len)
            outcome =
                atomic_load_explicit(&breaker->recent[(count - len + i) % FG_BREAKER_OUTCOMES], memory_order_acquire);
        atomic_store_explicit(&breaker->frozen[i], outcome, memory_order_release);
    }
    atomic_store_explicit(&breaker->frozen_version, version + 2, memory_order_release);
}

size_t fg_breaker_kept_outcomes(const struct fg_breaker *breaker, uint64_t now_ns,
                                struct fg_breaker_outcome out[FG_BREAKER_OUTCOMES])
{
    uint64_t copy[FG_BREAKER_OUTCOMES];
    uint32_t version;
    size_t len = 0;
    int tries = 0;

    do {
        version = atomic_load_explicit(&breaker->frozen_version, memory_order_acquire);
        for (size_t i = 0; i < FG_BREAKER_OUTCOMES; i++)
            copy[i] = atomic_load_explicit(&breaker->frozen[i], memory_order_acquire);
    } while ((version & 1 || atomic_load_explicit(&breaker->frozen_version, memory_order_relaxed) != version) &&
             ++tries < 16);
    for (size_t i = 0; i < FG_BREAKER_OUTCOMES; i++)
        if (copy[i] & OUTCOME_IS_SET)
            out[len++] = unpack_outcome(copy[i], now_ns);
    return len;
}
