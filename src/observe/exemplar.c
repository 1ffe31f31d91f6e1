#include "observe/exemplar.h"

#include <string.h>

#include "base/bytes.h"

#define TRIES 16

/* No fences, which ThreadSanitizer does not know: a release store of a word stays behind the odd sequence, an acquire
 * load of a word before the second look at it. */
void fg_exemplar_put(struct fg_exemplar_slot *slot, const struct fg_exemplar *exemplar, uint64_t value_ns)
{
    uint64_t words[FG_ARRAY_LEN(slot->words)];

    memcpy(&words[0], exemplar->trace_id, sizeof exemplar->trace_id);
    memcpy(&words[2], exemplar->span_id, sizeof exemplar->span_id);
    words[3] = exemplar->wall_ns;
    words[4] = value_ns;
    __atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < FG_ARRAY_LEN(words); i++)
        __atomic_store_n(&slot->words[i], words[i], __ATOMIC_RELEASE);
    __atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELEASE);
}

bool fg_exemplar_get(const struct fg_exemplar_slot *slot, struct fg_exemplar *exemplar, uint64_t *value_ns)
{
    uint64_t words[FG_ARRAY_LEN(slot->words)];

    for (int i = 0; i < TRIES; i++) {
        uint64_t sequence = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);
        if (sequence == 0)
            return false;
        for (size_t w = 0; w < FG_ARRAY_LEN(words); w++)
            words[w] = __atomic_load_n(&slot->words[w], __ATOMIC_ACQUIRE);
        if (sequence % 2 != 0 || __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) != sequence)
            continue;
        memcpy(exemplar->trace_id, &words[0], sizeof exemplar->trace_id);
        memcpy(exemplar->span_id, &words[2], sizeof exemplar->span_id);
        exemplar->wall_ns = words[3];
        *value_ns = words[4];
        return true;
    }
    return false;
}
