/* protobuf to JSON: messages and their fields. */
#include "rpc/proto_json_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A singular message that came in several pieces, as parts of one. */
struct fg_joined {
    struct fg_joined *next;
    struct fg_str parts[];
};

#define JOINED_MAX  65536u /* parts of messages in pieces that are kept at a time: 1 MiB */
#define WORK_FACTOR 64u    /* further passes: so many occurrences for each byte of input */

/* ---- errors ---- */

static void describe_path(const struct fg_printer *p, char *text, size_t cap)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < p->steps_len && len < cap; i++) {
        const struct fg_field *field = p->steps[i].field;
        int n = field->repeated
                    ? snprintf(text + len, cap - len, "%s%.*s[%u]", i > 0 ? "." : "", (int)field->name.len,
                               field->name.p, p->steps[i].index)
                    : snprintf(text + len, cap - len, "%s%.*s", i > 0 ? "." : "", (int)field->name.len, field->name.p);
        len += n > 0 ? (size_t)n : 0;
    }
}

int fg_print_fail(struct fg_printer *p, enum fg_status code, const char *format, ...)
{
    va_list args;

    *p->error = (struct fg_proto_json_error){.code = code};
    va_start(args, format);
    vsnprintf(p->error->message, sizeof p->error->message, format, args);
    va_end(args);
    describe_path(p, p->error->path, sizeof p->error->path);
    return -1;
}

int fg_print_malformed(struct fg_printer *p)
{
    return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "the message is no valid protobuf");
}

/* Fields whose values are being printed; what is deeper than the table is not in the path. */
static void enter(struct fg_printer *p, const struct fg_field *field, uint32_t index)
{
    if (p->steps_len < FG_ARRAY_LEN(p->steps))
        p->steps[p->steps_len] = (struct fg_print_step){field, index};
    p->steps_len++;
}

static void leave(struct fg_printer *p)
{
    p->steps_len--;
}

/* ---- one value out of several occurrences ---- */

static int charge(struct fg_printer *p, uint64_t work)
{
    p->work += work;
    if (p->work > p->work_max)
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "the fields of the message are too scattered");
    return 0;
}

/* The occurrences of FIELD in SPAN, LEN parts in all, become one. */
static int join(struct fg_printer *p, const struct fg_message *type, struct fg_span span, const struct fg_field *field,
                struct fg_occurrence *out)
{
    struct fg_occurrence occurrence;
    struct fg_joined *joined = NULL;
    size_t len = 0;

    for (int pass = 0; pass < 2; pass++) {
        struct fg_span at = span;
        size_t n = 0;
        while (fg_occurrence_next(&at, type, &occurrence) > 0) {
            while (occurrence.field == field && fg_span_more(&occurrence.body)) {
                struct fg_str piece = fg_span_piece(&occurrence.body, SIZE_MAX);
                if (joined)
                    joined->parts[n] = piece;
                n++;
            }
        }
        if (pass == 1)
            break;
        len = n;
        if (len > JOINED_MAX - p->joined_len)
            return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a message comes in too many pieces");
        joined = fg_alloc(sizeof *joined + len * sizeof joined->parts[0]);
        joined->next = p->joined;
        p->joined = joined;
        p->joined_len += len;
    }
    *out = (struct fg_occurrence){.field = field, .wire_type = field->wire_type};
    out->body = fg_span_of(joined->parts, len);
    return 0;
}

int fg_print_settle(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                    const struct fg_field *field, struct fg_occurrence *out)
{
    struct fg_occurrence occurrence;
    struct fg_span before = span, from = span; /* `from`: all that counts comes after it */
    uint64_t seen = 0, times = 0;
    int rc;

    while ((rc = fg_occurrence_next(&span, type, &occurrence)) > 0) {
        seen++;
        if (occurrence.field == field) {
            if (times++ == 0)
                from = before;
            *out = occurrence;
        } else if (field->oneof != FG_FIELD_NO_ONEOF && occurrence.field->oneof == field->oneof) {
            times = 0;
        }
        before = span;
    }
    if (rc < 0)
        return fg_print_malformed(p);
    if (charge(p, seen) < 0)
        return -1;
    if (times > 1 && field->message && (charge(p, 2 * seen) < 0 || join(p, type, from, field, out) < 0))
        return -1;
    return times > 0;
}

/* ---- fields ---- */

static void put_key(struct fg_printer *p, const struct fg_field *field, bool *first)
{
    if (!*first)
        fg_json_put(p->out, ',');
    *first = false;
    if (p->how->original_names) {
        fg_json_put_text(p->out, field->name);
        fg_json_put(p->out, ':');
    } else {
        fg_json_put_raw(p->out, field->json_key.p, field->json_key.len);
    }
}

/* The repeated field that is being written. */
struct list {
    const struct fg_field *field; /* NULL: none */
    uint32_t len;                 /* elements so far; 0: nothing is written yet */
};

static void open_element(struct fg_printer *p, struct list *list, bool *first)
{
    if (list->len++ > 0) {
        fg_json_put(p->out, ',');
        return;
    }
    if (first)
        put_key(p, list->field, first);
    fg_json_put(p->out, list->field->map ? '{' : '[');
}

static int print_element(struct fg_printer *p, struct list *list, const struct fg_occurrence *occurrence, bool *first)
{
    open_element(p, list, first);
    enter(p, list->field, list->len - 1);
    int rc = list->field->map ? fg_print_entry(p, occurrence) : fg_print_value(p, occurrence);
    leave(p);
    return rc;
}

static int print_packed(struct fg_printer *p, struct list *list, struct fg_span span, bool *first)
{
    struct fg_occurrence element = {.field = list->field, .wire_type = list->field->wire_type};

    while (fg_span_more(&span)) {
        bool read = element.wire_type == FG_WIRE_VARINT
                        ? fg_span_varint(&span, &element.value)
                        : fg_span_fixed(&span, element.wire_type == FG_WIRE_64 ? 8 : 4, &element.value);
        if (!read)
            return fg_print_malformed(p);
        if (print_element(p, list, &element, first) < 0)
            return -1;
    }
    return 0;
}

/* FIRST: NULL when the list is written without its key. */
static int print_elements(struct fg_printer *p, struct list *list, const struct fg_occurrence *occurrence, bool *first)
{
    if (occurrence->wire_type != list->field->wire_type)
        return print_packed(p, list, occurrence->body, first);
    return print_element(p, list, occurrence, first);
}

static void close_list(struct fg_printer *p, struct list *list, bool *first)
{
    if (list->field && list->len == 0 && (!first || p->how->emit_defaults)) {
        open_element(p, list, first);
        list->len = 1;
    }
    if (list->field && list->len > 0)
        fg_json_put(p->out, list->field->map ? '}' : ']');
    *list = (struct list){0};
}

static int collect(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                   const struct fg_field *field, bool *first)
{
    struct list list = {field, 0};
    struct fg_occurrence occurrence;
    uint64_t seen = 0;
    int rc;

    while ((rc = fg_occurrence_next(&span, type, &occurrence)) > 0) {
        seen++;
        if (occurrence.field == field && print_elements(p, &list, &occurrence, first) < 0)
            return -1;
    }
    if (rc < 0)
        return fg_print_malformed(p);
    close_list(p, &list, first);
    return charge(p, seen);
}

int fg_print_list(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                  const struct fg_field *field)
{
    return collect(p, type, span, field, NULL);
}

static bool is_default(const struct fg_occurrence *occurrence)
{
    if (occurrence->wire_type == FG_WIRE_BYTES)
        return fg_span_len(&occurrence->body) == 0;
    if (occurrence->wire_type == FG_WIRE_32 || occurrence->field->type == FG_TYPE_ENUM ||
        occurrence->field->type == FG_TYPE_INT32 || occurrence->field->type == FG_TYPE_UINT32 ||
        occurrence->field->type == FG_TYPE_SINT32)
        return (uint32_t)occurrence->value == 0;
    return occurrence->value == 0;
}

static int print_singular(struct fg_printer *p, const struct fg_occurrence *occurrence, bool *first)
{
    if (!occurrence->field->presence && !p->how->emit_defaults && is_default(occurrence))
        return 0;
    put_key(p, occurrence->field, first);
    enter(p, occurrence->field, 0);
    int rc = fg_print_value(p, occurrence);
    leave(p);
    return rc;
}

/* ---- the survey of a message ---- */

/* Bits by index of a field, and the last member of each oneof; all in the printer's stack, from `base` on. */
struct survey {
    size_t base, words, len;
    bool scattered;
};

enum bits { SEEN, SCATTERED, DONE, BITS_LEN };

static bool has(const struct fg_printer *p, const struct survey *survey, enum bits which, uint32_t index)
{
    return p->found[survey->base + which * survey->words + index / 64] >> index % 64 & 1;
}

static void set(struct fg_printer *p, const struct survey *survey, enum bits which, uint32_t index)
{
    p->found[survey->base + which * survey->words + index / 64] |= (uint64_t)1 << index % 64;
}

static void open_survey(struct fg_printer *p, const struct fg_message *type, struct survey *survey)
{
    *survey = (struct survey){.base = p->found_len, .words = (type->fields_len + 63) / 64};
    survey->len = BITS_LEN * survey->words + type->oneofs_len;
    p->found_len += survey->len;
    if (p->found_len > p->found_cap) {
        p->found_cap = 2 * p->found_len;
        uint64_t *bigger = fg_alloc(p->found_cap * sizeof *bigger);
        memcpy(bigger, p->found, survey->base * sizeof *bigger);
        if (p->found != p->found_first)
            free(p->found);
        p->found = bigger;
    }
    memset(p->found + survey->base, 0, survey->len * sizeof *p->found);
}

static void mark_scattered(struct fg_printer *p, struct survey *survey, uint32_t index)
{
    set(p, survey, SCATTERED, index);
    survey->scattered = true;
}

/* The last member of the oneof is kept as its index + 1. */
static void note_oneof(struct fg_printer *p, struct survey *survey, const struct fg_field *field)
{
    uint64_t *last = &p->found[survey->base + BITS_LEN * survey->words + field->oneof];

    if (*last != 0 && *last != field->index + 1) {
        mark_scattered(p, survey, (uint32_t)(*last - 1));
        mark_scattered(p, survey, field->index);
    }
    *last = field->index + 1;
}

static int look_through(struct fg_printer *p, const struct fg_message *type, struct fg_span span, struct survey *survey)
{
    const struct fg_field *last = NULL;
    struct fg_occurrence occurrence;
    int rc;

    while ((rc = fg_occurrence_next(&span, type, &occurrence)) > 0) {
        const struct fg_field *field = occurrence.field;
        if (!has(p, survey, SEEN, field->index))
            set(p, survey, SEEN, field->index);
        else if (!field->repeated || last != field)
            mark_scattered(p, survey, field->index);
        if (field->oneof != FG_FIELD_NO_ONEOF)
            note_oneof(p, survey, field);
        last = field;
    }
    return rc < 0 ? fg_print_malformed(p) : 0;
}

/* ---- objects ---- */

static int print_scattered(struct fg_printer *p, const struct fg_message *type, struct fg_span whole,
                           const struct fg_field *field, bool *first)
{
    struct fg_occurrence settled;

    if (field->repeated)
        return collect(p, type, whole, field, first);
    int found = fg_print_settle(p, type, whole, field, &settled);
    return found > 0 ? print_singular(p, &settled, first) : found;
}

static int print_surveyed(struct fg_printer *p, const struct fg_message *type, struct fg_span whole,
                          const struct survey *survey, bool *first)
{
    struct fg_occurrence occurrence;
    struct fg_span span = whole;
    struct list list = {0};
    int rc = 0;

    while (rc == 0 && fg_occurrence_next(&span, type, &occurrence) > 0) {
        const struct fg_field *field = occurrence.field;
        if (list.field != field)
            close_list(p, &list, first);
        if (survey->scattered && has(p, survey, SCATTERED, field->index)) {
            if (!has(p, survey, DONE, field->index)) {
                set(p, survey, DONE, field->index);
                rc = print_scattered(p, type, whole, field, first);
            }
        } else if (field->repeated) {
            list.field = field;
            rc = print_elements(p, &list, &occurrence, first);
        } else {
            rc = print_singular(p, &occurrence, first);
        }
        if (p->out->failed)
            return fg_print_fail(p, FG_STATUS_RESOURCE_EXHAUSTED, "the JSON is larger than allowed");
    }
    if (rc == 0)
        close_list(p, &list, first);
    return rc;
}

static int print_absent(struct fg_printer *p, const struct fg_message *type, const struct survey *survey, bool *first)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < type->fields_len; i++) {
        const struct fg_field *field = &type->fields[i];
        if (field->presence || has(p, survey, SEEN, i))
            continue;
        put_key(p, field, first);
        if (field->repeated)
            fg_json_put_raw(p->out, field->map ? "{}" : "[]", 2);
        else
            rc = fg_print_default(p, field);
    }
    return rc;
}

int fg_print_fields(struct fg_printer *p, const struct fg_message *type, struct fg_span span, bool first)
{
    struct survey survey;

    open_survey(p, type, &survey);
    int rc = look_through(p, type, span, &survey);
    if (rc == 0)
        rc = print_surveyed(p, type, span, &survey, &first);
    if (rc == 0 && p->how->emit_defaults)
        rc = print_absent(p, type, &survey, &first);
    p->found_len = survey.base;
    return rc;
}

int fg_print_message(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    int rc;

    if (p->depth == FG_PROTO_JSON_DEPTH)
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "messages are nested more than %d deep",
                             FG_PROTO_JSON_DEPTH);
    p->depth++;
    if (type->well_known != FG_NOT_WELL_KNOWN) {
        rc = fg_print_well_known(p, type, span);
    } else {
        fg_json_put(p->out, '{');
        rc = fg_print_fields(p, type, span, true);
        fg_json_put(p->out, '}');
    }
    p->depth--;
    return rc;
}

/* ---- the way in ---- */

static void begin(struct fg_printer *p, const struct fg_proto_to_json *how, struct fg_json_out *out,
                  struct fg_proto_json_error *error, struct fg_span span)
{
    p->how = how;
    p->out = out;
    p->error = error;
    p->joined = NULL;
    p->joined_len = p->steps_len = p->found_len = 0;
    p->work = 0;
    p->work_max = WORK_FACTOR * fg_span_len(&span) + 1024;
    p->depth = 0;
    p->found = p->found_first;
    p->found_cap = FG_ARRAY_LEN(p->found_first);
    error->code = FG_STATUS_OK;
}

static int end(struct fg_printer *p, int rc)
{
    while (p->joined) {
        struct fg_joined *joined = p->joined;
        p->joined = joined->next;
        free(joined);
    }
    if (p->found != p->found_first)
        free(p->found);
    fg_json_flush(p->out);
    if (rc == 0 && p->out->failed)
        rc = fg_print_fail(p, FG_STATUS_RESOURCE_EXHAUSTED, "the JSON is larger than allowed");
    return rc;
}

int fg_proto_to_json(const struct fg_proto_to_json *how, const struct fg_message *type, const struct fg_str *parts,
                     size_t parts_len, struct fg_json_out *out, struct fg_proto_json_error *error)
{
    struct fg_span span = fg_span_of(parts, parts_len);
    struct fg_printer p;

    begin(&p, how, out, error, span);
    return end(&p, fg_print_message(&p, type, span));
}

static int print_field(struct fg_printer *p, const struct fg_message *type, struct fg_span span,
                       const struct fg_field *field)
{
    struct fg_occurrence settled;

    if (field->repeated)
        return fg_print_list(p, type, span, field);
    int found = fg_print_settle(p, type, span, field, &settled);
    if (found < 0)
        return -1;
    enter(p, field, 0);
    int rc = found > 0 ? fg_print_value(p, &settled) : fg_print_default(p, field);
    leave(p);
    return rc;
}

int fg_proto_to_json_field(const struct fg_proto_to_json *how, const struct fg_message *type,
                           const struct fg_field *field, const struct fg_str *parts, size_t parts_len,
                           struct fg_json_out *out, struct fg_proto_json_error *error)
{
    struct fg_span span = fg_span_of(parts, parts_len);
    struct fg_printer p;

    begin(&p, how, out, error, span);
    return end(&p, print_field(&p, type, span, field));
}
