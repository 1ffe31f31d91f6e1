/* protobuf <-> proto3 JSON (protobuf.dev/programming-guides/json), through the tables of descriptor.h: no tree is
 * built, and what a conversion keeps is bounded by the depth of the message, not by its size.
 *
 * Messages come as parts that lie anywhere in memory (slices of DATA); they are not joined. */
#ifndef FG_RPC_PROTO_JSON_H
#define FG_RPC_PROTO_JSON_H

#include "base/bytes.h"
#include "rpc/descriptor.h"
#include "rpc/json_write.h"
#include "rpc/proto_json_out.h"
#include "rpc/status.h"

#define FG_PROTO_JSON_DEPTH 100 /* messages inside messages, as protobuf's own readers allow by default */

struct fg_proto_json_error {
    enum fg_status code; /* INVALID_ARGUMENT; RESOURCE_EXHAUSTED: larger than the caller allows */
    int line, column;    /* in the JSON, from 1, in bytes; 0: the input is protobuf */
    char path[256];      /* such as items[3].price or labels["a"].x; "" at the top */
    char message[160];   /* printable ASCII */
};

/* ---- protobuf to JSON ---- */

struct fg_proto_to_json {
    const struct fg_descriptors *descriptors; /* for Any; NULL: an Any is an error */
    bool emit_defaults;                       /* fields without presence even when they have their default */
    bool original_names;                      /* order_id, not orderId */
    bool enum_numbers;                        /* 2, not "SHIPPED" */
};

/* Writes the message that is the concatenation of PARTS to OUT and flushes it. 0, or -1 and ERROR; then what was
 * written is to be dropped.
 *
 * Fields come in the order of their first occurrence. What protobuf lets a writer do is understood: the last of several
 * values wins, so does the last member of a oneof; messages that come in pieces are merged; elements of a repeated
 * field are collected from wherever they are. For that each message is first surveyed, without looking into what it
 * nests, and only fields that are found scattered cost further passes over that message; how many in all is bounded by
 * the size of the input (INVALID_ARGUMENT beyond). Entries of a map are written as they come: a key that the wire has
 * twice is twice in the JSON, the valid one last. */
int fg_proto_to_json(const struct fg_proto_to_json *how, const struct fg_message *type, const struct fg_str *parts,
                     size_t parts_len, struct fg_json_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

/* The same for one field of it (google.api.http's response_body): its value alone, its default where it is absent. */
int fg_proto_to_json_field(const struct fg_proto_to_json *how, const struct fg_message *type,
                           const struct fg_field *field, const struct fg_str *parts, size_t parts_len,
                           struct fg_json_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

/* ---- JSON to protobuf ---- */

struct fg_json_to_proto {
    const struct fg_descriptors *descriptors; /* for Any; NULL: an Any is an error */
    bool ignore_unknown;                      /* fields and names of enums; else they are errors */
};

/* Reads PARTS, one JSON value and white space, as a message of TYPE and appends it to OUT. 0, or -1 and ERROR; then OUT
 * is to be cleaned up.
 *
 * One pass, but for an Any whose "@type" does not come first: then what stands before it is read twice. JSON and
 * original names are understood; a field that comes twice, two members of a oneof, a number that does not fit, and
 * anything that RFC 8259 does not allow are errors. Entries of a map are written as they come: of a key that comes
 * twice the last one counts, as protobuf has it. Fields that have their default and no presence are not written. */
int fg_json_to_proto(const struct fg_json_to_proto *how, const struct fg_message *type, const struct fg_str *parts,
                     size_t parts_len, struct fg_proto_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

/* The same for one field (google.api.http's `body: "field"`): the JSON is its value. Several such pieces after each
 * other are one message. */
int fg_json_to_proto_field(const struct fg_json_to_proto *how, const struct fg_field *field, const struct fg_str *parts,
                           size_t parts_len, struct fg_proto_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

/* One value as text, without quotes, as paths and queries have it: of numbers, booleans, enums, strings, bytes, and of
 * messages whose JSON is a string or such a value. Of a repeated field one element. */
int fg_text_to_proto_field(const struct fg_json_to_proto *how, const struct fg_field *field, struct fg_str text,
                           struct fg_proto_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

#endif
