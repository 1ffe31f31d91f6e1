#include "config/check_int.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>

#include "config/errors.h"
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

bool fg_check_is_sound(const struct fg_checker *c, const void *base, const struct fg_table *table, const char *key)
{
    const struct fg_mark *mark = fg_marks_find(c->marks, base, table, key);
    return !mark || !mark->bad;
}

static void format_number(const struct fg_check_number *n, char *out, size_t out_len)
{
    fg_value_format(fg_schema_find(n->table, n->key)->type, n->value, out, out_len);
}

bool fg_check_order(struct fg_checker *c, struct fg_check_number low, enum fg_check_relation relation,
                    struct fg_check_number high, const char *why)
{
    char found[32], limit[32];
    const struct fg_mark *low_mark = fg_check_good(c, low.base, low.table, low.key);
    const struct fg_mark *high_mark = fg_check_good(c, high.base, high.table, high.key);
    const struct fg_mark *mark = low_mark ? low_mark : high_mark;
    const struct fg_check_number *blamed = low_mark ? &low : &high, *other = low_mark ? &high : &low;

    if (low.value < high.value || (relation == FG_CHECK_AT_MOST && low.value == high.value) || !mark ||
        !fg_check_is_sound(c, low.base, low.table, low.key) || !fg_check_is_sound(c, high.base, high.table, high.key))
        return true;
    bool by_default = !low_mark || !high_mark;
    const char *name = other->shown ? other->shown : other->key;
    const char *expected =
        relation == FG_CHECK_BELOW ? (low_mark ? "less than" : "more than") : (low_mark ? "at most" : "at least");
    format_number(blamed, found, sizeof found);
    format_number(other, limit, sizeof limit);
    fg_check_complain(c, mark, "found %s, expected %s %s (%s%s): %s%s%s%s", found, expected, name, limit,
                      by_default ? ", the default" : "", why, by_default ? "; set " : "", by_default ? name : "",
                      by_default ? " as well if this is meant" : "");
    return false;
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

/* ---- clusters ---- */

static void check_endpoints(struct fg_checker *c, const struct fg_config_cluster *cluster)
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
    fg_check_matches(&c);
    for (size_t i = 0; i < raw->routes_len; i++)
        fg_check_route(&c, &raw->routes[i]);
    for (size_t i = 0; i < raw->clusters_len; i++) {
        check_endpoints(&c, &raw->clusters[i]);
        fg_check_cluster(&c, &raw->clusters[i]);
    }
    check_admin(&c);
    fg_check_log(&c);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}
