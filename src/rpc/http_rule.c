/* Rules and templates. */
#include "rpc/http_rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor_int.h"
#include "rpc/http_rule_int.h"

/* Fields of google.api.HttpRule and CustomHttpPattern. */
enum { GET = 2, PUT, POST, DELETE, PATCH, BODY, CUSTOM, ADDITIONAL = 11, RESPONSE_BODY };
enum { CUSTOM_KIND = 1, CUSTOM_PATH = 2 };

struct compiler {
    struct fg_descriptors *set;
    const struct fg_method *method;
    struct fg_http_segment segments[FG_HTTP_SEGMENTS_MAX];
    size_t segments_len;
    struct fg_http_variable variables[FG_HTTP_SEGMENTS_MAX];
    size_t variables_len;
    const char *at, *end; /* of the template that is being read */
    char *problem;
    size_t problem_len;
};

static bool fail(struct compiler *c, struct fg_str path, const char *format, ...)
{
    va_list arguments;
    int n = snprintf(c->problem, c->problem_len, "%.*s: google.api.http \"%.*s\": ", (int)c->method->path.len,
                     c->method->path.p, (int)FG_MIN(path.len, (size_t)80), path.p);

    va_start(arguments, format);
    if (n > 0 && (size_t)n < c->problem_len)
        vsnprintf(c->problem + n, c->problem_len - (size_t)n, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- templates ---- */

static bool is_literal(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~%!$&'()+,;=@", c));
}

static struct fg_str read_while(struct compiler *c, bool (*is)(char))
{
    const char *begin = c->at;

    while (c->at < c->end && is(*c->at))
        c->at++;
    return (struct fg_str){begin, (size_t)(c->at - begin)};
}

static bool take(struct compiler *c, char expected)
{
    if (c->at == c->end || *c->at != expected)
        return false;
    c->at++;
    return true;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* "a.b.c" down from the method's input. */
static bool resolve(struct compiler *c, struct fg_str path, struct fg_str names, struct fg_http_variable *out)
{
    const struct fg_field *fields[FG_PROTO_JSON_DEPTH];
    const struct fg_message *message = c->method->input;

    for (out->depth = 0; names.len > 0; out->depth++) {
        const char *dot = memchr(names.p, '.', names.len);
        struct fg_str name = {names.p, dot ? (size_t)(dot - names.p) : names.len};
        const struct fg_field *field = message ? fg_message_field_named(message, name) : NULL;
        if (!field || out->depth == FG_PROTO_JSON_DEPTH)
            return fail(c, path, "the input has no field \"%.*s\"", (int)name.len, name.p);
        if (field->repeated)
            return fail(c, path, "\"%.*s\" is repeated", (int)name.len, name.p);
        fields[out->depth] = field;
        message = field->message;
        names = dot ? (struct fg_str){dot + 1, names.len - name.len - 1} : (struct fg_str){names.p, 0};
    }
    if (out->depth == 0 || (message && message->well_known == FG_NOT_WELL_KNOWN))
        return fail(c, path, "a variable has to be a field of one value");
    out->path = fg_descriptors_alloc(c->set, out->depth * sizeof *out->path);
    memcpy((void *)out->path, fields, out->depth * sizeof *fields);
    return true;
}

static bool read_segments(struct compiler *c, struct fg_str path, bool inside);

static bool read_variable(struct compiler *c, struct fg_str path)
{
    struct fg_str names = read_while(c, is_name);
    struct fg_http_variable *variable = &c->variables[c->variables_len];

    if (c->variables_len == FG_ARRAY_LEN(c->variables))
        return fail(c, path, "it has too many variables");
    *variable = (struct fg_http_variable){.first = (uint16_t)c->segments_len};
    if (!resolve(c, path, names, variable))
        return false;
    c->variables_len++;
    if (take(c, '=')) {
        if (!read_segments(c, path, true))
            return false;
    } else {
        if (c->segments_len == FG_HTTP_SEGMENTS_MAX)
            return fail(c, path, "it has too many segments");
        c->segments[c->segments_len++] = (struct fg_http_segment){.kind = FG_HTTP_STAR};
    }
    const struct fg_http_segment *last = &c->segments[c->segments_len - 1];
    variable->last = last->kind == FG_HTTP_REST ? 0 : (uint16_t)c->segments_len;
    variable->multi = variable->last != variable->first + 1;
    return take(c, '}') || fail(c, path, "a variable does not end with \"}\"");
}

static bool read_segment(struct compiler *c, struct fg_str path, bool inside)
{
    if (c->segments_len > 0 && c->segments[c->segments_len - 1].kind == FG_HTTP_REST)
        return fail(c, path, "\"**\" has to be the last segment");
    if (take(c, '{'))
        return inside ? fail(c, path, "a variable inside of a variable") : read_variable(c, path);
    if (c->segments_len == FG_HTTP_SEGMENTS_MAX)
        return fail(c, path, "it has too many segments");
    struct fg_http_segment *segment = &c->segments[c->segments_len++];
    if (take(c, '*')) {
        segment->kind = take(c, '*') ? FG_HTTP_REST : FG_HTTP_STAR;
        return true;
    }
    *segment = (struct fg_http_segment){FG_HTTP_LITERAL, read_while(c, is_literal)};
    return segment->text.len > 0 || fail(c, path, "a segment is empty or has a character that no path may have");
}

static bool read_segments(struct compiler *c, struct fg_str path, bool inside)
{
    do {
        if (!read_segment(c, path, inside))
            return false;
    } while (take(c, '/'));
    return true;
}

static bool read_template(struct compiler *c, struct fg_str path, struct fg_str *verb)
{
    c->at = path.p;
    c->end = path.p + path.len;
    c->segments_len = c->variables_len = 0;
    *verb = FG_STR("");
    if (!take(c, '/'))
        return fail(c, path, "it does not begin with \"/\"");
    if (c->at < c->end && !read_segments(c, path, false))
        return false;
    if (take(c, ':')) {
        *verb = read_while(c, is_literal);
        if (verb->len == 0)
            return fail(c, path, "the verb is empty");
    }
    return c->at == c->end || fail(c, path, "\"%.*s\" is not expected", (int)FG_MIN((int)(c->end - c->at), 20), c->at);
}

/* ---- rules ---- */

struct rule {
    struct fg_str http_method, path, body, response_body;
};

static void read_custom(struct fg_str raw, struct rule *rule)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == CUSTOM_KIND)
            rule->http_method = field.bytes;
        else if (field.number == CUSTOM_PATH)
            rule->path = field.bytes;
    }
}

static bool set_body(struct compiler *c, const struct rule *rule, struct fg_http_binding *binding)
{
    if (fg_str_eq(rule->body, FG_STR("*"))) {
        binding->body = FG_HTTP_BODY_ALL;
    } else if (rule->body.len > 0) {
        binding->body = FG_HTTP_BODY_FIELD;
        binding->body_field = fg_message_field_named(c->method->input, rule->body);
        if (!binding->body_field)
            return fail(c, rule->path, "body: the input has no field \"%.*s\"", (int)rule->body.len, rule->body.p);
    }
    if (rule->response_body.len > 0) {
        binding->response_field = fg_message_field_named(c->method->output, rule->response_body);
        if (!binding->response_field)
            return fail(c, rule->path, "response_body: the output has no field \"%.*s\"", (int)rule->response_body.len,
                        rule->response_body.p);
    }
    return true;
}

static void add_rule(struct fg_http_router *router, struct compiler *c, const struct rule *rule)
{
    struct fg_http_binding *binding;
    struct fg_http_variable *variables;
    struct fg_str verb;

    if (rule->http_method.len == 0) {
        (void)fail(c, FG_STR(""), "it has no pattern");
        return;
    }
    if (!read_template(c, rule->path, &verb))
        return;
    variables = fg_descriptors_alloc(c->set, c->variables_len * sizeof *variables + 1);
    memcpy(variables, c->variables, c->variables_len * sizeof *variables);
    binding = fg_descriptors_alloc(c->set, sizeof *binding);
    *binding = (struct fg_http_binding){.method = c->method,
                                        .http_method = rule->http_method,
                                        .path = rule->path,
                                        .verb = verb,
                                        .variables = variables,
                                        .variables_len = c->variables_len};
    if (set_body(c, rule, binding))
        fg_http_router_add(router, c->segments, c->segments_len, binding);
}

/* Of an additional binding, further ones are ignored: they nest once. */
static void add_rules(struct fg_http_router *router, struct compiler *c, struct fg_str raw, bool additional)
{
    static const struct fg_str methods[] = {[GET] = {"GET", 3},       [PUT] = {"PUT", 3},     [POST] = {"POST", 4},
                                            [DELETE] = {"DELETE", 6}, [PATCH] = {"PATCH", 5}, [BODY] = {"", 0}};
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    struct rule rule = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};

    while (fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number >= GET && field.number <= PATCH) {
            rule.http_method = methods[field.number];
            rule.path = field.bytes;
        } else if (field.number == BODY) {
            rule.body = field.bytes;
        } else if (field.number == CUSTOM) {
            read_custom(field.bytes, &rule);
        } else if (field.number == RESPONSE_BODY) {
            rule.response_body = field.bytes;
        }
    }
    if (wire.failed) {
        (void)fail(c, FG_STR(""), "the option is malformed");
        return;
    }
    add_rule(router, c, &rule);
    wire = fg_wire_of(raw);
    while (!additional && fg_wire_next(&wire, &field))
        if (field.number == ADDITIONAL && field.type == FG_WIRE_BYTES)
            add_rules(router, c, field.bytes, true);
}

struct fg_http_router *fg_http_router_new(struct fg_descriptors *descriptors, struct fg_descriptors_error *problem)
{
    struct fg_http_router *router = NULL;
    struct fg_descriptors_error why = {""};
    size_t len;
    const struct fg_method *const *methods = fg_descriptors_methods(descriptors, &len);

    problem->text[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (methods[i]->http.len == 0)
            continue;
        struct compiler c = {
            .set = descriptors, .method = methods[i], .problem = why.text, .problem_len = sizeof why.text};
        if (!router)
            router = fg_http_router_empty(descriptors);
        add_rules(router, &c, methods[i]->http, false);
        if (!problem->text[0])
            *problem = why;
    }
    return router;
}
