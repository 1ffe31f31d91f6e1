/* Inside of protobuf to JSON. */
#ifndef FG_RPC_PROTO_JSON_PRINT_H
#define FG_RPC_PROTO_JSON_PRINT_H

#include "rpc/proto_json.h"
#include "rpc/proto_json_span.h"

struct fg_joined;

/* Where the printer is, for errors. */
struct fg_print_step {
    const struct fg_field *field;
    uint32_t index; /* of the element of a repeated field */
};

struct fg_printer {
    const struct fg_proto_to_json *how;
    struct fg_json_out *out;
    struct fg_proto_json_error *error;
    struct fg_joined *joined; /* messages that came in pieces */
    size_t joined_len;        /* pieces of them */
    uint64_t work, work_max;  /* occurrences seen in further passes */
    uint32_t depth;
    size_t steps_len;
    struct fg_print_step steps[2 * FG_PROTO_JSON_DEPTH + 4];
    /* What the surveys of the messages that are open have found: a stack. */
    uint64_t *found;
    size_t found_len, found_cap;
    uint64_t found_first[128];
};

/* Each returns 0, or -1 with the printer's error. */
int fg_print_fail(struct fg_printer *p, enum fg_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fg_print_malformed(struct fg_printer *p); /* the input is no protobuf */

/* The message's JSON, whatever form it has. */
int fg_print_message(struct fg_printer *p, const struct fg_message *type, struct fg_span span);
/* The fields of an object, without braces; FIRST: nothing stands before them. */
int fg_print_fields(struct fg_printer *p, const struct fg_message *type, struct fg_span span, bool first);
/* One element. */
int fg_print_value(struct fg_printer *p, const struct fg_occurrence *occurrence);
int fg_print_default(struct fg_printer *p, const struct fg_field *field); /* of one element */
int fg_print_entry(struct fg_printer *p, const struct fg_occurrence *occurrence);
/* Every occurrence of a repeated field: [...], or {...} of a map. */
int fg_print_list(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                  const struct fg_field *field);

/* The value that FIELD of the message has: the last one; merged, if it is a message; none, if another member of its
 * oneof came later. 1, 0: none, -1. */
int fg_print_settle(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                    const struct fg_field *field, struct fg_occurrence *out);

int fg_print_well_known(struct fg_printer *p, const struct fg_message *type, struct fg_span span);

#endif
