/* What a client's messages are written in: protobuf, as they are, or JSON, which takes the method's descriptors. */
#ifndef FG_DIALECT_CODEC_H
#define FG_DIALECT_CODEC_H

#include "dialect/face.h"
#include "rpc/descriptor.h"
#include "rpc/proto_json.h"

struct fg_codec {
    bool json;
    bool sends_gzip;                    /* JSON: the client's compressed messages are gzip */
    bool answers_gzip;                  /* and the endpoint's */
    bool takes_gzip;                    /* JSON: the client may be answered with gzip */
    struct fg_descriptors *descriptors; /* one reference; NULL: none are needed, or there are none */
    const struct fg_method *method;
};

/* ENCODING is what the client compresses with, ACCEPTS what it understands: both go on as they are with protobuf. With
 * JSON the gateway reads the messages itself. May refuse. Sets the content type. */
void fg_codec_begin(struct fg_codec *codec, struct fg_face *face, const struct fg_headers *request, bool json,
                    struct fg_str encoding, struct fg_str accepts, struct fg_headers *out);
void fg_codec_cleanup(struct fg_codec *codec);
void fg_codec_answers_in(struct fg_codec *codec, struct fg_str encoding);

/* How the client's JSON is read: as its route says. */
struct fg_json_to_proto fg_codec_reading(const struct fg_codec *codec, const struct fg_face *face);

/* Turns CONTENT, JSON, into a gRPC message at the end of OUT. False: the call has been ended with an error. */
bool fg_codec_to_proto(struct fg_codec *codec, struct fg_face *face, struct fg_outq *content, bool compressed,
                       struct fg_outq *out);
/* Turns CONTENT, protobuf, into JSON at the end of OUT. */
bool fg_codec_to_json(struct fg_codec *codec, struct fg_face *face, struct fg_outq *content, bool compressed,
                      struct fg_outq *out);

/* Compresses CONTENT, JSON, if the client takes gzip and it is worth it: true. */
bool fg_codec_pack(const struct fg_codec *codec, struct fg_outq *content);

/* Streams of JSON messages behind prefixes. IN, OUT: what is not whole yet. */

/* Takes bytes of the request (borrowed) and passes what is whole on. */
void fg_codec_deliver(struct fg_codec *codec, struct fg_face *face, struct fg_outq *in, struct fg_buf buf);
/* Takes gRPC bytes of the answer, with the reference; SEND takes each message with its prefix in the client's form. */
void fg_codec_send(struct fg_codec *codec, struct fg_face *face, struct fg_outq *out, struct fg_buf buf,
                   void (*send)(struct fg_face *face, struct fg_outq *message));

/* Replaces CONTENT by what it is when it is not compressed. False: the call has been ended. IS_KNOWN: the encoding is
 * gzip. WHOSE: "request" or "answer". */
bool fg_codec_inflate(struct fg_face *face, struct fg_outq *content, bool is_known, const char *whose);
/* Ends the call with what is wrong with a message of the request, or else of the answer. */
struct fg_proto_json_error;
void fg_codec_fail(struct fg_face *face, const struct fg_proto_json_error *error, bool request);

/* Ends the call: a message of the request or the answer is over the route's max_message. */
void fg_codec_too_large(struct fg_face *face, const char *whose);

#endif
