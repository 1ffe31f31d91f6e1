/* JSON to protobuf: messages, fields, lists and maps. */
#include "rpc/proto_json_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- errors ---- */

static void describe_path(const struct fg_parser *p, char *text, size_t cap)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < FG_MIN(p->steps_len, (size_t)FG_PARSE_STEPS) && len < cap; i++) {
        const struct fg_parse_step *step = &p->steps[i];
        const char *dot = i > 0 ? "." : "";
        int n = step->element && step->text_len > 0
                    ? snprintf(text + len, cap - len, "[\"%.*s\"]", (int)step->text_len, step->text)
                : step->element ? snprintf(text + len, cap - len, "[%u]", step->index)
                : step->field   ? snprintf(text + len, cap - len, "%s%.*s", dot, (int)step->field->json_name.len,
                                           step->field->json_name.p)
                                : snprintf(text + len, cap - len, "%s%.*s", dot, (int)step->text_len, step->text);
        len += n > 0 ? (size_t)n : 0;
    }
    /* Keys are the client's: cut characters and controls do not get into the error. */
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
    }
}

static int fail(struct fg_parser *p, enum fg_status code, const char *format, va_list args)
{
    if (p->error->code != FG_STATUS_OK)
        return -1;
    p->error->code = code;
    p->error->line = p->in.line;
    p->error->column = fg_json_column(&p->in);
    vsnprintf(p->error->message, sizeof p->error->message, format, args);
    describe_path(p, p->error->path, sizeof p->error->path);
    return -1;
}

int fg_parse_fail(struct fg_parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail(p, FG_STATUS_INVALID_ARGUMENT, format, args);
    va_end(args);
    return -1;
}

static int fail_too_large(struct fg_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail_too_large(struct fg_parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail(p, FG_STATUS_RESOURCE_EXHAUSTED, format, args);
    va_end(args);
    return -1;
}

int fg_parse_fault(struct fg_parser *p)
{
    return fg_parse_fail(p, "%s", p->in.fault ? p->in.fault : "unexpected end");
}

static struct fg_parse_step *step(struct fg_parser *p)
{
    struct fg_parse_step *next = &p->steps[FG_MIN(p->steps_len, (size_t)FG_PARSE_STEPS - 1)];

    p->steps_len++;
    next->field = NULL;
    next->element = false;
    next->text_len = 0;
    return next;
}

static void keep_text(struct fg_parse_step *next, struct fg_str text)
{
    next->text_len = (uint8_t)FG_MIN(text.len, sizeof next->text);
    memcpy(next->text, text.p, next->text_len);
}

void fg_parse_enter(struct fg_parser *p, const struct fg_field *field, struct fg_str name)
{
    struct fg_parse_step *next = step(p);

    next->field = field;
    if (!field)
        keep_text(next, name);
}

void fg_parse_enter_index(struct fg_parser *p, uint32_t index)
{
    struct fg_parse_step *next = step(p);

    next->element = true;
    next->index = index;
}

void fg_parse_enter_key(struct fg_parser *p)
{
    struct fg_parse_step *next = step(p);

    next->element = true;
    next->index = 0;
}

void fg_parse_extend_key(struct fg_parser *p, struct fg_str piece)
{
    struct fg_parse_step *last = &p->steps[FG_MIN(p->steps_len, (size_t)FG_PARSE_STEPS) - 1];
    size_t len = FG_MIN(piece.len, sizeof last->text - last->text_len);

    memcpy(last->text + last->text_len, piece.p, len);
    last->text_len = (uint8_t)(last->text_len + len);
}

void fg_parse_leave(struct fg_parser *p)
{
    p->steps_len--;
}

/* ---- text ---- */

int fg_parse_begin_string(struct fg_parser *p)
{
    if (p->bare) {
        p->in.utf8 = (struct fg_utf8){0};
        return 0;
    }
    return fg_json_begin_string(&p->in) ? 0 : fg_parse_fault(p);
}

int fg_parse_piece(struct fg_parser *p, struct fg_str *piece)
{
    if (!p->bare) {
        int rc = fg_json_piece(&p->in, piece);
        return rc < 0 ? fg_parse_fault(p) : rc;
    }
    *piece = fg_span_piece(&p->in.span, SIZE_MAX);
    for (size_t i = 0; i < piece->len; i++) {
        if (!fg_utf8_step(&p->in.utf8, (uint8_t)piece->p[i]))
            return fg_parse_fail(p, "the text is not UTF-8");
    }
    if (piece->len == 0 && p->in.utf8.need > 0)
        return fg_parse_fail(p, "the text is not UTF-8");
    return piece->len > 0;
}

int fg_parse_text(struct fg_parser *p, char *buffer, size_t cap, struct fg_str *text)
{
    if (!p->bare)
        return fg_json_text(&p->in, buffer, cap, text) ? 0 : fg_parse_fault(p);
    struct fg_str piece;
    size_t len = 0;
    int rc = fg_parse_begin_string(p);
    while (rc == 0 && (rc = fg_parse_piece(p, &piece)) > 0) {
        if (piece.len <= cap - FG_MIN(len, cap))
            memcpy(buffer + len, piece.p, piece.len);
        len += piece.len;
        rc = 0;
    }
    *text = (struct fg_str){len <= cap ? buffer : NULL, len};
    return rc;
}

/* ---- fields ---- */

bool fg_parse_takes_null(const struct fg_field *field)
{
    return (field->message && field->message->well_known == FG_VALUE) ||
           (field->enumeration && field->enumeration->null_value);
}

static int refuse_null(struct fg_parser *p, const struct fg_field *field)
{
    if (!p->bare && fg_json_peek(&p->in) == 'n' && !fg_parse_takes_null(field))
        return fg_parse_fail(p, "null is no element of a list or map");
    return 0;
}

int fg_parse_list(struct fg_parser *p, const struct fg_field *field)
{
    bool first = true;

    if (!fg_json_take(&p->in, '['))
        return fg_parse_fault(p);
    if (field->packed && !fg_proto_begin(p->out, field->number))
        return fg_parse_fail(p, "nested too deep");
    for (uint32_t i = 0; fg_json_more(&p->in, ']', &first); i++) {
        fg_parse_enter_index(p, i);
        if (refuse_null(p, field) < 0 || fg_parse_value(p, field, !field->packed, true) < 0)
            return -1;
        fg_parse_leave(p);
    }
    if (field->packed)
        fg_proto_end(p->out, false);
    return p->in.fault ? fg_parse_fault(p) : 0;
}

static int parse_entry(struct fg_parser *p, const struct fg_field *field)
{
    const struct fg_field *key = &field->message->fields[0], *value = &field->message->fields[1];

    if (!fg_proto_begin(p->out, field->number))
        return fg_parse_fail(p, "nested too deep");
    fg_parse_enter_key(p);
    if (fg_parse_key(p, key) < 0)
        return -1;
    if (!fg_json_take(&p->in, ':'))
        return fg_parse_fault(p);
    if (refuse_null(p, value) < 0 || fg_parse_value(p, value, true, true) < 0)
        return -1;
    if (!p->left_out)
        fg_proto_end(p->out, true);
    else if (!fg_proto_drop(p->out))
        return fg_parse_fail(p, "an unknown value behind so long a key cannot be ignored");
    fg_parse_leave(p);
    return 0;
}

int fg_parse_map(struct fg_parser *p, const struct fg_field *field)
{
    bool first = true;

    if (!fg_json_take(&p->in, '{'))
        return fg_parse_fault(p);
    while (fg_json_more(&p->in, '}', &first)) {
        if (parse_entry(p, field) < 0)
            return -1;
        if (p->out->failed)
            return fail_too_large(p, "the message is larger than allowed");
    }
    return p->in.fault ? fg_parse_fault(p) : 0;
}

int fg_parse_field(struct fg_parser *p, const struct fg_field *field)
{
    if (!p->bare && fg_json_peek(&p->in) == 'n' && (field->repeated || !fg_parse_takes_null(field)))
        return fg_json_literal(&p->in, "null") ? 0 : fg_parse_fault(p);
    if (field->repeated && !p->bare)
        return field->map ? fg_parse_map(p, field) : fg_parse_list(p, field);
    return fg_parse_value(p, field, true, field->presence || field->repeated);
}

/* ---- objects ---- */

/* Bit INDEX of what is kept from BASE on; false: it was set. */
static bool note(struct fg_parser *p, size_t base, uint32_t index)
{
    uint64_t *word = &p->seen[base + index / 64], bit = (uint64_t)1 << index % 64;
    bool was = *word & bit;

    *word |= bit;
    return !was;
}

static size_t open_seen(struct fg_parser *p, const struct fg_message *type)
{
    size_t base = p->seen_len, len = (type->fields_len + type->oneofs_len + 63) / 64;

    p->seen_len += len;
    if (p->seen_len > p->seen_cap) {
        p->seen_cap = 2 * p->seen_len;
        uint64_t *bigger = fg_alloc(p->seen_cap * sizeof *bigger);
        memcpy(bigger, p->seen, base * sizeof *bigger);
        if (p->seen != p->seen_first)
            free(p->seen);
        p->seen = bigger;
    }
    memset(p->seen + base, 0, len * sizeof *p->seen);
    return base;
}

/* COLON: it has been taken. */
static int parse_known(struct fg_parser *p, const struct fg_message *type, size_t base, const struct fg_field *field,
                       bool colon)
{
    if (!note(p, base, field->index))
        return fg_parse_fail(p, "the field comes twice");
    if (!colon && !fg_json_take(&p->in, ':'))
        return fg_parse_fault(p);
    int c = fg_json_peek(&p->in);
    if (field->oneof != FG_FIELD_NO_ONEOF && (c != 'n' || fg_parse_takes_null(field)) &&
        !note(p, base, type->fields_len + field->oneof))
        return fg_parse_fail(p, "another field of the same oneof came before");
    return fg_parse_field(p, field);
}

static int parse_unknown(struct fg_parser *p, const struct fg_message *type, bool pass)
{
    if (!pass)
        return fg_parse_fail(p, "%.*s has no such field", (int)FG_MIN(type->full_name.len, 100), type->full_name.p);
    if (!fg_json_take(&p->in, ':') || !fg_json_skip(&p->in, FG_PROTO_JSON_DEPTH))
        return fg_parse_fault(p);
    return 0;
}

/* Who writes JSON mostly keeps to the order of the fields: the field with the index NEXT or the one after it, if its
 * name is what comes. Name and colon are taken. NULL: neither, and nothing is taken. */
static const struct fg_field *take_next_name(struct fg_parser *p, const struct fg_message *type, uint32_t next)
{
    for (uint32_t i = next; i < type->fields_len && i < next + 2; i++) {
        if (fg_json_take_key(&p->in, type->fields[i].json_key))
            return &type->fields[i];
    }
    return NULL;
}

int fg_parse_members(struct fg_parser *p, const struct fg_message *type, bool any)
{
    char buffer[FG_DESCRIPTORS_MAX_NAME];
    size_t base = open_seen(p, type);
    bool first = true, type_seen = false;
    struct fg_str name = {"", 0};
    uint32_t next = 0;
    int rc = 0;

    while (rc == 0 && fg_json_more(&p->in, '}', &first)) {
        const struct fg_field *field = take_next_name(p, type, next);
        bool colon = field != NULL;
        if (!colon && !fg_json_text(&p->in, buffer, sizeof buffer, &name))
            return fg_parse_fault(p);
        if (!colon && name.p)
            field = fg_message_field_named(type, name);
        if (field)
            next = field->index + 1;
        bool is_type = any && !field && name.p && fg_str_eq(name, FG_STR("@type"));
        fg_parse_enter(p, field, name.p ? name : FG_STR("(a long name)"));
        if (field)
            rc = parse_known(p, type, base, field, colon);
        else if (is_type && type_seen)
            rc = fg_parse_fail(p, "the field comes twice");
        else
            rc = parse_unknown(p, type, is_type || p->how->ignore_unknown);
        type_seen |= is_type;
        if (rc == 0 && p->out->failed)
            rc = fail_too_large(p, "the message is larger than allowed");
        if (rc == 0)
            fg_parse_leave(p);
    }
    p->seen_len = base;
    return rc == 0 && p->in.fault ? fg_parse_fault(p) : rc;
}

int fg_parse_message(struct fg_parser *p, const struct fg_message *type)
{
    int rc;

    if (p->depth == FG_PROTO_JSON_DEPTH)
        return fg_parse_fail(p, "messages are nested more than %d deep", FG_PROTO_JSON_DEPTH);
    p->depth++;
    if (type->well_known != FG_NOT_WELL_KNOWN)
        rc = fg_parse_well_known(p, type);
    else if (p->bare)
        rc = fg_parse_fail(p, "a message has no form without quotes");
    else
        rc = fg_json_take(&p->in, '{') ? fg_parse_members(p, type, false) : fg_parse_fault(p);
    p->depth--;
    return rc;
}

/* ---- the way in ---- */

static void begin(struct fg_parser *p, const struct fg_json_to_proto *how, const struct fg_str *parts, size_t parts_len,
                  struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    fg_json_in_init(&p->in, parts, parts_len);
    *error = (struct fg_proto_json_error){.code = FG_STATUS_OK};
    p->how = how;
    p->out = out;
    p->error = error;
    p->depth = 0;
    p->bare = p->left_out = false;
    p->ahead = 0;
    p->seen = p->seen_first;
    p->seen_len = p->steps_len = 0;
    p->seen_cap = FG_ARRAY_LEN(p->seen_first);
}

static int end(struct fg_parser *p, int rc)
{
    if (p->seen != p->seen_first)
        free(p->seen);
    if (rc == 0 && !p->bare && fg_json_peek(&p->in) >= 0)
        rc = fg_parse_fail(p, "something follows the value");
    if (rc == 0 && p->in.fault)
        rc = fg_parse_fault(p);
    if (rc == 0 && (p->out->failed || fg_proto_out_len(p->out) > p->out->max))
        rc = fail_too_large(p, "the message is larger than allowed");
    return rc;
}

int fg_json_to_proto(const struct fg_json_to_proto *how, const struct fg_message *type, const struct fg_str *parts,
                     size_t parts_len, struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    struct fg_parser p;

    begin(&p, how, parts, parts_len, out, error);
    return end(&p, fg_parse_message(&p, type));
}

int fg_json_to_proto_field(const struct fg_json_to_proto *how, const struct fg_field *field, const struct fg_str *parts,
                           size_t parts_len, struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    struct fg_parser p;

    begin(&p, how, parts, parts_len, out, error);
    fg_parse_enter(&p, field, field->json_name);
    return end(&p, fg_parse_field(&p, field));
}

int fg_text_to_proto_field(const struct fg_json_to_proto *how, const struct fg_field *field, struct fg_str text,
                           struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    struct fg_parser p;

    begin(&p, how, &text, 1, out, error);
    p.bare = true;
    fg_parse_enter(&p, field, field->json_name);
    int rc = field->map ? fg_parse_fail(&p, "a map has no form without quotes") : fg_parse_field(&p, field);
    rc = end(&p, rc);
    error->line = error->column = 0;
    return rc;
}
