#include "policy/rate_limit.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

#define SLOTS  7 /* a bucket fills two cache lines */
#define SHARED 256
#define SPINS  100

struct slot {
    uint64_t tag; /* 0: free */
    uint64_t tat_ns;
};

struct bucket {
    _Atomic uint32_t lock;
    uint32_t pad;
    uint64_t now_ns; /* the latest seen */
    struct slot slots[SLOTS];
};

struct fg_rate_limiter {
    struct bucket *buckets;
    uint64_t mask;
    uint64_t secret[2];
    struct bucket shared[SHARED]; /* only the first slot is used */
};

/* ---- SipHash-2-4 (Aumasson, Bernstein 2012) ---- */

struct sip {
    uint64_t v0, v1, v2, v3, tail;
    size_t len;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static void sip_add(struct sip *s, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        s->tail |= (uint64_t)(uint8_t)data[i] << (s->len % 8 * 8);
        if (++s->len % 8 == 0) {
            sip_word(s, s->tail);
            s->tail = 0;
        }
    }
}

/* The length of the first part keeps "a" "bc" and "ab" "c" apart. */
static uint64_t hash(const struct fg_rate_limiter *limiter, struct fg_str name, struct fg_str key)
{
    struct sip s = {.v0 = limiter->secret[0] ^ UINT64_C(0x736f6d6570736575),
                    .v1 = limiter->secret[1] ^ UINT64_C(0x646f72616e646f6d),
                    .v2 = limiter->secret[0] ^ UINT64_C(0x6c7967656e657261),
                    .v3 = limiter->secret[1] ^ UINT64_C(0x7465646279746573)};

    sip_word(&s, name.len);
    sip_add(&s, name.p, name.len);
    sip_add(&s, key.p, key.len);
    sip_word(&s, s.tail | (uint64_t)s.len << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    uint64_t tag = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return tag ? tag : 1;
}

/* ---- buckets ---- */

static void lock(struct bucket *bucket)
{
    for (unsigned spins = 0; atomic_exchange_explicit(&bucket->lock, 1, memory_order_acquire); spins++)
        if (spins >= SPINS) /* whoever holds it was put to sleep */
            sched_yield();
}

static void unlock(struct bucket *bucket)
{
    atomic_store_explicit(&bucket->lock, 0, memory_order_release);
}

static uint64_t advance(struct bucket *bucket, uint64_t now_ns)
{
    bucket->now_ns = FG_MAX(bucket->now_ns, now_ns);
    return bucket->now_ns;
}

static struct slot *find(struct bucket *bucket, uint64_t tag)
{
    for (int i = 0; i < SLOTS; i++)
        if (bucket->slots[i].tag == tag)
            return &bucket->slots[i];
    return NULL;
}

/* A place for a new key: a free one, or that of a key whose TAT has passed. */
static struct slot *claim(struct bucket *bucket, uint64_t tag, uint64_t now_ns)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &bucket->slots[i];
        if (slot->tag != 0 && slot->tat_ns > now_ns)
            continue;
        *slot = (struct slot){.tag = tag};
        return slot;
    }
    return NULL;
}

static struct fg_rate_limit_result take(struct slot *slot, const struct fg_config_rate_limit *config, uint64_t now_ns)
{
    uint64_t ahead_ns = slot->tat_ns > now_ns ? slot->tat_ns - now_ns : 0;
    uint64_t allowed_ns = config->interval_ns * config->burst;

    if (ahead_ns > allowed_ns)
        return (struct fg_rate_limit_result){.wait_ns = ahead_ns - allowed_ns};
    slot->tat_ns = now_ns + ahead_ns + config->interval_ns;
    return (struct fg_rate_limit_result){.allowed = true};
}

/* Takes both buckets, in the order of their addresses, so that a key has one place. */
static void lock_both(struct bucket *a, struct bucket *b)
{
    lock(a < b ? a : b);
    if (a != b)
        lock(a < b ? b : a);
}

static void unlock_both(struct bucket *a, struct bucket *b)
{
    unlock(a);
    if (a != b)
        unlock(b);
}

static struct fg_rate_limit_result take_shared(struct fg_rate_limiter *limiter,
                                               const struct fg_config_rate_limit *config, struct fg_str name,
                                               uint64_t now_ns)
{
    struct bucket *bucket = &limiter->shared[hash(limiter, name, FG_STR("")) % SHARED];

    lock(bucket);
    struct fg_rate_limit_result result = take(&bucket->slots[0], config, advance(bucket, now_ns));
    unlock(bucket);
    result.shared = true;
    return result;
}

struct fg_rate_limit_result fg_rate_limiter_take(struct fg_rate_limiter *limiter,
                                                 const struct fg_config_rate_limit *config, struct fg_str name,
                                                 struct fg_str key, uint64_t now_ns)
{
    uint64_t tag = hash(limiter, name, key);
    struct bucket *first = &limiter->buckets[tag & limiter->mask];
    struct bucket *second = &limiter->buckets[(tag >> 32) & limiter->mask];

    lock(first); /* nearly always it is here */
    struct slot *slot = find(first, tag);
    if (slot) {
        struct fg_rate_limit_result result = take(slot, config, advance(first, now_ns));
        unlock(first);
        return result;
    }
    unlock(first);
    lock_both(first, second);
    uint64_t now = FG_MAX(advance(first, now_ns), advance(second, now_ns));
    slot = find(first, tag);
    if (!slot)
        slot = find(second, tag);
    if (!slot)
        slot = claim(first, tag, now);
    if (!slot)
        slot = claim(second, tag, now);
    struct fg_rate_limit_result result = {0};
    if (slot)
        result = take(slot, config, now);
    unlock_both(first, second);
    return slot ? result : take_shared(limiter, config, name, now_ns);
}

/* ---- life ---- */

struct fg_rate_limiter *fg_rate_limiter_new(size_t max_keys)
{
    struct fg_rate_limiter *limiter = fg_alloc_zero(sizeof *limiter);
    size_t buckets = 1;

    while (buckets * SLOTS < max_keys)
        buckets *= 2;
    limiter->buckets = fg_alloc_zero(buckets * sizeof *limiter->buckets);
    limiter->mask = buckets - 1;
    if (getrandom(limiter->secret, sizeof limiter->secret, GRND_NONBLOCK) != (ssize_t)sizeof limiter->secret)
        limiter->secret[0] = (uintptr_t)limiter; /* early at boot: still not the same everywhere */
    return limiter;
}

void fg_rate_limiter_free(struct fg_rate_limiter *limiter)
{
    if (!limiter)
        return;
    free(limiter->buckets);
    free(limiter);
}

/* ---- messages ---- */

uint64_t fg_message_pace_delay(struct fg_message_pace *pace, const struct fg_config_message_limit *config,
                               uint64_t messages, uint64_t now_ns)
{
    uint64_t ahead_ns = pace->tat_ns > now_ns ? pace->tat_ns - now_ns : 0;
    uint64_t allowed_ns = config->interval_ns * config->burst;

    if (messages == 0 || config->interval_ns == 0)
        return 0;
    if (ahead_ns > allowed_ns)
        return ahead_ns - allowed_ns;
    pace->tat_ns = now_ns + ahead_ns + config->interval_ns * messages;
    return 0;
}

bool fg_message_pace_allows(struct fg_message_pace *pace, const struct fg_config_message_limit *config,
                            uint64_t messages, uint64_t now_ns)
{
    uint64_t ahead_ns = pace->tat_ns > now_ns ? pace->tat_ns - now_ns : 0;

    if (messages == 0 || config->interval_ns == 0)
        return true;
    if (ahead_ns + config->interval_ns * (messages - 1) > config->interval_ns * config->burst)
        return false;
    pace->tat_ns = now_ns + ahead_ns + config->interval_ns * messages;
    return true;
}
