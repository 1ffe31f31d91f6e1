#include "cli/replay_route.h"

#include <stdlib.h>

#include "base/mem.h"

#define SLOTS      1024 /* a power of two */
#define METHOD_MAX 256  /* longer ones are looked up each time */

struct slot {
    const struct fg_config_cluster *cluster; /* NULL: empty */
    unsigned priority, weight;
    size_t method_len;
    char method[METHOD_MAX];
    const struct fg_config_route *route;
};

struct fg_replay_routes {
    const struct fg_config *config;
    struct slot slots[SLOTS];
};

const struct fg_config_cluster *fg_replay_cluster(const struct fg_config *config, struct fg_str name)
{
    for (size_t i = 0; i < config->clusters_len; i++)
        if (fg_str_eq(name, fg_str_from(config->clusters[i].name)))
            return &config->clusters[i];
    return NULL;
}

bool fg_replay_has_classes(const struct fg_config *config, const struct fg_config_cluster *cluster)
{
    for (size_t i = 0; i < config->routes_len; i++) {
        const struct fg_config_route *route = &config->routes[i];
        if (&config->clusters[route->cluster] == cluster &&
            (route->priority != 1 || route->weight != 1 || route->priority_header || route->tenant.weights_len > 0))
            return true;
    }
    return false;
}

struct fg_replay_routes *fg_replay_routes_new(const struct fg_config *config)
{
    struct fg_replay_routes *routes = fg_alloc_zero(sizeof *routes);

    routes->config = config;
    return routes;
}

void fg_replay_routes_free(struct fg_replay_routes *routes)
{
    free(routes);
}

static bool takes(const struct fg_config_route *route, struct fg_str method)
{
    struct fg_str path = {route->path, route->path_len};

    switch (route->path_match) {
    case FG_MATCH_ANY:
        return true;
    case FG_MATCH_PREFIX:
        return fg_str_starts_with(method, path);
    case FG_MATCH_EXACT:
        return fg_str_eq(method, path);
    }
    return false;
}

static const struct fg_config_route *find(const struct fg_config *config, const struct fg_config_cluster *cluster,
                                          struct fg_str method, unsigned priority, unsigned weight)
{
    const struct fg_config_route *first = NULL;

    for (size_t i = 0; i < config->routes_len; i++) {
        const struct fg_config_route *route = &config->routes[i];
        bool asks_more = route->authority || route->headers_len > 0;
        if (!takes(route, method))
            continue;
        bool leads_there = &config->clusters[route->cluster] == cluster;
        if (!asks_more) /* none behind it is reached */
            return leads_there ? route : first;
        if (leads_there && route->priority == priority && FG_MAX(route->weight, 1u) == weight)
            return route;
        if (leads_there && !first)
            first = route;
    }
    return first;
}

const struct fg_config_route *fg_replay_route(struct fg_replay_routes *routes, const struct fg_config_cluster *cluster,
                                              struct fg_str method, unsigned priority, unsigned weight)
{
    if (method.len > METHOD_MAX)
        return find(routes->config, cluster, method, priority, weight);
    uint32_t seed = (uint32_t)(cluster - routes->config->clusters) + 31 * priority + 127 * weight;
    struct slot *slot = &routes->slots[fg_hash(method.p, method.len, seed) % SLOTS];
    if (slot->cluster != cluster || slot->priority != priority || slot->weight != weight ||
        !fg_str_eq((struct fg_str){slot->method, slot->method_len}, method)) {
        *slot = (struct slot){.cluster = cluster, .priority = priority, .weight = weight, .method_len = method.len};
        memcpy(slot->method, method.p, method.len);
        slot->route = find(routes->config, cluster, method, priority, weight);
    }
    return slot->route;
}
