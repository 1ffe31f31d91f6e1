/* JSON to protobuf: the well-known types. */
#include "rpc/proto_json_parse.h"
#include "rpc/proto_json_time.h"

#define AHEAD_FACTOR 8 /* "@type" may be looked for over so many times the size of the input */

static int parse_time(struct fg_parser *p, const struct fg_message *type)
{
    bool timestamp = type->well_known == FG_TIMESTAMP;
    char buffer[64];
    struct fg_str text;
    int64_t seconds;
    int32_t nanos;

    if (fg_parse_text(p, buffer, sizeof buffer, &text) < 0)
        return -1;
    if (!text.p || (timestamp ? fg_timestamp_parse(text, &seconds, &nanos) : fg_duration_parse(text, &seconds, &nanos)))
        return fg_parse_fail(p, timestamp ? "expected a time like 2024-01-31T12:00:00.5Z, of the years 1 to 9999"
                                          : "expected a duration like 1.5s");
    if (seconds != 0) {
        fg_proto_put_varint(p->out, 1 << 3 | FG_WIRE_VARINT);
        fg_proto_put_varint(p->out, (uint64_t)seconds);
    }
    if (nanos != 0) {
        fg_proto_put_varint(p->out, 2 << 3 | FG_WIRE_VARINT);
        fg_proto_put_varint(p->out, (uint64_t)(int64_t)nanos);
    }
    return 0;
}

/* ---- FieldMask: "user.displayName,photo" is two paths ---- */

static bool take_path_byte(struct fg_parser *p, const struct fg_field *field, char c, size_t *len)
{
    bool upper = c >= 'A' && c <= 'Z';

    if (c == ',') {
        bool whole = *len > 0;
        if (whole)
            fg_proto_end(p->out, true);
        *len = 0;
        return whole;
    }
    if (c == '_' || (*len == 0 && !fg_proto_begin(p->out, field->number)))
        return false;
    if (upper)
        fg_proto_put_bytes(p->out, "_", 1);
    c = (char)(upper ? c - 'A' + 'a' : c);
    fg_proto_put_bytes(p->out, &c, 1);
    ++*len;
    return true;
}

static int parse_field_mask(struct fg_parser *p, const struct fg_message *type)
{
    struct fg_str piece;
    size_t len = 0, paths = 0;
    int rc = fg_parse_begin_string(p);

    while (rc == 0 && (rc = fg_parse_piece(p, &piece)) > 0) {
        for (size_t i = 0; i < piece.len; i++) {
            paths += piece.p[i] == ',';
            if (!take_path_byte(p, &type->fields[0], piece.p[i], &len))
                return fg_parse_fail(p, "expected paths like user.displayName,photo");
        }
        rc = 0;
    }
    if (rc < 0)
        return rc;
    if (len == 0 && paths > 0)
        return fg_parse_fail(p, "a comma before the end");
    if (len > 0)
        fg_proto_end(p->out, true);
    return 0;
}

/* ---- Value ---- */

static int parse_any_value(struct fg_parser *p, const struct fg_message *type)
{
    const struct fg_field *fields = type->fields; /* null, number, string, bool, struct, list */
    int c = fg_json_peek(&p->in);

    switch (c) {
    case 'n':
        return fg_parse_value(p, &fields[0], true, true);
    case '"':
        return fg_parse_value(p, &fields[2], true, true);
    case 't':
    case 'f':
        return fg_parse_value(p, &fields[3], true, true);
    case '{':
        return fg_parse_value(p, &fields[4], true, true);
    case '[':
        return fg_parse_value(p, &fields[5], true, true);
    default:
        return fg_parse_value(p, &fields[1], true, true);
    }
}

/* ---- Any ---- */

/* Looks for "@type" from inside the object on, and comes back. 1: found; 0: the object is empty. */
static int find_type(struct fg_parser *p, char *buffer, size_t cap, struct fg_str *url)
{
    struct fg_json_in before = p->in;
    char key[16];
    struct fg_str name;
    bool first = true, found = false;
    uint64_t members = 0;

    for (; !found && fg_json_more(&p->in, '}', &first); members++) {
        if (!fg_json_text(&p->in, key, sizeof key, &name) || !fg_json_take(&p->in, ':'))
            return fg_parse_fault(p);
        found = name.p && fg_str_eq(name, FG_STR("@type"));
        if (found ? !fg_json_text(&p->in, buffer, cap, url) : !fg_json_skip(&p->in, FG_PROTO_JSON_DEPTH))
            return fg_parse_fault(p);
    }
    if (p->in.fault)
        return fg_parse_fault(p);
    if (members > 1)
        p->ahead += fg_span_len(&before.span) - fg_span_len(&p->in.span);
    if (p->ahead > AHEAD_FACTOR * p->in.total)
        return fg_parse_fail(p, "\"@type\" has to come first");
    if (!found && members > 0)
        return fg_parse_fail(p, "an Any needs \"@type\"");
    if (found)
        p->in = before;
    return found;
}

/* Of an Any with a well-known type: {"@type": ..., "value": ...}. */
static int parse_boxed(struct fg_parser *p, const struct fg_message *inner)
{
    struct fg_str name;
    char key[16];
    bool first = true, type_seen = false, value_seen = false;

    while (fg_json_more(&p->in, '}', &first)) {
        if (!fg_json_text(&p->in, key, sizeof key, &name) || !fg_json_take(&p->in, ':'))
            return fg_parse_fault(p);
        bool is_type = name.p && fg_str_eq(name, FG_STR("@type"));
        bool is_value = name.p && fg_str_eq(name, FG_STR("value"));
        if ((is_type && type_seen) || (is_value && value_seen))
            return fg_parse_fail(p, "the field comes twice");
        if (!is_type && !is_value && !p->how->ignore_unknown)
            return fg_parse_fail(p, "an Any of a well-known type has but \"@type\" and \"value\"");
        type_seen |= is_type;
        value_seen |= is_value;
        if (is_value && fg_parse_message(p, inner) < 0)
            return -1;
        if (!is_value && !fg_json_skip(&p->in, FG_PROTO_JSON_DEPTH))
            return fg_parse_fault(p);
    }
    if (p->in.fault)
        return fg_parse_fault(p);
    return value_seen ? 0 : fg_parse_fail(p, "an Any of a well-known type needs \"value\"");
}

static int parse_any(struct fg_parser *p, const struct fg_message *type)
{
    char buffer[FG_DESCRIPTORS_MAX_NAME + 256];
    struct fg_str url = {NULL, 0};
    const struct fg_message *inner = NULL;

    if (!fg_json_take(&p->in, '{'))
        return fg_parse_fault(p);
    int found = find_type(p, buffer, sizeof buffer, &url);
    if (found <= 0)
        return found;
    const char *slash = url.p ? memrchr(url.p, '/', url.len) : NULL;
    if (slash && p->how->descriptors)
        inner = fg_descriptors_message(p->how->descriptors,
                                       (struct fg_str){slash + 1, (size_t)(url.p + url.len - slash) - 1});
    if (!inner)
        return fg_parse_fail(p, "the type of an Any is not known");
    if (!fg_proto_begin(p->out, type->fields[0].number))
        return fg_parse_fail(p, "nested too deep");
    fg_proto_put_bytes(p->out, url.p, url.len);
    fg_proto_end(p->out, true);
    if (!fg_proto_begin(p->out, type->fields[1].number))
        return fg_parse_fail(p, "nested too deep");
    int rc = inner->well_known != FG_NOT_WELL_KNOWN ? parse_boxed(p, inner) : fg_parse_members(p, inner, true);
    if (rc == 0)
        fg_proto_end(p->out, false);
    return rc;
}

int fg_parse_well_known(struct fg_parser *p, const struct fg_message *type)
{
    switch (type->well_known) {
    case FG_TIMESTAMP:
    case FG_DURATION:
        return parse_time(p, type);
    case FG_FIELD_MASK:
        return parse_field_mask(p, type);
    case FG_WRAPPER:
        return fg_parse_value(p, &type->fields[0], true, false);
    default:
        break;
    }
    if (p->bare)
        return fg_parse_fail(p, "a message has no form without quotes");
    switch (type->well_known) {
    case FG_STRUCT:
        return fg_parse_map(p, &type->fields[0]);
    case FG_LIST_VALUE:
        return fg_parse_list(p, &type->fields[0]);
    case FG_VALUE:
        return parse_any_value(p, type);
    default: /* FG_ANY */
        return parse_any(p, type);
    }
}
