/* Methods, and which messages are well known. */
#include "base/mem.h"
#include "rpc/descriptor_int.h"

#define OPTION_IDEMPOTENCY 34
#define OPTION_HTTP        72295728 /* google.api.http */

/* A message option that comes in several pieces is their concatenation (encoding, "last one wins"). */
static void append(struct fg_descriptors *set, struct fg_str *to, struct fg_str piece)
{
    if (to->len == 0) {
        *to = piece;
        return;
    }
    char *joined = fg_descriptors_alloc(set, to->len + piece.len);
    memcpy(joined, to->p, to->len);
    memcpy(joined + to->len, piece.p, piece.len);
    *to = (struct fg_str){joined, to->len + piece.len};
}

static void read_options(struct fg_descriptors *set, struct fg_str raw, struct fg_method *method)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    int pieces = 0;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == OPTION_IDEMPOTENCY && field.type == FG_WIRE_VARINT && field.value <= FG_IDEMPOTENT)
            method->idempotency = (uint8_t)field.value;
        else if (field.number == OPTION_HTTP && field.type == FG_WIRE_BYTES && pieces++ < 16)
            append(set, &method->http, field.bytes);
    }
}

struct raw_method {
    struct fg_str name, input, output;
};

/* MethodDescriptorProto: name 1, input_type 2, output_type 3, options 4, client_streaming 5, server_streaming 6. */
static bool read_method(struct fg_descriptors *set, struct fg_str bytes, struct raw_method *raw,
                        struct fg_method *method)
{
    struct fg_wire wire = fg_wire_of(bytes);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        if ((field.type == FG_WIRE_BYTES) != (field.number <= 4))
            continue;
        if (field.number == 1)
            raw->name = field.bytes;
        else if (field.number == 2)
            raw->input = field.bytes;
        else if (field.number == 3)
            raw->output = field.bytes;
        else if (field.number == 4)
            read_options(set, field.bytes, method);
        else if (field.number == 5)
            method->client_streaming = field.value != 0;
        else if (field.number == 6)
            method->server_streaming = field.value != 0;
    }
    return !wire.failed;
}

static const struct fg_message *message_named(const struct fg_builder *builder, struct fg_str scope, struct fg_str name)
{
    const struct fg_symbol *symbol = fg_builder_resolve(builder, scope, name);
    return symbol && symbol->kind == FG_SYMBOL_MESSAGE ? symbol->what : NULL;
}

/* "/pkg.Service/Method" */
static int set_path(struct fg_builder *builder, struct fg_str service, struct fg_str name, struct fg_method *method)
{
    struct fg_str full;

    if (fg_builder_full_name(builder, service, name, &full) < 0)
        return -1;
    char *path = fg_descriptors_alloc(builder->set, full.len + 1);
    path[0] = '/';
    memcpy(path + 1, full.p, full.len);
    path[1 + service.len] = '/';
    method->path = (struct fg_str){path, full.len + 1};
    return 0;
}

static int add_method(struct fg_builder *builder, struct fg_str service, struct fg_str bytes)
{
    struct fg_descriptors *set = builder->set;
    struct fg_method *method = fg_descriptors_alloc(set, sizeof *method);
    struct raw_method raw = {FG_STR(""), FG_STR(""), FG_STR("")};

    method->http = FG_STR("");
    if (!read_method(set, bytes, &raw, method))
        return fg_builder_fail(builder, service, "a method is no valid protobuf");
    if (set_path(builder, service, raw.name, method) < 0)
        return -1;
    method->input = message_named(builder, service, raw.input);
    method->output = message_named(builder, service, raw.output);
    if (!method->input || !method->output)
        return fg_builder_fail(builder, service, "method %.*s: the type %.*s is not in the set",
                               (int)FG_MIN(raw.name.len, 60), raw.name.p,
                               (int)FG_MIN(method->input ? raw.output.len : raw.input.len, 60),
                               method->input ? raw.output.p : raw.input.p);
    if (fg_symbols_find(&set->symbols, method->path))
        return fg_builder_fail(builder, method->path, "declared twice");
    if (set->methods_len == FG_DESCRIPTORS_MAX_TYPES)
        return fg_builder_fail(builder, method->path, "more than %u methods", FG_DESCRIPTORS_MAX_TYPES);
    if (set->methods_len == set->methods_cap) {
        set->methods_cap = set->methods_cap ? 2 * set->methods_cap : 16;
        set->methods = fg_realloc(set->methods, set->methods_cap * sizeof *set->methods);
    }
    set->methods[set->methods_len++] = method;
    fg_symbols_add(&set->symbols, method->path, FG_SYMBOL_METHOD, method);
    return 0;
}

/* ServiceDescriptorProto: name 1, method 2. */
int fg_builder_fill_service(struct fg_builder *builder, const struct fg_pending_service *service)
{
    struct fg_wire wire = fg_wire_of(service->raw);
    struct fg_wire_field field;
    struct fg_str name = FG_STR(""), full_name;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            name = field.bytes;
    }
    if (wire.failed)
        return fg_builder_fail(builder, service->package, "a service is no valid protobuf");
    if (fg_builder_full_name(builder, service->package, name, &full_name) < 0)
        return -1;
    wire = fg_wire_of(service->raw);
    while (fg_wire_next(&wire, &field)) {
        if (field.number == 2 && field.type == FG_WIRE_BYTES && add_method(builder, full_name, field.bytes) < 0)
            return -1;
    }
    return 0;
}

/* ---- maps, well-known types ---- */

bool fg_map_entry_valid(const struct fg_message *message)
{
    if (message->fields_len != 2 || message->dense_len != 2)
        return false;
    const struct fg_field *key = &message->fields[0], *value = &message->fields[1];
    bool bad_key = key->type == FG_TYPE_DOUBLE || key->type == FG_TYPE_FLOAT || key->type == FG_TYPE_BYTES ||
                   key->type == FG_TYPE_ENUM || key->message;
    return !bad_key && !key->repeated && !value->repeated && value->type != FG_TYPE_GROUP;
}

/* The fields that the well-known types have (google/protobuf/{any,struct,...}.proto): types by number, from 1 on.
 * Letters are those of has_letter. */
static const struct {
    const char *name;
    uint8_t kind;
    const char *fields;
} known[] = {
    {"Any", FG_ANY, "sb"},
    {"Timestamp", FG_TIMESTAMP, "li"},
    {"Duration", FG_DURATION, "li"},
    {"FieldMask", FG_FIELD_MASK, "S"},
    {"Struct", FG_STRUCT, "P"},
    {"Value", FG_VALUE, "edsBTA"},
    {"ListValue", FG_LIST_VALUE, "V"},
    {"DoubleValue", FG_WRAPPER, "d"},
    {"FloatValue", FG_WRAPPER, "f"},
    {"Int64Value", FG_WRAPPER, "l"},
    {"UInt64Value", FG_WRAPPER, "L"},
    {"Int32Value", FG_WRAPPER, "i"},
    {"UInt32Value", FG_WRAPPER, "I"},
    {"BoolValue", FG_WRAPPER, "B"},
    {"StringValue", FG_WRAPPER, "s"},
    {"BytesValue", FG_WRAPPER, "b"},
};

static bool is_type(const struct fg_message *message, const char *full_name)
{
    return fg_str_eq(message->full_name, fg_str_from(full_name));
}

static bool is_map_of_values(const struct fg_field *field)
{
    return field->map && field->message->fields[0].type == FG_TYPE_STRING && field->message->fields[1].message &&
           is_type(field->message->fields[1].message, "google.protobuf.Value");
}

static bool has_letter(const struct fg_field *field, char letter)
{
    static const char scalars[][2] = {{'d', FG_TYPE_DOUBLE}, {'f', FG_TYPE_FLOAT},  {'l', FG_TYPE_INT64},
                                      {'L', FG_TYPE_UINT64}, {'i', FG_TYPE_INT32},  {'I', FG_TYPE_UINT32},
                                      {'B', FG_TYPE_BOOL},   {'s', FG_TYPE_STRING}, {'b', FG_TYPE_BYTES}};

    for (size_t i = 0; i < FG_ARRAY_LEN(scalars); i++) {
        if (scalars[i][0] == letter)
            return field->type == scalars[i][1] && !field->repeated;
    }
    switch (letter) {
    case 'S': /* strings */
        return field->type == FG_TYPE_STRING && field->repeated;
    case 'P':
        return is_map_of_values(field);
    case 'e':
        return field->type == FG_TYPE_ENUM && !field->repeated && field->enumeration->null_value;
    case 'T':
        return field->type == FG_TYPE_MESSAGE && !field->repeated && is_type(field->message, "google.protobuf.Struct");
    case 'A':
        return field->type == FG_TYPE_MESSAGE && !field->repeated &&
               is_type(field->message, "google.protobuf.ListValue");
    default: /* 'V': Values */
        return field->type == FG_TYPE_MESSAGE && field->repeated && is_type(field->message, "google.protobuf.Value");
    }
}

enum fg_well_known fg_well_known_of(const struct fg_message *message)
{
    struct fg_str prefix = FG_STR("google.protobuf.");

    if (!fg_str_starts_with(message->full_name, prefix))
        return FG_NOT_WELL_KNOWN;
    struct fg_str name = {message->full_name.p + prefix.len, message->full_name.len - prefix.len};
    for (size_t i = 0; i < FG_ARRAY_LEN(known); i++) {
        if (!fg_str_eq(name, fg_str_from(known[i].name)))
            continue;
        size_t len = strlen(known[i].fields);
        bool same = message->fields_len == len && message->dense_len == len;
        for (size_t j = 0; same && j < len; j++)
            same = has_letter(&message->fields[j], known[i].fields[j]) &&
                   (known[i].kind != FG_VALUE || message->fields[j].oneof == 0);
        return same ? known[i].kind : FG_NOT_WELL_KNOWN;
    }
    return FG_NOT_WELL_KNOWN;
}
