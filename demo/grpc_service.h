/* A gRPC server in a few hundred lines, on fusegate's HTTP/2 engine (src/http): methods in tables, typed protobuf-c
 * messages both ways, all four call types, deadlines, back-pressure.
 *
 *     static void say_hello(struct grpc_call *call, const ProtobufCMessage *message)
 *     {
 *         Hello__Reply reply = HELLO__REPLY__INIT;
 *         reply.text = "hello";
 *         grpc_reply(call, &reply.base);
 *     }
 *
 *     static const struct grpc_method methods[] = {
 *         {.path = "/hello.Greeter/SayHello", .request = &hello__request__descriptor, .on_message = say_hello},
 *     };
 *
 * One thread, one fg_loop: nothing here blocks, and nothing may. A method that cannot answer yet returns and answers
 * later: from a timer (grpc_after), or when another call does something. */
#ifndef DEMO_GRPC_SERVICE_H
#define DEMO_GRPC_SERVICE_H

#include <protobuf-c/protobuf-c.h>

#include "http/server.h"
#include "rpc/status.h"

struct grpc_call;

/* Any of the callbacks but on_message may be NULL. */
struct grpc_method {
    const char *path;
    const ProtobufCMessageDescriptor *request;
    bool request_stream, response_stream;
    bool never_faulty; /* the server's intercept is not asked */
    void (*on_start)(struct grpc_call *call);
    /* One message; it is freed when the callback returns. Without request_stream it comes once, when the client has
     * sent it and nothing more. */
    void (*on_message)(struct grpc_call *call, const ProtobufCMessage *message);
    void (*on_half_close)(struct grpc_call *call); /* request_stream: the client has sent everything */
    void (*on_room)(struct grpc_call *call);       /* what waited to be sent went out, or some of it */
    void (*on_end)(struct grpc_call *call);        /* the call is over, however it ended; once for each that began */
};

struct grpc_counts {
    uint64_t arrived, handled, ended;
};

struct grpc_entry {
    const struct grpc_method *method;
    void *service; /* of whoever added it */
    struct grpc_counts counts;
};

enum { GRPC_ENTRIES_MAX = 32 };

struct grpc_server {
    struct fg_server http;
    struct fg_stats stats;
    uint32_t connections;
    struct fg_list calls;
    struct grpc_entry entries[GRPC_ENTRIES_MAX];
    size_t entries_len;
    /* Asked before a method gets its call. True: it has answered, or will, or calls grpc_proceed later. May be NULL. */
    bool (*intercept)(struct grpc_call *call, void *context);
    void *intercept_context;
    bool draining;
};

enum grpc_state {
    GRPC_ARRIVED,  /* waits for the request, or for what intercepted it */
    GRPC_RUNNING,  /* the method has it */
    GRPC_FINISHED, /* answered; what the client still sends is thrown away */
    GRPC_CLOSED,
};

/* Lives in the stream's arena, until on_end has returned. */
struct grpc_call {
    struct fg_stream *stream;
    struct grpc_server *server;
    struct grpc_entry *entry;
    void *state_of_method; /* the method's own */
    struct fg_list node;

    /* The rest belongs to grpc_call.c. */
    uint8_t state; /* enum grpc_state; changed by set_state() only */
    bool headers_sent, half_closed, half_close_told, held, handled, paused, delivering;
    struct fg_timer deadline, later;
    void (*on_later)(struct grpc_call *call);
    uint8_t *in; /* what of the request was not taken yet: in[in_at .. in_len) */
    size_t in_at, in_len, in_cap;
    size_t unconsumed; /* of it, bytes whose window was not given back */
    size_t queued;     /* bytes of responses that the client's window has not let out yet */
    uint32_t pace_ms;
    struct grpc_paced *paced_head, *paced_tail;
    struct fg_timer pace;
    bool finish_waits; /* for the paced messages: then with these two */
    enum fg_status finish_status;
    const char *finish_message;
};

/* ---- server ---- */

void grpc_server_init(struct grpc_server *server, struct fg_loop *loop, const struct fg_h2_options *limits);
void grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t len, void *service);
void grpc_server_cleanup(struct grpc_server *server);

/* No new connections, GOAWAY on those there are; streams end with UNAVAILABLE, other calls finish. The loop stops when
 * the last connection has closed. */
void grpc_server_drain(struct grpc_server *server);

/* ---- answering ---- */

/* Sends the response headers now instead of with the first message. */
void grpc_send_headers(struct grpc_call *call);
/* One response message. Nothing happens if the call was finished. */
void grpc_send(struct grpc_call *call, const ProtobufCMessage *message);
/* Ends the call. MESSAGE is static or NULL. Without a message sent before it is a trailers-only response. */
void grpc_finish(struct grpc_call *call, enum fg_status status, const char *message);
void grpc_reply(struct grpc_call *call, const ProtobufCMessage *message); /* unary: send and finish with OK */

/* Bytes of responses that wait for the client's window. A method with much to say stops above some bound and goes on
 * in on_room. */
size_t grpc_queued(const struct grpc_call *call);

/* Calls back after DELAY_MS unless the call is over by then. One at a time. */
void grpc_after(struct grpc_call *call, uint32_t delay_ms, void (*on_later)(struct grpc_call *call));

/* No on_message until grpc_resume. Meanwhile the client can send as much as its window holds. */
void grpc_pause(struct grpc_call *call);
void grpc_resume(struct grpc_call *call);

/* ---- for whatever intercepts ---- */

void grpc_proceed(struct grpc_call *call); /* the method may have it now */
void grpc_ignore_deadline(struct grpc_call *call);
void grpc_set_pace(struct grpc_call *call, uint32_t pace_ms); /* one response message each PACE_MS */
void grpc_end_without_status(struct grpc_call *call);         /* END_STREAM and no trailers: a broken server */
void grpc_reset(struct grpc_call *call, uint32_t code);       /* RST_STREAM; the call is over when it returns */

#endif
