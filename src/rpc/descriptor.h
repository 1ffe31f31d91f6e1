/* What messages and methods look like: a google.protobuf.FileDescriptorSet compiled into tables, from a file of `protoc
 * --include_imports --descriptor_set_out` or from the reflection service.
 *
 * A set is immutable once it is made and reference counted across threads: who holds a reference may keep every pointer
 * into it. Descriptors come from peers: any bytes are handled, and what they can size is bounded below. */
#ifndef FG_RPC_DESCRIPTOR_H
#define FG_RPC_DESCRIPTOR_H

#include "base/bytes.h"

#define FG_DESCRIPTORS_MAX_BYTES (32u << 20) /* of a serialized set */
#define FG_DESCRIPTORS_MAX_TYPES 65536u      /* messages, enums; and as many methods */
#define FG_DESCRIPTORS_MAX_NAME  512u        /* bytes of a full name */
#define FG_DESCRIPTORS_MAX_DEPTH 32          /* messages declared inside messages */

struct fg_message;
struct fg_enum;

/* Numbered as google.protobuf.FieldDescriptorProto.Type. */
enum fg_field_type {
    FG_TYPE_DOUBLE = 1,
    FG_TYPE_FLOAT,
    FG_TYPE_INT64,
    FG_TYPE_UINT64,
    FG_TYPE_INT32,
    FG_TYPE_FIXED64,
    FG_TYPE_FIXED32,
    FG_TYPE_BOOL,
    FG_TYPE_STRING,
    FG_TYPE_GROUP,
    FG_TYPE_MESSAGE,
    FG_TYPE_BYTES,
    FG_TYPE_UINT32,
    FG_TYPE_ENUM,
    FG_TYPE_SFIXED32,
    FG_TYPE_SFIXED64,
    FG_TYPE_SINT32,
    FG_TYPE_SINT64,
};

/* Wire types (protobuf.dev/programming-guides/encoding). */
enum fg_wire_type { FG_WIRE_VARINT, FG_WIRE_64, FG_WIRE_BYTES, FG_WIRE_GROUP, FG_WIRE_GROUP_END, FG_WIRE_32 };

#define FG_FIELD_NO_ONEOF UINT32_MAX

struct fg_field {
    struct fg_str name, json_name;
    struct fg_str json_key; /* json_name as it is written: quoted, escaped, with the colon */
    uint32_t number;
    uint32_t index;                    /* in the message's fields */
    uint32_t oneof;                    /* of a declared oneof, 0..oneofs_len-1; FG_FIELD_NO_ONEOF: none */
    uint8_t type;                      /* enum fg_field_type */
    uint8_t wire_type;                 /* enum fg_wire_type of one element */
    bool repeated;                     /* maps too */
    bool packed;                       /* how it is written; both ways are read */
    bool map;                          /* `message` is the entry: fields 1 (key) and 2 (value) */
    bool presence;                     /* absent differs from default: a message, a oneof's member, optional, proto2 */
    const struct fg_message *message;  /* of messages and groups */
    const struct fg_enum *enumeration; /* of enums */
};

/* Messages whose JSON is not an object of their fields. Only those that have the fields which the name promises. */
enum fg_well_known {
    FG_NOT_WELL_KNOWN,
    FG_ANY,
    FG_TIMESTAMP,
    FG_DURATION,
    FG_FIELD_MASK,
    FG_STRUCT,
    FG_VALUE,
    FG_LIST_VALUE,
    FG_WRAPPER, /* DoubleValue ... BytesValue: the one field's value */
};

struct fg_message {
    struct fg_str full_name;       /* "pkg.Order.Item" */
    const struct fg_field *fields; /* sorted by number */
    uint32_t fields_len;
    uint32_t oneofs_len; /* declared ones, without those of `optional` */
    uint8_t well_known;  /* enum fg_well_known */
    bool map_entry;
    /* Indexes for the functions below. */
    const uint32_t *by_name; /* open addressing: 0 empty, else index + 1 */
    uint32_t by_name_mask;
    uint32_t dense_len; /* fields[n - 1] has number n for n <= dense_len */
};

struct fg_enum_value {
    struct fg_str name;
    int32_t number;
};

struct fg_enum {
    struct fg_str full_name;
    const struct fg_enum_value *values; /* sorted by number; of aliases the one declared first comes first */
    uint32_t values_len;                /* at least 1 */
    int32_t first;                      /* the number declared first: the default */
    bool null_value;                    /* google.protobuf.NullValue: null in JSON */
    bool closed;                        /* no numbers but the declared ones (proto2) */
    const uint32_t *by_name;
    uint32_t by_name_mask;
};

/* Numbered as google.protobuf.MethodOptions.IdempotencyLevel. */
enum fg_idempotency { FG_IDEMPOTENCY_UNKNOWN, FG_NO_SIDE_EFFECTS, FG_IDEMPOTENT };

struct fg_method {
    struct fg_str path; /* "/pkg.Service/Method" */
    const struct fg_message *input, *output;
    bool client_streaming, server_streaming;
    uint8_t idempotency; /* enum fg_idempotency */
    struct fg_str http;  /* the serialized google.api.HttpRule of the option google.api.http; empty: none */
};

struct fg_descriptors;

/* Why a set is refused: one line that names the declaration. */
struct fg_descriptors_error {
    char text[256];
};

/* Compiles a serialized FileDescriptorSet, which is copied. A file that comes twice counts once. Returns 0 and *OUT
 * with one reference, or -1 and ERROR. */
int fg_descriptors_new(const void *set, size_t len, struct fg_descriptors **out, struct fg_descriptors_error *error)
    __attribute__((warn_unused_result));
/* The same from a file. */
int fg_descriptors_load(const char *path, struct fg_descriptors **out, struct fg_descriptors_error *error)
    __attribute__((warn_unused_result));
struct fg_descriptors *fg_descriptors_ref(struct fg_descriptors *descriptors);
void fg_descriptors_unref(struct fg_descriptors *descriptors); /* NULL is allowed */

/* NULL: none of that name. PATH is "/pkg.Service/Method", FULL_NAME "pkg.Order.Item". */
const struct fg_method *fg_descriptors_method(const struct fg_descriptors *descriptors, struct fg_str path);
/* The same, of a set that may be NULL. */
static inline const struct fg_method *fg_descriptors_method_of(const struct fg_descriptors *descriptors,
                                                               struct fg_str path)
{
    return descriptors ? fg_descriptors_method(descriptors, path) : NULL;
}
const struct fg_message *fg_descriptors_message(const struct fg_descriptors *descriptors, struct fg_str full_name);
const struct fg_enum *fg_descriptors_enum(const struct fg_descriptors *descriptors, struct fg_str full_name);
/* All methods, in the order of the set. */
const struct fg_method *const *fg_descriptors_methods(const struct fg_descriptors *descriptors, size_t *len);

const struct fg_field *fg_message_field_slow(const struct fg_message *message, uint32_t number);

/* NULL: unknown. */
static inline const struct fg_field *fg_message_field(const struct fg_message *message, uint32_t number)
{
    if (number - 1 < message->dense_len)
        return &message->fields[number - 1];
    return fg_message_field_slow(message, number);
}

/* By JSON name or by original name; NULL: unknown. */
const struct fg_field *fg_message_field_named(const struct fg_message *message, struct fg_str name);
/* NULL: unknown. */
const struct fg_enum_value *fg_enum_value(const struct fg_enum *enumeration, int32_t number);
const struct fg_enum_value *fg_enum_value_named(const struct fg_enum *enumeration, struct fg_str name);

/* "order_id" -> "orderId", as protoc makes JSON names. OUT has room for name.len bytes; the length written. */
size_t fg_json_name_of(struct fg_str name, char *out);

#endif
