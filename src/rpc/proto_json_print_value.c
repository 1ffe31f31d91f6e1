/* protobuf to JSON: single values and the entries of maps. */
#include "rpc/proto_json_print.h"

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static void put_quoted_i64(struct fg_json_out *out, int64_t value)
{
    fg_json_put(out, '"');
    fg_json_put_i64(out, value);
    fg_json_put(out, '"');
}

static void put_quoted_u64(struct fg_json_out *out, uint64_t value)
{
    fg_json_put(out, '"');
    fg_json_put_u64(out, value);
    fg_json_put(out, '"');
}

static int print_string(struct fg_printer *p, struct fg_span span)
{
    struct fg_utf8 state = {0};
    int rc = 0;

    fg_json_put(p->out, '"');
    while (rc == 0 && fg_span_more(&span)) {
        struct fg_str piece = fg_span_piece(&span, SIZE_MAX);
        rc = fg_json_put_part(p->out, &state, piece.p, piece.len);
    }
    fg_json_put(p->out, '"');
    if (rc < 0 || state.need > 0)
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a string is not UTF-8");
    return 0;
}

static int print_bytes(struct fg_printer *p, struct fg_span span)
{
    struct fg_json_base64 state = {.len = 0};

    fg_json_put(p->out, '"');
    while (fg_span_more(&span)) {
        struct fg_str piece = fg_span_piece(&span, SIZE_MAX);
        fg_json_put_base64(p->out, &state, piece.p, piece.len);
    }
    fg_json_end_base64(p->out, &state);
    fg_json_put(p->out, '"');
    return 0;
}

static void print_enum(struct fg_printer *p, const struct fg_enum *enumeration, int32_t number)
{
    const struct fg_enum_value *value = p->how->enum_numbers ? NULL : fg_enum_value(enumeration, number);

    if (enumeration->null_value)
        fg_json_put_raw(p->out, "null", 4);
    else if (value)
        fg_json_put_text(p->out, value->name);
    else
        fg_json_put_i64(p->out, number);
}

/* What takes 64 bits on the wire. */
static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static void print_bool(struct fg_printer *p, bool value)
{
    fg_json_put_raw(p->out, value ? "true" : "false", value ? 4 : 5);
}

int fg_print_value(struct fg_printer *p, const struct fg_occurrence *occurrence)
{
    uint64_t value = occurrence->value;

    switch (occurrence->field->type) {
    case FG_TYPE_DOUBLE:
        fg_json_put_double(p->out, double_of(value));
        return 0;
    case FG_TYPE_FLOAT:
        fg_json_put_float(p->out, float_of(value));
        return 0;
    case FG_TYPE_INT64:
    case FG_TYPE_SFIXED64:
        put_quoted_i64(p->out, (int64_t)value);
        return 0;
    case FG_TYPE_SINT64:
        put_quoted_i64(p->out, unzigzag(value));
        return 0;
    case FG_TYPE_UINT64:
    case FG_TYPE_FIXED64:
        put_quoted_u64(p->out, value);
        return 0;
    case FG_TYPE_INT32:
    case FG_TYPE_SFIXED32:
        fg_json_put_i64(p->out, (int32_t)(uint32_t)value);
        return 0;
    case FG_TYPE_SINT32:
        fg_json_put_i64(p->out, (int32_t)unzigzag((uint32_t)value));
        return 0;
    case FG_TYPE_UINT32:
    case FG_TYPE_FIXED32:
        fg_json_put_u64(p->out, (uint32_t)value);
        return 0;
    case FG_TYPE_BOOL:
        print_bool(p, value != 0);
        return 0;
    case FG_TYPE_ENUM:
        print_enum(p, occurrence->field->enumeration, (int32_t)(uint32_t)value);
        return 0;
    case FG_TYPE_STRING:
        return print_string(p, occurrence->body);
    case FG_TYPE_BYTES:
        return print_bytes(p, occurrence->body);
    default: /* FG_TYPE_MESSAGE, FG_TYPE_GROUP */
        return fg_print_message(p, occurrence->field->message, occurrence->body);
    }
}

int fg_print_default(struct fg_printer *p, const struct fg_field *field)
{
    struct fg_occurrence occurrence = {.field = field, .wire_type = field->wire_type, .body = fg_span_of(NULL, 0)};

    if (field->enumeration)
        occurrence.value = (uint64_t)(int64_t)field->enumeration->first;
    return fg_print_value(p, &occurrence);
}

/* Keys are strings, whatever their type. */
static int print_key(struct fg_printer *p, const struct fg_occurrence *key)
{
    bool quoted = key->field->type == FG_TYPE_STRING || key->field->type == FG_TYPE_INT64 ||
                  key->field->type == FG_TYPE_UINT64 || key->field->type == FG_TYPE_SINT64 ||
                  key->field->type == FG_TYPE_FIXED64 || key->field->type == FG_TYPE_SFIXED64;

    if (!quoted)
        fg_json_put(p->out, '"');
    int rc = fg_print_value(p, key);
    if (!quoted)
        fg_json_put(p->out, '"');
    return rc;
}

/* A part of the entry: 1 key or 2 value. What is absent has its default. */
static int read_part(struct fg_printer *p, const struct fg_occurrence *entry, const struct fg_field *field,
                     struct fg_occurrence *out)
{
    int found = fg_print_settle(p, entry->field->message, entry->body, field, out);

    if (found == 0)
        *out = (struct fg_occurrence){.field = field, .wire_type = field->wire_type, .body = fg_span_of(NULL, 0)};
    if (found == 0 && field->enumeration)
        out->value = (uint64_t)(int64_t)field->enumeration->first;
    return found < 0 ? -1 : 0;
}

int fg_print_entry(struct fg_printer *p, const struct fg_occurrence *occurrence)
{
    const struct fg_message *type = occurrence->field->message;
    struct fg_occurrence key, value;

    if (read_part(p, occurrence, &type->fields[0], &key) < 0 || read_part(p, occurrence, &type->fields[1], &value) < 0)
        return -1;
    if (print_key(p, &key) < 0)
        return -1;
    fg_json_put(p->out, ':');
    return fg_print_value(p, &value);
}
