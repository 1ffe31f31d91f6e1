#include "policy/learned.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/time.h"

/* ---- durations: eight buckets to an octave ---- */

#define STEP_BITS   3
#define STEPS       (1u << STEP_BITS)
#define FIRST_LOG   13 /* 8 us; what is shorter counts as that */
#define LAST_LOG    43 /* 2.4 h; what is longer as that */
#define BUCKETS     ((LAST_LOG - FIRST_LOG) * STEPS)
#define QUANTILE    10 /* one in ten */
#define SAMPLES_MIN 100

static unsigned bucket_of(uint64_t ns)
{
    uint64_t v = FG_MAX(1ull << FIRST_LOG, FG_MIN(ns, (1ull << LAST_LOG) - 1));
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    return (octave - FIRST_LOG) * STEPS + ((unsigned)(v >> (octave - STEP_BITS)) & (STEPS - 1));
}

static uint64_t bucket_start_ns(unsigned bucket)
{
    return (uint64_t)(STEPS + bucket % STEPS) << (FIRST_LOG - STEP_BITS + bucket / STEPS);
}

/* ---- one method ---- */

/* Reports are added up for a minute in one histogram, while that of the minute before is still read. */
#define SLOT_NS     (60 * FG_S)
#define FORGET_NS   (60 * FG_S) /* after the last report */
#define LOOK_NS     FG_S        /* how often the percentile is worked out */
#define RECENT_MAX  128         /* calls; then their number is halved */
#define LONG_NEEDED 4

struct fg_learned {
    /* Read when calls begin. */
    _Atomic uint64_t quick_ns, expires_ns;
    _Atomic uint64_t look_ns; /* when the percentile is due again */
    struct fg_str cluster, method;
    uint32_t hash;
    _Atomic uint32_t samples;
    /* Of whoever has set `looking`. */
    _Atomic bool looking;
    uint64_t slot_ends_ns;
    char pad[64];
    /* Written by every report. */
    _Atomic uint64_t recent; /* struct recent, packed */
    _Atomic unsigned slot;
    _Atomic uint32_t buckets[2][BUCKETS];
};

struct recent {
    uint32_t short_calls, long_calls;
};

static struct recent recent_of(uint64_t word)
{
    return (struct recent){(uint32_t)word, (uint32_t)(word >> 32)};
}

static uint64_t word_of(uint32_t short_calls, uint32_t long_calls)
{
    return (uint64_t)long_calls << 32 | short_calls;
}

static void count_recent(struct fg_learned *learned, uint64_t one)
{
    uint64_t word = atomic_fetch_add_explicit(&learned->recent, one, memory_order_relaxed) + one;
    struct recent r = recent_of(word);

    /* If somebody else counts at the same moment, the next one will halve. */
    if (r.short_calls + r.long_calls >= RECENT_MAX)
        atomic_compare_exchange_strong_explicit(&learned->recent, &word, word_of(r.short_calls / 2, r.long_calls / 2),
                                                memory_order_relaxed, memory_order_relaxed);
}

static void clear(struct fg_learned *learned, unsigned slot)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        atomic_store_explicit(&learned->buckets[slot][i], 0, memory_order_relaxed);
}

/* The caller has set `looking`. A report that comes between may be lost with the histogram that is cleared. */
static void turn_slots(struct fg_learned *learned, uint64_t now_ns)
{
    unsigned slot = atomic_load_explicit(&learned->slot, memory_order_relaxed);

    if (learned->slot_ends_ns != 0) { /* else this is the first report */
        bool forgotten = now_ns >= atomic_load_explicit(&learned->expires_ns, memory_order_relaxed);
        if (now_ns < learned->slot_ends_ns && !forgotten)
            return;
        clear(learned, slot ^ 1);
        if (forgotten)
            clear(learned, slot);
        atomic_store_explicit(&learned->slot, slot ^ 1, memory_order_relaxed);
    }
    learned->slot_ends_ns = now_ns + SLOT_NS;
}

static uint32_t count_of(struct fg_learned *learned, unsigned bucket)
{
    return atomic_load_explicit(&learned->buckets[0][bucket], memory_order_relaxed) +
           atomic_load_explicit(&learned->buckets[1][bucket], memory_order_relaxed);
}

static void look(struct fg_learned *learned, uint64_t now_ns)
{
    uint64_t total = 0, below = 0, quick_ns = 0;

    turn_slots(learned, now_ns);
    for (unsigned i = 0; i < BUCKETS; i++)
        total += count_of(learned, i);
    if (total >= SAMPLES_MIN) {
        /* The first bucket that has a tenth of all in it and below; reports that come meanwhile only make it lower. */
        for (unsigned i = 0; i < BUCKETS && quick_ns == 0; i++) {
            below += count_of(learned, i);
            if (below * QUANTILE >= total)
                quick_ns = bucket_start_ns(i);
        }
    }
    atomic_store_explicit(&learned->samples, (uint32_t)FG_MIN(total, UINT32_MAX), memory_order_relaxed);
    atomic_store_explicit(&learned->quick_ns, quick_ns, memory_order_relaxed);
    atomic_store_explicit(&learned->expires_ns, now_ns + FORGET_NS, memory_order_relaxed);
    atomic_store_explicit(&learned->look_ns, now_ns + LOOK_NS, memory_order_relaxed);
}

void fg_learned_report(struct fg_learned *learned, uint64_t duration_ns, bool one_message, uint64_t now_ns)
{
    if (!learned)
        return;
    count_recent(learned, word_of(1, 0));
    if (!one_message)
        return;
    unsigned slot = atomic_load_explicit(&learned->slot, memory_order_relaxed);
    atomic_fetch_add_explicit(&learned->buckets[slot][bucket_of(duration_ns)], 1, memory_order_relaxed);
    if (now_ns >= atomic_load_explicit(&learned->look_ns, memory_order_relaxed) &&
        !atomic_exchange_explicit(&learned->looking, true, memory_order_acquire)) {
        look(learned, now_ns);
        atomic_store_explicit(&learned->looking, false, memory_order_release);
    }
}

void fg_learned_report_long(struct fg_learned *learned)
{
    if (learned)
        count_recent(learned, word_of(0, 1));
}

bool fg_learned_usually_long(struct fg_learned *learned)
{
    if (!learned)
        return false;
    struct recent r = recent_of(atomic_load_explicit(&learned->recent, memory_order_relaxed));
    return r.long_calls > r.short_calls && r.short_calls + r.long_calls >= LONG_NEEDED;
}

uint64_t fg_learned_quick_ns(struct fg_learned *learned, uint64_t now_ns)
{
    if (!learned || now_ns >= atomic_load_explicit(&learned->expires_ns, memory_order_relaxed) ||
        fg_learned_usually_long(learned))
        return 0;
    return atomic_load_explicit(&learned->quick_ns, memory_order_relaxed);
}

/* ---- all methods: open addressing; added under a lock, found without one, never removed ---- */

/* Peers choose methods. The seed keeps them from choosing collisions, and a search never goes further than this. */
#define PROBE_MAX 32

struct fg_learned_table {
    _Atomic(struct fg_learned *) *slots;
    size_t mask;
    size_t max;
    uint32_t seed;
    _Atomic size_t len;
    pthread_mutex_t adding;
};

struct fg_learned_table *fg_learned_table_new(size_t max_methods)
{
    struct fg_learned_table *table = fg_alloc_zero(sizeof *table);
    size_t slots = PROBE_MAX;

    while (slots < 2 * max_methods)
        slots *= 2;
    table->slots = fg_alloc_zero(slots * sizeof *table->slots);
    table->mask = slots - 1;
    table->max = max_methods;
    if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) != (ssize_t)sizeof table->seed)
        table->seed = (uint32_t)((uintptr_t)table >> 4); /* early at boot: still not the same everywhere */
    pthread_mutex_init(&table->adding, NULL);
    return table;
}

void fg_learned_table_free(struct fg_learned_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i <= table->mask; i++)
        free(atomic_load_explicit(&table->slots[i], memory_order_relaxed));
    pthread_mutex_destroy(&table->adding);
    free(table->slots);
    free(table);
}

/* NULL: it is not there, and would go into *FREE_SLOT (NULL: none is near enough). */
static struct fg_learned *find(struct fg_learned_table *table, struct fg_str cluster, struct fg_str method,
                               uint32_t hash, _Atomic(struct fg_learned *) **free_slot)
{
    *free_slot = NULL;
    for (size_t i = 0; i < PROBE_MAX; i++) {
        _Atomic(struct fg_learned *) *slot = &table->slots[(hash + i) & table->mask];
        struct fg_learned *learned = atomic_load_explicit(slot, memory_order_acquire);
        if (!learned) {
            *free_slot = slot;
            return NULL;
        }
        if (learned->hash == hash && fg_str_eq(learned->method, method) && fg_str_eq(learned->cluster, cluster))
            return learned;
    }
    return NULL;
}

static uint32_t hash_of(const struct fg_learned_table *table, struct fg_str cluster, struct fg_str method)
{
    return fg_hash(method.p, method.len, fg_hash(cluster.p, cluster.len, table->seed));
}

struct fg_learned *fg_learned_find(struct fg_learned_table *table, struct fg_str cluster, struct fg_str method)
{
    _Atomic(struct fg_learned *) *slot;

    if (method.len == 0 || method.len > FG_LEARNED_METHOD_MAX)
        return NULL;
    return find(table, cluster, method, hash_of(table, cluster, method), &slot);
}

/* One allocation holds it and its strings. */
static struct fg_learned *method_new(struct fg_str cluster, struct fg_str method, uint32_t hash)
{
    struct fg_learned *learned = fg_alloc_zero(sizeof *learned + cluster.len + method.len);
    char *text = (char *)(learned + 1);

    if (cluster.len > 0)
        memcpy(text, cluster.p, cluster.len);
    memcpy(text + cluster.len, method.p, method.len);
    learned->cluster = (struct fg_str){text, cluster.len};
    learned->method = (struct fg_str){text + cluster.len, method.len};
    learned->hash = hash;
    return learned;
}

struct fg_learned *fg_learned_get(struct fg_learned_table *table, struct fg_str cluster, struct fg_str method)
{
    _Atomic(struct fg_learned *) *slot;

    if (method.len == 0 || method.len > FG_LEARNED_METHOD_MAX)
        return NULL;
    uint32_t hash = hash_of(table, cluster, method);
    struct fg_learned *learned = find(table, cluster, method, hash, &slot);
    if (learned || !slot || atomic_load_explicit(&table->len, memory_order_relaxed) >= table->max)
        return learned;
    pthread_mutex_lock(&table->adding);
    learned = find(table, cluster, method, hash, &slot);
    if (!learned && slot && atomic_load_explicit(&table->len, memory_order_relaxed) < table->max) {
        learned = method_new(cluster, method, hash);
        atomic_fetch_add_explicit(&table->len, 1, memory_order_relaxed);
        atomic_store_explicit(slot, learned, memory_order_release);
    }
    pthread_mutex_unlock(&table->adding);
    return learned;
}

void fg_learned_each(struct fg_learned_table *table, uint64_t now_ns,
                     void (*visit)(void *context, const struct fg_learned_info *info), void *context)
{
    for (size_t i = 0; i <= table->mask; i++) {
        struct fg_learned *learned = atomic_load_explicit(&table->slots[i], memory_order_acquire);
        if (!learned)
            continue;
        struct recent r = recent_of(atomic_load_explicit(&learned->recent, memory_order_relaxed));
        struct fg_learned_info info = {.cluster = learned->cluster,
                                       .method = learned->method,
                                       .quick_ns = fg_learned_quick_ns(learned, now_ns),
                                       .samples = atomic_load_explicit(&learned->samples, memory_order_relaxed),
                                       .calls = r.short_calls + r.long_calls,
                                       .long_calls = r.long_calls};
        visit(context, &info);
    }
}
