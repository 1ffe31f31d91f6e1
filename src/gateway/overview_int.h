/* The parts of /overview; insiders of the overview files only. */
#ifndef FG_GATEWAY_OVERVIEW_INT_H
#define FG_GATEWAY_OVERVIEW_INT_H

#include "gateway/inspect_int.h"
#include "gateway/overview.h"

/* ", "NAME": VALUE"; a negative number of milliseconds is none. */
void fg_overview_put_ms(FILE *out, const char *name, double ms);
void fg_overview_put_rate(FILE *out, const char *name, uint64_t count, double seconds);

/* What the workers say about their endpoints: in the order of the configuration. */
struct fg_overview_load {
    uint32_t connections, streams;
};

/* To be freed. *COMPLETE: every worker has answered. */
struct fg_overview_load *fg_overview_ask_load(struct fg_gateway *gateway, bool *complete);

/* How many calls wait for each cause. False: a worker did not answer, its calls are missing. */
bool fg_overview_ask_waits(struct fg_gateway *gateway, uint32_t counts[FG_WAIT_LEN]);

/* "endpoints": [...], of those that the configuration has; ALL are the series of attempts. */
void fg_overview_put_endpoints(struct fg_gateway *gateway, const struct fg_history_series *const *all, size_t len,
                               double window_s, const struct fg_overview_load *loads, FILE *out);
/* "limits": [...], what the gates allow. */
void fg_overview_put_limits(struct fg_gateway *gateway, FILE *out);
/* "breakers": {...} */
void fg_overview_put_breakers(struct fg_gateway *gateway, FILE *out);

#endif
