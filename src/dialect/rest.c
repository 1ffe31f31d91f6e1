#include "dialect/rest.h"

#include <stdlib.h>

#include "dialect/codec.h"
#include "dialect/connect.h"
#include "rpc/descriptor_wire.h"
#include "rpc/gzip.h"
#include "rpc/json_split.h"
#include "rpc/message.h"

enum form { FORM_JSON, FORM_NDJSON, FORM_EVENTS, FORM_RAW /* google.api.HttpBody */ };

struct rest {
    struct fg_face face;
    struct fg_codec codec; /* its descriptors and method */
    struct fg_http_match match;
    struct fg_str query, content_type;
    bool many_in, raw_in, gzip_in, has_message;
    enum form form;
    struct fg_json_split split;
    struct fg_outq in, out, answer; /* what came of a message; of the endpoint's; the unary answer's content */
    struct fg_headers head;         /* of the answer, copied */
    bool head_sent;
    struct fg_gzip_stream *gzip; /* of a stream's answer; NULL: it goes as it is */
};

static struct rest *rest_of(struct fg_face *face)
{
    return FG_CONTAINER_OF(face, struct rest, face);
}

enum fg_http_found fg_rest_find(const struct fg_call_env *env, const struct fg_headers *request,
                                struct fg_http_match *match, struct fg_descriptors **descriptors)
{
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    enum fg_http_found best = FG_HTTP_NO_PATH;
    struct fg_http_match now;

    *descriptors = NULL;
    if (!path || !method)
        return best;
    const char *query = memchr(path->value.p, '?', path->value.len);
    struct fg_str bare = {path->value.p, query ? (size_t)(query - path->value.p) : path->value.len};
    for (size_t i = 0; i < env->config->clusters_len && best != FG_HTTP_FOUND; i++) {
        struct fg_descriptors *set = fg_cluster_descriptors(&env->clusters[i]);
        if (!set || !fg_descriptors_http(set))
            continue;
        enum fg_http_found found = fg_http_route(fg_descriptors_http(set), method->value, bare, &now);
        if (*descriptors && found <= best)
            continue;
        *descriptors = set;
        *match = now;
        best = found;
    }
    return best;
}

/* ---- requests ---- */

static bool is_http_body(const struct fg_message *type)
{
    return fg_str_eq(type->full_name, FG_STR("google.api.HttpBody"));
}

static const struct fg_message *body_type(const struct rest *rest)
{
    const struct fg_http_binding *binding = rest->match.binding;

    if (binding->body == FG_HTTP_BODY_ALL)
        return binding->method->input;
    return binding->body == FG_HTTP_BODY_FIELD ? binding->body_field->message : NULL;
}

static enum form form_of(const struct rest *rest, const struct fg_headers *request)
{
    const struct fg_http_binding *binding = rest->match.binding;
    const struct fg_message *type =
        binding->response_field ? binding->response_field->message : binding->method->output;
    struct fg_str accept = fg_face_field(request, FG_STR("accept"));

    if (type && is_http_body(type))
        return FORM_RAW;
    if (!binding->method->server_streaming)
        return FORM_JSON;
    return memmem(accept.p, accept.len, "text/event-stream", 17) ? FORM_EVENTS : FORM_NDJSON;
}

static void set_content(struct rest *rest, const struct fg_headers *request)
{
    struct fg_face *face = &rest->face;
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct fg_str encoding = fg_face_field(request, FG_STR("content-encoding"));
    const struct fg_message *body = body_type(rest);

    rest->content_type = type ? type->value : FG_STR("");
    rest->raw_in = body && is_http_body(body);
    rest->many_in = rest->match.binding->method->client_streaming && !rest->raw_in;
    rest->gzip_in = fg_str_eq(encoding, FG_STR("gzip"));
    if (rest->gzip_in ? rest->many_in : encoding.len > 0 && !fg_str_eq(encoding, FG_STR("identity")))
        fg_face_refuse(
            face, FG_REASON_UNSUPPORTED_ENCODING, 415,
            FG_STR("the request's content-encoding is not supported: leave it out, or use gzip for one message"));
    else if (body && type && !rest->raw_in && !fg_face_is_type(type->value, FG_STR("application/json")) &&
             !fg_face_is_type(type->value, FG_STR("application/x-ndjson")))
        fg_face_refuse(face, FG_REASON_BAD_REQUEST, 415,
                       fg_arena_printf(face->arena, "unsupported content-type \"%.*s\": expected application/json",
                                       (int)FG_MIN(type->value.len, (size_t)100), type->value.p));
}

static void begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    struct rest *rest = rest_of(face);
    const struct fg_header *path = fg_headers_get(request, FG_TOKEN_PATH);
    const struct fg_header *accepts = fg_headers_get(request, FG_TOKEN_ACCEPT_ENCODING);
    const char *query = path ? memchr(path->value.p, '?', path->value.len) : NULL;
    struct fg_descriptors *descriptors;

    fg_outq_init(&rest->in, face->mem);
    fg_outq_init(&rest->out, face->mem);
    fg_outq_init(&rest->answer, face->mem);
    fg_headers_add_token(out, face->arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc+proto"));
    fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ACCEPT_ENCODING, FG_STR("identity"));
    enum fg_http_found found = fg_rest_find(face->env, request, &rest->match, &descriptors);
    if (descriptors)
        rest->codec.descriptors = fg_descriptors_ref(descriptors);
    if (found == FG_HTTP_NO_PATH) {
        fg_face_refuse(face, FG_REASON_UNKNOWN_METHOD, 404,
                       fg_arena_printf(face->arena, "no method has a rule for the path %.*s",
                                       (int)FG_MIN(face->path.len, (size_t)200), face->path.p));
        return;
    }
    if (found == FG_HTTP_NO_METHOD) {
        fg_face_refuse(face, FG_REASON_METHOD_NOT_ALLOWED, 405,
                       fg_arena_printf(face->arena, "the path has rules for %s only", rest->match.allow));
        return;
    }
    rest->codec.method = rest->match.binding->method;
    face->path = rest->codec.method->path;
    rest->query =
        query ? (struct fg_str){query + 1, path->value.len - (size_t)(query + 1 - path->value.p)} : FG_STR("");
    rest->form = form_of(rest, request);
    rest->codec.takes_gzip = accepts && fg_gzip_is_accepted(accepts->value);
    set_content(rest, request);
}

static bool drops(struct fg_str name)
{
    return fg_str_eq(name, FG_STR("content-encoding"));
}

/* google.api.HttpBody: content_type (1) and data (2). */
static void put_raw(struct rest *rest, struct fg_proto_out *out, const struct fg_str *parts, size_t parts_len)
{
    size_t len = 0;

    if (rest->content_type.len > 0) {
        fg_proto_put_varint(out, 1 << 3 | FG_WIRE_BYTES);
        fg_proto_put_varint(out, rest->content_type.len);
        fg_proto_put_bytes(out, rest->content_type.p, rest->content_type.len);
    }
    for (size_t i = 0; i < parts_len; i++)
        len += parts[i].len;
    fg_proto_put_varint(out, 2 << 3 | FG_WIRE_BYTES);
    fg_proto_put_varint(out, len);
    for (size_t i = 0; i < parts_len; i++)
        fg_proto_put_bytes(out, parts[i].p, parts[i].len);
}

static int put_content(struct rest *rest, const struct fg_json_to_proto *how, const struct fg_str *parts,
                       size_t parts_len, struct fg_proto_out *out, struct fg_proto_json_error *error)
{
    const struct fg_http_binding *binding = rest->match.binding;
    bool empty = parts_len == 0;

    if (binding->body == FG_HTTP_BODY_NONE)
        return 0;
    if (rest->raw_in && binding->body == FG_HTTP_BODY_ALL) {
        put_raw(rest, out, parts, parts_len);
        return 0;
    }
    if (rest->raw_in) {
        if (!fg_proto_begin(out, binding->body_field->number))
            return -1;
        put_raw(rest, out, parts, parts_len);
        fg_proto_end(out, true);
        return 0;
    }
    if (empty) /* no content is an empty message, as grpc-gateway and Envoy have it */
        return 0;
    if (binding->body == FG_HTTP_BODY_FIELD)
        return fg_json_to_proto_field(how, binding->body_field, parts, parts_len, out, error);
    return fg_json_to_proto(how, binding->method->input, parts, parts_len, out, error);
}

/* What is kept in `in` is one message: it goes on. */
static bool deliver(struct rest *rest, bool end)
{
    struct fg_face *face = &rest->face;
    struct fg_proto_json_error error;
    struct fg_proto_out proto;
    struct fg_outq canonical;
    size_t parts_len;

    if (rest->gzip_in && rest->in.bytes > 0 && !fg_codec_inflate(face, &rest->in, true, "request"))
        return false;
    struct fg_str *parts = fg_message_parts(&rest->in, &parts_len);
    fg_outq_init(&canonical, face->mem);
    fg_proto_out_init(&proto, face->mem, fg_face_max_message(face));
    const struct fg_json_to_proto how = fg_codec_reading(&rest->codec, face);
    int rc = put_content(rest, &how, parts, parts_len, &proto, &error);
    if (rc == 0)
        rc = fg_http_put_fields(&rest->match, rest->query, &how, face->arena, &proto, &error);
    if (rc == 0 && proto.failed) {
        fg_codec_too_large(face, "request");
    } else if (rc == 0) {
        fg_message_put_prefix(&canonical, 0, (size_t)fg_proto_out_len(&proto));
        fg_proto_out_move(&proto, &canonical);
        fg_face_deliver_all(face, &canonical, end);
    } else {
        fg_codec_fail(face, &error, true);
    }
    fg_proto_out_cleanup(&proto);
    fg_outq_cleanup(&canonical);
    fg_outq_cleanup(&rest->in);
    free(parts);
    return rc == 0;
}

static void bad_stream(struct fg_face *face, const char *message)
{
    fg_face_fail(face, FG_REASON_MALFORMED_MESSAGE, FG_STATUS_INVALID_ARGUMENT, fg_str_from(message));
}

/* NDJSON or one array: each value is a message. */
static void deliver_many(struct rest *rest, struct fg_buf buf, bool end)
{
    struct fg_face *face = &rest->face;
    enum fg_json_split_result result = FG_JSON_SPLIT_VALUE;
    struct fg_str piece;
    size_t at = 0;

    while (result == FG_JSON_SPLIT_VALUE && !fg_face_is_over(face)) {
        result = fg_json_split_feed(&rest->split, (const char *)buf.data, buf.len, &at, &piece);
        if (rest->in.bytes + piece.len > fg_face_max_message(face)) {
            fg_codec_too_large(face, "request");
            return;
        }
        fg_outq_copy(&rest->in, piece.p, piece.len);
        if (result == FG_JSON_SPLIT_VALUE && !deliver(rest, false))
            return;
    }
    if (fg_face_is_over(face))
        return;
    int open = end ? fg_json_split_end(&rest->split) : 0;
    if (result == FG_JSON_SPLIT_BAD || open < 0)
        bad_stream(face, open < 0 ? "the request ends inside of a JSON value or array"
                                  : "the request is neither JSON values one after the other nor an array of them");
    else if (end && open > 0)
        deliver(rest, true);
    else if (end)
        fg_face_deliver(face, (struct fg_buf){0}, true);
}

static void on_data(struct fg_face *face, struct fg_buf buf, bool end)
{
    struct rest *rest = rest_of(face);

    if (rest->many_in) {
        deliver_many(rest, buf, end);
        return;
    }
    if (rest->in.bytes + buf.len > fg_face_max_message(face)) {
        fg_codec_too_large(face, "request");
        return;
    }
    if (buf.len > 0)
        fg_outq_keep(&rest->in, buf);
    if (end)
        deliver(rest, true);
}

/* ---- answers ---- */

static void send_headers(struct fg_face *face, struct fg_headers *headers)
{
    struct rest *rest = rest_of(face);

    for (uint32_t i = 0; i < headers->len; i++)
        if (fg_connect_is_metadata(&headers->items[i]))
            fg_headers_add_copy(&rest->head, face->arena, &headers->items[i]);
}

static void add_head(struct rest *rest, struct fg_headers *out, unsigned status, struct fg_str type)
{
    struct fg_arena *arena = rest->face.arena;

    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_STATUS, fg_arena_printf(arena, "%u", status));
    fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_TYPE, type);
    for (uint32_t i = 0; i < rest->head.len; i++)
        *fg_headers_add_slot(out, arena) = rest->head.items[i];
}

static void send_stream_head(struct rest *rest)
{
    static const struct fg_str types[] = {[FORM_JSON] = {"application/json", 16},
                                          [FORM_NDJSON] = {"application/x-ndjson", 20},
                                          [FORM_EVENTS] = {"text/event-stream", 17},
                                          [FORM_RAW] = {"application/octet-stream", 24}};
    struct fg_headers out;

    if (rest->head_sent)
        return;
    rest->head_sent = true;
    add_head(rest, &out, 200,
             rest->form == FORM_RAW && rest->content_type.len > 0 ? rest->content_type : types[rest->form]);
    if (rest->codec.takes_gzip) {
        fg_headers_add(&out, rest->face.arena, FG_STR("vary"), FG_STR("accept-encoding"));
        if (rest->form != FORM_RAW) { /* what that is may be compressed already */
            rest->gzip = fg_gzip_stream_new();
            fg_headers_add(&out, rest->face.arena, FG_STR("content-encoding"), FG_STR("gzip"));
        }
    }
    fg_face_send_headers(&rest->face, &out, false);
}

/* A part of a stream's answer, or with END its end. */
static void send_record(struct rest *rest, struct fg_outq *record, bool end)
{
    struct fg_outq packed;

    if (rest->gzip && !rest->face.client_ended) {
        fg_outq_init(&packed, rest->face.mem);
        fg_gzip_stream_feed(rest->gzip, record, end, &packed);
        fg_outq_cleanup(record);
        fg_outq_move(&packed, packed.bytes, record);
        fg_outq_cleanup(&packed);
    }
    fg_face_send_all(&rest->face, record, end);
}

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

/* CONTENT of a google.api.HttpBody: its data at the end of TO; its type is noted. */
static bool take_raw(struct rest *rest, const struct fg_outq *content, struct fg_outq *to)
{
    struct fg_face *face = &rest->face;
    char *bytes = fg_alloc(content->bytes + 1);
    struct fg_wire wire = fg_wire_of((struct fg_str){bytes, content->bytes});
    struct fg_wire_field field;

    fg_outq_read(content, bytes, content->bytes);
    if (!rest->has_message)
        rest->content_type = FG_STR("");
    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES && !rest->has_message)
            rest->content_type = fg_arena_copy(face->arena, field.bytes);
        else if (field.number == 2 && field.type == FG_WIRE_BYTES)
            fg_outq_copy(to, field.bytes.p, field.bytes.len);
    }
    free(bytes);
    if (wire.failed)
        fg_face_fail(face, FG_REASON_UPSTREAM_PROTOCOL_ERROR, FG_STATUS_INTERNAL,
                     FG_STR("the endpoint's google.api.HttpBody is malformed"));
    return !wire.failed;
}

/* One message of the answer in the client's form, at the end of TO. */
static bool convert(struct rest *rest, const struct fg_outq *content, struct fg_outq *to)
{
    const struct fg_http_binding *binding = rest->match.binding;
    struct fg_proto_to_json how = {.descriptors = rest->codec.descriptors, .emit_defaults = true};
    struct fg_proto_json_error error;
    struct fg_json_out json;
    char buffer[4096];
    size_t parts_len;
    int rc;

    if (rest->form == FORM_RAW && !binding->response_field)
        return take_raw(rest, content, to);
    struct fg_str *parts = fg_message_parts(content, &parts_len);
    fg_json_out_init(&json, buffer, sizeof buffer, keep, to);
    json.max = fg_face_max_message(&rest->face);
    if (binding->response_field)
        rc = fg_proto_to_json_field(&how, binding->method->output, binding->response_field, parts, parts_len, &json,
                                    &error);
    else
        rc = fg_proto_to_json(&how, binding->method->output, parts, parts_len, &json, &error);
    free(parts);
    if (rc != 0)
        fg_codec_fail(&rest->face, &error, false);
    return rc == 0;
}

static void take_message(struct rest *rest, const struct fg_outq *content)
{
    struct fg_face *face = &rest->face;
    struct fg_outq record;

    if (!rest->codec.method->server_streaming) {
        if (rest->has_message)
            fg_face_fail(face, FG_REASON_CARDINALITY, FG_STATUS_UNIMPLEMENTED,
                         FG_STR("the endpoint sent more than one message for a unary call"));
        else if (!convert(rest, content, &rest->answer))
            fg_outq_cleanup(&rest->answer);
        rest->has_message = true;
        return;
    }
    fg_outq_init(&record, face->mem);
    if (rest->form == FORM_EVENTS)
        fg_outq_copy(&record, "data: ", 6);
    if (convert(rest, content, &record)) {
        if (rest->form != FORM_RAW)
            fg_outq_copy(&record, "\n\n", rest->form == FORM_EVENTS ? 2 : 1);
        send_stream_head(rest);
        send_record(rest, &record, false);
        rest->has_message = true;
    }
    fg_outq_cleanup(&record);
}

static void send_data(struct fg_face *face, struct fg_buf buf)
{
    struct rest *rest = rest_of(face);
    enum fg_message_result result = FG_MESSAGE_NONE;
    struct fg_outq content;
    uint8_t flags;

    fg_outq_keep(&rest->out, buf);
    fg_buf_unref(&buf);
    fg_outq_init(&content, face->mem);
    while (!face->client_ended &&
           (result = fg_message_take(&rest->out, fg_face_max_message(face), &flags, &content)) == FG_MESSAGE_WHOLE) {
        if (!(flags & FG_MESSAGE_COMPRESSED) || fg_codec_inflate(face, &content, true, "answer"))
            take_message(rest, &content);
        fg_outq_cleanup(&content);
    }
    if (result == FG_MESSAGE_TOO_LARGE)
        fg_codec_too_large(face, "answer");
}

static void send_answer(struct rest *rest, const struct fg_headers *trailers)
{
    struct fg_face *face = &rest->face;
    bool packed = fg_codec_pack(&rest->codec, &rest->answer);
    struct fg_headers out;

    add_head(rest, &out, 200,
             rest->form != FORM_RAW       ? FG_STR("application/json")
             : rest->content_type.len > 0 ? rest->content_type
                                          : FG_STR("application/octet-stream"));
    if (packed)
        fg_headers_add(&out, face->arena, FG_STR("content-encoding"), FG_STR("gzip"));
    if (rest->codec.takes_gzip)
        fg_headers_add(&out, face->arena, FG_STR("vary"), FG_STR("accept-encoding"));
    fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_LENGTH,
                         fg_arena_printf(face->arena, "%zu", rest->answer.bytes));
    fg_connect_add_trailers(face->arena, &out, trailers);
    fg_face_send_headers(face, &out, false);
    fg_face_send_all(face, &rest->answer, true);
}

static void send_error(struct rest *rest, const struct fg_headers *trailers)
{
    struct fg_face *face = &rest->face;
    uint64_t retry_after_s = fg_rest_retry_after_s(face->arena, trailers);
    struct fg_outq json;
    struct fg_headers out;

    fg_outq_init(&json, face->mem);
    fg_rest_put_error(face, rest->codec.descriptors, &json, trailers);
    add_head(rest, &out,
             face->http_status ? face->http_status : fg_rest_http_status(face->call, fg_connect_status(trailers)),
             FG_STR("application/json"));
    if (face->http_status == 405)
        fg_headers_add(&out, face->arena, FG_STR("allow"), fg_str_from(rest->match.allow));
    if (retry_after_s > 0)
        fg_headers_add(&out, face->arena, FG_STR("retry-after"),
                       fg_arena_printf(face->arena, "%llu", (unsigned long long)retry_after_s));
    fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_LENGTH, fg_arena_printf(face->arena, "%zu", json.bytes));
    fg_connect_add_trailers(face->arena, &out, trailers);
    fg_face_send_headers(face, &out, false);
    fg_face_send_all(face, &json, true);
}

/* A stream that has begun: its last record tells, and it is cut, so that nobody takes it for whole. */
static void send_last_record(struct rest *rest, const struct fg_headers *trailers)
{
    struct fg_face *face = &rest->face;
    struct fg_outq record;

    fg_outq_init(&record, face->mem);
    if (rest->form != FORM_RAW) {
        if (rest->form == FORM_EVENTS)
            fg_outq_copy(&record, "event: error\ndata: ", 19);
        fg_outq_copy(&record, "{\"error\":", 9);
        fg_rest_put_error(face, rest->codec.descriptors, &record, trailers);
        fg_outq_copy(&record, "}\n\n", rest->form == FORM_EVENTS ? 3 : 2);
    }
    send_record(rest, &record, false);
    fg_face_abort(face);
}

static void send_no_message(struct rest *rest)
{
    struct fg_headers trailers;

    fg_face_own_status(&rest->face, FG_REASON_CARDINALITY, FG_STR("the endpoint sent no message for a unary call"),
                       &trailers);
    send_error(rest, &trailers);
}

static void send_end(struct fg_face *face, struct fg_headers *trailers, bool only)
{
    struct rest *rest = rest_of(face);
    bool ok = fg_connect_status(trailers) == FG_STATUS_OK;
    (void)only;

    if (!ok && rest->head_sent) {
        send_last_record(rest, trailers);
    } else if (!ok) {
        send_error(rest, trailers);
    } else if (rest->codec.method->server_streaming) {
        struct fg_outq nothing;
        fg_outq_init(&nothing, face->mem);
        send_stream_head(rest);
        send_record(rest, &nothing, true);
    } else if (rest->has_message) {
        send_answer(rest, trailers);
    } else {
        send_no_message(rest);
    }
}

static void cleanup(struct fg_face *face)
{
    struct rest *rest = rest_of(face);

    fg_outq_cleanup(&rest->in);
    fg_outq_cleanup(&rest->out);
    fg_outq_cleanup(&rest->answer);
    fg_gzip_stream_free(rest->gzip);
    fg_codec_cleanup(&rest->codec);
}

static const struct fg_dialect dialect = FG_FACE_DIALECT("rest");

const struct fg_face_ops fg_face_rest = {
    .whole = true,
    .bytes = sizeof(struct rest),
    .dialect = &dialect,
    .begin = begin,
    .drops = drops,
    .on_data = on_data,
    .send_headers = send_headers,
    .send_data = send_data,
    .send_end = send_end,
    .cleanup = cleanup,
};
