/* One request on a connection, in any dialect: messages go out and come in without their framing, and in the end there
 * is a status. Reflection is such a call, too. */
#ifndef FG_CLI_CALLER_CALL_H
#define FG_CLI_CALLER_CALL_H

#include "cli/caller_link.h"
#include "rpc/base64_stream.h"
#include "rpc/message.h"

#define FG_CALLER_MAX_MESSAGE (256u << 20)

/* One of the details of a status: a message of TYPE, or JSON that says what it is. */
struct fg_caller_detail {
    struct fg_str type, value;
    struct fg_str json; /* p == NULL: it is protobuf */
};

enum fg_caller_result {
    FG_CALLER_OPEN,   /* it goes on */
    FG_CALLER_STATUS, /* the other side gave `code` */
    FG_CALLER_BROKEN, /* it gave none: `message` says what came instead */
};

struct fg_caller_call {
    struct fg_caller_link *link;
    const struct fg_caller_dialect *dialect;
    struct fg_str path, verb;
    bool client_streams, server_streams;
    bool json;  /* messages are JSON on the wire */
    bool raw;   /* rest: the answer is no JSON, and comes piece by piece */
    bool quiet; /* nothing is told by --verbose */
    /* An answer, borrowed. */
    void (*on_message)(struct fg_caller_call *call, struct fg_outq *message);
    void *user;

    struct fg_stream *stream; /* NULL: not begun, or over */
    struct fg_arena arena;    /* of what is borrowed by the fields below */
    size_t unsent;            /* bytes that are queued */
    bool sent_end;
    bool no_body; /* all of the request is in its head */
    bool has_head;
    unsigned http_status;
    struct fg_str content_type, encoding; /* of the answer */
    struct fg_outq in;                    /* of it, what was not taken yet */
    struct fg_base64_stream base64;
    size_t decoded;       /* bytes of `in` that are no base64 any more */
    struct fg_str origin; /* x-fusegate-origin */
    uint64_t began_ns, first_ns;
    uint64_t messages; /* that came */

    enum fg_caller_result result;
    enum fg_status code;
    struct fg_str message;
    struct fg_caller_detail *details;
    size_t details_len;
};

/* What is set before: path, streams, json, callbacks. */
void fg_caller_call_init(struct fg_caller_call *call, struct fg_caller_link *link,
                         const struct fg_caller_dialect *dialect);
void fg_caller_call_cleanup(struct fg_caller_call *call); /* cancels it if it goes on */

/* Sends the request. FIRST, its first message, may be NULL; what it holds is taken. END: it is all. The connection must
 * be open. */
void fg_caller_call_begin(struct fg_caller_call *call, struct fg_outq *first, bool end);
/* A further message, which is taken; or with NULL the end. Nothing happens when the call is over. */
void fg_caller_call_send(struct fg_caller_call *call, struct fg_outq *message);

/* ---- for dialects ---- */

void fg_caller_call_broke(struct fg_caller_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fg_caller_call_end(struct fg_caller_call *call, enum fg_status code, struct fg_str message);
void fg_caller_call_add_detail(struct fg_caller_call *call, const struct fg_caller_detail *detail);
/* All that is in `in`, as text in the arena. */
struct fg_str fg_caller_call_text(struct fg_caller_call *call);
/* Undoes the compression of call->encoding. False: the call has been ended. */
bool fg_caller_call_inflate(struct fg_caller_call *call, struct fg_outq *content);
/* Hands a message over, decompressed if need be. */
void fg_caller_call_deliver(struct fg_caller_call *call, struct fg_outq *content, bool compressed);

#endif
