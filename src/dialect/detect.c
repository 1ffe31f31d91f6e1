/* Which language a request is in. */
#include "call/route.h"
#include "dialect/connect.h"
#include "dialect/cors.h"
#include "dialect/rest.h"

static bool is_grpc_web(struct fg_str type)
{
    return fg_grpc_web_is_content_type(type);
}

static bool is_connect_unary(struct fg_str type)
{
    return fg_face_is_type(type, FG_STR("application/proto")) || fg_face_is_type(type, FG_STR("application/json"));
}

static bool is_connect_stream(struct fg_str type)
{
    return fg_face_is_type(type, FG_STR("application/connect+proto")) ||
           fg_face_is_type(type, FG_STR("application/connect+json"));
}

static const struct {
    bool (*is_type)(struct fg_str content_type);
    const struct fg_face_ops *face;
} faces[] = {
    {is_grpc_web, &fg_face_grpc_web},
    {is_connect_unary, &fg_face_connect_unary},
    {is_connect_stream, &fg_face_connect_stream},
};

/* Without its query. */
static struct fg_str path_of(const struct fg_headers *request)
{
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    const char *query = path ? memchr(path->value.p, '?', path->value.len) : NULL;

    if (!path)
        return FG_STR("");
    return (struct fg_str){path->value.p, query ? (size_t)(query - path->value.p) : path->value.len};
}

static bool is_websocket(const struct fg_headers *request)
{
    const struct fg_header *protocol = fg_headers_get(request, FG_TOKEN_PROTOCOL);
    return protocol && fg_str_eq(protocol->value, FG_STR("websocket"));
}

/* Does the request go to a service that takes HTTP as it is? */
static bool is_for_http(const struct fg_call_env *env, const struct fg_headers *request)
{
    if (!env->has_http)
        return false;
    const struct fg_config_route *route = fg_route_find(env->config, path_of(request), request);
    return route && env->config->clusters[route->cluster].service == FG_SERVICE_HTTP;
}

static bool is_known_method(const struct fg_call_env *env, const struct fg_headers *request)
{
    const struct fg_config_route *route = fg_route_find(env->config, path_of(request), request);
    return route &&
           fg_descriptors_method_of(fg_cluster_descriptors(&env->clusters[route->cluster]), path_of(request)) != NULL;
}

/* gRPC with JSON that the gateway can turn into protobuf. */
static bool is_grpc_json(const struct fg_call_env *env, const struct fg_headers *request, const struct fg_header *type)
{
    if (!type || !fg_face_is_type(type->value, FG_STR("application/grpc+json")))
        return false;
    const struct fg_config_route *route = fg_route_find(env->config, path_of(request), request);
    return route && fg_cluster_descriptors(&env->clusters[route->cluster]);
}

/* Is the request REST? What has a rule is; what has none is, too, if nothing else understands it: it is told so. */
static bool is_rest(const struct fg_call_env *env, const struct fg_headers *request)
{
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct fg_descriptors *descriptors;
    struct fg_http_match match;

    if (fg_headers_find(request, FG_STR("connect-protocol-version")))
        return false;
    enum fg_http_found found = fg_rest_find(env, request, &match, &descriptors);
    if (found == FG_HTTP_FOUND || !descriptors)
        return found == FG_HTTP_FOUND;
    if (type && fg_face_is_type(type->value, FG_STR("application/json"))) /* Connect, if the path is a method's */
        return !fg_descriptors_method(descriptors, path_of(request));
    for (size_t i = 0; type && i < FG_ARRAY_LEN(faces); i++)
        if (faces[i].is_type(type->value))
            return false;
    return !type || !fg_grpc_is_content_type(type->value);
}

bool fg_is_connect(const struct fg_headers *request)
{
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    return method && fg_str_eq(method->value, FG_STR("CONNECT"));
}

void fg_dialect_start(struct fg_call_env *env, struct fg_stream *client, struct fg_headers *request, unsigned flags)
{
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);

    if (fg_cors_preflight(env, client, request, flags))
        return;
    if (fg_is_connect(request) && !(is_websocket(request) && is_for_http(env, request))) {
        fg_call_start(env, &fg_dialect_none, client, request, flags);
        return;
    }
    if (is_for_http(env, request)) {
        fg_call_start(env, &fg_dialect_http, client, request, flags);
        return;
    }
    bool whole = !(flags & FG_H2_TOO_LARGE); /* else the call only says so, in the form that its type asks for */
    if (whole && fg_conn_is_h2(client->conn) && is_grpc_json(env, request, type)) {
        fg_face_start(env, &fg_face_grpc_web, client, request, flags);
        return;
    }
    if (type && fg_grpc_is_content_type(type->value) && fg_conn_is_h2(client->conn)) {
        fg_call_start(env, &fg_dialect_grpc, client, request, flags);
        return;
    }
    if (fg_connect_is_get(request) && is_known_method(env, request)) {
        fg_face_start(env, &fg_face_connect_unary, client, request, flags);
        return;
    }
    if (is_rest(env, request)) {
        fg_face_start(env, &fg_face_rest, client, request, flags);
        return;
    }
    for (size_t i = 0; type && i < FG_ARRAY_LEN(faces); i++) {
        if (faces[i].is_type(type->value)) {
            fg_face_start(env, faces[i].face, client, request, flags);
            return;
        }
    }
    fg_call_start(env, &fg_dialect_none, client, request, flags);
}
