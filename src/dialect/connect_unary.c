/* Connect's unary form: one message in the content of a request, one in that of the answer, HTTP statuses. */
#include "dialect/codec.h"
#include "dialect/connect.h"
#include "rpc/http_rule.h"
#include "rpc/message.h"

struct connect_unary {
    struct fg_face face;
    struct fg_codec codec;
    struct fg_str encoding;          /* of the request; empty: none */
    struct fg_str answer_in;         /* grpc-encoding of the answer */
    struct fg_outq in, out, message; /* the request; the endpoint's answer; its message as the client gets it */
    bool has_message, is_compressed;
    const char *allow;      /* of a refusal with 405 */
    struct fg_headers head; /* of the answer, copied */
};

static struct connect_unary *unary_of(struct fg_face *face)
{
    return FG_CONTAINER_OF(face, struct connect_unary, face);
}

static void refuse_method(struct fg_face *face, const char *allow)
{
    unary_of(face)->allow = allow;
    fg_face_refuse(face, FG_REASON_METHOD_NOT_ALLOWED, 405,
                   fg_arena_printf(face->arena, "a Connect request for this method must use %s", allow));
}

/* Base64 as URLs have it, or a text that is the message. */
static bool put_message(struct connect_unary *unary, struct fg_str text, bool is_base64)
{
    struct fg_face *face = &unary->face;
    char *at = fg_arena_alloc(face->arena, text.len + 1);
    struct fg_str bytes = text;

    for (size_t i = 0; i < text.len; i++)
        at[i] = text.p[i] == '-' ? '+' : text.p[i] == '_' ? '/' : text.p[i];
    if (is_base64 && fg_base64_decode(face->arena, (struct fg_str){at, text.len}, &bytes) != 0)
        return false;
    fg_outq_copy(&unary->in, bytes.p, bytes.len);
    return true;
}

/* All of a request by GET stands in its query. JSON? */
static bool read_query(struct connect_unary *unary, const struct fg_headers *request)
{
    struct fg_face *face = &unary->face;
    struct fg_str path = fg_headers_get(request, FG_TOKEN_PATH)->value, message, encoding = FG_STR(""), value;
    const char *mark = memchr(path.p, '?', path.len);
    struct fg_str query = {mark + 1, (size_t)(path.p + path.len - mark - 1)};

    (void)fg_http_query_get(query, FG_STR("encoding"), face->arena, &encoding);
    bool json = fg_str_eq(encoding, FG_STR("json"));
    bool is_base64 = fg_http_query_get(query, FG_STR("base64"), face->arena, &value) && fg_str_eq(value, FG_STR("1"));
    if (!json && !fg_str_eq(encoding, FG_STR("proto")))
        fg_face_refuse(face, FG_REASON_BAD_REQUEST, 415, FG_STR("the query's encoding must be proto or json"));
    if (fg_http_query_get(query, FG_STR("connect"), face->arena, &value) && !fg_str_eq(value, FG_STR("v1")))
        fg_face_refuse(face, FG_REASON_BAD_REQUEST, 0, FG_STR("the query's connect must be v1"));
    if (fg_http_query_get(query, FG_STR("compression"), face->arena, &value) && !fg_str_eq(value, FG_STR("identity")))
        unary->encoding = value;
    if (!fg_http_query_get(query, FG_STR("message"), face->arena, &message) || !put_message(unary, message, is_base64))
        fg_face_refuse(face, FG_REASON_MALFORMED_MESSAGE, 400, FG_STR("the query's message cannot be decoded"));
    return json;
}

static void begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    struct connect_unary *unary = unary_of(face);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    const struct fg_header *accepts = fg_headers_get(request, FG_TOKEN_ACCEPT_ENCODING);
    bool get = fg_connect_is_get(request), json = type && fg_face_is_type(type->value, FG_STR("application/json"));

    fg_outq_init(&unary->in, face->mem);
    fg_outq_init(&unary->out, face->mem);
    fg_outq_init(&unary->message, face->mem);
    unary->encoding = fg_face_field(request, FG_STR("content-encoding"));
    if (fg_str_eq(unary->encoding, FG_STR("identity")))
        unary->encoding.len = 0;
    if (get)
        json = read_query(unary, request);
    else if (!method || !fg_str_eq(method->value, FG_STR("POST")))
        refuse_method(face, "POST");
    fg_connect_begin(face, request, out);
    fg_codec_begin(&unary->codec, face, request, json, unary->encoding, accepts ? accepts->value : FG_STR(""), out);
    if (get && (!unary->codec.method || unary->codec.method->idempotency != FG_NO_SIDE_EFFECTS))
        refuse_method(face, "POST");
}

/* The whole content is one message. */
static void deliver(struct connect_unary *unary)
{
    struct fg_face *face = &unary->face;
    bool compressed = unary->encoding.len > 0 && unary->in.bytes > 0;
    struct fg_outq canonical;

    fg_outq_init(&canonical, face->mem);
    if (!unary->codec.json) {
        fg_message_put_prefix(&canonical, compressed ? FG_MESSAGE_COMPRESSED : 0, unary->in.bytes);
        fg_outq_move(&unary->in, unary->in.bytes, &canonical);
        fg_face_deliver_all(face, &canonical, true);
    } else if (fg_codec_to_proto(&unary->codec, face, &unary->in, compressed, &canonical)) {
        fg_face_deliver_all(face, &canonical, true);
    }
    fg_outq_cleanup(&canonical);
    fg_outq_cleanup(&unary->in);
}

static void on_data(struct fg_face *face, struct fg_buf buf, bool end)
{
    struct connect_unary *unary = unary_of(face);

    if (unary->in.bytes + buf.len > fg_face_max_message(face)) {
        fg_codec_too_large(face, "request");
        return;
    }
    fg_outq_keep(&unary->in, buf);
    if (end)
        deliver(unary);
}

/* ---- the answer ---- */

static void send_headers(struct fg_face *face, struct fg_headers *headers)
{
    struct connect_unary *unary = unary_of(face);

    for (uint32_t i = 0; i < headers->len; i++) {
        struct fg_header *field = &headers->items[i];
        if (field->token == FG_TOKEN_GRPC_ENCODING)
            unary->answer_in = fg_arena_copy(face->arena, field->value);
        else if (fg_connect_is_metadata(field))
            fg_headers_add_copy(&unary->head, face->arena, field);
    }
    fg_codec_answers_in(&unary->codec, unary->answer_in);
}

/* The answer has one message. */
static void take_message(struct connect_unary *unary)
{
    struct fg_face *face = &unary->face;
    struct fg_outq content;
    uint8_t flags;

    fg_outq_init(&content, face->mem);
    switch (fg_message_take(&unary->out, fg_face_max_message(face), &flags, &content)) {
    case FG_MESSAGE_NONE:
        break;
    case FG_MESSAGE_TOO_LARGE:
        fg_codec_too_large(face, "answer");
        break;
    case FG_MESSAGE_WHOLE:
        unary->has_message = true;
        unary->is_compressed = !unary->codec.json && flags & FG_MESSAGE_COMPRESSED;
        if (!unary->codec.json)
            fg_outq_move(&content, content.bytes, &unary->message);
        else if (!fg_codec_to_json(&unary->codec, face, &content, flags & FG_MESSAGE_COMPRESSED, &unary->message))
            fg_outq_cleanup(&unary->message);
        break;
    }
    fg_outq_cleanup(&content);
}

static void send_data(struct fg_face *face, struct fg_buf buf)
{
    struct connect_unary *unary = unary_of(face);

    fg_outq_keep(&unary->out, buf);
    fg_buf_unref(&buf);
    if (!unary->has_message)
        take_message(unary);
    if (unary->has_message && unary->out.bytes > 0 && !face->client_ended)
        fg_face_fail(face, FG_REASON_CARDINALITY, FG_STATUS_UNIMPLEMENTED,
                     FG_STR("the endpoint sent more than one message for a unary call"));
}

static void add_head(struct connect_unary *unary, struct fg_headers *out, unsigned status, struct fg_str type,
                     size_t length)
{
    struct fg_arena *arena = unary->face.arena;

    fg_headers_init(out);
    fg_headers_add_token(out, arena, FG_TOKEN_STATUS, fg_arena_printf(arena, "%u", status));
    fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_TYPE, type);
    fg_headers_add_token(out, arena, FG_TOKEN_CONTENT_LENGTH, fg_arena_printf(arena, "%zu", length));
    for (uint32_t i = 0; i < unary->head.len; i++)
        *fg_headers_add_slot(out, arena) = unary->head.items[i];
}

static void send_error(struct connect_unary *unary, const struct fg_headers *trailers)
{
    struct fg_face *face = &unary->face;
    struct fg_outq json;
    struct fg_headers out;

    fg_outq_cleanup(&unary->out);
    fg_outq_init(&json, face->mem);
    fg_connect_put_error(face, &json, trailers);
    add_head(unary, &out, face->http_status ? face->http_status : fg_status_to_http(fg_connect_status(trailers)),
             FG_STR("application/json"), json.bytes);
    if (face->http_status == 405)
        fg_headers_add(&out, face->arena, FG_STR("allow"), fg_str_from(unary->allow));
    fg_connect_add_trailers(face->arena, &out, trailers);
    fg_face_send_headers(face, &out, false);
    fg_face_send_all(face, &json, true);
}

/* An answer without a message says OK, but is none. */
static void send_no_message(struct connect_unary *unary)
{
    struct fg_face *face = &unary->face;
    struct fg_headers trailers;

    fg_face_own_status(face, FG_REASON_CARDINALITY,
                       unary->out.bytes > 0 ? FG_STR("the endpoint's answer ends inside of its message")
                                            : FG_STR("the endpoint sent no message for a unary call"),
                       &trailers);
    send_error(unary, &trailers);
}

static void send_message(struct connect_unary *unary, const struct fg_headers *trailers)
{
    struct fg_face *face = &unary->face;
    struct fg_headers out;

    bool packed = unary->codec.json && fg_codec_pack(&unary->codec, &unary->message);
    add_head(unary, &out, 200, unary->codec.json ? FG_STR("application/json") : FG_STR("application/proto"),
             unary->message.bytes);
    if (unary->is_compressed)
        fg_headers_add(&out, face->arena, FG_STR("content-encoding"), unary->answer_in);
    if (packed)
        fg_headers_add(&out, face->arena, FG_STR("content-encoding"), FG_STR("gzip"));
    if (unary->codec.takes_gzip)
        fg_headers_add(&out, face->arena, FG_STR("vary"), FG_STR("accept-encoding"));
    fg_connect_add_trailers(face->arena, &out, trailers);
    fg_face_send_headers(face, &out, false);
    fg_face_send_all(face, &unary->message, true);
}

static void send_end(struct fg_face *face, struct fg_headers *trailers, bool only)
{
    struct connect_unary *unary = unary_of(face);
    (void)only;

    if (fg_connect_status(trailers) != FG_STATUS_OK)
        send_error(unary, trailers);
    else if (unary->has_message)
        send_message(unary, trailers);
    else
        send_no_message(unary);
}

static void cleanup(struct fg_face *face)
{
    struct connect_unary *unary = unary_of(face);

    fg_outq_cleanup(&unary->in);
    fg_outq_cleanup(&unary->out);
    fg_outq_cleanup(&unary->message);
    fg_codec_cleanup(&unary->codec);
}

static const struct fg_dialect dialect = FG_FACE_DIALECT("connect");

const struct fg_face_ops fg_face_connect_unary = {
    .whole = true,
    .bytes = sizeof(struct connect_unary),
    .dialect = &dialect,
    .begin = begin,
    .drops = fg_connect_drops,
    .on_data = on_data,
    .send_headers = send_headers,
    .send_data = send_data,
    .send_end = send_end,
    .cleanup = cleanup,
};
