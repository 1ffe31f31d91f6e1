#include "call/route.h"

#include <strings.h>

static bool path_matches(const struct fg_config_route *route, struct fg_str path)
{
    struct fg_str want = {route->path, route->path_len};

    switch (route->path_match) {
    case FG_MATCH_ANY:
        return true;
    case FG_MATCH_PREFIX:
        return fg_str_starts_with(path, want);
    case FG_MATCH_EXACT:
        return fg_str_eq(path, want);
    }
    return false;
}

static bool authority_matches(const struct fg_config_route *route, const struct fg_headers *request)
{
    if (!route->authority)
        return true;
    const struct fg_header *authority = fg_headers_get(request, FG_TOKEN_AUTHORITY);
    if (!authority)
        authority = fg_headers_get(request, FG_TOKEN_HOST);
    /* The configuration's is in lower case. */
    return authority && authority->value.len == strlen(route->authority) &&
           strncasecmp(authority->value.p, route->authority, authority->value.len) == 0;
}

static bool headers_match(const struct fg_config_route *route, const struct fg_headers *request)
{
    for (size_t i = 0; i < route->headers_len; i++) {
        const struct fg_header *field = fg_headers_find(request, fg_str_from(route->headers[i].name));
        if (!field || !fg_str_eq(field->value, fg_str_from(route->headers[i].value)))
            return false;
    }
    return true;
}

const struct fg_config_route *fg_route_find(const struct fg_config *config, struct fg_str path,
                                            const struct fg_headers *request)
{
    for (size_t i = 0; i < config->routes_len; i++) {
        const struct fg_config_route *route = &config->routes[i];
        if (path_matches(route, path) && authority_matches(route, request) && headers_match(route, request))
            return route;
    }
    return NULL;
}
