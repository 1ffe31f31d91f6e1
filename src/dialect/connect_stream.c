/* Connect's streaming form: gRPC's messages with another last one, which is JSON and says how it ended. */
#include "dialect/codec.h"

#include <assert.h>

#include "dialect/connect.h"
#include "rpc/json_write.h"
#include "rpc/message.h"

struct connect_stream {
    struct fg_face face;
    struct fg_codec codec;
    struct fg_outq in, out;      /* JSON only: messages that are not whole */
    struct fg_grpc_framing sent; /* else: where the answer stands */
};

static struct connect_stream *stream_of(struct fg_face *face)
{
    return FG_CONTAINER_OF(face, struct connect_stream, face);
}

static void begin(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out)
{
    struct connect_stream *stream = stream_of(face);
    const struct fg_header *method = fg_headers_get(request, FG_TOKEN_METHOD);
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);
    struct fg_str encoding = fg_face_field(request, FG_STR("connect-content-encoding"));
    struct fg_str accepts = fg_face_field(request, FG_STR("connect-accept-encoding"));

    fg_outq_init(&stream->in, face->mem);
    fg_outq_init(&stream->out, face->mem);
    if (!method || !fg_str_eq(method->value, FG_STR("POST")))
        fg_face_refuse(face, FG_REASON_METHOD_NOT_ALLOWED, 405, FG_STR("a Connect stream must use POST"));
    fg_connect_begin(face, request, out);
    fg_codec_begin(&stream->codec, face, request, fg_face_is_type(type->value, FG_STR("application/connect+json")),
                   encoding, accepts, out);
}

static void on_data(struct fg_face *face, struct fg_buf buf, bool end)
{
    struct connect_stream *stream = stream_of(face);

    if (buf.len > 0 && stream->codec.json)
        fg_codec_deliver(&stream->codec, face, &stream->in, buf);
    else if (buf.len > 0)
        fg_face_deliver(face, buf, false);
    if (!end || fg_face_is_over(face))
        return;
    if (stream->in.bytes > 0 || !fg_grpc_framing_at_boundary(&face->call->framing))
        fg_face_fail(face, FG_REASON_MALFORMED_MESSAGE, FG_STATUS_INVALID_ARGUMENT,
                     FG_STR("the request ends inside of an envelope"));
    else
        fg_face_deliver(face, (struct fg_buf){0}, true);
}

/* ---- the answer ---- */

static struct fg_str content_type(struct fg_face *face)
{
    return stream_of(face)->codec.json ? FG_STR("application/connect+json") : FG_STR("application/connect+proto");
}

static void send_headers(struct fg_face *face, struct fg_headers *headers)
{
    struct connect_stream *stream = stream_of(face);
    struct fg_headers out;

    fg_headers_init(&out);
    fg_headers_add_token(&out, face->arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(&out, face->arena, FG_TOKEN_CONTENT_TYPE, content_type(face));
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        if (field->token == FG_TOKEN_GRPC_ENCODING)
            fg_codec_answers_in(&stream->codec, field->value);
        if (field->token == FG_TOKEN_GRPC_ENCODING && !stream->codec.json)
            fg_headers_add(&out, face->arena, FG_STR("connect-content-encoding"), field->value);
        else if (field->token == FG_TOKEN_GRPC_ACCEPT_ENCODING && !stream->codec.json)
            fg_headers_add(&out, face->arena, FG_STR("connect-accept-encoding"), field->value);
        else if (fg_connect_is_metadata(field))
            *fg_headers_add_slot(&out, face->arena) = *field;
    }
    if (stream->codec.json) /* it is the gateway that reads and writes them */
        fg_headers_add(&out, face->arena, FG_STR("connect-accept-encoding"), FG_STR("gzip"));
    if (stream->codec.takes_gzip)
        fg_headers_add(&out, face->arena, FG_STR("connect-content-encoding"), FG_STR("gzip"));
    fg_face_send_headers(face, &out, false);
}

static void send_message(struct fg_face *face, struct fg_outq *message)
{
    fg_face_send_all(face, message, false);
}

static void send_data(struct fg_face *face, struct fg_buf buf)
{
    struct connect_stream *stream = stream_of(face);

    if (stream->codec.json) {
        fg_codec_send(&stream->codec, face, &stream->out, buf, send_message);
        return;
    }
    int rc = fg_grpc_framing_feed(&stream->sent, buf.data, buf.len);
    assert(rc == 0); /* the call has looked at its flags */
    (void)rc;
    fg_face_send(face, buf, false);
}

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

/* "metadata": {"name": ["value", ...]}: the values of one name stand together. */
static void put_metadata(struct fg_json_out *out, const struct fg_headers *trailers, bool first)
{
    bool any = false;

    for (uint32_t i = 0; i < trailers->len; i++) {
        const struct fg_header *field = &trailers->items[i];
        bool seen = !fg_connect_is_metadata(field);
        for (uint32_t j = 0; j < i && !seen; j++)
            seen = fg_str_eq(trailers->items[j].name, field->name);
        if (seen)
            continue;
        fg_json_put_many(out, any ? "," : first ? "\"metadata\":{" : ",\"metadata\":{", any ? 1 : first ? 12 : 13);
        any = true;
        fg_json_put_text(out, field->name);
        fg_json_put_many(out, ":[", 2);
        for (uint32_t j = i, values = 0; j < trailers->len; j++) {
            if (!fg_str_eq(trailers->items[j].name, field->name))
                continue;
            if (values++ > 0)
                fg_json_put(out, ',');
            fg_json_put_text(out, trailers->items[j].value);
        }
        fg_json_put(out, ']');
    }
    if (any)
        fg_json_put(out, '}');
}

/* The envelope that says how it ended. */
static void send_last(struct fg_face *face, const struct fg_headers *trailers)
{
    bool failed = fg_connect_status(trailers) != FG_STATUS_OK;
    struct fg_outq json, envelope;
    struct fg_json_out out;
    char buffer[512];

    fg_outq_init(&json, face->mem);
    fg_outq_init(&envelope, face->mem);
    fg_outq_copy(&json, "{", 1);
    if (failed) {
        fg_outq_copy(&json, "\"error\":", 8);
        fg_connect_put_error(face, &json, trailers);
    }
    fg_json_out_init(&out, buffer, sizeof buffer, keep, &json);
    put_metadata(&out, trailers, !failed);
    fg_json_put(&out, '}');
    fg_json_flush(&out);
    fg_message_put_prefix(&envelope, FG_MESSAGE_END_STREAM, json.bytes);
    fg_outq_move(&json, json.bytes, &envelope);
    fg_face_send_all(face, &envelope, true);
}

static void send_end(struct fg_face *face, struct fg_headers *trailers, bool only)
{
    struct connect_stream *stream = stream_of(face);
    bool half = !fg_grpc_framing_at_boundary(&stream->sent);
    struct fg_headers none;

    fg_headers_init(&none);
    if (only)
        send_headers(face, &none);
    if (half || stream->out.bytes > 0)
        fg_face_half_message(face, trailers);
    if (half) /* what says how it ended would be taken for the rest of the message */
        fg_face_abort(face);
    else
        send_last(face, trailers);
}

static void cleanup(struct fg_face *face)
{
    struct connect_stream *stream = stream_of(face);

    fg_outq_cleanup(&stream->in);
    fg_outq_cleanup(&stream->out);
    fg_codec_cleanup(&stream->codec);
}

static const struct fg_dialect dialect = FG_FACE_DIALECT("connect-stream");

const struct fg_face_ops fg_face_connect_stream = {
    .bytes = sizeof(struct connect_stream),
    .dialect = &dialect,
    .begin = begin,
    .drops = fg_connect_drops,
    .on_data = on_data,
    .send_headers = send_headers,
    .send_data = send_data,
    .send_end = send_end,
    .cleanup = cleanup,
};
