/* gRPC-Web (grpc/doc/PROTOCOL-WEB.md): gRPC's messages as they are, or in base64, over any version of HTTP, and the
 * trailers as a last frame. And gRPC whose messages are JSON (application/grpc+json), with trailers as gRPC has them.
 */
#include "dialect/codec.h"

#include <assert.h>
#include <strings.h>

#include "rpc/base64_stream.h"
#include "rpc/message.h"

#define TRAILERS_FLAG 0x80

struct grpc_web {
    struct fg_face face;
    bool text_in, text_out;
    struct fg_str suffix; /* "+proto", or "" */
    struct fg_base64_stream base64;
    bool plain; /* gRPC itself, not gRPC-Web */
    struct fg_codec codec;
    struct fg_outq in, out;      /* JSON only: messages that are not whole */
    struct fg_grpc_framing sent; /* else: where the answer stands */
};

static struct grpc_web *web_of(struct fg_face *face)
{
    return FG_CONTAINER_OF(face, struct grpc_web, face);
}

static bool has_prefix(struct fg_str s, struct fg_str prefix)
{
    return s.len >= prefix.len && strncasecmp(s.p, prefix.p, prefix.len) == 0;
}

/* The rest of a content type: "", "+proto", without parameters. False: it is another type. */
static bool suffix_of(struct fg_str type, struct fg_str base, struct fg_str *suffix)
{
    if (!has_prefix(type, base))
        return false;
    *suffix = (struct fg_str){type.p + base.len, type.len - base.len};
    const char *end = memchr(suffix->p, ';', suffix->len);
    if (end)
        suffix->len = (size_t)(end - suffix->p);
    while (suffix->len > 0 && (suffix->p[suffix->len - 1] == ' ' || suffix->p[suffix->len - 1] == '\t'))
        suffix->len--;
    return suffix->len == 0 || suffix->p[0] == '+';
}

bool fg_grpc_web_is_content_type(struct fg_str type)
{
    struct fg_str suffix;
    return suffix_of(type, FG_STR("application/grpc-web"), &suffix) ||
           suffix_of(type, FG_STR("application/grpc-web-text"), &suffix);
}

/* Does the gateway turn the messages into protobuf? If it does not know the service, that may know JSON itself. */
static bool converts(struct fg_face *face, const struct fg_headers *request, struct fg_str suffix)
{
    struct fg_descriptors *descriptors = fg_str_eq(suffix, FG_STR("+json")) ? fg_face_descriptors(face, request) : NULL;

    fg_descriptors_unref(descriptors);
    return descriptors != NULL;
}

static void begin_codec(struct grpc_web *web, const struct fg_headers *request, struct fg_headers *out)
{
    struct fg_face *face = &web->face;
    const struct fg_header *encoding = fg_headers_get(request, FG_TOKEN_GRPC_ENCODING);
    const struct fg_header *accepts = fg_headers_get(request, FG_TOKEN_GRPC_ACCEPT_ENCODING);

    fg_outq_init(&web->in, face->mem);
    fg_outq_init(&web->out, face->mem);
    if (converts(face, request, web->suffix)) {
        fg_codec_begin(&web->codec, face, request, true, encoding ? encoding->value : FG_STR(""),
                       accepts ? accepts->value : FG_STR(""), out);
        return;
    }
    if (encoding)
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ENCODING, encoding->value);
    if (accepts)
        fg_headers_add_token(out, face->arena, FG_TOKEN_GRPC_ACCEPT_ENCODING, accepts->value);
    fg_headers_add_token(out, face->arena, FG_TOKEN_CONTENT_TYPE,
                         fg_arena_printf(face->arena, "application/grpc%.*s", (int)web->suffix.len, web->suffix.p));
}

static void begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    struct grpc_web *web = web_of(face);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct fg_str accept = fg_face_field(request, FG_STR("accept")), ignored;

    web->plain = suffix_of(type->value, FG_STR("application/grpc"), &web->suffix);
    web->text_in = !web->plain && suffix_of(type->value, FG_STR("application/grpc-web-text"), &web->suffix);
    if (!web->plain && !web->text_in)
        (void)suffix_of(type->value, FG_STR("application/grpc-web"), &web->suffix);
    web->text_out = !web->plain && (suffix_of(accept, FG_STR("application/grpc-web-text"), &ignored) ||
                                    (web->text_in && !suffix_of(accept, FG_STR("application/grpc-web"), &ignored)));
    if (!method || !fg_str_eq(method->value, FG_STR("POST")))
        fg_face_refuse(face, FG_REASON_METHOD_NOT_POST, 405, FG_STR("a gRPC-Web request must use POST"));
    begin_codec(web, request, out);
}

static bool drops(struct fg_str name)
{
    return fg_str_eq(name, FG_STR("x-grpc-web")) || fg_str_eq(name, FG_STR("grpc-encoding")) ||
           fg_str_eq(name, FG_STR("grpc-accept-encoding"));
}

static void malformed(struct fg_face *face, const char *message)
{
    fg_face_fail(face, FG_REASON_MALFORMED_MESSAGE, FG_STATUS_INVALID_ARGUMENT, fg_str_from(message));
}

static void pass_on(struct grpc_web *web, struct fg_buf buf)
{
    if (web->codec.json)
        fg_codec_deliver(&web->codec, &web->face, &web->in, buf);
    else
        fg_face_deliver(&web->face, buf, false);
}

static void deliver_text(struct fg_face *face, struct fg_buf buf)
{
    struct grpc_web *web = web_of(face);
    struct fg_chunk *chunk = fg_chunk_new(FG_BASE64_STREAM_ROOM(buf.len));
    int64_t len = fg_base64_stream_feed(&web->base64, buf.data, buf.len, chunk->data);

    if (len < 0)
        malformed(face, "the request is not base64, as application/grpc-web-text must be");
    else
        pass_on(web, (struct fg_buf){chunk, chunk->data, (size_t)len});
    fg_chunk_unref(chunk);
}

static void on_data(struct fg_face *face, struct fg_buf buf, bool end)
{
    struct grpc_web *web = web_of(face);

    if (buf.len > 0 && web->text_in)
        deliver_text(face, buf);
    else if (buf.len > 0)
        pass_on(web, buf);
    if (!end || fg_face_is_over(face))
        return;
    if (web->in.bytes > 0 || !fg_base64_stream_is_whole(&web->base64) ||
        !fg_grpc_framing_at_boundary(&face->call->framing))
        malformed(face, "the request ends inside of a message");
    else
        fg_face_deliver(face, (struct fg_buf){0}, true);
}

/* ---- the answer ---- */

static void send_bytes(struct fg_face *face, struct fg_buf buf, bool end)
{
    if (!web_of(face)->text_out) {
        fg_face_send(face, buf, end);
        return;
    }
    struct fg_chunk *text = fg_chunk_new(fg_base64_padded_len(buf.len));
    fg_base64_padded(buf.data, buf.len, (char *)text->data);
    fg_face_send(face, (struct fg_buf){text, text->data, fg_base64_padded_len(buf.len)}, end);
    fg_buf_unref(&buf);
}

static struct fg_str content_type(struct grpc_web *web)
{
    return fg_arena_printf(web->face.arena, "application/grpc%s%s%.*s", web->plain ? "" : "-web",
                           web->text_out ? "-text" : "", (int)web->suffix.len, web->suffix.p);
}

static void send_headers(struct fg_face *face, struct fg_headers *headers)
{
    struct grpc_web *web = web_of(face);
    struct fg_headers out;

    fg_headers_init(&out);
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        if (field->token == FG_TOKEN_GRPC_ENCODING)
            fg_codec_answers_in(&web->codec, field->value);
        if (field->token == FG_TOKEN_GRPC_ENCODING && web->codec.json)
            continue;
        if (field->token == FG_TOKEN_CONTENT_TYPE)
            fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_TYPE, content_type(web_of(face)));
        else if (field->token != FG_TOKEN_TRAILER && field->token != FG_TOKEN_CONTENT_LENGTH)
            *fg_headers_add_slot(&out, face->arena) = *field;
    }
    if (web->codec.takes_gzip)
        fg_headers_add_token(&out, face->arena, FG_TOKEN_GRPC_ENCODING, FG_STR("gzip"));
    fg_face_send_headers(face, &out, false);
}

static void send_message(struct fg_face *face, struct fg_outq *message)
{
    while (message->bytes > 0) {
        struct fg_buf buf = fg_outq_take(message);
        send_bytes(face, buf, false);
    }
}

static void send_data(struct fg_face *face, struct fg_buf buf)
{
    struct grpc_web *web = web_of(face);

    if (web->codec.json) {
        fg_codec_send(&web->codec, face, &web->out, buf, send_message);
        return;
    }
    int rc = fg_grpc_framing_feed(&web->sent, buf.data, buf.len);
    assert(rc == 0); /* the call has looked at its flags */
    (void)rc;
    send_bytes(face, buf, false);
}

/* HTTP status and content type stand in front of trailers that come alone. */
static void send_only_head(struct fg_face *face, const struct fg_headers *trailers)
{
    const struct fg_header *origin = fg_headers_get(trailers, FG_TOKEN_X_FUSEGATE_ORIGIN);
    struct fg_headers out;

    fg_headers_init(&out);
    fg_headers_add_token(&out, face->arena, FG_TOKEN_STATUS,
                         face->http_status ? fg_arena_printf(face->arena, "%u", face->http_status) : FG_STR("200"));
    fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_TYPE, content_type(web_of(face)));
    if (face->http_status == 405)
        fg_headers_add(&out, face->arena, FG_STR("allow"), FG_STR("POST"));
    if (origin)
        *fg_headers_add_slot(&out, face->arena) = *origin;
    fg_face_send_headers(face, &out, false);
}

/* Trailers as HTTP has them. */
static void send_trailers(struct grpc_web *web, struct fg_headers *trailers, bool only)
{
    struct fg_face *face = &web->face;
    struct fg_header *type = fg_headers_get(trailers, FG_TOKEN_CONTENT_TYPE);

    if (only && type)
        type->value = content_type(web);
    if (only)
        fg_face_send_headers(face, trailers, true);
    else if (!face->client_ended && !face->closed)
        fg_stream_send_trailers(face->client, trailers);
    face->client_ended = true;
}

static void send_end(struct fg_face *face, struct fg_headers *trailers, bool only)
{
    struct grpc_web *web = web_of(face);
    bool half = !fg_grpc_framing_at_boundary(&web->sent);
    size_t len = 5, at = 5;

    if (half || web->out.bytes > 0)
        fg_face_half_message(face, trailers);
    if (half) { /* trailers would be taken for the rest of the message */
        fg_face_abort(face);
        return;
    }
    if (web->plain) {
        send_trailers(web, trailers, only);
        return;
    }
    if (only)
        send_only_head(face, trailers);
    for (uint32_t i = 0; i < trailers->len; i++)
        len += trailers->items[i].name.len + trailers->items[i].value.len + 4;
    struct fg_chunk *chunk = fg_chunk_new(len);
    for (uint32_t i = 0; i < trailers->len; i++) {
        const struct fg_header *field = &trailers->items[i];
        if (field->name.p[0] == ':' || field->token == FG_TOKEN_CONTENT_TYPE)
            continue;
        memcpy(chunk->data + at, field->name.p, field->name.len);
        at += field->name.len;
        memcpy(chunk->data + at, ": ", 2);
        at += 2;
        memcpy(chunk->data + at, field->value.p, field->value.len);
        at += field->value.len;
        memcpy(chunk->data + at, "\r\n", 2);
        at += 2;
    }
    chunk->data[0] = TRAILERS_FLAG;
    fg_store_u32(chunk->data + 1, (uint32_t)(at - 5));
    send_bytes(face, (struct fg_buf){chunk, chunk->data, at}, true);
}

static void cleanup(struct fg_face *face)
{
    struct grpc_web *web = web_of(face);

    fg_outq_cleanup(&web->in);
    fg_outq_cleanup(&web->out);
    fg_codec_cleanup(&web->codec);
}

static const struct fg_dialect dialect = FG_FACE_DIALECT("grpc-web");

const struct fg_face_ops fg_face_grpc_web = {
    .bytes = sizeof(struct grpc_web),
    .dialect = &dialect,
    .begin = begin,
    .drops = drops,
    .on_data = on_data,
    .send_headers = send_headers,
    .send_data = send_data,
    .send_end = send_end,
    .cleanup = cleanup,
};
