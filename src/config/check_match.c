#include "config/check_int.h"
#include "config/errors.h"
#include "config/nearest.h"

enum fg_config_path_match fg_check_path_of(const struct fg_raw_route *route, struct fg_arena *arena, const char **path)
{
    *path = "";
    if (route->method && strcmp(route->method, "*") != 0) {
        size_t len = strlen(route->method);
        bool any = route->method[len - 1] == '*'; /* "pkg.Service/ *" */
        *path = fg_arena_printf(arena, "/%.*s", (int)(any ? len - 1 : len), route->method).p;
        return any ? FG_MATCH_PREFIX : FG_MATCH_EXACT;
    }
    if (route->path) {
        *path = route->path;
        return FG_MATCH_EXACT;
    }
    if (route->path_prefix && strcmp(route->path_prefix, "/") != 0) {
        *path = route->path_prefix;
        return FG_MATCH_PREFIX;
    }
    return FG_MATCH_ANY;
}

struct pattern {
    const struct fg_raw_route *route;
    enum fg_config_path_match match;
    const char *path;
    size_t len;
    bool sound; /* its match has no error */
};

static bool covers_headers(const struct fg_config_route *a, const struct fg_config_route *b)
{
    for (size_t i = 0; i < a->headers_len; i++) {
        const struct fg_config_header_match *wanted = &a->headers[i];
        bool has = false;
        for (size_t j = 0; j < b->headers_len && !has; j++)
            has = strcmp(wanted->name, b->headers[j].name) == 0 && strcmp(wanted->value, b->headers[j].value) == 0;
        if (!has)
            return false;
    }
    return true;
}

/* Does A match every call that B matches? */
static bool covers(const struct pattern *a, const struct pattern *b)
{
    const struct fg_config_route *x = &a->route->out, *y = &b->route->out;
    if (x->authority && (!y->authority || strcmp(x->authority, y->authority) != 0))
        return false;
    if (a->match == FG_MATCH_EXACT && (b->match != FG_MATCH_EXACT || strcmp(a->path, b->path) != 0))
        return false;
    if (a->match == FG_MATCH_PREFIX &&
        (b->match == FG_MATCH_ANY || b->len < a->len || memcmp(a->path, b->path, a->len) != 0))
        return false;
    return covers_headers(x, y);
}

static bool is_bad(const struct fg_checker *c, const void *base, const struct fg_table *table, const char *key)
{
    const struct fg_mark *mark = fg_marks_find(c->marks, base, table, key);
    return mark && mark->bad;
}

static struct pattern pattern_of(struct fg_checker *c, const struct fg_raw_route *route)
{
    static const char *const keys[] = {"method", "path", "path_prefix", "authority", "headers"};
    const struct fg_table *routes = fg_check_under(fg_schema(), "routes"), *match = fg_check_under(routes, "match");
    struct pattern p = {.route = route, .sound = !is_bad(c, route, routes, "match")};

    p.match = fg_check_path_of(route, c->arena, &p.path);
    p.len = strlen(p.path);
    for (size_t i = 0; i < FG_ARRAY_LEN(keys); i++)
        p.sound = p.sound && !is_bad(c, route, match, keys[i]);
    for (size_t i = 0; i < route->out.headers_len; i++)
        p.sound = p.sound && route->out.headers[i].name && route->out.headers[i].value;
    return p;
}

/* A route behind one that matches all its calls is a mistake: the first match wins. */
static void check_reachable(struct fg_checker *c)
{
    const struct fg_raw_config *raw = c->raw;
    struct pattern *patterns = fg_arena_alloc(c->arena, (raw->routes_len + 1) * sizeof *patterns);

    for (size_t i = 0; i < raw->routes_len; i++) {
        patterns[i] = pattern_of(c, &raw->routes[i]);
        for (size_t j = 0; j < i && patterns[i].sound; j++) {
            if (!patterns[j].sound || !covers(&patterns[j], &patterns[i]))
                continue;
            const struct fg_mark *first = fg_marks_find(c->marks, &raw->routes[j], NULL, NULL);
            fg_check_complain(
                c, fg_marks_find(c->marks, &raw->routes[i], NULL, NULL),
                "can never match: routes[%zu] (line %d) matches every call that it does; put it before that one", j,
                first->line);
            break;
        }
    }
}

static bool has_cluster(const struct fg_raw_config *raw, const char *name)
{
    for (size_t i = 0; i < raw->clusters_len; i++)
        if (raw->clusters[i].name && strcmp(raw->clusters[i].name, name) == 0)
            return true;
    return false;
}

static void check_route_cluster(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_raw_config *raw = c->raw;
    const struct fg_mark *mark = fg_check_good(c, route, fg_check_under(fg_schema(), "routes"), "cluster");
    struct fg_nearest nearest;

    if (!mark || raw->clusters_len == 0 || has_cluster(raw, route->cluster))
        return;
    fg_nearest_init(&nearest, fg_str_from(route->cluster));
    for (size_t i = 0; i < raw->clusters_len; i++)
        if (raw->clusters[i].name)
            fg_nearest_offer(&nearest, raw->clusters[i].name);
    if (nearest.best)
        fg_check_complain(c, mark, "there is no cluster \"%s\"; did you mean \"%s\"?", route->cluster, nearest.best);
    else
        fg_check_complain(c, mark, "there is no cluster \"%s\" under clusters", route->cluster);
}

void fg_check_matches(struct fg_checker *c)
{
    const struct fg_raw_config *raw = c->raw;
    size_t clusters = 0;
    for (size_t i = 0; i < raw->clusters_len; i++)
        clusters += fg_check_good(c, &raw->clusters[i], NULL, NULL) != NULL;
    if (clusters > 1 && !fg_marks_find(c->marks, raw, fg_schema(), "routes"))
        fg_errors_add(c->errors, 1, 1, "routes", "is missing: with %zu clusters, say which calls go to which",
                      clusters);
    for (size_t i = 0; i < raw->routes_len; i++)
        check_route_cluster(c, &raw->routes[i]);
    check_reachable(c);
}
