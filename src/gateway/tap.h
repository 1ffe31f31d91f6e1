/* Sessions of /tap: what workers write about the calls they chose (call/tap.h) becomes lines of JSON, redacted as the
 * configuration says. All functions are called on the admin thread. */
#ifndef FG_GATEWAY_TAP_H
#define FG_GATEWAY_TAP_H

#include "gateway/gateway.h"

#define FG_TAP_RATE_DEFAULT  100
#define FG_TAP_BYTES_DEFAULT 4096
#define FG_TAP_SECONDS_MAX   86400
#define FG_TAP_COUNT_MAX     1000000000

/* Which calls, and how much of them. Texts: "" is any, and a "*" at the end stands for the rest. */
struct fg_tap_query {
    struct fg_tap_filter filter; /* without what belongs to the rate, the count and the bytes */
    /* What is known at the end of a call: its events are kept back until then. */
    char endpoint[256];
    int code;                                 /* enum fg_status; -1: any */
    bool failed;                              /* only calls that did not end with OK */
    bool bytes;                               /* messages as they are, in base64, beside their JSON */
    uint64_t rate, max_bytes, seconds, count; /* seconds, count 0: no bound */
};

/* Begins a session; its number, or 0 with a sentence in WHY. PEER is for the log. */
uint64_t fg_tap_open(struct fg_gateway *gateway, const struct fg_tap_query *query, char *why, size_t why_len);

/* Writes what has come since the last time to OUT, one event a line. False: the session is over, and the last line says
 * why. */
bool fg_tap_read(struct fg_gateway *gateway, uint64_t session, FILE *out);

/* Is the header's value never shown? */
bool fg_tap_is_secret(const struct fg_gateway *gateway, struct fg_str name);

/* Ends it; a session that is over is closed, too. */
void fg_tap_close(struct fg_gateway *gateway, uint64_t session);

#endif
