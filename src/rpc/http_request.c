#include "rpc/http_request.h"

#include "rpc/json_read.h"

#define DEPTH 100

const struct fg_http_binding *fg_http_binding_of(const struct fg_http_router *router, const struct fg_method *method)
{
    size_t len;
    const struct fg_http_binding *const *bindings = fg_http_router_bindings(router, &len);

    for (size_t i = 0; bindings && i < len; i++)
        if (bindings[i]->method == method)
            return bindings[i];
    return NULL;
}

/* ---- JSON as it is written: values are slices of the text ---- */

struct members {
    struct fg_str text;
    struct fg_json_in in;
    const char *entry; /* where the last one begins */
    bool first;
    char close;
    char buffer[FG_DESCRIPTORS_MAX_NAME];
};

static bool is(struct fg_str value, char kind)
{
    return value.len > 0 && value.p[0] == kind;
}

/* OF is an object or an array. */
static void open_members(struct members *m, const struct fg_str *of)
{
    m->text = *of;
    m->first = true;
    m->close = is(*of, '{') ? '}' : ']';
    fg_json_in_init(&m->in, of, 1);
    (void)fg_json_take(&m->in, of->p[0]);
}

static const char *position(const struct members *m)
{
    return m->text.p + (m->text.len - fg_span_len(&m->in.span));
}

static bool next_member(struct members *m, struct fg_str *name, struct fg_str *value)
{
    if (!fg_json_more(&m->in, m->close, &m->first))
        return false;
    *name = FG_STR("");
    m->entry = position(m);
    if (m->close == '}' && (!fg_json_text(&m->in, m->buffer, sizeof m->buffer, name) || !fg_json_take(&m->in, ':')))
        return false;
    value->p = position(m);
    if (!fg_json_skip(&m->in, DEPTH))
        return false;
    value->len = (size_t)(position(m) - value->p);
    return true;
}

static bool find(struct fg_str object, struct fg_str name, struct fg_str *value)
{
    struct members m;
    struct fg_str key;

    if (!is(object, '{'))
        return false;
    open_members(&m, &object);
    while (next_member(&m, &key, value))
        if (fg_str_eq(key, name))
            return true;
    return false;
}

/* ---- texts ---- */

static void put(struct fg_outq *q, struct fg_str text)
{
    if (text.len > 0)
        fg_outq_copy(q, text.p, text.len);
}

/* Percent-encoding (RFC 3986 section 2.1) of all but what is unreserved, and '/' if SLASH. */
static void put_encoded(struct fg_outq *q, struct fg_str text, bool slash)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (slash && c == '/');
        if (plain)
            continue;
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        put(q, (struct fg_str){text.p + from, i - from});
        fg_outq_copy(q, encoded, sizeof encoded);
        from = i + 1;
    }
    put(q, (struct fg_str){text.p + from, text.len - from});
}

/* A scalar: a string without quotes and escapes, anything else as it is written. */
static struct fg_str text_of(struct fg_str value, struct fg_arena *arena)
{
    struct fg_json_in in;
    struct fg_str text;

    if (!is(value, '"'))
        return value;
    char *buffer = fg_arena_alloc(arena, value.len);
    fg_json_in_init(&in, &value, 1);
    return fg_json_text(&in, buffer, value.len, &text) ? fg_arena_copy(arena, text) : FG_STR("");
}

/* ---- the path ---- */

/* What is not in the JSON has its default. */
static struct fg_str default_of(const struct fg_field *field)
{
    switch (field->type) {
    case FG_TYPE_STRING:
    case FG_TYPE_BYTES:
    case FG_TYPE_MESSAGE:
    case FG_TYPE_GROUP:
        return FG_STR("");
    case FG_TYPE_BOOL:
        return FG_STR("false");
    case FG_TYPE_ENUM:
        return fg_enum_value(field->enumeration, field->enumeration->first)->name;
    default:
        return FG_STR("0");
    }
}

static struct fg_str variable_text(const struct fg_http_variable *variable, struct fg_str json, struct fg_arena *arena)
{
    struct fg_str value = json;

    for (uint32_t i = 0; i < variable->depth; i++)
        if (!find(value, variable->path[i]->json_name, &value))
            return default_of(variable->path[variable->depth - 1]);
    return text_of(value, arena);
}

static struct fg_str path_name(const struct fg_http_variable *variable, struct fg_arena *arena)
{
    struct fg_str name = variable->path[0]->name;

    for (uint32_t i = 1; i < variable->depth; i++)
        name = fg_arena_printf(arena, "%.*s.%.*s", (int)name.len, name.p, (int)variable->path[i]->name.len,
                               variable->path[i]->name.p);
    return name;
}

/* The variables stand in the template in the order in which the binding has them. */
static int put_path(const struct fg_http_binding *binding, struct fg_str json, struct fg_arena *arena,
                    struct fg_outq *target, struct fg_str *problem)
{
    const char *at = binding->path.p, *end = at + binding->path.len;
    size_t variable = 0;

    while (at < end) {
        const char *open = memchr(at, '{', (size_t)(end - at));
        struct fg_str literal = {at, (size_t)((open ? open : end) - at)};
        if (memchr(literal.p, '*', literal.len)) {
            *problem = fg_arena_printf(arena, "the rule's path %.*s has a wildcard that no field fills",
                                       (int)binding->path.len, binding->path.p);
            return -1;
        }
        put(target, literal);
        if (!open)
            break;
        const struct fg_http_variable *v = &binding->variables[variable++];
        struct fg_str text = variable_text(v, json, arena);
        if (text.len == 0) {
            struct fg_str name = path_name(v, arena);
            *problem = fg_arena_printf(arena, "the field %.*s is empty, and the path %.*s needs it", (int)name.len,
                                       name.p, (int)binding->path.len, binding->path.p);
            return -1;
        }
        put_encoded(target, text, v->multi);
        at = (const char *)memchr(open, '}', (size_t)(end - open)) + 1;
    }
    return 0;
}

/* ---- query and content ---- */

/* Where in the message we are, and what has been used already. */
struct place {
    const struct fg_http_binding *binding;
    const struct fg_str *names; /* JSON names from the top */
    uint32_t depth;
};

enum used { NOT_USED, PARTLY_USED, USED };

/* Is the field at PLACE bound by the path? */
static enum used usage(const struct place *place)
{
    const struct fg_http_binding *binding = place->binding;
    enum used used = NOT_USED;

    for (size_t v = 0; v < binding->variables_len; v++) {
        const struct fg_http_variable *variable = &binding->variables[v];
        uint32_t same = 0;
        while (same < place->depth && same < variable->depth &&
               fg_str_eq(variable->path[same]->json_name, place->names[same]))
            same++;
        if (same == variable->depth)
            return USED;
        if (same == place->depth)
            used = PARTLY_USED;
    }
    return used;
}

/* OBJECT without what the path has. */
static void put_rest(const struct fg_http_binding *binding, struct fg_str object, struct fg_str *names, uint32_t depth,
                     struct fg_outq *body)
{
    struct members m;
    struct fg_str value;
    const char *before = "{";

    open_members(&m, &object);
    while (next_member(&m, &names[depth], &value)) {
        struct place place = {binding, names, depth + 1};
        enum used used = usage(&place);
        if (used == USED)
            continue;
        fg_outq_copy(body, before, 1);
        before = ",";
        put(body, (struct fg_str){m.entry, (size_t)(value.p - m.entry)});
        if (used == PARTLY_USED && is(value, '{') && depth + 1 < DEPTH)
            put_rest(binding, value, names, depth + 1, body);
        else
            put(body, value);
    }
    if (before[0] == '{')
        fg_outq_copy(body, before, 1);
    fg_outq_copy(body, "}", 1);
}

struct query {
    const struct fg_http_binding *binding;
    struct fg_arena *arena;
    struct fg_outq *target;
    struct fg_str *problem;
    struct fg_str names[DEPTH];
    bool any;
};

static int put_parameter(struct query *q, uint32_t depth, struct fg_str value)
{
    if (is(value, '{') || is(value, '[')) {
        *q->problem = fg_arena_printf(q->arena, "the field %.*s cannot be in a query: it is a list of messages",
                                      (int)q->names[0].len, q->names[0].p);
        return -1;
    }
    fg_outq_copy(q->target, q->any ? "&" : "?", 1);
    q->any = true;
    for (uint32_t i = 0; i < depth; i++) {
        if (i > 0)
            fg_outq_copy(q->target, ".", 1);
        put_encoded(q->target, q->names[i], false);
    }
    fg_outq_copy(q->target, "=", 1);
    put_encoded(q->target, text_of(value, q->arena), false);
    return 0;
}

static int put_repeated(struct query *q, uint32_t depth, struct fg_str array)
{
    struct members m;
    struct fg_str none, value;

    open_members(&m, &array);
    while (next_member(&m, &none, &value))
        if (put_parameter(q, depth, value) != 0)
            return -1;
    return 0;
}

static int put_query(struct query *q, uint32_t depth, struct fg_str object)
{
    const struct fg_field *body = q->binding->body_field;
    struct members m;
    struct fg_str value;

    open_members(&m, &object);
    while (next_member(&m, &q->names[depth], &value)) {
        struct place place = {q->binding, q->names, depth + 1};
        bool in_body = depth == 0 && body && fg_str_eq(body->json_name, q->names[0]);
        int rc = 0;
        if (in_body || usage(&place) == USED || is(value, 'n') /* null */)
            continue;
        struct fg_str name = fg_arena_copy(q->arena, q->names[depth]); /* the next level reads names, too */
        q->names[depth] = name;
        if (is(value, '{') && depth + 1 < DEPTH)
            rc = put_query(q, depth + 1, value);
        else if (is(value, '['))
            rc = put_repeated(q, depth + 1, value);
        else
            rc = put_parameter(q, depth + 1, value);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int fg_http_make_request(const struct fg_http_binding *binding, struct fg_str json, struct fg_arena *arena,
                         struct fg_outq *target, struct fg_outq *body, struct fg_str *problem)
{
    struct fg_str value;

    if (put_path(binding, json, arena, target, problem) != 0)
        return -1;
    if (binding->body == FG_HTTP_BODY_ALL) {
        struct fg_str *names = fg_arena_alloc(arena, DEPTH * sizeof *names);
        if (is(json, '{'))
            put_rest(binding, json, names, 0, body);
        else /* a type whose JSON is no object */
            put(body, json);
        return 0;
    }
    if (binding->body == FG_HTTP_BODY_FIELD)
        put(body, find(json, binding->body_field->json_name, &value)              ? value
                  : binding->body_field->repeated && !binding->body_field->map    ? FG_STR("[]")
                  : binding->body_field->repeated || binding->body_field->message ? FG_STR("{}")
                                                                                  : FG_STR("null"));
    if (!is(json, '{'))
        return 0;
    struct query *q = fg_arena_alloc(arena, sizeof *q);
    q->binding = binding;
    q->arena = arena;
    q->target = target;
    q->problem = problem;
    q->any = false;
    return put_query(q, 0, json);
}
