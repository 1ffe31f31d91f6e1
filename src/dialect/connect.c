#include "dialect/connect.h"

#include "rpc/descriptor_wire.h"
#include "rpc/json_write.h"

struct fg_str fg_connect_code(enum fg_status code)
{
    static const struct fg_str names[FG_STATUS_LEN] = {
#define CODE(name, text) [FG_STATUS_##name] = {text, sizeof(text) - 1}
        CODE(OK, "ok"),
        CODE(CANCELLED, "canceled"),
        CODE(UNKNOWN, "unknown"),
        CODE(INVALID_ARGUMENT, "invalid_argument"),
        CODE(DEADLINE_EXCEEDED, "deadline_exceeded"),
        CODE(NOT_FOUND, "not_found"),
        CODE(ALREADY_EXISTS, "already_exists"),
        CODE(PERMISSION_DENIED, "permission_denied"),
        CODE(RESOURCE_EXHAUSTED, "resource_exhausted"),
        CODE(FAILED_PRECONDITION, "failed_precondition"),
        CODE(ABORTED, "aborted"),
        CODE(OUT_OF_RANGE, "out_of_range"),
        CODE(UNIMPLEMENTED, "unimplemented"),
        CODE(INTERNAL, "internal"),
        CODE(UNAVAILABLE, "unavailable"),
        CODE(DATA_LOSS, "data_loss"),
        CODE(UNAUTHENTICATED, "unauthenticated"),
#undef CODE
    };
    return names[code];
}

enum fg_status fg_connect_status(const struct fg_headers *fields)
{
    const struct fg_header *field = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    enum fg_status code = FG_STATUS_UNKNOWN;

    if (field)
        fg_status_parse(field->value, &code);
    return code;
}

bool fg_connect_is_metadata(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_STATUS:
    case FG_TOKEN_CONTENT_TYPE:
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_TRAILER:
    case FG_TOKEN_GRPC_STATUS:
    case FG_TOKEN_GRPC_MESSAGE:
    case FG_TOKEN_GRPC_STATUS_DETAILS_BIN:
    case FG_TOKEN_GRPC_ENCODING:
    case FG_TOKEN_GRPC_ACCEPT_ENCODING:
        return false;
    default:
        return true;
    }
}

void fg_connect_add_trailers(struct fg_arena *arena, struct fg_headers *out, const struct fg_headers *trailers)
{
    for (uint32_t i = 0; i < trailers->len; i++) {
        const struct fg_header *field = &trailers->items[i];
        if (field->token == FG_TOKEN_X_FUSEGATE_ORIGIN)
            *fg_headers_add_slot(out, arena) = *field;
        else if (fg_connect_is_metadata(field))
            fg_headers_add(out, arena, fg_arena_printf(arena, "trailer-%.*s", (int)field->name.len, field->name.p),
                           field->value);
    }
}

/* ---- errors ---- */

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

static void put_raw(struct fg_json_out *out, const char *text)
{
    fg_json_put_raw(out, text, strlen(text));
}

/* One google.protobuf.Any. */
static bool put_detail(struct fg_face *face, struct fg_json_out *out, struct fg_str any, bool first)
{
    struct fg_wire wire = fg_wire_of(any);
    struct fg_wire_field field;
    struct fg_str type = FG_STR(""), value = FG_STR("");

    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            type = field.bytes;
        else if (field.number == 2 && field.type == FG_WIRE_BYTES)
            value = field.bytes;
    }
    const char *slash = type.len > 0 ? memrchr(type.p, '/', type.len) : NULL;
    if (slash)
        type = (struct fg_str){slash + 1, type.len - (size_t)(slash + 1 - type.p)};
    if (wire.failed || type.len == 0)
        return false;
    put_raw(out, first ? ",\"details\":[{\"type\":" : ",{\"type\":");
    fg_json_put_text(out, type);
    put_raw(out, ",\"value\":");
    fg_json_put_text(out, fg_base64_encode(face->arena, value.p, value.len));
    put_raw(out, "}");
    return true;
}

/* The details of a google.rpc.Status: its third field. */
static void put_details(struct fg_face *face, struct fg_json_out *out, struct fg_str text)
{
    struct fg_wire_field field;
    struct fg_str status;
    bool any = false;

    if (fg_base64_decode(face->arena, text, &status) != 0)
        return;
    struct fg_wire wire = fg_wire_of(status);
    while (fg_wire_next(&wire, &field))
        if (field.number == 3 && field.type == FG_WIRE_BYTES)
            any |= put_detail(face, out, field.bytes, !any);
    if (any)
        put_raw(out, "]");
}

void fg_connect_put_error(struct fg_face *face, struct fg_outq *q, const struct fg_headers *fields)
{
    const struct fg_header *message = fg_headers_get(fields, FG_TOKEN_GRPC_MESSAGE);
    const struct fg_header *details = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS_DETAILS_BIN);
    struct fg_json_out out;
    char buffer[512];

    fg_json_out_init(&out, buffer, sizeof buffer, keep, q);
    put_raw(&out, "{\"code\":");
    fg_json_put_text(&out, fg_connect_code(fg_connect_status(fields)));
    if (message && message->value.len > 0) {
        put_raw(&out, ",\"message\":");
        fg_json_put_text(&out, fg_grpc_message_decode(face->arena, message->value));
    }
    if (details)
        put_details(face, &out, details->value);
    put_raw(&out, "}");
    fg_json_flush(&out);
}

/* ---- requests ---- */

bool fg_connect_drops(struct fg_str name)
{
    return fg_str_starts_with(name, FG_STR("connect-")) || fg_str_eq(name, FG_STR("content-encoding"));
}

bool fg_connect_is_get(const struct fg_headers *request)
{
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    const char *query = path ? memchr(path->value.p, '?', path->value.len) : NULL;

    if (!query || !method || !fg_str_eq(method->value, FG_STR("GET")))
        return false;
    size_t len = (size_t)(path->value.p + path->value.len - query);
    return memmem(query, len, "encoding=", 9) && memmem(query, len, "message=", 8);
}

/* At most ten digits of milliseconds. */
static bool parse_timeout(struct fg_str value, uint64_t *ns)
{
    uint64_t ms = 0;

    if (value.len == 0 || value.len > 10)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        ms = ms * 10 + (uint64_t)(value.p[i] - '0');
    }
    *ns = ms * FG_MS;
    return true;
}

void fg_connect_begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    const struct fg_header *timeout = fg_headers_find(request, FG_STR("connect-timeout-ms"));
    const struct fg_header *version = fg_headers_find(request, FG_STR("connect-protocol-version"));
    uint64_t ns;

    if (version && !fg_str_eq(version->value, FG_STR("1")))
        fg_face_refuse(face, FG_REASON_BAD_REQUEST, 0, FG_STR("connect-protocol-version must be 1"));
    if (timeout && parse_timeout(timeout->value, &ns)) {
        char *text = fg_arena_alloc(face->arena, FG_GRPC_TIMEOUT_MAX);
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_TIMEOUT,
                             (struct fg_str){text, fg_grpc_timeout_format(ns, text)});
    } else if (timeout) {
        FG_COUNT(face->env->stats, malformed_timeouts);
        fg_face_refuse(face, FG_REASON_MALFORMED_TIMEOUT, 0, FG_STR("connect-timeout-ms is not 1-10 digits"));
    }
}
