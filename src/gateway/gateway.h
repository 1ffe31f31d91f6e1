/* The gateway: a configuration made running. Owns the workers and what they share. */
#ifndef FG_GATEWAY_GATEWAY_H
#define FG_GATEWAY_GATEWAY_H

#include <stdio.h>

#include "gateway/descriptors.h"
#include "gateway/overview.h"
#include "gateway/worker.h"

/* The gate of one cluster and what its wake-ups need. */
struct fg_gateway_gate {
    struct fg_gateway *gateway;
    size_t cluster;
    struct fg_gate *gate;
    struct fg_retry_tokens tokens;
};

struct fg_tap_session;

struct fg_gateway {
    struct fg_config *config;
    struct fg_breaker_registry *breakers;
    struct fg_learned_table *learned;
    struct fg_rate_limiter *limiter;
    struct fg_gateway_gate *gates;                /* by cluster */
    struct fg_descriptor_source **descriptors;    /* by cluster; NULL entries: none */
    struct fg_access_log *access_log;             /* NULL: off */
    struct fg_tap_session *taps[FG_TAP_SESSIONS]; /* the admin thread's; NULL entries: free */
    uint64_t last_tap;
    struct fg_worker *workers;
    unsigned workers_len;                 /* initialised */
    unsigned started;                     /* threads running or ended, not joined; atomic */
    struct fg_tls_context **listener_tls; /* by listener; NULL entries: plain */
    struct fg_tls_context **cluster_tls;  /* by cluster */
    struct fg_tls_context **retired;      /* replaced by a refresh; a worker may still hold the pointer */
    size_t retired_len;
    uint32_t *connections;        /* by listener, over all workers */
    struct fg_overview *overview; /* set when it serves, atomic; NULL: nobody could ask for it */
    uint64_t config_loaded_ns;    /* wall clock */
    unsigned config_generation;   /* how many configurations there have been */
    uint64_t started_ns, started_wall_ns;
    bool ready;    /* serving; atomic */
    bool draining; /* atomic */
};

/* Binds, resolves and loads everything; nothing runs yet. Takes CONFIG on success. 0, or -1 with a sentence in ERROR
 * and nothing left behind. */
int fg_gateway_init(struct fg_gateway *gateway, struct fg_config *config, char *error, size_t error_len)
    __attribute__((warn_unused_result));
int fg_gateway_start(struct fg_gateway *gateway, char *error, size_t error_len) __attribute__((warn_unused_result));

/* Stops accepting, sends GOAWAY, lets calls finish within drain_timeout. Returns at once; may be called from any
 * thread. */
void fg_gateway_drain(struct fg_gateway *gateway);
void fg_gateway_join(struct fg_gateway *gateway); /* waits until all workers have ended */
void fg_gateway_cleanup(struct fg_gateway *gateway);

/* Reads certificates again and opens the log anew (SIGHUP). What fails to load stays as it was, with a log message. */
void fg_gateway_refresh(struct fg_gateway *gateway);

/* A worker's part of an answer, on its own thread. False: it is to be called again in another turn; *STATE, which
 * begins as NULL, is its own until then, and what it wrote is kept. */
typedef bool fg_gateway_fill(struct fg_worker *worker, const void *context, void **state, FILE *out);

/* Asks every worker: FILL writes its part; the parts are joined in worker order with SEPARATOR between those that are
 * not empty. False when a worker did not answer within two seconds (its part is missing). FILL and what CONTEXT points
 * to must stay valid even then: CONTEXT is copied. */
bool fg_gateway_ask(struct fg_gateway *gateway, fg_gateway_fill *fill, const void *context, size_t context_len,
                    const char *separator, FILE *out);

#endif
