/* One worker: a thread with its loop, its listeners, its clusters and its calls. Workers share nothing but the
 * configuration, the breaker registry and mailboxes. */
#ifndef FG_GATEWAY_WORKER_H
#define FG_GATEWAY_WORKER_H

#include <pthread.h>

#include "call/call.h"
#include "gateway/long_waits.h"
#include "call/tap.h"
#include "http/server.h"
#include "observe/access_log.h"
#include "observe/metrics.h"

struct fg_gateway;

struct fg_worker {
    struct fg_gateway *gateway;
    unsigned index;
    pthread_t thread;
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_metrics metrics;
    struct fg_long_waits long_waits;
    struct fg_call_env env;
    struct fg_tap tap;         /* what env.tap points to while somebody taps */
    struct fg_server *servers; /* one per listener of the configuration */
    size_t servers_len;
    struct fg_cluster *clusters;
    size_t clusters_len;
    struct fg_timer drain_timer;
    bool draining;
};

/* Sockets are bound, endpoints resolved and memory taken here, on the caller's thread, so that errors come before
 * anything runs. 0, or -1 with a sentence in ERROR; clean up in both cases. */
int fg_worker_init(struct fg_worker *worker, struct fg_gateway *gateway, unsigned index, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_worker_cleanup(struct fg_worker *worker);

/* The gate of CLUSTER has something for the worker. From any thread; FROM_ITSELF: from its own. */
void fg_worker_wake_gate(struct fg_worker *worker, size_t cluster, bool from_itself);

/* On the worker's own thread: GOAWAY to all clients; the loop stops when the last connection has ended or drain_timeout
 * is over. */
void fg_worker_drain(struct fg_worker *worker);

#endif
