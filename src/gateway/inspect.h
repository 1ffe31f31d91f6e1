/* What the admin address tells about a running gateway, as JSON. Called from the admin thread; workers answer questions
 * about themselves by mail and go on. */
#ifndef FG_GATEWAY_INSPECT_H
#define FG_GATEWAY_INSPECT_H

#include "gateway/gateway.h"

#define FG_INSPECT_STREAMS_MAX 10000 /* limit and offset together: what a worker keeps while it looks */

enum fg_inspect_order { FG_INSPECT_BY_WAIT, FG_INSPECT_BY_AGE, FG_INSPECT_BY_BYTES, FG_INSPECT_BY_MESSAGES };

/* Which calls in progress. Texts: "" is any, a "*" at the end stands for the rest, and
 * "*TEXT*" finds TEXT anywhere. */
struct fg_inspect_streams_query {
    char method[512]; /* may lack the leading "/" */
    char cluster[256], endpoint[256], peer[64], dialect[32];
    int wait, phase; /* enum fg_wait_cause, enum fg_phase; -1: any */
    uint64_t min_age_ns, min_wait_ns;
    enum fg_inspect_order sort; /* highest first */
    uint64_t limit, offset;
};

/* {"streams": [...], "total": N, "matched": M, "complete": true}: calls in progress, with what each waits for and since
 * when; TOTAL there are, and M match. Workers look at their calls a few at a time. */
void fg_inspect_streams(struct fg_gateway *gateway, const struct fg_inspect_streams_query *query, FILE *out);

/* Which long waits. */
struct fg_inspect_waits_query {
    uint64_t last_ns; /* that ended so lately, or have not ended */
    uint64_t min_ns;  /* that lasted so long; those that are over are kept from FG_LONG_WAIT_NS on */
    int cause;        /* enum fg_wait_cause; -1: any */
    bool peers;       /* also what is waited for now because the peer itself takes its time */
};

/* {"waits": [...], "complete": true}: what held calls up and what does now, of each worker in the order of the ends,
 * with the streams that held what was waited for. */
void fg_inspect_waits(struct fg_gateway *gateway, const struct fg_inspect_waits_query *query, FILE *out);

/* Ends the call that /streams shows as WORKER-NUMBER, says so in the log, and shows it once more. False: there is none,
 * and nothing was written. */
bool fg_inspect_kill(struct fg_gateway *gateway, unsigned worker, uint64_t number, FILE *out);

/* {"clusters": [...]}: endpoints with their load, connections and breakers; METHODS: also those of their methods, which
 * may be many. */
void fg_inspect_clusters(struct fg_gateway *gateway, bool methods, FILE *out);

/* ---- breakers ---- */

/* Which circuits; what is NULL or negative is not looked at. METHOD may lack the leading "/"; "" is the roll-up of an
 * endpoint, and ENDPOINT "" that of a method. */
struct fg_inspect_filter {
    const struct fg_str *cluster, *endpoint, *method;
    int state;
};

/* {"breakers": [...], "left_out": N}: by cluster, endpoint and method; at most LIMIT. */
void fg_inspect_breakers(struct fg_gateway *gateway, const struct fg_inspect_filter *filter, unsigned limit, FILE *out);

/* Everything about one circuit, which the filter names. False: there is none, and nothing was written. */
bool fg_inspect_breaker(struct fg_gateway *gateway, const struct fg_inspect_filter *filter, FILE *out);

/* ---- changes of state ---- */

/* {"events": [...], "next": SEQ, "lost": N}: those from SINCE on that are still kept, oldest first. */
void fg_inspect_events(struct fg_gateway *gateway, uint64_t since, FILE *out);

/* The same as lines; moves *SINCE on. */
void fg_inspect_event_lines(struct fg_gateway *gateway, uint64_t *since, FILE *out);

/* Says changes of state in the error log: what is new since the last time, some of it when there is too much. All zero
 * to begin with; one thread. */
struct fg_inspect_said {
    uint64_t next_seq;
    uint64_t filled_ns; /* when tokens were last added */
    uint32_t tokens;
    uint64_t kept_back; /* changes that were not said */
};

void fg_inspect_say_events(struct fg_gateway *gateway, struct fg_inspect_said *said, uint64_t now_ns);

#endif
