#include "config/check_int.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>

#include "config/errors.h"
#include "config/nearest.h"
#include "config/value.h"

void fg_check_complain(struct fg_checker *c, const struct fg_mark *mark, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fg_errors_add(c->errors, mark->line, mark->column, mark->path, "%s", message);
}

const struct fg_table *fg_check_under(const struct fg_table *table, const char *key)
{
    return fg_schema_find(table, key)->table;
}

const struct fg_mark *fg_check_good(const struct fg_checker *c, const void *base, const struct fg_table *table,
                                    const char *key)
{
    const struct fg_mark *mark = fg_marks_find(c->marks, base, table, key);
    return mark && !mark->bad ? mark : NULL;
}

/* ---- addresses ---- */

struct used_address {
    const char *text; /* in one form for all spellings */
    const struct fg_mark *mark;
};

static const char *normal_address(struct fg_checker *c, const char *text)
{
    struct fg_value_address address;
    struct in6_addr v6;
    char host[256], v6_text[INET6_ADDRSTRLEN];

    if (fg_value_address(fg_str_from(text), &address) != NULL)
        return text; /* a unix socket */
    snprintf(host, sizeof host, "%.*s", (int)address.host.len, address.host.p);
    for (char *p = host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    if (inet_pton(AF_INET6, host, &v6) == 1 && inet_ntop(AF_INET6, &v6, v6_text, sizeof v6_text))
        return fg_arena_printf(c->arena, "[%s]:%u", v6_text, address.port).p;
    return fg_arena_printf(c->arena, "%s:%u", host, address.port).p;
}

static int order(const void *a, const void *b)
{
    const struct used_address *x = a, *y = b;
    int by_text = strcmp(x->text, y->text);
    return by_text != 0                     ? by_text
           : x->mark->line != y->mark->line ? (x->mark->line > y->mark->line) - (x->mark->line < y->mark->line)
                                            : (x->mark->column > y->mark->column) - (x->mark->column < y->mark->column);
}

static void check_duplicates(struct fg_checker *c, struct used_address *used, size_t len, const char *advice)
{
    if (len > 1)
        qsort(used, len, sizeof *used, order);
    for (size_t i = 1, first = 0; i < len; i++) {
        if (strcmp(used[i].text, used[first].text) != 0)
            first = i;
        else
            fg_check_complain(c, used[i].mark, "the address %s stands in %s already%s", used[i].text,
                              used[first].mark->path, advice);
    }
}

static void check_listen_addresses(struct fg_checker *c)
{
    const struct fg_raw_config *raw = c->raw;
    const struct fg_table *listeners = fg_check_under(fg_schema(), "listeners");
    struct used_address *used = fg_arena_alloc(c->arena, (raw->listeners_len + 1) * sizeof *used);
    size_t len = 0;

    for (size_t i = 0; i < raw->listeners_len; i++) {
        const struct fg_mark *mark = fg_check_good(c, &raw->listeners[i], listeners, "address");
        if (mark)
            used[len++] = (struct used_address){normal_address(c, raw->listeners[i].out.address), mark};
    }
    const struct fg_mark *admin = fg_check_good(c, &raw->out.admin, fg_check_under(fg_schema(), "admin"), "address");
    if (!admin)
        admin = fg_check_good(c, raw, fg_schema(), "admin");
    if (admin && raw->out.admin.address && strcmp(raw->out.admin.address, "off") != 0)
        used[len++] = (struct used_address){normal_address(c, raw->out.admin.address), admin};
    check_duplicates(c, used, len, "");
}

/* ---- listeners ---- */

static void check_http2(struct fg_checker *c, const struct fg_config_http2 *http2, const struct fg_table *table)
{
    const struct fg_mark *mark = fg_check_good(c, http2, table, "connection_window");
    if (mark && http2->connection_window > 0 && http2->connection_window < 65535) /* RFC 9113 section 6.9.2 */
        fg_check_complain(c, mark,
                          "found %u, expected 0 or at least 65535: a connection's window begins there and only grows",
                          http2->connection_window);
}

static void check_listener(struct fg_checker *c, const struct fg_raw_listener *listener)
{
    const struct fg_table *table = fg_check_under(fg_schema(), "listeners"), *tls = fg_check_under(table, "tls");
    const struct fg_mark *section = fg_check_good(c, listener, table, "tls");

    check_http2(c, &listener->out.http2, fg_check_under(table, "http2"));
    if (!section)
        return;
    if (!fg_marks_find(c->marks, listener, tls, "certificate") && !fg_marks_find(c->marks, listener, tls, "key") &&
        !fg_marks_find(c->marks, listener, tls, "certificates"))
        fg_check_complain(c, section, "has no certificate, expected certificate and key, or certificates");
    const struct fg_mark *required = fg_check_good(c, listener, tls, "require_client_certificate");
    if (required && listener->out.tls.require_client_certificate &&
        !fg_marks_find(c->marks, listener, tls, "client_ca"))
        fg_check_complain(c, required, "found true without client_ca, which says whom to trust");
}

/* ---- routes ---- */

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

static void check_routes(struct fg_checker *c)
{
    const struct fg_raw_config *raw = c->raw;
    size_t clusters = 0;
    for (size_t i = 0; i < raw->clusters_len; i++)
        clusters += fg_check_good(c, &raw->clusters[i], NULL, NULL) != NULL;
    if (clusters > 1 && !fg_marks_find(c->marks, raw, fg_schema(), "routes"))
        fg_errors_add(c->errors, 1, 1, "routes", "is missing: with %zu clusters, say which calls go to which",
                      clusters);
    for (size_t i = 0; i < raw->routes_len; i++) {
        check_route_cluster(c, &raw->routes[i]);
        fg_check_route_policies(c, &raw->routes[i]);
    }
    check_reachable(c);
}

/* ---- clusters ---- */

static void check_cluster(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_table *table = fg_check_under(fg_schema(), "clusters"),
                          *endpoints = fg_check_under(table, "endpoints");
    struct used_address *used = fg_arena_alloc(c->arena, (cluster->endpoints_len + 1) * sizeof *used);
    size_t len = 0;

    for (size_t i = 0; i < cluster->endpoints_len; i++) {
        const struct fg_mark *mark = fg_check_good(c, &cluster->endpoints[i], endpoints, "address");
        if (mark)
            used[len++] = (struct used_address){normal_address(c, cluster->endpoints[i].address), mark};
    }
    check_duplicates(c, used, len, "; give it a weight instead");
    check_http2(c, &cluster->http2, fg_check_under(table, "http2"));
    fg_check_cluster_policies(c, cluster);
}

/* ---- admin ---- */

static void check_admin(struct fg_checker *c)
{
    const struct fg_config_admin *admin = &c->raw->out.admin;
    const struct fg_table *table = fg_check_under(fg_schema(), "admin");
    const struct fg_mark *mark = fg_check_good(c, admin, table, "address");
    struct fg_value_address address;

    if (!mark || fg_marks_find(c->marks, admin, table, "token") ||
        fg_str_starts_with(fg_str_from(admin->address), FG_STR("unix:")) ||
        fg_value_address(fg_str_from(admin->address), &address) != NULL)
        return;
    if (!fg_value_is_loopback(address.host))
        fg_check_complain(
            c, mark,
            "found \"%s\" without a token: others can reach it, so expected a loopback address, a unix socket, or "
            "a token",
            admin->address);
}

void fg_check(const struct fg_raw_config *raw, const struct fg_marks *marks, struct fg_config_errors *errors)
{
    struct fg_mem mem;
    struct fg_arena arena;
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_checker c = {.raw = raw, .marks = marks, .errors = errors, .arena = &arena};

    check_listen_addresses(&c);
    for (size_t i = 0; i < raw->listeners_len; i++)
        check_listener(&c, &raw->listeners[i]);
    check_routes(&c);
    for (size_t i = 0; i < raw->clusters_len; i++)
        check_cluster(&c, &raw->clusters[i]);
    check_admin(&c);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}
