/* Which cluster and which route of a configuration a recorded call belongs to. The log has neither its headers nor its
 * authority. */
#ifndef FG_CLI_REPLAY_ROUTE_H
#define FG_CLI_REPLAY_ROUTE_H

#include "base/bytes.h"
#include "config/config.h"

const struct fg_config_cluster *fg_replay_cluster(const struct fg_config *config, struct fg_str name); /* or NULL */

/* Do routes to it differ in priority or weight? Else the bases of its breaker hold as they are written, for every call
 * (has_classes in gateway/worker.c). */
bool fg_replay_has_classes(const struct fg_config *config, const struct fg_config_cluster *cluster);

struct fg_replay_routes; /* remembers what it found */
struct fg_replay_routes *fg_replay_routes_new(const struct fg_config *config);
void fg_replay_routes_free(struct fg_replay_routes *routes);

/* The first route that takes METHOD to CLUSTER. One that asks for headers or an authority is taken if it has the
 * PRIORITY and WEIGHT of the record, or if there is no other. NULL: there is none. */
const struct fg_config_route *fg_replay_route(struct fg_replay_routes *routes, const struct fg_config_cluster *cluster,
                                              struct fg_str method, unsigned priority, unsigned weight);

#endif
