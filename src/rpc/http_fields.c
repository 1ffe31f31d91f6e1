/* Path and query become fields. */
#include <stdio.h>

#include "rpc/http_rule.h"

static int fail(struct fg_proto_json_error *error, struct fg_str where, const char *message)
{
    *error = (struct fg_proto_json_error){.code = FG_STATUS_INVALID_ARGUMENT};
    size_t len = FG_MIN(where.len, sizeof error->path - 1);
    for (size_t i = 0; i < len; i++)
        error->path[i] = where.p[i] > ' ' && where.p[i] < 0x7f ? where.p[i] : '?';
    snprintf(error->message, sizeof error->message, "%s", message);
    return -1;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

enum how { SEGMENT, SEGMENTS /* reserved characters stay as they are */, QUERY /* + is a space */ };

/* False: an escape is malformed. */
static bool decode(struct fg_arena *arena, struct fg_str text, enum how how, struct fg_str *out)
{
    char *at = fg_arena_alloc(arena, text.len + 1);

    *out = (struct fg_str){at, 0};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '+' && how == QUERY) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.len ? hex(text.p[i + 1]) : -1, low = high >= 0 ? hex(text.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            if (how == SEGMENTS && c != '\0' && strchr(":/?#[]@!$&'()*+,;=", c))
                at[out->len++] = '%', at[out->len++] = text.p[i + 1], c = text.p[i + 2];
            i += 2;
        }
        at[out->len++] = c;
    }
    return true;
}

static int put(const struct fg_field *const *path, uint32_t depth, struct fg_str text,
               const struct fg_json_to_proto *how, struct fg_proto_out *out, struct fg_proto_json_error *error)
{

    for (uint32_t i = 0; i + 1 < depth; i++)
        if (!fg_proto_begin(out, path[i]->number))
            return fail(error, path[i]->name, "messages are nested too deep");
    int rc = fg_text_to_proto_field(how, path[depth - 1], text, out, error);
    for (uint32_t i = 0; i + 1 < depth && rc == 0; i++)
        fg_proto_end(out, true);
    return rc;
}

static int put_variable(const struct fg_http_match *match, const struct fg_http_variable *variable,
                        const struct fg_json_to_proto *how, struct fg_arena *arena, struct fg_proto_out *out,
                        struct fg_proto_json_error *error)
{
    size_t last = variable->last ? variable->last : match->segments_len;
    struct fg_str raw = FG_STR(""), text;

    if (last > variable->first) {
        const struct fg_str *from = &match->segments[variable->first], *to = &match->segments[last - 1];
        raw = (struct fg_str){from->p, (size_t)(to->p + to->len - from->p)};
    }
    if (!decode(arena, raw, variable->multi ? SEGMENTS : SEGMENT, &text))
        return fail(error, variable->path[variable->depth - 1]->name, "the path has a malformed escape");
    return put(variable->path, variable->depth, text, how, out, error);
}

/* ---- query ---- */

static bool is_bound(const struct fg_http_binding *binding, const struct fg_field *const *path, uint32_t depth)
{
    if (binding->body_field == path[0])
        return true;
    for (size_t i = 0; i < binding->variables_len; i++) {
        const struct fg_http_variable *variable = &binding->variables[i];
        if (variable->depth == depth && variable->path[depth - 1] == path[depth - 1])
            return true;
    }
    return false;
}

static int put_parameter(const struct fg_http_binding *binding, struct fg_str name, struct fg_str value,
                         const struct fg_json_to_proto *how, struct fg_proto_out *out,
                         struct fg_proto_json_error *error)
{
    const struct fg_field *path[FG_PROTO_JSON_DEPTH];
    const struct fg_message *message = binding->method->input;
    struct fg_str rest = name;
    uint32_t depth = 0;

    for (;;) {
        const char *dot = memchr(rest.p, '.', rest.len);
        struct fg_str part = {rest.p, dot ? (size_t)(dot - rest.p) : rest.len};
        const struct fg_field *field = message ? fg_message_field_named(message, part) : NULL;
        if (!field && how->ignore_unknown)
            return 0;
        if (!field || depth == FG_PROTO_JSON_DEPTH)
            return fail(error, name, "the query names no field of the request");
        path[depth++] = field;
        if (!dot)
            break;
        if (field->repeated)
            return fail(error, name, "the query goes through a repeated field");
        message = field->message;
        rest = (struct fg_str){dot + 1, rest.len - part.len - 1};
    }
    if (path[depth - 1]->map)
        return fail(error, name, "a map cannot be given in a query");
    if (is_bound(binding, path, depth))
        return fail(error, name, "the path or the content has this field already");
    return put(path, depth, value, how, out, error);
}

/* "name=value&..." */
static bool next_pair(struct fg_str *query, struct fg_str *name, struct fg_str *value)
{
    while (query->len > 0) {
        const char *and = memchr(query->p, '&', query->len);
        struct fg_str pair = {query->p, and? (size_t)(and-query->p) : query->len};
        *query = and? (struct fg_str){and+1, query->len - pair.len - 1} : (struct fg_str){query->p, 0};
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.p, '=', pair.len);
        *name = (struct fg_str){pair.p, equals ? (size_t)(equals - pair.p) : pair.len};
        *value = equals ? (struct fg_str){equals + 1, pair.len - name->len - 1} : FG_STR("");
        return true;
    }
    return false;
}

bool fg_http_query_get(struct fg_str query, struct fg_str name, struct fg_arena *arena, struct fg_str *value)
{
    struct fg_str key, raw;

    while (next_pair(&query, &key, &raw))
        if (fg_str_eq(key, name))
            return decode(arena, raw, QUERY, value);
    return false;
}

int fg_http_put_fields(const struct fg_http_match *match, struct fg_str query, const struct fg_json_to_proto *how,
                       struct fg_arena *arena, struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    const struct fg_http_binding *binding = match->binding;

    for (size_t i = 0; i < binding->variables_len; i++)
        if (put_variable(match, &binding->variables[i], how, arena, out, error) != 0)
            return -1;
    if (binding->body == FG_HTTP_BODY_ALL)
        return 0; /* the content has all that the path has not; a query says nothing */
    struct fg_str raw, rest, name, value;
    for (unsigned n = 0; next_pair(&query, &raw, &rest); n++) {
        if (n == FG_HTTP_QUERY_MAX)
            return fail(error, FG_STR(""), "the query has too many parameters");
        if (!decode(arena, raw, QUERY, &name) || !decode(arena, rest, QUERY, &value))
            return fail(error, raw, "the query has a malformed escape");
        if (put_parameter(binding, name, value, how, out, error) != 0)
            return -1;
    }
    return 0;
}
