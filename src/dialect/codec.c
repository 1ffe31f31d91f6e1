#include "dialect/codec.h"

#include <stdlib.h>

#include "rpc/gzip.h"
#include "rpc/message.h"
#include "rpc/proto_json.h"

static bool is_gzip(struct fg_str encoding)
{
    return fg_str_eq(encoding, FG_STR("gzip"));
}

static bool is_identity(struct fg_str encoding)
{
    return encoding.len == 0 || fg_str_eq(encoding, FG_STR("identity"));
}

static void begin_json(struct fg_codec *codec, struct fg_face *face, struct fg_str encoding)
{
    codec->json = true;
    codec->sends_gzip = is_gzip(encoding);
    if (!is_gzip(encoding) && !is_identity(encoding))
        fg_face_refuse(face, FG_REASON_UNSUPPORTED_ENCODING, 0,
                       fg_arena_printf(face->arena, "unknown compression \"%.*s\": supported are gzip and identity",
                                       (int)FG_MIN(encoding.len, (size_t)100), encoding.p));
    else if (!codec->descriptors)
        fg_face_refuse(face, FG_REASON_NO_DESCRIPTORS, 415,
                       FG_STR("JSON needs the service's descriptors, and the gateway has none: see the cluster's "
                              "`descriptors`"));
}

void fg_codec_begin(struct fg_codec *codec, struct fg_face *face, const struct fg_headers *request, bool json,
                    struct fg_str encoding, struct fg_str accepts, struct fg_headers *out)
{
    fg_headers_add_token(out, face->arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc+proto"));
    codec->descriptors = fg_face_descriptors(face, request);
    codec->method = fg_descriptors_method_of(codec->descriptors, face->path);
    if (codec->descriptors && !codec->method)
        fg_face_refuse(face, FG_REASON_UNKNOWN_METHOD, 404,
                       fg_arena_printf(face->arena, "the service's descriptors have no method %.*s",
                                       (int)FG_MIN(face->path.len, (size_t)200), face->path.p));
    if (json) {
        begin_json(codec, face, encoding);
        codec->takes_gzip = fg_gzip_is_accepted(accepts);
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ACCEPT_ENCODING, FG_STR("identity"));
        return;
    }
    if (encoding.len > 0)
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ENCODING, encoding);
    if (accepts.len > 0)
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ACCEPT_ENCODING, accepts);
}

void fg_codec_cleanup(struct fg_codec *codec)
{
    if (codec->descriptors)
        fg_descriptors_unref(codec->descriptors);
    codec->descriptors = NULL;
}

void fg_codec_answers_in(struct fg_codec *codec, struct fg_str encoding)
{
    codec->answers_gzip = is_gzip(encoding);
}

void fg_codec_too_large(struct fg_face *face, const char *whose)
{
    fg_face_fail(face, FG_REASON_MESSAGE_TOO_LARGE, FG_STATUS_RESOURCE_EXHAUSTED,
                 fg_arena_printf(face->arena, "a message of the %s is larger than the route's max_message, %llu bytes",
                                 whose, (unsigned long long)fg_face_max_message(face)));
}

bool fg_codec_inflate(struct fg_face *face, struct fg_outq *content, bool is_known, const char *whose)
{
    struct fg_outq plain;

    fg_outq_init(&plain, face->mem);
    enum fg_gzip_result result =
        is_known ? fg_gzip_inflate(content, fg_face_max_message(face), &plain) : FG_GZIP_MALFORMED;
    if (result == FG_GZIP_OK) {
        fg_outq_cleanup(content);
        fg_outq_move(&plain, plain.bytes, content);
    } else if (result == FG_GZIP_TOO_LARGE) {
        fg_codec_too_large(face, whose);
    } else {
        bool request = whose[0] == 'r';
        fg_face_fail(face, request ? FG_REASON_MALFORMED_MESSAGE : FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                     request ? FG_STATUS_INVALID_ARGUMENT : FG_STATUS_INTERNAL,
                     fg_arena_printf(face->arena, "a compressed message of the %s cannot be read: %s", whose,
                                     is_known ? "it is no gzip" : "no encoding that is known is declared"));
    }
    fg_outq_cleanup(&plain);
    return result == FG_GZIP_OK;
}

void fg_codec_fail(struct fg_face *face, const struct fg_proto_json_error *error, bool request)
{
    struct fg_str text =
        error->line > 0
            ? fg_arena_printf(face->arena, "the request is no valid %s: line %d, column %d%s%s: %s", "JSON message",
                              error->line, error->column, error->path[0] ? ", " : "", error->path, error->message)
            : fg_arena_printf(face->arena, "a message of the %s cannot be converted%s%s: %s",
                              request ? "request" : "answer", error->path[0] ? ", " : "", error->path, error->message);
    fg_face_fail(face, request ? FG_REASON_MALFORMED_MESSAGE : FG_REASON_UPSTREAM_PROTOCOL_ERROR,
                 request || error->code == FG_STATUS_RESOURCE_EXHAUSTED ? error->code : FG_STATUS_INTERNAL, text);
}

struct fg_json_to_proto fg_codec_reading(const struct fg_codec *codec, const struct fg_face *face)
{
    bool ignore = face->call && face->call->route && face->call->route->unknown_fields == FG_UNKNOWN_IGNORE;
    return (struct fg_json_to_proto){.descriptors = codec->descriptors, .ignore_unknown = ignore};
}

bool fg_codec_to_proto(struct fg_codec *codec, struct fg_face *face, struct fg_outq *content, bool compressed,
                       struct fg_outq *out)
{
    const struct fg_json_to_proto how = fg_codec_reading(codec, face);
    struct fg_proto_json_error error;
    struct fg_proto_out proto;
    size_t parts_len;

    if (compressed && !fg_codec_inflate(face, content, codec->sends_gzip, "request"))
        return false;
    struct fg_str *parts = fg_message_parts(content, &parts_len);
    fg_proto_out_init(&proto, face->mem, fg_face_max_message(face));
    int rc = fg_json_to_proto(&how, codec->method->input, parts, parts_len, &proto, &error);
    if (rc == 0) {
        fg_message_put_prefix(out, 0, (size_t)fg_proto_out_len(&proto));
        fg_proto_out_move(&proto, out);
    }
    fg_proto_out_cleanup(&proto);
    free(parts);
    if (rc != 0)
        fg_codec_fail(face, &error, true);
    return rc == 0;
}

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

bool fg_codec_to_json(struct fg_codec *codec, struct fg_face *face, struct fg_outq *content, bool compressed,
                      struct fg_outq *out)
{
    struct fg_proto_to_json how = {.descriptors = codec->descriptors};
    struct fg_proto_json_error error;
    struct fg_json_out json;
    char buffer[4096];
    size_t parts_len;

    if (compressed && !fg_codec_inflate(face, content, codec->answers_gzip, "answer"))
        return false;
    struct fg_str *parts = fg_message_parts(content, &parts_len);
    fg_json_out_init(&json, buffer, sizeof buffer, keep, out);
    json.max = fg_face_max_message(face);
    int rc = fg_proto_to_json(&how, codec->method->output, parts, parts_len, &json, &error);
    free(parts);
    if (rc != 0)
        fg_codec_fail(face, &error, false);
    return rc == 0;
}

#define WORTH_GZIP 512 /* bytes; less gains nothing */

bool fg_codec_pack(const struct fg_codec *codec, struct fg_outq *content)
{
    struct fg_outq packed;

    if (!codec->takes_gzip || content->bytes < WORTH_GZIP)
        return false;
    fg_outq_init(&packed, content->mem);
    fg_gzip_deflate(content, &packed);
    fg_outq_cleanup(content);
    fg_outq_move(&packed, packed.bytes, content);
    fg_outq_cleanup(&packed);
    return true;
}

/* ---- streams ---- */

void fg_codec_deliver(struct fg_codec *codec, struct fg_face *face, struct fg_outq *in, struct fg_buf buf)
{
    enum fg_message_result result = FG_MESSAGE_NONE;
    struct fg_outq content, canonical;
    uint8_t flags;

    fg_outq_keep(in, buf);
    fg_outq_init(&content, face->mem);
    fg_outq_init(&canonical, face->mem);
    while (!fg_face_is_over(face) &&
           (result = fg_message_take(in, fg_face_max_message(face), &flags, &content)) == FG_MESSAGE_WHOLE) {
        if (flags & ~FG_MESSAGE_COMPRESSED)
            fg_face_fail(face, FG_REASON_MALFORMED_MESSAGE, FG_STATUS_INVALID_ARGUMENT,
                         FG_STR("a message of the request has an unknown flag"));
        else if (fg_codec_to_proto(codec, face, &content, flags & FG_MESSAGE_COMPRESSED, &canonical))
            fg_face_deliver_all(face, &canonical, false);
        fg_outq_cleanup(&content);
    }
    if (result == FG_MESSAGE_TOO_LARGE)
        fg_codec_too_large(face, "request");
    fg_outq_cleanup(&canonical);
}

void fg_codec_send(struct fg_codec *codec, struct fg_face *face, struct fg_outq *out, struct fg_buf buf,
                   void (*send)(struct fg_face *face, struct fg_outq *message))
{
    enum fg_message_result result = FG_MESSAGE_NONE;
    struct fg_outq content, json, message;
    uint8_t flags;

    fg_outq_keep(out, buf);
    fg_buf_unref(&buf);
    fg_outq_init(&content, face->mem);
    fg_outq_init(&json, face->mem);
    fg_outq_init(&message, face->mem);
    while (!face->client_ended &&
           (result = fg_message_take(out, fg_face_max_message(face), &flags, &content)) == FG_MESSAGE_WHOLE) {
        if (fg_codec_to_json(codec, face, &content, flags & FG_MESSAGE_COMPRESSED, &json)) {
            bool packed = fg_codec_pack(codec, &json);
            fg_message_put_prefix(&message, packed ? FG_MESSAGE_COMPRESSED : 0, json.bytes);
            fg_outq_move(&json, json.bytes, &message);
            send(face, &message);
        }
        fg_outq_cleanup(&content);
        fg_outq_cleanup(&json);
    }
    fg_outq_cleanup(&message);
    if (result == FG_MESSAGE_TOO_LARGE)
        fg_codec_too_large(face, "answer");
}
