#include "policy/breaker_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

/* Open addressing; circuits are added under a lock, found without one, and never removed. */

#define OVERFLOW_METHOD FG_STR("*")

/* Peers choose methods. The seed keeps them from choosing collisions, and a search never goes further than this. */
#define PROBE_MAX 64

struct fg_breaker_registry {
    _Atomic(struct fg_breaker *) *slots;
    size_t mask;
    uint32_t seed;
    size_t max; /* of each kind */
    _Atomic size_t methods, endpoints, rollups;
    struct fg_breaker_events *events;
    pthread_mutex_t adding;
    struct fg_breaker inert;
};

struct key {
    struct fg_str cluster, endpoint, method;
    uint32_t hash;
};

struct fg_breaker_registry *fg_breaker_registry_new(size_t max_breakers)
{
    struct fg_breaker_registry *registry = fg_alloc_zero(sizeof *registry);
    size_t slots = PROBE_MAX;

    /* Twice the circuits of all kinds. */
    while (slots < 6 * max_breakers)
        slots *= 2;
    registry->slots = fg_alloc_zero(slots * sizeof *registry->slots);
    registry->mask = slots - 1;
    registry->max = max_breakers;
    registry->events = fg_breaker_events_new();
    registry->inert.inert = true;
    registry->inert.events = registry->events;
    fg_breaker_init(&registry->inert);
    if (getrandom(&registry->seed, sizeof registry->seed, GRND_NONBLOCK) != (ssize_t)sizeof registry->seed)
        registry->seed = (uint32_t)((uintptr_t)registry >> 4); /* early at boot: still not the same everywhere */
    pthread_mutex_init(&registry->adding, NULL);
    return registry;
}

void fg_breaker_registry_free(struct fg_breaker_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i <= registry->mask; i++)
        free(atomic_load_explicit(&registry->slots[i], memory_order_relaxed));
    pthread_mutex_destroy(&registry->adding);
    free(registry->slots);
    fg_breaker_events_free(registry->events);
    free(registry);
}

struct fg_breaker_events *fg_breaker_registry_events(struct fg_breaker_registry *registry)
{
    return registry->events;
}

static struct key make_key(const struct fg_breaker_registry *registry, struct fg_str cluster, struct fg_str endpoint,
                           struct fg_str method)
{
    uint32_t hash = fg_hash(cluster.p, cluster.len, registry->seed);

    hash = fg_hash(endpoint.p, endpoint.len, hash);
    hash = fg_hash(method.p, method.len, hash);
    return (struct key){cluster, endpoint, method, hash};
}

/* The circuit, or NULL and in *FREE the slot where it would go (NULL: none is near enough). */
static struct fg_breaker *find(struct fg_breaker_registry *registry, const struct key *key,
                               _Atomic(struct fg_breaker *) **free_slot)
{
    *free_slot = NULL;
    for (size_t i = 0; i < PROBE_MAX; i++) {
        _Atomic(struct fg_breaker *) *slot = &registry->slots[(key->hash + i) & registry->mask];
        struct fg_breaker *breaker = atomic_load_explicit(slot, memory_order_acquire);
        if (!breaker) {
            *free_slot = slot;
            return NULL;
        }
        if (breaker->hash == key->hash && fg_str_eq(breaker->method, key->method) &&
            fg_str_eq(breaker->endpoint, key->endpoint) && fg_str_eq(breaker->cluster, key->cluster))
            return breaker;
    }
    return NULL;
}

static struct fg_str copy_to(char **at, struct fg_str s)
{
    struct fg_str copy = {*at, s.len};

    if (s.len > 0)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return copy;
}

/* One allocation holds the circuit and its strings. */
static struct fg_breaker *circuit_new(struct fg_breaker_registry *registry, const struct key *key)
{
    size_t text = key->cluster.len + key->endpoint.len + key->method.len;
    struct fg_breaker *breaker = fg_alloc_zero(sizeof *breaker + text);
    char *at = (char *)(breaker + 1);

    breaker->cluster = copy_to(&at, key->cluster);
    breaker->endpoint = copy_to(&at, key->endpoint);
    breaker->method = copy_to(&at, key->method);
    breaker->hash = key->hash;
    breaker->observes = key->endpoint.len == 0;
    breaker->events = registry->events;
    fg_breaker_init(breaker);
    return breaker;
}

/* NULL when there is no room; COUNT is that of the kind. */
static struct fg_breaker *find_or_add(struct fg_breaker_registry *registry, const struct key *key,
                                      _Atomic size_t *count)
{
    _Atomic(struct fg_breaker *) *slot;
    struct fg_breaker *breaker = find(registry, key, &slot);

    if (breaker || !slot || atomic_load_explicit(count, memory_order_relaxed) >= registry->max)
        return breaker;
    pthread_mutex_lock(&registry->adding);
    breaker = find(registry, key, &slot);
    if (!breaker && slot && atomic_load_explicit(count, memory_order_relaxed) < registry->max) {
        breaker = circuit_new(registry, key);
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
        atomic_store_explicit(slot, breaker, memory_order_release);
    }
    pthread_mutex_unlock(&registry->adding);
    return breaker;
}

static struct fg_str not_null(struct fg_str s)
{
    return s.p ? s : FG_STR("");
}

struct fg_breaker *fg_breaker_get(struct fg_breaker_registry *registry, struct fg_str cluster, struct fg_str endpoint,
                                  struct fg_str method)
{
    struct fg_breaker *breaker = NULL;

    cluster = not_null(cluster);
    endpoint = not_null(endpoint);
    method = not_null(method);
    bool of_method = method.len > 0 && !fg_str_eq(method, OVERFLOW_METHOD);
    if (method.len <= FG_BREAKER_METHOD_MAX) {
        struct key key = make_key(registry, cluster, endpoint, method);
        breaker = find_or_add(registry, &key,
                              !of_method          ? &registry->endpoints
                              : endpoint.len == 0 ? &registry->rollups
                                                  : &registry->methods);
    }
    if (!breaker && of_method) {
        struct key key = make_key(registry, cluster, endpoint, OVERFLOW_METHOD);
        breaker = find_or_add(registry, &key, &registry->endpoints);
    }
    return breaker ? breaker : &registry->inert;
}

void fg_breaker_each(struct fg_breaker_registry *registry,
                     void (*visit)(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                                   struct fg_breaker *breaker),
                     void *context)
{
    for (size_t i = 0; i <= registry->mask; i++) {
        struct fg_breaker *breaker = atomic_load_explicit(&registry->slots[i], memory_order_acquire);
        if (breaker)
            visit(context, breaker->cluster, breaker->endpoint, breaker->method, breaker);
    }
}
