/* Inside of JSON to protobuf. */
#ifndef FG_RPC_PROTO_JSON_PARSE_H
#define FG_RPC_PROTO_JSON_PARSE_H

#include "rpc/json_read.h"
#include "rpc/proto_json.h"

/* Where the parser is, for errors. */
struct fg_parse_step {
    const struct fg_field *field; /* NULL: an unknown one, or an element of the one before; see `text` */
    bool element;                 /* of a list: `index`; of a map: its key, `text` */
    uint32_t index;
    uint8_t text_len;
    char text[48]; /* the beginning of a name or key */
};

#define FG_PARSE_STEPS (3 * FG_PROTO_JSON_DEPTH + 8)

struct fg_parser {
    const struct fg_json_to_proto *how;
    struct fg_json_in in;
    struct fg_proto_out *out;
    struct fg_proto_json_error *error;
    uint32_t depth;
    bool bare;      /* the input is text without quotes */
    bool left_out;  /* the last value was not written: an enum's unknown name that is ignored */
    uint64_t ahead; /* bytes read ahead for "@type" */
    /* Which fields and oneofs of the messages that are open have been seen: a stack. */
    uint64_t *seen;
    size_t seen_len, seen_cap;
    size_t steps_len;
    uint64_t seen_first[128];
    struct fg_parse_step steps[FG_PARSE_STEPS];
};

/* Each returns 0, or -1 with the parser's error. */
int fg_parse_fail(struct fg_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fg_parse_fault(struct fg_parser *p); /* the tokenizer's fault becomes the error */

void fg_parse_enter(struct fg_parser *p, const struct fg_field *field, struct fg_str name);
void fg_parse_enter_index(struct fg_parser *p, uint32_t index);
void fg_parse_enter_key(struct fg_parser *p); /* its text follows */
void fg_parse_extend_key(struct fg_parser *p, struct fg_str piece);
void fg_parse_leave(struct fg_parser *p);

/* The content of a message, whatever its JSON is. */
int fg_parse_message(struct fg_parser *p, const struct fg_message *type);
/* From inside an object to its end. ANY: "@type" is passed over. */
int fg_parse_members(struct fg_parser *p, const struct fg_message *type, bool any);
/* A field whose value comes next. */
int fg_parse_field(struct fg_parser *p, const struct fg_field *field);
/* [...], and {...} of a map. */
int fg_parse_list(struct fg_parser *p, const struct fg_field *field);
int fg_parse_map(struct fg_parser *p, const struct fg_field *field);

/* One value of FIELD with its tag, if TAGGED; left out if it is the default, unless KEEP. */
int fg_parse_value(struct fg_parser *p, const struct fg_field *field, bool tagged, bool keep);
/* The key of a map's entry, with its tag; it goes into the step that has been entered. */
int fg_parse_key(struct fg_parser *p, const struct fg_field *field);
/* Would null be a value of the field, and not its absence? */
bool fg_parse_takes_null(const struct fg_field *field);
/* The bits of a double. */
int fg_parse_double(struct fg_parser *p, uint64_t *bits);

int fg_parse_well_known(struct fg_parser *p, const struct fg_message *type);

/* A string, or in bare mode all of the input; *TEXT.p == NULL: it is longer than CAP. */
int fg_parse_text(struct fg_parser *p, char *buffer, size_t cap, struct fg_str *text);
/* The pieces of it: fg_json_begin_string and fg_json_piece. */
int fg_parse_begin_string(struct fg_parser *p);
int fg_parse_piece(struct fg_parser *p, struct fg_str *piece);

#endif
