/* gRPC-Web (grpc/doc/PROTOCOL-WEB.md): gRPC's messages as they are, or in base64, over any version of HTTP, and the
 * trailers as a last frame. */
#include "dialect/face.h"

#include <strings.h>

#include "rpc/base64_stream.h"

#define TRAILERS_FLAG 0x80

struct grpc_web {
    struct fg_face face;
    bool text_in, text_out;
    struct fg_str suffix; /* "+proto", or "" */
    struct fg_base64_stream base64;
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

static void begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    struct grpc_web *web = web_of(face);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct fg_str accept = fg_face_field(request, FG_STR("accept")), ignored;

    web->text_in = suffix_of(type->value, FG_STR("application/grpc-web-text"), &web->suffix);
    if (!web->text_in)
        (void)suffix_of(type->value, FG_STR("application/grpc-web"), &web->suffix);
    web->text_out = suffix_of(accept, FG_STR("application/grpc-web-text"), &ignored) ||
                    (web->text_in && !suffix_of(accept, FG_STR("application/grpc-web"), &ignored));
    if (!method || !fg_str_eq(method->value, FG_STR("POST")))
        fg_face_refuse(face, FG_REASON_METHOD_NOT_POST, 405, FG_STR("a gRPC-Web request must use POST"));
    fg_headers_add_token(out, face->arena, FG_TOKEN_CONTENT_TYPE,
                         fg_arena_printf(face->arena, "application/grpc%.*s", (int)web->suffix.len, web->suffix.p));
}

static bool drops(struct fg_str name)
{
    return fg_str_eq(name, FG_STR("x-grpc-web"));
}

static void malformed(struct fg_face *face, const char *message)
{
    fg_face_fail(face, FG_REASON_MALFORMED_MESSAGE, FG_STATUS_INVALID_ARGUMENT, fg_str_from(message));
}

static void deliver_text(struct fg_face *face, struct fg_buf buf)
{
    struct grpc_web *web = web_of(face);
    struct fg_chunk *chunk = fg_chunk_new(FG_BASE64_STREAM_ROOM(buf.len));
    int64_t len = fg_base64_stream_feed(&web->base64, buf.data, buf.len, chunk->data);

    if (len < 0)
        malformed(face, "the request is not base64, as application/grpc-web-text must be");
    else
        fg_face_deliver(face, (struct fg_buf){chunk, chunk->data, (size_t)len}, false);
    fg_chunk_unref(chunk);
}

static void on_data(struct fg_face *face, struct fg_buf buf, bool end)
{
    const struct grpc_web *web = web_of(face);

    if (buf.len > 0 && web->text_in)
        deliver_text(face, buf);
    else
        fg_face_deliver(face, buf, false);
    if (!end || fg_face_is_over(face))
        return;
    if (!fg_base64_stream_is_whole(&web->base64) || !fg_grpc_framing_at_boundary(&face->call->framing))
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
    return fg_arena_printf(web->face.arena, "application/grpc-web%s%.*s", web->text_out ? "-text" : "",
                           (int)web->suffix.len, web->suffix.p);
}

static void send_headers(struct fg_face *face, struct fg_headers *headers)
{
    struct fg_headers out;

    fg_headers_init(&out);
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        if (field->token == FG_TOKEN_CONTENT_TYPE)
            fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_TYPE, content_type(web_of(face)));
        else if (field->token != FG_TOKEN_TRAILER && field->token != FG_TOKEN_CONTENT_LENGTH)
            *fg_headers_add_slot(&out, face->arena) = *field;
    }
    fg_face_send_headers(face, &out, false);
}

static void send_data(struct fg_face *face, struct fg_buf buf)
{
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

static void send_end(struct fg_face *face, struct fg_headers *trailers, bool only)
{
    size_t len = 5, at = 5;

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
};
