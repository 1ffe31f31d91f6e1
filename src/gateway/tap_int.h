/* Sessions of /tap from inside: tap.c has their lives, tap_lines.c the lines, tap_fields.c and
 * tap_message.c what stands in them. */
#ifndef FG_GATEWAY_TAP_INT_H
#define FG_GATEWAY_TAP_INT_H

#include "gateway/tap.h"
#include "rpc/json_hide.h"

#define FG_TAP_BUCKETS 1024

/* A message whose bytes are being collected. */
struct fg_tap_message {
    char *bytes; /* NULL: none is */
    struct fg_tap_piece first;
    uint32_t len;
    bool torn; /* a piece in between was missed */
    uint64_t at_ns;
};

/* A call that was chosen and has not ended. */
struct fg_tap_seen {
    struct fg_list node; /* in session->calls */
    uint64_t number;
    unsigned worker;
    const struct fg_method *method;     /* NULL: not known */
    struct fg_descriptors *descriptors; /* one reference; NULL: there are none */
    bool gzip_up, gzip_down;            /* how messages that are compressed are */
    struct fg_tap_message up, down;
    FILE *held; /* what is kept back until it is known whether the call is wanted; NULL: nothing is */
    char *held_text;
    size_t held_len, held_counted; /* counted: in the session's held_bytes */
    bool wanted_endpoint;          /* an attempt went there */
};

struct fg_tap_session {
    struct fg_gateway *gateway;
    uint64_t id;
    unsigned refs;               /* atomic: the admin's, and one for each worker that has a sink */
    unsigned attached, detached; /* atomic: workers that have, and have let go of it */
    struct fg_tap_query query;
    bool is_late;              /* only the end of a call says whether it is wanted */
    struct fg_tap_sink *sinks; /* by worker */
    unsigned sinks_len;
    unsigned next_worker;    /* whose records are looked at first */
    uint64_t end_ns;         /* FG_NEVER: none */
    uint64_t wall_offset_ns; /* of the wall clock to the monotonic one */
    uint64_t shown, ended, missed, missed_said, skipped_said, said_ns;
    uint64_t held_bytes;
    struct fg_json_hide hide;
    struct fg_mem mem;
    struct fg_list calls[FG_TAP_BUCKETS];
    const char *over; /* why it is over; NULL: it is not */
};

/* ---- tap_lines.c ---- */

/* One record of a worker, as a line. */
void fg_tap_put_record(struct fg_tap_session *session, unsigned worker, const struct fg_tap_record *record,
                       const char *body, FILE *out);
void fg_tap_seen_free(struct fg_tap_session *session, struct fg_tap_seen *seen);

/* {"event": "...", "call": "W-N", "time": "...", "time_us": N; the rest and what closes it follow. */
void fg_tap_begin_line(const struct fg_tap_session *session, const char *event, const struct fg_tap_seen *seen,
                       uint64_t at_ns, FILE *out);

/* ---- tap_fields.c ---- */

/* The next field of a record; false: there is none. */
bool fg_tap_next_field(struct fg_str *rest, struct fg_tap_field *field, struct fg_str *name, struct fg_str *value);

/* All of them, redacted, and whether anything follows. *GZIP (NULL: not looked for) is set by grpc-encoding. */
void fg_tap_put_fields(const struct fg_tap_session *session, const struct fg_tap_record *record, struct fg_str fields,
                       bool *gzip, FILE *out);

/* ---- tap_message.c ---- */

/* A piece of a message. When it is whole, or enough of it: a line. */
void fg_tap_take_piece(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                       const struct fg_tap_piece *piece, const char *bytes, FILE *out);
/* What is there of a message that will not be whole. */
void fg_tap_flush_message(struct fg_tap_session *session, struct fg_tap_seen *seen, bool down, FILE *out);

#endif
