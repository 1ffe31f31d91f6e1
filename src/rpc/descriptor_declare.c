/* The first pass over a set: every message and enum gets its name, services are noted. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/descriptor_int.h"

int fg_builder_fail(struct fg_builder *builder, struct fg_str where, const char *format, ...)
{
    char *text = builder->error->text;
    size_t cap = sizeof builder->error->text;
    int len = snprintf(text, cap, "%.*s: ", (int)FG_MIN(where.len, 100), where.p);
    va_list args;

    va_start(args, format);
    if (len >= 0 && (size_t)len < cap)
        vsnprintf(text + len, cap - (size_t)len, format, args);
    va_end(args);
    /* Names are the peer's bytes: the error is to be shown on one line. */
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
    }
    return -1;
}

/* Names have no dots, controls, quotes or bytes beyond ASCII (protobuf.dev/reference/protobuf/proto3-spec). */
static bool is_name(struct fg_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(c >= '0' && c <= '9' && i > 0))
            return false;
    }
    return name.len > 0;
}

int fg_builder_full_name(struct fg_builder *builder, struct fg_str scope, struct fg_str name, struct fg_str *out)
{
    size_t dot = scope.len > 0;
    size_t len = scope.len + dot + name.len;

    if (!is_name(name))
        return fg_builder_fail(builder, scope, "\"%.*s\" is no name", (int)FG_MIN(name.len, 100), name.p);
    if (len > FG_DESCRIPTORS_MAX_NAME)
        return fg_builder_fail(builder, scope, "the full name of %.*s has more than %u bytes",
                               (int)FG_MIN(name.len, 100), name.p, FG_DESCRIPTORS_MAX_NAME);
    char *p = fg_descriptors_alloc(builder->set, len);
    memcpy(p, scope.p, scope.len);
    if (dot)
        p[scope.len] = '.';
    memcpy(p + scope.len + dot, name.p, name.len);
    *out = (struct fg_str){p, len};
    return 0;
}

/* ---- features ---- */

/* FeatureSet: field_presence 1 {EXPLICIT 1, IMPLICIT 2, LEGACY_REQUIRED 3}, enum_type 2 {OPEN 1, CLOSED 2},
 * repeated_field_encoding 3 {PACKED 1, EXPANDED 2}, message_encoding 5 {LENGTH_PREFIXED 1, DELIMITED 2}. */
void fg_features_read(struct fg_features *features, struct fg_str raw)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_VARINT)
            continue;
        if (field.number == 1)
            features->presence = field.value != 2;
        else if (field.number == 2)
            features->closed_enums = field.value == 2;
        else if (field.number == 3)
            features->packed = field.value == 1;
        else if (field.number == 5)
            features->delimited = field.value == 2;
    }
}

/* Of FileOptions (features 50), MessageOptions (12) or EnumOptions (7). */
static void features_of_options(struct fg_features *features, struct fg_str raw, uint32_t number)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == number && field.type == FG_WIRE_BYTES)
            fg_features_read(features, field.bytes);
    }
}

/* ---- types ---- */

static struct fg_pending *add_pending(struct fg_builder *builder)
{
    if (builder->types_len == builder->types_cap) {
        builder->types_cap = builder->types_cap ? 2 * builder->types_cap : 32;
        builder->types = fg_realloc(builder->types, builder->types_cap * sizeof *builder->types);
    }
    return &builder->types[builder->types_len++];
}

/* The name (field 1) of a DescriptorProto, EnumDescriptorProto ... */
static int name_of(struct fg_builder *builder, struct fg_str scope, struct fg_str raw, struct fg_str *name)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;

    *name = FG_STR("");
    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            *name = field.bytes;
    }
    return wire.failed ? fg_builder_fail(builder, scope, "a declaration is no valid protobuf") : 0;
}

static int add_symbol(struct fg_builder *builder, struct fg_str name, enum fg_symbol_kind kind, const void *what)
{
    if (fg_symbols_find(&builder->set->symbols, name))
        return fg_builder_fail(builder, name, "declared twice");
    fg_symbols_add(&builder->set->symbols, name, kind, what);
    return 0;
}

static int declare_type(struct fg_builder *builder, struct fg_str scope, struct fg_str raw, bool is_enum,
                        struct fg_features features, struct fg_str *full_name)
{
    struct fg_str name;

    if (name_of(builder, scope, raw, &name) < 0 || fg_builder_full_name(builder, scope, name, full_name) < 0)
        return -1;
    if (builder->types_len == FG_DESCRIPTORS_MAX_TYPES)
        return fg_builder_fail(builder, *full_name, "more than %u types", FG_DESCRIPTORS_MAX_TYPES);
    struct fg_pending *pending = add_pending(builder);
    *pending = (struct fg_pending){.raw = raw, .features = features};
    if (is_enum) {
        pending->enumeration = fg_descriptors_alloc(builder->set, sizeof *pending->enumeration);
        pending->enumeration->full_name = *full_name;
        return add_symbol(builder, *full_name, FG_SYMBOL_ENUM, pending->enumeration);
    }
    pending->message = fg_descriptors_alloc(builder->set, sizeof *pending->message);
    pending->message->full_name = *full_name;
    return add_symbol(builder, *full_name, FG_SYMBOL_MESSAGE, pending->message);
}

/* DescriptorProto: nested_type 3, enum_type 4, options 7. */
static int declare_message(struct fg_builder *builder, struct fg_str scope, struct fg_str raw,
                           struct fg_features features, int depth)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    struct fg_str full_name, ignored;
    int rc = 0;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == 7 && field.type == FG_WIRE_BYTES)
            features_of_options(&features, field.bytes, 12);
    }
    if (declare_type(builder, scope, raw, false, features, &full_name) < 0)
        return -1;
    if (depth == FG_DESCRIPTORS_MAX_DEPTH)
        return fg_builder_fail(builder, full_name, "nested more than %d deep", FG_DESCRIPTORS_MAX_DEPTH);
    wire = fg_wire_of(raw);
    while (rc == 0 && fg_wire_next(&wire, &field)) {
        if (field.type == FG_WIRE_BYTES && field.number == 3)
            rc = declare_message(builder, full_name, field.bytes, features, depth + 1);
        else if (field.type == FG_WIRE_BYTES && field.number == 4)
            rc = declare_type(builder, full_name, field.bytes, true, features, &ignored);
    }
    return rc;
}

/* ---- files ---- */

struct file {
    struct fg_str name, package;
    struct fg_features features;
};

static void add_service(struct fg_builder *builder, struct fg_str raw, struct fg_str package)
{
    if (builder->services_len == builder->services_cap) {
        builder->services_cap = builder->services_cap ? 2 * builder->services_cap : 8;
        builder->services = fg_realloc(builder->services, builder->services_cap * sizeof *builder->services);
    }
    builder->services[builder->services_len++] = (struct fg_pending_service){raw, package};
}

/* FileDescriptorProto: name 1, package 2, options 8, syntax 12, edition 14. */
static int read_file(struct fg_builder *builder, struct fg_str raw, struct file *file)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    struct fg_str options = FG_STR(""), syntax = FG_STR("proto2");

    *file = (struct file){FG_STR(""), FG_STR(""), {0}};
    while (fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number == 1)
            file->name = field.bytes;
        else if (field.number == 2)
            file->package = field.bytes;
        else if (field.number == 8)
            options = field.bytes;
        else if (field.number == 12)
            syntax = field.bytes;
    }
    if (wire.failed)
        return fg_builder_fail(builder, file->name, "a file is no valid protobuf");
    if (file->package.len > FG_DESCRIPTORS_MAX_NAME)
        return fg_builder_fail(builder, file->name, "the package has more than %u bytes", FG_DESCRIPTORS_MAX_NAME);
    if (fg_str_eq(syntax, FG_STR("proto2")) || syntax.len == 0)
        file->features = (struct fg_features){.presence = true, .closed_enums = true};
    else if (fg_str_eq(syntax, FG_STR("proto3")))
        file->features = (struct fg_features){.packed = true};
    else if (fg_str_eq(syntax, FG_STR("editions")))
        file->features = (struct fg_features){.presence = true, .packed = true};
    else
        return fg_builder_fail(builder, file->name, "unknown syntax");
    features_of_options(&file->features, options, 50);
    return 0;
}

/* FileDescriptorProto: message_type 4, enum_type 5, service 6. */
static int declare_file(struct fg_builder *builder, struct fg_str raw)
{
    struct fg_wire wire = fg_wire_of(raw);
    struct fg_wire_field field;
    struct fg_str ignored;
    struct file file;
    int rc = read_file(builder, raw, &file);

    /* File names share the table with types and methods; the colon keeps them apart. */
    if (rc < 0)
        return rc;
    char *key = fg_descriptors_alloc(builder->set, file.name.len + 1);
    key[0] = ':';
    memcpy(key + 1, file.name.p, file.name.len);
    struct fg_str name = {key, file.name.len + 1};
    if (fg_symbols_find(&builder->set->symbols, name))
        return 0;
    fg_symbols_add(&builder->set->symbols, name, FG_SYMBOL_FILE, NULL);
    while (rc == 0 && fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number == 4)
            rc = declare_message(builder, file.package, field.bytes, file.features, 0);
        else if (field.number == 5)
            rc = declare_type(builder, file.package, field.bytes, true, file.features, &ignored);
        else if (field.number == 6)
            add_service(builder, field.bytes, file.package);
    }
    return rc;
}

int fg_builder_declare(struct fg_builder *builder, struct fg_str set)
{
    struct fg_wire wire = fg_wire_of(set);
    struct fg_wire_field field;

    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES && declare_file(builder, field.bytes) < 0)
            return -1;
    }
    return wire.failed ? fg_builder_fail(builder, FG_STR("descriptor set"), "no valid protobuf") : 0;
}
