/* A cluster of endpoints as one worker sees it: its connections, its waiting calls, its load. */
#ifndef FG_UPSTREAM_CLUSTER_H
#define FG_UPSTREAM_CLUSTER_H

#include "config/config.h"
#include "http/conn.h"

struct fg_breaker;

/* A call that waits for a stream slot on an endpoint; embedded in the call's attempt. Exactly one of the callbacks is
 * called unless fg_endpoint_cancel comes first. */
struct fg_slot_wait {
    struct fg_list node;
    struct fg_endpoint *endpoint;
    void (*on_slot)(struct fg_slot_wait *wait, struct fg_conn *conn); /* the conn has a free slot now: use it at once */
    void (*on_failed)(struct fg_slot_wait *wait,
                      const char *why); /* no connection could be made; WHY until it returns */
};

struct fg_endpoint {
    struct fg_cluster *cluster;
    const struct fg_config_endpoint *config;
    struct fg_str name; /* the address as written; borrowed from the configuration */
    struct fg_address address;
    struct fg_breaker *breaker; /* roll-up over all methods; set by the owner of the cluster */
    struct fg_conn **conns;
    uint32_t conns_len, conns_cap;
    uint32_t connecting; /* of them, not usable yet */
    uint32_t slots_hint; /* streams that a connection to it takes, as far as is known */
    uint32_t active;     /* attempts in progress, the waiting ones included */
    uint32_t waiting_len;
    struct fg_list waiting;
    int32_t current_weight; /* smooth weighted round robin */
};

struct fg_cluster {
    const struct fg_config_cluster *config;
    struct fg_str name;
    struct fg_conn_side side;
    struct fg_endpoint *endpoints;
    size_t endpoints_len;
    uint32_t pending; /* calls waiting on all of its endpoints */
    uint64_t random;
};

/* 0, or -1 with a sentence in ERROR (an endpoint's name does not resolve, the TLS files are bad). TLS may be NULL. SEED
 * starts the balancer's random numbers. */
int fg_cluster_init(struct fg_cluster *cluster, const struct fg_config_cluster *config, struct fg_loop *loop,
                    struct fg_stats *stats, struct fg_tls_context *tls, uint64_t seed, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_cluster_cleanup(struct fg_cluster *cluster); /* closes its connections */

/* ---- balance.c ---- */

/* Chooses an endpoint among those that ADMITS accepts; NULL: none. */
struct fg_endpoint *fg_cluster_pick(struct fg_cluster *cluster,
                                    bool (*admits)(void *context, struct fg_endpoint *endpoint), void *context);

/* ---- pool.c ---- */

enum fg_slot_result {
    FG_SLOT_READY,   /* *CONN has a free slot now */
    FG_SLOT_WAITING, /* WAIT is queued */
    FG_SLOT_FULL,    /* the pending queue is full */
    FG_SLOT_FAILED,  /* connecting failed at once; *WHY */
};

/* Asks for a stream slot. Coalesces: the first connection that has one and is neither stalled nor suspect; a further
 * connection is opened when slots run out or only bad connections have some. */
enum fg_slot_result fg_endpoint_acquire(struct fg_endpoint *endpoint, struct fg_slot_wait *wait, struct fg_conn **conn,
                                        const char **why) __attribute__((warn_unused_result));
void fg_endpoint_cancel(struct fg_slot_wait *wait);                            /* harmless if it does not wait */
enum fg_wait_cause fg_endpoint_wait_cause(const struct fg_endpoint *endpoint); /* of those that wait for it */

extern const struct fg_conn_events fg_pool_events;

#endif
