/* Finding the rule of a path: a tree of segments whose edges lie in one hash table. A walk sees each node at most once:
 * to each leads one way. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor_int.h"
#include "rpc/http_rule_int.h"

struct node {
    struct node *star;
    struct fg_http_binding *ends; /* paths that end here */
    struct fg_http_binding *rest; /* paths that go on in any way */
};

struct edge {
    const struct node *from;
    struct fg_str text;
    struct node *to; /* NULL: the slot is free */
};

struct fg_http_router {
    struct fg_descriptors *set;
    struct node root;
    struct edge *edges; /* open addressing, at most half full */
    size_t edges_len, edges_cap;
    const struct fg_http_binding **bindings;
    size_t bindings_len, bindings_cap;
};

static struct edge *slot_of(const struct fg_http_router *router, const struct node *from, struct fg_str text)
{
    size_t i = fg_hash(text.p, text.len, (uint32_t)((uintptr_t)from >> 3)) & (router->edges_cap - 1);

    while (router->edges[i].to && (router->edges[i].from != from || !fg_str_eq(router->edges[i].text, text)))
        i = (i + 1) & (router->edges_cap - 1);
    return &router->edges[i];
}

static void grow(struct fg_http_router *router)
{
    struct edge *old = router->edges;
    size_t old_cap = router->edges_cap;

    router->edges_cap = old_cap ? 2 * old_cap : 64;
    router->edges = fg_alloc_zero(router->edges_cap * sizeof *router->edges);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].to)
            *slot_of(router, old[i].from, old[i].text) = old[i];
    free(old);
}

static struct node *child(struct fg_http_router *router, struct node *from, struct fg_str text)
{
    if (2 * (router->edges_len + 1) > router->edges_cap)
        grow(router);
    struct edge *edge = slot_of(router, from, text);
    if (!edge->to) {
        *edge = (struct edge){from, text, fg_descriptors_alloc(router->set, sizeof *edge->to)};
        router->edges_len++;
    }
    return edge->to;
}

struct fg_http_router *fg_http_router_empty(struct fg_descriptors *descriptors)
{
    struct fg_http_router *router = fg_alloc_zero(sizeof *router);

    router->set = descriptors;
    grow(router);
    return router;
}

void fg_http_router_free(struct fg_http_router *router)
{
    if (!router)
        return;
    free(router->edges);
    free((void *)router->bindings);
    free(router);
}

void fg_http_router_add(struct fg_http_router *router, const struct fg_http_segment *segments, size_t len,
                        struct fg_http_binding *binding)
{
    struct node *node = &router->root;
    bool rest = len > 0 && segments[len - 1].kind == FG_HTTP_REST;

    for (size_t i = 0; i < len - rest; i++) {
        if (segments[i].kind == FG_HTTP_LITERAL) {
            node = child(router, node, segments[i].text);
        } else {
            if (!node->star)
                node->star = fg_descriptors_alloc(router->set, sizeof *node->star);
            node = node->star;
        }
    }
    struct fg_http_binding **list = rest ? &node->rest : &node->ends;
    binding->next = *list;
    *list = binding;
    if (router->bindings_len == router->bindings_cap) {
        router->bindings_cap = router->bindings_cap ? 2 * router->bindings_cap : 16;
        router->bindings = fg_realloc((void *)router->bindings, router->bindings_cap * sizeof *router->bindings);
    }
    router->bindings[router->bindings_len++] = binding;
}

const struct fg_http_binding *const *fg_http_router_bindings(const struct fg_http_router *router, size_t *len)
{
    *len = router ? router->bindings_len : 0;
    return router ? router->bindings : NULL;
}

/* ---- finding ---- */

static void allow(struct fg_http_match *match, struct fg_str method)
{
    size_t len = strlen(match->allow);

    if (len + method.len + 3 < sizeof match->allow && !memmem(match->allow, len, method.p, method.len))
        snprintf(match->allow + len, sizeof match->allow - len, "%s%.*s", len > 0 ? ", " : "", (int)method.len,
                 method.p);
}

static const struct fg_http_binding *pick(const struct fg_http_binding *list, struct fg_str http_method,
                                          struct fg_http_match *match)
{
    for (; list; list = list->next) {
        if (!fg_str_eq(list->verb, match->verb))
            continue;
        if (fg_str_eq(list->http_method, http_method) || fg_str_eq(list->http_method, FG_STR("*")))
            return list;
        allow(match, list->http_method);
    }
    return NULL;
}

/* What is more exact goes first: a literal, any segment, any rest. */
static const struct fg_http_binding *walk(const struct fg_http_router *router, const struct node *node, size_t at,
                                          struct fg_str http_method, struct fg_http_match *match)
{
    const struct fg_http_binding *found = NULL;

    if (at == match->segments_len) {
        found = pick(node->ends, http_method, match);
        return found ? found : pick(node->rest, http_method, match);
    }
    const struct edge *edge = slot_of(router, node, match->segments[at]);
    if (edge->to)
        found = walk(router, edge->to, at + 1, http_method, match);
    if (!found && node->star && match->segments[at].len > 0)
        found = walk(router, node->star, at + 1, http_method, match);
    return found ? found : pick(node->rest, http_method, match);
}

static bool split(struct fg_str path, struct fg_http_match *match)
{
    const char *at = path.p + 1, *end = path.p + path.len;

    match->segments_len = 0;
    if (path.len == 0 || path.p[0] != '/')
        return false;
    if (at == end)
        return true;
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        if (match->segments_len == FG_HTTP_SEGMENTS_MAX)
            return false;
        match->segments[match->segments_len++] = (struct fg_str){at, (size_t)((slash ? slash : end) - at)};
        if (!slash)
            return true;
        at = slash + 1;
    }
}

enum fg_http_found fg_http_route(const struct fg_http_router *router, struct fg_str http_method, struct fg_str path,
                                 struct fg_http_match *match)
{
    match->binding = NULL;
    match->allow[0] = '\0';
    match->verb = FG_STR("");
    if (!router || !split(path, match))
        return FG_HTTP_NO_PATH;
    struct fg_str *last = match->segments_len > 0 ? &match->segments[match->segments_len - 1] : NULL;
    const char *colon = last && last->len > 0 ? memrchr(last->p, ':', last->len) : NULL;
    if (colon) {
        struct fg_str whole = *last;
        match->verb = (struct fg_str){colon + 1, (size_t)(last->p + last->len - colon - 1)};
        last->len = (size_t)(colon - last->p);
        if (match->verb.len > 0)
            match->binding = walk(router, &router->root, 0, http_method, match);
        if (match->binding)
            return FG_HTTP_FOUND;
        match->verb = FG_STR("");
        *last = whole;
    }
    match->binding = walk(router, &router->root, 0, http_method, match);
    return match->binding ? FG_HTTP_FOUND : match->allow[0] ? FG_HTTP_NO_METHOD : FG_HTTP_NO_PATH;
}
