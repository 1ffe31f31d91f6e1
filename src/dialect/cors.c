#include "dialect/cors.h"

#include "call/route.h"

static struct fg_str value_of(const struct fg_headers *headers, struct fg_str name)
{
    const struct fg_header *field = fg_headers_find(headers, name);
    return field ? field->value : FG_STR("");
}

static bool allows(const struct fg_config_cors *cors, struct fg_str origin)
{
    for (size_t i = 0; i < cors->origins_len; i++) {
        struct fg_str allowed = fg_str_from(cors->origins[i].origin);
        if (fg_str_eq(allowed, FG_STR("*")) || fg_str_eq(allowed, origin))
            return true;
    }
    return false;
}

const struct fg_config_cors *fg_cors_of(const struct fg_call_env *env, struct fg_str path,
                                        const struct fg_headers *request, struct fg_str *origin)
{
    const struct fg_config_route *route = fg_route_find(env->config, path, request);

    *origin = value_of(request, FG_STR("origin"));
    return route && route->cors.origins_len > 0 ? &route->cors : NULL;
}

/* What depends on the origin says so even to those that are not allowed, or a cache would give a page their answer
 * (fetch.spec.whatwg.org, "CORS protocol and HTTP caches"). Returns whether ORIGIN is allowed. */
static bool add_origin(const struct fg_config_cors *cors, struct fg_str origin, struct fg_arena *arena,
                       struct fg_headers *headers)
{
    bool any = fg_str_eq(fg_str_from(cors->origins[0].origin), FG_STR("*"));

    if (!any)
        fg_headers_add(headers, arena, FG_STR("vary"), FG_STR("origin"));
    if (origin.len == 0 || !allows(cors, origin))
        return false;
    fg_headers_add(headers, arena, FG_STR("access-control-allow-origin"), any ? FG_STR("*") : origin);
    if (cors->credentials)
        fg_headers_add(headers, arena, FG_STR("access-control-allow-credentials"), FG_STR("true"));
    return true;
}

/* What a page may read: gRPC's status, and the names of HEADERS. "*" would not do for a page that sends credentials. */
static struct fg_str exposed_of(const struct fg_headers *headers, struct fg_arena *arena)
{
    struct fg_str always = FG_STR("grpc-status, grpc-message, grpc-status-details-bin");
    size_t room = always.len, len = always.len;

    for (uint32_t i = 0; i < headers->len; i++)
        room += 2 + headers->items[i].name.len;
    char *text = fg_arena_alloc(arena, room);
    memcpy(text, always.p, always.len);
    for (uint32_t i = 0; i < headers->len; i++) {
        struct fg_str name = headers->items[i].name;
        if (name.p[0] == ':')
            continue;
        memcpy(text + len, ", ", 2);
        memcpy(text + len + 2, name.p, name.len);
        len += 2 + name.len;
    }
    return (struct fg_str){text, len};
}

void fg_cors_add(const struct fg_config_cors *cors, struct fg_str origin, struct fg_arena *arena,
                 struct fg_headers *headers)
{
    struct fg_str exposed = exposed_of(headers, arena);

    if (add_origin(cors, origin, arena, headers))
        fg_headers_add(headers, arena, FG_STR("access-control-expose-headers"), exposed);
}

/* ---- preflights ---- */

static void ignore_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)stream;
    (void)headers;
    (void)flags;
}

static void ignore_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    (void)end;
    fg_stream_consume(stream, buf.len);
}

static void ignore_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void ignore_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    (void)stream;
    (void)why;
}

static const struct fg_stream_events answered = {ignore_headers, ignore_data, ignore_sent, ignore_close};

static void answer(struct fg_stream *client, const struct fg_config_cors *cors, struct fg_str origin,
                   const struct fg_headers *request)
{
    struct fg_str asked = value_of(request, FG_STR("access-control-request-headers"));
    struct fg_arena *arena = client->arena;
    struct fg_headers headers;

    fg_headers_init(&headers);
    fg_headers_add_token(&headers, arena, FG_TOKEN_STATUS, allows(cors, origin) ? FG_STR("204") : FG_STR("403"));
    if (add_origin(cors, origin, arena, &headers)) {
        fg_headers_add(&headers, arena, FG_STR("access-control-allow-methods"),
                       FG_STR("GET, POST, PUT, PATCH, DELETE, OPTIONS"));
        if (asked.len > 0)
            fg_headers_add(&headers, arena, FG_STR("access-control-allow-headers"), asked);
        fg_headers_add(&headers, arena, FG_STR("access-control-max-age"),
                       fg_arena_printf(arena, "%llu", (unsigned long long)(cors->max_age_ns / FG_S)));
    } else {
        fg_headers_add_token(&headers, arena, FG_TOKEN_CONTENT_LENGTH, FG_STR("0"));
    }
    fg_stream_send_headers(client, &headers, true);
}

bool fg_cors_preflight(struct fg_call_env *env, struct fg_stream *client, const struct fg_headers *request,
                       unsigned flags)
{
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    struct fg_str origin = value_of(request, FG_STR("origin"));

    if (!method || !path || !fg_str_eq(method->value, FG_STR("OPTIONS")) || origin.len == 0 ||
        value_of(request, FG_STR("access-control-request-method")).len == 0 || flags & FG_H2_TOO_LARGE)
        return false;
    const char *query = memchr(path->value.p, '?', path->value.len);
    struct fg_str bare = {path->value.p, query ? (size_t)(query - path->value.p) : path->value.len};
    const struct fg_config_route *route = fg_route_find(env->config, bare, request);
    if (!route || route->cors.origins_len == 0)
        return false;
    FG_COUNT(env->stats, cors_preflights);
    client->events = &answered;
    answer(client, &route->cors, origin, request);
    if (!(flags & FG_H2_END_STREAM) && client->events == &answered)
        fg_stream_reset_after_end(client, FG_H2_NO_ERROR);
    return true;
}
