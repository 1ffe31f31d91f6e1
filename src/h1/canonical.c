#include <strings.h>

#include "h1/h1_int.h"

/* Fields that belong to the connection (RFC 9110 section 7.6.1): they are not passed on. */
static bool is_of_connection(const struct fg_header *field, const struct fg_headers *all)
{
    switch (field->token) {
    case FG_TOKEN_CONNECTION:
    case FG_TOKEN_PROXY_CONNECTION:
    case FG_TOKEN_KEEP_ALIVE:
    case FG_TOKEN_TRANSFER_ENCODING:
    case FG_TOKEN_UPGRADE:
    case FG_TOKEN_HTTP2_SETTINGS:
    case FG_TOKEN_EXPECT:
        return true;
    case FG_TOKEN_TE: /* what it may say in HTTP/2 is said by whoever sends it on */
        return true;
    case FG_TOKEN_HOST: /* it is :authority */
        return true;
    default:
        break;
    }
    for (uint32_t i = 0; i < all->len; i++)
        if (all->items[i].token == FG_TOKEN_CONNECTION && fg_h1_list_has(all->items[i].value, field->name))
            return true;
    return false;
}

static void copy_fields(struct fg_h1_stream *stream, const struct fg_h1_head *head, struct fg_headers *out)
{
    for (uint32_t i = 0; i < head->headers.len; i++) {
        const struct fg_header *field = &head->headers.items[i];
        if (!is_of_connection(field, &head->headers) && !(stream->tunnel && fg_h1_is_websocket_field(field->name)))
            *fg_headers_add_slot(out, &stream->arena) = *field;
    }
}

/* "http://host/path" (absolute-form): host and path; otherwise the target is the path. False: neither. */
static bool split_target(const struct fg_h1_head *head, struct fg_str *path, struct fg_str *authority)
{
    struct fg_str target = head->target;
    size_t scheme = 0;

    *authority = FG_STR("");
    *path = target;
    if (fg_str_eq(head->method, FG_STR("CONNECT"))) /* we are no tunnel, and it has no path */
        return false;
    if (target.p[0] == '/')
        return true;
    if (fg_str_eq(target, FG_STR("*")))
        return fg_str_eq(head->method, FG_STR("OPTIONS"));
    if (target.len > 7 && strncasecmp(target.p, "http://", 7) == 0)
        scheme = 7;
    else if (target.len > 8 && strncasecmp(target.p, "https://", 8) == 0)
        scheme = 8;
    else
        return false;
    struct fg_str rest = {target.p + scheme, target.len - scheme};
    const char *end = memchr(rest.p, '/', rest.len);
    if (!end)
        end = memchr(rest.p, '?', rest.len);
    *authority = (struct fg_str){rest.p, end ? (size_t)(end - rest.p) : rest.len};
    *path = end ? (struct fg_str){end, (size_t)(rest.p + rest.len - end)} : FG_STR("/");
    return authority->len > 0 && path->p[0] == '/';
}

static bool authority_ok(struct fg_str authority)
{
    for (size_t i = 0; i < authority.len; i++)
        if (strchr("@/?# \t\\,", authority.p[i]) || (unsigned char)authority.p[i] >= 0x7f)
            return false; /* no userinfo, nothing that ends an authority, no second one, no bytes that have no meaning
                           */
    return true;
}

enum fg_h1_fault fg_h1_canonical_request(struct fg_h1_stream *stream, const struct fg_h1_head *head,
                                         struct fg_headers *out)
{
    struct fg_arena *arena = &stream->arena;
    const struct fg_header *host = fg_headers_get(&head->headers, FG_TOKEN_HOST);
    struct fg_str path, authority;

    fg_headers_init(out);
    if (!split_target(head, &path, &authority))
        return FG_H1_FAULT_TARGET_FORM;
    if (authority.len == 0 && host)
        authority = host->value;
    else if (host && (host->value.len != authority.len || strncasecmp(host->value.p, authority.p, authority.len) != 0))
        return FG_H1_FAULT_HOST; /* RFC 9112 section 3.2.2 lets one win; two readings are what smuggling needs */
    if (!authority_ok(authority))
        return FG_H1_FAULT_HOST;
    fg_headers_add_token(out, arena, FG_TOKEN_METHOD, stream->tunnel ? FG_STR("CONNECT") : head->method);
    if (stream->tunnel)
        fg_headers_add_token(out, arena, FG_TOKEN_PROTOCOL, FG_STR("websocket"));
    fg_headers_add_token(out, arena, FG_TOKEN_SCHEME, stream->conn->options->tls ? FG_STR("https") : FG_STR("http"));
    if (authority.len > 0)
        fg_headers_add_token(out, arena, FG_TOKEN_AUTHORITY, authority);
    fg_headers_add_token(out, arena, FG_TOKEN_PATH, path);
    copy_fields(stream, head, out);
    return FG_H1_FAULT_NONE;
}

void fg_h1_canonical_response(struct fg_h1_stream *stream, const struct fg_h1_head *head, struct fg_headers *out)
{
    fg_headers_init(out);
    /* A tunnel is opened by 101 here and by 200 in HTTP/2 (RFC 8441 section 5). */
    fg_headers_add_token(out, &stream->arena, FG_TOKEN_STATUS,
                         fg_arena_printf(&stream->arena, "%u", head->status == 101 ? 200 : head->status));
    copy_fields(stream, head, out);
}
