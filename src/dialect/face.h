/* A face: a client's language made gRPC. To the call it is a gRPC stream like any other, so that policies never know
 * what the client speaks; to the client's stream it is the user. What a face does with bytes and fields is in its
 * table; flow control, ends and refusals are the same for all and are here.
 *
 * Credit: what the client has sent is given back to it as window when what became of it has gone on; what the endpoint
 * has sent, when what became of it is on its way to the client. What a face keeps counts as gone on: it is bounded by
 * the face. */
#ifndef FG_DIALECT_FACE_H
#define FG_DIALECT_FACE_H

#include "base/outq.h"
#include "dialect/dialect.h"
#include "rpc/descriptor.h"

struct fg_face;

struct fg_face_ops {
    bool whole;   /* the request is one message: nothing is asked of an endpoint before it is read */
    size_t bytes; /* of the face's own struct, which begins with struct fg_face */
    const struct fg_dialect *dialect; /* its name, fg_face_begin, and else gRPC's */
    /* Looks at REQUEST and appends to OUT what the gRPC request has beyond the fields that all have. May refuse. */
    void (*begin)(struct fg_face *face, const struct fg_headers *request, struct fg_headers *out);
    bool (*drops)(struct fg_str name); /* a field of the request that does not go on */
    /* Content of the request; borrowed. Passes it on with fg_face_deliver. */
    void (*on_data)(struct fg_face *face, struct fg_buf buf, bool end);
    /* The gRPC answer. HEADERS are borrowed for the time of the call, BUF is the callee's. */
    void (*send_headers)(struct fg_face *face, struct fg_headers *headers);
    void (*send_data)(struct fg_face *face, struct fg_buf buf);
    void (*send_end)(struct fg_face *face, struct fg_headers *trailers, bool only); /* ONLY: there were no headers */
    void (*cleanup)(struct fg_face *face);
};

struct fg_face {
    struct fg_stream grpc; /* the call's downstream */
    struct fg_stream *client;
    const struct fg_face_ops *ops;
    struct fg_call_env *env;
    struct fg_call *call; /* NULL until it has begun */
    struct fg_reply refusal;
    unsigned http_status;              /* with which it is refused; 0: as the code says */
    struct fg_str path;                /* of the method */
    struct fg_str method, target;      /* as the client sent them; until the call has begun */
    const struct fg_config_cors *cors; /* NULL: the route has none */
    struct fg_str origin;              /* of the page that asks; empty: no page */
    struct fg_arena *arena;
    struct fg_mem *mem;
    uint64_t in_client, in_grpc; /* bytes taken in and not given back; delivered and not used */
    uint64_t out_grpc, out_client;
    bool request_ended; /* by the client */
    bool delivered_end;
    bool client_ended; /* our END_STREAM is queued */
    bool aborting;
    bool closed;
};

extern const struct fg_face_ops fg_face_grpc_web, fg_face_connect_unary, fg_face_connect_stream;
bool fg_grpc_web_is_content_type(struct fg_str type);

/* A request has arrived on CLIENT. */
void fg_face_start(struct fg_call_env *env, const struct fg_face_ops *ops, struct fg_stream *client,
                   struct fg_headers *request, unsigned flags);

/* ---- for the faces ---- */

/* fg_dialect's begin for all of them. */
bool fg_face_begin(struct fg_call *call);
#define FG_FACE_DIALECT(name)                                                                                          \
    {                                                                                                                  \
        name, fg_face_begin, fg_grpc_send_reply                                                                        \
    }

/* The request cannot be a call. MESSAGE must last as long as the call. For ops->begin. */
void fg_face_refuse(struct fg_face *face, enum fg_reason reason, unsigned http_status, struct fg_str message);
/* Ends the call with a status of the gateway's own. MESSAGE is borrowed. */
void fg_face_fail(struct fg_face *face, enum fg_reason reason, enum fg_status code, struct fg_str message);

/* An answer that ended well is none after all: puts that into the call's outcome, and TRAILERS that say it. */
void fg_face_own_status(struct fg_face *face, enum fg_reason reason, struct fg_str message,
                        struct fg_headers *trailers);
/* Cuts the answer when what was sent is on its way: nothing else tells that it is not whole. */
void fg_face_abort(struct fg_face *face);
/* The endpoint's answer has ended inside of a message: if TRAILERS say OK they say so now. */
void fg_face_half_message(struct fg_face *face, struct fg_headers *trailers);

void fg_face_deliver(struct fg_face *face, struct fg_buf buf, bool end); /* gRPC bytes for the call; borrows BUF */
void fg_face_deliver_all(struct fg_face *face, struct fg_outq *q, bool end);
bool fg_face_is_over(const struct fg_face *face); /* nothing more is wanted of the request */

void fg_face_send(struct fg_face *face, struct fg_buf buf, bool end); /* to the client; takes the reference */
void fg_face_send_all(struct fg_face *face, struct fg_outq *q, bool end);
void fg_face_send_text(struct fg_face *face, struct fg_str text, bool end);
void fg_face_send_headers(struct fg_face *face, struct fg_headers *headers, bool end);

/* The largest message that is kept whole, in bytes. */
uint64_t fg_face_max_message(const struct fg_face *face);

/* The descriptors of the cluster that the request goes to; one reference, or NULL: there are none. For ops->begin. */
struct fg_descriptors *fg_face_descriptors(struct fg_face *face, const struct fg_headers *request);

/* The value of a -bin or other field; empty: there is none. */
struct fg_str fg_face_field(const struct fg_headers *headers, struct fg_str name);
/* Content type without parameters, in lower case? */
bool fg_face_is_type(struct fg_str content_type, struct fg_str type);

#endif
