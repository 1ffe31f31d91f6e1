#include "admin/access.h"

#include <strings.h>

#include "rpc/grpc.h"

#define BASIC_MAX 4096 /* characters of base64: a user name, and a token of at most 1024 */

/* In a time that does not depend on where the two differ. */
static bool equal_in_constant_time(struct fg_str given, const char *wanted)
{
    size_t len = strlen(wanted);
    unsigned difference = given.len != len;

    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned)(given.p[i] ^ wanted[len ? i % len : 0]);
    return difference == 0;
}

/* Behind NAME and a space, whatever the case of NAME (RFC 9110 section 11.1). */
static bool take_scheme(struct fg_str value, const char *name, struct fg_str *rest)
{
    size_t len = strlen(name);

    if (value.len <= len || strncasecmp(value.p, name, len) != 0 || value.p[len] != ' ')
        return false;
    *rest = (struct fg_str){value.p + len + 1, value.len - len - 1};
    return true;
}

bool fg_admin_knows_token(const struct fg_headers *headers, const char *token, struct fg_arena *arena,
                          struct fg_str *user)
{
    const struct fg_header *field = fg_headers_get(headers, FG_TOKEN_AUTHORIZATION);
    struct fg_str rest, pair;

    *user = FG_STR("");
    if (!field)
        return false;
    if (take_scheme(field->value, "Bearer", &rest))
        return equal_in_constant_time(rest, token);
    if (!take_scheme(field->value, "Basic", &rest) || rest.len > BASIC_MAX ||
        fg_base64_decode(arena, rest, &pair) != 0 || pair.len == 0)
        return false;
    const char *colon = memchr(pair.p, ':', pair.len);
    if (!colon)
        return false;
    *user = (struct fg_str){pair.p, (size_t)(colon - pair.p)};
    return equal_in_constant_time((struct fg_str){colon + 1, pair.len - user->len - 1}, token);
}

bool fg_admin_is_own_host(const struct fg_headers *headers)
{
    static const char *const ours[] = {"localhost", "127.0.0.1", "[::1]"};
    const struct fg_header *field = fg_headers_get(headers, FG_TOKEN_HOST);

    if (!field)
        return true;
    for (size_t i = 0; i < FG_ARRAY_LEN(ours); i++) {
        size_t len = strlen(ours[i]);
        if (field->value.len >= len && strncasecmp(field->value.p, ours[i], len) == 0 &&
            (field->value.len == len || field->value.p[len] == ':'))
            return true;
    }
    return false;
}

/* Is "http://HOST" or "https://HOST" (before TLS that somebody else ends) the host that was asked? */
static bool is_origin_of(struct fg_str origin, struct fg_str host)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < FG_ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (origin.len == len + host.len && host.len > 0 && memcmp(origin.p, schemes[i], len) == 0 &&
            strncasecmp(origin.p + len, host.p, host.len) == 0)
            return true;
    }
    return false;
}

bool fg_admin_is_same_origin(const struct fg_headers *headers)
{
    const struct fg_header *host = fg_headers_get(headers, FG_TOKEN_HOST);
    const struct fg_header *origin = fg_headers_find(headers, FG_STR("origin"));
    const struct fg_header *site = fg_headers_find(headers, FG_STR("sec-fetch-site"));

    if (site && !fg_str_eq(site->value, FG_STR("same-origin")))
        return false;
    return !origin || (host && is_origin_of(origin->value, host->value));
}

bool fg_admin_is_own_fetch(const struct fg_headers *headers)
{
    const struct fg_header *site = fg_headers_find(headers, FG_STR("sec-fetch-site"));
    const struct fg_header *mode = fg_headers_find(headers, FG_STR("sec-fetch-mode"));

    if (!site || fg_str_eq(site->value, FG_STR("same-origin")) || fg_str_eq(site->value, FG_STR("none")))
        return true;
    return mode && fg_str_eq(mode->value, FG_STR("navigate"));
}
