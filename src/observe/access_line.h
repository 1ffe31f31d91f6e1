/* A line of the access log: one JSON object with the outcome of the call and of each of its attempts. It says enough to
 * run the outcomes through other breakers (fusegate replay). */
#ifndef FG_OBSERVE_ACCESS_LINE_H
#define FG_OBSERVE_ACCESS_LINE_H

#include "call/call.h"

/* Attempts in a line: so many first and so many last ones; "attempts_omitted" counts those between. */
#define FG_ACCESS_LINE_ENDS 4

/* Bytes of a method that are shown; clients choose it. */
#define FG_ACCESS_LINE_METHOD_MAX 1024

/* The longest line: a method all of escapes, and the attempts. */
#define FG_ACCESS_LINE_BYTES 12288

enum fg_access_kind {
    FG_ACCESS_WHOLE,  /* the one line of its call, which has ended */
    FG_ACCESS_SO_FAR, /* of a call in progress */
    FG_ACCESS_LAST    /* of a call that has ended and may have had others */
};

/* What a line is made of. All of it is borrowed. */
struct fg_access_record {
    const struct fg_call *call;
    const struct fg_outcome *outcome; /* of SO_FAR its end is the time of the line */
    const char *peer;                 /* the client's address */
    uint64_t wall_ns;                 /* since 1970, of the outcome's end */
    struct fg_wait wait;              /* of SO_FAR */
    unsigned worker;
    enum fg_access_kind kind;
};

/* The text of a second is kept: most lines fall into that of the line before. All zero to begin with. */
struct fg_access_second {
    uint64_t at_s, clf_at_s;
    char text[24], clf[32];
    size_t len, clf_len;
};

/* Writes the line with its line feed; the length. OUT has FG_ACCESS_LINE_BYTES. */
size_t fg_access_line(char *out, const struct fg_access_record *record, struct fg_access_second *second);

#define FG_ACCESS_TIME_BYTES 32

/* "2026-01-02T03:04:05.678Z" to OUT, without a zero; the length. */
size_t fg_access_time(char out[FG_ACCESS_TIME_BYTES], uint64_t wall_ns, struct fg_access_second *second);

/* Instants are cut to microseconds before they are subtracted, so that adding them up again gives the exact order. */
static inline uint64_t fg_access_us_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns / FG_US - from_ns / FG_US : 0;
}

#endif
