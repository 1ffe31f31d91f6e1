/* Errors as JSON, for REST and plain HTTP. */
#include "dialect/connect.h"
#include "dialect/rest.h"
#include "rpc/base64_stream.h"
#include "rpc/descriptor_wire.h"
#include "rpc/error_details.h"
#include "rpc/json_write.h"

#include <stdlib.h>

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

static void put_raw(struct fg_json_out *out, const char *text)
{
    fg_json_put_raw(out, text, strlen(text));
}

static void put_pair(struct fg_json_out *out, const char *raw, struct fg_str text)
{
    put_raw(out, raw);
    fg_json_put_text(out, text);
}

unsigned fg_rest_http_status(const struct fg_call *call, enum fg_status code)
{
    const struct fg_config_route *route = call ? call->route : NULL;

    if (route && route->unify && (route->outcomes.failure | route->outcomes.overload) & (1u << code))
        return (unsigned)route->unify;
    return fg_status_to_http(code);
}

/* RetryInfo.retry_delay */
static uint64_t delay_ns(struct fg_str bytes)
{
    struct fg_wire wire = fg_wire_of(bytes);
    struct fg_wire_field field, part;
    uint64_t ns = 0;

    while (fg_wire_next(&wire, &field)) {
        struct fg_wire duration = fg_wire_of(field.bytes);
        if (field.number != 1)
            continue;
        while (fg_wire_next(&duration, &part))
            ns += part.number == 1 ? FG_MIN(part.value, (uint64_t)1000000) * FG_S : FG_MIN(part.value, (uint64_t)FG_S);
    }
    return ns;
}

/* ---- details ---- */

struct any {
    struct fg_str url, name, value;
};

static bool read_any(struct fg_str bytes, struct any *any)
{
    struct fg_wire wire = fg_wire_of(bytes);
    struct fg_wire_field field;

    *any = (struct any){{"", 0}, {"", 0}, {"", 0}};
    while (fg_wire_next(&wire, &field)) {
        if (field.type == FG_WIRE_BYTES && field.number == 1)
            any->url = field.bytes;
        else if (field.type == FG_WIRE_BYTES && field.number == 2)
            any->value = field.bytes;
    }
    const char *slash = any->url.len > 0 ? memrchr(any->url.p, '/', any->url.len) : NULL;
    any->name = slash ? (struct fg_str){slash + 1, any->url.len - (size_t)(slash + 1 - any->url.p)} : any->url;
    return !wire.failed && any->name.len > 0;
}

/* The message's JSON, or nothing if it is not known to the service or to all. */
static bool print_known(const struct fg_descriptors *descriptors, const struct any *any, struct fg_outq *json)
{
    const struct fg_message *type = descriptors ? fg_descriptors_message(descriptors, any->name) : NULL;
    struct fg_proto_to_json how = {.descriptors = descriptors};
    struct fg_proto_json_error error;
    struct fg_json_out out;
    char buffer[1024];

    if (!type)
        type = fg_descriptors_message(fg_error_details(), any->name);
    if (!type)
        return false;
    fg_json_out_init(&out, buffer, sizeof buffer, keep, json);
    return fg_proto_to_json(&how, type, &any->value, 1, &out, &error) == 0;
}

static void put_any(struct fg_face *face, const struct fg_descriptors *descriptors, struct fg_json_out *out,
                    const struct any *any)
{
    struct fg_outq json;

    fg_outq_init(&json, face->mem);
    put_pair(out, "{\"@type\":", any->url);
    if (print_known(descriptors, any, &json)) {
        char *text = fg_alloc(json.bytes + 1);
        size_t len = json.bytes;
        fg_outq_read(&json, text, len);
        if (text[0] == '{' && len > 2) {
            fg_json_put(out, ',');
            fg_json_put_many(out, text + 1, len - 2);
        } else if (text[0] != '{') {
            put_raw(out, ",\"value\":");
            fg_json_put_many(out, text, len);
        }
        free(text);
    } else {
        size_t len = fg_base64_padded_len(any->value.len);
        char *text = fg_arena_alloc(face->arena, len);
        fg_base64_padded((const uint8_t *)any->value.p, any->value.len, text);
        put_pair(out, ",\"value\":", (struct fg_str){text, len});
    }
    fg_json_put(out, '}');
    fg_outq_cleanup(&json);
}

/* The next detail of a google.rpc.Status. */
static bool next_detail(struct fg_wire *status, struct any *any)
{
    struct fg_wire_field field;

    while (fg_wire_next(status, &field))
        if (field.number == 3 && field.type == FG_WIRE_BYTES && read_any(field.bytes, any))
            return true;
    return false;
}

static bool open_details(struct fg_arena *arena, const struct fg_headers *trailers, struct fg_wire *status)
{
    const struct fg_header *field = fg_headers_get(trailers, FG_TOKEN_GRPC_STATUS_DETAILS_BIN);
    struct fg_str bytes;

    if (!field || fg_base64_decode(arena, field->value, &bytes) != 0)
        return false;
    *status = fg_wire_of(bytes);
    return true;
}

uint64_t fg_rest_retry_after_s(struct fg_arena *arena, const struct fg_headers *trailers)
{
    struct fg_wire status;
    struct any any;

    if (!open_details(arena, trailers, &status))
        return 0;
    while (next_detail(&status, &any))
        if (fg_str_eq(any.name, FG_STR("google.rpc.RetryInfo")))
            return (delay_ns(any.value) + FG_S - 1) / FG_S;
    return 0;
}

void fg_rest_put_error(struct fg_face *face, const struct fg_descriptors *descriptors, struct fg_outq *q,
                       const struct fg_headers *trailers)
{
    const struct fg_header *message = fg_headers_get(trailers, FG_TOKEN_GRPC_MESSAGE);
    enum fg_status code = fg_connect_status(trailers);
    const char *before = "";
    struct fg_wire status;
    struct fg_json_out out;
    char buffer[1024];
    struct any any;

    fg_json_out_init(&out, buffer, sizeof buffer, keep, q);
    put_pair(&out, "{\"error\":", message ? fg_grpc_message_decode(face->arena, message->value) : FG_STR(""));
    put_raw(&out, ",\"code\":");
    fg_json_put_u64(&out, code);
    put_pair(&out, ",\"status\":", fg_str_from(fg_status_name(code)));
    put_raw(&out, ",\"details\":[");
    if (open_details(face->arena, trailers, &status))
        for (; next_detail(&status, &any); before = ",") {
            put_raw(&out, before);
            put_any(face, descriptors, &out, &any);
        }
    put_raw(&out, "]}");
    fg_json_flush(&out);
}
