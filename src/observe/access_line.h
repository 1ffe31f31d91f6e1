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

/* The text of a second is kept: most lines fall into that of the line before. All zero to begin with. */
struct fg_access_second {
    uint64_t at_s;
    char text[24];
    size_t len;
};

/* Writes the line of CALL, which has ended, with its line feed; the length. PEER is the client's address, WALL_NS the
 * time of the end since 1970. OUT has FG_ACCESS_LINE_BYTES. */
size_t fg_access_line(char *out, const struct fg_call *call, const char *peer, uint64_t wall_ns,
                      struct fg_access_second *second);

#endif
