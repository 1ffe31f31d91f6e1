/* The HTTP/1 engine by hand, for tests, fuzzers and tools: bytes in, events as text, bytes out, and a clock that stands
 * still. Events are lines:
 *     HEAD end :method=GET :scheme=http :authority=a :path=/ x=a%20b
 *     DATA "content" end
 *     TRAILERS end x=1
 *     CLOSE complete
 * INTERIM instead of HEAD for 1xx; "end" with the last event of a message. Pieces of content are one line however they
 * came. Bytes that are not printable ASCII, white space, '%' and '"' are percent-encoded, "=" stands behind names. */
#ifndef UNIT_H1_ENGINE_H
#define UNIT_H1_ENGINE_H

#include "h1/h1_int.h"

/* Bytes that grow; zero-terminated. */
struct text {
    char *p;
    size_t len, cap;
};

void text_put(struct text *text, const void *data, size_t len);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_clear(struct text *text);

struct engine {
    struct fg_mem mem;
    struct fg_slab slab;
    struct fg_h1_options options;
    struct fg_h1_conn conn;
    uint64_t now_ns, faults[FG_H1_FAULT_LEN];
    struct fg_h1_stream *stream; /* NULL: none is open */
    bool keeps_data;             /* content is not consumed */
    unsigned slots_told, outputs_told;
    /* NULL, or the user: called with each event, after it was written down. HEADERS is NULL: BUF is content. */
    void (*on_event)(struct engine *e, struct fg_headers *headers, struct fg_buf buf, unsigned flags);
    void *user;
    struct text events, content, out;
    bool content_open, content_end;
};

struct engine *engine_new(enum fg_h1_role role); /* limits are roomy, clocks are off */
void engine_begin(struct engine *e);             /* after options were changed */
bool engine_is_clean(const struct engine *e);    /* after fg_h1_conn_cleanup: nothing of its memory is left */
void engine_free(struct engine *e);              /* after fg_h1_conn_cleanup */

void engine_feed(struct engine *e, const void *data, size_t len); /* one read */
const char *engine_events(struct engine *e);                      /* so far; text_clear(&e->events) forgets them */
void engine_pull(struct engine *e);                               /* appends to e->out what is to be sent */

/* ---- what the user of the engine does ---- */

/* FIELDS: "name: value" lines that end with LF; names may be pseudo-headers. */
void engine_fields(struct fg_arena *arena, struct fg_headers *headers, const char *fields);
void engine_answer(struct engine *e, const char *fields, bool end);
void engine_request(struct engine *e, const char *fields, bool end);
void engine_content(struct engine *e, const char *content, bool end);
void engine_trailers(struct engine *e, const char *fields);

#endif
