/* A cluster of endpoints as one worker sees it: its connections, its waiting calls, its load. */
#ifndef FG_UPSTREAM_CLUSTER_H
#define FG_UPSTREAM_CLUSTER_H

#include "base/fair_queue.h"
#include "config/config.h"
#include "http/conn.h"
#include "rpc/status.h"

struct fg_breaker;
struct fg_gate;
struct fg_retry_tokens;

/* A call that waits for a stream slot on an endpoint; embedded in the call's attempt. Exactly one of the callbacks is
 * called unless fg_endpoint_cancel comes first. */
struct fg_slot_wait {
    struct fg_fair_item item;
    struct fg_endpoint *endpoint;
    void (*on_slot)(struct fg_slot_wait *wait, struct fg_conn *conn); /* the conn has a free slot now: use it at once */
    void (*on_failed)(struct fg_slot_wait *wait,
                      const char *why); /* no connection could be made; WHY until it returns */
};

/* Counters of one endpoint in one worker, like base/stats.h. Connections that are open: made, and not ended. */
struct fg_endpoint_stats {
    uint64_t attempts_started;
    uint64_t connects_succeeded, connects_failed; /* a connection is made when requests may be sent on it */
    uint64_t disconnections;
};

struct fg_endpoint {
    struct fg_cluster *cluster;
    const struct fg_config_endpoint *config;
    struct fg_str name; /* the address as written; borrowed from the configuration */
    struct fg_address address;
    struct fg_breaker *breaker; /* roll-up over all methods; set by the owner of the cluster */
    struct fg_conn **conns;
    uint32_t conns_len, conns_cap;
    uint32_t connecting;           /* of them, not usable yet */
    uint32_t slots_hint;           /* streams that a connection to it takes, as far as is known */
    uint32_t active;               /* attempts in progress, the waiting ones included */
    struct fg_fair_queue *waiting; /* struct fg_slot_wait; NULL: nobody has ever waited */
    int32_t current_weight;        /* smooth weighted round robin */
    struct fg_endpoint_stats stats;
};

struct fg_cluster {
    const struct fg_config_cluster *config;
    struct fg_str name;
    struct fg_conn_side side;
    struct fg_endpoint *endpoints;
    size_t endpoints_len;
    uint64_t random;
    /* Set by the owner of the cluster. */
    struct fg_gate *gate;           /* shared by all workers */
    struct fg_retry_tokens *tokens; /* the same */
    bool has_classes;               /* routes to it differ in priority or weight */
    bool is_gated;                  /* something has to be counted */
    struct fg_fair_queue *turns;    /* by lane: attempts that wait for room */
    struct fg_turn_task turn_task;  /* the gate's wake of the own worker */
    struct fg_mail turn_mail;       /* of another one */
    void *owner;
    struct fg_descriptors *descriptors; /* this worker's reference to what the services look like; NULL: not known */
};

struct fg_descriptors;

/* Borrowed for this turn: fg_descriptors_ref keeps it. NULL: none yet. */
static inline struct fg_descriptors *fg_cluster_descriptors(const struct fg_cluster *cluster)
{
    return cluster->descriptors;
}

/* 0, or -1 with a sentence in ERROR (an endpoint's name does not resolve, the TLS files are bad). TLS may be NULL. SEED
 * starts the balancer's random numbers. */
int fg_cluster_init(struct fg_cluster *cluster, const struct fg_config_cluster *config, struct fg_loop *loop,
                    struct fg_stats *stats, struct fg_tls_context *tls, uint64_t seed, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_cluster_cleanup(struct fg_cluster *cluster); /* closes its connections */

/* What an HTTP status of a service that does not speak gRPC means. */
enum fg_status fg_cluster_status(const struct fg_cluster *cluster, unsigned http_status);

/* ---- balance.c ---- */

/* Chooses an endpoint among those that ADMITS accepts; NULL: none. */
struct fg_endpoint *fg_cluster_pick(struct fg_cluster *cluster,
                                    bool (*admits)(void *context, struct fg_endpoint *endpoint), void *context);

/* ---- pool.c ---- */

/* A connection with a free stream slot, to be used at once: the first that has one and is neither stalled nor suspect
 * (few connections are fast). NULL: the call has to wait; so it has while others wait. */
struct fg_conn *fg_endpoint_find_slot(struct fg_endpoint *endpoint);

/* Waits for a slot; a further connection is opened if those on their way will not do. 0, or -1 and *WHY when
 * connecting failed at once. */
int fg_endpoint_wait(struct fg_endpoint *endpoint, struct fg_slot_wait *wait, unsigned priority, unsigned weight,
                     uint32_t tenant, const char **why) __attribute__((warn_unused_result));
uint32_t fg_endpoint_waiting(const struct fg_endpoint *endpoint);              /* how many do */
void fg_endpoint_cancel(struct fg_slot_wait *wait);                            /* harmless if it does not wait */
enum fg_wait_cause fg_endpoint_wait_cause(const struct fg_endpoint *endpoint); /* of those that wait for it */

extern const struct fg_conn_events fg_pool_events;

#endif
