/* fusegate openapi FILE: an OpenAPI 3.1 document of the REST face that a file of descriptors gives a service. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "rpc/http_rule.h"

#define QUERY_DEPTH 3 /* messages inside messages whose fields are listed as parameters; deeper ones work, too */

struct document {
    json_t *paths, *schemas;
};

static json_t *text(struct fg_str s)
{
    json_t *value = json_stringn(s.p, s.len);
    return value ? value : json_string("");
}

static json_t *typed(const char *type, const char *format)
{
    return format ? json_pack("{ss ss}", "type", type, "format", format) : json_pack("{ss}", "type", type);
}

static json_t *reference(struct document *document, const struct fg_message *message);

/* ---- schemas (protobuf.dev/programming-guides/json) ---- */

static json_t *enum_schema(const struct fg_enum *enumeration)
{
    json_t *names = json_array();

    for (uint32_t i = 0; i < enumeration->values_len; i++)
        json_array_append_new(names, text(enumeration->values[i].name));
    return json_pack("{ss so}", "type", "string", "enum", names);
}

static json_t *value_schema(struct document *document, const struct fg_field *field)
{
    switch (field->type) {
    case FG_TYPE_DOUBLE:
        return typed("number", "double");
    case FG_TYPE_FLOAT:
        return typed("number", "float");
    case FG_TYPE_INT64:
    case FG_TYPE_SINT64:
    case FG_TYPE_SFIXED64:
        return typed("string", "int64");
    case FG_TYPE_UINT64:
    case FG_TYPE_FIXED64:
        return typed("string", "uint64");
    case FG_TYPE_INT32:
    case FG_TYPE_SINT32:
    case FG_TYPE_SFIXED32:
        return typed("integer", "int32");
    case FG_TYPE_UINT32:
    case FG_TYPE_FIXED32:
        return typed("integer", "uint32");
    case FG_TYPE_BOOL:
        return typed("boolean", NULL);
    case FG_TYPE_BYTES:
        return typed("string", "byte");
    case FG_TYPE_ENUM:
        return field->enumeration->null_value ? typed("null", NULL) : enum_schema(field->enumeration);
    case FG_TYPE_MESSAGE:
    case FG_TYPE_GROUP:
        return reference(document, field->message);
    default:
        return typed("string", NULL);
    }
}

static json_t *field_schema(struct document *document, const struct fg_field *field)
{
    if (field->map)
        return json_pack("{ss so}", "type", "object", "additionalProperties",
                         value_schema(document, fg_message_field(field->message, 2)));
    json_t *value = value_schema(document, field);
    return field->repeated ? json_pack("{ss so}", "type", "array", "items", value) : value;
}

/* NULL: an object of its fields. */
static json_t *well_known_schema(struct document *document, const struct fg_message *message)
{
    switch ((enum fg_well_known)message->well_known) {
    case FG_TIMESTAMP:
        return typed("string", "date-time");
    case FG_DURATION:
        return json_pack("{ss ss}", "type", "string", "pattern", "^-?[0-9]+(\\.[0-9]+)?s$");
    case FG_FIELD_MASK:
        return typed("string", NULL);
    case FG_STRUCT:
        return typed("object", NULL);
    case FG_LIST_VALUE:
        return json_pack("{ss s{}}", "type", "array", "items");
    case FG_VALUE:
        return json_object();
    case FG_ANY:
        return json_pack("{ss s{s{ss}} s[s]}", "type", "object", "properties", "@type", "type", "string", "required",
                         "@type");
    case FG_WRAPPER:
        return value_schema(document, &message->fields[0]);
    case FG_NOT_WELL_KNOWN:
        break;
    }
    return NULL;
}

static json_t *reference(struct document *document, const struct fg_message *message)
{
    json_t *known = well_known_schema(document, message);
    char name[FG_DESCRIPTORS_MAX_NAME + 1], target[FG_DESCRIPTORS_MAX_NAME + 32];

    if (known)
        return known;
    snprintf(name, sizeof name, "%.*s", (int)message->full_name.len, message->full_name.p);
    snprintf(target, sizeof target, "#/components/schemas/%s", name);
    if (!json_object_get(document->schemas, name)) {
        json_t *properties = json_object();
        json_object_set_new(document->schemas, name, json_pack("{ss so}", "type", "object", "properties", properties));
        for (uint32_t i = 0; i < message->fields_len; i++) {
            const struct fg_field *field = &message->fields[i];
            json_object_setn_new(properties, field->json_name.p, field->json_name.len, field_schema(document, field));
        }
    }
    return json_pack("{ss}", "$ref", target);
}

/* ---- operations ---- */

static bool is_raw(const struct fg_message *message)
{
    return message && fg_str_eq(message->full_name, FG_STR("google.api.HttpBody"));
}

static json_t *content(struct document *document, const struct fg_message *message, const struct fg_field *field,
                       bool stream)
{
    const struct fg_message *type = field ? field->message : message;

    if (is_raw(type))
        return json_pack("{s{}}", "*/*");
    json_t *schema = field ? field_schema(document, field) : reference(document, message);
    return json_pack("{s{so}}", stream ? "application/x-ndjson" : "application/json", "schema", schema);
}

static void add_parameter(json_t *parameters, const char *name, size_t len, const char *in, json_t *schema)
{
    json_array_append_new(parameters, json_pack("{ss% ss sb so}", "name", name, len, "in", in, "required",
                                                strcmp(in, "path") == 0, "schema", schema));
}

static bool is_bound(const struct fg_http_binding *binding, const struct fg_field *field, bool top)
{
    if (top && binding->body_field == field)
        return true;
    for (size_t i = 0; i < binding->variables_len; i++)
        if (binding->variables[i].path[binding->variables[i].depth - 1] == field)
            return true;
    return false;
}

static void add_query(struct document *document, const struct fg_http_binding *binding, json_t *parameters,
                      const struct fg_message *message, const char *prefix, unsigned depth)
{
    for (uint32_t i = 0; i < message->fields_len; i++) {
        const struct fg_field *field = &message->fields[i];
        char name[1024];
        int n = snprintf(name, sizeof name, "%s%.*s", prefix, (int)field->json_name.len, field->json_name.p);
        bool plain = field->message && !field->map && field->message->well_known == FG_NOT_WELL_KNOWN;
        if (n < 0 || (size_t)n + 2 > sizeof name || field->map || is_bound(binding, field, depth == 0))
            continue;
        if (!plain) {
            add_parameter(parameters, name, (size_t)n, "query", field_schema(document, field));
        } else if (!field->repeated && depth < QUERY_DEPTH) {
            memcpy(name + n, ".", 2);
            add_query(document, binding, parameters, field->message, name, depth + 1);
        }
    }
}

static json_t *operation(struct document *document, const struct fg_http_binding *binding)
{
    const struct fg_method *method = binding->method;
    json_t *parameters = json_array(), *made;
    const char *slash = memrchr(method->path.p, '/', method->path.len);

    for (size_t i = 0; i < binding->variables_len; i++) {
        const struct fg_http_variable *variable = &binding->variables[i];
        char name[1024] = "";
        for (uint32_t d = 0; d < variable->depth; d++)
            snprintf(name + strlen(name), sizeof name - strlen(name), "%s%.*s", d > 0 ? "." : "",
                     (int)variable->path[d]->name.len, variable->path[d]->name.p);
        add_parameter(parameters, name, strlen(name), "path",
                      value_schema(document, variable->path[variable->depth - 1]));
    }
    if (binding->body != FG_HTTP_BODY_ALL)
        add_query(document, binding, parameters, method->input, "", 0);
    made = json_pack("{ss% s[s%] so s{s{ss so} s{ss s{s{s{ss}}}}}}", "operationId", method->path.p + 1,
                     method->path.len - 1, "tags", method->path.p + 1, (size_t)(slash - method->path.p - 1),
                     "parameters", parameters, "responses", "200", "description", "OK", "content",
                     content(document, method->output, binding->response_field, method->server_streaming), "default",
                     "description", "An error", "content", "application/json", "schema", "$ref",
                     "#/components/schemas/Error");
    if (binding->body != FG_HTTP_BODY_NONE)
        json_object_set_new(made, "requestBody",
                            json_pack("{so}", "content",
                                      content(document, method->input, binding->body_field, method->client_streaming)));
    return made;
}

/* "/v1/{name=shelves / *}:move" as "/v1/{name}:move". */
static void print_path(struct fg_str path, char *out, size_t len)
{
    bool inside = false, pattern = false;
    size_t n = 0;

    for (size_t i = 0; i < path.len && n + 1 < len; i++) {
        inside = (inside || path.p[i] == '{') && path.p[i] != '}';
        pattern = inside && (pattern || path.p[i] == '=');
        if (!pattern)
            out[n++] = path.p[i];
    }
    out[n] = '\0';
}

static void add(struct document *document, const struct fg_http_binding *binding)
{
    static const char *const methods[] = {"get", "put", "post", "delete", "patch", "head", "options", "trace"};
    char path[1024], method[16];

    print_path(binding->path, path, sizeof path);
    for (size_t i = 0; i < sizeof method; i++)
        method[i] = '\0';
    for (size_t i = 0; i < binding->http_method.len && i + 1 < sizeof method; i++)
        method[i] = (char)(binding->http_method.p[i] | 0x20);
    bool known = false;
    for (size_t i = 0; i < FG_ARRAY_LEN(methods); i++)
        known |= strcmp(method, methods[i]) == 0;
    if (!known)
        return; /* OpenAPI has no other methods */
    json_t *item = json_object_get(document->paths, path);
    if (!item) {
        item = json_object();
        json_object_set_new(document->paths, path, item);
    }
    json_t *made = operation(document, binding);
    if (!json_object_get(item, method))
        json_object_set_new(item, method, made);
    else
        json_decref(made);
}

static json_t *error_schema(void)
{
    return json_pack("{ss s{s{ss} s{ss} s{ss} s{ss s{ss}}}}", "type", "object", "properties", "error", "type", "string",
                     "code", "type", "integer", "status", "type", "string", "details", "type", "array", "items", "type",
                     "object");
}

int fg_cli_openapi(int argc, char **argv)
{
    struct document document = {json_object(), json_object()};
    struct fg_descriptors_error error;
    struct fg_descriptors *set;
    size_t len;

    if (argc != 2) {
        json_decref(document.paths);
        json_decref(document.schemas);
        fprintf(stderr, "usage: fusegate openapi FILE (of protoc --include_imports --descriptor_set_out)\n");
        return FG_EXIT_USAGE;
    }
    if (fg_descriptors_load(argv[1], &set, &error) != 0) {
        json_decref(document.paths);
        json_decref(document.schemas);
        fprintf(stderr, "fusegate: %s: %s\n", argv[1], error.text);
        return FG_EXIT_FAILED;
    }
    if (fg_descriptors_http_problem(set)[0])
        fprintf(stderr, "fusegate: a rule is left out: %s\n", fg_descriptors_http_problem(set));
    const struct fg_http_binding *const *bindings = fg_http_router_bindings(fg_descriptors_http(set), &len);
    for (size_t i = 0; i < len; i++)
        add(&document, bindings[i]);
    json_object_set_new(document.schemas, "Error", error_schema());
    json_t *all = json_pack("{ss s{ss ss} so s{so}}", "openapi", "3.1.0", "info", "title", "REST by google.api.http",
                            "version", "1", "paths", document.paths, "components", "schemas", document.schemas);
    int rc =
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS) == 0 && putchar('\n') != EOF && fflush(stdout) == 0
            ? FG_EXIT_OK
            : FG_EXIT_FAILED;
    json_decref(all);
    fg_descriptors_unref(set);
    return rc;
}
