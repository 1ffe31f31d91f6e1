/* The second pass over a set: fields, values and methods of what has been declared. */
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/descriptor_int.h"
#include "rpc/json_utf8.h"
#include "rpc/json_write.h"

#define FIELD_NUMBER_MAX   ((1u << 29) - 1)
#define MESSAGE_FIELDS_MAX 65535u

/* How many times field NUMBER occurs. */
static size_t count(struct fg_str raw, uint32_t number)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    size_t n = 0;

    while (fg_wire_next(&wire, &field))
        n += field.number == number && field.type == FG_WIRE_BYTES;
    return n;
}

static int charge(struct fg_builder *builder, struct fg_str where, size_t n)
{
    builder->fields += n;
    if (n > MESSAGE_FIELDS_MAX || builder->fields > FG_DESCRIPTORS_MAX_FIELDS)
        return fg_builder_fail(builder, where, "too many fields or values");
    return 0;
}

const struct fg_symbol *fg_builder_resolve(const struct fg_builder *builder, struct fg_str scope, struct fg_str name)
{
    char full[FG_DESCRIPTORS_MAX_NAME];

    if (name.len > 0 && name.p[0] == '.')
        return fg_symbols_find(&builder->set->symbols, (struct fg_str){name.p + 1, name.len - 1});
    for (size_t len = scope.len;; len--) {
        size_t dot = len > 0;
        if (len + dot + name.len <= sizeof full) {
            memcpy(full, scope.p, len);
            full[len] = '.';
            memcpy(full + len + dot, name.p, name.len);
            const struct fg_symbol *symbol =
                fg_symbols_find(&builder->set->symbols, (struct fg_str){full, len + dot + name.len});
            if (symbol || len == 0)
                return symbol;
        }
        if (len == 0)
            return NULL;
        while (len > 1 && scope.p[len - 1] != '.')
            len--;
    }
}

/* ---- names ---- */

/* Room for an index of LEN names that is at most half full. */
static uint32_t *new_index(struct fg_builder *builder, size_t len, uint32_t *mask)
{
    uint32_t cap = 4;

    while (cap < 2 * len)
        cap *= 2;
    *mask = cap - 1;
    return fg_descriptors_alloc(builder->set, cap * sizeof(uint32_t));
}

static void index_name(uint32_t *slots, uint32_t mask, struct fg_str name, uint32_t index)
{
    uint32_t i = fg_hash(name.p, name.len, 0) & mask;

    while (slots[i] != 0)
        i = (i + 1) & mask;
    slots[i] = index + 1;
}

static struct fg_str json_key_of(struct fg_builder *builder, struct fg_str name)
{
    char text[6 * FG_DESCRIPTORS_MAX_NAME + 3];
    struct fg_json_out out;

    fg_json_out_init(&out, text, sizeof text, NULL, NULL);
    fg_json_put_text(&out, name);
    fg_json_put(&out, ':');
    size_t len = (size_t)(out.at - text);
    char *copy = fg_descriptors_alloc(builder->set, len);
    memcpy(copy, text, len);
    return (struct fg_str){copy, len};
}

size_t fg_json_name_of(struct fg_str name, char *out)
{
    size_t len = 0;
    bool upper = false;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        if (c == '_') {
            upper = true;
            continue;
        }
        out[len++] = upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        upper = false;
    }
    return len;
}

static int set_names(struct fg_builder *builder, struct fg_str where, struct fg_field *field)
{
    if (field->name.len == 0 || field->name.len > FG_DESCRIPTORS_MAX_NAME ||
        field->json_name.len > FG_DESCRIPTORS_MAX_NAME)
        return fg_builder_fail(builder, where, "a field without a name, or with one of more than %u bytes",
                               FG_DESCRIPTORS_MAX_NAME);
    if (!fg_utf8_valid(field->name) || !fg_utf8_valid(field->json_name))
        return fg_builder_fail(builder, where, "the name of a field is not UTF-8");
    if (field->json_name.len == 0) {
        char *name = fg_descriptors_alloc(builder->set, field->name.len);
        field->json_name = (struct fg_str){name, fg_json_name_of(field->name, name)};
    }
    field->json_key = json_key_of(builder, field->json_name);
    return 0;
}

/* ---- fields ---- */

static uint8_t wire_type_of(unsigned type)
{
    switch (type) {
    case FG_TYPE_DOUBLE:
    case FG_TYPE_FIXED64:
    case FG_TYPE_SFIXED64:
        return FG_WIRE_64;
    case FG_TYPE_FLOAT:
    case FG_TYPE_FIXED32:
    case FG_TYPE_SFIXED32:
        return FG_WIRE_32;
    case FG_TYPE_STRING:
    case FG_TYPE_BYTES:
    case FG_TYPE_MESSAGE:
        return FG_WIRE_BYTES;
    case FG_TYPE_GROUP:
        return FG_WIRE_GROUP;
    default:
        return FG_WIRE_VARINT;
    }
}

/* A field as it is read, before its type is known. */
struct raw_field {
    struct fg_field *field;
    struct fg_str type_name, options;
    uint64_t number, label, type, oneof;
    bool optional, has_oneof;
};

/* FieldDescriptorProto: name 1, number 3, label 4, type 5, type_name 6, options 8, oneof_index 9, json_name 10,
 * proto3_optional 17. */
static bool read_field(struct fg_str raw, struct raw_field *out)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        bool bytes = field.type == FG_WIRE_BYTES;
        if (bytes != (field.number == 1 || field.number == 6 || field.number == 8 || field.number == 10))
            continue;
        switch (field.number) {
        case 1:
            out->field->name = field.bytes;
            break;
        case 3:
            out->number = field.value;
            break;
        case 4:
            out->label = field.value;
            break;
        case 5:
            out->type = field.value;
            break;
        case 6:
            out->type_name = field.bytes;
            break;
        case 8:
            out->options = field.bytes;
            break;
        case 9:
            out->oneof = field.value;
            out->has_oneof = true;
            break;
        case 10:
            out->field->json_name = field.bytes;
            break;
        case 17:
            out->optional = field.value != 0;
            break;
        default:
            break;
        }
    }
    return !wire.failed;
}

static int set_type(struct fg_builder *builder, const struct fg_message *message, struct raw_field *raw)
{
    struct fg_field *field = raw->field;
    const struct fg_symbol *symbol = NULL;

    if (raw->type_name.len > 0) {
        symbol = fg_builder_resolve(builder, message->full_name, raw->type_name);
        if (!symbol)
            return fg_builder_fail(builder, message->full_name, "field %.*s: the type %.*s is not in the set",
                                   (int)FG_MIN(field->name.len, 60), field->name.p, (int)FG_MIN(raw->type_name.len, 60),
                                   raw->type_name.p);
    }
    if (raw->type == 0 && symbol)
        raw->type = symbol->kind == FG_SYMBOL_ENUM ? FG_TYPE_ENUM : FG_TYPE_MESSAGE;
    bool wants_message = raw->type == FG_TYPE_MESSAGE || raw->type == FG_TYPE_GROUP;
    bool wants_enum = raw->type == FG_TYPE_ENUM;
    if (raw->type == 0 || raw->type > FG_TYPE_SINT64 ||
        wants_message != (symbol && symbol->kind == FG_SYMBOL_MESSAGE) ||
        wants_enum != (symbol && symbol->kind == FG_SYMBOL_ENUM))
        return fg_builder_fail(builder, message->full_name, "field %.*s has no valid type",
                               (int)FG_MIN(field->name.len, 60), field->name.p);
    field->type = (uint8_t)raw->type;
    field->message = wants_message ? symbol->what : NULL;
    field->enumeration = wants_enum ? symbol->what : NULL;
    return 0;
}

/* FieldOptions: packed 2, features 21. */
static void set_features(struct fg_field *field, const struct raw_field *raw, struct fg_features features)
{
    struct fg_wire wire = fg_wire_of(raw->options);
    struct fg_wire_field option;
    bool message = field->type == FG_TYPE_MESSAGE || field->type == FG_TYPE_GROUP;

    while (fg_wire_next(&wire, &option)) {
        if (option.number == 2 && option.type == FG_WIRE_VARINT)
            features.packed = option.value != 0;
        else if (option.number == 21 && option.type == FG_WIRE_BYTES)
            fg_features_read(&features, option.bytes);
    }
    if (field->type == FG_TYPE_MESSAGE && features.delimited)
        field->type = FG_TYPE_GROUP;
    field->wire_type = wire_type_of(field->type);
    field->packed =
        features.packed && field->repeated && field->wire_type != FG_WIRE_BYTES && field->wire_type != FG_WIRE_GROUP;
    field->presence = !field->repeated && (message || features.presence || raw->optional || raw->has_oneof);
}

static int fill_field(struct fg_builder *builder, const struct fg_pending *pending, struct fg_str bytes,
                      struct fg_field *field)
{
    struct fg_message *message = pending->message;
    struct raw_field raw = {.field = field, .type_name = FG_STR(""), .options = FG_STR("")};

    *field = (struct fg_field){.name = FG_STR(""), .json_name = FG_STR(""), .oneof = FG_FIELD_NO_ONEOF};
    if (!read_field(bytes, &raw))
        return fg_builder_fail(builder, message->full_name, "a field is no valid protobuf");
    if (set_names(builder, message->full_name, field) < 0 || set_type(builder, message, &raw) < 0)
        return -1;
    if (raw.number == 0 || raw.number > FIELD_NUMBER_MAX)
        return fg_builder_fail(builder, message->full_name, "a field has no valid number");
    if (raw.has_oneof && raw.oneof >= message->oneofs_len)
        return fg_builder_fail(builder, message->full_name, "a field has no valid oneof");
    field->number = (uint32_t)raw.number;
    field->repeated = raw.label == 3;
    if (raw.has_oneof && !raw.optional && !field->repeated)
        field->oneof = (uint32_t)raw.oneof;
    set_features(field, &raw, pending->features);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct fg_field *)a)->number, y = ((const struct fg_field *)b)->number;
    return x < y ? -1 : x > y;
}

static int index_fields(struct fg_builder *builder, struct fg_message *message, struct fg_field *fields)
{
    qsort(fields, message->fields_len, sizeof *fields, by_number);
    uint32_t *slots = new_index(builder, 2 * (size_t)message->fields_len, &message->by_name_mask);

    message->by_name = slots;
    for (uint32_t i = 0; i < message->fields_len; i++) {
        fields[i].index = i;
        if (i > 0 && fields[i].number == fields[i - 1].number)
            return fg_builder_fail(builder, message->full_name, "two fields have the number %u", fields[i].number);
        if (fields[i].number == i + 1)
            message->dense_len = i + 1;
        index_name(slots, message->by_name_mask, fields[i].json_name, i);
    }
    for (uint32_t i = 0; i < message->fields_len; i++) {
        if (!fg_str_eq(fields[i].name, fields[i].json_name))
            index_name(slots, message->by_name_mask, fields[i].name, i);
    }
    return 0;
}

/* DescriptorProto: field 2, options 7 {map_entry 7}, oneof_decl 8. */
int fg_builder_fill_message(struct fg_builder *builder, const struct fg_pending *pending)
{
    struct fg_message *message = pending->message;
    struct fg_wire wire = fg_wire_of(pending->raw), options;
    struct fg_wire_field field, option;
    size_t len = count(pending->raw, 2), i = 0;

    if (charge(builder, message->full_name, len) < 0)
        return -1;
    struct fg_field *fields = fg_descriptors_alloc(builder->set, len * sizeof *fields);
    message->fields = fields;
    message->fields_len = (uint32_t)len;
    message->oneofs_len = (uint32_t)count(pending->raw, 8);
    if (message->oneofs_len > len) /* each has a member: the table of a message need not be larger than its fields */
        return fg_builder_fail(builder, message->full_name, "a oneof has no member");
    while (fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number == 2 && fill_field(builder, pending, field.bytes, &fields[i++]) < 0)
            return -1;
        if (field.number != 7)
            continue;
        options = fg_wire_of(field.bytes);
        while (fg_wire_next(&options, &option)) {
            if (option.number == 7 && option.type == FG_WIRE_VARINT)
                message->map_entry = option.value != 0;
        }
    }
    return index_fields(builder, message, fields);
}

/* ---- enums ---- */

static int by_value(const void *a, const void *b)
{
    const struct fg_enum_value *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->name.p < y->name.p ? -1 : x->name.p > y->name.p; /* names lie in the order of declaration */
}

/* EnumValueDescriptorProto: name 1, number 2. */
static int read_value(struct fg_builder *builder, struct fg_str where, struct fg_str raw, struct fg_enum_value *value)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    *value = (struct fg_enum_value){FG_STR(""), 0};
    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            value->name = field.bytes;
        else if (field.number == 2 && field.type == FG_WIRE_VARINT)
            value->number = (int32_t)(uint32_t)field.value;
    }
    if (wire.failed || value->name.len == 0 || value->name.len > FG_DESCRIPTORS_MAX_NAME || !fg_utf8_valid(value->name))
        return fg_builder_fail(builder, where, "a value has no valid name");
    return 0;
}

/* EnumDescriptorProto: value 2, options 3 {features 7}. */
int fg_builder_fill_enum(struct fg_builder *builder, const struct fg_pending *pending)
{
    struct fg_enum *enumeration = pending->enumeration;
    struct fg_features features = pending->features;
    struct fg_wire wire = fg_wire_of(pending->raw), options;
    struct fg_wire_field field, option;
    size_t len = count(pending->raw, 2), i = 0;

    if (len == 0)
        return fg_builder_fail(builder, enumeration->full_name, "an enum without values");
    if (charge(builder, enumeration->full_name, len) < 0)
        return -1;
    struct fg_enum_value *values = fg_descriptors_alloc(builder->set, len * sizeof *values);
    while (fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number == 2 && read_value(builder, enumeration->full_name, field.bytes, &values[i++]) < 0)
            return -1;
        options = fg_wire_of(field.number == 3 ? field.bytes : FG_STR(""));
        while (fg_wire_next(&options, &option)) {
            if (option.number == 7 && option.type == FG_WIRE_BYTES)
                fg_features_read(&features, option.bytes);
        }
    }
    enumeration->values = values;
    enumeration->values_len = (uint32_t)len;
    enumeration->first = values[0].number;
    enumeration->closed = features.closed_enums;
    enumeration->null_value = fg_str_eq(enumeration->full_name, FG_STR("google.protobuf.NullValue"));
    qsort(values, len, sizeof *values, by_value);
    uint32_t *slots = new_index(builder, len, &enumeration->by_name_mask);
    for (i = 0; i < len; i++)
        index_name(slots, enumeration->by_name_mask, values[i].name, (uint32_t)i);
    enumeration->by_name = slots;
    return 0;
}
