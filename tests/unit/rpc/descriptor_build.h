/* Makes serialized descriptors for tests and fuzzers, without protoc. */
#ifndef UNIT_RPC_DESCRIPTOR_BUILD_H
#define UNIT_RPC_DESCRIPTOR_BUILD_H

#include "rpc/descriptor.h"

struct built {
    size_t len;
    uint8_t bytes[16384];
};

static inline void build_varint(struct built *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        to->bytes[to->len++] = (uint8_t)(value | 0x80);
    to->bytes[to->len++] = (uint8_t)value;
}

static inline void build_number(struct built *to, uint32_t number, uint64_t value)
{
    build_varint(to, (uint64_t)number << 3);
    build_varint(to, value);
}

static inline void build_bytes(struct built *to, uint32_t number, const void *bytes, size_t len)
{
    build_varint(to, (uint64_t)number << 3 | FG_WIRE_BYTES);
    build_varint(to, len);
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static inline void build_text(struct built *to, uint32_t number, const char *text)
{
    build_bytes(to, number, text, strlen(text));
}

static inline void build_in(struct built *to, uint32_t number, const struct built *inner)
{
    build_bytes(to, number, inner->bytes, inner->len);
}

enum build_label { BUILD_ONE = 1, BUILD_MANY = 3, BUILD_OPTIONAL = 16, BUILD_MEMBER = 32 /* of oneof 0 */ };

static inline void build_field(struct built *message, const char *name, uint32_t number, unsigned label,
                               enum fg_field_type type, const char *type_name)
{
    struct built field = {0};

    build_text(&field, 1, name);
    build_number(&field, 3, number);
    build_number(&field, 4, label == BUILD_MANY ? 3 : 1);
    build_number(&field, 5, type);
    if (type_name)
        build_text(&field, 6, type_name);
    if (label == BUILD_OPTIONAL || label == BUILD_MEMBER)
        build_number(&field, 9, label == BUILD_OPTIONAL);
    if (label == BUILD_OPTIONAL)
        build_number(&field, 17, 1);
    build_in(message, 2, &field);
}

static inline void build_oneof(struct built *message, const char *name)
{
    struct built oneof = {0};

    build_text(&oneof, 1, name);
    build_in(message, 8, &oneof);
}

static inline void build_map(struct built *message, const char *name, const char *entry, const char *entry_type,
                             uint32_t number, enum fg_field_type key, enum fg_field_type value, const char *value_type)
{
    static const char map_entry[] = "\x38\x01"; /* MessageOptions.map_entry = 7 */
    struct built nested = {0};

    build_text(&nested, 1, entry);
    build_field(&nested, "key", 1, BUILD_ONE, key, NULL);
    build_field(&nested, "value", 2, BUILD_ONE, value, value_type);
    build_bytes(&nested, 7, map_entry, 2);
    build_in(message, 3, &nested);
    build_field(message, name, number, BUILD_MANY, FG_TYPE_MESSAGE, entry_type);
}

static inline void build_enum(struct built *to, uint32_t number, const char *name, const char *zero, const char *one)
{
    struct built declared = {0}, value = {0};

    build_text(&declared, 1, name);
    build_text(&value, 1, zero);
    build_in(&declared, 2, &value);
    if (one) {
        value.len = 0;
        build_text(&value, 1, one);
        build_number(&value, 2, 1);
        build_in(&declared, 2, &value);
    }
    build_in(to, number, &declared);
}

static inline void build_value_type(struct built *file)
{
    struct built value = {0};

    build_text(&value, 1, "Value");
    build_field(&value, "null_value", 1, BUILD_MEMBER, FG_TYPE_ENUM, ".google.protobuf.NullValue");
    build_field(&value, "number_value", 2, BUILD_MEMBER, FG_TYPE_DOUBLE, NULL);
    build_field(&value, "string_value", 3, BUILD_MEMBER, FG_TYPE_STRING, NULL);
    build_field(&value, "bool_value", 4, BUILD_MEMBER, FG_TYPE_BOOL, NULL);
    build_field(&value, "struct_value", 5, BUILD_MEMBER, FG_TYPE_MESSAGE, ".google.protobuf.Struct");
    build_field(&value, "list_value", 6, BUILD_MEMBER, FG_TYPE_MESSAGE, ".google.protobuf.ListValue");
    build_oneof(&value, "kind");
    build_in(file, 4, &value);
}

/* google/protobuf/{any,duration,field_mask,struct,timestamp,wrappers}.proto as one file. */
static inline void build_well_known(struct built *set)
{
    static const char *const times[] = {"Timestamp", "Duration"};
    struct built file = {0}, message = {0};

    build_text(&file, 1, "known.proto");
    build_text(&file, 2, "google.protobuf");
    build_text(&file, 12, "proto3");
    build_enum(&file, 5, "NullValue", "NULL_VALUE", NULL);
    for (size_t i = 0; i < 2; i++, message.len = 0) {
        build_text(&message, 1, times[i]);
        build_field(&message, "seconds", 1, BUILD_ONE, FG_TYPE_INT64, NULL);
        build_field(&message, "nanos", 2, BUILD_ONE, FG_TYPE_INT32, NULL);
        build_in(&file, 4, &message);
    }
    build_text(&message, 1, "Any");
    build_field(&message, "type_url", 1, BUILD_ONE, FG_TYPE_STRING, NULL);
    build_field(&message, "value", 2, BUILD_ONE, FG_TYPE_BYTES, NULL);
    build_in(&file, 4, &message);
    message.len = 0;
    build_text(&message, 1, "FieldMask");
    build_field(&message, "paths", 1, BUILD_MANY, FG_TYPE_STRING, NULL);
    build_in(&file, 4, &message);
    message.len = 0;
    build_text(&message, 1, "Struct");
    build_map(&message, "fields", "FieldsEntry", ".google.protobuf.Struct.FieldsEntry", 1, FG_TYPE_STRING,
              FG_TYPE_MESSAGE, ".google.protobuf.Value");
    build_in(&file, 4, &message);
    message.len = 0;
    build_text(&message, 1, "ListValue");
    build_field(&message, "values", 1, BUILD_MANY, FG_TYPE_MESSAGE, ".google.protobuf.Value");
    build_in(&file, 4, &message);
    message.len = 0;
    build_text(&message, 1, "Int64Value");
    build_field(&message, "value", 1, BUILD_ONE, FG_TYPE_INT64, NULL);
    build_in(&file, 4, &message);
    build_value_type(&file);
    build_in(set, 1, &file);
}

/* t.All: field n of type n of descriptor.proto, repeated as 20 + n; then maps, a oneof, well-known types. */
static inline void build_all(struct built *file)
{
    struct built all = {0};

    build_text(&all, 1, "All");
    for (unsigned type = FG_TYPE_DOUBLE; type <= FG_TYPE_SINT64; type++) {
        char name[] = "one_a", many[] = "many_a";
        const char *type_name = type == FG_TYPE_ENUM                               ? ".t.Color"
                                : type == FG_TYPE_MESSAGE || type == FG_TYPE_GROUP ? ".t.All"
                                                                                   : NULL;
        name[4] = many[5] = (char)('a' + type - 1);
        build_field(&all, name, type, BUILD_ONE, type, type_name);
        build_field(&all, many, 20 + type, BUILD_MANY, type, type_name);
    }
    build_map(&all, "labels", "LabelsEntry", ".t.All.LabelsEntry", 41, FG_TYPE_STRING, FG_TYPE_STRING, NULL);
    build_map(&all, "by_number", "ByNumberEntry", ".t.All.ByNumberEntry", 42, FG_TYPE_SINT32, FG_TYPE_MESSAGE,
              ".t.All");
    build_map(&all, "by_flag", "ByFlagEntry", ".t.All.ByFlagEntry", 43, FG_TYPE_BOOL, FG_TYPE_ENUM, ".t.Color");
    build_field(&all, "pick_number", 51, BUILD_MEMBER, FG_TYPE_INT32, NULL);
    build_field(&all, "pick_text", 52, BUILD_MEMBER, FG_TYPE_STRING, NULL);
    build_field(&all, "pick_all", 53, BUILD_MEMBER, FG_TYPE_MESSAGE, ".t.All");
    build_field(&all, "maybe", 61, BUILD_OPTIONAL, FG_TYPE_INT32, NULL);
    build_field(&all, "when", 71, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Timestamp");
    build_field(&all, "wait", 72, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Duration");
    build_field(&all, "mask", 73, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.FieldMask");
    build_field(&all, "tree", 74, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Struct");
    build_field(&all, "value", 75, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Value");
    build_field(&all, "any", 77, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Any");
    build_field(&all, "boxed", 83, BUILD_ONE, FG_TYPE_MESSAGE, ".google.protobuf.Int64Value");
    build_field(&all, "far", 100000, BUILD_ONE, FG_TYPE_INT32, NULL);
    build_oneof(&all, "pick");
    build_oneof(&all, "_maybe");
    build_in(file, 4, &all);
}

/* google.api.http {post: "/v1/x" body: "*"} */
#define BUILD_HTTP_RULE "\x22\x05/v1/x\x3a\x01*"

static inline void build_service(struct built *file)
{
    struct built service = {0}, method = {0}, options = {0};

    build_number(&options, 34, FG_NO_SIDE_EFFECTS);
    build_text(&options, 72295728, BUILD_HTTP_RULE);
    build_text(&method, 1, "Get");
    build_text(&method, 2, ".t.All");
    build_text(&method, 3, "All");
    build_in(&method, 4, &options);
    build_text(&service, 1, "Things");
    build_in(&service, 2, &method);
    method.len = 0;
    build_text(&method, 1, "Watch");
    build_text(&method, 2, ".t.All");
    build_text(&method, 3, ".google.protobuf.Timestamp");
    build_number(&method, 6, 1);
    build_in(&service, 2, &method);
    build_in(file, 6, &service);
}

static inline void build_set(struct built *set)
{
    struct built file = {0};

    set->len = 0;
    build_well_known(set);
    build_text(&file, 1, "t.proto");
    build_text(&file, 2, "t");
    build_text(&file, 12, "proto3");
    build_enum(&file, 5, "Color", "NONE", "RED");
    build_all(&file);
    build_service(&file);
    build_in(set, 1, &file);
}

#endif
