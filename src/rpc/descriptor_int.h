/* Inside of the descriptors: how a set is built. First all types are declared, so that they can refer to each other in
 * any order; then each is filled in. */
#ifndef FG_RPC_DESCRIPTOR_INT_H
#define FG_RPC_DESCRIPTOR_INT_H

#include <stdatomic.h>

#include "rpc/descriptor.h"
#include "rpc/descriptor_wire.h"

enum fg_symbol_kind { FG_SYMBOL_FILE, FG_SYMBOL_MESSAGE, FG_SYMBOL_ENUM, FG_SYMBOL_METHOD };

struct fg_symbol {
    struct fg_str name;
    const void *what;
    uint8_t kind; /* enum fg_symbol_kind */
};

/* Open addressing, at most half full. */
struct fg_symbols {
    struct fg_symbol *slots;
    size_t cap, len;
};

struct fg_descriptors_block;

struct fg_descriptors {
    atomic_uint refs;
    char *bytes; /* the serialized set; names point into it */
    struct fg_descriptors_block *blocks;
    char *at, *end;
    struct fg_symbols symbols;
    const struct fg_method **methods;
    size_t methods_len, methods_cap;
    struct fg_http_router *http; /* NULL: no method has a rule */
    struct fg_descriptors_error http_problem;
};

/* What is inherited from file to message to field (descriptor.proto, FeatureSet). proto2 and proto3 are two such sets.
 */
struct fg_features {
    bool presence, packed, closed_enums, delimited;
};

/* A declared type that waits to be filled in. */
struct fg_pending {
    struct fg_str raw; /* DescriptorProto or EnumDescriptorProto */
    struct fg_message *message;
    struct fg_enum *enumeration;
    struct fg_features features;
};

struct fg_pending_service {
    struct fg_str raw, package;
};

struct fg_builder {
    struct fg_descriptors *set;
    struct fg_descriptors_error *error;
    struct fg_pending *types;
    size_t types_len, types_cap;
    struct fg_pending_service *services;
    size_t services_len, services_cap;
    size_t fields; /* and values, of all types */
};

#define FG_DESCRIPTORS_MAX_FIELDS (1u << 20)

void *fg_descriptors_alloc(struct fg_descriptors *set, size_t bytes) __attribute__((returns_nonnull)); /* zeroed */
const struct fg_symbol *fg_symbols_find(const struct fg_symbols *symbols, struct fg_str name);
void fg_symbols_add(struct fg_symbols *symbols, struct fg_str name, enum fg_symbol_kind kind, const void *what);

/* Each returns 0, or -1 with the builder's error. */
int fg_builder_fail(struct fg_builder *builder, struct fg_str where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fg_builder_declare(struct fg_builder *builder, struct fg_str set);
int fg_builder_fill_message(struct fg_builder *builder, const struct fg_pending *pending);
int fg_builder_fill_enum(struct fg_builder *builder, const struct fg_pending *pending);
int fg_builder_fill_service(struct fg_builder *builder, const struct fg_pending_service *service);

/* SCOPE and NAME with a dot between, in the set; -1: too long or no name. */
int fg_builder_full_name(struct fg_builder *builder, struct fg_str scope, struct fg_str name, struct fg_str *out);
/* The type that NAME means inside SCOPE; NULL: there is none. */
const struct fg_symbol *fg_builder_resolve(const struct fg_builder *builder, struct fg_str scope, struct fg_str name);
void fg_features_read(struct fg_features *features, struct fg_str raw);

/* Is it what protoc makes for a map? */
bool fg_map_entry_valid(const struct fg_message *message);
/* Which well-known type the filled-in message is. Struct and Value refer to each other: not one without the other. */
enum fg_well_known fg_well_known_of(const struct fg_message *message);

#endif
