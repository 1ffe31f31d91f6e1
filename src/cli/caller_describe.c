/* What there is to call: --list and --describe. */
#include <stdio.h>

#include "cli/caller_types.h"
#include "cli/cli.h"

static struct fg_str service_of(const struct fg_method *method)
{
    const char *slash = memrchr(method->path.p, '/', method->path.len);
    return (struct fg_str){method->path.p + 1, (size_t)(slash - method->path.p - 1)};
}

static struct fg_str name_of(const struct fg_method *method)
{
    struct fg_str service = service_of(method);
    return (struct fg_str){service.p + service.len + 1, method->path.len - service.len - 2};
}

static void print_sides(const struct fg_method *method, const char *format)
{
    printf(format, method->client_streaming ? "stream " : "", (int)method->input->full_name.len,
           method->input->full_name.p, method->server_streaming ? "stream " : "", (int)method->output->full_name.len,
           method->output->full_name.p);
}

int fg_caller_list(const struct fg_descriptors *types)
{
    size_t len, width = 0;
    const struct fg_method *const *methods = fg_descriptors_methods(types, &len);

    for (size_t i = 0; i < len; i++)
        width = FG_MAX(width, methods[i]->path.len - 1);
    for (size_t i = 0; i < len; i++) {
        printf("%-*.*s  ", (int)width, (int)methods[i]->path.len - 1, methods[i]->path.p + 1);
        print_sides(methods[i], "%s%.*s -> %s%.*s\n");
    }
    return fflush(stdout) == 0 ? FG_EXIT_OK : FG_EXIT_FAILED;
}

/* ---- describing ---- */

static const char *const scalar_names[] = {
    [FG_TYPE_DOUBLE] = "double",     [FG_TYPE_FLOAT] = "float",   [FG_TYPE_INT64] = "int64",
    [FG_TYPE_UINT64] = "uint64",     [FG_TYPE_INT32] = "int32",   [FG_TYPE_FIXED64] = "fixed64",
    [FG_TYPE_FIXED32] = "fixed32",   [FG_TYPE_BOOL] = "bool",     [FG_TYPE_STRING] = "string",
    [FG_TYPE_BYTES] = "bytes",       [FG_TYPE_UINT32] = "uint32", [FG_TYPE_SFIXED32] = "sfixed32",
    [FG_TYPE_SFIXED64] = "sfixed64", [FG_TYPE_SINT32] = "sint32", [FG_TYPE_SINT64] = "sint64",
};

static struct fg_str type_of(const struct fg_field *field)
{
    return field->message       ? field->message->full_name
           : field->enumeration ? field->enumeration->full_name
                                : fg_str_from(scalar_names[field->type]);
}

static void print_field(const struct fg_field *field)
{
    struct fg_str type = type_of(field);
    bool optional = field->presence && !field->message && field->oneof == FG_FIELD_NO_ONEOF;
    const char *label = field->map ? "" : field->repeated ? "repeated " : optional ? "optional " : "";

    if (field->map) {
        struct fg_str key = type_of(&field->message->fields[0]), value = type_of(&field->message->fields[1]);
        printf("  map<%.*s, %.*s>", (int)key.len, key.p, (int)value.len, value.p);
    } else {
        printf("  %s%.*s", label, (int)type.len, type.p);
    }
    printf(" %.*s = %u;", (int)field->name.len, field->name.p, field->number);
    if (field->oneof != FG_FIELD_NO_ONEOF)
        printf(" // one of group %u", field->oneof + 1);
    putchar('\n');
}

static void print_message(const struct fg_message *message)
{
    printf("message %.*s {\n", (int)message->full_name.len, message->full_name.p);
    for (uint32_t i = 0; i < message->fields_len; i++)
        print_field(&message->fields[i]);
    puts("}");
}

static void print_enum(const struct fg_enum *enumeration)
{
    printf("enum %.*s {\n", (int)enumeration->full_name.len, enumeration->full_name.p);
    for (uint32_t i = 0; i < enumeration->values_len; i++)
        printf("  %.*s = %d;\n", (int)enumeration->values[i].name.len, enumeration->values[i].name.p,
               enumeration->values[i].number);
    puts("}");
}

static void print_method(const struct fg_method *method)
{
    struct fg_str name = name_of(method);

    printf("  rpc %.*s", (int)name.len, name.p);
    print_sides(method, "(%s%.*s) returns (%s%.*s)");
    puts(method->idempotency == FG_NO_SIDE_EFFECTS ? "; // no side effects: --get is possible" : ";");
}

/* "pkg.Service", "pkg.Service/Method" or "pkg.Service.Method": of a method its messages, too. False: there is none. */
static bool describe_service(const struct fg_descriptors *types, struct fg_str name)
{
    const struct fg_method *one = NULL;
    size_t len;
    const struct fg_method *const *methods = fg_descriptors_methods(types, &len);
    bool found = false;

    for (size_t i = 0; i < len; i++) {
        struct fg_str service = service_of(methods[i]), path = {methods[i]->path.p + 1, methods[i]->path.len - 1};
        bool is_this = name.len == path.len && fg_str_starts_with(name, service) &&
                       (name.p[service.len] == '/' || name.p[service.len] == '.') &&
                       memcmp(name.p + service.len + 1, path.p + service.len + 1, path.len - service.len - 1) == 0;
        if (!is_this && !fg_str_eq(service, name))
            continue;
        if (!found)
            printf("service %.*s {\n", (int)service.len, service.p);
        print_method(methods[i]);
        one = is_this ? methods[i] : one;
        found = true;
    }
    if (found)
        puts("}");
    if (one)
        print_message(one->input);
    if (one && one->output != one->input)
        print_message(one->output);
    return found;
}

int fg_caller_describe(const struct fg_descriptors *types, const char *name)
{
    struct fg_str text = fg_str_from(name);
    const struct fg_message *message;
    const struct fg_enum *enumeration;

    if (text.len > 0 && (text.p[0] == '/' || text.p[0] == '.'))
        text = (struct fg_str){text.p + 1, text.len - 1};
    message = fg_descriptors_message(types, text);
    enumeration = fg_descriptors_enum(types, text);
    if (message)
        print_message(message);
    else if (enumeration)
        print_enum(enumeration);
    else if (!describe_service(types, text)) {
        fg_caller_say("there is no service, method, message or enum %s (--list names the methods)", name);
        return FG_EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? FG_EXIT_OK : FG_EXIT_FAILED;
}
