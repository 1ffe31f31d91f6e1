/* What `fusegate call` can speak: how a request looks, how messages are framed, and where the status stands. */
#ifndef FG_CLI_CALLER_DIALECT_H
#define FG_CLI_CALLER_DIALECT_H

#include "cli/caller_call.h"

struct fg_caller_dialect {
    const char *name;
    bool needs_h2, knows_get, is_rest;
    /* Adds content type, timeout and the like. FIRST is the first message or NULL, as in fg_caller_call_begin: it may
     * go into the path (call->no_body). */
    void (*begin)(struct fg_caller_call *call, struct fg_headers *headers, struct fg_outq *first);
    void (*put)(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out); /* takes MESSAGE */
    void (*on_head)(struct fg_caller_call *call, const struct fg_headers *headers);
    void (*on_body)(struct fg_caller_call *call); /* more is in call->in */
    /* The answer has ended. TRAILERS: none, or of a response of headers alone these; NULL: none. */
    void (*on_end)(struct fg_caller_call *call, const struct fg_headers *trailers);
};

const struct fg_caller_dialect *fg_caller_dialect_named(const char *name); /* NULL: there is none */

extern const struct fg_caller_dialect fg_caller_grpc, fg_caller_grpc_web, fg_caller_grpc_web_text, fg_caller_connect,
    fg_caller_rest;

/* ---- what several share ---- */

void fg_caller_add(struct fg_caller_call *call, struct fg_headers *headers, const char *name, struct fg_str value);
void fg_caller_add_grpc_timeout(struct fg_caller_call *call, struct fg_headers *headers);
/* A prefix and the message. */
void fg_caller_put_prefixed(struct fg_caller_call *call, struct fg_outq *message, struct fg_outq *out);
/* Takes messages with prefixes from call->in. ON_OTHER gets those with flags other than "compressed". */
void fg_caller_take_prefixed(struct fg_caller_call *call,
                             void (*on_other)(struct fg_caller_call *call, uint8_t flags, struct fg_str content));
/* Ends the call by grpc-status, grpc-message and grpc-status-details-bin. False: there is no status. */
bool fg_caller_end_by(struct fg_caller_call *call, const struct fg_headers *fields);
/* Ends the call: this is no answer in this dialect. */
void fg_caller_not_spoken(struct fg_caller_call *call, const char *dialect);

#endif
