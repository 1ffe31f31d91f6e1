/* JSON to protobuf: single values. */
#include <float.h>
#include <math.h>

#include "rpc/proto_json_number.h"
#include "rpc/proto_json_parse.h"

/* ---- numbers ---- */

/* A number as it is written, in quotes or without. Bare text and keys have the quotes' rules. */
static int number_text(struct fg_parser *p, char buffer[FG_JSON_NUMBER_MAX], bool key, struct fg_str *text,
                       bool *quoted)
{
    *quoted = key || p->bare || fg_json_peek(&p->in) == '"';
    if (!*quoted)
        return fg_json_number(&p->in, text) ? 0 : fg_parse_fault(p);
    return fg_parse_text(p, buffer, FG_JSON_NUMBER_MAX, text);
}

static const char *const type_names[] = {"",        "double",   "float",    "int64",  "uint64",  "int32", "fixed64",
                                         "fixed32", "bool",     "string",   "group",  "message", "bytes", "uint32",
                                         "enum",    "sfixed32", "sfixed64", "sint32", "sint64"};

static bool is_unsigned(unsigned type)
{
    return type == FG_TYPE_UINT64 || type == FG_TYPE_UINT32 || type == FG_TYPE_FIXED64 || type == FG_TYPE_FIXED32;
}

static bool is_64(unsigned type)
{
    return type == FG_TYPE_INT64 || type == FG_TYPE_UINT64 || type == FG_TYPE_FIXED64 || type == FG_TYPE_SFIXED64 ||
           type == FG_TYPE_SINT64;
}

/* In two's complement, of 64 bits. */
static int in_range(struct fg_parser *p, unsigned type, bool negative, uint64_t magnitude, uint64_t *value)
{
    uint64_t max = is_64(type) ? UINT64_MAX : UINT32_MAX;

    if (!is_unsigned(type))
        max = max / 2 + negative;
    else if (negative)
        max = 0;
    if (magnitude > max)
        return fg_parse_fail(p, "the number is out of the range of %s", type_names[type]);
    *value = negative ? 0 - magnitude : magnitude;
    return 0;
}

static int integer_of(struct fg_parser *p, unsigned type, struct fg_str text, uint64_t *value)
{
    bool negative;
    uint64_t magnitude;

    if (!text.p || !fg_json_is_number(text))
        return fg_parse_fail(p, "expected a number");
    enum fg_decimal result = fg_decimal_to_u64(text, &negative, &magnitude);
    if (result == FG_DECIMAL_FRACTION)
        return fg_parse_fail(p, "expected an integer");
    if (result != FG_DECIMAL_OK)
        return fg_parse_fail(p, "the number is out of the range of %s", type_names[type]);
    return in_range(p, type, negative, magnitude, value);
}

/* As it goes on the wire. */
static uint64_t wire_of(unsigned type, uint64_t value)
{
    if (type == FG_TYPE_SINT32 || type == FG_TYPE_SINT64)
        return value << 1 ^ (0 - (value >> 63));
    return value;
}

static int read_integer(struct fg_parser *p, unsigned type, bool key, uint64_t *bits)
{
    char buffer[FG_JSON_NUMBER_MAX];
    struct fg_json_decimal plain;
    struct fg_str text;
    bool quoted;

    if (!key && !p->bare && fg_json_plain_number(&p->in, 18, false, &plain)) {
        if (in_range(p, type, plain.negative, plain.digits, bits) < 0)
            return -1;
        *bits = wire_of(type, *bits);
        return 0;
    }
    if (number_text(p, buffer, key, &text, &quoted) < 0)
        return -1;
    if (key && text.p)
        fg_parse_extend_key(p, text);
    if (integer_of(p, type, text, bits) < 0)
        return -1;
    *bits = wire_of(type, *bits);
    return 0;
}

static int read_double(struct fg_parser *p, double *value)
{
    char buffer[FG_JSON_NUMBER_MAX];
    struct fg_json_decimal plain;
    struct fg_str text;
    bool quoted;

    if (!p->bare && fg_json_plain_number(&p->in, 15, true, &plain)) {
        *value = fg_decimal_small(plain.digits, plain.places);
        *value = plain.negative ? -*value : *value;
        return 0;
    }
    if (number_text(p, buffer, false, &text, &quoted) < 0)
        return -1;
    if (quoted && text.p && fg_str_eq(text, FG_STR("NaN")))
        *value = (double)NAN;
    else if (quoted && text.p && fg_str_eq(text, FG_STR("Infinity")))
        *value = (double)INFINITY;
    else if (quoted && text.p && fg_str_eq(text, FG_STR("-Infinity")))
        *value = -(double)INFINITY;
    else if (!text.p || !fg_json_is_number(text))
        return fg_parse_fail(p, "expected a number");
    else if (fg_decimal_to_double(text, value) != FG_DECIMAL_OK)
        return fg_parse_fail(p, "the number is out of the range of double");
    return 0;
}

int fg_parse_double(struct fg_parser *p, uint64_t *bits)
{
    double value;

    if (read_double(p, &value) < 0)
        return -1;
    memcpy(bits, &value, sizeof value);
    return 0;
}

static int parse_float(struct fg_parser *p, uint64_t *bits)
{
    double value;
    uint32_t low;

    if (read_double(p, &value) < 0)
        return -1;
    /* What lies half a step above FLT_MAX is rounded down to it. */
    if (isfinite(value) && fabs(value) >= (double)FLT_MAX * (1 + (double)FLT_EPSILON / 4))
        return fg_parse_fail(p, "the number is out of the range of float");
    float narrow = (float)value;
    memcpy(&low, &narrow, sizeof low);
    *bits = low;
    return 0;
}

/* ---- booleans, enums ---- */

static int parse_bool(struct fg_parser *p, bool text, uint64_t *bits)
{
    char buffer[8];
    struct fg_str word;

    if (text) {
        if (fg_parse_text(p, buffer, sizeof buffer, &word) < 0)
            return -1;
        *bits = word.p && fg_str_eq(word, FG_STR("true"));
        if (*bits || (word.p && fg_str_eq(word, FG_STR("false"))))
            return 0;
        return fg_parse_fail(p, "expected true or false");
    }
    int c = fg_json_peek(&p->in);
    if (c != 't' && c != 'f')
        return p->in.fault ? fg_parse_fault(p) : fg_parse_fail(p, "expected true or false");
    *bits = c == 't';
    return fg_json_literal(&p->in, c == 't' ? "true" : "false") ? 0 : fg_parse_fault(p);
}

/* 1: left out, since unknown names are ignored. */
static int parse_enum(struct fg_parser *p, const struct fg_enum *enumeration, uint64_t *bits)
{
    char buffer[FG_DESCRIPTORS_MAX_NAME];
    struct fg_str text;
    bool quoted = p->bare || fg_json_peek(&p->in) == '"';

    if (!quoted && fg_json_peek(&p->in) == 'n' && enumeration->null_value) {
        *bits = 0;
        return fg_json_literal(&p->in, "null") ? 0 : fg_parse_fault(p);
    }
    if (!quoted && read_integer(p, FG_TYPE_INT32, false, bits) < 0)
        return -1;
    if (quoted) {
        if (fg_parse_text(p, buffer, sizeof buffer, &text) < 0)
            return -1;
        const struct fg_enum_value *value = text.p ? fg_enum_value_named(enumeration, text) : NULL;
        if (value) {
            *bits = (uint64_t)(int64_t)value->number;
            return 0;
        }
        if (!text.p || !fg_json_is_number(text)) {
            if (p->how->ignore_unknown)
                return 1;
            return fg_parse_fail(p, "%.*s has no such value", (int)FG_MIN(enumeration->full_name.len, 100),
                                 enumeration->full_name.p);
        }
        if (integer_of(p, FG_TYPE_INT32, text, bits) < 0)
            return -1;
    }
    if (!enumeration->closed || fg_enum_value(enumeration, (int32_t)(uint32_t)*bits))
        return 0;
    return p->how->ignore_unknown ? 1 : fg_parse_fail(p, "the enum has no such number");
}

/* ---- strings, bytes ---- */

/* A whole field. KEEP: even if it is empty. */
static int parse_string(struct fg_parser *p, const struct fg_field *field, bool keep)
{
    struct fg_str piece;

    if (!p->bare && fg_json_plain_text(&p->in, &piece)) {
        if (keep || piece.len > 0)
            fg_proto_put_text(p->out, field->number, piece);
        return 0;
    }
    if (!fg_proto_begin(p->out, field->number))
        return fg_parse_fail(p, "nested too deep");
    int rc = fg_parse_begin_string(p);

    while (rc == 0 && (rc = fg_parse_piece(p, &piece)) > 0) {
        fg_proto_put_bytes(p->out, piece.p, piece.len);
        rc = 0;
    }
    if (rc == 0)
        fg_proto_end(p->out, keep);
    return rc;
}

/* Both alphabets of RFC 4648 (sections 4 and 5), padded or not. */
struct base64 {
    uint32_t bits, chars, padding;
    uint8_t held[3 * 64];
    size_t held_len;
};

static int digit_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static void flush_base64(struct fg_parser *p, struct base64 *b)
{
    fg_proto_put_bytes(p->out, b->held, b->held_len);
    b->held_len = 0;
}

static bool take_base64(struct fg_parser *p, struct base64 *b, struct fg_str piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        int digit = digit_of((uint8_t)piece.p[i]);
        if (piece.p[i] == '=') {
            b->padding++;
            continue;
        }
        if (digit < 0 || b->padding > 0)
            return false;
        b->bits = b->bits << 6 | (uint32_t)digit;
        if (++b->chars % 4 != 0)
            continue;
        b->held[b->held_len++] = (uint8_t)(b->bits >> 16);
        b->held[b->held_len++] = (uint8_t)(b->bits >> 8);
        b->held[b->held_len++] = (uint8_t)b->bits;
        if (b->held_len == sizeof b->held)
            flush_base64(p, b);
    }
    return true;
}

static int parse_bytes(struct fg_parser *p)
{
    struct base64 b = {.held_len = 0};
    struct fg_str piece;
    bool fine = true;
    int rc = fg_parse_begin_string(p);

    while (rc == 0 && fine && (rc = fg_parse_piece(p, &piece)) > 0) {
        fine = take_base64(p, &b, piece);
        rc = 0;
    }
    if (rc < 0)
        return rc;
    unsigned rest = b.chars % 4;
    if (!fine || rest == 1 || (b.padding > 0 && (rest == 0 || rest + b.padding != 4)))
        return fg_parse_fail(p, "expected base64");
    if (rest == 2) {
        b.held[b.held_len++] = (uint8_t)(b.bits >> 4);
    } else if (rest == 3) {
        b.held[b.held_len++] = (uint8_t)(b.bits >> 10);
        b.held[b.held_len++] = (uint8_t)(b.bits >> 2);
    }
    flush_base64(p, &b);
    return 0;
}

/* ---- any value ---- */

static void put_scalar(struct fg_parser *p, const struct fg_field *field, bool tagged, uint64_t bits)
{
    if (tagged)
        fg_proto_put_varint(p->out, (uint64_t)field->number << 3 | field->wire_type);
    if (field->wire_type == FG_WIRE_64)
        fg_proto_put_fixed(p->out, bits, 8);
    else if (field->wire_type == FG_WIRE_32)
        fg_proto_put_fixed(p->out, bits, 4);
    else
        fg_proto_put_varint(p->out, bits);
}

/* Of a number, boolean or enum. 1: left out. */
static int parse_scalar(struct fg_parser *p, const struct fg_field *field, uint64_t *bits)
{
    switch (field->type) {
    case FG_TYPE_DOUBLE:
        return fg_parse_double(p, bits);
    case FG_TYPE_FLOAT:
        return parse_float(p, bits);
    case FG_TYPE_BOOL:
        return parse_bool(p, p->bare, bits);
    case FG_TYPE_ENUM:
        return parse_enum(p, field->enumeration, bits);
    default:
        return read_integer(p, field->type, false, bits);
    }
}

static int parse_group(struct fg_parser *p, const struct fg_field *field)
{
    fg_proto_put_varint(p->out, (uint64_t)field->number << 3 | FG_WIRE_GROUP);
    if (fg_parse_message(p, field->message) < 0)
        return -1;
    fg_proto_put_varint(p->out, (uint64_t)field->number << 3 | FG_WIRE_GROUP_END);
    return 0;
}

int fg_parse_value(struct fg_parser *p, const struct fg_field *field, bool tagged, bool keep)
{
    uint64_t bits = 0;
    int rc;

    if (field->wire_type == FG_WIRE_GROUP)
        return parse_group(p, field);
    if (field->wire_type != FG_WIRE_BYTES) {
        rc = parse_scalar(p, field, &bits);
        p->left_out = rc > 0;
        if (rc == 0 && (keep || bits != 0))
            put_scalar(p, field, tagged, bits);
        return rc < 0 ? -1 : 0;
    }
    if (field->type == FG_TYPE_STRING) {
        rc = parse_string(p, field, keep);
        p->left_out = false;
        return rc;
    }
    if (!fg_proto_begin(p->out, field->number))
        return fg_parse_fail(p, "nested too deep");
    rc = field->type == FG_TYPE_MESSAGE ? fg_parse_message(p, field->message) : parse_bytes(p);
    if (rc == 0)
        fg_proto_end(p->out, keep || field->type == FG_TYPE_MESSAGE);
    p->left_out = false;
    return rc;
}

static int parse_string_key(struct fg_parser *p, const struct fg_field *field)
{
    struct fg_str piece;

    if (!fg_proto_begin(p->out, field->number))
        return fg_parse_fail(p, "nested too deep");
    int rc = fg_parse_begin_string(p);
    while (rc == 0 && (rc = fg_parse_piece(p, &piece)) > 0) {
        fg_parse_extend_key(p, piece);
        fg_proto_put_bytes(p->out, piece.p, piece.len);
        rc = 0;
    }
    if (rc == 0)
        fg_proto_end(p->out, true);
    return rc;
}

int fg_parse_key(struct fg_parser *p, const struct fg_field *field)
{
    uint64_t bits;
    int rc;

    if (field->type == FG_TYPE_STRING)
        return parse_string_key(p, field);
    if (field->type == FG_TYPE_BOOL) {
        rc = parse_bool(p, true, &bits);
        if (rc == 0)
            fg_parse_extend_key(p, bits ? FG_STR("true") : FG_STR("false"));
    } else {
        rc = read_integer(p, field->type, true, &bits);
    }
    if (rc == 0)
        put_scalar(p, field, true, bits);
    return rc;
}
