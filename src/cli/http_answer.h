/* Reads the response to one HTTP/1.1 request as it comes in; sans-io. For the commands that ask a gateway's admin
 * address. */
#ifndef FG_CLI_HTTP_ANSWER_H
#define FG_CLI_HTTP_ANSWER_H

#include "h1/body.h"

#define FG_HTTP_ANSWER_HEAD_BYTES 16384

struct fg_http_answer {
    unsigned status;     /* 0: not known yet */
    bool done;           /* the content is complete */
    const char *problem; /* of an answer that cannot be understood; static */
    /* Pieces of the content; `status` is known. */
    void (*on_content)(void *context, const char *data, size_t len);
    void *context;
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_h1_body body;
    char head[FG_HTTP_ANSWER_HEAD_BYTES];
    size_t head_len;
};

void fg_http_answer_begin(struct fg_http_answer *answer,
                          void (*on_content)(void *context, const char *data, size_t len), void *context);
void fg_http_answer_cleanup(struct fg_http_answer *answer);

/* False: it is no answer; `problem` says why. What comes behind its end is not looked at. */
bool fg_http_answer_feed(struct fg_http_answer *answer, const char *data, size_t len)
    __attribute__((warn_unused_result));

/* The connection has ended. False: the answer is not complete. */
bool fg_http_answer_end(struct fg_http_answer *answer) __attribute__((warn_unused_result));

#endif
