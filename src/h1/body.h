/* Where the content of an HTTP/1 message ends (RFC 9112 sections 6 and 7), sans-io and strict. */
#ifndef FG_H1_BODY_H
#define FG_H1_BODY_H

#include "h1/head.h"

enum fg_h1_framing {
    FG_H1_BODY_NONE,
    FG_H1_BODY_LENGTH,
    FG_H1_BODY_CHUNKED,
    FG_H1_BODY_UNTIL_CLOSE, /* responses only */
};

struct fg_h1_body {
    enum fg_h1_framing framing;
    uint8_t state; /* of the chunked framing */
    bool done;
    uint64_t left;              /* of the content, or of the chunk */
    uint8_t digits;             /* of the chunk size */
    uint32_t skipped;           /* bytes of chunk extensions that no content has made up for */
    size_t line_len;            /* of a trailer line, or a chunk size, that is not complete yet */
    char *line;                 /* allocated when a trailer section is split between reads */
    struct fg_headers trailers; /* complete when done; in the arena given */
    size_t trailer_bytes;
};

/* Extensions are read and thrown away. Each byte of content pays for one, so that a signature for each chunk passes,
 * and a message that is nothing but extensions does not: CVE-2023-39326. */
#define FG_H1_CHUNK_EXTENSION_MAX 4096

void fg_h1_body_init(struct fg_h1_body *body, enum fg_h1_framing framing, uint64_t length);
void fg_h1_body_cleanup(struct fg_h1_body *body);

/* Takes bytes from DATA: advances *AT over framing and content. *CONTENT is a piece of content within DATA (len 0: none
 * this time). Call again until everything is taken, the body is done, or *FAULT is set. Trailers are parsed into ARENA
 * within LIMITS. */
void fg_h1_body_feed(struct fg_h1_body *body, const char *data, size_t len, size_t *at, struct fg_str *content,
                     const struct fg_h1_limits *limits, struct fg_arena *arena, enum fg_h1_fault *fault);

/* The transport ended: was the message complete (or is it now)? */
bool fg_h1_body_eof(struct fg_h1_body *body);

#endif
