/* protobuf to JSON: the well-known types (protobuf.dev/reference/protobuf/google.protobuf). Which fields they have has
 * been checked when the set was compiled. */
#include <math.h>
#include <stdio.h>

#include "rpc/proto_json_print.h"
#include "rpc/proto_json_time.h"

static int settle(struct fg_printer *p, const struct fg_message *type, struct fg_span span, uint32_t number,
                  struct fg_occurrence *out)
{
    return fg_print_settle(p, type, span, &type->fields[number - 1], out);
}

static int print_time(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    struct fg_occurrence seconds, nanos;
    char text[FG_TIME_TEXT];

    int has_seconds = settle(p, type, span, 1, &seconds), has_nanos = settle(p, type, span, 2, &nanos);
    if (has_seconds < 0 || has_nanos < 0)
        return -1;
    int64_t s = has_seconds > 0 ? (int64_t)seconds.value : 0;
    int32_t n = has_nanos > 0 ? (int32_t)(uint32_t)nanos.value : 0;
    size_t len = type->well_known == FG_TIMESTAMP ? fg_timestamp_print(s, n, text) : fg_duration_print(s, n, text);
    if (len == 0)
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a %s is out of range",
                             type->well_known == FG_TIMESTAMP ? "Timestamp" : "Duration");
    fg_json_put(p->out, '"');
    fg_json_put_raw(p->out, text, len);
    fg_json_put(p->out, '"');
    return 0;
}

/* order_id.item -> orderId.item; only what can be turned back. */
static int print_path(struct fg_printer *p, struct fg_span span)
{
    bool upper = false;

    while (fg_span_more(&span)) {
        uint8_t c = *span.at++;
        bool lower = c >= 'a' && c <= 'z';
        bool fine = lower || c == '.' || (c >= '0' && c <= '9') || c == '_';
        if (!fine || (upper && !lower))
            return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a path of a FieldMask has no JSON form");
        if (c != '_')
            fg_json_put(p->out, (char)(upper ? c - 'a' + 'A' : c));
        upper = c == '_';
    }
    return upper ? fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a path of a FieldMask ends in _") : 0;
}

static int print_field_mask(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    struct fg_occurrence path;
    bool first = true;
    int rc;

    fg_json_put(p->out, '"');
    while ((rc = fg_occurrence_next(&span, type, &path)) > 0) {
        if (!first)
            fg_json_put(p->out, ',');
        first = false;
        if (print_path(p, path.body) < 0)
            return -1;
    }
    fg_json_put(p->out, '"');
    return rc < 0 ? fg_print_malformed(p) : 0;
}

/* google.protobuf.Value: the member that came last; without one it is taken for null. */
static int print_any_value(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    const struct fg_field *kind = NULL;
    struct fg_occurrence occurrence;
    struct fg_span at = span;
    int rc;

    while ((rc = fg_occurrence_next(&at, type, &occurrence)) > 0)
        kind = occurrence.field;
    if (rc < 0)
        return fg_print_malformed(p);
    if (!kind) {
        fg_json_put_raw(p->out, "null", 4);
        return 0;
    }
    if (fg_print_settle(p, type, span, kind, &occurrence) < 0)
        return -1;
    double number;
    memcpy(&number, &occurrence.value, sizeof number);
    if (kind->type == FG_TYPE_DOUBLE && !isfinite(number))
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "a Value is NaN or infinite");
    return fg_print_value(p, &occurrence);
}

static int print_wrapper(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    struct fg_occurrence value;
    int found = settle(p, type, span, 1, &value);

    if (found < 0)
        return -1;
    return found > 0 ? fg_print_value(p, &value) : fg_print_default(p, &type->fields[0]);
}

/* The message that "type.googleapis.com/pkg.Message" names; NULL: unknown. */
static const struct fg_message *type_of_url(const struct fg_printer *p, struct fg_span url)
{
    char text[FG_DESCRIPTORS_MAX_NAME + 256];
    size_t len = 0;

    if (!p->how->descriptors || fg_span_len(&url) > sizeof text)
        return NULL;
    while (fg_span_more(&url))
        text[len++] = (char)*url.at++;
    const char *slash = memrchr(text, '/', len);
    if (!slash)
        return NULL;
    struct fg_str name = {slash + 1, (size_t)(text + len - slash) - 1};
    return fg_descriptors_message(p->how->descriptors, name);
}

static int print_any(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    struct fg_occurrence url, value;
    int has_url = settle(p, type, span, 1, &url), has_value = settle(p, type, span, 2, &value), rc;

    if (has_url < 0 || has_value < 0)
        return -1;
    if (has_url == 0 && has_value == 0) {
        fg_json_put_raw(p->out, "{}", 2);
        return 0;
    }
    const struct fg_message *inner = has_url > 0 ? type_of_url(p, url.body) : NULL;
    if (!inner)
        return fg_print_fail(p, FG_STATUS_INVALID_ARGUMENT, "the type of an Any is not known");
    struct fg_span content = has_value > 0 ? value.body : fg_span_of(NULL, 0);
    fg_json_put_raw(p->out, "{\"@type\":", 9);
    if (fg_print_value(p, &url) < 0)
        return -1;
    if (inner->well_known != FG_NOT_WELL_KNOWN) {
        fg_json_put_raw(p->out, ",\"value\":", 9);
        rc = fg_print_message(p, inner, content);
    } else {
        rc = fg_print_fields(p, inner, content, false);
    }
    fg_json_put(p->out, '}');
    return rc;
}

int fg_print_well_known(struct fg_printer *p, const struct fg_message *type, struct fg_span span)
{
    switch (type->well_known) {
    case FG_ANY:
        return print_any(p, type, span);
    case FG_TIMESTAMP:
    case FG_DURATION:
        return print_time(p, type, span);
    case FG_FIELD_MASK:
        return print_field_mask(p, type, span);
    case FG_STRUCT:
    case FG_LIST_VALUE:
        return fg_print_list(p, type, span, &type->fields[0]);
    case FG_VALUE:
        return print_any_value(p, type, span);
    default: /* FG_WRAPPER */
        return print_wrapper(p, type, span);
    }
}
